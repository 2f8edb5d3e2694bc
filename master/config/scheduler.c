/* scheduler.c - `schedulers`, and the one that a project gets when the file gives it none. */
#include <stdlib.h>
#include <string.h>

#include "master/config/load.h"
#include "shared/base/num.h"

const char *const config_sched_kinds[] = {
    [SCHED_BRANCH] = "branch",       [SCHED_PERIODIC] = "periodic",
    [SCHED_NIGHTLY] = "nightly",     [SCHED_FORCE] = "force",
    [SCHED_PROPOSAL] = "proposal",   [SCHED_DEPENDENT] = "dependent",
    [SCHED_TRIGGERED] = "triggered", NULL};
static const char *const kinds_later[] = {"try", NULL};
const char *const config_supersedes[] = {"none", "queued", "running", NULL};

static const char *const scheduler_keys[] = {
    "name",         "kind",      "project",   "builders",   "priority",
    "properties",   "branches",  "quiet",     "paths",      "authors",
    "paths_ignore", "every",     "cron",      "zone",       "branch",
    "testfix",      "after",     "supersede", "parameters", "only_if_changed",
    "ref",          "fail_fast", NULL};
static const char *const scheduler_later[] = {NULL};

/* Which kinds a key is for, as bits; keys that are not here are for all. */
#define K(kind) (1u << (kind))
static const struct key_kinds {
    const char *key;
    unsigned kinds;
    const char *text;
} key_kinds[] = {
    {"branches", K(SCHED_BRANCH) | K(SCHED_PROPOSAL), "branch or proposal"},
    {"ref", K(SCHED_PROPOSAL), "proposal"},
    {"quiet", K(SCHED_BRANCH), "branch"},
    {"paths", K(SCHED_BRANCH), "branch"},
    {"paths_ignore", K(SCHED_BRANCH), "branch"},
    {"authors", K(SCHED_BRANCH), "branch"},
    {"every", K(SCHED_PERIODIC), "periodic"},
    {"cron", K(SCHED_NIGHTLY), "nightly"},
    {"zone", K(SCHED_NIGHTLY), "nightly"},
    {"only_if_changed", K(SCHED_NIGHTLY), "nightly"},
    {"branch", K(SCHED_PERIODIC) | K(SCHED_NIGHTLY), "periodic or nightly"},
    {"after", K(SCHED_DEPENDENT), "dependent"},
    {"testfix", K(SCHED_BRANCH), "branch"},
    {"supersede", K(SCHED_BRANCH) | K(SCHED_DEPENDENT), "branch or dependent"},
    {"parameters", K(SCHED_FORCE), "force"},
};

static void check_key_kinds(config_reader *r, const yaml_node *map, config_sched_kind kind)
{
    for (size_t i = 0; i < sizeof(key_kinds) / sizeof(key_kinds[0]); i++)
        if (yaml_node_value(map, key_kinds[i].key) && !(key_kinds[i].kinds & K(kind)))
            yaml_fail(r->errors, yaml_node_key(map, key_kinds[i].key),
                      "\"%s\" is for kind %s, not %s", key_kinds[i].key, key_kinds[i].text,
                      config_sched_kinds[kind]);
}

static void read_supersede(config_reader *r, const yaml_node *map, config_scheduler *s)
{
    int word = SUPERSEDE_NONE;
    if (yaml_get_enum(map, "supersede", config_supersedes, &word, r->errors))
        s->supersede = (config_supersede)word;
}

static void read_branch(config_reader *r, const yaml_node *map, config_scheduler *s)
{
    pl_get_globs(&r->pl, map, "branches", GLOB_BRANCH, "*", PL_GLOBS_EMPTY_WRONG, &s->branches);
    (void)pl_get_time(&r->pl, map, "quiet", 0, &s->quiet);
    pl_get_globs(&r->pl, map, "paths", GLOB_PATH, NULL, PL_GLOBS_EMPTY_NULL, &s->paths);
    pl_get_globs(&r->pl, map, "paths_ignore", GLOB_PATH, NULL, PL_GLOBS_EMPTY_NULL,
                 &s->paths_ignore);
    pl_get_globs(&r->pl, map, "authors", GLOB_BRANCH, NULL, PL_GLOBS_EMPTY_NULL, &s->authors);
    (void)yaml_get_bool(map, "testfix", &s->testfix, r->errors);
    read_supersede(r, map, s);
}

/* Which scheduler it follows is looked up when all are known. */
static void read_dependent(config_reader *r, const yaml_node *map, config_scheduler *s)
{
    if (!yaml_node_value(map, "after"))
        yaml_fail(r->errors, map, "required key \"after\" is missing (kind dependent)");
    read_supersede(r, map, s);
}

