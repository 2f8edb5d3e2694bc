#include "shared/json/json.h"

#include <stdlib.h>
#include <string.h>

#include "tests/tap.h"

static json_value *parse(const char *text, pw_err *err)
{
    *err = (pw_err){0};
    return json_parse(text, strlen(text), err);
}

static void test_reading(void)
{
    static const char text[] =
        "{\"s\": \"a\\u00e9\", \"i\": -9223372036854775808, \"t\": true, \"f\": false,"
        " \"n\": null, \"r\": 1.5, \"a\": [1, [2], {}], \"o\": {\"z\": 1, \"y\": 2}}";
    pw_err err;
    PW_AUTO(json_freep) json_value *v = parse(text, &err);
    const json_value *got = NULL;
    const char *key;
    ok(v && json_is_object(v) && json_count(v) == 8, "an object is read: %s", err.text);
    if (!v)
        return;
    ok(strcmp(json_str(json_get(v, "s"), "-"), "a\xc3\xa9") == 0, "string");
    ok(json_int(json_get(v, "i"), 0) == INT64_MIN, "least integer");
    ok(json_bool(json_get(v, "t"), false) && !json_bool(json_get(v, "f"), true), "booleans");
    ok(json_is_bool(json_get(v, "f")) && !json_is_bool(json_get(v, "i")), "kinds of booleans");
    ok(json_is_null(json_get(v, "n")) && json_is_null(json_get(v, "absent")) &&
           !json_is_null(json_get(v, "i")),
       "null");
    ok(!json_is_int(json_get(v, "r")) && json_int(json_get(v, "r"), 7) == 7,
       "a real is no integer");
    ok(json_is_array(json_get(v, "a")) && json_count(json_get(v, "a")) == 3, "array");
    ok(json_int(json_at(json_at(json_get(v, "a"), 1), 0), 0) == 2, "a path of lookups");
    ok(json_int(json_at(json_get(json_get(v, "x"), "y"), 9), -1) == -1, "a path that is not there");
    ok(!json_at(json_get(v, "a"), 3) && !json_at(v, 0) && !json_get(json_get(v, "a"), "s"),
       "the wrong kind gives NULL");
    ok(strcmp(json_str(json_get(v, "i"), "-"), "-") == 0 && json_str(NULL, NULL) == NULL,
       "the default is given");
    ok(json_count(NULL) == 0 && json_count(json_get(v, "s")) == 0, "what has no parts counts 0");
    key = json_key(json_get(v, "o"), 0, &got);
    ok(key && strcmp(key, "z") == 0 && json_int(got, 0) == 1, "keys stand in the text's order");
    key = json_key(json_get(v, "o"), 1, &got);
    ok(key && strcmp(key, "y") == 0 && json_int(got, 0) == 2, "the second key");
    ok(!json_key(json_get(v, "o"), 2, &got) && !json_key(NULL, 0, &got) && json_int(got, 0) == 2,
       "no third");
    ok(json_is_string(json_get(v, "s")) && !json_is_string(v) && !json_is_object(NULL), "kinds");
}

static void test_errors(void)
{
    static const struct {
        const char *text;
        int code;
        const char *say;
    } t[] = {
        {"", PW_EINVAL, "line 1"},
        {"{\"a\": 1,\n \"a\": 2}", PW_EINVAL, "line 2, column 4: duplicate object key"},
        {"[1,\n2,\n}", PW_EINVAL, "line 3, column 1: "},
        {"\"\xc3(\"", PW_EINVAL, "unable to decode byte 0x"},
        {"\"\xed\xa0\x80\"", PW_EINVAL, "unable to decode byte 0x"},
        {"\"\\ud800\"", PW_EINVAL, "line 1"},
        {"\"a\\u0000b\"", PW_EINVAL, "\\u0000"},
        {"9223372036854775808", PW_EINVAL, "too big"},
        {"1e999", PW_EINVAL, "line 1"},
        {"[1] 2", PW_EINVAL, "end of file expected"},
        {"[1", PW_EINVAL, "line 1"},
        {"{\"a\" 1}", PW_EINVAL, "':' expected"},
        {"[01]", PW_EINVAL, "line 1"},
        {"[NaN]", PW_EINVAL, "line 1"},
        {"]]]]", PW_EINVAL, "line 1"},
    };
    pw_err err;
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        PW_AUTO(json_freep) json_value *v = parse(t[i].text, &err);
        ok(!v && err.code == t[i].code && strstr(err.text, t[i].say), "error %zu: %s", i, err.text);
    }
    {
        PW_AUTO(json_freep) json_value *v = parse("[\"a\x01\n\"]", &err);
        ok(!v && !strpbrk(err.text, "\x01\n"), "quoted input has no control characters");
    }
}

static char *deep(size_t n)
{
    char *s = calloc(1, 2 * n + 1);
    if (s) {
        memset(s, '[', n);
        memset(s + n, ']', n);
    }
    return s;
}

