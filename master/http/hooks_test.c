/* Webhooks: signatures with known results, ids, and what is refused without a trace. */
#include "master/http/hooks.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/http/fixture.h"
#include "master/http/impl.h"

/* HMAC-SHA256 of BODY under SECRET, from python's hmac */
#define BODY "{\"ref\":\"refs/heads/master\"}"
#define SECRET "s3cret"
#define MAC "09e2e9bb26ff67ca30eaa951558efbe611cadda385c3c75c44f47e1c2a8590c6"

static bool verify(const char *kind, const char *given)
{
    const web_hook_kind *k = web_hook_find(kind);
    return k && web_hook_verify(k, given, SECRET, strlen(SECRET), BODY, strlen(BODY));
}

static void test_signatures(void)
{
    static const struct {
        const char *kind, *given;
        bool good;
    } t[] = {{"github", "sha256=" MAC, true},
             {"bitbucket", "sha256=" MAC, true},
             {"generic", "sha256=" MAC, true},
             {"gitea", MAC, true},
             {"gitlab", SECRET, true},
             {"github", MAC, false},
             {"github", "sha1=" MAC, false},
             {"github", "sha256=", false},
             {"github", "", false},
             {"github", NULL, false},
             {"github", "sha256=" MAC "00", false},
             {"github", "sha256=19e2e9bb26ff67ca30eaa951558efbe611cadda385c3c75c44f47e1c2a8590c6",
              false},
             {"github", "sha256=09e2e9bb26ff67ca30eaa951558efbe611cadda385c3c75c44f47e1c2a8590cg",
              false},
             {"gitea", "sha256=" MAC, false},
             {"gitlab", "s3cre", false},
             {"gitlab", "s3crett", false},
             {"gitlab", "", false},
             {"gitlab", NULL, false}};
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
        ok(verify(t[i].kind, t[i].given) == t[i].good, "%s %.30s: %s", t[i].kind,
           t[i].given ? t[i].given : "nothing", t[i].good ? "good" : "bad");
    /* the example in GitHub's documentation */
    ok(web_hook_verify(web_hook_find("github"),
                       "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
                       "It's a Secret to Everybody", 26, "Hello, World!", 13),
       "GitHub's own");
    ok(!web_hook_verify(web_hook_find("gitlab"), "", "", 0, "", 0), "no secret, no delivery");
    ok(!web_hook_find("Github") && !web_hook_find(""), "kinds are written small");
}

static void test_ids(void)
{
    char a[WEB_DELIVERY], b[WEB_DELIVERY], longest[CORE_DELIVERY_MAX + 2];
    memset(longest, 'x', sizeof(longest));
    longest[CORE_DELIVERY_MAX] = '\0';
    ok(web_hook_delivery("7f1e-1", "{}", 2, a, NULL) == 0 && strcmp(a, "7f1e-1") == 0, "given");
    ok(web_hook_delivery(longest, "{}", 2, a, NULL) == 0 && strcmp(a, longest) == 0, "the longest");
    longest[CORE_DELIVERY_MAX] = 'x';
    longest[CORE_DELIVERY_MAX + 1] = '\0';
    ok(web_hook_delivery(longest, "{}", 2, a, NULL) == PW_EINVAL, "and a byte more");
    ok(web_hook_delivery("a b", "{}", 2, a, NULL) == PW_EINVAL, "a blank");
    ok(web_hook_delivery(NULL, "{}", 2, a, NULL) == 0 &&
           web_hook_delivery("", "{}", 2, b, NULL) == 0 && strcmp(a, b) == 0 && strlen(a) == 69,
       "none: the hash of the body");
    ok(web_hook_delivery(NULL, "{ }", 3, b, NULL) == 0 && strcmp(a, b) != 0, "of this body");
}

static bool saw_nothing(world *w)
{
    char seen[400];
    core_cmd_kind kind;
    uint64_t id;
    world_saw(w, seen, &kind, &id);
    return kind == 0;
}

