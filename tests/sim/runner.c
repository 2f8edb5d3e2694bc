/* The runner's rules (rules 3.3, 3.4, 4) over the real journal, without processes: what a step
 * prints is a function of attempt and step, how a build ends is one of the attempt, so that
 * everybody can tell what must be found at the end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/fs.h"
#include "shared/base/num.h"
#include "shared/crypt/hash.h"
#include "shared/job/job.h"
#include "shared/job/record.h"
#include "shared/journal/journal.h"
#include "tests/sim/sim.h"

typedef enum phase {
    SPAWNED,
    LOCKED,
    STEP_BEGIN,
    OUTPUT,
    FILE_,
    STEP_DONE_,
    END,
    SYNC,
    GONE
} phase;
typedef struct runner {
    phase phase;
    int worker, process;
    spool_job job;
    pw_usec at, began;
    journal_writer *w;
    unsigned step, run;
    uint64_t pos, lines;
    bool cancel, full;
    pw_usec full_since;
} runner;
static runner all[SIM_RUNNERS];
static size_t n_all;

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t z = a * UINT64_C(0x9e3779b97f4a7c15) + b * UINT64_C(0xbf58476d1ce4e5b9) + 7;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    return z ^ (z >> 29);
}

size_t runner_text(uint64_t attempt, unsigned run, unsigned step, char *out, size_t cap)
{
    uint64_t x = mix(attempt, step + 1000 * (uint64_t)run);
    size_t n = x % 5 == 0 ? 0 : (size_t)(x >> 8) % (x % 7 == 1 ? 5000 : 300), lines = n / 23 + 1,
           k = 0;
    for (size_t i = 0; k < n && i <= lines; i++) {
        int r = run ? snprintf(out + k, cap - k, "%llu/%u run %u line %zu\n",
                               (unsigned long long)attempt, step, run, i)
                    : snprintf(out + k, cap - k, "%llu/%u line %zu\n", (unsigned long long)attempt,
                               step, i);
        k += (size_t)r;
    }
    if (x % 3 == 0 && k > 0)
        k--; /* no line end at the end */
    return k;
}

size_t runner_file(uint64_t attempt, unsigned run, unsigned step, char *out, size_t cap)
{
    return mix(attempt, step + 77) % 3 == 0 ? 0 : runner_text(attempt, run, step + 500, out, cap);
}

pw_result runner_result(uint64_t attempt)
{
    uint64_t x = mix(attempt, 99) >> 5;
    return x % 5 == 0 ? PW_FAILURE : x % 11 == 0 ? PW_WARNINGS : PW_SUCCESS;
}

void runners_reset(void)
{
    for (size_t i = 0; i < n_all; i++)
        if (all[i].phase != GONE) {
            disk_process_kill(all[i].process);
            all[i].w = journal_writer_free(all[i].w);
            (void)disk_process_end(all[i].process);
        }
    n_all = 0;
}

static void leave(runner *r)
{
    r->w = journal_writer_free(r->w);
    (void)disk_process_end(r->process);
    r->phase = GONE;
    r->at = NEVER;
}

int runner_start(int worker, const char *job, pw_err *err)
{
    spool_job j;
    if (!spool_job_parse(job, strlen(job), &j) || n_all == SIM_RUNNERS)
        return pw_fail(err, PW_EAGAIN, "no room for runners");
    if (sim_pick(50) == 0) {
        sim_trace("w%d: the zygote died before it forked %s", worker, job);
        return 0;
    }
    int before = disk_process_current();
    all[n_all++] = (runner){
        .phase = SPAWNED,
        .worker = worker,
        .job = j,
        .process = disk_process_new(worker + 1),
        /* a machine under load: longer than the agent waits for it */
        .at = sim_now + (sim_chance(97) ? sim_between(100, 20 * MS) : sim_between(0, 12 * SEC))};
    disk_process_set(before);
    return 0;
}

static int append(runner *r, pw_rec_kind kind, const pw_schema *schema, const void *body)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(JOURNAL_PAYLOAD_MAX);
    if (pw_schema_encode(schema, body, &b, NULL) < 0)
        abort();
    struct iovec iov = {b.p, b.len};
    return journal_append(r->w, (uint8_t)kind, 0, (uint64_t)(sim_now - r->began), &iov, 1, NULL);
}

static void note(const runner *r)
{
    if (!sim_chance(85)) /* notes are hints */
        return;
    worker_note(r->worker, (spool_note){r->job, journal_length(r->w)});
}

