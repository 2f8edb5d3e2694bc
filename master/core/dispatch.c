/* What begins: the oldest by priority for which there is a free, fitting worker, and its locks. */
#include "master/core/decide.h"
#include "master/core/secrets.h"

#include <stdlib.h>
#include <string.h>

#include "shared/crypt/crypt.h"

core_worker *core_worker_get(const core *self, uint64_t id)
{
    return pw_table_get(self->workers, id);
}

void core_offer_effect(core *self, core_attempt *a, pw_buf *job, pw_list *secrets)
{
    core_effect *e = core_add_effect(self, CORE_OFFER);
    if (!e) {
        secrets_clear(secrets);
        return;
    }
    e->secrets = *secrets;
    *secrets = (pw_list){0};
    e->worker = a->worker;
    e->attempt = a->id;
    e->epoch = a->epoch;
    e->job_len = job->len;
    crypt_hash(job->p, job->len, e->digest);
    e->job = (uint8_t *)pw_buf_take(job);
    if (!e->job)
        (void)core_nomem(self);
}

static core_build *claim(core *self, core_request *r)
{
    pw_err err = {0};
    core_build *b = calloc(1, sizeof(*b));
    if (!b || pw_table_put(self->builds, self->next_id, b, &err) < 0) {
        free(b);
        (void)core_nomem(self);
        return NULL;
    }
    b->id = self->next_id++;
    b->request = r;
    b->state = BUILD_QUEUED;
    b->created = pw_wall(self->host);
    return b;
}

static core_attempt *new_attempt(core *self, core_build *b, core_worker *w)
{
    pw_err err = {0};
    core_attempt *a = calloc(1, sizeof(*a));
    if (!a || pw_table_put(self->attempts, self->next_attempt, a, &err) < 0) {
        free(a);
        (void)core_nomem(self);
        return NULL;
    }
    a->id = self->next_attempt++;
    a->epoch = store_epoch(self->st);
    a->build = b->id;
    a->worker = w->row.id;
    a->offers = a->sent = 1;
    a->state = ATT_OFFERED;
    a->offered_at = pw_now(self->host);
    memcpy(a->spool, w->row.spool, 16);
    memcpy(a->boot, w->row.boot, 16);
    core_shipping(self, b->id, 1);
    b->live = a;
    b->last_worker = w->row.id;
    w->busy++;
    core_slots_count(self, w);
    return a;
}

static bool build_row(core *self, core_build *b, const core_attempt *a, const pw_buf *job)
{
    pw_err err = {0};
    const core_request *r = b->request;
    store_build row = {.id = b->id,
                       .request = r->id,
                       .builder = r->builder->row,
                       .stamp = r->stamp->id,
                       .worker = a ? a->worker : 0,
                       .attempt = a ? a->id : 0,
                       .state = b->state,
                       .result = PW_NO_RESULT,
                       .created = b->created,
                       .tries = b->tries};
    if (!core_ok(self, store_build_add(self->st, &row, a ? job->p : NULL, job->len, &err), &err) ||
        !core_ok(self, store_request_claim(self->st, r->id, b->id, &err), &err))
        return false;
    core_note_event(self, EVENT_REQUEST, r->id);
    core_testfix_leave(self, b->request);
    return true;
}

void core_request_end(core *self, core_request *r, const char *reason)
{
    core_request_end_as(self, r, PW_CANCELLED, reason);
}

void core_request_end_as(core *self, core_request *r, pw_result result, const char *reason)
{
    PW_AUTO(pw_buf_clearp) pw_buf none = PW_BUF(1);
    bool fresh = !r->build;
    if (!core_turn(self))
        return;
    queue_remove(r->builder, r);
    core_build *b = fresh ? claim(self, r) : r->build;
    if (!b)
        return;
    r->build = b;
    if (!fresh || build_row(self, b, NULL, &none))
        core_build_finish(self, b, result, reason);
}

