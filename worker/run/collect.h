/* collect.h - what a step leaves is taken after it, whatever came of it: files that its globs name,
 * what lies in $PAWL_ARTIFACTS, its test reports, the summary in $PAWL_SUMMARY. */
#ifndef PW_WORKER_RUN_COLLECT_H
#define PW_WORKER_RUN_COLLECT_H
#include "worker/run/run.h"

/* Before a step: both folders are there. */
int collect_prepare(run_job *r, pw_err *err);
/* May make a step that was fine a failure; never fails otherwise. Its streams are open still. */
void collect_step(run_job *r, size_t index, const job_step *s, step_result *out);
#endif