static void test_refusals(world *w)
{
    static const struct {
        const char *path, *headers, *body;
        int want;
    } t[] = {
        {"/hooks/github/p", "X-Hub-Signature-256: sha256=00\r\n", BODY, 401},
        {"/hooks/github/p", NULL, BODY, 401},
        {"/hooks/gitlab/p", "X-Gitlab-Token: wrong\r\n", BODY, 401},
        /* signed rightly, for another sender's header */
        {"/hooks/gitea/p", "X-Hub-Signature-256: sha256=" MAC "\r\n", BODY, 401},
        /* a right signature of other bytes */
        {"/hooks/github/p", "X-Hub-Signature-256: sha256=" MAC "\r\n", BODY " ", 401},
        {"/hooks/github/q", "X-Hub-Signature-256: sha256=" MAC "\r\n", BODY, 403},
        {"/hooks/github/nobody", "X-Hub-Signature-256: sha256=" MAC "\r\n", BODY, 404},
        {"/hooks/svn/p", "X-Hub-Signature-256: sha256=" MAC "\r\n", BODY, 404},
        {"/hooks/github", NULL, BODY, 404},
        {"/hooks/gitlab/p", "X-Gitlab-Token: " SECRET "\r\n", "{\"ref\":", 400},
        {"/hooks/gitlab/p", "X-Gitlab-Token: " SECRET "\r\n", "payload=%7B%7D", 400},
        {"/hooks/gitlab/p", "X-Gitlab-Token: " SECRET "\r\n", "", 400},
        {"/hooks/gitlab/p", "X-Gitlab-Token: " SECRET "\r\nX-Gitlab-Event-UUID: a b\r\n", BODY,
         400},
        {"/hooks/github/p",
         "Expect: 100-continue\r\nContent-Length: 99999999\r\n"
         "X-Hub-Signature-256: sha256=" MAC "\r\n",
         NULL, 413},
    };
    PW_AUTO(reply_clear) reply r = {0};
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        int got = call(w, "POST", t[i].path, t[i].headers, t[i].body, &r);
        ok(got == t[i].want && saw_nothing(w), "%s (%zu): %d", t[i].path, i, got);
    }
    ok(call(w, "GET", "/hooks/github/p", NULL, NULL, &r) == 405, "GET is nothing here");
    ok(atomic_load(&w->web->gate.refused[WEB_GATE_SIGNATURE]) == 5, "bad signatures are counted");
    ok(call(w, "GET", "/metrics", NULL, NULL, &r) == 200 &&
           has(&r, "pawl_web_refused_total{why=\"signature\"} 5\n"),
       "and told");
}

static void test_good(world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    char seen[400];
    core_cmd_kind kind;
    uint64_t id;
    ok(call(w, "POST", "/hooks/github/p",
            "X-Hub-Signature-256: sha256=" MAC
            "\r\nX-GitHub-Delivery: d-1\r\nX-GitHub-Event: push\r\n",
            BODY, &r) == 202,
       "a good one");
    world_saw(w, seen, &kind, &id);
    ok(kind == CMD_HOOK && strstr(seen, "|github|"), "goes to the core: %s", seen);
    /* 25 MiB are taken, and one byte more is not */
    size_t most = WEB_HOOK_BODY_MAX;
    char *big = malloc(most + 2);
    if (!big)
        return;
    memset(big, ' ', most + 1);
    memcpy(big, "{}", 2);
    big[most] = '\0';
    int got = call(w, "POST", "/hooks/gitlab/p", "X-Gitlab-Token: " SECRET "\r\n", big, &r);
    ok(got == 202, "25 MiB: %d", got);
    free(big);
    got = call(w, "POST", "/hooks/gitlab/p",
               "Expect: 100-continue\r\nContent-Length: 26214401\r\nX-Gitlab-Token: " SECRET "\r\n",
               NULL, &r);
    ok(got == 413 && is_error(&r, "too_large"), "and a byte more: %d", got);
    ok(atomic_load(&w->web->gate.bodies) == 0, "no bytes stay counted");
}

static void test_closed(void)
{
    PW_AUTO(reply_clear) reply r = {0}, s = {0};
    world w = {0};
    yaml_errors e = {0};
    static const char text[] =
        "secrets: {hook: {env: PAWL_TEST_HOOK}}\n"
        "projects: [{name: p, repository: /r, hook_secret: hook}, {name: q, repository: /r}]\n";
    config *c = config_load_text("t", text, strlen(text), &e);
    w.conf = c;
    bool open = c && world_open(&w, true);
    ok(open, "a server that is closed to strangers");
    if (open) {
        int a = call(&w, "POST", "/hooks/github/p", NULL, "{}", &r);
        int b = call(&w, "POST", "/hooks/github/nobody", NULL, "{}", &s);
        ok(a == 401 && b == 401 && strcmp(r.body, s.body) == 0, "tells no projects: %d %d", a, b);
        b = call(&w, "POST", "/hooks/github/q", NULL, "{}", &s);
        ok(b == 401 && strcmp(r.body, s.body) == 0, "nor which have a secret");
    }
    world_close(&w);
    config_unref(c);
    yaml_errors_clear(&e);
}

int main(void)
{
    static const char text[] =
        "secrets: {hook: {env: PAWL_TEST_HOOK}}\n"
        "projects: [{name: p, repository: /r, hook_secret: hook}, {name: q, repository: /r}]\n";
    yaml_errors e = {0};
    world w = {0};
    (void)signal(SIGPIPE, SIG_IGN); /* a server without memory ends a long delivery */
    test_ids();
    if (crypt_init(NULL) < 0 || setenv("PAWL_TEST_HOOK", SECRET, 1) < 0)
        return 1;
    test_signatures();
    config *c = config_load_text("t", text, strlen(text), &e);
    w.conf = c;
    bool open = c && world_open(&w, false);
    ok(open, "a server");
    if (open) {
        test_refusals(&w);
        test_good(&w);
    }
    world_close(&w);
    config_unref(c);
    yaml_errors_clear(&e);
    test_closed();
    return tap_done();
}
