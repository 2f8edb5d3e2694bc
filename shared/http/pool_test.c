/* The pool against a small server: what counts as an answer, as sent, as nothing. */
#include "shared/http/pool.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/tap.h"

enum { MOST = 16 };
static const pw_usec SECOND = 1000000;

/* Each connection has a thread, so that those that hang do not stop the others. */
typedef struct server {
    int fd;
    unsigned port;
    pthread_t thread, con[MOST];
    int con_fd[MOST];
    size_t n;
    char last[2000]; /* the newest whole request */
    pthread_mutex_t lock;
} server;
static server srv = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void say(int fd, const char *s)
{
    (void)send(fd, s, strlen(s), MSG_NOSIGNAL);
}

static void hang(int fd)
{
    char c;
    while (recv(fd, &c, 1, 0) > 0)
        ;
}

static void reply(int fd, const char *path)
{
#define IS(s) (strncmp(path, s " ", sizeof(s)) == 0)
    if (IS("/ok"))
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    else if (IS("/busy"))
        say(fd, "HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
    else if (IS("/known"))
        say(fd, "HTTP/1.1 409 No\r\nidempotency-key: build/1/x\r\nContent-Length: 0\r\n\r\n");
    else if (IS("/elsewhere"))
        say(fd, "HTTP/1.1 302 Go\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n");
    else if (IS("/half")) /* the status is there, the body never comes */
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    else if (IS("/continue")) {
        say(fd, "HTTP/1.1 100 Continue\r\n\r\n");
        hang(fd);
    } else if (IS("/late-body")) {
        say(fd, "HTTP/1.1 500 No\r\nContent-Length: 10\r\n\r\nabc");
        hang(fd);
    } else if (IS("/large")) {
        static char block[HTTP_POOL_BODY_MAX + 1];
        say(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        (void)send(fd, block, sizeof(block), MSG_NOSIGNAL);
    } else if (IS("/garbage"))
        say(fd, "220 mail.example.org\r\n");
    else if (IS("/silent"))
        hang(fd);
#undef IS
}

static void *serve_one(void *p)
{
    int fd = *(int *)p;
    char text[2000];
    size_t n = 0;
    const char *end = NULL;
    while (n < sizeof(text) - 1 && !end) {
        ssize_t k = recv(fd, text + n, sizeof(text) - 1 - n, 0);
        if (k <= 0)
            break;
        n += (size_t)k;
        text[n] = '\0';
        end = strstr(text, "\r\n\r\n");
    }
    const char *path = end ? strchr(text, ' ') : NULL;
    if (path) {
        (void)pthread_mutex_lock(&srv.lock);
        (void)snprintf(srv.last, sizeof(srv.last), "%s", text);
        (void)pthread_mutex_unlock(&srv.lock);
        reply(fd, path + 1);
    }
    (void)shutdown(fd, SHUT_RDWR);
    return NULL;
}

static void *serve(void *p)
{
    (void)p;
    while (srv.n < MOST) {
        int fd = accept(srv.fd, NULL, NULL);
        if (fd < 0)
            break;
        srv.con_fd[srv.n] = fd;
        if (pthread_create(&srv.con[srv.n], NULL, serve_one, &srv.con_fd[srv.n]) != 0)
            break;
        srv.n++;
    }
    return NULL;
}

static bool begin(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    srv.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (srv.fd < 0 || bind(srv.fd, (struct sockaddr *)&in, sizeof(in)) < 0 ||
        listen(srv.fd, MOST) < 0 || getsockname(srv.fd, (struct sockaddr *)&in, &len) < 0)
        return false;
    srv.port = ntohs(in.sin_port);
    return pthread_create(&srv.thread, NULL, serve, NULL) == 0;
}

static void finish(void)
{
    (void)shutdown(srv.fd, SHUT_RDWR);
    (void)pthread_join(srv.thread, NULL);
    for (size_t i = 0; i < srv.n; i++) {
        (void)shutdown(srv.con_fd[i], SHUT_RDWR);
        (void)pthread_join(srv.con[i], NULL);
        (void)close(srv.con_fd[i]);
    }
    (void)close(srv.fd);
}

static const http_header headers[] = {{"Content-Type", "application/json"}, {"X-Key", "k"}};

static int add(http_pool *p, const char *path, pw_usec timeout, void *tag, pw_err *err)
{
    char url[200];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", srv.port, path);
    http_request r = {.method = "POST",
                      .url = url,
                      .header = headers,
                      .n_headers = 2,
                      .body = "{\"a\":1}",
                      .body_len = 7,
                      .timeout = timeout,
                      .tag = tag};
    return http_pool_add(p, &r, err);
}

static http_reply wait_for(http_pool *p, int added)
{
    http_reply r = {0};
    for (int i = 0; added == 0 && i < 200 && !http_pool_next(p, &r); i++)
        if (http_pool_run(p, -1, SECOND / 20, NULL) < 0)
            break;
    return r;
}

static void answers(http_pool *p)
{
    static const struct row {
        const char *path;
        long status;
        bool sent;
        pw_usec after, timeout;
        const char *key, *body, *text;
    } rows[] = {
        {"/ok", 200, true, 0, 10000000, "", "hi", ""},
        {"/busy", 429, true, 7000000, 10000000, "", "", ""},
        {"/known", 409, true, 0, 10000000, "build/1/x", "", ""},
        {"/elsewhere", 302, true, 0, 10000000, "", "", ""},
        {"/half", 200, true, 0, 10000000, "", "abc", ""},
        {"/late-body", 500, true, 0, 100000, "", "abc", "timed out"},
        {"/silent", 0, true, 0, 100000, "", "", "timed out"},
        {"/continue", 0, true, 0, 100000, "", "", "timed out"},
        {"/garbage", 0, true, 0, 10000000, "", "", "HTTP/0.9"},
        {"/closed", 0, true, 0, 10000000, "", "", "mpty reply"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *w = &rows[i];
        pw_err err = {0};
        int added = add(p, w->path, w->timeout, (void *)(uintptr_t)w, &err);
        ok(added == 0, "%s is asked", w->path);
        http_reply r = wait_for(p, added);
        bool is = r.tag == w && r.status == w->status && r.sent == w->sent &&
                  r.retry_after == w->after && strcmp(r.key, w->key) == 0 &&
                  strcmp(pw_buf_str(&r.body), w->body) == 0 && strstr(r.text, w->text) &&
                  !strstr(r.text, w->path);
        ok(is, "%s: %ld", w->path, w->status);
        if (!is)
            printf("# got %ld sent %d after %d key \"%s\" body \"%s\" text \"%s\"\n", r.status,
                   r.sent, (int)(r.retry_after / SECOND), r.key, pw_buf_str(&r.body), r.text);
        http_reply_clear(&r);
    }
}

static void request_is_whole(http_pool *p)
{
    http_reply r = wait_for(p, add(p, "/ok", 5 * SECOND, NULL, NULL));
    http_reply_clear(&r);
    (void)pthread_mutex_lock(&srv.lock);
    ok(strncmp(srv.last, "POST /ok HTTP/1.1\r\n", 19) == 0 &&
           strstr(srv.last, "\r\nX-Key: k\r\n") && strstr(srv.last, "User-Agent: pawl/") &&
           strstr(srv.last, "\r\nContent-Length: 7\r\n") && !strstr(srv.last, "Expect"),
       "the request");
    (void)pthread_mutex_unlock(&srv.lock);
}

/* A body beyond the limit is not read, and the status counts. */
static void large(http_pool *p)
{
    http_reply r = wait_for(p, add(p, "/large", 5 * SECOND, NULL, NULL));
    ok(r.status == 200 && r.body.len == HTTP_POOL_BODY_MAX, "a large answer: %zu bytes",
       r.body.len);
    http_reply_clear(&r);
}

static void nobody_there(http_pool *p)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    char url[100];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pw_err err = {0};
    /* bound, not listening: refused, and nobody else gets it meanwhile */
    ok(fd >= 0 && bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0 &&
           getsockname(fd, (struct sockaddr *)&in, &len) == 0,
       "a port without a listener");
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/secret", ntohs(in.sin_port));
    http_request q = {.method = "POST", .url = url, .body = "x", .body_len = 1, .timeout = SECOND};
    int added = http_pool_add(p, &q, &err);
    ok(added == 0, "asked");
    http_reply r = wait_for(p, added);
    ok(r.status == 0 && !r.sent && strstr(r.text, "onnect") && !strstr(r.text, "secret"),
       "nothing left: %s", r.text);
    http_reply_clear(&r);
    (void)close(fd);
    q.url = "http://127.0.0.1:1/a\nb";
    ok(http_pool_add(p, &q, &err) == PW_EINVAL, "a line break in an address");
    http_header bad = {"X", "a\r\nY: b"};
    q.url = "http://127.0.0.1:1/";
    q.header = &bad;
    q.n_headers = 1;
    ok(http_pool_add(p, &q, &err) == PW_EINVAL, "a line break in a header");
}

/* One that hangs does not hold up the other. */
static void side_by_side(http_pool *p)
{
    int a = 0, b = 0;
    (void)add(p, "/silent", 30 * SECOND, &a, NULL);
    http_reply r = wait_for(p, add(p, "/ok", 10 * SECOND, &b, NULL));
    ok(r.tag == &b && r.status == 200, "the quick one is first");
    http_reply_clear(&r);
}

int main(void)
{
    pw_err err = {0};
    PW_AUTO(http_pool_freep) http_pool *p = http_pool_new(&err);
    if (!begin() || !p) {
        ok(p == NULL && err.code == PW_ENOMEM, "no pool without memory");
        return tap_done();
    }
    answers(p);
    request_is_whole(p);
    large(p);
    nobody_there(p);
    side_by_side(p);
    p = http_pool_free(p); /* breaks off the one that hangs */
    finish();
    return tap_done();
}
