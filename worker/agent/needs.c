#include "worker/agent/needs.h"

#include <dirent.h>
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
#include "shared/job/ask.h"
#include "worker/spool/need.h"

#define RETRY_US INT64_C(1000000)

typedef struct need {
    TAILQ_ENTRY(need) link;
    spool_job id;
    job_ask ask;
    int fd;         /* the part */
    uint64_t at;    /* its bytes */
    size_t item;    /* that is asked for */
    uint64_t begin; /* its first byte */
    uint64_t size;  /* of an item of unknown size: as told; 0: not yet */
    uint8_t sum[PW_SUM_BYTES];
    unsigned changes;
    uint64_t number; /* of the message under way; 0: none is */
    pw_usec again;   /* not to be asked for before; then, if it is under way, once more */
    pw_usec stuck;   /* since when the disk takes nothing; 0: it does */
} need;
TAILQ_HEAD(need_list, need);

struct needs {
    const pw_host *host;
    const char *spool;
    jobs *jobs;
    needs_ops ops;
    void *ops_self;
    bool up;
    uint64_t next; /* number of a message */
    size_t under_way;
    struct need_list list; /* the first is asked for next */
};

static const job_ask_item *item_of(const need *n)
{
    return (const job_ask_item *)n->ask.items.v + n->item;
}

static bool of_files(const need *n)
{
    return ((const job_ask_item *)n->ask.items.v)->what == PW_NEED_FILE;
}

/* ---- its end */
static void not_under_way(needs *self, need *n)
{
    if (n->number)
        self->under_way--;
    n->number = 0;
}

static void drop(needs *self, need *n)
{
    not_under_way(self, n);
    TAILQ_REMOVE(&self->list, n, link);
    pw_closep(&n->fd);
    pw_schema_clear(&job_ask_schema, &n->ask);
    free(n);
}

/* Nobody comes for them any more. */
static void remove_files(const needs *self, const need *n)
{
    PW_AUTO(pw_freep) char *ask = spool_need_ask(self->spool, n->id);
    PW_AUTO(pw_freep) char *part = spool_need_part(self->spool, n->id, n->ask.seq);
    PW_AUTO(pw_freep) char *got = spool_need_got(self->spool, n->id, n->ask.seq);
    if (ask && part && got) {
        (void)unlink(ask);
        (void)unlink(part);
        (void)unlink(got);
    }
}

/* The answer; false: it could not be written, and is to be tried again. */
static bool finish(needs *self, need *n, const char *error, bool ours)
{
    PW_AUTO(pw_freep) char *path = spool_need_got(self->spool, n->id, n->ask.seq);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_GOT_MAX);
    pw_err err = {0};
    job_got got = {.seq = n->ask.seq, .error = (char *)(uintptr_t)error, .ours = ours};
    if (!error && !of_files(n))
        got.sum = (pw_bytes){n->sum, sizeof(n->sum)};
    int rc = path ? pw_schema_encode(&job_got_schema, &got, &b, &err)
                  : pw_fail(&err, PW_ENOMEM, "out of memory");
    if (rc == 0 && pw_fault("need.got"))
        rc = pw_fail(&err, PW_ESYS, "fault point need.got");
    if (rc == 0)
        rc = pw_fs_replace(path, b.p, b.len, 0600, &err);
    if (rc < 0) {
        pw_log_err(PW_LOG_WARN, "need_not_answered", &err);
        not_under_way(self, n);
        n->again = pw_now(self->host) + RETRY_US;
        return false;
    }
    spool_job id = n->id;
    drop(self, n);
    self->ops.wake(self->ops_self, id);
    return true;
}

/* ---- its beginning */
/* Which item byte `at` is of; past the last one when all are there. */
static void place(need *n)
{
    const job_ask_item *v = n->ask.items.v;
    n->item = 0;
    n->begin = 0;
    if (!of_files(n))
        return;
    while (n->item < n->ask.items.n && n->at - n->begin >= v[n->item].size)
        n->begin += v[n->item++].size;
}

static bool whole(const need *n)
{
    return of_files(n) ? n->item == n->ask.items.n : n->size > 0 && n->at == n->size;
}

static need *find(const needs *self, spool_job id)
{
    need *n;
    TAILQ_FOREACH(n, &self->list, link)
    if (n->id.epoch == id.epoch && n->id.attempt == id.attempt)
        return n;
    return NULL;
}

static int open_part(const needs *self, need *n, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = spool_need_part(self->spool, n->id, n->ask.seq);
    struct stat st;
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    n->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (n->fd < 0 || fstat(n->fd, &st) < 0)
        return pw_fail_sys(err, "opening %s", path);
    n->at = (uint64_t)st.st_size;
    place(n);
    return 0;
}

