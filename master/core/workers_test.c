/* What a worker says of itself, and how long one rests whose builds end as exception. */
#include "master/core/fixture.h"
#include "master/core/parts.h"
#include "shared/job/job.h"
#include "tests/tap.h"

#define MINUTE_MS 60000LL
static const char conf[] =
    "projects: [{name: p, repository: /r.git}]\n"
    "builders:\n"
    "  - {name: unit, project: p, collapse: false, retries: 0, properties: {worker_mine: kept, "
    "worker_os: none}, steps: [{run: make}]}\n"
    "  - {name: again, project: p, collapse: false, retries: 5, steps: [{run: make}]}\n"
    "  - {name: deb, project: p, collapse: false, requires: {tags: [os=debian-12]}, steps: [{run: "
    "make}]}\n";

static core_worker *row(world *w, uint64_t id)
{
    return w->core ? core_worker_get(w->core, id) : NULL;
}

static bool rests(world *w, uint64_t id)
{
    const core_worker *x = row(w, id);
    return x && x->row.quarantine > w->wall;
}

/* Minutes left, rounded up. */
static int64_t left(world *w, uint64_t id)
{
    const core_worker *x = row(w, id);
    return x && x->row.quarantine > w->wall
               ? (x->row.quarantine - w->wall + MINUTE_MS - 1) / MINUTE_MS
               : 0;
}

/* Forces a build and ends the attempt that it gets. */
static void build_ends(world *w, const char *builder, uint64_t *attempt, pw_result result)
{
    (void)force(w, builder);
    (void)world_go(w);
    ++*attempt;
    run(w, *attempt, result);
}

static void sleep_ms(world *w, int64_t ms)
{
    w->now += ms * 1000;
    w->wall += ms;
    world_pass(w, 2);
}

static void exceptions(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    uint64_t a = 0;
    if (!w)
        return;
    look(w, 0, "master", 1);
    uint64_t id = worker(w, "w1", 1);
    up(w, id, 7, 1);
    for (int i = 0; i < 2; i++)
        build_ends(w, "unit", &a, PW_EXCEPTION);
    ok(!rests(w, id), "two exceptions in a row: it goes on");
    build_ends(w, "unit", &a, PW_FAILURE);
    for (int i = 0; i < 2; i++)
        build_ends(w, "unit", &a, PW_EXCEPTION);
    ok(!rests(w, id), "a failure is the code's, and begins the count anew");
    build_ends(w, "unit", &a, PW_EXCEPTION);
    ok(left(w, id) == 5, "the third in a row: five minutes");
    ok(row(w, id) && strstr(row(w, id)->row.reason, "3 builds in a row"), "with the reason");
    world_restart(w, NULL);
    up(w, id, 7, 1);
    uint64_t waits = force(w, "unit");
    ok(left(w, id) == 5 && request(w, waits).state == REQ_WAITING, "a new master knows it");
    sleep_ms(w, 5 * MINUTE_MS);
    ok(!rests(w, id) && row(w, id) && row(w, id)->row.quarantine == 0 && !row(w, id)->row.reason,
       "it ends by itself");
    run(w, ++a, PW_EXCEPTION);
    ok(left(w, id) == 10, "and after one exception more it is twice as long");
    sleep_ms(w, 10 * MINUTE_MS);
    build_ends(w, "unit", &a, PW_EXCEPTION);
    ok(left(w, id) == 20, "and again");
    for (int i = 0; i < 3; i++) {
        sleep_ms(w, 60 * MINUTE_MS);
        build_ends(w, "unit", &a, PW_EXCEPTION);
    }
    ok(left(w, id) == 60, "never longer than an hour");
    ok(ask(w, CMD_WORKER_RESUME, (say){.name = "w1"}) == 202 && !rests(w, id), "a person ends it");
    build_ends(w, "unit", &a, PW_EXCEPTION);
    ok(!rests(w, id), "and with it the count");
    build_ends(w, "unit", &a, PW_SUCCESS);
    ok(row(w, id) && row(w, id)->row.strikes == 0, "a good build ends it too");
}

