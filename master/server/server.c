#include "master/server/server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "master/give/give.h"
#include "master/server/privs.h"
#include "master/server/state.h"
#include "shared/base/closed.h"
#include "shared/base/files.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"
#include "shared/base/trim.h"
#include "shared/notify/notify.h"

enum {
    QUEUE_COMMANDS = 4096,
    QUEUE_ANSWERS = 65536,
    TRIM_AFTER_US = 2000000 /* after the first look at the repositories */
};

static void complain(const char *what, const pw_err *err)
{
    char why[100];
    const char *sys = err->sys > 0 ? strerror_r(err->sys, why, sizeof(why)) : NULL;
    (void)fprintf(stderr, "pawl-master: %s: %s%s%s\n", what, err->text, sys ? ": " : "",
                  sys ? sys : "");
}

char *server_config_path(const server_options *o, pw_err *err)
{
    if (o->config)
        return pw_strf("%s", o->config);
    char *path = pw_path_join(o->state, "master.yaml");
    if (path && access(path, F_OK) == 0)
        return path;
    free(path);
    if (access("/etc/pawl/master.yaml", F_OK) == 0)
        return pw_strf("/etc/pawl/master.yaml");
    (void)pw_fail(err, PW_ENOTFOUND,
                  "there is no configuration: write %s/master.yaml or /etc/pawl/master.yaml (a "
                  "whole example is master.yaml.example "
                  "in the documentation), or name one with --config",
                  o->state);
    return NULL;
}

static config *load_config(const char *path)
{
    yaml_errors errors = {0};
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(1024 * 1024);
    config *c = config_load(path, &errors);
    if (!c) {
        (void)yaml_errors_text(&errors, &text);
        (void)fputs(pw_buf_str(&text), stderr);
    }
    yaml_errors_clear(&errors);
    return c;
}

int server_check(const char *file)
{
    config *c = load_config(file);
    if (!c)
        return 2;
    if (c->warnings)
        (void)fputs(c->warnings, stderr);
    (void)printf("%s: %zu projects, %zu builders, %zu schedulers, %zu promotions\n", file,
                 c->n_projects, c->n_builders, c->n_schedulers, c->n_promotions);
    config_unref(c);
    return 0;
}

/* ---- link */
static bool admit(void *p, const uint8_t key[LINK_KEY])
{
    const server *s = p;
    return s->links && sessions_admit(s->links, key);
}

static void message(void *p, const link_in *in)
{
    const server *s = p;
    if (s->links)
        sessions_message(s->links, in->peer, in->key, in->head, in->head_len, in->bulk,
                         in->bulk_len);
}

static void on_signal(pw_loop *loop, int signo, void *p)
{
    if (signo == SIGHUP) {
        reload_ask(p);
        return;
    }
    pw_log(PW_LOG_INFO, "stopping", "signal=%d", signo);
    pw_loop_stop(loop);
}

static void logs_grew(void *p)
{
    server *s = p;
    if (s->web)
        web_logs_grew(s->web);
}

/* ---- opening, in order; closing undoes what stands */
static const int signals[] = {SIGTERM, SIGINT, SIGHUP, 0};

static int open_queues(server *s, pw_err *err)
{
    if (!(s->commands = pw_chan_new(QUEUE_COMMANDS, NULL, err)) ||
        !(s->git_answers = pw_chan_new(QUEUE_ANSWERS, NULL, err)) ||
        !(s->net_answers = pw_chan_new(QUEUE_ANSWERS, NULL, err)) ||
        !(s->provider_answers = pw_chan_new(QUEUE_ANSWERS, NULL, err)) ||
        !(s->log_answers = pw_chan_new(QUEUE_ANSWERS, free, err)) ||
        !(s->file_answers = pw_chan_new(QUEUE_ANSWERS, free, err)) ||
        !(s->give_answers = pw_chan_new(GIVE_ANSWERS, NULL, err)))
        return err->code;
    if (!(s->loop = pw_loop_new(&pw_host_real, err)) ||
        !pw_loop_signals(s->loop, signals, on_signal, s, err) ||
        !pw_loop_fd(s->loop, "commands", pw_chan_fd(s->commands), EPOLLIN, turn_commands, s, err) ||
        !pw_loop_fd(s->loop, "git", pw_chan_fd(s->git_answers), EPOLLIN, turn_git, s, err) ||
        !pw_loop_fd(s->loop, "net", pw_chan_fd(s->net_answers), EPOLLIN, turn_net, s, err) ||
        !pw_loop_fd(s->loop, "providers", pw_chan_fd(s->provider_answers), EPOLLIN, turn_providers,
                    s, err) ||
        !pw_loop_fd(s->loop, "logs", pw_chan_fd(s->log_answers), EPOLLIN, turn_logs, s, err) ||
        !pw_loop_fd(s->loop, "files", pw_chan_fd(s->file_answers), EPOLLIN, turn_files, s, err) ||
        !pw_loop_fd(s->loop, "gives", pw_chan_fd(s->give_answers), EPOLLIN, turn_gives, s, err) ||
        !(s->tick = pw_loop_timer(s->loop, "tick", 0, turn_tick, s, err)))
        return err->code;
    pw_loop_after(s->loop, turn_hook, s);
    return 0;
}

static int open_links(server *s, pw_err *err)
{
    static const link_listener_ops ops = {admit, message};
    char address[300];
    int kept = state_listen_address(s, s->conf->workers_listen, "workers_port", address, err);
    if (kept < 0 || !(s->ctx = link_ctx_new(err)))
        return err->code;
    if (!(s->listener = link_listen(s->ctx, s->loop, address, s->secret, PW_MSG_MAX, &ops, s, err)))
        return err->code;
    return kept ? 0 : state_keep_port(s, "workers_port", link_listener_address(s->listener), err);
}

