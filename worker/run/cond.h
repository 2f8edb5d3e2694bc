/* cond.h - `if` of a step: over the job's properties, `result` (of the build so far: success before
 * anything went wrong), `event` and `reason` (of the build). */
#ifndef PW_WORKER_RUN_COND_H
#define PW_WORKER_RUN_COND_H
#include "shared/job/job.h"

/* Whether the step is to run; a step without `if` is. Negative: it cannot be told; err says why. */
int cond_holds(const job_spec *job, const job_step *s, pw_result so_far, bool *ret, pw_err *err);
#endif
