#include "worker/agent/agent.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/job/job.h"
#include "shared/base/fs.h"
#include "worker/agent/features.h"
#include "worker/agent/gate.h"
#include "worker/agent/heard.h"
#include "worker/agent/needs.h"
#include "worker/agent/rejects.h"
#include "worker/agent/ship.h"
#include "worker/spool/need.h"

enum { RETRY_BUSY_MS = 1000, RETRY_GATE_MS = 30000 };

#define RESYNC_US (5 * INT64_C(1000000)) /* a job's files could not be read: asked for anew */

struct agent {
    const worker_conf *conf;
    spool_home *home;
    agent_deps deps;
    jobs *jobs;
    ship *ship;
    needs *needs;
    session *session;
    char *features[FEATURES_MAX]; /* told in the hello */
    pw_list facts;                /* owned */
    uint8_t mark[HOME_MARK_MAX];  /* newest; written to the spool now and then */
    size_t mark_n;
    rejects rejected;
    bool draining;
    bool list_kept;         /* the next hello lists forgotten jobs too */
    bool kept_listed;       /* the last one did */
    uint64_t settled_epoch; /* its master has had the chance to ask for kept jobs; 0: none */
    pw_usec poll_at, care_at, pump_at;
    pw_usec tidied_at; /* a time long ago: not yet */
    heard heard;
    pw_usec resync_at;   /* -1: all jobs of the session are shipped */
    int64_t disk;        /* free bytes, as last seen */
    char gate[GATE_MAX]; /* why no job should come; "": none */
    agent_counts count;
};

/* ---- what jobs.c asks for */

static int start_job(void *self, const char *name, pw_err *err)
{
    agent *a = self;
    return a->deps.start(a->deps.self, name, err);
}

static void sweep_job(void *self, const char *name)
{
    agent *a = self;
    a->deps.sweep(a->deps.self, name);
}

static void job_grown(void *self, agent_job *j)
{
    agent *a = self;
    if (a->ship)
        ship_grown(a->ship, j);
}

static void job_gone(void *self, agent_job *j)
{
    agent *a = self;
    if (a->ship)
        ship_drop(a->ship, j);
}

static int send_journal(void *self, const msg_journal *m, const void *records, size_t n,
                        pw_err *err)
{
    agent *a = self;
    msg_journal with = *m;
    with.session = session_id(a->session);
    return session_send(a->session, PW_MSG_JOURNAL, &with, records, n, err);
}

/* ---- what needs.c asks for */
static int send_need(void *self, const msg_need *m, pw_err *err)
{
    agent *a = self;
    msg_need with = *m;
    with.session = session_id(a->session);
    return session_send(a->session, PW_MSG_NEED, &with, NULL, 0, err);
}

/* It looks by itself, too. */
static void wake_runner(void *self, spool_job id)
{
    const agent *a = self;
    (void)spool_control_send(a->home->id, id, SPOOL_HERE, NULL, NULL);
}

/* ---- hello */

static void list_place(const agent *a, pw_job_state place, msg_hello_job *v, size_t *n)
{
    const agent_job *j;
    TAILQ_FOREACH(j, jobs_list(a->jobs, place), link)
    {
        if (*n == PW_HELLO_JOBS_MAX)
            return;
        v[(*n)++] = (msg_hello_job){
            .epoch = j->id.epoch, .attempt = j->id.attempt, .length = j->whole, .state = j->state};
    }
}

static int say_hello(void *self, msg_hello *h, pw_err *err)
{
    agent *a = self;
    static char version[] = PW_VERSION;
    msg_hello_job *v =
        calloc(PW_HELLO_JOBS_MAX, sizeof(*v)); /* touched only as far as it is used */
    size_t n = 0;
    if (!v)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    list_place(a, PW_JOB_RUNNING, v, &n);
    list_place(a, PW_JOB_HELD, v, &n);
    if (a->list_kept)
        list_place(a, PW_JOB_KEPT, v, &n);
    a->kept_listed = a->list_kept;
    a->list_kept = false;
    *h = (msg_hello){
        .features = {a->features, features_list(a->conf, a->features)},
        .spool = a->home->id,
        .boot = a->home->boot,
        .mark = {a->mark_n ? a->mark : NULL, a->mark_n},
        .version = version,
        .slots = a->conf->slots,
        .tags = a->conf->tags,
        .facts = a->facts,
        .jobs = {v, n},
    };
    return 0;
}

