#include "client/logs.h"

#include <inttypes.h>
#include <string.h>

#include "client/progress.h"
#include "client/rest.h"

/* A live log says something every 15 s at least (the master's pings); when a step is silent,
 * nothing comes, so the limit only notices a connection that is dead without a word. */
#define IDLE_US (INT64_C(3600) * 1000000)
enum { POLL_S = 30, PIECE = 16 * 1024 };
#define LINE_LONGEST ((size_t)1024 * 1024) /* a longer line is handed on in pieces */

size_t logs_lines_pass(logs_lines *l, char *p, size_t n)
{
    size_t out = 0;
    for (size_t i = 0; i < n; i++) {
        bool cr = p[i] == '\r', swallowed = p[i] == '\n' && l->cr;
        l->cr = cr;
        if (swallowed)
            continue;
        p[out++] = cr ? '\n' : p[i];
        l->open = p[out - 1] != '\n';
    }
    return out;
}

static int log_path(pw_buf *path, uint64_t build, const char *step, pw_err *err)
{
    (void)pw_buf_addf(path, "/api/v1/builds/%" PRIu64 "/log", build);
    rest_part(path, step);
    return path->failed ? pw_fail(err, PW_ELIMIT, "the name of the step is too long") : 0;
}

/* What http_stream returned as a code: 0 for a good status. A refusal carries the body in its text:
 * the master's own words are taken out of it. */
static int outcome(long got, pw_err *err)
{
    if (got >= 0 && got <= 299)
        return 0;
    int code = err->code ? (int)err->code : got < 0 ? (int)got : PW_EPROTO;
    if (code == PW_EINVAL) /* a refusal is not this command line's fault */
        err->code = (pw_code)(code = PW_EPROTO);
    if (err->text[0] != '{')
        return code;
    PW_AUTO(json_freep) json_value *v = json_parse(err->text, strlen(err->text), NULL);
    const char *why = json_str(json_get(json_get(v, "error"), "message"), NULL);
    return why ? pw_fail(err, (pw_code)code, "%s", why) : code;
}

int logs_print(client *c, uint64_t build, const char *step, bool raw, http_sink *sink,
               void *sink_self, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf path = PW_BUF(REST_PATH_MAX);
    int rc = log_path(&path, build, step, err);
    http_client *http = rc < 0 ? NULL : rest_client(c, err);
    if (!http)
        return rc < 0 ? rc : err && err->code ? (int)err->code : PW_ENOMEM;
    rest_query(&path, "raw", raw ? "1" : NULL);
    pw_err why = {0};
    long got = http_stream(http, pw_buf_str(&path), NULL, 0, IDLE_US, sink, sink_self, &why);
    rc = outcome(got, &why);
    if (rc < 0 && err)
        *err = why;
    return rc;
}

/* ---- following */
typedef struct follow {
    http_sink *sink;
    void *sink_self;
    logs_lines lines;
    bool raw, stopped;
    uint64_t line;    /* whole lines that came (by \n, as the master counts them) */
    uint64_t partial; /* bytes behind them */
    uint64_t skip;    /* of these, to be dropped since they come again */
    bool news;        /* something came since the connection was made */
} follow;

static int give(follow *f, const char *p, size_t n)
{
    char piece[PIECE];
    int rc = 0;
    if (f->raw)
        return f->sink(f->sink_self, p, n);
    while (n && rc == 0) {
        size_t k = n < sizeof(piece) ? n : sizeof(piece);
        memcpy(piece, p, k);
        size_t out = logs_lines_pass(&f->lines, piece, k);
        rc = out ? f->sink(f->sink_self, piece, out) : 0;
        p += k;
        n -= k;
    }
    return rc;
}

static int on_bytes(void *self, const char *p, size_t n)
{
    follow *f = self;
    size_t drop = f->skip < n ? (size_t)f->skip : n;
    f->skip -= drop;
    p += drop;
    n -= drop;
    f->news |= n > 0;
    for (size_t i = 0; i < n; i++) {
        f->line += p[i] == '\n';
        f->partial = p[i] == '\n' ? 0 : f->partial + 1;
    }
    f->stopped = n && give(f, p, n) != 0;
    return f->stopped;
}

int logs_follow(client *c, uint64_t build, const char *step, bool raw, http_sink *sink,
                void *sink_self, pw_err *err)
{
    follow f = {.sink = sink, .sink_self = sink_self, .raw = raw};
    unsigned away = 0;
    http_client *http = rest_client(c, err);
    if (!http)
        return err && err->code ? (int)err->code : PW_ENOMEM;
    for (;;) {
        pw_err why = {0};
        PW_AUTO(pw_buf_clearp) pw_buf path = PW_BUF(REST_PATH_MAX);
        int rc = log_path(&path, build, step, err);
        if (rc < 0)
            return rc;
        (void)pw_buf_addf(&path, "?raw=1&follow=1&from=%" PRIu64, f.line + 1);
        f.skip = f.partial;
        f.news = false;
        long got = http_stream(http, pw_buf_str(&path), NULL, 0, IDLE_US, on_bytes, &f, &why);
        rc = f.stopped ? 0 : outcome(got, &why);
        if (f.stopped)
            return 0;
        if (rc == 0)
            break;
        away = f.news ? 0 : away + 1;
        bool broken = rest_passing(rc) || (rc == PW_EPROTO && why.sys);
        if (!broken || away > PROGRESS_PATIENCE_S * 1000 / PROGRESS_POLL_MS) {
            if (err)
                *err = why;
            return rc;
        }
        client_pause(PROGRESS_POLL_MS);
    }
    if (!raw && f.lines.open)
        (void)sink(sink_self, "\n", 1);
    return 0;
}

/* ---- bit by bit */
int logs_poll(client *c, uint64_t build, const char *step, uint64_t *pos, bool over,
              http_sink *sink, void *sink_self, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf path = PW_BUF(REST_PATH_MAX);
    int rc = log_path(&path, build, step, err);
    http_client *http = rc < 0 ? NULL : rest_client(c, err);
    if (!http)
        return rc < 0 ? rc : err && err->code ? (int)err->code : PW_ENOMEM;
    (void)pw_buf_adds(&path, "?raw=1");
    for (;;) {
        char range[40];
        const http_header headers[] = {{"Range", range}};
        PW_AUTO(http_answer_clear) http_answer h = {0};
        (void)snprintf(range, sizeof(range), "bytes=%" PRIu64 "-", *pos);
        rc = http_call(http, "GET", pw_buf_str(&path), headers, 1, NULL, 0,
                       (pw_usec)POLL_S * 1000000, &h, err);
        if (rc < 0)
            return rc;
        if (h.status == 416) /* nothing behind it now */
            return 0;
        if (h.status == 404)
            return pw_fail(err, PW_ENOTFOUND, "build %" PRIu64 " has no log of \"%.100s\"", build,
                           step);
        if (h.status != 200 && h.status != 206)
            return pw_fail(err, PW_EPROTO, "reading the log of \"%.100s\": status %ld", step,
                           h.status);
        if (h.status == 200) /* no log yet, or no ranges: then it is all there is */
            pw_buf_drop(&h.body, *pos < h.body.len ? (size_t)*pos : h.body.len);
        const char *p = pw_buf_str(&h.body), *nl = h.body.len ? memrchr(p, '\n', h.body.len) : NULL;
        size_t n = nl ? (size_t)(nl + 1 - p) : 0;
        n = over || h.body.len - n > LINE_LONGEST ? h.body.len : n;
        *pos += n;
        if (n && sink(sink_self, p, n) != 0)
            return 0;
        if (!n || h.status == 200)
            return 0;
    }
}
