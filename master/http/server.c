/* Starting and stopping, and what the library calls. */
#include "master/http/impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "shared/base/num.h"

/* ---- the socket */
typedef union address {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_storage space;
} address;

static int resolve(const char *host, const char *port, address *ret, socklen_t *ret_len,
                   pw_err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                    *list = NULL;
    uint64_t number = 0;
    memset(ret, 0, sizeof(*ret));
    if (pw_parse_u64(port, &number, err) < 0 || number > 65535)
        return pw_fail(err, PW_EINVAL, "\"%s\" is not a port", port);
    if (strcmp(host, "*") == 0 || strcmp(host, "localhost") == 0 ||
        inet_pton(AF_INET, host, &ret->in.sin_addr) == 1) {
        ret->in.sin_family = AF_INET;
        ret->in.sin_port = htons((uint16_t)number);
        if (strcmp(host, "localhost") == 0)
            ret->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        *ret_len = sizeof(ret->in);
        return 0;
    }
    if (inet_pton(AF_INET6, host, &ret->in6.sin6_addr) == 1) {
        ret->in6.sin6_family = AF_INET6;
        ret->in6.sin6_port = htons((uint16_t)number);
        *ret_len = sizeof(ret->in6);
        return 0;
    }
    int r = getaddrinfo(host, port, &hints, &list);
    if (r != 0 || list->ai_addrlen > sizeof(*ret)) {
        if (r == 0)
            freeaddrinfo(list);
        return pw_fail(err, PW_ENOTFOUND, "the host of the web address \"%s\" is not known: %s",
                       host, r ? gai_strerror(r) : "?");
    }
    memcpy(ret, list->ai_addr, list->ai_addrlen);
    *ret_len = list->ai_addrlen;
    freeaddrinfo(list);
    return 0;
}

static int split(const char *text, char *host, size_t cap, const char **ret_port, pw_err *err)
{
    const char *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;
    if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
        text++;
        n -= 2;
    }
    if (!colon || n == 0 || n >= cap)
        return pw_fail(err, PW_EINVAL, "the web address \"%.200s\" is not HOST:PORT", text);
    memcpy(host, text, n);
    host[n] = '\0';
    *ret_port = colon + 1;
    return 0;
}

/* "http://127.0.0.1:40123" of what is bound; an address that means all is told as one that can be
 * called. */
static void tell(const address *a, bool tls, char *out, size_t cap)
{
    char host[INET6_ADDRSTRLEN] = "127.0.0.1";
    bool six = a->sa.sa_family == AF_INET6;
    if (six && memcmp(&a->in6.sin6_addr, &in6addr_any, sizeof(in6addr_any)) != 0)
        (void)inet_ntop(AF_INET6, &a->in6.sin6_addr, host, sizeof(host));
    else if (six)
        (void)snprintf(host, sizeof(host), "::1");
    else if (a->in.sin_addr.s_addr != htonl(INADDR_ANY))
        (void)inet_ntop(AF_INET, &a->in.sin_addr, host, sizeof(host));
    (void)snprintf(out, cap, six ? "http%s://[%s]:%u" : "http%s://%s:%u", tls ? "s" : "", host,
                   ntohs(six ? a->in6.sin6_port : a->in.sin_port));
}

static int listen_on(const char *text, bool tls, char *ret_address, size_t cap, pw_err *err)
{
    char host[256], why[100];
    const char *port = "";
    address a;
    socklen_t len;
    int one = 1, r = split(text, host, sizeof(host), &port, err);
    if (r < 0 || (r = resolve(host, port, &a, &len, err)) < 0)
        return r;
    PW_AUTO(pw_closep)
    int fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        bind(fd, &a.sa, len) < 0 || listen(fd, 512) < 0) {
        int e = errno;
        if (e == EADDRINUSE)
            return pw_fail(err, PW_ECONFLICT, "the web address \"%s\" is taken by another program",
                           text);
        return pw_fail(err, PW_ESYS, "listening on the web address \"%s\": %s", text,
                       strerror_r(e, why, sizeof(why)));
    }
    len = sizeof(a);
    if (getsockname(fd, &a.sa, &len) < 0)
        return pw_fail_sys(err, "reading the web address \"%s\"", text);
    tell(&a, tls, ret_address, cap);
    r = fd;
    fd = -1;
    return r;
}

