/* parts.h - what the files of master/core offer each other, a part for each. Private. */
#ifndef PW_MASTER_CORE_PARTS_H
#define PW_MASTER_CORE_PARTS_H
#include "master/core/model.h"

/* ---- files.c: true when there is more to be removed at once */
bool core_files_expire(core *self);

/* ---- core.c */
/* core_new; before: see there, may be NULL. */
core *core_new_after(const core *before, store *st, config *conf, const pw_host *host, pw_err *err);
/* Opens the turn's transaction if need be; false after a fault of this turn (then nothing more must
 * be written). */
bool core_turn(core *self);
/* Notes a store result: a negative one breaks the turn. Returns whether it was fine. */
bool core_ok(core *self, int code, const pw_err *err);
void core_note_event(core *self, event_kind kind, uint64_t id);
core_effect *core_add_effect(core *self, core_effect_kind kind); /* zeroed; NULL breaks the turn */
int core_nomem(core *self);
/* Milliseconds, for ages: it never jumps, whatever is done to the wall clock, and goes on from
 * where the last master left it (a minute may be missing). It began at the wall clock of the first.
 */
pw_msec core_seen(const core *self);

/* ---- stamps.c */
/* row made when absent */
core_stamp *core_stamp_make(core *self, uint64_t project_row, const char *branch,
                            const store_rev *rev);
core_stamp *core_stamp_load(core *self, uint64_t id);
core_stamp *core_stamp_ref(core_stamp *s);
core_stamp *core_stamp_unref(core_stamp *s);

/* ---- queue.c: a builder's waiting requests */
int queue_push(core_builder *b, core_request *r);
void queue_remove(core_builder *b, core_request *r);
int64_t queue_key(int64_t prio, pw_msec created);
bool queue_before(const core_request *a, const core_request *b);
/* How many of the queue come before r, which may be of another. */
size_t queue_rank(const core_queue *q, const core_request *r);
/* Frees empty queues, but for one. */
void queue_sweep(core_builder *b);
void queue_free(core_builder *b);
/* The locks that its build takes. */
const pl_lock *core_request_locks(const core_request *r, size_t *ret_n);
/* What is to be built; NULL: the configuration has it no more. */
static inline const pl_builder *core_request_def(const core_request *r)
{
    return r->builder->conf;
}

/* ---- locks.c */
int64_t core_lock_find(const core *self, const char *name);
/* Its state, on that worker if it is one per worker (NULL then: none); NULL breaks the turn else.
 */
core_lock *core_lock_at(core *self, size_t lock, core_worker *w);
/* The attempt begins to hold those that its steps so far have not given back. */
void core_locks_take(core *self, core_attempt *a, const pl_lock *locks, size_t n);
/* Those whose steps are over, or all. */
void core_locks_release(core *self, core_attempt *a, bool all);
bool core_locks_alone(const core_attempt *a); /* it holds one exclusively */
pw_usec core_patience(const core *self, const core_attempt *a);
/* How long a job that holds one exclusively may go on without its master. */
pw_usec core_locks_limit(const core *self);
/* An attempt that is over, but may still be running where nobody hears it. */
void core_locks_silence(core *self, core_attempt *a, const core_worker *w, pw_usec step);
/* The build takes what the builder says now, when its job is frozen; it keeps it. */
int core_build_lock(core *self, core_build *b, const pl_builder *def);
void core_build_unlock(core_build *b);
int core_build_load_locks(core *self, core_build *b, pw_err *err);
int core_attempt_load_locks(core *self, core_attempt *a, pw_err *err);

/* ---- branches.c */
int core_branch_put(core *self, core_request *r, pw_err *err);
void core_branch_del(core *self, core_request *r);
/* A request of the branch waits that would ride with a newer one. */
bool core_branch_waits(const core *self, size_t project, const char *branch);
/* What waits for it ends. */
void core_branch_end(core *self, size_t project, const char *branch);

