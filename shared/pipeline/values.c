/* values.c - values with rules of their own: durations with bounds, kinds, environments, globs. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "shared/pipeline/read.h"
#include "shared/base/num.h"

void *pl_alloc(pl_reader *r, size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    if (!p)
        r->errors->failed = true;
    return p;
}

char *pl_copy(pl_reader *r, const char *s)
{
    return pw_strdup(s, &r->errors->failed);
}

bool pl_has_control(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return true;
    return false;
}

bool pl_get_kind(pl_reader *r, const yaml_node *map, const char *key, const char *const *words,
                 const char *const *later, int *out)
{
    const yaml_node *v = yaml_node_value(map, key);
    const char *text = v ? yaml_node_text(v) : NULL;
    for (size_t i = 0; text && later[i]; i++) {
        if (strcmp(later[i], text) == 0) {
            yaml_fail(r->errors, v, "%s \"%s\" is not supported by this version", key, text);
            return false;
        }
    }
    return yaml_get_enum(map, key, words, out, r->errors);
}

bool pl_get_time(pl_reader *r, const yaml_node *map, const char *key, pw_usec min, pw_usec *out)
{
    pw_usec t = *out;
    char text[32];
    const yaml_node *v = yaml_node_value(map, key);
    if (!yaml_get_duration(map, key, &t, r->errors))
        return false;
    if (v && t < min) {
        yaml_fail(r->errors, v, "\"%s\" must be at least %s", key, pw_duration_text(min, text));
        return false;
    }
    if (v && t > PL_TIME_MAX) {
        yaml_fail(r->errors, v, "\"%s\" must be at most %s", key,
                  pw_duration_text(PL_TIME_MAX, text));
        return false;
    }
    *out = t;
    return true;
}

/* [A-Za-z_][A-Za-z0-9_]*, only lower case for properties. */
static bool identifier_ok(const char *s, bool upper)
{
    if (isdigit((unsigned char)*s) || !*s || strlen(s) > 100)
        return false;
    for (; *s; s++)
        if (!(islower((unsigned char)*s) || isdigit((unsigned char)*s) || *s == '_' ||
              (upper && isupper((unsigned char)*s))))
            return false;
    return true;
}

static bool env_name_ok(pl_reader *r, const yaml_node *key)
{
    const char *s = yaml_node_text(key);
    if (!identifier_ok(s, true))
        yaml_fail(
            r->errors, key,
            "\"%.60s\" is no name of an environment variable: letters, digits and _, at most 100",
            s);
    else if (strncmp(s, "PAWL_", 5) == 0 || strcmp(s, "PAWL") == 0)
        yaml_fail(r->errors, key, "\"%s\" is set by Pawl: names that begin with PAWL_ are its own",
                  s);
    else
        return true;
    return false;
}

bool pl_property_ok(pl_reader *r, const yaml_node *key)
{
    static const char *const own[] = {"branch",   "revision", "project", "builder",
                                      "build_id", "worker",   "attempt", NULL};
    const char *s = yaml_node_text(key);
    if (!identifier_ok(s, false)) {
        yaml_fail(
            r->errors, key,
            "\"%.60s\" is no name of a property: lower-case letters, digits and _, at most 100", s);
        return false;
    }
    for (size_t i = 0; own[i]; i++) {
        if (strcmp(own[i], s) == 0) {
            yaml_fail(r->errors, key, "property \"%s\" is set by Pawl", s);
            return false;
        }
    }
    return true;
}

void pl_get_pairs(pl_reader *r, const yaml_node *map, const char *key, pl_pairs_kind kind,
                  pl_strs *secrets, pl_pair **out, size_t *out_n)
{
    const yaml_node *v = yaml_node_value(map, key);
    if (!v)
        return;
    if (yaml_node_type(v) != YAML_MAP) {
        yaml_fail(r->errors, v, "\"%s\" must be a mapping of names to texts", key);
        return;
    }
    size_t n = yaml_node_count(v);
    if (n > PL_PAIRS_MAX) {
        yaml_fail(r->errors, v, "\"%s\" has more than %d entries", key, PL_PAIRS_MAX);
        return;
    }
    *out = pl_alloc(r, n, sizeof(**out));
    for (size_t i = 0; *out && i < n; i++) {
        const yaml_node *name = NULL, *value = yaml_node_pair(v, i, &name);
        const char *text = yaml_node_text(value);
        if (!(kind == PL_ENV ? env_name_ok(r, name) : pl_property_ok(r, name)))
            continue;
        if (!text) {
            yaml_fail(r->errors, value, "\"%s\" must be a text (write \"\" for an empty one)",
                      yaml_node_text(name));
        } else if (strlen(text) > PL_VALUE_MAX) {
            yaml_fail(r->errors, value, "\"%s\" is longer than %d bytes", yaml_node_text(name),
                      PL_VALUE_MAX);
        } else {
            (*out)[*out_n] = (pl_pair){pl_copy(r, yaml_node_text(name)), pl_copy(r, text)};
            (*out_n)++;
            if (kind == PL_ENV)
                pl_use_secrets(r, value, secrets);
        }
    }
}

/* Tries each item alone, so that the error stands at the item. */
static bool globs_ok(pl_reader *r, const yaml_node *v, const char *key, glob_kind kind,
                     char *const *items, size_t n)
{
    bool good = true;
    for (size_t i = 0; i < n; i++) {
        pw_err err = {0};
        const yaml_node *at = yaml_node_type(v) == YAML_LIST ? yaml_node_item(v, i) : v;
        PW_AUTO(glob_freep) glob_list *one = glob_parse(kind, items + i, 1, &err);
        if (one)
            continue;
        good = false;
        if (err.code == PW_ENOMEM)
            r->errors->failed = true;
        else
            yaml_fail(r->errors, at, "\"%s\": %s", key, err.text);
    }
    return good;
}

void pl_get_globs(pl_reader *r, const yaml_node *map, const char *key, glob_kind kind,
                  const char *otherwise, pl_globs_empty empty, glob_list **out)
{
    pl_strs s = {0};
    const yaml_node *v = yaml_node_value(map, key);
    if (!yaml_get_strs(map, key, PL_GLOBS_MAX, &s.v, &s.n, r->errors))
        return;
    char *fallback = v || !otherwise ? NULL : pl_copy(r, otherwise);
    bool good = !v || globs_ok(r, v, key, kind, s.v, s.n);
    if (good && v && !s.n && empty == PL_GLOBS_EMPTY_WRONG) {
        yaml_fail(r->errors, v, "\"%s\" must name at least one", key);
        good = false;
    }
    if (good && (s.n || fallback || empty == PL_GLOBS_EMPTY_NONE)) {
        *out = fallback ? glob_parse(kind, &fallback, 1, NULL) : glob_parse(kind, s.v, s.n, NULL);
        if (!*out)
            r->errors->failed = true; /* the items are good, so memory ran out */
    }
    free(fallback);
    for (size_t i = 0; i < s.n; i++)
        free(s.v[i]);
    free(s.v);
}
