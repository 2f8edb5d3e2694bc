/* One local build: the files of its job, the runner, and its journal shown as it grows. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/local.h"
#include "client/show.h"
#include "shared/base/fs.h"
#include "shared/base/spawn.h"
#include "shared/job/record.h"
#include "shared/journal/journal.h"
#include "shared/zip/zip.h"
#include "worker/spool/spool.h"

enum { POLL_MS = 50, REASON_BYTES = 600, PROGRAM_BYTES = 4096 };

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
    (void)sig;
    stopped = 1;
}

void local_catch(void)
{
    /* the runner is of the same terminal and hears it too: it ends its steps and says so */
    struct sigaction a = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &a, NULL);
    (void)sigaction(SIGTERM, &a, NULL);
}

bool local_stopped(void)
{
    return stopped;
}

typedef struct view {
    client *c;
    const pl_builder *b;
    zip_ctx *zip;
    char *raw; /* PW_FRAME_RAW_MAX */
    bool mid_line;
    bool ended;
    pw_result result;
    char *reason;
    uint64_t began;
} view;

static const char *step_name(const view *v, uint64_t i)
{
    return i < v->b->n_steps ? v->b->steps[i].name : "?";
}

/* A line of ours begins at the left. */
static void heading(view *v, const char *step)
{
    client_say(v->c, "%s--- %s", v->mid_line ? "\n" : "", step);
    v->mid_line = false;
}

static int show_log(view *v, const journal_rec *rec, pw_err *err)
{
    rec_log r;
    int rc = rec_log_get(rec->payload, rec->len, &r, err);
    const char *p = (const char *)r.frame;
    if (rc == 0 && r.codec == PW_CODEC_ZSTD) {
        rc = zip_unpack(v->zip, r.frame, r.frame_len, v->raw, r.raw_len, err);
        p = v->raw;
    }
    if (rc < 0)
        return rc;
    v->mid_line = p[r.raw_len - 1] != '\n';
    return client_write(v->c, p, r.raw_len, err);
}

static int show(view *v, const journal_rec *rec, pw_err *err)
{
    union {
        rec_step_start start;
        rec_step_end step;
        rec_end end;
    } u;
    char took[32];
    int rc = 0;
    switch (rec->kind) {
    case PW_REC_STEP_START:
        if ((rc = pw_schema_decode(&rec_step_start_schema, rec->payload, rec->len, &u.start, err)))
            return rc;
        v->began = u.start.wall_ms;
        heading(v, step_name(v, u.start.step));
        client_say(v->c, "\n");
        return 0;
    case PW_REC_LOG:
        return show_log(v, rec, err);
    case PW_REC_STEP_END:
        if ((rc = pw_schema_decode(&rec_step_end_schema, rec->payload, rec->len, &u.step, err)))
            return rc;
        if (u.step.ran && u.step.result != PW_SUCCESS) {
            (void)show_span((pw_msec)(u.step.wall_ms - v->began), took);
            heading(v, step_name(v, u.step.step));
            client_say(v->c, ": %s after %s%s%s\n", pw_result_name((pw_result)u.step.result), took,
                       u.step.reason ? ": " : "", u.step.reason ? u.step.reason : "");
        }
        pw_schema_clear(&rec_step_end_schema, &u.step);
        return 0;
    case PW_REC_END:
        if ((rc = pw_schema_decode(&rec_end_schema, rec->payload, rec->len, &u.end, err)))
            return rc;
        v->ended = true;
        v->result = u.end.result <= PW_CANCELLED ? (pw_result)u.end.result : PW_EXCEPTION;
        (void)snprintf(v->reason, REASON_BYTES, "%s", u.end.reason ? u.end.reason : "");
        pw_schema_clear(&rec_end_schema, &u.end);
        return 0;
    default:
        return 0;
    }
}

/* Shows what is there from *at on; 0: nothing new. */
static int64_t follow(view *v, journal_reader *j, uint64_t *at, uint32_t *chain, uint8_t *buf,
                      size_t cap, pw_err *err)
{
    uint32_t from = *chain;
    int64_t n = journal_read(j, *at, chain, buf, cap, err);
    const uint8_t *p = buf;
    for (int64_t left = n; left > 0;) {
        journal_rec rec;
        int size = journal_parse(p, (size_t)left, from, &rec, err);
        int rc = size > 0 ? show(v, &rec, err) : PW_ECORRUPT;
        if (rc < 0)
            return rc;
        from = rec.chain;
        p += size;
        left -= size;
    }
    if (n > 0)
        *at += (uint64_t)n;
    return n;
}

/* Beside this program, else in PATH. */
static const char *runner(char out[PROGRAM_BYTES])
{
    ssize_t n = readlink("/proc/self/exe", out, PROGRAM_BYTES - 16);
    char *slash = NULL;
    if (n > 0) {
        out[n] = '\0';
        slash = strrchr(out, '/');
    }
    if (slash)
        (void)snprintf(slash, 16, "/pawl-run");
    return slash && access(out, X_OK) == 0 ? out : "pawl-run";
}

