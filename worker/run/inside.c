#include "worker/run/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "shared/base/log.h"
#include "shared/base/num.h"
#include "worker/run/checkout.h"

enum {
    STATUS_MAX = 4096,      /* of what bwrap says */
    PODMAN_FAILED = 125,    /* podman's own exit code */
    REMOVE_US = 30000000,   /* for `podman rm` */
    USER_WAIT_US = 5000000, /* for a user of a job that is just ending */
    USER_POLL_US = 50000,
    RECORD_MAX = 32,
};

static bool entered(const run_job *r, const exec_spec *spec)
{
    return r->in.kind != ISO_NONE && !spec->outside;
}

/* ---- whose the work directory's content is: a number in its lock file, 0 the agent's */

static uid_t owner_read(const run_job *r)
{
    char text[RECORD_MAX + 1];
    uint64_t uid;
    ssize_t n = pread(r->work_lock, text, RECORD_MAX, 0);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return pw_parse_u64(text, &uid, NULL) == 0 && uid < UINT32_MAX ? (uid_t)uid : 0;
}

static int owner_write(const run_job *r, uid_t uid, pw_err *err)
{
    char text[RECORD_MAX];
    int n = snprintf(text, sizeof(text), "%u\n", (unsigned)uid);
    if (ftruncate(r->work_lock, 0) < 0 || pwrite(r->work_lock, text, (size_t)n, 0) != n)
        return pw_fail_sys(err, "noting the user of %s", r->workdir);
    return 0;
}

static int own(const char *dir, uid_t uid, gid_t gid, pw_err *err)
{
    PW_AUTO(pw_closep) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchown(fd, uid, gid) < 0 || fchmod(fd, 0700) < 0)
        return pw_fail_sys(err, "giving the folder %s to user %u", dir, (unsigned)uid);
    return 0;
}

/* ---- opened and closed */

static int settle_kind(run_job *r, pw_err *err)
{
    const iso_host *h = r->host->iso;
    const char *want = r->spec.isolation;
    run_inside *in = &r->in;
    in->kind = h ? h->first : ISO_NONE;
    if (want && !iso_parse(want, &in->kind, &in->image))
        return pw_fail(err, PW_EINVAL, "this worker knows no isolation \"%s\"", want);
    if (!want && in->kind == ISO_PODMAN)
        return pw_fail(err, PW_EINVAL, "isolation podman needs an image");
    if (h ? !h->offers[in->kind] : in->kind != ISO_NONE)
        return pw_fail(err, PW_EINVAL, "this worker does not offer isolation \"%s\"",
                       iso_kind_name(in->kind));
    bool apart = in->kind == ISO_BWRAP || in->kind == ISO_PODMAN;
    if (r->spec.untrusted && !apart)
        return pw_fail(err, PW_EDENIED, "a build of untrusted code is not run without bwrap");
    if (r->spec.no_network && !apart)
        return pw_fail(err, PW_EINVAL,
                       "a build without network needs isolation bwrap or podman, not \"%s\"",
                       iso_kind_name(in->kind));
    return 0;
}

/* One lock per user and job: a job that ended a moment ago may still hold its. */
static int take_user(run_job *r, uid_t before, pw_err *err)
{
    pw_usec until = pw_now(r->host->clock) + USER_WAIT_US;
    pw_err why = {0};
    for (;;) {
        int fd = iso_user_take(r->host->iso, r->host->spool, before, &r->in.user, &why);
        if (fd >= 0) {
            r->in.lock = fd;
            return 0;
        }
        if (fd != PW_EAGAIN || pw_now(r->host->clock) >= until) {
            if (err)
                *err = why;
            return fd;
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = USER_POLL_US * 1000L}, NULL);
    }
}

static int give_workdir(run_job *r, uid_t before, pw_err *err)
{
    const iso_user *u = r->in.user;
    pw_err why = {0};
    int rc = owner_write(r, 0, err); /* until it is done */
    if (rc == 0 && before != u->uid && (rc = iso_give(r->host->iso, r->workdir, u, &why)) < 0) {
        if (rc != PW_EDENIED) {
            if (err)
                *err = why;
            return rc;
        }
        pw_log_err(PW_LOG_INFO, "workdir_made_anew", &why);
        if ((rc = pw_fs_remove_tree(r->workdir, err)) == 0)
            rc = pw_fs_mkdirs(r->workdir, 0700, err);
    }
    if (rc == 0)
        rc = own(r->workdir, u->uid, u->gid, err);
    if (rc == 0)
        rc = own(r->tmpdir, u->uid, u->gid, err);
    return rc == 0 ? owner_write(r, u->uid, err) : rc;
}

