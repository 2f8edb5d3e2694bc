/* kinds.c - steps without a script: `set_property`, `annotate`, `http`, `cache`. What they take is
 * kept as pairs under the names that the runner looks for. */
#include <stdlib.h>
#include <string.h>

#include "shared/pipeline/kinds.h"

enum { TEXTS_MAX = PW_WITH_MAX };

/* Takes the name. */
static void add(pl_reader *r, pl_step *s, char *name, const char *value)
{
    pl_pair *v = name ? reallocarray(s->with, s->n_with + 1, sizeof(*v)) : NULL;
    char *copy = v ? pl_copy(r, value) : NULL;
    if (v)
        s->with = v;
    if (!copy) {
        free(name);
        r->errors->failed = true;
        return;
    }
    s->with[s->n_with++] = (pl_pair){name, copy};
}

void pl_add_with(pl_reader *r, pl_step *s, const char *name, const char *value)
{
    add(r, s, pl_copy(r, name), value);
}

/* A text of the mapping, kept under its own name; false: it is not there. */
static bool add_text(pl_reader *r, const yaml_node *map, const char *key, pl_step *s)
{
    const yaml_node *v = yaml_node_value(map, key);
    const char *text = v ? yaml_node_text(v) : NULL;
    if (!v)
        return false;
    if (!text)
        yaml_fail(r->errors, v, "\"%s\" must be a text", key);
    else if (strlen(text) > PL_VALUE_MAX)
        yaml_fail(r->errors, v, "\"%s\" is longer than %d bytes", key, PL_VALUE_MAX);
    else
        add(r, s, pl_copy(r, key), text);
    return true;
}

static bool few_enough(pl_reader *r, const yaml_node *v, const char *key)
{
    if (yaml_node_count(v) <= TEXTS_MAX - 10)
        return true;
    yaml_fail(r->errors, v, "\"%s\" has more than %d entries", key, TEXTS_MAX - 10);
    return false;
}

static void check_path(pl_reader *r, const yaml_node *at, const char *what)
{
    const char *text = yaml_node_text(at);
    if (text && !pl_dir_ok(text))
        yaml_fail(r->errors, at, "\"%s\" must be a path below the work directory, without \"..\"",
                  what);
}

/* ---- set_property: {NAME: TEXT | {run: SCRIPT} | {file: PATH}} */
static void read_property(pl_reader *r, const yaml_node *key, const yaml_node *v, pl_step *s)
{
    static const char *const keys[] = {"run", "file", NULL};
    const char *name = yaml_node_text(key), *text = yaml_node_text(v);
    if (!pl_property_ok(r, key))
        return;
    if (text) {
        add(r, s, pw_strf("value.%s", name), text);
        return;
    }
    if (!yaml_check_map(v, "a property that is set", keys, r->errors))
        return;
    const yaml_node *run = yaml_node_value(v, "run"), *file = yaml_node_value(v, "file");
    const yaml_node *at = run ? run : file;
    if (!run == !file || !yaml_node_text(at)) {
        yaml_fail(r->errors, v, "a property is set to a text, or by {run: SCRIPT} or {file: PATH}");
        return;
    }
    if (file)
        check_path(r, file, "file");
    if (strlen(yaml_node_text(at)) > PL_VALUE_MAX)
        yaml_fail(r->errors, at, "longer than %d bytes", PL_VALUE_MAX);
    add(r, s, pw_strf("%s.%s", run ? "run" : "file", name), yaml_node_text(at));
}

void pl_read_set_property(pl_reader *r, const yaml_node *map, pl_strs *secrets, pl_step *s)
{
    const yaml_node *v = yaml_node_get(map, "set_property");
    pl_read_place(r, map, secrets, s);
    if (yaml_node_type(v) != YAML_MAP || !yaml_node_count(v)) {
        yaml_fail(r->errors, v,
                  "\"set_property\" takes {NAME: VALUE}, VALUE a text, {run: SCRIPT} "
                  "or {file: PATH}");
        return;
    }
    for (size_t i = 0; few_enough(r, v, "set_property") && i < yaml_node_count(v); i++) {
        const yaml_node *key = NULL, *value = yaml_node_pair(v, i, &key);
        read_property(r, key, value, s);
    }
}

/* ---- annotate: TEXT | {text | file, style, context} */
void pl_read_annotate(pl_reader *r, const yaml_node *map, pl_strs *secrets, pl_step *s)
{
    static const char *const keys[] = {"text", "file", "style", "context", NULL};
    static const char *const styles[] = {"info", "success", "warning", "error", NULL};
    const yaml_node *v = yaml_node_get(map, "annotate");
    int style = 0;
    pl_read_place(r, map, secrets, s);
    if (yaml_node_text(v)) {
        (void)add_text(r, map, "annotate", s);
        if (s->n_with) {
            free(s->with[0].name);
            s->with[0].name = pl_copy(r, "text");
        }
        return;
    }
    if (!yaml_check_map(v, "\"annotate\"", keys, r->errors))
        return;
    bool text = add_text(r, v, "text", s), file = add_text(r, v, "file", s);
    if (text == file)
        yaml_fail(r->errors, v, "\"annotate\" takes one of \"text\" and \"file\"");
    if (file)
        check_path(r, yaml_node_value(v, "file"), "file");
    (void)add_text(r, v, "context", s);
    if (yaml_get_enum(v, "style", styles, &style, r->errors))
        add(r, s, pl_copy(r, "style"), styles[style]);
}

