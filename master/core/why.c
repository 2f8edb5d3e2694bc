/* Why a request is not running: the decision of dispatch itself, in words. First what can begin is
 * begun, so that what is left waits for something; then the same round of decisions is walked up to
 * the queue of the request. Those behind the first of a queue wait for what the first waits for. */
#include "master/core/decide.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/num.h"

enum { NAMED_MAX = 3 /* holders and workers that are named; the rest is counted */ };

static void answer(pw_buf *b, uint64_t id, const char *state, const char *text)
{
    (void)pw_buf_addf(b, "{\"id\":%" PRIu64 ",\"state\":\"%s\",\"reason\":", id, state);
    (void)pw_buf_json(b, text);
    (void)pw_buf_adds(b, "}");
}

typedef struct asked {
    core *self;
    const core_request *r;
    const core_decision *d;
    pw_buf *text;
    size_t ahead; /* of those that want the same workers */
    pw_msec eta;  /* until it may begin; -1: nothing is known */
} asked;

/* ---- reasons, one function each */
static void because_held(asked *a)
{
    (void)pw_buf_addf(a->text,
                      "held by testfix since build %" PRIu64
                      ": it rides with the next change whose message has [testfix], or builds "
                      "when branch \"%s\" is green",
                      a->r->held, a->r->stamp->branch);
}

static void because_out(asked *a)
{
    (void)core_why_held(a->self, a->r, a->text);
}

static void because_paused(asked *a)
{
    const core_builder *b = a->r->builder->top ? a->r->builder->top : a->r->builder;
    core_pause_text(a->text, "builder", b->name, b->pause);
}

static void because_full(asked *a)
{
    (void)pw_buf_addf(a->text, "the master begins no builds: %s", core_why_full(a->self));
}

static void because_no_worker(asked *a)
{
    (void)pw_buf_adds(a->text, "there is no worker: add one with \"pawl worker add NAME\"");
}

static void because_gone(asked *a)
{
    (void)pw_buf_adds(a->text, "its builder is not in the configuration");
}

static void because_start(asked *a)
{
    (void)pw_buf_addf(a->text, "it is next: worker \"%s\" takes it", a->d->worker->row.name);
}

static void tags(asked *a)
{
    const pl_builder *def = core_request_def(a->r);
    (void)pw_buf_adds(a->text, "no worker has the tags");
    for (size_t i = 0; i < def->tags.n; i++)
        (void)pw_buf_addf(a->text, " \"%s\"", def->tags.v[i]);
}

/* Each worker lacks something of its own. */
static void requires(asked *a)
{
    const pl_builder *def = core_request_def(a->r);
    const core_worker *w;
    size_t named = 0, more = 0;
    (void)pw_buf_addf(a->text, "no worker meets \"requires\": %.200s: ", expr_text(def->requires));
    for (size_t pos = 0; (w = pw_table_next(a->self->workers, &pos));) {
        if (core_worker_block(a->self, w, a->r) != BLOCK_REQUIRES)
            continue;
        if (named == NAMED_MAX) {
            more++;
            continue;
        }
        (void)pw_buf_adds(a->text, named++ ? "; " : "");
        core_fits_why(def, w, a->text);
    }
    if (more)
        (void)pw_buf_addf(a->text, "; and %zu more", more);
}

static void isolation(asked *a)
{
    const char *kind = NULL;
    (void)core_isolation_block(a->self, a->d->worker, a->r, &kind);
    (void)pw_buf_addf(a->text, "no worker offers isolation \"%s\"%s", kind ? kind : "",
                      a->r->trusted ? "" : ", which a build of untrusted code needs");
}

static void quarantine(asked *a)
{
    char at[PW_TIME_MAX];
    const store_worker *w = &a->d->worker->row;
    (void)pw_buf_addf(a->text, "worker \"%s\" is in quarantine until %s: %s", w->name,
                      pw_time_text(w->quarantine, at), w->reason ? w->reason : "");
}

