/* Steps that trigger. What a step asks for is made in the turn that applies its record, and a row
 * of (build, step) says so: a record that comes again, and a later attempt of the same build, find
 * the row and take over what it names (rules 6.4). What the step is to hear is made from rows
 * whenever it is said. */
#include "master/core/parts.h"
#include "master/store/sched.h"
#include "master/store/trigger.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/fault.h"
#include "shared/base/log.h"
#include "shared/base/num.h"

enum { LISTED = 20, TEXT_ROOM = 3500, ALL = 1000000 };

core_wait *core_waiter(const core *self, const core_request *r)
{
    return r->waited ? pw_table_get(self->waits, r->waited) : NULL;
}

/* ---- what a step hears */
typedef struct telling {
    const core *self;
    pw_buf *text;
    size_t n;
    bool over;
} telling;

static int add_build(void *p, const store_set_build *b)
{
    telling *t = p;
    const char *url = t->self->conf->web_url;
    char link[40] = "";
    if (url)
        (void)snprintf(link, sizeof(link), "/builds/%" PRIu64, b->build);
    if (b->rode || t->n++ >= LISTED || t->text->len > TEXT_ROOM)
        return 0;
    (void)pw_buf_addf(t->text, "\n%s: ", b->builder);
    if (!b->build)
        (void)pw_buf_addf(t->text, "request %" PRIu64 "%s", b->request,
                          b->open ? "" : ", which ended without a build");
    else
        (void)pw_buf_addf(t->text, "build %" PRIu64 "%s%s%s%s%s", b->build,
                          b->result == PW_NO_RESULT ? "" : ": ",
                          b->result == PW_NO_RESULT ? "" : pw_result_name(b->result),
                          url ? ", " : "", url ? url : "", link);
    return 0;
}

static void list_builds(core *self, uint64_t set, pw_buf *text)
{
    telling t = {.self = self, .text = text};
    pw_err err = {0};
    if (core_ok(self, store_triggered_builds(self->st, set, 1000, add_build, &t, &err), &err) &&
        t.n > LISTED)
        (void)pw_buf_addf(text, "\nand more, %zu in all", t.n);
}

static void say(core *self, const store_triggered *row)
{
    const core_attempt *a = core_attempt_find(self, row->attempt);
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(PW_TEXT_MAX);
    bool over = row->flags & TRIGGERED_WAITS && row->result != PW_NO_RESULT && row->buildset;
    if (!a || a->state > ATT_RUNNING)
        return;
    if (!row->buildset)
        (void)pw_buf_addf(&text, "refused %.1000s", row->reason ? row->reason : "");
    else if (over)
        (void)pw_buf_addf(&text, "over %s", pw_result_name(row->result));
    else
        (void)pw_buf_addf(&text, "taken\ntriggered build set %" PRIu64 "%s", row->buildset,
                          row->flags & TRIGGERED_WAITS ? ", waiting for it" : "");
    if (row->buildset)
        list_builds(self, row->buildset, &text);
    core_effect *e = self->fault.code ? NULL : core_add_effect(self, CORE_NOTE);
    if (!e)
        return;
    e->worker = a->worker;
    e->attempt = a->id;
    e->epoch = a->epoch;
    e->id = 2 * row->step + (over ? 2 : 1);
    if (!(e->text = pw_strf("%s", pw_buf_str(&text))))
        (void)core_nomem(self);
}

static int say_row(void *p, const store_triggered *row)
{
    say(p, row);
    return 0;
}

void core_tell_again(core *self, uint64_t worker)
{
    core_attempt *a;
    pw_err err = {0};
    for (size_t pos = 0; (a = core_attempt_next(self, worker, &pos));)
        if (a->state <= ATT_RUNNING && a->any)
            (void)core_ok(self, store_triggered_of(self->st, a->build, say_row, self, &err), &err);
}

/* ---- waiting */
static int add_wait(core *self, const store_triggered *row, pw_err *err)
{
    core_wait *x = calloc(1, sizeof(*x));
    if (!x || pw_table_put(self->waits, row->buildset, x, err) < 0) {
        free(x);
        return pw_fail(err, PW_ENOMEM, "out of memory");
    }
    *x = (core_wait){.build = row->build,
                     .step = row->step,
                     .set = row->buildset,
                     .attempt = row->attempt,
                     .keep = row->flags & TRIGGERED_KEEPS};
    return 0;
}

