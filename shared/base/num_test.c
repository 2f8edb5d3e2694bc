#include "shared/base/num.h"

#include <string.h>

#include "tests/tap.h"

static bool u64_is(const char *s, uint64_t want)
{
    uint64_t v = 77;

    return pw_parse_u64(s, &v, NULL) == 0 && v == want;
}

static bool u64_bad(const char *s)
{
    pw_err err = {.code = PW_OK};
    uint64_t v = 77;

    return pw_parse_u64(s, &v, &err) == PW_EINVAL && v == 77 && strstr(err.text, s) != NULL;
}

static bool i64_is(const char *s, int64_t want)
{
    int64_t v = 77;

    return pw_parse_i64(s, &v, NULL) == 0 && v == want;
}

static bool i64_bad(const char *s)
{
    int64_t v = 77;

    return pw_parse_i64(s, &v, NULL) == PW_EINVAL && v == 77;
}

static void test_integers(void)
{
    ok(u64_is("0", 0) && u64_is("7", 7) && u64_is("007", 7), "small numbers");
    ok(u64_is("18446744073709551615", UINT64_MAX), "the largest");
    ok(u64_bad("18446744073709551616") && u64_bad("99999999999999999999"), "larger ones");
    ok(u64_bad("") && u64_bad("-1") && u64_bad("+1") && u64_bad(" 1") && u64_bad("1 "), "no signs");
    ok(u64_bad("0x10") && u64_bad("1e3") && u64_bad("1.0"), "decimal only");
    ok(i64_is("-5", -5) && i64_is("5", 5) && i64_is("-0", 0), "signed");
    ok(i64_is("9223372036854775807", INT64_MAX), "largest signed");
    ok(i64_is("-9223372036854775808", INT64_MIN), "lowest signed");
    ok(i64_bad("9223372036854775808") && i64_bad("-9223372036854775809"), "beyond them");
    ok(i64_bad("-") && i64_bad("--1") && i64_bad("") && i64_bad("+1"), "no number");
}

static bool duration_is(const char *s, pw_usec want)
{
    pw_usec v = 77;

    return pw_parse_duration(s, &v, NULL) == 0 && v == want;
}

static bool duration_bad(const char *s)
{
    pw_err err = {.code = PW_OK};
    pw_usec v = 77;

    return pw_parse_duration(s, &v, &err) == PW_EINVAL && v == 77 && err.text[0];
}

static bool duration_text_is(pw_usec v, const char *want)
{
    char out[32];

    return strcmp(pw_duration_text(v, out), want) == 0;
}

static void test_durations(void)
{
    ok(duration_is("500ms", 500000) && duration_is("90s", 90000000), "ms, s");
    ok(duration_is("20m", INT64_C(1200000000)) && duration_is("1h", INT64_C(3600000000)), "m, h");
    ok(duration_is("7d", INT64_C(604800000000)), "d");
    ok(duration_is("0s", 0) && duration_is("0", 0), "nothing");
    ok(duration_bad("90") && duration_bad("") && duration_bad("s"), "unit or number absent");
    ok(duration_bad("-1s") && duration_bad("1 s") && duration_bad("1.5h") && duration_bad("1w"),
       "other forms");
    ok(duration_bad("1sx") && duration_bad("1S") && duration_bad("1h30m"), "more behind it");
    ok(duration_is("36500d", INT64_C(36500) * 86400 * 1000000), "100 years");
    ok(duration_bad("36501d") && duration_bad("3153600001s"), "more than 100 years");
    ok(duration_bad("9223372036854775807d") && duration_bad("99999999999999999999s"), "overflow");
    ok(duration_text_is(90000000, "90s") && duration_text_is(INT64_C(3600000000), "1h"), "texts");
    ok(duration_text_is(0, "0s") && duration_text_is(500000, "500ms"), "short texts");
    ok(duration_text_is(INT64_C(86400000000) * 7, "7d") && duration_text_is(1500, "1500us"),
       "long and odd texts");
    ok(duration_is("1500us", 1500), "odd texts can be read too");
    ok(duration_text_is(INT64_MIN, "-9223372036854775808us"), "the lowest");
}

