/* What people ask for, and how workers join. */
#include "master/core/fixture.h"

#include "tests/tap.h"

static const char conf[] =
    "projects: [{name: p, repository: /r.git}, {name: q, repository: /q.git}]\n"
    "builders:\n"
    "  - {name: unit, project: p, steps: [{run: x}]}\n"
    "  - {name: big, project: p, requires: {tags: [huge]}, steps: [{run: x}]}\n"
    "  - {name: same, project: p, steps: [{run: x}]}\n"
    "  - {name: same, project: q, steps: [{run: x}]}\n";

static void idempotency(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    char body[sizeof(w->body)];
    if (!w)
        return;
    look(w, 0, "master", 1);
    say s = {.idem = "k1", .builder = "unit", .branch = "master", .reason = "r"};
    ok(ask(w, CMD_FORCE, s) == 202 && told(w, "requests") == 1, "asked once");
    (void)snprintf(body, sizeof(body), "%s", w->body);
    ok(ask(w, CMD_FORCE, s) == 202 && strcmp(body, w->body) == 0 && request(w, 2).state == -1,
       "the same key gets the same answer");
    world_restart(w, NULL);
    s.builder = "big";
    ok(ask(w, CMD_FORCE, s) == 202 && strcmp(body, w->body) == 0 && request(w, 2).state == -1,
       "after a restart, whatever else it says");
    s.idem = "k2";
    command(w, CMD_FORCE, s);
    command(w, CMD_FORCE, s);
    ok(w->core && world_go(w) == 0 && w->answers >= 5 && request(w, 2).state == REQ_WAITING &&
           request(w, 3).state == -1,
       "twice in one turn");
    s.idem = "k3";
    s.builder = "nope";
    ok(ask(w, CMD_FORCE, s) == 404, "an error");
    s.builder = "unit";
    ok(ask(w, CMD_FORCE, s) == 202 && request(w, 3).state == REQ_WAITING, "is not kept");
    s.idem = NULL;
    ok(ask(w, CMD_FORCE, s) == 202 && ask(w, CMD_FORCE, s) == 202 &&
           request(w, 5).state == REQ_WAITING,
       "without a key each counts");
    w->wall += 25 * 3600000LL;
    w->now += 25 * 3600 * (pw_usec)SECOND;
    world_pass(w, 10);
    s.idem = "k1";
    ok(ask(w, CMD_FORCE, s) == 202 && strcmp(body, w->body) != 0, "after 24 h a key is free");
}

/* A key is worth what its owner asked with it: to him, for that. */
static void idempotency_of_others(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    look(w, 0, "master", 1);
    say s = {.idem = "k1", .builder = "unit", .branch = "master", .reason = "r"};
    ok(ask(w, CMD_FORCE, s) == 202 && request(w, 1).state == REQ_WAITING, "ann asks");
    s.actor = "eve";
    ok(ask(w, CMD_FORCE, s) == 202 && told(w, "requests") == 2, "eve gets an answer of her own");
    s.actor = NULL;
    ok(ask(w, CMD_HEALTH, s) == 200 && strstr(w->body, "\"checks\""), "a question is answered");
    s.id = 1;
    ok(ask(w, CMD_CANCEL_REQUEST, s) == 202 && told(w, "id") == 1 &&
           request(w, 1).state == REQ_DONE && request(w, 2).state == REQ_WAITING,
       "another deed is done, not taken for the first");
    s.id = 2;
    ok(ask(w, CMD_CANCEL_REQUEST, s) == 202 && told(w, "id") == 2 &&
           request(w, 2).state == REQ_DONE,
       "and the same to another thing");
    s.id = 1;
    ok(ask(w, CMD_CANCEL_REQUEST, s) == 202 && told(w, "id") == 1, "each has its answer");
    ok(w->core && store_begin(w->st, NULL) == 0 &&
           store_idem_put(w->st, "old", w->wall, 202, "{\"id\":77}", NULL) == 0 &&
           store_commit(w->st, NULL) == 0,
       "an answer of an older master");
    s.idem = "old";
    ok(ask(w, CMD_CANCEL_REQUEST, s) == 202 && told(w, "id") == 77,
       "is found when the request comes again");
}

