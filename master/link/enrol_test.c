/* Who gets in, over the real encrypted sockets: strangers, one-time keys, replaced and revoked
 * ones. The core's clock is the test's, the network is the system's. */
#include "master/core/fixture.h"

#include "master/link/sessions.h"
#include "shared/base/loop.h"
#include "shared/link/link.h"
#include "tests/tap.h"

enum { WAIT_US = 10 * 1000000 };
static const char conf[] = "projects: [{name: p, repository: /r.git}]\n"
                           "builders: [{name: unit, project: p, steps: [{run: x}]}]\n";

/* ---- the master's side */
typedef struct rig {
    world *w;
    char dir[128];
    pw_chan *answers;
    logs *logs;
    sessions *s;
    pw_loop *loop;
    link_ctx *ctx;
    link_listener *listener;
    uint8_t secret[32], public[32];
    bool hurry; /* something did not come, so nothing else is waited for long */
} rig;

static int rig_send(void *self, uint64_t peer, const void *head, size_t head_len, const void *bulk,
                    size_t bulk_len, pw_err *err)
{
    return link_send(((rig *)self)->listener, peer, head, head_len, bulk, bulk_len, err);
}

static bool rig_load(void *self)
{
    static const uint8_t mark[32] = {5};
    rig *r = self;
    r->s = sessions_new(r->w->core, r->logs, &r->w->host, mark, rig_send, r, NULL);
    return r->s != NULL;
}

static void rig_stop(void *self)
{
    rig *r = self;
    r->s = sessions_free(r->s);
}

static void rig_before(void *self)
{
    sessions_end_turn(((rig *)self)->s);
}

static void rig_effect(void *self, const core_effect *e)
{
    sessions_effect(((rig *)self)->s, e);
}

static void rig_after(void *self)
{
    sessions_flush(((rig *)self)->s);
}

static bool rig_admit(void *self, const uint8_t key[LINK_KEY])
{
    rig *r = self;
    return r->s && sessions_admit(r->s, key);
}

static void rig_message(void *self, const link_in *in)
{
    rig *r = self;
    if (!r->s)
        return;
    sessions_message(r->s, in->peer, in->key, in->head, in->head_len, in->bulk, in->bulk_len);
    (void)world_go(r->w);
    if (r->s)
        sessions_flush(r->s);
}

static void rig_close(rig *r)
{
    if (r->w)
        world_stop(r->w);
    r->listener = link_listener_free(r->listener);
    r->ctx = link_ctx_free(r->ctx);
    r->loop = pw_loop_free(r->loop);
    r->logs = logs_close(r->logs);
    r->answers = pw_chan_free(r->answers);
    r->w = world_free(r->w);
}

static bool rig_open(rig *r)
{
    static const link_listener_ops ops = {rig_admit, rig_message};
    pw_err err = {0};
    *r = (rig){.w = world_new(conf)};
    if (!r->w)
        return false;
    world_stop(r->w);
    (void)snprintf(r->dir, sizeof(r->dir), "%.60s/logs", r->w->dir);
    crypt_keypair(r->public, r->secret);
    if (!(r->answers = pw_chan_new(100, free, &err)) ||
        !(r->logs = logs_open(r->dir, &r->w->host, r->answers, &err)) ||
        logs_loaded(r->logs, &err) < 0 || !(r->loop = pw_loop_new(&pw_host_real, &err)) ||
        !(r->ctx = link_ctx_new(&err)) ||
        !(r->listener = link_listen(r->ctx, r->loop, "tcp://127.0.0.1:*", r->secret, PW_MSG_MAX,
                                    &ops, r, &err))) {
        printf("# %s\n", err.text);
        return false;
    }
    r->w->ops = (struct world_ops){rig_load, rig_stop, rig_before, rig_effect, rig_after};
    r->w->ops_self = r;
    return world_load(r->w);
}

/* ---- the worker's side */
typedef struct peer {
    rig *r;
    link_ctx *ctx;
    link_dialer *d;
    unsigned messages, joined, refused, welcome, pings;
    bool down;
    uint64_t session, nonce;
    char reason[200];
} peer;

