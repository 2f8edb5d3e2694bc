#include "worker/run/reports.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/reports/report.h"
#include "worker/run/take.h"

typedef struct reading {
    run_job *r;
    size_t index;
    const job_report *spec;
    report *report; /* of the present file; NULL: none */
    char path[PW_PATH_MAX + 1];
    rec_case batch[PW_CASES_MAX]; /* texts owned */
    size_t n;
    report_totals all;
    size_t files;
    char wrong[RUN_REASON_MAX]; /* of the first that could not be read */
    int code;                   /* of a record that could not be written */
    pw_err err;
} reading;

static void flush(reading *g)
{
    rec_tests rec = {.step = g->index, .cases = {g->batch, g->n}};
    if (g->n > 0 && g->code == 0)
        g->code = writer_record(&g->r->writer, PW_REC_TEST, &rec_tests_schema, &rec, &g->err);
    for (size_t i = 0; i < g->n; i++) {
        free(g->batch[i].suite);
        free(g->batch[i].name);
    }
    g->n = 0;
    writer_tick(&g->r->writer, pw_now(g->r->host->clock));
}

static void on_case(void *self, const report_case *c)
{
    reading *g = self;
    bool failed = false;
    rec_case *to = &g->batch[g->n];
    *to = (rec_case){.suite = pw_strdup(c->suite, &failed),
                     .name = pw_strdup(c->name, &failed),
                     .result = (uint64_t)c->result,
                     .ms = c->ms};
    if (failed) {
        free(to->suite);
        free(to->name);
        if (g->code == 0)
            g->code = pw_fail(&g->err, PW_ENOMEM, "out of memory");
        return;
    }
    /* a report may show what a step printed */
    if (to->suite)
        mask_text(g->r->mask, to->suite);
    mask_text(g->r->mask, to->name);
    if (++g->n == PW_CASES_MAX)
        flush(g);
}

static void begin_file(void *self, const char *path)
{
    reading *g = self;
    g->report = report_free(g->report); /* of one that was given up */
    (void)snprintf(g->path, sizeof(g->path), "%s", path);
    g->report = report_new(g->spec->format, on_case, g, &g->err);
    if (!g->report && g->code == 0)
        g->code = g->err.code;
}

static void file_bytes(void *self, const void *p, size_t n)
{
    reading *g = self;
    if (g->report)
        report_add(g->report, p, n);
}

static void end_file(void *self)
{
    reading *g = self;
    report_totals t;
    pw_err why = {0};
    if (!g->report)
        return;
    int bad = report_end(g->report, &t, &why);
    g->report = report_free(g->report);
    flush(g);
    g->files++;
    g->all.tests += t.tests;
    g->all.failed += t.failed;
    g->all.skipped += t.skipped;
    g->all.skipped_all = g->all.skipped_all || t.skipped_all;
    mask_text(g->r->mask, why.text);
    if (bad < 0 && !g->wrong[0])
        (void)snprintf(g->wrong, sizeof(g->wrong), "report %.200s: %.300s", g->path, why.text);
    rec_report rec = {.step = g->index,
                      .format = g->spec->format,
                      .path = g->path,
                      .tests = t.tests,
                      .failed = t.failed,
                      .skipped = t.skipped,
                      .reason = bad < 0 ? why.text : NULL};
    if (g->code == 0)
        g->code = writer_record(&g->r->writer, PW_REC_REPORT, &rec_report_schema, &rec, &g->err);
}

int reports_take(run_job *r, size_t index, const job_report *spec, const pw_strs *globs,
                 char ret_why[RUN_REASON_MAX], pw_err *err)
{
    take_result got = {0};
    reading *g = calloc(1, sizeof(*g));
    if (!g)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    *g = (reading){.r = r, .index = index, .spec = spec};
    take_reader along = {begin_file, file_bytes, end_file, g};
    take_spec take = {.step = index,
                      .root = r->workdir,
                      .globs = globs,
                      .kind = PW_FILE_REPORT,
                      .reader = &along};
    int rc = take_files(r, &take, &got, err);
    if (rc == 0 && (rc = g->code) < 0)
        *err = g->err;
    ret_why[0] = '\0';
    if (rc == 0 && !run_over(r)) {
        if (got.too_much)
            (void)snprintf(ret_why, RUN_REASON_MAX, "more files than this project allows");
        else if (!g->files)
            (void)snprintf(ret_why, RUN_REASON_MAX, "no %s report matches \"%.300s\"", spec->format,
                           globs->v[0]);
        else if (g->wrong[0])
            (void)snprintf(ret_why, RUN_REASON_MAX, "%s", g->wrong);
        else if (!g->all.tests && !g->all.skipped_all)
            (void)snprintf(ret_why, RUN_REASON_MAX, "its %s reports hold no test (%.200s)",
                           spec->format, g->path);
        if (g->files)
            out_say(&r->stream[0], pw_now(r->host->clock), pw_wall(r->host->clock),
                    "pawl: %zu %s report%s: %" PRIu64 " tests, %" PRIu64 " failed, %" PRIu64
                    " skipped",
                    g->files, spec->format, g->files == 1 ? "" : "s", g->all.tests, g->all.failed,
                    g->all.skipped);
    }
    report_free(g->report);
    flush(g);
    free(g);
    return rc;
}
