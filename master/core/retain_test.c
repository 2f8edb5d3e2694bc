/* Retention over real rows: what goes, in which order, what stays, and a crash anywhere between. */
#include "master/core/fixture.h"

#include "master/store/files.h"
#include "master/store/retain.h"
#include "tests/tap.h"

#define CONFIG(retention)                                                                          \
    "retention: " retention "\n"                                                                   \
    "projects: [{name: p, repository: /r, poll: 1h}]\n"                                            \
    "builders:\n"                                                                                  \
    "  - {name: a, project: p, collapse: false, steps: [{run: x}]}\n"                              \
    "  - {name: b, project: p, collapse: false, steps: [{run: x}]}\n"                              \
    "schedulers: [{name: f, kind: force, project: p}]\n"                                           \
    "promotions: [{name: up, kind: green, project: p, from: master, to: stable, builders: [b]}]\n"

/* A finished build with one sealed log; returns its id. Its attempt is `last`'s. */
static uint64_t built(world *w, const char *builder, const char *branch, pw_result result)
{
    (void)ask(w, CMD_FORCE,
              (say){.builder = builder,
                    .branch = branch,
                    .revision = "abababababababababababababababababab0001",
                    .reason = "because"});
    uint64_t request_id = told(w, "requests");
    uint64_t attempt = last(w, CORE_OFFER)->attempt;
    world_forget(w);
    start(w, attempt);
    store_log l = {.attempt = attempt, .bytes = 5, .lines = 1, .packed = 9};
    if (!w->core || !att(w, attempt))
        return 0;
    core_att_log(w->core, &l);
    (void)world_go(w);
    end(w, attempt, result);
    core_log_sealed(w->core, attempt, 0, 0, 9);
    (void)world_go(w);
    world_forget(w);
    return request(w, request_id).build;
}

static bool there(world *w, uint64_t id)
{
    return build(w, id).state != (build_state)-1;
}

static int on_old(void *p, const store_old *b)
{
    *(store_old *)p = *b;
    return 0;
}
/* What retention sees of it. */
static store_old facts(world *w, uint64_t id)
{
    store_old b = {0};
    (void)store_retain_next(w->st, id - 1, 1, on_old, &b, NULL);
    return b.id == id ? b : (store_old){0};
}

/* The archive thread of these tests: files that were asked for are gone, or not. */
static size_t archive(world *w, bool gone)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++)
        if (w->eff[i].kind == CORE_REMOVE) {
            core_log_removed(w->core, w->eff[i].attempt, w->eff[i].index, w->eff[i].id, gone);
            n++;
        }
    world_forget(w);
    (void)world_go(w);
    return n;
}

static uint64_t setup(world *w)
{
    look(w, 0, "master", 1);
    uint64_t id = worker(w, "w1", 7);
    up(w, id, 1, 1);
    return id;
}

static void test_order(void)
{
    PW_AUTO(world_freep) world *w = world_new(CONFIG("{logs: 100s, builds: 200s}"));
    (void)setup(w);
    uint64_t first = built(w, "a", "master", PW_SUCCESS), red = built(w, "a", "master", PW_FAILURE),
             newest = built(w, "a", "master", PW_SUCCESS);
    ok(first && red > first && newest > red, "three builds");
    world_pass(w, 90);
    ok(count(w, CORE_REMOVE) == 0 && facts(w, first).logs, "young ones stay");
    world_pass(w, 20);
    ok(count(w, CORE_REMOVE) == 3 && facts(w, first).going && !facts(w, first).logs,
       "files go; the rows say so before");
    world_pass(w, 150);
    ok(count(w, CORE_REMOVE) == 3 && there(w, first), "no row goes before its file is gone");
    ok(archive(w, false) == 3 && facts(w, first).going, "a file that could not be removed");
    world_pass(w, 10);
    ok(archive(w, true) == 3 && !facts(w, first).going, "is asked for again, and is gone");
    world_pass(w, 20);
    ok(!there(w, first) && !there(w, red), "then the builds go");
    ok(there(w, newest), "but not the newest");
    ok(request(w, first - 1).state == -1, "with their requests");
    (void)force(w, "a");
    ok(last(w, CORE_OFFER)->attempt > 3, "numbers go on");
}

