#include "shared/cron/cron.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/tap.h"

/* ---- a model: its own reading of lines, libc's idea of the zones, and a walk over all minutes
 * ---- */

struct model {
    bool minute[60], hour[24], day[32], month[13], weekday[7], nth[7][6];
    bool last, either, every;
};

static long number(const char **p)
{
    char *end = NULL;
    long v = strtol(*p, &end, 10);
    *p = end;
    return v;
}

/* One field of numbers into v[0..most]; `L` and `D#N` where the field has them. Ends at a blank. */
static const char *model_field(struct model *m, const char *p, long least, long most, bool *v)
{
    for (;; p++) {
        long a = least, b = most, step = 1;
        if (*p == 'L') {
            m->last = true;
            b = a - 1;
            p++;
        } else if (*p == '*') {
            p++;
        } else {
            a = b = number(&p);
            if (*p == '#') {
                p++;
                m->nth[a % 7][number(&p)] = true;
                b = a - 1;
            } else if (*p == '-') {
                p++;
                b = number(&p);
            } else if (*p == '/') {
                b = most;
            }
        }
        if (*p == '/') {
            p++;
            step = number(&p);
        }
        for (; a <= b; a += step)
            v[a] = true;
        if (*p != ',')
            return *p ? p + 1 : p;
    }
}

static struct model model_read(const char *line)
{
    struct model m = {.either = false};
    bool star_day;
    const char *p = model_field(&m, line, 0, 59, m.minute), *hour = p;
    p = model_field(&m, p, 0, 23, m.hour);
    m.every = memchr(hour, '*', (size_t)(p - hour)) != NULL;
    star_day = *p == '*';
    p = model_field(&m, p, 1, 31, m.day);
    p = model_field(&m, p, 1, 12, m.month);
    m.either = !star_day && *p != '*';
    (void)model_field(&m, p, 0, 6, m.weekday);
    return m;
}

/* local: seconds of the wall clock since 1970. */
static bool model_matches(const struct model *m, int64_t local)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    time_t t = local;
    struct tm tm;
    long minute = (long)(local / 60 % 1440);
    bool by_day, by_weekday;
    int last;
    if (!m->minute[minute % 60] || !m->hour[minute / 60] || !gmtime_r(&t, &tm))
        return false;
    last = days[tm.tm_mon] + (tm.tm_mon == 1 && tm.tm_year % 4 == 0);
    by_day = m->day[tm.tm_mday] || (m->last && tm.tm_mday == last);
    by_weekday = m->weekday[tm.tm_wday] || m->nth[tm.tm_wday][(tm.tm_mday + 6) / 7];
    return m->month[tm.tm_mon + 1] && (m->either ? by_day || by_weekday : by_day && by_weekday);
}

enum { HOURS_ROUND = 40, WINDOW = 2 * HOURS_ROUND * 60, REACH = WINDOW + 4 * 1440 };

/* The minutes around an instant, with libc's offsets. */
struct window {
    int64_t start;
    int64_t local[WINDOW];
};

static int32_t libc_offset(int64_t at)
{
    time_t t = at;
    struct tm tm = {0};
    return localtime_r(&t, &tm) ? (int32_t)tm.tm_gmtoff : INT32_MAX;
}

static void window_fill(struct window *w, int64_t middle)
{
    w->start = middle / 60 * 60 - (int64_t)HOURS_ROUND * 3600;
    for (int i = 0; i < WINDOW; i++) {
        int64_t t = w->start + (int64_t)i * 60;
        w->local[i] = t + libc_offset(t);
    }
}

/* Which minutes of the window fire. */
static size_t model_walk(const struct model *m, const struct window *w, bool fires[WINDOW])
{
    static bool seen[REACH];
    int64_t base = w->local[0] - (int64_t)2 * 86400;
    size_t n = 0;
    memset(seen, 0, sizeof(seen));
    for (int i = 0; i < WINDOW; i++) {
        int64_t local = w->local[i], before = i ? w->local[i - 1] : local;
        fires[i] = model_matches(m, local) && (m->every || !seen[(local - base) / 60]);
        seen[(local - base) / 60] = true;
        for (int64_t skipped = before + 60; !m->every && skipped < local; skipped += 60) {
            fires[i] = fires[i] || (!seen[(skipped - base) / 60] && model_matches(m, skipped));
            seen[(skipped - base) / 60] = true;
        }
        n += fires[i];
    }
    return n;
}

