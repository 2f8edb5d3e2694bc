#include "shared/http/http.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "shared/http/impl.h"

#define BODY_MAX ((size_t)64 * 1024 * 1024)
enum {
    BASE_LONGEST = 1000,
    TOKEN_LONGEST = 4096,
    URL_LONGEST = 65536,
    HEADERS_MAX = 64,
    HEADER_LONGEST = 8192,
    ERROR_BODY_MAX = 16384, /* of a refused stream; an error's text takes 400 bytes of it */
    CONNECT_MS = 10000,     /* a live host answers within 1 s; SYN is repeated after 1, 3 and 7 s */
    WAIT_MS = 1000,
    RECEIVE =
        256 *
        1024, /* bytes at a time; curl takes 16 KiB unless told: 16 times the calls for a log */
};

struct http_client {
    CURLM *multi; /* owned; it keeps connections open between calls */
    CURL *easy;   /* owned */
    char *base;   /* owned; without a slash at the end */
    char *token;  /* owned; NULL: none */
    char *ca;     /* owned; NULL: the system's */
    bool global, local;
    char text[CURL_ERROR_SIZE]; /* of the last failure, from curl */
};

/* One exchange while it runs. */
struct exchange {
    http_client *client;
    const char *method;
    struct curl_slist *headers; /* owned */
    pw_buf url;
    pw_buf body; /* of the answer, or of a stream's refusal */
    char etag[128], done[8], date[48];
    http_sink *sink; /* NULL: collect */
    void *sink_self;
    pw_usec idle, last_byte;
    bool stopped, timed_out;
    int fd;             /* of the body that is sent; borrowed; -1: none */
    uint64_t sent, all; /* of it */
    int no_room;        /* 0, or why the body cannot be kept */
};

static void exchange_clear(struct exchange *x)
{
    curl_slist_free_all(x->headers);
    pw_buf_clear(&x->url);
    pw_buf_clear(&x->body);
}

bool http_is_clean(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return false;
    return true;
}

/* http://127.0.0.1:8010, http://[::1]:8010 and localhost never go by a proxy, whatever the
 * environment says. */
bool http_is_local(const char *url)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost", "[::1]"};
    const char *host = strstr(url, "://") + 3;
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        size_t n = strlen(hosts[i]);
        if (strncasecmp(host, hosts[i], n) == 0 && (!host[n] || host[n] == ':' || host[n] == '/'))
            return true;
    }
    return false;
}

static int check_base(const char *base, const char *token, pw_err *err)
{
    if (strncasecmp(base, "http://", 7) != 0 && strncasecmp(base, "https://", 8) != 0)
        return pw_fail(err, PW_EINVAL, "\"%.200s\" does not begin with http:// or https://", base);
    if (strnlen(base, BASE_LONGEST + 1) > BASE_LONGEST)
        return pw_fail(err, PW_ELIMIT, "the address is longer than %d bytes", (int)BASE_LONGEST);
    if (!http_is_clean(base) || strpbrk(base, " ?#"))
        return pw_fail(err, PW_EINVAL, "the address holds characters that it must not have");
    if (token && strnlen(token, TOKEN_LONGEST + 1) > TOKEN_LONGEST)
        return pw_fail(err, PW_ELIMIT, "the token is longer than %d bytes", (int)TOKEN_LONGEST);
    if (token && (!http_is_clean(token) || strchr(token, ' ')))
        return pw_fail(err, PW_EINVAL, "the token holds blanks or control characters");
    return 0;
}

http_client *http_client_new(const char *base, const char *token, pw_err *err)
{
    PW_AUTO(http_client_freep) http_client *self = NULL;
    bool failed = false;
    if (check_base(base, token, err) < 0)
        return NULL;
    self = calloc(1, sizeof(*self));
    if (self) {
        self->base = pw_strdup(base, &failed);
        self->token = pw_strdup(token, &failed);
        self->global = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK; /* counted by curl */
        self->multi = self->global ? curl_multi_init() : NULL;
        self->easy = self->global ? curl_easy_init() : NULL;
    }
    if (!self || failed || !self->multi || !self->easy) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->local = http_is_local(base);
    for (size_t n = strlen(base); n > 0 && base[n - 1] == '/'; n--)
        self->base[n - 1] = '\0';
    return pw_take(self);
}

int http_client_ca(http_client *self, const char *file, pw_err *err)
{
    bool failed = false;
    char *copy = pw_strdup(file, &failed);
    if (failed)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    free(self->ca);
    self->ca = copy;
    return 0;
}

