/* The server as clients see it. */
#include "master/http/fixture.h"

#include "master/http/impl.h"
#include "shared/json/json.h"

static bool json_ok(const reply *r)
{
    PW_AUTO(json_freep) json_value *v = json_parse(r->body, r->body_len, NULL);
    return v != NULL;
}

static size_t items(const reply *r, uint64_t *first, uint64_t *last, char *next, size_t cap)
{
    PW_AUTO(json_freep) json_value *v = json_parse(r->body, r->body_len, NULL);
    const json_value *list = json_get(v, "items");
    size_t n = json_count(list);
    *first = (uint64_t)json_int(json_get(json_at(list, 0), "id"), 0);
    *last = n ? (uint64_t)json_int(json_get(json_at(list, n - 1), "id"), 0) : 0;
    (void)snprintf(next, cap, "%s", json_str(json_get(v, "next"), ""));
    return n;
}

static void test_builds(const world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    uint64_t first, last;
    char next[64], path[200];
    ok(get(w, "/api/v1/builds", &r) == 200 && has_header(&r, "application/json"), "builds");
    ok(items(&r, &first, &last, next, sizeof(next)) == 50 && first == WORLD_OPEN && last == 144 &&
           *next,
       "50 by default, newest first");
    (void)snprintf(path, sizeof(path), "/api/v1/builds?cursor=%s&limit=1000", next);
    ok(get(w, path, &r) == 200 && items(&r, &first, &last, next, sizeof(next)) == 71 &&
           first == 142 && last == 2 && !*next,
       "the rest follows, without a next");
    ok(get(w, "/api/v1/builds?limit=121", &r) == 200 &&
           items(&r, &first, &last, next, sizeof(next)) == 121 && !*next,
       "exactly all: no next");
    ok(get(w, "/api/v1/builds?limit=1001", &r) == 400 && is_error(&r, "bad_request"), "limit 1001");
    ok(get(w, "/api/v1/builds?limit=0", &r) == 400, "limit 0");
    ok(get(w, "/api/v1/builds?limits=5", &r) == 400 && has(&r, "did you mean \\\"limit\\\""),
       "unknown key");
    ok(get(w, "/api/v1/builds?state=running", &r) == 200 &&
           items(&r, &first, &last, next, sizeof(next)) == 1 && first == WORLD_OPEN,
       "by state");
    ok(get(w, "/api/v1/builds?state=asleep", &r) == 400, "no such state");
    ok(get(w, "/api/v1/builds?result=failure&builder=p%2Fslow&limit=3", &r) == 200 &&
           items(&r, &first, &last, next, sizeof(next)) == 3 && first == 240,
       "by result and PROJECT/BUILDER");
    ok(get(w, "/api/v1/builds?revision=abc", &r) == 400, "half a revision");
    ok(get(w, "/api/v1/builds?builder=nobody", &r) == 200 &&
           items(&r, &first, &last, next, sizeof(next)) == 0,
       "an unknown builder has none");
    ok(get(w, "/api/v1/builds/500", &r) == 200 && json_ok(&r) &&
           has(&r, "\"id\":500,\"request\":499,\"buildset\":500,\"builder\":\"fast\"") &&
           has(&r, "\"state\":\"running\",\"result\":null") &&
           has(&r, "\"started\":\"2023-11-14T22:13:20.010Z\",\"finished\":null") &&
           has(&r, "\"worker\":\"w1\",\"attempt\":1,\"retry_of\":null,\"triggered_by\":null,"
                   "\"url\":\"http://127.0.0.1:"),
       "a build");
    ok(has(&r, "\"properties\":{\"speed\":\"high\",\"flavour\":\"big\"}"),
       "its properties, those of steps before those given");
    ok(has(&r, "\"property_sources\":{\"speed\":\"step\",\"flavour\":\"worker\"}"),
       "who gave them");
    ok(has(&r, "{\"name\":\"test/unit\",\"kind\":\"run\",\"state\":\"waiting\",\"result\":null"),
       "steps that wait come from the frozen job");
    ok(get(w, "/api/v1/builds/500/steps", &r) == 200 && json_ok(&r) &&
           has(&r, "\"name\":\"compile\",\"kind\":\"run\",\"state\":\"running\""),
       "steps");
    ok(get(w, "/api/v1/builds/500/steps?attempt=2", &r) == 404, "no second attempt");
    ok(get(w, "/api/v1/builds/499", &r) == 404 && is_error(&r, "not_found"),
       "a request is no build");
    ok(get(w, "/api/v1/builds/x", &r) == 404 &&
           get(w, "/api/v1/builds/18446744073709551615", &r) == 404,
       "no number");
}

