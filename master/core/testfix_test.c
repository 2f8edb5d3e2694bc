/* While a branch is red, only changes with [testfix] are built. */
#include "master/core/fixture.h"

#include "tests/tap.h"

#define CONF(more)                                                                                 \
    "projects: [{name: p, repository: /r.git}]\n"                                                  \
    "builders: [{name: a, project: p, retries: 0, " more "steps: [{run: x}]}, "                    \
    "{name: b, project: p, steps: [{run: x}]}, "                                                   \
    "{name: extra, project: p, required: false, steps: [{run: x}]}]\n"
#define S(more)                                                                                    \
    "schedulers: [{name: s, kind: branch, project: p, builders: [a], testfix: true" more "}]\n"

/* A red master: request 1, build 2, attempt 1 of revision 2. */
static world *red(const char *yaml)
{
    world *w = world_new(yaml);
    if (!w)
        return NULL;
    look(w, 0, "master", 1);
    up(w, worker(w, "w1", 1), 7, 4);
    push(w, 0, "master", 1, 2);
    run(w, 1, PW_FAILURE);
    return w;
}

static bool why(world *w, uint64_t id, const char *text)
{
    (void)ask(w, CMD_WHY, (say){.id = id});
    return w->status == 200 && strstr(w->body, text) != NULL;
}

static void held(void)
{
    PW_AUTO(world_freep) world *w = red(CONF("") S(""));
    if (!w)
        return;
    push(w, 0, "master", 2, 3); /* request 3 */
    ok(request(w, 3).state == REQ_WAITING && figures(w).waiting == 1 && count(w, CORE_OFFER) == 1,
       "a change to a red branch is not built");
    ok(why(w, 3, "held by testfix since build 2"), "and says why: %s", w->body);
    push(w, 0, "side", 0, 20); /* request 4, build 5 */
    ok(request(w, 4).state == REQ_CLAIMED, "another branch is not red");
    world_restart(w, NULL);
    up(w, 1, 7, 4);
    push(w, 0, "master", 3, 6); /* request 6 */
    ok(request(w, 3).rode_with == 6 && why(w, 6, "held by testfix since build 2") &&
           figures(w).waiting == 1,
       "over a restart; the next one takes it along");
    push_as(w, 0, "master", 6, 7, true); /* request 7, build 8 */
    ok(request(w, 6).rode_with == 7 && request(w, 7).state == REQ_CLAIMED &&
           figures(w).waiting == 0 && request_rev(w, 7) == 7,
       "[testfix] is built, and what was held rides with it");
    push(w, 0, "master", 7, 9); /* request 9 */
    ok(request(w, 9).state == REQ_WAITING && why(w, 9, "held"), "while that runs it is red still");
    run(w, 3, PW_SUCCESS);
    ok(request(w, 9).state == REQ_CLAIMED && figures(w).waiting == 0,
       "once it is green, what is held is built");
}

static void results(void)
{
    PW_AUTO(world_freep) world *w = red(CONF("") S(""));
    if (!w)
        return;
    push(w, 0, "master", 2, 3); /* request 3, held */
    uint64_t attempt = 1;
    static const pw_result says_nothing[] = {PW_EXCEPTION, PW_CANCELLED, PW_WARNINGS, PW_SKIPPED};
    for (size_t i = 0; i < 4; i++) {
        (void)force(w, "a");
        run(w, ++attempt, says_nothing[i]);
        ok(why(w, 3, "held by testfix since build 2"), "%s does not open it",
           pw_result_name(says_nothing[i]));
    }
    (void)force(w, "a");
    run(w, ++attempt, PW_FAILURE);
    ok(why(w, 3, "since build 2"), "red again is red since the first time");
    (void)force(w, "b");
    run(w, ++attempt, PW_SUCCESS);
    ok(why(w, 3, "held"), "a builder of others does not open it");
    (void)force(w, "a");
    run(w, ++attempt, PW_SUCCESS);
    ok(request(w, 3).state == REQ_CLAIMED, "a green build by force does");
    run(w, ++attempt, PW_EXCEPTION);
    push(w, 0, "master", 3, 4);
    uint64_t id = request(w, 3).build + 1;
    ok(request(w, id).state == REQ_CLAIMED, "an exception does not close it");
}

