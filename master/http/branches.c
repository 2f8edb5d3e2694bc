/* /branches: how each branch stands, by project and name. What a branch has built is seen in its
 * newest revisions; what it was last known as is a row of each builder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/http/impl.h"
#include "master/store/reader_pages.h"

enum {
    REVISIONS = 50,    /* of a branch, whose builds are looked at */
    BEHIND_MAX = 1000, /* commits that are counted */
    BUILDERS_MAX = 1000
};

typedef enum colour { NONE, GREEN, RUNNING, RED } colour;
static const char *const colours[] = {"none", "green", "running", "red", NULL};

/* One builder on one branch. */
typedef struct column {
    char *name; /* owned */
    reader_brief newest;
    reader_standing last; /* of what was green or red; build 0: nothing was */
    uint64_t streak;
    bool broken; /* the streak is counted */
} column;

typedef struct look {
    web_req *q;
    pw_buf *b;
    const config *conf;
    const char *only; /* branch, NULL any */
    int state;        /* colour, -1 any */
    size_t n, limit;
    bool more;
    const char *project;
    uint64_t project_id;
    column *col; /* owned */
    size_t n_cols;
    char last[2 * 300]; /* the last branch that was shown: PROJECT NUL-less "\n" BRANCH */
    const char *from_project, *from_branch; /* the cursor's; NULL: from the beginning */
    pw_err *err;
} look;

static void columns_clear(look *l)
{
    for (size_t i = 0; i < l->n_cols; i++)
        free(l->col[i].name);
    free(l->col);
    l->col = NULL;
    l->n_cols = 0;
}

/* The configuration may have dropped it; a project's pipeline file may define any. */
static bool shown(const look *l, const char *top)
{
    const config *c = l->conf;
    int64_t p = c ? config_find_project(c, l->project) : -1;
    if (!c || (p >= 0 && c->projects[p].pipeline))
        return true;
    for (size_t i = 0; p >= 0 && i < c->n_builders; i++)
        if (c->builders[i].project == (size_t)p && strcmp(c->builders[i].name, top) == 0)
            return true;
    return false;
}

static column *column_of(look *l, const char *name)
{
    bool failed = false;
    for (size_t i = 0; i < l->n_cols; i++)
        if (strcmp(l->col[i].name, name) == 0)
            return &l->col[i];
    if (l->n_cols == BUILDERS_MAX)
        return NULL;
    if (l->n_cols % 32 == 0) {
        column *v = realloc(l->col, (l->n_cols + 32) * sizeof(*v));
        if (!v)
            return NULL;
        l->col = v;
    }
    column *c = &l->col[l->n_cols];
    *c = (column){.name = pw_strdup(name, &failed)};
    if (failed)
        return NULL;
    l->n_cols++;
    return c;
}

static int on_standing(void *self, const reader_standing *r)
{
    look *l = self;
    column *c = shown(l, r->top) ? column_of(l, r->builder) : NULL;
    if (!c)
        return 0;
    c->last = *r;
    c->last.builder = c->last.top = NULL; /* borrowed: they end with the row */
    return 0;
}

/* Newest first. */
static int on_brief(void *self, const reader_brief *r)
{
    look *l = self;
    column *c = shown(l, r->top) ? column_of(l, r->builder) : NULL;
    if (!c)
        return 0;
    if (!c->newest.id) {
        c->newest = *r;
        c->newest.builder = c->newest.top = NULL;
    }
    if (c->broken || r->state != BUILD_DONE || (unsigned)r->result > PW_FAILURE || !c->last.build)
        return 0;
    if (pw_result_red(r->result) == pw_result_red(c->last.result))
        c->streak++;
    else
        c->broken = true;
    return 0;
}

static colour colour_of(const look *l)
{
    colour all = NONE;
    for (size_t i = 0; i < l->n_cols; i++) {
        const column *c = &l->col[i];
        colour one = c->last.build && pw_result_red(c->last.result)  ? RED
                     : c->newest.id && c->newest.state != BUILD_DONE ? RUNNING
                     : c->last.build                                 ? GREEN
                                                                     : NONE;
        all = one > all ? one : all;
    }
    return all;
}

