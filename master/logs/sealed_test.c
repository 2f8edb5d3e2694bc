/* The sealed file: what is written is read; a file that is cut short or changed anywhere is refused
 * or an error, never believed. */
#include <inttypes.h>
#include <sys/mman.h>

#include "master/logs/fixture.h"
#include "shared/base/num.h"

static int mem_file(const void *p, size_t n)
{
    int fd = memfd_create("sealed", MFD_CLOEXEC);
    if (fd >= 0 && pw_fs_write_all(fd, p, n, NULL) < 0)
        pw_closep(&fd);
    return fd;
}

/* Three frames, a gap before the third, marks in the second. */
static int write_file(const char *dir, log_key key, pw_buf *bytes, pw_err *err)
{
    PW_AUTO(sealed_out_clear) sealed_out out = {.fd = -1};
    PW_AUTO(pw_freep) char *path = sealed_path(dir, key);
    frame_at f = {.t_first = 1000, .raw_len = 4, .lines = 1, .len = 4};
    uint64_t packed = 0;
    int r = sealed_out_begin(&out, dir, key, err);
    if (r == 0)
        r = sealed_out_frame(&out, &f, "one\n", err);
    f = (frame_at){
        .raw_pos = 4, .first_line = 1, .t_first = 2000, .raw_len = 12, .lines = 2, .len = 12};
    if (r == 0)
        r = sealed_out_mark(&out, 6, 500, err);
    if (r == 0)
        r = sealed_out_mark(&out, 3, -700, err);
    if (r == 0)
        r = sealed_out_frame(&out, &f, "abcde\nfghij\n", err);
    f = (frame_at){.raw_pos = 116, .first_line = 13, .t_first = 3000, .raw_len = 3, .len = 3};
    if (r == 0)
        r = sealed_out_frame(&out, &f, "end", err);
    if (r == 0)
        r = sealed_out_end(&out, 119, 13, 3333, &packed, err);
    if (r == 0)
        r = sealed_out_sync(&out, err);
    if (r == 0)
        r = sealed_out_publish(&out, err);
    if (r == 0)
        r = path ? pw_fs_read(path, 1 << 20, bytes, err) : PW_ENOMEM;
    if (r == 0 && packed != bytes->len)
        r = pw_fail(err, PW_ECORRUPT, "said %" PRIu64 " bytes, wrote %zu", packed, bytes->len);
    return r;
}

static void test_good(const pw_buf *b)
{
    PW_AUTO(log_view_closep) log_view *v = log_view_of_file(mem_file(b->p, b->len), NULL);
    char buf[64];
    uint64_t next = 0, bytes = 0, lines = 0, pos = 0;
    bool done = false;
    ok(b->len == 19 + 3 * SEALED_ENTRY + 6 + SEALED_FOOT, "its size is known");
    ok(v && log_view_size(v, &bytes, &lines, &done, NULL) == 0 && bytes == 119 && lines == 13 &&
           done,
       "totals");
    if (!v)
        return;
    ok(log_view_read(v, 0, buf, 64, &next, NULL) == 16 && next == 16 &&
           memcmp(buf, "one\nabcde\nfghij\n", 16) == 0 &&
           log_view_read(v, 16, buf, 64, &next, NULL) == 3 && next == 119 &&
           memcmp(buf, "end", 3) == 0 && log_view_read(v, 119, buf, 64, &next, NULL) == 0 &&
           next == 119 && log_view_read(v, UINT64_MAX, buf, 64, &next, NULL) == 0,
       "bytes");
    static const uint64_t line_at[] = {0, 0, 4, 10, 16, 116, 116};
    bool good = true;
    for (uint64_t i = 0; i < 7; i++)
        good &= log_view_line(v, i, &pos, NULL) == 0 && (pos == line_at[i] || i == 5 || i == 6);
    ok(good && log_view_line(v, 14, &pos, NULL) == 0 && pos == 116 &&
           log_view_line(v, 15, &pos, NULL) == 0 && pos == 119,
       "lines");
    static const struct {
        uint64_t pos;
        pw_msec t;
    } at[] = {{0, 1000},  {3, 1000},   {4, 2000},   {9, 2000},   {10, 2500},        {12, 2500},
              {13, 1800}, {100, 1800}, {116, 3000}, {118, 3000}, {UINT64_MAX, 3333}};
    good = true;
    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        pw_msec t = 0;
        good &= log_view_time(v, at[i].pos, &t, NULL) == 0 && t == at[i].t;
    }
    for (size_t i = sizeof(at) / sizeof(at[0]); i-- > 0;) {
        pw_msec t = 0;
        good &= log_view_time(v, at[i].pos, &t, NULL) == 0 && t == at[i].t;
    }
    ok(good, "times, in either order");
    uint64_t before = 0, behind = 0, there = 0;
    ok(log_view_gap(v, 116, &before, &behind, NULL) == 0 && before == 3 && behind == 13 &&
           log_view_gap(v, 119, &before, &behind, NULL) == 0 && before == 13 && behind == 13,
       "lines around a gap");
    static const uint64_t there_at[][2] = {{0, 0},    {16, 16},  {50, 16},
                                           {116, 16}, {118, 18}, {119, 19}};
    good = true;
    for (size_t i = 0; i < sizeof(there_at) / sizeof(there_at[0]); i++)
        good &= log_view_there(v, there_at[i][0], &there, NULL) == 0 && there == there_at[i][1];
    ok(good && log_view_nth(v, 15, &pos, NULL) == 0 && pos == 15 &&
           log_view_nth(v, 16, &pos, NULL) == 0 && pos == 116 &&
           log_view_nth(v, 19, &pos, NULL) == 0 && pos == 119,
       "positions and what is there");
}

