/* matrix.c - builders that are built as several: `matrix` and `shards`. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "shared/pipeline/read.h"

/* ---- reading */
static bool value_ok(pl_reader *r, const yaml_node *at, const char *s)
{
    if (!s || !*s || strlen(s) > PL_MATRIX_VALUE_MAX || pl_has_control(s)) {
        yaml_fail(r->errors, at, "a value of a matrix must be a text of 1 to %d bytes",
                  PL_MATRIX_VALUE_MAX);
        return false;
    }
    return true;
}

static bool axis_name_ok(pl_reader *r, const yaml_node *key)
{
    const char *s = yaml_node_text(key);
    if (!pl_property_ok(r, key))
        return false;
    if (strcmp(s, "shard") != 0 && strcmp(s, "shards") != 0)
        return true;
    yaml_fail(r->errors, key, "\"%s\" is no name for an axis: see the key \"shards\"", s);
    return false;
}

static void read_axis(pl_reader *r, const yaml_node *map, const yaml_node *key, pl_builder *b)
{
    const yaml_node *v = yaml_node_value(map, yaml_node_text(key));
    pl_axis *a = &b->axes[b->n_axes];
    if (!axis_name_ok(r, key))
        return;
    if (!v || (yaml_node_type(v) == YAML_LIST && !yaml_node_count(v))) {
        yaml_fail(r->errors, v ? v : key, "axis \"%s\" needs at least one value",
                  yaml_node_text(key));
        return;
    }
    b->n_axes++;
    a->name = pl_copy(r, yaml_node_text(key));
    if (!yaml_get_strs(map, yaml_node_text(key), PL_VALUES_MAX, &a->values.v, &a->values.n,
                       r->errors))
        return;
    for (size_t i = 0; i < a->values.n; i++) {
        const yaml_node *at = yaml_node_type(v) == YAML_LIST ? yaml_node_item(v, i) : v;
        if (!value_ok(r, at, a->values.v[i]))
            continue;
        for (size_t k = 0; k < i; k++)
            if (strcmp(a->values.v[k], a->values.v[i]) == 0) {
                yaml_fail(r->errors, at, "axis \"%s\" has \"%s\" twice", a->name, a->values.v[i]);
                break;
            }
    }
}

static bool is_axis(const pl_builder *b, const char *name)
{
    for (size_t i = 0; i < b->n_axes; i++)
        if (b->axes[i].name && strcmp(b->axes[i].name, name) == 0)
            return true;
    return false;
}

static void read_combo(pl_reader *r, const yaml_node *map, const char *what, bool axes_only,
                       const pl_builder *b, pl_combo *c)
{
    size_t n = yaml_node_count(map);
    if (yaml_node_type(map) != YAML_MAP || !n || n > PL_AXES_MAX) {
        yaml_fail(r->errors, map, "an item of \"%s\" must be a mapping of 1 to %d axes to values",
                  what, PL_AXES_MAX);
        return;
    }
    c->v = pl_alloc(r, n, sizeof(*c->v));
    for (size_t i = 0; c->v && i < n; i++) {
        const yaml_node *key = NULL, *value = yaml_node_pair(map, i, &key);
        if (axes_only && !is_axis(b, yaml_node_text(key))) {
            yaml_fail(r->errors, key, "\"%.60s\" is no axis of this matrix", yaml_node_text(key));
        } else if (axis_name_ok(r, key) && value_ok(r, value, yaml_node_text(value))) {
            c->v[c->n] =
                (pl_pair){pl_copy(r, yaml_node_text(key)), pl_copy(r, yaml_node_text(value))};
            c->n++;
        }
    }
}