/* Mirrors that its work trees lean on, for as long as the job runs. */
static int list_mirrors(run_job *r, pw_err *err)
{
    const job_step *s = r->spec.steps.v;
    int rc = 0;
    for (size_t i = 0; i < r->spec.steps.n && rc == 0 && r->spec.repository; i++) {
        if (strcmp(s[i].kind, "checkout") != 0)
            continue;
        PW_AUTO(pw_freep)
        char *path = checkout_mirror_path(r->host->spool, r->spec.repository, s[i].depth);
        rc = path ? iso_list_add(&r->in.read, path, err) : pw_fail(err, PW_ENOMEM, "out of memory");
    }
    return rc;
}

int inside_open(run_job *r, pw_err *err)
{
    uid_t before = owner_read(r);
    int rc = settle_kind(r, err);
    if (rc < 0)
        return rc;
    if (r->in.kind == ISO_NONE || !iso_needs_user(r->host->iso, r->in.kind)) {
        if (before && (rc = own(r->workdir, geteuid(), getegid(), err)) == 0)
            rc = owner_write(r, 0, err);
    } else if ((rc = take_user(r, before, err)) == 0) {
        rc = give_workdir(r, before, err);
    }
    if (rc == 0 && r->in.kind != ISO_NONE)
        rc = list_mirrors(r, err);
    (void)snprintf(r->in.name, sizeof(r->in.name), "pawl-%.16s-%s", r->host->spool_id, r->name);
    return rc;
}

void inside_close(run_job *r)
{
    pw_err err = {0};
    if (r->in.user) {
        /* other users may not enter what is left here, nor may this one as another job's */
        if (iso_user_end(r->in.user, &err) < 0 || own(r->workdir, geteuid(), getegid(), &err) < 0 ||
            own(r->tmpdir, geteuid(), getegid(), &err) < 0)
            pw_log_err(PW_LOG_WARN, "user_not_ended", &err);
        r->in.user = NULL;
    }
    pw_closep(&r->in.lock);
    iso_list_free(r->in.read);
    r->in.read = NULL;
}

int inside_give(const run_job *r, const char *dir, pw_err *err)
{
    const iso_user *u = r->in.user;
    return u ? own(dir, u->uid, u->gid, err) : 0;
}

int inside_own(run_job *r, const char *dir, pw_err *err)
{
    const iso_user *u = r->in.user;
    size_t n = strlen(r->workdir);
    PW_AUTO(pw_freep) char *path = strdup(dir);
    struct stat st;
    int rc = path ? 0 : pw_fail(err, PW_ENOMEM, "out of memory");
    if (rc < 0 || !u || strncmp(dir, r->workdir, n) != 0)
        return rc;
    /* each folder on the way that the agent made */
    for (char *p = path + n; rc == 0; p += strcspn(p, "/")) {
        char was = *p;
        *p = '\0';
        if (lstat(path, &st) == 0 && st.st_uid != u->uid)
            rc = own(path, u->uid, u->gid, err);
        if (!was)
            break;
        *p++ = was;
    }
    return rc;
}

int inside_git(const run_job *r, const char *mirror, env_list *env, pw_err *err)
{
    if (!r->in.user)
        return 0;
    PW_AUTO(pw_freep) char *path = pw_strf("%s/pawl-gitconfig", r->tmpdir);
    PW_AUTO(pw_freep) char *text = pw_strf("[safe]\n\tdirectory = %s\n", mirror);
    if (!path || !text)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    (void)unlink(path);
    PW_AUTO(pw_closep)
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return pw_fail_sys(err, "cannot write %s", path);
    int rc = pw_fs_write_all(fd, text, strlen(text), err);
    return rc < 0 ? rc : env_set(env, "GIT_CONFIG_GLOBAL", path, err);
}

/* ---- entered */

static const char *base_value(const run_job *r, const char *name)
{
    size_t n = strlen(name);
    for (char *const *p = r->host->env; p && *p; p++)
        if (strncmp(*p, name, n) == 0 && (*p)[n] == '=')
            return *p + n + 1;
    return NULL;
}

/* What the agent's own environment says of the agent does not hold inside; what a builder says
 * stays. */
static int change(const run_job *r, env_list *e, const char *name, const char *value, pw_err *err)
{
    const char *base = base_value(r, name), *is = env_get(e, name);
    if (is && (!base || strcmp(is, base) != 0))
        return 0;
    if (value)
        return env_set(e, name, value, err);
    env_unset(e, name);
    return 0;
}

