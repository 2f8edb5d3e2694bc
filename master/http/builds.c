/* Builds and their steps. */
#include <stdlib.h>
#include <string.h>

#include "master/http/impl.h"
#include "master/store/reader_pages.h"
#include "shared/job/job.h"

/* ---- lists */
typedef struct usual_step {
    char *name; /* owned */
    pw_msec ms;
} usual_step;
typedef struct usual_steps { /* what each step of a builder usually takes */
    usual_step *v;
    size_t n;
} usual_steps;

typedef struct page {
    web_req *q;
    pw_buf *b;
    size_t n, limit;
    uint64_t last;
    bool more;
    const usual_steps *usual; /* NULL: not told */
} page;

static int on_build(void *self, const reader_build *r)
{
    page *p = self;
    if (p->n == p->limit) {
        p->more = true;
        return PW_ELIMIT;
    }
    p->n++;
    p->last = r->b.id;
    web_build(p->b, r, p->q->web->url);
    return 0;
}

static bool filter_of(web_req *q, reader_build_filter *f, store_rev *rev)
{
    pw_err err = {0};
    const char *revision = web_query_get(&q->query, "revision");
    *f = (reader_build_filter){.project = web_query_get(&q->query, "project"),
                               .builder = web_query_get(&q->query, "builder"),
                               .branch = web_query_get(&q->query, "branch"),
                               .worker = web_query_get(&q->query, "worker"),
                               .result = -1,
                               .state = -1};
    if (web_query_page(&q->query, &f->limit, &f->before, &err) < 0 ||
        web_query_time(&q->query, "since", &f->since, &err) < 0 ||
        web_query_word(&q->query, "result", web_results, &f->result, &err) < 0 ||
        web_query_word(&q->query, "state", web_build_states, &f->state, &err) < 0) {
        web_fail_err(q, &err);
        return false;
    }
    if (revision && !store_rev_parse(revision, rev)) {
        web_fail(
            q, 400, "bad_request",
            "\"revision\" must be a whole revision of 40 or 64 hexadecimal digits, not \"%.100s\"",
            revision);
        return false;
    }
    f->rev = revision ? rev : NULL;
    return true;
}

void web_get_builds(web_req *q)
{
    pw_err err = {0};
    reader_build_filter f;
    store_rev rev;
    char cursor[WEB_CURSOR];
    if (!filter_of(q, &f, &rev) || !web_reader(q))
        return;
    page p = {.q = q, .b = web_json(q), .limit = f.limit};
    f.limit++; /* one more tells whether there is a next page */
    web_open(p.b, NULL, '{');
    web_open(p.b, "items", '[');
    int r = reader_builds(q->rd, &f, on_build, &p, &err);
    if (r < 0 && !p.more) {
        web_fail_err(q, &err);
        return;
    }
    web_shut(p.b, ']');
    web_cursor_text(p.last, cursor);
    web_str(p.b, "next", p.more ? cursor : NULL);
    (void)pw_buf_adds(p.b, "}\n");
}

/* ---- what is usual */
static int on_usual(void *self, const char *step, pw_msec ms)
{
    usual_steps *u = self;
    bool failed = false;
    if (u->n % 16 == 0) {
        usual_step *v = realloc(u->v, (u->n + 16) * sizeof(*v));
        if (!v)
            return PW_ENOMEM;
        u->v = v;
    }
    u->v[u->n] = (usual_step){pw_strdup(step, &failed), ms};
    u->n += !failed;
    return failed ? PW_ENOMEM : 0;
}

static void usual_clear(usual_steps *u)
{
    for (size_t i = 0; i < u->n; i++)
        free(u->v[i].name);
    free(u->v);
}

static void put_usual(pw_buf *b, const usual_steps *u, const char *step)
{
    for (size_t i = 0; u && i < u->n; i++)
        if (strcmp(u->v[i].name, step) == 0) {
            web_i64(b, "usual_ms", u->v[i].ms);
            return;
        }
    if (u)
        web_null(b, "usual_ms");
}

/* ---- steps */
static int on_step(void *self, const store_step *s)
{
    page *p = self;
    p->n++;
    p->last = s->idx;
    web_open(p->b, NULL, '{');
    web_step_fields(p->b, s);
    put_usual(p->b, p->usual, s->name);
    web_shut(p->b, '}');
    return 0;
}

/* What the frozen job has behind the rows. Rows come in order, so the first `from` steps have one.
 */
static int waiting_steps(reader *rd, uint64_t build, const page *p, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf frozen = PW_BUF(PW_JOB_MAX);
    job_spec spec;
    int r = reader_job(rd, build, &frozen, err);
    if (r < 0 || (r = pw_schema_decode(&job_spec_schema, frozen.p, frozen.len, &spec, err)) < 0)
        return r == PW_ENOTFOUND ? 0 : r;
    const job_step *s = spec.steps.v;
    for (size_t i = p->n; i < spec.steps.n; i++) {
        web_open(p->b, NULL, '{');
        web_step_waiting(p->b, s[i].name, s[i].kind);
        put_usual(p->b, p->usual, s[i].name);
        web_shut(p->b, '}');
    }
    pw_schema_clear(&job_spec_schema, &spec);
    return 0;
}

