#include "shared/job/kind.h"

#include <string.h>

#include "tests/tap.h"

int main(void)
{
    static char run[] = "run", checkout[] = "checkout", other[] = "other", name[] = "key";
    static char *secrets[] = {name};
    job_step step[] = {{.kind = checkout}, {.kind = run}, {.kind = run}, {.kind = other}};
    job_spec job = {.steps = {step, 4}};
    const char *out[JOB_MUST_MAX];
    for (unsigned i = 0; i < JOB_KINDS; i++)
        ok(job_kind_number(job_kind_name(i)) == i, "kind %u is %s", i, job_kind_name(i));
    ok(job_kind_number("runs") == JOB_KINDS && job_kind_number("") == JOB_KINDS, "unknown names");
    ok(strcmp(job_kind_name(JOB_KINDS), "run") == 0, "a number of a later version");
    ok(job_must(&job, out) == 3 && out[0] == checkout && out[1] == run && out[2] == other,
       "each kind once");
    job.secrets = (pw_strs){secrets, 1};
    ok(job_must(&job, out) == 4 && strcmp(out[3], PW_FEATURE_SECRETS) == 0, "and secrets");
    job.steps.n = 2;
    step[1].artifacts = (pw_strs){secrets, 1};
    step[1].reports.n = 1;
    ok(job_must(&job, out) == 5 && strcmp(out[2], "artifacts") == 0 &&
           strcmp(out[3], "reports") == 0,
       "and what a step leaves");
    job.steps.n = 0;
    job.secrets.n = 0;
    ok(job_must(&job, out) == 0, "an empty job needs nothing");
    return tap_done();
}
