#include "worker/run/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "shared/base/num.h"
#include "shared/base/spawn.h"
#include "worker/run/alone.h"
#include "worker/run/inside.h"
#include "worker/run/procs.h"
#include "worker/run/pty.h"
#include "worker/run/watch.h"

enum {
    PIPE_BYTES = 1024 * 1024, /* a step that writes in bursts does not wait for us */
    READS_ONCE = 8,           /* then limits and orders are looked at again */
    STUCK_US = 60000000,      /* after KILL: a process that hangs in the kernel is given up */
    TOLD_MAX = 20,            /* processes named for one step: a bomb would fill the log */
    PAUSE_US = 1000000,       /* a round that took this much longer than asked: we were stopped */
};

typedef struct exec {
    run_job *r;
    const exec_spec *spec;
    step_result *step;
    inside_start inside;
    procs_usage usage;
    pid_t pid;          /* 0 when reaped */
    int in[PW_STREAMS]; /* our ends of its pipes; -1: at the end */
    exec_why why;
    int status;
    bool left;  /* the newest look: there are children */
    bool ended; /* reaped and swept */
    pw_usec begin, last_read, kill_at, drain_until;
    pw_usec looked;               /* end of the last wait */
    pw_usec full_since, retry_at; /* the journal takes nothing */
    bool killed;
    pw_usec watch_at; /* next look at the limits of the job; -1: never */
    int told;
    pid_t stuck;
    char stuck_name[PROCS_NAME + 1];
} exec;

static pw_usec now_of(const exec *e)
{
    return pw_now(e->r->host->clock);
}

static void say(exec *e, const char *text, pid_t pid, const char *name, const char *rest)
{
    const pw_host *h = e->r->host->clock;
    if (!e->spec->quiet)
        out_say(&e->r->stream[0], pw_now(h), pw_wall(h), "pawl: %s %d (%s)%s", text, (int)pid, name,
                rest);
}

static void on_survivor(void *self, pid_t pid, const char *name, bool killed)
{
    exec *e = self;
    /* podman's own processes may still be at their work when the container is over */
    bool podmans = e->r->in.kind == ISO_PODMAN && !e->spec->outside;
    if (!killed) {
        e->stuck = pid;
        (void)snprintf(e->stuck_name, sizeof(e->stuck_name), "%s", name);
        say(e, "process", pid, name, " does not end, not even by KILL");
    } else if (!e->killed && !podmans &&
               e->told++ < TOLD_MAX) { /* by force: the step's reason says why */
        say(e, "killed process", pid, name, ", left behind by this step");
    }
}

static void say_more(exec *e)
{
    const pw_host *h = e->r->host->clock;
    if (e->told > TOLD_MAX && !e->spec->quiet)
        out_say(&e->r->stream[0], pw_now(h), pw_wall(h),
                "pawl: killed %d more processes, left behind by this step", e->told - TOLD_MAX);
}

/* ---- start */

static int make_pipe(int *mine, int *its, pw_err *err)
{
    int fd[2];
    if (pipe2(fd, O_CLOEXEC) < 0)
        return pw_fail_sys(err, "cannot make a pipe");
    (void)fcntl(fd[0], F_SETPIPE_SZ, PIPE_BYTES); /* users have a quota: then it is 64 KiB */
    (void)fcntl(fd[0], F_SETFL, O_NONBLOCK);
    *mine = fd[0];
    *its = fd[1];
    return 0;
}

