/* locks.c - `locks`: what builds take before they begin. */
#include "master/config/load.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/num.h"

static const char *const lock_keys[] = {"name", "per", "count", NULL};
static const char *const pers[] = {"master", "worker", NULL};

static void read_lock(config_reader *r, size_t i)
{
    const yaml_node *map = r->locks.v[i];
    config_lock *l = &r->c->locks[i];
    int per = 0;
    l->count = 1;
    if (!yaml_check_keys(map, "a lock", lock_keys, (const char *const[]){NULL}, r->errors) &&
        yaml_node_type(map) != YAML_MAP)
        return;
    (void)config_get_name(r, map, &l->name);
    for (size_t k = 0; k < i; k++)
        config_check_unique(r, "lock", &r->locks, i, l->name, r->c->locks[k].name, k);
    (void)yaml_get_enum(map, "per", pers, &per, r->errors);
    l->per_worker = per == 1;
    (void)yaml_get_int(map, "count", 1, CONFIG_LOCK_COUNT_MAX, &l->count, r->errors);
}

void config_read_locks(config_reader *r)
{
    r->c->locks = pl_alloc(&r->pl, r->locks.n, sizeof(*r->c->locks));
    if (!r->c->locks)
        return;
    r->c->n_locks = r->locks.n;
    for (size_t i = 0; i < r->locks.n; i++)
        read_lock(r, i);
}

int64_t config_find_lock(const config *self, const char *name)
{
    for (size_t i = 0; i < self->n_locks; i++)
        if (self->locks[i].name && strcmp(self->locks[i].name, name) == 0)
            return (int64_t)i;
    return -1;
}

bool config_may_lock(void *self, const yaml_node *at, const char *name)
{
    config_reader *r = self;
    if (config_find_lock(r->c, name) >= 0)
        return true;
    PW_AUTO(pw_freep) const char **names = calloc(r->c->n_locks + 1, sizeof(*names));
    size_t n = 0;
    for (size_t i = 0; names && i < r->c->n_locks; i++)
        if (r->c->locks[i].name)
            names[n++] = r->c->locks[i].name;
    const char *near = names ? pw_nearest(name, names) : NULL;
    yaml_fail(r->errors, at, "no lock \"%.60s\" in \"locks\"%s%s%s", name,
              near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    return false;
}
