/* chan.h - bounded queue of pointers between threads: mutex + eventfd, so that ThreadSanitizer sees
 * it and a loop can wait on it. Many writers, one reader. The items are *taken* by the queue and
 * *owned* by whoever receives them. */
#ifndef PW_SHARED_BASE_CHAN_H
#define PW_SHARED_BASE_CHAN_H
#include <stddef.h>

#include "shared/base/cleanup.h"
#include "shared/base/err.h"

typedef struct pw_chan pw_chan;
/* free_item frees what is still queued when the channel is freed (may be NULL). */
pw_chan *pw_chan_new(size_t capacity, void (*free_item)(void *), pw_err *err);
pw_chan *pw_chan_free(pw_chan *self);
PW_DEFINE_FREEP(pw_chan, pw_chan_free)
/* PW_EFULL when full or closed (the item stays the caller's). Never blocks. */
int pw_chan_send(pw_chan *self, void *item, pw_err *err);
/* Blocks while full; PW_EAGAIN when closed (the item stays the caller's). */
int pw_chan_send_wait(pw_chan *self, void *item, pw_err *err);
/* The next item or NULL; never blocks. The fd stays readable while items are left. */
void *pw_chan_recv(pw_chan *self);
/* Blocks for an item; NULL when closed and empty. */
void *pw_chan_recv_wait(pw_chan *self);
/* Readable when something can be received. Borrowed. */
int pw_chan_fd(const pw_chan *self);
/* No more sends; the reader still gets what is queued, then NULL. */
void pw_chan_close(pw_chan *self);
#endif
