/* ask.h - a running step asks its master for something, by way of the agent (worker/spool/need.h),
 * and waits until it is there, however often agent or master are started anew meanwhile. Blocks;
 * cancel, time limits and the end of the job end it. */
#ifndef PW_WORKER_RUN_ASK_H
#define PW_WORKER_RUN_ASK_H
#include "shared/job/ask.h"
#include "worker/run/run.h"

enum { ASK_TRIES = 3 }; /* of what came damaged */

typedef struct ask_part { /* what came */
    uint64_t seq;
    int fd; /* owned; -1: nothing */
    uint64_t size;
    char *path;   /* owned */
    bool refused; /* the master has no such thing; the reason is in the result */
} ask_part;
/* Items as in job_ask. 0, or -1 with the result set. What is of unknown size is held against its
 * sum; files are the caller's to check. */
int ask_master(run_job *r, const job_ask_item *item, size_t n, ask_part *ret, step_result *out);
/* Removes it. A no-op when there is nothing. */
void ask_done(run_job *r, ask_part *p);
#endif