static void because_worker(asked *a)
{
    const core_worker *w = a->d->worker;
    const char *name = w->row.name;
    switch (a->d->block) {
    case BLOCK_TAGS:
        tags(a);
        break;
    case BLOCK_REQUIRES:
        requires(a)
        ;
        break;
    case BLOCK_ISOLATION:
        isolation(a);
        break;
    case BLOCK_UNTRUSTED:
        (void)pw_buf_adds(a->text, "it is not from a configured branch of the project's own "
                                   "repository, nor was it released, and no worker takes such "
                                   "builds (\"untrusted: true\" in worker.yaml)");
        break;
    case BLOCK_QUARANTINE:
        quarantine(a);
        break;
    case BLOCK_NEW:
        (void)pw_buf_addf(a->text, "worker \"%s\" has not joined yet", name);
        break;
    case BLOCK_OFFLINE:
        (void)pw_buf_addf(a->text, "no fitting worker is connected (\"%s\" would fit)", name);
        break;
    case BLOCK_PAUSED:
        (void)pw_buf_addf(a->text, "worker \"%s\" is paused by %s because %s", name,
                          w->row.who ? w->row.who : "?",
                          w->row.reason ? w->row.reason : "no reason was given");
        break;
    case BLOCK_DRAINING:
        (void)pw_buf_addf(a->text, "worker \"%s\" is draining", name);
        break;
    case BLOCK_GATE:
        (void)pw_buf_addf(a->text, "worker \"%s\" takes no new jobs: %s", name, w->gate);
        break;
    case BLOCK_NONE: /* see usable() of decide.c: never the reason of a wait for a worker */
    case BLOCK_REMOVED:
    case BLOCK_REJECTED:
    case BLOCK_BUSY:
        (void)pw_buf_addf(a->text, "worker \"%s\" is busy", name);
        break;
    }
}

static const char *lock_name(const asked *a)
{
    return a->self->conf->locks[a->d->lock].name;
}

static bool holds(const asked *a, const core_attempt *t)
{
    bool here = !a->d->on || a->d->on->row.id == t->worker;
    for (size_t i = 0; here && i < t->n_holds; i++)
        if (t->hold[i].lock == a->d->lock)
            return true;
    return false;
}

static void add_on(const asked *a)
{
    if (a->d->on)
        (void)pw_buf_addf(a->text, " of worker \"%s\"", a->d->on->row.name);
}

static void because_lock(asked *a)
{
    const core_attempt *t;
    size_t n = 0;
    (void)pw_buf_addf(a->text, "lock \"%s\"", lock_name(a));
    add_on(a);
    (void)pw_buf_adds(a->text, " is held by");
    for (size_t pos = 0; (t = pw_table_next(a->self->attempts, &pos));) {
        if (!holds(a, t) || n++ >= NAMED_MAX)
            continue;
        const core_wait *x = core_waiter(a->self, a->r);
        (void)pw_buf_addf(a->text, "%s build %" PRIu64 "%s", n > 1 ? "," : "", t->build,
                          t->state > ATT_RUNNING ? " (which is over, but not known to have ended)"
                          : x && x->build == t->build ? ", which waits for this very request: it "
                                                        "begins when one of them is cancelled"
                                                      : "");
    }
    if (n > NAMED_MAX)
        (void)pw_buf_addf(a->text, " and %zu more", n - NAMED_MAX);
}

static void because_turn(asked *a)
{
    (void)pw_buf_addf(a->text, "lock \"%s\"", lock_name(a));
    add_on(a);
    (void)pw_buf_addf(a->text, " goes to request %" PRIu64 " first", a->d->before);
}

static void because_slots(asked *a)
{
    char text[32];
    pw_msec round = a->eta > 600000 ? 60000 : 1000; /* it is an estimate */
    (void)pw_buf_addf(a->text,
                      "all %" PRIu64 " slots of fitting workers are busy (%" PRIu64 " of %" PRIu64
                      "); it is number %zu in line, %zu waiting before it",
                      a->d->slots, a->d->busy, a->d->slots, a->ahead + 1, a->ahead);
    if (a->eta >= 0)
        (void)pw_buf_addf(a->text, "; estimated to begin in %s, by what the last builds took",
                          pw_duration_text((a->eta + round - 1) / round * round * 1000, text));
}

