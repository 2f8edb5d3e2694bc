/* What must hold, whatever happened: a simple model beside the real rows, looked at while a history
 * runs. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/store/reader.h"
#include "master/store/graph.h"
#include "tests/sim/oracle.h"

enum { BUILDS = 600 };
typedef struct build {
    bool seen, final;
    uint64_t attempt;
    pw_result result;
} build;
static oracle_attempt attempts[SIM_ATTEMPTS];
static build builds[BUILDS];
static char broken[400];
static struct closed { /* intents */
    bool known;
    int tip;
} closed[SIM_PUSHES];
static uint64_t announced; /* newest event */
static uint64_t max_build;
static pw_usec looked_at; /* the master has seen the repository; 0: not yet */

void oracle_reset(void)
{
    memset(attempts, 0, sizeof(attempts));
    memset(builds, 0, sizeof(builds));
    memset(closed, 0, sizeof(closed));
    broken[0] = '\0';
    max_build = announced = 0;
    looked_at = 0;
}

void oracle_fail(const char *fmt, ...)
{
    va_list ap;
    if (broken[0])
        return;
    va_start(ap, fmt);
    (void)vsnprintf(broken, sizeof(broken), fmt, ap);
    va_end(ap);
    sim_trace("BROKEN: %s", broken);
}

pw_usec oracle_looked_at(void)
{
    return looked_at;
}

const char *oracle_broken(void)
{
    return broken[0] ? broken : NULL;
}

oracle_attempt *oracle_attempt_of(uint64_t id)
{
    static oracle_attempt none;
    if (id >= SIM_ATTEMPTS) {
        oracle_fail("attempt %llu: ids jump", (unsigned long long)id);
        return &none;
    }
    return &attempts[id];
}

unsigned oracle_started(uint64_t epoch, uint64_t id, int worker)
{
    oracle_attempt *a = oracle_attempt_of(id);
    if (a->started++)
        oracle_fail("attempt %llu starts twice", (unsigned long long)id);
    a->worker = worker;
    a->epoch = epoch;
    return a->runs++;
}

void oracle_ended(uint64_t id, uint64_t at)
{
    oracle_attempt *a = oracle_attempt_of(id);
    a->ended = true;
    a->end_at = at;
}

void oracle_excuse_attempt(uint64_t id)
{
    oracle_attempt *a = oracle_attempt_of(id);
    a->excused = true;
    a->started = 0; /* its machine or its runner is gone: nothing of it runs any more */
}

static int excuse_row(void *p, const store_attempt *row)
{
    if (row->worker == sim_workers[*(int *)p].row)
        oracle_attempt_of(row->id)->excused = true;
    return 0;
}

void oracle_set_back(int w)
{
    oracle_excuse_worker(w);
    for (uint64_t i = 0; i < SIM_ATTEMPTS; i++)
        if (attempts[i].runs && attempts[i].worker == w) {
            attempts[i].set_back = attempts[i].excused = true;
            attempts[i].started = 0; /* what ended behind the copy runs again; it is not counted */
        }
}

void oracle_excuse_worker(int w)
{
    for (uint64_t i = 0; i < SIM_ATTEMPTS; i++)
        if (attempts[i].started && attempts[i].worker == w)
            attempts[i].excused = true;
    if (master_up() && !store_in_turn(sim_mas.s.st))
        (void)store_open_attempts(sim_mas.s.st, excuse_row, &w, NULL);
}

/* ---- what the master said */
static void offered(uint64_t id)
{
    oracle_attempt *a = oracle_attempt_of(id);
    a->offered = true;
    /* what nobody heard of may be lost with an old disk */
    if (a->acked || (a->runs && !a->set_back))
        oracle_fail("attempt %llu had started, and is offered again", (unsigned long long)id);
}

void oracle_said(const pw_msg *m)
{
    const msg_ack_item *item = m->u.ack.items.v;
    if (m->type == PW_MSG_JOB)
        offered(m->u.job.attempt);
    if (m->type == PW_MSG_FORGET)
        oracle_attempt_of(m->u.forget.attempt)->forgotten = true;
    for (size_t i = 0; m->type == PW_MSG_ACK && i < m->u.ack.items.n; i++) {
        oracle_attempt *a = oracle_attempt_of(item[i].attempt);
        a->acked = item[i].stored > a->acked ? item[i].stored : a->acked;
    }
}

void oracle_announced(uint64_t event)
{
    announced = event > announced ? event : announced;
}

static void check_said(store *st)
{
    store_highest h;
    if (store_highest_ids(st, &h, NULL) == 0 && h.event < announced)
        oracle_fail("event %llu was announced, the newest is %llu", (unsigned long long)announced,
                    (unsigned long long)h.event);
    for (uint64_t i = 0; i < SIM_ATTEMPTS && !broken[0]; i++) {
        const oracle_attempt *a = &attempts[i];
        store_attempt row;
        if (!a->offered)
            continue;
        if (store_attempt_get(st, i, &row, NULL) < 0)
            oracle_fail("attempt %llu was offered and is gone", (unsigned long long)i);
        else if (a->forgotten && row.state < ATT_FORGOTTEN)
            oracle_fail("attempt %llu was to be forgotten, and its row says %d",
                        (unsigned long long)i, (int)row.state);
        else if (row.stored < a->acked)
            oracle_fail("%llu bytes of attempt %llu were acknowledged, %llu are stored",
                        (unsigned long long)a->acked, (unsigned long long)i,
                        (unsigned long long)row.stored);
    }
}

