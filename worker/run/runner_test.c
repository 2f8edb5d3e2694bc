#include "worker/run/runner.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/tap.h"
#include "worker/run/fixture.h"

/* One run of the job that is in `job`, with its view in `v`. */
typedef struct scene {
    fix f;
    job_spec job;
    fix_view v;
} scene;

static void scene_close(scene *s)
{
    fix_view_clear(&s->v);
    fix_free_job(&s->job);
    if (s->f.spool[0])
        fix_close(&s->f);
}

#define SCENE(s, ...)                                                                              \
    PW_AUTO(scene_close) scene s = {0};                                                            \
    bool s##_ready = fix_open(&s.f) && fix_job(&s.f, &s.job, __VA_ARGS__, NULL)

static bool run(scene *s, bool ready)
{
    return ready && fix_run(&s->f, &s->job, &s->v);
}

static void set(char **field, const char *text)
{
    free(*field);
    *field = fix_dup(text);
}

static bool step_is(const scene *s, int i, pw_result result, const char *reason)
{
    const rec_step_end *e = &s->v.step[i];
    if (s->v.started[i] != 1 || s->v.ended[i] != 1 || !e->ran || e->result != (uint64_t)result)
        return false;
    return reason ? fix_is(e->reason, reason) : !e->reason;
}

static bool skipped(const scene *s, int i)
{
    return s->v.started[i] == 0 && s->v.ended[i] == 1 && !s->v.step[i].ran &&
           s->v.step[i].result == PW_SKIPPED;
}

static bool job_is(const scene *s, pw_result result, const char *reason)
{
    const rec_end *e = &s->v.end;
    if (s->v.starts != 1 || s->v.ends != 1 || e->result != (uint64_t)result)
        return false;
    return reason ? fix_is(e->reason, reason) : !e->reason;
}

static void test_success(void)
{
    SCENE(s, "hello", "echo hello; echo err >&2; printf 'no end'", "two", "pwd; exit 0");
    spool_note n[20];
    ok(run(&s, s_ready), "a job runs");
    ok(job_is(&s, PW_SUCCESS, NULL) && step_is(&s, 0, PW_SUCCESS, NULL) &&
           step_is(&s, 1, PW_SUCCESS, NULL),
       "success");
    ok(fix_is(fix_text(&s.v, 0, 0), "hello\nerr\nno end"), "both streams in order");
    ok(s.v.step[0].lines == 2 && s.v.step[0].bytes == 16 && s.v.step[0].max_rss > 0, "counted");
    PW_AUTO(pw_freep) char *work = pw_strf("%s/work/p/b/1", s.f.spool);
    PW_AUTO(pw_freep) char *line = pw_strf("%s\n", work ? work : "");
    ok(fix_is(s.v.start.workdir, work) && fix_is(fix_text(&s.v, 1, 0), line),
       "in its work directory");
    int got = spool_notes_get(s.f.host.notes, n, 20);
    ok(got >= 1 && n[got - 1].length == s.v.journal.len && n[got - 1].job.attempt == 1,
       "the last note tells the length");
    size_t len = s.v.journal.len;
    fix_view_clear(&s.v);
    ok(fix_wait(fix_start(&s.f, &s.job)) == 0 && fix_look(&s.f, &s.job, &s.v) &&
           s.v.journal.len == len,
       "a begun job is left alone");
    PW_AUTO(pw_freep) char *tmp = pw_strf("%s/work/p/b/1.tmp", s.f.spool);
    ok(tmp && rmdir(tmp) == 0, "TMPDIR is empty");
}

