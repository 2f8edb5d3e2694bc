/* Queries: strict keys, limits, cursors. */
#include "master/http/query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/buf.h"
#include "tests/tap.h"

static int parse(const char *raw, const char *allowed, web_query *q, pw_err *err)
{
    *err = (pw_err){0};
    web_query_clear(q);
    return web_query_parse(q, raw, allowed, err);
}

static bool is(const web_query *q, const char *key, const char *value)
{
    const char *v = web_query_get(q, key);
    return v && strcmp(v, value) == 0;
}

static void test_keys(web_query *q)
{
    pw_err err;
    ok(parse(NULL, "a", q, &err) == 0 && q->n == 0 && parse("", "a", q, &err) == 0 &&
           parse("&&", "a", q, &err) == 0 && q->n == 0,
       "nothing");
    ok(parse("a=1&b=x+y%2Bz&c", "a b c", q, &err) == 0 && is(q, "a", "1") && is(q, "b", "x y+z") &&
           is(q, "c", ""),
       "values are decoded");
    ok(parse("a=1=2", "a", q, &err) == 0 && is(q, "a", "1=2"), "the first = divides");
    ok(parse("%61=1", "a", q, &err) == 0 && is(q, "a", "1"), "keys are decoded");
    ok(parse("brunch=1", "branch builder", q, &err) == PW_EINVAL &&
           strstr(err.text, "\"brunch\", did you mean \"branch\""),
       "unknown: %s", err.text);
    ok(parse("x=1", "", q, &err) == PW_EINVAL && q->n == 0, "none is allowed");
    ok(parse("=1", "a", q, &err) == PW_EINVAL, "no key");
    ok(parse("a=1&a=1", "a", q, &err) == PW_EINVAL && strstr(err.text, "twice"), "twice");
    ok(parse("a=%0", "a", q, &err) == PW_EINVAL && parse("a=%00", "a", q, &err) == PW_EINVAL &&
           parse("%=1", "a", q, &err) == PW_EINVAL,
       "bad encoding");
}

static void test_size(web_query *q)
{
    static char raw[WEB_QUERY_BYTES + 2], keys[200];
    pw_err err;
    memset(raw, 'x', WEB_QUERY_BYTES);
    memcpy(raw, "a=", 2);
    ok(parse(raw, "a", q, &err) == 0 && strlen(web_query_get(q, "a")) == WEB_QUERY_BYTES - 2,
       "the longest");
    raw[WEB_QUERY_BYTES] = 'x';
    ok(parse(raw, "a", q, &err) == PW_EINVAL, "and a byte more");
    size_t n = 0, k = 0;
    for (char c = 'a'; c < 'a' + WEB_QUERY_MAX + 1; c++) {
        n += (size_t)snprintf(raw + n, 4, "%c&", c);
        k += (size_t)snprintf(keys + k, 4, "%c ", c);
    }
    ok(parse(raw, keys, q, &err) == PW_EINVAL, "a key too many");
    raw[n - 2] = '\0';
    ok(parse(raw, keys, q, &err) == 0 && q->n == WEB_QUERY_MAX, "as many as there may be");
}

static void test_values(web_query *q)
{
    static const char *const words[] = {"red", "green", NULL};
    pw_err err;
    uint64_t v = 5;
    bool flag = false;
    int word = -1;
    pw_msec t = 0;
    ok(parse("n=18446744073709551615&f&w=green&t=2026-11-20T12:43:01.123Z", "n f w t x", q, &err) ==
           0,
       "values");
    ok(web_query_u64(q, "n", &v, &err) == 0 && v == UINT64_MAX &&
           web_query_u64(q, "x", &v, &err) == 0 && v == UINT64_MAX,
       "a number; nothing changes nothing");
    ok(web_query_flag(q, "f", &flag, &err) == 0 && flag, "a flag alone is true");
    ok(web_query_word(q, "w", words, &word, &err) == 0 && word == 1, "a word");
    ok(web_query_time(q, "t", &t, &err) == 0 && t == 1795178581123, "a time: %lld", (long long)t);
    ok(parse("n=-1&f=maybe&w=blue&t=noon", "n f w t", q, &err) == 0 &&
           web_query_u64(q, "n", &v, &err) == PW_EINVAL &&
           web_query_flag(q, "f", &flag, &err) == PW_EINVAL &&
           web_query_word(q, "w", words, &word, &err) == PW_EINVAL &&
           strstr(err.text, "red green") && web_query_time(q, "t", &t, &err) == PW_EINVAL &&
           v == UINT64_MAX && word == 1,
       "wrong ones are told and change nothing");
    ok(parse("f=0", "f", q, &err) == 0 && web_query_flag(q, "f", &flag, &err) == 0 && !flag,
       "0 is false");
}

