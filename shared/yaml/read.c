/* read.c - what a node holds, and the typed readers of mappings. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shared/base/num.h"
#include "shared/yaml/node.h"

yaml_type yaml_node_type(const yaml_node *n)
{
    return n->type;
}

const char *yaml_node_text(const yaml_node *n)
{
    return n->type == YAML_SCALAR ? n->text : NULL;
}

bool yaml_node_plain(const yaml_node *n)
{
    return n->type == YAML_SCALAR && n->plain;
}

size_t yaml_node_count(const yaml_node *n)
{
    return n->n;
}

const yaml_node *yaml_node_item(const yaml_node *list, size_t i)
{
    return list->type == YAML_LIST && i < list->n ? list->items[i] : NULL;
}

const yaml_node *yaml_node_pair(const yaml_node *map, size_t i, const yaml_node **ret_key)
{
    if (map->type != YAML_MAP || i >= map->n)
        return NULL;
    *ret_key = map->pairs[i].key;
    return map->pairs[i].value;
}

static const yaml_pair *pair_find(const yaml_node *map, const char *key)
{
    if (map->type != YAML_MAP)
        return NULL;
    for (size_t i = 0; i < map->n; i++)
        if (strcmp(map->pairs[i].key->text, key) == 0)
            return &map->pairs[i];
    return NULL;
}

const yaml_node *yaml_node_get(const yaml_node *map, const char *key)
{
    const yaml_pair *p = pair_find(map, key);
    return p ? p->value : NULL;
}

const yaml_node *yaml_node_key(const yaml_node *map, const char *key)
{
    const yaml_pair *p = pair_find(map, key);
    return p ? p->key : NULL;
}

const yaml_node *yaml_node_value(const yaml_node *map, const char *key)
{
    const yaml_pair *p = pair_find(map, key);
    return p && p->value->type != YAML_NULL ? p->value : NULL;
}

const char *yaml_node_file(const yaml_node *n)
{
    return n->file;
}

unsigned yaml_node_line(const yaml_node *n)
{
    return n->line;
}

unsigned yaml_node_column(const yaml_node *n)
{
    return n->column;
}

static const char *type_name(const yaml_node *n)
{
    static const char *const names[] = {[YAML_NULL] = "nothing",
                                        [YAML_SCALAR] = "a text",
                                        [YAML_LIST] = "a list",
                                        [YAML_MAP] = "a mapping"};
    return names[n->type];
}

static bool in_list(const char *s, const char *const *list)
{
    for (size_t i = 0; list && list[i]; i++)
        if (strcmp(list[i], s) == 0)
            return true;
    return false;
}

/* "a, b, c" */
static void add_words(pw_buf *b, const char *const *words)
{
    for (size_t i = 0; words[i]; i++)
        (void)pw_buf_addf(b, "%s%s", i ? ", " : "", words[i]);
}

bool yaml_check_map(const yaml_node *n, const char *what, const char *const *allowed,
                    yaml_errors *errors)
{
    return yaml_check_keys(n, what, allowed, NULL, errors);
}

bool yaml_check_keys(const yaml_node *n, const char *what, const char *const *allowed,
                     const char *const *later, yaml_errors *errors)
{
    bool good = true;
    if (n->type != YAML_MAP) {
        yaml_fail(errors, n, "%s must be a mapping, not %s", what, type_name(n));
        return false;
    }
    for (size_t i = 0; i < n->n && errors->n < YAML_ERRORS_MAX; i++) {
        const yaml_node *key = n->pairs[i].key;
        if (in_list(key->text, allowed))
            continue;
        if (in_list(key->text, later)) {
            if (n->pairs[i].value->type == YAML_NULL)
                continue;
            yaml_fail(errors, key, "\"%s\" is not supported by this version", key->text);
        } else {
            const char *near = pw_nearest(key->text, allowed);
            PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1024);
            add_words(&b, allowed);
            if (near)
                yaml_fail(errors, key, "unknown key \"%.60s\"; did you mean \"%s\"?", key->text,
                          near);
            else
                yaml_fail(errors, key, "unknown key \"%.60s\"; %s takes %s", key->text, what,
                          pw_buf_str(&b));
        }
        good = false;
    }
    return good;
}

/* The value of `key` when it is there, not null and a scalar. *good becomes false when it is
 * something else. */
static const yaml_node *scalar_get(const yaml_node *map, const char *key, const char *want,
                                   bool *good, yaml_errors *errors)
{
    const yaml_node *v = yaml_node_value(map, key);
    *good = true;
    if (!v || v->type == YAML_SCALAR)
        return v;
    yaml_fail(errors, v, "\"%s\" must be %s, not %s", key, want, type_name(v));
    *good = false;
    return NULL;
}

bool yaml_get_str(const yaml_node *map, const char *key, bool required, size_t max, char **out,
                  yaml_errors *errors)
{
    bool good;
    const yaml_node *v = scalar_get(map, key, "a text", &good, errors);
    if (!good)
        return false;
    if (required && !yaml_node_get(map, key)) {
        yaml_fail(errors, map, "required key \"%s\" is missing", key);
        return false;
    }
    if (required && (!v || !v->text[0])) {
        yaml_fail(errors, yaml_node_get(map, key), "\"%s\" must not be empty", key);
        return false;
    }
    if (!v)
        return true;
    if (strlen(v->text) > max) {
        yaml_fail(errors, v, "\"%s\" is longer than %zu bytes", key, max);
        return false;
    }
    char *copy = strdup(v->text);
    if (!copy) {
        errors->failed = true;
        return false;
    }
    *out = copy;
    return true;
}

