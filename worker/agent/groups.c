#include "worker/agent/groups.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "shared/base/log.h"

enum {
    BASES_MAX = 16, /* folders remembered; the oldest without groups goes first */
    FILE_MAX = 64 * 1024,
    WAIT_US = 1000000, /* for killed processes to be gone; they are killed either way */
};

struct groups {
    const cgroup_sys *sys;
    const spool_home *home;
    cgroup_host found;
    char *base[BASES_MAX]; /* owned */
    size_t n;
};

/* ---- the folders */

static bool known(const groups *self, const char *base)
{
    for (size_t i = 0; i < self->n; i++)
        if (strcmp(self->base[i], base) == 0)
            return true;
    return false;
}

static void forget(groups *self, size_t i)
{
    free(self->base[i]);
    memmove(self->base + i, self->base + i + 1, (--self->n - i) * sizeof(self->base[0]));
}

static int remember(groups *self, const char *base, pw_err *err)
{
    if (known(self, base))
        return 0;
    char *copy = strdup(base);
    if (!copy)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (self->n == BASES_MAX)
        forget(self, 0);
    self->base[self->n++] = copy;
    return 0;
}

static int read_bases(groups *self, const char *path, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(FILE_MAX);
    int rc = pw_fs_read(path, FILE_MAX, &b, err);
    if (rc == PW_ENOTFOUND)
        return 0;
    for (char *p = rc == 0 && b.p ? b.p : NULL; p && *p && rc == 0;) {
        char *end = p + strcspn(p, "\n"), *next = end + (*end == '\n');
        *end = '\0';
        if (*p == '/')
            rc = remember(self, p, err);
        p = next;
    }
    return rc;
}

/* Folders without groups of ours are not worth a line, this machine's own of today apart. */
static int write_bases(groups *self, const char *path, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(FILE_MAX);
    PW_AUTO(pw_buf_clearp) pw_buf old = PW_BUF(FILE_MAX);
    for (size_t i = 0; i < self->n;) {
        bool ours = false;
        for (int t = 0; t < CGROUP_TREES; t++)
            ours = ours || (self->found.base[t] && !strcmp(self->found.base[t], self->base[i]));
        if (!ours && cgroup_list(self->base[i], self->home->id, NULL, NULL) == 0)
            forget(self, i);
        else
            (void)pw_buf_addf(&b, "%s\n", self->base[i++]);
    }
    if (b.failed)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int rc = pw_fs_read(path, FILE_MAX, &old, NULL);
    if ((rc == 0 || rc == PW_ENOTFOUND) && strcmp(pw_buf_str(&old), pw_buf_str(&b)) == 0)
        return 0;
    return pw_fs_replace(path, b.p, b.len, 0600, err);
}

/* ---- dead jobs */

/* The journal's lock, held by us: no runner lives, and none begins meanwhile. -1: one lives. When
 * there is no journal there is nobody: 0 is given, and *ret stays -1. */
static int hold(const groups *self, const char *folder, const char *job, int *ret)
{
    PW_AUTO(pw_freep)
    char *path = pw_strf("%s/%s/%s.journal", self->home->path, folder, job);
    PW_AUTO(pw_closep) int fd = path ? open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW) : -1;
    if (fd < 0)
        return path && errno == ENOENT ? 0 : -1;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return -1;
    *ret = fd;
    fd = -1;
    return 0;
}

static void end_group(groups *self, const char *base, const char *name, const char *job, int *count)
{
    pw_err err = {0};
    int n = cgroup_kill_at(self->sys, base, name, WAIT_US, &err);
    if (n < 0) {
        (void)pw_err_context(&err, "job %s", job);
        pw_log_err(PW_LOG_ERROR, "cgroup_kept", &err);
    } else if (n > *count) {
        *count = n; /* the same processes stand in each hierarchy */
    }
}

static void each_group(void *self, const char *base, const char *name, const char *job)
{
    PW_AUTO(pw_closep) int running = -1;
    PW_AUTO(pw_closep) int held = -1;
    int count = 0;
    if (hold(self, "jobs", job, &running) < 0 || hold(self, "held", job, &held) < 0)
        return;
    end_group(self, base, name, job, &count);
    pw_log(PW_LOG_INFO, "cgroup_removed", "job=%s processes=%d", job, count);
}

