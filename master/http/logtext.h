/* logtext.h - the bytes of a log as people get them: as they are (raw), or with each line ended by
 * \n, or only the lines that contain a text (with ANSI sequences looked through), also as JSON. A
 * pull object: it holds no more than a chunk and, when searching, one line. */
#ifndef PW_MASTER_HTTP_LOGTEXT_H
#define PW_MASTER_HTTP_LOGTEXT_H
#include "master/logs/logs.h"
#include "shared/base/buf.h"

enum {
    /* of a line that is searched; the rest of a longer one is left out */
    LOG_LINE_MAX = 256 * 1024,
    LOG_SCAN = 1024 * 1024 /* bytes searched before other connections get their turn */
};
typedef struct log_text {
    uint64_t pos, end; /* raw bytes; end UINT64_MAX: as far as there is */
    bool raw;
    bool skip_lf;   /* the byte before was \r */
    bool open_line; /* the last byte given was no \n */
    char *grep;     /* owned; NULL: everything */
    bool json;
    uint64_t line; /* number of the line at pos (counted by \n, as the log store does) */
    uint64_t matches;
    bool begun, ended; /* frame of the JSON */
    pw_buf held;       /* the line so far */
    pw_buf out;        /* found text that was not fetched yet */
    size_t out_at;
} log_text;
void log_text_init(log_text *t);
void log_text_clear(log_text *t);
/* Next bytes, at most cap (> 0); 0: at the end for now (or, searching, nothing found in LOG_SCAN
 * bytes: *ret_more). Negative: error. */
int64_t log_text_pull(log_text *t, log_view *v, char *buf, size_t cap, bool *ret_more, pw_err *err);
/* What is due when nothing more will come: the end of an open line, the end of the JSON. 0: nothing
 * (any more). */
int64_t log_text_finish(log_text *t, char *buf, size_t cap);
/* In place; returns the new length. */
size_t log_text_lines(log_text *t, char *p, size_t n);
#endif
