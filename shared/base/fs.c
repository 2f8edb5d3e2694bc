#include "shared/base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "shared/base/fault.h"

#define READ_STEP 65536 /* bytes asked for at once when the size of a file is not known (/proc) */

/* A child between fork and exec has its parent's locks: measured up to 20 ms on a busy machine. */
enum { LOCK_SOON_TRIES = 40, LOCK_SOON_MS = 10 };

void pw_closep(int *fd)
{
    int saved = errno;

    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
    errno = saved;
}

/* A full disk is something that callers wait out; the rest is for people. */
static pw_code code_of(int sys)
{
    if (sys == ENOSPC || sys == EDQUOT)
        return PW_EFULL;
    return sys == ENOENT ? PW_ENOTFOUND : PW_ESYS;
}
#define fs_fail(err, ...) pw_fail_at((err), __FILE__, __LINE__, code_of(errno), errno, __VA_ARGS__)

static ssize_t read_some(int fd, void *p, size_t n)
{
    ssize_t got;

    do
        got = read(fd, p, n);
    while (got < 0 && errno == EINTR);
    return got;
}

/* Appends what fd holds, at most `limit` bytes; PW_ELIMIT when there is more. */
static int read_rest(int fd, size_t first, size_t limit, const char *path, pw_buf *b, pw_err *err)
{
    size_t step = first;

    for (;;) {
        size_t want = step < limit ? step : limit;
        char probe = 0, *p = want > 0 ? pw_buf_room(b, want) : &probe;
        ssize_t got;
        if (!p)
            return pw_fail(err, PW_ENOMEM, "out of memory for file \"%s\"", path);
        got = read_some(fd, p, want > 0 ? want : 1);
        if (got < 0)
            return fs_fail(err, "reading file \"%s\"", path);
        if (got == 0)
            return 0;
        if (want == 0)
            return pw_fail(err, PW_ELIMIT, "file \"%s\" is larger than allowed", path);
        b->len += (size_t)got;
        limit -= (size_t)got;
        if ((size_t)got == want)
            step = READ_STEP;
    }
}

int pw_fs_read(const char *path, size_t max, pw_buf *b, pw_err *err)
{
    PW_AUTO(pw_closep) int fd = -1;
    size_t old = b->len, room = b->max - b->len, first = READ_STEP;
    struct stat st;
    int rc;

    if (b->failed)
        return pw_fail(err, PW_ENOMEM, "no buffer for file \"%s\"", path);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return fs_fail(err, "opening file \"%s\"", path);
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size < READ_STEP)
        first = (size_t)st.st_size;
    rc = read_rest(fd, first, max < room ? max : room, path, b, err);
    if (rc < 0)
        b->len = old;
    if (b->p)
        b->p[b->len] = '\0';
    return rc;
}

int pw_fs_write_all(int fd, const void *p, size_t n, pw_err *err)
{
    const char *at = p;

    while (n > 0) {
        ssize_t put = write(fd, at, n);
        if (put < 0 && errno == EAGAIN) {
            struct pollfd pfd = {.fd = fd, .events = POLLOUT};
            (void)poll(&pfd, 1, -1);
            continue;
        }
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return fs_fail(err, "writing %zu bytes", n);
        at += put;
        n -= (size_t)put;
    }
    return 0;
}

