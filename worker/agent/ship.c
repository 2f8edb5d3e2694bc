#include "worker/agent/ship.h"

#include <inttypes.h>
#include <stdlib.h>

#include "shared/base/log.h"
#include "shared/base/num.h"

enum {
    RECORD_MAX = JOURNAL_HEAD + JOURNAL_PAYLOAD_MAX + JOURNAL_TAIL,
    RECORD_LEAST = JOURNAL_HEAD + JOURNAL_TAIL,
    READERS_MANY = 256, /* with more jobs than that, files are not kept open: descriptors are few */
    PUMP_MAX = 32,      /* messages of one call: other work must have its turn */
    STALLS_MAX = 4,     /* the pause doubles so often: a slow master is not flooded */
};

struct ship {
    const pw_host *host;
    jobs *jobs;
    ship_send_fn *send;
    void *send_self;
    TAILQ_HEAD(, agent_job) ready; /* may have something to send now */
    bool up;
    uint64_t window, unacked;
    pw_usec retry_at; /* -1: none */
    uint8_t *big;     /* owned, on demand */
    size_t big_cap;
    uint64_t stray;
    uint8_t small[SHIP_SMALL];
};

ship *ship_new(const pw_host *host, jobs *of, ship_send_fn *send, void *send_self, pw_err *err)
{
    ship *self = calloc(1, sizeof(*self));
    if (!self) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->host = host;
    self->jobs = of;
    self->send = send;
    self->send_self = send_self;
    self->retry_at = -1;
    TAILQ_INIT(&self->ready);
    return self;
}

static void give_back(ship *self)
{
    free(self->big);
    self->big = NULL;
    self->big_cap = 0;
}

ship *ship_free(ship *self)
{
    if (self) {
        give_back(self);
        free(self);
    }
    return NULL;
}

uint64_t ship_unacked(const ship *self)
{
    return self->unacked;
}

uint64_t ship_stray(const ship *self)
{
    return self->stray;
}

/* ---- which jobs wait */

static void unready(ship *self, agent_job *j)
{
    if (!j->is_ready)
        return;
    TAILQ_REMOVE(&self->ready, j, ready);
    j->is_ready = false;
}

void ship_grown(ship *self, agent_job *j)
{
    if (!self->up || !j->shipping || j->is_ready || j->size <= j->sent)
        return;
    TAILQ_INSERT_TAIL(&self->ready, j, ready);
    j->is_ready = true;
}

static void reader_close(agent_job *j)
{
    (void)journal_reader_free(j->reader);
    j->reader = NULL;
}

void ship_drop(ship *self, agent_job *j)
{
    unready(self, j);
    if (j->shipping)
        self->unacked -= j->sent - j->stored;
    j->shipping = false;
    j->sent = j->stored = j->window = 0;
    reader_close(j);
}

void ship_begin(ship *self, uint64_t window)
{
    self->up = true;
    self->window = window;
    self->retry_at = -1;
}

void ship_end(ship *self)
{
    agent_job *j;
    TAILQ_FOREACH(j, jobs_list(self->jobs, PW_JOB_RUNNING), link)
    ship_drop(self, j);
    self->up = false;
    self->unacked = 0;
    self->retry_at = -1;
    give_back(self);
}

/* Both offsets to `offset`; 0 or why not. */
static int go_to(ship *self, agent_job *j, uint64_t offset, pw_err *err)
{
    uint32_t chain;
    int rc = jobs_chain_at(self->jobs, j, offset, &chain, err);
    if (rc < 0)
        return rc;
    self->unacked -= j->sent - j->stored;
    j->stored = j->sent = offset;
    j->sent_chain = chain;
    j->moved_at = pw_now(self->host);
    return 0;
}

int ship_resume(ship *self, agent_job *j, uint64_t offset, uint64_t window, bool fresh, pw_err *err)
{
    char name[SPOOL_JOB_NAME];
    ship_drop(self, j);
    if (offset > j->whole)
        return pw_fail(err, PW_ENOTFOUND,
                       "job %s ends at byte %" PRIu64 ", the master has %" PRIu64,
                       spool_job_name(j->id, name), j->whole, offset);
    int rc = go_to(self, j, offset, err);
    if (rc < 0)
        return rc;
    j->shipping = true;
    j->window = window;
    j->stalls = 0;
    if (!fresh)
        ship_grown(self, j);
    return 0;
}

