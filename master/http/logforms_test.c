/* Forms of a log: times, patterns, server-sent events, the index, and what was left out. */
#include "master/http/fixture.h"

#include "master/http/impl.h"
#include "master/http/logtext.h"

#define LOG "/api/v1/builds/2/log/"
#define JSON "Accept: application/json\r\n"
#define SSE "Accept: text/event-stream\r\n"
#define AT "2023-11-14T22:13:20.100Z "

static bool body_is(const reply *r, const char *text)
{
    bool same = r->body_len == strlen(text) && memcmp(r->body, text, r->body_len) == 0;
    if (!same)
        printf("# \"%.*s\"\n", (int)(r->body_len < 900 ? r->body_len : 900), r->body);
    return same;
}

static void test_times(world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    world_log_begin(w);
    ok(world_log(w, (log_key){WORLD_LOGGED, 1, 0}, "one\ntwo\r\n10%\r20%\n\033[31mfour\033[0m") ==
           0,
       "a log");
    ok(get(w, LOG "compile?times=1", &r) == 200 &&
           body_is(&r, AT "one\n" AT "two\n" AT "10%\n" AT "20%\n" AT "\033[31mfour\033[0m\n"),
       "a time before each line");
    ok(get(w, LOG "compile?times=1&from=2&lines=1", &r) == 200 && body_is(&r, AT "two\n"),
       "of one line");
    ok(get(w, LOG "compile?times=1&raw=1", &r) == 400 && has(&r, "goes with neither") &&
           get(w, LOG "compile?grep=a&raw=1", &r) == 400 &&
           get(w, LOG "compile?offset=1", &r) == 400 &&
           get(w, LOG "compile?follow=1&offset=1&tail=2", &r) == 400,
       "what does not go together");
    ok(call(w, "GET", LOG "compile?grep=t&times=1", JSON, NULL, &r) == 200 &&
           body_is(&r, "{\"items\":[{\"line\":2,\"time\":\"2023-11-14T22:13:20.100Z\","
                       "\"text\":\"two\"}],\"next\":null}\n"),
       "in JSON too");
}

static void test_patterns(const world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    ok(get(w, LOG "compile?grep=%5E(one%7Cfour)%24", &r) == 200 &&
           body_is(&r, "one\n\033[31mfour\033[0m\n"),
       "a regular expression; colours do not stand in its way");
    ok(get(w, LOG "compile?grep=a(b", &r) == 400 && has(&r, "wrong at position 4"),
       "a wrong one is refused with its place");
    ok(get(w, LOG "compile?grep=", &r) == 400, "an empty one too");
    ok(get(w, LOG "compile?grep=o&tail=2", &r) == 200 && body_is(&r, "\033[31mfour\033[0m\n"),
       "in the tail only");
}

static void test_hard(world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(1 << 20);
    char line[3000];
    memset(line, 'a', sizeof(line));
    line[sizeof(line) - 2] = 'b';
    line[sizeof(line) - 1] = '\n';
    for (int i = 0; i < 3; i++)
        (void)pw_buf_add(&text, line, sizeof(line));
    (void)pw_buf_adds(&text, "aaa\n");
    world_log_begin(w);
    ok(world_log(w, (log_key){4, 1, 0}, pw_buf_str(&text)) == 0 && store_begin(w->st, NULL) == 0 &&
           world_step(w, 4, 1, "compile", STEP_DONE, PW_SUCCESS) == 0 &&
           store_commit(w->st, NULL) == 0,
       "lines that a pattern explodes on");
    ok(get(w, "/api/v1/builds/4/log/compile?grep=(a%2B)%2B%24", &r) == 200 &&
           body_is(&r, "aaa\npawl: 3 lines were not searched: the pattern takes too many steps "
                       "over them\n"),
       "are told, not taken for none");
    ok(call(w, "GET", "/api/v1/builds/4/log/compile?grep=(a%2B)%2B%24", JSON, NULL, &r) == 200 &&
           has(&r, "\"too_hard\":true"),
       "in JSON too");
}