static char *keys(size_t n)
{
    pw_buf b = PW_BUF(1 << 20);
    (void)pw_buf_adds(&b, "{");
    for (size_t i = 0; i < n; i++)
        (void)pw_buf_addf(&b, "%s\"%zu\":1", i ? "," : "", i);
    (void)pw_buf_adds(&b, "}");
    if (b.failed)
        pw_buf_clear(&b);
    return pw_buf_take(&b);
}

static void test_limits(void)
{
    pw_err err;
    PW_AUTO(pw_freep) char *d100 = deep(100), *d101 = deep(101);
    PW_AUTO(pw_freep) char *k = keys(10000), *k1 = keys(10001);
    PW_AUTO(json_freep) json_value *a = NULL, *b = NULL, *c = NULL, *d = NULL, *e = NULL;
    if (!d100 || !d101 || !k || !k1)
        return;
    a = parse(d100, &err);
    ok(a, "depth 100 is read");
    b = parse(d101, &err);
    ok(!b && err.code == PW_ELIMIT && strstr(err.text, "line 1, column 101: "),
       "depth 101 is not: %s", err.text);
    c = parse(k, &err);
    ok(json_count(c) == 10000, "10,000 keys are read");
    d = parse(k1, &err);
    ok(!d && err.code == PW_ELIMIT, "10,001 are not: %s", err.text);
    memset(d101, '"', 1);
    d101[201] = '"';
    e = parse(d101, &err);
    ok(e && json_is_string(e), "brackets in a string have no depth");
}

static void test_text(void)
{
    static const char text[] =
        "{\"b\":[1,-2,null,true,false],\"a\":\"x\\n\xc3\xa9\\\"\",\"r\":12.5,\"o\":{}}";
    pw_err err;
    PW_AUTO(json_freep) json_value *v = parse(text, &err);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1000), small = PW_BUF(8);
    ok(json_text(v, &b) == 0 && strcmp(pw_buf_str(&b), text) == 0, "text is compact: %s",
       pw_buf_str(&b));
    ok(json_text(v, &small) < 0 && small.failed, "a full buffer is an error");
    pw_buf_reset(&b);
    ok(json_text(NULL, &b) == 0 && strcmp(pw_buf_str(&b), "null") == 0, "NULL is null");
    pw_buf_reset(&b);
    ok(json_text(json_get(v, "a"), &b) == 0 && strcmp(pw_buf_str(&b), "\"x\\n\xc3\xa9\\\"\"") == 0,
       "a part of a tree");
}

static void test_expect(void)
{
    static const char *const known[] = {"branch", "reason", NULL};
    pw_err err;
    PW_AUTO(json_freep) json_value *good = parse("{\"reason\":1}", &err);
    PW_AUTO(json_freep) json_value *near = parse("{\"reason\":1,\"brnach\":2}", &err);
    PW_AUTO(json_freep) json_value *far = parse("{\"x\\n\":2}", &err);
    PW_AUTO(json_freep) json_value *list = parse("[]", &err);
    ok(json_expect(good, known, &err) == 0, "known keys are fine");
    ok(json_expect(near, known, &err) == PW_EINVAL &&
           strcmp(err.text, "unknown key \"brnach\", did you mean \"branch\"") == 0,
       "%s", err.text);
    ok(json_expect(far, known, &err) == PW_EINVAL, "another is not");
    ok(json_expect(list, known, &err) == PW_EINVAL && json_expect(NULL, known, NULL) == PW_EINVAL,
       "an object is asked for");
}

static void test_check(void)
{
    static const char *const good[] = {"{}",
                                       " [ ] ",
                                       "null",
                                       "-0.5e+10",
                                       "\"\\u00e9\\n\"",
                                       "{\"a\":[1,{\"b\":null}],\"c\":{}}",
                                       "[[],[[]],{}]",
                                       "0"},
                             *const bad[] = {"",        " ",           "{",        "}",     "[1,]",
                                             "{\"a\"}", "{\"a\":1,}",  "{a:1}",    "[1 2]", "01",
                                             "1.",      "+1",          "1e",       "nul",   "\"a",
                                             "\"\\x\"", "\"\\u12g4\"", "\"a\nb\"", "{}x",   "{} {}",
                                             "[}",      "{\"a\":]",    "\"\\",     "[,1]",  "--1"};
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        ok(json_check(good[i], strlen(good[i]), NULL) == 0, "JSON: %s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        ok(json_check(bad[i], strlen(bad[i]), NULL) == PW_EPROTO, "no JSON (%zu)", i);
    ok(json_check("{}", 3, NULL) < 0, "a NUL behind it");
    ok(!json_parse("[1\0]", 4, NULL) && !json_parse("666", 4, NULL) &&
           !json_parse("\"a\0\"", 4, NULL),
       "nor for the parser");
    for (size_t n = 100; n <= 101; n++) {
        char text[210];
        memset(text, '[', n);
        memset(text + n, ']', n);
        ok((json_check(text, 2 * n, NULL) == 0) == (n == 100), "depth %zu", n);
    }
}

int main(void)
{
    test_check();
    test_reading();
    test_errors();
    test_limits();
    test_text();
    test_expect();
    return tap_done();
}