/* ---- while it runs */
static int open_attempt(void *p, const store_attempt *row)
{
    oracle_attempt *a = oracle_attempt_of(row->id);
    (void)p;
    if (row->stored > row->applied)
        oracle_fail("attempt %llu: stored %llu is ahead of applied %llu",
                    (unsigned long long)row->id, (unsigned long long)row->stored,
                    (unsigned long long)row->applied);
    if (row->stored < a->stored)
        oracle_fail("attempt %llu: stored went back from %llu to %llu", (unsigned long long)row->id,
                    (unsigned long long)a->stored, (unsigned long long)row->stored);
    a->stored = row->stored;
    a->heard |= row->applied > 0 && row->state == ATT_RUNNING;
    return 0;
}

/* A result is not seen before its log is safe. */
static void result_is_whole(const store_build *b, const oracle_attempt *a)
{
    store_attempt row;
    if (store_attempt_get(sim_mas.s.st, b->attempt, &row, NULL) == 0 && row.stored < a->end_at &&
        !a->set_back)
        oracle_fail("build %llu has its result, but %llu of %llu bytes of attempt %llu are stored",
                    (unsigned long long)b->id, (unsigned long long)row.stored,
                    (unsigned long long)a->end_at, (unsigned long long)b->attempt);
}

void oracle_final_build(const store_build *b)
{
    build *o = &builds[b->id];
    const oracle_attempt *a = oracle_attempt_of(b->attempt);
    bool says = b->result == PW_SUCCESS || b->result == PW_FAILURE || b->result == PW_WARNINGS;
    if (o->final && (o->attempt != b->attempt || o->result != b->result))
        oracle_fail("build %llu was %s of attempt %llu and is now %s of attempt %llu",
                    (unsigned long long)b->id, pw_result_name(o->result),
                    (unsigned long long)o->attempt, pw_result_name(b->result),
                    (unsigned long long)b->attempt);
    if (says && (!a->ended || runner_result(b->attempt) != b->result))
        oracle_fail("build %llu is %s, but its attempt %llu %s", (unsigned long long)b->id,
                    pw_result_name(b->result), (unsigned long long)b->attempt,
                    a->ended ? "ended otherwise" : "has no end");
    else if (says && !o->final)
        result_is_whole(b, a);
    *o = (build){true, true, b->attempt, b->result};
}

/* In histories with builders that need each other: nobody begins before what it needs is green. */
typedef struct needed {
    uint64_t fast;
    const store_build *b;
} needed;

static int one_needed(void *p, const store_member *m)
{
    const needed *n = p;
    bool good =
        m->state == REQ_DONE && m->build && (m->result == PW_SUCCESS || m->result == PW_WARNINGS);
    if (m->builder == n->fast && !good)
        oracle_fail("build %llu began, and request %llu that it needs is %s",
                    (unsigned long long)n->b->id, (unsigned long long)m->request,
                    m->state != REQ_DONE ? "not over" : pw_result_name(m->result));
    return 0;
}

static void check_needs(const store_build *b)
{
    store_request r;
    uint64_t slow = 0;
    needed n = {.b = b};
    store *st = sim_mas.s.st;
    if (!sim_graph || b->state == BUILD_QUEUED ||
        store_builder_id(st, 1, "slow", &slow, NULL) < 0 || b->builder != slow ||
        store_builder_id(st, 1, "fast", &n.fast, NULL) < 0 ||
        store_request_get(st, b->request, &r, NULL) < 0)
        return;
    (void)store_set_requests(st, r.buildset, one_needed, &n, NULL);
    store_request_clear(&r);
}

static int open_build(void *p, const store_build *b)
{
    (void)p;
    check_needs(b);
    if (b->id >= BUILDS) {
        oracle_fail("build %llu: ids jump", (unsigned long long)b->id);
        return -1;
    }
    if (builds[b->id].final)
        oracle_fail("build %llu was done and is open again", (unsigned long long)b->id);
    builds[b->id].seen = true;
    if (b->id > max_build)
        max_build = b->id;
    return 0;
}

static int open_intent(void *p, const store_promotion *r)
{
    if (r->id < SIM_PUSHES)
        ((bool *)p)[r->id] = true;
    return 0;
}

void oracle_turn(void)
{
    bool open[SIM_PUSHES] = {false};
    store_highest h;
    if (!master_up() || store_in_turn(sim_mas.s.st) || broken[0] ||
        store_promotions_open(sim_mas.s.st, open_intent, open, NULL) < 0 ||
        store_highest_ids(sim_mas.s.st, &h, NULL) < 0)
        return;
    for (uint64_t i = 1; i < SIM_PUSHES && i <= h.promotion; i++)
        if (!open[i] && !closed[i].known)
            closed[i] = (struct closed){true, remote_tip(1)};
}

