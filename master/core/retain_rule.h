/* retain_rule.h - what goes of a finished build, and why it stays. Pure. */
#ifndef PW_MASTER_CORE_RETAIN_RULE_H
#define PW_MASTER_CORE_RETAIN_RULE_H
#include <stdbool.h>

#include "master/config/retention.h"
#include "shared/job/result.h"

typedef struct retain_facts {
    pw_msec age; /* since it ended */
    pw_result result;
    bool pinned;
    bool open;   /* something of it is under way, or may still come */
    bool newest; /* the newest of its table, by which the next ids are found */
    bool needed; /* the latest result of a branch, or one that a promotion may look at */
    bool last;   /* among the newest `keep_last` of its builder and branch */
} retain_facts;
typedef enum retain_verdict {
    RETAIN_WHOLE,
    RETAIN_ROWS,   /* its logs go */
    RETAIN_NOTHING /* it goes */
} retain_verdict;
/* *ret_why (may be NULL): a constant text. */
retain_verdict retention_decide(const config_retain *rule, const retain_facts *f,
                                const char **ret_why);
#endif
