/* store.h - the results database: SQLite in WAL mode with synchronous=FULL, one writer (the core's
 * thread), any number of read-only connections (one per web thread). Nobody else sees SQL or
 * sqlite3. Narrow on purpose: one function per question, since a second backend is to come.
 *
 * Writing: everything between store_begin and store_commit is one transaction, committed durably,
 * or none of it. A failed or unknown commit is a crash: the caller throws its model away and opens
 * anew. Functions return 0, a count, or a negative pw_code; PW_ENOTFOUND for a row that is not
 * there. State changes are conditional and report PW_ECONFLICT when the row was not in the expected
 * state. Rows are plain data; their text is owned by the row (store_X_clear) unless said otherwise.
 */
#ifndef PW_MASTER_STORE_STORE_H
#define PW_MASTER_STORE_STORE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "shared/base/err.h"
#include "shared/base/host.h"
#include "shared/job/result.h"

enum { STORE_REV_MAX = 32, STORE_SCHEMA = 3 };
typedef struct store_rev { /* a revision: object id of 20 or 32 bytes; n = 0: none */
    uint8_t n;
    uint8_t id[STORE_REV_MAX];
} store_rev;
bool store_rev_parse(const char *hex, store_rev *ret); /* 40 or 64 hex digits, any case */
void store_rev_text(const store_rev *r, char out[2 * STORE_REV_MAX + 1]);
bool store_rev_equal(const store_rev *a, const store_rev *b);

/* ---- enums as stored */
typedef enum req_state { REQ_WAITING, REQ_CLAIMED, REQ_DONE } req_state;
typedef enum build_state {
    BUILD_QUEUED,
    BUILD_DISPATCHED,
    BUILD_RUNNING,
    BUILD_FINISHING,
    BUILD_DONE
} build_state;
typedef enum att_state {
    ATT_OFFERED, /* live; no record came yet */
    ATT_RUNNING, /* live; records came */
    /* its end was applied: its result is the build's, or it is a retry; not forgotten yet */
    ATT_ENDED,
    /* fenced, lost, cancelled or rejected: what it ships is superseded; not forgotten yet */
    ATT_CLOSED,
    ATT_FORGOTTEN, /* nothing more to come */
    /* nothing more to come: what its worker has is not the journal that we know, and is held there
     */
    ATT_LOST
} att_state;
typedef enum step_state { STEP_WAITING, STEP_RUNNING, STEP_DONE } step_state;
typedef enum promo_state {
    PROMO_OPEN,
    PROMO_DONE,
    PROMO_LOST,
    PROMO_ABANDONED,
    PROMO_FAILED
} promo_state;
typedef enum edge_state { EDGE_DONE, EDGE_WAITING, EDGE_DIVERGED, EDGE_STOPPED } edge_state;
typedef enum event_kind {
    EVENT_CHANGE = 1,
    EVENT_REQUEST,
    EVENT_BUILD,
    EVENT_STEP, /* id = build */
    EVENT_WORKER,
    EVENT_PROMOTION,
    EVENT_CONFIG
} event_kind;

