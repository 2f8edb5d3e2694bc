/* Promotion edges in the core: when history is read, the intent that is a row before the push, and
 * every end of a push (rules 8). */
#include "master/core/fixture.h"
#include "master/store/reader.h"

#include "tests/tap.h"

#define P                                                                                          \
    "projects: [{name: p, repository: /r.git}]\n"                                                  \
    "builders: [{name: unit, project: p, steps: [{run: x}]}]\n"                                    \
    "schedulers: [{name: push, kind: branch, project: p, branches: [master]}]\n"
static const char conf[] = P "promotions: [{name: up, kind: green, project: p, from: master, to: "
                             "stable, builders: [unit]}]\n";
static const char slow[] = P "promotions: [{name: up, kind: green, project: p, from: master, to: "
                             "stable, builders: [unit], every: 1h}]\n";
static const char renamed[] = P "promotions: [{name: up2, kind: green, project: p, from: master, "
                                "to: stable, builders: [unit]}]\n";
static const char other[] =
    P "promotions: [{name: else, kind: green, project: p, from: a, to: b, builders: [unit]}]\n";

/* `from` is one first-parent commit ahead of `to`, or two. */
static void history(world *w, size_t edge, unsigned from, unsigned mid, unsigned to)
{
    core_candidate c[2] = {{rev(from), true}, {rev(mid), true}};
    core_history h = {.from = rev(from),
                      .to = rev(to),
                      .to_in_from = true,
                      .candidate = c,
                      .n_candidates = mid ? 2 : 1};
    if (from == to) {
        h.n_candidates = 0;
        h.from_in_to = true;
    }
    if (w->core)
        core_history_read(w->core, edge, &h);
    (void)world_go(w);
}

static void pushed(world *w, uint64_t id, core_pushed how, const char *text)
{
    if (w->core)
        core_push_done(w->core, id, how, text);
    (void)world_go(w);
}

typedef struct edge_now {
    edge_state state; /* of the edge that is told last by name */
    char reason[200];
    int state_of[10]; /* of promotion i + 1; -1 none */
} edge_now;
static int one_edge(void *p, const char *edge, edge_state state, const store_rev *r,
                    const char *reason, pw_msec at)
{
    edge_now *e = p;
    (void)edge, (void)r, (void)at;
    e->state = state;
    (void)snprintf(e->reason, sizeof(e->reason), "%s", reason);
    return 0;
}
static int one_promotion(void *p, const store_promotion *row)
{
    edge_now *e = p;
    if (row->id <= 10)
        e->state_of[row->id - 1] = (int)row->state;
    return 0;
}
static edge_now edges(world *w)
{
    edge_now e = {.state = (edge_state)-1, .state_of = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1}};
    PW_AUTO(reader_closep) reader *r = reader_open(w->path, NULL);
    if (r) {
        (void)reader_edges(r, one_edge, &e, NULL);
        (void)reader_promotions(r, NULL, 0, 100, one_promotion, &e, NULL);
    }
    return e;
}

/* master at 2, stable at 1, `unit` of master has the result. */
static world *built(const char *yaml, pw_result result)
{
    world *w = world_new(yaml);
    if (!w)
        return NULL;
    look(w, 0, "master", 1);
    look(w, 0, "stable", 1);
    up(w, worker(w, "w1", 1), 7, 4);
    world_pass(w, 2);
    history(w, 0, 1, 0, 1);
    world_forget(w);
    push(w, 0, "master", 1, 2);
    run(w, last(w, CORE_OFFER)->attempt, result);
    return w;
}

static void a_green_run_moves(void)
{
    PW_AUTO(world_freep) world *w = built(conf, PW_SUCCESS);
    core_push_facts f;
    if (!w)
        return;
    ok(count(w, CORE_HISTORY) == 1 && last(w, CORE_HISTORY)->index == 0,
       "a new tip makes the history be read once at a time");
    history(w, 0, 2, 0, 1);
    const seen *e = last(w, CORE_PUSH);
    edge_now n = edges(w);
    ok(count(w, CORE_PUSH) == 1 && e->id == 1 && n.state_of[0] == PROMO_OPEN,
       "green: the intent is a row when the push leaves");
    store_rev from = rev(1), to = rev(2);
    ok(w->core && core_push_get(w->core, 1, &f) && f.project == 0 &&
           strcmp(f.ref, "refs/heads/stable") == 0 && store_rev_equal(&f.old, &from) &&
           store_rev_equal(&f.rev, &to) && !core_push_get(w->core, 2, &f),
       "with lease on the old revision");
    size_t offers = count(w, CORE_OFFER);
    push(w, 0, "stable", 1, 2); /* the poll sees it before the push is answered */
    ok(count(w, CORE_OFFER) == offers && figures(w).waiting == 0, "a move of ours builds nothing");
    world_pass(w, 200);
    ok(count(w, CORE_PUSH) == 1, "while a push is under way nothing else is decided");
    pushed(w, 1, CORE_PUSHED, "");
    n = edges(w);
    ok(n.state_of[0] == PROMO_DONE && n.state == EDGE_DONE && strstr(n.reason, "moved to"), "done");
    pushed(w, 1, CORE_LOST_RACE, "");
    ok(edges(w).state_of[0] == PROMO_DONE, "a second answer changes nothing");
    world_pass(w, 1);
    history(w, 0, 2, 0, 2);
    ok(count(w, CORE_PUSH) == 1 && edges(w).state == EDGE_DONE, "nothing new");
    push(w, 0, "stable", 1, 2);
    ok(count(w, CORE_OFFER) == offers, "nor does a poll that comes late build it");
}