static bool answered(const needs *self, const need *n)
{
    PW_AUTO(pw_freep) char *path = spool_need_got(self->spool, n->id, n->ask.seq);
    return path && access(path, F_OK) == 0;
}

/* Whether its runner can be there. */
static bool lives(const needs *self, spool_job id)
{
    const agent_job *j = jobs_find(self->jobs, id);
    return j && (j->state == PW_JOB_SPOOLED || j->state == PW_JOB_RUNNING ||
                 (j->state == PW_JOB_HELD && j->busy));
}

static int begin(needs *self, spool_job id, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = spool_need_ask(self->spool, id);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_ASK_MAX);
    job_ask ask = {0};
    int rc =
        path ? pw_fs_read(path, PW_ASK_MAX, &b, err) : pw_fail(err, PW_ENOMEM, "out of memory");
    if (rc == PW_ENOTFOUND)
        return 0; /* it has its answer */
    if (rc < 0 || (rc = job_ask_read(b.p, b.len, &ask, err)) < 0)
        return rc;
    need *n = find(self, id);
    if (n && n->ask.seq == ask.seq) {
        pw_schema_clear(&job_ask_schema, &ask);
        return 0;
    }
    if (n)
        drop(self, n);
    if (!(n = calloc(1, sizeof(*n)))) {
        pw_schema_clear(&job_ask_schema, &ask);
        return pw_fail(err, PW_ENOMEM, "out of memory");
    }
    *n = (need){.id = id, .ask = ask, .fd = -1};
    TAILQ_INSERT_TAIL(&self->list, n, link);
    if (answered(self, n) || (rc = open_part(self, n, err)) < 0)
        drop(self, n);
    return rc;
}

void needs_hint(needs *self, spool_job id)
{
    pw_err err = {0};
    if (lives(self, id) && begin(self, id, &err) < 0)
        pw_log_err(PW_LOG_WARN, "need_not_read", &err); /* the runner says it again */
}

/* ---- asking */
static void ask_one(needs *self, need *n)
{
    const job_ask_item *i = item_of(n);
    pw_err err = {0};
    uint64_t number = ++self->next;
    msg_need m = {.epoch = n->id.epoch,
                  .attempt = n->id.attempt,
                  .ask = number,
                  .what = i->what,
                  .from = i->from,
                  .name = i->name,
                  .have = i->have,
                  .offset = n->at - n->begin};
    pw_usec now = pw_now(self->host);
    not_under_way(self, n);
    if (self->ops.send(self->ops_self, &m, &err) < 0) {
        n->again = now + RETRY_US; /* a full queue, or the session's end, which begins anew */
        return;
    }
    n->number = number;
    n->again = now + NEEDS_AGAIN;
    self->under_way++;
}

/* Of a held job the master wants to know nothing. */
static bool may_ask(const needs *self, const need *n)
{
    const agent_job *j = jobs_find(self->jobs, n->id);
    return self->up && j && j->state != PW_JOB_HELD &&
           (n->number || self->under_way < NEEDS_UNDER_WAY);
}

void needs_tick(needs *self)
{
    pw_usec now = pw_now(self->host);
    need *n, *next;
    for (n = TAILQ_FIRST(&self->list); n; n = next) {
        next = TAILQ_NEXT(n, link);
        if (!lives(self, n->id)) {
            remove_files(self, n);
            drop(self, n);
        } else if (now < n->again) {
            continue;
        } else if (whole(n)) {
            (void)finish(self, n, NULL, false);
        } else if (may_ask(self, n)) {
            ask_one(self, n);
        }
    }
}

pw_usec needs_due(const needs *self)
{
    pw_usec due = -1;
    const need *n;
    TAILQ_FOREACH(n, &self->list, link)
    {
        if ((whole(n) || may_ask(self, n)) && (due < 0 || n->again < due))
            due = n->again;
    }
    return due;
}

void needs_begin(needs *self)
{
    self->up = true;
}

void needs_end(needs *self)
{
    need *n;
    self->up = false;
    TAILQ_FOREACH(n, &self->list, link)
    {
        not_under_way(self, n);
        n->again = 0;
    }
}

/* ---- answers */
/* What is asked for is not what it was: from its beginning, some times. */
static void changed(needs *self, need *n)
{
    if (++n->changes > NEEDS_CHANGES) {
        (void)finish(self, n, "what the master has changes again and again", true);
    } else if (ftruncate(n->fd, 0) == 0) {
        n->at = 0;
        n->size = 0;
        place(n);
    }
}

