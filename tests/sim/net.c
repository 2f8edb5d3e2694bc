/* Connections between agents and master, as TCP under a DEALER and a ROUTER gives them: in order,
 * until they end; what is under way when they end is lost from some point on, on each side by
 * itself. A hole keeps what is sent and delivers it late; the ends notice nothing. */
#include <stdlib.h>
#include <string.h>

#include "shared/wire/msg.h"
#include "tests/sim/sim.h"

typedef struct msg {
    struct msg *next;
    pw_usec at;
    size_t head_n, bulk_n;
    uint8_t p[];
} msg;
typedef struct queue {
    msg *first, **last;
    pw_usec newest;
} queue;
typedef struct conn {
    uint64_t peer; /* 0: free */
    int worker;
    bool agent_end, master_end;        /* open */
    bool up;                           /* the handshake is over */
    pw_usec shake_at;                  /* handshake; NEVER: done */
    pw_usec agent_hears, master_hears; /* of the other end's closing; NEVER: not */
    queue up_q, down_q;                /* to the master, to the agent */
} conn;
static conn conns[SIM_CONNS];
static uint64_t next_peer;
static struct trouble {
    net_trouble kind;
    pw_usec until;
} trouble[SIM_WORKERS];

static void queue_clear(queue *q)
{
    while (q->first) {
        msg *m = q->first;
        q->first = m->next;
        free(m);
    }
    q->last = &q->first;
}

void net_reset(void)
{
    for (size_t i = 0; i < SIM_CONNS; i++) {
        queue_clear(&conns[i].up_q);
        queue_clear(&conns[i].down_q);
        conns[i] = (conn){0};
    }
    next_peer = 0;
    memset(trouble, 0, sizeof(trouble));
}

static conn *find(uint64_t peer)
{
    conn *c = peer ? &conns[peer % SIM_CONNS] : NULL;
    return c && c->peer == peer ? c : NULL;
}

static pw_usec delay(void)
{
    return sim_chance(90) ? sim_between(50, 2000) : sim_between(2000, 300 * MS);
}

static bool holed(int w, bool to_master)
{
    net_trouble k = trouble[w].until > sim_now ? trouble[w].kind : NET_FINE;
    return k == NET_HOLE || (to_master ? k == NET_MUTE : k == NET_DEAF);
}

static bool cut(int w)
{
    return trouble[w].until > sim_now && trouble[w].kind == NET_CUT;
}

/* Every message is a line of the trace. */
static void told(const char *way, uint64_t peer, int w, const void *head, size_t n, size_t bulk_n)
{
    static const char *const names[PW_MSG_TYPES] = {
        [PW_MSG_JOIN] = "join",      [PW_MSG_HELLO] = "hello",     [PW_MSG_JOURNAL] = "journal",
        [PW_MSG_HEARTBEAT] = "beat", [PW_MSG_REJECT] = "reject",   [PW_MSG_BYE] = "bye",
        [PW_MSG_JOINED] = "joined",  [PW_MSG_WELCOME] = "welcome", [PW_MSG_REFUSED] = "refused",
        [PW_MSG_JOB] = "job",        [PW_MSG_ACK] = "ack",         [PW_MSG_NOTE] = "note",
        [PW_MSG_CANCEL] = "cancel",  [PW_MSG_FORGET] = "forget",   [PW_MSG_DRAIN] = "drain",
        [PW_MSG_PING] = "ping"};
    pw_msg m = {0};
    if (pw_msg_decode(head, n, &m, NULL) < 0) {
        sim_trace("%s w%d/%llu: not a message", way, w, (unsigned long long)peer);
        return;
    }
    sim_trace("%s w%d/%llu: %s %zu+%zu %s", way, w, (unsigned long long)peer, names[m.type], n,
              bulk_n, m.type == PW_MSG_REFUSED ? m.u.refused.reason : "");
    if (*way == 't')
        oracle_said(&m);
    pw_msg_clear(&m);
}

