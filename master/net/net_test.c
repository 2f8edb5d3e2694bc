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

/* ---- chats, Matrix, forges, mail */
static void others(void)
{
    static const struct {
        net_kind kind;
        uint64_t tries;
        unsigned step;
        long status;
        bool sent, mailed;
        const char *body, *said;
        int want; /* net_outcome; -1: another request */
        const char *text;
    } rows[] = {
        {NET_CHAT, 1, 0, 200, true, false, "ok", "", NET_TAKEN, "HTTP 200"},
        {NET_CHAT, 1, 0, 404, true, false, "{\"message\":\"no channel\"}", "", NET_REFUSED,
         "HTTP 404: no channel"},
        {NET_CHAT, 1, 0, 403, true, false, "invalid_token", "", NET_REFUSED,
         "HTTP 403: invalid_token"},
        {NET_CHAT, 1, 0, 429, true, false, "", "", NET_LATER, "HTTP 429"},
        {NET_MATRIX, 1, 0, 200, true, false, "{\"event_id\":\"$1\"}", "", NET_TAKEN, "HTTP 200"},
        {NET_MATRIX, 1, 0, 403, true, false, "{\"error\":\"not in room\"}", "", NET_REFUSED,
         "HTTP 403: not in room"},
        {NET_MATRIX, 1, 0, 429, true, false, "{\"retry_after_ms\":9000}", "", NET_LATER,
         "HTTP 429"},
        {NET_GITHUB, 1, 0, 201, true, false, "{}", "", NET_TAKEN, "HTTP 201"},
        {NET_GITHUB, 1, 0, 403, true, false, "API rate limit exceeded", "", NET_LATER, "HTTP 403"},
        {NET_GITHUB, 1, 0, 403, true, false, "{\"message\":\"no\"}", "", NET_REFUSED,
         "HTTP 403: no"},
        {NET_GITHUB, 2, 0, 200, true, false, "[]", "", -1, ""},
        {NET_GITHUB, 2, 0, 403, true, false, "{}", "", -1, ""},
        {NET_GITHUB, 2, 0, 502, true, false, "", "", NET_LATER, "HTTP 502"},
        {NET_GITHUB, 2, 0, 0, true, false, "", "broken", NET_LATER, "broken"},
        {NET_GITHUB, 2, 0, 200, true, false,
         "[{\"id\":2,\"context\":\"c\",\"state\":\"failure\",\"description\":\"d\"},"
         "{\"id\":1,\"context\":\"c\",\"state\":\"success\",\"description\":\"d\"}]",
         "", -1, ""},
        {NET_GITHUB, 2, 0, 200, true, false,
         "[{\"id\":3,\"context\":\"x\",\"state\":\"failure\",\"description\":\"d\"},"
         "{\"id\":2,\"context\":\"c\",\"state\":\"success\",\"description\":\"d\"}]",
         "", NET_TAKEN, "it stands there already"},
        {NET_GITLAB, 2, 0, 200, true, false,
         "[{\"id\":2,\"name\":\"c\",\"status\":\"success\",\"description\":\"d\"}]", "", NET_TAKEN,
         "it stands there already"},
        {NET_GITHUB, 2, 1, 201, true, false, "{}", "", NET_TAKEN, "HTTP 201"},
        {NET_GITLAB, 1, 0, 400, true, false, "Cannot transition status via", "", -1, ""},
        {NET_GITLAB, 1, 1, 200, true, false, "[]", "", NET_REFUSED, "HTTP 200"},
        {NET_MAIL, 1, 0, 250, true, true, "", "", NET_TAKEN, "SMTP 250"},
        {NET_MAIL, 1, 0, 451, true, false, "", "451 later\r\n", NET_LATER, "SMTP: 451 later"},
        {NET_MAIL, 1, 0, 550, false, false, "", "550 no", NET_REFUSED, "SMTP: 550 no"},
        {NET_MAIL, 1, 0, 354, true, false, "", "timed out", NET_SILENT, "SMTP: timed out"},
        {NET_MAIL, 1, 0, 250, false, false, "", "timed out", NET_UNSENT, "SMTP: timed out"},
    };
    static const sender *const by[] = {[NET_CHAT] = &sender_chat,
                                       [NET_MATRIX] = &sender_matrix,
                                       [NET_GITHUB] = &sender_status,
                                       [NET_GITLAB] = &sender_status,
                                       [NET_MAIL] = &sender_mail};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool bad = false;
        PW_AUTO(net_job_freep) net_job *j = job("http://h/");
        http_reply r = {.status = rows[i].status,
                        .sent = rows[i].sent,
                        .mailed = rows[i].mailed,
                        .body = PW_BUF(1000)};
        if (!j)
            return;
        j->kind = rows[i].kind;
        j->tries = rows[i].tries;
        j->step = rows[i].step;
        j->context = pw_strdup("c", &bad);
        j->state = pw_strdup("success", &bad);
        free(j->body);
        j->body = pw_strdup("{\"description\":\"d\"}", &bad);
        j->body_len = 19;
        (void)snprintf(r.text, sizeof(r.text), "%s", rows[i].said);
        (void)pw_buf_adds(&r.body, rows[i].body);
        if (!r.body.failed && !bad) {
            by[j->kind]->judge(j, &r);
            ok((j->again ? -1 : (int)j->outcome) == rows[i].want &&
                   (j->again || strncmp(j->text, rows[i].text, strlen(rows[i].text)) == 0),
               "kind %d, %ld: %s", j->kind, rows[i].status, j->text);
        }
        http_reply_clear(&r);
    }
}

static void addresses(void)
{
    static const struct {
        net_kind kind;
        uint64_t tries;
        const char *place, *method, *url;
    } rows[] = {
        {NET_MATRIX, 1, "!r:h", "PUT",
         "http://h/_matrix/client/v3/rooms/%21r%3Ah/send/m.room.message/build%2F1%2Fx"},
        {NET_GITHUB, 1, "a/b", "POST", "http://h/repos/a/b/statuses/abc"},
        {NET_GITHUB, 2, "a/b", "GET", "http://h/repos/a/b/commits/abc/statuses?per_page=20"},
        {NET_GITEA, 1, "a/b", "POST", "http://h/api/v1/repos/a/b/statuses/abc"},
        {NET_GITLAB, 1, "a/b", "POST", "http://h/api/v4/projects/a%2Fb/statuses/abc"},
        {NET_GITLAB, 2, "a/b", "GET",
         "http://h/api/v4/projects/a%2Fb/repository/commits/abc/"
         "statuses?per_page=100&name=pawl%2Fu"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool bad = false;
        PW_AUTO(net_job_freep) net_job *j = job("http://h/");
        sender_request r = {.url = PW_BUF(SENDER_URL)};
        if (!j)
            return;
        j->kind = rows[i].kind;
        j->tries = rows[i].tries;
        j->place = pw_strdup(rows[i].place, &bad);
        j->revision = pw_strdup("abc", &bad);
        j->context = pw_strdup("pawl/u", &bad);
        if (!bad) {
            (j->kind == NET_MATRIX ? &sender_matrix : &sender_status)->ask(j, &r);
            ok(r.url.failed ||
                   (strcmp(r.method, rows[i].method) == 0 && strcmp(r.url.p, rows[i].url) == 0),
               "%s %s", r.method, pw_buf_str(&r.url));
        }
        pw_buf_clear(&r.url);
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
    net_service *net = answers ? net_start(answers, NULL, &err) : NULL;
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
    others();
    addresses();
    thread();
    return tap_done();
}
