#include "worker/run/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "worker/run/checkout.h"
#include "worker/run/collect.h"
#include "worker/run/kinds.h"
#include "worker/run/workdir.h"

enum {
    SCRIPT_ARG_MAX =
        120 * 1024, /* Linux takes 128 KiB as one argument; a longer script becomes a file */
    PATH_BYTES = 4096,
};

void step_fail(step_result *s, pw_result result, const char *fmt, ...)
{
    va_list ap;
    s->result = result;
    va_start(ap, fmt);
    (void)vsnprintf(s->reason, sizeof(s->reason), fmt, ap);
    va_end(ap);
}

void step_fail_err(step_result *s, pw_result result, const pw_err *err)
{
    char text[100];
    if (err->sys)
        step_fail(s, result, "%s: %s", err->text, strerror_r(err->sys, text, sizeof(text)));
    else
        step_fail(s, result, "%s", err->text);
}

int step_env(const run_job *r, const job_step *s, env_list *env, pw_err *err)
{
    env_place place = {.base = r->host->env,
                       .workdir = r->workdir,
                       .tmpdir = r->tmpdir,
                       .secrets = &r->secrets.secrets};
    return env_build(env, &place, &r->spec, s, err);
}

int step_dir(const run_job *r, const job_step *s, char **ret_dir, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf name = PW_BUF(PATH_BYTES);
    char *dir;
    int rc = s->dir ? env_subst(&r->spec, s->dir, &name, err) : 0;
    if (rc < 0)
        return pw_err_context(err, "dir");
    if (!name.len || strcmp(pw_buf_str(&name), ".") == 0) {
        bool failed = false;
        dir = pw_strdup(r->workdir, &failed);
        if (failed)
            return pw_fail(err, PW_ENOMEM, "out of memory");
    } else {
        pw_err why = {0};
        dir = pw_path_join_beneath(r->workdir, pw_buf_str(&name), &why);
        if (!dir && why.code == PW_ENOMEM)
            return pw_fail(err, PW_ENOMEM, "out of memory");
        if (!dir)
            return pw_fail(err, PW_EINVAL, "dir \"%.300s\" is not a path inside the work directory",
                           pw_buf_str(&name));
    }
    *ret_dir = dir;
    return 0;
}

/* A number from the job, kept below what a sum of times can bear. */
static pw_usec limit_us(uint64_t ms)
{
    const uint64_t most = 1000ULL * 365 * 24 * 3600 * 1000;
    return (pw_usec)((ms < most ? ms : most) * 1000);
}

exec_spec step_spec(const job_step *s, const env_list *env, const char *dir)
{
    return (exec_spec){
        .env = (const char *const *)env->v,
        .dir = dir,
        .timeout = limit_us(s->timeout_ms),
        .idle = limit_us(s->idle_timeout_ms),
        .grace = limit_us(s->grace_ms),
        .stderr_separate = s->stderr_separate,
        .pty = s->pty,
    };
}

