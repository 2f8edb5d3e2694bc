#include "master/give/give.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/blobs/blobs.h"
#include "master/store/files.h"
#include "shared/base/fs.h"
#include "shared/crypt/hash.h"
#include "shared/job/job.h"

typedef struct item {
    struct item *next;
    give_job *job; /* owned */
} item;

struct give_service {
    char *db, *files;
    pw_chan *answers; /* borrowed */
    pthread_mutex_t lock;
    pthread_cond_t work;
    /* under the lock */
    item *head, **tail;
    size_t n;
    bool stopping, running;
    pthread_t thread;
    reader *rows; /* the thread's; NULL: not open */
};

give_job *give_job_new(give_kind kind, pw_err *err)
{
    give_job *j = calloc(1, sizeof(*j));
    if (!j) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    j->kind = kind;
    return j;
}

give_job *give_job_free(give_job *j)
{
    if (!j)
        return NULL;
    free(j->from);
    free(j->name);
    free(j->path);
    free(j->p);
    free(j);
    return NULL;
}

/* ---- what the job may have */
/* The attempt whose files the needed build has; 0: it has none. */
static int needed_attempt(const give_service *self, const give_job *j, uint64_t *ret, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_JOB_MAX);
    job_spec spec = {0};
    uint64_t build = 0;
    bool known = false;
    int rc = reader_job(self->rows, j->build, &b, err);
    if (rc == 0)
        rc = pw_schema_decode(&job_spec_schema, b.p, b.len, &spec, err);
    if (rc < 0)
        return rc;
    const job_need *v = spec.needs.v;
    for (size_t i = 0; i < spec.needs.n && !known; i++)
        if ((known = strcmp(v[i].name, j->from) == 0))
            build = v[i].build;
    if (!known) {
        PW_AUTO(pw_buf_clearp) pw_buf all = PW_BUF(300);
        for (size_t i = 0; i < spec.needs.n; i++)
            (void)pw_buf_addf(&all, "%s\"%s\"", i ? ", " : "", v[i].name);
        rc = pw_fail(err, PW_ENOTFOUND, "\"%.100s\" is none of the builds that this one needs: %s",
                     j->from, all.len ? pw_buf_str(&all) : "none");
    } else if (!build) {
        rc = pw_fail(err, PW_ENOTFOUND, "\"%.100s\" was not built", j->from);
    }
    pw_schema_clear(&job_spec_schema, &spec);
    *ret = 0;
    if (rc == 0)
        rc = reader_attempt_of(self->rows, build, 0, ret, err);
    return rc == PW_ENOTFOUND && known && build ? 0 : rc; /* it ended before any worker had it */
}

/* ---- the list */
typedef struct listing {
    job_file *v;
    size_t n, cap;
    bool failed;
} listing;

static int add_file(void *p, const store_artifact *a)
{
    listing *l = p;
    if (a->kind != PW_FILE_ARTIFACT || a->state == FILE_DAMAGED)
        return 0;
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        job_file *v = reallocarray(l->v, cap, sizeof(*v));
        if (!v)
            return PW_ENOMEM;
        l->v = v;
        l->cap = cap;
    }
    job_file *f = &l->v[l->n++];
    *f = (job_file){.path = pw_strdup(a->path, &l->failed),
                    .size = a->size,
                    .mode = a->mode,
                    .sum = {malloc(sizeof(a->sha256)), sizeof(a->sha256)}};
    if (!f->sum.p || l->failed)
        return PW_ENOMEM;
    memcpy(f->sum.p, a->sha256, sizeof(a->sha256));
    return 0;
}

static int take_list(give_service *self, give_job *j, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(GIVE_LIST_MAX);
    listing l = {0};
    uint64_t attempt = 0;
    int rc = needed_attempt(self, j, &attempt, err);
    if (rc == 0 && attempt)
        rc = reader_artifacts(self->rows, attempt, -1, PW_FILES_MAX, add_file, &l, err);
    job_files files = {{l.v, l.n}};
    if (rc >= 0)
        rc = pw_schema_encode(&job_files_schema, &files, &b, err);
    for (size_t i = 0; i < l.n; i++) {
        free(l.v[i].path);
        free(l.v[i].sum.p);
    }
    free(l.v);
    PW_AUTO(crypt_sha256_freep) crypt_sha256 *h = rc < 0 ? NULL : crypt_sha256_new(err);
    if (!h)
        return rc < 0 ? rc : err->code;
    crypt_sha256_add(h, b.p, b.len);
    crypt_sha256_end(h, j->sum);
    j->size = b.len;
    uint64_t at = j->offset < b.len ? j->offset : b.len;
    j->n = b.len - at < PW_BLOB_MAX ? (size_t)(b.len - at) : PW_BLOB_MAX;
    if (!(j->p = malloc(j->n + 1)))
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (j->n)
        memcpy(j->p, b.p + at, j->n);
    return 0;
}

/* ---- files */
static int take_piece(give_job *j, int fd, pw_err *err)
{
    uint64_t at = j->offset < j->size ? j->offset : j->size;
    size_t n = j->size - at < PW_BLOB_MAX ? (size_t)(j->size - at) : PW_BLOB_MAX;
    if (!(j->p = malloc(n + 1)))
        return pw_fail(err, PW_ENOMEM, "out of memory");
    j->n = n;
    return n ? pw_fs_pread_all(fd, j->p, n, (off_t)at, err) : 0;
}

typedef struct one_file {
    uint64_t attempt, file;
    give_job *j;
} one_file;

