/* users.c - users of jobs: taken, ended, given files. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shared/base/buf.h"
#include "shared/base/fs.h"
#include "worker/isolate/isolate.h"

enum { KILL_ROUNDS = 100, KILL_PAUSE_US = 20000, DEPTH_MAX = 200, TABLE_MAX = 4 * 1024 * 1024 };

/* ---- the end of a user */

/* The n-th number of a line, from 0 on. */
static uint64_t field(const char *p, int n)
{
    char *end;
    while (n-- > 0) {
        (void)strtoll(p, &end, 10);
        p = end;
    }
    return strtoull(p, NULL, 10);
}

/* In a process of its own that is that user: whatever it does, it does not do as root. */
static int as_user(const iso_user *u, int (*act)(void))
{
    int status;
    pid_t pid = fork();
    if (pid < 0)
        return -1;
    if (pid == 0) {
        if (syscall(SYS_setgroups, (size_t)0, NULL) < 0 ||
            syscall(SYS_setresgid, u->gid, u->gid, u->gid) < 0 ||
            syscall(SYS_setresuid, u->uid, u->uid, u->uid) < 0)
            _exit(100);
        _exit(act());
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* KILL to all that this user may kill, this process apart: at once, so that none can fork away. */
static int kill_all(void)
{
    (void)kill(-1, SIGKILL);
    return 0;
}

/* A process of this user that is not dead, whatever else it may be; 0: none. */
static pid_t living(uid_t uid)
{
    DIR *d = opendir("/proc");
    const struct dirent *e;
    pid_t found = 0;
    while (d && !found && (e = readdir(d))) {
        char *end, path[64], text[1024];
        long pid = strtol(e->d_name, &end, 10);
        if (*end || pid <= 0)
            continue;
        (void)snprintf(path, sizeof(path), "/proc/%ld/status", pid);
        PW_AUTO(pw_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        if (n <= 0)
            continue;
        text[n] = '\0';
        const char *state = strstr(text, "\nState:\t"), *users = strstr(text, "\nUid:\t");
        if (!state || !users || strchr("ZX", state[8]))
            continue;
        /* real, effective, saved */
        for (int i = 0; i < 3; i++)
            if (field(users + 6, i) == uid)
                found = (pid_t)pid;
    }
    if (d)
        (void)closedir(d);
    return found;
}

/* What it left where everybody may write. */
static int remove_files(void)
{
    static const char *const shared[] = {"/tmp", "/var/tmp", "/dev/shm"};
    for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++) {
        DIR *d = opendir(shared[i]);
        const struct dirent *e;
        while (d && (e = readdir(d))) {
            struct stat st;
            if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
                fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
                st.st_uid != geteuid())
                continue;
            PW_AUTO(pw_freep) char *path = pw_path_join(shared[i], e->d_name);
            if (path)
                (void)pw_fs_remove_tree(path, NULL);
        }
        if (d)
            (void)closedir(d);
    }
    return 0;
}

/* shm, sem and msg of the user: the second number of a line is the id. */
static void remove_ipc(const iso_user *u)
{
    static const struct {
        const char *table;
        int uid;
    } kinds[] = {{"/proc/sysvipc/shm", 7}, {"/proc/sysvipc/sem", 4}, {"/proc/sysvipc/msg", 7}};
    for (int k = 0; k < 3; k++) {
        PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(TABLE_MAX);
        if (pw_fs_read(kinds[k].table, TABLE_MAX, &b, NULL) < 0)
            continue;
        const char *line = strchr(pw_buf_str(&b), '\n');
        for (; line && line[1]; line = strchr(line + 1, '\n')) {
            int id = (int)field(line + 1, 1);
            if (field(line + 1, kinds[k].uid) != u->uid)
                continue;
            if (k == 0)
                (void)shmctl(id, IPC_RMID, NULL);
            else if (k == 1)
                (void)semctl(id, 0, IPC_RMID);
            else
                (void)msgctl(id, IPC_RMID, NULL);
        }
    }
}

int iso_user_end(const iso_user *u, pw_err *err)
{
    pid_t left = living(u->uid);
    for (int i = 0; i < KILL_ROUNDS && left; i++) {
        if (as_user(u, kill_all) != 0)
            return pw_fail_sys(err, "becoming user \"%s\" to end what it runs", u->name);
        if ((left = living(u->uid))) /* the kernel takes a moment */
            (void)nanosleep(&(struct timespec){.tv_nsec = KILL_PAUSE_US * 1000L}, NULL);
    }
    if (left)
        return pw_fail(err, PW_EAGAIN, "a process of user \"%s\" does not end, not even by KILL",
                       u->name);
    if (as_user(u, remove_files) != 0)
        return pw_fail_sys(err, "removing what user \"%s\" left", u->name);
    remove_ipc(u);
    return 0;
}

/* ---- taken */

static int take(const char *spool, const iso_user *u, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = pw_strf("%s/users/%u", spool, (unsigned)u->uid);
    return path ? pw_fs_lock(path, err) : pw_fail(err, PW_ENOMEM, "out of memory");
}

int iso_user_take(const iso_host *h, const char *spool, uid_t prefer, const iso_user **ret,
                  pw_err *err)
{
    PW_AUTO(pw_freep) char *dir = pw_path_join(spool, "users");
    size_t first = 0;
    if (!dir)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (!h->n_users)
        return pw_fail(err, PW_EINVAL, "root needs users for isolated jobs, and there are none");
    int rc = pw_fs_mkdirs(dir, 0700, err);
    for (size_t i = 0; i < h->n_users; i++)
        if (prefer && h->users[i].uid == prefer)
            first = i;
    for (size_t i = 0; i < h->n_users && rc == 0; i++) {
        const iso_user *u = &h->users[(first + i) % h->n_users];
        pw_err why = {0};
        int fd = take(spool, u, &why);
        if (fd == PW_EAGAIN)
            continue;
        if (fd >= 0 && (rc = iso_user_end(u, &why)) == PW_EAGAIN) {
            pw_closep(&fd); /* one that hangs in the kernel: another user serves as well */
            rc = 0;
            continue;
        }
        if (fd < 0 || rc < 0) {
            pw_closep(&fd);
            if (err)
                *err = why;
            return why.code;
        }
        *ret = u;
        return fd;
    }
    return rc < 0
               ? rc
               : pw_fail(err, PW_EAGAIN, "all %zu users for isolated jobs are taken", h->n_users);
}

/* ---- given */

typedef struct give {
    const iso_host *h;
    const iso_user *u;
    const char *top;
    dev_t dev;
} give;

/* Whose files become the user's: the agent's own, and those of other users of jobs. A name of a
 * file that lies elsewhere too (a hard link) would give that away. */
static bool may_give(const give *g, const struct stat *st)
{
    bool ours = st->st_uid == geteuid();
    for (size_t i = 0; i < g->h->n_users && !ours; i++)
        ours = st->st_uid == g->h->users[i].uid;
    bool job = ours && st->st_uid != geteuid();
    return ours && st->st_dev == g->dev && (S_ISDIR(st->st_mode) || st->st_nlink == 1 || job);
}

static int give_entries(const give *g, int fd, int depth, pw_err *err);

static int give_one(const give *g, int at, const char *name, int depth, pw_err *err)
{
    struct stat st;
    PW_AUTO(pw_closep) int fd = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return pw_fail_sys(err, "looking at %s in %s", name, g->top);
    if (st.st_uid != g->u->uid || st.st_gid != g->u->gid) {
        if (!may_give(g, &st))
            return pw_fail(err, PW_EDENIED, "%s in %s is not the job's to have", name, g->top);
        /* by the descriptor: what was looked at is what is given */
        if (fchownat(fd, "", g->u->uid, g->u->gid, AT_EMPTY_PATH) < 0)
            return pw_fail_sys(err, "giving %s to user \"%s\"", name, g->u->name);
    }
    if (!S_ISDIR(st.st_mode))
        return 0;
    if (depth >= DEPTH_MAX)
        return pw_fail(err, PW_EDENIED, "%s is more than %d folders deep", g->top, DEPTH_MAX);
    int dir = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return pw_fail_sys(err, "opening %s in %s", name, g->top);
    return give_entries(g, dir, depth + 1, err);
}

/* Takes fd. */
static int give_entries(const give *g, int fd, int depth, pw_err *err)
{
    DIR *d = fdopendir(fd);
    const struct dirent *e;
    int rc = 0;
    if (!d) {
        rc = pw_fail_sys(err, "reading %s", g->top);
        pw_closep(&fd);
        return rc;
    }
    while (rc == 0 && (e = readdir(d)))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            rc = give_one(g, dirfd(d), e->d_name, depth, err);
    (void)closedir(d);
    return rc;
}

int iso_give(const iso_host *h, const char *dir, const iso_user *u, pw_err *err)
{
    struct stat st;
    if (lstat(dir, &st) < 0)
        return pw_fail_sys(err, "looking at %s", dir);
    give g = {h, u, dir, st.st_dev};
    return give_one(&g, AT_FDCWD, dir, 0, err);
}
