/* GET /builds/{id}/log/{step}: which log is meant, which part of it, and whether it is sent whole
 * or as a stream. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/http/impl.h"
#include "master/http/logtext.h"
#include "shared/base/log.h"
#include "shared/base/num.h"
#include "shared/job/job.h"

enum { WHOLE_MAX = 256 * 1024, RANGE_MAX = 8 * 1024 * 1024 };

typedef struct log_at {
    uint64_t build, attempt; /* attempt 0: none yet */
    uint32_t idx, stream;
    bool over; /* nothing more will come */
} log_at;

/* ---- which log: a step's name, its name and ".stderr", or its index */
typedef struct find {
    const char *text;
    size_t plain; /* bytes before ".stderr"; 0: it does not end so */
    uint64_t idx, stream, number;
    size_t steps;
    bool found, numeric, over;
} find;

static void look(find *f, uint64_t idx, const char *name, bool over)
{
    bool exact = strcmp(name, f->text) == 0;
    bool second = f->plain && strlen(name) == f->plain && memcmp(name, f->text, f->plain) == 0;
    if (idx >= f->steps)
        f->steps = (size_t)idx + 1;
    if (!exact && !(second && !f->found) && !(f->numeric && idx == f->number && !f->found))
        return;
    f->stream = exact || !f->plain ? 0 : 1;
    f->idx = idx;
    f->over = over;
    f->found = true;
    if (exact)
        f->numeric = false; /* a step that is called "3" goes before the one with that index */
}

static int on_step(void *self, const store_step *s)
{
    look(self, s->idx, s->name, s->state == STEP_DONE);
    return 0;
}

static int on_build(void *self, const reader_build *r)
{
    *(build_state *)self = r->b.state;
    return 0;
}

static int in_job(reader *rd, find *f, uint64_t build, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf frozen = PW_BUF(PW_JOB_MAX);
    job_spec spec;
    int r = reader_job(rd, build, &frozen, err);
    if (r < 0 || (r = pw_schema_decode(&job_spec_schema, frozen.p, frozen.len, &spec, err)) < 0)
        return r == PW_ENOTFOUND ? 0 : r;
    const job_step *s = spec.steps.v;
    for (size_t i = f->steps; i < spec.steps.n; i++)
        look(f, i, s[i].name, false);
    pw_schema_clear(&job_spec_schema, &spec);
    return 0;
}

static int log_find(reader *rd, uint64_t build, uint64_t nth, const char *text, log_at *ret,
                    pw_err *err)
{
    static const char tail[] = ".stderr";
    char number[24];
    size_t n = strlen(text);
    build_state state = BUILD_DONE;
    uint64_t last = 0;
    find f = {.text = text};
    if (n > sizeof(tail) - 1 && strcmp(text + n - sizeof(tail) + 1, tail) == 0)
        f.plain = n - sizeof(tail) + 1;
    size_t digits = f.plain ? f.plain : n;
    if (digits < sizeof(number)) {
        memcpy(number, text, digits);
        number[digits] = '\0';
        f.numeric = pw_parse_u64(number, &f.number, NULL) == 0;
    }
    *ret = (log_at){.build = build};
    int r = reader_build_one(rd, build, on_build, &state, err);
    if (r == 0) {
        r = reader_attempt_of(rd, build, 0, &last, err);
        if (r == PW_ENOTFOUND && nth == 0)
            r = 0;
        else if (r == 0 && nth > 0)
            r = reader_attempt_of(rd, build, nth, &ret->attempt, err);
        else
            ret->attempt = last;
    }
    if (r == 0 && ret->attempt)
        r = reader_steps(rd, ret->attempt, on_step, &f, err);
    if (r == 0 && state != BUILD_DONE)
        r = in_job(rd, &f, build, err);
    if (r < 0)
        return r;
    if (!f.found)
        return pw_fail(err, PW_ENOTFOUND, "build %" PRIu64 " has no step \"%.200s\"", build, text);
    ret->idx = (uint32_t)f.idx;
    ret->stream = f.stream ? PW_STREAM_ERR : PW_STREAM_OUT;
    /* a queued build may have an attempt that came to nothing: its logs are what they are */
    ret->over = f.over || state == BUILD_DONE || ret->attempt != last ||
                (state == BUILD_QUEUED && last != 0);
    return 0;
}

/* ---- which part */
typedef struct part {
    uint64_t from, lines, tail, nth;
    bool has_lines, has_tail, raw, follow, json;
    const char *grep;
} part;

