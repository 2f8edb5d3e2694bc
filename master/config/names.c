/* names.c - names and what refers to them: unique, present, of the right project; "did you mean"
 * where not. */
#include <stdlib.h>
#include <string.h>

#include "master/config/load.h"
#include "shared/base/fs.h"
#include "shared/base/num.h"

bool config_get_name(config_reader *r, const yaml_node *map, char **out)
{
    if (!yaml_get_str(map, "name", true, 1000, out, r->errors))
        return false;
    if (pw_name_ok(*out))
        return true;
    yaml_fail(
        r->errors, yaml_node_get(map, "name"),
        "\"%.100s\" is no name: letters, digits and ._+=,@- only, at most 100, no dot in front",
        *out);
    return false;
}

void config_check_unique(config_reader *r, const char *what, const config_items *items, size_t i,
                         const char *name, const char *earlier, size_t at)
{
    if (!name || !earlier || strcmp(name, earlier) != 0)
        return;
    const yaml_node *old = yaml_node_get(items->v[at], "name");
    yaml_fail(r->errors, yaml_node_get(items->v[i], "name"),
              "%s \"%.100s\" exists already, in %s:%u", what, name, yaml_node_file(old),
              yaml_node_line(old));
}

/* Nearest of the names of a project's builders (or of all projects, when `project` is CONFIG_NONE);
 * NULL when none is near. */
static const char *near_name(const config_reader *r, size_t project, const char *s)
{
    const config *c = r->c;
    size_t max = project == CONFIG_NONE ? c->n_projects : c->n_builders, n = 0;
    PW_AUTO(pw_freep) const char **names = calloc(max + 1, sizeof(*names));
    if (!names)
        return NULL; /* a hint is no reason to fail */
    for (size_t i = 0; i < max; i++) {
        const char *name = project == CONFIG_NONE ? c->projects[i].name : c->builders[i].name;
        if (name && (project == CONFIG_NONE || c->builders[i].project == project))
            names[n++] = name;
    }
    return pw_nearest(s, names);
}

size_t config_get_project(config_reader *r, const yaml_node *map)
{
    PW_AUTO(pw_freep) char *name = NULL;
    if (!yaml_get_str(map, "project", true, 1000, &name, r->errors) || !name)
        return CONFIG_NONE;
    for (size_t i = 0; i < r->c->n_projects; i++)
        if (r->c->projects[i].name && strcmp(r->c->projects[i].name, name) == 0)
            return i;
    const char *near = near_name(r, CONFIG_NONE, name);
    if (near)
        yaml_fail(r->errors, yaml_node_get(map, "project"),
                  "no project \"%.60s\"; did you mean \"%s\"?", name, near);
    else
        yaml_fail(r->errors, yaml_node_get(map, "project"), "no project \"%.60s\"", name);
    return CONFIG_NONE;
}

void config_all_builders(config_reader *r, size_t project, size_t **out, size_t *out_n)
{
    size_t n = 0;
    if (project == CONFIG_NONE)
        return;
    for (size_t i = 0; i < r->c->n_builders; i++)
        n += r->c->builders[i].project == project;
    *out = pl_alloc(&r->pl, n, sizeof(**out));
    for (size_t i = 0; *out && i < r->c->n_builders; i++)
        if (r->c->builders[i].project == project)
            (*out)[(*out_n)++] = i;
}

/* The builder of that name in the project. CONFIG_NONE when there is none; then it was told. */
static size_t builder_at(config_reader *r, const yaml_node *at, size_t project)
{
    const config *c = r->c;
    const char *name = yaml_node_text(at), *project_name = c->projects[project].name;
    const config_builder *other = NULL;
    if (!name) {
        yaml_fail(r->errors, at, "an item of \"builders\" must be the name of a builder");
        return CONFIG_NONE;
    }
    for (size_t i = 0; i < c->n_builders; i++) {
        const config_builder *b = &c->builders[i];
        if (!b->name || strcmp(b->name, name) != 0)
            continue;
        if (b->project == project)
            return i;
        if (b->project == CONFIG_NONE)
            return CONFIG_NONE; /* that its project is wrong was told there */
        other = b;
    }
    const char *near = near_name(r, project, name);
    if (other)
        yaml_fail(r->errors, at, "builder \"%.60s\" is of project \"%s\", not of \"%s\"", name,
                  c->projects[other->project].name, project_name);
    else if (near)
        yaml_fail(r->errors, at, "project \"%s\" has no builder \"%.60s\"; did you mean \"%s\"?",
                  project_name, name, near);
    else
        yaml_fail(r->errors, at, "project \"%s\" has no builder \"%.60s\"", project_name, name);
    return CONFIG_NONE;
}

