/* Build sets whose builders need each other. What waits for another one is outside of the queues;
 * what becomes possible when a request ends is settled before the turn's commit, so that rows never
 * say that a need is over and nobody noticed. Edges are rows while the set is open; all else of a
 * set is found in its requests. */
#include "master/core/parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "master/core/graph_rule.h"
#include "master/store/graph.h"

core_set *core_set_free(core_set *s)
{
    for (size_t i = 0; s && i < s->n; i++) {
        free(s->group[i].name);
        free(s->group[i].need);
    }
    if (s)
        free(s->group);
    free(s);
    return NULL;
}

static void touch(core *self, core_set *s)
{
    if (s->touched)
        return;
    s->touched = true;
    s->next_touched = self->touched;
    self->touched = s;
}

static core_set *set_new(core *self, uint64_t id, bool fail_fast)
{
    pw_err err = {0};
    core_set *s = calloc(1, sizeof(*s));
    if (!s || pw_table_put(self->sets, id, s, &err) < 0) {
        free(s);
        (void)core_nomem(self);
        return NULL;
    }
    s->id = id;
    s->fail_fast = fail_fast;
    return s;
}

static core_group *group_add(core *self, core_set *s, uint64_t row, const char *name)
{
    bool failed = false;
    core_group *v = reallocarray(s->group, s->n + 1, sizeof(*v));
    if (v)
        s->group = v;
    char *copy = pw_strdup(name, &failed);
    if (!v || failed) {
        free(copy);
        (void)core_nomem(self);
        return NULL;
    }
    v[s->n] = (core_group){.row = row, .name = copy, .worst = PW_NO_RESULT};
    return &v[s->n++];
}

static size_t group_find(const core_set *s, uint64_t row)
{
    size_t i = 0;
    while (i < s->n && s->group[i].row != row)
        i++;
    return i;
}

static bool group_needs(core *self, core_group *g, size_t other)
{
    size_t *v = reallocarray(g->need, g->n_need + 1, sizeof(*v));
    if (!v) {
        (void)core_nomem(self);
        return false;
    }
    g->need = v;
    v[g->n_need++] = other;
    return true;
}

static void attach(core_set *s, size_t group, core_request *r)
{
    core_group *g = &s->group[group];
    r->set = s;
    r->group = group;
    r->next = g->request;
    g->request = r;
    g->open++;
    s->open++;
    if (r->builder->conf)
        g->always_run = r->builder->conf->always_run;
}

/* ---- making */
bool core_set_make(core *self, uint64_t id, bool fail_fast, const core_member *member, size_t n,
                   core_request *const *request)
{
    pw_err err = {0};
    if (!core_ok(self, store_graph_add(self->st, id, fail_fast, &err), &err))
        return false;
    core_set *s = set_new(self, id, fail_fast);
    PW_AUTO(pw_freep) size_t *at = calloc(n + 1, sizeof(*at));
    if (!s || !at)
        return core_nomem(self), false;
    for (size_t i = 0; i < n; i++) {
        if (!member[i].n)
            continue;
        at[i] = s->n;
        const store_need row = {member[i].row, 0, !member[i].def->required};
        core_group *g = group_add(self, s, member[i].row, member[i].def->name);
        if (!g || !core_ok(self, store_need_add(self->st, id, &row, &err), &err))
            return false;
        g->optional = row.optional;
    }
    for (size_t i = 0; i < n; i++) {
        const pl_builder *def = member[i].def;
        for (size_t k = 0; member[i].n && k < def->needs.n; k++) {
            const core_member *other = &member[def->need[k]];
            const store_need row = {member[i].row, other->row, false};
            if (other->n && (!group_needs(self, &s->group[at[i]], at[def->need[k]]) ||
                             !core_ok(self, store_need_add(self->st, id, &row, &err), &err)))
                return false;
        }
        for (size_t k = 0; k < member[i].n; k++) {
            core_request *r = request[member[i].first + k];
            attach(s, at[i], r);
            r->needs = r->hold != HOLD_UNCHANGED && s->group[at[i]].n_need > 0;
            if (!core_request_queue(self, r))
                return false;
        }
    }
    touch(self, s);
    return true;
}

