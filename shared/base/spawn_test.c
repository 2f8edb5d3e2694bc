#include "shared/base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/base/buf.h"
#include "shared/base/fs.h"
#include "tests/tap.h"

#define LONG_US INT64_C(20000000) /* a deadline that no test here reaches */

struct ran {
    pw_buf out, errout;
    pw_err err;
    int rc;
};

static void ran_clear(struct ran *r)
{
    pw_buf_clear(&r->out);
    pw_buf_clear(&r->errout);
}

/* Runs a shell script; `with` may be NULL, its argv is not used. */
static void sh(struct ran *r, const pw_spawn *with, const char *script, const char *input,
               pw_usec timeout)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    pw_spawn what = {.in = -1, .out = -1, .err = -1};

    ran_clear(r);
    pw_buf_init(&r->out, 100);
    pw_buf_init(&r->errout, 100);
    r->err = (pw_err){.code = PW_OK};
    if (with)
        what = *with;
    what.argv = argv;
    r->rc = pw_spawn_run(&what, input, timeout, &r->out, &r->errout, &r->err);
}

static bool out_is(const struct ran *r, const char *want)
{
    bool same = strcmp(pw_buf_str(&r->out), want) == 0;

    if (!same)
        printf("# rc %d, out \"%s\", err \"%s\" %s\n", r->rc, pw_buf_str(&r->out),
               pw_buf_str(&r->errout), r->err.text);
    return same;
}

static void test_run(void)
{
    PW_AUTO(ran_clear) struct ran r = {.rc = 0};
    long left;

    sh(&r, NULL, "echo out; echo err >&2; exit 3", NULL, LONG_US);
    ok(r.rc == 3 && out_is(&r, "out\n") && strcmp(pw_buf_str(&r.errout), "err\n") == 0,
       "exit code and both streams");
    sh(&r, NULL, "cat", "some input", LONG_US);
    ok(r.rc == 0 && out_is(&r, "some input"), "input");
    sh(&r, NULL, "cat; true", NULL, LONG_US);
    ok(r.rc == 0 && out_is(&r, ""), "no input is an empty one");
    sh(&r, NULL, "exec <&-; echo x", "input that nobody reads", LONG_US);
    ok(r.rc == 0 && out_is(&r, "x\n"), "input that nobody reads");
    sh(&r, NULL, "kill -9 $$", NULL, LONG_US);
    ok(r.rc == 128 + SIGKILL, "ended by a signal");
    sh(&r, NULL, "printf '%0100d' 0", NULL, LONG_US);
    ok(r.rc == 0 && r.out.len == 100 && !r.out.failed, "as much output as is kept");
    sh(&r, NULL, "printf '%0200000d' 0; printf '%0101d' 0 >&2", NULL, LONG_US);
    ok(r.rc == 0 && r.out.len == 100 && !r.out.failed && r.errout.len == 100,
       "more is read and dropped");
    sh(&r, NULL, "sleep 30 & echo $!", NULL, LONG_US);
    left = strtol(pw_buf_str(&r.out), NULL, 10);
    ok(r.rc == 0 && left > 1, "what it leaves behind is not waited for");
    if (left > 1)
        ok(kill((pid_t)left, SIGKILL) == 0, "and not ended");
}

static void test_deadline(void)
{
    PW_AUTO(ran_clear) struct ran r = {.rc = 0};
    pw_usec before = pw_now(&pw_host_real);

    sh(&r, NULL, "echo a; sleep 30; echo b", NULL, 30000);
    ok(r.rc == PW_ETIMEDOUT && r.err.code == PW_ETIMEDOUT, "the deadline ends it");
    ok(pw_now(&pw_host_real) - before < 1500000, "with TERM, the whole group");
    sh(&r, NULL, "trap 'echo bye; exit 0' TERM; while :; do sleep 0.01; done", NULL, 30000);
    ok(r.rc == PW_ETIMEDOUT && strstr(pw_buf_str(&r.out), "bye"), "it may say good bye");
}

/* Processes that lost their parent come to us; none may stay. */
static void reap(void)
{
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        ;
}

