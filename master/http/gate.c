/* The gate: who is connected from where and for how long, what an address or a token has used up,
 * how many bytes of bodies are in memory. One lock, below the hub's. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "master/http/impl.h"

static void address_of(const struct sockaddr *sa, uint8_t ret[16])
{
    memset(ret, 0, 16);
    if (sa && sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof(in));
        ret[10] = ret[11] = 0xff;
        memcpy(ret + 12, &in.sin_addr, 4);
    } else if (sa && sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, sa, sizeof(in));
        memcpy(ret, &in.sin6_addr, 16);
    }
}

int web_gate_init(web_server *web, pw_err *err)
{
    web_gate *g = &web->gate;
    (void)pthread_mutex_init(&g->lock, NULL);
    g->sweep_at = INT64_MAX;
    if (!(g->buckets = calloc(1, sizeof(*g->buckets))))
        return pw_fail(err, PW_ENOMEM, "out of memory");
    g->buckets->seed = (uint32_t)pw_random_u64(web->host);
    return 0;
}

void web_gate_clear(web_server *web)
{
    free(web->gate.buckets);
    (void)pthread_mutex_destroy(&web->gate.lock);
}

/* ---- connections */
enum MHD_Result web_gate_accept(void *self, const struct sockaddr *sa, socklen_t len)
{
    web_server *web = self;
    web_gate *g = &web->gate;
    uint8_t addr[16];
    int64_t n = 0;
    (void)len;
    address_of(sa, addr);
    if (config_net_has(web->proxies, web->n_proxies, addr))
        return MHD_YES; /* it stands for many */
    web_whom key = web_whom_address(addr);
    (void)pthread_mutex_lock(&g->lock);
    for (const web_conn *c = g->conns; c; c = c->next)
        n += memcmp(&c->key, &key, sizeof(key)) == 0;
    (void)pthread_mutex_unlock(&g->lock);
    if (n < web->limits.connections)
        return MHD_YES;
    (void)atomic_fetch_add(&g->refused[WEB_GATE_CONNECTIONS], 1);
    return MHD_NO;
}

/* From when on a connection is cut off that has not said what it wants by then. */
static void set_deadline(web_server *web, web_conn *c, pw_usec at)
{
    web_gate *g = &web->gate;
    (void)pthread_mutex_lock(&g->lock);
    c->deadline = at;
    bool sooner = at < g->sweep_at;
    if (sooner)
        g->sweep_at = at;
    (void)pthread_mutex_unlock(&g->lock);
    if (!sooner)
        return;
    (void)pthread_mutex_lock(&web->hub.lock);
    (void)pthread_cond_signal(&web->hub.wake);
    (void)pthread_mutex_unlock(&web->hub.lock);
}

void web_gate_notify(void *self, struct MHD_Connection *con, void **place,
                     enum MHD_ConnectionNotificationCode code)
{
    web_server *web = self;
    web_gate *g = &web->gate;
    web_conn *c = *place;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *fd =
            MHD_get_connection_info(con, MHD_CONNECTION_INFO_CONNECTION_FD);
        const union MHD_ConnectionInfo *peer =
            MHD_get_connection_info(con, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
        if (!(c = calloc(1, sizeof(*c))))
            return; /* its requests are refused: see web_req_new */
        c->fd = fd ? fd->connect_fd : -1;
        address_of(peer ? peer->client_addr : NULL, c->addr);
        c->key = web_whom_address(c->addr);
        c->deadline = INT64_MAX;
        (void)pthread_mutex_lock(&g->lock);
        if ((c->next = g->conns))
            c->next->prev = &c->next;
        c->prev = &g->conns;
        g->conns = c;
        (void)pthread_mutex_unlock(&g->lock);
        *place = c;
        set_deadline(web, c, pw_now(web->host) + web->limits.request_time);
    } else if (c) {
        /* the library closes the socket after this call: until here its number is no other's */
        (void)pthread_mutex_lock(&g->lock);
        if ((*c->prev = c->next))
            c->next->prev = c->prev;
        (void)pthread_mutex_unlock(&g->lock);
        free(c);
        *place = NULL;
    }
}

