/* The agent with a made-up clock, a made-up wire and a master that is played by the test. */
#include "worker/agent/agent.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "shared/base/log.h"
#include "shared/job/job.h"
#include "shared/job/record.h"
#include "tests/tap.h"
#include "worker/agent/ship.h"

#define SECOND INT64_C(1000000)
enum { SENT_MAX = 256, EPOCH = 7 };

typedef struct sent {
    pw_msg m;
    uint8_t *bulk;
    size_t n;
} sent;

typedef struct world {
    char dir[64];
    worker_conf conf;
    spool_home home;
    agent *agent;
    sent sent[SENT_MAX];
    size_t n;
    int opens, starts;
    bool open, full, unreachable;
    uint64_t session;
    int64_t disk;
} world;

static pw_usec now_us = 1000 * SECOND;
static uint64_t random_state = 1;
static pw_usec fake_now(void *self)
{
    (void)self;
    return now_us;
}
static pw_msec fake_wall(void *self)
{
    return pw_host_real.wall(self);
}
static void fake_random(void *self, void *p, size_t n)
{
    (void)self;
    for (size_t i = 0; i < n; i++) {
        random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
        ((uint8_t *)p)[i] = (uint8_t)(random_state >> 56);
    }
}
static const pw_host host = {fake_now, fake_wall, fake_random, NULL};

static void forget_sent(world *w)
{
    for (size_t i = 0; i < w->n; i++) {
        pw_msg_clear(&w->sent[i].m);
        free(w->sent[i].bulk);
    }
    memset(w->sent, 0, sizeof(w->sent));
    w->n = 0;
}

static int wire_open(void *self, pw_err *err)
{
    world *w = self;
    w->opens++;
    if (w->unreachable)
        return pw_fail(err, PW_ESYS, "unreachable");
    w->open = true;
    return 0;
}
static void wire_close(void *self)
{
    ((world *)self)->open = false;
}
static int wire_send(void *self, const void *head, size_t head_n, const void *bulk, size_t n, pw_err *err)
{
    world *w = self;
    if (!w->open)
        return pw_fail(err, PW_ENOTFOUND, "closed");
    if (w->full)
        return pw_fail(err, PW_EAGAIN, "full");
    if (w->n == SENT_MAX)
        return pw_fail(err, PW_ELIMIT, "the test's list is full");
    sent *s = &w->sent[w->n];
    int rc = pw_msg_decode(head, head_n, &s->m, err);
    if (rc < 0)
        return rc;
    if (n && !(s->bulk = malloc(n)))
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (n)
        memcpy(s->bulk, bulk, n);
    s->n = n;
    w->n++;
    return 0;
}
static int on_start(void *self, const char *job, pw_err *err)
{
    (void)job;
    (void)err;
    ((world *)self)->starts++;
    return 0;
}
static void on_sweep(void *self, const char *job)
{
    (void)self;
    (void)job;
}
static int64_t disk_free(void *self)
{
    return ((world *)self)->disk;
}
static uint64_t load_milli(void *self)
{
    (void)self;
    return 1500;
}

static bool start(world *w)
{
    pw_err err = {0};
    agent_deps deps = {.host = &host, .wire = {wire_open, wire_close, wire_send, w}, .start = on_start, .sweep = on_sweep,
                       .disk_free = disk_free, .load_milli = load_milli, .self = w};
    w->agent = agent_free(w->agent);
    forget_sent(w);
    w->opens = w->starts = 0;
    w->full = w->unreachable = false;
    w->agent = agent_new(&w->conf, &w->home, &deps, &err);
    if (!w->agent)
        printf("# %s\n", err.text);
    return w->agent != NULL;
}

static bool set_up(world *w)
{
    static const char text[] = "name: w1\nslots: 3\ntags: [linux]\nmaster:\n  address: \"tcp://a:1\"\n"
                               "  key: \"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\"\n";
    yaml_errors errors = {0};
    (void)snprintf(w->dir, sizeof(w->dir), "/tmp/pawl-agent-XXXXXX");
    w->home.lock = -1;
    w->disk = INT64_C(100) << 30;
    bool good = mkdtemp(w->dir) && worker_conf_parse("/x", text, strlen(text), &w->conf, &errors) == 0 &&
                home_open(w->dir, &w->home, NULL) == 0;
    yaml_errors_clear(&errors);
    return good && start(w);
}

