#include "shared/journal/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "shared/base/num.h"
#include "tests/tap.h"

enum { RECORDS = 5, START = 2 };

static char dir[] = "/tmp/journal_test.XXXXXX";
static char path[sizeof(dir) + 16];

static int add(journal_writer *w, uint8_t kind, const char *text, pw_err *err)
{
    struct iovec v = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
    return journal_append(w, kind, 0, kind * 1000u, &v, 1, err);
}

static int put_file(const uint8_t *p, size_t n)
{
    PW_AUTO(pw_closep) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return fd < 0 ? -1 : pw_fs_write_all(fd, p, n, NULL);
}

static uint64_t file_len(void)
{
    struct stat st;
    return stat(path, &st) < 0 ? 0 : (uint64_t)st.st_size;
}

/* A journal of RECORDS records in `b`; border[i] is where record i ends. */
static bool small_journal(pw_buf *b, size_t border[RECORDS])
{
    static const char *const text[RECORDS] = {"header", "start", "", "some more text", "end"};
    PW_AUTO(journal_writer_freep) journal_writer *w = NULL;
    (void)unlink(path);
    if (!(w = journal_create(path, NULL)))
        return false;
    for (uint8_t i = 0; i < RECORDS; i++) {
        if (add(w, (uint8_t)(i + 1), text[i], NULL) < 0)
            return false;
        border[i] = (size_t)journal_length(w);
    }
    return pw_fs_read(path, 4096, b, NULL) == 0 && b->len == border[RECORDS - 1];
}

static void test_format(void)
{
    PW_AUTO(journal_writer_freep) journal_writer *w = NULL;
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(4096);
    struct iovec v[2] = {{(void *)(uintptr_t) "ab", 2}, {(void *)(uintptr_t) "c", 1}};
    static const uint8_t want[15] = {3,    0,    0,    0,    9,   1,   0x06, 0x05,
                                     0x04, 0x03, 0x02, 0x01, 'a', 'b', 'c'};
    (void)unlink(path);
    w = journal_create(path, NULL);
    if (!w)
        return;
    ok(journal_length(w) == 0 && journal_chain(w) == 0, "a new journal is empty");
    ok(journal_append(w, 9, 1, UINT64_C(0x010203040506), v, 2, NULL) == 0, "appends");
    ok(journal_append(w, 10, 0, 0, NULL, 0, NULL) == 0, "an empty payload is legal");
    if (pw_fs_read(path, 4096, &b, NULL) < 0)
        return;
    const uint8_t *p = (const uint8_t *)b.p;
    ok(b.len == 19 + 16 && memcmp(p, want, 15) == 0, "the bytes of a record");
    /* the chain, computed once more: crc over the four bytes before and the record */
    uint8_t first[4 + 15] = {0};
    memcpy(first + 4, want, 15);
    uint32_t crc = pw_crc32c(0, first, sizeof(first));
    ok(pw_le32(p + 15) == crc, "the first checksum starts from 0");
    ok(pw_le32(p + 31) == pw_crc32c(0, p + 15, 4 + 12), "the second contains the first");
    ok(journal_chain(w) == pw_le32(p + 31) && journal_length(w) == b.len, "chain and length");

    journal_rec r;
    ok(journal_parse(p, b.len, 0, &r, NULL) == 19 && r.kind == 9 && r.flags == 1 &&
           r.time_us == UINT64_C(0x010203040506) && r.len == 3 && r.payload == p + 12 &&
           r.size == 19 && r.chain == crc,
       "is read back");
    ok(journal_parse(p, b.len, 1, &r, NULL) == PW_ECORRUPT,
       "another chain value is another journal");
    ok(journal_parse(p + 19, 16, 0, &r, NULL) == PW_ECORRUPT, "so is a record out of its place");
    struct stat st;
    ok(fstat(journal_fd(w), &st) == 0 && (st.st_mode & 0777) == 0600, "only its owner may read it");
}

