/* Schedulers, forms of forced builds, what is paused and what is held. Schedulers are the
 * configuration's; what people did to them is rows. */
#include <string.h>

#include "master/http/impl.h"
#include "master/store/sched.h"

typedef struct waits {
    pw_buf *b;
    store_pausable kind;
    const char *name;             /* one that is looked for; NULL: all */
    const char *project, *branch; /* filters; NULL: any */
    bool found;
} waits;

/* ---- pauses */
static void pause_fields(pw_buf *b, const store_paused *p)
{
    web_str(b, "reason", p->reason);
    web_str(b, "who", p->who);
    web_time(b, "at", p->at);
    web_shut(b, '}');
}

static int on_one(void *self, const store_paused *p)
{
    waits *w = self;
    if (w->found || p->kind != w->kind || strcmp(p->name, w->name) != 0)
        return 0;
    w->found = true;
    web_open(w->b, "paused", '{');
    pause_fields(w->b, p);
    return 0;
}

int web_paused(web_req *q, pw_buf *b, store_pausable kind, const char *name, pw_err *err)
{
    waits w = {.b = b, .kind = kind, .name = name};
    int r = reader_paused(q->rd, on_one, &w, err);
    if (!w.found)
        web_null(b, "paused");
    return r;
}

static int on_paused(void *self, const store_paused *p)
{
    waits *w = self;
    web_open(w->b, NULL, '{');
    web_str(w->b, "kind", p->kind == PAUSED_BUILDER ? "builder" : "scheduler");
    web_str(w->b, "name", p->name);
    pause_fields(w->b, p);
    return 0;
}

static int on_held(void *self, const reader_held *h)
{
    waits *w = self;
    if ((w->project && strcmp(w->project, h->project) != 0) ||
        (w->branch && strcmp(w->branch, h->branch) != 0))
        return 0;
    web_open(w->b, NULL, '{');
    web_str(w->b, "project", h->project);
    web_str(w->b, "branch", h->branch);
    web_held(w->b, "reason", h->since, NULL);
    web_u64(w->b, "build", h->since);
    web_u64(w->b, "requests", h->requests);
    web_time(w->b, "oldest", h->oldest);
    web_shut(w->b, '}');
    return 0;
}

int web_status_waits(web_req *q, pw_buf *b, const char *project, const char *branch, pw_err *err)
{
    waits w = {.b = b, .project = project, .branch = branch};
    web_open(b, "held", '[');
    int r = reader_held_all(q->rd, on_held, &w, err);
    web_shut(b, ']');
    web_open(b, "paused", '[');
    if (r == 0)
        r = reader_paused(q->rd, on_paused, &w, err);
    web_shut(b, ']');
    return r;
}

/* ---- forms */
static void parameter(pw_buf *b, const config_param *p)
{
    web_open(b, NULL, '{');
    web_str(b, "name", p->name);
    web_str(b, "type", config_param_types[p->type]);
    web_str(b, "label", p->label);
    web_str(b, "default", p->fallback);
    web_bool(b, "required", p->required);
    if (p->type == PARAM_CHOICE) {
        web_open(b, "choices", '[');
        for (size_t i = 0; i < p->choices.n; i++)
            web_str(b, NULL, p->choices.v[i]);
        web_shut(b, ']');
    } else {
        web_null(b, "choices");
    }
    web_shut(b, '}');
}

static void parameters(pw_buf *b, const config_scheduler *s)
{
    if (!s->has_params) {
        web_null(b, "parameters");
        return;
    }
    web_open(b, "parameters", '[');
    for (size_t i = 0; i < s->n_params; i++)
        parameter(b, &s->params[i]);
    web_shut(b, ']');
}

void web_forms(web_req *q, pw_buf *b, const char *project, const char *builder)
{
    const config *c = web_req_conf(q);
    web_open(b, "force", '[');
    for (size_t i = 0; c && i < c->n_schedulers; i++) {
        const config_scheduler *s = &c->schedulers[i];
        bool of = false;
        for (size_t k = 0; k < s->n_builders; k++)
            of |= strcmp(c->builders[s->builders[k]].name, builder) == 0;
        if (s->kind != SCHED_FORCE || !of || strcmp(c->projects[s->project].name, project) != 0)
            continue;
        web_open(b, NULL, '{');
        web_str(b, "scheduler", s->name);
        parameters(b, s);
        web_shut(b, '}');
    }
    web_shut(b, ']');
}

/* ---- schedulers */
static void duration(pw_buf *b, const char *key, pw_usec v)
{
    if (v)
        web_i64(b, key, v / 1000);
    else
        web_null(b, key);
}

static int scheduler(web_req *q, pw_buf *b, const config *c, const config_scheduler *s, pw_err *err)
{
    web_open(b, NULL, '{');
    web_str(b, "name", s->name);
    web_str(b, "kind", config_sched_kinds[s->kind]);
    web_str(b, "project", c->projects[s->project].name);
    web_open(b, "builders", '[');
    for (size_t i = 0; i < s->n_builders; i++)
        web_str(b, NULL, c->builders[s->builders[i]].name);
    web_shut(b, ']');
    web_i64(b, "priority", s->priority);
    web_str(b, "after", s->kind == SCHED_DEPENDENT ? c->schedulers[s->after].name : NULL);
    web_bool(b, "testfix", s->testfix);
    web_str(b, "supersede", config_supersedes[s->supersede]);
    web_str(b, "cron", s->cron_text);
    web_str(b, "zone", s->zone_name);
    duration(b, "every_ms", s->every);
    duration(b, "quiet_ms", s->quiet);
    web_str(b, "branch", s->branch);
    parameters(b, s);
    int r = web_paused(q, b, PAUSED_SCHEDULER, s->name, err);
    web_shut(b, '}');
    return r;
}

/* By name; NULL: there is none behind that one. */
static const config_scheduler *next_scheduler(const config *c, const char *project,
                                              const char *after)
{
    const config_scheduler *next = NULL;
    for (size_t i = 0; c && i < c->n_schedulers; i++) {
        const config_scheduler *s = &c->schedulers[i];
        if ((!project || strcmp(project, c->projects[s->project].name) == 0) &&
            (!after || strcmp(s->name, after) > 0) && (!next || strcmp(s->name, next->name) < 0))
            next = s;
    }
    return next;
}

void web_get_schedulers(web_req *q)
{
    pw_err err = {0};
    size_t limit;
    PW_AUTO(pw_freep) char *after = NULL;
    PW_AUTO(pw_freep) char *next = NULL;
    int r = web_query_names(&q->query, WEB_LIMIT_MAX, &limit, &after, &err);
    if (r < 0) {
        web_fail_err(q, &err);
        return;
    }
    const config *c = web_req_conf(q);
    const char *project = web_query_get(&q->query, "project"), *last = after;
    const config_scheduler *s;
    if (!web_reader(q))
        return;
    pw_buf *b = web_json(q);
    web_open(b, NULL, '{');
    web_open(b, "items", '[');
    while (r == 0 && (s = next_scheduler(c, project, last)) && limit-- > 0) {
        r = scheduler(q, b, c, s, &err);
        last = s->name;
    }
    if (r == 0 && s && !(next = web_cursor_names(last)))
        r = pw_fail(&err, PW_ENOMEM, "out of memory");
    web_shut(b, ']');
    web_str(b, "next", next);
    (void)pw_buf_adds(b, "}\n");
    if (r < 0)
        web_fail_err(q, &err);
}
