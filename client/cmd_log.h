/* cmd_log.h - inside of client/: reading ID[/STEP]. Pure. */
#ifndef PW_CLIENT_CMD_LOG_H
#define PW_CLIENT_CMD_LOG_H
#include <stdint.h>

#include "shared/base/err.h"

/* *ret_step points into text, or is NULL when there is no /STEP. */
int log_target(const char *text, uint64_t *ret_build, const char **ret_step, pw_err *err);
#endif
