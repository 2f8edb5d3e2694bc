/* dialer.c - one connection to a master, and the monitor socket by which libzmq tells what became
 * of it. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "shared/link/sock.h"

enum {
    QUEUE = 1000,
    CONNECT_MS = 10000,
    UP_SECONDS = 20, /* connect and handshake; libzmq reports nothing at all when a host name cannot
                        be resolved */
    REASON_MAX = 400,
    Z85_LEN = 40,
};

struct link_dialer {
    link_sock dealer, monitor;
    pw_loop *loop;
    link_dialer_ops ops;
    void *ops_self;
    size_t max_msg;
    uint64_t dropped;
    int timer; /* timerfd: the loop's clock may be a made-up one, the network's is not */
    pw_source *timeout;
    bool up;                 /* the handshake went well */
    bool inside;             /* a callback runs */
    char reason[REASON_MAX]; /* why it is over, empty while it is not */
    char address[256];
};

/* The first reason is the cause, later ones follow from it. down() comes when what was received is
 * delivered. */
static void ended(link_dialer *self, const char *reason)
{
    if (self->reason[0])
        return;
    (void)snprintf(self->reason, sizeof(self->reason), "%s: %s", self->address, reason);
    link_sock_later(&self->dealer);
}

static void tell(link_dialer *self)
{
    /* Nobody reads the sockets from here on, so their descriptors could stay readable for ever. */
    link_sock_unwatch(&self->dealer);
    link_sock_unwatch(&self->monitor);
    pw_source_remove(pw_take(self->timeout));
    self->inside = true;
    self->ops.down(self->ops_self, self->reason);
    self->inside = false;
}

