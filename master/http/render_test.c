/* Rows as JSON, character by character: what stands here is public. */
#include "master/http/render.h"

#include <string.h>

#include "master/http/html.h"
#include "master/http/logtext.h"
#include "shared/json/json.h"
#include "tests/tap.h"

static bool same(pw_buf *b, const char *text)
{
    bool r = strcmp(pw_buf_str(b), text) == 0;
    if (!r)
        printf("# %s\n", pw_buf_str(b));
    pw_buf_reset(b);
    return r;
}

static char *lend(const char *s)
{
    return (char *)(uintptr_t)s;
}

static store_rev rev(uint8_t n, uint8_t bytes)
{
    store_rev r = {.n = bytes};
    memset(r.id, n, bytes);
    return r;
}

static void test_parts(pw_buf *b)
{
    web_open(b, NULL, '{');
    web_u64(b, "a", 0);
    web_i64(b, "b", INT64_MIN);
    web_u64(b, "c", UINT64_MAX);
    web_str(b, "d", "[{\n\"");
    web_open(b, "e", '[');
    web_str(b, NULL, "");
    web_str(b, NULL, NULL);
    web_open(b, NULL, '[');
    web_shut(b, ']');
    web_shut(b, ']');
    web_bool(b, "f", true);
    web_time(b, "g", -1);
    web_result(b, "h", PW_CANCELLED);
    web_shut(b, '}');
    ok(same(b, "{\"a\":0,\"b\":-9223372036854775808,\"c\":18446744073709551615,\"d\":\"[{\\n\\\"\","
               "\"e\":[\"\",null,[]],\"f\":true,"
               "\"g\":\"1969-12-31T23:59:59.999Z\",\"h\":\"cancelled\"}"),
       "parts, with commas where they are due");
}

static void test_build(pw_buf *b)
{
    reader_build r = {.b = {.id = 17,
                            .request = 16,
                            .state = BUILD_QUEUED,
                            .result = PW_NO_RESULT,
                            .created = 1700000000000},
                      .project = "p",
                      .builder = "fast",
                      .branch = "a\"b",
                      .why = "a push",
                      .buildset = 7,
                      .rev = rev(0xab, 20)};
    web_build(b, &r, "https://ci");
    ok(same(b, "{\"id\":17,\"request\":16,\"buildset\":7,\"builder\":\"fast\",\"project\":\"p\","
               "\"branch\":\"a\\\"b\","
               "\"revision\":\"abababababababababababababababababababab\",\"reason\":\"a "
               "push\",\"who\":null,\"state\":\"queued\",\"result\":null,"
               "\"result_reason\":null,\"created\":\"2023-11-14T22:13:20.000Z\",\"started\":null,"
               "\"finished\":null,\"worker\":null,\"attempt\":null,\"retry_of\":null,"
               "\"triggered_by\":null,"
               "\"url\":\"https://ci/builds/17\"}"),
       "a build that waits");
    r.b.state = BUILD_DONE;
    r.b.result = PW_EXCEPTION;
    r.b.reason = lend("lost");
    r.b.started = r.b.finished = 1700000001001;
    r.b.tries = 3;
    r.retry_of = 12;
    r.parent = 13;
    r.who = "ann";
    r.worker = "w1";
    r.rev = rev(1, 32);
    web_build(b, &r, "");
    ok(same(b, "{\"id\":17,\"request\":16,\"buildset\":7,\"builder\":\"fast\",\"project\":\"p\","
               "\"branch\":\"a\\\"b\","
               "\"revision\":\"0101010101010101010101010101010101010101010101010101010101010101\","
               "\"reason\":\"a push\",\"who\":\"ann\",\"state\":\"done\","
               "\"result\":\"exception\",\"result_reason\":\"lost\",\"created\":\"2023-11-14T22:13:"
               "20.000Z\",\"started\":\"2023-11-14T22:13:21.001Z\","
               "\"finished\":\"2023-11-14T22:13:21.001Z\",\"worker\":\"w1\",\"attempt\":3,"
               "\"retry_of\":12,\"triggered_by\":13,\"url\":"
               "\"/builds/17\"}"),
       "one that is done");
}

