#include "shared/job/record.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/num.h"
#include "shared/job/job.h"
#include "tests/tap.h"

/* Encodes, decodes, encodes again. */
static bool same(const pw_schema *sc, const void *in, void *out)
{
    PW_AUTO(pw_buf_clearp) pw_buf a = PW_BUF(10000);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(10000);
    pw_err err = {0};
    bool good = pw_schema_encode(sc, in, &a, &err) == 0 &&
                pw_schema_decode(sc, a.p, a.len, out, &err) == 0 &&
                pw_schema_encode(sc, out, &b, &err) == 0 && a.len == b.len &&
                memcmp(a.p, b.p, a.len) == 0;
    if (!good)
        printf("# %s\n", err.text);
    return good;
}

static void test_schemas(void)
{
    rec_header h = {1, 2, 3, {(uint8_t *)(uintptr_t) "12345678901234567890123456789012", 32}, 4},
               h2 = {0};
    rec_start s = {99, 1700000000000, (char *)"/spool/work/p/b/0"}, s2 = {0};
    rec_step_start ss = {0, 1700000000001}, ss2 = {0};
    rec_step_end se = {1,       PW_FAILURE, true, 2, 0, (char *)"exit 2", 1700000000002, 12,
                       1 << 20, 77,         4096, 5, 6},
                 se2 = {0};
    rec_property p = {1, (char *)"name", (char *)""}, p2 = {0};
    rec_end e = {PW_CANCELLED, 1700000000003, NULL, NULL, 0}, e2 = {0};
    rec_cut c = {1, PW_STREAM_ERR, 1000, 50}, c2 = {0};
    ok(same(&rec_header_schema, &h, &h2) && h2.run == 4 && h2.digest.n == 32 &&
           h2.digest.p[31] == '2',
       "header");
    ok(same(&rec_start_schema, &s, &s2) && s2.pid == 99 && !strcmp(s2.workdir, s.workdir), "start");
    ok(same(&rec_step_start_schema, &ss, &ss2) && ss2.step == 0 && ss2.wall_ms == ss.wall_ms,
       "step_start");
    ok(same(&rec_step_end_schema, &se, &se2) && se2.result == PW_FAILURE && se2.ran &&
           se2.exit_code == 2 && se2.signal == 0 && se2.cpu_ms == 12 && se2.max_rss == 1 << 20 &&
           se2.lines == 77 && se2.bytes == 4096 && !strcmp(se2.reason, "exit 2"),
       "step_end");
    ok(same(&rec_property_schema, &p, &p2) && p2.step == 1 && !strcmp(p2.name, "name") &&
           !*p2.value,
       "property");
    ok(same(&rec_end_schema, &e, &e2) && e2.result == PW_CANCELLED && !e2.reason, "end");
    ok(same(&rec_cut_schema, &c, &c2) && c2.stream == 1 && c2.position == 1000 && c2.bytes == 50,
       "cut");
    pw_schema_clear(&rec_header_schema, &h2);
    pw_schema_clear(&rec_start_schema, &s2);
    pw_schema_clear(&rec_step_end_schema, &se2);
    pw_schema_clear(&rec_property_schema, &p2);
    pw_schema_clear(&rec_end_schema, &e2);
}

static void test_log_head(void)
{
    uint8_t buf[RECORD_LOG_HEAD + 4] = {0};
    rec_log in = {
        .step = 0x0102,
        .stream = PW_STREAM_ERR,
        .codec = PW_CODEC_ZSTD,
        .raw_len = 0x00010203,
        .lines = 0x0a0b,
        .raw_pos = UINT64_C(0x1122334455667788),
        .first_line = 0x99,
        .t_first_ms = 0x1111,
        .t_last_ms = 0x2222,
    };
    static const uint8_t want[RECORD_LOG_HEAD] = {
        0x02, 0x01, 1,    1,    0x03, 0x02, 0x01, 0,    0x0b, 0x0a, 0, 0, 0, 0, 0, 0,
        0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x99, 0,    0, 0, 0, 0, 0, 0,
        0x11, 0x11, 0,    0,    0,    0,    0,    0,    0x22, 0x22, 0, 0, 0, 0, 0, 0};
    rec_log out;
    rec_log_put_head(&in, buf);
    ok(memcmp(buf, want, sizeof(want)) == 0, "the head's bytes");
    in.step = 7;
    rec_log_put_head(&in, buf);
    memcpy(buf + RECORD_LOG_HEAD, "zstd", 4);
    ok(rec_log_get(buf, sizeof(buf), &out, NULL) == 0 && out.step == 7 && out.stream == 1 &&
           out.codec == 1 && out.raw_len == in.raw_len && out.lines == in.lines &&
           out.raw_pos == in.raw_pos && out.first_line == 0x99 && out.t_first_ms == 0x1111 &&
           out.t_last_ms == 0x2222 && out.frame_len == 4 && memcmp(out.frame, "zstd", 4) == 0,
       "is read back");
}

