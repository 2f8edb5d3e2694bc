/* Changes, workers, promotions, projects and builders, the status. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/http/impl.h"
#include "master/store/sched.h"

typedef struct list {
    web_req *q;
    pw_buf *b;
    size_t n, limit;
    uint64_t last;
    bool more;
    const char *project, *builder, *branch; /* filters; NULL any */
    bool names;                             /* it is sorted by names, and so are its pages */
    char *after;         /* owned: the page begins behind this one; NULL: with the first */
    char last_name[600]; /* that was shown last */
} list;

static bool begin(web_req *q, list *l, uint64_t *ret_before)
{
    pw_err err = {0};
    *l = (list){.q = q};
    if (web_query_page(&q->query, &l->limit, ret_before, &err) < 0) {
        web_fail_err(q, &err);
        return false;
    }
    if (!web_reader(q))
        return false;
    l->b = web_json(q);
    web_open(l->b, NULL, '{');
    web_open(l->b, "items", '[');
    return true;
}

/* The same for a list by names. What belongs to it is in the configuration's size: whoever is not
 * of the page is passed over. */
static bool begin_names(web_req *q, list *l)
{
    pw_err err = {0};
    *l = (list){.q = q, .names = true};
    if (web_query_names(&q->query, WEB_LIMIT_MAX, &l->limit, &l->after, &err) < 0) {
        web_fail_err(q, &err);
        return false;
    }
    if (!web_reader(q)) {
        free(l->after);
        return false;
    }
    l->b = web_json(q);
    web_open(l->b, NULL, '{');
    web_open(l->b, "items", '[');
    return true;
}

/* 1: it is to be shown; 0: it is of a page before; PW_ELIMIT: there is a next page. */
static int turn_of(list *l, const char *project, const char *name)
{
    char key[sizeof(l->last_name)];
    (void)snprintf(key, sizeof(key), "%.255s%s%.300s", project ? project : "", project ? "\n" : "",
                   name);
    if (l->after && strcmp(key, l->after) <= 0)
        return 0;
    if (l->n == l->limit) {
        l->more = true;
        return PW_ELIMIT;
    }
    l->n++;
    memcpy(l->last_name, key, sizeof(key));
    return 1;
}

/* True when there is room for this row; else there is a next page. */
static bool room(list *l, uint64_t id)
{
    if (l->n == l->limit) {
        l->more = true;
        return false;
    }
    l->n++;
    l->last = id;
    return true;
}

static void end(list *l, int r, const pw_err *err)
{
    char cursor[WEB_CURSOR];
    free(l->after);
    l->after = NULL;
    if (r < 0 && !l->more) {
        web_fail_err(l->q, err);
        return;
    }
    web_shut(l->b, ']');
    web_cursor_text(l->last, cursor);
    PW_AUTO(pw_freep) char *next = l->more && l->names ? web_cursor_names(l->last_name) : NULL;
    web_str(l->b, "next", next ? next : l->more && !l->names ? cursor : NULL);
    if (l->more && l->names && !next)
        l->b->failed = true; /* out of memory */
    (void)pw_buf_adds(l->b, "}\n");
}

/* ---- changes */
static int on_change(void *self, const reader_change *c)
{
    list *l = self;
    if (!room(l, c->c.id))
        return PW_ELIMIT;
    web_change(l->b, c);
    return 0;
}

void web_get_changes(web_req *q)
{
    pw_err err = {0};
    list l;
    uint64_t before;
    if (begin(q, &l, &before))
        end(&l,
            reader_changes(q->rd, web_query_get(&q->query, "project"),
                           web_query_get(&q->query, "branch"), before, l.limit + 1, on_change, &l,
                           &err),
            &err);
}

/* ---- workers, promotions */
static int on_worker(void *self, const store_worker *w, uint64_t busy, bool enrolled)
{
    list *l = self;
    (void)enrolled;
    char gate[WEB_GATE];
    int turn = turn_of(l, NULL, w->name);
    if (turn <= 0)
        return turn;
    web_presence p = web_worker_presence(l->q->web, w->id, gate);
    web_worker_row(l->b, w, busy, p, gate, pw_wall(l->q->web->host));
    return 0;
}

