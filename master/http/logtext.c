#include "master/http/logtext.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "master/http/render.h"

void log_text_init(log_text *t)
{
    *t = (log_text){.end = UINT64_MAX, .line = 1};
    pw_buf_init(&t->held, LOG_LINE_MAX);
    pw_buf_init(&t->out, 16 * 1024 * 1024);
    pw_buf_init(&t->gaps, 64 * 1024);
    pw_buf_init(&t->item.text, 2 * LOG_ITEM_MAX);
}

void log_text_clear(log_text *t)
{
    t->grep = search_free(t->grep);
    marks_clear(&t->marks);
    pw_buf_clear(&t->held);
    pw_buf_clear(&t->out);
    pw_buf_clear(&t->gaps);
    pw_buf_clear(&t->item.text);
}

/* Whether lines are looked at one by one. */
static bool by_line(const log_text *t)
{
    return t->grep || t->times || t->form > LOG_RAW;
}

size_t log_text_lines(log_text *t, char *p, size_t n)
{
    size_t len = 0;
    if (n > 0 && !t->skip_lf && !memchr(p, '\r', n)) { /* most logs have none */
        t->open_line = p[n - 1] != '\n';
        return n;
    }
    for (size_t i = 0; i < n; i++) {
        char c = p[i];
        if (c == '\n' && t->skip_lf) {
            t->skip_lf = false;
            continue;
        }
        t->skip_lf = c == '\r';
        p[len++] = c == '\r' ? '\n' : c;
    }
    if (len > 0)
        t->open_line = p[len - 1] != '\n';
    return len;
}

/* ---- line by line */
static int when(const log_text *t, log_view *v, char out[PW_TIME_MAX], pw_err *err)
{
    pw_msec at = 0;
    int r = v ? log_view_time(v, t->line_pos, &at, err) : 0;
    (void)pw_time_text(at, out);
    return r;
}

/* The line without ANSI sequences; text is a copy where it had some. */
static void plain_line(const log_text *t, pw_buf *copy, const char **ret, size_t *ret_n)
{
    *ret = pw_buf_str(&t->held);
    *ret_n = t->held.len;
    if (!memchr(*ret, '\033', *ret_n) || pw_buf_add(copy, *ret, *ret_n) < 0)
        return;
    copy->len = marks_plain(copy->p, copy->len);
    copy->p[copy->len] = '\0';
    *ret = copy->p;
    *ret_n = copy->len;
}

static int index_line(log_text *t, log_view *v, pw_err *err)
{
    pw_msec at = 0;
    char text[MARKS_LINE_MAX];
    size_t n = t->held.len < sizeof(text) ? t->held.len : sizeof(text);
    const char *p = pw_buf_str(&t->held);
    if (!marks_may(p, n) && t->marks.section_line != t->line)
        return 0;
    memcpy(text, p, n);
    int r = v ? log_view_time(v, t->line_pos, &at, err) : 0;
    marks_line(&t->marks, t->line, at, text, marks_plain(text, n));
    return r < 0 ? r : t->marks.failed ? pw_fail(err, PW_ENOMEM, "out of memory") : 0;
}

static void put_json(log_text *t, const char *time, const char *p)
{
    (void)pw_buf_addf(&t->out, "{\"line\":%" PRIu64, t->line);
    if (time)
        (void)pw_buf_addf(&t->out, ",\"time\":\"%s\"", time);
    (void)pw_buf_adds(&t->out, ",\"text\":");
    (void)pw_buf_json(&t->out, p);
    (void)pw_buf_adds(&t->out, "}");
}

/* The number of a found line. */
static void put_number(log_text *t)
{
    if (t->matches && t->found == t->line) /* parts of a line that lone \r divide */
        return;
    if (t->limit && t->matches == t->limit) {
        t->more = true;
        t->pos = t->end = 0; /* enough */
        return;
    }
    (void)pw_buf_addf(&t->out, "%s%" PRIu64, t->matches++ ? "," : "", t->line);
    t->found = t->line;
}

