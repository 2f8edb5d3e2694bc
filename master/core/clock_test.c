/* The wall clock jumps by a day, forward and back, while the boot-time clock goes on: nothing is
 * done twice, nothing is left undone, and ages are those that were lived through. */
#include "master/core/fixture.h"

#include "tests/tap.h"

#define DAY (24 * 3600 * 1000LL)
#define P                                                                                          \
    "projects: [{name: p, repository: /r.git}]\n"                                                  \
    "builders: [{name: unit, project: p, collapse: false, steps: [{run: make}]}]\n"
static const char plain[] = P;
static const char quiet[] = P "schedulers: [{name: s, kind: branch, project: p, quiet: 30s}]\n";
static const char nightly[] =
    P "schedulers: [{name: s, kind: nightly, project: p, cron: \"0 3 * * *\"}]\n";
static const char periodic[] = P "schedulers: [{name: s, kind: periodic, project: p, every: 1h}]\n";

/* Hours go by in one step, as for a master that sleeps. */
static void lives(world *w, int64_t hours)
{
    w->now += hours * 3600 * (pw_usec)SECOND;
    w->wall += hours * 3600 * 1000LL;
    world_pass(w, 2);
}

static void keys_are_kept(void)
{
    PW_AUTO(world_freep) world *w = world_new(plain);
    if (!w)
        return;
    look(w, 0, "master", 1);
    say s = {.idem = "k", .builder = "unit", .branch = "master", .reason = "r"};
    ok(ask(w, CMD_FORCE, s) == 202 && told(w, "buildset") == 1, "asked");
    w->wall += DAY + 3600 * 1000;
    world_pass(w, 120);
    ok(ask(w, CMD_FORCE, s) == 202 && told(w, "buildset") == 1,
       "a day forward in two minutes: the same answer");
    w->wall -= 2 * DAY;
    world_pass(w, 120);
    ok(ask(w, CMD_FORCE, s) == 202 && told(w, "buildset") == 1, "two days back: the same answer");
    lives(w, 20);
    world_restart(w, NULL);
    world_pass(w, 70);
    ok(ask(w, CMD_FORCE, s) == 202 && told(w, "buildset") == 1, "20 hours and a restart: the same");
    lives(w, 5);
    world_pass(w, 70);
    ok(ask(w, CMD_FORCE, s) == 202 && told(w, "buildset") == 2, "after 24 hours it is forgotten");
}

static void a_branch_gets_quiet(void)
{
    PW_AUTO(world_freep) world *w = world_new(quiet);
    if (!w)
        return;
    look(w, 0, "master", 1);
    push(w, 0, "master", 1, 2);
    world_pass(w, 10);
    w->wall -= DAY;
    world_pass(w, 32);
    ok(figures(w).waiting == 1, "a day back: quiet for its time from now on, and built");
    push(w, 0, "master", 2, 3);
    w->wall += DAY;
    world_pass(w, 2);
    ok(figures(w).waiting == 2, "a day forward: built, a little early");
    world_pass(w, 60);
    ok(figures(w).waiting == 2, "once");
}

static void nights(void)
{
    PW_AUTO(world_freep) world *w = world_new(nightly);
    if (!w)
        return;
    look(w, 0, "master", 1);
    lives(w, 4);
    ok(figures(w).waiting == 1, "it is past three: fired");
    w->wall -= DAY;
    lives(w, 23);
    ok(figures(w).waiting == 1, "a day back: three o'clock comes again, and is served already");
    lives(w, 25);
    ok(figures(w).waiting == 2, "the next one fires");
    w->wall += DAY;
    world_pass(w, 2);
    ok(figures(w).waiting == 3, "a day forward: the one in between fires once");
    w->wall += 3650 * DAY;
    world_pass(w, 2);
    w->wall -= 3650 * DAY;
    world_pass(w, 2);
    const uint64_t n = figures(w).waiting;
    ok(n == 4, "ten years forward and back: one");
    lives(w, 24);
    ok(figures(w).waiting == n + 1, "and it does not wait for ten years");
}

static void each_hour(void)
{
    PW_AUTO(world_freep) world *w = world_new(periodic);
    if (!w)
        return;
    look(w, 0, "master", 1);
    world_pass(w, 2);
    ok(figures(w).waiting == 1, "at once");
    w->wall -= DAY;
    world_pass(w, 60);
    ok(figures(w).waiting == 1, "a day back: not again");
    lives(w, 1);
    ok(figures(w).waiting == 2, "but an hour later");
}

static void quarantine(void)
{
    PW_AUTO(world_freep) world *w = world_new(plain);
    if (!w)
        return;
    look(w, 0, "master", 1);
    uint64_t id = worker(w, "w1", 1);
    up(w, id, 7, 1);
    (void)force(w, "unit");
    for (int i = 0; i < 3 && att(w, 1); i++) { /* offered three times, never begun */
        down(w, id);
        up(w, id, 7, 1);
        if (att(w, 1))
            core_att_reoffer(w->core, att(w, 1));
        (void)world_go(w);
    }
    world_forget(w);
    world_pass(w, 10);
    ok(count(w, CORE_OFFER) == 0, "its worker is in quarantine");
    w->wall -= DAY;
    world_pass(w, 280);
    ok(count(w, CORE_OFFER) == 0, "a day back: it still is");
    world_pass(w, 30);
    ok(count(w, CORE_OFFER) == 1, "for its five minutes");
}

int main(void)
{
    if (crypt_init(NULL) < 0)
        return 1;
    keys_are_kept();
    a_branch_gets_quiet();
    nights();
    each_hour();
    quarantine();
    return tap_done();
}