static void not_green(void)
{
    static const pw_result results[] = {PW_FAILURE, PW_WARNINGS, PW_SKIPPED, PW_CANCELLED};
    for (size_t i = 0; i < 4; i++) {
        PW_AUTO(world_freep) world *w = built(conf, results[i]);
        if (!w)
            return;
        history(w, 0, 2, 0, 1);
        ok(count(w, CORE_PUSH) == 0 && edges(w).state == EDGE_WAITING &&
               strstr(edges(w).reason, "unit"),
           "%s does not promote", pw_result_name(results[i]));
    }
}

static void older_green(void)
{
    PW_AUTO(world_freep) world *w = built(conf, PW_SUCCESS);
    core_push_facts f;
    if (!w)
        return;
    history(w, 0, 3, 2, 1);
    store_rev mid = rev(2);
    ok(w->core && core_push_get(w->core, 1, &f) && store_rev_equal(&f.rev, &mid),
       "the newest green one, not the tip");
}

static void unknown_outcome(void)
{
    PW_AUTO(world_freep) world *w = built(conf, PW_SUCCESS);
    if (!w)
        return;
    history(w, 0, 2, 0, 1);
    pushed(w, 1, CORE_PUSH_UNKNOWN, "timed out");
    ok(edges(w).state_of[0] == PROMO_OPEN && strstr(edges(w).reason, "timed out"),
       "unknown: the intent stays open");
    world_pass(w, 29);
    ok(count(w, CORE_PUSH) == 1, "it is left alone for 30 s");
    world_pass(w, 2);
    ok(count(w, CORE_PUSH) == 2 && last(w, CORE_PUSH)->id == 1,
       "then the same intent is looked at again");
    world_restart(w, NULL);
    ok(count(w, CORE_PUSH) == 2, "a new master");
    world_pass(w, 1);
    ok(count(w, CORE_PUSH) == 3 && last(w, CORE_PUSH)->id == 1, "resolves it first");
    world_pass(w, 100);
    ok(count(w, CORE_PUSH) == 3 && edges(w).state_of[1] == -1, "and plans nothing new before");
    size_t offers = count(w, CORE_OFFER);
    push(w, 0, "stable", 1, 2);
    ok(count(w, CORE_OFFER) == offers && figures(w).waiting == 0,
       "over a restart it is still a move of ours");
    pushed(w, 1, CORE_PUSHED, "");
    ok(edges(w).state_of[0] == PROMO_DONE, "done");
}

static void lost_race(void)
{
    PW_AUTO(world_freep) world *w = built(conf, PW_SUCCESS);
    if (!w)
        return;
    history(w, 0, 2, 0, 1);
    size_t polls = count(w, CORE_POLL);
    pushed(w, 1, CORE_LOST_RACE, "not at 1");
    ok(edges(w).state_of[0] == PROMO_LOST && edges(w).state == EDGE_WAITING &&
           strstr(edges(w).reason, "somebody else"),
       "lost");
    world_pass(w, 1);
    ok(count(w, CORE_POLL) == polls + 1 && count(w, CORE_HISTORY) == 2,
       "the refs and the history are read again");
    history(w, 0, 2, 0, 1);
    ok(last(w, CORE_PUSH)->id == 2, "and a new intent is made");
}

static void refused(void)
{
    PW_AUTO(world_freep) world *w = built(conf, PW_SUCCESS);
    if (!w)
        return;
    history(w, 0, 2, 0, 1);
    pushed(w, 1, CORE_REFUSED, "hook says no");
    ok(edges(w).state_of[0] == PROMO_FAILED && edges(w).state == EDGE_STOPPED &&
           strstr(edges(w).reason, "hook says no"),
       "refused: stopped");
    world_pass(w, 300);
    ok(count(w, CORE_PUSH) == 1 && count(w, CORE_HISTORY) == 1, "it is not tried again by itself");
    ok(ask(w, CMD_PROMOTE, (say){.name = "up", .dry_run = true}) == 200 &&
           strstr(w->body, "stopped") && strstr(w->body, "hook says no"),
       "people can ask");
    world_pass(w, 2);
    ok(count(w, CORE_HISTORY) == 1, "without starting anything");
    ok(ask(w, CMD_PROMOTE, (say){.name = "up"}) == 202, "or have it tried again");
    world_pass(w, 1);
    ok(count(w, CORE_HISTORY) == 2, "then it is");
    ok(ask(w, CMD_PROMOTE, (say){.name = "nope"}) == 404 && ask(w, CMD_PROMOTE, (say){0}) == 404,
       "an unknown edge");
}

