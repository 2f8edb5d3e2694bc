#include "shared/base/host.h"

#include <string.h>

#include "tests/tap.h"

static bool text_is(pw_msec t, const char *want)
{
    char out[PW_TIME_MAX];

    return strcmp(pw_time_text(t, out), want) == 0;
}

static bool parse_is(const char *s, pw_msec want)
{
    pw_msec t = -12345;

    return pw_time_parse(s, &t, NULL) == 0 && t == want;
}

static bool refused(const char *s)
{
    pw_err err = {.code = PW_OK};
    pw_msec t = 77;

    return pw_time_parse(s, &t, &err) == PW_EINVAL && t == 77 && err.text[0];
}

static void test_text(void)
{
    ok(text_is(0, "1970-01-01T00:00:00.000Z"), "the epoch");
    ok(text_is(INT64_C(1795178581123), "2026-11-20T12:43:01.123Z"), "a time of today");
    ok(text_is(-1, "1969-12-31T23:59:59.999Z"), "before the epoch");
    ok(text_is(INT64_C(951782400000), "2000-02-29T00:00:00.000Z"), "leap day of 2000");
    ok(text_is(INT64_C(4107542400000), "2100-03-01T00:00:00.000Z"), "2100 has none");
    ok(text_is(INT64_MAX, "9999-12-31T23:59:59.999Z"), "the last that fits");
    ok(text_is(INT64_MIN, "0000-01-01T00:00:00.000Z"), "the first that fits");
}

static void test_parse(void)
{
    static const char *const bad[] = {"",
                                      "2026-11-20",
                                      "2026-11-20T12:43:01",
                                      "2026-11-20 12:43:01Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-00-01T00:00:00Z",
                                      "2026-02-29T00:00:00Z",
                                      "2100-02-29T00:00:00Z",
                                      "2026-01-01T24:00:00Z",
                                      "2026-01-01T00:60:00Z",
                                      "2026-01-01T00:00:61Z",
                                      "2026-01-01T00:00:00.Z",
                                      "2026-01-01T00:00:00.1234567890Z",
                                      "2026-01-01T00:00:00+24:00",
                                      "2026-01-01T00:00:00+0100",
                                      "2026-01-01T00:00:00Zx",
                                      "+026-01-01T00:00:00Z",
                                      "26-01-01T00:00:00Z"};

    ok(parse_is("2026-11-20T12:43:01.123Z", INT64_C(1795178581123)), "the form that it writes");
    ok(parse_is("2026-11-20T12:43:01Z", INT64_C(1795178581000)), "no fraction");
    ok(parse_is("2026-11-20T12:43:01.1Z", INT64_C(1795178581100)), "short fraction");
    ok(parse_is("2026-11-20T12:43:01.123999999Z", INT64_C(1795178581123)), "long fraction");
    ok(parse_is("2026-11-20T13:43:01+01:00", INT64_C(1795178581000)), "east of UTC");
    ok(parse_is("2026-11-20T07:13:01-05:30", INT64_C(1795178581000)), "west of UTC");
    ok(parse_is("2016-12-31T23:59:60Z", INT64_C(1483228800000)), "a leap second");
    ok(parse_is("2000-02-29T00:00:00Z", INT64_C(951782400000)), "a leap day");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ok(refused(bad[i]), "refused: \"%s\"", bad[i]);
}

static void test_all_days(void)
{
    char out[PW_TIME_MAX];
    pw_msec back;
    int wrong = 0;

    /* every 13th day from year 0 to 9999, both ways */
    for (pw_msec t = INT64_C(-62167219200000); t < INT64_C(253402300799999);
         t += INT64_C(13) * 86400000 + 3723004) {
        back = t + 1;
        if (pw_time_parse(pw_time_text(t, out), &back, NULL) < 0 || back != t)
            wrong++;
    }
    ok(wrong == 0, "what is written is read back");
}

static void count_up(void *self, void *buf, size_t n)
{
    uint8_t *p = buf;

    for (size_t i = 0; i < n; i++)
        p[i] = (*(uint8_t *)self)++;
}

static void test_host(void)
{
    uint8_t next = 1;
    pw_host fake = {.random = count_up, .self = &next};
    pw_usec a = pw_now(&pw_host_real), b = pw_now(&pw_host_real);
    uint64_t want = 0;
    const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8};

    memcpy(&want, bytes, sizeof(want));
    ok(a > 0 && b >= a, "time goes forward");
    ok(pw_wall(&pw_host_real) > INT64_C(1700000000000), "the wall clock is after 2023");
    ok(pw_random_u64(&pw_host_real) != pw_random_u64(&pw_host_real), "two random numbers differ");
    ok(pw_random_u64(&fake) == want, "a host's own randomness is used");
}

int main(void)
{
    test_text();
    test_parse();
    test_all_days();
    test_host();
    return tap_done();
}