static void test_lists(const world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    ok(get(w, "/api/v1/requests?state=waiting", &r) == 200 && json_ok(&r) &&
           has(&r, "{\"id\":600,\"buildset\":600,\"builder\":\"slow\""),
       "requests");
    ok(get(w, "/api/v1/changes?project=p", &r) == 200 && json_ok(&r) &&
           has(&r, "\"subject\":\"fix <b>\\\"it\\\"</b>\"") &&
           has(&r, "\"files\":[\"a.c\",\"b.c\"]"),
       "changes");
    ok(get(w, "/api/v1/workers", &r) == 200 && json_ok(&r) &&
           has(&r, "{\"name\":\"w1\",\"state\":\"missing\",\"slots\":2,\"busy\":") &&
           has(&r, "\"tags\":[\"linux\",\"x86\"],\"facts\":{\"os\":\"Debian 12\",\"cpus\":\"4\"}"),
       "workers");
    web_worker(w->web, w->worker, true, "low disk");
    ok(get(w, "/api/v1/workers", &r) == 200 && has(&r, "\"state\":\"connected\"") &&
           has(&r, "\"gate\":\"low disk\""),
       "a session has begun");
    web_worker(w->web, w->worker, false, NULL);
    ok(get(w, "/api/v1/workers", &r) == 200 && has(&r, "\"state\":\"missing\""), "and ended");
    ok(get(w, "/api/v1/promotions?edge=stable", &r) == 200 && json_ok(&r) &&
           has(&r, "{\"id\":1,\"edge\":\"stable\",\"from\":\"master\",\"to\":\"stable\","
                   "\"revision\":\"abab") &&
           has(&r, "\"at\":\"2023-11-14T22:13:23.000Z\",\"state\":\"done\",\"reason\":null}"),
       "promotions");
    ok(get(w, "/api/v1/promotions?edges=1", &r) == 200 &&
           has(&r, "{\"id\":null,\"edge\":\"stable\"") &&
           has(&r, "\"state\":\"waiting\",\"reason\":\"fast is red\""),
       "edges");
    ok(get(w, "/api/v1/projects", &r) == 200 && json_ok(&r) &&
           has(&r, "{\"name\":\"p\",\"state\":\"new\",\"failures\":0,\"trouble\":null,"
                   "\"next_look\":null,\"builders\":[\"fast\",\"slow\"],\"branches\":[{\"name\":"
                   "\"master\",\"revision\":\"cdcd"),
       "projects");
    web_look(w->web, 1, 3, 1700000000000, "no answer");
    ok(get(w, "/api/v1/projects", &r) == 200 && json_ok(&r) &&
           has(&r, "\"state\":\"failing\",\"failures\":3,\"trouble\":\"no answer\","
                   "\"next_look\":\"2023-11-14T22:13:20.000Z\""),
       "one that cannot be read");
    web_look(w->web, 1, 0, 1700000060000, NULL);
    ok(get(w, "/api/v1/projects", &r) == 200 && has(&r, "\"state\":\"ok\",\"failures\":0"),
       "and can again");
    ok(get(w, "/api/v1/builders?project=q", &r) == 200 &&
           strcmp(r.body, "{\"items\":[{\"name\":\"fast\",\"project\":\"q\",\"paused\":null}],"
                          "\"next\":null}\n") == 0,
       "builders");
    ok(get(w, "/api/v1/builders/fast", &r) == 400 && has(&r, "p/fast, q/fast"),
       "a name in two projects: the candidates");
    ok(get(w, "/api/v1/builders/p%2Ffast", &r) == 200 && json_ok(&r) &&
           has(&r, "\"branch\":\"master\""),
       "PROJECT/NAME");
    ok(get(w, "/api/v1/builders/fast?project=q", &r) == 200 && has(&r, "\"latest\":[]"),
       "NAME and project");
    ok(get(w, "/api/v1/builders/none", &r) == 404, "no such builder");
    ok(get(w, "/api/v1/status", &r) == 200 && json_ok(&r) && has(&r, "{\"red\":1,\"items\":[") &&
           has(&r, "\"running\":[{\"id\":500"),
       "status");
    ok(get(w, "/api/v1/openapi.json", &r) == 200 && json_ok(&r) &&
           has(&r, "\"/api/v1/builds/{id}/log/{step}\":{\"get\":{"),
       "OpenAPI is JSON");
    ok(get(w, "/metrics", &r) == 200 && has(&r, "\npawl_builds_open 0\n"), "metrics");
    ok(get(w, "/badge/slow.svg", &r) == 200 && has(&r, "failure") &&
           has_header(&r, "image/svg+xml"),
       "badge");
    ok(get(w, "/badge/fast.svg", &r) == 400 && get(w, "/badge/slow.png", &r) == 404,
       "badge of what?");
}

