/* yaml.h - YAML documents with positions, over libyaml (the only module that includes it), and the
 * collecting of errors. A node knows its file, line and column (from 1). Anchors, aliases and `<<`
 * are resolved, bounded to 10,000 nodes, depth 64, 4 MiB of text; a key twice in one mapping is an
 * error. One thread per document. The 10,000 bound what aliases multiply; nodes that are written
 * out in the text are bounded by YAML_WRITTEN_MAX. */
#ifndef PW_SHARED_YAML_YAML_H
#define PW_SHARED_YAML_YAML_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "shared/base/err.h"
#include "shared/base/host.h"

/* ---- errors: all of them, in the order of the file, as FILE:LINE:COLUMN: text */
typedef struct yaml_error {
    char *file; /* owned */
    unsigned line, column;
    char *text; /* owned */
} yaml_error;
typedef struct yaml_errors {
    yaml_error *v; /* owned */
    size_t n;
    size_t told; /* calls, also of what was dropped: "did anything new go wrong?" asks this */
    bool failed; /* memory ran out while collecting: treat as an error too */
} yaml_errors;
enum {
    YAML_ERRORS_MAX = 200, /* later ones are dropped: nobody reads more at once */
    YAML_TEXT_MAX = 4 * 1024 * 1024,
    YAML_DEPTH_MAX = 64,
    YAML_ALIAS_MAX = 10000,   /* nodes reached through aliases, counted each time */
    YAML_WRITTEN_MAX = 200000 /* nodes as written: a file of 4 MiB could hold two million */
};
void yaml_errors_clear(yaml_errors *e);
/* True when there is nothing to tell. */
bool yaml_errors_none(const yaml_errors *e);
/* For what has no node: a file that cannot be read. */
void yaml_errors_add(yaml_errors *errors, const char *file, unsigned line, unsigned column,
                     const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Sorts as yaml_errors_text() prints, and drops repetitions (an aliased node is read twice).
 * Idempotent. */
void yaml_errors_sort(yaml_errors *e);
/* One per line, sorted by file order of appearance, then line and column. */
int yaml_errors_text(const yaml_errors *e, pw_buf *b);

typedef struct yaml_doc yaml_doc;
typedef struct yaml_node yaml_node; /* borrowed from its document */
typedef enum yaml_type { YAML_NULL, YAML_SCALAR, YAML_LIST, YAML_MAP } yaml_type;

/* NULL when the text is no single document; then at least one error was added. A key given twice,
 * or a wrong `<<`, adds an error and still gives the document, so that the rest can be checked too:
 * look at the errors before using it. Empty text is a document whose root is YAML_NULL. */
yaml_doc *yaml_parse(const char *file, const char *text, size_t n, yaml_errors *errors);
/* libyaml exports a yaml_free() of its own, which the linker would replace by ours: hence the other
 * name behind it. */
yaml_doc *yaml_doc_free(yaml_doc *self);
static inline yaml_doc *yaml_free(yaml_doc *self)
{
    return yaml_doc_free(self);
}
PW_DEFINE_FREEP(yaml_doc, yaml_free)
const yaml_node *yaml_root(const yaml_doc *self); /* never NULL */

yaml_type yaml_node_type(const yaml_node *n);   /* an unquoted null, ~ or nothing is YAML_NULL */
const char *yaml_node_text(const yaml_node *n); /* scalar's text, else NULL */
bool yaml_node_plain(const yaml_node *n);       /* an unquoted scalar */
size_t yaml_node_count(const yaml_node *n);     /* items or pairs */
const yaml_node *yaml_node_item(const yaml_node *list, size_t i);
const yaml_node *yaml_node_pair(const yaml_node *map, size_t i,
                                const yaml_node **ret_key);            /* returns the value */
const yaml_node *yaml_node_get(const yaml_node *map, const char *key); /* value or NULL */
const yaml_node *yaml_node_key(const yaml_node *map,
                               const char *key); /* the key's node, for positions */
const char *yaml_node_file(const yaml_node *n);
unsigned yaml_node_line(const yaml_node *n);
unsigned yaml_node_column(const yaml_node *n);
/* Adds an error at the node. */
void yaml_fail(yaml_errors *errors, const yaml_node *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- schema walk: a mapping with a table of keys. Each reader adds an error at the right node and
 * leaves *out alone when the value is wrong. They return false only when they added an error; a key
 * that is absent, or null, keeps *out and is true (unless required). *out is overwritten, never
 * freed. What is said of a node that was reported already is not added again. */
typedef struct yaml_keys {
    const char *const *allowed; /* NULL-terminated; anything else is `unknown key "timout"; did you
                                   mean "timeout"?` */
} yaml_keys;
/* Checks that n is a mapping and that each key is allowed. what: "a builder", for the text. */
bool yaml_check_map(const yaml_node *n, const char *what, const char *const *allowed,
                    yaml_errors *errors);
/* The same; a key of `later` is `"gates" is not supported by this version` (unless its value is
 * null), and never suggested. */
bool yaml_check_keys(const yaml_node *n, const char *what, const char *const *allowed,
                     const char *const *later, yaml_errors *errors);
/* The value of a key that is there and not null. */
const yaml_node *yaml_node_value(const yaml_node *map, const char *key);
bool yaml_get_str(const yaml_node *map, const char *key, bool required, size_t max, char **out,
                  yaml_errors *errors); /* owned copy */
bool yaml_get_bool(const yaml_node *map, const char *key, bool *out,
                   yaml_errors *errors); /* true false yes no on off */
bool yaml_get_int(const yaml_node *map, const char *key, int64_t min, int64_t max, int64_t *out,
                  yaml_errors *errors);
bool yaml_get_duration(const yaml_node *map, const char *key, pw_usec *out, yaml_errors *errors);
bool yaml_get_size(const yaml_node *map, const char *key, uint64_t *out, yaml_errors *errors);
/* One of a NULL-terminated list of words; *out becomes its index; a wrong one is told with the list
 * and "did you mean". */
bool yaml_get_enum(const yaml_node *map, const char *key, const char *const *words, int *out,
                   yaml_errors *errors);
/* A list of texts (a single scalar counts as a list of one). *out: owned array of owned texts. */
bool yaml_get_strs(const yaml_node *map, const char *key, size_t max_items, char ***out,
                   size_t *out_n, yaml_errors *errors);
#endif
