/* Builders of a set that need each other, through the core: what waits, what is released, what is
 * skipped, and that a kill between any two turns changes nothing of it. */
#include "master/core/fixture.h"
#include "master/store/outbox.h"

#include "tests/tap.h"

#define P "projects: [{name: p, repository: /r.git}]\n"
#define B(name, keys) "  - {name: " name ", project: p, steps: [{run: x}]" keys "}\n"
#define S "schedulers: [{name: push, kind: branch, project: p"
static const char chain[] = P "builders:\n" B("fast", "") B("slow", ", needs: [fast]")
    B("deploy", ", needs: [slow], manual: true")
        B("sweep", ", needs: [fast, slow], always_run: true") S "}]\n";

static world *begin(const char *conf)
{
    world *w = world_new(conf);
    if (!w)
        return NULL;
    world_pass(w, 1);
    look(w, 0, "master", 1);
    uint64_t id = worker(w, "w1", 1);
    up(w, id, 7, 8);
    push(w, 0, "master", 1, 2);
    return w;
}

/* As after kill -9; the worker is back. */
static void again(world *w)
{
    world_restart(w, NULL);
    if (w->core)
        up(w, 1, 7, 8);
}

/* The text of `why`. */
static bool why(world *w, uint64_t request, const char *text)
{
    (void)ask(w, CMD_WHY, (say){.id = request});
    if (!strstr(w->body, text))
        printf("# %s\n", w->body);
    return strstr(w->body, text);
}

static bool waits(world *w, uint64_t request_id)
{
    request_now r = request(w, request_id);
    return r.state == REQ_WAITING && !r.build;
}

/* The build of a request, and its live attempt, which is the newest. */
static uint64_t build_of(world *w, uint64_t r)
{
    return request(w, r).build;
}
static void finish(world *w, uint64_t r, pw_result result)
{
    run(w, build(w, build_of(w, r)).attempt, result);
}
static bool ended(world *w, uint64_t r, pw_result result, const char *reason)
{
    build_now b = build(w, build_of(w, r));
    if (b.result != (int)result || !strstr(b.reason, reason))
        printf("# request %llu: result %d, \"%s\"\n", (unsigned long long)r, b.result, b.reason);
    return request(w, r).state == REQ_DONE && b.result == (int)result && strstr(b.reason, reason);
}

/* fast 1, slow 2, deploy 3, sweep 4 */
static void test_chain(bool kill)
{
    PW_AUTO(world_freep) world *w = begin(chain);
    if (!w)
        return;
    ok(build_of(w, 1) && waits(w, 2) && waits(w, 3) && waits(w, 4) && count(w, CORE_OFFER) == 1,
       "only what needs nobody begins");
    if (kill)
        again(w);
    ok(figures(w).waiting == 3, "the others wait");
    ok(why(w, 2, "waiting for builder fast (build 5, running)") &&
           why(w, 3, "waiting for builder slow (request 2, waiting)"),
       "and say for whom");
    finish(w, 1, PW_SUCCESS);
    if (kill)
        again(w);
    ok(build_of(w, 2) && waits(w, 3) && waits(w, 4), "the next begins in the turn of the end");
    finish(w, 2, PW_WARNINGS);
    if (kill)
        again(w);
    ok(build_of(w, 4) && waits(w, 3), "all that it needs is over; warnings do");
    ok(why(w, 3, "needs start by a person: pawl start 3"), "a manual one says what it wants");
    finish(w, 4, PW_SUCCESS);
    if (kill)
        again(w);
    ok(waits(w, 3) && figures(w).waiting == 1, "it waits on");
    ok(ask(w, CMD_START, (say){.id = 3}) == 202 && build_of(w, 3), "until it is started");
    ok(ask(w, CMD_START, (say){.id = 3}) == 409 && ask(w, CMD_START, (say){.id = 99}) == 404,
       "once");
    if (kill)
        again(w);
    finish(w, 3, PW_SUCCESS);
    ok(ended(w, 3, PW_SUCCESS, "") && figures(w).waiting == 0 && figures(w).open == 0,
       "all is over");
}

static void test_red(bool kill)
{
    PW_AUTO(world_freep) world *w = begin(chain);
    if (!w)
        return;
    finish(w, 1, PW_FAILURE);
    if (kill)
        again(w);
    ok(ended(w, 2, PW_SKIPPED, "needs fast, which failed") &&
           ended(w, 3, PW_SKIPPED, "needs slow, which was skipped"),
       "what needs a red one is skipped");
    ok(build_of(w, 4) && build(w, build_of(w, 4)).state != BUILD_DONE, "what cleans up runs");
    finish(w, 4, PW_SUCCESS);
    ok(figures(w).waiting == 0 && figures(w).open == 0, "all is over");
    push(w, 0, "master", 2, 3);
    size_t first = build_of(w, 4) + 1;
    while (request(w, first).state < 0)
        first++;
    ok(ask(w, CMD_CANCEL_BUILD, (say){.id = build_of(w, first)}) == 202 &&
           ended(w, first + 1, PW_SKIPPED, "needs fast, which was cancelled"),
       "a need that was cancelled");
    ok(build_of(w, first + 3), "clean-up runs after a cancel");
}

