/* Sessions: who may speak, hello and resync, silence, marks, rejections. Journals: ingest_test.c.
 */
#include "master/link/fixture.h"

#include "tests/tap.h"

static const char conf[] = "projects: [{name: p, repository: /r.git}]\n"
                           "builders: [{name: unit, project: p, retries: 1, steps: [{name: make, "
                           "run: x}, {name: test, run: y}]}]\n";

/* A world with one worker that has a session and, when asked for, one job: attempt 1. */
static net *begin(agent *a, bool job)
{
    net *n = net_new(conf);
    *a = (agent){0};
    if (!n)
        return NULL;
    *a = agent_init(n, "w1", 1, 7);
    look(n->w, 0, "master", 1);
    if (!agent_hello(a))
        return net_free(n);
    if (job) {
        (void)force(n->w, "unit");
        const sent *o = got(n, a->peer, PW_MSG_JOB);
        if (!o->peer)
            return net_free(n);
        (void)agent_job(a, o->m.u.job.epoch, o->m.u.job.attempt);
        agent_ship(a, a->job[0], 0, 1);
    }
    return n;
}

static void hello(void)
{
    PW_AUTO(net_freep) net *n = net_new(conf);
    uint8_t digest[32];
    if (!n)
        return;
    look(n->w, 0, "master", 1);
    agent a = agent_init(n, "w1", 1, 7);
    uint8_t stranger[32] = {9};
    ok(n->s && sessions_admit(n->s, a.key) && !sessions_admit(n->s, stranger),
       "its key is admitted, a stranger's is not");
    (void)force(n->w, "unit");
    ok(agent_hello(&a), "welcome");
    const msg_welcome *w = &got(n, a.peer, PW_MSG_WELCOME)->m.u.welcome;
    if (!a.session)
        return;
    ok(w->nonce == a.nonce && w->epoch == store_epoch(n->w->st) && w->mark.n == 32 &&
           w->proto == PW_PROTO_MAX && w->heartbeat_ms == SESSION_HEARTBEAT_MS &&
           w->window == SESSION_WORKER_WINDOW && w->jobs.n == 0,
       "says all that the agent needs");
    const sent *o = got(n, a.peer, PW_MSG_JOB);
    ok(o->peer && o->m.u.job.session == a.session && o->m.u.job.attempt == 1 &&
           o->m.u.job.epoch == w->epoch && o->m.u.job.must.n > 0 && o->bulk_len > 0,
       "the waiting build is offered right behind it");
    if (o->bulk)
        crypt_hash(o->bulk, o->bulk_len, digest);
    ok(o->bulk && o->m.u.job.digest.n == 32 && memcmp(digest, o->m.u.job.digest.p, 32) == 0,
       "with the digest of its bytes");
    sessions_figures f;
    sessions_get_figures(n->s, &f);
    ok(f.sessions == 1 && f.alarms == 0, "one session");
    agent_beat(&a, 3);
    ok(got(n, a.peer, PW_MSG_PING)->m.u.ping.echo_us == 77, "a heartbeat is echoed");
    msg_bye bye = {a.session, NULL};
    agent_say(&a, PW_MSG_BYE, &bye, NULL, 0);
    sessions_get_figures(n->s, &f);
    ok(f.sessions == 0 && figures(n->w).connected == 0, "goodbye");
    net_forget(n);
    agent_beat(&a, 3);
    ok(got(n, a.peer, PW_MSG_REFUSED)->peer, "who has no session is told so");
}

