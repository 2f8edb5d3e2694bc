#include "master/logs/check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/logs/frame.h"
#include "master/logs/sealed.h"
#include "shared/base/fs.h"

struct logs_check {
    const char *dir;
    zip_ctx *zip;
    uint8_t *raw;
    int seg; /* the segment that was read last; -1 none */
    uint64_t seg_id, seg_size;
};

logs_check *logs_check_new(const char *dir, pw_err *err)
{
    PW_AUTO(logs_check_freep) logs_check *self = calloc(1, sizeof(*self));
    if (!self || !(self->raw = malloc(PW_FRAME_RAW_MAX))) {
        if (self)
            self->seg = -1;
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->dir = dir;
    self->seg = -1;
    if (!(self->zip = zip_new(1, err)))
        return NULL;
    return pw_take(self);
}

logs_check *logs_check_free(logs_check *self)
{
    if (!self)
        return NULL;
    pw_closep(&self->seg);
    (void)zip_free(self->zip);
    free(self->raw);
    free(self);
    return NULL;
}

static int open_at(const char *path, int *ret, pw_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return pw_fail(err, PW_ENOTFOUND, "\"%s\" is not there", path);
    if (fd < 0)
        return pw_fail_sys(err, "opening \"%s\"", path);
    *ret = fd;
    return 0;
}

static int load(logs_check *self, int fd, const frame_at *f, pw_err *err)
{
    if (!frame_sane(f) || f->raw_len > PW_FRAME_RAW_MAX)
        return pw_fail(err, PW_ECORRUPT, "the frame at %" PRIu64 " cannot be", f->raw_pos);
    int r = frame_load(fd, f, self->zip, self->raw, err);
    return r < 0 ? (pw_err_context(err, "the frame at %" PRIu64, f->raw_pos), r) : 0;
}

int logs_check_sealed(logs_check *self, const store_log *row, pw_err *err)
{
    const log_key key = {row->attempt, (uint32_t)row->idx, (uint32_t)row->stream};
    PW_AUTO(pw_freep) char *path = sealed_path(self->dir, key);
    struct stat st;
    uint64_t bytes, lines;
    int fd = -1;
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int r = open_at(path, &fd, err);
    if (r < 0)
        return r;
    PW_AUTO(sealed_freep) sealed *s = sealed_open(fd, &key, err);
    if (!s)
        return err ? (int)err->code : PW_ECORRUPT;
    sealed_totals(s, &bytes, &lines);
    if (fstat(sealed_fd(s), &st) < 0)
        return pw_fail_sys(err, "looking at \"%s\"", path);
    if (bytes != row->bytes || lines != row->lines || (uint64_t)st.st_size != row->packed)
        return pw_fail(err, PW_ECORRUPT,
                       "it has %" PRIu64 " bytes in %" PRIu64 " lines (%lld packed), its row says "
                       "%" PRIu64 " in %" PRIu64 " (%" PRIu64 ")",
                       bytes, lines, (long long)st.st_size, row->bytes, row->lines, row->packed);
    for (size_t i = 0; i < sealed_count(s); i++) {
        frame_at f;
        sealed_frame(s, i, &f);
        if ((r = load(self, sealed_fd(s), &f, err)) < 0)
            return r;
    }
    return 0;
}

static int segment_open(logs_check *self, uint64_t id, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = pw_strf("%s/seg/%08" PRIu64 ".seg", self->dir, id);
    struct stat st;
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    pw_closep(&self->seg);
    int r = open_at(path, &self->seg, err);
    if (r < 0)
        return r;
    if (fstat(self->seg, &st) < 0) {
        pw_closep(&self->seg);
        return pw_fail_sys(err, "looking at \"%s\"", path);
    }
    self->seg_id = id;
    self->seg_size = (uint64_t)st.st_size;
    return 0;
}

int logs_check_frame(logs_check *self, const store_frame *row, pw_err *err)
{
    struct stat st;
    int r;
    if ((self->seg < 0 || self->seg_id != row->segment) &&
        (r = segment_open(self, row->segment, err)) < 0)
        return r;
    if (row->at + row->len > self->seg_size && fstat(self->seg, &st) == 0)
        self->seg_size = (uint64_t)st.st_size; /* it grows */
    if (row->raw_len > UINT32_MAX || row->lines > UINT32_MAX || row->len > UINT32_MAX ||
        row->at + row->len < row->at)
        return pw_fail(err, PW_ECORRUPT, "the frame at %" PRIu64 " cannot be", row->raw_pos);
    if (row->at + row->len > self->seg_size)
        return pw_fail(err, PW_ECORRUPT,
                       "segment %" PRIu64 " ends at %" PRIu64
                       ", and the row of the frame at %" PRIu64 " names bytes up to %" PRIu64,
                       row->segment, self->seg_size, row->raw_pos, row->at + row->len);
    const frame_at f = {.raw_pos = row->raw_pos,
                        .first_line = row->first_line,
                        .at = row->at,
                        .t_first = row->t_first,
                        .raw_len = (uint32_t)row->raw_len,
                        .lines = (uint32_t)row->lines,
                        .len = (uint32_t)row->len,
                        .codec = (uint8_t)row->codec};
    return load(self, self->seg, &f, err);
}