/* 0 when cron_next gives just the model's firings; else the number of the first bad minute, from 1.
 */
static int compare(const char *text, const cron_zone *z, const struct window *w, size_t *fired)
{
    static bool fires[WINDOW];
    struct model m = model_read(text);
    PW_AUTO(cron_freep) cron_line *line = cron_parse(text, NULL);
    int64_t next;
    if (!line)
        return -1;
    *fired += model_walk(&m, w, fires);
    next = cron_next(line, z, w->start - 1);
    for (int i = 0; i < WINDOW; i++) {
        int64_t t = w->start + (int64_t)i * 60;
        if (fires[i] != (next == t))
            return i + 1;
        if (next == t)
            next = cron_next(line, z, t + i % 60);
    }
    return 0;
}

static const char *const model_lines[] = {
    "* * * * *",       "*/15 * * * *",     "30 2 * * *",     "0 3 * * *",
    "15,45 1-3 * * *", "*/2 0-23 * * *",   "0 0 * * *",      "59 23 * * *",
    "30 */2 * * *",    "10 2 * * 0",       "0 1,2 L * *",    "*/20 0-4/2 * * 0#5",
    "5 2,3 29 * 1",    "0 */3 */2 * 0",    "*/7 1 * 3,10 *", "7/9 0-3 1,15,L 2-11/3 4,6#1",
    "13 2-3,* * * *",  "17 0,1,23 * * 0,6"};

static const struct {
    const char *name;
    int from, to; /* years */
    int least;    /* changes of the clock at least */
} model_zones[] = {
    {"Europe/Berlin", 2024, 2025, 4},       {"America/New_York", 2024, 2025, 4},
    {"Australia/Lord_Howe", 2024, 2025, 4}, {"Pacific/Apia", 2024, 2025, 0},
    {"America/Sao_Paulo", 2024, 2025, 0},   {"Asia/Kolkata", 2024, 2025, 0},
    {"Africa/Cairo", 2024, 2025, 4},        {"Europe/London", 2024, 2025, 4},
    {"America/St_Johns", 2024, 2025, 4},    {"Antarctica/Troll", 2024, 2025, 4},
    {"Asia/Tehran", 2024, 2025, 0},         {"UTC", 2024, 2025, 0},
    {"America/Havana", 2024, 2024, 2},      {"Asia/Beirut", 2024, 2024, 2},
    {"Europe/Dublin", 2024, 2024, 2},       {"Pacific/Apia", 2011, 2011, 3},
    {"America/Sao_Paulo", 2018, 2018, 2},   {"Asia/Tehran", 2022, 2022, 2},
    {"Antarctica/Troll", 2060, 2060, 2},    {"Europe/Berlin", 2051, 2051, 2},
};

static int64_t year_start(int year)
{
    struct tm tm = {.tm_year = year - 1900, .tm_mday = 1};
    return timegm(&tm);
}

/* Next instant after `at` with another offset, to the minute; `end` when there is none before it.
 */
static int64_t next_change(int64_t at, int64_t end)
{
    int32_t offset = libc_offset(at);
    int64_t low = at, high = at + 3600;
    while (high < end && libc_offset(high) == offset) {
        low = high;
        high += 3600;
    }
    if (high >= end)
        return end;
    while (high - low > 60) {
        int64_t middle = low + (high - low) / 120 * 60;
        if (libc_offset(middle) == offset)
            low = middle;
        else
            high = middle;
    }
    return high;
}