static int start(exec *e, pw_err *err)
{
    PW_AUTO(pw_closep) int out = -1;
    PW_AUTO(pw_closep) int errout = -1;
    const exec_spec *s = e->spec;
    int rc = 0;
    if (s->pty)
        rc = pty_make(&e->in[0], &out, err);
    else if (!s->quiet)
        rc = make_pipe(&e->in[0], &out, err);
    if (rc == 0 && s->stderr_separate && !s->pty && !s->quiet)
        rc = make_pipe(&e->in[1], &errout, err);
    if (rc < 0)
        return rc;
    const int ends[PW_STREAMS] = {out, errout};
    if ((rc = inside_begin(e->r, s, ends, &e->inside, err)) < 0)
        return rc;
    pw_spawn what = {
        .argv = e->inside.argv,
        .env = e->inside.env,
        .dir = e->inside.dir,
        .as = e->inside.as,
        .keep = e->inside.keep,
        .in = s->pty ? out : -1,
        .out = out,
        .err = errout >= 0 ? errout : out,
        .new_session = s->pty,
        .die_with_parent = true,
        .join = cgroup_job_any(&e->r->group) ? e->r->group.join : NULL,
        .into = e->r->group.into,
    };
    pid_t pid = pw_spawn_start(&what, err);
    inside_begun(&e->inside);
    if (pid < 0)
        return (int)pid;
    e->pid = pid;
    return 0;
}

/* ---- end by force */

static void stop(exec *e, exec_why why)
{
    bool first = e->why == EXEC_EXITED;
    if (why > e->why)
        e->why = why;
    if (!first || !e->pid)
        return;
    e->kill_at = now_of(e);
    if (why == EXEC_PROCESSES || why == EXEC_MEMORY || why == EXEC_FORSAKEN)
        return; /* grace would be time to take more, or to be beside somebody else */
    e->kill_at += e->spec->grace ? e->spec->grace : RUN_GRACE_MS * 1000LL;
    (void)kill(-e->pid, SIGTERM);
    procs_signal_tree(SIGTERM);
    procs_signal_tree(SIGCONT); /* one that is stopped would not hear it */
}

static void check_limits(exec *e, pw_usec now)
{
    const exec_spec *s = e->spec;
    run_job *r = e->r;
    if (e->why == EXEC_EXITED && e->watch_at >= 0 && now >= e->watch_at) {
        exec_why met = watch_look(r);
        if (met != EXEC_EXITED)
            stop(e, met);
        e->watch_at = watch_due(r, now_of(e)); /* from the end of a look that took long */
    }
    if (r->cancelled)
        stop(e, EXEC_CANCELLED);
    if (r->stopped)
        stop(e, EXEC_STOPPED);
    if (r->no_room)
        stop(e, EXEC_NO_ROOM);
    alone_look(r);
    if (r->forsaken) {
        stop(e, EXEC_FORSAKEN);
        e->kill_at = e->killed ? e->kill_at : now; /* whatever grace it was given before */
    }
    if (r->deadline && now >= r->deadline) {
        r->timed_out = true;
        stop(e, EXEC_JOB_TIMEOUT);
    }
    if (e->why == EXEC_EXITED && s->timeout && now >= e->begin + s->timeout)
        stop(e, EXEC_TIMEOUT);
    if (e->why == EXEC_EXITED && s->idle && !e->full_since && now >= e->last_read + s->idle)
        stop(e, EXEC_IDLE);
    if (e->why == EXEC_EXITED || now < e->kill_at)
        return;
    if (!e->killed) {
        e->killed = true;
        e->kill_at = now + STUCK_US;
        procs_kill_tree(&r->group);
        if (e->pid)
            (void)kill(-e->pid, SIGKILL);
    } else {
        e->why = EXEC_STUCK;
        e->pid = 0;
    }
}

/* ---- output */

/* The journal refused a frame, or took it again. */
static void set_full(exec *e, bool full, pw_usec now)
{
    if (full) {
        if (!e->full_since)
            e->full_since = now;
        e->retry_at = now + e->r->host->retry;
        if (now >= e->full_since + e->r->host->give_up)
            e->r->no_room = true;
    } else if (e->full_since) {
        e->full_since = 0;
        e->last_read = now; /* the step could not write meanwhile */
    }
}

static void pump(exec *e, pw_usec now)
{
    bool full = false;
    for (int i = 0; i < PW_STREAMS; i++)
        if (e->r->stream[i].shared && out_pump(&e->r->stream[i], now, NULL) < 0)
            full = true;
    set_full(e, full, now);
}