static void test_crash(void)
{
    PW_AUTO(world_freep) world *w = world_new(CONFIG("{logs: 100s, builds: 200s}"));
    uint64_t id = setup(w);
    uint64_t first = built(w, "a", "master", PW_SUCCESS);
    (void)built(w, "a", "master", PW_SUCCESS);
    world_pass(w, 110);
    ok(count(w, CORE_REMOVE) == 2, "files go");
    world_forget(w);
    world_restart(w, NULL);
    up(w, id, 1, 1);
    ok(facts(w, first).going, "killed before they went, or before that was told");
    world_pass(w, 10);
    ok(count(w, CORE_REMOVE) == 2, "they are asked for again");
    (void)archive(w, true);
    world_restart(w, NULL);
    world_pass(w, 250); /* of what a killed master saw, a minute may be missing */
    ok(count(w, CORE_REMOVE) == 0 && !there(w, first), "killed after it: nothing is done twice");
}

static void test_kept(void)
{
    PW_AUTO(world_freep)
    world *w = world_new(CONFIG("{logs: 100s, builds: 100s, keep_last: 2, red: 400s, branches: "
                                "[{match: release, builds: forever, logs: forever}]}"));
    (void)setup(w);
    look(w, 0, "dev", 1);
    look(w, 0, "release", 1);
    uint64_t old = built(w, "a", "master", PW_SUCCESS),
             pinned = built(w, "a", "master", PW_SUCCESS),
             red = built(w, "a", "master", PW_FAILURE),
             release = built(w, "a", "release", PW_SUCCESS),
             green = built(w, "b", "master", PW_SUCCESS);
    for (int i = 0; i < 2; i++) {
        (void)built(w, "b", "master", PW_FAILURE);
        (void)built(w, "a", "master", PW_SUCCESS);
    }
    uint64_t dev = built(w, "a", "dev", PW_SUCCESS);
    ok(ask(w, CMD_PIN, (say){.id = pinned, .reason = "evidence"}) == 202 &&
           ask(w, CMD_PIN, (say){.id = 99999}) == 404,
       "one is pinned");
    for (int i = 0; i < 4; i++) {
        world_pass(w, 40);
        (void)archive(w, true);
    }
    ok(!there(w, old), "an old one goes");
    ok(facts(w, pinned).logs, "a pinned one stays");
    ok(facts(w, red).logs, "a red one is young still");
    ok(facts(w, release).logs, "a branch of its own rule");
    ok(there(w, green) && !facts(w, green).logs,
       "what a promotion may need stays, without its log");
    ok(facts(w, dev).logs, "the last of a branch stays");
    ok(ask(w, CMD_UNPIN, (say){.id = pinned}) == 202, "not pinned any more");
    for (int i = 0; i < 10; i++) {
        world_pass(w, 40);
        (void)archive(w, true);
    }
    ok(!there(w, pinned) && !there(w, red), "then it goes, and the red one at its age");
}

/* What a promotion goes by stays only until the branch was moved. */
static void test_moved(void)
{
    PW_AUTO(world_freep) world *w = world_new(CONFIG("{builds: 100s}"));
    (void)setup(w);
    uint64_t green = built(w, "b", "master", PW_SUCCESS);
    (void)built(w, "b", "master", PW_FAILURE);
    (void)built(w, "a", "master", PW_SUCCESS);
    store_rev r = rev(1);
    store_promotion p = {.id = 1,
                         .edge = (char *)(uintptr_t) "up",
                         .project = 1,
                         .source = (char *)(uintptr_t) "master",
                         .target = (char *)(uintptr_t) "stable",
                         .rev = r,
                         .created = w->wall};
    for (int i = 0; i < 4; i++) {
        world_pass(w, 60);
        (void)archive(w, true);
    }
    ok(there(w, green), "it stays while it was not promoted");
    ok(store_begin(w->st, NULL) == 0 && store_promotion_add(w->st, &p, NULL) == 0 &&
           store_promotion_end(w->st, 1, PROMO_DONE, NULL, w->wall, NULL) == 0 &&
           store_commit(w->st, NULL) == 0,
       "promoted");
    for (int i = 0; i < 4; i++) {
        world_pass(w, 60);
        (void)archive(w, true);
    }
    ok(!there(w, green), "and goes");
}

