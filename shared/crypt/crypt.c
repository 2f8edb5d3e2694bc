#include "shared/crypt/crypt.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

_Static_assert(CRYPT_HASH == crypto_generichash_BYTES, "BLAKE2b-256");
_Static_assert(CRYPT_KEY == crypto_generichash_KEYBYTES, "key of the MAC");
_Static_assert(CRYPT_KEY == crypto_box_PUBLICKEYBYTES, "keys of CURVE");
_Static_assert(CRYPT_KEY == crypto_box_SECRETKEYBYTES, "keys of CURVE");

static const char TOKEN_HEAD[] = "pawl_";

int crypt_init(pw_err *err)
{
    if (sodium_init() < 0)
        return pw_fail(err, PW_ESYS, "libsodium cannot be initialised");
    return 0;
}

void crypt_hash(const void *p, size_t n, uint8_t out[CRYPT_HASH])
{
    (void)crypto_generichash(out, CRYPT_HASH, p, n, NULL, 0);
}

void crypt_mac(const uint8_t key[CRYPT_KEY], const void *p, size_t n, uint8_t out[CRYPT_HASH])
{
    (void)crypto_generichash(out, CRYPT_HASH, p, n, key, CRYPT_KEY);
}

void crypt_hmac_sha256(const void *key, size_t key_len, const void *p, size_t n,
                       uint8_t out[CRYPT_HASH])
{
    crypto_auth_hmacsha256_state st;
    _Static_assert(CRYPT_HASH == crypto_auth_hmacsha256_BYTES, "HMAC-SHA256");
    (void)crypto_auth_hmacsha256_init(&st, key, key_len);
    (void)crypto_auth_hmacsha256_update(&st, p, n);
    (void)crypto_auth_hmacsha256_final(&st, out);
    sodium_memzero(&st, sizeof(st));
}

bool crypt_equal(const void *a, const void *b, size_t n)
{
    return sodium_memcmp(a, b, n) == 0;
}

void crypt_random(void *p, size_t n)
{
    randombytes_buf(p, n);
}

void crypt_token_of(const uint8_t raw[CRYPT_TOKEN_RANDOM], char out[CRYPT_TOKEN_TEXT + 1])
{
    _Static_assert(sizeof(TOKEN_HEAD) - 1 + (4 * CRYPT_TOKEN_RANDOM + 2) / 3 == CRYPT_TOKEN_TEXT,
                   "token");
    memcpy(out, TOKEN_HEAD, sizeof(TOKEN_HEAD) - 1);
    crypt_base64(raw, CRYPT_TOKEN_RANDOM, out + sizeof(TOKEN_HEAD) - 1);
}

void crypt_token(char out[CRYPT_TOKEN_TEXT + 1])
{
    uint8_t raw[CRYPT_TOKEN_RANDOM];
    crypt_random(raw, sizeof(raw));
    crypt_token_of(raw, out);
    sodium_memzero(raw, sizeof(raw));
}

void crypt_base64(const void *p, size_t n, char *out)
{
    (void)sodium_bin2base64(out, (4 * n + 2) / 3 + 1, p, n,
                            sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

int64_t crypt_unbase64(const char *s, void *out, size_t cap, pw_err *err)
{
    size_t n = strlen(s), need = n / 4 * 3 + (n % 4 ? n % 4 - 1 : 0), got = 0;
    if (n % 4 == 1)
        return pw_fail(err, PW_EINVAL, "base64 text has an impossible length of %zu", n);
    if (need > cap)
        return pw_fail(err, PW_ELIMIT, "base64 text holds %zu bytes, at most %zu fit", need, cap);
    for (size_t i = 0; i < n; i++) /* libsodium 1.0.18 takes bytes above 127 for letters */
        if ((unsigned char)s[i] > '~')
            return pw_fail(err, PW_EINVAL, "text is not base64url without padding");
    if (sodium_base642bin(out, need, s, n, NULL, &got, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        got != need) {
        if (need > 0) /* it may be half a secret */
            sodium_memzero(out, need);
        return pw_fail(err, PW_EINVAL, "text is not base64url without padding");
    }
    return (int64_t)got;
}

void crypt_keypair(uint8_t pub[CRYPT_KEY], uint8_t sec[CRYPT_KEY])
{
    (void)crypto_box_keypair(pub, sec);
}

void crypt_public(const uint8_t sec[CRYPT_KEY], uint8_t pub[CRYPT_KEY])
{
    (void)crypto_scalarmult_base(pub, sec);
}

/* Z85 is base 85, 4 bytes to 5 characters, most significant first (ZeroMQ RFC 32). */
static const char Z85[] =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
enum { Z85_BASE = 85, Z85_GROUP = 5 };
_Static_assert(sizeof(Z85) - 1 == Z85_BASE, "alphabet");

void crypt_z85(const uint8_t key[CRYPT_KEY], char out[CRYPT_Z85])
{
    for (size_t i = 0; i < CRYPT_KEY / 4; i++) {
        const uint8_t *p = key + i * 4;
        uint32_t v = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        for (size_t k = Z85_GROUP; k-- > 0; v /= Z85_BASE)
            out[i * Z85_GROUP + k] = Z85[v % Z85_BASE];
    }
    out[CRYPT_Z85 - 1] = '\0';
}

bool crypt_unz85(const char *s, uint8_t key[CRYPT_KEY])
{
    uint8_t raw[CRYPT_KEY];
    if (strnlen(s, CRYPT_Z85) != CRYPT_Z85 - 1)
        return false;
    for (size_t i = 0; i < CRYPT_KEY / 4; i++) {
        uint64_t v = 0;
        for (size_t k = 0; k < Z85_GROUP; k++) {
            const char *at = strchr(Z85, s[i * Z85_GROUP + k]);
            assert(s[i * Z85_GROUP + k] != '\0'); /* the length was checked */
            if (!at)
                return false;
            v = v * Z85_BASE + (uint64_t)(at - Z85);
        }
        if (v > UINT32_MAX) /* else one key would have two texts */
            return false;
        for (size_t k = 0; k < 4; k++)
            raw[i * 4 + k] = (uint8_t)(v >> (24 - 8 * k));
    }
    memcpy(key, raw, CRYPT_KEY);
    sodium_memzero(raw, sizeof(raw));
    return true;
}
