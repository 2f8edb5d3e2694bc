/* logfind.h - which stored log "step S of build B" means. Reads rows only. */
#ifndef PW_MASTER_HTTP_LOGFIND_H
#define PW_MASTER_HTTP_LOGFIND_H
#include "master/store/reader.h"

typedef struct log_at {
    uint64_t build, attempt; /* attempt 0: none yet */
    uint32_t idx, stream;
    bool over; /* nothing more will come */
} log_at;
/* text: a step's name, its name and ".stderr", or its index. nth: the attempt, from 1; 0: the last.
 * PW_ENOTFOUND: no such build, attempt or step. */
int log_find(reader *rd, uint64_t build, uint64_t nth, const char *text, log_at *ret, pw_err *err);
#endif
