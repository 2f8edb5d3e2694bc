/* What a machine tells its processes: time, randomness, who it is; and fault points. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sodium.h>
#include <sys/types.h>
#include <time.h>

#include "shared/base/fault.h"
#include "tests/sim/sim.h"
#include "worker/agent/home.h"

#define EPOCH_MS INT64_C(1790000000000)
enum { POINTS = 128 };

pw_usec sim_now;
static pw_msec skew[DISK_MACHINES];
static int fuse_process;
static uint64_t fuse;
static struct point {
    char name[40];
    uint64_t passed, died;
} points[POINTS];
static size_t n_points;
static uint64_t hit;

static int machine_now(void)
{
    int p = disk_process_current();
    return p < 0 ? 0 : disk_process_machine(p);
}

void host_reset(void)
{
    sim_now = 1000 * SEC;
    memset(skew, 0, sizeof(skew));
    fuse = 0;
}

void host_skew_to(int machine, pw_msec by)
{
    skew[machine] = by;
}

/* ---- time and randomness */
int __real_clock_gettime(clockid_t id, struct timespec *t);
int __wrap_clock_gettime(clockid_t id, struct timespec *t);
int __wrap_clock_gettime(clockid_t id, struct timespec *t)
{
    pw_usec us = sim_now;
    if (id != CLOCK_BOOTTIME && id != CLOCK_MONOTONIC && id != CLOCK_REALTIME)
        return __real_clock_gettime(id, t);
    if (id == CLOCK_REALTIME)
        us += (EPOCH_MS + skew[machine_now()]) * 1000;
    t->tv_sec = us / SEC;
    t->tv_nsec = us % SEC * 1000;
    return 0;
}

static void some_bytes(void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)p)[i] = (uint8_t)sim_pick(256);
}

ssize_t __wrap_getrandom(void *p, size_t n, unsigned flags);
ssize_t __wrap_getrandom(void *p, size_t n, unsigned flags)
{
    (void)flags;
    some_bytes(p, n);
    return (ssize_t)n;
}

static const char *sodium_name(void)
{
    return "sim";
}
static uint32_t sodium_u32(void)
{
    return (uint32_t)sim_pick(UINT64_C(1) << 32);
}
static void sodium_stir(void)
{
}
static uint32_t sodium_uniform(const uint32_t bound)
{
    return bound < 2 ? 0 : (uint32_t)sim_pick(bound);
}
static void sodium_buf(void *const p, const size_t n)
{
    some_bytes(p, n);
}
static int sodium_end(void)
{
    return 0;
}
static struct randombytes_implementation sodium_sim = {sodium_name,    sodium_u32, sodium_stir,
                                                       sodium_uniform, sodium_buf, sodium_end};
__attribute__((constructor)) static void take_randomness(void)
{
    (void)randombytes_set_implementation(&sodium_sim);
}

/* ---- what the machine is */
int __wrap_facts_read(pw_list *ret, pw_err *err);
int __wrap_facts_read(pw_list *ret, pw_err *err)
{
    return facts_add(ret, "os", "sim", err);
}

/* ---- fault points: every passage is counted, and the fuse ends the process there */
void host_fuse(int process, uint64_t n)
{
    fuse_process = process;
    fuse = n;
}

static struct point *point_of(const char *name)
{
    for (size_t i = 0; i < n_points; i++)
        if (strcmp(points[i].name, name) == 0)
            return &points[i];
    if (n_points == POINTS)
        abort();
    (void)snprintf(points[n_points].name, sizeof(points[0].name), "%s", name);
    return &points[n_points++];
}

bool __wrap_pw_fault(const char *name);
bool __wrap_pw_fault(const char *name)
{
    int p = disk_process_current();
    if (p < 0 || disk_process_dead(p))
        return false;
    struct point *at = point_of(name);
    at->passed++;
    if (fuse == 0 || p != fuse_process || --fuse > 0)
        return false;
    at->died++;
    hit++;
    sim_trace("process %d dies at fault point %s", p, name);
    disk_process_kill(p);
    return false;
}

uint64_t host_points_hit(void)
{
    return hit;
}

void host_points_print(void)
{
    for (size_t i = 0; i < n_points; i++)
        printf("  %-24s passed %10llu, died there %8llu\n", points[i].name,
               (unsigned long long)points[i].passed, (unsigned long long)points[i].died);
}