static void tear_down(world *w)
{
    w->agent = agent_free(w->agent);
    forget_sent(w);
    home_close(&w->home);
    worker_conf_clear(&w->conf);
    (void)pw_fs_remove_tree(w->dir, NULL);
}

static void later(world *w, pw_usec d)
{
    now_us += d;
    agent_tick(w->agent);
}

/* Ticks until nothing is due at once. */
static void settle(world *w)
{
    agent_tick(w->agent);
    for (int i = 0; i < 1000 && agent_due(w->agent) == 0; i++)
        agent_tick(w->agent);
}

static const sent *newest(const world *w, pw_msg_type type)
{
    for (size_t i = w->n; i-- > 0;)
        if (w->sent[i].m.type == type)
            return &w->sent[i];
    return NULL;
}

static size_t count(const world *w, pw_msg_type type)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++)
        n += w->sent[i].m.type == type;
    return n;
}

/* Bytes of one job's journal on the wire since the last forget_sent. */
static uint64_t shipped(const world *w, uint64_t attempt)
{
    uint64_t n = 0;
    for (size_t i = 0; i < w->n; i++)
        if (w->sent[i].m.type == PW_MSG_JOURNAL && w->sent[i].m.u.journal.attempt == attempt)
            n += w->sent[i].n;
    return n;
}

static void deliver(world *w, pw_msg_type type, const void *body, const void *bulk, size_t n)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_MSG_MAX);
    if (pw_msg_encode(type, body, &b, NULL) == 0)
        agent_input(w->agent, b.p, b.len, bulk, n);
    settle(w);
}

static void welcome_with(world *w, uint64_t epoch, uint64_t window, msg_welcome_job *v, size_t n)
{
    const sent *hello = newest(w, PW_MSG_HELLO);
    uint8_t mark[] = {1, 2, 3};
    msg_welcome m = {.session = ++w->session, .nonce = hello ? hello->m.u.hello.nonce : 0, .epoch = epoch, .mark = {mark, 3},
                     .proto = 1, .heartbeat_ms = 10000, .window = window, .jobs = {v, n}};
    deliver(w, PW_MSG_WELCOME, &m, NULL, 0);
}

/* A fresh agent on the spool with a session. */
static bool connect_with(world *w, msg_welcome_job *v, size_t n, uint64_t window)
{
    if (!start(w))
        return false;
    settle(w);
    welcome_with(w, EPOCH, window, v, n);
    return agent_session(w->agent) == SESSION_UP;
}

static void ack(world *w, uint64_t attempt, uint64_t stored, uint64_t window)
{
    msg_ack_item item = {.epoch = EPOCH, .attempt = attempt, .stored = stored, .window = window};
    msg_ack m = {.session = w->session, .items = {&item, 1}};
    deliver(w, PW_MSG_ACK, &m, NULL, 0);
}

static void forget(world *w, uint64_t attempt)
{
    msg_forget m = {.session = w->session, .epoch = EPOCH, .attempt = attempt};
    deliver(w, PW_MSG_FORGET, &m, NULL, 0);
}

typedef struct offer {
    uint64_t attempt, window;
    const char *must, *isolation;
    bool bad_digest;
} offer;

static void offer_job(world *w, offer o)
{
    char name[] = "b", kind[] = "run", must[64], isolation[64];
    char *musts[] = {must};
    job_step step = {.name = name, .kind = kind, .script = name};
    job_spec spec = {.epoch = EPOCH, .attempt = o.attempt, .build = 1, .try_no = 1, .builder = name, .project = name,
                     .isolation = o.isolation ? isolation : NULL, .steps = {&step, 1}};
    (void)snprintf(must, sizeof(must), "%s", o.must ? o.must : "");
    (void)snprintf(isolation, sizeof(isolation), "%s", o.isolation ? o.isolation : "");
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_JOB_MAX);
    uint8_t hash[CRYPT_HASH];
    if (pw_schema_encode(&job_spec_schema, &spec, &b, NULL) < 0)
        return;
    crypt_hash(b.p, b.len, hash);
    hash[0] = (uint8_t)(hash[0] ^ o.bad_digest);
    msg_job m = {.session = w->session, .epoch = EPOCH, .attempt = o.attempt, .digest = {hash, CRYPT_HASH},
                 .must = {musts, o.must ? 1 : 0}, .window = o.window ? o.window : 262144};
    deliver(w, PW_MSG_JOB, &m, b.p, b.len);
}

