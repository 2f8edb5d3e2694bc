#include "shared/base/loop.h"

#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "shared/base/buf.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"
#include "tests/tap.h"

struct world {
    pw_usec now;
    pw_loop *loop;
    pw_source *sources[8];
    int fds[2]; /* a pipe */
    char trace[200];
    int hooks;
};

struct mark {
    struct world *w;
    char name;
};

static pw_usec fake_now(void *self)
{
    return ((struct world *)self)->now;
}

static void note(struct world *w, char c)
{
    size_t n = strlen(w->trace);

    if (n + 1 < sizeof(w->trace)) {
        w->trace[n] = c;
        w->trace[n + 1] = '\0';
    }
}

static bool traced(struct world *w, const char *want)
{
    bool same = strcmp(w->trace, want) == 0;

    if (!same)
        printf("# trace \"%s\", wanted \"%s\"\n", w->trace, want);
    w->trace[0] = '\0';
    return same;
}

static void world_clear(struct world *w)
{
    pw_loop_free(w->loop);
    pw_closep(&w->fds[0]);
    pw_closep(&w->fds[1]);
}

static bool world_init(struct world *w, pw_host *host)
{
    *w = (struct world){.now = 1000, .fds = {-1, -1}};
    *host = (pw_host){.now = fake_now, .self = w};
    w->loop = pw_loop_new(host, NULL);
    return w->loop && pipe2(w->fds, 0) == 0;
}

static void on_timer(pw_loop *loop, void *self)
{
    struct mark *m = self;

    (void)loop;
    note(m->w, m->name);
}

static void round_of(struct world *w)
{
    if (pw_loop_once(w->loop, 0, NULL) < 0)
        note(w, '!');
}

static void test_timers(void)
{
    PW_AUTO(world_clear) struct world w;
    pw_host host;
    struct mark m[5];
    pw_source *t[5];

    if (!world_init(&w, &host))
        return;
    for (int i = 0; i < 5; i++) {
        m[i] = (struct mark){.w = &w, .name = (char)('a' + i)};
        t[i] = pw_loop_timer(w.loop, "t", i == 4 ? -1 : 2000 - i / 2 * 100, on_timer, &m[i], NULL);
        if (!t[i])
            return;
    }
    round_of(&w);
    ok(traced(&w, ""), "nothing is due");
    w.now = 1899;
    round_of(&w);
    ok(traced(&w, ""), "1 us too early");
    w.now = 1900;
    round_of(&w);
    ok(traced(&w, "cd"), "due, in the order in which they were set");
    w.now = 3000;
    round_of(&w);
    ok(traced(&w, "ab"), "late ones");
    round_of(&w);
    ok(traced(&w, ""), "each fires once");
    pw_source_at(t[2], 3000);
    pw_source_at(t[0], 2500);
    pw_source_at(t[4], 5000);
    pw_source_at(t[4], -1);
    round_of(&w);
    ok(traced(&w, "ca"), "set again in the past: now, after what was set before; unset: never");
    pw_source_at(t[1], 4000);
    pw_source_at(t[3], 4001);
    pw_source_remove(t[1]);
    pw_source_remove(NULL);
    w.now = 9000;
    round_of(&w);
    ok(traced(&w, "d"), "a removed one does not fire");
}

/* Sets itself again at once, and removes its neighbours. */
static void on_greedy(pw_loop *loop, void *self)
{
    struct mark *m = self;

    (void)loop;
    note(m->w, m->name);
    pw_source_at(m->w->sources[0], 0);
    pw_source_remove(m->w->sources[1]);
    m->w->sources[1] = NULL;
}

static void on_suicide(pw_loop *loop, void *self)
{
    struct mark *m = self;

    (void)loop;
    note(m->w, m->name);
    pw_source_remove(m->w->sources[2]);
    pw_source_at(m->w->sources[2], 0); /* dead, but still there until the round ends */
    pw_source_remove(m->w->sources[2]);
}

