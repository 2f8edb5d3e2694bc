/* What builds get of those that they need, as their jobs are frozen. */
#include "master/core/fixture.h"
#include "tests/tap.h"

static const char conf[] =
    "projects: [{name: p, repository: /r.git, source: master}]\n"
    "builders:\n"
    "  - {name: fast, project: p, properties: {kind: lib}, steps: [{set_property: {version: x, "
    "other: y}}]}\n"
    "  - {name: many, project: p, matrix: {cc: [gcc, clang]}, steps: [{run: x}]}\n"
    "  - {name: slow, project: p, needs: [fast, many], env: {V: '${needs.fast.version} "
    "${needs.fast.kind} ${needs.fast.other:-none}', R: '${needs.many.result}', C: "
    "'${needs.many[cc=clang].cc}'}, steps: [{fetch: fast}, {checkout: {}}]}\n"
    "  - {name: plain, project: p, needs: [fast], steps: [{run: x}]}\n"
    "  - {name: last, project: p, needs: [fast, many], always_run: true, steps: [{fetch: "
    "'many[cc=${cc}]', if: \"needs.fast.result == 'failure'\"}]}\n"
    "schedulers: [{name: push, kind: branch, project: p}]\n";

static world *begin(void)
{
    world *w = world_new(conf);
    if (!w)
        return NULL;
    world_pass(w, 1);
    look(w, 0, "master", 1);
    up(w, worker(w, "w1", 1), 7, 16);
    push(w, 0, "master", 1, 2);
    return w;
}

/* The job of a build, decoded; to be cleared. */
static bool job_of(world *w, uint64_t build_id, job_spec *ret)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_JOB_MAX);
    *ret = (job_spec){0};
    return store_job_get(core_store(w->core), build_id, &b, NULL) == 0 &&
           pw_schema_decode(&job_spec_schema, b.p, b.len, ret, NULL) == 0;
}

static const char *prop(const job_spec *s, const char *name)
{
    const msg_pair *v = s->props.v;
    for (size_t i = 0; i < s->props.n; i++)
        if (strcmp(v[i].name, name) == 0)
            return v[i].value;
    return "";
}

static uint64_t need(const job_spec *s, const char *name)
{
    const job_need *v = s->needs.v;
    for (size_t i = 0; i < s->needs.n; i++)
        if (strcmp(v[i].name, name) == 0)
            return v[i].build;
    return 0;
}

static void set(world *w, uint64_t attempt, const char *name, const char *value)
{
    rec_property r = {.name = (char *)(uintptr_t)name, .value = (char *)(uintptr_t)value};
    core_att_property(w->core, att(w, attempt), &r);
}

static void finish(world *w, uint64_t req, pw_result result)
{
    run(w, build(w, request(w, req).build).attempt, result);
}

/* fast 1, many 2 and 3, slow 4, plain 5, last 6 */
static void test_taken(void)
{
    PW_AUTO(world_freep) world *w = begin();
    job_spec s;
    if (!w)
        return;
    uint64_t fast = request(w, 1).build;
    start(w, build(w, fast).attempt);
    set(w, build(w, fast).attempt, "version", "1.2");
    end(w, build(w, fast).attempt, PW_SUCCESS);
    finish(w, 2, PW_SUCCESS);
    finish(w, 3, PW_WARNINGS);
    ok(job_of(w, request(w, 4).build, &s) && s.needs.n == 3 && need(&s, "fast") == fast &&
           need(&s, "many[cc=gcc]") == request(w, 2).build &&
           need(&s, "many[cc=clang]") == request(w, 3).build,
       "the builds whose files it may fetch");
    ok(strcmp(prop(&s, "needs.fast.version"), "1.2") == 0 &&
           strcmp(prop(&s, "needs.fast.kind"), "lib") == 0,
       "what a step set, and what the builder has");
    ok(!*prop(&s, "needs.fast.other"), "what nobody set is not there");
    ok(strcmp(prop(&s, "needs.many.result"), "warnings") == 0, "the worst of all");
    ok(strcmp(prop(&s, "needs.many[cc=clang].cc"), "clang") == 0, "of its matrix");
    ok(s.source && strcmp(s.source, "master") == 0, "it takes its revision from the master");
    pw_schema_clear(&job_spec_schema, &s);
    ok(job_of(w, request(w, 5).build, &s) && s.needs.n == 0, "who takes nothing has nothing");
    pw_schema_clear(&job_spec_schema, &s);
}

static void test_red(void)
{
    PW_AUTO(world_freep) world *w = begin();
    job_spec s;
    if (!w)
        return;
    finish(w, 1, PW_FAILURE);
    finish(w, 2, PW_SUCCESS);
    finish(w, 3, PW_SUCCESS);
    ok(job_of(w, request(w, 6).build, &s) && s.needs.n == 3 &&
           need(&s, "fast") == request(w, 1).build &&
           strcmp(prop(&s, "needs.fast.result"), "failure") == 0,
       "a clean-up builder sees what failed");
    pw_schema_clear(&job_spec_schema, &s);
}

/* What is green already is not built anew, and is what it needs all the same. */
static void test_of_another_set(void)
{
    PW_AUTO(world_freep) world *w = begin();
    job_spec s;
    if (!w)
        return;
    uint64_t fast = request(w, 1).build;
    finish(w, 1, PW_SUCCESS);
    finish(w, 2, PW_SUCCESS);
    finish(w, 3, PW_SUCCESS);
    finish(w, 4, PW_FAILURE);
    uint64_t again = force(w, "slow");
    ok(again && request(w, again).build && job_of(w, request(w, again).build, &s) &&
           need(&s, "fast") == fast && need(&s, "many[cc=gcc]") == request(w, 2).build,
       "the green build of that revision");
    pw_schema_clear(&job_spec_schema, &s);
}

int main(void)
{
    test_taken();
    test_red();
    test_of_another_set();
    return tap_done();
}
