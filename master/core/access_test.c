/* Tokens, keys of workers, and the line that each write leaves in the audit log. */
#include "master/core/fixture.h"

#include <inttypes.h>

#include "master/config/people.h"
#include "master/store/reader.h"
#include "tests/tap.h"

static const char conf[] =
    "projects: [{name: p, repository: /r.git}]\n"
    "builders: [{name: unit, project: p, steps: [{run: x}]}]\n"
    "promotions: [{name: stable, kind: green, project: p, from: master, to: stable}]\n"
    "people: [{name: ada, roles: [developer]}]\n";

/* ---- rows */
static int on_deed(void *self, const reader_deed *d)
{
    pw_buf *b = self;
    return pw_buf_addf(b, "%s %s %s;", d->actor, d->action, d->object ? d->object : "-");
}

/* The audit log, newest first. */
static const char *deeds(const world *w, pw_buf *b)
{
    PW_AUTO(reader_closep) reader *r = reader_open(w->path, NULL);
    pw_buf_reset(b);
    if (r)
        (void)reader_audit(r, NULL, 0, 0, 1000, on_deed, b, NULL);
    return pw_buf_str(b);
}

static size_t rows(const world *w)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1 << 20);
    size_t n = 0;
    for (const char *p = deeds(w, &b); *p; p++)
        n += *p == ';';
    return n;
}

/* The newest row. */
static bool newest(const world *w, const char *want)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1 << 20);
    const char *got = deeds(w, &b);
    size_t n = strcspn(got, ";");
    if (strlen(want) == n && memcmp(got, want, n) == 0)
        return true;
    printf("# got %.*s\n", (int)n, got);
    return false;
}

static int on_token(void *self, const store_token *t)
{
    store_token *ret = self;
    *ret = *t;
    ret->name = ret->scopes = ret->person = ret->creator = NULL;
    return 0;
}

/* The token of the newest answer's text. */
static bool live(const world *w, const char *text, store_token *ret)
{
    uint8_t hash[CRYPT_HASH];
    reader *r = reader_open(w->path, NULL);
    crypt_hash(text, strlen(text), hash);
    int rc = r ? reader_token(r, hash, on_token, ret, NULL) : PW_ENOMEM;
    reader_close(r);
    return rc == 0 && !ret->revoked;
}

static bool answered(const world *w, char text[100])
{
    const char *p = strstr(w->body, "\"token\":\"");
    text[0] = '\0';
    if (p)
        (void)snprintf(text, 100, "%.*s", (int)strcspn(p + 9, "\""), p + 9);
    return p && strlen(text) == CRYPT_TOKEN_TEXT;
}