/* ---- requests.c */
typedef struct core_ask { /* a build set to be made */
    const char *scheduler, *reason, *who;
    core_stamp *stamp; /* borrowed */
    int64_t prio;
    bool collapse; /* may ride with others, where the builder allows it */
    const uint8_t *props;
    size_t props_len;
    const size_t *builders; /* indices */
    size_t n_builders;
    const config_scheduler *by; /* NULL: people */
    bool gated;                 /* waits while the branch is red */
    uint64_t change;            /* the oldest that it is about; 0: not known */
    uint64_t parent;            /* the build whose step asks; 0: none */
    bool fail_fast;             /* a red builder cancels the others */
    bool person;          /* asked for just these: what they need is built where it is not green */
    const char *files;    /* that changed, one a line; NULL: not known, so all is built */
    bool exact;           /* just these, whatever they need */
    const pl_strs *names; /* of a project with a pipeline file, instead of builders; n 0: all */
    const uint64_t *rows; /* of those that are several, just these; n_rows 0: all */
    size_t n_rows;
    uint64_t retry_of; /* build; 0: none */
} core_ask;
/* ---- make.c */
/* Makes the set and its requests; ret_ids may be NULL: the first request of each builder. Returns
 * the build set's id, 0 when the turn broke. */
uint64_t core_ask_builds(core *self, const core_ask *ask, uint64_t *ret_ids);
/* Into the queue, unless something holds it; out of it, when something does. */
bool core_request_queue(core *self, core_request *r);
/* out of queue and memory; rows are the caller's */
void core_request_drop(core *self, core_request *r);
void core_request_finish(core *self, core_request *r, uint64_t rode_with);
core_request *core_request_new(core *self, const store_request *row, core_builder *b,
                               core_stamp *stamp, const config_scheduler *by);
/* Builder, branch and properties are the same. */
bool core_request_mergeable(const core_request *a, const core_request *b);
core_request *core_request_load(core *self, const store_request *row);
/* Of the configuration, or gone. parent: what it is a part of; 0: nothing. */
core_builder *core_builder_by_row(core *self, uint64_t row, uint64_t parent);
/* Builder of that row as a part of `parent` (0 none), defined by def, of a file (NULL: of the
 * configuration). def NULL: gone. */
core_builder *core_builder_other(core *self, uint64_t row, uint64_t parent, size_t project,
                                 const char *name, const pl_builder *def, pl_file *file);
void core_builder_free(core_builder *b);
/* Those that nothing is open of: at the end of a turn. */
void core_builders_sweep(core *self);
/* What its definition says of this one of several; PW_ENOTFOUND: it has none of that name. */
/* The next of all that may have requests waiting; NULL: the first, there are no more. */
core_builder *core_builder_next(const core *self, core_builder *b);
int core_builder_instance(const core_builder *b, pl_instance *ret, pw_err *err);
void core_instance_clear(pl_instance *x);

/* ---- graph.c: builders of a set that need each other */
typedef struct core_member { /* builder `def` of a set that is made */
    const pl_builder *def;
    uint64_t row;
    size_t first, n; /* its requests, among those of the set */
} core_member;
/* Makes what is needed of them: need[] of the definitions are indices into member[], of which those
 * with n = 0 take no part. */
bool core_set_make(core *self, uint64_t id, bool fail_fast, const core_member *member, size_t n,
                   core_request *const *request);
/* Those of c, requests of the set, that may ride with their `into`, since all that needs them does:
 * put first; returns how many. */
size_t core_set_riders(core *self, const core_set *s, core_request **c, size_t n);
/* r ended. */
void core_set_over(core *self, core_request *r, uint64_t rode_with);
/* What became possible, or impossible, in this turn. */
void core_sets_settle(core *self);
int core_sets_load(core *self, pw_err *err);
core_set *core_set_free(core_set *s);
/* Why it is not in the queue; false: it is. */
bool core_why_held(const core *self, const core_request *r, pw_buf *text);

/* It is to be built and nobody began: in the queue, or held. */
bool core_request_waits(const core_request *r);

/* ---- testfix.c: what a red branch holds */
/* Since which build [testfix] holds what a scheduler asks for on a branch; 0: it does not. */
uint64_t core_testfix_since(core *self, const config_scheduler *by, const char *branch);
/* A new request: held where its branch is red, else what is held rides with it. */
void core_testfix_new(core *self, core_request *r);
/* `r` is about to ride with `into`: what may build need not wait for the company. */
void core_testfix_merge(core *self, core_request *into, const core_request *r);
void core_testfix_load(core *self, core_request *r);
/* It waits no more, or nobody holds it any more: its row goes. */
void core_testfix_leave(core *self, core_request *r);
/* A build of the builder ended green or red. */
void core_testfix_decided(core *self, uint64_t builder, const core_stamp *s, uint64_t build,
                          pw_result result);