static bool is_dir(const char *dir)
{
    struct stat st;
    return dir && stat(dir, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A script too long for an argument, as a file in TMPDIR. Owned path. */
static char *script_file(const run_job *r, size_t index, const char *script, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = pw_strf("%s/pawl-step-%zu", r->tmpdir, index);
    if (!path) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    (void)unlink(path); /* what a step put there */
    PW_AUTO(pw_closep)
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        (void)pw_fail_sys(err, "cannot write the script to %s", path);
        return NULL;
    }
    if (pw_fs_write_all(fd, script, strlen(script), err) < 0)
        return NULL;
    if (r->in.user && fchown(fd, r->in.user->uid, r->in.user->gid) < 0) {
        (void)pw_fail_sys(err, "cannot give the script to user \"%s\"", r->in.user->name);
        return NULL;
    }
    return pw_take(path);
}

static void run_program(run_job *r, const exec_spec *spec, step_result *out)
{
    exec_end end;
    pw_err err = {0};
    if (exec_run(r, spec, out, &end, &err) == 0) {
        exec_judge(r, spec, &end, out);
    } else {
        (void)pw_err_context(&err, "cannot start the step");
        step_fail_err(out, PW_EXCEPTION, &err);
    }
}

static void run_script(run_job *r, size_t index, const job_step *s, exec_spec *spec,
                       step_result *out)
{
    bool bash = s->shell && strcmp(s->shell, "bash") == 0;
    const char *argv[7];
    size_t n = 0;
    PW_AUTO(pw_freep) char *file = NULL;
    if (s->shell && !bash && strcmp(s->shell, "sh") != 0) {
        step_fail(out, PW_EXCEPTION, "unknown shell \"%s\"", s->shell);
        return;
    }
    argv[n++] = bash ? "bash" : "/bin/sh";
    argv[n++] = bash ? "-eo" : "-e";
    if (bash)
        argv[n++] = "pipefail";
    if (strlen(s->script) > SCRIPT_ARG_MAX) {
        pw_err err = {0};
        file = script_file(r, index, s->script, &err);
        if (!file) {
            step_fail_err(out, PW_EXCEPTION, &err);
            return;
        }
        argv[n++] = file;
    } else {
        argv[n++] = "-c";
        argv[n++] = s->script;
    }
    argv[n] = NULL;
    spec->argv = argv;
    run_program(r, spec, out);
    spec->argv = NULL; /* argv ends here */
}

static void run_argv(run_job *r, const job_step *s, exec_spec *spec, step_result *out)
{
    const char **argv = calloc(s->argv.n + 1, sizeof(*argv));
    if (!argv) {
        step_fail(out, PW_EXCEPTION, "out of memory");
        return;
    }
    for (size_t i = 0; i < s->argv.n; i++)
        argv[i] = s->argv.v[i];
    spec->argv = argv;
    run_program(r, spec, out);
    spec->argv = NULL; /* argv ends here */
    free(argv);
}

/* A step that works in a folder, with an environment. */
typedef void in_folder(run_job *r, size_t index, const job_step *s, env_list *env, const char *dir,
                       step_result *out);

static void with_folder(run_job *r, size_t index, const job_step *s, in_folder *what,
                        step_result *out)
{
    PW_AUTO(env_clear) env_list env = {0};
    PW_AUTO(pw_freep) char *dir = NULL;
    pw_err err = {0};
    if (step_env(r, s, &env, &err) < 0 || step_dir(r, s, &dir, &err) < 0)
        step_fail_err(out, PW_EXCEPTION, &err);
    else
        what(r, index, s, &env, dir, out);
}

static void run_in(run_job *r, size_t index, const job_step *s, env_list *env, const char *dir,
                   step_result *out)
{
    exec_spec spec = step_spec(s, env, dir);
    if (!is_dir(dir))
        step_fail(out, PW_EXCEPTION, "dir \"%.300s\" does not exist", dir);
    else if (s->script)
        run_script(r, index, s, &spec, out);
    else if (s->argv.n)
        run_argv(r, s, &spec, out);
    else
        step_fail(out, PW_EXCEPTION, "step has nothing to run");
}

static void checkout_in(run_job *r, size_t index, const job_step *s, env_list *env, const char *dir,
                        step_result *out)
{
    (void)index;
    checkout_run(r, s, env, dir, out);
}

/* What a step does, by its kind: *out is a success before, and what it says after is its result. */
static const struct {
    const char *name;
    in_folder *run; /* NULL: all that it does is taken after every step */
} kinds[] = {
    {"run", run_in},
    {"checkout", checkout_in},
    {"set_property", step_set_property},
    {"annotate", step_annotate},
    {"http", step_http},
    {"cache", step_cache},
    {"cache-save", step_cache_save},
    {"fetch", step_fetch},
    {"trigger", step_trigger},
    {"artifacts", NULL},
    {"reports", NULL},
};

static void step_run_kind(run_job *r, size_t index, const job_step *s, step_result *out)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i].name, s->kind) == 0) {
            if (kinds[i].run)
                with_folder(r, index, s, kinds[i].run, out);
            return;
        }
    step_fail(out, PW_EXCEPTION, "this worker knows no step of kind \"%s\"", s->kind);
}

void step_run(run_job *r, size_t index, step_result *out)
{
    const job_step *s = (const job_step *)r->spec.steps.v + index;
    pw_err err = {0};
    *out = (step_result){.result = PW_SUCCESS};
    int rc = workdir_tmp_again(r->tmpdir, &err);
    if (rc == 0)
        rc = collect_prepare(r, &err);
    if (rc == 0)
        rc = out_begin(&r->stream[0], &r->out, index, PW_STREAM_OUT, s->log_limit, &err);
    if (rc == 0 && s->stderr_separate)
        rc = out_begin(&r->stream[1], &r->out, index, PW_STREAM_ERR, s->log_limit, &err);
    if (rc < 0) {
        step_fail_err(out, PW_EXCEPTION, &err);
        return;
    }
    step_run_kind(r, index, s, out);
    collect_step(r, index, s, out);
    exec_finish_output(r);
    if (r->no_room)
        step_fail(out, PW_EXCEPTION, "no room in the spool");
    mask_text(r->mask, out->reason);
}