static const struct because {
    const char *cause; /* for programs */
    void (*say)(asked *a);
} because[] = {
    [REASON_START] = {"next", because_start},
    [REASON_FULL] = {"master", because_full},
    [REASON_NO_WORKER] = {"no_worker", because_no_worker},
    [REASON_WORKER] = {"worker", because_worker},
    [REASON_LOCK] = {"lock", because_lock},
    [REASON_TURN] = {"lock_turn", because_turn},
    [REASON_SLOTS] = {"slots", because_slots},
    [REASON_HELD] = {"testfix", because_held},
    [REASON_NEEDS] = {"needs", because_out},
    [REASON_MANUAL] = {"manual", because_out},
    [REASON_READING] = {"pipeline", because_out},
    [REASON_PAUSED] = {"paused", because_paused},
    [REASON_GONE] = {"builder", because_gone},
};

/* ---- place in line, and an estimate */
static pw_msec usual(core *self, core_builder *b)
{
    pw_err err = {0};
    pw_msec ms = -1;
    if (!b->usual && core_ok(self, store_builder_usual(self->st, b->row, &ms, &err), &err))
        b->usual = ms > 0 ? ms : ms < 0 ? -1 : 1;
    return b->usual ? b->usual : -1;
}

/* Whether requests of that queue may take a worker that r may take. */
static bool rivals(const asked *a, const core_queue *q)
{
    const core_worker *w;
    if (q == a->r->pos)
        return true;
    for (size_t pos = 0; (w = pw_table_next(a->self->workers, &pos));) {
        core_block mine = core_worker_block(a->self, w, a->r);
        if ((mine == BLOCK_NONE || mine >= BLOCK_REJECTED) &&
            core_fits(core_request_def(q->first), w) == BLOCK_NONE)
            return true;
    }
    return false;
}

static void place(asked *a)
{
    for (core_builder *b = NULL; (b = core_builder_next(a->self, b));) {
        for (const core_queue *q = b->queue; b->conf && q; q = q->next)
            if (q->first && queue_before(q->first, a->r) && rivals(a, q))
                a->ahead += queue_rank(q, a->r);
    }
}

static int by_size(const void *a, const void *b)
{
    pw_msec x = *(const pw_msec *)a, y = *(const pw_msec *)b;
    return (x > y) - (x < y);
}

/* When the running builds of the workers that fit end, if each takes what its builder's usually do;
 * those in line before take the slots in that order. */
static void estimate(asked *a)
{
    core *self = a->self;
    const core_attempt *t;
    size_t n = 0;
    pw_msec now = pw_wall(self->host), mine = usual(self, a->r->builder);
    PW_AUTO(pw_freep) pw_msec *left = calloc(pw_table_count(self->attempts) + 1, sizeof(*left));
    a->eta = -1;
    for (size_t pos = 0; left && (t = pw_table_next(self->attempts, &pos));) {
        const core_worker *w = core_worker_get(self, t->worker);
        const core_build *b = pw_table_get(self->builds, t->build);
        if (t->state > ATT_RUNNING || !w || !b || core_worker_block(self, w, a->r) < BLOCK_REJECTED)
            continue;
        pw_msec ms = usual(self, b->request->builder);
        if (ms < 0)
            return; /* one of which nothing is known makes all a guess */
        pw_msec ran = b->started ? now - b->started : 0;
        left[n++] = ms > ran ? ms - ran : 0;
    }
    if (!left || !n || (a->ahead >= n && mine < 0))
        return;
    qsort(left, n, sizeof(*left), by_size);
    a->eta = left[a->ahead % n] + (a->ahead >= n ? (pw_msec)(a->ahead / n) * mine : 0);
}

/* ---- a waiting request */
static void add_again(const asked *a)
{
    const core_build *b = a->r->build;
    if (!b)
        return;
    (void)pw_buf_addf(a->text, "; it is attempt %" PRIu64 " of build %" PRIu64, b->tries + 1,
                      b->id);
    if (b->live)
        (void)pw_buf_addf(a->text, ", since worker \"%s\" is silent",
                          core_worker_name(a->self, b->live->worker));
}

