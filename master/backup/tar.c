#include "master/backup/tar.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/buf.h"
#include "shared/base/fault.h"
#include "shared/base/fs.h"
#include "shared/base/num.h"
#include "shared/zip/zip.h"

enum {
    BLOCK = 512,
    CHUNK = 1024 * 1024, /* one zstd frame */
    LEVEL = 3,
    SHORT_NAME = 100,
    PAX_MAX = 8192,
};
#define OCTAL_MAX UINT64_C(077777777777) /* 11 digits: 8 GiB - 1 */

/* The header as POSIX has it. */
typedef struct header {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100], magic[6],
        version[2], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
} header;
_Static_assert(sizeof(header) == BLOCK, "a block");

static unsigned sum_of(const header *h)
{
    header copy = *h;
    const uint8_t *p = (const uint8_t *)&copy;
    unsigned sum = 0;
    memset(copy.sum, ' ', sizeof(copy.sum));
    for (size_t i = 0; i < sizeof(copy); i++)
        sum += p[i];
    return sum;
}

/* ---- writing */
struct tar_out {
    int fd;
    zip_ctx *zip;
    uint8_t *raw, *packed;
    size_t n; /* bytes in raw */
    uint64_t left, pad, written;
};

tar_out *tar_out_new(int fd, pw_err *err)
{
    PW_AUTO(tar_out_freep) tar_out *self = calloc(1, sizeof(*self));
    if (!self || !(self->raw = malloc(CHUNK)) || !(self->packed = malloc(zip_bound(CHUNK)))) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->fd = fd;
    if (!(self->zip = zip_new(LEVEL, err)))
        return NULL;
    return pw_take(self);
}

tar_out *tar_out_free(tar_out *self)
{
    if (!self)
        return NULL;
    (void)zip_free(self->zip);
    free(self->raw);
    free(self->packed);
    free(self);
    return NULL;
}

static int flush(tar_out *self, pw_err *err)
{
    if (self->n == 0)
        return 0;
    int64_t k = zip_pack(self->zip, self->raw, self->n, self->packed, zip_bound(CHUNK), err);
    if (k < 0)
        return (int)k;
    if (pw_fault("backup.write"))
        return pw_fail_at(err, __FILE__, __LINE__, PW_EFULL, ENOSPC, "writing %zu bytes",
                          (size_t)k);
    int r = pw_fs_write_all(self->fd, self->packed, (size_t)k, err);
    if (r < 0)
        return r;
    self->written += (uint64_t)k;
    self->n = 0;
    return 0;
}

