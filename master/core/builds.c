/* Attempts and builds: what the records of a journal do to them, and how they end. */
#include "master/core/parts.h"
#include "master/core/secrets.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/job/kind.h"

/* ---- ending */
void core_attempt_over(core *self, core_attempt *a, att_state to, pw_result result,
                       const char *reason)
{
    pw_err err = {0};
    if (a->state > ATT_RUNNING || !core_turn(self) ||
        !core_ok(
            self,
            store_attempt_close(self->st, a->id, to, result, reason, pw_wall(self->host), &err),
            &err))
        return;
    a->state = to;
    a->superseded = to == ATT_CLOSED;
    core_worker *w = core_worker_get(self, a->worker);
    bool busy = w && w->busy > 0;
    if (busy) {
        w->busy--;
        core_slots_count(self, w);
    }
    if (busy && !w->busy)
        core_worker_empty(self, w);
    core_build *b = pw_table_get(self->builds, a->build);
    if (b && b->live == a)
        b->live = NULL;
    self->dispatch = true;
}

void core_shipping(core *self, uint64_t build, int by)
{
    uintptr_t n = (uintptr_t)pw_table_get(self->shipping, build) + (uintptr_t)by;
    pw_err err = {0};
    if (n == 0)
        (void)pw_table_del(self->shipping, build);
    else
        (void)core_ok(self, pw_table_put(self->shipping, build, (void *)n, &err),
                      &err); /* NOLINT */
}

/* The frozen job names the steps: it stays while any attempt of the build may still tell of them.
 */
static void job_unneeded(core *self, uint64_t build)
{
    pw_err err = {0};
    if (pw_table_get(self->builds, build) || pw_table_get(self->shipping, build))
        return;
    (void)core_ok(self, store_job_del(self->st, build, &err), &err);
}

/* Nothing more will tell of the attempt's steps: one without an end was cut off with its runner. */
static void steps_over(core *self, const core_attempt *a)
{
    pw_err err = {0};
    store_attempt row;
    if (!core_ok(self, store_attempt_get(self->st, a->id, &row, &err), &err))
        return;
    pw_result how = row.result == PW_CANCELLED ? PW_CANCELLED : PW_EXCEPTION;
    int n = store_steps_over(self->st, a->id, how, "its attempt ended before it did",
                             row.ended ? row.ended : pw_wall(self->host), &err);
    if (core_ok(self, n < 0 ? n : 0, &err) && n > 0)
        core_note_event(self, EVENT_STEP, a->build);
}

/* Nothing more comes of it: its row says so, its logs are complete. */
static void attempt_gone(core *self, core_attempt *a, int row(store *, uint64_t, pw_err *))
{
    pw_err err = {0};
    uint64_t build = a->build;
    if (!core_turn(self) || !core_ok(self, row(self->st, a->id, &err), &err))
        return;
    steps_over(self, a);
    core_effect *e = core_add_effect(self, CORE_SEAL);
    if (e)
        e->attempt = a->id;
    core_locks_release(self, a, true);
    (void)pw_table_del(self->attempts, a->id);
    core_shipping(self, build, -1);
    pw_schema_clear(&rec_end_schema, &a->end);
    free(a->hold);
    free(a);
    job_unneeded(self, build);
}

void core_attempt_forget(core *self, core_attempt *a)
{
    attempt_gone(self, a, store_attempt_forget);
}

/* What the parts of a builder are together: the newest of it once all are over, red as soon as one
 * is. PW_NO_RESULT: that is not known. */
static pw_result of_parts(core *self, const core_build *b, pw_err *err)
{
    const core_request *r = b->request;
    pw_result result = PW_NO_RESULT;
    bool open = true;
    if (r->stamp->proposal ||
        !core_ok(self,
                 store_verdict(self->st, r->stamp->project_row, r->builder->parent, &r->stamp->rev,
                               &result, NULL, &open, err),
                 err))
        return PW_NO_RESULT;
    if (!open && result != PW_NO_RESULT)
        (void)core_ok(self,
                      store_latest_put(self->st, r->builder->parent, r->stamp->branch, b->id,
                                       result, r->stamp->id, pw_wall(self->host), err),
                      err);
    return !open || result == PW_FAILURE ? result : PW_NO_RESULT;
}

