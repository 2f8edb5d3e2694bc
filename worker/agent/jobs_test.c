#include "worker/agent/jobs.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "shared/base/log.h"
#include "shared/job/record.h"
#include "tests/tap.h"
#include "worker/agent/home.h"

#define SECOND INT64_C(1000000)

typedef struct world {
    char dir[64];
    spool_home home;
    jobs *jobs;
    char started[SPOOL_JOB_NAME], swept[SPOOL_JOB_NAME];
    int starts, sweeps, grown, gone;
    bool no_runner;
} world;

static pw_usec now_us = 1000 * SECOND;
static pw_usec fake_now(void *self)
{
    (void)self;
    return now_us;
}
static pw_msec fake_wall(void *self)
{
    return pw_host_real.wall(self);
}
static void fake_random(void *self, void *p, size_t n)
{
    (void)self;
    memset(p, 5, n);
}
static const pw_host host = {fake_now, fake_wall, fake_random, NULL};

static int on_start(void *self, const char *name, pw_err *err)
{
    world *w = self;
    if (w->no_runner)
        return pw_fail(err, PW_EAGAIN, "no runner");
    w->starts++;
    (void)snprintf(w->started, sizeof(w->started), "%s", name);
    return 0;
}
static void on_sweep(void *self, const char *name)
{
    world *w = self;
    w->sweeps++;
    (void)snprintf(w->swept, sizeof(w->swept), "%s", name);
}
static void on_grown(void *self, agent_job *j)
{
    (void)j;
    ((world *)self)->grown++;
}
static void on_gone(void *self, agent_job *j)
{
    (void)j;
    ((world *)self)->gone++;
}
static const jobs_ops ops = {on_start, on_sweep, on_grown, on_gone};

static bool try_start(world *w, bool moved, bool other_boot)
{
    pw_err err = {0};
    w->jobs = jobs_free(w->jobs);
    w->starts = w->sweeps = w->grown = w->gone = 0;
    w->started[0] = w->swept[0] = '\0';
    w->jobs = jobs_new(&host, w->home.path, w->home.id, other_boot, &ops, w, &err);
    bool good = w->jobs && jobs_load(w->jobs, moved, &err) == 0;
    if (!good)
        printf("# %s\n", err.text);
    return good;
}

/* An agent starts (again) on the spool. In torture one allocation fails: the next try goes on. */
static bool start(world *w, bool moved, bool other_boot)
{
    return try_start(w, moved, other_boot) || try_start(w, moved, other_boot);
}

static bool set_up(world *w)
{
    (void)snprintf(w->dir, sizeof(w->dir), "/tmp/pawl-jobs-XXXXXX");
    w->home.lock = -1;
    return mkdtemp(w->dir) && home_open(w->dir, &w->home, NULL) == 0 && start(w, false, false);
}

static void tear_down(world *w)
{
    w->jobs = jobs_free(w->jobs);
    home_close(&w->home);
    (void)pw_fs_remove_tree(w->dir, NULL);
}

static char *path_of(const world *w, const char *place, spool_job id, const char *suffix)
{
    char name[SPOOL_JOB_NAME];
    return pw_strf("%s/%s/%s%s", w->dir, place, spool_job_name(id, name), suffix);
}

static bool exists(const world *w, const char *place, spool_job id, const char *suffix)
{
    PW_AUTO(pw_freep) char *p = path_of(w, place, id, suffix);
    return p && access(p, F_OK) == 0;
}

static const char job_text[] = "the job";
static agent_job *accept_job(world *w, spool_job id)
{
    uint8_t digest[CRYPT_HASH];
    agent_job *j = NULL;
    crypt_hash(job_text, sizeof(job_text), digest);
    (void)jobs_accept(w->jobs, id, digest, job_text, sizeof(job_text), NULL, &j, NULL);
    return j;
}

