/* The threads and their queue. */
#include "master/provider/provider.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shared/base/buf.h"
#include "shared/base/fs.h"
#include "shared/base/spawn.h"

enum { THREADS = 8, QUEUE_MAX = 4000, SAID_TEXT = 300 };

struct provider_service {
    pw_chan *answers; /* borrowed */
    int stop_fd;      /* readable once the service ends */
    pthread_mutex_t lock;
    pthread_cond_t work;
    /* under the lock */
    provider_job *head, **tail;
    size_t n_queued, n_threads, n_idle;
    bool stopping;
    pthread_t thread[THREADS];
};

provider_job *provider_job_new(pw_err *err)
{
    provider_job *j = calloc(1, sizeof(*j));
    if (!j)
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
    return j;
}

static void free_list(char **v)
{
    for (size_t i = 0; v && v[i]; i++) {
        explicit_bzero(v[i], strlen(v[i]));
        free(v[i]);
    }
    free(v);
}

provider_job *provider_job_free(provider_job *j)
{
    if (!j)
        return NULL;
    free(j->provider);
    free(j->worker);
    free_list(j->argv);
    free_list(j->env);
    free(j->said);
    free(j);
    return NULL;
}

int provider_job_env(provider_job *j, const char *name, const char *value, pw_err *err)
{
    size_t n = 0, at = SIZE_MAX, len = strlen(name);
    for (; j->env && j->env[n]; n++)
        if (strncmp(j->env[n], name, len) == 0 && j->env[n][len] == '=')
            at = n;
    char *line = pw_strf("%s=%s", name, value);
    char **v = at == SIZE_MAX ? realloc(j->env, (n + 2) * sizeof(*v)) : j->env;
    if (v)
        j->env = v;
    if (!line || !v) {
        free(line);
        return pw_fail(err, PW_ENOMEM, "out of memory");
    }
    if (at == SIZE_MAX) {
        v[n] = line;
        v[n + 1] = NULL;
    } else {
        free(v[at]);
        v[at] = line;
    }
    return 0;
}

/* The last line that it wrote on stderr: mostly the one that tells. */
static void last_line(pw_buf *b, char out[SAID_TEXT])
{
    const char *text = pw_buf_str(b);
    size_t end = b->len;
    while (end && (text[end - 1] == '\n' || text[end - 1] == ' '))
        end--;
    size_t from = end;
    while (from && text[from - 1] != '\n')
        from--;
    (void)snprintf(out, SAID_TEXT, "%.*s", (int)(end - from), text + from);
    for (char *c = out; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = ' ';
}

static void run(const provider_service *self, provider_job *j)
{
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(PROVIDER_SAID_MAX);
    PW_AUTO(pw_buf_clearp) pw_buf other = PW_BUF(64 * 1024);
    char line[SAID_TEXT];
    pw_err err = {0};
    pw_spawn s = {.argv = (const char *const *)j->argv,
                  .env = (const char *const *)j->env,
                  .in = -1,
                  .out = -1,
                  .err = -1,
                  .stop = &self->stop_fd,
                  .die_with_parent = true};
    int rc = pw_spawn_run(&s, NULL, j->timeout, &said, &other, &err);
    last_line(&other, line);
    if (rc < 0)
        (void)snprintf(j->text, sizeof(j->text), "%s", err.text);
    else if (rc > 0)
        (void)snprintf(j->text, sizeof(j->text), "it ended with status %d%s%s", rc,
                       line[0] ? ": " : "", line);
    else if (said.failed || !(j->said = pw_strf("%s", pw_buf_str(&said))))
        (void)snprintf(j->text, sizeof(j->text), "out of memory");
    else
        j->good = true;
}

/* Never waits for ever: the reader of the channel may be the one who waits for us to end. */
static void answer(provider_service *self, provider_job *j)
{
    const struct timespec pause = {0, 10000000};
    while (pw_chan_send(self->answers, j, NULL) < 0) {
        (void)pthread_mutex_lock(&self->lock);
        bool stop = self->stopping;
        (void)pthread_mutex_unlock(&self->lock);
        if (stop) {
            provider_job_free(j);
            return;
        }
        (void)nanosleep(&pause, NULL);
    }
}

static void *thread_main(void *p)
{
    provider_service *self = p;
    (void)pthread_mutex_lock(&self->lock);
    while (!self->stopping) {
        provider_job *j = self->head;
        if (!j) {
            self->n_idle++;
            (void)pthread_cond_wait(&self->work, &self->lock);
            self->n_idle--;
            continue;
        }
        self->head = j->next;
        if (!self->head)
            self->tail = &self->head;
        self->n_queued--;
        (void)pthread_mutex_unlock(&self->lock);
        j->next = NULL;
        run(self, j);
        answer(self, j);
        (void)pthread_mutex_lock(&self->lock);
    }
    (void)pthread_mutex_unlock(&self->lock);
    return NULL;
}

/* Under the lock. Signals are the core's: a thread blocks them all. */
static int start_thread(provider_service *self, pw_err *err)
{
    sigset_t all, old;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&self->thread[self->n_threads], NULL, thread_main, self);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0)
        return pw_fail_at(err, __FILE__, __LINE__, PW_ESYS, rc, "starting a thread for providers");
    self->n_threads++;
    return 0;
}

provider_service *provider_start(pw_chan *answers, pw_err *err)
{
    provider_service *self = calloc(1, sizeof(*self));
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
        (void)pw_fail_sys(err, "making an eventfd for providers");
        return provider_stop(self);
    }
    return self;
}

provider_service *provider_stop(provider_service *self)
{
    uint64_t one = 1;
    if (!self)
        return NULL;
    (void)pthread_mutex_lock(&self->lock);
    self->stopping = true;
    (void)pthread_cond_broadcast(&self->work);
    (void)pthread_mutex_unlock(&self->lock);
    if (self->stop_fd >= 0)
        (void)!write(self->stop_fd, &one, sizeof(one)); /* never read: each child's wait sees it */
    for (size_t i = 0; i < self->n_threads; i++)
        (void)pthread_join(self->thread[i], NULL);
    for (provider_job *j = self->head, *next; j; j = next) {
        next = j->next;
        provider_job_free(j);
    }
    pw_closep(&self->stop_fd);
    (void)pthread_cond_destroy(&self->work);
    (void)pthread_mutex_destroy(&self->lock);
    free(self);
    return NULL;
}

int provider_send(provider_service *self, provider_job *job, pw_err *err)
{
    int rc = 0;
    (void)pthread_mutex_lock(&self->lock);
    if (self->n_queued == QUEUE_MAX)
        rc = pw_fail(err, PW_EFULL, "%d commands of providers wait already", QUEUE_MAX);
    else if (self->n_idle <= self->n_queued && self->n_threads < THREADS &&
             (rc = start_thread(self, err)) < 0 && self->n_threads > 0)
        rc = 0; /* another one will take it */
    if (rc == 0) {
        *self->tail = job;
        self->tail = &job->next;
        self->n_queued++;
        (void)pthread_cond_signal(&self->work);
    }
    (void)pthread_mutex_unlock(&self->lock);
    if (rc < 0)
        provider_job_free(job);
    return rc;
}
