#include "worker/agent/orphans.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "worker/spool/spool.h"

/* The entry that the runner sets for its steps, with its zero byte. */
typedef struct mark {
    const char *text;
    size_t n;
} mark;

enum {
    BLOCK = 32768,
    ROUNDS = 10, /* a tree that forks while it is killed is met again */
};

static bool is_mark(const mark *m, const char *entry, size_t n)
{
    return n == m->n && !memcmp(entry, m->text, n);
}

/* Whether a whole entry of the environment is the mark. */
static bool has_entry(int fd, const mark *m, char *block)
{
    size_t have = 0;
    bool at_start = true; /* the block begins where an entry begins */
    for (;;) {
        ssize_t r = read(fd, block + have, BLOCK - have);
        if (r <= 0)
            return false;
        have += (size_t)r;
        size_t at = 0;
        for (;;) {
            char *end = memchr(block + at, '\0', have - at);
            if (!end)
                break;
            size_t len = (size_t)(end - (block + at)) + 1;
            if (at_start && is_mark(m, block + at, len))
                return true;
            at_start = true;
            at += len;
        }
        have -= at;
        memmove(block, block + at, have);
        if (have == BLOCK) { /* one entry longer than the block: none of ours */
            have = 0;
            at_start = false;
        }
    }
}

/* ---- all processes of a moment */

typedef struct proc {
    pid_t pid, parent;
    uint64_t born; /* with the pid it names one process for good */
    bool ours;
} proc;

typedef struct procs {
    proc *v; /* owned */
    size_t n, cap;
} procs;

static void procs_clear(procs *l)
{
    free(l->v);
}

/* "PID (name) S PARENT ...", the 22nd field is when it began; the name may hold anything. */
static bool read_stat(pid_t pid, proc *ret)
{
    char path[64], text[1024];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    PW_AUTO(pw_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n <= 0)
        return false;
    text[n] = '\0';
    char *p = strrchr(text, ')');
    if (!p || p[1] != ' ' || !p[2])
        return false;
    p += 3;
    *ret = (proc){.pid = pid, .parent = (pid_t)strtol(p, &p, 10)};
    for (int field = 5; field < 22; field++)
        (void)strtoll(p, &p, 10);
    ret->born = strtoull(p, NULL, 10);
    return true;
}

static bool marked(pid_t pid, const mark *m, char *block)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
    PW_AUTO(pw_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && has_entry(fd, m, block);
}

static bool add(procs *l, const proc *p)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 256;
        proc *v = realloc(l->v, cap * sizeof(*v));
        if (!v)
            return false;
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = *p;
    return true;
}

static void look(const mark *m, char *block, procs *l)
{
    DIR *d = opendir("/proc");
    const struct dirent *e;
    while (d && (e = readdir(d))) {
        char *end;
        proc p;
        long pid = strtol(e->d_name, &end, 10);
        if (*end || pid <= 1 || pid == (long)getpid() || !read_stat((pid_t)pid, &p))
            continue;
        p.ours = marked(p.pid, m, block);
        if (!add(l, &p))
            break;
    }
    if (d)
        (void)closedir(d);
}

static bool parent_ours(const procs *l, const proc *p)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].ours && l->v[i].pid == p->parent)
            return true;
    return false;
}

/* One that emptied its environment is still the child of one that did not. */
static void add_descendants(procs *l)
{
    bool more = true;
    while (more) {
        more = false;
        for (size_t i = 0; i < l->n; i++)
            if (!l->v[i].ours && parent_ours(l, &l->v[i]))
                l->v[i].ours = more = true;
    }
}

static int kill_round(const mark *m, char *block)
{
    PW_AUTO(procs_clear) procs l = {NULL, 0, 0};
    int killed = 0;
    look(m, block, &l);
    add_descendants(&l);
    for (size_t i = 0; i < l.n; i++) {
        proc now;
        if (!l.v[i].ours)
            continue;
        /* the handle first: then the process that is looked at is the one that is killed */
        PW_AUTO(pw_closep) int handle = (int)syscall(SYS_pidfd_open, l.v[i].pid, 0);
        if (handle >= 0 && read_stat(l.v[i].pid, &now) && now.born == l.v[i].born)
            killed += syscall(SYS_pidfd_send_signal, handle, SIGKILL, NULL, 0) == 0;
    }
    return killed;
}

int orphans_kill(const char *job)
{
    PW_AUTO(pw_freep) char *own = pw_strf("PAWL_JOB=%s", job);
    PW_AUTO(pw_freep) char *block = malloc(BLOCK);
    if (!block || !own)
        return 0;
    mark m = {own, strlen(own) + 1};
    int total = 0;
    for (int i = 0; i < ROUNDS; i++) {
        int killed = kill_round(&m, block);
        if (!killed)
            break;
        total += killed; /* one that is dying may be counted again */
    }
    return total;
}
