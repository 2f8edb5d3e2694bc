/* join.h - `pawl-worker join`: makes the key pair, tells the master by the token's one-time key,
 * writes the configuration, puts the key in place. Until that is done every step may be repeated:
 * the same key with the same token is the same worker. On a spool that has a key already it
 * replaces that. Blocks up to JOIN_WAIT. */
#ifndef PW_WORKER_AGENT_JOIN_H
#define PW_WORKER_AGENT_JOIN_H
#include "shared/base/buf.h"
#include "worker/agent/conf.h"

#define JOIN_WAIT (20 * INT64_C(1000000))

typedef struct join_options {
    const char *token;
    const char *config, *spool; /* NULL: the default */
    const char *tags;           /* "A,B" or NULL */
    uint64_t slots;             /* 0: not given */
} join_options;
/* Appends to `told` what to run next. PW_EINVAL: the token or an option is wrong. */
int join(const join_options *o, pw_buf *told, pw_err *err);
/* "A,B" to words. */
int join_tags(const char *text, pw_strs *ret, pw_err *err);
#endif
