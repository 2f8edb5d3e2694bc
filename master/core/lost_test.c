/* Workers that go away, come back, or come back as another: fencing (rules 6), cancel, builders
 * that are gone. */
#include "master/core/fixture.h"

#include "master/store/reader.h"
#include "tests/tap.h"

static const char conf[] = "projects: [{name: p, repository: /r.git}]\n"
                           "builders:\n"
                           "  - {name: unit, project: p, retries: 1, steps: [{run: make}]}\n";
static const char none[] = "projects: [{name: p, repository: /r.git}]\n"
                           "builders: [{name: other, project: p, steps: [{run: make}]}]\n";

enum { LOST = 600 };

/* One running attempt (id 1) of build 2 on worker *ret_one. */
static world *running(uint64_t *ret_one)
{
    world *w = world_new(conf);
    if (!w)
        return NULL;
    look(w, 0, "master", 1);
    *ret_one = worker(w, "w1", 1);
    up(w, *ret_one, 7, 1);
    (void)force(w, "unit");
    start(w, 1);
    return w;
}

static bool live(world *w, uint64_t id)
{
    const core_attempt *a = att(w, id);
    return a && a->state <= ATT_RUNNING && !a->superseded;
}

static void fenced_by_the_offer(void)
{
    uint64_t one = 0;
    PW_AUTO(world_freep) world *w = running(&one);
    pw_result r = PW_NO_RESULT;
    if (!w)
        return;
    down(w, one);
    world_pass(w, LOST - 2);
    uint64_t two = worker(w, "w2", 2);
    up(w, two, 8, 1);
    ok(live(w, 1) && count(w, CORE_OFFER) == 1,
       "a silent worker keeps its attempt until lost_after");
    down(w, two);
    world_pass(w, 4);
    ok(live(w, 1) && att(w, 1)->lost && att_row(w, 1, NULL) == ATT_RUNNING &&
           build(w, 2).state == BUILD_RUNNING,
       "after it the attempt may be fenced, and is not while nobody takes over");
    up(w, two, 8, 1);
    ok(w->core && count(w, CORE_OFFER) == 2 && last(w, CORE_OFFER)->worker == two &&
           last(w, CORE_OFFER)->attempt == 2,
       "another worker takes over");
    ok(att_row(w, 1, &r) == ATT_CLOSED && r == PW_RETRY && att_row(w, 2, NULL) == ATT_OFFERED &&
           build(w, 2).attempt == 2 && build(w, 2).tries == 2 &&
           build(w, 2).state == BUILD_DISPATCHED,
       "fenced in the same transaction");
    ok(att(w, 1) && att(w, 1)->superseded && figures(w).busy == 1, "its slot is free");
    world_restart(w, NULL);
    ok(att(w, 1) && att(w, 1)->superseded && live(w, 2), "also after a restart");
    start(w, 2);
    end(w, 1, PW_FAILURE);
    ok(build(w, 2).state == BUILD_RUNNING && att_row(w, 1, NULL) == ATT_FORGOTTEN &&
           last(w, CORE_FORGET)->attempt == 1,
       "the late result is kept and counted nowhere");
    end(w, 2, PW_SUCCESS);
    ok(done(w, 2, PW_SUCCESS) && figures(w).finished[PW_SUCCESS] == 1 &&
           figures(w).finished[PW_FAILURE] == 0 && figures(w).busy == 0,
       "the result of the live one counts, once");
}

static void late_result_first(void)
{
    uint64_t one = 0;
    PW_AUTO(world_freep) world *w = running(&one);
    if (!w)
        return;
    down(w, one);
    world_pass(w, LOST + 2);
    ok(live(w, 1) && att(w, 1)->lost && figures(w).waiting == 1, "lost, queued");
    up(w, one, 7, 1);
    if (att(w, 1))
        core_att_present(w->core, att(w, 1));
    (void)world_go(w);
    ok(live(w, 1) && !att(w, 1)->lost && figures(w).waiting == 0 && count(w, CORE_OFFER) == 1,
       "it comes back and goes on");
    world_pass(w, LOST + 2);
    ok(live(w, 1), "it is there: nothing is counted");
    end(w, 1, PW_FAILURE);
    ok(done(w, 2, PW_FAILURE) && build(w, 2).tries == 1, "its result counts");
}

