/* vfs.c - SQLite's files on machines' disks. As its own VFS for Unix does it, where that can be
 * seen on the disk: sector size and promises, the sync of the folder after a new WAL, what is an
 * error. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/vfs.h"

struct vd_vfs_files vd_vfs_files = LIST_HEAD_INITIALIZER(vd_vfs_files);

static vfs_file *of(sqlite3_file *file)
{
    return (vfs_file *)(void *)file;
}

bool vd_vfs_alive(const vfs_file *f)
{
    const desc *d = vd_file_desc(f->fd);
    return d && d->id == f->desc && !disk_process_dead(f->process);
}

static bool dead(const vfs_file *f)
{
    if (vd_vfs_alive(f))
        return false;
    errno = EIO;
    return true;
}

/* ---- files */

static int sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = strndup(path, (size_t)(slash - path));
    if (!dir)
        return -1;
    int fd = vd_file_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    int rc = fd < 0 ? -1 : vd_file_sync(fd);
    if (fd >= 0)
        (void)vd_file_close(fd);
    free(dir);
    return rc;
}

static int x_close(sqlite3_file *file)
{
    vfs_file *f = of(file);
    const desc *d = vd_file_desc(f->fd);
    (void)vd_shm_unmap(file, 0);
    if (f->delete &&!dead(f))
        (void)vd_file_unlink(AT_FDCWD, f->path, 0);
    if (d && d->id == f->desc)
        (void)vd_file_close(f->fd);
    LIST_REMOVE(f, all);
    free(f->path);
    f->path = NULL;
    return SQLITE_OK;
}

static int x_read(sqlite3_file *file, void *p, int n, sqlite3_int64 at)
{
    const vfs_file *f = of(file);
    ssize_t got = dead(f) ? -1 : vd_file_pread(f->fd, p, (size_t)n, at);
    if (got == n)
        return SQLITE_OK;
    if (got < 0)
        return SQLITE_IOERR_READ;
    memset((char *)p + got, 0, (size_t)n - (size_t)got);
    return SQLITE_IOERR_SHORT_READ;
}

static int x_write(sqlite3_file *file, const void *p, int n, sqlite3_int64 at)
{
    const vfs_file *f = of(file);
    const char *from = p;
    while (n > 0) {
        ssize_t put = dead(f) ? -1 : vd_file_pwrite(f->fd, from, (size_t)n, at);
        if (put <= 0)
            return put < 0 && errno != ENOSPC ? SQLITE_IOERR_WRITE : SQLITE_FULL;
        from += put;
        at += put;
        n -= (int)put;
    }
    return SQLITE_OK;
}

static int x_truncate(sqlite3_file *file, sqlite3_int64 len)
{
    const vfs_file *f = of(file);
    return dead(f) || vd_file_truncate(f->fd, len) < 0 ? SQLITE_IOERR_TRUNCATE : SQLITE_OK;
}

static int x_sync(sqlite3_file *file, int flags)
{
    vfs_file *f = of(file);
    (void)flags;
    if (dead(f) || vd_file_sync(f->fd) < 0)
        return SQLITE_IOERR_FSYNC;
    if (f->sync_dir)
        (void)sync_folder(f->path); /* SQLite itself does not look at the answer */
    f->sync_dir = false;
    return dead(f) ? SQLITE_IOERR_FSYNC : SQLITE_OK; /* it may have died of the second */
}

static int x_size(sqlite3_file *file, sqlite3_int64 *ret)
{
    const vfs_file *f = of(file);
    struct stat st;
    if (dead(f) || vd_file_stat_of(f->fd, &st) < 0)
        return SQLITE_IOERR_FSTAT;
    *ret = st.st_size;
    return SQLITE_OK;
}

/* ---- locks */

/* The highest lock that another living connection holds on the same file. */
static int others(const vfs_file *f)
{
    const vfs_file *o;
    int most = SQLITE_LOCK_NONE;
    LIST_FOREACH(o, &vd_vfs_files, all)
    if (o != f && o->uid == f->uid && o->lock > most && vd_vfs_alive(o))
        most = o->lock;
    return most;
}

static int x_lock(sqlite3_file *file, int want)
{
    vfs_file *f = of(file);
    if (dead(f))
        return SQLITE_IOERR_LOCK;
    if (f->lock >= want)
        return SQLITE_OK;
    int other = others(f);
    if (other >= (want == SQLITE_LOCK_SHARED ? SQLITE_LOCK_PENDING : SQLITE_LOCK_RESERVED))
        return SQLITE_BUSY;
    if (want == SQLITE_LOCK_EXCLUSIVE && other > SQLITE_LOCK_NONE) {
        f->lock = SQLITE_LOCK_PENDING; /* no new readers; those that read are waited for */
        return SQLITE_BUSY;
    }
    f->lock = want;
    return SQLITE_OK;
}

static int x_unlock(sqlite3_file *file, int to)
{
    of(file)->lock = to;
    return SQLITE_OK;
}

static int x_reserved(sqlite3_file *file, int *ret)
{
    const vfs_file *f = of(file);
    if (dead(f))
        return SQLITE_IOERR_CHECKRESERVEDLOCK;
    *ret = f->lock >= SQLITE_LOCK_RESERVED || others(f) >= SQLITE_LOCK_RESERVED;
    return SQLITE_OK;
}

static int x_control(sqlite3_file *file, int op, void *arg)
{
    (void)file;
    (void)op;
    (void)arg;
    return SQLITE_NOTFOUND;
}

static int x_sector(sqlite3_file *file)
{
    (void)file;
    return 4096;
}