static int note_file(void *p, const store_artifact *a)
{
    one_file *o = p;
    o->file = a->file;
    o->j->size = a->size;
    memcpy(o->j->sum, a->sha256, sizeof(o->j->sum));
    return 0;
}

static int take_file(give_service *self, give_job *j, pw_err *err)
{
    one_file o = {.j = j};
    int rc = needed_attempt(self, j, &o.attempt, err);
    if (rc == 0)
        rc = o.attempt ? reader_artifact(self->rows, o.attempt, PW_FILE_ARTIFACT, j->name,
                                         note_file, &o, err)
                       : pw_fail(err, PW_ENOTFOUND, "there is no file \"%.200s\"", j->name);
    if (rc < 0)
        return rc;
    PW_AUTO(pw_closep) int fd = blobs_read(self->files, j->sum, o.attempt, o.file, err);
    return fd < 0 ? fd : take_piece(j, fd, err);
}

static int take_path(give_job *j, pw_err *err)
{
    PW_AUTO(pw_closep) int fd = open(j->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return pw_fail_sys(err, "cannot read what was made for it");
    return take_piece(j, fd, err);
}

static void answer_to(give_service *self, give_job *j)
{
    pw_err err = {0};
    int rc = 0;
    if (j->kind != GIVE_PATH && !self->rows && !(self->rows = reader_open(self->db, &err)))
        rc = err.code;
    if (rc == 0)
        rc = j->kind == GIVE_LIST   ? take_list(self, j, &err)
             : j->kind == GIVE_FILE ? take_file(self, j, &err)
                                    : take_path(j, &err);
    j->code = rc < 0 ? rc : 0;
    if (rc >= 0)
        return;
    (void)snprintf(j->text, sizeof(j->text), "%s", err.text);
    if (rc != PW_ENOTFOUND && self->rows) /* what is wrong may be the connection */
        self->rows = reader_close(self->rows);
}

/* ---- the thread */
static void *thread_main(void *arg)
{
    give_service *self = arg;
    (void)pthread_mutex_lock(&self->lock);
    while (!self->stopping) {
        item *x = self->head;
        if (!x) {
            (void)pthread_cond_wait(&self->work, &self->lock);
            continue;
        }
        self->head = x->next;
        if (!self->head)
            self->tail = &self->head;
        self->n--;
        (void)pthread_mutex_unlock(&self->lock);
        give_job *j = x->job;
        free(x);
        if (j->kind == GIVE_REMOVE) {
            (void)unlink(j->path);
            (void)give_job_free(j);
        } else {
            answer_to(self, j);
            if (pw_chan_send_wait(self->answers, j, NULL) < 0) /* the service ends */
                (void)give_job_free(j);
        }
        (void)pthread_mutex_lock(&self->lock);
    }
    (void)pthread_mutex_unlock(&self->lock);
    self->rows = reader_close(self->rows);
    return NULL;
}

give_service *give_start(const char *db, const char *files, pw_chan *answers, pw_err *err)
{
    give_service *self = calloc(1, sizeof(*self));
    bool failed = false;
    if (!self) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->answers = answers;
    self->tail = &self->head;
    (void)pthread_mutex_init(&self->lock, NULL);
    (void)pthread_cond_init(&self->work, NULL);
    self->db = pw_strdup(db, &failed);
    self->files = pw_strdup(files, &failed);
    if (failed) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return give_stop(self);
    }
    return self;
}

give_service *give_stop(give_service *self)
{
    if (!self)
        return NULL;
    (void)pthread_mutex_lock(&self->lock);
    self->stopping = true;
    (void)pthread_cond_broadcast(&self->work);
    (void)pthread_mutex_unlock(&self->lock);
    pw_chan_close(self->answers); /* it may wait for room */
    if (self->running)
        (void)pthread_join(self->thread, NULL);
    while (self->head) {
        item *x = self->head;
        self->head = x->next;
        (void)give_job_free(x->job);
        free(x);
    }
    (void)pthread_cond_destroy(&self->work);
    (void)pthread_mutex_destroy(&self->lock);
    free(self->db);
    free(self->files);
    free(self);
    return NULL;
}

/* Under the lock. Signals are the core's: a thread blocks them all. */
static int thread_start(give_service *self, pw_err *err)
{
    sigset_t all, old;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&self->thread, NULL, thread_main, self);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0)
        return pw_fail_at(err, __FILE__, __LINE__, PW_ESYS, rc,
                          "starting a thread for what jobs ask for");
    self->running = true;
    return 0;
}

int give_send(give_service *self, give_job *job, pw_err *err)
{
    item *x = malloc(sizeof(*x));
    int rc = 0;
    if (!x) {
        (void)give_job_free(job);
        return pw_fail(err, PW_ENOMEM, "out of memory");
    }
    *x = (item){.job = job};
    (void)pthread_mutex_lock(&self->lock);
    if (self->n == GIVE_QUEUE_MAX)
        rc = pw_fail(err, PW_EFULL, "%d questions of jobs wait already", GIVE_QUEUE_MAX);
    if (rc == 0 && !self->running)
        rc = thread_start(self, err);
    if (rc == 0) {
        *self->tail = x;
        self->tail = &x->next;
        self->n++;
        (void)pthread_cond_signal(&self->work);
    }
    (void)pthread_mutex_unlock(&self->lock);
    if (rc < 0) {
        (void)give_job_free(job);
        free(x);
    }
    return rc;
}
