/* One history: steps of time passing and things happening, then peace until all is done, then the
 * reckoning. Each history draws which kinds of trouble it knows, so that rare kinds meet often
 * enough. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>

#include "tests/sim/sim.h"

typedef struct kind {
    const char *name;
    unsigned weight;
    void (*act)(void);
} kind;
history_figures history_sum;

static pw_usec a_while(void)
{
    return sim_chance(70)   ? sim_between(10 * MS, 3 * SEC)
           : sim_chance(80) ? sim_between(3 * SEC, 30 * SEC)
                            : sim_between(30 * SEC, 150 * SEC);
}
static int some_worker(void)
{
    return (int)sim_pick(SIM_WORKERS);
}

static void run_until(pw_usec t);
static void push_master(void)
{
    (void)remote_commit(0);
}
static void push_topic(void)
{
    if (sim_chance(25))
        (void)remote_rewind(2);
    else
        (void)remote_commit(2);
}
static void kill_master(void)
{
    master_kill(sim_chance(80) ? sim_between(10 * MS, 2 * SEC) : a_while());
}
static void kill_agent(void)
{
    worker_kill(some_worker(), sim_chance(80) ? sim_between(10 * MS, 2 * SEC) : a_while());
}
static void kill_runner(void)
{
    (void)runners_kill_one();
}
static void fuse_master(void)
{
    if (sim_mas.process >= 0)
        disk_process_fuse(sim_mas.process, 1 + sim_pick(sim_chance(70) ? 12 : 80), sim_chance(50));
}
static void fuse_agent(void)
{
    int w = some_worker();
    if (sim_workers[w].process >= 0)
        disk_process_fuse(sim_workers[w].process, 1 + sim_pick(sim_chance(70) ? 8 : 40),
                          sim_chance(50));
}
static void point_master(void)
{
    if (sim_mas.process >= 0)
        host_fuse(sim_mas.process, 1 + sim_pick(sim_chance(70) ? 6 : 40));
}
static void point_agent(void)
{
    int w = some_worker();
    if (sim_workers[w].process >= 0)
        host_fuse(sim_workers[w].process, 1 + sim_pick(sim_chance(70) ? 4 : 20));
}
static void trouble(void)
{
    net_trouble t = (net_trouble)(1 + sim_pick(4));
    int w = some_worker();
    pw_usec d = a_while();
    sim_trace("w%d: network trouble %d for %.3f s", w, (int)t, (double)d / 1e6);
    net_worker_trouble(w, t, sim_now + d);
}
/* Long enough for another worker to take over, and short enough to come back while that one runs.
 */
static void long_silence(void)
{
    int w = some_worker();
    pw_usec d = SIM_LOST_AFTER_S * SEC + sim_between(-2 * SEC, 8 * SEC);
    sim_trace("w%d: cut off for %.3f s", w, (double)d / 1e6);
    net_worker_trouble(w, NET_CUT, sim_now + d);
    run_until(sim_now + d);
}
static void cut_master(void)
{
    master_power_cut(a_while());
}
static void cut_worker(void)
{
    worker_power_cut(some_worker(), a_while());
}
static void image_worker(void)
{
    int w = some_worker();
    worker_image(w, a_while());
    if (sim_chance(50)) /* what it has now goes on before the master hears of it */
        net_worker_trouble(w, NET_CUT, sim_now + a_while());
}
static void disk_master(void)
{
    static const int how[] = {EIO, ENOSPC};
    disk_call call = (disk_call)sim_pick(DISK_CALLS);
    int e = call == DISK_SYNC ? EIO : how[sim_pick(2)];
    sim_trace("master: call %d will fail with %d", (int)call, e);
    disk_fail(0, call, 1 + sim_pick(20), e);
}
/* Soon, so that it meets a commit, a log segment or a seal; a disk that is dying may take the power
 * with it. */
