#include "worker/run/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/closed.h"
#include "shared/base/fault.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"
#include "worker/run/alone.h"
#include "worker/run/cond.h"
#include "worker/run/inside.h"
#include "worker/run/kept.h"
#include "worker/run/kinds.h"
#include "worker/run/steps.h"
#include "worker/run/workdir.h"

enum { GROUP_WAIT_US = 2000000 }; /* for the kernel to say that the killed are gone */

/* Results of the steps as they come. */
typedef struct outcome {
    pw_result *result;                              /* owned */
    pw_flags *flags;                                /* owned */
    char reason[RUN_REASON_MAX + PW_NAME_MAX + 16]; /* of the first bad step */
    bool left_out; /* a step did not run because the job was over */
} outcome;

void run_listen(run_job *r)
{
    struct signalfd_siginfo si;
    char text[SPOOL_TEXT_MAX + 1];
    spool_order order;
    while (read(r->signals, &si, sizeof(si)) == (ssize_t)sizeof(si))
        if (si.ssi_signo != SIGCHLD)
            r->stopped = (int)si.ssi_signo;
    while (r->control >= 0 && spool_control_get(r->control, &order, text)) {
        if (order == SPOOL_NOTE)
            trigger_told(r, text);
        if (order != SPOOL_CANCEL || r->cancelled)
            continue;
        r->cancelled = true;
        memcpy(r->cancel_text, text[0] ? text : "cancelled",
               text[0] ? strlen(text) + 1 : sizeof("cancelled"));
    }
}

/* The process as a runner needs it. Steps get default signals from the spawner. */
static int become_runner(run_job *r, pw_err *err)
{
    sigset_t set;
    (void)setsid(); /* fails for the leader of a group, on a terminal: then it stays in that session
                     */
    (void)umask(022);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return pw_fail_sys(err, "cannot become the reaper of the steps' processes");
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a limit on file size is a full disk, not a death */
    (void)signal(SIGCHLD, SIG_DFL); /* ignored, children could not be waited for */
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGCHLD);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return pw_fail_sys(err, "cannot block signals");
    r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return r->signals < 0 ? pw_fail_sys(err, "cannot make a signalfd") : 0;
}

static int read_job(run_job *r, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = spool_path_job(r->host->spool, r->id);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_JOB_MAX);
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int rc = pw_fs_read(path, PW_JOB_MAX, &b, err);
    if (rc == 0)
        rc = pw_schema_decode(&job_spec_schema, b.p, b.len, &r->spec, err);
    if (rc == 0 && (r->spec.epoch != r->id.epoch || r->spec.attempt != r->id.attempt))
        rc = pw_fail(err, PW_EINVAL, "job %s is another one by its content", r->name);
    return rc;
}

/* The values of its secrets: the file is gone before it is used, so that whatever happens from here
 * on it is read once. */
