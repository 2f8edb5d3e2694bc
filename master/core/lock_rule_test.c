#include "master/core/lock_rule.h"

#include "tests/tap.h"

int main(void)
{
    static const struct {
        lock_facts f;
        lock_verdict exclusive, counting;
    } rows[] = {
        /* count, held exclusively, counting; wanted exclusively, counting */
        {{1, 0, 0, false, 0}, LOCK_FREE, LOCK_FREE},
        {{1, 1, 0, false, 0}, LOCK_HELD, LOCK_HELD},
        {{1, 0, 1, false, 0}, LOCK_HELD, LOCK_HELD},
        {{2, 0, 1, false, 0}, LOCK_HELD, LOCK_FREE},
        {{2, 0, 2, false, 0}, LOCK_HELD, LOCK_HELD},
        {{2, 0, 3, false, 0}, LOCK_HELD, LOCK_HELD}, /* count was lowered */
        {{2, 1, 0, false, 0}, LOCK_HELD, LOCK_HELD},
        {{2, 0, 0, true, 0}, LOCK_BEHIND, LOCK_BEHIND},
        {{2, 0, 1, true, 0}, LOCK_HELD, LOCK_BEHIND}, /* the exclusive one is not overtaken */
        {{2, 0, 0, false, 1}, LOCK_BEHIND, LOCK_FREE},
        {{2, 0, 0, false, 2}, LOCK_BEHIND, LOCK_BEHIND},
        {{2, 0, 1, false, 1}, LOCK_HELD, LOCK_BEHIND},
        {{3, 0, 1, false, 1}, LOCK_HELD, LOCK_FREE},
        {{2, 0, 0, true, 5}, LOCK_BEHIND, LOCK_BEHIND},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ok(lock_decide(&rows[i].f, true) == rows[i].exclusive, "row %zu, exclusive", i);
        ok(lock_decide(&rows[i].f, false) == rows[i].counting, "row %zu, counting", i);
    }
    return tap_done();
}
