/* Who may do what, asked over the wire: every route that writes, tokens, people, the trail. */
#include <poll.h>

#include "master/http/fixture.h"

#include "master/http/impl.h"
#include "shared/json/json.h"

static const char ada[] = "Authorization: Bearer t-ada\r\n";
static const char root[] = "Authorization: Bearer t-admin\r\n";
enum { NOW_FAR = 4102444800000 }; /* the year 2100 */

static config *people(const char *text)
{
    yaml_errors e = {0};
    config *c = config_load_text(NULL, text, strlen(text), &e);
    yaml_errors_clear(&e);
    return c;
}

static bool add(world *w, const char *text, const char *scopes, const char *person, pw_msec expires,
                uint64_t *ret_id)
{
    store_token t = {.name = text,
                     .scopes = scopes,
                     .person = person,
                     .creator = "root",
                     .created = 1,
                     .expires = expires};
    crypt_hash(text, strlen(text), t.hash);
    return store_token_add(w->st, &t, ret_id, NULL) == 0;
}

static bool tokens(world *w, uint64_t *ret_ada)
{
    uint64_t id;
    return store_begin(w->st, NULL) == 0 && add(w, "t-land", "land", NULL, 0, &id) &&
           add(w, "t-operate", "operate", NULL, 0, &id) &&
           add(w, "t-ada", "read build admin", "ada", 0, ret_ada) &&
           add(w, "t-zoe", "read build", "zoe", 0, &id) &&
           add(w, "t-old", "admin", NULL, 1700000000000, &id) &&
           add(w, "t-soon", "read", NULL, NOW_FAR, &id) && store_commit(w->st, NULL) == 0;
}

static void path_of(const char *pattern, char out[200])
{
    size_t n = 0;
    for (const char *p = pattern; *p && n < 190; p++) {
        out[n++] = *p == '{' ? '7' : *p;
        if (*p == '{')
            p = strchr(p, '}');
    }
    out[n] = '\0';
}

/* Routes that ask in another way who writes, each with a test of its own. */
static bool asks_itself(const char *pattern)
{
    static const char *const heads[] = {"/hooks/", "/login", "/logout", "/session"};
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
        if (strncmp(pattern, heads[i], strlen(heads[i])) == 0)
            return true;
    return false;
}

/* The table itself is walked, so a route that is added is tried too. */
static void test_routes(world *w)
{
    static const char *const scopes[] = {"read", "build", "land", "operate", "admin"};
    PW_AUTO(reply_clear) reply r = {0};
    char path[200], header[100];
    unsigned writes = 0, before = atomic_load(&w->asked);
    for (size_t i = 0; i < web_n_routes; i++) {
        const web_route *t = &web_routes[i];
        if (strcmp(t->method, "GET") == 0 || asks_itself(t->pattern))
            continue;
        writes++;
        w->from = (uint8_t)(2 + writes / 10); /* not to be told that these are too many */
        path_of(t->pattern, path);
        unsigned need = scopes_parse(t->scope, NULL);
        ok(need != 0 && strcmp(t->scope, "read") != 0, "%s %s needs a scope that may write",
           t->method, t->pattern);
        ok(call(w, t->method, path, NULL, "{}", &r) == 401 && is_error(&r, "unauthorized"),
           "%s %s: not without a token", t->method, t->pattern);
        for (size_t k = 0; k < 5; k++) {
            if (strcmp(scopes[k], t->scope) == 0 || strcmp(scopes[k], "admin") == 0)
                continue;
            (void)snprintf(header, sizeof(header), "Authorization: Bearer t-%s\r\n", scopes[k]);
            ok(call(w, t->method, path, header, "{}", &r) == 403 && is_error(&r, "forbidden"),
               "%s %s: not with %s", t->method, t->pattern, scopes[k]);
        }
    }
    w->from = 0;
    ok(writes >= 12, "%u routes write", writes);
    ok(atomic_load(&w->asked) == before, "the core heard of none of it");
    /* what only an administrator sees */
    ok(call(w, "GET", "/api/v1/tokens", NULL, NULL, &r) == 401 &&
           call(w, "GET", "/api/v1/audit", "Authorization: Bearer t-operate\r\n", NULL, &r) == 403,
       "tokens and the trail are not open to all");
}

