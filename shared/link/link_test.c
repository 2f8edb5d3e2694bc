#include "shared/link/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "shared/base/buf.h"
#include "shared/base/num.h"
#include "tests/tap.h"

enum { MAX_MSG = 64 * 1024, MANY = 10000, DEADLINE_MS = 10000 };

typedef struct world {
    pw_loop *loop;
    link_ctx *here, *there; /* the master's and the workers' */
    link_listener *listener;
    link_dialer *dialer;
    uint8_t master_pub[LINK_KEY], master_sec[LINK_KEY], pub[LINK_KEY], sec[LINK_KEY];
    bool admit;
    /* the last message seen on each side */
    uint64_t peer;
    bool key_right;
    char head[64];
    size_t head_len, bulk_len;
    bool bulk;
    uint32_t bulk_crc;
    unsigned listener_got, dialer_got, downs;
    char reason[400];
    /* the long run */
    uint32_t to_send, to_echo, next_here, next_there;
    bool in_order;
} world;

static void world_clear(world *w)
{
    link_dialer_free(w->dialer);
    link_listener_free(w->listener);
    link_ctx_free(w->there);
    link_ctx_free(w->here);
    pw_loop_free(w->loop);
}

static void keypair(uint8_t pub[LINK_KEY], uint8_t sec[LINK_KEY])
{
    char p[41], s[41];
    (void)zmq_curve_keypair(p, s);
    (void)zmq_z85_decode(pub, p);
    (void)zmq_z85_decode(sec, s);
}

static void keep(world *w, const link_in *in)
{
    w->head_len = in->head_len;
    memset(w->head, 0, sizeof(w->head));
    memcpy(w->head, in->head, in->head_len < sizeof(w->head) ? in->head_len : sizeof(w->head) - 1);
    w->bulk = in->bulk != NULL;
    w->bulk_len = in->bulk_len;
    w->bulk_crc = pw_crc32c(0, in->bulk, in->bulk_len);
}

static bool on_admit(void *self, const uint8_t key[LINK_KEY])
{
    world *w = self;
    w->key_right = memcmp(key, w->pub, LINK_KEY) == 0;
    return w->admit;
}

static void on_listener(void *self, const link_in *in)
{
    world *w = self;
    w->listener_got++;
    w->peer = in->peer;
    w->key_right = in->key && memcmp(in->key, w->pub, LINK_KEY) == 0;
    keep(w, in);
}

static void on_dialer(void *self, const link_in *in)
{
    world *w = self;
    w->dialer_got++;
    w->key_right = in->key == NULL && in->peer == 0;
    keep(w, in);
}

static void on_down(void *self, const char *reason)
{
    world *w = self;
    w->downs++;
    (void)snprintf(w->reason, sizeof(w->reason), "%s", reason);
}

static const link_listener_ops listener_ops = {on_admit, on_listener};
static const link_dialer_ops dialer_ops = {on_dialer, on_down};

static bool world_init(world *w)
{
    pw_err err = {.code = PW_OK};
    w->admit = true;
    keypair(w->master_pub, w->master_sec);
    keypair(w->pub, w->sec);
    w->loop = pw_loop_new(&pw_host_real, &err);
    w->here = link_ctx_new(&err);
    w->there = link_ctx_new(&err);
    if (w->loop && w->here && w->there)
        w->listener = link_listen(w->here, w->loop, "tcp://127.0.0.1:*", w->master_sec, MAX_MSG,
                                  &listener_ops, w, &err);
    ok(w->listener, "a listener %s", err.text);
    return w->listener != NULL;
}

static bool dial_as(world *w, const link_dialer_ops *ops, size_t max_msg)
{
    pw_err err = {.code = PW_OK};
    w->dialer = link_dialer_free(w->dialer);
    w->downs = w->dialer_got = 0;
    w->dialer = link_dial(w->there, w->loop, link_listener_address(w->listener), w->master_pub,
                          w->sec, max_msg, ops, w, &err);
    return w->dialer != NULL;
}