/* ---- tests */
static void test_tokens(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    store_token t;
    char text[100];
    say s = {.name = "ci", .scopes = SCOPE_BUILD, .may = SCOPE_ALL};
    if (!w)
        return;
    ok(ask(w, CMD_TOKEN_ADD, s) == 201 && told(w, "id") == 1 && answered(w, text) &&
           strstr(w->body,
                  "\"name\":\"ci\",\"scopes\":[\"build\"],\"person\":null,\"expires\":null"),
       "made: %s", w->body);
    ok(live(w, text, &t) && t.id == 1 && newest(w, "ann token.create ci"), "and known by its hash");
    s.person = "ada";
    s.expires = w->wall + 1000;
    ok(ask(w, CMD_TOKEN_ADD, s) == 201 && answered(w, text) && live(w, text, &t) && t.id == 2 &&
           t.expires == s.expires,
       "of a person, for a time");
    size_t n = rows(w);
    s.may = SCOPE_ALL & ~(unsigned)SCOPE_BUILD;
    ok(ask(w, CMD_TOKEN_ADD, s) == 403 && strstr(w->body, "has not \\\"build\\\""),
       "nobody gives what he does not have");
    s.may = SCOPE_ALL;
    s.person = "zoe";
    ok(ask(w, CMD_TOKEN_ADD, s) == 404, "to nobody who is not there");
    s.person = "a b";
    ok(ask(w, CMD_TOKEN_ADD, s) == 400, "whose name is one");
    s.person = NULL;
    s.expires = w->wall;
    ok(ask(w, CMD_TOKEN_ADD, s) == 400, "not for the past");
    s.expires = 0;
    s.scopes = 0;
    ok(ask(w, CMD_TOKEN_ADD, s) == 400, "not for nothing");
    s.scopes = SCOPE_READ;
    s.name = "../x";
    ok(ask(w, CMD_TOKEN_ADD, s) == 400, "not without a name");
    ok(rows(w) == n, "what is refused leaves no row");
    ok(ask(w, CMD_TOKEN_REVOKE, (say){.id = 2}) == 202 && !live(w, text, &t) && t.revoked > 0 &&
           newest(w, "ann token.revoke ci"),
       "revoked");
    ok(ask(w, CMD_TOKEN_REVOKE, (say){.id = 2}) == 409 &&
           ask(w, CMD_TOKEN_REVOKE, (say){.id = 3}) == 404 && rows(w) == n + 1,
       "once");
    ok(ask(w, CMD_TOKEN_USED, (say){.id = 1}) == 200 && rows(w) == n + 1, "its use is no deed");
}

/* The answer was lost: the request comes again. */
static void test_again(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    PW_AUTO(pw_buf_clearp) pw_buf body = PW_BUF(10000);
    store_token t;
    char first[100], second[100];
    say s = {.name = "ci", .scopes = SCOPE_BUILD, .may = SCOPE_ALL, .idem = "key-1"};
    int status;
    if (!w)
        return;
    ok(ask(w, CMD_TOKEN_ADD, s) == 201 && answered(w, first) && live(w, first, &t), "a token");
    world_restart(w, NULL);
    ok(w->core && ask(w, CMD_TOKEN_ADD, s) == 201 && told(w, "id") == 1 && answered(w, second) &&
           strcmp(first, second) != 0,
       "the same request gets the same token with another text");
    ok(live(w, second, &t) && t.id == 1 && !live(w, first, &t), "the first text is dead");
    ok(rows(w) == 1, "and it was one deed");
    ok(store_idem_get(w->st, "key-1", &status, &body, NULL) == PW_ENOTFOUND,
       "its answer is not kept under a key that others may have seen");
    s.actor = "eve";
    ok(ask(w, CMD_TOKEN_ADD, s) == 201 && told(w, "id") == 2 && live(w, second, &t),
       "somebody else with that key asks for something else");
    s.actor = NULL;
    (void)ask(w, CMD_TOKEN_USED, (say){.id = 1});
    ok(ask(w, CMD_TOKEN_ADD, s) == 409 && live(w, second, &t),
       "once it was used, the answer did arrive: no other text");
    (void)ask(w, CMD_TOKEN_REVOKE, (say){.id = 1});
    ok(ask(w, CMD_TOKEN_ADD, s) == 409 && !live(w, second, &t), "nor for one that is revoked");
}

static uint64_t owner(const world *w, const uint8_t key[32], bool *enrol)
{
    *enrol = false;
    return w->core ? core_key_owner(w->core, key, enrol) : 0;
}

static int join(world *w, uint64_t id, const uint8_t once[32], uint8_t k)
{
    uint8_t key[32];
    fill(key, 32, k);
    int r = w->core ? core_worker_join(w->core, id, once, "w1", key, NULL) : PW_ENOMEM;
    (void)world_go(w);
    return r;
}

