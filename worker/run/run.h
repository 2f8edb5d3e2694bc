/* run.h - what the modules of the runner share: what the zygote hands to each runner, and the one
 * job that a runner runs. One process, one thread, one job: the structs are plain and belong to
 * runner.c; everything else borrows them. */
#ifndef PW_WORKER_RUN_RUN_H
#define PW_WORKER_RUN_RUN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/host.h"
#include "shared/job/job.h"
#include "worker/run/mask.h"
#include "worker/cgroup/cgroup.h"
#include "worker/isolate/isolate.h"
#include "worker/run/output.h"
#include "worker/run/writer.h"
#include "worker/spool/spool.h"

enum {
    RUN_GRACE_MS = 10000,   /* TERM to KILL when the step does not say */
    RUN_DRAIN_US = 2000000, /* how long a held pipe is read after the step's processes are gone */
    RUN_RETRY_US = 1000000, /* a full disk is tried again this often */
    RUN_GIVE_UP_US = 60000000, /* and for this long before the job ends */
    RUN_REASON_MAX = 600,
};

/* The same for every job of a zygote; borrowed by all. */
typedef struct run_host {
    const pw_host *clock;
    const char *spool;         /* absolute path */
    const char *spool_id;      /* names the control sockets */
    char *const *env;          /* what a step's environment starts from */
    int notes;                 /* FIFO of the spool */
    pw_usec retry, give_up;    /* back-pressure on a full disk */
    const cgroup_host *cgroup; /* NULL: none */
    bool cgroup_must;          /* a job without its group is not run */
    cgroup_limits limits;      /* of each job */
    uint64_t cache_limit;      /* bytes of SPOOL/cache */
    /* with what git logs in where the job says nothing; NULL: its own means */
    const char *ssh_key, *known_hosts;
    const iso_host *iso; /* what isolation there is; NULL: none */
} run_host;

/* The job's isolation: inside.h. */
typedef struct run_inside {
    iso_kind kind;
    const char *image;    /* borrowed from the job */
    const iso_user *user; /* NULL: as the agent; borrowed from the host */
    int lock;             /* on the user */
    char **read;          /* owned: mirrors */
    char name[SPOOL_JOB_NAME + 24];
} run_inside;

typedef struct run_job {
    const run_host *host;
    spool_job id;
    char name[SPOOL_JOB_NAME];
    job_spec spec;
    job_secrets secrets;
    mask_set *mask; /* owned: the secrets, and what the steps' output adds */
    run_writer writer;
    out_shared out;
    out_stream stream[PW_STREAMS];
    int control;            /* orders of the agent */
    int signals;            /* signalfd: SIGCHLD, SIGTERM, SIGINT */
    char *workdir, *tmpdir; /* owned */
    uint64_t asks;          /* questions to the master so far */
    uint32_t files;         /* numbers given to files that steps left */
    uint64_t file_bytes, summary_bytes;
    int work_lock;
    run_inside in;
    size_t bad_step;  /* the first that went wrong; SIZE_MAX: none */
    cgroup_job group; /* none of the machine: an empty one */
    pw_usec deadline; /* of the whole job; 0: none */
    bool cancelled;
    bool timed_out;                /* the whole job */
    size_t step;                   /* that runs, or is next */
    pw_usec alone_at, alone_since; /* see alone.h */
    bool forsaken;                 /* no sign of the master for too long */
    bool no_room;                  /* the spool's disk was full for too long */
    int stopped;                   /* signal that told the runner itself to end */
    char cancel_text[SPOOL_TEXT_MAX + 1];
    uint64_t told; /* number of the newest note of the master; 0: none */
    char told_text[SPOOL_TEXT_MAX + 1];
} run_job;

/* True when nothing more may be started. */
static inline bool run_over(const run_job *r)
{
    return r->cancelled || r->timed_out || r->no_room || r->stopped || r->forsaken;
}
/* Reads waiting orders and signals; sets the flags above. */
void run_listen(run_job *r);

/* How a step ended, before its flags are looked at. */
typedef struct step_result {
    pw_result result;
    char reason[RUN_REASON_MAX]; /* "" when there is nothing to say */
    uint64_t exit_code, signal;
    uint64_t cpu_ms, max_rss, read_bytes, write_bytes;
} step_result;
/* Sets result and reason (cut to its room). */
void step_fail(step_result *s, pw_result result, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), cold));
/* Sets result and reason from an error, with the system's own text. */
void step_fail_err(step_result *s, pw_result result, const pw_err *err);
#endif
