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
    LOG_PART = 32 * 1024,   /* bytes looked at together */
    LOG_SCAN = 1024 * 1024, /* bytes searched before other connections get their turn */
    LOG_SCAN_US = 5000,     /* or time, whatever comes first: others of its thread wait so long */
    LOG_HARD_LINES = 100,   /* lines that a pattern may be too costly for before it is given up */
    LOG_ITEM_MAX = 4096,    /* bytes of a line as an item; of a longer one it tells the length */
    LOG_ITEMS_MAX = 4000    /* items of one answer */
};
typedef enum log_form {
    LOG_TEXT,   /* lines */
    LOG_RAW,    /* bytes */
    LOG_JSON,   /* found lines: {"items":[{"line","text"}],"next":null} */
    LOG_EVENTS, /* server-sent events, one a line */
    LOG_INDEX,  /* groups, remarks and gaps as JSON */
    LOG_ITEMS,  /* lines: {"items":[{"line","time","text"}],"next":null}, what a page shows of them
                 */
    LOG_NUMBERS /* of found lines: {"items":[17,18],"more":false,"next":null} */
} log_form;
/* A line of which more may come: "10%\r20%\n" shows "20%". */
typedef struct log_item {
    bool any;
    uint64_t whole, pos; /* bytes of the text and where it begins */
    pw_buf text;
} log_item;
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
    uint64_t limit;    /* LOG_NUMBERS: as many are told, then it ends; 0: all */
    uint64_t found;    /* ... the last one */
    bool more;         /* ... there was another one */
    bool begun, ended; /* frame of the JSON */
    marks marks;       /* LOG_INDEX */
    pw_buf gaps;       /* LOG_INDEX: as JSON */
    uint64_t whole;    /* bytes of the line at hand, also those that are not held */
    log_item item;     /* LOG_ITEMS */
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
/* ---- logitem.c: LOG_ITEMS and what the index says of gaps */
/* What is held ended with a lone \r: it is the line's text unless more comes. */
int log_item_half(log_text *t, pw_err *err);
/* The line is whole. */
int log_item_end(log_text *t, log_view *v, pw_err *err);
/* Lines `first` .. `last` were left out, whose bytes these are. */
void log_item_gap(log_text *t, uint64_t first, uint64_t last, uint64_t bytes);

/* In place; returns the new length. */
size_t log_text_lines(log_text *t, char *p, size_t n);
#endif
