/* Making a build set: who takes part, what is built, which requests that is, and what rides along.
 */
#include "master/core/pipeline.h"
#include "master/store/graph.h"
#include "master/store/sched.h"
#include "master/store/outbox.h"

#include <stdlib.h>
#include <string.h>

#include "master/store/tries.h"

typedef struct making {
    core *self;
    const core_ask *ask;
    uint64_t set, project_row;
    size_t project;
    const pl_builder *def; /* all that there are; `need` are indices here */
    size_t n_defs;
    core_pipe *pipe;        /* they are of this one; NULL: of the configuration */
    uint64_t *row;          /* as def: of a pipeline's builders */
    bool *asked;            /* by name */
    bool *in, *run;         /* who takes part; who of these is built */
    core_member *member;    /* as def */
    core_request **request; /* until the first of them ends */
    size_t n, cap;
    uint64_t first; /* id; those of the others follow it */
} making;

static void making_clear(making *m)
{
    free(m->row);
    free(m->asked);
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
    bool tried = ask->stamp->proposal == CORE_TRIED; /* also what a step of one triggers */
    task_hold hold = !m->run[i]                                     ? HOLD_UNCHANGED
                     : def->manual && !(ask->person && m->asked[i]) ? HOLD_MANUAL
                                                                    : HOLD_NONE;
    store_request row = {.id = self->next_id,
                         .buildset = m->set,
                         .builder = b->row,
                         .stamp = ask->stamp->id,
                         .prio = ask->prio,
                         .created = pw_wall(self->host),
                         .collapse = ask->collapse && def->collapse && m->run[i] && !tried,
                         .props = (uint8_t *)(uintptr_t)ask->props,
                         .props_len = ask->props_len};
    store_task task = {.request = row.id,
                       .stamp = row.stamp,
                       .parent = b->parent,
                       .pipeline = m->pipe ? m->pipe->id : 0,
                       .hold = hold};
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
        ((b->parent || hold || m->pipe) &&
         !core_ok(self, store_task_add(self->st, &task, &err), &err)))
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

static uint64_t row_of(const making *m, size_t i)
{
    return m->pipe ? m->row[i] : m->self->builder[i].row;
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
    pl_file *file = m->pipe ? m->pipe->file : NULL;
    *x = (core_member){def, row_of(m, i), m->n, 1};
    if (!def->n_axes && !def->n_include && !def->shards) {
        core_builder *own =
            file ? core_builder_other(self, x->row, 0, m->project, def->name, def, file)
                 : &self->builder[i];
        return own ? add_request(m, own, i) : (core_nomem(self), false);
    }
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
        core_builder *b = core_builder_other(self, row, x->row, m->project, name, def, file);
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
                     store_verdict(m->self->st, m->project_row, row_of(m, other),
                                   &m->ask->stamp->rev, &result, NULL, &open, &err),
                     &err))
            return false;
        if (!pw_result_green(result, true) && !bring(m, other))
            return false;
    }
    return true;
}

/* Whom the ask names: by place in the configuration, or by name in a file (all, where it names
 * nobody). What a file lacks is left out. */
static void find_asked(making *m)
{
    const core_ask *ask = m->ask;
    const pl_strs *names = ask->names;
    for (size_t i = 0; i < ask->n_builders; i++)
        m->asked[ask->builders[i]] = true;
    for (size_t i = 0; m->pipe && !ask->exact && i < m->n_defs; i++) {
        /* who tries all waits for the end: for what a person must start there would be none */
        bool left_out = ask->stamp->proposal == CORE_TRIED && m->def[i].manual;
        m->asked[i] = (!names || !names->n) && !left_out;
        for (size_t k = 0; names && k < names->n; k++)
            m->asked[i] |= strcmp(names->v[k], m->def[i].name) == 0;
    }
}

