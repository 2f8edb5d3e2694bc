#include "shared/cron/zone.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/buf.h"
#include "shared/base/fs.h"

#define ZONE_FOLDER "/usr/share/zoneinfo"
enum {
    NAME_LONGEST = 64,
    TIMES_MAX = 20000, /* transitions; a whole zone has about 240 */
    TYPES_MAX = 256,   /* they are numbered by one byte */
    COUNT_MAX = 65536, /* of anything else in a file */
    FOOTER_MAX = 256,
    HEADER = 44,
};

/* One date rule of a POSIX TZ text. */
struct rule_day {
    char kind; /* 'M' month.week.day, 'J' day 1..365 without 29 February, 'N' day 0..365 */
    int month, week, day;
    int32_t time; /* local seconds since that day's midnight, may be negative or over a day */
};

struct rule {
    bool any, has_dst;
    int32_t std, dst; /* seconds east */
    struct rule_day start, end;
};

struct change {
    int64_t at;
    int32_t offset;
};

struct cron_zone {
    struct change *changes; /* owned; rising */
    size_t n;
    int32_t first;    /* offset before the first change */
    struct rule rule; /* after the last one */
};

/* ---- the calendar (proleptic Gregorian; after Howard Hinnant's days_from_civil) ---- */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

int64_t cron_days(int64_t year, int month, int day)
{
    int64_t y = year - (month <= 2), era = floor_div(y, 400), of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

cron_date cron_date_of(int64_t days)
{
    int64_t z = days + 719468, era = floor_div(z, 146097), of_era = z - era * 146097;
    int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;
    int month = (int)(m < 10 ? m + 3 : m - 9);
    return (cron_date){.year = y + era * 400 + (month <= 2),
                       .month = month,
                       .day = (int)(of_year - (153 * m + 2) / 5 + 1)};
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int cron_month_days(int64_t year, int month)
{
    return month == 2 ? 28 + is_leap(year) : 30 + ((month + (month > 7)) & 1);
}

int cron_weekday(int64_t days)
{
    return (int)(days + 4 - 7 * floor_div(days + 4, 7)); /* 1970-01-01 was a Thursday */
}

/* ---- the rule behind the last change ---- */

static bool read_number(const char **p, int most, int *ret_v)
{
    int v = 0;
    const char *s = *p;
    if (*s < '0' || *s > '9')
        return false;
    for (; *s >= '0' && *s <= '9'; s++) {
        v = v * 10 + (*s - '0');
        if (v > most)
            return false;
    }
    *p = s;
    *ret_v = v;
    return true;
}

/* [+-]hh[:mm[:ss]] in seconds */
static bool read_time(const char **p, int hours_most, int32_t *ret_v)
{
    int h = 0, m = 0, s = 0;
    bool minus = **p == '-';
    if (**p == '-' || **p == '+')
        ++*p;
    if (!read_number(p, hours_most, &h))
        return false;
    if (**p == ':') {
        ++*p;
        if (!read_number(p, 59, &m))
            return false;
        if (**p == ':') {
            ++*p;
            if (!read_number(p, 59, &s))
                return false;
        }
    }
    s += h * 3600 + m * 60;
    *ret_v = minus ? -s : s;
    return true;
}

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool skip_name(const char **p)
{
    const char *s = *p;
    if (*s == '<') {
        s = strchr(s, '>');
        if (!s)
            return false;
        *p = s + 1;
        return true;
    }
    while (is_letter(*s))
        s++;
    if (s - *p < 3)
        return false;
    *p = s;
    return true;
}

static bool read_rule_day(const char **p, struct rule_day *d)
{
    *d = (struct rule_day){.kind = 'N', .time = 2 * 3600};
    if (*(*p)++ != ',')
        return false;
    if (**p == 'M') {
        d->kind = *(*p)++;
        if (!read_number(p, 12, &d->month) || d->month < 1 || *(*p)++ != '.' ||
            !read_number(p, 5, &d->week) || d->week < 1 || *(*p)++ != '.' ||
            !read_number(p, 6, &d->day))
            return false;
    } else {
        if (**p == 'J')
            d->kind = *(*p)++;
        if (!read_number(p, 365, &d->day) || (d->kind == 'J' && d->day < 1))
            return false;
    }
    if (**p != '/')
        return true;
    ++*p;
    return read_time(p, 167, &d->time);
}

static bool read_rule(const char *p, struct rule *r)
{
    int32_t west = 0;
    if (!skip_name(&p) || !read_time(&p, 24, &west))
        return false;
    *r = (struct rule){.any = true, .std = -west, .dst = 3600 - west};
    if (!*p)
        return true;
    r->has_dst = true;
    if (!skip_name(&p))
        return false;
    if (*p && *p != ',') {
        if (!read_time(&p, 24, &west))
            return false;
        r->dst = -west;
    }
    return read_rule_day(&p, &r->start) && read_rule_day(&p, &r->end) && !*p;
}

/* Local midnight of the rule's day plus its time, as if the place were at UTC. */
static int64_t rule_time(const struct rule_day *d, int64_t year)
{
    int64_t day = cron_days(year, 1, 1) + d->day;
    if (d->kind == 'J') {
        day += (is_leap(year) && d->day >= 60) - 1;
    } else if (d->kind == 'M') {
        int64_t first = cron_days(year, d->month, 1);
        int ahead = (d->day - cron_weekday(first) + 7) % 7 + (d->week - 1) * 7;
        if (ahead >= cron_month_days(year, d->month))
            ahead -= 7;
        day = first + ahead;
    }
    return day * 86400 + d->time;
}

static cron_span rule_span(const struct rule *r, int64_t at)
{
    cron_span s = {.from = INT64_MIN, .to = INT64_MAX, .offset = r->std};
    int64_t year;
    if (!r->has_dst)
        return s;
    /* A rule's time reaches up to 7 days into the neighbour year, so two years to each side hold
     * both neighbours. Of two changes at one instant the one to summer time wins: that is how
     * "summer time for ever" is written. */
    year = cron_date_of(floor_div(at, 86400)).year;
    for (int64_t y = year - 2; y <= year + 2; y++) {
        struct change c[2] = {{rule_time(&r->end, y) - r->dst, r->std},
                              {rule_time(&r->start, y) - r->std, r->dst}};
        for (size_t i = 0; i < 2; i++) {
            if (c[i].at > at) {
                s.to = c[i].at < s.to ? c[i].at : s.to;
            } else if (c[i].at > s.from || (c[i].at == s.from && i == 1)) {
                s.from = c[i].at;
                s.offset = c[i].offset;
            }
        }
    }
    return s;
}

/* ---- lookup ---- */

cron_span cron_zone_span(const cron_zone *z, int64_t at)
{
    cron_span s = {.from = INT64_MIN, .to = INT64_MAX, .offset = z->first};
    size_t low = 0, high = z->n; /* how many changes are not after `at` */
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (z->changes[mid].at <= at)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == z->n && z->rule.any)
        s = rule_span(&z->rule, at);
    else if (low > 0)
        s.offset = z->changes[low - 1].offset;
    if (low > 0 && s.from < z->changes[low - 1].at)
        s.from = z->changes[low - 1].at;
    if (low < z->n)
        s.to = z->changes[low].at;
    return s;
}

int32_t cron_zone_offset(const cron_zone *z, int64_t at)
{
    if (at > CRON_TIME_LIMIT)
        at = CRON_TIME_LIMIT;
    if (at < -CRON_TIME_LIMIT)
        at = -CRON_TIME_LIMIT;
    return cron_zone_span(z, at).offset;
}

/* ---- the file ---- */

struct header {
    char version;
    size_t isut, isstd, leap, times, types, chars;
};

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

static int64_t be64(const uint8_t *p)
{
    return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

static int damaged(const char *what, pw_err *err)
{
    return pw_fail(err, PW_ECORRUPT, "the zone file is damaged: %s", what);
}

static int read_header(const uint8_t *p, size_t n, struct header *h, pw_err *err)
{
    size_t *const field[6] = {&h->isut, &h->isstd, &h->leap, &h->times, &h->types, &h->chars};
    if (n < HEADER || memcmp(p, "TZif", 4) != 0)
        return pw_fail(err, PW_ENOTFOUND, "not a zone file");
    h->version = (char)p[4];
    for (size_t i = 0; i < 6; i++) {
        *field[i] = be32(p + 20 + 4 * i);
        if (*field[i] > COUNT_MAX)
            return damaged("a count is too large", err);
    }
    if (h->times > TIMES_MAX || h->types > TYPES_MAX || h->types < 1)
        return damaged("a count is out of bounds", err);
    return 0;
}

static size_t block_size(const struct header *h, size_t width)
{
    return h->times * (width + 1) + h->types * 6 + h->chars + h->leap * (width + 4) + h->isstd +
           h->isut;
}

/* The block at p is complete. */
static int read_block(const uint8_t *p, const struct header *h, size_t width, cron_zone *z,
                      pw_err *err)
{
    const uint8_t *numbers = p + h->times * width, *types = numbers + h->times;
    int32_t offsets[TYPES_MAX] = {0};
    if (h->leap)
        return pw_fail(err, PW_EINVAL, "zones that count leap seconds are not supported");
    for (size_t i = 0; i < h->types; i++) {
        offsets[i] = (int32_t)be32(types + 6 * i);
        if (offsets[i] > CRON_OFFSET_MAX || offsets[i] < -CRON_OFFSET_MAX)
            return damaged("an offset is out of bounds", err);
    }
    z->first = offsets[0];
    z->changes = calloc(h->times + 1, sizeof(*z->changes));
    if (!z->changes)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    for (size_t i = 0; i < h->times; i++) {
        const uint8_t *at = p + i * width;
        struct change *c = &z->changes[i];
        c->at = width == 8 ? be64(at) : (int32_t)be32(at);
        if (numbers[i] >= h->types)
            return damaged("a type is missing", err);
        c->offset = offsets[numbers[i]];
        if (i > 0 && c->at <= c[-1].at)
            return damaged("the times do not rise", err);
    }
    z->n = h->times;
    return 0;
}

static int read_footer(const uint8_t *p, size_t n, cron_zone *z, pw_err *err)
{
    char text[FOOTER_MAX + 1];
    const uint8_t *end;
    size_t len;
    if (n < 2 || p[0] != '\n')
        return damaged("the footer is missing", err);
    end = memchr(p + 1, '\n', n - 1);
    len = end ? (size_t)(end - p) - 1 : FOOTER_MAX + 1;
    if (len > FOOTER_MAX || memchr(p + 1, '\0', len))
        return damaged("the footer is broken", err);
    memcpy(text, p + 1, len);
    text[len] = '\0';
    if (len && !read_rule(text, &z->rule))
        return damaged("the footer is no rule", err);
    return 0;
}

cron_zone *cron_zone_parse(const uint8_t *p, size_t n, pw_err *err)
{
    PW_AUTO(cron_zone_freep) cron_zone *z = calloc(1, sizeof(*z));
    struct header h = {0};
    size_t width = 4;
    if (!z) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    if (read_header(p, n, &h, err) < 0)
        return NULL;
    if (h.version) { /* a second copy with 64-bit times follows, and the footer */
        size_t skip = HEADER + block_size(&h, width);
        width = 8;
        if (skip > n) {
            (void)damaged("it is cut short", err);
            return NULL;
        }
        p += skip;
        n -= skip;
        if (read_header(p, n, &h, err) < 0) {
            (void)damaged("the second header is missing", err);
            return NULL;
        }
    }
    if (HEADER + block_size(&h, width) > n) {
        (void)damaged("it is cut short", err);
        return NULL;
    }
    if (read_block(p + HEADER, &h, width, z, err) < 0)
        return NULL;
    p += HEADER + block_size(&h, width);
    n -= HEADER + block_size(&h, width);
    if (width == 8 && read_footer(p, n, z, err) < 0)
        return NULL;
    return pw_take(z);
}

/* Parts of letters, digits, `_`, `+` and `-`, with `/` between them: so no "..", and nothing
 * outside of the folder. */
static bool name_ok(const char *name)
{
    size_t n = strnlen(name, NAME_LONGEST + 1);
    if (n == 0 || n > NAME_LONGEST || name[0] == '/' || name[n - 1] == '/')
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        if (c == '/' ? name[i + 1] == '/'
                     : !is_letter(c) && !(c >= '0' && c <= '9') && c != '_' && c != '+' && c != '-')
            return false;
    }
    return true;
}

static cron_zone *not_found(const char *name, pw_err *err)
{
    (void)pw_fail(err, PW_ENOTFOUND, "there is no time zone \"%.64s\" in " ZONE_FOLDER, name);
    return NULL;
}

cron_zone *cron_zone_open(const char *name, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf file = PW_BUF(CRON_ZONE_FILE_MAX);
    PW_AUTO(pw_freep) char *path = NULL;
    pw_err e = {0};
    cron_zone *z = NULL;
    int rc;
    if (!name_ok(name))
        return not_found(name, err);
    if (strcmp(name, "UTC") == 0) { /* also where no zones are installed */
        z = calloc(1, sizeof(*z));
        if (!z)
            (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return z;
    }
    path = pw_path_join(ZONE_FOLDER, name);
    if (!path) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    rc = pw_fs_read(path, CRON_ZONE_FILE_MAX, &file, &e);
    if (rc == PW_ESYS && (e.sys == EISDIR || e.sys == ENOTDIR))
        return not_found(name, err);
    if (rc >= 0)
        z = cron_zone_parse((const uint8_t *)pw_buf_str(&file), file.len, &e);
    if (z)
        return z;
    if (e.code == PW_ENOTFOUND)
        return not_found(name, err);
    (void)pw_err_context(&e, "time zone \"%s\"", name);
    if (err)
        *err = e;
    return NULL;
}

cron_zone *cron_zone_free(cron_zone *self)
{
    if (self)
        free(self->changes);
    free(self);
    return NULL;
}