static journal_writer *runner_of(const world *w, uint64_t attempt)
{
    PW_AUTO(pw_freep) char *p = spool_path_journal(w->dir, (spool_job){EPOCH, attempt});
    return p ? journal_open_append(p, NULL) : NULL;
}

static bool write_rec(journal_writer *r, uint8_t kind, size_t n)
{
    PW_AUTO(pw_freep) uint8_t *payload = calloc(n, 1);
    struct iovec iov = {payload, n};
    return r && payload && journal_append(r, kind, 0, 1, &iov, 1, NULL) == 0;
}

static void note(world *w, uint64_t attempt, const journal_writer *r)
{
    agent_note(w->agent, (spool_note){{EPOCH, attempt}, journal_length(r)});
    settle(w);
}

/* ---- sessions */

static void greeting(world *w)
{
    settle(w);
    const sent *h = newest(w, PW_MSG_HELLO);
    ok(h && w->opens == 1 && w->n == 1, "hello is the first message");
    if (!h)
        return;
    const msg_hello *m = &h->m.u.hello;
    ok(!strcmp(m->spool, w->home.id) && !strcmp(m->boot, w->home.boot) && m->slots == 3 && m->proto_min == 1, "spool, boot, slots");
    ok(m->tags.n == 1 && !strcmp(m->tags.v[0], "linux") && m->features.n == 2 && m->facts.n >= 6 && m->jobs.n == 0, "tags, facts");
    msg_welcome wrong = {.session = 1, .nonce = m->nonce + 1, .epoch = EPOCH, .proto = 1, .heartbeat_ms = 10000};
    deliver(w, PW_MSG_WELCOME, &wrong, NULL, 0);
    ok(agent_session(w->agent) == SESSION_GREETING && agent_count(w->agent).dropped == 1, "another's welcome is dropped");
    welcome_with(w, EPOCH, 1 << 20, NULL, 0);
    const sent *b = newest(w, PW_MSG_HEARTBEAT);
    ok(agent_session(w->agent) == SESSION_UP && b && b->m.u.heartbeat.session == w->session, "welcome: a heartbeat at once");
    ok(b && b->m.u.heartbeat.free_slots == 3 && b->m.u.heartbeat.load_milli == 1500 && !b->m.u.heartbeat.gate, "with slots and load");
    later(w, 10 * SECOND - 1);
    ok(count(w, PW_MSG_HEARTBEAT) == 1, "not before its time");
    later(w, 1);
    ok(count(w, PW_MSG_HEARTBEAT) == 2, "each 10 s");
    msg_ping ping = {.session = w->session, .ask = true};
    deliver(w, PW_MSG_PING, &ping, NULL, 0);
    ok(count(w, PW_MSG_HEARTBEAT) == 3, "and when asked");
    ping.session++;
    deliver(w, PW_MSG_PING, &ping, NULL, 0);
    ok(count(w, PW_MSG_HEARTBEAT) == 3 && agent_count(w->agent).dropped == 2, "another session's message is dropped, counted");
    agent_input(w->agent, "junk", 4, NULL, 0);
    ok(agent_count(w->agent).dropped == 3 && agent_session(w->agent) == SESSION_UP, "junk too");
    w->disk = 1 << 30;
    later(w, 10 * SECOND);
    b = newest(w, PW_MSG_HEARTBEAT);
    ok(b && b->m.u.heartbeat.gate && strstr(b->m.u.heartbeat.gate, "low disk"), "low disk is told");
    offer_job(w, (offer){.attempt = 900});
    ok(newest(w, PW_MSG_REJECT) && w->starts == 0, "and no job is taken then");
    w->disk = INT64_C(100) << 30;
    later(w, 10 * SECOND);
    ok(agent_session(w->agent) == SESSION_UP, "it lives, since the offer was a sign of life");
}

static void silence(world *w)
{
    (void)connect_with(w, NULL, 0, 1 << 20);
    later(w, 25 * SECOND - 1);
    ok(agent_session(w->agent) == SESSION_UP && w->open, "silent for just under 25 s");
    later(w, 1);
    ok(agent_session(w->agent) == SESSION_IDLE && !w->open && w->opens == 1, "25 s: over, closed");
    w->unreachable = true;
    pw_usec pause = agent_due(w->agent) - now_us;
    ok(pause >= 100000 && pause <= 200000, "first pause 0.2 s less up to half");
    later(w, pause);
    ok(w->opens == 2 && agent_session(w->agent) == SESSION_IDLE, "dials, and fails");
    w->unreachable = false;
    for (int i = 0; i < 20 && agent_session(w->agent) == SESSION_IDLE; i++)
        later(w, 10 * SECOND);
    const sent *h = newest(w, PW_MSG_HELLO);
    ok(agent_session(w->agent) == SESSION_GREETING && h && count(w, PW_MSG_HELLO) == 2, "reached after at most 10 s");
    ok(h && w->sent[0].m.u.hello.nonce != h->m.u.hello.nonce, "with a new nonce");
    later(w, 25 * SECOND);
    ok(agent_session(w->agent) == SESSION_IDLE, "no answer to hello for 25 s");
}