static void test_events(world *w)
{
    log_key key = {WORLD_OPEN, 1, 0};
    PW_AUTO(pw_closep) int fd = client_open(w);
    PW_AUTO(pw_closep) int again = client_open(w);
    PW_AUTO(pw_buf_clearp) pw_buf a = PW_BUF(1 << 20), b = PW_BUF(1 << 20);
    world_log_begin(w);
    ok(client_send(fd, "GET", "/api/v1/builds/500/log/compile?follow=1", SSE, NULL) &&
           until(fd, &a, "text/event-stream") && world_log(w, key, "10%\r20%\nsec") == 0,
       "followed by server-sent events");
    ok(until(fd, &a,
             "\n\ndata: {\"line\":1,\"time\":\"2023-11-14T22:13:20.100Z\",\"text\":\"20%\"}") ||
           until(fd, &a,
                 "data: {\"line\":1,\"time\":\"2023-11-14T22:13:20.100Z\",\"text\":\"10%\"}"),
       "a line comes, with time and number");
    ok(until(
           fd, &a,
           "id: 1\ndata: {\"line\":1,\"time\":\"2023-11-14T22:13:20.100Z\",\"text\":\"20%\"}\n\n"),
       "its number when it is whole");
    ok(client_send(again, "GET", "/api/v1/builds/500/log/compile?follow=1",
                   SSE "Last-Event-ID: 1\r\n", NULL) &&
           world_log(w, key, "ond\n\xff") == 0 && until(again, &b, "\"text\":\"second\"}") &&
           !strstr(pw_buf_str(&b), "20%"),
       "who comes again goes on behind it");
    PW_AUTO(reply_clear) reply r = {0};
    ok(call(w, "GET", "/api/v1/builds/500/log/compile?follow=1", SSE "Last-Event-ID: x\r\n", NULL,
            &r) == 400,
       "an id that is none");
    ok(store_begin(w->st, NULL) == 0 &&
           world_step(w, WORLD_OPEN, 1, "compile", STEP_DONE, PW_SUCCESS) == 0 &&
           world_event(w, EVENT_STEP, WORLD_OPEN) == 0 && store_commit(w->st, NULL) == 0,
       "the step ends");
    web_events(w->web, w->event);
    ok(until(fd, &a, "id: 3\ndata: ") && until(fd, &a, "event: end\ndata: {}\n\n") &&
           until(again, &b, "event: end\n"),
       "and so do they, with the open line");
}

static void test_index(world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    static const char all[] =
        "{\"groups\":[{\"line\":2,\"lines\":3,\"ms\":0,\"depth\":0,\"failures\":1,\"warnings\":0,"
        "\"title\":\"A\"}],\"marks\":[{\"line\":3,\"kind\":\"error\",\"text\":\"x\",\"title\":null,"
        "\"file\":\"a.c\",\"file_line\":7,\"column\":null}],\"errors\":1,\"warnings\":0,"
        "\"notices\":0,\"more_groups\":0,\"more_marks\":0,\"gaps\":[],\"lines\":5}\n";
    world_log_begin(w);
    ok(world_log(w, (log_key){WORLD_LOGGED, 2, 0},
                 "hello\n::group::A\n\033[31m::error file=a.c,line=7::x\n::endgro") == 0 &&
           world_log(w, (log_key){WORLD_LOGGED, 2, 0}, "up::\nend") == 0,
       "a log with groups");
    logs_done(w->log_store, (log_key){WORLD_LOGGED, 2, 0});
    for (int i = 0; i < 2; i++)
        ok(get(w, LOG "test%2Funit/index", &r) == 200 && body_is(&r, all) &&
               has_header(&r, "application/json"),
           i ? "and again, as it was kept" : "its index");
    ok(w->web->next_index == 1, "it was read once");
    ok(get(w, LOG "checkout/index", &r) == 200 && has(&r, "\"groups\":[],\"marks\":[]") &&
           has(&r, "\"lines\":0"),
       "of a step that printed nothing");
    ok(get(w, LOG "none/index", &r) == 404 && get(w, LOG "compile/index?attempt=0", &r) == 400 &&
           get(w, LOG "compile/index?raw=1", &r) == 400,
       "what does not go");
}

#define ITEM(n, text)                                                                              \
    "{\"line\":" #n ",\"time\":\"2023-11-14T22:13:20.100Z\",\"text\":\"" text "\"}"
