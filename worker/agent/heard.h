/* heard.h - keeps in the spool when the master was heard last, for runners that hold a lock
 * exclusively (worker/run/alone.h). */
#ifndef PW_WORKER_AGENT_HEARD_H
#define PW_WORKER_AGENT_HEARD_H
#include <stdbool.h>

#include "worker/spool/heard.h"

typedef struct heard {
    int fd;     /* owned; -1: not open */
    pw_usec at; /* as written */
    bool complained;
} heard;
/* What was written half a second before is fresh enough. */
void heard_keep(heard *h, pw_usec at);
#endif
