#include "worker/run/collect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shared/base/fs.h"
#include "worker/run/env.h"
#include "worker/run/inside.h"
#include "worker/run/reports.h"
#include "worker/run/take.h"
#include "worker/run/workdir.h"

static void spoil(step_result *out, pw_result result, const char *text)
{
    if (out->result == PW_SUCCESS || out->result == PW_WARNINGS)
        step_fail(out, result, "%s", text);
}

static void say(run_job *r, const char *text)
{
    out_say(&r->stream[0], pw_now(r->host->clock), pw_wall(r->host->clock), "pawl: %s", text);
}

static void strs_clear(pw_strs *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i]);
    free(s->v);
    *s = (pw_strs){0};
}

/* A glob of the job with its properties in place. One that leads out of the work directory is none:
 * a property may have brought it. */
static int globs_of(const run_job *r, const pw_strs *from, pw_strs *ret, pw_err *err)
{
    ret->v = calloc(from->n ? from->n : 1, sizeof(*ret->v));
    if (!ret->v)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    for (size_t i = 0; i < from->n; i++) {
        PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_GLOBS_MAX);
        int rc = env_subst(&r->spec, from->v[i], &b, err);
        if (rc < 0)
            return rc;
        bool failed = false;
        ret->v[i] = pw_strdup(pw_buf_str(&b), &failed);
        if (failed)
            return pw_fail(err, PW_ENOMEM, "out of memory");
        ret->n++;
    }
    return 0;
}

static void too_much(const run_job *r, step_result *out)
{
    if (out->result != PW_SUCCESS && out->result != PW_WARNINGS)
        return;
    step_fail(out, PW_FAILURE,
              "more files than this project allows: at most %llu with %llu bytes a build",
              (unsigned long long)r->spec.files_max, (unsigned long long)r->spec.files_bytes);
}

/* true: it went as it should, *got is set. */
static bool take(run_job *r, const take_spec *spec, take_result *got, step_result *out)
{
    pw_err err = {0};
    if (take_files(r, spec, got, &err) < 0) {
        step_result why;
        (void)pw_err_context(&err, "cannot take files");
        step_fail_err(&why, PW_EXCEPTION, &err);
        spoil(out, err.code == PW_EINVAL || err.code == PW_ELIMIT ? PW_FAILURE : PW_EXCEPTION,
              why.reason);
        return false;
    }
    if (got->too_much)
        too_much(r, out);
    return true;
}

static void artifacts(run_job *r, size_t index, const job_step *s, step_result *out)
{
    pw_err err = {0};
    pw_strs globs = {0};
    take_result got;
    take_spec spec = {.step = index,
                      .root = r->workdir,
                      .globs = &globs,
                      .kind = PW_FILE_ARTIFACT,
                      .keep_ms = s->keep_ms};
    if (globs_of(r, &s->artifacts, &globs, &err) < 0) {
        (void)pw_err_context(&err, "artifacts");
        spoil(out, PW_EXCEPTION, err.text);
    } else if (take(r, &spec, &got, out) && !got.files && !got.too_much && !run_over(r)) {
        char text[PW_GLOBS_MAX + 100];
        (void)snprintf(text, sizeof(text), "no file matches \"%s\"%s", globs.v[0],
                       globs.n > 1 ? " or the other patterns of \"artifacts\"" : "");
        say(r, text);
        if (strcmp(s->kind, "artifacts") == 0 && !s->optional)
            spoil(out, PW_FAILURE, text);
    }
    strs_clear(&globs);
}

/* Missing, empty, or not to be read: the step is a failure, unless it may lack them. */
static void reports(run_job *r, size_t index, const job_report *spec, step_result *out)
{
    pw_err err = {0};
    pw_strs globs = {0};
    char why[RUN_REASON_MAX] = "";
    int rc = globs_of(r, &spec->paths, &globs, &err);
    if (rc == 0)
        rc = reports_take(r, index, spec, &globs, why, &err);
    if (rc < 0) {
        step_result text;
        (void)pw_err_context(&err, "reports");
        step_fail_err(&text, PW_EXCEPTION, &err);
        spoil(out, PW_EXCEPTION, text.reason);
    } else if (why[0]) {
        say(r, why);
        if (!spec->optional)
            spoil(out, PW_FAILURE, why);
    }
    strs_clear(&globs);
}

/* One of the folders that are given to steps; what was in it is gone afterwards. */
static void folder(run_job *r, size_t index, const job_step *s, const char *name, pw_file_kind kind,
                   step_result *out)
{
    pw_err err = {0};
    take_result got;
    PW_AUTO(pw_freep) char *dir = pw_path_join(r->tmpdir, name);
    take_spec spec = {.step = index, .root = dir, .kind = kind, .keep_ms = s->keep_ms};
    if (!dir) {
        spoil(out, PW_EXCEPTION, "out of memory");
        return;
    }
    if (kind == PW_FILE_SUMMARY) {
        pw_err why = {0};
        if (take_files(r, &spec, &got, &why) < 0)
            say(r, why.text);
        else if (got.too_much)
            say(r, "the summary is longer than 1 MiB: what is behind is left out");
    } else {
        (void)take(r, &spec, &got, out);
    }
    if (pw_fs_remove_tree(dir, &err) < 0)
        spoil(out, PW_EXCEPTION, err.text);
}

int collect_prepare(run_job *r, pw_err *err)
{
    static const char *const names[] = {ENV_ARTIFACTS, ENV_SUMMARY};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < 2; i++) {
        PW_AUTO(pw_freep) char *dir = pw_path_join(r->tmpdir, names[i]);
        rc = dir ? workdir_tmp_again(dir, err) : pw_fail(err, PW_ENOMEM, "out of memory");
        if (rc == 0)
            rc = inside_give(r, dir, err);
    }
    return rc;
}

void collect_step(run_job *r, size_t index, const job_step *s, step_result *out)
{
    if (s->artifacts.n && !run_over(r))
        artifacts(r, index, s, out);
    const job_report *report = s->reports.v;
    for (size_t i = 0; i < s->reports.n && !run_over(r); i++)
        reports(r, index, &report[i], out);
    /* a step may have put a link in its place, which leads anywhere; nothing of it lives any more
     */
    struct stat st;
    if (lstat(r->tmpdir, &st) < 0 || !S_ISDIR(st.st_mode))
        return;
    if (!run_over(r))
        folder(r, index, s, ENV_ARTIFACTS, PW_FILE_ARTIFACT, out);
    if (!run_over(r))
        folder(r, index, s, ENV_SUMMARY, PW_FILE_SUMMARY, out);
}