/* ---- rows */
typedef struct store_change {
    uint64_t id, stamp;
    pw_msec at;
    bool tip, forced;
    char *source, *author, *subject;
    char *files; /* paths, one a line; NULL unknown */
    char *note;  /* why it starts no builds; NULL: it may */
} store_change;
/* What a forge tells of a proposal; owned texts, NULL unknown. */
typedef struct store_proposal {
    char *target, *title, *author;
    int fork; /* from another repository: 1 yes, 0 no, -1 unknown */
} store_proposal;
typedef struct store_request {
    uint64_t id, buildset, builder, stamp, build, rode_with; /* 0: none */
    int64_t prio;
    req_state state;
    pw_msec created;
    bool collapse;
    uint8_t *props; /* owned; encoded list of pairs given by a person or trigger; NULL none */
    size_t props_len;
} store_request;
typedef struct store_build {
    uint64_t id, request, builder, stamp, worker, attempt;
    build_state state;
    pw_result result;                   /* PW_NO_RESULT */
    pw_msec created, started, finished; /* 0: not yet */
    uint64_t tries;
    char *reason;
} store_build;
typedef struct store_attempt {
    uint64_t id, epoch, build, worker, offers; /* an attempt is named by (epoch, id) */
    att_state state;
    uint8_t spool[16];
    uint8_t boot[16];
    uint8_t digest[32]; /* of the job as it was offered; filled by readers only */
    pw_msec offered, ended;
    uint64_t applied, stored;
    uint32_t applied_chain, stored_chain;
    pw_result result;
} store_attempt;
typedef struct store_step {
    uint64_t attempt, idx;
    char *name;    /* borrowed by writers; owned in rows read */
    uint64_t kind; /* 0 run, 1 checkout */
    step_state state;
    pw_result result;
    pw_msec started, finished;
    int64_t exit_code; /* -1: none */
    uint64_t signal, lines, bytes, cpu_ms, max_rss;
    uint64_t read_bytes, write_bytes; /* of disks */
    char *reason;
} store_step;
typedef struct store_frame {
    uint64_t attempt, idx, stream, raw_pos, raw_len, first_line, lines, codec, segment, at, len;
    pw_msec t_first, t_last;
} store_frame;
typedef struct store_log {
    uint64_t attempt, idx, stream, bytes, lines, packed;
    bool sealed;
    bool gone; /* sealed once, and its file removed by retention, or about to be; for rows read */
} store_log;
typedef struct store_worker {
    uint64_t id;
    char *name;
    bool has_key;
    uint8_t key[32];
    uint8_t spool[16], boot[16]; /* zero before the first hello */
    uint64_t slots;
    char *tags;  /* blank-separated */
    char *facts; /* k=v lines */
    char *version;
    pw_msec created, seen, quarantine; /* quarantine until; 0 none */
    bool paused, draining, removed;
    char *reason, *who;
    uint64_t strikes, rests; /* exceptions in a row; quarantines since its last good build */
    char *provider;          /* of an elastic one; NULL: it is none */
} store_worker;
typedef enum machine_state {
    MACHINE_ASKED, /* nobody knows whether it was made */
    MACHINE_MADE,
    MACHINE_STOPPING, /* to be given back */
    MACHINE_STOPPED,  /* given back: its provider may still show it */
    MACHINE_GONE
} machine_state;
typedef struct store_machine { /* of a provider */
    uint64_t id, worker;
    char *provider, *handle; /* handle: its provider's name for it; NULL: not known */
    machine_state state;
    pw_msec created;
    char *reason;
} store_machine;
typedef struct store_promotion {
    uint64_t id, project;
    char *edge, *source, *target;
    store_rev old, rev;
    promo_state state;
    char *reason;
    pw_msec created, finished;
} store_promotion;
typedef enum msg_state { MSG_WAITING, MSG_UNDER_WAY, MSG_SENT, MSG_GIVEN_UP } msg_state;
typedef struct store_message { /* an outgoing message */
    uint64_t id;
    char *key, *target, *body; /* body: in rows that are to be sent only, else NULL */
    msg_state state;
    uint64_t tries;
    pw_msec due, created, finished;
    char *reason;
} store_message;
void store_message_clear(store_message *r);
void store_change_clear(store_change *r);
void store_request_clear(store_request *r);
void store_build_clear(store_build *r);
void store_step_clear(store_step *r);
void store_worker_clear(store_worker *r);
void store_promotion_clear(store_promotion *r);

/* ---- opening */
typedef struct store store;
/* Makes or migrates the database; a newer one is refused. Checks quickly that it is sound
 * (PW_ECORRUPT names what is damaged). */
store *store_open(const char *path, const pw_host *host, pw_err *err);
store *store_close(store *self);
PW_DEFINE_FREEP(store, store_close)
uint64_t store_epoch(const store *self);
uint64_t store_turn(const store *self); /* commits in this epoch */
/* A new epoch (after a restore, or a mark from the future); inside a transaction. */
int store_new_epoch(store *self, pw_err *err);

int store_begin(store *self, pw_err *err);
bool store_in_turn(const store *self);
/* Counts the turn and commits durably; fault point store.commit. */
int store_commit(store *self, pw_err *err);
void store_rollback(store *self);
/* One PASSIVE checkpoint on an own connection, from the archive thread; *ret_wal = bytes of the WAL
 * afterwards. */
typedef struct store_checkpointer store_checkpointer;
store_checkpointer *store_checkpointer_open(const char *path, pw_err *err);
store_checkpointer *store_checkpointer_close(store_checkpointer *self);
int store_checkpoint(store_checkpointer *self, uint64_t *ret_wal, pw_err *err);

