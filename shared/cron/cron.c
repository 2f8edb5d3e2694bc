#include "shared/cron/cron.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shared/cron/zone.h"

enum {
    LINE_LONGEST = 1000,
    DAY = 86400,
    DAY_MINUTES = 1440,
    QUOTE = 40, /* bytes of the user's text in an error */
};
#define CRON_REACH ((int64_t)8 * 366 * DAY) /* 29 February comes after 8 years at the latest */

enum { F_MINUTE, F_HOUR, F_DAY, F_MONTH, F_WEEKDAY, FIELDS };

struct cron_line {
    uint64_t bits[FIELDS]; /* bit v: value v is listed; Sunday is 0 */
    bool last_day;         /* `L` */
    uint8_t nth[7];        /* weekday: bit k for `D#k` */
    bool either;           /* day-of-month OR day-of-week */
    bool every_hour;       /* the hour field has a `*` */
};

static const struct field {
    const char *name;
    int least, most;
    const char *const *names; /* of values from `least` on */
    size_t n_names;
} fields[FIELDS] = {
    {"minute", 0, 59, NULL, 0},
    {"hour", 0, 23, NULL, 0},
    {"day-of-month", 1, 31, NULL, 0},
    {"month", 1, 12,
     (const char *const[]){"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct",
                           "nov", "dec"},
     12},
    {"day-of-week", 0, 7, (const char *const[]){"sun", "mon", "tue", "wed", "thu", "fri", "sat"},
     7},
};

/* ---- the line ---- */

/* A part of the line, not NUL-terminated. */
struct text {
    const char *p;
    size_t n;
};

static int part_fail(const struct field *f, struct text t, const char *what, pw_err *err)
{
    int n = t.n < QUOTE ? (int)t.n : QUOTE;
    return pw_fail(err, PW_EINVAL, "%s: \"%.*s\" %s", f->name, n, t.p, what);
}

/* Splits at the first c: *ret_rest is what follows it; false when there is none. */
static bool split(struct text *t, char c, struct text *ret_rest)
{
    const char *at = memchr(t->p, c, t->n);
    if (!at)
        return false;
    *ret_rest = (struct text){at + 1, t->n - (size_t)(at - t->p) - 1};
    t->n = (size_t)(at - t->p);
    return true;
}

static int read_value(const struct field *f, struct text t, int *ret_v, pw_err *err)
{
    char range[40];
    int v = 0;
    for (size_t i = 0; t.n == 3 && i < f->n_names; i++) {
        if (strncasecmp(t.p, f->names[i], 3) == 0) {
            *ret_v = f->least + (int)i;
            return 0;
        }
    }
    for (size_t i = 0; i < t.n; i++) {
        if (t.p[i] < '0' || t.p[i] > '9')
            return part_fail(f, t, f->names ? "is not a number or a name" : "is not a number", err);
        if (v < 1000)
            v = v * 10 + (t.p[i] - '0');
    }
    if (!t.n)
        return part_fail(f, t, "where a number is expected", err);
    if (v < f->least || v > f->most) {
        (void)snprintf(range, sizeof(range), "is not in %d..%d", f->least, f->most);
        return part_fail(f, t, range, err);
    }
    *ret_v = v;
    return 0;
}

/* D#N */
static int read_nth(cron_line *c, struct text whole, struct text day, struct text nth, pw_err *err)
{
    const struct field *f = &fields[F_WEEKDAY];
    int d = 0;
    if (read_value(f, day, &d, err) < 0)
        return PW_EINVAL;
    if (nth.n != 1 || nth.p[0] < '1' || nth.p[0] > '5')
        return part_fail(f, whole, "needs 1..5 after the \"#\"", err);
    c->nth[d % 7] |= (uint8_t)(1U << (nth.p[0] - '0'));
    return 0;
}

