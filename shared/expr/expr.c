/* Parsing: recursive descent, its depth bounded. */
#include "shared/expr/expr.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "shared/expr/impl.h"

typedef enum tok {
    T_END,
    T_NAME,
    T_NUMBER,
    T_STRING,
    T_TRUE,
    T_FALSE,
    T_AND,
    T_OR,
    T_NOT,
    T_IN,
    T_OP, /* a comparison: `op` */
    T_OPEN,
    T_CLOSE,
    T_COMMA
} tok;
typedef struct parser {
    expr *e;
    const char *p; /* behind the token */
    size_t pool_n;
    int depth;
    tok t;
    expr_op op;
    size_t at, n; /* of the token */
    size_t last;  /* where the token before it ends */
    double number;
    const char *s;
    size_t len;
    size_t bad; /* where the error is */
    pw_err *err;
} parser;

/* All failures of parsing go through here; -1 is "no node". */
static int wrong(parser *p, size_t at, const char *text)
{
    p->bad = at;
    (void)pw_fail(p->err, PW_EINVAL, "%s", text);
    return -1;
}

static double unit(const char *s, size_t n)
{
    static const struct {
        const char *text;
        double times;
    } units[] = {{"K", 1024.0}, {"M", 1048576.0}, {"G", 1073741824.0}, {"T", 1099511627776.0},
                 {"ms", 0.001}, {"s", 1.0},       {"m", 60.0},         {"h", 3600.0},
                 {"d", 86400.0}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (strlen(units[i].text) == n && memcmp(units[i].text, s, n) == 0)
            return units[i].times;
    return 0;
}

bool expr_number(const char *s, size_t n, double *ret)
{
    double v = 0, part = 0.1;
    size_t i = 0, digits = 0;
    bool minus = n > 0 && s[0] == '-';
    i += minus;
    for (; i < n && isdigit((unsigned char)s[i]); i++, digits++)
        v = v * 10 + (s[i] - '0');
    if (!digits || digits > 18)
        return false;
    if (i + 1 < n && s[i] == '.' && isdigit((unsigned char)s[i + 1]))
        for (i++; i < n && isdigit((unsigned char)s[i]); i++, part /= 10)
            v += part * (s[i] - '0');
    double times = i < n ? unit(s + i, n - i) : 1.0;
    if (times <= 0)
        return false;
    *ret = (minus ? -v : v) * times;
    return true;
}

static bool word_byte(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* A name may have dots inside, as `needs.fast.cc`; a number its fraction and unit. */
static int read_word(parser *p)
{
    static const struct {
        const char *text;
        tok t;
    } words[] = {{"and", T_AND}, {"or", T_OR},     {"not", T_NOT},
                 {"in", T_IN},   {"true", T_TRUE}, {"false", T_FALSE}};
    const char *s = p->p;
    size_t n = *s == '-' ? 1 : 0;
    while (word_byte(s[n]) || (s[n] == '.' && word_byte(s[n + 1])))
        n++;
    p->p += n;
    p->n = n;
    p->s = s;
    p->len = n;
    if (isdigit((unsigned char)*s) || *s == '-') {
        p->t = T_NUMBER;
        if (!expr_number(s, n, &p->number))
            return wrong(p, p->at,
                         "this is no number: digits, a fraction, and K M G T (sizes) or ms s m h "
                         "d (durations) behind them");
        return 0;
    }
    p->t = T_NAME;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strlen(words[i].text) == n && memcmp(words[i].text, s, n) == 0)
            p->t = words[i].t;
    if (n > EXPR_NAME_MAX)
        return wrong(p, p->at, "the name is too long");
    return 0;
}

/* 'it''s' is it's. */
static int read_string(parser *p)
{
    char *out = p->e->pool + p->pool_n;
    size_t n = 0;
    for (p->p++;; p->p++) {
        if (!*p->p)
            return wrong(p, p->at, "the text is not closed: ' is missing");
        if (*p->p == '\'' && *++p->p != '\'')
            break;
        out[n++] = *p->p;
    }
    out[n] = '\0';
    p->pool_n += n + 1;
    p->t = T_STRING;
    p->s = out;
    p->len = n;
    p->n = (size_t)(p->p - p->e->text) - p->at;
    return 0;
}

static int read_op(parser *p)
{
    static const struct {
        const char *text;
        expr_op op;
    } ops[] = {{"==", EXPR_EQ},    {"!=", EXPR_NE}, {"<=", EXPR_LE}, {">=", EXPR_GE},
               {"=~", EXPR_MATCH}, {"<", EXPR_LT},  {">", EXPR_GT}};
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        size_t n = strlen(ops[i].text);
        if (strncmp(p->p, ops[i].text, n) != 0)
            continue;
        p->t = T_OP;
        p->op = ops[i].op;
        p->n = n;
        p->p += n;
        return 0;
    }
    if (*p->p == '=')
        return wrong(p, p->at, "\"=\" is no comparison; write \"==\" (or \"=~\")");
    if (*p->p == '"')
        return wrong(p, p->at, "a text stands in single quotes: 'text'");
    if (*p->p == '&' || *p->p == '|' || *p->p == '!')
        return wrong(p, p->at, "write \"and\", \"or\", \"not\"");
    return wrong(p, p->at, "this character has no meaning here");
}

