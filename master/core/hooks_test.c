/* Deliveries of webhooks: one row each, a look at once, and none forgotten by a crash. Sessions. */
#include "master/core/fixture.h"

#include "master/store/reader.h"
#include "tests/tap.h"

#define P                                                                                          \
    "projects: [{name: p, repository: /r.git, poll: 1h}, {name: q, repository: /q.git, poll: "     \
    "1h}]\n"

static int hook(world *w, const char *project, const char *delivery, const char *body)
{
    bool failed = false;
    core_cmd *c = core_cmd_new(CMD_HOOK, NULL);
    if (!c || !w->core) {
        core_cmd_free(c);
        return 0;
    }
    w->status = 0;
    c->project = pw_strdup(project, &failed);
    c->name = pw_strdup("github", &failed);
    c->delivery = pw_strdup(delivery, &failed);
    failed |= pw_buf_adds(&c->data, body) < 0;
    c->done = world_answer;
    c->done_self = w;
    if (failed) {
        core_cmd_free(c);
        return 0;
    }
    core_command(w->core, c);
    (void)world_go(w);
    return w->status;
}

static int on_new(void *self, uint64_t id, uint64_t project)
{
    (void)id, (void)project;
    ++*(unsigned *)self;
    return 0;
}

static unsigned fresh(const world *w)
{
    unsigned n = 0;
    if (w->st)
        (void)store_hooks_new(w->st, on_new, &n, NULL);
    return n;
}

static void looked(world *w, size_t project)
{
    if (w->core)
        core_polled(w->core, project, "master", NULL, 0);
    (void)world_go(w);
}

static void wakes(void)
{
    PW_AUTO(world_freep) world *w = world_new(P);
    if (!w)
        return;
    world_pass(w, 1);
    look(w, 0, "master", 1);
    look(w, 1, "master", 1);
    world_forget(w);
    world_pass(w, 600);
    ok(count(w, CORE_POLL) == 0, "nobody looks for ten minutes");
    ok(hook(w, "p", "d-1", "{}") == 202 && strcmp(w->body, "{\"hook\":1}") == 0, "a delivery: %s",
       w->body);
    world_pass(w, 1);
    ok(count(w, CORE_POLL) == 1 && last(w, CORE_POLL)->index == 0, "its project is looked at");
    ok(fresh(w) == 1, "it is new until the look has ended");
    ok(hook(w, "p", "d-2", "{}") == 202, "another one, while the look is under way");
    looked(w, 0);
    ok(fresh(w) == 1, "the look began before it");
    world_pass(w, 1);
    ok(count(w, CORE_POLL) == 2, "so there is another look");
    if (w->core)
        core_poll_failed(w->core, 0, "no route");
    (void)world_go(w);
    ok(fresh(w) == 1, "one that failed does not count");
    world_pass(w, 3);
    ok(count(w, CORE_POLL) == 3, "it is tried again");
    looked(w, 0);
    ok(fresh(w) == 0, "all are acted on");
    ok(hook(w, "p", "d-1", "{}") == 202 && strcmp(w->body, "{\"hook\":1}") == 0 && fresh(w) == 0,
       "the same delivery: the same answer, no row");
    world_pass(w, 1);
    ok(count(w, CORE_POLL) == 4, "but somebody wants a look");
    looked(w, 0);
    ok(hook(w, "q", "d-1", "{}") == 202 && fresh(w) == 1, "of another project it is another one");
    ok(hook(w, "r", "d-1", "{}") == 404, "no such project");
}

static void survives(void)
{
    PW_AUTO(world_freep) world *w = world_new(P);
    if (!w)
        return;
    world_pass(w, 1);
    look(w, 0, "master", 1);
    look(w, 1, "master", 1);
    ok(hook(w, "p", "d-1", "{}") == 202, "a delivery");
    world_restart(w, NULL); /* before the look */
    ok(fresh(w) == 1, "is there after a crash");
    world_forget(w);
    world_pass(w, 1);
    ok(count(w, CORE_POLL) == 2, "everything is looked at");
    looked(w, 1);
    ok(fresh(w) == 1, "the other project's look does not count");
    looked(w, 0);
    ok(fresh(w) == 0, "its own does");
}

