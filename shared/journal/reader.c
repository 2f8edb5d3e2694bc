/* reader.c - reading a journal while another process may append to it, and looking at a whole one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/buf.h"
#include "shared/base/fs.h"
#include "shared/base/num.h"
#include "shared/journal/journal.h"
#include "shared/journal/scan.h"

enum {
    BLOCK = 1024 * 1024, /* one read of a scan; holds any record */
    /* Checksums over candidate records while looking behind a bad one: damage by chance needs some
     * 80 bytes of them for a byte of file, so only a crafted file comes here; it is then called
     * damaged. */
    SCAN_BUDGET = 256 * 1024 * 1024,
};
_Static_assert((int)BLOCK > (int)JOURNAL_RECORD_MAX, "a block holds the largest record");

/* Up to n bytes at `at`; less only at the end of the file. */
static ssize_t pread_some(int fd, void *p, size_t n, uint64_t at, pw_err *err)
{
    ssize_t r;
    do
        r = pread(fd, p, n, (off_t)at);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return pw_fail_sys(err, "reading a journal");
    return r;
}

static int file_size(int fd, uint64_t *ret_size, pw_err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return pw_fail_sys(err, "reading a journal");
    if (!S_ISREG(st.st_mode))
        return pw_fail(err, PW_EINVAL, "a journal is not a regular file");
    *ret_size = (uint64_t)st.st_size;
    return 0;
}

/* ---- looking behind a bad record */

struct hunt {
    const uint8_t *p; /* the window */
    size_t n;
    size_t budget;
};

/* Whether a right record stands at p[at], with the chain value that stands before it in the file,
 * or `chain` too. */
static bool good_at(struct hunt *h, size_t at, const uint32_t *chain)
{
    journal_rec rec;
    size_t left = h->n - at;
    if (left < JOURNAL_HEAD + JOURNAL_TAIL || h->p[at + 4] == 0)
        return false;
    size_t len = pw_le32(h->p + at);
    if (len > JOURNAL_PAYLOAD_MAX || len > left - JOURNAL_HEAD - JOURNAL_TAIL)
        return false;
    h->budget -= h->budget < len ? h->budget : len;
    if (at >= 4 && journal_parse(h->p + at, left, pw_le32(h->p + at - 4), &rec, NULL) > 0)
        return true;
    return chain && journal_parse(h->p + at, left, *chain, &rec, NULL) > 0;
}

/* The record at p[0] is bad. If only its own checksum is damaged, the next one still fits the right
 * value. */
static bool next_fits(struct hunt *h, uint32_t chain)
{
    uint8_t before[4];
    if (h->n < JOURNAL_HEAD + JOURNAL_TAIL || pw_le32(h->p) > JOURNAL_PAYLOAD_MAX)
        return false;
    size_t size = JOURNAL_HEAD + (size_t)pw_le32(h->p) + JOURNAL_TAIL;
    if (size >= h->n)
        return false;
    pw_put_le32(before, chain);
    uint32_t crc = pw_crc32c(pw_crc32c(0, before, 4), h->p, size - JOURNAL_TAIL);
    return good_at(h, size, &crc);
}

int journal_scan_behind(int fd, uint64_t bad, uint64_t size, uint32_t chain, bool *ret_found,
                        pw_err *err)
{
    const size_t cap = size - bad < 2 * BLOCK ? (size_t)(size - bad) : 2 * BLOCK;
    PW_AUTO(pw_freep) uint8_t *buf = malloc(cap + 1);
    struct hunt h = {.p = buf, .budget = SCAN_BUDGET};
    bool found = false;
    if (!buf)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    for (uint64_t from = bad; !found && from < size;) {
        ssize_t r = pread_some(fd, buf, cap, from, err);
        if (r < 0)
            return (int)r;
        h.n = (size_t)r;
        bool last = from + h.n >= size || h.n < cap;
        size_t stop = last ? h.n : BLOCK; /* candidates before it are whole in the window */
        if (from == bad)
            found = next_fits(&h, chain);
        for (size_t at = 4; !found && at < stop && h.budget > 0; at++)
            found = good_at(&h, at, NULL);
        if (last || h.budget == 0)
            break;
        from += stop - 4; /* the four bytes before a candidate are its chain value */
    }
    *ret_found = found || h.budget == 0;
    return 0;
}

