/* What is built and when: branches, quiet times, cron and periods over restarts, the order of the
 * queue, collapsing. */
#include "master/core/fixture.h"

#include "tests/tap.h"

#define P                                                                                          \
    "projects: [{name: p, repository: /r.git}]\nbuilders: [{name: unit, project: p, steps: "       \
    "[{run: x}]}]\n"

static void quiet(void)
{
    PW_AUTO(world_freep)
    world *w = world_new(
        P "schedulers: [{name: s, kind: branch, project: p, branches: [\"*\"], quiet: 10s}]\n");
    if (!w)
        return;
    look(w, 0, "master", 1);
    push(w, 0, "master", 1, 2);
    push(w, 0, "side", 0, 3);
    world_pass(w, 9);
    ok(figures(w).waiting == 0, "a quiet time is waited for");
    push(w, 0, "master", 2, 4);
    world_pass(w, 2);
    ok(figures(w).waiting == 1 && request(w, 1).state == REQ_WAITING,
       "each branch has a timer of its own");
    world_pass(w, 7);
    world_restart(w, NULL);
    ok(figures(w).waiting == 1, "a change starts it anew");
    world_pass(w, 1);
    ok(figures(w).waiting == 2, "it goes on over a restart");
    world_restart(w, NULL);
    world_pass(w, 60);
    ok(figures(w).waiting == 2 && request(w, 3).state == -1, "and fires once");
    push(w, 0, "side", 3, 5);
    push(w, 0, "side", 5, 0);
    ok(request(w, 1).state == REQ_DONE, "a deleted branch cancels its queue");
    world_pass(w, 60);
    ok(figures(w).waiting == 1 && request(w, 3).state == -1, "and its timer");
    push(w, 0, "side", 0, 6);
    world_pass(w, 11);
    ok(figures(w).waiting == 2, "a branch may come back");
}

static void running_goes_on(void)
{
    PW_AUTO(world_freep) world *w = world_new(P);
    if (!w)
        return;
    look(w, 0, "master", 1);
    up(w, worker(w, "w1", 1), 7, 1);
    push(w, 0, "side", 0, 2);
    push(w, 0, "side", 2, 3);
    ok(count(w, CORE_OFFER) == 1 && figures(w).waiting == 1, "one runs, one waits");
    push(w, 0, "side", 3, 0);
    ok(figures(w).waiting == 0 && build(w, 2).state == BUILD_DISPATCHED,
       "a deleted branch ends the queue, what runs goes on");
}

static void nightly(void)
{
    PW_AUTO(world_freep)
    world *w = world_new(P "schedulers: [{name: n, kind: nightly, project: p, cron: \"0 3 * * *\", "
                           "branch: master}]\n");
    if (!w)
        return;
    look(w, 0, "master", 1);
    w->wall += (3 * 3600 - 2) * 1000; /* 02:59:58 */
    world_pass(w, 1);
    ok(figures(w).waiting == 0, "not before its instant");
    world_pass(w, 1);
    ok(figures(w).waiting == 1 && request(w, 1).state == REQ_WAITING, "at its instant");
    world_restart(w, NULL);
    world_pass(w, 5);
    ok(request(w, 2).state == -1, "once, over a restart, too");
    world_stop(w);
    w->wall += 4 * 86400000LL; /* four instants are missed */
    (void)world_load(w);
    world_pass(w, 2);
    ok(request(w, 2).state == REQ_WAITING && request(w, 3).state == -1,
       "instants that passed meanwhile fire once");
    for (int i = 0; i < 5; i++) {
        world_restart(w, NULL);
        world_pass(w, 2);
    }
    ok(request(w, 3).state == -1, "and not again after further restarts");
    world_stop(w);
    w->wall += 86400000;
    (void)world_load(w);
    world_pass(w, 2);
    ok(request(w, 3).state == REQ_WAITING && request(w, 4).state == -1,
       "the next day it fires again");
}