/* What a runner writes. */
static bool append(const world *w, spool_job id, uint8_t kind, const char *payload)
{
    PW_AUTO(pw_freep) char *p = spool_path_journal(w->dir, id);
    PW_AUTO(journal_writer_freep) journal_writer *j = p ? journal_open_append(p, NULL) : NULL;
    struct iovec iov = {(void *)(uintptr_t)payload, strlen(payload)};
    return j && journal_append(j, kind, 0, 77, &iov, 1, NULL) == 0;
}

static bool add_bytes(const char *path, const void *p, size_t n)
{
    PW_AUTO(pw_closep) int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    return fd >= 0 && write(fd, p, n) == (ssize_t)n;
}

/* The last record of a journal as an end; result -1: it is none. */
static int end_of(const world *w, spool_job id, char *reason, size_t cap, int *records)
{
    PW_AUTO(pw_freep) char *p = spool_path_journal(w->dir, id);
    PW_AUTO(journal_reader_freep) journal_reader *r = p ? journal_open_read(p, NULL) : NULL;
    uint8_t buf[8192];
    uint32_t chain = 0, at = 0;
    int64_t n = r ? journal_read(r, 0, &chain, buf, sizeof(buf), NULL) : -1;
    journal_rec rec = {0};
    rec_end end = {0};
    *records = 0;
    chain = 0;
    while (n > 0 && at < (size_t)n &&
           journal_parse(buf + at, (size_t)n - at, chain, &rec, NULL) > 0) {
        at += (uint32_t)rec.size;
        chain = rec.chain;
        (*records)++;
    }
    reason[0] = '\0';
    if (rec.kind != PW_REC_END ||
        pw_schema_decode(&rec_end_schema, rec.payload, rec.len, &end, NULL) < 0)
        return -1;
    (void)snprintf(reason, cap, "%s", end.reason ? end.reason : "");
    int result = (int)end.result;
    pw_schema_clear(&rec_end_schema, &end);
    return result;
}

static void accepting(world *w)
{
    spool_job id = {7, 1}, other = {8, 1};
    uint8_t digest[CRYPT_HASH] = {0};
    agent_job *j = accept_job(w, id), *twice = NULL;
    ok(j && j->state == PW_JOB_SPOOLED && j->whole > 0, "accepted");
    if (!j)
        return;
    ok(exists(w, "jobs", id, ".job") && exists(w, "jobs", id, ".journal"), "both files are there");
    ok(w->starts == 1 && !strcmp(w->started, "0000000000000007-1"), "a runner is asked for");
    PW_AUTO(pw_freep) char *path = path_of(w, "jobs", id, ".journal");
    ok(path && journal_lock_free(path), "the lock is free for it");
    ok(jobs_accept(w->jobs, id, digest, "x", 1, NULL, &twice, NULL) == PW_ECONFLICT &&
           w->starts == 1,
       "the same id: nothing starts");
    ok(jobs_find(w->jobs, id) == j && !jobs_find(w->jobs, other), "another epoch is another job");
    ok(jobs_live(w->jobs) == 1 && jobs_open(w->jobs) == 1, "it takes a slot");
    PW_AUTO(journal_writer_freep)
    journal_writer *runner = path ? journal_open_append(path, NULL) : NULL;
    char byte[] = "s";
    struct iovec iov = {byte, 1};
    ok(runner && journal_append(runner, PW_REC_START, 0, 1, &iov, 1, NULL) == 0,
       "the runner starts");
    jobs_poll(w->jobs);
    ok(j && j->state == PW_JOB_RUNNING, "seen without a note");
    ok(runner && journal_append(runner, PW_REC_END, 0, 1, &iov, 1, NULL) == 0, "the runner ends");
    jobs_note(w->jobs, id, 100000);
    ok(w->grown > 0 && j && j->size == 100000, "a note tells of growth");
    jobs_poll(w->jobs);
    ok(j && j->state == PW_JOB_ENDED && jobs_live(w->jobs) == 0 && w->sweeps == 0,
       "its end is seen, its slot is free");
    jobs_forget(w->jobs, j);
    ok(exists(w, "kept", id, ".job") && exists(w, "kept", id, ".journal") &&
           !exists(w, "jobs", id, ".journal"),
       "kept aside");
    ok(j && jobs_find(w->jobs, id) == j && j->state == PW_JOB_KEPT && jobs_open(w->jobs) == 0,
       "and still known");
    ok(jobs_accept(w->jobs, id, digest, "x", 1, NULL, &twice, NULL) == PW_ECONFLICT,
       "a forgotten id starts nothing");
    ok(jobs_take_back(w->jobs, j, NULL) == 0 && j->state == PW_JOB_ENDED &&
           exists(w, "jobs", id, ".job"),
       "taken back");
    jobs_forget(w->jobs, j);
    now_us += JOBS_KEEP - 1;
    jobs_expire(w->jobs, UINT64_MAX);
    ok(jobs_find(w->jobs, id), "kept to the last microsecond");
    now_us += 1;
    jobs_expire(w->jobs, UINT64_MAX);
    ok(!jobs_find(w->jobs, id) && !exists(w, "kept", id, ".journal") &&
           !exists(w, "kept", id, ".job"),
       "gone after a day");
}

