/* core.h - the master's mind: changes, schedulers, requests, builds, attempts, workers and
 * promotions as state machines over events. It knows no socket, no HTTP, no git, no files: events
 * come in as function calls with plain data, what must happen outside leaves as effects, after the
 * commit. One thread.
 *
 * A turn: any call that changes something opens the transaction; core_commit() ends it durably and
 * hands out the effects in order. When it fails, nothing of the turn has happened: throw the core
 * away and load a new one. */
#ifndef PW_MASTER_CORE_CORE_H
#define PW_MASTER_CORE_CORE_H
#include "master/config/config.h"
#include "master/core/cmd.h"
#include "master/notify/notify.h"
#include "master/store/files.h"
#include "master/store/store.h"
#include "shared/job/job.h"
#include "shared/job/record.h"
#include "shared/wire/msg.h"

typedef struct core core;
typedef struct core_attempt core_attempt; /* an attempt that may still ship: see below */

typedef enum core_effect_kind {
    CORE_OFFER = 1, /* send `job`: worker attempt job(bytes) */
    CORE_CANCEL,    /* send `cancel`: worker attempt text */
    CORE_FORGET,    /* send `forget`: worker attempt */
    CORE_NOTE,      /* send `note`: worker attempt, number id, text */
    CORE_DROP,      /* end the worker's session: worker text */
    CORE_POLL,      /* look at project (index) */
    CORE_HISTORY,   /* edge (index): read its history */
    CORE_PUSH,      /* promotion: see core_push_facts */
    CORE_EVENT,     /* events up to id can be read */
    CORE_REPLY,     /* cmd is answered: call done */
    CORE_SEAL,      /* attempt is complete: its logs can be sealed */
    CORE_PUBLISH,   /* file number id of attempt, with index bytes and sum digest, is to be put in
                       place */
    CORE_UNLINK,    /* the bytes of the sum digest are no longer wanted */
    CORE_PIPELINE,  /* pipeline id: read path text of its revision in project (index) */
    CORE_SEND,      /* message id, try number attempt: send job (its body) with key text to target
                       index; once: core_outbox_done */
    /* run a command of provider index (attempt: core_provider_act) for machine id; text: its
       worker; job: START the token, a secret; STOP the handle; then core_provided */
    CORE_PROVIDER,
    CORE_REMOVE, /* the file of a log goes: attempt, step (index), stream (id); core_log_removed */
    /* worker is connected (id 1) or not (id 0), text: why it takes no jobs: what no row says */
    CORE_PRESENCE,
    /* the project of row worker was looked at: attempt times in a row in vain, text: why, NULL:
     * well; the next time at id (ms) */
    CORE_LOOKED,
    CORE_UNTRY /* try id of the project of row worker is to be forgotten */
} core_effect_kind;
typedef struct core_effect {
    core_effect_kind kind;
    uint64_t worker, attempt, epoch, id;
    size_t index;
    uint8_t *job; /* owned by the effect */
    size_t job_len;
    pw_list secrets; /* msg_secret, owned: values that the job names; wiped with the effect */
    uint8_t digest[32];
    char *text;
    core_cmd *cmd;
} core_effect;
/* borrowed during the call, but for cmd, which is taken */
typedef void core_effect_cb(void *self, const core_effect *e);

/* Loads what is unfinished. conf is referenced, st is borrowed. New projects and builders get their
 * rows: commit afterwards. */
core *core_new(store *st, config *conf, const pw_host *host, pw_err *err);
core *core_free(core *self);
/* Another configuration (rules 7.3): what is unfinished is loaded anew from its rows by it, in a
 * turn that core_commit() of the new core ends; what it says is in the same transaction (as a new
 * generation, unless it is the last one's text). What no row holds, as who is connected and how far
 * journals came in, is taken from old, which must not be dirty and is good for core_free() alone
 * afterwards. NULL: nothing was written, old goes on. */
core *core_reload(core *old, config *conf, const char *actor, uint64_t *ret_gen, pw_err *err);
PW_DEFINE_FREEP(core, core_free)
bool core_dirty(const core *self); /* something waits for core_commit */
/* Dispatches, commits, hands out effects. Negative: see above. */
int core_commit(core *self, core_effect_cb *cb, void *cb_self, pw_err *err);
/* Timers: call when core_deadline() has passed; at least every second. */
void core_tick(core *self);
pw_usec core_deadline(const core *self);
const config *core_config(const core *self);
store *core_store(const core *self);

