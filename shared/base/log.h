/* log.h - log lines of the program itself: `level event key=value ...`, one line an event, on
 * stderr (with the <N> prefix of sd-daemon when stderr is the journal). The event is a constant
 * that can be grepped. Any thread; a line is one write(2). The sink is global: log lines are the
 * one thing that every module may emit without being handed something. */
#ifndef PW_SHARED_BASE_LOG_H
#define PW_SHARED_BASE_LOG_H
#include "shared/base/err.h"

typedef enum pw_level {
    PW_LOG_ERROR = 3,
    PW_LOG_WARN = 4,
    PW_LOG_INFO = 6,
    PW_LOG_DEBUG = 7
} pw_level;

/* Lines above `max` are dropped (default PW_LOG_INFO). Call before threads start. fd -1 keeps
 * stderr. */
void pw_log_open(pw_level max, int fd);
/* fmt gives the `key=value` part; a value with blanks or quotes must be written with "%s" between
 * quotes: the sink escapes control bytes and line breaks in the whole line. At most 2,000 bytes a
 * line, the rest is cut and marked. */
void pw_log(pw_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Logs an error once, where it is handled: adds text, errno text and place. */
void pw_log_err(pw_level level, const char *event, const pw_err *err);
#endif