void config_get_builders(config_reader *r, const yaml_node *map, size_t project, bool empty_is_all,
                         size_t **out, size_t *out_n)
{
    const yaml_node *v = yaml_node_value(map, "builders");
    const char *word = v ? yaml_node_text(v) : NULL;
    bool list = v && yaml_node_type(v) == YAML_LIST;
    if (v && !list && !word) {
        yaml_fail(r->errors, v, "\"builders\" must be a list of names, or all");
        return;
    }
    if (list && !yaml_node_count(v) && !empty_is_all) {
        yaml_fail(r->errors, v, "\"builders\" must name at least one, or be left out for all");
        return;
    }
    if (!v || (word && strcmp(word, "all") == 0) || (list && !yaml_node_count(v))) {
        config_all_builders(r, project, out, out_n);
        return;
    }
    if (project == CONFIG_NONE)
        return;
    size_t n = list ? yaml_node_count(v) : 1;
    if (n > CONFIG_BUILDERS_MAX) {
        yaml_fail(r->errors, v, "\"builders\" has more than %d items", CONFIG_BUILDERS_MAX);
        return;
    }
    *out = pl_alloc(&r->pl, n, sizeof(**out));
    for (size_t i = 0; *out && i < n; i++) {
        const yaml_node *at = list ? yaml_node_item(v, i) : v;
        size_t b = builder_at(r, at, project);
        bool twice = false;
        for (size_t k = 0; b != CONFIG_NONE && k < *out_n; k++)
            twice |= (*out)[k] == b;
        if (twice)
            yaml_fail(r->errors, at, "builder \"%s\" is named twice", r->c->builders[b].name);
        else if (b != CONFIG_NONE)
            (*out)[(*out_n)++] = b;
    }
}

void config_get_builder_names(config_reader *r, const yaml_node *map, pl_strs *out)
{
    const yaml_node *v = yaml_node_value(map, "builders");
    const char *word = v ? yaml_node_text(v) : NULL;
    if (!v || (word && strcmp(word, "all") == 0) ||
        !yaml_get_strs(map, "builders", CONFIG_BUILDERS_MAX, &out->v, &out->n, r->errors))
        return;
    for (size_t i = 0; i < out->n; i++)
        if (!pw_name_ok(out->v[i]))
            yaml_fail(r->errors, yaml_node_type(v) == YAML_LIST ? yaml_node_item(v, i) : v,
                      "\"%.60s\" is no name of a builder", out->v[i]);
}

/* The rules of git-check-ref-format for a name below refs/heads/. */
bool config_branch_ok(const char *s)
{
    size_t n = strlen(s);
    if (!n || n > 255 || *s == '-' || *s == '/' || s[n - 1] == '/' || s[n - 1] == '.' ||
        strcmp(s, "@") == 0)
        return false;
    if (strstr(s, "..") || strstr(s, "@{") || strstr(s, "//") || strstr(s, "/.") || *s == '.' ||
        pl_has_control(s))
        return false;
    for (const char *p = s; (p = strstr(p, ".lock")); p++)
        if (p[5] == '/' || !p[5])
            return false;
    return !strpbrk(s, " ~^:?*[\\");
}

void config_get_branch(config_reader *r, const yaml_node *map, const char *key, bool required,
                       char **out)
{
    if (!yaml_get_str(map, key, required, 1000, out, r->errors) || !*out)
        return;
    const yaml_node *at = yaml_node_get(map, key);
    if (strncmp(*out, "refs/", 5) == 0)
        yaml_fail(r->errors, at, "\"%s\" takes the name of a branch without refs/heads/", key);
    else if (!config_branch_ok(*out))
        yaml_fail(r->errors, at, "\"%s\": \"%.100s\" is no name of a branch", key, *out);
}