/* The old attempt's worker was silent for too long: this is the transaction that fences it. */
static bool fence(core *self, core_build *b)
{
    pw_err err = {0};
    core_attempt *old = b->live;
    bool began = old->any;
    core_attempt_over(self, old, ATT_CLOSED, PW_RETRY, "lost: another worker takes over");
    core_locks_release(self, old, true); /* it was silent for as long as it may go on */
    if (!core_turn(self) || !core_ok(self, store_build_requeue(self->st, b->id, &err), &err))
        return false;
    if (!began && b->tries > 0)
        b->tries--; /* an offer that nobody took uses no retry */
    return true;
}

static void offer(core *self, core_request *r, core_worker *w)
{
    pw_err err = {0};
    PW_AUTO(pw_buf_clearp) pw_buf job = PW_BUF(PW_JOB_MAX);
    PW_AUTO(secrets_clear) pw_list secrets = {0};
    bool fresh = !r->build;
    if (!core_turn(self))
        return;
    queue_remove(r->builder, r);
    core_build *b = fresh ? claim(self, r) : r->build;
    if (!b)
        return;
    r->build = b;
    if (b->live && !fence(self, b))
        return;
    b->tries++;
    if (fresh && core_build_lock(self, b, core_request_def(r)) < 0)
        return;
    int code = fresh ? core_freeze(self, b, self->next_attempt, w, &job, &secrets, &err)
                     : core_thaw(self, b, self->next_attempt, w, &job, &secrets, &err);
    /* what nobody can send must not stop all others */
    if (code == PW_ELIMIT || code == PW_EINVAL || code == PW_EDENIED) {
        (void)pw_err_context(&err, "the job cannot be sent to a worker");
        if (!fresh || build_row(self, b, NULL, &job))
            core_build_finish(self, b, PW_EXCEPTION, err.text);
        return;
    }
    core_attempt *a = core_ok(self, code, &err) ? new_attempt(self, b, w) : NULL;
    if (!a)
        return;
    core_locks_take(self, a, b->locks, b->n_locks);
    b->state = BUILD_DISPATCHED;
    if (fresh ? !build_row(self, b, a, &job)
              : !core_ok(self,
                         store_build_dispatch(self->st, b->id, w->row.id, a->id, b->tries, &err),
                         &err))
        return;
    if (fresh)
        core_props_keep(self, b);
    core_offer_effect(self, a, &job, &secrets);
    if (self->fault.code)
        return;
    memcpy(a->digest, self->effect[self->n_effects - 1].digest, sizeof(a->digest));
    store_attempt row = {.id = a->id,
                         .epoch = a->epoch,
                         .build = b->id,
                         .worker = w->row.id,
                         .offers = 1,
                         .state = ATT_OFFERED,
                         .offered = pw_wall(self->host),
                         .result = PW_NO_RESULT};
    memcpy(row.spool, a->spool, 16);
    memcpy(row.boot, a->boot, 16);
    PW_AUTO(pw_buf_clearp) pw_buf facts = PW_BUF(128 * 1024);
    if (core_ok(self, store_attempt_add(self->st, &row, a->digest, &err), &err) &&
        core_fact_still(w->row.facts, &facts) == 0 && facts.len)
        (void)core_ok(self, store_attempt_facts(self->st, a->id, pw_buf_str(&facts), &err), &err);
    core_note_event(self, EVENT_BUILD, b->id);
}

void core_dispatch(core *self)
{
    core_round round = {0};
    core_request *r;
    core_decision d;
    bool lends = core_any_lends(self);
    if (self->fault.code || core_why_full(self) || !core_round_begin(self, &round)) {
        core_round_end(&round);
        return;
    }
    while (!self->fault.code && (round.n_free || lends) && (r = core_round_next(&round))) {
        core_decide(self, &round, r, false, &d);
        if (d.reason == REASON_START)
            offer(self, r, d.worker);
        else
            core_round_drop(&round); /* nor can those behind it, which ask for the same */
    }
    core_round_end(&round);
}
