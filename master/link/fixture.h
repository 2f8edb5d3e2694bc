/* fixture.h - what the tests of this folder share: the core's world (master/core/fixture.h) with
 * sessions and a real log store on top, a network that only remembers what was sent, and an agent
 * that speaks the worker's side: it has journals in memory and ships whichever piece it is told to.
 * Tests only. */
#ifndef PW_MASTER_LINK_FIXTURE_H
#define PW_MASTER_LINK_FIXTURE_H
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/core/fixture.h"
#include "master/link/state.h"
#include "shared/base/num.h"
#include "shared/journal/journal.h"

enum { SENT_MAX = 256, RECORDS_MAX = 200, JOURNAL_MAX = 1 << 16 };

typedef struct sent {
    uint64_t peer;
    pw_msg m; /* owned */
    uint8_t *bulk;
    size_t bulk_len;
} sent;

typedef struct net {
    world *w;
    pw_chan *answers;
    logs *logs;
    sessions *s;
    char dir[128];
    sent out[SENT_MAX];
    size_t n;
    uint64_t dead; /* nothing reaches this connection any more */
    bool keep;     /* the log store outlives the core: a commit failed */
} net;

/* ---- the master's side */
static inline int net_send(void *self, uint64_t peer, const void *head, size_t head_len,
                           const void *bulk, size_t bulk_len, pw_err *err)
{
    net *n = self;
    sent *o = &n->out[n->n];
    if (peer == n->dead)
        return pw_fail(err, PW_ENOTFOUND, "no such connection");
    if (n->n == SENT_MAX || pw_msg_decode(head, head_len, &o->m, NULL) < 0)
        return 0;
    o->peer = peer;
    o->bulk_len = bulk_len;
    o->bulk = bulk_len ? malloc(bulk_len) : NULL;
    if (o->bulk)
        memcpy(o->bulk, bulk, bulk_len);
    n->n++;
    return 0;
}

static inline void net_forget(net *n)
{
    for (size_t i = 0; i < n->n; i++) {
        pw_msg_clear(&n->out[i].m);
        free(n->out[i].bulk);
    }
    n->n = 0;
}

static inline int net_frame(void *self, const store_frame *f)
{
    pw_err err = {0};
    int r = logs_load_frame(((net *)self)->logs, f, &err);
    if (r < 0)
        printf("# frame of attempt %llu: %s\n", (unsigned long long)f->attempt, err.text);
    return r;
}

static inline int net_left_over(void *self, const store_log *l)
{
    net *n = self;
    if (!core_attempt_find(n->w->core, l->attempt))
        (void)logs_seal_attempt(n->logs, l->attempt, NULL);
    return 0;
}

static inline bool net_load(void *self)
{
    static const uint8_t mark[32] = {5};
    net *n = self;
    pw_err err = {0};
    if (n->logs)
        logs_reset(n->logs);
    else if (!(n->answers = pw_chan_new(10000, free, &err)) ||
             !(n->logs = logs_open(n->dir, &n->w->host, n->answers, &err)))
        return false;
    if (store_frames_open(n->w->st, net_frame, n, &err) < 0 || logs_loaded(n->logs, &err) < 0 ||
        !(n->s = sessions_new(n->w->core, n->logs, &n->w->host, mark, net_send, n, &err)) ||
        store_logs_open(n->w->st, net_left_over, n, &err) < 0) {
        printf("# not loaded: %s\n", err.text);
        return false;
    }
    return true;
}

static inline void net_stop(void *self)
{
    net *n = self;
    n->s = sessions_free(n->s);
    if (n->keep)
        return;
    n->logs = logs_close(n->logs);
    n->answers = pw_chan_free(n->answers);
}

static inline void net_before(void *self)
{
    sessions_end_turn(((net *)self)->s);
}
static inline void net_effect(void *self, const core_effect *e)
{
    net *n = self;
    sessions_effect(n->s, e);
    if (e->kind == CORE_SEAL)
        (void)logs_seal_attempt(n->logs, e->attempt, NULL);
}
static inline void net_after(void *self)
{
    sessions_flush(((net *)self)->s);
}

static inline net *net_free(net *n)
{
    if (!n)
        return NULL;
    net_forget(n);
    world_free(n->w);
    free(n);
    return NULL;
}
PW_DEFINE_FREEP(net, net_free)

static inline net *net_new(const char *yaml)
{
    PW_AUTO(net_freep) net *n = calloc(1, sizeof(*n));
    if (!n || !(n->w = world_new(yaml)))
        return NULL;
    world_stop(n->w);
    (void)snprintf(n->dir, sizeof(n->dir), "%.60s/logs", n->w->dir);
    n->w->ops = (struct world_ops){net_load, net_stop, net_before, net_effect, net_after};
    n->w->ops_self = n;
    (void)world_load(n->w);
    return pw_take(n);
}

