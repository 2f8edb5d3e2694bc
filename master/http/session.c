/* Sessions of the web page: a token is pasted once, a cookie stands for it from then on, for 30
 * days and as long as the token is good. The cookie holds 32 random bytes; the database has their
 * hash. A proxy that is listed may name the person instead. What either of them vouches for is
 * sent by a browser without being asked, so a write must come from our own page (its origin) and
 * carry a second secret that only our page knows (X-CSRF-Token, or `csrf` in a form). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "master/http/html.h"
#include "master/http/impl.h"
#include "master/http/origin.h"
#include "shared/base/log.h"
#include "shared/crypt/crypt.h"

enum { SECRET = 32, SECRET_TEXT = 43, SESSION_S = 30 * 24 * 3600, LOG_EVERY_US = 60000000 };

static const char *cookie_name(const web_server *web)
{
    /* __Host-: the browser takes it by https and for this host alone */
    return web->https ? "__Host-pawl" : "pawl";
}

/* Lax, not Strict: whoever follows a link from a mail to a build is to be known there. A request
 * that changes something is guarded by origin and CSRF token anyway. */
static void set_cookie(web_req *q, const char *value, long age)
{
    web_header(q, "Set-Cookie", "%s=%s; Path=/; HttpOnly; SameSite=Lax; Max-Age=%ld%s",
               cookie_name(q->web), value, age, q->web->https ? "; Secure" : "");
}

static const char *header(const web_req *q, const char *name)
{
    return MHD_lookup_connection_value(q->con, MHD_HEADER_KIND, name);
}

/* ---- who asks */
static void csrf_of(const uint8_t key[CRYPT_KEY], const char *about, char out[WEB_CSRF])
{
    uint8_t mac[CRYPT_HASH];
    crypt_mac(key, about, strlen(about), mac);
    crypt_base64(mac, sizeof(mac), out);
}

web_claim web_by_session(web_req *q)
{
    const char *given = MHD_lookup_connection_value(q->con, MHD_COOKIE_KIND, cookie_name(q->web));
    uint8_t secret[SECRET], token[CRYPT_HASH];
    pw_msec expires = 0;
    pw_err err = {0};
    if (!given || strlen(given) != SECRET_TEXT ||
        crypt_unbase64(given, secret, sizeof(secret), NULL) != SECRET)
        return WEB_CLAIM_NONE;
    crypt_hash(given, SECRET_TEXT, q->session);
    if (!web_reader(q))
        return WEB_CLAIM_REFUSED;
    int r = reader_session(q->rd, q->session, token, &expires, &err);
    if (r == 0 && expires <= pw_wall(q->web->host))
        r = PW_ENOTFOUND;
    if (r == 0 && !web_gate_token(q, token))
        r = PW_EAGAIN;
    else if (r == 0)
        r = web_token_identity(q, token, WEB_BY_SESSION, &q->who, &err);
    if (r == 0)
        csrf_of(secret, "csrf", q->csrf);
    explicit_bzero(secret, sizeof(secret));
    /* a session that is over is none: what is open to all stays open */
    if (r == PW_ENOTFOUND || r == PW_EDENIED)
        return WEB_CLAIM_NONE;
    if (r < 0 && !q->status)
        web_fail_err(q, &err);
    return r == 0 ? WEB_CLAIM_GOOD : WEB_CLAIM_REFUSED;
}

/* The header of somebody who is no proxy: counted, and logged once a minute. */
static void stranger(web_req *q)
{
    web_gate *g = &q->web->gate;
    pw_usec now = pw_now(q->web->host);
    uint64_t n = atomic_fetch_add(&g->refused[WEB_GATE_HEADER], 1) + 1;
    (void)pthread_mutex_lock(&g->lock);
    bool tell = g->header_told == 0 || now - g->header_told >= LOG_EVERY_US;
    if (tell)
        g->header_told = now;
    (void)pthread_mutex_unlock(&g->lock);
    if (tell)
        pw_log(PW_LOG_WARN, "user_header_ignored",
               "count=%llu reason=\"the sender is not among web.proxies\"", (unsigned long long)n);
}