http_client *http_client_free(http_client *self)
{
    if (!self)
        return NULL;
    curl_easy_cleanup(self->easy);
    if (self->multi)
        (void)curl_multi_cleanup(self->multi);
    if (self->global)
        curl_global_cleanup();
    free(self->base);
    free(self->token);
    free(self->ca);
    free(self);
    return NULL;
}

/* ---- what curl calls ---- */

static size_t on_body(char *p, size_t size, size_t n, void *self)
{
    struct exchange *x = self;
    long status = 0;
    (void)size; /* always 1 */
    x->last_byte = pw_now(&pw_host_real);
    if (x->sink)
        (void)curl_easy_getinfo(x->client->easy, CURLINFO_RESPONSE_CODE, &status);
    if (x->sink && status <= 299) {
        x->stopped = x->sink(x->sink_self, p, n) != 0;
        return x->stopped ? CURL_WRITEFUNC_ERROR : n;
    }
    x->no_room = pw_buf_add(&x->body, p, n);
    return x->no_room < 0 && !x->sink ? CURL_WRITEFUNC_ERROR
                                      : n; /* the start of a refusal says enough */
}

/* Copies a header's value if it has that name; a value that does not fit is left out. */
void http_keep_header(const char *p, size_t n, const char *name, char *out, size_t max)
{
    size_t len = strlen(name);
    if (n <= len || strncasecmp(p, name, len) != 0 || p[len] != ':')
        return;
    p += len + 1;
    n -= len + 1;
    while (n > 0 && (*p == ' ' || *p == '\t')) {
        p++;
        n--;
    }
    while (n > 0 && strchr(" \t\r\n", p[n - 1]))
        n--;
    if (n >= max)
        return;
    memcpy(out, p, n);
    out[n] = '\0';
}

static size_t on_header(char *p, size_t size, size_t n, void *self)
{
    struct exchange *x = self;
    (void)size;
    x->last_byte = pw_now(&pw_host_real);
    if (n >= 5 && memcmp(p, "HTTP/", 5) == 0) /* of the last answer only: a 100 may come before */
        x->etag[0] = x->done[0] = x->date[0] = '\0';
    http_keep_header(p, n, "ETag", x->etag, sizeof(x->etag));
    http_keep_header(p, n, "Pawl-Done", x->done, sizeof(x->done));
    http_keep_header(p, n, "Date", x->date, sizeof(x->date));
    return n;
}

/* ---- one exchange ---- */

int http_add_header(struct curl_slist **to, const char *name, const char *value, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf line = PW_BUF(HEADER_LONGEST);
    struct curl_slist *list;
    if (!*name || !http_is_clean(name) || strpbrk(name, " :;") || !http_is_clean(value))
        return pw_fail(err, PW_EINVAL,
                       "the header \"%.60s\" holds characters that it must not have", name);
    if (strnlen(name, HEADER_LONGEST) + strnlen(value, HEADER_LONGEST) + 2 > HEADER_LONGEST)
        return pw_fail(err, PW_ELIMIT, "the header \"%.60s\" is longer than %d bytes", name,
                       (int)HEADER_LONGEST);
    /* curl's own signs: "Name;" is sent with an empty value, "Name:" would not be sent */
    (void)pw_buf_addf(&line, *value ? "%s: %s" : "%s;", name, value);
    list = line.failed ? NULL : curl_slist_append(*to, pw_buf_str(&line));
    if (!list)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    *to = list;
    return 0;
}

/* Headers that curl would add by itself. */
int http_drop_header(struct curl_slist **to, const char *name_colon, pw_err *err)
{
    struct curl_slist *list = curl_slist_append(*to, name_colon);
    if (!list)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    *to = list;
    return 0;
}

