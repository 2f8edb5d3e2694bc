/* rescue.c - looking at jobs whose runner may be dead: reading on in a journal, its end when nobody
 * else can write it, damage. The rule of all of it: who holds the journal's lock may append, and a
 * lock that is free means a runner that is gone. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "shared/base/log.h"
#include "shared/job/job.h"
#include "shared/job/record.h"
#include "worker/agent/jobs_inside.h"

enum {
    RECORD_MAX = JOURNAL_HEAD + JOURNAL_PAYLOAD_MAX + JOURNAL_TAIL,
    SCAN_BUDGET =
        8 * 1024 * 1024, /* bytes of one journal read in one look while nothing is shipped */
    END_MAX = 8192,
    NAME_TEMP = JOBS_FILE + 16,
};

int jobs_scan(jobs *self, agent_job *j, uint64_t budget, pw_err *err)
{
    pw_usec age;
    uint64_t size = jobs_stat(self, j, &age);
    if (size <= j->whole)
        return 0;
    size_t cap = size - j->whole < RECORD_MAX ? (size_t)(size - j->whole) : RECORD_MAX;
    PW_AUTO(pw_freep) char *path = NULL;
    PW_AUTO(pw_freep) uint8_t *buf = malloc(cap);
    int rc =
        buf ? jobs_journal_path(self, j, &path, err) : pw_fail(err, PW_ENOMEM, "out of memory");
    if (rc < 0)
        return rc;
    pw_err why = {0};
    PW_AUTO(journal_reader_freep) journal_reader *r = journal_open_read(path, &why);
    if (!r) {
        if (err)
            *err = why;
        return why.code;
    }
    for (uint64_t done = 0; done < budget;) {
        uint32_t chain = j->chain;
        uint64_t at = j->whole;
        int64_t n = journal_read(r, at, &chain, buf, cap, err);
        if (n <= 0)
            return (int)n;
        jobs_seen(self, j, buf, (size_t)n, at, chain);
        done += (uint64_t)n;
    }
    return 0;
}

bool jobs_file_right(jobs *self, const agent_job *j)
{
    char name[JOBS_FILE];
    uint8_t head[1024], hash[CRYPT_HASH];
    journal_rec rec;
    PW_AUTO(pw_closep)
    int fd = openat(self->dir[jobs_place(j)], jobs_file(j, ".journal", name),
                    O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd < 0 ? -1 : pread(fd, head, sizeof(head), 0);
    if (n <= 0 || journal_parse(head, (size_t)n, 0, &rec, NULL) <= 0 || rec.kind != PW_REC_HEADER)
        return false;
    rec_header h = {0};
    if (pw_schema_decode(&rec_header_schema, rec.payload, rec.len, &h, NULL) < 0)
        return false;
    PW_AUTO(pw_freep) char *path = spool_path_job(self->spool, j->id);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_JOB_MAX);
    bool good = path && pw_fs_read(path, PW_JOB_MAX, &b, NULL) == 0 && h.digest.n == CRYPT_HASH &&
                h.epoch == j->id.epoch && h.attempt == j->id.attempt;
    if (good) {
        crypt_hash(b.p, b.len, hash);
        good = crypt_equal(hash, h.digest.p, CRYPT_HASH);
    }
    pw_schema_clear(&rec_header_schema, &h);
    return good;
}

/* Once for each trouble, not once a second. */
static void complain(agent_job *j, const char *event, pw_err *err)
{
    char name[SPOOL_JOB_NAME];
    (void)pw_err_context(err, "job %s", spool_job_name(j->id, name));
    if (!j->complained)
        pw_log_err(PW_LOG_WARN, event, err);
    j->complained = true;
}

/* ---- damage */

static int copy_front(int from, int to, uint64_t n, pw_err *err)
{
    uint8_t block[65536];
    for (uint64_t at = 0; at < n;) {
        size_t want = n - at < sizeof(block) ? (size_t)(n - at) : sizeof(block);
        int rc = pw_fs_pread_all(from, block, want, (off_t)at, err);
        if (rc == 0)
            rc = pw_fs_write_all(to, block, want, err);
        if (rc < 0)
            return rc;
        at += want;
    }
    return 0;
}

