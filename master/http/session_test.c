/* Sessions of the page and people named by a proxy: who is believed, and what a foreign page cannot
 * make a browser do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/http/fixture.h"
#include "master/http/impl.h"
#include "master/http/origin.h"

#define COOKIE "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define STALE "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA"
#define FORM "Content-Type: application/x-www-form-urlencoded\r\n"
#define HERE "Sec-Fetch-Site: same-origin\r\n"
static const char ask[] = "Cookie: a=b; pawl=" COOKIE "\r\n";

static void test_origin(void)
{
    static const char url[] = "https://ci.example.org";
    static const struct {
        const char *site, *origin, *host;
        bool good;
    } t[] = {{"same-origin", NULL, "x", true},
             {"same-site", url, "ci.example.org", false},
             {"cross-site", url, "ci.example.org", false},
             {"none", NULL, "x", false},
             {"", url, "x", false},
             {NULL, NULL, "ci.example.org", false},
             {NULL, url, "10.0.0.7:8010", true},
             {NULL, "HTTPS://CI.example.org", "x", true},
             {NULL, "http://ci.example.org", "x", false},
             {NULL, "https://ci.example.org.evil.example", "x", false},
             {NULL, "https://ci.example.org:444", "x", false},
             {NULL, "http://10.0.0.7:8010", "10.0.0.7:8010", true},
             {NULL, "http://10.0.0.7", "10.0.0.7:8010", false},
             {NULL, "https://evil.example", "10.0.0.7:8010", false},
             {NULL, "null", "x", false},
             {NULL, "", "", false},
             {NULL, "http://", "", false}};
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
        ok(web_same_origin(t[i].site, t[i].origin, t[i].host, url) == t[i].good, "%s, %s at %s: %s",
           t[i].site ? t[i].site : "-", t[i].origin ? t[i].origin : "-", t[i].host,
           t[i].good ? "ours" : "foreign");
}

static bool session(world *w, const char *cookie, const char *token, pw_msec expires)
{
    uint8_t a[32], b[32];
    crypt_hash(cookie, strlen(cookie), a);
    crypt_hash(token, strlen(token), b);
    return store_begin(w->st, NULL) == 0 && store_session_add(w->st, a, b, 1, expires, NULL) == 0 &&
           store_commit(w->st, NULL) == 0;
}

static bool core_heard(world *w, core_cmd_kind want)
{
    char seen[400];
    core_cmd_kind kind;
    uint64_t id;
    world_saw(w, seen, &kind, &id);
    (void)pthread_mutex_lock(&w->lock);
    w->kind = 0;
    (void)pthread_mutex_unlock(&w->lock);
    return kind == want;
}

/* The CSRF token of a session, as headers. */
static char *csrf(const world *w, const char *who)
{
    PW_AUTO(reply_clear) reply r = {0};
    const char *p = call(w, "GET", "/api/v1/session", who, NULL, &r) == 200
                        ? strstr(r.body, "\"csrf\":\"")
                        : NULL;
    return p ? pw_strf("%.*s", (int)strcspn(p + 8, "\""), p + 8) : NULL;
}

