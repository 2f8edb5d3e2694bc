/* wrap.c - where the linker sends the programs' file calls: a machine's file or the system's. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/sim/impl.h"
#include "tests/sim/wrap.h"

static bool ours(int fd)
{
    return fd >= DISK_FD;
}

/* The mode of an open that may create. */
#define MODE_OF(flags, mode)                                                                       \
    do {                                                                                           \
        va_list list;                                                                              \
        va_start(list, flags);                                                                     \
        (mode) = (flags) & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;                       \
        va_end(list);                                                                              \
    } while (0)

int __wrap_open(const char *path, int flags, ...)
{
    mode_t mode;
    MODE_OF(flags, mode);
    return vd_file_ours(AT_FDCWD, path) ? vd_file_open(AT_FDCWD, path, flags, mode)
                                        : __real_open(path, flags, mode);
}

int __wrap_openat(int at, const char *path, int flags, ...)
{
    mode_t mode;
    MODE_OF(flags, mode);
    return vd_file_ours(at, path) ? vd_file_open(at, path, flags, mode)
                                  : __real_openat(at, path, flags, mode);
}

int __wrap___open_2(const char *path, int flags)
{
    return __wrap_open(path, flags);
}

int __wrap___openat_2(int at, const char *path, int flags)
{
    return __wrap_openat(at, path, flags);
}

int __wrap_mkostemp(char *path, int flags)
{
    return vd_file_ours(AT_FDCWD, path) ? vd_file_mkostemp(path, flags)
                                        : __real_mkostemp(path, flags);
}

int __wrap_close(int fd)
{
    return ours(fd) ? vd_file_close(fd) : __real_close(fd);
}

ssize_t __wrap_read(int fd, void *p, size_t n)
{
    return ours(fd) ? vd_file_read(fd, p, n) : __real_read(fd, p, n);
}

ssize_t __wrap___read_chk(int fd, void *p, size_t n, size_t room)
{
    if (n > room)
        abort();
    return __wrap_read(fd, p, n);
}

ssize_t __wrap_pread(int fd, void *p, size_t n, off_t at)
{
    return ours(fd) ? vd_file_pread(fd, p, n, at) : __real_pread(fd, p, n, at);
}

ssize_t __wrap___pread_chk(int fd, void *p, size_t n, off_t at, size_t room)
{
    if (n > room)
        abort();
    return __wrap_pread(fd, p, n, at);
}

ssize_t __wrap_write(int fd, const void *p, size_t n)
{
    return ours(fd) ? vd_file_write(fd, p, n) : __real_write(fd, p, n);
}

ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at)
{
    return ours(fd) ? vd_file_pwrite(fd, p, n, at) : __real_pwrite(fd, p, n, at);
}

ssize_t __wrap_pwritev(int fd, const struct iovec *v, int n, off_t at)
{
    return ours(fd) ? vd_file_pwritev(fd, v, n, at) : __real_pwritev(fd, v, n, at);
}

off_t __wrap_lseek(int fd, off_t at, int whence)
{
    return ours(fd) ? vd_file_lseek(fd, at, whence) : __real_lseek(fd, at, whence);
}

/* ---- what is there */

int __wrap_fstat(int fd, struct stat *st)
{
    return ours(fd) ? vd_file_stat_of(fd, st) : __real_fstat(fd, st);
}

int __wrap_stat(const char *path, struct stat *st)
{
    return vd_file_ours(AT_FDCWD, path) ? vd_file_stat(AT_FDCWD, path, st) : __real_stat(path, st);
}

int __wrap_lstat(const char *path, struct stat *st)
{
    return vd_file_ours(AT_FDCWD, path) ? vd_file_stat(AT_FDCWD, path, st) : __real_lstat(path, st);
}

int __wrap_fstatat(int at, const char *path, struct stat *st, int flags)
{
    if (ours(at) && !*path && (flags & AT_EMPTY_PATH))
        return vd_file_stat_of(at, st);
    return vd_file_ours(at, path) ? vd_file_stat(at, path, st)
                                  : __real_fstatat(at, path, st, flags);
}