/* The master was down at the very first instant. */
static void nightly_first(void)
{
    PW_AUTO(world_freep)
    world *w = world_new(P "schedulers: [{name: n, kind: nightly, project: p, cron: \"0 3 * * *\", "
                           "branch: master}]\n");
    if (!w)
        return;
    look(w, 0, "master", 1);
    world_pass(w, 1);
    world_stop(w);
    w->wall += 4 * 3600000;
    (void)world_load(w);
    world_pass(w, 2);
    ok(request(w, 1).state == REQ_WAITING && request(w, 2).state == -1,
       "an instant is not lost because it is the first");
}

static void nightly_if_changed(void)
{
    PW_AUTO(world_freep)
    world *w = world_new(P "schedulers: [{name: n, kind: nightly, project: p, cron: \"0 3 * * *\", "
                           "branch: master, only_if_changed: true}]\n");
    if (!w)
        return;
    look(w, 0, "master", 1);
    w->wall += 3 * 3600000;
    world_pass(w, 1);
    ok(request(w, 1).state == REQ_WAITING, "a first time");
    w->wall += 86400000;
    world_pass(w, 1);
    world_restart(w, NULL);
    w->wall += 86400000;
    world_pass(w, 1);
    ok(request(w, 2).state == -1, "nothing new: nothing is built");
    push(w, 0, "master", 1, 2);
    w->wall += 86400000;
    world_pass(w, 1);
    ok(request(w, 2).state == REQ_WAITING, "something new");
}

static void periodic(void)
{
    PW_AUTO(world_freep)
    world *w = world_new(P "schedulers: [{name: n, kind: periodic, project: p, every: 1h}]\n");
    if (!w)
        return;
    world_pass(w, 5);
    ok(figures(w).waiting == 0, "nothing before the repository was read");
    ok(w->core && core_deadline(w->core) > w->now, "and no hurry about it");
    look(w, 0, "master", 1);
    world_pass(w, 1);
    ok(request(w, 1).state == REQ_WAITING, "the first at once");
    world_restart(w, NULL);
    world_pass(w, 10);
    ok(request(w, 2).state == -1, "over a restart");
    w->wall += 3590 * 1000;
    world_pass(w, 2);
    ok(request(w, 2).state == REQ_WAITING && request(w, 3).state == -1, "the next an hour later");
    world_stop(w);
    w->wall += 5 * 3600000;
    (void)world_load(w);
    world_pass(w, 3);
    ok(request(w, 3).state == REQ_WAITING && request(w, 4).state == -1,
       "one for all that were missed");
}

static void gone_branch(void)
{
    PW_AUTO(world_freep)
    world *w = world_new(
        P "schedulers: [{name: n, kind: periodic, project: p, every: 1h, branch: nope}]\n");
    if (!w)
        return;
    look(w, 0, "master", 1);
    world_pass(w, 3);
    ok(figures(w).waiting == 0 && w->core && core_deadline(w->core) > w->now,
       "a branch that is not there builds nothing, quietly");
}

static void order(void)
{
    PW_AUTO(world_freep)
    world *w =
        world_new("projects: [{name: p, repository: /r.git}, {name: q, repository: /q.git}]\n"
                  "builders: [{name: low, project: p, steps: [{run: x}]}, {name: high, project: q, "
                  "steps: [{run: x}]}]\n"
                  "schedulers: [{name: l, kind: branch, project: p}, {name: h, kind: branch, "
                  "project: q, priority: 1}]\n");
    if (!w)
        return;
    look(w, 0, "a", 1);
    look(w, 1, "a", 1);
    uint64_t one = worker(w, "w1", 1);
    push(w, 0, "a", 1, 2); /* request 1: low */
    w->wall += 599000;
    push(w, 1, "a", 1, 2); /* 2: high, it is younger by less than 10 minutes */
    w->wall += 2000;
    push(w, 1, "b", 0, 3); /* 3: high, younger by more than 10 minutes */
    up(w, one, 7, 1);
    ok(request(w, 2).state == REQ_CLAIMED && request(w, 1).state == REQ_WAITING,
       "a higher priority goes first");
    run(w, 1, PW_SUCCESS);
    ok(request(w, 1).state == REQ_CLAIMED && request(w, 3).state == REQ_WAITING,
       "10 minutes of waiting are worth one");
    uint64_t forced = 0;
    (void)ask(w, CMD_FORCE, (say){.builder = "low", .branch = "a", .reason = "r"});
    forced = told(w, "requests");
    run(w, 2, PW_SUCCESS);
    ok(request(w, forced).state == REQ_CLAIMED && request(w, 3).state == REQ_WAITING,
       "what people force goes before");
}