/* ---- small values */
int store_meta_put(store *self, const char *key, const char *value, pw_err *err);
int store_meta_get(store *self, const char *key, pw_buf *out, pw_err *err);
/* made when absent; cached */
int store_project_id(store *self, const char *name, uint64_t *ret, pw_err *err);
/* likewise */
int store_builder_id(store *self, uint64_t project, const char *name, uint64_t *ret, pw_err *err);
/* likewise, not cached */
int store_stamp_id(store *self, uint64_t project, const char *branch, const store_rev *rev,
                   uint64_t *ret, pw_err *err);
int store_stamp_get(store *self, uint64_t id, uint64_t *ret_project, store_rev *ret_rev,
                    pw_buf *branch, pw_err *err);
/* Highest ids in use, for the core's counters. build also covers requests (one sequence). */
typedef struct store_highest {
    uint64_t build, attempt, buildset, change, promotion, event;
} store_highest;
int store_highest_ids(store *self, store_highest *ret, pw_err *err);

/* ---- changes */
typedef int store_tip_cb(void *self, const char *ref, const store_rev *rev);
int store_tips(store *self, uint64_t project, store_tip_cb *cb, void *cb_self, pw_err *err);
int store_tip_put(store *self, uint64_t project, const char *ref, const store_rev *rev,
                  pw_err *err);
int store_tip_del(store *self, uint64_t project, const char *ref, pw_err *err);
int store_project_looked(store *self, uint64_t project, bool *ret_looked, pw_buf *head,
                         pw_err *err);
/* the repository was seen; its HEAD branch */
int store_project_look(store *self, uint64_t project, const char *head, pw_err *err);
int store_change_add(store *self, const store_change *c, pw_err *err);
/* 1: that revision of that branch is recorded as a change; 0: it is not. */
int store_change_known(store *self, uint64_t stamp, pw_err *err);
/* The repository shows a change that was told by hand (source "hand"): the rest of its row is
 * filled from c. Returns how many rows were; 0: it was not told by hand, or was seen before. */
int store_change_seen(store *self, const store_change *c, pw_err *err);
/* A stamp that somebody proposes: 1, or 2 at the tip of a branch of ours; 1 stays. 0: a branch's
 * own.
 */
int store_stamp_propose(store *self, uint64_t stamp, unsigned proposal, pw_err *err);
int store_stamp_proposal(store *self, uint64_t stamp, unsigned *ret, pw_err *err);
int store_proposal_put(store *self, uint64_t project, const char *branch, const store_proposal *p,
                       pw_msec at, pw_err *err);
/* PW_ENOTFOUND: nothing is known of it. */
int store_proposal_get(store *self, uint64_t project, const char *branch, store_proposal *ret,
                       pw_err *err);
void store_proposal_clear(store_proposal *p);
/* tagged: one of its changes has [testfix]; change: the oldest of them */
int store_quiet_put(store *self, const char *scheduler, const char *branch, uint64_t stamp,
                    pw_msec due, bool tagged, uint64_t change, pw_err *err);
int store_quiet_del(store *self, const char *scheduler, const char *branch, pw_err *err);
typedef int store_quiet_cb(void *self, const char *scheduler, const char *branch, uint64_t stamp,
                           pw_msec due, bool tagged, uint64_t change);
int store_quiets(store *self, store_quiet_cb *cb, void *cb_self, pw_err *err);
/* Last firing of a periodic or nightly scheduler; PW_ENOTFOUND: never. */
int store_schedule_get(store *self, const char *name, pw_msec *ret_fired, uint64_t *ret_stamp,
                       pw_err *err);
int store_schedule_put(store *self, const char *name, pw_msec fired, uint64_t stamp, pw_err *err);

/* ---- requests and builds */
int store_buildset_add(store *self, uint64_t id, const char *scheduler, const char *reason,
                       const char *who, uint64_t stamp, pw_msec created, pw_err *err);
/* 1: a scheduler made it; 0: somebody asked for it. */
int store_buildset_scheduled(store *self, uint64_t id, pw_err *err);
int store_buildset_reason(store *self, uint64_t id, pw_buf *reason, pw_err *err);
int store_request_add(store *self, const store_request *r, pw_err *err);
/* waiting -> claimed */
int store_request_claim(store *self, uint64_t id, uint64_t build, pw_err *err);
/* waiting or claimed -> done */
int store_request_done(store *self, uint64_t id, uint64_t rode_with, pw_err *err);
int store_build_add(store *self, const store_build *b, const void *job, size_t job_len,
                    pw_err *err);
