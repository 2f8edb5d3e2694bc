/* What pages ask for: branches, the console, histories, searching, requests with their reasons. */
#include "master/http/fixture.h"

#include "master/http/impl.h"
#include "shared/json/json.h"

static const char yaml[] =
    "name: here\n"
    "projects:\n"
    "  - {name: p, repository: /r, branches: [master, side]}\n"
    "builders:\n"
    "  - {name: fast, project: p, steps: [{run: a}]}\n"
    "  - {name: slow, project: p, steps: [{run: a}]}\n"
    "promotions:\n"
    "  - {name: stable, kind: green, project: p, from: master, to: stable, builders: [slow]}\n";

static bool rows(world *w)
{
    store_rev at = world_rev(0xab), tip = world_rev(0xcd);
    uint64_t stamp = 0;
    store_change c = {.id = 2, .at = 1700000009000, .tip = true};
    c.subject = (char *)(uintptr_t) "two";
    bool fine = store_begin(w->st, NULL) == 0 &&
                store_tip_put(w->st, w->project, "refs/heads/stable", &at, NULL) == 0 &&
                store_tip_put(w->st, w->project, "refs/heads/side", &tip, NULL) == 0 &&
                store_tip_put(w->st, w->project, "refs/heads/none/of ours", &tip, NULL) == 0 &&
                store_stamp_id(w->st, w->project, "master", &tip, &stamp, NULL) == 0;
    c.stamp = stamp;
    fine = fine && store_change_add(w->st, &c, NULL) == 0;
    return store_commit(w->st, NULL) == 0 && fine;
}

static bool json_ok(const reply *r)
{
    PW_AUTO(json_freep) json_value *v = json_parse(r->body, r->body_len, NULL);
    if (!v)
        printf("# %s\n", r->body);
    return v != NULL;
}

/* World: builds 2..240 by turns green (id 4n+2) and red; every third one of slow. */
static void test_branches(const world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    char next[300], path[400];
    ok(get(w, "/api/v1/branches", &r) == 200 && json_ok(&r) &&
           has(&r, "{\"project\":\"p\",\"branch\":\"master\",\"revision\":\"cdcd") &&
           has(&r, "\"at\":\"2023-11-14T22:13:29.000Z\",\"state\":\"red\""),
       "a branch");
    ok(has(&r, "{\"builder\":\"fast\",\"build\":500,\"state\":\"running\",\"result\":null") &&
           has(&r, "{\"builder\":\"slow\",\"build\":240,\"state\":\"done\",\"result\":\"failure\""),
       "its builders, with the newest build of each");
    ok(has(&r, "\"edges\":[{\"edge\":\"stable\",\"kind\":\"green\",\"from\":\"master\",\"to\":"
               "\"stable\",\"revision\":\"abab") &&
           has(&r, "\"behind\":1,\"state\":\"waiting\",\"reason\":\"fast is red\",\"held_by\":["
                   "\"slow\"]}]"),
       "where the promoted branch stands, and what holds it");
    ok(has(&r, "\"branch\":\"side\"") && has(&r, "\"branch\":\"stable\"") &&
           !has(&r, "none/of ours"),
       "what is built or promoted to, not the rest");
    ok(strstr(r.body, "\"master\"") < strstr(r.body, "\"branch\":\"side\""), "by name");
    ok(get(w, "/api/v1/branches?state=red", &r) == 200 && has(&r, "\"branch\":\"master\"") &&
           !has(&r, "\"branch\":\"side\""),
       "red ones");
    ok(get(w, "/api/v1/branches?state=none&branch=side&project=p", &r) == 200 &&
           has(&r, "\"branch\":\"side\"") && has(&r, "\"builders\":[]"),
       "one of which nothing is known");
    ok(get(w, "/api/v1/branches?project=q", &r) == 200 && has(&r, "\"items\":[]"),
       "a project that the configuration does not have");
    ok(get(w, "/api/v1/branches?limit=1", &r) == 200 && has(&r, "\"branch\":\"master\"") &&
           !has(&r, "\"branch\":\"side\"") && has(&r, "\"next\":\"n"),
       "a page of one");
    const char *at = strstr(r.body, "\"next\":\"");
    (void)snprintf(next, sizeof(next), "%.*s", at ? (int)strcspn(at + 8, "\"") : 0,
                   at ? at + 8 : "");
    (void)snprintf(path, sizeof(path), "/api/v1/branches?limit=2&cursor=%s", next);
    ok(get(w, path, &r) == 200 && has(&r, "\"branch\":\"side\"") &&
           has(&r, "\"branch\":\"stable\"") && !has(&r, "\"branch\":\"master\"") &&
           has(&r, "\"next\":null"),
       "the next page");
    ok(get(w, "/api/v1/branches?cursor=b12", &r) == 400 &&
           get(w, "/api/v1/branches?cursor=n0", &r) == 400 &&
           get(w, "/api/v1/branches?cursor=n00", &r) == 400 &&
           get(w, "/api/v1/branches?cursor=", &r) == 400,
       "not a cursor");
    ok(get(w, "/api/v1/branches?state=blue", &r) == 400, "not a colour");
}

