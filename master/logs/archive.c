/* The archive thread: syncs first, since acknowledgements wait for them, then the files that nobody
 * needs, then seals. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "master/logs/impl.h"
#include "shared/base/fault.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"

enum {
    ROUND_SEALS = 32, /* logs sealed before their folders are synced and the core hears of them */
    RETRY_NS = 5 * 1000000,  /* the queue of answers is full, or memory is short: asked again */
    KEEP_NS = 500 * 1000000, /* a backup reads segments that nobody else needs: looked again */
    PACK_LEVEL = 3,
};

/* With the lock, which is given up meanwhile. */
static void pause_for(logs *self, long ns)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += ns;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    (void)pthread_cond_timedwait(&self->wake, &self->lock, &t);
}

static void pause_a_while(logs *self)
{
    pause_for(self, RETRY_NS);
}

/* With the lock. Never blocks for good: the receiver may be the one who waits for this thread to
 * end. */
void archive_answer(logs *self, const logs_answer *a)
{
    logs_answer *copy;
    while (!(copy = malloc(sizeof(*copy)))) {
        if (self->stop)
            return;
        pause_a_while(self);
    }
    *copy = *a;
    while (pw_chan_send(self->answers, copy, NULL) < 0) {
        if (self->stop || (a->kind == LOGS_SYNCED && a->ticket <= self->voided)) {
            free(copy);
            return;
        }
        pause_a_while(self);
    }
}

static void text_of(const pw_err *e, char *out, size_t n)
{
    char buf[128];
    const char *why = e->sys ? strerror_r(e->sys, buf, sizeof(buf)) : NULL;
    (void)snprintf(out, n, "%s%s%s", e->text, why ? ": " : "", why ? why : "");
}

/* ---- sync */

/* With the lock: the segments that have bytes to be synced, each counted. */
static segment *dirty_take(logs *self)
{
    segment *list = NULL;
    for (segment *s = self->segments; s; s = s->next) {
        if (!s->dirty)
            continue;
        s->dirty = false;
        s->refs++;
        s->sync_next = list;
        list = s;
    }
    return list;
}

/* Without the lock: one after the other; a folder for a new name. The first failure is told, all
 * are tried. */
static int sync_files(logs *self, segment *list, pw_err *err)
{
    int code = 0;
    bool fresh = false;
    for (segment *s = list; s; s = s->sync_next) {
        bool bad = s->bad || pw_fault("logs.sync");
        int sys = EIO;
        if (!bad && fdatasync(s->fd) < 0) {
            bad = true;
            sys = errno;
        }
        fresh = fresh || s->fresh;
        if (!bad)
            continue;
        if (code == 0)
            code = pw_fail_at(err, __FILE__, __LINE__, frame_code_of(sys), sys,
                              "syncing log segment %" PRIu32, s->id);
        /* what the kernel does with the pages after a failure is not known: never asked again */
        logs_lock(self);
        segment_close(self, s, true);
        logs_unlock(self);
    }
    return code == 0 && fresh ? pw_fs_sync_dir(self->seg_dir, err) : code;
}

/* With the lock, which is given up meanwhile. */
static void sync_round(logs *self)
{
    if (self->failed || self->answered >= self->requested)
        return;
    pw_err err = {0};
    logs_answer a = {.kind = LOGS_SYNCED, .ticket = self->requested};
    segment *list = dirty_take(self);
    logs_unlock(self);
    a.code = sync_files(self, list, &err);
    int also = self->also ? self->also(self->also_self, a.code < 0 ? NULL : &err) : 0;
    int own = a.code;
    if (own == 0)
        a.code = also;
    logs_lock(self);
    for (segment *s = list; s; s = s->sync_next) {
        if (own == 0)
            s->fresh = false;
        else if (s->fresh)
            segment_close(self, s, true); /* its name may be lost */
    }
    logs_unlock(self);
    while (list) {
        segment *s = list;
        list = s->sync_next;
        segment_unref(self, s);
    }
    logs_lock(self);
    if (self->answered >= a.ticket) /* the core dropped everything meanwhile */
        return;
    self->answered = a.ticket;
    if (a.code == 0)
        self->synced = a.ticket;
    else
        self->failed = true;
    text_of(&err, a.text, sizeof(a.text));
    archive_answer(self, &a);
}

bool archive_breathe(logs *self)
{
    logs_lock(self);
    sync_round(self);
    bool stop = self->stop;
    logs_unlock(self);
    return !stop;
}

/* ---- segments that no frame names. With the lock, which is given up meanwhile. False: a backup
 * reads them still, and they stay. */
static bool trash_round(logs *self)
{
    PW_AUTO(pw_closep) int allowed = -1;
    pw_err why = {0};
    segment *list = self->trash, **end = &list;
    self->trash = NULL;
    logs_unlock(self);
    int may = segment_may_go(self, &allowed, &why);
    if (may == PW_EAGAIN) {
        logs_lock(self);
        while (*end)
            end = &(*end)->next;
        *end = self->trash;
        self->trash = list;
        return false;
    }
    if (may < 0)
        pw_log_err(PW_LOG_WARN, "log_segment", &why);
    while (list) {
        pw_err err = {0};
        segment *s = list;
        list = s->next;
        if (may == 0 && segment_unlink(self, s->id, &err) < 0) /* the next start removes it */
            pw_log_err(PW_LOG_WARN, "log_segment", &err);
        segment_unref(self, s);
    }
    logs_lock(self);
    return true;
}

/* ---- seals */

static void job_failed(seal_job *job, pw_err *err)
{
    (void)pw_err_context(err, "sealing the log of attempt %" PRIu64 " step %" PRIu32,
                         job->log->key.attempt, job->log->key.idx);
    job->code = err->code;
    text_of(err, job->text, sizeof(job->text));
}