static void sync_master(void)
{
    sim_trace("master: a sync will fail");
    disk_fail(0, DISK_SYNC, 1 + sim_pick(4), EIO);
    if (sim_chance(50)) {
        run_until(sim_now + sim_between(10 * MS, 2 * SEC));
        master_power_cut(a_while());
    }
}
static void disk_worker(void)
{
    static const int how[] = {EIO, ENOSPC};
    int w = some_worker();
    disk_call call = (disk_call)sim_pick(DISK_CALLS);
    sim_trace("w%d: call %d will fail", w, (int)call);
    oracle_excuse_worker(w);
    disk_fail(w + 1, call, 1 + sim_pick(10), how[sim_pick(2)]);
}
static void full_master(void)
{
    disk_capacity(0, sim_chance(50) ? 0 : 100000 + sim_pick(700000));
}
static void full_worker(void)
{
    int w = some_worker();
    oracle_excuse_worker(w);
    disk_capacity(w + 1, sim_chance(50) ? 0 : 20000 + sim_pick(200000));
}
/* Hours, there and back: more than the day for which keys are kept. */
static void clock_jump(void)
{
    static const pw_msec hours[] = {-30, -1, 1, 30};
    int m = (int)sim_pick(SIM_WORKERS + 1);
    host_skew_to(m, hours[sim_pick(4)] * 3600 * 1000);
}
static void lost_answers(void)
{
    remote_trouble((unsigned)sim_pick(80));
}
static void stop_master(void)
{
    master_stop(sim_between(10 * MS, 5 * SEC));
}
static void stop_agent(void)
{
    worker_stop(some_worker(), sim_between(10 * MS, 5 * SEC));
}

static const kind kinds[] = {
    {"push to master", 12, push_master},
    {"push to topic", 4, push_topic},
    {"force", 14, people_force},
    {"cancel", 4, people_cancel},
    {"retry", 3, people_retry},
    {"pause or resume", 2, people_pause},
    {"ask again", 3, people_pester},
    {"tell of a change", 2, people_change},
    {"kill master", 8, kill_master},
    {"kill agent", 8, kill_agent},
    {"kill runner", 3, kill_runner},
    {"master dies at a call", 10, fuse_master},
    {"agent dies at a call", 10, fuse_agent},
    {"master dies at a point", 8, point_master},
    {"agent dies at a point", 6, point_agent},
    {"network trouble", 10, trouble},
    {"power cut of master", 5, cut_master},
    {"power cut of worker", 4, cut_worker},
    {"disk fault of master", 5, disk_master},
    {"disk fault of worker", 3, disk_worker},
    {"lost answers", 3, lost_answers},
    {"stop master", 3, stop_master},
    {"stop agent", 3, stop_agent},
    {"full disk of master", 3, full_master},
    {"full disk of worker", 3, full_worker},
    {"clock jump", 2, clock_jump},
    {"old disk of worker", 4, image_worker},
    {"long silence of worker", 5, long_silence},
    {"failing sync of master", 6, sync_master},
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]), WORK = 8, HEAL = 100000 };

const char *history_fault_name(unsigned i)
{
    return i < KINDS ? kinds[i].name : NULL;
}

/* ---- time */
static pw_usec silent[SIM_WORKERS];

/* A worker that the master did not hear for long enough may lose what it has. */
static void count_silence(pw_usec d)
{
    for (int w = 0; w < SIM_WORKERS; w++) {
        bool heard = sim_workers[w].agent && agent_session(sim_workers[w].agent) == SESSION_UP;
        if (!master_up() || heard)
            silent[w] = heard ? 0 : silent[w];
        else
            silent[w] += d;
        /* a session that is up may be deaf: it lasts 25 s at most before somebody notices */
        if (silent[w] > (SIM_LOST_AFTER_S - 40) * SEC)
            oracle_excuse_worker(w);
    }
}

static void run_until(pw_usec t)
{
    for (unsigned spins = 0; !oracle_broken(); spins++) {
        pw_usec due = net_due(), at;
        if ((at = runners_due()) < due)
            due = at;
        if ((at = remote_due()) < due)
            due = at;
        if ((at = people_due()) < due)
            due = at;
        if ((at = master_due()) < due)
            due = at;
        for (int w = 0; w < SIM_WORKERS; w++)
            if ((at = worker_due(w)) < due)
                due = at;
        if (due > t)
            break;
        if (due > sim_now) {
            count_silence(due - sim_now);
            sim_now = due;
            spins = 0;
        } else if (spins > 20000) {
            oracle_fail("the world spins without time passing");
        }
        net_deliver();
        runners_run();
        remote_run();
        people_run();
        if (master_due() <= sim_now)
            master_run();
        for (int w = 0; w < SIM_WORKERS; w++)
            if (worker_due(w) <= sim_now)
                worker_run(w);
    }
    if (t > sim_now) {
        count_silence(t - sim_now);
        sim_now = t;
    }
}

