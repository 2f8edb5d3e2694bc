/* needs.c - what steps take of builds that theirs needs: `fetch`, and ${needs.NAME.PROPERTY}. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/fs.h"
#include "shared/pipeline/read.h"

static const char mark[] = "needs.";
enum { MARK = sizeof(mark) - 1 };

typedef struct found {
    pl_mention_fn *cb;
    void *self;
    bool cond; /* the text is a condition */
} found;

/* p: behind "needs.", n bytes: NAME.PROPERTY. A name may have dots, a property has none. */
static int tell(const found *f, const char *p, size_t n, bool optional)
{
    const char *dot = memrchr(p, '.', n);
    pl_mention m = {.name = p, .name_n = dot ? (size_t)(dot - p) : n, .optional = optional};
    if (dot) {
        m.prop = dot + 1;
        m.prop_n = n - m.name_n - 1;
    }
    return f->cb(f->self, &m);
}

static bool word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.';
}

static int in_cond(const found *f, const char *text)
{
    int rc = 0;
    for (const char *p = text; *p && rc == 0;) {
        if (*p == '\'') { /* to its end; a doubled quote begins another one */
            const char *end = strchr(p + 1, '\'');
            p = end ? end + 1 : p + strlen(p);
            continue;
        }
        size_t n = 0;
        while (word(p[n]))
            n++;
        if (n > MARK && strncmp(p, mark, MARK) == 0)
            rc = tell(f, p + MARK, n - MARK, false);
        p += n ? n : 1;
    }
    return rc;
}

static int in_text(const found *f, const char *text)
{
    int rc = 0;
    for (const char *p = text; rc == 0 && (p = strstr(p, "${needs."));) {
        p += 2 + MARK;
        size_t n = 0;
        while (p[n] && p[n] != '}' && !(p[n] == ':' && (p[n + 1] == '-' || p[n + 1] == '+')))
            n++;
        rc = tell(f, p, n, p[n] == ':');
    }
    return rc;
}

static int look(const found *f, const char *text)
{
    return !text ? 0 : f->cond ? in_cond(f, text) : in_text(f, text);
}

static int in_pairs(const found *f, const pl_pair *v, size_t n)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = look(f, v[i].value);
    return rc;
}

static int in_strs(const found *f, const pl_strs *s)
{
    int rc = 0;
    for (size_t i = 0; i < s->n && rc == 0; i++)
        rc = look(f, s->v[i]);
    return rc;
}

static int in_step(const found *f, const pl_step *s)
{
    const found cond = {f->cb, f->self, true};
    int rc = look(&cond, s->cond);
    if (rc == 0)
        rc = look(f, s->dir);
    if (rc == 0)
        rc = in_pairs(f, s->env, s->n_env);
    if (rc == 0)
        rc = in_pairs(f, s->with, s->n_with);
    if (rc == 0)
        rc = in_strs(f, &s->paths);
    if (rc == 0)
        rc = in_strs(f, &s->keys);
    if (rc == 0)
        rc = in_strs(f, &s->artifacts);
    for (size_t i = 0; i < s->n_reports && rc == 0; i++)
        rc = in_strs(f, &s->reports[i].paths);
    return rc;
}

int pl_mentions(const pl_builder *b, pl_mention_fn *cb, void *self)
{
    const found f = {cb, self, false};
    int rc = in_pairs(&f, b->env, b->n_env);
    for (size_t i = 0; i < b->n_steps && rc == 0; i++)
        rc = in_step(&f, &b->steps[i]);
    return rc;
}

/* ---- whose builds these are */
/* "slow" and "slow[cc=gcc]" are of builder slow. */
static bool of_builder(const char *name, size_t n, const char *builder)
{
    size_t k = strlen(builder);
    return n >= k && memcmp(name, builder, k) == 0 && (n == k || name[k] == '[');
}

