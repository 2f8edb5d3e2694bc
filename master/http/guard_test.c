/* What stands before every handler: headers on each answer, limits, paths that mean no good. */
#include <stdio.h>
#include <string.h>

#include "master/http/fixture.h"
#include "master/http/impl.h"

static const char admin[] = "Authorization: Bearer t-admin\r\n";

/* The head alone: an event stream has no end. */
static int head_of(const world *w, const char *method, const char *path, const char *headers,
                   const char *body, pw_buf *b)
{
    PW_AUTO(pw_closep) int fd = client_open(w);
    pw_buf_reset(b);
    if (fd < 0 || !client_send(fd, method, path, headers, body))
        return -1;
    while (!b->len || !strstr(b->p, "\r\n\r\n")) {
        char *p = pw_buf_room(b, 4097);
        ssize_t n = p ? recv(fd, p, 4096, 0) : -1;
        if (n <= 0)
            return -1;
        b->len += (size_t)n;
        b->p[b->len] = '\0';
    }
    return (int)strtol(b->p + 9, NULL, 10);
}

static const char *lacks(const char *head)
{
    static const char *const wanted[] = {"X-Content-Type-Options: nosniff",
                                         "Content-Security-Policy: default-src 'none'",
                                         "frame-ancestors 'none'",
                                         "Referrer-Policy: same-origin",
                                         "Cross-Origin-Opener-Policy: same-origin",
                                         "Cross-Origin-Resource-Policy: ",
                                         "Cache-Control: "};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        if (!strcasestr(head, wanted[i]))
            return wanted[i];
    if (strcasestr(head, "Access-Control-"))
        return "freedom from CORS";
    if (strcasestr(head, "unsafe-inline") || strcasestr(head, "Strict-Transport"))
        return "sense";
    return NULL;
}

static char *path_of(const web_route *r, const char *value)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(65536);
    for (const char *p = r->pattern; *p;) {
        if (*p == '{') {
            (void)pw_buf_adds(&b, value);
            p += strcspn(p, "}") + 1;
        } else {
            (void)pw_buf_add(&b, p++, 1);
        }
    }
    return pw_buf_take(&b);
}

static void check(const world *w, const char *method, const char *path, const char *headers,
                  const char *body, int want, pw_buf *b)
{
    int status = head_of(w, method, path, headers, body, b);
    const char *missing = status < 0 ? "an answer" : lacks(pw_buf_str(b));
    ok(!missing && (!want || status == want), "%s %.60s: %d%s%s", method, path, status,
       missing ? " without " : "", missing ? missing : "");
}

static void test_headers(const world *w)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1 << 20);
    /* first: who tries without a token so often as the rest does has to wait */
    check(w, "POST", "/api/v1/force", NULL, "{}", 401, &b);
    for (size_t i = 0; i < web_n_routes; i++) {
        const web_route *r = &web_routes[i];
        bool reads = strcmp(r->method, "GET") == 0;
        PW_AUTO(pw_freep) char *path = path_of(r, "2"), *odd = path_of(r, "%zz");
        if (!path || !odd)
            continue;
        check(w, r->method, path, admin, reads ? NULL : "{}", 0, &b);
        check(w, reads ? "HEAD" : r->method, path, NULL, reads ? NULL : "{", 0, &b);
        if (strchr(r->pattern, '{'))
            check(w, r->method, odd, admin, reads ? NULL : "{}", 400, &b);
    }
    check(w, "GET", "/", NULL, NULL, 200, &b);
    ok(strcasestr(b.p, "style-src 'self'") && strcasestr(b.p, "form-action 'self'") &&
           strcasestr(b.p, "script-src 'self';") && !strcasestr(b.p, "unsafe") &&
           strcasestr(b.p, "Cache-Control: no-store"),
       "a page takes its style and its script from home, and sends its forms there");
    check(w, "GET", "/api/v1/builds/2/log/compile?raw=1", NULL, NULL, 200, &b);
    ok(strcasestr(b.p, "Content-Type: text/plain; charset=utf-8") && strcasestr(b.p, "sandbox"),
       "a raw log is text, whatever it holds");
    check(w, "GET", "/badge/slow.svg", NULL, NULL, 200, &b);
    ok(strcasestr(b.p, "Cross-Origin-Resource-Policy: cross-origin") != NULL,
       "badges are for other sites");
    check(w, "GET", "/nowhere", NULL, NULL, 404, &b);
    check(w, "PUT", "/api/v1/builds", NULL, NULL, 405, &b);
    check(w, "OPTIONS", "/api/v1/force", "Origin: https://evil.example\r\n", NULL, 405, &b);
    check(w, "POST", "/api/v1/workers", "Authorization: Bearer t-build\r\n", "{}", 403, &b);
    check(w, "GET", "/api/v1/builds?limit=0", NULL, NULL, 400, &b);
    check(w, "POST", "/api/v1/force",
          "Authorization: Bearer t-build\r\nExpect: 100-continue\r\nContent-Length: 9999999\r\n",
          NULL, 413, &b);
}