static bool choose(making *m)
{
    const core_ask *ask = m->ask;
    const char *files = ask->files;
    find_asked(m);
    for (size_t i = 0; i < m->n_defs; i++)
        if (m->asked[i] && (!ask->person || ask->exact))
            m->in[i] = true;
        else if (m->asked[i] && !bring(m, i))
            return false;
    if (!ask->person)
        pl_close_needs(m->def, m->n_defs, m->in);
    memcpy(m->run, m->in, m->n_defs * sizeof(*m->run));
    if (m->pipe && files && core_pipe_touched(m->pipe, files))
        files = NULL; /* another file: all of it is new */
    pl_select(m->def, m->n_defs, files, m->run);
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

/* Arrays of the definitions, and rows of those of a file. */
static bool prepare(making *m)
{
    core *self = m->self;
    pw_err err = {0};
    m->def = m->pipe ? m->pipe->file->builders : self->conf->builders;
    m->n_defs = m->pipe ? m->pipe->file->n_builders : self->conf->n_builders;
    m->in = calloc(m->n_defs + 1, sizeof(*m->in));
    m->run = calloc(m->n_defs + 1, sizeof(*m->run));
    m->asked = calloc(m->n_defs + 1, sizeof(*m->asked));
    m->row = calloc(m->n_defs + 1, sizeof(*m->row));
    m->member = calloc(m->n_defs + 1, sizeof(*m->member));
    if (!m->in || !m->run || !m->asked || !m->row || !m->member)
        return core_nomem(self), false;
    for (size_t i = 0; m->pipe && i < m->n_defs; i++)
        if (!core_ok(self,
                     store_builder_id(self->st, m->project_row, m->def[i].name, &m->row[i], &err),
                     &err))
            return false;
    return true;
}

static bool any_in(const making *m)
{
    for (size_t i = 0; i < m->n_defs; i++)
        if (m->in[i])
            return true;
    return false;
}

/* ---- where the builders are of a file that is not here yet, or wrong */
static const char PIPELINE[] = "pipeline";

static bool joined(const pl_strs *names, pw_buf *out)
{
    for (size_t i = 0; names && i < names->n; i++)
        (void)pw_buf_addf(out, "%s%s", i ? "\n" : "", names->v[i]);
    return !out->failed;
}

/* A request of builder `pipeline` stands for all of the set. */
static core_request *stand_in(making *m)
{
    core *self = m->self;
    const core_ask *ask = m->ask;
    pw_err err = {0};
    uint64_t row_id = 0;
    PW_AUTO(pw_buf_clearp) pw_buf names = PW_BUF(256 * 1024);
    if (!joined(ask->names, &names)) {
        (void)core_nomem(self);
        return NULL;
    }
    store_request row = {.id = self->next_id,
                         .buildset = m->set,
                         .stamp = ask->stamp->id,
                         .prio = ask->prio,
                         .created = pw_wall(self->host),
                         .props = (uint8_t *)(uintptr_t)ask->props,
                         .props_len = ask->props_len};
    store_task task = {
        .request = row.id, .stamp = row.stamp, .hold = HOLD_READING, .pipeline = m->pipe->id};
    store_asked asked = {.flags = (ask->fail_fast ? ASKED_FAIL_FAST : 0u) |
                                  (ask->person ? ASKED_PERSON : 0u) |
                                  (ask->collapse ? ASKED_COLLAPSE : 0u),
                         .change = ask->change,
                         .names = ask->names && ask->names->n ? pw_buf_str(&names) : NULL,
                         .files = ask->files};
    if (!core_ok(self, store_builder_id(self->st, m->project_row, PIPELINE, &row_id, &err), &err))
        return NULL;
    row.builder = row_id;
    core_builder *b = core_builder_other(self, row_id, 0, m->project, PIPELINE, NULL, NULL);
    if (!b) {
        (void)core_nomem(self);
        return NULL;
    }
    if (!core_ok(self, store_request_add(self->st, &row, &err), &err) ||
        !core_ok(self, store_task_add(self->st, &task, &err), &err) ||
        !core_ok(self, store_asked_add(self->st, row.id, &asked, &err), &err))
        return NULL;
    self->next_id++;
    self->made = 1;
    core_request *r = core_request_new(self, &row, b, core_stamp_ref(ask->stamp), ask->by);
    if (!r)
        return NULL;
    r->hold = HOLD_READING;
    core_note_event(self, EVENT_REQUEST, row.id);
    return core_request_queue(self, r) ? r : NULL;
}

/* It becomes the build that tells what is wrong, in its log. */
static void tell_wrong(core *self, core_request *r, const char *text)
{
    pw_err err = {0};
    uint64_t build = self->next_id;
    PW_AUTO(pw_freep) char *first = strndup(text, strcspn(text, "\n"));
    if (!first) {
        (void)core_nomem(self);
        return;
    }
    if (core_turn(self) && core_ok(self, store_asked_del(self->st, r->id, &err), &err) &&
        core_ok(self, store_remark_add(self->st, build, text, &err), &err))
        core_request_end_as(self, r, PW_FAILURE, first);
}

/* The builders of the file take its place; where the branch was red because of its file, that it is
 * mended is told. */
static void give_way(core *self, core_request *r, uint64_t to)
{
    pw_err err = {0};
    uint64_t build = 0;
    pw_result last = PW_NO_RESULT;
    int code = store_latest_get(self->st, r->builder->row, r->stamp->branch, &build, &last, &err);
    if ((code != PW_ENOTFOUND && !core_ok(self, code, &err)) ||
        !core_ok(self, store_asked_del(self->st, r->id, &err), &err))
        return;
    if (code == 0 && last == PW_FAILURE && !r->stamp->proposal)
        core_request_end_as(self, r, PW_SUCCESS, "its pipeline file can be read again");
    else
        core_request_finish(self, r, to);
}

typedef struct recall {
    store_asked a;
    pl_strs names;
    char *files;
} recall;

static void recall_clear(recall *x)
{
    pl_strs_clear(&x->names);
    free(x->files);
}

static int recall_row(void *p, const store_asked *a)
{
    recall *x = p;
    bool failed = false;
    x->a = *a;
    x->files = pw_strdup(a->files, &failed);
    for (const char *s = a->names; s && *s;) {
        size_t n = strcspn(s, "\n");
        char **v = reallocarray(x->names.v, x->names.n + 1, sizeof(*v));
        if (!v)
            return PW_ENOMEM;
        x->names.v = v;
        if (!(v[x->names.n] = strndup(s, n)))
            return PW_ENOMEM;
        x->names.n++;
        s += n + (s[n] == '\n');
    }
    x->a.names = x->a.files = NULL;
    return failed ? PW_ENOMEM : 0;
}

void core_ask_resume(core *self, core_request *r, core_pipe *p)
{
    PW_AUTO(recall_clear) recall x = {0};
    int code = store_asked_get(self->st, r->id, recall_row, &x, NULL);
    if (code < 0) {
        (void)core_ok(self, code, &(pw_err){.code = code, .text = "what was asked for is gone"});
        return;
    }
    core_ask ask = {.by = r->by,
                    .stamp = r->stamp,
                    .prio = r->prio,
                    .collapse = x.a.flags & ASKED_COLLAPSE,
                    .fail_fast = x.a.flags & ASKED_FAIL_FAST,
                    .person = x.a.flags & ASKED_PERSON,
                    .change = x.a.change,
                    .props = r->props,
                    .props_len = r->props_len,
                    .names = &x.names,
                    .files = x.files};
    PW_AUTO(making_clear)
    making m = {.self = self,
                .ask = &ask,
                .set = r->buildset,
                .project_row = r->stamp->project_row,
                .project = p->project,
                .pipe = p};
    if (!p->file) {
        tell_wrong(self, r, p->errors);
        return;
    }
    if (!core_turn(self) || !prepare(&m) || !choose(&m))
        return;
    if (!any_in(&m)) {
        PW_AUTO(pw_freep)
        char *text = pw_strf("%s:1:1: none of the builders that are asked for is in it\n",
                             self->conf->projects[p->project].pipeline);
        if (text)
            tell_wrong(self, r, text);
        else
            (void)core_nomem(self);
        return;
    }
    m.first = self->next_id;
    if (make(&m))
        give_way(self, r, m.first);
    self->dispatch = true;
}

/* ---- asking */
static bool set_row(making *m)
{
    core *self = m->self;
    const core_ask *ask = m->ask;
    pw_err err = {0};
    if (!core_turn(self) ||
        !core_ok(self,
                 store_buildset_add(self->st, m->set, ask->scheduler, ask->reason, ask->who,
                                    ask->stamp->id, pw_wall(self->host), &err),
                 &err) ||
        (ask->retry_of &&
         !core_ok(self, store_buildset_retry(self->st, m->set, ask->retry_of, &err), &err)) ||
        (ask->stamp->proposal == CORE_TRIED &&
         !core_ok(self, store_try_set(self->st, ask->stamp->id, m->set, &err), &err)))
        return false;
    self->next_buildset++;
    return !ask->parent ||
           core_ok(self, store_buildset_parent(self->st, m->set, ask->parent, &err), &err);
}

uint64_t core_ask_builds(core *self, const core_ask *ask, uint64_t *ret_ids)
{
    PW_AUTO(making_clear)
    making m = {.self = self,
                .ask = ask,
                .set = self->next_buildset,
                .project_row = ask->stamp->project_row};
    int64_t project = core_project_by_row(self, m.project_row);
    m.project = project < 0 ? SIZE_MAX : (size_t)project;
    self->made = 0;
    if (!set_row(&m))
        return 0;
    m.first = self->next_id;
    if (project >= 0 && self->conf->projects[project].pipeline &&
        !(m.pipe = core_pipe_open(self, m.project, &ask->stamp->rev, true)))
        return 0;
    if (m.pipe && !m.pipe->file && !ask->exact) {
        core_request *r = stand_in(&m);
        if (!r)
            return 0;
        for (size_t i = 0; ret_ids && i < ask->n_builders; i++)
            ret_ids[i] = m.first;
        if (!m.pipe->wanted)
            tell_wrong(self, r, m.pipe->errors);
        core_pipelines_tick(self);
        return m.set;
    }
    if (!prepare(&m) || !choose(&m))
        return 0;
    if (m.pipe && !any_in(&m)) {
        core_request *r = stand_in(&m);
        if (r)
            core_ask_resume(self, r, m.pipe);
        return r ? m.set : 0;
    }
    if (!make(&m))
        return 0;
    for (size_t i = 0; ret_ids && i < ask->n_builders; i++)
        ret_ids[i] = m.first + m.member[ask->builders[i]].first;
    self->dispatch = true;
    return m.set;
}
