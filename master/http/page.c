/* The status page and the page of a build: rendered here, without script, under a strict content
 * policy. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/http/html.h"
#include "master/http/impl.h"

enum { HOME_REFRESH_S = 5, HOME_BUILDS = 30, HOME_WAITING = 20 };

typedef struct view {
    web_req *q;
    pw_buf *b;
    pw_msec now;
    size_t n, red, workers, away;
    bool wants_red;
    uint64_t build;
    bool open;
} view;

static pw_buf *html(web_req *q)
{
    q->status = 200;
    q->type = "text/html; charset=utf-8";
    return &q->out;
}

static void table(pw_buf *b, const char *title, const char *heads)
{
    (void)pw_buf_adds(b, "<h2>");
    html_text(b, title);
    (void)pw_buf_adds(b, "</h2><div class=\"frame\"><table><tr>");
    (void)pw_buf_adds(b, heads);
    (void)pw_buf_adds(b, "</tr>");
}

static void table_end(pw_buf *b)
{
    (void)pw_buf_adds(b, "</table></div>");
}

static void cell(pw_buf *b, const char *s)
{
    (void)pw_buf_adds(b, "<td>");
    html_text(b, s);
    (void)pw_buf_adds(b, "</td>");
}

static void revision(pw_buf *b, const store_rev *r)
{
    char text[2 * STORE_REV_MAX + 1] = "";
    if (r->n)
        store_rev_text(r, text);
    (void)pw_buf_addf(b, "<td class=\"x\"><code title=\"%s\">%.10s</code></td>", text, text);
}

static bool is_red(pw_result r)
{
    return pw_result_red(r) || r == PW_EXCEPTION;
}

/* ---- home */
static int count_latest(void *self, const reader_latest *l)
{
    view *v = self;
    v->n++;
    v->red += is_red(l->result);
    return 0;
}

static int row_latest(void *self, const reader_latest *l)
{
    view *v = self;
    if (is_red(l->result) != v->wants_red)
        return 0;
    v->n++;
    (void)pw_buf_adds(v->b, "<tr><td>");
    html_state(v->b, l->result, "");
    (void)pw_buf_adds(v->b, "</td>");
    cell(v->b, l->project);
    cell(v->b, l->branch);
    cell(v->b, l->builder);
    (void)pw_buf_adds(v->b, "<td>");
    html_build(v->b, l->build);
    (void)pw_buf_adds(v->b, "</td>");
    revision(v->b, &l->rev);
    (void)pw_buf_adds(v->b, "<td class=\"n\">");
    html_ago(v->b, l->finished, v->now);
    (void)pw_buf_adds(v->b, "</td></tr>");
    return 0;
}

static int row_build(void *self, const reader_build *r)
{
    view *v = self;
    bool over = r->b.state == BUILD_DONE;
    v->n++;
    (void)pw_buf_adds(v->b, "<tr><td>");
    html_state(v->b, r->b.result, web_build_states[r->b.state]);
    (void)pw_buf_adds(v->b, "</td><td>");
    html_build(v->b, r->b.id);
    (void)pw_buf_adds(v->b, "</td>");
    cell(v->b, r->builder);
    cell(v->b, r->project);
    cell(v->b, r->branch);
    revision(v->b, &r->rev);
    (void)pw_buf_adds(v->b, "<td class=\"w\">");
    html_text(v->b, r->b.reason ? r->b.reason : r->why);
    (void)pw_buf_adds(v->b, "</td><td class=\"x\">");
    html_text(v->b, r->worker);
    (void)pw_buf_adds(v->b, "</td><td class=\"n\">");
    if (r->b.started)
        html_span(v->b, (over ? r->b.finished : v->now) - r->b.started);
    (void)pw_buf_adds(v->b, "</td><td class=\"n\">");
    html_ago(v->b, over ? r->b.finished : r->b.created, v->now);
    (void)pw_buf_adds(v->b, "</td></tr>");
    return 0;
}

