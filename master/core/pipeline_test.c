/* Pipeline files, seen from the core: what waits while one is read, includes, mistakes, kills. */
#include "master/core/fixture.h"

#include "tests/tap.h"

static const char conf[] = "projects: [{name: p, repository: /r.git, pipeline: .pawl.yaml}]\n";
#define S "steps: [{run: x}]"

static world *begin(void)
{
    world *w = world_new(conf);
    if (!w)
        return NULL;
    world_pass(w, 1);
    look(w, 0, "master", 1);
    uint64_t id = worker(w, "w1", 1);
    up(w, id, 7, 8);
    push(w, 0, "master", 1, 2);
    return w;
}

/* Answers the newest question, which must be for that path. */
static bool file(world *w, const char *path, const char *text)
{
    const seen *e = last(w, CORE_PIPELINE);
    if (e->kind != CORE_PIPELINE || strcmp(e->text, path) != 0)
        return false;
    uint64_t id = e->id;
    world_forget(w);
    core_pipeline_read(w->core, id, path, text, text ? strlen(text) : 0);
    return world_go(w) == 0;
}

static bool why(world *w, uint64_t request_id, const char *text)
{
    (void)ask(w, CMD_WHY, (say){.id = request_id});
    return strstr(w->body, text);
}

static void test_read(bool kill)
{
    PW_AUTO(world_freep) world *w = begin();
    if (!w)
        return;
    ok(count(w, CORE_PIPELINE) == 1 && request(w, 1).state == REQ_WAITING &&
           why(w, 1, "its pipeline file is being read"),
       "the set waits");
    core_pipeline_failed(w->core, last(w, CORE_PIPELINE)->id, "no disk");
    ok(why(w, 1, "no disk"), "why says what is the matter");
    if (kill) {
        world_forget(w);
        world_restart(w, NULL);
        up(w, 1, 7, 8);
        world_pass(w, 1);
    } else {
        world_forget(w);
        world_pass(w, 6);
    }
    ok(count(w, CORE_PIPELINE) == 1, "it is asked again");
    ok(file(w, ".pawl.yaml", "include: [b.yaml]\nbuilders: {a: {" S "}}\n"), "here it is");
    ok(request(w, 1).state == REQ_WAITING, "what it includes is asked for");
    if (kill) {
        world_forget(w);
        world_restart(w, NULL);
        up(w, 1, 7, 8);
        world_pass(w, 1);
    }
    ok(file(w, "b.yaml", "builders: {b: {needs: [a], " S "}, c: {shards: 2, " S "}}\n"),
       "and read");
    ok(request(w, 1).state == REQ_DONE && request(w, 1).rode_with == 2,
       "its builders take its place");
    ok(request(w, 2).build && !request(w, 3).build && request(w, 4).build && request(w, 5).build &&
           request(w, 6).state < 0,
       "as the file says");
    if (kill) {
        world_restart(w, NULL);
        up(w, 1, 7, 8);
    }
    run(w, build(w, request(w, 2).build).attempt, PW_SUCCESS);
    ok(request(w, 3).build, "and goes on, without the repository");
    world_forget(w);
    uint64_t r = 0;
    ok(ask(w, CMD_FORCE, (say){.builder = "c", .branch = "master", .reason = "x"}) == 202 &&
           (r = told(w, "requests")) && request(w, r + 1).build && count(w, CORE_PIPELINE) == 0,
       "a file that was read is not read again");
}

static void test_wrong(void)
{
    PW_AUTO(world_freep) world *w = begin();
    if (!w)
        return;
    ok(file(w, ".pawl.yaml", "builders: {a: {}}"), "a wrong one");
    build_now b = build(w, request(w, 1).build);
    ok(b.result == PW_FAILURE && strstr(b.reason, ".pawl.yaml:1:15: ") && request(w, 2).state < 0,
       "is a red build: %s", b.reason);
    push(w, 0, "master", 2, 3);
    ok(file(w, ".pawl.yaml", "builders: {a: {" S "}}"), "the next is good");
    uint64_t r = 3;
    ok(done(w, request(w, r).build, PW_SUCCESS), "and that is told");
    push(w, 0, "master", 3, 4);
    ok(file(w, ".pawl.yaml", "builders: {a: {" S "}}") && last(w, CORE_OFFER)->attempt,
       "after that it is not news");
    push(w, 0, "master", 4, 5);
    ok(file(w, ".pawl.yaml", NULL), "no file");
    ok(count(w, CORE_OFFER) == 0, "builds nothing");
}

static void test_gone(void)
{
    PW_AUTO(world_freep) world *w = begin();
    if (!w)
        return;
    world_restart(w, "projects: [{name: p, repository: /r.git}]\n"
                     "builders: [{name: a, project: p, steps: [{run: x}]}]\n");
    build_now b = build(w, request(w, 1).build);
    ok(b.result == PW_CANCELLED && strstr(b.reason, "no pipeline file any more"),
       "what waits for a file that nobody names ends");
}

int main(void)
{
    test_read(false);
    test_read(true);
    test_wrong();
    test_gone();
    return tap_done();
}