void web_get_workers(web_req *q)
{
    pw_err err = {0};
    list l;
    if (begin_names(q, &l))
        end(&l, reader_workers(q->rd, on_worker, &l, &err), &err);
}

static int on_promotion(void *self, const store_promotion *p)
{
    list *l = self;
    if (!room(l, p->id))
        return PW_ELIMIT;
    web_promotion(l->b, p);
    return 0;
}

static int on_edge(void *self, const char *edge, edge_state state, const store_rev *rev,
                   const char *reason, pw_msec at)
{
    list *l = self;
    int turn = l->builder && strcmp(l->builder, edge) != 0 ? 0
               : l->names                                  ? turn_of(l, NULL, edge)
                                                           : 1; /* of the status */
    if (turn > 0)
        web_edge(l->b, edge, state, rev, reason, at);
    return turn < 0 ? turn : 0;
}

void web_get_promotions(web_req *q)
{
    pw_err err = {0};
    list l;
    uint64_t before;
    bool edges = false;
    const char *edge = web_query_get(&q->query, "edge");
    if (web_query_flag(&q->query, "edges", &edges, &err) < 0) {
        web_fail_err(q, &err);
        return;
    }
    if (edges ? !begin_names(q, &l) : !begin(q, &l, &before))
        return;
    l.builder = edge;
    end(&l,
        edges ? reader_edges(q->rd, on_edge, &l, &err)
              : reader_promotions(q->rd, edge, before, l.limit + 1, on_promotion, &l, &err),
        &err);
}

/* ---- outgoing messages */
static const char *const message_states[] = {"waiting", "under_way", "sent", "given_up", NULL};

static int on_message(void *self, const store_message *m)
{
    list *l = self;
    if (!room(l, m->id))
        return PW_ELIMIT;
    web_open(l->b, NULL, '{');
    web_u64(l->b, "id", m->id);
    web_str(l->b, "key", m->key);
    web_str(l->b, "target", m->target);
    web_str(l->b, "state", (unsigned)m->state < 4 ? message_states[m->state] : "unknown");
    web_u64(l->b, "tries", m->tries);
    web_time(l->b, "created", m->created);
    web_time(l->b, "due", m->state == MSG_WAITING ? m->due : 0);
    web_time(l->b, "finished", m->finished);
    web_str(l->b, "reason", m->reason);
    web_shut(l->b, '}');
    return 0;
}

void web_get_outbox(web_req *q)
{
    pw_err err = {0};
    list l;
    uint64_t before;
    int state = -1;
    if (web_query_word(&q->query, "state", message_states, &state, &err) < 0) {
        web_fail_err(q, &err);
        return;
    }
    if (begin(q, &l, &before))
        end(&l,
            reader_messages(q->rd, state, web_query_get(&q->query, "target"), before, l.limit + 1,
                            on_message, &l, &err),
            &err);
}

/* ---- builders */
static int on_latest(void *self, const reader_latest *r)
{
    list *l = self;
    if ((l->project && strcmp(l->project, r->project) != 0) ||
        (l->builder && strcmp(l->builder, r->builder) != 0) ||
        (l->branch && strcmp(l->branch, r->branch) != 0))
        return 0;
    l->n++;
    web_open(l->b, NULL, '{');
    web_str(l->b, "project", r->project);
    web_str(l->b, "branch", r->branch);
    web_str(l->b, "builder", r->builder);
    web_u64(l->b, "build", r->build);
    web_result(l->b, "result", r->result);
    web_bool(l->b, "red", pw_result_red(r->result) || r->result == PW_EXCEPTION);
    web_rev(l->b, "revision", &r->rev);
    web_time(l->b, "finished", r->finished);
    web_shut(l->b, '}');
    return 0;
}

static int builder_paused(list *l, const char *project, const char *name)
{
    PW_AUTO(pw_freep) char *full = pw_strf("%s/%s", project, name);
    return full ? web_paused(l->q, l->b, PAUSED_BUILDER, full, NULL) : PW_ENOMEM;
}