web_conn *web_gate_conn(struct MHD_Connection *con)
{
    const union MHD_ConnectionInfo *i =
        MHD_get_connection_info(con, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return i ? i->socket_context : NULL;
}

void web_gate_reading(web_req *q, pw_usec time)
{
    if (q->conn)
        set_deadline(q->web, q->conn, pw_now(q->web->host) + time);
}

void web_gate_read(web_req *q)
{
    if (q->conn)
        set_deadline(q->web, q->conn, INT64_MAX);
}

pw_usec web_gate_due(web_server *web)
{
    (void)pthread_mutex_lock(&web->gate.lock);
    pw_usec at = web->gate.sweep_at;
    (void)pthread_mutex_unlock(&web->gate.lock);
    return at;
}

void web_gate_sweep(web_server *web, pw_usec now)
{
    web_gate *g = &web->gate;
    (void)pthread_mutex_lock(&g->lock);
    if (g->sweep_at <= now) {
        g->sweep_at = INT64_MAX;
        for (web_conn *c = g->conns; c; c = c->next) {
            if (c->deadline <= now) {
                (void)atomic_fetch_add(&g->refused[WEB_GATE_SLOW], 1);
                (void)shutdown(c->fd, SHUT_RDWR); /* its thread sees the end and closes it */
                c->deadline = INT64_MAX;
            } else if (c->deadline < g->sweep_at) {
                g->sweep_at = c->deadline;
            }
        }
    }
    (void)pthread_mutex_unlock(&g->lock);
}

/* ---- requests */
static bool take(web_req *q, const web_whom *key, int64_t rate, int64_t burst, const char *who)
{
    web_gate *g = &q->web->gate;
    (void)pthread_mutex_lock(&g->lock);
    pw_usec wait = web_bucket_take(g->buckets, key, rate, burst, pw_now(q->web->host));
    (void)pthread_mutex_unlock(&g->lock);
    if (wait == 0)
        return true;
    (void)atomic_fetch_add(&g->refused[WEB_GATE_RATE], 1);
    web_fail(q, 429, "rate_limited", "too many requests of this %s: wait a moment", who);
    web_header(q, "Retry-After", "%lld", (long long)((wait + 999999) / 1000000));
    return false;
}

bool web_gate_token(web_req *q, const uint8_t hash[32])
{
    const config_limits *l = &q->web->limits;
    web_whom key = web_whom_token(hash);
    return take(q, &key, l->token_rate, l->token_burst, "token");
}

/* Each login is two rows, one of them for 30 days: people need few. */
bool web_gate_login(web_req *q, const uint8_t hash[32])
{
    web_whom key = web_whom_token(hash);
    key.b[0] = 3;
    return take(q, &key, 1, WEB_LOGINS, "token for logins");
}

static bool head_fits(web_req *q)
{
    const union MHD_ConnectionInfo *head =
        MHD_get_connection_info(q->con, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (strlen(q->uri) > WEB_URL_MAX)
        web_fail(q, 414, "too_large", "an address has at most %d bytes", WEB_URL_MAX);
    else if (head && head->header_size > WEB_HEAD_MAX)
        web_fail(q, 431, "too_large", "the head of a request has at most %d bytes", WEB_HEAD_MAX);
    return q->status == 0;
}

bool web_gate_request(web_req *q)
{
    const config_limits *l = &q->web->limits;
    uint8_t from[16];
    PW_AUTO(pw_buf_clearp) pw_buf list = PW_BUF(WEB_CONNECTION_BYTES);
    /* a proxy may add a line of its own below the one that a stranger sent */
    web_head_forwarded(q, &list);
    web_origin(q->conn->addr, list.failed ? NULL : pw_buf_str(&list), q->web->proxies,
               q->web->n_proxies, from);
    q->from = web_whom_address(from);
    return take(q, &q->from, l->rate, l->burst, "address") && head_fits(q);
}

/* ---- bodies */
bool web_gate_body(web_req *q, size_t more)
{
    _Atomic uint64_t *all = &q->web->gate.bodies;
    if (atomic_fetch_add(all, more) + more > WEB_BODIES_MAX) {
        (void)atomic_fetch_sub(all, more);
        web_fail(q, 503, "unavailable", "too many requests with large bodies are under way");
        web_header(q, "Retry-After", "1");
        return false;
    }
    q->counted += more;
    return true;
}

void web_gate_body_end(web_req *q)
{
    (void)atomic_fetch_sub(&q->web->gate.bodies, q->counted);
    q->counted = 0;
}