static int add_headers(struct exchange *x, const http_header *headers, size_t n, bool has_body,
                       pw_err *err)
{
    bool typed = false;
    int rc;
    if (n > HEADERS_MAX)
        return pw_fail(err, PW_ELIMIT, "%zu headers are more than %d", n, (int)HEADERS_MAX);
    rc = x->fd >= 0 ? 0 : http_drop_header(&x->headers, "Expect:", err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        typed = typed || strcasecmp(headers[i].name, "Content-Type") == 0;
        rc = http_add_header(&x->headers, headers[i].name, headers[i].value, err);
    }
    if (rc == 0 && !typed && has_body)
        rc = http_add_header(&x->headers, "Content-Type", "application/json", err);
    else if (rc == 0 && !typed)
        rc = http_drop_header(&x->headers, "Content-Type:", err);
    if (rc == 0 && x->client->token) {
        PW_AUTO(pw_buf_clearp) pw_buf value = PW_BUF(HEADER_LONGEST);
        if (pw_buf_addf(&value, "Bearer %s", x->client->token) < 0)
            return pw_fail(err, PW_ENOMEM, "out of memory");
        rc = http_add_header(&x->headers, "Authorization", value.p, err);
    }
    return rc;
}

#define SET(option, value) (failed |= curl_easy_setopt(easy, (option), (value)) != CURLE_OK)

static size_t on_send(char *p, size_t size, size_t n, void *self)
{
    struct exchange *x = self;
    size_t left = x->all - x->sent < size * n ? (size_t)(x->all - x->sent) : size * n;
    ssize_t got = pread(x->fd, p, left, (off_t)x->sent);
    if (got < 0 || (got == 0 && left))
        return CURL_READFUNC_ABORT; /* it is not what it was */
    x->sent += (uint64_t)got;
    x->last_byte = pw_now(&pw_host_real);
    return (size_t)got;
}

static int on_seek(void *self, curl_off_t offset, int origin)
{
    struct exchange *x = self;
    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > x->all)
        return CURL_SEEKFUNC_FAIL;
    x->sent = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

static bool set_upload(struct exchange *x)
{
    CURL *easy = x->client->easy;
    unsigned failed = 0;
    SET(CURLOPT_UPLOAD, 1L);
    SET(CURLOPT_CUSTOMREQUEST, x->method);
    SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)x->all);
    SET(CURLOPT_READFUNCTION, on_send);
    SET(CURLOPT_READDATA, x);
    SET(CURLOPT_SEEKFUNCTION, on_seek);
    SET(CURLOPT_SEEKDATA, x);
    return !failed;
}

static bool set_method(const struct exchange *x, const void *body, size_t body_len)
{
    CURL *easy = x->client->easy;
    const char *method = x->method;
    unsigned failed = 0;
    if (strcmp(method, "HEAD") == 0) {
        SET(CURLOPT_NOBODY, 1L);
    } else if (body || strcmp(method, "GET") != 0) {
        if (body || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0) {
            SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body_len);
            SET(CURLOPT_POSTFIELDS, body ? body : "");
        }
        SET(CURLOPT_CUSTOMREQUEST, method);
    }
    return !failed;
}

/* The handle keeps its connections over a reset, so every exchange starts from known options. */
static int set_options(struct exchange *x, const char *path, const void *body, size_t body_len,
                       pw_err *err)
{
    http_client *c = x->client;
    CURL *easy = c->easy;
    unsigned failed = 0;
    if (path[0] != '/' || !http_is_clean(path) || strchr(path, ' '))
        return pw_fail(err, PW_EINVAL, "\"%.100s\" is no path of a URL", path);
    pw_buf_init(&x->url, URL_LONGEST);
    switch (pw_buf_addf(&x->url, "%s%s", c->base, path)) {
    case 0:
        break;
    case PW_ENOMEM:
        return pw_fail(err, PW_ENOMEM, "out of memory");
    default:
        return pw_fail(err, PW_ELIMIT, "the URL is longer than %d bytes", (int)URL_LONGEST);
    }
    curl_easy_reset(easy);
    c->text[0] = '\0';
    SET(CURLOPT_ERRORBUFFER, c->text);
    SET(CURLOPT_URL, x->url.p);
    SET(CURLOPT_PATH_AS_IS, 1L); /* the server judges "..", not curl */
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2); /* or newer */
    if (c->ca) {
        SET(CURLOPT_CAINFO, c->ca);
        SET(CURLOPT_CAPATH, NULL);
    }
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    SET(CURLOPT_BUFFERSIZE, (long)RECEIVE);
    SET(CURLOPT_USERAGENT, "pawl/" PW_VERSION);
    SET(CURLOPT_HTTPHEADER, x->headers);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, x);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, x);
    SET(CURLOPT_NOPROXY, c->local ? "*" : NULL); /* NULL: what the environment says */
    SET(CURLOPT_MAXFILESIZE_LARGE, x->sink ? 0 : (curl_off_t)BODY_MAX);
    if (failed || !(x->fd >= 0 ? set_upload(x) : set_method(x, body, body_len)))
        return pw_fail(err, PW_ENOMEM, "out of memory");
    return 0;
}

