/* cmd_cron.h - inside of client/: the text that `pawl cron` prints. */
#ifndef PW_CLIENT_CMD_CRON_H
#define PW_CLIENT_CMD_CRON_H
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/host.h"

enum { CRON_COUNT_MAX = 10000 };
/* The next n times strictly after `from`, one a line, with the offset of the zone. PW_EINVAL: the
 * line is wrong, or there is no such zone; PW_ENOTFOUND: the line does not fire within 8 years. */
int cron_times_text(const char *line, const char *zone, pw_msec from, uint64_t n, pw_buf *b,
                    pw_err *err);
#endif