web_claim web_by_proxy(web_req *q)
{
    const config *c = q->web->base;
    const char *name = c && c->web_user_header ? header(q, c->web_user_header) : NULL;
    pw_err err = {0};
    if (!name)
        return WEB_CLAIM_NONE;
    if (!config_net_has(q->web->proxies, q->web->n_proxies, q->conn->addr)) {
        stranger(q);
        return WEB_CLAIM_NONE;
    }
    int r = *name ? web_person_identity(q, name, WEB_BY_PROXY, &q->who, &err) : PW_ENOTFOUND;
    if (r == 0) {
        csrf_of(q->web->csrf_key, q->who.actor, q->csrf);
        return WEB_CLAIM_GOOD;
    }
    /* whom the proxy let in and we do not know is a stranger: he reads what all may read */
    const char *scope = q->at.route->scope;
    if (r == PW_EDENIED && *scope && (strcmp(scope, "read") != 0 || q->web->read_token)) {
        web_fail(q, 403, "forbidden", "%s", err.text);
        return WEB_CLAIM_REFUSED;
    }
    return WEB_CLAIM_NONE;
}

/* ---- writes that a browser vouches for */
static bool from_here(web_req *q)
{
    if (web_same_origin(header(q, "Sec-Fetch-Site"), header(q, "Origin"), header(q, "Host"),
                        q->web->url))
        return true;
    (void)atomic_fetch_add(&q->web->gate.refused[WEB_GATE_CSRF], 1);
    web_fail(q, 403, "forbidden", "this request does not come from a page of this server");
    return false;
}

static bool csrf_fits(web_req *q, const char *given)
{
    size_t n = strlen(q->csrf);
    if (n && given && strlen(given) == n && crypt_equal(given, q->csrf, n))
        return true;
    (void)atomic_fetch_add(&q->web->gate.refused[WEB_GATE_CSRF], 1);
    web_fail(q, 403, "forbidden",
             "a write of a session needs its X-CSRF-Token: see GET /api/v1/session");
    return false;
}

bool web_guard_write(web_req *q, const char *method)
{
    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 ||
        (q->who.how != WEB_BY_SESSION && q->who.how != WEB_BY_PROXY))
        return true;
    return from_here(q) && csrf_fits(q, header(q, "X-CSRF-Token"));
}

void web_get_session(web_req *q)
{
    static const char *const hows[] = {NULL, "token", "session", "proxy"};
    static const char *const names[] = {"read", "build", "land", "operate", "admin"};
    pw_buf *b = web_json(q);
    q->tag = false;
    q->secret = true;
    (void)pw_buf_add(b, "{", 1);
    web_str(b, "actor", q->who.how ? q->who.actor : NULL);
    web_str(b, "how", hows[q->who.how]);
    web_open(b, "scopes", '[');
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (q->who.scopes & (1U << i)) {
            web_key(b, NULL);
            (void)pw_buf_addf(b, "\"%s\"", names[i]);
        }
    web_shut(b, ']');
    web_str(b, "csrf", *q->csrf ? q->csrf : NULL);
    (void)pw_buf_adds(b, "}\n");
}

/* ---- the pages */
static void redirect(web_req *q, const char *to)
{
    pw_buf_clear(&q->out);
    q->status = 303;
    q->type = NULL;
    q->tag = false;
    q->secret = true;
    web_header(q, "Location", "%s", to);
}

void web_ask_login(web_req *q)
{
    const char *accept = header(q, "Accept");
    bool page = q->at.route->handler == web_page;
    if (q->status == 401 && page && accept && strstr(accept, "text/html") &&
        !header(q, "Authorization"))
        redirect(q, "/login");
}

static void login_form(pw_buf *b, const char *trouble)
{
    if (trouble) {
        (void)pw_buf_adds(b, "<p><b>");
        html_text(b, trouble);
        (void)pw_buf_adds(b, "</b></p>");
    }
    (void)pw_buf_adds(b,
                      "<p>Paste a token: <code>pawl token create</code> prints one, the "
                      "administrator's is in <code>admin.token</code> of the state directory.</p>"
                      "<form method=\"post\" action=\"/login\"><label for=\"token\">Token</label> "
                      "<input id=\"token\" name=\"token\" type=\"password\" required "
                      "autocomplete=\"current-password\" size=\"50\"> <button>Log in</button>"
                      "</form>");
}

/* The status stays what it is, but for 0. */
static void page_login(web_req *q, const char *trouble)
{
    pw_buf *b = &q->out;
    pw_buf_clear(b);
    q->status = q->status ? q->status : 200;
    q->type = "text/html; charset=utf-8";
    q->secret = true;
    html_head(b, "Log in");
    (void)pw_buf_adds(b, "<h1>Log in</h1>");
    if (q->who.how != WEB_BY_NOBODY) {
        char scopes[SCOPE_TEXT];
        (void)pw_buf_adds(b, "<p>You are <b>");
        html_text(b, q->who.actor);
        (void)pw_buf_addf(b, "</b> (%s).</p>", scopes_text(q->who.scopes, scopes));
    }
    if (q->who.how == WEB_BY_SESSION)
        (void)pw_buf_addf(b,
                          "<form method=\"post\" action=\"/logout\"><input type=\"hidden\" "
                          "name=\"csrf\" value=\"%s\"><button>Log out</button></form>",
                          q->csrf);
    else if (q->who.how == WEB_BY_NOBODY)
        login_form(b, trouble);
    html_foot(b);
}

