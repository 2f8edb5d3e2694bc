/* journal.c - the record format and the writer. */
#include "shared/journal/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shared/base/fault.h"
#include "shared/base/fs.h"
#include "shared/base/num.h"
#include "shared/journal/scan.h"

enum {
    IOV_MAX_PAYLOAD = 14, /* parts of one payload; callers need 3 */
    LOCK_TRIES = 4,       /* journal_lock_free() holds the lock shared for some microseconds */
};
#define TIME_MAX ((UINT64_C(1) << 48) - 1)

struct journal_writer {
    int fd;
    uint32_t chain;
    uint64_t end;
    uint64_t cut;
    uint64_t reserved; /* the disk has room up to here; 0 none */
};

int journal_parse(const uint8_t *p, size_t n, uint32_t chain, journal_rec *ret, pw_err *err)
{
    uint8_t before[4];
    if (n < 4)
        return 0;
    size_t len = pw_le32(p);
    if (len > JOURNAL_PAYLOAD_MAX)
        return pw_fail(err, PW_ECORRUPT, "journal record claims %zu bytes", len);
    /* no kind is 0, so a stretch of zeros is seen at once and is never a record by chance */
    if (n > 4 && p[4] == 0)
        return pw_fail(err, PW_ECORRUPT, "journal record has no kind");
    size_t size = JOURNAL_HEAD + len + JOURNAL_TAIL;
    if (n < size)
        return 0;
    pw_put_le32(before, chain);
    uint32_t crc = pw_crc32c(pw_crc32c(0, before, 4), p, size - JOURNAL_TAIL);
    if (crc != pw_le32(p + size - JOURNAL_TAIL))
        return pw_fail(err, PW_ECORRUPT, "journal record has a wrong checksum");
    *ret = (journal_rec){
        .kind = p[4],
        .flags = p[5],
        .time_us = pw_le64(p + 4) >> 16,
        .payload = p + JOURNAL_HEAD,
        .len = len,
        .size = size,
        .chain = crc,
    };
    return (int)size;
}

size_t journal_whole(const uint8_t *p, size_t n, uint32_t *chain, bool *bad)
{
    journal_rec rec;
    size_t at = 0;
    int r;
    while ((r = journal_parse(p + at, n - at, *chain, &rec, NULL)) > 0) {
        at += (size_t)r;
        *chain = rec.chain;
    }
    *bad = r < 0;
    return at;
}

/* ---- writer */

static int fail_room(pw_err *err, const char *what)
{
    if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
        return pw_fail_at(err, __FILE__, __LINE__, PW_EFULL, errno, "no room: %s", what);
    return pw_fail_sys(err, "%s", what);
}

static journal_writer *writer_new(pw_err *err)
{
    journal_writer *self = calloc(1, sizeof(*self));
    if (!self)
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
    else
        self->fd = -1;
    return self;
}

journal_writer *journal_writer_free(journal_writer *self)
{
    if (self) {
        pw_closep(&self->fd);
        free(self);
    }
    return NULL;
}

/* Nobody can know the name before its maker tells it, so the instant between open and lock is
 * nobody's. */
journal_writer *journal_create(const char *path, pw_err *err)
{
    PW_AUTO(journal_writer_freep) journal_writer *self = writer_new(err);
    if (!self)
        return NULL;
    if ((self->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0) {
        if (errno == EEXIST)
            (void)pw_fail(err, PW_ECONFLICT, "journal \"%s\" exists", path);
        else
            (void)pw_fail_sys(err, "creating journal \"%s\"", path);
        return NULL;
    }
    if (flock(self->fd, LOCK_EX | LOCK_NB) < 0) {
        (void)pw_fail_sys(err, "locking journal \"%s\"", path);
        (void)unlink(path);
        return NULL;
    }
    return pw_take(self);
}

/* One byte stays, and is no record: cutting a file to nothing gives its block away and makes some
 * file systems write it out when it is closed. The first append overwrites it. */
journal_writer *journal_reuse(const char *old, const char *path, pw_err *err)
{
    PW_AUTO(journal_writer_freep) journal_writer *self = writer_new(err);
    if (!self)
        return NULL;
    if ((self->fd = open(old, O_RDWR | O_CLOEXEC | O_NOFOLLOW)) < 0 ||
        flock(self->fd, LOCK_EX | LOCK_NB) < 0 || ftruncate(self->fd, 1) < 0) {
        (void)pw_fail_sys(err, "using journal \"%s\" again", old);
        return NULL;
    }
    if (renameat2(AT_FDCWD, old, AT_FDCWD, path, RENAME_NOREPLACE) < 0) {
        if (errno == EEXIST)
            (void)pw_fail(err, PW_ECONFLICT, "journal \"%s\" exists", path);
        else
            (void)pw_fail_sys(err, "creating journal \"%s\"", path);
        return NULL;
    }
    return pw_take(self);
}

static int take_lock(int fd)
{
    for (int i = 1; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
        if (errno != EINTR && (errno != EWOULDBLOCK || i >= LOCK_TRIES))
            return -1;
        struct timespec pause = {.tv_nsec = 500000};
        (void)nanosleep(&pause, NULL);
    }
    return 0;
}

journal_writer *journal_open_append(const char *path, pw_err *err)
{
    PW_AUTO(journal_writer_freep) journal_writer *self = writer_new(err);
    journal_summary s;
    if (!self)
        return NULL;
    if ((self->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)) < 0) {
        if (errno == ENOENT)
            (void)pw_fail(err, PW_ENOTFOUND, "there is no journal \"%s\"", path);
        else
            (void)pw_fail_sys(err, "opening journal \"%s\"", path);
        return NULL;
    }
    if (take_lock(self->fd) < 0) {
        if (errno == EWOULDBLOCK)
            (void)pw_fail(err, PW_EAGAIN, "another process appends to journal \"%s\"", path);
        else
            (void)pw_fail_sys(err, "locking journal \"%s\"", path);
        return NULL;
    }
    if (journal_scan(self->fd, 0, &s, err) < 0) {
        if (err)
            (void)pw_err_context(err, "journal \"%s\"", path);
        return NULL;
    }
    if (s.bad_inside) {
        (void)pw_fail(err, PW_ECORRUPT,
                      "journal \"%s\" is damaged at byte %llu, with good records behind", path,
                      (unsigned long long)s.length);
        return NULL;
    }
    if (s.length < s.file_size && ftruncate(self->fd, (off_t)s.length) < 0) {
        (void)pw_fail_sys(err, "cutting the torn end of journal \"%s\"", path);
        return NULL;
    }
    self->end = s.length;
    self->chain = s.chain;
    self->cut = s.file_size - s.length;
    return pw_take(self);
}

