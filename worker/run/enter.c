/* A shell in a kept work directory. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "worker/run/inside.h"
#include "worker/run/kept.h"
#include "worker/run/workdir.h"

enum { NOT_STARTED = 127 };

static const char suffix[] = ".kept";

/* "/s/work/p/b/1.kept" -> "/s/work/p/b/1", and "/s". Both owned. */
static int places(const char *file, char **ret_dir, char **ret_spool, pw_err *err)
{
    PW_AUTO(pw_freep) char *whole = realpath(file, NULL);
    size_t n = whole ? strlen(whole) : 0;
    if (!whole)
        return pw_fail_sys(err, "cannot read %s", file);
    if (n < sizeof(suffix) || strcmp(whole + n - (sizeof(suffix) - 1), suffix) != 0)
        return pw_fail(err, PW_EINVAL, "%s is no kept work directory", file);
    whole[n - (sizeof(suffix) - 1)] = '\0';
    PW_AUTO(pw_freep) char *spool = strdup(whole);
    if (!spool)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    for (int i = 0; i < 4; i++) { /* N, builder, project, work */
        char *slash = strrchr(spool, '/');
        if (!slash || slash == spool)
            return pw_fail(err, PW_EINVAL, "%s is no kept work directory", file);
        *slash = '\0';
    }
    *ret_dir = pw_take(whole);
    *ret_spool = pw_take(spool);
    return 0;
}

static int read_host(const kept *k, iso_host *h, pw_err *err)
{
    h->offers[ISO_NONE] = true;
    for (size_t i = 0; i + 1 < k->options.n; i += 2)
        if (!iso_option(h, k->options.v[i], k->options.v[i + 1]))
            return pw_fail(err, PW_ECORRUPT, "option %.60s of the kept isolation cannot be used",
                           k->options.v[i]);
    return 0;
}

/* In the child: the terminal stays the shell's, so it is no new session. */
static void become(const inside_start *s)
{
    static const char path[] = "PATH=";
    if (s->as && (setgroups(0, NULL) < 0 || setresgid(s->as->gid, s->as->gid, s->as->gid) < 0 ||
                  setresuid(s->as->uid, s->as->uid, s->as->uid) < 0)) {
        perror("pawl-run: becoming the job's user");
        _exit(NOT_STARTED);
    }
    if (chdir(s->dir) < 0) {
        perror("pawl-run: entering the work directory");
        _exit(NOT_STARTED);
    }
    for (const char *const *e = s->env; e && *e; e++)
        if (strncmp(*e, path, sizeof(path) - 1) == 0)
            (void)setenv("PATH", *e + sizeof(path) - 1, 1); /* where the program is looked for */
    (void)execvpe(s->argv[0], (char *const *)(uintptr_t)s->argv, (char *const *)(uintptr_t)s->env);
    perror("pawl-run: starting the shell");
    _exit(NOT_STARTED);
}

static int run_shell(run_job *r, const kept *k, const char *script, pw_err *err)
{
    const char *bash = r->in.kind != ISO_PODMAN && access("/bin/bash", X_OK) == 0 ? "bash" : "sh";
    const char *const shell[] = {bash, NULL}, *const run[] = {"/bin/sh", "-c", script, NULL};
    exec_spec spec = {.argv = script ? run : shell,
                      .env = (const char *const *)k->env.v,
                      .dir = k->dir,
                      .pty = !script && isatty(0)};
    const int none[PW_STREAMS] = {-1, -1};
    inside_start s;
    int rc = inside_begin(r, &spec, none, &s, err), status = 0;
    /* whoever sits at the terminal ends the shell, not what waits for it */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGQUIT, SIG_IGN);
    pid_t pid = rc == 0 ? fork() : -1;
    if (pid == 0) {
        (void)signal(SIGINT, SIG_DFL);
        (void)signal(SIGQUIT, SIG_DFL);
        for (int i = 0; s.keep && s.keep[i] >= 0; i++)
            (void)fcntl(s.keep[i], F_SETFD, 0);
        become(&s);
    }
    if (rc == 0 && pid < 0)
        rc = pw_fail_sys(err, "cannot start a shell");
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    inside_end(r, &spec, &s);
    if (rc < 0)
        return rc;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* pw_schema's list of texts has no NULL behind its last. */
static int end_list(pw_strs *l, pw_err *err)
{
    char **v = realloc(l->v, (l->n + 1) * sizeof(*v));
    if (!v)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    l->v = v;
    v[l->n] = NULL;
    return 0;
}

static int open_shell(run_job *r, kept *k, const char *script, pw_err *err)
{
    char first[] = "none";
    r->work_lock = workdir_lock(r->workdir, err);
    if (r->work_lock < 0)
        return r->work_lock == PW_EAGAIN
                   ? pw_fail(err, PW_EAGAIN, "somebody else is in %s", r->workdir)
                   : r->work_lock;
    if (!(r->tmpdir = workdir_tmp(r->workdir, err)))
        return err ? err->code : PW_ESYS;
    r->spec.isolation = k->isolation ? k->isolation : first;
    r->spec.no_network = k->no_network;
    int rc = inside_open(r, err);
    if (rc == 0) {
        r->in.read = k->read.v;
        rc = run_shell(r, k, script, err);
        r->in.read = NULL;
    }
    r->spec.isolation = NULL;
    inside_close(r);
    (void)workdir_tmp_empty(r->tmpdir, NULL);
    return rc;
}

int kept_enter(const char *file, const char *script, pw_err *err)
{
    PW_AUTO(pw_freep) char *dir = NULL;
    PW_AUTO(pw_freep) char *spool = NULL;
    PW_AUTO(kept_clear) kept k = {0};
    iso_host iso = {0};
    int rc = places(file, &dir, &spool, err);
    if (rc == 0)
        rc = kept_read(dir, &k, err);
    if (rc == 0)
        rc = end_list(&k.env, err);
    if (rc == 0)
        rc = end_list(&k.read, err);
    if (rc == 0)
        rc = read_host(&k, &iso, err);
    if (rc == 0) {
        run_host host = {.clock = &pw_host_real,
                         .spool = spool,
                         .spool_id = "shell",
                         .env = k.env.v, /* so that what stands there is changed as it was */
                         .iso = &iso};
        run_job r = {.host = &host,
                     .workdir = dir,
                     .work_lock = -1,
                     .id = {k.epoch, k.attempt},
                     .in = {.lock = -1}};
        (void)spool_job_name(r.id, r.name);
        rc = open_shell(&r, &k, script, err);
        pw_closep(&r.work_lock);
        free(r.tmpdir);
    }
    iso_host_clear(&iso);
    return rc;
}

int kept_print(const char *file, pw_err *err)
{
    PW_AUTO(pw_freep) char *dir = NULL;
    PW_AUTO(pw_freep) char *spool = NULL;
    PW_AUTO(kept_clear) kept k = {0};
    char at[PW_TIME_MAX];
    int rc = places(file, &dir, &spool, err);
    if (rc == 0)
        rc = kept_read(dir, &k, err);
    if (rc < 0)
        return rc;
    printf("directory %s\nbuild %" PRIu64 "\nuntil %s\nisolation %s\n", k.dir, k.build,
           pw_time_text((pw_msec)k.until_ms, at), k.isolation ? k.isolation : "none");
    for (size_t i = 0; i < k.env.n; i++)
        printf("env %s\n", k.env.v[i]);
    return fflush(stdout) == 0 ? 0 : pw_fail_sys(err, "cannot write");
}
