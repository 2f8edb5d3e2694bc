/* builders.c - `builders`: what each is made of is read by shared/pipeline. */
#include "master/config/load.h"

static void read_builder(config_reader *r, size_t i)
{
    const yaml_node *map = r->builders.v[i];
    config_builder *b = &r->c->builders[i];
    if (yaml_node_type(map) == YAML_MAP) {
        (void)config_get_name(r, map, &b->name);
        b->project = config_get_project(r, map);
    }
    for (size_t k = 0; k < i; k++)
        if (b->project != CONFIG_NONE && r->c->builders[k].project == b->project)
            config_check_unique(r, "builder", &r->builders, i, b->name, r->c->builders[k].name, k);
    (void)pl_read_builder(&r->pl, map, true, b);
}

void config_read_builders(config_reader *r)
{
    r->c->builders = pl_alloc(&r->pl, r->builders.n, sizeof(*r->c->builders));
    if (!r->c->builders)
        return;
    r->c->n_builders = r->builders.n;
    for (size_t i = 0; i < r->c->n_builders; i++)
        r->c->builders[i].project = CONFIG_NONE; /* 0 would be the first project */
    for (size_t i = 0; i < r->builders.n; i++)
        read_builder(r, i);
    pl_resolve_needs(&r->pl, r->c->builders, r->c->n_builders, r->builders.v);
}
