/* agent_world.h - for the tests of this folder: an agent with a made-up clock, a made-up wire and a
 * master that is played by the test. One thread; everything is in one `world`. */
#ifndef PW_WORKER_AGENT_AGENT_WORLD_H
#define PW_WORKER_AGENT_AGENT_WORLD_H
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "shared/base/log.h"
#include "shared/job/job.h"
#include "shared/job/record.h"
#include "tests/tap.h"
#include "worker/agent/agent.h"

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
static inline pw_usec fake_now(void *self)
{
    (void)self;
    return now_us;
}
static inline pw_msec fake_wall(void *self)
{
    return pw_host_real.wall(self);
}
static inline void fake_random(void *self, void *p, size_t n)
{
    (void)self;
    for (size_t i = 0; i < n; i++) {
        random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
        ((uint8_t *)p)[i] = (uint8_t)(random_state >> 56);
    }
}
static const pw_host host = {fake_now, fake_wall, fake_random, NULL};

static inline void forget_sent(world *w)
{
    for (size_t i = 0; i < w->n; i++) {
        pw_msg_clear(&w->sent[i].m);
        free(w->sent[i].bulk);
    }
    memset(w->sent, 0, sizeof(w->sent));
    w->n = 0;
}

static inline int wire_open(void *self, pw_err *err)
{
    world *w = self;
    w->opens++;
    if (w->unreachable)
        return pw_fail(err, PW_ESYS, "unreachable");
    w->open = true;
    return 0;
}
static inline void wire_close(void *self)
{
    ((world *)self)->open = false;
}
static inline int wire_send(void *self, const void *head, size_t head_n, const void *bulk, size_t n,
                            pw_err *err)
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
static inline int on_start(void *self, const char *job, pw_err *err)
{
    (void)job;
    (void)err;
    ((world *)self)->starts++;
    return 0;
}
static inline void on_sweep(void *self, const char *job)
{
    (void)self;
    (void)job;
}
static inline int64_t disk_free(void *self)
{
    return ((world *)self)->disk;
}
static inline uint64_t load_milli(void *self)
{
    (void)self;
    return 1500;
}

static inline bool start(world *w)
{
    pw_err err = {0};
    agent_deps deps = {.host = &host,
                       .wire = {wire_open, wire_close, wire_send, w},
                       .start = on_start,
                       .sweep = on_sweep,
                       .disk_free = disk_free,
                       .load_milli = load_milli,
                       .self = w};
    w->agent = agent_free(w->agent);
    forget_sent(w);
    w->opens = w->starts = 0;
    w->full = w->unreachable = false;
    w->agent = agent_new(&w->conf, &w->home, &deps, &err);
    if (!w->agent) /* in torture one allocation fails: the next try goes on */
        w->agent = agent_new(&w->conf, &w->home, &deps, &err);
    if (!w->agent)
        printf("# %s\n", err.text);
    return w->agent != NULL;
}

static inline bool set_up(world *w)
{
    static const char text[] =
        "name: w1\nslots: 3\ntags: [linux]\nmaster:\n  address: \"tcp://a:1\"\n"
        "  key: \"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\"\n";
    yaml_errors errors = {0};
    (void)snprintf(w->dir, sizeof(w->dir), "/tmp/pawl-agent-XXXXXX");
    w->home.lock = -1;
    w->disk = INT64_C(100) << 30;
    bool good = mkdtemp(w->dir) &&
                worker_conf_parse("/x", text, strlen(text), &w->conf, &errors) == 0 &&
                home_open(w->dir, &w->home, NULL) == 0;
    yaml_errors_clear(&errors);
    return good && start(w);
}

static inline void tear_down(world *w)
{
    w->agent = agent_free(w->agent);
    forget_sent(w);
    home_close(&w->home);
    worker_conf_clear(&w->conf);
    (void)pw_fs_remove_tree(w->dir, NULL);
}

static inline void later(world *w, pw_usec d)
{
    now_us += d;
    agent_tick(w->agent);
}

/* Ticks until nothing is due at once. */
static inline void settle(world *w)
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

static inline size_t count(const world *w, pw_msg_type type)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++)
        n += w->sent[i].m.type == type;
    return n;
}

/* Bytes of one job's journal on the wire since the last forget_sent. */
static inline uint64_t shipped(const world *w, uint64_t attempt)
{
    uint64_t n = 0;
    for (size_t i = 0; i < w->n; i++)
        if (w->sent[i].m.type == PW_MSG_JOURNAL && w->sent[i].m.u.journal.attempt == attempt)
            n += w->sent[i].n;
    return n;
}

static inline void deliver(world *w, pw_msg_type type, const void *body, const void *bulk, size_t n)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_MSG_MAX);
    if (pw_msg_encode(type, body, &b, NULL) == 0)
        agent_input(w->agent, b.p, b.len, bulk, n);
    settle(w);
}

