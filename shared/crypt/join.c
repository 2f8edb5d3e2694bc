/* join.c - the join token: "pawljoin_" and base64url of
 *   u8 version | u64 expires, little endian | master key | secret | u8 length, address | u8 length,
 * name | checksum The checksum (4 bytes of the hash) finds a token that was cut or mistyped; it
 * protects nothing. */
#include <sodium.h>
#include <string.h>

#include "shared/base/num.h"
#include "shared/crypt/crypt.h"

static const char JOIN_HEAD[] = "pawljoin_";
enum {
    JOIN_VERSION = 1,
    JOIN_FIXED = 1 + 8 + 2 * CRYPT_KEY,
    JOIN_SUM = 4,
    JOIN_MIN = JOIN_FIXED + 2 + JOIN_SUM,
    JOIN_MAX = JOIN_MIN + 255 + 200,
};
_Static_assert(sizeof(JOIN_HEAD) + (4 * JOIN_MAX + 2) / 3 <= CRYPT_JOIN_TEXT, "any token fits");
_Static_assert(sizeof(((crypt_join *)0)->address) == 256, "one byte of length");
_Static_assert(sizeof(((crypt_join *)0)->name) == 201, "JOIN_MAX");

/* Printable ASCII without blanks. */
static bool plain(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] <= ' ' || s[i] > '~')
            return false;
    return n > 0;
}

static int address_check(const char *s, pw_err *err)
{
    const char *colon = strrchr(s, ':');
    if (strncmp(s, "tcp://", 6) != 0 || !plain(s, strlen(s)) || colon <= s + 6 || !colon[1] ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return pw_fail(err, PW_EINVAL,
                       "the master's address in the join token is not tcp://host:port");
    return 0;
}

/* No control bytes: the name is printed and logged. What else is a good name is the master's
 * matter. */
static int name_check(const char *s, pw_err *err)
{
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < ' ' || s[i] == 127)
            return pw_fail(err, PW_EINVAL,
                           "the worker's name in the join token has a control byte");
    if (n == 0)
        return pw_fail(err, PW_EINVAL, "the join token names no worker");
    return 0;
}

static size_t put_text(uint8_t *at, const char *s, size_t n)
{
    at[0] = (uint8_t)n;
    memcpy(at + 1, s, n);
    return n + 1;
}

int crypt_join_text(const crypt_join *j, char *out, size_t cap, pw_err *err)
{
    uint8_t raw[JOIN_MAX], sum[CRYPT_HASH];
    if (strnlen(j->address, sizeof(j->address)) == sizeof(j->address) ||
        strnlen(j->name, sizeof(j->name)) == sizeof(j->name))
        return pw_fail(err, PW_EINVAL, "address or name of the join token is too long");
    int r = address_check(j->address, err);
    if (r == 0)
        r = name_check(j->name, err);
    if (r < 0)
        return r;
    if (j->expires < 0)
        return pw_fail(err, PW_EINVAL, "the join token has no time of expiry");
    size_t n = 0;
    raw[n++] = JOIN_VERSION;
    pw_put_le64(raw + n, (uint64_t)j->expires);
    n += 8;
    memcpy(raw + n, j->master_key, CRYPT_KEY);
    n += CRYPT_KEY;
    memcpy(raw + n, j->secret, CRYPT_KEY);
    n += CRYPT_KEY;
    n += put_text(raw + n, j->address, strlen(j->address));
    n += put_text(raw + n, j->name, strlen(j->name));
    crypt_hash(raw, n, sum);
    memcpy(raw + n, sum, JOIN_SUM);
    n += JOIN_SUM;
    size_t need = sizeof(JOIN_HEAD) + (4 * n + 2) / 3;
    if (need > cap) {
        r = pw_fail(err, PW_ELIMIT, "the join token needs %zu bytes, there are %zu", need, cap);
    } else {
        memcpy(out, JOIN_HEAD, sizeof(JOIN_HEAD) - 1);
        crypt_base64(raw, n, out + sizeof(JOIN_HEAD) - 1);
    }
    sodium_memzero(raw, sizeof(raw));
    return r;
}

/* Reads a text of at most max bytes at raw[*at]; false when it does not fit in n, is too long or
 * holds a NUL. */
static bool get_text(const uint8_t *raw, size_t n, size_t *at, char *out, size_t max)
{
    if (*at >= n)
        return false;
    size_t len = raw[*at];
    if (len > max || len > n - *at - 1 || memchr(raw + *at + 1, 0, len))
        return false;
    memcpy(out, raw + *at + 1, len);
    out[len] = '\0';
    *at += 1 + len;
    return true;
}

static int fields_read(const uint8_t *raw, size_t n, crypt_join *j, pw_err *err)
{
    uint8_t sum[CRYPT_HASH];
    /* The version first: a later one may have another checksum. */
    if (n > 0 && raw[0] != JOIN_VERSION)
        return pw_fail(err, PW_EPROTO, "the join token has version %u, this program knows %d",
                       raw[0], (int)JOIN_VERSION);
    if (n < JOIN_MIN)
        return pw_fail(err, PW_EINVAL, "the join token was cut or mistyped");
    crypt_hash(raw, n - JOIN_SUM, sum);
    if (memcmp(sum, raw + n - JOIN_SUM, JOIN_SUM) != 0)
        return pw_fail(err, PW_EINVAL, "the join token was cut or mistyped");
    n -= JOIN_SUM;
    uint64_t expires = pw_le64(raw + 1);
    size_t at = JOIN_FIXED;
    if (!get_text(raw, n, &at, j->address, sizeof(j->address) - 1) ||
        !get_text(raw, n, &at, j->name, sizeof(j->name) - 1) || at != n || expires > INT64_MAX)
        return pw_fail(err, PW_EINVAL, "the join token is malformed");
    j->expires = (pw_msec)expires;
    memcpy(j->master_key, raw + 9, CRYPT_KEY);
    memcpy(j->secret, raw + 9 + CRYPT_KEY, CRYPT_KEY);
    int r = address_check(j->address, err);
    return r < 0 ? r : name_check(j->name, err);
}

int crypt_join_parse(const char *s, crypt_join *ret, pw_err *err)
{
    static const char blanks[] =
        " \t\r\n"; /* what comes along when a line is pasted or read from a file */
    char text[CRYPT_JOIN_TEXT];
    uint8_t raw[JOIN_MAX];
    crypt_join j = {.expires = 0};
    s += strspn(s, blanks);
    size_t n = strcspn(s, blanks);
    if (strncmp(s, JOIN_HEAD, sizeof(JOIN_HEAD) - 1) != 0)
        return pw_fail(err, PW_EINVAL, "this is not a join token: one begins with \"%s\"",
                       JOIN_HEAD);
    if (s[n + strspn(s + n, blanks)])
        return pw_fail(err, PW_EINVAL, "the join token has a blank or a line break inside");
    if (n >= sizeof(text))
        return pw_fail(err, PW_ELIMIT, "the join token is longer than %d characters",
                       (int)CRYPT_JOIN_TEXT - 1);
    memcpy(text, s, n);
    text[n] = '\0';
    int64_t got = crypt_unbase64(text + sizeof(JOIN_HEAD) - 1, raw, sizeof(raw), NULL);
    int r;
    if (got < 0)
        r = pw_fail(err, PW_EINVAL, "the join token was cut or mistyped");
    else
        r = fields_read(raw, (size_t)got, &j, err);
    if (r == 0)
        *ret = j;
    sodium_memzero(raw, sizeof(raw));
    sodium_memzero(text, sizeof(text));
    sodium_memzero(&j, sizeof(j));
    return r;
}
