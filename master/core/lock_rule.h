/* lock_rule.h - whether a lock is given to a build that asks for it. Pure. A lock is held by one
 * build exclusively, or by up to `count` builds in mode counting. Whoever asks first (by priority,
 * then age) gets it first: a build that could begin but for its locks wants them, and nobody behind
 * it may take what it could then not have; so no exclusive one is overtaken for ever. */
#ifndef PW_MASTER_CORE_LOCK_RULE_H
#define PW_MASTER_CORE_LOCK_RULE_H
#include <stdbool.h>
#include <stdint.h>

typedef struct lock_facts {
    uint64_t count;
    uint64_t exclusive, counting; /* builds that hold it */
    bool wants_exclusive;         /* one that asked before wants it so */
    uint64_t wants_counting;      /* so many that asked before do */
} lock_facts;
typedef enum lock_verdict {
    LOCK_FREE,
    LOCK_HELD,  /* by others */
    LOCK_BEHIND /* it would be free, but somebody asked before */
} lock_verdict;
lock_verdict lock_decide(const lock_facts *f, bool exclusive);
#endif
