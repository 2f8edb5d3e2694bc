/* unset.c - a warning where `run` names a property, as ${name}, that nothing sets: the shell gets
 * an empty text then. What a script sets by itself (name=, for name, read name) is not meant. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "shared/pipeline/read.h"

typedef struct word {
    const char *p;
    size_t n;
} word;

static bool same(word w, const char *name)
{
    return name && strlen(name) == w.n && memcmp(w.p, name, w.n) == 0;
}

static bool in_pairs(word w, const pl_pair *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (same(w, v[i].name))
            return true;
    return false;
}

static bool name_byte(char c)
{
    return islower((unsigned char)c) || isdigit((unsigned char)c) || c == '_';
}

/* Whether the script gives itself that variable, by the looks of it. */
static bool script_sets(const char *script, word w)
{
    for (const char *p = script; (p = memmem(p, strlen(p), w.p, w.n)); p += w.n) {
        if (p > script && (name_byte(p[-1]) || p[-1] == '{' || p[-1] == '$'))
            continue;
        if (name_byte(p[w.n]))
            continue;
        if (p[w.n] == '=' || (p - script >= 4 && strncmp(p - 4, "for ", 4) == 0) ||
            memmem(script, (size_t)(p - script), "read ", 5))
            return true;
    }
    return false;
}

static bool known(word w, const pl_builder *b, const pl_step *s, const pl_known *k)
{
    static const char *const own[] = {"branch",   "revision", "project", "builder",
                                      "build_id", "worker",   "attempt", NULL};
    for (size_t i = 0; own[i]; i++)
        if (same(w, own[i]))
            return true;
    for (size_t i = 0; i < k->n; i++)
        if (in_pairs(w, k->v[i].v, k->v[i].n))
            return true;
    for (size_t i = 0; i < k->n_names; i++)
        if (same(w, k->names[i]))
            return true;
    for (size_t i = 0; i < b->n_axes; i++)
        if (same(w, b->axes[i].name))
            return true;
    for (size_t i = 0; i < b->n_steps; i++)
        if (b->steps[i].kind && strcmp(b->steps[i].kind, "set_property") == 0)
            for (size_t n = 0; n < b->steps[i].n_with; n++) { /* value.NAME, run.NAME, file.NAME */
                const char *dot = strchr(b->steps[i].with[n].name, '.');
                if (dot && same(w, dot + 1))
                    return true;
            }
    return in_pairs(w, b->properties, b->n_properties) || in_pairs(w, b->env, b->n_env) ||
           in_pairs(w, s->env, s->n_env) || (w.n > 7 && strncmp(w.p, "worker_", 7) == 0);
}

static void look(yaml_errors *warnings, const yaml_node *at, const pl_builder *b, const pl_step *s,
                 const pl_known *k)
{
    for (const char *p = s->script; p && (p = strstr(p, "${"));) {
        word w = {p += 2, 0};
        while (name_byte(p[w.n]))
            w.n++;
        p += w.n;
        if (!w.n || *p != '}' || isdigit((unsigned char)*w.p) || known(w, b, s, k) ||
            script_sets(s->script, w))
            continue;
        yaml_fail(warnings, at,
                  "warning: \"run\" names ${%.*s}, and nothing sets it: a property of that name is "
                  "given by people at most",
                  (int)w.n, w.p);
        return; /* one of a script is enough said */
    }
}

void pl_warn_unset(yaml_errors *warnings, const yaml_node *map, const pl_builder *b,
                   const pl_known *k)
{
    const yaml_node *list = yaml_node_value(map, "steps");
    size_t n = list && yaml_node_type(list) == YAML_LIST ? yaml_node_count(list) : 0;
    for (size_t i = 0; i < n && i < b->n_steps; i++)
        if (yaml_node_type(yaml_node_item(list, i)) == YAML_MAP && b->steps[i].script)
            look(warnings, yaml_node_get(yaml_node_item(list, i), "run"), b, &b->steps[i], k);
}
