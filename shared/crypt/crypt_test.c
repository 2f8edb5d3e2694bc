#include "shared/crypt/crypt.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/num.h"
#include "tests/tap.h"

static bool is_hex(const uint8_t *p, const char *hex)
{
    uint8_t want[CRYPT_HASH];
    return pw_unhex(hex, want, sizeof(want)) && memcmp(p, want, sizeof(want)) == 0;
}

static void hashes(void)
{
    uint8_t h[CRYPT_HASH], m[CRYPT_HASH], key[CRYPT_KEY];
    crypt_hash("", 0, h);
    ok(is_hex(h, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"),
       "BLAKE2b-256 of nothing");
    crypt_hash("abc", 3, h);
    ok(is_hex(h, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"),
       "BLAKE2b-256 of abc");
    for (size_t i = 0; i < sizeof(key); i++)
        key[i] = (uint8_t)i;
    crypt_mac(key, "abc", 3, m);
    ok(is_hex(m, "d63a32d3e44738d7907f964316c241adaba0abfeabc32349677578a15a203f7f"),
       "keyed BLAKE2b-256");
    ok(!crypt_equal(h, m, CRYPT_HASH), "hash and MAC differ");
    memcpy(m, h, sizeof(m));
    ok(crypt_equal(h, m, CRYPT_HASH), "equal");
    m[CRYPT_HASH - 1] ^= 1;
    ok(!crypt_equal(h, m, CRYPT_HASH), "last bit differs");
    ok(crypt_equal(h, m, CRYPT_HASH - 1), "only n bytes count");
}

/* RFC 4231, cases 1, 2 and 6; and the example in GitHub's documentation. */
static void hmacs(void)
{
    uint8_t h[CRYPT_HASH], key[131];
    static const char github[] = "It's a Secret to Everybody";
    memset(key, 0x0b, 20);
    crypt_hmac_sha256(key, 20, "Hi There", 8, h);
    ok(is_hex(h, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"), "case 1");
    crypt_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, h);
    ok(is_hex(h, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"), "case 2");
    memset(key, 0xaa, sizeof(key));
    crypt_hmac_sha256(key, sizeof(key), "Test Using Larger Than Block-Size Key - Hash Key First",
                      54, h);
    ok(is_hex(h, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"), "case 6");
    crypt_hmac_sha256(github, strlen(github), "Hello, World!", 13, h);
    ok(is_hex(h, "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"), "GitHub");
}

static void tokens(void)
{
    char a[CRYPT_TOKEN_TEXT + 1], b[CRYPT_TOKEN_TEXT + 1];
    uint8_t raw[32];
    crypt_token(a);
    crypt_token(b);
    ok(strlen(a) == CRYPT_TOKEN_TEXT && strncmp(a, "pawl_", 5) == 0, "form of a token");
    ok(crypt_unbase64(a + 5, raw, sizeof(raw), NULL) == 32, "32 random bytes in it");
    ok(strcmp(a, b) != 0, "two tokens differ");
    memset(raw, 0, sizeof(raw));
    crypt_random(raw, sizeof(raw));
    int set = 0;
    for (size_t i = 0; i < sizeof(raw); i++)
        set += raw[i] != 0;
    ok(set > 16, "random bytes");
}

static void base64(void)
{
    static const struct {
        const char *raw, *text;
    } known[] = {{"", ""},           {"f", "Zg"},          {"fo", "Zm8"},           {"foo", "Zm9v"},
                 {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"\xfb\xff\xbf", "-_-_"}};
    pw_err err = {.code = PW_OK};
    char text[16];
    uint8_t raw[8];
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        size_t n = strlen(known[i].raw);
        crypt_base64(known[i].raw, n, text);
        ok(strcmp(text, known[i].text) == 0, "encode \"%s\"", known[i].text);
        ok(crypt_unbase64(text, raw, n, &err) == (int64_t)n && memcmp(raw, known[i].raw, n) == 0,
           "decode it into just enough");
        if (n > 0)
            ok(crypt_unbase64(text, raw, n - 1, &err) == PW_ELIMIT, "one byte too few");
    }
    static const char *const bad[] = {
        "Z",    "Zm9vY", "Zg==",  "Zm+v",       "Zm/v",
        "Zm9 ", "Zh",    "Zm9\n", "Z\xc3\xa4g", "Zm9v\xe6\xed\xb9\xf6"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ok(crypt_unbase64(bad[i], raw, sizeof(raw), &err) == PW_EINVAL, "bad text %zu refused", i);
}

static void keys(void)
{
    /* RFC 7748, 5.2: the public key of the secret key 9. ZeroMQ RFC 32: the test key and its text.
     */
    static const uint8_t rfc32_key[CRYPT_KEY] = {0xBB, 0x88, 0x47, 0x1D, 0x65, 0xE2, 0x65, 0x9B,
                                                 0x30, 0xC5, 0x5A, 0x53, 0x21, 0xCE, 0xBB, 0x5A,
                                                 0xAB, 0x2B, 0x70, 0xA3, 0x98, 0x64, 0x5C, 0x26,
                                                 0xDC, 0xA2, 0xB2, 0xFC, 0xB4, 0x3F, 0xC5, 0x18};
    static const char rfc32_text[] = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
    uint8_t pub[CRYPT_KEY], sec[CRYPT_KEY] = {9}, again[CRYPT_KEY];
    crypt_public(sec, pub);
    ok(is_hex(pub, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"),
       "public key of RFC 7748");
    crypt_keypair(pub, sec);
    crypt_public(sec, again);
    ok(crypt_equal(pub, again, CRYPT_KEY), "public key of a new pair");

    char text[CRYPT_Z85];
    crypt_z85(rfc32_key, text);
    ok(strcmp(text, rfc32_text) == 0, "Z85 of RFC 32");
    memset(again, 0, sizeof(again));
    ok(crypt_unz85(rfc32_text, again) && memcmp(again, rfc32_key, CRYPT_KEY) == 0, "and back");
    memset(again, 0xff, sizeof(again));
    crypt_z85(again, text);
    ok(strcmp(text, "%nSc0%nSc0%nSc0%nSc0%nSc0%nSc0%nSc0%nSc0") == 0, "all bits set");
    ok(crypt_unz85(text, again), "the largest group");
    text[4] = '1'; /* 2^32 */
    ok(!crypt_unz85(text, again), "a group above 32 bits is refused");
    ok(!crypt_unz85("", again), "empty refused");
    ok(!crypt_unz85("Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hI", again), "39 refused");
    ok(!crypt_unz85("Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hIDx", again), "41 refused");
    ok(!crypt_unz85("Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{h\"D", again), "foreign byte refused");
    ok(again[0] == 0xff && again[31] == 0xff, "a refused text writes nothing");
}

static void join_make(crypt_join *j, size_t address_len, size_t name_len)
{
    *j = (crypt_join){.expires = 1795264981123};
    for (size_t i = 0; i < CRYPT_KEY; i++) {
        j->master_key[i] = (uint8_t)(i * 7);
        j->secret[i] = (uint8_t)(255 - i);
    }
    memset(j->name, 'n', name_len);
    memset(j->address, 'h', address_len);
    memcpy(j->address, "tcp://", 6);
    memcpy(j->address + address_len - 5, ":9989", 5);
}

static bool join_same(const crypt_join *a, const crypt_join *b)
{
    return strcmp(a->address, b->address) == 0 && strcmp(a->name, b->name) == 0 &&
           a->expires == b->expires && memcmp(a->master_key, b->master_key, CRYPT_KEY) == 0 &&
           memcmp(a->secret, b->secret, CRYPT_KEY) == 0;
}

static void join_round_trip(void)
{
    static const size_t sizes[][2] = {{12, 1}, {30, 9}, {255, 200}};
    pw_err err = {.code = PW_OK};
    crypt_join j, got;
    char text[CRYPT_JOIN_TEXT], pasted[CRYPT_JOIN_TEXT + 8];
    for (size_t i = 0; i < 3; i++) {
        join_make(&j, sizes[i][0], sizes[i][1]);
        memset(&got, 0x5a, sizeof(got));
        ok(crypt_join_text(&j, text, sizeof(text), &err) == 0, "token %zu made", i);
        ok(crypt_join_parse(text, &got, &err) == 0 && join_same(&j, &got), "and read");
        size_t n = strlen(text);
        ok(n < CRYPT_JOIN_TEXT && strncmp(text, "pawljoin_", 9) == 0, "it has %zu characters", n);
        ok(crypt_join_text(&j, pasted, n + 1, &err) == 0, "it fits exactly");
        ok(crypt_join_text(&j, pasted, n, &err) == PW_ELIMIT, "and not in less");
        (void)snprintf(pasted, sizeof(pasted), " \t%s\r\n", text);
        ok(crypt_join_parse(pasted, &got, &err) == 0 && join_same(&j, &got), "pasted with blanks");
    }
}

static void join_refused(void)
{
    pw_err err = {.code = PW_OK};
    crypt_join j, got = {.expires = 77};
    char text[CRYPT_JOIN_TEXT], bad[CRYPT_JOIN_TEXT * 2];
    join_make(&j, 30, 9);
    if (crypt_join_text(&j, text, sizeof(text), &err) < 0)
        return;
    size_t n = strlen(text);
    int taken = 0, echoed = 0;
    for (size_t i = 0; i < n; i++) { /* cut anywhere, one character changed anywhere */
        memcpy(bad, text, n + 1);
        bad[i] = '\0';
        taken += crypt_join_parse(bad, &got, &err) == 0;
        memcpy(bad, text, n + 1);
        bad[i] = bad[i] == 'A' ? 'B' : 'A';
        taken += crypt_join_parse(bad, &got, &err) == 0;
        echoed += strstr(err.text, text + 20) || strstr(err.text, bad + 20);
    }
    ok(taken == 0, "cut and mistyped tokens are refused");
    ok(echoed == 0, "errors never repeat the token");
    ok(got.expires == 77, "and nothing is written");
    (void)snprintf(bad, sizeof(bad), "%s%s", text, text);
    ok(crypt_join_parse(bad, &got, &err) == PW_EINVAL, "token pasted twice");
    (void)snprintf(bad, sizeof(bad), "%.50s\n%s", text, text + 50);
    ok(crypt_join_parse(bad, &got, &err) == PW_EINVAL && strstr(err.text, "line break"),
       "line break inside");
    ok(crypt_join_parse("pawl_abc", &got, &err) == PW_EINVAL &&
           strstr(err.text, "not a join token"),
       "an API token is told apart");
    ok(crypt_join_parse("pawljoin_Ag", &got, &err) == PW_EPROTO, "later version is told");
    ok(crypt_join_parse("pawljoin_", &got, &err) == PW_EINVAL, "empty token");
    memset(bad, 'A', sizeof(bad));
    memcpy(bad, "pawljoin_", 9);
    bad[CRYPT_JOIN_TEXT] = '\0';
    ok(crypt_join_parse(bad, &got, &err) == PW_ELIMIT, "one character too long");
    bad[CRYPT_JOIN_TEXT - 1] = '\0';
    ok(crypt_join_parse(bad, &got, &err) < 0 && err.code != PW_ELIMIT, "at the limit: only wrong");
}

static void join_fields(void)
{
    static const char *const addresses[] = {
        "",           "tcp://",     "tcp://:1",  "tcp://h",     "tcp://h:",
        "tcp://h:1x", "tcp://h :1", "ipc://h:1", "tcp://h\n:1", "tcp://h\xff:1"};
    pw_err err = {.code = PW_OK};
    crypt_join j;
    char text[CRYPT_JOIN_TEXT];
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        join_make(&j, 30, 9);
        (void)snprintf(j.address, sizeof(j.address), "%s", addresses[i]);
        ok(crypt_join_text(&j, text, sizeof(text), &err) == PW_EINVAL, "address %zu refused", i);
    }
    join_make(&j, 30, 9);
    j.name[0] = '\0';
    ok(crypt_join_text(&j, text, sizeof(text), &err) == PW_EINVAL, "no name");
    j.name[0] = '\x1b';
    ok(crypt_join_text(&j, text, sizeof(text), &err) == PW_EINVAL, "control byte in the name");
    memset(j.name, 'n', sizeof(j.name));
    ok(crypt_join_text(&j, text, sizeof(text), &err) == PW_EINVAL, "name without an end");
    join_make(&j, 30, 9);
    j.expires = -1;
    ok(crypt_join_text(&j, text, sizeof(text), &err) == PW_EINVAL, "negative time");
}

/* Tokens with a right checksum and wrong fields: made by hand, as only a broken or hostile master
 * would. */
static void join_crafted(void)
{
    pw_err err = {.code = PW_OK};
    crypt_join got = {.expires = 77};
    uint8_t raw[256], sum[CRYPT_HASH];
    char text[CRYPT_JOIN_TEXT] = "pawljoin_";
    static const struct {
        const char *tail; /* behind version, time and keys */
        size_t n;
        const char *what;
    } cases[] = {
        {"\x09tcp://h:1\x01n", 12,
         NULL}, /* the right one, to see that the others fail for their fault */
        {"\x09tcp://h:1\x02n", 12, "name longer than the token"},
        {"\xfftcp://h:1\x01n", 12, "address longer than the token"},
        {"\x09tcp://h:1\x01nX", 13, "byte behind"},
        {"\x09tcp://h:1", 10, "no name field"},
        {"\x09tcp://h:1\0", 11, "empty name"},
        {"\x0atcp://h:1\0\x01n", 13, "NUL in the address"},
        {"\x09ipc://h:1\x01n", 12, "other transport"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t n = 73;
        memset(raw, 0, sizeof(raw));
        raw[0] = 1;
        memcpy(raw + n, cases[i].tail, cases[i].n);
        n += cases[i].n;
        crypt_hash(raw, n, sum);
        memcpy(raw + n, sum, 4);
        crypt_base64(raw, n + 4, text + 9);
        int r = crypt_join_parse(text, &got, &err);
        ok(r == (cases[i].what ? PW_EINVAL : 0), "%s",
           cases[i].what ? cases[i].what : "well-formed");
    }
    raw[8] = 0x80; /* a time above what fits */
    memcpy(raw + 73, cases[0].tail, 12);
    crypt_hash(raw, 85, sum);
    memcpy(raw + 85, sum, 4);
    crypt_base64(raw, 89, text + 9);
    ok(crypt_join_parse(text, &got, &err) == PW_EINVAL, "time above 63 bits");
}

int main(void)
{
    pw_err err = {.code = PW_OK};
    ok(crypt_init(&err) == 0 && crypt_init(&err) == 0, "init, twice");
    hashes();
    hmacs();
    tokens();
    base64();
    keys();
    join_round_trip();
    join_refused();
    join_fields();
    join_crafted();
    return tap_done();
}
