/* What steps `trigger`: schedulers of the configuration. Those of pipeline files are looked up when
 * they are asked for; so are names that properties make. */
#include <string.h>

#include "master/config/load.h"

static const char *scheduler_of(const pl_step *s)
{
    for (size_t i = 0; i < s->n_with; i++)
        if (strcmp(s->with[i].name, "scheduler") == 0)
            return s->with[i].value;
    return "";
}

static void check(config_reader *r, const pl_builder *b, const pl_step *s, const yaml_node *at)
{
    const char *name = scheduler_of(s);
    const config_scheduler *found = NULL;
    if (strstr(name, "${"))
        return;
    for (size_t i = 0; i < r->c->n_schedulers && !found; i++)
        if (strcmp(r->c->schedulers[i].name, name) == 0)
            found = &r->c->schedulers[i];
    if (!found)
        yaml_fail(r->errors, at, "there is no scheduler \"%.100s\"", name);
    else if (found->kind != SCHED_TRIGGERED)
        yaml_fail(r->errors, at, "scheduler \"%.100s\" is of kind %s, not triggered", name,
                  config_sched_kinds[found->kind]);
    else if (found->project != b->project)
        yaml_fail(r->errors, at, "scheduler \"%.100s\" is of another project", name);
}

void config_check_triggers(config_reader *r)
{
    for (size_t i = 0; i < r->c->n_builders && yaml_errors_none(r->errors); i++) {
        const pl_builder *b = &r->c->builders[i];
        const yaml_node *list = yaml_node_value(r->builders.v[i], "steps");
        for (size_t k = 0; list && k < yaml_node_count(list) && k < b->n_steps; k++)
            if (strcmp(b->steps[k].kind, "trigger") == 0)
                check(r, b, &b->steps[k], yaml_node_get(yaml_node_item(list, k), "trigger"));
    }
}
