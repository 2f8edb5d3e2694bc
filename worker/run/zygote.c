#include "worker/run/zygote.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/base/fault.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"
#include "worker/run/procs.h"

enum {
    FORK_TRIES = 5,
    ORPHANS_MS = 20,    /* until orphans are looked for again, while there are some */
    FORK_PAUSE_MS = 20, /* between them: the machine is short of processes or memory */
};

int run_host_open(run_host *h, const char *spool, char *const *env, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(spool, "id");
    PW_AUTO(pw_buf_clearp) pw_buf id = PW_BUF(256);
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int rc = pw_fs_read(path, id.max, &id, err);
    if (rc < 0)
        return rc;
    while (id.len && (id.p[id.len - 1] == '\n' || id.p[id.len - 1] == ' '))
        id.p[--id.len] = '\0';
    if (id.len != SPOOL_ID - 1)
        return pw_fail(err, PW_ECORRUPT, "%s holds no spool id", path);
    int notes = spool_notes_open(spool, err);
    if (notes < 0)
        return notes;
    *h = (run_host){
        .clock = &pw_host_real,
        .spool = spool,
        .spool_id = pw_buf_take(&id),
        .env = env,
        .notes = notes,
        .retry = RUN_RETRY_US,
        .give_up = RUN_GIVE_UP_US,
    };
    return 0;
}

void run_host_close(run_host *h)
{
    pw_closep(&h->notes);
    free((char *)(uintptr_t)h->spool_id);
    h->spool_id = NULL;
}

/* The zygote's own state. */
typedef struct nest {
    const run_host *host;
    zygote_run *run;
    int fd;             /* names of jobs; -1: the agent is gone */
    int signals;        /* SIGCHLD */
    procs_list runners; /* that live */
    bool orphans;       /* the newest look: a dead runner left something, or may have */
} nest;

static void child(const nest *n, spool_job id)
{
    pw_err err = {0};
    /* the agent must see the zygote's end, not the last runner's */
    if (n->fd >= 0)
        (void)close(n->fd);
    (void)close(n->signals);
    int rc = pw_fault("run.forked") ? pw_fail(&err, PW_ESYS, "fault point run.forked")
                                    : n->run(n->host, id, &err);
    if (rc < 0)
        pw_log_err(PW_LOG_ERROR, "job_not_run", &err);
    _exit(rc < 0 ? 1 : 0);
}

static void start_job(nest *n, spool_job id)
{
    char name[SPOOL_JOB_NAME];
    if (pw_fault("run.fork")) /* here, so that the zygote counts for all its runners */
        return;
    for (int i = 0; i < FORK_TRIES; i++) {
        pid_t pid = fork();
        if (pid == 0)
            child(n, id);
        if (pid > 0) {
            /* one that is not in the list would be taken for an orphan */
            if (!procs_list_add(&n->runners, pid)) {
                (void)kill(pid, SIGKILL);
                pw_log(PW_LOG_ERROR, "fork_failed", "job=%s reason=\"out of memory\"",
                       spool_job_name(id, name));
            }
            return;
        }
        (void)poll(NULL, 0, FORK_PAUSE_MS);
    }
    /* no record is written: the master offers the job again */
    pw_log(PW_LOG_ERROR, "fork_failed", "job=%s errno=%d", spool_job_name(id, name), errno);
}

/* ---- what a killed runner leaves becomes ours, as we are the next reaper above it */

static void kill_orphans(nest *n)
{
    PW_AUTO(procs_list_clear) procs_list l = {0};
    /* who cannot see all children has to look again */
    n->orphans = !procs_children(getpid(), &l);
    for (size_t i = 0; i < l.n; i++) {
        if (procs_list_has(&n->runners, l.v[i]))
            continue;
        n->orphans = true;
        pid_t group = procs_group(l.v[i]);
        if (group) /* one call for most of a bomb */
            (void)kill(-group, SIGKILL);
        (void)kill(l.v[i], SIGKILL);
    }
}

static void reap(nest *n)
{
    struct signalfd_siginfo si;
    bool look = n->orphans;
    int status;
    pid_t pid;
    while (read(n->signals, &si, sizeof(si)) == (ssize_t)sizeof(si))
        ;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0 || (pid < 0 && errno == EINTR)) {
        if (pid < 0)
            continue;
        /* a runner that ends well leaves nothing: the usual job costs no look */
        look = look || !procs_list_has(&n->runners, pid) || status != 0;
        procs_list_drop(&n->runners, pid);
    }
    if (look)
        kill_orphans(n);
}

/* One message of the agent; *ret_gone: there will be no more. */
static int take_job(nest *n, bool *ret_gone, pw_err *err)
{
    char name[SPOOL_JOB_NAME * 2];
    spool_job id;
    ssize_t got = recv(n->fd, name, sizeof(name), MSG_DONTWAIT);
    *ret_gone = false;
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (got < 0 && errno != ECONNRESET)
        return pw_fail_sys(err, "cannot read from the agent");
    if (got <= 0)
        *ret_gone = true;
    else if (spool_job_parse(name, (size_t)got, &id))
        start_job(n, id);
    else
        pw_log(PW_LOG_WARN, "bad_job_name", "bytes=%zd", got);
    return 0;
}

static int serve(nest *n, pw_err *err)
{
    int rc = 0;
    while (rc == 0 && (n->fd >= 0 || n->runners.n || n->orphans)) {
        struct pollfd p[2] = {{.fd = n->signals, .events = POLLIN},
                              {.fd = n->fd, .events = POLLIN}};
        bool gone = false;
        if (poll(p, 2, n->orphans ? ORPHANS_MS : -1) < 0 && errno != EINTR)
            return pw_fail_sys(err, "cannot wait for the agent");
        if (p[0].revents || n->orphans)
            reap(n);
        if (n->fd >= 0 && p[1].revents)
            rc = take_job(n, &gone, err);
        if (gone)
            pw_closep(&n->fd);
    }
    return rc;
}

static int prepare(nest *n, pw_err *err)
{
    sigset_t set;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGCHLD, SIG_DFL); /* ignored, children could not be told apart */
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return pw_fail_sys(err, "cannot block signals");
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return pw_fail_sys(err, "cannot become the reaper of what dead runners leave");
    n->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return n->signals < 0 ? pw_fail_sys(err, "cannot make a signalfd") : 0;
}

int zygote_serve(const run_host *host, int fd, zygote_run *run, pw_err *err)
{
    nest n = {.host = host, .run = run, .fd = fd, .signals = -1};
    int rc = prepare(&n, err);
    if (rc == 0)
        rc = serve(&n, err);
    pw_closep(&n.fd);
    pw_closep(&n.signals);
    procs_list_clear(&n.runners);
    return rc;
}