/* What waits in the queue when the branch turns red has not begun. */
static void turns_red(void)
{
    PW_AUTO(world_freep) world *w = world_new(CONF("") S(""));
    if (!w)
        return;
    look(w, 0, "master", 1);
    up(w, worker(w, "w1", 1), 7, 1);
    push(w, 0, "master", 1, 2); /* 1, build 2 */
    push(w, 0, "master", 2, 3); /* 3 */
    push(w, 0, "side", 0, 9);   /* 4 */
    ok(figures(w).waiting == 2, "two wait");
    run(w, 1, PW_FAILURE);
    ok(request(w, 3).state == REQ_WAITING && why(w, 3, "held by testfix since build 2") &&
           request(w, 4).state == REQ_CLAIMED,
       "the one of the branch is held");
    ok(ask(w, CMD_CANCEL_REQUEST, (say){.id = 3}) == 202 && request(w, 3).state == REQ_DONE &&
           figures(w).waiting == 0,
       "it can be cancelled");
    push(w, 0, "master", 3, 4);
    push(w, 0, "master", 4, 0);
    ok(figures(w).waiting == 0, "a branch that is deleted holds nothing");
}

static void not_required(void)
{
    PW_AUTO(world_freep)
    world *w = red(CONF("required: false, ") "schedulers: [{name: s, kind: branch, project: p, "
                                             "builders: [a, b], testfix: true}]\n");
    if (!w)
        return;
    run(w, 2, PW_SUCCESS); /* b */
    push(w, 0, "master", 2, 3);
    ok(count(w, CORE_OFFER) == 4, "a builder that is not required closes nothing");
}

/* A newer change without the tag takes the place of a waiting one with it, and its right to build.
 */
static void tag_is_kept(void)
{
    PW_AUTO(world_freep) world *w = red(CONF("") S(", quiet: 10s"));
    if (!w)
        return;
    world_pass(w, 11);
    run(w, 1, PW_FAILURE);
    ok(done(w, 2, PW_FAILURE), "red");
    push_as(w, 0, "master", 2, 3, true);
    push(w, 0, "master", 3, 4);
    world_restart(w, NULL);
    world_pass(w, 11);
    ok(request(w, 3).state == REQ_WAITING && request_rev(w, 3) == 4 && !why(w, 3, "held"),
       "the quiet time is about both");
    push(w, 0, "master", 4, 5);
    world_pass(w, 11);
    ok(request(w, 3).rode_with == 4 && !why(w, 4, "held"),
       "so is what takes the place of one that waits");
}

static void reloaded(void)
{
    PW_AUTO(world_freep) world *w = red(CONF("") S(""));
    if (!w)
        return;
    push(w, 0, "master", 2, 3);
    world_restart(w, CONF("") S(", quiet: 1s"));
    ok(why(w, 3, "held by testfix"), "another configuration with it");
    world_restart(w, CONF("") "schedulers: [{name: s, kind: branch, project: p, builders: [a]}]\n");
    up(w, 1, 7, 4);
    ok(request(w, 3).state == REQ_CLAIMED, "and one without it");
    push(w, 0, "master", 3, 4);
    ok(figures(w).waiting == 0, "which holds nothing");
}

/* Told by hand nobody knows what the message says. */
static void by_hand(void)
{
    PW_AUTO(world_freep) world *w = red(CONF("") S(""));
    char hex[2 * STORE_REV_MAX + 1];
    store_rev third = rev(3);
    if (!w)
        return;
    world_pass(w, 61);
    store_rev_text(&third, hex);
    ok(ask(w, CMD_CHANGE, (say){.branch = "master", .revision = hex}) == 202 &&
           told(w, "change") == 0 && request(w, 3).state == -1,
       "a change told by hand is left to the look that follows");
    push_as(w, 0, "master", 2, 3, true); /* it began before that was told */
    world_pass(w, 2);
    push_as(w, 0, "master", 2, 3, true);
    ok(request(w, 3).state == REQ_CLAIMED, "which sees the tag");
}

/* Each builder that does not collapse has its own request; all ride with the one that is built. */
static void many_ride(void)
{
    PW_AUTO(world_freep) world *w = red(CONF("collapse: false, ") S(""));
    if (!w)
        return;
    push(w, 0, "master", 2, 3);
    push(w, 0, "master", 3, 4);
    ok(figures(w).waiting == 2, "two are held");
    push_as(w, 0, "master", 4, 5, true);
    ok(figures(w).waiting == 0 && request(w, 3).rode_with == 5 && request(w, 4).rode_with == 5,
       "both ride");
}

int main(void)
{
    if (crypt_init(NULL) < 0)
        return 1;
    held();
    results();
    turns_red();
    not_required();
    tag_is_kept();
    reloaded();
    by_hand();
    many_ride();
    return tap_done();
}
