/* rejects.h - the newest answers `reject`, so that the same offer gets the same answer (rules
 * 3.5). Plain memory; one thread. */
#ifndef PW_WORKER_AGENT_REJECTS_H
#define PW_WORKER_AGENT_REJECTS_H
#include <stddef.h>

#include "worker/spool/spool.h"

enum { REJECTS_KEPT = 64, REJECT_WHY = 300 };

typedef struct reject_answer {
    spool_job id;
    char reason[REJECT_WHY];
    uint64_t retry_ms;
} reject_answer;

typedef struct rejects { /* all zero: empty */
    reject_answer *v;    /* owned, on demand; a ring */
    size_t next;
} rejects;
void rejects_clear(rejects *self);
/* Without memory nothing is kept: the answer to a repetition may differ, and the attempt is closed
 * by the first anyway. */
void rejects_keep(rejects *self, const reject_answer *r);
/* NULL: that job was not rejected, or too long ago. */
const reject_answer *rejects_find(const rejects *self, spool_job id);
#endif
