/* From the frames of a complete log to its file. Frames are copied as they are; those of a slow
 * step, many and small, are decoded and packed anew, with a mark for the time of each. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "master/logs/impl.h"

enum {
    REPACK_FRAMES = 4,           /* fewer are not worth it */
    REPACK_AVERAGE = 64 * 1024,  /* raw bytes a frame */
    BREATHE_BYTES = 1024 * 1024, /* read between two looks at the syncs that wait: 2-10 ms */
    BREATHE_COST = 4096,         /* what a frame costs beside its bytes */
};

typedef struct packer {
    logs *self;
    sealed_out *out; /* borrowed */
    zip_ctx *zip;    /* borrowed */
    uint8_t *raw, *packed;
    size_t cap, packed_cap;
    frame_at whole; /* what was collected; raw_len 0: nothing */
    uint64_t mark_pos;
    pw_msec mark_t;
    size_t work; /* since the last breath */
} packer;

static void packer_clear(packer *p)
{
    free(p->raw);
    free(p->packed);
}

/* Writes what was collected as one frame. */
static int pack_flush(packer *p, pw_err *err)
{
    frame_at *f = &p->whole;
    if (f->raw_len == 0)
        return 0;
    int64_t n = zip_pack(p->zip, p->raw, f->raw_len, p->packed, p->packed_cap, err);
    if (n < 0)
        return (int)n;
    bool smaller = (uint64_t)n < f->raw_len;
    f->codec = smaller ? PW_CODEC_ZSTD : PW_CODEC_RAW;
    f->len = smaller ? (uint32_t)n : f->raw_len;
    int r = sealed_out_frame(p->out, f, smaller ? p->packed : p->raw, err);
    f->raw_len = 0;
    return r;
}

static int copy_frame(packer *p, int fd, const frame_at *f, pw_err *err)
{
    PW_AUTO(pw_freep) uint8_t *bytes = malloc(f->len);
    if (!bytes)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int r = frame_fetch(fd, f, bytes, err);
    return r < 0 ? r : sealed_out_frame(p->out, f, bytes, err);
}

static uint32_t count_lines(const uint8_t *p, size_t n)
{
    uint32_t lines = 0;
    for (size_t i = 0; i < n; i++)
        lines += p[i] == '\n';
    return lines;
}

static int collect_frame(packer *p, int fd, const frame_at *f, pw_err *err)
{
    frame_at *w = &p->whole;
    int r = 0;
    if (w->raw_len > 0 &&
        (w->raw_pos + w->raw_len != f->raw_pos || w->first_line + w->lines != f->first_line ||
         w->raw_len + f->raw_len > p->cap))
        r = pack_flush(p, err);
    if (r < 0)
        return r;
    uint8_t *to = p->raw + w->raw_len;
    r = frame_load(fd, f, p->zip, to, err);
    if (r < 0 && r != PW_ECORRUPT)
        return r;
    if (r < 0 || count_lines(to, f->raw_len) != f->lines) {
        /* what is not as it was declared is kept as it is: views say so, and nothing is thrown away
         */
        if ((r = pack_flush(p, err)) < 0)
            return r;
        return copy_frame(p, fd, f, err);
    }
    if (w->raw_len == 0) {
        *w = *f;
        p->mark_pos = f->raw_pos;
        p->mark_t = f->t_first;
        return 0;
    }
    w->raw_len += f->raw_len;
    w->lines += f->lines;
    if (f->t_first == p->mark_t)
        return 0;
    r = sealed_out_mark(p->out, f->raw_pos - p->mark_pos, f->t_first - p->mark_t, err);
    p->mark_pos = f->raw_pos;
    p->mark_t = f->t_first;
    return r;
}

/* Buffers for packing anew, no larger than the log. False: not worth it, frames are copied. */
static int repack_begin(packer *p, uint64_t raw, size_t n, bool *ret, pw_err *err)
{
    *ret = n > REPACK_FRAMES && raw / n < REPACK_AVERAGE;
    if (!*ret)
        return 0;
    p->cap = raw < PW_FRAME_RAW_MAX ? (size_t)raw : PW_FRAME_RAW_MAX;
    p->packed_cap = zip_bound(p->cap);
    p->raw = malloc(p->cap);
    p->packed = malloc(p->packed_cap);
    return p->raw && p->packed ? 0 : pw_fail(err, PW_ENOMEM, "out of memory");
}

static int seal_frames(packer *p, const live *l, size_t n, bool repack, pw_err *err)
{
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        frame_at f;
        index_frame(l, i, &f);
        int fd = l->frames[i].seg->fd;
        r = repack ? collect_frame(p, fd, &f, err) : copy_frame(p, fd, &f, err);
        p->work += f.len + (repack ? f.raw_len : 0) + BREATHE_COST;
        if (p->work < BREATHE_BYTES)
            continue;
        p->work = 0;
        if (!archive_breathe(p->self))
            return pw_fail(err, PW_EAGAIN, "the log store is closing");
    }
    return r < 0 ? r : pack_flush(p, err);
}

int seal_write(logs *self, const live *l, const seal_part *part, zip_ctx *zip, sealed_out *out,
               uint64_t *ret_packed, pw_err *err)
{
    PW_AUTO(packer_clear) packer p = {.self = self, .zip = zip, .out = out};
    const size_t n = part->n;
    const frame *last = &l->frames[n - 1];
    uint64_t raw = 0;
    bool repack = false;
    for (size_t i = 0; i < n; i++)
        raw += l->frames[i].raw_len;
    int r = sealed_out_begin(out, self->dir, l->key, err);
    if (r == 0)
        r = repack_begin(&p, raw, n, &repack, err);
    if (r == 0)
        r = seal_frames(&p, l, n, repack, err);
    if (r == 0)
        r = sealed_out_end(out, part->bytes, part->lines, last->t_first + (pw_msec)last->t_span,
                           ret_packed, err);
    return r;
}
