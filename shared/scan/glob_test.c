#include "shared/scan/glob.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/tap.h"

/* 1: matches, 0: does not, -1: the list is refused. Items are separated by blanks. */
static int match(glob_kind kind, const char *items, const char *name)
{
    char copy[4096], *v[64], *save = NULL;
    size_t n = 0;
    pw_err err = {0};
    PW_AUTO(glob_freep) glob_list *list = NULL;
    (void)snprintf(copy, sizeof(copy), "%s", items);
    for (char *p = strtok_r(copy, " ", &save); p && n < 64; p = strtok_r(NULL, " ", &save))
        v[n++] = p;
    list = glob_parse(kind, v, n, &err);
    return list ? glob_match(list, name) : -1;
}

struct one {
    const char *items, *name;
    int want;
};

static void test_table(glob_kind kind, const char *what, const struct one *t, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int got = match(kind, t[i].items, t[i].name);
        ok(got == t[i].want, "%s \"%s\", name %zu, gives %d", what, t[i].items, i, got);
    }
}

static void test_branches(void)
{
    static const struct one t[] = {
        {"", "main", 0},
        {"*", "main", 1},
        {"*", "feature/a/b", 1},
        {"*", "", 1},
        {"main", "main", 1},
        {"main", "main2", 0},
        {"main", "mai", 0},
        {"main", "Main", 0},
        {"release/*", "release/1.0/rc", 1},
        {"release/*", "release", 0},
        {"release/*", "old/release/1", 0},
        {"*-stable", "a/b-stable", 1},
        {"*-stable", "a/b-stable-x", 0},
        {"*a*b*c*", "xxaxxbxxc", 1},
        {"*a*b*c*", "xxaxxcxxb", 0},
        {"a**b", "a/x/b", 1},
        {"v?.?", "v1.2", 1},
        {"v?.?", "v1.23", 0},
        {"a?b", "a/b", 1},
        {"a?z", "a\xc3\xa9z", 1},
        {"a??z", "a\xc3\xa9z", 0},
        {"a?z", "a\xe9z", 1},
        {"v[0-9]", "v7", 1},
        {"v[0-9]", "vx", 0},
        {"v[!0-9]", "vx", 1},
        {"v[^0-9]", "v3", 0},
        {"v[^0-9]", "v\xe2\x82\xac", 1},
        {"[]a]", "]", 1},
        {"[a-]", "-", 1},
        {"[\\]]", "]", 1},
        {"a\\*b", "a*b", 1},
        {"a\\*b", "axb", 0},
        {"\\!a", "!a", 1},
        {"/^x/y", "/^x/y", 1},
        {"!wip/*", "main", 1},
        {"!wip/*", "wip/x", 0},
        {"!a !b", "b", 0},
        {"* !wip/*", "main", 1},
        {"* !wip/*", "wip/x", 0},
        {"* !wip/* wip/keep", "wip/keep", 1},
        {"* !wip/* wip/keep", "wip/other", 0},
        {"!wip/* *", "wip/x", 1},
        {"main !main", "other", 0},
        {"/v[0-9]+/", "v12", 1},
        {"/v[0-9]+/", "v12x", 0},
        {"/v[0-9]+/", "xv12", 0},
        {"/a|ab/", "ab", 1},
        {"/release/.*/", "release/x", 1},
        {"/a.z/", "a\xc3\xa9z", 1},
        {"/[^x]+/", "\xff\xfe", 0},
        {"!/tmp.*/", "tmp1", 0},
        {"!/tmp.*/", "x", 1},
        {"/a$/", "a\n", 0},
        {"[a", "", -1},
        {"[", "", -1},
        {"[a\\", "", -1},
        {"[z-a]", "", -1},
        {"[[:alpha:]]", "", -1},
        {"[\xc3\xa9]", "", -1},
        {"a\\", "", -1},
        {"!", "", -1},
        {"//", "", -1},
        {"/(/", "", -1},
        {"/a\\Cb/", "", -1},
    };
    test_table(GLOB_BRANCH, "branch", t, sizeof(t) / sizeof(t[0]));
}

static void test_paths(void)
{
    static const struct one t[] = {
        {"*.c", "a.c", 1},
        {"*.c", "src/a.c", 0},
        {"**.c", "src/a.c", 1},
        {"**/*.c", "a.c", 1},
        {"**/*.c", "x/y/a.c", 1},
        {"**/*.c", "x/y/a.h", 0},
        {"**/a", "xa", 0},
        {"**/a", "x/xa", 0},
        {"**/a", "x/a", 1},
        {"doc/*", "doc/a", 1},
        {"doc/*", "doc/a/b", 0},
        {"doc/**", "doc/a/b", 1},
        {"doc/**", "doc", 0},
        {"doc/**", "docs/a", 0},
        {"doc/", "doc/a/b", 1},
        {"doc/", "doc", 0},
        {"doc/", "x/doc/a", 0},
        {"a/**/b", "a/b", 1},
        {"a/**/b", "a/x/b", 1},
        {"a/**/b", "a/x/y/b", 1},
        {"a/**/b", "a/xb", 0},
        {"a/**/b", "ab", 0},
        {"**/**/x", "x", 1},
        {"**/x/**", "a/x/b", 1},
        {"**/x/**", "a/xx/b", 0},
        {"a?b", "a/b", 0},
        {"a[/x]b", "a/b", 0},
        {"a[!x]b", "a/b", 0},
        {"a[!x]b", "ayb", 1},
        {"/top", "top", 1},
        {"/top", "x/top", 0},
        {"/.*\\.(c|h)/", "x/y.h", 1},
        {"** !doc/**", "doc/x", 0},
        {"** !doc/**", "src/x", 1},
        {"/", "", -1},
    };
    test_table(GLOB_PATH, "path", t, sizeof(t) / sizeof(t[0]));
}