/* Of an item of unknown size the first piece tells what it is. */
static bool same(need *n, const msg_blob *m)
{
    if (of_files(n))
        return m->size == item_of(n)->size;
    if (!n->size) {
        n->size = m->size;
        if (m->sum.n == sizeof(n->sum))
            memcpy(n->sum, m->sum.p, sizeof(n->sum));
    }
    return m->size == n->size && m->sum.n == sizeof(n->sum) &&
           memcmp(n->sum, m->sum.p, sizeof(n->sum)) == 0;
}

static int put(need *n, const void *p, size_t size, pw_err *err)
{
    if (pw_fault("need.piece"))
        return pw_fail(err, PW_EFULL, "fault point need.piece");
    for (size_t done = 0; done < size;) {
        ssize_t k = pwrite(n->fd, (const char *)p + done, size - done, (off_t)(n->at + done));
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return pw_fail_sys(err, "writing what a job asked for");
        done += (size_t)k;
    }
    n->at += size;
    return 0;
}

static void no_room(needs *self, need *n, const pw_err *err)
{
    pw_usec now = pw_now(self->host);
    if (!n->stuck) {
        n->stuck = now;
        pw_log_err(PW_LOG_WARN, "need_not_written", err);
    }
    n->again = now + RETRY_US;
    if (now - n->stuck >= NEEDS_GIVE_UP)
        (void)finish(self, n, "the disk of this worker takes nothing: no room in the spool", true);
}

static void take(needs *self, need *n, const msg_blob *m, const void *p, size_t size)
{
    pw_err err = {0};
    uint64_t left = m->size > m->offset ? m->size - m->offset : 0;
    if (m->size == 0 || size > left || (size == 0 && left > 0)) {
        /* nothing that is asked for is empty; behind its end it is another thing */
        changed(self, n);
        return;
    }
    if (put(n, p, size, &err) < 0) {
        no_room(self, n, &err);
        return;
    }
    n->stuck = 0;
    place(n);
    TAILQ_REMOVE(&self->list, n, link);
    TAILQ_INSERT_TAIL(&self->list, n, link); /* the others' turn */
    if (whole(n))
        (void)finish(self, n, NULL, false);
}

void needs_blob(needs *self, const msg_blob *m, const void *p, size_t size)
{
    need *n = find(self, (spool_job){m->epoch, m->attempt});
    if (!n || !n->number || n->number != m->ask)
        return; /* an answer to an earlier question */
    not_under_way(self, n);
    n->again = 0;
    if (m->error && m->retry_ms) {
        uint64_t ms = m->retry_ms < 60000 ? m->retry_ms : 60000;
        n->again = pw_now(self->host) + (pw_usec)ms * 1000;
    } else if (m->error) {
        (void)finish(self, n, m->error, false);
    } else if (m->offset != n->at - n->begin || size > PW_BLOB_MAX || !same(n, m)) {
        changed(self, n);
    } else {
        take(self, n, m, p, size);
    }
}

/* ---- life */
static void sweep(const needs *self, const char *dir)
{
    DIR *d = opendir(dir);
    const struct dirent *e;
    while (d && (e = readdir(d))) {
        const char *dot = strchr(e->d_name, '.');
        spool_job id;
        PW_AUTO(pw_freep) char *path = pw_path_join(dir, e->d_name);
        if (e->d_name[0] == '.' || !path)
            continue;
        if (!dot || !spool_job_parse(e->d_name, (size_t)(dot - e->d_name), &id) || !lives(self, id))
            (void)unlink(path);
    }
    if (d)
        (void)closedir(d);
}

needs *needs_new(const pw_host *host, const char *spool, jobs *all, const needs_ops *ops,
                 void *ops_self, pw_err *err)
{
    PW_AUTO(pw_freep) char *dir = spool_need_dir(spool);
    needs *self = dir ? calloc(1, sizeof(*self)) : NULL;
    if (!self) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    *self = (needs){.host = host, .spool = spool, .jobs = all, .ops = *ops, .ops_self = ops_self};
    /* numbers of an earlier process are not ours */
    self->next = pw_random_u64(host) >> 1;
    TAILQ_INIT(&self->list);
    sweep(self, dir);
    return self;
}

needs *needs_free(needs *self)
{
    if (!self)
        return NULL;
    while (!TAILQ_EMPTY(&self->list))
        drop(self, TAILQ_FIRST(&self->list));
    free(self);
    return NULL;
}
