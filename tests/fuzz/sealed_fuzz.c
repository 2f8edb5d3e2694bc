/* Any bytes as the file of a sealed log: opened, and all that a view can ask for is asked. A fuzzer
 * cannot guess checksums, so the input is also given a foot that is right around the numbers that
 * it chose, and right sums over its frames. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "master/logs/impl.h"
#include "shared/base/fs.h"
#include "shared/base/num.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { READS_MAX = 64 }; /* a few bytes can claim gigabytes of decoded frames */

static void use(log_view *v)
{
    static uint8_t buf[PW_FRAME_RAW_MAX];
    uint64_t bytes = 0, lines = 0, pos = 0, next = 0, at;
    bool done = false;
    pw_msec t;
    if (log_view_size(v, &bytes, &lines, &done, NULL) < 0 || !done || lines > bytes)
        abort();
    for (int i = 0; i < READS_MAX; i++) {
        int64_t n = log_view_read(v, pos, buf, sizeof(buf), &next, NULL);
        if (n > (int64_t)sizeof(buf) ||
            (n >= 0 && (next < pos + (uint64_t)n || (pos <= bytes && next > bytes))))
            abort();
        if (n == 0)
            break;
        pos = n < 0 ? pos + 100000 : next;
        (void)log_view_time(v, pos, &t, NULL);
    }
    for (uint64_t line = 0; line < READS_MAX; line++)
        if (log_view_line(v, line * line, &at, NULL) == 0 && at > bytes)
            abort();
    (void)log_view_time(v, 0, &t, NULL);
    (void)log_view_time(v, bytes / 2, &t, NULL);
    (void)log_view_time(v, UINT64_MAX, &t, NULL);
    (void)log_view_line(v, UINT64_MAX, &at, NULL);
    (void)log_view_read(v, UINT64_MAX, buf, sizeof(buf), &next, NULL);
}

static void attempt(const uint8_t *p, size_t n)
{
    int fd = memfd_create("sealed", MFD_CLOEXEC);
    if (fd < 0)
        return;
    if (pw_fs_write_all(fd, p, n, NULL) < 0) {
        (void)close(fd);
        return;
    }
    PW_AUTO(log_view_closep) log_view *v = log_view_of_file(fd, NULL);
    if (v)
        use(v);
}

/* Makes every sum in it right; the numbers stay the fuzzer's. */
static void mend(uint8_t *p, size_t n)
{
    uint8_t *foot = p + n - SEALED_FOOT;
    memcpy(foot, SEALED_MAGIC, 8);
    size_t frames = pw_le32(foot + SEALED_FRAMES), marks = pw_le32(foot + SEALED_MARKS);
    size_t index = frames * SEALED_ENTRY + marks;
    if (index <= n - SEALED_FOOT) {
        uint8_t *e = foot - index;
        for (size_t i = 0; i < frames; i++, e += SEALED_ENTRY) {
            uint64_t at = pw_le64(e + 16), size = pw_le32(e + 40);
            if (at < n && size <= n - at)
                pw_put_le32(e + 44, pw_crc32c(0, p + at, (size_t)size));
        }
        pw_put_le32(foot + SEALED_INDEX_CRC, pw_crc32c(0, foot - index, index));
    }
    pw_put_le32(foot + SEALED_FOOT_CRC, pw_crc32c(0, foot, SEALED_FOOT_CRC));
}

/* A plausible file out of the input: sizes, gaps, kinds and bytes of frames, and all of it again as
 * marks. */
static void build(const uint8_t *data, size_t len)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(4 << 20);
    PW_AUTO(pw_buf_clearp) pw_buf index = PW_BUF(4 << 20);
    uint8_t foot[SEALED_FOOT] = {0}, e[SEALED_ENTRY];
    uint64_t pos = 0, lines = 0;
    uint32_t frames = 0;
    size_t at = 0;
    while (len - at > 3) {
        uint8_t kind = data[at], gap = data[at + 1];
        size_t size = data[at + 2] % 64 + 1u;
        at += 3;
        size = size > len - at ? len - at : size;
        if (size == 0)
            break;
        pos += gap % 4 ? 0 : gap;
        memset(e, kind, sizeof(e)); /* times and marks out of the blue */
        pw_put_le64(e, pos);
        pw_put_le64(e + 8, lines);
        pw_put_le64(e + 16, b.len);
        uint32_t raw = kind & 1 ? (uint32_t)gap * 64 + 1 : (uint32_t)size;
        pw_put_le32(e + 32, raw | (kind & 1 ? SEALED_ZSTD : 0));
        pw_put_le32(e + 36, kind & 2 ? raw : 0);
        pw_put_le32(e + 40, (uint32_t)size);
        pw_put_le32(e + 48, 0);
        pos += raw;
        lines += kind & 2 ? raw : 0;
        frames++;
        (void)pw_buf_add(&b, data + at, size);
        (void)pw_buf_add(&index, e, sizeof(e));
        at += size;
    }
    if (frames > 0)
        (void)pw_buf_add(&b, index.p, index.len);
    (void)pw_buf_add(&b, data, len); /* marks */
    pw_put_le32(foot + SEALED_FRAMES, frames);
    pw_put_le32(foot + SEALED_MARKS, (uint32_t)len);
    pw_put_le64(foot + SEALED_BYTES, pos);
    pw_put_le64(foot + SEALED_LINES, lines);
    (void)pw_buf_add(&b, foot, sizeof(foot));
    if (b.failed || index.failed)
        return;
    mend((uint8_t *)b.p, b.len);
    attempt((const uint8_t *)b.p, b.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    attempt(data, len);
    if (len >= SEALED_FOOT) {
        uint8_t *p = malloc(len);
        if (!p)
            return 0;
        memcpy(p, data, len);
        mend(p, len);
        attempt(p, len);
        free(p);
    }
    if (len > 0)
        build(data, len);
    return 0;
}
