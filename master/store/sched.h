/* sched.h - the store's questions about schedulers, pauses and what [testfix] holds.
 * See store.h for what holds of all of them. */
#ifndef PW_MASTER_STORE_SCHED_H
#define PW_MASTER_STORE_SCHED_H
#include "master/store/store.h"

/* ---- schedulers (sched.c) */
/* Which scheduler asked for a build set, and for what; PW_ENOTFOUND: none did. */
int store_buildset_scheduler(store *self, uint64_t id, pw_buf *name, uint64_t *ret_stamp,
                             pw_err *err);
/* The newest change of that revision of that branch; 0: there is none. */
int store_change_newest(store *self, uint64_t stamp, uint64_t *ret, pw_err *err);
/* The build whose step asked for the set. */
int store_buildset_parent(store *self, uint64_t id, uint64_t parent, pw_err *err);
/* What comes after it is asked for now: 1 the first time, 0 later. */
int store_buildset_follow(store *self, uint64_t id, pw_err *err);
/* Build sets with requests that rode with this one, at the same revision. */
int store_request_riders(store *self, uint64_t request, uint64_t stamp,
                         int (*cb)(void *, uint64_t buildset), void *cb_self, pw_err *err);
typedef struct store_outcome { /* of a request */
    uint64_t builder;          /* or what that is a part of */
    uint64_t rode_with;
    req_state state;
    pw_result result; /* PW_NO_RESULT: no build of it is done */
    bool unchanged;   /* nothing that it depends on had changed */
} store_outcome;
int store_buildset_results(store *self, uint64_t id, int (*cb)(void *, const store_outcome *),
                           void *cb_self, pw_err *err);
typedef enum store_pausable { PAUSED_BUILDER, PAUSED_SCHEDULER } store_pausable;
typedef struct store_paused {
    store_pausable kind;
    const char *name, *reason, *who; /* borrowed; name of a builder: PROJECT/NAME */
    pw_msec at;
} store_paused;
int store_paused_put(store *self, const store_paused *p, pw_err *err);
int store_paused_del(store *self, store_pausable kind, const char *name,
                     pw_err *err); /* idempotent */
int store_paused_each(store *self, int (*cb)(void *, const store_paused *), void *cb_self,
                      pw_err *err);
/* What a paused scheduler would have built: takes the place of what is there for the branch. */
int store_missed_put(store *self, const char *scheduler, const char *branch, uint64_t stamp,
                     uint64_t project, bool tagged, uint64_t change, pw_err *err);
/* branch NULL: all; idempotent */
int store_missed_del(store *self, const char *scheduler, const char *branch, pw_err *err);
int store_missed_each(store *self, const char *scheduler,
                      int (*cb)(void *, const char *branch, uint64_t stamp, bool tagged,
                                uint64_t change),
                      void *cb_self, pw_err *err);
/* A build was green or red; of an older build than the one that is known nothing changes. */
int store_decided_put(store *self, uint64_t builder, const char *branch, uint64_t build,
                      pw_result result, pw_err *err);
/* PW_ENOTFOUND (without text): none was. */
int store_decided_get(store *self, uint64_t builder, const char *branch, pw_result *ret,
                      uint64_t *ret_since, pw_err *err);
/* A waiting request that [testfix] may hold. held: since which build it does, 0: it does not. */
int store_testfix_put(store *self, uint64_t request, uint64_t project, const char *branch,
                      uint64_t change, uint64_t held, pw_err *err);
int store_testfix_del(store *self, uint64_t request, pw_err *err); /* idempotent */
/* PW_ENOTFOUND (without text) */
int store_testfix_get(store *self, uint64_t request, uint64_t *ret_change, uint64_t *ret_held,
                      pw_err *err);
#endif