static int change_env(const run_job *r, const exec_spec *spec, inside_start *s, pw_err *err)
{
    const char *who = r->in.user ? r->in.user->name : NULL;
    int rc = 0;
    for (const char *const *p = spec->env; p && *p && rc == 0; p++) {
        size_t n = strcspn(*p, "=");
        PW_AUTO(pw_freep) char *name = strndup(*p, n);
        if (!name)
            return pw_fail(err, PW_ENOMEM, "out of memory");
        rc = env_set(&s->changed, name, (*p)[n] ? *p + n + 1 : "", err);
    }
    if (rc == 0)
        rc = change(r, &s->changed, "HOME", r->tmpdir, err);
    /* the agent's key is not there */
    if (rc == 0)
        rc = change(r, &s->changed, "GIT_SSH_COMMAND", NULL, err);
    if (rc == 0 && who && (rc = change(r, &s->changed, "USER", who, err)) == 0)
        rc = change(r, &s->changed, "LOGNAME", who, err);
    s->env = (const char *const *)s->changed.v;
    return rc;
}

static int make_command(run_job *r, const exec_spec *spec, inside_start *s, pw_err *err)
{
    int fd[2];
    if (r->in.kind == ISO_BWRAP) {
        if (pipe2(fd, O_CLOEXEC) < 0)
            return pw_fail_sys(err, "cannot make a pipe");
        s->status = fd[0];
        s->fds[0] = fd[1];
        (void)fcntl(fd[0], F_SETFL, O_NONBLOCK);
        s->keep = s->fds;
    }
    iso_place place = {
        .kind = r->in.kind,
        .image = r->in.image,
        .no_network = r->spec.no_network,
        .tty = spec->pty,
        .spool = r->host->spool,
        .workdir = r->workdir,
        .tmpdir = r->tmpdir,
        .home = base_value(r, "HOME"),
        .read = r->in.read,
        .name = r->in.name,
    };
    int rc =
        iso_command(r->host->iso, &place, spec->argv, spec->dir, s->env, s->fds[0], &s->list, err);
    s->argv = (const char *const *)s->list;
    s->dir = "/";
    return rc;
}

int inside_begin(run_job *r, const exec_spec *spec, const int out[PW_STREAMS], inside_start *ret,
                 pw_err *err)
{
    inside_start s = {
        .argv = spec->argv, .env = spec->env, .dir = spec->dir, .fds = {-1, -1}, .status = -1};
    int rc = 0;
    *ret = s;
    if (!entered(r, spec))
        return 0;
    rc = change_env(r, spec, ret, err);
    if (rc == 0 && r->in.kind != ISO_USER)
        rc = make_command(r, spec, ret, err);
    if (rc < 0 || !r->in.user)
        return rc;
    ret->user = (pw_spawn_user){r->in.user->uid, r->in.user->gid};
    ret->as = &ret->user;
    /* so that it may open /dev/stdout */
    for (int i = 0; i < PW_STREAMS && rc == 0; i++)
        if (out[i] >= 0 && fchown(out[i], ret->user.uid, ret->user.gid) < 0)
            rc = pw_fail_sys(err, "giving a pipe to user \"%s\"", r->in.user->name);
    return rc;
}

void inside_begun(inside_start *s)
{
    pw_closep(&s->fds[0]);
}

bool inside_worked(const run_job *r, const exec_spec *spec, const inside_start *s, int status)
{
    char text[STATUS_MAX + 1];
    size_t n = 0;
    ssize_t got = 0;
    if (!entered(r, spec) || !WIFEXITED(status))
        return true;
    if (r->in.kind == ISO_PODMAN)
        return WEXITSTATUS(status) != PODMAN_FAILED;
    if (s->status < 0)
        return true;
    while (n < STATUS_MAX && (got = read(s->status, text + n, STATUS_MAX - n)) > 0)
        n += (size_t)got;
    text[n] = '\0';
    return strstr(text, "\"exit-code\"") != NULL; /* told when all was set up */
}

void inside_end(run_job *r, const exec_spec *spec, inside_start *s)
{
    inside_begun(s);
    pw_closep(&s->status);
    iso_list_free(s->list);
    s->list = NULL;
    env_clear(&s->changed);
    if (!entered(r, spec) || r->in.kind != ISO_PODMAN)
        return;
    const char *const argv[] = {"podman", "rm", "--force",  "--ignore",
                                "--time", "0",  r->in.name, NULL};
    pw_spawn what = {
        .argv = argv, .env = (const char *const *)r->host->env, .in = -1, .out = -1, .err = -1};
    pw_err err = {0};
    if (pw_spawn_run(&what, NULL, REMOVE_US, NULL, NULL, &err) < 0)
        pw_log_err(PW_LOG_WARN, "container_not_removed", &err);
}