/* ---- http: URL | {url, method, headers, body, expect} */
static void read_header(pl_reader *r, const yaml_node *key, const yaml_node *v, pl_step *s)
{
    static const char *const keys[] = {"env", NULL};
    const char *name = yaml_node_text(key), *text = yaml_node_text(v);
    if (!*name || strlen(name) > 100 ||
        name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")]) {
        yaml_fail(r->errors, key, "\"%.60s\" is no name of a header", name);
        return;
    }
    if (text) {
        add(r, s, pw_strf("header.%s", name), text);
        return;
    }
    const yaml_node *env = yaml_node_type(v) == YAML_MAP ? yaml_node_value(v, "env") : NULL;
    if (!yaml_check_map(v, "a header", keys, r->errors))
        return;
    if (!env || !yaml_node_text(env))
        yaml_fail(r->errors, v, "a header is a text, or {env: VARIABLE}");
    else
        add(r, s, pw_strf("header_env.%s", name), yaml_node_text(env));
}

/* The statuses that are fine, blank-separated. */
static void read_expect(pl_reader *r, const yaml_node *map, pl_step *s)
{
    const yaml_node *v = yaml_node_value(map, "expect");
    PW_AUTO(pw_buf_clearp) pw_buf all = PW_BUF(4096);
    bool list = v && yaml_node_type(v) == YAML_LIST;
    for (size_t i = 0; v && i < (list ? yaml_node_count(v) : 1); i++) {
        const yaml_node *at = list ? yaml_node_item(v, i) : v;
        const char *text = yaml_node_text(at);
        if (!text || strlen(text) != 3 || strspn(text, "0123456789") != 3)
            yaml_fail(r->errors, at, "\"expect\" takes statuses of HTTP, as 200");
        else
            (void)pw_buf_addf(&all, "%s%s", all.len ? " " : "", text);
    }
    if (all.len)
        add(r, s, pl_copy(r, "expect"), pw_buf_str(&all));
}

void pl_read_http(pl_reader *r, const yaml_node *map, pl_strs *secrets, pl_step *s)
{
    static const char *const keys[] = {"url", "method", "headers", "body", "expect", NULL};
    static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", NULL};
    const yaml_node *v = yaml_node_get(map, "http");
    int method = 0;
    pl_read_place(r, map, secrets, s);
    if (yaml_node_text(v)) {
        add(r, s, pl_copy(r, "url"), yaml_node_text(v));
        return;
    }
    if (!yaml_check_map(v, "\"http\"", keys, r->errors))
        return;
    if (!add_text(r, v, "url", s))
        yaml_fail(r->errors, v, "required key \"url\" is missing");
    (void)add_text(r, v, "body", s);
    if (yaml_get_enum(v, "method", methods, &method, r->errors))
        add(r, s, pl_copy(r, "method"),
            yaml_node_value(v, "method") || !yaml_node_value(v, "body") ? methods[method] : "POST");
    read_expect(r, v, s);
    const yaml_node *headers = yaml_node_value(v, "headers");
    if (headers && yaml_node_type(headers) != YAML_MAP)
        yaml_fail(r->errors, headers, "\"headers\" must be a mapping of names to texts");
    else if (headers && few_enough(r, headers, "headers"))
        for (size_t i = 0; i < yaml_node_count(headers); i++) {
            const yaml_node *key = NULL, *value = yaml_node_pair(headers, i, &key);
            read_header(r, key, value, s);
        }
}

/* ---- cache: {key, paths, restore_keys, hash_files} */
static void paths_ok(pl_reader *r, const yaml_node *map, const char *key, const pl_strs *paths)
{
    const yaml_node *v = yaml_node_value(map, key);
    bool list = v && yaml_node_type(v) == YAML_LIST;
    for (size_t i = 0; i < paths->n; i++)
        if (!pl_dir_ok(paths->v[i]))
            yaml_fail(r->errors, list ? yaml_node_item(v, i) : v,
                      "\"%s\": \"%.100s\" must be a path below the work directory, without \"..\"",
                      key, paths->v[i]);
}