static bool dial(world *w)
{
    return dial_as(w, &dialer_ops, MAX_MSG);
}

/* Sends by the dialer, if there is one. */
static int say(world *w, const void *head, size_t n, const void *bulk, size_t m, pw_err *err)
{
    if (!w->dialer)
        return pw_fail(err, PW_ENOMEM, "no dialer");
    return link_dialer_send(w->dialer, head, n, bulk, m, err);
}

/* Rounds until *count reaches `want`, with a deadline. */
static bool until(world *w, const unsigned *count, unsigned want)
{
    pw_usec end = pw_now(&pw_host_real) + DEADLINE_MS * 1000;
    while (*count < want && pw_now(&pw_host_real) < end)
        if (pw_loop_once(w->loop, 20000, NULL) < 0)
            return false;
    return *count >= want;
}

static void rounds(world *w, int n)
{
    for (int i = 0; i < n; i++)
        (void)pw_loop_once(w->loop, 1000, NULL);
}

/* Connects and makes the listener know the peer. */
static bool hello(world *w)
{
    unsigned before = w->listener_got;
    return dial(w) && say(w, "hello", 5, NULL, 0, NULL) == 0 &&
           until(w, &w->listener_got, before + 1);
}

static void round_trip(world *w)
{
    pw_err err = {.code = PW_OK};
    static char bulk[5000];
    for (size_t i = 0; i < sizeof(bulk); i++)
        bulk[i] = (char)(i * 31 >> 3);
    uint32_t crc = pw_crc32c(0, bulk, sizeof(bulk));
    ok(strncmp(link_listener_address(w->listener), "tcp://127.0.0.1:", 16) == 0 &&
           strlen(link_listener_address(w->listener)) > 17,
       "address %s", link_listener_address(w->listener));
    ok(dial(w), "dialled");
    ok(say(w, "hello", 5, NULL, 0, &err) == 0, "sent before it stands");
    ok(until(w, &w->listener_got, 1), "arrived");
    ok(strcmp(w->head, "hello") == 0 && w->head_len == 5 && !w->bulk, "one frame");
    ok(w->key_right && w->peer != 0, "with the key of the dialer and a peer");
    uint64_t peer = w->peer;
    ok(say(w, "data", 4, bulk, sizeof(bulk), &err) == 0, "two frames sent");
    ok(until(w, &w->listener_got, 2), "arrived");
    ok(strcmp(w->head, "data") == 0 && w->bulk_len == sizeof(bulk) && w->bulk_crc == crc, "both");
    ok(w->peer == peer, "same connection, same peer");

    ok(link_send(w->listener, peer, "answer", 6, NULL, 0, &err) == 0, "answer");
    ok(until(w, &w->dialer_got, 1) && strcmp(w->head, "answer") == 0 && !w->bulk, "arrived");
    ok(w->key_right, "a dialer gets no peer and no key");
    ok(link_send(w->listener, peer, "more", 4, bulk, sizeof(bulk), &err) == 0, "answer with bulk");
    ok(until(w, &w->dialer_got, 2) && w->bulk_len == sizeof(bulk) && w->bulk_crc == crc, "arrived");
    ok(link_send(w->listener, peer, "", 0, "", 0, &err) == 0 && until(w, &w->dialer_got, 3) &&
           w->head_len == 0 && !w->bulk,
       "an empty frame is one");
    ok(w->downs == 0 && link_refused(w->listener) == 0 && link_dropped(w->listener) == 0,
       "no trouble");
    ok(hello(w) && w->peer != peer, "a new connection is a new peer");
}