/* Something outside of the core went wrong in the middle of this turn: its commit fails. */
void core_break(core *self, const pw_err *why);

/* ---- repositories (answers of the git service) */
typedef struct core_commit_info {
    store_rev rev;
    const char *author, *subject, *files;
    pw_msec at;
    bool skip;    /* its message asks for no build */
    bool testfix; /* its message has [testfix] */
} core_commit_info;
typedef struct core_move {
    const char *ref;
    store_rev old, rev; /* n = 0: new, deleted */
    bool forced;
    const core_commit_info *commit; /* oldest first, the last is rev */
    size_t n_commits;
} core_move;
/* The repository was read. head: branch that HEAD names (NULL unknown). */
void core_polled(core *self, size_t project, const char *head, const core_move *moves, size_t n);
void core_poll_failed(core *self, size_t project, const char *text);
/* Refs as last seen, to be given to the poll; false: never seen. The callback's strings are
 * borrowed. */
bool core_known_refs(core *self, size_t project,
                     void (*cb)(void *, const char *ref, const store_rev *rev), void *cb_self);
/* Whether its proposals are to be looked at; first: for the first time. */
bool core_proposals(const core *self, size_t project, bool *ret_first);
uint64_t core_project_row(const core *self, size_t project);

/* ---- pipeline files */
/* The revision that CORE_PIPELINE is about; false: nobody wants it any more. */
bool core_pipeline_rev(const core *self, uint64_t id, store_rev *ret);
/* text NULL: the revision has no such file. Idempotent. */
void core_pipeline_read(core *self, uint64_t id, const char *path, const char *text, size_t n);
/* It could not be read: asked for again soon. */
void core_pipeline_failed(core *self, uint64_t id, const char *text);

/* ---- promotions */
typedef struct core_candidate {
    store_rev rev;
    bool contains_to;
} core_candidate;
typedef struct core_history {
    store_rev from, to; /* n = 0: absent */
    bool to_in_from, from_in_to;
    const core_candidate *candidate;
    size_t n_candidates;
} core_history;
void core_history_read(core *self, size_t edge, const core_history *h);
void core_history_failed(core *self, size_t edge, const char *text);
typedef struct core_push_facts {
    size_t project;
    char ref[300]; /* refs/heads/X */
    store_rev old, rev;
    bool
        look_only; /* its edge is gone: nobody wants the push any more, but it may have been made */
} core_push_facts;
bool core_push_get(const core *self, uint64_t promotion, core_push_facts *ret);
typedef enum core_pushed {
    CORE_PUSHED,
    CORE_LOST_RACE,
    CORE_REFUSED,
    CORE_PUSH_UNKNOWN,
    CORE_NOT_PUSHED /* looked only: the branch is where it was */
} core_pushed;
void core_push_done(core *self, uint64_t promotion, core_pushed how, const char *text);

/* ---- commands */
void core_command(core *self, core_cmd *cmd); /* taken; answered by CORE_REPLY */
/* A CMD_TRY of project *ret (index) must be imported first, and be given to core_command() with
 * what came of that: then true. False: core_command() answers it as it is. */
bool core_try_wanted(core *self, core_cmd *c, size_t *ret);
/* The highest number that one has; 0: there is none. */
int core_try_highest(core *self, uint64_t *ret, pw_err *err);
/* Whether that try of the project (its row) is to be kept. */
bool core_try_is(core *self, uint64_t number, uint64_t project);
/* What the core needs to answer `worker add`: makes the enrolment. Set once by main. */
typedef int core_join_line(void *self, const char *worker, const uint8_t secret[32],
                           pw_msec expires, pw_buf *line, pw_err *err);
void core_set_join(core *self, core_join_line *fn, void *fn_self);
/* Health: sets a named condition (disk full, damaged ...); text NULL clears it. Shown by
 * CMD_HEALTH. */
void core_condition(core *self, const char *name, const char *text);
/* The condition "log store": as long as output cannot be kept, no build begins and nobody may ask
 * for one; what a repository brings waits. text NULL clears it. */
void core_full(core *self, const char *text);
/* The same for what people should know, but is no failure. */
void core_remark(core *self, const char *name, const char *text);