static void test_failures(void)
{
    SCENE(s, "a", "echo x; exit 3", "b", "true", "c", "echo tidy");
    if (s_ready)
        fix_step(&s.job, 2)->always = true;
    ok(run(&s, s_ready) && job_is(&s, PW_FAILURE, "step \"a\": exit code 3"),
       "failure and its reason");
    ok(step_is(&s, 0, PW_FAILURE, "exit code 3") && s.v.step[0].exit_code == 3, "exit code");
    ok(skipped(&s, 1) && step_is(&s, 2, PW_SUCCESS, NULL), "halted, but for what always runs");
    SCENE(t, "a", "false", "b", "kill -9 $$", "c", "echo on");
    if (t_ready) {
        fix_step(&t.job, 0)->no_halt = fix_step(&t.job, 0)->no_flunk = fix_step(&t.job, 0)->warn =
            true;
        fix_step(&t.job, 1)->no_halt = true;
    }
    ok(run(&t, t_ready) && step_is(&t, 1, PW_FAILURE, "killed by signal 9 (KILL)") &&
           t.v.step[1].signal == 9,
       "a signal");
    ok(step_is(&t, 2, PW_SUCCESS, NULL) && job_is(&t, PW_FAILURE, "step \"a\": exit code 1"),
       "goes on where it may");
    SCENE(u, "a", "false");
    if (u_ready)
        fix_step(&u.job, 0)->no_flunk = fix_step(&u.job, 0)->warn = true;
    ok(run(&u, u_ready) && u.v.end.result == PW_WARNINGS, "a failure that only warns");
    SCENE(e, "a", "false | true; echo still; nope_nope; echo never");
    ok(run(&e, e_ready) && step_is(&e, 0, PW_FAILURE, "exit code 127") &&
           strncmp(fix_text(&e.v, 0, 0), "still\n", 6) == 0,
       "sh -e");
    SCENE(b, "a", "false | true; echo never");
    if (b_ready)
        set(&fix_step(&b.job, 0)->shell, "bash");
    ok(run(&b, b_ready) && step_is(&b, 0, PW_FAILURE, "exit code 1") && b.v.step[0].bytes == 0,
       "bash -eo pipefail");
}

static void test_exceptions(void)
{
    SCENE(s, "a", NULL, "b", "true");
    if (s_ready) {
        fix_step(&s.job, 0)->argv.v = calloc(1, sizeof(char *));
        if (fix_step(&s.job, 0)->argv.v) {
            fix_step(&s.job, 0)->argv.v[0] = fix_dup("no-such-program");
            fix_step(&s.job, 0)->argv.n = 1;
        }
    }
    ok(run(&s, s_ready) && s.v.end.result == PW_EXCEPTION && skipped(&s, 1),
       "an absent program is an exception");
    ok(s.v.step[0].reason && strstr(s.v.step[0].reason, "no-such-program"), "that names it");
    SCENE(d, "a", "true");
    if (d_ready)
        set(&fix_step(&d.job, 0)->dir, "sub/dir");
    ok(run(&d, d_ready) && d.v.end.result == PW_EXCEPTION &&
           strstr(d.v.end.reason, "sub/dir\" does not exist"),
       "dir is absent");
    SCENE(o, "a", "true");
    if (o_ready)
        set(&fix_step(&o.job, 0)->dir, "../x");
    ok(run(&o, o_ready) && o.v.end.result == PW_EXCEPTION &&
           strstr(o.v.end.reason, "not a path inside"),
       "dir is outside");
    SCENE(e, "a", "true");
    if (e_ready)
        set(&fix_step(&e.job, 0)->dir, "${nope}");
    ok(run(&e, e_ready) && e.v.end.result == PW_EXCEPTION &&
           strstr(e.v.end.reason, "unknown property \"nope\""),
       "unknown property");
    SCENE(k, "a", "true");
    if (k_ready)
        set(&fix_step(&k.job, 0)->kind, "fly");
    ok(run(&k, k_ready) &&
           job_is(&k, PW_EXCEPTION, "step \"a\": this worker knows no step of kind \"fly\""),
       "unknown kind");
    SCENE(i, "a", "true");
    if (i_ready)
        set(&i.job.isolation, "bwrap");
    ok(run(&i, i_ready) &&
           job_is(&i, PW_EXCEPTION, "this worker does not offer isolation \"bwrap\"") &&
           !i.v.started[0],
       "isolation");
    SCENE(j, "a", "true");
    PW_AUTO(pw_freep) char *path = spool_path_job(j.f.spool, fix_id(&j.job));
    bool spooled = j_ready && path && fix_spool(&j.f, &j.job) &&
                   pw_fs_replace(path, "junk", 4, 0600, NULL) == 0;
    ok(spooled && fix_wait(fix_start(&j.f, &j.job)) == 0 && fix_look(&j.f, &j.job, &j.v) &&
           j.v.starts == 1 && j.v.end.result == PW_EXCEPTION && j.v.end.reason,
       "a job that cannot be read ends");
}

