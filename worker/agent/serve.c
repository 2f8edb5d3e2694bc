#include "worker/agent/serve.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "shared/base/closed.h"
#include "shared/base/files.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"
#include "shared/base/trim.h"
#include "shared/link/link.h"
#include "worker/agent/agent.h"
#include "worker/agent/groups.h"
#include "worker/agent/orphans.h"
#include "worker/agent/zygote.h"

enum { NOTES_ONCE = 64, NOTES_ROUNDS = 16 };
#define GOODBYE_US INT64_C(100000)     /* for the bye that is on its way */
#define TRIM_AFTER_US INT64_C(2000000) /* when the first connection stands */

typedef struct server {
    worker_conf *conf;
    const serve_notify *notify;
    const pw_host *host;
    uint8_t secret[CRYPT_KEY];
    spool_home home;
    pw_loop *loop;
    link_ctx *ctx;
    link_dialer *dialer;
    bool closed;    /* the dialer is to be freed, outside its callbacks */
    uint64_t files; /* the soft limit that this process was given: steps have that one */
    zygote *zygote;
    groups *groups;
    agent *agent;
    int notes;
    pw_source *timer;
    session_state told; /* to the service manager */
    bool stop;
} server;

/* ---- the wire */

static void on_in(void *self, const link_in *in)
{
    server *s = self;
    if (!s->closed)
        agent_input(s->agent, in->head, in->head_len, in->bulk, in->bulk_len);
}

static void on_down(void *self, const char *reason)
{
    server *s = self;
    if (!s->closed)
        agent_lost(s->agent, reason);
    s->closed = true;
}

static const link_dialer_ops dialer_ops = {on_in, on_down};

static void drop_closed(server *s)
{
    if (!s->closed)
        return;
    s->dialer = link_dialer_free(s->dialer);
    s->closed = false;
}

/* `pawl-worker join` may have replaced it: then the master knows the new one only. */
static void take_key(server *s)
{
    uint8_t pub[CRYPT_KEY], secret[CRYPT_KEY];
    pw_err err = {0};
    if (worker_key_read(s->conf->key, pub, secret, &err) < 0) {
        pw_log_err(PW_LOG_WARN, "key_kept", &err);
        return;
    }
    if (!crypt_equal(secret, s->secret, CRYPT_KEY))
        pw_log(PW_LOG_INFO, "key_taken", "file=%s", s->conf->key);
    memcpy(s->secret, secret, CRYPT_KEY);
    explicit_bzero(secret, sizeof(secret));
}

/* Called by the agent's tick only, never inside a callback of the dialer. */
static int wire_open(void *self, pw_err *err)
{
    server *s = self;
    s->closed = true;
    drop_closed(s);
    take_key(s);
    s->dialer = link_dial(s->ctx, s->loop, s->conf->address, s->conf->master_key, s->secret,
                          PW_MSG_MAX, &dialer_ops, s, err);
    return s->dialer ? 0 : err->code;
}

static void wire_close(void *self)
{
    server *s = self;
    s->closed = true;
}

static int wire_send(void *self, const void *head, size_t head_n, const void *bulk, size_t bulk_n,
                     pw_err *err)
{
    server *s = self;
    if (!s->dialer || s->closed)
        return pw_fail(err, PW_ENOTFOUND, "there is no connection");
    return link_dialer_send(s->dialer, head, head_n, bulk, bulk_n, err);
}

/* ---- what the agent asks of the machine */

static int start_job(void *self, const char *job, pw_err *err)
{
    server *s = self;
    return zygote_start(s->zygote, job, err);
}

static void sweep_job(void *self, const char *job)
{
    server *s = self;
    int n = groups_kill(s->groups, job);
    n += orphans_kill(job); /* what left its group, or had none */
    if (n)
        pw_log(PW_LOG_WARN, "orphans_killed", "job=%s processes=%d", job, n);
}

static const char *cgroup_fact(void *self)
{
    server *s = self;
    return groups_kind(s->groups);
}

