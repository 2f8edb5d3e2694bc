#include "worker/run/procs.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/base/spawn.h"
#include "tests/tap.h"

static cgroup_job no_group;

typedef struct seen {
    int killed, left;
    char names[10][PROCS_NAME + 1];
} seen;

static void on_seen(void *self, pid_t pid, const char *name, bool killed)
{
    seen *s = self;
    if (killed && s->killed < 10)
        memcpy(s->names[s->killed++], name, strlen(name) + 1);
    s->left += !killed;
    (void)pid;
}

static bool saw(const seen *s, const char *name)
{
    for (int i = 0; i < s->killed; i++)
        if (strcmp(s->names[i], name) == 0)
            return true;
    return false;
}

/* Starts a script and waits for its end; its stdout is read to `out`. Returns our end of the pipe.
 */
static int script(const char *text, char out[64])
{
    const char *argv[] = {"/bin/sh", "-c", text, NULL};
    int fd[2];
    if (pipe(fd) < 0)
        return -1;
    pw_spawn what = {.argv = argv, .in = -1, .out = fd[1], .err = -1};
    pid_t pid = pw_spawn_start(&what, NULL);
    (void)close(fd[1]);
    ssize_t n = read(fd[0], out, 63);
    out[n > 0 ? n : 0] = '\0';
    if (pid > 0)
        (void)waitpid(pid, NULL, 0);
    return fd[0];
}

static void test_nothing(void)
{
    procs_usage u = {0};
    seen s = {0};
    procs_list l = {0};
    ok(procs_sweep(&pw_host_real, &no_group, &u, on_seen, &s) && s.killed == 0 && u.cpu_us == 0,
       "nothing to do");
    ok(procs_tree(&l) && l.n == 0, "an empty tree");
    procs_list_clear(&l);
}

static void test_survivors(const char *text, int least, const char *what)
{
    procs_usage u = {0};
    seen s = {0};
    char out[64], rest;
    int fd = script(text, out);
    pid_t pid = (pid_t)strtol(out, NULL, 10);
    ok(pid > 1 && kill(pid, 0) == 0, "%s: it lives after its parent", what);
    ok(procs_sweep(&pw_host_real, &no_group, &u, on_seen, &s) && s.left == 0, "%s: swept", what);
    ok(kill(pid, 0) < 0 && waitpid(-1, NULL, WNOHANG) < 0, "%s: nothing lives", what);
    ok(s.killed >= least && (saw(&s, "sleep") || saw(&s, "sh")), "%s: told by name, once each (%d)",
       what, s.killed);
    ok(read(fd, &rest, 1) == 0, "%s: the pipe is free", what);
    (void)close(fd);
}

static void test_tree(void)
{
    procs_usage u = {0};
    seen s = {0};
    procs_list l = {0};
    char out[64], name[PROCS_NAME + 1];
    int fd = script("sh -c 'sleep 100 & echo $!; wait' & exec sleep 0.05", out);
    pid_t deep = (pid_t)strtol(out, NULL, 10);
    bool found = false;
    ok(procs_tree(&l), "the whole tree");
    for (size_t i = 0; i < l.n; i++)
        found = found || l.v[i] == deep;
    ok(l.n == 2 && found, "children of children are in it");
    ok(procs_pipe_holder(fd) == l.v[0] || procs_pipe_holder(fd) == l.v[1], "who holds the pipe");
    ok(procs_name(deep, name) && strcmp(name, "sleep") == 0, "its name");
    procs_signal_tree(SIGTERM);
    (void)procs_sweep(&pw_host_real, &no_group, &u, on_seen, &s);
    ok(kill(deep, 0) < 0 && !procs_name(deep, name) && strcmp(name, "?") == 0, "gone");
    ok(procs_pipe_holder(fd) == 0, "nobody holds the pipe");
    procs_list_clear(&l);
    (void)close(fd);
}

int main(void)
{
    sigset_t child;
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &child, NULL);
    test_nothing();
    test_survivors("sleep 100 & echo $!", 1, "background");
    test_survivors("setsid sh -c 'sleep 100 & echo $!; wait' & sleep 0.05", 2, "own session");
    test_survivors("(trap '' TERM HUP INT; sleep 100 & echo $!; wait) & sleep 0.05", 2,
                   "ignores TERM");
    test_survivors("(sleep 100 & echo $!) &", 1, "no parent");
    test_tree();
    return tap_done();
}
