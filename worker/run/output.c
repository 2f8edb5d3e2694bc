#include "worker/run/output.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "worker/run/ring.h"

uint64_t out_count(const uint8_t *p, size_t n)
{
    uint64_t lines = 0;
    const uint8_t *end = p + n;
    while (p < end && (p = memchr(p, '\n', (size_t)(end - p)))) {
        lines++;
        p++;
    }
    return lines;
}

void out_shared_clear(out_shared *s)
{
    s->zip = zip_free(s->zip);
    free(s->pack);
    s->pack = NULL;
}

int out_begin(out_stream *o, out_shared *shared, uint64_t step, int stream, uint64_t limit,
              pw_err *err)
{
    uint8_t *buf = o->buf ? o->buf : malloc(PW_FRAME_RAW_MAX);
    if (!buf)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (!limit)
        limit = OUT_LIMIT;
    memset(o, 0, sizeof(*o));
    o->shared = shared;
    o->step = (uint16_t)step;
    o->stream = (uint8_t)stream;
    o->buf = buf;
    o->head_max = limit - limit / 4;
    o->limit = limit;
    o->ring_fd = -1;
    return 0;
}

void out_clear(out_stream *o)
{
    if (!o->shared)
        return; /* never begun */
    pw_closep(&o->ring_fd);
    free(o->buf);
    o->buf = NULL;
}

uint64_t out_bytes(const out_stream *o)
{
    return o->pos + o->ring_total + o->len;
}

uint64_t out_lines(const out_stream *o)
{
    return o->line + o->ring_lines + out_count(o->buf, o->len);
}

/* Room in the buffer: up to its end, and up to the end of the head, where a frame has to end. */
uint8_t *out_room(out_stream *o, size_t *n)
{
    size_t used = o->len + o->held;
    *n = PW_FRAME_RAW_MAX - used;
    if (!o->ring && o->pos + used >= o->head_max)
        *n = 0;
    else if (!o->ring && *n > o->head_max - o->pos - used)
        *n = (size_t)(o->head_max - o->pos - used);
    return o->buf + used;
}

/* n bytes without secrets, or what may be of one no more, follow those in the buffer. */
static void out_take(out_stream *o, size_t n, pw_usec now, pw_msec wall)
{
    if (!n)
        return;
    if (!o->len) {
        o->first_us = now;
        o->first_ms = wall;
    }
    o->last_us = now;
    o->last_ms = wall;
    const uint8_t *lf = memrchr(o->buf + o->len, '\n', n);
    o->len += n;
    if (lf)
        o->lf_end = (size_t)(lf - o->buf) + 1;
    o->open_line = o->lf_end != o->len;
}

static void out_masked(out_stream *o, size_t n, bool end, pw_usec now, pw_msec wall)
{
    uint8_t *p = o->buf + o->len;
    size_t done = mask_feed(&o->mask, o->shared->mask, p, o->held, n, end, &o->held);
    out_take(o, done, now, wall);
    if (o->held)
        o->open_line = p[done + o->held - 1] != '\n';
    else if (!done && n)
        o->open_line = true; /* inside a secret, or a line that is not shown */
}

/* Said where a line begins, so as not to cut one of the step's. */
static void out_mask_trouble(out_stream *o, pw_usec now, pw_msec wall)
{
    static const char *const why[] = {
        [MASK_SHORT] = "its value is shorter than 4 bytes, or empty",
        [MASK_LONG] = "its value is longer than 16 KiB",
        [MASK_MANY] = "there are too many values, or no memory for them",
    };
    mask_trouble trouble = o->mask.trouble;
    o->mask.trouble = MASK_FINE;
    out_say(o, now, wall, "pawl: ::add-mask:: is ignored: %s", why[trouble]);
}

void out_fed(out_stream *o, size_t n, pw_usec now, pw_msec wall)
{
    if (!o->shared->mask) {
        out_take(o, n, now, wall);
        return;
    }
    out_masked(o, n, false, now, wall);
    if (o->mask.trouble && !o->open_line)
        out_mask_trouble(o, now, wall);
}

static bool out_full(out_stream *o)
{
    size_t n;
    (void)out_room(o, &n);
    return n == 0;
}

