/* retention.c - `retention`, at the top and of a project. */
#include "master/config/retention.h"

#include <stdlib.h>
#include <string.h>

#include "master/config/load.h"

/* a hundred years: sums with the clock stay far from the end */
#define AGE_MAX (INT64_C(36500) * 24 * 3600 * 1000000)

void config_retention_clear(config_retention *r)
{
    for (size_t i = 0; i < r->n_branches; i++)
        glob_free(r->branch[i].match);
    free(r->branch);
    *r = (config_retention){0};
}

/* A duration from a second on, or "forever" (0). */
static void get_age(config_reader *r, const yaml_node *map, const char *key, pw_msec *ret,
                    bool *ret_has)
{
    const yaml_node *v = yaml_node_value(map, key);
    const char *text = v ? yaml_node_text(v) : NULL;
    pw_usec age = 0;
    if (!v)
        return;
    *ret_has = true;
    *ret = 0;
    if (text && strcmp(text, "forever") == 0)
        return;
    if (!yaml_get_duration(map, key, &age, r->errors))
        return;
    if (age < PL_SECOND || age > AGE_MAX)
        yaml_fail(r->errors, v, "\"%s\" must be from 1s to 36500d, or \"forever\"", key);
    else
        *ret = age / 1000;
}

static void read_rule(config_reader *r, const yaml_node *map, config_retain *rule)
{
    int64_t keep = 0;
    get_age(r, map, "logs", &rule->logs, &rule->has_logs);
    get_age(r, map, "builds", &rule->builds, &rule->has_builds);
    get_age(r, map, "red", &rule->red, &rule->has_red);
    rule->red_forever = rule->has_red && rule->red == 0;
    rule->has_keep_last = yaml_node_value(map, "keep_last") != NULL;
    if (yaml_get_int(map, "keep_last", 0, RETAIN_KEEP_MAX, &keep, r->errors))
        rule->keep_last = (uint64_t)keep;
    if (rule->logs && rule->builds && rule->logs > rule->builds)
        yaml_fail(r->errors, yaml_node_key(map, "logs"),
                  "logs cannot be kept longer than their builds");
}

static void read_branch(config_reader *r, const yaml_node *map, struct config_retain_branch *b)
{
    static const char *const keys[] = {"match", "logs", "builds", "keep_last", "red", NULL};
    static const char *const later[] = {NULL};
    if (!yaml_check_keys(map, "an entry of \"branches\"", keys, later, r->errors) &&
        yaml_node_type(map) != YAML_MAP)
        return;
    if (!yaml_node_value(map, "match"))
        yaml_fail(r->errors, map, "\"match\" is missing: which branches are meant");
    else
        pl_get_globs(&r->pl, map, "match", GLOB_BRANCH, NULL, PL_GLOBS_EMPTY_WRONG, &b->match);
    read_rule(r, map, &b->rule);
}

void config_read_retention(config_reader *r, const yaml_node *map, config_retention *out,
                           pw_usec *keep_artifacts)
{
    static const char *const keys[] = {"logs",     "builds",    "keep_last", "red",
                                       "branches", "artifacts", NULL};
    static const char *const top[] = {"logs", "builds", "keep_last", "red", "branches", NULL};
    static const char *const later[] = {NULL};
    if (!map ||
        (!yaml_check_keys(map, "\"retention\"", keep_artifacts ? keys : top, later, r->errors) &&
         yaml_node_type(map) != YAML_MAP))
        return;
    if (keep_artifacts)
        (void)pl_get_time(&r->pl, map, "artifacts", 60 * PL_SECOND, keep_artifacts);
    read_rule(r, map, &out->all);
    const yaml_node *list = yaml_node_value(map, "branches");
    size_t n = list && yaml_node_type(list) == YAML_LIST ? yaml_node_count(list) : 0;
    if (list && yaml_node_type(list) != YAML_LIST)
        yaml_fail(r->errors, list, "\"branches\" must be a list of {match: GLOB, ...}");
    if (n > RETAIN_BRANCHES_MAX) {
        yaml_fail(r->errors, list, "more than %d entries", RETAIN_BRANCHES_MAX);
        return;
    }
    if (!n || !(out->branch = pl_alloc(&r->pl, n, sizeof(*out->branch))))
        return;
    out->n_branches = n;
    for (size_t i = 0; i < n; i++)
        read_branch(r, yaml_node_item(list, i), &out->branch[i]);
}

/* What `over` says goes before. */
static void merge(config_retain *to, const config_retain *over)
{
    if (over->has_logs)
        to->logs = over->logs;
    if (over->has_builds)
        to->builds = over->builds;
    if (over->has_keep_last)
        to->keep_last = over->keep_last;
    if (over->has_red) {
        to->red = over->red;
        to->red_forever = over->red_forever;
    }
}

static void merge_all(config_retain *to, const config_retention *r, const char *branch)
{
    merge(to, &r->all);
    for (size_t i = 0; i < r->n_branches; i++)
        if (r->branch[i].match && glob_match(r->branch[i].match, branch)) {
            merge(to, &r->branch[i].rule);
            return; /* the first that matches */
        }
}

config_retain config_retain_of(const config *self, size_t project, const char *branch)
{
    config_retain rule = {0};
    merge_all(&rule, &self->retention, branch);
    if (project < self->n_projects)
        merge_all(&rule, &self->projects[project].retention, branch);
    return rule;
}

static pw_msec least(pw_msec a, const config_retention *r)
{
    for (size_t i = 0; i <= r->n_branches; i++) {
        const config_retain *rule = i ? &r->branch[i - 1].rule : &r->all;
        const pw_msec ages[] = {rule->logs, rule->builds};
        for (size_t k = 0; k < 2; k++)
            if (ages[k] && (!a || ages[k] < a))
                a = ages[k];
    }
    return a;
}

pw_msec config_retain_least(const config *self)
{
    pw_msec a = least(0, &self->retention);
    for (size_t i = 0; i < self->n_projects; i++)
        a = least(a, &self->projects[i].retention);
    return a;
}
