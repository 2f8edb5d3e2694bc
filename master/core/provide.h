/* provide.h - how many machines of a provider to start and to give back: a pure rule over counts.
 */
#ifndef PW_MASTER_CORE_PROVIDE_H
#define PW_MASTER_CORE_PROVIDE_H
#include <stdbool.h>
#include <stddef.h>

typedef struct provide_facts {
    size_t waiting;  /* requests that would fit and that no worker can take now */
    size_t slots;    /* of a machine; at least 1 */
    size_t starting; /* machines asked for or made, that have not joined */
    size_t up;       /* that have joined, idle ones too */
    size_t idle;     /* of those: with nothing to do for long enough */
    size_t leaving;  /* to be given back, or given back and still shown */
    size_t min, max;
    bool held; /* nothing may be started now: its provider failed a moment ago */
} provide_facts;
typedef struct provide_plan {
    size_t start, stop;
} provide_plan;
/* Never more than max in all, those that leave included; never fewer than min stay; nothing is
 * given back while something waits. Applied again to what it leads to, it asks for nothing more. */
provide_plan provide_decide(const provide_facts *f);
#endif