/* One answer of the log store, without a commit. False when none is there (after 5 s when `wait`).
 */
static inline bool net_take_answer(net *n, bool wait)
{
    if (!n->s)
        return false;
    struct pollfd p = {.fd = pw_chan_fd(n->answers), .events = POLLIN};
    if (wait)
        (void)poll(&p, 1, 5000);
    logs_answer *a = pw_chan_recv(n->answers);
    if (!a && wait)
        printf("# the log store does not answer\n");
    if (!a)
        return false;
    if (a->kind == LOGS_SYNCED) {
        sessions_synced(n->s, a->ticket, a->code, a->text);
    } else if (a->code == 0) {
        core_log_sealed(n->w->core, a->key.attempt, a->key.idx, a->key.stream, a->packed);
        if (world_go(n->w) == 0)
            logs_sealed(n->logs, a->key);
    }
    free(a);
    return true;
}
static inline bool net_answer(net *n, bool wait)
{
    return net_take_answer(n, wait) && world_go(n->w) == 0;
}

/* A sync was asked for and not answered. */
static inline bool net_waits(const net *n)
{
    return n->s && n->s->n_pend > 0 && n->s->pend[0].ticket > 0;
}

/* All that was written is on disk, and everybody knows. */
static inline void net_settle(net *n)
{
    (void)world_go(n->w);
    while (net_waits(n) && net_answer(n, true))
        ;
    while (net_answer(n, false))
        ;
}

static inline void net_pass(net *n, int seconds)
{
    for (int i = 0; i < seconds && n->w->core; i++) {
        world_pass(n->w, 1);
        if (n->s)
            sessions_tick(n->s);
        (void)world_go(n->w);
    }
}

/* A commit failed: core, store and sessions are loaded anew in the same process. */
static inline void net_commit_failed(net *n)
{
    n->keep = true;
    world_restart(n->w, NULL);
    n->keep = false;
}

/* ---- what arrived */
static inline const sent *got(const net *n, uint64_t peer, pw_msg_type type)
{
    static const sent none;
    for (size_t i = n->n; i-- > 0;)
        if (n->out[i].peer == peer && n->out[i].m.type == type)
            return &n->out[i];
    return &none;
}
static inline size_t got_count(const net *n, uint64_t peer, pw_msg_type type)
{
    size_t k = 0;
    for (size_t i = 0; i < n->n; i++)
        k += n->out[i].peer == peer && n->out[i].m.type == type;
    return k;
}
/* `stored` of the newest ack for that attempt; -1 none */
static inline int64_t acked(const net *n, uint64_t attempt)
{
    for (size_t i = n->n; i-- > 0;) {
        const msg_ack *a = &n->out[i].m.u.ack;
        const msg_ack_item *item = a->items.v;
        if (n->out[i].m.type == PW_MSG_ACK && a->items.n > 0 && item->attempt == attempt)
            return (int64_t)item->stored;
    }
    return -1;
}

/* ---- journals */
typedef struct journal {
    _Alignas(16) uint64_t epoch;
    uint64_t attempt;
    uint8_t p[JOURNAL_MAX];
    size_t n;                        /* bytes */
    size_t records;                  /* at[records] == n */
    size_t at[RECORDS_MAX + 1];      /* borders */
    uint32_t chain[RECORDS_MAX + 1]; /* at the borders */
    uint64_t pos[4], lines[4];       /* of the output of each step */
} journal;

