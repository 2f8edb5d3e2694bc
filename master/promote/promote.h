/* promote.h - the rule of a `green` promotion edge: move `to` forward to the newest first-parent
 * revision of `from` on which all required builders are green on that very revision. Pure: facts
 * in, decision out. */
#ifndef PW_MASTER_PROMOTE_PROMOTE_H
#define PW_MASTER_PROMOTE_PROMOTE_H
#include <stdbool.h>
#include <stddef.h>

#include "shared/job/result.h"

typedef struct promote_builder { /* one required builder on one candidate */
    const char *name;
    pw_result result; /* newest deciding result on that very revision; PW_NO_RESULT: never built */
    bool open;        /* a build of it waits or runs */
} promote_builder;
typedef struct promote_candidate {
    const char *rev;  /* hex */
    bool contains_to; /* `to` is its ancestor: moving there is a fast-forward */
    const promote_builder *builder;
} promote_candidate;
typedef struct promote_facts {
    const char *from, *to; /* branch names */
    bool from_exists, to_exists;
    bool same;     /* both point to the same revision */
    bool to_ahead; /* `from` is an ancestor of `to`, and not the same */
    bool related;  /* `to` is an ancestor of the tip of `from` */
    bool allow_warnings;
    /* newest first, from the tip of `from` to just above `to` */
    const promote_candidate *candidate;
    size_t n_candidates;
    size_t n_builders; /* required builders, the same for each candidate */
} promote_facts;

typedef enum promote_kind { PROMOTE_MOVE, PROMOTE_DONE, PROMOTE_WAIT, PROMOTE_REFUSE } promote_kind;
typedef struct promote_decision {
    promote_kind kind;
    size_t candidate; /* PROMOTE_MOVE: which */
    char reason[300]; /* for people: why not, or why this one */
} promote_decision;
void promote_decide(const promote_facts *f, promote_decision *ret);
#endif
