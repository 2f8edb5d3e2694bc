/* Evaluating. Depth is that of parsing: chains of `and` and `or` are walked from their left end. */
#include <string.h>

#include "shared/expr/impl.h"

typedef struct value {
    enum { V_BOOL, V_NUMBER, V_TEXT } kind;
    bool numeric; /* V_TEXT of a name that reads as a number, which `number` is */
    double number;
    const char *s;
    size_t n;
} value;
typedef struct eval {
    const expr *e;
    expr_lookup *lookup;
    void *self;
    pw_err *err;
} eval;

static int condition(const eval *v, int i, bool *ret);

static int name_value(const eval *v, const expr_node *n, value *ret)
{
    expr_value got;
    if (!v->lookup(v->self, n->s, n->len, &got))
        return pw_fail(v->err, PW_ENOTFOUND, "\"%.*s\" is not known", (int)n->len, n->s);
    *ret = (value){.kind = V_TEXT, .s = got.text, .n = got.n};
    ret->numeric = expr_number(got.text, got.n, &ret->number);
    return 0;
}

static int value_of(const eval *v, int i, value *ret)
{
    const expr_node *n = &v->e->node[i];
    bool b = false;
    switch (n->op) {
    case EXPR_NAME:
        return name_value(v, n, ret);
    case EXPR_NUMBER:
        *ret = (value){.kind = V_NUMBER, .number = n->number, .s = n->s, .n = n->len};
        return 0;
    case EXPR_STRING:
        *ret = (value){.kind = V_TEXT, .s = n->s, .n = n->len};
        return 0;
    case EXPR_BOOL:
        *ret = (value){.kind = V_BOOL, .number = n->number};
        return 0;
    default: {
        int r = condition(v, i, &b);
        *ret = (value){.kind = V_BOOL, .number = b};
        return r;
    }
    }
}

static bool is(const value *a, const char *word)
{
    return strlen(word) == a->n && memcmp(word, a->s, a->n) == 0;
}

/* true, false, or a text that says so. */
static int truth(const eval *v, const value *a, bool *ret)
{
    if (a->kind == V_BOOL)
        *ret = a->number != 0;
    else if (a->kind == V_TEXT && (is(a, "true") || is(a, "false")))
        *ret = is(a, "true");
    else
        return pw_fail(v->err, PW_EINVAL, "\"%.*s\" is neither true nor false",
                       (int)(a->n < 100 ? a->n : 100), a->s);
    return 0;
}

static int order(double a, double b)
{
    return (a > b) - (a < b);
}

static int text_order(const value *a, const value *b)
{
    int c = memcmp(a->s, b->s, a->n < b->n ? a->n : b->n);
    return c ? c : (a->n > b->n) - (a->n < b->n);
}

/* *ret < 0, 0, > 0. */
static int compare(const eval *v, const value *a, const value *b, int *ret)
{
    if (a->kind == V_BOOL || b->kind == V_BOOL) {
        bool x = false, y = false;
        int r = truth(v, a, &x);
        if (r == 0)
            r = truth(v, b, &y);
        *ret = x - y;
        return r;
    }
    bool number = a->kind == V_NUMBER || b->kind == V_NUMBER || (a->numeric && b->numeric);
    double x = a->number, y = b->number;
    if (number && a->kind == V_TEXT && !a->numeric && !expr_number(a->s, a->n, &x))
        return pw_fail(v->err, PW_EINVAL, "\"%.*s\" is a text and cannot be compared with a number",
                       (int)(a->n < 100 ? a->n : 100), a->s);
    if (number && b->kind == V_TEXT && !b->numeric && !expr_number(b->s, b->n, &y))
        return pw_fail(v->err, PW_EINVAL, "\"%.*s\" is a text and cannot be compared with a number",
                       (int)(b->n < 100 ? b->n : 100), b->s);
    *ret = number ? order(x, y) : text_order(a, b);
    return 0;
}

static int compared(const eval *v, const expr_node *n, bool *ret)
{
    value a, b;
    int c = 0, r = value_of(v, n->left, &a);
    if (r < 0 || (r = value_of(v, n->right, &b)) < 0 || (r = compare(v, &a, &b, &c)) < 0)
        return r;
    switch (n->op) {
    case EXPR_EQ:
        *ret = c == 0;
        break;
    case EXPR_NE:
        *ret = c != 0;
        break;
    case EXPR_LT:
        *ret = c < 0;
        break;
    case EXPR_LE:
        *ret = c <= 0;
        break;
    case EXPR_GT:
        *ret = c > 0;
        break;
    default:
        *ret = c >= 0;
        break;
    }
    return 0;
}