/* Form of items: nothing to look for. */
static int end_item(log_text *t, log_view *v, pw_err *err)
{
    int r = t->half ? log_item_half(t, err) : log_item_end(t, v, err);
    pw_buf_reset(&t->held);
    t->held.failed = false;
    return r;
}

/* The line at hand is whole. */
static int end_line(log_text *t, log_view *v, pw_err *err)
{
    if (t->form == LOG_ITEMS)
        return end_item(t, v, err);
    PW_AUTO(pw_buf_clearp) pw_buf copy = PW_BUF(LOG_LINE_MAX);
    const char *p = pw_buf_str(&t->held);
    size_t n = t->held.len;
    char time[PW_TIME_MAX] = "";
    int r = 0, found = 1;
    if (t->form == LOG_INDEX) {
        r = index_line(t, v, err);
    } else if (t->grep) {
        plain_line(t, &copy, &p, &n);
        found = search_line(t->grep, p, n, err);
        if (found == PW_ELIMIT && ++t->hard < LOG_HARD_LINES)
            found = 0;
        r = found < 0 ? found : 0;
    }
    if (r == 0 && found && t->form == LOG_NUMBERS) {
        put_number(t);
    } else if (r == 0 && found && t->form != LOG_INDEX) {
        t->matches++;
        if (t->times || t->form == LOG_EVENTS)
            r = when(t, v, time, err);
        if (t->form == LOG_JSON) {
            if (t->matches > 1)
                (void)pw_buf_add(&t->out, ",", 1);
            put_json(t, time[0] ? time : NULL, p);
        } else if (t->form == LOG_EVENTS) {
            /* the number stands for the whole line: who comes again must not miss what follows a
             * lone \r */
            if (!t->half)
                (void)pw_buf_addf(&t->out, "id: %" PRIu64 "\n", t->line);
            (void)pw_buf_adds(&t->out, "data: ");
            put_json(t, time, pw_buf_str(&t->held));
            (void)pw_buf_adds(&t->out, "\n\n");
        } else {
            if (time[0])
                (void)pw_buf_addf(&t->out, "%s ", time);
            (void)pw_buf_add(&t->out, t->held.p, t->held.len);
            (void)pw_buf_add(&t->out, "\n", 1);
        }
    }
    pw_buf_reset(&t->held);
    t->held.failed = false;
    return r;
}

/* ---- what is of no interest is not divided into lines: most of a long log is that */
static bool holds(const log_text *t, const char *p, size_t n)
{
    if (t->form == LOG_INDEX) /* every command and every section has one of these */
        return memmem(p, n, "::", 2) || memmem(p, n, "section_", 8);
    return search_line(t->grep, p, n, NULL) != 0;
}

/* Whole lines that nothing looked for can be in. */
static bool dull(const log_text *t, const char *p, size_t n)
{
    char copy[LOG_PART];
    if (n > sizeof(copy) || (t->form != LOG_INDEX && !(t->grep && search_plain(t->grep))))
        return false;
    if (memchr(p, '\033', n)) {
        memcpy(copy, p, n);
        n = marks_plain(copy, n);
        p = copy;
    }
    return !holds(t, p, n);
}

static uint64_t line_feeds(const char *p, size_t n)
{
    uint64_t count = 0;
    const char *end = p + n;
    while (p < end && (p = memchr(p, '\n', (size_t)(end - p)))) {
        count++;
        p++;
    }
    return count;
}

/* `at`: position of p. */
static int look_at_lines(log_text *t, log_view *v, const char *p, size_t n, uint64_t at,
                         pw_err *err)
{
    const char *from = p, *end = p + n;
    while (p < end) {
        if (t->skip_lf && *p == '\n') { /* the second half of \r\n ends no line, but counts one */
            int r = t->form == LOG_ITEMS && t->half ? log_item_end(t, v, err) : 0;
            if (r < 0)
                return r;
            t->half = t->skip_lf = false;
            t->line++;
            p++;
            continue;
        }
        t->skip_lf = false;
        if (!t->open_line) {
            t->line_pos = at + (uint64_t)(p - from);
            t->whole = 0;
        }
        const char *lf = memchr(p, '\n', (size_t)(end - p));
        const char *stop = lf ? lf : end, *cr = memchr(p, '\r', (size_t)(stop - p));
        stop = cr ? cr : stop;
        size_t k = (size_t)(stop - p), left = LOG_LINE_MAX - t->held.len;
        (void)pw_buf_add(&t->held, p, k < left ? k : left);
        t->whole += k;
        t->open_line = true;
        if (stop == end)
            return 0;
        t->half = *stop == '\r' && (stop + 1 == end || stop[1] != '\n');
        int r = end_line(t, v, err);
        if (r < 0)
            return r;
        t->open_line = false;
        t->skip_lf = *stop == '\r';
        t->line += *stop == '\n';
        p = stop + 1;
    }
    return 0;
}

