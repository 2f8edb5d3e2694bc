/* content.c - the bytes of files: what is written since the last sync, and what a power cut leaves
 * of it. A sector holds what it held at some moment since the sync: writes reach it in order of
 * time, for each sector by itself. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/impl.h"

typedef struct sector {
    uint32_t n;      /* changes that touch it */
    uint32_t lo, hi; /* at least and at most so many of them are kept */
    uint32_t upto;   /* so many before the moment of the cut */
    uint32_t keep;
    bool torn_now; /* the one of that moment touches it */
    bool stopped;  /* a cut of the file that is not kept holds back what comes after */
} sector;

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void reserve(node *n, uint64_t size)
{
    uint64_t cap = n->cap ? n->cap : 1024;
    if (size <= n->cap)
        return;
    while (cap < size)
        cap *= 2;
    n->p = realloc(n->p, cap);
    if (!n->p)
        abort();
    memset(n->p + n->cap, 0, cap - n->cap);
    n->cap = cap;
}

bool vd_node_take_room(node *n, uint64_t end)
{
    machine *mc = &the_disk.machine[n->m];
    uint64_t want = (end + BLOCK - 1) / BLOCK * BLOCK;
    if (want <= n->room)
        return true;
    if (mc->capacity && (mc->used > mc->capacity || want - n->room > mc->capacity - mc->used))
        return false;
    mc->used += want - n->room;
    n->room = want;
    return true;
}

/* How many of `size` bytes at `at` there is room for. */
static size_t room_for(node *n, uint64_t at, size_t size)
{
    const machine *mc = &the_disk.machine[n->m];
    if (vd_node_take_room(n, at + size))
        return size;
    uint64_t left = mc->capacity > mc->used ? (mc->capacity - mc->used) / BLOCK * BLOCK : 0;
    uint64_t end = n->room + left;
    if (end <= at)
        return 0;
    (void)vd_node_take_room(n, end);
    return (size_t)min_u64(end - at, size);
}

static void remember(node *n, change c, uint64_t undo_end)
{
    size_t size = undo_end > c.from ? (size_t)(undo_end - c.from) : 0;
    c.undo = n->n_undo;
    if (size > 0) {
        n->undo = disk_grow(n->undo, &n->cap_undo, n->n_undo + size, 1);
        memcpy(n->undo + n->n_undo, n->p + c.from, size);
        n->n_undo += size;
    }
    n->changes = disk_grow(n->changes, &n->cap_changes, n->n_changes + 1, sizeof(c));
    n->changes[n->n_changes++] = c;
}

size_t vd_node_write(node *n, const void *p, size_t size, uint64_t at)
{
    size = room_for(n, at, size);
    if (size == 0)
        return 0;
    uint64_t end = at + size;
    remember(n, (change){.from = at, .end = end, .old_len = n->len}, min_u64(end, n->len));
    reserve(n, end);
    memcpy(n->p + at, p, size);
    n->len = max_u64(n->len, end);
    n->mtime = n->ctime = disk_wall();
    return size;
}

bool vd_node_truncate(node *n, uint64_t len)
{
    if (len == n->len)
        return true;
    if (len > n->len && !vd_node_take_room(n, len))
        return false;
    remember(n, (change){.cut = true, .from = len, .end = len, .old_len = n->len}, n->len);
    reserve(n, len);
    if (len < n->len) {
        uint64_t room = (len + BLOCK - 1) / BLOCK * BLOCK;
        memset(n->p + len, 0, n->len - len);
        if (room < n->room) {
            the_disk.machine[n->m].used -= n->room - room;
            n->room = room;
        }
    }
    n->len = len;
    n->mtime = n->ctime = disk_wall();
    return true;
}

void vd_node_clear(node *n)
{
    n->n_changes = n->n_undo = 0;
    free(n->lost);
    n->lost = NULL;
    n->n_lost = 0;
    if (n->p)
        memset(n->p, 0, n->len);
    n->len = n->synced_len = 0;
}

void vd_node_fill(node *n, const void *p, size_t size)
{
    vd_node_clear(n);
    reserve(n, size);
    if (size)
        memcpy(n->p, p, size);
    n->len = n->synced_len = size;
    uint64_t room = (size + BLOCK - 1) / BLOCK * BLOCK;
    the_disk.machine[n->m].used += room - n->room; /* also beyond the capacity */
    n->room = room;
}

/* ---- what changes touch */