static void test_timers_inside(void)
{
    PW_AUTO(world_clear) struct world w;
    pw_host host;
    struct mark g = {&w, 'g'}, v = {&w, 'v'}, s = {&w, 's'};

    if (!world_init(&w, &host))
        return;
    w.sources[0] = pw_loop_timer(w.loop, "greedy", 1000, on_greedy, &g, NULL);
    w.sources[1] = pw_loop_timer(w.loop, "victim", 1000, on_timer, &v, NULL);
    w.sources[2] = pw_loop_timer(w.loop, "suicide", 1000, on_suicide, &s, NULL);
    if (!w.sources[0] || !w.sources[1] || !w.sources[2])
        return;
    round_of(&w);
    ok(traced(&w, "gs"), "a timer that sets itself again does not hold up the round");
    w.sources[1] = pw_loop_timer(w.loop, "victim", 1001, on_timer, &v, NULL);
    if (!w.sources[1])
        return;
    w.now = 1001;
    g.name = 'G';
    round_of(&w);
    ok(traced(&w, "G"), "it fires in the next one");
}

/* Against a slow but plain model: many timers, set, moved and removed at random. */
static void test_heap(void)
{
    PW_AUTO(world_clear) struct world w;
    pw_host host;
    enum { N = 60 };
    struct mark m[N];
    pw_source *t[N];
    pw_usec at[N];
    uint32_t seed = 7;
    int wrong = 0;

    if (!world_init(&w, &host))
        return;
    for (int i = 0; i < N; i++) {
        m[i] = (struct mark){&w, (char)('0' + i)};
        at[i] = -1;
        t[i] = pw_loop_timer(w.loop, "t", -1, on_timer, &m[i], NULL);
        if (!t[i])
            return;
    }
    for (int round = 0; round < 2000; round++) {
        bool fired[N] = {false};
        for (int k = 0; k < 5; k++) {
            int i;
            seed = seed * 1664525 + 1013904223;
            i = (int)((seed >> 9) % N);
            at[i] = (seed >> 20) % 8 == 0 ? -1 : w.now + (pw_usec)((seed >> 16) % 400);
            pw_source_at(t[i], at[i]);
        }
        w.now += 37;
        round_of(&w);
        for (const char *c = w.trace; *c; c++) {
            int i = *c - '0';
            if (i < 0 || i >= N)
                continue;
            fired[i] = true;
            wrong += at[i] < 0 || at[i] > w.now;
            wrong += c > w.trace && at[c[-1] - '0'] > at[i];
        }
        for (int i = 0; i < N; i++) {
            wrong += !fired[i] && at[i] >= 0 && at[i] <= w.now;
            if (fired[i])
                at[i] = -1;
        }
        w.trace[0] = '\0';
    }
    ok(wrong == 0, "timers fire when due and in order");
}

static void on_fd(pw_loop *loop, int fd, uint32_t events, void *self)
{
    struct mark *m = self;
    char c;

    (void)loop;
    if (events & EPOLLIN && read(fd, &c, 1) == 1)
        note(m->w, c);
    else if (events & EPOLLHUP)
        note(m->w, 'H');
    else
        note(m->w, '?');
}

static void test_fds(void)
{
    PW_AUTO(world_clear) struct world w;
    pw_host host;
    struct mark m = {&w, 'x'};
    pw_err err = {.code = PW_OK};
    pw_source *s;

    if (!world_init(&w, &host))
        return;
    ok(!pw_loop_fd(w.loop, "bad", 9999, EPOLLIN, on_fd, &m, &err) && err.code == PW_ESYS,
       "no such descriptor");
    s = pw_loop_fd(w.loop, "pipe", w.fds[0], EPOLLIN, on_fd, &m, &err);
    if (!s)
        return;
    round_of(&w);
    ok(traced(&w, ""), "nothing to read");
    ok(write(w.fds[1], "ab", 2) == 2, "two bytes");
    round_of(&w);
    ok(traced(&w, "a"), "one event a round");
    ok(pw_source_events(s, 0, &err) == 0, "paused");
    pw_closep(&w.fds[1]);
    round_of(&w);
    ok(traced(&w, ""), "a paused source is silent, even when the other end hangs up");
    ok(pw_source_events(s, EPOLLIN, &err) == 0, "goes on");
    round_of(&w);
    round_of(&w);
    ok(traced(&w, "bH"), "nothing was lost");
    pw_source_remove(s);
    round_of(&w);
    ok(traced(&w, ""), "removed");
}

