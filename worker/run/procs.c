#include "worker/run/procs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shared/base/fs.h"

enum {
    PROC_PATH = 64,
    PROC_STAT = 512,
    IO_BLOCK = 512,   /* what the kernel counts rusage's blocks in, whatever the disk's are */
    STOP_ROUNDS = 50, /* a tree that forks all the time stands after three or four */
};

void procs_list_clear(procs_list *l)
{
    free(l->v);
    *l = (procs_list){0};
}

bool procs_list_has(const procs_list *l, pid_t pid)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i] == pid)
            return true;
    return false;
}

bool procs_list_add(procs_list *l, pid_t pid)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 32;
        pid_t *v = cap <= PROCS_MAX ? realloc(l->v, cap * sizeof(*v)) : NULL;
        if (!v)
            return false;
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = pid;
    return true;
}

void procs_list_drop(procs_list *l, pid_t pid)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i] == pid) {
            l->v[i] = l->v[--l->n];
            return;
        }
}

void procs_add_usage(procs_usage *u, const struct rusage *r)
{
    uint64_t rss = (uint64_t)r->ru_maxrss * 1024;
    u->cpu_us += (uint64_t)r->ru_utime.tv_sec * 1000000 + (uint64_t)r->ru_utime.tv_usec;
    u->cpu_us += (uint64_t)r->ru_stime.tv_sec * 1000000 + (uint64_t)r->ru_stime.tv_usec;
    if (rss > u->max_rss)
        u->max_rss = rss;
    u->read_bytes += (uint64_t)r->ru_inblock * IO_BLOCK;
    u->write_bytes += (uint64_t)r->ru_oublock * IO_BLOCK;
}

/* "PID (comm) S PPID ..." where comm may hold anything, ')' too. */
static bool proc_stat(pid_t pid, char name[PROCS_NAME + 1], char *state, pid_t *parent)
{
    char path[PROC_PATH], text[PROC_STAT];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    PW_AUTO(pw_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n <= 0)
        return false;
    text[n] = '\0';
    char *from = strchr(text, '('), *to = strrchr(text, ')');
    if (!from || !to || to < from || to[1] != ' ' || !to[2])
        return false;
    size_t len = (size_t)(to - from) - 1;
    if (len > PROCS_NAME)
        len = PROCS_NAME;
    memcpy(name, from + 1, len);
    name[len] = '\0';
    *state = to[2];
    *parent = (pid_t)strtol(to + 3, NULL, 10);
    return true;
}

bool procs_name(pid_t pid, char name[PROCS_NAME + 1])
{
    char state = 0;
    pid_t parent;
    if (!proc_stat(pid, name, &state, &parent)) {
        memcpy(name, "?", 2);
        return false;
    }
    for (char *p = name; *p; p++)
        if ((unsigned char)*p < ' ')
            *p = '?';
    return state != 'Z' && state != 'X';
}

/* Of what could not be opened: that the process is gone, which is no loss. */
static bool is_gone(void)
{
    return errno == ENOENT || errno == ESRCH;
}

/* The pids in one file, "12 13 14 ". Returns -1 when it cannot be opened, 0 when not all fitted. */
static int read_pids(const char *path, procs_list *l)
{
    PW_AUTO(pw_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[4096];
    long pid = 0;
    int rc = 1;
    if (fd < 0)
        return -1;
    for (;;) {
        ssize_t n = read(fd, text, sizeof(text));
        if (n <= 0)
            return rc;
        for (ssize_t i = 0; i < n; i++) {
            if (text[i] >= '0' && text[i] <= '9') {
                pid = pid * 10 + (text[i] - '0');
            } else if (pid) {
                if (!procs_list_add(l, (pid_t)pid))
                    rc = 0;
                pid = 0;
            }
        }
    }
}

static void close_dir(DIR **d)
{
    if (*d)
        (void)closedir(*d);
}

static pid_t dir_pid(const struct dirent *e)
{
    char *end;
    long pid = strtol(e->d_name, &end, 10);
    return *end == '\0' && pid > 0 ? (pid_t)pid : 0;
}

/* Without the children file: everybody's parent. */
static bool scan_children(pid_t pid, procs_list *l)
{
    PW_AUTO(close_dir) DIR *d = opendir("/proc");
    struct dirent *e;
    char name[PROCS_NAME + 1], state;
    if (!d)
        return false;
    while ((e = readdir(d))) {
        pid_t p = dir_pid(e), parent = 0;
        if (p && proc_stat(p, name, &state, &parent) && parent == pid && !procs_list_add(l, p))
            return false;
    }
    return true;
}

/* A thread's children are listed with the thread that made them. */
static bool thread_children(pid_t pid, procs_list *l)
{
    char path[PROC_PATH];
    bool fits = true;
    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    PW_AUTO(close_dir) DIR *d = opendir(path);
    struct dirent *e;
    if (!d)
        return is_gone();
    while ((e = readdir(d))) {
        pid_t tid = dir_pid(e);
        (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)tid);
        int rc = tid ? read_pids(path, l) : 1;
        if (rc == 0 || (rc < 0 && !is_gone()))
            fits = false;
    }
    return fits;
}

bool procs_children(pid_t pid, procs_list *l)
{
    char path[PROC_PATH];
    if (pid == getpid()) {
        (void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)pid);
        int rc = read_pids(path, l);
        return rc < 0 ? scan_children(pid, l) : rc > 0;
    }
    if (access("/proc/thread-self/children", F_OK) < 0)
        return scan_children(pid, l);
    return thread_children(pid, l);
}

bool procs_tree(procs_list *l)
{
    size_t from = l->n;
    bool fits = procs_children(getpid(), l);
    for (size_t i = from; i < l->n; i++)
        fits = procs_children(l->v[i], l) && fits;
    return fits;
}