/* ---- what the master says */

/* The master asks for the journal again from `stored`, or has more than we know to have sent it. */
static void jump(ship *self, agent_job *j, uint64_t stored)
{
    pw_err err = {0};
    if (stored > j->whole || go_to(self, j, stored, &err) < 0)
        self->stray++;
}

void ship_ack(ship *self, const msg_ack_item *a)
{
    agent_job *j = jobs_find(self->jobs, (spool_job){a->epoch, a->attempt});
    if (!self->up || !j || !j->shipping) {
        self->stray++;
        return;
    }
    if (a->stored < j->stored || a->stored > j->sent) {
        jump(self, j, a->stored);
    } else if (a->stored > j->stored) {
        self->unacked -= a->stored - j->stored;
        j->stored = a->stored;
        j->moved_at = pw_now(self->host);
        j->stalls = 0;
    }
    j->window = a->window;
    ship_grown(self, j);
    /* others may have waited for the worker's window only: they are still ready */
}

void ship_poll(ship *self)
{
    agent_job *j;
    pw_usec now = pw_now(self->host);
    if (!self->up)
        return;
    TAILQ_FOREACH(j, jobs_list(self->jobs, PW_JOB_RUNNING), link)
    {
        char name[SPOOL_JOB_NAME];
        pw_err err = {0};
        ship_grown(self, j); /* what could not be read a moment ago is tried again */
        if (!j->shipping || j->sent == j->stored || now - j->moved_at < SHIP_STALL << j->stalls)
            continue;
        pw_log(PW_LOG_INFO, "journal_again", "job=%s from=%" PRIu64 " sent=%" PRIu64,
               spool_job_name(j->id, name), j->stored, j->sent);
        if (j->stalls < STALLS_MAX)
            j->stalls++;
        if (go_to(self, j, j->stored, &err) < 0)
            pw_log_err(PW_LOG_WARN, "journal_not_read", &err);
        ship_grown(self, j);
    }
    if (TAILQ_EMPTY(&self->ready) && self->unacked == 0)
        give_back(self);
}

/* ---- sending */

/* The next to send: fewest unacknowledged bytes, then who waited longest. */
static agent_job *choose(ship *self)
{
    agent_job *best = NULL, *next;
    for (agent_job *j = TAILQ_FIRST(&self->ready); j; j = next) {
        next = TAILQ_NEXT(j, ready);
        uint64_t under_way = j->sent - j->stored;
        uint64_t left = j->size > j->sent ? j->size - j->sent : 0;
        uint64_t room = j->window > under_way ? j->window - under_way : 0;
        /* An acknowledgement, which can only raise the room, makes it ready again. */
        if (!left || room == 0 || (under_way && room < left && room < SHIP_WORTH)) {
            unready(self, j);
            continue;
        }
        if (!best || under_way < best->sent - best->stored)
            best = j;
    }
    return best;
}

static uint8_t *room_for(ship *self, size_t n)
{
    if (n <= sizeof(self->small))
        return self->small;
    if (n > self->big_cap) {
        size_t cap = n > SHIP_BATCH ? RECORD_MAX : SHIP_BATCH;
        give_back(self);
        self->big = malloc(cap);
        self->big_cap = self->big ? cap : 0;
    }
    return self->big;
}

typedef enum outcome { SENT, SKIP, BLOCKED } outcome;

/* Reads at most cap bytes of whole records. *need: bytes of the first record when it is longer than
 * that. */
