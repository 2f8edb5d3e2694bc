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
#include "shared/expr/expr.h"
#include "shared/job/job.h"
#include "shared/job/result.h"
#include "shared/scan/glob.h"

typedef struct pl_pair {
    char *name, *value; /* owned */
} pl_pair;
typedef struct pl_strs {
    char **v; /* owned, each owned */
    size_t n;
} pl_strs;

/* What a build needs of a lock, over its builder and its steps. */
typedef struct pl_lock {
    char *name;     /* owned */
    bool exclusive; /* else counting */
    size_t until;   /* given back when so many steps are over; 0: with the build */
} pl_lock;
typedef struct pl_report {
    char *format; /* "junit" "tap" "subunit" "gotest" */
    pl_strs paths;
    bool optional;
} pl_report;

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
    char *cond; /* `if`, a right condition; NULL: none */
    char *mode; /* checkout: "fresh" "clean" "incremental" */
    bool submodules, lfs;
    uint64_t depth;
    /* what other kinds take, by the names that the runner knows */
    pl_pair *with;
    size_t n_with;
    pl_strs paths, keys; /* checkout: folders of a sparse one; cache: what is kept; beginnings of
                            keys that will do as well */
    /* what is taken after it */
    pl_strs artifacts; /* globs; of kind "artifacts" its `paths` */
    pw_usec keep;      /* 0: as long as the project says */
    bool optional;     /* kind "artifacts": it may find nothing */
    pl_report *reports;
    size_t n_reports;
} pl_step;

typedef struct pl_axis { /* of a matrix */
    char *name;
    pl_strs values;
} pl_axis;
typedef struct pl_combo { /* what `include` adds to a matrix, or `exclude` takes from it */
    pl_pair *v;
    size_t n;
} pl_combo;

typedef struct pl_builder {
    char *name;
    size_t project; /* index in the configuration that it belongs to; 0 in a file of a repository */
    pl_strs needs;  /* names of builders beside it */
    size_t *need;   /* the same as indices, once all are read */
    pl_axis *axes;
    size_t n_axes;
    pl_combo *include, *exclude;
    size_t n_include, n_exclude;
    unsigned shards;           /* 0: it is not sharded */
    glob_list *run_if_changed; /* NULL: it runs whatever changed */
    bool always_run;           /* after failure and cancel too */
    pl_strs tags;              /* requires: {tags: [..]}: all must be on the worker */
    expr *requires;            /* over facts of the worker; NULL: none */
    pl_lock *locks;            /* each name once */
    size_t n_locks;
    pl_pair *env;
    size_t n_env;
    pl_pair *properties;
    size_t n_properties;
    bool collapse;    /* default true */
    unsigned retries; /* default 2 */
    pw_usec timeout;  /* default 6 h */
    /* "none" "user" "bwrap" "podman:IMAGE", or NULL = the worker's first */
    char *isolation;
    bool network;          /* default true */
    pw_usec keep_failed;   /* default 24 h */
    bool required, manual; /* defaults true, false */
    pl_step *steps;
    size_t n_steps;
    pl_strs secrets; /* names of those that an `env` of it uses, each once */
} pl_builder;
void pl_strs_clear(pl_strs *s);
void pl_pairs_free(pl_pair *v, size_t n);
void pl_builder_clear(pl_builder *b);

/* ---- matrix.c: a builder with a matrix or shards is built as several */
typedef struct pl_instance {
    char *name;      /* "slow[cc=gcc,shard=1/2]"; the builder's own where there is neither */
    pl_pair *values; /* of the matrix: properties that nothing overrides */
    size_t n_values;
    unsigned shard, shards; /* from 1; 0: it is not sharded */
} pl_instance;
typedef struct pl_instances {
    pl_instance *v; /* owned */
    size_t n;
} pl_instances;
enum { PL_INSTANCES_MAX = 256 }; /* of one builder */
/* PW_ELIMIT: there are more. */
int pl_expand(const pl_builder *b, pl_instances *ret, pw_err *err);
void pl_instances_clear(pl_instances *self);

/* ---- graph.c: all over builders whose `need` are indices into the same array */
/* Marks what is needed by what is marked, however far away. */
void pl_close_needs(const pl_builder *v, size_t n, bool *marked);
/* Which builders a push selects, out of those that are marked (HC-28): those whose
 * `run_if_changed` matches one of its files (all that have none), what depends on them, clean-up
 * builders; then all that those need. files: one a line; NULL: not known, so all are. */
void pl_select(const pl_builder *v, size_t n, const char *files, bool *marked);

/* ---- needs.c: what steps take of builds that theirs needs */
typedef struct pl_mention {  /* ${needs.NAME.PROPERTY}; texts are not ended by a zero byte */
    const char *name, *prop; /* prop NULL: there is none */
    size_t name_n, prop_n;
    bool optional; /* the text says what stands for it */
} pl_mention;
typedef int pl_mention_fn(void *self, const pl_mention *m);
/* Calls for each; another value than 0 ends it. */
int pl_mentions(const pl_builder *b, pl_mention_fn *cb, void *self);
bool pl_mention_is(const pl_mention *m, const char *name);
/* From whom a step fetches, as written; NULL: it is of another kind. */
const char *pl_fetch_from(const pl_step *s);
/* Whether a step of it takes something of the builder that it needs as its k-th. */
bool pl_uses_need(const pl_builder *b, size_t k);

/* ---- file.c: the file of a repository */
typedef struct pl_allow {        /* what a project permits its file; zeroed is the default */
    glob_list *tags, *isolation; /* NULL: any */
    pl_strs secrets, locks;
    pl_strs triggers;    /* schedulers that a build of untrusted code may trigger */
    size_t max_builds;   /* 0: PL_BUILDS_MAX */
    pw_usec max_timeout; /* 0: any */
} pl_allow;
void pl_allow_clear(pl_allow *a);
typedef struct pl_file { /* immutable, shared by counting */
    pl_builder *builders;
    size_t n_builders;
    unsigned refs;
} pl_file;
pl_file *pl_ref(pl_file *self);
pl_file *pl_unref(pl_file *self);
PW_DEFINE_FREEP(pl_file, pl_unref)

/* ---- freeze.c: the job of a build */
typedef struct pl_facts { /* what a build adds to its builder; all borrowed */
    uint64_t epoch, attempt, build, try_no;
    const char *build_url; /* NULL: there is no page */
    const char *project, *repository, *branch, *revision, *reason, *worker;
    const char *isolation; /* NULL: the worker's first */
    bool untrusted;
    bool no_keep;      /* the work directory is not kept when it fails, whatever the builder says */
    const char *event; /* what made it: "change" "force" ..; NULL: not known */
    uint64_t lost_after_ms; /* see job_spec */
    const pl_pair *base;    /* of the project */
    size_t n_base;
    /* given by scheduler, person or trigger: over the builder's own of the same name */
    const msg_pair *given;
    size_t n_given;
    const pl_instance *instance; /* NULL: it is not one of several */
    /* with what its checkouts log in, as in job_spec; NULL: nothing */
    const char *git_key, *git_password, *git_user, *git_hosts;
    pw_strs secrets; /* names of what it gets, the builder's among them; v NULL: the builder's */
    uint64_t files_max, files_bytes; /* that it may leave */
    const char *source; /* "master": checkouts take the revision from there; NULL: the repository */
    const job_need *needs; /* builds whose files it may fetch */
    size_t n_needs;
} pl_facts;
/* The job, encoded (job_spec_schema). PW_ELIMIT: it is too long to be sent. */
int pl_freeze(const pl_builder *b, const pl_facts *f, pw_buf *out, pw_err *err);
#endif
