#include "master/core/core.h"
#include "master/core/parts.h"
#include "master/core/secrets.h"
#include "master/store/outbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"

/* ---- the turn */
bool core_turn(core *self)
{
    if (self->fault.code)
        return false;
    if (self->turn)
        return true;
    pw_err err = {0};
    if (store_begin(self->st, &err) < 0) {
        self->fault = err;
        return false;
    }
    self->turn = true;
    return true;
}

bool core_ok(core *self, int code, const pw_err *err)
{
    if (code >= 0)
        return true;
    if (!self->fault.code) {
        self->fault = *err;
        self->fault.code = (pw_code)code;
    }
    return false;
}

void core_break(core *self, const pw_err *why)
{
    (void)core_ok(self, why->code, why);
}

int core_nomem(core *self)
{
    pw_err err = {0};
    int r = pw_fail(&err, PW_ENOMEM, "out of memory");
    (void)core_ok(self, r, &err);
    return r;
}

void core_note_event(core *self, event_kind kind, uint64_t id)
{
    for (size_t i = self->n_notes; i-- > 0 && self->n_notes - i <= 16;)
        if (self->note[i].kind == kind && self->note[i].id == id)
            return;
    if (self->n_notes == self->cap_notes) {
        size_t cap = self->cap_notes ? 2 * self->cap_notes : 64;
        struct core_note *v = realloc(self->note, cap * sizeof(*v));
        if (!v) {
            (void)core_nomem(self);
            return;
        }
        self->note = v;
        self->cap_notes = cap;
    }
    self->note[self->n_notes++] = (struct core_note){kind, id};
}

core_effect *core_add_effect(core *self, core_effect_kind kind)
{
    if (self->n_effects == self->cap_effects) {
        size_t cap = self->cap_effects ? 2 * self->cap_effects : 64;
        core_effect *v = realloc(self->effect, cap * sizeof(*v));
        if (!v) {
            (void)core_nomem(self);
            return NULL;
        }
        self->effect = v;
        self->cap_effects = cap;
    }
    core_effect *e = &self->effect[self->n_effects++];
    *e = (core_effect){.kind = kind};
    return e;
}

static void effect_clear(core_effect *e)
{
    if (e->kind == CORE_PROVIDER && e->job)
        explicit_bzero(e->job, e->job_len);
    free(e->job);
    secrets_clear(&e->secrets);
    free(e->text);
    *e = (core_effect){0};
}

bool core_dirty(const core *self)
{
    return self->turn || self->dispatch || self->provide || self->outbox_due ||
           self->n_effects > 0 || self->fault.code;
}

static bool write_events(core *self)
{
    pw_err err = {0};
    pw_msec at = pw_wall(self->host);
    for (size_t i = 0; i < self->n_notes; i++)
        if (!core_ok(self,
                     store_event_add(self->st, self->next_event++, at, self->note[i].kind,
                                     self->note[i].id, &err),
                     &err))
            return false;
    return true;
}

