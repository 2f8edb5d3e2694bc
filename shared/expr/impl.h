/* impl.h - the tree of an expression, for the files of this folder only. Nodes stand in one array,
 * children before their parents; places are bytes of the text. */
#ifndef PW_SHARED_EXPR_IMPL_H
#define PW_SHARED_EXPR_IMPL_H
#include <stdint.h>

#include "shared/expr/expr.h"
#include "shared/scan/regex.h"

typedef enum expr_op {
    EXPR_NAME,
    EXPR_NUMBER,
    EXPR_STRING,
    EXPR_BOOL, /* number is 0 or 1 */
    EXPR_AND,
    EXPR_OR,
    EXPR_NOT, /* left */
    EXPR_EQ,
    EXPR_NE,
    EXPR_LT,
    EXPR_LE,
    EXPR_GT,
    EXPR_GE,
    EXPR_MATCH, /* left =~ re */
    EXPR_IN,    /* left in right; right a name, a string or the first EXPR_ITEM */
    EXPR_ITEM,  /* left: the literal; right: the next one, or -1 */
} expr_op;
typedef struct expr_node {
    expr_op op;
    int left, right; /* indices of nodes; -1: none */
    size_t at, n;    /* where it stands in the text */
    double number;
    const char *s; /* a name (in the text) or a string (in `pool`) */
    size_t len;
    regex *re; /* owned */
} expr_node;
struct expr {
    char *text, *pool; /* owned */
    expr_node *node;   /* owned */
    size_t n_nodes;
    int root;
};
/* A whole text as a number: digits, a fraction, a unit (K M G T; ms s m h d). */
bool expr_number(const char *s, size_t n, double *ret);
#endif
