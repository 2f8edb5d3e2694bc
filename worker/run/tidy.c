#include "worker/run/tidy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/fault.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"
#include "worker/run/kept.h"
#include "worker/run/workdir.h"

enum { DIRS_MAX = 100000, DEPTH = 3 }; /* work/PROJECT/BUILDER/N */

typedef struct dirs {
    tidy_dir *v; /* owned */
    size_t n, cap;
} dirs;

static void dirs_clear(dirs *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i].path);
    free(l->v);
    *l = (dirs){0};
}

static bool number(const char *s)
{
    return s[0] && strspn(s, "0123456789") == strlen(s);
}

/* When it was used last: the time of its lock file, which every job touches. */
static int64_t used(const char *dir)
{
    PW_AUTO(pw_freep) char *lock = pw_strf("%s.lock", dir);
    struct stat st;
    return lock && stat(lock, &st) == 0
               ? (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000
               : 0;
}

static int push(dirs *l, char *path, pw_err *err)
{
    PW_AUTO(pw_freep) char *mine = path;
    if (l->n == DIRS_MAX)
        return 0;
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        tidy_dir *v = realloc(l->v, cap * sizeof(*v));
        if (!v)
            return pw_fail(err, PW_ENOMEM, "out of memory");
        l->v = v;
        l->cap = cap;
    }
    tidy_dir d = {.used_ms = used(mine), .until_ms = kept_until(mine)};
    d.path = pw_take(mine);
    l->v[l->n++] = d;
    return 0;
}

/* Folders only: what a job made a link of is not followed. */
static int list(const char *dir, int depth, dirs *l, pw_err *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;
    int rc = 0;
    if (!d) {
        rc = fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
                 ? 0
                 : pw_fail_sys(err, "reading %s", dir);
        pw_closep(&fd);
        return rc;
    }
    while (rc == 0 && (e = readdir(d))) {
        struct stat st;
        if (e->d_name[0] == '.' || (depth == DEPTH && !number(e->d_name)) ||
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
            continue;
        char *path = pw_path_join(dir, e->d_name);
        if (!path) {
            rc = pw_fail(err, PW_ENOMEM, "out of memory");
        } else if (depth == DEPTH) {
            rc = push(l, path, err);
        } else {
            rc = list(path, depth + 1, l, err);
            free(path);
        }
    }
    (void)closedir(d);
    return rc;
}

static int by_use(const void *pa, const void *pb)
{
    const tidy_dir *a = pa, *b = pb;
    if (a->used_ms != b->used_ms)
        return a->used_ms < b->used_ms ? -1 : 1;
    return strcmp(a->path, b->path);
}

bool tidy_over(const tidy_dir *d, int64_t now)
{
    return d->until_ms <= (uint64_t)now && d->used_ms + TIDY_UNUSED_MS <= now;
}

/* 1: gone, 0: somebody is in it. What is left of one that was cut off goes next time. */
static int drop(const tidy_dir *d, const char *why, pw_err *err)
{
    PW_AUTO(pw_freep) char *tmp = pw_strf("%s.tmp", d->path);
    PW_AUTO(pw_closep) int lock = workdir_lock(d->path, NULL);
    if (!tmp)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (lock < 0)
        return 0;
    (void)pw_fault("tidy.remove");
    int rc = pw_fs_remove_tree(d->path, err);
    if (rc == 0)
        rc = pw_fs_remove_tree(tmp, err);
    if (rc < 0)
        return rc;
    kept_drop(d->path);
    /* whose it was is of no use now, and the time of its lock says when it went */
    if (ftruncate(lock, 0) < 0)
        return pw_fail_sys(err, "emptying the lock of %s", d->path);
    pw_log(PW_LOG_INFO, "workdir_removed", "dir=%s reason=\"%s\"", d->path, why);
    return 1;
}

int tidy_spool(const pw_host *clock, const char *spool, uint64_t low_disk, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(spool, "tidy.lock");
    PW_AUTO(pw_freep) char *work = pw_path_join(spool, "work");
    PW_AUTO(dirs_clear) dirs l = {0};
    pw_err why = {0};
    int removed = 0;
    if (!path || !work)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    PW_AUTO(pw_closep) int lock = pw_fs_lock(path, &why);
    if (lock == PW_EAGAIN)
        return 0;
    if (lock < 0) {
        if (err)
            *err = why;
        return lock;
    }
    int rc = list(work, 1, &l, err);
    if (l.n)
        qsort(l.v, l.n, sizeof(*l.v), by_use);
    for (size_t i = 0; i < l.n && rc == 0; i++) {
        int64_t left = low_disk ? pw_fs_free(spool) : -1;
        bool low = left >= 0 && (uint64_t)left < low_disk, over;
        over = tidy_over(&l.v[i], pw_wall(clock));
        if (!low && !over)
            continue;
        int gone = drop(&l.v[i], over ? "not used for 14 days" : "low disk", &why);
        if (gone < 0)
            pw_log_err(PW_LOG_WARN, "workdir_not_removed", &why);
        else
            removed += gone;
    }
    return rc < 0 ? rc : removed;
}
