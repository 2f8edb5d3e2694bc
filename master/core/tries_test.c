/* What people try: imported first, never of a branch, never merged, trusted when somebody says so;
 * gone with its builds. */
#include "master/core/fixture.h"
#include "master/core/parts.h"
#include "master/store/outbox.h"
#include "master/store/tries.h"
#include "tests/tap.h"

#define CONF                                                                                       \
    "projects:\n"                                                                                  \
    "  - {name: p, repository: /r.git, branches: [master], poll: 1h, build_first: true}\n"         \
    "builders:\n  - {name: test, project: p, steps: [{run: x}]}\n"                                 \
    "  - {name: docs, project: p, run_if_changed: [\"doc/**\"], steps: [{run: x}]}\n"              \
    "  - {name: hand, project: p, manual: true, steps: [{run: x}]}\n"                              \
    "schedulers:\n  - {name: push, kind: branch, project: p, supersede: running, testfix: true, "  \
    "builders: [test]}\n"                                                                          \
    "promotions:\n  - {name: stable, kind: green, project: p, from: master, to: stable, "          \
    "builders: [test]}\n"                                                                          \
    "notify: [{kind: webhook, name: h, url: 'http://h', events: [build, failure]}]\n"
#define CONF2                                                                                      \
    "projects:\n"                                                                                  \
    "  - {name: p, repository: /r.git, branches: [master], poll: 1h, build_first: true}\n"         \
    "builders:\n  - {name: test, project: p, requires: {tags: [nobody]}, steps: [{run: x}]}\n"     \
    "  - {name: docs, project: p, steps: [{run: x}]}\n"                                            \
    "schedulers:\n  - {name: push, kind: branch, project: p, supersede: running, builders: "       \
    "[test]}\n"                                                                                    \
    "  - {name: tr, kind: triggered, project: p, builders: [docs]}\n"                              \
    "  - {name: next, kind: dependent, project: p, after: tr, supersede: running, builders: "      \
    "[test]}\n"
#define BASE "00000000000000000000000000000000000000" /* and two digits */

typedef struct sent {
    const char *idem, *builders, *branch, *files;
    uint64_t number; /* 0: not imported yet */
    unsigned rev;
} sent;

/* The command; core: who answers, or is asked what is to be done with it. */
static core_cmd *make(world *w, const sent *s)
{
    core_cmd *c = core_cmd_new(CMD_TRY, NULL);
    store_rev r = rev(s->rev);
    bool failed = false;
    if (!c)
        return NULL;
    w->status = 0;
    w->body[0] = '\0';
    c->actor = pw_strdup("ada", &failed);
    c->idem = pw_strdup(s->idem, &failed);
    c->builders = pw_strdup(s->builders, &failed);
    c->branch = pw_strdup(s->branch, &failed);
    c->base = pw_strdup(BASE "01", &failed);
    c->upload = pw_strdup("/nowhere", &failed);
    c->reason = pw_strdup("why not", &failed);
    c->tried.number = s->number;
    c->tried.files = pw_strdup(s->files, &failed);
    store_rev_text(&r, c->tried.rev);
    (void)snprintf(c->tried.base, sizeof(c->tried.base), "%s", c->base);
    c->done = world_answer;
    c->done_self = w;
    return c;
}

static bool wanted(world *w, sent s)
{
    size_t project = 9;
    core_cmd *c = make(w, &s);
    bool yes = c && core_try_wanted(w->core, c, &project) && project == 0;
    core_cmd_free(c);
    return yes;
}

/* The status of the answer. */
static int give(world *w, sent s)
{
    core_cmd *c = make(w, &s);
    if (c)
        core_command(w->core, c);
    (void)world_go(w);
    return w->status;
}