static void test_pages(web_query *q)
{
    pw_err err;
    size_t limit = 0;
    uint64_t before = 9, back = 0;
    char cursor[WEB_CURSOR], raw[64];
    ok(web_query_page(q, &limit, &before, &err) == 0 && limit == WEB_LIMIT_DEFAULT && before == 0,
       "the first page");
    ok(parse("limit=1000", "limit cursor", q, &err) == 0 &&
           web_query_page(q, &limit, &before, &err) == 0 && limit == 1000,
       "limit 1000");
    ok(parse("limit=1001", "limit cursor", q, &err) == 0 &&
           web_query_page(q, &limit, &before, &err) == PW_EINVAL,
       "limit 1001");
    ok(parse("limit=0", "limit cursor", q, &err) == 0 &&
           web_query_page(q, &limit, &before, &err) == PW_EINVAL,
       "limit 0");
    web_cursor_text(UINT64_MAX, cursor);
    (void)snprintf(raw, sizeof(raw), "cursor=%s", cursor);
    ok(parse(raw, "limit cursor", q, &err) == 0 && web_query_page(q, &limit, &before, &err) == 0 &&
           before == UINT64_MAX,
       "a cursor comes back");
    web_cursor_text(42, cursor);
    ok(web_cursor_parse(cursor, &back, &err) == 0 && back == 42, "another one");
    ok(web_cursor_parse("", &back, &err) == PW_EINVAL &&
           web_cursor_parse("b", &back, &err) == PW_EINVAL &&
           web_cursor_parse("42", &back, &err) == PW_EINVAL &&
           web_cursor_parse("b0", &back, &err) == PW_EINVAL &&
           web_cursor_parse("b10000000000000000", &back, &err) == PW_EINVAL &&
           web_cursor_parse("bxy", &back, &err) == PW_EINVAL && back == 42,
       "what no list gave");
}

static void test_names(void)
{
    web_query q;
    size_t limit = 0;
    char *after = NULL, raw[WEB_NAMES_MAX + 40];
    PW_AUTO(pw_freep) char *cursor = web_cursor_names("p\nmaster");
    (void)snprintf(raw, sizeof(raw), "cursor=%s", cursor ? cursor : "");
    ok(web_query_parse(&q, raw, "cursor limit", NULL) == 0 &&
           web_query_names(&q, 7, &limit, &after, NULL) == 0 && limit == 7 && after &&
           strcmp(after, "p\nmaster") == 0,
       "a cursor of names comes back");
    free(after);
    web_query_clear(&q);
    static const char *const bad[] = {"cursor=b12", "cursor=n",     "cursor=n6",   "cursor=n6A",
                                      "cursor=n6g", "cursor=n6100", "cursor=n61 6"};
    size_t taken = 0;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        taken += web_query_parse(&q, bad[i], "cursor limit", NULL) < 0 ||
                 web_query_names(&q, 7, &limit, &after, NULL) != PW_EINVAL;
        web_query_clear(&q);
    }
    ok(taken == 0, "what is none is refused");
    for (size_t over = 0; over < 2; over++) { /* "n" and 599 bytes, and one more */
        size_t n = (size_t)snprintf(raw, sizeof(raw), "cursor=n");
        memset(raw + n, '6', WEB_NAMES_MAX - 2 + 2 * over);
        raw[n + WEB_NAMES_MAX - 2 + 2 * over] = '\0';
        after = NULL;
        ok(web_query_parse(&q, raw, "cursor limit", NULL) == 0 &&
               web_query_names(&q, 7, &limit, &after, NULL) == (over ? PW_EINVAL : 0),
           over ? "and one more" : "the longest");
        free(after);
        web_query_clear(&q);
    }
}

int main(void)
{
    web_query q = {0};
    test_keys(&q);
    test_size(&q);
    test_values(&q);
    web_query_clear(&q);
    test_pages(&q);
    web_query_clear(&q);
    test_names();
    return tap_done();
}