static bool same(const value *a, const value *b)
{
    if (a->kind != V_BOOL && b->kind != V_BOOL && (a->kind == V_NUMBER || b->kind == V_NUMBER)) {
        double x = a->number, y = b->number;
        return (a->kind == V_NUMBER || expr_number(a->s, a->n, &x)) &&
               (b->kind == V_NUMBER || expr_number(b->s, b->n, &y)) && order(x, y) == 0;
    }
    if (a->kind == V_BOOL && b->kind == V_BOOL)
        return order(a->number, b->number) == 0;
    if (a->kind == V_BOOL)
        return is(b, a->number != 0 ? "true" : "false");
    if (b->kind == V_BOOL)
        return is(a, b->number != 0 ? "true" : "false");
    return text_order(a, b) == 0;
}

/* One of the words of a text, which blanks or commas part. */
static bool has_word(const value *text, const value *word)
{
    for (size_t i = 0; i < text->n;) {
        size_t k = i;
        while (k < text->n && text->s[k] != ' ' && text->s[k] != ',' && text->s[k] != '\n')
            k++;
        if (k - i == word->n && memcmp(text->s + i, word->s, word->n) == 0 && word->n > 0)
            return true;
        i = k + 1;
    }
    return false;
}

static int contained(const eval *v, const expr_node *n, bool *ret)
{
    value a, b;
    const expr_node *list = &v->e->node[n->right];
    int r = value_of(v, n->left, &a);
    *ret = false;
    if (r < 0)
        return r;
    if (list->op != EXPR_ITEM) {
        if ((r = value_of(v, n->right, &b)) < 0)
            return r;
        if (a.kind == V_BOOL || b.kind == V_BOOL)
            return pw_fail(v->err, PW_EINVAL, "behind \"in\" stands a list or a text");
        *ret = has_word(&b, &a);
        return 0;
    }
    for (int i = n->right; i >= 0 && !*ret; i = v->e->node[i].right) {
        (void)value_of(v, v->e->node[i].left, &b); /* a literal: it has a value */
        *ret = same(&a, &b);
    }
    return 0;
}

/* A chain of one operator: from its left end on, until one part decides. */
static int chain(const eval *v, int top, bool *ret)
{
    const expr_node *node = v->e->node;
    expr_op op = node[top].op;
    int at = top, r;
    while (node[at].op == op && node[at].left >= 0)
        at = node[at].left;
    if ((r = condition(v, at, ret)) < 0)
        return r;
    /* parents stand behind their children, so the way back up is a walk forward */
    for (int up = at + 1; up <= top; up++) {
        if (node[up].op != op || node[up].left != at)
            continue;
        if (*ret == (op == EXPR_OR))
            return 0;
        if ((r = condition(v, node[up].right, ret)) < 0)
            return r;
        at = up;
    }
    return 0;
}

static int condition(const eval *v, int i, bool *ret)
{
    const expr_node *n = &v->e->node[i];
    value a;
    int r;
    switch (n->op) {
    case EXPR_AND:
    case EXPR_OR:
        return chain(v, i, ret);
    case EXPR_NOT:
        if ((r = condition(v, n->left, ret)) == 0)
            *ret = !*ret;
        return r;
    case EXPR_MATCH:
        if ((r = value_of(v, n->left, &a)) < 0)
            return r;
        if (a.kind == V_BOOL)
            return pw_fail(v->err, PW_EINVAL, "\"=~\" needs a text");
        *ret = regex_match(n->re, a.s, a.n);
        return 0;
    case EXPR_IN:
        return contained(v, n, ret);
    case EXPR_NAME:
    case EXPR_NUMBER:
    case EXPR_STRING:
    case EXPR_BOOL:
        r = value_of(v, i, &a);
        return r < 0 ? r : truth(v, &a, ret);
    default:
        return compared(v, n, ret);
    }
}

int expr_eval(const expr *self, expr_lookup *lookup, void *lookup_self, bool *ret, pw_err *err)
{
    const eval v = {self, lookup, lookup_self, err};
    bool got = false;
    int r = condition(&v, self->root, &got);
    if (r == 0)
        *ret = got;
    return r;
}

bool expr_failing(const expr *self, expr_lookup *lookup, void *lookup_self, size_t *ret_at,
                  size_t *ret_n, pw_err *err)
{
    const expr_node *node = self->node;
    int at = self->root;
    *err = (pw_err){0};
    const eval v = {self, lookup, lookup_self, err};
    while (node[at].op == EXPR_AND)
        at = node[at].left;
    for (int up = at; up >= 0;) {
        /* the first part of the chain, then the right side of each node above it */
        int part = up == at && node[up].op != EXPR_AND ? up : node[up].right;
        bool good = false;
        if (condition(&v, part, &good) < 0 || !good) {
            *ret_at = node[part].at;
            *ret_n = node[part].n;
            return true;
        }
        int above = -1;
        for (int k = up + 1; up != self->root && above < 0 && k < (int)self->n_nodes; k++)
            if (node[k].op == EXPR_AND && node[k].left == up)
                above = k;
        up = above;
    }
    return false;
}
