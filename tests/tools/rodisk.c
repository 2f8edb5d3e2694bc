/* rodisk.c - a disk that turned read-only under running programs, as a file system does after an
 * error: preloaded, it answers EROFS to every call that would change something below $RODISK_UNDER
 * while the file $RODISK_WHEN exists. A real remount is refused as long as a file is open for
 * writing. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* Whether path, or the file that fd is, lies on the disk that is read-only now. */
static int stuck(const char *path, int fd)
{
    const char *under = getenv("RODISK_UNDER"), *when = getenv("RODISK_WHEN");
    char link[64], at[PATH_MAX];
    ssize_t n;
    if (!under || !when || faccessat(AT_FDCWD, when, F_OK, 0) < 0)
        return 0;
    if (!path || path[0] != '/') {
        if (fd == AT_FDCWD)
            return 0;
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, at, sizeof(at) - 1);
        if (n < 0)
            return 0;
        at[n] = '\0';
        path = at;
    }
    return strncmp(path, under, strlen(under)) == 0;
}

#define REAL(name) ((__typeof__(&(name)))(void *)dlsym(RTLD_NEXT, #name))
#define WHEN_STUCK(path, fd)                                                                       \
    if (stuck(path, fd)) {                                                                         \
        errno = EROFS;                                                                             \
        return -1;                                                                                 \
    }

static int writes(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC));
}

#define OPENS(name, at, path, ...)                                                                 \
    mode_t mode = 0;                                                                               \
    if (flags & O_CREAT) {                                                                         \
        va_list ap;                                                                                \
        va_start(ap, flags);                                                                       \
        mode = va_arg(ap, mode_t);                                                                 \
        va_end(ap);                                                                                \
    }                                                                                              \
    if (writes(flags) && stuck(path, at)) {                                                        \
        errno = EROFS;                                                                             \
        return -1;                                                                                 \
    }                                                                                              \
    return REAL(name)(__VA_ARGS__, flags, mode);

int open(const char *path, int flags, ...)
{
    OPENS(open, AT_FDCWD, path, path)
}
int open64(const char *path, int flags, ...)
{
    OPENS(open64, AT_FDCWD, path, path)
}
int openat(int dir, const char *path, int flags, ...)
{
    OPENS(openat, dir, path, dir, path)
}
int openat64(int dir, const char *path, int flags, ...)
{
    OPENS(openat64, dir, path, dir, path)
}
int mkstemp(char *path)
{
    WHEN_STUCK(path, AT_FDCWD)
    return REAL(mkstemp)(path);
}
int mkostemp(char *path, int flags)
{
    WHEN_STUCK(path, AT_FDCWD)
    return REAL(mkostemp)(path, flags);
}
ssize_t write(int fd, const void *p, size_t n)
{
    WHEN_STUCK(NULL, fd)
    return REAL(write)(fd, p, n);
}
ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    WHEN_STUCK(NULL, fd)
    return REAL(pwrite)(fd, p, n, at);
}
ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
    WHEN_STUCK(NULL, fd)
    return REAL(pwrite64)(fd, p, n, at);
}
ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at)
{
    WHEN_STUCK(NULL, fd)
    return REAL(pwritev)(fd, v, n, at);
}
int ftruncate(int fd, off_t n)
{
    WHEN_STUCK(NULL, fd)
    return REAL(ftruncate)(fd, n);
}
int ftruncate64(int fd, off64_t n)
{
    WHEN_STUCK(NULL, fd)
    return REAL(ftruncate64)(fd, n);
}
int fallocate(int fd, int mode, off_t at, off_t n)
{
    WHEN_STUCK(NULL, fd)
    return REAL(fallocate)(fd, mode, at, n);
}
int unlink(const char *path)
{
    WHEN_STUCK(path, AT_FDCWD)
    return REAL(unlink)(path);
}
int unlinkat(int dir, const char *path, int flags)
{
    WHEN_STUCK(path, dir)
    return REAL(unlinkat)(dir, path, flags);
}
int rename(const char *a, const char *b)
{
    WHEN_STUCK(b, AT_FDCWD)
    return REAL(rename)(a, b);
}
int renameat(int da, const char *a, int db, const char *b)
{
    WHEN_STUCK(b, db)
    return REAL(renameat)(da, a, db, b);
}
int mkdir(const char *path, mode_t mode)
{
    WHEN_STUCK(path, AT_FDCWD)
    return REAL(mkdir)(path, mode);
}
int mkdirat(int dir, const char *path, mode_t mode)
{
    WHEN_STUCK(path, dir)
    return REAL(mkdirat)(dir, path, mode);
}