void core_build_finish(core *self, core_build *b, pw_result result, const char *reason)
{
    pw_err err = {0};
    core_request *r = b->request;
    core_builder *builder = r->builder;
    uint64_t project_row = r->stamp->project_row;
    if (!core_turn(self))
        return;
    if (b->live)
        core_attempt_over(self, b->live, ATT_CLOSED, result, reason);
    pw_result previous = core_tell_previous(self, b);
    if (!core_ok(self,
                 store_build_finish(self->st, b->id, result, reason, pw_wall(self->host),
                                    builder->row, r->stamp->branch, r->stamp->id, &err),
                 &err))
        return;
    if (result >= 0 && result < 7)
        self->finished[result]++;
    uint64_t decides = builder->parent ? builder->parent : builder->row;
    pw_result verdict = builder->parent ? of_parts(self, b, &err) : result;
    core_note_event(self, EVENT_BUILD, b->id);
    pw_log(PW_LOG_INFO, "build_finished", "build=%" PRIu64 " builder=\"%s\" result=%s", b->id,
           builder->name ? builder->name : "?", pw_result_name(result));
    if (result != PW_SKIPPED || b->started) /* what never began is no news */
        core_tell_build(self, b, result, previous, reason);
    builder->usual = 0; /* looked up anew when it is asked for */
    uint64_t id = b->id;
    core_stamp *stamp = core_stamp_ref(r->stamp);
    (void)pw_table_del(self->builds, id);
    r->build = NULL; /* r outlives it when the turn breaks here */
    core_build_unlock(b);
    r->result = result;
    free(b);
    job_unneeded(self, id);
    core_trigger_parent_over(self, id);
    core_request_finish(self, r, 0);
    core_testfix_decided(self, decides, stamp, id, verdict);
    core_stamp_unref(stamp);
    core_edges_touched(self, project_row, decides);
}

bool core_build_last_try(const core_build *b)
{
    const config_builder *c = b->request->builder->conf;
    return !c || b->tries > c->retries;
}

void core_build_again(core *self, core_build *b, const char *reason, bool spare)
{
    pw_err err = {0};
    if (spare && b->tries > 0)
        b->tries--; /* an offer that was rejected or not taken never ran */
    if (!b->request->builder->conf) {
        core_build_finish(self, b, PW_CANCELLED, "its builder was removed from the configuration");
        return;
    }
    if (!spare && core_build_last_try(b)) {
        core_build_finish(self, b, PW_EXCEPTION, reason);
        return;
    }
    if (!core_turn(self) || !core_ok(self, store_build_requeue(self->st, b->id, &err), &err))
        return;
    b->state = BUILD_QUEUED;
    if (queue_push(b->request->builder, b->request) < 0) {
        (void)core_nomem(self);
        return;
    }
    core_note_event(self, EVENT_BUILD, b->id);
    self->dispatch = true;
    pw_log(PW_LOG_WARN, "build_again", "build=%" PRIu64 " tries=%" PRIu64 " reason=\"%s\"", b->id,
           b->tries, reason);
}

void core_build_cancel(core *self, core_build *b, const char *reason)
{
    core_attempt *a = b->live;
    if (a) {
        core_effect *e = core_add_effect(self, CORE_CANCEL);
        if (!e)
            return;
        e->worker = a->worker;
        e->attempt = a->id;
        e->epoch = a->epoch;
        e->text = pw_strf("%s", reason);
        core_attempt_over(self, a, ATT_CLOSED, PW_CANCELLED, reason);
    }
    core_build_finish(self, b, PW_CANCELLED, reason);
}

/* ---- attempts, seen from the link */
core_attempt *core_attempt_find(core *self, uint64_t id)
{
    return pw_table_get(self->attempts, id);
}

core_attempt *core_attempt_each(core *self, size_t *pos)
{
    return pw_table_next(self->attempts, pos);
}

core_attempt *core_attempt_next(core *self, uint64_t worker, size_t *pos)
{
    core_attempt *a;
    while ((a = pw_table_next(self->attempts, pos)))
        if (a->worker == worker)
            return a;
    return NULL;
}