static void asking(void)
{
    PW_AUTO(world_freep) world *w = world_new(CONF);
    if (!w)
        return;
    ok(!wanted(w, (sent){0}) && give(w, (sent){0}) == 409, "of a repository that was not read");
    push(w, 0, "master", 0, 1);
    ok(wanted(w, (sent){0}), "it is to be imported");
    ok(!wanted(w, (sent){.branch = "none"}) && give(w, (sent){.branch = "none"}) == 404,
       "not for a branch that there is not");
    ok(!wanted(w, (sent){.builders = "test\nnone"}) &&
           give(w, (sent){.builders = "test\nnone"}) == 404 && strstr(w->body, "p/none"),
       "nor for a builder: %s", w->body);
    ok(give(w, (sent){0}) == 500, "never without being imported");
    world_forget(w);
    ok(give(w, (sent){.number = 1, .rev = 50, .idem = "k", .files = "a.c"}) == 202 &&
           told(w, "try") == 1 && told(w, "buildset") > 0,
       "then there is a build set: %s", w->body);
    uint64_t first = told(w, "requests"), build_id = request(w, first).build;
    ok(request_rev(w, first) == 50 && build_id == 0 && strstr(w->body, BASE "01"),
       "of what was sent");
    ok(done(w, request(w, first + 1).build, PW_SKIPPED), "what is not concerned is skipped");
    ok(request(w, first + 2).state == -1, "what a person must start is left out");
    ok(!wanted(w, (sent){.idem = "k"}) && give(w, (sent){.idem = "k"}) == 202 &&
           told(w, "try") == 1,
       "the same key gets the same answer, whatever it brings");
    ok(give(w, (sent){.number = 2, .rev = 51, .builders = "p/test\ntest\nhand"}) == 202, "named");
    uint64_t second = told(w, "requests");
    ok(request(w, second).state == REQ_WAITING && request(w, second + 1).state == REQ_WAITING &&
           request(w, second + 2).state == -1,
       "those only, each once");
    ok(request(w, first).state == REQ_WAITING, "and the one before is not merged into it");
    ok(count(w, CORE_UNTRY) == 0, "nothing is thrown away");
    ok(give(w, (sent){.number = 3, .rev = 52, .builders = "none"}) == 404 &&
           count(w, CORE_UNTRY) == 1 && last(w, CORE_UNTRY)->id == 3,
       "but what was imported for a builder that went meanwhile");
}

/* The attempt that the worker is offered last, begun. */
static uint64_t build_on(world *w, uint64_t worker_id)
{
    const seen *offer = last(w, CORE_OFFER);
    uint64_t a = offer && offer->worker == worker_id ? offer->attempt : 0;
    start(w, a);
    return a;
}

static void branch(void)
{
    PW_AUTO(world_freep) world *w = world_new(CONF);
    if (!w)
        return;
    pw_err err = {0};
    (void)core_notify_open(w->core, "http://ci", &err);
    push(w, 0, "master", 0, 1);
    uint64_t id = worker(w, "w1", 1);
    ok(give(w, (sent){.number = 1, .rev = 50, .builders = "test"}) == 202, "a try for master");
    uint64_t tried = told(w, "requests");
    up_with(w, id, 1, 4, 1, "isolation=none,bwrap\nuntrusted=true");
    (void)world_go(w);
    uint64_t b = request(w, tried).build;
    ok(b && build(w, b).worker == id, "is built where such builds may be");
    world_forget(w);
    start(w, build(w, b).attempt);
    end(w, build(w, b).attempt, PW_SUCCESS);
    ok(done(w, b, PW_SUCCESS) && count(w, CORE_HISTORY) == 0 && count(w, CORE_PUSH) == 0,
       "green, it moves no branch");
    ok(count(w, CORE_SEND) == 0, "nobody is told");
    uint64_t latest = 0, row = 0;
    pw_result result;
    (void)store_builder_id(w->st, core_project_row(w->core, 0), "test", &row, NULL);
    ok(store_latest_get(w->st, row, "master", &latest, &result, NULL) == PW_ENOTFOUND,
       "and says nothing of master");
    push(w, 0, "master", 1, 2);
    uint64_t of_master = build_on(w, id);
    end(w, of_master, PW_FAILURE);
    ok(of_master && count(w, CORE_SEND) > 0, "but of a build of master");
    bool there = core_try_is(w->core, 1, core_project_row(w->core, 0));
    world_restart(w, NULL);
    ok(there && core_try_is(w->core, 1, core_project_row(w->core, 0)) &&
           !core_try_is(w->core, 1, 77) && !core_try_is(w->core, 2, core_project_row(w->core, 0)),
       "it is known after a restart");
}

static void release(void)
{
    PW_AUTO(world_freep) world *w = world_new(CONF);
    if (!w)
        return;
    push(w, 0, "master", 0, 1);
    uint64_t id = worker(w, "w1", 1), own = 0;
    up_with(w, id, 1, 4, 1, "isolation=none\nuntrusted=false");
    (void)world_go(w);
    ok(give(w, (sent){.number = 1, .rev = 50, .builders = "test"}) == 202, "a try");
    uint64_t tried = told(w, "requests");
    ok(request(w, tried).build == 0, "no worker takes it");
    (void)ask(w, CMD_WHY, (say){.id = tried});
    ok(strstr(w->body, "released") != NULL, "why: %s", w->body);
    ok(ask(w, CMD_RELEASE, (say){.id = 999}) == 404, "nothing of that number");
    own = force(w, "test");
    ok(ask(w, CMD_RELEASE, (say){.id = own}) == 409, "what is the project's own is trusted anyway");
    ok(ask(w, CMD_RELEASE, (say){.id = tried, .reason = "read"}) == 202 &&
           request(w, tried).build != 0,
       "released it is built anywhere");
    ok(ask(w, CMD_RELEASE, (say){.id = request(w, tried).build}) == 202, "twice is no harm");
    ok(give(w, (sent){.number = 2, .rev = 51, .builders = "test"}) == 202 &&
           request(w, told(w, "requests")).build == 0,
       "that revision only");
    run(w, build(w, request(w, tried).build).attempt, PW_FAILURE);
    world_restart(w, NULL);
    up_with(w, id, 1, 4, 1, "isolation=none\nuntrusted=false");
    ok(ask(w, CMD_RETRY, (say){.id = request(w, tried).build}) == 202, "again, after a restart");
    ok(request(w, told(w, "requests")).build != 0, "it is trusted still");
}

