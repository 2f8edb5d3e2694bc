/* A build's way from change to result, and what becomes of it when the worker does not play along.
 */
#include "master/core/fixture.h"
#include "master/store/reader.h"

#include "tests/tap.h"

static const char conf[] =
    "projects: [{name: p, repository: /r.git}]\n"
    "builders:\n"
    "  - {name: unit, project: p, properties: {a: one, b: two}, steps: [{name: co, checkout: {}}, "
    "{name: make, run: make}]}\n"
    "schedulers: [{name: push, kind: branch, project: p, branches: [\"m*\"]}]\n";

static uint64_t only_attempt(world *w)
{
    return last(w, CORE_OFFER)->attempt;
}

static void from_change_to_result(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    job_spec spec;
    if (!w)
        return;
    world_pass(w, 1);
    ok(count(w, CORE_POLL) == 1, "a new repository is looked at");
    look(w, 0, "master", 1);
    uint64_t id = worker(w, "w1", 1);
    up(w, id, 7, 2);
    ok(figures(w).open == 0 && figures(w).waiting == 0 && count(w, CORE_OFFER) == 0,
       "the first look builds nothing");
    push(w, 0, "master", 1, 2);
    const seen *e = last(w, CORE_OFFER);
    ok(count(w, CORE_OFFER) == 1 && e->worker == id && e->attempt == 1,
       "a new tip becomes an offer");
    bool read = e->job && pw_schema_decode(&job_spec_schema, e->job, e->job_len, &spec, NULL) == 0;
    ok(read, "with a job");
    if (read) {
        ok(spec.attempt == 1 && spec.try_no == 1 && spec.epoch == store_epoch(w->st) &&
               strcmp(spec.builder, "unit") == 0 && strcmp(spec.branch, "master") == 0 &&
               strncmp(spec.revision, "abab", 4) == 0 && spec.revision[39] == '2' &&
               spec.steps.n == 2 && spec.props.n == 3 && strcmp(spec.worker, "w1") == 0 &&
               strcmp(spec.repository, "/r.git") == 0,
           "that says what to do");
        pw_schema_clear(&job_spec_schema, &spec);
    }
    build_now b = build(w, 2);
    ok(b.state == BUILD_DISPATCHED && b.tries == 1 && b.worker == id && b.attempt == 1 &&
           !b.started,
       "the build is dispatched");
    ok(request(w, 1).state == REQ_CLAIMED && request(w, 1).build == 2, "its request is claimed");
    ok(att_row(w, 1, NULL) == ATT_OFFERED && figures(w).busy == 1,
       "the attempt is a row and holds a slot");
    start(w, 1);
    ok(build(w, 2).state == BUILD_RUNNING && build(w, 2).started &&
           att_row(w, 1, NULL) == ATT_RUNNING,
       "it runs");
    end(w, 1, PW_SUCCESS);
    ok(done(w, 2, PW_SUCCESS) && request(w, 1).state == REQ_DONE &&
           figures(w).finished[PW_SUCCESS] == 1,
       "it is green");
    ok(count(w, CORE_FORGET) == 1 && last(w, CORE_FORGET)->attempt == 1 &&
           last(w, CORE_SEAL)->attempt == 1 && att_row(w, 1, NULL) == ATT_FORGOTTEN && !att(w, 1) &&
           figures(w).busy == 0,
       "the attempt is forgotten, the log sealed, the slot free");
    world_restart(w, NULL);
    ok(figures(w).open == 0 && figures(w).waiting == 0 && w->core &&
           core_attempt_was(w->core, store_epoch(w->st), 1, id) &&
           !core_attempt_was(w->core, store_epoch(w->st), 1, id + 1) &&
           !core_attempt_was(w->core, store_epoch(w->st) + 1, 1, id) &&
           !core_attempt_was(w->core, store_epoch(w->st), 2, id),
       "after a restart there is nothing left of it but rows");
    up(w, id, 7, 2);
    push(w, 0, "master", 2, 2);
    push(w, 0, "other", 0, 9);
    ok(count(w, CORE_OFFER) == 1,
       "neither the same tip again nor a branch that nobody wants builds");
}

static void failures_are_final(void)
{
    static const pw_result results[] = {PW_FAILURE, PW_WARNINGS, PW_SKIPPED, PW_CANCELLED};
    for (size_t i = 0; i < 4; i++) {
        PW_AUTO(world_freep) world *w = world_new(conf);
        if (!w)
            return;
        look(w, 0, "master", 1);
        up(w, worker(w, "w1", 1), 7, 1);
        (void)force(w, "unit");
        run(w, only_attempt(w), results[i]);
        ok(count(w, CORE_OFFER) == 1 && done(w, 2, results[i]), "%s is never tried again",
           pw_result_name(results[i]));
    }
}