typedef struct load {
    core *self;
    pw_err *err;
} load;

static int load_wait(void *p, const store_triggered *row)
{
    load *l = p;
    return add_wait(l->self, row, l->err);
}

int core_waits_load(core *self, pw_err *err)
{
    load l = {self, err};
    self->waits = pw_table_new(err);
    return self->waits ? store_triggered_open(self->st, load_wait, &l, err) : PW_ENOMEM;
}

static void recount(core *self, uint64_t attempt)
{
    const core_attempt *a = core_attempt_find(self, attempt);
    core_worker *w = a ? core_worker_get(self, a->worker) : NULL;
    if (w)
        core_slots_count(self, w);
    self->dispatch = true;
}

/* Takes the wait out of memory; what it was. */
static core_wait forget(core *self, core_wait *x)
{
    core_wait was = *x;
    recount(self, was.attempt); /* while there is one: nothing is counted else */
    (void)pw_table_del(self->waits, was.set);
    free(x);
    return was;
}

typedef struct tally {
    const core *self;
    bool open;
    size_t n, n_required;
    pw_result worst, required; /* of all; of those that the set is judged by */
} tally;

static void add_result(size_t *n, pw_result *worst, pw_result result)
{
    *worst = (*n)++ ? pw_result_worst(*worst, result) : result;
}

/* Builders that are not required never redden it, unless there are no others. */
static int count(void *p, const store_set_build *b)
{
    tally *t = p;
    pw_result result = b->result != PW_NO_RESULT ? b->result : PW_CANCELLED;
    const config_builder *c = NULL;
    t->open |= b->open;
    if (b->open || b->rode)
        return 0;
    for (size_t i = 0; i < t->self->n_builders && !c; i++)
        c = t->self->builder[i].row == b->row ? t->self->builder[i].conf : NULL;
    add_result(&t->n, &t->worst, result);
    if (!c || c->required)
        add_result(&t->n_required, &t->required, result);
    return 0;
}

void core_trigger_set_over(core *self, uint64_t set)
{
    core_wait *x = pw_table_get(self->waits, set);
    tally t = {.self = self, .worst = PW_SUCCESS};
    pw_err err = {0};
    if (!x || !core_turn(self) ||
        !core_ok(self, store_triggered_builds(self->st, set, ALL, count, &t, &err), &err) || t.open)
        return;
    core_wait was = forget(self, x);
    pw_result result = t.n_required ? t.required : t.worst;
    if (core_ok(self, store_triggered_end(self->st, was.build, was.step, result, &err), &err))
        (void)core_ok(self, store_triggered_get(self->st, was.build, was.step, say_row, self, &err),
                      &err);
}

/* ---- the end of what waits */
typedef struct ids {
    uint64_t *v;
    size_t n, cap;
} ids;

static int add_open(void *p, const store_set_build *b)
{
    ids *l = p;
    if (!b->open)
        return 0;
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 16;
        uint64_t *v = reallocarray(l->v, cap, sizeof(*v));
        if (!v)
            return PW_ENOMEM;
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = b->request;
    return 0;
}

static void cancel_set(core *self, uint64_t set, const char *reason)
{
    ids l = {0};
    pw_err err = {0};
    if (core_ok(self, store_triggered_builds(self->st, set, ALL, add_open, &l, &err), &err))
        for (size_t i = 0; i < l.n && !self->fault.code; i++) {
            core_request *r = pw_table_get(self->requests, l.v[i]);
            if (r && r->build)
                core_build_cancel(self, r->build, reason);
            else if (r)
                core_request_end(self, r, reason);
        }
    free(l.v);
}

static core_wait *first_of(const core *self, uint64_t build)
{
    core_wait *x;
    for (size_t pos = 0; (x = pw_table_next(self->waits, &pos));)
        if (x->build == build)
            return x;
    return NULL;
}

