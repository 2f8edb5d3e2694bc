/* The writer's rows: changes of state, what is refused, what is found again at a start. */
#include "master/store/fixture.h"
#include "master/store/impl.h"
#include "master/store/outbox.h"
#include "tests/tap.h"

struct world {
    store *s;
    uint64_t project, builder, stamp;
    store_rev rev;
};

struct seen {
    size_t count;
    uint64_t ids[8];
    store_request request;
    store_build build;
    store_attempt attempt;
    store_frame frame;
    store_log log;
};

static void note(struct seen *n, uint64_t id)
{
    if (n->count < 8)
        n->ids[n->count] = id;
    n->count++;
}
static int on_request(void *self, const store_request *r)
{
    struct seen *n = self;
    note(n, r->id);
    n->request = *r;
    return 0;
}
static int on_build(void *self, const store_build *b)
{
    struct seen *n = self;
    note(n, b->id);
    n->build = *b;
    n->build.reason = NULL;
    return 0;
}
static int on_attempt(void *self, const store_attempt *a)
{
    struct seen *n = self;
    note(n, a->id);
    n->attempt = *a;
    return 0;
}
static int on_frame(void *self, const store_frame *f)
{
    struct seen *n = self;
    note(n, f->raw_pos);
    n->frame = *f;
    return 0;
}
static int on_log(void *self, const store_log *l)
{
    struct seen *n = self;
    note(n, l->stream);
    n->log = *l;
    return 0;
}
static int stop_at_first(void *self, const store_build *b)
{
    note(self, b->id);
    return PW_EAGAIN;
}

static void test_builds(struct world *w)
{
    store *s = w->s;
    PW_AUTO(pw_buf_clearp) pw_buf job = PW_BUF(100);
    store_build b = {0};
    struct seen n = {0};
    pw_err err;

    ok(fixture_build(s, 11, w->builder, w->stamp, 1000) == 0, "a build is made");
    ok(store_build_start(s, 11, 1001, &err) == PW_ECONFLICT, "queued cannot start: %s", err.text);
    ok(store_build_requeue(s, 11, NULL) == PW_ECONFLICT, "nor be requeued");
    ok(store_build_dispatch(s, 12, 1, 1, 1, &err) == PW_ENOTFOUND, "none such: %s", err.text);
    ok(store_build_dispatch(s, 11, 5, 6, 1, NULL) == 0, "queued is dispatched");
    ok(store_build_dispatch(s, 11, 7, 8, 1, NULL) == PW_ECONFLICT, "only once");
    ok(store_build_start(s, 11, 1002, NULL) == 0 && store_build_get(s, 11, &b, NULL) == 0 &&
           b.state == BUILD_RUNNING && b.started == 1002 && b.worker == 5 && b.attempt == 6,
       "dispatched starts");
    store_build_clear(&b);
    ok(store_build_requeue(s, 11, NULL) == 0 && store_build_dispatch(s, 11, 9, 10, 2, NULL) == 0 &&
           store_build_start(s, 11, 2002, NULL) == 0 && store_build_get(s, 11, &b, NULL) == 0 &&
           b.started == 1002 && b.worker == 9 && b.tries == 2 && b.result == PW_NO_RESULT,
       "a second try keeps the first start");
    store_build_clear(&b);
    ok(store_open_builds(s, on_build, &n, NULL) == 0 && n.count == 1 && n.ids[0] == 11,
       "it is open");
    ok(store_job_get(s, 11, &job, NULL) == 0 && strcmp(pw_buf_str(&job), "job") == 0, "its job");
    ok(store_build_finish(s, 11, PW_FAILURE, "bad", 3000, w->builder, "main", w->stamp, NULL) == 0,
       "it finishes");
    ok(store_build_finish(s, 11, PW_SUCCESS, NULL, 3001, w->builder, "main", w->stamp, &err) ==
           PW_ECONFLICT,
       "only once: %s", err.text);
    ok(store_build_get(s, 11, &b, NULL) == 0 && b.state == BUILD_DONE && b.result == PW_FAILURE &&
           b.finished == 3000 && b.reason && strcmp(b.reason, "bad") == 0,
       "with its result and reason");
    store_build_clear(&b);
    ok(store_job_del(s, 11, NULL) == 0 && store_job_get(s, 11, &job, NULL) == PW_ENOTFOUND,
       "the job is gone");
    n = (struct seen){0};
    ok(store_open_builds(s, on_build, &n, NULL) == 0 && n.count == 0, "nothing is open");
    ok(store_build_add(s, &(store_build){.id = 11, .result = PW_NO_RESULT}, NULL, 0, &err) ==
           PW_ECONFLICT,
       "an id is used once: %s", err.text);
    ok(store_build_get(s, 999, &b, NULL) == PW_ENOTFOUND, "no build 999");
    pw_buf_reset(&job);
    ok(store_buildset_reason(s, 11, &job, NULL) == 0 && strcmp(pw_buf_str(&job), "a push") == 0 &&
           store_buildset_reason(s, 999, &job, NULL) == PW_ENOTFOUND,
       "why a build set was made");
}