static void pauses(world *w)
{
    pw_usec least = INT64_MAX, most = 0;
    (void)start(w);
    w->unreachable = true;
    agent_tick(w->agent);
    for (int i = 0; i < 60; i++) {
        int before = w->opens;
        pw_usec from = now_us;
        while (w->opens == before)
            later(w, 50000);
        if (i >= 7) {
            least = now_us - from < least ? now_us - from : least;
            most = now_us - from > most ? now_us - from : most;
        }
    }
    ok(least >= 5 * SECOND && most <= 10 * SECOND + 50000 && most - least > SECOND, "pauses end between 5 and 10 s, and differ");
}

static void refusals(world *w)
{
    (void)start(w);
    settle(w);
    char reason[] = "busy: another agent has this key";
    msg_refused m = {.nonce = newest(w, PW_MSG_HELLO) ? newest(w, PW_MSG_HELLO)->m.u.hello.nonce : 0, .reason = reason, .retry_ms = 3000};
    deliver(w, PW_MSG_REFUSED, &m, NULL, 0);
    ok(agent_session(w->agent) == SESSION_IDLE && !w->open, "refused: closed");
    later(w, 3 * SECOND - 1);
    ok(w->opens == 1, "waits as long as it was told");
    later(w, 1);
    ok(w->opens == 2 && count(w, PW_MSG_HELLO) == 2, "then greets again");
    msg_welcome old = {.session = 5, .nonce = newest(w, PW_MSG_HELLO)->m.u.hello.nonce, .epoch = EPOCH, .proto = 2, .heartbeat_ms = 1};
    deliver(w, PW_MSG_WELCOME, &old, NULL, 0);
    ok(agent_session(w->agent) == SESSION_IDLE, "a protocol that it does not speak");
    (void)connect_with(w, NULL, 0, 1 << 20);
    agent_stop(w->agent, "stop");
    ok(newest(w, PW_MSG_BYE) && newest(w, PW_MSG_BYE)->m.u.bye.session == w->session, "bye");
    later(w, 100 * SECOND);
    ok(w->opens == 1, "and no more dialling");
}

/* ---- jobs */

static void one_job(world *w)
{
    (void)connect_with(w, NULL, 0, 1 << 20);
    offer_job(w, (offer){.attempt = 1});
    ok(w->starts == 1 && count(w, PW_MSG_JOURNAL) == 0, "accepted: a short job will be one message");
    later(w, SECOND);
    const sent *j = newest(w, PW_MSG_JOURNAL);
    ok(w->starts == 1 && j && j->m.u.journal.offset == 0 && j->m.u.journal.chain == 0 && j->n > 0, "a longer one shows that it was accepted");
    uint64_t header = j ? j->n : 0;
    offer_job(w, (offer){.attempt = 1});
    ok(w->starts == 1 && agent_count(w->agent).repeated == 1 && count(w, PW_MSG_REJECT) == 0, "offered twice: started once");
    ok(shipped(w, 1) == 2 * header, "and shipped again, the master has nothing");
    PW_AUTO(journal_writer_freep) journal_writer *r = runner_of(w, 1);
    ok(write_rec(r, PW_REC_START, 10) && write_rec(r, PW_REC_END, 10), "it runs");
    if (!r)
        return;
    forget_sent(w);
    note(w, 1, r);
    j = newest(w, PW_MSG_JOURNAL);
    ok(count(w, PW_MSG_JOURNAL) == 1 && j && j->m.u.journal.offset == header && j->n == journal_length(r) - header,
       "what came is shipped in one message");
    ok(jobs_live(agent_jobs(w->agent)) == 0, "its slot is free when the end is shipped");
    ack(w, 1, journal_length(r), 262144);
    forget(w, 1);
    const agent_job *e = jobs_find(agent_jobs(w->agent), (spool_job){EPOCH, 1});
    ok(e && e->state == PW_JOB_KEPT, "forgotten");
    forget_sent(w);
    offer_job(w, (offer){.attempt = 1});
    ok(w->starts == 1 && shipped(w, 1) == journal_length(r), "offered again: nothing starts, all of it is shipped");
    ack(w, 1, journal_length(r), 262144);
    forget(w, 1);
    ok(agent_count(w->agent).stray == 0 && agent_count(w->agent).accepted == 1, "nothing strange");
}

