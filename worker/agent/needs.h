/* needs.h - what running jobs ask of the master, piece by piece: the question is read from the
 * spool, each piece is written to the spool before the next one is asked for. So memory is one
 * piece a job; and after whatever end of a session, of the master or of this process the next piece
 * is that behind what stands in the file. One thread; file calls block, nothing else does. */
#ifndef PW_WORKER_AGENT_NEEDS_H
#define PW_WORKER_AGENT_NEEDS_H
#include "worker/agent/jobs.h"

enum { NEEDS_UNDER_WAY = 4 };                 /* pieces of a worker that are asked for */
#define NEEDS_AGAIN (20 * INT64_C(1000000))   /* no answer after this: asked for again */
#define NEEDS_GIVE_UP (60 * INT64_C(1000000)) /* the disk takes nothing: told then */
#define NEEDS_CHANGES 5 /* times that what is asked for may be another thing than before */

typedef struct needs_ops {
    /* Sends it in the present session; `session` is filled in there. */
    int (*send)(void *self, const msg_need *m, pw_err *err);
    void (*wake)(void *self, spool_job id); /* its runner: there is an answer */
} needs_ops;

typedef struct needs needs;
/* spool, jobs: borrowed. Removes what is left of jobs that do not run. */
needs *needs_new(const pw_host *host, const char *spool, jobs *all, const needs_ops *ops,
                 void *ops_self, pw_err *err);
needs *needs_free(needs *self);
PW_DEFINE_FREEP(needs, needs_free)
/* A runner says that there is a question; one that is known is passed over. */
void needs_hint(needs *self, spool_job id);
void needs_begin(needs *self); /* a session */
void needs_end(needs *self);
void needs_blob(needs *self, const msg_blob *m, const void *p, size_t n);
void needs_tick(needs *self);
pw_usec needs_due(const needs *self); /* -1: never */
#endif
