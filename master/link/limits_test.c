/* Times of sessions, at the limit and one above (docs/protocol-rules.md 9). */
#include "master/link/fixture.h"

#include "tests/tap.h"

static const char conf[] = "projects: [{name: p, repository: /r.git}]\n"
                           "builders: [{name: unit, project: p, steps: [{name: make, run: x}]}]\n";

static void tick_at(net *n, pw_usec now)
{
    n->w->now = now;
    if (n->s)
        sessions_tick(n->s);
    (void)world_go(n->w);
}

static void silence(void)
{
    PW_AUTO(net_freep) net *n = net_new(conf);
    if (!n)
        return;
    agent a = agent_init(n, "w1", 1, 7);
    if (!agent_hello(&a))
        return;
    pw_usec from = n->w->now;
    net_forget(n);
    tick_at(n, from + SESSION_HEARTBEAT_MS * 1000);
    ok(got_count(n, a.peer, PW_MSG_PING) == 0,
       "10 s behind its last word the master need not speak");
    tick_at(n, from + SESSION_HEARTBEAT_MS * 1000 + 1);
    ok(got_count(n, a.peer, PW_MSG_PING) == 1, "then it does");
    tick_at(n, from + SESSION_SILENCE_US);
    ok(figures(n->w).connected == 1, "25 s of silence");
    tick_at(n, from + SESSION_SILENCE_US + 1);
    ok(figures(n->w).connected == 0, "a microsecond more ends the session");
}

static void ping(void)
{
    PW_AUTO(net_freep) net *n = net_new(conf);
    if (!n)
        return;
    agent a = agent_init(n, "w1", 1, 7);
    if (!agent_hello(&a))
        return;
    agent b = a;
    b.peer = 5000;
    fill((uint8_t *)b.spool, 32, '9');
    (void)agent_hello(&b);
    pw_usec from = n->w->now;
    tick_at(n, from + SESSION_PING_US);
    ok(figures(n->w).connected == 1, "the older of two agents has 10 s for its answer");
    tick_at(n, from + SESSION_PING_US + 1);
    ok(figures(n->w).connected == 0, "no more");
}

int main(void)
{
    if (crypt_init(NULL) < 0)
        return 1;
    silence();
    ping();
    return tap_done();
}