static void sizes(world *w)
{
    pw_err err = {.code = PW_OK};
    PW_AUTO(pw_freep) char *big = calloc(1, 2 * MAX_MSG);
    if (!big || !hello(w))
        return;
    unsigned got = w->listener_got;
    ok(say(w, big, 1000, big, MAX_MSG - 1000, &err) == 0 && until(w, &w->listener_got, got + 1) &&
           w->head_len == 1000 && w->bulk_len == MAX_MSG - 1000,
       "both frames together at the limit");
    ok(say(w, big, 1000, big, MAX_MSG - 999, &err) == PW_ELIMIT, "one byte over it");
    ok(say(w, big, MAX_MSG + 1, NULL, 0, &err) == PW_ELIMIT, "head over it");
    ok(say(w, big, 1, big, SIZE_MAX, &err) == PW_ELIMIT, "bulk over it");
    ok(link_send(w->listener, w->peer, big, MAX_MSG, NULL, 0, &err) == 0 &&
           until(w, &w->dialer_got, 1) && w->head_len == MAX_MSG,
       "the same from the listener");
    ok(link_send(w->listener, w->peer, big, MAX_MSG + 1, NULL, 0, &err) == PW_ELIMIT &&
           link_send(w->listener, w->peer, big, MAX_MSG, big, 1, &err) == PW_ELIMIT,
       "and over it");

    /* a peer that does not keep to the limit */
    ok(dial_as(w, &dialer_ops, 2 * MAX_MSG), "a dialer with other limits");
    got = w->listener_got;
    uint64_t dropped = link_dropped(w->listener);
    ok(say(w, "a", 1, big, MAX_MSG, &err) == 0 && say(w, "a", 1, big, MAX_MSG - 1, &err) == 0 &&
           until(w, &w->listener_got, got + 1),
       "it may send up to the limit");
    ok(w->bulk_len == MAX_MSG - 1 && link_dropped(w->listener) == dropped + 1,
       "frames that are over it together are dropped");
    ok(say(w, "b", 1, big, MAX_MSG + 1, &err) == 0 && until(w, &w->downs, 1),
       "one byte more ends its connection");
    ok(w->listener_got == got + 1 && strstr(w->reason, "was closed"), "%s", w->reason);
    ok(say(w, "c", 1, NULL, 0, &err) == PW_ENOTFOUND && strstr(err.text, "closed"),
       "nothing can be sent after that");
    rounds(w, 5);
    ok(w->downs == 1, "down() comes once");
    ok(hello(w), "others still get through");
}

static void refused(world *w)
{
    unsigned got = w->listener_got;
    uint64_t before = link_refused(w->listener);
    w->admit = false;
    ok(dial(w) && say(w, "hello", 5, NULL, 0, NULL) == 0, "unknown worker");
    ok(until(w, &w->downs, 1) && strstr(w->reason, "does not know this worker's key"), "%s",
       w->reason);
    ok(w->key_right, "its key was asked about");
    ok(w->listener_got == got, "it got nothing through");
    ok(link_refused(w->listener) == before + 1, "counted");
    w->admit = true;

    uint8_t right = w->master_pub[3];
    w->master_pub[3] ^= 1;
    ok(dial(w) && until(w, &w->downs, 1) && strstr(w->reason, "another key"), "%s", w->reason);
    w->master_pub[3] = right;
    ok(w->listener_got == got && hello(w), "and the right one works");
}

static void gone(world *w)
{
    pw_err err = {.code = PW_OK};
    if (!hello(w))
        return;
    ok(link_send(w->listener, w->peer, "x", 1, NULL, 0, &err) == 0, "there");
    w->dialer = link_dialer_free(w->dialer);
    int r = 0;
    pw_usec end = pw_now(&pw_host_real) + DEADLINE_MS * 1000;
    while (r != PW_ENOTFOUND && pw_now(&pw_host_real) < end) {
        rounds(w, 3);
        r = link_send(w->listener, w->peer, "x", 1, NULL, 0, &err);
    }
    ok(r == PW_ENOTFOUND, "a peer that left is not found");
    ok(link_send(w->listener, 0, "x", 1, NULL, 0, &err) == PW_ENOTFOUND, "no peer 0");
    ok(link_send(w->listener, 1, "x", 1, NULL, 0, &err) == PW_ENOTFOUND, "no peer 1");
    ok(link_send(w->listener, UINT64_C(1) << 33, "x", 1, NULL, 0, &err) == PW_ENOTFOUND,
       "none above 32 bits of counter");
    ok(link_send(w->listener, UINT64_MAX, "x", 1, NULL, 0, &err) == PW_ENOTFOUND,
       "none at the end");
    ok(link_send(w->listener, (w->peer ^ 0x40000000), "xx", 2, "yy", 2, &err) == PW_ENOTFOUND,
       "none that never was");
    ok(hello(w), "the next one gets through");
}

