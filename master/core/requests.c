/* Build sets and requests: making them, merging waiting ones (collapse), ending them. */
#include "master/core/parts.h"
#include "master/store/graph.h"

#include <stdlib.h>
#include <string.h>

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

bool core_request_mergeable(const core_request *a, const core_request *b)
{
    return a->builder->row == b->builder->row && a->stamp->project_row == b->stamp->project_row &&
           a->props_len == b->props_len && strcmp(a->stamp->branch, b->stamp->branch) == 0 &&
           (a->props_len == 0 || memcmp(a->props, b->props, a->props_len) == 0);
}

bool core_request_waits(const core_request *r)
{
    return (r->pos || r->out) && !r->build;
}

core_request *core_request_new(core *self, const store_request *row, core_builder *b,
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
                        .by = by,
                        .result = PW_NO_RESULT};
    if (row->props_len > 0) {
        r->props = malloc(row->props_len);
        if (!r->props)
            goto fail;
        memcpy(r->props, row->props, row->props_len);
        r->props_len = row->props_len;
    }
    r->waited = pw_table_get(self->waits, r->buildset) ? r->buildset : 0;
    r->trusted = core_trusted(self, r);
    if (pw_table_put(self->requests, r->id, r, &err) < 0)
        goto fail;
    r->merge = r->collapse ? merge_key(r) : 0;
    if (core_branch_put(self, r, &err) < 0) {
        (void)pw_table_del(self->requests, r->id);
        goto fail;
    }
    if (core_lane_put(self, r, &err) < 0 || queue_push(b, r) < 0) {
        core_lane_del(self, r);
        core_branch_del(self, r);
        (void)pw_table_del(self->requests, r->id);
        goto fail;
    }
    b->open++;
    return r;
fail:
    core_stamp_unref(stamp);
    if (r)
        free(r->props);
    free(r);
    (void)core_nomem(self);
    return NULL;
}

bool core_request_queue(core *self, core_request *r)
{
    bool out = r->needs || r->hold || r->held;
    if (out == r->out)
        return true;
    r->out = out;
    if (out) {
        self->n_out++;
        queue_remove(r->builder, r);
        return true;
    }
    self->n_out--;
    self->dispatch = true;
    return queue_push(r->builder, r) == 0 || (core_nomem(self), false);
}

core_request *core_request_load(core *self, const store_request *row)
{
    store_task t = {0};
    int code = store_task_get(self->st, row->id, &t, NULL);
    if (code < 0 && code != PW_ENOTFOUND)
        return NULL;
    core_builder *b = t.pipeline && t.hold != HOLD_READING
                          ? core_pipe_builder(self, t.pipeline, row->builder, t.parent)
                          : core_builder_by_row(self, row->builder, t.parent);
    core_stamp *s = core_stamp_load(self, row->stamp);
    if (!b || !s) {
        core_stamp_unref(s);
        return NULL;
    }
    core_request *r = core_request_new(self, row, b, s, core_set_by(self, row->buildset));
    pw_err err = {0};
    if (r && r->merge && pw_table_put(self->mergeable, r->merge, r, &err) < 0) {
        core_request_drop(self, r);
        return NULL;
    }
    if (r && row->state == REQ_WAITING)
        core_testfix_load(self, r);
    if (r) {
        r->hold = t.hold;
        (void)core_request_queue(self, r);
    }
    return r;
}

void core_request_drop(core *self, core_request *r)
{
    queue_remove(r->builder, r);
    core_lane_del(self, r);
    core_branch_del(self, r);
    self->n_gated -= r->gated;
    self->n_held -= r->held != 0;
    if (r->merge && pw_table_get(self->mergeable, r->merge) == r)
        (void)pw_table_del(self->mergeable, r->merge);
    (void)pw_table_del(self->requests, r->id);
    self->n_out -= r->out;
    r->builder->open--;
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
    if ((self->follows || pw_table_count(self->waits)) &&
        !rode_with) /* one that rode ends with the other */
        core_set_touched(self, r);
    if (r->set)
        core_set_over(self, r, rode_with);
    core_request_drop(self, r);
}
