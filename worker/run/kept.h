/* kept.h - the work directory of a failed build, kept for people: WORKDIR.kept beside it says until
 * when, and how its step was run, so that a shell can be opened there just so. No job takes that
 * directory meanwhile. Values of secrets are not in it. Blocking file calls. */
#ifndef PW_WORKER_RUN_KEPT_H
#define PW_WORKER_RUN_KEPT_H
#include "worker/run/run.h"

typedef struct kept {
    uint64_t until_ms; /* wall clock */
    uint64_t build, epoch, attempt;
    char *isolation; /* NULL: none */
    bool no_network;
    char *dir;       /* of the step */
    pw_strs env;     /* "NAME=value" */
    pw_strs read;    /* mirrors */
    pw_strs options; /* of isolation, as pawl-run is told them */
} kept;
extern const pw_schema kept_schema;
void kept_clear(kept *k);

/* Writes it for the job that failed in the step `index`. */
int kept_write(run_job *r, size_t index, pw_err *err);
/* PW_ENOTFOUND: it is not kept. */
int kept_read(const char *workdir, kept *ret, pw_err *err);
/* Until when; 0: it is not kept. One that cannot be read is kept for a day from its last change. */
uint64_t kept_until(const char *workdir);
/* The file is gone. */
void kept_drop(const char *workdir);

/* Opens a shell in a kept directory, as its step was run: with that environment, in that isolation.
 * script NULL: an interactive one. Returns its exit code, or a negative code. `file` ends in
 * ".kept". */
int kept_enter(const char *file, const char *script, pw_err *err);
/* Writes directory, time and environment to stdout. */
int kept_print(const char *file, pw_err *err);
#endif
