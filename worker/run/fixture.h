/* fixture.h - for the tests of this folder: a spool in a new folder, jobs in it, runners in
 * processes of their own, and a view of the journal that they leave. */
#ifndef PW_WORKER_RUN_FIXTURE_H
#define PW_WORKER_RUN_FIXTURE_H
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "worker/run/runner.h"

enum { FIX_STEPS = 8, FIX_JOURNAL_MAX = 64 * 1024 * 1024 };

typedef struct fix {
    char spool[64];
    /* names the runners' sockets, which all processes of the machine share: tests run side by side
     */
    char id[SPOOL_ID];
    run_host host;
    uint64_t attempt;
} fix;

static inline bool fix_open(fix *f)
{
    *f = (fix){.spool = "/tmp/pawl-run-test.XXXXXX"};
    if (!mkdtemp(f->spool))
        return false;
    PW_AUTO(pw_freep) char *jobs = pw_strf("%s/jobs", f->spool);
    (void)snprintf(f->id, sizeof(f->id), "%016llx%016llx",
                   (unsigned long long)pw_random_u64(&pw_host_real), (unsigned long long)getpid());
    f->host = (run_host){
        .clock = &pw_host_real,
        .spool = f->spool,
        .spool_id = f->id,
        .env = environ,
        .notes = spool_notes_open(f->spool, NULL),
        .retry = 10000,
        .give_up = 100000,
    };
    return jobs && pw_fs_mkdirs(jobs, 0755, NULL) == 0 && f->host.notes >= 0;
}

static inline void fix_close(fix *f)
{
    pw_closep(&f->host.notes);
    (void)pw_fs_remove_tree(f->spool, NULL);
}

static inline char *fix_dup(const char *s)
{
    return s ? strdup(s) : NULL;
}

/* A job of project p, builder b, with steps of a name and a script each, NULL-terminated. Zeroed on
 * failure. */
static inline bool fix_job(fix *f, job_spec *job, ...)
{
    va_list ap;
    const char *name;
    *job = (job_spec){.epoch = 1, .attempt = ++f->attempt, .build = 7, .try_no = 1};
    job->builder = fix_dup("b");
    job->project = fix_dup("p");
    job->steps.v = calloc(FIX_STEPS, sizeof(job_step));
    bool good = job->builder && job->project && job->steps.v;
    va_start(ap, job);
    while (good && (name = va_arg(ap, const char *)) && job->steps.n < FIX_STEPS) {
        job_step *s = (job_step *)job->steps.v + job->steps.n++;
        s->name = fix_dup(name);
        s->kind = fix_dup("run");
        s->script = fix_dup(va_arg(ap, const char *));
        good = s->name && s->kind;
    }
    va_end(ap);
    return good;
}

static inline job_step *fix_step(job_spec *job, size_t i)
{
    return (job_step *)job->steps.v + i;
}

static inline void fix_free_job(job_spec *job)
{
    pw_schema_clear(&job_spec_schema, job);
}

static inline spool_job fix_id(const job_spec *job)
{
    return (spool_job){.epoch = job->epoch, .attempt = job->attempt};
}

/* Writes both files as the agent does. */
static inline bool fix_spool(fix *f, const job_spec *job)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_JOB_MAX);
    PW_AUTO(pw_buf_clearp) pw_buf head = PW_BUF(4096);
    PW_AUTO(pw_freep) char *path = spool_path_job(f->spool, fix_id(job));
    PW_AUTO(pw_freep) char *jpath = spool_path_journal(f->spool, fix_id(job));
    uint8_t digest[32] = {1};
    rec_header h = {.format = 1,
                    .epoch = job->epoch,
                    .attempt = job->attempt,
                    .run = 5,
                    .digest = {.p = digest, .n = sizeof(digest)}};
    if (!path || !jpath || pw_schema_encode(&job_spec_schema, job, &b, NULL) < 0 ||
        pw_schema_encode(&rec_header_schema, &h, &head, NULL) < 0 ||
        pw_fs_replace(path, b.p, b.len, 0600, NULL) < 0)
        return false;
    PW_AUTO(journal_writer_freep) journal_writer *w = journal_create(jpath, NULL);
    struct iovec iov = {.iov_base = head.p, .iov_len = head.len};
    return w && journal_append(w, PW_REC_HEADER, 0, 0, &iov, 1, NULL) == 0;
}

/* A runner in a process of its own. It ends by exit(), so that leaks are seen. */
static inline pid_t fix_start(fix *f, const job_spec *job)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        int rc = runner_run(&f->host, fix_id(job), NULL);
        pw_schema_clear(&job_spec_schema, (void *)(uintptr_t)job);
        exit(rc < 0 ? 1 : 0);
    }
    return pid;
}

static inline int fix_wait(pid_t pid)
{
    int status = -1;
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status)
                                                                           : -1;
}

/* What a journal says. */
typedef struct fix_view {
    pw_buf journal;
    pw_buf log[FIX_STEPS][PW_STREAMS]; /* raw bytes, what was cut left out */
    uint64_t next[FIX_STEPS][PW_STREAMS],
        lines[FIX_STEPS][PW_STREAMS];           /* where the next frame has to begin */
    uint64_t cut[FIX_STEPS], cut_at[FIX_STEPS]; /* bytes left out, and where */
    rec_step_end step[FIX_STEPS];
    rec_start start;
    rec_end end;
    int started[FIX_STEPS], ended[FIX_STEPS], starts, ends, frames, packed;
    bool broken; /* a record that cannot be read, or a frame at a wrong place */
} fix_view;

