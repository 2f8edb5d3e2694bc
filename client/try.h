/* try.h - `pawl try`: what differs from what is pushed, as a bundle, and how its builds go. The
 * work tree, its index, its refs and its objects stay as they are: all is made in a folder of our
 * own. */
#ifndef PW_CLIENT_TRY_H
#define PW_CLIENT_TRY_H
#include "client/client.h"
#include "client/local.h"
#include "shared/json/json.h"

enum { TRY_REV = 65 };

/* ---- try_url.c, pure */
/* Two names of one repository have the same key: scheme, user, port, ".git" and slashes at the end
 * say nothing. */
int try_url_key(const char *url, pw_buf *ret);
/* The project of `projects` (items of /projects) whose repository one of the urls (NULL-terminated)
 * is; *ret_url: which. PW_ENOTFOUND, or PW_ECONFLICT when several are; the text says what to do. */
int try_project(const json_value *projects, const char *const *urls, const char **ret,
                size_t *ret_url, pw_err *err);

/* ---- try_tree.c */
typedef struct try_remotes { /* of a work tree */
    char **name, **url;      /* owned; NULL-terminated */
    size_t n;
} try_remotes;
int try_remotes_read(const local_tree *t, try_remotes *ret, pw_err *err);
void try_remotes_clear(try_remotes *r);

typedef struct try_wish {
    const char *remote; /* of the project; NULL: none is known */
    const char *branch; /* NULL: what HEAD follows */
    const char *base;   /* anything that git takes for a commit; NULL: where HEAD left the branch */
} try_wish;
typedef struct try_made {
    char *dir, *bundle; /* owned; the folder goes with try_made_clear */
    char *branch;       /* owned; NULL: not known */
    char base[TRY_REV];
    uint64_t files, loose; /* that differ from the base; from HEAD */
    uint64_t commits;      /* of HEAD on top of the base */
    uint64_t bytes;        /* of the bundle */
} try_made;
int try_make(const local_tree *t, const try_wish *wish, try_made *ret, pw_err *err);
void try_made_clear(try_made *m);

/* ---- try_watch.c */
/* Prints the output of all builds of the set as it comes, each line behind the name of its step,
 * until they are over. 0: green, 1: not. */
int try_watch(client *c, const json_value *answer, pw_err *err);
#endif
