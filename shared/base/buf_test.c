#include "shared/base/buf.h"

#include <string.h>

#include "tests/tap.h"

static void test_limit(void)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(5);

    ok(strcmp(pw_buf_str(&b), "") == 0, "an empty buffer is an empty text");
    ok(pw_buf_add(&b, "hello", 5) == 0 && b.len == 5, "the maximum fits");
    ok(pw_buf_add(&b, "", 0) == 0 && pw_buf_adds(&b, "") == 0, "nothing more fits too");
    ok(pw_buf_add(&b, "!", 1) == PW_ELIMIT && b.failed, "one more is refused");
    ok(strcmp(pw_buf_str(&b), "hello") == 0, "and the content stays");
    ok(pw_buf_adds(&b, "") < 0, "later appends fail too");
    pw_buf_drop(&b, 2);
    ok(b.len == 3 && strcmp(pw_buf_str(&b), "llo") == 0, "drop takes the front");
    pw_buf_reset(&b);
    ok(b.len == 0 && !b.failed && pw_buf_adds(&b, "ab") == 0, "reset makes it new");
    pw_buf_drop(&b, 99);
    ok(b.len == 0, "drop of more than there is empties it");
    ok(pw_buf_room(&b, 6) == NULL && b.failed, "no room above the maximum");
    pw_buf_clear(&b);
    ok(b.p == NULL && b.max == 5 && !b.failed, "clear keeps the maximum");
    pw_buf_init(&b, SIZE_MAX);
    ok(pw_buf_room(&b, SIZE_MAX) == NULL, "no overflow of the size");
}

static void test_format(void)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(200);
    char longer[151];

    memset(longer, 'x', 150);
    longer[150] = '\0';
    ok(pw_buf_addf(&b, "%d-%s", 12, "ab") == 0 && strcmp(pw_buf_str(&b), "12-ab") == 0, "formats");
    ok(pw_buf_addf(&b, "%s", longer) == 0 && b.len == 155, "grows for a long text");
    ok(pw_buf_addf(&b, "%s", longer) == PW_ELIMIT && b.len == 155, "refuses what passes the limit");
    ok(strlen(pw_buf_str(&b)) == b.len, "and leaves no trace of it");
    pw_buf_clear(&b);
    pw_buf_init(&b, 10);
    ok(pw_buf_addf(&b, "%s", "0123456789") == 0 && b.len == 10, "exactly the limit by format");
    pw_buf_reset(&b);
    ok(pw_buf_addf(&b, "%s", "0123456789a") == PW_ELIMIT && b.len == 0, "limit + 1 by format");
}

static void test_room_and_take(void)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(100);
    PW_AUTO(pw_freep) char *taken = NULL;
    PW_AUTO(pw_freep) char *text = NULL;
    bool failed = false;
    char *room = pw_buf_room(&b, 50);

    if (room)
        memcpy(room, "abcd", 4);
    b.len = room ? 3 : 0;
    ok(strcmp(pw_buf_str(&b), "abc") == 0, "room may be filled in part");
    taken = pw_buf_take(&b);
    ok(taken && strcmp(taken, "abc") == 0 && b.len == 0 && !b.p, "take hands the bytes over");
    ok(pw_buf_take(&b) == NULL, "nothing to take");
    b.failed = true;
    ok(pw_buf_take(&b) == NULL && b.failed, "nothing to take after a failure, and it shows");
    ok(pw_strdup(NULL, &failed) == NULL && !failed, "a copy of nothing");
    text = pw_strdup("x", &failed);
    ok((text == NULL) == failed, "a copy, or a failure");
    pw_freep(&text);
    text = pw_strf("%s/%05d", "a", 42);
    ok(text && strcmp(text, "a/00042") == 0, "text from a format");
}

static bool json_is(const char *s, const char *want)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(200);

    return pw_buf_json(&b, s) == 0 && strcmp(pw_buf_str(&b), want) == 0;
}

static void test_json(void)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(6);

    ok(json_is("", "\"\"") && json_is("abc", "\"abc\""), "plain text");
    ok(json_is("a\"b\\c\n\r\t\x01\x7f", "\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u007f\""), "escapes");
    ok(json_is("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
               "\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80\""),
       "UTF-8 passes");
    ok(json_is("a\xff"
               "b",
               "\"a\xef\xbf\xbd"
               "b\""),
       "a wrong byte is replaced");
    ok(json_is("\xc3", "\"\xef\xbf\xbd\"") && json_is("\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\""),
       "a cut character is replaced");
    ok(json_is("\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\""), "overlong form");
    ok(json_is("\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""), "surrogate");
    ok(json_is("\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""),
       "above U+10FFFF");
    ok(json_is("\xf4\x8f\xbf\xbf", "\"\xf4\x8f\xbf\xbf\""), "U+10FFFF");
    ok(json_is(NULL, "null"), "NULL is null");
    (void)pw_buf_add(&b, "x", 1);
    ok(pw_buf_json(&b, "1234") == PW_ELIMIT && strcmp(pw_buf_str(&b), "x") == 0,
       "what does not fit leaves nothing behind");
    pw_buf_reset(&b);
    ok(pw_buf_json(&b, "1234") == 0 && b.len == 6, "exactly the limit");
}

int main(void)
{
    test_limit();
    test_format();
    test_room_and_take();
    test_json();
    return tap_done();
}
