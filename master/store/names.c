#include "master/store/names.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS (2u * NAMES_MAX) /* a power of two, at most half full, so that a search ends */

struct slot {
    char *text; /* owned; NULL: free */
    uint64_t parent, id;
    names_kind kind;
};

struct names {
    struct slot slot[SLOTS];
    size_t count;
};

names *names_new(pw_err *err)
{
    names *self = calloc(1, sizeof(*self));

    if (!self)
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
    return self;
}

void names_forget(names *self)
{
    for (size_t i = 0; self->count && i < SLOTS; i++) {
        if (!self->slot[i].text)
            continue;
        free(self->slot[i].text);
        self->slot[i].text = NULL;
        self->count--;
    }
}

names *names_free(names *self)
{
    if (self)
        names_forget(self);
    free(self);
    return NULL;
}

/* FNV-1a. Chosen collisions make a search long, but never longer than the cache is large. */
static size_t find(const names *self, names_kind kind, uint64_t parent, const char *text)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ (parent << 2 | kind);
    size_t i;

    for (const char *p = text; *p; p++)
        h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
    for (i = (h ^ h >> 32) % SLOTS; self->slot[i].text; i = (i + 1) % SLOTS)
        if (self->slot[i].kind == kind && self->slot[i].parent == parent &&
            strcmp(self->slot[i].text, text) == 0)
            break;
    return i;
}

uint64_t names_get(const names *self, names_kind kind, uint64_t parent, const char *text)
{
    const struct slot *s = &self->slot[find(self, kind, parent, text)];

    return s->text ? s->id : 0;
}

void names_put(names *self, names_kind kind, uint64_t parent, const char *text, uint64_t id)
{
    struct slot *s;
    char *copy = strdup(text);

    if (!copy)
        return;
    if (self->count == NAMES_MAX)
        names_forget(self);
    s = &self->slot[find(self, kind, parent, text)];
    if (s->text)
        free(s->text);
    else
        self->count++;
    *s = (struct slot){.text = copy, .parent = parent, .id = id, .kind = kind};
}