static void test_limits(void)
{
    static char big[1002], name[8194], m[] = "m*";
    char *many[1001];
    char *items[2] = {(char[]){"main"}, (char[]){"x[a"}};
    pw_err err = {0};
    PW_AUTO(glob_freep) glob_list *a = NULL, *b = NULL, *c = NULL, *d = NULL;
    ok(!glob_parse(GLOB_BRANCH, items, 2, &err) && err.code == PW_EINVAL &&
           strstr(err.text, "item 2 \"x[a\", position 2: \"[\" is not closed"),
       "an error names item and position: %s", err.text);
    memset(big, '?', 1000);
    memset(name, 'n', 8193);
    items[0] = big;
    a = glob_parse(GLOB_PATH, items, 1, &err);
    name[1000] = '\0';
    ok(a && glob_match(a, name), "an item of 1,000 bytes is taken");
    big[1000] = '?';
    ok(!glob_parse(GLOB_PATH, items, 1, &err) && err.code == PW_ELIMIT, "1,001 bytes are not");
    for (size_t i = 0; i < 1001; i++)
        many[i] = m;
    b = glob_parse(GLOB_BRANCH, many, 1000, &err);
    ok(b && glob_match(b, "main"), "1,000 items are taken");
    ok(!glob_parse(GLOB_BRANCH, many, 1001, &err) && err.code == PW_ELIMIT, "1,001 are not");
    name[1000] = 'n';
    name[8192] = '\0';
    items[0] = (char[]){"*"};
    c = glob_parse(GLOB_BRANCH, items, 1, &err);
    ok(c && glob_match(c, name), "a name of 8,192 bytes is matched");
    name[8192] = 'n';
    ok(c && !glob_match(c, name), "one of 8,193 bytes matches nothing");
    d = glob_parse(GLOB_BRANCH, NULL, 0, &err);
    ok(d && !glob_match(d, "main"), "an empty list matches nothing");
}

static void test_bounded(void)
{
    static char name[8193];
    char stars[400];
    char *items[3] = {stars, (char[]){"/(a+)+[bc]/"}, (char[]){"/(?:a|aa|aaa)+[bc]/"}};
    struct timespec t0, t1;
    pw_err err = {0};
    PW_AUTO(glob_freep) glob_list *list = NULL;
    for (size_t i = 0; i < sizeof(stars) - 2; i += 2) {
        stars[i] = '*';
        stars[i + 1] = 'a';
    }
    stars[sizeof(stars) - 2] = 'b';
    stars[sizeof(stars) - 1] = '\0';
    memset(name, 'a', 8192);
    list = glob_parse(GLOB_BRANCH, items, 3, &err);
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t0);
    ok(list && !glob_match(list, name), "hostile patterns do not match");
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t1);
    ok((t1.tv_sec - t0.tv_sec) * 1000 + (t1.tv_nsec - t0.tv_nsec) / 1000000 < 500,
       "and end soon on the longest name");
}

static void *matcher(void *self)
{
    const glob_list *list = self;
    size_t bad = 0;
    for (int i = 0; i < 2000; i++)
        bad += !glob_match(list, "release/1.2") || glob_match(list, "wip/x") ||
               glob_match(list, "v1x");
    return bad ? NULL : self;
}

static void test_threads(void)
{
    char *items[] = {(char[]){"release/*"}, (char[]){"/v[0-9]+/"}, (char[]){"!wip/*"}};
    pthread_t t[4];
    size_t n = 0, good = 0;
    pw_err err = {0};
    PW_AUTO(glob_freep) glob_list *list = glob_parse(GLOB_BRANCH, items, 3, &err);
    while (list && n < 4 && pthread_create(&t[n], NULL, matcher, list) == 0)
        n++;
    for (size_t i = 0; i < n; i++) {
        void *ret = NULL;
        (void)pthread_join(t[i], &ret);
        good += ret != NULL;
    }
    ok(n == 4 && good == 4, "four threads match with one list");
}

int main(void)
{
    test_branches();
    test_paths();
    test_limits();
    test_bounded();
    test_threads();
    return tap_done();
}
