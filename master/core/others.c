/* Builders that are not of `builders` as they stand there: parts of a matrix, builders of pipeline
 * files, builders that are gone. Each is here as long as a request of it is open. */
#include "master/core/parts.h"
#include "master/store/graph.h"

#include <stdlib.h>
#include <string.h>

core_builder *core_builder_other(core *self, uint64_t row, uint64_t parent, size_t project,
                                 const char *name, const pl_builder *def, pl_file *file)
{
    bool failed = false;
    for (core_builder *b = self->others; b; b = b->next)
        if (b->row == row && b->file == file)
            return b;
    core_builder *b = calloc(1, sizeof(*b));
    char *copy = pw_strdup(name, &failed);
    if (!b || failed) {
        free(b);
        free(copy);
        return NULL;
    }
    *b = (core_builder){.row = row,
                        .parent = parent,
                        .project = project,
                        .conf = def,
                        .name = copy,
                        .file = file ? pl_ref(file) : NULL,
                        .top = def && !file ? &self->builder[def - self->conf->builders] : NULL,
                        .next = self->others};
    self->others = b;
    return b;
}

core_builder *core_builder_next(const core *self, core_builder *b)
{
    size_t i = 0;
    if (b && (b < self->builder || b >= self->builder + self->n_builders))
        return b->next;
    if (b)
        i = (size_t)(b - self->builder) + 1;
    return i < self->n_builders ? &self->builder[i] : self->others;
}

void core_builder_free(core_builder *b)
{
    pl_unref(b->file);
    free(b->name);
    queue_free(b);
    free(b);
}

void core_builders_sweep(core *self)
{
    for (core_builder **at = &self->others; *at;) {
        core_builder *b = *at;
        if (b->open) {
            at = &b->next;
            continue;
        }
        *at = b->next;
        core_builder_free(b);
    }
}

void core_instance_clear(pl_instance *x)
{
    free(x->name);
    pl_pairs_free(x->values, x->n_values);
    *x = (pl_instance){0};
}

int core_builder_instance(const core_builder *b, pl_instance *ret, pw_err *err)
{
    pl_instances all;
    int r = pl_expand(b->conf, &all, err);
    if (r < 0)
        return r;
    r = pw_fail(err, PW_EINVAL, "builder \"%s\" has no \"%s\" any more", b->conf->name, b->name);
    for (size_t i = 0; i < all.n; i++) {
        if (strcmp(all.v[i].name, b->name) != 0)
            continue;
        *ret = all.v[i];
        all.v[i] = (pl_instance){0};
        r = 0;
        break;
    }
    pl_instances_clear(&all);
    return r;
}

core_builder *core_builder_by_row(core *self, uint64_t row, uint64_t parent)
{
    PW_AUTO(pw_buf_clearp) pw_buf name = PW_BUF(1000);
    PW_AUTO(core_instance_clear) pl_instance instance = {0};
    uint64_t project_row = 0, from = 0;
    pw_err err = {0};
    core_builder *of = NULL;
    for (size_t i = 0; i < self->n_builders; i++) {
        if (self->builder[i].row == row && !parent)
            return &self->builder[i];
        if (self->builder[i].row == parent)
            of = &self->builder[i];
    }
    for (core_builder *b = self->others; b; b = b->next)
        if (b->row == row && !b->file)
            return b;
    int r = store_builder_row(self->st, row, &project_row, &from, &name, &err);
    if (r < 0 && r != PW_ENOTFOUND)
        return NULL;
    int64_t project = core_project_by_row(self, project_row);
    core_builder *b =
        core_builder_other(self, row, parent, project < 0 ? SIZE_MAX : (size_t)project,
                           pw_buf_str(&name), of ? of->conf : NULL, NULL);
    if (b && b->conf && (r = core_builder_instance(b, &instance, &err)) < 0) {
        if (r != PW_EINVAL)
            return NULL;
        b->conf = NULL; /* its matrix has it no more */
    }
    return b;
}