static void test_limits(void)
{
    SCENE(s, "a", "echo in; sleep 100");
    if (s_ready)
        fix_step(&s.job, 0)->timeout_ms = 150;
    ok(run(&s, s_ready) && job_is(&s, PW_FAILURE, "step \"a\": timeout after 150ms"), "timeout");
    ok(fix_is(fix_text(&s.v, 0, 0), "in\n") && s.v.step[0].signal == SIGTERM,
       "by TERM, output kept");
    SCENE(t, "a", "trap '' TERM; echo in; sleep 100; sleep 100");
    if (t_ready) {
        fix_step(&t.job, 0)->timeout_ms = 150;
        fix_step(&t.job, 0)->grace_ms = 30;
    }
    ok(run(&t, t_ready) && step_is(&t, 0, PW_FAILURE, "timeout after 150ms") &&
           t.v.step[0].signal == SIGKILL,
       "KILL after grace");
    SCENE(g, "a",
          "sh -c 'trap \"sleep 0.05; echo tidied; exit\" TERM; while :; do sleep 0.01; done' & "
          "exec sleep 100");
    if (g_ready)
        fix_step(&g.job, 0)->timeout_ms = 150;
    ok(run(&g, g_ready) && step_is(&g, 0, PW_FAILURE, "timeout after 150ms") &&
           strstr(fix_text(&g.v, 0, 0), "tidied\n"),
       "children of the step have the grace too");
    ok(!strstr(fix_text(&g.v, 0, 0), "left behind"), "and who used it is not called left behind");
    SCENE(i, "a", "for i in 1 2 3; do echo $i; sleep 0.02; done; sleep 100");
    if (i_ready)
        fix_step(&i.job, 0)->idle_timeout_ms = 150;
    ok(run(&i, i_ready) && job_is(&i, PW_FAILURE, "step \"a\": no output for 150ms") &&
           i.v.step[0].bytes == 6,
       "idle timeout");
    SCENE(j, "a", "sleep 100", "b", "true", "c", "true");
    if (j_ready) {
        j.job.timeout_ms = 150;
        fix_step(&j.job, 0)->no_flunk = fix_step(&j.job, 0)->no_halt = true;
        fix_step(&j.job, 2)->always = true;
    }
    ok(run(&j, j_ready) && j.v.end.result == PW_FAILURE &&
           fix_is(j.v.end.reason, "step \"a\": job timeout after 150ms"),
       "job timeout");
    ok(skipped(&j, 1) && skipped(&j, 2), "nothing more runs");
}

/* A clock that jumps: the machine slept while the runner waited. */
enum { NAP_AT_US = 80000, NAP_US = 10000000 };
static pw_usec nap_from;
static pw_usec nap_now(void *self)
{
    pw_usec now = pw_host_real.now(self);
    return now - nap_from < NAP_AT_US ? now : now + NAP_US;
}

/* Time in which the runner did not look is not the step's silence: not when nothing woke it, and
 * not when the end of a process did. */
static void test_nap(void)
{
    static const char *const script[] = {"sleep 0.25", "(sleep 0.12 &); sleep 0.25"};
    for (int i = 0; i < 2; i++) {
        SCENE(s, "a", script[i]);
        pw_host clock = pw_host_real;
        clock.now = nap_now;
        if (s_ready) {
            s.f.host.clock = &clock;
            fix_step(&s.job, 0)->idle_timeout_ms = i ? 2000 : 150;
        }
        nap_from = pw_now(&pw_host_real);
        if (i)
            ok(run(&s, s_ready) && job_is(&s, PW_SUCCESS, NULL), "a nap of 10 s is no silence");
        else
            ok(run(&s, s_ready) && job_is(&s, PW_FAILURE, "step \"a\": no output for 150ms"),
               "what it saw itself is");
    }
}

/* Waits until the step has made the file `go`, at most 5 s. */
static bool wait_go(const scene *s)
{
    PW_AUTO(pw_freep) char *go = pw_strf("%s/work/p/b/1/go", s->f.spool);
    for (int i = 0; go && i < 2500; i++) {
        if (access(go, F_OK) == 0)
            return true;
        (void)poll(NULL, 0, 2);
    }
    return false;
}

