/* git.h - the git program, for commands that work on a work tree. Blocks. */
#ifndef PW_CLIENT_GIT_H
#define PW_CLIENT_GIT_H
#include "shared/base/buf.h"
#include "shared/base/err.h"

/* Runs git in `dir` (NULL: here) with `vars` ("K=V", NULL-terminated; may be NULL), and of the GIT_
 * variables of the caller's shell only those that say who one is. Appends its output without the
 * last line end. PW_ENOTFOUND: it ended with an error, the text is its first line. */
int client_git(const char *dir, const char *const *vars, const char *const *args, pw_buf *out,
               pw_err *err);
/* A copy of the index of the work tree `top`, made anew; none when the tree has none. It is as old
 * as the tree's: git takes a file that changed in the second in which its index was written for
 * changed by that time alone. */
int client_git_index(const char *top, const char *to, pw_err *err);
#endif