static void test_console(const world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    ok(get(w, "/api/v1/console?project=p&branch=master", &r) == 200 && json_ok(&r) &&
           has(&r, "{\"items\":[{\"id\":2,") && has(&r, "\"title\":\"two\""),
       "changes, newest first");
    ok(has(&r, "\"promoted\":[],\"builds\":[]}") && has(&r, "\"promoted\":[\"stable\"],\"builds\":["
                                                            "{\"builder\":\"fast\",\"id\":2,"),
       "what stands there and what was built of it");
    ok(get(w, "/api/v1/console?limit=1", &r) == 200 && has(&r, "\"id\":2,") &&
           has(&r, "\"next\":\"b2\""),
       "a page of one");
    ok(get(w, "/api/v1/console?cursor=b2", &r) == 200 && has(&r, "\"title\":\"fix ") &&
           !has(&r, "\"title\":\"two\"") && has(&r, "\"next\":null"),
       "the next page");
}

static void test_build(const world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    ok(get(w, "/api/v1/builds/500/changes", &r) == 200 && json_ok(&r) &&
           has(&r, "{\"since\":238,\"items\":[],\"more\":false"),
       "nothing changed since the last green one");
    ok(get(w, "/api/v1/builds/2/changes", &r) == 200 &&
           has(&r, "{\"since\":null,\"items\":[{\"id\":1"),
       "before the first green one: all");
    ok(get(w, "/api/v1/builds/999/changes", &r) == 404, "no such build");
    ok(get(w, "/api/v1/builds/500/changes?limit=0", &r) == 400, "no room");
    ok(get(w, "/api/v1/builds/500", &r) == 200 && json_ok(&r) && has(&r, "\"usual_ms\":2000,") &&
           has(&r, "\"usual_ms\":null}"),
       "what it usually takes, and steps of which nothing is known");
    ok(get(w, "/api/v1/builds/2", &r) == 200 && has(&r, "\"usual_ms\":null"),
       "nothing was before the first");
}

static void test_history(const world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    ok(get(w, "/api/v1/builders/slow/history", &r) == 200 && json_ok(&r) &&
           has(&r, "{\"items\":[{\"id\":240,\"branch\":\"master\",\"revision\":\"abab") &&
           has(&r, "\"duration_ms\":2000}") &&
           has(&r, "\"median_ms\":2000,\"p95_ms\":2000,\"per_day\":[{\"day\":\"2023-11-14\","
                   "\"builds\":40,\"red\":20}],\"next\":null}"),
       "a builder's history");
    ok(get(w, "/api/v1/builders/p%2Ffast/history?branch=master&limit=1", &r) == 200 &&
           has(&r, "\"id\":500,") && has(&r, "\"duration_ms\":null}],\"median_ms\":null") &&
           has(&r, "\"per_day\":[]") && has(&r, "\"next\":\"b1f4\""),
       "one that runs");
    ok(get(w, "/api/v1/builders/fast/history", &r) == 400 && has(&r, "several projects"),
       "which one");
    ok(get(w, "/api/v1/builders/nobody/history", &r) == 404, "no such builder");
}

static void test_search(const world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    ok(get(w, "/api/v1/search?q=500", &r) == 200 && json_ok(&r) &&
           has(&r, "{\"kind\":\"build\",\"text\":\"build 500: fast on master\",\"url\":"
                   "\"/builds/500\"}"),
       "a build");
    ok(get(w, "/api/v1/search?q=%23600", &r) == 200 &&
           has(&r, "{\"kind\":\"request\",\"text\":\"request 600: slow on master\",\"url\":"
                   "\"/requests/600\"}"),
       "a request, with #");
    ok(get(w, "/api/v1/search?q=SLO", &r) == 200 &&
           has(&r, "{\"kind\":\"builder\",\"text\":\"p/slow\",\"url\":\"/builders/p%2Fslow\"}"),
       "a builder by a part of its name");
    ok(get(w, "/api/v1/search?q=of%20our", &r) == 200 &&
           has(&r, "{\"kind\":\"branch\",\"text\":\"none/of ours of p\",\"url\":"
                   "\"/branches/p/none%2Fof%20ours\"}"),
       "a branch");
    ok(get(w, "/api/v1/search?q=abab", &r) == 200 && has(&r, "{\"kind\":\"commit\"") &&
           has(&r, "/changes?project=p&branch=master#abab"),
       "a revision");
    ok(get(w, "/api/v1/search?q=w1", &r) == 200 &&
           has(&r, "{\"kind\":\"worker\",\"text\":\"w1\",\"url\":\"/workers/w1\"}"),
       "a worker");
    ok(get(w, "/api/v1/search?q=zzz", &r) == 200 && has(&r, "{\"items\":[],\"next\":null}"),
       "nothing");
    ok(get(w, "/api/v1/search", &r) == 400 && get(w, "/api/v1/search?q=", &r) == 400,
       "what for is not said");
    ok(get(w, "/api/v1/meta", &r) == 200 && json_ok(&r) &&
           has(&r, "{\"name\":\"here\",\"version\":\"" PW_VERSION "\",\"page\":\"") &&
           has(&r, "\"zone\":\""),
       "meta");
}