static void bad_hellos(void)
{
    agent a;
    PW_AUTO(net_freep) net *n = begin(&a, false);
    static char version[] = "1", bad[] = "zz", low[] = "0123456789abcdef0123456789abcdef";
    if (!n || !n->s)
        return;
    a.peer = 900;
    msg_hello h = {.proto_min = PW_PROTO_MAX + 1,
                   .proto_max = PW_PROTO_MAX + 3,
                   .nonce = 5,
                   .spool = a.spool,
                   .boot = a.boot,
                   .version = version,
                   .slots = 1};
    agent_say(&a, PW_MSG_HELLO, &h, NULL, 0);
    ok(got(n, 900, PW_MSG_REFUSED)->peer &&
           strstr(got(n, 900, PW_MSG_REFUSED)->m.u.refused.reason, "upgrade the master") &&
           got(n, 900, PW_MSG_REFUSED)->m.u.refused.nonce == 5,
       "an agent that is too new is told which side to upgrade");
    h.proto_min = h.proto_max = 0;
    agent_say(&a, PW_MSG_HELLO, &h, NULL, 0);
    ok(strstr(got(n, 900, PW_MSG_REFUSED)->m.u.refused.reason, "upgrade the worker"),
       "and one that is too old");
    h.proto_min = h.proto_max = PW_PROTO_MIN;
    h.spool = bad;
    agent_say(&a, PW_MSG_HELLO, &h, NULL, 0);
    ok(strstr(got(n, 900, PW_MSG_REFUSED)->m.u.refused.reason, "malformed"), "a bad spool id");
    h.spool = a.spool;
    h.boot = bad;
    net_forget(n);
    agent_say(&a, PW_MSG_HELLO, &h, NULL, 0);
    ok(got(n, 900, PW_MSG_REFUSED)->peer && !got(n, 900, PW_MSG_WELCOME)->peer, "a bad boot id");
    h.boot = low;
    h.slots = PW_SLOTS_MAX + 1;
    agent_say(&a, PW_MSG_HELLO, &h, NULL, 0);
    ok(!got(n, 900, PW_MSG_WELCOME)->peer &&
           strstr(got(n, 900, PW_MSG_REFUSED)->m.u.refused.reason, "256 slots"),
       "257 slots");
    h.slots = PW_SLOTS_MAX;
    agent_say(&a, PW_MSG_HELLO, &h, NULL, 0);
    ok(got(n, 900, PW_MSG_WELCOME)->peer, "a boot id without dashes will do, and 256 slots");
    sessions_figures f;
    uint64_t dropped = 0;
    sessions_get_figures(n->s, &f);
    dropped = f.dropped;
    sessions_message(n->s, 900, a.key, "\xc1garbage", 8, NULL, 0);
    a.key[0] ^= 1;
    agent_say(&a, PW_MSG_HELLO, &h, NULL, 0);
    sessions_get_figures(n->s, &f);
    ok(f.dropped == dropped + 2, "garbage and strangers are counted");
}

static void verdicts(void)
{
    agent a;
    PW_AUTO(net_freep) net *n = begin(&a, true);
    if (!n)
        return;
    journal *j = a.job[0];
    put_start(j);
    a.grown[0] = 2;
    agent_ship(&a, j, 1, 2);
    ok(agent_hello(&a) && agent_verdict(&a, 1)->verdict == PW_RESUME &&
           agent_verdict(&a, 1)->offset == j->n && agent_verdict(&a, 1)->chain == j->chain[2] &&
           !agent_verdict(&a, 1)->cancel && agent_verdict(&a, 1)->window > 0,
       "known and open: resume where the master stands");
    j->epoch++;
    ok(agent_hello(&a) && agent_verdict(&a, 1)->verdict == PW_HOLD, "of another epoch: hold");
    j->epoch--;
    ok(!att(n->w, 1) && build(n->w, 2).tries == 2,
       "and what was not listed is lost, and tried again");
    ok(agent_hello(&a) && agent_verdict(&a, 1)->verdict == PW_FORGET,
       "known and done with: forget");
    j->attempt = 55;
    ok(agent_hello(&a) && agent_verdict(&a, 55)->verdict == PW_HOLD, "unknown: hold");
    agent_clear(&a);
}

static void verdict_cancel(void)
{
    agent a;
    PW_AUTO(net_freep) net *n = begin(&a, true);
    if (!n)
        return;
    journal *j = a.job[0];
    put_start(j);
    put_end(j, PW_CANCELLED);
    a.grown[0] = 2;
    (void)ask(n->w, CMD_CANCEL_BUILD, (say){.id = 2, .reason = "wrong"});
    ok(got(n, a.peer, PW_MSG_CANCEL)->m.u.cancel.attempt == 1 &&
           strcmp(got(n, a.peer, PW_MSG_CANCEL)->m.u.cancel.reason, "wrong") == 0,
       "the worker is told to cancel");
    for (int i = 0; i < 3; i++) {
        if (i == 1)
            world_restart(n->w, NULL);
        ok(agent_hello(&a) && agent_verdict(&a, 1)->verdict == PW_RESUME &&
               agent_verdict(&a, 1)->cancel,
           "and again at each resync");
    }
    agent_ship(&a, j, 1, 3);
    ok(got(n, a.peer, PW_MSG_FORGET)->m.u.forget.attempt == 1 && done(n->w, 2, PW_CANCELLED),
       "until its journal is at its end");
    ok(agent_hello(&a) && agent_verdict(&a, 1)->verdict == PW_FORGET, "then: forget");
    agent_clear(&a);
}