/* Why the exchange came to nothing, with the address. */
static int explain(const struct exchange *x, CURLcode rc, pw_err *err)
{
    const http_client *c = x->client;
    const char *why = c->text[0] ? c->text : curl_easy_strerror(rc);
    char text[128];
    long sys = 0;
    (void)curl_easy_getinfo(c->easy, CURLINFO_OS_ERRNO, &sys);
    if (rc == CURLE_OUT_OF_MEMORY || x->no_room == PW_ENOMEM)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (x->no_room < 0 || rc == CURLE_FILESIZE_EXCEEDED)
        return pw_fail(err, PW_ELIMIT, "%s %.200s: the answer is larger than %zu MiB", x->method,
                       c->base, BODY_MAX >> 20);
    if (x->timed_out || rc == CURLE_OPERATION_TIMEDOUT)
        return pw_fail(err, PW_ETIMEDOUT, "%s %.200s: no answer in time", x->method, c->base);
    if ((rc == CURLE_COULDNT_CONNECT || rc == CURLE_SEND_ERROR || rc == CURLE_RECV_ERROR) &&
        sys > 0)
        return pw_fail_at(err, __FILE__, __LINE__, PW_ESYS, (int)sys, "%s %.200s: %s", x->method,
                          c->base, strerror_r((int)sys, text, sizeof(text)));
    switch (rc) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return pw_fail(err, PW_ENOTFOUND, "%s %.200s: %.150s", x->method, c->base, why);
    case CURLE_URL_MALFORMAT:
        return pw_fail(err, PW_EINVAL, "%s %.200s: %.150s", x->method, c->base, why);
    case CURLE_SSL_CACERT_BADFILE:
        return pw_fail(err, PW_EINVAL, "the CA file \"%.200s\" cannot be used: %.100s",
                       c->ca ? c->ca : "", why);
    case CURLE_PEER_FAILED_VERIFICATION:
        return pw_fail(err, PW_EDENIED,
                       "%s %.150s: %.120s; a certificate of your own is named with --ca FILE or "
                       "PAWL_CA",
                       x->method, c->base, why);
    case CURLE_SSL_CONNECT_ERROR:
        return pw_fail(err, PW_EDENIED, "%s %.200s: %.150s", x->method, c->base, why);
    default:
        return pw_fail_at(err, __FILE__, __LINE__, PW_EPROTO, (int)rc, "%s %.200s: %.150s",
                          x->method, c->base, why);
    }
}

/* Runs the exchange to its end. The multi interface, because its wait takes a deadline of ours:
 * `idle`. */
static CURLcode perform(struct exchange *x)
{
    http_client *c = x->client;
    CURLcode result = CURLE_OUT_OF_MEMORY;
    CURLMsg *message;
    int running = 1, left = 0;
    if (curl_multi_add_handle(c->multi, c->easy) != CURLM_OK)
        return result;
    x->last_byte = pw_now(&pw_host_real);
    while (curl_multi_perform(c->multi, &running) == CURLM_OK && running) {
        int wait = WAIT_MS;
        if (x->idle > 0) {
            pw_usec rest = x->last_byte + x->idle - pw_now(&pw_host_real);
            x->timed_out = rest <= 0;
            if (x->timed_out)
                break;
            wait = rest < (pw_usec)WAIT_MS * 1000 ? (int)(rest / 1000) + 1 : WAIT_MS;
        }
        if (curl_multi_poll(c->multi, NULL, 0, wait, NULL) != CURLM_OK)
            break;
    }
    while ((message = curl_multi_info_read(c->multi, &left)) != NULL)
        if (message->msg == CURLMSG_DONE)
            result = message->data.result;
    (void)curl_multi_remove_handle(c->multi, c->easy);
    return x->timed_out ? CURLE_OPERATION_TIMEDOUT : result;
}

static void keep_answer(struct exchange *x, http_answer *ret)
{
    *ret = (http_answer){.body = x->body};
    pw_buf_init(&x->body, 0);
    (void)curl_easy_getinfo(x->client->easy, CURLINFO_RESPONSE_CODE, &ret->status);
    memcpy(ret->etag, x->etag, sizeof(ret->etag));
    memcpy(ret->pawl_done, x->done, sizeof(ret->pawl_done));
    time_t date = x->date[0] ? curl_getdate(x->date, NULL) : -1;
    ret->date = date > 0 ? (pw_msec)date * 1000 : 0;
}