/* ---- outgoing messages */
/* From now on messages may leave. url: where the web pages are, for links; NULL: not known. */
int core_notify_open(core *self, const char *url, pw_err *err);
/* What came of a try. text: for people. Idempotent; an answer to an earlier try is no harm. */
void core_outbox_done(core *self, uint64_t id, uint64_t tries, notify_answer answer,
                      pw_usec retry_after, const char *text);
/* What the target calls a message that it has taken; before core_outbox_done(). */
void core_outbox_remote(core *self, uint64_t id, const char *remote);
typedef struct core_target_figures {
    const char *name;              /* borrowed from the configuration */
    uint64_t open, sent, given_up; /* the last two since the core was loaded */
} core_target_figures;
/* Target i of the configuration; false: there are no more. */
bool core_target_get(const core *self, size_t i, core_target_figures *ret);

/* ---- workers (called by master/link) */
/* Whose key is this? Returns the worker's id, 0 for nobody; *ret_enrol: it is a one-time key (only
 * `join` is allowed). */
uint64_t core_key_owner(core *self, const uint8_t key[32], bool *ret_enrol);
int core_worker_join(core *self, uint64_t worker, const uint8_t once[32], const char *name,
                     const uint8_t key[32], pw_err *err);
const char *core_worker_name(const core *self, uint64_t worker);
typedef struct core_hello {
    uint8_t spool[16], boot[16];
    uint64_t slots;
    const char *tags, *facts, *version; /* tags blank-separated, facts k=v lines */
} core_hello;
/* A session begins. *ret_rebooted: the machine was started anew since the last one, so unlisted
 * jobs are lost. */
void core_worker_up(core *self, uint64_t worker, const core_hello *h, bool *ret_rebooted);
void core_worker_down(core *self, uint64_t worker, const char *why);
/* a heartbeat; gate NULL: none */
void core_worker_beat(core *self, uint64_t worker, uint64_t free_slots, const char *gate);
typedef struct core_reading { /* what moves: of a heartbeat */
    uint64_t disk, load_milli;
    pw_msec wall; /* the worker's clock; 0: not told */
} core_reading;
void core_worker_reading(core *self, uint64_t worker, const core_reading *r);
/* The last spool id that this worker had; all zero: none. */
void core_worker_spool(const core *self, uint64_t worker, uint8_t ret_spool[16]);

/* ---- elastic workers */
typedef enum core_provider_act { CORE_START, CORE_STOP, CORE_LIST, CORE_ACTS } core_provider_act;
typedef struct core_provided { /* what came of a command */
    const char *provider;
    core_provider_act act;
    uint64_t machine;
    const char *worker;
    bool good;
    const char *said; /* its stdout */
    const char *text; /* why it is not good */
} core_provided;
/* An answer that comes late, or twice, is no harm. */
void core_provider_done(core *self, const core_provided *a);

/* ---- attempts (called by master/link's resync and ingest) */
enum { CORE_ATT_PROPS = PW_ENV_MAX, CORE_ATT_NOTES = 1000 };
typedef struct core_hold { /* a lock that an attempt holds */
    size_t lock;           /* index in the configuration */
    bool exclusive;
    uint64_t until; /* steps; 0: as long as it runs */
} core_hold;
struct core_attempt {
    uint64_t id, epoch, build, worker, offers;
    att_state state;
    /* offers that this process made: those of one that died may never have left it, and are no sign
     * of a job that kills agents */
    unsigned sent;
    uint8_t spool[16], boot[16];
    uint8_t digest[32]; /* of its job */
    bool any;           /* a record was received */
    uint64_t applied, stored;
    uint32_t applied_chain, stored_chain;
    /* next byte expected from the worker in this process's life; >= applied */
    uint64_t received;
    uint32_t received_chain;
    pw_usec offered_at; /* first record is due 15 s later; 0: not offered in a session yet */
    pw_usec silent_us;  /* time that this process saw pass while its worker was away */
    bool lost;          /* silent for too long: may be fenced by the next offer */
    unsigned props;     /* that its steps set, in this process's life */
    unsigned notes;     /* likewise */
    bool refused;       /* one of them was not taken; the log was told */
    bool superseded;    /* not the build's live attempt any more */
    rec_end end;        /* end record read, waits for `stored` to reach it */
    uint64_t window;    /* link: bytes that its worker was allowed to have under way */
    uint64_t end_at;    /* its end offset; 0: none yet */
    core_hold *hold;    /* owned */
    size_t n_holds;
    uint64_t steps_over; /* so many have ended */
};
core_attempt *core_attempt_find(core *self, uint64_t id); /* open ones only; NULL else */
/* What it builds: the project's place in the configuration, and the revision. false: its project is
 * gone. */