static void collapse(void)
{
    PW_AUTO(world_freep)
    world *w = world_new("projects: [{name: p, repository: /r.git}]\n"
                         "builders: [{name: a, project: p, steps: [{run: x}]}, {name: b, project: "
                         "p, collapse: false, steps: [{run: x}]}]\n");
    if (!w)
        return;
    look(w, 0, "master", 1);
    uint64_t one = worker(w, "w1", 1);
    push(w, 0, "master", 1, 2); /* 1 a, 2 b */
    push(w, 0, "side", 0, 3);   /* 3 a, 4 b */
    (void)ask(w, CMD_FORCE, (say){.builder = "a", .branch = "master", .reason = "r"}); /* 5 a */
    push(w, 0, "master", 2, 4); /* 6 a, 7 b */
    ok(request(w, 1).state == REQ_DONE && request(w, 1).rode_with == 6,
       "an older one rides with the newest");
    ok(request(w, 2).state == REQ_WAITING && request(w, 3).state == REQ_WAITING &&
           request(w, 5).state == REQ_WAITING,
       "not with another branch, not a forced one, not where the builder says no");
    world_restart(w, NULL);
    push(w, 0, "master", 4, 5); /* 8 a, 9 b */
    ok(request(w, 6).rode_with == 8 && request(w, 8).state == REQ_WAITING &&
           figures(w).waiting == 7,
       "over a restart, too");
    (void)ask(w, CMD_WHY, (say){.id = 6});
    ok(w->status == 200 && strstr(w->body, "rode with request 8"), "it says with whom");
    up(w, one, 7, 10);
    push(w, 0, "master", 5, 6);
    ok(request(w, 8).state == REQ_CLAIMED && request(w, 8).rode_with == 0,
       "one that runs rides with nobody");
}

/* A queue of very many branches: no arrival may cost more than the one before. */
static void collapse_many(void)
{
    PW_AUTO(world_freep) world *w = world_new(P);
    enum { N = 300 };
    char name[N][16];
    core_move *m = calloc(N, sizeof(*m));
    core_commit_info *c = calloc(N, sizeof(*c));
    if (w && w->core && m && c) {
        look(w, 0, "master", 1);
        for (unsigned round = 0; w->core && round < 2; round++) {
            for (unsigned i = 0; i < N; i++) {
                (void)snprintf(name[i], sizeof(name[i]), "refs/heads/b%u", i);
                c[i] = (core_commit_info){.rev = rev(1000 * (round + 1) + i)};
                m[i] = (core_move){.ref = name[i],
                                   .old = round ? rev(1000 + i) : (store_rev){0},
                                   .rev = c[i].rev,
                                   .commit = &c[i],
                                   .n_commits = 1};
            }
            core_polled(w->core, 0, "master", m, N);
            (void)world_go(w);
        }
        ok(figures(w).waiting == N && request(w, 1).rode_with == N + 1 &&
               request(w, N).rode_with == 2 * N && request(w, 2 * N).state == REQ_WAITING,
           "each branch keeps its newest request");
    }
    free(m);
    free(c);
}

