#include "worker/run/zygote.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "shared/base/log.h"

enum {
    FORK_TRIES = 5,
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

static void child(const run_host *host, int fd, spool_job id, zygote_run *run)
{
    pw_err err = {0};
    (void)close(fd); /* the agent must see the zygote's end, not the last runner's */
    int rc = run(host, id, &err);
    if (rc < 0)
        pw_log_err(PW_LOG_ERROR, "job_not_run", &err);
    _exit(rc < 0 ? 1 : 0);
}

static void start_job(const run_host *host, int fd, spool_job id, zygote_run *run)
{
    for (int i = 0; i < FORK_TRIES; i++) {
        pid_t pid = fork();
        if (pid == 0)
            child(host, fd, id, run);
        if (pid > 0)
            return;
        (void)poll(NULL, 0, FORK_PAUSE_MS);
    }
    char name[SPOOL_JOB_NAME];
    /* no record is written: the master offers the job again */
    pw_log(PW_LOG_ERROR, "fork_failed", "job=%s errno=%d", spool_job_name(id, name), errno);
}

int zygote_serve(const run_host *host, int fd, zygote_run *run, pw_err *err)
{
    (void)signal(SIGCHLD, SIG_IGN); /* the kernel reaps runners */
    (void)signal(SIGPIPE, SIG_IGN);
    for (;;) {
        char name[SPOOL_JOB_NAME * 2];
        spool_job id;
        ssize_t n = recv(fd, name, sizeof(name), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != ECONNRESET)
            return pw_fail_sys(err, "cannot read from the agent");
        if (n <= 0)
            return 0;
        if (spool_job_parse(name, (size_t)n, &id))
            start_job(host, fd, id, run);
        else
            pw_log(PW_LOG_WARN, "bad_job_name", "bytes=%zd", n);
    }
}