static void on_message(void *self, const link_in *in)
{
    peer *p = self;
    pw_msg m;
    p->messages++;
    if (pw_msg_decode(in->head, in->head_len, &m, NULL) < 0)
        return;
    p->joined += m.type == PW_MSG_JOINED;
    p->welcome += m.type == PW_MSG_WELCOME;
    p->pings += m.type == PW_MSG_PING;
    if (m.type == PW_MSG_WELCOME)
        p->session = m.u.welcome.session;
    if (m.type == PW_MSG_REFUSED) {
        p->refused++;
        (void)snprintf(p->reason, sizeof(p->reason), "%s", m.u.refused.reason);
    }
    pw_msg_clear(&m);
}

static void on_down(void *self, const char *reason)
{
    (void)reason;
    ((peer *)self)->down = true;
}

static void hang_up(peer *p)
{
    p->d = link_dialer_free(p->d);
    p->ctx = link_ctx_free(p->ctx);
}

static bool dial(peer *p, rig *r, const uint8_t secret[32])
{
    static const link_dialer_ops ops = {on_message, on_down};
    *p = (peer){.r = r, .ctx = link_ctx_new(NULL)};
    p->d = p->ctx ? link_dial(p->ctx, r->loop, link_listener_address(r->listener), r->public,
                              secret, PW_MSG_MAX, &ops, p, NULL)
                  : NULL;
    if (!p->d)
        hang_up(p);
    return p->d != NULL;
}

static bool wait_more(rig *r, pw_usec *end)
{
    pw_usec now = pw_now(&pw_host_real);
    if (!*end)
        *end = now + (r->hurry ? 0 : WAIT_US);
    if (now < *end && r->s && pw_loop_once(r->loop, 100000, NULL) >= 0)
        return true;
    r->hurry = true;
    return false;
}

/* Lets the network work until *n has reached `want`. */
static bool reaches(rig *r, const unsigned *n, unsigned want)
{
    pw_usec end = 0;
    while (*n < want)
        if (!wait_more(r, &end))
            return false;
    return true;
}

static bool goes_down(peer *p)
{
    pw_usec end = 0;
    while (!p->down)
        if (!wait_more(p->r, &end))
            return false;
    return true;
}

static void say_msg(peer *p, pw_msg_type type, const void *body)
{
    PW_AUTO(pw_buf_clearp) pw_buf head = PW_BUF(PW_MSG_MAX);
    if (pw_msg_encode(type, body, &head, NULL) == 0)
        (void)link_dialer_send(p->d, head.p, head.len, NULL, 0, NULL);
}

static void say_hello(peer *p)
{
    static char spool[] = "07070707070707070707070707070707", version[] = "1", tag[] = "linux";
    char *tags[] = {tag};
    msg_hello h = {.proto_min = PW_PROTO_MIN,
                   .proto_max = PW_PROTO_MAX,
                   .nonce = ++p->nonce,
                   .spool = spool,
                   .boot = spool,
                   .version = version,
                   .slots = 1,
                   .tags = {tags, 1}};
    say_msg(p, PW_MSG_HELLO, &h);
}

static void say_join(peer *p, const char *name, const uint8_t secret[32])
{
    uint8_t key[32];
    crypt_public(secret, key);
    msg_join j = {(char *)(uintptr_t)name, {key, 32}};
    say_msg(p, PW_MSG_JOIN, &j);
}

static void beat(peer *p)
{
    msg_heartbeat b = {.session = p->session, .sent_us = 1, .free_slots = 1};
    say_msg(p, PW_MSG_HEARTBEAT, &b);
}

static uint64_t dropped(const rig *r)
{
    sessions_figures f = {0};
    if (r->s)
        sessions_get_figures(r->s, &f);
    return f.dropped;
}

/* The master has thrown away more messages than `most`. */
static bool drops(rig *r, uint64_t most)
{
    pw_usec end = 0;
    while (dropped(r) <= most)
        if (!wait_more(r, &end))
            return false;
    return true;
}

/* ---- tests */
static void no_answer(rig *r, const uint8_t secret[32], const char *what)
{
    peer p;
    uint64_t refused = link_refused(r->listener), before = dropped(r);
    bool open = dial(&p, r, secret);
    if (open)
        say_hello(&p);
    ok(open && goes_down(&p) && p.messages == 0 && link_refused(r->listener) > refused &&
           dropped(r) == before,
       "%s: no handshake, no message in either direction", what);
    hang_up(&p);
}

