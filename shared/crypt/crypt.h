/* crypt.h - hashes, tokens and text forms of keys, over libsodium (the only module that includes
 * it). Thread-safe after crypt_init(). */
#ifndef PW_SHARED_CRYPT_CRYPT_H
#define PW_SHARED_CRYPT_CRYPT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/err.h"
#include "shared/base/host.h"

enum { CRYPT_HASH = 32, CRYPT_TOKEN_TEXT = 48, CRYPT_KEY = 32 };
/* Call once in main() before threads. */
int crypt_init(pw_err *err);
void crypt_hash(const void *p, size_t n, uint8_t out[CRYPT_HASH]); /* BLAKE2b-256 */
/* Keyed hash: the MAC of marks. */
void crypt_mac(const uint8_t key[CRYPT_KEY], const void *p, size_t n, uint8_t out[CRYPT_HASH]);
/* HMAC-SHA256 with a key of any length: what webhooks are signed with. */
void crypt_hmac_sha256(const void *key, size_t key_len, const void *p, size_t n,
                       uint8_t out[CRYPT_HASH]);
bool crypt_equal(const void *a, const void *b, size_t n); /* in constant time */
/* A fresh API token: "pawl_" and 43 characters of base64url (32 random bytes). What is stored is
 * crypt_hash of the text. */
void crypt_token(char out[CRYPT_TOKEN_TEXT + 1]);
enum { CRYPT_TOKEN_RANDOM = 32 };
/* The same, of randomness that the caller has. */
void crypt_token_of(const uint8_t raw[CRYPT_TOKEN_RANDOM], char out[CRYPT_TOKEN_TEXT + 1]);
void crypt_random(void *p, size_t n);
/* base64url without padding. out has at least (4 * n + 2) / 3 + 1 bytes. */
void crypt_base64(const void *p, size_t n, char *out);
/* Returns the bytes written, or PW_EINVAL / PW_ELIMIT. */
int64_t crypt_unbase64(const char *s, void *out, size_t cap, pw_err *err);

/* The join token that `pawl worker add` prints: everything a build machine needs to join, for one
 * use. */
typedef struct crypt_join {
    char address[256]; /* tcp://host:port of the workers' socket */
    uint8_t master_key[CRYPT_KEY];
    char name[201];            /* the worker's name */
    uint8_t secret[CRYPT_KEY]; /* one-time CURVE secret key */
    pw_msec expires;
} crypt_join;
enum { CRYPT_JOIN_TEXT = 900 };
int crypt_join_text(const crypt_join *j, char *out, size_t cap, pw_err *err);
/* errors say what is wrong with the token, never echo it */
int crypt_join_parse(const char *s, crypt_join *ret, pw_err *err);
/* X25519 key pair as CURVE uses it. */
void crypt_keypair(uint8_t pub[CRYPT_KEY], uint8_t sec[CRYPT_KEY]);
void crypt_public(const uint8_t sec[CRYPT_KEY], uint8_t pub[CRYPT_KEY]);
/* ZeroMQ's Z85 text of a key: 40 characters. */
enum { CRYPT_Z85 = 41 };
void crypt_z85(const uint8_t key[CRYPT_KEY], char out[CRYPT_Z85]);
bool crypt_unz85(const char *s, uint8_t key[CRYPT_KEY]);
#endif
