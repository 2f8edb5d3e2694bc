/* load.c - what the database says at the start: the ids to go on from, and what is unfinished. */
#include "master/core/core.h"
#include "master/core/parts.h"
#include "master/store/graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/fault.h"
#include "shared/base/log.h"
#include "shared/base/num.h"

/* ---- ids */
static void ids_from(core *self, const store_highest *h, uint64_t least)
{
#define NEXT(of) ((of) > least ? (of) + 1 : least + 1)
    self->next_id = NEXT(h->build);
    self->next_attempt = NEXT(h->attempt);
    self->next_buildset = NEXT(h->buildset);
    self->next_change = NEXT(h->change);
    self->next_promotion = NEXT(h->promotion);
#undef NEXT
}

static int put_number(core *self, const char *key, uint64_t v, pw_err *err)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
    return store_meta_put(self->st, key, text, err);
}

/* 0 when there is none. */
static int get_number(core *self, const char *key, uint64_t *ret, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(64);
    int r = store_meta_get(self->st, key, &text, err);
    *ret = 0;
    if (r == PW_ENOTFOUND)
        return 0;
    return r < 0 ? r : pw_parse_u64(pw_buf_str(&text), ret, err);
}

/* In a new epoch every sequence goes on far above what an unknown later state of this database may
 * have given away. */
static int skip_ids(core *self, pw_err *err)
{
    const uint64_t next[] = {self->next_id, self->next_attempt, self->next_buildset,
                             self->next_change, self->next_promotion};
    const store_highest nothing = {0};
    uint64_t most = 0;
    for (size_t i = 0; i < sizeof(next) / sizeof(next[0]); i++)
        most = next[i] > most ? next[i] : most;
    most += CORE_ID_SKIP;
    self->set_back = true;
    int r = put_number(self, "id_floor", most, err);
    if (r == 0)
        r = put_number(self, "id_epoch", store_epoch(self->st), err);
    if (r == 0)
        ids_from(self, &nothing, most);
    return r;
}

/* A restore gives a new epoch behind our back: seen by the epoch that the ids were given in. */
static int load_ids(core *self, pw_err *err)
{
    store_highest h;
    uint64_t least = 0, epoch = 0;
    int r = store_highest_ids(self->st, &h, err);
    if (r < 0 || (r = get_number(self, "id_floor", &least, err)) < 0 ||
        (r = get_number(self, "id_epoch", &epoch, err)) < 0)
        return r;
    ids_from(self, &h, least);
    self->next_event = h.event + 1;
    if (epoch == store_epoch(self->st))
        return 0;
    return epoch ? skip_ids(self, err) : put_number(self, "id_epoch", store_epoch(self->st), err);
}

static int load_seen(core *self, pw_err *err)
{
    uint64_t ms = 0;
    int r = get_number(self, "seen_ms", &ms, err);
    if (r < 0)
        return r;
    self->seen_base = ms ? (pw_msec)ms : pw_wall(self->host);
    self->seen_from = pw_now(self->host);
    return ms ? 0 : put_number(self, "seen_ms", (uint64_t)self->seen_base, err);
}

void core_new_epoch(core *self, const char *why)
{
    pw_err err = {0};
    if (!core_turn(self) || !core_ok(self, store_new_epoch(self->st, &err), &err) ||
        !core_ok(self, skip_ids(self, &err), &err) ||
        !core_ok(self,
                 store_audit_add(self->st, pw_wall(self->host), "master", "epoch", NULL, why, &err),
                 &err))
        return;
    if (pw_fault("epoch.begun")) {
        (void)pw_fail(&err, PW_ESYS, "beginning a new epoch: fault point epoch.begun");
        core_break(self, &err);
        return;
    }
    core_outbox_set_back(self, self->loaded);
    pw_log(PW_LOG_ERROR, "new_epoch", "reason=\"%s\"", why);
}