/* What no repository can have is not taken for a branch because a revision is given with it. */
static void bad_branches(void)
{
    static const char *const names[] = {
        "",    "a b",    "a..b",        "-x",    "--upload-pack=x", "../../etc", "a\nb", "a\033[2J",
        "a:b", "a.lock", "refs/heads/", "a@{1}", "a\x7f",           "a\\b",      "*"};
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    look(w, 0, "master", 1);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        say s = {.project = "p",
                 .builder = "unit",
                 .reason = "r",
                 .branch = names[i],
                 .revision = "0123456789012345678901234567890123456789"};
        ok(ask(w, CMD_FORCE, s) == 400 && strstr(w->body, "is no name of a branch") &&
               ask(w, CMD_CHANGE, s) == 400 && strstr(w->body, "is no name of a branch") &&
               request(w, 1).state == -1,
           "branch %zu", i);
    }
}

/* A builder that only one worker may have does not go to one that says it is that one. */
static void bound_to_a_worker(void)
{
    PW_AUTO(world_freep)
    world *w =
        world_new("projects: [{name: p, repository: /r.git}]\nbuilders:\n  - {name: unit, project: "
                  "p, requires: {tags: [linux, \"worker=w2\"]}, steps: [{run: x}]}\n");
    core_hello h = {.slots = 9, .tags = "linux worker=w2", .facts = "worker=w2", .version = "1"};
    bool rebooted;
    if (!w || !w->core)
        return;
    look(w, 0, "master", 1);
    uint64_t eve = worker(w, "w1", 1), good = worker(w, "w2", 2);
    fill(h.spool, 16, 7);
    fill(h.boot, 16, 1);
    core_worker_up(w->core, eve, &h, &rebooted);
    ok(ask(w, CMD_FORCE, (say){.builder = "unit", .reason = "r"}) == 202 &&
           count(w, CORE_OFFER) == 0,
       "w1 does not get it, whatever its tags");
    up(w, good, 8, 1);
    ok(count(w, CORE_OFFER) == 1 && last(w, CORE_OFFER)->worker == good, "w2 does");
}

static void forcing(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    char text[5000];
    if (!w)
        return;
    ok(ask(w, CMD_FORCE, (say){.builder = "unit", .reason = "r"}) == 409 &&
           strstr(w->body, "not read yet"),
       "before the first look");
    if (w->core)
        core_poll_failed(w->core, 0, "no route");
    ok(ask(w, CMD_FORCE, (say){.builder = "unit", .reason = "r"}) == 409 &&
           strstr(w->body, "no route"),
       "it says why");
    look(w, 0, "master", 1);
    ok(ask(w, CMD_FORCE, (say){.builder = "unit", .reason = "r"}) == 202, "HEAD's branch");
    ok(ask(w, CMD_FORCE, (say){.builder = "unit"}) == 400, "a reason is required");
    ok(ask(w, CMD_FORCE, (say){.builder = "nope", .reason = "r"}) == 404 &&
           ask(w, CMD_FORCE, (say){.reason = "r"}) == 404,
       "unknown builders");
    ok(ask(w, CMD_FORCE, (say){.builder = "same", .reason = "r"}) == 400 &&
           strstr(w->body, "p/same, q/same"),
       "an ambiguous one");
    ok(ask(w, CMD_FORCE, (say){.builder = "p/same", .reason = "r"}) == 202, "its whole name");
    ok(ask(w, CMD_FORCE, (say){.builder = "same", .project = "p", .reason = "r"}) == 202,
       "or with its project");
    ok(ask(w, CMD_FORCE, (say){.builder = "unit", .branch = "nope", .reason = "r"}) == 404,
       "an unknown branch");
    ok(ask(w, CMD_FORCE, (say){.builder = "unit", .revision = "abc", .reason = "r"}) == 400,
       "half a revision");
    ok(ask(w, CMD_FORCE,
           (say){.builder = "unit",
                 .revision = "0123456789012345678901234567890123456789",
                 .reason = "r"}) == 202,
       "a whole one");
    memset(text, 'x', sizeof(text));
    text[PW_TEXT_MAX - 99] = '\0';
    ok(ask(w, CMD_FORCE, (say){.builder = "unit", .reason = text}) == 400,
       "a reason that no job can carry");
    text[PW_TEXT_MAX - 100] = '\0';
    ok(ask(w, CMD_FORCE, (say){.builder = "unit", .reason = text}) == 202, "the longest one");
    uint64_t r = told(w, "requests");
    up(w, worker(w, "w1", 1), 7, 100);
    ok(request(w, r).state == REQ_CLAIMED, "is offered");
    memset(text, 'b', 300);
    text[256] = '\0';
    ok(ask(w, CMD_FORCE,
           (say){.builder = "unit",
                 .branch = text,
                 .reason = "r",
                 .revision = "0123456789012345678901234567890123456789"}) == 400,
       "a branch of 256 bytes");
    text[255] = '\0';
    ok(ask(w, CMD_FORCE,
           (say){.builder = "unit",
                 .branch = text,
                 .reason = "r",
                 .revision = "0123456789012345678901234567890123456789"}) == 202,
       "one of 255");
}

