/* Trace and chance. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/sim.h"

enum { LINES = 400, LINE = 160 };
bool sim_verbose;
static char ring[LINES][LINE];
static unsigned next;
static uint64_t digest, rng;

void sim_trace_reset(void)
{
    next = 0;
    digest = UINT64_C(14695981039346656037);
}

void sim_trace(const char *fmt, ...)
{
    char *line = ring[next++ % LINES];
    va_list ap;
    int n = snprintf(line, LINE, "%12.6f ", (double)sim_now / 1e6);
    va_start(ap, fmt);
    (void)vsnprintf(line + n, LINE - (size_t)n, fmt, ap);
    va_end(ap);
    for (const char *p = line; *p; p++)
        digest = (digest ^ (uint8_t)*p) * UINT64_C(1099511628211);
    if (sim_verbose)
        (void)puts(line);
}

uint64_t sim_trace_digest(void)
{
    return digest;
}

void sim_trace_dump(void)
{
    for (unsigned i = next > LINES ? next - LINES : 0; i < next; i++)
        (void)puts(ring[i % LINES]);
}

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void sim_seed(uint64_t seed, uint64_t step)
{
    rng = mix(seed * UINT64_C(0x9e3779b97f4a7c15) + 1) ^ mix(step + UINT64_C(0x632be59bd9b4e019));
}

uint64_t sim_pick(uint64_t n)
{
    rng += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = mix(rng);
    return n ? z % n : z;
}

bool sim_chance(uint64_t percent)
{
    return sim_pick(100) < percent;
}

pw_usec sim_between(pw_usec a, pw_usec b)
{
    return a + (pw_usec)sim_pick((uint64_t)(b - a) + 1);
}