/* ---- supersede.c: a newer commit cancels what is older */
int core_lane_put(core *self, core_request *r, pw_err *err);
void core_lane_del(core *self, core_request *r);
/* Cancels what is older; r itself may be what is older, and gone afterwards. */
void core_supersede(core *self, core_request *r);
/* `a`, asked for later than b, is of an older change: what comes after another scheduler may come
 * out of order. */
bool core_request_late(core *self, const core_request *a, const core_request *b);

/* ---- sets.c: build sets that end, and what comes of it */
/* The request ended: its set, and those that rode with it, are looked at before the turn's commit.
 */
void core_set_touched(core *self, const core_request *r);
void core_sets_over(core *self);
/* Who asked for the set, where this configuration has him; NULL. */
const config_scheduler *core_set_by(core *self, uint64_t buildset);
/* A step of build `parent` fires a scheduler of kind `triggered` (its index): its builders at that
 * revision, props (msg_pair) over the scheduler's own. ret_ids has room for a request of each
 * builder, or is NULL. Returns the build set's id; 0 with PW_EINVAL (of another kind), PW_EDENIED
 * (paused) or when the turn broke. */
uint64_t core_trigger_scheduler(core *self, size_t scheduler, core_stamp *stamp,
                                const pw_list *props, const char *who, const char *reason,
                                uint64_t parent, uint64_t *ret_ids, pw_err *err);

/* ---- trigger.c: steps that trigger */
int core_waits_load(core *self, pw_err *err); /* before requests */
/* The step that waits for what r is of; NULL. */
core_wait *core_waiter(const core *self, const core_request *r);
/* A request of that set ended. */
void core_trigger_set_over(core *self, uint64_t set);
/* The build ended: what it waits for is cancelled, or not waited for any more. */
void core_trigger_parent_over(core *self, uint64_t build);
/* It ended because what it triggered was an exception: neither it nor its worker is to blame. */
bool core_trigger_broke(core *self, uint64_t build);
/* Who waits for the request, for people; nothing when nobody does. */
void core_trigger_why(const core *self, const core_request *r, pw_buf *text);

/* ---- lend.c: a build that waits lends its slot, to one build at a time of those it waits for */
void core_slots_count(core *self, core_worker *w); /* after anything of that changed */
/* Whether the slot of a build there that waits for r is to be had. */
bool core_lends(const core *self, const core_worker *w, const core_request *r);
/* Any build lends one. */
bool core_any_lends(const core *self);
/* The worker whose slot r could have; NULL. */
core_worker *core_lender(const core *self, const core_request *r);

/* ---- pause.c: builders and schedulers that people switched off */
int core_pause_load(core *self, pw_err *err);
core_pause *core_pause_free(core_pause *p);
/* "builder \"p/fast\" is paused by ann because of the move" */
void core_pause_text(pw_buf *b, const char *what, const char *name, const core_pause *p);
void core_cmd_builder_pause(core *self, core_cmd *c);
void core_cmd_builder_resume(core *self, core_cmd *c);
void core_cmd_scheduler_pause(core *self, core_cmd *c);
void core_cmd_scheduler_resume(core *self, core_cmd *c);

/* ---- params.c: forms of force schedulers */
/* Which force scheduler of the builder takes the command (NULL: it has none), and whether what is
 * given fits its parameters; c->props becomes all that the build gets. False: refused. */
bool core_force_check(core *self, core_cmd *c, size_t builder, const config_scheduler **ret_by);

/* ---- pipeline.c */
void core_pipelines_tick(core *self);
void core_pipes_free(core *self);
/* After the open requests: what waits for a file goes on. */
int core_pipelines_load(core *self);
/* Builder of that row as the file of that pipeline defines it. */
core_builder *core_pipe_builder(core *self, uint64_t pipeline, uint64_t row, uint64_t parent);
void core_pipeline_why(const core *self, const core_request *r, pw_buf *text);

/* ---- needs.c: the builds that its steps take something of, and what they mention of them, which
 * is added to props (msg_pair). Owned: core_needs_free(). */
int core_needs(core *self, const core_build *b, pw_list *props, job_need **ret, size_t *ret_n,
               pw_err *err);
