/* session.h - the agent's side of a session as a state machine: dial, hello, welcome or refused,
 * heartbeats, silence, and the pause before the next try. It knows neither sockets nor jobs: it is
 * handed a wire, and says what happened by callbacks. Exactly one connection per session; what was
 * queued on an old one is gone with it. One thread, nothing blocks. */
#ifndef PW_WORKER_AGENT_SESSION_H
#define PW_WORKER_AGENT_SESSION_H
#include <stdbool.h>
#include <stdint.h>

#include "shared/base/host.h"
#include "shared/wire/msg.h"

#define SESSION_RETRY_MIN (200 * INT64_C(1000))
#define SESSION_RETRY_MAX (10 * INT64_C(1000000))
#define SESSION_SILENCE (25 * INT64_C(1000000)) /* also for the answer to hello */
#define SESSION_BEAT_MAX                                                                           \
    (10 * INT64_C(1000000)) /* each side sends at least so often, whatever the master asks for */
#define SESSION_BEAT_MIN (100 * INT64_C(1000))
#define SESSION_REFUSED_MAX (600 * INT64_C(1000000))
#define SESSION_SETTLED                                                                            \
    (10 * INT64_C(1000000)) /* a session that lived so long starts the pauses anew */

/* One connection at a time. open drops what an earlier one had queued; close may be called inside a
 * callback of the wire. */
typedef struct agent_wire {
    int (*open)(void *self, pw_err *err);
    void (*close)(void *self);
    int (*send)(void *self, const void *head, size_t head_n, const void *bulk, size_t bulk_n,
                pw_err *err);
    void *self;
} agent_wire;

typedef struct session_ops {
    /* Fills all but proto and nonce; what it points to is borrowed until `greeted`. */
    int (*hello)(void *self, msg_hello *ret, pw_err *err);
    void (*greeted)(void *self, msg_hello *h); /* hello was sent, or not */
    void (*up)(void *self, const msg_welcome *w);
    void (*over)(void *self); /* after up only */
    void (*beat)(void *self,
                 msg_heartbeat *ret); /* fills all but session and time; gate is borrowed */
    /* A message of this session, of the types that a master sends inside one. */
    void (*message)(void *self, const pw_msg *m, const void *bulk, size_t bulk_n);
} session_ops;

typedef enum session_state {
    SESSION_IDLE,
    SESSION_GREETING,
    SESSION_UP,
    SESSION_STOPPED
} session_state;
typedef struct session session;
session *session_new(const pw_host *host, const agent_wire *wire, const session_ops *ops,
                     void *ops_self, pw_err *err);
session *session_free(session *self);
PW_DEFINE_FREEP(session, session_free)

/* Does what is due: dial, heartbeat, the end after silence. */
void session_tick(session *self);
pw_usec session_due(const session *self); /* when session_tick wants to be called; -1: never */
void session_input(session *self, const void *head, size_t head_n, const void *bulk, size_t bulk_n);
void session_lost(session *self, const char *reason); /* the connection is over */
/* Sends a message of this session; `body` has its session filled in by the caller (session_id). */
int session_send(session *self, pw_msg_type type, const void *body, const void *bulk, size_t bulk_n,
                 pw_err *err);
/* Ends this session and greets anew at once. */
void session_again(session *self, const char *reason);
/* Says goodbye; nothing is dialled any more. */
void session_stop(session *self, const char *reason);

session_state session_where(const session *self);
uint64_t session_id(const session *self); /* 0: none */
/* When the master was heard last, in any session of this process; 0: never. */
pw_usec session_heard(const session *self);
uint64_t session_dropped(const session *self); /* messages of other sessions, or not understood */
const char *session_why(
    const session *self); /* why there is none, for people; "" while there is one */
#endif
