#include "shared/crypt/hash.h"

#include <string.h>

#include "shared/base/num.h"
#include "tests/tap.h"

static void sha256(void)
{
    static const char want[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    uint8_t sum[CRYPT_HASH];
    char hex[2 * CRYPT_HASH + 1];
    pw_err err = {0};
    PW_AUTO(crypt_sha256_freep) crypt_sha256 *h = crypt_sha256_new(&err);
    ok(h || err.code == PW_ENOMEM, "made, or out of memory is told");
    for (int i = 0; h && i < 2; i++) {
        crypt_sha256_reset(h);
        crypt_sha256_add(h, "a", 1);
        crypt_sha256_add(h, "bc", 2);
        crypt_sha256_end(h, sum);
        pw_hex(sum, sizeof(sum), hex);
        ok(strcmp(hex, want) == 0, "SHA-256 of abc, as its standard has it");
    }
}

int main(void)
{
    pw_err err = {0};
    uint8_t all[1000], a[CRYPT_HASH], b[CRYPT_HASH];
    if (crypt_init(&err) < 0)
        return 1;
    PW_AUTO(crypt_hasher_freep) crypt_hasher *h = crypt_hasher_new(&err);
    ok(h || err.code == PW_ENOMEM, "made, or out of memory is told");
    if (!h)
        return tap_done();
    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (uint8_t)(i * 7);
    crypt_hash(all, sizeof(all), a);
    for (size_t step = 1; step < sizeof(all); step = step * 3 + 1) {
        crypt_hasher_reset(h);
        for (size_t at = 0; at < sizeof(all); at += step)
            crypt_hasher_add(h, all + at, at + step < sizeof(all) ? step : sizeof(all) - at);
        crypt_hasher_end(h, b);
        ok(memcmp(a, b, sizeof(a)) == 0, "pieces of %zu bytes give the sum of the whole", step);
    }
    crypt_hasher_reset(h);
    crypt_hasher_end(h, b);
    crypt_hash("", 0, a);
    ok(memcmp(a, b, sizeof(a)) == 0, "of nothing too");
    sha256();
    return tap_done();
}
