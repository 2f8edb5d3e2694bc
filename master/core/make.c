/* Making a build set: who takes part, what is built, which requests that is, and what rides along.
 */
#include "master/core/model.h"

#include <stdlib.h>
#include <string.h>

typedef struct making {
    core *self;
    const core_ask *ask;
    uint64_t set, project_row;
    size_t project;
    const pl_builder *def; /* all that there are; `need` are indices here */
    size_t n_defs;
    pl_file *file;          /* they are of this one; NULL: of the configuration */
    bool *in, *run;         /* who takes part; who of these is built */
    core_member *member;    /* as def */
    core_request **request; /* until the first of them ends */
    size_t n, cap;
    uint64_t first; /* id; those of the others follow it */
} making;

static void making_clear(making *m)
{
    free(m->in);
    free(m->run);
    free(m->member);
    free(m->request);
}

/* What nobody changed follows what it was before. Its row is complete when the set is. */
static bool add_request(making *m, core_builder *b, size_t i)
{
    core *self = m->self;
    const core_ask *ask = m->ask;
    const pl_builder *def = &m->def[i];
    pw_err err = {0};
    bool asked = false;
    for (size_t k = 0; k < ask->n_builders; k++)
        asked |= !m->file && ask->builders[k] == i;
    task_hold hold = !m->run[i]                               ? HOLD_UNCHANGED
                     : def->manual && !(ask->person && asked) ? HOLD_MANUAL
                                                              : HOLD_NONE;
    store_request row = {.id = self->next_id,
                         .buildset = m->set,
                         .builder = b->row,
                         .stamp = ask->stamp->id,
                         .prio = ask->prio,
                         .created = pw_wall(self->host),
                         .collapse = ask->collapse && def->collapse && m->run[i],
                         .props = (uint8_t *)(uintptr_t)ask->props,
                         .props_len = ask->props_len};
    store_task task = {.request = row.id, .stamp = row.stamp, .parent = b->parent, .hold = hold};
    if (hold == HOLD_UNCHANGED &&
        !core_ok(self,
                 store_follows(self->st, b->row, row.id, ask->stamp->branch, &task.follows, &err),
                 &err))
        return false;
    if (m->n == m->cap) {
        size_t cap = m->cap ? 2 * m->cap : 16;
        core_request **v = reallocarray(m->request, cap, sizeof(*v));
        if (!v)
            return core_nomem(self), false;
        m->request = v;
        m->cap = cap;
    }
    if (!core_ok(self, store_request_add(self->st, &row, &err), &err) ||
        ((b->parent || hold) && !core_ok(self, store_task_add(self->st, &task, &err), &err)))
        return false;
    self->next_id++;
    core_request *r = core_request_new(self, &row, b, core_stamp_ref(ask->stamp),
                                       hold == HOLD_UNCHANGED ? NULL : ask->by);
    if (!r)
        return false;
    r->hold = hold;
    r->gated = ask->gated && hold != HOLD_UNCHANGED;
    r->change = ask->change;
    self->n_gated += r->gated;
    m->request[m->n++] = r;
    core_note_event(self, EVENT_REQUEST, row.id);
    return core_request_queue(self, r);
}

static bool wanted(const core_ask *ask, uint64_t row)
{
    bool in = !ask->n_rows;
    for (size_t i = 0; i < ask->n_rows; i++)
        in |= ask->rows[i] == row;
    return in;
}

static bool add_builder(making *m, size_t i)
{
    core *self = m->self;
    const pl_builder *def = &m->def[i];
    core_member *x = &m->member[i];
    pl_instances all;
    pw_err err = {0};
    *x = (core_member){def, self->builder[i].row, m->n, 1};
    if (!def->n_axes && !def->n_include && !def->shards)
        return add_request(m, &self->builder[i], i);
    if (!core_ok(self, pl_expand(def, &all, &err), &err))
        return false;
    bool good = true;
    for (size_t k = 0; good && k < all.n; k++) {
        uint64_t row = 0;
        const char *name = all.v[k].name;
        good = core_ok(self, store_builder_part(self->st, m->project_row, x->row, name, &row, &err),
                       &err);
        if (!good || !wanted(m->ask, row))
            continue;
        core_builder *b = core_builder_other(self, row, x->row, m->project, name, def, m->file);
        good = b ? add_request(m, b, i) : (core_nomem(self), false);
    }
    x->n = m->n - x->first;
    pl_instances_clear(&all);
    return good;
}

/* What a person asks for brings along what it needs, but for what is green there. */
static bool bring(making *m, size_t i)
{
    const pl_builder *def = &m->def[i];
    pw_err err = {0};
    m->in[i] = true;
    for (size_t k = 0; k < def->needs.n; k++) {
        size_t other = def->need[k];
        pw_result result;
        bool open;
        if (m->in[other])
            continue;
        if (!core_ok(m->self,
                     store_verdict(m->self->st, m->project_row, m->self->builder[other].row,
                                   &m->ask->stamp->rev, &result, NULL, &open, &err),
                     &err))
            return false;
        if (!pw_result_green(result, true) && !bring(m, other))
            return false;
    }
    return true;
}

static bool choose(making *m)
{
    const core_ask *ask = m->ask;
    for (size_t i = 0; i < ask->n_builders; i++)
        if (!ask->person || ask->exact)
            m->in[ask->builders[i]] = true;
        else if (!bring(m, ask->builders[i]))
            return false;
    if (!ask->person)
        pl_close_needs(m->def, m->n_defs, m->in);
    memcpy(m->run, m->in, m->n_defs * sizeof(*m->run));
    pl_select(m->def, m->n_defs, ask->files, m->run);
    return true;
}

