/* fill_db.c - fills a database for measurements: fill_db FILE N [GROUP] makes N finished builds
 * (200 builders in 10 projects, 4 steps and 2 logs each, a change for every 4 builds, a branch in
 * 40 names) in turns of GROUP builds (default 5,000). It uses the functions that the master uses,
 * so the rate it prints with a small GROUP is the master's limit. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "master/store/store.h"
#include "shared/base/num.h"

enum { PROJECTS = 10, BUILDERS = 200, BRANCHES = 40, STEPS = 4, LOGS = 2, PER_CHANGE = 4 };
#define START INT64_C(1760000000000)

struct bench {
    store *s;
    uint64_t projects[PROJECTS], builders[BUILDERS], worker;
    uint64_t random, stamp, attempt, event;
    char branch[32];
    size_t project;
};

static uint64_t next(struct bench *b)
{
    b->random = b->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return b->random >> 33;
}

static double seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int names(struct bench *b, pw_err *err)
{
    int rc = store_begin(b->s, err);

    for (size_t i = 0; i < PROJECTS && rc == 0; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "project%zu", i);
        rc = store_project_id(b->s, name, &b->projects[i], err);
    }
    for (size_t i = 0; i < BUILDERS && rc == 0; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "builder%zu", i);
        rc = store_builder_id(b->s, b->projects[i % PROJECTS], name, &b->builders[i], err);
    }
    if (rc == 0)
        rc = store_worker_add(b->s, "bench", START, &b->worker, err);
    if (rc == PW_ECONFLICT)
        rc = pw_err_context(err, "the file is not new");
    return rc < 0 ? rc : store_commit(b->s, err);
}

static int change(struct bench *b, uint64_t n, pw_msec at, pw_err *err)
{
    store_change c = {.id = n + 1, .at = at, .tip = true};
    store_rev rev = {.n = 20};
    int rc;

    for (size_t i = 0; i < 5; i++)
        pw_put_le32(rev.id + 4 * i, (uint32_t)next(b));
    b->project = next(b) % PROJECTS;
    (void)snprintf(b->branch, sizeof(b->branch), "%s%" PRIu64, next(b) % 2 ? "main" : "topic/",
                   next(b) % 2 ? UINT64_C(0) : next(b) % (BRANCHES / 2));
    c.author = (char *)"Ann Author <ann@example.org>";
    c.subject = (char *)"parser: accept a blank line at the end";
    rc = store_stamp_id(b->s, b->projects[b->project], b->branch, &rev, &b->stamp, err);
    c.stamp = b->stamp;
    return rc < 0 ? rc : store_change_add(b->s, &c, err);
}

static int steps(struct bench *b, pw_msec at, pw_err *err)
{
    static const char *const step_names[STEPS] = {"checkout", "configure", "build", "test"};
    int rc = 0;

    for (uint64_t i = 0; i < STEPS && rc == 0; i++) {
        store_step s = {.attempt = b->attempt,
                        .idx = i,
                        .name = (char *)step_names[i],
                        .kind = i == 0,
                        .state = STEP_RUNNING,
                        .result = PW_NO_RESULT,
                        .started = at + (pw_msec)i * 100,
                        .exit_code = -1};
        rc = store_step_start(b->s, &s, err);
        s.state = STEP_DONE;
        s.result = PW_SUCCESS;
        s.finished = s.started + 90;
        s.exit_code = 0;
        s.lines = 120;
        s.bytes = 5000;
        s.cpu_ms = 70;
        s.max_rss = 20 << 20;
        if (rc == 0)
            rc = store_step_end(b->s, &s, err);
    }
    for (uint64_t i = 0; i < LOGS && rc == 0; i++) {
        store_log l = {.attempt = b->attempt, .idx = i + 2, .bytes = 5000, .lines = 120};
        rc = store_log_put(b->s, &l, err);
        if (rc == 0)
            rc = store_log_seal(b->s, l.attempt, l.idx, 0, 900, err);
    }
    return rc;
}

/* One build from request to result, as the core writes it; ids 2n + 1 and 2n + 2. */
static int build(struct bench *b, uint64_t n, pw_err *err)
{
    static const char job[400] = {1};
    pw_msec at = START + (pw_msec)n * 50;
    uint64_t x = next(b) % 100, id = 2 * n + 2;
    size_t builder = b->project + PROJECTS * (next(b) % (BUILDERS / PROJECTS));
    store_request r = {
        .id = id - 1, .buildset = n + 1, .builder = b->builders[builder], .created = at};
    store_build row = {
        .id = id, .request = id - 1, .builder = r.builder, .result = PW_NO_RESULT, .created = at};
    store_attempt a = {.id = ++b->attempt,
                       .build = id,
                       .worker = b->worker,
                       .offers = 1,
                       .offered = at,
                       .result = PW_NO_RESULT};
    pw_result result = x < 6 ? PW_FAILURE : x < 8 ? PW_WARNINGS : x < 9 ? PW_EXCEPTION : PW_SUCCESS;
    uint8_t digest[32] = {1};
    int rc = n % PER_CHANGE == 0 ? change(b, n / PER_CHANGE, at, err) : 0;

    r.stamp = row.stamp = b->stamp;
    if (rc < 0 ||
        (rc = store_buildset_add(b->s, n + 1, "on-push", "a push to the branch", NULL, b->stamp, at,
                                 err)) < 0 ||
        (rc = store_request_add(b->s, &r, err)) < 0 ||
        (rc = store_request_claim(b->s, r.id, id, err)) < 0 ||
        (rc = store_build_add(b->s, &row, job, sizeof(job), err)) < 0 ||
        (rc = store_attempt_add(b->s, &a, digest, err)) < 0 ||
        (rc = store_build_dispatch(b->s, id, b->worker, a.id, 1, err)) < 0 ||
        (rc = store_attempt_run(b->s, a.id, err)) < 0 ||
        (rc = store_build_start(b->s, id, at + 5, err)) < 0 || (rc = steps(b, at + 5, err)) < 0 ||
        (rc = store_attempt_offsets(b->s, a.id, 4000, 7, 4000, 7, err)) < 0 ||
        (rc = store_attempt_close(b->s, a.id, ATT_ENDED, result, NULL, at + 400, err)) < 0 ||
        (rc = store_build_finish(b->s, id, result, NULL, at + 400, r.builder, b->branch, b->stamp,
                                 err)) < 0 ||
        (rc = store_request_done(b->s, r.id, 0, err)) < 0 ||
        (rc = store_attempt_forget(b->s, a.id, err)) < 0)
        return rc;
    return store_event_add(b->s, ++b->event, at + 400, EVENT_BUILD, id, err);
}

