#include "shared/scan/regex.h"

#include <stdlib.h>
#include <string.h>

#include "tests/tap.h"

static bool match(const char *pattern, bool whole, const char *text)
{
    size_t at;
    PW_AUTO(regex_freep) regex *r = regex_new(pattern, strlen(pattern), whole, &at, NULL);
    return r && regex_match(r, text, strlen(text));
}

int main(void)
{
    size_t at = 99;
    pw_err err = {0};
    ok(match("b+", false, "abbc") && !match("b+", true, "abbc"), "anywhere, or the whole");
    ok(match("b+", true, "bbb"), "the whole");
    ok(match("^a.c$", false, "abc") && !match("^a.c$", false, "abcd"), "held by ^ and $");
    ok(!match("a$", false, "a\n"), "$ is the end, not before a line end");
    ok(!regex_new("a(b", 3, false, &at, &err) && at == 3 && strstr(err.text, "parenthesis"),
       "what is wrong, and where: %zu %s", at, err.text);
    ok(!regex_new("", 0, false, &at, &err) && at == 0, "an empty one");
    char *text = calloc(1, REGEX_TEXT_MAX + 2);
    if (text) {
        memset(text, 'x', REGEX_TEXT_MAX);
        ok(match("x$", false, text), "a text at the limit");
        text[REGEX_TEXT_MAX] = 'x';
        ok(!match("x$", false, text), "a longer one matches nothing");
        memset(text, 'a', 40);
        text[40] = '\0';
        ok(!match("(a+)+$b", false, text), "a pattern that would take ages ends");
    }
    free(text);
    return tap_done();
}
