/* /console: changes with what was built of each and what stands there; /builds/{id}/changes; the
 * history of a builder; what a build usually takes. */
#include <stdlib.h>
#include <string.h>

#include "master/http/impl.h"
#include "master/store/reader_pages.h"

typedef struct list {
    web_req *q;
    pw_buf *b;
    const config *conf;
    size_t n, limit;
    uint64_t last;
    bool more;
    pw_err *err;
} list;

static void begin(list *l)
{
    l->b = web_json(l->q);
    web_open(l->b, NULL, '{');
}

static void next(list *l)
{
    char cursor[WEB_CURSOR];
    web_cursor_text(l->last, cursor);
    web_str(l->b, "next", l->more ? cursor : NULL);
}

/* ---- console */
static int on_brief(void *self, const reader_brief *r)
{
    list *l = self;
    web_open(l->b, NULL, '{');
    web_str(l->b, "builder", r->builder);
    web_u64(l->b, "id", r->id);
    web_str(l->b, "state", web_build_states[(unsigned)r->state <= BUILD_DONE ? r->state : 0]);
    web_result(l->b, "result", r->result);
    web_time(l->b, "started", r->started);
    web_time(l->b, "finished", r->finished);
    web_shut(l->b, '}');
    return 0;
}

/* Edges that stand at this revision. */
static int promoted(list *l, const reader_change *c)
{
    int r = 0;
    uint64_t id = 0;
    web_open(l->b, "promoted", '[');
    for (size_t i = 0; l->conf && r == 0 && i < l->conf->n_promotions; i++) {
        const config_promotion *e = &l->conf->promotions[i];
        store_rev rev = {0};
        pw_msec at = 0;
        if (strcmp(l->conf->projects[e->project].name, c->project) != 0)
            continue;
        r = reader_project_named(l->q->rd, c->project, &id, l->err);
        if (r == 0)
            r = reader_tip(l->q->rd, id, e->to, &rev, &at, l->err);
        if (r == 0 && store_rev_equal(&rev, &c->rev))
            web_str(l->b, NULL, e->name);
        r = r == PW_ENOTFOUND ? 0 : r;
    }
    web_shut(l->b, ']');
    return r;
}

static int on_change(void *self, const reader_change *c)
{
    list *l = self;
    if (l->n == l->limit) {
        l->more = true;
        return PW_ELIMIT;
    }
    l->n++;
    l->last = c->c.id;
    web_open(l->b, NULL, '{');
    web_u64(l->b, "id", c->c.id);
    web_str(l->b, "project", c->project);
    web_str(l->b, "branch", c->branch);
    web_rev(l->b, "revision", &c->rev);
    web_str(l->b, "author", c->c.author);
    web_str(l->b, "title", c->c.subject);
    web_time(l->b, "at", c->c.at);
    int r = promoted(l, c);
    web_open(l->b, "builds", '[');
    if (r == 0)
        r = reader_stamp_builds(l->q->rd, c->c.stamp, on_brief, l, l->err);
    web_shut(l->b, ']');
    web_shut(l->b, '}');
    return r;
}

void web_get_console(web_req *q)
{
    pw_err err = {0};
    uint64_t before;
    list l = {.q = q, .err = &err};
    if (web_query_page(&q->query, &l.limit, &before, &err) < 0) {
        web_fail_err(q, &err);
        return;
    }
    if (!web_reader(q))
        return;
    l.conf = web_req_conf(q);
    begin(&l);
    web_open(l.b, "items", '[');
    int r = reader_changes(q->rd, web_query_get(&q->query, "project"),
                           web_query_get(&q->query, "branch"), before, l.limit + 1, on_change, &l,
                           &err);
    if (r < 0 && !l.more) {
        web_fail_err(q, &err);
        return;
    }
    web_shut(l.b, ']');
    next(&l);
    (void)pw_buf_adds(l.b, "}\n");
}

/* ---- what a build is about */
static int plain_change(void *self, const reader_change *c)
{
    list *l = self;
    if (l->n == l->limit) {
        l->more = true;
        return PW_ELIMIT;
    }
    l->n++;
    web_change(l->b, c);
    return 0;
}

void web_get_build_changes(web_req *q)
{
    pw_err err = {0};
    uint64_t id, green = 0, limit = WEB_LIMIT_DEFAULT;
    list l = {.q = q};
    if (!web_id_param(q, 0, &id))
        return;
    if (web_query_u64(&q->query, "limit", &limit, &err) < 0) {
        web_fail_err(q, &err);
        return;
    }
    if (limit < 1 || limit > WEB_LIMIT_MAX) {
        web_fail(q, 400, "bad_request", "\"limit\" must be 1 to %d", WEB_LIMIT_MAX);
        return;
    }
    l.limit = (size_t)limit;
    if (!web_reader(q))
        return;
    int r = reader_green_before(q->rd, id, &green, &err);
    if (r == 0) {
        begin(&l);
        web_id(l.b, "since", green);
        web_open(l.b, "items", '[');
        r = reader_build_changes(q->rd, id, green, l.limit + 1, plain_change, &l, &err);
        web_shut(l.b, ']');
        web_bool(l.b, "more", l.more);
        web_null(l.b, "next");
        (void)pw_buf_adds(l.b, "}\n");
    }
    if (r < 0 && !l.more)
        web_fail_err(q, &err);
}