static void properties_collapse(void)
{
    PW_AUTO(world_freep)
    world *w = world_new(P "schedulers:\n"
                           "  - {name: s1, kind: branch, project: p, properties: {suite: fast}}\n"
                           "  - {name: s2, kind: branch, project: p, properties: {suite: all}}\n");
    if (!w)
        return;
    look(w, 0, "master", 1);
    push(w, 0, "master", 1, 2);
    ok(figures(w).waiting == 2, "other properties: two builds");
    push(w, 0, "master", 2, 3);
    ok(figures(w).waiting == 2 && request(w, 1).rode_with == 3 && request(w, 2).rode_with == 4,
       "the same properties merge");
}

static void paths(void)
{
    PW_AUTO(world_freep)
    world *w = world_new(P "schedulers: [{name: s, kind: branch, project: p, paths: [\"src/**\"], "
                           "paths_ignore: [\"**.md\"], authors: [\"Ann*\"]}]\n");
    static const struct {
        const char *first, *tip, *author, *name;
        bool builds;
    } rows[] = {
        {NULL, "doc/x", "Ann <a@x>", "an unimportant path", false},
        {NULL, "doc/x\nsrc/a.c", "Ann <a@x>", "one important path", true},
        {NULL, "src/README.md", "Ann <a@x>", "an ignored one", false},
        {"src/a.c", "doc/x", "Ann <a@x>", "an important commit below the tip", true},
        {"doc/y", "doc/x", "Ann <a@x>", "none of them", false},
        {NULL, "src/a.c", "Bob <b@x>", "another author", false},
        {NULL, NULL, "Ann <a@x>", "unknown paths", true},
    };
    if (!w)
        return;
    look(w, 0, "master", 1);
    uint64_t requests = 0;
    for (unsigned i = 0; w->core && i < sizeof(rows) / sizeof(rows[0]); i++) {
        core_commit_info c[2] = {
            {.rev = rev(100 + i), .author = rows[i].author, .files = rows[i].first},
            {.rev = rev(2 + i), .author = rows[i].author, .files = rows[i].tip}};
        core_move m = {.ref = "refs/heads/master",
                       .old = rev(1 + i),
                       .rev = rev(2 + i),
                       .commit = rows[i].first ? c : c + 1,
                       .n_commits = rows[i].first ? 2 : 1};
        core_polled(w->core, 0, "master", &m, 1);
        (void)world_go(w);
        bool builds = request(w, requests + 1).state >= 0;
        requests += builds;
        ok(builds == rows[i].builds, "%s", rows[i].name);
    }
}

/* A push of two people: the commit below the tip is by somebody whose changes are built. */
static void authors(void)
{
    PW_AUTO(world_freep)
    world *w = world_new(P "schedulers: [{name: s, kind: branch, project: p, paths: [\"src/**\"], "
                           "authors: [\"Ann*\"]}]\n");
    char hex[2 * STORE_REV_MAX + 1];
    store_rev fourth = rev(4);
    if (!w)
        return;
    look(w, 0, "master", 1);
    core_commit_info c[2] = {{.rev = rev(90), .author = "Ann <a@x>", .files = "src/a.c"},
                             {.rev = rev(2), .author = "Bob <b@x>", .files = "src/b.c"}};
    core_move m = {
        .ref = "refs/heads/master", .old = rev(1), .rev = rev(2), .commit = c, .n_commits = 2};
    if (w->core)
        core_polled(w->core, 0, "master", &m, 1);
    (void)world_go(w);
    ok(request(w, 1).state == REQ_WAITING && request_rev(w, 1) == 2, "it counts, with the tip");
    c[0].files = "doc/x";
    m.old = rev(2);
    m.rev = c[1].rev = rev(3);
    c[0].rev = rev(91);
    if (w->core)
        core_polled(w->core, 0, "master", &m, 1);
    (void)world_go(w);
    ok(request(w, 2).state == -1, "not when what he changed is not important");
    world_pass(w, 61);
    store_rev_text(&fourth, hex);
    ok(ask(w, CMD_CHANGE, (say){.branch = "master", .revision = hex}) == 202 &&
           told(w, "change") == 0,
       "a change told by hand has no author: the look that follows knows him");
    push(w, 0, "master", 3, 4); /* it began before that was told */
    world_pass(w, 2);
    push(w, 0, "master", 3, 4);
    ok(request(w, 2).state == REQ_WAITING, "and it is built");
}

