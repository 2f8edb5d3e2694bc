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

static core_request *request_new(core *self, const store_request *row, core_builder *b, core_stamp *stamp)
{
    core_request *r = calloc(1, sizeof(*r));
    pw_err err = {0};
    if (!r)
        goto fail;
    *r = (core_request){.id = row->id, .buildset = row->buildset, .builder = b, .stamp = stamp, .prio = row->prio,
                        .created = row->created, .collapse = row->collapse};
    if (row->props_len > 0) {
        r->props = malloc(row->props_len);
        if (!r->props)
            goto fail;
        memcpy(r->props, row->props, row->props_len);
        r->props_len = row->props_len;
    }
    if (pw_table_put(self->requests, r->id, r, &err) < 0)
        goto fail;
    if (queue_push(b, r) < 0) {
        (void)pw_table_del(self->requests, r->id);
        goto fail;
    }
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
    return request_new(self, row, b, s);
}

void core_request_drop(core *self, core_request *r)
{
    queue_remove(r->builder, r);
    (void)pw_table_del(self->requests, r->id);
    core_stamp_unref(r->stamp);
    free(r->props);
    free(r);
}

void core_request_finish(core *self, core_request *r, uint64_t rode_with)
{
    pw_err err = {0};
    if (!core_turn(self) || !core_ok(self, store_request_done(self->st, r->id, rode_with, &err), &err))
        return;
    core_note_event(self, EVENT_REQUEST, r->id);
    core_request_drop(self, r);
}

/* Waiting requests of the same builder and branch, without properties of their own, ride with the new one. The heap of one
 * builder is walked; since each arrival merges what it finds, at most one such request per branch is ever in it. */
static void collapse_into(core *self, core_builder *b, const core_stamp *stamp, uint64_t into)
{
    for (size_t i = 0; i < b->n; i++) {
        core_request *r = b->heap[i];
        if (r->id != into && r->collapse && !r->build && r->props_len == 0 && r->stamp->project_row == stamp->project_row &&
            strcmp(r->stamp->branch, stamp->branch) == 0) {
            core_request_finish(self, r, into);
            return;
        }
    }
}

uint64_t core_ask_builds(core *self, const core_ask *ask, uint64_t *ret_ids)
{
    pw_err err = {0};
    pw_msec now = pw_wall(self->host);
    uint64_t set = self->next_buildset;
    if (!core_turn(self) ||
        !core_ok(self, store_buildset_add(self->st, set, ask->scheduler, ask->reason, ask->who, ask->stamp->id, now, &err), &err))
        return 0;
    self->next_buildset++;
    for (size_t i = 0; i < ask->n_builders; i++) {
        core_builder *b = &self->builder[ask->builders[i]];
        store_request row = {.id = self->next_id, .buildset = set, .builder = b->row, .stamp = ask->stamp->id, .prio = ask->prio,
                             .created = now, .collapse = ask->collapse && b->conf->collapse,
                             .props = (uint8_t *)(uintptr_t)ask->props, .props_len = ask->props_len};
        if (!core_ok(self, store_request_add(self->st, &row, &err), &err))
            return 0;
        self->next_id++;
        if (!request_new(self, &row, b, core_stamp_ref(ask->stamp)))
            return 0;
        core_note_event(self, EVENT_REQUEST, row.id);
        if (row.collapse && row.props_len == 0)
            collapse_into(self, b, ask->stamp, row.id);
        if (ret_ids)
            ret_ids[i] = row.id;
    }
    self->dispatch = true;
    return set;
}
