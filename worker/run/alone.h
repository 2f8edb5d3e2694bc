/* alone.h - a job that holds a lock exclusively ends when its worker had no sign of the master for
 * too long: then the master may have given the lock to somebody else. Looked at once a second while
 * a step runs, and before each, from the beginning until the last step that uses such a lock. */
#ifndef PW_WORKER_RUN_ALONE_H
#define PW_WORKER_RUN_ALONE_H
#include "worker/run/run.h"

/* The job is read. */
void alone_begin(run_job *r);
/* When to look next; -1: never. */
pw_usec alone_due(const run_job *r);
/* Sets r->forsaken, if it is time to look. */
void alone_look(run_job *r);
void alone_text(const run_job *r, char *out, size_t room);
#endif