/* ---- paths */
static const char *const nasty[] = {"..",
                                    "../../../../etc/passwd",
                                    "%2e%2e",
                                    "%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd",
                                    "..%2f..%2f..%2fetc%2fpasswd",
                                    "%252e%252e%252fetc%252fpasswd",
                                    "..%5c..%5cetc%5cpasswd",
                                    "..\\..\\etc\\passwd",
                                    "/etc/passwd",
                                    "//etc/passwd",
                                    "%2fetc%2fpasswd",
                                    "%00",
                                    "2%00.svg",
                                    "..%00/",
                                    "%c0%ae%c0%ae%c0%afetc%c0%afpasswd",
                                    "%e0%80%ae%e0%80%ae/etc/passwd",
                                    "%f0%80%80%ae",
                                    "%ff%fe",
                                    "%",
                                    "%2",
                                    "%u002e%u002e",
                                    ".%2e/.%2e/etc/passwd",
                                    ";/etc/passwd",
                                    "file:%2f%2f%2fetc%2fpasswd",
                                    "2%0d%0aX-Evil:%20yes",
                                    "%3cscript%3ealert(1)%3c/script%3e",
                                    "..;/",
                                    "~root",
                                    "CON",
                                    "*",
                                    "%7b%7d",
                                    "'%20OR%201=1--"};

/* A page has two: its own, and its data. */
static unsigned scripts(const reply *r)
{
    unsigned n = 0;
    for (const char *p = r->body; p && (p = strcasestr(p, "<script")); p++)
        n++;
    return n;
}

static void test_paths(const world *w)
{
    unsigned calls = 0, bad = 0;
    PW_AUTO(reply_clear) reply r = {0};
    for (size_t i = 0; i < web_n_routes; i++) {
        for (size_t k = 0; strchr(web_routes[i].pattern, '{') && k < sizeof(nasty) / sizeof(*nasty);
             k++) {
            PW_AUTO(pw_freep) char *path = path_of(&web_routes[i], nasty[k]);
            bool reads = strcmp(web_routes[i].method, "GET") == 0;
            int status =
                path ? call(w, web_routes[i].method, path, admin, reads ? NULL : "{}", &r) : -1;
            calls++;
            /* 202: the name went to the core as text, which looks for it in its tables */
            bool page = web_routes[i].handler == web_page;
            bool fine = status == 400 || status == 404 || status == 405 ||
                        (!reads && status == 202) || (page && status == 200);
            if (fine && !has(&r, "root:") && !strcasestr(r.all.p, "\nX-Evil") &&
                (scripts(&r) == 0 || (page && scripts(&r) == 2)) && !has(&r, "No such file"))
                continue;
            bad++;
            printf("# %s %s: %d %.200s\n", web_routes[i].method, path ? path : "", status, r.body);
        }
    }
    ok(calls > 300 && bad == 0, "%u requests for files and worse, %u of them served", calls, bad);
    for (size_t k = 0; k < sizeof(nasty) / sizeof(*nasty); k++) {
        PW_AUTO(pw_freep) char *path = pw_strf("/%s", nasty[k]);
        int status = path ? call(w, "GET", path, NULL, NULL, &r) : -1;
        ok(status == 404 || status == 400, "nothing at %s: %d", path ? path : "", status);
    }
}

