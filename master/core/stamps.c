#include "master/core/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/store/tries.h"

static core_stamp *stamp_new(uint64_t id, uint64_t project_row, const char *branch,
                             const store_rev *rev)
{
    size_t n = strlen(branch);
    core_stamp *s = malloc(sizeof(*s) + n + 1);
    if (!s)
        return NULL;
    s->id = id;
    s->project_row = project_row;
    s->rev = *rev;
    s->refs = 1;
    s->proposal = 0;
    s->released = false;
    memcpy(s->branch, branch, n + 1);
    return s;
}

core_stamp *core_stamp_make(core *self, uint64_t project_row, const char *branch,
                            const store_rev *rev)
{
    pw_err err = {0};
    uint64_t id;
    if (!core_turn(self) ||
        !core_ok(self, store_stamp_id(self->st, project_row, branch, rev, &id, &err), &err))
        return NULL;
    core_stamp *s = stamp_new(id, project_row, branch, rev);
    if (!s)
        (void)core_nomem(self);
    if (s && (!core_ok(self, store_stamp_proposal(self->st, id, &s->proposal, &err), &err) ||
              !core_ok(self, store_stamp_released(self->st, id, &s->released, &err), &err)))
        return core_stamp_unref(s);
    return s;
}

core_stamp *core_stamp_load(core *self, uint64_t id)
{
    PW_AUTO(pw_buf_clearp) pw_buf branch = PW_BUF(4096);
    uint64_t project;
    store_rev rev;
    if (store_stamp_get(self->st, id, &project, &rev, &branch, NULL) < 0)
        return NULL;
    core_stamp *s = stamp_new(id, project, pw_buf_str(&branch), &rev);
    if (s && (store_stamp_proposal(self->st, id, &s->proposal, NULL) < 0 ||
              store_stamp_released(self->st, id, &s->released, NULL) < 0))
        return core_stamp_unref(s);
    return s;
}

core_stamp *core_stamp_ref(core_stamp *s)
{
    s->refs++;
    return s;
}

core_stamp *core_stamp_unref(core_stamp *s)
{
    if (s && --s->refs == 0)
        free(s);
    return NULL;
}

const char *core_branch_ref(char out[300], const char *branch)
{
    (void)snprintf(out, 300, "refs/heads/%s", branch);
    return out;
}