int pw_fs_pread_all(int fd, void *p, size_t n, off_t at, pw_err *err)
{
    char *to = p;

    while (n > 0) {
        ssize_t got = pread(fd, to, n, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fs_fail(err, "reading %zu bytes at %lld", n, (long long)at);
        if (got == 0)
            return pw_fail(err, PW_ECORRUPT, "file ends %zu bytes too early, at %lld", n,
                           (long long)at);
        to += got;
        n -= (size_t)got;
        at += got;
    }
    return 0;
}

int pw_fs_sync_dir(const char *path, pw_err *err)
{
    PW_AUTO(pw_closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return fs_fail(err, "opening folder \"%s\"", path);
    if (fsync(fd) < 0 && errno != EINVAL) /* EINVAL: a file system whose folders need no sync */
        return fs_fail(err, "syncing folder \"%s\"", path);
    return 0;
}

/* Everything of pw_fs_replace() between the making of the new file and its rename. */
static int fill(int fd, const void *p, size_t n, mode_t mode, pw_err *err)
{
    int rc = pw_fs_write_all(fd, p, n, err);

    if (rc < 0)
        return rc;
    if (fchmod(fd, mode) < 0)
        return fs_fail(err, "setting its mode");
    if (fsync(fd) < 0)
        return fs_fail(err, "syncing it");
    return 0;
}

int pw_fs_replace(const char *path, const void *p, size_t n, mode_t mode, pw_err *err)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    PW_AUTO(pw_freep) char *dir = NULL;
    PW_AUTO(pw_freep) char *beside = NULL;
    PW_AUTO(pw_closep) int fd = -1;
    int rc;

    if (!*name)
        return pw_fail(err, PW_EINVAL, "\"%s\" names no file", path);
    /* with its slash: "" is the current folder, "/" the root. The dot hides what a crash leaves
     * from pw_name_ok(). */
    dir = slash ? strndup(path, (size_t)(name - path)) : strdup("./");
    beside = dir ? pw_strf("%s.%.100s.XXXXXX", dir, name) : NULL;
    if (!beside)
        return pw_fail(err, PW_ENOMEM, "out of memory for path \"%s\"", path);
    fd = mkostemp(beside, O_CLOEXEC);
    if (fd < 0)
        return fs_fail(err, "making a file beside \"%s\"", path);
    rc = fill(fd, p, n, mode, err);
    if (rc < 0)
        (void)pw_err_context(err, "writing file \"%s\"", path);
    else if (pw_fault("fs.replace"))
        rc = pw_fail(err, PW_ESYS, "writing file \"%s\": fault asked for", path);
    else if (rename(beside, path) < 0)
        rc = fs_fail(err, "renaming a new file over \"%s\"", path);
    if (rc < 0) {
        (void)unlink(beside);
        return rc;
    }
    return pw_fs_sync_dir(dir, err);
}

/* ".NAME.XXXXXX", as pw_fs_replace makes them */
static bool is_half(const char *name)
{
    size_t n = strlen(name);

    return n > 8 && name[0] == '.' && name[n - 7] == '.' &&
           strspn(name + n - 6, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") ==
               6;
}

int pw_fs_sweep(const char *path, pw_err *err)
{
    const struct dirent *e;
    struct stat st;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);

    if (!d) {
        int rc = fs_fail(err, "reading folder \"%s\"", path);
        pw_closep(&fd);
        return rc;
    }
    while ((e = readdir(d)))
        if (is_half(e->d_name) && fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode))
            (void)unlinkat(fd, e->d_name, 0);
    (void)closedir(d);
    return 0;
}

static int make_dir(const char *path, mode_t mode, pw_err *err)
{
    struct stat st;

    if (mkdir(path, mode) == 0)
        return 0;
    if (errno != EEXIST)
        return fs_fail(err, "making folder \"%s\"", path);
    if (stat(path, &st) < 0)
        return fs_fail(err, "looking at \"%s\"", path);
    if (!S_ISDIR(st.st_mode))
        return pw_fail(err, PW_ECONFLICT, "\"%s\" exists and is no folder", path);
    return 0;
}

int pw_fs_mkdirs(const char *path, mode_t mode, pw_err *err)
{
    PW_AUTO(pw_freep) char *copy = NULL;
    int rc;

    if (!*path)
        return pw_fail(err, PW_EINVAL, "a folder without a name");
    copy = strdup(path);
    if (!copy)
        return pw_fail(err, PW_ENOMEM, "out of memory for path \"%s\"", path);
    for (char *p = copy + 1; *p; p++) {
        if (*p != '/' || p[-1] == '/')
            continue;
        *p = '\0';
        rc = make_dir(copy, mode, err);
        if (rc < 0)
            return rc;
        *p = '/';
    }
    return make_dir(copy, mode, err);
}