/* Back to the last whole record. The kernel gives up room that was reserved behind the end when it
 * truncates, so it is asked for again; that is a best effort, as the truncation itself: the next
 * append writes over what was left. */
static void cut_back(journal_writer *self)
{
    struct stat st;
    if (fstat(self->fd, &st) == 0 && (uint64_t)st.st_size == self->end)
        return;
    if (ftruncate(self->fd, (off_t)self->end) == 0 && self->reserved > self->end)
        (void)fallocate(self->fd, FALLOC_FL_KEEP_SIZE, (off_t)self->end,
                        (off_t)(self->reserved - self->end));
}

static ssize_t write_record(journal_writer *self, struct iovec *v, int n)
{
    ssize_t w;
    if (pw_fault("journal.append")) { /* half a head, then the disk is full */
        n = 1;
        v[0].iov_len = JOURNAL_HEAD / 2;
    }
    do
        w = pwritev(self->fd, v, n, (off_t)self->end);
    while (w < 0 && errno == EINTR);
    return w;
}

int journal_append(journal_writer *self, uint8_t kind, uint8_t flags, uint64_t time_us,
                   const struct iovec *iov, int n, pw_err *err)
{
    uint8_t before[4], head[JOURNAL_HEAD], tail[JOURNAL_TAIL];
    struct iovec v[IOV_MAX_PAYLOAD + 2];
    size_t len = 0;
    if (kind == 0 || n < 0 || n > IOV_MAX_PAYLOAD || time_us > TIME_MAX)
        return pw_fail(err, PW_EINVAL, "journal record of kind %u, %d parts, time %llu",
                       (unsigned)kind, n, (unsigned long long)time_us);
    for (int i = 0; i < n; i++) {
        if (iov[i].iov_len > JOURNAL_PAYLOAD_MAX - len)
            return pw_fail(err, PW_ELIMIT, "journal record has more than %d bytes",
                           JOURNAL_PAYLOAD_MAX);
        len += iov[i].iov_len;
        v[i + 1] = iov[i];
    }
    pw_put_le32(before, self->chain);
    pw_put_le64(head + 4, time_us << 16 | (uint64_t)flags << 8 | kind);
    pw_put_le32(head, (uint32_t)len);
    uint32_t crc = pw_crc32c(pw_crc32c(0, before, sizeof(before)), head, sizeof(head));
    for (int i = 0; i < n; i++)
        crc = pw_crc32c(crc, iov[i].iov_base, iov[i].iov_len);
    pw_put_le32(tail, crc);
    v[0] = (struct iovec){.iov_base = head, .iov_len = sizeof(head)};
    v[n + 1] = (struct iovec){.iov_base = tail, .iov_len = sizeof(tail)};

    size_t size = sizeof(head) + len + sizeof(tail);
    ssize_t w = write_record(self, v, n + 2);
    if (w < 0 || (size_t)w != size) {
        if (w >= 0)
            errno = ENOSPC; /* a regular file takes less only when there is no more room */
        int r = fail_room(err, "appending to a journal");
        cut_back(self);
        return r;
    }
    self->end += size;
    self->chain = crc;
    return 0;
}

int journal_sync(journal_writer *self, pw_err *err)
{
    if (pw_fault("journal.sync")) {
        errno = EIO;
        return pw_fail_sys(err, "syncing a journal");
    }
    if (fdatasync(self->fd) < 0)
        return fail_room(err, "syncing a journal");
    return 0;
}

int journal_reserve(journal_writer *self, uint64_t bytes, pw_err *err)
{
    int r;
    if (bytes == 0)
        return 0;
    if (bytes > INT64_MAX - self->end)
        return pw_fail(err, PW_EINVAL, "reserving %llu bytes", (unsigned long long)bytes);
    do
        r = fallocate(self->fd, FALLOC_FL_KEEP_SIZE, (off_t)self->end, (off_t)bytes);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return fail_room(err, "reserving room for a journal");
    if (self->reserved < self->end + bytes)
        self->reserved = self->end + bytes;
    return 0;
}

uint64_t journal_length(const journal_writer *self)
{
    return self->end;
}

uint32_t journal_chain(const journal_writer *self)
{
    return self->chain;
}

uint64_t journal_cut_bytes(const journal_writer *self)
{
    return self->cut;
}

int journal_fd(const journal_writer *self)
{
    return self->fd;
}
