/* Who asks, and what he may. Tokens are known by their hash: 256 random bits, so guessing is
 * hopeless and a token that is right always passes; the limit on failures only keeps a broken
 * script from being answered at full length. What a person may is asked of the configuration with
 * each request. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "master/http/impl.h"
#include "shared/base/num.h"
#include "shared/crypt/crypt.h"

static bool too_many(web_req *q)
{
    web_hub *h = &q->web->hub;
    pw_usec now = pw_now(q->web->host);
    uint32_t hash = pw_crc32c(0, q->from.b, sizeof(q->from.b));
    (void)pthread_mutex_lock(&h->lock);
    web_peer *p = &h->peer[hash % WEB_PEERS];
    if (p->hash != hash || now - p->since > 60000000)
        *p = (web_peer){.hash = hash, .since = now};
    bool many = ++p->failures > WEB_FAILURES;
    (void)pthread_mutex_unlock(&h->lock);
    return many;
}

web_claim web_refuse_claim(web_req *q, const char *text)
{
    if (too_many(q)) {
        web_fail(q, 429, "rate_limited",
                 "too many failed attempts from this address: wait a minute");
        web_header(q, "Retry-After", "60");
    } else {
        web_fail(q, 401, "unauthorized", "%s", text);
    }
    return WEB_CLAIM_REFUSED;
}

/* ---- tokens */
typedef struct looking {
    const uint8_t *hash;
    const config *conf;
    pw_msec now;
    web_identity *ret;
    pw_err *err;
} looking;

static int on_token(void *self, const store_token *t)
{
    looking *l = self;
    web_identity *w = l->ret;
    if (!crypt_equal(t->hash, l->hash, CRYPT_HASH))
        return pw_fail(l->err, PW_EDENIED, "this token is not known");
    if (t->revoked)
        return pw_fail(l->err, PW_EDENIED, "the token \"%.100s\" was revoked", t->name);
    if (t->expires && t->expires <= l->now)
        return pw_fail(l->err, PW_EDENIED, "the token \"%.100s\" has expired", t->name);
    w->scopes = scopes_parse(t->scopes, NULL);
    if (l->conf && !config_person_scopes(l->conf, t->person, w->scopes, &w->scopes))
        return pw_fail(l->err, PW_EDENIED,
                       "the token \"%.100s\" is of \"%.100s\", who is not among the people of this "
                       "master any more",
                       t->name, t->person);
    (void)snprintf(w->actor, sizeof(w->actor), "%s", t->person ? t->person : t->name);
    w->token = t->id;
    w->expires = t->expires;
    memcpy(w->hash, t->hash, sizeof(w->hash));
    return 0;
}

static int look_up(web_server *web, reader *rd, const uint8_t hash[CRYPT_HASH], web_identity *ret,
                   pw_err *err)
{
    web_identity w = {0};
    config *conf = web_conf(web);
    looking l = {hash, conf, pw_wall(web->host), &w, err};
    int r = reader_token(rd, hash, on_token, &l, err);
    config_unref(conf);
    if (r == PW_ENOTFOUND)
        return pw_fail(err, PW_EDENIED, "this token is not known");
    if (r == 0)
        *ret = w;
    return r;
}

static void used_done(core_cmd *c, void *self)
{
    (void)self;
    core_cmd_free(c);
}

/* Tells the core, which alone writes; nobody waits for it, and when it has too much to do the note
 * is left out. */
static void note_use(web_server *web, uint64_t token)
{
    pw_usec now = pw_now(web->host);
    size_t i = token % WEB_USES;
    (void)pthread_mutex_lock(&web->pool_lock);
    bool known = web->use[i].token == token && now - web->use[i].at < (pw_usec)WEB_USED_MS * 1000;
    if (!known) {
        web->use[i].token = token;
        web->use[i].at = now;
    }
    (void)pthread_mutex_unlock(&web->pool_lock);
    core_cmd *c = known ? NULL : core_cmd_new(CMD_TOKEN_USED, NULL);
    if (!c)
        return;
    c->id = token;
    c->done = used_done;
    if (pw_chan_send(web->commands, c, NULL) < 0)
        core_cmd_free(c);
}

int web_token_identity(web_req *q, const uint8_t hash[CRYPT_HASH], web_how how, web_identity *ret,
                       pw_err *err)
{
    reader *rd = q->rd ? q->rd : (q->rd = web_reader_take(q->web, err));
    int r = rd ? look_up(q->web, rd, hash, ret, err) : err->code;
    if (r < 0)
        return r;
    ret->how = how;
    note_use(q->web, ret->token);
    return 0;
}

static int find_person(web_server *web, const char *name, web_how how, web_identity *ret,
                       pw_err *err)
{
    config *conf = web_conf(web);
    const config_person *p = conf ? config_find_person(conf, name) : NULL;
    int r = 0;
    if (p) {
        *ret = (web_identity){.how = how, .scopes = p->scopes};
        (void)snprintf(ret->actor, sizeof(ret->actor), "%s", p->name);
    } else {
        r = pw_fail(err, PW_EDENIED, "\"%.100s\" is not among the people of this master", name);
    }
    config_unref(conf);
    return r;
}

