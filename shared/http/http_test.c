#include "shared/http/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "tests/tap.h"

enum { REQUEST_MAX = 16384, MIB = 1024 * 1024 };

/* ---- a server of one thread: one connection after the other, each for as many requests as the
 * client sends ---- */

struct server {
    int fd;
    char base[64];
    pthread_t thread;
    bool running;
    int connections; /* read by the test when the thread has ended, or between calls of one client
                      */
};

static bool put(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k <= 0)
            return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

static bool puts_to(int fd, const char *s)
{
    return put(fd, s, strlen(s));
}

/* A body of `mib` MiB and `more` bytes that ends with the connection. */
static void put_large(int fd, size_t mib, size_t more)
{
    static char block[MIB];
    (void)puts_to(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    while (mib-- > 0)
        if (!put(fd, block, sizeof(block)))
            return;
    (void)put(fd, block, more);
}

static void wait_for_end(int fd)
{
    char c;
    while (recv(fd, &c, 1, 0) > 0)
        ;
}

/* Answers one request; false when the connection is to be closed. */
static bool answer(int fd, const char *request, size_t n)
{
    char head[200];
    const char *path = strchr(request, ' ');
    path = path ? path + 1 : "";
#define IS(s) (strncmp(path, (s), strlen(s)) == 0)
    if (IS("/hello"))
        return puts_to(
            fd,
            "HTTP/1.1 100 Continue\r\nETag: old\r\n\r\n"
            "HTTP/1.1 200 OK\r\netag:  \"abc\" \r\nPawl-Done: 1\r\nContent-Length: 2\r\n\r\nhi");
    if (IS("/echo")) {
        (void)snprintf(head, sizeof(head), "HTTP/1.1 201 Made\r\nContent-Length: %zu\r\n\r\n", n);
        return puts_to(fd, head) && put(fd, request, n);
    }
    if (IS("/missing"))
        return puts_to(fd, "HTTP/1.1 404 No\r\nContent-Length: 15\r\n\r\nno such\nbuild 7");
    if (IS("/empty"))
        return puts_to(fd, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
    if (IS("/elsewhere"))
        return puts_to(fd, "HTTP/1.1 302 Go\r\nLocation: /hello\r\nContent-Length: 0\r\n\r\n");
    if (IS("/etag")) {
        char tag[130];
        memset(tag, 't', sizeof(tag));
        tag[path[5] == '+' ? 128 : 127] = '\0';
        return puts_to(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: ") && puts_to(fd, tag) &&
               puts_to(fd, "\r\n\r\n");
    }
    if (IS("/stream")) {
        (void)puts_to(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n");
        if (IS("/stream-end"))
            return puts_to(fd, "4\r\ntwo\n\r\n0\r\n\r\n");
    }
    if (IS("/stream") || IS("/slow"))
        wait_for_end(fd);
    if (IS("/half"))
        (void)puts_to(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    if (IS("/garbage"))
        (void)puts_to(fd, "220 mail.example.org ESMTP\r\n");
    if (IS("/says-large"))
        (void)puts_to(fd, "HTTP/1.1 200 OK\r\nContent-Length: 67108865\r\n\r\n");
    if (IS("/large"))
        put_large(fd, 64, path[6] == '+');
    return false;
#undef IS
}

/* A whole request: head and body. 0 when the connection ended. */
static size_t read_request(int fd, char *text)
{
    size_t n = 0;
    while (n < REQUEST_MAX - 1) {
        const char *end, *length;
        ssize_t k = recv(fd, text + n, REQUEST_MAX - 1 - n, 0);
        if (k <= 0)
            return 0;
        n += (size_t)k;
        text[n] = '\0';
        end = strstr(text, "\r\n\r\n");
        if (!end)
            continue;
        length = strcasestr(text, "content-length:");
        if (!length || length > end ||
            n >= (size_t)(end + 4 - text) + strtoul(length + 15, NULL, 10))
            return n;
    }
    return 0;
}

static void *serve(void *self)
{
    struct server *s = self;
    for (;;) {
        static char text[REQUEST_MAX];
        struct timeval most = {.tv_sec = 3};
        int yes = 1;
        PW_AUTO(pw_closep) int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
        size_t n;
        if (fd < 0)
            return NULL; /* the test shut the socket down */
        (void)__atomic_add_fetch(&s->connections, 1, __ATOMIC_SEQ_CST);
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof(most));
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes,
                         sizeof(yes)); /* or heads wait for an ACK */
        while ((n = read_request(fd, text)) > 0 && answer(fd, text, n))
            ;
    }
}

/* Binds a socket of this machine to a free port; listens when `listening`. */
static bool server_open(struct server *s, bool listening)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&a, len) != 0 ||
        getsockname(s->fd, (struct sockaddr *)&a, &len) != 0 ||
        (listening && listen(s->fd, 5) != 0))
        return false;
    (void)snprintf(s->base, sizeof(s->base), "http://127.0.0.1:%u", (unsigned)ntohs(a.sin_port));
    s->running = listening && pthread_create(&s->thread, NULL, serve, s) == 0;
    return s->running == listening;
}