bool pl_mention_is(const pl_mention *m, const char *name)
{
    return strlen(name) == m->name_n && memcmp(name, m->name, m->name_n) == 0;
}

const char *pl_fetch_from(const pl_step *s)
{
    for (size_t i = 0; s->kind && strcmp(s->kind, "fetch") == 0 && i < s->n_with; i++)
        if (strcmp(s->with[i].name, "from") == 0)
            return s->with[i].value;
    return NULL;
}

typedef struct search {
    const char *builder;
    bool found;
} search;

static int match(void *self, const pl_mention *m)
{
    search *s = self;
    s->found |= of_builder(m->name, m->name_n, s->builder);
    return s->found ? 1 : 0;
}

bool pl_uses_need(const pl_builder *b, size_t k)
{
    search s = {.builder = b->needs.v[k]};
    for (size_t i = 0; i < b->n_steps && !s.found; i++) {
        const char *from = pl_fetch_from(&b->steps[i]);
        const char *open = from ? strstr(from, "${") : NULL,
                   *bracket = from ? strchr(from, '[') : NULL;
        /* a property in its builder's name: it may be any */
        s.found = from && ((open && (!bracket || open < bracket)) ||
                           of_builder(from, strlen(from), s.builder));
    }
    if (!s.found)
        (void)pl_mentions(b, match, &s);
    return s.found;
}

/* ---- what of it is wrong */
typedef struct check {
    pl_reader *r;
    const pl_builder *v, *b;
    const yaml_node *at;
} check;

static bool has_pair(const pl_pair *v, size_t n, const pl_mention *m)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(v[i].name) == m->prop_n && memcmp(v[i].name, m->prop, m->prop_n) == 0)
            return true;
    return false;
}

/* Whether anything in its definition gives it that property. */
static bool sets(const pl_builder *d, const pl_mention *m)
{
    if (has_pair(d->properties, d->n_properties, m))
        return true;
    for (size_t i = 0; i < d->n_axes; i++)
        if (strlen(d->axes[i].name) == m->prop_n &&
            memcmp(d->axes[i].name, m->prop, m->prop_n) == 0)
            return true;
    for (size_t i = 0; i < d->n_include; i++)
        if (has_pair(d->include[i].v, d->include[i].n, m))
            return true;
    for (size_t i = 0; i < d->n_steps; i++)
        for (size_t k = 0; k < d->steps[i].n_with; k++) {
            const char *name = d->steps[i].with[k].name, *dot = strchr(name, '.');
            if (d->steps[i].kind && strcmp(d->steps[i].kind, "set_property") == 0 && dot &&
                strlen(dot + 1) == m->prop_n && memcmp(dot + 1, m->prop, m->prop_n) == 0)
                return true;
        }
    return false;
}

/* The definition that a name belongs to; NULL: told, or told of elsewhere. */
static const pl_builder *find(const check *c, const char *name, size_t n, const char *what)
{
    const pl_builder *b = c->b;
    size_t k = 0;
    while (k < b->needs.n && !of_builder(name, n, b->needs.v[k]))
        k++;
    if (k == b->needs.n)
        yaml_fail(c->r->errors, c->at,
                  "%s: this builder does not need \"%.*s\"; name it in its \"needs\"", what,
                  n < 100 ? (int)n : 100, name);
    return k < b->needs.n && b->need ? &c->v[b->need[k]] : NULL;
}

/* Whether it names one build; with `all` every build of a builder will do, too. */
static void check_one(const check *c, const pl_builder *d, const char *name, size_t n,
                      const char *what, bool all)
{
    pl_instances in;
    bool known = false;
    if (pl_expand(d, &in, NULL) < 0)
        return; /* told where it is defined, or no memory: found out at run time */
    for (size_t i = 0; i < in.n; i++)
        known |= strlen(in.v[i].name) == n && memcmp(in.v[i].name, name, n) == 0;
    bool whole = strlen(d->name) == n;
    if (!known && whole && !all && in.n)
        yaml_fail(c->r->errors, c->at,
                  "%s: \"%s\" is built as several: name one of them, as in \"%s\"", what, d->name,
                  in.v[0].name);
    else if (!known && !whole && in.n)
        yaml_fail(c->r->errors, c->at, "%s: there is no build \"%.*s\"; there is \"%s\"", what,
                  n < 100 ? (int)n : 100, name, in.v[0].name);
    pl_instances_clear(&in);
}