static void rejections(world *w)
{
    (void)connect_with(w, NULL, 0, 1 << 20);
    w->starts = 0;
    offer_job(w, (offer){.attempt = 10, .must = "time-travel"});
    const sent *r = newest(w, PW_MSG_REJECT);
    ok(r && r->m.u.reject.attempt == 10 && strstr(r->m.u.reject.reason, "time-travel") && !r->m.u.reject.retry_ms, "unknown feature");
    offer_job(w, (offer){.attempt = 11, .must = "checkout"});
    offer_job(w, (offer){.attempt = 12, .bad_digest = true});
    r = newest(w, PW_MSG_REJECT);
    ok(w->starts == 1 && r && r->m.u.reject.attempt == 12 && strstr(r->m.u.reject.reason, "digest"), "known feature; wrong digest");
    offer_job(w, (offer){.attempt = 13, .isolation = "podman:debian"});
    r = newest(w, PW_MSG_REJECT);
    ok(w->starts == 1 && r && r->m.u.reject.attempt == 13 && strstr(r->m.u.reject.reason, "isolation"), "isolation not allowed here");
    offer_job(w, (offer){.attempt = 14, .isolation = "none"});
    offer_job(w, (offer){.attempt = 15});
    ok(w->starts == 3 && count(w, PW_MSG_REJECT) == 3, "three slots, three jobs");
    offer_job(w, (offer){.attempt = 16});
    r = newest(w, PW_MSG_REJECT);
    ok(w->starts == 3 && r && r->m.u.reject.attempt == 16 && r->m.u.reject.retry_ms > 0, "a fourth is rejected, with a time");
    PW_AUTO(journal_writer_freep) journal_writer *run = runner_of(w, 15);
    ok(write_rec(run, PW_REC_START, 1) && write_rec(run, PW_REC_END, 1), "one ends");
    if (run)
        note(w, 15, run);
    offer_job(w, (offer){.attempt = 16});
    r = newest(w, PW_MSG_REJECT);
    ok(w->starts == 3 && count(w, PW_MSG_REJECT) == 5 && r && r->m.u.reject.attempt == 16, "the same id gets the same answer");
    offer_job(w, (offer){.attempt = 17});
    ok(w->starts == 4, "another one is taken");
    msg_drain d = {.session = w->session};
    deliver(w, PW_MSG_DRAIN, &d, NULL, 0);
    offer_job(w, (offer){.attempt = 18});
    ok(w->starts == 4 && newest(w, PW_MSG_REJECT)->m.u.reject.attempt == 18, "draining");
    PW_AUTO(pw_freep) char *p = pw_path_join(w->dir, "jobs");
    msg_cancel c = {.session = w->session, .epoch = EPOCH};
    for (c.attempt = 10; c.attempt < 20; c.attempt++) {
        deliver(w, PW_MSG_CANCEL, &c, NULL, 0);
        forget(w, c.attempt);
    }
    ok(p && jobs_live(agent_jobs(w->agent)) == 0 && jobs_open(agent_jobs(w->agent)) == 0, "cancelled and forgotten");
}

/* ---- shipping */

static bool two_runners(world *w, uint64_t worker_window, uint64_t window, journal_writer *r[2])
{
    if (!connect_with(w, NULL, 0, worker_window))
        return false;
    offer_job(w, (offer){.attempt = 30, .window = window});
    offer_job(w, (offer){.attempt = 31, .window = window});
    for (uint64_t i = 0; i < 2; i++) {
        r[i] = runner_of(w, 30 + i);
        if (!r[i] || !write_rec(r[i], PW_REC_START, 1))
            return false;
        note(w, 30 + i, r[i]);
        ack(w, 30 + i, journal_length(r[i]), window);
    }
    forget_sent(w);
    return true;
}

