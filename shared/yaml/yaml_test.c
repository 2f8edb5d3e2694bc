#include "shared/yaml/yaml.h"

#include <stdlib.h>
#include <string.h>

#include "tests/tap.h"

static yaml_doc *parse(const char *text, yaml_errors *e)
{
    yaml_errors_clear(e);
    return yaml_parse("f.yaml", text, strlen(text), e);
}

/* The text has exactly one error, and it reads like this. */
static void one_error(const char *text, const char *want)
{
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    __attribute__((unused)) PW_AUTO(yaml_freep) yaml_doc *d = parse(text, &e);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(100000);
    (void)yaml_errors_text(&e, &b);
    bool same = e.n == 1 && strncmp(pw_buf_str(&b), want, strlen(want)) == 0;
    ok(same, "error: %s", want);
    if (!same)
        printf("# got %zu: %s\n", e.n, pw_buf_str(&b));
}

static const char *text_at(const yaml_node *n, const char *key)
{
    const yaml_node *v = n ? yaml_node_get(n, key) : NULL;
    const char *t = v ? yaml_node_text(v) : NULL;
    return t ? t : "(none)";
}

static void test_tree(void)
{
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(yaml_freep)
    yaml_doc *d =
        parse("# head\na: 1\nb: [x, \"y\", ~, null, \"null\"]\nc:\n  d: {e: ö, f: g}\n  h:\n", &e);
    if (!d) {
        ok(false, "parses");
        return;
    }
    const yaml_node *r = yaml_root(d), *b = yaml_node_get(r, "b"), *c = yaml_node_get(r, "c"),
                    *k = NULL;
    ok(yaml_errors_none(&e) && yaml_node_type(r) == YAML_MAP && yaml_node_count(r) == 3,
       "a mapping of three");
    ok(strcmp(text_at(r, "a"), "1") == 0 && yaml_node_plain(yaml_node_get(r, "a")),
       "a plain scalar");
    ok(yaml_node_type(b) == YAML_LIST && yaml_node_count(b) == 5, "a list");
    ok(!yaml_node_plain(yaml_node_item(b, 1)) &&
           strcmp(yaml_node_text(yaml_node_item(b, 1)), "y") == 0,
       "quoted");
    ok(yaml_node_type(yaml_node_item(b, 2)) == YAML_NULL &&
           yaml_node_type(yaml_node_item(b, 3)) == YAML_NULL &&
           yaml_node_type(yaml_node_item(b, 4)) == YAML_SCALAR && !yaml_node_item(b, 5),
       "null only when unquoted");
    ok(yaml_node_line(b) == 3 && yaml_node_column(b) == 4 &&
           strcmp(yaml_node_file(b), "f.yaml") == 0,
       "place of a value");
    const yaml_node *f = yaml_node_key(yaml_node_get(c, "d"), "f");
    ok(yaml_node_line(f) == 5 && yaml_node_column(f) == 13, "columns count characters, not bytes");
    ok(yaml_node_type(yaml_node_get(c, "h")) == YAML_NULL && !yaml_node_value(c, "h") &&
           !yaml_node_get(c, "x"),
       "null, absent");
    const yaml_node *v = yaml_node_pair(r, 2, &k);
    ok(v == c && strcmp(yaml_node_text(k), "c") == 0 && !yaml_node_pair(r, 3, &k),
       "pairs keep their order");
    ok(!yaml_node_text(c) && !yaml_node_get(b, "x") && !yaml_node_item(c, 0),
       "wrong kinds give NULL");
}

