#include "master/core/decide.h"
#include "master/store/graph.h"

#include <stdlib.h>
#include <string.h>

core_reason core_kept_back(const core_request *r)
{
    if (r->hold == HOLD_READING)
        return REASON_READING;
    if (!core_request_def(r))
        return REASON_GONE;
    if (r->held)
        return REASON_HELD;
    if (r->needs)
        return REASON_NEEDS;
    if (r->hold)
        return REASON_MANUAL;
    const core_builder *b = r->builder->top ? r->builder->top : r->builder;
    return b->pause ? REASON_PAUSED : REASON_START;
}

/* ---- rounds */
static bool sooner(const core_turn_of *a, const core_turn_of *b)
{
    return a->key != b->key ? a->key < b->key : a->id < b->id;
}

static void sift_down(core_round *round, size_t i)
{
    core_turn_of q = round->queue[i];
    for (size_t k; (k = 2 * i + 1) < round->n; i = k) {
        if (k + 1 < round->n && sooner(&round->queue[k + 1], &round->queue[k]))
            k++;
        if (!sooner(&round->queue[k], &q))
            break;
        round->queue[i] = round->queue[k];
    }
    round->queue[i] = q;
}

static core_turn_of turn_of(core_queue *q)
{
    return (core_turn_of){q, q->first->key, q->first->id};
}

static void gather_builder(core_round *round, core_builder *b)
{
    for (core_queue *q = b->queue; q; q = q->next)
        if (q->first && core_kept_back(q->first) == REASON_START)
            round->queue[round->n++] = turn_of(q);
}

static size_t count_queues(core_builder *b)
{
    size_t n = 0;
    queue_sweep(b);
    for (const core_queue *q = b->queue; q; q = q->next)
        n++;
    return n;
}

/* All that a worker needs to take something but what the request asks for. */
static bool may_take(const core *self, const core_worker *w)
{
    return w->connected && w->busy < w->row.slots && !w->row.removed && w->row.has_key &&
           !w->row.paused && !w->row.draining && !w->gate && !w->rejecting &&
           w->row.quarantine <= pw_wall(self->host);
}

bool core_round_begin(core *self, core_round *round)
{
    size_t queues = 0;
    core_worker *w;
    *round = (core_round){0};
    self->round++;
    for (core_builder *b = NULL; (b = core_builder_next(self, b));)
        queues += count_queues(b);
    round->queue = calloc(queues + 1, sizeof(core_turn_of));
    round->free = calloc(pw_table_count(self->workers) + 1, sizeof(core_worker *));
    if (!round->queue || !round->free) {
        (void)core_nomem(self);
        return false;
    }
    for (core_builder *b = NULL; (b = core_builder_next(self, b));)
        gather_builder(round, b);
    for (size_t i = round->n / 2; i-- > 0;)
        sift_down(round, i);
    for (size_t pos = 0; (w = pw_table_next(self->workers, &pos));) {
        if (!core_facts_take(&w->facts, w->row.facts)) {
            (void)core_nomem(self);
            return false;
        }
        if (may_take(self, w))
            round->free[round->n_free++] = w;
    }
    return true;
}

void core_round_end(core_round *round)
{
    free(round->queue);
    free(round->free);
    *round = (core_round){0};
}

core_request *core_round_next(core_round *round)
{
    while (round->n) {
        core_turn_of *t = &round->queue[0];
        const core_request *first = t->queue->first;
        if (first && first->id == t->id)
            return t->queue->first;
        if (!first) {
            core_round_drop(round);
            continue;
        }
        *t = turn_of(t->queue);
        sift_down(round, 0);
    }
    return NULL;
}

void core_round_drop(core_round *round)
{
    round->queue[0] = round->queue[--round->n];
    if (round->n)
        sift_down(round, 0);
}

/* ---- workers */
/* Only what lasts is between it and the request: it may take it one day soon. */
static bool usable(core_block block)
{
    return block == BLOCK_NONE || block >= BLOCK_REJECTED;
}

core_block core_worker_block(const core *self, const core_worker *w, const core_request *r)
{
    const pl_builder *def = core_request_def(r);
    const char *isolation;
    if (w->row.removed)
        return BLOCK_REMOVED;
    if (!w->row.has_key)
        return BLOCK_NEW;
    core_block fits = def ? core_fits(def, w) : BLOCK_NONE;
    if (fits == BLOCK_NONE)
        fits = core_isolation_block(self, w, r, &isolation);
    if (fits != BLOCK_NONE)
        return fits;
    if (!w->connected)
        return BLOCK_OFFLINE;
    if (w->row.paused)
        return BLOCK_PAUSED;
    if (w->row.draining)
        return BLOCK_DRAINING;
    if (w->row.quarantine > pw_wall(self->host))
        return BLOCK_QUARANTINE;
    if (w->gate)
        return BLOCK_GATE;
    if (w->rejecting)
        return BLOCK_REJECTED;
    return w->busy < w->row.slots || core_lends(self, w, r) ? BLOCK_NONE : BLOCK_BUSY;
}

/* ---- locks */
/* What the request itself holds by its last attempt is no hindrance: that one is given up. */
static uint64_t own(const core_request *r, size_t lock, const core_worker *on, bool exclusive)
{
    const core_attempt *a = r->build ? r->build->live : NULL;
    for (size_t i = 0; a && i < a->n_holds; i++)
        if (a->hold[i].lock == lock && a->hold[i].exclusive == exclusive &&
            (!on || on->row.id == a->worker))
            return 1;
    return 0;
}