bool core_attempt_was(core *self, uint64_t epoch, uint64_t id, uint64_t worker)
{
    store_attempt row;
    return store_attempt_get(self->st, id, &row, NULL) == 0 && row.epoch == epoch &&
           row.worker == worker && row.state == ATT_FORGOTTEN;
}

void core_att_started(core *self, core_attempt *a)
{
    pw_err err = {0};
    core_build *b = pw_table_get(self->builds, a->build);
    a->any = true;
    if (a->state != ATT_OFFERED || !core_turn(self) ||
        !core_ok(self, store_attempt_run(self->st, a->id, &err), &err))
        return;
    a->state = ATT_RUNNING;
    core_worker *w = core_worker_get(self, a->worker);
    if (w)
        w->bad_offers = 0;
    if (!b || b->live != a)
        return;
    b->state = BUILD_RUNNING;
    if (!b->started)
        b->started = pw_wall(self->host);
    if (!core_ok(self, store_build_start(self->st, b->id, b->started, &err), &err))
        return;
    core_note_event(self, EVENT_BUILD, b->id);
    core_tell_start(self, b);
}

/* Name and kind of a step stand in the frozen job; the name is lent. */
static bool step_facts(core *self, const core_attempt *a, uint64_t idx, store_step *s)
{
    if (self->facts_build != a->build) {
        PW_AUTO(pw_buf_clearp) pw_buf frozen = PW_BUF(PW_JOB_MAX);
        self->facts_build = 0;
        pw_schema_clear(&job_spec_schema, &self->facts);
        if (store_job_get(self->st, a->build, &frozen, NULL) < 0 ||
            pw_schema_decode(&job_spec_schema, frozen.p, frozen.len, &self->facts, NULL) < 0)
            return false;
        self->facts_build = a->build;
    }
    const job_step *j = self->facts.steps.v;
    if (idx >= self->facts.steps.n)
        return false;
    s->name = j[idx].name;
    unsigned kind = job_kind_number(j[idx].kind);
    s->kind = kind < JOB_KINDS ? kind : JOB_KIND_RUN;
    return true;
}

void core_att_step_started(core *self, core_attempt *a, const rec_step_start *r)
{
    pw_err err = {0};
    store_step s = {.attempt = a->id,
                    .idx = r->step,
                    .state = STEP_RUNNING,
                    .result = PW_NO_RESULT,
                    .started = (pw_msec)r->wall_ms,
                    .exit_code = -1};
    if (!core_turn(self) || !step_facts(self, a, r->step, &s))
        return;
    (void)core_ok(self, store_step_start(self->st, &s, &err), &err);
    core_note_event(self, EVENT_STEP, a->build);
}

void core_att_step_ended(core *self, core_attempt *a, const rec_step_end *r)
{
    pw_err err = {0};
    store_step s = {.attempt = a->id,
                    .idx = r->step,
                    .state = STEP_DONE,
                    .result = r->result <= PW_CANCELLED ? (pw_result)r->result : PW_EXCEPTION,
                    .finished = (pw_msec)r->wall_ms,
                    .exit_code = r->ran && !r->signal ? (int64_t)r->exit_code : -1,
                    .signal = r->signal,
                    .lines = r->lines,
                    .bytes = r->bytes,
                    .cpu_ms = r->cpu_ms,
                    .max_rss = r->max_rss,
                    .read_bytes = r->read_bytes,
                    .write_bytes = r->write_bytes,
                    .reason = r->reason};
    if (!core_turn(self) || !step_facts(self, a, r->step, &s))
        return;
    (void)core_ok(self, store_step_end(self->st, &s, &err), &err);
    core_note_event(self, EVENT_STEP, a->build);
    if (r->step >= a->steps_over)
        a->steps_over = r->step + 1;
    core_locks_release(self, a, false);
}

