/* env.h - the environment of a step, and the replacement of properties in the strings of a step.
 * `run` text is never rewritten: what it names as $name or ${name} is given to it as a variable, so
 * a value stays text for the shell.
 *
 * ${secret:NAME} is known in env only.
 *
 * Order, later wins: the agent's environment; CI, PAWL, TMPDIR; properties that the script names;
 * the job's env; the step's env; PAWL_*. Plain functions, memory owned by the caller. */
#ifndef PW_WORKER_RUN_ENV_H
#define PW_WORKER_RUN_ENV_H
#include <stdbool.h>
#include <stddef.h>

#include "shared/base/buf.h"
#include "shared/job/job.h"

enum {
    ENV_DEPTH = 8,              /* ${a:-${b:-...}} */
    ENV_VALUE_MAX = 128 * 1024, /* what Linux takes as one string of an environment */
    ENV_COUNT_MAX = 8192,
};

/* Folders in TMPDIR for what a step leaves; each step begins with empty ones. */
#define ENV_ARTIFACTS "pawl-artifacts"
#define ENV_SUMMARY "pawl-summary"

typedef struct env_list {
    char **v; /* "NAME=value", owned, NULL behind the last */
    size_t n, cap;
} env_list;
void env_clear(env_list *e);
/* Replaces or adds. A name must be non-empty and without '='. */
int env_set(env_list *e, const char *name, const char *value, pw_err *err);
void env_unset(env_list *e, const char *name);
/* NULL when absent; borrowed. */
const char *env_get(const env_list *e, const char *name);

/* The value of a property of this job; NULL: there is none. Borrowed. What Pawl sets itself (branch
 * revision project builder build_id worker attempt) comes before properties of the same name.
 * `number` is room for the values that are numbers. */
const char *env_property(const job_spec *job, const char *name, size_t n, char number[24]);
/* Appends `text` with ${name}, ${name:-default} and ${name:+text} replaced; a lone $ stays.
 * PW_ENOTFOUND for an unknown name, PW_EINVAL for a ${ without end. */
int env_subst(const job_spec *job, const char *text, pw_buf *out, pw_err *err);

/* What env_build needs beside the job. */
typedef struct env_place {
    char *const *base; /* "NAME=value", NULL-terminated */
    const char *workdir, *tmpdir;
    const pw_list *secrets; /* msg_secret: what ${secret:NAME} in env stands for; NULL: none */
} env_place;
/* The whole environment of a step. *e is empty before; on failure it may hold a part. */
int env_build(env_list *e, const env_place *place, const job_spec *job, const job_step *step,
              pw_err *err);
#endif
