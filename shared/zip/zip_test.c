#include "shared/zip/zip.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/buf.h"
#include "tests/tap.h"

enum { FRAME = 512 * 1024 };

static void fill(char *p, size_t n)
{
    uint32_t x = 12345;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        p[i] = i % 80 == 79 ? '\n' : (char)('a' + (x >> 28));
    }
}

static void round_trip(zip_ctx *z, size_t n)
{
    pw_err err = {.code = PW_OK};
    PW_AUTO(pw_freep) char *raw = malloc(n + 1);
    PW_AUTO(pw_freep) char *out = malloc(zip_bound(n));
    PW_AUTO(pw_freep) char *back = malloc(n + 1);
    if (!raw || !out || !back)
        return;
    fill(raw, n);
    back[n] = 'X';
    int64_t len = zip_pack(z, raw, n, out, zip_bound(n), &err);
    ok(len > 0 && (size_t)len <= zip_bound(n), "%zu bytes packed into %lld", n, (long long)len);
    if (len <= 0)
        return;
    size_t packed = (size_t)len;
    ok(n < 1000 || packed < n * 7 / 10, "text shrinks");
    ok(zip_unpack(z, out, packed, back, n, &err) == 0 && memcmp(raw, back, n) == 0, "and back");
    ok(back[n] == 'X', "nothing behind was touched");
    ok(zip_unpack(z, out, packed, back, n + 1, &err) == PW_ECORRUPT, "other size refused");
    if (n > 0)
        ok(zip_unpack(z, out, packed, back, n - 1, &err) == PW_ECORRUPT, "smaller one too");
    ok(zip_unpack(z, out, packed - 1, back, n, &err) == PW_ECORRUPT, "cut frame refused");
    ok(zip_pack(z, raw, n, out, packed - 1, &err) == PW_ELIMIT, "no room is told");
}

static void hostile(zip_ctx *z)
{
    pw_err err = {.code = PW_OK};
    char raw[300], out[1024], back[1024];
    fill(raw, sizeof(raw));
    int64_t len = zip_pack(z, raw, sizeof(raw), out, sizeof(out) - 8, &err);
    ok(len > 8 && len < 900, "small frame");
    if (len <= 8 || len >= 900)
        return;
    size_t n = (size_t)len;
    ok(zip_unpack(z, out, 0, back, 0, &err) == PW_ECORRUPT, "empty input is no frame");
    ok(zip_unpack(z, out, 3, back, 0, &err) == PW_ECORRUPT, "3 bytes are no frame");
    ok(zip_unpack(z, "\x50\x2a\x4d\x18\0\0\0\0", 8, back, 0, &err) == PW_ECORRUPT,
       "skippable frame refused");
    /* magic, then a header that claims 2^60 bytes */
    ok(zip_unpack(z, "\x28\xb5\x2f\xfd\xe0\0\0\0\0\0\0\0\x10\x01\0\0", 16, back, sizeof(back),
                  &err) == PW_ECORRUPT,
       "huge claim refused");
    /* single segment off, no content size */
    ok(zip_unpack(z, "\x28\xb5\x2f\xfd\0\x48\x01\0\0", 9, back, 0, &err) == PW_ECORRUPT,
       "frame without a size refused");
    memset(out + n, 0, 4);
    ok(zip_unpack(z, out, n + 1, back, sizeof(raw), &err) == PW_ECORRUPT, "byte behind refused");
    memcpy(out + n, "\x50\x2a\x4d\x18\0\0\0\0", 8);
    ok(zip_unpack(z, out, n + 8, back, sizeof(raw), &err) == PW_ECORRUPT,
       "second frame behind refused");
    int bad = 0;
    memset(back, 'X', sizeof(back));
    for (size_t i = 0; i < n; i++) {
        out[i] ^= 0x55;
        int r = zip_unpack(z, out, n, back, sizeof(raw), &err);
        bad += r != 0 && r != PW_ECORRUPT;
        bad += back[sizeof(raw)] != 'X';
        out[i] ^= 0x55;
    }
    ok(bad == 0, "a flipped byte anywhere is an error or other text, never more bytes");
    ok(zip_unpack(z, out, n, back, sizeof(raw), &err) == 0 && memcmp(raw, back, sizeof(raw)) == 0,
       "the context works on after all that");
}

