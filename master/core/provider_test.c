/* Elastic workers against a made-up cloud: what is asked for, what comes of lost answers, failures
 * and deaths, and a long walk of all of it. */
#include "master/core/provider.h"

#include "master/core/fixture.h"
#include "tests/tap.h"

#define PROJECT                                                                                    \
    "projects: [{name: p, repository: /r.git}]\n"                                                  \
    "builders:\n"                                                                                  \
    "  - {name: unit, project: p, collapse: false, requires: {tags: [el]}, steps: [{run: "         \
    "make}]}\n"                                                                                    \
    "  - {name: other, project: p, collapse: false, requires: {tags: [gpu]}, steps: [{run: "       \
    "make}]}\n"
#define EL "{name: el, start: s, stop: t, list: l, tags: [el], idle: 30s, join_within: 2m"
static const char conf[] = PROJECT "provider: [" EL ", max: 3}]\n";

enum { CLOUD_MAX = 64 };
/* What really is there. */
typedef struct cloud {
    struct {
        char name[40], handle[20];
        bool here;
    } m[CLOUD_MAX];
    size_t n, asked; /* asked: effects of w that were acted on */
} cloud;

static size_t there(const cloud *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        n += c->m[i].here;
    return n;
}

static void reply(world *w, const seen *e, bool good, const char *said)
{
    core_provided a = {.provider = "el",
                       .act = (core_provider_act)e->attempt,
                       .machine = e->id,
                       .worker = e->text,
                       .good = good,
                       .said = said,
                       .text = said};
    if (w->core)
        core_provider_done(w->core, &a);
    (void)world_go(w);
}

/* Does what an effect asks for; answers when `tell`. */
static void act(world *w, cloud *c, const seen *e, bool tell)
{
    char said[4000] = "";
    size_t len = 0;
    if (e->attempt == CORE_START) {
        if (c->n == CLOUD_MAX)
            abort();
        (void)snprintf(c->m[c->n].name, 40, "%s", e->text);
        (void)snprintf(c->m[c->n].handle, 20, "h%zu", c->n + 1);
        c->m[c->n].here = true;
        (void)snprintf(said, sizeof(said), "%s\n", c->m[c->n++].handle);
    } else if (e->attempt == CORE_STOP) {
        for (size_t i = 0; i < c->n; i++)
            if (e->job && strlen(c->m[i].handle) == e->job_len &&
                memcmp(c->m[i].handle, e->job, e->job_len) == 0)
                c->m[i].here = false;
    } else {
        for (size_t i = 0; i < c->n; i++)
            if (c->m[i].here)
                len += (size_t)snprintf(said + len, sizeof(said) - len, "%s %s\n", c->m[i].handle,
                                        c->m[i].name);
    }
    if (tell)
        reply(w, e, true, said);
}

/* All that is asked for, until nothing is. Effects are copied: an answer brings others. */
static void serve(world *w, cloud *c)
{
    for (size_t i = 0; i < w->n; i++) {
        seen e = w->eff[i];
        if (e.kind != CORE_PROVIDER)
            continue;
        w->eff[i].kind = 0;
        act(w, c, &e, true);
    }
}

static void live(world *w, cloud *c, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        world_pass(w, 1);
        serve(w, c);
        world_forget(w);
    }
}

static core_worker *named(world *w, const char *name)
{
    return w->core ? core_worker_by_name(w->core, name) : NULL;
}

/* hello: it is there, too. */
static void joins_until(world *w, const char *name, bool hello)
{
    static uint8_t k;
    uint8_t key[32];
    core_worker *x = named(w, name);
    core_hello h = {.slots = 1, .tags = "el", .facts = "os=linux", .version = "1"};
    bool again;
    if (!x)
        return;
    fill(key, 32, 0);
    key[0] = ++k;
    key[1] = (uint8_t)(k ^ 0x55);
    key[2] = (uint8_t)x->row.created;
    ok(x->row.has_key || core_worker_join(w->core, x->row.id, x->once, name, key, NULL) == 0,
       "%s joins with its token", name);
    (void)world_go(w);
    if (!hello || !(x = named(w, name)))
        return;
    h.spool[0] = k;
    h.boot[0] = k;
    core_worker_up(w->core, x->row.id, &h, &again);
    (void)world_go(w);
}

static void joins(world *w, const char *name)
{
    joins_until(w, name, true);
}

static size_t commands(const world *w, core_provider_act act_)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++)
        n += w->eff[i].kind == CORE_PROVIDER && w->eff[i].attempt == (uint64_t)act_;
    return n;
}

