/* checkout.h - step `checkout`: the exact revision in the work directory. See README.md for mirror
 * and work tree. */
#ifndef PW_WORKER_RUN_CHECKOUT_H
#define PW_WORKER_RUN_CHECKOUT_H
#include "worker/run/env.h"
#include "worker/run/run.h"

enum {
    CHECKOUT_GIT_US = 600000000, /* longest time of one git command */
    CHECKOUT_LOCK_POLL_US = 20000,
};

/* Whatever goes wrong is an exception with its reason in *out. env: the step's environment (is
 * changed: git's own variables); dir: where the tree goes, an absolute path. */
void checkout_run(run_job *r, const job_step *s, env_list *env, const char *dir, step_result *out);
/* SPOOL/mirrors/NAME.git for a repository; a mirror of limited depth is one of its own. Owned;
 * NULL: no memory. */
char *checkout_mirror_path(const char *spool, const char *repository, uint64_t depth);
/* 40 or 64 lower case hex digits. */
bool checkout_revision_ok(const char *revision);
#endif
