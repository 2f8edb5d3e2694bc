/* jobs.c - the table of jobs, and how they come and go. See README.md. */
#include "worker/agent/jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/fault.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"
#include "shared/base/num.h"
#include "shared/job/job.h"
#include "shared/job/record.h"
#include "worker/agent/jobs_inside.h"

enum { HEADER_MAX = 256, FORMAT = 1 };

_Static_assert((int)JOBS_OPEN_MAX + (int)JOBS_KEPT_MAX + (int)JOBS_KEPT_SPARE < PW_HELLO_JOBS_MAX,
               "all of a spool is one hello");

static const char *const place_name[PLACES] = {"jobs", "held", "kept"};

const char *jobs_file(const agent_job *j, const char *suffix, char out[JOBS_FILE])
{
    char name[SPOOL_JOB_NAME];
    (void)snprintf(out, JOBS_FILE, "%s%s", spool_job_name(j->id, name), suffix);
    return out;
}

/* ---- the table */

static size_t bucket_of(spool_job id)
{
    uint64_t h = (id.epoch ^ id.attempt) * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(h >> 54); /* 1,024 buckets */
}
_Static_assert((int)JOBS_BUCKETS == 1 << (64 - 54), "the shift above");

agent_job *jobs_find(jobs *self, spool_job id)
{
    agent_job *j = self->bucket[bucket_of(id)];
    while (j && (j->id.epoch != id.epoch || j->id.attempt != id.attempt))
        j = j->same;
    return j;
}

static bool takes_slot(const agent_job *j)
{
    return j->state == PW_JOB_SPOOLED || j->state == PW_JOB_RUNNING ||
           (j->state == PW_JOB_HELD && j->busy);
}

/* Every change of state goes through here. */
static void set_state(jobs *self, agent_job *j, pw_job_state state, bool busy)
{
    int from = jobs_place(j);
    self->live -= takes_slot(j);
    j->state = state;
    j->busy = busy;
    self->live += takes_slot(j);
    int to = jobs_place(j);
    if (from == to)
        return;
    TAILQ_REMOVE(&self->list[from], j, link);
    self->count[from]--;
    TAILQ_INSERT_TAIL(&self->list[to], j, link);
    self->count[to]++;
    j->since = pw_now(self->host);
}

agent_job *jobs_add(jobs *self, spool_job id, pw_job_state state, pw_err *err)
{
    agent_job *j = calloc(1, sizeof(*j));
    if (!j) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    j->id = id;
    j->state = state;
    j->given_at = pw_now(self->host) - JOBS_GIVE_AGAIN;
    int place = jobs_place(j);
    TAILQ_INSERT_TAIL(&self->list[place], j, link);
    self->count[place]++;
    self->live += takes_slot(j);
    agent_job **b = &self->bucket[bucket_of(id)];
    j->same = *b;
    *b = j;
    return j;
}

static void job_free(agent_job *j)
{
    (void)journal_reader_free(j->reader);
    free(j->cancel_text);
    free(j->note);
    free(j);
}

void jobs_drop(jobs *self, agent_job *j)
{
    char name[JOBS_FILE];
    int place = jobs_place(j);
    self->ops.gone(self->ops_self, j);
    jobs_drop_secrets(self, j);
    (void)unlinkat(self->dir[place], jobs_file(j, ".journal", name), 0);
    (void)unlinkat(self->dir[place], jobs_file(j, ".job", name), 0);
    self->live -= takes_slot(j);
    self->count[place]--;
    TAILQ_REMOVE(&self->list[place], j, link);
    agent_job **b = &self->bucket[bucket_of(j->id)];
    while (*b != j)
        b = &(*b)->same;
    *b = j->same;
    job_free(j);
}