static void test_bounds(void)
{
    uint8_t rec[16] = {0};
    journal_rec r;
    PW_AUTO(journal_writer_freep) journal_writer *w = NULL;
    pw_put_le32(rec, JOURNAL_PAYLOAD_MAX);
    rec[4] = 1;
    ok(journal_parse(rec, 16, 0, &r, NULL) == 0, "the largest length waits for its bytes");
    pw_put_le32(rec, JOURNAL_PAYLOAD_MAX + 1);
    ok(journal_parse(rec, 4, 0, &r, NULL) == PW_ECORRUPT, "one more is refused at once");
    memset(rec, 0, sizeof(rec));
    ok(journal_parse(rec, 16, 0, &r, NULL) == PW_ECORRUPT, "zeros are no record");
    ok(journal_parse(rec, 0, 0, &r, NULL) == 0 && journal_parse(rec, 3, 0, &r, NULL) == 0,
       "too few bytes to say");

    size_t n = JOURNAL_PAYLOAD_MAX;
    PW_AUTO(pw_freep) uint8_t *big = malloc(n + 1);
    PW_AUTO(pw_freep) uint8_t *back = malloc(n + 16);
    (void)unlink(path);
    w = journal_create(path, NULL);
    if (!big || !back || !w)
        return;
    for (size_t i = 0; i <= n; i++)
        big[i] = (uint8_t)(i * 7);
    struct iovec v[2] = {{big, n}, {big, 1}};
    ok(journal_append(w, 4, 0, 0, v, 2, NULL) == PW_ELIMIT && journal_length(w) == 0,
       "a payload of %zu bytes is refused", n + 1);
    ok(journal_append(w, 4, 0, 0, v, 1, NULL) == 0 && journal_length(w) == n + 16,
       "a payload of %zu bytes fits", n);
    ok(journal_append(w, 0, 0, 0, NULL, 0, NULL) == PW_EINVAL, "kind 0 is refused");
    ok(journal_append(w, 1, 0, UINT64_C(1) << 48, NULL, 0, NULL) == PW_EINVAL, "time over 48 bits");
    ok(journal_append(w, 1, 0, (UINT64_C(1) << 48) - 1, NULL, 0, NULL) == 0, "time of 48 bits");

    PW_AUTO(journal_reader_freep) journal_reader *rd = journal_open_read(path, NULL);
    uint32_t chain = 0;
    if (!rd)
        return;
    ok(journal_read(rd, 0, &chain, back, n + 15, NULL) == 0 && chain == 0,
       "a buffer too small for the record gets nothing");
    ok(journal_read(rd, 0, &chain, back, n + 16, NULL) == (int64_t)n + 16 &&
           memcmp(back + 12, big, n) == 0,
       "the largest record is read");
    ok(journal_read(rd, n + 16, &chain, back, n, NULL) == 16 && chain == journal_chain(w),
       "and what follows");
    ok(journal_read(rd, n + 32, &chain, back, n, NULL) == 0, "then nothing");
    ok(journal_read(rd, n + 5000, &chain, back, n, NULL) == 0, "nor behind the end");
    journal_summary s;
    ok(journal_survey(path, 4, &s, NULL) == 0 && s.length == n + 32 && s.started &&
           s.last_kind == 1,
       "surveyed");
}

/* What a walk in memory, a survey, a reader and the next writer make of the first n bytes. */
static bool torn_at(const pw_buf *b, size_t n, const size_t *border)
{
    uint8_t out[4096];
    size_t whole = 0;
    uint8_t last = 0;
    bool bad = true;
    uint32_t chain = 0, chain2 = 0, chain3 = 0;
    journal_summary s;
    for (uint8_t i = 0; i < RECORDS && border[i] <= n; i++) {
        whole = border[i];
        last = (uint8_t)(i + 1);
        chain3 = pw_le32((const uint8_t *)b->p + whole - 4);
    }
    if (journal_whole((const uint8_t *)b->p, n, &chain, &bad) != whole || bad || chain != chain3 ||
        put_file((const uint8_t *)b->p, n) < 0 || journal_survey(path, START, &s, NULL) < 0 ||
        s.length != whole || s.chain != chain || s.bad_inside || s.file_size != n ||
        s.last_kind != last || s.started != (whole >= border[1]))
        return false;
    PW_AUTO(journal_reader_freep) journal_reader *rd = journal_open_read(path, NULL);
    if (!rd || journal_read(rd, 0, &chain2, out, sizeof(out), NULL) != (int64_t)whole ||
        chain2 != chain || memcmp(out, b->p, whole) != 0 ||
        journal_read(rd, whole, &chain2, out, sizeof(out), NULL) != 0)
        return false;
    PW_AUTO(journal_writer_freep) journal_writer *w = journal_open_append(path, NULL);
    if (!w || journal_cut_bytes(w) != n - whole || journal_length(w) != whole ||
        journal_chain(w) != chain || file_len() != whole)
        return false;
    return add(w, 13, "exception", NULL) == 0 && journal_survey(path, START, &s, NULL) == 0 &&
           s.length == whole + 25 && s.last_kind == 13 && s.file_size == s.length;
}

