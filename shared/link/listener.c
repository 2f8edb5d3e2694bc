/* listener.c - the ROUTER that workers connect to, and the REP that answers libzmq's question who
 * may. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/num.h"
#include "shared/link/sock.h"

enum {
    QUEUE_IN = 256, /* messages a peer; credit keeps honest workers far below */
    QUEUE_OUT =
        1000, /* messages a peer; what is for a worker that does not read can be derived again */
    BACKLOG = 4096, /* every worker comes back at once after a restart */
    GONE_MS =
        120000, /* a machine that lost its power is forgotten after that, and its queue freed */
    ID_LEN = 5, /* routing ids that libzmq makes: a zero byte and a counter */
    Z85_LEN = 40,
};
static const char ZAP_ADDRESS[] = "inproc://zeromq.zap.01";
static const uint64_t PEER_BASE = UINT64_C(1) << 32; /* so that no peer is 0 */

struct link_listener {
    link_sock router, zap;
    link_listener_ops ops;
    void *ops_self;
    size_t max_msg;
    uint64_t refused, dropped;
    bool inside; /* a callback runs */
    char address[256];
};

/* ---- who may connect */
enum {
    ZAP_VERSION,
    ZAP_REQUEST,
    ZAP_DOMAIN,
    ZAP_PEER,
    ZAP_IDENTITY,
    ZAP_MECHANISM,
    ZAP_KEY,
    ZAP_FRAMES
};

static bool part_is(link_parts *m, size_t i, const char *text)
{
    size_t n = strlen(text);
    return zmq_msg_size(&m->part[i]) == n && memcmp(zmq_msg_data(&m->part[i]), text, n) == 0;
}

static bool zap_admits(link_listener *self, link_parts *m)
{
    if (m->n != ZAP_FRAMES || !part_is(m, ZAP_MECHANISM, "CURVE") ||
        zmq_msg_size(&m->part[ZAP_KEY]) != LINK_KEY)
        return false;
    self->inside = true;
    bool yes = self->ops.admit(self->ops_self, zmq_msg_data(&m->part[ZAP_KEY]));
    self->inside = false;
    return yes;
}

static void zap_answer(link_listener *self, link_parts *m)
{
    char user[Z85_LEN + 1] = "";
    bool yes = zap_admits(self, m) &&
               zmq_z85_encode(user, zmq_msg_data(&m->part[ZAP_KEY]), LINK_KEY) != NULL;
    const char *status = yes ? "200" : "400", *text = yes ? "OK" : "unknown key";
    const void *request = m->n > ZAP_REQUEST ? zmq_msg_data(&m->part[ZAP_REQUEST]) : NULL;
    size_t request_len = m->n > ZAP_REQUEST ? zmq_msg_size(&m->part[ZAP_REQUEST]) : 0;
    if (!yes)
        self->refused++;
    /* A failed send means that the connection is gone meanwhile; libzmq lets the handshake time
     * out. */
    if (link_sock_send(&self->zap, "1.0", 3, true) == 0 &&
        link_sock_send(&self->zap, request, request_len, true) == 0 &&
        link_sock_send(&self->zap, status, 3, true) == 0 &&
        link_sock_send(&self->zap, text, strlen(text), true) == 0 &&
        link_sock_send(&self->zap, user, yes ? Z85_LEN : 0, true) == 0)
        (void)link_sock_send(&self->zap, NULL, 0, false);
}

static bool zap_drain(void *arg)
{
    link_listener *self = arg;
    for (int i = 0; i < LINK_BATCH; i++) {
        link_parts m;
        if (!link_sock_recv(&self->zap, &m))
            return false;
        zap_answer(self, &m);
        link_parts_clear(&m);
    }
    return true;
}

/* ---- messages */
/* The number of the connection, or 0. Only routing ids that libzmq made count: one that a peer
 * declared itself could be that of a connection which is gone, and then "never used again" would
 * not hold. */
