/* [testfix]: while a branch is red, only changes whose message says that they mend it are built.
 *
 * A request that a scheduler with `testfix` makes for other changes is *gated*. It is *held*, which
 * is: out of its builder's queue, while the newest deciding build of any of the scheduler's
 * required builders on that branch is red. So being held follows from rows alone (`decided`, who
 * asked), and is looked at again whenever a build decides and after each load. The row `testfix` of
 * a gated request is for those who read: how far back changes wait, and since which build. */
#include "master/core/parts.h"
#include "master/store/sched.h"

#include <string.h>

uint64_t core_testfix_since(core *self, const config_scheduler *by, const char *branch)
{
    uint64_t first = 0;
    for (size_t i = 0; by->testfix && i < by->n_builders; i++) {
        const core_builder *b = &self->builder[by->builders[i]];
        pw_result result = PW_NO_RESULT;
        uint64_t since = 0;
        pw_err err = {0};
        if (!b->conf->required)
            continue;
        int r = store_decided_get(self->st, b->row, branch, &result, &since, &err);
        if (r != PW_ENOTFOUND && !core_ok(self, r, &err))
            return 0;
        if (r == 0 && pw_result_red(result) && (!first || since < first))
            first = since;
    }
    return first;
}

static bool row(core *self, const core_request *r, uint64_t held)
{
    pw_err err = {0};
    return core_turn(self) && core_ok(self,
                                      store_testfix_put(self->st, r->id, r->stamp->project_row,
                                                        r->stamp->branch, r->change, held, &err),
                                      &err);
}

static void hold(core *self, core_request *r, uint64_t since)
{
    self->n_held += since != 0;
    self->n_held -= r->held != 0;
    r->held = since;
    (void)core_request_queue(self, r);
}

void core_testfix_merge(core *self, core_request *into, const core_request *r)
{
    if (into->gated && !r->gated) {
        into->gated = false; /* it has no row yet */
        self->n_gated--;
    }
    if (r->gated && r->change && (!into->change || r->change < into->change))
        into->change = r->change;
}

/* What is held rides with a change that is built, whatever `collapse` says. */
static void ride(core *self, const core_request *into)
{
    core_request *r;
    for (size_t pos = 0; self->n_held && (r = pw_table_next(self->requests, &pos));)
        if (r->held && r->by == into->by && r->builder->row == into->builder->row &&
            r->stamp->project_row == into->stamp->project_row &&
            strcmp(r->stamp->branch, into->stamp->branch) == 0)
            core_request_finish(self, r, into->id);
}

void core_testfix_new(core *self, core_request *r)
{
    uint64_t since = r->gated ? core_testfix_since(self, r->by, r->stamp->branch) : 0;
    if (r->gated && row(self, r, since))
        hold(self, r, since);
    if (!r->held && r->by && r->by->testfix)
        ride(self, r);
}

void core_testfix_load(core *self, core_request *r)
{
    uint64_t change = 0, held = 0;
    pw_err err = {0};
    int code = store_testfix_get(self->st, r->id, &change, &held, &err);
    if (code == PW_ENOTFOUND || !core_ok(self, code, &err))
        return;
    r->gated = true;
    r->change = change;
    self->n_gated++;
    if (!r->by || !r->by->testfix || !r->builder->conf) {
        core_testfix_leave(self, r); /* the configuration holds it no more */
        return;
    }
    uint64_t since = core_testfix_since(self, r->by, r->stamp->branch);
    if (since == held || row(self, r, since))
        hold(self, r, since);
}

void core_testfix_leave(core *self, core_request *r)
{
    pw_err err = {0};
    if (!r->gated)
        return;
    self->n_gated--;
    self->n_held -= r->held != 0;
    r->gated = false;
    r->held = 0;
    if (core_turn(self))
        (void)core_ok(self, store_testfix_del(self->st, r->id, &err), &err);
}

void core_testfix_decided(core *self, uint64_t builder, const core_stamp *s, uint64_t build,
                          pw_result result)
{
    pw_result before = PW_SUCCESS;
    uint64_t since = 0;
    pw_err err = {0};
    core_request *r;
    int known = store_decided_get(self->st, builder, s->branch, &before, &since, &err);
    if (s->proposal) /* says nothing of a branch */
        return;
    if ((known != PW_ENOTFOUND && !core_ok(self, known, &err)) ||
        (result != PW_SUCCESS && !pw_result_red(result)) || !core_turn(self) ||
        !core_ok(self, store_decided_put(self->st, builder, s->branch, build, result, &err), &err))
        return;
    if (before == result) /* nothing turned red or green */
        return;
    for (size_t pos = 0; self->n_gated && (r = pw_table_next(self->requests, &pos));) {
        if (!r->gated || !core_request_waits(r) || r->stamp->project_row != s->project_row ||
            strcmp(r->stamp->branch, s->branch) != 0)
            continue;
        since = core_testfix_since(self, r->by, s->branch);
        if (since == r->held || !row(self, r, since))
            continue;
        hold(self, r, since);
        core_note_event(self, EVENT_REQUEST, r->id);
        core_supersede(self, r);
    }
}
