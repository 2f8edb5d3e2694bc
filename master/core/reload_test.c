/* Another configuration while all goes on: what runs, what waits, who is connected, what is timed.
 */
#include "master/core/fixture.h"
#include "master/store/reader.h"

#include "tests/tap.h"

#define P "projects: [{name: p, repository: /r.git}]\n"
#define UNIT "  - {name: unit, project: p, collapse: false, steps: [{run: make}]}\n"
#define SLOW "  - {name: slow, project: p, collapse: false, steps: [{run: slowly}]}\n"
#define PUSH "schedulers: [{name: push, kind: branch, project: p, quiet: 30s}]\n"
#define UP                                                                                         \
    "promotions: [{name: up, kind: green, project: p, from: master, to: stable, builders: "        \
    "[unit]}]\n"
static const char both[] = P "builders:\n" UNIT SLOW;
static const char unit_only[] = P "builders:\n" UNIT;
static const char other_step[] = P "builders:\n"
                                   "  - {name: slow, project: p, steps: [{run: slowly}]}\n"
                                   "  - {name: unit, project: p, steps: [{run: other}]}\n";
static const char timed[] = P "builders:\n" UNIT PUSH;
static const char impatient[] = "workers: {lost_after: 60s}\n" P "builders:\n" UNIT SLOW;

/* As a server does: a turn of its own between two others. */
static bool swap(world *w, const char *yaml, uint64_t *ret_gen)
{
    pw_err err = {0};
    config *next = world_config(yaml);
    core *fresh = w->core && next ? core_reload(w->core, next, "SIGHUP", ret_gen, &err) : NULL;
    if (!fresh && w->core && next) /* no memory: nothing of it happened, and the old one goes on */
        fresh = core_reload(w->core, next, "SIGHUP", ret_gen, &err);
    if (!fresh) {
        config_unref(next);
        return false;
    }
    core_free(w->core);
    w->core = fresh;
    config_unref(w->conf);
    w->conf = next;
    return world_go(w) == 0;
}

static world *running(uint64_t *ret_one)
{
    world *w = world_new(both);
    if (!w)
        return NULL;
    look(w, 0, "master", 1);
    *ret_one = worker(w, "w1", 1);
    up(w, *ret_one, 7, 1);
    (void)force(w, "unit");
    start(w, 1);
    return w;
}

static void what_runs_goes_on(void)
{
    uint64_t one = 0, gen = 0;
    PW_AUTO(world_freep) world *w = running(&one);
    if (!w)
        return;
    uint64_t waits = force(w, "unit");
    if (att(w, 1)) {
        att(w, 1)->received = 500; /* frames that are not on disk yet */
        att(w, 1)->received_chain = 5;
    }
    const uint64_t connected = figures(w).connected;
    ok(swap(w, other_step, &gen) && gen == 1, "another configuration is the first generation");
    ok(connected == 1 && figures(w).connected == 1 && figures(w).busy == 1 &&
           build(w, 2).state == BUILD_RUNNING,
       "its worker is still connected, its build runs");
    ok(att(w, 1) && att(w, 1)->any && att(w, 1)->received == 500 && att(w, 1)->received_chain == 5,
       "what came in and is not stored yet is known");
    ok(count(w, CORE_OFFER) == 1 && count(w, CORE_DROP) == 0 && count(w, CORE_CANCEL) == 0,
       "nobody is told anything");
    world_forget(w);
    end(w, 1, PW_SUCCESS);
    const seen *e = last(w, CORE_OFFER);
    ok(done(w, 2, PW_SUCCESS) && request(w, waits).state == REQ_CLAIMED && e && e->job &&
           memmem(e->job, e->job_len, "other", 5) && !memmem(e->job, e->job_len, "make", 4),
       "the next one is made by the new one");
    ok(swap(w, other_step, &gen) && gen == 1, "the same text is no new generation");
    ok(swap(w, both, &gen) && gen == 2, "another text is");
}

static int entry(void *p, const reader_deed *a)
{
    unsigned *n = p;
    *n += strcmp(a->actor, "SIGHUP") == 0 && strcmp(a->action, "config.reload") == 0;
    return 0;
}

static void builder_comes_and_goes(void)
{
    uint64_t one = 0, gen = 0;
    unsigned told = 0;
    PW_AUTO(world_freep) world *w = running(&one);
    if (!w)
        return;
    uint64_t waits = force(w, "slow");
    ok(swap(w, unit_only, &gen), "a builder is removed");
    uint64_t b = request(w, waits).build;
    ok(request(w, waits).state == REQ_DONE && done(w, b, PW_CANCELLED) &&
           strstr(build(w, b).reason, "removed from the configuration"),
       "what waits for it ends with that reason");
    ok(ask(w, CMD_FORCE, (say){.builder = "slow", .reason = "?"}) == 404, "it is not known");
    ok(swap(w, both, &gen), "and comes back");
    uint64_t again = force(w, "slow");
    end(w, 1, PW_SUCCESS);
    const seen *e = last(w, CORE_OFFER);
    ok(e && request(w, again).state == REQ_CLAIMED, "it builds again");
    ok(swap(w, unit_only, &gen) && build(w, request(w, again).build).state != BUILD_DONE,
       "removed while it builds");
    if (e)
        run(w, e->attempt, PW_SUCCESS);
    ok(done(w, request(w, again).build, PW_SUCCESS), "that one ends as it would have");
    PW_AUTO(reader_closep) reader *r = reader_open(w->path, NULL);
    ok(r && reader_audit(r, NULL, 0, 0, 100, entry, &told, NULL) >= 0 && told == 3,
       "each is in the audit log");
}

