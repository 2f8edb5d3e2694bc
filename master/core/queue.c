/* A builder's waiting requests: a binary heap by key (priority aged by waiting time), then id;
 * every request knows its place, so one can be taken out of the middle. */
#include "master/core/model.h"

#include <stdlib.h>

/* A request gains 1 priority for each CORE_AGE_STEP_MS, so the order between two never changes and
 * a fixed key serves. */
int64_t queue_key(int64_t prio, pw_msec created)
{
    return created - prio * CORE_AGE_STEP_MS;
}

static bool before(const core_request *a, const core_request *b)
{
    return a->key != b->key ? a->key < b->key : a->id < b->id;
}

static void put(core_builder *b, size_t i, core_request *r)
{
    b->heap[i] = r;
    r->pos = i + 1;
}

static void sift_up(core_builder *b, size_t i)
{
    core_request *r = b->heap[i];
    while (i > 0 && before(r, b->heap[(i - 1) / 2])) {
        put(b, i, b->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(b, i, r);
}

static void sift_down(core_builder *b, size_t i)
{
    core_request *r = b->heap[i];
    for (;;) {
        size_t k = 2 * i + 1;
        if (k >= b->n)
            break;
        if (k + 1 < b->n && before(b->heap[k + 1], b->heap[k]))
            k++;
        if (!before(b->heap[k], r))
            break;
        put(b, i, b->heap[k]);
        i = k;
    }
    put(b, i, r);
}

int queue_push(core_builder *b, core_request *r)
{
    if (r->pos)
        return 0;
    if (b->n == b->cap) {
        size_t cap = b->cap ? 2 * b->cap : 16;
        core_request **v = realloc(b->heap, cap * sizeof(*v));
        if (!v)
            return PW_ENOMEM;
        b->heap = v;
        b->cap = cap;
    }
    r->key = queue_key(r->prio, r->created);
    b->heap[b->n] = r;
    sift_up(b, b->n++);
    return 0;
}

void queue_remove(core_builder *b, core_request *r)
{
    if (!r->pos)
        return;
    size_t i = r->pos - 1;
    core_request *last = b->heap[--b->n];
    r->pos = 0;
    if (last == r)
        return;
    put(b, i, last);
    sift_up(b, i);
    sift_down(b, last->pos - 1);
}
