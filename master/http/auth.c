/* Who asks: bearer tokens, known by their hash. A token has 256 random bits, so guessing is
 * hopeless and a token that is right always passes; the limit on failures only keeps a broken
 * script from being answered at full length. */
#include <string.h>
#include <strings.h>
#include <arpa/inet.h>

#include "master/http/impl.h"
#include "shared/base/num.h"
#include "shared/crypt/crypt.h"

static uint32_t peer_hash(const web_req *q)
{
    const union MHD_ConnectionInfo *i =
        MHD_get_connection_info(q->con, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (!i || !i->client_addr)
        return 0;
    if (i->client_addr->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, i->client_addr, sizeof(in));
        return pw_crc32c(0, &in.sin_addr, sizeof(in.sin_addr));
    }
    if (i->client_addr->sa_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, i->client_addr, sizeof(in));
        return pw_crc32c(0, &in.sin6_addr, 8); /* a network, not a machine: it has 2^64 addresses */
    }
    return 0;
}

static bool too_many(web_req *q)
{
    web_hub *h = &q->web->hub;
    pw_usec now = pw_now(q->web->host);
    uint32_t hash = peer_hash(q);
    (void)pthread_mutex_lock(&h->lock);
    web_peer *p = &h->peer[hash % WEB_PEERS];
    if (p->hash != hash || now - p->since > 60000000)
        *p = (web_peer){.hash = hash, .since = now};
    bool many = ++p->failures > WEB_FAILURES;
    (void)pthread_mutex_unlock(&h->lock);
    return many;
}

static bool refuse(web_req *q, const char *text)
{
    if (too_many(q)) {
        web_fail(q, 429, "rate_limited",
                 "too many failed attempts from this address: wait a minute");
        web_header(q, "Retry-After", "60");
    } else {
        web_fail(q, 401, "unauthorized", "%s", text);
    }
    return false;
}

bool web_auth(web_req *q)
{
    const char *scope = q->at.route->scope;
    const char *given = MHD_lookup_connection_value(q->con, MHD_HEADER_KIND, "Authorization");
    bool needed = *scope && (strcmp(scope, "read") != 0 || q->web->read_token);
    uint8_t hash[CRYPT_HASH];
    pw_err err = {0};
    if (!*scope || (!needed && !given))
        return true;
    if (!given)
        return refuse(q, "this needs a token: send \"Authorization: Bearer TOKEN\"");
    if (strncasecmp(given, "bearer ", 7) != 0)
        return refuse(q, "only bearer tokens are known here");
    given += 7 + strspn(given + 7, " ");
    crypt_hash(given, strlen(given), hash);
    if (!web_reader(q))
        return false;
    int r = reader_token(q->rd, hash, &q->actor, &q->scopes, &err);
    if (r == PW_ENOTFOUND)
        return refuse(q, "this token is not known, or was revoked");
    if (r < 0) {
        web_fail_err(q, &err);
        return false;
    }
    const char *has = pw_buf_str(&q->scopes);
    if (!needed || web_has_word(has, scope, strlen(scope)) || web_has_word(has, "admin", 5))
        return true;
    web_fail(q, 403, "forbidden", "the token \"%.100s\" does not have the scope \"%s\"",
             pw_buf_str(&q->actor), scope);
    return false;
}