static bool why_has(world *w, uint64_t id, const char *text)
{
    (void)ask(w, CMD_WHY, (say){.id = id});
    if (!strstr(w->body, text))
        printf("# %s\n", w->body);
    return strstr(w->body, text) != NULL;
}

static bool told_in_health(world *w, const char *text)
{
    (void)ask(w, CMD_HEALTH, (say){0});
    return strstr(w->body, text) != NULL && w->status == 200;
}

static void up_and_down(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    cloud c = {0};
    uint64_t r[5];
    if (!w)
        return;
    look(w, 0, "master", 1);
    world_pass(w, 5);
    ok(count(w, CORE_PROVIDER) == 0, "nothing waits: nothing is asked");
    for (int i = 0; i < 5; i++)
        r[i] = force(w, "unit");
    (void)force(w, "other");
    world_pass(w, 1);
    ok(commands(w, CORE_START) == 3, "five wait, three may be");
    const seen *e = last(w, CORE_PROVIDER);
    ok(e && named(w, "el-3") && !named(w, "el-4"), "called el-1 to el-3");
    world_pass(w, 3);
    ok(commands(w, CORE_START) == 3, "and it is asked once");
    ok(why_has(w, r[0], "provider \\\"el\\\" is starting a worker (el-1, el-2, el-3)"),
       "why says so");
    serve(w, &c);
    world_forget(w);
    ok(there(&c) == 3, "they are made");
    joins(w, "el-1");
    joins(w, "el-2");
    joins(w, "el-3");
    ok(figures(w).busy == 3, "each has a build");
    ok(why_has(w, r[4], "all 3 slots") && why_has(w, r[4], "has all of its 3 machines in use"),
       "why the fourth waits");
    for (uint64_t a = 1; a <= 5; a++)
        run(w, a, PW_SUCCESS);
    live(w, &c, 20);
    ok(there(&c) == 3, "idle for 20 s: they stay");
    live(w, &c, 15);
    ok(there(&c) == 0, "for 30 s: they are given back");
    live(w, &c, 10);
    ok(named(w, "el-1") && named(w, "el-1")->row.removed && named(w, "el-3")->row.removed &&
           w->core->n_machines == 0,
       "and their workers are removed");
    (void)force(w, "unit");
    live(w, &c, 2);
    ok(there(&c) == 1 && named(w, "el-1") && !named(w, "el-1")->row.removed, "el-1 is used again");
    ok(why_has(w, r[0], "it is done"), "what they built is done");
}

static void lost_answers(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    cloud c = {0};
    if (!w)
        return;
    look(w, 0, "master", 1);
    (void)force(w, "unit");
    world_pass(w, 1);
    ok(commands(w, CORE_START) == 1, "asked for one");
    const seen *first = NULL;
    for (size_t i = 0; i < w->n; i++)
        if (w->eff[i].kind == CORE_PROVIDER && w->eff[i].attempt == CORE_START)
            first = &w->eff[i];
    if (first)
        act(w, &c, first, false); /* it is made, and the master dies before it knows */
    world_forget(w);
    world_restart(w, NULL);
    world_pass(w, 4);
    ok(commands(w, CORE_START) == 0 && commands(w, CORE_LIST) == 1,
       "a new master asks what is there, and starts nothing");
    live(w, &c, 1);
    world_pass(w, 1);
    serve(w, &c);
    world_forget(w);
    live(w, &c, 10);
    ok(there(&c) == 1 && w->core && w->core->n_machines == 1 && w->core->machine[0]->handle &&
           strcmp(w->core->machine[0]->handle, "h1") == 0,
       "it found it by its name");
    joins(w, "el-1");
    run(w, 1, PW_SUCCESS);
    live(w, &c, 45);
    ok(there(&c) == 0, "and gives it back");
    /* killed before the command ran */
    (void)force(w, "unit");
    world_pass(w, 1);
    ok(commands(w, CORE_START) == 1, "another");
    world_forget(w);
    world_restart(w, NULL);
    live(w, &c, 20);
    ok(there(&c) == 1 && c.n == 2, "was not made: it is made now, once");
    /* killed after stop, before the answer */
    joins(w, "el-1");
    run(w, 2, PW_SUCCESS);
    world_forget(w);
    for (int i = 0; i < 40 && !commands(w, CORE_STOP); i++)
        world_pass(w, 1);
    for (size_t i = 0; i < w->n; i++)
        if (w->eff[i].kind == CORE_PROVIDER && w->eff[i].attempt == CORE_STOP)
            act(w, &c, &w->eff[i], false);
    world_forget(w);
    world_restart(w, NULL);
    live(w, &c, 15);
    ok(there(&c) == 0 && w->core && w->core->n_machines == 0, "a stop is repeated, and ends");
}

