/* cmd_status.h - inside of client/: the text of `pawl status`. Pure. */
#ifndef PW_CLIENT_CMD_STATUS_H
#define PW_CLIENT_CMD_STATUS_H
#include <stdbool.h>

#include "shared/base/buf.h"
#include "shared/base/host.h"
#include "shared/json/json.h"

typedef struct status_look {
    pw_msec now;
    bool relative, colour;
    int width; /* 0: do not cut */
} status_look;
/* v: the body of GET /status. */
int status_text(const json_value *v, const status_look *l, pw_buf *b);
#endif
