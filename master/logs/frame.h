/* frame.h - one stored frame of a log, wherever it lies, and how it is found and decoded. Inside
 * this folder only. */
#ifndef PW_MASTER_LOGS_FRAME_H
#define PW_MASTER_LOGS_FRAME_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/host.h"
#include "shared/job/record.h"
#include "shared/zip/zip.h"

enum { FRAME_LEN_MAX = 786432 }; /* stored bytes: a journal record holds no more */

typedef struct frame_at {
    uint64_t raw_pos;    /* absolute position of its first byte in the log */
    uint64_t first_line; /* line feeds before it */
    uint64_t at;         /* where it lies in its file */
    pw_msec t_first;
    uint32_t raw_len, lines, len;
    uint32_t crc; /* crc32c of the stored bytes, when has_crc (sealed files) */
    bool has_crc;
    uint8_t codec;
} frame_at;

/* Limits of one frame, as far as they do not depend on its neighbours. */
bool frame_sane(const frame_at *f);

typedef enum frame_by {
    FRAME_BY_POS,   /* first frame that ends behind the position */
    FRAME_BY_LINE,  /* first frame with that many line feeds up to its end */
    FRAME_BY_START, /* first frame that begins behind the position */
} frame_by;
typedef void frame_get(const void *src, size_t i, frame_at *ret);
/* Index of that frame among n frames in order; n when there is none. */
size_t frame_bisect(const void *src, size_t n, frame_get *get, frame_by by, uint64_t v);

/* Reads the stored bytes (f->len). PW_ECORRUPT when the file ends before, or when their sum is
 * wrong. */
int frame_fetch(int fd, const frame_at *f, uint8_t *out, pw_err *err);
/* Reads and decodes: writes exactly f->raw_len bytes. */
int frame_load(int fd, const frame_at *f, zip_ctx *zip, uint8_t *out, pw_err *err);
/* PW_EFULL for errno values that say so (a limit on the size of files too), else PW_ESYS. */
pw_code frame_code_of(int sys);
/* Writes all n bytes at `at`. */
int frame_pwrite(int fd, const void *p, size_t n, uint64_t at, pw_err *err);
#endif