static void one_build(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    look(w, 0, "master", 1);
    uint64_t id = worker(w, "w1", 1);
    up(w, id, 7, 1);
    (void)force(w, "again");
    (void)world_go(w);
    for (uint64_t a = 1; a <= 5; a++)
        run(w, a, PW_EXCEPTION);
    ok(!rests(w, id) && row(w, id) && row(w, id)->row.strikes == 1,
       "one build that ends so five times is one strike");
    ok(ask(w, CMD_WORKER_PAUSE, (say){.name = "w1", .reason = "lunch"}) == 202, "paused");
    if (row(w, id))
        core_worker_quarantine(w->core, row(w, id), "tired");
    (void)world_go(w);
    ok(row(w, id) && strcmp(row(w, id)->row.reason, "lunch") == 0 && row(w, id)->row.who,
       "a pause keeps who and why, whatever comes");
}

static void event(void *self, const core_effect *e)
{
    *(int *)self += e->kind == CORE_EVENT;
}

static void drained(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    look(w, 0, "master", 1);
    uint64_t id = worker(w, "w1", 1);
    up(w, id, 7, 1);
    (void)force(w, "unit");
    (void)world_go(w);
    start(w, 1);
    ok(ask(w, CMD_WORKER_DRAIN, (say){.name = "w1"}) == 202 && told(w, "busy") == 1,
       "a draining worker says how many jobs are left");
    uint64_t second = force(w, "unit");
    int events = 0;
    w->ops.effect = event;
    w->ops_self = &events;
    end(w, 1, PW_SUCCESS);
    w->ops.effect = NULL;
    ok(row(w, id) && row(w, id)->busy == 0 && events > 0, "the end of the last one is told");
    ok(request(w, second).state == REQ_WAITING, "and it takes no other");
    ok(ask(w, CMD_WORKER_DRAIN, (say){.name = "w1"}) == 202 && strstr(w->body, "\"busy\":0"),
       "an empty one is empty at once");
}

static void readings(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    char v[100];
    if (!w)
        return;
    uint64_t id = worker(w, "w1", 1);
    up(w, id, 7, 1);
    core_reading r = {.disk = 5000, .load_milli = 1250, .wall = w->wall - 86400000};
    if (w->core)
        core_worker_reading(w->core, id, &r);
    (void)world_go(w);
    const core_worker *x = row(w, id);
    ok(x && core_fact_get(x->row.facts, "disk", v, sizeof(v)) && strcmp(v, "5000") == 0, "disk");
    ok(x && core_fact_get(x->row.facts, "load", v, sizeof(v)) && strcmp(v, "1.25") == 0, "load");
    ok(x && core_fact_get(x->row.facts, "skew_ms", v, sizeof(v)) && strcmp(v, "-86400000") == 0,
       "its clock is a day behind");
    unsigned commits = w->commits;
    for (int i = 0; i < 5 && w->core; i++) {
        world_pass(w, 10);
        r.wall = w->wall - 86400000;
        commits = w->commits;
        core_worker_reading(w->core, id, &r);
        (void)world_go(w);
        ok(w->commits == commits, "the same again writes nothing");
    }
    r.disk = 100;
    if (w->core)
        core_worker_reading(w->core, id, &r);
    (void)world_go(w);
    world_restart(w, NULL);
    x = row(w, id);
    ok(x && core_fact_get(x->row.facts, "disk", v, sizeof(v)) && strcmp(v, "100") == 0,
       "what moved is a row");
}

