/* What comes after another scheduler, and what a step fires: once, at the same revision, whatever
 * is killed. */
#include "master/core/fixture.h"
#include "master/core/parts.h"

#include "tests/tap.h"

#define CONF                                                                                       \
    "projects: [{name: p, repository: /r.git}]\n"                                                  \
    "builders: [{name: a, project: p, steps: [{run: x}]}, {name: b, project: p, steps: [{run: "    \
    "x}]}, {name: extra, project: p, required: false, steps: [{run: x}]}, {name: slow, project: "  \
    "p, retries: 0, steps: [{run: x}]}]\n"                                                         \
    "schedulers:\n"                                                                                \
    "  - {name: fast, kind: branch, project: p, builders: [a, b, extra]}\n"                        \
    "  - {name: behind, kind: dependent, project: p, after: fast, builders: [slow], priority: 3, " \
    "properties: {k: v}}\n"                                                                        \
    "  - {name: fired, kind: triggered, project: p, builders: [slow, a], properties: {x: own, y: " \
    "own}}\n"                                                                                      \
    "  - {name: hand, kind: force, project: p, builders: [slow]}\n"

/* One worker; a push from 1 to 2 made requests 1 2 3, builds 4 5 6 in attempts 1 2 3. */
static world *pushed(uint64_t slots)
{
    world *w = world_new(CONF);
    if (!w)
        return NULL;
    look(w, 0, "master", 1);
    up(w, worker(w, "w1", 1), 7, slots);
    push(w, 0, "master", 1, 2);
    return w;
}

static void green(void)
{
    PW_AUTO(world_freep) world *w = pushed(3);
    if (!w)
        return;
    ok(build(w, 6).state == BUILD_DISPATCHED, "three are built");
    run(w, 1, PW_SUCCESS);
    run(w, 3, PW_FAILURE);
    world_restart(w, NULL);
    ok(request(w, 7).state == -1, "nothing comes before the last one is done");
    end(w, 2, PW_SUCCESS);
    run(w, 2, PW_SUCCESS);
    ok(request(w, 7).state >= REQ_WAITING && request_rev(w, 7) == 2,
       "after the last green one, at the same revision; what is not required may be red");
    uint64_t after = request(w, 7).build;
    for (int i = 0; i < 3; i++)
        world_restart(w, NULL);
    world_pass(w, 5);
    ok(request(w, 8).state == -1 && request(w, 9).state == -1 && (!after || after == 8),
       "once, over restarts");
}

static void red(pw_result how, const char *name)
{
    PW_AUTO(world_freep) world *w = pushed(3);
    if (!w)
        return;
    run(w, 1, PW_SUCCESS);
    run(w, 3, PW_SUCCESS);
    run(w, 2, how);
    ok(request(w, 7).state == -1 && figures(w).waiting == 0, "nothing after %s", name);
}

static void ridden(void)
{
    PW_AUTO(world_freep) world *w = pushed(1);
    if (!w)
        return;
    push(w, 0, "master", 2, 3); /* 5 6 7: what waits of the first set rides */
    ok(request(w, 2).rode_with == 6 && request(w, 3).rode_with == 7 && request(w, 1).rode_with == 0,
       "two ride with the next push");
    run(w, 1, PW_SUCCESS);
    ok(request_rev(w, 8) == 0 || request_rev(w, 8) != 2, "a set that was not built whole is none");
    for (uint64_t id = 2; id <= 4; id++)
        run(w, id, PW_SUCCESS);
    uint64_t n = 0;
    for (uint64_t id = 8; id < 20; id++)
        n += request(w, id).state >= 0;
    ok(n == 1, "the next push is followed, once");
}

static void no_people(void)
{
    PW_AUTO(world_freep) world *w = pushed(3);
    if (!w)
        return;
    ok(ask(w, CMD_CANCEL_REQUEST, (say){.id = 3}) == 202, "cancelled");
    run(w, 1, PW_SUCCESS);
    run(w, 2, PW_SUCCESS);
    ok(request(w, 7).state >= 0, "a cancelled one that is not required keeps nobody");
    run(w, 4, PW_SUCCESS);
    ok(figures(w).waiting == 0 && figures(w).open == 0, "what follows is followed by nothing");
    (void)ask(w, CMD_RETRY, (say){.id = 4});
    for (uint64_t again = 5; again <= 7; again++)
        run(w, again, PW_SUCCESS);
    ok(figures(w).waiting == 0 && figures(w).open == 0,
       "what people repeat is no set of a scheduler");
}