static void test_errors(void)
{
    static const char *const none[] = {"no-such-program-here", NULL};
    static const char *const path[] = {"/no/such/program", NULL};
    static const char *const folder[] = {"/tmp", NULL};
    static const char *const good[] = {"true", NULL};
    static const char *const empty[] = {NULL};
    static const char *const poor[] = {"PATH=/nowhere", NULL};
    static const int keep[] = {9999, -1};
    pw_spawn what = {.argv = none, .in = -1, .out = -1, .err = -1};
    pw_err err = {.code = PW_OK};

    reap();
    ok(pw_spawn_start(&what, &err) == PW_ENOTFOUND && strstr(err.text, none[0]), "not in PATH");
    what.argv = path;
    ok(pw_spawn_start(&what, &err) == PW_ENOTFOUND, "no such path");
    what.argv = folder;
    ok(pw_spawn_start(&what, &err) == PW_ESYS && err.sys == EACCES, "a folder is no program");
    what.argv = empty;
    ok(pw_spawn_start(&what, &err) == PW_EINVAL, "no program at all");
    what.argv = good;
    what.dir = "/no/such/folder";
    ok(pw_spawn_start(&what, &err) == PW_ESYS && strstr(err.text, "/no/such/folder"), "no folder");
    what.dir = NULL;
    what.keep = keep;
    ok(pw_spawn_start(&what, &err) == PW_ESYS && err.sys == EBADF, "no such descriptor");
    what.keep = NULL;
    what.out = 9999;
    ok(pw_spawn_start(&what, &err) == PW_ESYS && err.sys == EBADF, "no such stream");
    what.out = -1;
    what.env = poor;
    ok(pw_spawn_start(&what, &err) == PW_ENOTFOUND, "its own PATH is searched");
    ok(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "a failed start leaves no process");
}

static void test_environment(void)
{
    PW_AUTO(ran_clear) struct ran r = {.rc = 0};
    static const char *const env[] = {"A=1", "PATH=/nowhere:/bin:/usr/bin", NULL};
    pw_spawn what = {.in = -1, .out = -1, .err = -1, .env = env, .dir = "/usr"};

    (void)setenv("PW_SECRET", "x", 1);
    sh(&r, &what, "echo $A-$PW_SECRET; pwd", NULL, LONG_US);
    ok(out_is(&r, "1-\n/usr\n"), "its own environment and folder");
    what.env = NULL;
    sh(&r, &what, "echo $PW_SECRET", NULL, LONG_US);
    ok(out_is(&r, "x\n"), "or ours");
}

static void test_descriptors(void)
{
    PW_AUTO(ran_clear) struct ran r = {.rc = 0};
    int open_fd = open("/dev/null", O_RDONLY); /* without O_CLOEXEC, as a careless library would */
    int high = fcntl(open_fd, F_DUPFD, 50);
    int keep[] = {high, 1, -1};
    pw_spawn what = {.in = -1, .out = -1, .err = -1, .keep = keep};
    /* ls has one more open for the folder itself, the first that is free */
    const char *script = "ls /proc/self/fd | sort -n | tr '\\n' ' '";

    sh(&r, NULL, script, NULL, LONG_US);
    ok(out_is(&r, "0 1 2 3 "), "no descriptor is inherited");
    sh(&r, &what, script, NULL, LONG_US);
    ok(out_is(&r, "0 1 2 3 50 "), "but those listed, under their number");
    ok(high == 50 && fcntl(high, F_GETFD) == 0, "ours are as they were");
    (void)close(open_fd);
    (void)close(high);
}

/* Streams that stand in each other's way: 0, 1 and 2 themselves. */
static void test_crossed_streams(void)
{
    static const char *const argv[] = {"sh", "-c", "echo out; echo err >&2", NULL};
    pw_spawn what = {.argv = argv, .in = -1, .out = 2, .err = 1};
    int fds[2], saved[2] = {-1, -1}, status = -1;
    pid_t pid;
    char got[2][10] = {"", ""};
    int other[2];

    (void)fflush(stdout);
    if (pipe2(fds, O_CLOEXEC) < 0 || pipe2(other, O_CLOEXEC) < 0)
        return;
    saved[0] = fcntl(1, F_DUPFD_CLOEXEC, 10);
    saved[1] = fcntl(2, F_DUPFD_CLOEXEC, 10);
    (void)dup2(fds[1], 1);
    (void)dup2(other[1], 2);
    pid = pw_spawn_start(&what, NULL);
    if (pid > 0)
        (void)waitpid(pid, &status, 0);
    (void)dup2(saved[0], 1);
    (void)dup2(saved[1], 2);
    if (pid > 0) {
        (void)!read(fds[0], got[0], 9);
        (void)!read(other[0], got[1], 9);
    }
    ok(status == 0 && strcmp(got[0], "err\n") == 0 && strcmp(got[1], "out\n") == 0,
       "stdout and stderr swapped");
    for (int i = 0; i < 2; i++) {
        (void)close(fds[i]);
        (void)close(other[i]);
        (void)close(saved[i]);
    }
}