static void test_aliases(void)
{
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(yaml_freep)
    yaml_doc *d =
        parse("x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\n"
              "one: {<<: *x, b: 9}\ntwo: {b: 9, <<: [*x, *y]}\nthree: {<<: [*y, *x]}\nfour: *x\n"
              "five: {\"<<\": 1}\nsix: {<<: {q: 1}, <<k: 2}\n",
              &e);
    const yaml_node *r = d ? yaml_root(d) : NULL;
    if (!r || e.n) {
        ok(false, "aliases parse");
        return;
    }
    const yaml_node *one = yaml_node_get(r, "one"), *two = yaml_node_get(r, "two"),
                    *three = yaml_node_get(r, "three");
    ok(yaml_node_count(one) == 2 && strcmp(text_at(one, "a"), "1") == 0 &&
           strcmp(text_at(one, "b"), "9") == 0,
       "<<: own keys win, before or behind");
    ok(yaml_node_count(two) == 3 && strcmp(text_at(two, "b"), "9") == 0 &&
           strcmp(text_at(two, "c"), "4") == 0,
       "<< of a list");
    ok(strcmp(text_at(three, "b"), "3") == 0 && strcmp(text_at(three, "a"), "1") == 0,
       "the earlier source wins");
    ok(yaml_node_get(r, "four") == yaml_node_get(r, "x"), "an alias is the same node");
    ok(strcmp(text_at(yaml_node_get(r, "five"), "<<"), "1") == 0, "a quoted << is a key");
    ok(strcmp(text_at(yaml_node_get(r, "six"), "q"), "1") == 0, "<< of a mapping written there");
    one_error("a: {<<: 3}\n", "f.yaml:1:9: \"<<\" takes a mapping");
    one_error("a: {<<: [{b: 1}, 3]}\n", "f.yaml:1:18: \"<<\" takes a mapping");
    one_error("a: {<<: {b: 1}, <<: {c: 1}}\n", "f.yaml:1:17: \"<<\" is given twice");
    one_error("a: *b\n", "f.yaml:1:4: no anchor \"&b\"");
    one_error("a: &b [1, *b]\n", "f.yaml:1:11: alias \"*b\" stands inside its own anchor");
    one_error("a: &b {<<: *b}\n", "f.yaml:1:12: alias \"*b\" stands inside its own anchor");
}

/* What opens `n` lists inside each other. */
static void deep(size_t n, yaml_errors *e, yaml_doc **ret)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(10000);
    for (size_t i = 0; i < n; i++)
        (void)pw_buf_adds(&b, "[");
    for (size_t i = 0; i < n; i++)
        (void)pw_buf_adds(&b, "]");
    *ret = parse(pw_buf_str(&b), e);
}

/* A list of 98 texts, aliased `uses` times: each use is 99 nodes, and `extra` single ones. */
static yaml_doc *aliased(size_t uses, size_t extra, yaml_errors *e)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1000000);
    (void)pw_buf_adds(&b, "s: &s 1\nl: &l [");
    for (size_t i = 0; i < 98; i++)
        (void)pw_buf_adds(&b, "1,");
    (void)pw_buf_adds(&b, "]\nu: [");
    for (size_t i = 0; i < uses; i++)
        (void)pw_buf_adds(&b, "*l,");
    for (size_t i = 0; i < extra; i++)
        (void)pw_buf_adds(&b, "*s,");
    (void)pw_buf_adds(&b, "]\n");
    return parse(pw_buf_str(&b), e);
}

static void test_limits(void)
{
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    yaml_doc *d = NULL;
    deep(YAML_DEPTH_MAX, &e, &d);
    ok(d && !e.n, "depth at the limit");
    d = yaml_free(d);
    deep(YAML_DEPTH_MAX + 1, &e, &d);
    ok(!d && e.n == 1 && e.v[0].column == YAML_DEPTH_MAX + 1, "depth beyond the limit");
    d = aliased(YAML_ALIAS_MAX / 99, YAML_ALIAS_MAX % 99, &e);
    ok(d && !e.n, "aliases at the limit");
    d = yaml_free(d);
    d = aliased(YAML_ALIAS_MAX / 99, YAML_ALIAS_MAX % 99 + 1, &e);
    ok(!d && e.n == 1 && strstr(e.v[0].text, "aliases expand"), "aliases beyond the limit");
    one_error("a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
              "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n",
              "f.yaml:4:29: aliases expand to more than 10000 values");
    PW_AUTO(pw_freep) char *big = malloc(YAML_TEXT_MAX + 1);
    if (!big)
        return;
    memset(big, ' ', YAML_TEXT_MAX + 1);
    yaml_errors_clear(&e);
    d = yaml_parse("f.yaml", big, YAML_TEXT_MAX, &e);
    ok(d && !e.n && yaml_node_type(yaml_root(d)) == YAML_NULL, "text at the limit");
    d = yaml_free(d);
    d = yaml_parse("f.yaml", big, YAML_TEXT_MAX + 1, &e);
    ok(!d && e.n == 1, "text beyond the limit");
    big[0] = '[';
    for (size_t i = 1; i + 2 < 2 * YAML_WRITTEN_MAX; i += 2)
        memcpy(big + i, "a,", 2);
    yaml_errors_clear(&e);
    d = yaml_parse("f.yaml", big, 2 * YAML_WRITTEN_MAX + 1, &e);
    ok(!d && e.n == 1, "a list that does not end");
    big[2 * YAML_WRITTEN_MAX - 1] = ']'; /* the list itself and one less than the limit */
    yaml_errors_clear(&e);
    d = yaml_parse("f.yaml", big, 2 * YAML_WRITTEN_MAX, &e);
    ok(d && !e.n && yaml_node_count(yaml_root(d)) == YAML_WRITTEN_MAX - 1, "values at the limit");
    d = yaml_free(d);
    memcpy(big + 2 * YAML_WRITTEN_MAX - 1, "a]", 2);
    d = yaml_parse("f.yaml", big, 2 * YAML_WRITTEN_MAX + 1, &e);
    ok(!d && e.n == 1 && strstr(e.v[0].text, "more than 200000"), "values beyond the limit");
}