/* Each way in which a write of a browser can be foreign: 403, and the core hears nothing. */
static void test_writes(world *w, const char *who, const char *token)
{
    static const char *const sites[] = {"",
                                        "Sec-Fetch-Site: cross-site\r\n",
                                        "Sec-Fetch-Site: same-site\r\n",
                                        "Sec-Fetch-Site: none\r\n",
                                        "Origin: https://evil.example\r\n",
                                        "Origin: null\r\n",
                                        "Sec-Fetch-Site: cross-site\r\nOrigin: http://x\r\n"};
    PW_AUTO(reply_clear) reply r = {0};
    PW_AUTO(pw_freep) char *good = pw_strf("%sX-CSRF-Token: %s\r\n", who, token);
    PW_AUTO(pw_freep) char *bad = pw_strf("%sX-CSRF-Token: %sA\r\n", who, token);
    PW_AUTO(pw_freep) char *other = pw_strf("%sX-CSRF-Token: %.42sx\r\n", who, token);
    if (!good || !bad || !other)
        return;
    (void)core_heard(w, 0);
    for (size_t i = 0; i < sizeof(sites) / sizeof(sites[0]); i++) {
        PW_AUTO(pw_freep) char *h = pw_strf("%s%s", good, sites[i]);
        int got = h ? call(w, "POST", "/api/v1/force", h, "{\"builder\":\"fast\"}", &r) : -1;
        ok(got == 403 && is_error(&r, "forbidden") && core_heard(w, 0), "from elsewhere (%zu): %d",
           i, got);
    }
    const char *const lacking[] = {who, bad, other};
    for (size_t i = 0; i < 3; i++) {
        PW_AUTO(pw_freep) char *h = pw_strf("%s" HERE, lacking[i]);
        int got = h ? call(w, "POST", "/api/v1/force", h, "{\"builder\":\"fast\"}", &r) : -1;
        ok(got == 403 && core_heard(w, 0), "without its CSRF token: %d", got);
        got = h ? call(w, "DELETE", "/api/v1/workers/w1", h, NULL, &r) : -1;
        ok(got == 403 && core_heard(w, 0), "nor a DELETE: %d", got);
    }
    PW_AUTO(pw_freep) char *h = pw_strf("%s" HERE, good);
    PW_AUTO(pw_freep) char *text = pw_strf("%s" HERE "Content-Type: text/plain\r\n", good);
    PW_AUTO(pw_freep) char *origin = pw_strf("%sOrigin: http://x\r\n", good);
    ok(text && call(w, "POST", "/api/v1/force", text, "{\"builder\":\"fast\"}", &r) == 415 &&
           core_heard(w, 0),
       "what a form could send is no body");
    ok(h && call(w, "POST", "/api/v1/force", h, "{\"builder\":\"fast\"}", &r) == 202 &&
           core_heard(w, CMD_FORCE),
       "from our page, with it");
    ok(origin && call(w, "POST", "/api/v1/force", origin, "{\"builder\":\"fast\"}", &r) == 202 &&
           core_heard(w, CMD_FORCE),
       "or with our Origin, of a browser that says no more");
}

static void test_session(world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    ok(session(w, COOKIE, "t-build", INT64_C(1) << 50) && session(w, STALE, "t-build", 1000),
       "two sessions, one is over");
    ok(call(w, "GET", "/api/v1/session", ask, NULL, &r) == 200 &&
           has(&r, "{\"actor\":\"ci\",\"how\":\"session\",\"scopes\":[\"build\"],\"csrf\":\"") &&
           has_header(&r, "Cache-Control: no-store"),
       "who asks");
    ok(get(w, "/api/v1/session", &r) == 200 &&
           has(&r, "{\"actor\":null,\"how\":null,\"scopes\":[],\"csrf\":null}"),
       "nobody");
    ok(call(w, "GET", "/api/v1/session", "Cookie: pawl=" STALE "\r\n", NULL, &r) == 200 &&
           has(&r, "\"actor\":null"),
       "whose session is over is nobody");
    ok(call(w, "GET", "/api/v1/session", "Cookie: pawl=" COOKIE "A\r\n", NULL, &r) == 200 &&
           has(&r, "\"actor\":null"),
       "what is no session is none");
    ok(call(w, "POST", "/api/v1/force", "Cookie: pawl=" STALE "\r\n" HERE, "{}", &r) == 401,
       "and may not write");
    PW_AUTO(pw_freep) char *token = csrf(w, ask);
    ok(token && strlen(token) == 43 && !strstr(token, COOKIE), "a CSRF token");
    if (token)
        test_writes(w, ask, token);
    ok(call(w, "POST", "/api/v1/workers", ask, "{\"name\":\"w\"}", &r) == 403, "scopes hold");
    ok(call(w, "GET", "/login", ask, NULL, &r) == 200 && has(&r, "You are <b>ci</b> (build)") &&
           has(&r, "action=\"/logout\"") && !has(&r, "<script"),
       "the page says who");
    PW_AUTO(pw_freep) char *form = pw_strf("csrf=%s", token ? token : "");
    PW_AUTO(pw_freep) char *h = pw_strf("%s" FORM HERE, ask);
    PW_AUTO(pw_freep) char *foreign = pw_strf("%s" FORM "Sec-Fetch-Site: cross-site\r\n", ask);
    if (!form || !h || !foreign)
        return;
    ok(call(w, "POST", "/logout", foreign, form, &r) == 403 && core_heard(w, 0) &&
           call(w, "POST", "/logout", h, "csrf=x", &r) == 403 && core_heard(w, 0),
       "nobody else logs him out");
    ok(call(w, "POST", "/logout", h, form, &r) == 303 && core_heard(w, CMD_LOGOUT) &&
           has_header(&r, "Set-Cookie: pawl=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"),
       "he does");
    uint8_t hash[32];
    crypt_hash("t-build", 7, hash);
    ok(store_begin(w->st, NULL) == 0 && store_token_revoke(w->st, 1, 5, NULL) == 0 &&
           store_commit(w->st, NULL) == 0 &&
           call(w, "GET", "/api/v1/session", ask, NULL, &r) == 200 && has(&r, "\"actor\":null"),
       "a session ends with its token");
}