static void test_signals(void)
{
    PW_AUTO(ran_clear) struct ran r = {.rc = 0};
    sigset_t set, old;
    const char *script = "grep -E '^Sig(Blk|Ign):' /proc/self/status | tr -d '\\n\\t'";

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGUSR1);
    (void)sigaddset(&set, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &set, &old);
    (void)signal(SIGPIPE, SIG_IGN);
    sh(&r, NULL, script, NULL, LONG_US);
    ok(out_is(&r, "SigBlk:0000000000000000SigIgn:0000000000000000"),
       "no signal is blocked or ignored");
    (void)signal(SIGPIPE, SIG_DFL);
    (void)pthread_sigmask(SIG_BLOCK, NULL, &set);
    ok(sigismember(&set, SIGUSR1) == 1 && sigismember(&set, SIGUSR2) == 0, "our own mask stays");
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void test_group(void)
{
    PW_AUTO(ran_clear) struct ran r = {.rc = 0};
    pw_spawn what = {.in = -1, .out = -1, .err = -1, .new_session = true, .die_with_parent = true};
    const char *script = "read -r pid name state ppid group session rest </proc/self/stat; "
                         "echo $((group == $$)) $((session == $$))";

    sh(&r, NULL, script, NULL, LONG_US);
    ok(out_is(&r, "1 0\n"), "a process group of its own");
    sh(&r, &what, script, NULL, LONG_US);
    ok(out_is(&r, "1 1\n"), "or a session");
}

/* A process in between starts one that lives long, and ends: the pipe's last end closes when that
 * one dies. */
static void test_die_with_parent(void)
{
    static const char *const argv[] = {"sleep", "30", NULL};
    int fds[2], keep[2] = {-1, -1};
    char c;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return;
    (void)fflush(stdout);
    pid = fork();
    if (pid == 0) {
        keep[0] = fds[1];
        _exit(pw_spawn_start(&(pw_spawn){.argv = argv,
                                         .in = -1,
                                         .out = -1,
                                         .err = -1,
                                         .keep = keep,
                                         .die_with_parent = true},
                             NULL) > 0
                  ? 0
                  : 1);
    }
    (void)close(fds[1]);
    ok(pid > 0 && read(fds[0], &c, 1) == 0, "it dies with its parent");
    (void)close(fds[0]);
    if (pid > 0)
        (void)waitpid(pid, NULL, 0);
}

/* Becomes another user, alone in its group, and still dies with its parent; the parent stays as
 * open as it was. */
static void test_user(void)
{
    static const pw_spawn_user nobody = {65534, 65534};
    static const char *const argv[] = {
        "/bin/sh", "-c", "id -u; id -G; read -r a b c d e </proc/self/stat; cat /etc/shadow", NULL};
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(1000);
    pw_spawn what = {.argv = argv, .in = -1, .out = -1, .err = -1, .as = &nobody};
    pw_err err = {0};

    what.die_with_parent = true;
    int rc = pw_spawn_run(&what, NULL, LONG_US, &out, NULL, &err);
    if (geteuid() != 0) {
        ok(rc == PW_ESYS && strstr(err.text, "becoming user 65534"), "only root may: %s", err.text);
        return;
    }
    ok(rc == 1 && strcmp(pw_buf_str(&out), "65534\n65534\n") == 0, "as another user: %d %s%s", rc,
       pw_buf_str(&out), err.text);
    ok(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1, "the parent is as open as before");
}

static void *spawn_some(void *self)
{
    static const char *const argv[] = {"true", NULL};
    pw_spawn what = {.argv = argv, .in = -1, .out = -1, .err = -1};

    for (int i = 0; i < 10; i++)
        if (pw_spawn_run(&what, NULL, LONG_US, NULL, NULL, NULL) != 0)
            return NULL;
    return self;
}

static void test_threads(void)
{
    pthread_t t[3];
    void *results[3];
    int good = 0, n = 0;

    for (; n < 3; n++)
        if (pthread_create(&t[n], NULL, spawn_some, &results[n]) != 0)
            break;
    for (int i = 0; i < n; i++) {
        (void)pthread_join(t[i], &results[i]);
        good += results[i] != NULL;
    }
    ok(good == 3, "several threads at once");
}

int main(void)
{
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    test_run();
    test_deadline();
    test_errors();
    test_environment();
    test_descriptors();
    test_crossed_streams();
    test_signals();
    test_group();
    test_die_with_parent();
    test_user();
    test_threads();
    reap();
    return tap_done();
}