static void test_rotation(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    uint8_t once[32], stale[32], old[32], new[32];
    bool enrol;
    if (!w)
        return;
    ok(ask(w, CMD_WORKER_ROTATE, (say){.name = "w1"}) == 404, "no such worker");
    (void)ask(w, CMD_WORKER_ADD, (say){.name = "w1"});
    ok(ask(w, CMD_WORKER_ROTATE, (say){.name = "w1"}) == 409, "one without a key");
    uint64_t id = worker(w, "w1", 1);
    fill(old, 32, 1);
    fill(new, 32, 2);
    up(w, id, 7, 1);
    say s = {.name = "w1", .idem = "r1"};
    ok(ask(w, CMD_WORKER_ROTATE, s) == 202 && strstr(w->body, "join w1") &&
           newest(w, "ann worker.rotate w1"),
       "a new line");
    crypt_public(w->secret, stale);
    ok(owner(w, stale, &enrol) == id && enrol && owner(w, old, &enrol) == id && !enrol,
       "its key and the old one, both are good");
    ok(ask(w, CMD_WORKER_ROTATE, s) == 202, "asked again since the answer was lost");
    crypt_public(w->secret, once);
    ok(owner(w, stale, &enrol) == 0 && owner(w, once, &enrol) == id && enrol,
       "there is another line, and the first is dead");
    up(w, id, 7, 1);
    world_restart(w, NULL);
    ok(owner(w, once, &enrol) == id && enrol && owner(w, old, &enrol) == id,
       "neither a session nor a restart ends it");
    ok(join(w, id, once, 1) == PW_EDENIED, "the old key does not replace itself");
    ok(join(w, id, old, 2) == PW_EDENIED, "nor does it admit another");
    up(w, id, 7, 1);
    world_forget(w);
    ok(join(w, id, once, 2) == 0 && owner(w, new, &enrol) == id && !enrol, "the new key joins");
    ok(owner(w, old, &enrol) == 0 && count(w, CORE_DROP) == 1 && last(w, CORE_DROP)->worker == id &&
           newest(w, "w1 worker.join w1"),
       "from then on the old one is dead, and its session with it");
    ok(join(w, id, once, 2) == 0 && join(w, id, once, 3) == PW_EDENIED,
       "the same may be said again, another not");
    world_restart(w, NULL);
    ok(join(w, id, once, 2) == 0 && join(w, id, once, 3) == PW_EDENIED, "after a restart, too");
    ok(ask(w, CMD_WORKER_ROTATE, s) == 409, "this request's line was used");
    up(w, id, 7, 1);
    ok(owner(w, once, &enrol) == 0 && owner(w, new, &enrol) == id, "the first session ends it");
    (void)ask(w, CMD_WORKER_ROTATE, (say){.name = "w1"});
    crypt_public(w->secret, once);
    (void)ask(w, CMD_WORKER_REMOVE, (say){.name = "w1"});
    ok(owner(w, once, &enrol) == 0 && owner(w, new, &enrol) == 0, "removed: both are dead");
}

/* One that an older master enrolled: its row does not say by which key it was used. */
static void test_older(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    uint8_t once[32];
    if (!w)
        return;
    uint64_t id = worker(w, "w1", 1);
    crypt_public(w->secret, once);
    ok(store_begin(w->st, NULL) == 0 && store_enrol_use(w->st, id, NULL, 0, NULL) == 0 &&
           store_commit(w->st, NULL) == 0,
       "a row of the version before");
    world_restart(w, NULL);
    ok(join(w, id, once, 2) == PW_EDENIED && join(w, id, once, 1) == 0,
       "was used by the key that the worker has");
    (void)ask(w, CMD_WORKER_ADD, (say){.name = "w2"});
    crypt_public(w->secret, once);
    bool enrol;
    uint64_t two = owner(w, once, &enrol);
    uint8_t key[32];
    fill(key, 32, 1);
    ok(two != id && core_worker_join(w->core, two, once, "w2", key, NULL) == PW_EDENIED,
       "one key is one worker");
}