/* A build that no worker ran has one, when it has something to say. */
static int remark_step(reader *rd, uint64_t build, pw_buf *b, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(2 * 1024 * 1024);
    char name[] = "pipeline";
    store_step s = {.name = name, .state = STEP_DONE, .result = PW_FAILURE, .exit_code = -1};
    int r = reader_remark(rd, build, &text, err);
    if (r < 0)
        return r == PW_ENOTFOUND ? 0 : r;
    s.bytes = text.len;
    for (size_t i = 0; i < text.len; i++)
        s.lines += text.p[i] == '\n';
    web_step(b, &s);
    return 0;
}

/* The array alone. */
static int steps_array(reader *rd, uint64_t build, uint64_t nth, bool open,
                       const usual_steps *usual, pw_buf *b, pw_err *err)
{
    page p = {.b = b, .usual = usual};
    uint64_t attempt;
    (void)pw_buf_add(b, "[", 1);
    int r = reader_attempt_of(rd, build, nth, &attempt, err);
    if (r == 0)
        r = reader_steps(rd, attempt, on_step, &p, err);
    else if (r == PW_ENOTFOUND && nth == 0)
        r = open ? 0 : remark_step(rd, build, b, err); /* open: not dispatched yet */
    if (r == 0 && open)
        r = waiting_steps(rd, build, &p, err);
    web_shut(b, ']');
    return r;
}

int web_steps(reader *rd, uint64_t build, uint64_t nth, bool open, pw_buf *b, pw_err *err)
{
    web_open(b, NULL, '{');
    web_u64(b, "build", build);
    web_key(b, "items");
    int r = steps_array(rd, build, nth, open && nth == 0, NULL, b, err);
    web_null(b, "next");
    web_shut(b, '}');
    return r;
}

static int nothing(void *self, const reader_build *r)
{
    if (self)
        *(build_state *)self = r->b.state;
    return 0;
}

int web_any_build(void *self, const reader_build *r)
{
    return nothing(self, r);
}

void web_get_steps(web_req *q)
{
    pw_err err = {0};
    uint64_t id, nth = 0;
    build_state state = BUILD_DONE;
    if (!web_id_param(q, 0, &id))
        return;
    if (web_query_u64(&q->query, "attempt", &nth, &err) < 0) {
        web_fail_err(q, &err);
        return;
    }
    if (!web_reader(q))
        return;
    pw_buf *b = web_json(q);
    if (reader_build_one(q->rd, id, nothing, &state, &err) < 0 ||
        web_steps(q->rd, id, nth, state != BUILD_DONE, b, &err) < 0) {
        web_fail_err(q, &err);
        return;
    }
    (void)pw_buf_add(b, "\n", 1);
}

/* ---- one build */
static void text_pair(pw_buf *b, const char *name, const char *value)
{
    web_key(b, NULL);
    (void)pw_buf_json(b, name);
    (void)pw_buf_add(b, ":", 1);
    (void)pw_buf_json(b, value);
}

/* What was given and what steps set are rows, which come first; the facts of the worker of an open
 * build stand in its frozen job. */
typedef struct props {
    pw_buf *b;
    pw_buf source; /* of each, by name */
    pw_strs seen;
    bool failed;
} props;

static void on_property(props *p, const char *name, const char *value, const char *source)
{
    text_pair(p->b, name, value);
    text_pair(&p->source, name, source);
}

static int seen_property(void *self, const char *name, const char *value, const char *source)
{
    props *p = self;
    char **v = realloc(p->seen.v, (p->seen.n + 1) * sizeof(*v));
    if (!v)
        return PW_ENOMEM;
    p->seen.v = v;
    v[p->seen.n] = pw_strdup(name, &p->failed);
    if (p->failed)
        return PW_ENOMEM;
    p->seen.n++;
    on_property(p, name, value, source);
    return 0;
}

static int job_properties(reader *rd, uint64_t build, props *p, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf frozen = PW_BUF(PW_JOB_MAX);
    job_spec spec;
    int r = reader_job(rd, build, &frozen, err);
    if (r < 0 || (r = pw_schema_decode(&job_spec_schema, frozen.p, frozen.len, &spec, err)) < 0)
        return r == PW_ENOTFOUND ? 0 : r;
    const msg_pair *given = spec.props.v;
    for (size_t i = 0; i < spec.props.n; i++) {
        bool over = false;
        for (size_t k = 0; k < p->seen.n && !over; k++)
            over = strcmp(p->seen.v[k], given[i].name) == 0;
        if (!over)
            on_property(p, given[i].name, given[i].value, "worker");
    }
    pw_schema_clear(&job_spec_schema, &spec);
    return 0;
}