static void server_close(struct server *s)
{
    if (s->running) {
        (void)shutdown(s->fd, SHUT_RDWR);
        (void)pthread_join(s->thread, NULL);
    }
    pw_closep(&s->fd);
}

/* ---- tests ---- */

#define SECONDS(n) ((pw_usec)(n)*1000000)

static int get(http_client *c, const char *path, pw_usec timeout, http_answer *a, pw_err *err)
{
    http_answer_clear(a);
    *err = (pw_err){0};
    return http_call(c, "GET", path, NULL, 0, NULL, 0, timeout, a, err);
}

static bool has(const http_answer *a, const char *text)
{
    return strcasestr(pw_buf_str(&a->body), text) != NULL;
}

static void test_calls(const struct server *s, http_client *c)
{
    static const http_header headers[] = {
        {"X-One", "1"}, {"Content-Type", "text/plain"}, {"X-Empty", ""}};
    PW_AUTO(http_answer_clear) http_answer a = {.status = 0};
    pw_err err = {0};
    int before;
    ok(get(c, "/hello", SECONDS(5), &a, &err) == 0 && a.status == 200 &&
           strcmp(pw_buf_str(&a.body), "hi") == 0,
       "GET: %ld %s", a.status, err.text);
    ok(strcmp(a.etag, "\"abc\"") == 0 && strcmp(a.pawl_done, "1") == 0, "its headers");
    before = __atomic_load_n(&s->connections, __ATOMIC_SEQ_CST);
    ok(get(c, "/echo/a%20b/../c?x=1&y=%2F", 0, &a, &err) == 0 && a.status == 201 &&
           has(&a, "GET /echo/a%20b/../c?x=1&y=%2F HTTP/1.1\r\n"),
       "the path goes as it is");
    ok(has(&a, "authorization: bearer s3cret\r\n") && has(&a, "user-agent: pawl/") &&
           !has(&a, "content-type") && !a.etag[0] && !a.pawl_done[0],
       "the token goes with it");
    http_answer_clear(&a);
    ok(http_call(c, "POST", "/echo", headers, 3, "body", 4, SECONDS(5), &a, &err) == 0 &&
           has(&a, "POST /echo ") && has(&a, "\r\nx-one: 1\r\n") && has(&a, "\r\nx-empty:\r\n") &&
           has(&a, "\r\ncontent-type: text/plain\r\n") && has(&a, "\r\ncontent-length: 4\r\n") &&
           has(&a, "\r\n\r\nbody") && !has(&a, "expect:"),
       "POST with headers and a body");
    http_answer_clear(&a);
    ok(http_call(c, "PUT", "/echo", NULL, 0, "{}", 2, SECONDS(5), &a, &err) == 0 &&
           has(&a, "PUT /echo ") && has(&a, "content-type: application/json\r\n") &&
           has(&a, "\r\n\r\n{}"),
       "PUT is JSON if nothing else is said");
    http_answer_clear(&a);
    ok(http_call(c, "POST", "/echo", NULL, 0, NULL, 0, SECONDS(5), &a, &err) == 0 &&
           has(&a, "content-length: 0\r\n") && !has(&a, "content-type"),
       "POST without a body");
    http_answer_clear(&a);
    ok(http_call(c, "DELETE", "/echo", NULL, 0, NULL, 0, SECONDS(5), &a, &err) == 0 &&
           has(&a, "DELETE /echo "),
       "DELETE");
    ok(get(c, "/missing", SECONDS(5), &a, &err) == 0 && a.status == 404 && has(&a, "build 7"),
       "an error status is an answer");
    ok(get(c, "/elsewhere", SECONDS(5), &a, &err) == 0 && a.status == 302,
       "redirects are not followed");
    ok(get(c, "/etag", SECONDS(5), &a, &err) == 0 && strlen(a.etag) == 127, "an ETag of 127 bytes");
    ok(get(c, "/etag+", SECONDS(5), &a, &err) == 0 && !a.etag[0], "a longer one is left out");
    ok(__atomic_load_n(&s->connections, __ATOMIC_SEQ_CST) == before, "all over one connection");
}