static void tidy(void *self)
{
    server *s = self;
    pw_err err = {0};
    if (zygote_tidy(s->zygote, s->conf->low_disk, &err) < 0)
        pw_log_err(PW_LOG_WARN, "tidy_not_started", &err);
}

static int64_t disk_free(void *self)
{
    server *s = self;
    return pw_fs_free(s->home.path);
}

static uint64_t load_milli(void *self)
{
    double load = 0;
    (void)self;
    return getloadavg(&load, 1) == 1 && load > 0 && load < 1e9 ? (uint64_t)(load * 1000) : 0;
}

/* ---- the loop */

static void on_notes(pw_loop *loop, int fd, uint32_t events, void *self)
{
    server *s = self;
    spool_note note[NOTES_ONCE];
    (void)loop;
    (void)events;
    for (int i = 0; i < NOTES_ROUNDS; i++) {
        int n = spool_notes_get(fd, note, NOTES_ONCE);
        for (int k = 0; k < n; k++)
            agent_note(s->agent, note[k]);
        if (n < NOTES_ONCE)
            return;
    }
}

static void reload(server *s)
{
    worker_conf fresh = {0};
    yaml_errors errors = {0};
    pw_err err = {0};
    if (worker_conf_read(s->conf->file, &fresh, &errors, &err) < 0) {
        pw_log_err(PW_LOG_ERROR, "configuration_kept", &err);
        for (size_t i = 0; i < errors.n; i++)
            pw_log(PW_LOG_ERROR, "configuration_error", "at=%s:%u:%u text=\"%s\"", errors.v[i].file,
                   errors.v[i].line, errors.v[i].column, errors.v[i].text);
        yaml_errors_clear(&errors);
        return;
    }
    yaml_errors_clear(&errors);
    if (strcmp(fresh.spool, s->conf->spool) != 0 || strcmp(fresh.key, s->conf->key) != 0 ||
        strcmp(fresh.address, s->conf->address) != 0 ||
        memcmp(fresh.master_key, s->conf->master_key, CRYPT_KEY) != 0) {
        pw_log(PW_LOG_ERROR, "configuration_kept",
               "reason=\"master, key and spool need a restart of the worker\"");
        worker_conf_clear(&fresh);
        return;
    }
    if (iso_check(&fresh.iso, s->home.path, fresh.slots, &err) < 0 ||
        groups_configure(s->groups, &fresh, &err) < 0) {
        pw_log_err(PW_LOG_ERROR, "configuration_kept", &err);
        worker_conf_clear(&fresh);
        return;
    }
    if (zygote_env(s->zygote, &fresh, &err) < 0)
        pw_log_err(PW_LOG_ERROR, "environment_kept", &err);
    worker_conf old = *s->conf;
    *s->conf = fresh;
    agent_configure(s->agent, s->conf);
    worker_conf_clear(&old);
    pw_log(PW_LOG_INFO, "configuration_read", "file=%s", s->conf->file);
}

static void on_signal(pw_loop *loop, int signo, void *self)
{
    server *s = self;
    if (signo == SIGCHLD) {
        zygote_poll(s->zygote);
    } else if (signo == SIGHUP) {
        reload(s);
    } else {
        s->stop = true;
        pw_loop_stop(loop);
    }
}

static void tell_manager(server *s)
{
    session_state now = agent_session(s->agent);
    if ((now == SESSION_UP) == (s->told == SESSION_UP))
        return;
    s->told = now;
    s->notify->status(now == SESSION_UP ? "connected" : "not connected to the master; jobs go on");
}

static void on_timer(pw_loop *loop, void *self)
{
    (void)loop;
    (void)self; /* the hook does the work, after whatever else came in this round */
}

static void after_round(pw_loop *loop, void *self)
{
    server *s = self;
    drop_closed(s);
    if (s->stop)
        return;
    agent_tick(s->agent);
    drop_closed(s);
    tell_manager(s);
    pw_usec due = agent_due(s->agent);
    if (due == 0)
        pw_loop_again(loop);
    else
        pw_source_at(s->timer, due);
}

