#include "shared/base/table.h"

#include <stdlib.h>
#include <string.h>

/* Entries stand in one array in order of insertion; a deleted one keeps its place (value NULL)
 * until the array is full, so a position stays valid while entries are deleted. An open-addressed
 * index finds them: 0 is free, else entry number + 1. */
#define TABLE_FIRST 8u
#define TABLE_MAX (1u << 30) /* entries; the index holds twice as many 32-bit numbers */

struct entry {
    uint64_t id;
    void *value; /* NULL: deleted */
};

struct pw_table {
    struct entry *entries; /* owned */
    uint32_t *index;       /* owned; 2 * cap slots, a power of two, at most half full */
    uint32_t cap;
    uint32_t used; /* entries in use, the deleted ones included */
    uint32_t head; /* no live entry stands before it */
    uint32_t count;
};

/* splitmix64: ids are mostly consecutive numbers, the slots should not be */
static uint32_t slot_of(const pw_table *self, uint64_t id)
{
    id = (id ^ (id >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    id = (id ^ (id >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((id ^ (id >> 31)) & (self->cap * 2 - 1));
}

static uint32_t slot_next(const pw_table *self, uint32_t slot)
{
    return (slot + 1) & (self->cap * 2 - 1);
}

/* The slot that holds the id, or the free one where it belongs. */
static uint32_t slot_find(const pw_table *self, uint64_t id)
{
    uint32_t slot = slot_of(self, id);

    while (self->index[slot] && self->entries[self->index[slot] - 1].id != id)
        slot = slot_next(self, slot);
    return slot;
}

/* Makes room: copies the live entries, in order, into new arrays (larger ones only if most entries
 * live). */
static int table_rebuild(pw_table *self, pw_err *err)
{
    pw_table to = {.cap = self->cap};

    if (self->count >= self->cap / 2)
        to.cap = self->cap ? self->cap * 2 : TABLE_FIRST;
    if (to.cap > TABLE_MAX)
        return pw_fail(err, PW_ELIMIT, "table holds %u entries already", self->count);
    to.entries = calloc(to.cap, sizeof(*to.entries));
    to.index = calloc((size_t)to.cap * 2, sizeof(*to.index));
    if (!to.entries || !to.index) {
        free(to.entries);
        free(to.index);
        return pw_fail(err, PW_ENOMEM, "out of memory for a table of %u entries", to.cap);
    }
    for (uint32_t i = self->head; i < self->used; i++) {
        if (!self->entries[i].value)
            continue;
        to.entries[to.used] = self->entries[i];
        to.index[slot_find(&to, self->entries[i].id)] = to.used + 1;
        to.used++;
    }
    to.count = to.used;
    free(self->entries);
    free(self->index);
    *self = to;
    return 0;
}

pw_table *pw_table_new(pw_err *err)
{
    pw_table *self = calloc(1, sizeof(*self)); /* the arrays come with the first entry */

    if (!self)
        (void)pw_fail(err, PW_ENOMEM, "out of memory for a table");
    return self;
}

pw_table *pw_table_free(pw_table *self)
{
    if (self) {
        free(self->entries);
        free(self->index);
        free(self);
    }
    return NULL;
}

void *pw_table_get(const pw_table *self, uint64_t id)
{
    uint32_t at;

    if (!self->count)
        return NULL;
    at = self->index[slot_find(self, id)];
    return at ? self->entries[at - 1].value : NULL;
}

int pw_table_put(pw_table *self, uint64_t id, void *value, pw_err *err)
{
    uint32_t slot;
    int rc;

    if (!value)
        return pw_fail(err, PW_EINVAL, "a table holds no NULL");
    if (self->cap) {
        slot = slot_find(self, id);
        if (self->index[slot]) {
            self->entries[self->index[slot] - 1].value = value;
            return 0;
        }
    }
    if (self->used == self->cap) {
        rc = table_rebuild(self, err);
        if (rc < 0)
            return rc;
    }
    self->entries[self->used] = (struct entry){.id = id, .value = value};
    slot = slot_find(self, id);
    self->index[slot] = ++self->used;
    self->count++;
    return 0;
}

/* Empties a slot; the entries behind it move up where that brings them nearer to their own slot. */
static void slot_clear(pw_table *self, uint32_t hole)
{
    uint32_t mask = self->cap * 2 - 1;

    for (uint32_t slot = slot_next(self, hole); self->index[slot]; slot = slot_next(self, slot)) {
        uint32_t home = slot_of(self, self->entries[self->index[slot] - 1].id);
        if (((slot - home) & mask) >= ((slot - hole) & mask)) {
            self->index[hole] = self->index[slot];
            hole = slot;
        }
    }
    self->index[hole] = 0;
}

void *pw_table_del(pw_table *self, uint64_t id)
{
    uint32_t slot, at;
    void *value;

    if (!self->count)
        return NULL;
    slot = slot_find(self, id);
    if (!self->index[slot])
        return NULL;
    at = self->index[slot] - 1;
    value = self->entries[at].value;
    slot_clear(self, slot);
    self->entries[at].value = NULL;
    self->count--;
    while (self->head < self->used && !self->entries[self->head].value)
        self->head++;
    return value;
}

size_t pw_table_count(const pw_table *self)
{
    return self->count;
}

void *pw_table_next(const pw_table *self, size_t *pos)
{
    size_t i = *pos > self->head ? *pos : self->head;

    while (i < self->used && !self->entries[i].value)
        i++;
    if (i >= self->used) {
        *pos = i;
        return NULL;
    }
    *pos = i + 1;
    return self->entries[i].value;
}