/* Output that nobody will store any more is read, so that the step can end. */
static void throw_away(int *fd)
{
    char dump[65536];
    ssize_t n;
    while ((n = read(*fd, dump, sizeof(dump))) > 0)
        ;
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
        pw_closep(fd);
}

static void read_stream(exec *e, int i)
{
    out_stream *o = &e->r->stream[i];
    const pw_host *clock = e->r->host->clock;
    for (int k = 0; k < READS_ONCE && e->in[i] >= 0; k++) {
        size_t room;
        uint8_t *p = out_room(o, &room);
        if (!room) {
            pw_usec now = pw_now(clock);
            int rc = out_pump(o, now, NULL);
            set_full(e, rc < 0, now);
            if (rc < 0)
                return;
            continue;
        }
        ssize_t n = read(e->in[i], p, room);
        if (n > 0) {
            pw_buf *copy = e->spec->copy;
            size_t left = copy ? copy->max - copy->len : 0;
            if (left > 0)
                (void)pw_buf_add(copy, p, (size_t)n < left ? (size_t)n : left);
            e->last_read = pw_now(clock);
            if (!e->spec->hidden)
                out_fed(o, (size_t)n, e->last_read, pw_wall(clock));
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            pw_closep(&e->in[i]); /* EIO: the last slave of a pty is closed */
        }
        if (n < (ssize_t)room && !e->spec->pty)
            return; /* a short read emptied the pipe */
    }
}

/* ---- the rounds */

static void reap(exec *e)
{
    struct rusage u;
    int status;
    pid_t pid;
    while ((pid = wait4(-1, &status, WNOHANG, &u)) > 0) {
        procs_add_usage(&e->usage, &u);
        if (pid == e->pid) {
            e->pid = 0;
            e->status = status;
        }
    }
    e->left = pid == 0;
}

static pw_usec earlier(pw_usec a, pw_usec b)
{
    return b >= 0 && (a < 0 || b < a) ? b : a;
}

/* When something is to be done even if nothing happens; -1: never. */
static pw_usec next_due(const exec *e)
{
    const exec_spec *s = e->spec;
    pw_usec at = writer_due(&e->r->writer);
    if (e->full_since)
        at = earlier(at, e->retry_at);
    for (int i = 0; i < PW_STREAMS && !e->full_since; i++)
        if (e->r->stream[i].shared)
            at = earlier(at, out_due(&e->r->stream[i]));
    if (e->ended)
        return e->full_since ? at : earlier(at, e->drain_until);
    if (e->r->deadline && e->why == EXEC_EXITED)
        at = earlier(at, e->r->deadline);
    if (e->why != EXEC_EXITED)
        return earlier(at, e->kill_at);
    at = earlier(at, e->watch_at);
    at = earlier(at, alone_due(e->r));
    if (s->timeout)
        at = earlier(at, e->begin + s->timeout);
    if (s->idle && !e->full_since) {
        at = earlier(at, e->last_read + s->idle);
        /* never long without a look, so that a pause of ours is told from waiting */
        at = earlier(at, now_of(e) + (s->idle / 16 > PAUSE_US ? s->idle / 16 : PAUSE_US));
    }
    return at;
}

static void wait_round(exec *e)
{
    struct pollfd p[2 + PW_STREAMS] = {{.fd = e->r->signals, .events = POLLIN},
                                       {.fd = e->r->control, .events = POLLIN}};
    bool readable = !e->full_since;
    for (int i = 0; i < PW_STREAMS; i++)
        p[2 + i] = (struct pollfd){.fd = readable ? e->in[i] : -1, .events = POLLIN};
    pw_usec before = now_of(e), due = next_due(e);
    pw_usec left = due < 0 ? -1 : due > before ? due - before : 0;
    struct timespec ts = {.tv_sec = left / 1000000, .tv_nsec = left % 1000000 * 1000};
    int n = ppoll(p, 2 + PW_STREAMS, due < 0 ? NULL : &ts, NULL);
    if (n > 0 && (p[0].revents || p[1].revents))
        run_listen(e->r);
    for (int i = 0; i < PW_STREAMS && n > 0; i++)
        if (p[2 + i].revents)
            read_stream(e, i);
    /* a runner that was itself stopped did not read: that is not the step's silence, whatever woke
     * it then */
    pw_usec now = now_of(e), late = now - e->looked - (left > 0 ? left : 0);
    if (due >= 0 && late > PAUSE_US && e->last_read < before)
        e->last_read = e->last_read + late < now ? e->last_read + late : now;
    e->looked = now;
}

