#include "master/http/tarball.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/blobs/blobs.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"

enum { BLOCK = 512, NAME = 100, HEAD_MAX = 8 * BLOCK };
#define OCTAL_MAX UINT64_C(077777777777) /* bytes that 11 octal digits name */

typedef struct member {
    char *path; /* owned */
    uint64_t attempt, file, size, mode;
    uint8_t sum[BLOBS_SUM];
    pw_msec at;
} member;

struct tarball {
    web_server *web;
    member *v;
    size_t n, cap, next;
    pw_buf head; /* what is sent before bytes: a head, or padding */
    size_t head_at;
    int fd; /* of the present one */
    uint64_t at, left;
    bool ended;
};

tarball *tarball_new(web_server *web)
{
    tarball *self = calloc(1, sizeof(*self));
    if (self) {
        self->web = web;
        self->fd = -1;
        pw_buf_init(&self->head, HEAD_MAX);
    }
    return self;
}

void tarball_free(void *arg)
{
    tarball *self = arg;
    web_stream_end(self->web, false);
    for (size_t i = 0; i < self->n; i++)
        free(self->v[i].path);
    free(self->v);
    pw_buf_clear(&self->head);
    pw_closep(&self->fd);
    free(self);
}

int tarball_add(tarball *self, const store_artifact *a)
{
    bool failed = false;
    if (a->state == FILE_DAMAGED)
        return 0;
    if (self->n == self->cap) {
        size_t cap = self->cap ? 2 * self->cap : 32;
        member *v = realloc(self->v, cap * sizeof(*v));
        if (!v)
            return PW_ENOMEM;
        self->v = v;
        self->cap = cap;
    }
    member *m = &self->v[self->n];
    *m = (member){.path = pw_strdup(a->path, &failed),
                  .attempt = a->attempt,
                  .file = a->file,
                  .size = a->size,
                  .mode = a->mode,
                  .at = a->at};
    memcpy(m->sum, a->sha256, sizeof(m->sum));
    if (failed)
        return PW_ENOMEM;
    self->n++;
    return 0;
}

static int put_block(pw_buf *b, const char *name, char type, uint64_t size, uint64_t mode,
                     pw_msec at)
{
    char h[BLOCK] = "";
    unsigned sum = 0;
    (void)snprintf(h, NAME, "%.99s", name);
    (void)snprintf(h + 100, 8, "%07o", (unsigned)(mode & 0777));
    (void)snprintf(h + 108, 8, "%07o", 0U);
    (void)snprintf(h + 116, 8, "%07o", 0U);
    (void)snprintf(h + 124, 12, "%011" PRIo64, size <= OCTAL_MAX ? size : 0);
    (void)snprintf(h + 136, 12, "%011" PRIo64, (uint64_t)(at / 1000) & OCTAL_MAX);
    memset(h + 148, ' ', 8);
    h[156] = type;
    memcpy(h + 257,
           "ustar\0"
           "00",
           8);
    for (size_t i = 0; i < BLOCK; i++)
        sum += (unsigned char)h[i];
    (void)snprintf(h + 148, 8, "%06o", sum);
    return pw_buf_add(b, h, BLOCK);
}

static int pad(pw_buf *b, uint64_t size)
{
    static const char zeros[BLOCK];
    size_t n = (size_t)(-size % BLOCK);
    return n ? pw_buf_add(b, zeros, n) : 0;
}

/* "LENGTH key=value\n", where LENGTH counts itself. */
static void put_pax(pw_buf *b, const char *key, const char *value)
{
    size_t body = strlen(key) + strlen(value) + 3, n = body + 1;
    char digits[24];
    while ((size_t)snprintf(digits, sizeof(digits), "%zu", n) + body != n)
        n++;
    (void)pw_buf_addf(b, "%zu %s=%s\n", n, key, value);
}

int tarball_head(pw_buf *b, const char *path, uint64_t size, uint64_t mode, pw_msec at)
{
    char number[24];
    PW_AUTO(pw_buf_clearp) pw_buf pax = PW_BUF(4 * BLOCK);
    if (strlen(path) >= NAME)
        put_pax(&pax, "path", path);
    (void)snprintf(number, sizeof(number), "%" PRIu64, size);
    if (size > OCTAL_MAX)
        put_pax(&pax, "size", number);
    if (pax.failed)
        return PW_ENOMEM;
    if (pax.len && (put_block(b, "pax", 'x', pax.len, 0644, at) < 0 ||
                    pw_buf_add(b, pax.p, pax.len) < 0 || pad(b, pax.len) < 0))
        return PW_ENOMEM;
    return put_block(b, path, '0', size, mode, at);
}

/* 1: there is more; 0: the end; -1: it cannot go on. */
static int begin_next(tarball *t)
{
    static const char end[2 * BLOCK];
    pw_err err = {0};
    pw_buf_reset(&t->head);
    t->head_at = 0;
    pw_closep(&t->fd);
    if (t->next == t->n) {
        if (t->ended)
            return 0;
        t->ended = true;
        return pw_buf_add(&t->head, end, sizeof(end)) < 0 ? -1 : 1;
    }
    const member *m = &t->v[t->next++];
    t->fd = blobs_read(t->web->files_dir, m->sum, m->attempt, m->file, &err);
    if (t->fd < 0) { /* broken off, so that nobody takes it for the whole */
        pw_log_err(PW_LOG_ERROR, "artifact_missing", &err);
        return -1;
    }
    t->at = 0;
    t->left = m->size;
    return tarball_head(&t->head, m->path, m->size, m->mode, m->at) < 0 ? -1 : 1;
}

ssize_t tarball_read(void *arg, uint64_t pos, char *to, size_t max)
{
    tarball *t = arg;
    (void)pos;
    for (;;) {
        if (t->head_at < t->head.len) {
            size_t n = t->head.len - t->head_at < max ? t->head.len - t->head_at : max;
            memcpy(to, t->head.p + t->head_at, n);
            t->head_at += n;
            return (ssize_t)n;
        }
        if (t->left > 0) {
            ssize_t n = pread(t->fd, to, t->left < max ? (size_t)t->left : max, (off_t)t->at);
            if (n <= 0)
                return MHD_CONTENT_READER_END_WITH_ERROR;
            t->at += (uint64_t)n;
            t->left -= (uint64_t)n;
            if (t->left == 0) {
                pw_buf_reset(&t->head);
                t->head_at = 0;
                if (pad(&t->head, t->at) < 0)
                    return MHD_CONTENT_READER_END_WITH_ERROR;
            }
            return n;
        }
        int more = begin_next(t);
        if (more <= 0)
            return more == 0 ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
    }
}