static inline void fix_view_clear(fix_view *v)
{
    for (int i = 0; i < FIX_STEPS; i++) {
        pw_schema_clear(&rec_step_end_schema, &v->step[i]);
        for (int k = 0; k < PW_STREAMS; k++)
            pw_buf_clear(&v->log[i][k]);
    }
    pw_schema_clear(&rec_start_schema, &v->start);
    pw_schema_clear(&rec_end_schema, &v->end);
    pw_buf_clear(&v->journal);
}

static inline void fix_view_log(fix_view *v, zip_ctx *zip, const journal_rec *rec)
{
    rec_log l;
    if (rec_log_get(rec->payload, rec->len, &l, NULL) < 0 || l.step >= FIX_STEPS) {
        v->broken = true;
        return;
    }
    pw_buf *b = &v->log[l.step][l.stream];
    uint64_t *next = &v->next[l.step][l.stream], *line = &v->lines[l.step][l.stream];
    b->max = FIX_JOURNAL_MAX;
    char *to = pw_buf_room(b, l.raw_len);
    if (!to || (l.codec == PW_CODEC_ZSTD &&
                zip_unpack(zip, l.frame, l.frame_len, to, l.raw_len, NULL) < 0)) {
        v->broken = true;
        return;
    }
    if (l.codec == PW_CODEC_RAW)
        memcpy(to, l.frame, l.raw_len);
    b->len += l.raw_len;
    if (l.raw_pos != *next || l.lines != out_count((uint8_t *)to, l.raw_len) ||
        l.t_first_ms > l.t_last_ms)
        v->broken = true;
    /* after a cut the count of lines is the writer's word; else it must go on without a gap */
    if (l.first_line != *line && !v->cut[l.step])
        v->broken = true;
    *next = l.raw_pos + l.raw_len;
    *line = l.first_line + l.lines;
    v->frames++;
    v->packed += l.codec == PW_CODEC_ZSTD;
}

static inline void fix_view_record(fix_view *v, zip_ctx *zip, const journal_rec *rec)
{
    rec_step_end se;
    rec_step_start ss;
    rec_cut cut;
    switch (rec->kind) {
    case PW_REC_START:
        v->starts++;
        pw_schema_clear(&rec_start_schema, &v->start);
        v->broken |=
            pw_schema_decode(&rec_start_schema, rec->payload, rec->len, &v->start, NULL) < 0;
        break;
    case PW_REC_STEP_START:
        if (pw_schema_decode(&rec_step_start_schema, rec->payload, rec->len, &ss, NULL) == 0 &&
            ss.step < FIX_STEPS)
            v->started[ss.step]++;
        break;
    case PW_REC_LOG:
        fix_view_log(v, zip, rec);
        break;
    case PW_REC_CUT:
        if (pw_schema_decode(&rec_cut_schema, rec->payload, rec->len, &cut, NULL) < 0 ||
            cut.step >= FIX_STEPS || cut.position != v->next[cut.step][cut.stream]) {
            v->broken = true;
            break;
        }
        v->cut[cut.step] += cut.bytes;
        v->cut_at[cut.step] = cut.position;
        v->next[cut.step][cut.stream] += cut.bytes;
        break;
    case PW_REC_STEP_END:
        if (pw_schema_decode(&rec_step_end_schema, rec->payload, rec->len, &se, NULL) == 0 &&
            se.step < FIX_STEPS) {
            v->ended[se.step]++;
            pw_schema_clear(&rec_step_end_schema, &v->step[se.step]);
            v->step[se.step] = se;
        } else {
            v->broken = true;
        }
        break;
    case PW_REC_END:
        v->ends++;
        pw_schema_clear(&rec_end_schema, &v->end);
        v->broken |= pw_schema_decode(&rec_end_schema, rec->payload, rec->len, &v->end, NULL) < 0;
        break;
    default:
        v->broken |= rec->kind != PW_REC_HEADER;
    }
}

static inline bool fix_read(const char *path, fix_view *v)
{
    PW_AUTO(zip_freep) zip_ctx *zip = zip_new(1, NULL);
    journal_rec rec;
    uint32_t chain = 0;
    size_t at = 0;
    int n;
    *v = (fix_view){.journal = {.max = FIX_JOURNAL_MAX}};
    if (!zip || pw_fs_read(path, FIX_JOURNAL_MAX, &v->journal, NULL) < 0)
        return false;
    const uint8_t *p = (const uint8_t *)v->journal.p;
    while ((n = journal_parse(p + at, v->journal.len - at, chain, &rec, NULL)) > 0) {
        fix_view_record(v, zip, &rec);
        chain = rec.chain;
        at += (size_t)n;
    }
    return at == v->journal.len && !v->broken;
}

static inline bool fix_look(const fix *f, const job_spec *job, fix_view *v)
{
    PW_AUTO(pw_freep) char *path = spool_path_journal(f->spool, fix_id(job));
    *v = (fix_view){0};
    return path && fix_read(path, v);
}

/* Spools, runs and reads one job. */
static inline bool fix_run(fix *f, const job_spec *job, fix_view *v)
{
    *v = (fix_view){0};
    return fix_spool(f, job) && fix_wait(fix_start(f, job)) == 0 && fix_look(f, job, v);
}

static inline const char *fix_text(const fix_view *v, int step, int stream)
{
    return pw_buf_str(&v->log[step][stream]);
}

static inline bool fix_is(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}
#endif
