/* A commit that fails: whoever asked is told so, nothing of the turn is there, and a new start
 * finds the state before it. */
#include "master/core/fixture.h"

#include <sys/wait.h>
#include <unistd.h>

#include "tests/tap.h"

static const char conf[] = "projects: [{name: p, repository: /r.git}]\n"
                           "builders: [{name: unit, project: p, steps: [{run: x}]}]\n"
                           "promotions: [{name: up, kind: green, project: p, from: master, to: "
                           "stable, builders: [unit]}]\n";
enum { PASSAGES = 9 };

/* A whole life, until the commit breaks; then the master starts anew and everybody goes on where
 * they stand. */
static bool life(world *w)
{
    look(w, 0, "master", 1);
    uint64_t id = worker(w, "w1", 1);
    up(w, id, 7, 1);
    uint64_t r = force(w, "unit");
    run(w, last(w, CORE_OFFER)->attempt, PW_SUCCESS);
    push(w, 0, "master", 1, 2);
    world_pass(w, 3);
    return r && w->core;
}

static void breaks(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    unsigned before = w->commits;
    bool whole = life(w);
    ok(!whole && !w->core && w->commits >= before, "the turn breaks after %u commits", w->commits);
    if (w->core)
        return;
    size_t offers = count(w, CORE_OFFER);
    int status = w->status;
    unsigned answers = w->answers;
    (void)world_load(w);
    ok(w->core, "a new start");
    if (!w->core)
        return;
    /* what was answered 202 is there, what was answered 503 is not */
    uint64_t told_request = status == 202 ? told(w, "requests") : 0;
    ok(answers == 0 || status == 202 || (status == 503 && strstr(w->body, "cannot write")),
       "everybody was answered");
    ok(!told_request || request(w, told_request).state >= 0, "and rightly");
    core_figures f = figures(w);
    ok(f.open + f.waiting <= 3 && f.busy <= 1, "nothing is there twice");
    for (uint64_t a = 1; a <= offers; a++)
        ok(att_row(w, a, NULL) >= 0, "each offer that left is a row");
    ok(att_row(w, offers + 2, NULL) == -1, "no row of an offer that did not leave but the newest");
}

static void refuses_all(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    look(w, 0, "master", 1);
    world_forget(w);
    say s = {.idem = "k", .builder = "unit", .branch = "master", .reason = "r"};
    command(w, CMD_FORCE, s);
    s.idem = "k2";
    command(w, CMD_FORCE, s);
    command(w, CMD_WHY, (say){.id = 1});
    ok(world_go(w) < 0 && w->answers == 3 && w->status == 503,
       "all commands of a broken turn get 503");
    (void)world_load(w);
    ok(request(w, 1).state == -1 && figures(w).waiting == 0 && w->n == 0,
       "and nothing of it is there, nothing went out");
    s.idem = "k";
    ok(ask(w, CMD_FORCE, s) == 202 && told(w, "requests") == 1, "the same key may be used again");
}

/* In a broken turn more messages come in before its end: none of them may touch what is half done.
 */
static void goes_on_in_a_broken_turn(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    look(w, 0, "master", 1);
    uint64_t id = worker(w, "w1", 1);
    up(w, id, 7, 1);
    uint64_t r = force(w, "unit"), b = request(w, r).build;
    start(w, 1);
    if (!w->core)
        return;
    store_rollback(w->st);
    core_attempt *a = att(w, 1);
    rec_end e = {.result = PW_SUCCESS};
    a->end_at = 200;
    core_att_ended(w->core, a, &e); /* begins a transaction */
    /* as if SQLite had rolled it back by itself: every further write fails */
    store_rollback(w->st);
    core_att_offsets(w->core, a, 200, 1, 200, 1);
    command(w, CMD_CANCEL_REQUEST, (say){.id = r});
    command(w, CMD_CANCEL_BUILD, (say){.id = b});
    command(w, CMD_WHY, (say){.id = r});
    command(w, CMD_RETRY, (say){.id = b});
    command(w, CMD_WORKER_ADD, (say){.name = "w2"});
    command(w, CMD_FORCE, (say){.builder = "unit", .reason = "r"});
    core_worker_down(w->core, id, "x");
    core_tick(w->core);
    core_polled(w->core, 0, "other", NULL, 0);
    ok(world_go(w) < 0 && w->status == 503, "the turn is broken as a whole");
    (void)world_load(w);
    ok(build(w, b).state == BUILD_RUNNING && att_row(w, 1, NULL) == ATT_RUNNING,
       "as it was before");
    end(w, 1, PW_FAILURE);
    ok(done(w, b, PW_FAILURE), "and it goes on");
}

int main(int argc, char **argv)
{
    (void)argc;
    pw_err err = {0};
    if (crypt_init(&err) < 0)
        return 1;
    /* the fault point counts for the whole process, so each passage is a process of its own */
    const char *n = getenv("PW_CORE_FAULT");
    if (n) {
        char text[40];
        (void)snprintf(text, sizeof(text), "store.commit:%s", n);
        if (setenv("PW_FAULT", text, 1) < 0)
            return 1;
        if (strcmp(n, "3") == 0)
            refuses_all();
        else
            breaks();
        return tap_bad != 0;
    }
    goes_on_in_a_broken_turn();
    for (int i = 2; i <= PASSAGES; i++) {
        char text[200];
        (void)snprintf(text, sizeof(text), "%d", i);
        if (setenv("PW_CORE_FAULT", text, 1) < 0)
            return 1;
        (void)fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            if (!freopen("/dev/null", "w", stdout))
                _exit(1);
            (void)execv("/proc/self/exe", argv);
            _exit(126);
        }
        int status = -1;
        ok(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
               WEXITSTATUS(status) == 0,
           "commit %d fails", i);
    }
    return tap_done();
}