void pl_read_cache(pl_reader *r, const yaml_node *map, pl_strs *secrets, pl_step *s)
{
    static const char *const keys[] = {"key", "paths", "restore_keys", "hash_files", NULL};
    const yaml_node *v = yaml_node_get(map, "cache");
    PW_AUTO(pw_buf_clearp) pw_buf all = PW_BUF(PL_VALUE_MAX);
    pl_strs files = {0};
    pl_read_place(r, map, secrets, s);
    if (!yaml_check_map(v, "\"cache\"", keys, r->errors))
        return;
    if (!add_text(r, v, "key", s))
        yaml_fail(r->errors, v, "required key \"key\" is missing");
    if (yaml_get_strs(v, "paths", TEXTS_MAX, &s->paths.v, &s->paths.n, r->errors)) {
        if (!s->paths.n)
            yaml_fail(r->errors, v, "\"paths\" must name at least one path");
        paths_ok(r, v, "paths", &s->paths);
    }
    (void)yaml_get_strs(v, "restore_keys", TEXTS_MAX, &s->keys.v, &s->keys.n, r->errors);
    if (yaml_get_strs(v, "hash_files", TEXTS_MAX, &files.v, &files.n, r->errors)) {
        paths_ok(r, v, "hash_files", &files);
        for (size_t i = 0; i < files.n; i++)
            (void)pw_buf_addf(&all, "%s%s", i ? "\n" : "", files.v[i]);
        if (files.n)
            add(r, s, pl_copy(r, "hash_files"), pw_buf_str(&all));
    }
    pl_strs_clear(&files);
}

void pl_read_sparse(pl_reader *r, const yaml_node *map, pl_step *s)
{
    const yaml_node *v = yaml_node_value(map, "sparse");
    if (!v || !yaml_get_strs(map, "sparse", TEXTS_MAX, &s->paths.v, &s->paths.n, r->errors))
        return;
    if (!s->paths.n)
        yaml_fail(r->errors, v, "\"sparse\" must name at least one folder");
    paths_ok(r, map, "sparse", &s->paths);
    for (size_t i = 0; i < s->paths.n; i++)
        if (!s->paths.v[i][strspn(s->paths.v[i], "./")] && pl_dir_ok(s->paths.v[i]))
            yaml_fail(r->errors, yaml_node_type(v) == YAML_LIST ? yaml_node_item(v, i) : v,
                      "\"sparse\": the root is in it always; without \"sparse\" all is");
}

/* ---- fetch: BUILDER | {from, paths, to, optional} */
void pl_read_fetch(pl_reader *r, const yaml_node *map, pl_strs *secrets, pl_step *s)
{
    static const char *const keys[] = {"from", "paths", "to", "optional", NULL};
    const yaml_node *v = yaml_node_get(map, "fetch"), *from = v, *to = NULL;
    (void)secrets;
    pl_refuse_run_keys(r, map);
    if (yaml_node_type(v) == YAML_MAP) {
        if (!yaml_check_keys(v, "\"fetch\"", keys, NULL, r->errors))
            return;
        from = yaml_node_value(v, "from");
        to = yaml_node_value(v, "to");
        if (yaml_node_value(v, "paths") && pl_get_files(r, v, "paths", &s->paths) &&
            s->paths.n > PW_WITH_MAX)
            yaml_fail(r->errors, yaml_node_value(v, "paths"), "\"paths\" has more than %d entries",
                      PW_WITH_MAX);
        (void)yaml_get_bool(v, "optional", &s->optional, r->errors);
    }
    const char *text = from ? yaml_node_text(from) : NULL;
    if (!text || !*text || strlen(text) > PL_VALUE_MAX)
        yaml_fail(r->errors, from ? from : v,
                  "\"fetch\" takes the name of a builder in \"needs\", or {from: BUILDER, paths, "
                  "to, optional}");
    else
        add(r, s, pl_copy(r, "from"), text);
    if (!to || !add_text(r, v, "to", s))
        return;
    text = yaml_node_text(to);
    if (text && !strstr(text, "${"))
        check_path(r, to, "to");
}

static void copy_strs(pl_reader *r, const pl_strs *from, pl_strs *to)
{
    to->v = pl_alloc(r, from->n, sizeof(*to->v));
    for (size_t i = 0; to->v && i < from->n; i++)
        if ((to->v[to->n] = pl_copy(r, from->v[i])))
            to->n++;
}

void pl_add_cache_saves(pl_reader *r, pl_builder *b)
{
    size_t n = b->n_steps;
    for (size_t i = 0; i < n; i++) {
        if (!b->steps[i].kind || strcmp(b->steps[i].kind, "cache") != 0 ||
            b->n_steps == PL_STEPS_MAX)
            continue;
        pl_step *v = reallocarray(b->steps, b->n_steps + 1, sizeof(*v));
        if (!v) {
            r->errors->failed = true;
            return;
        }
        b->steps = v;
        const pl_step *c = &b->steps[i];
        pl_step *s = &b->steps[b->n_steps++];
        *s = (pl_step){.name = pw_strf("%s-save", c->name),
                       .kind = pl_copy(r, "cache-save"),
                       .dir = c->dir ? pl_copy(r, c->dir) : NULL,
                       .timeout = c->timeout,
                       .idle_timeout = c->idle_timeout,
                       .grace = c->grace,
                       .log_limit = c->log_limit,
                       .flags = pw_flags_default};
        for (size_t k = 0; k < c->n_with; k++)
            add(r, s, pl_copy(r, c->with[k].name), c->with[k].value);
        copy_strs(r, &c->paths, &s->paths);
        s->flags.flunk_on_failure = s->flags.halt_on_failure = false;
        if (!s->name)
            r->errors->failed = true;
    }
}
