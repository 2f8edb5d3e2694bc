/* plan.h - `pawl-master plan FILE`: what a reload with that file would change. Reads the database
 * of a state directory beside the master that may run on it; changes nothing. */
#ifndef PW_MASTER_SERVER_PLAN_H
#define PW_MASTER_SERVER_PLAN_H
#include <stdbool.h>

/* The exit status: 0 told (also: nothing changes), 1 the state cannot be read, 2 the file is wrong
 * (every error with its place). */
int plan_command(const char *state, const char *file, bool json);
#endif