void procs_signal_tree(int signo)
{
    PW_AUTO(procs_list_clear) procs_list l = {0};
    (void)procs_tree(&l);
    for (size_t i = 0; i < l.n; i++)
        (void)kill(l.v[i], signo);
}

/* False: no child is left. */
static bool reap(procs_usage *u)
{
    struct rusage r;
    int status;
    pid_t pid;
    while ((pid = wait4(-1, &status, WNOHANG, &r)) > 0 || (pid < 0 && errno == EINTR))
        if (pid > 0)
            procs_add_usage(u, &r);
    return pid == 0;
}

pid_t procs_group(pid_t pid)
{
    pid_t group = getpgid(pid), session = getsid(pid), mine = getsid(0);
    bool ours = session > 0 && (session != mine || mine == getpid());
    return group > 1 && group != getpgrp() && ours ? group : 0;
}

/* A bomb keeps all processors busy, and each look at a process has to wait for its turn: most of it
 * is stopped by one call a group. */
static void stop_groups(void)
{
    PW_AUTO(procs_list_clear) procs_list l = {0};
    pid_t last = 0;
    (void)procs_children(getpid(), &l);
    for (size_t i = 0; i < l.n; i++) {
        pid_t group = procs_group(l.v[i]);
        if (group && group != last)
            (void)kill(-group, SIGSTOP);
        last = group;
    }
}

/* STOP to all that are not stopped or dead. Returns how many were met. */
static size_t stop_round(void)
{
    PW_AUTO(procs_list_clear) procs_list l = {0};
    char name[PROCS_NAME + 1], state;
    size_t met = 0;
    pid_t parent;
    (void)procs_tree(&l);
    for (size_t i = 0; i < l.n; i++)
        if (proc_stat(l.v[i], name, &state, &parent) && !strchr("TtZX", state)) {
            (void)kill(l.v[i], SIGSTOP);
            met++;
        }
    return met;
}

static void stop_tree(void)
{
    stop_groups();
    for (int i = 0; i < STOP_ROUNDS && stop_round() > 0; i++)
        ;
}

void procs_kill_tree(cgroup_job *group)
{
    cgroup_job_kill(group);
    if (!cgroup_job_any(group))
        stop_tree();
    procs_signal_tree(SIGKILL); /* also those that left their group */
}

/* The first process of a pid name space: a part of the isolation, not of the step. It reaps what
 * the step leaves, and is still there for a moment when the step itself has ended. */
static bool is_init(pid_t pid)
{
    char path[PROC_PATH], text[4096];
    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    PW_AUTO(pw_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n <= 0)
        return false;
    text[n] = '\0';
    const char *ids = strstr(text, "\nNSpid:\t");
    if (!ids)
        return false;
    ids += 8;
    size_t len = strcspn(ids, "\n");
    return len > 2 && memcmp(ids + len - 2, "\t1", 2) == 0;
}

/* All that live now, told before they are killed: then their names are gone. */
static void tell(procs_list *told, procs_seen *seen, void *self)
{
    PW_AUTO(procs_list_clear) procs_list l = {0};
    char name[PROCS_NAME + 1];
    (void)procs_tree(&l);
    for (size_t i = 0; i < l.n; i++)
        if (procs_name(l.v[i], name) && !is_init(l.v[i]) && !procs_list_has(told, l.v[i]) &&
            procs_list_add(told, l.v[i]))
            seen(self, l.v[i], name, true);
}

bool procs_sweep(const pw_host *clock, cgroup_job *group, procs_usage *u, procs_seen *seen,
                 void *self)
{
    PW_AUTO(procs_list_clear) procs_list told = {0};
    const struct timespec wait = {.tv_nsec = 50 * 1000 * 1000};
    pw_usec until = 0;
    sigset_t child;
    while (reap(u)) {
        pw_usec now = pw_now(clock);
        if (!until)
            until = now + PROCS_SWEEP_US;
        if (now >= until)
            break;
        if (!cgroup_job_any(group))
            stop_groups();
        tell(&told, seen, self);
        procs_kill_tree(group);
        (void)sigemptyset(&child);
        (void)sigaddset(&child, SIGCHLD);
        /* wakes at once when a child dies; the time-out is for children that were adopted meanwhile
         */
        (void)sigtimedwait(&child, NULL, &wait);
    }
    cgroup_job_kill(group); /* somebody may have put a process there that is no child of ours */
    if (!until || !reap(u))
        return true;
    PW_AUTO(procs_list_clear) procs_list left = {0};
    (void)procs_children(getpid(), &left);
    for (size_t i = 0; i < left.n; i++) {
        char name[PROCS_NAME + 1];
        (void)procs_name(left.v[i], name);
        seen(self, left.v[i], name, false);
    }
    return false;
}

static bool holds(pid_t pid, const struct stat *pipe)
{
    char path[PROC_PATH];
    (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    PW_AUTO(close_dir) DIR *d = opendir(path);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        struct stat st;
        if (e->d_name[0] != '.' && fstatat(dirfd(d), e->d_name, &st, 0) == 0 &&
            st.st_dev == pipe->st_dev && st.st_ino == pipe->st_ino)
            return true;
    }
    return false;
}

pid_t procs_pipe_holder(int fd)
{
    struct stat pipe;
    PW_AUTO(close_dir) DIR *d = opendir("/proc");
    struct dirent *e;
    if (fstat(fd, &pipe) < 0)
        return 0;
    while (d && (e = readdir(d))) {
        pid_t pid = dir_pid(e);
        if (pid && pid != getpid() && holds(pid, &pipe))
            return pid;
    }
    return 0;
}
