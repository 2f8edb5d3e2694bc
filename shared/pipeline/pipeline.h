/* pipeline.h - what a builder is: its steps, and what they ask for, as plain data. It is read from
 * `builders` of master.yaml (by master/config) and from the file of a repository, with the same
 * code, and frozen into the job of a build by the same code, on the master, in the client and
 * for a build without any master. Nothing of it is ever executed here. */
#ifndef PW_SHARED_PIPELINE_PIPELINE_H
#define PW_SHARED_PIPELINE_PIPELINE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/host.h"
#include "shared/job/job.h"
#include "shared/job/result.h"

typedef struct pl_pair {
    char *name, *value; /* owned */
} pl_pair;
typedef struct pl_strs {
    char **v; /* owned, each owned */
    size_t n;
} pl_strs;

typedef struct pl_step {
    /* unique in the builder: unnamed ones are called by their kind, repeated ones get -2, -3 */
    char *name;
    char *kind;   /* "run" "checkout" */
    char *script; /* run as text, or NULL */
    pl_strs argv; /* run as list */
    char *shell;  /* "sh" "bash" */
    char *dir;
    pl_pair *env;
    size_t n_env;
    pw_usec timeout, idle_timeout, grace; /* 0 = none; defaults: none, 20 min, 10 s */
    uint64_t log_limit;
    bool stderr_separate, pty;
    pw_flags flags;
    char *mode; /* checkout: "fresh" "clean" "incremental" */
    bool submodules;
    uint64_t depth;
    /* what other kinds take, by the names that the runner knows */
    pl_pair *with;
    size_t n_with;
    pl_strs paths, keys; /* cache: what is kept; beginnings of keys that will do as well */
} pl_step;

typedef struct pl_builder {
    char *name;
    size_t project; /* index in the configuration that it belongs to; 0 in a file of a repository */
    pl_strs tags;   /* requires: {tags: [..]}: all must be on the worker */
    pl_pair *env;
    size_t n_env;
    pl_pair *properties;
    size_t n_properties;
    bool collapse;         /* default true */
    unsigned retries;      /* default 2 */
    pw_usec timeout;       /* default 6 h */
    char *isolation;       /* "none" or NULL = the worker's first */
    bool required, manual; /* defaults true, false */
    pl_step *steps;
    size_t n_steps;
    pl_strs secrets; /* names of those that an `env` of it uses, each once */
} pl_builder;
void pl_strs_clear(pl_strs *s);
void pl_pairs_free(pl_pair *v, size_t n);
void pl_builder_clear(pl_builder *b);

/* ---- freeze.c: the job of a build */
typedef struct pl_facts { /* what a build adds to its builder; all borrowed */
    uint64_t epoch, attempt, build, try_no;
    const char *build_url; /* NULL: there is no page */
    const char *project, *repository, *branch, *revision, *reason, *worker;
    /* given by scheduler, person or trigger: over the builder's own of the same name */
    const msg_pair *given;
    size_t n_given;
} pl_facts;
/* The job, encoded (job_spec_schema). PW_ELIMIT: it is too long to be sent. */
int pl_freeze(const pl_builder *b, const pl_facts *f, pw_buf *out, pw_err *err);
#endif
