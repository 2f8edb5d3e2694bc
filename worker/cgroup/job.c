/* job.c - the group of one job: made, killed, asked, removed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "worker/cgroup/inside.h"

enum {
    SMALL = 4096,
    PAUSE_MS = 1,   /* a killed process needs some ten microseconds to be gone */
    FREEZE_MS = 50, /* a frozen group cannot fork while it is killed; it is killed either way */
};

char *group_path(const char *dir, const char *file)
{
    return pw_strf("%s/%s", dir, file);
}

bool group_has(const char *dir, const char *file)
{
    PW_AUTO(pw_freep) char *path = group_path(dir, file);
    return path && access(path, F_OK) == 0;
}

int group_write(const char *dir, const char *file, const char *text)
{
    PW_AUTO(pw_freep) char *path = group_path(dir, file);
    if (!path) {
        errno = ENOMEM;
        return -1;
    }
    PW_AUTO(pw_closep) int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    size_t n = strlen(text);
    return fd >= 0 && write(fd, text, n) == (ssize_t)n ? 0 : -1;
}

/* At most SMALL - 1 bytes. False, errno and "": it could not be read, and says nothing. */
static bool group_read(const char *dir, const char *file, char text[SMALL])
{
    PW_AUTO(pw_freep) char *path = group_path(dir, file);
    PW_AUTO(pw_closep) int fd = -1;
    text[0] = '\0';
    if (!path)
        errno = ENOMEM;
    else
        fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, SMALL - 1);
    text[n > 0 ? n : 0] = '\0';
    return n >= 0;
}

/* The number behind a word at the start of a line; `unknown` when there is none, or nothing can be
 * read. */
static uint64_t group_count(const char *dir, const char *file, const char *word, uint64_t unknown)
{
    char text[SMALL];
    size_t n = strlen(word);
    (void)group_read(dir, file, text);
    for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n')
        if (strncmp(p, word, n) == 0 && p[n] == ' ')
            return strtoull(p + n + 1, NULL, 10);
    return unknown;
}

/* ---- a group and those that the job made in it */

enum {
    DEEP = 64
}; /* groups in groups; deeper ones stay, and with them the job's own: it is told */

static void close_dir(DIR **d)
{
    if (*d)
        (void)closedir(*d);
}

/* Of what could not be read: that it was removed meanwhile. */
static bool group_gone(void)
{
    return errno == ENOENT || errno == ENODEV;
}

/* The innermost first. Returns how many calls gave true, and how many groups could not be looked
 * into (memory, descriptors): nobody knows what they hold. */
static int each_below(const char *dir, int depth, bool (*fn)(void *self, const char *dir),
                      void *self)
{
    PW_AUTO(close_dir) DIR *d = depth < DEEP ? opendir(dir) : NULL;
    const struct dirent *e;
    int n = !d && depth < DEEP && !group_gone();
    while (d && (e = readdir(d))) {
        if (e->d_type != DT_DIR || e->d_name[0] == '.')
            continue;
        PW_AUTO(pw_freep) char *path = group_path(dir, e->d_name);
        n += path ? each_below(path, depth + 1, fn, self) : 1;
    }
    return n + fn(self, dir);
}

/* ---- killing */

/* KILL to each pid that is listed. */
static bool kill_listed(void *self, const char *dir)
{
    PW_AUTO(pw_freep) char *path = group_path(dir, "cgroup.procs");
    PW_AUTO(pw_closep) int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    char text[SMALL];
    long pid = 0;
    ssize_t n;
    (void)self;
    while (fd >= 0 && (n = read(fd, text, sizeof(text))) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (text[i] >= '0' && text[i] <= '9') {
                pid = pid * 10 + (text[i] - '0');
            } else if (pid) {
                /* 0 and 1 stand for "not visible here" and for a system's first process */
                if (pid > 1 && pid != (long)getpid())
                    (void)kill((pid_t)pid, SIGKILL);
                pid = 0;
            }
        }
    }
    return true;
}

static bool frozen(const char *dir, bool v2)
{
    char text[SMALL];
    if (v2)
        return group_count(dir, "cgroup.events", "frozen", 0) == 1;
    (void)group_read(dir, "freezer.state", text);
    return strncmp(text, "FROZEN", 6) == 0;
}

/* Where there is no cgroup.kill: nobody can fork while frozen, so one pass gets them all. */
static void kill_frozen(const char *dir, bool v2)
{
    const char *file = v2 ? "cgroup.freeze" : "freezer.state";
    (void)group_write(dir, file, v2 ? "1" : "FROZEN");
    for (int i = 0; i < FREEZE_MS && !frozen(dir, v2); i++)
        (void)poll(NULL, 0, PAUSE_MS);
    (void)each_below(dir, 0, kill_listed, NULL);
    (void)group_write(dir, file, v2 ? "0" : "THAWED");
}