static void retries(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    pw_result r = PW_NO_RESULT;
    if (!w)
        return;
    look(w, 0, "master", 1);
    uint64_t one = worker(w, "w1", 1), two = worker(w, "w2", 2);
    up(w, one, 7, 1);
    up(w, two, 8, 1);
    (void)force(w, "unit");
    run(w, only_attempt(w), PW_EXCEPTION);
    ok(count(w, CORE_OFFER) == 2 && build(w, 2).tries == 2 && build(w, 2).state == BUILD_DISPATCHED,
       "an exception is tried again");
    ok(w->eff[0].kind && last(w, CORE_OFFER)->worker != one && last(w, CORE_OFFER)->worker == two,
       "on another worker");
    ok(att_row(w, 1, &r) == ATT_FORGOTTEN && r == PW_RETRY, "the first attempt's result is retry");
    run(w, only_attempt(w), PW_EXCEPTION);
    ok(count(w, CORE_OFFER) == 3 && build(w, 2).tries == 3 && only_attempt(w) == 3,
       "and once more");
    world_restart(w, NULL);
    run(w, 3, PW_EXCEPTION);
    ok(count(w, CORE_OFFER) == 3 && done(w, 2, PW_EXCEPTION) &&
           att_row(w, 3, &r) == ATT_FORGOTTEN && r == PW_EXCEPTION,
       "two retries are all, also over a restart");
}

static void reject(world *w, uint64_t id)
{
    core_attempt *a = att(w, id);
    if (a)
        core_att_rejected(w->core, a, "busy", 0);
    (void)world_go(w);
}

static void rejections(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    look(w, 0, "master", 1);
    uint64_t one = worker(w, "w1", 1);
    up(w, one, 7, 1);
    (void)force(w, "unit");
    for (int i = 0; i < 5; i++) {
        reject(w, only_attempt(w));
        ok(count(w, CORE_OFFER) == (size_t)i + 1 && build(w, 2).state == BUILD_QUEUED,
           "rejected: no offer before a heartbeat");
        if (w->core)
            core_worker_beat(w->core, one, 0, NULL);
        (void)world_go(w);
        ok(count(w, CORE_OFFER) == (size_t)i + 1, "nor after one without free slots");
        if (w->core)
            core_worker_beat(w->core, one, 1, NULL);
        (void)world_go(w);
        ok(count(w, CORE_OFFER) == (size_t)i + 2 && build(w, 2).tries == 1,
           "a rejected offer uses no retry");
    }
    ok(att_row(w, 1, NULL) == ATT_FORGOTTEN && !att(w, 1), "a rejected attempt is over");
    world_restart(w, NULL);
    up(w, one, 7, 1);
    ok(build(w, 2).tries == 1, "nor over a restart");
    (void)ask(w, CMD_CANCEL_BUILD, (say){.id = 2});
    reject(w, only_attempt(w));
    ok(!att(w, only_attempt(w)) && done(w, 2, PW_CANCELLED),
       "a rejected attempt of a cancelled build is over, too");
}

static void three_offers(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    look(w, 0, "master", 1);
    uint64_t one = worker(w, "w1", 1);
    up(w, one, 7, 1);
    (void)force(w, "unit");
    for (unsigned i = 1; i <= 3; i++) {
        ok(count(w, CORE_OFFER) == i && att(w, 1) && att(w, 1)->offers == i, "offer %u", i);
        world_pass(w, 15);
        ok(count(w, CORE_DROP) == i - 1, "15 s are given");
        world_pass(w, 1);
        ok(count(w, CORE_DROP) == i && last(w, CORE_DROP)->worker == one &&
               strstr(last(w, CORE_DROP)->text, "attempt 1"),
           "then the session is ended");
        down(w, one);
        up(w, one, 7, 1);
        if (att(w, 1))
            core_att_reoffer(w->core, att(w, 1));
        (void)world_go(w);
    }
    ok(count(w, CORE_OFFER) == 3 && !att(w, 1) && build(w, 2).state == BUILD_QUEUED &&
           build(w, 2).tries == 1,
       "no fourth: closed, one retry is used");
    (void)ask(w, CMD_WHY, (say){.id = 1});
    ok(strstr(w->body, "quarantine") && strstr(w->body, "three offers"),
       "the worker is in quarantine, and why says so");
    world_pass(w, 290);
    ok(count(w, CORE_OFFER) == 3, "for five minutes");
    world_pass(w, 12);
    ok(count(w, CORE_OFFER) == 4 && only_attempt(w) == 2 && build(w, 2).tries == 2,
       "then it is asked again");
}

/* A master that dies may have sent none of them: that is no sign of a job that kills agents. */
static void offers_of_another_life(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    look(w, 0, "master", 1);
    uint64_t one = worker(w, "w1", 1);
    up(w, one, 7, 1);
    (void)force(w, "unit");
    for (unsigned i = 1; i <= 6; i++) {
        ok(att(w, 1) && att(w, 1)->offers == i && build(w, 2).tries == 1, "offer %u", i);
        world_restart(w, NULL);
        up(w, one, 7, 1);
        if (att(w, 1))
            core_att_reoffer(w->core, att(w, 1));
        (void)world_go(w);
    }
}

