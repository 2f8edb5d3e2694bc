#include "worker/run/watch.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "worker/run/procs.h"

enum {
    COUNT_US = 100000, /* a look at a tree of some processes costs some 20 us each */
    ASK_US = 500000,   /* the kernel holds the limit: this only ends the step sooner */
};

static bool counts_memory(const run_job *r)
{
    return r->host->limits.memory && !r->group.memory;
}

static bool counts_processes(const run_job *r)
{
    return r->host->limits.processes && !r->group.processes;
}

pw_usec watch_due(const run_job *r, pw_usec now)
{
    if (counts_memory(r) || counts_processes(r))
        return now + COUNT_US;
    return r->group.memory || r->group.processes ? now + ASK_US : -1;
}

/* What a process has for itself: resident pages but those of files that others may share. */
static uint64_t own_memory(pid_t pid)
{
    char path[64], text[128];
    (void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    PW_AUTO(pw_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    char *p = text;
    (void)strtoull(p, &p, 10); /* size */
    uint64_t resident = strtoull(p, &p, 10), shared = strtoull(p, NULL, 10);
    return resident > shared ? (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

exec_why watch_last(run_job *r)
{
    cgroup_met met = cgroup_job_met(&r->group);
    return met.memory ? EXEC_MEMORY : met.processes ? EXEC_PROCESSES : EXEC_EXITED;
}

exec_why watch_look(run_job *r)
{
    exec_why why = watch_last(r);
    if (why != EXEC_EXITED || (!counts_memory(r) && !counts_processes(r)))
        return why;
    PW_AUTO(procs_list_clear) procs_list l = {0};
    size_t most = counts_processes(r) ? (size_t)r->host->limits.processes : SIZE_MAX;
    (void)procs_children(getpid(), &l); /* what does not fit into a list is above any limit */
    for (size_t i = 0; i < l.n && l.n <= most; i++)
        (void)procs_children(l.v[i], &l);
    if (l.n > most)
        return EXEC_PROCESSES;
    uint64_t sum = 0;
    for (size_t i = 0; i < l.n && counts_memory(r); i++)
        sum += own_memory(l.v[i]);
    return counts_memory(r) && sum > r->host->limits.memory ? EXEC_MEMORY : EXEC_EXITED;
}

const char *watch_size_text(uint64_t bytes, char out[32])
{
    static const char unit[] = "GMK";
    for (int i = 0; i < 3; i++) {
        uint64_t one = UINT64_C(1) << (30 - 10 * i);
        if (bytes && bytes % one == 0) {
            (void)snprintf(out, 32, "%" PRIu64 "%c", bytes / one, unit[i]);
            return out;
        }
    }
    (void)snprintf(out, 32, "%" PRIu64 " bytes", bytes);
    return out;
}
