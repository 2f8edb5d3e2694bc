#include "shared/scan/marks.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const char *const mark_kind_names[MARK_KINDS] = {"error", "warning", "notice"};

void marks_clear(marks *self)
{
    for (size_t i = 0; i < self->n_groups; i++) {
        free(self->group[i].title);
        free(self->group[i].section);
    }
    for (size_t i = 0; i < self->n_marks; i++) {
        free(self->mark[i].file);
        free(self->mark[i].title);
        free(self->mark[i].text);
    }
    free(self->group);
    free(self->mark);
    *self = (marks){0};
}

/* The end of the sequence that begins with the ESC at i: never behind the end of a line, where it
 * was broken off. */
static size_t sequence_end(const char *p, size_t i, size_t n)
{
    char kind = i + 1 < n ? p[i + 1] : '\0';
    if (kind != '[' && kind != ']')
        return i + 1 + (i + 1 < n && kind != '\n' && kind != '\r');
    for (i += 2; i < n && p[i] != '\n' && p[i] != '\r'; i++) {
        unsigned char c = (unsigned char)p[i];
        if (kind == '[' ? c >= 0x40 && c <= 0x7e : c == '\a')
            return i + 1;
        if (kind == ']' && c == '\033') /* ESC \ */
            return i + 1 < n && p[i + 1] != '\n' && p[i + 1] != '\r' ? i + 2 : i + 1;
    }
    return i;
}

size_t marks_plain(char *p, size_t n)
{
    size_t len = 0, i = 0;
    while (i < n) {
        const char *esc = memchr(p + i, '\033', n - i);
        size_t k = esc ? (size_t)(esc - p) - i : n - i;
        if (len != i)
            memmove(p + len, p + i, k);
        len += k;
        i += k;
        if (i < n)
            i = sequence_end(p, i, n);
    }
    return len;
}

/* ---- pieces of a line */
typedef struct piece {
    const char *p;
    size_t n;
} piece;

static bool begins(piece s, const char *with, piece *ret_rest)
{
    size_t n = strlen(with);
    if (s.n < n || memcmp(s.p, with, n) != 0)
        return false;
    *ret_rest = (piece){s.p + n, s.n - n};
    return true;
}

static piece cut(piece *s, char at)
{
    const char *p = memchr(s->p, at, s->n);
    piece head = {s->p, p ? (size_t)(p - s->p) : s->n};
    *s = p ? (piece){p + 1, s->n - head.n - 1} : (piece){s->p + s->n, 0};
    return head;
}

/* A copy of at most `max` bytes, not cut inside a character; GitHub's escapes resolved. */
static char *copy(marks *self, piece s, size_t max, bool escaped)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(MARKS_LINE_MAX + 1);
    static const struct {
        char text[4], c;
    } escapes[] = {{"%25", '%'}, {"%0D", '\r'}, {"%0A", '\n'}, {"%3A", ':'}, {"%2C", ','}};
    size_t i;
    for (i = 0; i < s.n && b.len < max; i++) {
        char c = s.p[i];
        for (size_t k = 0; escaped && c == '%' && k < sizeof(escapes) / sizeof(escapes[0]); k++)
            if (s.n - i >= 3 && memcmp(s.p + i, escapes[k].text, 3) == 0) {
                c = escapes[k].c;
                i += 2;
                break;
            }
        if (c) /* a zero byte would end the text */
            (void)pw_buf_add(&b, &c, 1);
    }
    if (i < s.n && ((unsigned char)s.p[i] & 0xc0) == 0x80) { /* cut inside a character */
        while (b.len && ((unsigned char)b.p[b.len - 1] & 0xc0) == 0x80)
            b.p[--b.len] = '\0';
        if (b.len && (unsigned char)b.p[b.len - 1] >= 0xc0)
            b.p[--b.len] = '\0';
    }
    if (b.len == 0)
        (void)pw_buf_adds(&b, "");
    char *text = b.failed ? NULL : pw_buf_take(&b);
    if (!text) /* an empty buffer has nothing to hand over */
        text = pw_strdup("", &self->failed);
    return text;
}

static uint64_t number(piece s)
{
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9' || v > UINT32_MAX)
            return 0;
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    }
    return v;
}

/* ---- groups */
static void *grow(marks *self, void *v, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return v;
    size_t more = *cap ? 2 * *cap : 16;
    void *wider = reallocarray(v, more, size);
    if (wider)
        *cap = more;
    else
        self->failed = true;
    return wider;
}

