/* demo.h - inside of client/: `pawl demo`, a master, a worker and repositories in one folder, and a
 * story told with them.
 *
 *   DIR/master.yaml worker.yaml   written by the demo; by join
 *   DIR/state spool home tmp      of the master; of the worker; HOME and TMPDIR of all children
 *   DIR/sample.git sample         the repository that is watched; the work tree that pushes to it,
 * made anew each time DIR/pawl.git                  Pawl's own repository, when the demo is started
 * inside of it DIR/master.log worker.log     what the programs say DIR/demo.lock one demo a folder
 *
 * All children are found beside this program. The demo's process is a subreaper: whatever a child
 * leaves behind becomes its own child, so that at the end nothing runs on. SIGINT, SIGTERM and
 * SIGHUP are blocked and taken in demo_pause(), which every waiting loop calls. One thread;
 * everything blocks. */
#ifndef PW_CLIENT_DEMO_H
#define PW_CLIENT_DEMO_H
#include <stdbool.h>
#include <sys/types.h>

#include "client/client.h"
#include "client/demo_sample.h"
#include "client/rest.h"

enum { DEMO_REV = 65 }; /* SHA-256 in hex and NUL */

typedef struct demo {
    client *c;
    char *dir;    /* whole path */
    char *bin;    /* folder of the programs */
    char *source; /* Pawl's own work tree; NULL: none here */
    char source_head[DEMO_REV];
    char **env; /* of all children */
    size_t n_env;
    pid_t master, worker; /* 0: not running */
    int lock;
    bool stop;    /* a signal asked for the end */
    unsigned run; /* which demo this is in the folder, from 1 */
} demo;

/* ---- demo_proc.c: children */
/* folders, lock, environment, programs */
int demo_open(demo *d, client *c, const char *dir, pw_err *err);
void demo_close(demo *d);
/* DIR/name, owned; NULL when memory ran out. */
char *demo_path(const demo *d, const char *name);
/* Runs a program to its end with DIR's environment; argv is NULL-terminated. PW_ECONFLICT with the
 * last line of its stderr when it did not end with 0. out: its stdout, may be NULL. */
int demo_run(demo *d, const char *const *argv, const char *dir, pw_buf *out, pw_err *err);
/* Starts the master and waits for its address; joins the worker when it is new; starts it and waits
 * until it is connected. */
int demo_start(demo *d, pw_err *err);
/* Cancels what runs, ends worker and master, waits for all children. */
void demo_stop(demo *d);
/* Sleeps; true when the demo is to end (a signal came) or a program of it died (err says which). */
bool demo_pause(demo *d, int ms, pw_err *err);

/* ---- demo_repo.c: repositories */
int demo_repos(demo *d, pw_err *err);
/* Commits one variant of the sample and pushes it. */
int demo_push(demo *d, sample_kind kind, const char *message, char ret_rev[DEMO_REV], pw_err *err);
/* Puts the HEAD of Pawl's own work tree into pawl.git. *ret_new: the master branch moved. */
int demo_push_pawl(demo *d, bool *ret_new, pw_err *err);
/* Where refs/heads/BRANCH of DIR/REPO stands; "" when there is no such branch. */
int demo_ref(demo *d, const char *repo, const char *branch, char ret_rev[DEMO_REV], pw_err *err);
int demo_write(const demo *d, const char *name, const char *text, pw_err *err);

/* ---- demo_story.c */
int demo_story(demo *d, pw_err *err);
#endif
