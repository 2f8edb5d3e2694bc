/* spawn.h - starts child processes: own process group, no inherited descriptors but those listed,
 * all signals at default and unblocked, exec errors reported through a pipe. Blocks for the
 * microseconds of vfork + exec. Never call it from a process that has grown beyond some MB on a hot
 * path: fork costs with size, this uses posix_spawn semantics (CLONE_VFORK). */
#ifndef PW_SHARED_BASE_SPAWN_H
#define PW_SHARED_BASE_SPAWN_H
#include <stdbool.h>
#include <sys/types.h>

#include "shared/base/err.h"
#include "shared/base/host.h"

typedef struct pw_spawn_user {
    uid_t uid;
    gid_t gid;
} pw_spawn_user;

typedef struct pw_spawn {
    const char *const *argv; /* argv[0] is looked up in PATH when it has no slash */
    const char *const *env;  /* "K=V", NULL-terminated; NULL: the caller's own */
    const char *dir;         /* NULL: the caller's */
    int in, out, err;        /* -1: /dev/null */
    /* further descriptors, kept under their number; -1-terminated; may be NULL */
    const int *keep;
    /* cgroup.procs of control groups, open for writing: it is in them before it is the program;
     * -1-terminated; may be NULL */
    const int *join;
    /* > 0: the folder of join[0]'s group, of cgroup v2. Then it begins its life there where that is
     * possible (x86-64, Linux 5.7), and join[0] is left out: entering later takes a lock that makes
     * all forks of the machine wait, 0.08 ms when idle, 10 ms seen under load */
    int into;
    /* NULL: as this process. Else it becomes that user, of that group alone, before it enters `dir`
     * and is the program; what `join`, `in`, `out` and `err` need was done by then. For root. */
    const pw_spawn_user *as;
    /* pw_spawn_run only: a descriptor that ends it like its deadline once it is readable; may be
     * NULL */
    const int *stop;
    bool new_session;     /* setsid instead of setpgid */
    bool die_with_parent; /* PR_SET_PDEATHSIG SIGKILL */
} pw_spawn;

/* Returns the pid (> 0), or a negative code: PW_ENOTFOUND when the program is absent, else PW_ESYS.
 */
pid_t pw_spawn_start(const pw_spawn *what, pw_err *err);

/* Runs to the end with a deadline: collects at most `max` bytes of stdout and of stderr (the rest
 * is read and dropped), feeds `input` (may be NULL). TERM at the deadline, KILL 2 s later, for the
 * whole process group. Returns the exit code (0..255), PW_ETIMEDOUT, or another negative code; 128
 * + signal when a signal ended it. */
struct pw_buf;
int pw_spawn_run(const pw_spawn *what, const char *input, pw_usec timeout, struct pw_buf *out,
                 struct pw_buf *errout, pw_err *err);
#endif
