#include "shared/job/job.h"

#include <stdlib.h>
#include <string.h>

#include "tests/tap.h"

static void spec_clear(job_spec *s)
{
    pw_schema_clear(&job_spec_schema, s);
}

static void test_round_trip(void)
{
    msg_pair env = {(char *)"LANG", (char *)"C"};
    msg_pair prop = {(char *)"branch", (char *)"$(reboot)"};
    char *argv[] = {(char *)"make", (char *)"", (char *)"-j2"};
    job_step steps[] = {
        {.name = (char *)"checkout",
         .kind = (char *)"checkout",
         .mode = (char *)"clean",
         .depth = 1,
         .submodules = true},
        {.name = (char *)"build",
         .kind = (char *)"run",
         .argv = {argv, 3},
         .env = {&env, 1},
         .timeout_ms = 60000,
         .no_flunk = true,
         .warn = true,
         .dir = (char *)"src"},
    };
    job_spec in = {
        .epoch = UINT64_MAX,
        .attempt = 12,
        .build = 3,
        .try_no = 1,
        .builder = (char *)"fast",
        .project = (char *)"demo",
        .isolation = (char *)"none",
        .props = {&prop, 1},
        .steps = {steps, 2},
    };
    PW_AUTO(spec_clear) job_spec out = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_JOB_MAX);
    pw_err err = {0};
    int r = pw_schema_encode(&job_spec_schema, &in, &b, &err);
    if (r == 0)
        r = pw_schema_decode(&job_spec_schema, b.p, b.len, &out, &err);
    ok(r == 0, "a job there and back %s", err.text);
    if (r < 0)
        return;
    const job_step *s = out.steps.v;
    ok(out.epoch == UINT64_MAX && out.attempt == 12 && out.build == 3 && out.try_no == 1 &&
           !strcmp(out.builder, "fast") && !out.branch && out.steps.n == 2,
       "job");
    ok(out.props.n == 1 && !strcmp(((msg_pair *)out.props.v)->value, "$(reboot)"), "properties");
    ok(!strcmp(s[0].mode, "clean") && s[0].depth == 1 && s[0].submodules && !s[0].script,
       "checkout");
    ok(s[1].argv.n == 3 && !strcmp(s[1].argv.v[0], "make") && !*s[1].argv.v[1] && s[1].env.n == 1 &&
           s[1].timeout_ms == 60000 && !strcmp(s[1].dir, "src"),
       "run");
    pw_flags f = job_step_flags(&s[0]), g = job_step_flags(&s[1]);
    ok(memcmp(&f, &pw_flags_default, sizeof(f)) == 0, "absent flags are the defaults");
    ok(g.halt_on_failure && !g.flunk_on_failure && g.warn_on_failure && !g.always_run, "flags");
    job_step all = {.no_halt = true, .always = true};
    f = job_step_flags(&all);
    ok(!f.halt_on_failure && f.flunk_on_failure && !f.warn_on_failure && f.always_run,
       "the others");
}

static int encode_steps(job_step *steps, size_t n, pw_buf *b)
{
    job_spec s = {.builder = (char *)"b", .project = (char *)"p", .steps = {steps, n}};
    pw_buf_reset(b);
    return pw_schema_encode(&job_spec_schema, &s, b, NULL);
}

static void test_limits(void)
{
    PW_AUTO(pw_freep) job_step *steps = calloc(PW_STEPS_MAX + 1, sizeof(*steps));
    PW_AUTO(pw_freep) msg_pair *env = calloc(PW_ENV_MAX + 1, sizeof(*env));
    PW_AUTO(pw_freep) char *text = calloc(1, PW_SCRIPT_MAX + 2);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_JOB_MAX);
    if (!steps || !env || !text)
        return;
    for (size_t i = 0; i <= PW_STEPS_MAX; i++)
        steps[i] = (job_step){.name = (char *)"s", .kind = (char *)"run"};
    for (size_t i = 0; i <= PW_ENV_MAX; i++)
        env[i] = (msg_pair){(char *)"n", (char *)"v"};
    memset(text, 'x', PW_SCRIPT_MAX);
    ok(encode_steps(steps, PW_STEPS_MAX, &b) == 0, "as many steps as allowed");
    ok(encode_steps(steps, PW_STEPS_MAX + 1, &b) == PW_ELIMIT, "one step more");
    steps[0].env = (pw_list){env, PW_ENV_MAX};
    ok(encode_steps(steps, 1, &b) == 0, "as many variables as allowed");
    steps[0].env.n++;
    ok(encode_steps(steps, 1, &b) == PW_ELIMIT, "one variable more");
    steps[0].env.n = 0;
    steps[0].script = text;
    ok(encode_steps(steps, 1, &b) == 0, "the longest script");
    text[PW_SCRIPT_MAX] = 'x';
    ok(encode_steps(steps, 1, &b) == PW_ELIMIT, "one byte more");
    text[PW_SCRIPT_MAX] = '\0';
    steps[1].script = steps[2].script = text;
    ok(encode_steps(steps, 3, &b) == PW_ELIMIT && b.len == 0, "three of them are no job");
}

int main(void)
{
    test_round_trip();
    test_limits();
    return tap_done();
}