static void test_torn(void)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(4096);
    size_t border[RECORDS];
    if (!small_journal(&b, border))
        return;
    for (size_t n = 0; n <= b.len; n++)
        if (!torn_at(&b, n, border))
            ok(false, "torn at %zu", n);
    ok(true, "a torn tail at any of %zu bytes is cut, and the journal goes on", b.len);
    /* zeros behind the end, as after a power cut */
    static const uint8_t zeros[5000];
    journal_summary s;
    PW_AUTO(pw_buf_clearp) pw_buf z = PW_BUF(10000);
    if (pw_buf_add(&z, b.p, b.len) < 0 || pw_buf_add(&z, zeros, sizeof(zeros)) < 0 ||
        put_file((const uint8_t *)z.p, z.len) < 0)
        return;
    ok(journal_survey(path, START, &s, NULL) == 0 && s.length == border[4] && !s.bad_inside,
       "zeros at the end are a torn tail");
}

static void test_flips(void)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(4096);
    size_t border[RECORDS];
    uint8_t out[4096];
    journal_summary s;
    if (!small_journal(&b, border))
        return;
    size_t missed = 0, changed = 0, read_on = 0;
    for (size_t bit = 0; bit < b.len * 8; bit += 3) { /* two or three of each byte */
        size_t at = bit / 8, hurt = 0;
        b.p[at] ^= (char)(1 << bit % 8);
        while (border[hurt] <= at)
            hurt++;
        size_t before = hurt > 0 ? border[hurt - 1] : 0;
        bool inside = hurt < RECORDS - 1;
        if (put_file((const uint8_t *)b.p, b.len) < 0 || journal_survey(path, START, &s, NULL) < 0)
            return;
        missed += s.length != before || s.bad_inside != inside;
        if (inside && bit % 8 == 3) {
            pw_err err = {0};
            PW_AUTO(journal_writer_freep) journal_writer *w = journal_open_append(path, &err);
            changed +=
                w || (err.code != PW_ECORRUPT && err.code != PW_ENOMEM) || file_len() != b.len;
        }
        PW_AUTO(journal_reader_freep) journal_reader *rd = journal_open_read(path, NULL);
        uint32_t chain = before ? pw_le32((const uint8_t *)b.p + before - 4) : 0;
        bool grown = pw_le32((const uint8_t *)b.p + before) > border[hurt] - before - 16;
        int64_t r = rd ? journal_read(rd, before, &chain, out, sizeof(out), NULL) : 0;
        /* a length that became larger looks like a record that is not all there yet */
        read_on += r > 0 || (inside && !grown && r != PW_ECORRUPT);
        b.p[at] ^= (char)(1 << bit % 8);
    }
    ok(missed == 0, "any flipped bit is found, and known from a torn tail: %zu missed", missed);
    ok(changed == 0, "a journal damaged inside is refused unchanged");
    ok(read_on == 0, "the reader gives nothing of a damaged record");
}

