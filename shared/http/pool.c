#include "shared/http/pool.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/http/impl.h"

enum { CONNECT_MOST_MS = 10000 };

typedef struct exchange {
    struct exchange *next;
    CURL *easy;                 /* owned */
    struct curl_slist *headers; /* owned */
    struct curl_slist *to;      /* owned; of a mail */
    char *body;                 /* owned */
    size_t body_len, body_at;
    bool mail;
    void *tag;
    pw_buf answer;
    char key[300];
    char text[CURL_ERROR_SIZE];
    CURLcode code;
    char said[200]; /* the last line of a mail server that refused something */
} exchange;

struct http_pool {
    CURLM *multi;
    bool global;
    exchange *running, *finished;
    size_t n;
};

static exchange *exchange_free(exchange *x)
{
    if (!x)
        return NULL;
    if (x->easy)
        curl_easy_cleanup(x->easy);
    curl_slist_free_all(x->headers);
    curl_slist_free_all(x->to);
    pw_buf_clear(&x->answer);
    free(x->body);
    free(x);
    return NULL;
}
PW_DEFINE_FREEP(exchange, exchange_free)

http_pool *http_pool_new(pw_err *err)
{
    http_pool *self = calloc(1, sizeof(*self));
    if (self) {
        self->global = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK; /* counted by curl */
        self->multi = self->global ? curl_multi_init() : NULL;
    }
    if (self && self->multi)
        return self;
    (void)pw_fail(err, PW_ENOMEM, "out of memory");
    return http_pool_free(self);
}

http_pool *http_pool_free(http_pool *self)
{
    if (!self)
        return NULL;
    for (exchange *x = self->running, *next; x; x = next) {
        next = x->next;
        (void)curl_multi_remove_handle(self->multi, x->easy);
        exchange_free(x);
    }
    for (exchange *x = self->finished, *next; x; x = next) {
        next = x->next;
        exchange_free(x);
    }
    if (self->multi)
        (void)curl_multi_cleanup(self->multi);
    if (self->global)
        curl_global_cleanup();
    free(self);
    return NULL;
}

void http_reply_clear(http_reply *r)
{
    pw_buf_clear(&r->body);
    *r = (http_reply){0};
}

/* ---- what curl calls */
static size_t on_body(char *p, size_t size, size_t n, void *self)
{
    exchange *x = self;
    size_t room = HTTP_POOL_BODY_MAX - x->answer.len;
    (void)size; /* always 1 */
    if (pw_buf_add(&x->answer, p, n < room ? n : room) < 0 || n > room)
        return CURL_WRITEFUNC_ERROR; /* enough: the status says what matters */
    return n;
}

static size_t on_header(char *p, size_t size, size_t n, void *self)
{
    exchange *x = self;
    (void)size;
    if (x->mail && n >= 3 && (p[0] == '4' || p[0] == '5'))
        (void)snprintf(x->said, sizeof(x->said), "%.*s", (int)(n < 190 ? n : 190), p);
    if (x->mail)
        return n;
    http_keep_header(p, n, "Idempotency-Key", x->key, sizeof(x->key));
    return n;
}

static size_t on_read(char *p, size_t size, size_t n, void *self)
{
    exchange *x = self;
    size_t left = x->body_len - x->body_at, k = size * n < left ? size * n : left;
    memcpy(p, x->body + x->body_at, k);
    x->body_at += k;
    return k;
}

/* ---- adding */
static int add_headers(exchange *x, const http_request *r, pw_err *err)
{
    int rc = http_drop_header(&x->headers, "Expect:", err);
    for (size_t i = 0; rc == 0 && i < r->n_headers; i++)
        rc = http_add_header(&x->headers, r->header[i].name, r->header[i].value, err);
    return rc;
}

static int add_to(exchange *x, const http_request *r, pw_err *err)
{
    for (size_t i = 0; i < r->n_mail_to; i++) {
        struct curl_slist *more = curl_slist_append(x->to, r->mail_to[i]);
        if (!more)
            return pw_fail(err, PW_ENOMEM, "out of memory");
        x->to = more;
    }
    return 0;
}