static int next(parser *p)
{
    p->last = (size_t)(p->p - p->e->text);
    p->p += strspn(p->p, " \t\r\n");
    p->at = (size_t)(p->p - p->e->text);
    p->n = 1;
    switch (*p->p) {
    case '\0':
        p->t = T_END;
        p->n = 0;
        return 0;
    case '(':
    case '[':
        p->t = T_OPEN;
        p->p++;
        return 0;
    case ')':
    case ']':
        p->t = T_CLOSE;
        p->p++;
        return 0;
    case ',':
        p->t = T_COMMA;
        p->p++;
        return 0;
    case '\'':
        return read_string(p);
    default:
        break;
    }
    if (word_byte(*p->p) || (*p->p == '-' && isdigit((unsigned char)p->p[1])))
        return read_word(p);
    return read_op(p);
}

static int add(parser *p, expr_op op, int left, int right, size_t at)
{
    expr *e = p->e;
    if (e->n_nodes == EXPR_NODES_MAX)
        return wrong(p, at, "the condition is too long");
    e->node[e->n_nodes] = (expr_node){.op = op, .left = left, .right = right, .at = at};
    e->node[e->n_nodes].n = p->last - at;
    return (int)e->n_nodes++;
}

static int parse_or(parser *p);

/* A literal or a name; the token is taken. */
static int leaf(parser *p, bool literal_only)
{
    static const expr_op kinds[] = {[T_NAME] = EXPR_NAME,
                                    [T_NUMBER] = EXPR_NUMBER,
                                    [T_STRING] = EXPR_STRING,
                                    [T_TRUE] = EXPR_BOOL,
                                    [T_FALSE] = EXPR_BOOL};
    parser was = *p;
    if (p->t == T_END)
        return wrong(p, p->at, "the condition ends too early");
    if (p->t < T_NAME || p->t > T_FALSE || (literal_only && p->t == T_NAME))
        return wrong(p, p->at,
                     literal_only ? "a list holds texts and numbers"
                                  : "a name, a number or a 'text' is expected here");
    if (next(p) < 0)
        return -1;
    int i = add(p, kinds[was.t], -1, -1, was.at);
    if (i < 0)
        return -1;
    expr_node *n = &p->e->node[i];
    n->n = was.n;
    n->s = was.s;
    n->len = was.len;
    n->number = was.t == T_NUMBER ? was.number : was.t == T_TRUE;
    return i;
}

static int parse_not(parser *p);

static int parse_operand(parser *p)
{
    if (p->t != T_OPEN)
        return leaf(p, false);
    size_t open = p->at;
    if (++p->depth > EXPR_DEPTH_MAX)
        return wrong(p, p->at, "parentheses are nested too deep");
    int i = next(p) < 0 ? -1 : parse_or(p);
    if (i < 0)
        return -1;
    if (p->t != T_CLOSE)
        return wrong(p, p->t == T_END ? open : p->at,
                     p->t == T_END ? "the parenthesis is not closed" : "\")\" is expected here");
    p->depth--;
    return next(p) < 0 ? -1 : i;
}

/* What stands behind `in`: ('a', 'b'), or a name or text whose words are meant. */
static int parse_list(parser *p)
{
    if (p->t != T_OPEN)
        return leaf(p, false);
    int first = -1, last = -1;
    size_t open = p->at;
    do {
        size_t at;
        if (next(p) < 0)
            return -1;
        at = p->at;
        int l = leaf(p, true), item = l < 0 ? -1 : add(p, EXPR_ITEM, l, -1, at);
        if (item < 0)
            return -1;
        if (last >= 0)
            p->e->node[last].right = item;
        else
            first = item;
        last = item;
    } while (p->t == T_COMMA);
    if (p->t != T_CLOSE)
        return wrong(p, p->t == T_END ? open : p->at,
                     p->t == T_END ? "the list is not closed" : "\",\" or \")\" is expected here");
    return next(p) < 0 ? -1 : first;
}

static int parse_match(parser *p, int left, size_t at)
{
    size_t re_at = p->at, in = 0;
    const char *s = p->s;
    size_t len = p->len;
    pw_err why = {0};
    if (p->t != T_STRING)
        return wrong(p, p->at, "behind \"=~\" stands a regular expression: 'text'");
    regex *re = regex_new(s, len, false, &in, &why);
    if (!re && why.code == PW_ENOMEM) {
        *p->err = why;
        return -1;
    }
    if (!re)
        return wrong(p, re_at + 1 + in, why.text);
    int i = next(p) < 0 ? -1 : add(p, EXPR_MATCH, left, -1, at);
    if (i < 0)
        (void)regex_free(re);
    else
        p->e->node[i].re = re;
    return i;
}

