/* fault.c - linked into tests in torture mode: the PW_FAIL_ALLOC-th allocation fails once. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *__real_malloc(size_t);
void *__real_calloc(size_t, size_t);
void *__real_realloc(void *, size_t);
char *__real_strdup(const char *);
char *__real_strndup(const char *, size_t);

void *__wrap_malloc(size_t);
void *__wrap_calloc(size_t, size_t);
void *__wrap_realloc(void *, size_t);
char *__wrap_strdup(const char *);
char *__wrap_strndup(const char *, size_t);

static long left = -1;
static int hit;
static int fail_now(void)
{
    if (left < 0) {
        const char *s = getenv("PW_FAIL_ALLOC");
        left = s ? strtol(s, NULL, 10) : 0;
    }
    if (left == 0 || --left > 0)
        return 0;
    hit = 1;
    errno = ENOMEM;
    return 1;
}
/* Exit status 77 tells the driver that the run ended before the fault was reached. */
__attribute__((destructor)) static void report(void)
{
    if (getenv("PW_FAIL_ALLOC") && !hit)
        _exit(77);
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
char *__wrap_strdup(const char *s)
{
    return fail_now() ? NULL : __real_strdup(s);
}
char *__wrap_strndup(const char *s, size_t n)
{
    return fail_now() ? NULL : __real_strndup(s, n);
}