static void given_again(world *w)
{
    spool_job id = {7, 2};
    w->starts = 0;
    agent_job *j = accept_job(w, id);
    ok(j && w->starts == 1, "given");
    now_us += JOBS_GIVE_AGAIN - 1;
    jobs_poll(w->jobs);
    ok(w->starts == 1, "not before its time");
    now_us += 1;
    jobs_poll(w->jobs);
    ok(w->starts == 2, "given again when no start record came");
    jobs_poll(w->jobs);
    ok(w->starts == 2, "once");
    w->no_runner = true;
    now_us += JOBS_GIVE_AGAIN;
    jobs_poll(w->jobs);
    w->no_runner = false;
    jobs_poll(w->jobs);
    ok(w->starts == 3, "a zygote that could not take it gets it with the next poll");
    PW_AUTO(pw_freep) char *path = path_of(w, "jobs", id, ".journal");
    PW_AUTO(journal_writer_freep)
    journal_writer *runner = path ? journal_open_append(path, NULL) : NULL;
    now_us += JOBS_GIVE_AGAIN;
    jobs_poll(w->jobs);
    ok(w->starts == 3, "a runner that holds the lock is left alone");
    runner = journal_writer_free(runner);
    if (j)
        jobs_cancel(w->jobs, j, "by ada");
    char why[200];
    int records;
    ok(end_of(w, id, why, sizeof(why), &records) == PW_CANCELLED && !strcmp(why, "by ada"),
       "cancelled before it started");
    ok(records == 3 && j && j->started && j->state == PW_JOB_ENDED,
       "with a start record, so that no runner begins it");
}