static void silence_is_what_was_seen(void)
{
    uint64_t one = 0;
    PW_AUTO(world_freep) world *w = running(&one);
    if (!w)
        return;
    uint64_t two = worker(w, "w2", 2);
    down(w, one);
    world_pass(w, LOST - 10);
    w->now += 3600 * (pw_usec)SECOND; /* the machine was suspended */
    w->wall += 3600000;
    world_pass(w, 5);
    ok(live(w, 1) && !att(w, 1)->lost, "a suspended master fences nobody");
    world_restart(w, NULL);
    up(w, two, 8, 1);
    world_pass(w, LOST - 1);
    ok(live(w, 1) && count(w, CORE_OFFER) == 1, "after a restart the time starts anew");
    world_pass(w, 2);
    ok(!live(w, 1) && count(w, CORE_OFFER) == 2, "and ends");
}

static void without_retries(void)
{
    uint64_t one = 0;
    PW_AUTO(world_freep) world *w = running(&one);
    if (!w)
        return;
    uint64_t two = worker(w, "w2", 2);
    up(w, two, 8, 1);
    end(w, 1, PW_EXCEPTION);
    ok(last(w, CORE_OFFER)->worker == two && build(w, 2).tries == 2, "the one retry");
    start(w, 2);
    down(w, one);
    down(w, two);
    world_pass(w, LOST + 2);
    ok(done(w, 2, PW_EXCEPTION) && strstr(build(w, 2).reason, "silent"),
       "lost again: no retry is left, it ends as exception");
    ok(att_row(w, 2, NULL) == ATT_CLOSED && figures(w).waiting == 0 && figures(w).busy == 0,
       "its attempt is closed");
    up(w, one, 7, 1);
    ok(count(w, CORE_OFFER) == 2, "nothing is offered again");
    end(w, 2, PW_SUCCESS);
    ok(done(w, 2, PW_EXCEPTION), "not even its own late result changes that");
}

static void an_offer_moves(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    look(w, 0, "master", 1);
    uint64_t id[3];
    for (unsigned i = 0; i < 3; i++)
        id[i] = worker(w, i == 0 ? "w1" : i == 1 ? "w2" : "w3", (uint8_t)(i + 1));
    up(w, id[0], 7, 1);
    (void)force(w, "unit");
    for (unsigned i = 0; i < 2; i++) {
        down(w, id[i]);
        up(w, id[i + 1], 8, 1);
        world_pass(w, 29);
        ok(count(w, CORE_OFFER) == i + 1 && live(w, i + 1),
           "an offer without a record waits 30 s for its worker");
        world_pass(w, 2);
        ok(count(w, CORE_OFFER) == i + 2 && !live(w, i + 1) &&
               last(w, CORE_OFFER)->worker == id[i + 1] && build(w, 2).tries == 1,
           "then it moves, and uses no retry");
    }
    run(w, 3, PW_EXCEPTION);
    ok(build(w, 2).state == BUILD_DISPATCHED || build(w, 2).state == BUILD_QUEUED,
       "so the one retry is still there");
}

static void another_disk(void)
{
    uint64_t one = 0;
    PW_AUTO(world_freep) world *w = running(&one);
    if (!w)
        return;
    down(w, one);
    up(w, one, 9, 1);
    world_pass(w, LOST - 1);
    ok(live(w, 1) && count(w, CORE_OFFER) == 1, "another spool with the key: not lost yet");
    world_pass(w, 3);
    ok(!live(w, 1) && count(w, CORE_OFFER) == 2 && last(w, CORE_OFFER)->worker == one &&
           build(w, 2).tries == 2,
       "after lost_after its slot is free, and the only worker there is goes on");
}

/* The same, but the worker comes only when its attempt has been given up already, and nobody else
 * took the build. */
static void another_disk_late(void)
{
    uint64_t one = 0;
    PW_AUTO(world_freep) world *w = running(&one);
    if (!w)
        return;
    down(w, one);
    world_pass(w, LOST + 2);
    ok(att(w, 1) && att(w, 1)->lost && live(w, 1), "given up, nobody takes over");
    up(w, one, 9, 1);
    world_pass(w, 3);
    ok(!live(w, 1) && count(w, CORE_OFFER) == 2 && last(w, CORE_OFFER)->worker == one &&
           build(w, 2).tries == 2,
       "its slot is free when it comes back with another spool");
}

