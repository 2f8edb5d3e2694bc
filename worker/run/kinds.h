/* kinds.h - steps that need no script of the user's: a property, an annotation, a request over
 * HTTP, a cache, files of a needed build. Each has the step's environment and folder (whole path)
 * and sets the result; what they run goes through exec_run like any step, so that limits, masking
 * and the sweep hold. */
#ifndef PW_WORKER_RUN_KINDS_H
#define PW_WORKER_RUN_KINDS_H
#include "worker/run/env.h"
#include "worker/run/run.h"

typedef void step_kind_fn(run_job *r, size_t index, const job_step *s, env_list *env,
                          const char *dir, step_result *out);
step_kind_fn step_set_property, step_annotate, step_http, step_cache, step_cache_save, step_fetch,
    step_trigger;
/* A note of the master came ("SEQ TEXT"), for a step `trigger`: kept, unless a newer one is. */
void trigger_told(run_job *r, const char *note);

/* ---- for those: with.c */
/* What stands under `name` in `with`, as written; NULL: nothing. */
const char *with_get(const job_step *s, const char *name);
/* Appends it with its properties replaced; absent: nothing. */
int with_text(const run_job *r, const job_step *s, const char *name, pw_buf *out, pw_err *err);
/* Reads a file below dir, of at most out's room; no links are followed out of it. */
int with_file(const char *dir, const char *name, pw_buf *out, pw_err *err);
/* A line of the runner's own in the step's log. */
void with_say(run_job *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Runs a program of Pawl's own choice; 0, or the result is set. quiet: nothing of it in the log. */
int with_run(run_job *r, const job_step *s, const env_list *env, const char *dir,
             const char *const *argv, step_result *out);
/* Sets a property of the build: for the steps behind, and told to the master. */
int with_property(run_job *r, size_t index, const char *name, const char *value, pw_err *err);
#endif
