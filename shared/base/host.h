/* host.h - what the deciding code may know of the world: time and randomness. main() fills it with
 * the real ones, tests and the simulator with their own. Borrowed by everyone who gets it; the
 * functions may be called from any thread. */
#ifndef PW_SHARED_BASE_HOST_H
#define PW_SHARED_BASE_HOST_H
#include <stddef.h>
#include <stdint.h>

#include "shared/base/err.h"

typedef int64_t pw_usec; /* microseconds of CLOCK_BOOTTIME: for durations and deadlines */
typedef int64_t pw_msec; /* milliseconds since 1970 UTC: for people, files and cron lines only */

typedef struct pw_host {
    pw_usec (*now)(void *self);
    pw_msec (*wall)(void *self);
    /* cannot fail: the real one ends the process when the system has none */
    void (*random)(void *self, void *buf, size_t n);
    void *self;
} pw_host;

extern const pw_host pw_host_real;
static inline pw_usec pw_now(const pw_host *h)
{
    return h->now(h->self);
}
static inline pw_msec pw_wall(const pw_host *h)
{
    return h->wall(h->self);
}
uint64_t pw_random_u64(const pw_host *h);
/* RFC 3339 UTC with milliseconds, e.g. 2026-11-20T12:43:01.123Z. */
#define PW_TIME_MAX 32
const char *pw_time_text(pw_msec t, char out[PW_TIME_MAX]);
/* Reads the same form (fraction optional, Z or +hh:mm). */
int pw_time_parse(const char *s, pw_msec *ret_t, pw_err *err);
#endif