static void test_cancel(void)
{
    SCENE(s, "a", "touch go; sleep 100", "b", "true", "c", "true");
    if (s_ready)
        fix_step(&s.job, 2)->always = true;
    pid_t pid = s_ready && fix_spool(&s.f, &s.job) ? fix_start(&s.f, &s.job) : -1;
    bool sent =
        pid > 0 && wait_go(&s) &&
        spool_control_send(s.f.id, fix_id(&s.job), SPOOL_CANCEL, "by ann: wrong branch", NULL) == 0;
    if (!sent && pid > 0)
        (void)kill(pid, SIGKILL);
    ok(sent && fix_wait(pid) == 0 && fix_look(&s.f, &s.job, &s.v), "a running job is cancelled");
    ok(step_is(&s, 0, PW_CANCELLED, "by ann: wrong branch") &&
           job_is(&s, PW_CANCELLED, "step \"a\": by ann: wrong branch"),
       "with who and why");
    ok(skipped(&s, 1) && skipped(&s, 2), "nothing runs after it");
    SCENE(t, "a", "touch go; sleep 100");
    pid = t_ready && fix_spool(&t.f, &t.job) ? fix_start(&t.f, &t.job) : -1;
    sent = pid > 0 && wait_go(&t) && kill(pid, SIGTERM) == 0;
    if (!sent && pid > 0)
        (void)kill(pid, SIGKILL);
    ok(sent && fix_wait(pid) == 0 && fix_look(&t.f, &t.job, &t.v) &&
           t.v.end.result == PW_EXCEPTION && strstr(t.v.end.reason, "told to end by signal 15"),
       "a runner that is told to end says so");
}

static void test_survivors(void)
{
    SCENE(s, "a", "sleep 100 & setsid sleep 101 & sleep 0.03; echo done", "b", "echo next");
    pw_usec before = pw_now(&pw_host_real);
    ok(run(&s, s_ready) && job_is(&s, PW_SUCCESS, NULL),
       "what holds the output does not hold the step");
    ok(pw_now(&pw_host_real) - before < 1500000, "nor does it make it wait");
    const char *log = fix_text(&s.v, 0, 0), *first = strstr(log, "pawl: killed process ");
    ok(strncmp(log, "done\n", 5) == 0 && first && strstr(first + 1, "pawl: killed process ") &&
           strstr(log, "(sleep), left behind by this step\n"),
       "both are killed and named");
    ok(fix_is(fix_text(&s.v, 1, 0), "next\n"), "the next step begins clean");
}

/* The last words of a step come between our last look at its pipe and its end, if they can: of many
 * steps some hit that moment. */
static void test_last_words(void)
{
    static const char text[] = "sleep 100 & for i in 1 2 3 4 5 6 7 8 9; do echo $i; done; echo end";
    static const char want[] = "1\n2\n3\n4\n5\n6\n7\n8\n9\nend\npawl: killed process ";
    bool ran = true, first = true;
    for (int k = 0; ran && k < 5; k++) {
        SCENE(s, "a", text, "b", text, "c", text, "d", text);
        ran = run(&s, s_ready);
        for (int i = 0; ran && i < 4; i++)
            first = first && !strncmp(fix_text(&s.v, i, 0), want, sizeof(want) - 1);
    }
    ok(ran && first, "what a step wrote stands before what is said of those it left behind");
}

static void add_pair(pw_list *l, const char *name, const char *value)
{
    msg_pair *v = realloc(l->v, (l->n + 1) * sizeof(*v));
    if (!v)
        return;
    l->v = v;
    v[l->n++] = (msg_pair){.name = fix_dup(name), .value = fix_dup(value)};
}

static void test_environment(void)
{
    SCENE(s, "a",
          "echo \"$PAWL_BUILDER $PAWL_BUILD_ID $X $cc $CI\"; echo $PAWL_WORKDIR; test -d $TMPDIR; "
          ": >$TMPDIR/f; umask",
          "b", "test -e $TMPDIR/f; pwd; cat; echo e >&2", "c", NULL);
    if (s_ready) {
        add_pair(&s.job.env, "X", "x-${cc}");
        add_pair(&s.job.props, "cc", "gcc 12; reboot");
        fix_step(&s.job, 1)->stderr_separate = true;
        set(&fix_step(&s.job, 1)->dir, "sub${cc:+dir}");
        job_step *c = fix_step(&s.job, 2);
        c->script = malloc(200001);
        if (c->script) {
            memset(c->script, '#', 200000);
            memcpy(c->script + 199990, "\necho long", 11);
        }
    }
    ok(s_ready && s.job.steps.n == 3, "scene");
    PW_AUTO(pw_freep) char *sub = pw_strf("%s/work/p/b/1/subdir", s.f.spool);
    ok(sub && pw_fs_mkdirs(sub, 0755, NULL) == 0 && run(&s, s_ready) &&
           job_is(&s, PW_SUCCESS, NULL),
       "the environment of a step");
    PW_AUTO(pw_freep)
    char *want =
        pw_strf("b 7 x-gcc 12; reboot gcc 12; reboot true\n%s/work/p/b/1\n0022\n", s.f.spool);
    ok(fix_is(fix_text(&s.v, 0, 0), want), "variables, properties as text, umask");
    PW_AUTO(pw_freep) char *pwd = pw_strf("%s\n", sub ? sub : "");
    ok(fix_is(fix_text(&s.v, 1, 0), pwd) && fix_is(fix_text(&s.v, 1, 1), "e\n"),
       "dir, empty stdin, stderr apart");
    ok(s.v.step[1].lines == 2, "both streams are counted");
    ok(fix_is(fix_text(&s.v, 2, 0), "long\n"), "a script longer than an argument may be");
}

