/* Proposals: when they are built, for what they count, who may have secrets. */
#include "master/core/fixture.h"
#include "tests/tap.h"

#define P                                                                                          \
    "secrets: {one: {env: PAWL_TEST_ONE}}\nprojects: [{name: p, repository: /r.git, branches: "    \
    "[master], poll: 1h}]\n"
#define B                                                                                          \
    "builders:\n  - {name: test, project: p, steps: [{run: x}]}\n"                                 \
    "  - {name: ship, project: p, env: {A: \"${secret:one}\"}, steps: [{run: x}]}\n"
#define S                                                                                          \
    "schedulers:\n"                                                                                \
    "  - {name: pr, kind: proposal, project: p, branches: [master], builders: [test], "            \
    "properties: "                                                                                 \
    "{proposal_target: mine}}\n"                                                                   \
    "  - {name: merged, kind: proposal, ref: merge, project: p, builders: [ship]}\n"
#define CONF P B S

typedef struct at {
    const char *ref;
    unsigned from, to;
    bool skip;
} at;

static void polled(world *w, const at *v, size_t n)
{
    core_commit_info c[8];
    core_move m[8];
    for (size_t i = 0; i < n; i++) {
        c[i] = (core_commit_info){
            .rev = rev(v[i].to), .author = "Eve <e@x>", .subject = "s", .skip = v[i].skip};
        m[i] = (core_move){.ref = v[i].ref,
                           .old = v[i].from ? rev(v[i].from) : (store_rev){0},
                           .rev = v[i].to ? rev(v[i].to) : (store_rev){0},
                           .commit = &c[i],
                           .n_commits = v[i].to ? 1 : 0};
    }
    if (w->core)
        core_polled(w->core, 0, "master", m, n);
    (void)world_go(w);
}
#define POLLED(w, ...)                                                                             \
    polled((w), (const at[]){__VA_ARGS__}, sizeof((const at[]){__VA_ARGS__}) / sizeof(at))

static size_t waiting(const world *w)
{
    return figures(w).waiting;
}

/* While its scheduler is paused nothing is built; then the newest of each. */
static void paused(void)
{
    PW_AUTO(world_freep) world *w = world_new(CONF);
    if (!w)
        return;
    POLLED(w, {"refs/heads/master", 0, 1, false}, {"refs/pull/1/head", 0, 2, false});
    (void)ask(w, CMD_SCHEDULER_PAUSE, (say){.name = "pr", .reason = "r"});
    POLLED(w, {"refs/pull/1/head", 2, 3, false}, {"refs/pull/2/head", 0, 7, false});
    POLLED(w, {"refs/pull/1/head", 3, 4, false}, {"refs/pull/2/head", 7, 0, false});
    world_restart(w, NULL);
    ok(waiting(w) == 0, "nothing of a paused scheduler");
    (void)ask(w, CMD_SCHEDULER_RESUME, (say){.name = "pr"});
    ok(waiting(w) == 1 && request_rev(w, 1) == 4, "then the newest of what is there still");
    up_open(w, worker(w, "w1", 1), 7, 1);
    char got[200];
    offered_props(w, got, sizeof(got));
    ok(strstr(got, "proposal=1 "), "with its properties: %s", got);
}

static void first_look(void)
{
    PW_AUTO(world_freep) world *w = world_new(CONF);
    bool first = false;
    if (!w)
        return;
    ok(core_proposals(w->core, 0, &first) && first, "they are wanted, and were never seen");
    POLLED(w, {"refs/heads/master", 0, 1, false}, {"refs/pull/1/head", 0, 2, false});
    ok(waiting(w) == 0 && core_proposals(w->core, 0, &first) && !first,
       "the first look builds nothing");
    world_restart(w, CONF);
    ok(core_proposals(w->core, 0, &first) && !first, "that is remembered");
    POLLED(w, {"refs/pull/1/head", 2, 3, false}, {"refs/pull/2/head", 0, 4, false},
           {"refs/pull/3/head", 0, 5, true});
    ok(waiting(w) == 2, "then each that moves is built, but for one that asks for no build: %zu",
       waiting(w));
    POLLED(w, {"refs/pull/1/head", 3, 0, false});
    ok(waiting(w) == 1, "one that goes takes its queue with it");
    world_restart(w, P B);
    ok(!core_proposals(w->core, 0, &first), "nobody asks for them any more");
    POLLED(w, {"refs/heads/master", 1, 6, false});
    world_restart(w, CONF);
    ok(core_proposals(w->core, 0, &first) && first, "who asks again begins anew");
}

static void targets(void)
{
    PW_AUTO(world_freep) world *w = world_new(CONF);
    store_proposal f = {.fork = 1, .target = (char *)(uintptr_t) "old"};
    if (!w)
        return;
    POLLED(w, {"refs/heads/master", 0, 1, false});
    ok(store_begin(w->st, NULL) == 0 &&
           store_proposal_put(w->st, core_project_row(w->core, 0), "pull/5", &f, 1, NULL) == 0 &&
           store_commit(w->st, NULL) == 0,
       "a hook told of its target");
    POLLED(w, {"refs/pull/5/head", 0, 2, false}, {"refs/for/old", 0, 3, false});
    ok(waiting(w) == 0, "into another branch: not built");
    POLLED(w, {"refs/pull/6/head", 0, 4, false}, {"refs/for/master", 0, 5, false});
    ok(waiting(w) == 2, "into this one, or nobody knows into which: built");
    POLLED(w, {"refs/pull/6/merge", 0, 6, false});
    ok(waiting(w) == 3, "what was merged is another scheduler's");
}

/* The builds of two requests, whose secrets are what is looked at. */
static void trust(void)
{
    PW_AUTO(world_freep)
    world *w = world_new(
        P B "schedulers: [{name: pr, kind: proposal, "
            "project: p, builders: [ship]}, {name: m, kind: proposal, ref: merge, project: "
            "p, builders: [ship]}]\n");
    if (!w)
        return;
    POLLED(w, {"refs/heads/master", 0, 1, false}, {"refs/heads/mine", 0, 9, false});
    up_open(w, worker(w, "w1", 4), 7, 4);
    POLLED(w, {"refs/pull/1/head", 0, 2, false});
    ok(count(w, CORE_OFFER) == 0 && done(w, 2, PW_EXCEPTION) &&
           strstr(build(w, 2).reason, "gets no secrets"),
       "what others propose gets no secrets");
    POLLED(w, {"refs/pull/2/head", 0, 9, false});
    ok(count(w, CORE_OFFER) == 0, "nor what is at a branch that is not configured");
    POLLED(w, {"refs/pull/3/merge", 0, 1, false});
    ok(count(w, CORE_OFFER) == 0, "nor what the forge merged");
    POLLED(w, {"refs/heads/master", 1, 7, false}, {"refs/pull/4/head", 0, 7, false});
    ok(count(w, CORE_OFFER) == 1, "what is the tip of a configured branch of ours does");
    POLLED(w, {"refs/pull/1/head", 2, 7, false});
    ok(count(w, CORE_OFFER) == 2, "whoever proposes it");
}

int main(void)
{
    (void)setenv("PAWL_TEST_ONE", "first-value", 1);
    first_look();
    paused();
    targets();
    trust();
    return tap_done();
}