static void close_group(marks *self, uint64_t line, pw_msec t)
{
    size_t i = self->open[--self->n_open];
    if (i == SIZE_MAX)
        return;
    mark_group *g = &self->group[i];
    g->last_line = line > g->line ? line : g->line;
    g->ended = t;
}

static void open_group(marks *self, uint64_t line, pw_msec t, piece title, const piece *section)
{
    size_t at = SIZE_MAX;
    if (self->n_open == MARKS_DEPTH_MAX)
        close_group(self, line, t);
    if (self->n_groups == MARKS_GROUPS_MAX) {
        self->more_groups++;
    } else {
        mark_group *v =
            grow(self, self->group, self->n_groups, &self->cap_groups, sizeof(*self->group));
        if (!v)
            return;
        self->group = v;
        mark_group g = {.line = line, .began = t, .depth = self->n_open};
        g.title = copy(self, title, MARKS_TITLE_MAX, !section);
        g.section = section ? copy(self, *section, MARKS_TITLE_MAX, false) : NULL;
        at = self->n_groups;
        self->group[self->n_groups++] = g;
    }
    self->open[self->n_open++] = at;
}

/* ::endgroup:: ends the newest group of its kind; groups of GitHub do not lie in each other. */
static void end_github(marks *self, uint64_t line, pw_msec t)
{
    if (self->n_open == 0)
        return;
    size_t i = self->open[self->n_open - 1];
    if (i == SIZE_MAX || !self->group[i].section)
        close_group(self, line, t);
}

static void end_section(marks *self, piece name, uint64_t line, pw_msec t)
{
    for (size_t k = self->n_open; k-- > 0;) {
        size_t i = self->open[k];
        const char *s = i == SIZE_MAX ? NULL : self->group[i].section;
        if (!s || strlen(s) != name.n || memcmp(s, name.p, name.n) != 0)
            continue;
        while (self->n_open > k) /* what was left open inside ends with it */
            close_group(self, line, t);
        return;
    }
    if (self->n_open && self->open[self->n_open - 1] == SIZE_MAX)
        close_group(self, line, t);
}

/* section_start:UNIX:NAME[options], then \r, then the header. */
static bool section(marks *self, uint64_t line, pw_msec t, piece s)
{
    piece rest;
    bool start = begins(s, "section_start:", &rest);
    if (!start && !begins(s, "section_end:", &rest))
        return false;
    piece at = cut(&rest, ':'), name = cut(&rest, '[');
    if (at.n == 0 || name.n == 0 || number(at) == 0)
        return false;
    if (name.n > MARKS_TITLE_MAX)
        name.n = MARKS_TITLE_MAX;
    if (start) {
        open_group(self, line, t, name, &name);
        self->section_line = line;
    } else {
        end_section(self, name, line, t);
    }
    return true;
}

/* ---- remarks */
static void count(marks *self, mark_kind kind)
{
    self->count[kind]++;
    for (size_t k = 0; k < self->n_open; k++)
        if (self->open[k] != SIZE_MAX)
            self->group[self->open[k]].count[kind]++;
}

static void remark(marks *self, mark_kind kind, uint64_t line, piece options, piece text)
{
    count(self, kind);
    if (self->n_marks == MARKS_MAX) {
        self->more_marks++;
        return;
    }
    mark *v = grow(self, self->mark, self->n_marks, &self->cap_marks, sizeof(*self->mark));
    if (!v)
        return;
    self->mark = v;
    mark m = {.kind = kind, .line = line};
    while (options.n) {
        piece value = cut(&options, ','), key = cut(&value, '=');
        while (key.n && *key.p == ' ') {
            key.p++;
            key.n--;
        }
        if (key.n == 4 && memcmp(key.p, "file", 4) == 0 && !m.file)
            m.file = copy(self, value, MARKS_TEXT_MAX, true);
        else if (key.n == 5 && memcmp(key.p, "title", 5) == 0 && !m.title)
            m.title = copy(self, value, MARKS_TITLE_MAX, true);
        else if (key.n == 4 && memcmp(key.p, "line", 4) == 0)
            m.file_line = number(value);
        else if (key.n == 3 && memcmp(key.p, "col", 3) == 0)
            m.column = number(value);
    }
    m.text = copy(self, text, MARKS_TEXT_MAX, true);
    self->mark[self->n_marks++] = m;
}

