/* /atom/{project}: the newest finished builds of a project, or of one of its branches, as a feed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/http/impl.h"
#include "master/store/reader_pages.h"

enum { ENTRIES = 30 };

typedef struct feed {
    web_req *q;
    pw_buf *b;
    pw_buf entries;
    pw_msec newest;
} feed;

/* Text of an element or an attribute: names of branches come from repositories as bytes, and most
 * control characters may not stand in XML at all. */
static void text(pw_buf *b, const char *s)
{
    while (*s) {
        size_t n = pw_utf8_len(s);
        unsigned char c = (unsigned char)*s;
        if (n == 0 || (c < 0x20 && c != '\t' && c != '\n')) {
            (void)pw_buf_adds(b, "\xef\xbf\xbd"); /* what stands for no character */
            n = 1;
        } else if (strchr("&<>\"'", c)) {
            (void)pw_buf_addf(b, "&#%d;", c);
        } else {
            (void)pw_buf_add(b, s, n);
        }
        s += n;
    }
}

static void element(pw_buf *b, const char *name, const char *s)
{
    (void)pw_buf_addf(b, "<%s>", name);
    text(b, s);
    (void)pw_buf_addf(b, "</%s>", name);
}

static int on_build(void *self, const reader_build *r)
{
    feed *f = self;
    pw_buf *b = &f->entries;
    char title[900], at[PW_TIME_MAX], rev[2 * STORE_REV_MAX + 1] = "", link[400];
    if (r->rev.n)
        store_rev_text(&r->rev, rev);
    f->newest = r->b.finished > f->newest ? r->b.finished : f->newest;
    (void)snprintf(title, sizeof(title), "%.255s on %.255s: %s", r->builder, r->branch,
                   pw_result_name(r->b.result));
    (void)snprintf(link, sizeof(link), "%.300s/builds/%llu", f->q->web->url,
                   (unsigned long long)r->b.id);
    (void)pw_buf_adds(b, "<entry>");
    element(b, "title", title);
    element(b, "id", link);
    element(b, "updated", pw_time_text(r->b.finished, at));
    (void)pw_buf_adds(b, "<link href=\"");
    text(b, link);
    (void)pw_buf_adds(b, "\"/><summary>");
    text(b, rev[0] ? rev : "no revision");
    if (r->b.reason) {
        (void)pw_buf_adds(b, ": ");
        text(b, r->b.reason);
    }
    (void)pw_buf_adds(b, "</summary></entry>\n");
    return 0;
}

static void put(feed *f, const char *project, const char *branch)
{
    char title[600], at[PW_TIME_MAX];
    pw_buf *b = &f->q->out;
    const char *url = f->q->web->url;
    (void)snprintf(title, sizeof(title), "%.255s%s%.255s", project, branch ? ": " : "",
                   branch ? branch : "");
    f->q->status = 200;
    f->q->type = "application/atom+xml; charset=utf-8";
    f->q->tag = true;
    (void)pw_buf_adds(b, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
                         "<feed xmlns=\"http://www.w3.org/2005/Atom\">");
    element(b, "title", title);
    (void)pw_buf_adds(b, "<id>");
    text(b, url);
    (void)pw_buf_adds(b, "/atom/");
    text(b, project);
    if (branch) {
        (void)pw_buf_adds(b, "?branch=");
        text(b, branch);
    }
    (void)pw_buf_adds(b, "</id><link href=\"");
    text(b, url);
    (void)pw_buf_adds(b, "/\"/><author><name>Pawl</name></author>");
    element(b, "updated", pw_time_text(f->newest, at));
    (void)pw_buf_adds(b, "\n");
    (void)pw_buf_add(b, pw_buf_str(&f->entries), f->entries.len);
    (void)pw_buf_adds(b, "</feed>\n");
    b->failed = b->failed || f->entries.failed;
}

void web_get_atom(web_req *q)
{
    pw_err err = {0};
    uint64_t id;
    feed f = {.q = q, .entries = PW_BUF(1024 * 1024)};
    reader_build_filter filter = {.project = q->at.param[0],
                                  .branch = web_query_get(&q->query, "branch"),
                                  .builder = web_query_get(&q->query, "builder"),
                                  .result = -1,
                                  .state = BUILD_DONE,
                                  .limit = ENTRIES};
    if (!web_reader(q))
        return;
    int r = reader_project_named(q->rd, filter.project, &id, &err);
    if (r == 0)
        r = reader_builds(q->rd, &filter, on_build, &f, &err);
    if (r < 0)
        web_fail_err(q, &err);
    else
        put(&f, filter.project, filter.branch);
    pw_buf_clear(&f.entries);
}
