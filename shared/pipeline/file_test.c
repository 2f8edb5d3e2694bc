#include <stdlib.h>
#include <string.h>

#include "shared/pipeline/read.h"
#include "tests/tap.h"

#define S "steps: [{run: x}]"

static const char *other; /* what `include: [other.yaml]` reads */

static int read_other(void *self, const char *path, pw_buf *out, pw_err *err)
{
    (void)self;
    if (strcmp(path, "other.yaml") == 0 && other)
        return pw_buf_adds(out, other);
    if (strcmp(path, "later.yaml") == 0)
        return PW_EAGAIN;
    return pw_fail(err, PW_ENOTFOUND, "it is not in this revision");
}

static pl_file *load(const char *text, const pl_allow *allow, yaml_errors *errors)
{
    pl_rules rules = {.allow = allow, .read = read_other};
    return pl_load(".pawl.yaml", text, strlen(text), &rules, errors);
}

static bool says(const yaml_errors *e, unsigned line, unsigned column, const char *text)
{
    for (size_t i = 0; i < e->n; i++)
        if (e->v[i].line == line && e->v[i].column == column && strstr(e->v[i].text, text))
            return true;
    for (size_t i = 0; i < e->n; i++)
        printf("# %s:%u:%u: %s\n", e->v[i].file, e->v[i].line, e->v[i].column, e->v[i].text);
    return false;
}

static void test_good(void)
{
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(pl_unrefp)
    pl_file *f = load("builders:\n"
                      "  fast:\n"
                      "    requires: {tags: [linux]}\n"
                      "    env: {CFLAGS: \"-O2\"}\n"
                      "    " S "\n"
                      "  slow:\n"
                      "    needs: [fast]\n"
                      "    matrix: {cc: [gcc, clang]}\n"
                      "    shards: 2\n"
                      "    " S "\n"
                      "  clean: {needs: fast, always_run: true, manual: true, required: false, " S
                      ", run_if_changed: [\"src/**\", \"!src/doc/**\"]}\n",
                      NULL, &e);
    ok(f && e.n == 0 && f->n_builders == 3, "loads");
    if (!f)
        return;
    const pl_builder *b = f->builders;
    ok(strcmp(b[0].name, "fast") == 0 && strcmp(b[1].name, "slow") == 0 &&
           strcmp(b[2].name, "clean") == 0,
       "in the order of the file");
    ok(b[1].needs.n == 1 && b[1].need[0] == 0 && b[2].need[0] == 0, "needs");
    ok(!b[0].shards && b[1].shards == 2 && b[1].n_axes == 1 && b[1].axes[0].values.n == 2,
       "matrix and shards");
    ok(b[2].always_run && b[2].manual && !b[2].required && b[2].run_if_changed &&
           !b[1].always_run && b[1].required,
       "flags");
}