/* The whole answer is the core's (/requests/ID/why); what the figures tell costs nothing. */
static const char *why_waiting(const web_gauges *g)
{
    if (!g)
        return "";
    if (atomic_load(&g->workers_known) == 0)
        return "there is no worker";
    if (atomic_load(&g->workers_connected) == 0)
        return "no worker is connected";
    return atomic_load(&g->slots_busy) >= atomic_load(&g->slots) ? "all slots are busy" : "";
}

static int row_request(void *self, const reader_request *r)
{
    view *v = self;
    v->n++;
    (void)pw_buf_adds(v->b, "<tr><td>");
    html_state(v->b, PW_NO_RESULT, "waiting");
    (void)pw_buf_addf(v->b, "</td><td>%" PRIu64 "</td>", r->r.id);
    cell(v->b, r->builder);
    cell(v->b, r->project);
    cell(v->b, r->branch);
    revision(v->b, &r->rev);
    (void)pw_buf_adds(v->b, "<td class=\"w\">");
    if (r->held)
        (void)pw_buf_addf(v->b, "held by testfix since build %" PRIu64, r->held);
    else
        html_text(v->b, why_waiting(v->q->web->gauges));
    (void)pw_buf_addf(v->b,
                      " <a href=\"/api/v1/requests/%" PRIu64 "/why\">why</a></td><td class=\"n\">",
                      r->r.id);
    html_ago(v->b, r->r.created, v->now);
    (void)pw_buf_adds(v->b, "</td></tr>");
    return 0;
}

static int row_edge(void *self, const char *edge, edge_state state, const store_rev *rev,
                    const char *reason, pw_msec at)
{
    view *v = self;
    (void)pw_buf_addf(v->b, "<tr><td><span class=\"s%s\">%s</span></td>",
                      state == EDGE_DONE       ? " s0"
                      : state == EDGE_DIVERGED ? " s2"
                                               : "",
                      web_edge_state(state));
    cell(v->b, edge);
    revision(v->b, rev);
    (void)pw_buf_adds(v->b, "<td class=\"w\">");
    html_text(v->b, reason);
    (void)pw_buf_adds(v->b, "</td><td class=\"n\">");
    html_ago(v->b, at, v->now);
    (void)pw_buf_adds(v->b, "</td></tr>");
    v->n++;
    return 0;
}

static int row_worker(void *self, const store_worker *w, uint64_t busy, bool enrolled)
{
    view *v = self;
    char gate[WEB_GATE];
    const char *state = web_worker_state(w, web_worker_presence(v->q->web, w->id, gate), v->now);
    (void)enrolled;
    if (w->removed)
        return 0;
    (void)pw_buf_addf(v->b, "<tr><td><span class=\"s%s\">%s</span></td>",
                      strcmp(state, "connected") == 0 ? " s0"
                      : strcmp(state, "missing") == 0 ? " s2"
                                                      : "",
                      state);
    cell(v->b, w->name);
    (void)pw_buf_addf(v->b, "<td class=\"n\">%" PRIu64 " of %" PRIu64 "</td>", busy, w->slots);
    cell(v->b, w->tags);
    (void)pw_buf_adds(v->b, "<td class=\"w\">");
    html_text(v->b, w->reason ? w->reason : gate);
    (void)pw_buf_adds(v->b, "</td><td class=\"n\">");
    html_ago(v->b, w->seen, v->now);
    (void)pw_buf_adds(v->b, "</td></tr>");
    v->n++;
    return 0;
}

#define BUILD_HEADS                                                                                \
    "<th>State<th>Build<th>Builder<th>Project<th>Branch<th class=\"x\">Revision<th>Why<th "        \
    "class=\"x\">Worker<th class=\"n\">Took<th class=\"n\">When"

static void headline(view *v)
{
    if (v->red)
        (void)pw_buf_addf(v->b, "<h1><em>%zu builder%s red.</em></h1>", v->red,
                          v->red == 1 ? " is" : "s are");
    else
        (void)pw_buf_adds(v->b, v->n ? "<h1>Everything is green.</h1>"
                                     : "<h1>Nothing was built yet.</h1>");
    const web_gauges *g = v->q->web->gauges;
    if (g)
        (void)pw_buf_addf(v->b,
                          "<p><b>%" PRIu64 "</b> waiting, <b>%" PRIu64 "</b> open, <b>%" PRIu64
                          "</b> of <b>%" PRIu64 "</b> slots busy, <b>%" PRIu64 "</b> of <b>%" PRIu64
                          "</b> workers connected.</p>",
                          atomic_load(&g->requests_waiting), atomic_load(&g->builds_open),
                          atomic_load(&g->slots_busy), atomic_load(&g->slots),
                          atomic_load(&g->workers_connected), atomic_load(&g->workers_known));
}