static void test_exception(void)
{
    PW_AUTO(world_freep) world *w = begin(chain);
    if (!w)
        return;
    for (int i = 0; i < 2; i++) {
        finish(w, 1, PW_EXCEPTION);
        ok(waits(w, 2), "an exception that is tried again decides nothing");
    }
    finish(w, 1, PW_EXCEPTION);
    ok(ended(w, 2, PW_SKIPPED, "needs fast, which ended in an exception"), "the final one does");
}

static void test_matrix(bool kill)
{
    PW_AUTO(world_freep)
    world *w = begin(P "builders:\n" B("slow", ", matrix: {cc: [gcc, clang]}, shards: 2")
                         B("after", ", needs: [slow]") S
                     "}]\n"
                     "promotions: [{name: e, kind: green, project: p, from: master, to: stable, "
                     "builders: [slow]}]\n");
    static const char *const names[] = {"slow[cc=gcc,shard=1/2]", "slow[cc=gcc,shard=2/2]",
                                        "slow[cc=clang,shard=1/2]", "slow[cc=clang,shard=2/2]"};
    size_t good = 0, seen_jobs = 0;
    if (!w)
        return;
    for (size_t i = 0; i < w->n; i++) {
        job_spec spec;
        if (w->eff[i].kind != CORE_OFFER ||
            pw_schema_decode(&job_spec_schema, w->eff[i].job, w->eff[i].job_len, &spec, NULL) < 0)
            continue;
        const msg_pair *cc = spec.props.v, *end_of = cc + spec.props.n;
        while (cc < end_of && strcmp(cc->name, "cc") != 0)
            cc++;
        if (seen_jobs < 4)
            good += strcmp(spec.builder, names[seen_jobs]) == 0 && spec.shards == 2 &&
                    spec.shard == seen_jobs % 2 + 1 && cc < end_of &&
                    strcmp(cc->value, seen_jobs < 2 ? "gcc" : "clang") == 0;
        seen_jobs++;
        pw_schema_clear(&job_spec_schema, &spec);
    }
    ok(good == 4 && seen_jobs == 4, "four builds with their values (%zu of %zu)", good, seen_jobs);
    uint64_t slow = 0;
    pw_result result = PW_NO_RESULT;
    bool open = false;
    store_rev r2 = rev(2);
    ok(store_builder_id(w->st, 1, "slow", &slow, NULL) == 0 &&
           store_verdict(w->st, 1, slow, &r2, &result, NULL, &open, NULL) == 0 && open &&
           result == PW_NO_RESULT,
       "no verdict while one runs");
    for (uint64_t i = 1; i <= 3; i++)
        finish(w, i, PW_SUCCESS);
    if (kill)
        again(w);
    ok(waits(w, 5) && store_verdict(w->st, 1, slow, &r2, &result, NULL, &open, NULL) == 0 && open,
       "three of four are not all");
    finish(w, 4, PW_SUCCESS);
    ok(build_of(w, 5) && store_verdict(w->st, 1, slow, &r2, &result, NULL, &open, NULL) == 0 &&
           !open && result == PW_SUCCESS,
       "green when all are");
    uint64_t b = 0;
    ok(store_latest_get(w->st, slow, "master", &b, &result, NULL) == 0 && b == build_of(w, 4) &&
           result == PW_SUCCESS,
       "and the newest of its branch");
    if (kill)
        again(w);
    (void)force(w, "slow");
    ok(request(w, b + 5).state >= 0, "a person's build is all of them");
}

static void test_fail_fast(bool kill)
{
    PW_AUTO(world_freep)
    world *w = begin(P "builders:\n" B("a", "") B("b", "") B("opt", ", required: false")
                         B("c", ", needs: [a]") B("sweep", ", needs: [a], always_run: true") S
                     ", fail_fast: true}]\n");
    if (!w)
        return;
    if (kill)
        again(w);
    finish(w, 3, PW_FAILURE);
    ok(build(w, build_of(w, 2)).state != BUILD_DONE, "one that is not required ends nobody");
    if (kill)
        again(w);
    finish(w, 2, PW_FAILURE);
    ok(ended(w, 1, PW_CANCELLED, "b failed, and fail_fast ends the others") &&
           ended(w, 4, PW_CANCELLED, "b failed"),
       "one red builder ends its siblings, running or not");
    ok(build_of(w, 5) && build(w, build_of(w, 5)).state != BUILD_DONE, "but not what cleans up");
}

