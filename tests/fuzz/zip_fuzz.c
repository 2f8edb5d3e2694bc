/* Compressed frames from outside: nothing is written beyond the length that was asked for, and what
 * was packed is unpacked. The length is taken from the input's first bytes, and once more from the
 * frame itself, since else nearly all inputs would end at that comparison. */
#include <stdlib.h>
#include <string.h>

#include "shared/base/num.h"
#include "shared/zip/zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { RAW_MAX = 512 * 1024, LEVEL = 1 };

/* What the frame header declares (RFC 8878, 3.1.1.1); RAW_MAX + 1 when that is nothing or too much.
 */
static size_t declared(const uint8_t *p, size_t n)
{
    static const size_t dict[] = {0, 1, 2, 4}, size[] = {0, 2, 4, 8};
    if (n < 5)
        return RAW_MAX + 1;
    size_t single = p[4] >> 5 & 1, kind = p[4] >> 6, at = 5 + !single + dict[p[4] & 3];
    size_t bytes = kind == 0 ? single : size[kind];
    uint64_t value = 0;
    if (bytes == 0 || bytes > n || at > n - bytes)
        return RAW_MAX + 1;
    for (size_t i = bytes; i-- > 0;)
        value = value << 8 | p[at + i];
    value += kind == 1 ? 256 : 0;
    return value > RAW_MAX ? RAW_MAX + 1 : (size_t)value;
}

static void unpack(zip_ctx *z, const uint8_t *in, size_t n, size_t raw_len)
{
    pw_err err = {.code = PW_OK};
    uint8_t *out = malloc(raw_len ? raw_len : 1); /* exactly so long: the sanitizer sees one more */
    if (!out)
        return;
    int rc = zip_unpack(z, in, n, out, raw_len, &err);
    if (rc != 0 && rc != PW_ECORRUPT && rc != PW_ENOMEM)
        abort();
    if (rc != 0 && (err.code != (pw_code)rc || !err.text[0]))
        abort();
    free(out);
}

static void there_and_back(zip_ctx *z, const uint8_t *data, size_t len)
{
    size_t cap = zip_bound(len);
    uint8_t *packed = malloc(cap), *out = malloc(len + 1);
    int64_t n = packed && out ? zip_pack(z, data, len, packed, cap, NULL) : -1;
    if (packed && out && n < 0)
        abort();
    if (n > 0) {
        if (zip_unpack(z, packed, (size_t)n, out, len, NULL) != 0 ||
            (len > 0 && memcmp(out, data, len) != 0))
            abort();
        if (zip_unpack(z, packed, (size_t)n, out, len + 1, NULL) != PW_ECORRUPT ||
            zip_unpack(z, packed, (size_t)n - 1, out, len, NULL) != PW_ECORRUPT)
            abort();
        for (size_t i = 0; i < len; i += 7) { /* damaged in the packed form */
            packed[data[i] % (size_t)n] ^= (uint8_t)(data[i] | 1);
            size_t says = declared(packed, (size_t)n);
            if (says <= RAW_MAX)
                unpack(z, packed, (size_t)n, says);
        }
    }
    free(packed);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    PW_AUTO(zip_freep) zip_ctx *z = zip_new(LEVEL, NULL);
    if (!z)
        return 0;
    size_t says = declared(data, len);
    if (says <= RAW_MAX)
        unpack(z, data, len, says);
    if (len < 3)
        return 0;
    unpack(z, data + 3, len - 3,
           (data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16) % RAW_MAX);
    /* the magic for nothing */
    uint8_t *framed = malloc(len + 4);
    if (framed) {
        pw_put_le32(framed, 0xFD2FB528u);
        memcpy(framed + 4, data, len);
        says = declared(framed, len + 4);
        if (says <= RAW_MAX)
            unpack(z, framed, len + 4, says);
        free(framed);
    }
    there_and_back(z, data, len > 4096 ? 4096 : len);
    return 0;
}
