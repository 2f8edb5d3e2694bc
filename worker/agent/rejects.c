#include "worker/agent/rejects.h"

#include <stdlib.h>

void rejects_clear(rejects *self)
{
    free(self->v);
    *self = (rejects){0};
}

void rejects_keep(rejects *self, const reject_answer *r)
{
    if (!self->v)
        self->v = calloc(REJECTS_KEPT, sizeof(*self->v));
    if (self->v)
        self->v[self->next++ % REJECTS_KEPT] = *r;
}

const reject_answer *rejects_find(const rejects *self, spool_job id)
{
    size_t n = self->next < REJECTS_KEPT ? self->next : REJECTS_KEPT;
    for (size_t i = 0; self->v && i < n; i++)
        if (self->v[i].id.epoch == id.epoch && self->v[i].id.attempt == id.attempt)
            return &self->v[i];
    return NULL;
}