/* True when the bytes are refused, or a frame of them is. */
static bool refused(const void *p, size_t n)
{
    PW_AUTO(log_view_closep) log_view *v = log_view_of_file(mem_file(p, n), NULL);
    char buf[64];
    uint64_t pos = 0;
    int64_t r = 1;
    while (v && r > 0)
        r = log_view_read(v, pos, buf, sizeof(buf), &pos, NULL);
    return !v || r < 0;
}

static void test_damage(pw_buf *b)
{
    size_t cut = 0, changed = 0;
    for (size_t n = 0; n < b->len; n++)
        cut += refused(b->p, n);
    for (size_t i = 0; i < b->len; i++) {
        b->p[i] ^= 0x10;
        changed += refused(b->p, b->len);
        b->p[i] ^= 0x10;
    }
    ok(cut == b->len, "cut short anywhere it is refused");
    ok(changed == b->len, "changed anywhere it is refused");
    ok(pw_buf_add(b, "x", 1) < 0 || refused(b->p, b->len), "with a byte behind it it is refused");
    b->len -= !b->failed;
}

/* Right sums over wrong numbers: what a hostile writer could make. */
static bool lies(const pw_buf *b, size_t from_end, uint64_t v, size_t bytes)
{
    PW_AUTO(pw_freep) uint8_t *p = malloc(b->len);
    if (!p)
        return true;
    memcpy(p, b->p, b->len);
    uint8_t *foot = p + b->len - SEALED_FOOT;
    for (size_t i = 0; i < bytes; i++)
        p[b->len - from_end + i] = (uint8_t)(v >> 8 * i);
    size_t index = 3 * SEALED_ENTRY + 6;
    pw_put_le32(foot + SEALED_INDEX_CRC, pw_crc32c(0, foot - index, index));
    pw_put_le32(foot + SEALED_FOOT_CRC, pw_crc32c(0, foot, SEALED_FOOT_CRC));
    return refused(p, b->len);
}

static void test_lies(const pw_buf *b)
{
    const size_t foot = SEALED_FOOT, index = foot + 6 + 3 * SEALED_ENTRY;
    ok(lies(b, foot - SEALED_FRAMES, UINT32_MAX, 4) && lies(b, foot - SEALED_FRAMES, 2, 4) &&
           lies(b, foot - SEALED_FRAMES, 4, 4) && lies(b, foot - SEALED_MARKS, UINT32_MAX, 4) &&
           lies(b, foot - SEALED_MARKS, 7, 4) && lies(b, foot - SEALED_BYTES, 118, 8) &&
           lies(b, foot - SEALED_BYTES, UINT64_MAX, 8) && lies(b, foot - SEALED_LINES, 12, 8) &&
           lies(b, foot - SEALED_LINES, 14, 8),
       "a foot that lies");
    ok(!lies(b, index - 2 * SEALED_ENTRY, 110, 8), "another gap is no lie: the sums are right");
    const size_t second = index - SEALED_ENTRY;
    ok(lies(b, second, 3, 8) && lies(b, second, UINT64_MAX, 8) && lies(b, second - 8, 0, 8) &&
           lies(b, second - 8, 5, 8) && lies(b, second - 16, 5, 8) && lies(b, second - 32, 0, 4) &&
           lies(b, second - 32, PW_FRAME_RAW_MAX + 1, 4) && lies(b, second - 36, 13, 4) &&
           lies(b, second - 40, 13, 4) && lies(b, second - 40, 0, 4) &&
           lies(b, second - 48, UINT32_MAX, 4) && lies(b, second - 35, 0x80, 1),
       "an entry that lies");
}