static bool refused_is(const world *w, const char *code, int n)
{
    PW_AUTO(reply_clear) reply r = {0};
    char text[100];
    (void)snprintf(text, sizeof(text), "pawl_http_refused_total{code=\"%s\"} %d\n", code, n);
    return get(w, "/metrics", &r) == 200 && has(&r, text);
}

static void test_people(world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    char seen[400];
    core_cmd_kind kind;
    uint64_t id;
    ok(refused_is(w, "forbidden", 0), "nothing was refused yet");
    ok(call(w, "POST", "/api/v1/builds/2/retry", ada, "{}", &r) == 202,
       "a token of a developer builds");
    world_saw(w, seen, &kind, &id);
    ok(strcmp(seen, "-|ada|-|-|-|-|=") == 0, "in the name of the person: %s", seen);
    ok(call(w, "POST", "/api/v1/workers", ada, "{\"name\":\"x\"}", &r) == 403 &&
           has(&r, "\\\"ada\\\" does not have the scope \\\"admin\\\""),
       "but is not more than she is, whatever it was made for");
    ok(refused_is(w, "forbidden", 1), "which is counted");
    ok(call(w, "GET", "/api/v1/builds", "Authorization: Bearer t-zoe\r\n", NULL, &r) == 401 &&
           has(&r, "\\\"zoe\\\", who is not among the people"),
       "a token of somebody who is not there");
    ok(call(w, "GET", "/api/v1/builds", "Authorization: Bearer t-old\r\n", NULL, &r) == 401 &&
           has(&r, "has expired"),
       "one that has expired");
    ok(call(w, "GET", "/api/v1/builds", "Authorization: Bearer t-soon\r\n", NULL, &r) == 200,
       "one that has not");
    ok(refused_is(w, "unauthorized", 2), "all is counted");
    /* the first use of each is told beside the answer, perhaps a little later */
    for (int i = 0; i < 500 && atomic_load(&w->uses) < 2; i++)
        (void)poll(NULL, 0, 10);
    unsigned uses = atomic_load(&w->uses);
    ok(uses == 2, "the first uses of two tokens were told (%u)", uses);
    for (int i = 0; i < 5; i++)
        (void)call(w, "GET", "/api/v1/builds", "Authorization: Bearer t-soon\r\n", NULL, &r);
    ok(atomic_load(&w->uses) == uses, "the use of a token is told once a minute");
}

static void test_making(world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    ok(call(w, "POST", "/api/v1/tokens", root,
            "{\"name\":\"ci\",\"scopes\":[\"build\",\"land\"],\"person\":\"ada\","
            "\"expires\":\"2100-01-01T00:00:00Z\"}",
            &r) == 202 &&
           w->kind == CMD_TOKEN_ADD && w->scopes == (SCOPE_BUILD | SCOPE_LAND) &&
           w->may == SCOPE_ALL && w->expires == NOW_FAR && strcmp(w->person, "ada") == 0,
       "what a token is to be goes to the core");
    ok(call(w, "POST", "/api/v1/tokens", root, "{\"name\":\"ci\",\"scopes\":\"operate read\"}",
            &r) == 202 &&
           w->scopes == (SCOPE_OPERATE | SCOPE_READ) && w->expires == 0,
       "scopes as one text");
    ok(call(w, "POST", "/api/v1/tokens", root, "{\"name\":\"ci\"}", &r) == 202 &&
           w->scopes == SCOPE_READ,
       "to read, when nothing is said");
    ok(call(w, "POST", "/api/v1/tokens", root, "{\"name\":\"ci\",\"person\":\"ada\"}", &r) == 202 &&
           w->scopes == (SCOPE_READ | SCOPE_BUILD | SCOPE_LAND),
       "or what the person may");
    ok(call(w, "POST", "/api/v1/tokens", root, "{\"name\":\"ci\",\"scopes\":[\"root\"]}", &r) ==
               400 &&
           has(&r, "not \\\"root\\\""),
       "no such scope");
    ok(call(w, "POST", "/api/v1/tokens", root, "{\"name\":\"ci\",\"scopes\":[]}", &r) == 400 &&
           call(w, "POST", "/api/v1/tokens", root, "{\"name\":\"ci\",\"scopes\":[7]}", &r) == 400 &&
           call(w, "POST", "/api/v1/tokens", root, "{\"name\":\"ci\",\"expires\":\"soon\"}", &r) ==
               400 &&
           call(w, "POST", "/api/v1/tokens", root, "{\"scopes\":\"read\"}", &r) == 400,
       "scopes, times and names are read strictly");
    ok(call(w, "POST", "/api/v1/workers/w1/rotate", root, "{}", &r) == 202 &&
           w->kind == CMD_WORKER_ROTATE,
       "a key is replaced");
    ok(call(w, "POST", "/api/v1/workers/w1/rotate", "Authorization: Bearer t-operate\r\n", "{}",
            &r) == 403,
       "by administrators, not by who may pause a worker");
}