static void hello_said(void *self, msg_hello *h)
{
    (void)self;
    free(h->jobs.v);
}

/* ---- heartbeat */

/* Looks at disk and load; under pressure what is only kept goes first. */
static void look_around(agent *a)
{
    uint64_t load = a->conf->high_load ? a->deps.load_milli(a->deps.self) : 0;
    a->disk = a->deps.disk_free(a->deps.self);
    bool low = gate_low(a->conf, a->disk);
    jobs_expire(a->jobs, low ? 0 : a->conf->spool_limit);
    if (low)
        a->disk = a->deps.disk_free(a->deps.self);
    gate_text(a->conf, a->disk, jobs_bytes(a->jobs), load, a->draining, a->gate);
}

static void fill_beat(void *self, msg_heartbeat *h)
{
    agent *a = self;
    look_around(a);
    size_t live = jobs_live(a->jobs);
    h->free_slots = a->conf->slots > live && !a->draining ? a->conf->slots - live : 0;
    h->load_milli = a->deps.load_milli(a->deps.self);
    h->disk_free = a->disk > 0 ? (uint64_t)a->disk : 0;
    h->gate = a->gate[0] ? a->gate : NULL;
    h->wall_ms = (uint64_t)pw_wall(a->deps.host);
}

/* ---- welcome */

static void take_mark(agent *a, const pw_bytes *mark)
{
    if (mark->n == 0 || mark->n > sizeof(a->mark))
        return;
    memcpy(a->mark, mark->p, mark->n);
    a->mark_n = mark->n;
}

/* From the master's offset on; what the spool lost is held, and the master judges by the length
 * that it was told. */
static void resume(agent *a, agent_job *j, uint64_t offset, uint64_t window)
{
    pw_err err = {0};
    int rc = jobs_take_back(a->jobs, j, &err);
    if (rc == 0)
        rc = ship_resume(a->ship, j, offset, window, false, &err);
    if (rc == 0)
        return;
    pw_log_err(PW_LOG_ERROR, "job_not_resumed", &err);
    if (rc == PW_ENOTFOUND || rc == PW_EINVAL)
        jobs_hold(a->jobs, j);
    else
        a->resync_at = pw_now(a->deps.host) + RESYNC_US;
}

static void verdict(agent *a, const msg_welcome_job *w)
{
    agent_job *j = jobs_find(a->jobs, (spool_job){w->epoch, w->attempt});
    if (!j)
        return;
    switch (w->verdict) {
    case PW_RESUME:
        resume(a, j, w->offset, w->window);
        if (j->shipping && (uint32_t)w->chain != j->sent_chain) {
            /* That offset may be inside a record of ours: it is shown from its beginning, so that
             * the master sees where it differs, and closes the attempt. */
            char name[SPOOL_JOB_NAME];
            pw_log(PW_LOG_ERROR, "journal_differs", "job=%s offset=%" PRIu64,
                   spool_job_name(j->id, name), w->offset);
            resume(a, j, 0, w->window);
        }
        if (w->cancel)
            jobs_cancel(a->jobs, j, "cancelled");
        break;
    case PW_FORGET:
        jobs_forget(a->jobs, j);
        break;
    case PW_HOLD:
        jobs_hold(a->jobs, j);
        break;
    default: /* of a newer master: it is neither shipped nor removed */
        break;
    }
}

static void session_begins(void *self, const msg_welcome *w)
{
    agent *a = self;
    const msg_welcome_job *v = w->jobs.v;
    a->draining = false;
    take_mark(a, &w->mark);
    if (!a->kept_listed && w->epoch != a->settled_epoch &&
        jobs_kept_of_another(a->jobs, w->epoch)) {
        a->list_kept = true;
        session_again(a->session, "the master has a new epoch: forgotten jobs are listed too");
        return;
    }
    a->settled_epoch = w->epoch;
    /* else each start says hello twice, and each hello is an offer more for what it does not list
     */
    pw_err err = {0};
    if (home_epoch(a->home, w->epoch, &err) < 0)
        pw_log_err(PW_LOG_WARN, "epoch_not_kept", &err);
    a->resync_at = -1;
    ship_begin(a->ship, w->window);
    needs_begin(a->needs);
    for (size_t i = 0; i < w->jobs.n; i++)
        verdict(a, &v[i]);
    a->poll_at = pw_now(a->deps.host);
}