/* Takes the lock, and goes on with nothing that was started. */
static void begin(runner *r)
{
    char name[64];
    journal_summary s;
    (void)snprintf(name, sizeof(name), "/sim/%d/spool", r->worker + 1);
    PW_AUTO(pw_freep) char *path = spool_path_journal(name, r->job);
    PW_AUTO(pw_freep) char *job = spool_path_job(name, r->job);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_JOB_MAX);
    job_spec spec = {0};
    if (!(r->w = journal_open_append(path, NULL)) ||
        journal_survey(path, PW_REC_START, &s, NULL) < 0 || s.started || s.length == 0 ||
        pw_fs_read(job, PW_JOB_MAX, &b, NULL) < 0 ||
        pw_schema_decode(&job_spec_schema, b.p, b.len, &spec, NULL) < 0) {
        leave(r);
        return;
    }
    if (spec.attempt != r->job.attempt || spec.steps.n != STEPS)
        oracle_fail("the job of attempt %llu is of attempt %llu with %zu steps",
                    (unsigned long long)r->job.attempt, (unsigned long long)spec.attempt,
                    spec.steps.n);
    pw_schema_clear(&job_spec_schema, &spec);
    r->began = sim_now;
    r->phase = LOCKED;
}

static void start(runner *r)
{
    rec_start start = {.pid = 1, .wall_ms = 1};
    if (append(r, PW_REC_START, &rec_start_schema, &start) < 0) {
        leave(r);
        return;
    }
    sim_trace("w%d: attempt %llu starts", r->worker, (unsigned long long)r->job.attempt);
    r->run = oracle_started(r->job.epoch, r->job.attempt, r->worker);
    r->phase = STEP_BEGIN;
}

