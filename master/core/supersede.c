/* A newer commit of a branch cancels the older builds of the same builder, where the scheduler that
 * asked for them says so. A lane is the open requests of such schedulers for one builder and
 * branch, newest first. */
#include "master/core/parts.h"
#include "master/store/sched.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* FNV-1a */
static uint64_t hash(uint64_t h, const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const uint8_t *)p)[i]) * UINT64_C(0x100000001b3);
    return h;
}

static bool same_lane(const core_request *a, const core_request *b)
{
    return a->builder->row == b->builder->row && a->stamp->project_row == b->stamp->project_row &&
           strcmp(a->stamp->branch, b->stamp->branch) == 0;
}

int core_lane_put(core *self, core_request *r, pw_err *err)
{
    if (!r->by || r->by->supersede == SUPERSEDE_NONE || r->stamp->proposal == CORE_TRIED)
        return 0; /* a try is no commit of its branch, also where a step of it triggers builds */
    uint64_t h = hash(UINT64_C(0xcbf29ce484222325), &r->builder->row, sizeof(r->builder->row));
    h = hash(h, &r->stamp->project_row, sizeof(r->stamp->project_row));
    h = hash(h, r->stamp->branch, strlen(r->stamp->branch));
    h = h ? h : 1;
    core_request *head = pw_table_get(self->lanes, h);
    if (head && !same_lane(head, r))
        return 0; /* two lanes of one number: this one is built to its end */
    int code = pw_table_put(self->lanes, h, r, err);
    if (code < 0)
        return code;
    r->lane = h;
    r->older = head;
    if (head)
        head->newer = r;
    return 0;
}

void core_lane_del(core *self, core_request *r)
{
    if (!r->lane)
        return;
    if (r->newer)
        r->newer->older = r->older;
    else if (!r->older)
        (void)pw_table_del(self->lanes, r->lane);
    else if (pw_table_put(self->lanes, r->lane, r->older, NULL) < 0)
        (void)core_nomem(self);
    if (r->older)
        r->older->newer = r->newer;
    r->lane = 0;
    r->older = r->newer = NULL;
}

bool core_request_late(core *self, const core_request *a, const core_request *b)
{
    uint64_t x = 0, y = 0;
    pw_err err = {0};
    if (a->buildset < b->buildset) /* its pipeline file came late */
        return true;
    if (!a->by || a->by->kind != SCHED_DEPENDENT)
        return false;
    return core_ok(self, store_change_newest(self->st, a->stamp->id, &x, &err), &err) &&
           core_ok(self, store_change_newest(self->st, b->stamp->id, &y, &err), &err) && x < y;
}

static void reason_text(char out[60], const core_request *by)
{
    (void)snprintf(out, 60, "superseded by request %" PRIu64, by->id);
}

void core_supersede(core *self, core_request *r)
{
    char reason[60];
    if (!r->lane || r->held)
        return;
    if (r->older && core_request_late(self, r, r->older)) {
        reason_text(reason, r->older);
        core_request_end(self, r, reason);
        return;
    }
    reason_text(reason, r);
    for (core_request *o = r->older, *next; o && !self->fault.code; o = next) {
        bool live = o->build && o->build->live;
        next = o->older;
        if (store_rev_equal(&o->stamp->rev, &r->stamp->rev) ||
            (live && o->by->supersede != SUPERSEDE_RUNNING))
            continue;
        if (live)
            core_build_cancel(self, o->build, reason);
        else
            core_request_end(self, o, reason);
    }
}