/* The same; the lines that are whole in here are looked at together first. */
static int look_at(log_text *t, log_view *v, const char *p, size_t n, uint64_t at, pw_err *err)
{
    const char *first = memchr(p, '\n', n), *last = memrchr(p, '\n', n);
    if (!first || first == last || !dull(t, first + 1, (size_t)(last - first)))
        return look_at_lines(t, v, p, n, at, err);
    size_t head = (size_t)(first - p) + 1, whole = (size_t)(last - p) + 1;
    int r = look_at_lines(t, v, p, head, at, err);
    if (r < 0)
        return r;
    t->line += line_feeds(p + head, whole - head);
    return look_at_lines(t, v, p + whole, n - whole, at + whole, err);
}

/* ---- what was left out is said where it was */
static int say_gap(log_text *t, log_view *v, uint64_t bytes, uint64_t at, pw_err *err)
{
    uint64_t before = 0, behind = 0;
    int r = log_view_gap(v, at, &before, &behind, err);
    if (r < 0)
        return r;
    bool begun = by_line(t) && (t->open_line || t->item.any);
    if (begun) {
        t->half = false;
        r = end_line(t, v, err);
    } else if (t->open_line) {
        (void)pw_buf_adds(&t->out, "\n");
    }
    t->open_line = t->skip_lf = false;
    t->line = behind + 1;
    if (t->form == LOG_ITEMS || t->form == LOG_INDEX)
        log_item_gap(t, before + 1 + begun, behind, bytes);
    if (t->form == LOG_EVENTS)
        (void)pw_buf_addf(&t->out,
                          "event: gap\ndata: {\"bytes\":%" PRIu64 ",\"lines\":%" PRIu64 "}\n\n",
                          bytes, behind - before);
    else if (t->form == LOG_TEXT && !t->grep)
        (void)pw_buf_addf(&t->out,
                          "pawl: %" PRIu64 " bytes in %" PRIu64
                          " lines were left out here: the log is longer than its log_limit\n",
                          bytes, behind - before);
    return r;
}

static int64_t fetch(log_text *t, char *buf, size_t cap)
{
    size_t n = t->out.len - t->out_at < cap ? t->out.len - t->out_at : cap;
    if (t->out.failed)
        return PW_ENOMEM;
    if (n > 0)
        memcpy(buf, t->out.p + t->out_at, n);
    t->out_at += n;
    if (t->out_at == t->out.len) {
        t->out_at = 0;
        pw_buf_clear(&t->out);
    }
    return (int64_t)n;
}

/* One chunk into buf; *ret_at: where it begins. */
static int64_t chunk(log_text *t, log_view *v, char *buf, size_t cap, uint64_t *ret_at, pw_err *err)
{
    uint64_t next;
    if (t->pos >= t->end)
        return 0;
    size_t most = t->end - t->pos < cap ? (size_t)(t->end - t->pos) : cap;
    int64_t n = log_view_read(v, t->pos, buf, most, &next, err);
    if (n < 0)
        return n;
    uint64_t at = next - (uint64_t)n, was = t->pos;
    if (at >= t->end) { /* all that was asked for lies in a gap */
        t->pos = t->end;
        return 0;
    }
    if ((uint64_t)n > t->end - at) {
        n = (int64_t)(t->end - at);
        next = t->end;
    }
    *ret_at = at;
    t->pos = next;
    int r = at > was && t->form != LOG_RAW ? say_gap(t, v, at - was, at, err) : 0;
    return r < 0 ? r : n;
}

