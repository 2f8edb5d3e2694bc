/* The append files. Bytes are written at the known end; what a failed write left behind is written
 * over. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/logs/impl.h"
#include "shared/base/fault.h"
#include "shared/base/fs.h"
#include "shared/base/num.h"

enum {
    ID_MAX = 0xfffffff0, /* ids are never used again while a row may name them */
    IDLE_PART = 16, /* a segment without live frames is left behind at 1/16 of the limit: its space
                       is given back */
};

static char *segment_path(const logs *self, uint32_t id)
{
    return pw_strf("%s/%08" PRIu32 ".seg", self->seg_dir, id);
}

/* "00000012.seg" -> 12; 0: not ours. */
static uint32_t segment_of_name(const char *name)
{
    char digits[16];
    uint64_t v;
    size_t n = strspn(name, "0123456789");
    if (n < 8 || n >= sizeof(digits) || strcmp(name + n, ".seg") != 0)
        return 0;
    memcpy(digits, name, n);
    digits[n] = '\0';
    return pw_parse_u64(digits, &v, NULL) < 0 || v > ID_MAX ? 0 : (uint32_t)v;
}

static void dir_closep(DIR **d)
{
    if (*d)
        (void)closedir(*d);
}

static DIR *seg_dir_open(const logs *self, pw_err *err)
{
    DIR *d = opendir(self->seg_dir);
    if (!d)
        (void)pw_fail_sys(err, "opening folder \"%s\"", self->seg_dir);
    return d;
}

int segment_scan(logs *self, pw_err *err)
{
    PW_AUTO(dir_closep) DIR *d = seg_dir_open(self, err);
    const struct dirent *e;
    if (!d)
        return PW_ESYS;
    while ((e = readdir(d))) {
        uint32_t id = segment_of_name(e->d_name);
        if (id > self->last_segment)
            self->last_segment = id;
    }
    return 0;
}

int segment_unlink(logs *self, uint32_t id, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = segment_path(self, id);
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (unlink(path) < 0 && errno != ENOENT)
        return pw_fail_sys(err, "removing \"%s\"", path);
    return 0;
}

static segment *segment_find(const logs *self, uint32_t id)
{
    segment *s = self->segments;
    while (s && s->id != id)
        s = s->next;
    return s;
}

int segment_may_go(const logs *self, int *ret_fd, pw_err *err)
{
    int fd = self->keep_lock ? pw_fs_lock(self->keep_lock, err) : -1;
    if (self->keep_lock && fd < 0)
        return fd;
    *ret_fd = fd;
    return 0;
}

int segment_sweep(logs *self, pw_err *err)
{
    PW_AUTO(dir_closep) DIR *d = seg_dir_open(self, err);
    PW_AUTO(pw_closep) int allowed = -1;
    const struct dirent *e;
    if (!d)
        return PW_ESYS;
    int may = segment_may_go(self, &allowed, err);
    if (may == PW_EAGAIN) /* a backup reads: the next start removes them */
        return 0;
    if (may < 0)
        return may;
    while ((e = readdir(d))) {
        uint32_t id = segment_of_name(e->d_name);
        int r;
        if (!id)
            continue;
        logs_lock(self);
        bool named = segment_find(self, id) != NULL;
        logs_unlock(self);
        if (!named && (r = segment_unlink(self, id, err)) < 0)
            return r;
    }
    return 0;
}

/* With the lock: nobody will write to it and nothing in it is wanted. */
static void segment_retire(logs *self, segment *s)
{
    if (!s->closed || s->kept || s->frames > 0 || self->loading)
        return;
    for (segment **at = &self->segments; *at; at = &(*at)->next) {
        if (*at != s)
            continue;
        *at = s->next;
        s->next = self->trash;
        self->trash = s;
        (void)pthread_cond_signal(&self->wake);
        return;
    }
}

void segment_drop_frame(logs *self, segment *s)
{
    s->frames--;
    segment_retire(self, s);
}

void segment_close(logs *self, segment *s, bool bad)
{
    s->closed = true;
    s->bad = s->bad || bad;
    segment_retire(self, s);
}

