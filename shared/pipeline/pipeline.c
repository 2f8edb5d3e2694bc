/* Freeing. */
#include "shared/pipeline/pipeline.h"
#include "shared/pipeline/read.h"

#include <stdlib.h>

void pl_strs_clear(pl_strs *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i]);
    free(s->v);
}

void pl_pairs_free(pl_pair *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(v[i].name);
        free(v[i].value);
    }
    free(v);
}

static void step_clear(pl_step *s)
{
    free(s->name);
    free(s->kind);
    free(s->script);
    pl_strs_clear(&s->argv);
    pl_strs_clear(&s->artifacts);
    pl_reports_free(s->reports, s->n_reports);
    free(s->shell);
    free(s->dir);
    pl_pairs_free(s->env, s->n_env);
    free(s->mode);
    free(s->cond);
    pl_pairs_free(s->with, s->n_with);
    pl_strs_clear(&s->paths);
    pl_strs_clear(&s->keys);
}

static void combos_free(pl_combo *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        pl_pairs_free(v[i].v, v[i].n);
    free(v);
}

void pl_builder_clear(pl_builder *b)
{
    free(b->name);
    pl_strs_clear(&b->needs);
    free(b->need);
    for (size_t i = 0; i < b->n_axes; i++) {
        free(b->axes[i].name);
        pl_strs_clear(&b->axes[i].values);
    }
    free(b->axes);
    combos_free(b->include, b->n_include);
    combos_free(b->exclude, b->n_exclude);
    glob_free(b->run_if_changed);
    pl_strs_clear(&b->tags);
    (void)expr_free(b->requires);
    for (size_t i = 0; i < b->n_locks; i++)
        free(b->locks[i].name);
    free(b->locks);
    pl_pairs_free(b->env, b->n_env);
    pl_pairs_free(b->properties, b->n_properties);
    free(b->isolation);
    for (size_t i = 0; i < b->n_steps; i++)
        step_clear(&b->steps[i]);
    free(b->steps);
    pl_strs_clear(&b->secrets);
}

void pl_allow_clear(pl_allow *a)
{
    glob_free(a->tags);
    glob_free(a->isolation);
    pl_strs_clear(&a->secrets);
    pl_strs_clear(&a->locks);
    pl_strs_clear(&a->triggers);
}

pl_file *pl_ref(pl_file *self)
{
    __atomic_add_fetch(&self->refs, 1, __ATOMIC_RELAXED);
    return self;
}

pl_file *pl_unref(pl_file *self)
{
    if (!self || __atomic_sub_fetch(&self->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return NULL;
    for (size_t i = 0; i < self->n_builders; i++)
        pl_builder_clear(&self->builders[i]);
    free(self->builders);
    free(self);
    return NULL;
}
