/* steps.h - what a step does, by its kind. The caller has begun the step's streams and looks at its
 * flags. */
#ifndef PW_WORKER_RUN_STEPS_H
#define PW_WORKER_RUN_STEPS_H
#include "worker/run/env.h"
#include "worker/run/exec.h"

/* Runs step number `index`; *out holds its result. Never fails otherwise: what goes wrong is an
 * exception with its reason. */
void step_run(run_job *r, size_t index, step_result *out);
/* The environment and the folder of a step; both owned. */
int step_env(const run_job *r, const job_step *s, env_list *env, pw_err *err);
int step_dir(const run_job *r, const job_step *s, char **ret_dir, pw_err *err);
/* Limits of the step, for exec. */
exec_spec step_spec(const job_step *s, const env_list *env, const char *dir);
#endif
