#include "shared/base/loop.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "shared/base/log.h"

#define BATCH 64                  /* descriptors served in a round; the rest come in the next one */
#define SLOW_NS INT64_C(50000000) /* CPU time of one callback that is worth a log line (loop.h) */
#define NO_TIMER SIZE_MAX         /* place of a timer that is not set */
#define WAIT_MAX (INT64_C(86400000000) * 365) /* a year: keeps the sum below in range */

enum kind { KIND_FD, KIND_TIMER, KIND_SIGNALS };

struct pw_source {
    pw_loop *loop;
    const char *name;
    enum kind kind;
    bool dead;       /* removed: freed when the round ends, since its events may be in the batch */
    bool registered; /* with epoll */
    int fd;          /* a signal source owns its signalfd */
    uint32_t events;
    union {
        pw_fd_cb *fd;
        pw_timer_cb *timer;
        pw_signal_cb *signal;
    } cb;
    void *cb_self;
    pw_usec at;
    uint64_t seq; /* order among timers of one time, and which round set it */
    size_t place; /* in the heap */
    pw_source *prev, *next;
};

struct pw_loop {
    const pw_host *host;
    int epoll;
    int timer;     /* timerfd; its event carries no source */
    pw_usec armed; /* what the timerfd waits for; -1: nothing */
    pw_usec now; /* time of this round: no timer is set before it, so none can starve the others */
    pw_source *sources;   /* all that live */
    pw_source *graveyard; /* removed in this round (linked by next) */
    pw_source **heap;     /* timers that are set, by (at, seq); room for each timer there is */
    size_t heap_len, heap_cap, timers;
    uint64_t seq;
    pw_hook_cb *after;
    void *after_self;
    int64_t cpu; /* thread CPU time at the last callback's end */
    uint64_t slow;
    bool running, again, stop;
};

static int64_t cpu_now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* After each callback. CPU time, not wall time: a busy machine is no fault of the callback. */
static void measure(pw_loop *self, const char *name)
{
    int64_t now = cpu_now(), used = now - self->cpu;

    self->cpu = now;
    if (used <= SLOW_NS)
        return;
    self->slow++;
    pw_log(PW_LOG_WARN, "callback_slow", "name=%s cpu_ms=%" PRId64, name, used / 1000000);
}

/* ---- heap of timers ---- */

static bool before(const pw_source *a, const pw_source *b)
{
    return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

static void heap_set(pw_loop *self, size_t place, pw_source *s)
{
    self->heap[place] = s;
    s->place = place;
}

static void heap_up(pw_loop *self, size_t place, pw_source *s)
{
    while (place > 0) {
        size_t above = (place - 1) / 2;
        if (!before(s, self->heap[above]))
            break;
        heap_set(self, place, self->heap[above]);
        place = above;
    }
    heap_set(self, place, s);
}

static void heap_down(pw_loop *self, size_t place, pw_source *s)
{
    for (;;) {
        size_t below = 2 * place + 1;
        if (below >= self->heap_len)
            break;
        if (below + 1 < self->heap_len && before(self->heap[below + 1], self->heap[below]))
            below++;
        if (!before(self->heap[below], s))
            break;
        heap_set(self, place, self->heap[below]);
        place = below;
    }
    heap_set(self, place, s);
}

static void heap_remove(pw_loop *self, pw_source *s)
{
    size_t place = s->place;
    pw_source *last;

    if (place == NO_TIMER)
        return;
    s->place = NO_TIMER;
    last = self->heap[--self->heap_len];
    if (last == s)
        return;
    if (place > 0 && before(last, self->heap[(place - 1) / 2]))
        heap_up(self, place, last);
    else
        heap_down(self, place, last);
}

/* ---- sources ---- */

static pw_source *source_new(pw_loop *self, enum kind kind, const char *name, void *cb_self,
                             pw_err *err)
{
    pw_source *s = calloc(1, sizeof(*s));

    if (!s) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory for source \"%s\"", name);
        return NULL;
    }
    s->loop = self;
    s->name = name;
    s->kind = kind;
    s->fd = -1;
    s->cb_self = cb_self;
    s->place = NO_TIMER;
    s->next = self->sources;
    if (s->next)
        s->next->prev = s;
    self->sources = s;
    return s;
}

static int source_register(pw_source *s, uint32_t events, pw_err *err)
{
    struct epoll_event ev = {.events = events, .data.ptr = s};
    int op = s->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (events == 0) {
        /* epoll reports errors and hang-ups even of what nobody asked for: a paused source would
         * spin */
        if (!s->registered)
            return 0;
        op = EPOLL_CTL_DEL;
    }
    if (epoll_ctl(s->loop->epoll, op, s->fd, &ev) < 0)
        return pw_fail_sys(err, "watching descriptor %d of \"%s\"", s->fd, s->name);
    s->registered = events != 0;
    s->events = events;
    return 0;
}

