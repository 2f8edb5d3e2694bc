/* Slots of builds that wait in a step for what they triggered. Such a build does nothing, so its
 * slot is lent to one at a time of the builds that it waits for: else one slot, or as many as there
 * are builds that wait, would never be free for what they wait for. The build goes on only when all
 * of those are over, so a worker never has more at work than slots.
 *
 * Lent or not is a matter of what there is, not of history: a build that waits takes no slot while
 * one of those that it waits for is on the same worker. */
#include "master/core/parts.h"

#include <string.h>

#include "master/core/isolation.h"

static core_attempt *waiting(const core *self, const core_wait *x)
{
    core_attempt *a = pw_table_get(self->attempts, x->attempt);
    return a && a->state <= ATT_RUNNING ? a : NULL;
}

static core_wait *waiter_of(const core *self, const core_attempt *a)
{
    const core_build *b = pw_table_get(self->builds, a->build);
    return b && b->live == a ? core_waiter(self, b->request) : NULL;
}

void core_slots_count(core *self, core_worker *w)
{
    core_attempt *a;
    core_wait *x;
    if (!pw_table_count(self->waits))
        return;
    for (size_t pos = 0; (x = pw_table_next(self->waits, &pos));)
        x->here = false;
    w->busy = 0;
    for (size_t pos = 0; (a = core_attempt_next(self, w->row.id, &pos));) {
        if (a->state > ATT_RUNNING)
            continue;
        w->busy++;
        if ((x = waiter_of(self, a)))
            x->here = true;
    }
    for (size_t pos = 0; (x = pw_table_next(self->waits, &pos));) {
        const core_attempt *p = x->here ? waiting(self, x) : NULL;
        w->busy -= p && p->worker == w->row.id;
    }
}

/* One user of the machine is one slot: there is none for a second. */
static bool by_user(const core *self, const core_worker *w, const core_request *r)
{
    const char *kind = NULL;
    char offers[64] = "";
    (void)core_isolation_block(self, w, r, &kind);
    if (!kind && core_fact_get(w->row.facts, "isolation", offers, sizeof(offers)))
        kind = offers;
    return kind && strncmp(kind, "user", 4) == 0;
}

bool core_lends(const core *self, const core_worker *w, const core_request *r)
{
    core_attempt *a;
    const core_wait *x = core_waiter(self, r);
    const core_attempt *p = x ? waiting(self, x) : NULL;
    if (!p || p->worker != w->row.id || by_user(self, w, r))
        return false;
    uint64_t all = 0;
    for (size_t pos = 0; (a = pw_table_next(self->attempts, &pos));) {
        if (a->worker != w->row.id || a->state > ATT_RUNNING)
            continue;
        if (waiter_of(self, a) == x)
            return false; /* another one has it */
        all++;
    }
    return all < PW_SLOTS_MAX;
}

core_worker *core_lender(const core *self, const core_request *r)
{
    const core_wait *x = core_waiter(self, r);
    const core_attempt *p = x ? waiting(self, x) : NULL;
    return p ? core_worker_get(self, p->worker) : NULL;
}

bool core_any_lends(const core *self)
{
    return pw_table_count(self->waits) > 0;
}

bool core_att_lent(const core *self, const core_attempt *a)
{
    const core_wait *x = waiter_of(self, a);
    const core_attempt *p = x ? waiting(self, x) : NULL;
    return p && p->worker == a->worker;
}