/* ---- rows */
static int load_builders(core *self, pw_err *err)
{
    self->builder =
        calloc(self->conf->n_builders ? self->conf->n_builders : 1, sizeof(*self->builder));
    if (!self->builder)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    for (size_t i = 0; i < self->conf->n_builders; i++) {
        const config_builder *c = &self->conf->builders[i];
        core_builder *b = &self->builder[i];
        b->conf = c;
        b->project = c->project;
        b->name = c->name;
        self->n_builders++;
        int r = store_builder_id(self->st, self->project[c->project].row, c->name, &b->row, err);
        if (r < 0)
            return r;
    }
    return 0;
}

typedef struct load {
    core *self;
    pw_err *err;
} load;

static int load_worker(void *p, const store_worker *row)
{
    load *l = p;
    core_worker *w = calloc(1, sizeof(*w));
    bool failed = false;
    if (!w)
        return pw_fail(l->err, PW_ENOMEM, "out of memory");
    w->row = *row;
    w->row.name = pw_strdup(row->name, &failed);
    w->row.tags = pw_strdup(row->tags, &failed);
    w->row.facts = pw_strdup(row->facts, &failed);
    w->row.version = pw_strdup(row->version, &failed);
    w->row.reason = pw_strdup(row->reason, &failed);
    w->row.who = pw_strdup(row->who, &failed);
    w->row.provider = pw_strdup(row->provider, &failed);
    if (failed || pw_table_put(l->self->workers, row->id, w, l->err) < 0) {
        store_worker_clear(&w->row);
        free(w);
        return pw_fail(l->err, PW_ENOMEM, "out of memory");
    }
    return 0;
}

static int load_enrol(void *p, uint64_t worker, const uint8_t key[32], pw_msec expires)
{
    load *l = p;
    core_worker *w = core_worker_get(l->self, worker);
    if (w) {
        w->enrolled = true;
        w->once_expires = expires;
        memcpy(w->once, key, 32);
        uint8_t used[32];
        size_t n;
        int r = store_enrol_used(l->self->st, worker, used, &n, l->err);
        if (r < 0)
            return r;
        core_enrol_load(w, used, n);
    }
    return 0;
}

static int load_request(void *p, const store_request *row)
{
    load *l = p;
    return core_request_load(l->self, row)
               ? 0
               : pw_fail(l->err, PW_ENOMEM, "out of memory, or request %llu is damaged",
                         (unsigned long long)row->id);
}

static int load_build(void *p, const store_build *row)
{
    load *l = p;
    core_request *r = pw_table_get(l->self->requests, row->request);
    if (!r) {
        pw_log(PW_LOG_ERROR, "build_without_request", "build=%llu request=%llu",
               (unsigned long long)row->id, (unsigned long long)row->request);
        return 0;
    }
    core_build *b = calloc(1, sizeof(*b));
    if (!b || pw_table_put(l->self->builds, row->id, b, l->err) < 0) {
        free(b);
        return pw_fail(l->err, PW_ENOMEM, "out of memory");
    }
    *b = (core_build){.id = row->id,
                      .request = r,
                      .state = row->state,
                      .tries = row->tries,
                      .last_worker = row->worker,
                      .created = row->created,
                      .started = row->started};
    bool waits = r->pos != NULL && row->state == BUILD_QUEUED;
    queue_remove(r->builder, r); /* by what its job asks for, not by what its builder does now */
    r->build = b;
    int code = core_build_load_locks(l->self, b, l->err);
    if (code == 0 && waits && queue_push(r->builder, r) < 0)
        code = pw_fail(l->err, PW_ENOMEM, "out of memory");
    return code;
}