/* ---- ending */
static void note_end(core_group *g, pw_result result, bool unchanged)
{
    if (graph_good(result, unchanged) || (g->bad && g->worst == PW_FAILURE))
        return;
    g->bad = true;
    g->worst = result;
}

void core_set_over(core *self, core_request *r, uint64_t rode_with)
{
    core_set *s = r->set;
    core_group *g = &s->group[r->group];
    core_request **at = &g->request;
    while (*at && *at != r)
        at = &(*at)->next;
    if (*at)
        *at = r->next;
    r->set = NULL;
    g->open--;
    s->open--;
    note_end(g, rode_with ? PW_NO_RESULT : r->result, r->hold == HOLD_UNCHANGED);
    touch(self, s);
}

/* ---- settling */
static graph_turn turn_of(core *self, const core_set *s, const core_group *g, size_t *ret_which)
{
    PW_AUTO(pw_freep) graph_need *need = calloc(g->n_need + 1, sizeof(*need));
    if (!need) {
        (void)core_nomem(self);
        return GRAPH_WAIT;
    }
    for (size_t i = 0; i < g->n_need; i++)
        need[i] = (graph_need){s->group[g->need[i]].open > 0, s->group[g->need[i]].bad};
    return graph_decide(g->always_run, need, g->n_need, ret_which);
}

/* The next request of the group that nobody began; NULL. */
static core_request *unbegun(const core_group *g)
{
    core_request *r = g->request;
    while (r && (r->build || !r->needs))
        r = r->next;
    return r;
}

static void settle_group(core *self, core_set *s, core_group *g)
{
    size_t which = 0;
    core_request *r = unbegun(g);
    graph_turn turn = r ? turn_of(self, s, g, &which) : GRAPH_WAIT;
    if (turn == GRAPH_WAIT)
        return;
    const core_group *by = &s->group[turn == GRAPH_SKIP ? g->need[which] : 0];
    PW_AUTO(pw_freep) char *reason = pw_strf("needs %s, which %s", by->name, graph_word(by->worst));
    if (!reason) {
        (void)core_nomem(self);
        return;
    }
    for (; r && !self->fault.code; r = unbegun(g)) {
        r->needs = false;
        if (turn == GRAPH_SKIP)
            core_request_end_as(self, r, PW_SKIPPED, reason);
        else
            (void)core_request_queue(self, r);
    }
}

/* One red builder ends its siblings. What cleans up stays. */
static void fail_fast(core *self, core_set *s)
{
    const core_group *red = NULL;
    for (size_t i = 0; i < s->n && !red; i++)
        if (s->group[i].bad && s->group[i].worst == PW_FAILURE && !s->group[i].optional)
            red = &s->group[i];
    if (!red)
        return;
    PW_AUTO(pw_freep) char *reason = pw_strf("%s failed, and fail_fast ends the others", red->name);
    if (!reason) {
        (void)core_nomem(self);
        return;
    }
    for (size_t i = 0; i < s->n; i++) {
        core_group *g = &s->group[i];
        while (!g->always_run && g->request && !self->fault.code) {
            if (g->request->build)
                core_build_cancel(self, g->request->build, reason);
            else
                core_request_end(self, g->request, reason);
        }
    }
}

void core_sets_settle(core *self)
{
    core_set *s;
    pw_err err = {0};
    while ((s = self->touched) && !self->fault.code && core_turn(self)) {
        self->touched = s->next_touched;
        s->touched = false;
        if (s->open) {
            if (s->fail_fast)
                fail_fast(self, s);
            for (size_t i = 0; i < s->n && !self->fault.code; i++)
                settle_group(self, s, &s->group[i]);
        } else if (core_ok(self, store_graph_del(self->st, s->id, &err), &err)) {
            (void)pw_table_del(self->sets, s->id);
            (void)core_set_free(s);
        }
    }
}

/* ---- riding with a newer set */
/* A request may ride when all that needs it does, too: else somebody would wait for it for ever.
 * c: requests of the set that a newer one could take along (into). */