void core_needs_free(job_need *v, size_t n);

/* ---- jobs.c: freezing */
/* ret_secrets: msg_secret, the values that the job names, beside it (secrets.h, whose refusals are
 * these functions' too: PW_EDENIED, PW_EINVAL). Owned. */
/* The job of a build for its first attempt, encoded: what is stored and what is sent. */
int core_freeze(core *self, const core_build *b, uint64_t attempt, const core_worker *w,
                pw_buf *out, pw_list *ret_secrets, pw_err *err);
/* The stored job for a later attempt; for the attempt that it was frozen for, the very same bytes.
 */
int core_thaw(core *self, const core_build *b, uint64_t attempt, const core_worker *w, pw_buf *out,
              pw_list *ret_secrets, pw_err *err);
/* Rows of what the build was given, with who gave it; facts of its worker stand with the worker. A
 * later one overrides an earlier one. */
void core_props_keep(core *self, const core_build *b);
/* Pairs <-> the bytes kept with a request. */
int core_props_pack(const pw_list *pairs, pw_buf *out, pw_err *err);
int core_props_unpack(const uint8_t *p, size_t n, pw_list *ret, pw_err *err);

/* ---- dispatch.c */
/* why a worker does not take a builder's next build now, the most lasting cause first */
typedef enum core_block {
    BLOCK_NONE,
    BLOCK_REMOVED,
    BLOCK_NEW,
    BLOCK_TAGS,
    BLOCK_REQUIRES,
    BLOCK_ISOLATION,
    BLOCK_UNTRUSTED,
    BLOCK_OFFLINE,
    BLOCK_PAUSED,
    BLOCK_DRAINING,
    BLOCK_QUARANTINE,
    BLOCK_GATE,
    BLOCK_REJECTED,
    BLOCK_BUSY
} core_block;
/* Ends a request that nobody will build any more: as a build that never began, which says why. */
void core_request_end(core *self, core_request *r, const char *reason);
/* ---- fits.c */
/* BLOCK_TAGS, BLOCK_REQUIRES or BLOCK_NONE: what the builder asks for, and the worker. Pure. */
core_block core_fits(const pl_builder *def, const core_worker *w);
/* Which condition it is. */
void core_fits_why(const pl_builder *def, const core_worker *w, pw_buf *out);
/* Takes the facts apart, unless they are those that were; false: no memory. */
bool core_facts_take(core_facts *f, const char *text);
void core_facts_clear(core_facts *f);
/* ---- decide.c, which has a header of its own */
core_block core_worker_block(const core *self, const core_worker *w, const core_request *r);
void core_request_end_as(core *self, core_request *r, pw_result result, const char *reason);

/* ---- dispatch.c */
void core_dispatch(core *self);
core_worker *core_worker_get(const core *self, uint64_t id);
/* Takes what the buffer and the list hold. */
void core_offer_effect(core *self, core_attempt *a, pw_buf *job, pw_list *secrets);

/* ---- kept.c */
void core_cmd_shell(core *self, core_cmd *c);
/* What the end of an attempt says of its work directory. */
void core_kept(core *self, const core_attempt *a, const rec_end *r);

/* ---- isolation.c */
/* Whether the worker offers what the request has to run under, which is *ret; NULL: the worker's
 * first. */
core_block core_isolation_block(const core *self, const core_worker *w, const core_request *r,
                                const char **ret);
/* By the configuration of now. */
bool core_trusted(const core *self, const core_request *r);

/* ---- health.c */
/* Why no work is begun; NULL: it is. */
const char *core_why_full(const core *self);
void core_cmd_health(core *self, core_cmd *c);

/* ---- cmds.c */
/* NAME or PROJECT/NAME, of c->project if that is given; false: refused. */
bool core_find_builder(core *self, core_cmd *c, const char *name, size_t *ret);
/* 0: its Idempotency-Key was answered before, and that is its answer; PW_ENOTFOUND: it was not. */
int core_cmd_answered(core *self, core_cmd *c, pw_err *err);
/* That of c->project, or the only one; false: refused. */
bool core_find_project(core *self, core_cmd *c, size_t *ret);
/* c->branch is no name of one: refused. */
bool core_bad_branch(core_cmd *c);
/* One line of the audit log, in the turn that does it. */
bool core_audit(core *self, const core_cmd *c, const char *action, const char *object);