/* Damage that is longer than a window of the search. */
static void test_far_damage(void)
{
    PW_AUTO(journal_writer_freep) journal_writer *w = NULL;
    PW_AUTO(pw_freep) uint8_t *big = calloc(1, JOURNAL_PAYLOAD_MAX);
    PW_AUTO(pw_closep) int fd = -1;
    journal_summary s;
    (void)unlink(path);
    if (!big || !(w = journal_create(path, NULL)) || add(w, 1, "header", NULL) < 0)
        return;
    uint64_t from = journal_length(w);
    struct iovec v = {big, JOURNAL_PAYLOAD_MAX};
    for (int i = 0; i < 4; i++)
        if (journal_append(w, 4, 0, 0, &v, 1, NULL) < 0)
            return;
    uint64_t to = journal_length(w);
    if (add(w, 13, "end", NULL) < 0)
        return;
    fd = open(path, O_WRONLY | O_CLOEXEC);
    for (uint64_t at = from; at < to - 4; at += JOURNAL_PAYLOAD_MAX) /* all but the last checksum */
        if (pwrite(fd, big, at + JOURNAL_PAYLOAD_MAX < to - 4 ? JOURNAL_PAYLOAD_MAX : to - 4 - at,
                   (off_t)at) < 0)
            return;
    ok(journal_survey(path, START, &s, NULL) == 0 && s.length == from && s.bad_inside,
       "a good record behind 3 MiB of zeros is found");
    ok(ftruncate(fd, (off_t)to - 4) == 0 && journal_survey(path, START, &s, NULL) == 0 &&
           s.length == from && !s.bad_inside,
       "without it the zeros are a torn tail");
}

static void test_lock(void)
{
    pw_err err = {0};
    (void)unlink(path);
    ok(journal_lock_free(path), "no file, no lock");
    ok(!journal_open_append(path, &err) && (err.code == PW_ENOTFOUND || err.code == PW_ENOMEM),
       "no file to append to");
    PW_AUTO(journal_writer_freep) journal_writer *w = journal_create(path, NULL);
    if (!w)
        return;
    ok(!journal_lock_free(path), "a new journal is locked");
    PW_AUTO(journal_writer_freep) journal_writer *other = journal_open_append(path, &err);
    ok(!other && (err.code == PW_EAGAIN || err.code == PW_ENOMEM), "a second writer is refused");
    PW_AUTO(journal_writer_freep) journal_writer *again = journal_create(path, &err);
    ok(!again && (err.code == PW_ECONFLICT || err.code == PW_ENOMEM), "so is a second creation");
    ok(add(w, 1, "header", NULL) == 0 && journal_sync(w, NULL) == 0, "the first goes on");
    uint32_t chain = journal_chain(w);
    journal_writer_freep(&w);
    ok(journal_lock_free(path), "free when closed");
    again = journal_open_append(path, &err);
    if (!again)
        return;
    ok(journal_length(again) == 22 && journal_chain(again) == chain &&
           journal_cut_bytes(again) == 0,
       "opened again at its end");
    ok(!journal_lock_free(path), "and locked again");
    journal_summary s;
    ok(add(again, START, "start", NULL) == 0 && journal_survey(path, START, &s, NULL) == 0 &&
           s.length == 43 && s.started && s.last_kind == START && s.chain == journal_chain(again),
       "the chain goes on");
}

static void test_full(void)
{
    PW_AUTO(journal_writer_freep) journal_writer *w = NULL;
    struct rlimit old, lim;
    pw_err err = {0};
    (void)unlink(path);
    if (getrlimit(RLIMIT_FSIZE, &old) < 0 || !(w = journal_create(path, NULL)))
        return;
    (void)signal(SIGXFSZ, SIG_IGN);
    lim = old;
    lim.rlim_cur = 64;
    ok(add(w, 1, "header", NULL) == 0 && setrlimit(RLIMIT_FSIZE, &lim) == 0, "room for 64 bytes");
    ok(add(w, 2, "this one is too long for what is left of it", &err) == PW_EFULL,
       "a short append");
    ok(journal_length(w) == 22 && file_len() == 22, "is cut back");
    ok(add(w, 3, "12345678901234567890123456", &err) == 0 && file_len() == 64,
       "a shorter one fits");
    ok(add(w, 4, "", &err) == PW_EFULL && err.sys == EFBIG && file_len() == 64,
       "then nothing does");
    ok(setrlimit(RLIMIT_FSIZE, &old) == 0 && add(w, 5, "end", NULL) == 0, "it stays usable");
    journal_summary s;
    ok(journal_survey(path, START, &s, NULL) == 0 && s.length == 64 + 19 && s.last_kind == 5 &&
           s.file_size == s.length && s.chain == journal_chain(w),
       "and holds what was appended");
}

