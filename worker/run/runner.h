/* runner.h - one job from its lock to its last note. Takes the journal's lock, runs the steps,
 * writes all that happens into the journal. Changes the process (session, subreaper, umask,
 * signals), so it belongs into one of its own. */
#ifndef PW_WORKER_RUN_RUNNER_H
#define PW_WORKER_RUN_RUNNER_H
#include "worker/run/run.h"

/* Returns 0 when the job is over, whatever its result, and also when another runner has it or had
 * it: then nothing was done. Negative: it could not be begun, or its end could not be written. */
int runner_run(const run_host *host, spool_job id, pw_err *err);
#endif