static void test_model_zone(size_t i)
{
    static struct window w;
    const char *name = model_zones[i].name;
    int64_t at = year_start(model_zones[i].from), end = year_start(model_zones[i].to + 1);
    int changes = 0, bad = 0;
    size_t fired = 0;
    PW_AUTO(cron_zone_freep) cron_zone *z = cron_zone_open(name, NULL);
    if (!z || setenv("TZ", name, 1) != 0) {
        ok(false, "%s is opened", name);
        return;
    }
    tzset();
    while (at < end && !bad) {
        int64_t change = next_change(at, end);
        if (change == end && changes)
            break;
        changes += change < end;
        /* a zone that keeps its clock is looked at around the night when Europe changes */
        window_fill(&w, change < end ? change : year_start(2026) + (int64_t)87 * 86400 + 3600);
        for (size_t k = 0; k < sizeof(model_lines) / sizeof(model_lines[0]) && !bad; k++) {
            bad = compare(model_lines[k], z, &w, &fired);
            if (bad)
                printf("# \"%s\" at minute %d of the window from %lld\n", model_lines[k], bad,
                       (long long)w.start);
        }
        at = change;
    }
    ok(!bad && fired > 1000, "%s %d: %zu firings as in the model", name, model_zones[i].from,
       fired);
    ok(changes >= model_zones[i].least, "%s %d: %d changes of the clock", name, model_zones[i].from,
       changes);
}

static void test_model_offsets(size_t i)
{
    int bad = 0;
    PW_AUTO(cron_zone_freep) cron_zone *z = cron_zone_open(model_zones[i].name, NULL);
    if (!z || setenv("TZ", model_zones[i].name, 1) != 0)
        return;
    tzset();
    for (int64_t t = year_start(1902); t < year_start(2110); t += 11 * 86400 + 4321)
        bad += cron_zone_offset(z, t) != libc_offset(t);
    ok(!bad, "%s: offsets of two centuries are libc's", model_zones[i].name);
}

/* ---- days, over leap years ---- */

static void test_days(void)
{
    static const char *const lines[] = {
        "0 0 29 2 *",    "0 0 L * *",     "0 0 L 2 *",    "0 0 13 * 5",  "0 0 * * 5#5",
        "0 0 31 * *",    "0 0 */10 * 1",  "0 0 1,15 * 3", "0 0 1 */3 *", "0 0 L * 0#1",
        "0 0 28-30 2 *", "0 0 */2 * */3", "0 0 7 * */2",  "0 0 * 3 6#5"};
    PW_AUTO(cron_zone_freep) cron_zone *utc = cron_zone_open("UTC", NULL);
    for (size_t k = 0; utc && k < sizeof(lines) / sizeof(lines[0]); k++) {
        struct model m = model_read(lines[k]);
        PW_AUTO(cron_freep) cron_line *line = cron_parse(lines[k], NULL);
        int64_t t = year_start(2024), next;
        int n = 0;
        if (!line)
            continue;
        for (next = cron_next(line, utc, t - 1); t < year_start(2033); t += 86400) {
            if (model_matches(&m, t) != (next == t))
                break;
            if (next == t) {
                n++;
                next = cron_next(line, utc, t);
            }
        }
        ok(t == year_start(2033) && n > 0, "\"%s\" fires %d times in 2024 to 2032", lines[k], n);
    }
}

/* ---- known values ---- */

/* The first `n` firings after `from` (UTC), separated by blanks. */
static void firings(const char *text, const char *zone, int64_t from, int n, char *out, size_t max)
{
    PW_AUTO(cron_freep) cron_line *line = cron_parse(text, NULL);
    PW_AUTO(cron_zone_freep) cron_zone *z = cron_zone_open(zone, NULL);
    size_t len = 0;
    out[0] = '\0';
    while (line && z && n-- > 0) {
        char shown[CRON_TIME_MAX];
        from = cron_next(line, z, from);
        len += (size_t)snprintf(out + len, max - len, "%s%s", len ? " " : "",
                                from == -1 ? "never" : cron_time_text(z, from, shown));
    }
}

struct known {
    const char *line, *zone;
    int year, day; /* searched from the start (UTC) of this day of the year, from 1 */
    const char *want;
};

