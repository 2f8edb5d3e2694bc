/* disk_fixture.h - what the tests of the virtual disk share: a stream of random numbers, small
 * files written and read by the wrapped calls. Tests only. */
#ifndef PW_TESTS_SIM_DISK_FIXTURE_H
#define PW_TESTS_SIM_DISK_FIXTURE_H
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/sim/disk.h"
#include "tests/tap.h"

static uint64_t stream;

static inline uint64_t pick(void *self, uint64_t n)
{
    uint64_t *s = self;
    uint64_t z = (*s += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % n;
}

/* A new history with a process of machine 0. */
static inline int begin(uint64_t seed)
{
    stream = seed;
    disk_reset(pick, &stream);
    return disk_process_new(0);
}

/* The machine after its power came back. */
static inline int power_cut(void)
{
    disk_power_cut(0);
    return disk_process_new(0);
}

static inline bool put_at(const char *path, const void *p, size_t n, off_t at, bool sync)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    bool good = fd >= 0 && pwrite(fd, p, n, at) == (ssize_t)n && (!sync || fsync(fd) == 0);
    if (fd >= 0)
        (void)close(fd);
    return good;
}

static inline bool put(const char *path, const char *s, bool sync)
{
    return put_at(path, s, strlen(s), 0, sync);
}

/* The whole file; -1: absent or not readable. */
static inline ssize_t get(const char *path, void *p, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : pread(fd, p, cap, 0);
    if (fd >= 0)
        (void)close(fd);
    return n;
}

static inline bool holds(const char *path, const char *want)
{
    char got[4096];
    ssize_t n = get(path, got, sizeof(got));
    return n >= 0 && (size_t)n == strlen(want) && memcmp(got, want, (size_t)n) == 0;
}

static inline bool there(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

static inline bool sync_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        (void)close(fd);
    return good;
}
#endif