static void test_mistakes(void)
{
    static const struct {
        const char *text;
        unsigned line, column;
        const char *says;
    } t[] = {
        {"", 1, 1, "a pipeline file must be a mapping"},
        {"{}", 1, 1, "there is no builder"},
        {"builders: {}", 1, 1, "there is no builder"},
        {"builders: [a]", 1, 11, "must be a mapping of names"},
        {"buidlers: {a: {" S "}}", 1, 1, "did you mean \"builders\""},
        {"promotions: []\nbuilders: {a: {" S "}}", 1, 1, "unknown key \"promotions\""},
        {"builders:\n  a b: {" S "}", 2, 3, "is no name of a builder"},
        {"builders:\n  pipeline: {" S "}", 2, 3, "errors of this file are told"},
        {"builders:\n  a: {" S "}\n  a: {" S "}", 3, 3, "a"},
        {"builders:\n  a: {}", 2, 6, "\"steps\" is missing"},
        {"builders:\n  a: {" S ", project: x}", 2, 26, "unknown key \"project\""},
        {"builders:\n  a: {steps: [{run: x, timout: 3s}]}", 2, 24, "did you mean \"timeout\""},
        {"builders:\n  a: {" S ", needs: [fats]}\n  fast: {" S "}", 2, 34, "did you mean \"fast\""},
        {"builders:\n  a: {" S ", needs: [xyzzy]}", 2, 34, "no builder \"xyzzy\""},
        {"builders:\n  a: {" S ", needs: [a]}", 2, 34, "\"a\" needs itself"},
        {"builders:\n  a: {" S "}\n  b: {" S ", needs: [a, a]}", 3, 37, "twice"},
        {"builders:\n  a: {" S "}\n  b: {" S ", needs: [\"a[x=1]\"]}", 3, 34, "not one build"},
        {"builders:\n  a: {" S ", needs: [c]}\n  b: {" S ", needs: [a]}\n  c: {" S ", needs: [b]}",
         2, 33, "never begin: a -> c -> b -> a"},
        {"builders:\n  a: {" S ", matrix: [x]}", 2, 34, "must be a mapping"},
        {"builders:\n  a: {" S ", matrix: {}}", 2, 34, "must be a mapping"},
        {"builders:\n  a: {" S ", matrix: {cc: []}}", 2, 39, "at least one value"},
        {"builders:\n  a: {" S ", matrix: {CC: [x]}}", 2, 35, "is no name of a property"},
        {"builders:\n  a: {" S ", matrix: {shard: [x]}}", 2, 35, "see the key \"shards\""},
        {"builders:\n  a: {" S ", matrix: {branch: [x]}}", 2, 35, "is set by Pawl"},
        {"builders:\n  a: {" S ", matrix: {cc: [x, x]}}", 2, 43, "\"x\" twice"},
        {"builders:\n  a: {" S ", matrix: {cc: [\"\"]}}", 2, 40, "1 to 80 bytes"},
        {"builders:\n  a: {" S ", matrix: {cc: [\"a b\", \"a,b\"]}}", 2, 34, "two builds"},
        {"builders:\n  a: {" S ", matrix: {cc: [a], exclude: [{cc: a}]}}", 2, 34, "leaves nothing"},
        {"builders:\n  a: {" S ", matrix: {cc: [a], exclude: [{dd: a}]}}", 2, 55, "no axis"},
        {"builders:\n  a: {" S ", properties: {cc: y}, matrix: {cc: [a]}}", 2, 39,
         "an axis of the matrix already"},
        {"builders:\n  a: {" S ", shards: 0}", 2, 34, "1"},
        {"builders:\n  a: {" S ", shards: 257}", 2, 34, "256"},
        {"builders:\n  a: {" S ", shards: 200, matrix: {cc: [a, b]}}", 2, 47, "more than 256"},
        {"builders:\n  a: {" S ", run_if_changed: []}", 2, 42, "at least one"},
        {"builders:\n  a: {" S ", run_if_changed: [\"/(/\"]}", 2, 43, "run_if_changed"},
        {"builders:\n  a: {" S ", run_if_changed: x\n", 2, 0, ""},
        {"builders:\n  a: {" S "}\ninclude: [../x]", 3, 11, "without \"..\""},
        {"builders:\n  a: {" S "}\ninclude: [/etc/passwd]", 3, 11, "from the root"},
        {"builders:\n  a: {" S "}\ninclude: [.git/config]", 3, 11, "from the root"},
        {"builders:\n  a: {" S "}\ninclude: [nope]", 3, 11, "is not in this revision"},
        {"builders:\n  a: {" S "}\ninclude: [.pawl.yaml]", 3, 11, "is read already"},
        {"builders:\n  a: {steps: [{run: \"x ${secret:k}\"}]}", 2, 21, "must not stand in"},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
        PW_AUTO(pl_unrefp) pl_file *f = load(t[i].text, NULL, &e);
        ok(!f && (t[i].column ? says(&e, t[i].line, t[i].column, t[i].says) : e.n > 0),
           "mistake %zu: %s", i, t[i].says);
    }
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(pl_unrefp)
    pl_file *f =
        load("builders:\n  a: {needs: [b], shards: x, " S "}\n  c: {}\n  d d: 3\n", NULL, &e);
    ok(!f && e.n == 5, "all mistakes are told at once (%zu)", e.n);
}

/* More than are kept: what comes after them is no more right for that. */
static void test_many_mistakes(void)
{
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(1 << 20);
    (void)pw_buf_addf(&text, "builders:\n");
    for (unsigned i = 0; i < YAML_ERRORS_MAX + 10; i++)
        (void)pw_buf_addf(&text, "  b%u: {" S ", matrix: {cc: [[x]]}}\n", i);
    PW_AUTO(pl_unrefp) pl_file *f = load(pw_buf_str(&text), NULL, &e);
    ok(!f && e.n == YAML_ERRORS_MAX && e.told >= YAML_ERRORS_MAX + 10, "%zu of %zu mistakes", e.n,
       e.told);
}

