#include "master/logs/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "shared/base/num.h"

struct sealed {
    int fd;
    log_key key;
    uint32_t count, marks_len;
    uint64_t bytes, lines, data_len;
    pw_msec t_last;
    uint8_t *index; /* entries, then marks; as in the file */
};

char *sealed_dir(const char *logs_dir, uint64_t attempt)
{
    return pw_strf("%s/%02x", logs_dir, (unsigned)(attempt % 256));
}

char *sealed_path(const char *logs_dir, log_key key)
{
    return pw_strf("%s/%02x/%" PRIu64 "-%" PRIu32 "-%" PRIu32 ".log", logs_dir,
                   (unsigned)(key.attempt % 256), key.attempt, key.idx, key.stream);
}

sealed *sealed_free(sealed *self)
{
    if (!self)
        return NULL;
    pw_closep(&self->fd);
    free(self->index);
    free(self);
    return NULL;
}

int sealed_fd(const sealed *self)
{
    return self->fd;
}

size_t sealed_count(const sealed *self)
{
    return self->count;
}

log_key sealed_key(const sealed *self)
{
    return self->key;
}

void sealed_totals(const sealed *self, uint64_t *ret_bytes, uint64_t *ret_lines)
{
    *ret_bytes = self->bytes;
    *ret_lines = self->lines;
}

void sealed_frame(const void *src, size_t i, frame_at *ret)
{
    const sealed *self = src;
    const uint8_t *p = self->index + i * SEALED_ENTRY;
    uint32_t raw = pw_le32(p + 32);
    *ret = (frame_at){
        .raw_pos = pw_le64(p),
        .first_line = pw_le64(p + 8),
        .at = pw_le64(p + 16),
        .t_first = (pw_msec)pw_le64(p + 24),
        .raw_len = raw & ~SEALED_ZSTD,
        .lines = pw_le32(p + 36),
        .len = pw_le32(p + 40),
        .crc = pw_le32(p + 44),
        .has_crc = true,
        .codec = (uint8_t)(raw & SEALED_ZSTD ? PW_CODEC_ZSTD : PW_CODEC_RAW),
    };
}

static uint32_t marks_at(const sealed *self, size_t i)
{
    return i < self->count ? pw_le32(self->index + i * SEALED_ENTRY + 48) : self->marks_len;
}

/* LEB128; false at the end or when it is longer than a number can be. */
static bool varint_get(const uint8_t **p, const uint8_t *end, uint64_t *ret)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && *p < end; shift += 7) {
        uint8_t b = *(*p)++;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            *ret = v;
            return true;
        }
    }
    return false;
}

pw_msec sealed_time(const sealed *self, uint64_t position, sealed_clock *clock)
{
    frame_at f;
    if (position >= self->bytes || self->count == 0)
        return self->t_last;
    size_t i = frame_bisect(self, self->count, sealed_frame, FRAME_BY_START, position);
    i -= i > 0;
    sealed_frame(self, i, &f);
    if (!clock->known || clock->frame != i || clock->pos > position)
        *clock =
            (sealed_clock){.known = true, .frame = i, .pos = f.raw_pos, .t = (uint64_t)f.t_first};
    const uint8_t *marks = self->index + (size_t)self->count * SEALED_ENTRY;
    const uint8_t *from = marks + marks_at(self, i), *end = marks + marks_at(self, i + 1);
    const uint8_t *p = from + clock->mark;
    uint64_t bytes, ms;
    while (varint_get(&p, end, &bytes) && varint_get(&p, end, &ms)) {
        if (clock->pos > position || bytes > position - clock->pos)
            break;
        clock->pos += bytes;
        clock->t += (ms >> 1) ^ (0 - (ms & 1)); /* unsigned: a lying file must not run over */
        clock->mark = (size_t)(p - from);
    }
    return (pw_msec)clock->t;
}