static inline void put(journal *j, uint8_t kind, uint8_t flags, const void *payload, size_t n)
{
    uint8_t before[4], *p = j->p + j->n;
    size_t size = JOURNAL_HEAD + n + JOURNAL_TAIL;
    if (j->records == RECORDS_MAX || n > JOURNAL_MAX || j->n + size > JOURNAL_MAX)
        abort();
    pw_put_le32(before, j->chain[j->records]);
    pw_put_le32(p, (uint32_t)n);
    p[4] = kind;
    p[5] = flags;
    memset(p + 6, 0, 6);
    if (n > 0)
        memcpy(p + JOURNAL_HEAD, payload, n);
    uint32_t crc = pw_crc32c(pw_crc32c(0, before, 4), p, JOURNAL_HEAD + n);
    pw_put_le32(p + JOURNAL_HEAD + n, crc);
    j->n += size;
    j->records++;
    j->at[j->records] = j->n;
    j->chain[j->records] = crc;
}
static inline void put_schema(journal *j, uint8_t kind, const pw_schema *schema, const void *v)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(100000);
    if (pw_schema_encode(schema, v, &b, NULL) == 0)
        put(j, kind, 0, b.p, b.len);
}
static inline void put_header(journal *j, uint8_t digest[32])
{
    rec_header r = {1, j->epoch, j->attempt, {digest, 32}, 7};
    put_schema(j, PW_REC_HEADER, &rec_header_schema, &r);
}
static inline void put_start(journal *j)
{
    rec_start r = {.pid = 1, .wall_ms = 1};
    put_schema(j, PW_REC_START, &rec_start_schema, &r);
}
static inline void put_step_start(journal *j, uint64_t step)
{
    rec_step_start r = {step, 10 + step};
    put_schema(j, PW_REC_STEP_START, &rec_step_start_schema, &r);
}
static inline void put_step_end(journal *j, uint64_t step, pw_result result)
{
    rec_step_end r = {.step = step, .result = (uint64_t)result, .ran = true, .wall_ms = 20 + step};
    put_schema(j, PW_REC_STEP_END, &rec_step_end_schema, &r);
}
static inline void put_property(journal *j, const char *name, const char *value)
{
    rec_property r = {0, (char *)(uintptr_t)name, (char *)(uintptr_t)value};
    put_schema(j, PW_REC_PROPERTY, &rec_property_schema, &r);
}
static inline void put_end(journal *j, pw_result result)
{
    rec_end r = {.result = (uint64_t)result, .wall_ms = 9};
    put_schema(j, PW_REC_END, &rec_end_schema, &r);
}
/* One frame of raw output of a step; `skip` bytes before it were left out. */
static inline void put_log(journal *j, unsigned step, const void *text, size_t n, uint64_t skip)
{
    uint8_t payload[RECORD_LOG_HEAD + 4096];
    uint32_t lines = 0;
    if (n > 4096)
        abort();
    for (size_t i = 0; i < n; i++)
        lines += ((const char *)text)[i] == '\n';
    j->pos[step] += skip;
    rec_log r = {.step = (uint16_t)step,
                 .codec = PW_CODEC_RAW,
                 .raw_len = (uint32_t)n,
                 .lines = lines,
                 .raw_pos = j->pos[step],
                 .first_line = j->lines[step],
                 .t_first_ms = 1,
                 .t_last_ms = 2};
    rec_log_put_head(&r, payload);
    memcpy(payload + RECORD_LOG_HEAD, text, n);
    put(j, PW_REC_LOG, 0, payload, RECORD_LOG_HEAD + n);
    j->pos[step] += n;
    j->lines[step] += lines;
}
static inline void put_text(journal *j, unsigned step, const char *text)
{
    put_log(j, step, text, strlen(text), 0);
}

/* ---- the worker's side */
typedef struct agent {
    net *n;
    uint64_t id; /* of the worker */
    uint8_t key[32];
    char spool[33], boot[40];
    uint64_t peer, session, nonce, slots;
    uint8_t mark[PW_MARK_MAX];
    size_t mark_n;
    journal *job[8]; /* owned; what the spool has */
    size_t grown[8]; /* records that are written so far */
    size_t jobs;
} agent;

static inline agent agent_init(net *n, const char *name, uint8_t k, uint8_t spool)
{
    agent a = {.n = n, .slots = 4, .peer = 100u * k};
    uint8_t id[16];
    fill(a.key, 32, k);
    fill(id, 16, spool);
    pw_hex(id, 16, a.spool);
    (void)snprintf(a.boot, sizeof(a.boot), "%s", "01234567-89ab-cdef-0123-456789abcdef");
    a.id = worker(n->w, name, k);
    return a;
}
static inline void agent_clear(agent *a)
{
    for (size_t i = 0; i < a->jobs; i++)
        free(a->job[i]);
    a->jobs = 0;
}
static inline journal *agent_job(agent *a, uint64_t epoch, uint64_t attempt)
{
    void *room = NULL; /* by a call that does not fail on purpose: tests/fault.c */
    if (a->jobs == 8 || posix_memalign(&room, 16, sizeof(journal)) != 0)
        abort();
    journal *j = room;
    memset(j, 0, sizeof(*j));
    j->epoch = epoch;
    j->attempt = attempt;
    store_attempt row = {0}; /* the job's digest, as the master offered it */
    if (a->n->w->st)
        (void)store_attempt_get(a->n->w->st, attempt, &row, NULL);
    put_header(j, row.digest);
    a->job[a->jobs] = j;
    a->grown[a->jobs++] = 1;
    return j;
}
static inline void agent_drop_job(agent *a, size_t i)
{
    free(a->job[i]);
    a->jobs--;
    memmove(a->job + i, a->job + i + 1, (a->jobs - i) * sizeof(*a->job));
    memmove(a->grown + i, a->grown + i + 1, (a->jobs - i) * sizeof(*a->grown));
}
/* Gives the message to the master, without a commit. */
static inline void agent_give(const agent *a, pw_msg_type type, const void *body, const void *bulk,
                              size_t bulk_len)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_MSG_MAX);
    if (a->n->s && pw_msg_encode(type, body, &b, NULL) == 0)
        sessions_message(a->n->s, a->peer, a->key, b.p, b.len, bulk, bulk_len);
}
static inline void agent_say(const agent *a, pw_msg_type type, const void *body, const void *bulk,
                             size_t bulk_len)
{
    agent_give(a, type, body, bulk, bulk_len);
    (void)world_go(a->n->w);
}
static inline void agent_take_welcome(agent *a)
{
    const sent *o = got(a->n, a->peer, PW_MSG_WELCOME);
    a->session = 0;
    if (!o->peer)
        return;
    a->session = o->m.u.welcome.session;
    a->mark_n = o->m.u.welcome.mark.n;
    if (a->mark_n)
        memcpy(a->mark, o->m.u.welcome.mark.p, a->mark_n);
}
/* A new connection and a hello on it, that lists what the spool has. Returns whether there was a
 * welcome. */