/* Whichever of the two comes first removes both: the other's event is in the batch already. */
static void on_remove_both(pw_loop *loop, int fd, uint32_t events, void *self)
{
    struct world *w = self;

    (void)loop;
    (void)fd;
    (void)events;
    note(w, 'r');
    pw_source_remove(w->sources[0]);
    pw_source_remove(w->sources[1]);
}

/* Whichever comes first pauses the other. */
static void on_pause_other(pw_loop *loop, int fd, uint32_t events, void *self)
{
    struct world *w = self;

    (void)loop;
    (void)events;
    note(w, 'p');
    (void)pw_source_events(w->sources[fd == w->fds[1] ? 1 : 0], 0, NULL);
}

static void test_remove_in_batch(void)
{
    PW_AUTO(world_clear) struct world w;
    PW_AUTO(pw_closep) int twin = -1;
    pw_host host;

    if (!world_init(&w, &host))
        return;
    twin = dup(w.fds[1]); /* both are writable at once */
    w.sources[0] = pw_loop_fd(w.loop, "a", w.fds[1], EPOLLOUT, on_pause_other, &w, NULL);
    w.sources[1] = pw_loop_fd(w.loop, "b", twin, EPOLLOUT, on_pause_other, &w, NULL);
    if (!w.sources[0] || !w.sources[1])
        return;
    round_of(&w);
    ok(traced(&w, "p"), "a source that was paused in the same batch is not called");
    pw_source_remove(w.sources[0]);
    pw_source_remove(w.sources[1]);
    w.sources[0] = pw_loop_fd(w.loop, "a", w.fds[1], EPOLLOUT, on_remove_both, &w, NULL);
    w.sources[1] = pw_loop_fd(w.loop, "b", twin, EPOLLOUT, on_remove_both, &w, NULL);
    if (!w.sources[0] || !w.sources[1])
        return;
    round_of(&w);
    ok(traced(&w, "r"), "nor one that was removed");
}

static void on_signal(pw_loop *loop, int signo, void *self)
{
    struct world *w = self;

    (void)loop;
    note(w, signo == SIGUSR1 ? '1' : signo == SIGUSR2 ? '2' : '?');
    if (signo == SIGUSR2) {
        pw_source_remove(w->sources[0]);
        w->sources[0] = NULL;
    }
}

static void test_signals(void)
{
    PW_AUTO(world_clear) struct world w;
    static const int signals[] = {SIGUSR1, SIGUSR2, 0};
    pw_host host;

    if (!world_init(&w, &host))
        return;
    w.sources[0] = pw_loop_signals(w.loop, signals, on_signal, &w, NULL);
    if (!w.sources[0])
        return;
    (void)kill(getpid(), SIGUSR1);
    round_of(&w);
    ok(traced(&w, "1"), "a signal is delivered");
    (void)kill(getpid(), SIGUSR1);
    (void)kill(getpid(), SIGUSR2);
    round_of(&w);
    ok(traced(&w, "12"), "two are, and the source may go in its own callback");
}

static void on_after(pw_loop *loop, void *self)
{
    struct world *w = self;

    note(w, '|');
    if (++w->hooks == 2)
        pw_loop_again(loop);
    if (w->hooks == 3)
        pw_loop_stop(loop);
}