/* ---- life */

static const char *who_limits(uint64_t limit, bool kernel)
{
    return !limit ? "no" : kernel ? "kernel" : "watched";
}

/* As cgroup_job_open() will do it. */
static bool kernel_counts(const cgroup_host *h, const cgroup_limits *l)
{
    bool v1 = h->base[CGROUP_PIDS] && (h->base[CGROUP_UNIFIED] || h->base[CGROUP_FREEZER]);
    return h->processes && !(v1 && l->by_default);
}

static int check_required(const cgroup_host *h, const worker_conf *c, pw_err *err)
{
    const char *what = NULL;
    if (c->cgroup != CGROUP_REQUIRE)
        return 0;
    if (h->kind == CGROUP_NONE)
        what = "control groups";
    else if (c->limits.memory && !h->memory)
        what = "the memory controller for job_memory";
    else if (c->limits.processes && !c->limits.by_default && !h->processes)
        what = "the pids controller for job_processes";
    if (!what)
        return 0;
    return pw_fail(err, PW_EDENIED,
                   "%.100s says \"cgroup: require\", but this machine does not give %s: %.150s",
                   c->file ? c->file : "the configuration", what,
                   h->why[0] ? h->why : "the controller cannot be used");
}

int groups_configure(groups *self, const worker_conf *conf, pw_err *err)
{
    cgroup_host h = {.sys = self->sys};
    PW_AUTO(pw_freep) char *path = pw_path_join(self->home->path, "cgroups");
    int rc = path ? 0 : pw_fail(err, PW_ENOMEM, "out of memory");
    if (rc == 0 && conf->cgroup != CGROUP_OFF)
        rc = cgroup_find(self->sys, &h, err);
    if (rc == 0)
        rc = check_required(&h, conf, err);
    for (int t = 0; t < CGROUP_TREES && rc == 0; t++)
        if (h.base[t])
            rc = remember(self, h.base[t], err);
    if (rc < 0) {
        cgroup_host_clear(&h);
        return rc;
    }
    cgroup_host_clear(&self->found);
    self->found = h;
    if (conf->cgroup == CGROUP_OFF)
        pw_log(PW_LOG_INFO, "cgroup", "kind=none missing=\"switched off\" memory=%s processes=%s",
               who_limits(conf->limits.memory, false), who_limits(conf->limits.processes, false));
    else
        pw_log(h.kind == CGROUP_NONE ? PW_LOG_WARN : PW_LOG_INFO, "cgroup",
               "kind=%s kill=%s memory=%s processes=%s missing=\"%s\"", cgroup_kind_name(h.kind),
               h.kind == CGROUP_NONE ? "tree"
               : h.kill              ? "cgroup.kill"
               : h.freeze            ? "freeze"
                                     : "list",
               who_limits(conf->limits.memory, h.memory),
               who_limits(conf->limits.processes, kernel_counts(&h, &conf->limits)), h.why);
    return write_bases(self, path, err);
}

groups *groups_new(const cgroup_sys *sys, const spool_home *home, const worker_conf *conf,
                   pw_err *err)
{
    PW_AUTO(groups_freep) groups *self = calloc(1, sizeof(*self));
    PW_AUTO(pw_freep) char *path = pw_path_join(home->path, "cgroups");
    if (!self || !path) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->sys = sys;
    self->home = home;
    if (read_bases(self, path, err) < 0)
        return NULL;
    for (size_t i = 0; i < self->n; i++)
        (void)cgroup_list(self->base[i], home->id, each_group, self);
    if (groups_configure(self, conf, err) < 0)
        return NULL;
    return pw_take(self);
}

groups *groups_free(groups *self)
{
    if (!self)
        return NULL;
    cgroup_host_clear(&self->found);
    while (self->n)
        forget(self, self->n - 1);
    free(self);
    return NULL;
}

const char *groups_kind(const groups *self)
{
    return cgroup_kind_name(self->found.kind);
}

int groups_kill(groups *self, const char *job)
{
    char name[CGROUP_NAME];
    int count = 0;
    if (cgroup_name(self->home->id, job, name))
        for (size_t i = 0; i < self->n; i++)
            end_group(self, self->base[i], name, job, &count);
    return count;
}
