#include "shared/crypt/hash.h"

#include <string.h>

#include "tests/tap.h"

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
    return tap_done();
}
