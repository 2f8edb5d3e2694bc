#include "shared/link/sock.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

link_ctx *link_ctx_new(pw_err *err)
{
    if (!zmq_has("curve")) {
        (void)pw_fail(err, PW_ENOTFOUND, "libzmq was built without CURVE");
        return NULL;
    }
    link_ctx *self = calloc(1, sizeof(*self));
    if (!self) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->zmq = zmq_ctx_new();
    if (!self->zmq) {
        (void)link_fail(err, zmq_errno(), "creating", "ZeroMQ context");
        return link_ctx_free(self);
    }
    (void)zmq_ctx_set(self->zmq, ZMQ_IO_THREADS, 1);
    return self;
}

link_ctx *link_ctx_free(link_ctx *self)
{
    if (!self)
        return NULL;
    /* Waits for the sockets to be closed, which they are, and with linger 0 for nothing else. */
    while (self->zmq && zmq_ctx_term(self->zmq) != 0 && zmq_errno() == EINTR)
        continue;
    free(self);
    return NULL;
}

int link_fail(pw_err *err, int zmq_errno_, const char *what, const char *which)
{
    pw_code code = PW_ESYS;
    if (zmq_errno_ == EINVAL)
        code = PW_EINVAL;
    else if (zmq_errno_ == ENOMEM)
        code = PW_ENOMEM;
    else if (zmq_errno_ == EADDRINUSE)
        code = PW_ECONFLICT;
    /* libzmq's own numbers begin at ZMQ_HAUSNUMERO: the system has no text for them */
    return pw_fail_at(err, __FILE__, __LINE__, code, zmq_errno_ < ZMQ_HAUSNUMERO ? zmq_errno_ : 0,
                      "%s %s: %s", what, which, zmq_strerror(zmq_errno_));
}

int link_sock_open(link_sock *s, link_ctx *ctx, int type, pw_err *err)
{
    s->zmq = zmq_socket(ctx->zmq, type);
    if (!s->zmq)
        return link_fail(err, zmq_errno(), "creating", "ZeroMQ socket");
    return link_sock_set_int(s, ZMQ_LINGER, 0, err);
}

int link_sock_set(link_sock *s, int option, const void *value, size_t n, pw_err *err)
{
    if (zmq_setsockopt(s->zmq, option, value, n) != 0) {
        int code = zmq_errno();
        return pw_fail(err, PW_EINVAL, "setting option %d of a ZeroMQ socket: %s", option,
                       zmq_strerror(code));
    }
    return 0;
}

int link_sock_set_int(link_sock *s, int option, int value, pw_err *err)
{
    return link_sock_set(s, option, &value, sizeof(value), err);
}

int link_sock_limits(link_sock *s, const char *address, size_t max_msg, int queue_in, int queue_out,
                     pw_err *err)
{
    if (max_msg < SOCK_MIN_MSG || max_msg > INT_MAX / 2)
        return pw_fail(err, PW_EINVAL, "largest message of %zu bytes is not in %d..%d", max_msg,
                       (int)SOCK_MIN_MSG, INT_MAX / 2);
    if (strncmp(address, "tcp://", 6) != 0)
        return pw_fail(err, PW_EINVAL, "address \"%.200s\" does not begin with tcp://", address);
    int64_t max = (int64_t)max_msg + SOCK_CURVE_OVERHEAD;
    int r = link_sock_set(s, ZMQ_MAXMSGSIZE, &max, sizeof(max), err);
    if (r == 0)
        r = link_sock_set_int(s, ZMQ_HANDSHAKE_IVL, SOCK_HANDSHAKE_MS, err);
    if (r == 0)
        r = link_sock_set_int(s, ZMQ_RCVHWM, queue_in, err);
    if (r == 0)
        r = link_sock_set_int(s, ZMQ_SNDHWM, queue_out, err);
    /* Only for literal addresses: with it libzmq prefers IPv6 for names and never tries their IPv4
     * addresses. */
    if (r == 0 && strchr(address, '['))
        r = link_sock_set_int(s, ZMQ_IPV6, 1, err);
    return r;
}

