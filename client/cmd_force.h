/* cmd_force.h - inside of client/: what `pawl force` asks for. */
#ifndef PW_CLIENT_CMD_FORCE_H
#define PW_CLIENT_CMD_FORCE_H
#include "client/commands.h"

/* The JSON of POST /force. PW_EINVAL: no reason, or a property that is not K=V. */
int force_body(const args *a, pw_buf *b, pw_err *err);
/* "a":"b",.. of all --prop K=V. */
int force_props(const args *a, pw_buf *b, pw_err *err);
#endif
