/* Server-sent events. The waker renders each new event once into a ring of texts; a listener copies
 * what lies behind its own cursor, or reads rows itself when it is further behind than the ring
 * reaches. A cursor is an event's number, so nothing is missed between reading back and living on.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/http/impl.h"
#include "master/store/reader_pages.h"
#include "shared/base/log.h"
#include "shared/base/num.h"

enum { BACK_ROWS = 64, PUMP_ROWS = 1000 };

typedef struct listener {
    web_wait wait;
    web_server *web;
    uint64_t cursor, resets, epoch;
    bool picky;       /* only what is about `want` */
    web_about *want;  /* owned; "" and 0: any */
    uint64_t told_id; /* the client knows of the cursor up to here */
    pw_buf out;       /* text that is not sent yet */
    size_t sent;
} listener;

void web_event_drop(web_event *e)
{
    free(e->text);
    free(e->about);
    *e = (web_event){0};
}

static void about(web_about *a, const char *project, const char *branch, uint64_t build)
{
    (void)snprintf(a->project, sizeof(a->project), "%s", project);
    (void)snprintf(a->branch, sizeof(a->branch), "%s", branch);
    a->build = build;
}

static bool wanted(const listener *l, const web_about *a)
{
    const web_about *w = l->want;
    if (!l->picky || a->all)
        return true;
    return (!w->build || w->build == a->build) &&
           (!*w->project || strcmp(w->project, a->project) == 0) &&
           (!*w->branch || strcmp(w->branch, a->branch) == 0 || strcmp(w->branch, a->target) == 0);
}

/* ---- one event as text */
typedef struct object {
    web_server *web;
    reader *rd;
    pw_buf *b;
    web_about *about;
} object;

static int put_build(void *self, const reader_build *r)
{
    object *o = self;
    about(o->about, r->project, r->branch, r->b.id);
    web_build(o->b, r, o->web->url);
    return 0;
}

static int about_build(void *self, const reader_build *r)
{
    about(((object *)self)->about, r->project, r->branch, r->b.id);
    return 0;
}

static int put_request(void *self, const reader_request *r)
{
    object *o = self;
    uint64_t build = web_request_build(o->rd, r);
    about(o->about, r->project, r->branch, build);
    web_request(o->b, r, build);
    return 0;
}

static int put_change(void *self, const reader_change *c)
{
    object *o = self;
    about(o->about, c->project, c->branch, 0);
    web_change(o->b, c);
    return 0;
}

static int put_worker(void *self, const store_worker *w, uint64_t busy, bool enrolled)
{
    object *o = self;
    (void)enrolled;
    char gate[WEB_GATE];
    web_presence p = web_worker_presence(o->web, w->id, gate);
    web_worker_row(o->b, w, busy, p, gate, pw_wall(o->web->host));
    return 0;
}

static int put_promotion(void *self, const store_promotion *p)
{
    object *o = self;
    about(o->about, "", p->source, 0);
    (void)snprintf(o->about->target, sizeof(o->about->target), "%s", p->target);
    web_promotion(o->b, p);
    return reader_project_name(o->rd, p->project, o->about->project, sizeof(o->about->project),
                               NULL);
}

const char *web_event_name(event_kind kind)
{
    static const char *const names[] = {"change", "request",   "build", "step",
                                        "worker", "promotion", "config"};
    return kind >= EVENT_CHANGE && kind <= EVENT_CONFIG ? names[kind - EVENT_CHANGE] : "other";
}

int web_event_text(web_server *web, reader *rd, uint64_t epoch, uint64_t seq, event_kind kind,
                   uint64_t id, pw_buf *b, web_about *ret)
{
    PW_AUTO(pw_buf_clearp) pw_buf data = PW_BUF(WEB_OUT_MAX);
    object o = {web, rd, &data, ret};
    int r = PW_ENOTFOUND;
    *ret = (web_about){.all = kind == EVENT_CONFIG};
    switch (kind) {
    case EVENT_BUILD:
        r = reader_build_one(rd, id, put_build, &o, NULL);
        break;
    case EVENT_STEP:
        r = reader_build_one(rd, id, about_build, &o, NULL);
        if (r == 0)
            r = web_steps(rd, id, 0, true, &data, NULL);
        break;
    case EVENT_REQUEST:
        r = reader_request_one(rd, id, put_request, &o, NULL);
        break;
    case EVENT_CHANGE:
        r = reader_change_one(rd, id, put_change, &o, NULL);
        break;
    case EVENT_WORKER:
        r = reader_worker_one(rd, id, put_worker, &o, NULL);
        break;
    case EVENT_PROMOTION:
        r = reader_promotion_one(rd, id, put_promotion, &o, NULL);
        break;
    case EVENT_CONFIG:
        break;
    }
    if (r < 0 && r != PW_ENOTFOUND)
        return r;
    if (r == PW_ENOTFOUND) { /* removed since, or without an object of its own */
        pw_buf_reset(&data);
        (void)pw_buf_addf(&data, "{\"id\":%" PRIu64 "}", id);
    }
    (void)pw_buf_addf(b, "id: %" PRIx64 ".%" PRIu64 "\nevent: %s\ndata: ", epoch, seq,
                      web_event_name(kind));
    (void)pw_buf_add(b, pw_buf_str(&data), data.len);
    (void)pw_buf_add(b, "\n\n", 2);
    return data.failed || b->failed ? PW_ENOMEM : 0;
}

