/* Readers: what belongs to one build, and all lists but those of builds. */
#include <inttypes.h>
#include <stdio.h>

#include "master/store/fixture.h"
#include "shared/base/buf.h"
#include "tests/tap.h"

struct world {
    fixture f;
    store *s;
    reader *r;
    uint64_t projects[2], builders[3], stamps[3], worker;
};

/* Every callback writes its row as text; a test compares the whole. */
static pw_buf out = PW_BUF(4096);
static bool said(const char *want)
{
    bool same = strcmp(pw_buf_str(&out), want) == 0;

    if (!same)
        printf("# got  %s\n# want %s\n", pw_buf_str(&out), want);
    pw_buf_reset(&out);
    out.failed = false;
    return same;
}
static const char *text(const char *s)
{
    return s ? s : "-";
}

static int on_step(void *self, const store_step *s)
{
    (void)self;
    (void)pw_buf_addf(&out, "%d %s %d %d %d %d %d %s;", (int)s->idx, text(s->name), (int)s->state,
                      (int)s->result, (int)s->started, (int)s->finished, (int)s->exit_code,
                      text(s->reason));
    return 0;
}
static int on_property(void *self, const char *name, const char *value, const char *source)
{
    (void)self;
    (void)pw_buf_addf(&out, "%s=%s (%s);", name, value, source);
    return 0;
}
static int on_frame(void *self, const store_frame *f)
{
    (void)self;
    (void)pw_buf_addf(&out, "%d+%d;", (int)f->raw_pos, (int)f->raw_len);
    return 0;
}
static int on_request(void *self, const reader_request *r)
{
    (void)self;
    (void)pw_buf_addf(&out, "%d %s/%s@%s %d %s %s %d;", (int)r->r.id, r->project, r->builder,
                      r->branch, (int)r->r.state, text(r->who), text(r->why), r->rev.id[0]);
    return 0;
}
static int on_change(void *self, const reader_change *c)
{
    (void)self;
    (void)pw_buf_addf(&out, "%d %s@%s %s %d;", (int)c->c.id, c->project, c->branch,
                      text(c->c.subject), c->rev.id[0]);
    return 0;
}
static int on_worker(void *self, const store_worker *w, uint64_t busy, bool enrolled)
{
    (void)self;
    (void)pw_buf_addf(&out, "%s %d%s%s;", w->name, (int)busy, enrolled ? " enrolled" : "",
                      w->removed ? " removed" : "");
    return 0;
}
static int on_promotion(void *self, const store_promotion *p)
{
    (void)self;
    (void)pw_buf_addf(&out, "%d %s %d %s;", (int)p->id, p->edge, (int)p->state, text(p->reason));
    return 0;
}
static int on_edge(void *self, const char *edge, edge_state state, const store_rev *rev,
                   const char *reason, pw_msec at)
{
    (void)self;
    (void)pw_buf_addf(&out, "%s %d %d %s %d;", edge, (int)state, rev->n, text(reason), (int)at);
    return 0;
}
static int on_latest(void *self, const reader_latest *l)
{
    (void)self;
    (void)pw_buf_addf(&out, "%s %s %s %d %d %d;", l->project, l->branch, l->builder, (int)l->build,
                      (int)l->result, l->rev.id[0]);
    return 0;
}
static int on_tip(void *self, const char *project, const char *ref, const store_rev *rev)
{
    (void)self;
    (void)pw_buf_addf(&out, "%s %s %d;", project, ref, rev->id[0]);
    return 0;
}
static int on_name(void *self, uint64_t id, const char *name)
{
    (void)self;
    (void)id;
    (void)pw_buf_addf(&out, "%s;", name);
    return 0;
}
static int on_builder(void *self, uint64_t id, const char *project, const char *name)
{
    (void)self;
    (void)id;
    (void)pw_buf_addf(&out, "%s/%s;", project, name);
    return 0;
}
static int on_event(void *self, uint64_t seq, pw_msec at, event_kind kind, uint64_t id)
{
    (void)self;
    (void)pw_buf_addf(&out, "%d %d %d %d;", (int)seq, (int)at, (int)kind, (int)id);
    return 0;
}
static int on_token(void *self, const store_token *t)
{
    (void)self;
    (void)pw_buf_addf(&out, "%d %s %s %s %s;", (int)t->id, t->name, t->scopes,
                      t->person ? t->person : "-", t->creator);
    return 0;
}

