/* pthreads as coroutines: a thread runs when the simulator says so, until it waits on a condition.
 * Mutexes stay what they are: nobody is ever switched away while he holds one. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "tests/sim/sim.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define FIBER_START(save, bottom, size) __sanitizer_start_switch_fiber((save), (bottom), (size))
#define FIBER_FINISH(save, bottom, size) __sanitizer_finish_switch_fiber((save), (bottom), (size))
#else
#define FIBER_START(save, bottom, size) ((void)(save), (void)(bottom), (void)(size))
#define FIBER_FINISH(save, bottom, size) ((void)(save), (void)(bottom), (void)(size))
#endif

enum { THREADS = 8, STACK = 256 * 1024 };
typedef struct thread {
    bool used, done, waiting;
    int process;
    pthread_cond_t *on;
    void *(*main)(void *);
    void *arg;
    void *stack;
    void *fake, *back_fake; /* AddressSanitizer's */
    ucontext_t ctx, back;
} thread;
static thread all[THREADS];
static thread *current;
static const void *main_bottom;
static size_t main_size;

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int __wrap_pthread_join(pthread_t t, void **ret);
int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *at);
int __wrap_pthread_cond_signal(pthread_cond_t *c);
int __wrap_pthread_cond_broadcast(pthread_cond_t *c);

static void begin(void)
{
    thread *t = current;
    FIBER_FINISH(NULL, &main_bottom, &main_size);
    (void)t->main(t->arg);
    t->done = true;
    FIBER_START(NULL, main_bottom, main_size);
    (void)swapcontext(&t->ctx, &t->back);
}

static void go(thread *t)
{
    int before = disk_process_current();
    thread *outer = current;
    disk_process_set(t->process);
    current = t;
    FIBER_START(&t->back_fake, t->stack, STACK);
    (void)swapcontext(&t->back, &t->ctx);
    FIBER_FINISH(t->back_fake, NULL, NULL);
    current = outer;
    disk_process_set(before);
}

static void yield(void)
{
    thread *t = current;
    FIBER_START(&t->fake, main_bottom, main_size);
    (void)swapcontext(&t->ctx, &t->back);
    FIBER_FINISH(t->fake, &main_bottom, &main_size);
}

/* getcontext may return twice as far as the compiler knows: nothing of the caller stands in its
 * registers here. */
static void prepare(thread *t)
{
    (void)getcontext(&t->ctx);
    t->ctx.uc_stack.ss_sp = t->stack;
    t->ctx.uc_stack.ss_size = STACK;
    t->ctx.uc_link = NULL;
    makecontext(&t->ctx, begin, 0);
}

static thread *free_place(void)
{
    for (int i = 0; i < THREADS; i++)
        if (!all[i].used)
            return &all[i];
    return NULL;
}

int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg)
{
    thread *t = free_place();
    (void)attr;
    if (!t)
        return EAGAIN;
    if (!t->stack)
        t->stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (t->stack == MAP_FAILED)
        abort();
    t->used = true;
    t->done = t->waiting = false;
    t->process = disk_process_current();
    t->main = fn;
    t->arg = arg;
    prepare(t);
    *ret = (pthread_t)(t - all + 1);
    return 0;
}

int __wrap_pthread_join(pthread_t id, void **ret)
{
    thread *t = &all[(size_t)id - 1];
    (void)ret;
    for (int i = 0; !t->done; i++) {
        if (i == 100000) { /* it waits for something that never comes */
            (void)fprintf(stderr, "a thread does not end\n");
            abort();
        }
        t->waiting = false;
        go(t);
    }
    t->used = false;
    return 0;
}

static int wait_on(pthread_cond_t *c, pthread_mutex_t *m)
{
    if (!current) /* the core never waits */
        abort();
    current->waiting = true;
    current->on = c;
    (void)pthread_mutex_unlock(m);
    yield();
    (void)pthread_mutex_lock(m);
    return 0;
}

int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
    return wait_on(c, m);
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *at)
{
    (void)at;
    (void)wait_on(c, m);
    if (current)
        current->on = NULL;
    return ETIMEDOUT;
}

static int wake(const pthread_cond_t *c)
{
    for (int i = 0; i < THREADS; i++)
        if (all[i].used && all[i].waiting && all[i].on == c)
            all[i].waiting = false;
    return 0;
}

int __wrap_pthread_cond_signal(pthread_cond_t *c)
{
    return wake(c);
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *c)
{
    return wake(c);
}

bool threads_ready(int process)
{
    for (int i = 0; i < THREADS; i++)
        if (all[i].used && !all[i].done && !all[i].waiting && all[i].process == process)
            return true;
    return false;
}

void threads_run(int process)
{
    for (int i = 0; i < THREADS; i++)
        if (all[i].used && !all[i].done && !all[i].waiting && all[i].process == process)
            go(&all[i]);
}

void threads_drop(int process)
{
    for (int i = 0; i < THREADS; i++)
        if (all[i].used && all[i].process == process) {
            (void)fprintf(stderr, "a thread outlives its process\n");
            abort();
        }
}

void threads_reset(void)
{
    current = NULL;
}
