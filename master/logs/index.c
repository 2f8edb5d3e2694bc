/* The live index: which frames a log has, where they lie. Every function is called with the lock
 * held. */
#include <inttypes.h>
#include <stdlib.h>

#include "master/logs/impl.h"

static bool same(log_key a, log_key b)
{
    return a.attempt == b.attempt && a.idx == b.idx && a.stream == b.stream;
}

live *index_find(const logs *self, log_key key)
{
    const group *g = pw_table_get(self->groups, key.attempt);
    live *l = g ? g->first : NULL;
    while (l && !same(l->key, key))
        l = l->next;
    return l;
}

int index_make(logs *self, log_key key, live **ret, pw_err *err)
{
    group *g = pw_table_get(self->groups, key.attempt);
    PW_AUTO(pw_freep) live *l = calloc(1, sizeof(*l));
    if (!l)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (!g) {
        PW_AUTO(pw_freep) group *made = calloc(1, sizeof(*made));
        if (!made)
            return pw_fail(err, PW_ENOMEM, "out of memory");
        int r = pw_table_put(self->groups, key.attempt, made, err);
        if (r < 0)
            return r;
        g = pw_take(made);
        g->attempt = key.attempt;
    }
    l->key = key;
    l->refs = 1;
    l->next = g->first; /* the newest step is the one that is asked for */
    g->first = l;
    *ret = pw_take(l);
    return 0;
}

int index_reserve(live *l, pw_err *err)
{
    if (l->n < l->cap)
        return 0;
    size_t cap = l->cap ? 2 * l->cap : 2;
    frame *v = cap > SIZE_MAX / sizeof(*v) ? NULL : realloc(l->frames, cap * sizeof(*v));
    if (!v)
        return pw_fail(err, PW_ENOMEM, "out of memory for the index of a log");
    l->frames = v;
    l->cap = cap;
    return 0;
}

void index_add(live *l, const frame *f)
{
    l->frames[l->n++] = *f;
    l->bytes = f->raw_pos + f->raw_len;
    l->lines = f->first_line + f->lines;
    l->packed += f->len;
    f->seg->frames++;
}

void index_frame(const void *src, size_t i, frame_at *ret)
{
    const frame *f = &((const live *)src)->frames[i];
    *ret = (frame_at){
        .raw_pos = f->raw_pos,
        .first_line = f->first_line,
        .at = f->at,
        .t_first = f->t_first,
        .raw_len = f->raw_len,
        .lines = f->lines,
        .len = f->len,
        .codec = f->codec,
    };
}

void index_unref(live *l)
{
    if (--l->refs > 0)
        return;
    free(l->frames);
    free(l);
}

void index_drop(logs *self, live *l)
{
    group *g = pw_table_get(self->groups, l->key.attempt);
    live **at = &g->first;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    l->next = NULL;
    if (!g->first)
        free(pw_table_del(self->groups, g->attempt));
    for (size_t i = 0; i < l->n; i++)
        segment_drop_frame(self, l->frames[i].seg);
    free(l->frames);
    l->frames = NULL;
    l->n = l->cap = 0;
    l->gone = true;
    index_unref(l);
}

seal_part index_synced(const live *l, uint64_t synced)
{
    seal_part part = {l->n, l->bytes, l->lines};
    while (part.n > 0 && l->frames[part.n - 1].ticket > synced)
        part.n--;
    if (part.n == l->n)
        return part;
    /* a gap behind the dropped frames goes with them; the next frame tells of it again */
    const frame *last = part.n > 0 ? &l->frames[part.n - 1] : NULL;
    part.bytes = last ? last->raw_pos + last->raw_len : 0;
    part.lines = last ? last->first_line + last->lines : 0;
    return part;
}

static void rollback(logs *self, live *l, uint64_t synced)
{
    seal_part part = index_synced(l, synced);
    if (part.n == l->n)
        return;
    for (size_t i = part.n; i < l->n; i++) {
        l->packed -= l->frames[i].len;
        segment_drop_frame(self, l->frames[i].seg);
    }
    if (!l->sealing) /* it will get them again */
        l->done = false;
    l->n = part.n;
    l->bytes = part.bytes;
    l->lines = part.lines;
    l->rollbacks++;
}

void index_rollback(logs *self, uint64_t synced)
{
    size_t pos = 0;
    const group *g;
    while ((g = pw_table_next(self->groups, &pos)))
        for (live *l = g->first; l; l = l->next)
            rollback(self, l, synced);
}

void index_reset(logs *self, uint64_t synced)
{
    size_t pos = 0;
    const group *g;
    while ((g = pw_table_next(self->groups, &pos)))
        for (live *l = g->first; l; l = l->next) {
            if (l->sealing) { /* the archive thread reads it */
                rollback(self, l, synced);
                l->left = true; /* also when that ends before the rows are read */
                continue;
            }
            for (size_t i = 0; i < l->n; i++)
                segment_drop_frame(self, l->frames[i].seg);
            l->n = 0;
            l->bytes = l->lines = l->packed = 0;
            l->done = false;
            l->rollbacks++;
        }
}

void index_loaded(logs *self)
{
    size_t pos = 0;
    const group *g;
    while ((g = pw_table_next(self->groups, &pos)))
        for (live *l = g->first; l; l = l->next)
            l->left = false;
}

void index_free_all(logs *self)
{
    size_t pos = 0;
    group *g;
    while (self->groups && (g = pw_table_next(self->groups, &pos))) {
        while (g->first) {
            live *l = g->first;
            g->first = l->next;
            index_unref(l);
        }
        free(g);
    }
    self->groups = pw_table_free(self->groups);
}
