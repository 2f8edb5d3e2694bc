/* Which open requests are of a branch: asked for by each change that is told by hand and each
 * branch that goes, however many requests of others wait. Two branches of one number share their
 * lists, so who walks them compares. */
#include "master/core/parts.h"

#include <stdlib.h>
#include <string.h>

/* FNV-1a */
static uint64_t key(uint64_t project_row, const char *branch)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < sizeof(project_row); i++)
        h = (h ^ (uint8_t)(project_row >> 8 * i)) * UINT64_C(0x100000001b3);
    for (const char *p = branch; *p; p++)
        h = (h ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
    return h ? h : 1;
}

static bool is_of(const core_request *r, uint64_t project_row, const char *branch)
{
    return r->stamp->project_row == project_row && strcmp(r->stamp->branch, branch) == 0;
}

static void link_in(core_branch *b, core_request *r, size_t list)
{
    r->side[list].before = b->last[list];
    r->side[list].behind = NULL;
    if (b->last[list])
        b->last[list]->side[list].behind = r;
    else
        b->first[list] = r;
    b->last[list] = r;
}

static void link_out(core_branch *b, core_request *r, size_t list)
{
    core_request *before = r->side[list].before, *behind = r->side[list].behind;
    if (before)
        before->side[list].behind = behind;
    else
        b->first[list] = behind;
    if (behind)
        behind->side[list].before = before;
    else
        b->last[list] = before;
}

int core_branch_put(core *self, core_request *r, pw_err *err)
{
    uint64_t k = key(r->stamp->project_row, r->stamp->branch);
    core_branch *b = pw_table_get(self->branches, k);
    if (!b) {
        b = calloc(1, sizeof(*b));
        if (!b || pw_table_put(self->branches, k, b, err) < 0) {
            free(b);
            return pw_fail(err, PW_ENOMEM, "out of memory");
        }
    }
    link_in(b, r, BRANCH_ALL);
    if (r->merge)
        link_in(b, r, BRANCH_MERGES);
    return 0;
}

void core_branch_del(core *self, core_request *r)
{
    uint64_t k = key(r->stamp->project_row, r->stamp->branch);
    core_branch *b = pw_table_get(self->branches, k);
    link_out(b, r, BRANCH_ALL);
    if (r->merge)
        link_out(b, r, BRANCH_MERGES);
    if (!b->first[BRANCH_ALL]) {
        (void)pw_table_del(self->branches, k);
        free(b);
    }
}

bool core_branch_waits(const core *self, size_t project, const char *branch)
{
    uint64_t row = self->project[project].row;
    const core_branch *b = pw_table_get(self->branches, key(row, branch));
    /* few: those that wait ride with each other, the others run */
    for (const core_request *r = b ? b->first[BRANCH_MERGES] : NULL; r;
         r = r->side[BRANCH_MERGES].behind)
        if (core_request_waits(r) && is_of(r, row, branch))
            return true;
    return false;
}

void core_branch_end(core *self, size_t project, const char *branch)
{
    uint64_t row = self->project[project].row;
    const core_branch *b = pw_table_get(self->branches, key(row, branch));
    size_t n = 0, i = 0;
    for (const core_request *r = b ? b->first[BRANCH_ALL] : NULL; r; r = r->side[BRANCH_ALL].behind)
        n++;
    /* one that ends may end others */
    PW_AUTO(pw_freep) uint64_t *id = calloc(n + 1, sizeof(*id));
    if (!id) {
        (void)core_nomem(self);
        return;
    }
    for (const core_request *r = b ? b->first[BRANCH_ALL] : NULL; r; r = r->side[BRANCH_ALL].behind)
        id[i++] = r->id;
    for (i = 0; i < n && !self->fault.code; i++) {
        core_request *r = pw_table_get(self->requests, id[i]);
        if (r && core_request_waits(r) && is_of(r, row, branch))
            core_request_finish(self, r, 0);
    }
}