static uint64_t peer_of(link_parts *m)
{
    const uint8_t *id = zmq_msg_data(&m->part[0]);
    const char *own = zmq_msg_gets(&m->part[1], "Identity");
    if (zmq_msg_size(&m->part[0]) != ID_LEN || id[0] != 0 || (own && own[0]))
        return 0;
    return PEER_BASE + pw_le32(id + 1);
}

static void peer_id(uint64_t peer, uint8_t id[ID_LEN])
{
    id[0] = 0;
    pw_put_le32(id + 1, (uint32_t)(peer - PEER_BASE));
}

/* False when the message is not one that anybody should see. */
static bool message_read(link_parts *m, link_in *in, uint8_t key[LINK_KEY])
{
    if (m->n < 2 || m->n > 3)
        return false;
    in->peer = peer_of(m);
    if (in->peer == 0)
        return false;
    /* Set by our answer to the handshake; a property of that name which the peer sends does not
     * replace it. */
    const char *user = zmq_msg_gets(&m->part[1], "User-Id");
    if (!user || strnlen(user, Z85_LEN + 1) != Z85_LEN || !zmq_z85_decode(key, user))
        return false;
    in->key = key;
    in->head = zmq_msg_data(&m->part[1]);
    in->head_len = zmq_msg_size(&m->part[1]);
    if (m->n == 3) {
        in->bulk = zmq_msg_data(&m->part[2]);
        in->bulk_len = zmq_msg_size(&m->part[2]);
    }
    return true;
}

static bool router_drain(void *arg)
{
    link_listener *self = arg;
    size_t bytes = 0;
    for (int i = 0; i < LINK_BATCH && bytes < SOCK_BATCH_BYTES; i++) {
        link_parts m;
        link_in in = {.peer = 0};
        uint8_t key[LINK_KEY];
        if (!link_sock_recv(&self->router, &m))
            return false;
        bytes += link_parts_bytes(&m);
        if (message_read(&m, &in, key) && in.head_len + in.bulk_len <= self->max_msg) {
            self->inside = true;
            self->ops.message(self->ops_self, &in);
            self->inside = false;
        } else {
            self->dropped++;
        }
        link_parts_clear(&m);
    }
    return true;
}

int link_send(link_listener *self, uint64_t peer, const void *head, size_t head_len,
              const void *bulk, size_t bulk_len, pw_err *err)
{
    uint8_t id[ID_LEN];
    if (head_len > self->max_msg || bulk_len > self->max_msg - head_len)
        return pw_fail(err, PW_ELIMIT, "message of %zu + %zu bytes is over %zu", head_len, bulk_len,
                       self->max_msg);
    if (peer < PEER_BASE || peer - PEER_BASE > UINT32_MAX)
        return pw_fail(err, PW_ENOTFOUND, "connection %" PRIu64 " never was", peer);
    peer_id(peer, id);
    /* Only the first frame can be refused: behind it libzmq takes, or quietly drops, the whole
     * message. */
    int code = link_sock_send(&self->router, id, sizeof(id), true);
    if (code == 0)
        code = link_sock_send(&self->router, head, head_len, bulk_len > 0);
    if (code == 0 && bulk_len > 0)
        code = link_sock_send(&self->router, bulk, bulk_len, false);
    link_sock_later(&self->router);
    switch (code) {
    case 0:
        return 0;
    case EHOSTUNREACH:
        return pw_fail(err, PW_ENOTFOUND, "connection %" PRIu64 " is gone", peer);
    case EAGAIN:
        return pw_fail(err, PW_EAGAIN, "queue of connection %" PRIu64 " is full", peer);
    default:
        return link_fail(err, code, "sending to", "a worker");
    }
}

