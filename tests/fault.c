/* fault.c - linked into tests by `make torture`: those allocations of our objects fail whose numbers PW_FAIL_ALLOC lists
 * ("3,70,500"). What happened is written to the file PW_TORTURE_REPORT, for tests/torture. Without PW_FAIL_ALLOC nothing fails
 * and the report says at which number each way to an allocation was first taken.
 * What a library allocates for itself is not ours to fail: several end the process then. */
#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FAIL_MAX 16        /* numbers in PW_FAIL_ALLOC */
#define WAYS_MAX (1 << 16) /* slots of the table of call stacks; the largest test takes 3,000 */
#define ALL_OF 50000       /* from here on one of 64 is looked at: a stack costs some us, one test allocates a million times */
#define DEPTH 10           /* callers that make two ways differ: enough to tell two lines of a test apart */

void *__real_malloc(size_t);
void *__real_calloc(size_t, size_t);
void *__real_realloc(void *, size_t);
void *__real_reallocarray(void *, size_t, size_t);
void *__real_aligned_alloc(size_t, size_t);
char *__real_strdup(const char *);
char *__real_strndup(const char *, size_t);
char *__real_mkdtemp(char *);

void *__wrap_malloc(size_t);
void *__wrap_calloc(size_t, size_t);
void *__wrap_realloc(void *, size_t);
void *__wrap_reallocarray(void *, size_t, size_t);
void *__wrap_aligned_alloc(size_t, size_t);
char *__wrap_strdup(const char *);
char *__wrap_strndup(const char *, size_t);
char *__wrap_mkdtemp(char *);

char *__real_realpath(const char *, char *);
DIR *__real_opendir(const char *);
DIR *__real_fdopendir(int);
char *__wrap_realpath(const char *, char *);
DIR *__wrap_opendir(const char *);
DIR *__wrap_fdopendir(int);

void __sanitizer_print_stack_trace(void) __attribute__((weak));

static struct {
    pthread_once_t once;
    pid_t pid; /* the test itself: its children report no totals */
    int report;
    bool show;
    unsigned long fail[FAIL_MAX];
    size_t fails;
    atomic_ulong seen;
    pthread_mutex_t lock;
    uint64_t way[WAYS_MAX];
} st = {.once = PTHREAD_ONCE_INIT, .report = -1, .lock = PTHREAD_MUTEX_INITIALIZER};

static void begin(void)
{
    const char *list = getenv("PW_FAIL_ALLOC"), *path = getenv("PW_TORTURE_REPORT");
    st.pid = getpid();
    for (char *at = (char *)list; at && *at && st.fails < FAIL_MAX; at += *at == ',')
        st.fail[st.fails++] = strtoul(at, &at, 10);
    st.show = getenv("PW_TORTURE_SHOW") != NULL;
    /* far from the numbers that tests look at */
    int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    st.report = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 200);
    if (st.report < 0) /* there are no such numbers */
        st.report = fd;
    else
        (void)close(fd);
}
static void say(const char *what, unsigned long n)
{
    if (st.report >= 0)
        (void)dprintf(st.report, "%s %lu\n", what, n);
}
static void learn(unsigned long n)
{
    void *at[DEPTH];
    int depth = backtrace(at, DEPTH);
    uint64_t h = 14695981039346656037u;
    for (int i = 0; i < depth; i++)
        h = (h ^ (uint64_t)(uintptr_t)at[i]) * 1099511628211u;
    h |= 1;
    (void)pthread_mutex_lock(&st.lock);
    size_t i = h >> 48;
    while (st.way[i] && st.way[i] != h)
        i = (i + 1) % WAYS_MAX;
    bool first = !st.way[i];
    st.way[i] = h;
    (void)pthread_mutex_unlock(&st.lock);
    if (first)
        say("way", n);
}
static bool fail_now(void)
{
    (void)pthread_once(&st.once, begin);
    unsigned long n = atomic_fetch_add(&st.seen, 1) + 1;
    if (!st.fails && st.report >= 0 && (n < ALL_OF || n % 64 == 0) && getpid() == st.pid)
        learn(n);
    size_t i = 0;
    while (i < st.fails && st.fail[i] != n)
        i++;
    if (i == st.fails)
        return false;
    say("hit", n);
    if (st.show && __sanitizer_print_stack_trace)
        __sanitizer_print_stack_trace();
    errno = ENOMEM;
    return true;
}
__attribute__((destructor)) static void end(void)
{
    (void)pthread_once(&st.once, begin);
    if (getpid() == st.pid)
        say("total", st.seen);
}

void *__wrap_malloc(size_t n)
{
    return fail_now() ? NULL : __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t m)
{
    return fail_now() ? NULL : __real_calloc(n, m);
}
void *__wrap_realloc(void *p, size_t n)
{
    return fail_now() ? NULL : __real_realloc(p, n);
}
void *__wrap_reallocarray(void *p, size_t n, size_t m)
{
    return fail_now() ? NULL : __real_reallocarray(p, n, m);
}
void *__wrap_aligned_alloc(size_t a, size_t n)
{
    return fail_now() ? NULL : __real_aligned_alloc(a, n);
}
char *__wrap_strdup(const char *s)
{
    return fail_now() ? NULL : __real_strdup(s);
}
char *__wrap_strndup(const char *s, size_t n)
{
    return fail_now() ? NULL : __real_strndup(s, n);
}
char *__wrap_realpath(const char *path, char *out)
{
    return !out && fail_now() ? NULL : __real_realpath(path, out);
}
DIR *__wrap_opendir(const char *path)
{
    return fail_now() ? NULL : __real_opendir(path);
}
DIR *__wrap_fdopendir(int fd)
{
    return fail_now() ? NULL : __real_fdopendir(fd);
}
/* A test that fails early leaves its folder: the driver removes it. */
char *__wrap_mkdtemp(char *template)
{
    char *path = __real_mkdtemp(template);
    (void)pthread_once(&st.once, begin);
    if (path && st.report >= 0)
        (void)dprintf(st.report, "dir %s\n", path);
    return path;
}
