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
    if (got == 410) /* there was one: not the same as none */
        err->code = PW_EPROTO;
    int code = err->code ? (int)err->code : got < 0 ? (int)got : PW_EPROTO;
    if (code == PW_EINVAL) /* a refusal is not this command line's fault */
        err->code = (pw_code)(code = PW_EPROTO);
    if (err->text[0] != '{')
        return code;
    PW_AUTO(json_freep) json_value *v = json_parse(err->text, strlen(err->text), NULL);
    const char *why = json_str(json_get(json_get(v, "error"), "message"), NULL);
    return why ? pw_fail(err, (pw_code)code, "%s", why) : code;
}

static void log_query(pw_buf *path, const logs_part *part)
{
    rest_query(path, "raw", part->raw ? "1" : NULL);
    rest_query(path, "times", part->times ? "1" : NULL);
    rest_query(path, "grep", part->grep);
}

int logs_print(client *c, uint64_t build, const char *step, const logs_part *part, http_sink *sink,
               void *sink_self, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf path = PW_BUF(REST_PATH_MAX);
    int rc = log_path(&path, build, step, err);
    http_client *http = rc < 0 ? NULL : rest_client(c, err);
    if (!http)
        return rc < 0 ? rc : err && err->code ? (int)err->code : PW_ENOMEM;
    log_query(&path, part);
    rest_query(&path, "tail", part->tail);
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
    uint64_t bytes; /* that came, in whatever form: what comes is the same each time */
    bool news;      /* something came since the connection was made */
    bool stopped;
} follow;

static int on_bytes(void *self, const char *p, size_t n)
{
    follow *f = self;
    f->news |= n > 0;
    f->bytes += n;
    f->stopped = n && f->sink(f->sink_self, p, n) != 0;
    return f->stopped;
}

static int follow_once(follow *f, http_client *http, uint64_t build, const char *step,
                       const logs_part *part, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf path = PW_BUF(REST_PATH_MAX);
    int rc = log_path(&path, build, step, err);
    if (rc < 0)
        return rc;
    log_query(&path, part);
    rest_query(&path, "follow", "1");
    rest_query(&path, "tail", part->tail);
    if (f->bytes)
        (void)pw_buf_addf(&path, "&offset=%" PRIu64, f->bytes);
    f->news = false;
    long got = http_stream(http, pw_buf_str(&path), NULL, 0, IDLE_US, on_bytes, f, err);
    return f->stopped ? 0 : outcome(got, err);
}

int logs_follow(client *c, uint64_t build, const char *step, const logs_part *part, http_sink *sink,
                void *sink_self, pw_err *err)
{
    follow f = {.sink = sink, .sink_self = sink_self};
    unsigned away = 0;
    http_client *http = rest_client(c, err);
    if (!http)
        return err && err->code ? (int)err->code : PW_ENOMEM;
    for (;;) {
        pw_err why = {0};
        int rc = follow_once(&f, http, build, step, part, &why);
        if (f.stopped || rc == 0)
            return 0;
        away = f.news ? 0 : away + 1;
        bool broken = rest_passing(rc) || (rc == PW_EPROTO && why.sys);
        /* the last lines of then are not those of now */
        bool lost = part->tail && f.bytes;
        if (!broken || lost || away > PROGRESS_PATIENCE_S * 1000 / PROGRESS_POLL_MS) {
            if (err)
                *err = why;
            return rc;
        }
        client_pause(PROGRESS_POLL_MS);
    }
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