enum { BODY_MAX = 1024 * 1024 };
static void test_refusals(const world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    static char big[BODY_MAX + 2];
    ok(get(w, "/api/v2/builds", &r) == 404 && is_error(&r, "not_found") &&
           get(w, "/api/v1/builds/", &r) == 404,
       "404");
    ok(call(w, "POST", "/api/v1/builds", NULL, "{}", &r) == 405 && has_header(&r, "Allow: GET"),
       "405");
    ok(call(w, "DELETE", "/api/v1/force", NULL, NULL, &r) == 405 && has_header(&r, "Allow: POST"),
       "405 the other way");
    ok(get(w, "/api/v1/builds/%zz", &r) == 400 && get(w, "/api/v1/builds/%00", &r) == 400,
       "bad percent-encoding");
    ok(call(w, "POST", "/api/v1/force", NULL, "{}", &r) == 401 && is_error(&r, "unauthorized") &&
           has_header(&r, "WWW-Authenticate: Bearer"),
       "401 without a token");
    ok(call(w, "POST", "/api/v1/force", "Authorization: Bearer wrong\r\n", "{}", &r) == 401,
       "401 with a wrong one");
    ok(call(w, "GET", "/api/v1/builds", "Authorization: Bearer wrong\r\n", NULL, &r) == 401,
       "also where none is needed");
    ok(call(w, "POST", "/api/v1/workers", "Authorization: Bearer t-build\r\n", "{\"name\":\"w\"}",
            &r) == 403 &&
           is_error(&r, "forbidden"),
       "403 without the scope");
    memset(big, ' ', BODY_MAX + 1);
    big[0] = '{';
    big[BODY_MAX - 1] = '}';
    big[BODY_MAX] = '\0';
    ok(call(w, "POST", "/api/v1/builds/1/retry", "Authorization: Bearer t-build\r\n", big, &r) ==
           202,
       "a body of 1 MiB");
    big[BODY_MAX] = ' ';
    ok(call(w, "POST", "/api/v1/builds/1/retry", "Authorization: Bearer t-build\r\n", big, &r) ==
               413 &&
           is_error(&r, "too_large"),
       "and a byte more");
    ok(call(w, "POST", "/api/v1/builds/1/retry",
            "Authorization: Bearer t-build\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n",
            NULL, &r) == 413,
       "refused before the body is sent");
    ok(call(w, "HEAD", "/api/v1/builds", NULL, NULL, &r) == 200 && r.body_len == 0, "HEAD");
}