jobs *jobs_new(const pw_host *host, const char *spool, const char *id, bool other_boot,
               const jobs_ops *ops, void *ops_self, pw_err *err)
{
    PW_AUTO(jobs_freep) jobs *self = calloc(1, sizeof(*self));
    if (!self) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->host = host;
    self->id = id;
    self->other_boot = other_boot;
    self->ops = *ops;
    self->ops_self = ops_self;
    for (int i = 0; i < PLACES; i++) {
        TAILQ_INIT(&self->list[i]);
        self->dir[i] = -1;
    }
    self->spool = strdup(spool);
    if (!self->spool) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    for (int i = 0; i < PLACES; i++) {
        PW_AUTO(pw_freep) char *path = pw_path_join(spool, place_name[i]);
        if (!path) {
            (void)pw_fail(err, PW_ENOMEM, "out of memory");
            return NULL;
        }
        self->dir[i] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (self->dir[i] < 0) {
            (void)pw_fail_sys(err, "opening the folder %s", path);
            return NULL;
        }
    }
    return pw_take(self);
}

jobs *jobs_free(jobs *self)
{
    if (!self)
        return NULL;
    for (int i = 0; i < PLACES; i++) {
        agent_job *j;
        while ((j = TAILQ_FIRST(&self->list[i]))) {
            TAILQ_REMOVE(&self->list[i], j, link);
            job_free(j);
        }
        pw_closep(&self->dir[i]);
    }
    free(self->spool);
    free(self);
    return NULL;
}

const struct agent_jobs *jobs_list(const jobs *self, pw_job_state place)
{
    return &self->list[place == PW_JOB_HELD   ? PLACE_HELD
                       : place == PW_JOB_KEPT ? PLACE_KEPT
                                              : PLACE_JOBS];
}

size_t jobs_live(const jobs *self)
{
    return self->live;
}

size_t jobs_open(const jobs *self)
{
    return self->count[PLACE_JOBS] + self->count[PLACE_HELD];
}

uint64_t jobs_bytes(const jobs *self)
{
    uint64_t sum = 0;
    const agent_job *j;
    for (int i = 0; i < PLACES; i++)
        TAILQ_FOREACH(j, &self->list[i], link)
    sum += j->size;
    return sum;
}

/* ---- a new job */

/* The oldest kept entry, when there are enough: its files are used again. */
static agent_job *spare(const jobs *self)
{
    return self->count[PLACE_KEPT] >= JOBS_KEPT_MAX ? TAILQ_FIRST(&self->list[PLACE_KEPT]) : NULL;
}

