/* /search: whatever a text may name; /meta: what the pages must know of the master. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/http/assets.h"
#include "master/http/impl.h"
#include "master/store/reader_pages.h"
#include "shared/base/num.h"

enum { FOUND_MAX = 10 /* of each kind */, SEARCH_MAX = 200 /* bytes */ };

typedef struct search {
    pw_buf *b;
    reader *rd;
    const char *text;
    const char *project; /* of the branches that are walked */
    size_t n;            /* of the present kind */
} search;

/* A part of a path. */
static void escape(pw_buf *b, const char *s)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~";
    for (; *s; s++)
        if (strchr(plain, *s))
            (void)pw_buf_add(b, s, 1);
        else
            (void)pw_buf_addf(b, "%%%02X", (unsigned)(unsigned char)*s);
}

/* url: of up to two parts of a path, escaped. */
static int found(search *s, const char *kind, const char *text, const char *path, const char *one,
                 const char *two)
{
    PW_AUTO(pw_buf_clearp) pw_buf url = PW_BUF(8000);
    (void)pw_buf_adds(&url, path);
    escape(&url, one);
    if (two)
        (void)pw_buf_add(&url, "/", 1);
    if (two)
        escape(&url, two);
    web_open(s->b, NULL, '{');
    web_str(s->b, "kind", kind);
    web_str(s->b, "text", text);
    web_str(s->b, "url", pw_buf_str(&url));
    web_shut(s->b, '}');
    return ++s->n == FOUND_MAX ? PW_ELIMIT : 0;
}

static int on_number(void *self, const reader_build *r)
{
    search *s = self;
    char text[700], id[24];
    (void)snprintf(id, sizeof(id), "%llu", (unsigned long long)r->b.id);
    (void)snprintf(text, sizeof(text), "build %s: %.255s on %.255s", id, r->builder, r->branch);
    return found(s, "build", text, "/builds/", id, NULL);
}

static int on_request(void *self, const reader_request *r)
{
    search *s = self;
    char text[700], id[24];
    (void)snprintf(id, sizeof(id), "%llu", (unsigned long long)r->r.id);
    (void)snprintf(text, sizeof(text), "request %s: %.255s on %.255s", id, r->builder, r->branch);
    return found(s, "request", text, "/requests/", id, NULL);
}

static int on_builder(void *self, uint64_t id, const char *project, const char *name)
{
    search *s = self;
    char text[600];
    (void)id;
    if (!strcasestr(name, s->text))
        return 0;
    (void)snprintf(text, sizeof(text), "%.255s/%.255s", project, name);
    return found(s, "builder", text, "/builders/", text, NULL);
}

static int on_branch(void *self, const char *branch, const store_rev *rev)
{
    search *s = self;
    char text[600];
    (void)rev;
    if (!strcasestr(branch, s->text))
        return 0;
    (void)snprintf(text, sizeof(text), "%.255s of %.255s", branch, s->project);
    return found(s, "branch", text, "/branches/", s->project, branch);
}

static int on_project(void *self, uint64_t id, const char *name)
{
    search *s = self;
    s->project = name;
    return reader_branches(s->rd, id, "", on_branch, s, NULL);
}

static int on_commit(void *self, const char *project, const char *branch, const store_rev *rev,
                     const char *subject)
{
    search *s = self;
    char text[600], id[2 * STORE_REV_MAX + 1];
    PW_AUTO(pw_buf_clearp) pw_buf url = PW_BUF(2000);
    store_rev_text(rev, id);
    (void)snprintf(text, sizeof(text), "%.12s %.300s (%.100s)", id, subject ? subject : "", branch);
    (void)pw_buf_adds(&url, "/changes?project=");
    escape(&url, project);
    (void)pw_buf_adds(&url, "&branch=");
    escape(&url, branch);
    (void)pw_buf_adds(&url, "#");
    return found(s, "commit", text, pw_buf_str(&url), id, NULL);
}

static int on_worker(void *self, const store_worker *w, uint64_t busy, bool enrolled)
{
    search *s = self;
    (void)busy;
    (void)enrolled;
    return w->removed || !strcasestr(w->name, s->text)
               ? 0
               : found(s, "worker", w->name, "/workers/", w->name, NULL);
}

/* Each kind ends for itself: at FOUND_MAX, or when the text names none of it. */
static bool passed(search *s, int r)
{
    bool fine =
        r == 0 || (r == PW_ELIMIT && s->n == FOUND_MAX) || r == PW_ENOTFOUND || r == PW_EINVAL;
    s->n = 0;
    return fine;
}

void web_get_search(web_req *q)
{
    pw_err err = {0};
    search s = {.text = web_query_get(&q->query, "q")};
    uint64_t id = 0;
    if (!s.text || !*s.text || strlen(s.text) > SEARCH_MAX) {
        web_fail(q, 400, "bad_request", "\"q\" must be a text of 1 to %d bytes", SEARCH_MAX);
        return;
    }
    if (!(s.rd = web_reader(q)))
        return;
    s.b = web_json(q);
    web_open(s.b, NULL, '{');
    web_open(s.b, "items", '[');
    const char *number = s.text + (*s.text == '#');
    bool numbered = pw_parse_u64(number, &id, NULL) == 0 && id <= INT64_MAX;
    bool fine = (!numbered || (passed(&s, reader_build_one(s.rd, id, on_number, &s, &err)) &&
                               passed(&s, reader_request_one(s.rd, id, on_request, &s, &err)))) &&
                passed(&s, reader_builders(s.rd, on_builder, &s, &err)) &&
                passed(&s, reader_projects(s.rd, on_project, &s, &err)) &&
                passed(&s, reader_commits(s.rd, s.text, FOUND_MAX, on_commit, &s, &err)) &&
                passed(&s, reader_workers(s.rd, on_worker, &s, &err));
    web_shut(s.b, ']');
    web_null(s.b, "next");
    (void)pw_buf_adds(s.b, "}\n");
    if (!fine)
        web_fail_err(q, &err);
}

/* ---- meta */
/* The zone of the machine: TZ, else where /etc/localtime points. */
static void zone(pw_buf *b)
{
    const char *tz = getenv("TZ"), *at = NULL;
    char link[300];
    ssize_t n = tz && *tz ? 0 : readlink("/etc/localtime", link, sizeof(link) - 1);
    if (n > 0) {
        link[n] = '\0';
        at = strstr(link, "zoneinfo/");
    }
    web_str(b, "zone", tz && *tz ? tz + (*tz == ':') : at ? at + 9 : "UTC");
}

void web_get_meta(web_req *q)
{
    const config *c = web_req_conf(q);
    pw_buf *b = web_json(q);
    web_open(b, NULL, '{');
    web_str(b, "name", c ? c->name : NULL);
    web_str(b, "version", PW_VERSION);
    char page[WEB_ASSETS_HASH];
    web_assets_hash(page);
    web_str(b, "page", page);
    zone(b);
    (void)pw_buf_adds(b, "}\n");
}
