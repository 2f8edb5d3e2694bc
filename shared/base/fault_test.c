#include "shared/base/fault.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
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

/* A parent that has passed the point, and three children in turn: which of them see the fault, as
 * bits. */
static int forks(void)
{
    int bits = 0;

    (void)pw_fault("a");
    for (int i = 0; i < 3; i++) {
        int status = 0;
        pid_t pid = fork();
        if (pid == 0)
            _exit(pw_fault("a") ? 1 : 0);
        if (pid > 0 && waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 1)
            bits |= 1 << i;
    }
    return bits;
}

static void test_seen(void)
{
    char path[] = "/tmp/fault_test_XXXXXX", text[256] = "";
    int fd = mkstemp(path);

    if (fd < 0 || setenv("PW_FAULT_SEEN", path, 1) < 0)
        return;
    (void)gives("a:2,b", 2);
    (void)in_child("a:3=kill", passages);
    ok(read(fd, text, sizeof(text) - 1) > 0 && strncmp(text, "a:2=error ", 10) == 0 &&
           strstr(text, "\na:3=kill ") && !strstr(text, "b:1"),
       "what happened is told, and nothing else");
    (void)close(fd);
    (void)unlink(path);
    (void)unsetenv("PW_FAULT_SEEN");
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
    status = in_child("a:3", forks);
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 2, "what is forked counts on");
    test_pause();
    test_seen();
    return tap_done();
}
