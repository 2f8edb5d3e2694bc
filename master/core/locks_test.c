/* Locks over the whole core: who gets them, when they are given back, and that all of it is the
 * same after a restart. */
#include "master/core/fixture.h"
#include "master/store/reader.h"

#include "tests/tap.h"

static const char conf[] =
    "workers: {lost_after: 60s}\n"
    "locks: [{name: db}, {name: two, count: 2}, {name: rack, per: worker}]\n"
    "projects: [{name: p, repository: /r}]\n"
    "builders:\n"
    "  - {name: x, project: p, collapse: false, locks: [{name: db}], steps: [{run: a}]}\n"
    "  - {name: y, project: p, collapse: false, steps: [{run: a, locks: [db]}, {run: b}]}\n"
    "  - {name: c, project: p, collapse: false, locks: [{name: two, mode: counting}], steps: "
    "[{run: a}]}\n"
    "  - {name: e, project: p, collapse: false, locks: [{name: two}], steps: [{run: a}]}\n"
    "  - {name: r, project: p, collapse: false, locks: [{name: rack}], steps: [{run: a}]}\n"
    "  - {name: f, project: p, collapse: false, steps: [{run: a}]}\n"
    "  - {name: n, project: p, collapse: false, requires: {tags: [none]}, locks: [{name: two}], "
    "steps: [{run: a}]}\n"
    "schedulers: [{name: h, kind: force, project: p}]\n";

static bool runs(world *w, uint64_t id)
{
    request_now r = request(w, id);
    return r.state == REQ_CLAIMED && build(w, r.build).state != BUILD_QUEUED;
}

static bool waits(world *w, uint64_t id, const char *why)
{
    if (request(w, id).state != REQ_WAITING && runs(w, id))
        return false;
    (void)ask(w, CMD_WHY, (say){.id = id});
    if (!strstr(w->body, why))
        printf("# %s\n", w->body);
    return strstr(w->body, why);
}

/* The live attempt of a request. */
static uint64_t att_of(world *w, uint64_t id)
{
    return build(w, request(w, id).build).attempt;
}

static void step_over(world *w, uint64_t attempt, uint64_t step)
{
    core_attempt *a = att(w, attempt);
    rec_step_end r = {.step = step, .ran = true, .wall_ms = 9};
    if (a)
        core_att_step_ended(w->core, a, &r);
    (void)world_go(w);
}

static world *with_worker(uint64_t slots, uint64_t *ret_id)
{
    world *w = world_new(conf);
    if (!w)
        return NULL;
    look(w, 0, "master", 1);
    *ret_id = worker(w, "w1", 1);
    up(w, *ret_id, 7, slots);
    return w;
}

static void test_exclusive(void)
{
    uint64_t id;
    PW_AUTO(world_freep) world *w = with_worker(4, &id);
    if (!w)
        return;
    uint64_t a = force(w, "x"), b = force(w, "x"), c = force(w, "y"), d = force(w, "f");
    ok(runs(w, a) && !runs(w, b) && !runs(w, c) && runs(w, d), "one holds it; others go on");
    ok(waits(w, b, "lock \\\"db\\\" is held by build"), "why");
    ok(waits(w, b, "\"cause\":\"lock\""), "why, for programs");
    world_restart(w, NULL);
    up(w, id, 7, 4);
    ok(runs(w, a) && !runs(w, b) && waits(w, c, "lock \\\"db\\\" is held by build"),
       "after a restart");
    run(w, att_of(w, a), PW_SUCCESS);
    ok(runs(w, b) && !runs(w, c), "the next in order");
    run(w, att_of(w, b), PW_FAILURE);
    ok(runs(w, c), "and the last");
    uint64_t e = force(w, "x");
    start(w, att_of(w, c));
    ok(!runs(w, e), "held by a step");
    step_over(w, att_of(w, c), 0);
    ok(runs(w, e), "given back when the last step that uses it is over");
    world_restart(w, NULL);
    up(w, id, 7, 4);
    uint64_t f = force(w, "x");
    ok(waits(w, f, "held by build") && !strstr(w->body, ", build"),
       "what was given back stays so after a restart");
}

