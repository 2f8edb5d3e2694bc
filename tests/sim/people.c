/* People and their scripts: a question has a key and is asked again, with that key, until it is
 * answered. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

typedef struct ask {
    core_cmd_kind kind;
    char key[24];
    uint64_t id; /* build */
    unsigned branch;
    const char *builder;
    char name[8];
    char revision[GIT_REV];
    bool under_way, answered;
    unsigned asked;
    pw_usec again_at;
    int status;
    char *body; /* of the first answer; owned */
    uint64_t requests[4];
    size_t n_requests;
} ask;
static ask asks[SIM_ASKS];
static size_t n_asks;

void people_reset(void)
{
    for (size_t i = 0; i < n_asks; i++)
        free(asks[i].body);
    n_asks = 0;
}

/* Some places are kept for the end, when all workers are resumed. */
static ask *new_ask(core_cmd_kind kind)
{
    if (n_asks == SIM_ASKS || (n_asks >= SIM_ASKS - SIM_WORKERS && kind != CMD_WORKER_RESUME))
        return NULL;
    ask *a = &asks[n_asks++];
    *a = (ask){.kind = kind, .again_at = sim_now};
    (void)snprintf(a->key, sizeof(a->key), "key-%zu", n_asks);
    return a;
}

void people_force(void)
{
    ask *a = new_ask(CMD_FORCE);
    if (!a)
        return;
    a->builder = sim_chance(50) ? "fast" : "slow";
    a->branch = (unsigned)sim_pick(2) * 2; /* master or topic */
    if (remote_tip((int)a->branch) < 0)
        a->branch = 0;
    (void)snprintf(a->revision, sizeof(a->revision), "%s", remote_rev(remote_tip((int)a->branch)));
}

void people_change(void)
{
    ask *a = new_ask(CMD_CHANGE);
    if (!a)
        return;
    a->branch = 0;
    (void)snprintf(a->revision, sizeof(a->revision), "%s", remote_rev(remote_tip(0)));
}

static uint64_t some_request(void)
{
    uint64_t id[SIM_ASKS * 4];
    size_t n = people_requests(id, SIM_ASKS * 4);
    return n ? id[sim_pick(n)] : 0;
}

void people_cancel(void)
{
    uint64_t r = some_request();
    ask *a = r ? new_ask(CMD_CANCEL_REQUEST) : NULL;
    if (a)
        a->id = r;
}

void people_retry(void)
{
    store_request row = {0};
    uint64_t r = some_request();
    if (!r || !master_up() || store_request_get(sim_mas.s.st, r, &row, NULL) < 0)
        return;
    ask *a = row.build ? new_ask(CMD_RETRY) : NULL;
    if (a)
        a->id = row.build;
    store_request_clear(&row);
}

void people_pause(void)
{
    static const core_cmd_kind kinds[] = {CMD_WORKER_PAUSE, CMD_WORKER_RESUME};
    int w = (int)sim_pick(SIM_WORKERS);
    ask *a = new_ask(kinds[sim_pick(2)]);
    if (a)
        (void)snprintf(a->name, sizeof(a->name), "w%d", w);
}

void people_resume(int w)
{
    ask *a = new_ask(CMD_WORKER_RESUME);
    if (a)
        (void)snprintf(a->name, sizeof(a->name), "w%d", w);
}

void people_pester(void)
{
    if (n_asks == 0)
        return;
    ask *a = &asks[sim_pick(n_asks)];
    if (!a->under_way)
        a->again_at = sim_now;
}

/* ---- asking */
static void take_ids(ask *a)
{
    const char *p = strstr(a->body, "\"requests\":[");
    if (!p)
        return;
    p += strlen("\"requests\":[");
    while (*p >= '0' && *p <= '9' && a->n_requests < 4) {
        char *end;
        a->requests[a->n_requests++] = strtoull(p, &end, 10);
        p = end + (*end == ',');
    }
}