static void test_failures(const struct server *s, http_client *c)
{
    PW_AUTO(http_answer_clear) http_answer a = {.status = 77};
    static const http_header split = {"X", "a\r\nY: b"}, colon = {"X:Y", "b"};
    pw_err err = {0};
    ok(get(c, "/close", SECONDS(5), &a, &err) == PW_EPROTO && strstr(err.text, s->base),
       "closed: %s", err.text);
    ok(get(c, "/half", SECONDS(5), &a, &err) == PW_EPROTO, "cut short: %s", err.text);
    ok(get(c, "/garbage", SECONDS(5), &a, &err) == PW_EPROTO, "no HTTP: %s", err.text);
    ok(get(c, "/slow", 30000, &a, &err) == PW_ETIMEDOUT && strstr(err.text, s->base), "slow: %s",
       err.text);
    ok(get(c, "/says-large", SECONDS(5), &a, &err) == PW_ELIMIT, "announced 64 MiB + 1: %s",
       err.text);
    ok(get(c, "/large+", SECONDS(5), &a, &err) == PW_ELIMIT, "64 MiB + 1: %s", err.text);
    ok(a.status == 77 && !a.body.p, "failures leave the answer alone");
    ok(get(c, "/large", SECONDS(5), &a, &err) == 0 && a.body.len == (size_t)64 * MIB,
       "64 MiB are taken");
    http_answer_clear(&a);
    ok(get(c, "hello", 0, &a, &err) == PW_EINVAL && get(c, "/a b", 0, &a, &err) == PW_EINVAL &&
           get(c, "/a\r\nX: y", 0, &a, &err) == PW_EINVAL,
       "paths that are none");
    ok(http_call(c, "GET", "/", &split, 1, NULL, 0, 0, &a, &err) == PW_EINVAL &&
           http_call(c, "GET", "/", &colon, 1, NULL, 0, 0, &a, &err) == PW_EINVAL,
       "headers that hold others");
    ok(get(c, "/hello", SECONDS(5), &a, &err) == 0 && a.status == 200,
       "the client goes on after all that");
}

struct collected {
    pw_buf text;
    int left; /* chunks until it has enough */
};

static int collect(void *self, const char *p, size_t n)
{
    struct collected *c = self;
    (void)pw_buf_add(&c->text, p, n);
    return --c->left == 0;
}

static void test_streams(const struct server *s, http_client *c)
{
    static const http_header last = {"Last-Event-ID", "7"};
    struct collected all = {.text = PW_BUF(MIB)}, one = {.text = PW_BUF(MIB), .left = 1},
                     none = {.text = PW_BUF(MIB)}, echo = {.text = PW_BUF(MIB)};
    PW_AUTO(http_answer_clear) http_answer a = {.status = 0};
    pw_err err = {0};
    long rc = http_stream(c, "/stream-end", NULL, 0, SECONDS(5), collect, &all, &err);
    ok(rc == 200 && strcmp(pw_buf_str(&all.text), "one\ntwo\n") == 0, "a stream to its end");
    rc = http_stream(c, "/stream", NULL, 0, 0, collect, &one, &err);
    ok(rc == 0 && strcmp(pw_buf_str(&one.text), "one\n") == 0, "the sink ends it");
    pw_buf_reset(&one.text);
    rc = http_stream(c, "/stream", NULL, 0, 30000, collect, &one, &err);
    ok(rc == PW_ETIMEDOUT && strcmp(pw_buf_str(&one.text), "one\n") == 0, "silence ends it: %s",
       err.text);
    rc = http_stream(c, "/missing", NULL, 0, SECONDS(5), collect, &none, &err);
    ok(rc == 404 && err.code == PW_ENOTFOUND && strcmp(err.text, "no such build 7") == 0 &&
           none.text.len == 0,
       "refused: %s", err.text);
    rc = http_stream(c, "/empty", NULL, 0, SECONDS(5), collect, &none, &err);
    ok(rc == 503 && err.code == PW_EAGAIN && strstr(err.text, s->base), "refused: %s", err.text);
    rc = http_stream(c, "/echo", &last, 1, SECONDS(5), collect, &echo, &err);
    ok(rc == 201 && strcasestr(pw_buf_str(&echo.text), "last-event-id: 7\r\n"),
       "headers of a stream");
    ok(get(c, "/hello", SECONDS(5), &a, &err) == 0 && a.status == 200, "a call after streams");
    pw_buf_clear(&all.text);
    pw_buf_clear(&one.text);
    pw_buf_clear(&none.text);
    pw_buf_clear(&echo.text);
}