/* A job over the limits of the wire ends its build; it must never end the master. */
static void job_too_large(void)
{
    PW_AUTO(pw_buf_clearp) pw_buf yaml = PW_BUF(4 * 1024 * 1024);
    (void)pw_buf_adds(&yaml, "projects: [{name: p, repository: /r.git}]\nbuilders:\n  - name: "
                             "unit\n    project: p\n    steps:\n");
    for (int i = 0; i < 4; i++) {
        (void)pw_buf_adds(&yaml, "      - {run: ");
        for (int k = 0; k < 10000; k++)
            (void)pw_buf_adds(&yaml, "aaaaaaaaaa");
        (void)pw_buf_adds(&yaml, "}\n");
    }
    (void)pw_buf_adds(&yaml, "  - {name: small, project: p, steps: [{run: x}]}\n");
    PW_AUTO(world_freep) world *w = world_new(pw_buf_str(&yaml));
    core_cmd *c = core_cmd_new(CMD_FORCE, NULL);
    bool failed = false;
    if (!w || !w->core || !c) {
        core_cmd_free(c);
        return;
    }
    look(w, 0, "master", 1);
    up(w, worker(w, "w1", 1), 7, 2);
    c->builder = pw_strdup("unit", &failed);
    c->reason = pw_strdup("r", &failed);
    c->done = world_answer;
    c->done_self = w;
    msg_pair *pairs = calloc(15, sizeof(*pairs));
    c->props = (pw_list){pairs, pairs ? 15 : 0};
    for (size_t i = 0; i < c->props.n; i++) {
        pairs[i].name = pw_strf("p%zu", i);
        if ((pairs[i].value = malloc(PW_VALUE_MAX + 1))) {
            memset(pairs[i].value, 'v', PW_VALUE_MAX);
            pairs[i].value[PW_VALUE_MAX] = '\0';
        }
        failed |= !pairs[i].name || !pairs[i].value;
    }
    if (!w->core || failed) {
        core_cmd_free(c);
        return;
    }
    core_command(w->core, c);
    (void)world_go(w);
    uint64_t r = told(w, "requests");
    ok(w->core && w->status == 202 && done(w, request(w, r).build, PW_EXCEPTION) &&
           strstr(build(w, request(w, r).build).reason, "cannot be sent"),
       "a job that no message can carry ends its build");
    r = force(w, "small");
    ok(w->core && request(w, r).state == REQ_CLAIMED && count(w, CORE_OFFER) == 1, "others go on");
    world_restart(w, NULL);
    ok(figures(w).open == 1, "over a restart");
}

static void changes(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    static const char good[] = "0123456789012345678901234567890123456789";
    ok(ask(w, CMD_CHANGE, (say){.branch = "master", .revision = good}) == 400 &&
           strstr(w->body, "say which"),
       "which project?");
    ok(ask(w, CMD_CHANGE, (say){.project = "z", .branch = "master", .revision = good}) == 404,
       "an unknown one");
    ok(ask(w, CMD_CHANGE, (say){.project = "p", .revision = good}) == 400 &&
           ask(w, CMD_CHANGE, (say){.project = "p", .branch = "m"}) == 400 &&
           ask(w, CMD_CHANGE, (say){.project = "p", .branch = "m", .revision = "12"}) == 400,
       "branch and revision are needed");
    ok(ask(w, CMD_CHANGE, (say){.project = "p", .branch = "master", .revision = good}) == 202 &&
           told(w, "change") == 1 && told(w, "requests") == 1 &&
           request(w, 3).state == REQ_WAITING && strstr(w->body, "[1,2,3]"),
       "builds what its scheduler wants");
}

static void retrying(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    look(w, 0, "master", 1);
    up(w, worker(w, "w1", 1), 7, 2);
    uint64_t r = force(w, "unit"), b = request(w, r).build;
    ok(ask(w, CMD_RETRY, (say){.id = 999}) == 404 && ask(w, CMD_RETRY, (say){.id = b}) == 409,
       "only a finished build");
    run(w, 1, PW_FAILURE);
    ok(ask(w, CMD_RETRY, (say){.id = b}) == 202 &&
           request(w, told(w, "requests")).state == REQ_CLAIMED,
       "can be asked for again");
    world_restart(w, "projects: [{name: p, repository: /r.git}]\nbuilders: [{name: else, project: "
                     "p, steps: [{run: x}]}]\n");
    ok(ask(w, CMD_RETRY, (say){.id = b}) == 409, "while its builder is there");
}

