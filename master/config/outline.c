#include "master/config/outline.h"

#include <stdlib.h>
#include <string.h>

#include "master/config/load.h"

enum { TEXT_MAX = 1024 * 1024 }; /* of one value */

void outline_clear(outline *o)
{
    for (size_t i = 0; i < o->n; i++) {
        outline_object *x = &o->v[i];
        for (size_t k = 0; k < x->n; k++) {
            free(x->key[k].name);
            if (x->key[k].text)
                explicit_bzero(x->key[k].text, strlen(x->key[k].text));
            free(x->key[k].text);
        }
        free(x->key);
        free(x->section);
        free(x->name);
    }
    free(o->v);
    *o = (outline){0};
}

/* ---- values as text */
static void put_scalar(pw_buf *b, const yaml_node *n)
{
    const char *s = yaml_node_text(n);
    if (!s)
        (void)pw_buf_adds(b, "null");
    else if (!*s || strpbrk(s, "\n\"\\{}[],") || strstr(s, ": ") || strstr(s, " #"))
        (void)pw_buf_json(b, s);
    else
        (void)pw_buf_adds(b, s);
}

/* The depth is bounded by the YAML reader. */
static void put_node(pw_buf *b, const yaml_node *n)
{
    yaml_type type = yaml_node_type(n);
    const yaml_node *key = NULL;
    if (type != YAML_LIST && type != YAML_MAP) {
        put_scalar(b, n);
        return;
    }
    (void)pw_buf_adds(b, type == YAML_MAP ? "{" : "[");
    for (size_t i = 0; i < yaml_node_count(n) && !b->failed; i++) {
        if (i)
            (void)pw_buf_adds(b, ", ");
        const yaml_node *v = type == YAML_MAP ? yaml_node_pair(n, i, &key) : yaml_node_item(n, i);
        if (type == YAML_MAP) {
            put_scalar(b, key);
            (void)pw_buf_adds(b, ": ");
        }
        put_node(b, v);
    }
    (void)pw_buf_adds(b, type == YAML_MAP ? "}" : "]");
}

/* ---- objects */
/* A URL of messages often is one; what is called so may be one though it should not be there. */
static bool hides(const char *section, const char *key)
{
    static const char *const words[] = {"password", "token", "secret"};
    if (strcmp(section, "notify") == 0 && strcmp(key, "url") == 0)
        return true;
    if (strcmp(key, "hook_secret") == 0 || strcmp(section, "secrets") == 0) /* names of some */
        return false;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasestr(key, words[i]))
            return true;
    return false;
}

static outline_object *add_object(outline *o, const char *section, const char *name)
{
    outline_object *v = realloc(o->v, (o->n + 1) * sizeof(*v));
    if (!v) {
        o->failed = true;
        return NULL;
    }
    o->v = v;
    v[o->n] = (outline_object){.section = pw_strdup(section, &o->failed),
                               .name = pw_strdup(name, &o->failed)};
    return &v[o->n++];
}

static void add_key(outline *o, outline_object *x, const char *name, const yaml_node *v)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(TEXT_MAX);
    outline_key *keys = realloc(x->key, (x->n + 1) * sizeof(*keys));
    put_node(&b, v);
    o->failed |= !keys || b.failed;
    if (!keys)
        return;
    x->key = keys;
    keys[x->n++] = (outline_key){.name = pw_strdup(name, &o->failed),
                                 .text = pw_strdup(pw_buf_str(&b), &o->failed),
                                 .hidden = hides(x->section, name)};
    if (b.p)
        explicit_bzero(b.p, b.len);
}

static void add_map(outline *o, const char *section, const char *name, const yaml_node *map)
{
    const yaml_node *key;
    outline_object *x = add_object(o, section, name);
    for (size_t i = 0; x && i < yaml_node_count(map) && !o->failed; i++) {
        const yaml_node *v = yaml_node_pair(map, i, &key);
        if (yaml_node_text(key))
            add_key(o, x, yaml_node_text(key), v);
    }
}

/* Names of builders are unique in their project only. */
static void add_item(outline *o, const char *section, const yaml_node *item, size_t nth)
{
    const yaml_node *name = yaml_node_value(item, "name"),
                    *project = yaml_node_value(item, "project");
    if (!name)
        name = yaml_node_value(item, "target");
    const char *text = name ? yaml_node_text(name) : NULL,
               *in = project ? yaml_node_text(project) : NULL;
    PW_AUTO(pw_freep)
    char *full =
        text ? pw_strf("%s%s%s", in ? in : "", in ? "/" : "", text) : pw_strf("#%zu", nth + 1);
    if (!full)
        o->failed = true;
    else if (yaml_node_type(item) == YAML_MAP)
        add_map(o, section, full, item);
    else {
        outline_object *x = add_object(o, section, full);
        if (x)
            add_key(o, x, section, item);
    }
}

void config_outline_file(const yaml_node *root, outline *o)
{
    const yaml_node *key;
    for (size_t i = 0; i < yaml_node_count(root) && !o->failed; i++) {
        const yaml_node *v = yaml_node_pair(root, i, &key);
        const char *section = yaml_node_text(key);
        if (!section || strcmp(section, "include") == 0)
            continue;
        if (yaml_node_type(v) == YAML_LIST) {
            for (size_t k = 0; k < yaml_node_count(v); k++)
                add_item(o, section, yaml_node_item(v, k), k);
        } else if (yaml_node_type(v) == YAML_MAP) {
            add_map(o, section, "", v);
        } else if (yaml_node_type(v) != YAML_NULL) {
            outline_object *x = add_object(o, section, "");
            if (x)
                add_key(o, x, section, v);
        }
    }
}

/* ---- comparing */
const outline_key *outline_key_of(const outline_object *o, const char *name)
{
    for (size_t i = 0; i < o->n; i++)
        if (strcmp(o->key[i].name, name) == 0)
            return &o->key[i];
    return NULL;
}

bool outline_key_same(const outline_key *a, const outline_key *b)
{
    return a == b || (a && b && strcmp(a->text, b->text) == 0);
}

static const outline_object *find(const outline *o, const outline_object *x)
{
    for (size_t i = 0; i < o->n; i++)
        if (strcmp(o->v[i].section, x->section) == 0 && strcmp(o->v[i].name, x->name) == 0)
            return &o->v[i];
    return NULL;
}

static bool same(const outline_object *a, const outline_object *b)
{
    for (size_t i = 0; i < a->n; i++)
        if (!outline_key_same(&a->key[i], outline_key_of(b, a->key[i].name)))
            return false;
    return a->n == b->n;
}

void outline_compare(const outline *old, const outline *now, outline_cb *cb, void *cb_self)
{
    for (size_t i = 0; i < now->n; i++) {
        const outline_object *was = find(old, &now->v[i]);
        if (!was)
            cb(cb_self, OUTLINE_ADDED, NULL, &now->v[i]);
        else if (!same(was, &now->v[i]))
            cb(cb_self, OUTLINE_CHANGED, was, &now->v[i]);
    }
    for (size_t i = 0; i < old->n; i++)
        if (!find(now, &old->v[i]))
            cb(cb_self, OUTLINE_REMOVED, &old->v[i], NULL);
}
