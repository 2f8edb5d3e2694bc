/* Views: ranges, lines and times of one log, from its live index or from its sealed file. A view
 * keeps one decoded frame. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "master/logs/impl.h"
#include "shared/base/fs.h"

struct log_view {
    logs *owner; /* NULL: only over a file */
    log_key key;
    live *log;    /* counted; NULL once the file is used */
    sealed *file; /* owned */
    unsigned rollbacks;
    sealed_clock clock;
    zip_ctx *zip;
    uint8_t *raw; /* the decoded frame */
    size_t cap;
    uint64_t raw_pos;
    uint32_t raw_len; /* 0: none */
};

log_view *log_view_close(log_view *self)
{
    if (!self)
        return NULL;
    if (self->log) {
        logs_lock(self->owner);
        index_unref(self->log);
        logs_unlock(self->owner);
    }
    (void)sealed_free(self->file);
    (void)zip_free(self->zip);
    free(self->raw);
    free(self);
    return NULL;
}

static int context(const log_view *self, int code, pw_err *err)
{
    if (code < 0 && err)
        (void)pw_err_context(err, "log of attempt %" PRIu64 " step %" PRIu32, self->key.attempt,
                             self->key.idx);
    return code;
}

static int open_file(log_view *self, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = sealed_path(self->owner->dir, self->key);
    pw_err why = {0};
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return pw_fail(err, PW_ENOTFOUND, "attempt %" PRIu64 " step %" PRIu32 " has no output",
                       self->key.attempt, self->key.idx);
    if (fd < 0)
        return pw_fail_sys(err, "opening \"%s\"", path);
    self->file = sealed_open(fd, &self->key, &why);
    if (self->file)
        return 0;
    if (err)
        *err = why;
    return context(self, why.code, err);
}

/* Where the log is now. 1: live, and the lock is held; 0: in its file, not held. */
static int enter(log_view *self, pw_err *err)
{
    if (self->file)
        return 0;
    logs_lock(self->owner);
    if (!self->log || self->log->gone) {
        live *now = index_find(self->owner, self->key);
        if (now && now->bytes == 0) /* all that it had was dropped, or nothing was written yet */
            now = NULL;
        if (now)
            now->refs++;
        if (self->log)
            index_unref(self->log);
        self->log = now;
        self->raw_len = 0;
    }
    if (!self->log) {
        logs_unlock(self->owner);
        return open_file(self, err);
    }
    if (self->log->rollbacks != self->rollbacks) {
        self->rollbacks = self->log->rollbacks;
        self->raw_len = 0;
    }
    return 1;
}

static log_view *view_new(pw_err *err)
{
    PW_AUTO(log_view_closep) log_view *self = calloc(1, sizeof(*self));
    if (!self) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->zip = zip_new(1, err);
    return self->zip ? pw_take(self) : NULL;
}

log_view *log_view_open(logs *owner, log_key key, pw_err *err)
{
    PW_AUTO(log_view_closep) log_view *self = view_new(err);
    if (!self)
        return NULL;
    self->owner = owner;
    self->key = key;
    int r = enter(self, err);
    if (r < 0)
        return NULL;
    if (r == 1)
        logs_unlock(owner);
    return pw_take(self);
}

log_view *log_view_of_file(int fd, pw_err *err)
{
    PW_AUTO(pw_closep) int taken = fd;
    PW_AUTO(log_view_closep) log_view *self = view_new(err);
    if (!self)
        return NULL;
    self->file = sealed_open(taken, NULL, err);
    taken = -1;
    if (!self->file)
        return NULL;
    self->key = sealed_key(self->file);
    return pw_take(self);
}

int log_view_size(log_view *self, uint64_t *ret_bytes, uint64_t *ret_lines, bool *ret_done,
                  pw_err *err)
{
    int r = enter(self, err);
    if (r < 0)
        return r;
    if (r == 0) {
        sealed_totals(self->file, ret_bytes, ret_lines);
        *ret_done = true;
        return 0;
    }
    *ret_bytes = self->log->bytes;
    *ret_lines = self->log->lines;
    *ret_done = self->log->done;
    logs_unlock(self->owner);
    return 0;
}

typedef struct found {
    frame_at f;
    int fd;
    segment *seg;   /* counted; NULL: of a sealed file */
    uint64_t bytes; /* end of the log */
} found;