void group_kill(const char *dir)
{
    if (group_write(dir, "cgroup.kill", "1") == 0)
        return;
    if (group_empty(dir))
        return;
    if (group_has(dir, "cgroup.freeze"))
        kill_frozen(dir, true);
    else if (group_has(dir, "freezer.state"))
        kill_frozen(dir, false);
    else
        (void)each_below(dir, 0, kill_listed, NULL);
}

static bool has_process(void *self, const char *dir)
{
    char text[SMALL];
    (void)self;
    return group_read(dir, "cgroup.procs", text) ? text[0] != '\0' : !group_gone();
}

bool group_empty(const char *dir)
{
    return each_below(dir, 0, has_process, NULL) == 0;
}

static bool remove_one(void *self, const char *dir)
{
    const cgroup_sys *sys = self;
    return sys->remove(dir) == 0;
}

/* Kills until nothing is in it and it can be removed. */
static int group_end(const cgroup_sys *sys, const char *dir, pw_usec wait)
{
    pw_usec until = pw_now(&pw_host_real) + wait;
    for (;;) {
        if (sys->remove(dir) == 0 || errno == ENOENT)
            return 0;
        if (errno != EBUSY && errno != ENOTEMPTY)
            return -1;
        group_kill(dir);
        (void)each_below(dir, 0, remove_one, (void *)(uintptr_t)sys);
        if (access(dir, F_OK) < 0)
            return 0;
        if (pw_now(&pw_host_real) >= until) {
            errno = EBUSY;
            return -1;
        }
        (void)poll(NULL, 0, PAUSE_MS);
    }
}

int cgroup_kill_at(const cgroup_sys *sys, const char *base, const char *name, pw_usec wait,
                   pw_err *err)
{
    PW_AUTO(pw_freep) char *dir = group_path(base, name);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1024 * 1024);
    PW_AUTO(pw_freep) char *procs = dir ? group_path(dir, "cgroup.procs") : NULL;
    int count = 0;
    if (!procs)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (access(dir, F_OK) < 0)
        return 0;
    if (pw_fs_read(procs, b.max, &b, NULL) == 0)
        for (size_t i = 0; i < b.len; i++)
            count += b.p[i] == '\n';
    if (group_end(sys, dir, wait) < 0)
        return pw_fail_sys(err, "removing the control group %s", dir);
    return count;
}

/* ---- one job */

bool cgroup_name(const char *spool_id, const char *job, char out[CGROUP_NAME])
{
    int n = snprintf(out, CGROUP_NAME, "pawl-%.*s-%s", CGROUP_ID, spool_id, job);
    return n > 0 && n < CGROUP_NAME;
}

static int set_limit(const char *dir, const char *file, uint64_t value, pw_err *err)
{
    char number[24];
    (void)snprintf(number, sizeof(number), "%" PRIu64, value);
    return group_write(dir, file, number) < 0
               ? pw_fail_sys(err, "writing %s to %s/%s", number, dir, file)
               : 0;
}

/* Swap is no way around the limit; where the kernel does not count it there is nothing to set. */
static int limit_memory(cgroup_job *g, uint64_t bytes, pw_err *err)
{
    const char *v2 = g->dir[CGROUP_UNIFIED], *v1 = g->dir[CGROUP_MEMORY];
    int rc;
    if (v1) {
        rc = set_limit(v1, "memory.limit_in_bytes", bytes, err);
        if (rc == 0 && group_has(v1, "memory.memsw.limit_in_bytes"))
            rc = set_limit(v1, "memory.memsw.limit_in_bytes", bytes, err);
    } else {
        rc = set_limit(v2, "memory.max", bytes, err);
        if (rc == 0 && group_has(v2, "memory.swap.max"))
            rc = set_limit(v2, "memory.swap.max", 0, err);
    }
    g->memory = rc == 0;
    return rc;
}

static int limit_processes(cgroup_job *g, uint64_t n, pw_err *err)
{
    const char *dir = g->dir[CGROUP_PIDS] ? g->dir[CGROUP_PIDS] : g->dir[CGROUP_UNIFIED];
    if (!dir || !group_has(dir, "pids.max"))
        return 0; /* by default, and v1 would have to hold it: the caller counts */
    int rc = set_limit(dir, "pids.max", n, err);
    g->processes = rc == 0;
    return rc;
}

/* Only what this job needs: each folder costs 0.04 to 0.1 ms. */
static bool wanted(const cgroup_host *h, cgroup_tree t, const cgroup_limits *limits)
{
    if (!h->base[t])
        return false;
    if (t == CGROUP_MEMORY)
        return limits->memory > 0;
    if (t == CGROUP_PIDS) /* it also lists them, where nothing better does */
        return (limits->processes > 0 && !limits->by_default) ||
               (!h->base[CGROUP_UNIFIED] && !h->base[CGROUP_FREEZER]);
    return true;
}

