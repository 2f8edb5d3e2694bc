#include "shared/base/fault.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "tests/tap.h"

#define THREADS 4

/* The variable is read once a process, so each case runs in a child. Returns its wait status. */
static int in_child(const char *faults, int (*body)(void))
{
    int status = -1;
    pid_t pid;

    (void)fflush(stdout);
    pid = fork();
    if (pid == 0) {
        if (faults ? setenv("PW_FAULT", faults, 1) < 0 : unsetenv("PW_FAULT") < 0)
            _exit(99);
        pw_log_open(0, -1); /* what it says of malformed items is wanted, but not here */
        _exit(body());
    }
    if (pid > 0)
        (void)waitpid(pid, &status, 0);
    return status;
}

/* Which of the first seven passages of "a" fail, as bits. */
static int passages(void)
{
    int bits = 0;

    for (int i = 0; i < 7; i++) {
        if (pw_fault("a"))
            bits |= 1 << i;
        (void)pw_fault("ab");
    }
    return bits;
}

static bool gives(const char *faults, int bits)
{
    int status = in_child(faults, passages);

    return WIFEXITED(status) && WEXITSTATUS(status) == bits;
}

static atomic_int failed;

static void *pass_many(void *self)
{
    (void)self;
    for (int i = 0; i < 1000; i++)
        if (pw_fault("a"))
            atomic_fetch_add(&failed, 1);
    return NULL;
}

static int threads(void)
{
    pthread_t t[THREADS];

    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&t[i], NULL, pass_many, NULL) != 0)
            return 50;
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(t[i], NULL);
    return atomic_load(&failed);
}

static void test_pause(void)
{
    int status = 0;
    bool stopped;
    pid_t pid;

    (void)fflush(stdout);
    pid = fork();
    if (pid == 0) {
        (void)setenv("PW_FAULT", "a:2=pause", 1);
        _exit(passages() + 3);
    }
    stopped = pid > 0 && waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status);
    ok(stopped && WSTOPSIG(status) == SIGSTOP, "pause stops the process");
    if (pid > 0) {
        (void)kill(pid, SIGCONT);
        (void)waitpid(pid, &status, 0);
    }
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 3, "which goes on without a failure");
}

int main(void)
{
    int status;

    ok(gives(NULL, 0) && gives("", 0), "unset or empty: nothing fails");
    ok(gives("a", 1) && gives("a:1", 1), "the first passage");
    ok(gives("a:3", 4) && gives("a:3=error", 4) && gives("a=error", 1), "the third one only");
    ok(gives("a:8", 0), "one that is not reached");
    ok(gives("b:1,a:2,a:4", 10) && gives(",a:2,", 2), "several");
    ok(gives("aa,A,ab:1", 0), "other names");
    ok(gives("a:0", 0) && gives("a:x", 0) && gives("a:", 0) && gives("a=what", 0), "malformed");
    ok(gives("a:x,a:2", 2), "a malformed one does not hide the next");
    status = in_child("a:2=kill", passages);
    ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "kill ends the process");
    status = in_child("a:2500", threads);
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 1, "one passage of all threads together");
    test_pause();
    return tap_done();
}