static int fill_steps(struct world *w)
{
    store_step st = {.attempt = 7,
                     .idx = 1,
                     .name = (char *)"test",
                     .state = STEP_RUNNING,
                     .result = PW_NO_RESULT,
                     .started = 50,
                     .exit_code = -1};
    store_attempt a = {.id = 7, .build = 2, .worker = w->worker, .result = PW_NO_RESULT};
    store_log l = {.attempt = 7, .idx = 1, .stream = 1, .bytes = 9, .lines = 2};
    store_frame f = {.attempt = 7, .idx = 1, .stream = 1, .raw_pos = 5, .raw_len = 4};
    int rc = store_attempt_add(w->s, &a, NULL, NULL);

    a.id = 9;
    rc |= store_attempt_add(w->s, &a, NULL, NULL);
    rc |= store_attempt_close(w->s, 7, ATT_CLOSED, PW_RETRY, NULL, 1, NULL);
    rc |= store_step_start(w->s, &st, NULL);
    st.started = 60;
    rc |= store_step_start(w->s, &st, NULL); /* again: changes nothing */
    st.idx = 0;
    st.name = (char *)"build";
    st.state = STEP_DONE;
    st.result = PW_FAILURE;
    st.finished = 49;
    st.exit_code = 3;
    st.reason = (char *)"timeout";
    rc |= store_step_end(w->s, &st, NULL); /* without a start */
    st.reason = NULL;
    st.idx = 1;
    st.name = (char *)"test";
    st.started = 0;
    st.finished = 80;
    rc |= store_step_end(w->s, &st, NULL);
    rc |= store_property_put(w->s, 2, "os", "bsd", "worker", NULL);
    rc |= store_property_put(w->s, 2, "os", "linux", "step", NULL);
    rc |= store_property_put(w->s, 2, "arch", "arm", "worker", NULL);
    rc |= store_log_put(w->s, &l, NULL);
    rc |= store_frame_add(w->s, &f, NULL);
    f.raw_pos = 0;
    f.raw_len = 5;
    return rc | store_frame_add(w->s, &f, NULL);
}

static int fill_rest(struct world *w)
{
    static const uint8_t key[32] = {1};
    store_promotion p = {.id = 1,
                         .edge = (char *)"a",
                         .source = (char *)"x",
                         .target = (char *)"y",
                         .rev = fixture_rev(1)};
    store_rev r3 = fixture_rev(3);
    uint64_t other = 0;
    int rc = 0;

    for (uint64_t i = 1; i <= 3; i++) {
        store_change c = {.id = i, .stamp = w->stamps[i - 1], .subject = (char *)"fix"};
        rc |= store_change_add(w->s, &c, NULL);
        p.id = i;
        p.edge = (char *)(i == 2 ? "b" : "a");
        rc |= store_promotion_add(w->s, &p, NULL);
    }
    rc |= store_promotion_end(w->s, 1, PROMO_FAILED, "gone", 5, NULL);
    rc |= store_edge_put(w->s, "b", EDGE_STOPPED, NULL, "diverged", 8, NULL);
    rc |= store_edge_put(w->s, "a", EDGE_DONE, &r3, NULL, 9, NULL);
    rc |= store_worker_add(w->s, "a0", 1, &other, NULL);
    rc |= store_enrol_put(w->s, other, key, 5, NULL);
    rc |= store_worker_flags(w->s, other, false, false, true, 0, NULL, NULL, NULL);
    rc |= store_tip_put(w->s, w->projects[1], "main", &r3, NULL);
    rc |= store_tip_put(w->s, w->projects[0], "main", &r3, NULL);
    for (uint64_t i = 5; i <= 8; i++)
        rc |= store_event_add(w->s, i, 1, EVENT_STEP, i * 10, NULL);
    rc |= store_token_put(w->s, key, "ci", "read build", 1, NULL);
    return rc;
}

