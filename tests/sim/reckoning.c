/* The reckoning: what must be true of the rows, the logs and the repository when all is over. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/store/files.h"
#include "master/store/reader.h"
#include "shared/base/fs.h"
#include "tests/sim/oracle.h"

oracle_figures oracle_sum;
typedef struct final {
    reader *rd;
    uint64_t project, fast, slow;
    bool green[SIM_COMMITS][2]; /* a success of fast, of slow */
    /* how often a push made builds of it, and asked for them: of fast, of slow */
    unsigned built[SIM_COMMITS][2], asked[SIM_COMMITS][2];
} final;

typedef struct seen_steps {
    unsigned n, done;
} seen_steps;
static int one_step(void *p, const store_step *s)
{
    seen_steps *v = p;
    v->n++;
    v->done += s->state == STEP_DONE && s->result == PW_SUCCESS;
    return 0;
}

/* Which runs of the attempt can have printed this: bits. */
static uint64_t printed_by(uint64_t id, unsigned step, const char *have, size_t k, bool whole)
{
    static char want[TEXT_MAX];
    uint64_t runs = 0;
    for (unsigned run = 0; run == 0 || (run < oracle_attempt_of(id)->runs && run < 64); run++) {
        size_t n = runner_text(id, run, step, want, sizeof(want));
        if (k <= n && memcmp(have, want, k) == 0 && (!whole || k == n))
            runs |= UINT64_C(1) << run;
    }
    return runs;
}

/* The log is what the step printed: all of it, or of an attempt that was cut short, its beginning.
 */
static uint64_t check_log(uint64_t id, unsigned step, bool whole)
{
    static char have[TEXT_MAX];
    size_t k = 0;
    pw_err err = {0};
    PW_AUTO(log_view_closep)
    log_view *v = log_view_open(sim_mas.s.log_store, (log_key){id, step, 0}, &err);
    while (v && k < sizeof(have)) {
        uint64_t next;
        int64_t r = log_view_read(v, k, have + k, sizeof(have) - k, &next, &err);
        if (r < 0)
            oracle_fail("log of attempt %llu step %u: %s", (unsigned long long)id, step, err.text);
        if (r <= 0)
            break;
        k += (size_t)r;
    }
    uint64_t runs = printed_by(id, step, have, k, whole);
    if (!runs)
        oracle_fail("log of attempt %llu step %u has %zu bytes that are not what was printed",
                    (unsigned long long)id, step, k);
    oracle_sum.log_bytes += k;
    return runs;
}

/* All steps of one run. */
static void check_logs(uint64_t id, bool whole)
{
    uint64_t runs = UINT64_MAX;
    for (unsigned s = 0; s < STEPS && !oracle_broken(); s++)
        runs &= check_log(id, s, whole);
    if (!runs)
        oracle_fail("the log of attempt %llu is of two runs", (unsigned long long)id);
}

/* ---- files */
typedef struct seen_files {
    unsigned n;
    uint64_t runs;
} seen_files;

static int one_file(void *p, const store_artifact *a)
{
    static char want[TEXT_MAX], have[TEXT_MAX];
    seen_files *v = p;
    uint64_t runs = 0;
    pw_err err = {0};
    v->n++;
    int fd = blobs_read("/sim/0/state/artifacts", a->sha256, a->attempt, a->file, &err);
    int r = fd < 0 ? fd : pw_fs_pread_all(fd, have, (size_t)a->size, 0, &err);
    pw_closep(&fd);
    if (r < 0 || a->state != FILE_STORED) {
        oracle_fail("file %llu of attempt %llu, state %d: %s", (unsigned long long)a->file,
                    (unsigned long long)a->attempt, (int)a->state, err.text);
        return -1;
    }
    for (unsigned run = 0; run == 0 || (run < oracle_attempt_of(a->attempt)->runs && run < 64);
         run++)
        if (runner_file(a->attempt, run, (unsigned)a->file, want, sizeof(want)) == a->size &&
            memcmp(want, have, (size_t)a->size) == 0)
            runs |= UINT64_C(1) << run;
    v->runs &= runs;
    return 0;
}

static void check_files(const final *f, uint64_t id, bool whole)
{
    seen_files v = {.runs = UINT64_MAX};
    (void)reader_artifacts(f->rd, id, -1, 1000, one_file, &v, NULL);
    if (!v.runs)
        oracle_fail("the files of attempt %llu are not what one run left", (unsigned long long)id);
    if (whole ? v.n != STEPS : v.n > STEPS)
        oracle_fail("attempt %llu left %u files", (unsigned long long)id, v.n);
}

/* A try is an attempt that was heard of; a build is given up after the last one only. */
static void check_tries(const store_build *b, unsigned heard)
{
    if (b->tries < heard)
        oracle_fail("build %llu was tried %u times, its row says %llu", (unsigned long long)b->id,
                    heard, (unsigned long long)b->tries);
    if (b->result == PW_EXCEPTION && b->tries <= RETRIES)
        oracle_fail("build %llu was given up after %llu tries", (unsigned long long)b->id,
                    (unsigned long long)b->tries);
}

