#include "master/link/sessions.h"
#include "master/link/state.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/fault.h"
#include "shared/base/log.h"
#include "shared/base/num.h"
#include "shared/crypt/crypt.h"
#include "shared/job/kind.h"

enum { HEAD_ROOM = 4096 }; /* of a `job` without its secrets */
_Static_assert(PW_JOB_MAX + PW_JOB_SECRETS_MAX + HEAD_ROOM <= PW_MSG_MAX,
               "the largest job with the most secrets is one message");

sessions *sessions_new(core *c, logs *l, const pw_host *host, const uint8_t mark_key[32],
                       sessions_send *send, void *send_self, pw_err *err)
{
    PW_AUTO(sessions_freep) sessions *self = calloc(1, sizeof(*self));
    if (!self) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->core = c;
    self->logs = l;
    self->host = host;
    self->send = send;
    self->send_self = send_self;
    memcpy(self->mark_key, mark_key, 32);
    if (!(self->by_peer = pw_table_new(err)) || !(self->by_worker = pw_table_new(err)))
        return NULL;
    return pw_take(self);
}

static void drop_queue(sessions *self)
{
    for (size_t i = 0; i < self->n_out; i++) {
        explicit_bzero(self->out[i].head, self->out[i].head_len); /* secrets of a job */
        free(self->out[i].head);
        free(self->out[i].bulk);
    }
    self->n_out = 0;
}

sessions *sessions_free(sessions *self)
{
    if (!self)
        return NULL;
    session *s;
    for (size_t pos = 0; self->by_peer && (s = pw_table_next(self->by_peer, &pos));)
        free(s);
    pw_table_free(self->by_peer);
    pw_table_free(self->by_worker);
    drop_queue(self);
    free(self->out);
    for (size_t i = 0; i < self->n_pend; i++)
        pending_clear(&self->pend[i]);
    free(self->pend);
    free(self);
    return NULL;
}

void sessions_keep_files(sessions *self, blobs *b)
{
    self->blobs = b;
}

void sessions_adopt(sessions *self, core *c)
{
    self->core = c;
}

session *sessions_of_worker(const sessions *self, uint64_t worker)
{
    return pw_table_get(self->by_worker, worker);
}

void sessions_end(sessions *self, session *s, const char *why)
{
    uint64_t worker = s->worker;
    (void)pw_table_del(self->by_peer, s->peer);
    (void)pw_table_del(self->by_worker, worker);
    free(s);
    core_worker_down(self->core, worker, why);
}

/* ---- sending */
void sessions_queue(sessions *self, uint64_t peer, pw_msg_type type, const void *body,
                    const void *bulk, size_t bulk_len)
{
    pw_err err = {0};
    PW_AUTO(pw_buf_clearp) pw_buf head = PW_BUF(PW_MSG_MAX);
    /* room for secrets at once: memory that is given back when it grows cannot be wiped */
    if (type == PW_MSG_JOB && ((const msg_job *)body)->secrets.n)
        (void)pw_buf_room(&head, PW_JOB_SECRETS_MAX + HEAD_ROOM);
    if (pw_msg_encode(type, body, &head, &err) < 0) {
        pw_log_err(PW_LOG_ERROR, "message_not_encoded", &err);
        return;
    }
    if (self->n_out == self->cap_out) {
        size_t cap = self->cap_out ? 2 * self->cap_out : 32;
        outgoing *v = realloc(self->out, cap * sizeof(*v));
        if (!v)
            /* a message that is not sent is no event: it is derived again at the next resync */
            return;
        self->out = v;
        self->cap_out = cap;
    }
    outgoing o = {.peer = peer, .type = type, .bulk_len = bulk_len};
    if (bulk_len > 0) {
        o.bulk = malloc(bulk_len);
        if (!o.bulk)
            return;
        memcpy(o.bulk, bulk, bulk_len);
    }
    o.head_len = head.len;
    o.head = (uint8_t *)pw_buf_take(&head);
    self->out[self->n_out++] = o;
}

/* Committed, not sent: at each kind of message that something depends on. */
static bool send_fault(pw_msg_type type)
{
    switch (type) {
    case PW_MSG_JOB:
        return pw_fault("dispatch.send");
    case PW_MSG_ACK:
        return pw_fault("ack.send");
    case PW_MSG_FORGET:
        return pw_fault("forget.send");
    case PW_MSG_CANCEL:
        return pw_fault("cancel.send");
    case PW_MSG_NOTE:
        return pw_fault("note.send");
    case PW_MSG_WELCOME:
        return pw_fault("resync.welcome");
    case PW_MSG_BLOB:
        return pw_fault("blob.send");
    case PW_MSG_JOINED:
        return pw_fault("join.answer");
    default:
        return false;
    }
}