int core_property_check(const char *name, pw_err *err)
{
    static const char *const own[] = {"branch",   "revision", "project", "builder",
                                      "build_id", "worker",   "attempt"};
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    if (name[n] || n == 0 || n > PW_NAME_MAX || (name[0] >= '0' && name[0] <= '9'))
        return pw_fail(err, PW_EINVAL,
                       "property \"%.60s\": a name has a-z 0-9 _ and does not begin with a digit",
                       name);
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (strcmp(own[i], name) == 0)
            return pw_fail(err, PW_EINVAL, "property \"%s\" is set by Pawl alone", name);
    return 0;
}

/* What a worker says is not believed where people would not be: its runner sends no such names, and
 * each name stays in the database for ever. */
void core_att_property(core *self, core_attempt *a, const rec_property *r)
{
    pw_err err = {0};
    if (core_property_check(r->name, &err) < 0 || a->props == CORE_ATT_PROPS) {
        if (!a->refused)
            pw_log(PW_LOG_WARN, "property_refused", "attempt=%" PRIu64 " reason=\"%s\"", a->id,
                   err.code ? err.text : "it set too many");
        a->refused = true;
        return;
    }
    a->props++;
    if (!a->superseded && core_turn(self))
        (void)core_ok(self, store_property_put(self->st, a->build, r->name, r->value, "step", &err),
                      &err);
}

void core_att_note(core *self, core_attempt *a, const rec_note *r)
{
    static const char *const styles[] = {"info", "success", "warning", "error"};
    pw_err err = {0};
    size_t i = 0;
    while (i < 4 && strcmp(styles[i], r->style) != 0)
        i++;
    if (i == 4 || a->notes == CORE_ATT_NOTES) {
        if (!a->refused)
            pw_log(PW_LOG_WARN, "note_refused", "attempt=%" PRIu64 " reason=\"%s\"", a->id,
                   i == 4 ? "no such style" : "it wrote too many");
        a->refused = true;
        return;
    }
    a->notes++;
    store_note n = {.attempt = a->id,
                    .context = r->context,
                    .style = styles[i],
                    .text = r->text,
                    .at = pw_wall(self->host)};
    if (core_turn(self) && core_ok(self, store_note_put(self->st, &n, &err), &err))
        core_note_event(self, EVENT_BUILD, a->build);
}

void core_att_ended(core *self, core_attempt *a, const rec_end *r)
{
    core_build *b = pw_table_get(self->builds, a->build);
    core_locks_release(self, a, true); /* its runner is at its end */
    if (a->state > ATT_RUNNING || !b || b->live != a)
        return; /* superseded: kept beside the build, counted nowhere */
    queue_remove(b->request->builder, b->request);
    core_kept(self, a, r);
    pw_result result = r->result <= PW_CANCELLED ? (pw_result)r->result : PW_EXCEPTION;
    bool broke = result == PW_EXCEPTION && core_trigger_broke(self, b->id);
    bool again = result == PW_EXCEPTION && !broke && !core_build_last_try(b);
    core_worker *w = core_worker_get(self, a->worker);
    if (w && !broke)
        core_worker_judge(self, w, b->id, result);
    core_attempt_over(self, a, ATT_ENDED, again ? PW_RETRY : result, r->reason);
    if (again)
        core_build_again(self, b, r->reason ? r->reason : "exception", false);
    else
        core_build_finish(self, b, result, r->reason);
}

void core_att_offsets(core *self, core_attempt *a, uint64_t applied, uint32_t applied_chain,
                      uint64_t stored, uint32_t stored_chain)
{
    pw_err err = {0};
    if (!core_turn(self) || !core_ok(self,
                                     store_attempt_offsets(self->st, a->id, applied, applied_chain,
                                                           stored, stored_chain, &err),
                                     &err))
        return;
    a->applied = applied;
    a->applied_chain = applied_chain;
    a->stored = stored;
    a->stored_chain = stored_chain;
    if (a->state < ATT_ENDED || !a->end_at || a->stored < a->end_at)
        return;
    core_effect *e = core_add_effect(self, CORE_FORGET);
    if (!e)
        return;
    e->worker = a->worker;
    e->attempt = a->id;
    e->epoch = a->epoch;
    core_attempt_forget(self, a);
}

void core_att_frame(core *self, const store_frame *f)
{
    pw_err err = {0};
    if (core_turn(self))
        (void)core_ok(self, store_frame_add(self->st, f, &err), &err);
}

