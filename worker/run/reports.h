/* reports.h - the test reports of a step: read while they are taken, their cases recorded. */
#ifndef PW_WORKER_RUN_REPORTS_H
#define PW_WORKER_RUN_REPORTS_H
#include "worker/run/run.h"

/* Files that these globs match, in the work directory. Returns 0; *ret_why: why the step is a
 * failure by them, "" when it is none. PW_EINVAL, PW_ENOMEM, PW_ESYS: they could not be taken. */
int reports_take(run_job *r, size_t index, const job_report *spec, const pw_strs *globs,
                 char ret_why[RUN_REASON_MAX], pw_err *err);
#endif
