/* logs.h - reading the log of a step bit by bit, for following it. */
#ifndef PW_CLIENT_LOGS_H
#define PW_CLIENT_LOGS_H
#include "client/client.h"

/* Hands on the whole lines from *line (from 1) on that there are now, and moves *line behind them. *ret_done: no more will come
 * (then a last line without an end was handed on too). PW_ENOTFOUND: the step has no log (yet). */
int logs_poll(client *c, uint64_t build, const char *step, uint64_t *line, http_sink *sink, void *sink_self, bool *ret_done, pw_err *err);
#endif
