/* Freeing. */
#include "shared/pipeline/pipeline.h"

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
    free(s->shell);
    free(s->dir);
    pl_pairs_free(s->env, s->n_env);
    free(s->mode);
    pl_pairs_free(s->with, s->n_with);
    pl_strs_clear(&s->paths);
    pl_strs_clear(&s->keys);
}

void pl_builder_clear(pl_builder *b)
{
    free(b->name);
    pl_strs_clear(&b->tags);
    pl_pairs_free(b->env, b->n_env);
    pl_pairs_free(b->properties, b->n_properties);
    free(b->isolation);
    for (size_t i = 0; i < b->n_steps; i++)
        step_clear(&b->steps[i]);
    free(b->steps);
    pl_strs_clear(&b->secrets);
}
