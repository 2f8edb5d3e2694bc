#include "shared/expr/expr.h"

#include <stdlib.h>
#include <string.h>

#include "tests/tap.h"

static const char *const facts[][2] = {
    {"os", "debian"},      {"memory", "8589934592"},    {"cpus", "4"},   {"load", "0.25"},
    {"tags", "linux gpu"}, {"isolation", "none,bwrap"}, {"up", "true"},  {"kernel", "6.1.0"},
    {"empty", ""},         {"needs.fast.cc", "gcc"},    {"idle", "90s"}, {"big", "2G"}};

static bool lookup(void *self, const char *name, size_t n, expr_value *ret)
{
    (*(int *)self)++;
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
        if (strlen(facts[i][0]) != n || memcmp(facts[i][0], name, n) != 0)
            continue;
        *ret = (expr_value){facts[i][1], strlen(facts[i][1])};
        return true;
    }
    return false;
}

/* 1 true, 0 false, or the code of the failure. */
static int eval(const char *text, pw_err *err)
{
    size_t at;
    bool got = false;
    int asked = 0;
    PW_AUTO(expr_freep) expr *e = expr_parse(text, &at, err);
    if (!e)
        return -100;
    int r = expr_eval(e, lookup, &asked, &got, err);
    return r < 0 ? r : got;
}

static const struct {
    const char *text;
    int want;
} values[] = {
    {"memory >= 2G", 1},
    {"memory < 2G", 0},
    {"memory == 8G", 1},
    {"memory == 8192M", 1},
    {"memory != 8G", 0},
    {"memory > 7.5G", 1},
    {"big == 2G", 1},
    {"big == 2097152K", 1},
    {"big == '2G'", 1},
    {"cpus == 4", 1},
    {"cpus == '4'", 1},
    {"cpus == '04'", 0},
    {"cpus < 16", 1},
    {"load < 0.5", 1},
    {"load > 0.3", 0},
    {"idle > 1m", 1},
    {"idle == 1500ms", 0},
    {"idle < 1h and idle < 1d", 1},
    {"os == 'debian'", 1},
    {"os == 'Debian'", 0},
    {"os != 'ubuntu'", 1},
    {"os < 'ubuntu'", 1},
    {"'a' < 'ab'", 1},
    {"os =~ '^deb'", 1},
    {"os =~ 'ebi'", 1},
    {"os =~ '^ebi'", 0},
    {"'it''s' == 'it''s'", 1},
    {"'gpu' in tags", 1},
    {"'gp' in tags", 0},
    {"'' in tags", 0},
    {"'bwrap' in isolation", 1},
    {"os in ('ubuntu', 'debian')", 1},
    {"os in ['ubuntu', 'debian']", 1},
    {"os in ('ubuntu')", 0},
    {"cpus in (2, 4)", 1},
    {"cpus in (2, 8)", 0},
    {"os in (2, 'debian')", 1},
    {"up", 1},
    {"not up", 0},
    {"not not up", 1},
    {"up == true", 1},
    {"up in (true, false)", 1},
    {"true", 1},
    {"false or true", 1},
    {"true or false and false", 1},
    {"(true or false) and false", 0},
    {"not (true and false)", 1},
    {"not true or true", 1},
    {"true and true and true and false", 0},
    {"false or false or true", 1},
    {"false and nobody == 1", 0},
    {"true or nobody == 1", 1},
    {"needs.fast.cc == 'gcc'", 1},
    {"empty == ''", 1},
    {"-1 < 0", 1},
    {"memory >= 2G and os == 'debian' and ('gpu' in tags or up)", 1},
    {" \t\ncpus==4\n", 1},
    /* errors of evaluation */
    {"nobody == 1", PW_ENOTFOUND},
    {"nobody", PW_ENOTFOUND},
    {"true and nobody", PW_ENOTFOUND},
    {"os > 3", PW_EINVAL},
    {"3 < os", PW_EINVAL},
    {"kernel >= 6.1", PW_EINVAL},
    {"os", PW_EINVAL},
    {"cpus", PW_EINVAL},
    {"empty", PW_EINVAL},
    {"os == true", PW_EINVAL},
    {"true and 3", PW_EINVAL},
    {"up in true", PW_EINVAL},
};

static void test_values(void)
{
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        pw_err err = {0};
        int got = eval(values[i].text, &err);
        ok(got == values[i].want, "%s is %d (%d %s)", values[i].text, values[i].want, got,
           err.text);
    }
}