static int take_secrets(run_job *r, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = spool_path_secrets(r->host->spool, r->id);
    PW_AUTO(pw_freep) uint8_t *bytes = malloc(PW_JOB_SECRETS_MAX);
    if (!path || !bytes)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    pw_closed();
    PW_AUTO(pw_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return pw_fail(err, PW_ENOTFOUND,
                       "the secrets of this job are not here any more: they are kept for one start "
                       "only");
    if (fd < 0)
        return pw_fail_sys(err, "cannot read the secrets of this job");
    ssize_t n = read(fd, bytes, PW_JOB_SECRETS_MAX);
    if (n < 0 || unlink(path) < 0)
        return pw_fail_sys(err, "cannot take the secrets of this job");
    if (pw_fault("run.secrets"))
        return pw_fail(err, PW_ESYS, "cannot take the secrets of this job: fault asked for");
    int rc = pw_schema_decode(&job_secrets_schema, bytes, (size_t)n, &r->secrets, NULL);
    explicit_bzero(bytes, (size_t)n);
    if (rc < 0 || r->secrets.epoch != r->id.epoch || r->secrets.attempt != r->id.attempt)
        return pw_fail(err, PW_ECORRUPT, "the file with the secrets of this job is damaged");
    return 0;
}

static int mask_secrets(run_job *r, pw_err *err)
{
    const msg_secret *s = r->secrets.secrets.v;
    for (size_t i = 0; i < r->secrets.secrets.n; i++) {
        int rc = mask_set_add(r->mask, s[i].value.p, s[i].value.n, err);
        if (rc == 0 && memchr(s[i].value.p, '\0', s[i].value.n))
            rc = pw_fail(err, PW_EINVAL, "a value with zero bytes cannot be in an environment");
        if (rc < 0) {
            (void)pw_err_context(err, "secret \"%s\"", s[i].name);
            return rc;
        }
    }
    return 0;
}

/* The group that its processes will live in. What the machine cannot do for all jobs was told when
 * the agent started; here something failed that worked before. */
static int make_group(run_job *r, pw_err *err)
{
    const run_host *h = r->host;
    char name[CGROUP_NAME];
    pw_err why = {0};
    if (!h->cgroup || h->cgroup->kind == CGROUP_NONE)
        return 0;
    int rc = cgroup_name(h->spool_id, r->name, name)
                 ? cgroup_job_open(h->cgroup, name, &h->limits, &r->group, &why)
                 : pw_fail(&why, PW_ELIMIT, "the name of the control group is too long");
    if (rc == 0 && pw_fault("cgroup.made")) {
        (void)cgroup_job_close(&r->group, 0);
        rc = pw_fail(&why, PW_ESYS, "making the control group: fault asked for");
    }
    if (rc < 0 && h->cgroup_must) {
        if (err)
            *err = why;
        return rc;
    }
    if (rc < 0)
        pw_log_err(PW_LOG_WARN, "job_without_cgroup", &why);
    return 0;
}

/* All that a job needs before its first step. What fails here is the job's result. */
static int prepare(run_job *r, pw_err *err)
{
    const uint64_t most = 1000ULL * 365 * 24 * 3600 * 1000;
    int rc = read_job(r, err);
    if (rc == 0 && r->spec.secrets.n)
        rc = take_secrets(r, err);
    if (rc == 0)
        rc = mask_secrets(r, err);
    if (rc < 0)
        return rc;
    alone_begin(r);
    r->control = spool_control_bind(r->host->spool_id, r->id, err);
    if (r->control < 0)
        return r->control;
    r->work_lock = workdir_take(r->host->spool, r->spec.project, r->spec.builder, r->spec.untrusted,
                                pw_wall(r->host->clock), &r->workdir, err);
    if (r->work_lock < 0)
        return r->work_lock;
    if (!(r->tmpdir = workdir_tmp(r->workdir, err)))
        return err->code;
    if ((rc = inside_open(r, err)) < 0 || (rc = make_group(r, err)) < 0)
        return rc;
    uint64_t ms = r->spec.timeout_ms;
    if (ms)
        r->deadline = r->writer.start + (pw_usec)(ms < most ? ms : most) * 1000;
    return 0;
}

static uint64_t wall(const run_job *r)
{
    return (uint64_t)pw_wall(r->host->clock);
}

static int write_start(run_job *r, pw_err *err)
{
    rec_start rec = {.pid = (uint64_t)getpid(), .wall_ms = wall(r), .workdir = r->workdir};
    return writer_record(&r->writer, PW_REC_START, &rec_start_schema, &rec, err);
}

static int write_step_end(run_job *r, size_t i, const step_result *s, bool ran, pw_err *err)
{
    rec_step_end rec = {
        .step = i,
        .result = (uint64_t)s->result,
        .ran = ran,
        .exit_code = s->exit_code,
        .signal = s->signal,
        .reason = s->reason[0] ? (char *)(uintptr_t)s->reason : NULL,
        .wall_ms = wall(r),
        .cpu_ms = s->cpu_ms,
        .max_rss = s->max_rss,
        .read_bytes = s->read_bytes,
        .write_bytes = s->write_bytes,
    };
    for (int k = 0; k < PW_STREAMS && ran; k++) {
        const out_stream *o = &r->stream[k];
        if (o->shared && o->step == i) {
            rec.lines += out_lines(o);
            rec.bytes += out_bytes(o);
        }
    }
    return writer_record(&r->writer, PW_REC_STEP_END, &rec_step_end_schema, &rec, err);
}

static bool bad(pw_result r)
{
    return r != PW_SUCCESS && r != PW_WARNINGS && r != PW_SKIPPED;
}

/* Whether its `if` lets it run; what cannot be told is an exception. */
static bool wanted(const run_job *r, size_t i, const outcome *o, step_result *res)
{
    const job_step *s = (const job_step *)r->spec.steps.v + i;
    pw_result so_far = pw_result_build(o->result, o->flags, i);
    pw_err err = {0};
    bool holds = true;
    if (cond_holds(&r->spec, s, so_far, &holds, &err) < 0) {
        step_fail_err(res, PW_EXCEPTION, &err);
        mask_text(r->mask, res->reason);
    } else if (!holds) {
        step_fail(res, PW_SKIPPED, "if: %s", s->cond);
    } else {
        return true;
    }
    return false;
}

static int one_step(run_job *r, size_t i, bool *halted, outcome *o, pw_err *err)
{
    const job_step *s = (const job_step *)r->spec.steps.v + i;
    step_result res = {.result = PW_SKIPPED};
    r->step = i;
    run_listen(r);
    alone_look(r);
    if (r->deadline && pw_now(r->host->clock) >= r->deadline)
        r->timed_out = true;
    o->flags[i] = job_step_flags(s);
    bool run = pw_step_runs(*halted, o->flags[i]);
    if (run && run_over(r)) {
        o->left_out = true;
        run = false;
    }
    if (run)
        run = wanted(r, i, o, &res);
    if (run) {
        rec_step_start rec = {.step = i, .wall_ms = wall(r)};
        int rc = writer_record(&r->writer, PW_REC_STEP_START, &rec_step_start_schema, &rec, err);
        if (rc == 0 && pw_fault("run.step_started"))
            rc = pw_fail(err, PW_ESYS, "fault point run.step_started");
        if (rc < 0)
            return rc;
        step_run(r, i, &res);
    }
    o->result[i] = res.result;
    if (pw_result_halts(res.result, o->flags[i]))
        *halted = true;
    if (bad(res.result) && r->bad_step == SIZE_MAX)
        r->bad_step = i;
    if (bad(res.result) && !o->reason[0])
        (void)snprintf(o->reason, sizeof(o->reason), "step \"%s\": %s", s->name, res.reason);
    int rc = write_step_end(r, i, &res, run, err);
    return rc == 0 && pw_fault("run.step_ended")
               ? pw_fail(err, PW_ESYS, "fault point run.step_ended")
               : rc;
}

/* What ends a job from outside counts whatever the flags of the step that it met. */
static void outside_causes(const run_job *r, const outcome *o, size_t n, rec_end *end, char *text,
                           size_t room)
{
    pw_result cause = PW_SUCCESS;
    bool met = o->left_out;
    for (size_t i = 0; i < n; i++)
        met = met || o->result[i] == PW_CANCELLED;
    if (r->timed_out)
        cause = PW_FAILURE;
    if (r->no_room || r->stopped || r->forsaken)
        cause = PW_EXCEPTION;
    if (r->cancelled && met)
        cause = PW_CANCELLED;
    if (cause == PW_SUCCESS)
        return;
    end->result = (uint64_t)pw_result_worst((pw_result)end->result, cause);
    if (text[0])
        return;
    if (cause == PW_CANCELLED)
        (void)snprintf(text, room, "%s", r->cancel_text);
    else if (r->no_room)
        (void)snprintf(text, room, "no room in the spool");
    else if (r->forsaken)
        alone_text(r, text, room);
    else if (r->stopped)
        (void)snprintf(text, room, "the runner was told to end by signal %d", r->stopped);
    else
        (void)snprintf(text, room, "job timeout");
}

static void all_steps(run_job *r, rec_end *end, char *text, size_t room)
{
    size_t n = r->spec.steps.n;
    outcome o = {.result = calloc(n + 1, sizeof(*o.result)),
                 .flags = calloc(n + 1, sizeof(*o.flags))};
    pw_err err = {0};
    bool halted = false;
    int rc = o.result && o.flags ? 0 : pw_fail(&err, PW_ENOMEM, "out of memory");
    size_t done = 0;
    while (done < n && rc == 0)
        rc = one_step(r, done++, &halted, &o, &err);
    if (rc < 0) {
        end->result = PW_EXCEPTION;
        (void)snprintf(text, room, "%s",
                       rc == PW_EFULL || rc == PW_ESYS ? "no room in the spool" : err.text);
    } else {
        end->result = (uint64_t)pw_result_build(o.result, o.flags, n);
        (void)snprintf(text, room, "%s", o.reason);
        outside_causes(r, &o, n, end, text, room);
    }
    free(o.result);
    free(o.flags);
}

static void tidy(run_job *r)
{
    pw_err err = {0};
    (void)pw_fault("cgroup.close");
    if (!cgroup_job_close(&r->group, GROUP_WAIT_US))
        pw_log(PW_LOG_ERROR, "cgroup_kept", "job=%s",
               r->name); /* the agent's next start tries again */
    inside_close(r);
    if (r->tmpdir && workdir_tmp_empty(r->tmpdir, &err) < 0)
        pw_log_err(PW_LOG_WARN, "job_tmp_kept", &err);
    if (r->work_lock >= 0)
        workdir_used(r->work_lock);
    pw_closep(&r->work_lock); /* before the end is seen: the next job of this builder may take the
                                 same folder */
}

/* A failed build's work directory stays for people. That it cannot be kept is no failure more. */
static void keep_workdir(run_job *r, rec_end *end)
{
    pw_err err = {0};
    bool failed = end->result == PW_FAILURE || end->result == PW_EXCEPTION;
    if (!failed || !r->spec.keep_failed_ms || r->bad_step == SIZE_MAX)
        return;
    if (kept_write(r, r->bad_step, &err) < 0) {
        pw_log_err(PW_LOG_WARN, "workdir_not_kept", &err);
        return;
    }
    end->kept_dir = r->workdir;
    end->kept_until_ms = wall(r) + r->spec.keep_failed_ms;
}

static int run_locked(run_job *r, pw_err *err)
{
    char text[RUN_REASON_MAX + PW_NAME_MAX + 16] = "";
    rec_end end = {.result = PW_EXCEPTION};
    pw_err why = {0};
    int prepared = prepare(r, &why);
    int rc = pw_fault("run.locked") ? pw_fail(err, PW_ESYS, "fault point run.locked")
                                    : write_start(r, err);
    if (rc == 0 && pw_fault("run.started"))
        rc = pw_fail(err, PW_ESYS, "fault point run.started");
    if (rc < 0) {
        tidy(r);
        return rc;
    }
    if (prepared == 0) {
        r->out.dir = r->host->spool;
        all_steps(r, &end, text, sizeof(text));
    } else {
        step_result s = {0};
        step_fail_err(&s, PW_EXCEPTION, &why);
        (void)snprintf(text, sizeof(text), "%s", s.reason);
    }
    keep_workdir(r, &end);
    tidy(r);
    mask_text(r->mask, text);
    end.wall_ms = wall(r);
    end.reason = text[0] ? text : NULL;
    if (pw_fault("run.ending"))
        return pw_fail(err, PW_ESYS, "fault point run.ending");
    rc = writer_record(&r->writer, PW_REC_END, &rec_end_schema, &end, err);
    if (pw_fault("run.ended"))
        return pw_fail(err, PW_ESYS, "fault point run.ended");
    writer_finish(&r->writer);
    return rc;
}

static void run_clear(run_job *r)
{
    for (int i = 0; i < PW_STREAMS; i++)
        out_clear(&r->stream[i]);
    out_shared_clear(&r->out);
    writer_clear(&r->writer);
    pw_closep(&r->control);
    pw_closep(&r->signals);
    pw_closep(&r->work_lock);
    free(r->workdir);
    free(r->tmpdir);
    pw_schema_clear(&job_spec_schema, &r->spec);
    pw_schema_clear(&job_secrets_schema, &r->secrets);
    r->mask = mask_set_free(r->mask);
}

/* Takes the lock and looks whether the job was begun before. NULL with *mine false: leave. */
static journal_writer *take_journal(const char *path, bool *mine, pw_err *err)
{
    journal_summary sum;
    pw_err why = {0};
    *mine = false;
    PW_AUTO(journal_writer_freep) journal_writer *w = journal_open_append(path, &why);
    if (!w) {
        if (why.code != PW_EAGAIN)
            *err = why;
        return NULL;
    }
    /* looked at under the lock, so nobody can begin it after this */
    if (journal_survey(path, PW_REC_START, &sum, err) < 0 || sum.started)
        return NULL;
    *mine = true;
    return pw_take(w);
}

int runner_run(const run_host *host, spool_job id, pw_err *err)
{
    run_job r = {.host = host,
                 .id = id,
                 .control = -1,
                 .signals = -1,
                 .work_lock = -1,
                 .in = {.lock = -1},
                 .bad_step = SIZE_MAX};
    PW_AUTO(pw_freep) char *path = spool_path_journal(host->spool, id);
    pw_err why = {0};
    bool mine;
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    (void)spool_job_name(id, r.name);
    journal_writer *journal = take_journal(path, &mine, &why);
    if (!journal) {
        if (err && why.code)
            *err = why;
        return why.code;
    }
    writer_init(&r.writer, journal, host->clock, id, host->notes);
    r.writer.retry = host->retry;
    r.writer.give_up = host->give_up;
    r.out.writer = &r.writer;
    r.out.mask = r.mask = mask_set_new(err);
    int rc = r.mask ? become_runner(&r, err) : PW_ENOMEM;
    if (rc == 0)
        rc = run_locked(&r, err);
    run_clear(&r);
    return rc;
}
