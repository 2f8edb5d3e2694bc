/* hash.h - BLAKE2b-256 of bytes that come piece by piece (the same as crypt_hash of all of them),
 * and SHA-256, by which files are known outside. Owned; one thread. */
#ifndef PW_SHARED_CRYPT_HASH_H
#define PW_SHARED_CRYPT_HASH_H
#include "shared/base/cleanup.h"
#include "shared/crypt/crypt.h"

typedef struct crypt_hasher crypt_hasher;
crypt_hasher *crypt_hasher_new(pw_err *err);
crypt_hasher *crypt_hasher_free(crypt_hasher *self);
PW_DEFINE_FREEP(crypt_hasher, crypt_hasher_free)
/* Begins anew; a new one has begun. */
void crypt_hasher_reset(crypt_hasher *self);
void crypt_hasher_add(crypt_hasher *self, const void *p, size_t n);
/* To be reset before it is used again. */
void crypt_hasher_end(crypt_hasher *self, uint8_t out[CRYPT_HASH]);

typedef struct crypt_sha256 crypt_sha256;
crypt_sha256 *crypt_sha256_new(pw_err *err);
crypt_sha256 *crypt_sha256_free(crypt_sha256 *self);
PW_DEFINE_FREEP(crypt_sha256, crypt_sha256_free)
void crypt_sha256_reset(crypt_sha256 *self);
void crypt_sha256_add(crypt_sha256 *self, const void *p, size_t n);
/* To be reset before it is used again. */
void crypt_sha256_end(crypt_sha256 *self, uint8_t out[CRYPT_HASH]);
#endif
