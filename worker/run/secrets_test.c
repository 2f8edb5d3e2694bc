/* Secrets from their file to a step, and no further. */
#include <sys/stat.h>

#include "tests/tap.h"
#include "worker/run/fixture.h"

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

static const char token[] = "hunter22 & \"more\"";

static bool give(scene *s, const char *name, const char *value, size_t n, uint64_t attempt)
{
    PW_AUTO(pw_freep) char *path = spool_path_secrets(s->f.spool, fix_id(&s->job));
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_JOB_SECRETS_MAX);
    msg_secret one = {(char *)(uintptr_t)name, {(uint8_t *)(uintptr_t)value, n}};
    job_secrets all = {s->job.epoch, attempt, {&one, 1}};
    return path && pw_schema_encode(&job_secrets_schema, &all, &b, NULL) == 0 &&
           pw_fs_replace(path, b.p, b.len, 0600, NULL) == 0;
}

/* A job whose steps have TOKEN from secret "token". */
static bool make(scene *s, const char *first, const char *second)
{
    if (!fix_open(&s->f) || !fix_job(&s->f, &s->job, "a", first, "b", second, NULL))
        return false;
    msg_pair *env = calloc(1, sizeof(*env));
    char **names = calloc(1, sizeof(*names));
    if (env)
        *env = (msg_pair){fix_dup("TOKEN"), fix_dup("${secret:token}")};
    if (names)
        *names = fix_dup("token");
    s->job.env = (pw_list){env, env ? 1 : 0};
    s->job.secrets = (pw_strs){names, names ? 1 : 0};
    return env && names && env->name && env->value && *names;
}

static bool no_file(const scene *s)
{
    PW_AUTO(pw_freep) char *path = spool_path_secrets(s->f.spool, fix_id(&s->job));
    return path && access(path, F_OK) < 0;
}

static void test_steps(void)
{
    PW_AUTO(scene_close) scene s = {0};
    bool ready =
        make(&s,
             "echo \"it is $TOKEN.\"; printf %s \"$TOKEN\" | base64; printf hunter; sleep 0.05; "
             "printf '22 & \"more\"'; echo; echo '::add-mask::later'; echo later",
             "ls ../../../../jobs; echo later; printf 'half of it: hunter22 & \"mo'; exit 3");
    ready = ready && give(&s, "token", token, strlen(token), s.job.attempt);
    ok(ready && fix_run(&s.f, &s.job, &s.v), "a job with a secret");
    ok(fix_is(fix_text(&s.v, 0, 0), "it is ***.\n***I=\n***\n::add-mask::***\n***\n"),
       "a step has it, its log has not");
    ok(strstr(fix_text(&s.v, 1, 0), ".job") && !strstr(fix_text(&s.v, 1, 0), "secrets") &&
           no_file(&s),
       "no step sees the file");
    ok(strstr(fix_text(&s.v, 1, 0), "\n***\nhalf of it: hunter22 & \"mo"),
       "what a line added stays masked; what never came whole is shown at the end");
    ok(s.v.step[0].lines == 5 && s.v.step[0].bytes == strlen(fix_text(&s.v, 0, 0)),
       "lines and bytes are those of the log");
    ok(!memmem(s.v.journal.p, s.v.journal.len, "hunter22 & \"more", 16), "nor has the journal");
}

static void test_reason(void)
{
    PW_AUTO(scene_close) scene s = {0};
    bool ready =
        make(&s, "unused", "unused") && give(&s, "token", token, strlen(token), s.job.attempt);
    if (ready) { /* somebody wrote the value itself into the job */
        free(fix_step(&s.job, 0)->dir);
        fix_step(&s.job, 0)->dir = fix_dup(token);
    }
    ok(ready && fix_run(&s.f, &s.job, &s.v), "a step that fails");
    ok(fix_is(s.v.step[0].reason, "dir \"***\" does not exist") ||
           (s.v.step[0].reason && strstr(s.v.step[0].reason, "***")),
       "its reason is masked: %s", s.v.step[0].reason ? s.v.step[0].reason : "-");
    ok(s.v.end.reason && strstr(s.v.end.reason, "***") && !strstr(s.v.end.reason, "hunter"),
       "and the job's");
}

static bool refused(const char *name, const char *value, size_t n, bool other, const char *why)
{
    PW_AUTO(scene_close) scene s = {0};
    bool ready = make(&s, "echo ran", "echo ran");
    if (ready && name)
        ready = give(&s, name, value, n, s.job.attempt + other);
    return ready && fix_run(&s.f, &s.job, &s.v) && s.v.starts == 1 && s.v.ends == 1 &&
           s.v.end.result == PW_EXCEPTION && s.v.end.reason && strstr(s.v.end.reason, why) &&
           !s.v.started[0] && !s.v.ended[0] && no_file(&s) &&
           (!n || !memmem(s.v.journal.p, s.v.journal.len, value, n));
}

static void test_refused(void)
{
    ok(refused(NULL, NULL, 0, false, "not here any more"), "no file: exception, no step");
    ok(refused("token", token, strlen(token), true, "damaged"), "a file of another attempt");
    ok(refused("token", "abc", 3, false, "less than 4"), "a value that cannot be masked");
    ok(refused("token", "abcd\0efg", 8, false, "zero"), "a value with a zero byte");
}

static void test_stderr(void)
{
    PW_AUTO(scene_close) scene s = {0};
    bool ready =
        make(&s,
             "printf 'a hunter22 '; printf 'b hunter22 ' >&2; sleep 0.05; printf '& \"more\" c'; "
             "printf '& \"more\" d' >&2",
             "echo \"$TOKEN\"") &&
        give(&s, "token", token, strlen(token), s.job.attempt);
    if (ready)
        fix_step(&s.job, 0)->stderr_separate = true;
    ok(ready && fix_run(&s.f, &s.job, &s.v), "two streams");
    ok(fix_is(fix_text(&s.v, 0, 0), "a *** c") && fix_is(fix_text(&s.v, 0, 1), "b *** d"),
       "each is masked by itself");
}

/* The budget is cut by what is written, not by what was read; nothing is lost at its borders. */
static void test_budget(void)
{
    PW_AUTO(scene_close) scene s = {0};
    bool ready = make(&s,
                      "i=0; while [ $i -lt 400 ]; do echo \"line $i $TOKEN\"; i=$((i+1)); done; "
                      "printf 'hunter22 & \"mor'",
                      "printf 'x%.0s' $(seq 3060); printf '%s' \"$TOKEN $TOKEN\"; echo") &&
                 give(&s, "token", token, strlen(token), s.job.attempt);
    if (ready)
        fix_step(&s.job, 0)->log_limit = fix_step(&s.job, 1)->log_limit = 4096;
    ok(ready && fix_run(&s.f, &s.job, &s.v), "a small budget");
    const char *log = fix_text(&s.v, 0, 0);
    ok(s.v.cut[0] && strncmp(log, "line 0 ***\nline 1 ***\n", 22) == 0 &&
           strstr(log, "\nline 399 ***\nhunter22 & \"mor") && !strstr(log, token),
       "its beginning and end, masked");
    ok(strlen(log) + s.v.cut[0] == s.v.step[0].bytes, "and all bytes are accounted for");
    ok(strlen(fix_text(&s.v, 1, 0)) == 3068 && !s.v.cut[1] &&
           strstr(fix_text(&s.v, 1, 0), "x*** ***\n"),
       "held back at the border between head and ring");
}

int main(void)
{
    test_steps();
    test_reason();
    test_refused();
    test_stderr();
    test_budget();
    return tap_done();
}
