/* Each waiting request can say why: each reason by a situation, then random walks over everything
 * that changes, after each step of which every request is asked. */
#include "master/core/fixture.h"
#include "master/core/parts.h"

#include "tests/tap.h"

static const char conf[] =
    "locks: [{name: db}, {name: two, count: 2}, {name: rack, per: worker, count: 2}]\n"
    "projects: [{name: p, repository: /r}]\n"
    "builders:\n"
    "  - {name: plain, project: p, collapse: false, steps: [{run: a}]}\n"
    "  - {name: tag, project: p, collapse: false, requires: {tags: [gpu]}, steps: [{run: a}]}\n"
    "  - {name: big, project: p, collapse: false, requires: {memory: \">=4G\", os: linux}, steps: "
    "[{run: a}]}\n"
    "  - {name: lock, project: p, collapse: false, locks: [{name: db}], steps: [{run: a}]}\n"
    "  - {name: count, project: p, collapse: false, locks: [{name: two, mode: counting}], steps: "
    "[{run: a}, {run: b, locks: [{name: db, mode: counting}]}]}\n"
    "  - {name: both, project: p, collapse: false, locks: [{name: two}, {name: rack, mode: "
    "counting}], steps: [{run: a}]}\n"
    "schedulers: [{name: h, kind: force, project: p}]\n";
static const char *const builders[] = {"plain", "tag", "big", "lock", "count", "both"};
enum { BUILDERS = 6, WORKERS = 4, STEPS = 600 };

static void hello(world *w, uint64_t id, uint8_t spool, uint64_t slots, const char *tags,
                  const char *facts)
{
    core_hello h = {.slots = slots, .tags = tags, .facts = facts, .version = "1"};
    bool rebooted = false;
    if (!w->core)
        return;
    fill(h.spool, 16, spool);
    fill(h.boot, 16, 1);
    core_worker_up(w->core, id, &h, &rebooted);
    (void)world_go(w);
}

static bool says(world *w, uint64_t id, const char *text)
{
    (void)ask(w, CMD_WHY, (say){.id = id});
    if (w->status != 200 || !strstr(w->body, text))
        printf("# %d %s\n", w->status, w->body);
    return w->status == 200 && strstr(w->body, text);
}

static void test_requires(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    look(w, 0, "master", 1);
    uint64_t id = worker(w, "w1", 1);
    hello(w, id, 7, 1, "linux", "os=linux\nmemory=2147483648");
    uint64_t a = force(w, "big");
    ok(says(w, a,
            "\\\"memory >= 4G\\\" does not hold on worker \\\"w1\\\" (memory is "
            "\\\"2147483648\\\")"),
       "which condition, on which worker, and what it has");
    hello(w, id, 7, 1, "linux", "memory=8589934592");
    ok(says(w, a,
            "\\\"os == 'linux'\\\" does not hold on worker \\\"w1\\\" (\\\"os\\\" is not "
            "known)"),
       "a fact that the worker lacks");
    ok(says(w, a, "\"cause\":\"worker\""), "the cause");
    hello(w, id, 7, 1, "linux", "memory=8589934592\nos=linux");
    ok(request(w, a).state == REQ_CLAIMED, "met");
}