/* queued -> dispatched */
int store_build_dispatch(store *self, uint64_t id, uint64_t worker, uint64_t attempt,
                         uint64_t tries, pw_err *err);
/* dispatched or running -> queued */
int store_build_requeue(store *self, uint64_t id, pw_err *err);
/* dispatched -> running; started is kept once set */
int store_build_start(store *self, uint64_t id, pw_msec at, pw_err *err);
/* Any open state -> done; updates `latest` (branch: of the stamp) when the result says something of
 * the code. */
int store_build_finish(store *self, uint64_t id, pw_result result, const char *reason, pw_msec at,
                       uint64_t builder, const char *branch, uint64_t stamp, pw_err *err);
/* The newest of a builder that was built as several. */
int store_latest_put(store *self, uint64_t builder, const char *branch, uint64_t build,
                     pw_result result, uint64_t stamp, pw_msec at, pw_err *err);
int store_job_get(store *self, uint64_t build, pw_buf *out, pw_err *err);
int store_job_del(store *self, uint64_t build, pw_err *err); /* absent is fine */
int store_attempt_add(store *self, const store_attempt *a, const uint8_t digest[32], pw_err *err);
int store_attempt_reoffer(store *self, uint64_t id, uint64_t offers, pw_err *err);
/* offered -> running */
int store_attempt_run(store *self, uint64_t id, pw_err *err);
/* offered or running -> ended or closed */
int store_attempt_close(store *self, uint64_t id, att_state to, pw_result result,
                        const char *reason, pw_msec at, pw_err *err);
/* ended or closed -> forgotten */
int store_attempt_forget(store *self, uint64_t id, pw_err *err);
/* ended or closed -> lost */
int store_attempt_lose(store *self, uint64_t id, pw_err *err);
int store_attempt_offsets(store *self, uint64_t id, uint64_t applied, uint32_t applied_chain,
                          uint64_t stored, uint32_t stored_chain, pw_err *err);
int store_attempt_get(store *self, uint64_t id, store_attempt *ret, pw_err *err);
/* insert; the same again is no error */
int store_step_start(store *self, const store_step *s, pw_err *err);
/* insert or update */
int store_step_end(store *self, const store_step *s, pw_err *err);
/* Steps of the attempt that have no end get this one; returns how many. */
int store_steps_over(store *self, uint64_t attempt, pw_result result, const char *reason,
                     pw_msec at, pw_err *err);
int store_property_put(store *self, uint64_t build, const char *name, const char *value,
                       const char *source, pw_err *err);
/* PW_ENOTFOUND, without text */
int store_property_get(store *self, uint64_t build, const char *name, pw_buf *out, pw_err *err);
/* A note beside a build; one of the same attempt and context is replaced. */
typedef struct store_note {
    uint64_t attempt;
    const char *context, *style, *text; /* borrowed */
    pw_msec at;
} store_note;
int store_note_put(store *self, const store_note *n, pw_err *err);
/* ---- kept.c: work directories that workers keep */
typedef struct store_kept {
    uint64_t build, worker;
    const char *dir; /* borrowed */
    pw_msec until;
} store_kept;
/* Of a build the newest. */
int store_kept_put(store *self, const store_kept *k, pw_err *err);
int store_kept_expire(store *self, pw_msec now, pw_err *err);
/* Appends the path to dir. PW_ENOTFOUND. */
int store_kept_get(store *self, uint64_t build, uint64_t *ret_worker, pw_buf *dir,
                   pw_msec *ret_until, pw_err *err);
/* So many steps of the attempt, from the first on, have ended (the last that did decides). */
int store_steps_over_count(store *self, uint64_t attempt, uint64_t *ret, pw_err *err);
/* How long the builder's last 10 builds took that say something of the code, on average; -1: there
 * is none among its last 100. */
int store_builder_usual(store *self, uint64_t builder, pw_msec *ret, pw_err *err);
/* What is unfinished, in id order, for the start. The row is borrowed during the callback; a
 * negative return ends the walk. */
int store_open_requests(store *self, int (*cb)(void *, const store_request *), void *cb_self,
                        pw_err *err);
