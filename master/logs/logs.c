#include "master/logs/logs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/logs/impl.h"
#include "shared/base/fs.h"

enum { ROOM_BYTES = 1024 * 1024 };

void logs_lock(logs *self)
{
    (void)pthread_mutex_lock(&self->lock);
}

void logs_unlock(logs *self)
{
    (void)pthread_mutex_unlock(&self->lock);
}

void logs_grew(logs *self)
{
    (void)atomic_fetch_add(&self->generation, 1);
    if (self->grew)
        self->grew(self->grew_self);
}

uint64_t logs_generation(logs *self)
{
    return atomic_load(&self->generation);
}

void logs_also(logs *self, int (*sync)(void *, pw_err *), void *sync_self)
{
    self->also = sync;
    self->also_self = sync_self;
}

void logs_on_growth(logs *self, void (*cb)(void *), void *cb_self)
{
    self->grew = cb;
    self->grew_self = cb_self;
}

logs *logs_open(const char *dir, const pw_host *host, pw_chan *answers, pw_err *err)
{
    PW_AUTO(logs_closep) logs *self = calloc(1, sizeof(*self));
    (void)host; /* the times of output are the runner's */
    if (!self) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->answers = answers;
    self->segment_bytes = LOGS_SEGMENT_BYTES;
    self->seals_end = &self->seals;
    self->removes_end = &self->removes;
    self->new_dirs = true; /* the last process may have been killed before it synced them */
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0) {
        free(self);
        self = NULL;
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC); /* the wall clock may be set back */
    (void)pthread_mutex_init(&self->lock, NULL);
    (void)pthread_cond_init(&self->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    self->dir = strdup(dir);
    self->seg_dir = pw_path_join(dir, "seg");
    if (!self->dir || !self->seg_dir) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    self->groups = pw_table_new(err);
    if (!self->groups || pw_fs_mkdirs(self->seg_dir, 0700, err) < 0 ||
        segment_scan(self, err) < 0 || archive_start(self, err) < 0)
        return NULL;
    return pw_take(self);
}

int logs_keep_while(logs *self, const char *lock_path, pw_err *err)
{
    char *copy = strdup(lock_path);
    if (!copy)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    logs_lock(self);
    free(self->keep_lock);
    self->keep_lock = copy;
    logs_unlock(self);
    return 0;
}

logs *logs_close(logs *self)
{
    if (!self)
        return NULL;
    archive_stop(self);
    remove_free_all(self);
    index_free_all(self);
    segment_free_all(self);
    (void)pthread_cond_destroy(&self->wake);
    (void)pthread_mutex_destroy(&self->lock);
    free(self->dir);
    free(self->seg_dir);
    free(self->keep_lock);
    free(self);
    return NULL;
}

static uint32_t span(pw_msec first, pw_msec last)
{
    if (last <= first) /* its clock was set back */
        return 0;
    return last - first > UINT32_MAX ? UINT32_MAX : (uint32_t)(last - first);
}

/* With the lock: the log, made when `make` says so and it is absent. */
static int live_get(logs *self, log_key key, live **ret, pw_err *err)
{
    live *l = index_find(self, key);
    if (!l)
        return index_make(self, key, ret, err);
    *ret = l;
    return 0;
}

/* With the lock: takes back what live_get made, when nothing came of it. */
static void live_unmake(logs *self, live *l)
{
    if (l->n == 0 && l->bytes == 0 && !l->sealing && !l->done)
        index_drop(self, l);
}

static int row_check(const store_frame *f, pw_err *err)
{
    if (f->raw_len > UINT32_MAX || f->lines > UINT32_MAX || f->len > UINT32_MAX ||
        f->at > UINT32_MAX || f->codec > UINT8_MAX || f->idx > UINT32_MAX ||
        f->stream >= PW_STREAMS || f->segment == 0 || f->segment > UINT32_MAX - 16)
        return pw_fail(err, PW_ECORRUPT, "frame of attempt %" PRIu64 " step %" PRIu64 " is damaged",
                       f->attempt, f->idx);
    return 0;
}

