#include "worker/run/zygote.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "tests/tap.h"
#include "worker/run/fixture.h"
#include "worker/run/procs.h"

/* In place of a runner: a note with the job's numbers. */
static int fake_run(const run_host *host, spool_job id, pw_err *err)
{
    (void)err;
    spool_notes_put(host->notes, (spool_note){.job = id, .length = 77});
    return 0;
}

static int notes_within(int fd, spool_note *n, int want)
{
    int got = 0;
    for (int i = 0; i < 500 && got < want; i++) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        (void)poll(&p, 1, 10);
        got += spool_notes_get(fd, n + got, want - got);
    }
    return got;
}

static void test_serve(fix *f)
{
    int s[2], status = -1;
    spool_note n[3];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) < 0) {
        ok(false, "socketpair");
        return;
    }
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(s[0]);
        _exit(zygote_serve(&f->host, s[1], fake_run, NULL) == 0 ? 0 : 1);
    }
    (void)close(s[1]);
    ok(send(s[0], "0000000000000001-5", 18, 0) == 18 && send(s[0], "junk", 4, 0) == 4 &&
           send(s[0], "00000000000000ff-6", 18, 0) == 18,
       "three messages");
    ok(notes_within(f->host.notes, n, 2) == 2 && n[0].length == 77,
       "two runners, the junk is passed over");
    ok(n[0].job.attempt + n[1].job.attempt == 11 && n[0].job.epoch + n[1].job.epoch == 256,
       "each its own job");
    (void)close(s[0]);
    ok(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0,
       "ends with its agent's socket");
}

/* A runner that is killed while its step has emptied its environment, left its session and closed
 * all. */
static int dying_run(const run_host *host, spool_job id, pw_err *err)
{
    int pair[2];
    struct rlimit files;
    (void)err;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) { /* the zygote may have none left */
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    if (pipe(pair) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        (void)setsid();
        pid_t deep = fork();
        if (deep > 0)
            _exit(0);
        spool_notes_put(host->notes, (spool_note){.job = id, .length = (uint64_t)getpid()});
        (void)!write(pair[1], "x", 1);
        for (;;)
            (void)pause();
    }
    char c;
    (void)!read(pair[0], &c, 1);
    (void)kill(getpid(), SIGKILL);
    return 0;
}

static bool gone(pid_t pid)
{
    for (int i = 0; i < 1000; i++) {
        if (kill(pid, 0) < 0)
            return true;
        (void)poll(NULL, 0, 5);
    }
    return false;
}

static void test_orphans(fix *f)
{
    int s[2], status = -1;
    spool_note n[3];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) < 0) {
        ok(false, "socketpair");
        return;
    }
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(s[0]);
        _exit(zygote_serve(&f->host, s[1], dying_run, NULL) == 0 ? 0 : 1);
    }
    (void)close(s[1]);
    ok(send(s[0], "0000000000000001-7", 18, 0) == 18 && notes_within(f->host.notes, n, 1) == 1,
       "a runner that dies");
    ok(gone((pid_t)n[0].length), "what it leaves is killed");
    (void)send(s[0], "0000000000000001-8", 18, 0);
    (void)close(s[0]); /* the agent dies too: the zygote outlives it as long as it has to */
    ok(notes_within(f->host.notes, n, 1) == 1 && gone((pid_t)n[0].length), "also without an agent");
    ok(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0,
       "then it ends");
}

/* Until the zygote has seen its runner's end, and that one is its only child. */
static void adopted(pid_t zygote, pid_t orphan)
{
    for (int i = 0; i < 1000; i++) {
        PW_AUTO(procs_list_clear) procs_list l = {0};
        if (procs_children(zygote, &l) && l.n == 1 && l.v[0] == orphan)
            return;
        (void)poll(NULL, 0, 5);
    }
}

/* The zygote has no descriptor left to look at what a runner leaves, and its agent dies: it must
 * not take it that nothing is there, and looks again. */
static void test_blind(fix *f)
{
    int s[2], status = -1;
    spool_note n[1] = {{.length = 0}};
    struct rlimit old, none;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) < 0 ||
        getrlimit(RLIMIT_NOFILE, &old) < 0) {
        ok(false, "socketpair");
        return;
    }
    none = (struct rlimit){3, old.rlim_max}; /* poll() takes no more than that, all are in use */
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(s[0]);
        _exit(zygote_serve(&f->host, s[1], dying_run, NULL) == 0 ? 0 : 1);
    }
    (void)close(s[1]);
    ok(send(s[0], "0000000000000001-9", 18, 0) == 18 && notes_within(f->host.notes, n, 1) == 1 &&
           gone((pid_t)n[0].length),
       "the zygote is at work");
    n[0].length = 0;
    ok(prlimit(pid, RLIMIT_NOFILE, &none, NULL) == 0 &&
           send(s[0], "0000000000000002-9", 18, 0) == 18 && notes_within(f->host.notes, n, 1) == 1,
       "a runner that dies, and no descriptors");
    (void)close(s[0]);
    if (n[0].length)
        adopted(pid, (pid_t)n[0].length);
    (void)prlimit(pid, RLIMIT_NOFILE, &old, NULL);
    ok(n[0].length && gone((pid_t)n[0].length), "what it leaves is killed later");
    ok(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0,
       "and then the zygote ends");
    if (n[0].length)
        (void)kill((pid_t)n[0].length, SIGKILL);
}

static void test_host(fix *f)
{
    run_host h = {.notes = -1};
    char *none[] = {NULL};
    PW_AUTO(pw_freep) char *path = pw_strf("%s/id", f->spool);
    PW_AUTO(pw_freep) char *line = pw_strf("%s\n", f->id);
    ok(run_host_open(&h, f->spool, none, NULL) == PW_ENOTFOUND, "a spool without id is none");
    ok(path && pw_fs_replace(path, "short\n", 6, 0600, NULL) == 0 &&
           run_host_open(&h, f->spool, none, NULL) == PW_ECORRUPT,
       "a bad id");
    ok(path && line && pw_fs_replace(path, line, SPOOL_ID, 0600, NULL) == 0 &&
           run_host_open(&h, f->spool, none, NULL) == 0 && strcmp(h.spool_id, f->id) == 0 &&
           h.notes >= 0,
       "a good one");
    run_host_close(&h);
    run_host_close(&h);
}

int main(void)
{
    PW_AUTO(fix_close) fix f;
    if (!fix_open(&f)) {
        ok(false, "a spool");
        return tap_done();
    }
    test_serve(&f);
    test_orphans(&f);
    test_blind(&f);
    test_host(&f);
    return tap_done();
}
