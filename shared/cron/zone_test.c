#include "shared/cron/zone.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/buf.h"
#include "shared/base/fs.h"
#include "tests/tap.h"

static void put32(pw_buf *b, uint32_t v)
{
    const unsigned char p[4] = {(unsigned char)(v >> 24), (unsigned char)(v >> 16),
                                (unsigned char)(v >> 8), (unsigned char)v};
    (void)pw_buf_add(b, p, 4);
}

static void put_header(pw_buf *b, char version, uint32_t leap, uint32_t times, uint32_t types)
{
    static const char zeros[15];
    (void)pw_buf_adds(b, "TZif");
    (void)pw_buf_add(b, &version, 1);
    (void)pw_buf_add(b, zeros, 15);
    put32(b, 0);
    put32(b, 0);
    put32(b, leap);
    put32(b, times);
    put32(b, types);
    put32(b, 4);
}

/* A file of version 2 with `times` changes, each `step` after the one before; then the footer. */
struct made {
    uint32_t leap, times, types;
    int64_t step;
    int32_t offset[2];
    uint8_t type; /* of all changes */
    const char *footer;
};

static void make(pw_buf *b, const struct made *m)
{
    pw_buf_reset(b);
    put_header(b, '2', 0, 0, 1);
    (void)pw_buf_add(b, "\0\0\0\0\0\0UTC", 10);
    put_header(b, '2', m->leap, m->times, m->types);
    for (uint32_t i = 0; i < m->times; i++) {
        uint64_t at = (uint64_t)(m->step * ((int64_t)i + 1));
        put32(b, (uint32_t)(at >> 32));
        put32(b, (uint32_t)at);
    }
    for (uint32_t i = 0; i < m->times; i++)
        (void)pw_buf_add(b, &m->type, 1);
    for (uint32_t i = 0; i < m->types; i++) {
        put32(b, (uint32_t)m->offset[i & 1]);
        (void)pw_buf_add(b, "\0\0", 2);
    }
    (void)pw_buf_add(b, "UTC", 4);
    for (uint32_t i = 0; i < m->leap; i++)
        (void)pw_buf_add(b, "\0\0\0\0\0\0\0\1\0\0\0\1", 12);
    (void)pw_buf_addf(b, "\n%s\n", m->footer);
}

static cron_zone *parse_made(const struct made *m, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1 << 20);
    *err = (pw_err){0};
    make(&b, m);
    return b.failed ? NULL : cron_zone_parse((const uint8_t *)pw_buf_str(&b), b.len, err);
}

static void test_calendar(void)
{
    int64_t days = cron_days(1895, 1, 1);
    int weekday = 2, bad = 0; /* 1 January 1895 was a Tuesday */
    for (int64_t y = 1895; y < 2205; y++) {
        for (int m = 1; m <= 12; m++) {
            for (int d = 1; d <= cron_month_days(y, m); d++, days++, weekday = (weekday + 1) % 7) {
                cron_date got = cron_date_of(days);
                bad += got.year != y || got.month != m || got.day != d ||
                       cron_days(y, m, d) != days || cron_weekday(days) != weekday;
            }
        }
    }
    ok(!bad, "days are counted one by one from 1895 to 2204");
    ok(cron_days(1970, 1, 1) == 0 && cron_days(2000, 3, 1) == 11017 &&
           cron_days(0, 3, 1) == -719468,
       "days of known dates");
    ok(cron_month_days(2000, 2) == 29 && cron_month_days(1900, 2) == 28 &&
           cron_month_days(2026, 7) == 31 && cron_month_days(2026, 8) == 31 &&
           cron_month_days(2026, 9) == 30,
       "lengths of months");
}