static void lines(void)
{
    char *f = NULL, v[4];
    ok(core_fact_set(&f, "a", "1", NULL) == 0 && core_fact_set(&f, "bb", "2", NULL) == 0 &&
           core_fact_set(&f, "a", "33", NULL) == 0 && core_fact_set(&f, "a", "33", NULL) == 0 &&
           strcmp(f, "a=33\nbb=2") == 0,
       "lines are set in place");
    ok(core_fact_set(&f, "bb", "x=y", NULL) == 0 && core_fact_get(f, "bb", v, sizeof(v)) &&
           strcmp(v, "x=y") == 0 && !core_fact_get(f, "b", v, sizeof(v)) &&
           !core_fact_get(NULL, "b", v, sizeof(v)),
       "and found by their whole name");
    ok(core_fact_set(&f, "a", "long value", NULL) == 0 && core_fact_get(f, "a", v, sizeof(v)) &&
           strcmp(v, "lon") == 0,
       "a value is cut");
    free(f);
}

static const char *prop(const job_spec *s, const char *name)
{
    const msg_pair *p = s->props.v;
    for (size_t i = 0; i < s->props.n; i++)
        if (strcmp(p[i].name, name) == 0)
            return p[i].value;
    return "";
}

static void hello(world *w, uint64_t id, const char *facts)
{
    core_hello h = {.slots = 1, .tags = "", .facts = facts, .version = "1"};
    bool again;
    fill(h.spool, 16, (uint8_t)id);
    fill(h.boot, 16, 1);
    if (w->core)
        core_worker_up(w->core, id, &h, &again);
    (void)world_go(w);
}

static bool job(world *w, job_spec *ret)
{
    const seen *o = last(w, CORE_OFFER);
    return o && pw_schema_decode(&job_spec_schema, o->job, o->job_len, ret, NULL) == 0;
}

static void properties(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    job_spec s = {0};
    if (!w)
        return;
    look(w, 0, "master", 1);
    uint64_t one = worker(w, "w1", 1), two = worker(w, "w2", 2);
    hello(w, one, "os=debian-12\ncpus=2\ntools.gcc=12.2.0\ndisk=77\nOdd Name=x\nnothing");
    uint64_t req = force(w, "again");
    (void)world_go(w);
    if (job(w, &s)) {
        ok(strcmp(prop(&s, "worker_os"), "debian-12") == 0 &&
               strcmp(prop(&s, "worker_cpus"), "2") == 0 &&
               strcmp(prop(&s, "worker_tools_gcc"), "12.2.0") == 0 &&
               strcmp(prop(&s, "worker_odd_name"), "x") == 0,
           "facts are properties of the build");
        ok(prop(&s, "worker_disk")[0] == '\0', "but for what moves");
        pw_schema_clear(&job_spec_schema, &s);
    }
    hello(w, two, "os=alpine-3\ncpus=8");
    down(w, one);
    run(w, 1, PW_EXCEPTION);
    if (job(w, &s)) {
        ok(s.attempt == 2 && strcmp(prop(&s, "worker_os"), "alpine-3") == 0 &&
               strcmp(prop(&s, "worker_cpus"), "8") == 0 &&
               prop(&s, "worker_tools_gcc")[0] == '\0' && strcmp(s.worker, "w2") == 0,
           "a later attempt has those of its own worker");
        pw_schema_clear(&job_spec_schema, &s);
    }
    run(w, 2, PW_SUCCESS);
    ok(request(w, req).state == REQ_DONE, "done");
    (void)force(w, "unit");
    (void)world_go(w);
    if (job(w, &s)) {
        ok(strcmp(prop(&s, "worker_mine"), "kept") == 0 &&
               strcmp(prop(&s, "worker_os"), "alpine-3") == 0,
           "a builder's property is overridden by the worker's, and stays else");
        pw_schema_clear(&job_spec_schema, &s);
    }
    run(w, 3, PW_SUCCESS);
    uint64_t deb = force(w, "deb");
    (void)world_go(w);
    ok(request(w, deb).state == REQ_WAITING, "a fact is a tag: this worker has another");
    hello(w, one, "os=debian-12");
    run(w, 4, PW_SUCCESS);
    ok(request(w, deb).state == REQ_DONE, "that one has it");
}

int main(void)
{
    if (crypt_init(NULL) < 0)
        return 1;
    exceptions();
    one_build();
    drained();
    readings();
    lines();
    properties();
    return tap_done();
}
