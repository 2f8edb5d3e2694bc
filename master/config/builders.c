/* builders.c - `builders`: what each is made of is read by shared/pipeline. */
#include "master/config/load.h"

#include <stdlib.h>

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
    if (b->project != CONFIG_NONE && r->c->projects[b->project].pipeline)
        yaml_fail(
            r->errors, yaml_node_get(map, "project"),
            "project \"%s\" has its builders in its pipeline file (\"%s\"): it has one or the "
            "other",
            r->c->projects[b->project].name, r->c->projects[b->project].pipeline);
    (void)pl_read_builder(&r->pl, map, true, b);
    if (b->project != CONFIG_NONE &&
        b->n_properties + r->c->projects[b->project].n_properties > PL_PAIRS_MAX)
        yaml_fail(r->errors, yaml_node_get(map, "properties"),
                  "\"properties\" of this builder and of its project are more than %d",
                  PL_PAIRS_MAX);
}

/* Parameters of forms, and properties of schedulers and of the project. */
static void warn(config_reader *r, size_t i, yaml_errors *warnings)
{
    const config *c = r->c;
    const config_builder *b = &c->builders[i];
    size_t n = 1, names = 0, params = 0;
    for (size_t k = 0; k < c->n_schedulers; k++)
        params += c->schedulers[k].n_params;
    PW_AUTO(pw_freep) struct pl_known_list *v = calloc(c->n_schedulers + 1, sizeof(*v));
    PW_AUTO(pw_freep) const char **name = calloc(params + 1, sizeof(*name));
    if (!v || !name) {
        r->errors->failed = true;
        return;
    }
    v[0] = (struct pl_known_list){c->projects[b->project].properties,
                                  c->projects[b->project].n_properties};
    for (size_t k = 0; k < c->n_schedulers; k++) {
        const config_scheduler *s = &c->schedulers[k];
        if (s->project != b->project)
            continue;
        v[n++] = (struct pl_known_list){s->properties, s->n_properties};
        for (size_t m = 0; m < s->n_params; m++)
            name[names++] = s->params[m].name;
    }
    pl_known known = {v, n, name, names};
    pl_warn_unset(warnings, r->builders.v[i], b, &known);
}

void config_warn(config_reader *r)
{
    PW_AUTO(yaml_errors_clear) yaml_errors warnings = {0};
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(1024 * 1024);
    for (size_t i = 0; i < r->c->n_builders; i++)
        warn(r, i, &warnings);
    if (!warnings.n)
        return;
    yaml_errors_sort(&warnings);
    r->errors->failed |= yaml_errors_text(&warnings, &text) < 0 || warnings.failed;
    r->c->warnings = pw_buf_take(&text);
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
