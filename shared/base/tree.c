/* Removing a tree. The tree may be hostile (a job's workspace): any depth, folders that forbid
 * everything, links, and processes that still move things about. So nothing here recurses, no more
 * than OPEN_MAX_ folders are open at once, and no name is used but beneath an open folder and
 * without following links. */
#include "shared/base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OPEN_MAX_                                                                                  \
    32 /* folders open at once; deeper ones are closed and found again through ".."                \
        */
#define DEPTH_MAX 1000000u /* levels: bounds the memory (about 100 bytes a level) */
#define AGAIN_MAX                                                                                  \
    1000u /* folders that were filled again while they were removed, before it gives up */

struct level {
    DIR *d;     /* owned; NULL while closed */
    char *name; /* owned: its name in the level above; NULL for the top */
    dev_t dev;
    ino_t ino;
};

struct walk {
    const char *path;
    struct level *levels; /* owned */
    size_t depth, cap;
    unsigned again;
};

static void walk_pop(struct walk *w)
{
    struct level *l = &w->levels[--w->depth];

    if (l->d)
        (void)closedir(l->d);
    free(l->name);
}

static void walk_clear(struct walk *w)
{
    while (w->depth > 0)
        walk_pop(w);
    free(w->levels);
}

static int tree_fail(const struct walk *w, const char *name, pw_err *err)
{
    return pw_fail_sys(err, "removing \"%.100s\" in \"%.200s\"", name, w->path);
}

/* Opens a folder without following a link and without entering another mount (which holds somebody
 * else's files). */
static int open_here(int at, const char *name)
{
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                           .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
    long fd = syscall(SYS_openat2, at, name, &how, sizeof(how));

    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return (int)fd;
}

/* Opens a folder even if it forbids that to its owner, and lets us change it. */
static int open_dir(int at, const char *name, bool top)
{
    struct stat st;
    int fd = -1;

    for (int i = 0; i < 2 && fd < 0; i++) {
        if (top) /* the top may lie behind links and mounts, it is the caller's own word */
            fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        else
            fd = open_here(at, name);
        if (fd < 0 && (errno != EACCES || i > 0))
            return -1;
        if (fd < 0 && fchmodat(at, name, 0700, AT_SYMLINK_NOFOLLOW) < 0)
            return -1;
    }
    if (fstat(fd, &st) == 0 && (st.st_mode & 0700) != 0700)
        (void)fchmod(fd, 0700); /* another owner's: the unlink will tell */
    return fd;
}

/* Enters a folder. 0, or negative with errno set and nothing changed. fd is taken. */
static int walk_push(struct walk *w, int fd, const char *name)
{
    struct level l = {.d = NULL};
    struct stat st;

    if (w->depth == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 16;
        struct level *more = NULL;
        if (cap <= DEPTH_MAX)
            more = realloc(w->levels, cap * sizeof(*more));
        if (!more)
            goto fail;
        w->levels = more;
        w->cap = cap;
    }
    if (fstat(fd, &st) < 0)
        goto fail;
    l.dev = st.st_dev;
    l.ino = st.st_ino;
    if (name) {
        l.name = strdup(name);
        if (!l.name)
            goto fail;
    }
    l.d = fdopendir(fd);
    if (!l.d) {
        free(l.name);
        goto fail;
    }
    w->levels[w->depth++] = l;
    if (w->depth > OPEN_MAX_ && w->levels[w->depth - 1 - OPEN_MAX_].d) {
        struct level *far = &w->levels[w->depth - 1 - OPEN_MAX_];
        (void)closedir(far->d);
        far->d = NULL;
    }
    return 0;
fail:
    if (errno == 0)
        errno = ENOMEM;
    pw_closep(&fd);
    return -1;
}

/* Takes "immutable" and "append only" away, which root may set and which outlive their job. True
 * when one was there. */
static bool release_fd(int fd)
{
    int flags = 0;

    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 || !(flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)))
        return false;
    flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
    return ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
}

/* The same for a file or folder, and for the folder that holds it. Only plain files are opened: a
 * device would act on that. */