static void test_cancel(void)
{
    uint64_t id;
    PW_AUTO(world_freep) world *w = with_worker(4, &id);
    if (!w)
        return;
    uint64_t a = force(w, "x"), b = force(w, "x"), c = force(w, "x");
    uint64_t first = att_of(w, a);
    start(w, first);
    ok(ask(w, CMD_CANCEL_REQUEST, (say){.id = b}) == 202 && !runs(w, c), "one that waits is gone");
    (void)ask(w, CMD_CANCEL_BUILD, (say){.id = request(w, a).build});
    ok(done(w, request(w, a).build, PW_CANCELLED) && !runs(w, c),
       "a cancelled build holds it until its processes are gone");
    ok(waits(w, c, "which is over, but not known to have ended"), "why");
    world_restart(w, NULL);
    ok(waits(w, c, "no fitting worker is connected"), "a worker first");
    up(w, id, 7, 4);
    ok(waits(w, c, "lock \\\"db\\\" is held by build"), "and after a restart too");
    end(w, first, PW_CANCELLED);
    ok(runs(w, c), "its end came");
    first = att_of(w, c);
    start(w, first);
    uint64_t d = force(w, "x");
    (void)ask(w, CMD_CANCEL_BUILD, (say){.id = request(w, c).build});
    uint64_t other = worker(w, "w2", 2);
    up(w, other, 8, 1);
    down(w, id);
    world_pass(w, 60);
    ok(!runs(w, d), "a cancelled one that nobody hears of may go on for lost_after");
    world_pass(w, 11);
    ok(runs(w, d), "then its runner has ended it");
}

static void test_lost(void)
{
    uint64_t id;
    PW_AUTO(world_freep) world *w = with_worker(4, &id);
    if (!w)
        return;
    uint64_t a = force(w, "x"), b = force(w, "x"), g = force(w, "f");
    start(w, att_of(w, g));
    uint64_t first = att_of(w, a), free_one = att_of(w, g);
    uint64_t other = worker(w, "w2", 2);
    up(w, other, 8, 4);
    down(w, id);
    world_pass(w, 45);
    ok(att_of(w, a) == first, "an offer that nobody took does not move while it may hold a lock");
    world_pass(w, 16);
    ok(att_of(w, g) != free_one && att_of(w, a) == first, "without locks after lost_after");
    world_pass(w, 10);
    ok(att_of(w, a) != first && runs(w, a) && !runs(w, b),
       "then it is offered elsewhere, and holds the lock itself");
    run(w, att_of(w, a), PW_SUCCESS);
    ok(runs(w, b), "given back");
}

static void test_counting(void)
{
    uint64_t id;
    PW_AUTO(world_freep) world *w = with_worker(8, &id);
    if (!w)
        return;
    uint64_t a = force(w, "c"), b = force(w, "c"), c = force(w, "c"), n = force(w, "n");
    ok(runs(w, a) && runs(w, b) && !runs(w, c), "two at a time");
    ok(waits(w, c, "is held by build") && strchr(w->body, ','), "by two builds");
    ok(waits(w, n, "no worker has the tags \\\"none\\\""), "what no worker can take");
    uint64_t e = force(w, "e"), d = force(w, "c");
    run(w, att_of(w, a), PW_SUCCESS);
    ok(runs(w, c) && !runs(w, e) && !runs(w, d), "in order");
    run(w, att_of(w, b), PW_SUCCESS);
    ok(!runs(w, d) && !runs(w, e), "an exclusive one is not overtaken");
    (void)ask(w, CMD_WHY, (say){.id = d});
    char want[80];
    (void)snprintf(want, sizeof(want), "goes to request %llu first", (unsigned long long)e);
    ok(strstr(w->body, want), "why: %s", w->body);
    run(w, att_of(w, c), PW_SUCCESS);
    ok(runs(w, e) && !runs(w, d), "alone");
    run(w, att_of(w, e), PW_SUCCESS);
    ok(runs(w, d), "the last");
    ok(request(w, n).state == REQ_WAITING, "who can never begin held up nobody");
}

static void test_priority(void)
{
    uint64_t id;
    PW_AUTO(world_freep) world *w = with_worker(8, &id);
    if (!w)
        return;
    uint64_t a = force(w, "x"), b = force(w, "x");
    w->wall += 1000;
    uint64_t c = force(w, "y");
    ok(runs(w, a) && !runs(w, b) && !runs(w, c), "two wait");
    run(w, att_of(w, a), PW_SUCCESS);
    ok(runs(w, b) && !runs(w, c), "the older one first");
}