static void verdict_lost(void)
{
    agent a;
    PW_AUTO(net_freep) net *n = begin(&a, true);
    if (!n)
        return;
    journal *j = a.job[0];
    put_start(j);
    put_text(j, 0, "hello\n");
    a.grown[0] = 3;
    agent_ship(&a, j, 1, 3);
    net_settle(n);
    a.grown[0] = 1; /* the machine lost its tail */
    ok(agent_hello(&a) && agent_verdict(&a, 1)->verdict == PW_HOLD && !att(n->w, 1) &&
           build(n->w, 2).tries == 2,
       "shorter than what was applied: closed as lost, held");
    a.grown[0] = 3;
    ok(agent_hello(&a) && agent_verdict(&a, 1)->verdict == PW_HOLD, "found again: held");
    agent_clear(&a);
}

static void reoffer(void)
{
    agent a;
    PW_AUTO(net_freep) net *n = begin(&a, false);
    if (!n)
        return;
    (void)force(n->w, "unit");
    const sent *o = got(n, a.peer, PW_MSG_JOB);
    size_t len = o->bulk_len;
    uint64_t before = a.peer;
    ok(o->peer && len > 0, "offered");
    net_pass(n, 17);
    ok(got(n, before, PW_MSG_REFUSED)->peer &&
           strstr(got(n, before, PW_MSG_REFUSED)->m.u.refused.reason, "attempt 1"),
       "15 s without a record end the session");
    ok(agent_hello(&a) && got(n, a.peer, PW_MSG_JOB)->m.u.job.attempt == 1 &&
           got(n, a.peer, PW_MSG_JOB)->bulk_len == len,
       "resync repeats the offer, same id");
    n->dead = a.peer + 1; /* the answer does not reach it */
    ok(!agent_hello(&a), "a connection that is gone");
    n->dead = 0;
    ok(agent_hello(&a) && !got(n, a.peer, PW_MSG_JOB)->peer &&
           build(n->w, 2).state == BUILD_QUEUED && build(n->w, 2).tries == 1,
       "three offers were made: no fourth");
}

/* The machine was started anew: what it had not begun, or lost without a record of it coming here,
 * is offered again under its number; what we have records of is lost. */
static void rebooted(void)
{
    agent a;
    PW_AUTO(net_freep) net *n = begin(&a, false);
    if (!n)
        return;
    (void)force(n->w, "unit");
    (void)snprintf(a.boot, sizeof(a.boot), "%s", "11111111-89ab-cdef-0123-456789abcdef");
    ok(agent_hello(&a) && got(n, a.peer, PW_MSG_JOB)->m.u.job.attempt == 1 && att(n->w, 1) &&
           build(n->w, 2).tries == 1,
       "nothing ever came of it: the same offer again, no retry is used");
    journal *j = agent_job(&a, got(n, a.peer, PW_MSG_JOB)->m.u.job.epoch, 1);
    put_start(j);
    agent_ship(&a, j, 0, 2);
    agent_clear(&a);
    a.boot[0] = '2';
    ok(agent_hello(&a) && !att(n->w, 1) && got(n, a.peer, PW_MSG_JOB)->m.u.job.attempt == 2 &&
           build(n->w, 2).tries == 2,
       "records came, and its journal is gone: lost");
}

static void lost_because_absent(void)
{
    agent a;
    PW_AUTO(net_freep) net *n = begin(&a, true);
    if (!n)
        return;
    agent_clear(&a);
    ok(agent_hello(&a) && !att(n->w, 1) && got(n, a.peer, PW_MSG_JOB)->m.u.job.attempt == 2 &&
           build(n->w, 2).tries == 2,
       "a journal that is not there any more: lost, tried again");
    fill((uint8_t *)a.spool, 32, '8');
    net_pass(n, 26); /* its other self is silent */
    ok(agent_hello(&a) && att(n->w, 2) && build(n->w, 2).tries == 2, "another spool: not lost yet");
}