static void test_requests(struct world *w)
{
    store *s = w->s;
    store_request r = {.id = 20,
                       .buildset = 1,
                       .builder = w->builder,
                       .stamp = w->stamp,
                       .prio = -5,
                       .created = 7,
                       .collapse = true,
                       .props = (uint8_t *)"ab",
                       .props_len = 2};
    store_request got = {0};
    struct seen n = {0};

    ok(store_request_add(s, &r, NULL) == 0, "a request");
    r.id = 22;
    r.props = NULL;
    ok(store_request_add(s, &r, NULL) == 0 && store_open_requests(s, on_request, &n, NULL) == 0 &&
           n.count == 3 && n.ids[0] == 10 && n.ids[1] == 20 && n.ids[2] == 22 &&
           n.request.prio == -5 && !n.request.props,
       "the open ones in the order of their ids");
    ok(store_request_claim(s, 20, 21, NULL) == 0, "waiting is claimed");
    ok(store_request_claim(s, 20, 23, NULL) == PW_ECONFLICT, "only once");
    ok(store_request_claim(s, 24, 23, NULL) == PW_ENOTFOUND, "none such");
    ok(store_request_done(s, 20, 0, NULL) == 0 && store_request_done(s, 22, 20, NULL) == 0,
       "claimed and waiting end");
    ok(store_request_done(s, 22, 20, NULL) == PW_ECONFLICT, "only once");
    ok(store_request_get(s, 20, &got, NULL) == 0 && got.state == REQ_DONE && got.build == 21 &&
           got.collapse && got.props_len == 2 && got.props && memcmp(got.props, "ab", 2) == 0,
       "what is known of it");
    store_request_clear(&got);
    ok(store_request_get(s, 22, &got, NULL) == 0 && got.rode_with == 20 && !got.props,
       "and whom it rode with");
    store_request_clear(&got);
    ok(store_request_done(s, 10, 0, NULL) == 0, "the first build's too");
}

static void test_attempts(struct world *w)
{
    static const uint8_t digest[32] = {1};
    store *s = w->s;
    store_attempt a = {.id = 31,
                       .build = 11,
                       .worker = 2,
                       .offers = 1,
                       .spool = {9},
                       .boot = {8},
                       .offered = 50,
                       .result = PW_NO_RESULT};
    store_attempt got;
    struct seen n = {0};
    pw_err err;

    ok(store_attempt_add(s, &a, digest, NULL) == 0, "an attempt");
    a.id = 30;
    a.worker = 3;
    ok(store_attempt_add(s, &a, NULL, NULL) == 0 &&
           store_open_attempts(s, on_attempt, &n, NULL) == 0 && n.count == 2 && n.ids[0] == 30 &&
           n.ids[1] == 31,
       "the open ones in the order of their ids, whoever has them");
    ok(store_attempt_forget(s, 31, NULL) == PW_ECONFLICT, "a live one is not forgotten");
    ok(store_attempt_run(s, 31, NULL) == 0 && store_attempt_run(s, 31, NULL) == PW_ECONFLICT,
       "it runs once");
    ok(store_attempt_reoffer(s, 31, 2, NULL) == 0 &&
           store_attempt_reoffer(s, 99, 2, NULL) == PW_ENOTFOUND,
       "offered again");
    ok(store_attempt_offsets(s, 31, 100, UINT32_MAX, 90, 7, NULL) == 0 &&
           store_attempt_offsets(s, 99, 1, 1, 1, 1, NULL) == PW_ENOTFOUND,
       "its offsets");
    ok(store_attempt_get(s, 31, &got, NULL) == 0 && got.state == ATT_RUNNING && got.offers == 2 &&
           got.applied == 100 && got.applied_chain == UINT32_MAX && got.stored == 90 &&
           got.stored_chain == 7 && got.spool[0] == 9 && got.boot[0] == 8 && got.build == 11 &&
           got.worker == 2 && got.offered == 50 && got.result == PW_NO_RESULT,
       "are kept");
    ok(store_attempt_close(s, 31, ATT_FORGOTTEN, PW_SUCCESS, NULL, 60, &err) == PW_EINVAL,
       "it ends or is closed, nothing else: %s", err.text);
    ok(store_attempt_close(s, 31, ATT_ENDED, PW_SUCCESS, NULL, 60, NULL) == 0 &&
           store_attempt_close(s, 31, ATT_CLOSED, PW_RETRY, NULL, 61, NULL) == PW_ECONFLICT,
       "it ends once");
    ok(store_attempt_close(s, 30, ATT_CLOSED, PW_RETRY, "lost", 61, NULL) == 0 &&
           store_attempt_forget(s, 30, NULL) == 0 &&
           store_attempt_forget(s, 30, NULL) == PW_ECONFLICT,
       "a closed one is forgotten once");
    n = (struct seen){0};
    ok(store_open_attempts(s, on_attempt, &n, NULL) == 0 && n.count == 1 &&
           n.attempt.result == PW_SUCCESS && n.attempt.ended == 60,
       "one is left");
    ok(store_attempt_get(s, 99, &got, NULL) == PW_ENOTFOUND, "no attempt 99");
}