bool core_attempt_source(const core *self, const core_attempt *a, size_t *ret_project,
                         store_rev *ret_rev);
/* Each open attempt, in id order. */
core_attempt *core_attempt_each(core *self, size_t *pos);
/* Each open attempt of a worker, in id order. */
core_attempt *core_attempt_next(core *self, uint64_t worker, size_t *pos);
/* An id that is not open: forgotten (true) or never known / retention (false). */
bool core_attempt_was(core *self, uint64_t epoch, uint64_t id, uint64_t worker);
/* How many jobs this worker holds (in its last hello) that are not wanted from it: shown by
 * CMD_HEALTH. */
void core_worker_held(core *self, uint64_t worker, size_t n);
void core_att_started(core *self, core_attempt *a);
void core_att_step_started(core *self, core_attempt *a, const rec_step_start *r);
void core_att_step_ended(core *self, core_attempt *a, const rec_step_end *r);
void core_att_property(core *self, core_attempt *a, const rec_property *r);
/* A step asks for other builds: done once, whatever attempt asks. */
void core_att_trigger(core *self, core_attempt *a, const rec_trigger *r);
/* A session of the worker began: what its jobs wait to hear is said again. */
void core_tell_again(core *self, uint64_t worker);
/* It takes the slot of a job there that waits for it. */
bool core_att_lent(const core *self, const core_attempt *a);
void core_att_note(core *self, core_attempt *a, const rec_note *r);
/* The result; called once `stored` has reached the end record. */
void core_att_ended(core *self, core_attempt *a, const rec_end *r);
/* Sets the offsets in this turn's transaction; when the attempt is over and stored to its end it is
 * forgotten. */
void core_att_offsets(core *self, core_attempt *a, uint64_t applied, uint32_t applied_chain,
                      uint64_t stored, uint32_t stored_chain);
void core_att_frame(core *self, const store_frame *f); /* a frame that is on disk now */
void core_att_log(core *self, const store_log *l);
/* The worker does not have it: closed; the build is tried again. a is gone afterwards. */
void core_att_lost(core *self, core_attempt *a, const char *why);
/* What the worker has under this id is not the journal that we know: likewise, and from now on the
 * id is one that the worker holds. */
void core_att_other(core *self, core_attempt *a, const char *why);
/* Its worker lists it: it is there. */
void core_att_present(core *self, core_attempt *a);
/* The worker does not list it and never began: the same offer goes out again (bounded; then
 * exception and quarantine). */
void core_att_reoffer(core *self, core_attempt *a);
void core_att_rejected(core *self, core_attempt *a, const char *why, pw_usec retry_after);
/* A file of it is whole and on disk; keep, step ... are f's. CORE_PUBLISH follows. */
void core_att_file(core *self, const core_attempt *a, const store_artifact *f);
/* It is in place, or its bytes are not what they were. */
void core_file_stored(core *self, uint64_t attempt, uint64_t file, bool damaged);
void core_file_removed(core *self, const uint8_t sum[32]); /* answers of CORE_UNLINK */
void core_file_kept(core *self);                           /* not now: again later */
void core_att_tests(core *self, const core_attempt *a, const rec_tests *t);
void core_att_report(core *self, const core_attempt *a, const rec_report *r);
/* The log store has sealed the log. */
void core_log_sealed(core *self, uint64_t attempt, uint64_t idx, uint64_t stream, uint64_t packed);

/* What came of a CORE_REMOVE: the file is gone for good, or it could not be removed now. */
void core_log_removed(core *self, uint64_t attempt, uint64_t idx, uint64_t stream, bool gone);

/* The database was set back without `restore`: a new epoch begins, public ids skip ahead
 * (rules 1.4). */
void core_new_epoch(core *self, const char *why);

/* ---- figures */
typedef struct core_figures {
    uint64_t waiting, open, workers, connected, slots, busy;
    uint64_t finished[7];
} core_figures;
void core_get_figures(const core *self, core_figures *ret);
#endif
