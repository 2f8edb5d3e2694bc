#include "master/core/graph_rule.h"

bool graph_good(pw_result result, bool unchanged)
{
    return result == PW_SUCCESS || result == PW_WARNINGS || (unchanged && result == PW_SKIPPED);
}

const char *graph_word(pw_result result)
{
    return result == PW_FAILURE     ? "failed"
           : result == PW_EXCEPTION ? "ended in an exception"
           : result == PW_SKIPPED   ? "was skipped"
                                    : "was cancelled";
}

/* A builder that runs in any case waits for all; another one knows its end with the first that is
 * bad. */
graph_turn graph_decide(bool always_run, const graph_need *need, size_t n, size_t *ret_which)
{
    for (size_t i = 0; i < n && !always_run; i++) {
        if (need[i].bad) {
            *ret_which = i;
            return GRAPH_SKIP;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (need[i].open) {
            *ret_which = i;
            return GRAPH_WAIT;
        }
    }
    return GRAPH_RUN;
}
