/* server.h - the master as a running process: opens the state directory, ties core, store, logs,
 * links, git and web together, and turns the loop. Nothing is decided here. */
#ifndef PW_MASTER_SERVER_SERVER_H
#define PW_MASTER_SERVER_SERVER_H
#include <stdbool.h>

#include "shared/base/err.h"

typedef struct server_options {
    const char *config; /* NULL: STATE/master.yaml, else /etc/pawl/master.yaml */
    const char *state;
    bool new_key; /* a master key that is lost is made anew, though workers know the old one */
} server_options;
/* Runs until SIGTERM or SIGINT. Returns the exit status: 0 stopped, 1 could not start or go on, 2
 * wrong configuration; what was wrong is on stderr. */
int server_run(const server_options *o);
/* The configuration file that is meant: new text (owned), PW_ENOTFOUND with what to write. */
char *server_config_path(const server_options *o, pw_err *err);
/* `pawl-master check FILE`: prints every error; 0 or 2. */
int server_check(const char *file);
#endif