static void test_lone(void)
{
    PW_AUTO(world_freep) world *w = world_new(CONFIG("{builds: 100s}"));
    look(w, 0, "master", 1);
    uint64_t id = force(w, "a");
    ok(ask(w, CMD_CANCEL_REQUEST, (say){.id = id}) == 202 && request(w, id).state == REQ_DONE,
       "a request that was taken back");
    uint64_t waits = force(w, "a");
    world_pass(w, 300);
    ok(request(w, id).state == -1, "goes");
    ok(request(w, waits).state == REQ_WAITING, "one that waits stays, however old");
}

/* The wall clock is set ahead by ten years: nothing is old because of that. */
static void test_clock(void)
{
    PW_AUTO(world_freep) world *w = world_new(CONFIG("{logs: 1h, builds: 1d}"));
    (void)setup(w);
    uint64_t first = built(w, "a", "master", PW_SUCCESS);
    (void)built(w, "a", "master", PW_SUCCESS);
    w->wall += INT64_C(3650) * 24 * 3600 * 1000;
    world_pass(w, 600);
    ok(count(w, CORE_REMOVE) == 0 && facts(w, first).logs, "all is there");
    world_restart(w, NULL);
    world_pass(w, 60);
    ok(count(w, CORE_REMOVE) == 0 && facts(w, first).logs, "after a start too");
}

static void test_many(void)
{
    enum { BUILDS = 300 };
    PW_AUTO(world_freep) world *w = world_new(CONFIG("{logs: 100s, builds: 100s}"));
    (void)setup(w);
    uint64_t ids[BUILDS];
    size_t left = 0, most = 0;
    for (size_t i = 0; i < BUILDS; i++)
        ids[i] = built(w, "a", "master", PW_SUCCESS);
    for (int i = 0; i < 400; i++) {
        world_pass(w, 1);
        most = count(w, CORE_REMOVE) > most ? count(w, CORE_REMOVE) : most;
        (void)archive(w, true);
    }
    for (size_t i = 0; i < BUILDS; i++)
        left += there(w, ids[i]);
    ok(left == 1 && most <= 256, "300 builds go, at most 256 files at once (%zu)", most);
    PW_AUTO(pw_buf_clearp) pw_buf why = PW_BUF(400);
    ok(store_buildset_reason(w->st, 1, &why, NULL) == PW_ENOTFOUND, "with their build sets");
}

/* Files of a pinned build stay past their time; those of one that goes go before it. */
static void test_files(void)
{
    PW_AUTO(world_freep) world *w = world_new(CONFIG("{builds: 100s}"));
    (void)setup(w);
    uint64_t first = built(w, "a", "master", PW_SUCCESS);
    (void)built(w, "a", "master", PW_SUCCESS);
    store_artifact f = {.attempt = build(w, first).attempt,
                        .file = 1,
                        .path = "a",
                        .size = 1,
                        .state = FILE_STORED,
                        .at = w->wall,
                        .expires = w->wall + 1};
    ok(f.attempt && store_begin(w->st, NULL) == 0 && store_artifact_add(w->st, &f, NULL) == 0 &&
           store_commit(w->st, NULL) == 0 && facts(w, first).files,
       "a build with a file");
    ok(ask(w, CMD_PIN, (say){.id = first}) == 202, "pinned");
    world_pass(w, 200);
    (void)archive(w, true);
    world_pass(w, 200);
    ok(facts(w, first).files, "its file stays");
    ok(ask(w, CMD_UNPIN, (say){.id = first}) == 202, "not pinned any more");
    for (int i = 0; i < 8; i++) {
        world_pass(w, 40);
        (void)archive(w, true);
    }
    ok(!there(w, first), "file and build go");
}

int main(void)
{
    test_order();
    test_crash();
    test_kept();
    test_moved();
    test_lone();
    test_clock();
    test_many();
    test_files();
    return tap_done();
}
