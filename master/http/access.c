/* Lists of tokens and of what was done; what was refused, counted and logged. Secrets are in none
 * of them: a token's row has its hash only, and that is not shown either. */
#include <inttypes.h>
#include <string.h>

#include "master/http/impl.h"
#include "shared/base/log.h"

typedef struct page {
    web_req *q;
    pw_buf *b;
    const config *conf;
    pw_msec now;
    size_t n, limit;
    uint64_t last;
    bool more;
} page;

static bool begin(web_req *q, page *p, uint64_t *ret_before)
{
    pw_err err = {0};
    *p = (page){.q = q, .now = pw_wall(q->web->host)};
    if (web_query_page(&q->query, &p->limit, ret_before, &err) < 0) {
        web_fail_err(q, &err);
        return false;
    }
    if (!web_reader(q))
        return false;
    p->b = web_json(q);
    web_open(p->b, NULL, '{');
    web_open(p->b, "items", '[');
    return true;
}

static bool room(page *p, uint64_t id)
{
    p->more = p->n == p->limit;
    if (p->more)
        return false;
    p->n++;
    p->last = id;
    return true;
}

static void end(page *p, int r, const pw_err *err)
{
    char cursor[WEB_CURSOR];
    if (r < 0 && !p->more) {
        web_fail_err(p->q, err);
        return;
    }
    web_shut(p->b, ']');
    web_cursor_text(p->last, cursor);
    web_str(p->b, "next", p->more ? cursor : NULL);
    (void)pw_buf_adds(p->b, "}\n");
}

/* ---- tokens */
static const char *state_of(const page *p, const store_token *t)
{
    unsigned scopes;
    if (t->revoked)
        return "revoked";
    if (t->expires && t->expires <= p->now)
        return "expired";
    if (p->conf && !config_person_scopes(p->conf, t->person, SCOPE_ALL, &scopes))
        return "nobody";
    return "live";
}

static int on_token(void *self, const store_token *t)
{
    page *p = self;
    if (!room(p, t->id))
        return PW_ELIMIT;
    web_open(p->b, NULL, '{');
    web_id(p->b, "id", t->id);
    web_str(p->b, "name", t->name);
    web_str(p->b, "state", state_of(p, t));
    web_open(p->b, "scopes", '[');
    for (const char *s = t->scopes; *s; s += strspn(s, " ")) {
        size_t n = strcspn(s, " ");
        web_key(p->b, NULL);
        (void)pw_buf_addf(p->b, "\"%.*s\"", (int)n, s);
        s += n;
    }
    web_shut(p->b, ']');
    web_str(p->b, "person", t->person);
    web_str(p->b, "creator", t->creator);
    web_time(p->b, "created", t->created);
    web_time(p->b, "expires", t->expires);
    web_time(p->b, "used", t->used);
    web_time(p->b, "revoked", t->revoked);
    web_shut(p->b, '}');
    return 0;
}

void web_get_tokens(web_req *q)
{
    pw_err err = {0};
    page p;
    uint64_t before;
    if (!begin(q, &p, &before))
        return;
    config *conf = web_conf(q->web);
    p.conf = conf;
    end(&p, reader_tokens(q->rd, before, p.limit + 1, on_token, &p, &err), &err);
    config_unref(conf);
}

/* ---- what was done */
static int on_deed(void *self, const reader_deed *d)
{
    page *p = self;
    if (!room(p, d->id))
        return PW_ELIMIT;
    web_open(p->b, NULL, '{');
    web_id(p->b, "id", d->id);
    web_time(p->b, "at", d->at);
    web_str(p->b, "actor", d->actor);
    web_str(p->b, "action", d->action);
    web_str(p->b, "object", d->object);
    web_str(p->b, "text", d->text);
    web_shut(p->b, '}');
    return 0;
}

void web_get_audit(web_req *q)
{
    pw_err err = {0};
    page p;
    uint64_t before;
    pw_msec since = 0;
    if (web_query_time(&q->query, "since", &since, &err) < 0) {
        web_fail_err(q, &err);
        return;
    }
    if (begin(q, &p, &before))
        end(&p,
            reader_audit(q->rd, web_query_get(&q->query, "actor"), since, before, p.limit + 1,
                         on_deed, &p, &err),
            &err);
}

/* ---- what was refused */
static const struct refusal {
    int status;
    const char *code;
} refusals[WEB_REFUSALS] = {{400, "bad_request"},  {401, "unauthorized"}, {403, "forbidden"},
                            {404, "not_found"},    {409, "conflict"},     {413, "too_large"},
                            {429, "rate_limited"}, {500, "internal"},     {503, "unavailable"}};

void web_refused(web_req *q)
{
    size_t i = 0;
    const web_route *r = q->at.route;
    while (i < WEB_REFUSALS && refusals[i].status != q->status)
        i++;
    i = i == WEB_REFUSALS ? 0 : i; /* others, like 405, are told as bad requests too */
    if (q->status < 400 || (r && r->handler == web_get_health))
        return;
    (void)atomic_fetch_add(&q->web->refused[i], 1);
    /* a write that was refused leaves no row: here is what is known of it. 429 would let a stranger
     * fill the log. */
    if (r && strcmp(r->method, "GET") != 0 && q->status != 429)
        pw_log(PW_LOG_INFO, "write_refused",
               "method=%s route=\"%s\" status=%d code=%s actor=\"%s\"", r->method, r->pattern,
               q->status, refusals[i].code, q->who.actor);
}

void web_refusals(const web_server *web, pw_buf *b)
{
    (void)pw_buf_adds(b, "# HELP pawl_http_refused_total requests that were answered by an error\n"
                         "# TYPE pawl_http_refused_total counter\n");
    for (size_t i = 0; i < WEB_REFUSALS; i++)
        (void)pw_buf_addf(b, "pawl_http_refused_total{code=\"%s\"} %" PRIu64 "\n", refusals[i].code,
                          atomic_load(&web->refused[i]));
}