static void history_fails(void)
{
    PW_AUTO(world_freep) world *w = built(conf, PW_SUCCESS);
    if (!w)
        return;
    if (w->core)
        core_history_failed(w->core, 0, "no mirror");
    (void)world_go(w);
    ok(edges(w).state == EDGE_WAITING && strcmp(edges(w).reason, "no mirror") == 0, "it is said");
    world_pass(w, 4);
    ok(count(w, CORE_HISTORY) == 1, "and tried again, not at once");
    world_pass(w, 2);
    ok(count(w, CORE_HISTORY) == 2, "but soon");
}

static void at_most_every(void)
{
    PW_AUTO(world_freep) world *w = built(slow, PW_SUCCESS);
    if (!w)
        return;
    history(w, 0, 2, 0, 1);
    pushed(w, 1, CORE_PUSHED, "");
    push(w, 0, "master", 2, 3);
    run(w, last(w, CORE_OFFER)->attempt, PW_SUCCESS);
    world_pass(w, 1);
    history(w, 0, 3, 0, 2);
    ok(count(w, CORE_PUSH) == 1, "at most once an hour");
    world_restart(w, NULL);
    world_pass(w, 2);
    history(w, 0, 3, 0, 2);
    ok(count(w, CORE_PUSH) == 1, "over a restart, too");
    world_pass(w, 3601);
    history(w, 0, 3, 0, 2);
    ok(count(w, CORE_PUSH) == 2, "then it moves");
}

static void one_intent_a_ref(void)
{
    PW_AUTO(world_freep) world *w = built(conf, PW_SUCCESS);
    if (!w)
        return;
    history(w, 0, 2, 0, 1);
    world_restart(w, renamed);
    world_pass(w, 2);
    ok(count(w, CORE_PUSH) == 2 && count(w, CORE_HISTORY) == 2, "the edge has another name now");
    history(w, 0, 2, 0, 1);
    ok(count(w, CORE_PUSH) == 2 && edges(w).state_of[1] == -1 &&
           strstr(edges(w).reason, "another push"),
       "one open intent a branch");
    pushed(w, 1, CORE_LOST_RACE, "");
    world_pass(w, 10);
    history(w, 0, 2, 0, 1);
    ok(count(w, CORE_PUSH) == 3 && last(w, CORE_PUSH)->id == 2, "the other's turn comes after it");
}

static void edge_is_gone(void)
{
    PW_AUTO(world_freep) world *w = built(conf, PW_SUCCESS);
    if (!w)
        return;
    history(w, 0, 2, 0, 1);
    world_restart(w, other);
    world_pass(w, 1);
    core_push_facts f;
    ok(count(w, CORE_PUSH) == 2 && last(w, CORE_PUSH)->id == 1 && w->core &&
           core_push_get(w->core, 1, &f) && f.look_only,
       "an open intent of an edge that is gone is looked at");
    pushed(w, 1, CORE_PUSH_UNKNOWN, "?");
    pushed(w, 1, CORE_PUSHED, "");
    ok(edges(w).state_of[0] == PROMO_DONE, "the push was made: done");
}

static void edge_is_gone_in_time(void)
{
    PW_AUTO(world_freep) world *w = built(conf, PW_SUCCESS);
    if (!w)
        return;
    history(w, 0, 2, 0, 1);
    world_restart(w, other);
    world_pass(w, 1);
    pushed(w, 1, CORE_NOT_PUSHED, "");
    ok(edges(w).state_of[0] == PROMO_ABANDONED && count(w, CORE_PUSH) == 2,
       "the push was not made: abandoned, and not pushed again");
}

static void project_is_gone(void)
{
    PW_AUTO(world_freep) world *w = built(conf, PW_SUCCESS);
    core_push_facts f;
    if (!w)
        return;
    history(w, 0, 2, 0, 1);
    world_restart(w, "projects: [{name: q, repository: /q.git}]\nbuilders: [{name: b, project: q, "
                     "steps: [{run: x}]}]\n");
    world_pass(w, 2);
    ok(edges(w).state_of[0] == PROMO_ABANDONED && count(w, CORE_PUSH) == 1 && w->core &&
           !core_push_get(w->core, 1, &f),
       "when its project is gone it is abandoned, with that reason");
}

static void diverged(void)
{
    PW_AUTO(world_freep) world *w = built(conf, PW_SUCCESS);
    if (!w)
        return;
    core_history h = {.from = rev(2), .to = rev(9)};
    if (w->core)
        core_history_read(w->core, 0, &h);
    (void)world_go(w);
    ok(count(w, CORE_PUSH) == 0 && edges(w).state == EDGE_DIVERGED,
       "what has diverged is never moved");
}

int main(void)
{
    if (crypt_init(NULL) < 0)
        return 1;
    a_green_run_moves();
    not_green();
    older_green();
    unknown_outcome();
    lost_race();
    refused();
    history_fails();
    at_most_every();
    one_intent_a_ref();
    edge_is_gone();
    edge_is_gone_in_time();
    project_is_gone();
    diverged();
    return tap_done();
}