static void test_hostile(void)
{
    one_error("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: key \"a\" is given twice, first in line 1");
    one_error("a: [1\nb: 2\n", "f.yaml:2:2: not YAML: while parsing a flow sequence");
    one_error("a: 1\n\tb: 2\n", "f.yaml:2:1: not YAML: ");
    one_error("---\na: 1\n---\nb: 2\n", "f.yaml:3:1: a second document");
    one_error("? [x]\n: 1\n", "f.yaml:1:3: a key must be a text");
    one_error("~: 1\n", "f.yaml:1:1: a key is missing");
    one_error("a: !!python/object:x 1\n",
              "f.yaml:1:4: tags are not supported: \"tag:yaml.org,2002:python/object:x\"");
    one_error("a: !x {b: 1}\n", "f.yaml:1:4: tags are not supported: \"!x\"");
    one_error("a: \"x\\0y\"\n", "f.yaml:1:4: a text must not hold a NUL byte");
    one_error("a: 1\nbc: \xff\n", "f.yaml:2:5: not YAML: invalid leading UTF-8 octet");
    one_error("{\"\\x1b[2J\\xc2\": 1, \"\\x1b[2J\\xc2\": 1}",
              "f.yaml:1:20: key \"?[2J\xc3\x82\" is given twice");
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(yaml_freep)
    yaml_doc *d = parse("\xef\xbb\xbf"
                        "a: !!str null\nb: '<<'",
                        &e);
    ok(d && !e.n && strcmp(text_at(yaml_root(d), "a"), "null") == 0,
       "byte order mark; !!str makes a text");
    d = yaml_free(d);
    d = yaml_parse("f.yaml", "a: \0b", 5, &e);
    ok(!d && e.n == 1 && e.v[0].line == 1, "a NUL byte in the file");
    yaml_errors_clear(&e);
    d = yaml_parse("f.yaml", NULL, 0, &e);
    ok(d && !e.n && yaml_node_type(yaml_root(d)) == YAML_NULL, "an empty file is null");
    d = yaml_free(d);
    d = parse("\"a\\u202e\\x85\\xff\": 1\n", &e);
    ok(d, "unicode escapes are texts");
    d = yaml_free(d);
}

static void test_errors(void)
{
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(100000);
    yaml_errors_add(&e, "b", 2, 1, "one");
    yaml_errors_add(&e, "a", 1, 1, "two");
    yaml_errors_add(&e, "b", 1, 9, "three");
    yaml_errors_add(&e, "b", 1, 2, "four");
    yaml_errors_add(&e, "b", 2, 1, "one");
    yaml_errors_add(&e, "b", 2, 1, "five\nx\x9b\xc2\x9bz\xe2\x82");
    const char *want = "b:1:2: four\nb:1:9: three\nb:2:1: one\nb:2:1: five?x???z??\na:1:1: two\n";
    (void)yaml_errors_text(&e, &b);
    ok(strcmp(pw_buf_str(&b), want) == 0, "sorted by file, line, column; once; clean");
    yaml_errors_sort(&e);
    pw_buf_reset(&b);
    (void)yaml_errors_text(&e, &b);
    ok(e.n == 5 && strcmp(pw_buf_str(&b), want) == 0, "the sorted list prints the same");
    for (unsigned i = 0; i < YAML_ERRORS_MAX + 5; i++)
        yaml_errors_add(&e, "c", 1000 - i, 1, "%u", i);
    yaml_errors_sort(&e);
    ok(e.n == YAML_ERRORS_MAX && e.v[5].line < e.v[6].line, "no more than the limit");
    yaml_errors_clear(&e);
    ok(e.n == 0 && yaml_errors_none(&e), "cleared");
    yaml_errors_sort(&e);
}

int main(void)
{
    test_tree();
    test_aliases();
    test_limits();
    test_hostile();
    test_errors();
    return tap_done();
}
