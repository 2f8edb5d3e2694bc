#include "worker/run/sparse.h"

#include <string.h>

#include "tests/tap.h"

static void ok_paths(void)
{
    static const struct {
        const char *path;
        bool ok;
    } v[] = {{"a", true},          {"a/b/", true}, {"./a", true},   {"-x", true},    {"a b", true},
             {"..a/b..", true},    {"", false},    {".", false},    {"/", false},    {"/a", false},
             {"a/../../b", false}, {"..", false},  {"a\nb", false}, {"a/..", false}, {"./", false}};
    for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
        ok(sparse_path_ok(v[i].path) == v[i].ok, "path %zu", i);
}

static void patterns(const char *what, size_t n, const char *const *v, const char *want)
{
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(1000);
    sparse_patterns(v, n, &out);
    bool is = !out.failed && strcmp(pw_buf_str(&out), want) == 0;
    ok(is, "%s", what);
    if (!is)
        printf("%s", pw_buf_str(&out));
}
#define P(what, want, ...)                                                                         \
    do {                                                                                           \
        const char *const v_[] = {__VA_ARGS__};                                                    \
        patterns((what), sizeof(v_) / sizeof(v_[0]), v_, "/*\n!/*/\n" want);                       \
    } while (0)

int main(void)
{
    ok_paths();
    P("one folder", "/a/\n", "a");
    P("one below", "/a/\n!/a/*/\n/a/b/\n", "a/b");
    P("two of one way", "/a/\n!/a/*/\n/a/b/\n/a/c/\n", "a/b", "a/c");
    P("a deeper second", "/a/\n!/a/*/\n/a/b/\n/a/c/\n!/a/c/*/\n/a/c/d/\n", "a/b", "a/c/d");
    P("the one above, later", "/a/\n", "a/b/c", "a");
    P("the one above, first", "/a/\n", "a", "a/b/c");
    P("named twice", "/a/\n", "a/", "./a");
    P("no folder above by its first letters", "/a/\n/ab/\n!/ab/*/\n/ab/c/\n", "a", "ab/c");
    P("a way through what is taken whole elsewhere", "/b/\n/a/\n!/a/*/\n/a/x/\n", "b/c", "b",
      "a/x");
    P("what means something in patterns", "/a\\*\\?\\[\\\\/\n", "a*?[\\");
    return tap_done();
}