/* A step that is ended by force is over when all its processes are, or when grace is: they have it
 * as well as the first one. */
static bool running(const exec *e)
{
    return e->pid || (e->why != EXEC_EXITED && e->left && !e->killed);
}

static void round_once(exec *e)
{
    wait_round(e);
    pw_usec now = now_of(e);
    if (!e->full_since || now >= e->retry_at)
        pump(e, now);
    writer_tick(&e->r->writer, now);
    if (!e->ended) {
        reap(e);
        if (running(e))
            check_limits(e, now);
        return;
    }
    if (e->full_since)
        e->drain_until = now + RUN_DRAIN_US;
}

static void drain(exec *e)
{
    e->drain_until = now_of(e) + RUN_DRAIN_US;
    while (e->in[0] >= 0 || e->in[1] >= 0) {
        if (e->r->no_room) {
            for (int i = 0; i < PW_STREAMS; i++)
                if (e->in[i] >= 0)
                    throw_away(&e->in[i]);
            break;
        }
        /* what is in the pipe comes out without waiting, whoever holds it */
        round_once(e);
        if (now_of(e) < e->drain_until || e->full_since)
            continue;
        for (int i = 0; i < PW_STREAMS; i++) {
            char name[PROCS_NAME + 1] = "?";
            pid_t pid = e->in[i] >= 0 ? procs_pipe_holder(e->in[i]) : 0;
            if (pid)
                (void)procs_name(pid, name);
            if (e->in[i] >= 0)
                say(e, "the output is still held open by process", pid,
                    pid ? name : "not visible here", ", not waiting for it");
        }
        break;
    }
    pw_closep(&e->in[0]);
    pw_closep(&e->in[1]);
}

/* What the step wrote until its end goes before what is said of those it left behind. These may go
 * on writing: what a pipe can hold is enough. */
static void read_last(exec *e)
{
    for (int i = 0; i < PW_STREAMS; i++) {
        int left = 0;
        if (e->in[i] < 0 || ioctl(e->in[i], FIONREAD, &left) < 0)
            continue;
        for (int n = 0; left > 0 && n < PIPE_BYTES / 4096 && !e->full_since; n++) {
            read_stream(e, i);
            if (e->in[i] < 0 || ioctl(e->in[i], FIONREAD, &left) < 0)
                left = 0;
        }
    }
}

int exec_run(run_job *r, const exec_spec *spec, step_result *step, exec_end *ret, pw_err *err)
{
    exec e = {.r = r, .spec = spec, .step = step, .in = {-1, -1}};
    e.inside = (inside_start){.fds = {-1, -1}, .status = -1};
    e.begin = e.last_read = e.looked = now_of(&e);
    e.watch_at = watch_due(r, e.begin);
    int rc = start(&e, err);
    if (rc < 0) {
        pw_closep(&e.in[0]);
        pw_closep(&e.in[1]);
        inside_end(r, spec, &e.inside);
        return rc;
    }
    while (running(&e)) {
        round_once(&e);
        if (e.r->no_room)
            for (int i = 0; i < PW_STREAMS; i++)
                if (e.in[i] >= 0)
                    throw_away(&e.in[i]);
    }
    e.ended = true;
    read_last(&e);
    if (!procs_sweep(r->host->clock, &r->group, &e.usage, on_survivor, &e) && e.why < EXEC_STUCK)
        e.why = EXEC_STUCK;
    say_more(&e);
    if (e.why == EXEC_EXITED)
        e.why = watch_last(r); /* a step that ended by itself may have met one before */
    if (e.why == EXEC_EXITED && !inside_worked(r, spec, &e.inside, e.status))
        e.why = EXEC_NOT_INSIDE;
    drain(&e);
    inside_end(r, spec, &e.inside);
    step->cpu_ms += e.usage.cpu_us / 1000;
    if (e.usage.max_rss > step->max_rss)
        step->max_rss = e.usage.max_rss;
    step->read_bytes += e.usage.read_bytes;
    step->write_bytes += e.usage.write_bytes;
    *ret = (exec_end){.why = e.why, .status = e.status, .stuck = e.stuck};
    memcpy(ret->stuck_name, e.stuck_name, sizeof(e.stuck_name));
    return 0;
}

