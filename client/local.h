/* local.h - builds of the pipeline file of a work tree on this machine, by the same runner, without
 * a master. Plain data; blocking. */
#ifndef PW_CLIENT_LOCAL_H
#define PW_CLIENT_LOCAL_H
#include "client/client.h"
#include "shared/pipeline/read.h"

enum { LOCAL_REV = 65 };
typedef struct local_tree { /* where we are */
    char *top;              /* of the work tree; owned */
    char *branch;           /* "HEAD" when there is none; owned */
} local_tree;
/* The work tree around the current folder. */
int local_tree_find(local_tree *t, pw_err *err);
void local_tree_clear(local_tree *t);
/* The pipeline file: path below top, read with its includes. NULL: *errors say why, or err. */
pl_file *local_load(const local_tree *t, const char *path, yaml_errors *errors, pw_err *err);

typedef struct local_place { /* a spool of this work tree's own, kept for the next time */
    const local_tree *tree;
    char *spool, *repository; /* owned */
    int lock;
    char revision[LOCAL_REV];
} local_place;
/* committed: HEAD is built; else the files as they are now, without what git ignores. PW_EAGAIN:
 * another `pawl local` builds this work tree. */
int local_place_open(local_place *p, const local_tree *t, bool committed, pw_err *err);
void local_place_close(local_place *p);
/* One build: prints its log as it comes. *ret and reason (600 bytes) are its result. A negative
 * code when it could not be run at all; PW_ECANCELED is not one of them: see `local_stopped`. */
int local_build(client *c, const local_place *p, const pl_builder *b, const pl_instance *i,
                const pw_list *given, uint64_t number, pw_result *ret, char *reason, pw_err *err);
/* Ctrl-C was pressed: builds end by themselves, no other should begin. */
void local_catch(void);
bool local_stopped(void);
#endif