/* A request of the set rides with one of another scheduler, at the same revision. */
static void same_revision(void)
{
    PW_AUTO(world_freep)
    world *w = world_new("projects: [{name: p, repository: /r.git}]\n"
                         "builders: [{name: a, project: p, steps: [{run: x}]}, {name: slow, "
                         "project: p, steps: [{run: x}]}]\n"
                         "schedulers:\n"
                         "  - {name: fast, kind: branch, project: p, builders: [a]}\n"
                         "  - {name: each, kind: periodic, project: p, every: 100s, builders: "
                         "[a]}\n"
                         "  - {name: behind, kind: dependent, project: p, after: fast, builders: "
                         "[slow]}\n");
    if (!w)
        return;
    look(w, 0, "master", 1);
    world_pass(w, 1); /* request 1 */
    push(w, 0, "master", 1, 2);
    ok(request(w, 1).rode_with == 2, "an older revision rides with the push");
    world_pass(w, 100);
    world_pass(w, 100);
    ok(request(w, 2).rode_with == 3 && request(w, 3).rode_with == 4 && request(w, 5).state == -1,
       "the push rides with the clock, at the same revision, twice");
    world_restart(w, NULL);
    up(w, worker(w, "w1", 1), 7, 1);
    run(w, 1, PW_SUCCESS);
    uint64_t n = 0;
    for (uint64_t id = 5; id < 12; id++)
        n += request(w, id).state >= 0;
    ok(n == 1 && request_rev(w, 6) == 2, "when that is green, what comes after the push is built");
    run(w, 2, PW_SUCCESS);
    world_pass(w, 2);
    ok(figures(w).waiting == 0 && figures(w).open == 0, "once");
}

/* Builds of two pushes end in the other order: what comes after the newer one counts. */
static void out_of_order(void)
{
    PW_AUTO(world_freep)
    world *w = world_new("projects: [{name: p, repository: /r.git}]\n"
                         "builders: [{name: a, project: p, steps: [{run: x}]}, {name: slow, "
                         "project: p, requires: {tags: [none]}, steps: [{run: x}]}]\n"
                         "schedulers:\n"
                         "  - {name: fast, kind: branch, project: p, builders: [a]}\n"
                         "  - {name: behind, kind: dependent, project: p, after: fast, builders: "
                         "[slow]}\n");
    if (!w)
        return;
    look(w, 0, "master", 1);
    up(w, worker(w, "w1", 1), 7, 2);
    push(w, 0, "master", 1, 2); /* request 1, build 2, attempt 1 */
    push(w, 0, "master", 2, 3); /* request 3, build 4, attempt 2 */
    run(w, 2, PW_SUCCESS);
    ok(request(w, 5).state == REQ_WAITING && request_rev(w, 5) == 3, "the newer push is green");
    run(w, 1, PW_SUCCESS);
    ok(request(w, 5).state == REQ_WAITING && request(w, 6).state == REQ_DONE &&
           request(w, 6).rode_with == 5,
       "what follows the older one rides with it, not the other way round");
}

static void fired(void)
{
    PW_AUTO(world_freep) world *w = pushed(3);
    if (!w || !w->core)
        return;
    pw_err err = {0};
    uint64_t ids[2] = {0};
    char x[] = "x", given[] = "given";
    msg_pair pair = {x, given};
    store_rev at = rev(2);
    core_stamp *s = core_stamp_make(w->core, w->core->project[0].row, "master", &at);
    if (!s)
        return;
    uint64_t set =
        core_trigger_scheduler(w->core, 2, s, &(pw_list){&pair, 1}, "ann", "a step", 4, ids, &err);
    (void)world_go(w);
    ok(set && ids[0] == 7 && ids[1] == 8 && request_rev(w, 7) == 2 && request(w, 8).state >= 0,
       "a request of each builder, at that revision");
    run(w, 1, PW_SUCCESS);
    ok(count(w, CORE_OFFER) == 4, "it is built");
    char got[200];
    offered_props(w, got, sizeof(got));
    ok(strstr(got, "y=own ") && strstr(got, "x=given ") && !strstr(got, "x=own"),
       "with its own properties, and what the step gives over them: %s", got);
    ok(w->core && core_trigger_scheduler(w->core, 0, s, NULL, "ann", "r", 4, NULL, &err) == 0 &&
           err.code == PW_EINVAL && strstr(err.text, "of kind branch"),
       "no other kind can be fired");
    (void)ask(w, CMD_SCHEDULER_PAUSE, (say){.name = "fired", .reason = "it hurts"});
    err = (pw_err){0};
    ok(w->core && core_trigger_scheduler(w->core, 2, s, NULL, "ann", "r", 4, NULL, &err) == 0 &&
           err.code == PW_EDENIED && strstr(err.text, "paused by ann because it hurts"),
       "nor one that is paused: %s", err.text);
    core_stamp_unref(s);
}

int main(void)
{
    if (crypt_init(NULL) < 0)
        return 1;
    green();
    red(PW_FAILURE, "a red one");
    red(PW_WARNINGS, "warnings");
    red(PW_CANCELLED, "a cancelled one");
    ridden();
    no_people();
    same_revision();
    out_of_order();
    fired();
    return tap_done();
}