/* ---- what the library calls, on its own threads */
static void *on_uri(void *self, const char *uri, struct MHD_Connection *con)
{
    return web_req_new(self, con, uri);
}

static void on_completed(void *self, struct MHD_Connection *con, void **con_cls,
                         enum MHD_RequestTerminationCode toe)
{
    (void)con, (void)toe;
    if (*con_cls)
        web_gate_reading(*con_cls, ((const web_server *)self)->limits.request_time);
    web_req_free(*con_cls);
    *con_cls = NULL;
}

/* %XX is decoded by the router, a part of the path at a time: a name may hold %2F. */
static size_t as_it_is(void *self, struct MHD_Connection *con, char *s)
{
    (void)self, (void)con;
    return strlen(s);
}

static enum MHD_Result body_part(web_req *q, const char *data, size_t *size)
{
    if (q->upload && !q->discard) {
        web_try_part(q, data, *size);
        *size = 0;
        return MHD_YES;
    }
    if (!q->discard && q->in.len + *size > web_req_body_max(q)) {
        web_fail(q, 413, "too_large", "a request has at most %zu bytes", web_req_body_max(q));
        pw_buf_clear(&q->in);
        q->discard = true;
    }
    if (!q->discard && !web_gate_body(q, *size)) {
        pw_buf_clear(&q->in);
        q->discard = true;
    }
    if (q->discard)
        q->discarded += *size;
    else if (pw_buf_add(&q->in, data, *size) < 0) {
        web_fail(q, 503, "unavailable", "out of memory");
        q->discard = true;
    }
    *size = 0;
    return q->discarded > WEB_DISCARD_MAX ? MHD_NO : MHD_YES;
}

/* A refusal can be sent before the body only when the client waits for it, or sends so much that it
 * is cut off. */
static bool refuse_at_once(const web_req *q)
{
    uint64_t n = 0;
    const char *length = MHD_lookup_connection_value(q->con, MHD_HEADER_KIND, "Content-Length");
    return q->status != 0 &&
           (q->close || MHD_lookup_connection_value(q->con, MHD_HEADER_KIND, "Expect") ||
            (length && pw_parse_u64(length, &n, NULL) == 0 && n > WEB_DISCARD_MAX));
}

static enum MHD_Result on_request(void *self, struct MHD_Connection *con, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **con_cls)
{
    web_req *q = *con_cls;
    (void)self, (void)con, (void)url, (void)version;
    if (!q)
        return MHD_NO;
    if (!q->begun) {
        q->begun = true;
        web_req_begin(q, method);
        return refuse_at_once(q) ? web_req_reply(q) : MHD_YES;
    }
    if (*size > 0)
        return body_part(q, data, size);
    web_gate_read(q);
    if (q->ask)
        web_ask_answer(q);
    else if (!q->status && web_auth_still(q)) {
        q->at.route->handler(q);
        if (q->ask) /* suspended: called again with the answer */
            return MHD_YES;
    }
    return web_req_reply(q);
}

