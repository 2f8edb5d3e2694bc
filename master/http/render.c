#include "master/http/render.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shared/job/kind.h"

const char *const web_build_states[] = {"queued",    "dispatched", "running",
                                        "finishing", "done",       NULL};
const char *const web_request_states[] = {"waiting", "claimed", "done", NULL};
const char *const web_results[] = {"success",   "warnings", "failure",   "skipped",
                                   "exception", "retry",    "cancelled", NULL};

/* ---- parts */
void web_key(pw_buf *b, const char *key)
{
    /* what stands before tells whether a comma is due: a bracket that opens is never the end of a
     * value */
    if (b->len && !strchr("{[", b->p[b->len - 1]))
        (void)pw_buf_add(b, ",", 1);
    if (key) {
        (void)pw_buf_add(b, "\"", 1);
        (void)pw_buf_adds(b, key);
        (void)pw_buf_add(b, "\":", 2);
    }
}

void web_open(pw_buf *b, const char *key, char bracket)
{
    web_key(b, key);
    (void)pw_buf_add(b, &bracket, 1);
}

void web_shut(pw_buf *b, char bracket)
{
    (void)pw_buf_add(b, &bracket, 1);
}

void web_str(pw_buf *b, const char *key, const char *s)
{
    web_key(b, key);
    if (s)
        (void)pw_buf_json(b, s);
    else
        (void)pw_buf_add(b, "null", 4);
}

static void digits(pw_buf *b, uint64_t v)
{
    char text[20], *p = text + sizeof(text);
    do
        *--p = (char)('0' + v % 10);
    while (v /= 10);
    (void)pw_buf_add(b, p, (size_t)(text + sizeof(text) - p));
}

void web_u64(pw_buf *b, const char *key, uint64_t v)
{
    web_key(b, key);
    digits(b, v);
}

void web_i64(pw_buf *b, const char *key, int64_t v)
{
    web_key(b, key);
    if (v < 0)
        (void)pw_buf_add(b, "-", 1);
    digits(b, v < 0 ? (uint64_t)0 - (uint64_t)v : (uint64_t)v);
}

void web_id(pw_buf *b, const char *key, uint64_t v)
{
    if (v)
        web_u64(b, key, v);
    else
        web_null(b, key);
}

void web_bool(pw_buf *b, const char *key, bool v)
{
    web_key(b, key);
    (void)pw_buf_adds(b, v ? "true" : "false");
}

void web_null(pw_buf *b, const char *key)
{
    web_key(b, key);
    (void)pw_buf_add(b, "null", 4);
}

void web_time(pw_buf *b, const char *key, pw_msec t)
{
    char text[PW_TIME_MAX];
    if (t == 0) {
        web_null(b, key);
        return;
    }
    web_key(b, key);
    (void)pw_buf_add(b, "\"", 1);
    (void)pw_buf_adds(b, pw_time_text(t, text));
    (void)pw_buf_add(b, "\"", 1);
}

void web_rev(pw_buf *b, const char *key, const store_rev *r)
{
    char text[2 * STORE_REV_MAX + 1];
    if (r->n == 0) {
        web_null(b, key);
        return;
    }
    store_rev_text(r, text);
    web_key(b, key);
    (void)pw_buf_add(b, "\"", 1);
    (void)pw_buf_add(b, text, 2 * (size_t)r->n);
    (void)pw_buf_add(b, "\"", 1);
}

void web_result(pw_buf *b, const char *key, pw_result r)
{
    web_str(b, key, r == PW_NO_RESULT ? NULL : pw_result_name(r));
}

/* ---- enums */
const char *web_edge_state(edge_state s)
{
    static const char *const names[] = {"done", "waiting", "diverged", "stopped"};
    return (unsigned)s < 4 ? names[s] : "stopped";
}

const char *web_promotion_state(promo_state s)
{
    switch (s) {
    case PROMO_OPEN:
    case PROMO_LOST: /* another push came between: it is tried again from what stands there now */
        return "waiting";
    case PROMO_DONE:
        return "done";
    case PROMO_ABANDONED:
    case PROMO_FAILED:
        break;
    }
    return "stopped";
}

/* ---- objects */
void web_build_fields(pw_buf *b, const reader_build *r, const char *url)
{
    web_u64(b, "id", r->b.id);
    web_id(b, "request", r->b.request);
    web_id(b, "buildset", r->buildset);
    web_str(b, "builder", r->builder);
    web_str(b, "project", r->project);
    web_str(b, "branch", r->branch);
    web_rev(b, "revision", &r->rev);
    web_str(b, "reason", r->why);
    web_str(b, "who", r->who);
    web_str(b, "state", (unsigned)r->b.state <= BUILD_DONE ? web_build_states[r->b.state] : NULL);
    web_result(b, "result", r->b.result);
    web_str(b, "result_reason", r->b.reason);
    web_time(b, "created", r->b.created);
    web_time(b, "started", r->b.started);
    web_time(b, "finished", r->b.finished);
    web_str(b, "worker", r->worker);
    web_id(b, "attempt", r->b.tries);
    web_id(b, "retry_of", r->retry_of);
    web_id(b, "triggered_by", r->parent);
    web_key(b, "url");
    (void)pw_buf_add(b, "\"", 1);
    (void)pw_buf_adds(b, url);
    (void)pw_buf_add(b, "/builds/", 8);
    digits(b, r->b.id);
    (void)pw_buf_add(b, "\"", 1);
}

