/* The git program. Much like pw_spawn_run(), with one thing more: the end of the service ends the
 * child, too. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/git/impl.h"
#include "shared/base/fs.h"
#include "shared/base/num.h"
#include "shared/base/spawn.h"

#define GRACE 2000000     /* us between TERM and KILL: git removes its lock files */
#define GRACE_STOP 300000 /* the same when the service ends, which somebody waits for */
#define TICK 20           /* ms between two looks where the kernel has no pidfd (before 5.3) */
#define READ_MAX 65536    /* bytes: what a pipe holds */
#define DRAIN_MAX 64      /* reads after the end: what it left running may write for ever */
#define ARGS_MAX 40

struct stream {
    int fd; /* owned; -1: at its end */
    pw_buf *buf;
    bool cut; /* bytes above the maximum were dropped */
};

struct child {
    pid_t pid;
    int pidfd; /* owned */
    struct stream s[2];
    pw_usec until;
    bool term, kill, stopped;
};

static void child_clear(struct child *c)
{
    pw_closep(&c->pidfd);
    pw_closep(&c->s[0].fd);
    pw_closep(&c->s[1].fd);
}

bool gw_sleep(const gw *w, int ms)
{
    struct pollfd p = {.fd = w->stop_fd, .events = POLLIN};

    return poll(&p, 1, ms) <= 0;
}

static int stream_open(struct stream *s, pw_buf *buf, int *ret_write, pw_err *err)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return pw_fail_sys(err, "making a pipe for git");
    s->fd = fds[0];
    s->buf = buf;
    *ret_write = fds[1];
    if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0)
        return pw_fail_sys(err, "preparing a pipe for git");
    return 0;
}

/* One read; true when there may be more at once. */
static bool stream_read(struct stream *s)
{
    char data[READ_MAX];
    ssize_t got = read(s->fd, data, sizeof(data));
    size_t room, n;

    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return errno == EINTR;
    if (got <= 0) {
        pw_closep(&s->fd);
        return false;
    }
    n = (size_t)got;
    room = s->buf->max - s->buf->len;
    if (n > room) {
        s->cut = true;
        n = room;
    }
    (void)pw_buf_add(s->buf, data, n);
    return true;
}

/* TERM at the deadline, KILL some time later. Returns the ms until something is due; -1: never. */
static int child_deadline(struct child *c)
{
    pw_usec now = pw_now(&pw_host_real);

    if (now >= c->until && !c->kill) {
        /* not reaped yet, so the group's number cannot be another's */
        (void)kill(-c->pid, c->term ? SIGKILL : SIGTERM);
        c->kill = c->term;
        c->term = true;
        c->until = now + (c->stopped ? GRACE_STOP : GRACE);
    }
    if (c->kill)
        return -1;
    return c->until - now > INT64_C(3600000000) ? 3600000 : (int)((c->until - now + 999) / 1000);
}

