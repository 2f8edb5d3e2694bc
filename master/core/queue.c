/* The waiting requests of a builder, in queues of those that ask for the same: when the first of a
 * queue cannot begin, none of it can, so a decision looks at the first ones only. Within a queue a
 * treap by key (priority aged by waiting time), then id: adding, removing and the number of those
 * before one cost O(log n). Its shape is a function of the ids, so the same events give the same
 * effects; depth is about 2 ln n. */
#include "master/core/parts.h"

#include <stdlib.h>
#include <string.h>

/* A request gains 1 priority for each CORE_AGE_STEP_MS, so the order between two never changes and
 * a fixed key serves. */
int64_t queue_key(int64_t prio, pw_msec created)
{
    return created - prio * CORE_AGE_STEP_MS;
}

bool queue_before(const core_request *a, const core_request *b)
{
    return a->key != b->key ? a->key < b->key : a->id < b->id;
}

/* ---- what is asked for */
const pl_lock *core_request_locks(const core_request *r, size_t *ret_n)
{
    const pl_builder *def = core_request_def(r);
    if (r->build) { /* as its job was frozen */
        *ret_n = r->build->n_locks;
        return r->build->locks;
    }
    *ret_n = def ? def->n_locks : 0;
    return def ? def->locks : NULL;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* All that decides where and when a build may begin, but for its place in the order. */
static bool same_needs(const core_request *a, const core_request *b)
{
    const pl_builder *x = core_request_def(a), *y = core_request_def(b);
    size_t n, m;
    const pl_lock *l = core_request_locks(a, &n), *k = core_request_locks(b, &m);
    if (!x != !y || n != m || a->waited != b->waited || a->trusted != b->trusted ||
        !same_text(x ? x->isolation : NULL, y ? y->isolation : NULL))
        return false;
    for (size_t i = 0; i < n && l != k; i++)
        if (strcmp(l[i].name, k[i].name) != 0 || l[i].exclusive != k[i].exclusive)
            return false;
    if (x == y)
        return true;
    for (size_t i = 0; i < x->tags.n && x->tags.n == y->tags.n; i++)
        if (strcmp(x->tags.v[i], y->tags.v[i]) != 0)
            return false;
    return x->tags.n == y->tags.n && same_text(x->requires ? expr_text(x->requires) : NULL,
                                               y->requires ? expr_text(y->requires) : NULL);
}

/* ---- the treap */
static uint64_t weight(const core_request *r)
{
    uint64_t z = r->id * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static size_t size(const core_request *t)
{
    return t ? t->size : 0;
}

static core_request *sized(core_request *t)
{
    t->size = 1 + size(t->left) + size(t->right);
    return t;
}

static core_request *merge(core_request *a, core_request *b)
{
    if (!a || !b)
        return a ? a : b;
    if (weight(a) > weight(b)) {
        a->right = merge(a->right, b);
        return sized(a);
    }
    b->left = merge(a, b->left);
    return sized(b);
}

/* Those before r, and those behind it. */
static void split(core_request *t, const core_request *r, core_request **ret_before,
                  core_request **ret_behind)
{
    if (!t) {
        *ret_before = *ret_behind = NULL;
    } else if (queue_before(t, r)) {
        split(t->right, r, &t->right, ret_behind);
        *ret_before = sized(t);
    } else {
        split(t->left, r, ret_before, &t->left);
        *ret_behind = sized(t);
    }
}

static core_request *insert(core_request *t, core_request *r)
{
    if (!t || weight(r) > weight(t)) {
        split(t, r, &r->left, &r->right);
        return sized(r);
    }
    if (queue_before(r, t))
        t->left = insert(t->left, r);
    else
        t->right = insert(t->right, r);
    return sized(t);
}

static core_request *erase(core_request *t, core_request *r)
{
    if (t == r)
        return merge(r->left, r->right);
    if (queue_before(r, t))
        t->left = erase(t->left, r);
    else
        t->right = erase(t->right, r);
    return sized(t);
}

static core_request *leftmost(core_request *t)
{
    while (t && t->left)
        t = t->left;
    return t;
}

size_t queue_rank(const core_queue *q, const core_request *r)
{
    size_t n = 0;
    for (const core_request *t = q->root; t;) {
        if (queue_before(t, r)) {
            n += size(t->left) + 1;
            t = t->right;
        } else {
            t = t->left;
        }
    }
    return n;
}

/* ---- a builder's queues */
int queue_push(core_builder *b, core_request *r)
{
    if (r->pos)
        return 0;
    core_queue *q = b->queue, *empty = NULL;
    while (q && (!q->root || !same_needs(q->root, r))) {
        empty = q->root ? empty : q;
        q = q->next;
    }
    q = q ? q : empty;
    if (!q) {
        q = calloc(1, sizeof(*q));
        if (!q)
            return PW_ENOMEM;
        q->next = b->queue;
        b->queue = q;
    }
    r->key = queue_key(r->prio + (r->waited ? CORE_WAITED_PRIO : 0), r->created);
    r->left = r->right = NULL;
    r->pos = q;
    q->root = insert(q->root, r);
    q->first = leftmost(q->root);
    b->n++;
    return 0;
}

void queue_remove(core_builder *b, core_request *r)
{
    core_queue *q = r->pos;
    if (!q)
        return;
    q->root = erase(q->root, r);
    q->first = leftmost(q->root);
    r->pos = NULL;
    b->n--;
}

void queue_sweep(core_builder *b)
{
    for (core_queue **at = &b->queue; *at && b->queue->next;) {
        core_queue *q = *at;
        if (q->root) {
            at = &q->next;
        } else {
            *at = q->next;
            free(q);
        }
    }
}

void queue_free(core_builder *b)
{
    while (b->queue) {
        core_queue *q = b->queue;
        b->queue = q->next;
        free(q);
    }
}