/* ---- the waker's part */
typedef struct pump {
    web_server *web;
    uint64_t epoch, last;
    size_t n;
    bool render;
    int failed;
} pump;

static web_tally *tally_of(web_hub *h, const char *project, const char *builder)
{
    bool failed = false;
    for (size_t i = 0; i < h->n_tallies; i++)
        if (strcmp(h->tally[i].builder, builder) == 0 && strcmp(h->tally[i].project, project) == 0)
            return &h->tally[i];
    if (h->n_tallies == WEB_TALLIES)
        return NULL;
    if (h->n_tallies % 16 == 0) {
        web_tally *v = realloc(h->tally, (h->n_tallies + 16) * sizeof(*v));
        if (!v)
            return NULL;
        h->tally = v;
    }
    web_tally *t = &h->tally[h->n_tallies];
    *t =
        (web_tally){.project = pw_strdup(project, &failed), .builder = pw_strdup(builder, &failed)};
    if (failed) {
        free(t->project);
        free(t->builder);
        return NULL;
    }
    h->n_tallies++;
    return t;
}

static int count_build(void *self, const reader_build *r)
{
    pump *p = self;
    web_hub *h = &p->web->hub;
    size_t known = sizeof(h->counted) / sizeof(h->counted[0]);
    if (r->b.state != BUILD_DONE || (unsigned)r->b.result > PW_CANCELLED)
        return 0;
    (void)pthread_mutex_lock(&h->lock);
    bool seen = false;
    for (size_t i = 0; i < known && !seen; i++)
        seen = h->counted[i] == r->b.id;
    web_tally *t = seen ? NULL : tally_of(h, r->project, r->builder);
    if (t) {
        t->by_result[r->b.result]++;
        h->counted[h->n_counted++ % known] = r->b.id;
    }
    (void)pthread_mutex_unlock(&h->lock);
    return 0;
}

static void ring_add(web_hub *h, uint64_t seq, pw_buf *text, web_about *what)
{
    (void)pthread_mutex_lock(&h->lock);
    if (h->listeners > 0) {
        while (h->ring_n > 0 &&
               (h->ring_n == WEB_RING || h->ring_bytes + text->len > WEB_RING_BYTES)) {
            web_event *e = &h->ring[h->ring_first];
            h->ring_from = e->seq;
            h->ring_bytes -= e->len;
            web_event_drop(e);
            h->ring_first = (h->ring_first + 1) % WEB_RING;
            h->ring_n--;
        }
        web_event *e = &h->ring[(h->ring_first + h->ring_n) % WEB_RING];
        e->seq = seq;
        e->len = text->len;
        h->ring_bytes += e->len;
        h->ring_n++;
        e->text = pw_buf_take(text);
        e->about = what;
        what = NULL;
    } else {
        /* the last one left meanwhile and the ring is empty: it begins behind this event */
        h->ring_from = seq;
    }
    (void)pthread_mutex_unlock(&h->lock);
    free(what);
}

static int on_event(void *self, uint64_t seq, pw_msec at, event_kind kind, uint64_t id)
{
    pump *p = self;
    web_hub *h = &p->web->hub;
    (void)at;
    p->last = seq;
    p->n++;
    if (kind == EVENT_BUILD)
        (void)reader_build_one(h->rd, id, count_build, p, NULL);
    if (!p->render)
        return 0;
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(WEB_OUT_MAX);
    web_about *what = malloc(sizeof(*what));
    p->failed =
        what ? web_event_text(p->web, h->rd, p->epoch, seq, kind, id, &text, what) : PW_ENOMEM;
    if (p->failed < 0) {
        free(what);
        return p->failed;
    }
    ring_add(h, seq, &text, what);
    return 0;
}