int store_open_builds(store *self, int (*cb)(void *, const store_build *), void *cb_self,
                      pw_err *err);
/* state < forgotten */
int store_open_attempts(store *self, int (*cb)(void *, const store_attempt *), void *cb_self,
                        pw_err *err);
/* The deciding result of a builder at a revision of its project, on any branch: newest finished
 * build that is success, warnings or failure; PW_NO_RESULT when there is none; *ret_open: one is
 * waiting or under way. A builder that was built as several there (a matrix, shards) is what all
 * that were asked for are: red when one is, unknown when one is unknown. Where
 * nothing that it depends on had changed, it is what the newest earlier one on the branch is. */
int store_verdict(store *self, uint64_t project, uint64_t builder, const store_rev *rev,
                  pw_result *ret, uint64_t *ret_build, bool *ret_open, pw_err *err);
int store_request_get(store *self, uint64_t id, store_request *ret, pw_err *err);
int store_build_get(store *self, uint64_t id, store_build *ret, pw_err *err);

/* ---- logs (index of unsealed frames; see master/logs) */
int store_frame_add(store *self, const store_frame *f, pw_err *err);
/* all, by log and raw_pos */
int store_frames_open(store *self, int (*cb)(void *, const store_frame *), void *cb_self,
                      pw_err *err);
/* insert or replace */
int store_log_put(store *self, const store_log *l, pw_err *err);
/* not sealed */
int store_logs_open(store *self, int (*cb)(void *, const store_log *), void *cb_self, pw_err *err);
/* sealed = 1, frames removed */
int store_log_seal(store *self, uint64_t attempt, uint64_t idx, uint64_t stream, uint64_t packed,
                   pw_err *err);

/* ---- workers */
/* PW_ECONFLICT: exists and is not removed; a removed one comes back without key */
int store_worker_add(store *self, const char *name, pw_msec now, uint64_t *ret_id, pw_err *err);
int store_worker_each(store *self, int (*cb)(void *, const store_worker *), void *cb_self,
                      pw_err *err);
int store_worker_hello(store *self, uint64_t id, const uint8_t spool[16], const uint8_t boot[16],
                       uint64_t slots, const char *tags, const char *facts, const char *version,
                       pw_msec now, pw_err *err);
int store_worker_seen(store *self, uint64_t id, pw_msec now, pw_err *err);
int store_worker_flags(store *self, uint64_t id, bool paused, bool draining, bool removed,
                       pw_msec quarantine, const char *reason, const char *who, pw_err *err);
/* The worker's facts that do not move, as they were at the offer. */
int store_attempt_facts(store *self, uint64_t id, const char *facts, pw_err *err);
int store_worker_strikes(store *self, uint64_t id, uint64_t strikes, uint64_t rests, pw_err *err);
int store_worker_facts(store *self, uint64_t id, const char *facts, pw_err *err);
int store_worker_provider(store *self, uint64_t id, const char *provider, pw_err *err);
/* A machine that is asked for: state MACHINE_ASKED. */
int store_machine_add(store *self, const char *provider, uint64_t worker, pw_msec now,
                      uint64_t *ret_id, pw_err *err);
/* finished: 0 while it is not gone */
int store_machine_put(store *self, uint64_t id, machine_state state, const char *handle,
                      const char *reason, pw_msec finished, pw_err *err);
/* Those that are not gone, by id. The callback's strings are borrowed. */
int store_machines_open(store *self, int (*cb)(void *, const store_machine *), void *cb_self,
                        pw_err *err);
int store_enrol_put(store *self, uint64_t worker, const uint8_t key[32], pw_msec expires,
                    pw_err *err);
int store_enrol_each(store *self,
                     int (*cb)(void *, uint64_t worker, const uint8_t key[32], pw_msec expires),
                     void *cb_self, pw_err *err);
/* What an enrolment was used for: nothing (0), or up to 32 bytes: see core_worker_join. */
int store_enrol_use(store *self, uint64_t worker, const void *used, size_t n, pw_err *err);
int store_enrol_used(store *self, uint64_t worker, uint8_t ret_used[32], size_t *ret_n,
                     pw_err *err);
/* sets the worker's key, removes the enrolment */
int store_worker_join(store *self, uint64_t worker, const uint8_t key[32], pw_err *err);
/* removes key and enrolment */
int store_worker_revoke(store *self, uint64_t worker, pw_err *err);