static void test_errors(void)
{
    static const struct {
        const char *text;
        size_t at;
        const char *part;
    } rows[] = {
        {"", 0, "too early"},
        {"a ==", 4, "too early"},
        {"a = 3", 2, "write \"==\""},
        {"a == \"x\"", 5, "single quotes"},
        {"a && b", 2, "\"and\""},
        {"a == 'x", 5, "not closed"},
        {"(a", 0, "not closed"},
        {"a)", 1, "closes nothing"},
        {"a b", 2, "expected"},
        {"a == 3X", 5, "no number"},
        {"a == 1.2.3", 5, "no number"},
        {"a < b < c", 6, "do not chain"},
        {"a in (b)", 6, "list"},
        {"a in ('x'", 5, "not closed"},
        {"a =~ b", 5, "regular expression"},
        {"a =~ 'x('", 8, "parenthesis"},
        {"a =~ ''", 6, "empty"},
        {"'x'", 0, "no condition"},
        {"3", 0, "no condition"},
        {"'abc' < 3", 6, "cannot be compared"},
        {"(a == 1) == (b == 2)", 9, "cannot be compared"},
        {"(a == 1) in ('x')", 0, "in a list"},
        {"and", 0, "expected"},
        {"a == 1 $", 7, "no meaning"},
        {"a !", 2, "\"not\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        pw_err err = {0};
        size_t at = 999;
        expr *e = expr_parse(rows[i].text, &at, &err);
        ok(!e && at == rows[i].at && strstr(err.text, rows[i].part), "\"%s\": %zu %s", rows[i].text,
           at, err.text);
        (void)expr_free(e);
    }
}

/* Of a text with n times `what`; parsed? */
static bool repeated(const char *front, const char *what, const char *mid, const char *back,
                     size_t n)
{
    char *text = calloc(1, EXPR_TEXT_MAX + 100);
    size_t len = 0, at;
    pw_err err = {0};
    const char *parts[] = {front, what, mid, back};
    bool got = false;
    for (size_t k = 0; text && k < 4; k++)
        for (size_t i = 0; i < (k % 2 ? n : 1); i++) {
            size_t m = strlen(parts[k]);
            if (len + m > EXPR_TEXT_MAX + 90)
                break;
            memcpy(text + len, parts[k], m);
            len += m;
        }
    expr *e = text ? expr_parse(text, &at, &err) : NULL;
    if (e) {
        bool b;
        int asked = 0;
        got = expr_eval(e, lookup, &asked, &b, &err) == 0 && b;
    }
    (void)expr_free(e);
    free(text);
    return got;
}

static void test_limits(void)
{
    ok(repeated("", "(", "true", ")", EXPR_DEPTH_MAX), "parentheses at the limit");
    ok(!repeated("", "(", "true", ")", EXPR_DEPTH_MAX + 1), "and beyond");
    ok(repeated("", "not ", "true", "", EXPR_DEPTH_MAX), "not, at the limit");
    ok(!repeated("", "not ", "true", "", EXPR_DEPTH_MAX + 1), "and beyond");
    ok(repeated("up", " and up", "", "", EXPR_NODES_MAX / 2 - 1), "a long chain");
    ok(!repeated("up", " and up", "", "", EXPR_NODES_MAX / 2 + 1), "too long a chain");
    ok(repeated("true", " ", "", "", EXPR_TEXT_MAX - 4), "a text at the limit");
    ok(!repeated("true", " ", "", "", EXPR_TEXT_MAX - 3), "and beyond");
}

static void failing(const char *text, const char *want, int code)
{
    size_t at = 0, n = 0;
    pw_err err = {0};
    int asked = 0;
    PW_AUTO(expr_freep) expr *e = expr_parse(text, &at, &err);
    if (!e) {
        ok(false, "%s: %s", text, err.text);
        return;
    }
    bool bad = expr_failing(e, lookup, &asked, &at, &n, &err);
    ok(want
           ? bad && strlen(want) == n && memcmp(expr_text(e) + at, want, n) == 0 && err.code == code
           : !bad,
       "what fails of \"%s\": \"%.*s\" %s", text, (int)n, expr_text(e) + at, err.text);
}

static void test_failing(void)
{
    failing("cpus == 4 and os == 'x' and up", "os == 'x'", 0);
    failing("cpus == 5 and os == 'x'", "cpus == 5", 0);
    failing("cpus == 4 and up and not up", "not up", 0);
    failing("cpus == 5 or not up", "cpus == 5 or not up", 0);
    failing("cpus == 4 and (os == 'x' or not up)", "os == 'x' or not up", 0);
    failing("cpus == 4 and nobody == 2", "nobody == 2", PW_ENOTFOUND);
    failing("cpus == 4 and os > 2", "os > 2", PW_EINVAL);
    failing("(up and cpus == 3) and os == 'x'", "cpus == 3", 0);
    failing("up", NULL, 0);
    failing("up and cpus == 4 and os == 'debian'", NULL, 0);
}

static void test_names(void)
{
    size_t at = 0, n = 0, pos = 0, seen = 0;
    const char *name;
    static const char *const want[] = {"a", "b.c", "d", "a"};
    static const size_t where[] = {0, 10, 20, 28};
    PW_AUTO(expr_freep) expr *e = expr_parse("a == 1 and b.c in d  and d or a", &at, NULL);
    (void)expr_free(e);
    e = expr_parse("a > 1 and b.c < 2 or d and not a", &at, NULL);
    while (e && expr_name(e, &pos, &name, &n, &at)) {
        ok(seen < 4 && strlen(want[seen]) == n && memcmp(want[seen], name, n) == 0,
           "name %zu is %.*s at %zu", seen, (int)n, name, at);
        ok(seen == 0 ? at == where[0] : at > 0, "it has a place");
        seen++;
    }
    ok(seen == 4, "all names");
}

int main(void)
{
    test_values();
    test_errors();
    test_limits();
    test_failing();
    test_names();
    return tap_done();
}
