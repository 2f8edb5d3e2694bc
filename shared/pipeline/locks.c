/* locks.c - `locks` of builders and steps. All of a build are taken before it begins, so what is
 * kept is one list: the strongest use of each, and how long it is needed. */
#include <stdlib.h>
#include <string.h>

#include "shared/base/fs.h"
#include "shared/pipeline/read.h"

static const char *const lock_keys[] = {"name", "mode", NULL};
static const char *const modes[] = {"exclusive", "counting", NULL};

static void add_lock(pl_reader *r, pl_builder *b, const char *name, bool exclusive, size_t until)
{
    for (size_t i = 0; i < b->n_locks; i++) {
        pl_lock *l = &b->locks[i];
        if (strcmp(l->name, name) != 0)
            continue;
        l->exclusive |= exclusive;
        l->until = !until || !l->until ? 0 : until > l->until ? until : l->until;
        return;
    }
    pl_lock *more = reallocarray(b->locks, b->n_locks + 1, sizeof(*more));
    if (!more) {
        r->errors->failed = true;
        return;
    }
    b->locks = more;
    char *copy = pl_copy(r, name);
    if (copy)
        more[b->n_locks++] = (pl_lock){copy, exclusive, until};
}

static void read_lock(pl_reader *r, const yaml_node *n, pl_builder *b, size_t until)
{
    PW_AUTO(pw_freep) char *name = NULL;
    int mode = 0;
    const yaml_node *at = n;
    if (yaml_node_type(n) == YAML_SCALAR) {
        name = pl_copy(r, yaml_node_text(n));
    } else {
        if (!yaml_check_keys(n, "a lock", lock_keys, (const char *const[]){NULL}, r->errors) ||
            !yaml_get_str(n, "name", true, 1000, &name, r->errors) ||
            !yaml_get_enum(n, "mode", modes, &mode, r->errors))
            return;
        at = yaml_node_get(n, "name");
    }
    if (!name)
        return;
    if (!pw_name_ok(name))
        yaml_fail(r->errors, at, "\"%.100s\" is no name of a lock", name);
    else if (b->n_locks == PL_LOCKS_MAX)
        yaml_fail(r->errors, at, "this builder uses more than %d locks", PL_LOCKS_MAX);
    else if (!r->lock || r->lock(r->self, at, name))
        add_lock(r, b, name, mode == 0, until);
}

void pl_read_locks(pl_reader *r, const yaml_node *map, pl_builder *b, size_t until)
{
    const yaml_node *v = yaml_node_value(map, "locks");
    if (!v)
        return;
    if (yaml_node_type(v) != YAML_LIST) {
        yaml_fail(r->errors, v, "\"locks\" is a list like [{name: db, mode: exclusive}]");
        return;
    }
    for (size_t i = 0; i < yaml_node_count(v); i++)
        read_lock(r, yaml_node_item(v, i), b, until);
}