static void dead_runner(world *w)
{
    spool_job id = {7, 3};
    char why[200], raw[5] = {1, 2, 3, 4, 5};
    int records;
    agent_job *j = accept_job(w, id);
    ok(j && append(w, id, PW_REC_START, "s") && append(w, id, PW_REC_STEP_START, "t"),
       "a runner starts and dies");
    PW_AUTO(pw_freep) char *path = path_of(w, "jobs", id, ".journal");
    ok(path && add_bytes(path, raw, sizeof(raw)), "in the midst of a record");
    w->sweeps = 0;
    jobs_poll(w->jobs);
    ok(j && j->state == PW_JOB_ENDED, "noticed by its free lock");
    ok(end_of(w, id, why, sizeof(why), &records) == PW_EXCEPTION &&
           !strcmp(why, "the runner died") && records == 4,
       "the torn tail is cut, the end is an exception: %s", why);
    ok(w->sweeps == 1 && !strcmp(w->swept, "0000000000000007-3"), "what it left is killed");
    jobs_poll(w->jobs);
    ok(w->sweeps == 1 && end_of(w, id, why, sizeof(why), &records) == PW_EXCEPTION && records == 4,
       "once");

    spool_job live = {7, 4};
    agent_job *k = accept_job(w, live);
    PW_AUTO(pw_freep) char *lp = path_of(w, "jobs", live, ".journal");
    PW_AUTO(journal_writer_freep)
    journal_writer *runner = lp ? journal_open_append(lp, NULL) : NULL;
    struct iovec iov = {raw, 1};
    ok(runner && journal_append(runner, PW_REC_START, 0, 1, &iov, 1, NULL) == 0,
       "another one runs");
    jobs_poll(w->jobs);
    ok(k && k->state == PW_JOB_RUNNING && w->sweeps == 1,
       "and is left alone while it holds its lock");
    if (k)
        jobs_cancel(w->jobs, k, "x");
    ok(k && k->state == PW_JOB_RUNNING && k->cancel && !k->told,
       "no order reaches it: nothing is written beside it");
    if (k)
        jobs_forget(w->jobs, k);
    ok(k && k->state == PW_JOB_RUNNING && k->forget, "a running job is not moved away");
    runner = journal_writer_free(runner);
    jobs_poll(w->jobs);
    ok(k && k->state == PW_JOB_KEPT && exists(w, "kept", live, ".journal"),
       "it goes when it has ended");
}

/* Something stands in the way of its files, and goes away. */
static void held_later(world *w)
{
    static const char *const suffix[] = {".journal", ".job"};
    if (!start(w, false, false))
        return;
    for (unsigned i = 0; i < 2; i++) {
        spool_job id = {7, 20 + i};
        agent_job *j = accept_job(w, id);
        PW_AUTO(pw_freep) char *in_the_way = path_of(w, "held", id, suffix[i]);
        if (!j || !in_the_way || mkdir(in_the_way, 0700) < 0)
            return;
        jobs_hold(w->jobs, j);
        jobs_poll(w->jobs);
        ok(j->state == PW_JOB_SPOOLED, "a job whose %s cannot be moved is not held yet", suffix[i]);
        (void)rmdir(in_the_way);
        jobs_poll(w->jobs);
        ok(j->state == PW_JOB_HELD && exists(w, "held", id, ".journal") &&
               exists(w, "held", id, ".job"),
           "but as soon as it can be");
    }
}

static void told_runner(world *w)
{
    spool_job id = {7, 5};
    char text[SPOOL_TEXT_MAX + 1] = "", why[200];
    spool_order order = (spool_order)0;
    int records;
    agent_job *j = accept_job(w, id);
    PW_AUTO(pw_freep) char *path = path_of(w, "jobs", id, ".journal");
    PW_AUTO(journal_writer_freep)
    journal_writer *runner = path ? journal_open_append(path, NULL) : NULL;
    PW_AUTO(pw_closep) int fd = spool_control_bind(w->home.id, id, NULL);
    if (!j || !runner || fd < 0)
        return;
    jobs_cancel(w->jobs, j, "by grace");
    ok(spool_control_get(fd, &order, text) && order == SPOOL_CANCEL && !strcmp(text, "by grace"),
       "the runner gets the order");
    jobs_poll(w->jobs);
    ok(!spool_control_get(fd, &order, text), "once");
    pw_closep(&fd);
    runner = journal_writer_free(runner);
    jobs_poll(w->jobs);
    ok(end_of(w, id, why, sizeof(why), &records) == PW_CANCELLED,
       "it died before it could obey: cancelled all the same");
}

