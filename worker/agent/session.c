#include "worker/agent/session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"

enum { WHY_MAX = 400 };

struct session {
    const pw_host *host;
    agent_wire wire;
    session_ops ops;
    void *ops_self;
    session_state state;
    bool open; /* the wire */
    uint64_t nonce, id, dropped;
    pw_usec sign_at; /* newest message of a session that is up */
    pw_usec dial_at, heard_at, beat_at, up_at, pause, beat_every;
    pw_buf head; /* kept between messages */
    char why[WHY_MAX];
};

session *session_new(const pw_host *host, const agent_wire *wire, const session_ops *ops,
                     void *ops_self, pw_err *err)
{
    session *self = calloc(1, sizeof(*self));
    if (!self) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->host = host;
    self->wire = *wire;
    self->ops = *ops;
    self->ops_self = ops_self;
    self->dial_at = pw_now(host);
    self->pause = SESSION_RETRY_MIN;
    pw_buf_init(&self->head, PW_MSG_MAX);
    (void)snprintf(self->why, sizeof(self->why), "not connected yet");
    return self;
}

session *session_free(session *self)
{
    if (!self)
        return NULL;
    if (self->open)
        self->wire.close(self->wire.self);
    pw_buf_clear(&self->head);
    free(self);
    return NULL;
}

session_state session_where(const session *self)
{
    return self->state;
}

uint64_t session_id(const session *self)
{
    return self->state == SESSION_UP ? self->id : 0;
}

pw_usec session_heard(const session *self)
{
    return self->sign_at;
}

uint64_t session_dropped(const session *self)
{
    return self->dropped;
}

const char *session_why(const session *self)
{
    return self->state == SESSION_UP ? "" : self->why;
}

/* ---- ends */

/* Closes what there is and sets when to dial next. */
static void finish(session *self, const char *reason, pw_usec wait)
{
    bool was_up = self->state == SESSION_UP;
    pw_usec now = pw_now(self->host);
    if (self->state != SESSION_STOPPED)
        self->state = SESSION_IDLE;
    if (self->open) {
        self->open = false;
        self->wire.close(self->wire.self);
    }
    if (was_up && now - self->up_at >= SESSION_SETTLED)
        self->pause = SESSION_RETRY_MIN;
    if (wait <
        0) { /* between half the pause and all of it, so that many workers do not come at once */
        wait = self->pause / 2 +
               (pw_usec)(pw_random_u64(self->host) % (uint64_t)(self->pause / 2 + 1));
        self->pause = self->pause * 2 < SESSION_RETRY_MAX ? self->pause * 2 : SESSION_RETRY_MAX;
    }
    self->dial_at = now + wait;
    /* the same trouble each few seconds is one line, not many */
    bool news = was_up || strncmp(self->why, reason, sizeof(self->why) - 1) != 0;
    pw_log(news ? PW_LOG_INFO : PW_LOG_DEBUG, was_up ? "session_over" : "no_session",
           "reason=\"%s\" retry_ms=%" PRId64, reason, wait / 1000);
    (void)snprintf(self->why, sizeof(self->why), "%s", reason);
    if (was_up)
        self->ops.over(self->ops_self);
}

void session_lost(session *self, const char *reason)
{
    if (self->state == SESSION_GREETING || self->state == SESSION_UP)
        finish(self, reason, -1);
}

void session_again(session *self, const char *reason)
{
    if (self->state != SESSION_STOPPED)
        finish(self, reason, 0);
}

void session_stop(session *self, const char *reason)
{
    char text[WHY_MAX];
    (void)snprintf(text, sizeof(text), "%s", reason);
    if (self->state == SESSION_UP) {
        msg_bye bye = {.session = self->id, .reason = text};
        (void)session_send(self, PW_MSG_BYE, &bye, NULL, 0, NULL);
        self->ops.over(self->ops_self);
    }
    self->state = SESSION_STOPPED; /* the wire stays open until we are freed: the last words are
                                      still on their way */
}

/* ---- sending */

static int put(session *self, pw_msg_type type, const void *body, const void *bulk, size_t bulk_n,
               pw_err *err)
{
    pw_buf_reset(&self->head);
    int rc = pw_msg_encode(type, body, &self->head, err);
    if (rc == 0)
        rc = self->wire.send(self->wire.self, self->head.p, self->head.len, bulk, bulk_n, err);
    if (self->head.cap > 65536) /* a long hello */
        pw_buf_clear(&self->head);
    self->head.failed = false;
    return rc;
}

int session_send(session *self, pw_msg_type type, const void *body, const void *bulk, size_t bulk_n,
                 pw_err *err)
{
    if (self->state != SESSION_UP)
        return pw_fail(err, PW_ENOTFOUND, "there is no session");
    return put(self, type, body, bulk, bulk_n, err);
}

static void beat(session *self)
{
    pw_usec now = pw_now(self->host);
    msg_heartbeat h = {0};
    pw_err err = {0};
    self->ops.beat(self->ops_self, &h);
    h.session = self->id;
    h.sent_us = (uint64_t)now;
    self->beat_at = now + self->beat_every;
    int rc = session_send(self, PW_MSG_HEARTBEAT, &h, NULL, 0, &err);
    if (rc < 0 && rc != PW_EAGAIN) /* a full queue: what is in it is a sign of life too */
        finish(self, err.text, -1);
}