static int load_attempt(void *p, const store_attempt *row)
{
    load *l = p;
    core_attempt *a = calloc(1, sizeof(*a));
    if (!a || pw_table_put(l->self->attempts, row->id, a, l->err) < 0) {
        free(a);
        return pw_fail(l->err, PW_ENOMEM, "out of memory");
    }
    a->id = row->id;
    a->epoch = row->epoch;
    a->build = row->build;
    a->worker = row->worker;
    a->offers = row->offers;
    a->state = row->state;
    memcpy(a->spool, row->spool, 16);
    memcpy(a->boot, row->boot, 16);
    memcpy(a->digest, row->digest, 32);
    a->any = row->applied > 0;
    a->applied = row->applied;
    a->applied_chain = row->applied_chain;
    a->stored = a->received = row->stored;
    a->stored_chain = a->received_chain = row->stored_chain;
    core_build *b = pw_table_get(l->self->builds, row->build);
    if (row->state <= ATT_RUNNING && b) {
        core_worker *w = core_worker_get(l->self, row->worker);
        b->live = a;
        b->last_worker = row->worker;
        if (w)
            w->busy++;
    } else
        a->superseded = row->state == ATT_CLOSED;
    core_shipping(l->self, row->build, 1);
    return core_attempt_load_locks(l->self, a, l->err);
}

/* What waits for a builder that the configuration has no more ends with that reason; what runs goes
 * on. */
static void end_gone(core *self)
{
    core_request *r;
    for (size_t pos = 0; (r = pw_table_next(self->requests, &pos));) {
        if (r->builder->conf || r->hold == HOLD_READING || (r->build && !r->pos))
            continue;
        core_request_end(self, r, "its builder was removed from the configuration");
    }
}

int core_load_all(core *self, pw_err *err)
{
    int r = load_ids(self, err);
    if (r < 0 || (r = load_seen(self, err)) < 0)
        return r;
    for (size_t i = 0; i < self->conf->n_schedulers; i++) {
        const config_scheduler *s = &self->conf->schedulers[i];
        self->follows |= s->kind == SCHED_DEPENDENT;
        self->minds |= s->testfix || s->supersede != SUPERSEDE_NONE;
    }
    if (!(self->lanes = pw_table_new(err)) || !(self->branches = pw_table_new(err)) ||
        !(self->sets = pw_table_new(err)) || !(self->shipping = pw_table_new(err)) ||
        !(self->mergeable = pw_table_new(err)) || !(self->keys = pw_table_new(err)) ||
        !(self->requests = pw_table_new(err)) || !(self->builds = pw_table_new(err)) ||
        !(self->attempts = pw_table_new(err)) || !(self->workers = pw_table_new(err)))
        return PW_ENOMEM;
    self->project =
        calloc(self->conf->n_projects ? self->conf->n_projects : 1, sizeof(*self->project));
    if (!self->project)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    for (size_t i = 0; i < self->conf->n_projects; i++)
        if ((r = core_project_load(self, i, err)) < 0)
            return r;
    load l = {self, err};
    if ((r = load_builders(self, err)) < 0 ||
        (r = store_worker_each(self->st, load_worker, &l, err)) < 0 ||
        (r = store_enrol_each(self->st, load_enrol, &l, err)) < 0 ||
        (r = core_waits_load(self, err)) < 0 ||
        (r = store_open_requests(self->st, load_request, &l, err)) < 0 ||
        (r = store_open_builds(self->st, load_build, &l, err)) < 0 ||
        (r = store_open_attempts(self->st, load_attempt, &l, err)) < 0 ||
        (r = core_sets_load(self, err)) < 0 || (r = core_hooks_load(self, err)) < 0 ||
        (r = core_schedule_load(self, err)) < 0 || (r = core_pause_load(self, err)) < 0 ||
        (r = core_outbox_load(self, err)) < 0 || (r = core_provider_load(self, err)) < 0 ||
        (r = core_promotions_load(self, err)) < 0 || (r = core_retain_load(self, err)) < 0)
        return r;
    core_worker *w;
    for (size_t pos = 0; (w = pw_table_next(self->workers, &pos));)
        core_slots_count(self, w);
    end_gone(self);
    core_sets_settle(self);
    return core_pipelines_load(self);
}