static void test_riding(void)
{
    PW_AUTO(world_freep)
    world *w = world_new(P "builders:\n" B("fast", "") B("slow", ", needs: [fast]")
                             B("other", ", needs: [fast], collapse: false") S "}]\n");
    if (!w)
        return;
    world_pass(w, 1);
    look(w, 0, "master", 1);
    push(w, 0, "master", 1, 2);
    push(w, 0, "master", 2, 3);
    ok(request(w, 2).rode_with == 5 && waits(w, 1) && waits(w, 3),
       "one that nobody needs rides; what somebody needs who does not ride stays");
    uint64_t id = worker(w, "w1", 1);
    up(w, id, 7, 8);
    finish(w, 1, PW_SUCCESS);
    ok(build_of(w, 3) && waits(w, 5) && waits(w, 6), "and is built with it");
    PW_AUTO(world_freep)
    world *v = world_new(P "builders:\n" B("fast", "") B("slow", ", needs: [fast]") S "}]\n");
    if (!v)
        return;
    world_pass(v, 1);
    look(v, 0, "master", 1);
    push(v, 0, "master", 1, 2);
    push(v, 0, "master", 2, 3);
    ok(request(v, 1).rode_with == 3 && request(v, 2).rode_with == 4, "a whole set rides");
    world_restart(v, NULL);
    ok(figures(v).waiting == 2, "two wait after a restart");
}

static void test_gone(void)
{
    PW_AUTO(world_freep) world *w = begin(chain);
    if (!w)
        return;
    world_restart(w, P "builders:\n" B("fast", "") B("sweep", ", needs: [fast], always_run: true") S
                  "}]\n");
    up(w, 1, 7, 8);
    ok(ended(w, 2, PW_CANCELLED, "removed from the configuration") &&
           ended(w, 3, PW_CANCELLED, "removed from the configuration"),
       "what the configuration has no more ends");
    ok(waits(w, 4), "what needed it waits for the rest");
    finish(w, 1, PW_SUCCESS);
    ok(build_of(w, 4), "and cleans up");
}

static void test_force(void)
{
    PW_AUTO(world_freep) world *w = begin(chain);
    if (!w)
        return;
    finish(w, 1, PW_SUCCESS);
    uint64_t r = force(w, "deploy");
    ok(r && strstr(w->body, "\"requests\":["), "forced");
    ok(waits(w, r) && !waits(w, r + 1) && request(w, r + 2).state < 0,
       "with what it needs and is not green there: slow, and not fast");
    finish(w, r + 1, PW_SUCCESS);
    ok(build_of(w, r), "whoever forces a manual builder has started it");
}

/* A push of one file. */
static void change(world *w, unsigned from, unsigned to, const char *file, bool forced)
{
    core_commit_info c = {
        .rev = rev(to), .author = "Ann <a@x>", .subject = "s", .files = file, .at = w->wall};
    core_move m = {.ref = "refs/heads/master",
                   .old = rev(from),
                   .rev = rev(to),
                   .forced = forced,
                   .commit = &c,
                   .n_commits = 1};
    core_polled(w->core, 0, "master", &m, 1);
    (void)world_go(w);
}

static pw_result verdict(world *w, const char *name, unsigned r)
{
    uint64_t id = 0;
    pw_result result = PW_NO_RESULT;
    bool open = true;
    store_rev at = rev(r);
    if (store_builder_id(w->st, 1, name, &id, NULL) < 0 ||
        store_verdict(w->st, 1, id, &at, &result, NULL, &open, NULL) < 0)
        return PW_NO_RESULT;
    return open ? PW_NO_RESULT : result;
}

/* The newest requests of a set of n: the id of the first. */
static uint64_t set_of(world *w, size_t n)
{
    uint64_t id = 1, first = 0;
    size_t k = 0;
    for (; id < 500; id++)
        if (request(w, id).state >= 0) {
            k = request(w, id - 1).state >= 0 ? k + 1 : 1;
            first = k == n ? id - n + 1 : first;
        }
    return first;
}