static void test_etag(const world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    char header[200] = "";
    ok(get(w, "/api/v1/builds/2", &r) == 200 && has_header(&r, "ETag: W/\""), "ETag");
    const char *tag = strcasestr(r.all.p, "ETag: ");
    if (tag)
        (void)snprintf(header, sizeof(header), "If-None-Match: %.*s\r\n",
                       (int)strcspn(tag + 6, "\r"), tag + 6);
    ok(call(w, "GET", "/api/v1/builds/2", header, NULL, &r) == 304 && r.body_len == 0, "304");
    ok(call(w, "GET", "/api/v1/builds/4", header, NULL, &r) == 200, "another one is another one");
}

static void test_posts(world *w)
{
    static const char bob[] = "Authorization: Bearer t-build\r\nIdempotency-Key: k-1\r\n";
    static const char root[] = "Authorization: Bearer t-admin\r\n";
    PW_AUTO(reply_clear) reply r = {0};
    char seen[400];
    core_cmd_kind kind;
    uint64_t id;
    ok(call(w, "POST", "/api/v1/force", bob,
            "{\"builder\":\"fast\",\"branch\":\"x\",\"reason\":\"why "
            "not\",\"properties\":{\"a\":\"1\"}}",
            &r) == 202 &&
           strcmp(r.body, "{\"buildset\":7,\"requests\":[17]}\n") == 0,
       "force is answered by the core");
    world_saw(w, seen, &kind, &id);
    ok(kind == CMD_FORCE && strcmp(seen, "k-1|ci|fast|x|why not|-|a=1") == 0,
       "with key, actor and values: %s", seen);
    ok(call(w, "POST", "/api/v1/force", bob, "{\"branch\":\"x\"}", &r) == 400 &&
           has(&r, "\\\"builder\\\" is missing"),
       "a required key");
    ok(call(w, "POST", "/api/v1/force", bob, "{\"bulder\":\"x\"}", &r) == 400 &&
           has(&r, "did you mean \\\"builder\\\""),
       "an unknown key");
    ok(call(w, "POST", "/api/v1/force", bob, "{\"builder\":7}", &r) == 400, "a wrong type");
    ok(call(w, "POST", "/api/v1/force", bob, "[]", &r) == 400 &&
           call(w, "POST", "/api/v1/force", bob, "{", &r) == 400,
       "no object");
    ok(call(w, "POST", "/api/v1/force", bob,
            "{\"builder\":\"fast\",\"properties\":{\"branch\":\"x\"}}", &r) == 400,
       "a property of Pawl's own");
    ok(call(w, "POST", "/api/v1/force", bob,
            "{\"builder\":\"fast\",\"properties\":{\"A b\":\"x\"}}", &r) == 400,
       "a property's name");
    ok(call(w, "POST", "/api/v1/builds/404/cancel", bob, "", &r) == 404 &&
           is_error(&r, "not_found"),
       "the core says 404");
    ok(call(w, "POST", "/api/v1/builds/409/cancel", bob, "{\"reason\":\"r\"}", &r) == 409 &&
           is_error(&r, "conflict"),
       "the core says 409");
    ok(call(w, "POST", "/api/v1/requests/600/cancel", bob, NULL, &r) == 202, "without a body");
    world_saw(w, seen, &kind, &id);
    ok(kind == CMD_CANCEL_REQUEST && id == 600, "id of the path");
    ok(call(w, "GET", "/api/v1/requests/600/why", NULL, NULL, &r) == 200, "why");
    ok(call(w, "POST", "/api/v1/workers/w1/pause", root, "{\"reason\":\"hot\"}", &r) == 202,
       "pause, with admin for operate");
    world_saw(w, seen, &kind, &id);
    ok(kind == CMD_WORKER_PAUSE && strcmp(seen, "-|root|-|-|hot|w1|=") == 0, "name of the path: %s",
       seen);
    ok(call(w, "POST", "/api/v1/workers/w1/dance", root, "{}", &r) == 404,
       "a worker does not dance");
    ok(call(w, "DELETE", "/api/v1/workers/w1", root, NULL, &r) == 202, "remove");
    ok(call(w, "POST", "/api/v1/workers", root, "{\"name\":\"w9\"}", &r) == 202, "add");
    ok(call(w, "POST", "/api/v1/promotions/a%2Fb/run", root, "{\"dry_run\":true}", &r) == 202,
       "promote");
    world_saw(w, seen, &kind, &id);
    ok(kind == CMD_PROMOTE && strcmp(seen, "-|root|-|-|-|a/b|=") == 0,
       "%%2F in a part of the path: %s", seen);
    ok(call(w, "POST", "/api/v1/changes", bob, "{\"branch\":\"b\",\"revision\":\"r\"}", &r) == 202,
       "change");
    ok(get(w, "/healthz", &r) == 200 && has(&r, "\"status\":\"ok\""), "health");
}