static void expires(void)
{
    PW_AUTO(world_freep) world *w = world_new(P);
    if (!w)
        return;
    ok(hook(w, "p", "d-1", "{}") == 202, "a delivery");
    w->wall += INT64_C(7) * 24 * 3600 * 1000 - 130000;
    world_pass(w, 61);
    ok(hook(w, "p", "d-1", "{}") == 202 && strcmp(w->body, "{\"hook\":1}") == 0,
       "is kept for seven days");
    world_pass(w, 180);
    ok(hook(w, "p", "d-2", "{}") == 202 && fresh(w) == 1, "and no longer");
}

/* However much a sender sends, what is stored is bounded. */
static void flood(void)
{
    PW_AUTO(world_freep) world *w = world_new(P);
    unsigned done = 0, refused = 0;
    char id[32];
    if (!w)
        return;
    world_pass(w, 1);
    for (unsigned i = 0; i < 1010; i++) {
        (void)snprintf(id, sizeof(id), "d-%u", i);
        int status = hook(w, "p", id, "{}");
        done += status == 202;
        refused += status == 429;
    }
    ok(done == 1000 && refused == 10 && fresh(w) == 1000, "1000 until the repository is looked at");
    ok(hook(w, "q", "d-1", "{}") == 202, "of one project");
    world_pass(w, 1);
    looked(w, 0);
    if (fresh(w) != 1) { /* the first look began before them */
        world_pass(w, 1);
        looked(w, 0);
    }
    ok(fresh(w) == 1 && hook(w, "p", "d-1009", "{}") == 202, "then there is room again");
}

/* Whether the delivery was not there. */
static bool adds(world *w, unsigned i)
{
    char delivery[32];
    uint64_t id;
    (void)snprintf(delivery, sizeof(delivery), "d-%u", i);
    store_hook row = {.project = 1,
                      .kind = "github",
                      .delivery = delivery,
                      .at = w->wall,
                      .body = "{}",
                      .body_len = 2};
    return store_hook_add(w->st, &row, &id, NULL) == 1;
}

/* Of those that were acted on the newest stay. */
static void trimmed(void)
{
    enum { MORE = 50 };
    PW_AUTO(world_freep) world *w = world_new(P);
    bool all = w && store_begin(w->st, NULL) == 0;
    for (unsigned i = 0; all && i < STORE_HOOKS_KEPT + MORE; i++)
        all = adds(w, i);
    ok(all && store_hooks_done(w->st, 1, STORE_HOOKS_KEPT + MORE, NULL) == 0, "many are acted on");
    ok(all && !adds(w, MORE) && !adds(w, STORE_HOOKS_KEPT + MORE - 1), "the newest are known");
    ok(all && adds(w, MORE - 1) && adds(w, 0), "older ones not any more");
    if (all)
        (void)store_commit(w->st, NULL);
}

static void sessions(void)
{
    PW_AUTO(world_freep) world *w = world_new(P);
    core_cmd *c = core_cmd_new(CMD_LOGIN, NULL);
    uint8_t token[32];
    pw_msec ends = 0;
    pw_err err = {0};
    if (!w || !c || !w->core) {
        core_cmd_free(c);
        return;
    }
    memset(c->hash, 1, 32);
    memset(c->token, 2, 32);
    c->expires = w->wall + 100000;
    c->done = world_answer;
    c->done_self = w;
    core_command(w->core, c);
    (void)world_go(w);
    uint8_t hash[32];
    memset(hash, 1, 32);
    reader *r = reader_open(w->path, NULL);
    ok(w->status == 202 && r && reader_session(r, hash, token, &ends, &err) == 0 && token[5] == 2 &&
           ends == w->wall + 100000,
       "a session is opened");
    world_pass(w, 200);
    ok(r && reader_session(r, hash, token, &ends, &err) == PW_ENOTFOUND,
       "and gone when it is over");
    reader_close(r);
}

int main(void)
{
    if (crypt_init(NULL) < 0)
        return 1;
    wakes();
    survives();
    expires();
    flood();
    trimmed();
    sessions();
    return tap_done();
}
