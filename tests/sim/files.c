/* files.c - the system's calls on descriptors of machines' files. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "tests/sim/impl.h"

static int fail(int error)
{
    errno = error;
    return -1;
}

/* ---- descriptors */

desc *vd_file_desc(int fd)
{
    size_t i = (size_t)fd - DISK_FD;
    if (fd < DISK_FD || i >= the_disk.n_fds || !the_disk.fds[i]) {
        errno = EBADF;
        return NULL;
    }
    return the_disk.fds[i];
}

machine *vd_node_machine(const node *n)
{
    return &the_disk.machine[n->m];
}

/* The descriptor of a call by the current process; NULL and errno when it may not go on. */
static desc *desc_for(int fd, disk_call call)
{
    desc *d = vd_file_desc(fd);
    if (!d)
        return NULL;
    if (disk_process_dead(d->process)) {
        errno = EIO;
        return NULL;
    }
    if (the_disk.current >= 0 && d->process != the_disk.current &&
        !disk_process_dead(the_disk.current)) {
        errno = EBADF; /* another process's number */
        return NULL;
    }
    if (disk_enter(d->n->m, call) == 0)
        return d;
    int error = errno;
    if (call == DISK_SYNC && S_ISREG(d->n->mode) && !disk_process_dead(the_disk.current))
        vd_node_sync_failed(d->n);
    errno = error;
    return NULL;
}

int vd_file_desc_new(node *n, int flags)
{
    desc *d = calloc(1, sizeof(*d));
    size_t i = 0, cap = the_disk.n_fds;
    if (!d)
        abort();
    *d = (desc){.id = ++the_disk.next_uid,
                .n = vd_node_ref(n),
                .process = the_disk.current,
                .flags = flags};
    while (i < the_disk.n_fds && the_disk.fds[i])
        i++;
    if (i == the_disk.n_fds) {
        the_disk.fds = disk_grow(the_disk.fds, &cap, i + 1, sizeof(desc *));
        memset(the_disk.fds + i, 0, (cap - i) * sizeof(desc *));
        the_disk.n_fds = cap;
    }
    the_disk.fds[i] = d;
    return (int)i + DISK_FD;
}

void vd_file_room_back(node *n)
{
    if (n->parent || n->m >= DISK_MACHINES || n == vd_node_machine(n)->root)
        return;
    for (size_t i = 0; i < the_disk.n_fds; i++)
        if (the_disk.fds[i] && the_disk.fds[i]->n == n)
            return;
    vd_node_machine(n)->used -= n->room;
    n->room = 0;
}

int vd_file_close(int fd)
{
    if (!vd_file_desc(fd))
        return -1;
    disk_desc_close(fd);
    return 0;
}

/* ---- reading and writing */

static ssize_t read_at(const node *n, void *p, size_t size, uint64_t at)
{
    size_t have = at < n->len ? (size_t)(n->len - at) : 0;
    if (size > have)
        size = have;
    if (size > 0)
        memcpy(p, n->p + at, size);
    return (ssize_t)size;
}

static desc *desc_reading(int fd)
{
    desc *d = desc_for(fd, DISK_READ);
    if (d && (d->flags & O_ACCMODE) == O_WRONLY) {
        errno = EBADF;
        return NULL;
    }
    if (d && S_ISDIR(d->n->mode)) {
        errno = EISDIR;
        return NULL;
    }
    return d;
}

static ssize_t fifo_read(node *n, void *p, size_t size)
{
    ssize_t got = read_at(n, p, size, 0);
    if (got == 0)
        return fail(EAGAIN); /* everybody opens it for both ways: it has no end */
    memmove(n->p, n->p + got, n->len - (size_t)got);
    n->len -= (size_t)got;
    return got;
}

ssize_t vd_file_read(int fd, void *p, size_t n)
{
    desc *d = desc_reading(fd);
    if (!d)
        return -1;
    if (S_ISFIFO(d->n->mode))
        return fifo_read(d->n, p, n);
    ssize_t got = read_at(d->n, p, n, d->pos);
    d->pos += (uint64_t)got;
    return got;
}

ssize_t vd_file_pread(int fd, void *p, size_t n, off_t at)
{
    const desc *d = desc_reading(fd);
    if (!d)
        return -1;
    if (S_ISFIFO(d->n->mode) || at < 0)
        return fail(S_ISFIFO(d->n->mode) ? ESPIPE : EINVAL);
    return read_at(d->n, p, n, (uint64_t)at);
}

