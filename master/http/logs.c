/* GET /builds/{id}/log/{step}: which log, which part of it, whole or as a stream. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/http/impl.h"
#include "master/http/logfind.h"
#include "master/http/logtext.h"
#include "shared/base/log.h"
#include "shared/base/num.h"

enum { WHOLE_MAX = 256 * 1024, RANGE_MAX = 8 * 1024 * 1024 };

/* ---- which part */
typedef struct part {
    uint64_t from, lines, tail, nth, offset, limit;
    bool has_lines, has_tail, has_offset, follow, times, items, numbers;
    log_form form;
    search *grep; /* owned until the stream takes it */
} part;

static bool accepts(const web_req *q, const char *type)
{
    const char *accept = MHD_lookup_connection_value(q->con, MHD_HEADER_KIND, "Accept");
    return accept && strstr(accept, type);
}

/* Who follows by server-sent events and lost the connection comes back with the last line. */
static int resume(const web_req *q, part *p, pw_err *err)
{
    const char *last = MHD_lookup_connection_value(q->con, MHD_HEADER_KIND, "Last-Event-ID");
    if (p->form != LOG_EVENTS || !last || !*last)
        return 0;
    uint64_t line = 0;
    if (pw_parse_u64(last, &line, NULL) < 0 || line == UINT64_MAX)
        return pw_fail(err, PW_EINVAL, "Last-Event-ID is the number of a line");
    p->from = line + 1;
    p->has_tail = p->has_lines = false;
    return 0;
}

static const char *part_wrong(const web_req *q, const part *p)
{
    bool raw = p->form == LOG_RAW;
    bool items = p->items && (p->grep || raw || p->follow || p->numbers);
    return p->from == 0 ? "lines count from 1"
           : p->has_tail && (p->has_lines || p->from > 1)
               ? "\"tail\" goes with neither \"from\" nor \"lines\""
           : p->follow && p->has_lines ? "\"follow\" does not go with \"lines\""
           : web_query_get(&q->query, "attempt") && p->nth == 0 ? "attempts count from 1"
           : items ? "\"items\" goes with \"from\" and \"lines\" or with \"tail\" alone"
           : p->items && (!p->has_lines || p->lines > LOG_ITEMS_MAX) &&
                   (!p->has_tail || p->tail > LOG_ITEMS_MAX)
               ? "\"items\" are at most 4000 lines: say which by \"lines\" or \"tail\""
           : p->numbers && (!p->grep || raw || p->follow || p->times)
               ? "\"numbers\" are those of the lines that \"grep\" finds, and nothing else"
           : p->limit && !p->numbers ? "\"limit\" goes with \"numbers\""
           : raw && (p->times || p->grep)
               ? "\"raw\" goes with neither \"times\" nor \"grep\": these are of lines"
           : p->has_offset && (!p->follow || p->has_tail || p->form == LOG_EVENTS)
               ? "\"offset\" goes with \"follow\", without \"tail\": so many bytes came before"
               : NULL;
}