/* The frame as it is stored: packed when that pays. */
static void out_pack(out_stream *o, rec_log *log)
{
    out_shared *s = o->shared;
    log->frame = o->buf;
    log->frame_len = log->raw_len;
    log->codec = PW_CODEC_RAW;
    if (log->raw_len < OUT_PACK_MIN)
        return;
    if (!s->zip && !(s->zip = zip_new(1, NULL)))
        return;
    size_t cap = zip_bound(PW_FRAME_RAW_MAX);
    if (!s->pack && !(s->pack = malloc(cap)))
        return;
    int64_t n = zip_pack(s->zip, o->buf, log->raw_len, s->pack, cap, NULL);
    if (n <= 0 || n >= (int64_t)log->raw_len)
        return;
    log->frame = s->pack;
    log->frame_len = (size_t)n;
    log->codec = PW_CODEC_ZSTD;
}

/* Ships the first n bytes of the buffer as one frame. */
static int out_emit(out_stream *o, size_t n, pw_err *err)
{
    if (!n)
        return 0;
    rec_log log = {
        .step = o->step,
        .stream = o->stream,
        .raw_len = (uint32_t)n,
        .lines = (uint32_t)out_count(o->buf, n),
        .raw_pos = o->pos,
        .first_line = o->line,
        .t_first_ms = (uint64_t)o->first_ms,
        .t_last_ms = (uint64_t)o->last_ms,
    };
    out_pack(o, &log);
    int rc = writer_log(o->shared->writer, &log, err);
    if (rc < 0)
        return rc;
    o->pos += n;
    o->line += log.lines;
    o->len -= n;
    memmove(o->buf, o->buf + n, o->len + o->held);
    o->lf_end = o->lf_end > n ? o->lf_end - n : 0;
    o->first_us = o->last_us;
    o->first_ms = o->last_ms;
    return 0;
}

/* Moves the whole buffer into the ring. */
static int out_to_ring(out_stream *o, pw_err *err)
{
    if (o->ring_fd < 0) {
        int fd = ring_open(o->shared->dir, err);
        if (fd < 0)
            return fd;
        o->ring_fd = fd;
    }
    int rc =
        o->ring_cap ? ring_write(o->ring_fd, o->ring_cap, o->ring_total, o->buf, o->len, err) : 0;
    if (rc < 0)
        return rc;
    o->ring_total += o->len;
    o->ring_lines += out_count(o->buf, o->len);
    memmove(o->buf, o->buf + o->len, o->held);
    o->len = o->lf_end = 0;
    return 0;
}

static int out_ship(out_stream *o, pw_usec now, pw_err *err)
{
    bool full = out_full(o);
    if (o->ring)
        return full ? out_to_ring(o, err) : 0;
    if (full || (o->lf_end && now >= o->first_us + OUT_FLUSH_US)) {
        int rc = out_emit(o, o->lf_end ? o->lf_end : o->len, err);
        /* the head is complete: its last, open line already belongs to what follows */
        if (rc == 0 && full && o->pos + o->len + o->held >= o->head_max) {
            o->ring = true;
            o->ring_cap = o->limit - o->pos;
        }
        return rc;
    }
    if (o->len && !o->lf_end && now >= o->first_us + OUT_PARTIAL_US)
        return out_emit(o, o->len, err);
    return 0;
}

int out_pump(out_stream *o, pw_usec now, pw_err *err)
{
    int rc = out_ship(o, now, err);
    o->failed = rc < 0;
    return rc;
}

pw_usec out_due(const out_stream *o)
{
    if (!o->len || o->ring)
        return -1;
    return o->first_us + (o->lf_end ? OUT_FLUSH_US : OUT_PARTIAL_US);
}

static int out_add(out_stream *o, const char *text, size_t n, pw_usec now, pw_msec wall)
{
    while (n) {
        size_t room;
        uint8_t *p = out_room(o, &room);
        if (!room) {
            int rc = out_pump(o, now, NULL);
            if (rc < 0)
                return rc;
            continue;
        }
        if (room > n)
            room = n;
        memcpy(p, text, room);
        out_fed(o, room, now, wall);
        text += room;
        n -= room;
    }
    return 0;
}

