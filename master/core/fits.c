/* Whether a worker has what a builder asks for: tags, and `requires` over its facts. Facts are the
 * k=v lines of its row; they are taken apart once and again only when they have become others. */
#include "master/core/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void core_facts_clear(core_facts *f)
{
    free(f->text);
    free(f->fact);
    *f = (core_facts){0};
}

bool core_facts_take(core_facts *f, const char *text)
{
    text = text ? text : "";
    if (f->text && strcmp(f->text, text) == 0)
        return true;
    size_t lines = 1, n = strlen(text) + 1;
    for (const char *p = text; *p; p++)
        lines += *p == '\n';
    core_facts_clear(f);
    f->text = malloc(n);
    f->fact = calloc(lines, sizeof(*f->fact));
    if (!f->text || !f->fact) {
        core_facts_clear(f);
        return false;
    }
    memcpy(f->text, text, n);
    for (const char *p = f->text; *p;) {
        size_t len = strcspn(p, "\n");
        const char *eq = memchr(p, '=', len);
        if (eq && eq > p) {
            size_t k = (size_t)(eq - p);
            f->fact[f->n_facts++] = (struct core_fact){p, eq + 1, k, len - k - 1};
        }
        p += len;
        p += *p == '\n';
    }
    return true;
}

typedef struct asked {
    const core_worker *w;
    char number[24];
} asked;

static bool is(const char *name, size_t n, const char *word)
{
    return strlen(word) == n && memcmp(word, name, n) == 0;
}

/* Its name, slots and tags are known by the master, whatever it says of them among its facts. */
static bool lookup(void *self, const char *name, size_t n, expr_value *ret)
{
    asked *a = self;
    const core_facts *f = &a->w->facts;
    const char *own = is(name, n, "worker") ? a->w->row.name
                      : is(name, n, "tags") ? (a->w->row.tags ? a->w->row.tags : "")
                                            : NULL;
    if (is(name, n, "slots")) {
        (void)snprintf(a->number, sizeof(a->number), "%llu", (unsigned long long)a->w->row.slots);
        own = a->number;
    }
    if (own) {
        *ret = (expr_value){own, strlen(own)};
        return true;
    }
    for (size_t i = 0; i < f->n_facts; i++) {
        if (f->fact[i].n != n || memcmp(f->fact[i].name, name, n) != 0)
            continue;
        *ret = (expr_value){f->fact[i].value, f->fact[i].len};
        return true;
    }
    return false;
}

bool core_tag_is(const char *tags, const char *tag)
{
    size_t n = strlen(tag);
    for (const char *p = tags; p && *p;) {
        size_t k = strcspn(p, " ");
        if (k == n && memcmp(p, tag, n) == 0)
            return true;
        p += k;
        p += strspn(p, " ");
    }
    return false;
}

/* A fact is a tag too: os=debian-12. */
static bool has_fact(const core_facts *f, const char *tag)
{
    size_t n = strcspn(tag, "="), len = strlen(tag);
    for (size_t i = 0; tag[n] && i < f->n_facts; i++)
        if (f->fact[i].n == n && memcmp(f->fact[i].name, tag, n) == 0)
            return f->fact[i].len == len - n - 1 &&
                   memcmp(f->fact[i].value, tag + n + 1, len - n - 1) == 0;
    return false;
}

/* A worker says itself which tags it has; which one it is the master knows by its key. */
static bool has(const core_worker *w, const char *tag)
{
    static const char name[] = "worker=";
    if (strncmp(tag, name, sizeof(name) - 1) == 0)
        return strcmp(w->row.name, tag + sizeof(name) - 1) == 0;
    return core_tag_is(w->row.tags, tag) || has_fact(&w->facts, tag);
}

core_block core_fits(const pl_builder *def, const core_worker *w)
{
    asked a = {.w = w};
    bool holds = true;
    for (size_t i = 0; i < def->tags.n; i++)
        if (!has(w, def->tags.v[i]))
            return BLOCK_TAGS;
    if (def->requires && (expr_eval(def->requires, lookup, &a, &holds, NULL) < 0 || !holds))
        return BLOCK_REQUIRES;
    return BLOCK_NONE;
}

void core_fits_why(const pl_builder *def, const core_worker *w, pw_buf *out)
{
    asked a = {.w = w};
    size_t at = 0, n = 0, pos = 0, name_at = 0, len = 0;
    const char *name;
    pw_err err = {0};
    if (!def->requires || !expr_failing(def->requires, lookup, &a, &at, &n, &err))
        return;
    (void)pw_buf_addf(out, "\"%.*s\" does not hold on worker \"%s\"", (int)n,
                      expr_text(def->requires) + at, w->row.name);
    if (err.code)
        (void)pw_buf_addf(out, " (%s)", err.text);
    /* what it has of the names in that part */
    bool first = true;
    while (!err.code && expr_name(def->requires, &pos, &name, &len, &name_at)) {
        expr_value v;
        if (name_at < at || name_at >= at + n || !lookup(&a, name, len, &v))
            continue;
        (void)pw_buf_addf(out, "%s%.*s is \"%.*s\"", first ? " (" : ", ", (int)len, name,
                          (int)(v.n < 100 ? v.n : 100), v.text);
        first = false;
    }
    if (!first)
        (void)pw_buf_adds(out, ")");
}
