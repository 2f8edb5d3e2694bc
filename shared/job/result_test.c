#include "shared/job/result.h"

#include <string.h>

#include "tests/tap.h"

enum { N = 7 };

static const char *const names[N] = {"success",   "warnings", "failure",  "skipped",
                                     "exception", "retry",    "cancelled"};

/* From the mildest to the worst, written down here once more: LP-12. */
static const pw_result order[N] = {PW_SKIPPED,   PW_SUCCESS, PW_WARNINGS, PW_FAILURE,
                                   PW_EXCEPTION, PW_RETRY,   PW_CANCELLED};

static void test_names(void)
{
    pw_result r = PW_NO_RESULT;
    for (int i = 0; i < N; i++) {
        ok(strcmp(pw_result_name((pw_result)i), names[i]) == 0, "%d is %s", i, names[i]);
        ok(pw_result_parse(names[i], &r) && (int)r == i, "%s is %d", names[i], i);
    }
    ok(strcmp(pw_result_name(PW_NO_RESULT), "null") == 0, "no result has no name");
    ok(strcmp(pw_result_name((pw_result)N), "null") == 0, "nor has a number too many");
    r = PW_RETRY;
    ok(!pw_result_parse("Success", &r) && !pw_result_parse("", &r) &&
           !pw_result_parse("null", &r) && !pw_result_parse("succes", &r) &&
           !pw_result_parse(NULL, &r) && r == PW_RETRY,
       "other names are refused");
}

static void test_worst(void)
{
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            ok(pw_result_worst(order[i], order[j]) == order[i > j ? i : j], "worst of %s and %s",
               pw_result_name(order[i]), pw_result_name(order[j]));
    for (int i = 0; i < N; i++)
        ok(pw_result_worst(PW_NO_RESULT, order[i]) == order[i] &&
               pw_result_worst(order[i], PW_NO_RESULT) == order[i],
           "%s and nothing", pw_result_name(order[i]));
}

static void test_flags(void)
{
    ok(pw_flags_default.halt_on_failure && pw_flags_default.flunk_on_failure &&
           !pw_flags_default.warn_on_failure && !pw_flags_default.always_run,
       "defaults");
    for (unsigned m = 0; m < 16; m++) {
        pw_flags f = {.halt_on_failure = m & 1,
                      .flunk_on_failure = m & 2,
                      .warn_on_failure = m & 4,
                      .always_run = m & 8};
        for (int i = 0; i < N; i++) {
            pw_result r = (pw_result)i;
            pw_result counts = r;
            bool halts = r == PW_EXCEPTION || r == PW_RETRY || r == PW_CANCELLED;
            if (r == PW_FAILURE) {
                static const pw_result failure_counts[] = {
                    /* flunk, warn: */ [0] = PW_SUCCESS,
                    [2] = PW_FAILURE,
                    [4] = PW_WARNINGS,
                    [6] = PW_FAILURE,
                };
                counts = failure_counts[m & 6];
                halts = (m & 1) != 0;
            }
            ok(pw_result_step_counts(r, f) == counts, "flags %u: what %s counts", m, names[i]);
            ok(pw_result_halts(r, f) == halts, "flags %u: whether %s halts", m, names[i]);
            ok(pw_result_build(&r, &f, 1) == counts, "flags %u: a build of one %s", m, names[i]);
        }
        ok(pw_step_runs(false, f) && pw_step_runs(true, f) == ((m & 8) != 0),
           "flags %u: whether it runs", m);
    }
}

static void test_build(void)
{
    const pw_flags d = pw_flags_default;
    const pw_flags soft = {.warn_on_failure = true};
    const struct {
        pw_result step[4];
        pw_flags flags[4];
        size_t n;
        pw_result want;
    } t[] = {
        {.n = 0, .want = PW_SKIPPED},
        {{PW_SKIPPED, PW_SKIPPED}, {d, d}, 2, PW_SKIPPED},
        {{PW_SUCCESS, PW_SKIPPED}, {d, d}, 2, PW_SUCCESS},
        {{PW_SUCCESS, PW_WARNINGS, PW_SUCCESS}, {d, d, d}, 3, PW_WARNINGS},
        {{PW_SUCCESS, PW_FAILURE, PW_SKIPPED}, {d, d, d}, 3, PW_FAILURE},
        {{PW_FAILURE, PW_SUCCESS}, {soft, d}, 2, PW_WARNINGS},
        {{PW_FAILURE, PW_FAILURE}, {soft, d}, 2, PW_FAILURE},
        {{PW_FAILURE, PW_EXCEPTION, PW_SKIPPED}, {d, soft, d}, 3, PW_EXCEPTION},
        {{PW_RETRY, PW_EXCEPTION}, {d, d}, 2, PW_RETRY},
        {{PW_CANCELLED, PW_RETRY, PW_FAILURE}, {d, d, d}, 3, PW_CANCELLED},
        {{PW_NO_RESULT, PW_SUCCESS}, {d, d}, 2, PW_SUCCESS},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
        ok(pw_result_build(t[i].step, t[i].flags, t[i].n) == t[i].want, "build %zu is %s", i,
           pw_result_name(t[i].want));
}

static void test_colours(void)
{
    for (int i = -1; i < N; i++) {
        pw_result r = (pw_result)i;
        ok(pw_result_green(r, false) == (r == PW_SUCCESS), "green: %s", pw_result_name(r));
        ok(pw_result_green(r, true) == (r == PW_SUCCESS || r == PW_WARNINGS),
           "green with warnings: %s", pw_result_name(r));
        ok(pw_result_red(r) == (r == PW_FAILURE), "red: %s", pw_result_name(r));
    }
}

int main(void)
{
    test_names();
    test_worst();
    test_flags();
    test_build();
    test_colours();
    static const pw_result same[] = {PW_SUCCESS,   PW_WARNINGS,  PW_FAILURE,  PW_NO_RESULT,
                                     PW_NO_RESULT, PW_NO_RESULT, PW_NO_RESULT};
    for (int r = 0; r < 7; r++)
        ok(pw_result_unchanged((pw_result)r) == same[r], "unchanged after %s",
           pw_result_name((pw_result)r));
    ok(pw_result_unchanged(PW_NO_RESULT) == PW_NO_RESULT, "unchanged after nothing");
    return tap_done();
}