static void test_allowed(void)
{
    static const struct {
        const char *text;
        unsigned line, column;
        const char *says; /* NULL: it is fine */
    } t[] = {
        {"builders:\n  a: {" S ", requires: {tags: [linux-x]}}", 0, 0, NULL},
        {"builders:\n  a: {" S ", requires: {tags: [linux-x, mac]}}", 2, 53, "tag \"mac\""},
        {"builders:\n  a: {" S ", isolation: none}", 2, 37, "isolation \"none\""},
        {"builders:\n  a: {steps: [{run: x, env: {K: \"${secret:key}\"}}]}", 0, 0, NULL},
        {"builders:\n  a: {steps: [{run: x, env: {K: \"${secret:other}\"}}]}", 2, 33,
         "secret \"other\""},
        {"builders:\n  a: {" S ", timeout: 30m}", 0, 0, NULL},
        {"builders:\n  a: {" S ", timeout: 2h}", 2, 35, "at most 1h"},
        {"builders:\n  a: {" S ", shards: 3}", 0, 0, NULL},
        {"builders:\n  a: {" S ", shards: 2}\n  b: {" S ", shards: 2}", 3, 3, "more than 3"},
    };
    char *tags[] = {(char *)"linux*"}, *iso[] = {(char *)"bwrap"};
    char *secrets[] = {(char *)"key"};
    pl_allow allow = {.tags = glob_parse(GLOB_BRANCH, tags, 1, NULL),
                      .isolation = glob_parse(GLOB_BRANCH, iso, 1, NULL),
                      .secrets = {secrets, 1},
                      .max_builds = 3,
                      .max_timeout = 3600 * PL_SECOND};
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
        PW_AUTO(pl_unrefp) pl_file *f = load(t[i].text, &allow, &e);
        ok(t[i].says ? !f && says(&e, t[i].line, t[i].column, t[i].says) : f && !e.n, "allow %zu",
           i);
        if (f && i == 0)
            ok(f->builders[0].timeout == allow.max_timeout, "the default gives way to the bound");
    }
    pl_allow none = {0};
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(pl_unrefp) pl_file *f = load(t[3].text, &none, &e);
    ok(!f && says(&e, 2, 33, "is not allowed here"), "no secret by default");
    glob_free(allow.tags);
    glob_free(allow.isolation);
}

static void test_include(void)
{
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    other = "builders:\n  b: {needs: [a], " S "}";
    PW_AUTO(pl_unrefp)
    pl_file *f = load("include: [other.yaml]\nbuilders: {a: {" S "}}", NULL, &e);
    ok(f && f->n_builders == 2 && strcmp(f->builders[1].name, "b") == 0 &&
           f->builders[1].need[0] == 0,
       "builders of two files");
    PW_AUTO(pl_unrefp)
    pl_file *g = load("include: [other.yaml, later.yaml]\nbuilders: {a: {" S "}}", NULL, &e);
    ok(!g && yaml_errors_none(&e), "a file that is not here yet is no mistake");
    other = "builders:\n  a: {" S "}";
    PW_AUTO(pl_unrefp)
    pl_file *h = load("builders: {a: {" S "}}\ninclude: [other.yaml]\n", NULL, &e);
    ok(!h && e.n == 1 && strcmp(e.v[0].file, "other.yaml") == 0 &&
           says(&e, 2, 3, "is in .pawl.yaml:1 already"),
       "told with its file");
    other = "include: other.yaml";
    yaml_errors_clear(&e);
    e = (yaml_errors){0};
    PW_AUTO(pl_unrefp)
    pl_file *k = load("builders: {a: {" S "}}\ninclude: [other.yaml]\n", NULL, &e);
    ok(!k && says(&e, 1, 10, "is read already"), "a file that includes itself");
    PW_AUTO(pw_buf_clearp) pw_buf big = PW_BUF(PL_FILE_BYTES_MAX + 100);
    (void)pw_buf_adds(&big, "builders: {a: {" S "}}\n#");
    while (big.len < PL_FILE_BYTES_MAX)
        (void)pw_buf_adds(&big, "x");
    yaml_errors_clear(&e);
    e = (yaml_errors){0};
    PW_AUTO(pl_unrefp) pl_file *m = load(pw_buf_str(&big), NULL, &e);
    ok(m && !e.n, "as long as may be");
    (void)pw_buf_adds(&big, "x");
    PW_AUTO(pl_unrefp) pl_file *l = load(pw_buf_str(&big), NULL, &e);
    ok(!l && says(&e, 1, 1, "longer than"), "too long");
}

int main(void)
{
    test_good();
    test_mistakes();
    test_many_mistakes();
    test_allowed();
    test_include();
    return tap_done();
}
