/* names.c - nodes and their names: two lists in each folder, what is and what a power cut cannot
 * take, and between them the changes in order of time. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/impl.h"

static uint32_t hash_of(const char *s, size_t n)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (uint8_t)s[i]) * 16777619u;
    return h;
}

text *vd_text_new(const char *s, size_t n)
{
    text *t = malloc(sizeof(*t) + n + 1);
    if (!t)
        abort();
    *t = (text){.refs = 1, .hash = hash_of(s, n), .len = n};
    memcpy(t->s, s, n);
    t->s[n] = '\0';
    return t;
}

void vd_text_unref(text *t)
{
    if (t && --t->refs == 0)
        free(t);
}

/* ---- nodes */

node *vd_node_new(unsigned m, mode_t mode)
{
    node *n = calloc(1, sizeof(*n));
    if (!n)
        abort();
    n->m = m;
    n->ino = ++the_disk.next_ino;
    n->uid = ++the_disk.next_uid;
    n->mode = mode;
    n->refs = 1;
    n->mtime = n->ctime = disk_wall();
    if (m < DISK_MACHINES)
        TAILQ_INSERT_TAIL(&the_disk.machine[m].nodes, n, all);
    return n;
}

node *vd_node_ref(node *n)
{
    if (n)
        n->refs++;
    return n;
}

static void node_bytes_free(node *n)
{
    free(n->p);
    free(n->changes);
    free(n->undo);
    free(n->lost);
}

void vd_node_unref(node *n)
{
    if (!n || --n->refs > 0)
        return;
    vd_names_clear(&n->now);
    vd_names_clear(&n->kept);
    node_bytes_free(n);
    if (n->m < DISK_MACHINES) {
        the_disk.machine[n->m].used -= n->room;
        TAILQ_REMOVE(&the_disk.machine[n->m].nodes, n, all);
    }
    free(n);
}

void vd_node_wipe(node *n)
{
    names *l[] = {&n->now, &n->kept};
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < l[k]->n; i++)
            vd_text_unref(l[k]->v[i].name);
        free(l[k]->v);
    }
    node_bytes_free(n);
    free(n);
}

/* ---- lists of names */

static size_t index_of(const names *l, const char *s, size_t n, uint32_t hash)
{
    for (size_t i = 0; i < l->n; i++) {
        const text *t = l->v[i].name;
        if (t->hash == hash && t->len == n && memcmp(t->s, s, n) == 0)
            return i;
    }
    return SIZE_MAX;
}

node *vd_names_find(const names *l, const char *s, size_t n)
{
    size_t i = index_of(l, s, n, hash_of(s, n));
    return i == SIZE_MAX ? NULL : l->v[i].to;
}

void vd_names_set(names *l, text *name, node *to)
{
    size_t i = index_of(l, name->s, name->len, name->hash);
    node *was = i == SIZE_MAX ? NULL : l->v[i].to;
    vd_node_ref(to);
    if (was && to) {
        l->v[i].to = to;
    } else if (was) {
        vd_text_unref(l->v[i].name);
        memmove(&l->v[i], &l->v[i + 1], (--l->n - i) * sizeof(*l->v));
    } else if (to) {
        l->v = disk_grow(l->v, &l->cap, l->n + 1, sizeof(*l->v));
        name->refs++;
        l->v[l->n++] = (entry){name, to};
    }
    vd_node_unref(was);
}

void vd_names_clear(names *l)
{
    names old = *l;
    *l = (names){0};
    for (size_t i = 0; i < old.n; i++) {
        vd_text_unref(old.v[i].name);
        vd_node_unref(old.v[i].to);
    }
    free(old.v);
}

static void names_copy(names *to, const names *from)
{
    names l = {.n = from->n};
    l.v = disk_grow(NULL, &l.cap, from->n, sizeof(*l.v));
    for (size_t i = 0; i < l.n; i++) {
        l.v[i] = from->v[i];
        l.v[i].name->refs++;
        vd_node_ref(l.v[i].to);
    }
    vd_names_clear(to);
    *to = l;
}

/* ---- changes of names */

static void change_clear(name_change *c)
{
    if (c->creates)
        c->side[0].to->born_in = NULL;
    for (int i = 0; i < c->sides; i++) {
        vd_text_unref(c->side[i].name);
        vd_node_unref(c->side[i].to);
        vd_node_unref(c->side[i].dir);
    }
}

void vd_name_changed(machine *mc, const side *v, int sides, bool creates)
{
    name_change c = {.seq = ++the_disk.next_seq, .sides = sides, .creates = creates};
    for (int i = 0; i < sides; i++) {
        c.side[i] = v[i];
        v[i].name->refs++;
        vd_node_ref(v[i].dir);
        vd_node_ref(v[i].to);
    }
    if (creates) {
        v[0].to->born = c.seq;
        v[0].to->born_in = v[0].dir;
    }
    mc->changes = disk_grow(mc->changes, &mc->cap_changes, mc->n_changes + 1, sizeof(c));
    mc->changes[mc->n_changes++] = c;
    int64_t now = disk_wall();
    for (int i = 0; i < sides; i++) {
        vd_names_set(&v[i].dir->now, v[i].name, v[i].to);
        v[i].dir->mtime = v[i].dir->ctime = now;
        if (v[i].to) {
            v[i].to->parent = v[i].dir;
            v[i].to->ctime = now;
        }
    }
}