bool yaml_get_bool(const yaml_node *map, const char *key, bool *out, yaml_errors *errors)
{
    static const char *const yes[] = {"true", "yes", "on", NULL}, *const no[] = {"false", "no",
                                                                                 "off", NULL};
    bool good;
    const yaml_node *v = scalar_get(map, key, "true or false", &good, errors);
    if (!v)
        return good;
    for (size_t i = 0; yes[i]; i++) {
        bool is = strcasecmp(v->text, yes[i]) == 0;
        if (is || strcasecmp(v->text, no[i]) == 0) {
            *out = is;
            return true;
        }
    }
    yaml_fail(errors, v, "\"%s\" must be true or false, not \"%.60s\"", key, v->text);
    return false;
}

bool yaml_get_int(const yaml_node *map, const char *key, int64_t min, int64_t max, int64_t *out,
                  yaml_errors *errors)
{
    bool good;
    int64_t n;
    const yaml_node *v = scalar_get(map, key, "a number", &good, errors);
    if (!v)
        return good;
    if (pw_parse_i64(v->text, &n, NULL) < 0 || n < min || n > max) {
        yaml_fail(errors, v,
                  "\"%s\" must be a number from %" PRId64 " to %" PRId64 ", not \"%.60s\"", key,
                  min, max, v->text);
        return false;
    }
    *out = n;
    return true;
}

bool yaml_get_duration(const yaml_node *map, const char *key, pw_usec *out, yaml_errors *errors)
{
    bool good;
    pw_usec d;
    const yaml_node *v = scalar_get(map, key, "a duration", &good, errors);
    if (!v)
        return good;
    if (pw_parse_duration(v->text, &d, NULL) < 0) {
        yaml_fail(errors, v,
                  "\"%s\" must be a duration like 500ms, 90s, 20m, 1h or 7d, not \"%.60s\"", key,
                  v->text);
        return false;
    }
    *out = d;
    return true;
}

bool yaml_get_size(const yaml_node *map, const char *key, uint64_t *out, yaml_errors *errors)
{
    bool good;
    uint64_t n;
    const yaml_node *v = scalar_get(map, key, "a size", &good, errors);
    if (!v)
        return good;
    if (pw_parse_size(v->text, &n, NULL) < 0) {
        yaml_fail(errors, v, "\"%s\" must be a size like 64K, 512M or 2G, not \"%.60s\"", key,
                  v->text);
        return false;
    }
    *out = n;
    return true;
}

bool yaml_get_enum(const yaml_node *map, const char *key, const char *const *words, int *out,
                   yaml_errors *errors)
{
    bool good;
    const yaml_node *v = scalar_get(map, key, "one word", &good, errors);
    if (!v)
        return good;
    for (int i = 0; words[i]; i++) {
        if (strcmp(words[i], v->text) == 0) {
            *out = i;
            return true;
        }
    }
    const char *near = pw_nearest(v->text, words);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(400);
    add_words(&b, words);
    if (near)
        yaml_fail(errors, v, "\"%s\" must be one of %s, not \"%.60s\"; did you mean \"%s\"?", key,
                  pw_buf_str(&b), v->text, near);
    else
        yaml_fail(errors, v, "\"%s\" must be one of %s, not \"%.60s\"", key, pw_buf_str(&b),
                  v->text);
    return false;
}

static void strs_free(char **v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(v[i]);
    free(v);
}

bool yaml_get_strs(const yaml_node *map, const char *key, size_t max_items, char ***out,
                   size_t *out_n, yaml_errors *errors)
{
    const yaml_node *v = yaml_node_value(map, key);
    if (!v)
        return true;
    size_t n = v->type == YAML_LIST ? v->n : 1;
    bool good = v->type == YAML_LIST || v->type == YAML_SCALAR;
    if (!good)
        yaml_fail(errors, v, "\"%s\" must be a list of texts, not %s", key, type_name(v));
    if (good && n > max_items) {
        yaml_fail(errors, v, "\"%s\" has more than %zu items", key, max_items);
        good = false;
    }
    for (size_t i = 0; good && v->type == YAML_LIST && i < n; i++) {
        if (v->items[i]->type != YAML_SCALAR) {
            yaml_fail(errors, v->items[i], "an item of \"%s\" must be a text, not %s", key,
                      type_name(v->items[i]));
            good = false;
        }
    }
    if (!good)
        return false;
    char **copy = calloc(n + 1, sizeof(*copy)); /* NULL-terminated, for callers that like that */
    if (!copy) {
        errors->failed = true;
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        copy[i] = strdup(v->type == YAML_LIST ? v->items[i]->text : v->text);
        if (!copy[i]) {
            strs_free(copy, i);
            errors->failed = true;
            return false;
        }
    }
    *out = copy;
    *out_n = n;
    return true;
}