/* ---- a history */
static void clear(void)
{
    for (int w = 0; w < SIM_WORKERS; w++)
        if (sim_workers[w].process >= 0)
            worker_kill(w, 0);
    workers_forget_images();
    runners_reset();
    master_kill(0);
    people_reset();
    remote_reset();
    net_reset();
}

static uint64_t chance(void *self, uint64_t n)
{
    (void)self;
    return sim_pick(n);
}

static int64_t file_time(void *self)
{
    (void)self;
    return sim_now;
}

static void begin(uint64_t seed)
{
    sim_seed(seed, 0);
    sim_graph = seed % 3 == 2;
    sim_trace_reset();
    host_reset();
    disk_reset(chance, NULL);
    disk_clock(file_time, NULL, NULL);
    threads_reset();
    oracle_reset();
    remote_reset();
    net_reset();
    people_reset();
    runners_reset();
    memset(silent, 0, sizeof(silent));
    master_reset();
    for (int w = 0; w < SIM_WORKERS; w++)
        sim_workers[w].start_at = sim_now + sim_between(0, 100 * MS);
    for (int m = 0; m <= SIM_WORKERS; m++)
        disk_names_apart(m, sim_chance(30));
}

static void one_step(const unsigned *weight, unsigned sum)
{
    uint64_t luck = sim_pick(100);
    pw_usec dt = luck < 70   ? sim_between(1 * MS, 80 * MS)
                 : luck < 90 ? sim_between(100 * MS, 2 * SEC)
                 : luck < 98 ? sim_between(2 * SEC, 15 * SEC)
                             : sim_between(15 * SEC, 90 * SEC);
    uint64_t what = sim_pick(sum);
    unsigned k = 0;
    for (; what >= weight[k]; k++)
        what -= weight[k];
    history_sum.faults[k]++;
    if (sim_verbose)
        sim_trace("-- %s", kinds[k].name);
    kinds[k].act();
    run_until(sim_now + dt);
    if (sim_chance(50))
        oracle_look();
}

static void peace(uint64_t seed)
{
    sim_seed(seed, HEAL);
    sim_trace("-- peace");
    net_heal();
    remote_trouble(0);
    host_fuse(-1, 0);
    for (int m = 0; m <= SIM_WORKERS; m++) {
        disk_capacity(m, 0);
        for (int c = 0; c < DISK_CALLS; c++)
            disk_fail(m, (disk_call)c, 0, 0);
    }
    if (sim_mas.process >= 0)
        disk_process_fuse(sim_mas.process, 0, false);
    for (int w = 0; w < SIM_WORKERS; w++) {
        if (sim_workers[w].process >= 0)
            disk_process_fuse(sim_workers[w].process, 0, false);
        people_resume(w);
    }
    uint64_t before = 0;
    for (int i = 0, calm = 0; i < 2000 && !oracle_broken(); i++) {
        run_until(sim_now + 5 * SEC);
        oracle_look();
        /* polls, promotions and seals that follow */
        calm = oracle_idle() && oracle_work() == before ? calm + 1 : 0;
        before = oracle_work();
        if (calm == 9)
            return;
    }
    if (!oracle_broken())
        oracle_fail("it does not come to an end: %s", oracle_busy());
}

history_result history_run(uint64_t seed, const bool *skip, unsigned n_skip)
{
    unsigned weight[KINDS], sum = 0;
    history_result r = {0};
    begin(seed);
    for (unsigned i = 0; i < KINDS; i++) {
        weight[i] = i < WORK || sim_chance(35) ? kinds[i].weight : 0;
        sum += weight[i];
    }
    unsigned steps = 10 + (unsigned)sim_pick(sim_chance(85) ? 50 : 250);
    run_until(sim_now + 2 * SEC);
    for (r.steps = 0; r.steps < steps && !oracle_broken(); r.steps++) {
        sim_seed(seed, r.steps + 1);
        if (!skip || r.steps >= n_skip || !skip[r.steps])
            one_step(weight, sum);
    }
    history_sum.steps += r.steps;
    peace(seed);
    oracle_final();
    if (!oracle_broken() && sim_chance(30)) { /* what a new master finds */
        master_kill(10 * MS);
        run_until(sim_now + 60 * SEC);
        oracle_final();
    }
    r.simulated = sim_now - 1000 * SEC;
    r.digest = sim_trace_digest() ^ disk_digest();
    r.broken = oracle_broken();
    clear();
    return r;
}