static int output(runner *r, const char *text, size_t n)
{
    uint8_t head[RECORD_LOG_HEAD];
    uint32_t lines = 0;
    for (size_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    rec_log log = {.step = (uint16_t)r->step,
                   .codec = PW_CODEC_RAW,
                   .raw_len = (uint32_t)n,
                   .lines = lines,
                   .raw_pos = r->pos,
                   .first_line = r->lines,
                   .t_first_ms = 1,
                   .t_last_ms = 2};
    rec_log_put_head(&log, head);
    struct iovec iov[2] = {{head, sizeof(head)}, {(void *)(uintptr_t)text, n}};
    int rc = journal_append(r->w, PW_REC_LOG, 0, (uint64_t)(sim_now - r->began), iov, 2, NULL);
    if (rc == 0) {
        r->pos += n;
        r->lines += lines;
    }
    return rc;
}

static int piece(runner *r, const char *text, size_t n)
{
    uint8_t head[RECORD_PIECE_HEAD];
    rec_piece p = {.file = r->step, .position = r->pos, .n = n};
    rec_piece_put_head(&p, head);
    struct iovec iov[2] = {{head, sizeof(head)}, {(void *)(uintptr_t)text, n}};
    int rc = journal_append(r->w, PW_REC_ARTIFACT, PW_REC_CRITICAL, (uint64_t)(sim_now - r->began),
                            iov, 2, NULL);
    if (rc == 0)
        r->pos += n;
    return rc;
}

static int whole_file(runner *r, const char *text, size_t n)
{
    char path[24];
    uint8_t sum[CRYPT_HASH];
    crypt_sha256 *h = crypt_sha256_new(NULL);
    if (!h)
        abort();
    crypt_sha256_add(h, text, n);
    crypt_sha256_end(h, sum);
    crypt_sha256_free(h);
    (void)snprintf(path, sizeof(path), "dir/%u", r->step);
    rec_file f = {.file = r->step, .step = r->step, .path = path, .size = n, .sha256 = {sum, 32}};
    return append(r, PW_REC_FILE, &rec_file_schema, &f);
}

static int step(runner *r)
{
    static char text[TEXT_MAX];
    size_t n;
    int rc = 0;
    switch (r->phase) {
    case STEP_BEGIN: {
        rec_step_start s = {r->step, 1};
        r->pos = r->lines = 0;
        if ((rc = append(r, PW_REC_STEP_START, &rec_step_start_schema, &s)) == 0)
            r->phase = OUTPUT;
        break;
    }
    case OUTPUT:
        n = runner_text(r->job.attempt, r->run, r->step, text, sizeof(text));
        if (r->pos < n) {
            size_t k = 1 + (size_t)sim_pick(n - r->pos < 700 ? n - r->pos : 700);
            rc = output(r, text + r->pos, k);
        }
        if (rc == 0 && r->pos >= n) {
            r->phase = FILE_;
            r->pos = 0;
        }
        break;
    case FILE_:
        n = runner_file(r->job.attempt, r->run, r->step, text, sizeof(text));
        if (r->pos < n) {
            size_t k = 1 + (size_t)sim_pick(n - r->pos < 1500 ? n - r->pos : 1500);
            rc = piece(r, text + r->pos, k);
        } else if ((rc = whole_file(r, text, n)) == 0) {
            r->phase = STEP_DONE_;
        }
        break;
    case STEP_DONE_: {
        rec_step_end e = {.step = r->step, .result = PW_SUCCESS, .ran = true, .wall_ms = 2};
        if ((rc = append(r, PW_REC_STEP_END, &rec_step_end_schema, &e)) == 0) {
            r->step++;
            r->phase = r->step < STEPS ? STEP_BEGIN : END;
        }
        break;
    }
    case END: {
        rec_end e = {.result = (uint64_t)(r->cancel ? PW_CANCELLED : runner_result(r->job.attempt)),
                     .wall_ms = 3};
        if ((rc = append(r, PW_REC_END, &rec_end_schema, &e)) == 0) {
            r->phase = SYNC;
            if (!r->cancel)
                oracle_ended(r->job.attempt, journal_length(r->w));
        }
        break;
    }
    case SYNC:
        (void)journal_sync(r->w, NULL);
        note(r);
        sim_trace("w%d: attempt %llu has ended", r->worker, (unsigned long long)r->job.attempt);
        leave(r);
        break;
    default:
        break;
    }
    return rc;
}

static void run(runner *r)
{
    disk_process_set(r->process);
    if (r->phase == SPAWNED) {
        begin(r);
    } else if (r->phase == LOCKED) {
        start(r);
    } else if (step(r) < 0) {
        /* the disk refuses: again later; a runner that is held up for too long leaves, and the
         * agent writes the end */
        if (!r->full)
            r->full_since = sim_now;
        r->full = true;
    } else {
        r->full = false;
    }
    if (r->phase == LOCKED) {
        r->at = sim_now + (sim_chance(80) ? 0 : sim_between(0, 300 * MS));
    } else if (r->phase != GONE) {
        if (r->phase != SPAWNED)
            note(r);
        r->at = sim_now + (r->full          ? SEC
                           : sim_chance(95) ? sim_between(0, 120 * MS)
                                            : sim_between(SEC, 40 * SEC));
        if (r->cancel && r->phase != SYNC)
            r->at = sim_now + sim_between(0, 5 * MS);
        if ((r->full && sim_now - r->full_since > 60 * SEC) || disk_process_dead(r->process)) {
            oracle_excuse_attempt(r->job.attempt);
            disk_process_kill(r->process);
            leave(r);
        }
    }
    disk_process_set(-1);
}

bool runner_cancel(const char *spool_id, spool_job j)
{
    for (size_t i = 0; i < n_all; i++) {
        runner *r = &all[i];
        if (r->phase == GONE || r->phase <= LOCKED || r->phase == SYNC ||
            r->job.attempt != j.attempt || r->job.epoch != j.epoch ||
            strcmp(sim_workers[r->worker].home.id, spool_id) != 0)
            continue;
        if (r->phase != END) { /* what it is at is left off */
            r->cancel = true;
            r->phase = END;
            r->at = sim_now;
        }
        return true;
    }
    return false;
}

int __wrap_spool_control_send(const char *spool_id, spool_job j, spool_order order,
                              const char *text, pw_err *err);
int __wrap_spool_control_send(const char *spool_id, spool_job j, spool_order order,
                              const char *text, pw_err *err)
{
    (void)order;
    (void)text;
    return runner_cancel(spool_id, j) ? 0 : pw_fail(err, PW_ENOTFOUND, "no runner listens");
}

pw_usec runners_due(void)
{
    pw_usec due = NEVER;
    for (size_t i = 0; i < n_all; i++)
        if (all[i].phase != GONE && all[i].at < due)
            due = all[i].at;
    return due;
}

void runners_run(void)
{
    for (size_t i = 0; i < n_all; i++)
        if (all[i].phase != GONE && all[i].at <= sim_now)
            run(&all[i]);
}

static void die(runner *r)
{
    oracle_excuse_attempt(r->job.attempt);
    disk_process_kill(r->process);
    leave(r);
}

bool runners_kill_one(void)
{
    size_t alive[SIM_RUNNERS], n = 0;
    for (size_t i = 0; i < n_all; i++)
        if (all[i].phase != GONE)
            alive[n++] = i;
    if (n == 0)
        return false;
    runner *r = &all[alive[sim_pick(n)]];
    sim_trace("w%d: kill -9 of the runner of attempt %llu", r->worker,
              (unsigned long long)r->job.attempt);
    die(r);
    return true;
}

void runners_power_cut(int worker)
{
    for (size_t i = 0; i < n_all; i++)
        if (all[i].phase != GONE && all[i].worker == worker)
            die(&all[i]);
}

size_t runners_alive(int worker)
{
    size_t n = 0;
    for (size_t i = 0; i < n_all; i++)
        n += all[i].phase != GONE && all[i].worker == worker;
    return n;
}
