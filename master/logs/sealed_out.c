/* The writer of sealed files; the format is in sealed.h. */
#include "master/logs/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/fault.h"
#include "shared/base/fs.h"
#include "shared/base/num.h"

enum {
    WRITE_BYTES = 256 * 1024,      /* collected before a write: a small log is one write */
    SYNC_BYTES = 8 * 1024 * 1024,  /* a large file is synced in parts, so that none takes long */
    MARKS_MAX = 64 * 1024 * 1024,  /* later marks are left out: times get coarser, nothing else */
    INDEX_MAX = 1024 * 1024 * 1024 /* 20 million frames */
};

static int out_fail(const sealed_out *self, const char *what, pw_err *err)
{
    return pw_fail_at(err, __FILE__, __LINE__, frame_code_of(errno), errno, "%s \"%s\"", what,
                      self->beside);
}

int sealed_out_begin(sealed_out *self, const char *logs_dir, log_key key, pw_err *err)
{
    PW_AUTO(pw_freep) char *dir = sealed_dir(logs_dir, key.attempt);
    *self = (sealed_out){
        .fd = -1,
        .key = key,
        .data = PW_BUF(WRITE_BYTES + FRAME_LEN_MAX),
        .index = PW_BUF(INDEX_MAX),
        .marks = PW_BUF(MARKS_MAX),
        .path = sealed_path(logs_dir, key),
    };
    self->beside = self->path ? pw_strf("%s.new", self->path) : NULL;
    if (!dir || !self->beside)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    const int how = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
    self->fd = open(self->beside, how, 0600);
    if (self->fd < 0 && errno == ENOENT && mkdir(dir, 0700) == 0) {
        self->made_dir = true;
        self->fd = open(self->beside, how, 0600);
    }
    return self->fd < 0 ? out_fail(self, "making", err) : 0;
}

void sealed_out_clear(sealed_out *self)
{
    if (self->fd >= 0)
        (void)unlink(self->beside);
    pw_closep(&self->fd);
    pw_buf_clear(&self->data);
    pw_buf_clear(&self->index);
    pw_buf_clear(&self->marks);
    free(self->path);
    free(self->beside);
    self->path = self->beside = NULL;
}

static int out_flush(sealed_out *self, pw_err *err)
{
    int r = frame_pwrite(self->fd, self->data.p, self->data.len, self->size, err);
    if (r < 0)
        return pw_err_context(err, "\"%s\"", self->beside), r;
    self->size += self->data.len;
    pw_buf_reset(&self->data);
    return 0;
}

static void varint_put(pw_buf *b, uint64_t v)
{
    uint8_t p[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        p[n++] = (uint8_t)(v | 0x80);
    p[n++] = (uint8_t)v;
    (void)pw_buf_add(b, p, n);
}

int sealed_out_mark(sealed_out *self, uint64_t bytes, int64_t ms, pw_err *err)
{
    uint64_t u = (uint64_t)ms;
    if (self->marks.len + 20 > MARKS_MAX)
        return 0;
    varint_put(&self->marks, bytes);
    varint_put(&self->marks, (u << 1) ^ (0 - (u >> 63)));
    return self->marks.failed ? pw_fail(err, PW_ENOMEM, "out of memory") : 0;
}

int sealed_out_frame(sealed_out *self, const frame_at *f, const void *p, pw_err *err)
{
    uint8_t e[SEALED_ENTRY];
    int r;
    if (self->data.len >= WRITE_BYTES && (r = out_flush(self, err)) < 0)
        return r;
    if (self->size - self->synced >= SYNC_BYTES) {
        if (fdatasync(self->fd) < 0)
            return out_fail(self, "syncing", err);
        self->synced = self->size;
    }
    pw_put_le64(e, f->raw_pos);
    pw_put_le64(e + 8, f->first_line);
    pw_put_le64(e + 16, self->size + self->data.len);
    pw_put_le64(e + 24, (uint64_t)f->t_first);
    pw_put_le32(e + 32, f->raw_len | (f->codec == PW_CODEC_ZSTD ? SEALED_ZSTD : 0));
    pw_put_le32(e + 36, f->lines);
    pw_put_le32(e + 40, f->len);
    pw_put_le32(e + 44, pw_crc32c(0, p, f->len));
    pw_put_le32(e + 48, self->marks_from);
    if (pw_buf_add(&self->data, p, f->len) < 0 || pw_buf_add(&self->index, e, sizeof(e)) < 0)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    self->marks_from = (uint32_t)self->marks.len;
    self->count++;
    return 0;
}

/* Index, marks and foot behind the frames. */
static int out_tail(sealed_out *self, uint64_t bytes, uint64_t lines, pw_msec t_last, pw_err *err)
{
    uint8_t foot[SEALED_FOOT];
    int r;
    uint32_t crc = pw_crc32c(0, self->index.p, self->index.len);
    memcpy(foot, SEALED_MAGIC, 8);
    pw_put_le64(foot + SEALED_ATTEMPT, self->key.attempt);
    pw_put_le32(foot + SEALED_STEP, self->key.idx);
    pw_put_le32(foot + SEALED_STREAM, self->key.stream);
    pw_put_le32(foot + SEALED_FRAMES, self->count);
    pw_put_le32(foot + SEALED_MARKS, (uint32_t)self->marks.len);
    pw_put_le64(foot + SEALED_BYTES, bytes);
    pw_put_le64(foot + SEALED_LINES, lines);
    pw_put_le64(foot + SEALED_T_LAST, (uint64_t)t_last);
    pw_put_le32(foot + SEALED_INDEX_CRC, pw_crc32c(crc, self->marks.p, self->marks.len));
    pw_put_le32(foot + SEALED_FOOT_CRC, pw_crc32c(0, foot, SEALED_FOOT_CRC));
    const struct {
        const void *p;
        size_t n;
    } part[] = {
        {self->index.p, self->index.len}, {self->marks.p, self->marks.len}, {foot, sizeof(foot)}};
    for (size_t i = 0; i < 3; i++) {
        if (self->data.len + part[i].n >
            self->data.max) { /* as it is: it may be larger than a buffer */
            if ((r = out_flush(self, err)) < 0 ||
                (r = frame_pwrite(self->fd, part[i].p, part[i].n, self->size, err)) < 0)
                return r;
            self->size += part[i].n;
        } else if (part[i].n && pw_buf_add(&self->data, part[i].p, part[i].n) < 0) {
            return pw_fail(err, PW_ENOMEM, "out of memory");
        }
    }
    return out_flush(self, err);
}

int sealed_out_end(sealed_out *self, uint64_t bytes, uint64_t lines, pw_msec t_last,
                   uint64_t *ret_packed, pw_err *err)
{
    int r = out_tail(self, bytes, lines, t_last, err);
    if (r < 0)
        return r;
    /* the writing begins now: the first of several files that are synced together pays for all */
    (void)sync_file_range(self->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    pw_buf_clear(&self->data);
    pw_buf_clear(&self->index);
    pw_buf_clear(&self->marks);
    *ret_packed = self->size;
    return 0;
}

int sealed_out_sync(sealed_out *self, pw_err *err)
{
    if (pw_fault("logs.seal"))
        return pw_fail(err, PW_ESYS, "sealing \"%s\": fault asked for", self->path);
    if (fdatasync(self->fd) < 0)
        return out_fail(self, "syncing", err);
    return 0;
}

int sealed_out_publish(sealed_out *self, pw_err *err)
{
    if (rename(self->beside, self->path) < 0)
        return out_fail(self, "renaming", err);
    pw_closep(&self->fd); /* nothing is left to remove */
    return 0;
}