char *pw_path_join(const char *base, const char *name)
{
    size_t n = strlen(base);

    return pw_strf("%s%s%s", base, n > 0 && base[n - 1] == '/' ? "" : "/", name);
}

char *pw_path_join_beneath(const char *base, const char *name, pw_err *err)
{
    const char *part = name;
    char *path;

    if (strnlen(name, PATH_MAX) >= PATH_MAX) {
        (void)pw_fail(err, PW_EINVAL, "path \"%.60s...\" is longer than %d bytes", name, PATH_MAX);
        return NULL;
    }
    for (;;) {
        size_t n = strcspn(part, "/");
        if (n == 0 || (n == 2 && part[0] == '.' && part[1] == '.')) {
            (void)pw_fail(err, PW_EINVAL,
                          "path \"%.200s\" is not relative, or has an empty part or \"..\"", name);
            return NULL;
        }
        if (!part[n])
            break;
        part += n + 1;
    }
    path = pw_path_join(base, name);
    if (!path)
        (void)pw_fail(err, PW_ENOMEM, "out of memory for path \"%.200s\"", name);
    return path;
}

int pw_fs_open_beneath(const char *base, const char *name, int flags, mode_t mode, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = pw_path_join_beneath(base, name, err);
    PW_AUTO(pw_closep) int at = -1;
    char part[NAME_MAX + 1];
    int fd;

    if (!path)
        return err ? (int)err->code : PW_EINVAL;
    at = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (const char *p = name; at >= 0; p++) {
        size_t n = strcspn(p, "/");
        if (n > NAME_MAX)
            return pw_fail(err, PW_EINVAL, "path \"%.200s\" has a part that is too long", name);
        memcpy(part, p, n);
        part[n] = '\0';
        p += n;
        if (!*p) {
            fd = openat(at, part, flags | O_NOFOLLOW | O_CLOEXEC, mode);
            return fd >= 0 ? fd : fs_fail(err, "opening \"%s\"", path);
        }
        fd = openat(at, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        (void)close(at);
        at = fd;
    }
    return fs_fail(err, "opening \"%s\"", path);
}

bool pw_name_ok(const char *s)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                  "._+=,@-";
    size_t n = strnlen(s, 101);

    return n >= 1 && n <= 100 && s[0] != '.' && strspn(s, allowed) == n;
}

int64_t pw_fs_free(const char *path)
{
    struct statvfs v;
    uint64_t size;

    if (statvfs(path, &v) < 0)
        return -1;
    size = v.f_frsize;
    if (size > 0 && v.f_bavail > (uint64_t)INT64_MAX / size)
        return INT64_MAX;
    return (int64_t)(v.f_bavail * size);
}

static int lock_file(const char *path, int how, pw_err *err)
{
    PW_AUTO(pw_closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int locked;

    if (fd < 0)
        return fs_fail(err, "opening lock file \"%s\"", path);
    do
        locked = flock(fd, how);
    while (locked < 0 && errno == EINTR);
    if (locked < 0 && errno == EWOULDBLOCK)
        return pw_fail(err, PW_EAGAIN, "\"%s\" is locked by another process", path);
    if (locked < 0)
        return fs_fail(err, "locking \"%s\"", path);
    locked = fd;
    fd = -1;
    return locked;
}

int pw_fs_lock(const char *path, pw_err *err)
{
    return lock_file(path, LOCK_EX | LOCK_NB, err);
}

int pw_fs_lock_shared(const char *path, pw_err *err)
{
    return lock_file(path, LOCK_SH, err);
}

int pw_fs_lock_soon(const char *path, pw_err *err)
{
    for (int i = 0;; i++) {
        int fd = pw_fs_lock(path, err);
        if (fd != PW_EAGAIN || i == LOCK_SOON_TRIES)
            return fd;
        (void)poll(NULL, 0, LOCK_SOON_MS);
    }
}
