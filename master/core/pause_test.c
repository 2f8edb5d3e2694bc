/* Builders and schedulers that people switch off and on. */
#include "master/core/fixture.h"

#include "tests/tap.h"

#define P                                                                                          \
    "projects: [{name: p, repository: /r.git}]\n"                                                  \
    "builders: [{name: a, project: p, steps: [{run: x}]}, {name: b, project: p, steps: [{run: "    \
    "x}]}]\n"
#define CONF                                                                                       \
    P "schedulers:\n"                                                                              \
      "  - {name: push, kind: branch, project: p, builders: [a]}\n"                                \
      "  - {name: night, kind: nightly, project: p, cron: \"0 3 * * *\", branch: master, "         \
      "builders: [b]}\n"                                                                           \
      "  - {name: hand, kind: force, project: p, builders: [b]}\n"

static void a_builder(void)
{
    PW_AUTO(world_freep) world *w = world_new(CONF);
    if (!w)
        return;
    look(w, 0, "master", 1);
    up(w, worker(w, "w1", 1), 7, 4);
    ok(ask(w, CMD_BUILDER_PAUSE, (say){.name = "a"}) == 400 && strstr(w->body, "needs a reason"),
       "a pause needs a reason");
    ok(ask(w, CMD_BUILDER_PAUSE, (say){.name = "z", .reason = "r"}) == 404, "no such builder");
    ok(ask(w, CMD_BUILDER_PAUSE, (say){.name = "a", .reason = "the move"}) == 202 &&
           strstr(w->body, "p/a"),
       "paused");
    push(w, 0, "master", 1, 2);
    uint64_t forced = force(w, "a");
    ok(request(w, 1).state == REQ_WAITING && request(w, forced).state == REQ_WAITING,
       "nothing of it is built");
    (void)ask(w, CMD_WHY, (say){.id = 1});
    ok(strstr(w->body, "builder \\\"a\\\" is paused by ann because the move"), "why: %s", w->body);
    (void)force(w, "b");
    ok(count(w, CORE_OFFER) == 1, "other builders are");
    world_restart(w, NULL);
    up(w, 1, 7, 4);
    ok(request(w, 1).state == REQ_WAITING, "over a restart");
    world_restart(w, P "schedulers: []\n");
    up(w, 1, 7, 4);
    ok(request(w, 1).state == REQ_WAITING, "and another configuration");
    ok(ask(w, CMD_BUILDER_RESUME, (say){.name = "p/a", .actor = "bob"}) == 202 &&
           request(w, 1).state == REQ_CLAIMED && request(w, forced).state == REQ_CLAIMED,
       "until it is resumed");
    ok(ask(w, CMD_BUILDER_RESUME, (say){.name = "a"}) == 202, "resumed twice is no error");
}

static void a_scheduler(void)
{
    PW_AUTO(world_freep) world *w = world_new(CONF);
    if (!w)
        return;
    look(w, 0, "master", 1);
    ok(ask(w, CMD_SCHEDULER_PAUSE, (say){.name = "psh", .reason = "r"}) == 404, "no such one");
    ok(ask(w, CMD_SCHEDULER_PAUSE, (say){.name = "push", .reason = "r"}) == 202, "paused");
    push(w, 0, "master", 1, 2);
    world_restart(w, NULL);
    push(w, 0, "master", 2, 3);
    push(w, 0, "side", 0, 9);
    push(w, 0, "gone", 0, 8);
    push(w, 0, "gone", 8, 0);
    store_highest h = {0};
    ok(w->st && store_highest_ids(w->st, &h, NULL) == 0 && h.change == 4 && figures(w).waiting == 0,
       "changes are recorded, nothing is built");
    world_pass(w, 100);
    ok(ask(w, CMD_SCHEDULER_RESUME, (say){.name = "push"}) == 202 && figures(w).waiting == 2 &&
           request_rev(w, 1) == 3 && request_rev(w, 2) == 9,
       "then the newest of each branch, once");
    push(w, 0, "master", 3, 4);
    ok(request(w, 3).state == REQ_WAITING, "and it goes on");
}

static void by_the_clock(void)
{
    PW_AUTO(world_freep) world *w = world_new(CONF);
    if (!w)
        return;
    look(w, 0, "master", 1);
    (void)ask(w, CMD_SCHEDULER_PAUSE, (say){.name = "night", .reason = "r"});
    for (int i = 0; i < 3; i++) {
        w->wall += 86400000;
        world_pass(w, 2);
    }
    ok(figures(w).waiting == 0 && w->core && core_deadline(w->core) > w->now,
       "three nights pass, without hurry");
    world_restart(w, NULL);
    world_pass(w, 2);
    ok(figures(w).waiting == 0, "over a restart");
    (void)ask(w, CMD_SCHEDULER_RESUME, (say){.name = "night"});
    world_pass(w, 2);
    ok(figures(w).waiting == 1 && request(w, 2).state == -1, "one for all of them");
    world_pass(w, 100);
    ok(request(w, 2).state == -1, "once");
}

static void quiet_and_force(void)
{
    PW_AUTO(world_freep)
    world *w = world_new(P "schedulers:\n"
                           "  - {name: push, kind: branch, project: p, builders: [a], quiet: 10s}\n"
                           "  - {name: hand, kind: force, project: p, builders: [b]}\n");
    if (!w)
        return;
    look(w, 0, "master", 1);
    push(w, 0, "master", 1, 2);
    (void)ask(w, CMD_SCHEDULER_PAUSE, (say){.name = "push", .reason = "r"});
    (void)ask(w, CMD_SCHEDULER_PAUSE, (say){.name = "hand", .reason = "r"});
    world_pass(w, 30);
    ok(figures(w).waiting == 0, "a quiet time that ends in a pause starts nothing");
    ok(ask(w, CMD_FORCE, (say){.builder = "b", .branch = "master", .reason = "r"}) == 409 &&
           strstr(w->body, "paused by ann because r"),
       "nor is anything forced by a form that is paused");
    (void)ask(w, CMD_SCHEDULER_RESUME, (say){.name = "push"});
    ok(figures(w).waiting == 1 && request_rev(w, 1) == 2, "what waited for quiet is built then");
}

int main(void)
{
    if (crypt_init(NULL) < 0)
        return 1;
    a_builder();
    a_scheduler();
    by_the_clock();
    quiet_and_force();
    return tap_done();
}