/* Builds 2 and 6 of web/linux at main, 4 of web/mac at topic; requests 8 and 10 wait. */
static int fill(struct world *w)
{
    static const char *const branches[] = {"main", "topic", "main"};
    store_request r = {.id = 8, .buildset = 6};
    int rc = store_begin(w->s, NULL);

    rc |= store_project_id(w->s, "web", &w->projects[0], NULL);
    rc |= store_project_id(w->s, "app", &w->projects[1], NULL);
    rc |= store_builder_id(w->s, w->projects[0], "mac", &w->builders[1], NULL);
    rc |= store_builder_id(w->s, w->projects[0], "linux", &w->builders[0], NULL);
    rc |= store_builder_id(w->s, w->projects[1], "linux", &w->builders[2], NULL);
    rc |= store_worker_add(w->s, "w1", 1, &w->worker, NULL);
    for (uint8_t i = 0; i < 3; i++) {
        store_rev rev = fixture_rev((uint8_t)(i + 1));
        rc |= store_stamp_id(w->s, w->projects[i / 2], branches[i], &rev, &w->stamps[i], NULL);
    }
    rc |= fixture_build(w->s, 2, w->builders[0], w->stamps[0], 100);
    rc |= fixture_build(w->s, 4, w->builders[1], w->stamps[1], 200);
    rc |= fixture_done(w->s, 6, w->builders[0], w->stamps[0], "main", PW_FAILURE, 300);
    r.builder = w->builders[2];
    r.stamp = w->stamps[2];
    rc |= store_request_add(w->s, &r, NULL);
    r.id = 10;
    rc |= store_request_add(w->s, &r, NULL);
    rc |= fill_steps(w);
    rc |= fill_rest(w);
    rc |= store_build_finish(w->s, 4, PW_WARNINGS, NULL, 900, w->builders[1], "topic", w->stamps[1],
                             NULL);
    /* an older build that ends late does not hide a newer one */
    rc |= store_build_finish(w->s, 2, PW_SUCCESS, NULL, 950, w->builders[0], "main", w->stamps[0],
                             NULL);
    rc |= store_request_done(w->s, 1, 0, NULL);
    return rc ? rc : store_commit(w->s, NULL);
}

static void test_one_build(struct world *w)
{
    PW_AUTO(pw_buf_clearp) pw_buf job = PW_BUF(100);
    uint64_t attempt = 0;
    store_log l;

    ok(reader_attempt_of(w->r, 2, 0, &attempt, NULL) == 0 && attempt == 9, "the last attempt");
    ok(reader_attempt_of(w->r, 2, 1, &attempt, NULL) == 0 && attempt == 7, "the first");
    ok(reader_attempt_of(w->r, 2, 2, &attempt, NULL) == 0 && attempt == 9, "the second");
    ok(reader_attempt_of(w->r, 2, 3, &attempt, NULL) == PW_ENOTFOUND &&
           reader_attempt_of(w->r, 2, UINT64_MAX, &attempt, NULL) == PW_ENOTFOUND &&
           reader_attempt_of(w->r, 4, 0, &attempt, NULL) == PW_ENOTFOUND,
       "no third, none at all");
    ok(reader_steps(w->r, 7, on_step, NULL, NULL) == 0 &&
           said("0 build 2 2 60 49 3 timeout;1 test 2 2 50 80 3 -;"),
       "steps; the first start is kept");
    ok(reader_properties(w->r, 2, on_property, NULL, NULL) == 0 &&
           said("arch=arm (worker);os=linux (step);"),
       "properties");
    ok(reader_log(w->r, 7, 1, 1, &l, NULL) == 0 && l.bytes == 9 && l.lines == 2 && !l.sealed,
       "a log");
    ok(reader_log(w->r, 7, 1, 0, &l, NULL) == PW_ENOTFOUND, "no other stream");
    ok(reader_frames(w->r, 7, 1, 1, on_frame, NULL, NULL) == 0 && said("0+5;5+4;"), "its frames");
    ok(reader_job(w->r, 99, &job, NULL) == PW_ENOTFOUND, "no build, no job");
}

