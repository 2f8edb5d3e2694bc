/* The child of clone(CLONE_VM | CLONE_VFORK) runs in our memory, on a stack of its own, while this
 * thread stands still. So it costs the same in a large process as in a small one, and tells an
 * error by writing it down here. In return it must not disturb anything: it makes raw system calls
 * only (no libc function that takes a lock, counts, or is intercepted by a sanitizer), allocates
 * nothing and touches no variable but its own context. */
#include "shared/base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/base/buf.h"

#define CHILD_STACK 32768 /* bytes; the child uses some hundred */
#define FD_SCAN                                                                                    \
    65536 /* descriptors looked at where the kernel has no close_range (before 5.11)               \
           */
#define SIGNALS 64
#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

#if defined(__clang__)
#define RAW __attribute__((no_sanitize("address", "thread", "undefined"), noinline))
#else
#define RAW                                                                                        \
    __attribute__((no_sanitize_address, no_sanitize_thread, no_sanitize_undefined, noinline))
#endif

#if defined(__SANITIZE_THREAD__)
/* Its clone() believes that every clone is a fork, and that the memory is not shared: the plain
 * one, then. */
int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);
#define clone __clone
#endif

enum stage {
    STAGE_NONE,
    STAGE_SETUP,
    STAGE_JOIN,
    STAGE_STDIO,
    STAGE_KEEP,
    STAGE_USER,
    STAGE_DIR,
    STAGE_EXEC
};

struct child {
    const pw_spawn *what;
    const char *const *env;
    const char *path; /* folders to look in; NULL: argv[0] has a slash */
    char *candidate;  /* room for one folder and argv[0] */
    pid_t parent;
    long max_fd;
    sigset_t mask; /* empty */
    bool is_in;    /* in the group of join[0] already */
    /* what went wrong, for the parent */
    enum stage stage;
    int error;
};

RAW __attribute__((noreturn)) static void child_fail(struct child *c, enum stage stage)
{
    c->stage = stage;
    c->error = errno;
    for (;;)
        (void)syscall(SYS_exit_group, 127);
}

RAW static void child_signals(void)
{
    /* the kernel's struct sigaction, larger than on any machine; all zero is SIG_DFL */
    static const unsigned long dfl[8] = {0};

    for (int s = 1; s <= SIGNALS; s++)
        (void)syscall(SYS_rt_sigaction, s, dfl, NULL, (size_t)8);
}

/* Puts the three streams in place; a source below 3 is moved out of the way of the others first. */
RAW static void child_stdio(struct child *c)
{
    const int fds[3] = {c->what->in, c->what->out, c->what->err};
    long from[3];

    for (int i = 0; i < 3; i++) {
        from[i] = fds[i];
        if (from[i] < 0)
            from[i] = syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC, 0);
        if (from[i] >= 0 && from[i] < 3)
            from[i] = syscall(SYS_fcntl, from[i], F_DUPFD_CLOEXEC, 3);
        if (from[i] < 0)
            child_fail(c, STAGE_STDIO);
    }
    for (int i = 0; i < 3; i++)
        if (syscall(SYS_dup3, from[i], i, 0) < 0)
            child_fail(c, STAGE_STDIO);
}

/* All descriptors from 3 on are closed by exec, but those listed. */
RAW static void child_keep(struct child *c)
{
    const int *keep = c->what->keep;

    if (syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
        for (long fd = 3; fd < c->max_fd; fd++)
            (void)syscall(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
    for (; keep && *keep >= 0; keep++)
        if (*keep > 2 && syscall(SYS_fcntl, *keep, F_SETFD, 0) < 0)
            child_fail(c, STAGE_KEEP);
}

/* Tries the folders of PATH in turn, as a shell does. */
RAW static void child_exec(struct child *c)
{
    const char *const *argv = c->what->argv;
    const char *path = c->path;
    int denied = 0;

    if (!path) {
        (void)syscall(SYS_execve, argv[0], argv, c->env);
        return;
    }
    for (;; path++) {
        char *to = c->candidate;
        for (; *path && *path != ':'; path++)
            *to++ = *path;
        if (to > c->candidate) /* an empty part is the current folder */
            *to++ = '/';
        for (const char *from = argv[0]; *from; from++)
            *to++ = *from;
        *to = '\0';
        (void)syscall(SYS_execve, c->candidate, argv, c->env);
        if (errno == EACCES)
            denied = EACCES;
        else if (errno != ENOENT && errno != ENOTDIR)
            return;
        if (!*path)
            break;
    }
    if (denied)
        errno = denied;
}

RAW static void child_join(struct child *c)
{
    const int *join = c->what->join;

    if (join && *join >= 0 && c->is_in)
        join++;
    for (; join && *join >= 0; join++)
        if (syscall(SYS_write, *join, "0", (size_t)1) < 0)
            child_fail(c, STAGE_JOIN);
}

/* The memory is the parent's until exec: the kernel makes it unreadable for the new user with the
 * change of users, and the parent makes that good when it is alone in it again. */
RAW static void child_user(struct child *c)
{
    const pw_spawn_user *as = c->what->as;

    if (as && (syscall(SYS_setgroups, (size_t)0, NULL) < 0 ||
               syscall(SYS_setresgid, as->gid, as->gid, as->gid) < 0 ||
               syscall(SYS_setresuid, as->uid, as->uid, as->uid) < 0))
        child_fail(c, STAGE_USER);
}

/* After the change of users, which takes it back. */
RAW static void child_bind(struct child *c)
{
    if (!c->what->die_with_parent)
        return;
    if (syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        child_fail(c, STAGE_SETUP);
    if (syscall(SYS_getppid) != c->parent) { /* it died before we asked */
        errno = ESRCH;
        child_fail(c, STAGE_SETUP);
    }
}

RAW static int child_main(void *arg)
{
    struct child *c = arg;
    const pw_spawn *what = c->what;
    long rc;

    child_signals();
    rc = what->new_session ? syscall(SYS_setsid) : syscall(SYS_setpgid, 0, 0);
    if (rc < 0)
        child_fail(c, STAGE_SETUP);
    child_bind(c);
    child_join(c);
    child_stdio(c);
    child_keep(c);
    if (what->as) {
        child_user(c);
        child_bind(c);
    }
    if (what->dir && syscall(SYS_chdir, what->dir) < 0)
        child_fail(c, STAGE_DIR);
    if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &c->mask, NULL, (size_t)8) < 0)
        child_fail(c, STAGE_SETUP);
    child_exec(c);
    child_fail(c, STAGE_EXEC);
}

/* clone() cannot name a group, and no libc wraps clone3. The child has a stack of its own, so it
 * must not return here: it calls child_main() at once. Negative errno; -ENOSYS: not in this
 * program. */
RAW static long clone_into(struct child *c, char *stack, size_t size)
{
#if defined(__x86_64__)
    struct clone_args a = {
        .flags = CLONE_VM | CLONE_VFORK | CLONE_INTO_CGROUP,
        .exit_signal = SIGCHLD,
        .stack = (uint64_t)(uintptr_t)stack,
        .stack_size = size,
        .cgroup = (unsigned)c->what->into,
    };
    register int (*fn)(void *) __asm__("r8") = child_main;
    register void *arg __asm__("r9") = c;
    long rc;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "mov %%r9, %%rdi\n\t"
                     "call *%%r8\n\t"
                     "ud2\n"
                     "1:"
                     : "=a"(rc)
                     : "a"((long)SYS_clone3), "D"(&a), "S"(sizeof(a)), "r"(fn), "r"(arg)
                     : "rcx", "r11", "memory");
    return rc;
#else
    (void)c, (void)stack, (void)size;
    return -ENOSYS;
#endif
}