static void reoffer_same_bytes(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    look(w, 0, "master", 1);
    uint64_t one = worker(w, "w1", 1);
    up(w, one, 7, 1);
    (void)force(w, "unit");
    world_restart(w, "projects: [{name: p, repository: /other.git}]\nbuilders: [{name: unit, "
                     "project: p, steps: [{run: x}]}]\n");
    up(w, one, 7, 1);
    if (att(w, 1))
        core_att_reoffer(w->core, att(w, 1));
    (void)world_go(w);
    const seen *e = last(w, CORE_OFFER);
    ok(count(w, CORE_OFFER) == 2 && e->attempt == 1 && e->job && e->job_len > 0,
       "the offer is repeated after a restart");
    size_t first = 0;
    while (first < w->n && w->eff[first].kind != CORE_OFFER)
        first++;
    ok(first < w->n && e->job && w->eff[first].job && w->eff[first].job_len == e->job_len &&
           memcmp(w->eff[first].job, e->job, e->job_len) == 0,
       "with the very same bytes, whatever the configuration says now");
    run(w, 1, PW_EXCEPTION);
    job_spec spec;
    e = last(w, CORE_OFFER);
    bool read = e->job && pw_schema_decode(&job_spec_schema, e->job, e->job_len, &spec, NULL) == 0;
    ok(read && spec.attempt == 2 && spec.try_no == 2 && spec.steps.n == 2 &&
           strcmp(spec.repository, "/r.git") == 0,
       "a second attempt runs the frozen job, too");
    if (read)
        pw_schema_clear(&job_spec_schema, &spec);
}

static int count_property(void *p, const char *name, const char *value, const char *source)
{
    (void)value;
    if (strcmp(source, "step") != 0)
        return 0; /* what it was given */
    ++*(unsigned *)p;
    return strcmp(name, "cov") == 0 || name[0] == 'p' ? 0 : PW_ECORRUPT;
}

static int check_step(void *p, const store_step *s)
{
    static const char *const names[] = {"co", "make"};
    unsigned *good = p;
    bool named =
        s->idx < 2 && s->name && strcmp(s->name, names[s->idx]) == 0 && s->state == STEP_DONE;
    if (s->idx == 0 && named && s->kind == 1 && s->started == 10 && s->finished == 20 &&
        s->lines == 4)
        *good |= 1;
    else if (s->idx == 1 && named && s->kind == 0 && s->result == PW_FAILURE && s->exit_code == 3 &&
             s->reason)
        *good |= 2;
    else
        *good |= 4;
    return 0;
}

static void steps_and_properties(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    look(w, 0, "master", 1);
    up(w, worker(w, "w1", 1), 7, 1);
    (void)force(w, "unit");
    start(w, 1);
    core_attempt *a = att(w, 1);
    if (!a)
        return;
    rec_step_start s0 = {0, 10}, s9 = {9, 10}, s1 = {1, 30};
    char reason[] = "exit 3", name[] = "cov", value[] = "80";
    rec_step_end e0 = {.step = 0, .result = PW_SUCCESS, .ran = true, .wall_ms = 20, .lines = 4};
    rec_step_end e1 = {.step = 1,
                       .result = PW_FAILURE,
                       .ran = true,
                       .exit_code = 3,
                       .reason = reason,
                       .wall_ms = 40};
    rec_step_end e9 = {.step = UINT64_MAX, .result = 99, .ran = true, .wall_ms = UINT64_MAX};
    rec_property p = {1, name, value};
    core_att_step_started(w->core, a, &s0);
    core_att_step_started(w->core, a, &s9);
    core_att_step_ended(w->core, a, &e0);
    core_att_step_started(w->core, a, &s1);
    core_att_step_ended(w->core, a, &e1);
    core_att_step_ended(w->core, a, &e9);
    core_att_property(w->core, a, &p);
    core_att_property(w->core, a, &p);
    ok(world_go(w) == 0, "steps that the job does not have are passed over");
    static const char *const bad[] = {"branch", "revision", "worker",   "",    "9a",
                                      "A",      "a b",      "a\033[2J", "a-b", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        p.name = (char *)(uintptr_t)bad[i];
        core_att_property(w->core, a, &p);
    }
    char many[16];
    p.name = many;
    for (unsigned i = 0; i < CORE_ATT_PROPS + 5; i++) {
        (void)snprintf(many, sizeof(many), "p%u", i);
        core_att_property(w->core, a, &p);
    }
    (void)world_go(w);
    PW_AUTO(reader_closep) reader *rd = reader_open(w->path, NULL);
    unsigned set = 0;
    ok(rd && reader_properties(rd, 2, count_property, &set, NULL) == 0 &&
           set == CORE_ATT_PROPS - 1, /* `cov` was set twice */
       "a worker sets no property that is Pawl's, none with an odd name, and not too many: %u",
       set);
    unsigned good = 0;
    if (rd)
        (void)reader_steps(rd, 1, check_step, &good, NULL);
    ok(good == 3, "steps keep name and kind when they end");
    end(w, 1, PW_FAILURE);
    ok(done(w, 2, PW_FAILURE), "the build ends");
}

int main(void)
{
    if (crypt_init(NULL) < 0)
        return 1;
    from_change_to_result();
    failures_are_final();
    retries();
    rejections();
    three_offers();
    offers_of_another_life();
    reoffer_same_bytes();
    steps_and_properties();
    return tap_done();
}