/* The good records go on as the journal; the damaged file is kept beside the held jobs, for people.
 */
static int set_aside(jobs *self, agent_job *j, int damaged, pw_err *err)
{
    char name[JOBS_FILE], temp[NAME_TEMP], aside[NAME_TEMP];
    int dir = self->dir[PLACE_JOBS];
    (void)jobs_file(j, ".journal", name);
    (void)snprintf(temp, sizeof(temp), "%s.mended",
                   name); /* removed by the next start if we die here */
    (void)snprintf(aside, sizeof(aside), "%s.damaged", name);
    (void)unlinkat(dir, temp, 0);
    PW_AUTO(pw_closep) int fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return pw_fail_sys(err, "making %s", temp);
    int rc = copy_front(damaged, fd, j->whole, err);
    if (rc == 0 && renameat2(dir, temp, dir, name, RENAME_EXCHANGE) < 0)
        rc = pw_fail_sys(err, "putting %s in place", temp);
    if (rc == 0 && renameat(dir, temp, self->dir[PLACE_HELD], aside) < 0)
        rc = pw_fail_sys(err, "keeping %s", aside);
    if (rc < 0)
        (void)unlinkat(dir, temp, 0);
    return rc;
}

/* The journal is bad at `whole`, good records stand behind, and nobody writes. After another boot
 * that is what a power cut leaves (pages written out of order): cut there. Else the disk or a
 * stranger did it: the file is kept as it is. */
static int mend(jobs *self, agent_job *j, pw_err *err)
{
    char name[SPOOL_JOB_NAME];
    PW_AUTO(pw_freep) char *path = spool_path_journal(self->spool, j->id);
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    PW_AUTO(pw_closep) int fd = pw_fs_lock(path, err);
    if (fd < 0)
        return fd;
    pw_log(PW_LOG_ERROR, "journal_damaged", "job=%s at=%llu other_boot=%d",
           spool_job_name(j->id, name), (unsigned long long)j->whole, self->other_boot);
    (void)journal_reader_free(j->reader); /* it may be of the file that goes aside */
    j->reader = NULL;
    if (!self->other_boot) {
        int rc = set_aside(self, j, fd, err);
        if (rc < 0)
            return rc;
    } else if (ftruncate(fd, (off_t)j->whole) < 0) {
        return pw_fail_sys(err, "cutting %s", path);
    }
    j->size = j->whole;
    return 0;
}

/* ---- the end that the runner did not write */

/* A runner that reads the journal later must find a start record in it, or it would begin the job
 * behind its end. */
static int append_start(jobs *self, agent_job *j, journal_writer *w, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(END_MAX);
    rec_start start = {.pid = 0, .wall_ms = (uint64_t)pw_wall(self->host)};
    int rc = pw_schema_encode(&rec_start_schema, &start, &b, err);
    if (rc < 0)
        return rc;
    struct iovec iov = {b.p, b.len};
    return journal_append(w, PW_REC_START, PW_REC_CRITICAL, j->time_us, &iov, 1, err);
}

static int append_end(jobs *self, agent_job *j, journal_writer *w, pw_result result,
                      const char *reason, pw_err *err)
{
    PW_AUTO(pw_freep) char *text = reason ? pw_strf("%.*s", PW_TEXT_MAX, reason) : NULL;
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(END_MAX);
    rec_end end = {
        .result = (uint64_t)result, .wall_ms = (uint64_t)pw_wall(self->host), .reason = text};
    int rc = pw_schema_encode(&rec_end_schema, &end, &b, err);
    if (rc < 0)
        return rc;
    struct iovec iov = {b.p, b.len};
    return journal_append(w, PW_REC_END, PW_REC_CRITICAL, j->time_us, &iov, 1, err);
}