static int builder_object(list *l, const char *project, const char *name, bool brackets)
{
    list inner = {.q = l->q, .b = l->b, .project = project, .builder = name};
    if (brackets)
        web_open(l->b, NULL, '{');
    web_str(l->b, "name", name);
    web_str(l->b, "project", project);
    int r = builder_paused(l, project, name);
    web_forms(l->q, l->b, project, name);
    web_open(l->b, "latest", '[');
    if (r == 0)
        r = reader_latest_all(l->q->rd, on_latest, &inner, NULL);
    web_shut(l->b, ']');
    if (brackets)
        web_shut(l->b, '}');
    return r;
}

static int on_builder(void *self, uint64_t id, const char *project, const char *name)
{
    list *l = self;
    (void)id;
    if (l->project && strcmp(l->project, project) != 0)
        return 0;
    int turn = turn_of(l, project, name);
    if (turn <= 0)
        return turn;
    web_open(l->b, NULL, '{');
    web_str(l->b, "name", name);
    web_str(l->b, "project", project);
    int r = builder_paused(l, project, name);
    web_shut(l->b, '}');
    return r;
}

void web_get_builders(web_req *q)
{
    pw_err err = {0};
    list l;
    if (!begin_names(q, &l))
        return;
    l.project = web_query_get(&q->query, "project");
    end(&l, reader_builders(q->rd, on_builder, &l, &err), &err);
}

static int on_candidate(void *self, uint64_t id, const char *project, const char *name)
{
    web_builder *f = self;
    (void)id;
    if (strcmp(name, f->name) != 0 ||
        (f->project &&
         (strlen(project) != f->project_len || memcmp(project, f->project, f->project_len) != 0)))
        return 0;
    f->n++;
    pw_buf_reset(&f->found);
    (void)pw_buf_adds(&f->found, project);
    (void)pw_buf_addf(&f->candidates, "%s%s/%s", f->n > 1 ? ", " : "", project, name);
    return f->found.failed ? PW_ENOMEM : 0;
}

int web_find_builder(web_req *q, const char *name, const char *project, web_builder *ret)
{
    pw_err err = {0};
    const char *slash = strchr(name, '/');
    *ret = (web_builder){.name = slash ? slash + 1 : name,
                         .project = project,
                         .project_len = project ? strlen(project) : 0};
    if (slash && !project) {
        ret->project = name;
        ret->project_len = (size_t)(slash - name);
    }
    pw_buf_init(&ret->found, 2000);
    pw_buf_init(&ret->candidates, 4000);
    if (reader_builders(q->rd, on_candidate, ret, &err) < 0) {
        web_fail_err(q, &err);
        return -1;
    }
    if (ret->n == 1)
        return 0;
    if (ret->n == 0)
        web_fail(q, 404, "not_found", "there is no builder \"%.200s\"", name);
    else
        web_fail(q, 400, "bad_request", "several projects have a builder \"%.100s\": say %.400s",
                 name, pw_buf_str(&ret->candidates));
    return -1;
}

void web_builder_clear(web_builder *f)
{
    pw_buf_clear(&f->found);
    pw_buf_clear(&f->candidates);
}

void web_get_builder(web_req *q)
{
    PW_AUTO(web_builder_clear) web_builder f = {0};
    if (!web_reader(q) ||
        web_find_builder(q, q->at.param[0], web_query_get(&q->query, "project"), &f) < 0)
        return;
    list l = {.q = q, .b = web_json(q)};
    if (builder_object(&l, pw_buf_str(&f.found), f.name, true) < 0)
        web_fail(q, 500, "internal", "the builder could not be read");
    (void)pw_buf_add(&q->out, "\n", 1);
}

/* ---- projects */
static int project_builder(void *self, uint64_t id, const char *project, const char *name)
{
    list *l = self;
    (void)id;
    if (strcmp(l->project, project) == 0)
        web_str(l->b, NULL, name);
    return 0;
}

static int project_tip(void *self, const char *project, const char *ref, const store_rev *rev)
{
    list *l = self;
    if (strcmp(l->project, project) != 0 || strncmp(ref, "refs/heads/", 11) != 0)
        return 0;
    web_open(l->b, NULL, '{');
    web_str(l->b, "name", ref + 11);
    web_rev(l->b, "revision", rev);
    web_shut(l->b, '}');
    return 0;
}