static void lost_after_changes(void)
{
    uint64_t one = 0, gen = 0;
    PW_AUTO(world_freep) world *w = running(&one);
    if (!w)
        return;
    down(w, one);
    world_pass(w, 90);
    ok(att(w, 1) && !att(w, 1)->lost, "silent, and not lost yet");
    ok(swap(w, impatient, &gen) && figures(w).connected == 0, "the limit is below that now");
    world_pass(w, 2);
    ok(att(w, 1) && att(w, 1)->lost, "the silence before it counts");
    ok(swap(w, both, &gen), "the limit is above it again");
    world_pass(w, 2);
    ok(att(w, 1) && !att(w, 1)->lost, "and it is not lost");
}

static void timers(void)
{
    static const char nights[] =
        P "builders:\n" UNIT
          "schedulers: [{name: n, kind: nightly, project: p, cron: \"0 3 * * *\"}]\n";
    static const char nights2[] =
        P "builders:\n" UNIT
          "schedulers: [{name: n, kind: nightly, project: p, cron: \"0 1 * * *\"}]\n";
    uint64_t gen = 0;
    PW_AUTO(world_freep) world *w = world_new(timed);
    if (!w)
        return;
    look(w, 0, "master", 1);
    push(w, 0, "master", 1, 2);
    world_pass(w, 10);
    ok(swap(w, timed, &gen), "read anew while a branch is to be quiet");
    world_pass(w, 21);
    ok(figures(w).waiting == 1, "it is built when it was quiet");
    push(w, 0, "master", 2, 3);
    ok(swap(w, nights, &gen) && swap(w, timed, &gen), "its scheduler is removed, and comes back");
    world_pass(w, 60);
    ok(figures(w).waiting == 1, "what waited for it does not come back");
    ok(swap(w, nights, &gen), "a nightly one at 3");
    w->wall += 14 * 3600 * 1000LL; /* one request at 3, and it is two in the afternoon */
    w->now += 14 * 3600 * (pw_usec)SECOND;
    world_pass(w, 1);
    ok(figures(w).waiting == 2, "it fires");
    ok(swap(w, nights2, &gen), "at 1 from now on");
    world_pass(w, 2);
    ok(figures(w).waiting == 2, "which is past for today");
    world_restart(w, NULL);
    world_pass(w, 2);
    ok(figures(w).waiting == 2, "also for a master that starts anew");
}

static void promotion_removed(void)
{
    uint64_t gen = 0;
    core_push_facts f;
    PW_AUTO(world_freep) world *w = world_new(P "builders:\n" UNIT UP);
    if (!w)
        return;
    look(w, 0, "master", 1);
    look(w, 0, "stable", 1);
    up(w, worker(w, "w1", 1), 7, 4);
    world_pass(w, 2);
    push(w, 0, "master", 1, 2);
    run(w, last(w, CORE_OFFER)->attempt, PW_SUCCESS);
    core_candidate c = {rev(2), true};
    core_history h = {
        .from = rev(2), .to = rev(1), .to_in_from = true, .candidate = &c, .n_candidates = 1};
    if (w->core)
        core_history_read(w->core, 0, &h);
    (void)world_go(w);
    ok(count(w, CORE_PUSH) == 1, "a push is under way");
    ok(swap(w, P "builders:\n" UNIT UP "people: []\n", &gen), "its promotion stays");
    world_pass(w, 2);
    ok(count(w, CORE_PUSH) == 1 && w->core && core_push_get(w->core, 1, &f) && !f.look_only,
       "it is not pushed again");
    ok(swap(w, unit_only, &gen), "its promotion is removed");
    world_pass(w, 1);
    ok(count(w, CORE_PUSH) == 2 && w->core && core_push_get(w->core, 1, &f) && f.look_only,
       "the branch is looked at, behind what is under way");
    if (w->core)
        core_push_done(w->core, 1, CORE_PUSHED, "");
    (void)world_go(w);
    ok(w->core && !core_push_get(w->core, 1, &f), "the answer ends it");
}

int main(void)
{
    if (crypt_init(NULL) < 0)
        return 1;
    what_runs_goes_on();
    builder_comes_and_goes();
    lost_after_changes();
    timers();
    promotion_removed();
    return tap_done();
}