static bool size_is(const char *s, uint64_t want)
{
    uint64_t v = 77;

    return pw_parse_size(s, &v, NULL) == 0 && v == want;
}

static bool size_bad(const char *s)
{
    uint64_t v = 77;

    return pw_parse_size(s, &v, NULL) == PW_EINVAL && v == 77;
}

static void test_sizes(void)
{
    ok(size_is("100", 100) && size_is("64K", 65536), "bytes, K");
    ok(size_is("512M", UINT64_C(512) << 20) && size_is("2G", UINT64_C(2) << 30), "M, G");
    ok(size_is("16777215T", UINT64_C(16777215) << 40), "as many T as fit");
    ok(size_bad("16777216T"), "one T more");
    ok(size_bad("") && size_bad("K") && size_bad("1KB") && size_bad("1 K") && size_bad("-1"),
       "other forms");
    ok(size_bad("1k") && size_bad("1.5G"), "small letters and fractions");
}

static uint32_t crc_bitwise(const uint8_t *p, size_t n)
{
    uint32_t crc = ~UINT32_C(0);

    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
    }
    return ~crc;
}

static void test_crc(void)
{
    uint8_t data[300];
    int wrong = 0;

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 37 + (i >> 3));
    ok(pw_crc32c(0, "123456789", 9) == UINT32_C(0xe3069283), "the known value");
    ok(pw_crc32c_soft(0, "123456789", 9) == UINT32_C(0xe3069283), "the known value by table");
    ok(pw_crc32c(0, "", 0) == 0, "of nothing");
    for (size_t from = 0; from < 9; from++)
        for (size_t n = 0; n + from <= sizeof(data); n += 7) {
            uint32_t want = crc_bitwise(data + from, n);
            wrong += pw_crc32c(0, data + from, n) != want;
            wrong += pw_crc32c_soft(0, data + from, n) != want;
        }
    ok(wrong == 0, "all ways agree, at any place and length");
    ok(pw_crc32c(pw_crc32c(0, data, 101), data + 101, 199) == pw_crc32c(0, data, 300),
       "in two pieces");
}

static void test_bytes(void)
{
    const uint8_t raw[] = {0x00, 0xff, 0x1a, 0xB0};
    uint8_t back[8] = {0};
    char text[9];

    pw_hex(raw, 4, text);
    ok(strcmp(text, "00ff1ab0") == 0, "hex");
    ok(pw_unhex("00FF1aB0", back, 4) && memcmp(raw, back, 4) == 0, "hex read back");
    back[0] = 9;
    ok(!pw_unhex("00ff1ab", back, 4) && !pw_unhex("00ff1ab00", back, 4), "wrong lengths");
    ok(!pw_unhex("00ff1ag0", back, 4) && !pw_unhex("00ff1a 0", back, 4) && back[0] == 9,
       "no hex digits; nothing is written");
    ok(pw_unhex("", back, 0), "no bytes");
    pw_put_le32(back, UINT32_C(0x01020384));
    ok(back[0] == 0x84 && back[3] == 1 && pw_le32(back) == UINT32_C(0x01020384), "32 bits");
    pw_put_le64(back, UINT64_C(0x8102030405060708));
    ok(back[0] == 8 && back[7] == 0x81 && pw_le64(back) == UINT64_C(0x8102030405060708), "64 bits");
}

static bool nearest_is(const char *s, const char *want)
{
    static const char *const list[] = {"steps", "timeout", "branches", "on", "environment", NULL};
    const char *got = pw_nearest(s, list);

    return want ? got && strcmp(got, want) == 0 : got == NULL;
}

static void test_nearest(void)
{
    ok(nearest_is("step", "steps") && nearest_is("stpes", "steps"), "one letter, one swap");
    ok(nearest_is("tiemout", "timeout") && nearest_is("enviroment", "environment"), "longer words");
    ok(nearest_is("no", "on"), "a swap in two letters");
    ok(nearest_is("zebra", NULL) && nearest_is("x", NULL) && nearest_is("", NULL), "nothing near");
    ok(nearest_is("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", NULL),
       "a very long word");
}

int main(void)
{
    test_integers();
    test_durations();
    test_sizes();
    test_crc();
    test_bytes();
    test_nearest();
    return tap_done();
}
