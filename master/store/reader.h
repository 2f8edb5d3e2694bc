/* reader.h - read-only snapshots of the results database for the web threads: one connection per
 * thread, prepared statements, nothing here ever waits for the writer. A walk calls back for each
 * row (borrowed during the callback; negative ends it). Lists are newest first and paged by key
 * (`before`: ids below it; 0: from the newest), never by offset. */
#ifndef PW_MASTER_STORE_READER_H
#define PW_MASTER_STORE_READER_H
#include "master/store/store.h"
#include "master/store/sched.h"

typedef struct reader reader;
reader *reader_open(const char *path, pw_err *err);
/* The clock that a walk's time is taken by, borrowed; the system's at first. A walk of more than
 * 5 s, callbacks included, ends with PW_EAGAIN: it holds up the checkpoint. */
void reader_clock(reader *self, const pw_host *host);
reader *reader_close(reader *self);
PW_DEFINE_FREEP(reader, reader_close)

/* A build with the names that people read. */
typedef struct reader_build {
    store_build b;
    /* why: the build set's reason; worker, who: NULL none */
    const char *project, *builder, *branch, *worker, *who, *why;
    uint64_t buildset;
    uint64_t retry_of, parent; /* builds: that its set repeats, whose step asked for it; 0 none */
    store_rev rev;
} reader_build;
typedef struct reader_build_filter {
    const char *project, *builder, *branch, *worker; /* NULL: any; builder: NAME or PROJECT/NAME */
    const store_rev *rev;
    int result;    /* pw_result or -1: any */
    int state;     /* build_state or -1: any */
    pw_msec since; /* created at or after; 0 any */
    uint64_t before;
    size_t limit;
} reader_build_filter;
int reader_builds(reader *self, const reader_build_filter *f,
                  int (*cb)(void *, const reader_build *), void *cb_self, pw_err *err);
/* PW_ENOTFOUND */
int reader_build_one(reader *self, uint64_t id, int (*cb)(void *, const reader_build *),
                     void *cb_self, pw_err *err);
/* frozen job of an open build; PW_ENOTFOUND */
int reader_job(reader *self, uint64_t build, pw_buf *out, pw_err *err);
/* What a build that no worker ran has to say; PW_ENOTFOUND: nothing. */
int reader_remark(reader *self, uint64_t build, pw_buf *out, pw_err *err);
/* n-th (from 1) or 0: the last */
int reader_attempt_of(reader *self, uint64_t build, uint64_t n, uint64_t *ret_attempt, pw_err *err);
int reader_steps(reader *self, uint64_t attempt, int (*cb)(void *, const store_step *),
                 void *cb_self, pw_err *err);
int reader_properties(reader *self, uint64_t build,
                      int (*cb)(void *, const char *name, const char *value, const char *source),
                      void *cb_self, pw_err *err);
/* The row's texts are borrowed during the callback. */
int reader_notes(reader *self, uint64_t attempt, int (*cb)(void *, const store_note *),
                 void *cb_self, pw_err *err);
/* Facts of the attempt's worker, k=v lines; nothing when none are known. */
int reader_attempt_facts(reader *self, uint64_t attempt, pw_buf *ret, pw_err *err);
/* Whether somebody wants it kept: PW_ENOTFOUND. Borrowed. */
int reader_pin(reader *self, uint64_t build,
               int (*cb)(void *, const char *who, const char *reason, pw_msec at), void *cb_self,
               pw_err *err);
/* Whether retention removed logs of it. */
int reader_logs_gone(reader *self, uint64_t build, bool *ret, pw_err *err);
int reader_log(reader *self, uint64_t attempt, uint64_t idx, uint64_t stream, store_log *ret,
               pw_err *err);
int reader_frames(reader *self, uint64_t attempt, uint64_t idx, uint64_t stream,
                  int (*cb)(void *, const store_frame *), void *cb_self, pw_err *err);

typedef struct reader_request {
    store_request r;
    const char *project, *builder, *branch, *who, *why;
    store_rev rev;
    uint64_t held;             /* the build since which [testfix] holds it; 0: it does not */
    uint64_t retry_of, parent; /* as of a build */
} reader_request;
int reader_requests(reader *self, int state /* -1 any; REQ_WAITING ... */, uint64_t before,
                    size_t limit, int (*cb)(void *, const reader_request *), void *cb_self,
                    pw_err *err);
int reader_request_one(reader *self, uint64_t id, int (*cb)(void *, const reader_request *),
                       void *cb_self, pw_err *err);

