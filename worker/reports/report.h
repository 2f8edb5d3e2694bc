/* report.h - readers of test reports. One thread per object; the sink is called while a report is
 * fed, its case is borrowed. */
#ifndef PW_WORKER_REPORTS_REPORT_H
#define PW_WORKER_REPORTS_REPORT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/cleanup.h"
#include "shared/base/err.h"

enum {
    REPORT_LINE_MAX = 64 * 1024, /* longer ones are cut */
    REPORT_NAME_MAX = 1000,      /* bytes of a name or suite; longer ones are cut */
    REPORT_DEPTH = 100,          /* of XML */
};
typedef enum report_result { REPORT_PASSED, REPORT_FAILED, REPORT_SKIPPED } report_result;
typedef struct report_case {
    const char *suite; /* NULL: none */
    const char *name;
    report_result result;
    uint64_t ms;
} report_case;
typedef struct report_totals {
    uint64_t tests, failed, skipped;
    bool skipped_all; /* it says that there is nothing to test */
} report_totals;
typedef void report_sink(void *self, const report_case *c);

typedef struct report report;
/* format: "junit" "tap" "subunit" "gotest"; PW_EINVAL: none of them. */
report *report_new(const char *format, report_sink *sink, void *sink_self, pw_err *err);
report *report_free(report *self);
PW_DEFINE_FREEP(report, report_free)
void report_add(report *self, const void *p, size_t n);
/* Once, behind all bytes. PW_ECORRUPT: it is not what it should be, with line and reason; the
 * totals are those so far. */
int report_end(report *self, report_totals *ret, pw_err *err);
#endif