static void end_both(world *w, journal_writer *r[2])
{
    for (uint64_t i = 0; i < 2; i++) {
        if (r[i] && write_rec(r[i], PW_REC_END, 1))
            note(w, 30 + i, r[i]);
        r[i] = journal_writer_free(r[i]);
        later(w, 2 * SECOND);
        forget(w, 30 + i);
    }
    jobs_expire(agent_jobs(w->agent), 0);
}

static void windows(world *w)
{
    journal_writer *r[2] = {NULL, NULL};
    bool good = two_runners(w, 1 << 20, 100000, r);
    uint64_t base = good ? journal_length(r[0]) : 0;
    for (int i = 0; i < 30 && good; i++)
        good = write_rec(r[0], PW_REC_NOTE, 10000 - 16);
    ok(good, "300 kB of journal");
    if (good) {
        note(w, 30, r[0]);
        ok(shipped(w, 30) == 100000, "one job's window");
        later(w, SECOND);
        ok(shipped(w, 30) == 100000, "and no byte more");
        ack(w, 30, base + 10000, 100000);
        ok(shipped(w, 30) == 100000, "a small gap is not worth a message");
        ack(w, 30, base + 70000, 100000);
        ok(shipped(w, 30) == 170000, "room for more");
        ack(w, 30, base + 170000, 0);
        later(w, 20 * SECOND);
        ok(shipped(w, 30) == 170000, "a window of zero means wait");
        ack(w, 30, base + 170000, 50000);
        ack(w, 30, base + 220000, 300000);
        ok(shipped(w, 30) == 300000, "the rest");
        ack(w, 30, base + 300000, 300000);
        forget_sent(w);
        ok(write_rec(r[0], PW_REC_NOTE, JOURNAL_PAYLOAD_MAX), "a record longer than the window");
        ack(w, 30, base + 300000, 100000);
        note(w, 30, r[0]);
        ok(shipped(w, 30) == JOURNAL_PAYLOAD_MAX + 16, "goes alone");
        ack(w, 30, journal_length(r[0]), 100000);
    }
    end_both(w, r);
}

static void fairness(world *w)
{
    journal_writer *r[2] = {NULL, NULL};
    bool good = two_runners(w, 200000, 262144, r);
    for (int i = 0; i < 40 && good; i++)
        good = write_rec(r[0], PW_REC_NOTE, 10000 - 16) && write_rec(r[1], PW_REC_NOTE, 10000 - 16);
    uint64_t base = good ? journal_length(r[0]) - 400000 : 0;
    if (good) {
        agent_note(w->agent, (spool_note){{EPOCH, 30}, journal_length(r[0])});
        settle(w);
        ok(shipped(w, 30) == 200000 && shipped(w, 31) == 0, "the worker's window");
        agent_note(w->agent, (spool_note){{EPOCH, 31}, journal_length(r[1])});
        settle(w);
        ok(shipped(w, 31) == 0, "holds for all together");
        ack(w, 30, base + 100000, 262144);
        ok(shipped(w, 31) == 100000 && shipped(w, 30) == 200000, "fewest unacknowledged bytes first");
        ack(w, 30, base + 200000, 262144);
        ok(shipped(w, 30) == 300000 && shipped(w, 31) == 100000, "then the other");
        good = write_rec(r[1], PW_REC_NOTE, 300000);
        ack(w, 30, base + 300000, 262144);
        ack(w, 31, base + 100000, 262144);
        for (uint64_t a = 0, b = 100000; a < 10; a++) {
            uint64_t s30 = shipped(w, 30), s31 = shipped(w, 31);
            ack(w, 30, base + s30, 262144);
            b = s31;
            ack(w, 31, base + b, 262144);
        }
        agent_note(w->agent, (spool_note){{EPOCH, 31}, journal_length(r[1])});
        settle(w);
        ok(good && shipped(w, 31) == 400000 + 300016, "a record longer than the worker's window goes when all is acknowledged");
    } else {
        ok(false, "journals");
    }
    end_both(w, r);
}