static int run(view *v, const char *spool, spool_job id, const char *journal, pw_err *err)
{
    char program[PROGRAM_BYTES], name[SPOOL_JOB_NAME];
    const char *argv[] = {runner(program), "--job", spool, spool_job_name(id, name),
                          /* what a machine cannot do, the runner says */
                          "--isolation", "none,bwrap,podman", NULL};
    pw_spawn what = {.argv = argv, .in = -1, .out = -1, .err = 2};
    size_t cap = JOURNAL_PAYLOAD_MAX + JOURNAL_HEAD + JOURNAL_TAIL;
    PW_AUTO(pw_freep) uint8_t *buf = malloc(cap);
    PW_AUTO(journal_reader_freep) journal_reader *j = journal_open_read(journal, err);
    uint64_t at = 0;
    uint32_t chain = 0;
    int64_t n = 0;
    if (!buf || !j)
        return j ? pw_fail(err, PW_ENOMEM, "out of memory") : err->code;
    pid_t pid = pw_spawn_start(&what, err);
    if (pid < 0)
        return pw_err_context(err, "starting pawl-run");
    for (bool over = false; n >= 0;) {
        n = follow(v, j, &at, &chain, buf, cap, err);
        if (n == 0 && over)
            break;
        if (n == 0 && !over) {
            client_pause(POLL_MS);
            if (stopped)
                (void)kill(pid, SIGTERM); /* its group is its own: Ctrl-C does not reach it */
            pid_t got = waitpid(pid, NULL, WNOHANG);
            over = got == pid || (got < 0 && errno != EINTR);
        }
    }
    if (n < 0) {
        (void)kill(pid, SIGTERM);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
        return (int)n;
    }
    return v->ended ? 0 : pw_fail(err, PW_EPROTO, "pawl-run ended without a result");
}

static int spool_files(const local_place *p, const pl_builder *b, const pl_facts *f,
                       const char *job, const char *journal, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf bytes = PW_BUF(PW_JOB_MAX);
    PW_AUTO(pw_buf_clearp) pw_buf head = PW_BUF(4096);
    uint8_t digest[32] = {0}; /* nobody compares it: there is no other side */
    rec_header h = {.format = 1,
                    .epoch = f->epoch,
                    .attempt = f->attempt,
                    .run = 1,
                    .digest = {.p = digest, .n = sizeof(digest)}};
    (void)p;
    int rc = pl_freeze(b, f, &bytes, err);
    if (rc == 0)
        rc = pw_schema_encode(&rec_header_schema, &h, &head, err);
    if (rc == 0)
        rc = pw_fs_replace(job, bytes.p, bytes.len, 0600, err);
    if (rc < 0)
        return rc;
    PW_AUTO(journal_writer_freep) journal_writer *w = journal_create(journal, err);
    struct iovec iov = {.iov_base = head.p, .iov_len = head.len};
    return w ? journal_append(w, PW_REC_HEADER, 0, 0, &iov, 1, err) : err->code;
}

int local_build(client *c, const local_place *p, const pl_builder *b, const pl_instance *i,
                const pw_list *given, uint64_t number, pw_result *ret, char *reason, pw_err *err)
{
    spool_job id = {.epoch = 1, .attempt = (uint64_t)pw_wall(c->host) * 1000 + number % 1000};
    PW_AUTO(pw_freep) char *job = spool_path_job(p->spool, id);
    PW_AUTO(pw_freep) char *journal = spool_path_journal(p->spool, id);
    PW_AUTO(zip_freep) zip_ctx *zip = zip_new(1, err);
    PW_AUTO(pw_freep) char *raw = malloc(PW_FRAME_RAW_MAX);
    view v = {.c = c, .b = b, .zip = zip, .raw = raw, .reason = reason};
    pl_facts f = {.epoch = id.epoch,
                  .attempt = id.attempt,
                  .build = number,
                  .try_no = 1,
                  .project = "local",
                  .repository = p->repository,
                  .branch = p->tree->branch,
                  .revision = p->revision,
                  .reason = "local",
                  .event = "local",
                  .worker = "local",
                  .isolation = b->isolation,
                  .no_keep = true,
                  .given = given->v,
                  .n_given = given->n,
                  .instance = i,
                  /* taken as on a master, by its defaults, and thrown away with the journal */
                  .files_max = 10000,
                  .files_bytes = (uint64_t)4 << 30};
    if (!job || !journal || !zip || !raw)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int rc = spool_files(p, b, &f, job, journal, err);
    if (rc == 0)
        rc = run(&v, p->spool, id, journal, err);
    (void)unlink(job);
    (void)unlink(journal);
    if (rc == 0)
        *ret = v.result;
    if (v.mid_line)
        client_say(c, "\n");
    return rc;
}