void sessions_flush(sessions *self)
{
    pw_err err = {0};
    pw_usec now = pw_now(self->host);
    for (size_t i = 0; i < self->n_out; i++) {
        const outgoing *o = &self->out[i];
        session *s = pw_table_get(self->by_peer, o->peer);
        int r = send_fault(o->type) ? PW_EAGAIN
                                    : self->send(self->send_self, o->peer, o->head, o->head_len,
                                                 o->bulk, o->bulk_len, &err);
        if (s && r < 0)
            sessions_end(self, s,
                         r == PW_ENOTFOUND ? "the connection is gone" : "its queue is full");
        else if (s)
            s->sent = now;
    }
    drop_queue(self);
    self->credit_counted = false;
}

void sessions_mark(const sessions *self, uint8_t out[32])
{
    uint8_t mac[32];
    pw_put_le64(out, store_epoch(core_store(self->core)));
    /* the turn that is being made: what carries the mark leaves after its commit */
    pw_put_le64(out + 8, store_turn(core_store(self->core)) +
                             (store_in_turn(core_store(self->core)) ? 1 : 0));
    crypt_mac(self->mark_key, out, 16, mac);
    memcpy(out + 16, mac, 16);
}

void sessions_ack(sessions *self, core_attempt *a)
{
    session *s = sessions_of_worker(self, a->worker);
    uint8_t mark[32];
    if (!s)
        return;
    sessions_mark(self, mark);
    msg_ack_item item = {a->epoch, a->id, a->stored, sessions_window(self, a)};
    msg_ack m = {.session = s->id, .items = {&item, 1}, .mark = {mark, sizeof(mark)}};
    sessions_queue(self, s->peer, PW_MSG_ACK, &m, NULL, 0);
}

static void send_job(sessions *self, session *s, const core_effect *e)
{
    const char *must[JOB_MUST_MAX];
    job_spec spec;
    pw_err err = {0};
    core_attempt *a = core_attempt_find(self->core, e->attempt);
    if (pw_schema_decode(&job_spec_schema, e->job, e->job_len, &spec, &err) < 0) {
        pw_log_err(PW_LOG_ERROR, "job_not_sent", &err); /* no memory: derived again at a resync */
        return;
    }
    msg_job m = {.session = s->id,
                 .epoch = e->epoch,
                 .attempt = e->attempt,
                 .digest = {(uint8_t *)(uintptr_t)e->digest, 32},
                 .must = {(char **)(uintptr_t)must, job_must(&spec, must)},
                 .secrets = e->secrets,
                 .window = a ? sessions_window(self, a) : 0,
                 .lent = a && core_att_lent(self->core, a)};
    sessions_queue(self, s->peer, PW_MSG_JOB, &m, e->job, e->job_len);
    pw_schema_clear(&job_spec_schema, &spec);
}

void sessions_effect(sessions *self, const core_effect *e)
{
    session *s = e->kind <= CORE_DROP ? sessions_of_worker(self, e->worker) : NULL;
    if (!s)
        return; /* no session: resync derives it again */
    switch (e->kind) {
    case CORE_OFFER:
        send_job(self, s, e);
        break;
    case CORE_CANCEL: {
        msg_cancel m = {s->id, e->epoch, e->attempt, e->text};
        sessions_queue(self, s->peer, PW_MSG_CANCEL, &m, NULL, 0);
        break;
    }
    case CORE_FORGET: {
        msg_forget m = {s->id, e->epoch, e->attempt};
        sessions_queue(self, s->peer, PW_MSG_FORGET, &m, NULL, 0);
        break;
    }
    case CORE_NOTE: {
        msg_note m = {s->id, e->epoch, e->attempt, e->id, e->text};
        sessions_queue(self, s->peer, PW_MSG_NOTE, &m, NULL, 0);
        break;
    }
    case CORE_DROP: {
        msg_refused m = {s->nonce, e->text, 1000};
        sessions_queue(self, s->peer, PW_MSG_REFUSED, &m, NULL, 0);
        sessions_end(self, s, e->text ? e->text : "ended");
        break;
    }
    default:
        break;
    }
}

/* ---- receiving */
bool sessions_admit(sessions *self, const uint8_t key[32])
{
    bool enrol;
    return core_key_owner(self->core, key, &enrol) != 0;
}

static void refuse(sessions *self, uint64_t peer, uint64_t nonce, const char *reason,
                   uint64_t retry_ms)
{
    msg_refused m = {nonce, (char *)(uintptr_t)reason, retry_ms};
    sessions_queue(self, peer, PW_MSG_REFUSED, &m, NULL, 0);
}

static void join(sessions *self, uint64_t peer, uint64_t worker, const uint8_t once[32],
                 const msg_join *m)
{
    pw_err err = {0};
    if (pw_fault("join.received")) {
        refuse(self, peer, 0, "fault point join.received", 5000);
        return;
    }
    if (m->key.n != PW_KEY_BYTES ||
        core_worker_join(self->core, worker, once, m->name, m->key.p, &err) < 0) {
        refuse(self, peer, 0, err.code ? err.text : "the key has not 32 bytes", 5000);
        return;
    }
    msg_joined answer = {m->name};
    sessions_queue(self, peer, PW_MSG_JOINED, &answer, NULL, 0);
}

