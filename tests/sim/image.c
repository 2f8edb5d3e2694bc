/* image.c - images of a machine's disk, and the digest of all. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/impl.h"

/* A folder stands before what it holds. */
typedef struct item {
    size_t up; /* 0: the root, else item + 1 */
    char *name;
    mode_t mode;
    int64_t mtime, ctime;
    uint8_t *p;
    size_t len;
} item;
struct disk_image {
    item *v;
    size_t n, cap;
};

static void take(disk_image *self, const node *dir, size_t up)
{
    for (size_t i = 0; i < dir->now.n; i++) {
        const node *n = dir->now.v[i].to;
        item t = {.up = up,
                  .name = strdup(dir->now.v[i].name->s),
                  .mode = n->mode,
                  .mtime = n->mtime,
                  .ctime = n->ctime};
        if (S_ISREG(n->mode) && n->len > 0) {
            t.len = (size_t)n->len;
            t.p = malloc(t.len);
            if (!t.p)
                abort();
            memcpy(t.p, n->p, t.len);
        }
        self->v = disk_grow(self->v, &self->cap, self->n + 1, sizeof(t));
        self->v[self->n++] = t;
        if (S_ISDIR(n->mode))
            take(self, n, self->n);
    }
}

disk_image *disk_image_take(int m)
{
    disk_image *self = calloc(1, sizeof(*self));
    if (!self)
        abort();
    take(self, the_disk.machine[m].root, 0);
    return self;
}

disk_image *disk_image_free(disk_image *self)
{
    if (!self)
        return NULL;
    for (size_t i = 0; i < self->n; i++) {
        free(self->v[i].name);
        free(self->v[i].p);
    }
    free(self->v);
    free(self);
    return NULL;
}

void disk_image_put(int m, const disk_image *image)
{
    machine *mc = &the_disk.machine[m];
    node **made = calloc(image->n + 1, sizeof(node *)), *n;
    if (!made)
        abort();
    vd_names_forget(mc);
    vd_names_clear(&mc->root->now);
    vd_names_clear(&mc->root->kept);
    TAILQ_FOREACH(n, &mc->nodes, all)
    { /* what is open yet lives on without a name */
        n->parent = NULL;
        n->settled = true;
        n->room = 0;
    }
    mc->used = 0;
    made[0] = mc->root;
    for (size_t i = 0; i < image->n; i++) {
        const item *t = &image->v[i];
        node *dir = made[t->up];
        text *name = vd_text_new(t->name, strlen(t->name));
        n = made[i + 1] = vd_node_new((unsigned)m, t->mode);
        n->settled = true;
        n->parent = dir;
        if (S_ISREG(t->mode))
            vd_node_fill(n, t->p, t->len);
        else if (S_ISDIR(t->mode))
            mc->used += n->room = BLOCK;
        n->mtime = t->mtime;
        n->ctime = t->ctime;
        vd_names_set(&dir->now, name, n);
        vd_names_set(&dir->kept, name, n);
        vd_node_unref(n);
        vd_text_unref(name);
    }
    free(made);
}

/* ---- digest */

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * UINT64_C(0x9fb21c651e98df25);
    return h ^ (h >> 29);
}

static uint64_t mix_bytes(uint64_t h, const void *p, size_t n)
{
    const uint8_t *at = p;
    uint64_t v;
    h = mix(h, n);
    for (; n >= 8; n -= 8, at += 8) {
        memcpy(&v, at, 8);
        h = mix(h, v);
    }
    v = 0;
    if (n > 0)
        memcpy(&v, at, n);
    return mix(h, v);
}

static uint64_t mix_names(uint64_t h, const names *l)
{
    h = mix(h, l->n);
    for (size_t i = 0; i < l->n; i++)
        h = mix(mix_bytes(h, l->v[i].name->s, l->v[i].name->len), l->v[i].to->ino);
    return h;
}

static uint64_t mix_node(uint64_t h, const node *n)
{
    h = mix(mix(h, n->ino), n->mode);
    h = mix_names(mix_names(h, &n->now), &n->kept);
    h = mix(mix_bytes(h, n->p, (size_t)n->len), n->synced_len);
    h = mix(h, n->n_changes);
    for (size_t i = 0; i < n->n_changes; i++) {
        const change *c = &n->changes[i];
        h = mix(mix(mix(mix(h, c->cut), c->from), c->end), c->old_len);
    }
    h = mix_bytes(h, n->undo, n->n_undo);
    for (size_t i = 0; i < n->n_lost; i++)
        h = mix_bytes(mix(h, n->lost[i].sector), n->lost[i].p, SECTOR);
    return h;
}

uint64_t disk_digest(void)
{
    uint64_t h = 1;
    for (size_t m = 0; m < DISK_MACHINES; m++) {
        const machine *mc = &the_disk.machine[m];
        const node *n;
        TAILQ_FOREACH(n, &mc->nodes, all)
        h = mix_node(h, n);
        for (size_t i = 0; i < mc->n_changes; i++)
            for (int k = 0; k < mc->changes[i].sides; k++) {
                const side *s = &mc->changes[i].side[k];
                h = mix(mix_bytes(h, s->name->s, s->name->len), s->dir->ino);
                h = mix(h, s->to ? s->to->ino : 0);
            }
    }
    return h;
}