pw_source *pw_loop_fd(pw_loop *self, const char *name, int fd, uint32_t events, pw_fd_cb *cb,
                      void *cb_self, pw_err *err)
{
    pw_source *s = source_new(self, KIND_FD, name, cb_self, err);

    if (!s)
        return NULL;
    s->fd = fd;
    s->cb.fd = cb;
    if (source_register(s, events, err) < 0) {
        pw_source_remove(s);
        return NULL;
    }
    return s;
}

int pw_source_events(pw_source *s, uint32_t events, pw_err *err)
{
    if (s->kind != KIND_FD || s->dead)
        return pw_fail(err, PW_EINVAL, "source \"%s\" watches no descriptor", s->name);
    if (events == s->events && (s->registered || events == 0))
        return 0;
    if (source_register(s, events, err) < 0)
        return PW_ESYS;
    s->events = events;
    return 0;
}

pw_source *pw_loop_timer(pw_loop *self, const char *name, pw_usec at, pw_timer_cb *cb,
                         void *cb_self, pw_err *err)
{
    pw_source *s;

    /* room for all timers is made here, so that setting one cannot fail */
    if (self->timers == self->heap_cap) {
        size_t cap = self->heap_cap ? self->heap_cap * 2 : 16;
        pw_source **more = realloc(self->heap, cap * sizeof(*more));
        if (!more) {
            (void)pw_fail(err, PW_ENOMEM, "out of memory for timer \"%s\"", name);
            return NULL;
        }
        self->heap = more;
        self->heap_cap = cap;
    }
    s = source_new(self, KIND_TIMER, name, cb_self, err);
    if (!s)
        return NULL;
    self->timers++;
    s->cb.timer = cb;
    pw_source_at(s, at);
    return s;
}

void pw_source_at(pw_source *s, pw_usec at)
{
    pw_loop *self = s->loop;

    if (s->kind != KIND_TIMER || s->dead)
        return;
    heap_remove(self, s);
    if (at < 0)
        return;
    s->at = at > self->now ? at : self->now;
    s->seq = self->seq++;
    heap_up(self, self->heap_len++, s);
}

static sigset_t signal_set(const int *signals)
{
    sigset_t set;

    (void)sigemptyset(&set);
    for (; *signals; signals++)
        (void)sigaddset(&set, *signals);
    return set;
}

void pw_loop_hold_signals(const int *signals)
{
    sigset_t set = signal_set(signals);

    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

pw_source *pw_loop_signals(pw_loop *self, const int *signals, pw_signal_cb *cb, void *cb_self,
                           pw_err *err)
{
    pw_source *s = source_new(self, KIND_SIGNALS, "signals", cb_self, err);
    sigset_t set = signal_set(signals);

    if (!s)
        return NULL;
    s->cb.signal = cb;
    s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->fd < 0) {
        (void)pw_fail_sys(err, "making a signalfd");
    } else if (source_register(s, EPOLLIN, err) == 0) {
        (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
        return s;
    }
    pw_source_remove(s);
    return NULL;
}

static void source_free(pw_source *s)
{
    if (s->kind == KIND_SIGNALS && s->fd >= 0)
        (void)close(s->fd);
    free(s);
}

void pw_source_remove(pw_source *s)
{
    pw_loop *self;

    if (!s || s->dead)
        return;
    self = s->loop;
    s->dead = true;
    if (s->kind == KIND_TIMER) {
        heap_remove(self, s);
        self->timers--;
    }
    if (s->registered)
        (void)epoll_ctl(self->epoll, EPOLL_CTL_DEL, s->fd, NULL);
    if (s->prev)
        s->prev->next = s->next;
    else
        self->sources = s->next;
    if (s->next)
        s->next->prev = s->prev;
    if (!self->running) {
        source_free(s);
        return;
    }
    s->prev = NULL;
    s->next = self->graveyard;
    self->graveyard = s;
}

static void bury(pw_loop *self)
{
    while (self->graveyard) {
        pw_source *s = self->graveyard;
        self->graveyard = s->next;
        source_free(s);
    }
}

/* ---- the loop ---- */

pw_loop *pw_loop_new(const pw_host *host, pw_err *err)
{
    PW_AUTO(pw_loop_freep) pw_loop *self = calloc(1, sizeof(*self));
    struct epoll_event ev = {.events = EPOLLIN};

    if (!self) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory for a loop");
        return NULL;
    }
    self->host = host;
    self->armed = -1;
    self->timer = -1;
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (self->epoll >= 0)
        /* a timerfd and not the timeout of epoll: that one has steps of 1 ms and stands still while
         * the machine sleeps */
        self->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (self->timer < 0 || epoll_ctl(self->epoll, EPOLL_CTL_ADD, self->timer, &ev) < 0) {
        (void)pw_fail_sys(err, "making a loop");
        return NULL;
    }
    self->now = pw_now(host);
    return pw_take(self);
}