static int home_queue(view *v, pw_err *err)
{
    static const build_state states[] = {BUILD_RUNNING, BUILD_FINISHING, BUILD_DISPATCHED,
                                         BUILD_QUEUED};
    int r = 0;
    table(v->b, "Running", BUILD_HEADS);
    v->n = 0;
    for (size_t i = 0; i < 4 && r == 0; i++) {
        reader_build_filter f = {.result = -1, .state = (int)states[i], .limit = HOME_WAITING};
        r = reader_builds(v->q->rd, &f, row_build, v, err);
    }
    if (v->n == 0)
        (void)pw_buf_adds(v->b, "<tr><td class=\"w\" colspan=\"10\">Nothing runs.</td></tr>");
    table_end(v->b);
    table(v->b, "Waiting",
          "<th>State<th>Request<th>Builder<th>Project<th>Branch<th class=\"x\">Revision<th>Why<th "
          "class=\"n\">Since");
    v->n = 0;
    if (r == 0)
        r = reader_requests(v->q->rd, REQ_WAITING, 0, HOME_WAITING, row_request, v, err);
    if (v->n == 0)
        (void)pw_buf_adds(v->b, "<tr><td class=\"w\" colspan=\"8\">Nothing waits.</td></tr>");
    table_end(v->b);
    return r;
}

static int home_lists(view *v, pw_err *err)
{
    reader *rd = v->q->rd;
    int r;
    table(v->b, "Promotions",
          "<th>State<th>Edge<th class=\"x\">Revision<th>Why<th class=\"n\">When");
    if ((r = reader_edges(rd, row_edge, v, err)) < 0)
        return r;
    table_end(v->b);
    table(v->b, "Workers",
          "<th>State<th>Name<th class=\"n\">Busy<th>Tags<th>Why<th class=\"n\">Seen");
    if ((r = reader_workers(rd, row_worker, v, err)) < 0)
        return r;
    table_end(v->b);
    table(v->b, "Latest builds", BUILD_HEADS);
    reader_build_filter f = {.result = -1, .state = -1, .limit = HOME_BUILDS};
    if ((r = reader_builds(rd, &f, row_build, v, err)) < 0)
        return r;
    table_end(v->b);
    return 0;
}

void web_page_home(web_req *q)
{
    static const char heads[] = "<th>State<th>Project<th>Branch<th>Builder<th>Build<th "
                                "class=\"x\">Revision<th class=\"n\">When";
    pw_err err = {0};
    char title[64];
    if (!web_reader(q))
        return;
    view v = {.q = q, .b = html(q), .now = pw_wall(q->web->host)};
    int r = reader_latest_all(q->rd, count_latest, &v, &err);
    bool any = v.n > v.red;
    (void)snprintf(title, sizeof(title), v.red ? "%zu red - Pawl" : "Pawl", v.red);
    html_head(v.b, title, HOME_REFRESH_S);
    headline(&v);
    if (r == 0 && v.red) {
        table(v.b, "Red", heads);
        v.wants_red = true;
        r = reader_latest_all(q->rd, row_latest, &v, &err);
        table_end(v.b);
    }
    if (r == 0)
        r = home_queue(&v, &err);
    if (r == 0 && any) {
        table(v.b, "Green", heads);
        v.wants_red = false;
        r = reader_latest_all(q->rd, row_latest, &v, &err);
        table_end(v.b);
    }
    if (r == 0)
        r = home_lists(&v, &err);
    html_foot(v.b);
    if (r < 0)
        web_fail_err(q, &err);
}

