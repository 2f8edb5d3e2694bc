#include "shared/wire/schema.h"

#include <inttypes.h>
#include <string.h>

#include "shared/wire/walk.h"
#include "tests/tap.h"

typedef struct item {
    uint64_t id;
    char *note;
} item;
typedef struct thing {
    uint64_t u;
    int64_t i;
    bool b;
    char *s;
    pw_bytes bin;
    pw_strs strs;
    pw_list list;
    uint64_t opt;
} thing;

static const pw_field item_fields[] = {
    PW_F_U64(item, id, "id", true, "id"),
    PW_F_STR(item, note, "note", false, 4, "note"),
};
static const pw_schema item_schema = PW_SCHEMA("thing.item", item, item_fields, "Item.");
static const pw_field thing_fields[] = {
    PW_F_U64(thing, u, "u", true, "u"),
    PW_F_I64(thing, i, "i", false, "i"),
    PW_F_BOOL(thing, b, "b", false, "b"),
    PW_F_STR(thing, s, "s", false, 40, "s"),
    PW_F_BIN(thing, bin, "bin", false, 4, "bin"),
    PW_F_STRS(thing, strs, "strs", false, 3, 2, "strs"),
    PW_F_LIST(thing, list, "list", false, 2, &item_schema, "list"),
    PW_F_U64(thing, opt, "opt", false, "opt"),
};
static const pw_schema thing_schema = PW_SCHEMA("thing", thing, thing_fields, "Thing.");

static void thing_clear(thing *t)
{
    pw_schema_clear(&thing_schema, t);
}

/* The bytes of a string literal, with its zeros but without the last. */
#define LIT(s) (s), sizeof(s) - 1

static int try_decode(const void *p, size_t n, pw_err *err)
{
    PW_AUTO(thing_clear) thing t;
    memset(&t, 0xee, sizeof(t));
    int r = pw_schema_decode(&thing_schema, p, n, &t, err);
    if (r < 0) { /* *out is empty after a failure */
        thing zero = {0};
        if (memcmp(&t, &zero, sizeof(t)) != 0)
            return 1;
    }
    return r;
}

static bool refused(const void *p, size_t n, int code, const char *part)
{
    pw_err err = {0};
    int r = try_decode(p, n, &err);
    if (r == code && strstr(err.text, part))
        return true;
    printf("# got %d \"%s\"\n", r, err.text);
    return false;
}

static thing full(item items[2], char *strs[2])
{
    items[0] = (item){.id = 7, .note = (char *)"four"};
    items[1] = (item){.id = UINT64_MAX};
    strs[0] = (char *)"";
    strs[1] = (char *)"abc";
    return (thing){
        .u = UINT64_MAX,
        .i = INT64_MIN,
        .b = true,
        .s = (char *)"forty bytes are the most that fit here..",
        .bin = {.p = (uint8_t *)(uintptr_t) "\0\1\2\3", .n = 4},
        .strs = {.v = strs, .n = 2},
        .list = {.v = items, .n = 2},
    };
}

static void test_round_trip(void)
{
    item items[2];
    char *strs[2];
    thing in = full(items, strs);
    PW_AUTO(thing_clear) thing out = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1000);
    PW_AUTO(pw_buf_clearp) pw_buf again = PW_BUF(1000);
    pw_err err = {0};
    ok(pw_schema_encode(&thing_schema, &in, &b, &err) == 0, "encodes %s", err.text);
    ok(pw_schema_decode(&thing_schema, b.p, b.len, &out, &err) == 0, "decodes %s", err.text);
    ok(out.u == UINT64_MAX && out.i == INT64_MIN && out.b && out.opt == 0, "numbers");
    ok(out.s && strcmp(out.s, in.s) == 0, "text");
    ok(out.bin.n == 4 && memcmp(out.bin.p, in.bin.p, 4) == 0, "binary");
    ok(out.strs.n == 2 && !strcmp(out.strs.v[0], "") && !strcmp(out.strs.v[1], "abc"), "texts");
    const item *it = out.list.v;
    ok(out.list.n == 2 && it[0].id == 7 && !strcmp(it[0].note, "four") && it[1].id == UINT64_MAX &&
           !it[1].note,
       "list of structs");
    ok(pw_schema_encode(&thing_schema, &out, &again, &err) == 0 && again.len == b.len &&
           b.len > 0 && memcmp(again.p, b.p, b.len) == 0,
       "the same object gives the same bytes");
    bool all = true;
    for (size_t n = 0; n < b.len; n++)
        all = all && try_decode(b.p, n, NULL) < 0;
    ok(all, "every truncation fails");
    for (size_t i = 0; i < b.len * 8; i += 7) {
        b.p[i / 8] ^= (char)(1 << i % 8);
        (void)try_decode(b.p, b.len, NULL);
        b.p[i / 8] ^= (char)(1 << i % 8);
    }
    ok(true, "no flipped bit harms");
}