static desc *desc_writing(int fd)
{
    desc *d = desc_for(fd, DISK_WRITE);
    if (d && (d->flags & O_ACCMODE) == O_RDONLY) {
        errno = EBADF;
        return NULL;
    }
    return d;
}

static ssize_t write_at(node *n, const void *p, size_t size, uint64_t at)
{
    size_t part = size;
    if (size == 0)
        return 0;
    if (!disk_may_change(&part)) {
        if (part > 0)
            (void)vd_node_write(n, p, part, at);
        return -1;
    }
    size_t put = vd_node_write(n, p, size, at);
    if (put == 0)
        return fail(ENOSPC);
    the_disk.figures.writes++;
    the_disk.figures.bytes += put;
    return (ssize_t)put;
}

static ssize_t fifo_write(node *n, const void *p, size_t size)
{
    if (n->len + size > FIFO_ROOM)
        return fail(EAGAIN);
    if (!disk_may_change(NULL))
        return -1;
    n->p = disk_grow(n->p, &(size_t){n->cap}, FIFO_ROOM, 1);
    n->cap = FIFO_ROOM;
    memcpy(n->p + n->len, p, size);
    n->len += size;
    return (ssize_t)size;
}

ssize_t vd_file_write(int fd, const void *p, size_t n)
{
    desc *d = desc_writing(fd);
    if (!d)
        return -1;
    if (S_ISFIFO(d->n->mode))
        return fifo_write(d->n, p, n);
    if (d->flags & O_APPEND)
        d->pos = d->n->len;
    ssize_t put = write_at(d->n, p, n, d->pos);
    if (put > 0)
        d->pos += (uint64_t)put;
    return put;
}

ssize_t vd_file_pwrite(int fd, const void *p, size_t n, off_t at)
{
    const desc *d = desc_writing(fd);
    if (!d)
        return -1;
    if (S_ISFIFO(d->n->mode) || at < 0)
        return fail(S_ISFIFO(d->n->mode) ? ESPIPE : EINVAL);
    return write_at(d->n, p, n, d->flags & O_APPEND ? d->n->len : (uint64_t)at); /* as Linux does */
}

ssize_t vd_file_pwritev(int fd, const struct iovec *v, int n, off_t at)
{
    size_t size = 0, done = 0;
    for (int i = 0; i < n; i++)
        size += v[i].iov_len;
    uint8_t *all = malloc(size + 1);
    if (!all)
        abort();
    for (int i = 0; i < n; i++) {
        if (v[i].iov_len > 0)
            memcpy(all + done, v[i].iov_base, v[i].iov_len);
        done += v[i].iov_len;
    }
    ssize_t put = vd_file_pwrite(fd, all, size, at);
    int error = errno;
    free(all);
    errno = error;
    return put;
}

off_t vd_file_lseek(int fd, off_t at, int whence)
{
    desc *d = desc_for(fd, DISK_CALLS);
    if (!d)
        return -1;
    int64_t from = whence == SEEK_CUR   ? (int64_t)d->pos
                   : whence == SEEK_END ? (int64_t)d->n->len
                                        : 0;
    if (S_ISFIFO(d->n->mode) || from + at < 0 || whence > SEEK_END)
        return fail(S_ISFIFO(d->n->mode) ? ESPIPE : EINVAL);
    d->pos = (uint64_t)(from + at);
    return (off_t)d->pos;
}

int vd_file_sync(int fd)
{
    const desc *d = desc_for(fd, DISK_SYNC);
    if (!d)
        return -1;
    if (S_ISFIFO(d->n->mode) || d->n == the_disk.top)
        return fail(EINVAL);
    if (!disk_may_change(NULL))
        return -1;
    the_disk.figures.syncs++;
    if (vd_node_machine(d->n)->lies)
        return 0;
    if (S_ISDIR(d->n->mode)) {
        vd_names_settle(vd_node_machine(d->n), d->n);
    } else {
        vd_node_sync(d->n);
        if (!vd_node_machine(d->n)->apart)
            vd_names_settle_born(vd_node_machine(d->n), d->n);
    }
    return 0;
}