/* ---- a build */
static int row_step(void *self, const store_step *s)
{
    static const char *const states[] = {"waiting", "running", "done"};
    view *v = self;
    (void)pw_buf_adds(v->b, "<tr><td>");
    html_state(v->b, s->result, states[s->state]);
    (void)pw_buf_addf(v->b, "</td><td><a href=\"/api/v1/builds/%" PRIu64 "/log/", v->build);
    html_part(v->b, s->name);
    (void)pw_buf_adds(v->b, "\">");
    html_text(v->b, s->name);
    (void)pw_buf_adds(v->b, "</a></td><td class=\"w\">");
    html_text(v->b, s->reason);
    if (!s->reason && s->exit_code > 0)
        (void)pw_buf_addf(v->b, "exit code %" PRId64, s->exit_code);
    (void)pw_buf_addf(v->b, "</td><td class=\"n\">%" PRIu64 "</td><td class=\"n\">", s->lines);
    if (s->started)
        html_span(v->b, (s->finished ? s->finished : v->now) - s->started);
    (void)pw_buf_adds(v->b, "</td></tr>");
    return 0;
}

static int page_build(void *self, const reader_build *r)
{
    view *v = self;
    char title[300], at[PW_TIME_MAX];
    const char *word =
        r->b.result == PW_NO_RESULT ? web_build_states[r->b.state] : html_word(r->b.result);
    v->open = r->b.state != BUILD_DONE;
    (void)snprintf(title, sizeof(title), "%s: %s #%" PRIu64, word, r->builder, r->b.id);
    html_head(v->b, title, v->open ? HOME_REFRESH_S : 0);
    (void)pw_buf_adds(v->b, is_red(r->b.result) ? "<h1><em>" : "<h1>");
    html_text(v->b, title);
    (void)pw_buf_adds(v->b, is_red(r->b.result) ? "</em> on " : " on ");
    html_text(v->b, r->branch);
    (void)pw_buf_adds(v->b, "</h1><p>");
    if (r->b.reason) {
        (void)pw_buf_adds(v->b, "<b>");
        html_text(v->b, r->b.reason);
        (void)pw_buf_adds(v->b, "</b><br>");
    }
    html_text(v->b, r->why);
    (void)pw_buf_adds(v->b, "</p><div "
                            "class=\"frame\"><table><tr><th>Project<th>Revision<th>By<th>Worker<th>"
                            "Attempt<th>Created<th class=\"n\">Took</tr><tr>");
    cell(v->b, r->project);
    char rev[2 * STORE_REV_MAX + 1] = "";
    if (r->rev.n)
        store_rev_text(&r->rev, rev);
    (void)pw_buf_addf(v->b, "<td><code>%s</code></td>", rev);
    cell(v->b, r->who);
    cell(v->b, r->worker);
    (void)pw_buf_addf(v->b, "<td>%" PRIu64 "</td><td>%s</td><td class=\"n\">", r->b.tries,
                      pw_time_text(r->b.created, at));
    if (r->b.started)
        html_span(v->b, (v->open ? v->now : r->b.finished) - r->b.started);
    (void)pw_buf_adds(v->b, "</td></tr></table></div>");
    return 0;
}

void web_page_build(web_req *q)
{
    pw_err err = {0};
    uint64_t id, attempt;
    if (!web_id_param(q, 0, &id) || !web_reader(q))
        return;
    view v = {.q = q, .b = html(q), .now = pw_wall(q->web->host), .build = id};
    int r = reader_build_one(q->rd, id, page_build, &v, &err);
    if (r == 0) {
        table(v.b, "Steps", "<th>State<th>Step<th>Why<th class=\"n\">Lines<th class=\"n\">Took");
        r = reader_attempt_of(q->rd, id, 0, &attempt, &err);
        if (r == 0)
            r = reader_steps(q->rd, attempt, row_step, &v, &err);
        else if (r == PW_ENOTFOUND) {
            (void)pw_buf_adds(v.b,
                              "<tr><td class=\"w\" colspan=\"5\">No worker has it yet.</td></tr>");
            r = 0;
        }
        table_end(v.b);
        html_foot(v.b);
    }
    if (r < 0)
        web_fail_err(q, &err);
}

void web_page_style(web_req *q)
{
    q->status = 200;
    q->type = "text/css";
    q->tag = true;
    (void)pw_buf_adds(&q->out, html_style);
}