static bool dealer_drain(void *arg)
{
    link_dialer *self = arg;
    size_t bytes = 0;
    for (int i = 0; i < LINK_BATCH && bytes < SOCK_BATCH_BYTES; i++) {
        link_parts m;
        if (!link_sock_recv(&self->dealer, &m)) {
            if (self->reason[0])
                tell(self);
            return false;
        }
        size_t size = link_parts_bytes(&m);
        bytes += size;
        if (m.n <= 2 && size <= self->max_msg) {
            link_in in = {.head = zmq_msg_data(&m.part[0]), .head_len = zmq_msg_size(&m.part[0])};
            if (m.n == 2) {
                in.bulk = zmq_msg_data(&m.part[1]);
                in.bulk_len = zmq_msg_size(&m.part[1]);
            }
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

/* ---- what libzmq tells */
static void handshake_refused(link_dialer *self, uint32_t status)
{
    char text[80];
    if (status == 400) {
        ended(self, "the master does not know this worker's key (removed, or never joined)");
        return;
    }
    (void)snprintf(text, sizeof(text),
                   "the master could not check this worker's key (status %" PRIu32 ")", status);
    ended(self, text);
}

static void on_event(link_dialer *self, uint16_t event, uint32_t value)
{
    switch (event) {
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        self->up = true;
        pw_source_remove(pw_take(self->timeout));
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        handshake_refused(self, value);
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        ended(self, "what answers there is no master, or has another key than this worker expects");
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        ended(self, "the handshake failed: the master has another key than this worker expects, is "
                    "stopping or overloaded, or no master answers there");
        break;
    case ZMQ_EVENT_DISCONNECTED:
        ended(self, self->up
                        ? "the connection was closed"
                        : "the connection was closed at once (no master answers there, or it is "
                          "stopping)");
        break;
    case ZMQ_EVENT_CLOSED: /* libzmq keeps the errno to itself */
        ended(self, "cannot connect (refused, or not reachable)");
        break;
    default:
        break;
    }
}

static bool monitor_drain(void *arg)
{
    link_dialer *self = arg;
    for (int i = 0; i < LINK_BATCH; i++) {
        link_parts m;
        if (!link_sock_recv(&self->monitor, &m))
            return false;
        /* u16 event, u32 value, in the machine's byte order */
        if (m.n == 2 && zmq_msg_size(&m.part[0]) == sizeof(uint16_t) + sizeof(uint32_t)) {
            const uint8_t *p = zmq_msg_data(&m.part[0]);
            uint16_t event;
            uint32_t value;
            memcpy(&event, p, sizeof(event));
            memcpy(&value, p + sizeof(event), sizeof(value));
            on_event(self, event, value);
        }
        link_parts_clear(&m);
    }
    return true;
}

static void on_timeout(pw_loop *loop, int fd, uint32_t events, void *arg)
{
    link_dialer *self = arg;
    (void)loop;
    (void)fd;
    (void)events;
    pw_source_remove(pw_take(self->timeout));
    ended(self, "no connection within 20 s (unknown host name, or packets are dropped)");
}

int link_dialer_send(link_dialer *self, const void *head, size_t head_len, const void *bulk,
                     size_t bulk_len, pw_err *err)
{
    if (head_len > self->max_msg || bulk_len > self->max_msg - head_len)
        return pw_fail(err, PW_ELIMIT, "message of %zu + %zu bytes is over %zu", head_len, bulk_len,
                       self->max_msg);
    if (self->reason[0])
        return pw_fail(err, PW_ENOTFOUND, "%s", self->reason);
    int code = link_sock_send(&self->dealer, head, head_len, bulk_len > 0);
    if (code == 0 && bulk_len > 0) /* never refused: a queue takes whole messages */
        code = link_sock_send(&self->dealer, bulk, bulk_len, false);
    link_sock_later(&self->dealer);
    if (code == EAGAIN)
        return pw_fail(err, PW_EAGAIN, "queue to %s is full", self->address);
    return code == 0 ? 0 : link_fail(err, code, "sending to", self->address);
}

/* ---- life */
static int keys_set(link_dialer *self, const uint8_t server_key[LINK_KEY],
                    const uint8_t secret[LINK_KEY], pw_err *err)
{
    char sec[Z85_LEN + 1] = "", pub[Z85_LEN + 1] = "";
    int r = 0;
    if (!zmq_z85_encode(sec, secret, LINK_KEY) || zmq_curve_public(pub, sec) != 0)
        r = pw_fail(err, PW_EINVAL, "no public key for this secret key");
    if (r == 0)
        r = link_sock_set(&self->dealer, ZMQ_CURVE_SERVERKEY, server_key, LINK_KEY, err);
    if (r == 0)
        r = link_sock_set(&self->dealer, ZMQ_CURVE_PUBLICKEY, pub, Z85_LEN + 1, err);
    if (r == 0)
        r = link_sock_set(&self->dealer, ZMQ_CURVE_SECRETKEY, secret, LINK_KEY, err);
    explicit_bzero(sec, sizeof(sec));
    return r;
}

static int monitor_setup(link_dialer *self, link_ctx *ctx, pw_err *err)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "inproc://pawl-monitor-%" PRIu64, ++ctx->dials);
    if (zmq_socket_monitor(self->dealer.zmq, name, ZMQ_EVENT_ALL) != 0)
        return link_fail(err, zmq_errno(), "creating", name);
    int r = link_sock_open(&self->monitor, ctx, ZMQ_PAIR, err);
    if (r == 0 && zmq_connect(self->monitor.zmq, name) != 0)
        r = link_fail(err, zmq_errno(), "connecting", name);
    if (r == 0)
        r = link_sock_watch(&self->monitor, self->loop, "link_monitor", monitor_drain, self, err);
    return r;
}

static int timeout_setup(link_dialer *self, pw_err *err)
{
    struct itimerspec in = {.it_value = {.tv_sec = UP_SECONDS}};
    self->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (self->timer < 0 || timerfd_settime(self->timer, 0, &in, NULL) != 0)
        return pw_fail_sys(err, "creating a timer for %s", self->address);
    self->timeout =
        pw_loop_fd(self->loop, "link_timeout", self->timer, EPOLLIN, on_timeout, self, err);
    return self->timeout ? 0 : PW_ENOMEM;
}

static int dealer_setup(link_dialer *self, link_ctx *ctx, const char *address, pw_err *err)
{
    int r = link_sock_open(&self->dealer, ctx, ZMQ_DEALER, err);
    if (r == 0)
        r = link_sock_limits(&self->dealer, address, self->max_msg, QUEUE, QUEUE, err);
    if (r == 0)
        r = link_sock_set_int(&self->dealer, ZMQ_RECONNECT_IVL, -1, err);
    if (r == 0)
        r = link_sock_set_int(&self->dealer, ZMQ_CONNECT_TIMEOUT, CONNECT_MS, err);
    /* Not ZMQ_IMMEDIATE: the first message is queued before the connection stands; if it never
     * does, it goes with the socket. */
    return r;
}

link_dialer *link_dial(link_ctx *ctx, pw_loop *loop, const char *address,
                       const uint8_t server_key[LINK_KEY], const uint8_t secret[LINK_KEY],
                       size_t max_msg, const link_dialer_ops *ops, void *ops_self, pw_err *err)
{
    PW_AUTO(link_dialer_freep) link_dialer *self = calloc(1, sizeof(*self));
    if (!self) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->timer = -1;
    self->loop = loop;
    self->ops = *ops;
    self->ops_self = ops_self;
    self->max_msg = max_msg;
    (void)snprintf(self->address, sizeof(self->address), "%s", address);
    int r = dealer_setup(self, ctx, address, err);
    if (r == 0)
        r = keys_set(self, server_key, secret, err);
    if (r == 0) /* before the connect: nothing is missed */
        r = monitor_setup(self, ctx, err);
    if (r == 0)
        r = timeout_setup(self, err);
    if (r == 0 && zmq_connect(self->dealer.zmq, address) != 0)
        r = link_fail(err, zmq_errno(), "connecting to", address);
    if (r == 0)
        r = link_sock_watch(&self->dealer, loop, "link_dialer", dealer_drain, self, err);
    return r == 0 ? pw_take(self) : NULL;
}

link_dialer *link_dialer_free(link_dialer *self)
{
    if (!self)
        return NULL;
    assert(!self->inside);
    pw_source_remove(self->timeout);
    /* First of all: libzmq's threads wait for ever in an event that nobody takes, and with them all
     * other sockets. */
    if (self->dealer.zmq)
        (void)zmq_socket_monitor(self->dealer.zmq, NULL, 0);
    link_sock_close(&self->monitor);
    link_sock_close(&self->dealer);
    pw_closep(&self->timer);
    free(self);
    return NULL;
}

uint64_t link_dialer_dropped(const link_dialer *self)
{
    return self->dropped;
}