static int64_t read_some(ship *self, agent_job *j, size_t cap, uint8_t **ret_p, uint32_t *chain,
                         size_t *need, pw_err *err)
{
    uint64_t left = j->size - j->sent;
    *need = 0;
    *chain = j->sent_chain;
    if (left < cap)
        cap = (size_t)left;
    uint8_t *p = room_for(self, cap);
    if (!p)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (!j->reader) {
        PW_AUTO(pw_freep) char *path = NULL;
        int rc = jobs_journal_path(self->jobs, j, &path, err);
        if (rc < 0)
            return rc;
        pw_err why = {0};
        j->reader = journal_open_read(path, &why);
        if (!j->reader) {
            if (err)
                *err = why;
            return why.code;
        }
    }
    int64_t n = journal_read(j->reader, j->sent, chain, p, cap, err);
    *ret_p = p;
    if (n == 0 && cap >= 4) {
        uint64_t size = JOURNAL_HEAD + (uint64_t)pw_le32(p) + JOURNAL_TAIL;
        if (size > cap && size <= left && size <= RECORD_MAX)
            *need = (size_t)size;
    }
    return n;
}

static outcome not_readable(ship *self, agent_job *j, pw_err *err)
{
    char name[SPOOL_JOB_NAME];
    (void)pw_err_context(err, "job %s", spool_job_name(j->id, name));
    if (!j->complained)
        pw_log_err(PW_LOG_WARN, "journal_not_read", err);
    j->complained = true;
    unready(
        self,
        j); /* damage is looked after when its runner is gone; else the next growth tries again */
    return SKIP;
}

static outcome send_records(ship *self, agent_job *j, const uint8_t *p, size_t n, uint32_t chain)
{
    pw_err err = {0};
    msg_journal m = {
        .epoch = j->id.epoch, .attempt = j->id.attempt, .offset = j->sent, .chain = j->sent_chain};
    int rc = self->send(self->send_self, &m, p, n, &err);
    if (rc < 0) {
        self->retry_at = rc == PW_EAGAIN ? pw_now(self->host) + SHIP_RETRY : -1;
        return BLOCKED;
    }
    uint64_t at = j->sent;
    j->sent += n;
    j->sent_chain = chain;
    self->unacked += n;
    j->moved_at = pw_now(self->host);
    unready(self, j);
    ship_grown(self, j); /* behind the others */
    jobs_seen(self->jobs, j, p, n, at, chain);
    if ((j->state == PW_JOB_ENDED && j->sent == j->whole) || jobs_open(self->jobs) > READERS_MANY)
        reader_close(j);
    return SENT;
}

static outcome send_one(ship *self, agent_job *j)
{
    pw_err err = {0};
    uint8_t *p = NULL;
    uint32_t chain;
    size_t need;
    uint64_t under_way = j->sent - j->stored, room = j->window - under_way;
    uint64_t all = self->window > self->unacked ? self->window - self->unacked : 0;
    if (self->window == 0)
        return BLOCKED;
    uint64_t cap = room < SHIP_BATCH ? room : SHIP_BATCH;
    if (all < cap)
        cap = all;
    if (self->unacked && all < SHIP_WORTH && all < j->size - j->sent)
        return BLOCKED;
    if (cap < RECORD_LEAST)
        cap = RECORD_LEAST; /* a window below the shortest record: see the record that is longer
                               than a window */
    int64_t n = read_some(self, j, (size_t)cap, &p, &chain, &need, &err);
    if (n == 0 && need) {
        /* A record that is longer than a window goes when nothing else is under way: it must go
         * some day. Until then nobody overtakes it, or it would wait for ever. */
        if (under_way && need > room) {
            unready(self, j);
            return SKIP;
        }
        if (self->unacked && need > all)
            return BLOCKED;
        n = read_some(self, j, need, &p, &chain, &need, &err);
    }
    if (n < 0)
        return not_readable(self, j, &err);
    if (n == 0) { /* half a record: its writer is at it */
        unready(self, j);
        return SKIP;
    }
    return send_records(self, j, p, (size_t)n, chain);
}

pw_usec ship_pump(ship *self)
{
    if (!self->up || (self->retry_at >= 0 && pw_now(self->host) < self->retry_at))
        return self->retry_at;
    self->retry_at = -1;
    for (int i = 0; i < PUMP_MAX; i++) {
        agent_job *j = choose(self);
        if (!j)
            return -1;
        if (send_one(self, j) == BLOCKED)
            return self->retry_at;
    }
    return 0;
}