static void on_readable(pw_loop *loop, int fd, uint32_t events, void *self)
{
    link_sock *s = self;
    (void)loop;
    (void)fd;
    (void)events;
    link_sock_later(s); /* timers run behind descriptors: in this round, and only once in it */
}

static void on_again(pw_loop *loop, void *self)
{
    link_sock *s = self;
    (void)loop;
    s->pending = false;
    if (s->drain(s->self)) {
        link_sock_later(s);
        pw_loop_again(s->loop);
    }
}

void link_sock_later(link_sock *s)
{
    if (s->pending || !s->again)
        return;
    s->pending = true;
    pw_source_at(s->again, 0); /* long past: as soon as can be */
}

int link_sock_watch(link_sock *s, pw_loop *loop, const char *name, bool (*drain_cb)(void *self),
                    void *self, pw_err *err)
{
    int fd = -1;
    size_t n = sizeof(fd);
    if (zmq_getsockopt(s->zmq, ZMQ_FD, &fd, &n) != 0)
        return link_fail(err, zmq_errno(), "watching", name);
    s->loop = loop;
    s->drain = drain_cb;
    s->self = self;
    s->again = pw_loop_timer(loop, name, -1, on_again, s, err);
    if (!s->again)
        return PW_ENOMEM;
    s->readable = pw_loop_fd(loop, name, fd, EPOLLIN, on_readable, s, err);
    if (!s->readable)
        return PW_ENOMEM;
    link_sock_later(s); /* the first event may be gone already */
    return 0;
}

void link_sock_unwatch(link_sock *s)
{
    pw_source_remove(pw_take(s->readable));
    pw_source_remove(pw_take(s->again));
    s->pending = false;
}

void link_sock_close(link_sock *s)
{
    link_sock_unwatch(s);
    if (s->zmq)
        (void)zmq_close(pw_take(s->zmq));
}

bool link_sock_recv(link_sock *s, link_parts *ret)
{
    bool more = true;
    ret->n = 0;
    while (more) {
        zmq_msg_t msg;
        (void)zmq_msg_init(&msg);
        int r;
        do {
            r = zmq_msg_recv(&msg, s->zmq, ZMQ_DONTWAIT);
        } while (r < 0 && zmq_errno() == EINTR);
        if (r < 0) { /* EAGAIN; libzmq never stops inside a message */
            (void)zmq_msg_close(&msg);
            link_parts_clear(ret);
            return false;
        }
        more = zmq_msg_more(&msg) != 0;
        if (ret->n < SOCK_PARTS) {
            (void)zmq_msg_init(&ret->part[ret->n]);
            (void)zmq_msg_move(&ret->part[ret->n], &msg);
        }
        (void)zmq_msg_close(&msg);
        ret->n++;
    }
    return true;
}

void link_parts_clear(link_parts *m)
{
    for (size_t i = 0; i < m->n && i < SOCK_PARTS; i++)
        (void)zmq_msg_close(&m->part[i]);
    m->n = 0;
}

size_t link_parts_bytes(const link_parts *m)
{
    size_t sum = 0;
    for (size_t i = 0; i < m->n && i < SOCK_PARTS; i++)
        sum += zmq_msg_size(&m->part[i]);
    return sum;
}

int link_sock_send(link_sock *s, const void *p, size_t n, bool more)
{
    zmq_msg_t msg;
    if (zmq_msg_init_size(&msg, n) != 0)
        return ENOMEM;
    if (n > 0)
        memcpy(zmq_msg_data(&msg), p, n);
    int r;
    do {
        r = zmq_msg_send(&msg, s->zmq, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
    } while (r < 0 && zmq_errno() == EINTR);
    if (r >= 0)
        return 0;
    int code = zmq_errno();
    (void)zmq_msg_close(&msg);
    return code;
}
