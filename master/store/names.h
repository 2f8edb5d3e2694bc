/* names.h - cache from names to ids, in front of the tables `name`, `project` and `builder`. Only a
 * cache: it forgets everything when it is full, and on a rollback, since an id made in that
 * transaction does not exist. One thread. Private to this folder. */
#ifndef PW_MASTER_STORE_NAMES_H
#define PW_MASTER_STORE_NAMES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/cleanup.h"
#include "shared/base/err.h"

enum {
    NAMES_MAX = 2048
}; /* entries; a server has some hundred builders and step names, hostile files may bring more */
typedef enum names_kind { NAMES_TEXT, NAMES_PROJECT, NAMES_BUILDER } names_kind;
typedef struct names names;
names *names_new(pw_err *err);
names *names_free(names *self);
PW_DEFINE_FREEP(names, names_free)
/* The id, 0 when it is not known here. parent: the builder's project, else 0. */
uint64_t names_get(const names *self, names_kind kind, uint64_t parent, const char *text);
/* Remembers; without memory it does not. */
void names_put(names *self, names_kind kind, uint64_t parent, const char *text, uint64_t id);
void names_forget(names *self);
#endif