static void on_nested(pw_loop *loop, void *self)
{
    struct mark *m = self;

    note(m->w, pw_loop_once(loop, 0, NULL) == PW_ECONFLICT ? 'n' : '!');
}

static void test_hook(void)
{
    PW_AUTO(world_clear) struct world w;
    pw_host host;
    struct mark a = {&w, 'a'}, b = {&w, 'b'};

    if (!world_init(&w, &host))
        return;
    pw_loop_after(w.loop, on_after, &w);
    if (!pw_loop_timer(w.loop, "a", 1000, on_timer, &a, NULL) ||
        !pw_loop_timer(w.loop, "b", 1000, on_timer, &b, NULL))
        return;
    round_of(&w);
    ok(traced(&w, "ab|"), "the hook comes once, after all callbacks");
    pw_loop_again(w.loop);
    ok(pw_loop_run(w.loop, NULL) == 0 && traced(&w, "||"),
       "again makes a round without waiting, stop ends the run");
    if (!pw_loop_timer(w.loop, "n", 1000, on_nested, &a, NULL))
        return;
    round_of(&w);
    ok(traced(&w, "n|"), "no round inside a round");
    ok(pw_loop_slow(w.loop) == 0, "nothing was slow");
}

static void on_busy(pw_loop *loop, void *self)
{
    struct timespec t;
    int64_t end = 0, now = 0;

    (void)loop;
    (void)self;
    while (end == 0 || now < end) {
        (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        now = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
        if (end == 0)
            end = now + 55000000;
    }
}

static void test_slow(void)
{
    PW_AUTO(world_clear) struct world w;
    pw_host host;
    struct mark a = {&w, 'a'};

    if (!world_init(&w, &host))
        return;
    if (!pw_loop_timer(w.loop, "busy", 1000, on_busy, NULL, NULL) ||
        !pw_loop_timer(w.loop, "a", 1000, on_timer, &a, NULL))
        return;
    pw_log_open(0, -1); /* it is told of, too: not here */
    round_of(&w);
    pw_log_open(PW_LOG_INFO, -1);
    ok(pw_loop_slow(w.loop) == 1, "55 ms of CPU are counted, for the one that used them");
}

static void on_stop(pw_loop *loop, void *self)
{
    *(pw_usec *)self = pw_now(&pw_host_real);
    pw_loop_stop(loop);
}

/* The real clock: never early. Lateness depends on the machine, so the bound here is far from what
 * is measured. */
static void test_real_time(void)
{
    PW_AUTO(pw_loop_freep) pw_loop *loop = pw_loop_new(&pw_host_real, NULL);
    pw_usec fired = 0, at, best = INT64_MAX, before;
    pw_source *t;
    int early = 0;

    if (!loop)
        return;
    t = pw_loop_timer(loop, "t", -1, on_stop, &fired, NULL);
    if (!t)
        return;
    for (int i = 0; i < 20; i++) {
        at = pw_now(&pw_host_real) + 700 + i * 13;
        pw_source_at(t, at);
        (void)pw_loop_run(loop, NULL);
        early += fired < at;
        if (fired - at < best)
            best = fired - at;
    }
    ok(early == 0, "no timer is early");
    ok(best < 5000, "and not late: %d us at best", (int)best);
    before = pw_now(&pw_host_real);
    ok(pw_loop_once(loop, 1500, NULL) == 0 && pw_now(&pw_host_real) >= before + 1500,
       "a round waits as long as it may");
    pw_source_at(t, before + INT64_C(3600000000));
    before = pw_now(&pw_host_real);
    ok(pw_loop_once(loop, 0, NULL) == 0 && pw_now(&pw_host_real) < before + 1000000, "or not");
}

int main(void)
{
    test_timers();
    test_timers_inside();
    test_heap();
    test_fds();
    test_remove_in_batch();
    test_signals();
    test_hook();
    test_slow();
    test_real_time();
    ok(pw_loop_free(NULL) == NULL, "free of nothing");
    return tap_done();
}