static bool is_durable(const name_change *c)
{
    return c->seq <= c->side[0].dir->limit && (c->sides < 2 || c->seq <= c->side[1].dir->limit);
}

/* The durable changes go into the lists, `all`: the others are forgotten. */
static void apply(machine *mc, bool all)
{
    size_t left = 0;
    for (size_t i = 0; i < mc->n_changes; i++) {
        name_change *c = &mc->changes[i];
        bool durable = is_durable(c);
        for (int k = 0; durable && k < c->sides; k++)
            vd_names_set(&c->side[k].dir->kept, c->side[k].name, c->side[k].to);
        if (durable && c->creates)
            c->side[0].to->settled = true;
    }
    /* a folder goes with its last reference, and `limit` with it: so this is a second walk */
    for (size_t i = 0; i < mc->n_changes; i++)
        if (all || is_durable(&mc->changes[i]))
            mc->changes[i].seq = 0;
    for (size_t i = 0; i < mc->n_changes; i++) {
        name_change c = mc->changes[i];
        if (c.seq == 0)
            change_clear(&c);
        else
            mc->changes[left++] = c;
    }
    mc->n_changes = left;
}

static void limits_reset(machine *mc)
{
    for (size_t i = 0; i < mc->n_changes; i++)
        for (int k = 0; k < mc->changes[i].sides; k++)
            mc->changes[i].side[k].dir->limit = 0;
}

static bool raise_limit(node *dir, uint64_t to)
{
    if (dir->limit >= to)
        return false;
    dir->limit = to;
    return true;
}

/* A rename is in both folders or in none; and the folder of a durable name was made before it, so
 * it is durable too (one journal, in order of time). */
static bool raise_others(machine *mc)
{
    bool more = false;
    for (size_t i = 0; i < mc->n_changes; i++) {
        const name_change *c = &mc->changes[i];
        for (int k = 0; k < c->sides; k++) {
            node *dir = c->side[k].dir;
            if (c->seq > dir->limit)
                continue;
            if (c->sides == 2)
                more |= raise_limit(c->side[1 - k].dir, c->seq);
            if (!dir->settled && dir->born_in)
                more |= raise_limit(dir->born_in, dir->born);
        }
    }
    return more;
}

static void settle(machine *mc, node *dir, uint64_t upto)
{
    limits_reset(mc);
    dir->limit = upto;
    if (!dir->settled && dir->born_in)
        (void)raise_limit(dir->born_in, dir->born);
    while (raise_others(mc))
        ;
    apply(mc, false);
}

void vd_names_settle(machine *mc, node *dir)
{
    if (mc->n_changes > 0)
        settle(mc, dir, the_disk.next_seq);
}

void vd_names_settle_born(machine *mc, node *n)
{
    if (!n->settled && n->born_in)
        settle(mc, n->born_in, n->born);
}

/* ---- power cut */

/* How many of its n volatile changes a folder keeps: nothing, all, or some. */
static size_t how_many(size_t n)
{
    uint64_t how = disk_pick_of(3);
    return how == 0 ? 0 : how == 1 ? n : (size_t)disk_pick_of(n + 1);
}

static bool touches(const name_change *c, const node *dir)
{
    return c->side[0].dir == dir || (c->sides == 2 && c->side[1].dir == dir);
}

static void choose_limit(machine *mc, node *dir)
{
    size_t n = 0, keep;
    for (size_t i = 0; i < mc->n_changes; i++)
        n += touches(&mc->changes[i], dir);
    keep = n ? how_many(n) : 0;
    dir->limit = 0;
    for (size_t i = 0; i < mc->n_changes && keep > 0; i++) {
        if (!touches(&mc->changes[i], dir))
            continue;
        dir->limit = mc->changes[i].seq;
        keep--;
    }
}

static bool lower_others(machine *mc)
{
    bool more = false;
    for (size_t i = 0; i < mc->n_changes; i++) {
        const name_change *c = &mc->changes[i];
        for (int k = 0; k < c->sides && c->sides == 2; k++) {
            node *other = c->side[1 - k].dir;
            if (c->seq <= c->side[k].dir->limit || c->seq > other->limit)
                continue;
            other->limit = c->seq - 1;
            more = true;
        }
    }
    return more;
}

void vd_names_cut(machine *mc)
{
    node *n, *next;
    TAILQ_FOREACH(n, &mc->nodes, all)
    {
        vd_node_ref(n); /* nothing goes while we walk */
        if (S_ISDIR(n->mode))
            choose_limit(mc, n);
    }
    while (lower_others(mc))
        ;
    apply(mc, true);
    TAILQ_FOREACH(n, &mc->nodes, all)
    n->parent = NULL;
    TAILQ_FOREACH(n, &mc->nodes, all)
    {
        if (!S_ISDIR(n->mode))
            continue;
        names_copy(&n->now, &n->kept);
        for (size_t i = 0; i < n->now.n; i++)
            n->now.v[i].to->parent = n;
    }
    for (n = TAILQ_FIRST(&mc->nodes); n; n = next) {
        n->settled = true;
        next = TAILQ_NEXT(n, all); /* it is held yet */
        vd_node_unref(n);
    }
}

void vd_names_forget(machine *mc)
{
    for (size_t i = 0; i < mc->n_changes; i++)
        change_clear(&mc->changes[i]);
    mc->n_changes = 0;
}
