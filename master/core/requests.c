/* Build sets and requests: making them, merging waiting ones (collapse), ending them. */
#include "master/core/model.h"

#include <stdlib.h>
#include <string.h>

core_builder *core_builder_by_row(core *self, uint64_t row)
{
    for (size_t i = 0; i < self->n_builders; i++)
        if (self->builder[i].row == row)
            return &self->builder[i];
    for (core_builder *b = self->gone; b; b = b->next)
        if (b->row == row)
            return b;
    core_builder *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    b->row = row;
    b->project = SIZE_MAX;
    b->next = self->gone;
    self->gone = b;
    return b;
}

/* FNV-1a */
static uint64_t hash(uint64_t h, const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const uint8_t *)p)[i]) * UINT64_C(0x100000001b3);
    return h;
}

static uint64_t merge_key(const core_request *r)
{
    uint64_t h = hash(UINT64_C(0xcbf29ce484222325), &r->builder->row, sizeof(r->builder->row));
    h = hash(h, &r->stamp->project_row, sizeof(r->stamp->project_row));
    h = hash(h, r->stamp->branch, strlen(r->stamp->branch) + 1);
    h = hash(h, r->props, r->props_len);
    return h ? h : 1;
}

static bool mergeable(const core_request *a, const core_request *b)
{
    return a->builder == b->builder && a->stamp->project_row == b->stamp->project_row &&
           a->props_len == b->props_len && strcmp(a->stamp->branch, b->stamp->branch) == 0 &&
           (a->props_len == 0 || memcmp(a->props, b->props, a->props_len) == 0);
}

bool core_request_waits(const core_request *r)
{
    return (r->pos || r->held) && !r->build;
}

static core_request *request_new(core *self, const store_request *row, core_builder *b,
                                 core_stamp *stamp, const config_scheduler *by)
{
    core_request *r = calloc(1, sizeof(*r));
    pw_err err = {0};
    if (!r)
        goto fail;
    *r = (core_request){.id = row->id,
                        .buildset = row->buildset,
                        .builder = b,
                        .stamp = stamp,
                        .prio = row->prio,
                        .created = row->created,
                        .collapse = row->collapse,
                        .by = by};
    if (row->props_len > 0) {
        r->props = malloc(row->props_len);
        if (!r->props)
            goto fail;
        memcpy(r->props, row->props, row->props_len);
        r->props_len = row->props_len;
    }
    r->trusted = core_trusted(self, r);
    if (pw_table_put(self->requests, r->id, r, &err) < 0)
        goto fail;
    if (core_lane_put(self, r, &err) < 0 || queue_push(b, r) < 0) {
        core_lane_del(self, r);
        (void)pw_table_del(self->requests, r->id);
        goto fail;
    }
    r->merge = r->collapse ? merge_key(r) : 0;
    return r;
fail:
    core_stamp_unref(stamp);
    if (r)
        free(r->props);
    free(r);
    (void)core_nomem(self);
    return NULL;
}

core_request *core_request_load(core *self, const store_request *row)
{
    core_builder *b = core_builder_by_row(self, row->builder);
    core_stamp *s = core_stamp_load(self, row->stamp);
    if (!b || !s) {
        core_stamp_unref(s);
        return NULL;
    }
    core_request *r = request_new(self, row, b, s, core_set_by(self, row->buildset));
    pw_err err = {0};
    if (r && r->merge && pw_table_put(self->mergeable, r->merge, r, &err) < 0) {
        core_request_drop(self, r);
        return NULL;
    }
    if (r && row->state == REQ_WAITING)
        core_testfix_load(self, r);
    return r;
}

void core_request_drop(core *self, core_request *r)
{
    queue_remove(r->builder, r);
    core_lane_del(self, r);
    self->n_gated -= r->gated;
    self->n_held -= r->held != 0;
    if (r->merge && pw_table_get(self->mergeable, r->merge) == r)
        (void)pw_table_del(self->mergeable, r->merge);
    (void)pw_table_del(self->requests, r->id);
    core_stamp_unref(r->stamp);
    free(r->props);
    free(r);
}

void core_request_finish(core *self, core_request *r, uint64_t rode_with)
{
    pw_err err = {0};
    if (!core_turn(self) ||
        !core_ok(self, store_request_done(self->st, r->id, rode_with, &err), &err))
        return;
    core_note_event(self, EVENT_REQUEST, r->id);
    core_testfix_leave(self, r);
    if (self->follows && !rode_with) /* one that rode ends with the other */
        core_set_touched(self, r);
    core_request_drop(self, r);
}

/* The waiting request of the same builder, branch and properties rides with the new one. Each
 * arrival takes the place of the one before, so there is never more than one. False: the new one is
 * of an older change, rides with the other, and is gone. */
static bool collapse_into(core *self, core_request *into)
{
    pw_err err = {0};
    core_request *r = pw_table_get(self->mergeable, into->merge);
    bool ride = r && r != into && core_request_waits(r) && mergeable(r, into);
    if (ride && core_request_late(self, into, r)) {
        core_request_finish(self, into, r->id);
        return false;
    }
    if (ride) {
        core_testfix_merge(self, into, r);
        core_request_finish(self, r, into->id);
    }
    return core_ok(self, pw_table_put(self->mergeable, into->merge, into, &err), &err);
}

bool core_branch_waits(const core *self, size_t project, const char *branch)
{
    const core_request *r;
    for (size_t pos = 0; (r = pw_table_next(self->requests, &pos));)
        if (r->merge && core_request_waits(r) &&
            r->stamp->project_row == self->project[project].row &&
            strcmp(r->stamp->branch, branch) == 0)
            return true;
    return false;
}

uint64_t core_ask_builds(core *self, const core_ask *ask, uint64_t *ret_ids)
{
    pw_err err = {0};
    pw_msec now = pw_wall(self->host);
    uint64_t set = self->next_buildset;
    if (!core_turn(self) || !core_ok(self,
                                     store_buildset_add(self->st, set, ask->scheduler, ask->reason,
                                                        ask->who, ask->stamp->id, now, &err),
                                     &err))
        return 0;
    self->next_buildset++;
    if (ask->parent &&
        !core_ok(self, store_buildset_parent(self->st, set, ask->parent, &err), &err))
        return 0;
    for (size_t i = 0; i < ask->n_builders; i++) {
        core_builder *b = &self->builder[ask->builders[i]];
        store_request row = {.id = self->next_id,
                             .buildset = set,
                             .builder = b->row,
                             .stamp = ask->stamp->id,
                             .prio = ask->prio,
                             .created = now,
                             .collapse = ask->collapse && b->conf->collapse,
                             .props = (uint8_t *)(uintptr_t)ask->props,
                             .props_len = ask->props_len};
        if (!core_ok(self, store_request_add(self->st, &row, &err), &err))
            return 0;
        self->next_id++;
        core_request *r = request_new(self, &row, b, core_stamp_ref(ask->stamp), ask->by);
        if (!r)
            return 0;
        r->gated = ask->gated;
        r->change = ask->change;
        self->n_gated += r->gated;
        core_note_event(self, EVENT_REQUEST, row.id);
        if (!r->merge || collapse_into(self, r)) {
            core_testfix_new(self, r);
            core_supersede(self, r);
        }
        if (ret_ids)
            ret_ids[i] = row.id;
    }
    self->dispatch = true;
    return set;
}
