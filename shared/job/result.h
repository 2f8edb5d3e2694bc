/* result.h - results of steps and builds, and the one rule that makes a build's result from its
 * steps (Buildbot's). Pure. */
#ifndef PW_SHARED_JOB_RESULT_H
#define PW_SHARED_JOB_RESULT_H
#include <stdbool.h>
#include <stddef.h>

typedef enum pw_result {
    PW_NO_RESULT = -1,
    PW_SUCCESS = 0,
    PW_WARNINGS = 1,
    PW_FAILURE = 2,
    PW_SKIPPED = 3,
    PW_EXCEPTION = 4,
    PW_RETRY = 5,
    PW_CANCELLED = 6
} pw_result;

typedef struct pw_flags {
    bool halt_on_failure;  /* default true */
    bool flunk_on_failure; /* default true */
    bool warn_on_failure;  /* default false */
    bool always_run;       /* default false */
} pw_flags;
extern const pw_flags pw_flags_default;

const char *pw_result_name(pw_result r); /* "success" ...; "null" for none */
/* false when the name is none of them */
bool pw_result_parse(const char *name, pw_result *ret);
/* cancelled > retry > exception > failure > warnings > success > skipped */
pw_result pw_result_worst(pw_result a, pw_result b);
/* What a step's own result adds to the build: a failure that does not flunk counts as warnings
 * (warn_on_failure) or success. */
pw_result pw_result_step_counts(pw_result step, pw_flags f);
/* Whether the rest of the build (but always_run steps) is skipped after this step. */
bool pw_result_halts(pw_result step, pw_flags f);
/* Whether a step runs: `halted` = a step before halted the build. */
bool pw_step_runs(bool halted, pw_flags f);
/* The build: worst of what its steps count; PW_SKIPPED when none ran. */
pw_result pw_result_build(const pw_result *step, const pw_flags *flags, size_t n);
/* success, and warnings where allowed */
bool pw_result_green(pw_result r, bool allow_warnings);
bool pw_result_red(pw_result r); /* failure only */
/* What a builder counts as at a revision where nothing that it depends on had changed, by how its
 * newest earlier build on the branch ended: the same, where that says something of the code. */
pw_result pw_result_unchanged(pw_result earlier);
#endif