/* ---- life */
static int router_setup(link_listener *self, link_ctx *ctx, const char *address,
                        const uint8_t secret[LINK_KEY], pw_err *err)
{
    static const struct {
        int option, value;
    } options[] = {
        {ZMQ_ROUTER_MANDATORY, 1},    {ZMQ_CURVE_SERVER, 1},         {ZMQ_BACKLOG, BACKLOG},
        {ZMQ_TCP_KEEPALIVE, 1}, /* there is no way to close one peer of a ROUTER: the kernel finds
                                   the dead ones */
        {ZMQ_TCP_KEEPALIVE_IDLE, 60}, {ZMQ_TCP_KEEPALIVE_INTVL, 15}, {ZMQ_TCP_KEEPALIVE_CNT, 4},
        {ZMQ_TCP_MAXRT, GONE_MS},
    };
    int r = link_sock_open(&self->router, ctx, ZMQ_ROUTER, err);
    if (r == 0)
        r = link_sock_limits(&self->router, address, self->max_msg, QUEUE_IN, QUEUE_OUT, err);
    for (size_t i = 0; r == 0 && i < sizeof(options) / sizeof(options[0]); i++)
        r = link_sock_set_int(&self->router, options[i].option, options[i].value, err);
    if (r == 0)
        r = link_sock_set(&self->router, ZMQ_CURVE_SECRETKEY, secret, LINK_KEY, err);
    if (r == 0) /* without a domain libzmq does not ask */
        r = link_sock_set(&self->router, ZMQ_ZAP_DOMAIN, "pawl", 4, err);
    return r;
}

static int zap_setup(link_listener *self, link_ctx *ctx, pw_err *err)
{
    int r = link_sock_open(&self->zap, ctx, ZMQ_REP, err);
    if (r == 0 && zmq_bind(self->zap.zmq, ZAP_ADDRESS) != 0)
        r = link_fail(err, zmq_errno(), "binding", "the one key check of this context");
    return r;
}

static int listener_bind(link_listener *self, const char *address, pw_err *err)
{
    size_t n = sizeof(self->address);
    if (zmq_bind(self->router.zmq, address) != 0)
        return link_fail(err, zmq_errno(), "listening on", address);
    if (zmq_getsockopt(self->router.zmq, ZMQ_LAST_ENDPOINT, self->address, &n) != 0)
        return link_fail(err, zmq_errno(), "asking the address of", address);
    return 0;
}

link_listener *link_listen(link_ctx *ctx, pw_loop *loop, const char *address,
                           const uint8_t secret[LINK_KEY], size_t max_msg,
                           const link_listener_ops *ops, void *ops_self, pw_err *err)
{
    PW_AUTO(link_listener_freep) link_listener *self = calloc(1, sizeof(*self));
    if (!self) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->ops = *ops;
    self->ops_self = ops_self;
    self->max_msg = max_msg;
    int r = router_setup(self, ctx, address, secret, err);
    if (r == 0) /* before the bind: where no check is bound, libzmq lets everybody in */
        r = zap_setup(self, ctx, err);
    if (r == 0)
        r = listener_bind(self, address, err);
    if (r == 0)
        r = link_sock_watch(&self->zap, loop, "link_zap", zap_drain, self, err);
    if (r == 0)
        r = link_sock_watch(&self->router, loop, "link_listener", router_drain, self, err);
    return r == 0 ? pw_take(self) : NULL;
}

link_listener *link_listener_free(link_listener *self)
{
    if (!self)
        return NULL;
    assert(!self->inside);
    link_sock_close(&self->router); /* before the check goes */
    if (self->zap.zmq) /* closing happens later, on libzmq's thread; the next listener wants the
                          name now */
        (void)zmq_unbind(self->zap.zmq, ZAP_ADDRESS);
    link_sock_close(&self->zap);
    free(self);
    return NULL;
}

const char *link_listener_address(const link_listener *self)
{
    return self->address;
}

uint64_t link_refused(const link_listener *self)
{
    return self->refused;
}

uint64_t link_dropped(const link_listener *self)
{
    return self->dropped;
}