static void restart(world *w)
{
    spool_job fresh = {9, 1}, running = {9, 2}, ended = {9, 3}, torn = {9, 4}, bad = {9, 5},
              lone = {9, 6}, alive = {9, 7};
    (void)start(w, false, false);
    (void)accept_job(w, fresh);
    (void)accept_job(w, running);
    (void)accept_job(w, ended);
    (void)accept_job(w, bad);
    (void)accept_job(w, alive);
    bool good = append(w, running, PW_REC_START, "s") && append(w, ended, PW_REC_START, "s") &&
                append(w, ended, PW_REC_END, "e");
    PW_AUTO(pw_freep) char *torn_path = path_of(w, "jobs", torn, ".journal");
    PW_AUTO(pw_freep) char *torn_job = path_of(w, "jobs", torn, ".job");
    PW_AUTO(pw_freep) char *bad_job = path_of(w, "jobs", bad, ".job");
    PW_AUTO(pw_freep) char *lone_job = path_of(w, "jobs", lone, ".job");
    PW_AUTO(pw_freep) char *temp = path_of(w, "jobs", lone, ".journal.Xy12Zz");
    PW_AUTO(pw_freep) char *alive_path = path_of(w, "jobs", alive, ".journal");
    if (!torn_path || !torn_job || !bad_job || !lone_job || !temp || !alive_path)
        return;
    good = good && !pw_fs_replace(torn_path, "\x20\0\0", 3, 0600, NULL) &&
           !pw_fs_replace(torn_job, "j", 1, 0600, NULL) &&
           !pw_fs_replace(bad_job, "half", 4, 0600, NULL) &&
           !pw_fs_replace(lone_job, "j", 1, 0600, NULL) && !pw_fs_replace(temp, "", 0, 0600, NULL);
    PW_AUTO(journal_writer_freep) journal_writer *runner = journal_open_append(alive_path, NULL);
    struct iovec iov = {temp, 1};
    ok(good && runner && journal_append(runner, PW_REC_START, 0, 1, &iov, 1, NULL) == 0,
       "a spool of all kinds");
    if (!start(w, false, false))
        return;
    const agent_job *j = jobs_find(w->jobs, fresh);
    ok(j && j->state == PW_JOB_SPOOLED && w->starts == 1 &&
           !strcmp(w->started, "0000000000000009-1"),
       "not started: given again");
    j = jobs_find(w->jobs, running);
    char why[200];
    int records;
    ok(j && j->state == PW_JOB_ENDED &&
           end_of(w, running, why, sizeof(why), &records) == PW_EXCEPTION,
       "runner died: rescued");
    j = jobs_find(w->jobs, ended);
    ok(j && j->state == PW_JOB_ENDED && j->whole == j->size && j->whole > 0,
       "ended: listed with its length");
    j = jobs_find(w->jobs, alive);
    ok(j && j->state == PW_JOB_RUNNING, "its runner lives: running");
    ok(!jobs_find(w->jobs, torn) && access(torn_path, F_OK) && access(torn_job, F_OK),
       "a torn header: removed");
    ok(!jobs_find(w->jobs, bad) && !exists(w, "jobs", bad, ".journal"),
       "never started, job file not whole: removed");
    ok(access(lone_job, F_OK) && access(temp, F_OK), "what was half made is cleared away");
    runner = journal_writer_free(runner);
    (void)start(w, true, true);
    j = jobs_find(w->jobs, fresh);
    ok(j && j->state == PW_JOB_HELD && exists(w, "held", fresh, ".job") && w->starts == 0,
       "another machine: held, not started");
    ok(jobs_live(w->jobs) == 0 && TAILQ_EMPTY(jobs_list(w->jobs, PW_JOB_RUNNING)) &&
           jobs_open(w->jobs) >= 4,
       "held jobs take no slot");
    (void)start(w, false, true);
    j = jobs_find(w->jobs, fresh);
    ok(j && j->state == PW_JOB_HELD, "and stay held");
    now_us += JOBS_HOLD;
    jobs_expire(w->jobs, UINT64_MAX);
    ok(!jobs_find(w->jobs, fresh) && jobs_open(w->jobs) == 0, "until nobody asked for long");
}

