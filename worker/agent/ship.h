/* ship.h - sends journals to the master: whole records, each byte from the master's `stored` on,
 * inside the windows that the master grants, the job with the fewest unacknowledged bytes first.
 * Knows no socket: it is handed a function that sends. Between sessions it does nothing and knows
 * no offsets: the master's `stored` is the only one. One thread. */
#ifndef PW_WORKER_AGENT_SHIP_H
#define PW_WORKER_AGENT_SHIP_H
#include "worker/agent/jobs.h"

enum {
    SHIP_BATCH = 256 * 1024, /* bytes of one message; a longer record rides alone */
    SHIP_WORTH = 64 * 1024,  /* a smaller message waits while acknowledgements are under way */
    SHIP_SMALL = 16 * 1024,  /* a small job's bytes need no memory of their own */
};
#define SHIP_STALL (5 * INT64_C(1000000)) /* no progress: sent again from `stored` */
#define SHIP_RETRY (20 * INT64_C(1000))   /* the queue of the connection was full */

/* m: session is not filled in. PW_EAGAIN: later; other errors: the session is over, it will be
 * told. */
typedef int ship_send_fn(void *self, const msg_journal *m, const void *records, size_t n,
                         pw_err *err);

typedef struct ship ship;
ship *ship_new(const pw_host *host, jobs *of, ship_send_fn *send, void *send_self, pw_err *err);
ship *ship_free(ship *self);
PW_DEFINE_FREEP(ship, ship_free)

void ship_begin(ship *self, uint64_t window); /* a session: for all jobs together */
void ship_end(ship *self); /* the session is over: nothing is under way any more */
/* Ships this job from `offset` on. PW_ENOTFOUND: the spool does not have it that far (its tail is
 * lost). `fresh`: what is there waits for the runner's first note or the next poll, so that a short
 * job is one message and not two. */
int ship_resume(ship *self, agent_job *j, uint64_t offset, uint64_t window, bool fresh,
                pw_err *err);
void ship_ack(ship *self, const msg_ack_item *a);
void ship_grown(ship *self, agent_job *j);
void ship_drop(ship *self, agent_job *j); /* a no-op when it is not shipped */
/* Sends what may be sent, at most some MiB. Returns when it wants to be called again: 0 at once, -1
 * when something happens. */
pw_usec ship_pump(ship *self);
/* Once a second: jobs without progress are rewound; memory that is not needed is given back. */
void ship_poll(ship *self);
uint64_t ship_unacked(const ship *self);
uint64_t ship_stray(const ship *self); /* acknowledgements that made no sense */
#endif