static bool part_of(web_req *q, part *p)
{
    pw_err err = {0};
    const char *accept = MHD_lookup_connection_value(q->con, MHD_HEADER_KIND, "Accept");
    *p = (part){.from = 1, .grep = web_query_get(&q->query, "grep")};
    p->has_lines = web_query_get(&q->query, "lines") != NULL;
    p->has_tail = web_query_get(&q->query, "tail") != NULL;
    if (web_query_u64(&q->query, "from", &p->from, &err) < 0 ||
        web_query_u64(&q->query, "lines", &p->lines, &err) < 0 ||
        web_query_u64(&q->query, "tail", &p->tail, &err) < 0 ||
        web_query_u64(&q->query, "attempt", &p->nth, &err) < 0 ||
        web_query_flag(&q->query, "raw", &p->raw, &err) < 0 ||
        web_query_flag(&q->query, "follow", &p->follow, &err) < 0) {
        web_fail_err(q, &err);
        return false;
    }
    p->json = p->grep && accept && strstr(accept, "application/json");
    const char *wrong = p->from == 0 ? "lines count from 1"
                        : p->has_tail && (p->has_lines || p->from > 1)
                            ? "\"tail\" goes with neither \"from\" nor \"lines\""
                        : p->follow && p->has_lines ? "\"follow\" does not go with \"lines\""
                        : web_query_get(&q->query, "attempt") && p->nth == 0
                            ? "attempts count from 1"
                        : p->grep && (!*p->grep || strlen(p->grep) > 1000)
                            ? "\"grep\" takes a text of 1 to 1000 bytes"
                            : NULL;
    if (wrong)
        web_fail(q, 400, "bad_request", "%s", wrong);
    return !wrong;
}

/* A last line without its end counts too. */
static int size_of(log_view *v, uint64_t *bytes, uint64_t *lines, bool *done, pw_err *err)
{
    uint64_t at;
    int r = log_view_size(v, bytes, lines, done, err);
    if (r == 0 && (r = log_view_line(v, *lines + 1, &at, err)) == 0)
        *lines += at < *bytes;
    return r;
}

static int place(log_view *v, const part *p, log_text *t, uint64_t bytes, uint64_t lines,
                 pw_err *err)
{
    uint64_t first = p->has_tail ? (lines > p->tail ? lines - p->tail + 1 : 1) : p->from;
    int r = first > lines ? 0 : log_view_line(v, first, &t->pos, err);
    if (first > lines)
        t->pos = bytes;
    if (r < 0)
        return r;
    t->line = first;
    t->end = p->follow ? UINT64_MAX : bytes;
    if (p->has_lines && p->lines < lines && first + p->lines <= lines &&
        (r = log_view_line(v, first + p->lines, &t->end, err)) < 0)
        return r;
    if (t->end < t->pos)
        t->end = t->pos;
    return 0;
}

/* ---- as a stream */
typedef struct log_stream {
    web_wait wait;
    web_server *web;
    log_at at;
    part part;
    char *step; /* owned; as asked for */
    log_view *view;
    log_text text;
    bool placed, finishing;
} log_stream;

static void stream_end(void *self)
{
    log_stream *s = self;
    log_view_close(s->view);
    log_text_clear(&s->text);
    web_stream_end(s->web, false);
    free(s->step);
    free(s);
}

static int open_view(log_stream *s, pw_err *err)
{
    uint64_t bytes, lines;
    bool done;
    if (!s->at.attempt)
        return PW_ENOTFOUND;
    s->view =
        log_view_open(s->web->log_store, (log_key){s->at.attempt, s->at.idx, s->at.stream}, err);
    if (!s->view)
        return err->code;
    if (s->placed)
        return 0;
    int r = size_of(s->view, &bytes, &lines, &done, err);
    if (r == 0)
        r = place(s->view, &s->part, &s->text, bytes, lines, err);
    s->placed = r == 0;
    return r;
}

/* Looks at the rows again: has the attempt come, is the step over? */
static int look_again(log_stream *s, pw_err *err)
{
    log_at now;
    uint64_t bytes, lines;
    bool done = false;
    if (s->view && log_view_size(s->view, &bytes, &lines, &done, NULL) == 0 && done) {
        s->at.over = true;
        return 0;
    }
    reader *rd = web_reader_take(s->web, err);
    if (!rd)
        return err->code;
    int r = log_find(rd, s->at.build, s->part.nth, s->step, &now, err);
    web_reader_give(s->web, rd);
    if (r < 0)
        return r;
    if (!s->at.attempt)
        s->at = now;
    else
        s->at.over = s->at.over || now.over || now.attempt != s->at.attempt;
    return 0;
}