void exec_finish_output(run_job *r)
{
    pw_usec until = pw_now(r->host->clock) + r->host->give_up;
    for (int i = 0; i < PW_STREAMS; i++) {
        while (r->stream[i].shared && !r->no_room && out_finish(&r->stream[i], NULL) < 0) {
            if (pw_now(r->host->clock) >= until)
                r->no_room = true;
            else
                (void)poll(NULL, 0, (int)(r->host->retry / 1000));
        }
    }
}

static void judge_status(int status, step_result *s)
{
    if (WIFSIGNALED(status)) {
        int sig = WTERMSIG(status);
        const char *name = sigabbrev_np(sig);
        s->signal = (uint64_t)sig;
        step_fail(s, PW_FAILURE, "killed by signal %d (%s)", sig, name ? name : "?");
    } else if (WEXITSTATUS(status)) {
        s->exit_code = (uint64_t)WEXITSTATUS(status);
        step_fail(s, PW_FAILURE, "exit code %d", WEXITSTATUS(status));
    }
}

void exec_judge(const run_job *r, const exec_spec *spec, const exec_end *end, step_result *s)
{
    char text[32];
    s->result = PW_SUCCESS;
    judge_status(end->status, s);
    switch (end->why) {
    case EXEC_EXITED:
        break;
    case EXEC_PROCESSES:
        step_fail(s, PW_FAILURE, "more than %" PRIu64 " processes", r->host->limits.processes);
        break;
    case EXEC_MEMORY:
        step_fail(s, PW_FAILURE, "memory limit of %s reached",
                  watch_size_text(r->host->limits.memory, text));
        break;
    case EXEC_TIMEOUT:
        step_fail(s, PW_FAILURE, "timeout after %s", pw_duration_text(spec->timeout, text));
        break;
    case EXEC_IDLE:
        step_fail(s, PW_FAILURE, "no output for %s", pw_duration_text(spec->idle, text));
        break;
    case EXEC_JOB_TIMEOUT:
        step_fail(s, PW_FAILURE, "job timeout after %s",
                  pw_duration_text((pw_usec)r->spec.timeout_ms * 1000, text));
        break;
    case EXEC_CANCELLED:
        step_fail(s, PW_CANCELLED, "%s", r->cancel_text);
        break;
    case EXEC_NO_ROOM:
        step_fail(s, PW_EXCEPTION, "no room in the spool");
        break;
    case EXEC_FORSAKEN:
        s->result = PW_EXCEPTION;
        alone_text(r, s->reason, sizeof(s->reason));
        break;
    case EXEC_STOPPED:
        step_fail(s, PW_EXCEPTION, "the runner was told to end by signal %d", r->stopped);
        break;
    case EXEC_STUCK:
        if (end->stuck)
            step_fail(s, PW_EXCEPTION, "process %d (%s) of the step does not end, not even by KILL",
                      (int)end->stuck, end->stuck_name);
        else
            step_fail(s, PW_EXCEPTION, "a process of the step does not end, not even by KILL");
        break;
    case EXEC_NOT_INSIDE:
        step_fail(s, PW_EXCEPTION, "isolation %s could not be entered, the log says why",
                  iso_kind_name(r->in.kind));
        break;
    }
}
