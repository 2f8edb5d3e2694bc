/* oracle.h - inside the oracle only: what oracle.c knows of each attempt, for reckoning.c. */
#ifndef PW_TESTS_SIM_ORACLE_H
#define PW_TESTS_SIM_ORACLE_H
#include "tests/sim/sim.h"

enum { RETRIES = 2 }; /* of both builders */
typedef struct oracle_attempt {
    unsigned started, runs;  /* runs: ever, also on a machine that has lost them */
    bool ended;              /* by its runner */
    bool excused;            /* it may be lost */
    bool set_back;           /* it ran on a disk that was replaced by an old one */
    bool offered, forgotten; /* so the master said */
    bool heard;              /* records of it were applied while it ran */
    uint64_t acked, stored, end_at;
    int worker;
    uint64_t epoch;
} oracle_attempt;
oracle_attempt *oracle_attempt_of(uint64_t id);
void oracle_final_build(const store_build *b); /* a build that is done */
/* Where stable was when this intent was closed. */
int oracle_promotion_tip(uint64_t id);
pw_usec oracle_looked_at(void); /* the master knows the repository; 0: not yet */
#endif