static int x_features(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = x_close,
    .xRead = x_read,
    .xWrite = x_write,
    .xTruncate = x_truncate,
    .xSync = x_sync,
    .xFileSize = x_size,
    .xLock = x_lock,
    .xUnlock = x_unlock,
    .xCheckReservedLock = x_reserved,
    .xFileControl = x_control,
    .xSectorSize = x_sector,
    .xDeviceCharacteristics = x_features,
    .xShmMap = vd_shm_map,
    .xShmLock = vd_shm_lock,
    .xShmBarrier = vd_shm_barrier,
    .xShmUnmap = vd_shm_unmap,
};

/* ---- the VFS: vfs->pAppData is the one before */

static sqlite3_vfs *before(sqlite3_vfs *vfs)
{
    return vfs->pAppData;
}

static int v_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *ret)
{
    const int journals = SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL;
    vfs_file *f = of(file);
    if (!path || !vd_file_ours(AT_FDCWD, path))
        return before(vfs)->xOpen(before(vfs), path, file, flags, ret);
    *f = (vfs_file){.fd = -1, .process = disk_process_current()};
    int how = O_CLOEXEC | (flags & SQLITE_OPEN_READWRITE ? O_RDWR : O_RDONLY);
    if (flags & SQLITE_OPEN_CREATE)
        how |= O_CREAT | (flags & SQLITE_OPEN_EXCLUSIVE ? O_EXCL : 0);
    f->fd = vd_file_open(AT_FDCWD, path, how, 0600);
    if (f->fd < 0)
        return SQLITE_CANTOPEN;
    const desc *d = vd_file_desc(f->fd);
    f->desc = d->id;
    f->uid = d->n->uid;
    f->sync_dir = (flags & SQLITE_OPEN_CREATE) && (flags & journals);
    f->delete = flags & SQLITE_OPEN_DELETEONCLOSE;
    f->path = strdup(path);
    if (!f->path)
        abort();
    f->base.pMethods = &methods;
    LIST_INSERT_HEAD(&vd_vfs_files, f, all);
    if (ret)
        *ret = flags;
    return SQLITE_OK;
}

static int v_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
    if (!vd_file_ours(AT_FDCWD, path))
        return before(vfs)->xDelete(before(vfs), path, sync);
    if (vd_file_unlink(AT_FDCWD, path, 0) < 0)
        return errno == ENOENT ? SQLITE_IOERR_DELETE_NOENT : SQLITE_IOERR_DELETE;
    return sync && sync_folder(path) < 0 ? SQLITE_IOERR_DIR_FSYNC : SQLITE_OK;
}

static int v_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret)
{
    struct stat st;
    if (!vd_file_ours(AT_FDCWD, path))
        return before(vfs)->xAccess(before(vfs), path, flags, ret);
    bool there = vd_file_stat(AT_FDCWD, path, &st) == 0;
    if (!there && errno == EIO)
        return SQLITE_IOERR_ACCESS;
    /* an empty file is as good as none */
    *ret = there && (flags != SQLITE_ACCESS_EXISTS || !S_ISREG(st.st_mode) || st.st_size > 0);
    return SQLITE_OK;
}

static int v_full(sqlite3_vfs *vfs, const char *path, int n, char *out)
{
    if (!vd_file_ours(AT_FDCWD, path))
        return before(vfs)->xFullPathname(before(vfs), path, n, out);
    size_t len = strlen(path);
    if (len >= (size_t)n)
        return SQLITE_CANTOPEN;
    memcpy(out, path, len + 1);
    return SQLITE_OK;
}

/* From the simulator's stream; SQLite asks once a history and makes its own from that. */
static int v_random(sqlite3_vfs *vfs, int n, char *out)
{
    uint64_t s = the_disk.pick ? disk_pick_of(UINT64_C(1) << 62) : 1;
    (void)vfs;
    for (int i = 0; i < n; i++) {
        s = s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        out[i] = (char)(s >> 56);
    }
    return n;
}

static int v_sleep(sqlite3_vfs *vfs, int usec)
{
    (void)vfs;
    if (the_disk.wait)
        the_disk.wait(the_disk.clock_self, (uint64_t)usec);
    return usec;
}

static int v_time(sqlite3_vfs *vfs, sqlite3_int64 *ret)
{
    const int64_t unix_epoch = INT64_C(210866760000000); /* milliseconds of the Julian day */
    (void)vfs;
    *ret = unix_epoch + disk_wall() / 1000;
    return SQLITE_OK;
}

static int v_error(sqlite3_vfs *vfs, int n, char *out)
{
    (void)vfs;
    (void)n;
    (void)out;
    return errno;
}

/* A history begins: SQLite's random numbers begin anew with it. */
static void forget(void)
{
    sqlite3_randomness(0, NULL);
}

int disk_vfs_register(void)
{
    static sqlite3_vfs vfs = {
        .iVersion = 2,
        .mxPathname = 512,
        .zName = "sim",
        .xOpen = v_open,
        .xDelete = v_delete,
        .xAccess = v_access,
        .xFullPathname = v_full,
        .xRandomness = v_random,
        .xSleep = v_sleep,
        .xGetLastError = v_error,
        .xCurrentTimeInt64 = v_time,
    };
    sqlite3_vfs *old = sqlite3_vfs_find(NULL);
    if (!old)
        return -1;
    if (old != &vfs) {
        int own = (int)sizeof(vfs_file);
        vfs.pAppData = old;
        vfs.szOsFile = old->szOsFile > own ? old->szOsFile : own;
        vfs.mxPathname = old->mxPathname;
    }
    the_disk.died = vd_shm_process_died;
    the_disk.forget = forget;
    return sqlite3_vfs_register(&vfs, 1) == SQLITE_OK ? 0 : -1;
}