static void test_steps(pw_buf *b)
{
    store_step s = {.name = lend("x"),
                    .kind = 0,
                    .state = STEP_DONE,
                    .result = PW_FAILURE,
                    .started = 1,
                    .finished = 2,
                    .exit_code = 2,
                    .lines = 3,
                    .bytes = 4,
                    .cpu_ms = 5,
                    .max_rss = 6,
                    .read_bytes = 7,
                    .write_bytes = 8,
                    .reason = lend("exit code 2")};
    web_step(b, &s);
    ok(same(b, "{\"name\":\"x\",\"kind\":\"run\",\"state\":\"done\",\"result\":\"failure\","
               "\"reason\":\"exit code 2\",\"started\":\"1970-01-01T00:00:00.001Z\","
               "\"finished\":\"1970-01-01T00:00:00.002Z\",\"exit_code\":2,\"signal\":null,"
               "\"lines\":3,\"bytes\":4,\"cpu_ms\":5,\"max_rss\":6,"
               "\"read_bytes\":7,\"write_bytes\":8}"),
       "a step");
    s = (store_step){.name = lend("x"),
                     .kind = 1,
                     .state = STEP_DONE,
                     .result = PW_EXCEPTION,
                     .exit_code = 0,
                     .signal = 9};
    web_step(b, &s);
    ok(same(b, "{\"name\":\"x\",\"kind\":\"checkout\",\"state\":\"done\",\"result\":\"exception\","
               "\"reason\":null,\"started\":null,\"finished\":null,"
               "\"exit_code\":null,\"signal\":9,\"lines\":0,\"bytes\":0,\"cpu_ms\":0,\"max_rss\":0,"
               "\"read_bytes\":0,\"write_bytes\":0}"),
       "one that a signal ended has no exit code");
    s = (store_step){.name = lend("x"),
                     .state = STEP_RUNNING,
                     .result = PW_NO_RESULT,
                     .exit_code = -1,
                     .lines = 9};
    web_step(b, &s);
    ok(same(b, "{\"name\":\"x\",\"kind\":\"run\",\"state\":\"running\",\"result\":null,\"reason\":"
               "null,\"started\":null,\"finished\":null,\"exit_code\":null,"
               "\"signal\":null,\"lines\":null,\"bytes\":null,\"cpu_ms\":null,\"max_rss\":null,"
               "\"read_bytes\":null,\"write_bytes\":null}"),
       "one that runs");
    web_open(b, NULL, '{');
    web_step_waiting(b, "x", "run");
    web_shut(b, '}');
    ok(same(b, "{\"name\":\"x\",\"kind\":\"run\",\"state\":\"waiting\",\"result\":null,\"reason\":"
               "null,\"started\":null,\"finished\":null,\"exit_code\":null,"
               "\"signal\":null,\"lines\":null,\"bytes\":null,\"cpu_ms\":null,\"max_rss\":null,"
               "\"read_bytes\":null,\"write_bytes\":null}"),
       "one that waits has the same fields");
}

static void test_others(pw_buf *b)
{
    reader_request q = {.r = {.id = 5, .prio = -2, .state = REQ_CLAIMED, .created = 1},
                        .project = "p",
                        .builder = "f",
                        .branch = "m"};
    web_request(b, &q, 6);
    ok(same(b, "{\"id\":5,\"buildset\":null,\"builder\":\"f\",\"project\":\"p\",\"branch\":\"m\","
               "\"revision\":null,\"reason\":null,\"who\":null,\"priority\":-2,"
               "\"state\":\"claimed\",\"build\":6,\"rode_with\":null,\"held\":null,"
               "\"retry_of\":null,\"triggered_by\":null,\"created\":"
               "\"1970-01-01T00:00:00.001Z\"}"),
       "a request");
    reader_change c = {.c = {.id = 1, .at = 1, .tip = true, .files = lend("a\n\nb")},
                       .project = "p",
                       .branch = "m"};
    web_change(b, &c);
    ok(same(b,
            "{\"id\":1,\"project\":\"p\",\"branch\":\"m\",\"revision\":null,\"author\":null,"
            "\"subject\":null,\"source\":null,\"at\":\"1970-01-01T00:00:00.001Z\","
            "\"tip\":true,\"forced\":false,\"note\":null,\"files\":[\"a\",\"b\"],\"held\":null}"),
       "a change");
    c.held = 12;
    pw_buf_reset(b);
    web_change(b, &c);
    ok(strstr(pw_buf_str(b), "\"held\":\"held by testfix since build 12\""), "one that is held");
    c.held = 0;
    c.missed = "push";
    pw_buf_reset(b);
    web_change(b, &c);
    ok(strstr(pw_buf_str(b), "\"held\":\"scheduler \\\"push\\\" is paused\""),
       "one that a paused scheduler missed");
    pw_buf_reset(b);
    store_promotion p = {.id = 3,
                         .edge = lend("e"),
                         .source = lend("a"),
                         .target = lend("b"),
                         .state = PROMO_OPEN,
                         .created = 1};
    web_promotion(b, &p);
    ok(same(b, "{\"id\":3,\"edge\":\"e\",\"from\":\"a\",\"to\":\"b\",\"revision\":null,\"at\":"
               "\"1970-01-01T00:00:00.001Z\",\"state\":\"waiting\",\"reason\":\"a push is "
               "under way\"}"),
       "a promotion under way");
    ok(strcmp(web_promotion_state(PROMO_LOST), "waiting") == 0 &&
           strcmp(web_promotion_state(PROMO_DONE), "done") == 0 &&
           strcmp(web_promotion_state(PROMO_FAILED), "stopped") == 0 &&
           strcmp(web_promotion_state(PROMO_ABANDONED), "stopped") == 0,
       "states of promotions");
}