static void test_lists(world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    (void)store_begin(w->st, NULL);
    (void)store_audit_add(w->st, 1700000000000, "ada", "force", "fast", "because", NULL);
    (void)store_audit_add(w->st, 1700000001000, "root", "worker.add", "w1", NULL, NULL);
    (void)store_commit(w->st, NULL);
    ok(call(w, "GET", "/api/v1/tokens?limit=3", root, NULL, &r) == 200 &&
           has(&r, "{\"id\":8,\"name\":\"t-old\",\"state\":\"expired\",\"scopes\":[\"admin\"],"
                   "\"person\":null,\"creator\":\"root\"") &&
           has(&r, "\"name\":\"t-zoe\",\"state\":\"nobody\"") && !has(&r, "\"next\":null") &&
           !has(&r, "hash"),
       "tokens, without what is secret");
    ok(call(w, "GET", "/api/v1/audit", root, NULL, &r) == 200 &&
           strcmp(r.body, "{\"items\":[{\"id\":2,\"at\":\"2023-11-14T22:13:21.000Z\",\"actor\":"
                          "\"root\",\"action\":\"worker.add\",\"object\":\"w1\",\"text\":null},"
                          "{\"id\":1,\"at\":\"2023-11-14T22:13:20.000Z\",\"actor\":\"ada\","
                          "\"action\":\"force\",\"object\":\"fast\",\"text\":\"because\"}],"
                          "\"next\":null}\n") == 0,
       "the trail");
    ok(call(w, "GET", "/api/v1/audit?limit=1", root, NULL, &r) == 200 && has(&r, "\"id\":2,") &&
           !has(&r, "\"id\":1,") && !has(&r, "\"next\":null"),
       "by pages");
    ok(call(w, "GET", "/api/v1/audit?actor=ada", root, NULL, &r) == 200 && !has(&r, "root") &&
           call(w, "GET", "/api/v1/audit?since=2023-11-14T22:13:21Z", root, NULL, &r) == 200 &&
           !has(&r, "ada") && has(&r, "root") &&
           call(w, "GET", "/api/v1/audit?since=yesterday", root, NULL, &r) == 400,
       "of one actor, since a time");
}

/* An open stream ends when its token is revoked, and when its person goes. */
static bool ends(int fd, pw_buf *b)
{
    for (;;) {
        pw_buf_reset(b);
        char *p = pw_buf_room(b, 4097);
        ssize_t n = p ? recv(fd, p, 4096, 0) : -1;
        if (n <= 0)
            return n == 0;
    }
}

