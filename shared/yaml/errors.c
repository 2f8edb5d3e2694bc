/* errors.c - the list of everything that is wrong, and its order. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/yaml/node.h"

enum {
    TEXT_MAX = 600
}; /* bytes of one message; names inside are cut shorter by their printf formats */

void yaml_errors_clear(yaml_errors *e)
{
    for (size_t i = 0; i < e->n; i++) {
        free(e->v[i].file);
        free(e->v[i].text);
    }
    free(e->v);
    *e = (yaml_errors){0};
}

bool yaml_errors_none(const yaml_errors *e)
{
    return !e->n && !e->failed;
}

/* Bytes of the UTF-8 character at s, 0 when there is none. */
static size_t utf8_len(const unsigned char *s)
{
    size_t n = s[0] < 0x80                    ? 1
               : s[0] >= 0xc2 && s[0] <= 0xdf ? 2
               : (s[0] & 0xf0) == 0xe0        ? 3
               : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4
                                              : 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) /* the NUL at the end stops here too */
            return 0;
    return n;
}

/* Messages quote files that others wrote and end on terminals: no control bytes, no broken or cut
 * UTF-8. */
static void clean(char *text)
{
    unsigned char *p = (unsigned char *)text;
    while (*p) {
        size_t n = utf8_len(p);
        bool control = *p < 0x20 || *p == 0x7f || (n == 2 && p[0] == 0xc2 && p[1] < 0xa0);
        if (n && !control) {
            p += n;
            continue;
        }
        *p++ = '?';
        if (n == 2)
            *p++ = '?';
    }
}

void yaml_errors_vadd(yaml_errors *errors, const char *file, unsigned line, unsigned column,
                      const char *fmt, va_list ap)
{
    char text[TEXT_MAX];
    errors->told++;
    if (errors->n >= YAML_ERRORS_MAX || errors->failed)
        return;
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    clean(text);
    if ((errors->n & (errors->n - 1)) == 0) { /* room for 1, 2, 4, ... */
        size_t cap = errors->n ? errors->n * 2 : 1;
        yaml_error *v = realloc(errors->v, cap * sizeof(*v));
        if (!v) {
            errors->failed = true;
            return;
        }
        errors->v = v;
    }
    yaml_error *e = &errors->v[errors->n];
    *e = (yaml_error){.line = line, .column = column};
    e->file = pw_strdup(file, &errors->failed);
    e->text = pw_strdup(text, &errors->failed);
    if (!e->file || !e->text) {
        free(e->file);
        free(e->text);
        return;
    }
    clean(e->file);
    errors->n++;
}

void yaml_errors_add(yaml_errors *errors, const char *file, unsigned line, unsigned column,
                     const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    yaml_errors_vadd(errors, file, line, column, fmt, ap);
    va_end(ap);
}

void yaml_fail(yaml_errors *errors, const yaml_node *at, const char *fmt, ...)
{
    va_list ap;
    if (at->bad) {
        errors->told++;
        return;
    }
    va_start(ap, fmt);
    yaml_errors_vadd(errors, at->file, at->line, at->column, fmt, ap);
    va_end(ap);
}

static int error_cmp(const yaml_error *a, size_t rank_a, const yaml_error *b, size_t rank_b)
{
    if (rank_a != rank_b)
        return rank_a < rank_b ? -1 : 1;
    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    if (a->column != b->column)
        return a->column < b->column ? -1 : 1;
    return 0;
}

/* Fills order[] with the indices in the order of printing and leaves repetitions out; returns how
 * many are left. */
static size_t errors_order(const yaml_errors *e, size_t order[YAML_ERRORS_MAX])
{
    size_t rank[YAML_ERRORS_MAX], n = 0;
    for (size_t i = 0; i < e->n; i++) {
        size_t at = n;
        bool again = false;
        for (rank[i] = 0; strcmp(e->v[rank[i]].file, e->v[i].file) != 0;)
            rank[i]++;
        while (at && error_cmp(&e->v[order[at - 1]], rank[order[at - 1]], &e->v[i], rank[i]) > 0)
            at--;
        for (size_t k = at; k && !again; k--) {
            const yaml_error *old = &e->v[order[k - 1]];
            if (error_cmp(old, rank[order[k - 1]], &e->v[i], rank[i]) != 0)
                break;
            again = strcmp(old->text, e->v[i].text) == 0;
        }
        if (again)
            continue;
        memmove(order + at + 1, order + at, (n - at) * sizeof(*order));
        order[at] = i;
        n++;
    }
    return n;
}

void yaml_errors_sort(yaml_errors *e)
{
    size_t order[YAML_ERRORS_MAX + 1], n = errors_order(e, order);
    yaml_error sorted[YAML_ERRORS_MAX];
    bool kept[YAML_ERRORS_MAX] = {false};
    for (size_t i = 0; i < n; i++) {
        sorted[i] = e->v[order[i]];
        kept[order[i]] = true;
    }
    for (size_t i = 0; i < e->n; i++) {
        if (!kept[i]) {
            free(e->v[i].file);
            free(e->v[i].text);
        }
    }
    if (n)
        memcpy(e->v, sorted, n * sizeof(*sorted));
    e->n = n;
}

int yaml_errors_text(const yaml_errors *e, pw_buf *b)
{
    size_t order[YAML_ERRORS_MAX + 1], n = errors_order(e, order);
    for (size_t i = 0; i < n; i++) {
        const yaml_error *x = &e->v[order[i]];
        (void)pw_buf_addf(b, "%s:%u:%u: %s\n", x->file, x->line, x->column, x->text);
    }
    if (e->failed)
        (void)pw_buf_adds(b, "out of memory while checking\n");
    return b->failed ? PW_ENOMEM : 0;
}