/* ::NAME OPTIONS::TEXT */
static void command(marks *self, uint64_t line, pw_msec t, piece s)
{
    piece rest, text;
    const char *end;
    if (!begins(s, "::", &rest) || !(end = memmem(rest.p, rest.n, "::", 2)))
        return;
    piece head = {rest.p, (size_t)(end - rest.p)};
    text = (piece){end + 2, rest.n - head.n - 2};
    piece name = cut(&head, ' ');
    if (name.n == 5 && memcmp(name.p, "group", 5) == 0) {
        end_github(self, line > 1 ? line - 1 : line, t);
        open_group(self, line, t, text, NULL);
        return;
    }
    if (name.n == 8 && memcmp(name.p, "endgroup", 8) == 0) {
        end_github(self, line, t);
        return;
    }
    for (mark_kind k = 0; k < MARK_KINDS; k++)
        if (name.n == strlen(mark_kind_names[k]) && memcmp(name.p, mark_kind_names[k], name.n) == 0)
            remark(self, k, line, head, text);
}

bool marks_may(const char *p, size_t n)
{
    /* commands stand at the beginning of a line, behind blanks or ANSI sequences at most */
    return n > 2 && (*p == ':' || *p == 's' || *p == '\033' || *p == ' ' || *p == '\t');
}

void marks_line(marks *self, uint64_t line, pw_msec t, const char *p, size_t n)
{
    piece s = {p, n < MARKS_LINE_MAX ? n : MARKS_LINE_MAX};
    if (self->section_line && self->section_line == line && s.n && self->n_open) {
        size_t i = self->open[self->n_open - 1];
        self->section_line = 0;
        char *title = i == SIZE_MAX ? NULL : copy(self, s, MARKS_TITLE_MAX, false);
        if (title) {
            free(self->group[i].title);
            self->group[i].title = title;
        }
        return;
    }
    while (s.n && (*s.p == ' ' || *s.p == '\t')) {
        s.p++;
        s.n--;
    }
    if (!section(self, line, t, s))
        command(self, line, t, s);
}

void marks_end(marks *self, uint64_t line, pw_msec t)
{
    while (self->n_open)
        close_group(self, line, t);
}

static void member(pw_buf *b, const char *key, const char *value)
{
    (void)pw_buf_addf(b, ",\"%s\":", key);
    if (value)
        (void)pw_buf_json(b, value);
    else
        (void)pw_buf_adds(b, "null");
}

static void optional(pw_buf *b, const char *key, uint64_t v)
{
    if (v)
        (void)pw_buf_addf(b, ",\"%s\":%" PRIu64, key, v);
    else
        (void)pw_buf_addf(b, ",\"%s\":null", key);
}

void marks_json(const marks *self, pw_buf *b)
{
    (void)pw_buf_adds(b, "\"groups\":[");
    for (size_t i = 0; i < self->n_groups; i++) {
        const mark_group *g = &self->group[i];
        bool open = g->last_line == 0;
        (void)pw_buf_addf(b, "%s{\"line\":%" PRIu64, i ? "," : "", g->line);
        if (open)
            (void)pw_buf_adds(b, ",\"lines\":null,\"ms\":null");
        else
            (void)pw_buf_addf(b, ",\"lines\":%" PRIu64 ",\"ms\":%" PRId64,
                              g->last_line - g->line + 1,
                              (int64_t)(g->ended > g->began ? g->ended - g->began : 0));
        (void)pw_buf_addf(b, ",\"depth\":%zu,\"failures\":%" PRIu64 ",\"warnings\":%" PRIu64,
                          g->depth, g->count[MARK_ERROR], g->count[MARK_WARNING]);
        member(b, "title", g->title);
        (void)pw_buf_adds(b, "}");
    }
    (void)pw_buf_adds(b, "],\"marks\":[");
    for (size_t i = 0; i < self->n_marks; i++) {
        const mark *m = &self->mark[i];
        (void)pw_buf_addf(b, "%s{\"line\":%" PRIu64 ",\"kind\":\"%s\"", i ? "," : "", m->line,
                          mark_kind_names[m->kind]);
        member(b, "text", m->text);
        member(b, "title", m->title);
        member(b, "file", m->file);
        optional(b, "file_line", m->file_line);
        optional(b, "column", m->column);
        (void)pw_buf_adds(b, "}");
    }
    (void)pw_buf_adds(b, "]");
    for (mark_kind k = 0; k < MARK_KINDS; k++)
        (void)pw_buf_addf(b, ",\"%ss\":%" PRIu64, mark_kind_names[k], self->count[k]);
    (void)pw_buf_addf(b, ",\"more_groups\":%" PRIu64 ",\"more_marks\":%" PRIu64, self->more_groups,
                      self->more_marks);
}