size_t core_set_riders(core *self, const core_set *s, core_request **c, size_t n)
{
    PW_AUTO(pw_freep) size_t *can = calloc(s->n + 1, sizeof(*can));
    PW_AUTO(pw_freep) bool *stay = calloc(s->n + 1, sizeof(*stay));
    if (!can || !stay) {
        (void)core_nomem(self);
        return 0;
    }
    for (size_t i = 0; i < n; i++)
        can[c[i]->group]++;
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < s->n; i++) {
            const core_group *g = &s->group[i];
            bool wholly = !g->open || (can[i] == g->open && !stay[i]);
            for (size_t k = 0; k < g->n_need && !wholly; k++) {
                more |= !stay[g->need[k]];
                stay[g->need[k]] = true;
            }
        }
    }
    size_t riders = 0;
    for (size_t i = 0; i < n; i++)
        if (!stay[c[i]->group])
            c[riders++] = c[i];
    return riders;
}

/* ---- loading */
typedef struct load {
    core *self;
    core_set *set;
} load;

static int load_part(void *p, const store_need *n)
{
    load *l = p;
    PW_AUTO(pw_buf_clearp) pw_buf name = PW_BUF(1000);
    uint64_t project, parent;
    if (n->needs)
        return 0;
    int r = store_builder_row(l->self->st, n->builder, &project, &parent, &name, NULL);
    core_group *g = r < 0 ? NULL : group_add(l->self, l->set, n->builder, pw_buf_str(&name));
    if (!g)
        return r < 0 ? r : PW_ENOMEM;
    g->optional = n->optional;
    return 0;
}

static int load_edge(void *p, const store_need *n)
{
    load *l = p;
    core_set *s = l->set;
    if (!n->needs)
        return 0;
    size_t a = group_find(s, n->builder), b = group_find(s, n->needs);
    if (a == s->n || b == s->n)
        return PW_ECORRUPT;
    return group_needs(l->self, &s->group[a], b) ? 0 : PW_ENOMEM;
}

static int load_member(void *p, const store_member *m)
{
    load *l = p;
    size_t i = group_find(l->set, m->parent ? m->parent : m->builder);
    if (i == l->set->n)
        return 0;
    core_group *g = &l->set->group[i];
    core_request *r = pw_table_get(l->self->requests, m->request);
    if (m->state == REQ_DONE || !r) {
        note_end(g, m->build ? m->result : PW_NO_RESULT, m->hold == HOLD_UNCHANGED);
        return 0;
    }
    attach(l->set, i, r);
    r->needs = !r->build && g->n_need > 0;
    return core_request_queue(l->self, r) ? 0 : PW_ENOMEM;
}

static int load_graph(void *p, uint64_t buildset, bool fail)
{
    core_set *s = set_new(p, buildset, fail);
    if (s)
        touch(p, s);
    return s ? 0 : PW_ENOMEM;
}

int core_sets_load(core *self, pw_err *err)
{
    int r = store_graphs(self->st, load_graph, self, err);
    for (core_set *s = self->touched; s && r >= 0; s = s->next_touched) {
        load l = {self, s};
        if ((r = store_needs(self->st, s->id, load_part, &l, err)) >= 0 &&
            (r = store_needs(self->st, s->id, load_edge, &l, err)) >= 0)
            r = store_set_requests(self->st, s->id, load_member, &l, err);
    }
    return r < 0 ? r : 0;
}

/* ---- in words */
bool core_why_held(const core *self, const core_request *r, pw_buf *text)
{
    const core_group *g = r->set ? &r->set->group[r->group] : NULL;
    for (size_t i = 0; r->needs && g && i < g->n_need; i++) {
        const core_group *on = &r->set->group[g->need[i]];
        const core_request *x = on->request;
        while (x && !x->build && x->next)
            x = x->next; /* one that is begun says more */
        if (!x)
            continue;
        (void)pw_buf_addf(text, "waiting for builder %s (%s %" PRIu64 ", %s)", on->name,
                          x->build ? "build" : "request", x->build ? x->build->id : x->id,
                          !x->build        ? "waiting"
                          : x->build->live ? "running"
                                           : "waiting");
        return true;
    }
    if (r->hold == HOLD_READING)
        core_pipeline_why(self, r, text);
    else if (r->hold == HOLD_MANUAL)
        (void)pw_buf_addf(text, "needs start by a person: pawl start %" PRIu64, r->id);
    return r->hold != HOLD_NONE;
}