/* Two frames one behind the other, given in pieces of each size. */
static void stream(zip_ctx *z)
{
    enum { N = 70000 };
    PW_AUTO(pw_freep) char *raw = malloc(N);
    PW_AUTO(pw_freep) char *back = malloc(N);
    PW_AUTO(pw_freep) char *packed = malloc(2 * zip_bound(N));
    pw_err err = {.code = PW_OK};
    if (!raw || !back || !packed)
        return;
    fill(raw, N);
    int64_t a = zip_pack(z, raw, N / 2, packed, zip_bound(N), &err);
    int64_t b = a > 0 ? zip_pack(z, raw + N / 2, N - N / 2, packed + a, zip_bound(N), &err) : -1;
    if (a < 0 || b < 0)
        return;
    for (size_t piece = 1; piece < 100000; piece = piece * 9 + 1) {
        PW_AUTO(zip_freep) zip_ctx *s = zip_new(1, &err);
        size_t total = (size_t)(a + b), given = 0, got = 0, n = 0;
        const void *in = packed;
        bool early = false;
        int64_t k = 0;
        while (s && (k = zip_stream(s, &in, &n, back + got, N - got, &err)) >= 0) {
            got += (size_t)k;
            if (k == 0 && n == 0) {
                if (given == total || got == N)
                    break;
                early |= given > 0 && given < (size_t)a && zip_stream_whole(s);
                n = total - given < piece ? total - given : piece;
                in = packed + given;
                given += n;
            }
        }
        ok(!s || err.code == PW_ENOMEM ||
               (k == 0 && got == N && memcmp(raw, back, N) == 0 && zip_stream_whole(s) && !early),
           "a stream in pieces of %zu: %s", piece, err.text);
    }
    PW_AUTO(zip_freep) zip_ctx *bad = zip_new(1, &err);
    const void *in = raw;
    size_t n = 100;
    ok(!bad || zip_stream(bad, &in, &n, back, N, &err) < 0, "no zstd: %s", err.text);
    PW_AUTO(zip_freep) zip_ctx *half = zip_new(1, &err);
    in = packed;
    n = (size_t)a - 3;
    while (half && n > 0 && zip_stream(half, &in, &n, back, N, &err) > 0)
        ;
    ok(!half || !zip_stream_whole(half), "the end of a frame is missing");
}

/* malloc counts only where it is the system's own: a sanitizer replaces it */
static void memory(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    pw_err err = {.code = PW_OK};
    PW_AUTO(pw_freep) char *raw = malloc(FRAME);
    PW_AUTO(pw_freep) char *out = malloc(zip_bound(FRAME));
    if (!raw || !out)
        return;
    fill(raw, FRAME);
    struct mallinfo2 before = mallinfo2();
    PW_AUTO(zip_freep) zip_ctx *z = zip_new(1, &err);
    if (!z)
        return;
    int64_t len = zip_pack(z, raw, FRAME, out, zip_bound(FRAME), &err);
    ok(len > 0 && zip_unpack(z, out, (size_t)len, raw, FRAME, &err) == 0, "a full frame");
    struct mallinfo2 after = mallinfo2();
    size_t used = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd;
    ok(used > 1000 && used < 2u << 20, "both contexts take %zu KiB", used >> 10);
#endif
}

int main(void)
{
    pw_err err = {.code = PW_OK};
    PW_AUTO(zip_freep) zip_ctx *z = zip_new(1, &err);
    if (!z) {
        ok(false, "context");
        return tap_done();
    }
    ok(!zip_new(0, &err) && err.code == PW_EINVAL, "level 0 refused");
    ok(!zip_new(20, &err) && err.code == PW_EINVAL, "level 20 refused");
    ok(zip_bound(SIZE_MAX) == SIZE_MAX, "no bound for the impossible");
    round_trip(z, 0);
    round_trip(z, 1);
    round_trip(z, 1000);
    round_trip(z, FRAME);
    round_trip(z, FRAME * 3 + 1);
    hostile(z);
    stream(z);
    memory();
    PW_AUTO(zip_freep) zip_ctx *hard = zip_new(19, &err);
    if (hard)
        round_trip(hard, FRAME);
    ok(zip_free(NULL) == NULL, "free of nothing");
    return tap_done();
}