static int put(queue *q, int w, bool to_master, const void *head, size_t head_n, const void *bulk,
               size_t bulk_n)
{
    msg *m = malloc(sizeof(*m) + head_n + bulk_n);
    if (!m)
        abort();
    m->next = NULL;
    m->head_n = head_n;
    m->bulk_n = bulk_n;
    memcpy(m->p, head, head_n);
    if (bulk_n)
        memcpy(m->p + head_n, bulk, bulk_n);
    m->at = (holed(w, to_master) ? trouble[w].until : sim_now) + delay();
    if (m->at <= q->newest)
        m->at = q->newest + 1;
    q->newest = m->at;
    if (!q->first)
        q->last = &q->first;
    *q->last = m;
    q->last = &m->next;
    return 0;
}

uint64_t net_dial(int worker)
{
    conn *c = &conns[++next_peer % SIM_CONNS];
    queue_clear(&c->up_q);
    queue_clear(&c->down_q);
    *c = (conn){.peer = next_peer,
                .worker = worker,
                .agent_end = true,
                .shake_at = sim_now + delay(),
                .agent_hears = NEVER,
                .master_hears = NEVER};
    c->up_q.last = &c->up_q.first;
    c->down_q.last = &c->down_q.first;
    if (holed(worker, true) || holed(worker, false))
        c->shake_at = trouble[worker].until + delay();
    return next_peer;
}

/* What is under way is lost from some point on. */
static void lose_tail(queue *q)
{
    msg **at = &q->first;
    while (*at && sim_chance(50))
        at = &(*at)->next;
    while (*at) {
        msg *m = *at;
        *at = m->next;
        free(m);
    }
    q->last = at;
}

void net_hang_up(uint64_t peer)
{
    conn *c = find(peer);
    if (!c || !c->agent_end)
        return;
    c->agent_end = false;
    lose_tail(&c->up_q);
    queue_clear(&c->down_q);
    if (!c->master_end)
        c->peer = 0;
    else
        c->master_hears = (holed(c->worker, true)     ? trouble[c->worker].until
                           : c->up_q.newest > sim_now ? c->up_q.newest
                                                      : sim_now) +
                          delay();
}

int net_to_master(uint64_t peer, const void *head, size_t head_n, const void *bulk, size_t bulk_n)
{
    conn *c = find(peer);
    if (c && c->agent_end)
        told("from", peer, c->worker, head, head_n, bulk_n);
    return c && c->agent_end ? put(&c->up_q, c->worker, true, head, head_n, bulk, bulk_n) : -1;
}

int net_to_agent(uint64_t peer, const void *head, size_t head_n, const void *bulk, size_t bulk_n,
                 pw_err *err)
{
    conn *c = find(peer);
    if (!c || !c->master_end)
        return pw_fail(err, PW_ENOTFOUND, "no such connection");
    if (sim_pick(2000) == 0)
        return pw_fail(err, PW_EAGAIN, "its queue is full");
    told("to", peer, c->worker, head, head_n, bulk_n);
    return c->agent_end ? put(&c->down_q, c->worker, false, head, head_n, bulk, bulk_n) : 0;
}

void net_master_gone(void)
{
    for (size_t i = 0; i < SIM_CONNS; i++) {
        conn *c = &conns[i];
        if (!c->peer || !c->up)
            continue;
        if (c->master_end) {
            c->master_end = false;
            queue_clear(&c->up_q);
            lose_tail(&c->down_q);
            if (c->agent_end)
                c->agent_hears =
                    (holed(c->worker, false) ? trouble[c->worker].until : sim_now) + delay();
            else
                c->peer = 0;
        }
    }
}

static void break_off(conn *c)
{
    lose_tail(&c->up_q);
    lose_tail(&c->down_q);
    if (c->agent_end && c->agent_hears == NEVER)
        c->agent_hears = sim_now + delay();
    if (c->master_end && c->master_hears == NEVER)
        c->master_hears = sim_now + delay();
}