pw_loop *pw_loop_free(pw_loop *self)
{
    if (!self)
        return NULL;
    while (self->sources)
        pw_source_remove(self->sources);
    bury(self);
    if (self->timer >= 0)
        (void)close(self->timer);
    if (self->epoll >= 0)
        (void)close(self->epoll);
    free(self->heap);
    free(self);
    return NULL;
}

void pw_loop_after(pw_loop *self, pw_hook_cb *cb, void *cb_self)
{
    self->after = cb;
    self->after_self = cb_self;
}

void pw_loop_again(pw_loop *self)
{
    self->again = true;
}

void pw_loop_stop(pw_loop *self)
{
    self->stop = true;
}

uint64_t pw_loop_slow(const pw_loop *self)
{
    return self->slow;
}

/* Sets the timerfd for the next deadline. Returns the timeout for epoll: 0 or -1. */
static int arm(pw_loop *self, pw_usec max_wait, int *ret_timeout, pw_err *err)
{
    pw_usec now = pw_now(self->host), until = -1;
    struct itimerspec spec = {.it_value = {0}};

    if (max_wait >= 0)
        until = now + (max_wait < WAIT_MAX ? max_wait : WAIT_MAX);
    if (self->heap_len > 0 && (until < 0 || self->heap[0]->at < until))
        until = self->heap[0]->at;
    if (self->again || (until >= 0 && until <= now)) {
        *ret_timeout = 0;
        return 0;
    }
    *ret_timeout = -1;
    if (until == self->armed)
        return 0;
    if (until >= 0) {
        pw_usec wait = until - now < WAIT_MAX ? until - now : WAIT_MAX;
        spec.it_value.tv_sec = wait / 1000000;
        spec.it_value.tv_nsec = wait % 1000000 * 1000;
    }
    if (timerfd_settime(self->timer, 0, &spec, NULL) < 0)
        return pw_fail_sys(err, "setting the timer of a loop");
    self->armed = until;
    return 0;
}

static void run_signals(pw_loop *self, pw_source *s)
{
    struct signalfd_siginfo info;

    /* at most one of each kind of signal is pending, save the real-time ones: the loop ends */
    while (!s->dead && read(s->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        s->cb.signal(self, (int)info.ssi_signo, s->cb_self);
        measure(self, s->name);
    }
}

static void run_timers(pw_loop *self)
{
    uint64_t first_new = self->seq; /* what callbacks set now is for the next round */

    while (self->heap_len > 0) {
        pw_source *s = self->heap[0];
        if (s->at > self->now || s->seq >= first_new)
            break;
        heap_remove(self, s);
        s->cb.timer(self, s->cb_self);
        measure(self, s->name);
    }
}

static void run_batch(pw_loop *self, const struct epoll_event *events, int n)
{
    for (int i = 0; i < n; i++) {
        pw_source *s = events[i].data.ptr;
        if (!s) { /* the timerfd: run_timers() knows what is due */
            uint64_t fired;
            (void)!read(self->timer, &fired, sizeof(fired));
            self->armed = -1;
        } else if (s->dead || (events[i].events & (s->events | EPOLLERR | EPOLLHUP)) == 0) {
            continue; /* removed, or changed, by a callback before it in the batch */
        } else if (s->kind == KIND_SIGNALS) {
            run_signals(self, s);
        } else if (s->registered) {
            s->cb.fd(self, s->fd, events[i].events, s->cb_self);
            measure(self, s->name);
        }
    }
}

int pw_loop_once(pw_loop *self, pw_usec max_wait, pw_err *err)
{
    struct epoll_event events[BATCH];
    int n, timeout = 0, rc;

    if (self->running)
        return pw_fail(err, PW_ECONFLICT, "a loop was run inside its own callback");
    rc = arm(self, max_wait, &timeout, err);
    if (rc < 0)
        return rc;
    n = epoll_wait(self->epoll, events, BATCH, timeout);
    if (n < 0 && errno != EINTR)
        return pw_fail_sys(err, "waiting for events");
    self->running = true;
    self->again = false;
    self->now = pw_now(self->host);
    self->cpu = cpu_now();
    run_batch(self, events, n);
    run_timers(self);
    if (self->after) {
        self->after(self, self->after_self);
        measure(self, "after");
    }
    self->running = false;
    bury(self);
    return 0;
}

int pw_loop_run(pw_loop *self, pw_err *err)
{
    int rc = 0;

    while (!self->stop && rc == 0)
        rc = pw_loop_once(self, -1, err);
    self->stop = false;
    return rc;
}