static core_lock *state(core *self, size_t lock, core_worker *on)
{
    core_lock *l = core_lock_at(self, lock, on);
    if (l && l->round != self->round) {
        l->round = self->round;
        l->wants_counting = l->before = 0;
        l->wants_exclusive = false;
    }
    return l;
}

static lock_verdict verdict(core *self, const core_request *r, size_t lock, core_worker *on,
                            bool exclusive)
{
    const core_lock *l = state(self, lock, on);
    if (!l)
        return LOCK_HELD; /* the turn is broken */
    lock_facts f = {.count = (uint64_t)self->conf->locks[lock].count,
                    .exclusive = l->exclusive - own(r, lock, on, true),
                    .counting = l->counting - own(r, lock, on, false),
                    .wants_exclusive = l->wants_exclusive,
                    .wants_counting = l->wants_counting};
    return lock_decide(&f, exclusive);
}

/* Whether all its locks of the master (on NULL), or of that worker, are free for it. */
static bool locks_free(core *self, const core_request *r, core_worker *on, core_decision *d)
{
    size_t n;
    const pl_lock *l = core_request_locks(r, &n);
    for (size_t i = 0; i < n; i++) {
        int64_t lock = core_lock_find(self, l[i].name);
        if (lock < 0 || self->conf->locks[lock].per_worker != (on != NULL))
            continue;
        lock_verdict v = verdict(self, r, (size_t)lock, on, l[i].exclusive);
        if (v == LOCK_FREE)
            continue;
        d->reason = v == LOCK_HELD ? REASON_LOCK : REASON_TURN;
        d->lock = (size_t)lock;
        d->on = on;
        d->before = v == LOCK_BEHIND ? state(self, (size_t)lock, on)->before : 0;
        return false;
    }
    return true;
}

static void want(core *self, const core_request *r, core_worker *on)
{
    size_t n;
    const pl_lock *l = core_request_locks(r, &n);
    for (size_t i = 0; i < n; i++) {
        int64_t lock = core_lock_find(self, l[i].name);
        if (lock < 0 || self->conf->locks[lock].per_worker != (on != NULL))
            continue;
        core_lock *s = state(self, (size_t)lock, on);
        if (!s)
            return;
        if (!s->before)
            s->before = r->id;
        if (l[i].exclusive)
            s->wants_exclusive = true;
        else
            s->wants_counting++;
    }
}

/* ---- the decision */
/* The least busy one; for a repeated build another one than last time, where there is another. */
static core_worker *pick(core *self, core_round *round, const core_request *r, core_decision *d)
{
    core_worker *best = NULL;
    uint64_t avoid = r->build ? r->build->last_worker : 0;
    core_worker *lender = core_lender(self, r);
    if (lender && core_lends(self, lender, r) && core_worker_block(self, lender, r) == BLOCK_NONE &&
        locks_free(self, r, lender, d))
        return lender; /* that slot is no use to others */
    for (size_t i = 0; i < round->n_free;) {
        core_worker *w = round->free[i];
        if (w->busy >= w->row.slots) { /* it took something in this round */
            round->free[i] = round->free[--round->n_free];
            continue;
        }
        i++;
        if (core_worker_block(self, w, r) != BLOCK_NONE || !locks_free(self, r, w, d))
            continue;
        bool again = w->row.id == avoid, was = best && best->row.id == avoid;
        uint64_t load = best ? w->busy * best->row.slots : 0,
                 other = best ? best->busy * w->row.slots : 0;
        if (!best || was > again ||
            (was == again && (load < other || (load == other && w->row.id < best->row.id))))
            best = w;
    }
    return best;
}

/* Looks at all workers; want_locks: of those that may take it one day soon. */
static void survey(core *self, const core_request *r, bool all, bool want_locks, core_decision *d)
{
    core_worker *w;
    for (size_t pos = 0; (w = pw_table_next(self->workers, &pos));) {
        core_block k = core_worker_block(self, w, r);
        if (k == BLOCK_REMOVED)
            continue;
        d->workers++;
        if (usable(k)) {
            d->fit++;
            d->slots += w->row.slots;
            d->busy += w->busy;
        }
        if (!d->worker || k == BLOCK_NONE || (d->block != BLOCK_NONE && k > d->block)) {
            d->worker = w;
            d->block = k;
        }
        if (usable(k) && want_locks)
            want(self, r, w);
        if (usable(k) && !all && !want_locks)
            return;
    }
}

static bool any_lock(const core_request *r)
{
    size_t n;
    (void)core_request_locks(r, &n);
    return n > 0;
}

void core_decide(core *self, core_round *round, const core_request *r, bool all, core_decision *ret)
{
    core_decision d = {.reason = REASON_SLOTS};
    bool locks = any_lock(r);
    *ret = (core_decision){.reason = core_kept_back(r)};
    if (ret->reason != REASON_START)
        return;
    if (core_why_full(self))
        d.reason = REASON_FULL;
    else if (locks_free(self, r, NULL, &d) && (d.worker = pick(self, round, r, &d)))
        d.reason = REASON_START;
    *ret = d;
    if (d.reason == REASON_START || (!all && !locks))
        return;
    ret->worker = NULL;
    survey(self, r, all, false, ret);
    if (d.reason == REASON_FULL)
        return;
    if (!ret->workers)
        ret->reason = REASON_NO_WORKER;
    else if (!ret->worker || !usable(ret->block))
        ret->reason = REASON_WORKER;
    if (ret->reason == REASON_NO_WORKER || ret->reason == REASON_WORKER || !locks)
        return; /* who could not begin with all locks free holds up nobody */
    core_decision none = {0};
    want(self, r, NULL);
    survey(self, r, false, true, &none);
}
