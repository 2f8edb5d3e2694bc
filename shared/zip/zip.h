/* zip.h - zstd for log frames: one independent frame per call, contexts kept. The only module that
 * includes zstd. One thread per object. */
#ifndef PW_SHARED_ZIP_ZIP_H
#define PW_SHARED_ZIP_ZIP_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/cleanup.h"
#include "shared/base/err.h"

/* compression and decompression contexts, made on first use, tuned for little memory */
typedef struct zip_ctx zip_ctx;
zip_ctx *zip_new(int level, pw_err *err);
zip_ctx *zip_free(zip_ctx *self);
PW_DEFINE_FREEP(zip_ctx, zip_free)
size_t zip_bound(size_t n); /* most bytes that n raw bytes can become */
/* Returns the compressed size, or a negative code. The frame declares its raw size. */
int64_t zip_pack(zip_ctx *self, const void *in, size_t n, void *out, size_t cap, pw_err *err);
/* The frame must declare exactly raw_len (checked before anything is written). Returns 0;
 * PW_ECORRUPT for anything else. */
int zip_unpack(zip_ctx *self, const void *in, size_t n, void *out, size_t raw_len, pw_err *err);

/* A stream of frames, of any make, read piece by piece: takes *n bytes at *in at most (moves both),
 * writes at most cap. Returns how many were written; 0 while more input is wanted. PW_ECORRUPT for
 * what is not zstd, or wants a window above 8 MiB. */
int64_t zip_stream(zip_ctx *self, const void **in, size_t *n, void *out, size_t cap, pw_err *err);
/* True when what was read ends where a frame ends. */
bool zip_stream_whole(const zip_ctx *self);
#endif