#define ITEMS(all) "{\"items\":[" all "],\"next\":null}\n"
static void test_items(world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(1 << 20);
    log_key key = {8, 1, 0};
    (void)pw_buf_adds(&text, "one\n10%\r20%\rdone\nkept\r\r\n\nwin\r\n");
    for (int i = 0; i < LOG_PART - 1 - 33;
         i++) /* the \r of the next end is the last byte of a chunk */
        (void)pw_buf_adds(&text, "x");
    (void)pw_buf_adds(&text, "y\r\nlast\r");
    world_log_begin(w);
    bool fine = world_log(w, key, pw_buf_str(&text)) == 0 && store_begin(w->st, NULL) == 0 &&
                world_step(w, 8, 1, "compile", STEP_DONE, PW_SUCCESS) == 0 &&
                store_commit(w->st, NULL) == 0;
    ok(fine, "a log with lines that were written over");
#define EIGHT "/api/v1/builds/8/log/compile"
    ok(get(w, EIGHT "?items=1&lines=5", &r) == 200 && has_header(&r, "application/json") &&
           has_header(&r, "Pawl-Lines: 7") &&
           body_is(&r, ITEMS(ITEM(1, "one") "," ITEM(2, "done") "," ITEM(3, "kept") "," ITEM(
                           4, "") "," ITEM(5, "win"))),
       "as they look at their end");
    ok(get(w, EIGHT "?items=1&tail=2", &r) == 200 &&
           has(&r, "{\"items\":[{\"line\":6,\"time\":\"2023-11-14T22:13:20.100Z\","
                   "\"bytes\":32735,\"text\":\"xxxx") &&
           has(&r, "xxxx\"}," ITEM(7, "last") "]") && r.body_len < 4096 + 300,
       "a long one is cut and has its length; the end of a line may lie between two chunks");
    ok(get(w, EIGHT "?items=1&from=9&lines=400", &r) == 200 && body_is(&r, ITEMS("")),
       "beyond the end");
    ok(get(w, EIGHT "?items=1", &r) == 400 && get(w, EIGHT "?items=1&lines=4001", &r) == 400 &&
           get(w, EIGHT "?items=1&tail=4001", &r) == 400 &&
           get(w, EIGHT "?items=1&lines=4000", &r) == 200 &&
           get(w, EIGHT "?items=1&lines=1&grep=x", &r) == 400 &&
           get(w, EIGHT "?items=1&lines=1&raw=1", &r) == 400 &&
           get(w, EIGHT "?items=1&follow=1&tail=1", &r) == 400,
       "what does not go");
}

static void test_numbers(const world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    ok(get(w, EIGHT "?numbers=1&grep=%5E.", &r) == 200 && has_header(&r, "application/json") &&
           body_is(&r, "{\"items\":[1,2,3,5,6,7],\"more\":false,\"next\":null}\n"),
       "numbers of found lines, each once");
    ok(get(w, EIGHT "?numbers=1&grep=%5E.&limit=2", &r) == 200 &&
           body_is(&r, "{\"items\":[1,2],\"more\":true,\"next\":null}\n") &&
           get(w, EIGHT "?numbers=1&grep=%5E.&limit=6", &r) == 200 && has(&r, "\"more\":false"),
       "so many, and whether there are more");
    ok(get(w, EIGHT "?numbers=1&grep=zzz", &r) == 200 &&
           body_is(&r, "{\"items\":[],\"more\":false,\"next\":null}\n") &&
           get(w, EIGHT "?numbers=1&grep=n&from=3&lines=3", &r) == 200 && has(&r, "[5]"),
       "none; in a part");
    ok(get(w, EIGHT "?numbers=1", &r) == 400 && get(w, EIGHT "?grep=a&limit=3", &r) == 400 &&
           get(w, EIGHT "?numbers=1&grep=a&times=1", &r) == 400,
       "what does not go");
}

/* Thousands of lines without interest around few that have some, also where chunks end. */
static void test_rare(world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(4 << 20);
    log_key key = {10, 1, 0};
    bool fine = true;
    world_log_begin(w);
    for (int i = 1; i <= 20000; i++) {
        bool rare = i % 997 == 0;
        (void)pw_buf_addf(&text,
                          i % 3 == 1   ? "line %d of many \033[31\n"
                          : i % 3 == 2 ? "line %d of many\n"
                                       : "\033[32mok\033[0m %d\r\n",
                          i);
        if (rare) {
            text.len--; /* the \n */
            (void)pw_buf_adds(&text, i % 2 ? " nee\033[1mdle\r\n" : " NEEDLE\n");
        }
        if (i % 5000 == 0) {
            if (i == 10000)
                (void)pw_buf_adds(&text, "::group::here\nin it\n::endgroup::\n");
            fine = fine && world_log(w, key, pw_buf_str(&text)) == 0;
            pw_buf_reset(&text);
        }
    }
    fine = fine && store_begin(w->st, NULL) == 0 &&
           world_step(w, 10, 1, "compile", STEP_DONE, PW_SUCCESS) == 0 &&
           store_commit(w->st, NULL) == 0;
    ok(fine, "a log with little of interest");
#define TEN "/api/v1/builds/10/log/compile"
    PW_AUTO(reply_clear) reply slow = {0};
    ok(get(w, TEN "?numbers=1&grep=(?i)needle", &r) == 200 &&
           get(w, TEN "?numbers=1&grep=(?i)needl[e]", &slow) == 200 &&
           strcmp(r.body, slow.body) == 0 && has(&r, "[1994,2991,") && has(&r, ",19943]"),
       "text is found in the lines in which a pattern finds it: %.300s", r.body);
    ok(get(w, TEN "/index", &r) == 200 && has(&r, "\"groups\":[{\"line\":10001,\"lines\":3,") &&
           has(&r, "\"lines\":20003}"),
       "groups and lines are counted");
}