static int check_build(void *p, const reader_build *r)
{
    final *f = p;
    const store_build *b = &r->b;
    uint64_t tried = 0;
    unsigned heard = 0;
    bool excused = false, of_push = r->why && strcmp(r->why, "change") == 0;
    seen_steps v = {0};
    oracle_sum.builds++;
    if (b->state != BUILD_DONE) {
        oracle_fail("build %llu is not done", (unsigned long long)b->id);
        return -1;
    }
    oracle_final_build(b);
    for (uint64_t n = 1; reader_attempt_of(f->rd, b->id, n, &tried, NULL) == 0; n++) {
        const oracle_attempt *a = oracle_attempt_of(tried);
        oracle_sum.attempts++;
        excused |= a->excused;
        /* an offer of which nothing was heard may move, though it has begun behind a dead link */
        if (tried != b->attempt && a->started && a->heard && !a->excused &&
            b->result != PW_CANCELLED)
            oracle_fail("attempt %llu of build %llu had started, and was given up without need",
                        (unsigned long long)tried, (unsigned long long)b->id);
        heard += a->heard;
    }
    check_tries(b, heard);
    char hex[2 * STORE_REV_MAX + 1];
    store_rev_text(&r->rev, hex);
    int c = remote_find(hex);
    bool counted = b->builder == f->fast || b->builder == f->slow;
    if (b->result == PW_SUCCESS && c >= 0 && counted)
        f->green[c][b->builder == f->slow] = true;
    if (of_push && c >= 0 && counted)
        f->built[c][b->builder == f->slow]++;
    bool says = b->result == PW_SUCCESS || b->result == PW_FAILURE || b->result == PW_WARNINGS;
    bool needs = sim_graph && b->result == PW_SKIPPED && !b->attempt && b->builder == f->slow;
    if (!says && !needs && b->result != PW_CANCELLED && !(b->result == PW_EXCEPTION && excused))
        oracle_fail("build %llu is %s (%s) without need", (unsigned long long)b->id,
                    pw_result_name(b->result), b->reason ? b->reason : "");
    if (says) {
        (void)reader_steps(f->rd, b->attempt, one_step, &v, NULL);
        if (v.n != STEPS || v.done != STEPS)
            oracle_fail("build %llu has %u steps, %u done", (unsigned long long)b->id, v.n, v.done);
    }
    if (b->attempt)
        check_logs(b->attempt, says);
    if (b->attempt && !oracle_broken())
        check_files(f, b->attempt, says);
    return oracle_broken() ? -1 : 0;
}

static int check_request(void *p, const reader_request *r)
{
    final *f = p;
    char hex[2 * STORE_REV_MAX + 1];
    store_rev_text(&r->rev, hex);
    int c = remote_find(hex);
    oracle_sum.requests++;
    if (c >= 0 && r->why && strcmp(r->why, "change") == 0 &&
        (r->r.builder == f->fast || r->r.builder == f->slow))
        f->asked[c][r->r.builder == f->slow]++;
    if (r->r.state != REQ_DONE)
        oracle_fail("request %llu is not done", (unsigned long long)r->r.id);
    return oracle_broken() ? -1 : 0;
}

static pw_result verdict(const final *f, uint64_t builder, int c)
{
    store_rev rev;
    pw_result result = PW_NO_RESULT;
    bool open;
    if (store_rev_parse(remote_rev(c), &rev))
        (void)store_verdict(sim_mas.s.st, f->project, builder, &rev, &result, NULL, &open, NULL);
    return result;
}

/* Was it ever? A later retry may have ended otherwise. */
static bool was_green(const final *f, int c)
{
    return f->green[c][0] && f->green[c][1];
}

static bool green(const final *f, int c)
{
    return verdict(f, f->fast, c) == PW_SUCCESS && verdict(f, f->slow, c) == PW_SUCCESS;
}

static int check_promotion(void *p, const store_promotion *r)
{
    const pushed *v;
    char hex[2 * STORE_REV_MAX + 1];
    size_t n = remote_pushes(&v), effects = 0;
    (void)p;
    store_rev_text(&r->rev, hex);
    for (size_t i = 0; i < n; i++)
        if (v[i].intent == r->id) {
            effects++;
            if (v[i].to != remote_find(hex))
                oracle_fail("promotion %llu moved the branch elsewhere", (unsigned long long)r->id);
        }
    oracle_sum.promotions += effects;
    if (effects > 1)
        oracle_fail("promotion %llu took effect %zu times", (unsigned long long)r->id, effects);
    if (r->state == PROMO_OPEN)
        oracle_fail("promotion %llu is still open", (unsigned long long)r->id);
    if (r->state == PROMO_DONE &&
        (!remote_contains(oracle_promotion_tip(r->id), remote_find(hex)) ||
         !remote_contains(remote_tip(1), remote_find(hex))))
        oracle_fail("promotion %llu is recorded and did not happen", (unsigned long long)r->id);
    if (r->state != PROMO_DONE && effects)
        oracle_fail("promotion %llu happened and is recorded as %d", (unsigned long long)r->id,
                    (int)r->state);
    return oracle_broken() ? -1 : 0;
}