static inline void welcome_with(world *w, uint64_t epoch, uint64_t window, msg_welcome_job *v,
                                size_t n)
{
    const sent *hello = newest(w, PW_MSG_HELLO);
    uint8_t mark[] = {1, 2, 3};
    msg_welcome m = {.session = ++w->session,
                     .nonce = hello ? hello->m.u.hello.nonce : 0,
                     .epoch = epoch,
                     .mark = {mark, 3},
                     .proto = 1,
                     .heartbeat_ms = 10000,
                     .window = window,
                     .jobs = {v, n}};
    deliver(w, PW_MSG_WELCOME, &m, NULL, 0);
}

/* A fresh agent on the spool with a session. */
static inline bool connect_with(world *w, msg_welcome_job *v, size_t n, uint64_t window)
{
    if (!start(w))
        return false;
    settle(w);
    welcome_with(w, EPOCH, window, v, n);
    return agent_session(w->agent) == SESSION_UP;
}

static inline void ack(world *w, uint64_t attempt, uint64_t stored, uint64_t window)
{
    msg_ack_item item = {.epoch = EPOCH, .attempt = attempt, .stored = stored, .window = window};
    msg_ack m = {.session = w->session, .items = {&item, 1}};
    deliver(w, PW_MSG_ACK, &m, NULL, 0);
}

static inline void forget(world *w, uint64_t attempt)
{
    msg_forget m = {.session = w->session, .epoch = EPOCH, .attempt = attempt};
    deliver(w, PW_MSG_FORGET, &m, NULL, 0);
}

typedef struct offer {
    uint64_t attempt, window;
    const char *must, *isolation;
    const char *names, *value; /* the secret that the job names, and what comes with it */
    bool bad_digest;
    const void *raw; /* in place of the job's own bytes, with a digest that is right */
    size_t raw_n;
    uint64_t inside; /* the attempt that the job itself names, when it is another */
} offer;

static inline void offer_job(world *w, offer o)
{
    char name[] = "b", kind[] = "run", must[64], isolation[64], secret[64], value[64];
    char *musts[] = {must}, *names[] = {secret}, given[] = "token";
    msg_secret with = {given, {(uint8_t *)value, o.value ? strlen(o.value) : 0}};
    job_step step = {.name = name, .kind = kind, .script = name};
    job_spec spec = {.epoch = EPOCH,
                     .attempt = o.inside ? o.inside : o.attempt,
                     .build = 1,
                     .try_no = 1,
                     .builder = name,
                     .project = name,
                     .isolation = o.isolation ? isolation : NULL,
                     .steps = {&step, 1},
                     .secrets = {names, o.names ? 1 : 0}};
    (void)snprintf(secret, sizeof(secret), "%s", o.names ? o.names : "");
    (void)snprintf(value, sizeof(value), "%s", o.value ? o.value : "");
    (void)snprintf(must, sizeof(must), "%s", o.must ? o.must : "");
    (void)snprintf(isolation, sizeof(isolation), "%s", o.isolation ? o.isolation : "");
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_JOB_MAX);
    uint8_t hash[CRYPT_HASH];
    if (pw_schema_encode(&job_spec_schema, &spec, &b, NULL) < 0)
        return;
    const void *bytes = o.raw ? o.raw : b.p;
    size_t n = o.raw ? o.raw_n : b.len;
    crypt_hash(bytes, n, hash);
    hash[0] = (uint8_t)(hash[0] ^ o.bad_digest);
    msg_job m = {.session = w->session,
                 .epoch = EPOCH,
                 .attempt = o.attempt,
                 .digest = {hash, CRYPT_HASH},
                 .must = {musts, o.must ? 1 : 0},
                 .window = o.window ? o.window : 262144,
                 .secrets = {&with, o.value ? 1 : 0}};
    deliver(w, PW_MSG_JOB, &m, bytes, n);
}

static inline journal_writer *runner_of(const world *w, uint64_t attempt)
{
    PW_AUTO(pw_freep) char *p = spool_path_journal(w->dir, (spool_job){EPOCH, attempt});
    return p ? journal_open_append(p, NULL) : NULL;
}

static inline bool write_rec(journal_writer *r, uint8_t kind, size_t n)
{
    PW_AUTO(pw_freep) uint8_t *payload = calloc(n, 1);
    struct iovec iov = {payload, n};
    return r && payload && journal_append(r, kind, 0, 1, &iov, 1, NULL) == 0;
}

static inline void note(world *w, uint64_t attempt, const journal_writer *r)
{
    agent_note(w->agent, (spool_note){{EPOCH, attempt}, journal_length(r)});
    settle(w);
}

/* Runs the tests of one program on a fresh world. */
static inline int world_run(void (*const all[])(world *), size_t n)
{
    world w = {.home = {.lock = -1}};
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    pw_log_open(PW_LOG_ERROR, null);
    bool ready = crypt_init(NULL) == 0 && set_up(&w);
    ok(ready, "set up");
    for (size_t i = 0; i < n && ready && w.agent; i++)
        all[i](&w);
    tear_down(&w);
    pw_closep(&null);
    return tap_done();
}
#endif
