#include "client/logs.h"

#include <string.h>

#include "client/cmd_log.h"
#include "tests/tap.h"

/* The text in two pieces, cut at every place. */
static bool lines_are(const char *in, const char *want, bool open)
{
    char buf[100], out[100];
    size_t n = strlen(in);
    for (size_t cut = 0; cut <= n; cut++) {
        logs_lines l = {0};
        memcpy(buf, in, n);
        size_t a = logs_lines_pass(&l, buf, cut);
        memcpy(out, buf, a);
        size_t b = logs_lines_pass(&l, buf + cut, n - cut);
        memcpy(out + a, buf + cut, b);
        if (a + b != strlen(want) || memcmp(out, want, a + b) != 0 || l.open != open)
            return false;
    }
    return true;
}

int main(void)
{
    uint64_t build = 0;
    const char *step = NULL;
    pw_err err = {0};
    ok(lines_are("a\nb\n", "a\nb\n", false), "lines stay");
    ok(lines_are("a\r\nb\r\n", "a\nb\n", false), "\\r\\n is one end");
    ok(lines_are("10%\r20%\rdone\n", "10%\n20%\ndone\n", false), "a lone \\r is one too");
    ok(lines_are("a\r\r\n\nb", "a\n\n\nb", true), "several of them; an open line");
    ok(lines_are("", "", false), "nothing");
    ok(log_target("17", &build, &step, &err) == 0 && build == 17 && !step, "a build");
    ok(log_target("18/compile", &build, &step, &err) == 0 && build == 18 && step &&
           strcmp(step, "compile") == 0,
       "a step");
    ok(log_target("18/a/b", &build, &step, &err) == 0 && step && strcmp(step, "a/b") == 0,
       "only the first / counts");
    ok(log_target("18/", &build, &step, &err) == PW_EINVAL &&
           log_target("/x", &build, &step, &err) == PW_EINVAL &&
           log_target("x", &build, &step, &err) == PW_EINVAL &&
           log_target("111111111111111111111111111/x", &build, &step, &err) == PW_EINVAL,
       "what is neither");
    return tap_done();
}