/* Returns with the secret of w1's own key. */
static void test_once(rig *r, uint8_t own[32])
{
    uint8_t once[32], pub[32], other[32];
    peer p;
    crypt_keypair(pub, own);
    crypt_keypair(pub, other);
    no_answer(r, other, "a stranger");
    ok(ask(r->w, CMD_WORKER_ADD, (say){.name = "w1"}) == 202, "a worker is added");
    memcpy(once, r->w->secret, 32);
    no_answer(r, own, "its own key, before it joined");
    if (!dial(&p, r, once))
        return;
    say_hello(&p);
    ok(reaches(r, &p.refused, 1) && p.welcome == 0 && strstr(p.reason, "joining only"),
       "the one-time key is for joining only");
    say_join(&p, "w2", own);
    ok(reaches(r, &p.refused, 2) && p.joined == 0 && strstr(p.reason, "\"w2\""),
       "not under another name");
    say_join(&p, "w1", own);
    ok(reaches(r, &p.joined, 1), "under its own");
    say_join(&p, "w1", other);
    ok(reaches(r, &p.refused, 3) && p.joined == 1 && strstr(p.reason, "used already"),
       "not for a second key");
    hang_up(&p);
    if (!dial(&p, r, once))
        return;
    say_join(&p, "w1", other);
    ok(reaches(r, &p.refused, 1) && p.joined == 0, "nor from elsewhere");
    say_join(&p, "w1", own);
    ok(reaches(r, &p.joined, 1), "the same key may say it again");
    hang_up(&p);
    no_answer(r, other, "the second key");
    (void)ask(r->w, CMD_WORKER_ADD, (say){.name = "late"});
    memcpy(once, r->w->secret, 32);
    r->w->wall += 3600000;
    no_answer(r, once, "a one-time key after its hour");
}

static void test_rotation(rig *r, uint8_t own[32])
{
    uint8_t next[32], pub[32];
    peer p, q;
    crypt_keypair(pub, next);
    if (!dial(&p, r, own))
        return;
    say_hello(&p);
    ok(reaches(r, &p.welcome, 1), "a session");
    ok(ask(r->w, CMD_WORKER_ROTATE, (say){.name = "w1"}) == 202, "its key is to be replaced");
    beat(&p);
    ok(reaches(r, &p.pings, 1), "the old one works until then");
    if (!dial(&q, r, r->w->secret)) {
        hang_up(&p);
        return;
    }
    say_join(&q, "w1", own);
    ok(reaches(r, &q.refused, 1) && strstr(q.reason, "to be replaced"), "not by itself");
    say_join(&q, "w1", next);
    ok(reaches(r, &q.joined, 1), "the new key joins");
    ok(reaches(r, &p.refused, 1) && strstr(p.reason, "replaced"),
       "the session of the old one ends at once");
    uint64_t before = dropped(r);
    unsigned messages = p.messages;
    beat(&p);
    say_hello(&p);
    ok(drops(r, before + 1) && p.messages == messages && p.welcome == 1,
       "what it says on its open connection is dropped, and not answered");
    hang_up(&q);
    hang_up(&p);
    no_answer(r, own, "the old key");
    memcpy(own, next, 32);
}

static void test_revoked(rig *r, const uint8_t own[32])
{
    peer p;
    if (!dial(&p, r, own))
        return;
    say_hello(&p);
    ok(reaches(r, &p.welcome, 1), "a session of the new key");
    ok(ask(r->w, CMD_WORKER_REMOVE, (say){.name = "w1", .reason = "stolen"}) == 202 &&
           reaches(r, &p.refused, 1) && strstr(p.reason, "removed"),
       "removed: its session ends at once");
    uint64_t before = dropped(r);
    unsigned messages = p.messages;
    beat(&p);
    ok(drops(r, before) && p.messages == messages, "its next message is dropped");
    hang_up(&p);
    no_answer(r, own, "a removed worker's key");
}

int main(void)
{
    rig r;
    uint8_t own[32];
    bool open = crypt_init(NULL) == 0 && rig_open(&r);
    ok(open, "a master's link");
    if (open) {
        test_once(&r, own);
        test_rotation(&r, own);
        test_revoked(&r, own);
    }
    rig_close(&r);
    return tap_done();
}
