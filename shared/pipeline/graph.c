/* graph.c - what builders need of each other. */
#include <stdlib.h>
#include <string.h>

#include "shared/base/num.h"
#include "shared/pipeline/read.h"

/* ---- names to indices */
typedef struct entry {
    const pl_builder *b;
    size_t at;
} entry;

static int entry_cmp(const void *x, const void *y)
{
    const entry *a = x, *b = y;
    if (a->b->project != b->b->project)
        return a->b->project < b->b->project ? -1 : 1;
    int r = strcmp(a->b->name, b->b->name);
    return r ? r : a->at < b->at ? -1 : a->at > b->at;
}

static const entry *find(const entry *sorted, size_t n, size_t project, const char *name)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        const pl_builder *b = sorted[mid].b;
        bool less = b->project != project ? b->project < project : strcmp(b->name, name) < 0;
        lo = less ? mid + 1 : lo;
        hi = less ? hi : mid;
    }
    return lo < n && sorted[lo].b->project == project && strcmp(sorted[lo].b->name, name) == 0
               ? &sorted[lo]
               : NULL;
}

static void tell_unknown(pl_reader *r, const yaml_node *at, const pl_builder *v, size_t n,
                         size_t project, const char *name)
{
    PW_AUTO(pw_freep) const char **names = pl_alloc(r, n + 1, sizeof(*names));
    size_t k = 0;
    for (size_t i = 0; names && i < n; i++)
        if (v[i].name && v[i].project == project)
            names[k++] = v[i].name;
    const char *near = names ? pw_nearest(name, names) : NULL;
    if (near)
        yaml_fail(r->errors, at, "\"needs\": no builder \"%.60s\"; did you mean \"%s\"?", name,
                  near);
    else if (strchr(name, '['))
        yaml_fail(r->errors, at,
                  "\"needs\" names a builder, not one build of its matrix: \"%.60s\"", name);
    else
        yaml_fail(r->errors, at, "\"needs\": no builder \"%.60s\"", name);
}

/* ---- circles */
typedef struct walk {
    pl_reader *r;
    const pl_builder *v;
    const yaml_node *const *map;
    unsigned char *state; /* 1: on the way, 2: done */
    size_t *way;
    size_t depth;
} walk;

static void tell_circle(walk *w, size_t again)
{
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(1500);
    size_t from = w->depth;
    while (w->way[from - 1] != again)
        from--;
    for (size_t i = from - 1; i < w->depth; i++)
        (void)pw_buf_addf(&text, "%s -> ", w->v[w->way[i]].name);
    (void)pw_buf_adds(&text, w->v[again].name);
    yaml_fail(w->r->errors, yaml_node_value(w->map[again], "needs"),
              "builders that need each other never begin: %s%s", pw_buf_str(&text),
              text.failed ? "..." : "");
}

/* Deep as the longest chain, which is bounded by the number of builders. */
static void visit(walk *w, size_t i)
{
    const pl_builder *b = &w->v[i];
    w->state[i] = 1;
    w->way[w->depth++] = i;
    for (size_t k = 0; b->need && k < b->needs.n; k++) {
        if (w->state[b->need[k]] == 1)
            tell_circle(w, b->need[k]);
        else if (!w->state[b->need[k]])
            visit(w, b->need[k]);
    }
    w->state[i] = 2;
    w->depth--;
}

static void tell_circles(pl_reader *r, const pl_builder *v, size_t n, const yaml_node *const *map)
{
    PW_AUTO(pw_freep) unsigned char *state = pl_alloc(r, n, 1);
    PW_AUTO(pw_freep) size_t *way = pl_alloc(r, n, sizeof(*way));
    walk w = {r, v, map, state, way, 0};
    for (size_t i = 0; state && way && i < n; i++)
        if (!state[i])
            visit(&w, i);
}