/* ---- life */

static void on_trim(pw_loop *loop, void *self)
{
    (void)loop, (void)self;
    pw_trim();
}

static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD, 0};

static int set_up(server *s, pw_err *err)
{
    uint8_t pub[CRYPT_KEY];
    PW_AUTO(pw_freep) char *program = NULL;
    int rc = worker_key_read(s->conf->key, pub, s->secret, err);
    if (rc == 0)
        rc = zygote_find(&program, err);
    if (rc == 0)
        rc = home_open(s->conf->spool, &s->home, err);
    if (rc == 0)
        rc = iso_check(&s->conf->iso, s->home.path, s->conf->slots, err);
    if (rc == 0 && !(s->groups = groups_new(&cgroup_sys_real, &s->home, s->conf, err)))
        rc = err->code;
    if (rc < 0)
        return rc;
    if (!(s->loop = pw_loop_new(s->host, err)) ||
        !pw_loop_signals(s->loop, signals, on_signal, s, err) || !(s->ctx = link_ctx_new(err)) ||
        !(s->zygote = zygote_new(s->host, program, s->home.path, s->files, err)))
        return PW_ESYS;
    if ((rc = zygote_env(s->zygote, s->conf, err)) < 0 ||
        (rc = s->notes = spool_notes_open(s->home.path, err)) < 0)
        return rc;
    agent_deps deps = {
        .host = s->host,
        .wire = {wire_open, wire_close, wire_send, s},
        .start = start_job,
        .sweep = sweep_job,
        .disk_free = disk_free,
        .load_milli = load_milli,
        .cgroup = cgroup_fact,
        .tidy = tidy,
        .self = s,
    };
    if (!(s->agent = agent_new(s->conf, &s->home, &deps, err)) ||
        !pw_loop_fd(s->loop, "notes", s->notes, EPOLLIN, on_notes, s, err) ||
        !(s->timer = pw_loop_timer(s->loop, "agent", pw_now(s->host), on_timer, s, err)) ||
        !pw_loop_timer(s->loop, "trim", pw_now(s->host) + TRIM_AFTER_US, on_trim, NULL, err))
        return PW_ESYS;
    pw_loop_after(s->loop, after_round, s);
    return 0;
}

static void say_bye(server *s)
{
    pw_usec end = pw_now(s->host) + GOODBYE_US;
    s->notify->stopping();
    agent_stop(s->agent, "the worker was told to stop; its jobs go on");
    for (pw_usec now = pw_now(s->host); now < end && !s->closed; now = pw_now(s->host))
        if (pw_loop_once(s->loop, end - now, NULL) < 0)
            break;
}

int serve(worker_conf *conf, const serve_notify *notify, pw_err *err)
{
    server s = {
        .conf = conf, .notify = notify, .host = &pw_host_real, .home = {.lock = -1}, .notes = -1};
    pw_loop_hold_signals(signals);
    s.files = pw_files_raise();
    pw_closed(); /* its key, and secrets that pass through */
    int rc = set_up(&s, err);
    if (rc == 0) {
        pw_log(PW_LOG_INFO, "worker_started", "name=\"%s\" version=%s spool=%s id=%.8s jobs=%zu",
               /* not all of the id: who has it can take the names of runners' sockets */
               conf->name, PW_VERSION, s.home.path, s.home.id, jobs_open(agent_jobs(s.agent)));
        notify->ready("started");
        rc = pw_loop_run(s.loop, err);
        say_bye(&s);
    }
    (void)agent_free(s.agent);
    (void)link_dialer_free(s.dialer);
    (void)link_ctx_free(s.ctx);
    (void)pw_loop_free(s.loop);
    (void)zygote_free(s.zygote);
    (void)groups_free(s.groups);
    pw_closep(&s.notes);
    home_close(&s.home);
    explicit_bzero(s.secret, sizeof(s.secret));
    return rc;
}