static void job_write(logs *self, seal_job *job, zip_ctx *zip)
{
    pw_err err = {0};
    logs_lock(self);
    /* all of it, unless its sync failed and the core has not dropped it yet */
    seal_part part = index_synced(job->log, self->synced);
    logs_unlock(self);
    if (part.n == 0)
        job->code = PW_ENOTFOUND; /* nothing is left of it; not told */
    else if (seal_write(self, job->log, &part, zip, &job->out, &job->packed, &err) < 0)
        job_failed(job, &err);
    self->new_dirs = self->new_dirs || job->out.made_dir;
}

/* Each folder once for all files that were renamed in it. */
static void sync_dirs(logs *self, seal_job *jobs)
{
    pw_err err = {0};
    int code = self->new_dirs ? pw_fs_sync_dir(self->dir, &err) : 0;
    self->new_dirs = code < 0;
    for (seal_job *j = jobs; j; j = j->next) {
        if (j->code < 0 || j->synced_dir)
            continue;
        const uint64_t nn = j->log->key.attempt % 256;
        PW_AUTO(pw_freep) char *dir = sealed_dir(self->dir, nn);
        pw_err why = err;
        int bad = code;
        if (bad == 0)
            bad = dir ? pw_fs_sync_dir(dir, &why) : pw_fail(&why, PW_ENOMEM, "out of memory");
        for (seal_job *k = j; k; k = k->next) {
            pw_err own = why;
            if (k->code < 0 || k->log->key.attempt % 256 != nn)
                continue;
            k->synced_dir = true;
            if (bad < 0)
                job_failed(k, &own);
        }
    }
}

/* With the lock. */
static void job_end(logs *self, seal_job *job)
{
    live *l = job->log;
    logs_answer a = {.kind = LOGS_SEALED, .code = job->code, .key = l->key, .packed = job->packed};
    memcpy(a.text, job->text, sizeof(a.text));
    l->sealing = false;
    if (job->code == PW_ENOTFOUND && !l->gone && index_synced(l, self->synced).n == 0)
        index_drop(self, l);
    else if (!self->stop)
        archive_answer(self, &a);
    index_unref(l);
    free(job);
}

static void seal_round(logs *self, seal_job *jobs)
{
    pw_err err = {0};
    zip_ctx *zip = zip_new(PACK_LEVEL, &err);
    for (seal_job *j = jobs; j; j = j->next) {
        pw_err why = err;
        j->out.fd = -1;
        if (!zip)
            job_failed(j, &why);
        else if (archive_breathe(self)) /* its own sync comes first */
            job_write(self, j, zip);
        else
            j->code = PW_EAGAIN;
    }
    (void)zip_free(zip);
    for (seal_job *j = jobs; j; j = j->next) {
        if (j->code == 0 && !archive_breathe(self))
            j->code = PW_EAGAIN;
        if (j->code == 0 && sealed_out_sync(&j->out, &err) < 0)
            job_failed(j, &err);
    }
    /* all renames behind all syncs: in turns each of them would cost a commit of the file system */
    for (seal_job *j = jobs; j; j = j->next) {
        if (j->code == 0 && pw_fault("seal.written"))
            (void)pw_fail(&err, PW_ESYS, "fault point seal.written"), job_failed(j, &err);
        if (j->code == 0 && sealed_out_publish(&j->out, &err) < 0)
            job_failed(j, &err);
        if (j->code == 0 && pw_fault("seal.renamed"))
            (void)pw_fail(&err, PW_ESYS, "fault point seal.renamed"), job_failed(j, &err);
        sealed_out_clear(&j->out);
    }
    sync_dirs(self, jobs);
    logs_lock(self);
    while (jobs) {
        seal_job *j = jobs;
        jobs = j->next;
        job_end(self, j);
    }
    logs_unlock(self);
}

/* With the lock. */
static seal_job *seals_take(logs *self)
{
    seal_job *first = self->seals, **at = &self->seals;
    for (int i = 0; i < ROUND_SEALS && *at; i++)
        at = &(*at)->next;
    self->seals = *at;
    *at = NULL;
    if (!self->seals)
        self->seals_end = &self->seals;
    return first;
}

static void *archive_main(void *arg)
{
    logs *self = arg;
    logs_lock(self);
    while (!self->stop) {
        sync_round(self);
        bool kept = self->trash && !trash_round(self);
        kept |= self->removes && !self->stop && !remove_round(self);
        if (self->seals) {
            seal_job *jobs = seals_take(self);
            logs_unlock(self);
            seal_round(self, jobs);
            logs_lock(self);
        }
        if (self->stop || self->seals || (!self->failed && self->answered < self->requested))
            continue;
        if (kept)
            pause_for(self, KEEP_NS);
        else if (!self->trash && !self->removes)
            (void)pthread_cond_wait(&self->wake, &self->lock);
    }
    logs_unlock(self);
    return NULL;
}

int archive_start(logs *self, pw_err *err)
{
    sigset_t all, old;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = pthread_create(&self->thread, NULL, archive_main, self);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r != 0)
        return pw_fail_at(err, __FILE__, __LINE__, PW_ESYS, r, "starting the archive thread");
    self->running = true;
    return 0;
}

void archive_stop(logs *self)
{
    if (self->running) {
        logs_lock(self);
        self->stop = true;
        (void)pthread_cond_signal(&self->wake);
        logs_unlock(self);
        (void)pthread_join(self->thread, NULL);
        self->running = false;
    }
    while (self->seals) {
        seal_job *j = self->seals;
        self->seals = j->next;
        index_unref(j->log);
        free(j);
    }
    self->seals_end = &self->seals;
}