static void test_logs(struct world *w)
{
    store *s = w->s;
    store_frame f = {.attempt = 31, .raw_pos = 512, .raw_len = 10, .len = 3, .t_first = 5};
    store_log l = {.attempt = 31, .stream = 1, .bytes = 522, .lines = 4};
    struct seen n = {0};

    ok(store_frame_add(s, &f, NULL) == 0, "a frame");
    ok(store_frame_add(s, &f, NULL) == PW_ECONFLICT, "a position is used once");
    f.raw_pos = 0;
    ok(store_frame_add(s, &f, NULL) == 0 && store_frames_open(s, on_frame, &n, NULL) == 0 &&
           n.count == 2 && n.ids[0] == 0 && n.ids[1] == 512 && n.frame.len == 3 &&
           n.frame.t_first == 5,
       "frames by position");
    ok(store_log_put(s, &l, NULL) == 0, "a log");
    l.stream = 0;
    l.bytes = 600;
    ok(store_log_put(s, &l, NULL) == 0, "another");
    l.bytes = 700;
    n = (struct seen){0};
    ok(store_log_put(s, &l, NULL) == 0 && store_logs_open(s, on_log, &n, NULL) == 0 &&
           n.count == 2 && n.ids[0] == 0 && n.ids[1] == 1,
       "put again it is the same row");
    ok(store_log_seal(s, 31, 0, 0, 44, NULL) == 0 &&
           store_log_seal(s, 31, 5, 0, 44, NULL) == PW_ENOTFOUND,
       "one is sealed");
    n = (struct seen){0};
    ok(store_logs_open(s, on_log, &n, NULL) == 0 && n.count == 1 && n.log.bytes == 522,
       "one is left");
    n = (struct seen){0};
    ok(store_frames_open(s, on_frame, &n, NULL) == 0 && n.count == 0, "its frames are gone");
}

