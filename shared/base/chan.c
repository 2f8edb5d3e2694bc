#include "shared/base/chan.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CAPACITY_MAX (1u << 20) /* items: more than that is a leak, not a queue */

struct pw_chan {
    pthread_mutex_t lock;
    pthread_cond_t not_empty; /* or closed */
    pthread_cond_t not_full;  /* or closed */
    int fd; /* eventfd: 1 while items are queued, else 0; changes under the lock only */
    bool closed;
    size_t cap, head, count;
    void (*free_item)(void *);
    void *ring[];
};

pw_chan *pw_chan_new(size_t capacity, void (*free_item)(void *), pw_err *err)
{
    pw_chan *self;

    if (capacity < 1 || capacity > CAPACITY_MAX) {
        (void)pw_fail(err, PW_EINVAL, "a queue of %zu items", capacity);
        return NULL;
    }
    self = calloc(1, sizeof(*self) + capacity * sizeof(self->ring[0]));
    if (!self) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory for a queue of %zu items", capacity);
        return NULL;
    }
    self->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->fd < 0) {
        (void)pw_fail_sys(err, "making the eventfd of a queue");
        free(self);
        return NULL;
    }
    self->cap = capacity;
    self->free_item = free_item;
    (void)pthread_mutex_init(&self->lock, NULL); /* these three cannot fail on Linux */
    (void)pthread_cond_init(&self->not_empty, NULL);
    (void)pthread_cond_init(&self->not_full, NULL);
    return self;
}

pw_chan *pw_chan_free(pw_chan *self)
{
    if (!self)
        return NULL;
    for (size_t i = 0; self->free_item && i < self->count; i++)
        self->free_item(self->ring[(self->head + i) % self->cap]);
    (void)pthread_cond_destroy(&self->not_full);
    (void)pthread_cond_destroy(&self->not_empty);
    (void)pthread_mutex_destroy(&self->lock);
    (void)close(self->fd);
    free(self);
    return NULL;
}

/* With the lock held and room for it. */
static void chan_push(pw_chan *self, void *item)
{
    uint64_t one = 1;

    self->ring[(self->head + self->count) % self->cap] = item;
    /* only the first item raises the eventfd: the counter stays at 1, the write cannot fail */
    if (self->count++ == 0)
        (void)!write(self->fd, &one, sizeof(one));
    (void)pthread_cond_signal(&self->not_empty);
}

/* With the lock held; NULL when empty. */
static void *chan_pop(pw_chan *self)
{
    uint64_t counter;
    void *item;

    if (self->count == 0)
        return NULL;
    item = self->ring[self->head];
    self->head = (self->head + 1) % self->cap;
    if (--self->count == 0)
        (void)!read(self->fd, &counter, sizeof(counter));
    (void)pthread_cond_signal(&self->not_full);
    return item;
}

int pw_chan_send(pw_chan *self, void *item, pw_err *err)
{
    bool sent, closed;

    if (!item)
        return pw_fail(err, PW_EINVAL, "a queue carries no NULL");
    (void)pthread_mutex_lock(&self->lock);
    closed = self->closed;
    sent = !closed && self->count < self->cap;
    if (sent)
        chan_push(self, item);
    (void)pthread_mutex_unlock(&self->lock);
    if (sent)
        return 0;
    if (closed)
        return pw_fail(err, PW_EFULL, "queue is closed");
    return pw_fail(err, PW_EFULL, "queue of %zu items is full", self->cap);
}

int pw_chan_send_wait(pw_chan *self, void *item, pw_err *err)
{
    bool sent;

    if (!item)
        return pw_fail(err, PW_EINVAL, "a queue carries no NULL");
    (void)pthread_mutex_lock(&self->lock);
    while (!self->closed && self->count == self->cap)
        (void)pthread_cond_wait(&self->not_full, &self->lock);
    sent = !self->closed;
    if (sent)
        chan_push(self, item);
    (void)pthread_mutex_unlock(&self->lock);
    return sent ? 0 : pw_fail(err, PW_EAGAIN, "queue is closed");
}

void *pw_chan_recv(pw_chan *self)
{
    void *item;

    (void)pthread_mutex_lock(&self->lock);
    item = chan_pop(self);
    (void)pthread_mutex_unlock(&self->lock);
    return item;
}

void *pw_chan_recv_wait(pw_chan *self)
{
    void *item;

    (void)pthread_mutex_lock(&self->lock);
    while (!self->closed && self->count == 0)
        (void)pthread_cond_wait(&self->not_empty, &self->lock);
    item = chan_pop(self);
    (void)pthread_mutex_unlock(&self->lock);
    return item;
}

int pw_chan_fd(const pw_chan *self)
{
    return self->fd;
}

void pw_chan_close(pw_chan *self)
{
    (void)pthread_mutex_lock(&self->lock);
    self->closed = true;
    (void)pthread_cond_broadcast(&self->not_empty);
    (void)pthread_cond_broadcast(&self->not_full);
    (void)pthread_mutex_unlock(&self->lock);
}