static void test_known(const struct known *t, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char got[200];
        firings(t[i].line, t[i].zone, year_start(t[i].year) + (int64_t)(t[i].day - 1) * 86400, 2,
                got, sizeof(got));
        ok(strcmp(got, t[i].want) == 0, "%s %s: %s", t[i].line, t[i].zone, got);
    }
}

static const struct known known_utc[] = {
    {"0 0 29 2 *", "UTC", 2096, 61, "2104-02-29T00:00:00+00:00 2108-02-29T00:00:00+00:00"},
    {"0 0 30 2 *", "UTC", 2026, 1, "never never"},
    {"0 0 31 4,6,9,11 *", "UTC", 2026, 1, "never never"},
    {"0 0 1 JAN *", "UTC", 2026, 1, "2027-01-01T00:00:00+00:00 2028-01-01T00:00:00+00:00"},
    {"0 0 * feb-MAR/1 Fri-sun", "UTC", 2026, 1,
     "2026-02-01T00:00:00+00:00 2026-02-06T00:00:00+00:00"},
    {"0 12 * * 7", "UTC", 2026, 1, "2026-01-04T12:00:00+00:00 2026-01-11T12:00:00+00:00"},
    {"0 12 * * 5-7", "UTC", 2026, 4, "2026-01-04T12:00:00+00:00 2026-01-09T12:00:00+00:00"},
    {"0 12 * * mon#1,7#2", "UTC", 2026, 1, "2026-01-05T12:00:00+00:00 2026-01-11T12:00:00+00:00"},
    {" \t59  23 l 2 * ", "UTC", 2027, 1, "2027-02-28T23:59:00+00:00 2028-02-29T23:59:00+00:00"},
    {"7/30 5/12 * * *", "UTC", 2026, 1, "2026-01-01T05:07:00+00:00 2026-01-01T05:37:00+00:00"},
    {"* * * * *", "UTC", 2026, 1, "2026-01-01T00:01:00+00:00 2026-01-01T00:02:00+00:00"},
};

static const struct known known_zones[] = {
    {"30 2 * * *", "Europe/Berlin", 2026, 88,
     "2026-03-29T03:00:00+02:00 2026-03-30T02:30:00+02:00"},
    {"0,30 2 * * *", "Europe/Berlin", 2026, 88,
     "2026-03-29T03:00:00+02:00 2026-03-30T02:00:00+02:00"},
    {"30 2 * * *", "Europe/Berlin", 2026, 298,
     "2026-10-25T02:30:00+02:00 2026-10-26T02:30:00+01:00"},
    {"30 * * * *", "Europe/Berlin", 2026, 298,
     "2026-10-25T02:30:00+02:00 2026-10-25T02:30:00+01:00"},
    {"0 0 30 12 *", "Pacific/Apia", 2011, 300,
     "2011-12-31T00:00:00+14:00 2012-12-30T00:00:00+14:00"},
    {"15 2 * * *", "Australia/Lord_Howe", 2026, 276,
     "2026-10-04T02:30:00+11:00 2026-10-05T02:15:00+11:00"},
    {"0 12 * * *", "America/St_Johns", 2026, 1,
     "2026-01-01T12:00:00-03:30 2026-01-02T12:00:00-03:30"},
};

/* ---- lines that are refused ---- */