int web_pump(web_server *web)
{
    web_hub *h = &web->hub;
    pw_err err = {0};
    pump p = {.web = web};
    (void)pthread_mutex_lock(&h->lock);
    uint64_t told = h->told;
    p.last = h->pumped;
    p.render = h->listeners > 0;
    (void)pthread_mutex_unlock(&h->lock);
    int r = reader_epoch(h->rd, &p.epoch, &err);
    while (r == 0) {
        p.n = 0;
        r = reader_events(h->rd, p.last, PUMP_ROWS, on_event, &p, &err);
        if (p.n < PUMP_ROWS)
            break;
    }
    (void)pthread_mutex_lock(&h->lock);
    /* the database was set back, or we slept longer than events are kept */
    if (r == PW_ENOTFOUND) {
        r = reader_event_last(h->rd, &p.last, &err);
        h->resets++;
    }
    if (r == 0) {
        h->pumped = p.last;
        if (h->told == told) /* nothing more was told meanwhile */
            h->told = p.last;
        if (!p.render || h->listeners == 0)
            h->ring_from = h->pumped;
    }
    (void)pthread_mutex_unlock(&h->lock);
    if (r < 0)
        pw_log_err(PW_LOG_WARN, "events_failed", &err);
    return r;
}

/* ---- a listener's part */
static int back_event(void *self, uint64_t seq, pw_msec at, event_kind kind, uint64_t id)
{
    struct {
        listener *l;
        reader *rd;
        uint64_t epoch;
    } *x = self;
    (void)at;
    web_about what;
    size_t before = x->l->out.len;
    int r = web_event_text(x->l->web, x->rd, x->epoch, seq, kind, id, &x->l->out, &what);
    if (r < 0)
        return r;
    if (!wanted(x->l, &what) && x->l->out.p) {
        x->l->out.len = before;
        x->l->out.p[before] = '\0';
    }
    x->l->cursor = seq;
    return 0;
}

/* From the ring. False: it does not reach back so far. */
static bool from_ring(listener *l, uint64_t *ret_seen)
{
    web_hub *h = &l->web->hub;
    (void)pthread_mutex_lock(&h->lock);
    *ret_seen = h->pumped;
    bool reaches = l->cursor >= h->ring_from && l->resets == h->resets;
    for (size_t i = 0; reaches && i < h->ring_n && l->out.len < WEB_CONNECTION_BYTES; i++) {
        const web_event *e = &h->ring[(h->ring_first + i) % WEB_RING];
        if (e->seq <= l->cursor)
            continue;
        if (wanted(l, e->about))
            (void)pw_buf_add(&l->out, e->text, e->len);
        l->cursor = e->seq;
    }
    (void)pthread_mutex_unlock(&h->lock);
    return reaches;
}

static int reset_to_last(listener *l, reader *rd, uint64_t epoch, pw_err *err)
{
    int r = reader_event_last(rd, &l->cursor, err);
    if (r < 0)
        return r;
    return pw_buf_addf(&l->out, "id: %" PRIx64 ".%" PRIu64 "\nevent: reset\ndata: {}\n\n", epoch,
                       l->cursor);
}

/* A client that is told only some events learns how far it is all the same: a block of an id alone
 * counts for Last-Event-ID and is no event. */
static void tell_id(listener *l)
{
    (void)pw_buf_addf(&l->out, "id: %" PRIx64 ".%" PRIu64 "\n\n", l->epoch, l->cursor);
    l->told_id = l->cursor;
}

static int from_rows(listener *l, pw_err *err)
{
    struct {
        listener *l;
        reader *rd;
        uint64_t epoch;
    } x = {l, web_reader_take(l->web, err), 0};
    uint64_t from = l->cursor;
    if (!x.rd)
        return err->code;
    (void)pthread_mutex_lock(&l->web->hub.lock);
    bool broke = l->resets != l->web->hub.resets;
    l->resets = l->web->hub.resets;
    (void)pthread_mutex_unlock(&l->web->hub.lock);
    int r = reader_epoch(x.rd, &x.epoch, err);
    if (r == 0)
        r = broke ? PW_ENOTFOUND : reader_events(x.rd, l->cursor, BACK_ROWS, back_event, &x, err);
    if (r == PW_ENOTFOUND)
        r = reset_to_last(l, x.rd, x.epoch, err);
    web_reader_give(l->web, x.rd);
    l->epoch = x.epoch;
    if (r == 0 && l->out.len == 0 && l->cursor != from)
        tell_id(l); /* the rest after this is sent: a long way is not gone in one step */
    return r;
}

static ssize_t hand_out(listener *l, char *to, size_t max)
{
    size_t n = l->out.len - l->sent < max ? l->out.len - l->sent : max;
    memcpy(to, l->out.p + l->sent, n);
    l->sent += n;
    if (l->sent == l->out.len) {
        l->sent = 0;
        pw_buf_clear(&l->out); /* hundreds of listeners lie idle: none keeps a buffer */
    }
    return (ssize_t)n;
}

