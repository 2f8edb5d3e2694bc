#include "master/http/logtext.h"

#include <stdlib.h>
#include <string.h>

#include "master/http/render.h"

void log_text_init(log_text *t)
{
    *t = (log_text){.end = UINT64_MAX, .line = 1};
    pw_buf_init(&t->held, LOG_LINE_MAX);
    pw_buf_init(&t->out, 16 * 1024 * 1024);
}

void log_text_clear(log_text *t)
{
    free(t->grep);
    t->grep = NULL;
    pw_buf_clear(&t->held);
    pw_buf_clear(&t->out);
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

/* ---- searching */
/* Drops ESC [ ... letter and ESC ] ... BEL (or ESC \), in place. */
static size_t strip_ansi(char *p, size_t n)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] != '\033') {
            p[len++] = p[i];
            continue;
        }
        if (i + 1 < n && p[i + 1] == '[') {
            for (i += 2; i < n && ((unsigned char)p[i] < 0x40 || (unsigned char)p[i] > 0x7e); i++) {
            }
        } else if (i + 1 < n && p[i + 1] == ']') {
            for (i += 2; i < n && p[i] != '\a' && p[i] != '\033'; i++) {
            }
            i += i + 1 < n && p[i] == '\033';
        } else {
            i++;
        }
    }
    return len;
}

static void end_line(log_text *t)
{
    PW_AUTO(pw_buf_clearp) pw_buf plain = PW_BUF(LOG_LINE_MAX);
    const char *p = pw_buf_str(&t->held);
    size_t n = t->held.len;
    if (memchr(p, '\033', n) && pw_buf_add(&plain, p, n) == 0) {
        plain.len = strip_ansi(plain.p, n);
        plain.p[plain.len] = '\0';
        p = plain.p;
        n = plain.len;
    }
    if (memmem(p, n, t->grep, strlen(t->grep))) {
        t->matches++;
        if (t->json) {
            if (t->matches > 1)
                (void)pw_buf_add(&t->out, ",", 1);
            (void)pw_buf_addf(&t->out, "{\"line\":%llu,\"text\":", (unsigned long long)t->line);
            (void)pw_buf_json(&t->out, p);
            (void)pw_buf_add(&t->out, "}", 1);
        } else {
            (void)pw_buf_add(&t->out, t->held.p, t->held.len);
            (void)pw_buf_add(&t->out, "\n", 1);
        }
    }
    pw_buf_reset(&t->held);
    t->held.failed = false;
}

static void search(log_text *t, const char *p, size_t n)
{
    while (n > 0) {
        if (t->skip_lf && *p == '\n') { /* the second half of \r\n ends no line, but counts one */
            t->skip_lf = false;
            t->line++;
            p++;
            n--;
            continue;
        }
        t->skip_lf = false;
        size_t k = 0;
        while (k < n && p[k] != '\n' && p[k] != '\r')
            k++;
        size_t left = LOG_LINE_MAX - t->held.len;
        (void)pw_buf_add(&t->held, p, k < left ? k : left);
        t->open_line = true;
        if (k == n)
            return;
        end_line(t);
        t->open_line = false;
        t->skip_lf = p[k] == '\r';
        t->line += p[k] == '\n';
        p += k + 1;
        n -= k + 1;
    }
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

/* One chunk into buf. */
static int64_t chunk(log_text *t, log_view *v, char *buf, size_t cap, pw_err *err)
{
    uint64_t next;
    if (t->pos >= t->end)
        return 0;
    size_t most = t->end - t->pos < cap ? (size_t)(t->end - t->pos) : cap;
    int64_t n = log_view_read(v, t->pos, buf, most, &next, err);
    if (n >= 0)
        t->pos = next;
    return n;
}

int64_t log_text_pull(log_text *t, log_view *v, char *buf, size_t cap, bool *ret_more, pw_err *err)
{
    int64_t n;
    *ret_more = false;
    if (t->grep) {
        char part[8192];
        if (t->json && !t->begun)
            (void)pw_buf_adds(&t->out, "{\"items\":[");
        t->begun = true;
        for (size_t seen = 0; t->out.len == 0 && seen < LOG_SCAN; seen += (size_t)n) {
            if ((n = chunk(t, v, part, sizeof(part), err)) <= 0)
                return n;
            search(t, part, (size_t)n);
        }
        *ret_more = t->out.len == 0;
        return fetch(t, buf, cap);
    }
    do {
        n = chunk(t, v, buf, cap, err);
        if (n > 0 && !t->raw) /* a chunk may be one \n that is dropped: then the next one */
            n = (int64_t)log_text_lines(t, buf, (size_t)n);
        else
            break;
    } while (n == 0);
    return n;
}

int64_t log_text_finish(log_text *t, char *buf, size_t cap)
{
    if (t->grep && !t->ended) {
        if (t->open_line)
            end_line(t);
        t->open_line = false;
        if (t->json)
            (void)pw_buf_adds(&t->out,
                              t->begun ? "],\"next\":null}\n" : "{\"items\":[],\"next\":null}\n");
        t->ended = true;
    }
    if (t->grep)
        return fetch(t, buf, cap);
    if (t->raw || !t->open_line)
        return 0;
    t->open_line = false;
    buf[0] = '\n';
    return 1;
}
