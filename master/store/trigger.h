/* trigger.h - the store's rows of steps that trigger other builds. See store.h for what holds of
 * all of them. */
#ifndef PW_MASTER_STORE_TRIGGER_H
#define PW_MASTER_STORE_TRIGGER_H
#include "master/store/store.h"

enum { TRIGGERED_WAITS = 1, TRIGGERED_KEEPS = 2 };
typedef struct store_triggered {
    uint64_t build, step;
    uint64_t buildset; /* 0: refused */
    uint64_t attempt;  /* that asked last */
    uint64_t depth, flags;
    pw_result result;   /* PW_NO_RESULT: it waits */
    const char *reason; /* borrowed; why it was refused; NULL */
} store_triggered;
typedef int store_triggered_cb(void *self, const store_triggered *row);
/* Takes the place of what is there. */
int store_triggered_put(store *self, const store_triggered *row, pw_err *err);
/* PW_ENOTFOUND (without text): the step triggered nothing. */
int store_triggered_get(store *self, uint64_t build, uint64_t step, store_triggered_cb *cb,
                        void *cb_self, pw_err *err);
int store_triggered_of(store *self, uint64_t build, store_triggered_cb *cb, void *cb_self,
                       pw_err *err);
/* All that wait. */
int store_triggered_open(store *self, store_triggered_cb *cb, void *cb_self, pw_err *err);
/* Of the step that asked for that set; 0: none did. */
int store_triggered_depth(store *self, uint64_t buildset, uint64_t *ret, pw_err *err);
int store_triggered_attempt(store *self, uint64_t build, uint64_t step, uint64_t attempt,
                            pw_err *err);
/* It waits no more. Idempotent. */
int store_triggered_end(store *self, uint64_t build, uint64_t step, pw_result result, pw_err *err);
typedef struct store_set_build { /* a request of a set */
    uint64_t request;
    uint64_t row;        /* of the builder, or of what that is a part of */
    const char *builder; /* borrowed; its name */
    bool rode;           /* with another one, whose build is meant */
    bool open;           /* the request */
    uint64_t build;      /* 0: it has none (yet) */
    pw_result result;    /* of a build that is done */
} store_set_build;
/* At most that many, in order of their ids. */
int store_triggered_builds(store *self, uint64_t buildset, size_t most,
                           int (*cb)(void *, const store_set_build *), void *cb_self, pw_err *err);
#endif