/* What can never be compared is told here, not at the first build. */
static bool literals_differ(const expr *e, int left, int right)
{
    expr_op a = e->node[left].op, b = e->node[right].op;
    double v;
    if (a == EXPR_NUMBER && b == EXPR_STRING)
        return !expr_number(e->node[right].s, e->node[right].len, &v);
    if (a == EXPR_STRING && b == EXPR_NUMBER)
        return !expr_number(e->node[left].s, e->node[left].len, &v);
    return a > EXPR_BOOL || b > EXPR_BOOL;
}

static int parse_compare(parser *p)
{
    size_t at = p->at;
    int left = parse_operand(p);
    if (left < 0)
        return -1;
    if (p->t == T_IN) {
        int right = next(p) < 0 ? -1 : parse_list(p);
        if (right >= 0 && p->e->node[left].op > EXPR_BOOL)
            return wrong(p, at, "a condition cannot be in a list");
        return right < 0 ? -1 : add(p, EXPR_IN, left, right, at);
    }
    if (p->t != T_OP)
        return left;
    expr_op op = p->op;
    size_t op_at = p->at;
    if (next(p) < 0)
        return -1;
    if (op == EXPR_MATCH)
        return parse_match(p, left, at);
    int right = parse_operand(p);
    if (right < 0)
        return -1;
    if (literals_differ(p->e, left, right))
        return wrong(p, op_at, "a text and a number, or a condition, cannot be compared");
    if (p->t == T_OP)
        return wrong(p, p->at, "comparisons do not chain: write \"a < b and b < c\"");
    return add(p, op, left, right, at);
}

static int parse_not(parser *p)
{
    size_t at = p->at;
    if (p->t != T_NOT)
        return parse_compare(p);
    if (++p->depth > EXPR_DEPTH_MAX)
        return wrong(p, at, "the condition is nested too deep");
    int i = next(p) < 0 ? -1 : parse_not(p);
    p->depth--;
    return i < 0 ? -1 : add(p, EXPR_NOT, i, -1, at);
}

/* Chains grow to the left, so that walking one in order needs no depth. */
static int parse_chain(parser *p, tok word, expr_op op, int (*inner)(parser *))
{
    size_t at = p->at;
    int left = inner(p);
    while (left >= 0 && p->t == word) {
        int right = next(p) < 0 ? -1 : inner(p);
        left = right < 0 ? -1 : add(p, op, left, right, at);
    }
    return left;
}

static int parse_and(parser *p)
{
    return parse_chain(p, T_AND, EXPR_AND, parse_not);
}

static int parse_or(parser *p)
{
    return parse_chain(p, T_OR, EXPR_OR, parse_and);
}

expr *expr_parse(const char *text, size_t *ret_at, pw_err *err)
{
    size_t n = strnlen(text, EXPR_TEXT_MAX + 1);
    pw_err why = {0};
    parser p = {.err = &why};
    *ret_at = 0;
    if (n > EXPR_TEXT_MAX) {
        (void)pw_fail(err, PW_ELIMIT, "a condition has at most %d bytes", EXPR_TEXT_MAX);
        return NULL;
    }
    PW_AUTO(expr_freep) expr *self = calloc(1, sizeof(*self));
    if (self) {
        self->text = strdup(text);
        self->pool = malloc(n + 1); /* a text is shorter than what stands for it, by two quotes */
        self->node = calloc(EXPR_NODES_MAX, sizeof(*self->node));
    }
    if (!self || !self->text || !self->pool || !self->node) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    p.e = self;
    p.p = self->text;
    self->root = next(&p) < 0 ? -1 : parse_or(&p);
    if (self->root >= 0 && p.t != T_END)
        self->root = wrong(&p, p.at,
                           p.t == T_CLOSE ? "\")\" closes nothing"
                                          : "\"and\", \"or\" or a comparison is expected here");
    else if (self->root >= 0 && self->node[self->root].op != EXPR_NAME &&
             self->node[self->root].op < EXPR_BOOL)
        self->root = wrong(&p, 0, "this is a value and no condition");
    if (self->root < 0) {
        *ret_at = p.bad;
        if (err)
            *err = why;
        return NULL;
    }
    expr_node *less = realloc(self->node, self->n_nodes * sizeof(*less));
    self->node = less ? less : self->node;
    return pw_take(self);
}

expr *expr_free(expr *self)
{
    if (!self)
        return NULL;
    for (size_t i = 0; i < self->n_nodes; i++)
        (void)regex_free(self->node[i].re);
    free(self->node);
    free(self->pool);
    free(self->text);
    free(self);
    return NULL;
}

const char *expr_text(const expr *self)
{
    return self->text;
}

/* A name is a leaf, and leaves are added in the order of the text. */
bool expr_name(const expr *self, size_t *pos, const char **ret_name, size_t *ret_n, size_t *ret_at)
{
    while (*pos < self->n_nodes) {
        const expr_node *n = &self->node[(*pos)++];
        if (n->op != EXPR_NAME)
            continue;
        *ret_name = n->s;
        *ret_n = n->len;
        *ret_at = n->at;
        return true;
    }
    return false;
}