static void test_pty_and_big(void)
{
    SCENE(s, "a", "test -t 0 && test -t 1 && test -t 2 && stty size && echo tty", "b",
          "i=0; while [ $i -lt 3 ]; do head -c 700000 /dev/zero | tr '\\0' x; echo; i=$((i+1)); "
          "done");
    if (s_ready)
        fix_step(&s.job, 0)->pty = true;
    ok(run(&s, s_ready) && job_is(&s, PW_SUCCESS, NULL), "a pseudo terminal, a large output");
    ok(fix_is(fix_text(&s.v, 0, 0), "24 80\ntty\n"), "is a terminal, bytes as written");
    const pw_buf *b = &s.v.log[1][0];
    bool same = b->len == 3 * 700001;
    for (size_t i = 0; i < b->len && same; i++)
        same = b->p[i] == (i % 700001 == 700000 ? '\n' : 'x');
    ok(same && s.v.step[1].lines == 3 && s.v.packed >= 4, "every byte of 2 MB");
    SCENE(t, "a", "seq 100000");
    if (t_ready)
        fix_step(&t.job, 0)->log_limit = 40000;
    ok(run(&t, t_ready) && job_is(&t, PW_SUCCESS, NULL) && t.v.cut[0] > 500000 &&
           t.v.step[0].lines == 100000 && t.v.lines[0][0] == 100000 && t.v.step[0].bytes == 588895,
       "a log over its limit");
    ok(strncmp(fix_text(&t.v, 0, 0), "1\n2\n", 4) == 0 &&
           fix_is(fix_text(&t.v, 0, 0) + t.v.log[0][0].len - 7, "100000\n"),
       "beginning and end are kept");
}

/* A limit on file size stands for a full disk: appends fail from there on, but for the small
 * records that still fit. */
static void test_disk_full(void)
{
    SCENE(s, "a", "cat /dev/urandom", "b", "true");
    bool spooled = s_ready && fix_spool(&s.f, &s.job);
    if (s_ready)
        fix_step(&s.job, 0)->grace_ms = 200;
    (void)fflush(NULL);
    pid_t pid = spooled ? fork() : -1;
    if (pid == 0) {
        struct rlimit most = {.rlim_cur = 1500000, .rlim_max = 1500000};
        (void)setrlimit(RLIMIT_FSIZE, &most);
        int rc = runner_run(&s.f.host, fix_id(&s.job), NULL);
        scene_close(&(scene){.job = s.job});
        exit(rc < 0 ? 1 : 0);
    }
    ok(pid > 0 && fix_wait(pid) == 0 && fix_look(&s.f, &s.job, &s.v), "a full disk");
    ok(job_is(&s, PW_EXCEPTION, "step \"a\": no room in the spool"),
       "ends the job with that reason");
    ok(step_is(&s, 0, PW_EXCEPTION, "no room in the spool") && skipped(&s, 1),
       "and nothing more runs");
}

static void test_two_starters(void)
{
    SCENE(s, "a", "touch go; sleep 0.1; echo once");
    pid_t a = s_ready && fix_spool(&s.f, &s.job) ? fix_start(&s.f, &s.job) : -1;
    pid_t b = a > 0 && wait_go(&s) ? fix_start(&s.f, &s.job) : -1;
    ok(fix_wait(b) == 0 && fix_wait(a) == 0 && fix_look(&s.f, &s.job, &s.v), "two starters");
    ok(job_is(&s, PW_SUCCESS, NULL) && s.v.started[0] == 1 &&
           fix_is(fix_text(&s.v, 0, 0), "once\n"),
       "one run");
}

int main(void)
{
    test_success();
    test_failures();
    test_exceptions();
    test_limits();
    test_nap();
    test_cancel();
    test_survivors();
    test_last_words();
    test_environment();
    test_pty_and_big();
    test_disk_full();
    test_two_starters();
    return tap_done();
}