int web_person_identity(web_req *q, const char *name, web_how how, web_identity *ret, pw_err *err)
{
    return find_person(q->web, name, how, ret, err);
}

static web_claim by_token(web_req *q)
{
    const char *given = MHD_lookup_connection_value(q->con, MHD_HEADER_KIND, "Authorization");
    uint8_t hash[CRYPT_HASH];
    pw_err err = {0};
    if (!given)
        return WEB_CLAIM_NONE;
    if (strncasecmp(given, "bearer ", 7) != 0)
        return web_refuse_claim(q, "only bearer tokens are known here");
    given += 7 + strspn(given + 7, " ");
    crypt_hash(given, strlen(given), hash);
    if (!web_gate_token(q, hash))
        return WEB_CLAIM_REFUSED;
    int r = web_token_identity(q, hash, WEB_BY_TOKEN, &q->who, &err);
    if (r == 0)
        return WEB_CLAIM_GOOD;
    if (r == PW_EDENIED)
        return web_refuse_claim(q, err.text);
    web_fail_err(q, &err);
    return WEB_CLAIM_REFUSED;
}

/* ---- the identity of a request */
typedef web_claim web_way(web_req *q);
static web_way *const ways[] = {by_token, web_by_session, web_by_proxy};

web_claim web_identify(web_req *q)
{
    web_claim c = WEB_CLAIM_NONE;
    q->access = atomic_load(&q->web->access);
    for (size_t i = 0; c == WEB_CLAIM_NONE && i < sizeof(ways) / sizeof(ways[0]); i++)
        c = ways[i](q);
    return c;
}

bool web_auth(web_req *q)
{
    const char *scope = q->at.route->scope;
    unsigned bit = scopes_parse(scope, NULL);
    bool needed = *scope && (strcmp(scope, "read") != 0 || q->web->read_token);
    if (!*scope)
        return true;
    web_claim c = web_identify(q);
    if (c == WEB_CLAIM_NONE && needed)
        c = web_refuse_claim(q, "this needs a token: send \"Authorization: Bearer TOKEN\"");
    if (c == WEB_CLAIM_REFUSED)
        return false;
    /* admin's own bit, where a route asks for it: its text stands for all */
    bit = bit == SCOPE_ALL ? SCOPE_ADMIN : bit;
    if (!needed || (bit && (q->who.scopes & bit) == bit))
        return true;
    web_fail(q, 403, "forbidden", "\"%.100s\" does not have the scope \"%s\"", q->who.actor, scope);
    return false;
}

/* ---- what outlives a request */
config *web_conf(web_server *web)
{
    (void)pthread_mutex_lock(&web->pool_lock);
    config *c = web->conf ? config_ref(web->conf) : NULL;
    (void)pthread_mutex_unlock(&web->pool_lock);
    return c;
}

const config *web_req_conf(web_req *q)
{
    if (!q->conf)
        q->conf = web_conf(q->web);
    return q->conf;
}

void web_configure(web_server *self, config *conf)
{
    config_ref(conf);
    (void)pthread_mutex_lock(&self->pool_lock);
    config *old = self->conf;
    self->conf = conf;
    atomic_store(&self->read_token, conf->web_read_token);
    (void)pthread_mutex_unlock(&self->pool_lock);
    config_unref(old);
    web_access_changed(self);
}

void web_wait_owner(web_wait *w, const web_req *q)
{
    w->who = q->who;
    w->access = q->access;
}

/* Who it is now, told by the same means; 0, or a code when he is nobody any more. */
static int anew(web_server *web, const web_identity *who, web_identity *ret, pw_err *err)
{
    if (!who->token)
        return find_person(web, who->actor, who->how, ret, err);
    reader *rd = web_reader_take(web, err);
    int r = rd ? look_up(web, rd, who->hash, ret, err) : err->code;
    web_reader_give(web, rd);
    return r;
}

/* A body may be long on its way; who sent the head of it may have lost what he had then. */
bool web_auth_still(web_req *q)
{
    web_identity now;
    pw_err err = {0};
    uint64_t access = atomic_load(&q->web->access);
    bool late = q->who.expires && q->who.expires <= pw_wall(q->web->host);
    if (q->who.how == WEB_BY_NOBODY || (access == q->access && !late))
        return true;
    int r = anew(q->web, &q->who, &now, &err);
    if (r == 0 && (q->who.scopes & ~now.scopes) == 0)
        return true;
    if (r == 0)
        web_fail(q, 403, "forbidden", "\"%.100s\" was given other scopes meanwhile", now.actor);
    else if (r == PW_EDENIED)
        (void)web_refuse_claim(q, err.text);
    else
        web_fail_err(q, &err);
    return false;
}

bool web_still(web_server *web, web_wait *w)
{
    web_identity now;
    pw_err err = {0};
    uint64_t access = atomic_load(&web->access);
    bool late = w->who.expires && w->who.expires <= pw_wall(web->host);
    if (w->who.how == WEB_BY_NOBODY || (access == w->access && !late)) {
        w->access = access;
        return true;
    }
    w->access = access;
    /* what cannot be read ends it too: the client comes again and is told why */
    return anew(web, &w->who, &now, &err) == 0 &&
           (!web->read_token || (now.scopes & SCOPE_READ) != 0);
}