static void test_refused(void)
{
    struct server s = {.fd = -1};
    PW_AUTO(http_client_freep) http_client *c = NULL;
    PW_AUTO(http_answer_clear) http_answer a = {.status = 0};
    pw_err err = {0};
    long rc;
    if (server_open(&s, false))
        c = http_client_new(s.base, NULL, &err);
    if (c) {
        ok(get(c, "/", SECONDS(5), &a, &err) == PW_ESYS && err.sys == ECONNREFUSED &&
               strstr(err.text, s.base) && strstr(err.text, "Connection refused"),
           "nobody there: %s", err.text);
        err = (pw_err){0};
        rc = http_stream(c, "/", NULL, 0, SECONDS(5), collect, NULL, &err);
        ok(rc == PW_ESYS && strstr(err.text, s.base), "nor for a stream: %s", err.text);
    }
    server_close(&s);
}

static void test_new(void)
{
    static const char *const bad[] = {
        "",           "127.0.0.1:80", "ftp://x",   "file:///etc/passwd",
        "http://a b", "http://a?x",   "http://a\n"};
    pw_err err = {0};
    PW_AUTO(http_client_freep) http_client *c = NULL, *d = NULL;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        PW_AUTO(http_client_freep) http_client *x = http_client_new(bad[i], NULL, &err);
        ok(!x && err.code == PW_EINVAL, "address %zu is refused", i);
    }
    c = http_client_new("http://127.0.0.1:1", "a\r\nX: b", &err);
    ok(!c && err.code == PW_EINVAL, "a token of two lines is refused");
    d = http_client_new("HTTPS://[::1]:1/pawl/", NULL, &err);
    ok(d, "an address with a path is fine");
}

static void test_limits(http_client *c)
{
    static char value[8193], path[65537], base[1002], token[4098];
    http_header many[65], one = {"X", value};
    PW_AUTO(http_answer_clear) http_answer a = {.status = 0};
    PW_AUTO(http_client_freep) http_client *b1 = NULL, *b2 = NULL, *t1 = NULL, *t2 = NULL;
    pw_err err = {0};
    for (size_t i = 0; i < 65; i++)
        many[i] = (http_header){"X-Many", "1"};
    ok(http_call(c, "GET", "/echo", many, 64, NULL, 0, SECONDS(5), &a, &err) == 0, "64 headers");
    http_answer_clear(&a);
    ok(http_call(c, "GET", "/echo", many, 65, NULL, 0, SECONDS(5), &a, &err) == PW_ELIMIT,
       "not 65");
    memset(value, 'v', 8189);
    ok(http_call(c, "GET", "/echo", &one, 1, NULL, 0, SECONDS(5), &a, &err) == 0 && has(&a, value),
       "a header of 8,192 bytes");
    value[8189] = 'v';
    ok(http_call(c, "GET", "/echo", &one, 1, NULL, 0, SECONDS(5), &a, &err) == PW_ELIMIT,
       "not of 8,193");
    memset(path, '/', sizeof(path) - 1);
    ok(get(c, path, SECONDS(5), &a, &err) == PW_ELIMIT, "no URL over 65,536 bytes");
    memset(base, 'a', 1000);
    memcpy(base, "http://", 7);
    b1 = http_client_new(base, NULL, &err);
    base[1000] = 'a';
    b2 = http_client_new(base, NULL, &err);
    ok(b1 && !b2 && err.code == PW_ELIMIT, "an address of 1,000 bytes, not of 1,001");
    memset(token, 't', 4096);
    t1 = http_client_new("http://a", token, &err);
    token[4096] = 't';
    t2 = http_client_new("http://a", token, &err);
    ok(t1 && !t2 && err.code == PW_ELIMIT, "a token of 4,096 bytes, not of 4,097");
}

static void test_escape(void)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(100), small = PW_BUF(2);
    ok(http_escape(&b, "aZ09-._~ /?&%+\xc3\xa9") == 0 &&
           strcmp(pw_buf_str(&b), "aZ09-._~%20%2F%3F%26%25%2B%C3%A9") == 0,
       "%s", pw_buf_str(&b));
    ok(http_escape(&small, "/") < 0 && small.failed, "no room is an error");
}

int main(void)
{
    struct server s = {.fd = -1};
    PW_AUTO(http_client_freep) http_client *c = NULL;
    char base[80];
    test_new();
    test_escape();
    test_refused();
    ok(server_open(&s, true), "the test's server runs");
    (void)snprintf(base, sizeof(base), "%s/", s.base);
    c = http_client_new(base, "s3cret", NULL);
    if (c) {
        test_calls(&s, c);
        test_limits(c);
        test_streams(&s, c);
        test_failures(&s, c);
    }
    http_client_freep(&c); /* its connection ends, so the server's thread can */
    server_close(&s);
    return tap_done();
}