int core_commit(core *self, core_effect_cb *cb, void *cb_self, pw_err *err)
{
    while ((self->dispatch || self->n_over || self->touched) && !self->fault.code) {
        core_sets_settle(self);
        core_sets_over(self);
        if (self->dispatch && !self->fault.code) {
            self->dispatch = false;
            core_dispatch(self);
        }
    }
    if (self->provide && !self->fault.code) {
        self->provide = false;
        core_provide(self);
    }
    if (!self->fault.code)
        core_outbox_start(self);
    if (self->turn && !self->fault.code && self->n_notes > 0 && write_events(self)) {
        core_effect *e = core_add_effect(self, CORE_EVENT);
        if (e)
            e->id = self->next_event - 1;
    }
    if (self->turn && !self->fault.code) {
        pw_err e = {0};
        (void)core_ok(self, store_commit(self->st, &e), &e);
    }
    if (self->fault.code) {
        if (store_in_turn(self->st))
            store_rollback(self->st);
        /* whoever asked is told that it did not happen */
        for (size_t i = 0; i < self->n_effects; i++) {
            core_effect *e = &self->effect[i];
            if (e->kind == CORE_REPLY) {
                core_cmd_fail(e->cmd, 503, "unavailable",
                              "the master cannot write its database: %s", self->fault.text);
                cb(cb_self, e);
            }
            effect_clear(e);
        }
        self->n_effects = 0;
        if (err)
            *err = self->fault;
        return self->fault.code;
    }
    self->turn = false;
    self->n_notes = 0;
    core_builders_sweep(self);
    /* a callback may add effects (it must not): only those of this turn go out */
    size_t n = self->n_effects;
    for (size_t i = 0; i < n; i++) {
        cb(cb_self, &self->effect[i]);
        effect_clear(&self->effect[i]);
    }
    if (self->n_effects > n)
        memmove(self->effect, self->effect + n, (self->n_effects - n) * sizeof(*self->effect));
    self->n_effects -= n;
    return 0;
}

/* ---- time */
pw_msec core_seen(const core *self)
{
    return self->seen_base + (pw_now(self->host) - self->seen_from) / 1000;
}

static bool keep_seen(core *self)
{
    char text[32];
    pw_err err = {0};
    (void)snprintf(text, sizeof(text), "%lld", (long long)core_seen(self));
    return core_ok(self, store_meta_put(self->st, "seen_ms", text, &err), &err);
}

/* Attempts whose worker is away, or is there and says nothing of them. */
static void silence(core *self, pw_usec now, pw_usec step)
{
    core_attempt *a;
    for (size_t pos = 0; (a = pw_table_next(self->attempts, &pos));) {
        const core_worker *w = core_worker_get(self, a->worker);
        core_locks_silence(self, a, w, step);
        if (a->state > ATT_RUNNING || !w)
            continue;
        /* one that nobody has taken over yet holds a slot of the worker that came back otherwise */
        if (a->lost && !(w->connected && memcmp(w->row.spool, a->spool, 16) != 0))
            continue;
        if (w->connected && memcmp(w->row.spool, a->spool, 16) == 0) {
            if (a->any || !a->offered_at || now - a->offered_at <= CORE_FIRST_RECORD_US)
                continue;
            a->offered_at = 0; /* resync repeats the offer */
            core_effect *e = core_add_effect(self, CORE_DROP);
            if (e) {
                e->worker = a->worker;
                e->text =
                    pw_strf("no record of attempt %llu within 15 s", (unsigned long long)a->id);
            }
            continue;
        }
        a->silent_us += step;
        if (a->silent_us < core_patience(self, a))
            continue;
        core_build *b = pw_table_get(self->builds, a->build);
        if (w->connected ||
            (b && b->live == a && (a->any ? core_build_last_try(b) : !b->request->builder->conf))) {
            /* its worker is there with another disk, or nobody may take over: there is no offer to
             * wait for */
            core_att_close(self, a,
                           w->connected ? "its worker came back with another spool"
                                        : "its worker was silent for too long",
                           false, !a->any);
            continue;
        }
        a->lost = true; /* may be fenced: in the transaction that offers the build elsewhere */
        if (b && b->live == a && queue_push(b->request->builder, b->request) < 0)
            (void)core_nomem(self);
        self->dispatch = true;
    }
}

