#include "master/core/lock_rule.h"

lock_verdict lock_decide(const lock_facts *f, bool exclusive)
{
    if (f->exclusive > 0 || (exclusive ? f->counting > 0 : f->counting >= f->count))
        return LOCK_HELD;
    if (f->wants_exclusive || (exclusive && f->wants_counting > 0))
        return LOCK_BEHIND;
    if (!exclusive && f->wants_counting >= f->count - f->counting)
        return LOCK_BEHIND;
    return LOCK_FREE;
}
