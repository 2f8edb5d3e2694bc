/* link.h - the encrypted sockets between master and workers, over libzmq (the only module that
 * includes it). CURVE is always on. A listener (ROUTER) serves many peers; a dialer (DEALER) is one
 * connection and is never reconnected: after a failure it is closed with what it had queued, and a
 * new one is made (rules 1.3: one socket per session). All calls from the thread that owns the
 * loop. Nothing here blocks. */
#ifndef PW_SHARED_LINK_LINK_H
#define PW_SHARED_LINK_LINK_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/cleanup.h"
#include "shared/base/err.h"
#include "shared/base/loop.h"

enum { LINK_KEY = 32, LINK_PEER = 8, LINK_BATCH = 64 };

typedef struct link_ctx link_ctx; /* one ZeroMQ context with one I/O thread */
link_ctx *link_ctx_new(pw_err *err);
link_ctx *link_ctx_free(link_ctx *self); /* after all sockets of it; does not wait for peers */
PW_DEFINE_FREEP(link_ctx, link_ctx_free)

/* A received message. The frames are borrowed and valid during the callback only. */
typedef struct link_in {
    /* listener: names the connection; never used again within a process's life */
    uint64_t peer;
    /* listener: the peer's public key, proven by CURVE; LINK_KEY bytes */
    const uint8_t *key;
    const void *head, *bulk; /* frame 1; frame 2 or NULL */
    size_t head_len, bulk_len;
} link_in;

/* ---- listener */
typedef struct link_listener link_listener;
typedef struct link_listener_ops {
    /* Is this key admitted now? Asked at the handshake; the receiver checks again for each message.
     */
    bool (*admit)(void *self, const uint8_t key[LINK_KEY]);
    void (*message)(void *self, const link_in *in);
} link_listener_ops;
/* address: "tcp://127.0.0.1:*" or with a port; port 0 or * takes a free one. One listener per
 * context (it answers ZAP on inproc://zeromq.zap.01 of that context). A frame over max_msg bytes
 * ends the connection (ZMQ_MAXMSGSIZE); a message whose frames together have more is dropped, and
 * is not sent. */
link_listener *link_listen(link_ctx *ctx, pw_loop *loop, const char *address,
                           const uint8_t secret[LINK_KEY], size_t max_msg,
                           const link_listener_ops *ops, void *ops_self, pw_err *err);
link_listener *link_listener_free(link_listener *self);
PW_DEFINE_FREEP(link_listener, link_listener_free)
/* The bound address, e.g. tcp://127.0.0.1:40124. Borrowed. */
const char *link_listener_address(const link_listener *self);
/* Sends head (and bulk when bulk_len > 0). PW_ENOTFOUND: the connection is gone; PW_EAGAIN: its
 * queue is full. Copies. */
int link_send(link_listener *self, uint64_t peer, const void *head, size_t head_len,
              const void *bulk, size_t bulk_len, pw_err *err);
uint64_t link_refused(const link_listener *self); /* handshakes refused so far */
/* Messages dropped so far: not 1 or 2 frames, no proven key, or a routing id that the peer chose
 * itself. */
uint64_t link_dropped(const link_listener *self);

/* ---- dialer */
typedef struct link_dialer link_dialer;
typedef struct link_dialer_ops {
    void (*message)(void *self, const link_in *in);
    /* The connection is over (refused key, closed, network): once, with the reason; free the dialer
     * afterwards (not inside). */
    void (*down)(void *self, const char *reason);
} link_dialer_ops;
link_dialer *link_dial(link_ctx *ctx, pw_loop *loop, const char *address,
                       const uint8_t server_key[LINK_KEY], const uint8_t secret[LINK_KEY],
                       size_t max_msg, const link_dialer_ops *ops, void *ops_self, pw_err *err);
link_dialer *link_dialer_free(link_dialer *self); /* linger 0: what is queued is dropped */
PW_DEFINE_FREEP(link_dialer, link_dialer_free)
/* PW_EAGAIN while the queue is full (ask again later). Copies. */
int link_dialer_send(link_dialer *self, const void *head, size_t head_len, const void *bulk,
                     size_t bulk_len, pw_err *err);
uint64_t link_dialer_dropped(
    const link_dialer *self); /* messages that had not 1 or 2 frames, or too many bytes */
#endif