static int open_job(jobs *self, const char *name)
{
    char was[JOBS_FILE];
    const agent_job *old = spare(self);
    if (old && renameat2(self->dir[PLACE_KEPT], jobs_file(old, ".job", was), self->dir[PLACE_JOBS],
                         name, RENAME_NOREPLACE) == 0)
        return openat(self->dir[PLACE_JOBS], name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    return openat(self->dir[PLACE_JOBS], name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                  0600);
}

static int write_job(jobs *self, const agent_job *j, const void *p, size_t n, pw_err *err)
{
    char name[JOBS_FILE];
    PW_AUTO(pw_closep) int fd = open_job(self, jobs_file(j, ".job", name));
    if (fd < 0)
        return errno == ENOSPC || errno == EDQUOT
                   ? pw_fail(err, PW_EFULL, "no room for the job file %s", name)
                   : pw_fail_sys(err, "making the job file %s", name);
    int rc = pw_fs_write_all(fd, p, n, err);
    if (rc == 0 && ftruncate(fd, (off_t)n) < 0) /* what a longer job left in a file used again */
        rc = pw_fail_sys(err, "cutting");
    return rc < 0 ? pw_err_context(err, "writing the job file %s", name) : 0;
}

static char *kept_journal(const jobs *self, const agent_job *old)
{
    char name[JOBS_FILE];
    return pw_strf("%s/%s/%s", self->spool, place_name[PLACE_KEPT],
                   jobs_file(old, ".journal", name));
}

/* Makes the journal with its header record and lets go of its lock. */
static int write_header(jobs *self, agent_job *j, const uint8_t digest[CRYPT_HASH], pw_err *err)
{
    uint8_t copy[CRYPT_HASH];
    memcpy(copy, digest, CRYPT_HASH);
    rec_header head = {.format = FORMAT,
                       .epoch = j->id.epoch,
                       .attempt = j->id.attempt,
                       .digest = {copy, CRYPT_HASH},
                       .run = pw_random_u64(self->host)};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(HEADER_MAX);
    PW_AUTO(pw_freep) char *path = spool_path_journal(self->spool, j->id);
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int rc = pw_schema_encode(&rec_header_schema, &head, &b, err);
    if (rc < 0)
        return rc;
    pw_err why = {0};
    const agent_job *old = spare(self);
    PW_AUTO(pw_freep) char *was = old ? kept_journal(self, old) : NULL;
    PW_AUTO(journal_writer_freep) journal_writer *w = was ? journal_reuse(was, path, NULL) : NULL;
    if (!w)
        w = journal_create(path, &why);
    if (!w) {
        if (err)
            *err = why;
        return why.code;
    }
    struct iovec iov = {b.p, b.len};
    rc = journal_append(w, PW_REC_HEADER, PW_REC_CRITICAL, 0, &iov, 1, err);
    if (rc < 0)
        return rc;
    j->whole = j->size = journal_length(w);
    j->chain = journal_chain(w);
    return 0;
}

int jobs_accept(jobs *self, spool_job id, const uint8_t digest[CRYPT_HASH], const void *job,
                size_t n, const pw_list *secrets, agent_job **ret, pw_err *err)
{
    char name[SPOOL_JOB_NAME];
    if (jobs_find(self, id))
        return pw_fail(err, PW_ECONFLICT, "job %s is known", spool_job_name(id, name));
    agent_job *j = jobs_add(self, id, PW_JOB_SPOOLED, err);
    if (!j)
        return PW_ENOMEM;
    int rc = write_job(self, j, job, n, err);
    if (rc == 0 && pw_fault("dispatch.job"))
        rc = pw_fail(err, PW_EFULL, "fault point dispatch.job");
    if (rc == 0 && secrets && secrets->n)
        rc = jobs_put_secrets(self, j, secrets, err);
    if (rc == 0)
        rc = write_header(self, j, digest, err);
    if (rc == 0 && pw_fault("dispatch.journal"))
        rc = pw_fail(err, PW_EFULL, "fault point dispatch.journal");
    agent_job *old = spare(self);
    if (old) /* its files are ours now */
        jobs_drop(self, old);
    if (rc < 0) {
        jobs_drop(self, j);
        return rc;
    }
    jobs_give(self, j);
    *ret = j;
    return 0;
}

void jobs_give(jobs *self, agent_job *j)
{
    pw_err err = {0};
    char name[SPOOL_JOB_NAME];
    pw_usec now = pw_now(self->host);
    /* an error after it was told is a start that the agent does not know of: it tells once more */
    if (self->ops.start(self->ops_self, spool_job_name(j->id, name), &err) == 0 &&
        !pw_fault("dispatch.told")) {
        j->given_at = now;
        return;
    }
    j->given_at = now - JOBS_GIVE_AGAIN; /* with the next poll */
    if (!j->complained)
        pw_log_err(PW_LOG_WARN, "job_not_given", &err);
    j->complained = true;
}

/* ---- what its journal says */

uint64_t jobs_stat(jobs *self, const agent_job *j, pw_usec *ret_age)
{
    struct stat st;
    char name[JOBS_FILE];
    *ret_age = 0;
    if (fstatat(self->dir[jobs_place(j)], jobs_file(j, ".journal", name), &st,
                AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    pw_usec age = (pw_wall(self->host) / 1000 - (int64_t)st.st_ctim.tv_sec) * 1000000;
    *ret_age = age > 0 ? age : 0;
    return (uint64_t)st.st_size;
}

void jobs_note(jobs *self, spool_job id, uint64_t n)
{
    agent_job *j = jobs_find(self, id);
    if (!j || j->state == PW_JOB_KEPT || n <= j->size || n > INT64_MAX)
        return;
    j->size = n;
    self->ops.grown(self->ops_self, j);
}

static void ended(jobs *self, agent_job *j)
{
    j->complained = false;
    set_state(self, j, j->state == PW_JOB_HELD || j->state == PW_JOB_KEPT ? j->state : PW_JOB_ENDED,
              false);
    if (j->forget)
        jobs_forget(self, j);
}

void jobs_seen(jobs *self, agent_job *j, const uint8_t *p, size_t n, uint64_t offset,
               uint32_t chain)
{
    bool end = false;
    if (offset > j->whole || offset + n <= j->whole)
        return;
    for (size_t at = (size_t)(j->whole - offset); at + JOURNAL_HEAD <= n;) {
        const uint8_t *r =
            p + at; /* lengths are right: the reader held the checksums against them */
        j->started = j->started || r[4] == PW_REC_START;
        end = end || r[4] == PW_REC_END;
        j->time_us = pw_le64(r + 4) >> 16;
        at += JOURNAL_HEAD + (size_t)pw_le32(r) + JOURNAL_TAIL;
    }
    j->whole = offset + n;
    j->chain = chain;
    if (j->size < j->whole)
        j->size = j->whole;
    if (j->started && j->state == PW_JOB_SPOOLED)
        set_state(self, j, PW_JOB_RUNNING, false);
    if (j->started)
        jobs_drop_secrets(self, j); /* its runner has read them; these came late */
    if (end && j->state != PW_JOB_ENDED)
        ended(self, j);
}

int jobs_journal_path(const jobs *self, const agent_job *j, char **ret_path, pw_err *err)
{
    char name[JOBS_FILE];
    char *path =
        pw_strf("%s/%s/%s", self->spool, place_name[jobs_place(j)], jobs_file(j, ".journal", name));
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    *ret_path = path;
    return 0;
}

int jobs_chain_at(jobs *self, const agent_job *j, uint64_t offset, uint32_t *ret_chain, pw_err *err)
{
    char name[JOBS_FILE];
    uint8_t raw[JOURNAL_TAIL];
    if (offset == 0 || offset == j->whole) {
        *ret_chain = offset ? j->chain : 0;
        return 0;
    }
    if (offset < JOURNAL_HEAD + JOURNAL_TAIL || offset > j->whole)
        return pw_fail(err, PW_EINVAL, "no record of %s ends at byte %llu", jobs_file(j, "", name),
                       (unsigned long long)offset);
    PW_AUTO(pw_closep)
    int fd = openat(self->dir[jobs_place(j)], jobs_file(j, ".journal", name),
                    O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return pw_fail_sys(err, "opening the journal %s", name);
    /* a record ends with its own chain value */
    int rc = pw_fs_pread_all(fd, raw, sizeof(raw), (off_t)(offset - JOURNAL_TAIL), err);
    if (rc == 0)
        *ret_chain = pw_le32(raw);
    return rc;
}

/* ---- moving aside and back */

static int move_files(jobs *self, const agent_job *j, int to, pw_err *err)
{
    char name[JOBS_FILE];
    struct stat st;
    int from = jobs_place(j);
    if (renameat(self->dir[from], jobs_file(j, ".journal", name), self->dir[to], name) < 0 &&
        (errno != ENOENT || /* moved by the try before, which failed with the other file */
         fstatat(self->dir[to], name, &st, AT_SYMLINK_NOFOLLOW) < 0))
        return pw_fail_sys(err, "moving %s from %s to %s", name, place_name[from], place_name[to]);
    if (pw_fault("forget.moving"))
        return pw_fail(err, PW_ESYS, "moving %s: fault point forget.moving", name);
    if (renameat(self->dir[from], jobs_file(j, ".job", name), self->dir[to], name) < 0 &&
        errno != ENOENT)
        return pw_fail_sys(err, "moving %s from %s to %s", name, place_name[from], place_name[to]);
    return 0;
}

void jobs_cancel(jobs *self, agent_job *j, const char *text)
{
    if (j->state != PW_JOB_SPOOLED && j->state != PW_JOB_RUNNING)
        return;
    if (!j->cancel) {
        j->cancel = true;
        free(j->cancel_text);
        j->cancel_text =
            text ? strdup(text) : NULL; /* without memory it is cancelled without a reason */
    }
    jobs_check(self, j);
}

void jobs_forget(jobs *self, agent_job *j)
{
    pw_err err = {0};
    if (j->state == PW_JOB_KEPT || pw_fault("forget.received"))
        return;
    j->hold = false;
    self->ops.gone(self->ops_self, j);
    if (j->state == PW_JOB_SPOOLED || j->state == PW_JOB_RUNNING) {
        j->forget = true;
        jobs_cancel(self, j, "the master does not want this job any more");
        return;
    }
    j->forget = false;
    if (move_files(self, j, PLACE_KEPT, &err) < 0) {
        /* the entry is not needed by anyone: better gone than in the way */
        pw_log_err(PW_LOG_WARN, "job_not_kept", &err);
        char name[JOBS_FILE];
        int place = jobs_place(j);
        (void)unlinkat(self->dir[place], jobs_file(j, ".journal", name), 0);
        (void)unlinkat(self->dir[place], jobs_file(j, ".job", name), 0);
        j->size = 0;
    }
    (void)journal_reader_free(j->reader);
    j->reader = NULL;
    set_state(self, j, PW_JOB_KEPT, false);
    while (self->count[PLACE_KEPT] > JOBS_KEPT_MAX + JOBS_KEPT_SPARE) {
        agent_job *old = TAILQ_FIRST(&self->list[PLACE_KEPT]);
        if (old == j)
            break;
        jobs_drop(self, old);
    }
}

void jobs_hold(jobs *self, agent_job *j)
{
    pw_err err = {0};
    bool busy = j->state == PW_JOB_SPOOLED || j->state == PW_JOB_RUNNING;
    if (j->state == PW_JOB_HELD || j->state == PW_JOB_KEPT)
        return;
    self->ops.gone(self->ops_self, j);
    jobs_drop_secrets(self, j);
    if (move_files(self, j, PLACE_HELD, &err) < 0) {
        if (!j->hold)
            pw_log_err(PW_LOG_WARN, "job_not_held", &err);
        j->hold = true; /* it stays where it is, is not shipped, and is moved by a later poll */
        return;
    }
    j->hold = false;
    char name[SPOOL_JOB_NAME];
    pw_log(PW_LOG_WARN, "job_held",
           "job=%s text=\"the master does not know it as this worker's; its files are in held/\"",
           spool_job_name(j->id, name));
    (void)journal_reader_free(j->reader);
    j->reader = NULL;
    set_state(self, j, PW_JOB_HELD, busy);
}

int jobs_take_back(jobs *self, agent_job *j, pw_err *err)
{
    j->hold = false;
    if (j->state != PW_JOB_HELD && j->state != PW_JOB_KEPT)
        return 0;
    int rc = move_files(self, j, PLACE_JOBS, err);
    if (rc < 0)
        return rc;
    /* what it says is read anew: only then it is known whether it runs */
    j->whole = j->time_us = 0;
    j->chain = 0;
    j->started = j->forget = false;
    j->given_at = pw_now(self->host);
    pw_usec age;
    set_state(self, j, PW_JOB_SPOOLED, false);
    j->size = jobs_stat(self, j, &age);
    rc = jobs_scan(self, j, UINT64_MAX, err);
    return rc == PW_ECORRUPT ? 0 : rc; /* jobs_check looks after damage */
}

void jobs_expire(jobs *self, uint64_t bytes)
{
    pw_usec now = pw_now(self->host);
    uint64_t sum = jobs_bytes(self);
    agent_job *j;
    while ((j = TAILQ_FIRST(&self->list[PLACE_KEPT])) &&
           (now - j->since >= JOBS_KEEP || sum > bytes)) {
        sum -= j->size < sum ? j->size : sum;
        jobs_drop(self, j);
    }
    while ((j = TAILQ_FIRST(&self->list[PLACE_HELD])) && !j->busy && now - j->since >= JOBS_HOLD)
        jobs_drop(self, j);
}

void jobs_poll(jobs *self)
{
    for (int i = PLACE_JOBS; i <= PLACE_HELD; i++) {
        agent_job *next;
        for (agent_job *j = TAILQ_FIRST(&self->list[i]); j; j = next) {
            next = TAILQ_NEXT(j, link);
            if (j->hold)
                jobs_hold(self, j);
            else if (takes_slot(j))
                jobs_check(self, j);
        }
    }
}

/* jobs_check cannot set the state itself. */
void jobs_not_busy(jobs *self, agent_job *j)
{
    set_state(self, j, j->state, false);
}

bool jobs_kept_of_another(const jobs *self, uint64_t epoch)
{
    const agent_job *j;
    TAILQ_FOREACH(j, &self->list[PLACE_KEPT], link)
    if (j->id.epoch != epoch)
        return true;
    return false;
}