void web_build(pw_buf *b, const reader_build *r, const char *url)
{
    web_open(b, NULL, '{');
    web_build_fields(b, r, url);
    web_shut(b, '}');
}

void web_step_fields(pw_buf *b, const store_step *s)
{
    static const char *const states[] = {"waiting", "running", "done"};
    bool over = s->state == STEP_DONE;
    web_str(b, "name", s->name);
    web_str(b, "kind", job_kind_name(s->kind));
    web_str(b, "state", (unsigned)s->state <= STEP_DONE ? states[s->state] : NULL);
    web_result(b, "result", s->result);
    web_str(b, "reason", s->reason);
    web_time(b, "started", s->started);
    web_time(b, "finished", s->finished);
    if (over && s->exit_code >= 0 && !s->signal)
        web_i64(b, "exit_code", s->exit_code);
    else
        web_null(b, "exit_code");
    web_id(b, "signal", s->signal);
    if (over) {
        web_u64(b, "lines", s->lines);
        web_u64(b, "bytes", s->bytes);
        web_u64(b, "cpu_ms", s->cpu_ms);
        web_u64(b, "max_rss", s->max_rss);
        web_u64(b, "read_bytes", s->read_bytes);
        web_u64(b, "write_bytes", s->write_bytes);
    } else {
        static const char *const unknown[] = {"lines",   "bytes",      "cpu_ms",
                                              "max_rss", "read_bytes", "write_bytes"};
        for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
            web_null(b, unknown[i]);
    }
}

void web_step(pw_buf *b, const store_step *s)
{
    web_open(b, NULL, '{');
    web_step_fields(b, s);
    web_shut(b, '}');
}

void web_step_waiting(pw_buf *b, const char *name, const char *kind)
{
    static const char *const unknown[] = {"result",    "reason",  "started",    "finished",
                                          "exit_code", "signal",  "lines",      "bytes",
                                          "cpu_ms",    "max_rss", "read_bytes", "write_bytes"};
    web_str(b, "name", name);
    web_str(b, "kind", kind);
    web_str(b, "state", "waiting");
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        web_null(b, unknown[i]);
}

void web_request_fields(pw_buf *b, const reader_request *r, uint64_t build)
{
    web_u64(b, "id", r->r.id);
    web_id(b, "buildset", r->r.buildset);
    web_str(b, "builder", r->builder);
    web_str(b, "project", r->project);
    web_str(b, "branch", r->branch);
    web_rev(b, "revision", &r->rev);
    web_str(b, "reason", r->why);
    web_str(b, "who", r->who);
    web_i64(b, "priority", r->r.prio);
    web_str(b, "state", (unsigned)r->r.state <= REQ_DONE ? web_request_states[r->r.state] : NULL);
    web_id(b, "build", build);
    web_id(b, "rode_with", r->r.rode_with);
    web_held(b, "held", r->held, NULL);
    web_id(b, "retry_of", r->retry_of);
    web_id(b, "triggered_by", r->parent);
    web_time(b, "created", r->r.created);
}

void web_request(pw_buf *b, const reader_request *r, uint64_t build)
{
    web_open(b, NULL, '{');
    web_request_fields(b, r, build);
    web_shut(b, '}');
}

void web_held(pw_buf *b, const char *key, uint64_t since, const char *paused)
{
    char text[200];
    if (since)
        (void)snprintf(text, sizeof(text), "held by testfix since build %" PRIu64, since);
    else
        (void)snprintf(text, sizeof(text), "scheduler \"%.120s\" is paused", paused ? paused : "");
    web_str(b, key, since || paused ? text : NULL);
}

/* Lines of text as an array of strings. */
static void lines(pw_buf *b, const char *key, const char *s, const char *ends)
{
    web_open(b, key, '[');
    while (s && *s) {
        size_t n = strcspn(s, ends);
        if (n > 0) {
            PW_AUTO(pw_buf_clearp) pw_buf one = PW_BUF(n);
            (void)pw_buf_add(&one, s, n);
            web_str(b, NULL, pw_buf_str(&one));
        }
        s += n;
        s += *s != '\0';
    }
    web_shut(b, ']');
}