/* A worker that is about to be here is waited for. */
static void between(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    cloud c = {0};
    if (!w)
        return;
    look(w, 0, "master", 1);
    uint64_t r = force(w, "unit");
    live(w, &c, 2);
    joins_until(w, "el-1", false);
    live(w, &c, 5);
    ok(there(&c) == 1 && why_has(w, r, "is starting a worker (el-1)"),
       "it has joined and not said hello: no other is started");
    joins(w, "el-1");
    run(w, 1, PW_SUCCESS);
    world_restart(w, NULL);
    (void)force(w, "unit");
    live(w, &c, 10);
    ok(there(&c) == 1, "nor is one in a new master's first seconds, before it is back");
    live(w, &c, 40);
    ok(there(&c) == 2, "but when it does not come");
}

static void strays(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    cloud c = {0};
    if (!w)
        return;
    look(w, 0, "master", 1);
    (void)force(w, "unit");
    live(w, &c, 2);
    joins(w, "el-1");
    start(w, 1);
    /* the same name twice: the second is nobody's. Another's machine is left alone. */
    (void)snprintf(c.m[c.n].name, 40, "el-1");
    (void)snprintf(c.m[c.n].handle, 20, "twice");
    c.m[c.n++].here = true;
    (void)snprintf(c.m[c.n].name, 40, "strange");
    (void)snprintf(c.m[c.n].handle, 20, "alien");
    c.m[c.n++].here = true;
    live(w, &c, 80);
    ok(c.m[0].here && !c.m[1].here && c.m[2].here, "one too many is given back, others' stay");
    ok(named(w, "el-1") && !named(w, "el-1")->row.removed && att(w, 1), "its namesake goes on");
    /* the machine goes away under its worker */
    c.m[0].here = false;
    down(w, named(w, "el-1") ? named(w, "el-1")->row.id : 0);
    live(w, &c, 70);
    ok(!att(w, 1) && build(w, 2).state == BUILD_QUEUED && build(w, 2).tries == 1,
       "its job is lost at once, not after lost_after");
    ok(there(&c) == 2 && named(w, "el-1") && !named(w, "el-1")->row.removed,
       "and begun on another machine of the same name");
}

static void failures(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    cloud c = {0};
    if (!w)
        return;
    look(w, 0, "master", 1);
    uint64_t r = force(w, "unit");
    size_t starts = 0;
    for (int i = 0; i < 120; i++) {
        world_pass(w, 1);
        for (size_t k = 0; k < w->n; k++) {
            seen e = w->eff[k];
            w->eff[k].kind = 0;
            if (e.kind != CORE_PROVIDER)
                continue;
            starts += e.attempt == CORE_START;
            if (e.attempt == CORE_START)
                reply(w, &e, false, "out of money");
            else
                act(w, &c, &e, true);
        }
        world_forget(w);
    }
    ok(starts >= 3 && starts <= 6, "%zu starts in two minutes: it backs off", starts);
    ok(why_has(w, r, "provider \\\"el\\\" failed: start: out of money; it is tried again at"),
       "why says what failed");
    ok(told_in_health(w, "\"provider el\",\"ok\":true,\"text\":\"start: out of money\""),
       "so does /healthz, which does not fail");
    for (int i = 0; i < 300 && !there(&c); i++)
        live(w, &c, 1);
    ok(there(&c) == 1, "then it works");
    live(w, &c, 118);
    ok(there(&c) == 1, "it does not join for 118 s");
    live(w, &c, 8);
    ok(there(&c) == 0, "after two minutes it is given back");
    ok(why_has(w, r, "did not join within 2m"), "and that is told");
    for (int i = 0; i < 400 && !there(&c); i++)
        live(w, &c, 1);
    ok(there(&c) == 1, "another is tried, later");
    joins(w, "el-1");
    ok(!told_in_health(w, "\"name\":\"provider el\"") || (live(w, &c, 1), true), "joined");
    live(w, &c, 2);
    ok(!told_in_health(w, "\"name\":\"provider el\""), "which ends the trouble");
}