static bool why_says(world *w, uint64_t id, const char *text)
{
    (void)ask(w, CMD_WHY, (say){.id = id});
    if (w->status != 200 || !strstr(w->body, text))
        printf("# %d %s\n", w->status, w->body);
    return w->status == 200 && strstr(w->body, text);
}

static void why(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    look(w, 0, "master", 1);
    uint64_t a = force(w, "unit"), b = force(w, "big");
    ok(why_says(w, a, "there is no worker"), "no worker");
    uint64_t id = 0;
    (void)ask(w, CMD_WORKER_ADD, (say){.name = "w1"});
    ok(why_says(w, a, "has not joined"), "not joined");
    ok(ask(w, CMD_WORKER_REMOVE, (say){.name = "w1"}) == 202 &&
           why_says(w, a, "there is no worker"),
       "removed");
    id = worker(w, "w1", 1);
    ok(why_says(w, a, "connected"), "not connected");
    (void)ask(w, CMD_WORKER_PAUSE, (say){.name = "w1", .reason = "lunch"});
    up(w, id, 7, 1);
    ok(why_says(w, a, "paused by ann because lunch") && request(w, a).state == REQ_WAITING,
       "paused");
    ok(why_says(w, b, "tags \\\"huge\\\""), "tags");
    (void)ask(w, CMD_WORKER_DRAIN, (say){.name = "w1", .reason = "x"});
    ok(why_says(w, a, "draining") && request(w, a).state == REQ_WAITING, "draining");
    if (w->core)
        core_worker_beat(w->core, id, 1, "low disk");
    (void)ask(w, CMD_WORKER_RESUME, (say){.name = "w1"});
    ok(why_says(w, a, "takes no new jobs: low disk"), "a gate");
    uint64_t c = force(w, "unit");
    if (w->core)
        core_worker_beat(w->core, id, 1, NULL);
    (void)world_go(w);
    ok(why_says(w, c, "(1 of 1); it is number 1 in line, 0 waiting before it"), "busy");
    ok(why_says(w, a, "worker \\\"w1\\\""), "sent");
    ok(why_says(w, request(w, a).build, "sent to be run"), "by build, too");
    run(w, 1, PW_SUCCESS);
    ok(why_says(w, a, "it is done: build"), "done");
    (void)ask(w, CMD_CANCEL_REQUEST, (say){.id = b});
    ok(why_says(w, b, "cancelled before it began"), "cancelled");
    ok(ask(w, CMD_WHY, (say){.id = 999}) == 404, "unknown");
}

enum { SKIP = 1000000 };

static uint64_t owner(world *w, const uint8_t key[32], bool *once)
{
    *once = false;
    return w->core ? core_key_owner(w->core, key, once) : 0;
}

static int join(world *w, uint64_t id, const uint8_t once[32], const char *name, uint8_t k)
{
    uint8_t key[32];
    fill(key, 32, k);
    int r = w->core ? core_worker_join(w->core, id, once, name, key, NULL) : PW_ENOMEM;
    return world_go(w) < 0 ? PW_ENOMEM : r;
}