/* ---- 10,000 numbered messages each way */
static void on_count(void *self, const link_in *in)
{
    world *w = self;
    uint32_t n = in->head_len == 4 ? pw_le32(in->head) : UINT32_MAX;
    w->in_order &= n == w->next_here;
    w->next_here++;
    w->peer = in->peer;
}

static void on_echo(void *self, const link_in *in)
{
    world *w = self;
    uint32_t n = in->head_len == 4 ? pw_le32(in->head) : UINT32_MAX;
    w->in_order &= n == w->next_there && (in->bulk_len == (n % 3 ? 0 : 7));
    w->next_there++;
}

static void many(world *w)
{
    static const link_listener_ops count_ops = {on_admit, on_count};
    static const link_dialer_ops echo_ops = {on_echo, on_down};
    pw_err err = {.code = PW_OK};
    w->listener = link_listener_free(w->listener);
    w->listener = link_listen(w->here, w->loop, "tcp://127.0.0.1:0", w->master_sec, MAX_MSG,
                              &count_ops, w, &err);
    ok(w->listener && dial_as(w, &echo_ops, MAX_MSG), "a new listener in the same context %s",
       err.text);
    if (!w->listener || !w->dialer)
        return;
    w->in_order = true;
    w->peer = 0; /* until the first message */
    int full = 0, r = 0;
    uint8_t n[4];
    pw_usec end = pw_now(&pw_host_real) + DEADLINE_MS * 1000;
    while ((w->next_here < MANY || w->next_there < MANY) && pw_now(&pw_host_real) < end) {
        for (r = 0; r == 0 && w->to_send < MANY; w->to_send += r == 0) {
            pw_put_le32(n, w->to_send);
            r = say(w, n, 4, NULL, 0, &err);
        }
        full += r == PW_EAGAIN;
        for (r = 0; r == 0 && w->peer && w->to_echo < MANY; w->to_echo += r == 0) {
            pw_put_le32(n, w->to_echo);
            r = link_send(w->listener, w->peer, n, 4, "1234567", w->to_echo % 3 ? 0 : 7, &err);
        }
        full += r == PW_EAGAIN;
        if ((r && r != PW_EAGAIN) || pw_loop_once(w->loop, 1000, &err) < 0)
            break;
    }
    ok(w->next_here == MANY && w->next_there == MANY, "%u and %u arrived", w->next_here,
       w->next_there);
    ok(w->in_order, "in order");
    ok(full > 0, "a full queue was told");
    ok(w->downs == 0 && link_dropped(w->listener) == 0, "no trouble");
}

/* More than a batch waits, and no further event comes for it. */
static void batches(world *w)
{
    if (!hello(w))
        return;
    unsigned got = w->listener_got;
    for (unsigned i = 0; i < 5 * LINK_BATCH; i++)
        (void)say(w, "m", 1, NULL, 0, NULL);
    unsigned most = 0, before = got;
    pw_usec end = pw_now(&pw_host_real) + DEADLINE_MS * 1000;
    while (w->listener_got < got + 5 * LINK_BATCH && pw_now(&pw_host_real) < end) {
        (void)pw_loop_once(w->loop, 1000, NULL);
        most = w->listener_got - before > most ? w->listener_got - before : most;
        before = w->listener_got;
    }
    ok(w->listener_got == got + 5 * LINK_BATCH, "all of 5 batches arrived");
    ok(most <= LINK_BATCH, "at most %u in a round", most);
}

