#include "master/core/retain_rule.h"

#include <stddef.h>

/* 0: never. Red ones are kept at least as long as `red` says. */
static bool due(const config_retain *rule, pw_msec limit, const retain_facts *f)
{
    bool red = f->result == PW_FAILURE || f->result == PW_EXCEPTION;
    if (!limit || (red && rule->red_forever))
        return false;
    if (red && rule->red > limit)
        limit = rule->red;
    return f->age > limit;
}

static retain_verdict say(retain_verdict v, const char *why, const char **ret_why)
{
    if (ret_why)
        *ret_why = why;
    return v;
}

retain_verdict retention_decide(const config_retain *rule, const retain_facts *f,
                                const char **ret_why)
{
    if (f->open)
        return say(RETAIN_WHOLE, "something of it is under way", ret_why);
    if (f->pinned)
        return say(RETAIN_WHOLE, "it is pinned", ret_why);
    if (f->last)
        return say(RETAIN_WHOLE, "it is one of the last of its builder and branch", ret_why);
    bool build = due(rule, rule->builds, f), logs = due(rule, rule->logs, f);
    if (build && !f->newest && !f->needed)
        return say(RETAIN_NOTHING, "it is old enough", ret_why);
    if (logs)
        return say(RETAIN_ROWS, "its logs are old enough", ret_why);
    return say(RETAIN_WHOLE,
               build && f->newest   ? "it is the newest"
               : build && f->needed ? "its result is needed"
                                    : "it is not old enough",
               ret_why);
}
