/* What must hold, whatever happened: a simple model beside the real rows, looked at while a history
 * runs and at its end. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/store/reader.h"
#include "tests/sim/sim.h"

enum { BUILDS = 600 };
typedef struct attempt {
    unsigned started;
    bool ended, excused, offered, forgotten;
    uint64_t acked;
    int worker;
    uint64_t epoch, stored;
} attempt;
typedef struct build {
    bool seen, final;
    uint64_t attempt;
    pw_result result;
} build;
static attempt attempts[SIM_ATTEMPTS];
static build builds[BUILDS];
static char broken[400];
static uint64_t announced; /* newest event */
static uint64_t max_build;
oracle_figures oracle_sum;

void oracle_reset(void)
{
    memset(attempts, 0, sizeof(attempts));
    memset(builds, 0, sizeof(builds));
    broken[0] = '\0';
    max_build = announced = 0;
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

const char *oracle_broken(void)
{
    return broken[0] ? broken : NULL;
}

static attempt *att(uint64_t id)
{
    static attempt none;
    if (id >= SIM_ATTEMPTS) {
        oracle_fail("attempt %llu: ids jump", (unsigned long long)id);
        return &none;
    }
    return &attempts[id];
}

void oracle_started(uint64_t epoch, uint64_t id, int worker)
{
    attempt *a = att(id);
    if (a->started++)
        oracle_fail("attempt %llu starts twice", (unsigned long long)id);
    a->worker = worker;
    a->epoch = epoch;
}

void oracle_ended(uint64_t id)
{
    att(id)->ended = true;
}

void oracle_excuse_attempt(uint64_t id)
{
    attempt *a = att(id);
    a->excused = true;
    a->started = 0; /* its machine or its runner is gone: nothing of it runs any more */
}

static int excuse_row(void *p, const store_attempt *row)
{
    if (row->worker == sim_workers[*(int *)p].row)
        att(row->id)->excused = true;
    return 0;
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
void oracle_said(const pw_msg *m)
{
    const msg_ack_item *item = m->u.ack.items.v;
    if (m->type == PW_MSG_JOB)
        att(m->u.job.attempt)->offered = true;
    if (m->type == PW_MSG_FORGET)
        att(m->u.forget.attempt)->forgotten = true;
    for (size_t i = 0; m->type == PW_MSG_ACK && i < m->u.ack.items.n; i++) {
        attempt *a = att(item[i].attempt);
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
        const attempt *a = &attempts[i];
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
    attempt *a = att(row->id);
    (void)p;
    if (row->stored > row->applied)
        oracle_fail("attempt %llu: stored %llu is ahead of applied %llu",
                    (unsigned long long)row->id, (unsigned long long)row->stored,
                    (unsigned long long)row->applied);
    if (row->stored < a->stored)
        oracle_fail("attempt %llu: stored went back from %llu to %llu", (unsigned long long)row->id,
                    (unsigned long long)a->stored, (unsigned long long)row->stored);
    a->stored = row->stored;
    return 0;
}

static void final_build(const store_build *b)
{
    build *o = &builds[b->id];
    const attempt *a = att(b->attempt);
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
    *o = (build){true, true, b->attempt, b->result};
}

static int open_build(void *p, const store_build *b)
{
    (void)p;
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
    (void)store_open_builds(st, open_build, NULL, NULL);
    for (uint64_t i = 1; i <= max_build && !broken[0]; i++) {
        store_build row = {0};
        /* done ones are looked at now and then, open ones always */
        if (!builds[i].seen || (builds[i].final && (i + sim_mas.turns) % 8 != 0))
            continue;
        if (store_build_get(st, i, &row, NULL) < 0)
            oracle_fail("build %llu is gone", (unsigned long long)i);
        else if (row.state == BUILD_DONE)
            final_build(&row);
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
    if (!master_up() || people_waiting())
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
    int n = snprintf(text, sizeof(text), "%llu waiting, %llu open, %llu busy, %s",
                     (unsigned long long)f.waiting, (unsigned long long)f.open,
                     (unsigned long long)f.busy, people_waiting() ? "a question waits, " : "");
    for (int w = 0; w < SIM_WORKERS; w++)
        n += snprintf(text + n, sizeof(text) - (size_t)n, " w%d: %s, %zu jobs, %zu runners;", w,
                      !sim_workers[w].agent                               ? "down"
                      : agent_session(sim_workers[w].agent) == SESSION_UP ? "up"
                                                                          : "away",
                      sim_workers[w].agent ? jobs_open(agent_jobs(sim_workers[w].agent)) : 0,
                      runners_alive(w));
    return text;
}

/* ---- the end */
typedef struct final {
    reader *rd;
    uint64_t project, fast, slow;
    bool green[SIM_COMMITS][2]; /* a success of fast, of slow */
} final;

typedef struct seen_steps {
    unsigned n, done;
} seen_steps;
static int one_step(void *p, const store_step *s)
{
    seen_steps *v = p;
    v->n++;
    v->done += s->state == STEP_DONE && s->result == PW_SUCCESS;
    return 0;
}

/* The log is what the step printed: all of it, or of an attempt that was cut short, its beginning.
 */
static void check_log(uint64_t id, unsigned step, bool whole)
{
    static char want[TEXT_MAX], have[TEXT_MAX];
    size_t n = runner_text(id, step, want, sizeof(want)), k = 0;
    pw_err err = {0};
    PW_AUTO(log_view_closep)
    log_view *v = log_view_open(sim_mas.s.log_store, (log_key){id, step, 0}, &err);
    while (v && k < sizeof(have)) {
        uint64_t next;
        int64_t r = log_view_read(v, k, have + k, sizeof(have) - k, &next, &err);
        if (r < 0)
            oracle_fail("log of attempt %llu step %u: %s", (unsigned long long)id, step, err.text);
        if (r <= 0)
            break;
        k += (size_t)r;
    }
    if (k > n || memcmp(have, want, k) != 0 || (whole && k != n))
        oracle_fail("log of attempt %llu step %u has %zu bytes, printed were %zu",
                    (unsigned long long)id, step, k, n);
    oracle_sum.log_bytes += k;
}

static int check_build(void *p, const reader_build *r)
{
    final *f = p;
    const store_build *b = &r->b;
    uint64_t tried = 0;
    unsigned started = 0;
    bool excused = false;
    seen_steps v = {0};
    oracle_sum.builds++;
    if (b->state != BUILD_DONE) {
        oracle_fail("build %llu is not done", (unsigned long long)b->id);
        return -1;
    }
    final_build(b);
    for (uint64_t n = 1; reader_attempt_of(f->rd, b->id, n, &tried, NULL) == 0; n++) {
        const attempt *a = att(tried);
        oracle_sum.attempts++;
        excused |= a->excused;
        if (tried != b->attempt && a->started && !a->excused && b->result != PW_CANCELLED)
            oracle_fail("attempt %llu of build %llu had started, and was given up without need",
                        (unsigned long long)tried, (unsigned long long)b->id);
        started += a->started > 0;
    }
    char hex[2 * STORE_REV_MAX + 1];
    store_rev_text(&r->rev, hex);
    int c = remote_find(hex);
    if (b->result == PW_SUCCESS && c >= 0)
        f->green[c][b->builder == f->slow] = true;
    bool says = b->result == PW_SUCCESS || b->result == PW_FAILURE || b->result == PW_WARNINGS;
    if (!says && b->result != PW_CANCELLED && !(b->result == PW_EXCEPTION && excused))
        oracle_fail("build %llu is %s (%s) without need", (unsigned long long)b->id,
                    pw_result_name(b->result), b->reason ? b->reason : "");
    if (says) {
        (void)reader_steps(f->rd, b->attempt, one_step, &v, NULL);
        if (v.n != 2 || v.done != 2)
            oracle_fail("build %llu has %u steps, %u done", (unsigned long long)b->id, v.n, v.done);
    }
    for (unsigned s = 0; s < 2 && b->attempt; s++)
        check_log(b->attempt, s, says);
    return broken[0] ? -1 : 0;
}

static int check_request(void *p, const reader_request *r)
{
    (void)p;
    oracle_sum.requests++;
    if (r->r.state != REQ_DONE)
        oracle_fail("request %llu is not done", (unsigned long long)r->r.id);
    return broken[0] ? -1 : 0;
}

static pw_result verdict(const final *f, uint64_t builder, int c)
{
    store_rev rev;
    pw_result result = PW_NO_RESULT;
    bool open;
    if (store_rev_parse(remote_rev(c), &rev))
        (void)store_verdict(sim_mas.s.st, f->project, builder, &rev, &result, NULL, &open, NULL);
    return result;
}

/* Was it ever? A later retry may have ended otherwise. */
static bool was_green(const final *f, int c)
{
    return f->green[c][0] && f->green[c][1];
}

static bool green(const final *f, int c)
{
    return verdict(f, f->fast, c) == PW_SUCCESS && verdict(f, f->slow, c) == PW_SUCCESS;
}

static int check_promotion(void *p, const store_promotion *r)
{
    const pushed *v;
    char hex[2 * STORE_REV_MAX + 1];
    size_t n = remote_pushes(&v), effects = 0;
    (void)p;
    store_rev_text(&r->rev, hex);
    for (size_t i = 0; i < n; i++)
        if (v[i].intent == r->id) {
            effects++;
            if (v[i].to != remote_find(hex))
                oracle_fail("promotion %llu moved the branch elsewhere", (unsigned long long)r->id);
        }
    oracle_sum.promotions += effects;
    if (effects > 1)
        oracle_fail("promotion %llu took effect %zu times", (unsigned long long)r->id, effects);
    if (r->state == PROMO_OPEN)
        oracle_fail("promotion %llu is still open", (unsigned long long)r->id);
    if (r->state == PROMO_DONE && !remote_contains(remote_tip(1), remote_find(hex)))
        oracle_fail("promotion %llu is recorded and did not happen", (unsigned long long)r->id);
    if (r->state != PROMO_DONE && effects)
        oracle_fail("promotion %llu happened and is recorded as %d", (unsigned long long)r->id,
                    (int)r->state);
    return broken[0] ? -1 : 0;
}

static int same_promotion(void *p, const store_promotion *r)
{
    *(bool *)p = r->id > 0;
    return 0;
}

static void check_pushes(const final *f)
{
    const pushed *v;
    size_t n = remote_pushes(&v);
    for (size_t i = 0; i < n; i++) {
        bool row = false;
        if (!v[i].intent)
            continue;
        (void)reader_promotion_one(f->rd, v[i].intent, same_promotion, &row, NULL);
        if (!row)
            oracle_fail("intent %llu was pushed and has no row", (unsigned long long)v[i].intent);
        if (v[i].branch != 1 || !remote_contains(v[i].to, v[i].from))
            oracle_fail("intent %llu did not move stable forward", (unsigned long long)v[i].intent);
        if (!was_green(f, v[i].to))
            oracle_fail("intent %llu moved stable to what is not green",
                        (unsigned long long)v[i].intent);
    }
}

static int take_project(void *p, uint64_t id, const char *name)
{
    if (strcmp(name, "p") == 0)
        ((final *)p)->project = id;
    return 0;
}
static int take_builder(void *p, uint64_t id, const char *project, const char *name)
{
    final *f = p;
    (void)project;
    if (strcmp(name, "fast") == 0)
        f->fast = id;
    if (strcmp(name, "slow") == 0)
        f->slow = id;
    return 0;
}

static int one_open(void *p, const store_log *l)
{
    (void)l;
    ++*(unsigned *)p;
    return 0;
}

/* What lost its tail is kept for people to look at; nothing else is. */
static void check_held(void)
{
    const agent_job *j;
    for (int w = 0; w < SIM_WORKERS; w++)
        if (sim_workers[w].agent)
            TAILQ_FOREACH(j, jobs_list(agent_jobs(sim_workers[w].agent), PW_JOB_HELD), link)
    if (!att(j->id.attempt)->excused)
        oracle_fail("w%d holds attempt %llu", w, (unsigned long long)j->id.attempt);
}

void oracle_final(void)
{
    PW_AUTO(reader_closep) reader *rd = NULL;
    final f = {0};
    pw_err err = {0};
    unsigned unsealed = 0;
    if (broken[0])
        return;
    if (!master_up() || !(rd = f.rd = reader_open("/sim/0/state/pawl.db", &err))) {
        oracle_fail("the master cannot be looked at: %s", err.text);
        return;
    }
    (void)reader_projects(rd, take_project, &f, NULL);
    (void)reader_builders(rd, take_builder, &f, NULL);
    reader_build_filter all = {.result = -1, .state = -1, .limit = 1000};
    if (reader_builds(rd, &all, check_build, &f, &err) < 0 && !broken[0])
        oracle_fail("builds: %s", err.text);
    (void)reader_requests(rd, -1, 0, 1000, check_request, &f, &err);
    (void)reader_promotions(rd, NULL, 0, 1000, check_promotion, &f, &err);
    check_pushes(&f);
    check_held();
    for (int c = remote_tip(0); c > 0 && !broken[0]; c--)
        if (remote_contains(remote_tip(0), c) && green(&f, c)) {
            if (remote_contains(c, remote_tip(1)) && remote_tip(1) != c)
                oracle_fail("%.7s is green and did not arrive", remote_short(c));
            break;
        }
    (void)store_logs_open(sim_mas.s.st, one_open, &unsealed, NULL);
    if (unsealed)
        oracle_fail("%u logs are not sealed", unsealed);
}