/* The answer: a set and its requests, of which the first one is given. */
void core_cmd_made(const core *self, core_cmd *c, uint64_t set, uint64_t first);

/* ---- retry.c */
void core_cmd_retry(core *self, core_cmd *c);

/* ---- tries.c */
void core_cmd_try(core *self, core_cmd *c);
void core_cmd_try_clear(core_cmd *c);
void core_cmd_release(core *self, core_cmd *c);
/* Those of which nothing is left. */
void core_tries_expire(core *self);

/* ---- enrol.c */
core_worker *core_worker_by_name(const core *self, const char *name);
/* A new one, or one that was removed and comes back; NULL: the turn broke. */
core_worker *core_worker_make(core *self, const char *name);
/* A one-time key for it, and the line with the key, which is a secret. Needs core_set_join(). */
bool core_enrol_line(core *self, core_worker *w, pw_msec until, pw_buf *line);
void core_cmd_worker_add(core *self, core_cmd *c);
void core_cmd_worker_rotate(core *self, core_cmd *c);
/* The same request again: another line, unless the first one was used. */
void core_enrol_again(core *self, core_cmd *c, const char *name);
/* `used` of the enrolment's row, once the worker's own row is there. */
void core_enrol_load(core_worker *w, const uint8_t *used, size_t n);

/* ---- tokens.c */
void core_cmd_token_add(core *self, core_cmd *c);
void core_token_again(core *self, core_cmd *c, const char *kept);
void core_cmd_token_revoke(core *self, core_cmd *c);
void core_cmd_token_used(core *self, core_cmd *c);

/* ---- hooks.c: deliveries of webhooks, sessions of the page */
void core_cmd_hook(core *self, core_cmd *c);
void core_cmd_login(core *self, core_cmd *c);
void core_cmd_logout(core *self, core_cmd *c);
/* Which projects have deliveries that nothing was done for. */
int core_hooks_load(core *self, pw_err *err);
/* A look at the project began; it ended well. */
void core_hooks_asked(core_project *p);
void core_hooks_seen(core *self, core_project *p);
/* Returns how many rows were removed, at most `most` of each. */
int core_hooks_expire(core *self, int most, pw_err *err);

/* ---- retain.c */
int core_retain_load(core *self, pw_err *err);
void core_retain_free(core_retain *t);
void core_retain_tick(core *self, pw_usec now);
/* When there is something to do at once; INT64_MAX: the ticks are enough. */
pw_usec core_retain_deadline(const core *self);
void core_cmd_pin(core *self, core_cmd *c);
void core_cmd_unpin(core *self, core_cmd *c);

/* ---- workers.c */
void core_worker_quarantine(core *self, core_worker *w, const char *why);
/* A clock that was set back must not make it longer. */
void core_worker_quarantine_tick(core *self, core_worker *w, pw_msec wall);
/* How an attempt ended on it: exceptions in a row lead to a quarantine. */
void core_worker_judge(core *self, core_worker *w, uint64_t build, pw_result result);
/* The last of its attempts is over. */
void core_worker_empty(core *self, const core_worker *w);

/* ---- facts.c: k=v lines */
/* The value of a fact, cut to what there is room for; false: there is none. */
bool core_fact_get(const char *facts, const char *name, char *out, size_t cap);
/* Sets or adds it. */
int core_fact_set(char **facts, const char *name, const char *value, pw_err *err);
/* The lines that do not move. */
int core_fact_still(const char *facts, pw_buf *out);

/* ---- builds.c */
void core_build_finish(core *self, core_build *b, pw_result result, const char *reason);
/* The attempt is over without a result of the code's: tried again, or given up as exception. spare:
 * uses no retry. */
void core_build_again(core *self, core_build *b, const char *reason, bool spare);
/* No retry is left after the present attempt. */
bool core_build_last_try(const core_build *b);
/* core_att_lost; spare: uses no retry. */
void core_att_close(core *self, core_attempt *a, const char *why, bool gone, bool spare);
/* An attempt of the build is there, or gone. */
void core_shipping(core *self, uint64_t build, int by);
/* Frees the slot, closes the row. */
void core_attempt_over(core *self, core_attempt *a, att_state to, pw_result result,
                       const char *reason);
