/* table.h - hash map from 64-bit ids to pointers, iterated in order of insertion (never by address
 * or hash seed: the same events must give the same effects). The values stay the caller's. One
 * thread. */
#ifndef PW_SHARED_BASE_TABLE_H
#define PW_SHARED_BASE_TABLE_H
#include <stddef.h>
#include <stdint.h>

#include "shared/base/cleanup.h"
#include "shared/base/err.h"

typedef struct pw_table pw_table;
pw_table *pw_table_new(pw_err *err);
pw_table *pw_table_free(pw_table *self);
PW_DEFINE_FREEP(pw_table, pw_table_free)
void *pw_table_get(const pw_table *self, uint64_t id);
/* Adds or replaces (value not NULL); PW_ENOMEM leaves it unchanged. */
int pw_table_put(pw_table *self, uint64_t id, void *value, pw_err *err);
/* Removes and returns the value; NULL when absent. */
void *pw_table_del(pw_table *self, uint64_t id);
size_t pw_table_count(const pw_table *self);
/* Iteration in insertion order: start with *pos = 0; NULL at the end. Deleting entries meanwhile is
 * fine, adding is not. */
void *pw_table_next(const pw_table *self, size_t *pos);
#endif
