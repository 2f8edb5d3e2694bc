#include "worker/run/co.h"

#include <string.h>
#include <sys/wait.h>

#include "shared/base/fs.h"
#include "worker/run/exec.h"
#include "worker/run/login.h"
#include "worker/run/steps.h"

enum {
    GIT_ARGS = 26,
    ROOM_MIN =
        64 * 1024 * 1024, /* below it a failure is the disk's, and a mirror is not thrown away */
};

int co_fail_err(checkout *c, const pw_err *err)
{
    step_fail_err(c->out, PW_EXCEPTION, err);
    return -1;
}

/* Whether a command works on the mirror or its origin: by the agent's own rights, with its key. */
static bool of_mirror(const char *const *args)
{
    bool init = strcmp(args[0], "init") == 0 && args[1] && args[2] && !strcmp(args[2], "--bare");
    return init || strcmp(args[0], "--git-dir") == 0 || strcmp(args[0], "ls-remote") == 0;
}

/* Runs git in `dir` (NULL: in the work tree). Returns its exit code (128 + a signal), or -1 with
 * the result set. */
int co_git_run(checkout *c, bool quiet, const char *const *args)
{
    const char *argv[GIT_ARGS] = {"git",
                                  "-c",
                                  "gc.auto=0",
                                  "-c",
                                  "maintenance.auto=false",
                                  "-c",
                                  "core.hooksPath=/dev/null",
                                  "-c",
                                  "advice.detachedHead=false"};
    size_t n = 9;
    pw_err err = {0};
    exec_end end;
    bool mirror = of_mirror(args);
    bool contained = c->r->in.kind == ISO_PODMAN;
    if (c->login.http) { /* no helper of the user's is asked first, nor told to keep it */
        argv[n++] = "-c";
        argv[n++] = "credential.helper=";
    }
    while (*args && n < GIT_ARGS - 1)
        argv[n++] = *args++;
    if (*args) {
        step_fail(c->out, PW_EXCEPTION, "too many arguments for git");
        return -1;
    }
    argv[n] = NULL;
    pw_usec used = pw_now(c->r->host->clock) - c->begin;
    exec_spec spec = step_spec(c->s, c->env, c->dir);
    spec.argv = argv;
    spec.quiet = quiet;
    spec.copy = c->said;
    spec.hidden = c->hidden;
    spec.pty = false;
    spec.outside = mirror || contained; /* an image need not have git */
    if (mirror)                         /* what steps left in the work tree has no say there */
        spec.dir = c->r->host->spool;
    spec.idle = 0; /* git says nothing for long while it works */
    spec.timeout = CHECKOUT_GIT_US;
    if (c->limit && c->limit - used < spec.timeout)
        spec.timeout = c->limit > used ? c->limit - used : 1;
    if (exec_run(c->r, &spec, c->out, &end, &err) < 0) {
        (void)pw_err_context(&err, "cannot start git");
        return co_fail_err(c, &err);
    }
    if (end.why == EXEC_EXITED)
        return WIFSIGNALED(end.status) ? 128 + WTERMSIG(end.status) : WEXITSTATUS(end.status);
    exec_judge(c->r, &spec, &end, c->out);
    if (end.why == EXEC_TIMEOUT)
        step_fail(c->out, PW_EXCEPTION, "git ran into its time limit");
    return -1;
}

/* A git command that has to succeed. */
int co_must(checkout *c, const char *what, int rc)
{
    if (rc > 0)
        step_fail(c->out, PW_EXCEPTION, "%s failed: git ended with exit code %d", what, rc);
    return rc;
}

int co_environment(checkout *c, pw_err *err)
{
    static const char *const drop[] = {"GIT_DIR",
                                       "GIT_WORK_TREE",
                                       "GIT_INDEX_FILE",
                                       "GIT_OBJECT_DIRECTORY",
                                       "GIT_ALTERNATE_OBJECT_DIRECTORIES",
                                       "GIT_COMMON_DIR",
                                       "GIT_NAMESPACE",
                                       "GIT_PREFIX",
                                       "GIT_CONFIG"};
    PW_AUTO(pw_freep) char *above = pw_strf("%s/..", c->dir);
    for (size_t i = 0; i < sizeof(drop) / sizeof(drop[0]); i++)
        env_unset(c->env, drop[i]);
    if (!above)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    const char *slash = strrchr(c->dir, '/');
    above[slash ? slash - c->dir : 0] = '\0';
    int rc = env_set(c->env, "GIT_TERMINAL_PROMPT", "0", err);
    if (rc == 0)
        rc = env_set(c->env, "GIT_CONFIG_NOSYSTEM", "1", err);
    /* files of Git LFS come only when asked for, whatever the machine's own configuration says */
    if (rc == 0 && !c->s->lfs)
        rc = env_set(c->env, "GIT_LFS_SKIP_SMUDGE", "1", err);
    /* a broken work tree must not make git find a repository that the spool happens to lie in */
    return rc < 0 ? rc : env_set(c->env, "GIT_CEILING_DIRECTORIES", above, err);
}

bool co_over(checkout *c)
{
    run_listen(c->r);
    if (c->r->deadline && pw_now(c->r->host->clock) >= c->r->deadline)
        c->r->timed_out = true;
    if (!run_over(c->r))
        return false;
    exec_end end = {.why = c->r->cancelled   ? EXEC_CANCELLED
                           : c->r->no_room   ? EXEC_NO_ROOM
                           : c->r->forsaken  ? EXEC_FORSAKEN
                           : c->r->timed_out ? EXEC_JOB_TIMEOUT
                                             : EXEC_STOPPED};
    exec_judge(c->r, NULL, &end, c->out);
    return true;
}

int co_log_in(checkout *c)
{
    pw_err err = {0};
    return login_open(c->r, c->env, &c->login, &err) < 0 ? co_fail_err(c, &err) : 0;
}

bool co_room_to_rebuild(const checkout *c)
{
    int64_t left = pw_fs_free(c->r->host->spool);
    return !c->rebuilt && (left < 0 || left >= ROOM_MIN);
}

void co_tell(checkout *c, const char *text)
{
    const pw_host *h = c->r->host->clock;
    out_say(&c->r->stream[0], pw_now(h), pw_wall(h), "pawl: %s", text);
}