static void test_slots(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    look(w, 0, "master", 1);
    uint64_t id = worker(w, "w1", 1);
    up(w, id, 7, 2);
    uint64_t a = force(w, "plain"), b = force(w, "plain"), c = force(w, "plain"),
             d = force(w, "tag"), e = force(w, "plain");
    ok(says(w, c,
            "all 2 slots of fitting workers are busy (2 of 2); it is number 1 in line, 0 "
            "waiting before it"),
       "slots");
    ok(!strstr(w->body, "eta_ms"), "no estimate without history");
    ok(says(w, e, "it is number 2 in line, 1 waiting before it") && strstr(w->body, "\"ahead\":1"),
       "who wants other workers is not before it");
    ok(says(w, d, "no worker has the tags \\\"gpu\\\""), "tags");
    start(w, build(w, request(w, a).build).attempt);
    w->wall += 100000;
    w->now += 100 * (pw_usec)SECOND;
    end(w, build(w, request(w, a).build).attempt, PW_SUCCESS);
    ok(request(w, c).state == REQ_CLAIMED, "one got the slot");
    start(w, build(w, request(w, b).build).attempt);
    start(w, build(w, request(w, c).build).attempt);
    w->wall += 30000;
    ok(says(w, e, "\"eta_ms\":70000") && says(w, e, "estimated to begin in 70s"),
       "an estimate by what the last builds took");
    uint64_t f = force(w, "plain"), g = force(w, "plain");
    ok(says(w, f, "it is number 2 in line") && strstr(w->body, "\"eta_ms\":70000"),
       "two slots end together");
    ok(says(w, g, "it is number 3 in line") && strstr(w->body, "\"eta_ms\":170000"),
       "whoever comes behind waits for one of those");
}

/* ---- random walks */
typedef struct walk {
    world *w;
    uint64_t seed, id[WORKERS];
    uint64_t request[400];
    size_t n;
} walk;

static unsigned dice(walk *k, unsigned sides)
{
    k->seed = k->seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (unsigned)(k->seed >> 33) % sides;
}

static core_attempt *any_attempt(walk *k)
{
    size_t n = pw_table_count(k->w->core->attempts), at = n ? dice(k, (unsigned)n) : 0;
    core_attempt *a = NULL;
    for (size_t pos = 0; (a = pw_table_next(k->w->core->attempts, &pos)) && at > 0;)
        at--;
    return a;
}

static void any_worker(walk *k)
{
    static const char *const facts[] = {"os=linux\nmemory=8589934592", "os=linux\nmemory=1",
                                        "memory=8589934592", ""};
    static const char *const words[] = {"linux", "linux gpu", "gpu", ""};
    unsigned i = dice(k, WORKERS);
    char name[8];
    (void)snprintf(name, sizeof(name), "w%u", i);
    switch (dice(k, 7)) {
    case 0:
        down(k->w, k->id[i]);
        break;
    case 1:
        (void)ask(k->w, CMD_WORKER_PAUSE, (say){.name = name, .reason = "r"});
        break;
    case 2:
        (void)ask(k->w, CMD_WORKER_DRAIN, (say){.name = name, .reason = "r"});
        break;
    case 3:
        core_worker_beat(k->w->core, k->id[i], 1, dice(k, 2) ? "low disk" : NULL);
        (void)world_go(k->w);
        break;
    case 4:
        (void)ask(k->w, CMD_WORKER_RESUME, (say){.name = name});
        break;
    default:
        hello(k->w, k->id[i], (uint8_t)(i + 1), 1 + dice(k, 3), words[dice(k, 4)],
              facts[dice(k, 4)]);
        core_worker_beat(k->w->core, k->id[i], 1, NULL);
        (void)world_go(k->w);
    }
}

static void any_build(walk *k)
{
    core_attempt *a = any_attempt(k);
    if (!a)
        return;
    uint64_t id = a->id, build = a->build;
    switch (dice(k, 6)) {
    case 0:
        (void)ask(k->w, CMD_CANCEL_BUILD, (say){.id = build});
        break;
    case 1: {
        rec_step_end r = {.step = 0, .ran = true, .wall_ms = 9};
        start(k->w, id);
        if ((a = att(k->w, id)))
            core_att_step_ended(k->w->core, a, &r);
        (void)world_go(k->w);
        break;
    }
    case 2:
        core_att_rejected(k->w->core, a, "no room", 0);
        (void)world_go(k->w);
        break;
    default:
        run(k->w, id, dice(k, 4) ? PW_SUCCESS : dice(k, 2) ? PW_FAILURE : PW_EXCEPTION);
    }
}

