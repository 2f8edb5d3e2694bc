/* The threads and the queue. A thread is started when a job finds none idle, and lives as long as
 * the service: its children die with the thread that started them. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "master/git/impl.h"
#include "shared/base/fs.h"

#define THREADS 4      /* repositories at the same time: two that hang leave two for the others */
#define QUEUE_MAX 1000 /* jobs that wait: a poll and a history of each of some hundred projects */
#define RETRY_MS 10    /* between two looks at a full channel of answers */

typedef struct item {
    struct item *next;
    git_job *job; /* owned */
} item;

struct git_service {
    char *dir;
    pw_chan *answers; /* borrowed */
    int stop_fd;      /* readable once the service ends */
    bool library;     /* libgit2 is set up */
    pthread_mutex_t lock;
    pthread_cond_t work; /* a job was added or has ended, or the service ends */
    /* under the lock */
    item *head, **tail;
    size_t n_queued;
    size_t n_threads, n_idle;
    bool stopping;
    pthread_t thread[THREADS];
    uint64_t busy[THREADS]; /* projects that are worked on */
    size_t n_busy;
};

static bool is_busy(const git_service *self, uint64_t project)
{
    for (size_t i = 0; i < self->n_busy; i++)
        if (self->busy[i] == project)
            return true;
    return false;
}

/* The oldest job of a repository that nobody works on, marked as worked on; NULL: none. Under the
 * lock. */
static git_job *queue_take(git_service *self)
{
    for (item **at = &self->head; *at; at = &(*at)->next) {
        item *x = *at;
        git_job *job = x->job;
        if (is_busy(self, job->project))
            continue;
        *at = x->next;
        if (!*at)
            self->tail = at;
        self->n_queued--;
        self->busy[self->n_busy++] = job->project;
        free(x);
        return job;
    }
    return NULL;
}

/* Under the lock. */
static void queue_release(git_service *self, uint64_t project)
{
    for (size_t i = 0; i < self->n_busy; i++) {
        if (self->busy[i] != project)
            continue;
        self->busy[i] = self->busy[--self->n_busy];
        break;
    }
    (void)pthread_cond_broadcast(&self->work);
}

static void run_job(const git_service *self, git_job *job)
{
    PW_AUTO(gw_clear) gw w = {.stop_fd = -1};
    pw_err err = {0};
    int rc = gw_init(&w, self->dir, self->stop_fd, job, &err);

    if (rc == 0 && job->kind == GIT_POLL)
        rc = gw_poll(&w, &err);
    else if (rc == 0 && job->kind == GIT_HISTORY)
        rc = gw_history(&w, &err);
    else if (rc == 0 && job->kind == GIT_PUSH)
        rc = gw_push(&w, &err);
    else if (rc == 0 && job->kind == GIT_SHOW)
        rc = gw_show(&w, &err);
    else if (rc == 0 && job->kind == GIT_BUNDLE)
        rc = gw_bundle(&w, &err);
    else if (rc == 0 && job->kind == GIT_TRY)
        rc = gw_try(&w, &err);
    else if (rc == 0 && job->kind == GIT_UNTRY)
        rc = gw_untry(&w, &err);
    else if (rc == 0)
        rc = pw_fail(&err, PW_EINVAL, "git job of kind %d", (int)job->kind);
    job->code = rc < 0 ? rc : 0;
    if (rc < 0)
        (void)snprintf(job->text, sizeof(job->text), "%s", err.text);
    /* what cannot be asked will never be pushed; all else may have happened */
    if (rc < 0 && job->kind == GIT_PUSH)
        job->outcome = rc == PW_EINVAL ? GIT_REFUSED : GIT_UNKNOWN;
}

/* Never waits for ever: the reader of the channel may be the one who waits for us to end. */
static void answer(const git_service *self, git_job *job)
{
    gw w = {.stop_fd = self->stop_fd};

    while (pw_chan_send(self->answers, job, NULL) < 0) {
        if (!gw_sleep(&w, RETRY_MS)) {
            git_job_free(job);
            return;
        }
    }
}

static void *thread_main(void *arg)
{
    git_service *self = arg;

    (void)pthread_mutex_lock(&self->lock);
    while (!self->stopping) {
        git_job *job = queue_take(self);
        if (!job) {
            self->n_idle++;
            (void)pthread_cond_wait(&self->work, &self->lock);
            self->n_idle--;
            continue;
        }
        uint64_t project = job->project;
        (void)pthread_mutex_unlock(&self->lock);
        run_job(self, job);
        answer(self, job);
        (void)pthread_mutex_lock(&self->lock);
        queue_release(self, project);
        if (self->n_busy > 0 || self->head)
            continue;
        /* what a job used for a moment would stay with the heap of its thread: 6 MB after 20 polls
         */
        (void)pthread_mutex_unlock(&self->lock);
        (void)malloc_trim(0);
        (void)pthread_mutex_lock(&self->lock);
    }
    (void)pthread_mutex_unlock(&self->lock);
    return NULL;
}

