/* provider.c - `provider`: who makes elastic workers, by which commands. */
#include <stdlib.h>
#include <string.h>

#include "master/config/load.h"
#include "shared/wire/msg.h"

enum { TIMEOUT_MAX_S = 600, TEXT_MAX = 8000, JOIN_MAX_H = 24 };

void config_provider_clear(config_provider *p)
{
    free(p->name);
    pl_strs_clear(&p->start);
    pl_strs_clear(&p->stop);
    pl_strs_clear(&p->list);
    pl_strs_clear(&p->tags);
    pl_pairs_free(p->env, p->n_env);
}

/* A list is an argv; a text is for the shell. Neither ever gets anything put into it. */
static void read_command(config_reader *r, const yaml_node *map, const char *key, config_strs *out)
{
    static const char *const shell[] = {"/bin/sh", "-c"};
    const yaml_node *v = yaml_node_value(map, key);
    PW_AUTO(pw_freep) char *text = NULL;
    if (!v || (yaml_node_type(v) != YAML_LIST && yaml_node_type(v) != YAML_SCALAR)) {
        yaml_fail(r->errors, v ? v : map,
                  "\"%s\" must be a command: a text for the shell, or a list", key);
        return;
    }
    if (yaml_node_type(v) == YAML_LIST) {
        if (yaml_get_strs(map, key, PL_ARGV_MAX, &out->v, &out->n, r->errors) &&
            (!out->n || !out->v[0][0]))
            yaml_fail(r->errors, v, "the command of \"%s\" is empty", key);
        return;
    }
    if (!yaml_get_str(map, key, true, TEXT_MAX, &text, r->errors) || !text)
        return;
    out->v = pl_alloc(&r->pl, 3, sizeof(*out->v));
    for (size_t i = 0; out->v && i < 3; i++)
        if ((out->v[out->n] = pl_copy(&r->pl, i < 2 ? shell[i] : text)))
            out->n++;
}

static void read_number(config_reader *r, const yaml_node *map, const char *key, int64_t min,
                        int64_t max, uint64_t *out)
{
    int64_t n = (int64_t)*out;
    if (yaml_get_int(map, key, min, max, &n, r->errors))
        *out = (uint64_t)n;
}

static void read_tags(config_reader *r, const yaml_node *map, config_provider *p)
{
    if (!yaml_get_strs(map, "tags", PL_TAGS_MAX, &p->tags.v, &p->tags.n, r->errors))
        return;
    for (size_t i = 0; i < p->tags.n; i++)
        if (!p->tags.v[i][0] || strpbrk(p->tags.v[i], " ,") || pl_has_control(p->tags.v[i]))
            yaml_fail(r->errors, yaml_node_get(map, "tags"),
                      "a tag has visible characters and no comma, not \"%.60s\"", p->tags.v[i]);
}

static void read_provider(config_reader *r, size_t i)
{
    static const char *const keys[] = {"name",        "start",   "stop", "list", "tags",
                                       "env",         "slots",   "min",  "max",  "idle",
                                       "join_within", "timeout", NULL};
    static const char *const none[] = {NULL};
    const yaml_node *map = r->providers.v[i];
    config_provider *p = &r->c->providers[i];
    *p = (config_provider){.slots = 1,
                           .max = 8,
                           .idle = 300 * PL_SECOND,
                           .join_within = 600 * PL_SECOND,
                           .timeout = 60 * PL_SECOND};
    if (!yaml_check_keys(map, "a provider", keys, none, r->errors) &&
        yaml_node_type(map) != YAML_MAP)
        return;
    if (config_get_name(r, map, &p->name) && p->name && strlen(p->name) > 80)
        yaml_fail(r->errors, yaml_node_get(map, "name"),
                  "a provider's name has at most 80 bytes: its workers are called NAME-1");
    read_command(r, map, "start", &p->start);
    read_command(r, map, "stop", &p->stop);
    read_command(r, map, "list", &p->list);
    read_tags(r, map, p);
    if (yaml_node_value(map, "env")) {
        pl_strs secrets = {0};
        pl_get_pairs(&r->pl, map, "env", PL_ENV, &secrets, &p->env, &p->n_env);
        if (secrets.n)
            yaml_fail(r->errors, yaml_node_get(map, "env"),
                      "a provider's \"env\" takes no secrets: let its commands read them from a "
                      "file");
        pl_strs_clear(&secrets);
    }
    read_number(r, map, "slots", 1, PW_SLOTS_MAX, &p->slots);
    read_number(r, map, "min", 0, CONFIG_MACHINES_MAX, &p->min);
    read_number(r, map, "max", 1, CONFIG_MACHINES_MAX, &p->max);
    if (p->min > p->max)
        yaml_fail(r->errors, yaml_node_get(map, "min") ? yaml_node_get(map, "min") : map,
                  "\"min\" must not be above \"max\", which is %llu", (unsigned long long)p->max);
    (void)pl_get_time(&r->pl, map, "idle", 0, &p->idle);
    (void)pl_get_time(&r->pl, map, "join_within", PL_SECOND, &p->join_within);
    if (p->join_within > JOIN_MAX_H * 3600 * PL_SECOND)
        yaml_fail(r->errors, yaml_node_get(map, "join_within"),
                  "\"join_within\" must be at most 24h");
    (void)pl_get_time(&r->pl, map, "timeout", PL_SECOND, &p->timeout);
    if (p->timeout > TIMEOUT_MAX_S * PL_SECOND)
        yaml_fail(r->errors, yaml_node_get(map, "timeout"), "\"timeout\" must be at most 10m");
}

void config_read_providers(config_reader *r)
{
    r->c->providers = pl_alloc(&r->pl, r->providers.n, sizeof(*r->c->providers));
    if (!r->c->providers)
        return;
    r->c->n_providers = r->providers.n;
    for (size_t i = 0; i < r->providers.n; i++)
        read_provider(r, i);
    for (size_t i = 0; i < r->providers.n; i++)
        for (size_t k = 0; k < i; k++)
            config_check_unique(r, "a provider", &r->providers, i, r->c->providers[i].name,
                                r->c->providers[k].name, k);
}