static void test_errors(void)
{
    static const struct {
        const char *line, *say;
    } t[] = {
        {"61 * * * *", "minute: \"61\" is not in 0..59"},
        {"* 24 * * *", "hour: \"24\" is not in 0..23"},
        {"* * 0 * *", "day-of-month: \"0\" is not in 1..31"},
        {"* * * 13 *", "month: \"13\" is not in 1..12"},
        {"* * * * 8", "day-of-week: \"8\" is not in 0..7"},
        {"* * * * 99999999999999999999", "day-of-week: \"99999999999999999999\" is not in 0..7"},
        {"* * * * mo", "day-of-week: \"mo\" is not a number or a name"},
        {"* mon * * *", "hour: \"mon\" is not a number"},
        {"-1 * * * *", "minute: \"\" where a number is expected"},
        {"1- * * * *", "minute: \"\" where a number is expected"},
        {"1,,2 * * * *", "minute: \"\" where a number is expected"},
        {"5-3 * * * *", "minute: \"5-3\" runs backwards"},
        {"*/0 * * * *", "minute: \"0\" is not a step of 1..59"},
        {"*/60 * * * *", "minute: \"60\" is not a step of 1..59"},
        {"*/ * * * *", "minute: \"\" is not a step of 1..59"},
        {"** * * * *", "minute: \"**\" is not a number"},
        {"L * * * *", "minute: \"L\" is not a number"},
        {"* * L/2 * *", "day-of-month: \"L\" is not a number"},
        {"* * * * 1#6", "day-of-week: \"1#6\" needs 1..5 after the \"#\""},
        {"* * * * 1#", "day-of-week: \"1#\" needs 1..5 after the \"#\""},
        {"* * * * 1#22", "day-of-week: \"1#22\" needs 1..5 after the \"#\""},
        {"* * * * 9#2", "day-of-week: \"9\" is not in 0..7"},
        {"* * 1#1 * *", "day-of-month: \"1#1\" is not a number"},
        {"* * * *", "4 fields where 5 are expected: minute hour day-of-month month day-of-week"},
        {"* * * * * *",
         "6 fields where 5 are expected: minute hour day-of-month month day-of-week"},
        {"", "0 fields where 5 are expected: minute hour day-of-month month day-of-week"},
        {"@daily", "1 fields where 5 are expected: minute hour day-of-month month day-of-week"},
    };
    static char text[1002];
    pw_err err;
    PW_AUTO(cron_freep) cron_line *a = NULL, *b = NULL;
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        PW_AUTO(cron_freep) cron_line *line = NULL;
        err = (pw_err){0};
        line = cron_parse(t[i].line, &err);
        ok(!line && err.code == PW_EINVAL && strcmp(err.text, t[i].say) == 0, "refused: %s",
           err.text);
    }
    memset(text, ' ', 1001);
    memcpy(text, "* * * * *", 9);
    text[1000] = '\0';
    a = cron_parse(text, &err);
    ok(a, "a line of 1,000 bytes is read");
    text[1000] = ' ';
    b = cron_parse(text, &err);
    ok(!b && err.code == PW_ELIMIT, "one of 1,001 is not");
}

static void test_far(void)
{
    PW_AUTO(cron_freep) cron_line *line = cron_parse("* * * * *", NULL);
    PW_AUTO(cron_zone_freep) cron_zone *utc = cron_zone_open("UTC", NULL);
    char shown[CRON_TIME_MAX];
    if (!line || !utc)
        return;
    ok(cron_next(line, utc, INT64_MAX) == -1 && cron_next(line, utc, INT64_MIN) == -1,
       "no firing at the ends of time");
    ok(cron_next(line, utc, -61) == -60 && cron_next(line, utc, -60) == 0,
       "firings before 1970 too");
    ok(strcmp(cron_time_text(utc, INT64_MAX, shown), "8307-10-01T19:33:20+00:00") == 0 &&
           strcmp(cron_time_text(utc, INT64_MIN, shown), "0001-01-02T02:00:00+00:00") == 0,
       "texts at the ends of time are %s", shown);
    ok(strcmp(cron_time_text(utc, 951827696, shown), "2000-02-29T12:34:56+00:00") == 0, "%s",
       shown);
}

int main(void)
{
    PW_AUTO(cron_zone_freep) cron_zone *there = cron_zone_open("Europe/Berlin", NULL);
    test_errors();
    test_days();
    test_known(known_utc, sizeof(known_utc) / sizeof(known_utc[0]));
    test_far();
    if (!there) {
        ok(true, "named zones # SKIP no tzdata on this machine");
        return tap_done();
    }
    test_known(known_zones, sizeof(known_zones) / sizeof(known_zones[0]));
    for (size_t i = 0; i < sizeof(model_zones) / sizeof(model_zones[0]); i++) {
        test_model_zone(i);
        test_model_offsets(i);
    }
    return tap_done();
}