void web_change(pw_buf *b, const reader_change *c)
{
    web_open(b, NULL, '{');
    web_u64(b, "id", c->c.id);
    web_str(b, "project", c->project);
    web_str(b, "branch", c->branch);
    web_rev(b, "revision", &c->rev);
    web_str(b, "author", c->c.author);
    web_str(b, "subject", c->c.subject);
    web_str(b, "source", c->c.source);
    web_time(b, "at", c->c.at);
    web_bool(b, "tip", c->c.tip);
    web_bool(b, "forced", c->c.forced);
    web_str(b, "note", c->c.note);
    if (c->c.files)
        lines(b, "files", c->c.files, "\n");
    else
        web_null(b, "files");
    web_held(b, "held", c->held, c->missed);
    web_shut(b, '}');
}

const char *web_worker_state(const store_worker *w, web_presence p, pw_msec now)
{
    if (w->removed)
        return "removed";
    if (!w->has_key)
        return "new";
    if (p == WEB_MISSING)
        return "missing";
    if (w->quarantine > now)
        return "quarantined";
    if (w->draining)
        return "draining";
    return w->paused ? "paused" : "connected";
}

static void facts(pw_buf *b, const char *s)
{
    web_open(b, "facts", '{');
    while (s && *s) {
        size_t n = strcspn(s, "\n"), k = strcspn(s, "=\n");
        if (k > 0 && k < n) {
            PW_AUTO(pw_buf_clearp) pw_buf name = PW_BUF(k), value = PW_BUF(n);
            (void)pw_buf_add(&name, s, k);
            (void)pw_buf_add(&value, s + k + 1, n - k - 1);
            web_key(b, NULL); /* the name comes from a worker: it is escaped like any text */
            (void)pw_buf_json(b, pw_buf_str(&name));
            (void)pw_buf_add(b, ":", 1);
            (void)pw_buf_json(b, pw_buf_str(&value));
        }
        s += n;
        s += *s != '\0';
    }
    web_shut(b, '}');
}

/* How far its clock is ahead of the master's; null: it did not say. */
static void skew(pw_buf *b, const char *facts)
{
    static const char name[] = "skew_ms=";
    const char *p = facts && strncmp(facts, name, sizeof(name) - 1) == 0 ? facts
                    : facts ? strstr(facts, "\nskew_ms=")
                            : NULL;
    web_key(b, "skew_ms");
    p = p ? strchr(p, '=') + 1 : NULL;
    size_t n = p ? strcspn(p, "\n") : 0;
    bool number = n && n < 20 && strspn(p + (*p == '-'), "0123456789") == n - (*p == '-') &&
                  n > (size_t)(*p == '-');
    (void)pw_buf_addf(b, "%.*s", number ? (int)n : 4, number ? p : "null");
}

void web_worker_row(pw_buf *b, const store_worker *w, uint64_t busy, web_presence p,
                    const char *gate, pw_msec now)
{
    web_open(b, NULL, '{');
    web_str(b, "name", w->name);
    web_str(b, "state", web_worker_state(w, p, now));
    web_u64(b, "slots", w->slots);
    web_u64(b, "busy", busy);
    lines(b, "tags", w->tags, " ");
    facts(b, w->facts);
    web_str(b, "version", w->version);
    web_time(b, "last_seen", p == WEB_CONNECTED && w->seen ? now : w->seen);
    web_bool(b, "paused", w->paused);
    web_bool(b, "drained", w->draining && busy == 0);
    web_str(b, "reason", w->reason);
    web_str(b, "who", w->who);
    web_str(b, "gate", gate && *gate ? gate : NULL);
    web_time(b, "quarantine", w->quarantine > now ? w->quarantine : 0);
    skew(b, w->facts);
    web_str(b, "provider", w->provider);
    web_shut(b, '}');
}

void web_promotion(pw_buf *b, const store_promotion *p)
{
    const char *reason = p->reason;
    if (!reason && p->state == PROMO_OPEN)
        reason = "a push is under way";
    web_open(b, NULL, '{');
    web_u64(b, "id", p->id);
    web_str(b, "edge", p->edge);
    web_str(b, "from", p->source);
    web_str(b, "to", p->target);
    web_rev(b, "revision", &p->rev);
    web_time(b, "at", p->finished ? p->finished : p->created);
    web_str(b, "state", web_promotion_state(p->state));
    web_str(b, "reason", reason);
    web_shut(b, '}');
}

void web_edge(pw_buf *b, const char *edge, edge_state state, const store_rev *rev,
              const char *reason, pw_msec at)
{
    web_open(b, NULL, '{');
    web_null(b, "id");
    web_str(b, "edge", edge);
    web_null(b, "from");
    web_null(b, "to");
    web_rev(b, "revision", rev);
    web_time(b, "at", at);
    web_str(b, "state", web_edge_state(state));
    web_str(b, "reason", reason);
    web_shut(b, '}');
}