/* One of a list: `*`, V, V-V, each with /STEP; L; D#N. */
static int read_item(cron_line *c, int number, struct text t, pw_err *err)
{
    const struct field *f = &fields[number];
    struct text whole = t, rest, step_text;
    int from = f->least, to = number == F_WEEKDAY ? 6 : f->most, step = 1;
    bool has_step = split(&t, '/', &step_text);
    if (number == F_DAY && !has_step && t.n == 1 && (*t.p == 'L' || *t.p == 'l')) {
        c->last_day = true;
        return 0;
    }
    if (number == F_WEEKDAY && !has_step && split(&t, '#', &rest))
        return read_nth(c, whole, t, rest, err);
    if (!(t.n == 1 && *t.p == '*')) {
        bool is_range = split(&t, '-', &rest);
        if (read_value(f, t, &from, err) < 0)
            return PW_EINVAL;
        if (is_range && read_value(f, rest, &to, err) < 0)
            return PW_EINVAL;
        if (!is_range && !has_step)
            to = from;
        if (number == F_WEEKDAY && is_range && to == 0 && from > 0)
            to = 7; /* fri-sun */
        if (!is_range && has_step && to < from)
            to = from; /* 7/2 */
    }
    if (to < from)
        return part_fail(f, whole, "runs backwards", err);
    if (has_step) {
        struct field s = {f->name, 1, f->most, NULL, 0};
        char range[40];
        (void)snprintf(range, sizeof(range), "is not a step of 1..%d", f->most);
        if (read_value(&s, step_text, &step, NULL) < 0)
            return part_fail(f, step_text, range, err);
    }
    for (int v = from; v <= to; v += step)
        c->bits[number] |= UINT64_C(1) << (number == F_WEEKDAY ? v % 7 : v);
    return 0;
}

static int read_field(cron_line *c, int number, struct text t, pw_err *err)
{
    bool more = true;
    while (more) {
        struct text item = t;
        more = split(&item, ',', &t);
        if (read_item(c, number, item, err) < 0)
            return PW_EINVAL;
    }
    return 0;
}

cron_line *cron_parse(const char *text, pw_err *err)
{
    PW_AUTO(cron_freep) cron_line *c = NULL;
    struct text part[FIELDS];
    size_t n = 0;
    if (strnlen(text, LINE_LONGEST + 1) > LINE_LONGEST) {
        (void)pw_fail(err, PW_ELIMIT, "the line is longer than %d bytes", (int)LINE_LONGEST);
        return NULL;
    }
    for (const char *p = text + strspn(text, " \t"); *p; n++) {
        size_t len = strcspn(p, " \t");
        if (n < FIELDS)
            part[n] = (struct text){p, len};
        p += len;
        p += strspn(p, " \t");
    }
    if (n != FIELDS) {
        (void)pw_fail(err, PW_EINVAL,
                      "%zu fields where 5 are expected: minute hour day-of-month month day-of-week",
                      n);
        return NULL;
    }
    c = calloc(1, sizeof(*c));
    if (!c) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    for (int i = 0; i < FIELDS; i++)
        if (read_field(c, i, part[i], err) < 0)
            return NULL;
    c->either = part[F_DAY].p[0] != '*' && part[F_WEEKDAY].p[0] != '*';
    c->every_hour = memchr(part[F_HOUR].p, '*', part[F_HOUR].n) != NULL;
    return pw_take(c);
}

cron_line *cron_free(cron_line *self)
{
    free(self);
    return NULL;
}

/* ---- local time: seconds since 1970-01-01 00:00 of the wall clock ---- */

static bool has(const cron_line *c, int number, int v)
{
    return c->bits[number] >> v & 1;
}

static bool day_matches(const cron_line *c, int64_t days)
{
    cron_date d = cron_date_of(days);
    int weekday = cron_weekday(days);
    bool by_day =
        has(c, F_DAY, d.day) || (c->last_day && d.day == cron_month_days(d.year, d.month));
    bool by_weekday = has(c, F_WEEKDAY, weekday) || c->nth[weekday] >> ((d.day - 1) / 7 + 1) & 1;
    if (!has(c, F_MONTH, d.month))
        return false;
    return c->either ? by_day || by_weekday : by_day && by_weekday;
}

