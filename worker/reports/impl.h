/* impl.h - inside of the readers. */
#ifndef PW_WORKER_REPORTS_IMPL_H
#define PW_WORKER_REPORTS_IMPL_H
#include "worker/reports/report.h"

typedef struct report_kind {
    const char *name;
    size_t size;                                          /* of its state, zeroed */
    int (*begin)(report *r, pw_err *err);                 /* NULL: nothing to do */
    void (*bytes)(report *r, const uint8_t *p, size_t n); /* NULL: by lines */
    void (*line)(report *r, char *line, size_t n); /* without its end; zero bytes are spaces */
    void (*end)(report *r);
    void (*clear)(report *r);
} report_kind;
extern const report_kind report_junit, report_tap, report_subunit, report_gotest;

struct report {
    const report_kind *kind;
    report_sink *sink;
    void *sink_self;
    report_totals totals;
    void *state; /* owned */
    char *text;  /* owned: the line so far */
    size_t len;
    uint64_t line_no;
    bool bad;
    pw_err why;
};
/* The first reason counts; nothing is read behind it. */
void report_bad(report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3), cold));
void report_put(report *r, const char *suite, const char *name, report_result result, uint64_t ms);
/* By lines, for kinds that find out first what they are. */
void report_lines(report *r, const uint8_t *p, size_t n);
void report_last_line(report *r);
/* "1.25" seconds as milliseconds; what is no number is 0. */
uint64_t report_seconds(const char *s);
#endif
