/* `web`: what is read, and what is refused where. */
#include <string.h>

#include "master/config/config.h"
#include "tests/tap.h"

static config *load(const char *text, yaml_errors *e)
{
    yaml_errors_clear(e);
    return config_load_text("/etc/pawl/m.yaml", text, strlen(text), e);
}

static void test_values(void)
{
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(config_unrefp)
    config *c =
        load("web:\n  tls: {cert: web.crt, key: /keys/web.key}\n  listen: \"*:443\"\n"
             "  user_header: X-Forwarded-User\n  proxies: [127.0.0.1, 10.0.0.0/8]\n"
             "  limits: {body: 2M, try: 3G, requests_per_second: 5, burst: 7, connections: 9,"
             " request_time: 10s, token_burst: 3, token_requests_per_second: 4}\n"
             "projects:\n- {name: p, repository: /r}\n",
             &e);
    ok(c != NULL, "all keys%s%s", e.n ? ": " : "", e.n ? e.v[0].text : "");
    if (!c)
        return;
    ok(strcmp(c->web_cert, "/etc/pawl/web.crt") == 0 && strcmp(c->web_key, "/keys/web.key") == 0,
       "paths are relative to the file");
    ok(strcmp(c->web_user_header, "X-Forwarded-User") == 0 && c->n_web_proxies == 2 &&
           c->web_proxies[0].bits == 128 && c->web_proxies[1].bits == 104,
       "proxies");
    ok(c->limits.try_max == (uint64_t)3 << 30, "and one for tries");
    ok(c->limits.body == 2 << 20 && c->limits.rate == 5 && c->limits.burst == 7 &&
           c->limits.token_rate == 4 && c->limits.token_burst == 3 && c->limits.connections == 9 &&
           c->limits.request_time == 10000000,
       "limits");
    config *none = load("name: x", &e);
    ok(none && none->limits.body == 1 << 20 && none->limits.try_max == (uint64_t)4 << 30 &&
           none->limits.connections == 512 && !none->web_cert,
       "and what holds without");
    config_unref(none);
}

static void test_refusals(void)
{
    static const struct {
        const char *text, *want;
    } t[] = {
        {"web: {listen: \"*:80\"}", "give it a certificate"},
        {"web: {tls: {cert: a}}", "\"key\""},
        {"web: {tls: {cert: a, key: \"\"}}", "\"key\" must not be empty"},
        {"web: {tls: {cert: a, key: b, ca: c}}", "unknown key \"ca\""},
        {"web: {user_header: X-User}", "needs \"proxies\""},
        {"web: {user_header: \"X User\", proxies: [\"::1\"]}", "must be the name of a header"},
        {"web: {proxies: [10.0.0.0/33]}", "\"10.0.0.0/33\" is no address"},
        {"web: {limits: {body: 1023}}", "\"body\" must be from 1K to 16M"},
        {"web: {limits: {body: 16777217}}", "\"body\" must be from 1K to 16M"},
        {"web: {limits: {try: 1048575}}", "\"try\" must be from 1M to 1024G"},
        {"web: {limits: {try: 1025G}}", "\"try\" must be from 1M to 1024G"},
        {"web: {limits: {burst: 0}}", "\"burst\""},
        {"web: {limits: {connections: 2001}}", "\"connections\""},
        {"web: {limits: {request_time: 1ms}}", "\"request_time\""},
        {"web: {limits: {brust: 1}}", "did you mean \"burst\""},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
        PW_AUTO(config_unrefp) config *c = load(t[i].text, &e);
        ok(!c && e.n == 1 && strstr(e.v[0].text, t[i].want), "%s: %s", t[i].text,
           e.n ? e.v[0].text : "taken");
    }
}

int main(void)
{
    test_values();
    test_refusals();
    return tap_done();
}