static bool child_ended(const struct child *c)
{
    siginfo_t info = {.si_pid = 0};

    if (waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
        return errno != EINTR;
    return info.si_pid == c->pid;
}

static void child_wait(struct child *c, int stop_fd)
{
    for (;;) {
        struct pollfd fds[4] = {{.fd = c->pidfd, .events = POLLIN},
                                {.fd = c->s[0].fd, .events = POLLIN},
                                {.fd = c->s[1].fd, .events = POLLIN},
                                {.fd = c->stopped ? -1 : stop_fd, .events = POLLIN}};
        int ms = child_deadline(c);
        if (c->pidfd < 0 && (ms < 0 || ms > TICK))
            ms = TICK;
        if (poll(fds, 4, ms) > 0) {
            for (int i = 0; i < 2; i++)
                if (fds[i + 1].revents)
                    (void)stream_read(&c->s[i]);
            if (fds[3].revents) {
                c->stopped = true;
                c->until = 0;
            }
        }
        if ((c->pidfd < 0 || fds[0].revents) && child_ended(c))
            break;
    }
    for (int i = 0; i < 2; i++)
        for (int n = 0; c->s[i].fd >= 0 && n < DRAIN_MAX && stream_read(&c->s[i]); n++)
            ;
}

static int child_result(struct child *c, pw_err *err)
{
    int status = 0;

    if (c->term) /* whatever is left of the group */
        (void)kill(-c->pid, SIGKILL);
    while (waitpid(c->pid, &status, 0) < 0)
        if (errno != EINTR)
            return pw_fail_sys(err, "waiting for git");
    if (c->stopped)
        return pw_fail(err, PW_EAGAIN, "the program ends");
    if (c->term)
        return pw_fail(err, PW_ETIMEDOUT, "git passed its deadline");
    if (c->s[0].buf->failed || c->s[1].buf->failed)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (c->s[0].cut)
        return pw_fail(err, PW_ELIMIT, "git says more than %zu bytes", c->s[0].buf->max);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Owned texts, NULL-terminated. */
struct env {
    char *v[11 + GITLOGIN_ENV];
};

static void env_clear(struct env *e)
{
    for (size_t i = 0; i < sizeof(e->v) / sizeof(e->v[0]); i++)
        free(e->v[i]);
}

/* Nothing else is inherited: a GIT_DIR or GIT_SSH_COMMAND of the caller's shell must not lead git
 * elsewhere. */
static int env_make(const gw *w, struct env *e, pw_err *err)
{
    static const char *const inherited[] = {"PATH", "HOME", "SSH_AUTH_SOCK"};
    static const char *const fixed[] = {"GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1",
                                        "LC_ALL=C"};
    bool failed = false;
    size_t n = 0;

    for (size_t i = 0; i < 3; i++) {
        const char *value = getenv(inherited[i]);
        if (value) {
            e->v[n] = pw_strf("%s=%s", inherited[i], value);
            failed = failed || !e->v[n];
            n++;
        }
        e->v[n++] = pw_strdup(fixed[i], &failed);
    }
    for (size_t i = 0; w->login.env[i]; i++)
        e->v[n++] = pw_strdup(w->login.env[i], &failed);
    if (w->index)
        failed |= !(e->v[n] = pw_strf("GIT_INDEX_FILE=%s", w->index));
    return failed ? pw_fail(err, PW_ENOMEM, "out of memory") : 0;
}

int gw_child(const gw *w, const char *const *args, int keep, pw_buf *out, pw_buf *said, pw_err *err)
{
    return gw_child_in(w, args, keep, -1, out, said, err);
}

int gw_child_in(const gw *w, const char *const *args, int keep, int in, pw_buf *out, pw_buf *said,
                pw_err *err)
{
    PW_AUTO(child_clear) struct child c = {.pidfd = -1, .s = {{.fd = -1}, {.fd = -1}}};
    PW_AUTO(env_clear) struct env env = {0};
    PW_AUTO(pw_freep) char *dir = pw_strf("--git-dir=%s", w->mirror);
    PW_AUTO(pw_closep) int out_fd = -1;
    PW_AUTO(pw_closep) int err_fd = -1;
    const int kept[2] = {keep, -1};
    /* the mirror is named, never searched for: a damaged one must not make git take a repository
     * above it */
    const char *argv[ARGS_MAX] = {"git", dir,
                                  "-c",  "gc.auto=0",
                                  "-c",  "maintenance.auto=false",
                                  "-c",  "protocol.version=2",
                                  "-c",  "safe.directory=*"};
    size_t n = 10;
    int rc;

    if (!dir)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (w->login.http) { /* no helper of the user's is asked first, nor told to keep it */
        argv[n++] = "-c";
        argv[n++] = "credential.helper=";
    }
    for (; *args && n < ARGS_MAX - 1; args++)
        argv[n++] = *args;
    rc = env_make(w, &env, err);
    if (rc == 0)
        rc = stream_open(&c.s[0], out, &out_fd, err);
    if (rc == 0)
        rc = stream_open(&c.s[1], said, &err_fd, err);
    if (rc < 0)
        return rc;
    c.until = pw_now(&pw_host_real) + w->job->timeout;
    /* without a terminal of its own ssh cannot ask for a password */
    pw_spawn what = {.argv = argv,
                     .env = (const char *const *)env.v,
                     .in = in,
                     .out = out_fd,
                     .err = err_fd,
                     .keep = kept,
                     .new_session = true,
                     .die_with_parent = true};
    c.pid = pw_spawn_start(&what, err);
    if (c.pid < 0)
        return (int)c.pid;
    pw_closep(&out_fd);
    pw_closep(&err_fd);
    c.pidfd = (int)syscall(SYS_pidfd_open, c.pid, 0);
    child_wait(&c, w->stop_fd);
    return child_result(&c, err);
}

/* The line that tells most: the first "fatal:", or what stands before one that says nothing. Its
 * length goes to *ret_n. */
static const char *said_line(const char *text, size_t *ret_n)
{
    const char *best = "";

    *ret_n = 0;
    for (const char *s = text; *s; s += strspn(s, "\r\n")) {
        size_t n = strcspn(s, "\r\n");
        bool fatal = strncasecmp(s, "fatal: ", 7) == 0; /* gitolite's are FATAL */
        bool vague = fatal && (strncmp(s + 7, "Could not read from remote", 26) == 0 ||
                               strncmp(s + 7, "the remote end hung up", 22) == 0);
        if (vague && *ret_n > 0)
            return best;
        if (n > 0 && strncasecmp(s, "warning:", 8) != 0) {
            best = fatal ? s + 7 : s;
            *ret_n = fatal ? n - 7 : n;
        }
        if (fatal)
            return best;
        s += n;
    }
    return best;
}

void gw_child_clean(const gw *w, pw_buf *said)
{
    char *s = said->p;
    size_t n = w->user ? strlen(w->user) : 0;

    if (!s)
        return;
    if (strlen(s) < said->len)
        said->len = strlen(s);
    for (char *at; n && (at = strstr(s, w->user));) {
        memmove(at, at + n, strlen(at + n) + 1);
        said->len -= n;
        s = at;
    }
    for (s = said->p; *s; s++)
        if (((unsigned char)*s < ' ' && *s != '\n' && *s != '\t') || *s == 0x7f)
            *s = ' ';
}

/* What to do about it, where that is known. */
static void add_cure(const gw *w, pw_buf *said, pw_buf *b)
{
    const git_login *l = &w->job->login;
    const char *name = w->job->name;
    gitlogin_trouble why = gitlogin_read(pw_buf_str(said));
    if (!name || why == GITLOGIN_OTHER)
        return;
    if (why == GITLOGIN_STRANGER)
        (void)pw_buf_addf(b,
                          "; give the \"credentials\" of project \"%s\" %s \"known_hosts\", as "
                          "\"ssh-keyscan\" prints it and its owner confirms it",
                          name, l->known_hosts ? "the right" : "a");
    else if (l->ssh_key || l->password)
        (void)pw_buf_addf(b,
                          "; the server does not take the \"credentials\" of project \"%s\": mend "
                          "its %s, or what it may do there",
                          name, l->ssh_key ? "\"ssh_key\"" : "\"user\" and \"password\"");
    else
        (void)pw_buf_addf(b, "; give project \"%s\" \"credentials\"", name);
}

int gw_child_fail(const gw *w, const char *attempt, int rc, pw_buf *said, pw_err *err)
{
    char took[32];
    const char *line;
    size_t n;

    if (rc == PW_ETIMEDOUT)
        return pw_fail(err, PW_ETIMEDOUT, "%s \"%s\": no answer in %s", attempt, w->name,
                       pw_duration_text(w->job->timeout, took));
    if (rc < 0)
        return pw_err_context(err, "%s \"%.100s\"", attempt, w->name);
    gw_child_clean(w, said);
    line = said_line(pw_buf_str(said), &n);
    if (n == 0)
        return pw_fail(err, PW_ESYS, "%s \"%s\": git ended with exit code %d", attempt, w->name,
                       rc);
    PW_AUTO(pw_buf_clearp) pw_buf cure = PW_BUF(300);
    add_cure(w, said, &cure);
    /* the cure stands last, and is not to be cut off */
    return pw_fail(err, PW_ESYS, "%s \"%.100s\": %.*s%s", attempt, w->name,
                   cure.len && n > 100 ? 100 : (int)n, line, pw_buf_str(&cure));
}
