/* The thread and its queue. */
#include "master/net/net.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/net/irc.h"
#include "master/net/sender.h"
#include "shared/base/log.h"

enum { QUEUE_MAX = 1000 };
#define WAIT_US ((pw_usec)200000) /* how long an end of the service may go unnoticed */

static const sender *const senders[] = {
    [NET_WEBHOOK] = &sender_webhook, [NET_CHAT] = &sender_chat,     [NET_MAIL] = &sender_mail,
    [NET_GITHUB] = &sender_status,   [NET_GITLAB] = &sender_status, [NET_GITEA] = &sender_status,
    [NET_MATRIX] = &sender_matrix};
_Static_assert(sizeof(senders) / sizeof(senders[0]) == NET_KINDS, "a sender for each kind");

struct net_service {
    pw_chan *queue;   /* owned; jobs to be sent */
    pw_chan *answers; /* borrowed */
    http_pool *pool;  /* the thread's */
    net_job *running; /* the thread's: jobs that the pool works on */
    _Atomic bool stop;
    bool started;
    pthread_t thread;
    net_ops ops;
    irc **irc; /* owned; the thread's */
    size_t n_irc;
};

net_job *net_job_new(net_kind kind, pw_err *err)
{
    net_job *j = calloc(1, sizeof(*j));
    if (!j)
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
    else
        j->kind = kind;
    return j;
}

net_job *net_job_free(net_job *j)
{
    if (!j)
        return NULL;
    if (j->url)
        explicit_bzero(j->url, strlen(j->url));
    if (j->secret)
        explicit_bzero(j->secret, j->secret_len);
    free(j->url);
    free(j->secret);
    free(j->key);
    free(j->event);
    free(j->body);
    free(j->place);
    free(j->user);
    free(j->from);
    free(j->ca);
    for (size_t i = 0; i < j->n_to; i++)
        free(j->to[i]);
    free(j->to);
    free(j->revision);
    free(j->context);
    free(j->state);
    free(j->remote);
    free(j->target);
    for (size_t i = 0; i < j->n_irc; i++)
        net_irc_clear(&j->irc[i]);
    free(j->irc);
    if (j->free_more)
        j->free_more(j->more);
    free(j);
    return NULL;
}

static void free_job(void *p)
{
    net_job_free(p);
}

/* Never waits for ever: the reader of the channel may be the one who waits for us to end. */
static void answer(net_service *self, net_job *j)
{
    pw_err err;
    while (pw_chan_send(self->answers, j, &err) < 0) {
        if (atomic_load(&self->stop)) {
            net_job_free(j);
            return;
        }
        (void)http_pool_run(self->pool, -1, WAIT_US / 20, &err);
    }
}

static void unsent(net_service *self, net_job *j, const pw_err *err)
{
    j->outcome = NET_UNSENT;
    (void)snprintf(j->text, sizeof(j->text), "%s", err->text);
    answer(self, j);
}

static void begin(net_service *self, net_job *j)
{
    pw_err err = {0};
    sender_request r = {.url = PW_BUF(SENDER_URL)};
    senders[j->kind]->ask(j, &r);
    http_request q = {.method = r.method,
                      .url = r.url.len ? r.url.p : j->url,
                      .header = r.header,
                      .n_headers = r.n,
                      .body = r.bare ? NULL : j->body,
                      .body_len = r.bare ? 0 : j->body_len,
                      .timeout = j->timeout,
                      .ca = j->ca,
                      .tag = j};
    if (j->kind == NET_MAIL) {
        q.mail_from = j->from;
        q.mail_to = (const char *const *)j->to;
        q.n_mail_to = j->n_to;
        q.user = j->user;
        q.password = j->secret;
        q.starttls = j->starttls;
    }
    int rc = r.url.failed ? pw_fail(&err, PW_ENOMEM, "out of memory")
                          : http_pool_add(self->pool, &q, &err);
    explicit_bzero(r.value, sizeof(r.value)); /* tokens */
    pw_buf_clear(&r.url);
    if (rc < 0) {
        unsent(self, j, &err);
        return;
    }
    j->next = self->running;
    self->running = j;
}

/* ---- connections to IRC */
static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_irc(const net_irc *a, const net_irc *b)
{
    return same_text(a->name, b->name) && same_text(a->server, b->server) &&
           same_text(a->nick, b->nick) && same_text(a->channel, b->channel) &&
           same_text(a->user, b->user) && same_text(a->password, b->password) &&
           same_text(a->ca, b->ca) && a->timeout == b->timeout;
}

