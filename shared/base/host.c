#include "shared/base/host.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#define DAY_MS (INT64_C(24) * 3600 * 1000)
#define TIME_FIRST                                                                                 \
    INT64_C(-62167219200000) /* 0000-01-01T00:00:00.000Z: four digits hold no earlier year */
#define TIME_LAST INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */

static pw_usec real_now(void *self)
{
    struct timespec t;

    (void)self;
    (void)clock_gettime(CLOCK_BOOTTIME, &t);
    return (pw_usec)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static pw_msec real_wall(void *self)
{
    struct timespec t;

    (void)self;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (pw_msec)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void real_random(void *self, void *buf, size_t n)
{
    char *p = buf;

    (void)self;
    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            /* a token made of guessable bytes would be worse than no program */
            (void)fputs("the system gives no random bytes\n", stderr);
            abort();
        }
        p += got;
        n -= (size_t)got;
    }
}

const pw_host pw_host_real = {.now = real_now, .wall = real_wall, .random = real_random};

uint64_t pw_random_u64(const pw_host *h)
{
    uint64_t v = 0;

    h->random(h->self, &v, sizeof(v));
    return v;
}

/* Days since 1970-01-01 of a date of the Gregorian calendar; the year is counted from March, so
 * that the leap day is its last. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

    return era * 146097 + doe - 719468;
}

static void date_of(int64_t days, int64_t *ret_year, int64_t *ret_month, int64_t *ret_day)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;

    *ret_day = doy - (153 * mp + 2) / 5 + 1;
    *ret_month = mp < 10 ? mp + 3 : mp - 9;
    *ret_year = yoe + era * 400 + (*ret_month <= 2);
}

/* Writes v with n digits, and what stands behind it. */
static void put(char **p, int64_t v, int n, char behind)
{
    for (int i = n - 1; i >= 0; i--, v /= 10)
        (*p)[i] = (char)('0' + v % 10);
    (*p)[n] = behind;
    *p += n + 1;
}

const char *pw_time_text(pw_msec t, char out[PW_TIME_MAX])
{
    int64_t year, month, day, days, ms;
    char *p = out;

    if (t < TIME_FIRST)
        t = TIME_FIRST;
    if (t > TIME_LAST)
        t = TIME_LAST;
    days = t / DAY_MS;
    ms = t % DAY_MS;
    if (ms < 0) {
        ms += DAY_MS;
        days--;
    }
    date_of(days, &year, &month, &day);
    put(&p, year, 4, '-');
    put(&p, month, 2, '-');
    put(&p, day, 2, 'T');
    put(&p, ms / 3600000, 2, ':');
    put(&p, ms / 60000 % 60, 2, ':');
    put(&p, ms / 1000 % 60, 2, '.');
    put(&p, ms % 1000, 3, 'Z');
    *p = '\0';
    return out;
}

/* Reads exactly n digits; -1 when there are fewer. Stops at a NUL. */
static int64_t digits(const char **s, int n)
{
    int64_t v = 0;

    for (int i = 0; i < n; i++, (*s)++) {
        if (**s < '0' || **s > '9')
            return -1;
        v = v * 10 + (**s - '0');
    }
    return v;
}

static bool skip(const char **s, char c)
{
    if (**s != c)
        return false;
    (*s)++;
    return true;
}

static int64_t month_days(int64_t year, int64_t month)
{
    static const signed char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && leap ? 29 : days[month - 1];
}

/* "", ".5" or ".123456789": the milliseconds in it; -1 when malformed. */
static int64_t fraction(const char **s)
{
    int64_t ms = 0, scale = 100;
    int n = 0;

    if (!skip(s, '.'))
        return 0;
    for (; **s >= '0' && **s <= '9'; (*s)++, n++) {
        ms += (**s - '0') * scale;
        scale /= 10;
    }
    return n >= 1 && n <= 9 ? ms : -1;
}

/* "Z" or "+hh:mm": minutes ahead of UTC. */
static bool zone(const char **s, int64_t *ret_minutes)
{
    int64_t sign = 1, hh, mm;

    if (skip(s, 'Z')) {
        *ret_minutes = 0;
        return true;
    }
    if (skip(s, '-'))
        sign = -1;
    else if (!skip(s, '+'))
        return false;
    hh = digits(s, 2);
    if (hh < 0 || hh > 23 || !skip(s, ':'))
        return false;
    mm = digits(s, 2);
    if (mm < 0 || mm > 59)
        return false;
    *ret_minutes = sign * (hh * 60 + mm);
    return true;
}

static bool time_read(const char *s, pw_msec *ret_t)
{
    int64_t year, month, day, hh, mm, ss, ms, ahead;

    year = digits(&s, 4);
    if (year < 0 || !skip(&s, '-'))
        return false;
    month = digits(&s, 2);
    if (month < 1 || month > 12 || !skip(&s, '-'))
        return false;
    day = digits(&s, 2);
    if (day < 1 || day > month_days(year, month) || !skip(&s, 'T'))
        return false;
    hh = digits(&s, 2);
    if (hh < 0 || hh > 23 || !skip(&s, ':'))
        return false;
    mm = digits(&s, 2);
    if (mm < 0 || mm > 59 || !skip(&s, ':'))
        return false;
    ss = digits(&s, 2);
    if (ss < 0 || ss > 60) /* 60: a leap second, which counts as the next one */
        return false;
    ms = fraction(&s);
    if (ms < 0 || !zone(&s, &ahead) || *s)
        return false;
    *ret_t = ((days_of(year, month, day) * 24 + hh) * 60 + mm - ahead) * 60000 + ss * 1000 + ms;
    return true;
}

int pw_time_parse(const char *s, pw_msec *ret_t, pw_err *err)
{
    if (!time_read(s, ret_t))
        return pw_fail(err, PW_EINVAL, "\"%.60s\" is not a time like 2026-11-20T12:43:01Z", s);
    return 0;
}