static bool set_options(exchange *x, const http_request *r)
{
    CURL *easy = x->easy;
    pw_usec us = r->timeout / 1000 + (r->timeout % 1000 > 0);
    long ms = us <= 0 || us > INT_MAX ? INT_MAX : (long)us;
    unsigned failed = 0;
#define SET(option, value) (failed |= curl_easy_setopt(easy, (option), (value)) != CURLE_OK)
    SET(CURLOPT_ERRORBUFFER, x->text);
    SET(CURLOPT_PRIVATE, x);
    SET(CURLOPT_URL, r->url);
    SET(CURLOPT_PROTOCOLS_STR, x->mail ? "smtp,smtps" : "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    if (r->ca)
        SET(CURLOPT_CAINFO, r->ca);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* an end does not wait for a name server */
    SET(CURLOPT_TIMEOUT_MS, ms);
    SET(CURLOPT_CONNECTTIMEOUT_MS, ms < CONNECT_MOST_MS ? ms : (long)CONNECT_MOST_MS);
    SET(CURLOPT_USERAGENT, "pawl/" PW_VERSION);
    SET(CURLOPT_HTTPHEADER, x->headers);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, x);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, x);
    SET(CURLOPT_NOPROXY, http_is_local(r->url) ? "*" : NULL); /* NULL: the environment */
    /* curl repeats a request by itself when a connection that it kept turns out to be dead */
    SET(CURLOPT_FRESH_CONNECT, 1L);
    SET(CURLOPT_FORBID_REUSE, 1L);
    if (x->mail) {
        SET(CURLOPT_UPLOAD, 1L);
        SET(CURLOPT_READFUNCTION, on_read);
        SET(CURLOPT_READDATA, x);
        SET(CURLOPT_MAIL_FROM, r->mail_from);
        SET(CURLOPT_MAIL_RCPT, x->to);
        SET(CURLOPT_USE_SSL, (long)(r->starttls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
        if (r->user) {
            SET(CURLOPT_USERNAME, r->user);
            SET(CURLOPT_PASSWORD, r->password ? r->password : "");
        }
        return !failed;
    }
    if (x->body) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
        SET(CURLOPT_POSTFIELDS, x->body);
    }
    SET(CURLOPT_CUSTOMREQUEST, r->method);
#undef SET
    return !failed;
}

int http_pool_add(http_pool *self, const http_request *r, pw_err *err)
{
    int rc;
    if (self->n >= HTTP_POOL_MOST)
        return pw_fail(err, PW_EFULL, "%d exchanges are under way already", HTTP_POOL_MOST);
    if (!http_is_clean(r->url) || !strstr(r->url, "://"))
        return pw_fail(err, PW_EINVAL, "the address holds characters that it must not have");
    PW_AUTO(exchange_freep) exchange *x = calloc(1, sizeof(*x));
    if (!x || !(x->easy = curl_easy_init()))
        return pw_fail(err, PW_ENOMEM, "out of memory");
    pw_buf_init(&x->answer, HTTP_POOL_BODY_MAX);
    x->tag = r->tag;
    if (r->body) {
        if (!(x->body = malloc(r->body_len + 1)))
            return pw_fail(err, PW_ENOMEM, "out of memory");
        memcpy(x->body, r->body, r->body_len);
        x->body_len = r->body_len;
    }
    x->mail = r->mail_from != NULL;
    if ((rc = x->mail ? add_to(x, r, err) : add_headers(x, r, err)) < 0)
        return rc;
    if (!set_options(x, r) || curl_multi_add_handle(self->multi, x->easy) != CURLM_OK)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    x->next = self->running;
    self->running = x;
    self->n++;
    x = NULL;
    return 0;
}

/* ---- running */
static void finish(http_pool *self, CURL *easy, CURLcode code)
{
    exchange **at = &self->running;
    while (*at && (*at)->easy != easy)
        at = &(*at)->next;
    exchange *x = *at;
    if (!x)
        return;
    *at = x->next;
    (void)curl_multi_remove_handle(self->multi, easy);
    x->code = code;
    if (code != CURLE_OK && !x->text[0])
        (void)snprintf(x->text, sizeof(x->text), "%s", curl_easy_strerror(code));
    exchange **last = &self->finished;
    while (*last)
        last = &(*last)->next;
    x->next = NULL;
    *last = x;
}

int http_pool_run(http_pool *self, int fd, pw_usec most, pw_err *err)
{
    struct curl_waitfd extra = {.fd = fd, .events = CURL_WAIT_POLLIN};
    CURLMsg *m;
    int running = 0, left = 0;
    if (curl_multi_perform(self->multi, &running) != CURLM_OK)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    while ((m = curl_multi_info_read(self->multi, &left)) != NULL)
        if (m->msg == CURLMSG_DONE)
            finish(self, m->easy_handle, m->data.result);
    pw_usec ms = (most + 999) / 1000;
    if (self->finished)
        return 0;
    if (curl_multi_poll(self->multi, &extra, fd >= 0, ms > INT_MAX ? INT_MAX : (int)ms, NULL) !=
        CURLM_OK)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    return 0;
}

bool http_pool_next(http_pool *self, http_reply *ret)
{
    exchange *x = self->finished;
    long status = 0, bytes = 0;
    curl_off_t after = 0;
    if (!x)
        return false;
    self->finished = x->next;
    self->n--;
    (void)curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(x->easy, CURLINFO_REQUEST_SIZE, &bytes);
    (void)curl_easy_getinfo(x->easy, CURLINFO_RETRY_AFTER, &after);
    *ret = (http_reply){.tag = x->tag,
                        .status = status >= 200 ? status : 0, /* a 100 is no answer yet */
                        .sent = bytes > 0 || status > 0,
                        .retry_after = after > 0 && after < INT_MAX ? after * (pw_usec)1000000 : 0,
                        .body = x->answer};
    if (x->mail) {
        ret->mailed = x->code == CURLE_OK;
        ret->status = status;
        ret->sent = x->body_at > 0;
    }
    pw_buf_init(&x->answer, 0);
    memcpy(ret->key, x->key, sizeof(ret->key));
    (void)snprintf(ret->text, sizeof(ret->text), "%s", x->said[0] ? x->said : x->text);
    exchange_free(x);
    return true;
}