static void test_verdict(struct world *w)
{
    store *s = w->s;
    store_rev other = fixture_rev(99);
    uint64_t stamp2 = 0, build = 77, elsewhere = 0;
    pw_result result;
    bool open;

    ok(store_verdict(s, w->project, w->builder, &w->rev, &result, &build, &open, NULL) == 0 &&
           result == PW_FAILURE && build == 11 && !open,
       "build 11 decides");
    ok(store_verdict(s, w->project, w->builder, &other, &result, &build, &open, NULL) == 0 &&
           result == PW_NO_RESULT && build == 0 && !open,
       "nothing is known of another revision");
    ok(store_verdict(s, w->project, w->builder + 1, &w->rev, &result, &build, &open, NULL) == 0 &&
           result == PW_NO_RESULT,
       "nor of another builder");
    /* the same revision on another branch counts; in another project it does not */
    ok(store_stamp_id(s, w->project, "stable", &w->rev, &stamp2, NULL) == 0 &&
           fixture_done(s, 41, w->builder, stamp2, "stable", PW_SUCCESS, 5000) == 0 &&
           fixture_done(s, 43, w->builder, w->stamp, "main", PW_EXCEPTION, 5000) == 0 &&
           store_project_id(s, "other", &elsewhere, NULL) == 0 &&
           store_stamp_id(s, elsewhere, "main", &w->rev, &elsewhere, NULL) == 0 &&
           fixture_done(s, 45, w->builder, elsewhere, "main", PW_FAILURE, 5000) == 0 &&
           store_verdict(s, w->project, w->builder, &w->rev, &result, &build, &open, NULL) == 0 &&
           result == PW_SUCCESS && build == 41 && !open,
       "the newest that says something decides");
    /* what is proposed says nothing of a branch */
    uint64_t proposed = 0, newest = 0;
    unsigned kind = 9;
    ok(store_stamp_id(s, w->project, "pull/7", &other, &proposed, NULL) == 0 &&
           store_stamp_proposal(s, proposed, &kind, NULL) == 0 && kind == 0 &&
           store_stamp_propose(s, proposed, 1, NULL) == 0 &&
           store_stamp_propose(s, proposed, 2, NULL) == 0 &&
           store_stamp_proposal(s, proposed, &kind, NULL) == 0 && kind == 1,
       "what was not to be trusted once stays so");
    ok(fixture_done(s, 47, w->builder, proposed, "pull/7", PW_SUCCESS, 5000) == 0 &&
           store_verdict(s, w->project, w->builder, &other, &result, &build, &open, NULL) == 0 &&
           result == PW_NO_RESULT && !open &&
           store_latest_get(s, w->builder, "pull/7", &newest, &result, NULL) == PW_ENOTFOUND,
       "it neither promotes nor is the latest of a branch");
    store_proposal told = {NULL, (char *)(uintptr_t) "title", NULL, 1}, got = {0};
    ok(store_proposal_get(s, 1, "pull/7", &got, NULL) == PW_ENOTFOUND &&
           store_proposal_put(s, 1, "pull/7", &told, 5, NULL) == 0 &&
           store_proposal_get(s, 1, "pull/7", &got, NULL) == 0 && !got.target &&
           strcmp(got.title, "title") == 0 && got.fork == 1,
       "what a forge told of a proposal");
    store_proposal_clear(&got);
    ok(store_request_add(s, &(store_request){.id = 50, .builder = w->builder, .stamp = w->stamp},
                         NULL) == 0 &&
           store_verdict(s, w->project, w->builder, &w->rev, &result, &build, &open, NULL) == 0 &&
           result == PW_SUCCESS && open,
       "a waiting request keeps it open");
    ok(store_request_done(s, 50, 0, NULL) == 0 &&
           fixture_build(s, 53, w->builder, stamp2, 6000) == 0 &&
           store_verdict(s, w->project, w->builder, &w->rev, &result, NULL, &open, NULL) == 0 &&
           open,
       "so does a build under way");
    {
        struct seen n = {0};
        (void)fixture_build(s, 55, w->builder, stamp2, 6000);
        ok(store_open_builds(s, stop_at_first, &n, NULL) == PW_EAGAIN && n.count == 1,
           "a callback ends a walk with its own code");
    }
}

static void test_highest(struct world *w)
{
    store_highest h;

    ok(store_event_add(w->s, 900, 1, EVENT_BUILD, 1, NULL) == 0 &&
           store_request_add(w->s, &(store_request){.id = 60}, NULL) == 0 &&
           store_highest_ids(w->s, &h, NULL) == 0 && h.build == 60 && h.attempt == 31 &&
           h.buildset == 55 && h.change == 0 && h.promotion == 0 && h.event == 900,
       "the highest ids; requests and builds share theirs");
}

int main(void)
{
    fixture f;
    struct world w = {.rev = fixture_rev(1)};
    uint64_t again = 0, project = 0;
    store_rev rev;
    PW_AUTO(pw_buf_clearp) pw_buf branch = PW_BUF(100);

    fixture_init(&f);
    w.s = store_open(f.path, &f.host, NULL);
    if (w.s && store_begin(w.s, NULL) == 0) {
        ok(store_project_id(w.s, "web", &w.project, NULL) == 0 &&
               store_builder_id(w.s, w.project, "linux", &w.builder, NULL) == 0 &&
               store_stamp_id(w.s, w.project, "main", &w.rev, &w.stamp, NULL) == 0,
           "project, builder and stamp");
        ok(store_stamp_id(w.s, w.project, "main", &w.rev, &again, NULL) == 0 && again == w.stamp &&
               store_stamp_get(w.s, w.stamp, &project, &rev, &branch, NULL) == 0 &&
               project == w.project && store_rev_equal(&rev, &w.rev) &&
               strcmp(pw_buf_str(&branch), "main") == 0,
           "a stamp is made once and found again");
        ok(store_stamp_get(w.s, 999, NULL, NULL, NULL, NULL) == PW_ENOTFOUND, "no stamp 999");
        test_builds(&w);
        test_requests(&w);
        test_attempts(&w);
        test_logs(&w);
        test_verdict(&w);
        test_highest(&w);
        ok(store_commit(w.s, NULL) == 0, "all of it is committed, refusals do no harm");
    }
    w.s = store_close(w.s);
    fixture_clear(&f);
    return tap_done();
}