/* A valid record of 8 raw bytes. */
static void valid(rec_log *r)
{
    *r = (rec_log){.raw_len = 8, .lines = 1, .raw_pos = 100, .first_line = 5};
}

static int get(const rec_log *r, size_t frame_len)
{
    uint8_t buf[RECORD_LOG_HEAD + 16] = {0};
    rec_log out;
    rec_log_put_head(r, buf);
    return rec_log_get(buf, RECORD_LOG_HEAD + frame_len, &out, NULL);
}

static void test_log_bounds(void)
{
    rec_log r;
    valid(&r);
    ok(get(&r, 8) == 0, "valid");
    ok(get(&r, 7) == PW_EPROTO && get(&r, 9) == PW_EPROTO, "a raw frame has raw_len bytes");
    ok(get(&r, 0) == PW_EPROTO, "no frame");
    uint8_t head[RECORD_LOG_HEAD] = {0};
    for (size_t n = 0; n < sizeof(head); n++)
        if (rec_log_get(head, n, &r, NULL) == 0)
            ok(false, "a head of %zu bytes", n);
    valid(&r);
    r.codec = PW_CODEC_ZSTD;
    ok(get(&r, 3) == 0, "a compressed frame may be shorter");
    r.codec = 2;
    ok(get(&r, 8) == PW_EPROTO, "unknown codec");
    valid(&r);
    r.stream = PW_STREAMS - 1;
    ok(get(&r, 8) == 0, "last stream");
    r.stream = PW_STREAMS;
    ok(get(&r, 8) == PW_EPROTO, "one stream more");
    valid(&r);
    r.step = PW_STEPS_MAX - 1;
    ok(get(&r, 8) == 0, "last step");
    r.step = PW_STEPS_MAX;
    ok(get(&r, 8) == PW_EPROTO, "one step more");
    valid(&r);
    r.lines = 8;
    ok(get(&r, 8) == 0, "as many lines as bytes");
    r.lines = 9;
    ok(get(&r, 8) == PW_ELIMIT, "more lines than bytes");
    valid(&r);
    r.codec = PW_CODEC_ZSTD;
    r.raw_len = PW_FRAME_RAW_MAX;
    ok(get(&r, 8) == 0, "longest frame");
    r.raw_len++;
    ok(get(&r, 8) == PW_ELIMIT, "one byte more");
    r.raw_len = 0;
    ok(get(&r, 8) == PW_ELIMIT, "an empty frame");
    valid(&r);
    r.first_line = r.raw_pos;
    ok(get(&r, 8) == 0, "every byte before was a line feed");
    r.first_line++;
    ok(get(&r, 8) == PW_ELIMIT, "more lines before than bytes");
    valid(&r);
    r.raw_pos = INT64_MAX - PW_FRAME_RAW_MAX;
    ok(get(&r, 8) == 0, "largest position");
    r.raw_pos++;
    ok(get(&r, 8) == PW_ELIMIT, "one more");
    valid(&r);
    r.t_first_ms = r.t_last_ms = INT64_MAX / 1000;
    ok(get(&r, 8) == 0, "latest time");
    r.t_last_ms++;
    ok(get(&r, 8) == PW_ELIMIT, "later");
}

int main(void)
{
    test_schemas();
    test_log_head();
    test_log_bounds();
    return tap_done();
}