void out_say(out_stream *o, pw_usec now, pw_msec wall, const char *fmt, ...)
{
    char text[OUT_LINE_MAX + 2];
    va_list ap;
    text[0] = '\n';
    va_start(ap, fmt);
    int n = vsnprintf(text + 1, OUT_LINE_MAX, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    if (n >= OUT_LINE_MAX)
        n = OUT_LINE_MAX - 1;
    text[n + 1] = '\n';
    size_t skip = o->open_line ? 0 : 1;
    (void)out_add(o, text + skip, (size_t)n + 2 - skip, now, wall);
}

/* Looks through the ring: how much was overwritten, and where the first whole line in it begins. */
static int out_measure(out_stream *o, pw_err *err)
{
    uint64_t kept = o->ring_total < o->ring_cap ? o->ring_total : o->ring_cap;
    uint64_t start = o->ring_total - kept, at = start, lines = 0, skip = 0;
    if (start && o->ring_cap) {
        while (at < o->ring_total) {
            uint64_t left = o->ring_total - at;
            size_t n = left < PW_FRAME_RAW_MAX ? (size_t)left : PW_FRAME_RAW_MAX;
            int rc = ring_read(o->ring_fd, o->ring_cap, at, o->buf, n, err);
            if (rc < 0)
                return rc;
            uint64_t here = out_count(o->buf, n);
            if (!lines && here) {
                const uint8_t *lf = memchr(o->buf, '\n', n);
                skip = at - start + (uint64_t)(lf - o->buf) + 1;
            }
            lines += here;
            at += n;
        }
        if (skip == kept)
            skip = 0; /* one line without beginning is better than nothing */
        o->cut_lines = o->ring_lines - lines + (skip ? 1 : 0);
    } else if (start) {
        o->cut_lines = o->ring_lines;
    }
    o->cut = start + skip;
    o->ring_next = o->cut;
    o->cut_known = true;
    return 0;
}

static int out_write_cut(out_stream *o, pw_err *err)
{
    rec_cut cut = {.step = o->step, .stream = o->stream, .position = o->pos, .bytes = o->cut};
    int rc = writer_record_once(o->shared->writer, PW_REC_CUT, &rec_cut_schema, &cut, err);
    if (rc < 0)
        return rc;
    o->pos += o->cut;
    o->line += o->cut_lines;
    return 0;
}

/* The ring back into the buffer and out as frames. */
static int out_drain_ring(out_stream *o, pw_err *err)
{
    while (o->ring_next < o->ring_total || o->len) {
        uint64_t left = o->ring_total - o->ring_next;
        size_t n = PW_FRAME_RAW_MAX - o->len;
        if (n > left)
            n = (size_t)left;
        if (n) {
            int rc = ring_read(o->ring_fd, o->ring_cap, o->ring_next, o->buf + o->len, n, err);
            if (rc < 0)
                return rc;
            o->ring_next += n;
            out_take(o, n, o->last_us, o->last_ms);
        }
        bool last = o->ring_next == o->ring_total;
        int rc = out_emit(o, last || !o->lf_end ? o->len : o->lf_end, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int out_finish(out_stream *o, pw_err *err)
{
    int rc = 0;
    if (o->shared->mask) {
        out_masked(o, 0, true, o->last_us, o->last_ms);
        if (o->mask.trouble) {
            out_mask_trouble(o, o->last_us, o->last_ms);
            out_masked(o, 0, true, o->last_us, o->last_ms);
        }
    }
    o->failed = true; /* until all of it is out */
    if (!o->ring) {
        if ((rc = out_emit(o, o->len, err)) < 0)
            return rc;
        o->failed = false;
        return 0;
    }
    if (!o->cut_known) {
        if (o->len && (rc = out_to_ring(o, err)) < 0)
            return rc;
        o->first_ms = o->last_ms;
        if ((rc = out_measure(o, err)) < 0)
            return rc;
    }
    if (o->cut && !o->cut_written) {
        if ((rc = out_write_cut(o, err)) < 0)
            return rc;
        o->cut_written = true;
    }
    if ((rc = out_drain_ring(o, err)) < 0)
        return rc;
    o->ring = o->failed = false;
    o->ring_total = o->ring_lines = 0;
    pw_closep(&o->ring_fd);
    return 0;
}