static void test_outside(world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    ok(get(w, "/badge/p%2Fslow.svg", &r) == 200 && has_header(&r, "image/svg+xml") &&
           has(&r, "aria-label=\"slow: failure\"") && has(&r, "fill=\"#c0271f\""),
       "a badge of a red builder");
    ok(get(w, "/badge/fast.svg?project=p&branch=master", &r) == 200 && has(&r, "fast: success") &&
           has(&r, "fill=\"#1b7a3a\""),
       "of a green one, by project and branch");
    ok(get(w, "/badge/fast.svg?project=p&branch=side", &r) == 200 && has(&r, "fast: not built") &&
           has(&r, "fill=\"#59606b\""),
       "of one that was not built there");
    ok(get(w, "/badge/fast.svg", &r) == 400 && get(w, "/badge/slow.png", &r) == 404,
       "of which, of what");
    ok(get(w, "/atom/p?branch=master", &r) == 200 && has_header(&r, "application/atom+xml") &&
           has(&r, "<title>p: master</title>") &&
           has(&r, "<entry><title>slow on master: failure</title><id>http://127.0.0.1:") &&
           has(&r, "/builds/240</id><updated>2023-11-14T22:13:22.010Z</updated>") &&
           has(&r, ": step test failed</summary></entry>") && !has(&r, "/builds/500<"),
       "a feed of what is finished");
    size_t n = 0;
    for (const char *p = r.body; (p = strstr(p, "<entry>")); p++)
        n++;
    ok(n == 30, "of the newest 30");
    ok(has_header(&r, "ETag: W/"), "which need not be sent twice");
    ok(get(w, "/atom/p?branch=%3C%26%01%FF%22", &r) == 200 &&
           has(&r, "<title>p: &#60;&#38;\xef\xbf\xbd\xef\xbf\xbd&#34;</title>"),
       "whatever a name has, it is well-formed");
    ok(get(w, "/atom/nobody", &r) == 404 && get(w, "/atom/p?colour=red", &r) == 400,
       "no such project, no such key");
    web_gauges_turn(&w->gauges, 1000);
    web_gauges_turn(&w->gauges, 1001);
    web_gauges_turn(&w->gauges, 700000);
    ok(get(w, "/metrics", &r) == 200 && has(&r, "pawl_turn_seconds_bucket{le=\"0.001\"} 1\n") &&
           has(&r, "pawl_turn_seconds_bucket{le=\"0.005\"} 2\n") &&
           has(&r, "pawl_turn_seconds_bucket{le=\"0.500\"} 2\n") &&
           has(&r, "pawl_turn_seconds_bucket{le=\"+Inf\"} 3\n") &&
           has(&r, "pawl_turn_seconds_sum 0.702001\npawl_turn_seconds_count 3\n") &&
           has(&r, "pawl_turn_max_microseconds 700000\n"),
       "times of turns");
    ok(has(&r, "pawl_red{project=\"p\",branch=\"master\",builder=\"slow\"} 1\n") &&
           !has(&r, "builder=\"fast\"} 1") &&
           has(&r, "pawl_edge{edge=\"stable\",state=\"waiting\"} 1\n") &&
           has(&r, "\npawl_outbox_oldest_seconds 0.000\n") && has(&r, "\npawl_events_behind 0\n") &&
           !has(&r, "pawl_requests_oldest_seconds 0.000"),
       "what is red, where promotions stand, how long things wait");
}

static void test_why(const world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    ok(get(w, "/api/v1/requests?state=waiting&why=1", &r) == 200 && json_ok(&r) &&
           has(&r, "\"why\":{\"id\":600,\"state\":\"waiting\",\"reason\":\"so\"},\"starts_at\":"
                   "\"20"),
       "a request with its reason");
    ok(get(w, "/api/v1/requests?why=1&limit=2&cursor=b1f4", &r) == 200 && json_ok(&r) &&
           has(&r, "\"items\":[{\"id\":499,") && has(&r, "\"next\":\"bef\"") &&
           has(&r, "\"starts_at\":null}"),
       "pages");
    ok(get(w, "/api/v1/requests?why=1&limit=100", &r) == 200, "so many");
    ok(get(w, "/api/v1/requests?why=1&limit=101", &r) == 400 && has(&r, "1 to 100"),
       "and one more");
    ok(get(w, "/api/v1/requests?state=waiting", &r) == 200 && !has(&r, "\"why\""),
       "without being asked nothing is told");
}

int main(void)
{
    config *conf;
    yaml_errors errors = {0};
    world w = {0};
    conf = config_load_text("t", yaml, sizeof(yaml) - 1, &errors);
    w.conf = conf;
    ok(conf && world_open(&w, false) && rows(&w), "a world");
    if (w.web) {
        test_branches(&w);
        test_console(&w);
        test_build(&w);
        test_history(&w);
        test_search(&w);
        test_why(&w);
        test_outside(&w);
    }
    world_close(&w);
    config_unref(conf);
    return tap_done();
}