static void answered(core_cmd *c, void *self)
{
    ask *a = self;
    bool dead = disk_process_dead(sim_mas.process), lost = sim_chance(10);
    a->under_way = false;
    a->again_at = sim_now + sim_between(10 * MS, 3 * SEC);
    if (!dead && !lost && c->status != 503 && c->status != 500) {
        sim_trace("%s: %d %.70s", a->key, c->status, pw_buf_str(&c->body));
        /* what was done is answered the same for ever; what was refused may be done another time */
        bool done = a->answered && a->status < 300;
        if (done && (a->status != c->status || strcmp(a->body, pw_buf_str(&c->body)) != 0))
            oracle_fail("key %s was answered %d %s, and then %d %s", a->key, a->status, a->body,
                        c->status, pw_buf_str(&c->body));
        if (!done) {
            free(a->body);
            a->status = c->status;
            a->body = strdup(pw_buf_str(&c->body));
            if (!a->body)
                abort();
            if (c->status == 202)
                take_ids(a);
        }
        a->answered = true;
        a->again_at = NEVER;
    }
    core_cmd_free(c);
}

static char *own(const char *s)
{
    char *copy = strdup(s);
    if (!copy)
        abort();
    return copy;
}

static void put(ask *a)
{
    core_cmd *c = core_cmd_new(a->kind, NULL);
    if (!c)
        abort();
    c->idem = own(a->key);
    c->actor = own("ann");
    c->id = a->id;
    c->reason = own("because");
    if (a->kind == CMD_FORCE || a->kind == CMD_CHANGE) {
        c->project = own("p");
        c->branch = own(remote_branch[a->branch]);
        c->revision = own(a->revision);
        if (a->builder)
            c->builder = own(a->builder);
    }
    if (a->name[0])
        c->name = own(a->name);
    c->done = answered;
    c->done_self = a;
    a->asked++;
    a->under_way = true;
    a->again_at = NEVER;
    if (pw_chan_send(sim_mas.s.commands, c, NULL) < 0) {
        core_cmd_free(c);
        a->under_way = false;
        a->again_at = sim_now + SEC;
    }
    master_wake(sim_now);
}

pw_usec people_due(void)
{
    pw_usec due = NEVER;
    for (size_t i = 0; i < n_asks; i++)
        if (asks[i].again_at < due)
            due = asks[i].again_at;
    return due;
}

/* Who does not know yet whether his pause was heard does not resume: the pause, asked again, could
 * come after it, and the worker would be paused for ever. */
static bool too_early(const ask *a)
{
    for (const ask *p = asks; a->kind == CMD_WORKER_RESUME && p < a; p++)
        if (p->kind == CMD_WORKER_PAUSE && !p->answered && strcmp(p->name, a->name) == 0)
            return true;
    return false;
}

void people_run(void)
{
    for (size_t i = 0; i < n_asks; i++) {
        ask *a = &asks[i];
        if (a->again_at > sim_now)
            continue;
        if (master_up() && !too_early(a))
            put(a);
        else
            a->again_at = sim_now + sim_between(100 * MS, SEC);
    }
}

/* A restored question comes again: nobody knows whether it was heard. */
void people_master_gone(void)
{
    for (size_t i = 0; i < n_asks; i++)
        if (asks[i].under_way) {
            asks[i].under_way = false;
            asks[i].again_at = sim_now + sim_between(10 * MS, 3 * SEC);
        }
}

bool people_waiting(void)
{
    for (size_t i = 0; i < n_asks; i++)
        if (!asks[i].answered)
            return true;
    return false;
}

size_t people_told(void)
{
    size_t n = 0;
    for (size_t i = 0; i < n_asks; i++)
        n += asks[i].kind == CMD_CHANGE;
    return n;
}

size_t people_requests(uint64_t *out, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < n_asks; i++)
        for (size_t k = 0; k < asks[i].n_requests && n < max; k++)
            out[n++] = asks[i].requests[k];
    return n;
}