static ssize_t listen_more(void *self, uint64_t pos, char *to, size_t max)
{
    listener *l = self;
    pw_err err = {0};
    uint64_t seen;
    bool stop;
    (void)pos;
    for (;;) {
        if (l->out.len > 0)
            return hand_out(l, to, max);
        (void)web_seen(l->web, &stop);
        if (stop || !web_still(l->web, &l->wait))
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (!from_ring(l, &seen) && from_rows(l, &err) < 0) {
            pw_log_err(PW_LOG_WARN, "events_failed", &err);
            return MHD_CONTENT_READER_END_WITH_ERROR; /* the client comes again with its last id */
        }
        if (l->out.failed)
            return MHD_CONTENT_READER_END_WITH_ERROR;
        if (l->out.len == 0 && l->wait.ping) {
            l->wait.ping = false;
            (void)pw_buf_adds(&l->out, ": alive\n\n");
            if (l->picky && l->told_id != l->cursor)
                tell_id(l);
        }
        if (l->out.len == 0 && web_wait_begin(l->web, &l->wait, seen, 0))
            return 0;
    }
}

static void listen_end(void *self)
{
    listener *l = self;
    web_stream_end(l->web, true);
    pw_buf_clear(&l->out);
    free(l->want);
    free(l);
}

/* EPOCHHEX.SEQ of this epoch; false: not one of ours. */
static bool parse_id(const char *s, uint64_t epoch, uint64_t *ret_seq)
{
    char mine[20];
    int n = snprintf(mine, sizeof(mine), "%" PRIx64 ".", epoch);
    return n > 0 && strncmp(s, mine, (size_t)n) == 0 && pw_parse_u64(s + n, ret_seq, NULL) == 0;
}

/* Where the stream begins: behind the event that the client saw last, else behind the newest. */
static int begin(listener *l, reader *rd, const char *last, pw_err *err)
{
    uint64_t epoch, newest;
    int r = reader_epoch(rd, &epoch, err);
    if (r < 0 || (r = reader_event_last(rd, &newest, err)) < 0)
        return r;
    l->epoch = epoch;
    (void)pw_buf_adds(&l->out, "retry: 1000\n");
    if (last && parse_id(last, epoch, &l->cursor) && l->cursor <= newest) {
        (void)pw_buf_adds(&l->out, ": resumed\n\n");
        return 0;
    }
    if (last)
        return reset_to_last(l, rd, epoch, err);
    l->cursor = newest;
    return pw_buf_addf(&l->out, "id: %" PRIx64 ".%" PRIu64 "\n\n", epoch, newest);
}

/* What the listener wants to hear of; NULL: refused already. */
static web_about *want_of(web_req *q, bool *ret_picky)
{
    pw_err err = {0};
    const char *project = web_query_get(&q->query, "project"),
               *branch = web_query_get(&q->query, "branch");
    web_about *w = calloc(1, sizeof(*w));
    int r = w ? web_query_u64(&q->query, "build", &w->build, &err)
              : pw_fail(&err, PW_ENOMEM, "out of memory");
    if (r == 0 &&
        ((project && strlen(project) >= WEB_ABOUT) || (branch && strlen(branch) >= WEB_ABOUT)))
        r = pw_fail(&err, PW_EINVAL, "a project or branch has at most %d bytes", WEB_ABOUT - 1);
    if (r < 0) {
        free(w);
        web_fail_err(q, &err);
        return NULL;
    }
    about(w, project ? project : "", branch ? branch : "", w->build);
    *ret_picky = w->build || *w->project || *w->branch;
    return w;
}

void web_get_events(web_req *q)
{
    pw_err err = {0};
    bool picky = false;
    const char *last = MHD_lookup_connection_value(q->con, MHD_HEADER_KIND, "Last-Event-ID");
    if (!last)
        last = web_query_get(&q->query, "last_event_id");
    if (!web_reader(q))
        return;
    if (q->head) {
        q->status = 200;
        q->type = "text/event-stream";
        return;
    }
    web_about *want = want_of(q, &picky);
    if (!want)
        return;
    listener *l = calloc(1, sizeof(*l));
    /* counted first, so that from here on the ring is filled */
    if (!l || !web_stream_begin(q->web, true)) {
        free(l);
        free(want);
        web_fail(q, 503, "unavailable", "too many listen already");
        return;
    }
    l->web = q->web;
    l->want = want;
    l->picky = picky;
    l->wait.con = q->con;
    l->wait.events = true;
    web_wait_owner(&l->wait, q);
    pw_buf_init(&l->out, WEB_OUT_MAX);
    (void)pthread_mutex_lock(&q->web->hub.lock);
    l->resets = q->web->hub.resets;
    (void)pthread_mutex_unlock(&q->web->hub.lock);
    int r = begin(l, q->rd, last && *last ? last : NULL, &err);
    if (r < 0) {
        listen_end(l);
        web_fail_err(q, &err);
        return;
    }
    q->status = 200;
    q->type = "text/event-stream";
    q->stream = listen_more;
    q->stream_free = listen_end;
    q->stream_self = l;
}
