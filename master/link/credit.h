/* credit.h - how many unacknowledged bytes of a journal each worker may have under way, so that all
 * of them together stay below SESSION_TOTAL_WINDOW (rules 5.6). Private to master/link.
 *
 * A window belongs to a job of a worker that has a session; a worker without jobs has none. While
 * there are few jobs each has SESSION_JOB_WINDOW. With more, a job's share is smaller: the next job
 * gets what is left, which may be nothing, and those that have more than their share are told the
 * smaller window with the next acknowledgement, at the next tick at the latest; then whoever waits
 * is told of its own. Pure. */
#ifndef PW_MASTER_LINK_CREDIT_H
#define PW_MASTER_LINK_CREDIT_H
#include <stdbool.h>
#include <stdint.h>

/* The window that a job may be told now. others: the sum of the windows of all other jobs; jobs:
 * how many there are, with this one. */
uint64_t credit_window(uint64_t jobs, uint64_t others);
/* It has so much more than its share that it is told. */
bool credit_too_much(uint64_t jobs, uint64_t window);
#endif
