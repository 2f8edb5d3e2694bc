/* The pages: one shell of HTML for all of them, which names script and style and carries the
 * answers that the page will ask for first, so that they need no second round trip. They stand in
 * a <script type="application/json">, which is data: the policy allows no inline script. */
#include <stdio.h>
#include <string.h>

#include "master/http/assets.h"
#include "master/http/html.h"
#include "master/http/impl.h"

enum { FIRST_MAX = 4 * 1024 * 1024, FIRSTS = 3, PATH_MAX_BYTES = WEB_URL_MAX + 100 };

/* What a page asks for first, beside session, meta and status. $1, $2: parts of its own path as
 * they were sent; ?: its own query goes there too. Only what is read from the database. */
typedef struct first {
    const char *page;
    const char *api[FIRSTS];
} first;
static const first firsts[] = {
    {"/", {"/branches?limit=200"}},
    {"/branches", {"/branches?limit=200?"}},
    {"/branches/{project}/{path}",
     {"/branches?project=$1&branch=$2", "/console?project=$1&branch=$2&limit=60"}},
    {"/changes", {"/console?limit=60?"}},
    {"/builders", {"/builders?limit=1000"}},
    {"/builders/{name}", {"/builders/$1?", "/builders/$1/history?limit=200?"}},
    {"/builds", {"/builds?limit=60?"}},
    {"/builds/{id}", {"/builds/$1"}},
    {"/builds/{id}/log/{step}", {"/builds/$1"}},
    {"/requests/{id}", {"/requests/$1"}},
    {"/workers", {"/workers?limit=1000"}},
    {"/workers/{name}", {"/workers?limit=1000"}},
    {"/promotions", {"/promotions?edges=1&limit=200"}},
    {"/schedulers", {"/schedulers?limit=1000"}},
};

/* $1 and ? filled in; false: too long. */
static bool address(const web_req *q, const char *form, char *out, size_t cap)
{
    pw_buf b;
    const char *part[3] = {NULL, "", ""};
    size_t len[3] = {0};
    pw_buf_init(&b, cap - 1);
    /* the second and third part of the raw path; a path may hold slashes, so it takes the rest */
    const char *p = strchr(q->uri + 1, '/');
    if (p) {
        part[1] = p + 1;
        len[1] = strcspn(p + 1, "/");
        if (part[1][len[1]] == '/') {
            part[2] = part[1] + len[1] + 1;
            len[2] = strlen(part[2]);
        }
    }
    (void)pw_buf_adds(&b, "/api/v1");
    for (const char *f = form; *f; f++) {
        if (*f == '$') {
            f++;
            (void)pw_buf_add(&b, part[*f - '0'], len[*f - '0']);
        } else if (*f == '?' && !f[1]) {
            if (q->raw_query && *q->raw_query)
                (void)pw_buf_addf(&b, "%c%s", strchr(form, '?') == f ? '?' : '&', q->raw_query);
        } else {
            (void)pw_buf_add(&b, f, 1);
        }
    }
    bool fits = !b.failed;
    if (fits)
        (void)snprintf(out, cap, "%s", pw_buf_str(&b));
    pw_buf_clear(&b);
    return fits;
}

/* Text of a script element: no "<" can end it. */
static void data_text(pw_buf *to, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] == '<')
            (void)pw_buf_adds(to, "\\u003c");
        else
            (void)pw_buf_add(to, s + i, 1);
}

/* Answers "GET uri" as if it had been asked for, into the object `to`. Returns its status; 0: it
 * is not asked here. */
static int ask(web_req *q, const char *uri, pw_buf *to)
{
    char path[PATH_MAX_BYTES];
    pw_err err = {0};
    web_req was = *q; /* what the handler looks at, and changes */
    int status = 0;
    (void)snprintf(path, sizeof(path), "%s", uri);
    char *raw = strchr(path, '?');
    if (raw)
        *raw++ = '\0';
    q->query = (web_query){0};
    pw_buf_init(&q->out, FIRST_MAX);
    if (web_route_find(web_routes, web_n_routes, "GET", path, &q->at, &err) == 0 &&
        strcmp(q->at.route->scope, "read") == 0 &&
        web_query_parse(&q->query, raw, q->at.route->query, &err) == 0) {
        q->status = 0;
        q->at.route->handler(q);
        status = q->status;
        if (!q->out.failed && status == 200) {
            (void)pw_buf_adds(to, to->len > 1 ? "," : "");
            PW_AUTO(pw_buf_clearp) pw_buf key;
            pw_buf_init(&key, 2 * PATH_MAX_BYTES);
            (void)pw_buf_json(&key, uri + strlen("/api/v1"));
            if (!key.failed)
                data_text(to, key.p, key.len);
            (void)pw_buf_add(to, ":", 1);
            data_text(to, q->out.p, q->out.len);
        }
    }
    web_query_clear(&q->query);
    pw_buf_clear(&q->out);
    /* what it took for the whole request stays */
    was.rd = q->rd;
    was.conf = q->conf;
    was.secret = q->secret;
    *q = was;
    return status;
}

static const first *first_of(const web_req *q)
{
    for (size_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++)
        if (strcmp(firsts[i].page, q->at.route->pattern) == 0)
            return &firsts[i];
    return NULL;
}

void web_page(web_req *q)
{
    char script[WEB_ASSET_NAME] = "", style[WEB_ASSET_NAME] = "", uri[PATH_MAX_BYTES];
    PW_AUTO(pw_buf_clearp) pw_buf data;
    const first *f = first_of(q);
    int found = 200;
    pw_buf_init(&data, WEB_OUT_MAX / 2);
    (void)pw_buf_add(&data, "{", 1);
    (void)ask(q, "/api/v1/session", &data);
    (void)ask(q, "/api/v1/meta", &data);
    (void)ask(q, "/api/v1/status", &data);
    for (size_t i = 0; f && i < FIRSTS && f->api[i]; i++) {
        int r = address(q, f->api[i], uri, sizeof(uri)) ? ask(q, uri, &data) : 0;
        if (i == 0 && r == 404)
            found = 404; /* the page says so, too */
    }
    if (data.failed) { /* the page asks for it itself */
        pw_buf_reset(&data);
        (void)pw_buf_add(&data, "{", 1);
    }
    (void)pw_buf_add(&data, "}", 1);
    (void)web_asset_entry(".js", script, sizeof(script));
    (void)web_asset_entry(".css", style, sizeof(style));
    q->status = found;
    q->type = "text/html; charset=utf-8";
    q->tag = true;
    (void)pw_buf_addf(
        &q->out,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Pawl</title>"
        "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
        "<meta name=\"color-scheme\" content=\"light dark\">"
        "<link rel=\"icon\" href=\"data:,\"><link rel=\"stylesheet\" href=\"/assets/%s\">"
        "<script type=\"module\" src=\"/assets/%s\"></script></head><body><div id=\"app\">"
        "<noscript>These pages need JavaScript. Without it: the command pawl, or "
        "/api/v1.</noscript></div><script type=\"application/json\" id=\"first\">",
        style, script);
    (void)pw_buf_add(&q->out, data.p, data.len);
    (void)pw_buf_adds(&q->out, "</script></body></html>\n");
}

void web_page_style(web_req *q)
{
    q->status = 200;
    q->type = "text/css";
    q->tag = true;
    (void)pw_buf_adds(&q->out, html_style);
}
