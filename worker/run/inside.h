/* inside.h - the isolation of the job that runs: settled when it begins, entered by each program of
 * its steps, ended with it. With `none` all of this does nothing. Blocking calls. */
#ifndef PW_WORKER_RUN_INSIDE_H
#define PW_WORKER_RUN_INSIDE_H
#include "shared/base/spawn.h"
#include "worker/run/env.h"
#include "worker/run/exec.h"

/* By what the job asks for and the worker offers: takes a user and gives it the job's folders where
 * that is needed. Refuses what cannot be done. The work directory is there and locked. */
int inside_open(run_job *r, pw_err *err);
/* Nothing of the user is left; the folders are the agent's again. A no-op when it is not open. */
void inside_close(run_job *r);
/* A folder that the agent made elsewhere, for the job. */
int inside_give(const run_job *r, const char *dir, pw_err *err);
/* A folder that the agent made in the work directory becomes the job's. */
int inside_own(run_job *r, const char *dir, pw_err *err);
/* What git needs to read the mirror, which is another user's. */
int inside_git(const run_job *r, const char *mirror, env_list *env, pw_err *err);

/* One program's way in; all owned by it, but what it borrows from the spec. */
typedef struct inside_start {
    const char *const *argv, *const *env;
    const char *dir;
    const pw_spawn_user *as; /* NULL: as the agent */
    const int *keep;
    /* ---- private */
    char **list;
    env_list changed;
    pw_spawn_user user;
    int fds[2];
    int status; /* where bwrap says how it went; -1: none */
} inside_start;
/* out: the program's ends of its pipes, which become its user's; -1: none. */
int inside_begin(run_job *r, const exec_spec *spec, const int out[PW_STREAMS], inside_start *ret,
                 pw_err *err);
/* The program is started: what only it needs is closed. */
void inside_begun(inside_start *s);
/* False: the program never ran, the isolation could not be entered. status as of wait(2). */
bool inside_worked(const run_job *r, const exec_spec *spec, const inside_start *s, int status);
/* Also removes a container that is left. */
void inside_end(run_job *r, const exec_spec *spec, inside_start *s);
#endif