/* ---- the history of a builder */
enum { HISTORY_DEFAULT = 200, DAY_MS = 86400000 };
typedef struct history {
    list l;
    pw_msec *ms; /* owned: of green builds */
    size_t n_ms, red, all;
    pw_buf days; /* newest first */
    pw_msec day; /* that is being counted */
    bool failed;
} history;

static void day_end(history *h)
{
    char text[PW_TIME_MAX];
    if (!h->all)
        return;
    (void)pw_time_text(h->day * DAY_MS, text);
    text[10] = '\0'; /* YYYY-MM-DD */
    web_open(&h->days, NULL, '{');
    web_str(&h->days, "day", text);
    web_u64(&h->days, "builds", h->all);
    web_u64(&h->days, "red", h->red);
    web_shut(&h->days, '}');
    h->all = h->red = 0;
}

static int on_build(void *self, const reader_build *r)
{
    history *h = self;
    list *l = &h->l;
    bool over = r->b.state == BUILD_DONE, timed = over && r->b.started && r->b.finished;
    pw_msec took = timed ? r->b.finished - r->b.started : 0;
    if (l->n == l->limit) {
        l->more = true;
        return PW_ELIMIT;
    }
    l->n++;
    l->last = r->b.id;
    if (timed && (unsigned)r->b.result <= PW_WARNINGS)
        h->ms[h->n_ms++] = took;
    if (over && r->b.finished / DAY_MS != h->day)
        day_end(h);
    if (over) {
        h->day = r->b.finished / DAY_MS;
        h->all++;
        h->red += pw_result_red(r->b.result);
    }
    web_open(l->b, NULL, '{');
    web_u64(l->b, "id", r->b.id);
    web_str(l->b, "branch", r->branch);
    web_rev(l->b, "revision", &r->rev);
    web_str(l->b, "state", web_build_states[(unsigned)r->b.state <= BUILD_DONE ? r->b.state : 0]);
    web_result(l->b, "result", r->b.result);
    web_time(l->b, "started", r->b.started);
    web_time(l->b, "finished", r->b.finished);
    if (timed)
        web_i64(l->b, "duration_ms", took);
    else
        web_null(l->b, "duration_ms");
    web_shut(l->b, '}');
    return 0;
}

static int by_size(const void *a, const void *b)
{
    pw_msec x = *(const pw_msec *)a, y = *(const pw_msec *)b;
    return (x > y) - (x < y);
}

static void put_share(history *h, const char *key, size_t percent)
{
    if (h->n_ms)
        web_i64(h->l.b, key, h->ms[(h->n_ms - 1) * percent / 100]);
    else
        web_null(h->l.b, key);
}

void web_get_history(web_req *q)
{
    pw_err err = {0};
    PW_AUTO(web_builder_clear) web_builder f = {0};
    PW_AUTO(pw_freep) char *full = NULL;
    reader_build_filter filter = {.result = -1, .state = -1, .limit = HISTORY_DEFAULT};
    history h = {.l = {.q = q}, .days = PW_BUF(1024 * 1024)};
    if (web_query_page(&q->query, &filter.limit, &filter.before, &err) < 0) {
        web_fail_err(q, &err);
        return;
    }
    if (!web_query_get(&q->query, "limit"))
        filter.limit = HISTORY_DEFAULT;
    if (!web_reader(q) ||
        web_find_builder(q, q->at.param[0], web_query_get(&q->query, "project"), &f) < 0)
        return;
    full = pw_strf("%s/%s", pw_buf_str(&f.found), f.name);
    h.ms = calloc(filter.limit, sizeof(*h.ms));
    if (!full || !h.ms) {
        free(h.ms);
        web_fail(q, 503, "unavailable", "out of memory");
        return;
    }
    filter.builder = full;
    filter.branch = web_query_get(&q->query, "branch");
    h.l.limit = filter.limit++;
    begin(&h.l);
    web_open(h.l.b, "items", '[');
    web_open(&h.days, NULL, '[');
    int r = reader_builds(q->rd, &filter, on_build, &h, &err);
    day_end(&h);
    web_shut(&h.days, ']');
    web_shut(h.l.b, ']');
    qsort(h.ms, h.n_ms, sizeof(*h.ms), by_size);
    put_share(&h, "median_ms", 50);
    put_share(&h, "p95_ms", 95);
    web_key(h.l.b, "per_day");
    (void)pw_buf_adds(h.l.b, pw_buf_str(&h.days));
    next(&h.l);
    (void)pw_buf_adds(h.l.b, "}\n");
    if (h.days.failed)
        r = pw_fail(&err, PW_ENOMEM, "out of memory");
    if (r < 0 && !h.l.more)
        web_fail_err(q, &err);
    free(h.ms);
    pw_buf_clear(&h.days);
}
