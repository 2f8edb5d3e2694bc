#include "shared/zip/zip.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "shared/base/num.h"

enum {
    LEVEL_MIN = 1,
    LEVEL_MAX = 19, /* above that zstd spends tens of MB on tables for nothing that a log needs */
    WINDOW_LOG =
        19, /* 512 KiB: as much as a log frame holds, so that a larger window finds nothing more */
    STREAM_WINDOW_LOG = 23, /* 8 MiB: what zstd itself takes up to level 19 */
};
static const uint32_t FRAME_MAGIC = 0xFD2FB528u;

struct zip_ctx {
    int level;
    ZSTD_CCtx *c; /* owned, NULL until the first pack */
    ZSTD_DCtx *d; /* owned, NULL until the first unpack */
    ZSTD_DCtx *s; /* owned, NULL until the first zip_stream */
    bool inside;  /* of a frame of the stream */
};

zip_ctx *zip_new(int level, pw_err *err)
{
    if (level < LEVEL_MIN || level > LEVEL_MAX) {
        (void)pw_fail(err, PW_EINVAL, "zstd level %d is not in %d..%d", level, (int)LEVEL_MIN,
                      (int)LEVEL_MAX);
        return NULL;
    }
    zip_ctx *self = calloc(1, sizeof(*self));
    if (!self) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->level = level;
    return self;
}

zip_ctx *zip_free(zip_ctx *self)
{
    if (!self)
        return NULL;
    (void)ZSTD_freeCCtx(self->c);
    (void)ZSTD_freeDCtx(self->d);
    (void)ZSTD_freeDCtx(self->s);
    free(self);
    return NULL;
}

size_t zip_bound(size_t n)
{
    size_t bound = ZSTD_compressBound(n);
    return bound < n || ZSTD_isError(bound) ? SIZE_MAX : bound;
}

static int set(ZSTD_CCtx *c, ZSTD_cParameter what, int value, pw_err *err)
{
    size_t r = ZSTD_CCtx_setParameter(c, what, value);
    if (ZSTD_isError(r))
        return pw_fail(err, PW_EINVAL, "setting up zstd: %s", ZSTD_getErrorName(r));
    return 0;
}

static int compressor_make(zip_ctx *self, pw_err *err)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    if (!c)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int r = set(c, ZSTD_c_compressionLevel, self->level, err);
    if (r == 0)
        r = set(c, ZSTD_c_windowLog, WINDOW_LOG, err);
    if (r == 0)
        r = set(c, ZSTD_c_contentSizeFlag, 1, err);
    if (r == 0) /* what holds the frame has a crc of its own */
        r = set(c, ZSTD_c_checksumFlag, 0, err);
    if (r < 0) {
        (void)ZSTD_freeCCtx(c);
        return r;
    }
    self->c = c;
    return 0;
}

int64_t zip_pack(zip_ctx *self, const void *in, size_t n, void *out, size_t cap, pw_err *err)
{
    if (!self->c) {
        int r = compressor_make(self, err);
        if (r < 0)
            return r;
    }
    size_t r = ZSTD_compress2(self->c, out, cap, in, n);
    if (!ZSTD_isError(r))
        return (int64_t)r;
    if (cap < zip_bound(n)) /* the one failure that is the caller's */
        return pw_fail(err, PW_ELIMIT, "packing %zu bytes into %zu: %s", n, cap,
                       ZSTD_getErrorName(r));
    return pw_fail(err, PW_ENOMEM, "packing %zu bytes: %s", n, ZSTD_getErrorName(r));
}

/* Exactly one plain zstd frame that declares raw_len: nothing behind it, no skippable frame (which
 * declares 0), no format of old versions (which the system's library may still read). */
static int frame_check(const void *in, size_t n, size_t raw_len, pw_err *err)
{
    if (n < 4 || pw_le32(in) != FRAME_MAGIC)
        return pw_fail(err, PW_ECORRUPT, "compressed block of %zu bytes is not a zstd frame", n);
    unsigned long long declared = ZSTD_getFrameContentSize(in, n);
    if (declared == ZSTD_CONTENTSIZE_ERROR || declared == ZSTD_CONTENTSIZE_UNKNOWN)
        return pw_fail(err, PW_ECORRUPT, "zstd frame does not declare its size");
    if (declared != raw_len)
        return pw_fail(err, PW_ECORRUPT, "zstd frame declares %llu bytes, expected %zu", declared,
                       raw_len);
    size_t len = ZSTD_findFrameCompressedSize(in, n);
    if (ZSTD_isError(len))
        return pw_fail(err, PW_ECORRUPT, "zstd frame: %s", ZSTD_getErrorName(len));
    if (len != n)
        return pw_fail(err, PW_ECORRUPT, "%zu bytes behind a zstd frame", n - len);
    return 0;
}

int zip_unpack(zip_ctx *self, const void *in, size_t n, void *out, size_t raw_len, pw_err *err)
{
    int r = frame_check(in, n, raw_len, err);
    if (r < 0)
        return r;
    if (!self->d) {
        self->d = ZSTD_createDCtx();
        if (!self->d)
            return pw_fail(err, PW_ENOMEM, "out of memory");
    }
    /* In one piece, so zstd needs no window buffer: the memory does not depend on what the frame
     * claims. */
    size_t got = ZSTD_decompressDCtx(self->d, out, raw_len, in, n);
    if (ZSTD_isError(got))
        return pw_fail(err, PW_ECORRUPT, "zstd frame: %s", ZSTD_getErrorName(got));
    if (got != raw_len)
        return pw_fail(err, PW_ECORRUPT, "zstd frame held %zu bytes, expected %zu", got, raw_len);
    return 0;
}

int64_t zip_stream(zip_ctx *self, const void **in, size_t *n, void *out, size_t cap, pw_err *err)
{
    if (!self->s) {
        if (!(self->s = ZSTD_createDCtx()))
            return pw_fail(err, PW_ENOMEM, "out of memory");
        (void)ZSTD_DCtx_setParameter(self->s, ZSTD_d_windowLogMax, STREAM_WINDOW_LOG);
    }
    ZSTD_inBuffer i = {*in, *n, 0};
    ZSTD_outBuffer o = {out, cap, 0};
    while (o.pos == 0 && cap > 0) {
        size_t before = i.pos;
        size_t r = ZSTD_decompressStream(self->s, &o, &i);
        if (ZSTD_isError(r))
            return pw_fail(err, PW_ECORRUPT, "zstd stream: %s", ZSTD_getErrorName(r));
        if (o.pos == 0 && i.pos == before)
            break; /* it has said nothing of the frame: it wants input */
        self->inside = r != 0;
    }
    *in = (const char *)*in + i.pos;
    *n -= i.pos;
    return (int64_t)o.pos;
}

bool zip_stream_whole(const zip_ctx *self)
{
    return !self->inside;
}