static bool part_of(web_req *q, part *p)
{
    pw_err err = {0};
    bool raw = false;
    const char *grep = web_query_get(&q->query, "grep");
    *p = (part){.from = 1};
    p->has_lines = web_query_get(&q->query, "lines") != NULL;
    p->has_tail = web_query_get(&q->query, "tail") != NULL;
    p->has_offset = web_query_get(&q->query, "offset") != NULL;
    if (web_query_u64(&q->query, "from", &p->from, &err) < 0 ||
        web_query_u64(&q->query, "lines", &p->lines, &err) < 0 ||
        web_query_u64(&q->query, "tail", &p->tail, &err) < 0 ||
        web_query_u64(&q->query, "offset", &p->offset, &err) < 0 ||
        web_query_u64(&q->query, "attempt", &p->nth, &err) < 0 ||
        web_query_u64(&q->query, "limit", &p->limit, &err) < 0 ||
        web_query_flag(&q->query, "items", &p->items, &err) < 0 ||
        web_query_flag(&q->query, "numbers", &p->numbers, &err) < 0 ||
        web_query_flag(&q->query, "raw", &raw, &err) < 0 ||
        web_query_flag(&q->query, "times", &p->times, &err) < 0 ||
        web_query_flag(&q->query, "follow", &p->follow, &err) < 0) {
        web_fail_err(q, &err);
        return false;
    }
    p->form = raw                                            ? LOG_RAW
              : p->items                                     ? LOG_ITEMS
              : p->numbers                                   ? LOG_NUMBERS
              : p->follow && accepts(q, "text/event-stream") ? LOG_EVENTS
              : grep && accepts(q, "application/json")       ? LOG_JSON
                                                             : LOG_TEXT;
    if ((grep && !(p->grep = search_new(grep, &err))) || resume(q, p, &err) < 0) {
        web_fail_err(q, &err);
        return false;
    }
    const char *wrong = part_wrong(q, p);
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
    uint64_t there = 0;
    if (r == 0 && p->form == LOG_RAW && p->has_offset &&
        (r = log_view_there(v, t->pos, &there, err)) == 0)
        r = log_view_nth(v, there + p->offset, &t->pos, err);
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
    uint64_t drop; /* bytes that the client has already */
    bool placed, finishing, rendered;
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

/* The index of a log that grows no more is kept for the next one who asks. */
static int64_t stream_finish(log_stream *s, char *to, size_t max)
{
    uint64_t bytes, lines;
    bool done = false;
    if (s->text.form == LOG_INDEX && !s->rendered) {
        s->rendered = true;
        int64_t n = log_text_finish(&s->text, s->view, to, 0);
        if (n < 0)
            return n;
        if (s->view && log_view_size(s->view, &bytes, &lines, &done, NULL) == 0 && done)
            web_index_keep(s->web, s->at.attempt, s->at.idx, s->at.stream, &s->text.out);
    }
    return log_text_finish(&s->text, s->view, to, max);
}

/* A silent stream says that it lives. */
static ssize_t stream_ping(log_stream *s, char *to, size_t max)
{
    static const char alive[] = ": alive\n\n";
    bool due = s->wait.ping && s->text.form == LOG_EVENTS && max >= sizeof(alive);
    s->wait.ping = false;
    if (due)
        memcpy(to, alive, sizeof(alive) - 1);
    return due ? (ssize_t)sizeof(alive) - 1 : 0;
}

/* Bytes, 0 at the end for now, or negative. */
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
    ssize_t ping = stream_ping(s, to, max);
    if (ping)
        return ping;
    for (;;) {
        uint64_t seen = web_seen(s->web, &stop), generation = logs_generation(s->web->log_store);
        if (stop || !web_still(s->web, &s->wait))
            /* not the end of the log: the client comes again */
            return MHD_CONTENT_READER_END_WITH_ERROR;
        int64_t n = s->finishing ? stream_finish(s, to, max) : stream_pull(s, to, max, &more, &err);
        if (n > 0 && (uint64_t)n > s->drop) {
            n -= (int64_t)s->drop;
            memmove(to, to + s->drop, (size_t)n);
            s->drop = 0;
            return (ssize_t)n;
        }
        if (n < 0)
            break;
        if (n > 0) {
            s->drop -= (uint64_t)n;
            if ((more = s->drop / max % 64 == 0) == false)
                continue;
        }
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

static void send_stream(web_req *q, const log_at *at, part *p, const char *step)
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
    log_text_init(&s->text);
    s->text.form = p->form;
    s->text.times = p->times;
    s->text.limit = p->limit;
    s->text.host = q->web->host;
    s->text.grep = p->grep;
    p->grep = NULL;
    s->part = *p;
    s->drop = p->form == LOG_RAW ? 0 : p->offset;
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
    while ((n = log_text_finish(t, v, end, 1)) == 1)
        if (pw_buf_add(b, end, 1) < 0)
            return pw_fail(err, PW_ENOMEM, "out of memory");
    return (int)n;
}

int web_range(const char *s, uint64_t size, uint64_t *ret_first, uint64_t *ret_n)
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
    int r = web_range(range, size, first, n);
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

/* A range of the raw bytes counts those that are there: what was left out has none to send. */
static int raw_range(web_req *q, log_view *v, log_text *t, const char *range, pw_err *err)
{
    uint64_t from = 0, to = 0, first = 0, n = 0, last = 0;
    int r = log_view_there(v, t->pos, &from, err);
    if (r == 0)
        r = log_view_there(v, t->end, &to, err);
    if (r < 0)
        return r;
    cut_range(q, range, to - from, &first, &n);
    if (q->status != 206)
        return 0;
    if ((r = log_view_nth(v, from + first, &t->pos, err)) == 0 &&
        (r = log_view_nth(v, from + first + n - 1, &last, err)) == 0)
        t->end = last + 1;
    return r;
}

static int send_whole(web_req *q, log_view *v, log_text *t, const char *range, pw_err *err)
{
    uint64_t first = 0, n = 0;
    q->status = 200;
    if (range && t->form == LOG_RAW) {
        int r = raw_range(q, v, t, range, err);
        return r < 0 || q->status == 416 ? r : whole(v, t, &q->out, err);
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

static void headers(web_req *q, const part *p, uint64_t bytes, uint64_t lines, uint64_t there,
                    bool done)
{
    q->status = 200;
    q->type = p->form == LOG_EVENTS                       ? "text/event-stream"
              : p->form == LOG_TEXT || p->form == LOG_RAW ? "text/plain; charset=utf-8"
                                                          : "application/json";
    web_header(q, "Pawl-Lines", "%" PRIu64, lines);
    web_header(q, "Pawl-Bytes", "%" PRIu64, bytes);
    web_header(q, "Pawl-Done", "%s", done ? "true" : "false");
    web_header(q, "Accept-Ranges", "bytes");
    if (there < bytes)
        web_header(q, "Pawl-Left-Out", "%" PRIu64, bytes - there);
}

static void answer(web_req *q, log_view *v, const log_at *at, part *p, const char *step)
{
    pw_err err = {0};
    uint64_t bytes = 0, lines = 0, there = 0;
    bool done = false;
    log_text t;
    const char *range = MHD_lookup_connection_value(q->con, MHD_HEADER_KIND, "Range");
    log_text_init(&t);
    t.form = p->form;
    if (v &&
        (size_of(v, &bytes, &lines, &done, &err) < 0 ||
         log_view_there(v, bytes, &there, &err) < 0 || place(v, p, &t, bytes, lines, &err) < 0)) {
        web_fail_err(q, &err);
        return;
    }
    headers(q, p, bytes, lines, there, done || at->over);
    if (q->head)
        return;
    /* without raw a range is one of the text as it is sent, whose bytes are known only when it was
     * made */
    bool piece = range && (p->form == LOG_RAW || t.end - t.pos <= RANGE_MAX);
    if (p->follow || p->grep || p->times || p->form > LOG_RAW ||
        (v && !piece && t.end - t.pos > WHOLE_MAX))
        send_stream(q, at, p, step);
    else if (v && send_whole(q, v, &t, range, &err) < 0)
        web_fail_err(q, &err);
    log_text_clear(&t);
}

/* The log that is meant, and a view of it when there is output. False: refused already. */
static bool find_log(web_req *q, const part *p, log_at *at, log_view **ret)
{
    pw_err err = {0};
    uint64_t id;
    if (!web_id_param(q, 0, &id) || !web_reader(q))
        return false;
    int r = log_find(q->rd, id, p->nth, q->at.param[1], at, &err);
    if (r == 0 && at->attempt &&
        !(*ret = log_view_open(q->web->log_store, (log_key){at->attempt, at->idx, at->stream},
                               &err)) &&
        err.code != PW_ENOTFOUND)
        r = err.code;
    store_log row = {0};
    if (r == 0 && at->attempt && !*ret) { /* it printed nothing, or it is kept no longer */
        r = reader_log(q->rd, at->attempt, at->idx, at->stream, &row, &err);
        r = r == PW_ENOTFOUND ? 0 : r;
    }
    if (r < 0)
        web_fail_err(q, &err);
    else if (row.gone)
        web_fail(q, 410, "not_found",
                 "the log of \"%.200s\" of build %" PRIu64 " (%" PRIu64 " lines, %" PRIu64
                 " bytes) was removed by retention",
                 q->at.param[1], id, row.lines, row.bytes);
    return r == 0 && !row.gone;
}

/* What a build that no worker ran has to say, as the log of its only step. */
static bool remark(web_req *q)
{
    pw_err err = {0};
    uint64_t id, lines = 0;
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(2 * 1024 * 1024);
    if (strcmp(q->at.param[1], "pipeline") != 0 || !web_id_param(q, 0, &id) || !web_reader(q) ||
        reader_remark(q->rd, id, &text, &err) < 0)
        return false;
    for (size_t i = 0; i < text.len; i++)
        lines += text.p[i] == '\n';
    headers(q, &(part){.form = LOG_TEXT}, text.len, lines, text.len, true);
    if (pw_buf_add(&q->out, pw_buf_str(&text), text.len) < 0)
        web_fail(q, 503, "unavailable", "out of memory");
    return true;
}

void web_get_log(web_req *q)
{
    log_at at;
    part p;
    PW_AUTO(log_view_closep) log_view *v = NULL;
    if (part_of(q, &p) && !remark(q) && find_log(q, &p, &at, &v))
        answer(q, v, &at, &p, q->at.param[1]);
    (void)search_free(p.grep);
}

void web_get_log_index(web_req *q)
{
    pw_err err = {0};
    log_at at;
    part p = {.from = 1, .form = LOG_INDEX};
    PW_AUTO(log_view_closep) log_view *v = NULL;
    if (web_query_u64(&q->query, "attempt", &p.nth, &err) < 0) {
        web_fail_err(q, &err);
        return;
    }
    if (web_query_get(&q->query, "attempt") && p.nth == 0) {
        web_fail(q, 400, "bad_request", "attempts count from 1");
        return;
    }
    if (!find_log(q, &p, &at, &v))
        return;
    if (v && web_index_kept(q->web, at.attempt, at.idx, at.stream, &q->out)) {
        (void)web_json(q);
        return;
    }
    answer(q, v, &at, &p, q->at.param[1]);
}