/* libgit2 takes some MB: only when there is work. It reads no configuration but the mirrors' own.
 */
static int library_start(git_service *self, pw_err *err)
{
    if (self->library)
        return 0;
    if (git_libgit2_init() < 0)
        return pw_fail(err, PW_ENOMEM, "setting up libgit2");
    self->library = true;
    (void)git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, GIT_CONFIG_LEVEL_SYSTEM, "");
    (void)git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, GIT_CONFIG_LEVEL_XDG, "");
    (void)git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, GIT_CONFIG_LEVEL_GLOBAL, "");
    (void)git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, GIT_CONFIG_LEVEL_PROGRAMDATA, "");
    /* the mirrors are ours, whoever owns the files */
    (void)git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
    return 0;
}

/* Under the lock. Signals are the core's: a thread blocks them all. */
static int thread_start(git_service *self, pw_err *err)
{
    sigset_t all, old;
    int rc;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&self->thread[self->n_threads], NULL, thread_main, self);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0)
        return pw_fail_at(err, __FILE__, __LINE__, PW_ESYS, rc, "starting a thread for git");
    self->n_threads++;
    return 0;
}

git_service *git_start(const char *dir, pw_chan *answers, pw_err *err)
{
    git_service *self;

    if (pw_fs_mkdirs(dir, 0700, err) < 0)
        return NULL;
    PW_AUTO(pw_freep) char *logins = gw_login_dir(dir);
    if (!logins) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    gitlogin_sweep(logins); /* of a master that was killed */
    self = calloc(1, sizeof(*self));
    if (!self) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->answers = answers;
    self->tail = &self->head;
    (void)pthread_mutex_init(&self->lock, NULL); /* these two cannot fail on Linux */
    (void)pthread_cond_init(&self->work, NULL);
    self->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->stop_fd < 0) {
        (void)pw_fail_sys(err, "making an eventfd for git");
        return git_stop(self);
    }
    self->dir = strdup(dir);
    if (!self->dir) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return git_stop(self);
    }
    return self;
}

git_service *git_stop(git_service *self)
{
    uint64_t one = 1;

    if (!self)
        return NULL;
    (void)pthread_mutex_lock(&self->lock);
    self->stopping = true;
    (void)pthread_cond_broadcast(&self->work);
    (void)pthread_mutex_unlock(&self->lock);
    /* never read: each child_wait sees it */
    if (self->stop_fd >= 0)
        (void)!write(self->stop_fd, &one, sizeof(one));
    for (size_t i = 0; i < self->n_threads; i++)
        (void)pthread_join(self->thread[i], NULL);
    while (self->head) {
        item *x = self->head;
        self->head = x->next;
        git_job_free(x->job);
        free(x);
    }
    if (self->library)
        (void)git_libgit2_shutdown();
    pw_closep(&self->stop_fd);
    (void)pthread_cond_destroy(&self->work);
    (void)pthread_mutex_destroy(&self->lock);
    free(self->dir);
    free(self);
    return NULL;
}

/* Under the lock: makes sure that somebody will take the job. */
static int ready(git_service *self, pw_err *err)
{
    int rc;

    if (self->n_queued == QUEUE_MAX)
        return pw_fail(err, PW_EFULL, "%d git jobs wait already", QUEUE_MAX);
    rc = library_start(self, err);
    if (rc < 0 || self->n_idle > self->n_queued || self->n_threads == THREADS)
        return rc;
    rc = thread_start(self, err);
    return self->n_threads > 0 ? 0 : rc;
}

int git_send(git_service *self, git_job *job, pw_err *err)
{
    item *x = malloc(sizeof(*x));
    int rc;

    if (!x) {
        git_job_free(job);
        return pw_fail(err, PW_ENOMEM, "out of memory");
    }
    *x = (item){.job = job};
    (void)pthread_mutex_lock(&self->lock);
    rc = ready(self, err);
    if (rc == 0) {
        *self->tail = x;
        self->tail = &x->next;
        self->n_queued++;
        (void)pthread_cond_signal(&self->work);
    }
    (void)pthread_mutex_unlock(&self->lock);
    if (rc < 0) {
        git_job_free(job);
        free(x);
    }
    return rc;
}