int logs_load_frame(logs *self, const store_frame *f, pw_err *err)
{
    segment *seg;
    live *l;
    int r = row_check(f, err);
    if (r < 0 || (r = segment_load(self, (uint32_t)f->segment, &seg, err)) < 0)
        return r;
    frame made = {
        .raw_pos = f->raw_pos,
        .first_line = f->first_line,
        .t_first = f->t_first,
        .seg = seg,
        .at = (uint32_t)f->at,
        .len = (uint32_t)f->len,
        .raw_len = (uint32_t)f->raw_len,
        .lines = (uint32_t)f->lines,
        .t_span = span(f->t_first, f->t_last),
        .codec = (uint8_t)f->codec,
    };
    log_key key = {f->attempt, (uint32_t)f->idx, (uint32_t)f->stream};
    logs_lock(self);
    r = live_get(self, key, &l, err);
    if (r == 0 && l->left) {
        logs_unlock(self);
        return 0;
    }
    if (r == 0 && (r = index_reserve(l, err)) == 0) {
        frame_at at;
        l->frames[l->n] = made;
        index_frame(l, l->n, &at);
        if (frame_sane(&at) && at.raw_pos >= l->bytes && at.first_line >= l->lines &&
            at.first_line - l->lines <= at.raw_pos - l->bytes)
            index_add(l, &made);
        else
            r = pw_fail(err, PW_ECORRUPT,
                        "frame of attempt %" PRIu64 " step %" PRIu64 " at %" PRIu64 " is damaged",
                        f->attempt, f->idx, f->raw_pos);
    }
    seg->kept = seg->kept || r < 0;
    if (r < 0 && (l = index_find(self, key)))
        live_unmake(self, l);
    logs_unlock(self);
    return r;
}

/* With the lock: nobody waits for the syncs that were asked for any more. */
static void void_tickets(logs *self)
{
    self->answered = self->voided = self->requested;
    self->failed = false;
    segment_forget_bad(self);
    (void)pthread_cond_signal(&self->wake);
}

void logs_reset(logs *self)
{
    logs_lock(self);
    self->loading = true;
    index_reset(self, self->synced);
    void_tickets(self);
    for (void *a; (a = pw_chan_recv(self->answers));)
        free(a);
    logs_unlock(self);
    logs_grew(self);
}

int logs_loaded(logs *self, pw_err *err)
{
    logs_lock(self);
    self->loading = false;
    index_loaded(self);
    segment_retire_all(self);
    logs_unlock(self);
    logs_grew(self);
    return segment_sweep(self, err);
}

/* With the lock: is this where the log stands? */
static int place(logs *self, log_key key, uint64_t pos, uint64_t lines, live **ret, pw_err *err)
{
    live *l = index_find(self, key);
    uint64_t bytes = l ? l->bytes : 0;
    if (pos < bytes)
        return pw_fail(err, PW_ECONFLICT,
                       "output of attempt %" PRIu64 " step %" PRIu32 " at %" PRIu64 " is known",
                       key.attempt, key.idx, pos);
    if (l && l->done)
        return pw_fail(err, PW_EINVAL, "log of attempt %" PRIu64 " step %" PRIu32 " is complete",
                       key.attempt, key.idx);
    if (pos > bytes || lines != (l ? l->lines : 0))
        return pw_fail(err, PW_EPROTO,
                       "output of attempt %" PRIu64 " step %" PRIu32 " begins at %" PRIu64
                       ", expected %" PRIu64,
                       key.attempt, key.idx, pos, bytes);
    return live_get(self, key, ret, err);
}

static int append_check(const rec_log *r, pw_err *err)
{
    frame_at at = {
        .raw_pos = r->raw_pos,
        .first_line = r->first_line,
        .raw_len = r->raw_len,
        .lines = r->lines,
        .len = r->frame_len > UINT32_MAX ? UINT32_MAX : (uint32_t)r->frame_len,
        .codec = r->codec,
    };
    if (!frame_sane(&at) || r->stream >= PW_STREAMS)
        return pw_fail(err, PW_ELIMIT, "log frame of step %u is out of bounds", (unsigned)r->step);
    return 0;
}

static void row_of(const frame *f, log_key key, const rec_log *r, store_frame *ret)
{
    *ret = (store_frame){
        .attempt = key.attempt,
        .idx = key.idx,
        .stream = key.stream,
        .raw_pos = f->raw_pos,
        .raw_len = f->raw_len,
        .first_line = f->first_line,
        .lines = f->lines,
        .codec = f->codec,
        .segment = f->seg->id,
        .at = f->at,
        .len = f->len,
        .t_first = (pw_msec)r->t_first_ms,
        .t_last = (pw_msec)r->t_last_ms,
    };
}