static int put(tar_out *self, const void *p, size_t n, pw_err *err)
{
    const uint8_t *at = p;
    while (n > 0) {
        size_t k = CHUNK - self->n < n ? CHUNK - self->n : n;
        memcpy(self->raw + self->n, at, k);
        self->n += k;
        at += k;
        n -= k;
        int r = self->n == CHUNK ? flush(self, err) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static int zeros(tar_out *self, size_t n, pw_err *err)
{
    static const uint8_t none[2 * BLOCK];
    return put(self, none, n, err);
}

static int put_header(tar_out *self, const char *name, char type, uint64_t size, int64_t mtime,
                      pw_err *err)
{
    header h = {.type = type, .magic = "ustar", .version = {'0', '0'}};
    size_t n = strlen(name);
    memcpy(h.name, name, n < sizeof(h.name) ? n : sizeof(h.name));
    (void)snprintf(h.mode, sizeof(h.mode), "0000600");
    (void)snprintf(h.uid, sizeof(h.uid), "0000000");
    (void)snprintf(h.gid, sizeof(h.gid), "0000000");
    (void)snprintf(h.size, sizeof(h.size), "%011" PRIo64, size > OCTAL_MAX ? 0 : size);
    (void)snprintf(h.mtime, sizeof(h.mtime), "%011" PRIo64,
                   mtime < 0 || (uint64_t)mtime > OCTAL_MAX ? 0 : (uint64_t)mtime);
    (void)snprintf(h.sum, sizeof(h.sum), "%06o", sum_of(&h));
    h.sum[7] = ' ';
    return put(self, &h, sizeof(h), err);
}

/* "LENGTH key=value\n", where LENGTH counts itself. */
static int pax_add(pw_buf *b, const char *key, const char *value)
{
    size_t n = strlen(key) + strlen(value) + 3, len = n + 1;
    char digits[24];
    while (n + (size_t)snprintf(digits, sizeof(digits), "%zu", len) != len)
        len++;
    return pw_buf_addf(b, "%zu %s=%s\n", len, key, value);
}

int tar_out_member(tar_out *self, const char *name, uint64_t size, int64_t mtime, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf pax = PW_BUF(PAX_MAX);
    char text[24];
    int r = 0;
    if (self->left || strlen(name) > TAR_NAME_MAX)
        return pw_fail(err, PW_EINVAL, "\"%.100s\": not a member now, or a name too long", name);
    (void)snprintf(text, sizeof(text), "%" PRIu64, size);
    if (strlen(name) > SHORT_NAME)
        (void)pax_add(&pax, "path", name);
    if (size > OCTAL_MAX)
        (void)pax_add(&pax, "size", text);
    if (pax.failed)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (pax.len) {
        r = put_header(self, "pax", 'x', pax.len, mtime, err);
        if (r == 0)
            r = put(self, pax.p, pax.len, err);
        if (r == 0)
            r = zeros(self, (BLOCK - pax.len % BLOCK) % BLOCK, err);
    }
    if (r == 0)
        r = put_header(self, name, '0', size, mtime, err);
    if (r < 0)
        return r;
    self->left = size;
    self->pad = (BLOCK - size % BLOCK) % BLOCK;
    return 0;
}

int tar_out_add(tar_out *self, const void *p, size_t n, pw_err *err)
{
    if (n > self->left)
        return pw_fail(err, PW_EINVAL, "%zu bytes are more than the member has", n);
    int r = put(self, p, n, err);
    if (r < 0)
        return r;
    self->left -= n;
    if (self->left == 0 && n > 0) {
        r = zeros(self, (size_t)self->pad, err);
        self->pad = 0;
    }
    return r;
}

int tar_out_end(tar_out *self, uint64_t *ret_bytes, pw_err *err)
{
    int r = self->left ? pw_fail(err, PW_EINVAL, "the last member is not whole")
                       : zeros(self, (size_t)2 * BLOCK, err);
    if (r == 0)
        r = flush(self, err);
    if (r == 0)
        *ret_bytes = self->written;
    return r;
}

/* ---- reading */
struct tar_in {
    int fd;
    zip_ctx *zip;
    uint8_t *packed;
    const void *at;
    size_t n;                 /* bytes at `at` */
    uint64_t left, pad, read; /* of the member, behind it, of the file */
    bool eof;
};

tar_in *tar_in_new(int fd, pw_err *err)
{
    PW_AUTO(tar_in_freep) tar_in *self = calloc(1, sizeof(*self));
    if (!self || !(self->packed = malloc(CHUNK))) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->fd = fd;
    if (!(self->zip = zip_new(LEVEL, err)))
        return NULL;
    return pw_take(self);
}

tar_in *tar_in_free(tar_in *self)
{
    if (!self)
        return NULL;
    (void)zip_free(self->zip);
    free(self->packed);
    free(self);
    return NULL;
}

uint64_t tar_in_position(const tar_in *self)
{
    return self->read - self->n;
}

static int more(tar_in *self, pw_err *err)
{
    ssize_t k;
    do
        k = read(self->fd, self->packed, CHUNK);
    while (k < 0 && errno == EINTR);
    if (k < 0)
        return pw_fail_sys(err, "reading");
    self->eof = k == 0;
    self->at = self->packed;
    self->n = (size_t)k;
    self->read += (uint64_t)k;
    return 0;
}

/* Up to cap bytes of the archive; 0 where the file ends (in a frame: PW_ECORRUPT). */
static int64_t some(tar_in *self, void *p, size_t cap, pw_err *err)
{
    for (;;) {
        int64_t k = zip_stream(self->zip, &self->at, &self->n, p, cap, err);
        if (k != 0 || cap == 0)
            return k;
        if (self->n > 0)
            continue;
        if (self->eof)
            return zip_stream_whole(self->zip) ? 0
                                               : pw_fail(err, PW_ECORRUPT, "the file is cut off");
        int r = more(self, err);
        if (r < 0)
            return r;
    }
}

static int whole(tar_in *self, void *p, size_t n, pw_err *err)
{
    uint8_t *at = p;
    while (n > 0) {
        int64_t k = some(self, at, n, err);
        if (k <= 0)
            return k < 0 ? (int)k : pw_fail(err, PW_ECORRUPT, "the file is cut off");
        at += k;
        n -= (size_t)k;
    }
    return 0;
}

static bool octal(const char *p, size_t n, uint64_t *ret)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n && p[i] && p[i] != ' '; i++) {
        if (p[i] < '0' || p[i] > '7')
            return false;
        v = v * 8 + (uint64_t)(p[i] - '0');
    }
    *ret = v;
    return true;
}

