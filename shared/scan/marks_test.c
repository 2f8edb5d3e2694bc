#include "shared/scan/marks.h"

#include <string.h>

#include "tests/tap.h"

static void feed(marks *m, uint64_t line, const char *text)
{
    char copy[500];
    size_t n = strlen(text);
    memcpy(copy, text, n + 1);
    bool may = marks_may(copy, n) || m->section_line == line;
    if (may)
        marks_line(m, line, (pw_msec)line * 10, copy, marks_plain(copy, n));
}

static void test_plain(void)
{
    static const char *const pairs[][2] = {
        {"\033[1;31mred\033[0m end", "red end"},
        {"a\033]8;;http://x/\ahere\033]8;;\033\\z", "aherez"},
        {"cut \033[31\nnext\033", "cut \nnext"},
        {"cut \033]0;title\r\nnext", "cut \r\nnext"},
        {"\033\nx\033(By\033]a\033\nz", "\nxBy\nz"},
        {"none", "none"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        char text[100];
        size_t n = strlen(pairs[i][0]), want = strlen(pairs[i][1]);
        memcpy(text, pairs[i][0], n + 1);
        n = marks_plain(text, n);
        ok(n == want && memcmp(text, pairs[i][1], n) == 0, "without its sequences: %zu", i);
    }
}

static void test_groups(void)
{
    marks m = {0};
    feed(&m, 1, "hello");
    feed(&m, 2, "::group::First %25 of all");
    feed(&m, 3, "::error file=src/a.c,line=12,col=3,title=No%2C::it is%0Abroken");
    feed(&m, 5, "::endgroup::");
    feed(&m, 6, "::endgroup::");
    feed(&m, 7, "\033[36m::group::Second");
    feed(&m, 9, "::group::Third");
    feed(&m, 10, "  ::warning::careful");
    marks_end(&m, 12, 120);
    ok(m.n_groups == 3 && strcmp(m.group[0].title, "First % of all") == 0 && m.group[0].line == 2 &&
           m.group[0].last_line == 5 && m.group[0].ended - m.group[0].began == 30 &&
           m.group[0].count[MARK_ERROR] == 1,
       "a group, its lines, its time, its errors");
    ok(m.group[1].last_line == 8 && m.group[1].depth == 0 && m.group[2].last_line == 12 &&
           m.group[2].count[MARK_WARNING] == 1,
       "the next one ends it, and so does the log");
    ok(m.n_marks == 2 && strcmp(m.mark[0].file, "src/a.c") == 0 && m.mark[0].file_line == 12 &&
           m.mark[0].column == 3 && strcmp(m.mark[0].title, "No,") == 0 &&
           strcmp(m.mark[0].text, "it is\nbroken") == 0 && m.mark[0].line == 3,
       "a remark with file, line, column, title");
    ok(m.mark[1].kind == MARK_WARNING && !m.mark[1].file && strcmp(m.mark[1].text, "careful") == 0,
       "and one with nothing");
    marks_clear(&m);
}

static void test_sections(void)
{
    marks m = {0};
    feed(&m, 1, "\033[0Ksection_start:1560896352:outer[collapsed=true]");
    feed(&m, 1, "\033[0K\033[1mThe outer one\033[0m");
    feed(&m, 2, "section_start:1560896353:inner");
    feed(&m, 2, "\033[0K");
    feed(&m, 3, "::error::x");
    feed(&m, 4, "section_end:1560896354:outer");
    feed(&m, 5, "section_start:12x:no");
    feed(&m, 6, "section_start:12:");
    ok(m.n_groups == 2 && strcmp(m.group[0].title, "The outer one") == 0 &&
           strcmp(m.group[0].section, "outer") == 0,
       "a section is called by its header");
    ok(strcmp(m.group[1].title, "inner") == 0 && m.group[1].depth == 1 &&
           m.group[1].last_line == 4 && m.group[0].last_line == 4 && m.n_open == 0,
       "or by its name; one that is left open ends with the one around it");
    ok(m.group[0].count[MARK_ERROR] == 1 && m.group[1].count[MARK_ERROR] == 1,
       "both have its error");
    marks_clear(&m);
}

static void test_bounds(void)
{
    marks m = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF((size_t)4 << 20);
    char text[64];
    for (uint64_t i = 0; i < MARKS_DEPTH_MAX + 9; i++) {
        (void)snprintf(text, sizeof(text), "section_start:12:s%d", (int)i);
        feed(&m, i + 1, text);
    }
    ok(m.n_open == MARKS_DEPTH_MAX && m.n_groups == MARKS_DEPTH_MAX + 9, "depth is bounded");
    marks_clear(&m);
    for (uint64_t i = 0; i < MARKS_GROUPS_MAX + 2; i++)
        feed(&m, 2 * i + 1, "::group::x");
    for (uint64_t i = 0; i < MARKS_MAX + 3; i++)
        feed(&m, 9000 + i, "::notice::y");
    marks_end(&m, 99999, 0);
    ok(m.n_groups == MARKS_GROUPS_MAX && m.more_groups == 2 && m.n_marks == MARKS_MAX &&
           m.more_marks == 3 && m.count[MARK_NOTICE] == MARKS_MAX + 3,
       "what is beyond the bounds is counted");
    marks_json(&m, &b);
    ok(!b.failed && strstr(b.p, "\"more_groups\":2,\"more_marks\":3"), "and told");
    marks_clear(&m);
    char longest[400];
    memset(longest, 'x', sizeof(longest));
    memcpy(longest, "::group::", 9);
    memcpy(longest + 9 + MARKS_TITLE_MAX - 1, "\xc3\xa4", 2);
    marks_line(&m, 1, 0, longest, sizeof(longest));
    ok(m.n_groups == 1 && strlen(m.group[0].title) <= MARKS_TITLE_MAX &&
           m.group[0].title[strlen(m.group[0].title) - 1] != '\xc3',
       "a title is cut between characters");
    marks_clear(&m);
    marks_line(&m, 1, 0, "::error::", 9);
    marks_line(&m, 2, 0, "::", 2);
    marks_line(&m, 3, 0, "::error", 7);
    marks_line(&m, 4, 0, "::group", 7);
    marks_line(&m, 5, 0, "", 0);
    ok(m.n_marks == 1 && m.mark[0].text[0] == '\0' && m.n_groups == 0, "empty and unfinished ones");
    marks_clear(&m);
}

static void test_json(void)
{
    marks m = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(4096);
    feed(&m, 1, "::group::G");
    feed(&m, 2, "::error file=f,line=7::bad");
    marks_json(&m, &b);
    ok(strcmp(pw_buf_str(&b),
              "\"groups\":[{\"line\":1,\"lines\":null,\"ms\":null,\"depth\":0,\"failures\":1,"
              "\"warnings\":0,\"title\":\"G\"}],\"marks\":[{\"line\":2,\"kind\":\"error\","
              "\"text\":\"bad\",\"title\":null,\"file\":\"f\",\"file_line\":7,\"column\":null}],"
              "\"errors\":1,\"warnings\":0,\"notices\":0,\"more_groups\":0,\"more_marks\":0") == 0,
       "as JSON");
    marks_clear(&m);
}

int main(void)
{
    test_plain();
    test_groups();
    test_sections();
    test_bounds();
    test_json();
    return tap_done();
}