static bool release(int at, const char *name)
{
    bool done = release_fd(at);
    struct stat st;

    if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) {
        PW_AUTO(pw_closep)
        int fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        done = (fd >= 0 && release_fd(fd)) || done;
    }
    return done;
}

/* unlinkat() of what may be protected. */
static int unlink_any(int at, const char *name, int flags)
{
    int sys;

    if (unlinkat(at, name, flags) == 0)
        return 0;
    sys = errno;
    if (sys == EPERM && release(at, name))
        return unlinkat(at, name, flags);
    errno = sys;
    return -1;
}

/* Opens the level above the innermost one again. It must be the folder we came from: a process of
 * the job may have moved the inner one elsewhere meanwhile, and ".." would lead out of the tree. */
static int reopen_above(struct walk *w)
{
    struct level *l = &w->levels[w->depth - 1], *above = l - 1;
    PW_AUTO(pw_closep) int fd = -1;
    struct stat st;

    fd = openat(dirfd(l->d), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -1;
    if (st.st_dev != above->dev || st.st_ino != above->ino) {
        errno = EBUSY;
        return -1;
    }
    above->d = fdopendir(fd);
    if (!above->d)
        return -1;
    fd = -1;
    return 0;
}

/* The innermost folder is empty: leaves and removes it. */
static int walk_leave(struct walk *w, pw_err *err)
{
    struct level *l = &w->levels[w->depth - 1], *above = l - 1;

    if (!above->d && reopen_above(w) < 0)
        return tree_fail(w, l->name, err);
    if (unlink_any(dirfd(above->d), l->name, AT_REMOVEDIR) < 0 && errno != ENOENT) {
        if ((errno != ENOTEMPTY && errno != EEXIST) || ++w->again > AGAIN_MAX)
            return tree_fail(w, l->name, err);
        rewinddir(l->d); /* somebody filled it, or the listing skipped what moved: look again */
        return 0;
    }
    walk_pop(w);
    return 0;
}

static int walk_entry(struct walk *w, const char *name, pw_err *err)
{
    int at = dirfd(w->levels[w->depth - 1].d);
    int fd;

    if (unlink_any(at, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return tree_fail(w, name, err);
    fd = open_dir(at, name, false);
    if (fd < 0) {
        if (errno == ENOENT)
            return 0;
        if (errno == ENOTDIR) /* a file: what the unlink said */
            errno = EPERM;
        return tree_fail(w, name, err);
    }
    errno = 0;
    if (walk_push(w, fd, name) < 0)
        return tree_fail(w, name, err);
    return 0;
}

static int walk_all(struct walk *w, pw_err *err)
{
    int rc = 0;

    while (rc == 0) {
        struct dirent *e;
        errno = 0;
        e = readdir(w->levels[w->depth - 1].d);
        if (!e && errno != 0)
            return tree_fail(w, ".", err);
        if (e && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0))
            continue;
        if (e)
            rc = walk_entry(w, e->d_name, err);
        else if (w->depth == 1)
            break;
        else
            rc = walk_leave(w, err);
    }
    return rc;
}

int pw_fs_remove_tree(const char *path, pw_err *err)
{
    PW_AUTO(walk_clear) struct walk w = {.path = path};
    int fd, rc;

    if (unlink_any(AT_FDCWD, path, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return pw_fail_sys(err, "removing \"%s\"", path);
    fd = open_dir(AT_FDCWD, path, true);
    errno = fd < 0 ? errno : 0;
    if (fd < 0 || walk_push(&w, fd, NULL) < 0)
        return pw_fail_sys(err, "opening folder \"%s\"", path);
    for (;;) {
        rc = walk_all(&w, err);
        if (rc < 0)
            return rc;
        if (unlink_any(AT_FDCWD, path, AT_REMOVEDIR) == 0 || errno == ENOENT)
            return 0;
        if ((errno != ENOTEMPTY && errno != EEXIST) || ++w.again > AGAIN_MAX)
            return pw_fail_sys(err, "removing folder \"%s\"", path);
        rewinddir(w.levels[0].d);
    }
}