/* ---- limits */
static void test_sizes(const world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf path = PW_BUF(65536);
    (void)pw_buf_adds(&path, "/api/v1/builders/");
    while (path.len < WEB_URL_MAX)
        (void)pw_buf_add(&path, "x", 1);
    ok(get(w, pw_buf_str(&path), &r) == 400 && is_error(&r, "bad_request"),
       "an address of 4,096 bytes is looked at");
    (void)pw_buf_add(&path, "x", 1);
    ok(get(w, pw_buf_str(&path), &r) == 414 && is_error(&r, "too_large"), "and a byte more is not");
    for (int more = 0; more <= 1; more++) {
        /* request line, Host, Connection, X and the blank line */
        static const char fixed[] =
            "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: \r\n\r\n";
        PW_AUTO(pw_buf_clearp) pw_buf h = PW_BUF(65536);
        (void)pw_buf_adds(&h, "X: ");
        for (size_t i = sizeof(fixed) - 1; i < WEB_HEAD_MAX + (size_t)more; i++)
            (void)pw_buf_add(&h, "x", 1);
        (void)pw_buf_adds(&h, "\r\n");
        int status = call(w, "GET", "/healthz", pw_buf_str(&h), NULL, &r);
        ok(more ? status == 431 && is_error(&r, "too_large") : status == 200,
           "a head of %d bytes: %d", WEB_HEAD_MAX + more, status);
    }
    PW_AUTO(pw_buf_clearp) pw_buf huge = PW_BUF(1 << 20);
    (void)pw_buf_adds(&huge, "X: ");
    while (huge.len < 100000)
        (void)pw_buf_add(&huge, "x", 1);
    (void)pw_buf_adds(&huge, "\r\n");
    int status = call(w, "GET", "/healthz", pw_buf_str(&huge), NULL, &r);
    ok(status == 431 || status == -1, "a head of 100 kB is cut off: %d", status);
    ok(get(w, "/healthz", &r) == 200, "and the server goes on");
}

static config *limits(const char *text)
{
    PW_AUTO(pw_freep) char *all = pw_strf("web: {limits: {%s}}\n", text);
    yaml_errors e = {0};
    config *c = all ? config_load_text("t", all, strlen(all), &e) : NULL;
    yaml_errors_clear(&e);
    ok(c != NULL, "a configuration with %s", text);
    return c;
}

static void test_rates(void)
{
    PW_AUTO(reply_clear) reply r = {0};
    world w = {0};
    int n = 0;
    PW_AUTO(config_unrefp) config *few = limits("requests_per_second: 1, burst: 20");
    PW_AUTO(config_unrefp) config *rare = limits("token_requests_per_second: 1, token_burst: 10");
    bool open = few && (w.conf = few, world_open(&w, false));
    ok(open, "a server with a low rate");
    while (open && n < 2000 && get(&w, "/style.css", &r) == 200)
        n++;
    ok(n >= 20 && r.status == 429 && is_error(&r, "rate_limited") &&
           has_header(&r, "Retry-After: 1"),
       "after %d requests of one address: %d", n, r.status);
    ok(call(&w, "POST", "/api/v1/force", "Authorization: Bearer t-build\r\n", "{\"builder\":\"x\"}",
            &r) == 429,
       "nothing passes then");
    world_close(&w);
    open = rare && (w.conf = rare, world_open(&w, false));
    for (n = 0; open && n < 2000 &&
                call(&w, "GET", "/style.css", "Authorization: Bearer t-read\r\n", NULL, &r) == 200;)
        n++;
    ok(n == 2000, "where no token is asked for, none is counted");
    for (n = 0;
         open && n < 2000 &&
         call(&w, "GET", "/api/v1/builders", "Authorization: Bearer t-read\r\n", NULL, &r) == 200;)
        n++;
    ok(n >= 10 && r.status == 429, "after %d requests of one token: %d", n, r.status);
    ok(call(&w, "GET", "/api/v1/builders", "Authorization: Bearer t-admin\r\n", NULL, &r) == 200 &&
           get(&w, "/api/v1/builders", &r) == 200,
       "others go on");
    world_close(&w);
}

