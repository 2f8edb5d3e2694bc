/* decide.h - the one decision whether a waiting request begins now, and if not, why: asked by
 * dispatch for what comes first, and by `why` for what people ask of. Rounds: a walk over the first
 * requests of all queues in their order; what is taken, or wanted by those before, is taken or
 * wanted for those behind. */
#ifndef PW_MASTER_CORE_DECIDE_H
#define PW_MASTER_CORE_DECIDE_H
#include "master/core/parts.h"

typedef enum core_reason {
    REASON_START,     /* worker takes it */
    REASON_FULL,      /* the master begins nothing */
    REASON_NO_WORKER, /* there is none at all */
    REASON_WORKER,    /* none can take it: block of the one that is nearest to it, worker */
    REASON_LOCK,      /* lock is held */
    REASON_TURN,      /* lock is wanted by request `before` */
    REASON_SLOTS,     /* all slots of workers that fit are busy */
    REASON_HELD,      /* by testfix */
    REASON_NEEDS,     /* others of its build set are not over */
    REASON_MANUAL,    /* a person must start it */
    REASON_READING,   /* its pipeline file is being read */
    REASON_PAUSED,    /* its builder is */
    REASON_GONE       /* the configuration has its builder no more */
} core_reason;
typedef struct core_decision {
    core_reason reason;
    core_worker *worker;
    core_block block;
    size_t lock;           /* index in the configuration */
    core_worker *on;       /* the lock is that worker's; NULL: the master's */
    uint64_t before;       /* request */
    uint64_t slots, busy;  /* of workers that fit */
    uint64_t fit, workers; /* how many there are */
} core_decision;

typedef struct core_turn_of { /* a queue, and its first request as it was seen last */
    core_queue *queue;
    int64_t key;
    uint64_t id;
} core_turn_of;
typedef struct core_round {
    core_turn_of *queue; /* owned: a heap; [0] is next */
    size_t n;
    core_worker **free; /* owned: workers that may take something */
    size_t n_free;
} core_round;
/* False broke the turn. */
bool core_round_begin(core *self, core_round *round);
void core_round_end(core_round *round);
/* The first request of all queues that are left; NULL: none is. What left a queue meanwhile is
 * passed over; what came into one is seen in the next round. */
core_request *core_round_next(core_round *round);
/* Nothing of that queue can begin in this round. */
void core_round_drop(core_round *round);
/* What keeps it out of every round; REASON_START: nothing does. */
core_reason core_kept_back(const core_request *r);
/* all: for people, `slots` and the nearest worker are found out too; the reason is the same. What
 * cannot begin leaves its wishes for locks. */
void core_decide(core *self, core_round *round, const core_request *r, bool all,
                 core_decision *ret);
#endif
