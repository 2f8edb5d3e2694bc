/* expr.h - the conditions of `if:` and `requires:`: one grammar, parsed once, evaluated over names
 * that a callback knows. See README.md for the grammar and the rules of values. Pure; an expression
 * is immutable after parsing, and evaluating takes no memory from the heap. */
#ifndef PW_SHARED_EXPR_EXPR_H
#define PW_SHARED_EXPR_EXPR_H
#include <stdbool.h>
#include <stddef.h>

#include "shared/base/cleanup.h"
#include "shared/base/err.h"

enum {
    EXPR_TEXT_MAX = 8 * 1024,
    EXPR_NODES_MAX = 1000,
    EXPR_DEPTH_MAX = 50,
    EXPR_NAME_MAX = 100,
};
typedef struct expr expr;
/* NULL: *ret_at is the byte of the text (from 0) where the error is; the error's text does not name
 * it. */
expr *expr_parse(const char *text, size_t *ret_at, pw_err *err);
expr *expr_free(expr *self);
PW_DEFINE_FREEP(expr, expr_free)
const char *expr_text(const expr *self); /* as it was written; borrowed */

typedef struct expr_value { /* what a name stands for: n bytes of text, borrowed */
    const char *text;
    size_t n;
} expr_value;
/* False: there is no such name. `n` bytes of `name`, not ended by a zero. */
typedef bool expr_lookup(void *self, const char *name, size_t n, expr_value *ret);

/* PW_ENOTFOUND: a name that is not known; PW_EINVAL: values that cannot be compared, or a value
 * that is neither true nor false. What `and` and `or` need not look at is no error. */
int expr_eval(const expr *self, expr_lookup *lookup, void *lookup_self, bool *ret, pw_err *err);
/* The first part of a chain of `and` that is not true (or cannot be told): its place in the text.
 * False: there is none, all hold. err gets the error of that part; code 0: it is merely false. */
bool expr_failing(const expr *self, expr_lookup *lookup, void *lookup_self, size_t *ret_at,
                  size_t *ret_n, pw_err *err);
/* Each name in the order of the text, repeated ones too. False: there are no more. *pos is 0 at the
 * beginning. */
bool expr_name(const expr *self, size_t *pos, const char **ret_name, size_t *ret_n, size_t *ret_at);
#endif