static void read_combos(pl_reader *r, const yaml_node *map, const char *key, bool axes_only,
                        const pl_builder *b, pl_combo **out, size_t *out_n)
{
    const yaml_node *v = yaml_node_value(map, key);
    if (!v)
        return;
    if (yaml_node_type(v) != YAML_LIST || yaml_node_count(v) > PL_INSTANCES_MAX) {
        yaml_fail(r->errors, v, "\"%s\" must be a list of at most %d mappings", key,
                  PL_INSTANCES_MAX);
        return;
    }
    *out = pl_alloc(r, yaml_node_count(v), sizeof(**out));
    for (size_t i = 0; *out && i < yaml_node_count(v); i++, (*out_n)++)
        read_combo(r, yaml_node_item(v, i), key, axes_only, b, &(*out)[i]);
}

static void check_properties(pl_reader *r, const yaml_node *map, const pl_builder *b)
{
    const yaml_node *p = yaml_node_value(map, "properties"), *key;
    for (size_t i = 0; p && i < b->n_axes; i++)
        if (b->axes[i].name && (key = yaml_node_key(p, b->axes[i].name)))
            yaml_fail(r->errors, key, "\"%s\" is an axis of the matrix already", b->axes[i].name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What it comes to must be there, be few enough, and have names that differ. */
static void check_instances(pl_reader *r, const yaml_node *at, const pl_builder *b)
{
    pl_instances all;
    pw_err err = {0};
    int code = pl_expand(b, &all, &err);
    if (code == PW_ENOMEM)
        r->errors->failed = true;
    else if (code < 0)
        yaml_fail(r->errors, at, "%s", err.text);
    if (code < 0)
        return;
    PW_AUTO(pw_freep) char **names = pl_alloc(r, all.n, sizeof(*names));
    for (size_t i = 0; names && i < all.n; i++)
        names[i] = all.v[i].name;
    if (names)
        qsort(names, all.n, sizeof(*names), by_name);
    if (!all.n)
        yaml_fail(r->errors, at, "\"exclude\" leaves nothing of this matrix");
    for (size_t i = 0; names && i < all.n; i++) {
        if (strlen(names[i]) > PW_NAME_MAX) {
            yaml_fail(r->errors, at,
                      "the name \"%.100s...\" is longer than %d bytes: shorten "
                      "names and values",
                      names[i], PW_NAME_MAX);
            break;
        }
        if (i && strcmp(names[i - 1], names[i]) == 0) {
            yaml_fail(r->errors, at, "two builds would have the name \"%s\"", names[i]);
            break;
        }
    }
    pl_instances_clear(&all);
}

void pl_read_matrix(pl_reader *r, const yaml_node *map, pl_builder *b)
{
    const yaml_node *m = yaml_node_value(map, "matrix"), *s = yaml_node_value(map, "shards");
    size_t errors = r->errors->told;
    int64_t shards = 0;
    if (yaml_get_int(map, "shards", 1, PL_INSTANCES_MAX, &shards, r->errors))
        b->shards = (unsigned)shards;
    if (m && (yaml_node_type(m) != YAML_MAP || !yaml_node_count(m))) {
        yaml_fail(r->errors, m, "\"matrix\" must be a mapping of names to lists of values");
    } else if (m && yaml_node_count(m) > PL_AXES_MAX + 2) {
        yaml_fail(r->errors, m, "\"matrix\" has more than %d axes", PL_AXES_MAX);
    } else if (m) {
        b->axes = pl_alloc(r, yaml_node_count(m), sizeof(*b->axes));
        for (size_t i = 0; b->axes && i < yaml_node_count(m); i++) {
            const yaml_node *key = NULL;
            (void)yaml_node_pair(m, i, &key);
            if (strcmp(yaml_node_text(key), "include") != 0 &&
                strcmp(yaml_node_text(key), "exclude") != 0)
                read_axis(r, m, key, b);
        }
        read_combos(r, m, "include", false, b, &b->include, &b->n_include);
        read_combos(r, m, "exclude", true, b, &b->exclude, &b->n_exclude);
        check_properties(r, map, b);
    }
    if ((m || s) && b->name && errors == r->errors->told && !r->errors->failed)
        check_instances(r, m ? m : s, b);
}

/* ---- expanding */
typedef struct grid { /* combinations before shards */
    pl_combo *v;
    size_t n, cap;
} grid;

static void grid_clear(grid *g)
{
    for (size_t i = 0; i < g->n; i++)
        pl_pairs_free(g->v[i].v, g->v[i].n);
    free(g->v);
}

static bool put(pl_combo *c, const char *name, const char *value)
{
    bool failed = false;
    size_t at = 0;
    while (at < c->n && strcmp(c->v[at].name, name) != 0)
        at++;
    PW_AUTO(pw_freep) char *copy = pw_strdup(value, &failed);
    if (at == c->n && copy) {
        PW_AUTO(pw_freep) char *key = pw_strdup(name, &failed);
        pl_pair *v = reallocarray(c->v, c->n + 1, sizeof(*v));
        c->v = v ? v : c->v;
        if (!v || !key)
            return false;
        v[c->n++] = (pl_pair){pw_take(key), NULL};
    }
    if (!copy)
        return false;
    free(c->v[at].value);
    c->v[at].value = pw_take(copy);
    return true;
}

static const char *get(const pl_combo *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->v[i].name, name) == 0)
            return c->v[i].value;
    return NULL;
}