static void put_column(pw_buf *b, const column *c)
{
    bool red = c->last.build && pw_result_red(c->last.result);
    web_open(b, NULL, '{');
    web_str(b, "builder", c->name);
    web_id(b, "build", c->newest.id ? c->newest.id : c->last.build);
    web_str(b, "state",
            c->newest.id    ? web_build_states[c->newest.state]
            : c->last.build ? web_build_states[BUILD_DONE]
                            : NULL);
    web_result(b, "result", c->newest.id ? c->newest.result : c->last.result);
    web_time(b, "started", c->newest.started);
    web_time(b, "finished", c->newest.id ? c->newest.finished : c->last.finished);
    web_u64(b, "streak", c->last.build ? (c->streak ? c->streak : 1) : 0);
    web_time(b, "red_since", red ? c->last.since_at : 0);
    web_id(b, "first_red", red ? c->last.since : 0);
    if (c->last.build) {
        web_open(b, "last", '{');
        web_u64(b, "build", c->last.build);
        web_result(b, "result", c->last.result);
        web_time(b, "finished", c->last.finished);
        web_shut(b, '}');
    } else {
        web_null(b, "last");
    }
    web_shut(b, '}');
}

/* ---- edges */
static int on_edge(void *self, const char *edge, edge_state state, const store_rev *rev,
                   const char *reason, pw_msec at)
{
    look *l = self;
    (void)edge;
    (void)rev;
    (void)at;
    web_str(l->b, "state", web_edge_state(state));
    web_str(l->b, "reason", reason);
    return state == EDGE_DONE;
}

static bool required(const look *l, const config_promotion *e, const char *name)
{
    if (e->n_builders + e->names.n == 0)
        return true;
    for (size_t i = 0; i < e->n_builders; i++)
        if (strcmp(l->conf->builders[e->builders[i]].name, name) == 0)
            return true;
    for (size_t i = 0; i < e->names.n; i++)
        if (strcmp(e->names.v[i], name) == 0)
            return true;
    return false;
}

/* Those that are red or were never green; when there are none, those that are being built. */
static void held_by(look *l, const config_promotion *e)
{
    bool any = false;
    web_open(l->b, "held_by", '[');
    for (int pass = 0; pass < 2 && !any; pass++)
        for (size_t i = 0; i < l->n_cols; i++) {
            const column *c = &l->col[i];
            bool holds = pass == 0 ? !c->last.build || pw_result_red(c->last.result)
                                   : c->newest.id && c->newest.state != BUILD_DONE;
            if (!holds || !required(l, e, c->name))
                continue;
            any = true;
            web_str(l->b, NULL, c->name);
        }
    web_shut(l->b, ']');
}

static int put_edge(look *l, const config_promotion *e, const char *from)
{
    store_rev rev = {0};
    pw_msec at = 0;
    uint64_t behind = 0;
    int rd = reader_tip(l->q->rd, l->project_id, e->to, &rev, &at, l->err);
    int known = rd == 0 ? reader_behind(l->q->rd, l->project_id, from, &rev, BEHIND_MAX + 1,
                                        &behind, l->err)
                        : rd;
    web_open(l->b, NULL, '{');
    web_str(l->b, "edge", e->name);
    web_str(l->b, "kind", "green");
    web_str(l->b, "from", e->from);
    web_str(l->b, "to", e->to);
    web_rev(l->b, "revision", &rev);
    if (known == 0 && behind <= BEHIND_MAX)
        web_u64(l->b, "behind", behind);
    else
        web_null(l->b, "behind");
    bool done = false;
    int r = reader_edge_one(l->q->rd, e->name, on_edge, l, l->err);
    if (r == PW_ENOTFOUND) {
        web_null(l->b, "state");
        web_null(l->b, "reason");
        r = 0;
    }
    done = rev.n && known == 0 && behind == 0;
    if (done) {
        web_open(l->b, "held_by", '[');
        web_shut(l->b, ']');
    } else {
        held_by(l, e);
    }
    web_shut(l->b, '}');
    return r < 0 ? r : known < 0 && known != PW_ENOTFOUND ? known : 0;
}

