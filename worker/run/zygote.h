/* zygote.h - the process that runners are forked from: small, single-threaded, static, so that a
 * runner costs a fork and not the start of a program (0.08 against 0.8 ms measured). Knows nothing
 * of jobs but their names. It is a
 * child subreaper: what a killed runner leaves becomes its child and is killed. */
#ifndef PW_WORKER_RUN_ZYGOTE_H
#define PW_WORKER_RUN_ZYGOTE_H
#include "worker/run/run.h"

/* Fills what all jobs of a spool share: id and FIFO are opened. spool must be absolute and is
 * borrowed, as env is. */
int run_host_open(run_host *h, const char *spool, char *const *env, pw_err *err);
void run_host_close(run_host *h);
/* Serves job names from the SEQPACKET socket fd (taken) until its other end closes and the runners
 * have ended: a runner that dies without an agent leaves as much. Each is run in a child by `run`
 * (runner_run; tests give their own), which ends by _exit. */
typedef int zygote_run(const run_host *host, spool_job id, pw_err *err);
int zygote_serve(const run_host *host, int fd, zygote_run *run, pw_err *err);
#endif
