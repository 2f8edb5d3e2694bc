/* graph.h - the store's questions about builders that need each other, and about pipeline files.
 * See store.h for what holds of all of them. */
#ifndef PW_MASTER_STORE_GRAPH_H
#define PW_MASTER_STORE_GRAPH_H
#include "master/store/store.h"

/* ---- builders that need each other (graph.c) */
typedef enum task_hold {
    HOLD_NONE,
    HOLD_MANUAL,   /* a person must start it */
    HOLD_READING,  /* its pipeline file is being read */
    HOLD_UNCHANGED /* nothing that it depends on changed: it is never built */
} task_hold;
typedef struct store_task { /* what is not plain about a request */
    uint64_t request, stamp;
    uint64_t parent;   /* builder that it is a part of; 0: none */
    uint64_t pipeline; /* whose file defines it; 0: the configuration */
    uint64_t follows;  /* unchanged: newest earlier request of the builder on the branch; 0: none */
    task_hold hold;
} store_task;
typedef struct store_member { /* a request of a build set, as far as others need it */
    uint64_t request, builder, parent, rode_with, build;
    req_state state;
    pw_result result;
    task_hold hold;
} store_member;
/* A builder that is a part of another one; made when absent. */
int store_builder_part(store *self, uint64_t project, uint64_t parent, const char *name,
                       uint64_t *ret, pw_err *err);
/* PW_ENOTFOUND */
int store_builder_row(store *self, uint64_t id, uint64_t *ret_project, uint64_t *ret_parent,
                      pw_buf *name, pw_err *err);
int store_buildset_retry(store *self, uint64_t id, uint64_t retry_of, pw_err *err);
int store_task_add(store *self, const store_task *t, pw_err *err);
int store_task_hold(store *self, uint64_t request, task_hold hold, pw_err *err);
/* PW_ENOTFOUND, without text: the request is plain */
int store_task_get(store *self, uint64_t request, store_task *ret, pw_err *err);
int store_graph_add(store *self, uint64_t buildset, bool fail_fast, pw_err *err);
/* The set is over: its rows go. */
int store_graph_del(store *self, uint64_t buildset, pw_err *err);
int store_graphs(store *self, int (*cb)(void *, uint64_t buildset, bool fail_fast), void *cb_self,
                 pw_err *err);
typedef struct store_need {
    uint64_t builder, needs; /* needs 0: the builder takes part */
    bool optional;           /* so: its failure is not the set's */
} store_need;
int store_need_add(store *self, uint64_t buildset, const store_need *n, pw_err *err);
int store_needs(store *self, uint64_t buildset, int (*cb)(void *, const store_need *),
                void *cb_self, pw_err *err);
/* For run_if_changed: what changed on a branch since the last set of a scheduler. *ret_known false:
 * that cannot be said. files: one a line. */
int store_regarded(store *self, const char *scheduler, uint64_t project, const char *branch,
                   pw_buf *files, bool *ret_known, pw_err *err);
/* A set is made at that stamp. */
int store_regarded_put(store *self, const char *scheduler, uint64_t project, const char *branch,
                       uint64_t stamp, pw_err *err);
/* Some changes of the branch have no rows. */
int store_regarded_del(store *self, uint64_t project, const char *branch, pw_err *err);
/* Newest request before that one of a builder on a branch that was to be built; 0: none. */
int store_follows(store *self, uint64_t builder, uint64_t before, const char *branch, uint64_t *ret,
                  pw_err *err);
int store_set_requests(store *self, uint64_t buildset, int (*cb)(void *, const store_member *),
                       void *cb_self, pw_err *err);

/* ---- pipeline files (pipelines.c) */
/* Of that file at that revision; add: the row is made when absent. PW_ENOTFOUND, without text. */
int store_pipeline_id(store *self, uint64_t project, const store_rev *rev, const char *path,
                      bool add, uint64_t *ret, pw_err *err);
/* PW_ENOTFOUND */
int store_pipeline_row(store *self, uint64_t id, uint64_t *ret_project, store_rev *ret_rev,
                       pw_buf *path, pw_err *err);
/* text NULL: there is no such file */
int store_pipeline_put(store *self, uint64_t id, const char *path, const char *text, pw_err *err);
int store_pipeline_texts(store *self, uint64_t id,
                         int (*cb)(void *, const char *path, const char *text), void *cb_self,
                         pw_err *err);
enum { ASKED_FAIL_FAST = 1, ASKED_PERSON = 2, ASKED_COLLAPSE = 4 };
typedef struct store_asked {
    unsigned flags;
    uint64_t change;
    const char *names, *files; /* borrowed; may be NULL */
} store_asked;
int store_asked_add(store *self, uint64_t request, const store_asked *a, pw_err *err);
/* The row is borrowed during the callback; PW_ENOTFOUND, without text. */
int store_asked_get(store *self, uint64_t request, int (*cb)(void *, const store_asked *),
                    void *cb_self, pw_err *err);
int store_asked_del(store *self, uint64_t request, pw_err *err);
/* What a build that no worker ran has to say. */
int store_remark_add(store *self, uint64_t build, const char *text, pw_err *err);
#endif