static void test_changed(bool kill)
{
    PW_AUTO(world_freep)
    world *w = begin(P "builders:\n" B("lib", ", run_if_changed: [\"lib/**\"]")
                         B("app", ", run_if_changed: [\"app/**\"], needs: [lib]")
                             B("doc", ", run_if_changed: [\"doc/**\"]") S "}]\n");
    if (!w)
        return;
    ok(build_of(w, 1) && waits(w, 2) && build_of(w, 3), "the first set is of all");
    finish(w, 1, PW_SUCCESS);
    finish(w, 2, PW_FAILURE);
    finish(w, 3, PW_SUCCESS);
    change(w, 2, 3, "doc/a", false);
    uint64_t r = set_of(w, 3);
    ok(ended(w, r, PW_SKIPPED, "nothing that it depends on changed") &&
           ended(w, r + 1, PW_SKIPPED, "nothing that it depends on changed") && build_of(w, r + 2),
       "only what a push touches is built");
    if (kill)
        again(w);
    finish(w, r + 2, PW_SUCCESS);
    ok(verdict(w, "lib", 3) == PW_SUCCESS && verdict(w, "app", 3) == PW_FAILURE &&
           verdict(w, "doc", 3) == PW_SUCCESS,
       "what was not touched is what it was");
    change(w, 3, 4, "app/a", false);
    r = set_of(w, 3);
    ok(build_of(w, r) && waits(w, r + 1) && ended(w, r + 2, PW_SKIPPED, "nothing"),
       "with what it needs");
    if (kill)
        again(w);
    ok(verdict(w, "doc", 4) == PW_SUCCESS, "green over two");
    finish(w, r, PW_SUCCESS);
    change(w, 4, 5, "doc/b", false);
    ok(verdict(w, "app", 5) == PW_NO_RESULT, "what it was is not known while that runs");
    finish(w, r + 1, PW_SUCCESS);
    ok(verdict(w, "app", 5) == PW_SUCCESS && verdict(w, "app", 3) == PW_FAILURE,
       "then it is that, and what was before stays");
    change(w, 5, 6, "doc/c", true);
    r = set_of(w, 3);
    ok(build_of(w, r) && build_of(w, r + 2), "a forced push: all");
    finish(w, r, PW_SUCCESS);
    change(w, 6, 7, NULL, false);
    ok(set_of(w, 3) > r, "files that are not known: all");
}

static void test_retry(bool kill)
{
    PW_AUTO(world_freep)
    world *w = begin(P "builders:\n" B("a", "") B("m", ", matrix: {x: [one, two]}")
                         B("after", ", needs: [m]") S "}]\n");
    if (!w)
        return;
    finish(w, 1, PW_SUCCESS);
    finish(w, 2, PW_SUCCESS);
    ok(ask(w, CMD_RETRY, (say){.id = build_of(w, 2)}) == 409 && strstr(w->body, "is not over"),
       "a set that is not over");
    ok(ask(w, CMD_RETRY, (say){.id = build_of(w, 2), .failed = true}) == 409 &&
           strstr(w->body, "nothing of the build set"),
       "nothing failed yet");
    finish(w, 3, PW_FAILURE);
    ok(ended(w, 4, PW_SKIPPED, "needs m, which failed"), "one of a matrix makes it red");
    if (kill)
        again(w);
    uint64_t b = build_of(w, 3);
    ok(ask(w, CMD_RETRY, (say){.id = build_of(w, 1), .failed = true}) == 202, "what failed again");
    uint64_t r = told(w, "requests");
    ok(r && request(w, r).state >= 0 && waits(w, r + 1) && request(w, r + 2).state < 0 &&
           strchr(strstr(w->body, "["), ',') != NULL,
       "the one of the matrix, and what was skipped because of it");
    if (kill)
        again(w);
    finish(w, r, PW_SUCCESS);
    ok(build_of(w, r + 1) > b, "which begins when it is green");
    finish(w, r + 1, PW_SUCCESS);
    uint64_t m = 0;
    pw_result result = PW_NO_RESULT;
    bool open = true;
    store_rev r2 = rev(2);
    ok(store_builder_id(w->st, 1, "m", &m, NULL) == 0 &&
           store_verdict(w->st, 1, m, &r2, &result, NULL, &open, NULL) == 0 && !open &&
           result == PW_SUCCESS,
       "green, with what was green before");
    ok(ask(w, CMD_RETRY, (say){.id = build_of(w, 1)}) == 202, "all of it again");
    r = told(w, "requests");
    ok(!waits(w, r) && !waits(w, r + 1) && !waits(w, r + 2) && waits(w, r + 3), "four requests");
}

int main(void)
{
    for (int kill = 0; kill < 2; kill++) {
        test_chain(kill);
        test_red(kill);
        test_matrix(kill);
        test_fail_fast(kill);
        test_retry(kill);
        test_changed(kill);
    }
    test_exception();
    test_riding();
    test_gone();
    test_force();
    return tap_done();
}