/* The decision about the first of its queue, with all that come before it. */
static bool decide(core *self, const core_request *r, core_decision *ret)
{
    core_round round = {0};
    core_request *first;
    bool found = false;
    *ret = (core_decision){.reason = core_kept_back(r)};
    if (ret->reason != REASON_START)
        return true;
    if (core_round_begin(self, &round))
        while (!found && (first = core_round_next(&round))) {
            found = first->pos == r->pos;
            core_decide(self, &round, first, found, ret);
            if (!found)
                core_round_drop(&round);
        }
    core_round_end(&round);
    return found && !self->fault.code;
}

/* There may be a worker that is not there yet: then that is the reason. */
static void add_elastic(const asked *a)
{
    PW_AUTO(pw_buf_clearp) pw_buf elastic = PW_BUF(2000);
    core_reason why = a->d->reason;
    if (why != REASON_NO_WORKER && why != REASON_WORKER && why != REASON_SLOTS)
        return;
    core_provider_why(a->self, a->r->builder, &elastic);
    if (elastic.len && why != REASON_SLOTS && a->d->block <= BLOCK_OFFLINE)
        pw_buf_reset(a->text);
    if (elastic.len)
        (void)pw_buf_addf(a->text, "%s%s", a->text->len ? "; " : "", pw_buf_str(&elastic));
}

/* What was decided, in words. Returns how long until it may begin, -1: nothing is known. */
static pw_msec say(core *self, uint64_t id, const core_request *r, const core_decision *d,
                   pw_buf *b)
{
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(4000);
    asked a = {.self = self, .r = r, .d = d, .text = &text, .eta = -1};
    if (d->reason == REASON_SLOTS) {
        place(&a);
        estimate(&a);
    }
    because[d->reason].say(&a);
    add_elastic(&a);
    core_trigger_why(self, r, &text);
    add_again(&a);
    (void)pw_buf_addf(b, "{\"id\":%" PRIu64 ",\"state\":\"waiting\",\"reason\":", id);
    (void)pw_buf_json(b, pw_buf_str(&text));
    (void)pw_buf_addf(b, ",\"cause\":\"%s\"", because[d->reason].cause);
    if (d->reason == REASON_SLOTS)
        (void)pw_buf_addf(b, ",\"ahead\":%zu", a.ahead);
    if (a.eta >= 0)
        (void)pw_buf_addf(b, ",\"eta_ms\":%" PRId64, a.eta);
    (void)pw_buf_adds(b, "}");
    return d->reason == REASON_START ? 0 : a.eta;
}

static void cannot_tell(core *self, core_cmd *c)
{
    core_cmd_fail(c, 503, "unavailable", "the master cannot tell: %s",
                  self->fault.code ? self->fault.text : "out of memory");
}

static void done(core *self, uint64_t id, char *text, size_t room)
{
    store_build b;
    if (store_build_get(self->st, id, &b, NULL) < 0) {
        (void)snprintf(text, room, "it is done: build %" PRIu64, id);
        return;
    }
    (void)snprintf(text, room, "it is done: build %" PRIu64 " (%s%s%s)", id,
                   pw_result_name(b.result), b.reason ? ": " : "", b.reason ? b.reason : "");
    store_build_clear(&b);
}

/* One that does not wait (r NULL: nor is it open). False: there is none. */
static bool past(core *self, uint64_t id, const core_request *r, pw_buf *b)
{
    store_request row;
    char text[300];
    if (r && r->build && r->build->live) {
        (void)snprintf(text, sizeof(text), "it is build %" PRIu64 ", %s on worker \"%s\"",
                       r->build->id, r->build->live->any ? "running" : "sent to be run",
                       core_worker_name(self, r->build->live->worker));
        answer(b, id, "claimed", text);
        return true;
    }
    if (store_request_get(self->st, id, &row, NULL) < 0)
        return false;
    if (row.rode_with)
        (void)snprintf(text, sizeof(text), "it rode with request %" PRIu64, row.rode_with);
    else if (row.build)
        done(self, row.build, text, sizeof(text));
    else
        (void)snprintf(text, sizeof(text), "it was cancelled before it began");
    store_request_clear(&row);
    answer(b, id, "done", text);
    return true;
}