/* A message of another session is late or repeated: dropped. On a connection that has none (the
 * master forgot it) the agent is told, so that it begins anew at once instead of after 25 s of
 * silence. */
static bool session_ok(sessions *self, uint64_t peer, const session *s, uint64_t id)
{
    if (s && s->id == id)
        return true;
    self->fig.dropped++;
    if (!s)
        refuse(self, peer, 0, "no session", 200);
    return false;
}

static void rejected(sessions *self, const session *s, const msg_reject *m)
{
    core_attempt *a = core_attempt_find(self->core, m->attempt);
    if (!a || a->worker != s->worker || m->epoch != a->epoch || a->any)
        return;
    pw_log(PW_LOG_WARN, "job_rejected", "worker=\"%s\" attempt=%" PRIu64 " reason=\"%s\"",
           core_worker_name(self->core, s->worker), m->attempt, m->reason ? m->reason : "");
    core_att_rejected(self->core, a, m->reason ? m->reason : "rejected",
                      (pw_usec)m->retry_ms * 1000);
}

static void beat(sessions *self, session *s, const msg_heartbeat *m)
{
    s->echo = m->sent_us;
    core_worker_beat(self->core, s->worker, m->free_slots, m->gate);
    core_reading r = {m->disk_free, m->load_milli,
                      m->wall_ms <= INT64_MAX ? (pw_msec)m->wall_ms : 0};
    core_worker_reading(self->core, s->worker, &r);
    msg_ping p = {s->id, s->echo, false};
    sessions_queue(self, s->peer, PW_MSG_PING, &p, NULL, 0);
}

void sessions_message(sessions *self, uint64_t peer, const uint8_t key[32], const void *head,
                      size_t head_len, const void *bulk, size_t bulk_len)
{
    pw_msg m;
    pw_err err = {0};
    bool enrol = false;
    session *s = pw_table_get(self->by_peer, peer);
    /* per message: a revoked key is nobody's from now on */
    uint64_t worker = core_key_owner(self->core, key, &enrol);
    if (!worker || (s && s->worker != worker)) {
        self->fig.dropped++;
        if (s)
            sessions_end(self, s, "its key was revoked");
        return;
    }
    if (pw_msg_decode(head, head_len, &m, &err) < 0) {
        self->fig.dropped++;
        pw_log(PW_LOG_WARN, "bad_message", "worker=\"%s\" reason=\"%s\"",
               core_worker_name(self->core, worker), err.text);
        return;
    }
    if (s) {
        s->seen = pw_now(self->host);
        s->asked = 0;
    }
    if (m.type == PW_MSG_JOIN)
        join(self, peer, worker, key, &m.u.join);
    else if (enrol)
        refuse(self, peer, 0, "this key is for joining only", 5000);
    else if (m.type == PW_MSG_HELLO)
        sessions_hello(self, peer, worker, &m.u.hello);
    else if (m.type == PW_MSG_JOURNAL && session_ok(self, peer, s, m.u.journal.session))
        ingest_journal(self, s, &m.u.journal, bulk, bulk_len);
    else if (m.type == PW_MSG_HEARTBEAT && session_ok(self, peer, s, m.u.heartbeat.session))
        beat(self, s, &m.u.heartbeat);
    else if (m.type == PW_MSG_REJECT && session_ok(self, peer, s, m.u.reject.session))
        rejected(self, s, &m.u.reject);
    else if (m.type == PW_MSG_NEED && session_ok(self, peer, s, m.u.need.session))
        needs_ask(self, s, &m.u.need);
    else if (m.type == PW_MSG_BYE && session_ok(self, peer, s, m.u.bye.session))
        sessions_end(self, s, m.u.bye.reason ? m.u.bye.reason : "it said goodbye");
    pw_msg_clear(&m);
}

void sessions_tick(sessions *self)
{
    pw_usec now = pw_now(self->host);
    sessions_credit_tick(self);
    session *s;
    ingest_tick(self, now);
    for (size_t pos = 0; (s = pw_table_next(self->by_peer, &pos));) {
        if (now - s->seen > SESSION_SILENCE_US)
            sessions_end(self, s, "25 s of silence");
        else if (s->asked && now - s->asked > SESSION_PING_US)
            sessions_end(self, s, "silent, and another spool with its key wants in");
        else if (now - s->sent > SESSION_HEARTBEAT_MS * 1000) {
            msg_ping p = {s->id, s->echo, true};
            s->sent = now;
            sessions_queue(self, s->peer, PW_MSG_PING, &p, NULL, 0);
        }
    }
}

void sessions_get_figures(const sessions *self, sessions_figures *ret)
{
    *ret = self->fig;
    ret->sessions = pw_table_count(self->by_peer);
}