int oracle_promotion_tip(uint64_t id)
{
    return id < SIM_PUSHES && closed[id].known ? closed[id].tip : -1;
}

static void no_ref(void *p, const char *ref, const store_rev *rev)
{
    (void)p;
    (void)ref;
    (void)rev;
}

static void count_tip(void *p, const char *ref, const store_rev *rev)
{
    char hex[2 * STORE_REV_MAX + 1];
    store_rev_text(rev, hex);
    for (int b = 0; b < SIM_BRANCHES; b++)
        *(unsigned *)p += strcmp(ref + strlen("refs/heads/"), remote_branch[b]) == 0 &&
                          strcmp(hex, remote_rev(remote_tip(b))) == 0;
}

/* The master has seen where the branches are. */
static bool knows_tips(void)
{
    unsigned known = 0, are = 0;
    for (int b = 0; b < SIM_BRANCHES; b++)
        are += remote_tip(b) >= 0;
    return core_known_refs(sim_mas.s.core, 0, count_tip, &known) && known == are;
}

void oracle_look(void)
{
    store *st = sim_mas.s.st;
    if (!master_up() || store_in_turn(st) || broken[0])
        return;
    (void)store_open_attempts(st, open_attempt, NULL, NULL);
    static uint64_t seen_start; /* what a new master knows of what the old one said */
    if (sim_mas.starts != seen_start || sim_pick(16) == 0)
        check_said(st);
    seen_start = sim_mas.starts;
    if (!looked_at && core_known_refs(sim_mas.s.core, 0, no_ref, NULL))
        looked_at = sim_now;
    (void)store_open_builds(st, open_build, NULL, NULL);
    for (uint64_t i = 1; i <= max_build && !broken[0]; i++) {
        store_build row = {0};
        /* done ones are looked at now and then, open ones always */
        if (!builds[i].seen || (builds[i].final && (i + sim_mas.turns) % 8 != 0))
            continue;
        if (store_build_get(st, i, &row, NULL) < 0)
            oracle_fail("build %llu is gone", (unsigned long long)i);
        else if (row.state == BUILD_DONE)
            oracle_final_build(&row);
        store_build_clear(&row);
    }
    uint64_t id[SIM_ASKS * 4];
    size_t n = people_requests(id, SIM_ASKS * 4);
    for (size_t i = 0; i < n; i++) {
        store_request row = {0};
        if (store_request_get(st, id[i], &row, NULL) < 0)
            oracle_fail("request %llu was accepted and is gone", (unsigned long long)id[i]);
        store_request_clear(&row);
    }
}

static int one_promotion(void *p, const store_promotion *r)
{
    *(uint64_t *)p += r->state == PROMO_OPEN;
    return 0;
}

bool oracle_idle(void)
{
    core_figures f;
    if (!master_up() || people_waiting() || !knows_tips())
        return false;
    core_get_figures(sim_mas.s.core, &f);
    uint64_t intents = 0;
    (void)store_promotions_open(sim_mas.s.st, one_promotion, &intents, NULL);
    if (f.waiting || f.open || f.busy || intents)
        return false;
    for (int w = 0; w < SIM_WORKERS; w++)
        if (!sim_workers[w].agent || agent_session(sim_workers[w].agent) != SESSION_UP ||
            runners_alive(w) ||
            !TAILQ_EMPTY(jobs_list(agent_jobs(sim_workers[w].agent), PW_JOB_RUNNING)))
            return false;
    return true;
}

uint64_t oracle_work(void)
{
    uint64_t n = 0;
    const pushed *v;
    if (master_up())
        (void)store_promotions_open(sim_mas.s.st, one_promotion, &n, NULL);
    return n * 100000 + max_build * 100 + remote_pushes(&v);
}

const char *oracle_busy(void)
{
    static char text[300];
    core_figures f = {0};
    if (!master_up())
        return "the master is down";
    core_get_figures(sim_mas.s.core, &f);
    int n = snprintf(text, sizeof(text), "%llu waiting, %llu open, %llu busy, %s%s",
                     (unsigned long long)f.waiting, (unsigned long long)f.open,
                     (unsigned long long)f.busy, people_waiting() ? "a question waits, " : "",
                     knows_tips() ? "" : "a branch was not seen, ");
    for (int w = 0; w < SIM_WORKERS; w++)
        n += snprintf(text + n, sizeof(text) - (size_t)n, " w%d: %s, %zu jobs, %zu runners;", w,
                      !sim_workers[w].agent                               ? "down"
                      : agent_session(sim_workers[w].agent) == SESSION_UP ? "up"
                                                                          : "away",
                      sim_workers[w].agent ? jobs_open(agent_jobs(sim_workers[w].agent)) : 0,
                      runners_alive(w));
    return text;
}
