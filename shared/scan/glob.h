/* glob.h - lists of globs and regular expressions for names of branches, tags and paths. `*` in a
 * branch glob matches any characters, `/` too; in a path glob it stops at `/`, `**` does not. `!`
 * in front excludes; `/re/` is a regular expression over the whole name (PCRE2 with JIT, the only
 * module that includes it). Immutable after parsing, so any thread may match. */
#ifndef PW_SHARED_SCAN_GLOB_H
#define PW_SHARED_SCAN_GLOB_H
#include <stdbool.h>
#include <stddef.h>

#include "shared/base/cleanup.h"
#include "shared/base/err.h"

typedef struct glob_list glob_list;
typedef enum glob_kind { GLOB_BRANCH, GLOB_PATH } glob_kind;
/* Error names the item and position. n = 0 matches nothing. At most 1,000 items of 1,000 bytes. */
glob_list *glob_parse(glob_kind kind, char *const *items, size_t n, pw_err *err);
glob_list *glob_free(glob_list *self);
PW_DEFINE_FREEP(glob_list, glob_free)
/* The last item that matches decides: true for a plain one, false for one with `!`; when only `!`
 * items are given, all else matches. */
bool glob_match(const glob_list *self, const char *name);
#endif