static void test_login(world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    ok(get(w, "/login", &r) == 200 && has(&r, "type=\"password\"") && !has(&r, "<script") &&
           has_header(&r, "Cache-Control: no-store"),
       "the form");
    ok(call(w, "POST", "/login", FORM HERE, "token=t-admin", &r) == 303 &&
           has_header(&r, "Location: /\r\n") && has_header(&r, "Set-Cookie: pawl=") &&
           has_header(&r, "; Path=/; HttpOnly; SameSite=Lax; Max-Age=2592000") &&
           !has_header(&r, "Secure") && core_heard(w, CMD_LOGIN),
       "a token opens a session");
    ok(call(w, "POST", "/login", FORM HERE, "token=%20t-admin%0D%0A", &r) == 303 &&
           core_heard(w, CMD_LOGIN),
       "also with the blanks of a paste");
    ok(call(w, "POST", "/login", FORM, "token=t-admin", &r) == 403 && core_heard(w, 0) &&
           call(w, "POST", "/login", FORM "Sec-Fetch-Site: cross-site\r\n", "token=t-admin", &r) ==
               403 &&
           core_heard(w, 0) && !has_header(&r, "Set-Cookie"),
       "a foreign page logs nobody in");
    ok(call(w, "POST", "/login", HERE, "token=t-admin", &r) == 415 &&
           call(w, "POST", "/login", FORM HERE, "tok=t", &r) == 400 &&
           call(w, "POST", "/login", FORM HERE, "", &r) >= 400 && core_heard(w, 0),
       "no form, no field");
    int n = 0;
    while (n < 2 * WEB_FAILURES && call(w, "POST", "/login", FORM HERE, "token=guess", &r) == 401)
        n++;
    ok(n > 2 && r.status == 429 && has(&r, "wait a minute") && has_header(&r, "Retry-After: 60") &&
           !has_header(&r, "Set-Cookie") && core_heard(w, 0),
       "guessing is answered by 429 (after %d)", n);
    ok(call(w, "POST", "/login", FORM HERE, "token=t-admin", &r) == 303,
       "a right one passes still");
    for (n = 0; n < 4 * WEB_LOGINS; n++)
        if (call(w, "POST", "/login", FORM HERE, "token=t-read", &r) != 303)
            break;
    ok(n >= WEB_LOGINS && r.status == 429 && !has_header(&r, "Set-Cookie"),
       "nobody fills the database with sessions (after %d)", n);
}