void core_tick(core *self)
{
    pw_usec now = pw_now(self->host);
    pw_msec wall = pw_wall(self->host);
    /* silence is counted in time that this process observed: a tick adds at most two ticks
     * (rules 6.2) */
    pw_usec step = now - self->last_tick;
    if (step > 2000000)
        step = 2000000;
    self->last_tick = now;
    silence(self, now, step);
    core_tell_tick(self, step);
    core_outbox_tick(self);
    self->provide |= self->conf->n_providers > 0;
    core_schedule_tick(self, wall);
    core_poll_tick(self, now);
    core_edges_tick(self, now);
    core_retain_tick(self, now);
    core_pipelines_tick(self);
    if (now >= self->housekeeping) {
        pw_err err = {0};
        int n = 0;
        bool more = false;
        self->housekeeping = now + 60 * 1000000LL;
        if (core_turn(self)) {
            n = store_events_expire(self->st, wall - CORE_EVENTS_MS, 2000, &err);
            if (core_ok(self, n, &err) && keep_seen(self))
                (void)(core_ok(
                           self,
                           store_idem_expire(self->st, core_seen(self) - CORE_IDEM_MS, 2000, &err),
                           &err) &&
                       core_ok(self, core_hooks_expire(self, 100, &err), &err) &&
                       core_ok(self,
                               store_messages_expire(self->st, wall - CORE_MESSAGES_MS, 2000, &err),
                               &err));
            more = !self->fault.code && core_files_expire(self);
        }
        if (n == 2000 || more)
            self->housekeeping = now + 1000000;
    }
    core_worker *w;
    for (size_t pos = 0; (w = pw_table_next(self->workers, &pos));)
        if (w->row.quarantine)
            core_worker_quarantine_tick(self, w, wall);
}

pw_usec core_deadline(const core *self)
{
    pw_usec now = pw_now(self->host), best = self->last_tick + 1000000;
    for (size_t i = 0; i < self->conf->n_projects; i++)
        if (!self->project[i].polling && self->project[i].next_poll < best)
            best = self->project[i].next_poll;
    pw_usec message = core_outbox_deadline(self);
    best = message < best ? message : best;
    pw_usec old = core_retain_deadline(self);
    best = old < best ? old : best;
    pw_msec next = core_schedule_next(self);
    if (next) {
        pw_usec at = now + (next - pw_wall(self->host)) * 1000;
        if (at < best)
            best = at;
    }
    return best > now ? best : now;
}

const config *core_config(const core *self)
{
    return self->conf;
}

store *core_store(const core *self)
{
    return self->st;
}

core *core_new(store *st, config *conf, const pw_host *host, pw_err *err)
{
    return core_new_after(NULL, st, conf, host, err);
}

core *core_new_after(const core *before, store *st, config *conf, const pw_host *host, pw_err *err)
{
    PW_AUTO(core_freep) core *self = calloc(1, sizeof(*self));
    if (!self) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->st = st;
    self->conf = config_ref(conf);
    self->host = host;
    self->before = before;
    self->last_tick = pw_now(host);
    self->loaded = pw_wall(host);
    self->housekeeping = self->last_tick + 5000000;
    /* rows of new projects and builders are made here; the first turn commits them */
    bool failed = false;
    if (before) { /* the key of the address needs a restart; what the load ends is told, too */
        self->url = pw_strdup(before->url, &failed);
        self->loaded = before->loaded;
    }
    if (failed) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    int r = core_turn(self) ? core_load_all(self, err) : self->fault.code;
    if (self->fault.code && err)
        *err = self->fault;
    if (r < 0 || self->fault.code) {
        store_rollback(st);
        if (err && !err->code)
            (void)pw_fail(err, r < 0 ? (pw_code)r : PW_ENOMEM,
                          "loading what is unfinished from the database");
        return NULL;
    }
    self->dispatch = true;
    self->before = NULL;
    return pw_take(self);
}

