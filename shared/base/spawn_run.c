/* Running a program to its end: pw_spawn_run(). */
#include "shared/base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/base/buf.h"
#include "shared/base/fs.h"

#define GRACE 2000000  /* us between TERM and KILL: time to remove a lock file */
#define TICK_MS 20     /* how often to look where the kernel has no pidfd (before 5.3) */
#define READ_MAX 65536 /* bytes read at once: what a pipe holds */
#define DRAIN_MAX 1024 /* reads at the end: somebody else may write for ever */

struct stream {
    int fd; /* owned; -1: none, or at its end */
    pw_buf *buf;
};

struct run {
    pid_t pid;
    int pidfd; /* owned; -1: poll() has to look in steps */
    struct stream streams[2];
    bool term, kill;
};

static void run_clear(struct run *r)
{
    pw_closep(&r->pidfd);
    pw_closep(&r->streams[0].fd);
    pw_closep(&r->streams[1].fd);
}

/* The input is a file in memory: a pipe would have to be fed, and would raise SIGPIPE when the
 * program does not read it. */
static int input_fd(const char *input, pw_err *err)
{
    PW_AUTO(pw_closep) int fd = memfd_create("input", MFD_CLOEXEC);
    int rc;

    if (fd < 0)
        return pw_fail_sys(err, "making a file for the input of a program");
    rc = pw_fs_write_all(fd, input, strlen(input), err);
    if (rc < 0)
        return rc;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return pw_fail_sys(err, "rewinding the input of a program");
    rc = fd;
    fd = -1;
    return rc;
}

/* A pipe whose reading end does not block. */
static int stream_open(struct stream *s, pw_buf *buf, int *ret_write, pw_err *err)
{
    int fds[2];

    if (!buf)
        return 0;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return pw_fail_sys(err, "making a pipe for the output of a program");
    s->fd = fds[0];
    s->buf = buf;
    *ret_write = fds[1];
    if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0)
        return pw_fail_sys(err, "preparing a pipe for the output of a program");
    return 0;
}

/* One read; true when there may be more at once. Bytes above the buffer's maximum are dropped. */
static bool stream_read(struct stream *s)
{
    char data[READ_MAX];
    size_t room, n;
    ssize_t got = read(s->fd, data, sizeof(data));

    if (got < 0 && errno == EINTR)
        return true;
    if (got < 0 && errno == EAGAIN)
        return false;
    if (got <= 0) {
        pw_closep(&s->fd);
        return false;
    }
    n = (size_t)got;
    room = s->buf->max - s->buf->len;
    if (n > room)
        n = room;
    if (n > 0)
        (void)pw_buf_add(s->buf, data, n); /* out of memory: the buffer says so itself */
    return true;
}

/* TERM at the deadline, KILL some time later. Returns the ms until something is due; -1: never. */
static int run_deadline(struct run *r, pw_usec *until)
{
    pw_usec now = pw_now(&pw_host_real);

    if (*until < 0)
        return -1;
    if (now >= *until && !r->kill) {
        /* the leader is not reaped yet, so the group's number cannot be another's */
        (void)kill(-r->pid, r->term ? SIGKILL : SIGTERM);
        r->kill = r->term;
        r->term = true;
        *until = now + GRACE;
    }
    if (r->kill)
        return -1; /* nothing but the exit is left to wait for */
    return *until - now > INT64_C(3600000000) ? 3600000 : (int)((*until - now + 999) / 1000);
}

/* True when the program has ended; it stays a zombie. */
static bool run_ended(const struct run *r)
{
    siginfo_t info = {.si_pid = 0};

    if (waitid(P_PID, (id_t)r->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
        return errno != EINTR; /* ECHILD: somebody else has reaped it */
    return info.si_pid == r->pid;
}

static void run_wait(struct run *r, pw_usec until, int stop)
{
    for (;;) {
        struct pollfd fds[4] = {{.fd = r->pidfd, .events = POLLIN},
                                {.fd = r->streams[0].fd, .events = POLLIN},
                                {.fd = r->streams[1].fd, .events = POLLIN},
                                {.fd = r->term ? -1 : stop, .events = POLLIN}};
        int ms = run_deadline(r, &until);
        if (r->pidfd < 0 && (ms < 0 || ms > TICK_MS))
            ms = TICK_MS;
        int n = poll(fds, 4, ms);
        for (int i = 0; n > 0 && i < 2; i++)
            if (fds[i + 1].revents)
                (void)stream_read(&r->streams[i]);
        if (n > 0 && fds[3].revents)
            until = pw_now(&pw_host_real);
        if ((r->pidfd < 0 || fds[0].revents) && run_ended(r))
            break;
    }
    /* what it wrote last; a process that it left behind may hold the pipe open, so the end of it is
     * not awaited */
    for (int i = 0; i < 2; i++)
        for (int n = 0; r->streams[i].fd >= 0 && n < DRAIN_MAX && stream_read(&r->streams[i]); n++)
            ;
}

static int run_result(struct run *r, const char *program, pw_err *err)
{
    int status = 0;

    if (r->term) /* whatever is left of the group */
        (void)kill(-r->pid, SIGKILL);
    while (waitpid(r->pid, &status, 0) < 0)
        if (errno != EINTR)
            return pw_fail_sys(err, "waiting for program \"%.200s\"", program);
    if (r->term)
        return pw_fail(err, PW_ETIMEDOUT, "program \"%.200s\" passed its deadline", program);
    if (WIFSIGNALED(status))
        return 128 + WTERMSIG(status);
    return WEXITSTATUS(status);
}

int pw_spawn_run(const pw_spawn *what, const char *input, pw_usec timeout, struct pw_buf *out,
                 struct pw_buf *errout, pw_err *err)
{
    PW_AUTO(run_clear) struct run r = {.pidfd = -1, .streams = {{.fd = -1}, {.fd = -1}}};
    PW_AUTO(pw_closep) int in_fd = -1;
    PW_AUTO(pw_closep) int out_fd = -1;
    PW_AUTO(pw_closep) int err_fd = -1;
    pw_spawn mine = *what;
    pw_usec until = -1;
    int rc;

    if (input) {
        in_fd = input_fd(input, err);
        if (in_fd < 0)
            return in_fd;
        mine.in = in_fd;
    }
    rc = stream_open(&r.streams[0], out, &out_fd, err);
    if (rc == 0)
        rc = stream_open(&r.streams[1], errout, &err_fd, err);
    if (rc < 0)
        return rc;
    if (out)
        mine.out = out_fd;
    if (errout)
        mine.err = err_fd;
    if (timeout >= 0)
        until = pw_now(&pw_host_real) + timeout;
    r.pid = pw_spawn_start(&mine, err);
    if (r.pid < 0)
        return (int)r.pid;
    pw_closep(&out_fd);
    pw_closep(&err_fd);
    r.pidfd = (int)syscall(SYS_pidfd_open, r.pid, 0);
    run_wait(&r, until, what->stop ? *what->stop : -1);
    return run_result(&r, what->argv[0], err);
}
