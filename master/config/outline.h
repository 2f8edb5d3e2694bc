/* outline.h - a configuration as people see it: objects of sections, each with its keys and their
 * texts, so that two can be compared key by key, whatever the keys are. Includes are followed;
 * nothing is checked. What may hold a secret is hidden. */
#ifndef PW_MASTER_CONFIG_OUTLINE_H
#define PW_MASTER_CONFIG_OUTLINE_H
#include "master/config/config.h"

typedef struct outline_key {
    char *name, *text; /* owned; text in YAML's flow style */
    bool hidden;       /* not to be shown */
} outline_key;
typedef struct outline_object {
    char *section; /* owned: "builders" */
    char *name;    /* owned: "p/fast"; "" for a section that is no list */
    outline_key *key;
    size_t n;
} outline_object;
typedef struct outline {
    outline_object *v; /* owned; in the files' order */
    size_t n;
    bool failed; /* memory ran out */
} outline;
void outline_clear(outline *o);
/* The files of a configuration that was read (config.text), named as `file`. Negative: errors says
 * why. */
int outline_of(const char *file, const char *text, size_t n, outline *ret, yaml_errors *errors);

/* One difference. */
typedef enum outline_change { OUTLINE_ADDED, OUTLINE_REMOVED, OUTLINE_CHANGED } outline_change;
typedef void outline_cb(void *self, outline_change change, const outline_object *old,
                        const outline_object *now);
/* Calls back for each object that is not the same, those of `now` in their order, then those that
 * are gone. */
void outline_compare(const outline *old, const outline *now, outline_cb *cb, void *cb_self);
/* The key's text, NULL: it is not there. */
const outline_key *outline_key_of(const outline_object *o, const char *name);
bool outline_key_same(const outline_key *a, const outline_key *b);
#endif
