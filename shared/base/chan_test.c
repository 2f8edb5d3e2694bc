#include "shared/base/chan.h"

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "tests/tap.h"

#define WRITERS 3
#define EACH 2000

static bool readable(const pw_chan *c)
{
    struct pollfd p = {.fd = pw_chan_fd(c), .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

static void test_queue(void)
{
    PW_AUTO(pw_chan_freep) pw_chan *c = pw_chan_new(2, NULL, NULL);
    int a = 1, b = 2, d = 3;
    pw_err err = {.code = PW_OK};

    ok(c != NULL, "made");
    if (!c)
        return;
    ok(pw_chan_recv(c) == NULL && !readable(c), "empty");
    ok(pw_chan_send(c, &a, &err) == 0 && readable(c), "an item can be seen");
    ok(pw_chan_send(c, &b, &err) == 0, "as many as it holds");
    ok(pw_chan_send(c, &d, &err) == PW_EFULL, "one more does not fit");
    ok(pw_chan_recv(c) == &a && readable(c), "the first comes first; more is left");
    ok(pw_chan_send_wait(c, &d, &err) == 0, "there is room again");
    ok(pw_chan_recv_wait(c) == &b && pw_chan_recv(c) == &d, "in order");
    ok(!readable(c) && pw_chan_recv(c) == NULL, "empty again");
    ok(pw_chan_send(c, NULL, &err) == PW_EINVAL, "no NULL");
    ok(pw_chan_send(c, &a, &err) == 0, "one is queued");
    pw_chan_close(c);
    ok(pw_chan_send(c, &b, &err) == PW_EFULL && pw_chan_send_wait(c, &b, &err) == PW_EAGAIN,
       "closed: nothing more is taken");
    ok(pw_chan_recv_wait(c) == &a && pw_chan_recv_wait(c) == NULL, "what was queued still comes");
    ok(!readable(c), "and nothing is readable");
    ok(!pw_chan_new(0, NULL, &err) && err.code == PW_EINVAL, "no queue without room");
}

static void test_free(void)
{
    PW_AUTO(pw_chan_freep) pw_chan *c = pw_chan_new(3, free, NULL);

    for (int i = 0; c && i < 5; i++) {
        char *item = malloc(10);
        if (!item)
            return;
        if (i == 3) /* so that the ring wraps */
            free(pw_chan_recv(c));
        if (pw_chan_send(c, item, NULL) < 0)
            free(item);
    }
    ok(pw_chan_free(NULL) == NULL, "free of nothing"); /* the leak check knows the rest */
}

struct writer {
    pw_chan *c;
    int items[EACH];
    int failed;
};

static void *write_all(void *self)
{
    struct writer *w = self;

    for (int i = 0; i < EACH; i++) {
        w->items[i] = i;
        w->failed += pw_chan_send_wait(w->c, &w->items[i], NULL) < 0;
    }
    return NULL;
}

static void test_threads(void)
{
    static struct writer writers[WRITERS];
    PW_AUTO(pw_chan_freep) pw_chan *c = pw_chan_new(7, NULL, NULL);
    int next[WRITERS] = {0}, wrong = 0, started = 0;
    pthread_t threads[WRITERS];

    if (!c)
        return;
    for (; started < WRITERS; started++) {
        writers[started].c = c;
        if (pthread_create(&threads[started], NULL, write_all, &writers[started]) != 0)
            break;
    }
    for (int n = 0; n < started * EACH; n++) {
        int *item = pw_chan_recv_wait(c);
        for (int w = 0; w < started; w++)
            if (item >= writers[w].items && item < writers[w].items + EACH)
                wrong += item != &writers[w].items[next[w]] || *item != next[w]++;
    }
    for (int i = 0; i < started; i++) {
        (void)pthread_join(threads[i], NULL);
        wrong += writers[i].failed + (next[i] != EACH);
    }
    ok(started == WRITERS && wrong == 0, "every writer's items come once and in order");
}

static void *read_until_closed(void *self)
{
    long n = 0;

    while (pw_chan_recv_wait(self))
        n++;
    return (void *)n;
}

static void test_close_wakes(void)
{
    PW_AUTO(pw_chan_freep) pw_chan *c = pw_chan_new(2, NULL, NULL);
    pthread_t t;
    void *n = NULL;
    int x = 0;

    if (!c || pthread_create(&t, NULL, read_until_closed, c) != 0)
        return;
    for (int i = 0; i < 100; i++)
        (void)pw_chan_send_wait(c, &x, NULL);
    pw_chan_close(c);
    (void)pthread_join(t, &n);
    ok((long)n == 100, "closing wakes the reader, after the last item");
}

static void *send_into_full(void *self)
{
    static int x;

    return pw_chan_send_wait(self, &x, NULL) == PW_EAGAIN ? self : NULL;
}

static void test_close_wakes_writer(void)
{
    PW_AUTO(pw_chan_freep) pw_chan *c = pw_chan_new(1, NULL, NULL);
    pthread_t t;
    void *result = NULL;
    int x = 0;

    if (!c || pw_chan_send(c, &x, NULL) < 0 || pthread_create(&t, NULL, send_into_full, c) != 0)
        return;
    pw_chan_close(c);
    (void)pthread_join(t, &result);
    ok(result == c, "closing wakes a writer that waits for room");
}

int main(void)
{
    test_queue();
    test_free();
    test_threads();
    test_close_wakes();
    test_close_wakes_writer();
    return tap_done();
}
