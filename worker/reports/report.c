#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/reports/impl.h"

static const report_kind *const kinds[] = {&report_junit, &report_tap, &report_subunit,
                                           &report_gotest};

report *report_new(const char *format, report_sink *sink, void *sink_self, pw_err *err)
{
    const report_kind *kind = NULL;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i]->name, format) == 0)
            kind = kinds[i];
    if (!kind) {
        (void)pw_fail(err, PW_EINVAL, "there is no kind \"%.40s\" of reports", format);
        return NULL;
    }
    PW_AUTO(report_freep) report *self = calloc(1, sizeof(*self));
    if (!self || !(self->state = calloc(1, kind->size)) ||
        !(self->text = malloc(REPORT_LINE_MAX + 1))) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->kind = kind;
    self->sink = sink;
    self->sink_self = sink_self;
    if (kind->begin && kind->begin(self, err) < 0)
        return NULL;
    return pw_take(self);
}

report *report_free(report *self)
{
    if (self) {
        if (self->kind && self->kind->clear)
            self->kind->clear(self);
        free(self->state);
        free(self->text);
        free(self);
    }
    return NULL;
}

void report_bad(report *r, const char *fmt, ...)
{
    char text[300];
    va_list ap;
    if (r->bad)
        return;
    r->bad = true;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)pw_fail(&r->why, PW_ECORRUPT, "%s", text);
}

/* Cut to its bound, at the beginning of a character; NULL and "" stay. */
static const char *cut(const char *s, char out[REPORT_NAME_MAX + 1])
{
    size_t n = s ? strlen(s) : 0;
    if (n <= REPORT_NAME_MAX)
        return s;
    n = REPORT_NAME_MAX;
    while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
        n--;
    memcpy(out, s, n);
    out[n] = '\0';
    return out;
}

void report_put(report *r, const char *suite, const char *name, report_result result, uint64_t ms)
{
    char a[REPORT_NAME_MAX + 1], b[REPORT_NAME_MAX + 1];
    r->totals.tests++;
    r->totals.failed += result == REPORT_FAILED;
    r->totals.skipped += result == REPORT_SKIPPED;
    report_case c = {cut(suite && *suite ? suite : NULL, a), cut(name && *name ? name : "?", b),
                     result, ms};
    if (r->sink)
        r->sink(r->sink_self, &c);
}

uint64_t report_seconds(const char *s)
{
    uint64_t whole = 0, part = 0, unit = 1000;
    if (!s || *s < '0' || *s > '9')
        return 0;
    for (; *s >= '0' && *s <= '9' && whole < 1000000000; s++)
        whole = whole * 10 + (uint64_t)(*s - '0');
    if (*s == '.')
        for (s++; *s >= '0' && *s <= '9' && unit > 1; s++) {
            unit /= 10;
            part += (uint64_t)(*s - '0') * unit;
        }
    return whole * 1000 + part;
}

/* ---- lines */
static void put_line(report *r)
{
    size_t n = r->len;
    if (n > 0 && r->text[n - 1] == '\r')
        n--;
    for (size_t i = 0; i < n; i++)
        if (!r->text[i])
            r->text[i] = ' ';
    r->text[n] = '\0';
    r->line_no++;
    r->len = 0;
    if (!r->bad)
        r->kind->line(r, r->text, n);
}

void report_lines(report *r, const uint8_t *p, size_t n)
{
    while (n > 0) {
        const uint8_t *lf = memchr(p, '\n', n);
        size_t k = lf ? (size_t)(lf - p) : n, room = REPORT_LINE_MAX - r->len;
        memcpy(r->text + r->len, p, k < room ? k : room);
        r->len += k < room ? k : room;
        if (lf)
            put_line(r);
        k += lf != NULL;
        p += k;
        n -= k;
    }
}

void report_last_line(report *r)
{
    if (r->len > 0)
        put_line(r);
}

void report_add(report *self, const void *p, size_t n)
{
    if (self->bad || n == 0)
        return;
    if (self->kind->bytes)
        self->kind->bytes(self, p, n);
    else
        report_lines(self, p, n);
}

int report_end(report *self, report_totals *ret, pw_err *err)
{
    if (!self->bad && !self->kind->bytes)
        report_last_line(self);
    if (!self->bad && self->kind->end)
        self->kind->end(self);
    *ret = self->totals;
    if (!self->bad)
        return 0;
    if (err)
        *err = self->why;
    return PW_ECORRUPT;
}