static int grid_add(grid *g, pl_combo **ret, pw_err *err)
{
    if (g->n == PL_INSTANCES_MAX)
        return pw_fail(err, PW_ELIMIT, "this matrix makes more than %d builds", PL_INSTANCES_MAX);
    if (g->n == g->cap) {
        size_t cap = g->cap ? 2 * g->cap : 16;
        pl_combo *v = reallocarray(g->v, cap, sizeof(*v));
        if (!v)
            return pw_fail(err, PW_ENOMEM, "out of memory");
        g->v = v;
        g->cap = cap;
    }
    g->v[g->n] = (pl_combo){0};
    *ret = &g->v[g->n++];
    return 0;
}

/* Of what c says, all that is in it: as `exclude` matches. */
static bool within(const pl_combo *c, const pl_combo *part)
{
    for (size_t i = 0; i < part->n; i++) {
        const char *v = get(c, part->v[i].name);
        if (!v || strcmp(v, part->v[i].value) != 0)
            return false;
    }
    return part->n > 0;
}

/* All combinations of the axes, the last axis fastest, but those that are excluded. */
static int cross(const pl_builder *b, grid *g, pw_err *err)
{
    size_t at[PL_AXES_MAX + 2] = {0};
    for (size_t tried = 0; b->n_axes; tried++) {
        pl_combo *c = NULL;
        bool excluded = false;
        if (tried >= 100 * PL_INSTANCES_MAX)
            return pw_fail(err, PW_ELIMIT, "this matrix has more than %d combinations",
                           100 * PL_INSTANCES_MAX);
        int r = grid_add(g, &c, err);
        if (r < 0)
            return r;
        for (size_t i = 0; i < b->n_axes; i++)
            if (!put(c, b->axes[i].name, b->axes[i].values.v[at[i]]))
                return pw_fail(err, PW_ENOMEM, "out of memory");
        for (size_t i = 0; i < b->n_exclude; i++)
            excluded |= within(c, &b->exclude[i]);
        if (excluded) {
            pl_pairs_free(c->v, c->n);
            g->n--;
        }
        size_t i = b->n_axes;
        while (i > 0 && ++at[i - 1] == b->axes[i - 1].values.n)
            at[--i] = 0;
        if (i == 0)
            break;
    }
    return 0;
}

/* As in GitHub's workflows: an item is added to each combination of the axes whose own values it
 * does not change; where there is none, it is a combination of its own. */