/* Every write leaves one row, and what is refused none. */
static void test_deeds(void)
{
    PW_AUTO(world_freep) world *w = world_new(conf);
    static const char rev2[] = "abababababababababababababababababab0002";
    if (!w)
        return;
    look(w, 0, "master", 1);
    const struct {
        core_cmd_kind kind;
        say s;
        int status;
        const char *row; /* NULL: none */
    } cases[] = {
        {CMD_FORCE, {.builder = "unit", .branch = "master", .reason = "r"}, 202, "ann force unit"},
        {CMD_FORCE, {.builder = "none", .branch = "master", .reason = "r"}, 404, NULL},
        {CMD_CHANGE, {.branch = "master", .revision = rev2}, 202, "ann change master"},
        {CMD_CHANGE, {.branch = "master", .revision = rev2}, 202, "ann change master"},
        {CMD_CHANGE, {.branch = "master", .revision = "x"}, 400, NULL},
        {CMD_CANCEL_REQUEST, {.id = 1}, 202, "ann cancel request 1"},
        {CMD_CANCEL_REQUEST, {.id = 1}, 404, NULL},
        {CMD_CANCEL_BUILD, {.id = 999}, 404, NULL},
        {CMD_RETRY, {.id = 999}, 404, NULL},
        {CMD_WORKER_ADD, {.name = "w1"}, 202, "ann worker.add w1"},
        {CMD_WORKER_ADD, {.name = "a b"}, 400, NULL},
        {CMD_WORKER_ROTATE, {.name = "w1"}, 409, NULL},
        {CMD_WORKER_PAUSE, {.name = "w1"}, 202, "ann worker.pause w1"},
        {CMD_WORKER_RESUME, {.name = "w1"}, 202, "ann worker.resume w1"},
        {CMD_WORKER_DRAIN, {.name = "w1"}, 202, "ann worker.drain w1"},
        {CMD_WORKER_DRAIN, {.name = "w2"}, 404, NULL},
        {CMD_WORKER_REMOVE, {.name = "w1"}, 202, "ann worker.remove w1"},
        {CMD_PROMOTE, {.name = "stable", .dry_run = true}, 200, NULL},
        {CMD_PROMOTE, {.name = "stable"}, 202, "ann promote stable"},
        {CMD_PROMOTE, {.name = "none"}, 404, NULL},
        {CMD_TOKEN_ADD,
         {.name = "t", .scopes = SCOPE_READ, .may = SCOPE_ALL},
         201,
         "ann token.create t"},
        {CMD_TOKEN_REVOKE, {.id = 1}, 202, "ann token.revoke t"},
        {CMD_WHY, {.id = 999}, 404, NULL},
        {CMD_HEALTH, {0}, 200, NULL}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t before = rows(w);
        int status = ask(w, cases[i].kind, cases[i].s);
        ok(status == cases[i].status && rows(w) == before + (cases[i].row != NULL) &&
               (!cases[i].row || newest(w, cases[i].row)),
           "command %d, case %zu: %d, %s", (int)cases[i].kind, i, status,
           cases[i].row ? cases[i].row : "no row");
    }
    size_t before = rows(w);
    if (w->core)
        core_new_epoch(w->core, "a test");
    (void)world_go(w);
    ok(rows(w) == before + 1 && newest(w, "master epoch -"), "a new epoch");
    uint64_t id = worker(w, "w3", 3);
    up(w, id, 7, 5);
    ok(newest(w, "w3 worker.join w3") && rows(w) == before + 3, "a worker that joins");
    uint64_t r = force(w, "unit");
    ok(request(w, r).build != 0 &&
           ask(w, CMD_CANCEL_BUILD, (say){.id = request(w, r).build}) == 202,
       "a build");
    ok(rows(w) == before + 5, "that was cancelled");
    ok(ask(w, CMD_RETRY, (say){.id = request(w, r).build}) == 202 && rows(w) == before + 6,
       "and is tried again");
}

int main(void)
{
    test_tokens();
    test_again();
    test_rotation();
    test_older();
    test_deeds();
    return tap_done();
}