/* One rides with the other: whichever was of an older change, or came earlier. */
static void ride(core *self, core_request *r)
{
    core_request *into = pw_table_get(self->requests, r->into);
    if (into && r->id < into->id)
        core_testfix_merge(self, into, r);
    core_request_finish(self, r, r->into);
}

/* Requests that could ride, and are of sets in which one needs the other: each set is looked at
 * once, with all of its own. */
static void ride_in_sets(core *self, core_request **c, size_t n)
{
    PW_AUTO(pw_freep) core_request **own = calloc(n + 1, sizeof(core_request *));
    if (!own) {
        (void)core_nomem(self);
        return;
    }
    for (size_t i = 0; i < n && !self->fault.code; i++) {
        size_t k = 0;
        for (size_t j = i; c[i] && j < n; j++)
            if (c[j] && c[j]->set == c[i]->set)
                own[k++] = c[j];
        for (size_t j = i + 1; c[i] && j < n; j++)
            if (c[j] && c[j]->set == c[i]->set)
                c[j] = NULL;
        k = k ? core_set_riders(self, own[0]->set, own, k) : 0;
        for (size_t j = 0; j < k && !self->fault.code; j++)
            ride(self, own[j]);
    }
}

/* The waiting request of the same builder, branch and properties rides with the new one, or the new
 * one with it when that is of an older change. Each arrival takes the place of the one before. */
static bool collapse(making *m)
{
    core *self = m->self;
    pw_err err = {0};
    PW_AUTO(pw_freep) core_request **c = calloc(m->n + 1, sizeof(core_request *));
    size_t n = 0;
    if (!c)
        return core_nomem(self), false;
    for (size_t i = 0; i < m->n; i++) {
        core_request *q = pw_table_get(self->requests, m->first + i);
        core_request *r = q && q->merge ? pw_table_get(self->mergeable, q->merge) : NULL;
        if (r && (r == q || !core_request_waits(r) || !core_request_mergeable(r, q)))
            r = NULL;
        bool late = r && core_request_late(self, q, r);
        core_request *who = late ? q : r;
        if (q && q->merge && !late &&
            !core_ok(self, pw_table_put(self->mergeable, q->merge, q, &err), &err))
            return false;
        if (!who)
            continue;
        who->into = late ? r->id : q->id;
        if (who->set)
            c[n++] = who;
        else
            ride(self, who);
    }
    ride_in_sets(self, c, n);
    return !self->fault.code;
}

/* What a red branch holds, and what the new ones cancel; each may be gone when its turn comes. */
static void settle_new(making *m)
{
    core *self = m->self;
    for (size_t i = 0; i < m->n && !self->fault.code; i++) {
        core_request *r = pw_table_get(self->requests, m->first + i);
        if (!r)
            continue;
        if (r->hold == HOLD_UNCHANGED) {
            core_request_end_as(self, r, PW_SKIPPED, "nothing that it depends on changed");
            continue;
        }
        core_testfix_new(self, r);
        core_supersede(self, r);
    }
}

static bool make(making *m)
{
    core *self = m->self;
    bool graph = m->ask->fail_fast;
    /* in the order in which they were asked for, then what these need */
    for (size_t i = 0; i < m->ask->n_builders; i++)
        if (!add_builder(m, m->ask->builders[i]))
            return false;
    for (size_t i = 0; i < m->n_defs; i++) {
        if (m->in[i] && !m->member[i].def && !add_builder(m, i))
            return false;
        for (size_t k = 0; m->in[i] && k < m->def[i].needs.n; k++)
            graph |= m->in[m->def[i].need[k]];
    }
    self->made = m->n;
    if (graph && !core_set_make(self, m->set, m->ask->fail_fast, m->member, m->n_defs, m->request))
        return false;
    if (!collapse(m))
        return false;
    settle_new(m);
    return !self->fault.code;
}

uint64_t core_ask_builds(core *self, const core_ask *ask, uint64_t *ret_ids)
{
    pw_err err = {0};
    pw_msec now = pw_wall(self->host);
    PW_AUTO(making_clear)
    making m = {.self = self,
                .ask = ask,
                .set = self->next_buildset,
                .project_row = ask->stamp->project_row,
                .def = self->conf->builders,
                .n_defs = self->conf->n_builders};
    int64_t project = core_project_by_row(self, m.project_row);
    m.project = project < 0 ? SIZE_MAX : (size_t)project;
    self->made = 0;
    if (!core_turn(self) ||
        !core_ok(self,
                 store_buildset_add(self->st, m.set, ask->scheduler, ask->reason, ask->who,
                                    ask->stamp->id, now, &err),
                 &err) ||
        (ask->retry_of &&
         !core_ok(self, store_buildset_retry(self->st, m.set, ask->retry_of, &err), &err)))
        return 0;
    self->next_buildset++;
    if (ask->parent &&
        !core_ok(self, store_buildset_parent(self->st, m.set, ask->parent, &err), &err))
        return 0;
    m.in = calloc(m.n_defs + 1, sizeof(*m.in));
    m.run = calloc(m.n_defs + 1, sizeof(*m.run));
    m.member = calloc(m.n_defs + 1, sizeof(*m.member));
    if (!m.in || !m.run || !m.member) {
        (void)core_nomem(self);
        return 0;
    }
    m.first = self->next_id;
    if (!choose(&m) || !make(&m))
        return 0;
    for (size_t i = 0; ret_ids && i < ask->n_builders; i++)
        ret_ids[i] = m.first + m.member[ask->builders[i]].first;
    self->dispatch = true;
    return m.set;
}