static void rejected(void)
{
    agent a;
    PW_AUTO(net_freep) net *n = begin(&a, false);
    static char why[] = "full";
    if (!n || !n->s)
        return;
    (void)force(n->w, "unit");
    msg_reject r = {a.session, store_epoch(n->w->st) + 1, 1, why, 1000};
    agent_say(&a, PW_MSG_REJECT, &r, NULL, 0);
    ok(att(n->w, 1), "a rejection of another epoch is not for us");
    r.epoch--;
    r.session++;
    agent_say(&a, PW_MSG_REJECT, &r, NULL, 0);
    ok(att(n->w, 1), "nor one of another session");
    r.session--;
    agent_say(&a, PW_MSG_REJECT, &r, NULL, 0);
    ok(!att(n->w, 1) && build(n->w, 2).state == BUILD_QUEUED, "rejected");
    agent_say(&a, PW_MSG_REJECT, &r, NULL, 0);
    agent_beat(&a, 1);
    const sent *o = got(n, a.peer, PW_MSG_JOB);
    ok(o->m.u.job.attempt == 2 && build(n->w, 2).tries == 1,
       "offered again after its next heartbeat, no retry used");
    (void)agent_job(&a, o->m.u.job.epoch, 2);
    agent_ship(&a, a.job[0], 0, 1);
    r.attempt = 2;
    agent_say(&a, PW_MSG_REJECT, &r, NULL, 0);
    ok(att(n->w, 2) && att(n->w, 2)->state <= ATT_RUNNING,
       "who has sent a record cannot reject any more");
    agent_clear(&a);
}

static void two_agents(void)
{
    agent a;
    PW_AUTO(net_freep) net *n = begin(&a, false);
    sessions_figures f;
    if (!n || !n->s)
        return;
    agent b = a;
    b.peer = 5000;
    fill((uint8_t *)b.spool, 32, '9');
    ok(!agent_hello(&b) && strstr(got(n, b.peer, PW_MSG_REFUSED)->m.u.refused.reason, "busy") &&
           got(n, a.peer, PW_MSG_PING)->m.u.ping.ask,
       "another spool with the same key: busy, the older one is asked");
    sessions_get_figures(n->s, &f);
    ok(f.alarms == 1, "an alarm");
    net_pass(n, 8);
    agent_beat(&a, 1);
    net_pass(n, 8);
    ok(!agent_hello(&b), "it answers: the newer waits");
    net_pass(n, 11);
    ok(agent_hello(&b), "it does not answer within 10 s: the newer has it");
    net_forget(n);
    agent_beat(&a, 1);
    ok(got(n, a.peer, PW_MSG_REFUSED)->peer && !got(n, a.peer, PW_MSG_PING)->peer,
       "the older one's messages are dropped");
    agent c = b;
    c.peer = 6000;
    ok(agent_hello(&c) && figures(n->w).connected == 1,
       "the same spool replaces its session at once");
    net_forget(n);
    agent_beat(&b, 1);
    ok(!got(n, b.peer, PW_MSG_PING)->peer, "the replaced one is not heard");
    c.session ^= 1;
    net_forget(n);
    agent_beat(&c, 1);
    ok(n->n == 0, "a message of another session on the same connection is dropped without a word");
}

static void silence(void)
{
    agent a;
    PW_AUTO(net_freep) net *n = begin(&a, false);
    if (!n)
        return;
    net_pass(n, 11);
    ok(got(n, a.peer, PW_MSG_PING)->peer, "the master speaks at least every 10 s");
    net_pass(n, 13);
    ok(figures(n->w).connected == 1, "24 s of silence");
    net_pass(n, 3);
    ok(figures(n->w).connected == 0, "more than 25 s end the session");
    ok(agent_hello(&a), "it comes back");
    for (int i = 0; i < 4; i++) {
        net_pass(n, 20);
        agent_beat(&a, 1);
    }
    ok(figures(n->w).connected == 1, "any message is a sign of life");
}