static void step(walk *k)
{
    switch (dice(k, 12)) {
    case 0:
    case 1:
    case 2:
    case 3:
        if (k->n < sizeof(k->request) / sizeof(k->request[0]))
            k->request[k->n++] = force(k->w, builders[dice(k, BUILDERS)]);
        break;
    case 4:
        if (k->n)
            (void)ask(k->w, CMD_CANCEL_REQUEST, (say){.id = k->request[dice(k, (unsigned)k->n)]});
        break;
    case 5:
    case 6:
        any_worker(k);
        break;
    case 7:
        world_pass(k->w, 1 + dice(k, 40));
        break;
    case 8:
        if (dice(k, 10) == 0)
            world_restart(k->w, NULL);
        break;
    default:
        any_build(k);
    }
}

/* What the locks count is what attempts hold, and nobody holds what he must not. */
static bool locks_right(const core *c)
{
    uint64_t exclusive[2] = {0}, counting[2] = {0};
    const core_attempt *a;
    for (size_t pos = 0; (a = pw_table_next(c->attempts, &pos));)
        for (size_t i = 0; i < a->n_holds; i++)
            if (a->hold[i].lock < 2)
                *(a->hold[i].exclusive ? &exclusive[a->hold[i].lock]
                                       : &counting[a->hold[i].lock]) += 1;
    for (size_t i = 0; i < 2; i++) {
        if (c->lock && (c->lock[i].exclusive != exclusive[i] || c->lock[i].counting != counting[i]))
            return false;
        if (exclusive[i] > 1 || (exclusive[i] && counting[i]) ||
            counting[i] > (uint64_t)c->conf->locks[i].count)
            return false;
    }
    return true;
}

/* The answer against what is plain to see: returns what is wrong with it. */
static const char *judged(walk *k, const core_request *r)
{
    const core *c = k->w->core;
    const core_worker *x;
    bool taker = false, fits = false;
    for (size_t pos = 0; (x = pw_table_next(c->workers, &pos));) {
        core_block b = core_worker_block(c, x, r);
        taker |= b == BLOCK_NONE;
        fits |= b == BLOCK_NONE || b >= BLOCK_REJECTED;
    }
    if (strstr(k->w->body, "\"cause\":\"next\"") || strstr(k->w->body, "\"cause\":\"builder\""))
        return "it could begin";
    if (strstr(k->w->body, "\"cause\":\"slots\""))
        return taker ? "a worker is free" : fits ? NULL : "no worker fits";
    if (strstr(k->w->body, "\"cause\":\"worker\""))
        return fits ? "a worker fits" : NULL;
    if (strstr(k->w->body, "\"cause\":\"lock\""))
        return strstr(k->w->body, "held by build") ? NULL : "nobody holds the lock";
    if (strstr(k->w->body, "\"cause\":\"lock_turn\"")) {
        const char *p = strstr(k->w->body, "goes to request ");
        request_now q = p ? request(k->w, strtoull(p + 16, NULL, 10)) : (request_now){-1, 0, 0};
        return q.state == REQ_WAITING || q.state == REQ_CLAIMED ? NULL : "nobody is before it";
    }
    return strstr(k->w->body, "\"cause\":\"no_worker\"") ? "there are workers" : "no cause";
}

static size_t ask_all(walk *k)
{
    size_t asked = 0;
    for (size_t i = 0; k->w->core && i < k->n; i++) {
        const core_request *r = pw_table_get(k->w->core->requests, k->request[i]);
        if (!r || !r->pos)
            continue;
        size_t offers = count(k->w, CORE_OFFER);
        (void)ask(k->w, CMD_WHY, (say){.id = k->request[i]});
        r = pw_table_get(k->w->core->requests, k->request[i]);
        const char *wrong = k->w->status != 200 || !r || !r->pos ? "no answer"
                            : count(k->w, CORE_OFFER) != offers  ? "dispatch had left something"
                                                                 : judged(k, r);
        if (wrong) {
            printf("# request %llu: %s: %s\n", (unsigned long long)k->request[i], wrong,
                   k->w->body);
            return SIZE_MAX;
        }
        asked++;
    }
    return asked;
}