/* Those of the worker that a finished build ran on. */
static int fact_properties(reader *rd, uint64_t attempt, props *p, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf facts = PW_BUF(128 * 1024);
    pw_list list = {0};
    int r = reader_attempt_facts(rd, attempt, &facts, err);
    if (r < 0 || (r = core_fact_props(pw_buf_str(&facts), &list, err)) < 0)
        return r;
    const msg_pair *fact = list.v;
    for (size_t i = 0; i < list.n; i++) {
        bool over = false;
        for (size_t k = 0; k < p->seen.n && !over; k++)
            over = strcmp(p->seen.v[k], fact[i].name) == 0;
        if (!over)
            on_property(p, fact[i].name, fact[i].value, "worker");
    }
    core_props_clear(&list);
    return 0;
}

static int properties(reader *rd, const store_build *of, pw_buf *b, pw_err *err)
{
    props p = {.b = b, .source = PW_BUF(1024 * 1024)};
    web_open(b, "properties", '{');
    web_open(&p.source, NULL, '{');
    int r = reader_properties(rd, of->id, seen_property, &p, err);
    if (r == 0)
        r = of->state != BUILD_DONE ? job_properties(rd, of->id, &p, err)
                                    : fact_properties(rd, of->attempt, &p, err);
    web_shut(b, '}');
    web_shut(&p.source, '}');
    web_key(b, "property_sources");
    (void)pw_buf_adds(b, pw_buf_str(&p.source));
    if (p.source.failed && r == 0)
        r = pw_fail(err, PW_ENOMEM, "out of memory");
    pw_buf_clear(&p.source);
    for (size_t i = 0; i < p.seen.n; i++)
        free(p.seen.v[i]);
    free(p.seen.v);
    return r;
}

static int on_note(void *self, const store_note *n)
{
    pw_buf *b = self;
    web_open(b, NULL, '{');
    web_str(b, "context", n->context);
    web_str(b, "style", n->style);
    web_str(b, "text", n->text);
    web_time(b, "at", n->at);
    web_shut(b, '}');
    return 0;
}

/* Of the last attempt. */
static int annotations(reader *rd, uint64_t build, pw_buf *b, pw_err *err)
{
    uint64_t attempt = 0;
    int r = reader_attempt_of(rd, build, 0, &attempt, err);
    web_open(b, "annotations", '[');
    if (r == 0)
        r = reader_notes(rd, attempt, on_note, b, err);
    web_shut(b, ']');
    return r == PW_ENOTFOUND ? 0 : r;
}

static int on_pin(void *self, const char *who, const char *reason, pw_msec at)
{
    pw_buf *b = self;
    web_open(b, "pinned", '{');
    web_str(b, "who", who);
    web_str(b, "reason", reason);
    web_time(b, "at", at);
    web_shut(b, '}');
    return 0;
}

/* What retention did, and may not do. */
static int kept(reader *rd, uint64_t build, pw_buf *b, pw_err *err)
{
    bool gone = false;
    int r = reader_logs_gone(rd, build, &gone, err);
    if (r < 0)
        return r;
    web_str(b, "logs", gone ? "removed" : "kept");
    r = reader_pin(rd, build, on_pin, b, err);
    if (r != PW_ENOTFOUND)
        return r;
    web_null(b, "pinned");
    return 0;
}

typedef struct whole {
    web_req *q;
    pw_buf *b;
    pw_err *err;
} whole;

static int on_whole(void *self, const reader_build *r)
{
    whole *w = self;
    bool open = r->b.state != BUILD_DONE;
    uint64_t id = r->b.id;
    web_open(w->b, NULL, '{');
    web_build_fields(w->b, r, w->q->web->url);
    PW_AUTO(usual_clear) usual_steps usual = {0};
    pw_msec ms = -1;
    int rc = reader_usual(w->q->rd, id, &ms, w->err);
    if (rc == 0)
        rc = reader_usual_steps(w->q->rd, id, on_usual, &usual, w->err);
    if (ms < 0)
        web_null(w->b, "usual_ms");
    else
        web_i64(w->b, "usual_ms", ms);
    if (rc == 0)
        rc = kept(w->q->rd, id, w->b, w->err);
    if (rc == 0)
        rc = properties(w->q->rd, &r->b, w->b, w->err);
    if (rc == 0)
        rc = annotations(w->q->rd, id, w->b, w->err);
    if (rc == 0) {
        web_key(w->b, "steps");
        rc = steps_array(w->q->rd, id, 0, open, &usual, w->b, w->err);
    }
    (void)pw_buf_adds(w->b, "}\n");
    return rc;
}

void web_get_build(web_req *q)
{
    pw_err err = {0};
    uint64_t id;
    if (!web_id_param(q, 0, &id) || !web_reader(q))
        return;
    whole w = {q, web_json(q), &err};
    if (reader_build_one(q->rd, id, on_whole, &w, &err) < 0)
        web_fail_err(q, &err);
}

/* ---- the build that answers a request */
static int build_of(void *self, const reader_request *r)
{
    *(uint64_t *)self = r->r.build;
    return 0;
}

uint64_t web_request_build(reader *rd, const reader_request *r)
{
    uint64_t build = r->r.build;
    if (!build && r->r.rode_with) /* it rode with another one */
        (void)reader_request_one(rd, r->r.rode_with, build_of, &build, NULL);
    return build;
}