static void sectors_of(const change *c, uint64_t *first, uint64_t *end)
{
    uint64_t last = c->cut ? c->old_len : c->end;
    *first = c->from / SECTOR;
    *end = last > c->from ? (last + SECTOR - 1) / SECTOR : *first;
}

static void sectors_all(const node *n, uint64_t *first, uint64_t *end)
{
    *first = UINT64_MAX;
    *end = 0;
    for (size_t i = 0; i < n->n_changes; i++) {
        uint64_t a, b;
        sectors_of(&n->changes[i], &a, &b);
        if (a < b) {
            *first = min_u64(*first, a);
            *end = max_u64(*end, b);
        }
    }
    if (*first > *end)
        *first = *end;
}

/* Takes back what a change did to a sector; p holds the file's bytes and is long enough. */
static void undo_piece(const node *n, const change *c, uint64_t s, uint8_t *p)
{
    uint64_t from = max_u64(c->from, s * SECTOR);
    uint64_t end = min_u64(c->cut ? c->old_len : c->end, (s + 1) * SECTOR);
    uint64_t had = min_u64(max_u64(c->old_len, from), end);
    if (from >= end)
        return;
    if (had > from)
        memcpy(p + from, n->undo + c->undo + (from - c->from), had - from);
    memset(p + had, 0, end - had);
}

static uint64_t longest(const node *n)
{
    uint64_t len = max_u64(n->len, n->synced_len);
    for (size_t i = 0; i < n->n_changes; i++)
        len = max_u64(len, max_u64(n->changes[i].old_len, n->changes[i].end));
    return len;
}

/* ---- sync */

static size_t lost_find(const node *n, uint64_t s)
{
    for (size_t i = 0; i < n->n_lost; i++)
        if (n->lost[i].sector == s)
            return i;
    return SIZE_MAX;
}

static bool touched(const node *n, uint64_t s)
{
    for (size_t i = 0; i < n->n_changes; i++) {
        uint64_t a, b;
        sectors_of(&n->changes[i], &a, &b);
        if (s >= a && s < b)
            return true;
    }
    return false;
}

void vd_node_sync(node *n)
{
    size_t left = 0;
    for (size_t i = 0; i < n->n_lost; i++)
        if (!touched(n, n->lost[i].sector))
            n->lost[left++] = n->lost[i];
    n->n_lost = left;
    n->n_changes = n->n_undo = 0;
    n->synced_len = n->len;
}

void vd_node_sync_failed(node *n)
{
    uint64_t first, end;
    size_t size = (size_t)longest(n);
    size_t padded = (size + SECTOR - 1) / SECTOR * SECTOR;
    sectors_all(n, &first, &end);
    if (first == end) {
        n->n_changes = n->n_undo = 0;
        return;
    }
    reserve(n, size);
    uint8_t *old = calloc(1, padded);
    lost *more = realloc(n->lost, (n->n_lost + (size_t)(end - first)) * sizeof(*more));
    if (!old || !more)
        abort();
    n->lost = more;
    memcpy(old, n->p, size);
    for (size_t i = n->n_changes; i-- > 0;) {
        uint64_t a, b;
        sectors_of(&n->changes[i], &a, &b);
        for (uint64_t s = a; s < b; s++)
            undo_piece(n, &n->changes[i], s, old);
    }
    for (uint64_t s = first; s < end; s++) {
        if (lost_find(n, s) != SIZE_MAX || !touched(n, s))
            continue;
        lost *l = &n->lost[n->n_lost++];
        l->sector = s;
        memcpy(l->p, old + s * SECTOR, SECTOR);
    }
    free(old);
    n->n_changes = n->n_undo = 0;
}

/* ---- power cut */

typedef enum cut_how { CUT_NONE, CUT_ALL, CUT_ANY, CUT_MOMENT, CUT_HOWS } cut_how;
typedef struct plan {
    cut_how how;
    uint64_t moment; /* of CUT_MOMENT: changes before it are kept, that one in part */
    size_t cuts;     /* changes of length before this one are kept */
    uint64_t first, end;
    sector *v; /* of first..end */
} plan;

/* Lengths reach the disk in order of time. */
static size_t plan_cuts(const node *n, const plan *pl)
{
    size_t all = 0, keep;
    for (size_t i = 0; i < n->n_changes; i++)
        all += n->changes[i].cut;
    if (pl->how == CUT_NONE)
        keep = 0;
    else if (pl->how == CUT_ANY && all > 0)
        keep = (size_t)disk_pick_of(all + 1);
    else
        keep = all;
    for (size_t i = 0; i < n->n_changes; i++) {
        if (n->changes[i].cut && (keep == 0 || (pl->how == CUT_MOMENT && i >= pl->moment)))
            return i;
        keep -= n->changes[i].cut;
    }
    return n->n_changes;
}

