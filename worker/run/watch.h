/* watch.h - limits of a job on memory and processes: which one a step has met. What the kernel
 * holds by a control group is asked of it; the rest is counted here over the tree of processes, ten
 * times a second, so a step may be above a limit for that long before it is killed. */
#ifndef PW_WORKER_RUN_WATCH_H
#define PW_WORKER_RUN_WATCH_H
#include "worker/run/exec.h"

/* When to look next, from now on; -1: there is nothing to look at. */
pw_usec watch_due(const run_job *r, pw_usec now);
/* EXEC_PROCESSES or EXEC_MEMORY when a limit was met since the last look, else EXEC_EXITED. */
exec_why watch_look(run_job *r);
/* What only the kernel counts; also when the processes are gone. */
exec_why watch_last(run_job *r);
/* "512M": as the limit may have been written. */
const char *watch_size_text(uint64_t bytes, char out[32]);
#endif