static void gaps(world *w)
{
    journal_writer *r[2] = {NULL, NULL};
    bool good = two_runners(w, 1 << 20, 262144, r) && write_rec(r[0], PW_REC_NOTE, 1000) && write_rec(r[0], PW_REC_NOTE, 1000);
    uint64_t base = good ? journal_length(r[0]) - 2 * 1016 : 0;
    if (good) {
        note(w, 30, r[0]);
        ok(shipped(w, 30) == 2032, "two records");
        ack(w, 30, base, 262144); /* the master dropped them: it expected an earlier offset */
        later(w, 4 * SECOND);
        ok(shipped(w, 30) == 2032, "an acknowledgement below what was sent only frees");
        later(w, SECOND);
        const sent *j = newest(w, PW_MSG_JOURNAL);
        ok(shipped(w, 30) == 4064 && j && j->m.u.journal.offset == base, "nothing moved for 5 s: sent again from there");
        later(w, 5 * SECOND);
        ok(shipped(w, 30) == 4064, "the next time after longer");
        ack(w, 30, base + 1016, 262144);
        ack(w, 30, base + 2032, 262144);
        forget_sent(w);
        ack(w, 30, base + 1016, 262144);
        j = newest(w, PW_MSG_JOURNAL);
        ok(shipped(w, 30) == 1016 && j && j->m.u.journal.offset == base + 1016, "asked for again: from there at once");
        ack(w, 30, base + 2032, 262144);
        ack(w, 30, base + 99999, 262144);
        ack(w, 77, 1, 1);
        ack(w, 30, base + 17, 262144);
        ok(agent_count(w->agent).stray == 2, "acknowledgements that make no sense are counted");
        ack(w, 30, base + 2032, 262144);
        forget_sent(w);
        w->full = true;
        good = write_rec(r[0], PW_REC_NOTE, 500);
        note(w, 30, r[0]);
        ok(good && w->n == 0 && agent_due(w->agent) == now_us + SHIP_RETRY, "a full queue: a little later");
        w->full = false;
        later(w, SHIP_RETRY);
        ok(shipped(w, 30) == 516, "then it goes");
    } else {
        ok(false, "journals");
    }
    end_both(w, r);
}

/* ---- resync */

static const msg_hello_job *listed(const sent *h, uint64_t attempt)
{
    const msg_hello_job *v = h ? h->m.u.hello.jobs.v : NULL;
    for (size_t i = 0; h && i < h->m.u.hello.jobs.n; i++)
        if (v[i].attempt == attempt)
            return &v[i];
    return NULL;
}

static void resync(world *w)
{
    journal_writer *r[2] = {NULL, NULL};
    bool good = two_runners(w, 1 << 20, 262144, r) && write_rec(r[0], PW_REC_NOTE, 1000) && write_rec(r[0], PW_REC_NOTE, 1000);
    offer_job(w, (offer){.attempt = 32});
    if (!good || !start(w)) {
        ok(false, "journals");
        r[0] = journal_writer_free(r[0]);
        r[1] = journal_writer_free(r[1]);
        return;
    }
    uint64_t base = journal_length(r[0]) - 2 * 1016;
    settle(w);
    const sent *h = newest(w, PW_MSG_HELLO);
    const msg_hello_job *a = listed(h, 30), *b = listed(h, 31), *c = listed(h, 32);
    ok(a && a->length == journal_length(r[0]) && a->state == PW_JOB_RUNNING && a->epoch == EPOCH, "a running job is listed");
    ok(b && b->state == PW_JOB_RUNNING && c && c->state == PW_JOB_SPOOLED && h->m.u.hello.jobs.n == 3, "all are");
    ok(h && h->m.u.hello.mark.n == 3, "the newest mark is given back");
    ok(count(w, PW_MSG_JOURNAL) == 0, "nothing is shipped before welcome");
    uint32_t chain = 0;
    const agent_job *e = jobs_find(agent_jobs(w->agent), (spool_job){EPOCH, 30});
    ok(e && jobs_chain_at(agent_jobs(w->agent), e, base + 1016, &chain, NULL) == 0, "the chain value in its midst");
    msg_welcome_job v[] = {
        {.epoch = EPOCH, .attempt = 30, .verdict = PW_RESUME, .offset = base + 1016, .chain = chain, .window = 262144},
        {.epoch = EPOCH, .attempt = 31, .verdict = PW_HOLD},
        {.epoch = EPOCH, .attempt = 32, .verdict = PW_RESUME, .window = 262144, .cancel = true},
        {.epoch = EPOCH, .attempt = 99, .verdict = PW_FORGET},
    };
    welcome_with(w, EPOCH, 1 << 20, v, 4);
    const sent *j = NULL;
    for (size_t i = 0; i < w->n; i++)
        if (w->sent[i].m.type == PW_MSG_JOURNAL && w->sent[i].m.u.journal.attempt == 30)
            j = &w->sent[i];
    ok(j && j->m.u.journal.offset == base + 1016 && j->m.u.journal.chain == chain && j->n == 1016, "resume: from there on");
    e = jobs_find(agent_jobs(w->agent), (spool_job){EPOCH, 31});
    ok(e && e->state == PW_JOB_HELD && shipped(w, 31) == 0, "hold: kept, not shipped");
    e = jobs_find(agent_jobs(w->agent), (spool_job){EPOCH, 32});
    ok(e && e->state == PW_JOB_ENDED && shipped(w, 32) > 0, "resume and cancel: ended, and the end is shipped");
    ok(jobs_live(agent_jobs(w->agent)) == 2, "a held job takes its slot while its runner lives");
    r[1] = journal_writer_free(r[1]);
    later(w, SECOND);
    ok(jobs_live(agent_jobs(w->agent)) == 1, "and no longer");
    agent_lost(w->agent, "the connection was closed");
    later(w, SECOND);
    h = newest(w, PW_MSG_HELLO);
    b = listed(h, 31);
    ok(count(w, PW_MSG_HELLO) == 2 && b && b->state == PW_JOB_HELD, "held jobs are listed too");
    msg_welcome_job lost = {.epoch = EPOCH, .attempt = 30, .verdict = PW_RESUME, .offset = base + 50000, .window = 262144};
    msg_welcome_job back = {.epoch = EPOCH, .attempt = 31, .verdict = PW_RESUME, .window = 262144};
    msg_welcome_job two[] = {lost, back};
    forget_sent(w);
    random_state++;
    agent_lost(w->agent, "again");
    later(w, 10 * SECOND);
    welcome_with(w, EPOCH, 1 << 20, two, 2);
    e = jobs_find(agent_jobs(w->agent), (spool_job){EPOCH, 30});
    ok(e && e->state == PW_JOB_HELD, "an offset that the spool does not have: held");
    e = jobs_find(agent_jobs(w->agent), (spool_job){EPOCH, 31});
    ok(e && e->state == PW_JOB_ENDED && shipped(w, 31) == e->whole, "a held job that is wanted is shipped");
    r[0] = journal_writer_free(r[0]);
    later(w, SECOND);
    forget(w, 31);
    forget(w, 32);
}