/* row forgotten, out of memory; a is gone afterwards */
void core_attempt_forget(core *self, core_attempt *a);
void core_build_cancel(core *self, core_build *b, const char *reason);

/* ---- schedule.c */
/* A tree stable timer runs for that branch. */
bool core_quiet_pending(const core *self, size_t project, const char *branch);
/* commit: all of the push, n = 0: unknown; change: the oldest of them, 0 unknown. */
void core_trigger_branch(core *self, size_t project, core_stamp *stamp,
                         const core_commit_info *commit, size_t n, uint64_t change);
/* Whether a scheduler of the branch has to see commits before it can say what they start. */
bool core_needs_look(const core *self, size_t project, const char *branch);
/* What a scheduler is to build now. */
typedef struct core_firing {
    size_t scheduler;
    core_stamp *stamp; /* borrowed */
    const char *reason;
    bool tagged;     /* one of its changes has [testfix] */
    uint64_t change; /* the oldest of them; 0: not known */
} core_firing;
/* Makes the build set, or keeps in mind what a paused scheduler would have built. */
void core_fire(core *self, const core_firing *f);
/* After a pause: the newest of what was missed. */
void core_schedule_resume(core *self, size_t scheduler);
/* The branch is gone: nothing waits for it any more. */
void core_schedule_gone(core *self, size_t project, const char *branch);
void core_schedule_tick(core *self, pw_msec wall);
void core_quiet_drop(core *self, size_t i);
int core_schedule_load(core *self, pw_err *err);
pw_msec core_schedule_next(const core *self);
/* After a reload: what was timed goes on as it was; a line that is new, or another one, counts from
 * now on. */
void core_schedule_keep(core *self, const core *old);

/* ---- changes.c */
bool core_tip_get(const core *self, size_t project, const char *ref, store_rev *ret);
void core_tip_set(core *self, size_t project, const char *ref, const store_rev *rev);
void core_poll_tick(core *self, pw_usec now);
void core_poll_now(core *self, size_t project);
int core_project_load(core *self, size_t i, pw_err *err);
void core_regarded_del(core *self, uint64_t project_row, const char *branch);
int64_t core_project_by_row(const core *self, uint64_t row);

/* The branch is gone: what waits for it ends. */
void core_branch_gone(core *self, size_t project, const char *branch);

/* ---- proposals.c */
/* What the builds of that ref are called; false: it is no proposal's. */
bool core_proposal_name(const char *ref, char out[300], bool *ret_merge);
int core_proposals_load(core *self, size_t project, pw_err *err);
/* A scheduler of that kind asks for the builds of a proposal. */
void core_proposal_ask(core *self, size_t scheduler, core_stamp *stamp);
/* A look at the project ended well. */
void core_proposals_seen(core *self, core_project *p);
void core_proposal_moved(core *self, size_t project, const core_move *m, const char *name,
                         bool merge);

/* ---- promotions.c */
/* builder: row; 0: refs moved */
void core_edges_touched(core *self, uint64_t project_row, uint64_t builder);
void core_edges_tick(core *self, pw_usec now);
bool core_moved_by_us(const core *self, size_t project, const char *branch, const store_rev *rev);
int core_promotions_load(core *self, pw_err *err);
void core_edge_tell(core *self, size_t edge, edge_state state, const store_rev *rev,
                    const char *reason);

/* ---- load.c: projects, builders, ids and what is unfinished, in the open turn of core_new */
int core_load_all(core *self, pw_err *err);

/* ---- provider.c: elastic workers */
int core_provider_load(core *self, pw_err *err);
void core_provider_keep(core *self, core *old);
void core_provider_free(core *self);
/* After the dispatch: what waits now waits for workers. */
void core_provide(core *self);
/* What providers do for the builder's requests, for people; nothing when none would fit. */
void core_provider_why(const core *self, const core_builder *b, pw_buf *text);
/* ,{"name":..} of providers with trouble */
void core_provider_notes(const core *self, pw_buf *b);
bool core_tag_is(const char *tags, const char *tag);

/* ---- why.c */
void core_why(core *self, core_cmd *cmd);
void core_why_list(core *self, core_cmd *cmd);

const char *core_branch_ref(char out[300], const char *branch); /* refs/heads/BRANCH */
#endif