static void test_key(const char *dir, log_key key)
{
    PW_AUTO(pw_freep) char *path = sealed_path(dir, key);
    log_key other = {key.attempt, key.idx + 1, key.stream};
    pw_err err = {0};
    PW_AUTO(sealed_freep)
    sealed *s = path ? sealed_open(open(path, O_RDONLY | O_CLOEXEC), &key, NULL) : NULL;
    PW_AUTO(sealed_freep)
    sealed *wrong = path ? sealed_open(open(path, O_RDONLY | O_CLOEXEC), &other, &err) : NULL;
    ok(s && sealed_key(s).attempt == key.attempt && !wrong && err.code == PW_ECORRUPT,
       "it knows whose it is");
    ok(path && strstr(path, "/ab/171-2-1.log"), "its name");
}

/* Frames over the limits of the buffers of the writer, and none at all. */
static void test_large(const char *dir)
{
    PW_AUTO(sealed_out_clear) sealed_out out = {.fd = -1}, none = {.fd = -1};
    PW_AUTO(pw_freep) char *raw = calloc(1, PW_FRAME_RAW_MAX);
    log_key key = {1, 0, 0};
    uint64_t packed = 0, pos = 0, next = 0;
    int r = raw ? sealed_out_begin(&out, dir, key, NULL) : PW_ENOMEM;
    for (int i = 0; i < 30000 && r == 0; i++) {
        frame_at f = {.raw_pos = pos, .raw_len = i < 20 ? PW_FRAME_RAW_MAX : 1};
        f.len = f.raw_len;
        pos += f.raw_len;
        if ((r = sealed_out_mark(&out, UINT64_MAX, INT64_MIN, NULL)) == 0)
            r = sealed_out_frame(&out, &f, raw, NULL);
    }
    if (r == 0)
        r = sealed_out_end(&out, pos, 0, 0, &packed, NULL);
    if (r == 0)
        r = sealed_out_sync(&out, NULL);
    if (r == 0)
        r = sealed_out_publish(&out, NULL);
    PW_AUTO(pw_freep) char *path = sealed_path(dir, key);
    PW_AUTO(log_view_closep)
    log_view *v = path ? log_view_of_file(open(path, O_RDONLY | O_CLOEXEC), NULL) : NULL;
    char c;
    pw_msec t;
    ok(r == 0 && v && packed == pos + 30000 * (SEALED_ENTRY + 20) + SEALED_FOOT &&
           log_view_read(v, pos - 1, &c, 1, &next, NULL) == 1 && next == pos &&
           log_view_time(v, pos - 1, &t, NULL) == 0,
       "30,000 frames");
    key.attempt = 2;
    r = sealed_out_begin(&none, dir, key, NULL);
    if (r == 0)
        r = sealed_out_end(&none, 0, 0, 5, &packed, NULL);
    if (r == 0)
        r = sealed_out_sync(&none, NULL);
    if (r == 0)
        r = sealed_out_publish(&none, NULL);
    PW_AUTO(pw_freep) char *second = sealed_path(dir, key);
    PW_AUTO(log_view_closep)
    log_view *empty = second ? log_view_of_file(open(second, O_RDONLY | O_CLOEXEC), NULL) : NULL;
    ok(r == 0 && empty && packed == SEALED_FOOT &&
           log_view_read(empty, 0, &c, 1, &next, NULL) == 0 && next == 0 &&
           log_view_line(empty, 5, &pos, NULL) == 0 && pos == 0 &&
           log_view_time(empty, 0, &t, NULL) == 0 && t == 5,
       "none");
}

int main(void)
{
    char dir[] = "/tmp/pawl-sealed-XXXXXX";
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1 << 20);
    log_key key = {171, 2, 1};
    pw_err err = {0};
    if (!mkdtemp(dir))
        return 1;
    int r = write_file(dir, key, &b, &err);
    ok(r == 0, "a file is written (%s)", err.text);
    if (r == 0) {
        test_good(&b);
        test_damage(&b);
        test_lies(&b);
        test_key(dir, key);
    }
    test_large(dir);
    (void)pw_fs_remove_tree(dir, NULL);
    return tap_done();
}
