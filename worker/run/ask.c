#include "worker/run/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "shared/crypt/hash.h"
#include "worker/run/alone.h"
#include "worker/run/exec.h"
#include "worker/run/kinds.h"
#include "worker/spool/need.h"

enum { LOOK_MS = 200, HINT_US = 1000000, SAY_US = 15000000, PIECE = 256 * 1024 };

static void forget(run_job *r, uint64_t seq)
{
    PW_AUTO(pw_freep) char *ask = spool_need_ask(r->host->spool, r->id);
    PW_AUTO(pw_freep) char *part = spool_need_part(r->host->spool, r->id, seq);
    PW_AUTO(pw_freep) char *got = spool_need_got(r->host->spool, r->id, seq);
    if (ask && part && got) { /* the question first: without it the agent begins nothing anew */
        (void)unlink(ask);
        (void)unlink(part);
        (void)unlink(got);
    }
}

void ask_done(run_job *r, ask_part *p)
{
    if (p->seq)
        forget(r, p->seq);
    pw_closep(&p->fd);
    free(p->path);
    *p = (ask_part){.fd = -1};
}

static int write_ask(run_job *r, const job_ask_item *item, size_t n, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = spool_need_ask(r->host->spool, r->id);
    PW_AUTO(pw_freep) char *dir = spool_need_dir(r->host->spool);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_ASK_MAX);
    job_ask a = {.seq = r->asks, .items = {(job_ask_item *)(uintptr_t)item, n}};
    if (!path || !dir)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int rc = pw_schema_encode(&job_ask_schema, &a, &b, err);
    if (rc == 0) /* an agent of before this version made none */
        rc = pw_fs_mkdirs(dir, 0700, err);
    return rc < 0 ? rc : pw_fs_replace(path, b.p, b.len, 0600, err);
}

/* 1: there is an answer, *ret is to be cleared; 0: not yet. */
static int read_got(const run_job *r, job_got *ret, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = spool_need_got(r->host->spool, r->id, r->asks);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_GOT_MAX);
    int rc =
        path ? pw_fs_read(path, PW_GOT_MAX, &b, err) : pw_fail(err, PW_ENOMEM, "out of memory");
    if (rc == PW_ENOTFOUND)
        return 0;
    if (rc == 0)
        rc = pw_schema_decode(&job_got_schema, b.p, b.len, ret, err);
    return rc < 0 ? rc : 1;
}

/* Whether the job must not go on; the result is set. */
static bool ends(run_job *r, step_result *out)
{
    run_listen(r);
    alone_look(r);
    if (r->deadline && pw_now(r->host->clock) >= r->deadline)
        r->timed_out = true;
    if (!run_over(r))
        return false;
    const exec_end end = {.why = r->cancelled   ? EXEC_CANCELLED
                                 : r->no_room   ? EXEC_NO_ROOM
                                 : r->forsaken  ? EXEC_FORSAKEN
                                 : r->timed_out ? EXEC_JOB_TIMEOUT
                                                : EXEC_STOPPED};
    exec_judge(r, NULL, &end, out);
    return true;
}

/* 0, or -1 with the result set. */
static int wait_for(run_job *r, job_got *ret, step_result *out)
{
    const pw_host *clock = r->host->clock;
    pw_usec hint_at = 0, say_at = pw_now(clock) + SAY_US;
    pw_err err = {0};
    for (;;) {
        pw_usec now = pw_now(clock);
        int rc = read_got(r, ret, &err);
        if (rc > 0)
            return 0;
        if (rc < 0) {
            (void)pw_err_context(&err, "reading the agent's answer");
            step_fail_err(out, PW_EXCEPTION, &err);
            return -1;
        }
        if (ends(r, out))
            return -1;
        if (now >= hint_at) {
            spool_notes_put(r->host->notes, (spool_note){r->id, SPOOL_NOTE_ASK});
            hint_at = now + HINT_US;
        }
        if (now >= say_at) {
            with_say(r, "waiting for the master");
            say_at = now + 4 * SAY_US;
        }
        writer_tick(&r->writer, now);
        struct pollfd p = {.fd = r->control, .events = POLLIN};
        (void)poll(&p, 1, LOOK_MS);
    }
}

static int open_part(const run_job *r, ask_part *p, pw_err *err)
{
    struct stat st;
    p->path = spool_need_part(r->host->spool, r->id, r->asks);
    if (!p->path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    p->fd = open(p->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (p->fd < 0 || fstat(p->fd, &st) < 0)
        return pw_fail_sys(err, "reading what the agent brought");
    p->size = (uint64_t)st.st_size;
    return 0;
}

static int check_sum(const ask_part *p, const pw_bytes *sum, pw_err *err)
{
    PW_AUTO(crypt_sha256_freep) crypt_sha256 *h = crypt_sha256_new(err);
    PW_AUTO(pw_freep) uint8_t *piece = malloc(PIECE);
    uint8_t is[CRYPT_HASH];
    if (!h || !piece)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    for (uint64_t at = 0; at < p->size;) {
        size_t n = p->size - at < PIECE ? (size_t)(p->size - at) : PIECE;
        int rc = pw_fs_pread_all(p->fd, piece, n, (off_t)at, err);
        if (rc < 0)
            return rc;
        crypt_sha256_add(h, piece, n);
        at += n;
    }
    crypt_sha256_end(h, is);
    return sum->n == sizeof(is) && memcmp(sum->p, is, sizeof(is)) == 0
               ? 0
               : pw_fail(err, PW_ECORRUPT, "it has not the sum that the master told");
}

/* 1: once more. */
static int ask_once(run_job *r, const job_ask_item *item, size_t n, ask_part *ret, step_result *out)
{
    job_got got = {0};
    pw_err err = {0};
    r->asks++;
    *ret = (ask_part){.seq = r->asks, .fd = -1};
    if (write_ask(r, item, n, &err) < 0) {
        (void)pw_err_context(&err, "asking the agent");
        step_fail_err(out, PW_EXCEPTION, &err);
        return -1;
    }
    if (wait_for(r, &got, out) < 0)
        return -1;
    int rc = -1;
    if (got.error) {
        ret->refused = !got.ours;
        step_fail(out, PW_EXCEPTION, "%.500s", got.error);
    } else if ((rc = open_part(r, ret, &err)) == 0 && item->what != PW_NEED_FILE) {
        rc = check_sum(ret, &got.sum, &err);
    }
    pw_schema_clear(&job_got_schema, &got);
    if (rc == PW_ECORRUPT)
        return 1;
    if (rc < 0 && err.code)
        step_fail_err(out, PW_EXCEPTION, &err);
    return rc < 0 ? -1 : 0;
}

int ask_master(run_job *r, const job_ask_item *item, size_t n, ask_part *ret, step_result *out)
{
    for (int i = 0; i < ASK_TRIES; i++) {
        int rc = ask_once(r, item, n, ret, out);
        if (rc == 0)
            return 0;
        bool refused = ret->refused;
        ask_done(r, ret);
        ret->refused = refused;
        if (rc < 0)
            return -1;
    }
    step_fail(out, PW_EXCEPTION, "what the master sent came damaged %d times", ASK_TRIES);
    return -1;
}