static int put_edges(look *l, const char *branch)
{
    const config *c = l->conf;
    int r = 0;
    web_open(l->b, "edges", '[');
    for (size_t i = 0; c && r == 0 && i < c->n_promotions; i++)
        if (strcmp(c->projects[c->promotions[i].project].name, l->project) == 0 &&
            strcmp(c->promotions[i].from, branch) == 0)
            r = put_edge(l, &c->promotions[i], branch);
    web_shut(l->b, ']');
    return r;
}

/* ---- one branch */
/* It is built, or was, or something is promoted to it. */
static bool concerns(const look *l, const char *branch)
{
    const config *c = l->conf;
    int64_t p = c ? config_find_project(c, l->project) : -1;
    if (!c || l->n_cols)
        return true;
    for (size_t i = 0; i < c->n_promotions; i++)
        if (c->promotions[i].project == (size_t)p && strcmp(c->promotions[i].to, branch) == 0)
            return true;
    return p >= 0 && glob_match(c->projects[p].branches, branch);
}

static int put_branch(look *l, const char *branch, const store_rev *rev)
{
    store_rev same;
    pw_msec at = 0;
    int r = reader_branch_latest(l->q->rd, l->project_id, branch, on_standing, l, l->err);
    if (r == 0)
        r = reader_branch_builds(l->q->rd, l->project_id, branch, REVISIONS, on_brief, l, l->err);
    if (r == 0)
        r = reader_tip(l->q->rd, l->project_id, branch, &same, &at, l->err);
    colour c = colour_of(l);
    if (r < 0 || !concerns(l, branch) || (l->state >= 0 && c != (colour)l->state))
        return r;
    if (l->n == l->limit) {
        l->more = true;
        return PW_ELIMIT;
    }
    l->n++;
    (void)snprintf(l->last, sizeof(l->last), "%.255s\n%.255s", l->project, branch);
    web_open(l->b, NULL, '{');
    web_str(l->b, "project", l->project);
    web_str(l->b, "branch", branch);
    web_rev(l->b, "revision", rev);
    web_time(l->b, "at", at);
    web_str(l->b, "state", colours[c]);
    web_open(l->b, "builders", '[');
    for (size_t i = 0; i < l->n_cols; i++)
        put_column(l->b, &l->col[i]);
    web_shut(l->b, ']');
    r = put_edges(l, branch);
    web_shut(l->b, '}');
    return r;
}

static int on_branch(void *self, const char *branch, const store_rev *rev)
{
    look *l = self;
    if (l->only && strcmp(l->only, branch) != 0)
        return 0;
    int r = put_branch(l, branch, rev);
    columns_clear(l);
    return r;
}

static int on_project(void *self, uint64_t id, const char *name)
{
    look *l = self;
    int before = l->from_project ? strcmp(name, l->from_project) : 1;
    const char *only = web_query_get(&l->q->query, "project");
    if (before < 0 || (only && strcmp(only, name) != 0) ||
        (l->conf && config_find_project(l->conf, name) < 0))
        return 0;
    l->project = name;
    l->project_id = id;
    return reader_branches(l->q->rd, id, before == 0 ? l->from_branch : "", on_branch, l, l->err);
}

void web_get_branches(web_req *q)
{
    pw_err err = {0};
    look l = {.q = q, .state = -1, .err = &err, .only = web_query_get(&q->query, "branch")};
    PW_AUTO(pw_freep) char *from = NULL;
    char *line;
    if (web_query_names(&q->query, WEB_LIMIT_DEFAULT, &l.limit, &from, &err) < 0 ||
        web_query_word(&q->query, "state", colours, &l.state, &err) < 0) {
        web_fail_err(q, &err);
        return;
    }
    if (from && (line = strchr(from, '\n'))) {
        *line = '\0';
        l.from_project = from;
        l.from_branch = line + 1;
    }
    if (!web_reader(q))
        return;
    l.conf = web_req_conf(q);
    l.b = web_json(q);
    web_open(l.b, NULL, '{');
    web_open(l.b, "items", '[');
    int r = reader_projects(q->rd, on_project, &l, &err);
    columns_clear(&l);
    if (r < 0 && !l.more) {
        web_fail_err(q, &err);
        return;
    }
    PW_AUTO(pw_freep) char *next = l.more ? web_cursor_names(l.last) : NULL;
    web_shut(l.b, ']');
    web_str(l.b, "next", next);
    (void)pw_buf_adds(l.b, "}\n");
}
