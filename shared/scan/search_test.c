#include "shared/scan/search.h"

#include <stdlib.h>
#include <string.h>

#include "tests/tap.h"

static int find(const char *pattern, const char *p, size_t n)
{
    PW_AUTO(search_freep) search *s = search_new(pattern, NULL);
    return s ? search_line(s, p, n, NULL) : -1;
}

#define FIND(pattern, line) find(pattern, line, sizeof(line) - 1)

static void test_lines(void)
{
    ok(FIND("ab+c", "xabbbcx") == 1 && FIND("ab+c", "xacx") == 0, "a match, and none");
    ok(FIND("^a", "ba") == 0 && FIND("a$", "ba") == 1 && FIND("(?i)FAIL", "it failed") == 1,
       "anchors are of the line; options in the pattern");
    ok(FIND("b", "a\0b") == 1, "a zero byte is one like others");
    ok(FIND("^.$", "\xc3\xa4") == 1 && FIND("\xc3\xa4", "\xff\xc3\xa4\xfe") == 1 &&
           FIND("end", "\xff\xfe end") == 1 && FIND("^.*end$", "\xff end") == 0,
       "characters are those of UTF-8; what is none does no harm and matches nothing");
    ok(FIND("x?", "") == 1, "an empty line");
}

static bool is_plain(const char *pattern)
{
    PW_AUTO(search_freep) search *s = search_new(pattern, NULL);
    return s && search_plain(s);
}

static void test_plain(void)
{
    ok(is_plain("a b-c/d_e") && is_plain("(?i)it's 100%") && is_plain("a\\.b\\(c\\)\\\\") &&
           is_plain("\xc3\xa4"),
       "text is plain");
    ok(!is_plain("a.b") && !is_plain("a|b") && !is_plain("\\d") && !is_plain("a\\nb") &&
           !is_plain("a\nb") && !is_plain("^a") && !is_plain("(?s)a") && !is_plain("a{2}") &&
           !is_plain("\\Aa") && !is_plain("[a]") && !is_plain("\\Qa\\E"),
       "what may mean more is not");
}

static void test_wrong(void)
{
    char *longest = malloc(SEARCH_PATTERN_MAX + 2);
    pw_err err = {0};
    if (!longest)
        return;
    memset(longest, 'a', SEARCH_PATTERN_MAX + 1);
    longest[SEARCH_PATTERN_MAX + 1] = '\0';
    ok(!search_new("a(b", &err) && err.code == PW_EINVAL && strstr(err.text, "position 4"),
       "what is wrong is said with its place: %s", err.text);
    ok(!search_new("", &err) && err.code == PW_EINVAL && !search_new(longest, &err) &&
           err.code == PW_EINVAL,
       "nothing, and too much");
    longest[SEARCH_PATTERN_MAX] = '\0';
    PW_AUTO(search_freep) search *s = search_new(longest, NULL);
    ok(s && search_line(s, longest, SEARCH_PATTERN_MAX, NULL) == 1, "the longest one");
    free(longest);
}

static void test_bounds(void)
{
    enum { N = 20000 };
    char *line = malloc(N);
    pw_err err = {0};
    PW_AUTO(search_freep) search *s = search_new("(a+)+$", NULL);
    if (!line || !s)
        return;
    memset(line, 'a', N);
    line[N - 1] = 'b';
    ok(search_line(s, line, N, &err) == PW_ELIMIT && strstr(err.text, "20000 bytes"),
       "a pattern that explodes is given up and told: %s", err.text);
    ok(search_line(s, "aaa", 3, NULL) == 1, "and is good for the next line");
    free(line);
}

int main(void)
{
    test_lines();
    test_plain();
    test_wrong();
    test_bounds();
    return tap_done();
}
