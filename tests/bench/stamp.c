/* stamp.c - the steps that the measurements run; a static program, so that its own start is short.
 *   stamp FILE       writes the wall clock's ns into FILE (made first as FILE.new, so never half)
 *   stamp -r MS N    prints N lines "NUMBER NS", one each MS milliseconds, unbuffered */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int64_t now(clockid_t clock)
{
    struct timespec t;

    (void)clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int rows(long ms, long n)
{
    char line[64];
    int64_t next = now(CLOCK_MONOTONIC);

    for (long i = 0; i < n; i++) {
        int len = snprintf(line, sizeof(line), "%ld %lld\n", i, (long long)now(CLOCK_REALTIME));
        if (write(STDOUT_FILENO, line, (size_t)len) != len)
            return 1;
        next += ms * 1000000;
        struct timespec t = {.tv_sec = next / 1000000000, .tv_nsec = next % 1000000000};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
            ;
    }
    return 0;
}

int main(int argc, char **argv)
{
    int64_t at = now(CLOCK_REALTIME); /* before anything else */
    char path[4096];
    FILE *f;

    if (argc == 4 && strcmp(argv[1], "-r") == 0)
        return rows(strtol(argv[2], NULL, 10), strtol(argv[3], NULL, 10));
    if (argc != 2 || snprintf(path, sizeof(path), "%s.new", argv[1]) >= (int)sizeof(path))
        return 2;
    f = fopen(path, "w");
    if (!f || fprintf(f, "%lld\n", (long long)at) < 0 || fclose(f) != 0)
        return 1;
    return rename(path, argv[1]) == 0 ? 0 : 1;
}
