/* retain.h - what retention asks of the writer's database and changes in it, step by step, and
 * pins. A log's file goes between two turns: store_retain_mark says in the row that it is about to,
 * and store_retain_gone that it is gone; only then may the rows of its build be removed. Everything
 * here touches few rows, by index. Inside a transaction, but for what only reads. */
#ifndef PW_MASTER_STORE_RETAIN_H
#define PW_MASTER_STORE_RETAIN_H
#include "master/store/store.h"

typedef struct store_old { /* a finished build, with what decides on it; text is borrowed */
    uint64_t id, builder, request, buildset, project;
    pw_result result;
    pw_msec created, finished;
    const char *branch;
    bool pinned;
    bool open;     /* an attempt of it may still ship */
    bool newest;   /* one of its rows is the newest of its table: ids are found by these */
    bool latest;   /* the newest result of its builder on a branch that there is */
    bool logs;     /* output of it is there */
    bool unsealed; /* ... and some is not in a file of its own yet */
    bool files;    /* artifacts, reports or a summary of it are there */
    bool going;    /* a file of it is about to be removed */
    bool tried;    /* of what somebody tried: it says nothing of the branch */
} store_old;
/* Finished builds above `after`, oldest first. A negative return of the callback ends the walk. */
int store_retain_next(store *self, uint64_t after, unsigned most,
                      int (*cb)(void *, const store_old *), void *cb_self, pw_err *err);
/* The nth newest finished build (from 1) of a builder on a branch, as far as the newest 500
 * builds of the builder and 2,000 revisions of that branch show; 0: there are not so many. */
int store_retain_nth(store *self, uint64_t builder, uint64_t project, const char *branch,
                     uint64_t n, uint64_t *ret, pw_err *err);
/* When an edge moved its branch last; 0: never. */
int store_retain_edge(store *self, const char *edge, pw_msec *ret, pw_err *err);

/* The build's sealed logs are about to be removed; the callback gets each. */
int store_retain_mark(store *self, uint64_t build, int (*cb)(void *, const store_log *),
                      void *cb_self, pw_err *err);
/* Those that a crash or a failure left half way. */
int store_retain_going(store *self, unsigned most, int (*cb)(void *, const store_log *),
                       void *cb_self, pw_err *err);
/* The file is gone for good. Idempotent. */
int store_retain_gone(store *self, uint64_t attempt, uint64_t idx, uint64_t stream, pw_err *err);
/* The build's files are past their time: what removes such ones does so (files.h). */
int store_retain_files(store *self, uint64_t build, pw_err *err);
/* All rows of a build whose logs and files are gone, its request, and its build set when nothing
 * else is of it. PW_ECONFLICT: one is there still. */
int store_retain_drop(store *self, const store_old *b, pw_err *err);

typedef struct store_lone { /* a request that no build was made for; borrowed */
    uint64_t id, builder, buildset, project;
    pw_msec created;
    const char *branch;
    bool may; /* it is done, and none of its rows is the newest */
} store_lone;
/* Requests above `after`, oldest first (also others: `may` is false). */
int store_retain_lone(store *self, uint64_t after, unsigned most,
                      int (*cb)(void *, const store_lone *), void *cb_self, pw_err *err);
int store_retain_request(store *self, uint64_t request, uint64_t buildset, pw_err *err);

int store_pin_put(store *self, uint64_t build, const char *who, const char *reason, pw_msec at,
                  pw_err *err);
/* returns how many there were */
int store_pin_del(store *self, uint64_t build, pw_err *err);
#endif