static void retention(void)
{
    PW_AUTO(world_freep) world *w = world_new(CONF "retention: {builds: 100s, logs: 50s}\n");
    if (!w)
        return;
    push(w, 0, "master", 0, 1);
    ok(give(w, (sent){.number = 1, .rev = 50, .builders = "test"}) == 202, "a try");
    (void)ask(w, CMD_CANCEL_REQUEST, (say){.id = told(w, "requests")});
    ok(give(w, (sent){.number = 2, .rev = 51, .builders = "test"}) == 202, "and one that waits");
    uint64_t row = core_project_row(w->core, 0), highest = 0;
    (void)force(w, "hand"); /* the newest rows stay */
    world_forget(w);
    world_pass(w, 90);
    ok(core_try_is(w->core, 1, row) && count(w, CORE_UNTRY) == 0, "kept as long as its builds");
    world_pass(w, 120);
    ok(!core_try_is(w->core, 1, row) && count(w, CORE_UNTRY) == 1 && last(w, CORE_UNTRY)->id == 1 &&
           last(w, CORE_UNTRY)->worker == row,
       "gone with them");
    ok(core_try_is(w->core, 2, row) && core_try_highest(w->core, &highest, NULL) == 0 &&
           highest == 2,
       "the other one stays");
}

/* What a step of a try triggers, and what comes after that, is as little of the branch. */
static void triggered(void)
{
    PW_AUTO(world_freep) world *w = world_new(CONF2);
    pw_err err = {0};
    if (!w)
        return;
    push(w, 0, "master", 0, 1);
    uint64_t id = worker(w, "w1", 1);
    up_with(w, id, 1, 4, 1, "isolation=none,bwrap\nuntrusted=true");
    ok(figures(w).waiting == 1, "a request of master waits");
    ok(give(w, (sent){.number = 1, .rev = 50, .builders = "docs"}) == 202, "a try");
    store_rev r = rev(50);
    core_stamp *s = core_stamp_make(w->core, core_project_row(w->core, 0), "master", &r);
    ok(s && s->proposal == CORE_TRIED, "of which a step");
    uint64_t set =
        s ? core_trigger_scheduler(w->core, 1, s, &(pw_list){0}, "step", "r", 0, NULL, &err) : 0;
    (void)core_stamp_unref(s);
    (void)world_go(w);
    ok(set > 0, "triggers builds");
    end(w, build_on(w, id), PW_SUCCESS);
    ok(figures(w).waiting == 2,
       "what comes after these neither cancels nor takes along what is of "
       "master: %d",
       (int)figures(w).waiting);
    push(w, 0, "master", 1, 2);
    ok(figures(w).waiting == 2, "a newer commit cancels the one before it alone");
}

/* How many builds of a branch are kept: tries do not count. */
static void keep_last(void)
{
    PW_AUTO(world_freep)
    world *w = world_new(CONF "retention: {builds: 100s, logs: 50s, keep_last: 2}\n");
    if (!w)
        return;
    uint64_t id = worker(w, "w1", 1), first = 0;
    up_with(w, id, 1, 4, 1, "isolation=none,bwrap\nuntrusted=true");
    for (unsigned i = 0; i < 2; i++) {
        push(w, 0, "master", i, i + 1);
        uint64_t a = build_on(w, id);
        first = first ? first : att(w, a)->build;
        end(w, a, PW_SUCCESS);
    }
    for (unsigned i = 1; i < 4; i++) {
        ok(give(w, (sent){.number = i, .rev = 50 + i, .builders = "test"}) == 202, "a try");
        end(w, build_on(w, id), PW_SUCCESS);
    }
    (void)force(w, "hand");
    world_pass(w, 300);
    ok(first && done(w, first, PW_SUCCESS), "the last two of the branch are kept");
    ok(!core_try_is(w->core, 1, core_project_row(w->core, 0)), "the tries are not");
}

int main(void)
{
    asking();
    branch();
    release();
    retention();
    triggered();
    keep_last();
    return tap_done();
}
