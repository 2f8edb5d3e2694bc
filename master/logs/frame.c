#include "master/logs/frame.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "shared/base/num.h"

bool frame_sane(const frame_at *f)
{
    return f->raw_len >= 1 && f->raw_len <= PW_FRAME_RAW_MAX && f->lines <= f->raw_len &&
           f->len >= 1 && f->len <= FRAME_LEN_MAX && f->raw_pos <= INT64_MAX - PW_FRAME_RAW_MAX &&
           f->first_line <= f->raw_pos && f->at <= INT64_MAX - FRAME_LEN_MAX &&
           (f->codec == PW_CODEC_RAW ? f->len == f->raw_len : f->codec == PW_CODEC_ZSTD);
}

size_t frame_bisect(const void *src, size_t n, frame_get *get, frame_by by, uint64_t v)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        frame_at f;
        get(src, mid, &f);
        bool far = by == FRAME_BY_POS    ? f.raw_pos + f.raw_len > v
                   : by == FRAME_BY_LINE ? f.first_line + f.lines >= v
                                         : f.raw_pos > v;
        if (far)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

int frame_fetch(int fd, const frame_at *f, uint8_t *out, pw_err *err)
{
    if (fd < 0)
        return pw_fail(err, PW_ECORRUPT, "the file that holds the frame is missing");
    int r = pw_fs_pread_all(fd, out, f->len, (off_t)f->at, err);
    if (r == 0 && f->has_crc && pw_crc32c(0, out, f->len) != f->crc)
        r = pw_fail(err, PW_ECORRUPT, "frame at %" PRIu64 " has a wrong checksum", f->at);
    return r;
}

int frame_load(int fd, const frame_at *f, zip_ctx *zip, uint8_t *out, pw_err *err)
{
    if (f->codec == PW_CODEC_RAW)
        return frame_fetch(fd, f, out, err);
    PW_AUTO(pw_freep) uint8_t *packed = malloc(f->len);
    if (!packed)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int r = frame_fetch(fd, f, packed, err);
    return r < 0 ? r : zip_unpack(zip, packed, f->len, out, f->raw_len, err);
}

pw_code frame_code_of(int sys)
{
    return sys == ENOSPC || sys == EDQUOT || sys == EFBIG ? PW_EFULL : PW_ESYS;
}

int frame_pwrite(int fd, const void *p, size_t n, uint64_t at, pw_err *err)
{
    const char *from = p;
    while (n > 0) {
        ssize_t put = pwrite(fd, from, n, (off_t)at);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return pw_fail_at(err, __FILE__, __LINE__, frame_code_of(errno), errno,
                              "writing %zu bytes", n);
        from += put;
        at += (uint64_t)put;
        n -= (size_t)put;
    }
    return 0;
}
