/* promotion.c - `promotions`: edges between branches, and the check that they lead somewhere. */
#include <stdlib.h>
#include <string.h>

#include "master/config/load.h"

static const char *const promotion_keys[] = {"name",     "kind",  "project",        "from", "to",
                                             "builders", "every", "allow_warnings", NULL};
static const char *const promotion_later[] = {"sticky", "freeze", "pretest", "skippable", NULL};

static void read_promotion(config_reader *r, size_t i)
{
    static const char *const kinds[] = {"green", NULL}, *const later[] = {"merge", "merge_back",
                                                                          "manual", NULL};
    const yaml_node *map = r->promotions.v[i];
    config_promotion *p = &r->c->promotions[i];
    int kind = -1;
    p->project = CONFIG_NONE;
    if (!yaml_check_keys(map, "a promotion", promotion_keys, promotion_later, r->errors) &&
        yaml_node_type(map) != YAML_MAP)
        return;
    (void)config_get_name(r, map, &p->name);
    for (size_t k = 0; k < i; k++)
        config_check_unique(r, "promotion", &r->promotions, i, p->name, r->c->promotions[k].name,
                            k);
    if (!yaml_node_value(map, "kind"))
        yaml_fail(r->errors, map, "required key \"kind\" is missing");
    else
        (void)pl_get_kind(&r->pl, map, "kind", kinds, later, &kind);
    p->project = config_get_project(r, map);
    config_get_branch(r, map, "from", true, &p->from);
    config_get_branch(r, map, "to", true, &p->to);
    if (p->from && p->to && strcmp(p->from, p->to) == 0)
        yaml_fail(r->errors, yaml_node_get(map, "to"), "\"from\" and \"to\" are the same branch");
    size_t before = r->errors->told;
    bool own = p->project != CONFIG_NONE && r->c->projects[p->project].pipeline;
    if (own)
        config_get_builder_names(r, map, &p->names);
    else
        config_get_builders(r, map, p->project, true, &p->builders, &p->n_builders);
    if (!yaml_node_value(map, "builders")) { /* who is not required reddens nothing */
        size_t n = 0;
        for (size_t k = 0; k < p->n_builders; k++)
            if (r->c->builders[p->builders[k]].required)
                p->builders[n++] = p->builders[k];
        p->n_builders = n;
    }
    if (!own && before == r->errors->told && p->project != CONFIG_NONE && !p->n_builders &&
        p->builders)
        yaml_fail(r->errors, map, "project \"%s\" has no builder that could be green",
                  r->c->projects[p->project].name);
    (void)pl_get_time(&r->pl, map, "every", 0, &p->every);
    (void)yaml_get_bool(map, "allow_warnings", &p->allow_warnings, r->errors);
}

/* Whether both are edges that can be compared: a whole one, of the same project. */
static bool same_project(const config_promotion *a, const config_promotion *b)
{
    return a->project == b->project && a->project != CONFIG_NONE && a->from && a->to && b->from &&
           b->to;
}

/* Two that move one branch would push it back and forth. */
static void check_targets(config_reader *r)
{
    const config *c = r->c;
    for (size_t i = 0; i < c->n_promotions; i++) {
        for (size_t k = 0; k < i; k++) {
            const config_promotion *p = &c->promotions[i], *q = &c->promotions[k];
            if (!same_project(p, q) || strcmp(p->to, q->to) != 0)
                continue;
            yaml_fail(r->errors, yaml_node_get(r->promotions.v[i], "to"),
                      "branch \"%.60s\" is moved by promotion \"%.60s\" already", p->to,
                      q->name ? q->name : "");
            break;
        }
    }
}

/* The promotion that moves the branch where this one begins. */
static size_t before_it(const config *c, size_t i)
{
    for (size_t k = 0; k < c->n_promotions; k++)
        if (same_project(&c->promotions[k], &c->promotions[i]) &&
            strcmp(c->promotions[k].to, c->promotions[i].from) == 0)
            return k;
    return CONFIG_NONE;
}

/* `any` is one of the circle's promotions; it is told at the one that the file has first. */
static void tell_circle(config_reader *r, const size_t *before, size_t any)
{
    const config *c = r->c;
    size_t n = 0, start = any;
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(100000);
    PW_AUTO(pw_freep) size_t *path = pl_alloc(&r->pl, c->n_promotions, sizeof(*path));
    if (!path)
        return;
    for (size_t at = before[any]; at != any; at = before[at])
        start = at < start ? at : start;
    for (size_t at = before[start]; at != start; at = before[at])
        path[n++] = at;
    (void)pw_buf_adds(&b, c->promotions[start].from);
    while (n) /* path runs against the edges */
        (void)pw_buf_addf(&b, " -> %s", c->promotions[path[--n]].from);
    yaml_fail(r->errors, yaml_node_get(r->promotions.v[start], "from"),
              "promotions go in a circle: %s -> %s", pw_buf_str(&b), c->promotions[start].from);
}

/* A branch has at most one promotion into it (else that was told), so a circle is found by going
 * back from each. */
static void check_circles(config_reader *r)
{
    const config *c = r->c;
    size_t n = c->n_promotions;
    PW_AUTO(pw_freep) size_t *before = pl_alloc(&r->pl, n, sizeof(*before));
    PW_AUTO(pw_freep) size_t *seen = pl_alloc(&r->pl, n, sizeof(*seen)); /* by which walk, from 1 */
    if (!before || !seen)
        return;
    for (size_t i = 0; i < n; i++)
        before[i] = before_it(c, i);
    for (size_t i = 0; i < n; i++) {
        size_t at = i;
        while (at != CONFIG_NONE && !seen[at]) {
            seen[at] = i + 1;
            at = before[at];
        }
        if (at != CONFIG_NONE && seen[at] == i + 1 && before[at] != at) /* from == to was told */
            tell_circle(r, before, at);
    }
}

void config_read_promotions(config_reader *r)
{
    r->c->promotions = pl_alloc(&r->pl, r->promotions.n, sizeof(*r->c->promotions));
    if (!r->c->promotions)
        return;
    r->c->n_promotions = r->promotions.n;
    for (size_t i = 0; i < r->promotions.n; i++)
        read_promotion(r, i);
    check_targets(r);
    check_circles(r);
}
