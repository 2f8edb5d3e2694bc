/* sparse.h - which files a checkout with `sparse` writes, as git's sparse patterns in cone mode:
 * all of the folders that are named, and the files that lie directly in the root and in each folder
 * on the way. Pure. */
#ifndef PW_WORKER_RUN_SPARSE_H
#define PW_WORKER_RUN_SPARSE_H
#include <stdbool.h>
#include <stddef.h>

#include "shared/base/buf.h"

/* A path below the tree, without ".." and without control characters (patterns are lines). "." is
 * none. */
bool sparse_path_ok(const char *path);
/* Adds the patterns of folders that are ok; out->failed: no memory, or longer than out may be. */
void sparse_patterns(const char *const *folders, size_t n, pw_buf *out);
#endif