static void new_epoch(world *w)
{
    if (!connect_with(w, NULL, 0, 1 << 20))
        return;
    agent_lost(w->agent, "the master is restored");
    later(w, 10 * SECOND);
    int opens = w->opens;
    const sent *h = newest(w, PW_MSG_HELLO);
    ok(h && !listed(h, 31), "forgotten jobs are not listed");
    welcome_with(w, EPOCH + 1, 1 << 20, NULL, 0);
    h = newest(w, PW_MSG_HELLO);
    ok(w->opens == opens + 1 && h && listed(h, 31) && listed(h, 31)->state == PW_JOB_KEPT, "a new epoch: greets again and lists them");
    msg_welcome_job want = {.epoch = EPOCH, .attempt = 31, .verdict = PW_RESUME, .window = 262144};
    forget_sent(w);
    settle(w);
    msg_welcome m = {.session = ++w->session, .nonce = 0, .epoch = EPOCH + 1, .proto = 1, .heartbeat_ms = 1000, .window = 1 << 20,
                     .jobs = {&want, 1}};
    agent_lost(w->agent, "so that the nonce is at hand");
    later(w, 10 * SECOND);
    h = newest(w, PW_MSG_HELLO);
    ok(h && !listed(h, 31), "once");
    m.nonce = h ? h->m.u.hello.nonce : 0;
    deliver(w, PW_MSG_WELCOME, &m, NULL, 0);
    h = newest(w, PW_MSG_HELLO);
    ok(h && listed(h, 31), "but again when no welcome came to that list");
    welcome_with(w, EPOCH + 1, 1 << 20, &want, 1);
    ok(agent_session(w->agent) == SESSION_UP && shipped(w, 31) > 0, "the restored master gets what it wants");
}

int main(void)
{
    world w = {.home = {.lock = -1}};
    pw_log_open(PW_LOG_ERROR, open("/dev/null", O_WRONLY | O_CLOEXEC));
    if (crypt_init(NULL) < 0 || !set_up(&w)) {
        ok(false, "set up");
        tear_down(&w);
        return tap_done();
    }
    void (*const all[])(world *) = {greeting, silence,  pauses, refusals, one_job, rejections,
                                    windows,  fairness, gaps,   resync,   new_epoch};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && w.agent; i++)
        all[i](&w);
    tear_down(&w);
    return tap_done();
}
