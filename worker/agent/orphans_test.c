/* Processes that a dead runner left, by what their environment says. */
#include "worker/agent/orphans.h"

#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/tap.h"

static pid_t child_with(const char *entry)
{
    pid_t pid = fork();
    if (pid == 0) {
        char *const argv[] = {(char *)(uintptr_t) "sleep", (char *)(uintptr_t) "30", NULL};
        char *const env[] = {(char *)(uintptr_t) "A=1", (char *)(uintptr_t)entry,
                             (char *)(uintptr_t) "B=2", NULL};
        (void)execve("/bin/sleep", argv, env);
        _exit(1);
    }
    return pid;
}

static void orphans(void)
{
    int status = 0;
    pid_t a = child_with("PAWL_JOB=00000000000000aa-1"),
          b = child_with("PAWL_JOB=00000000000000aa-11");
    /* their environment is there only after exec */
    for (int i = 0, n = 0; i < 1000 && n < 1; i++) {
        n += orphans_kill("00000000000000aa-1");
        if (n < 1)
            (void)poll(NULL, 0, 2);
    }
    ok(waitpid(a, &status, 0) == a && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
       "by PAWL_JOB");
    ok(waitpid(b, &status, WNOHANG) == 0, "another job's is left alone");
    /* its child has nothing in its environment */
    int pair[2];
    pid_t deep = 0;
    if (pipe(pair) == 0) {
        pid_t c = fork();
        if (c == 0) {
            (void)dup2(pair[1], 1);
            (void)execle("/bin/sh", "sh", "-c", "env -i sleep 30 & echo $!; wait", (char *)NULL,
                         (char *const[]){(char *)(uintptr_t) "PAWL_JOB=00000000000000aa-2", NULL});
            _exit(1);
        }
        char text[32] = "";
        (void)!read(pair[0], text, sizeof(text) - 1);
        deep = (pid_t)strtol(text, NULL, 10);
        ok(deep > 1 && orphans_kill("00000000000000aa-2") >= 2 && waitpid(c, &status, 0) == c,
           "its descendants too");
        (void)close(pair[1]);
        /* whoever is the parent now: the pipe is held by it alone */
        ok(read(pair[0], text, 1) == 0, "they are gone");
        (void)close(pair[0]);
    }
    (void)kill(b, SIGKILL);
    (void)waitpid(b, &status, 0);
}

int main(void)
{
    orphans();
    return tap_done();
}
