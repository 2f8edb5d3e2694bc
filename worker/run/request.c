/* `http`: one request, made by the program curl. Its options stand in a file, so that nothing of
 * them is in a command line; the answer is the step's log, its status decides. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "worker/run/kinds.h"
#include "worker/run/steps.h"

enum { OPTIONS_MAX = 512 * 1024, HEAD_MAX = 256 * 1024 };

/* A word of curl's own file: in quotes, with its escapes. */
static void quoted(pw_buf *b, const char *option, const char *text)
{
    (void)pw_buf_addf(b, "%s = \"", option);
    for (const char *p = text; *p; p++) {
        if (*p == '"' || *p == '\\')
            (void)pw_buf_adds(b, "\\");
        if (*p == '\n' || *p == '\r')
            (void)pw_buf_adds(b, *p == '\n' ? "\\n" : "\\r");
        else
            (void)pw_buf_add(b, p, 1);
    }
    (void)pw_buf_adds(b, "\"\n");
}

static int write_tmp(const run_job *r, const char *name, const pw_buf *b, pw_err *err)
{
    PW_AUTO(pw_closep)
    int fd = pw_fs_open_beneath(r->tmpdir, name, O_WRONLY | O_CREAT | O_EXCL, 0600, err);
    if (fd < 0)
        return fd;
    /* the step may run as another user, whose folder it is */
    struct stat st;
    if (stat(r->tmpdir, &st) == 0 && st.st_uid != geteuid() && fchown(fd, st.st_uid, st.st_gid) < 0)
        return pw_fail_sys(err, "cannot hand over the request");
    return pw_fs_write_all(fd, b->p, b->len, err);
}

/* header.NAME: a text; header_env.NAME: the variable of the environment that has it. */
static int headers(const run_job *r, const job_step *s, const env_list *env, pw_buf *options,
                   pw_err *err)
{
    const msg_pair *p = s->with.v;
    for (size_t i = 0; i < s->with.n; i++) {
        PW_AUTO(pw_buf_clearp) pw_buf line = PW_BUF(64 * 1024);
        const char *name = strchr(p[i].name, '.');
        bool var = strncmp(p[i].name, "header_env.", 11) == 0;
        if (!var && strncmp(p[i].name, "header.", 7) != 0)
            continue;
        (void)pw_buf_addf(&line, "%s: ", name + 1);
        const char *value = var ? env_get(env, p[i].value) : NULL;
        if (var && !value)
            return pw_fail(err, PW_ENOTFOUND, "header %.100s: there is no variable \"%.100s\"",
                           name + 1, p[i].value);
        int rc = var ? pw_buf_adds(&line, value) : env_subst(&r->spec, p[i].value, &line, err);
        if (rc < 0 || strpbrk(pw_buf_str(&line), "\r\n"))
            return err->code
                       ? pw_err_context(err, "header %.100s", name + 1)
                       : pw_fail(err, PW_EINVAL, "header %.100s: it must be one line", name + 1);
        quoted(options, "header", pw_buf_str(&line));
    }
    return 0;
}

static int prepare(const run_job *r, const job_step *s, const env_list *env, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf options = PW_BUF(OPTIONS_MAX);
    PW_AUTO(pw_buf_clearp) pw_buf url = PW_BUF(8192);
    PW_AUTO(pw_buf_clearp) pw_buf body = PW_BUF(OPTIONS_MAX);
    const char *method = with_get(s, "method");
    int rc = with_text(r, s, "url", &url, err);
    if (rc == 0)
        rc = with_text(r, s, "body", &body, err);
    if (rc < 0)
        return rc;
    const char *at = pw_buf_str(&url);
    if (strncmp(at, "http://", 7) != 0 && strncmp(at, "https://", 8) != 0)
        return pw_fail(err, PW_EINVAL, "\"%.200s\" is no URL of http or https", at);
    (void)pw_buf_adds(&options, "silent\nshow-error\ngloboff\n"
                                "proto = \"=http,https\"\n");
    quoted(&options, "url", at);
    quoted(&options, "request", method ? method : "GET");
    if ((rc = headers(r, s, env, &options, err)) < 0)
        return rc;
    PW_AUTO(pw_freep) char *head = pw_strf("%s/pawl-http-head", r->tmpdir);
    PW_AUTO(pw_freep) char *data = pw_strf("@%s/pawl-http-body", r->tmpdir);
    if (!head || !data)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    quoted(&options, "dump-header", head);
    if (with_get(s, "body"))
        quoted(&options, "data-binary", data);
    if (options.failed)
        return pw_fail(err, PW_ELIMIT, "the request is too long");
    rc = with_get(s, "body") ? write_tmp(r, "pawl-http-body", &body, err) : 0;
    return rc < 0 ? rc : write_tmp(r, "pawl-http", &options, err);
}

/* The status of the last head: those before are of redirections and "100 Continue". */
static unsigned long status_of(const run_job *r, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf head = PW_BUF(HEAD_MAX);
    unsigned long status = 0;
    if (with_file(r->tmpdir, "pawl-http-head", &head, err) < 0)
        return 0;
    for (const char *p = pw_buf_str(&head); p; p = strchr(p, '\n')) {
        p += *p == '\n';
        const char *space = strncmp(p, "HTTP/", 5) == 0 ? strchr(p, ' ') : NULL;
        if (space)
            status = strtoul(space, NULL, 10);
    }
    return status;
}

static bool expected(const job_step *s, unsigned long status)
{
    const char *list = with_get(s, "expect");
    if (!list)
        return status >= 200 && status < 300;
    for (const char *p = list; *p;) {
        char *end;
        if (strtoul(p, &end, 10) == status)
            return true;
        p = *end ? end + 1 : end;
    }
    return false;
}

void step_http(run_job *r, size_t index, const job_step *s, env_list *env, const char *dir,
               step_result *out)
{
    (void)index;
    pw_err err = {0};
    int rc = prepare(r, s, env, &err);
    if (rc < 0) {
        step_fail_err(out, rc == PW_EINVAL || rc == PW_ENOTFOUND ? PW_FAILURE : PW_EXCEPTION, &err);
        return;
    }
    PW_AUTO(pw_freep) char *file = pw_strf("%s/pawl-http", r->tmpdir);
    if (!file) {
        step_fail(out, PW_EXCEPTION, "out of memory");
        return;
    }
    const char *argv[] = {"curl", "-q", "--config", file, NULL};
    if (with_run(r, s, env, dir, argv, out) < 0)
        return;
    unsigned long status = status_of(r, &err);
    with_say(r, "HTTP status %lu", status);
    if (!expected(s, status))
        step_fail(out, PW_FAILURE, "HTTP status %lu", status);
}
