/* sock.h - inside shared/link only: a libzmq socket watched by a loop, and whole messages read from
 * it. ZMQ_FD is edge-triggered in effect: any call on the socket may swallow the event that would
 * have made it readable. So a socket is drained until it has nothing, or asks for another round;
 * and after a send one more round is asked for. */
#ifndef PW_SHARED_LINK_SOCK_H
#define PW_SHARED_LINK_SOCK_H
#include <zmq.h>

#include "shared/base/loop.h"
#include "shared/link/link.h"

enum {
    SOCK_BATCH_BYTES = 4 << 20, /* a round ends after so many bytes too: it has 10 ms */
    SOCK_PARTS = 8,             /* frames kept of a message; ZAP requests have 7 */
    SOCK_HANDSHAKE_MS = 10000,
    SOCK_MIN_MSG = 1024, /* less, and the handshake itself would not pass ZMQ_MAXMSGSIZE */
    SOCK_CURVE_OVERHEAD =
        33, /* what a CURVE MESSAGE command adds to a frame: 8 name, 8 nonce, 16 tag, 1 flags */
};

struct link_ctx {
    void *zmq;      /* owned */
    uint64_t dials; /* names the monitor sockets */
};

typedef struct link_sock link_sock;
struct link_sock {
    void *zmq; /* owned; NULL when closed */
    pw_loop *loop;
    pw_source *readable, *again;
    bool (*drain)(void *self); /* reads a batch; true when more may be left */
    void *self;
    bool pending; /* the timer is set. Only the timer drains, so a round has one batch whoever asked
                     for it */
};

typedef struct link_parts {
    zmq_msg_t part[SOCK_PARTS];
    size_t n; /* frames that the message had; only the first SOCK_PARTS are kept */
} link_parts;

/* Makes the socket: linger 0. */
int link_sock_open(link_sock *s, link_ctx *ctx, int type, pw_err *err);
/* From now on drain() is called in the loop whenever something may be there, and once to begin
 * with. */
int link_sock_watch(link_sock *s, pw_loop *loop, const char *name, bool (*drain)(void *self),
                    void *self, pw_err *err);
/* Unwatches without closing. */
void link_sock_unwatch(link_sock *s);
void link_sock_close(link_sock *s);
int link_sock_set(link_sock *s, int option, const void *value, size_t n, pw_err *err);
int link_sock_set_int(link_sock *s, int option, int value, pw_err *err);
/* What both ends of a connection have in common: limits and times. */
int link_sock_limits(link_sock *s, const char *address, size_t max_msg, int queue_in, int queue_out,
                     pw_err *err);
/* Drains as soon as the loop gets to its timers. */
void link_sock_later(link_sock *s);
/* True with a whole message in *ret (clear it); false when there is none now. */
bool link_sock_recv(link_sock *s, link_parts *ret);
void link_parts_clear(link_parts *m);
size_t link_parts_bytes(const link_parts *m);
/* Copies and queues one frame; 0, or an errno of libzmq. Never blocks. */
int link_sock_send(link_sock *s, const void *p, size_t n, bool more);
/* "what: text of libzmq" for an errno of libzmq. */
int link_fail(pw_err *err, int zmq_errno, const char *what, const char *which);
#endif
