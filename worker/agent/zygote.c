#include "worker/agent/zygote.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/base/files.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"
#include "shared/base/spawn.h"

#define PAUSE_MIN INT64_C(1000000)
#define PAUSE_MAX INT64_C(60000000)
#define SETTLED INT64_C(5000000) /* one that dies sooner is tried again ever slower */

enum { FIXED = 10, FD_TEXT = 16, LIMIT_TEXT = 24 };

struct zygote {
    const pw_host *host;
    char *program, *spool;
    char **env;     /* owned, NULL-terminated */
    char **options; /* owned: what pawl-run is told beside its spool and socket */
    pid_t pid;
    int fd; /* our end; -1: none */
    uint64_t files;
    pw_usec started_at, not_before, pause;
};

static void env_free(char **env)
{
    for (size_t i = 0; env && env[i]; i++)
        free(env[i]);
    free(env);
}

zygote *zygote_new(const pw_host *host, const char *program, const char *spool, uint64_t files,
                   pw_err *err)
{
    PW_AUTO(zygote_freep) zygote *self = calloc(1, sizeof(*self));
    bool failed = !self;
    if (self) {
        self->fd = -1;
        self->files = files;
        self->host = host;
        self->pause = PAUSE_MIN;
        self->program = pw_strdup(program, &failed);
        self->spool = pw_strdup(spool, &failed);
    }
    if (failed) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    return pw_take(self);
}

