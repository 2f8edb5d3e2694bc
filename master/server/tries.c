/* What people try, between web, git and core: a command that brings a patch or a bundle goes to the
 * git service first, and to the core with what came of it. Until then nothing is promised: after a
 * crash whoever sent it sends it again, and what is half done here is swept away. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/server/state.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"

enum { TIMEOUT_US = 600 * 1000000 /* of each child: to take in a gigabyte took 40 s */ };

struct server_try {
    struct server_try *next;
    uint64_t number, project; /* its row */
    core_cmd *cmd;            /* owned */
};

static void reply(core_cmd *c)
{
    c->done(c, c->done_self);
}

void tries_free(server *s)
{
    for (server_try *t = s->tries, *next; t; t = next) {
        next = t->next;
        core_cmd_free(t->cmd);
        free(t);
    }
    s->tries = NULL;
}

static void unlist(server *s, const server_try *t)
{
    server_try **at = &s->tries;
    while (*at && *at != t)
        at = &(*at)->next;
    if (*at)
        *at = t->next;
}

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

/* Whoever lost the connection asks again while the first request is being worked on: the answer is
 * the newer one's. */
static bool again(const server *s, core_cmd *c)
{
    for (server_try *t = s->tries; t; t = t->next) {
        if (!same(t->cmd->idem, c->idem) || !same(t->cmd->actor, c->actor))
            continue;
        core_cmd *old = t->cmd;
        char *fresh = c->upload; /* the first one's is being read */
        c->upload = old->upload;
        old->upload = fresh;
        c->tried.size = old->tried.size;
        t->cmd = c;
        core_cmd_fail(old, 409, "conflict", "the same request came again, and is answered there");
        reply(old);
        return true;
    }
    return false;
}

/* ---- to git */
static git_job *job_of(git_kind kind, uint64_t number, pw_err *err)
{
    git_job *j = git_job_new(kind, err);
    if (!j)
        return NULL;
    j->timeout = TIMEOUT_US;
    j->number = j->tag = number;
    return j;
}

static int send_job(server *s, server_try *t, size_t project, pw_err *err)
{
    core_cmd *c = t->cmd;
    bool bad = false;
    PW_AUTO(git_job_freep) git_job *j = job_of(GIT_TRY, t->number, err);
    struct stat st;
    if (!j)
        return PW_ENOMEM;
    if (stat(c->upload, &st) < 0)
        return pw_fail_sys(err, "looking at \"%s\"", c->upload);
    c->tried.size = (uint64_t)st.st_size;
    repos_of(s, j, project, &bad);
    (void)snprintf(j->old, sizeof(j->old), "%s", c->base);
    j->try.patch = c->patch;
    j->try.file = pw_strdup(c->upload, &bad);
    j->try.who = pw_strdup(c->actor, &bad);
    j->try.subject = pw_strf("try %" PRIu64 " by %s%s%s", t->number, c->actor ? c->actor : "?",
                             c->reason && *c->reason ? ": " : "", c->reason ? c->reason : "");
    if (bad || !j->try.subject)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    return git_send(s->git, pw_take(j), err);
}

static int number_of(server *s, uint64_t *ret, pw_err *err)
{
    uint64_t highest = 0;
    if (core_try_highest(s->core, &highest, err) < 0)
        return err->code;
    if (s->last_try < highest)
        s->last_try = highest;
    *ret = ++s->last_try; /* not given again in this life, whatever becomes of it */
    return 0;
}

bool tries_take(server *s, core_cmd *c)
{
    pw_err err = {0};
    size_t project = 0;
    if (c->kind != CMD_TRY || !core_try_wanted(s->core, c, &project))
        return false;
    if (again(s, c))
        return true;
    server_try *t = calloc(1, sizeof(*t));
    if (!t) {
        core_cmd_fail(c, 503, "unavailable", "out of memory");
        reply(c);
        return true;
    }
    t->cmd = c;
    t->project = core_project_row(s->core, project);
    if (number_of(s, &t->number, &err) < 0 || send_job(s, t, project, &err) < 0) {
        core_cmd_fail(c, 503, "unavailable", "%s", err.text);
        reply(c);
        free(t);
        return true;
    }
    t->next = s->tries;
    s->tries = t;
    return true;
}

/* ---- back from git */
static void forget(server *s, uint64_t number, uint64_t project)
{
    pw_err err = {0};
    bool bad = false;
    PW_AUTO(git_job_freep) git_job *j = job_of(GIT_UNTRY, number, &err);
    if (j) { /* it works on the mirror alone: the project may be gone */
        j->project = project;
        j->repository = pw_strdup("none", &bad);
    }
    if (bad)
        (void)pw_fail(&err, PW_ENOMEM, "out of memory");
    if (!j || bad || git_send(s->git, pw_take(j), &err) < 0)
        pw_log_err(PW_LOG_WARN, "try_not_removed", &err); /* the next start does it */
}

static bool take_facts(core_cmd *c, git_job *j)
{
    bool bad = false;
    c->tried.number = j->number;
    c->tried.commits = j->n_tried;
    (void)snprintf(c->tried.rev, sizeof(c->tried.rev), "%s", j->tried.rev);
    (void)snprintf(c->tried.base, sizeof(c->tried.base), "%s", j->old);
    c->tried.files = pw_strdup(j->tried.files, &bad);
    return !bad;
}

static void imported(server *s, git_job *j)
{
    server_try *t = s->tries;
    while (t && t->number != j->number)
        t = t->next;
    if (!t)
        return;
    core_cmd *c = t->cmd;
    unlist(s, t);
    free(t);
    if (j->code == 0 && s->core && take_facts(c, j)) {
        core_command(s->core, c);
        return;
    }
    if (j->code < 0 && j->unfit)
        core_cmd_fail(c, 422, "bad_request", "%s", j->text);
    else
        core_cmd_fail(c, 503, "unavailable", "%s",
                      j->code < 0 ? j->text : "the master cannot work at the moment: try again");
    if (j->code == 0)
        forget(s, j->number, j->project);
    reply(c);
}

bool tries_answer(server *s, git_job *j)
{
    if (j->kind == GIT_TRY) {
        imported(s, j);
    } else if (j->kind == GIT_UNTRY) {
        if (j->code < 0)
            pw_log(PW_LOG_WARN, "try_not_removed", "try=%" PRIu64 " reason=\"%s\"", j->number,
                   j->text);
    } else {
        return false;
    }
    return true;
}

void tries_effect(server *s, const core_effect *e)
{
    forget(s, e->id, e->worker);
}

/* ---- what a crash left */
static bool under_way(const server *s, uint64_t number)
{
    for (const server_try *t = s->tries; t; t = t->next)
        if (t->number == number)
            return true;
    return false;
}

void tries_sweep(server *s, bool start)
{
    const char *dir = s->try_dir;
    DIR *d = opendir(dir);
    uint64_t project, number;
    for (const struct dirent *e; d && (e = readdir(d));) {
        PW_AUTO(pw_freep) char *path = pw_path_join(dir, e->d_name);
        if (git_try_name(e->d_name, &project, &number)) {
            if (!under_way(s, number) && !core_try_is(s->core, number, project))
                forget(s, number, project);
        } else if (start && path && e->d_name[0] != '.') {
            (void)unlink(path); /* what came in, and was not answered */
        }
    }
    if (d)
        (void)closedir(d);
}