static void test_rules(void)
{
    static const struct {
        const char *footer;
        int64_t at;
        int32_t offset;
    } t[] = {
        {"CET-1CEST,M3.5.0,M10.5.0/3", 1774745999, 3600}, /* 2026-03-29 00:59:59 UTC */
        {"CET-1CEST,M3.5.0,M10.5.0/3", 1774746000, 7200},
        {"CET-1CEST,M3.5.0,M10.5.0/3", 1792889999, 7200},
        {"CET-1CEST,M3.5.0,M10.5.0/3", 1792890000, 3600},
        {"IST-1GMT0,M10.5.0,M3.5.0/1", 1774745999, 0}, /* winter time is the "summer" time */
        {"IST-1GMT0,M10.5.0,M3.5.0/1", 1774746000, 3600},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", 1774745999, -7200}, /* Saturday 23:00 */
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", 1774746000, -3600},
        {"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 1767225600, 39600}, /* south: over the new year */
        {"XXX3EDT4,0/0,J365/23", 1767236400, -14400},                /* summer time for ever */
        {"XXX3EDT4,0/0,J365/23", 1767236399, -14400},
        {"XXX3EDT4,0/0,J365/23", 1790000000, -14400},
        {"UTC0XXX,J60/0,J61/0", 1709251199, 0}, /* 2024: J60 is 1 March */
        {"UTC0XXX,J60/0,J61/0", 1709251200, 3600},
        {"UTC0XXX,J60/0,J61/0", 1709334000, 0},
        {"UTC0XXX,J59/0,J60/0", 1709164799, 3600},       /* 28 February */
        {"UTC0XXX,59/0,60/0", 1709164800, 3600},         /* day 59 from 0 is 29 February */
        {"UTC0XXX,M12.5.0/167,M2.1.0/0", 1767481199, 0}, /* 28 December 2025 and 167 hours */
        {"UTC0XXX,M12.5.0/167,M2.1.0/0", 1767481200, 3600},
        {"ABC-26", 0, 0}, /* refused */
        {"ABC-24:59:59", 0, 89999},
        {"", 5, 1800},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct made m = {.types = 1, .offset = {1800, 0}, .footer = t[i].footer};
        pw_err err;
        PW_AUTO(cron_zone_freep) cron_zone *z = parse_made(&m, &err);
        if (strcmp(t[i].footer, "ABC-26") == 0)
            ok(!z && err.code == PW_ECORRUPT, "26 hours are refused");
        else
            ok(z && cron_zone_offset(z, t[i].at) == t[i].offset, "%zu: %s at %lld is %d", i,
               t[i].footer, (long long)t[i].at, z ? cron_zone_offset(z, t[i].at) : -1);
    }
}

static void test_bad_rules(void)
{
    static const char *const t[] = {"C-1",
                                    "CET",
                                    "<CET-1",
                                    "CET-1CEST",
                                    "CET-1CEST,M3.5.0",
                                    "CET-1CEST,M13.5.0,M10.5.0",
                                    "CET-1CEST,M3.6.0,M10.5.0",
                                    "CET-1CEST,M3.5.7,M10.5.0",
                                    "CET-1CEST,M3.0.0,M10.5.0",
                                    "CET-1CEST,J0,J5",
                                    "CET-1CEST,366,5",
                                    "CET-1CEST,M3.5.0/168,M10.5.0",
                                    "CET-1CEST,M3.5.0,M10.5.0 ",
                                    "CET-1:60",
                                    "CET-99999999999",
                                    "CET-1CEST,,",
                                    "\n"};
    char longest[300];
    struct made m = {.types = 1, .footer = longest};
    pw_err err;
    PW_AUTO(cron_zone_freep) cron_zone *a = NULL, *b = NULL;
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]) - 1; i++) {
        struct made bad = {.types = 1, .footer = t[i]};
        PW_AUTO(cron_zone_freep) cron_zone *z = parse_made(&bad, &err);
        ok(!z && err.code == PW_ECORRUPT, "refused rule %s: %s", t[i], err.text);
    }
    (void)snprintf(longest, sizeof(longest), "<%0253d>0", 0);
    a = parse_made(&m, &err);
    ok(a, "a footer of 256 bytes is read");
    (void)snprintf(longest, sizeof(longest), "<%0254d>0", 0);
    b = parse_made(&m, &err);
    ok(!b && err.code == PW_ECORRUPT, "one of 257 is not");
}

static void test_spans(void)
{
    struct made m = {
        .times = 2, .types = 2, .step = 1000, .offset = {60, 120}, .type = 1, .footer = "XXX-1"};
    pw_err err;
    PW_AUTO(cron_zone_freep) cron_zone *z = parse_made(&m, &err);
    cron_span s;
    if (!z)
        return;
    s = cron_zone_span(z, 999);
    ok(s.from == INT64_MIN && s.to == 1000 && s.offset == 60, "before the first change: type 0");
    s = cron_zone_span(z, 1000);
    ok(s.from == 1000 && s.to == 2000 && s.offset == 120 && cron_zone_span(z, 1999).from == 1000,
       "between two changes");
    s = cron_zone_span(z, 2000);
    ok(s.from == 2000 && s.to == INT64_MAX && s.offset == 3600, "behind the last one: the rule");
}