/* What is not important waits, and rides: also with what waits for quiet. */
static void unimportant_rides(void)
{
    PW_AUTO(world_freep)
    world *w = world_new(P "schedulers: [{name: s, kind: branch, project: p, quiet: 10s, "
                           "paths_ignore: [\"*.md\"]}]\n");
    if (!w)
        return;
    look(w, 0, "master", 1);
    core_commit_info c = {.rev = rev(2), .author = "Ann <a@x>", .files = "a.md"};
    core_move m = {
        .ref = "refs/heads/master", .old = rev(1), .rev = rev(2), .commit = &c, .n_commits = 1};
    if (w->core)
        core_polled(w->core, 0, "master", &m, 1);
    (void)world_go(w);
    world_pass(w, 20);
    ok(figures(w).waiting == 0, "alone it starts nothing");
    push(w, 0, "master", 2, 3);
    world_pass(w, 8);
    m.old = rev(3);
    m.rev = c.rev = rev(4);
    if (w->core)
        core_polled(w->core, 0, "master", &m, 1);
    (void)world_go(w);
    world_pass(w, 8);
    ok(figures(w).waiting == 0, "each change starts a quiet time anew");
    world_pass(w, 3);
    ok(request(w, 1).state == REQ_WAITING && request_rev(w, 1) == 4 && request(w, 2).state == -1,
       "and all of it is built");
}

/* A change told by hand while a poll is under way: what the poll saw is older. */
static void stale_poll(void)
{
    PW_AUTO(world_freep) world *w = world_new(P);
    char hex[2 * STORE_REV_MAX + 1];
    if (!w)
        return;
    look(w, 0, "master", 1);
    world_pass(w, 61);
    store_rev third = rev(3);
    store_rev_text(&third, hex);
    ok(ask(w, CMD_CHANGE, (say){.branch = "master", .revision = hex}) == 202 &&
           told(w, "requests") == 1 && told(w, "change") == 1,
       "told by hand");
    size_t polls = count(w, CORE_POLL);
    push(w, 0, "master", 1, 2); /* the poll began when it was at 1, and found 2 */
    ok(request(w, 2).state == -1, "what an older look found builds nothing");
    world_pass(w, 2);
    ok(count(w, CORE_POLL) == polls + 1, "it is looked at again at once");
    core_commit_info c[2] = {{.rev = rev(2), .subject = "second", .author = "Bob <b@x>"},
                             {.rev = rev(3), .subject = "third", .author = "Bob <b@x>"}};
    core_move m = {
        .ref = "refs/heads/master", .old = rev(1), .rev = rev(3), .commit = c, .n_commits = 2};
    store_highest before = {0}, after = {0};
    (void)store_highest_ids(w->st, &before, NULL);
    if (w->core)
        core_polled(w->core, 0, "master", &m, 1);
    (void)world_go(w);
    (void)store_highest_ids(w->st, &after, NULL);
    ok(request(w, 2).state == -1 && request(w, 1).state == REQ_WAITING,
       "the change was counted once");
    ok(before.change == 1 && after.change == 2, "and so was the one below it");
    (void)ask(w, CMD_CHANGE, (say){.branch = "master", .revision = hex});
    ok(w->status == 202 && told(w, "change") == 0 && request(w, 2).state == -1,
       "told twice is told once");
}

/* A change told by hand that comes when the branch has left that tip again: a hint, not the truth.
 */
static void late_hint(void)
{
    PW_AUTO(world_freep) world *w = world_new(P);
    char hex[2 * STORE_REV_MAX + 1];
    store_rev second = rev(2);
    if (!w)
        return;
    look(w, 0, "master", 1);
    world_pass(w, 61);
    push(w, 0, "master", 1, 2);
    world_pass(w, 61);
    push(w, 0, "master", 2, 3);
    ok(request(w, 1).state == REQ_DONE && request(w, 2).state == REQ_WAITING, "two pushes, seen");
    store_rev_text(&second, hex);
    ok(ask(w, CMD_CHANGE, (say){.branch = "master", .revision = hex}) == 202 &&
           told(w, "change") == 0 && request(w, 3).state == -1,
       "the first, told late, is no change again");
    push(w, 0, "master", 3, 4);
    ok(request(w, 3).state == REQ_WAITING, "and does not set the tip back");
}