static bool flip(const char *path, off_t at)
{
    char c = 0;
    PW_AUTO(pw_closep) int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || pread(fd, &c, 1, at) != 1)
        return false;
    c = (char)(c ^ 0x40);
    return pwrite(fd, &c, 1, at) == 1;
}

static void damage(world *w)
{
    spool_job a = {11, 1}, b = {11, 2};
    char why[200];
    int records;
    (void)start(w, false, false);
    agent_job *j = accept_job(w, a), *k = accept_job(w, b);
    PW_AUTO(pw_freep) char *pa = path_of(w, "jobs", a, ".journal");
    PW_AUTO(pw_freep) char *pb = path_of(w, "jobs", b, ".journal");
    if (!j || !k || !pa || !pb)
        return;
    off_t at = (off_t)j->whole;
    bool good = true;
    for (int i = 0; i < 4; i++)
        good = good && append(w, a, i ? PW_REC_NOTE : PW_REC_START, "payload") &&
               append(w, b, i ? PW_REC_NOTE : PW_REC_START, "payload");
    off_t one = JOURNAL_HEAD + 7 + JOURNAL_TAIL;
    ok(good && flip(pa, at + one + 20) && flip(pb, at + one + 20), "a byte inside goes bad");
    jobs_poll(w->jobs);
    ok(end_of(w, a, why, sizeof(why), &records) == PW_EXCEPTION &&
           !strcmp(why, "the journal is damaged") && records == 3,
       "same boot: what is good before it, and an exception");
    ok(exists(w, "held", a, ".journal.damaged"), "the file is kept");
    (void)unlink(pb);
    j = accept_job(w, (spool_job){11, 3});
    PW_AUTO(pw_freep) char *pc = path_of(w, "jobs", (spool_job){11, 3}, ".journal");
    if (!j || !pc)
        return;
    at = (off_t)j->whole;
    for (int i = 0; i < 4; i++)
        good = good && append(w, (spool_job){11, 3}, i ? PW_REC_NOTE : PW_REC_START, "payload");
    ok(good && flip(pc, at + one + 20) && start(w, false, true),
       "the same, then the machine starts anew");
    ok(end_of(w, (spool_job){11, 3}, why, sizeof(why), &records) == PW_EXCEPTION && records == 3 &&
           !exists(w, "held", (spool_job){11, 3}, ".journal.damaged"),
       "another boot: cut there");
    j = accept_job(w, (spool_job){11, 4});
    PW_AUTO(pw_freep) char *pd = path_of(w, "jobs", (spool_job){11, 4}, ".journal");
    for (int i = 0; j && i < 4; i++)
        good = good && append(w, j->id, i ? PW_REC_NOTE : PW_REC_START, "payload");
    ok(j && pd && good && flip(pd, 20) && start(w, false, true) &&
           !jobs_find(w->jobs, (spool_job){11, 4}) && access(pd, F_OK) < 0,
       "bad from its first record on, with others behind: no runner could begin it, so it goes");
}

/* As if n jobs had been forgotten before; links of one file are cheap. */
static bool make_kept(const world *w, uint64_t n)
{
    PW_AUTO(pw_freep) char *one = pw_path_join(w->dir, "one");
    bool good = one && pw_fs_replace(one, "x", 1, 0600, NULL) == 0;
    for (uint64_t i = 1; good && i <= n; i++) {
        PW_AUTO(pw_freep) char *p = path_of(w, "kept", (spool_job){20, i}, ".journal");
        good = p && link(one, p) == 0;
    }
    return good;
}

