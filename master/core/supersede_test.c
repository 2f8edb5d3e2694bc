/* A newer commit cancels what is older, where the scheduler says so. */
#include "master/core/fixture.h"

#include "tests/tap.h"

#define CONF(level)                                                                                \
    "projects: [{name: p, repository: /r.git}]\n"                                                  \
    "builders: [{name: a, project: p, collapse: false, retries: 2, steps: [{run: x}]}]\n"          \
    "schedulers: [{name: s, kind: branch, project: p" level "}]\n"

static world *three(const char *yaml)
{
    world *w = world_new(yaml);
    if (!w)
        return NULL;
    look(w, 0, "master", 1);
    up(w, worker(w, "w1", 1), 7, 1);
    push(w, 0, "master", 1, 2); /* request 1, build 2, runs */
    start(w, 1);
    push(w, 0, "master", 2, 3); /* request 3 */
    return w;
}

static bool because(world *w, uint64_t id, const char *reason)
{
    build_now b = build(w, id);
    return b.state == BUILD_DONE && b.result == PW_CANCELLED && strcmp(b.reason, reason) == 0;
}

static void none(void)
{
    PW_AUTO(world_freep) world *w = three(CONF(""));
    if (!w)
        return;
    push(w, 0, "master", 3, 4);
    ok(build(w, 2).state == BUILD_RUNNING && figures(w).waiting == 2, "by default each is built");
}

static void queued(void)
{
    PW_AUTO(world_freep) world *w = three(CONF(", supersede: queued"));
    if (!w)
        return;
    push(w, 0, "side", 0, 50); /* request 4 */
    (void)force(w, "a");       /* request 5 */
    world_restart(w, NULL);
    push(w, 0, "master", 3, 4); /* request 6, build 7: the end of request 3 */
    ok(because(w, 7, "superseded by request 6") && request(w, 3).build == 7,
       "what waits is cancelled, and says by whom: %s", build(w, 7).reason);
    ok(build(w, 2).state == BUILD_RUNNING && request(w, 4).state == REQ_WAITING &&
           request(w, 5).state == REQ_WAITING && request(w, 6).state == REQ_WAITING,
       "not what runs, not another branch, not what people forced");
    push(w, 0, "master", 4, 3); /* the branch goes back */
    ok(request(w, 6).state == REQ_DONE && figures(w).waiting == 3 && figures(w).open == 1,
       "the newest is what counts, also when it is an old one");
}

static void running(void)
{
    PW_AUTO(world_freep) world *w = three(CONF(", supersede: running"));
    if (!w)
        return;
    ok(because(w, 2, "superseded by request 3") && count(w, CORE_CANCEL) == 1,
       "what runs is cancelled, its worker is told");
    ok(request(w, 3).state == REQ_CLAIMED, "and the newest runs");
    uint64_t id = force(w, "a");
    uint64_t retried = (ask(w, CMD_RETRY, (say){.id = 2}), told(w, "requests"));
    push(w, 0, "master", 3, 4);
    ok(request(w, id).state >= 0 && request(w, retried).state == REQ_WAITING &&
           (request(w, id).state == REQ_WAITING || !done(w, request(w, id).build, PW_CANCELLED)),
       "never what was forced, never what people repeat");
}

/* A build whose attempt was lost waits for the next one. */
static void again(void)
{
    PW_AUTO(world_freep) world *w = three(CONF(", supersede: queued"));
    if (!w)
        return;
    (void)ask(w, CMD_WORKER_PAUSE, (say){.name = "w1"});
    end(w, 1, PW_EXCEPTION);
    ok(build(w, 2).state == BUILD_QUEUED, "it is to be tried again");
    push(w, 0, "master", 3, 4);
    ok(because(w, 2, "superseded by request 5") || because(w, 2, "superseded by request 4"),
       "one that waits for another try is cancelled as well: %s", build(w, 2).reason);
}

static void with_testfix(void)
{
    PW_AUTO(world_freep) world *w = three(CONF(", supersede: running, testfix: true"));
    if (!w)
        return;
    run(w, 2, PW_FAILURE);
    push_as(w, 0, "master", 3, 4, true);
    start(w, 3);
    uint64_t mends = figures(w).open;
    push(w, 0, "master", 4, 5);
    ok(mends == 1 && figures(w).open == 1 && figures(w).waiting == 1 && count(w, CORE_CANCEL) == 1,
       "what is held cancels nothing");
    end(w, 3, PW_SUCCESS);
    ok(figures(w).open == 1 && figures(w).waiting == 0, "it is built when the branch is green");
}

/* An old revision told by hand must not cancel a newer one that runs. */
static void old_hint(void)
{
    PW_AUTO(world_freep) world *w = three(CONF(", supersede: running"));
    char hex[2 * STORE_REV_MAX + 1];
    store_rev old = rev(900);
    if (!w)
        return;
    store_rev_text(&old, hex);
    ok(ask(w, CMD_CHANGE, (say){.branch = "master", .revision = hex}) == 202 &&
           told(w, "change") == 0 && request(w, 3).state == REQ_CLAIMED &&
           build(w, request(w, 3).build).state != BUILD_DONE,
       "a hint is left to the look that follows");
}

int main(void)
{
    if (crypt_init(NULL) < 0)
        return 1;
    none();
    queued();
    running();
    again();
    with_testfix();
    old_hint();
    return tap_done();
}