static void read_periodic(config_reader *r, const yaml_node *map, config_scheduler *s)
{
    if (!yaml_node_value(map, "every"))
        yaml_fail(r->errors, map, "required key \"every\" is missing (kind periodic)");
    (void)pl_get_time(&r->pl, map, "every", PL_SECOND, &s->every);
    config_get_branch(r, map, "branch", false, &s->branch);
}

/* The two errors of a wrong cron line or zone: ours to tell, or memory. */
static void told(config_reader *r, const yaml_node *map, const char *key, const pw_err *err)
{
    const yaml_node *v = yaml_node_get(map, key);
    if (err->code == PW_ENOMEM)
        r->errors->failed = true;
    else
        yaml_fail(r->errors, v ? v : map, "\"%s\": %s", key,
                  err->text); /* UTC, the default, may be absent too */
}

static void read_nightly(config_reader *r, const yaml_node *map, config_scheduler *s)
{
    pw_err err = {0};
    if (!yaml_node_value(map, "cron")) {
        yaml_fail(r->errors, map, "required key \"cron\" is missing (kind nightly)");
    } else if (yaml_get_str(map, "cron", true, 1000, &s->cron_text, r->errors)) {
        s->cron = cron_parse(s->cron_text, &err);
        if (!s->cron)
            told(r, map, "cron", &err);
    }
    if (yaml_get_str(map, "zone", false, 100, &s->zone_name, r->errors)) {
        if (!s->zone_name)
            s->zone_name = pl_copy(&r->pl, "UTC");
        s->zone = s->zone_name ? cron_zone_open(s->zone_name, &err) : NULL;
        if (!s->zone && s->zone_name)
            told(r, map, "zone", &err);
    }
    config_get_branch(r, map, "branch", false, &s->branch);
    (void)yaml_get_bool(map, "only_if_changed", &s->only_if_changed, r->errors);
}

static void read_proposal(config_reader *r, const yaml_node *map, config_scheduler *s)
{
    static const char *const refs[] = {"head", "merge", NULL}, *const none[] = {NULL};
    int ref = 0;
    pl_get_globs(&r->pl, map, "branches", GLOB_BRANCH, "*", PL_GLOBS_EMPTY_WRONG, &s->branches);
    if (pl_get_kind(&r->pl, map, "ref", refs, none, &ref))
        s->merge = ref == 1;
}

static void read_scheduler(config_reader *r, size_t i)
{
    static void (*const readers[])(config_reader *, const yaml_node *, config_scheduler *) = {
        [SCHED_BRANCH] = read_branch,       [SCHED_PERIODIC] = read_periodic,
        [SCHED_NIGHTLY] = read_nightly,     [SCHED_FORCE] = config_read_params,
        [SCHED_DEPENDENT] = read_dependent, [SCHED_TRIGGERED] = NULL,
        [SCHED_PROPOSAL] = read_proposal};
    const yaml_node *map = r->schedulers.v[i];
    config_scheduler *s = &r->c->schedulers[i];
    int kind = -1;
    s->project = s->after = CONFIG_NONE;
    if (!yaml_check_keys(map, "a scheduler", scheduler_keys, scheduler_later, r->errors) &&
        yaml_node_type(map) != YAML_MAP)
        return;
    (void)config_get_name(r, map, &s->name);
    for (size_t k = 0; k < i; k++)
        config_check_unique(r, "scheduler", &r->schedulers, i, s->name, r->c->schedulers[k].name,
                            k);
    s->project = config_get_project(r, map);
    if (s->project != CONFIG_NONE && r->c->projects[s->project].pipeline) {
        config_get_builder_names(r, map, &s->names);
        static const char *const no[] = {"testfix", "parameters"};
        for (size_t k = 0; k < sizeof(no) / sizeof(no[0]); k++)
            if (yaml_node_value(map, no[k]))
                yaml_fail(r->errors, yaml_node_key(map, no[k]),
                          "\"%s\" is not supported for the builders of a pipeline file", no[k]);
    } else {
        config_get_builders(r, map, s->project, false, &s->builders, &s->n_builders);
    }
    (void)yaml_get_int(map, "priority", -CONFIG_PRIORITY_MAX, CONFIG_PRIORITY_MAX, &s->priority,
                       r->errors);
    (void)yaml_get_bool(map, "fail_fast", &s->fail_fast, r->errors);
    pl_get_pairs(&r->pl, map, "properties", PL_PROPERTIES, NULL, &s->properties, &s->n_properties);
    if (!yaml_node_value(map, "kind"))
        yaml_fail(r->errors, map, "required key \"kind\" is missing");
    else if (pl_get_kind(&r->pl, map, "kind", config_sched_kinds, kinds_later, &kind) &&
             kind >= 0) {
        s->kind = (config_sched_kind)kind;
        check_key_kinds(r, map, s->kind);
        if (readers[kind])
            readers[kind](r, map, s);
    }
}