/* What is said of several at once is what is said of each. */
static bool same_together(walk *k)
{
    uint64_t id[4];
    char list[sizeof(k->w->body)], begin[64];
    size_t n = 0;
    for (size_t i = 0; k->w->core && i < k->n; i++) {
        const core_request *r = pw_table_get(k->w->core->requests, k->request[i]);
        if (r && n < 4 && (r->pos ? dice(k, 2) : !dice(k, 20)))
            id[n++] = k->request[i];
    }
    (void)ask(k->w, CMD_WHY_LIST, (say){.ids = id, .n_ids = n});
    (void)snprintf(list, sizeof(list), "%s", k->w->body);
    if (k->w->status != 200)
        return false;
    for (size_t i = 0; i < n; i++) {
        (void)ask(k->w, CMD_WHY, (say){.id = id[i]});
        const char *at = strstr(list, k->w->body), *eta = strstr(k->w->body, "\"eta_ms\":");
        long long ms = eta ? strtoll(eta + 9, NULL, 10)
                           : -(long long)!strstr(k->w->body, "\"cause\":\"next\"");
        if (!at || at == list || at[strlen(k->w->body)] != '\n') {
            printf("# %s\n# not in\n# %s\n", k->w->body, list);
            return false;
        }
        while (at > list && at[-1] != '\n')
            at--;
        (void)snprintf(begin, sizeof(begin), "%llu %lld {", (unsigned long long)id[i], ms);
        if (strncmp(at, begin, strlen(begin)) != 0) {
            printf("# %.60s begins not with %s\n", at, begin);
            return false;
        }
    }
    return true;
}

static void test_many(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    uint64_t id[CORE_WHY_MAX + 1] = {999};
    if (!w)
        return;
    look(w, 0, "master", 1);
    for (size_t i = 0; i < CORE_WHY_MAX; i++)
        id[i] = force(w, i % 2 ? "plain" : "tag");
    ok(ask(w, CMD_WHY_LIST, (say){.ids = id, .n_ids = CORE_WHY_MAX}) == 200, "so many at once");
    ok(ask(w, CMD_WHY_LIST, (say){.ids = id, .n_ids = CORE_WHY_MAX + 1}) == 400 &&
           strstr(w->body, "at most 100"),
       "and one more");
    ok(ask(w, CMD_WHY_LIST, (say){0}) == 200 && !*w->body, "none");
    id[0] = 999999;
    ok(ask(w, CMD_WHY_LIST, (say){.ids = id, .n_ids = 1}) == 200 && !*w->body,
       "of one that there is not nothing is said");
}

static void test_walk(uint64_t seed)
{
    walk k = {.seed = seed};
    PW_AUTO(world_freep) world *w = k.w = world_new(conf);
    size_t asked = 0, n = 0;
    unsigned i;
    if (!w)
        return;
    look(w, 0, "master", 1);
    for (i = 0; i < WORKERS; i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "w%u", i);
        k.id[i] = worker(w, name, (uint8_t)(i + 1));
    }
    for (i = 0; i < STEPS && w->core && n != SIZE_MAX; i++) {
        step(&k);
        world_forget(w);
        if (!w->core || !locks_right(w->core))
            break;
        n = i % 5 == 0 ? ask_all(&k) : 0;
        if (i % 10 == 0 && w->core && !same_together(&k))
            n = SIZE_MAX;
        asked += n == SIZE_MAX ? 0 : n;
    }
    ok(!w->core || (i == STEPS && asked > 100), "walk %llu: %zu answers", (unsigned long long)seed,
       asked);
}

int main(void)
{
    test_requires();
    test_slots();
    test_many();
    for (uint64_t seed = 1; seed <= 3; seed++)
        test_walk(seed);
    return tap_done();
}