int logs_append(logs *self, uint64_t attempt, const rec_log *r, store_frame *ret, pw_err *err)
{
    log_key key = {attempt, r->step, r->stream};
    live *l = NULL;
    frame f = {
        .raw_pos = r->raw_pos,
        .first_line = r->first_line,
        .t_first = (pw_msec)r->t_first_ms,
        .len = (uint32_t)r->frame_len,
        .raw_len = r->raw_len,
        .lines = r->lines,
        .t_span = span((pw_msec)r->t_first_ms, (pw_msec)r->t_last_ms),
        .codec = r->codec,
    };
    int code = append_check(r, err);
    if (code < 0)
        return code;
    logs_lock(self);
    code = place(self, key, r->raw_pos, r->first_line, &l, err);
    if (code == 0 && (code = index_reserve(l, err)) < 0)
        live_unmake(self, l);
    logs_unlock(self);
    if (code < 0)
        return code;
    /* without the lock: nobody else changes a log that is not complete */
    code = segment_append(self, r->frame, r->frame_len, &f.seg, &f.at, err);
    logs_lock(self);
    if (code == 0) {
        f.ticket = self->requested + 1;
        f.seg->dirty = true;
        index_add(l, &f);
    } else {
        live_unmake(self, l);
    }
    logs_unlock(self);
    if (code < 0)
        return code;
    row_of(&f, key, r, ret);
    logs_grew(self);
    return 0;
}

int logs_cut(logs *self, log_key key, uint64_t position, uint64_t bytes, uint64_t lines,
             pw_err *err)
{
    live *l;
    if (bytes > INT64_MAX - PW_FRAME_RAW_MAX || position > INT64_MAX - PW_FRAME_RAW_MAX - bytes ||
        lines > bytes)
        return pw_fail(err, PW_EPROTO,
                       "gap in the output of attempt %" PRIu64 " step %" PRIu32 " at %" PRIu64
                       " is out of bounds",
                       key.attempt, key.idx, position);
    logs_lock(self);
    const live *known = index_find(self, key);
    int r = place(self, key, position, known ? known->lines : 0, &l, err);
    if (r == 0) {
        l->bytes += bytes;
        l->lines += lines;
        live_unmake(self, l);
    }
    logs_unlock(self);
    if (r == 0 && bytes > 0)
        logs_grew(self);
    return r;
}

uint64_t logs_sync(logs *self)
{
    logs_lock(self);
    uint64_t ticket = ++self->requested;
    (void)pthread_cond_signal(&self->wake);
    logs_unlock(self);
    return ticket;
}

void logs_forget_unsynced(logs *self)
{
    logs_lock(self);
    index_rollback(self, self->synced);
    void_tickets(self);
    logs_unlock(self);
    logs_grew(self);
}

bool logs_room(const logs *self)
{
    return pw_fs_free(self->seg_dir) >= ROOM_BYTES && access(self->seg_dir, W_OK) == 0;
}

bool logs_position(logs *self, log_key key, uint64_t *ret_bytes, uint64_t *ret_lines,
                   uint64_t *ret_packed)
{
    logs_lock(self);
    const live *l = index_find(self, key);
    bool known = l && l->bytes > 0;
    if (known) {
        *ret_bytes = l->bytes;
        *ret_lines = l->lines;
        *ret_packed = l->packed;
    }
    logs_unlock(self);
    return known;
}

/* With the lock. A log without frames has no row and gets no file: it is only dropped. */
static int seal_ask(logs *self, live *l, pw_err *err)
{
    l->done = true;
    if (l->sealing)
        return 0;
    if (l->n == 0) {
        index_drop(self, l);
        return 0;
    }
    seal_job *job = calloc(1, sizeof(*job));
    if (!job)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (l->frames[l->n - 1].ticket >
        self->requested) /* not asked for yet: sync comes before seal */
        self->requested++;
    l->sealing = true;
    l->refs++;
    job->log = l;
    *self->seals_end = job;
    self->seals_end = &job->next;
    (void)pthread_cond_signal(&self->wake);
    return 0;
}

int logs_seal(logs *self, log_key key, pw_err *err)
{
    logs_lock(self);
    live *l = index_find(self, key);
    int r = l ? seal_ask(self, l, err)
              : pw_fail(err, PW_ENOTFOUND, "no live log of attempt %" PRIu64 " step %" PRIu32,
                        key.attempt, key.idx);
    logs_unlock(self);
    if (r == 0)
        logs_grew(self);
    return r;
}

int logs_seal_attempt(logs *self, uint64_t attempt, pw_err *err)
{
    int r = 0;
    logs_lock(self);
    const group *g = pw_table_get(self->groups, attempt);
    for (live *l = g ? g->first : NULL, *next; l; l = next) {
        next = l->next;
        int code = seal_ask(self, l, err);
        if (code < 0)
            r = code;
    }
    logs_unlock(self);
    if (g)
        logs_grew(self);
    return r;
}

void logs_sealed(logs *self, log_key key)
{
    logs_lock(self);
    live *l = index_find(self, key);
    if (l && !l->sealing && l->done)
        index_drop(self, l);
    logs_unlock(self);
    if (l)
        logs_grew(self);
}

void logs_done(logs *self, log_key key)
{
    logs_lock(self);
    live *l = index_find(self, key);
    if (l)
        l->done = true;
    logs_unlock(self);
    if (l)
        logs_grew(self);
}