/* The entries among themselves: in order, without holes in the file, within the totals. */
static bool index_sane(const sealed *self)
{
    uint64_t at = 0, pos = 0, lines = 0;
    uint32_t marks = 0;
    for (size_t i = 0; i < self->count; i++) {
        frame_at f;
        sealed_frame(self, i, &f);
        if (!frame_sane(&f) || f.at != at || f.raw_pos < pos || f.first_line < lines ||
            f.first_line - lines > f.raw_pos - pos || marks_at(self, i) < marks)
            return false;
        at += f.len;
        pos = f.raw_pos + f.raw_len;
        lines = f.first_line + f.lines;
        marks = marks_at(self, i);
    }
    return at == self->data_len && pos <= self->bytes && lines <= self->lines &&
           self->lines - lines <= self->bytes - pos && marks <= self->marks_len;
}

static int foot_read(sealed *self, const log_key *key, uint32_t *ret_crc, pw_err *err)
{
    uint8_t foot[SEALED_FOOT];
    struct stat st;
    if (fstat(self->fd, &st) < 0)
        return pw_fail_sys(err, "looking at a sealed log");
    if (st.st_size < SEALED_FOOT)
        return pw_fail(err, PW_ECORRUPT, "sealed log of %lld bytes has no foot",
                       (long long)st.st_size);
    uint64_t size = (uint64_t)st.st_size - SEALED_FOOT;
    int r = pw_fs_pread_all(self->fd, foot, sizeof(foot), (off_t)size, err);
    if (r < 0)
        return r;
    if (memcmp(foot, SEALED_MAGIC, 8) != 0 ||
        pw_crc32c(0, foot, SEALED_FOOT_CRC) != pw_le32(foot + SEALED_FOOT_CRC))
        return pw_fail(err, PW_ECORRUPT, "the foot of a sealed log is damaged");
    self->key = (log_key){pw_le64(foot + SEALED_ATTEMPT), pw_le32(foot + SEALED_STEP),
                          pw_le32(foot + SEALED_STREAM)};
    self->count = pw_le32(foot + SEALED_FRAMES);
    self->marks_len = pw_le32(foot + SEALED_MARKS);
    self->bytes = pw_le64(foot + SEALED_BYTES);
    self->lines = pw_le64(foot + SEALED_LINES);
    self->t_last = (pw_msec)pw_le64(foot + SEALED_T_LAST);
    *ret_crc = pw_le32(foot + SEALED_INDEX_CRC);
    if (key && (key->attempt != self->key.attempt || key->idx != self->key.idx ||
                key->stream != self->key.stream))
        return pw_fail(err, PW_ECORRUPT, "sealed log is that of attempt %" PRIu64 " step %" PRIu32,
                       self->key.attempt, self->key.idx);
    uint64_t index = (uint64_t)self->count * SEALED_ENTRY + self->marks_len;
    if (index > size || self->bytes > INT64_MAX || self->lines > self->bytes)
        return pw_fail(err, PW_ECORRUPT, "sealed log claims more than it holds");
    self->data_len = size - index;
    return 0;
}

sealed *sealed_open(int fd, const log_key *key, pw_err *err)
{
    PW_AUTO(pw_closep) int taken = fd;
    PW_AUTO(sealed_freep) sealed *self = calloc(1, sizeof(*self));
    uint32_t crc = 0;
    if (!self) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->fd = taken;
    taken = -1;
    if (foot_read(self, key, &crc, err) < 0)
        return NULL;
    size_t n = (size_t)self->count * SEALED_ENTRY + self->marks_len; /* <= size of the file */
    self->index = malloc(n + 1);
    if (!self->index) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory for an index of %zu bytes", n);
        return NULL;
    }
    if (pw_fs_pread_all(self->fd, self->index, n, (off_t)self->data_len, err) < 0)
        return NULL;
    if (pw_crc32c(0, self->index, n) != crc || !index_sane(self)) {
        (void)pw_fail(err, PW_ECORRUPT, "the index of a sealed log is damaged");
        return NULL;
    }
    return pw_take(self);
}
