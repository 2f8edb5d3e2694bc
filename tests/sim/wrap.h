/* wrap.h - the names that ld --wrap makes: __wrap_X takes the calls of X, __real_X is the system's.
 */
#ifndef PW_TESTS_SIM_WRAP_H
#define PW_TESTS_SIM_WRAP_H
#include <dirent.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/uio.h>

#define WRAPPED(ret, name, ...)                                                                    \
    ret __wrap_##name(__VA_ARGS__);                                                                \
    ret __real_##name(__VA_ARGS__)

WRAPPED(int, open, const char *path, int flags, ...);
WRAPPED(int, openat, int at, const char *path, int flags, ...);
WRAPPED(int, __open_2, const char *path, int flags);
WRAPPED(int, __openat_2, int at, const char *path, int flags);
WRAPPED(int, mkostemp, char *path, int flags);
WRAPPED(int, close, int fd);
WRAPPED(ssize_t, read, int fd, void *p, size_t n);
WRAPPED(ssize_t, __read_chk, int fd, void *p, size_t n, size_t room);
WRAPPED(ssize_t, pread, int fd, void *p, size_t n, off_t at);
WRAPPED(ssize_t, __pread_chk, int fd, void *p, size_t n, off_t at, size_t room);
WRAPPED(ssize_t, write, int fd, const void *p, size_t n);
WRAPPED(ssize_t, pwrite, int fd, const void *p, size_t n, off_t at);
WRAPPED(ssize_t, pwritev, int fd, const struct iovec *v, int n, off_t at);
WRAPPED(off_t, lseek, int fd, off_t at, int whence);
WRAPPED(int, fstat, int fd, struct stat *st);
WRAPPED(int, stat, const char *path, struct stat *st);
WRAPPED(int, lstat, const char *path, struct stat *st);
WRAPPED(int, fstatat, int at, const char *path, struct stat *st, int flags);
WRAPPED(int, access, const char *path, int how);
WRAPPED(int, statvfs, const char *path, struct statvfs *v);
WRAPPED(char *, realpath, const char *path, char *out);
WRAPPED(int, rename, const char *from, const char *to);
WRAPPED(int, renameat, int at, const char *from, int to_at, const char *to);
WRAPPED(int, renameat2, int at, const char *from, int to_at, const char *to, unsigned flags);
WRAPPED(int, unlink, const char *path);
WRAPPED(int, unlinkat, int at, const char *path, int flags);
WRAPPED(int, rmdir, const char *path);
WRAPPED(int, mkdir, const char *path, mode_t mode);
WRAPPED(int, mkfifo, const char *path, mode_t mode);
WRAPPED(int, fchmod, int fd, mode_t mode);
WRAPPED(int, fchmodat, int at, const char *path, mode_t mode, int flags);
WRAPPED(int, chmod, const char *path, mode_t mode);
WRAPPED(int, fchownat, int at, const char *path, uid_t uid, gid_t gid, int flags);
WRAPPED(char *, __realpath_chk, const char *path, char *out, size_t room);
WRAPPED(int, fsync, int fd);
WRAPPED(int, fdatasync, int fd);
WRAPPED(int, sync_file_range, int fd, off_t at, off_t n, unsigned flags);
WRAPPED(int, ftruncate, int fd, off_t len);
WRAPPED(int, fallocate, int fd, int mode, off_t at, off_t n);
WRAPPED(int, flock, int fd, int how);
WRAPPED(int, fcntl, int fd, int cmd, ...);
WRAPPED(long, syscall, long number, ...);
WRAPPED(DIR *, opendir, const char *path);
WRAPPED(DIR *, fdopendir, int fd);
WRAPPED(struct dirent *, readdir, DIR *d);
WRAPPED(void, rewinddir, DIR *d);
WRAPPED(int, dirfd, DIR *d);
WRAPPED(int, closedir, DIR *d);
#endif
