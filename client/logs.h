/* logs.h - logs of steps: in one go, followed while they grow, and bit by bit. Blocks. A sink
 * returns non-zero to end early. */
#ifndef PW_CLIENT_LOGS_H
#define PW_CLIENT_LOGS_H
#include <stdbool.h>

#include "client/client.h"

/* Which part of a log, and how. */
typedef struct logs_part {
    bool raw, times;
    const char *tail; /* number of lines; borrowed; NULL: all */
    const char *grep; /* a regular expression; NULL: every line */
} logs_part;
/* The log as far as there is one. */
int logs_print(client *c, uint64_t build, const char *step, const logs_part *part, http_sink *sink,
               void *sink_self, pw_err *err);
/* The log until its end, waiting for more. A connection that breaks is made anew without a gap or a
 * repeated byte, as long as the master comes back within two minutes. */
int logs_follow(client *c, uint64_t build, const char *step, const logs_part *part, http_sink *sink,
                void *sink_self, pw_err *err);
/* What there is behind byte *pos now, in whole lines, and moves *pos. `over`: the step has ended,
 * so a last line without end is handed on too. */
int logs_poll(client *c, uint64_t build, const char *step, uint64_t *pos, bool over,
              http_sink *sink, void *sink_self, pw_err *err);
#endif