/* 1: a header, 0: the zeros of the end. */
static int read_header(tar_in *self, header *h, uint64_t *ret_size, pw_err *err)
{
    static const header none;
    uint64_t sum;
    int r = whole(self, h, sizeof(*h), err);
    if (r < 0)
        return r;
    if (memcmp(h, &none, sizeof(none)) == 0) {
        if ((r = whole(self, h, sizeof(*h), err)) < 0)
            return r;
        return memcmp(h, &none, sizeof(none)) == 0
                   ? 0
                   : pw_fail(err, PW_ECORRUPT, "something stands behind the archive's end");
    }
    if (memcmp(h->magic, "ustar", 6) != 0 || !octal(h->sum, sizeof(h->sum), &sum) ||
        sum != sum_of(h) || !octal(h->size, sizeof(h->size), ret_size))
        return pw_fail(err, PW_ECORRUPT, "the header of a member is damaged");
    return 1;
}

static int pax_one(const char *key, const char *value, tar_member *m, bool *sized, pw_err *err)
{
    if (strcmp(key, "path") == 0 && strlen(value) <= TAR_NAME_MAX)
        memcpy(m->name, value, strlen(value) + 1);
    else if (strcmp(key, "size") == 0 && pw_parse_u64(value, &m->size, NULL) == 0)
        *sized = true;
    else
        return pw_fail(err, PW_ECORRUPT, "a pax record is not understood");
    return 0;
}

static int pax_read(tar_in *self, uint64_t size, tar_member *m, bool *sized, pw_err *err)
{
    char text[PAX_MAX + BLOCK + 1];
    if (size > PAX_MAX)
        return pw_fail(err, PW_ECORRUPT, "pax records of %" PRIu64 " bytes", size);
    size_t room = ((size_t)size + BLOCK - 1) / BLOCK * BLOCK;
    int r = whole(self, text, room, err);
    text[size] = '\0';
    for (char *p = text; r == 0 && *p;) {
        char *blank = strchr(p, ' '), *eq = blank ? strchr(blank, '=') : NULL;
        uint64_t len = 0;
        if (!eq)
            return pw_fail(err, PW_ECORRUPT, "a pax record is not understood");
        *blank = *eq = '\0';
        if (pw_parse_u64(p, &len, NULL) < 0 || len > (uint64_t)(text + size - p) || p + len <= eq ||
            p[len - 1] != '\n')
            return pw_fail(err, PW_ECORRUPT, "a pax record is not understood");
        p[len - 1] = '\0';
        r = pax_one(blank + 1, eq + 1, m, sized, err);
        p += len;
    }
    return r;
}

int tar_in_next(tar_in *self, tar_member *ret, pw_err *err)
{
    header h;
    tar_member m = {.name = ""};
    uint64_t size;
    bool sized = false;
    uint8_t skip[4096];
    int r;
    while (self->left + self->pad > 0) {
        uint64_t rest = self->left + self->pad;
        size_t k = rest < sizeof(skip) ? (size_t)rest : sizeof(skip);
        if ((r = whole(self, skip, k, err)) < 0)
            return r;
        if (k <= self->left) {
            self->left -= k;
        } else {
            self->pad -= k - self->left;
            self->left = 0;
        }
    }
    if ((r = read_header(self, &h, &size, err)) <= 0)
        return r;
    if (h.type == 'x') {
        if ((r = pax_read(self, size, &m, &sized, err)) < 0 ||
            (r = read_header(self, &h, &size, err)) < 0)
            return r;
        if (r == 0)
            return pw_fail(err, PW_ECORRUPT, "pax records without a member");
    }
    if (!m.name[0])
        memcpy(m.name, h.name, sizeof(h.name)); /* the rest of m.name is zero */
    if (!sized)
        m.size = size;
    if (h.type != '0' || h.prefix[0] || h.link[0] || m.size > INT64_MAX)
        return pw_fail(err, PW_ECORRUPT, "member \"%.200s\" is not a plain file", m.name);
    self->left = m.size;
    self->pad = (BLOCK - m.size % BLOCK) % BLOCK;
    *ret = m;
    return 1;
}

int64_t tar_in_read(tar_in *self, void *p, size_t cap, pw_err *err)
{
    if (cap > self->left)
        cap = (size_t)self->left;
    if (cap == 0)
        return 0;
    int64_t k = some(self, p, cap, err);
    if (k == 0)
        return pw_fail(err, PW_ECORRUPT, "the file is cut off");
    if (k > 0)
        self->left -= (uint64_t)k;
    return k;
}
