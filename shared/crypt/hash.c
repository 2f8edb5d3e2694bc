#include "shared/crypt/hash.h"

#include <sodium.h>
#include <stdlib.h>

struct crypt_hasher {
    crypto_generichash_state *state; /* owned; wants 64 bytes of alignment */
};

crypt_hasher *crypt_hasher_new(pw_err *err)
{
    PW_AUTO(crypt_hasher_freep) crypt_hasher *self = calloc(1, sizeof(*self));
    if (self)
        self->state = aligned_alloc(64, (sizeof(*self->state) + 63) / 64 * 64);
    if (!self || !self->state) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    crypt_hasher_reset(self);
    return pw_take(self);
}

crypt_hasher *crypt_hasher_free(crypt_hasher *self)
{
    if (!self)
        return NULL;
    free(self->state);
    free(self);
    return NULL;
}

void crypt_hasher_reset(crypt_hasher *self)
{
    (void)crypto_generichash_init(self->state, NULL, 0, CRYPT_HASH);
}

void crypt_hasher_add(crypt_hasher *self, const void *p, size_t n)
{
    (void)crypto_generichash_update(self->state, p, n);
}

void crypt_hasher_end(crypt_hasher *self, uint8_t out[CRYPT_HASH])
{
    (void)crypto_generichash_final(self->state, out, CRYPT_HASH);
}

struct crypt_sha256 {
    crypto_hash_sha256_state state;
};

crypt_sha256 *crypt_sha256_new(pw_err *err)
{
    crypt_sha256 *self = calloc(1, sizeof(*self));
    if (!self)
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
    else
        crypt_sha256_reset(self);
    return self;
}

crypt_sha256 *crypt_sha256_free(crypt_sha256 *self)
{
    free(self);
    return NULL;
}

void crypt_sha256_reset(crypt_sha256 *self)
{
    (void)crypto_hash_sha256_init(&self->state);
}

void crypt_sha256_add(crypt_sha256 *self, const void *p, size_t n)
{
    (void)crypto_hash_sha256_update(&self->state, p, n);
}

void crypt_sha256_end(crypt_sha256 *self, uint8_t out[CRYPT_HASH])
{
    (void)crypto_hash_sha256_final(&self->state, out);
}