static core_request *request_of(core *self, uint64_t id)
{
    core_request *r = pw_table_get(self->requests, id);
    const core_build *b = pw_table_get(self->builds, id);
    return r || !b ? r : b->request;
}

void core_why(core *self, core_cmd *c)
{
    core_request *r = request_of(self, c->id);
    core_decision d;
    if (r && r->pos) { /* what can begin begins now: it is claimed then, or even gone */
        core_dispatch(self);
        r = request_of(self, c->id);
    }
    c->status = 200;
    if (r && (r->pos || r->out)) {
        if (decide(self, r, &d))
            (void)say(self, c->id, r, &d, &c->body);
        else
            cannot_tell(self, c);
    } else if (!past(self, c->id, r, &c->body)) {
        core_cmd_fail(c, 404, "not_found", "there is no open request %" PRIu64, c->id);
    }
}

/* ---- many at once: one walk of the decisions for all */
typedef struct several {
    uint64_t id[CORE_WHY_MAX];
    bool told[CORE_WHY_MAX];
    size_t n;
} several;

static void line(core *self, uint64_t id, const core_request *r, const core_decision *d,
                 pw_buf *out)
{
    PW_AUTO(pw_buf_clearp) pw_buf one = PW_BUF(8000);
    pw_msec ms = -1;
    if (d)
        ms = say(self, id, r, d, &one);
    else if (!past(self, id, r, &one))
        return;
    (void)pw_buf_addf(out, "%" PRIu64 " %" PRId64 " ", id, ms);
    (void)pw_buf_add(out, pw_buf_str(&one), one.len);
    (void)pw_buf_add(out, "\n", 1);
}

/* Those that no round has: they do not wait, or something keeps them out. */
static void tell_plain(core *self, several *s, pw_buf *out)
{
    for (size_t i = 0; i < s->n; i++) {
        const core_request *r = pw_table_get(self->requests, s->id[i]);
        bool open = r && (r->pos || r->out);
        core_decision d = {.reason = open ? core_kept_back(r) : REASON_START};
        s->told[i] = !open || d.reason != REASON_START;
        if (s->told[i])
            line(self, s->id[i], r, open ? &d : NULL, out);
    }
}

static bool tell_queue(core *self, several *s, const core_request *first, core_round *round,
                       pw_buf *out)
{
    core_decision d;
    bool any = false;
    for (size_t i = 0; i < s->n; i++) {
        const core_request *r = s->told[i] ? NULL : pw_table_get(self->requests, s->id[i]);
        if (!r || r->pos != first->pos)
            continue;
        if (!any)
            core_decide(self, round, first, true, &d);
        any = s->told[i] = true;
        line(self, s->id[i], r, &d, out);
    }
    return any;
}

void core_why_list(core *self, core_cmd *c)
{
    several s = {.n = c->data.len / sizeof(s.id[0])};
    core_round round = {0};
    core_request *first;
    core_decision d;
    if (s.n > CORE_WHY_MAX) {
        core_cmd_fail(c, 400, "bad_request", "at most %d requests are asked of at once",
                      CORE_WHY_MAX);
        return;
    }
    if (s.n)
        memcpy(s.id, c->data.p, s.n * sizeof(s.id[0]));
    core_dispatch(self);
    tell_plain(self, &s, &c->body);
    size_t left = 0;
    for (size_t i = 0; i < s.n; i++)
        left += !s.told[i];
    if (left && core_round_begin(self, &round))
        while ((first = core_round_next(&round))) {
            if (!tell_queue(self, &s, first, &round, &c->body))
                core_decide(self, &round, first, false, &d);
            core_round_drop(&round);
        }
    core_round_end(&round);
    c->status = 200;
    if (self->fault.code || c->body.failed)
        cannot_tell(self, c);
}
