/* `retry`: the set of a build again, or what failed of it, at the same revision, as it was asked
 * for. */
#include "master/core/pipeline.h"

#include <inttypes.h>
#include <stdlib.h>

#include "master/core/graph_rule.h"
#include "master/store/graph.h"

typedef struct retry {
    core *self;
    const core_pipe *pipe; /* the builders are of this file; NULL: of the configuration */
    bool failed;           /* only what did */
    size_t *builder;
    size_t n_builders;
    uint64_t *rows_of; /* of all builders that there are */
    size_t n_defs;
    uint64_t *row; /* of the builds, where a builder is several */
    size_t n_rows, open;
} retry;

static void retry_clear(retry *t)
{
    free(t->builder);
    free(t->row);
    free(t->rows_of);
}

/* Which builders there are, where the set was made of: the configuration, or its file. */
static bool builders(retry *t, const core_stamp *s)
{
    core *self = t->self;
    pw_err err = {0};
    int64_t project = core_project_by_row(self, s->project_row);
    bool file = project >= 0 && self->conf->projects[project].pipeline;
    if (file)
        t->pipe = core_pipe_open(self, (size_t)project, &s->rev, false);
    if (self->fault.code || (file && (!t->pipe || !t->pipe->file)))
        return !self->fault.code;
    t->n_defs = file ? t->pipe->file->n_builders : self->n_builders;
    t->rows_of = calloc(t->n_defs + 1, sizeof(*t->rows_of));
    if (!t->rows_of)
        return core_nomem(self), false;
    for (size_t i = 0; i < t->n_defs; i++) {
        if (!file)
            t->rows_of[i] = self->builder[i].row;
        else if (!core_turn(self) ||
                 !core_ok(self,
                          store_builder_id(self->st, s->project_row,
                                           t->pipe->file->builders[i].name, &t->rows_of[i], &err),
                          &err))
            return false;
    }
    return true;
}

static int add_member(void *p, const store_member *m)
{
    retry *t = p;
    uint64_t row = m->parent ? m->parent : m->builder;
    bool good = m->build && graph_good(m->result, false);
    size_t i = 0, k = 0;
    t->open += m->state != REQ_DONE;
    if (m->hold == HOLD_UNCHANGED || (t->failed && (good || m->state != REQ_DONE)))
        return 0;
    while (i < t->n_defs && t->rows_of[i] != row)
        i++;
    if (i == t->n_defs)
        return 0;
    uint64_t *rows = reallocarray(t->row, t->n_rows + 1, sizeof(*rows));
    if (rows)
        t->row = rows;
    size_t *v = reallocarray(t->builder, t->n_builders + 1, sizeof(*v));
    if (v)
        t->builder = v;
    if (!rows || !v)
        return PW_ENOMEM;
    rows[t->n_rows++] = m->builder;
    while (k < t->n_builders && v[k] != i)
        k++;
    v[k] = i;
    t->n_builders += k == t->n_builders;
    return 0;
}

static void again(core *self, core_cmd *c, const store_build *row, const store_request *old)
{
    PW_AUTO(retry_clear) retry t = {.self = self, .failed = c->failed};
    pw_err err = {0};
    uint64_t first = self->next_id;
    PW_AUTO(pw_freep) char *reason = pw_strf("retry of build %" PRIu64, c->id);
    core_stamp *s = core_stamp_load(self, row->stamp);
    int code = s && builders(&t, s)
                   ? store_set_requests(self->st, old->buildset, add_member, &t, &err)
                   : PW_ENOMEM;
    core_ask ask = {.reason = reason,
                    .who = c->actor,
                    .stamp = s,
                    .prio = CORE_FORCE_PRIO,
                    .props = old->props,
                    .props_len = old->props_len,
                    .builders = t.builder,
                    .n_builders = t.n_builders,
                    .person = true,
                    .exact = true,
                    .rows = t.row,
                    .n_rows = t.n_rows,
                    .retry_of = c->id};
    if (code < 0 || !s || !reason) {
        if (!self->fault.code)
            (void)core_nomem(self);
    } else if (t.open && !c->failed) {
        core_cmd_fail(c, 409, "conflict",
                      "the build set of build %" PRIu64 " is not over; what failed of it can be "
                      "repeated now",
                      c->id);
    } else if (!t.n_builders && c->failed) {
        core_cmd_fail(c, 409, "conflict", "nothing of the build set of build %" PRIu64 " failed",
                      c->id);
    } else if (!t.n_builders) {
        core_cmd_fail(c, 409, "conflict",
                      "the builder of build %" PRIu64 " is not in the configuration any more",
                      c->id);
    } else {
        uint64_t set = core_ask_builds(self, &ask, NULL);
        if (set && core_audit(self, c, "retry", reason))
            core_cmd_made(self, c, set, first);
    }
    core_stamp_unref(s);
}

void core_cmd_retry(core *self, core_cmd *c)
{
    store_build row;
    store_request old;
    pw_err err = {0};
    if (store_build_get(self->st, c->id, &row, &err) < 0) {
        core_cmd_fail(c, 404, "not_found", "there is no build %" PRIu64, c->id);
        return;
    }
    if (row.state != BUILD_DONE) {
        core_cmd_fail(c, 409, "conflict", "build %" PRIu64 " is not finished", c->id);
    } else if (core_ok(self, store_request_get(self->st, row.request, &old, &err), &err)) {
        again(self, c, &row, &old);
        store_request_clear(&old);
    }
    store_build_clear(&row);
}