static void test_bytes(void)
{
    thing in = {.u = 300, .s = (char *)""};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1000);
    static const char want[] = "\x82\xa1u\xcd\x01\x2c\xa1s\xa0";
    ok(pw_schema_encode(&thing_schema, &in, &b, NULL) == 0 && b.len == sizeof(want) - 1 &&
           memcmp(b.p, want, b.len) == 0,
       "only what is set is sent, in the shortest form");
    PW_AUTO(thing_clear) thing out = {0};
    ok(pw_schema_decode(&thing_schema, want, sizeof(want) - 1, &out, NULL) == 0 && out.u == 300 &&
           out.s && !*out.s && !out.strs.v && !out.list.v && !out.bin.p,
       "absent and empty differ for a text");
    pw_buf_reset(&b);
    in = (thing){0};
    ok(pw_schema_encode(&thing_schema, &in, &b, NULL) == 0 && b.len == 4 &&
           memcmp(b.p, "\x81\xa1u\x00", 4) == 0,
       "a needed zero is sent");
}

static void test_accepts(void)
{
    PW_AUTO(thing_clear) thing t = {0};
    ok(pw_schema_decode(&thing_schema, LIT("\x82\xa1i\x05\xa1u\x07"), &t, NULL) == 0 && t.u == 7 &&
           t.i == 5,
       "any order of keys");
    ok(pw_schema_decode(&thing_schema,
                        LIT("\x82\xa1u\xd0\x05\xa1i\xd3\xff\xff\xff\xff\xff\xff\xff\xfe"), &t,
                        NULL) == 0 &&
           t.u == 5 && t.i == -2,
       "any width of integers");
    ok(pw_schema_decode(&thing_schema,
                        LIT("\x84\xa3new\x92\x81\xa1x\xc0\xca\x00\x00\x00\x00\xa1u\x01"
                            "\xa4more\xc4\x02\x00\x00\xa3new\xc3"),
                        &t, NULL) == 0 &&
           t.u == 1,
       "unknown keys are skipped");
    ok(pw_schema_decode(&thing_schema, LIT("\xdf\x00\x00\x00\x01\xda\x00\x01u\xcc\x09"), &t,
                        NULL) == 0 &&
           t.u == 9,
       "long forms of lengths");
}

static void test_refuses(void)
{
    ok(refused("", 0, PW_EPROTO, "\"thing\" is empty"), "no bytes");
    ok(refused(LIT("\x05"), PW_EPROTO, "not a map"), "not a map");
    ok(refused(LIT("\x80"), PW_EPROTO, "lacks field \"u\""), "a needed field is missing");
    ok(refused(LIT("\x81\xa1u\x01\x00"), PW_EPROTO, "1 trailing"), "trailing bytes");
    ok(refused(LIT("\x82\xa1u\x01\xa1u\x01"), PW_EPROTO, "\"u\" twice"), "a key twice");
    ok(refused(LIT("\x81\x01\x01"), PW_EPROTO, "key"), "a key that is a number");
    ok(refused(LIT("\x81\xa1u\xff"), PW_EPROTO, "\"u\""), "u: negative");
    ok(refused(LIT("\x81\xa1u\xc3"), PW_EPROTO, "\"u\""), "u: boolean");
    ok(refused(LIT("\x81\xa1u\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00"), PW_EPROTO, "\"u\""),
       "u: double");
    ok(refused(LIT("\x81\xa1u\xc0"), PW_EPROTO, "\"u\""), "u: nil");
    ok(refused(LIT("\x82\xa1u\x01\xa1i\xcf\x80\x00\x00\x00\x00\x00\x00\x00"), PW_EPROTO, "\"i\""),
       "i: above its range");
    ok(refused(LIT("\x82\xa1u\x01\xa1"
                   "b\x01"),
               PW_EPROTO, "\"b\""),
       "b: number");
    ok(refused(LIT("\x82\xa1u\x01\xa1s\xa3x\x00y"), PW_EPROTO, "zero bytes"), "s: zero byte");
    ok(refused(LIT("\x82\xa1u\x01\xa1s\xc4\x01x"), PW_EPROTO, "\"s\""), "s: binary");
    ok(refused(LIT("\x82\xa1u\x01\xa3"
                   "bin\xa1x"),
               PW_EPROTO, "\"bin\""),
       "bin: text");
    ok(refused(LIT("\x82\xa1u\x01\xa4strs\xa1x"), PW_EPROTO, "\"strs\""), "strs: text");
    ok(refused(LIT("\x82\xa1u\x01\xa4strs\x92\xa1x\x01"), PW_EPROTO, "\"strs\""),
       "strs: number in it");
    ok(refused(LIT("\x82\xa1u\x01\xa4list\x80"), PW_EPROTO, "\"list\""), "list: map");
    ok(refused(LIT("\x82\xa1u\x01\xa4list\x91\x01"), PW_EPROTO, "thing.item"),
       "list: number in it");
    ok(refused(LIT("\x82\xa1u\x01\xa4list\x92\x82\xa2id\x01\xa4note\xa2hi\x80"), PW_EPROTO,
               "\"thing.item\" lacks field \"id\""),
       "list: bad second item");
}