static void test_gap(world *w)
{
    PW_AUTO(reply_clear) reply r = {0};
    log_key key = {6, 1, 0};
    world_log_begin(w);
    bool fine = world_log(w, key, "one\ntwo\nthr") == 0 &&
                logs_cut(w->log_store, key, 11, 1000, 20, NULL) == 0;
    w->log_pos = 1011;
    w->log_lines = 22;
    fine = fine && world_log(w, key, "last\nend\n") == 0 && store_begin(w->st, NULL) == 0 &&
           world_step(w, 6, 1, "compile", STEP_DONE, PW_SUCCESS) == 0 &&
           store_commit(w->st, NULL) == 0;
    ok(fine, "a log with a gap");
#define GAP                                                                                        \
    "pawl: 1000 bytes in 20 lines were left out here: the log is longer than its log_limit\n"
#define SIX "/api/v1/builds/6/log/compile"
    ok(get(w, SIX, &r) == 200 && body_is(&r, "one\ntwo\nthr\n" GAP "last\nend\n") &&
           has_header(&r, "Pawl-Left-Out: 1000") && has_header(&r, "Pawl-Bytes: 1020"),
       "it is said where it was");
    ok(get(w, SIX "?raw=1", &r) == 200 && body_is(&r, "one\ntwo\nthrlast\nend\n") &&
           has_header(&r, "Pawl-Left-Out: 1000"),
       "raw bytes are the step's own");
    ok(get(w, SIX "?times=1", &r) == 200 &&
           body_is(&r, AT "one\n" AT "two\n" AT "thr\n" GAP AT "last\n" AT "end\n"),
       "with times");
    ok(call(w, "GET", SIX "?grep=.", JSON, NULL, &r) == 200 &&
           has(&r, "{\"line\":3,\"text\":\"thr\"},{\"line\":23,\"text\":\"last\"},{\"line\":24"),
       "lines keep the numbers that they had in the step");
    ok(get(w, SIX "?from=24", &r) == 200 && body_is(&r, "end\n") &&
           get(w, SIX "?tail=2", &r) == 200 && body_is(&r, "last\nend\n"),
       "and are found by them");
    ok(get(w, SIX "?items=1&tail=400", &r) == 200 &&
           body_is(&r, ITEMS(ITEM(1, "one") "," ITEM(2, "two") "," ITEM(
                           3, "thr") ",{\"line\":4,\"lines\":19,\"bytes\":1000,\"text\":null}"
                                     "," ITEM(23, "last") "," ITEM(24, "end"))) &&
           get(w, SIX "?items=1&from=6&lines=4", &r) == 200 && body_is(&r, ITEMS("")),
       "an item stands for what was left out");
    ok(get(w, SIX "/index", &r) == 200 &&
           has(&r, "\"gaps\":[{\"line\":4,\"lines\":19,\"bytes\":1000}],\"lines\":24}"),
       "and the index tells of it");
    ok(call(w, "GET", SIX "?raw=1", "Range: bytes=9-12\r\n", NULL, &r) == 206 &&
           body_is(&r, "hrla") && has_header(&r, "Content-Range: bytes 9-12/20"),
       "a range counts what is there");
    ok(call(w, "GET", SIX "?raw=1", "Range: bytes=11-\r\n", NULL, &r) == 206 &&
           body_is(&r, "last\nend\n"),
       "behind the gap");
    ok(get(w, SIX "?raw=1&follow=1&offset=15", &r) == 200 && body_is(&r, "\nend\n") &&
           get(w, SIX "?follow=1&offset=16", &r) == 200 &&
           strncmp(r.body, ": 1000 bytes", 12) == 0 &&
           get(w, SIX "?follow=1&offset=999", &r) == 200 && r.body_len == 0,
       "who followed and comes again goes on where he was");
}

int main(void)
{
    world w = {0};
    bool open = world_open(&w, false);
    ok(open, "a server");
    if (open) {
        test_times(&w);
        test_patterns(&w);
        test_hard(&w);
        test_events(&w);
        test_index(&w);
        test_items(&w);
        test_numbers(&w);
        test_rare(&w);
        test_gap(&w);
    }
    world_close(&w);
    return tap_done();
}