/* 1: found (give it to found_end); 0: there is no such frame, only bytes is set; or a negative
 * code. */
static int find(log_view *self, frame_by by, uint64_t v, found *ret, pw_err *err)
{
    int r = enter(self, err);
    uint64_t lines;
    if (r < 0)
        return r;
    if (r == 0) {
        size_t n = sealed_count(self->file);
        size_t i = frame_bisect(self->file, n, sealed_frame, by, v);
        sealed_totals(self->file, &ret->bytes, &lines);
        ret->fd = sealed_fd(self->file);
        ret->seg = NULL;
        if (i < n)
            sealed_frame(self->file, i, &ret->f);
        return i < n;
    }
    const live *l = self->log;
    size_t i = frame_bisect(l, l->n, index_frame, by, v);
    ret->bytes = l->bytes;
    ret->seg = NULL;
    if (i < l->n) {
        index_frame(l, i, &ret->f);
        ret->seg = l->frames[i].seg;
        ret->seg->refs++;
        ret->fd = ret->seg->fd;
    }
    r = i < l->n;
    logs_unlock(self->owner);
    return r;
}

static void found_end(log_view *self, const found *at)
{
    if (at->seg)
        segment_unref(self->owner, at->seg);
}

/* Has the frame decoded in self->raw. */
static int load(log_view *self, const found *at, pw_err *err)
{
    const frame_at *f = &at->f;
    pw_err why = {0};
    if (self->raw_len > 0 && self->raw_pos == f->raw_pos && self->raw_len == f->raw_len)
        return 0;
    self->raw_len = 0;
    if (self->cap < f->raw_len) {
        free(self->raw);
        self->cap = 0;
        self->raw = malloc(f->raw_len);
        if (!self->raw)
            return pw_fail(err, PW_ENOMEM, "out of memory");
        self->cap = f->raw_len;
    }
    int r = frame_load(at->fd, f, self->zip, self->raw, &why);
    if (r < 0) {
        if (err)
            *err = why;
        return context(self, r, err);
    }
    self->raw_pos = f->raw_pos;
    self->raw_len = f->raw_len;
    return 0;
}

int64_t log_view_read(log_view *self, uint64_t position, void *buf, size_t cap, uint64_t *ret_next,
                      pw_err *err)
{
    uint8_t *to = buf;
    size_t have = 0;
    found at = {0};
    while (have < cap) {
        int r = find(self, FRAME_BY_POS, position, &at, err);
        if (r < 0 && have == 0)
            return r;
        if (r <= 0) {
            if (have == 0 && r == 0 && position < at.bytes)
                position = at.bytes; /* the end was left out */
            break;
        }
        if (at.f.raw_pos > position) { /* a gap; what is returned has none inside */
            if (have > 0) {
                found_end(self, &at);
                break;
            }
            position = at.f.raw_pos;
        }
        r = load(self, &at, err);
        found_end(self, &at);
        if (r < 0 && have == 0)
            return r;
        if (r < 0) /* the next call tells */
            break;
        size_t from = (size_t)(position - at.f.raw_pos);
        size_t n = at.f.raw_len - from < cap - have ? at.f.raw_len - from : cap - have;
        memcpy(to + have, self->raw + from, n);
        have += n;
        position += n;
    }
    *ret_next = position;
    return (int64_t)have;
}

int log_view_line(log_view *self, uint64_t line, uint64_t *ret_position, pw_err *err)
{
    uint64_t want = line > 1 ? line - 1 : 0; /* it begins behind that line feed */
    found at = {0};
    if (want == 0) {
        *ret_position = 0;
        return 0;
    }
    int r = find(self, FRAME_BY_LINE, want, &at, err);
    if (r < 0)
        return r;
    if (r == 0 || at.f.first_line >= want) { /* behind the end; or the line feed was left out */
        *ret_position = r == 0 ? at.bytes : at.f.raw_pos;
        found_end(self, &at);
        return 0;
    }
    r = load(self, &at, err);
    found_end(self, &at);
    if (r < 0)
        return r;
    const uint8_t *p = self->raw, *end = self->raw + self->raw_len;
    for (uint64_t n = at.f.first_line; n < want && p; n++) {
        p = memchr(p, '\n', (size_t)(end - p));
        p = p ? p + 1 : NULL;
    }
    if (!p)
        return context(self,
                       pw_fail(err, PW_ECORRUPT,
                               "frame at %" PRIu64 " has fewer lines than it says", at.f.raw_pos),
                       err);
    *ret_position = self->raw_pos + (uint64_t)(p - self->raw);
    return 0;
}