static void test_requests(struct world *w)
{
    ok(reader_requests(w->r, -1, 0, 3, on_request, NULL, NULL) == 0 &&
           said("10 app/linux@main 0 ann a push 3;8 app/linux@main 0 ann a push 3;"
                "5 web/linux@main 2 ann a push 1;"),
       "requests, newest first");
    ok(reader_requests(w->r, REQ_WAITING, 10, 9, on_request, NULL, NULL) == 0 &&
           said("8 app/linux@main 0 ann a push 3;"),
       "waiting ones below 10");
    ok(reader_requests(w->r, REQ_CLAIMED, 0, 9, on_request, NULL, NULL) == 0 &&
           said("3 web/mac@topic 1 ann a push 2;"),
       "claimed ones");
    ok(reader_requests(w->r, REQ_DONE, 0, 1, on_request, NULL, NULL) == 0 &&
           said("5 web/linux@main 2 ann a push 1;"),
       "finished ones");
    ok(reader_request_one(w->r, 8, on_request, NULL, NULL) == 0 &&
           said("8 app/linux@main 0 ann a push 3;"),
       "one");
    ok(reader_request_one(w->r, 9, on_request, NULL, NULL) == PW_ENOTFOUND, "no request 9");
}

static void test_changes(struct world *w)
{
    ok(reader_changes(w->r, NULL, NULL, 0, 2, on_change, NULL, NULL) == 0 &&
           said("3 app@main fix 3;2 web@topic fix 2;"),
       "changes, newest first");
    ok(reader_changes(w->r, NULL, NULL, 2, 2, on_change, NULL, NULL) == 0 &&
           said("1 web@main fix 1;"),
       "the next page");
    ok(reader_changes(w->r, "web", NULL, 0, 9, on_change, NULL, NULL) == 0 &&
           said("2 web@topic fix 2;1 web@main fix 1;"),
       "of a project");
    ok(reader_changes(w->r, NULL, "main", 0, 9, on_change, NULL, NULL) == 0 &&
           said("3 app@main fix 3;1 web@main fix 1;"),
       "of a branch");
    ok(reader_changes(w->r, "app", "main", 0, 9, on_change, NULL, NULL) == 0 &&
           said("3 app@main fix 3;"),
       "of both");
    ok(reader_changes(w->r, "none", NULL, 0, 9, on_change, NULL, NULL) == 0 && said(""),
       "of an unknown project");
    ok(reader_change_one(w->r, 2, on_change, NULL, NULL) == 0 && said("2 web@topic fix 2;"), "one");
    ok(reader_change_one(w->r, 4, on_change, NULL, NULL) == PW_ENOTFOUND, "no change 4");
}

static void test_rest(struct world *w)
{
    ok(reader_workers(w->r, on_worker, NULL, NULL) == 0 && said("a0 0 enrolled removed;w1 1;"),
       "workers; one attempt is live");
    ok(reader_worker_one(w->r, w->worker, on_worker, NULL, NULL) == 0 && said("w1 1;"), "one");
    ok(reader_worker_one(w->r, 99, on_worker, NULL, NULL) == PW_ENOTFOUND, "no worker 99");
    ok(reader_promotions(w->r, NULL, 0, 2, on_promotion, NULL, NULL) == 0 &&
           said("3 a 0 -;2 b 0 -;"),
       "promotions, newest first");
    ok(reader_promotions(w->r, "a", 3, 2, on_promotion, NULL, NULL) == 0 && said("1 a 4 gone;"),
       "of an edge, the next page");
    ok(reader_promotion_one(w->r, 2, on_promotion, NULL, NULL) == 0 && said("2 b 0 -;"), "one");
    ok(reader_promotion_one(w->r, 9, on_promotion, NULL, NULL) == PW_ENOTFOUND, "no promotion 9");
    ok(reader_edges(w->r, on_edge, NULL, NULL) == 0 && said("a 0 20 - 9;b 3 0 diverged 8;"),
       "edges");
    ok(reader_latest_all(w->r, on_latest, NULL, NULL) == 0 &&
           said("web main linux 6 2 1;web topic mac 4 1 2;"),
       "the newest of each builder on each branch");
    ok(reader_tips(w->r, on_tip, NULL, NULL) == 0 && said("app main 3;web main 3;"), "tips");
    ok(reader_projects(w->r, on_name, NULL, NULL) == 0 && said("app;web;"), "projects");
    ok(reader_builders(w->r, on_builder, NULL, NULL) == 0 && said("app/linux;web/linux;web/mac;"),
       "builders");
}