/* A request on a connection that stays. */
static bool served(int fd)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1 << 20);
    return fd >= 0 && client_send(fd, "GET", "/style.css", NULL, NULL) && until(fd, &b, "\r\n\r\n");
}

static void test_connections(void)
{
    enum { MOST = 5 };
    world w = {0};
    int fd[MOST + 1];
    unsigned good = 0;
    PW_AUTO(config_unrefp) config *few = limits("connections: 5");
    bool open = few && (w.conf = few, world_open(&w, false));
    ok(open, "a server for few connections");
    for (size_t i = 0; open && i <= MOST; i++) {
        fd[i] = client_open(&w);
        good += i < MOST && served(fd[i]);
    }
    ok(open && good == MOST, "five connections of one address");
    ok(open && !served(fd[MOST]), "the sixth is not served");
    ok(open && served(fd[0]), "the others are");
    bool again = false;
    if (open)
        pw_closep(&fd[1]);
    for (int i = 0; open && i < 5000 && !again; i++) { /* until the server has seen the end */
        PW_AUTO(pw_closep) int one = client_open(&w);
        again = served(one);
    }
    ok(again, "one place free: one more is served");
    for (size_t i = 0; open && i <= MOST; i++)
        pw_closep(&fd[i]);
    world_close(&w);
}

static void test_slow(void)
{
    world w = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1 << 20);
    static const char text[] = "POST /api/v1/force HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n"
                               "Authorization: Bearer t-build\r\n\r\n{\"builder\":";
    PW_AUTO(config_unrefp) config *hasty = limits("request_time: 1s");
    bool open = hasty && (w.conf = hasty, world_open(&w, false));
    ok(open, "a server without patience");
    if (open) {
        PW_AUTO(pw_closep)
        int quiet = client_open(&w), half = client_open(&w), body = client_open(&w),
            stream = client_open(&w), drip = client_open(&w);
        char c;
        ok(client_send(stream, "GET", "/api/v1/events", NULL, NULL) &&
               until(stream, &b, "text/event-stream"),
           "a stream");
        ok(send(half, text, 30, MSG_NOSIGNAL) == 30 &&
               send(body, text, sizeof(text) - 1, MSG_NOSIGNAL) == sizeof(text) - 1,
           "half a head, half a body");
        ok(recv(quiet, &c, 1, 0) == 0, "silence is cut off");
        ok(recv(half, &c, 1, 0) == 0, "half a head too");
        ok(recv(body, &c, 1, 0) == 0, "half a body too");
        /* a byte at a time: the library's own limit, on silence, would never end it */
        size_t sent = 0;
        while (sent < 1000 && recv(drip, &c, 1, MSG_DONTWAIT) != 0) {
            struct timespec nap = {.tv_nsec = 10000000};
            (void)send(drip, sent < 16 ? &"GET / HTTP/1.1\r\n"[sent] : "X", 1, MSG_NOSIGNAL);
            (void)nanosleep(&nap, NULL);
            sent++;
        }
        ok(sent < 1000, "so is who drips (after %zu bytes)", sent);
        ok(recv(stream, &c, 1, MSG_DONTWAIT) != 0, "a stream stays");
        ok(atomic_load(&w.web->gate.refused[WEB_GATE_SLOW]) >= 4, "and it is counted");
    }
    world_close(&w);
}

int main(void)
{
    world w = {0};
    /* every route is asked several times */
    PW_AUTO(config_unrefp)
    config *wide = limits("requests_per_second: 1000, burst: 10000, "
                          "token_requests_per_second: 1000, token_burst: 10000");
    bool open = wide && (w.conf = wide, world_open(&w, false));
    ok(open, "a server");
    if (open) {
        test_headers(&w);
        test_paths(&w);
        test_sizes(&w);
    }
    world_close(&w);
    test_rates();
    test_connections();
    test_slow();
    return tap_done();
}
