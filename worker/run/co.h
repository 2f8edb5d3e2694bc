/* co.h - what the parts of a checkout share: git (co_git.c), the mirror (co_mirror.c), the work
 * tree (co_tree.c), put together by checkout.c. One struct for one step, borrowed by all. What
 * fails has set the step's result; all block. */
#ifndef PW_WORKER_RUN_CO_H
#define PW_WORKER_RUN_CO_H
#include "shared/base/buf.h"
#include "shared/gitlogin/gitlogin.h"
#include "worker/run/checkout.h"
#include "worker/run/env.h"
#include "worker/run/run.h"

enum { CO_SMALL_FILE = 64 * 1024 };

typedef struct checkout {
    run_job *r;
    const job_step *s;
    env_list *env;
    const char *dir;
    step_result *out;
    char *mirror; /* owned by who runs the step */
    pw_usec begin, limit;
    bool fresh;   /* the work tree is new */
    bool rebuilt; /* the mirror was made anew in this step */
    /* owned; only while git speaks to the repository: what the work tree's own configuration makes
     * it run in between is not to see that */
    gitlogin_dir login;
    pw_buf *said; /* borrowed: what git says goes there, too; NULL */
    bool hidden;  /* ... and there alone */
} checkout;

/* ---- git */

/* Runs git in the work tree, or on the mirror with the agent's own rights. Returns its exit code
 * (128 + a signal), or -1 with the result set. */
int co_git_run(checkout *c, bool quiet, const char *const *args);
#define co_git(c, quiet, ...) co_git_run((c), (quiet), (const char *const[]){__VA_ARGS__, NULL})
/* A git command that has to succeed: rc as it came, with the result set unless it is 0. */
int co_must(checkout *c, const char *what, int rc);
int co_environment(checkout *c, pw_err *err);
/* Git can log in at the repository until login_close(). */
int co_log_in(checkout *c);
/* Nothing more is to be started; the result is set. */
bool co_over(checkout *c);
/* Whether what fails may be the mirror's fault, and there is room for a new one. */
bool co_room_to_rebuild(const checkout *c);
void co_tell(checkout *c, const char *text);     /* into the step's log */
int co_fail_err(checkout *c, const pw_err *err); /* -1 */

/* ---- the mirror */

/* The revision is in it afterwards; rebuild: made anew. 0, or not 0. */
int co_mirror_update(checkout *c, bool rebuild);
/* Whether it has all of the revision's content: reads every file of it. 1, 0, or -1. */
int co_mirror_sound(checkout *c);

/* ---- the work tree */

int co_tree_empty(checkout *c);
/* At the revision afterwards: 0. 1: this tree or the mirror is at fault; -1: nothing will help. */
int co_tree_update(checkout *c, bool clean);
#endif