static void session_ends(void *self)
{
    agent *a = self;
    a->resync_at = -1;
    ship_end(a->ship);
    needs_end(a->needs);
}

/* ---- a job is offered */

static void say_no(agent *a, const reject_answer *r)
{
    pw_err err = {0};
    char reason[REJECT_WHY];
    memcpy(reason, r->reason, sizeof(reason));
    msg_reject m = {.session = session_id(a->session),
                    .epoch = r->id.epoch,
                    .attempt = r->id.attempt,
                    .reason = reason,
                    .retry_ms = r->retry_ms};
    if (session_send(a->session, PW_MSG_REJECT, &m, NULL, 0, &err) < 0)
        pw_log_err(PW_LOG_DEBUG, "reject_not_sent",
                   &err); /* it is offered again, and then gets the same answer */
}

__attribute__((format(printf, 4, 5))) static void reject(agent *a, spool_job id, uint64_t retry_ms,
                                                         const char *fmt, ...)
{
    char name[SPOOL_JOB_NAME];
    reject_answer r = {.id = id, .retry_ms = retry_ms};
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(r.reason, sizeof(r.reason), fmt, ap);
    va_end(ap);
    a->count.rejected++;
    pw_log(PW_LOG_INFO, "job_rejected", "job=%s reason=\"%s\"", spool_job_name(id, name), r.reason);
    rejects_keep(&a->rejected, &r);
    say_no(a, &r);
}

/* Looks into the job itself. False when it was rejected. */
static bool job_good(agent *a, const msg_job *m, const void *bulk, size_t n)
{
    spool_job id = {m->epoch, m->attempt};
    uint8_t hash[CRYPT_HASH];
    pw_err err = {0};
    job_spec spec = {0};
    if (!bulk || n == 0 || n > PW_JOB_MAX) {
        reject(a, id, 0, "a job has 1 to %d bytes, this one has %zu", PW_JOB_MAX, n);
        return false;
    }
    crypt_hash(bulk, n, hash);
    if (m->digest.n != CRYPT_HASH || !crypt_equal(hash, m->digest.p, CRYPT_HASH)) {
        reject(a, id, 0, "the job's digest is not that of its bytes");
        return false;
    }
    if (pw_schema_decode(&job_spec_schema, bulk, n, &spec, &err) < 0) {
        /* memory comes back: that answer must not be a final one */
        reject(a, id, err.code == PW_ENOMEM ? RETRY_GATE_MS : 0, "the job cannot be read: %s",
               err.text);
        return false;
    }
    bool same = spec.epoch == m->epoch && spec.attempt == m->attempt;
    bool allowed = gate_isolation(a->conf, spec.isolation);
    const char *lacks = jobs_lacking_secret(&spec.secrets, &m->secrets);
    if (!same)
        reject(a, id, 0, "the job is of another attempt than its message");
    else if (spec.untrusted && !a->conf->untrusted)
        reject(a, id, 0, "this worker takes no builds of untrusted code");
    else if (!allowed)
        reject(a, id, 0, "isolation \"%s\" is not allowed on this worker", spec.isolation);
    else if (lacks)
        reject(a, id, 0, "secret \"%.100s\" did not come with the job", lacks);
    bool trusted = !spec.untrusted || a->conf->untrusted;
    pw_schema_clear(&job_spec_schema, &spec);
    return same && allowed && !lacks && trusted;
}

/* Known: nothing is started; what there is of it is shipped. */
static void job_again(agent *a, agent_job *j, const msg_job *m)
{
    a->count.repeated++;
    jobs_secrets_again(a->jobs, j, &m->secrets);
    if (j->shipping && j->stored > 0)
        j->window = m->window;
    else
        resume(a, j, 0, m->window);
}