static void revoked(void)
{
    agent a;
    PW_AUTO(net_freep) net *n = begin(&a, true);
    if (!n || !n->s)
        return;
    ok(ask(n->w, CMD_WORKER_REMOVE, (say){.name = "w1", .reason = "stolen"}) == 202 &&
           got(n, a.peer, PW_MSG_REFUSED)->peer,
       "revoked");
    put_start(a.job[0]);
    size_t before = n->n;
    agent_ship(&a, a.job[0], 1, 2);
    ok(n->n == before && build(n->w, 2).state == BUILD_DISPATCHED && !sessions_admit(n->s, a.key),
       "from the next message on it is nobody");
    ok(!agent_hello(&a), "and gets no session");
    agent_clear(&a);
}

static void joins(void)
{
    PW_AUTO(net_freep) net *n = net_new(conf);
    static char name[] = "w2", other[] = "w3";
    uint8_t key[33];
    if (!n || ask(n->w, CMD_WORKER_ADD, (say){.name = "w2"}) != 202)
        return;
    agent a = {.n = n, .peer = 70, .slots = 1};
    crypt_public(n->w->secret, a.key);
    fill(key, 33, 8);
    ok(sessions_admit(n->s, a.key), "a one-time key is admitted");
    a.spool[0] = '\0';
    ok(!agent_hello(&a), "but for joining only");
    msg_join j = {other, {key, 32}};
    agent_say(&a, PW_MSG_JOIN, &j, NULL, 0);
    ok(got(n, a.peer, PW_MSG_REFUSED)->peer && !got(n, a.peer, PW_MSG_JOINED)->peer,
       "not under another name");
    j.name = name;
    j.key.n = 31;
    agent_say(&a, PW_MSG_JOIN, &j, NULL, 0);
    ok(!got(n, a.peer, PW_MSG_JOINED)->peer, "not with half a key");
    j.key.n = 32;
    agent_say(&a, PW_MSG_JOIN, &j, NULL, 0);
    ok(got(n, a.peer, PW_MSG_JOINED)->peer &&
           strcmp(got(n, a.peer, PW_MSG_JOINED)->m.u.joined.name, "w2") == 0,
       "joined");
    agent_say(&a, PW_MSG_JOIN, &j, NULL, 0);
    ok(got_count(n, a.peer, PW_MSG_JOINED) == 2, "said again: the same answer");
    key[0] ^= 1;
    agent_say(&a, PW_MSG_JOIN, &j, NULL, 0);
    ok(got_count(n, a.peer, PW_MSG_JOINED) == 2, "not for another key");
}

/* rules 1.4 */
static void marks(void)
{
    agent a;
    PW_AUTO(net_freep) net *n = begin(&a, true);
    uint8_t mac[32];
    static const uint8_t mark_key[32] = {5};
    if (!n || !n->s)
        return;
    journal *j = a.job[0];
    uint64_t epoch = store_epoch(n->w->st);
    agent other = agent_init(n, "w2", 2, 9);
    ok(agent_hello(&other) && agent_hello(&a) && store_epoch(n->w->st) == epoch,
       "the newest mark is fine");
    ok(pw_le64(a.mark) == epoch && pw_le64(a.mark + 8) == store_turn(n->w->st),
       "a mark names the turn that it left with");
    pw_put_le64(a.mark + 8, store_turn(n->w->st) + 1);
    ok(agent_hello(&a) && store_epoch(n->w->st) == epoch, "a forged one is nothing");
    pw_put_le64(a.mark + 8, store_turn(n->w->st) + 1);
    crypt_mac(mark_key, a.mark, 16, mac);
    memcpy(a.mark + 16, mac, 16);
    size_t before = got_count(n, other.peer, PW_MSG_REFUSED);
    ok(agent_hello(&a) && store_epoch(n->w->st) != epoch,
       "one from the future: the database was set back, a new epoch begins");
    ok(got_count(n, other.peer, PW_MSG_REFUSED) == before + 1 && figures(n->w).connected == 1,
       "all others must say hello again");
    ok(agent_verdict(&a, 1)->verdict == PW_RESUME && att(n->w, 1) && build(n->w, 2).tries == 1,
       "what is known goes on");
    put_start(j);
    put_end(j, PW_SUCCESS);
    agent_ship(&a, j, 1, 3);
    ok(done(n->w, 2, PW_SUCCESS) && got(n, a.peer, PW_MSG_FORGET)->m.u.forget.epoch == epoch,
       "under its own epoch");
    ok(agent_hello(&a) && agent_verdict(&a, 1)->verdict == PW_FORGET,
       "listed once more: it is known of the earlier epoch, and done with");
    uint64_t r = force(n->w, "unit");
    ok(r > 1000000, "new ids are far above the old ones");
    agent_clear(&a);
}

