/* tries.h - what the store keeps of tries, and of revisions that somebody released. See store.h for
 * what holds of all of its functions. */
#ifndef PW_MASTER_STORE_TRIES_H
#define PW_MASTER_STORE_TRIES_H
#include "master/store/store.h"

typedef struct store_try {
    uint64_t id, project, stamp;
    store_rev base;
    const char *who; /* borrowed; NULL: nobody */
    uint64_t size;   /* bytes that were sent */
    pw_msec at;
} store_try;
int store_try_add(store *self, const store_try *t, pw_err *err);
/* A build set of the try with that stamp; nothing when none has it. */
int store_try_set(store *self, uint64_t stamp, uint64_t buildset, pw_err *err);
/* 1: there is such a try of that project; 0: not. */
int store_try_is(store *self, uint64_t id, uint64_t project, pw_err *err);
int store_try_highest(store *self, uint64_t *ret, pw_err *err);
/* Those of which no build set is left, oldest first. */
int store_tries_over(store *self, unsigned most, int (*cb)(void *, uint64_t id, uint64_t project),
                     void *cb_self, pw_err *err);
int store_try_del(store *self, uint64_t id, pw_err *err);

int store_stamp_released(store *self, uint64_t stamp, bool *ret, pw_err *err);
/* Returns 1, or 0 when it was before. */
int store_stamp_release(store *self, uint64_t stamp, const char *who, pw_err *err);
#endif