static void test_events(struct world *w)
{
    static const uint8_t good[32] = {1}, bad[32] = {2};
    uint64_t v = 0;
    pw_err err;

    ok(reader_event_last(w->r, &v, NULL) == 0 && v == 8, "the last event");
    ok(reader_events(w->r, 6, 9, on_event, NULL, NULL) == 0 && said("7 1 4 70;8 1 4 80;"),
       "events after 6");
    ok(reader_events(w->r, 4, 1, on_event, NULL, NULL) == 0 && said("5 1 4 50;"),
       "from the oldest on, one at most");
    ok(reader_events(w->r, 8, 9, on_event, NULL, NULL) == 0 && said(""), "none after the last");
    ok(reader_events(w->r, 3, 9, on_event, NULL, &err) == PW_ENOTFOUND, "a gap: %s", err.text);
    ok(reader_events(w->r, 9, 9, on_event, NULL, &err) == PW_ENOTFOUND, "the future: %s", err.text);
    ok(reader_token(w->r, good, on_token, NULL, NULL) == 0 && said("1 ci read build - master;"),
       "a token");
    ok(reader_token(w->r, bad, on_token, NULL, NULL) == PW_ENOTFOUND, "no other");
    ok(reader_epoch(w->r, &v, NULL) == 0 && v == store_epoch(w->s), "the epoch");
}

/* A project in which nothing happened since much happened in others. */
static void test_quiet_project(struct world *w)
{
    int rc = store_begin(w->s, NULL);
    for (uint64_t i = 4; i < 2500; i++) {
        store_change c = {.id = i, .stamp = w->stamps[2], .subject = (char *)(uintptr_t) "more"};
        rc |= store_change_add(w->s, &c, NULL);
    }
    rc |= store_commit(w->s, NULL);
    ok(rc == 0, "many changes of another project");
    ok(reader_changes(w->r, "web", NULL, 0, 9, on_change, NULL, NULL) == 0 &&
           said("2 web@topic fix 2;1 web@main fix 1;"),
       "those of the quiet one are found");
    ok(reader_changes(w->r, "web", NULL, 0, 1, on_change, NULL, NULL) == 0 &&
           said("2 web@topic fix 2;") &&
           reader_changes(w->r, "web", NULL, 2, 9, on_change, NULL, NULL) == 0 &&
           said("1 web@main fix 1;"),
       "page by page");
    ok(reader_changes(w->r, "app", NULL, 502, 1, on_change, NULL, NULL) == 0 &&
           said("501 app@main more 3;"),
       "and those of the busy one");
}

int main(void)
{
    struct world w = {0};

    fixture_init(&w.f);
    w.s = store_open(w.f.path, &w.f.host, NULL);
    w.r = w.s ? reader_open(w.f.path, NULL) : NULL;
    if (w.r) {
        ok(reader_events(w.r, 0, 9, on_event, NULL, NULL) == 0 && said(""), "no event yet");
        ok(reader_events(w.r, 1, 9, on_event, NULL, NULL) == PW_ENOTFOUND, "none to go on from");
        ok(reader_builds(w.r,
                         &(reader_build_filter){.state = -1, .result = -1, .since = 5, .limit = 5},
                         NULL, NULL, NULL) == 0,
           "no build yet");
        ok(fill(&w) == 0, "a small world");
        test_one_build(&w);
        test_requests(&w);
        test_changes(&w);
        test_rest(&w);
        test_events(&w);
        test_quiet_project(&w);
    }
    (void)reader_close(w.r);
    (void)store_close(w.s);
    pw_buf_clear(&out);
    fixture_clear(&w.f);
    return tap_done();
}