static void test_limits(void)
{
    char text[64] = "\x82\xa1u\x01\xa1s\xd9\x28";
    memset(text + 8, 'x', 41);
    ok(try_decode(text, 8 + 40, NULL) == 0, "text at its limit");
    text[7] = 41;
    ok(refused(text, 8 + 41, PW_ELIMIT, "41 bytes, the limit is 40"), "text one above");
    ok(try_decode(LIT("\x82\xa1u\x01\xa3"
                      "bin\xc4\x04"
                      "1234"),
                  NULL) == 0,
       "binary at its limit");
    ok(refused(LIT("\x82\xa1u\x01\xa3"
                   "bin\xc4\x05"
                   "12345"),
               PW_ELIMIT, "\"bin\""),
       "binary one above");
    ok(refused(LIT("\x82\xa1u\x01\xa4strs\x93\xa0\xa0\xa0"), PW_ELIMIT, "3 items, the limit is 2"),
       "texts: one too many");
    ok(refused(LIT("\x82\xa1u\x01\xa4strs\x91\xa4"
                   "1234"),
               PW_ELIMIT, "\"strs\""),
       "texts: one too long");
    ok(refused(LIT("\x82\xa1u\x01\xa4list\x93\x81\xa2id\x01\x81\xa2id\x01\x81\xa2id\x01"),
               PW_ELIMIT, "\"list\""),
       "list: one too many");
    ok(refused(LIT("\x82\xa1u\x01\xa4list\x91\x82\xa2id\x01\xa4note\xa5"
                   "12345"),
               PW_ELIMIT, "\"thing.item\": field \"note\""),
       "list: limit of an item's field");
}

static bool encode_refused(const thing *t, int code, const char *part)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1000);
    pw_err err = {0};
    if (pw_buf_adds(&b, "before") < 0)
        return true; /* torture mode */
    return pw_schema_encode(&thing_schema, t, &b, &err) == code && strstr(err.text, part) &&
           b.len == 6 && strcmp(b.p, "before") == 0 && !b.failed;
}

static void test_encode_limits(void)
{
    item items[3] = {{.id = 1}, {.id = 2}, {.id = 3}};
    char *strs[3] = {(char *)"a", NULL, (char *)"1234"};
    thing t = {.s = (char *)"forty-one bytes are one more than fits..!"};
    ok(encode_refused(&t, PW_ELIMIT, "\"s\" has 41 bytes"), "text over its limit is not sent");
    t = (thing){.bin = {.p = (uint8_t *)strs, .n = 5}};
    ok(encode_refused(&t, PW_ELIMIT, "\"bin\""), "binary over its limit");
    t = (thing){.strs = {.v = strs, .n = 3}};
    ok(encode_refused(&t, PW_ELIMIT, "\"strs\" has 3 items"), "too many texts");
    t = (thing){.strs = {.v = strs, .n = 2}};
    ok(encode_refused(&t, PW_EINVAL, "\"strs\" is not set"), "a text in a list is missing");
    t = (thing){.strs = {.v = strs + 2, .n = 1}};
    ok(encode_refused(&t, PW_ELIMIT, "\"strs\" has 4 bytes"), "a text in a list is too long");
    t = (thing){.list = {.v = items, .n = 3}};
    ok(encode_refused(&t, PW_ELIMIT, "\"list\" has 3 items"), "too many structs");
    items[1].note = (char *)"12345";
    t = (thing){.list = {.v = items, .n = 2}};
    ok(encode_refused(&t, PW_ELIMIT, "\"note\""), "a struct in a list over its limit");

    PW_AUTO(pw_buf_clearp) pw_buf small = PW_BUF(8);
    pw_err err = {0};
    t = (thing){.u = 300, .s = (char *)""}; /* 9 bytes */
    int r = pw_schema_encode(&thing_schema, &t, &small, &err);
    ok(r == PW_ELIMIT && small.len == 0 && strstr(err.text, "8 bytes"), "buffer too small");
    pw_buf_clear(&small);
    small.max = 9;
    ok(pw_schema_encode(&thing_schema, &t, &small, &err) == 0 && small.len == 9,
       "buffer just right");
}