int http_call(http_client *self, const char *method, const char *path, const http_header *headers,
              size_t n_headers, const void *body, size_t body_len, pw_usec timeout,
              http_answer *ret, pw_err *err)
{
    PW_AUTO(exchange_clear)
    struct exchange x = {.client = self, .method = method, .body = PW_BUF(BODY_MAX), .fd = -1};
    pw_usec ms = timeout / 1000 + (timeout % 1000 > 0);
    CURLcode code;
    int rc = add_headers(&x, headers, n_headers, body != NULL, err);
    if (rc == 0)
        rc = set_options(&x, path, body, body_len, err);
    if (rc < 0)
        return rc;
    if (timeout > 0)
        (void)curl_easy_setopt(self->easy, CURLOPT_TIMEOUT_MS,
                               ms > INT_MAX ? (long)INT_MAX : (long)ms);
    code = perform(&x);
    if (code != CURLE_OK)
        return explain(&x, code, err);
    keep_answer(&x, ret);
    return 0;
}

int http_upload(http_client *self, const char *method, const char *path, const http_header *headers,
                size_t n_headers, int fd, uint64_t size, pw_usec idle, http_answer *ret,
                pw_err *err)
{
    PW_AUTO(exchange_clear)
    struct exchange x = {.client = self,
                         .method = method,
                         .body = PW_BUF(BODY_MAX),
                         .fd = fd,
                         .all = size,
                         .idle = idle};
    int rc = http_add_header(&x.headers, "Expect", "100-continue", err);
    if (rc == 0)
        rc = add_headers(&x, headers, n_headers, true, err);
    if (rc == 0)
        rc = set_options(&x, path, NULL, 0, err);
    if (rc < 0)
        return rc;
    CURLcode code = perform(&x);
    if (code != CURLE_OK)
        return explain(&x, code, err);
    keep_answer(&x, ret);
    return 0;
}

void http_answer_clear(http_answer *a)
{
    pw_buf_clear(&a->body);
}

static pw_code status_code(long status)
{
    switch (status) {
    case 400:
    case 422:
        return PW_EINVAL;
    case 401:
    case 403:
        return PW_EDENIED;
    case 404:
    case 410:
        return PW_ENOTFOUND;
    case 409:
    case 412:
        return PW_ECONFLICT;
    case 413:
        return PW_ELIMIT;
    case 429:
    case 503:
        return PW_EAGAIN;
    default:
        return PW_EPROTO;
    }
}

long http_stream(http_client *self, const char *path, const http_header *headers, size_t n_headers,
                 pw_usec idle, http_sink *sink, void *sink_self, pw_err *err)
{
    PW_AUTO(exchange_clear)
    struct exchange x = {.client = self,
                         .method = "GET",
                         .body = PW_BUF(ERROR_BODY_MAX),
                         .sink = sink,
                         .sink_self = sink_self,
                         .fd = -1,
                         .idle = idle};
    CURLcode code;
    long status = 0;
    int rc = add_headers(&x, headers, n_headers, false, err);
    if (rc == 0)
        rc = set_options(&x, path, NULL, 0, err);
    if (rc < 0)
        return rc;
    code = perform(&x);
    if (x.stopped)
        return 0;
    if (code != CURLE_OK)
        return explain(&x, code, err);
    (void)curl_easy_getinfo(self->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status > 299) {
        for (size_t i = 0; i < x.body.len; i++)
            if ((unsigned char)x.body.p[i] < 0x20)
                x.body.p[i] = ' ';
        if (x.body.len)
            (void)pw_fail(err, status_code(status), "%s", pw_buf_str(&x.body));
        else
            (void)pw_fail(err, status_code(status), "%s: status %ld", self->base, status);
    }
    return status;
}

int http_escape(pw_buf *b, const char *s)
{
    static const char hex[] = "0123456789ABCDEF";
    int rc = 0;
    for (; *s && rc >= 0; s++) {
        unsigned char c = (unsigned char)*s;
        const char out[3] = {'%', hex[c >> 4], hex[c & 15]};
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                     c == '-' || c == '.' || c == '_' || c == '~';
        rc = plain ? pw_buf_add(b, s, 1) : pw_buf_add(b, out, 3);
    }
    return rc < 0 ? rc : 0;
}
