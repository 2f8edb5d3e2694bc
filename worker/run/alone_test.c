/* A job that holds a lock exclusively, and a master that is gone. */
#include "worker/run/alone.h"

#include <string.h>

#include "tests/tap.h"
#include "worker/run/fixture.h"
#include "worker/spool/heard.h"

static pw_usec fake_now;
static pw_usec now(void *self)
{
    (void)self;
    return fake_now;
}

/* The rule, with a clock of its own. */
static void test_rule(void)
{
    char dir[] = "/tmp/pawl-alone-XXXXXX";
    const pw_host clock = {.now = now};
    run_host host = {.clock = &clock, .spool = dir};
    job_lock locks[] = {{(char *)(uintptr_t) "two", false, 0}, {(char *)(uintptr_t) "db", true, 2}};
    run_job r = {.host = &host, .spec = {.lost_after_ms = 30000, .locks = {locks, 2}}};
    char text[200];
    fake_now = 1000 * INT64_C(1000000);
    if (!mkdtemp(dir))
        return;
    int fd = spool_heard_open(dir, NULL);
    if (fd < 0 || spool_heard_put(fd, fake_now - 10000000, NULL) < 0) {
        ok(fd == PW_ENOMEM, "no memory");
        goto out;
    }
    alone_begin(&r);
    alone_look(&r);
    ok(!r.forsaken && alone_due(&r) == fake_now + 1000000, "heard 10 s ago; looked at each second");
    fake_now += 20 * INT64_C(1000000);
    alone_look(&r);
    ok(!r.forsaken, "30 s: at the limit");
    r.step = 2;
    fake_now += 3600 * INT64_C(1000000);
    alone_look(&r);
    ok(!r.forsaken && alone_due(&r) == -1, "the lock was given back by step 2");
    r.step = 1;
    (void)spool_heard_put(fd, fake_now - 30000000, NULL);
    alone_look(&r);
    ok(!r.forsaken, "heard again");
    fake_now += 1001000;
    alone_look(&r);
    alone_text(&r, text, sizeof(text));
    ok(r.forsaken && strstr(text, "it holds lock \"db\" exclusively, and there was no sign of the "
                                  "master for 30s"),
       "beyond: %s", text);
    r.forsaken = false;
    (void)spool_heard_put(fd, fake_now + 5, NULL);
    r.alone_at = 0;
    alone_look(&r);
    ok(r.forsaken, "a time of another start of the machine is none");
    r.spec.locks.n = 1;
    r.forsaken = false;
    alone_begin(&r);
    alone_look(&r);
    ok(!r.forsaken && alone_due(&r) == -1, "a counting lock does not end a job");
out:
    if (fd >= 0)
        (void)close(fd);
    (void)pw_fs_remove_tree(dir, NULL);
}

/* Runs a job with the lock; heard_ms: so long ago the master was heard, -1 never. */
static bool run(fix *f, job_spec *job, int heard_ms, fix_view *v)
{
    job_lock *l = calloc(1, sizeof(*l));
    job->locks = (pw_list){l, l ? 1 : 0};
    if (l)
        *l = (job_lock){fix_dup("db"), true, 0};
    job->lost_after_ms = 300;
    int fd = heard_ms < 0 ? -1 : spool_heard_open(f->spool, NULL);
    bool good =
        l && l->name &&
        (heard_ms < 0 ||
         (fd >= 0 && spool_heard_put(fd, pw_now(&pw_host_real) - heard_ms * 1000LL, NULL) == 0));
    pw_closep(&fd);
    return good && fix_run(f, job, v);
}

static void test_runner(int heard_ms, bool begins)
{
    fix f;
    job_spec job = {0};
    fix_view v = {0};
    bool ready =
        fix_open(&f) && fix_job(&f, &job, "a", "trap '' TERM; sleep 100", "b", "true", NULL);
    if (ready && job.steps.n == 2) {
        fix_step(&job, 0)->no_flunk = fix_step(&job, 0)->no_halt = true;
        fix_step(&job, 1)->always = true;
    }
    ok(ready && run(&f, &job, heard_ms, &v) && v.ends == 1 && v.end.result == PW_EXCEPTION &&
           v.end.reason && strstr(v.end.reason, "exclusively"),
       "heard %d ms ago: %s", heard_ms, v.end.reason ? v.end.reason : "");
    ok(v.started[0] == (begins ? 1 : 0) && v.started[1] == 0,
       "whatever its flags, nothing runs after it");
    fix_view_clear(&v);
    fix_free_job(&job);
    fix_close(&f);
}

int main(void)
{
    test_rule();
    test_runner(-1, false);
    test_runner(1000, false);
    test_runner(0, true);
    return tap_done();
}