static void joining(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    uint8_t once[32], key[32], wrong[32] = {0};
    bool enrol;
    if (!w)
        return;
    ok(ask(w, CMD_WORKER_ADD, (say){.name = "../x"}) == 400 &&
           ask(w, CMD_WORKER_ADD, (say){0}) == 400,
       "bad names");
    ok(ask(w, CMD_WORKER_ADD, (say){.name = "w1"}) == 202 && strstr(w->body, "join w1") &&
           strstr(w->body, "expires"),
       "a line to run");
    crypt_public(w->secret, once);
    uint64_t id = owner(w, once, &enrol);
    ok(id && enrol && owner(w, wrong, &enrol) == 0, "the one-time key is known, others are not");
    ok(join(w, id, wrong, "w1", 1) == PW_EDENIED && join(w, id, once, "w2", 1) == PW_EDENIED &&
           join(w, 99, once, "w1", 1) == PW_EDENIED,
       "only it, and only for its name");
    ok(join(w, id, once, "w1", 1) == 0, "joined");
    fill(key, 32, 1);
    ok(owner(w, key, &enrol) == id && !enrol && owner(w, once, &enrol) == id && enrol,
       "with a key of its own");
    ok(join(w, id, once, "w1", 2) == PW_EDENIED && owner(w, key, &enrol) == id,
       "a token admits one key only");
    world_restart(w, NULL);
    ok(join(w, id, once, "w1", 1) == 0 && owner(w, once, &enrol) == id && enrol,
       "the same may be said again, after a restart, too");
    ok(join(w, id, once, "w1", 2) == PW_EDENIED, "another may not");
    up(w, id, 7, 1);
    ok(owner(w, once, &enrol) == 0 && owner(w, key, &enrol) == id,
       "the first session ends the token");
    ok(ask(w, CMD_WORKER_ADD, (say){.name = "w1"}) == 409, "the name is taken");
    (void)ask(w, CMD_WORKER_REMOVE, (say){.name = "w1"});
    ok(owner(w, key, &enrol) == 0, "a removed worker's key is nobody's at once");
    ok(ask(w, CMD_WORKER_ADD, (say){.name = "w1"}) == 202 && owner(w, key, &enrol) == 0,
       "it may come back, with a new key");
    crypt_public(w->secret, once);
    ok(owner(w, once, &enrol) == id && enrol, "as the same worker");
    w->wall += 3600000;
    ok(owner(w, once, &enrol) == 0, "a token ends after an hour");
    ok(ask(w, CMD_WORKER_ADD, (say){.name = "w1"}) == 202, "a new one can be had before it joined");
    crypt_public(w->secret, key);
    ok(owner(w, key, &enrol) == id && owner(w, once, &enrol) == 0, "it replaces the old one");
    ok(ask(w, CMD_WORKER_PAUSE, (say){.name = "nope"}) == 404 &&
           ask(w, CMD_WORKER_RESUME, (say){0}) == 404,
       "unknown workers");
}

static void many_keys(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    uint64_t id[20] = {0};
    bool fine = true, enrol;
    uint8_t key[32];
    char name[8];
    if (!w)
        return;
    for (uint8_t i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof(name), "w%u", (unsigned)i);
        id[i] = worker(w, name, i);
    }
    for (int round = 0; round < 2; round++)
        for (uint8_t i = 0; i < 20; i++) {
            fill(key, 32, i);
            fine &= owner(w, key, &enrol) == id[i] && !enrol;
            key[31] ^= 1; /* the same beginning */
            fine &= owner(w, key, &enrol) == 0;
        }
    ok(fine, "each key has its owner");
}

static void health(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    ok(ask(w, CMD_HEALTH, (say){0}) == 200 && strstr(w->body, "\"ok\""), "fine");
    if (w->core)
        core_condition(w->core, "log store", "disk full");
    ok(ask(w, CMD_HEALTH, (say){0}) == 503 && strstr(w->body, "disk full"), "a condition");
    if (w->core)
        core_condition(w->core, "log store", NULL);
    ok(ask(w, CMD_HEALTH, (say){0}) == 200, "goes again");
}

/* rules 1.2: a new epoch uses no public id that a lost later state may have given away. */
static void epochs(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    if (!w)
        return;
    look(w, 0, "master", 1);
    uint64_t r = force(w, "unit"), first = w->st ? store_epoch(w->st) : 0;
    if (w->core)
        core_new_epoch(w->core, "test");
    (void)world_go(w);
    ok(w->st && store_epoch(w->st) != first, "a new epoch");
    world_restart(w, NULL);
    uint64_t next = force(w, "unit"), set = told(w, "buildset");
    ok(r == 1 && next > SKIP && set > SKIP, "requests and build sets skip ahead, over a restart");
    up(w, worker(w, "w1", 1), 7, 1);
    ok(last(w, CORE_OFFER)->attempt > SKIP && request(w, r).build > SKIP,
       "builds and attempts, too");
    world_stop(w);
    w->st = store_open(w->path, &w->host, NULL); /* what restoring a backup does */
    if (!w->st || store_begin(w->st, NULL) < 0 || store_new_epoch(w->st, NULL) < 0 ||
        store_commit(w->st, NULL) < 0)
        return;
    (void)world_load(w);
    uint64_t third = force(w, "unit");
    ok(third > next + SKIP, "a restore is seen at the next start");
    world_restart(w, NULL);
    ok(force(w, "unit") == third + 1 || force(w, "unit") < third + 10, "once");
}

int main(void)
{
    if (crypt_init(NULL) < 0)
        return 1;
    idempotency();
    idempotency_of_others();
    bad_branches();
    bound_to_a_worker();
    forcing();
    job_too_large();
    changes();
    retrying();
    why();
    joining();
    many_keys();
    health();
    epochs();
    return tap_done();
}