/* Ours has ended by itself. */
static void died(zygote *self, int status)
{
    pw_usec now = pw_now(self->host);
    bool settled = now - self->started_at >= SETTLED;
    self->pid = 0;
    pw_closep(&self->fd);
    if (settled)
        self->pause = PAUSE_MIN;
    self->not_before = now + (settled ? 0 : self->pause);
    self->pause = self->pause * 2 < PAUSE_MAX ? self->pause * 2 : PAUSE_MAX;
    pw_log(PW_LOG_WARN, "zygote_died", "status=%d signal=%d",
           WIFEXITED(status) ? WEXITSTATUS(status) : -1,
           WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

/* The agent has no other children; earlier zygotes that were let go are among them. */
static void reap(zygote *self)
{
    int status;
    pid_t got;
    while ((got = waitpid(-1, &status, WNOHANG)) > 0 || (got < 0 && errno == EINTR))
        if (got > 0 && got == self->pid && self->fd >= 0)
            died(self, status);
}

zygote *zygote_free(zygote *self)
{
    if (!self)
        return NULL;
    pw_closep(&self->fd);
    reap(self);
    env_free(self->env);
    iso_list_free(self->options);
    free(self->program);
    free(self->spool);
    free(self);
    return NULL;
}

static int option(char ***list, const char *name, const char *value, pw_err *err)
{
    int rc = iso_list_add(list, name, err);
    return rc < 0 ? rc : iso_list_add(list, value, err);
}

static int make_options(const worker_conf *conf, char ***ret, pw_err *err)
{
    PW_AUTO(iso_list_freep) char **list = NULL;
    char memory[LIMIT_TEXT], processes[LIMIT_TEXT], cache[LIMIT_TEXT];
    const cgroup_limits *l = &conf->limits;
    (void)snprintf(memory, sizeof(memory), "%" PRIu64, l->memory);
    (void)snprintf(processes, sizeof(processes), "%" PRIu64, l->processes);
    int rc = option(&list, "--cgroup", cgroup_mode_name(conf->cgroup), err);
    if (rc == 0)
        rc = option(&list, "--memory", memory, err);
    if (rc == 0)
        rc = option(&list, l->by_default ? "--processes-default" : "--processes", processes, err);
    (void)snprintf(cache, sizeof(cache), "%" PRIu64, conf->cache_limit);
    if (rc == 0)
        rc = option(&list, "--cache", cache, err);
    if (rc == 0 && conf->ssh_key)
        rc = option(&list, "--ssh-key", conf->ssh_key, err);
    if (rc == 0 && conf->known_hosts)
        rc = option(&list, "--known-hosts", conf->known_hosts, err);
    if (rc == 0)
        rc = iso_options(&conf->iso, &list, err);
    if (rc == 0)
        *ret = pw_take(list);
    return rc;
}

int zygote_env(zygote *self, const worker_conf *conf, pw_err *err)
{
    /* PW_FAULT: so that fault points of the runner can be reached through the agent */
    static const char *const fixed[FIXED] = {"PATH",   "HOME", "USER",     "LOGNAME",       "LANG",
                                             "LC_ALL", "TZ",   "PW_FAULT", "PW_FAULT_SEEN", NULL};
    size_t n = 0;
    char **env = calloc(FIXED + conf->env_pass.n + 1, sizeof(*env));
    bool failed = !env;
    for (size_t i = 0; env && i < FIXED - 1 + conf->env_pass.n; i++) {
        const char *name = i < FIXED - 1 ? fixed[i] : conf->env_pass.v[i - (FIXED - 1)];
        const char *value = getenv(name);
        if (!value && !strcmp(name, "PATH"))
            value = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        if (value && !(env[n++] = pw_strf("%s=%s", name, value)))
            failed = true;
    }
    if (failed) {
        env_free(env);
        return pw_fail(err, PW_ENOMEM, "out of memory");
    }
    char **options = NULL;
    int rc = make_options(conf, &options, err);
    if (rc < 0) {
        env_free(env);
        return rc;
    }
    env_free(self->env);
    self->env = env;
    iso_list_free(self->options);
    self->options = options;
    pw_closep(&self->fd); /* the old one ends; the next job starts a new one */
    return 0;
}

static int spawn(zygote *self, pw_err *err)
{
    PW_AUTO(iso_list_freep) char **argv = NULL;
    char number[FD_TEXT];
    int pair[2];
    pw_usec now = pw_now(self->host);
    if (now < self->not_before)
        return pw_fail(err, PW_EAGAIN, "pawl-run died, the next try is in %lld ms",
                       (long long)(self->not_before - now) / 1000);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return pw_fail_sys(err, "making a socket pair for pawl-run");
    PW_AUTO(pw_closep) int mine = pair[0];
    PW_AUTO(pw_closep) int theirs = pair[1];
    (void)snprintf(number, sizeof(number), "%d", theirs);
    int rc = iso_list_add(&argv, self->program, err);
    if (rc == 0)
        rc = option(&argv, "--serve", self->spool, err);
    if (rc == 0)
        rc = option(&argv, "--fd", number, err);
    for (size_t i = 0; self->options && self->options[i] && rc == 0; i++)
        rc = iso_list_add(&argv, self->options[i], err);
    if (rc < 0)
        return rc;
    const int keep[] = {theirs, -1};
    pw_spawn what = {.argv = (const char *const *)argv,
                     .env = (const char *const *)self->env,
                     .dir = "/",
                     .in = -1,
                     .out = -1,
                     .err = 2,
                     .keep = keep,
                     .new_session = true};
    self->started_at = now;
    pid_t pid = pw_spawn_start(&what, err);
    if (pid < 0) {
        self->not_before = now + self->pause;
        self->pause = self->pause * 2 < PAUSE_MAX ? self->pause * 2 : PAUSE_MAX;
        return (int)pid;
    }
    /* before it is told of a job: programs that meet 1,024 files by default are not to find a
     * million, which some of them walk over */
    pw_err why = {0};
    if (self->files && pw_files_set(pid, self->files, &why) < 0)
        pw_log_err(PW_LOG_WARN, "files_limit_kept", &why);
    self->pid = pid;
    self->fd = mine;
    mine = -1;
    return 0;
}

int zygote_start(zygote *self, const char *job, pw_err *err)
{
    for (int i = 0; i < 2; i++) {
        if (self->fd < 0) {
            reap(self);
            int rc = spawn(self, err);
            if (rc < 0)
                return rc;
        }
        ssize_t n;
        do
            n = send(self->fd, job, strlen(job), MSG_NOSIGNAL | MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
        if (n >= 0)
            return 0;
        if (errno == EAGAIN || errno == ENOBUFS)
            return pw_fail(err, PW_EAGAIN, "pawl-run has many jobs to start");
        reap(self);
        pw_closep(&self->fd); /* it is dying, or broken */
    }
    return pw_fail(err, PW_EAGAIN, "pawl-run does not live");
}

int zygote_tidy(zygote *self, uint64_t low_disk, pw_err *err)
{
    char number[LIMIT_TEXT];
    (void)snprintf(number, sizeof(number), "%" PRIu64, low_disk);
    const char *const argv[] = {self->program, "--tidy", self->spool, number, NULL};
    pw_spawn what = {.argv = argv,
                     .env = (const char *const *)self->env,
                     .dir = "/",
                     .in = -1,
                     .out = -1,
                     .err = 2,
                     .new_session = true};
    pid_t pid = pw_spawn_start(&what, err);
    return pid < 0 ? (int)pid : 0;
}

void zygote_poll(zygote *self)
{
    reap(self);
}

/* ---- finding the program */

static char *beside(void)
{
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    if (n <= 0)
        return NULL;
    exe[n] = '\0';
    char *slash = strrchr(exe, '/');
    if (!slash)
        return NULL;
    *slash = '\0';
    char *path = pw_strf("%s/pawl-run", exe);
    if (path && access(path, X_OK) == 0)
        return path;
    free(path);
    return NULL;
}

static char *in_path(void)
{
    const char *p = getenv("PATH");
    while (p && *p) {
        size_t n = strcspn(p, ":");
        char *path = n ? pw_strf("%.*s/pawl-run", (int)n, p) : NULL;
        if (path && access(path, X_OK) == 0)
            return path;
        free(path);
        p += n + (p[n] == ':');
    }
    return NULL;
}

int zygote_find(char **ret_program, pw_err *err)
{
    const char *given = getenv("PAWL_RUN");
    char *path = given ? strdup(given) : beside();
    if (!path && !given)
        path = in_path();
    if (!path)
        return pw_fail(err, PW_ENOTFOUND, "there is no pawl-run beside pawl-worker or in PATH");
    if (access(path, X_OK) < 0) {
        int rc = pw_fail_sys(err, "finding pawl-run by PAWL_RUN=%s", path);
        free(path);
        return rc;
    }
    *ret_program = path;
    return 0;
}
