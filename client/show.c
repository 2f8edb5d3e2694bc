#include "client/show.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct show_cell {
    char *text; /* owned, clean */
    show_style style;
};

/* Bytes of the code point at s when it is one that may be shown, else 0 (then one byte is to be
 * replaced). */
static size_t point(const char *s)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t n = p[0] < 0x80                   ? 1
               : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
               : (p[0] & 0xf0) == 0xe0       ? 3
               : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                             : 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if (n == 1 && (p[0] < 0x20 || p[0] == 0x7f))
        return 0;
    if (n == 2 && p[0] == 0xc2 && p[1] < 0xa0) /* C1 controls */
        return 0;
    return n;
}

size_t show_width(const char *s)
{
    size_t n = 0;
    for (; *s; n++) {
        size_t k = point(s);
        s += k ? k : 1;
    }
    return n;
}

void show_clean(pw_buf *b, const char *s, size_t max)
{
    size_t left = max && show_width(s) > max ? max - 1 : SIZE_MAX;
    bool cut = left != SIZE_MAX;
    for (; *s && left; left--) {
        size_t k = point(s);
        (void)(k ? pw_buf_add(b, s, k) : pw_buf_adds(b, "?"));
        s += k ? k : 1;
    }
    if (cut)
        (void)pw_buf_adds(b, "…");
}

static const char *const sgr[] = {
    [SHOW_PLAIN] = NULL, [SHOW_GOOD] = "32", [SHOW_BAD] = "1;31", [SHOW_WARN] = "33",
    [SHOW_BUSY] = "34",  [SHOW_DIM] = "2",   [SHOW_BOLD] = "1"};

static void styled(pw_buf *b, show_style style, bool colour, const char *s, size_t max)
{
    const char *code = colour ? sgr[style] : NULL;
    if (code)
        (void)pw_buf_addf(b, "\033[%sm", code);
    show_clean(b, s, max);
    if (code)
        (void)pw_buf_adds(b, "\033[0m");
}

void show_styled(pw_buf *b, show_style style, bool colour, const char *s)
{
    styled(b, style, colour, s, 0);
}

show_style show_style_of(const char *state)
{
    static const struct {
        const char *word;
        show_style style;
    } table[] = {{"success", SHOW_GOOD},    {"connected", SHOW_GOOD}, {"ok", SHOW_GOOD},
                 {"failure", SHOW_BAD},     {"exception", SHOW_BAD},  {"missing", SHOW_BAD},
                 {"quarantined", SHOW_BAD}, {"diverged", SHOW_BAD},   {"stopped", SHOW_BAD},
                 {"wrong", SHOW_BAD},       {"warnings", SHOW_WARN},  {"cancelled", SHOW_WARN},
                 {"paused", SHOW_WARN},     {"draining", SHOW_WARN},  {"retry", SHOW_WARN},
                 {"running", SHOW_BUSY},    {"finishing", SHOW_BUSY}, {"queued", SHOW_BUSY},
                 {"dispatched", SHOW_BUSY}, {"skipped", SHOW_DIM},    {"waiting", SHOW_DIM},
                 {"removed", SHOW_DIM},     {"new", SHOW_DIM}};
    for (size_t i = 0; state && i < sizeof(table) / sizeof(table[0]); i++)
        if (strcmp(table[i].word, state) == 0)
            return table[i].style;
    return SHOW_PLAIN;
}

void show_table_init(show_table *t, const char *const *heads)
{
    *t = (show_table){0};
    for (; *heads && t->columns < SHOW_COLUMNS; heads++) {
        t->right[t->columns] = **heads == '>';
        t->head[t->columns++] = *heads + (**heads == '>');
    }
}

void show_table_clear(show_table *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->cell[i].text);
    free(t->cell);
    *t = (show_table){0};
}

void show_cell(show_table *t, show_style style, const char *text)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF((size_t)64 * 1024);
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 64;
        struct show_cell *v = realloc(t->cell, cap * sizeof(*v));
        if (!v) {
            t->failed = true;
            return;
        }
        t->cell = v;
        t->cap = cap;
    }
    show_clean(&b, text && *text ? text : "-", 0);
    t->failed |= b.failed;
    char *copy = pw_strdup(pw_buf_str(&b), &t->failed);
    if (copy)
        t->cell[t->n++] = (struct show_cell){copy, style};
}