int __wrap_access(const char *path, int how)
{
    struct stat st;
    return vd_file_ours(AT_FDCWD, path) ? vd_file_stat(AT_FDCWD, path, &st)
                                        : __real_access(path, how);
}

int __wrap_statvfs(const char *path, struct statvfs *v)
{
    return vd_file_ours(AT_FDCWD, path) ? vd_file_statvfs(path, v) : __real_statvfs(path, v);
}

char *__wrap_realpath(const char *path, char *out)
{
    return vd_file_ours(AT_FDCWD, path) ? vd_file_realpath(path, out) : __real_realpath(path, out);
}

/* ---- names */

int __wrap_renameat2(int at, const char *from, int to_at, const char *to, unsigned flags)
{
    bool a = vd_file_ours(at, from), b = vd_file_ours(to_at, to);
    if (a != b) {
        errno = EXDEV;
        return -1;
    }
    return a ? vd_file_rename(at, from, to_at, to, flags)
             : __real_renameat2(at, from, to_at, to, flags);
}

int __wrap_renameat(int at, const char *from, int to_at, const char *to)
{
    return __wrap_renameat2(at, from, to_at, to, 0);
}

int __wrap_rename(const char *from, const char *to)
{
    return __wrap_renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int __wrap_unlinkat(int at, const char *path, int flags)
{
    return vd_file_ours(at, path) ? vd_file_unlink(at, path, flags)
                                  : __real_unlinkat(at, path, flags);
}

int __wrap_unlink(const char *path)
{
    return __wrap_unlinkat(AT_FDCWD, path, 0);
}

int __wrap_rmdir(const char *path)
{
    return __wrap_unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int __wrap_mkdir(const char *path, mode_t mode)
{
    return vd_file_ours(AT_FDCWD, path) ? vd_file_make(AT_FDCWD, path, S_IFDIR | (mode & 07777))
                                        : __real_mkdir(path, mode);
}

int __wrap_mkfifo(const char *path, mode_t mode)
{
    return vd_file_ours(AT_FDCWD, path) ? vd_file_make(AT_FDCWD, path, S_IFIFO | (mode & 07777))
                                        : __real_mkfifo(path, mode);
}

int __wrap_fchmod(int fd, mode_t mode)
{
    return ours(fd) ? vd_file_chmod(fd, mode) : __real_fchmod(fd, mode);
}

int __wrap_fchmodat(int at, const char *path, mode_t mode, int flags)
{
    return vd_file_ours(at, path) ? vd_file_chmod_at(at, path, mode)
                                  : __real_fchmodat(at, path, mode, flags);
}

int __wrap_chmod(const char *path, mode_t mode)
{
    return __wrap_fchmodat(AT_FDCWD, path, mode, 0);
}

/* Nobody's files become another's here: jobs of the simulator are kept apart by no user. */
int __wrap_fchownat(int at, const char *path, uid_t uid, gid_t gid, int flags)
{
    if (path[0] ? vd_file_ours(at, path) : ours(at))
        abort();
    return __real_fchownat(at, path, uid, gid, flags);
}

char *__wrap___realpath_chk(const char *path, char *out, size_t room)
{
    return vd_file_ours(AT_FDCWD, path) ? vd_file_realpath(path, out)
                                        : __real___realpath_chk(path, out, room);
}

/* ---- durability, room, locks */

int __wrap_fsync(int fd)
{
    return ours(fd) ? vd_file_sync(fd) : __real_fsync(fd);
}

int __wrap_fdatasync(int fd)
{
    return ours(fd) ? vd_file_sync(fd) : __real_fdatasync(fd);
}

/* Begins to write and promises nothing. */
int __wrap_sync_file_range(int fd, off_t at, off_t n, unsigned flags)
{
    if (!ours(fd))
        return __real_sync_file_range(fd, at, n, flags);
    return vd_file_desc(fd) ? 0 : -1;
}

int __wrap_ftruncate(int fd, off_t len)
{
    return ours(fd) ? vd_file_truncate(fd, len) : __real_ftruncate(fd, len);
}

int __wrap_fallocate(int fd, int mode, off_t at, off_t n)
{
    return ours(fd) ? vd_file_allocate(fd, mode, at, n) : __real_fallocate(fd, mode, at, n);
}

int __wrap_flock(int fd, int how)
{
    return ours(fd) ? vd_file_lock(fd, how) : __real_flock(fd, how);
}

int __wrap_fcntl(int fd, int cmd, ...)
{
    va_list list;
    va_start(list, cmd);
    void *arg = va_arg(list, void *); /* as the C library: what the call takes is in the register */
    va_end(list);
    return ours(fd) ? vd_file_control(fd, cmd, (long)(uintptr_t)arg) : __real_fcntl(fd, cmd, arg);
}

/* openat2 has no function of its own. */
long __wrap_syscall(long number, ...)
{
    long a[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_openat2 && vd_file_ours((int)a[0], (const char *)a[1])) {
        const struct open_how *how = (const struct open_how *)a[2];
        return vd_file_open((int)a[0], (const char *)a[1], (int)how->flags, (mode_t)how->mode);
    }
    return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* ---- folders: read at once, so that changes meanwhile change nothing */

typedef struct folder {
    struct folder *next;
    int fd;
    struct dirent *v;
    size_t n, at;
} folder;
static folder *folders; /* the DIR * that are ours */

static folder *folder_of(DIR *d)
{
    folder *f = folders;
    while (f && (void *)f != (void *)d)
        f = f->next;
    return f;
}

static void add(folder *f, const node *n, const char *name)
{
    struct dirent *e = &f->v[f->n++];
    memset(e, 0, sizeof(*e));
    e->d_ino = n->ino;
    e->d_reclen = sizeof(*e);
    e->d_off = (off_t)f->n;
    e->d_type = S_ISDIR(n->mode) ? DT_DIR : S_ISREG(n->mode) ? DT_REG : DT_FIFO;
    memcpy(e->d_name, name, strlen(name) + 1);
}

static void folder_read(folder *f, const node *n)
{
    free(f->v);
    f->v = calloc(n->now.n + 2, sizeof(*f->v));
    if (!f->v)
        abort();
    f->n = f->at = 0;
    add(f, n, ".");
    add(f, n->parent ? n->parent : n, "..");
    for (size_t i = 0; i < n->now.n; i++)
        add(f, n->now.v[i].to, n->now.v[i].name->s);
}

DIR *__wrap_fdopendir(int fd)
{
    struct stat st;
    if (!ours(fd))
        return __real_fdopendir(fd);
    if (vd_file_stat_of(fd, &st) < 0)
        return NULL;
    if (!S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        return NULL;
    }
    folder *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    f->fd = fd;
    f->next = folders;
    folders = f;
    folder_read(f, vd_file_desc(fd)->n);
    return (DIR *)(void *)f;
}

DIR *__wrap_opendir(const char *path)
{
    if (!vd_file_ours(AT_FDCWD, path))
        return __real_opendir(path);
    int fd = vd_file_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    DIR *d = fd < 0 ? NULL : __wrap_fdopendir(fd);
    if (!d && fd >= 0)
        (void)vd_file_close(fd);
    return d;
}

struct dirent *__wrap_readdir(DIR *d)
{
    folder *f = folder_of(d);
    struct stat st;
    if (!f)
        return __real_readdir(d);
    if (f->at >= f->n || vd_file_stat_of(f->fd, &st) < 0)
        return NULL;
    return &f->v[f->at++];
}

void __wrap_rewinddir(DIR *d)
{
    folder *f = folder_of(d);
    const desc *of = f ? vd_file_desc(f->fd) : NULL;
    if (!f)
        __real_rewinddir(d);
    else if (of)
        folder_read(f, of->n);
}

int __wrap_dirfd(DIR *d)
{
    const folder *f = folder_of(d);
    return f ? f->fd : __real_dirfd(d);
}

int __wrap_closedir(DIR *d)
{
    folder *f = folder_of(d);
    if (!f)
        return __real_closedir(d);
    folder **at = &folders;
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    int fd = f->fd;
    free(f->v);
    free(f);
    return vd_file_close(fd);
}
