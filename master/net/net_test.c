/* What a webhook's answer means, how it is signed; and the thread against a small server. */
#include "master/net/net.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "master/net/sender.h"
#include "shared/crypt/crypt.h"
#include "tests/tap.h"

static net_job *job(const char *url)
{
    bool bad = false;
    net_job *j = net_job_new(NET_WEBHOOK, NULL);
    if (!j)
        return NULL;
    j->id = 7;
    j->url = pw_strdup(url, &bad);
    j->key = pw_strdup("build/1/x", &bad);
    j->event = pw_strdup("failure", &bad);
    j->body = pw_strdup("Hello, World!", &bad);
    j->body_len = 13;
    j->secret = pw_strdup("It's a Secret to Everybody", &bad);
    j->secret_len = 26;
    j->timeout = 10000000;
    return bad ? net_job_free(j) : j;
}

static const char *value(const sender_request *r, const char *name)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->header[i].name, name) == 0)
            return r->header[i].value;
    return "";
}

static void asks(void)
{
    PW_AUTO(net_job_freep) net_job *j = job("http://h/");
    sender_request r = {0};
    if (!j)
        return;
    sender_webhook.ask(j, &r);
    ok(strcmp(r.method, "POST") == 0 && r.n == 4 &&
           strcmp(value(&r, "Content-Type"), "application/json") == 0 &&
           strcmp(value(&r, "Idempotency-Key"), "build/1/x") == 0 &&
           strcmp(value(&r, "Pawl-Event"), "failure") == 0,
       "the headers");
    /* GitHub documents this pair of text and secret */
    ok(strcmp(value(&r, "Pawl-Signature-256"),
              "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17") == 0,
       "the signature: %s", value(&r, "Pawl-Signature-256"));
    free(j->secret);
    j->secret = NULL;
    r = (sender_request){0};
    sender_webhook.ask(j, &r);
    ok(r.n == 3 && !*value(&r, "Pawl-Signature-256"), "no secret, no signature");
}

static void judges(void)
{
    static const struct {
        long status;
        bool sent;
        const char *key, *body, *said;
        net_outcome want;
        const char *text;
    } rows[] = {
        {200, true, "", "", "", NET_TAKEN, "HTTP 200"},
        {204, true, "", "", "", NET_TAKEN, "HTTP 204"},
        {301, true, "", "", "", NET_REFUSED, "HTTP 301: redirects are not followed"},
        {400, true, "", "bad\r\nmore", "", NET_REFUSED, "HTTP 400: bad"},
        {401, true, "", "", "", NET_REFUSED, "HTTP 401"},
        {404, true, "", "\x01no", "", NET_REFUSED, "HTTP 404: ?no"},
        {408, true, "", "", "", NET_LATER, "HTTP 408"},
        {409, true, "", "", "", NET_REFUSED, "HTTP 409"},
        {409, true, "build/1/y", "", "", NET_REFUSED, "HTTP 409"},
        {409, true, "build/1/x", "", "", NET_TAKEN, "HTTP 409"},
        {409, true, "", "key build/1/x is known", "", NET_TAKEN, "HTTP 409"},
        {425, true, "", "", "", NET_LATER, "HTTP 425"},
        {429, true, "", "", "", NET_LATER, "HTTP 429"},
        {500, true, "", "", "", NET_LATER, "HTTP 500"},
        {503, true, "", "", "", NET_LATER, "HTTP 503"},
        {599, true, "", "", "", NET_LATER, "HTTP 599"},
        {0, true, "", "", "timed out", NET_SILENT, "timed out"},
        {0, false, "", "", "refused", NET_UNSENT, "refused"},
        {0, false, "", "", "", NET_UNSENT, "no answer"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        PW_AUTO(net_job_freep) net_job *j = job("http://h/");
        http_reply r = {.status = rows[i].status, .sent = rows[i].sent, .body = PW_BUF(1000)};
        if (!j)
            return;
        r.retry_after = 5;
        (void)snprintf(r.key, sizeof(r.key), "%s", rows[i].key);
        (void)snprintf(r.text, sizeof(r.text), "%s", rows[i].said);
        (void)pw_buf_adds(&r.body, rows[i].body);
        if (!r.body.failed) {
            sender_webhook.judge(j, &r);
            ok(j->outcome == rows[i].want && j->retry_after == 5 &&
                   strncmp(j->text, rows[i].text, strlen(rows[i].text)) == 0,
               "%ld: %s", rows[i].status, j->text);
        }
        http_reply_clear(&r);
    }
}

/* ---- the thread */
typedef struct server {
    int fd;
    unsigned port;
    pthread_t thread;
    char text[4][2000]; /* one request a connection */
    int con[4];
    size_t n;
} server;

/* Reads a request from each connection; answers those whose path is not /hang. */
static void *serve(void *p)
{
    server *s = p;
    while (s->n < 4) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0)
            break;
        char *text = s->text[s->n];
        size_t n = 0;
        while (n < 1999 && !strstr(text, "Hello, World!")) {
            ssize_t k = recv(fd, text + n, 1999 - n, 0);
            if (k <= 0)
                break;
            n += (size_t)k;
            text[n] = '\0';
        }
        s->con[s->n++] = fd;
        static const char yes[] = "HTTP/1.1 202 Yes\r\nContent-Length: 0\r\n\r\n";
        if (!strstr(text, "/hang"))
            (void)send(fd, yes, sizeof(yes) - 1, MSG_NOSIGNAL);
    }
    return NULL;
}

