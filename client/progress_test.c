#include "client/progress.h"

#include <string.h>

#include "client/cmd_status.h"
#include "tests/tap.h"

static const char running[] =
    "{\"id\":17,\"project\":\"p\",\"builder\":\"fast\",\"branch\":\"master\",\"revision\":"
    "\"0123456789abcdef\",\"state\":\"running\",\"result\":null,"
    "\"started\":\"2026-11-20T12:00:00.000Z\",\"finished\":null,\"steps\":["
    "{\"name\":\"checkout\",\"state\":\"done\",\"result\":\"success\",\"reason\":null,\"started\":"
    "\"2026-11-20T12:00:00.000Z\",\"finished\":\"2026-11-20T12:00:01.000Z\"},"
    "{\"name\":\"test\",\"state\":\"running\",\"result\":null,\"reason\":null,\"started\":\"2026-"
    "11-20T12:00:01.000Z\",\"finished\":null},"
    "{\"name\":\"tidy\",\"state\":\"waiting\",\"result\":null,\"reason\":null,\"started\":null,"
    "\"finished\":null}]}";
static const char finished[] =
    "{\"id\":17,\"project\":\"p\",\"builder\":\"fast\",\"branch\":\"master\",\"revision\":"
    "\"0123456789abcdef\",\"state\":\"done\",\"result\":\"failure\","
    "\"started\":\"2026-11-20T12:00:00.000Z\",\"finished\":\"2026-11-20T12:00:09.000Z\",\"steps\":["
    "{\"name\":\"checkout\",\"state\":\"done\",\"result\":\"success\",\"reason\":null,\"started\":"
    "\"2026-11-20T12:00:00.000Z\",\"finished\":\"2026-11-20T12:00:01.000Z\"},"
    "{\"name\":\"test\",\"state\":\"done\",\"result\":\"failure\",\"reason\":\"exit "
    "2\",\"started\":\"2026-11-20T12:00:01.000Z\",\"finished\":\"2026-11-20T12:00:08.000Z\"},"
    "{\"name\":\"tidy\",\"state\":\"done\",\"result\":\"skipped\",\"reason\":\"halted\","
    "\"started\":null,\"finished\":null}]}";
static const char status[] =
    "{\"red\":1,\"items\":[{\"project\":\"p\",\"branch\":\"master\",\"builder\":\"fast\",\"build\":"
    "17,\"result\":\"failure\",\"red\":true,"
    "\"revision\":\"0123456789abcdef\",\"finished\":\"2026-11-20T12:00:00.000Z\"}],\"running\":[],"
    "\"waiting\":[{\"id\":21}],"
    "\"promotions\":[{\"id\":null,\"edge\":\"stable\",\"state\":\"waiting\",\"revision\":null,"
    "\"at\":null,\"reason\":\"fast is red\"}],"
    "\"workers\":{\"known\":2,\"connected\":1,\"slots\":4,\"busy\":3}}";

static void plain(const json_value *a, const json_value *z, pw_msec now)
{
    PW_AUTO(progress_told_clear) progress_told told = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(10000);
    progress_lines(a, now, &told, &b);
    ok(b.failed || told.steps.failed ||
           strcmp(pw_buf_str(&b), "build 17: running\ncheckout: success (1s)\ntest: running\n") ==
               0,
       "what is so far");
    pw_buf_reset(&b);
    progress_lines(a, now, &told, &b);
    ok(b.failed || told.steps.failed || b.len == 0, "nothing new, nothing said");
    progress_lines(z, now, &told, &b);
    ok(b.failed || told.steps.failed ||
           strcmp(pw_buf_str(&b),
                  "test: failure (7s): exit 2\ntidy: skipped: halted\nbuild 17: failure (9s)\n") ==
               0,
       "each end is told once");
    ok(progress_exit(z) == 1 && progress_exit(NULL) == 1, "red is 1");
}

static void block(const json_value *a, const json_value *z, pw_msec now)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(10000);
    size_t n = progress_block(a, now, 1, false, 0, &b);
    ok(n == 4 &&
           (b.failed || strcmp(pw_buf_str(&b), "build 17  p/fast  master  01234567  running  4s\n"
                                               "  checkout  success     1s\n"
                                               "  test      running     3s /\n"
                                               "  tidy      waiting     \n") == 0),
       "a block of a line a step");
    pw_buf_reset(&b);
    n = progress_block(z, now, 1, true, 60, &b);
    ok(n == 4 &&
           (b.failed || strstr(pw_buf_str(&b), "\033[1;31mfailure\033[0m     7s        exit 2\n")),
       "reasons, and colours");
}

static void cut_off(const json_value *a)
{
    static const char text[] =
        "{\"state\":\"done\",\"result\":\"cancelled\",\"finished\":\"2026-11-20T12:00:05.000Z\"}";
    PW_AUTO(json_freep) json_value *build = json_parse(text, sizeof(text) - 1, NULL);
    const json_value *steps = json_get(a, "steps");
    if (!build)
        return;
    ok(strcmp(progress_word(build, json_at(steps, 1)), "cancelled") == 0 &&
           strcmp(progress_word(build, json_at(steps, 0)), "success") == 0,
       "a step that ran when its build ended has the build's result");
    ok(progress_end(build, json_at(steps, 1)) == json_get(build, "finished") &&
           progress_end(a, json_at(steps, 1)) == json_get(json_at(steps, 1), "finished"),
       "and the build's end");
}

static void statuses(const json_value *v)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(10000);
    status_look look = {.now = 0};
    int rc = status_text(v, &look, &b);
    ok(rc < 0 ||
           strcmp(pw_buf_str(&b),
                  "1 of 1 is red.\n\n"
                  "PROJECT  BRANCH  BUILDER  RESULT   BUILD  REVISION  FINISHED\n"
                  "p        master  fast     failure     17  01234567  2026-11-20T12:00:00.000Z\n\n"
                  "1 waiting: pawl why 21 says why\n\n"
                  "Promotions\n"
                  "EDGE    STATE    REVISION  SINCE  REASON\n"
                  "stable  waiting  -         -      fast is red\n\n"
                  "Workers: 1 of 2 connected, 3 of 4 slots busy\n") == 0,
       "the whole status");
    pw_buf_reset(&b);
    rc = status_text(NULL, &look, &b);
    ok(rc < 0 || strcmp(pw_buf_str(&b), "Nothing was built yet.\n") == 0, "nothing at all");
}

int main(void)
{
    pw_msec now = 0;
    PW_AUTO(json_freep) json_value *a = json_parse(running, sizeof(running) - 1, NULL);
    PW_AUTO(json_freep) json_value *z = json_parse(finished, sizeof(finished) - 1, NULL);
    PW_AUTO(json_freep) json_value *v = json_parse(status, sizeof(status) - 1, NULL);
    ok(a && z && v && pw_time_parse("2026-11-20T12:00:04Z", &now, NULL) == 0, "the texts are read");
    if (!a || !z || !v)
        return tap_done();
    plain(a, z, now);
    block(a, z, now);
    cut_off(a);
    statuses(v);
    return tap_done();
}
