/* commands.h - every command of pawl. Each file cmd_*.c has a const table of its own; commands.c
 * lists the tables. */
#ifndef PW_CLIENT_COMMANDS_H
#define PW_CLIENT_COMMANDS_H
#include "client/args.h"

/* Tables end with a name of NULL. */
extern const command cmd_status[], cmd_builds[], cmd_log[], cmd_force[], cmd_change[],
    cmd_workers[], cmd_promotions[], cmd_cron[], cmd_doctor[], cmd_demo[], cmd_token[],
    cmd_outbox[], cmd_local[], cmd_schedulers[], cmd_shell[], cmd_artifacts[], cmd_try[];

/* NULL when there is no such command. */
const command *commands_find(const char *name);
/* The nearest name, for "did you mean"; NULL when none is near. */
const char *commands_nearest(const char *name);
/* The list of --help: one line a command. */
void commands_list(pw_buf *b);
/* Runs argv[0] with the rest of argv. Fills what options behind the command give into c. The exit
 * status, or a negative code. */
int commands_run(client *c, int argc, char *const *argv, pw_err *err);
#endif