static void free_tables(core *self)
{
    void *v;
    for (size_t pos = 0; self->attempts && (v = pw_table_next(self->attempts, &pos));) {
        core_attempt *a = v;
        pw_schema_clear(&rec_end_schema, &a->end);
        free(a->hold);
        free(a);
    }
    for (size_t pos = 0; self->builds && (v = pw_table_next(self->builds, &pos));) {
        core_build_unlock(v);
        free(v);
    }
    for (size_t pos = 0; self->requests && (v = pw_table_next(self->requests, &pos));) {
        core_request *r = v;
        core_stamp_unref(r->stamp);
        free(r->props);
        free(r);
    }
    for (size_t pos = 0; self->workers && (v = pw_table_next(self->workers, &pos));) {
        core_worker *w = v;
        store_worker_clear(&w->row);
        free(w->gate);
        free(w->lock);
        core_facts_clear(&w->facts);
        free(w);
    }
    pw_table_free(self->attempts);
    pw_table_free(self->builds);
    pw_table_free(self->requests);
    pw_table_free(self->workers);
    pw_table_free(self->mergeable);
    pw_table_free(self->lanes);
    free(self->over);
    pw_table_free(self->keys);
    pw_table_free(self->shipping);
    free(self->lock);
}

/* What stands for parts of the configuration. */
static void free_configured(core *self)
{
    for (size_t i = 0; self->project && i < self->conf->n_projects; i++) {
        core_project *p = &self->project[i];
        for (size_t k = 0; k < p->n_refs; k++)
            free(p->ref[k].name);
        free(p->ref);
        free(p->head);
        free(p->trouble);
    }
    free(self->project);
    for (size_t i = 0; i < self->n_quiet; i++)
        core_stamp_unref(self->quiet[i].stamp);
    free(self->quiet);
    for (size_t i = 0; self->schedule && i < self->conf->n_schedulers; i++)
        core_pause_free(self->schedule[i].pause);
    free(self->schedule);
    for (size_t i = 0; self->edge && i < self->conf->n_promotions; i++)
        free(self->edge[i].reason);
    free(self->edge);
    for (size_t i = 0; i < self->n_intents; i++)
        free(self->intent[i].target);
    free(self->intent);
}

core *core_free(core *self)
{
    if (!self)
        return NULL;
    void *v;
    free_tables(self);
    for (size_t i = 0; self->builder && i < self->n_builders; i++) {
        queue_free(&self->builder[i]);
        core_pause_free(self->builder[i].pause);
    }
    free(self->builder);
    for (core_builder *b = self->others, *next; b; b = next) {
        next = b->next;
        core_builder_free(b);
    }
    for (size_t pos = 0; self->sets && (v = pw_table_next(self->sets, &pos));)
        (void)core_set_free(v);
    pw_table_free(self->sets);
    for (size_t pos = 0; self->waits && (v = pw_table_next(self->waits, &pos));)
        free(v);
    pw_table_free(self->waits);
    for (size_t pos = 0; self->branches && (v = pw_table_next(self->branches, &pos));)
        free(v);
    pw_table_free(self->branches);
    core_pipes_free(self);
    free_configured(self);
    core_outbox_free(self);
    core_provider_free(self);
    core_retain_free(self->retain);
    for (size_t i = 0; i < self->n_conds; i++) {
        free(self->cond[i].name);
        free(self->cond[i].text);
    }
    free(self->cond);
    for (size_t i = 0; i < self->n_effects; i++) {
        core_cmd_free(self->effect[i].cmd);
        effect_clear(&self->effect[i]);
    }
    free(self->effect);
    free(self->note);
    pw_schema_clear(&job_spec_schema, &self->facts);
    config_unref(self->conf);
    free(self);
    return NULL;
}

void core_get_figures(const core *self, core_figures *ret)
{
    core_figures f = {.open = pw_table_count(self->builds)};
    memcpy(f.finished, self->finished, sizeof(f.finished));
    f.waiting = self->n_out;
    for (size_t i = 0; i < self->n_builders; i++)
        f.waiting += self->builder[i].n;
    for (const core_builder *b = self->others; b; b = b->next)
        f.waiting += b->n;
    const core_worker *w;
    for (size_t pos = 0; (w = pw_table_next(self->workers, &pos));) {
        if (w->row.removed)
            continue;
        f.workers++;
        f.connected += w->connected;
        f.slots += w->connected ? w->row.slots : 0;
        f.busy += w->busy;
    }
    *ret = f;
}
