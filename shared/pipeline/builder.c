/* builder.c - one builder. */
#include <stdlib.h>
#include <string.h>

#include "shared/pipeline/read.h"

/* the first two are those of a list */
static const char *const builder_keys[] = {
    "name",    "project", "steps",   "requires",       "env",        "properties", "collapse",
    "retries", "timeout", "network", "keep_failed",    "isolation",  "manual",     "required",
    "needs",   "matrix",  "shards",  "run_if_changed", "always_run", "locks",      NULL};

/* The image becomes an argument: it is no option, and one word. */
static bool image_ok(const char *s)
{
    size_t n = strlen(s);
    if (n == 0 || n > PL_IMAGE_MAX || s[0] == '-')
        return false;
    for (; *s; s++)
        if (*s <= ' ' || *s > '~')
            return false;
    return true;
}

static void read_isolation(pl_reader *r, const yaml_node *map, pl_builder *b)
{
    static const char *const words[] = {"none", "user", "bwrap", NULL}, *const none[] = {NULL};
    static const char podman[] = "podman:";
    const yaml_node *v = yaml_node_value(map, "isolation");
    const char *text = v ? yaml_node_text(v) : NULL;
    int at = -1;
    if (text && strncmp(text, podman, sizeof(podman) - 1) == 0) {
        if (image_ok(text + sizeof(podman) - 1))
            b->isolation = pl_copy(r, text);
        else
            yaml_fail(r->errors, v, "\"%.60s\" names no image: podman:IMAGE, 1 to %d characters",
                      text, PL_IMAGE_MAX);
    } else if (pl_get_kind(r, map, "isolation", words, none, &at) && at >= 0) {
        b->isolation = pl_copy(r, words[at]);
    }
    b->network = true;
    (void)yaml_get_bool(map, "network", &b->network, r->errors);
    bool apart = b->isolation && strcmp(b->isolation, "none") && strcmp(b->isolation, "user");
    if (!b->network && !apart)
        yaml_fail(r->errors, yaml_node_get(map, "network"),
                  "\"network: false\" needs \"isolation: bwrap\" or \"isolation: podman:IMAGE\"");
}

static size_t pairs_bytes(const pl_pair *v, size_t n)
{
    size_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[i].name && v[i].value ? strlen(v[i].name) + strlen(v[i].value) : 0;
    return sum;
}

/* A job that could never be sent is better told here than at the first build. */
static void check_bytes(pl_reader *r, const yaml_node *map, const pl_builder *b)
{
    size_t sum = pairs_bytes(b->env, b->n_env) + pairs_bytes(b->properties, b->n_properties);
    for (size_t i = 0; i < b->n_steps; i++) {
        const pl_step *s = &b->steps[i];
        sum += pairs_bytes(s->env, s->n_env) + (s->script ? strlen(s->script) : 0);
        for (size_t k = 0; k < s->argv.n; k++)
            sum += strlen(s->argv.v[k]);
    }
    if (sum > PL_BUILDER_BYTES_MAX)
        yaml_fail(r->errors, yaml_node_get(map, "steps"),
                  "the texts of this builder are longer than %d bytes together",
                  PL_BUILDER_BYTES_MAX);
}

static void read_steps(pl_reader *r, const yaml_node *map, pl_builder *b)
{
    const yaml_node *v = yaml_node_value(map, "steps");
    if (!v)
        yaml_fail(r->errors, map, "required key \"steps\" is missing");
    else if (yaml_node_type(v) != YAML_LIST || !yaml_node_count(v))
        yaml_fail(r->errors, v, "\"steps\" must be a list of at least one step");
    else if (yaml_node_count(v) > PL_STEPS_MAX)
        yaml_fail(r->errors, v, "\"steps\" has more than %d items", PL_STEPS_MAX);
    else
        pl_read_steps(r, b, v);
    if (v)
        check_bytes(r, map, b);
}

bool pl_read_builder(pl_reader *r, const yaml_node *map, bool listed, pl_builder *b)
{
    int64_t retries = 2;
    b->collapse = b->required = true;
    b->timeout = 6 * 3600 * PL_SECOND;
    b->keep_failed = 24 * 3600 * PL_SECOND;
    if (!yaml_check_keys(map, "a builder", builder_keys + (listed ? 0 : 2), NULL, r->errors) &&
        yaml_node_type(map) != YAML_MAP)
        return false;
    pl_read_requires(r, map, b);
    pl_read_locks(r, map, b, 0);
    pl_get_pairs(r, map, "env", PL_ENV, &b->secrets, &b->env, &b->n_env);
    pl_get_pairs(r, map, "properties", PL_PROPERTIES, NULL, &b->properties, &b->n_properties);
    (void)yaml_get_bool(map, "collapse", &b->collapse, r->errors);
    (void)yaml_get_bool(map, "manual", &b->manual, r->errors);
    (void)yaml_get_bool(map, "required", &b->required, r->errors);
    (void)yaml_get_bool(map, "always_run", &b->always_run, r->errors);
    (void)yaml_get_strs(map, "needs", PL_NEEDS_MAX, &b->needs.v, &b->needs.n, r->errors);
    pl_get_globs(r, map, "run_if_changed", GLOB_PATH, NULL, PL_GLOBS_EMPTY_WRONG,
                 &b->run_if_changed);
    pl_read_matrix(r, map, b);
    (void)yaml_get_int(map, "retries", 0, PL_RETRIES_MAX, &retries, r->errors);
    b->retries = (unsigned)retries;
    (void)pl_get_time(r, map, "timeout", PL_SECOND / 1000, &b->timeout);
    (void)pl_get_time(r, map, "keep_failed", 0, &b->keep_failed);
    read_isolation(r, map, b);
    read_steps(r, map, b);
    pl_check_secrets_fit(r, map, &b->secrets);
    return true;
}