static void people(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    cloud c = {0};
    if (!w)
        return;
    look(w, 0, "master", 1);
    (void)force(w, "unit");
    live(w, &c, 2);
    joins(w, "el-1");
    run(w, 1, PW_SUCCESS);
    (void)ask(w, CMD_WORKER_PAUSE, (say){.name = "el-1", .reason = "look at it"});
    live(w, &c, 60);
    ok(there(&c) == 1, "a paused one stays, so that it can be looked at");
    (void)ask(w, CMD_WORKER_DRAIN, (say){.name = "el-1"});
    live(w, &c, 10);
    ok(there(&c) == 0, "a drained one goes at once");
    (void)force(w, "unit");
    live(w, &c, 2);
    joins(w, "el-1");
    (void)ask(w, CMD_WORKER_REMOVE, (say){.name = "el-1"});
    live(w, &c, 3);
    ok(!c.m[1].here && there(&c) == 1, "so does one that was removed; its job goes to a new one");
    world_restart(w, PROJECT);
    world_pass(w, 5);
    ok(count(w, CORE_PROVIDER) == 0 && told_in_health(w, "give it back by hand"),
       "machines of a provider that was removed are told");
    world_restart(w, conf);
    (void)ask(w, CMD_CANCEL_REQUEST, (say){.id = 3});
    live(w, &c, 250);
    ok(there(&c) == 0, "and given back when it returns");
}

static void always_some(void)
{
    PW_AUTO(world_freep) world *w = world_new(PROJECT "provider: [" EL ", min: 2, max: 3}]\n");
    cloud c = {0};
    if (!w)
        return;
    live(w, &c, 2);
    ok(there(&c) == 2, "min without any work");
    joins(w, "el-1");
    joins(w, "el-2");
    live(w, &c, 100);
    ok(there(&c) == 2, "they stay");
}

/* Everything at once, by a seed; in the end nothing is left and every build is done. */
static void walk(uint64_t seed)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    cloud c = {0};
    uint64_t x = seed * 2654435761u + 12345, asked = 0;
    size_t most = 0;
    if (!w)
        return;
    look(w, 0, "master", 1);
    for (int step = 0; step < 400; step++) {
        bool calm = step > 250;
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407u;
        unsigned dice = (unsigned)(x >> 33) % 100;
        if (!calm && dice < 10 && asked < 12) {
            asked++;
            (void)force(w, "unit");
        } else if (!calm && dice < 14) {
            world_forget(w);
            world_restart(w, NULL);
        }
        world_pass(w, dice < 50 ? 1 : 3);
        for (size_t i = 0; i < w->n; i++) {
            seen e = w->eff[i];
            w->eff[i].kind = 0;
            if (e.kind != CORE_PROVIDER)
                continue;
            x = x * UINT64_C(6364136223846793005) + 1442695040888963407u;
            unsigned how = calm ? 99 : (unsigned)(x >> 33) % 100;
            if (c.n >= CLOUD_MAX - 4)
                how = 99;
            if (how < 8) { /* nothing happens, and that is told */
                reply(w, &e, false, "no");
            } else if (how < 14) { /* done, and told as failed */
                act(w, &c, &e, false);
                reply(w, &e, false, "timeout");
            } else {
                act(w, &c, &e, true);
            }
        }
        world_forget(w);
        most = there(&c) > most ? there(&c) : most;
        for (size_t i = 0; i < c.n && w->core; i++) {
            core_worker *k = named(w, c.m[i].name);
            if (!c.m[i].here || !k || k->row.removed || k->connected || dice % 3)
                continue;
            if (!k->row.has_key && !k->enrolled)
                continue;
            joins(w, c.m[i].name);
        }
        core_attempt *a;
        for (size_t pos = 0; w->core && (a = core_attempt_each(w->core, &pos)) && dice % 2 == 0;) {
            const core_worker *k = core_worker_get(w->core, a->worker);
            if (a->state > ATT_RUNNING || !k || !k->connected)
                continue;
            run(w, a->id, PW_SUCCESS);
            pos = 0;
        }
    }
    ok(w->core && figures(w).waiting == 0 && figures(w).open == 0,
       "walk %d: all %d builds are done", (int)seed, (int)asked);
    ok(there(&c) == 0 && w->core && w->core->n_machines == 0, "walk %d: nothing is left",
       (int)seed);
    ok(most <= 3 + 2, "walk %d: never many more than three (%zu)", (int)seed, most);
}

int main(void)
{
    if (crypt_init(NULL) < 0)
        return 1;
    up_and_down();
    lost_answers();
    between();
    strays();
    failures();
    people();
    always_some();
    for (uint64_t seed = 1; seed <= 5; seed++)
        walk(seed);
    return tap_done();
}