void net_worker_trouble(int worker, net_trouble t, pw_usec until)
{
    trouble[worker] = (struct trouble){t, until};
    for (size_t i = 0; t == NET_CUT && i < SIM_CONNS; i++)
        if (conns[i].peer && conns[i].worker == worker)
            break_off(&conns[i]);
}

void net_heal(void)
{
    memset(trouble, 0, sizeof(trouble));
}

static pw_usec sooner(pw_usec a, pw_usec b)
{
    return a < b ? a : b;
}

pw_usec net_due(void)
{
    pw_usec due = NEVER;
    for (size_t i = 0; i < SIM_CONNS; i++) {
        const conn *c = &conns[i];
        if (!c->peer)
            continue;
        due = sooner(due, sooner(c->shake_at, sooner(c->agent_hears, c->master_hears)));
        if (c->up && c->agent_end && c->down_q.first)
            due = sooner(due, c->down_q.first->at);
        if (c->up && c->master_end && c->up_q.first && !sim_mas.wake_at)
            due = sooner(due, c->up_q.first->at);
    }
    return due;
}

static void shake(conn *c)
{
    bool admitted = false;
    c->shake_at = NEVER;
    if (!c->agent_end) {
        c->peer = 0;
        return;
    }
    if (!cut(c->worker) && master_up()) {
        disk_process_set(sim_mas.process);
        admitted = sessions_admit(sim_mas.s.links, sim_workers[c->worker].key);
        disk_process_set(-1);
    }
    if (!admitted) {
        c->agent_hears = sim_now + delay();
        return;
    }
    c->up = c->master_end = true;
    for (msg *m = c->up_q.first; m; m = m->next)
        if (m->at < sim_now)
            m->at = sim_now;
}

void net_deliver(void)
{
    for (size_t i = 0; i < SIM_CONNS; i++) {
        conn *c = &conns[i];
        uint64_t peer = c->peer;
        if (peer && c->shake_at <= sim_now)
            shake(c);
        while (c->peer == peer && peer && c->up && c->agent_end && c->down_q.first &&
               c->down_q.first->at <= sim_now) {
            msg *m = c->down_q.first;
            c->down_q.first = m->next;
            worker_input(c->worker, peer, m->p, m->head_n, m->p + m->head_n, m->bulk_n);
            free(m);
        }
        if (c->peer == peer && peer && c->agent_hears <= sim_now) {
            c->agent_hears = NEVER;
            c->agent_end = false;
            int w = c->worker;
            if (!c->master_end)
                c->peer = 0;
            worker_lost(w, peer, "the connection is over");
        }
        if (c->peer == peer && peer && c->master_hears <= sim_now) {
            c->master_hears = NEVER;
            c->master_end = false;
            queue_clear(&c->up_q);
            if (!c->agent_end)
                c->peer = 0;
        }
        if (c->peer == peer && peer && c->up && c->master_end && c->up_q.first &&
            c->up_q.first->at <= sim_now)
            master_wake(sim_now + (sim_chance(50) ? 0 : sim_between(0, 3 * MS)));
    }
}

size_t net_take(size_t max)
{
    for (size_t n = 0; n < max; n++) {
        conn *best = NULL;
        for (size_t i = 0; i < SIM_CONNS; i++) {
            conn *c = &conns[i];
            if (c->peer && c->up && c->master_end && c->up_q.first &&
                c->up_q.first->at <= sim_now && (!best || c->up_q.first->at < best->up_q.first->at))
                best = c;
        }
        if (!best || !sim_mas.s.links)
            return n;
        msg *m = best->up_q.first;
        best->up_q.first = m->next;
        if (!best->up_q.first)
            best->up_q.last = &best->up_q.first;
        sessions_message(sim_mas.s.links, best->peer, sim_workers[best->worker].key, m->p,
                         m->head_n, m->bulk_n ? m->p + m->head_n : NULL, m->bulk_n);
        free(m);
        if (disk_process_dead(sim_mas.process))
            return n + 1;
    }
    return max;
}
