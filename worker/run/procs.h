/* procs.h - the process tree of a step. The runner is a child subreaper: whatever a step starts,
 * however it detaches itself, becomes the runner's own child at the latest when its parent dies, so
 * killing children until there are none gets everything. Linux gives the children of a task in
 * /proc/PID/task/TID/children; where the kernel has no such file, all of /proc is read. For a
 * single-threaded process whose SIGCHLD is blocked. */
#ifndef PW_WORKER_RUN_PROCS_H
#define PW_WORKER_RUN_PROCS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "shared/base/host.h"
#include "worker/cgroup/cgroup.h"

enum { PROCS_MAX = 65536, PROCS_NAME = 16, PROCS_SWEEP_US = 10000000 };

typedef struct procs_usage {
    uint64_t cpu_us;
    uint64_t max_rss;                 /* bytes */
    uint64_t read_bytes, write_bytes; /* from and to disks */
} procs_usage;

typedef struct procs_list {
    pid_t *v; /* owned */
    size_t n, cap;
} procs_list;
void procs_list_clear(procs_list *l);
bool procs_list_has(const procs_list *l, pid_t pid);
bool procs_list_add(procs_list *l, pid_t pid);  /* false: memory ran out, or the limit is reached */
void procs_list_drop(procs_list *l, pid_t pid); /* the order of the rest may change */

void procs_add_usage(procs_usage *u, const struct rusage *r);
/* The direct children of `pid`, added to l. False when that may not be all of them (memory or
 * descriptors ran out, or the limit is reached): what is known is in l. */
bool procs_children(pid_t pid, procs_list *l);
/* All descendants of this process, parents first. */
bool procs_tree(procs_list *l);
/* The signal to every descendant. */
void procs_signal_tree(int signo);
/* The process group of a descendant, when all that are in it are surely descendants too: it is not
 * ours, and either our session is ours alone or its own is another. 0: none. */
pid_t procs_group(pid_t pid);
/* KILL to every descendant, by the control group of the job where it has one. Without that they are
 * stopped first, again and again until no new one is met: a stopped process does not fork. */
void procs_kill_tree(cgroup_job *group);
/* Name of a process ("?" when it is gone); false when it is gone or dead already. */
bool procs_name(pid_t pid, char name[PROCS_NAME + 1]);

/* Called for each process that had to be killed (killed) or that would not die (not killed). */
typedef void procs_seen(void *self, pid_t pid, const char *name, bool killed);
/* Reaps and kills until this process has no child and the group (may be an empty one) no process.
 * What is killed is told once. Blocks for the time that the kernel needs to end them, at most
 * PROCS_SWEEP_US; false when something would not die. */
bool procs_sweep(const pw_host *clock, cgroup_job *group, procs_usage *u, procs_seen *seen,
                 void *self);
/* Some process that has the pipe of fd open for writing, this one apart; 0: none found (another
 * user's are not seen). */
pid_t procs_pipe_holder(int fd);
#endif