/* ---- promotions */
/* state open: the intent */
int store_promotion_add(store *self, const store_promotion *p, pw_err *err);
/* open -> state */
int store_promotion_end(store *self, uint64_t id, promo_state state, const char *reason, pw_msec at,
                        pw_err *err);
int store_promotions_open(store *self, int (*cb)(void *, const store_promotion *), void *cb_self,
                          pw_err *err);
int store_edge_put(store *self, const char *edge, edge_state state, const store_rev *rev,
                   const char *reason, pw_msec at, pw_err *err);

/* ---- the rest */
int store_event_add(store *self, uint64_t seq, pw_msec at, event_kind kind, uint64_t id,
                    pw_err *err);
/* returns how many were removed */
int store_events_expire(store *self, pw_msec before, int most, pw_err *err);
int store_idem_get(store *self, const char *key, int *ret_status, pw_buf *body, pw_err *err);
int store_idem_put(store *self, const char *key, pw_msec at, int status, const char *body,
                   pw_err *err);
int store_idem_expire(store *self, pw_msec before, int most, pw_err *err);
int store_audit_add(store *self, pw_msec at, const char *actor, const char *action,
                    const char *object, const char *text, pw_err *err);
int store_config_put(store *self, pw_msec at, const char *text, uint64_t *ret_gen, pw_err *err);
int store_config_last(store *self, uint64_t *ret_gen, pw_buf *text, pw_err *err);
/* Tokens. Written once; `person`, `expires`, `used` and `revoked` may be absent (NULL, 0). */
typedef struct store_token {
    uint8_t hash[32];
    uint64_t id;
    const char *name, *scopes, *person, *creator; /* borrowed */
    pw_msec created, expires, used, revoked;
} store_token;
/* The row gets the next id; id, used and revoked of the given one do not count. */
int store_token_add(store *self, const store_token *t, uint64_t *ret_id, pw_err *err);
/* The row is borrowed during the callback; PW_ENOTFOUND. */
int store_token_get(store *self, uint64_t id, int (*cb)(void *, const store_token *), void *cb_self,
                    pw_err *err);
/* Another text for a token that was never used; PW_ECONFLICT when it was, or was revoked. */
int store_token_anew(store *self, uint64_t id, const uint8_t hash[32], pw_err *err);
/* PW_ECONFLICT: it is not there, or revoked already. */
int store_token_revoke(store *self, uint64_t id, pw_msec at, pw_err *err);
/* Notes its use, unless one is noted that is less than `apart` old; returns whether it did. */
int store_token_used(store *self, uint64_t id, pw_msec at, pw_msec apart, pw_err *err);
/* The token that a new state directory begins with; again with the same hash: renewed. */
int store_token_put(store *self, const uint8_t hash[32], const char *name, const char *scopes,
                    pw_msec at, pw_err *err);

/* ---- webhooks: deliveries, raw. */
typedef struct store_hook {
    uint64_t project;
    const char *kind, *delivery, *event; /* borrowed; event may be NULL */
    pw_msec at;
    const void *body;
    size_t body_len;
} store_hook;
/* 1: a new row, 0: this delivery is there already. *ret_id is its id. */
int store_hook_add(store *self, const store_hook *h, uint64_t *ret_id, pw_err *err);
/* Those that nothing was done for yet, oldest first. */
int store_hooks_new(store *self, int (*cb)(void *, uint64_t id, uint64_t project), void *cb_self,
                    pw_err *err);
/* The project was looked at: deliveries up to `id` are acted on. Of those of more than 64 KiB the
 * body goes, and of all that were acted on the newest STORE_HOOKS_KEPT stay. */
enum { STORE_HOOKS_KEPT = 10000 };
int store_hooks_done(store *self, uint64_t project, uint64_t id, pw_err *err);
/* returns how many were removed */
int store_hooks_expire(store *self, pw_msec before, int most, pw_err *err);

/* ---- sessions of the page: `hash` of the cookie's secret, `token`: hash of the token behind it */
int store_session_add(store *self, const uint8_t hash[32], const uint8_t token[32], pw_msec at,
                      pw_msec expires, pw_err *err);
/* Idempotent. */
int store_session_del(store *self, const uint8_t hash[32], pw_err *err);
/* returns how many were removed */
int store_sessions_expire(store *self, pw_msec before, int most, pw_err *err);
#endif
