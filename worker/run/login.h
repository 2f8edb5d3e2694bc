/* login.h - with what a checkout logs in at the repository: the project's credentials if the job
 * brings them, else what worker.yaml names, else git's own means. */
#ifndef PW_WORKER_RUN_LOGIN_H
#define PW_WORKER_RUN_LOGIN_H
#include "shared/gitlogin/gitlogin.h"
#include "worker/run/env.h"
#include "worker/run/run.h"

/* From now on git that runs with *env can log in. Its files are in the job's TMPDIR, which is
 * emptied whatever happens to the runner. */
int login_open(const run_job *r, env_list *env, gitlogin_dir *ret, pw_err *err);
/* Takes it out of *env again; idempotent. */
void login_close(env_list *env, gitlogin_dir *d);
/* What to do about a failed fetch, by what git said: text that follows a semicolon; "" when that is
 * not known. */
void login_cure(const run_job *r, const char *said, char *out, size_t room);
#endif