/* Those that stay as they are go on; a person who speaks there sees nothing of it. */
static void set_irc(net_service *self, net_job *j)
{
    pw_err err = {0};
    irc **v = calloc(j->n_irc ? j->n_irc : 1, sizeof(irc *));
    size_t n = 0;
    for (size_t i = 0; v && i < j->n_irc; i++)
        for (size_t k = 0; k < self->n_irc; k++)
            if (self->irc[k] && same_irc(irc_conf(self->irc[k]), &j->irc[i])) {
                v[n++] = self->irc[k];
                self->irc[k] = NULL;
                net_irc_clear(&j->irc[i]);
                break;
            }
    for (size_t k = 0; v && k < self->n_irc; k++)
        self->irc[k] = irc_stop(self->irc[k]);
    for (size_t i = 0; v && i < j->n_irc; i++) {
        if (!j->irc[i].name)
            continue;
        if ((v[n] = irc_start(&j->irc[i], self->answers, &self->ops, &err)))
            n++;
        else
            pw_log_err(PW_LOG_ERROR, "irc_failed", &err);
    }
    if (v) {
        free(self->irc);
        self->irc = v;
        self->n_irc = n;
    }
    net_job_free(j);
}

static void to_irc(net_service *self, net_job *j)
{
    pw_err err = {0};
    for (size_t i = 0; i < self->n_irc; i++)
        if (strcmp(irc_conf(self->irc[i])->name, j->target) == 0) {
            irc_send(self->irc[i], j);
            return;
        }
    (void)pw_fail(&err, PW_ENOTFOUND, "IRC: there is no connection");
    unsent(self, j, &err);
}

static void take(net_service *self, net_job *j)
{
    pw_err err = {0};
    if (j->irc_set) {
        set_irc(self, j);
        return;
    }
    if (self->ops.prepare && self->ops.prepare(self->ops.self, j, &err) < 0)
        unsent(self, j, &err);
    else if (j->kind == NET_IRC)
        to_irc(self, j);
    else
        begin(self, j);
}

static void finish(net_service *self, http_reply *r)
{
    net_job *j = r->tag;
    for (net_job **at = &self->running; *at; at = &(*at)->next)
        if (*at == j) {
            *at = j->next;
            break;
        }
    j->again = false;
    senders[j->kind]->judge(j, r);
    http_reply_clear(r);
    if (j->again) {
        j->step++;
        begin(self, j);
    } else {
        answer(self, j);
    }
}

static void *thread_main(void *p)
{
    net_service *self = p;
    pw_err err = {0};
    while (!atomic_load(&self->stop)) {
        net_job *j;
        http_reply r;
        while ((j = pw_chan_recv(self->queue)))
            take(self, j);
        if (http_pool_run(self->pool, pw_chan_fd(self->queue), WAIT_US, &err) < 0)
            pw_log_err(PW_LOG_ERROR, "net_failed", &err);
        while (http_pool_next(self->pool, &r))
            finish(self, &r);
    }
    return NULL;
}

/* Signals are the core's: the thread blocks them all. */
static int start(net_service *self, pw_err *err)
{
    sigset_t all, old;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&self->thread, NULL, thread_main, self);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0)
        return pw_fail_at(err, __FILE__, __LINE__, PW_ESYS, rc, "starting the thread for messages");
    self->started = true;
    return 0;
}

net_service *net_start(pw_chan *answers, const net_ops *ops, pw_err *err)
{
    net_service *self = calloc(1, sizeof(*self));
    if (!self) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->answers = answers;
    if (ops)
        self->ops = *ops;
    if (!(self->queue = pw_chan_new(QUEUE_MAX, free_job, err)) ||
        !(self->pool = http_pool_new(err)) || start(self, err) < 0)
        return net_stop(self);
    return self;
}

net_service *net_stop(net_service *self)
{
    if (!self)
        return NULL;
    atomic_store(&self->stop, true);
    if (self->started)
        (void)pthread_join(self->thread, NULL);
    for (size_t i = 0; i < self->n_irc; i++)
        irc_stop(self->irc[i]);
    free(self->irc);
    http_pool_free(self->pool);
    for (net_job *j = self->running, *next; j; j = next) {
        next = j->next;
        net_job_free(j);
    }
    pw_chan_free(self->queue);
    free(self);
    return NULL;
}

int net_irc_set(net_service *self, net_irc *v, size_t n, pw_err *err)
{
    net_job *j = net_job_new(NET_IRC, err);
    if (!j) {
        for (size_t i = 0; i < n; i++)
            net_irc_clear(&v[i]);
        free(v);
        return PW_ENOMEM;
    }
    j->irc = v;
    j->n_irc = n;
    j->irc_set = true;
    return net_send(self, j, err);
}

int net_send(net_service *self, net_job *job, pw_err *err)
{
    int r = pw_chan_send(self->queue, job, err);
    if (r < 0)
        net_job_free(job);
    return r;
}