static void gone(void)
{
    uint64_t one = 0;
    PW_AUTO(world_freep) world *w = running(&one);
    if (!w)
        return;
    if (att(w, 1))
        core_att_lost(w->core, att(w, 1), "does not have it");
    (void)world_go(w);
    ok(!att(w, 1) && att_row(w, 1, NULL) == ATT_FORGOTTEN && last(w, CORE_SEAL)->attempt == 1,
       "gone: closed, forgotten, sealed");
    ok(count(w, CORE_OFFER) == 2 && build(w, 2).tries == 2 && live(w, 2), "tried again");
    if (att(w, 2))
        core_att_other(w->core, att(w, 2), "its tail");
    (void)world_go(w);
    ok(done(w, 2, PW_EXCEPTION) && !att(w, 2) && att_row(w, 2, NULL) == ATT_LOST &&
           count(w, CORE_OFFER) == 2 && last(w, CORE_SEAL)->attempt == 2,
       "another journal under its id: closed, sealed");
    ok(w->core && !core_attempt_was(w->core, store_epoch(w->st), 2, one) &&
           core_attempt_was(w->core, store_epoch(w->st), 1, one),
       "and what the worker has is not to be forgotten, but held");
}

static void cancel_and_end(void)
{
    uint64_t one = 0;
    PW_AUTO(world_freep) world *w = running(&one);
    pw_result r = PW_NO_RESULT;
    if (!w)
        return;
    ok(ask(w, CMD_CANCEL_BUILD, (say){.id = 2, .reason = "wrong"}) == 202, "cancelled by a person");
    ok(done(w, 2, PW_CANCELLED) && att_row(w, 1, &r) == ATT_CLOSED && r == PW_CANCELLED &&
           figures(w).busy == 0 && last(w, CORE_CANCEL)->attempt == 1 &&
           last(w, CORE_CANCEL)->worker == one && strcmp(last(w, CORE_CANCEL)->text, "wrong") == 0,
       "that is a fact at once, and the worker is told");
    ok(request(w, 1).state == REQ_DONE && figures(w).open == 0, "the request is done");
    end(w, 1, PW_SUCCESS);
    ok(done(w, 2, PW_CANCELLED) && !att(w, 1) && last(w, CORE_FORGET)->attempt == 1,
       "the end that comes later is recorded only");
    ok(ask(w, CMD_CANCEL_BUILD, (say){.id = 2}) == 409 && strstr(w->body, "cancelled"),
       "twice is a conflict");
    (void)force(w, "unit");
    run(w, 2, PW_FAILURE);
    ok(ask(w, CMD_CANCEL_BUILD, (say){.id = 4}) == 409 && strstr(w->body, "failure") &&
           done(w, 4, PW_FAILURE),
       "the end was first: the cancel is refused");
    ok(ask(w, CMD_CANCEL_BUILD, (say){.id = 99}) == 404, "an unknown one");
    down(w, one);
    uint64_t waiting = force(w, "unit");
    ok(ask(w, CMD_CANCEL_REQUEST, (say){.id = waiting}) == 202 &&
           request(w, waiting).state == REQ_DONE && !request(w, waiting).build &&
           figures(w).waiting == 0,
       "a waiting request");
    ok(ask(w, CMD_CANCEL_REQUEST, (say){.id = waiting}) == 404, "is not open any more");
    up(w, one, 7, 1);
    uint64_t sent = force(w, "unit");
    ok(ask(w, CMD_CANCEL_REQUEST, (say){.id = sent}) == 202 &&
           done(w, request(w, sent).build, PW_CANCELLED),
       "a request takes its build along");
}

static void cancel_while_lost(void)
{
    uint64_t one = 0;
    PW_AUTO(world_freep) world *w = running(&one);
    if (!w)
        return;
    down(w, one);
    world_pass(w, LOST + 2);
    (void)ask(w, CMD_CANCEL_BUILD, (say){.id = 2});
    ok(done(w, 2, PW_CANCELLED) && figures(w).waiting == 0 && figures(w).open == 0,
       "a lost one can be cancelled");
    up(w, worker(w, "w2", 2), 8, 1);
    ok(count(w, CORE_OFFER) == 1, "and is not offered");
}

static void builder_is_gone(void)
{
    uint64_t one = 0;
    PW_AUTO(world_freep) world *w = running(&one);
    if (!w)
        return;
    uint64_t second = force(w, "unit");
    world_restart(w, none);
    ok(request(w, second).state == REQ_DONE && done(w, request(w, second).build, PW_CANCELLED) &&
           strstr(build(w, request(w, second).build).reason, "removed"),
       "what waits for a builder that is gone ends, with that reason");
    ok(live(w, 1) && build(w, 2).state == BUILD_RUNNING, "what runs goes on");
    up(w, one, 7, 1);
    end(w, 1, PW_SUCCESS);
    ok(done(w, 2, PW_SUCCESS), "to its end");
}