/* ---- the whole file */

static void note_records(const uint8_t *p, size_t n, uint8_t start_kind, journal_summary *s)
{
    for (size_t at = 0; at < n;) {
        s->last_kind = p[at + 4];
        if (start_kind != 0 && p[at + 4] == start_kind)
            s->started = true;
        at += JOURNAL_HEAD + (size_t)pw_le32(p + at) + JOURNAL_TAIL;
    }
}

int journal_scan(int fd, uint8_t start_kind, journal_summary *ret, pw_err *err)
{
    journal_summary s = {0};
    int r = file_size(fd, &s.file_size, err);
    if (r < 0)
        return r;
    const size_t cap = s.file_size < BLOCK ? (size_t)s.file_size : BLOCK;
    PW_AUTO(pw_freep) uint8_t *buf = malloc(cap + 1);
    if (!buf)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    while (s.length < s.file_size) {
        bool bad;
        uint64_t left = s.file_size - s.length;
        ssize_t n = pread_some(fd, buf, left < cap ? (size_t)left : cap, s.length, err);
        if (n < 0)
            return (int)n;
        size_t whole = journal_whole(buf, (size_t)n, &s.chain, &bad);
        note_records(buf, whole, start_kind, &s);
        s.length += whole;
        if (bad || whole == 0)
            break;
    }
    if (s.length < s.file_size &&
        (r = journal_scan_behind(fd, s.length, s.file_size, s.chain, &s.bad_inside, err)) < 0)
        return r;
    *ret = s;
    return 0;
}

static int open_read(const char *path, pw_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return pw_fail(err, PW_ENOTFOUND, "there is no journal \"%s\"", path);
    if (fd < 0)
        return pw_fail_sys(err, "opening journal \"%s\"", path);
    return fd;
}

int journal_survey(const char *path, uint8_t start_kind, journal_summary *ret, pw_err *err)
{
    PW_AUTO(pw_closep) int fd = open_read(path, err);
    if (fd < 0)
        return fd;
    int r = journal_scan(fd, start_kind, ret, err);
    if (r < 0)
        (void)pw_err_context(err, "journal \"%s\"", path);
    return r;
}

bool journal_lock_free(const char *path)
{
    PW_AUTO(pw_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT; /* no file, no lock; otherwise we cannot know, and waiting is the
                                   harmless answer */
    return flock(fd, LOCK_SH | LOCK_NB) == 0;
}

/* ---- reader */

struct journal_reader {
    int fd;
};

journal_reader *journal_open_read(const char *path, pw_err *err)
{
    PW_AUTO(journal_reader_freep) journal_reader *self = calloc(1, sizeof(*self));
    if (!self) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->fd = open_read(path, err);
    if (self->fd < 0)
        return NULL;
    return pw_take(self);
}

journal_reader *journal_reader_free(journal_reader *self)
{
    if (self) {
        pw_closep(&self->fd);
        free(self);
    }
    return NULL;
}

int64_t journal_read(journal_reader *self, uint64_t offset, uint32_t *chain, uint8_t *buf,
                     size_t cap, pw_err *err)
{
    uint32_t value = *chain;
    uint64_t size;
    bool bad, inside = true;
    int r;
    if (offset > INT64_MAX)
        return pw_fail(err, PW_EINVAL, "no journal is as long as that");
    ssize_t n = pread_some(self->fd, buf, cap, offset, err);
    if (n < 0)
        return n;
    size_t whole = journal_whole(buf, (size_t)n, &value, &bad);
    if (whole > 0 || !bad) {
        *chain = value;
        return (int64_t)whole;
    }
    /* A torn end is at most one record long, and nothing good follows it. */
    if ((r = file_size(self->fd, &size, err)) < 0)
        return r;
    if (size <= offset + JOURNAL_RECORD_MAX &&
        (r = journal_scan_behind(self->fd, offset, size, *chain, &inside, err)) < 0)
        return r;
    if (inside)
        return pw_fail(err, PW_ECORRUPT, "a journal is damaged at byte %llu",
                       (unsigned long long)offset);
    return 0;
}