static int fill(struct bench *b, const char *path, uint64_t count, uint64_t group, pw_err *err)
{
    store_checkpointer *c = store_checkpointer_open(path, err);
    uint64_t bytes = 0, since = 0;
    double most = 0;
    int rc = c ? 0 : -1;

    for (uint64_t n = 0; n < count && rc == 0;) {
        uint64_t end = count - n < group ? count : n + group;
        double start;
        rc = store_begin(b->s, err);
        for (since += end - n; n < end && rc == 0; n++)
            rc = build(b, n, err);
        start = seconds();
        if (rc == 0)
            rc = store_commit(b->s, err);
        most = seconds() - start > most ? seconds() - start : most;
        if (rc == 0 && since >= 5000) { /* some 25 MB of WAL */
            since = 0;
            rc = store_checkpoint(c, &bytes, err);
        }
    }
    (void)store_checkpointer_close(c);
    if (rc == 0)
        printf("longest commit %.1f ms\n", most * 1e3);
    return rc;
}

int main(int argc, char **argv)
{
    struct bench b = {.random = 1};
    uint64_t count = 1000000, group = 5000;
    pw_err err = {0};
    struct stat st;
    double start = seconds(), used;
    int rc;

    if (argc < 2 || argc > 4 || (argc > 2 && pw_parse_u64(argv[2], &count, &err) < 0) ||
        (argc > 3 && (pw_parse_u64(argv[3], &group, &err) < 0 || group == 0))) {
        fprintf(stderr, "usage: fill_db FILE N [GROUP] %s\n", err.text);
        return 2;
    }
    b.s = store_open(argv[1], &pw_host_real, &err);
    rc = b.s ? names(&b, &err) : -1;
    if (rc == 0)
        rc = fill(&b, argv[1], count, group, &err);
    used = seconds() - start;
    b.s = store_close(b.s);
    if (rc < 0) {
        fprintf(stderr, "fill_db: %s\n", err.text);
        return 1;
    }
    printf("%" PRIu64 " builds in %.1f s: %.0f builds/s, %.0f bytes a build\n", count, used,
           (double)count / used,
           stat(argv[1], &st) == 0 ? (double)st.st_size / (double)(count ? count : 1) : 0.0);
    return 0;
}