static int open_web(server *s, pw_err *err)
{
    char address[300];
    int kept = state_listen_address(s, s->conf->web_listen, "web_port", address, err);
    if (kept < 0)
        return kept;
    web_options o = {.listen = address,
                     .url = s->conf->web_url,
                     .read_token = s->conf->web_read_token,
                     .conf = s->conf,
                     .db = s->db,
                     .log_store = s->log_store,
                     .files = s->file_dir,
                     .tries = s->try_dir,
                     .commands = s->commands,
                     .gauges = &s->gauges,
                     .host = &pw_host_real};
    if (!(s->web = web_start(&o, err)))
        return err->code;
    logs_on_growth(s->log_store, logs_grew, s);
    return kept ? 0 : state_keep_port(s, "web_port", web_address(s->web), err);
}

static void trim(pw_loop *loop, void *p)
{
    (void)loop, (void)p;
    pw_trim();
}

/* As root where there is one, for ports below 1024 and what only root may read. */
static int open_sockets(server *s, const privs *p, pw_err *err)
{
    int r = privs_raise(p, err);
    if (r < 0)
        return r;
    r = open_links(s, err);
    if (r >= 0)
        r = open_web(s, err);
    int back = privs_lower(p, r < 0 ? NULL : err);
    return r < 0 ? r : back;
}

static int open_all(server *s, const server_options *o, pw_err *err)
{
    int r;
    privs p;
    if ((r = privs_begin(&p, s->conf->user, o->state, err)) < 0 || (r = crypt_init(err)) < 0 ||
        (r = state_open(s, o->state, err)) < 0 || (r = open_queues(s, err)) < 0)
        return r;
    if ((r = outbox_prepare(s, s->conf, err)) < 0)
        return r;
    if (!(s->git = git_start(s->mirror_dir, s->git_answers, err)))
        return err->code;
    if ((r = gives_open(s, err)) < 0 || (r = turn_load(s, err)) < 0 ||
        (r = state_admin_token(s, err)) < 0 || (r = lastconf_keep(s, err)) < 0 ||
        (r = janitor_start(&s->janitor, s->db, err)) < 0 || (r = open_sockets(s, &p, err)) < 0 ||
        (r = privs_drop(&p, err)) < 0 || (r = outbox_open(s, err)) < 0)
        return r;
    return state_write_addresses(s, err);
}

static void close_all(server *s)
{
    git_job *j;
    core_cmd *c;
    give_job *g;
    s->web = web_stop(s->web);
    s->git = git_stop(s->git);
    outbox_close(s);
    elastic_close(s);
    janitor_stop(&s->janitor);
    s->links = sessions_free(s->links);
    s->listener = link_listener_free(s->listener);
    s->ctx = link_ctx_free(s->ctx);
    s->log_store = logs_close(s->log_store);
    s->files = blobs_close(s->files);
    gives_close(s);
    turn_unload(s);
    while (s->give_answers && (g = pw_chan_recv(s->give_answers)))
        (void)give_job_free(g);
    tries_free(s);
    while (s->git_answers && (j = pw_chan_recv(s->git_answers)))
        git_job_free(j);
    while (s->commands && (c = pw_chan_recv(s->commands)))
        core_cmd_free(c);
    irc_close(s);
    s->loop = pw_loop_free(s->loop);
    s->commands = pw_chan_free(s->commands);
    s->git_answers = pw_chan_free(s->git_answers);
    s->log_answers = pw_chan_free(s->log_answers);
    s->file_answers = pw_chan_free(s->file_answers);
    s->give_answers = pw_chan_free(s->give_answers);
    s->net_answers = pw_chan_free(s->net_answers);
    s->provider_answers = pw_chan_free(s->provider_answers);
    web_targets_free(atomic_load(&s->gauges.targets));
    free(s->db);
    free(s->log_dir);
    free(s->file_dir);
    free(s->mirror_dir);
    free(s->try_dir);
    pw_closep(&s->lock);
    config_unref(s->conf);
    config_unref(s->conf_begun);
}

int server_run(const server_options *o)
{
    pw_err err = {0};
    PW_AUTO(pw_freep) char *path = server_config_path(o, &err);
    PW_AUTO(pw_freep) server *s = calloc(1, sizeof(*s));
    if (!path || !s)
        complain("starting", &err);
    if (!s)
        return 2;
    pw_closed(); /* keys, and secrets of the configuration */
    s->lock = -1;
    (void)pw_files_raise();
    s->options = o;
    s->new_key = o->new_key;
    pw_loop_hold_signals(signals);
    s->conf = path ? load_config(path) : NULL;
    if (!s->conf && !(s->conf = lastconf_load(s, o->state, path, err.text)))
        return 2;
    s->conf_begun = config_ref(s->conf);
    int status = 1;
    if (open_all(s, o, &err) < 0) {
        complain("starting", &err);
        if (err.code == PW_ECORRUPT)
            integrity_way_out(o->state);
    } else {
        pw_log(PW_LOG_INFO, "ready", "web=%s workers=%s", web_address(s->web),
               link_listener_address(s->listener));
        pw_notify_ready(web_address(s->web));
        pw_err ignored;
        (void)pw_loop_timer(s->loop, "trim", pw_now(&pw_host_real) + TRIM_AFTER_US, trim, NULL,
                            &ignored);
        pw_loop_again(s->loop);
        if (pw_loop_run(s->loop, &err) < 0)
            complain("running", &err);
        else
            status = 0;
        pw_notify_stopping();
    }
    close_all(s);
    return status;
}
