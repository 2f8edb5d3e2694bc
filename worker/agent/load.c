/* load.c - reading the spool when the agent starts. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "shared/base/log.h"
#include "worker/agent/jobs_inside.h"

enum { LOAD_MAX = 100000 }; /* names in one folder; what is beyond is left where it is and told */

enum what { W_OTHER, W_JOB, W_JOURNAL, W_SECRETS, W_TEMP };
struct found {
    spool_job id;
    enum what what;
    pw_usec since;
};
struct list {
    struct found *v;
    size_t n, cap;
};

static enum what classify(const char *name, spool_job *id)
{
    const char *dot = strchr(name, '.');
    if (!dot || !spool_job_parse(name, (size_t)(dot - name), id))
        return W_OTHER;
    if (!strcmp(dot, ".job"))
        return W_JOB;
    if (!strcmp(dot, ".journal"))
        return W_JOURNAL;
    if (!strcmp(dot, ".secrets"))
        return W_SECRETS;
    if (!strcmp(dot, ".secrets.new"))
        return W_TEMP;
    /* half-made by someone who died; damaged files in held/ are for people */
    return !strncmp(dot, ".journal.", 9) && strcmp(dot, ".journal.damaged") != 0 ? W_TEMP : W_OTHER;
}

static int push(struct list *l, struct found f, pw_err *err)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        struct found *v = realloc(l->v, cap * sizeof(*v));
        if (!v)
            return pw_fail(err, PW_ENOMEM, "out of memory");
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = f;
    return 0;
}

/* The order must not depend on the folder's. */
static int by_age(const void *pa, const void *pb)
{
    const struct found *a = pa, *b = pb;
    if (a->since != b->since)
        return a->since < b->since ? -1 : 1;
    if (a->id.epoch != b->id.epoch)
        return a->id.epoch < b->id.epoch ? -1 : 1;
    return a->id.attempt < b->id.attempt ? -1 : a->id.attempt > b->id.attempt;
}

static int read_folder(jobs *self, int place, struct list *l, pw_err *err)
{
    int fd = openat(self->dir[place], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        int rc = pw_fail_sys(err, "reading the spool %s", self->spool);
        pw_closep(&fd);
        return rc;
    }
    int rc = 0;
    const struct dirent *e;
    while (rc == 0 && (e = readdir(d)) && l->n < LOAD_MAX) {
        struct found f = {.what = W_OTHER};
        f.what = classify(e->d_name, &f.id);
        if (f.what == W_TEMP)
            (void)unlinkat(self->dir[place], e->d_name, 0);
        else if (f.what != W_OTHER)
            rc = push(l, f, err);
    }
    if (l->n == LOAD_MAX)
        pw_log(PW_LOG_WARN, "spool_too_many", "spool=%s entries=%d", self->spool, LOAD_MAX);
    (void)closedir(d);
    return rc;
}

/* A job that was never started and cannot be: its header was never written, or a power cut took it
 * (and perhaps left records behind it), or its job file is not whole. The master offers it again,
 * or counts it as lost if the machine lost power. */
static bool broken(jobs *self, agent_job *j)
{
    PW_AUTO(pw_freep) char *path = spool_path_journal(self->spool, j->id);
    if (!path || !journal_lock_free(path))
        return false;
    return j->whole == 0 ||
           (!j->started && j->state == PW_JOB_SPOOLED && !jobs_file_right(self, j));
}

static void settle(jobs *self, agent_job *j, bool moved)
{
    char name[SPOOL_JOB_NAME];
    pw_err err = {0};
    int rc = jobs_scan(self, j, UINT64_MAX, &err);
    if (rc < 0 && rc != PW_ECORRUPT) {
        pw_log_err(PW_LOG_ERROR, "journal_not_read", &err);
        return;
    }
    if (j->state == PW_JOB_HELD || j->state == PW_JOB_KEPT)
        return;
    if (moved) {
        jobs_hold(self, j);
        jobs_not_busy(self, j);
    } else if (j->state == PW_JOB_SPOOLED && (rc == 0 || self->other_boot) && broken(self, j)) {
        pw_log(PW_LOG_WARN, "job_removed",
               "job=%s text=\"it was never started and its files are not whole\"",
               spool_job_name(j->id, name));
        jobs_drop(self, j);
    } else if (j->state != PW_JOB_ENDED) {
        jobs_check(self, j);
    }
}

/* Kept only for a job that is still to begin. */
static void settle_secrets(jobs *self, int place, spool_job id)
{
    char name[JOBS_FILE];
    const agent_job probe = {.id = id};
    agent_job *j = jobs_find(self, id);
    if (place == PLACE_JOBS && j && j->state == PW_JOB_SPOOLED && !j->started)
        j->secrets = true;
    else
        (void)unlinkat(self->dir[place], jobs_file(&probe, ".secrets", name), 0);
}

/* A job file without its journal beside it: cut short before that was made, or in the middle of
 * their move to where the journal is. */
static void lone_job(jobs *self, spool_job id, int place)
{
    const agent_job *j = jobs_find(self, id);
    char name[JOBS_FILE];
    agent_job alone = {.id = id};
    (void)jobs_file(&alone, ".job", name);
    if (!j)
        (void)unlinkat(self->dir[place], name, 0);
    else if (jobs_place(j) != place)
        (void)renameat(self->dir[place], name, self->dir[jobs_place(j)], name);
}

static int load_place(jobs *self, int place, bool moved, pw_err *err)
{
    static const pw_job_state state[PLACES] = {PW_JOB_SPOOLED, PW_JOB_HELD, PW_JOB_KEPT};
    struct list l = {NULL, 0, 0};
    int rc = read_folder(self, place, &l, err);
    for (size_t i = 0; i < l.n && place != PLACE_JOBS; i++) {
        agent_job probe = {.id = l.v[i].id, .state = state[place]};
        (void)jobs_stat(self, &probe, &l.v[i].since);
        l.v[i].since = -l.v[i].since;
    }
    if (l.n)
        qsort(l.v, l.n, sizeof(*l.v), by_age);
    for (size_t i = 0; rc == 0 && i < l.n; i++) {
        if (l.v[i].what != W_JOURNAL || jobs_find(self, l.v[i].id))
            continue;
        agent_job *j = jobs_add(self, l.v[i].id, state[place], err);
        if (!j) {
            rc = PW_ENOMEM;
            break;
        }
        pw_usec age;
        j->size = jobs_stat(self, j, &age);
        j->since = pw_now(self->host) - age;
        if (place == PLACE_KEPT)
            j->whole = j->size; /* it had ended; read anew when it is wanted back */
        else
            settle(self, j, moved);
    }
    for (size_t i = 0; i < l.n; i++)
        if (l.v[i].what == W_SECRETS)
            settle_secrets(self, place, l.v[i].id);
    for (size_t i = 0; rc == 0 && i < l.n; i++)
        if (l.v[i].what == W_JOB)
            lone_job(self, l.v[i].id, place);
    free(l.v);
    return rc;
}

int jobs_load(jobs *self, bool moved, pw_err *err)
{
    int rc = load_place(self, PLACE_KEPT, moved, err);
    if (rc == 0)
        rc = load_place(self, PLACE_HELD, moved, err);
    return rc < 0 ? rc : load_place(self, PLACE_JOBS, moved, err);
}
