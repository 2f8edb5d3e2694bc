/* loop.h - the reactor: one epoll, timers by CLOCK_BOOTTIME, signals by signalfd. One thread owns
 * it and calls everything here (other threads reach it through a pw_chan). A callback does at most
 * 10 ms of work and never blocks; one that used more than 50 ms of CPU is counted and logged with
 * its name. */
#ifndef PW_SHARED_BASE_LOOP_H
#define PW_SHARED_BASE_LOOP_H
#include <stdint.h>

#include "shared/base/cleanup.h"
#include "shared/base/err.h"
#include "shared/base/host.h"

typedef struct pw_loop pw_loop;
/* a watched fd, a timer or a set of signals; owned by the loop until removed */
typedef struct pw_source pw_source;
/* events: EPOLLIN | EPOLLOUT | ... */
typedef void pw_fd_cb(pw_loop *loop, int fd, uint32_t events, void *self);
typedef void pw_timer_cb(pw_loop *loop, void *self);
typedef void pw_signal_cb(pw_loop *loop, int signo, void *self);
typedef void pw_hook_cb(pw_loop *loop, void *self);

pw_loop *pw_loop_new(const pw_host *host, pw_err *err);
pw_loop *pw_loop_free(pw_loop *self);
PW_DEFINE_FREEP(pw_loop, pw_loop_free)

/* `name` is a constant for the log. The fd stays the caller's. NULL and *err when it fails. */
pw_source *pw_loop_fd(pw_loop *self, const char *name, int fd, uint32_t events, pw_fd_cb *cb,
                      void *cb_self, pw_err *err);
int pw_source_events(pw_source *s, uint32_t events, pw_err *err);
/* Fires once at `at` (host time); pw_source_at moves it; a fired timer stays and can be set again.
 * at = -1: not set. */
pw_source *pw_loop_timer(pw_loop *self, const char *name, pw_usec at, pw_timer_cb *cb,
                         void *cb_self, pw_err *err);
void pw_source_at(pw_source *s, pw_usec at);
/* Blocks the signals in this thread, so that one which comes while a program starts waits for its
 * pw_loop_signals instead of ending it. 0-terminated list. */
void pw_loop_hold_signals(const int *signals);
/* Blocks the signals in this thread (call before other threads start) and delivers them here.
 * 0-terminated list. */
pw_source *pw_loop_signals(pw_loop *self, const int *signals, pw_signal_cb *cb, void *cb_self,
                           pw_err *err);
/* Safe inside any callback, also the source's own. NULL is fine. */
void pw_source_remove(pw_source *s);
/* Called once after each batch of callbacks, before the loop sleeps: where a turn is committed. One
 * per loop. */
void pw_loop_after(pw_loop *self, pw_hook_cb *cb, void *cb_self);
/* Makes the next round come at once (the hook sees it too): for work left over from a bounded
 * batch. */
void pw_loop_again(pw_loop *self);

/* One round: waits at most max_wait us (-1: for ever; 0: not at all), runs what is ready, then the
 * hook. */
int pw_loop_once(pw_loop *self, pw_usec max_wait, pw_err *err);
/* Rounds until pw_loop_stop(). */
int pw_loop_run(pw_loop *self, pw_err *err);
void pw_loop_stop(pw_loop *self);
/* Callbacks that used over 50 ms of CPU since the start; tests assert 0. */
uint64_t pw_loop_slow(const pw_loop *self);
#endif