static void test_reserve(void)
{
    PW_AUTO(journal_writer_freep) journal_writer *w = NULL;
    struct stat st;
    (void)unlink(path);
    if (!(w = journal_create(path, NULL)))
        return;
    pw_err err = {0};
    int r = journal_reserve(w, 1024 * 1024, &err);
    if (r == PW_ESYS && err.sys == EOPNOTSUPP)
        return;
    ok(r == 0 && fstat(journal_fd(w), &st) == 0 && st.st_size == 0 &&
           st.st_blocks * 512 >= 1024 * 1024,
       "room is reserved, the length stays");
    ok(add(w, 1, "header", NULL) == 0 && file_len() == 22, "appends go into it");
    ok(journal_reserve(w, UINT64_MAX, NULL) == PW_EINVAL && journal_reserve(w, 0, NULL) == 0,
       "odd sizes");
}

static void test_opening(void)
{
    pw_err err = {0};
    uint32_t chain = 0;
    uint8_t buf[64];
    ok(!journal_open_read("/nonexistent/journal", &err) &&
           (err.code == PW_ENOTFOUND || err.code == PW_ENOMEM),
       "reading what is not there");
    journal_summary s;
    ok(journal_survey("/nonexistent/journal", 0, &s, &err) == PW_ENOTFOUND, "surveying it");
    ok(journal_survey(dir, 0, &s, &err) == PW_EINVAL, "a folder is no journal");
    ok(!journal_create("/nonexistent/journal", &err) &&
           (err.code == PW_ESYS || err.code == PW_ENOMEM),
       "creating where nothing can be");
    PW_AUTO(journal_reader_freep) journal_reader *rd = NULL;
    if (put_file((const uint8_t *)"", 0) == 0 && (rd = journal_open_read(path, NULL)))
        ok(journal_read(rd, 0, &chain, buf, sizeof(buf), NULL) == 0 &&
               journal_read(rd, UINT64_MAX, &chain, buf, sizeof(buf), NULL) == PW_EINVAL,
           "an empty journal");
    ok(journal_writer_free(NULL) == NULL && journal_reader_free(NULL) == NULL, "freeing nothing");
}

static void test_reuse(void)
{
    char next[sizeof(path) + 8];
    pw_err err = {0};
    struct iovec iov = {(void *)(uintptr_t) "abc", 3};
    (void)snprintf(next, sizeof(next), "%s.next", path);
    (void)unlink(path);
    journal_writer *w = journal_create(path, NULL);
    ok(w && journal_append(w, 2, 0, 1, &iov, 1, NULL) == 0, "an old journal");
    (void)journal_writer_free(w);
    w = journal_reuse(path, next, NULL);
    ok(w && journal_length(w) == 0 && journal_append(w, 3, 0, 1, &iov, 1, NULL) == 0,
       "its file is a new journal");
    ok(!journal_reuse(next, path, &err) && access(path, F_OK) < 0, "a locked file is not taken");
    (void)journal_writer_free(w);
    journal_summary sum = {0};
    ok(journal_survey(next, 3, &sum, NULL) == 0 && sum.started && sum.length == sum.file_size,
       "nothing of the old is in it");
    w = journal_create(path, NULL);
    (void)journal_writer_free(w);
    ok(!journal_reuse(next, path, &err) && (err.code == PW_ECONFLICT || err.code == PW_ENOMEM),
       "a name in use is refused");
    (void)unlink(next);
}

int main(void)
{
    if (!mkdtemp(dir))
        return 1;
    (void)snprintf(path, sizeof(path), "%s/journal", dir);
    test_format();
    test_bounds();
    test_torn();
    test_flips();
    test_far_damage();
    test_lock();
    test_full();
    test_reserve();
    test_opening();
    test_reuse();
    (void)unlink(path);
    ok(rmdir(dir) == 0, "nothing else was left in the folder");
    return tap_done();
}