static void test_workers(pw_buf *b)
{
    store_worker w = {.name = lend("w"),
                      .slots = 2,
                      .tags = lend(" a  b "),
                      .facts = lend("os=x=y\nbad\n=z\nq\"=1"),
                      .paused = true,
                      .draining = true,
                      .quarantine = 9};
    web_worker_row(b, &w, 1, WEB_CONNECTED, "", 5);
    ok(same(b, "{\"name\":\"w\",\"state\":\"new\",\"slots\":2,\"busy\":1,\"tags\":[\"a\",\"b\"],"
               "\"facts\":{\"os\":\"x=y\",\"q\\\"\":\"1\"},\"version\":null,"
               "\"last_seen\":null,\"paused\":true,\"drained\":false,\"reason\":null,"
               "\"who\":null,\"gate\":null,\"quarantine\":\"1970-01-01T00:00:00.009Z\","
               "\"skew_ms\":null,\"provider\":null}"),
       "a worker that has not joined");
    w.has_key = true;
    ok(strcmp(web_worker_state(&w, WEB_MISSING, 5), "missing") == 0 &&
           strcmp(web_worker_state(&w, WEB_CONNECTED, 5), "quarantined") == 0 &&
           strcmp(web_worker_state(&w, WEB_CONNECTED, 9), "draining") == 0,
       "the first state that holds");
    w.draining = false;
    ok(strcmp(web_worker_state(&w, WEB_CONNECTED, 9), "paused") == 0, "paused");
    w.paused = false;
    ok(strcmp(web_worker_state(&w, WEB_CONNECTED, 9), "connected") == 0, "connected");
    w.removed = true;
    ok(strcmp(web_worker_state(&w, WEB_MISSING, 9), "removed") == 0, "removed");
}

static void test_html(pw_buf *b)
{
    html_text(b, "<a href='x'>&\"");
    ok(same(b, "&lt;a href=&#39;x&#39;&gt;&amp;&quot;"), "text is escaped");
}

static void test_lines(void)
{
    log_text t;
    char text[] = "a\r", more[] = "\n\r\rb\r\n", plain[] = "x\ny";
    log_text_init(&t);
    ok(log_text_lines(&t, text, 2) == 2 && memcmp(text, "a\n", 2) == 0 &&
           log_text_lines(&t, more, 6) == 4 && memcmp(more, "\n\nb\n", 4) == 0 && !t.open_line,
       "\\r\\n over two chunks ends one line");
    ok(log_text_lines(&t, plain, 3) == 3 && t.open_line &&
           log_text_finish(&t, NULL, text, 1) == 1 && log_text_finish(&t, NULL, text, 1) == 0,
       "an open line is ended once");
    log_text_clear(&t);
}

int main(void)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1 << 20);
    test_parts(&b);
    test_build(&b);
    test_steps(&b);
    test_others(&b);
    test_workers(&b);
    test_html(&b);
    test_lines();
    return tap_done();
}