static bool in_items(log_form f)
{
    return f == LOG_JSON || f == LOG_ITEMS || f == LOG_NUMBERS;
}

static int64_t pull_lines(log_text *t, log_view *v, char *buf, size_t cap, bool *ret_more,
                          pw_err *err)
{
    char part[LOG_PART];
    uint64_t at = 0;
    int64_t n = 1;
    if (in_items(t->form) && !t->begun)
        (void)pw_buf_adds(&t->out, "{\"items\":[");
    t->begun = true;
    pw_usec began = t->host ? pw_now(t->host) : 0;
    for (size_t seen = 0; t->out.len == 0 && seen < LOG_SCAN; seen += (size_t)n) {
        n = chunk(t, v, part, sizeof(part), &at, err);
        if (n < 0)
            return n;
        if (n == 0)
            return fetch(t, buf, cap); /* a gap at the end is told */
        int r = look_at(t, v, part, (size_t)n, at, err);
        if (r < 0)
            return r;
        if (t->host && pw_now(t->host) - began > LOG_SCAN_US)
            break;
    }
    *ret_more = t->out.len == 0;
    return fetch(t, buf, cap);
}

int64_t log_text_pull(log_text *t, log_view *v, char *buf, size_t cap, bool *ret_more, pw_err *err)
{
    int64_t n;
    uint64_t at;
    *ret_more = false;
    if (by_line(t))
        return pull_lines(t, v, buf, cap, ret_more, err);
    if (t->out.len)
        return fetch(t, buf, cap);
    do {
        n = chunk(t, v, buf, cap, &at, err);
        if (n > 0 && t->form == LOG_TEXT) /* may be one \n that is dropped: then the next one */
            n = (int64_t)log_text_lines(t, buf, (size_t)n);
        else
            break;
    } while (n == 0 && !t->out.len);
    if (n < 0 || !t->out.len)
        return n;
    if (n > 0 && pw_buf_add(&t->out, buf, (size_t)n) < 0)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    return fetch(t, buf, cap);
}

static void finish_index(log_text *t, log_view *v)
{
    pw_msec at = 0;
    uint64_t last = t->line > 1 && !t->open_line ? t->line - 1 : t->line;
    if (v)
        (void)log_view_time(v, UINT64_MAX, &at, NULL);
    marks_end(&t->marks, last, at);
    (void)pw_buf_adds(&t->out, "{");
    marks_json(&t->marks, &t->out);
    (void)pw_buf_addf(&t->out, ",\"gaps\":[%s],\"lines\":%" PRIu64 "}\n", pw_buf_str(&t->gaps),
                      t->pos ? last : 0);
    marks_clear(&t->marks);
}

int64_t log_text_finish(log_text *t, log_view *v, char *buf, size_t cap)
{
    if (!by_line(t)) {
        if (t->out.len)
            return fetch(t, buf, cap);
        if (t->form == LOG_RAW || !t->open_line)
            return 0;
        t->open_line = false;
        buf[0] = '\n';
        return 1;
    }
    if (!t->ended) {
        t->half = false;
        int r = t->open_line || t->item.any ? end_line(t, v, NULL) : 0;
        if (r < 0)
            return r;
        if (t->form == LOG_INDEX)
            finish_index(t, v);
        t->open_line = false;
        if (in_items(t->form))
            (void)pw_buf_addf(&t->out, "%s]%s,\"next\":null%s}\n", t->begun ? "" : "{\"items\":[",
                              t->form != LOG_NUMBERS ? ""
                              : t->more              ? ",\"more\":true"
                                                     : ",\"more\":false",
                              t->hard ? ",\"too_hard\":true" : "");
        else if (t->form == LOG_EVENTS)
            (void)pw_buf_adds(&t->out, "event: end\ndata: {}\n\n");
        else if (t->form == LOG_TEXT && t->hard)
            (void)pw_buf_addf(&t->out,
                              "pawl: %" PRIu64
                              " lines were not searched: the pattern takes too many steps "
                              "over them\n",
                              t->hard);
        t->ended = true;
    }
    return fetch(t, buf, cap);
}