static int include(const pl_builder *b, grid *g, pw_err *err)
{
    size_t crossed = g->n;
    for (size_t i = 0; i < b->n_include; i++) {
        const pl_combo *inc = &b->include[i];
        bool added = false, failed = false;
        for (size_t k = 0; k < crossed; k++) {
            bool fits = true;
            for (size_t a = 0; a < b->n_axes; a++) {
                const char *want = get(inc, b->axes[a].name);
                fits &= !want || strcmp(want, get(&g->v[k], b->axes[a].name)) == 0;
            }
            for (size_t p = 0; fits && p < inc->n; p++)
                failed |= !put(&g->v[k], inc->v[p].name, inc->v[p].value);
            added |= fits;
        }
        pl_combo *c = NULL;
        int r = added ? 0 : grid_add(g, &c, err);
        for (size_t p = 0; c && p < inc->n; p++)
            failed |= !put(c, inc->v[p].name, inc->v[p].value);
        if (r < 0)
            return r;
        if (failed)
            return pw_fail(err, PW_ENOMEM, "out of memory");
    }
    return 0;
}

/* "slow[cc=gcc,shard=1/2]". What could be taken for a part of the name's own writing becomes _ . */
static char *instance_name(const pl_builder *b, const pl_combo *c, unsigned shard)
{
    PW_AUTO(pw_buf_clearp) pw_buf s = PW_BUF(8192);
    (void)pw_buf_adds(&s, b->name);
    for (size_t i = 0; i < c->n; i++) {
        (void)pw_buf_addf(&s, "%s%s=", i ? "," : "[", c->v[i].name);
        for (const char *p = c->v[i].value; *p; p++)
            (void)pw_buf_add(&s, isalnum((unsigned char)*p) || strchr(".+@~:-", *p) ? p : "_", 1);
    }
    if (shard)
        (void)pw_buf_addf(&s, "%sshard=%u/%u", c->n ? "," : "[", shard, b->shards);
    if (c->n || shard)
        (void)pw_buf_adds(&s, "]");
    return s.failed ? NULL : pw_buf_take(&s);
}

void pl_instances_clear(pl_instances *self)
{
    for (size_t i = 0; i < self->n; i++) {
        free(self->v[i].name);
        pl_pairs_free(self->v[i].values, self->v[i].n_values);
    }
    free(self->v);
    *self = (pl_instances){0};
}

static bool fill(const pl_builder *b, const pl_combo *c, unsigned shard, pl_instance *out)
{
    bool failed = false;
    *out = (pl_instance){
        .name = instance_name(b, c, shard), .shard = shard, .shards = shard ? b->shards : 0};
    out->values = calloc(c->n + 1, sizeof(*out->values));
    for (size_t i = 0; out->values && i < c->n; i++, out->n_values++)
        out->values[i] =
            (pl_pair){pw_strdup(c->v[i].name, &failed), pw_strdup(c->v[i].value, &failed)};
    return out->name && out->values && !failed;
}

int pl_expand(const pl_builder *b, pl_instances *ret, pw_err *err)
{
    PW_AUTO(grid_clear) grid g = {0};
    pl_instances all = {0};
    pl_combo *none = NULL;
    int r = cross(b, &g, err);
    if (r < 0 || (r = include(b, &g, err)) < 0)
        return r;
    if (!b->n_axes && !b->n_include && (r = grid_add(&g, &none, err)) < 0)
        return r;
    unsigned each = b->shards ? b->shards : 1;
    if (g.n * each > PL_INSTANCES_MAX)
        return pw_fail(err, PW_ELIMIT, "matrix and shards make more than %d builds",
                       PL_INSTANCES_MAX);
    all.v = calloc(g.n * each + 1, sizeof(*all.v));
    bool good = all.v;
    for (size_t i = 0; good && i < g.n; i++)
        for (unsigned k = 1; good && k <= each; k++)
            good = fill(b, &g.v[i], b->shards ? k : 0, &all.v[all.n++]);
    if (!good) {
        pl_instances_clear(&all);
        return pw_fail(err, PW_ENOMEM, "out of memory");
    }
    *ret = all;
    return 0;
}
