/* logs.h - logs of steps: in one go, followed while they grow, and bit by bit. Blocks. A sink
 * returns non-zero to end early. */
#ifndef PW_CLIENT_LOGS_H
#define PW_CLIENT_LOGS_H
#include <stdbool.h>

#include "client/client.h"

/* Bytes as a step wrote them become lines that end in \n (\r\n and a lone \r end one too), whatever
 * pieces they come in. */
typedef struct logs_lines {
    bool cr;   /* the last byte was \r */
    bool open; /* the last byte given out was no \n */
} logs_lines;
/* In place; returns how many bytes there are now. */
size_t logs_lines_pass(logs_lines *l, char *p, size_t n);

/* The whole log as far as there is one. */
int logs_print(client *c, uint64_t build, const char *step, bool raw, http_sink *sink,
               void *sink_self, pw_err *err);
/* The log until its end, waiting for more. A connection that breaks is made anew without a gap or a
 * repeated byte, as long as the master comes back within two minutes. */
int logs_follow(client *c, uint64_t build, const char *step, bool raw, http_sink *sink,
                void *sink_self, pw_err *err);
/* What there is behind byte *pos now, in whole lines, and moves *pos. `over`: the step has ended,
 * so a last line without end is handed on too. */
int logs_poll(client *c, uint64_t build, const char *step, uint64_t *pos, bool over,
              http_sink *sink, void *sink_self, pw_err *err);
#endif
