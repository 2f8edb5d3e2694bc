/* tools.h - versions of programs of the machine, for hello. Runs them one after the other, each
 * with a deadline: call it at the start and when the configuration was read, never between. */
#ifndef PW_WORKER_AGENT_TOOLS_H
#define PW_WORKER_AGENT_TOOLS_H
#include "worker/agent/conf.h"

enum { TOOL_VERSION_MAX = 100, TOOL_OUTPUT_MAX = 16 * 1024 };
#define TOOL_DEADLINE INT64_C(5000000) /* of one */
#define TOOLS_DEADLINE                                                                             \
    INT64_C(15000000) /* of all: the master calls an agent missing after 25 s                      \
                       */

/* Adds a fact `tools.NAME` for each tool that answers; the others are logged and have none. */
int tools_read(const worker_conf *conf, pw_list *facts, pw_err *err);
/* What in the text looks like a version: the first number with a dot in it, else the first number
 * that is no part of a word, else its first line. */
void tools_version(const char *text, char out[TOOL_VERSION_MAX]);
#endif