/* As deep as builds trigger each other, which is bounded. */
void core_trigger_parent_over(core *self, uint64_t build)
{
    core_wait *x;
    pw_err err = {0};
    while (!self->fault.code && (x = first_of(self, build))) {
        core_wait was = forget(self, x);
        if (!core_turn(self) ||
            !core_ok(self, store_triggered_end(self->st, was.build, was.step, PW_CANCELLED, &err),
                     &err))
            return;
        PW_AUTO(pw_freep)
        char *why = pw_strf("build %" PRIu64 ", which waited for it, ended", build);
        if (!why)
            (void)core_nomem(self);
        else if (!was.keep)
            cancel_set(self, was.set, why);
    }
}

static int broke(void *p, const store_triggered *row)
{
    bool *yes = p;
    *yes |= row->flags & TRIGGERED_WAITS && row->result == PW_EXCEPTION;
    return 0;
}

bool core_trigger_broke(core *self, uint64_t build)
{
    bool yes = false;
    pw_err err = {0};
    (void)core_ok(self, store_triggered_of(self->st, build, broke, &yes, &err), &err);
    return yes;
}

/* ---- asking */
static const config_scheduler *find(const core *self, const char *name)
{
    for (size_t i = 0; i < self->conf->n_schedulers; i++)
        if (strcmp(self->conf->schedulers[i].name, name) == 0)
            return &self->conf->schedulers[i];
    return NULL;
}

/* Whether this build may do that; the depth of what it triggers. */
static int allowed(core *self, const core_request *r, const rec_trigger *rec,
                   const config_scheduler *s, uint64_t *ret_depth, pw_err *err)
{
    const msg_pair *p = rec->props.v;
    size_t project = r->builder->project;
    bool named = false;
    if (!s)
        return pw_fail(err, PW_ENOTFOUND, "there is no scheduler \"%.200s\"", rec->scheduler);
    if (project >= self->conf->n_projects || s->project != project)
        return pw_fail(err, PW_EDENIED, "scheduler \"%s\" is of another project", s->name);
    const pl_strs *list = &self->conf->projects[project].allow.triggers;
    for (size_t i = 0; i < list->n; i++)
        named |= strcmp(list->v[i], s->name) == 0;
    if (!core_trusted(self, r) && !named)
        return pw_fail(err, PW_EDENIED,
                       "a build of untrusted code may not trigger scheduler \"%s\": its project "
                       "would need it in \"allow: {triggers: [..]}\"",
                       s->name);
    if (rec->revision && (r->stamp->proposal || !core_trusted(self, r)))
        return pw_fail(err, PW_EDENIED,
                       "a build of what is proposed triggers its own revision only");
    for (size_t i = 0; i < rec->props.n; i++)
        if (core_property_check(p[i].name, err) < 0)
            return err->code;
    int code = store_triggered_depth(self->st, r->buildset, ret_depth, err);
    if (code < 0 || ++*ret_depth <= CORE_TRIGGER_DEPTH)
        return code;
    return pw_fail(err, PW_ELIMIT, "builds trigger each other more than %d deep",
                   CORE_TRIGGER_DEPTH);
}

/* Owned; NULL: err says why. */
static core_stamp *stamp_of(core *self, const core_request *r, const char *revision, pw_err *err)
{
    store_rev rev = {0};
    if (!revision)
        return core_stamp_ref(r->stamp);
    if (!store_rev_parse(revision, &rev)) {
        (void)pw_fail(err, PW_EINVAL, "\"%.70s\" is no whole revision", revision);
        return NULL;
    }
    core_stamp *s = core_stamp_make(self, r->stamp->project_row, r->stamp->branch, &rev);
    if (!s)
        *err = self->fault;
    return s;
}

/* The set, 0: err says why not. */
static uint64_t fire(core *self, const core_build *b, const rec_trigger *rec, uint64_t *ret_depth,
                     pw_err *err)
{
    const core_request *r = b->request;
    const config_scheduler *s = find(self, rec->scheduler);
    if (allowed(self, r, rec, s, ret_depth, err) < 0)
        return 0;
    PW_AUTO(pw_freep)
    char *reason = pw_strf("triggered by build %" PRIu64 " (%s)", b->id, r->builder->name);
    PW_AUTO(pw_freep) char *who = pw_strf("build %" PRIu64, b->id);
    core_stamp *stamp = reason && who ? stamp_of(self, r, rec->revision, err) : NULL;
    if (!stamp) {
        if (!err->code)
            (void)core_nomem(self);
        return 0;
    }
    uint64_t set = core_trigger_scheduler(self, (size_t)(s - self->conf->schedulers), stamp,
                                          &rec->props, who, reason, b->id, NULL, err);
    core_stamp_unref(stamp);
    return set;
}

