/* job.h - the job: what the master freezes when a build is dispatched and the runner executes. Sent
 * as frame 2 of `job`, written as SPOOL/jobs/EPOCH-ATTEMPT/job, never changed afterwards. One
 * schema table; fields are only ever added. */
#ifndef PW_SHARED_JOB_JOB_H
#define PW_SHARED_JOB_JOB_H
#include "shared/job/result.h"
#include "shared/wire/msg.h"

enum {
    PW_JOB_MAX = 768 * 1024, /* bytes of an encoded job */
    PW_STEPS_MAX = 1000,
    PW_ENV_MAX = 1000,
    PW_SCRIPT_MAX = 256 * 1024,
    PW_WITH_MAX = 100,
    PW_LOCKS_MAX = 100,
    PW_COND_MAX = 8 * 1024,
    PW_GLOBS_MAX = 1000, /* of one list, and bytes of one */
    PW_REPORTS_MAX = 16,
};

typedef struct job_report { /* of a step: what tests say */
    char *format;           /* "junit" "tap" "subunit" "gotest" */
    pw_strs paths;          /* globs */
    bool optional;          /* none of them, or empty ones, are no failure */
} job_report;

typedef struct job_step {
    char *name;
    char *kind;   /* of kind.h */
    char *script; /* run: text for the shell; NULL when argv is used */
    pw_strs argv; /* run: program and arguments, no shell */
    char *shell;  /* run: "sh" (-e) or "bash" (-eo pipefail); NULL: sh */
    char *dir;    /* relative to the work directory; NULL: there */
    pw_list env;  /* msg_pair, over the job's */
    uint64_t timeout_ms, idle_timeout_ms, grace_ms; /* 0: none / none / 10 s */
    uint64_t log_limit;                             /* bytes, 0: 512 MiB */
    bool stderr_separate;
    bool pty;
    bool no_halt, no_flunk, warn, always; /* the flags, written so that absent means the default */
    char *mode;                           /* checkout: fresh clean incremental */
    bool submodules, lfs;
    uint64_t depth; /* checkout: 0 whole history */
    /* what other kinds take: msg_pair, in which properties are replaced when the step runs */
    pw_list with;
    pw_strs paths; /* cache: what is kept; checkout: folders of a sparse one, none: all */
    pw_strs keys;  /* cache: beginnings of keys that will do as well */
    char *cond;    /* `if`: skipped when it is false; NULL: none */
    /* ---- what is taken after it, whatever came of it; globs, relative to the work directory */
    pw_strs artifacts;
    uint64_t keep_ms; /* how long; 0: as long as the project says */
    bool optional;    /* artifacts: that nothing matches is no failure */
    pw_list reports;  /* job_report */
} job_step;

typedef struct job_lock { /* taken by the master before the job is sent */
    char *name;
    bool exclusive;
    uint64_t until; /* given back when so many steps are over; 0: with the job */
} job_lock;

/* A build that this one needs, as it ended. Properties of it that the job names are among the
 * job's, as "needs.NAME.PROPERTY". */
typedef struct job_need {
    char *name;     /* "fast", "slow[cc=gcc]" */
    uint64_t build; /* 0: there was none */
} job_need;
enum { PW_NEEDS_MAX = 1000 };
/* What a needed build left, as the answer to PW_NEED_LIST. */
typedef struct job_file {
    char *path;
    uint64_t size, mode;
    pw_bytes sum; /* SHA-256 */
} job_file;
typedef struct job_files {
    pw_list files; /* job_file */
} job_files;
extern const pw_schema job_files_schema;

typedef struct job_spec {
    uint64_t epoch, attempt, build, try_no; /* try_no: 1 for the first attempt of this build */
    uint64_t shard, shards;                 /* of a builder with shards, from 1; else 0 */
    char *build_url;
    char *builder, *project, *branch, *revision, *reason, *worker;
    char *repository;
    char *isolation; /* "none" "user" "bwrap" "podman:IMAGE"; NULL: the worker's first */
    bool no_network; /* bwrap and podman: none but its own loopback */
    uint64_t
        keep_failed_ms; /* the work directory of a failed build stays that long; 0: it does not */
    bool untrusted; /* of code that nobody answers for: bwrap at least, a work directory of its own
                     */
    uint64_t timeout_ms;
    pw_list env;   /* msg_pair */
    pw_list props; /* msg_pair: properties, given to `run` by the names it mentions */
    pw_list steps; /* job_step */
    /* names of what `${secret:NAME}` in env stands for; values come beside the job */
    pw_strs secrets;
    /* with what git logs in at the repository: names of secrets (which `secrets` has, too), a name
     * of a user, the text of a known_hosts file; NULL: the worker's own means */
    char *git_key, *git_password, *git_user, *git_hosts;
    uint64_t files_max, files_bytes; /* that it may leave */
    pw_list locks;                   /* job_lock */
    /* how long the job may go on without a sign of the master while it holds a lock exclusively */
    uint64_t lost_after_ms;
    char *event; /* what made the build: "change" "force" ..; NULL: not known */
    /* where checkouts take the revision from: "master": over the link, as a git bundle (a worker
     * needs PW_FEATURE_SOURCE); NULL: `repository` */
    char *source;
    pw_list needs; /* job_need: builds whose files it may fetch */
} job_spec;
extern const pw_schema job_report_schema, job_step_schema, job_lock_schema, job_spec_schema;
/* The values, as the agent hands them to the runner. */
typedef struct job_secrets {
    uint64_t epoch, attempt;
    pw_list secrets; /* msg_secret */
} job_secrets;
enum { PW_JOB_SECRETS_MAX = PW_SECRETS_BYTES + 16 * 1024 }; /* bytes of them, encoded */
extern const pw_schema job_secrets_schema;
pw_flags job_step_flags(const job_step *s);
#endif
