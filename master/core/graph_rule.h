/* graph_rule.h - what becomes of a builder whose build set has others that it needs. Pure. */
#ifndef PW_MASTER_CORE_GRAPH_RULE_H
#define PW_MASTER_CORE_GRAPH_RULE_H
#include <stdbool.h>
#include <stddef.h>

#include "shared/job/result.h"

/* Whether others may build upon it: success, and warnings too, as nobody could say otherwise. What
 * was not selected is as good as it was. */
bool graph_good(pw_result result, bool unchanged);
/* What a builder that somebody needs did: "failed" ... */
const char *graph_word(pw_result result);

typedef struct graph_need {
    bool open; /* a build of it waits or runs */
    bool bad;  /* one ended so that nobody may build upon it */
} graph_need;
typedef enum graph_turn { GRAPH_WAIT, GRAPH_RUN, GRAPH_SKIP } graph_turn;
/* ret_which: the need that decides; for GRAPH_RUN nothing. */
graph_turn graph_decide(bool always_run, const graph_need *need, size_t n, size_t *ret_which);
#endif