int log_view_time(log_view *self, uint64_t position, pw_msec *ret_t, pw_err *err)
{
    int r = enter(self, err);
    if (r < 0)
        return r;
    if (r == 0) {
        *ret_t = sealed_time(self->file, position, &self->clock);
        return 0;
    }
    const live *l = self->log;
    size_t i = frame_bisect(l, l->n, index_frame, FRAME_BY_START, position);
    if (l->n == 0)
        r = pw_fail(err, PW_ENOTFOUND, "attempt %" PRIu64 " step %" PRIu32 " has no output",
                    self->key.attempt, self->key.idx);
    else if (position >= l->bytes)
        *ret_t = l->frames[l->n - 1].t_first + (pw_msec)l->frames[l->n - 1].t_span;
    else
        *ret_t = l->frames[i > 0 ? i - 1 : 0].t_first;
    logs_unlock(self->owner);
    return r < 0 ? r : 0;
}

/* ---- what was left out */
typedef struct entries { /* the frames, wherever they are */
    const void *src;
    size_t n;
    frame_get *get;
    uint64_t bytes, lines;
} entries;
typedef void entries_fn(const entries *e, uint64_t in, uint64_t ret[2]);

static int with_entries(log_view *self, entries_fn *fn, uint64_t in, uint64_t ret[2], pw_err *err)
{
    entries e = {0};
    int r = enter(self, err);
    if (r < 0)
        return r;
    if (r == 0) {
        e = (entries){.src = self->file, .n = sealed_count(self->file), .get = sealed_frame};
        sealed_totals(self->file, &e.bytes, &e.lines);
        fn(&e, in, ret);
        return 0;
    }
    e = (entries){.src = self->log,
                  .n = self->log->n,
                  .get = index_frame,
                  .bytes = self->log->bytes,
                  .lines = self->log->lines};
    fn(&e, in, ret);
    logs_unlock(self->owner);
    return 0;
}

static void lines_around(const entries *e, uint64_t position, uint64_t ret[2])
{
    frame_at f;
    size_t i = frame_bisect(e->src, e->n, e->get, FRAME_BY_POS, position);
    ret[0] = 0;
    if (i > 0) {
        e->get(e->src, i - 1, &f);
        ret[0] = f.first_line + f.lines;
    }
    ret[1] = e->lines;
    if (i < e->n) {
        e->get(e->src, i, &f);
        ret[1] = f.first_line;
    }
}

int log_view_gap(log_view *self, uint64_t position, uint64_t *ret_before, uint64_t *ret_behind,
                 pw_err *err)
{
    uint64_t v[2];
    int r = with_entries(self, lines_around, position, v, err);
    if (r < 0)
        return r;
    *ret_before = v[0];
    *ret_behind = v[1];
    return 0;
}

static void there_before(const entries *e, uint64_t position, uint64_t ret[2])
{
    frame_at f;
    ret[0] = 0;
    for (size_t i = 0; i < e->n; i++) {
        e->get(e->src, i, &f);
        if (f.raw_pos >= position)
            break;
        uint64_t part = position - f.raw_pos;
        ret[0] += part < f.raw_len ? part : f.raw_len;
    }
}

int log_view_there(log_view *self, uint64_t position, uint64_t *ret, pw_err *err)
{
    uint64_t v[2];
    int r = with_entries(self, there_before, position, v, err);
    if (r == 0)
        *ret = v[0];
    return r;
}

static void nth_byte(const entries *e, uint64_t nth, uint64_t ret[2])
{
    frame_at f;
    ret[0] = e->bytes;
    for (size_t i = 0; i < e->n; i++) {
        e->get(e->src, i, &f);
        if (nth < f.raw_len) {
            ret[0] = f.raw_pos + nth;
            return;
        }
        nth -= f.raw_len;
    }
}

int log_view_nth(log_view *self, uint64_t nth, uint64_t *ret_position, pw_err *err)
{
    uint64_t v[2];
    int r = with_entries(self, nth_byte, nth, v, err);
    if (r == 0)
        *ret_position = v[0];
    return r;
}