static void resolve(pl_reader *r, pl_builder *v, size_t n, size_t i, const yaml_node *map,
                    const entry *sorted, size_t n_sorted)
{
    pl_builder *b = &v[i];
    const yaml_node *list = yaml_node_value(map, "needs");
    bool bad = false;
    if (!b->needs.n || !(b->need = pl_alloc(r, b->needs.n, sizeof(*b->need))))
        return;
    for (size_t k = 0; k < b->needs.n; k++) {
        const yaml_node *at = yaml_node_type(list) == YAML_LIST ? yaml_node_item(list, k) : list;
        const entry *e = find(sorted, n_sorted, b->project, b->needs.v[k]);
        bool twice = false;
        for (size_t m = 0; m < k; m++)
            twice |= strcmp(b->needs.v[m], b->needs.v[k]) == 0;
        if (twice)
            yaml_fail(r->errors, at, "\"needs\" names \"%.60s\" twice", b->needs.v[k]);
        else if (!e)
            tell_unknown(r, at, v, n, b->project, b->needs.v[k]);
        else if (e->at == i)
            yaml_fail(r->errors, at, "\"%.60s\" needs itself", b->needs.v[k]);
        bad |= twice || !e || e->at == i;
        b->need[k] = e ? e->at : i;
    }
    if (bad) { /* told; nothing walks along it */
        free(b->need);
        b->need = NULL;
    }
}

void pl_resolve_needs(pl_reader *r, pl_builder *v, size_t n, const yaml_node *const *map)
{
    PW_AUTO(pw_freep) entry *sorted = pl_alloc(r, n, sizeof(*sorted));
    size_t k = 0;
    for (size_t i = 0; sorted && i < n; i++)
        if (v[i].name)
            sorted[k++] = (entry){&v[i], i};
    if (!sorted)
        return;
    qsort(sorted, k, sizeof(*sorted), entry_cmp);
    for (size_t i = 0; i < n; i++)
        resolve(r, v, n, i, map[i], sorted, k);
    tell_circles(r, v, n, map);
    bool whole = yaml_errors_none(r->errors); /* else a definition may lack anything */
    for (size_t i = 0; whole && i < n; i++)
        if (yaml_node_type(map[i]) == YAML_MAP)
            pl_check_mentions(r, v, i, map[i]);
}

/* ---- which ones belong together */
void pl_close_needs(const pl_builder *v, size_t n, bool *marked)
{
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; marked[i] && k < v[i].needs.n; k++) {
                more |= !marked[v[i].need[k]];
                marked[v[i].need[k]] = true;
            }
    }
}

static bool touched(const glob_list *globs, const char *files)
{
    PW_AUTO(pw_buf_clearp) pw_buf path = PW_BUF(8192);
    for (const char *p = files; *p;) {
        size_t n = strcspn(p, "\n");
        pw_buf_reset(&path);
        if (pw_buf_add(&path, p, n) < 0 || glob_match(globs, pw_buf_str(&path)))
            return true; /* what cannot be looked at may have changed anything */
        p += n + (p[n] == '\n');
    }
    return false;
}

/* On small arrays that are read in any order, to the fixed point; a file has at most
 * PL_BUILDERS_MAX, and chains are short. */
void pl_select(const pl_builder *v, size_t n, const char *files, bool *marked)
{
    PW_AUTO(pw_freep) bool *in = calloc(n + 1, sizeof(*in));
    if (!files || !in) /* without memory: rather too much than too little */
        return;
    for (size_t i = 0; i < n; i++)
        in[i] = marked[i] && (!v[i].run_if_changed || touched(v[i].run_if_changed, files));
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; marked[i] && !in[i] && k < v[i].needs.n; k++)
                if (marked[v[i].need[k]] && in[v[i].need[k]])
                    more = in[i] = true;
    }
    for (size_t i = 0; i < n; i++)
        in[i] = in[i] || (marked[i] && v[i].always_run);
    pl_close_needs(v, n, in);
    for (size_t i = 0; i < n; i++)
        marked[i] = marked[i] && in[i];
}