static void test_proxy(const char *proxies, bool listed)
{
    PW_AUTO(reply_clear) reply r = {0};
    PW_AUTO(pw_freep)
    char *text = pw_strf(
        "web: {user_header: X-Remote-User, proxies: [%s], url: \"https://ci.example.org\"}\n"
        "people: [{name: ada, roles: [developer]}]\n",
        proxies);
    static const char ada[] = "X-Remote-User: ada\r\n";
    yaml_errors e = {0};
    world w = {0};
    config *c = text ? config_load_text("t", text, strlen(text), &e) : NULL;
    if (!c && e.n)
        printf("# %s\n", e.v[0].text);
    w.conf = c;
    bool open = c && world_open(&w, false);
    ok(open, "a server behind a proxy at %s", proxies);
    if (open && listed) {
        ok(call(&w, "GET", "/api/v1/session", ada, NULL, &r) == 200 &&
               has(&r, "{\"actor\":\"ada\",\"how\":\"proxy\",\"scopes\":[\"read\",\"build\""),
           "the proxy's word counts");
        PW_AUTO(pw_freep) char *token = csrf(&w, ada);
        ok(token != NULL, "with a CSRF token");
        if (token)
            test_writes(&w, ada, token);
        ok(call(&w, "POST", "/api/v1/force", "X-Remote-User: eve\r\n" HERE, "{}", &r) == 403 &&
               has(&r, "\\\"eve\\\" is not among the people"),
           "whom nobody knows may not write");
        ok(call(&w, "GET", "/api/v1/builds", "X-Remote-User: eve\r\n", NULL, &r) == 200,
           "and reads what all may read");
        ok(call(&w, "POST", "/api/v1/workers", ada, "{}", &r) == 403, "roles hold");
        ok(call(&w, "GET", "/api/v1/session",
                "X-Remote-User: ada\r\nAuthorization: Bearer t-admin\r\n", NULL, &r) == 200 &&
               has(&r, "\"how\":\"token\""),
           "a token goes before");
    } else if (open) {
        ok(call(&w, "GET", "/api/v1/session", ada, NULL, &r) == 200 && has(&r, "\"actor\":null"),
           "from elsewhere the header is nothing");
        ok(call(&w, "POST", "/api/v1/force", "X-Remote-User: ada\r\n" HERE, "{}", &r) == 401 &&
               core_heard(&w, 0),
           "and writes nothing");
        ok(atomic_load(&w.web->gate.refused[WEB_GATE_HEADER]) == 2, "it is counted");
    }
    world_close(&w);
    config_unref(c);
    yaml_errors_clear(&e);
}

static void test_https(void)
{
    PW_AUTO(reply_clear) reply r = {0};
    static const char text[] = "web: {read: token}\n";
    yaml_errors e = {0};
    world w = {0};
    config *c = config_load_text("t", text, strlen(text), &e);
    w.conf = c;
    bool open = c && world_open(&w, true);
    ok(open, "a closed server");
    if (open) {
        w.web->https = true; /* as `url` or TLS make it */
        ok(call(&w, "POST", "/login", FORM HERE, "token=t-read", &r) == 303 &&
               has_header(&r, "Set-Cookie: __Host-pawl=") && has_header(&r, "; Secure"),
           "by https the cookie is tied to host and https");
        ok(call(&w, "GET", "/api/v1/session", ask, NULL, &r) == 401, "another name is no cookie");
        ok(call(&w, "GET", "/", "Accept: text/html,*/*\r\n", NULL, &r) == 303 &&
               has_header(&r, "Location: /login"),
           "a browser is asked to log in");
        ok(call(&w, "GET", "/", NULL, NULL, &r) == 401 &&
               call(&w, "GET", "/api/v1/builds", "Accept: text/html\r\n", NULL, &r) == 401,
           "a program is told");
        ok(has_header(&r, "Strict-Transport-Security: max-age="), "https stays https");
    }
    world_close(&w);
    config_unref(c);
    yaml_errors_clear(&e);
}

int main(void)
{
    world w = {0};
    test_origin();
    bool open = world_open(&w, false);
    ok(open, "a server");
    if (open) {
        test_session(&w);
        test_login(&w);
    }
    world_close(&w);
    test_proxy("127.0.0.0/8", true);
    test_proxy("10.0.0.0/8", false);
    test_https();
    return tap_done();
}