static void test_walk(void)
{
    uint8_t deep[64];
    memset(deep, 0x91, sizeof(deep));
    deep[PW_WIRE_DEPTH] = 0xc0;
    ok(pw_msgpack_check(deep, PW_WIRE_DEPTH + 1, NULL) == 0, "nested as deep as allowed");
    deep[PW_WIRE_DEPTH] = 0x91;
    deep[PW_WIRE_DEPTH + 1] = 0xc0;
    ok(pw_msgpack_check(deep, PW_WIRE_DEPTH + 2, NULL) == PW_EPROTO, "nested one deeper");
    uint8_t msg[64] = "\x82\xa1u\x01\xa1x"; /* the map is one level */
    memset(msg + 6, 0x91, PW_WIRE_DEPTH - 1);
    msg[6 + PW_WIRE_DEPTH - 1] = 0xc0;
    ok(try_decode(msg, 6 + PW_WIRE_DEPTH, NULL) == 0, "unknown field as deep as allowed");
    msg[6 + PW_WIRE_DEPTH - 1] = 0x91;
    msg[6 + PW_WIRE_DEPTH] = 0xc0;
    ok(try_decode(msg, 6 + PW_WIRE_DEPTH + 1, NULL) == PW_EPROTO, "unknown field one deeper");

    static const struct {
        const char *p;
        size_t n;
        int code;
        const char *what;
    } t[] = {
        {LIT("\xdd\x0f\xff\xff\xff\xc0"), PW_EPROTO, "array of 268 million in 6 bytes"},
        {LIT("\xdf\xff\xff\xff\xff"), PW_EPROTO, "map of 4 billion in 5 bytes"},
        {LIT("\xdb\xff\xff\xff\xffx"), PW_EPROTO, "text of 4 billion bytes"},
        {LIT("\xc6\x00\x00\x00\x02x"), PW_EPROTO, "binary one byte short"},
        {LIT("\xc6\x00\x00\x00\x01x"), 0, "binary just right"},
        {LIT("\x92\xc0"), PW_EPROTO, "array one item short"},
        {LIT("\x81\xc0"), PW_EPROTO, "map without a value"},
        {LIT("\x92\x92\xc0\xc0"), PW_EPROTO, "nested arrays share what is left"},
        {LIT("\xc1"), PW_EPROTO, "the byte that is never used"},
        {LIT("\xd4\x01\x02"), PW_EPROTO, "extension of one byte"},
        {LIT("\xc7\x00\x01"), PW_EPROTO, "extension of no bytes"},
        {LIT("\xcf\x00\x00\x00\x00\x00\x00\x00"), PW_EPROTO, "integer one byte short"},
        {LIT("\xd3\x00\x00\x00\x00\x00\x00\x00\x01"), 0, "integer of 8 bytes"},
        {LIT("\xca\x00\x00\x00\x00"), 0, "float"},
        {LIT("\xc0\xc0"), PW_EPROTO, "two values"},
        {LIT(""), PW_EPROTO, "nothing"},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
        ok(pw_msgpack_check(t[i].p, t[i].n, NULL) == t[i].code, "walk: %s", t[i].what);
    ok(try_decode(LIT("\x82\xa1u\x01\xa4list\xdd\x0f\xff\xff\xff\xc0"), NULL) < 0,
       "a huge list inside a message");
}

static void test_clear(void)
{
    thing t = {0};
    pw_schema_clear(&thing_schema, &t);
    pw_schema_clear(&thing_schema, NULL);
    ok(t.s == NULL, "clearing nothing is fine");
}

static void test_doc(void)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(10000);
    int r = pw_schema_doc(&thing_schema, &b);
    const char *d = pw_buf_str(&b);
    ok(r == 0 && strstr(d, "### `thing`") && strstr(d, "#### `thing.item`") &&
           strstr(d, "| `u` | unsigned | yes | u |") && strstr(d, "text, at most 40 bytes") &&
           strstr(d, "list of at most 2 `thing.item`"),
       "documents fields and items");
}

int main(void)
{
    test_round_trip();
    test_bytes();
    test_accepts();
    test_refuses();
    test_limits();
    test_encode_limits();
    test_walk();
    test_clear();
    test_doc();
    return tap_done();
}