/* In the lost future the job was done with: the agent keeps it, and lists it once it knows of the
 * new epoch. */
static void kept(void)
{
    for (int lists = 0; lists < 2; lists++) {
        agent a;
        PW_AUTO(net_freep) net *n = begin(&a, true);
        static const uint8_t mark_key[32] = {5};
        uint8_t mac[32];
        if (!n || !n->s)
            return;
        pw_put_le64(a.mark + 8, store_turn(n->w->st) + 1000);
        crypt_mac(mark_key, a.mark, 16, mac);
        memcpy(a.mark + 16, mac, 16);
        size_t jobs = a.jobs;
        a.jobs = 0;
        ok(agent_hello(&a) && got(n, a.peer, PW_MSG_REFUSED)->peer && att(n->w, 1) &&
               att(n->w, 1)->state <= ATT_RUNNING && figures(n->w).connected == 0,
           "a new epoch: it must say hello again before anything is given up");
        if (lists)
            a.jobs = jobs;
        size_t refused = got_count(n, a.peer + 1, PW_MSG_REFUSED);
        ok(agent_hello(&a) && got_count(n, a.peer, PW_MSG_REFUSED) == refused,
           "then it has a session");
        if (lists)
            ok(agent_verdict(&a, 1)->verdict == PW_RESUME && att(n->w, 1) &&
                   build(n->w, 2).tries == 1,
               "and the kept job goes on");
        else
            ok(!att(n->w, 1) && build(n->w, 2).tries == 2, "what it does not have then is lost");
        a.jobs = jobs;
        agent_clear(&a);
    }
}

static void secrets(void)
{
    (void)setenv("PAWL_TEST_SECRET", "hunter22", 1);
    PW_AUTO(net_freep)
    net *n =
        net_new("projects: [{name: p, repository: /r.git}]\n"
                "secrets: {token: {env: PAWL_TEST_SECRET}}\n"
                "builders: [{name: unit, project: p, steps: [{run: x}]}, {name: ship, project: "
                "p, env: {T: \"${secret:token}\"}, steps: [{run: x}]}]\n");
    if (!n)
        return;
    agent a = agent_init(n, "w1", 1, 7);
    look(n->w, 0, "master", 1);
    (void)agent_hello(&a);
    (void)force(n->w, "unit");
    const msg_job *m = &got(n, a.peer, PW_MSG_JOB)->m.u.job;
    ok(m->must.n == 1 && m->secrets.n == 0, "a job without secrets asks for no feature");
    (void)force(n->w, "ship");
    const sent *o = got(n, a.peer, PW_MSG_JOB);
    m = &o->m.u.job;
    const msg_secret *s = m->secrets.v;
    ok(got_count(n, a.peer, PW_MSG_JOB) == 2 && m->must.n == 2 &&
           strcmp(m->must.v[1], PW_FEATURE_SECRETS) == 0,
       "one with secrets does");
    ok(m->secrets.n == 1 && strcmp(s->name, "token") == 0 && s->value.n == 8 &&
           memcmp(s->value.p, "hunter22", 8) == 0,
       "they ride beside it");
    ok(o->bulk && !memmem(o->bulk, o->bulk_len, "hunter22", 8), "not in it");
    agent_clear(&a);
}

int main(void)
{
    if (crypt_init(NULL) < 0)
        return 1;
    hello();
    bad_hellos();
    verdicts();
    verdict_cancel();
    verdict_lost();
    reoffer();
    rebooted();
    lost_because_absent();
    rejected();
    two_agents();
    silence();
    revoked();
    joins();
    marks();
    kept();
    secrets();
    return tap_done();
}
