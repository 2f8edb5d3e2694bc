/* logtext.h - the bytes of a log as people get them: as they are (raw), or with each line ended by
 * \n, with times, only the lines that match (ANSI sequences looked through), as JSON, as
 * server-sent events, or only its index of groups and remarks. A pull object: it holds no more than
 * a chunk, one line, and what came of it. */
#ifndef PW_MASTER_HTTP_LOGTEXT_H
#define PW_MASTER_HTTP_LOGTEXT_H
#include "master/logs/logs.h"
#include "shared/base/buf.h"
#include "shared/scan/marks.h"
#include "shared/scan/search.h"

enum {
    /* of a line that is looked at as one; the rest of a longer one is left out */
    LOG_LINE_MAX = 256 * 1024,
    LOG_SCAN = 1024 * 1024, /* bytes searched before other connections get their turn */
    LOG_SCAN_US = 20000,    /* or time, whatever comes first */
    LOG_HARD_LINES = 100    /* lines that a pattern may be too costly for before it is given up */
};
typedef enum log_form {
    LOG_TEXT,   /* lines */
    LOG_RAW,    /* bytes */
    LOG_JSON,   /* found lines: {"items":[{"line","text"}],"next":null} */
    LOG_EVENTS, /* server-sent events, one a line */
    LOG_INDEX   /* groups and remarks as JSON */
} log_form;
typedef struct log_text {
    uint64_t pos, end; /* raw bytes; end UINT64_MAX: as far as there is */
    log_form form;
    bool times;
    search *grep;        /* owned; NULL: everything */
    const pw_host *host; /* borrowed; NULL: no bound of time */
    bool skip_lf;        /* the byte before was \r */
    bool open_line;      /* the last byte given was no \n */
    bool half;         /* the line at hand ends with a lone \r: its number is the next one's too */
    uint64_t line;     /* number of the line at pos (counted by \n, as the log store does) */
    uint64_t line_pos; /* where the line at hand begins */
    uint64_t matches, hard;
    bool begun, ended; /* frame of the JSON */
    marks marks;       /* LOG_INDEX */
    pw_buf held;       /* the line so far */
    pw_buf out;        /* found text that was not fetched yet */
    size_t out_at;
} log_text;
void log_text_init(log_text *t);
void log_text_clear(log_text *t);
/* Next bytes, at most cap (> 0); 0: at the end for now (or, looking at lines, nothing to say after
 * LOG_SCAN bytes: *ret_more). Negative: error. */
int64_t log_text_pull(log_text *t, log_view *v, char *buf, size_t cap, bool *ret_more, pw_err *err);
/* What is due when nothing more will come: the end of an open line, the end of the JSON. v: may be
 * NULL. 0: nothing (any more). */
int64_t log_text_finish(log_text *t, log_view *v, char *buf, size_t cap);
/* In place; returns the new length. */
size_t log_text_lines(log_text *t, char *p, size_t n);
#endif
