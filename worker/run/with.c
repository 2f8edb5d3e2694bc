/* What the steps of kinds.h share. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "worker/run/kinds.h"
#include "worker/run/steps.h"

const char *with_get(const job_step *s, const char *name)
{
    const msg_pair *p = s->with.v;
    for (size_t i = 0; i < s->with.n; i++)
        if (strcmp(p[i].name, name) == 0)
            return p[i].value;
    return NULL;
}

int with_text(const run_job *r, const job_step *s, const char *name, pw_buf *out, pw_err *err)
{
    const char *text = with_get(s, name);
    int rc = text ? env_subst(&r->spec, text, out, err) : 0;
    if (rc < 0)
        return pw_err_context(err, "%s", name);
    return out->failed ? pw_fail(err, PW_ELIMIT, "%s is too long", name) : 0;
}

int with_file(const char *dir, const char *name, pw_buf *out, pw_err *err)
{
    char part[8192];
    PW_AUTO(pw_closep)
    int fd = pw_fs_open_beneath(dir, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err);
    if (fd < 0)
        return fd;
    for (;;) {
        ssize_t n = read(fd, part, sizeof(part));
        if (n < 0)
            return pw_fail_sys(err, "cannot read \"%.200s\"", name);
        if (n == 0)
            return 0;
        if (pw_buf_add(out, part, (size_t)n) < 0)
            return pw_fail(err, PW_ELIMIT, "\"%.200s\" is longer than %zu bytes", name, out->max);
    }
}

void with_say(run_job *r, const char *fmt, ...)
{
    char text[2000];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    out_say(&r->stream[0], pw_now(r->host->clock), pw_wall(r->host->clock), "pawl: %s", text);
}

int with_run(run_job *r, const job_step *s, const env_list *env, const char *dir,
             const char *const *argv, step_result *out)
{
    exec_spec spec = step_spec(s, env, dir);
    exec_end end;
    pw_err err = {0};
    spec.argv = argv;
    if (exec_run(r, &spec, out, &end, &err) < 0) {
        (void)pw_err_context(&err, "cannot start %s", argv[0]);
        step_fail_err(out, PW_EXCEPTION, &err);
        return -1;
    }
    exec_judge(r, &spec, &end, out);
    return out->result == PW_SUCCESS ? 0 : -1;
}

int with_property(run_job *r, size_t index, const char *name, const char *value, pw_err *err)
{
    msg_pair *v = r->spec.props.v;
    bool failed = false;
    rec_property rec = {
        .step = index, .name = (char *)(uintptr_t)name, .value = pw_strdup(value, &failed)};
    if (failed)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    mask_text(r->mask, rec.value); /* what the master has is shown to people */
    int rc = writer_record(&r->writer, PW_REC_PROPERTY, &rec_property_schema, &rec, err);
    free(rec.value);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < r->spec.props.n; i++) {
        if (strcmp(v[i].name, name) != 0)
            continue;
        char *copy = pw_strdup(value, &failed);
        if (failed)
            return pw_fail(err, PW_ENOMEM, "out of memory");
        free(v[i].value);
        v[i].value = copy;
        return 0;
    }
    if (r->spec.props.n >= PW_ENV_MAX)
        return pw_fail(err, PW_ELIMIT, "more than %d properties", PW_ENV_MAX);
    v = reallocarray(v, r->spec.props.n + 1, sizeof(*v));
    if (!v)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    r->spec.props.v = v;
    v[r->spec.props.n] = (msg_pair){pw_strdup(name, &failed), pw_strdup(value, &failed)};
    r->spec.props.n++; /* freed with the rest even if a part is missing */
    return failed ? pw_fail(err, PW_ENOMEM, "out of memory") : 0;
}