static int on_project(void *self, uint64_t id, const char *name)
{
    list *l = self;
    list inner = {.q = l->q, .b = l->b, .project = name};
    const config *c = web_req_conf(l->q);
    int turn = turn_of(l, NULL, name);
    if (turn <= 0)
        return turn;
    int64_t at = c ? config_find_project(c, name) : -1;
    web_open(l->b, NULL, '{');
    web_str(l->b, "name", name);
    web_look_put(l->q->web, l->b, id, !c || at >= 0);
    web_open(l->b, "builders", '[');
    int r = reader_builders(l->q->rd, project_builder, &inner, NULL);
    web_shut(l->b, ']');
    web_open(l->b, "branches", '[');
    if (r == 0)
        r = reader_tips(l->q->rd, project_tip, &inner, NULL);
    web_shut(l->b, ']');
    web_str(l->b, "repository", at >= 0 ? c->projects[at].repository : NULL);
    web_shut(l->b, '}');
    return r;
}

void web_get_projects(web_req *q)
{
    pw_err err = {0};
    list l;
    if (begin_names(q, &l))
        end(&l, reader_projects(q->rd, on_project, &l, &err), &err);
}

/* ---- status */
static int count_red(void *self, const reader_latest *r)
{
    list *l = self;
    if ((!l->project || strcmp(l->project, r->project) == 0) &&
        (!l->branch || strcmp(l->branch, r->branch) == 0))
        l->n += pw_result_red(r->result) || r->result == PW_EXCEPTION;
    return 0;
}

static int on_open(void *self, const reader_build *r)
{
    list *l = self;
    web_build(l->b, r, l->q->web->url);
    return 0;
}

static int on_waiting(void *self, const reader_request *r)
{
    list *l = self;
    web_request(l->b, r, r->r.build);
    return 0;
}

static void counts(web_req *q, pw_buf *b)
{
    const web_gauges *g = q->web->gauges;
    if (!g)
        return;
    web_open(b, "builds", '{');
    web_u64(b, "waiting", atomic_load(&g->requests_waiting));
    web_u64(b, "open", atomic_load(&g->builds_open));
    web_shut(b, '}');
    web_open(b, "workers", '{');
    web_u64(b, "known", atomic_load(&g->workers_known));
    web_u64(b, "connected", atomic_load(&g->workers_connected));
    web_u64(b, "slots", atomic_load(&g->slots));
    web_u64(b, "busy", atomic_load(&g->slots_busy));
    web_shut(b, '}');
}

void web_get_status(web_req *q)
{
    pw_err err = {0};
    if (!web_reader(q))
        return;
    list l = {.q = q,
              .b = web_json(q),
              .project = web_query_get(&q->query, "project"),
              .branch = web_query_get(&q->query, "branch")};
    reader_build_filter open = {
        .project = l.project, .branch = l.branch, .result = -1, .limit = WEB_LIMIT_DEFAULT};
    static const build_state states[] = {BUILD_DISPATCHED, BUILD_RUNNING, BUILD_FINISHING};
    web_open(l.b, NULL, '{');
    int r = reader_latest_all(q->rd, count_red, &l, &err);
    web_u64(l.b, "red", l.n);
    web_open(l.b, "items", '[');
    if (r == 0)
        r = reader_latest_all(q->rd, on_latest, &l, &err);
    web_shut(l.b, ']');
    web_open(l.b, "running", '[');
    for (size_t i = 0; i < 3 && r == 0; i++) {
        open.state = (int)states[i];
        r = reader_builds(q->rd, &open, on_open, &l, &err);
    }
    web_shut(l.b, ']');
    web_open(l.b, "waiting", '[');
    if (r == 0)
        r = reader_requests(q->rd, REQ_WAITING, 0, WEB_LIMIT_DEFAULT, on_waiting, &l, &err);
    web_shut(l.b, ']');
    if (r == 0)
        r = web_status_waits(q, l.b, l.project, l.branch, &err);
    web_open(l.b, "promotions", '[');
    if (r == 0)
        r = reader_edges(q->rd, on_edge, &l, &err);
    web_shut(l.b, ']');
    counts(q, l.b);
    web_str(l.b, "version", PW_VERSION);
    web_null(l.b, "next");
    (void)pw_buf_adds(l.b, "}\n");
    if (r < 0)
        web_fail_err(q, &err);
}