static int child_report(const struct child *c, pw_err *err)
{
    const char *program = c->what->argv[0];

    errno = c->error;
    switch (c->stage) {
    case STAGE_EXEC:
        if (c->error == ENOENT || c->error == ENOTDIR)
            return pw_fail_at(err, __FILE__, __LINE__, PW_ENOTFOUND, c->error,
                              "program \"%.200s\" not found", program);
        return pw_fail_sys(err, "starting program \"%.200s\"", program);
    case STAGE_DIR:
        return pw_fail_sys(err, "entering folder \"%.200s\" to start \"%.100s\"", c->what->dir,
                           program);
    case STAGE_STDIO:
        return pw_fail_sys(err, "connecting the streams of program \"%.200s\"", program);
    case STAGE_JOIN:
        return pw_fail_sys(err, "putting program \"%.200s\" into its control group", program);
    case STAGE_KEEP:
        return pw_fail_sys(err, "handing a descriptor to program \"%.200s\"", program);
    case STAGE_USER:
        return pw_fail_sys(err, "becoming user %u for program \"%.200s\"",
                           (unsigned)c->what->as->uid, program);
    case STAGE_NONE:
    case STAGE_SETUP:
        break;
    }
    return pw_fail_sys(err, "preparing to start program \"%.200s\"", program);
}

/* The PATH that the child itself will have; that is what its own lookups use. */
static const char *path_of(const char *const *env)
{
    for (; *env; env++)
        if (strncmp(*env, "PATH=", 5) == 0)
            return *env + 5;
    return DEFAULT_PATH;
}

static long max_fd(void)
{
    long n = sysconf(_SC_OPEN_MAX);

    return n > 0 && n < FD_SCAN ? n : FD_SCAN;
}

pid_t pw_spawn_start(const pw_spawn *what, pw_err *err)
{
    struct child c = {.what = what, .parent = getpid(), .max_fd = max_fd()};
    _Alignas(16) char stack[CHILD_STACK];
    PW_AUTO(pw_freep) char *candidate = NULL;
    sigset_t all, old;
    pid_t pid;
    int sys, open = what->as ? prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) : 0;

    if (!what->argv || !what->argv[0] || !what->argv[0][0])
        return pw_fail(err, PW_EINVAL, "a program without a name");
    c.env = what->env ? what->env : (const char *const *)environ;
    if (!strchr(what->argv[0], '/')) {
        c.path = path_of(c.env);
        candidate = malloc(strlen(c.path) + strlen(what->argv[0]) + 2);
        if (!candidate)
            return pw_fail(err, PW_ENOMEM, "out of memory to start \"%.200s\"", what->argv[0]);
        c.candidate = candidate;
    }
    (void)sigemptyset(&c.mask);
    /* no handler of ours may run in the child, it would run on our memory */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    c.is_in = what->into > 0 && what->join;
    pid = c.is_in ? (pid_t)clone_into(&c, stack, sizeof(stack)) : -1;
    if (pid < 0) { /* whatever it refused, a process that enters later says why that fails too */
        c.is_in = false;
        pid = clone(child_main, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, &c);
    }
    sys = errno;
    if (open == 1)
        (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (pid < 0) {
        errno = sys;
        return pw_fail_sys(err, "making a process for \"%.200s\"", what->argv[0]);
    }
    if (c.stage == STAGE_NONE)
        return pid;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return child_report(&c, err);
}