/* Bytes, 0 for "at the end for now", or negative. */
static int64_t stream_pull(log_stream *s, char *to, size_t max, bool *ret_more, pw_err *err)
{
    *ret_more = false;
    if (!s->view) {
        int r = open_view(s, err);
        if (r < 0)
            return r == PW_ENOTFOUND ? 0 : r;
    }
    return log_text_pull(&s->text, s->view, to, max, ret_more, err);
}

static ssize_t stream_more(void *self, uint64_t pos, char *to, size_t max)
{
    log_stream *s = self;
    pw_err err = {0};
    bool stop, more = false;
    (void)pos;
    for (;;) {
        uint64_t seen = web_seen(s->web, &stop), generation = logs_generation(s->web->log_store);
        if (stop || !web_still(s->web, &s->wait))
            /* not the end of the log: the client comes again */
            return MHD_CONTENT_READER_END_WITH_ERROR;
        int64_t n = s->finishing ? log_text_finish(&s->text, to, max)
                                 : stream_pull(s, to, max, &more, &err);
        if (n > 0)
            return (ssize_t)n;
        if (n < 0)
            break;
        if (s->finishing)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (more) { /* a long search: others get their turn */
            MHD_suspend_connection(s->wait.con);
            MHD_resume_connection(s->wait.con);
            return 0;
        }
        bool done = s->at.over || !s->part.follow;
        if (!done && look_again(s, &err) < 0)
            break;
        if (done) {
            s->finishing = true;
            continue;
        }
        if (s->at.over)
            continue;                      /* all of it can be read now: once more to the end */
        s->view = log_view_close(s->view); /* it holds a decoded frame: not while it sleeps */
        if (web_wait_begin(s->web, &s->wait, seen, generation))
            return 0;
    }
    if (err.code)
        pw_log_err(PW_LOG_WARN, "log_failed", &err);
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static void send_stream(web_req *q, const log_at *at, const part *p, const char *step)
{
    bool failed = false;
    log_stream *s = calloc(1, sizeof(*s));
    if (!s || !web_stream_begin(q->web, false)) {
        free(s);
        web_fail(q, 503, "unavailable", "too many read logs already");
        return;
    }
    s->web = q->web;
    s->wait = (web_wait){.con = q->con, .events = true, .logs = true};
    web_wait_owner(&s->wait, q);
    s->at = *at;
    s->part = *p;
    log_text_init(&s->text);
    s->text.raw = p->raw;
    s->text.json = p->json;
    s->text.grep = pw_strdup(p->grep, &failed);
    s->part.grep = NULL; /* borrowed from the query */
    s->step = pw_strdup(step, &failed);
    q->stream = stream_more;
    q->stream_free = stream_end;
    q->stream_self = s;
    if (failed)
        web_fail(q, 503, "unavailable", "out of memory");
}

/* ---- in one piece */
static int whole(log_view *v, log_text *t, pw_buf *b, pw_err *err)
{
    bool more;
    int64_t n;
    for (;;) {
        char *p = pw_buf_room(b, 32 * 1024);
        if (!p)
            return pw_fail(err, PW_ENOMEM, "out of memory");
        if ((n = log_text_pull(t, v, p, 32 * 1024, &more, err)) <= 0 && !more)
            break;
        b->len += (size_t)n;
    }
    if (n < 0)
        return (int)n;
    char end[1];
    if (log_text_finish(t, end, 1) == 1)
        return pw_buf_add(b, end, 1);
    return 0;
}

/* bytes=A-B, A-, -N of `size` bytes. 1: a range; 0: none that is understood; -1: beyond the end. */
static int range_of(const char *s, uint64_t size, uint64_t *ret_first, uint64_t *ret_n)
{
    char a[24], b[24];
    uint64_t first = 0, last = size ? size - 1 : 0;
    if (strncmp(s, "bytes=", 6) != 0 || strchr(s, ','))
        return 0;
    s += 6;
    size_t k = strcspn(s, "-");
    if (s[k] != '-' || k >= sizeof(a) || strlen(s + k + 1) >= sizeof(b))
        return 0;
    memcpy(a, s, k);
    a[k] = '\0';
    memcpy(b, s + k + 1, strlen(s + k + 1) + 1);
    if ((*a && pw_parse_u64(a, &first, NULL) < 0) || (*b && pw_parse_u64(b, &last, NULL) < 0) ||
        (!*a && !*b))
        return 0;
    if (!*a) {
        first = last < size ? size - last : 0;
        if (last == 0)
            return -1;
        last = size - 1;
    }
    if (*a && *b && last < first)
        return 0;
    if (first >= size)
        return -1;
    *ret_first = first;
    *ret_n = (last < size ? last : size - 1) - first + 1;
    return 1;
}

static void cut_range(web_req *q, const char *range, uint64_t size, uint64_t *first, uint64_t *n)
{
    int r = range_of(range, size, first, n);
    if (r < 0) {
        web_fail(q, 416, "bad_request", "the log has %" PRIu64 " bytes", size);
        web_header(q, "Content-Range", "bytes */%" PRIu64, size);
    } else if (r > 0) {
        if (*n > RANGE_MAX)
            *n = RANGE_MAX;
        q->status = 206;
        web_header(q, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, *first,
                   *first + *n - 1, size);
    }
}

static int send_whole(web_req *q, log_view *v, log_text *t, const char *range, pw_err *err)
{
    uint64_t first = 0, n = 0, start = t->pos, size = t->end - t->pos;
    q->status = 200;
    if (range && t->raw) {
        cut_range(q, range, size, &first, &n);
        if (q->status == 206) {
            t->pos = start + first;
            t->end = t->pos + n;
        }
        return q->status == 416 ? 0 : whole(v, t, &q->out, err);
    }
    int r = whole(v, t, &q->out, err);
    if (r < 0 || !range)
        return r;
    PW_AUTO(pw_buf_clearp) pw_buf all = q->out;
    pw_buf_init(&q->out, WEB_OUT_MAX);
    cut_range(q, range, all.len, &first, &n);
    if (q->status == 200)
        return pw_buf_add(&q->out, pw_buf_str(&all), all.len);
    return q->status == 206 ? pw_buf_add(&q->out, all.p + first, (size_t)n) : 0;
}

static void answer(web_req *q, log_view *v, const log_at *at, const part *p, const char *step)
{
    pw_err err = {0};
    uint64_t bytes = 0, lines = 0;
    bool done = false;
    log_text t;
    const char *range = MHD_lookup_connection_value(q->con, MHD_HEADER_KIND, "Range");
    log_text_init(&t);
    t.raw = p->raw;
    if (v &&
        (size_of(v, &bytes, &lines, &done, &err) < 0 || place(v, p, &t, bytes, lines, &err) < 0)) {
        web_fail_err(q, &err);
        return;
    }
    q->status = 200;
    q->type = p->json ? "application/json" : "text/plain; charset=utf-8";
    web_header(q, "Pawl-Lines", "%" PRIu64, lines);
    web_header(q, "Pawl-Bytes", "%" PRIu64, bytes);
    web_header(q, "Pawl-Done", "%s", done || at->over ? "true" : "false");
    web_header(q, "Accept-Ranges", "bytes");
    if (q->head)
        return;
    /* without raw a range is one of the text as it is sent, whose bytes are known only when it was
     * made */
    bool piece = range && (p->raw || t.end - t.pos <= RANGE_MAX);
    if (p->follow || p->grep || (v && !piece && t.end - t.pos > WHOLE_MAX))
        send_stream(q, at, p, step);
    else if (v && send_whole(q, v, &t, range, &err) < 0)
        web_fail_err(q, &err);
    log_text_clear(&t);
}

void web_get_log(web_req *q)
{
    pw_err err = {0};
    uint64_t id;
    log_at at;
    part p;
    if (!web_id_param(q, 0, &id) || !part_of(q, &p) || !web_reader(q))
        return;
    if (log_find(q->rd, id, p.nth, q->at.param[1], &at, &err) < 0) {
        web_fail_err(q, &err);
        return;
    }
    PW_AUTO(log_view_closep) log_view *v = NULL;
    if (at.attempt &&
        !(v = log_view_open(q->web->log_store, (log_key){at.attempt, at.idx, at.stream}, &err)) &&
        err.code != PW_ENOTFOUND)
        web_fail_err(q, &err);
    else
        answer(q, v, &at, &p, q->at.param[1]);
}