void show_cellf(show_table *t, show_style style, const char *fmt, ...)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF((size_t)64 * 1024);
    va_list ap;
    va_start(ap, fmt);
    (void)pw_buf_vaddf(&b, fmt, ap);
    va_end(ap);
    t->failed |= b.failed;
    show_cell(t, style, pw_buf_str(&b));
}

static void pad(pw_buf *b, size_t n)
{
    while (n--)
        (void)pw_buf_add(b, " ", 1);
}

static void one_cell(const show_table *t, size_t column, const char *text, show_style style,
                     bool colour, const size_t *wide, size_t room, pw_buf *b)
{
    size_t w = show_width(text);
    bool last = column + 1 == t->columns;
    if (t->right[column] && wide[column] > w)
        pad(b, wide[column] - w);
    styled(b, style, colour, text, last ? room : 0);
    if (last) {
        (void)pw_buf_adds(b, "\n");
        return;
    }
    if (!t->right[column])
        pad(b, wide[column] - w);
    pad(b, 2);
}

int show_table_text(const show_table *t, bool colour, int width, pw_buf *b)
{
    size_t wide[SHOW_COLUMNS] = {0}, before = 0, room = 0;
    size_t rows = t->columns ? t->n / t->columns : 0;
    if (t->failed)
        return PW_ENOMEM;
    if (!rows)
        return 0;
    for (size_t k = 0; k < t->columns; k++) {
        wide[k] = show_width(t->head[k]);
        for (size_t r = 0; r < rows; r++) {
            size_t w = show_width(t->cell[r * t->columns + k].text);
            wide[k] = w > wide[k] ? w : wide[k];
        }
        before += k + 1 < t->columns ? wide[k] + 2 : 0;
    }
    if (width > 0) /* a last column of some use is kept, even when the line then wraps */
        room = (size_t)width > before + 10 ? (size_t)width - before : 10;
    for (size_t k = 0; k < t->columns; k++)
        one_cell(t, k, t->head[k], SHOW_DIM, colour, wide, room, b);
    for (size_t i = 0; i < rows * t->columns; i++)
        one_cell(t, i % t->columns, t->cell[i].text, t->cell[i].style, colour, wide, room, b);
    return b->failed ? PW_ENOMEM : 0;
}

const char *show_ago(pw_msec now, pw_msec then, char out[32])
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{INT64_C(86400000), "d"},
                 {INT64_C(3600000), "h"},
                 {INT64_C(60000), "m"},
                 {INT64_C(1000), "s"}};
    int64_t d = now - then, size = d < 0 ? -d : d;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (size >= units[i].ms) {
            (void)snprintf(out, 32, d < 0 ? "in %" PRId64 "%s" : "%" PRId64 "%s ago",
                           size / units[i].ms, units[i].unit);
            return out;
        }
    (void)snprintf(out, 32, "now");
    return out;
}

const char *show_when(const json_value *time, bool relative, pw_msec now, char out[40])
{
    const char *text = json_str(time, NULL);
    char ago[32];
    pw_msec t;
    if (!text)
        (void)snprintf(out, 40, "-");
    else if (relative && pw_time_parse(text, &t, NULL) == 0)
        (void)snprintf(out, 40, "%s", show_ago(now, t, ago));
    else
        (void)snprintf(out, 40, "%s", text);
    return out;
}

const char *show_span(pw_msec ms, char out[32])
{
    int64_t s = ms / 1000;
    if (ms < 0)
        (void)snprintf(out, 32, "-");
    else if (ms < 1000)
        (void)snprintf(out, 32, "%" PRId64 "ms", ms);
    else if (s < 60)
        (void)snprintf(out, 32, "%" PRId64 "s", s);
    else if (s < 3600)
        (void)snprintf(out, 32, "%" PRId64 "m %02" PRId64 "s", s / 60, s % 60);
    else
        (void)snprintf(out, 32, "%" PRId64 "h %02" PRId64 "m", s / 3600, s / 60 % 60);
    return out;
}

const char *show_took(const json_value *started, const json_value *finished, pw_msec now,
                      char out[32])
{
    pw_msec from, to;
    const char *a = json_str(started, NULL), *b = json_str(finished, NULL);
    if (!a || pw_time_parse(a, &from, NULL) < 0) {
        (void)snprintf(out, 32, "-");
        return out;
    }
    if (!b || pw_time_parse(b, &to, NULL) < 0)
        to = now < from ? from : now; /* the clocks of two machines may differ */
    return show_span(to - from, out);
}

const char *show_rev(const json_value *rev, char out[9])
{
    (void)snprintf(out, 9, "%s", json_str(rev, "-"));
    return out;
}