static void test_limits(void)
{
    static const struct {
        struct made m;
        int code; /* 0: is read */
        const char *what;
    } t[] = {
        {{.times = 20000, .types = 256, .step = 60, .footer = ""},
         0,
         "20,000 changes of 256 types"},
        {{.times = 20001, .types = 1, .step = 60, .footer = ""}, PW_ECORRUPT, "20,001 changes"},
        {{.types = 257, .footer = ""}, PW_ECORRUPT, "257 types"},
        {{.types = 0, .footer = ""}, PW_ECORRUPT, "no type"},
        {{.types = 1, .offset = {93600}, .footer = ""}, 0, "an offset of 26 hours"},
        {{.types = 1, .offset = {93601}, .footer = ""}, PW_ECORRUPT, "one more second"},
        {{.types = 1, .offset = {-93601}, .footer = ""}, PW_ECORRUPT, "to the west too"},
        {{.types = 1, .offset = {INT32_MIN}, .footer = ""}, PW_ECORRUPT, "the least offset"},
        {{.times = 1, .types = 1, .type = 1, .footer = ""},
         PW_ECORRUPT,
         "a type that is not there"},
        {{.times = 2, .types = 1, .step = 0, .footer = ""}, PW_ECORRUPT, "times that do not rise"},
        {{.times = 2, .types = 1, .step = -9, .footer = ""}, PW_ECORRUPT, "times that fall"},
        {{.leap = 1, .types = 1, .footer = ""}, PW_EINVAL, "leap seconds"},
        {{.leap = 70000, .types = 1, .footer = ""}, PW_ECORRUPT, "many leap seconds"},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        pw_err err;
        PW_AUTO(cron_zone_freep) cron_zone *z = parse_made(&t[i].m, &err);
        ok(t[i].code ? !z && err.code == t[i].code : z != NULL, "%s: %s", t[i].what,
           z ? "is read" : err.text);
    }
}

/* A copy of just n bytes, so that a read behind them is seen. */
static bool is_zone(const char *p, size_t n)
{
    PW_AUTO(pw_freep) uint8_t *copy = malloc(n ? n : 1);
    pw_err err;
    PW_AUTO(cron_zone_freep) cron_zone *z = NULL;
    if (!copy)
        return false;
    memcpy(copy, p, n);
    z = cron_zone_parse(copy, n, &err);
    return z != NULL;
}

static void test_cut(void)
{
    struct made m = {
        .times = 3, .types = 2, .step = 1000, .type = 1, .footer = "CET-1CEST,M3.5.0,M10.5.0"};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(4096);
    size_t good = 0;
    make(&b, &m);
    if (b.failed)
        return;
    for (size_t n = 0; n < b.len; n++)
        good += is_zone(b.p, n);
    ok(good == 0 && is_zone(b.p, b.len), "a file that ends early is refused, wherever it is cut");
    b.p[4] = '\0';
    ok(is_zone(b.p, 54) && !is_zone(b.p, 53), "version 1 has no second block");
    b.p[0] = 't';
    ok(!is_zone(b.p, b.len), "another kind of file is refused");
}

static void test_names(void)
{
    static const char *const bad[] = {
        "",
        "/",
        "/etc/passwd",
        "../zoneinfo/UTC",
        "Europe/../UTC",
        "Europe//Berlin",
        "Europe/",
        "Europe",
        "Europe/Berli",
        "Europe/Berlin/x",
        "UTC/x",
        "zone.tab",
        "leapseconds",
        "utc\n",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    pw_err err;
    PW_AUTO(cron_zone_freep) cron_zone *utc = cron_zone_open("UTC", &err), *berlin = NULL;
    ok(utc && cron_zone_offset(utc, 1790000000) == 0, "UTC");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        PW_AUTO(cron_zone_freep) cron_zone *z = NULL;
        err = (pw_err){0};
        z = cron_zone_open(bad[i], &err);
        ok(!z && err.code == PW_ENOTFOUND, "no zone %zu: %d", i, (int)err.code);
    }
    ok(strstr(err.text, "there is no time zone \"aaa"), "%s", err.text);
    berlin = cron_zone_open("Europe/Berlin", &err);
    if (!berlin)
        ok(true, "Berlin # SKIP no tzdata on this machine");
    else
        ok(cron_zone_offset(berlin, 1790000000) == 7200, "Berlin in September");
}

int main(void)
{
    test_calendar();
    test_rules();
    test_bad_rules();
    test_spans();
    test_limits();
    test_cut();
    test_names();
    return tap_done();
}
