/* Readers of test reports: the first byte chooses the kind, the second the size of pieces. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "worker/reports/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void on_case(void *self, const report_case *c)
{
    size_t *seen = self;
    if (!c->name || strlen(c->name) > REPORT_NAME_MAX ||
        (c->suite && strlen(c->suite) > REPORT_NAME_MAX) || c->result > REPORT_SKIPPED)
        abort();
    ++*seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const formats[] = {"junit", "tap", "subunit", "gotest"};
    report_totals t[2];
    pw_err err[2] = {{0}, {0}};
    if (n < 2)
        return 0;
    size_t piece[2] = {1 + (size_t)data[1] % 64, n};
    int code[2];
    for (int i = 0; i < 2; i++) {
        size_t seen = 0;
        report *r = report_new(formats[data[0] % 4], on_case, &seen, &err[i]);
        if (!r)
            abort();
        for (size_t at = 2; at < n; at += piece[i])
            report_add(r, data + at, n - at < piece[i] ? n - at : piece[i]);
        code[i] = report_end(r, &t[i], &err[i]);
        report_free(r);
        if (seen != t[i].tests || t[i].failed + t[i].skipped > t[i].tests)
            abort();
    }
    /* however it comes, it says the same */
    if (code[0] != code[1] || t[0].tests != t[1].tests || t[0].failed != t[1].failed)
        abort();
    return 0;
}