static void test_per_worker(void)
{
    uint64_t id;
    PW_AUTO(world_freep) world *w = with_worker(4, &id);
    if (!w)
        return;
    uint64_t other = worker(w, "w2", 2);
    up(w, other, 8, 4);
    uint64_t a = force(w, "r"), b = force(w, "r"), c = force(w, "r");
    ok(runs(w, a) && runs(w, b) && !runs(w, c), "one on each worker");
    ok(build(w, request(w, a).build).worker != build(w, request(w, b).build).worker, "on two");
    ok(waits(w, c, "lock \\\"rack\\\" of worker"), "why");
    run(w, att_of(w, b), PW_SUCCESS);
    ok(runs(w, c), "the worker that is free of it");
    ok(build(w, request(w, c).build).worker == build(w, request(w, b).build).worker, "that one");
}

static void test_job(void)
{
    uint64_t id;
    PW_AUTO(world_freep) world *w = with_worker(4, &id);
    job_spec spec = {0};
    if (!w)
        return;
    (void)force(w, "y");
    const seen *s = last(w, CORE_OFFER);
    ok(s->job && pw_schema_decode(&job_spec_schema, s->job, s->job_len, &spec, NULL) == 0 &&
           spec.locks.n == 1 && spec.lost_after_ms == 60000 && strcmp(spec.event, "force") == 0,
       "its job says it");
    const job_lock *l = spec.locks.v;
    ok(l && strcmp(l->name, "db") == 0 && l->exclusive && l->until == 1, "until which step");
    pw_schema_clear(&job_spec_schema, &spec);
}

/* What a build is given, and by whom. */
static int sourced(void *self, const char *name, const char *value, const char *source)
{
    size_t n = strlen(self);
    (void)snprintf((char *)self + n, 400 - n, "%s=%s(%s) ", name, value, source);
    return 0;
}

static void test_properties(void)
{
    static const char other[] =
        "projects: [{name: p, repository: /r, properties: {a: project, b: project, c: project}}]\n"
        "builders:\n"
        "  - {name: x, project: p, properties: {b: builder, c: builder}, steps: [{run: a}]}\n"
        "schedulers: [{name: s, kind: branch, project: p, properties: {c: scheduler}}]\n";
    PW_AUTO(world_freep) world *w = world_new(other);
    char got[400] = "";
    job_spec spec = {0};
    if (!w)
        return;
    look(w, 0, "master", 1);
    uint64_t id = worker(w, "w1", 1);
    up(w, id, 7, 1);
    push(w, 0, "master", 1, 2);
    const seen *s = last(w, CORE_OFFER);
    const msg_pair *v = NULL;
    if (s->job && pw_schema_decode(&job_spec_schema, s->job, s->job_len, &spec, NULL) == 0)
        v = spec.props.v;
    ok(v && spec.props.n >= 3 && strcmp(v[0].value, "project") == 0 &&
           strcmp(v[1].value, "builder") == 0 && strcmp(v[2].value, "scheduler") == 0,
       "the later source goes before the earlier one");
    ok(spec.event && strcmp(spec.event, "change") == 0, "what made it");
    reader *rd = reader_open(w->path, NULL);
    ok(!rd || reader_properties(rd, spec.build, sourced, got, NULL) < 0 ||
           (strstr(got, "a=project(project)") && strstr(got, "b=builder(builder)") &&
            strstr(got, "c=scheduler(scheduler)")),
       "rows: %s", got);
    reader_close(rd);
    pw_schema_clear(&job_spec_schema, &spec);
}

/* A reload: a lock that is not declared any more is no lock; one that is new is taken from then on.
 */
static void test_config(void)
{
    uint64_t id;
    PW_AUTO(world_freep) world *w = with_worker(4, &id);
    if (!w)
        return;
    uint64_t a = force(w, "x"), b = force(w, "x");
    ok(runs(w, a) && !runs(w, b), "held");
    world_restart(w, "projects: [{name: p, repository: /r}]\n"
                     "builders: [{name: x, project: p, collapse: false, steps: [{run: a}]}]\n");
    up(w, id, 7, 4);
    ok(runs(w, b), "not declared any more");
    world_restart(w, conf);
    up(w, id, 7, 4);
    uint64_t c = force(w, "x");
    ok(waits(w, c, "held by build"), "declared again: the job of the first had it");
    run(w, att_of(w, a), PW_SUCCESS);
    ok(runs(w, c), "the second began without it");
}

int main(void)
{
    test_exclusive();
    test_cancel();
    test_lost();
    test_counting();
    test_priority();
    test_per_worker();
    test_job();
    test_config();
    test_properties();
    return tap_done();
}