void web_page_login(web_req *q)
{
    if (web_identify(q) != WEB_CLAIM_REFUSED)
        page_login(q, NULL);
}

/* ---- log in, log out */
/* The one field of a form; NULL: refused already. Borrowed from `form`. */
static const char *field(web_req *q, const char *name, web_query *form)
{
    const char *type = header(q, "Content-Type");
    pw_err err = {0};
    if (!web_has_type(type, "application/x-www-form-urlencoded")) {
        web_fail(q, 415, "bad_request", "a form is of the type application/x-www-form-urlencoded");
        return NULL;
    }
    if (web_query_parse(form, pw_buf_str(&q->in), name, &err) < 0) {
        if (err.code == PW_ENOMEM)
            web_fail_err(q, &err);
        else
            web_fail(q, 400, "bad_request", "the form: %s", err.text);
        return NULL;
    }
    const char *v = web_query_get(form, name);
    if (!v)
        web_fail(q, 400, "bad_request", "the form: \"%s\" is missing", name);
    return v;
}

static void logged_in(web_req *q)
{
    set_cookie(q, q->cookie, SESSION_S);
    redirect(q, "/");
}

static void logged_out(web_req *q)
{
    set_cookie(q, "", 0);
    redirect(q, "/");
}

static void send_login(web_req *q, const web_identity *who)
{
    uint8_t secret[SECRET];
    bool failed = false;
    core_cmd *c = core_cmd_new(CMD_LOGIN, NULL);
    if (c)
        c->actor = pw_strdup(who->actor, &failed);
    if (!c || failed) {
        core_cmd_free(c);
        web_fail(q, 503, "unavailable", "out of memory");
        return;
    }
    q->web->host->random(q->web->host->self, secret, sizeof(secret));
    crypt_base64(secret, sizeof(secret), q->cookie);
    explicit_bzero(secret, sizeof(secret));
    crypt_hash(q->cookie, strlen(q->cookie), c->hash);
    memcpy(c->token, who->hash, sizeof(c->token));
    c->expires = pw_wall(q->web->host) + (pw_msec)SESSION_S * 1000;
    if (who->expires && who->expires < c->expires)
        c->expires = who->expires;
    q->then = logged_in;
    web_ask_send(q, c);
}

void web_post_login(web_req *q)
{
    PW_AUTO(web_query_clear) web_query form = {0};
    web_identity who = {0};
    uint8_t hash[CRYPT_HASH];
    pw_err err = {0};
    const char *token = from_here(q) ? field(q, "token", &form) : NULL;
    if (!token)
        return;
    token += strspn(token, " \t\r\n");
    crypt_hash(token, strcspn(token, " \t\r\n"), hash);
    if (!web_gate_token(q, hash))
        return;
    int r = web_token_identity(q, hash, WEB_BY_SESSION, &who, &err);
    if (r == 0 && !web_gate_login(q, hash))
        return;
    if (r == 0) {
        send_login(q, &who);
    } else if (r == PW_EDENIED) {
        (void)web_refuse_claim(q, err.text); /* counted as any wrong token is */
        page_login(q, q->status == 429 ? "Too many failed attempts: wait a minute." : err.text);
    } else {
        web_fail_err(q, &err);
    }
}

void web_post_logout(web_req *q)
{
    PW_AUTO(web_query_clear) web_query form = {0};
    bool failed = false;
    web_claim claim = web_identify(q);
    if (claim == WEB_CLAIM_REFUSED)
        return;
    if (q->who.how != WEB_BY_SESSION) { /* no session, or one that is over: only the cookie goes */
        if (from_here(q))
            logged_out(q);
        return;
    }
    const char *csrf = from_here(q) ? field(q, "csrf", &form) : NULL;
    if (!csrf || !csrf_fits(q, csrf))
        return;
    core_cmd *c = core_cmd_new(CMD_LOGOUT, NULL);
    if (c)
        c->actor = pw_strdup(q->who.actor, &failed);
    if (!c || failed) {
        core_cmd_free(c);
        web_fail(q, 503, "unavailable", "out of memory");
        return;
    }
    memcpy(c->hash, q->session, sizeof(c->hash));
    q->then = logged_out;
    web_ask_send(q, c);
}
