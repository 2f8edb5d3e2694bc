/* builder.c - `builders`. */
#include <stdlib.h>
#include <string.h>

#include "master/config/load.h"
#include "shared/base/fs.h"

static const char *const builder_keys[] = {
    "name",    "project", "steps",     "requires", "env",      "properties", "collapse",
    "retries", "timeout", "isolation", "manual",   "required", NULL};
static const char *const builder_later[] = {"locks",          "needs",      "matrix",      "shards",
                                            "run_if_changed", "always_run", "keep_failed", NULL};

static void read_requires(config_reader *r, const yaml_node *map, config_builder *b)
{
    const yaml_node *v = yaml_node_value(map, "requires");
    if (!v)
        return;
    if (yaml_node_type(v) != YAML_MAP) {
        yaml_fail(r->errors, v, "\"requires\" takes {tags: [..]} in this version");
        return;
    }
    for (size_t i = 0; i < yaml_node_count(v); i++) {
        const yaml_node *key = NULL;
        (void)yaml_node_pair(v, i, &key);
        if (strcmp(yaml_node_text(key), "tags") != 0)
            yaml_fail(r->errors, key, "\"requires\" of \"%.60s\" is not supported by this version",
                      yaml_node_text(key));
    }
    if (!yaml_get_strs(v, "tags", CONFIG_TAGS_MAX, &b->tags.v, &b->tags.n, r->errors))
        return;
    const yaml_node *tags = yaml_node_value(v, "tags");
    for (size_t i = 0; i < b->tags.n; i++)
        if (!pw_name_ok(b->tags.v[i]))
            yaml_fail(r->errors, yaml_node_type(tags) == YAML_LIST ? yaml_node_item(tags, i) : tags,
                      "\"%.100s\" is no tag", b->tags.v[i]);
}

static void read_isolation(config_reader *r, const yaml_node *map, config_builder *b)
{
    static const char *const words[] = {"none", NULL}, *const later[] = {"user", "bwrap", NULL};
    const yaml_node *v = yaml_node_value(map, "isolation");
    const char *text = v ? yaml_node_text(v) : NULL;
    int at = -1;
    if (text && strncmp(text, "podman:", 7) == 0)
        yaml_fail(r->errors, v, "isolation \"%.60s\" is not supported by this version", text);
    else if (config_get_kind(r, map, "isolation", words, later, &at) && at >= 0)
        b->isolation = config_copy(r, words[at]);
}

static size_t pairs_bytes(const config_pair *v, size_t n)
{
    size_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[i].name && v[i].value ? strlen(v[i].name) + strlen(v[i].value) : 0;
    return sum;
}

/* A job that could never be sent is better told here than at the first build. */
static void check_bytes(config_reader *r, const yaml_node *map, const config_builder *b)
{
    size_t sum = pairs_bytes(b->env, b->n_env) + pairs_bytes(b->properties, b->n_properties);
    for (size_t i = 0; i < b->n_steps; i++) {
        const config_step *s = &b->steps[i];
        sum += pairs_bytes(s->env, s->n_env) + (s->script ? strlen(s->script) : 0);
        for (size_t k = 0; k < s->argv.n; k++)
            sum += strlen(s->argv.v[k]);
    }
    if (sum > CONFIG_BUILDER_BYTES_MAX)
        yaml_fail(r->errors, yaml_node_get(map, "steps"),
                  "the texts of this builder are longer than %d bytes together",
                  CONFIG_BUILDER_BYTES_MAX);
}

static void read_steps(config_reader *r, const yaml_node *map, config_builder *b)
{
    const yaml_node *v = yaml_node_value(map, "steps");
    if (!v)
        yaml_fail(r->errors, map, "required key \"steps\" is missing");
    else if (yaml_node_type(v) != YAML_LIST || !yaml_node_count(v))
        yaml_fail(r->errors, v, "\"steps\" must be a list of at least one step");
    else if (yaml_node_count(v) > CONFIG_STEPS_MAX)
        yaml_fail(r->errors, v, "\"steps\" has more than %d items", CONFIG_STEPS_MAX);
    else
        config_read_steps(r, b, v);
    if (v)
        check_bytes(r, map, b);
}

static void read_builder(config_reader *r, size_t i)
{
    const yaml_node *map = r->builders.v[i];
    config_builder *b = &r->c->builders[i];
    int64_t retries = 2;
    b->project = CONFIG_NONE;
    b->collapse = b->required = true;
    b->timeout = 6 * 3600 * CONFIG_SECOND;
    if (!yaml_check_keys(map, "a builder", builder_keys, builder_later, r->errors) &&
        yaml_node_type(map) != YAML_MAP)
        return;
    (void)config_get_name(r, map, &b->name);
    b->project = config_get_project(r, map);
    for (size_t k = 0; k < i; k++)
        if (b->project != CONFIG_NONE && r->c->builders[k].project == b->project)
            config_check_unique(r, "builder", &r->builders, i, b->name, r->c->builders[k].name, k);
    read_requires(r, map, b);
    config_get_pairs(r, map, "env", CONFIG_ENV, &b->secrets, &b->env, &b->n_env);
    config_get_pairs(r, map, "properties", CONFIG_PROPERTIES, NULL, &b->properties,
                     &b->n_properties);
    (void)yaml_get_bool(map, "collapse", &b->collapse, r->errors);
    (void)yaml_get_bool(map, "manual", &b->manual, r->errors);
    (void)yaml_get_bool(map, "required", &b->required, r->errors);
    (void)yaml_get_int(map, "retries", 0, CONFIG_RETRIES_MAX, &retries, r->errors);
    b->retries = (unsigned)retries;
    (void)config_get_time(r, map, "timeout", CONFIG_SECOND / 1000, &b->timeout);
    read_isolation(r, map, b);
    read_steps(r, map, b);
    config_check_secrets_fit(r, map, &b->secrets);
}

void config_read_builders(config_reader *r)
{
    r->c->builders = config_alloc(r, r->builders.n, sizeof(*r->c->builders));
    if (!r->c->builders)
        return;
    r->c->n_builders = r->builders.n;
    for (size_t i = 0; i < r->c->n_builders; i++)
        r->c->builders[i].project = CONFIG_NONE; /* 0 would be the first project */
    for (size_t i = 0; i < r->builders.n; i++)
        read_builder(r, i);
}
