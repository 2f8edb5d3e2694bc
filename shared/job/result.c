#include "shared/job/result.h"

#include <string.h>

const pw_flags pw_flags_default = {.halt_on_failure = true, .flunk_on_failure = true};

static const struct {
    const char *name;
    int rank; /* of badness; not the order of the numbers */
} results[] = {
    [PW_SUCCESS] = {"success", 1},     [PW_WARNINGS] = {"warnings", 2},
    [PW_FAILURE] = {"failure", 3},     [PW_SKIPPED] = {"skipped", 0},
    [PW_EXCEPTION] = {"exception", 4}, [PW_RETRY] = {"retry", 5},
    [PW_CANCELLED] = {"cancelled", 6},
};
enum { RESULTS = sizeof(results) / sizeof(results[0]) };

static bool known(pw_result r)
{
    return (int)r >= 0 && (int)r < RESULTS;
}

const char *pw_result_name(pw_result r)
{
    return known(r) ? results[r].name : "null";
}

bool pw_result_parse(const char *name, pw_result *ret)
{
    for (int i = 0; name && i < RESULTS; i++)
        if (strcmp(name, results[i].name) == 0) {
            *ret = (pw_result)i;
            return true;
        }
    return false;
}

pw_result pw_result_worst(pw_result a, pw_result b)
{
    int ra = known(a) ? results[a].rank : -1;
    int rb = known(b) ? results[b].rank : -1;
    return rb > ra ? b : a;
}

pw_result pw_result_step_counts(pw_result step, pw_flags f)
{
    if (step != PW_FAILURE || f.flunk_on_failure)
        return step;
    return f.warn_on_failure ? PW_WARNINGS : PW_SUCCESS;
}

bool pw_result_halts(pw_result step, pw_flags f)
{
    if (step == PW_FAILURE)
        return f.halt_on_failure;
    return step == PW_EXCEPTION || step == PW_RETRY || step == PW_CANCELLED;
}

bool pw_step_runs(bool halted, pw_flags f)
{
    return !halted || f.always_run;
}

pw_result pw_result_build(const pw_result *step, const pw_flags *flags, size_t n)
{
    pw_result r = PW_SKIPPED;
    for (size_t i = 0; i < n; i++)
        r = pw_result_worst(r, pw_result_step_counts(step[i], flags[i]));
    return r;
}

bool pw_result_green(pw_result r, bool allow_warnings)
{
    return r == PW_SUCCESS || (allow_warnings && r == PW_WARNINGS);
}

bool pw_result_red(pw_result r)
{
    return r == PW_FAILURE;
}

pw_result pw_result_unchanged(pw_result earlier)
{
    return earlier == PW_SUCCESS || earlier == PW_WARNINGS || earlier == PW_FAILURE ? earlier
                                                                                    : PW_NO_RESULT;
}
