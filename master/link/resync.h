/* resync.h - what happens to a job that a worker lists in its hello (rules 2.2). Pure. */
#ifndef PW_MASTER_LINK_RESYNC_H
#define PW_MASTER_LINK_RESYNC_H
#include <stdbool.h>
#include <stdint.h>

typedef struct resync_fact {
    bool this_epoch;          /* the job's epoch is ours */
    bool open;                /* the attempt is known and not forgotten */
    bool forgotten;           /* known, of this worker, and done with */
    bool ours;                /* open, and offered to this worker and this spool */
    bool closed;              /* open, but fenced, lost, cancelled or rejected */
    uint64_t applied, stored; /* applied: or received, when that is more */
    uint64_t start, length;   /* what the spool has */
} resync_fact;
typedef enum resync_verdict {
    RESYNC_RESUME = 1,
    RESYNC_RESUME_CANCEL, /* go on shipping, and end it */
    RESYNC_FORGET,
    RESYNC_HOLD,
    RESYNC_HOLD_ALARM, /* it belongs to somebody else */
    RESYNC_LOST        /* closed as lost, and held */
} resync_verdict;
resync_verdict resync_decide(const resync_fact *f);

/* An open attempt of this worker that the hello does not list (rules 2.3). */
typedef struct resync_absent {
    bool same_spool; /* the hello's spool is the one it was offered to */
    bool any;        /* a record was received */
    bool this_epoch; /* offered in this epoch */
    bool closed;
} resync_absent;
typedef enum resync_fate { FATE_WAIT = 1, FATE_REOFFER, FATE_LOST } resync_fate;
resync_fate resync_absent_decide(const resync_absent *f);
#endif