/* First listed minute of a day from `minute` on; DAY_MINUTES when there is none. */
static int next_minute(const cron_line *c, int minute)
{
    while (minute < DAY_MINUTES) {
        if (!has(c, F_HOUR, minute / 60))
            minute = (minute / 60 + 1) * 60;
        else if (has(c, F_MINUTE, minute % 60))
            return minute;
        else
            minute++;
    }
    return DAY_MINUTES;
}

static int64_t day_of(int64_t local)
{
    return local / DAY - (local % DAY < 0);
}

/* First local time that matches, from <= it < end; false when there is none. */
static bool next_local(const cron_line *c, int64_t from, int64_t end, int64_t *ret_local)
{
    int64_t day = day_of(from), first = (from - day * DAY + 59) / 60;
    for (int minute = (int)first; day * DAY < end; day++, minute = 0) {
        int64_t local;
        if (!day_matches(c, day))
            continue;
        minute = next_minute(c, minute);
        local = day * DAY + (int64_t)minute * 60;
        if (minute == DAY_MINUTES)
            continue;
        if (local >= end)
            return false;
        *ret_local = local;
        return true;
    }
    return false;
}

/* ---- real time ---- */

/* Every real minute whose local time matches: stretch by stretch of constant offset. */
static int64_t next_every(const cron_line *c, const cron_zone *z, int64_t from, int64_t last)
{
    while (from <= last) {
        cron_span s = cron_zone_span(z, from);
        int64_t end = s.to <= last ? s.to : last + 1, local;
        if (next_local(c, from + s.offset, end + s.offset, &local))
            return local - s.offset;
        from = end;
    }
    return -1;
}

/* The first instant at which the local clock shows `local` or more: in an overlap the first time,
 * in a gap its end. */
static int64_t first_at(const cron_zone *z, int64_t local)
{
    int64_t t = local - CRON_OFFSET_MAX;
    for (;;) {
        cron_span s = cron_zone_span(z, t);
        if (local - s.offset > t)
            t = local - s.offset;
        if (t < s.to)
            return t;
        t = s.to;
    }
}

/* Each listed local time once. Times that the clock has reached before or at `after` fired then, so
 * the search begins behind what it shows now. */
static int64_t next_once(const cron_line *c, const cron_zone *z, int64_t after, int64_t last)
{
    int64_t local = after + cron_zone_span(z, after).offset;
    int64_t end = last + CRON_OFFSET_MAX + 1;
    while (next_local(c, local + 1, end, &local)) {
        int64_t t = first_at(z, local);
        if (t > last)
            return -1;
        if (t > after)
            return t;
    }
    return -1;
}

int64_t cron_next(const cron_line *c, const cron_zone *z, int64_t after)
{
    int64_t last;
    if (after > CRON_TIME_LIMIT - 2 * CRON_REACH || after < -CRON_TIME_LIMIT + 2 * CRON_REACH)
        return -1;
    last = after + CRON_REACH;
    return c->every_hour ? next_every(c, z, after + 1, last) : next_once(c, z, after, last);
}

const char *cron_time_text(const cron_zone *z, int64_t at, char out[CRON_TIME_MAX])
{
    int32_t offset, east;
    int64_t local, days;
    unsigned second;
    cron_date d;
    if (at > CRON_TIME_LIMIT)
        at = CRON_TIME_LIMIT;
    if (at < -INT64_C(62135596800) + CRON_OFFSET_MAX) /* not before the year 1 */
        at = -INT64_C(62135596800) + CRON_OFFSET_MAX;
    offset = cron_zone_offset(z, at);
    local = at + offset;
    days = day_of(local);
    d = cron_date_of(days);
    second = (unsigned)(local - days * DAY);
    east = offset < 0 ? -offset : offset;
    (void)snprintf(out, CRON_TIME_MAX, "%04u-%02u-%02uT%02u:%02u:%02u%c%02u:%02u",
                   (unsigned)d.year % 10000, (unsigned)d.month % 100, (unsigned)d.day % 100,
                   second / 3600 % 100, second / 60 % 60, second % 60, offset < 0 ? '-' : '+',
                   (unsigned)east / 3600 % 100, (unsigned)east / 60 % 60);
    return out;
}