/* 0: it has its end now, or another got the lock and the next look decides. */
static int finish(jobs *self, agent_job *j, const char *why, pw_err *err)
{
    char name[JOBS_FILE];
    pw_err no = {0};
    PW_AUTO(pw_freep) char *path = spool_path_journal(self->spool, j->id);
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (j->started)
        self->ops.sweep(self->ops_self, jobs_file(j, "", name));
    PW_AUTO(journal_writer_freep) journal_writer *w = journal_open_append(path, &no);
    if (!w) {
        if (no.code == PW_EAGAIN)
            return 0;
        if (err)
            *err = no;
        return no.code;
    }
    /* it may have gone on, or ended, until we had the lock */
    bool was = j->started;
    j->size = journal_length(w); /* less than before when a torn end was cut */
    int rc = jobs_scan(self, j, UINT64_MAX, err);
    if (rc < 0 || j->state == PW_JOB_ENDED || j->state == PW_JOB_KEPT ||
        (!j->cancel && j->started != was))
        return rc;
    pw_result result = j->cancel ? PW_CANCELLED : PW_EXCEPTION;
    if (!j->started && (rc = append_start(self, j, w, err)) < 0)
        return rc;
    rc = append_end(self, j, w, result, j->cancel ? j->cancel_text : why, err);
    if (rc < 0)
        return rc;
    pw_log(PW_LOG_WARN, "job_ended", "job=%s result=%s reason=\"%s\"", jobs_file(j, "", name),
           pw_result_name(result), j->cancel ? "cancelled" : why);
    rc = jobs_scan(self, j, UINT64_MAX, err);
    if (j->state == PW_JOB_ENDED)
        self->ops.grown(self->ops_self, j);
    return rc;
}

/* Nobody holds the lock. */
static void check_dead(jobs *self, agent_job *j)
{
    pw_err err = {0};
    const char *why =
        self->other_boot ? "the runner died: the machine was started anew" : "the runner died";
    uint64_t before = j->size;
    int rc = jobs_scan(self, j, UINT64_MAX, &err);
    if (rc == PW_ECORRUPT) {
        rc = mend(self, j, &err);
        if (rc == 0 && !self->other_boot) {
            why = "the journal is damaged";
            j->damaged = true; /* never run what we cannot read */
        }
    }
    if (rc == PW_EAGAIN)
        return;
    if (rc == 0 && j->size > before)
        self->ops.grown(self->ops_self, j);
    if (rc == 0 && j->state != PW_JOB_SPOOLED && j->state != PW_JOB_RUNNING)
        return;
    if (rc == 0 && !j->started && !j->cancel && !j->damaged)
        jobs_give(self, j);
    else if (rc == 0)
        rc = finish(self, j, why, &err);
    if (rc < 0)
        complain(j, "job_not_rescued", &err);
}

/* The order to a runner that has not got it. True when it is on its way. */
static bool tell_runner(jobs *self, agent_job *j)
{
    pw_err err = {0};
    if (!j->told) {
        int rc = spool_control_send(self->id, j->id, SPOOL_CANCEL, j->cancel_text, &err);
        j->told =
            rc == 0 || rc == PW_EAGAIN; /* EAGAIN: it has orders enough that it did not read */
        if (rc < 0 && rc != PW_EAGAIN && rc != PW_ENOTFOUND)
            complain(j, "cancel_not_sent", &err);
    }
    return j->told;
}

void jobs_check(jobs *self, agent_job *j)
{
    pw_usec age;
    uint64_t size = jobs_stat(self, j, &age);
    if (j->state == PW_JOB_HELD) {
        PW_AUTO(pw_freep) char *held = NULL;
        if (jobs_journal_path(self, j, &held, NULL) == 0 && journal_lock_free(held))
            jobs_not_busy(self, j);
        return;
    }
    if (size > j->size) {
        j->size = size;
        self->ops.grown(self->ops_self, j);
    }
    if (!j->shipping && size > j->whole)
        (void)jobs_scan(self, j, SCAN_BUDGET,
                        NULL); /* what is wrong with it is told when its runner is gone */
    if (j->state != PW_JOB_SPOOLED && j->state != PW_JOB_RUNNING)
        return;
    if (j->cancel)
        (void)tell_runner(self, j);
    jobs_tell_again(self, j);
    /* A runner may be about to take the lock: looking would be in its way. */
    if (j->state == PW_JOB_SPOOLED && !j->cancel &&
        pw_now(self->host) - j->given_at < JOBS_GIVE_AGAIN)
        return;
    PW_AUTO(pw_freep) char *path = spool_path_journal(self->spool, j->id);
    if (path && journal_lock_free(path))
        check_dead(self, j);
}