static void plan_change(const node *n, plan *pl, size_t i)
{
    const change *c = &n->changes[i];
    uint64_t a, b;
    sectors_of(c, &a, &b);
    for (uint64_t s = a; s < b; s++) {
        sector *x = &pl->v[s - pl->first];
        x->n++;
        if (c->cut && i < pl->cuts)
            x->lo = x->n;
        if (c->cut && i >= pl->cuts)
            x->stopped = true;
        if (!x->stopped)
            x->hi = x->n;
        if (i < pl->moment)
            x->upto = x->n;
        if (i == pl->moment)
            x->torn_now = true;
    }
}

static uint32_t plan_sector(const plan *pl, const sector *x)
{
    uint32_t keep;
    switch (pl->how) {
    case CUT_NONE:
        return x->lo;
    case CUT_ANY:
        return x->lo + (uint32_t)disk_pick_of(x->hi - x->lo + 1);
    case CUT_MOMENT:
        keep = x->upto + (x->torn_now ? (uint32_t)disk_pick_of(2) : 0);
        return keep < x->lo ? x->lo : keep > x->hi ? x->hi : keep;
    case CUT_ALL:
    case CUT_HOWS:
        break;
    }
    return x->hi;
}

static void plan_make(const node *n, plan *pl)
{
    *pl = (plan){.how = (cut_how)disk_pick_of(CUT_HOWS)};
    if (pl->how == CUT_MOMENT)
        pl->moment = disk_pick_of(n->n_changes);
    pl->cuts = plan_cuts(n, pl);
    sectors_all(n, &pl->first, &pl->end);
    pl->v = calloc((size_t)(pl->end - pl->first) + 1, sizeof(*pl->v));
    if (!pl->v)
        abort();
    for (size_t i = 0; i < n->n_changes; i++)
        plan_change(n, pl, i);
    for (uint64_t s = pl->first; s < pl->end; s++) {
        sector *x = &pl->v[s - pl->first];
        x->keep = plan_sector(pl, x);
        x->n = 0;
    }
}

/* The length after what is kept; counts the changes of each sector again. */
static uint64_t plan_length(const node *n, plan *pl, bool *ret_torn)
{
    uint64_t len = n->synced_len;
    bool some = false, none = false;
    for (size_t i = 0; i < n->n_changes; i++) {
        const change *c = &n->changes[i];
        uint64_t a, b;
        sectors_of(c, &a, &b);
        for (uint64_t s = a; s < b; s++) {
            sector *x = &pl->v[s - pl->first];
            bool kept = ++x->n <= x->keep;
            some |= kept;
            none |= !kept;
            if (kept && !c->cut)
                len = max_u64(len, min_u64(c->end, (s + 1) * SECTOR));
        }
        if (c->cut && i < pl->cuts)
            len = c->from;
    }
    *ret_torn = some && none;
    return len;
}

void vd_node_cut(node *n)
{
    plan pl = {.v = NULL};
    bool torn = false;
    uint64_t size = longest(n), len = n->synced_len;
    if (n->n_changes == 0 && n->n_lost == 0)
        return;
    reserve(n, size);
    if (n->n_changes > 0) {
        plan_make(n, &pl);
        len = plan_length(n, &pl, &torn);
    }
    for (size_t i = n->n_changes; i-- > 0;) {
        const change *c = &n->changes[i];
        uint64_t a, b;
        sectors_of(c, &a, &b);
        for (uint64_t s = a; s < b; s++) {
            sector *x = &pl.v[s - pl.first];
            if (x->n-- > x->keep)
                undo_piece(n, c, s, n->p);
        }
    }
    for (size_t i = 0; i < n->n_lost; i++) {
        uint64_t s = n->lost[i].sector, at = s * SECTOR;
        bool newer = s >= pl.first && s < pl.end && pl.v && pl.v[s - pl.first].keep > 0;
        if (!newer && at < size)
            memcpy(n->p + at, n->lost[i].p, (size_t)min_u64(SECTOR, size - at));
    }
    free(pl.v);
    memset(n->p + len, 0, size - len);
    n->len = n->synced_len = len;
    n->n_changes = n->n_undo = n->n_lost = 0;
    the_disk.figures.torn += torn;
}