static bool server_begin(server *s)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&in, sizeof(in)) < 0 || listen(s->fd, 4) < 0 ||
        getsockname(s->fd, (struct sockaddr *)&in, &len) < 0)
        return false;
    s->port = ntohs(in.sin_port);
    return pthread_create(&s->thread, NULL, serve, s) == 0;
}

static void thread(void)
{
    server s = {0};
    char url[100];
    pw_err err = {0};
    PW_AUTO(pw_chan_freep) pw_chan *answers = pw_chan_new(10, NULL, &err);
    net_service *net = answers ? net_start(answers, &err) : NULL;
    if (!net) {
        ok(err.code == PW_ENOMEM || err.code == PW_ESYS, "no thread without memory");
        return;
    }
    if (!server_begin(&s)) {
        ok(false, "a server");
        net_stop(net);
        return;
    }
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/hang", s.port);
    net_job *j = job(url);
    ok(!j || net_send(net, j, &err) == 0 || err.code == PW_ENOMEM, "one that will hang");
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/x", s.port);
    j = job(url);
    bool sent = j && net_send(net, j, &err) == 0;
    PW_AUTO(net_job_freep) net_job *a = sent ? pw_chan_recv_wait(answers) : NULL;
    /* without memory either of them may come back unsent */
    ok(!sent ||
           (a && a->id == 7 &&
            ((a->outcome == NET_TAKEN && strcmp(a->text, "HTTP 202") == 0) ||
             (a->outcome == NET_UNSENT && strstr(a->text, "memory")) || strstr(a->url, "hang"))),
       "the other is answered: %s", a ? a->text : "");
    net = net_stop(net); /* with one under way */
    (void)shutdown(s.fd, SHUT_RDWR);
    (void)pthread_join(s.thread, NULL);
    bool found = false;
    for (size_t i = 0; i < s.n; i++) {
        found |= strstr(s.text[i], "POST /x HTTP/1.1\r\n") &&
                 strstr(s.text[i], "Idempotency-Key: build/1/x\r\n") &&
                 strstr(s.text[i], "Pawl-Signature-256: sha256=757107ea");
        (void)close(s.con[i]);
    }
    (void)close(s.fd);
    ok(!a || a->outcome != NET_TAKEN || found, "the request was whole");
    for (net_job *left; (left = pw_chan_recv(answers));)
        net_job_free(left);
    ok(!net, "an end does not wait for what hangs");
}

int main(void)
{
    if (crypt_init(NULL) < 0)
        return 1;
    asks();
    judges();
    thread();
    return tap_done();
}