/* Goes before all others: a slot, and perhaps a lock, wait with the build that does. */
static void waited(core *self, uint64_t set, uint64_t first, size_t n)
{
    for (uint64_t id = first; id < first + n && !self->fault.code; id++) {
        core_request *r = pw_table_get(self->requests, id);
        if (!r || r->buildset != set)
            continue;
        bool in = r->pos != NULL;
        queue_remove(r->builder, r);
        r->waited = set;
        if (in && queue_push(r->builder, r) < 0)
            (void)core_nomem(self);
    }
}

typedef struct known {
    core *self;
    uint64_t attempt;
    bool taken;
} known;

static int take_over(void *p, const store_triggered *row)
{
    known *k = p;
    core_wait *x = pw_table_get(k->self->waits, row->buildset);
    pw_err err = {0};
    k->taken = row->buildset != 0; /* what was refused is asked again */
    if (!k->taken)
        return 0;
    if (x && x->build == row->build) {
        x->attempt = k->attempt;
        recount(k->self, k->attempt);
    }
    store_triggered now = *row;
    now.attempt = k->attempt;
    (void)core_ok(k->self,
                  store_triggered_attempt(k->self->st, row->build, row->step, k->attempt, &err),
                  &err);
    say(k->self, &now);
    return 0;
}

void core_att_trigger(core *self, core_attempt *a, const rec_trigger *rec)
{
    core_build *b = pw_table_get(self->builds, a->build);
    known k = {.self = self, .attempt = a->id};
    pw_err err = {0}, why = {0};
    uint64_t depth = 0, first = self->next_id;
    if (!b || b->live != a || !core_turn(self))
        return; /* superseded: what it asks for is asked for by another attempt */
    int code = store_triggered_get(self->st, b->id, rec->step, take_over, &k, &err);
    if ((code != PW_ENOTFOUND && !core_ok(self, code, &err)) || k.taken)
        return;
    uint64_t set = fire(self, b, rec, &depth, &why);
    if (self->fault.code)
        return;
    store_triggered row = {.build = b->id,
                           .step = rec->step,
                           .buildset = set,
                           .attempt = a->id,
                           .depth = depth,
                           .flags = (rec->wait ? TRIGGERED_WAITS : 0u) |
                                    (rec->keep ? TRIGGERED_KEEPS : 0u),
                           .result = !set        ? PW_FAILURE
                                     : rec->wait ? PW_NO_RESULT
                                                 : PW_SUCCESS,
                           .reason = set ? NULL : why.text};
    if (!core_ok(self, store_triggered_put(self->st, &row, &err), &err))
        return;
    if (set && rec->wait) {
        if (!core_ok(self, add_wait(self, &row, &err), &err))
            return;
        waited(self, set, first, (size_t)(self->next_id - first));
        recount(self, a->id);
    }
    pw_log(PW_LOG_INFO, "triggered", "build=%" PRIu64 " step=%" PRIu64 " set=%" PRIu64 " wait=%d",
           b->id, rec->step, set, rec->wait);
    say(self, &row);
    if (set && rec->wait)
        core_trigger_set_over(self, set); /* nothing of it may be open */
    if (pw_fault("trigger.applied")) {
        (void)pw_fail(&err, PW_ESYS, "triggering: fault point trigger.applied");
        core_break(self, &err);
    }
}

/* ---- for people */
void core_trigger_why(const core *self, const core_request *r, pw_buf *text)
{
    const core_wait *x = core_waiter(self, r);
    const core_worker *w = core_lender(self, r);
    if (!x)
        return;
    (void)pw_buf_addf(text, "; build %" PRIu64 " waits for it", x->build);
    if (!w)
        return;
    (void)pw_buf_addf(text, " on worker \"%s\"", w->row.name);
    if (core_worker_block(self, w, r) == BLOCK_NONE)
        (void)pw_buf_adds(text, " and lends it its slot");
    else if (core_worker_block(self, w, r) == BLOCK_BUSY)
        (void)pw_buf_adds(text, ", whose slot it has as soon as no other build that is waited for "
                                "there takes it");
}
