#include "client/show.h"

#include <string.h>

#include "tests/tap.h"

static bool clean_is(const char *in, size_t max, const char *want)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1000);
    show_clean(&b, in, max);
    return b.failed || strcmp(pw_buf_str(&b), want) == 0;
}

static void cleaning(void)
{
    ok(clean_is("plain", 0, "plain") && clean_is("", 0, ""), "plain text stays");
    ok(clean_is("a\033[31mb\nc\x7f", 0, "a?[31mb?c?"), "control characters become ?");
    ok(clean_is("\xc2\x9bx", 0, "??x"), "so do those above ASCII");
    ok(clean_is("gr\xc3\xbc\xc3\x9f", 0, "gr\xc3\xbc\xc3\x9f") &&
           show_width("gr\xc3\xbc\xc3\x9f") == 4,
       "UTF-8 stays, and counts by code point");
    ok(clean_is("\xff\xc3", 0, "??") && show_width("\xff\xc3") == 2, "broken UTF-8");
    ok(clean_is("\xe2\x82", 0, "??"), "a code point that is cut off");
    ok(clean_is("abcdef", 6, "abcdef") && clean_is("abcdefg", 6, "abcde…"),
       "cut only when it is too long");
}

static void tables(void)
{
    static const char *const heads[] = {"NAME", ">N", "REASON", NULL};
    PW_AUTO(show_table_clear) show_table t;
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(10000);
    show_table_init(&t, heads);
    ok(show_table_text(&t, false, 0, &b) == 0 && b.len == 0, "a table without rows is no text");
    show_cell(&t, SHOW_GOOD, "a");
    show_cellf(&t, SHOW_PLAIN, "%d", 5);
    show_cell(&t, SHOW_PLAIN, NULL);
    show_cell(&t, SHOW_PLAIN,
              "gr\xc3\xbc\xc3\x9f"
              "e");
    show_cellf(&t, SHOW_PLAIN, "%d", 123);
    show_cell(&t, SHOW_PLAIN, "a reason of some length");
    int rc = show_table_text(&t, false, 0, &b);
    ok(rc < 0 || strcmp(pw_buf_str(&b), "NAME     N  REASON\n"
                                        "a        5  -\n"
                                        "gr\xc3\xbc\xc3\x9f"
                                        "e  123  a reason of some length\n") == 0,
       "columns are aligned");
    pw_buf_reset(&b);
    rc = show_table_text(&t, false, 24, &b);
    ok(rc < 0 || strstr(pw_buf_str(&b), "123  a reason of…\n"),
       "the last column is cut at the width");
    pw_buf_reset(&b);
    rc = show_table_text(&t, true, 0, &b);
    ok(rc < 0 || strstr(pw_buf_str(&b), "\n\033[32ma\033[0m        5  -\n"),
       "colours do not count as columns");
}

static void times(void)
{
    char out[40];
    pw_msec now = INT64_C(1700000000000);
    static const struct {
        int64_t ago;
        const char *text;
    } table[] = {{0, "now"},          {999, "now"},          {1000, "1s ago"},
                 {59999, "59s ago"},  {60000, "1m ago"},     {3599999, "59m ago"},
                 {3600000, "1h ago"}, {86399999, "23h ago"}, {86400000, "1d ago"},
                 {-20000, "in 20s"}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        ok(strcmp(show_ago(now, now - table[i].ago, out), table[i].text) == 0, "%s", table[i].text);
    ok(strcmp(show_span(450, out), "450ms") == 0 && strcmp(show_span(12999, out), "12s") == 0 &&
           strcmp(show_span(185000, out), "3m 05s") == 0 &&
           strcmp(show_span(7620000, out), "2h 07m") == 0 && strcmp(show_span(-1, out), "-") == 0,
       "spans");
    static const char text[] = "[\"2026-11-20T12:00:00.000Z\",\"2026-11-20T12:00:05.500Z\",null]";
    PW_AUTO(json_freep) json_value *v = json_parse(text, sizeof(text) - 1, NULL);
    if (!v)
        return;
    pw_msec noon = 0;
    (void)pw_time_parse("2026-11-20T12:00:00Z", &noon, NULL);
    ok(strcmp(show_took(json_at(v, 0), json_at(v, 1), 0, out), "5s") == 0, "from start to end");
    ok(strcmp(show_took(json_at(v, 0), json_at(v, 2), noon + 61000, out), "1m 01s") == 0,
       "until now");
    ok(strcmp(show_took(json_at(v, 0), json_at(v, 2), noon - 5000, out), "0ms") == 0,
       "never negative, whatever the clocks say");
    ok(strcmp(show_took(json_at(v, 2), json_at(v, 2), noon, out), "-") == 0, "not started");
    ok(strcmp(show_when(json_at(v, 0), true, noon + 180000, out), "3m ago") == 0,
       "relative for people");
    ok(strcmp(show_when(json_at(v, 0), false, noon, out), "2026-11-20T12:00:00.000Z") == 0,
       "as it is for programs");
    ok(strcmp(show_when(json_at(v, 2), true, noon, out), "-") == 0, "no time");
}

static void styles(void)
{
    ok(show_style_of("success") == SHOW_GOOD && show_style_of("failure") == SHOW_BAD &&
           show_style_of("exception") == SHOW_BAD,
       "results");
    ok(show_style_of("nonsense") == SHOW_PLAIN && show_style_of(NULL) == SHOW_PLAIN,
       "what is not known is plain");
}

int main(void)
{
    cleaning();
    tables();
    times();
    styles();
    return tap_done();
}
