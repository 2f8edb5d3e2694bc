/* Heads that two programs could read in two ways; what a proxy adds to a stranger's lines. */
#include <stdio.h>
#include <string.h>

#include "master/config/config.h"
#include "master/http/fixture.h"
#include "master/http/impl.h"

#define AUTH "Authorization: Bearer t-admin\r\n"
#define SECOND "GET /api/v1/tokens HTTP/1.1\r\nHost: x\r\n" AUTH "\r\n"
#define BODY "{\"builder\":\"p/fast\",\"reason\":\"x\"}"
#define CHUNKED "21\r\n" BODY "\r\n0\r\n\r\n"

/* Sends all of it; the answers until the server closes the connection (closed), or says nothing
 * more. */
static char *answers(const world *w, const char *text, bool *closed)
{
    PW_AUTO(pw_closep) int fd = client_open(w);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1 << 20);
    struct timeval soon = {.tv_usec = 300000};
    *closed = false;
    if (fd < 0 || pw_fs_write_all(fd, text, strlen(text), NULL) < 0)
        return NULL;
    for (bool any = false;; any = true) {
        char *p = pw_buf_room(&b, 65536);
        if (any)
            (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
        ssize_t n = p ? recv(fd, p, 65535, 0) : -1;
        *closed = n == 0;
        if (n <= 0)
            break;
        b.len += (size_t)n;
        b.p[b.len] = '\0';
    }
    return b.len ? pw_buf_take(&b) : strdup("");
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    while (text && (text = strstr(text, what))) {
        text++;
        n++;
    }
    return n;
}

static void test_ambiguous(world *w)
{
    static const char *const heads[] = {
        "Content-Length: 33\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 33\r\n",
        "Content-Length: 33\r\nContent-Length: 3\r\n",
        "Content-Length: 33\r\nContent-Length: 33\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 33\r\nTransfer-Encoding : chunked\r\n",
        "Content-Length: 33\r\n" AUTH,
        "Content-Length: 33\r\nHost: y\r\n",
        "Content-Length: 33\r\nX-Remote-User: ann\r\nX-Remote-User: bob\r\n",
    };
    unsigned before = atomic_load(&w->asked);
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        bool closed;
        PW_AUTO(pw_freep)
        char *text = pw_strf("POST /api/v1/force HTTP/1.1\r\nHost: x\r\n" AUTH
                             "Content-Type: application/json\r\n%s\r\n%s" SECOND,
                             heads[i], strstr(heads[i], "Transfer") ? CHUNKED : BODY);
        PW_AUTO(pw_freep) char *got = text ? answers(w, text, &closed) : NULL;
        ok(got && strncmp(got, "HTTP/1.1 400", 12) == 0 && count(got, "HTTP/1.1 ") == 1 && closed,
           "head %zu is refused, and nothing behind it is read", i);
    }
    ok(atomic_load(&w->asked) == before, "nothing was done");
}

/* What a request says is not left over for the next one of its connection. */
static void test_next(world *w)
{
    bool closed;
    PW_AUTO(pw_freep)
    char *got =
        answers(w,
                "GET /api/v1/session HTTP/1.1\r\nHost: x\r\n" AUTH "\r\n"
                "GET /api/v1/session HTTP/1.1\r\nHost: x\r\n\r\n"
                "POST /api/v1/force HTTP/1.1\r\nHost: x\r\nContent-Type: "
                "application/json\r\nTransfer-Encoding: chunked\r\n\r\n" CHUNKED
                "POST /api/v1/force HTTP/1.1\r\nHost: x\r\n" AUTH
                "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" CHUNKED,
                &closed);
    ok(got && count(got, "\"actor\":\"root\"") == 1 && count(got, "\"actor\":null") == 1 &&
           count(got, "HTTP/1.1 401") == 1 && count(got, "HTTP/1.1 202") == 1,
       "four requests of one connection, two of them by nobody");
}

/* 127.0.0.1 is a proxy that adds its line below the stranger's: what the stranger wrote does not
 * make another address of him each time. */
static void test_forwarded(void)
{
    static const char yaml[] =
        "name: t\nweb: {listen: \"127.0.0.1:0\", proxies: [127.0.0.1], user_header: X-Remote-User, "
        "limits: {requests_per_second: 1, burst: 20}}\n";
    world w = {0};
    int last = 0;
    yaml_errors errors = {0};
    w.conf = config_load_text("t", yaml, sizeof(yaml) - 1, &errors);
    if (!w.conf || !world_open(&w, false)) {
        ok(false, "a world behind a proxy");
    } else {
        reply r = {0};
        for (int i = 0; i < 25; i++) {
            char line[200];
            (void)snprintf(line, sizeof(line),
                           "X-Forwarded-For: 10.0.0.%d\r\nX-Forwarded-For: 192.0.2.9\r\n", i);
            last = call(&w, "GET", "/style.css", line, NULL, &r);
        }
        ok(last == 429, "the address that the proxy saw has used up its requests");
        last = call(&w, "GET", "/style.css", "X-Forwarded-For: 192.0.2.10\r\n", NULL, &r);
        ok(last == 200, "and no other one");
        reply_clear(&r);
        test_ambiguous(&w);
    }
    world_close(&w);
    config_unref(w.conf);
}

int main(void)
{
    world w = {0};
    if (!world_open(&w, false)) {
        ok(false, "a world");
        return tap_done();
    }
    test_next(&w);
    world_close(&w);
    test_forwarded();
    return tap_done();
}