static void kept_bound(world *w)
{
    (void)start(w, false, false);
    jobs_expire(w->jobs, 0);
    bool good = make_kept(w, JOBS_KEPT_MAX - 3) && start(w, false, false);
    now_us += SECOND;
    for (uint64_t i = 0; good && i < 5; i++) {
        agent_job *k = accept_job(w, (spool_job){21, i});
        good = k && append(w, k->id, PW_REC_START, "s") && append(w, k->id, PW_REC_END, "e");
        jobs_poll(w->jobs);
        if (good)
            jobs_forget(w->jobs, k);
    }
    size_t n = 0;
    const agent_job *j;
    TAILQ_FOREACH(j, jobs_list(w->jobs, PW_JOB_KEPT), link)
    n++;
    ok(good && n == JOBS_KEPT_MAX, "new jobs take the files of the oldest beyond that");
    ok(!jobs_find(w->jobs, (spool_job){20, 2}) && jobs_find(w->jobs, (spool_job){20, 3}),
       "the oldest go");
    ok(start(w, false, false) && jobs_find(w->jobs, (spool_job){20, 3}) && w->starts == 0,
       "known after a restart too");
    jobs_expire(w->jobs, 0);
    ok(TAILQ_EMPTY(jobs_list(w->jobs, PW_JOB_KEPT)) &&
           !exists(w, "kept", (spool_job){21, 4}, ".job"),
       "room is needed: all go");
    const spool_job id = {22, 1};
    PW_AUTO(pw_freep) char *journal = path_of(w, "kept", id, ".journal");
    PW_AUTO(pw_freep) char *job = path_of(w, "jobs", id, ".job");
    ok(journal && job && pw_fs_replace(journal, "x", 1, 0600, NULL) == 0 &&
           pw_fs_replace(job, "x", 1, 0600, NULL) == 0 && start(w, false, false) &&
           !exists(w, "jobs", id, ".job") && exists(w, "kept", id, ".job"),
       "killed between the two files of a job that is moved: the move is ended");
}

static void home(world *w)
{
    spool_home again = {.lock = -1};
    pw_err err = {0};
    ok(home_open(w->dir, &again, &err) == PW_ECONFLICT &&
           strstr(err.text, "another agent uses this spool"),
       "one agent a spool");
    char id[SPOOL_ID];
    memcpy(id, w->home.id, sizeof(id));
    ok(home_mark(&w->home, "mark", 4, NULL) == 0 && home_epoch(&w->home, UINT64_MAX, NULL) == 0,
       "a mark and an epoch are kept");
    home_close(&w->home);
    ok(home_open(w->dir, &w->home, NULL) == 0 && !strcmp(id, w->home.id) && !w->home.moved &&
           !w->home.other_boot,
       "the same spool");
    ok(w->home.mark_n == 4 && !memcmp(w->home.mark, "mark", 4) && w->home.epoch == UINT64_MAX,
       "with them");
    PW_AUTO(pw_freep) char *machine = pw_path_join(w->dir, "machine");
    PW_AUTO(pw_freep) char *boot = pw_path_join(w->dir, "boot");
    if (!machine || !boot || access(machine, F_OK) != 0)
        return;
    home_close(&w->home);
    (void)pw_fs_replace(machine, "other\n", 6, 0600, NULL);
    (void)pw_fs_replace(boot, "other\n", 6, 0600, NULL);
    ok(home_open(w->dir, &w->home, NULL) == 0 && w->home.moved && w->home.other_boot &&
           strcmp(id, w->home.id) != 0,
       "on another machine it is another spool");
    ok(home_settled(&w->home, NULL) == 0, "settled");
    home_close(&w->home);
    ok(home_open(w->dir, &w->home, NULL) == 0 && !w->home.moved, "from then on it is its own");
}

int main(void)
{
    world w = {.home = {.lock = -1}};
    pw_log_open(PW_LOG_ERROR, -1);
    if (crypt_init(NULL) < 0 || !set_up(&w)) {
        ok(false, "set up");
        tear_down(&w);
        return tap_done();
    }
    home(&w);
    if (w.home.path && start(&w, false, false)) {
        accepting(&w);
        given_again(&w);
        dead_runner(&w);
        told_runner(&w);
        restart(&w);
        damage(&w);
        kept_bound(&w);
        held_later(&w);
    }
    tear_down(&w);
    return tap_done();
}
