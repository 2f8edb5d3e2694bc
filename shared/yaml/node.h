/* node.h - what a node is, for the files of this folder only. Nodes belong to their document; an
 * alias is a second pointer to the same node, so expansion costs no memory, and `size` and `height`
 * keep count of what walking it would cost. */
#ifndef PW_SHARED_YAML_NODE_H
#define PW_SHARED_YAML_NODE_H
#include "shared/yaml/yaml.h"

typedef struct yaml_pair {
    const yaml_node *key, *value; /* borrowed from the document */
    size_t order;                 /* as written; merged ones behind the mapping's own */
} yaml_pair;

struct yaml_node {
    const char *file; /* borrowed from the document */
    unsigned line, column;
    yaml_type type;
    bool plain;
    bool bad;                /* reported already: nothing more is said of it */
    size_t size;             /* nodes of the tree below, itself included, aliases expanded */
    unsigned height;         /* 1 for a scalar */
    char *text;              /* owned; scalars (and null, as written) */
    yaml_pair *pairs;        /* owned; mappings */
    const yaml_node **items; /* owned; lists */
    size_t n;
};

/* Puts the pairs of `<<` into the mapping (its own keys win, then the earlier source) and reports
 * keys given twice. PW_ENOMEM or 0. */
int yaml_pairs_settle(yaml_node *map, yaml_errors *errors);
/* The vprintf form of yaml_errors_add. */
void yaml_errors_vadd(yaml_errors *errors, const char *file, unsigned line, unsigned column,
                      const char *fmt, va_list ap) __attribute__((format(printf, 5, 0)));
#endif