static inline bool agent_hello(agent *a)
{
    msg_hello_job v[8];
    static char version[] = "1", tag[] = "linux";
    char *tags[] = {tag};
    msg_hello h = {.proto_min = PW_PROTO_MIN,
                   .proto_max = PW_PROTO_MAX,
                   .nonce = ++a->nonce,
                   .spool = a->spool,
                   .boot = a->boot,
                   .mark = {a->mark, a->mark_n},
                   .version = version,
                   .slots = a->slots,
                   .tags = {tags, 1},
                   .jobs = {v, a->jobs}};
    for (size_t i = 0; i < a->jobs; i++)
        v[i] = (msg_hello_job){a->job[i]->epoch, a->job[i]->attempt, 0, a->job[i]->at[a->grown[i]],
                               PW_JOB_RUNNING};
    a->peer++;
    agent_say(a, PW_MSG_HELLO, &h, NULL, 0);
    agent_take_welcome(a);
    return a->session != 0;
}
static inline const msg_welcome_job *agent_verdict(const agent *a, uint64_t attempt)
{
    static const msg_welcome_job none;
    const sent *o = got(a->n, a->peer, PW_MSG_WELCOME);
    const msg_welcome_job *v = o->m.u.welcome.jobs.v;
    for (size_t i = 0; o->peer && i < o->m.u.welcome.jobs.n; i++)
        if (v[i].attempt == attempt)
            return &v[i];
    return &none;
}
/* Records [from, to) of the journal; chain: what is said to stand before them. */
static inline void agent_ship_as(const agent *a, const journal *j, size_t from, size_t to,
                                 uint32_t chain, bool commit)
{
    if (to > j->records) /* memory was short when it was made */
        to = j->records;
    if (from > to)
        return;
    msg_journal m = {a->session, j->epoch, j->attempt, j->at[from], chain};
    agent_give(a, PW_MSG_JOURNAL, &m, j->p + j->at[from], j->at[to] - j->at[from]);
    if (commit)
        (void)world_go(a->n->w);
}
static inline void agent_ship(const agent *a, const journal *j, size_t from, size_t to)
{
    agent_ship_as(a, j, from, to, j->chain[from], true);
}
static inline void agent_beat(const agent *a, uint64_t free_slots)
{
    msg_heartbeat h = {.session = a->session, .sent_us = 77, .free_slots = free_slots};
    agent_say(a, PW_MSG_HEARTBEAT, &h, NULL, 0);
}

/* ---- what the master has: the whole log of a step as text ("" when there is none) */
static inline size_t log_read(net *n, uint64_t attempt, uint32_t step, char *out, size_t cap)
{
    PW_AUTO(log_view_closep)
    log_view *v =
        n->logs ? log_view_open(n->logs, (log_key){attempt, step, PW_STREAM_OUT}, NULL) : NULL;
    size_t len = 0;
    uint64_t at = 0;
    for (int64_t k = 1; v && k > 0 && len + 1 < cap; len += k > 0 ? (size_t)k : 0)
        k = log_view_read(v, at, out + len, cap - 1 - len, &at, NULL);
    out[len] = '\0';
    return len;
}
static inline bool log_is(net *n, uint64_t attempt, uint32_t step, const char *text)
{
    char out[20000];
    (void)log_read(n, attempt, step, out, sizeof(out));
    return strcmp(out, text) == 0;
}
#endif