static void builder_is_gone_before_it_began(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    look(w, 0, "master", 1);
    uint64_t one = worker(w, "w1", 1);
    up(w, one, 7, 1);
    (void)force(w, "unit");
    world_restart(w, none);
    up(w, one, 7, 1);
    if (att(w, 1))
        core_att_rejected(w->core, att(w, 1), "busy", 0);
    (void)world_go(w);
    ok(done(w, 2, PW_CANCELLED) && strstr(build(w, 2).reason, "removed"),
       "a rejected one of a builder that is gone ends");
}

static void builder_is_gone_when_it_is_lost(void)
{
    uint64_t one = 0;
    PW_AUTO(world_freep) world *w = running(&one);
    if (!w)
        return;
    down(w, one);
    if (att(w, 1))
        core_att_lost(w->core, att(w, 1), "does not have it");
    (void)world_go(w);
    ok(build(w, 2).state == BUILD_QUEUED, "lost, and waits for another try");
    world_restart(w, none);
    ok(done(w, 2, PW_CANCELLED) && strstr(build(w, 2).reason, "removed"),
       "which it does not get once its builder is gone");
    up(w, one, 7, 1);
    ok(count(w, CORE_OFFER) <= 1 && done(w, 2, PW_CANCELLED), "nor is it offered again");
}

static void removed_worker(void)
{
    uint64_t one = 0;
    PW_AUTO(world_freep) world *w = running(&one);
    if (!w)
        return;
    ok(ask(w, CMD_WORKER_REMOVE, (say){.name = "w1", .reason = "old"}) == 202 &&
           last(w, CORE_DROP)->worker == one,
       "removed");
    down(w, one);
    up(w, worker(w, "w2", 2), 8, 1);
    world_pass(w, LOST + 2);
    ok(count(w, CORE_OFFER) == 2 && last(w, CORE_OFFER)->worker != one && build(w, 2).tries == 2,
       "its build goes elsewhere");
}

static int keep_step(void *self, const store_step *s)
{
    store_step *v = self;
    v[s->idx] = *s;
    return 0;
}

/* Step 0 of an attempt, as it stands in the database. */
static store_step step_row(world *w, uint64_t attempt)
{
    store_step v[4] = {0};
    PW_AUTO(reader_closep) reader *rd = reader_open(w->path, NULL);
    v[0].state = (step_state)-1;
    if (rd)
        (void)reader_steps(rd, attempt, keep_step, v, NULL);
    return v[0];
}

static void begin_step(world *w, uint64_t attempt)
{
    core_attempt *a = att(w, attempt);
    if (a)
        core_att_step_started(w->core, a, &(rec_step_start){.step = 0, .wall_ms = 7});
    (void)world_go(w);
}

/* The runner dies in a step: its agent ends the journal, and nobody ends the step. */
static void step_of_a_dead_runner(void)
{
    uint64_t one = 0;
    PW_AUTO(world_freep) world *w = running(&one);
    if (!w)
        return;
    begin_step(w, 1);
    ok(step_row(w, 1).state == STEP_RUNNING, "a step runs");
    end(w, 1, PW_EXCEPTION);
    ok(att_row(w, 1, NULL) == ATT_FORGOTTEN && step_row(w, 1).state == STEP_DONE &&
           step_row(w, 1).result == PW_EXCEPTION && step_row(w, 1).finished > 0,
       "it does not run for ever when its runner is dead");
    start(w, 2);
    begin_step(w, 2);
    (void)ask(w, CMD_CANCEL_BUILD, (say){.id = 2, .reason = "enough"});
    ok(step_row(w, 2).state == STEP_RUNNING, "a cancelled step runs until its journal says more");
    end(w, 2, PW_CANCELLED);
    ok(step_row(w, 2).state == STEP_DONE && step_row(w, 2).result == PW_CANCELLED,
       "and is cancelled at the latest with the last of it");
}

int main(void)
{
    if (crypt_init(NULL) < 0)
        return 1;
    fenced_by_the_offer();
    late_result_first();
    silence_is_what_was_seen();
    without_retries();
    an_offer_moves();
    another_disk();
    another_disk_late();
    gone();
    cancel_and_end();
    cancel_while_lost();
    builder_is_gone();
    builder_is_gone_before_it_began();
    builder_is_gone_when_it_is_lost();
    removed_worker();
    step_of_a_dead_runner();
    return tap_done();
}