/* ---- peers that are not ours */
static void *raw_dealer(world *w, void *zctx, const char *id)
{
    int linger = 0;
    char pub[41], sec[41];
    void *s = zmq_socket(zctx, ZMQ_DEALER);
    (void)zmq_setsockopt(s, ZMQ_LINGER, &linger, sizeof(linger));
    if (w) {
        (void)zmq_z85_encode(pub, w->pub, LINK_KEY);
        (void)zmq_z85_encode(sec, w->sec, LINK_KEY);
        (void)zmq_setsockopt(s, ZMQ_CURVE_SERVERKEY, w->master_pub, LINK_KEY);
        (void)zmq_setsockopt(s, ZMQ_CURVE_PUBLICKEY, pub, 41);
        (void)zmq_setsockopt(s, ZMQ_CURVE_SECRETKEY, sec, 41);
    }
    if (id)
        (void)zmq_setsockopt(s, ZMQ_ROUTING_ID, id, strlen(id));
    return s;
}

static void foreign(world *w)
{
    void *zctx = zmq_ctx_new();
    void *s = raw_dealer(w, zctx, NULL), *named = raw_dealer(w, zctx, "abcde");
    void *naked = raw_dealer(NULL, zctx, NULL);
    const char *address = link_listener_address(w->listener);
    uint64_t dropped = link_dropped(w->listener);
    unsigned got = w->listener_got;
    (void)zmq_connect(naked, address);
    (void)zmq_send(naked, "plain", 5, 0);
    (void)zmq_connect(s, address);
    (void)zmq_send(s, "1", 1, ZMQ_SNDMORE);
    (void)zmq_send(s, "2", 1, ZMQ_SNDMORE);
    (void)zmq_send(s, "3", 1, 0);
    for (int i = 0; i < 20; i++)
        (void)zmq_send(s, "x", 1, i < 19 ? ZMQ_SNDMORE : 0);
    (void)zmq_send(s, "1", 1, ZMQ_SNDMORE);
    (void)zmq_send(s, "", 0, 0);
    ok(until(w, &w->listener_got, got + 1) && w->bulk && w->bulk_len == 0, "2 frames pass");
    ok(link_dropped(w->listener) == dropped + 2, "3 and 20 are dropped and counted");
    (void)zmq_connect(named, address);
    (void)zmq_send(named, "hi", 2, 0);
    pw_usec end = pw_now(&pw_host_real) + DEADLINE_MS * 1000;
    while (link_dropped(w->listener) == dropped + 2 && pw_now(&pw_host_real) < end)
        rounds(w, 1);
    ok(link_dropped(w->listener) == dropped + 3, "so is one with a routing id of its own");
    ok(w->listener_got == got + 1, "and nothing came from one without a key");

    pw_err err = {.code = PW_OK};
    ok(link_send(w->listener, w->peer, "ok", 2, "bulk", 4, &err) == 0, "answer to the raw peer");
    char b[16];
    int timeout = DEADLINE_MS;
    (void)zmq_setsockopt(s, ZMQ_RCVTIMEO, &timeout, sizeof(timeout));
    ok(zmq_recv(s, b, sizeof(b), 0) == 2 && memcmp(b, "ok", 2) == 0 &&
           zmq_recv(s, b, sizeof(b), 0) == 4 && memcmp(b, "bulk", 4) == 0,
       "our frames are plain ZeroMQ frames");
    (void)zmq_close(s);
    (void)zmq_close(named);
    (void)zmq_close(naked);
    (void)zmq_ctx_term(zctx);
}