/* ---- `after` */
static size_t find(const config *c, const char *name, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (c->schedulers[i].name && strcmp(c->schedulers[i].name, name) == 0)
            return i;
    return CONFIG_NONE;
}

static const char *near_scheduler(config_reader *r, const char *name, size_t self)
{
    const char **list = pl_alloc(&r->pl, r->schedulers.n + 1, sizeof(*list));
    size_t n = 0;
    for (size_t i = 0; list && i < r->schedulers.n; i++)
        if (i != self && r->c->schedulers[i].name)
            list[n++] = r->c->schedulers[i].name;
    const char *near = list ? pw_nearest(name, list) : NULL;
    free(list);
    return near;
}

static void read_after(config_reader *r, size_t i)
{
    config_scheduler *s = &r->c->schedulers[i];
    const yaml_node *at = yaml_node_value(r->schedulers.v[i], "after");
    char *name = NULL;
    if (s->kind != SCHED_DEPENDENT || !at ||
        !yaml_get_str(r->schedulers.v[i], "after", true, 1000, &name, r->errors) || !name)
        return;
    size_t k = find(r->c, name, r->schedulers.n);
    const config_scheduler *to = k == CONFIG_NONE ? NULL : &r->c->schedulers[k];
    const char *near = to ? NULL : near_scheduler(r, name, i);
    if (!to && near)
        yaml_fail(r->errors, at, "there is no scheduler \"%.60s\"; did you mean \"%s\"?", name,
                  near);
    else if (!to)
        yaml_fail(r->errors, at, "there is no scheduler \"%.60s\"", name);
    else if (to->project != s->project && to->project != CONFIG_NONE && s->project != CONFIG_NONE)
        yaml_fail(r->errors, at, "scheduler \"%s\" is of project \"%s\", not of \"%s\"", name,
                  r->c->projects[to->project].name, r->c->projects[s->project].name);
    else
        s->after = k;
    free(name);
}

/* One that follows itself by way of others would build for ever; the first of a circle tells. */
static void check_circle(config_reader *r, size_t i)
{
    size_t at = r->c->schedulers[i].after;
    for (size_t n = 0; at != CONFIG_NONE && at >= i && n <= r->schedulers.n; n++) {
        if (at == i) {
            yaml_fail(r->errors, yaml_node_value(r->schedulers.v[i], "after"),
                      "scheduler \"%s\" comes after itself", r->c->schedulers[i].name);
            return;
        }
        at = r->c->schedulers[at].after;
    }
}

static bool name_taken(const config *c, const char *name)
{
    for (size_t i = 0; i < c->n_schedulers; i++)
        if (c->schedulers[i].name && strcmp(c->schedulers[i].name, name) == 0)
            return true;
    return false;
}

/* The project's name, or with -2, -3, ... behind it. */
static char *free_name(config_reader *r, const char *project)
{
    char *name = pl_copy(&r->pl, project);
    for (size_t n = 2; name && name_taken(r->c, name); n++) {
        free(name);
        name = pw_strf("%.90s-%zu", project, n);
        if (!name)
            r->errors->failed = true;
    }
    return name;
}

/* Every branch, every builder, at once: what most people want first. */
static void add_default(config_reader *r, size_t project)
{
    char any[] = "*";
    char *const items[] = {any};
    config_scheduler s = {.kind = SCHED_BRANCH, .project = project, .after = CONFIG_NONE};
    config_all_builders(r, project, &s.builders, &s.n_builders);
    bool some = s.n_builders || r->c->projects[project].pipeline;
    if (some) {
        s.name = free_name(r, r->c->projects[project].name);
        s.branches = glob_parse(GLOB_BRANCH, items, 1, NULL);
    }
    if (s.name && s.branches) {
        r->c->schedulers[r->c->n_schedulers++] = s;
        return;
    }
    if (some)
        r->errors->failed = true;
    free(s.name);
    free(s.builders);
    glob_free(s.branches);
}

void config_read_schedulers(config_reader *r)
{
    config *c = r->c;
    c->schedulers = pl_alloc(&r->pl, r->schedulers.n + c->n_projects, sizeof(*c->schedulers));
    if (!c->schedulers)
        return;
    c->n_schedulers = r->schedulers.n;
    for (size_t i = 0; i < r->schedulers.n; i++)
        read_scheduler(r, i);
    for (size_t i = 0; i < r->schedulers.n; i++)
        read_after(r, i);
    for (size_t i = 0; i < r->schedulers.n; i++)
        check_circle(r, i);
    for (size_t p = 0; p < c->n_projects; p++) {
        bool has = false;
        for (size_t i = 0; i < r->schedulers.n; i++)
            has |= c->schedulers[i].project == p;
        if (!has && c->projects[p].name)
            add_default(r, p);
    }
}
