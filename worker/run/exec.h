/* exec.h - runs one program of a step from start to the last byte of its output: poll over its
 * pipes, the death of children and the agent's orders; time limits; TERM, then KILL; the sweep of
 * what it left behind; the drain of the pipes.
 *
 *     RUNNING -> (limit, cancel, signal: TERM, after grace KILL) -> exited -> sweep -> DRAINING ->
 * done
 *
 * It ends when the process ends, not when its output does. */
#ifndef PW_WORKER_RUN_EXEC_H
#define PW_WORKER_RUN_EXEC_H
#include "shared/base/buf.h"
#include "worker/run/procs.h"
#include "worker/run/run.h"

typedef struct exec_spec {
    const char *const *argv;
    const char *const *env;
    const char *dir;
    pw_usec timeout, idle, grace; /* 0: none, none, the default */
    bool quiet;                   /* its output is thrown away */
    bool stderr_separate;
    bool pty;
    pw_buf *copy; /* borrowed: gets what is printed, as far as there is room; NULL: none */
    bool hidden;  /* ... and the log does not */
    bool outside; /* by the agent's own rights, whatever the job's isolation: nothing of the job */
} exec_spec;

/* Why it ended, the strongest cause. */
typedef enum exec_why {
    EXEC_EXITED,
    EXEC_PROCESSES, /* more than the limit */
    EXEC_MEMORY,
    EXEC_TIMEOUT,
    EXEC_IDLE,
    EXEC_JOB_TIMEOUT,
    EXEC_CANCELLED,
    EXEC_NO_ROOM,
    EXEC_FORSAKEN, /* see alone.h */
    EXEC_STOPPED,
    EXEC_STUCK,     /* not even KILL ended it */
    EXEC_NOT_INSIDE /* its isolation could not be entered */
} exec_why;

typedef struct exec_end {
    exec_why why;
    int status;                      /* as wait(2) gives it; valid with EXEC_EXITED */
    pid_t stuck;                     /* with EXEC_STUCK: one that does not end; 0: not known */
    char stuck_name[PROCS_NAME + 1]; /* its name */
} exec_end;

/* Output goes to the job's streams, which the caller has begun; usage is added to *step. Returns 0
 * and *ret, or a negative code when the program could not be started. */
int exec_run(run_job *r, const exec_spec *spec, step_result *step, exec_end *ret, pw_err *err);
/* What it means for a step: result, reason, exit code, signal. */
void exec_judge(const run_job *r, const exec_spec *spec, const exec_end *end, step_result *step);
/* Ships the rest of all output of a step. Waits for room on a full disk as long as the host allows,
 * then sets no_room. */
void exec_finish_output(run_job *r);
#endif