int vd_file_truncate(int fd, off_t len)
{
    const desc *d = desc_for(fd, DISK_WRITE);
    if (!d)
        return -1;
    if (!S_ISREG(d->n->mode) || len < 0 || (d->flags & O_ACCMODE) == O_RDONLY)
        return fail(EINVAL);
    if ((uint64_t)len == d->n->len)
        return 0;
    if (!disk_may_change(NULL))
        return -1;
    return vd_node_truncate(d->n, (uint64_t)len) ? 0 : fail(ENOSPC);
}

int vd_file_allocate(int fd, int mode, off_t at, off_t n)
{
    const desc *d = desc_writing(fd);
    if (!d)
        return -1;
    if (!S_ISREG(d->n->mode) || (mode & ~FALLOC_FL_KEEP_SIZE))
        return fail(EOPNOTSUPP);
    if (at < 0 || n <= 0)
        return fail(EINVAL);
    if (!disk_may_change(NULL))
        return -1;
    uint64_t end = (uint64_t)(at + n);
    if (!vd_node_take_room(d->n, end))
        return fail(ENOSPC);
    if (!(mode & FALLOC_FL_KEEP_SIZE) && end > d->n->len)
        (void)vd_node_truncate(d->n, end);
    return 0;
}

int vd_file_lock(int fd, int how)
{
    desc *d = desc_for(fd, DISK_CALLS);
    int want = how & (LOCK_SH | LOCK_EX);
    if (!d)
        return -1;
    for (size_t i = 0; want && i < the_disk.n_fds; i++) {
        const desc *o = the_disk.fds[i];
        if (!o || o == d || o->n != d->n || !o->lock)
            continue;
        if (want == LOCK_EX || o->lock == LOCK_EX) /* nobody could give it back while we wait */
            return fail(how & LOCK_NB ? EWOULDBLOCK : EDEADLK);
    }
    d->lock = want;
    return 0;
}

int vd_file_control(int fd, int cmd, long arg)
{
    desc *d = desc_for(fd, DISK_CALLS);
    if (!d)
        return -1;
    if (cmd == F_GETFD)
        return d->flags & O_CLOEXEC ? FD_CLOEXEC : 0;
    if (cmd == F_SETFD)
        d->flags = arg & FD_CLOEXEC ? d->flags | O_CLOEXEC : d->flags & ~O_CLOEXEC;
    else if (cmd == F_GETFL)
        return d->flags & ~O_CLOEXEC;
    else if (cmd == F_SETFL)
        d->flags = (d->flags & (O_ACCMODE | O_CLOEXEC)) | ((int)arg & (O_APPEND | O_NONBLOCK));
    else
        return fail(EINVAL);
    return 0;
}

static int64_t usec_part(int64_t t)
{
    return (t % 1000000 + 1000000) % 1000000;
}

void vd_file_stat_node(const node *n, struct stat *st)
{
    struct timespec m = {.tv_sec = n->mtime / 1000000, .tv_nsec = usec_part(n->mtime) * 1000};
    struct timespec c = {.tv_sec = n->ctime / 1000000, .tv_nsec = usec_part(n->ctime) * 1000};
    *st = (struct stat){.st_dev = 0x5100 + n->m,
                        .st_ino = n->ino,
                        .st_mode = n->mode,
                        .st_nlink = S_ISDIR(n->mode) ? 2
                                    : n->parent      ? 1
                                                     : 0,
                        .st_uid = geteuid(),
                        .st_gid = getegid(),
                        .st_size = S_ISREG(n->mode) ? (off_t)n->len : 0,
                        .st_blksize = BLOCK,
                        .st_blocks = (blkcnt_t)(n->room / SECTOR),
                        .st_atim = m,
                        .st_mtim = m,
                        .st_ctim = c};
}

int vd_file_stat_of(int fd, struct stat *st)
{
    const desc *d = desc_for(fd, DISK_CALLS);
    if (d)
        vd_file_stat_node(d->n, st);
    return d ? 0 : -1;
}

int vd_file_chmod(int fd, mode_t mode)
{
    const desc *d = desc_for(fd, DISK_CALLS);
    if (!d || !disk_may_change(NULL))
        return -1;
    d->n->mode = (d->n->mode & S_IFMT) | (mode & 07777);
    return 0;
}