typedef struct reader_change {
    store_change c;
    const char *project, *branch;
    store_rev rev;
    uint64_t held;      /* the build since which [testfix] holds it; 0: it does not */
    const char *missed; /* a paused scheduler that would have built it; NULL: none */
} reader_change;
int reader_changes(reader *self, const char *project, const char *branch, uint64_t before,
                   size_t limit, int (*cb)(void *, const reader_change *), void *cb_self,
                   pw_err *err);
int reader_change_one(reader *self, uint64_t id, int (*cb)(void *, const reader_change *),
                      void *cb_self, pw_err *err);

/* busy: live attempts; also removed ones */
int reader_workers(reader *self,
                   int (*cb)(void *, const store_worker *, uint64_t busy, bool enrolled),
                   void *cb_self, pw_err *err);
int reader_worker_one(reader *self, uint64_t id,
                      int (*cb)(void *, const store_worker *, uint64_t busy, bool enrolled),
                      void *cb_self, pw_err *err);
int reader_promotions(reader *self, const char *edge, uint64_t before, size_t limit,
                      int (*cb)(void *, const store_promotion *), void *cb_self, pw_err *err);
int reader_promotion_one(reader *self, uint64_t id, int (*cb)(void *, const store_promotion *),
                         void *cb_self, pw_err *err);
/* Outgoing messages, newest first, without their bodies. state: -1 any; target: NULL any. */
int reader_messages(reader *self, int state, const char *target, uint64_t before, size_t limit,
                    int (*cb)(void *, const store_message *), void *cb_self, pw_err *err);
/* What the target of the message with this key calls it; nothing is added when that is not known.
 */
int reader_message_remote(reader *self, const char *key, pw_buf *ret, pw_err *err);
int reader_edges(reader *self,
                 int (*cb)(void *, const char *edge, edge_state state, const store_rev *rev,
                           const char *reason, pw_msec at),
                 void *cb_self, pw_err *err);
/* Newest finished build of each builder on each branch, by project, branch, builder. */
typedef struct reader_latest {
    const char *project, *builder, *branch;
    uint64_t build;
    pw_result result;
    store_rev rev;
    pw_msec finished;
} reader_latest;
int reader_latest_all(reader *self, int (*cb)(void *, const reader_latest *), void *cb_self,
                      pw_err *err);
int reader_tips(reader *self,
                int (*cb)(void *, const char *project, const char *ref, const store_rev *rev),
                void *cb_self, pw_err *err);
int reader_projects(reader *self, int (*cb)(void *, uint64_t id, const char *name), void *cb_self,
                    pw_err *err);
int reader_builders(reader *self,
                    int (*cb)(void *, uint64_t id, const char *project, const char *name),
                    void *cb_self, pw_err *err);
/* What people switched off. */
int reader_paused(reader *self, int (*cb)(void *, const store_paused *), void *cb_self,
                  pw_err *err);
/* Branches that [testfix] holds requests of. */
typedef struct reader_held {
    const char *project, *branch;
    uint64_t since, requests; /* since: a build */
    pw_msec oldest;           /* of the requests */
} reader_held;
int reader_held_all(reader *self, int (*cb)(void *, const reader_held *), void *cb_self,
                    pw_err *err);
/* Events after seq, oldest first; PW_ENOTFOUND when seq is older than what is kept or newer than
 * what exists. */
int reader_events(reader *self, uint64_t after, size_t limit,
                  int (*cb)(void *, uint64_t seq, pw_msec at, event_kind kind, uint64_t id),
                  void *cb_self, pw_err *err);
int reader_event_last(reader *self, uint64_t *ret_seq, pw_err *err);
/* The token of this hash, live or not; PW_ENOTFOUND. */
int reader_token(reader *self, const uint8_t hash[32], int (*cb)(void *, const store_token *),
                 void *cb_self, pw_err *err);
/* The token behind a session of the page, and when the session ends; PW_ENOTFOUND. */
int reader_session(reader *self, const uint8_t hash[32], uint8_t ret_token[32],
                   pw_msec *ret_expires, pw_err *err);
int reader_tokens(reader *self, uint64_t before, size_t limit,
                  int (*cb)(void *, const store_token *), void *cb_self, pw_err *err);
/* What people (and workers that join) did; actor NULL: anybody, since 0: ever. */
typedef struct reader_deed {
    uint64_t id;
    pw_msec at;
    const char *actor, *action, *object, *text; /* the last two may be NULL */
} reader_deed;
int reader_audit(reader *self, const char *actor, pw_msec since, uint64_t before, size_t limit,
                 int (*cb)(void *, const reader_deed *), void *cb_self, pw_err *err);
int reader_epoch(reader *self, uint64_t *ret, pw_err *err);
#endif