static void endings(world *w)
{
    pw_err err = {.code = PW_OK};
    char address[256];
    if (!hello(w))
        return;
    ok(w->downs == 0, "connected");
    (void)snprintf(address, sizeof(address), "%s", link_listener_address(w->listener));
    w->listener = link_listener_free(w->listener);
    ok(until(w, &w->downs, 1) && strstr(w->reason, "the connection was closed"), "%s", w->reason);
    ok(strncmp(w->reason, address, strlen(address)) == 0, "the reason names the address");

    /* the port may take a moment until it refuses */
    for (int i = 0; i < 100 && !strstr(w->reason, "refused"); i++) {
        w->downs = 0;
        w->dialer = link_dialer_free(w->dialer);
        w->dialer = link_dial(w->there, w->loop, address, w->master_pub, w->sec, MAX_MSG,
                              &dialer_ops, w, &err);
        if (!w->dialer || say(w, "hello", 5, NULL, 0, &err) < 0 || !until(w, &w->downs, 1))
            break;
    }
    ok(w->downs == 1 && strstr(w->reason, "cannot connect"), "%s", w->reason);
}

static void arguments(world *w)
{
    static const char *const bad[] = {
        "",           "127.0.0.1:1",       "tcp://",           "tcp://127.0.0.1", "ipc://x",
        "inproc://x", "tcp://127.0.0.1:x", "TCP://127.0.0.1:1"};
    pw_err err = {.code = PW_OK};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        PW_AUTO(link_dialer_freep)
        link_dialer *d = link_dial(w->there, w->loop, bad[i], w->master_pub, w->sec, MAX_MSG,
                                   &dialer_ops, w, &err);
        ok(!d && err.code == PW_EINVAL, "dial \"%s\": %s", bad[i], err.text);
        PW_AUTO(link_listener_freep)
        link_listener *l =
            link_listen(w->there, w->loop, bad[i], w->sec, MAX_MSG, &listener_ops, w, &err);
        ok(!l && err.code == PW_EINVAL, "listen on \"%s\": %s", bad[i], err.text);
    }
    PW_AUTO(link_listener_freep)
    link_listener *twin =
        link_listen(w->here, w->loop, "tcp://127.0.0.1:*", w->sec, MAX_MSG, &listener_ops, w, &err);
    ok(!twin && err.code == PW_ECONFLICT, "second listener of a context: %s", err.text);
    PW_AUTO(link_listener_freep)
    link_listener *taken = link_listen(w->there, w->loop, link_listener_address(w->listener),
                                       w->sec, MAX_MSG, &listener_ops, w, &err);
    ok(!taken && err.code == PW_ECONFLICT && err.sys == EADDRINUSE, "port in use: %s", err.text);
    PW_AUTO(link_dialer_freep)
    link_dialer *small = link_dial(w->there, w->loop, "tcp://127.0.0.1:9", w->master_pub, w->sec,
                                   1023, &dialer_ops, w, &err);
    ok(!small && err.code == PW_EINVAL, "limit below what a handshake needs: %s", err.text);
    ok(!link_listener_free(NULL) && !link_dialer_free(NULL) && !link_ctx_free(NULL),
       "free nothing");
}

/* The same vector of RFC 7748 (5.2) as in the test of shared/crypt: its keys are CURVE's keys. */
static void keys(void)
{
    uint8_t sec[LINK_KEY] = {9}, pub[LINK_KEY], got[LINK_KEY];
    char s[41], p[41];
    ok(pw_unhex("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079", pub, 32),
       "RFC 7748");
    ok(zmq_z85_encode(s, sec, 32) && zmq_curve_public(p, s) == 0 && zmq_z85_decode(got, p) &&
           memcmp(got, pub, 32) == 0,
       "libzmq derives the same public key");
}

int main(void)
{
    PW_AUTO(world_clear) world w = {.loop = NULL};
    keys();
    if (!world_init(&w))
        return tap_done();
    round_trip(&w);
    sizes(&w);
    refused(&w);
    gone(&w);
    batches(&w);
    foreign(&w);
    arguments(&w);
    endings(&w);
    many(&w);
    ok(pw_loop_slow(w.loop) == 0, "no slow callback");
    return tap_done();
}