/* ---- starting and stopping */
static int start_daemon(web_server *self, int *fd, pw_err *err)
{
    sigset_t all, old;
    (void)sigfillset(&all);
    /* the threads inherit it: signals are the core's */
    if (pthread_sigmask(SIG_SETMASK, &all, &old) != 0)
        return pw_fail(err, PW_ESYS, "blocking signals");
    int r = web_hub_start(self, err);
    if (r == 0) {
        /* TLS 1.2 and 1.3; the handshake needs more stack than a request */
        struct MHD_OptionItem tls[] = {
            {MHD_OPTION_HTTPS_MEM_CERT, 0, self->cert.p},
            {MHD_OPTION_HTTPS_MEM_KEY, 0, self->key.p},
            {MHD_OPTION_HTTPS_PRIORITIES, 0,
             (char *)(uintptr_t) "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"},
            {MHD_OPTION_END, 0, NULL}};
        unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
        size_t stack = self->tls ? (size_t)WEB_TLS_STACK : (size_t)WEB_STACK;
        self->daemon = MHD_start_daemon(
            self->tls ? flags | MHD_USE_TLS : flags, 0, web_gate_accept, self, on_request, self,
            MHD_OPTION_LISTEN_SOCKET, *fd, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)WEB_THREADS,
            MHD_OPTION_THREAD_STACK_SIZE, stack, MHD_OPTION_CONNECTION_LIMIT,
            (unsigned)WEB_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)WEB_IDLE_S,
            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)WEB_CONNECTION_BYTES,
            MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK, on_uri, self,
            MHD_OPTION_UNESCAPE_CALLBACK, as_it_is, NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
            self, MHD_OPTION_NOTIFY_CONNECTION, web_gate_notify, self, MHD_OPTION_ARRAY,
            self->tls ? tls : &tls[3], MHD_OPTION_END);
        if (self->daemon)
            *fd = -1; /* the daemon's now */
        else if (self->tls)
            r = pw_fail(err, PW_ESYS,
                        "the web server on %s does not start: certificate and key may not belong "
                        "together, or are not what TLS can use",
                        self->address);
        else
            r = pw_fail(err, PW_ESYS, "the web server on %s does not start", self->address);
    }
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return r;
}

static int init_locks(web_server *self, pw_err *err)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&self->hub.wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    (void)pthread_mutex_init(&self->hub.lock, NULL);
    (void)pthread_mutex_init(&self->pool_lock, NULL);
    return 0;
}

web_server *web_start(const web_options *o, pw_err *err)
{
    bool failed = false;
    PW_AUTO(pw_closep) int fd = -1;
    web_server *self = calloc(1, sizeof(*self));
    if (!self || init_locks(self, err) < 0) {
        free(self);
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->host = o->host;
    if (web_gate_init(self, err) < 0)
        return web_stop(self);
    o->host->random(o->host->self, self->csrf_key, sizeof(self->csrf_key));
    self->read_token = o->read_token;
    self->conf = o->conf ? config_ref(o->conf) : NULL;
    self->base = o->conf ? config_ref(o->conf) : NULL;
    if (!o->conf)
        config_limits_default(&self->limits);
    else
        self->limits = o->conf->limits;
    self->proxies = o->conf ? o->conf->web_proxies : NULL;
    self->n_proxies = o->conf ? o->conf->n_web_proxies : 0;
    pw_buf_init(&self->cert, 1024 * 1024);
    pw_buf_init(&self->key, 1024 * 1024);
    if (o->conf && web_tls_load(self, o->conf->web_cert, o->conf->web_key, err) < 0)
        return web_stop(self);
    self->log_store = o->log_store;
    self->commands = o->commands;
    self->gauges = o->gauges;
    self->db = pw_strdup(o->db, &failed);
    self->files_dir = o->files ? pw_strdup(o->files, &failed) : NULL;
    self->tries_dir = o->tries ? pw_strdup(o->tries, &failed) : NULL;
    fd = listen_on(o->listen, self->tls, self->address, sizeof(self->address), err);
    if (fd < 0)
        return web_stop(self);
    self->url = pw_strdup(o->url ? o->url : self->address, &failed);
    if (failed) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return web_stop(self);
    }
    self->https = strncmp(self->url, "https://", 8) == 0;
    if (!(self->hub.rd = reader_open(self->db, err)) || start_daemon(self, &fd, err) < 0)
        return web_stop(self);
    return self;
}

web_server *web_stop(web_server *self)
{
    if (!self)
        return NULL;
    web_hub_stop(self);
    if (self->daemon)
        MHD_stop_daemon(self->daemon);
    web_hub_clear(self);
    while (self->pooled > 0)
        reader_close(self->pool[--self->pooled]);
    web_gate_clear(self);
    web_tls_clear(self);
    config_unref(self->base);
    (void)pthread_cond_destroy(&self->hub.wake);
    (void)pthread_mutex_destroy(&self->hub.lock);
    web_index_clear(self);
    (void)pthread_mutex_destroy(&self->pool_lock);
    config_unref(self->conf);
    free(self->db);
    free(self->files_dir);
    free(self->tries_dir);
    free(self->url);
    free(self);
    return NULL;
}

const char *web_address(const web_server *self)
{
    return self->address;
}