static void dial(session *self)
{
    pw_err err = {0};
    msg_hello h = {0};
    int rc = self->wire.open(self->wire.self, &err);
    self->open = rc == 0;
    self->state = SESSION_GREETING;
    self->heard_at = pw_now(self->host);
    if (rc == 0)
        rc = self->ops.hello(self->ops_self, &h, &err);
    if (rc == 0) {
        do
            self->nonce = pw_random_u64(self->host);
        while (self->nonce == 0); /* an absent nonce reads as 0 */
        h.nonce = self->nonce;
        h.proto_min = PW_PROTO_MIN;
        h.proto_max = PW_PROTO_MAX;
        rc = put(self, PW_MSG_HELLO, &h, NULL, 0, &err);
        self->ops.greeted(self->ops_self, &h);
    }
    if (rc < 0)
        finish(self, err.text, -1);
}

void session_tick(session *self)
{
    pw_usec now = pw_now(self->host);
    if (self->state == SESSION_IDLE && now >= self->dial_at)
        dial(self);
    else if (self->state == SESSION_GREETING && now - self->heard_at >= SESSION_SILENCE)
        finish(self, "the master did not answer hello within 25 s", -1);
    else if (self->state == SESSION_UP && now - self->heard_at >= SESSION_SILENCE)
        finish(self, "the master was silent for 25 s", -1);
    else if (self->state == SESSION_UP && now >= self->beat_at)
        beat(self);
}

pw_usec session_due(const session *self)
{
    switch (self->state) {
    case SESSION_IDLE:
        return self->dial_at;
    case SESSION_GREETING:
        return self->heard_at + SESSION_SILENCE;
    case SESSION_UP: {
        pw_usec silence = self->heard_at + SESSION_SILENCE;
        return self->beat_at < silence ? self->beat_at : silence;
    }
    case SESSION_STOPPED:
        break;
    }
    return -1;
}

/* ---- receiving */

static void welcome(session *self, const msg_welcome *w)
{
    char why[128];
    if (self->state != SESSION_GREETING || w->nonce != self->nonce) {
        self->dropped++;
        return;
    }
    if (w->proto < PW_PROTO_MIN || w->proto > PW_PROTO_MAX || w->session == 0) {
        (void)snprintf(why, sizeof(why),
                       "the master chose protocol %" PRIu64 ", this worker speaks %d to %d",
                       w->proto, PW_PROTO_MIN, PW_PROTO_MAX);
        finish(self, why, -1);
        return;
    }
    pw_usec now = pw_now(self->host);
    uint64_t ms = w->heartbeat_ms;
    pw_usec every = ms < (uint64_t)SESSION_BEAT_MAX / 1000 ? (pw_usec)ms * 1000 : SESSION_BEAT_MAX;
    self->beat_every = every < SESSION_BEAT_MIN ? SESSION_BEAT_MIN : every;
    self->state = SESSION_UP;
    self->id = w->session;
    self->heard_at = self->up_at = self->sign_at = now;
    self->beat_at = now; /* the first one at once: it carries the free slots */
    self->why[0] = '\0';
    pw_log(PW_LOG_INFO, "session_up", "session=%016" PRIx64 " epoch=%016" PRIx64, w->session,
           w->epoch);
    self->ops.up(self->ops_self, w);
}

static void refused(session *self, const msg_refused *r)
{
    char why[WHY_MAX];
    /* 0: the master does not know this connection (it was started anew); one connection is one
     * session, so it means us */
    if (r->nonce != self->nonce && r->nonce != 0) {
        self->dropped++;
        return;
    }
    (void)snprintf(why, sizeof(why), "the master refused: %s", r->reason);
    pw_usec wait = r->retry_ms < (uint64_t)SESSION_REFUSED_MAX / 1000 ? (pw_usec)r->retry_ms * 1000
                                                                      : SESSION_REFUSED_MAX;
    finish(self, why, r->retry_ms ? (wait < SESSION_RETRY_MIN ? SESSION_RETRY_MIN : wait) : -1);
}

/* The session that a message of the master claims; 0 for types that stand outside. */
static uint64_t claims(const pw_msg *m)
{
    switch (m->type) {
    case PW_MSG_JOB:
        return m->u.job.session;
    case PW_MSG_ACK:
        return m->u.ack.session;
    case PW_MSG_NOTE:
        return m->u.note.session;
    case PW_MSG_CANCEL:
        return m->u.cancel.session;
    case PW_MSG_FORGET:
        return m->u.forget.session;
    case PW_MSG_DRAIN:
        return m->u.drain.session;
    case PW_MSG_PING:
        return m->u.ping.session;
    case PW_MSG_BLOB:
        return m->u.blob.session;
    default:
        return 0;
    }
}

void session_input(session *self, const void *head, size_t head_n, const void *bulk, size_t bulk_n)
{
    pw_err err = {0};
    pw_msg m = {0};
    if (self->state != SESSION_GREETING && self->state != SESSION_UP) {
        self->dropped++;
        return;
    }
    if (pw_msg_decode(head, head_n, &m, &err) < 0) {
        /* of a newer master, perhaps; memory that ran out is the same: whatever it said is said
         * again at the next resync */
        self->dropped++;
        pw_log_err(PW_LOG_WARN, "message_dropped", &err);
        return;
    }
    if (m.type == PW_MSG_WELCOME) {
        welcome(self, &m.u.welcome);
    } else if (m.type == PW_MSG_REFUSED) {
        refused(self, &m.u.refused);
    } else if (self->state != SESSION_UP || claims(&m) != self->id) {
        self->dropped++;
    } else {
        self->heard_at = self->sign_at = pw_now(self->host);
        if (m.type == PW_MSG_PING && m.u.ping.ask)
            self->beat_at = self->heard_at;
        self->ops.message(self->ops_self, &m, bulk, bulk_n);
    }
    pw_msg_clear(&m);
}