static int same_promotion(void *p, const store_promotion *r)
{
    *(bool *)p = r->id > 0;
    return 0;
}

static void check_pushes(const final *f)
{
    const pushed *v;
    size_t n = remote_pushes(&v);
    for (size_t i = 0; i < n; i++) {
        bool row = false;
        if (!v[i].intent)
            continue;
        (void)reader_promotion_one(f->rd, v[i].intent, same_promotion, &row, NULL);
        if (!row)
            oracle_fail("intent %llu was pushed and has no row", (unsigned long long)v[i].intent);
        if (v[i].branch != 1 || !remote_contains(v[i].to, v[i].from))
            oracle_fail("intent %llu did not move stable forward", (unsigned long long)v[i].intent);
        if (!was_green(f, v[i].to))
            oracle_fail("intent %llu moved stable to what is not green",
                        (unsigned long long)v[i].intent);
    }
}

static int take_project(void *p, uint64_t id, const char *name)
{
    if (strcmp(name, "p") == 0)
        ((final *)p)->project = id;
    return 0;
}
static int take_builder(void *p, uint64_t id, const char *project, const char *name)
{
    final *f = p;
    (void)project;
    if (strcmp(name, "fast") == 0)
        f->fast = id;
    if (strcmp(name, "slow") == 0)
        f->slow = id;
    return 0;
}

/* A push is answered by builds of its branch's newest commit, once; a change that is told by hand
 * may be an old one, and then the newest comes again. */
static void check_tips(const final *f)
{
    const pushed *v;
    size_t n = remote_pushes(&v), most = 1 + people_told();
    for (size_t i = 0; i < n && !oracle_broken(); i++) {
        if (v[i].branch == 1)
            continue;
        for (int k = 0; k < 2; k++) {
            if (f->asked[v[i].to][k] > most)
                oracle_fail("%.7s was asked for %u times", remote_short(v[i].to),
                            f->asked[v[i].to][k]);
            if (oracle_looked_at() && v[i].at > oracle_looked_at() &&
                v[i].to == remote_tip(v[i].branch) && !f->built[v[i].to][k])
                oracle_fail("%.7s was pushed to %s and never built", remote_short(v[i].to),
                            remote_branch[v[i].branch]);
        }
    }
}

static int one_open(void *p, const store_log *l)
{
    (void)l;
    ++*(unsigned *)p;
    return 0;
}

/* What lost its tail is kept for people to look at; nothing else is. */
static void check_held(void)
{
    const agent_job *j;
    for (int w = 0; w < SIM_WORKERS; w++)
        if (sim_workers[w].agent)
            TAILQ_FOREACH(j, jobs_list(agent_jobs(sim_workers[w].agent), PW_JOB_HELD), link)
    if (!oracle_attempt_of(j->id.attempt)->excused)
        oracle_fail("w%d holds attempt %llu", w, (unsigned long long)j->id.attempt);
}

void oracle_final(void)
{
    PW_AUTO(reader_closep) reader *rd = NULL;
    final f = {0};
    pw_err err = {0};
    unsigned unsealed = 0;
    if (oracle_broken())
        return;
    if (!master_up() || !(rd = f.rd = reader_open("/sim/0/state/pawl.db", &err))) {
        oracle_fail("the master cannot be looked at: %s", err.text);
        return;
    }
    (void)reader_projects(rd, take_project, &f, NULL);
    (void)reader_builders(rd, take_builder, &f, NULL);
    reader_build_filter all = {.result = -1, .state = -1, .limit = 1000};
    if (reader_builds(rd, &all, check_build, &f, &err) < 0 && !oracle_broken())
        oracle_fail("builds: %s", err.text);
    (void)reader_requests(rd, -1, 0, 1000, check_request, &f, &err);
    (void)reader_promotions(rd, NULL, 0, 1000, check_promotion, &f, &err);
    check_pushes(&f);
    check_tips(&f);
    check_held();
    for (int c = remote_tip(0); c > 0 && !oracle_broken(); c--)
        if (remote_contains(remote_tip(0), c) && green(&f, c)) {
            if (remote_contains(c, remote_tip(1)) && remote_tip(1) != c)
                oracle_fail("%.7s is green and did not arrive", remote_short(c));
            break;
        }
    (void)store_logs_open(sim_mas.s.st, one_open, &unsealed, NULL);
    if (unsealed)
        oracle_fail("%u logs are not sealed", unsealed);
}