static void on_job(agent *a, const msg_job *m, const void *bulk, size_t n)
{
    spool_job id = {m->epoch, m->attempt};
    pw_err err = {0};
    agent_job *j = jobs_find(a->jobs, id);
    const reject_answer *old = j ? NULL : rejects_find(&a->rejected, id);
    const char *lacks = features_missing(a->conf, &m->must);
    if (j) {
        job_again(a, j, m);
    } else if (old) {
        a->count.repeated++;
        say_no(a, old);
    } else if (lacks) {
        reject(a, id, 0, "this worker lacks the feature \"%.100s\"", lacks);
    } else if (a->gate[0] || a->draining) {
        reject(a, id, RETRY_GATE_MS, "%s", a->gate[0] ? a->gate : "draining");
    } else if (jobs_live(a->jobs) >= (m->lent ? PW_SLOTS_MAX : a->conf->slots)) {
        reject(a, id, RETRY_BUSY_MS, "all %" PRIu64 " slots are busy", a->conf->slots);
    } else if (jobs_open(a->jobs) >= JOBS_OPEN_MAX) {
        reject(a, id, RETRY_GATE_MS, "the spool holds %d jobs that are not delivered",
               JOBS_OPEN_MAX);
    } else if (job_good(a, m, bulk, n)) {
        int rc = jobs_accept(a->jobs, id, m->digest.p, bulk, n, &m->secrets, &j, &err);
        if (rc == 0) {
            a->count.accepted++;
            rc = ship_resume(a->ship, j, 0, m->window, true, &err);
        } else {
            reject(a, id, RETRY_GATE_MS, "%s", err.text);
        }
        if (rc < 0 && j)
            a->resync_at = pw_now(a->deps.host) + RESYNC_US;
        if (rc < 0)
            pw_log_err(PW_LOG_ERROR, "job_trouble", &err);
    }
}

static void on_message(void *self, const pw_msg *m, const void *bulk, size_t n)
{
    agent *a = self;
    agent_job *j;
    const msg_ack_item *item;
    heard_keep(&a->heard, session_heard(a->session));
    switch (m->type) {
    case PW_MSG_JOB:
        on_job(a, &m->u.job, bulk, n);
        break;
    case PW_MSG_ACK:
        item = m->u.ack.items.v;
        for (size_t i = 0; i < m->u.ack.items.n; i++)
            ship_ack(a->ship, &item[i]);
        take_mark(a, &m->u.ack.mark);
        break;
    case PW_MSG_CANCEL:
        if ((j = jobs_find(a->jobs, (spool_job){m->u.cancel.epoch, m->u.cancel.attempt})))
            jobs_cancel(a->jobs, j, m->u.cancel.reason);
        break;
    case PW_MSG_FORGET:
        if ((j = jobs_find(a->jobs, (spool_job){m->u.forget.epoch, m->u.forget.attempt})))
            jobs_forget(a->jobs, j);
        break;
    case PW_MSG_DRAIN:
        a->draining = true;
        break;
    case PW_MSG_BLOB:
        needs_blob(a->needs, &m->u.blob, bulk, n);
        break;
    case PW_MSG_NOTE:
        if ((j = jobs_find(a->jobs, (spool_job){m->u.note.epoch, m->u.note.attempt})))
            jobs_tell(a->jobs, j, m->u.note.seq, m->u.note.text);
        break;
    default: /* a ping */
        break;
    }
}

/* ---- life */

static const session_ops on_session = {
    .hello = say_hello,
    .greeted = hello_said,
    .up = session_begins,
    .over = session_ends,
    .beat = fill_beat,
    .message = on_message,
};
static const jobs_ops on_jobs = {
    .start = start_job, .sweep = sweep_job, .grown = job_grown, .gone = job_gone};

static const needs_ops on_needs = {.send = send_need, .wake = wake_runner};

static int read_facts(agent *a, pw_err *err)
{
    facts_clear(&a->facts);
    return facts_all(a->conf, a->deps.cgroup ? a->deps.cgroup(a->deps.self) : NULL, &a->facts, err);
}

agent *agent_new(const worker_conf *conf, spool_home *home, const agent_deps *deps, pw_err *err)
{
    PW_AUTO(agent_freep) agent *a = calloc(1, sizeof(*a));
    if (!a) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    a->conf = conf;
    a->home = home;
    a->heard.fd = -1;
    a->deps = *deps;
    a->poll_at = a->care_at = a->pump_at = pw_now(deps->host);
    a->resync_at = -1;
    a->tidied_at = pw_now(deps->host) - AGENT_TIDY;
    memcpy(a->mark, home->mark, home->mark_n);
    a->mark_n = home->mark_n;
    a->settled_epoch = home->epoch;
    if ((a->heard.fd = spool_heard_open(home->path, err)) < 0 || read_facts(a, err) < 0)
        return NULL;
    a->jobs = jobs_new(deps->host, home->path, home->id, home->other_boot, &on_jobs, a, err);
    if (!a->jobs)
        return NULL;
    a->ship = ship_new(deps->host, a->jobs, send_journal, a, err);
    if (!a->ship || jobs_load(a->jobs, home->moved, err) < 0 || home_settled(home, err) < 0)
        return NULL;
    if (!(a->needs = needs_new(deps->host, home->path, a->jobs, &on_needs, a, err)))
        return NULL;
    a->session = session_new(deps->host, &deps->wire, &on_session, a, err);
    if (!a->session)
        return NULL;
    look_around(a);
    return pw_take(a);
}