static int check_mention(void *self, const pl_mention *m)
{
    static const char what[] = "${needs.NAME.PROPERTY}";
    const check *c = self;
    if (!m->prop_n || !m->name_n || m->name_n + m->prop_n + MARK + 1 > PW_NAME_MAX) {
        yaml_fail(c->r->errors, c->at, "%s is written so, with at most %d bytes", what,
                  PW_NAME_MAX);
        return 0;
    }
    const pl_builder *d = find(c, m->name, m->name_n, what);
    if (!d)
        return 0;
    bool result = m->prop_n == 6 && memcmp(m->prop, "result", 6) == 0;
    check_one(c, d, m->name, m->name_n, what, result);
    if (!result && !m->optional && !sets(d, m))
        yaml_fail(c->r->errors, c->at,
                  "%s: nothing in builder \"%s\" sets a property \"%.*s\" (\"set_property\" of a "
                  "step does); write ${needs.NAME.PROPERTY:-TEXT} if somebody else may",
                  what, d->name, m->prop_n < 60 ? (int)m->prop_n : 60, m->prop);
    return 0;
}

static void check_from(check *c, const yaml_node *fetch)
{
    c->at = yaml_node_type(fetch) == YAML_MAP ? yaml_node_value(fetch, "from") : fetch;
    const char *from = c->at ? yaml_node_text(c->at) : NULL;
    const char *open = from ? strstr(from, "${") : NULL, *bracket = from ? strchr(from, '[') : NULL;
    if (!from || (open && (!bracket || open < bracket)))
        return;
    size_t n = open ? (size_t)(bracket - from) : strlen(from);
    const pl_builder *d = find(c, from, n, "\"fetch\"");
    if (d && !open)
        check_one(c, d, from, n, "\"fetch\"", false);
}

static void walk(check *c, const yaml_node *n, const char *key)
{
    const char *text = yaml_node_text(n);
    const found f = {check_mention, c, strcmp(key, "if") == 0};
    c->at = n;
    if (text && strcmp(key, "run") == 0) {
        if (strstr(text, "${needs."))
            yaml_fail(c->r->errors, n,
                      "\"run\" is for the shell, which knows no ${needs.NAME.PROPERTY}: give it by "
                      "\"env\"");
    } else if (text) {
        (void)look(&f, text);
    }
    for (size_t i = 0; yaml_node_type(n) == YAML_LIST && i < yaml_node_count(n); i++)
        walk(c, yaml_node_item(n, i), key);
    for (size_t i = 0; yaml_node_type(n) == YAML_MAP && i < yaml_node_count(n); i++) {
        const yaml_node *name = NULL, *value = yaml_node_pair(n, i, &name);
        walk(c, value, yaml_node_text(name));
    }
}

void pl_check_mentions(pl_reader *r, const pl_builder *v, size_t at, const yaml_node *map)
{
    check c = {.r = r, .v = v, .b = &v[at]};
    const yaml_node *env = yaml_node_value(map, "env"), *steps = yaml_node_value(map, "steps");
    if (env)
        walk(&c, env, "env");
    for (size_t i = 0; steps && yaml_node_type(steps) == YAML_LIST && i < yaml_node_count(steps);
         i++) {
        const yaml_node *step = yaml_node_item(steps, i);
        if (yaml_node_type(step) != YAML_MAP)
            continue;
        walk(&c, step, "");
        if (yaml_node_value(step, "fetch"))
            check_from(&c, yaml_node_value(step, "fetch"));
    }
}