/* The same connection serves several requests, also after a command had suspended it. */
static void test_keep_alive(const world *w)
{
    PW_AUTO(pw_closep) int fd = client_open(w);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1 << 20);
    bool fine = fd >= 0;
    for (int i = 0; i < 3 && fine; i++)
        fine = client_send(fd, "POST", "/api/v1/builds/2/retry",
                           "Authorization: Bearer t-build\r\n", "{}") &&
               until(fd, &b, "HTTP/1.1 202") && until(fd, &b, "[17]}\n") &&
               client_send(fd, "GET", "/api/v1/builds/2", NULL, NULL) &&
               until(fd, &b, "HTTP/1.1 200") && until(fd, &b, "]}\n");
    ok(fine, "one connection, six requests");
}

static void test_rate(const world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    int n = 0;
    while (n < 2 * WEB_FAILURES &&
           call(w, "GET", "/api/v1/builds", "Authorization: Bearer guess\r\n", NULL, &r) == 401)
        n++;
    ok(n < 2 * WEB_FAILURES && r.status == 429 && is_error(&r, "rate_limited"),
       "guessing is answered by 429 (after %d)", n);
    ok(call(w, "GET", "/api/v1/builds", "Authorization: Bearer t-read\r\n", NULL, &r) == 200,
       "a right token passes still");
}

static void test_closed(void)
{
    PW_AUTO(reply_clear) reply r = {0};
    world w = {0};
    bool open = world_open(&w, true);
    ok(open, "a server that is closed to strangers");
    if (open) {
        ok(get(&w, "/api/v1/builds", &r) == 401 && get(&w, "/", &r) == 401, "GET needs a token");
        ok(call(&w, "GET", "/api/v1/builds", "Authorization: Bearer t-build\r\n", NULL, &r) == 403,
           "and one that may read");
        ok(call(&w, "GET", "/api/v1/builds", "Authorization: Bearer t-read\r\n", NULL, &r) == 200,
           "read");
        ok(get(&w, "/healthz", &r) == 200 &&
               strcmp(r.body, "{\"status\":\"ok\",\"checks\":[]}\n") == 0,
           "health is for all, what is told with it is not");
        ok(call(&w, "GET", "/healthz", "Authorization: Bearer t-read\r\n", NULL, &r) == 200 &&
               has(&r, "\"name\":\"repository p\""),
           "but for who may read");
        ok(call(&w, "GET", "/healthz", "Authorization: Bearer no\r\n", NULL, &r) == 401,
           "a wrong token is told so");
        web_options again = {
            .listen = strstr(web_address(w.web), "127"), .db = w.db, .host = &pw_host_real};
        pw_err err = {0};
        ok(!web_start(&again, &err) && err.code == PW_ECONFLICT && strstr(err.text, again.listen),
           "an address that is taken is named");
    }
    world_close(&w);
}

int main(void)
{
    world w = {0};
    bool open = world_open(&w, false);
    ok(open, "a server");
    if (open) {
        test_builds(&w);
        test_lists(&w);
        test_refusals(&w);
        test_etag(&w);
        test_posts(&w);
        test_keep_alive(&w);
        test_rate(&w);
    }
    world_close(&w);
    test_closed();
    return tap_done();
}