void core_att_log(core *self, const store_log *l)
{
    pw_err err = {0};
    if (core_turn(self))
        (void)core_ok(self, store_log_put(self->st, l, &err), &err);
}

void core_log_sealed(core *self, uint64_t attempt, uint64_t idx, uint64_t stream, uint64_t packed)
{
    pw_err err = {0};
    if (!core_turn(self))
        return;
    int r = store_log_seal(self->st, attempt, idx, stream, packed, &err);
    if (r == PW_ENOTFOUND) /* no frame of it was ever acknowledged */
        pw_log_err(PW_LOG_ERROR, "log_without_row", &err);
    else
        (void)core_ok(self, r, &err);
}

void core_att_close(core *self, core_attempt *a, const char *why, bool gone, bool spare)
{
    core_build *b = pw_table_get(self->builds, a->build);
    bool live = b && b->live == a;
    pw_log(PW_LOG_WARN, "attempt_lost", "attempt=%" PRIu64 " build=%" PRIu64 " reason=\"%s\"",
           a->id, a->build, why);
    if (live)
        queue_remove(b->request->builder, b->request);
    core_attempt_over(self, a, ATT_CLOSED, PW_RETRY, why);
    if (live)
        core_build_again(self, b, why, spare);
    if (gone && !self->fault.code)
        core_attempt_forget(self, a);
}

void core_att_lost(core *self, core_attempt *a, const char *why)
{
    core_att_close(self, a, why, true, false);
}

void core_att_other(core *self, core_attempt *a, const char *why)
{
    core_att_close(self, a, why, false, false);
    if (!self->fault.code)
        attempt_gone(self, a, store_attempt_lose);
}

void core_att_present(core *self, core_attempt *a)
{
    core_build *b = pw_table_get(self->builds, a->build);
    a->lost = false;
    a->silent_us = 0;
    if (b && b->live == a)
        queue_remove(b->request->builder, b->request);
    if (!a->any)
        a->offered_at = pw_now(self->host);
}

void core_att_reoffer(core *self, core_attempt *a)
{
    pw_err err = {0};
    PW_AUTO(pw_buf_clearp) pw_buf job = PW_BUF(PW_JOB_MAX);
    PW_AUTO(secrets_clear) pw_list secrets = {0};
    core_build *b = pw_table_get(self->builds, a->build);
    core_worker *w = core_worker_get(self, a->worker);
    if (!b || b->live != a || !w || !core_turn(self))
        return;
    core_att_present(self, a);
    if (a->sent >= CORE_OFFERS_MAX) { /* a job that kills agents ends; its worker rests */
        core_worker_quarantine(self, w, "took three offers and began none");
        core_att_lost(self, a, "offered three times, never begun");
        return;
    }
    int code = core_thaw(self, b, a->id, w, &job, &secrets, &err);
    if (code == PW_EDENIED || code == PW_EINVAL) { /* a secret that it needs is gone */
        (void)pw_err_context(&err, "the job cannot be sent to a worker");
        core_build_finish(self, b, PW_EXCEPTION, err.text);
        if (!self->fault.code)
            core_attempt_forget(self, a); /* its worker does not have it */
        return;
    }
    a->offers++;
    a->sent++;
    if (core_ok(self, code, &err) &&
        core_ok(self, store_attempt_reoffer(self->st, a->id, a->offers, &err), &err))
        core_offer_effect(self, a, &job, &secrets);
}

void core_att_rejected(core *self, core_attempt *a, const char *why, pw_usec retry_after)
{
    core_build *b = pw_table_get(self->builds, a->build);
    core_worker *w = core_worker_get(self, a->worker);
    (void)retry_after; /* the next heartbeat with a free slot says when */
    if (w)
        w->rejecting = true;
    if (b && b->live == a) {
        core_attempt_over(self, a, ATT_CLOSED, PW_RETRY, why);
        core_build_again(self, b, why, true);
    }
    if (a->state == ATT_CLOSED && !self->fault.code) /* there is no journal to wait for */
        core_attempt_forget(self, a);
}