static void test_streams(world *w, uint64_t id)
{
    PW_AUTO(reply_clear) reply r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1 << 20), other = PW_BUF(1 << 20);
    char path[100];
    PW_AUTO(pw_closep) int fd = client_open(w);
    PW_AUTO(pw_closep) int log = client_open(w);
    PW_AUTO(pw_closep) int open = client_open(w);
    const char *close = "Authorization: Bearer t-ada\r\nConnection: close\r\n";
    ok(client_send(fd, "GET", "/api/v1/events", close, NULL) && until(fd, &b, "retry: 1000") &&
           client_send(log, "GET", "/api/v1/builds/500/log/compile?follow=1", close, NULL) &&
           until(log, &b, "HTTP/1.1 200") &&
           client_send(open, "GET", "/api/v1/events", "Connection: close\r\n", NULL) &&
           until(open, &other, "retry: 1000"),
       "three streams");
    (void)store_begin(w->st, NULL);
    ok(store_token_revoke(w->st, id, 5, NULL) == 0 && store_commit(w->st, NULL) == 0, "revoked");
    (void)snprintf(path, sizeof(path), "/api/v1/tokens/%d", (int)id);
    ok(call(w, "DELETE", path, root, NULL, &r) == 202 && w->kind == CMD_TOKEN_REVOKE, "and told");
    ok(ends(fd, &b) && ends(log, &b), "its streams end at once");
    ok(call(w, "GET", "/api/v1/builds", ada, NULL, &r) == 401 && has(&r, "was revoked"),
       "and it is good for nothing");
    (void)store_begin(w->st, NULL);
    (void)world_event(w, EVENT_CHANGE, 1);
    (void)store_commit(w->st, NULL);
    web_events(w->web, w->event);
    ok(until(open, &other, "event: change"), "what is open to all goes on");
    PW_AUTO(pw_closep) int zoe = client_open(w);
    config *with = people("people:\n  - {name: zoe, roles: reader}\n");
    config *without = people("people: []\n");
    web_configure(w->web, with);
    ok(client_send(zoe, "GET", "/api/v1/events",
                   "Authorization: Bearer t-zoe\r\nConnection: close\r\n", NULL) &&
           until(zoe, &b, "retry: 1000"),
       "somebody who is there now");
    web_configure(w->web, without);
    ok(ends(zoe, &b), "and not any more");
    config_unref(with);
    config_unref(without);
}

/* A write whose body is still on its way when its token is revoked is not done. */
static void test_late(world *w)
{
    uint64_t id = 0;
    for (int revoke = 0; revoke < 2; revoke++) {
        PW_AUTO(pw_closep) int fd = client_open(w);
        PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1 << 20);
        unsigned uses = atomic_load(&w->uses), asked = atomic_load(&w->asked);
        bool made = store_begin(w->st, NULL) == 0;
        made = made && add(w, revoke ? "t-late" : "t-other", "build", NULL, 0, &id);
        ok(store_commit(w->st, NULL) == 0 && made, "a token");
        PW_AUTO(pw_freep)
        char *head = pw_strf("POST /api/v1/force HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                             "Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
                             "Content-Length: 20\r\n\r\n",
                             revoke ? "t-late" : "t-other");
        bool sent = head && pw_fs_write_all(fd, head, strlen(head), NULL) == 0;
        for (int i = 0; i < 500 && atomic_load(&w->uses) == uses; i++)
            (void)poll(NULL, 0, 10);
        ok(sent && atomic_load(&w->uses) == uses + 1, "its head was looked at");
        (void)store_begin(w->st, NULL);
        ok((!revoke || store_token_revoke(w->st, id, 5, NULL) == 0) &&
               store_commit(w->st, NULL) == 0,
           "it is revoked, or not");
        web_access_changed(w->web);
        ok(pw_fs_write_all(fd, "{\"builder\":\"p/fast\"}", 20, NULL) == 0 &&
               until(fd, &b, revoke ? "HTTP/1.1 401" : "HTTP/1.1 202") &&
               atomic_load(&w->asked) == asked + !revoke,
           revoke ? "refused" : "done");
    }
}

int main(void)
{
    world w = {.conf = people("people:\n  - {name: ada, roles: [developer]}\n")};
    config *conf = w.conf;
    uint64_t id = 0;
    bool open = world_open(&w, false);
    ok(open && tokens(&w, &id), "a server with people");
    if (open) {
        test_people(&w);
        test_making(&w);
        test_lists(&w);
        test_streams(&w, id);
        test_late(&w);
    }
    world_close(&w);
    w.conf = NULL;
    open = world_open(&w, false);
    ok(open && tokens(&w, &id), "another one");
    if (open)
        test_routes(&w);
    world_close(&w);
    config_unref(conf);
    return tap_done();
}
