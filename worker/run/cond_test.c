#include "worker/run/cond.h"

#include <string.h>

#include "tests/tap.h"

int main(void)
{
    static const struct {
        const char *cond;
        pw_result so_far;
        int want; /* 1, 0 or a code */
    } rows[] = {
        {NULL, PW_FAILURE, 1},
        {"branch == 'master'", PW_SKIPPED, 1},
        {"branch != 'master'", PW_SKIPPED, 0},
        {"project == 'p' and builder == 'b' and worker == 'w1'", PW_SKIPPED, 1},
        {"revision =~ '^[0-9a-f]{4}$'", PW_SKIPPED, 1},
        {"attempt == 1 and build_id == 7", PW_SKIPPED, 1},
        {"suite == 'all'", PW_SKIPPED, 1},
        {"jobs > 3", PW_SKIPPED, 1},
        {"deploy", PW_SKIPPED, 0},
        {"result == 'success'", PW_SKIPPED, 1},
        {"result == 'failure'", PW_FAILURE, 1},
        {"result in ('failure', 'exception')", PW_WARNINGS, 0},
        {"event == 'force' and reason =~ 'release'", PW_SKIPPED, 1},
        {"nobody == 1", PW_SKIPPED, PW_ENOTFOUND},
        {"suite > 3", PW_SKIPPED, PW_EINVAL},
        {"suite >", PW_SKIPPED, PW_EINVAL},
    };
    msg_pair props[] = {
        {(char *)(uintptr_t) "suite", (char *)(uintptr_t) "all"},
        {(char *)(uintptr_t) "jobs", (char *)(uintptr_t) "4"},
        {(char *)(uintptr_t) "deploy", (char *)(uintptr_t) "false"},
    };
    job_spec job = {.build = 7,
                    .try_no = 1,
                    .attempt = 99,
                    .project = (char *)(uintptr_t) "p",
                    .builder = (char *)(uintptr_t) "b",
                    .branch = (char *)(uintptr_t) "master",
                    .revision = (char *)(uintptr_t) "abcd",
                    .worker = (char *)(uintptr_t) "w1",
                    .reason = (char *)(uintptr_t) "a release",
                    .event = (char *)(uintptr_t) "force",
                    .props = {props, 3}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        pw_err err = {0};
        bool got = false;
        job_step s = {.cond = (char *)(uintptr_t)rows[i].cond};
        int r = cond_holds(&job, &s, rows[i].so_far, &got, &err);
        ok((r < 0 ? r : got) == rows[i].want && (r == 0 || strstr(err.text, rows[i].cond)),
           "%s: %d %s", rows[i].cond ? rows[i].cond : "none", rows[i].want, err.text);
    }
    return tap_done();
}