/* An old revision told by hand while the timer of a newer one runs: the newer one is built. */
static void hint_in_quiet_time(void)
{
    PW_AUTO(world_freep)
    world *w = world_new(P "schedulers: [{name: s, kind: branch, project: p, quiet: 10s}]\n");
    char hex[2 * STORE_REV_MAX + 1];
    store_rev first = rev(1);
    if (!w)
        return;
    look(w, 0, "master", 1);
    push(w, 0, "master", 1, 2);
    world_pass(w, 2);
    store_rev_text(&first, hex);
    ok(ask(w, CMD_CHANGE, (say){.branch = "master", .revision = hex}) == 202 &&
           told(w, "change") == 0,
       "left to the look that follows");
    world_pass(w, 9);
    if (!w->st)
        return;
    store_request r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf branch = PW_BUF(300);
    store_rev built = {0}, second = rev(2);
    uint64_t project;
    ok(store_request_get(w->st, 1, &r, NULL) == 0 && r.state == REQ_WAITING &&
           request(w, 2).state == -1 &&
           store_stamp_get(w->st, r.stamp, &project, &built, &branch, NULL) == 0 &&
           store_rev_equal(&built, &second),
       "the timer builds what was pushed last");
    store_request_clear(&r);
}

/* The same when what was pushed last waits in the queue. */
static void hint_while_waiting(void)
{
    PW_AUTO(world_freep) world *w = world_new(P);
    char hex[2 * STORE_REV_MAX + 1];
    store_rev first = rev(1);
    if (!w)
        return;
    look(w, 0, "master", 1);
    push(w, 0, "master", 1, 2);
    store_rev_text(&first, hex);
    ok(ask(w, CMD_CHANGE, (say){.branch = "master", .revision = hex}) == 202 &&
           told(w, "change") == 0 && request(w, 1).state == REQ_WAITING,
       "what waits does not ride with an older one");
    push(w, 0, "master", 2, 3);
    ok(request(w, 1).state == REQ_DONE && request(w, 2).state == REQ_WAITING,
       "but with a newer one, when it is seen");
}

static void polls(void)
{
    PW_AUTO(world_freep) world *w = world_new(P);
    if (!w)
        return;
    world_pass(w, 30);
    ok(count(w, CORE_POLL) == 1, "one look at a time");
    pw_usec wait = 0;
    for (int i = 0; w->core && i < 12; i++) {
        core_poll_failed(w->core, 0, "no route");
        size_t before = count(w, CORE_POLL);
        for (wait = 0; wait < 1000 && count(w, CORE_POLL) == before; wait++)
            world_pass(w, 1);
        if (i == 0)
            ok(wait <= 2, "after a failure soon again");
    }
    ok(wait >= 300 && wait <= 451, "later at most every 5 minutes and a half of it");
    (void)ask(w, CMD_HEALTH, (say){0});
    ok(w->status == 200 && strstr(w->body, "no route"), "health shows the reason, and is fine");
    look(w, 0, "master", 1);
    (void)ask(w, CMD_HEALTH, (say){0});
    ok(!strstr(w->body, "no route"), "until it can be read");
}

int main(void)
{
    if (crypt_init(NULL) < 0)
        return 1;
    quiet();
    running_goes_on();
    nightly();
    nightly_first();
    nightly_if_changed();
    periodic();
    gone_branch();
    order();
    collapse();
    collapse_many();
    properties_collapse();
    paths();
    authors();
    unimportant_rides();
    stale_poll();
    late_hint();
    hint_in_quiet_time();
    hint_while_waiting();
    polls();
    return tap_done();
}