void segment_unref(logs *self, segment *s)
{
    logs_lock(self);
    bool last = --s->refs == 0;
    logs_unlock(self);
    if (!last)
        return;
    pw_closep(&s->fd);
    free(s);
}

void segment_retire_all(logs *self)
{
    for (segment *s = self->segments, *next; s; s = next) {
        next = s->next;
        segment_retire(self, s);
    }
}

void segment_forget_bad(logs *self)
{
    for (segment *s = self->segments; s; s = s->next)
        if (s->bad)
            s->dirty = false;
}

/* fd is taken. */
static int segment_add(logs *self, uint32_t id, int fd, segment **ret, pw_err *err)
{
    segment *s = calloc(1, sizeof(*s));
    if (!s) {
        pw_closep(&fd);
        return pw_fail(err, PW_ENOMEM, "out of memory");
    }
    s->id = id;
    s->fd = fd;
    s->refs = 1;
    logs_lock(self);
    s->next = self->segments;
    self->segments = s;
    logs_unlock(self);
    if (id > self->last_segment)
        self->last_segment = id;
    *ret = s;
    return 0;
}

static int segment_begin(logs *self, segment **ret, pw_err *err)
{
    if (self->last_segment >= ID_MAX)
        return pw_fail(err, PW_EFULL, "log segment %" PRIu32 " is the last", self->last_segment);
    uint32_t id = self->last_segment + 1;
    PW_AUTO(pw_freep) char *path = segment_path(self, id);
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return pw_fail_at(err, __FILE__, __LINE__, frame_code_of(errno), errno, "making \"%s\"",
                          path);
    int r = segment_add(self, id, fd, ret, err);
    if (r < 0) {
        (void)unlink(path);
        return r;
    }
    (*ret)->fresh = true; /* not dirty yet, so the archive thread does not look at it */
    return 0;
}

int segment_load(logs *self, uint32_t id, segment **ret, pw_err *err)
{
    logs_lock(self);
    segment *s = segment_find(self, id);
    logs_unlock(self);
    if (s) {
        *ret = s;
        return 0;
    }
    PW_AUTO(pw_freep) char *path = segment_path(self, id);
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno != ENOENT)
        return pw_fail_sys(err, "opening \"%s\"", path);
    int r = segment_add(self, id, fd, ret, err);
    if (r == 0)
        (*ret)->closed = true;
    return r;
}

int segment_append(logs *self, const void *p, size_t n, segment **ret, uint32_t *ret_at,
                   pw_err *err)
{
    segment *s = self->current;
    int r;
    logs_lock(self);
    if (s && !s->closed &&
        (s->size >= self->segment_bytes ||
         (s->frames == 0 && s->size >= self->segment_bytes / IDLE_PART)))
        segment_close(self, s, false);
    bool closed = s && s->closed; /* also by a sync that failed */
    logs_unlock(self);
    if (closed) {
        segment_unref(self, s);
        s = self->current = NULL;
    }
    if (!s) {
        if ((r = segment_begin(self, &s, err)) < 0)
            return r;
        logs_lock(self);
        s->refs++;
        logs_unlock(self);
        self->current = s;
    }
    r = pw_fault("logs.append") ? pw_fail(err, PW_EFULL, "writing %zu bytes: fault asked for", n)
                                : frame_pwrite(s->fd, p, n, s->size, err);
    if (r < 0) {
        (void)!ftruncate(s->fd, (off_t)s->size); /* gives back what is of no use; not needed */
        (void)pw_err_context(err, "log segment %" PRIu32, s->id);
        return r;
    }
    *ret = s;
    *ret_at = (uint32_t)s->size;
    s->size += n;
    return 0;
}

static void free_list(segment *s)
{
    while (s) {
        segment *next = s->next;
        pw_closep(&s->fd);
        free(s);
        s = next;
    }
}

void segment_free_all(logs *self)
{
    if (self->current)
        segment_unref(self, self->current);
    free_list(self->segments);
    free_list(self->trash);
    self->segments = self->trash = NULL;
}