static int make_one(cgroup_job *g, cgroup_tree t, const char *base, const char *name, pw_err *err)
{
    PW_AUTO(pw_freep) char *dir = group_path(base, name);
    PW_AUTO(pw_freep) char *procs = dir ? group_path(dir, "cgroup.procs") : NULL;
    if (!procs)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    bool old = false;
    if (g->sys->make(dir) < 0) {
        if (errno != EEXIST)
            return pw_fail_sys(err, "making the control group %s", dir);
        group_kill(dir);
        old = true;
    }
    int fd = open(procs, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        int rc = pw_fail_sys(err, "opening %s", procs);
        (void)g->sys->remove(dir);
        return rc;
    }
    if (t == CGROUP_UNIFIED && !old) {
        int into = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        g->into = into > 0 ? into : 0; /* without it the process enters later */
    }
    g->join[g->joins++] = fd;
    g->join[g->joins] = -1;
    g->dir[t] = pw_take(dir);
    return 0;
}

int cgroup_job_open(const cgroup_host *h, const char *name, const cgroup_limits *limits,
                    cgroup_job *ret, pw_err *err)
{
    cgroup_job g = {.sys = h->sys, .join = {-1}};
    int rc = 0;
    for (int t = 0; t < CGROUP_TREES && rc == 0; t++)
        if (wanted(h, (cgroup_tree)t, limits))
            rc = make_one(&g, (cgroup_tree)t, h->base[t], name, err);
    if (rc == 0 && limits->memory && h->memory)
        rc = limit_memory(&g, limits->memory, err);
    if (rc == 0 && limits->processes && h->processes)
        rc = limit_processes(&g, limits->processes, err);
    if (rc < 0) {
        (void)cgroup_job_close(&g, 0);
        return rc;
    }
    (void)cgroup_job_met(&g); /* one that is used again has been counting */
    *ret = g;
    return 0;
}

/* The folder whose killing gets all: they stand in all of them. */
static const char *killer(const cgroup_job *g)
{
    for (int t = 0; t < CGROUP_TREES; t++)
        if (g->dir[t])
            return g->dir[t];
    return NULL;
}

static void forget_into(cgroup_job *g)
{
    if (g->into > 0)
        (void)close(g->into);
    g->into = 0;
}

void cgroup_job_kill(cgroup_job *g)
{
    const char *dir = killer(g);
    /* an empty one is left alone, so that programs can still be born in it */
    if (!dir || (g->into > 0 && group_has(dir, "cgroup.events") &&
                 group_count(dir, "cgroup.events", "populated", 1) == 0))
        return;
    forget_into(g);
    group_kill(dir);
}

bool cgroup_job_empty(const cgroup_job *g)
{
    const char *dir = killer(g);
    return !dir || group_empty(dir);
}

cgroup_met cgroup_job_met(cgroup_job *g)
{
    cgroup_met met = {false, false};
    if (g->memory) {
        const char *v1 = g->dir[CGROUP_MEMORY];
        uint64_t n =
            v1 ? group_count(v1, "memory.oom_control", "oom_kill", g->oom_seen)
               : group_count(g->dir[CGROUP_UNIFIED], "memory.events", "oom_kill", g->oom_seen);
        met.memory = n > g->oom_seen;
        g->oom_seen = n;
    }
    if (g->processes) {
        const char *dir = g->dir[CGROUP_PIDS] ? g->dir[CGROUP_PIDS] : g->dir[CGROUP_UNIFIED];
        uint64_t n = group_count(dir, "pids.events", "max", g->max_seen);
        met.processes = n > g->max_seen;
        g->max_seen = n;
    }
    return met;
}

bool cgroup_job_close(cgroup_job *g, pw_usec wait)
{
    bool gone = true;
    forget_into(g);
    while (g->joins > 0)
        pw_closep(&g->join[--g->joins]);
    for (int t = 0; t < CGROUP_TREES; t++) {
        if (g->dir[t] && group_end(g->sys, g->dir[t], wait) < 0)
            gone = false;
        free(g->dir[t]);
        g->dir[t] = NULL;
    }
    return gone;
}

int cgroup_list(const char *base, const char *spool_id, cgroup_each *each, void *self)
{
    char prefix[CGROUP_NAME];
    PW_AUTO(close_dir) DIR *d = opendir(base);
    const struct dirent *e;
    int n = 0;
    if (!cgroup_name(spool_id, "", prefix))
        return 0;
    size_t len = strlen(prefix);
    while (d && (e = readdir(d))) {
        if (strncmp(e->d_name, prefix, len) != 0)
            continue;
        n++;
        if (each)
            each(self, base, e->d_name, e->d_name + len);
    }
    return n;
}