agent *agent_free(agent *a)
{
    if (!a)
        return NULL;
    (void)session_free(a->session);
    (void)needs_free(a->needs);
    (void)jobs_free(a->jobs);
    (void)ship_free(a->ship);
    facts_clear(&a->facts);
    rejects_clear(&a->rejected);
    pw_closep(&a->heard.fd);
    free(a);
    return NULL;
}

void agent_input(agent *a, const void *head, size_t head_n, const void *bulk, size_t bulk_n)
{
    session_input(a->session, head, head_n, bulk, bulk_n);
    a->pump_at = 0;
}

void agent_lost(agent *a, const char *reason)
{
    session_lost(a->session, reason);
}

void agent_note(agent *a, spool_note note)
{
    if (note.length == SPOOL_NOTE_ASK)
        needs_hint(a->needs, note.job);
    else
        jobs_note(a->jobs, note.job, note.length);
    a->pump_at = 0;
}

static void take_care(agent *a)
{
    pw_err err = {0};
    if (home_mark(a->home, a->mark, a->mark_n, &err) < 0)
        pw_log_err(PW_LOG_WARN, "mark_not_kept", &err);
    pw_usec now = pw_now(a->deps.host);
    bool low = gate_low(a->conf, a->disk);
    if (a->deps.tidy && now - a->tidied_at >= (low ? AGENT_TIDY_LOW : AGENT_TIDY)) {
        a->tidied_at = now;
        a->deps.tidy(a->deps.self);
    }
    if (session_where(a->session) != SESSION_UP) /* else each heartbeat does */
        look_around(a);
}

static bool needs_poll(const agent *a)
{
    return jobs_live(a->jobs) > 0 || !TAILQ_EMPTY(jobs_list(a->jobs, PW_JOB_RUNNING));
}

void agent_tick(agent *a)
{
    pw_usec now = pw_now(a->deps.host);
    session_tick(a->session);
    if (a->resync_at >= 0 && now >= a->resync_at && session_where(a->session) == SESSION_UP)
        session_again(a->session, "a job's files could not be read: asked for anew");
    if (now >= a->poll_at) {
        a->poll_at = now + AGENT_POLL;
        jobs_poll(a->jobs);
        ship_poll(a->ship);
        a->pump_at = 0;
    }
    if (now >= a->care_at) {
        a->care_at = now + AGENT_CARE;
        take_care(a);
    }
    if (a->pump_at >= 0 && now >= a->pump_at)
        a->pump_at = ship_pump(a->ship);
    needs_tick(a->needs);
}

static pw_usec sooner(pw_usec a, pw_usec b)
{
    return b < 0 || (a >= 0 && a < b) ? a : b;
}

pw_usec agent_due(const agent *a)
{
    pw_usec due = sooner(session_due(a->session), a->pump_at);
    due = sooner(sooner(due, a->care_at), a->resync_at);
    due = sooner(due, needs_due(a->needs));
    return needs_poll(a) ? sooner(due, a->poll_at) : due;
}

void agent_configure(agent *a, const worker_conf *conf)
{
    pw_err err = {0};
    a->conf = conf;
    if (read_facts(a, &err) < 0)
        pw_log_err(PW_LOG_WARN, "facts_not_read", &err);
    session_again(a->session, "the configuration was read anew");
}

void agent_stop(agent *a, const char *reason)
{
    take_care(a);
    session_stop(a->session, reason);
}

session_state agent_session(const agent *a)
{
    return session_where(a->session);
}

jobs *agent_jobs(agent *a)
{
    return a->jobs;
}

agent_counts agent_count(const agent *a)
{
    agent_counts c = a->count;
    c.dropped = session_dropped(a->session);
    c.stray = ship_stray(a->ship);
    return c;
}
