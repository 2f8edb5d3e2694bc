#include "master/blobs/blobs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/blobs/impl.h"
#include "shared/base/fault.h"
#include "shared/base/fs.h"
#include "shared/base/num.h"

/* ---- names */
char *blobs_path(const char *dir, const char *name)
{
    return pw_path_join(dir, name);
}

void blobs_name(const uint8_t sum[BLOBS_SUM], char out[BLOBS_NAME])
{
    char hex[2 * BLOBS_SUM + 1];
    pw_hex(sum, BLOBS_SUM, hex);
    (void)snprintf(out, BLOBS_NAME, "%.2s/%s", hex, hex);
}

void blobs_part_name(uint64_t attempt, uint64_t file, char out[BLOBS_NAME])
{
    (void)snprintf(out, BLOBS_NAME, "in/%" PRIu64 "-%" PRIu64, attempt, file);
}

bool blobs_part_parse(const char *name, uint64_t *ret_attempt, uint64_t *ret_file)
{
    char text[48];
    const char *dash = strchr(name, '-');
    if (!dash || (size_t)(dash - name) >= sizeof(text))
        return false;
    memcpy(text, name, (size_t)(dash - name));
    text[dash - name] = '\0';
    return pw_parse_u64(text, ret_attempt, NULL) == 0 &&
           pw_parse_u64(dash + 1, ret_file, NULL) == 0;
}

/* ---- life */
static int code_of(int sys)
{
    return sys == ENOSPC || sys == EDQUOT || sys == EFBIG ? PW_EFULL : PW_ESYS;
}

blobs *blobs_open(const char *dir, pw_chan *answers, pw_err *err)
{
    blobs *self = calloc(1, sizeof(*self));
    if (!self) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    (void)pthread_mutex_init(&self->lock, NULL);
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr); /* neither fails on Linux */
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&self->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    self->tasks_end = &self->tasks;
    self->answers = answers;
    if (!(self->dir = pw_strf("%s", dir)) || !(self->in_dir = pw_path_join(dir, "in")))
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
    /* names that an earlier process made count as there from now on */
    else if (pw_fs_mkdirs(self->in_dir, 0700, err) == 0 && pw_fs_sync_dir(self->in_dir, err) == 0 &&
             pw_fs_sync_dir(self->dir, err) == 0 && (self->parts = pw_table_new(err)) &&
             blobs_thread_start(self, err) == 0)
        return self;
    return blobs_close(self);
}

int blobs_keep_while(blobs *self, const char *lock_path, pw_err *err)
{
    free(self->keep_lock);
    self->keep_lock = pw_strf("%s", lock_path);
    return self->keep_lock ? 0 : pw_fail(err, PW_ENOMEM, "out of memory");
}

blobs *blobs_close(blobs *self)
{
    if (!self)
        return NULL;
    blobs_thread_stop(self);
    part *p;
    for (size_t pos = 0; self->parts && (p = pw_table_next(self->parts, &pos));) {
        pw_closep(&p->fd);
        free(p);
    }
    pw_table_free(self->parts);
    (void)pthread_mutex_destroy(&self->lock);
    (void)pthread_cond_destroy(&self->wake);
    free(self->dir);
    free(self->in_dir);
    free(self->keep_lock);
    free(self);
    return NULL;
}

/* ---- parts; core's thread */
static uint64_t key_of(uint64_t attempt, uint64_t file)
{
    return attempt * BLOBS_FILES + file;
}

/* Under the lock. */
static void part_close(blobs *self, part *p)
{
    if (p->fd >= 0)
        self->n_open--;
    pw_closep(&p->fd);
}

/* Descriptors are few: those that have nothing to be synced give way. */
static void close_some(blobs *self)
{
    part *p;
    (void)pthread_mutex_lock(&self->lock);
    for (size_t pos = 0; self->n_open >= BLOBS_OPEN_MAX && (p = pw_table_next(self->parts, &pos));)
        if (!p->dirty && !p->busy)
            part_close(self, p);
    (void)pthread_mutex_unlock(&self->lock);
}

static int part_open(blobs *self, part *p, pw_err *err)
{
    char name[BLOBS_NAME];
    struct stat st;
    blobs_part_name(p->attempt, p->file, name);
    PW_AUTO(pw_freep) char *path = blobs_path(self->dir, name);
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    close_some(self);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool made = fd >= 0;
    if (fd < 0 && errno == EEXIST)
        fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return pw_fail_at(err, __FILE__, __LINE__, code_of(errno), errno, "opening \"%s\"", path);
    if (fstat(fd, &st) < 0) {
        int sys = errno;
        pw_closep(&fd);
        return pw_fail_at(err, __FILE__, __LINE__, PW_ESYS, sys, "looking at \"%s\"", path);
    }
    (void)pthread_mutex_lock(&self->lock);
    p->fd = fd;
    p->made = p->made || made;
    p->size = (uint64_t)st.st_size;
    self->n_open++;
    (void)pthread_mutex_unlock(&self->lock);
    return 0;
}

static void part_free(blobs *self, part *p)
{
    (void)pthread_mutex_lock(&self->lock);
    part_close(self, p);
    (void)pw_table_del(self->parts, key_of(p->attempt, p->file));
    (void)pthread_mutex_unlock(&self->lock);
    free(p);
}

/* stored: where a journal goes on is behind what is on disk; so in a file of an earlier process,
 * all before it is. */
static part *part_get(blobs *self, uint64_t attempt, uint64_t file, uint64_t stored, pw_err *err)
{
    part *p = pw_table_get(self->parts, key_of(attempt, file));
    bool fresh = !p;
    if (!p) {
        p = calloc(1, sizeof(*p));
        if (!p) {
            (void)pw_fail(err, PW_ENOMEM, "out of memory");
            return NULL;
        }
        *p = (part){.attempt = attempt, .file = file, .fd = -1};
        (void)pthread_mutex_lock(&self->lock);
        int r = pw_table_put(self->parts, key_of(attempt, file), p, err);
        (void)pthread_mutex_unlock(&self->lock);
        if (r < 0) {
            free(p);
            return NULL;
        }
    }
    pw_err why = {0};
    if (p->fd < 0 && part_open(self, p, &why) < 0) {
        if (err)
            *err = why;
        if (fresh)
            part_free(self, p);
        return NULL;
    }
    if (fresh)
        p->at = p->synced = stored < p->size ? stored : p->size;
    return p;
}

static int write_all(int fd, const uint8_t *p, size_t n, uint64_t at, pw_err *err)
{
    while (n > 0) {
        ssize_t k = pwrite(fd, p, n, (off_t)at);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0) {
            int sys = k < 0 ? errno : ENOSPC;
            return pw_fail_at(err, __FILE__, __LINE__, code_of(sys), sys, "writing %zu bytes", n);
        }
        p += k;
        n -= (size_t)k;
        at += (uint64_t)k;
    }
    return 0;
}

int blobs_append(blobs *self, uint64_t attempt, uint64_t file, uint64_t position, const void *p,
                 size_t n, pw_err *err)
{
    pw_err why = {0};
    part *f = part_get(self, attempt, file, position, &why);
    int r = f ? 0 : why.code;
    if (f && position > f->at)
        r = pw_fail(&why, PW_ECORRUPT, "bytes %" PRIu64 " to %" PRIu64 " are not there", f->at,
                    position);
    else if (f && pw_fault("blobs.append"))
        r = pw_fail(&why, PW_EFULL, "writing %zu bytes: fault asked for", n);
    else if (f)
        r = write_all(f->fd, p, n, position, &why);
    if (r < 0) {
        (void)pw_err_context(&why, "file %" PRIu64 " of attempt %" PRIu64, file, attempt);
        if (err)
            *err = why;
        return r;
    }
    (void)pthread_mutex_lock(&self->lock);
    if (f->at < position + n)
        f->at = position + n;
    if (f->synced > position)
        f->synced = position; /* written over: to be synced again */
    f->dirty = true;
    (void)pthread_mutex_unlock(&self->lock);
    return 0;
}

int blobs_whole(blobs *self, uint64_t attempt, uint64_t file, uint64_t size, pw_err *err)
{
    pw_err why = {0};
    part *f = part_get(self, attempt, file, size, &why);
    int r = f ? 0 : why.code;
    if (f && f->at < size)
        r = pw_fail(&why, PW_ECORRUPT,
                    "file %" PRIu64 " of attempt %" PRIu64 " has %" PRIu64 " bytes of %" PRIu64,
                    file, attempt, f->at, size);
    /* behind it may lie what an earlier process had not synced */
    else if (f && ftruncate(f->fd, (off_t)size) < 0)
        r = pw_fail_sys(&why, "cutting file %" PRIu64 " of attempt %" PRIu64, file, attempt);
    if (r < 0) {
        if (err)
            *err = why;
        return r;
    }
    (void)pthread_mutex_lock(&self->lock);
    f->at = size;
    f->dirty = true;
    (void)pthread_mutex_unlock(&self->lock);
    return 0;
}

bool blobs_room(const blobs *self)
{
    return pw_fs_free(self->in_dir) >= BLOBS_ROOM && access(self->in_dir, W_OK) == 0;
}

void blobs_forget_unsynced(blobs *self)
{
    part *p;
    for (size_t pos = 0; (p = pw_table_next(self->parts, &pos));) {
        (void)pthread_mutex_lock(&self->lock);
        bool lost = p->made && !p->busy; /* not even its name is there: made anew */
        p->at = p->synced < p->at ? p->synced : p->at;
        p->dirty = false;
        (void)pthread_mutex_unlock(&self->lock);
        if (!lost)
            continue;
        char name[BLOBS_NAME];
        blobs_part_name(p->attempt, p->file, name);
        PW_AUTO(pw_freep) char *path = blobs_path(self->dir, name);
        if (path && unlink(path) == 0) {
            (void)pthread_mutex_lock(&self->lock);
            part_close(self, p);
            p->at = p->synced = 0;
            p->made = false;
            (void)pthread_mutex_unlock(&self->lock);
        }
    }
}

/* ---- archive thread */
static part *dirty_take(blobs *self)
{
    part *list = NULL, *p;
    (void)pthread_mutex_lock(&self->lock);
    for (size_t pos = 0; (p = pw_table_next(self->parts, &pos));) {
        if (!p->dirty)
            continue;
        p->dirty = false;
        p->busy = true;
        p->next = list;
        list = p;
    }
    (void)pthread_mutex_unlock(&self->lock);
    return list;
}

int blobs_sync(void *arg, pw_err *err)
{
    blobs *self = arg;
    part *list = dirty_take(self);
    int code = 0;
    bool made = false;
    for (part *p = list; p; p = p->next) {
        (void)pthread_mutex_lock(&self->lock);
        uint64_t at = p->at;
        int fd = p->fd;
        made = made || p->made;
        (void)pthread_mutex_unlock(&self->lock);
        bool asked = pw_fault("blobs.sync");
        int sys = asked ? EIO : fdatasync(fd) < 0 ? errno : 0;
        if (sys && code == 0)
            code = pw_fail_at(err, __FILE__, __LINE__, code_of(sys), sys,
                              "syncing file %" PRIu64 " of attempt %" PRIu64, p->file, p->attempt);
        (void)pthread_mutex_lock(&self->lock);
        if (!sys && p->synced < at)
            p->synced = at;
        (void)pthread_mutex_unlock(&self->lock);
    }
    if (code == 0 && made)
        code = pw_fs_sync_dir(self->in_dir, err);
    (void)pthread_mutex_lock(&self->lock);
    for (part *p = list, *next; p; p = next) {
        next = p->next;
        p->busy = false;
        if (code == 0)
            p->made = false;
    }
    (void)pthread_mutex_unlock(&self->lock);
    return code;
}

/* ---- requests; core's thread */
static int ask(blobs *self, const task *t, pw_err *err)
{
    task *copy = malloc(sizeof(*copy));
    if (!copy)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    *copy = *t;
    copy->next = NULL;
    (void)pthread_mutex_lock(&self->lock);
    *self->tasks_end = copy;
    self->tasks_end = &copy->next;
    (void)pthread_cond_signal(&self->wake);
    (void)pthread_mutex_unlock(&self->lock);
    return 0;
}

int blobs_publish(blobs *self, uint64_t attempt, uint64_t file, uint64_t size,
                  const uint8_t sum[BLOBS_SUM], pw_err *err)
{
    task t = {.kind = TASK_PUBLISH, .attempt = attempt, .file = file, .size = size};
    part *p = pw_table_get(self->parts, key_of(attempt, file));
    if (p && !p->busy && !p->dirty)
        part_free(self, p);
    memcpy(t.sum, sum, BLOBS_SUM);
    return ask(self, &t, err);
}

int blobs_remove(blobs *self, const uint8_t sum[BLOBS_SUM], pw_err *err)
{
    task t = {.kind = TASK_REMOVE};
    memcpy(t.sum, sum, BLOBS_SUM);
    return ask(self, &t, err);
}

int blobs_over(blobs *self, uint64_t attempt, pw_err *err)
{
    part *p;
    bool any = false;
    for (size_t pos = 0; (p = pw_table_next(self->parts, &pos));) {
        if (p->attempt != attempt)
            continue;
        any = true;
        if (!p->busy)
            part_free(self, p);
    }
    task t = {.kind = TASK_OVER, .attempt = attempt};
    return any ? ask(self, &t, err) : 0;
}

int blobs_sweep(blobs *self, bool (*wanted)(void *, uint64_t attempt, uint64_t file),
                void *wanted_self, pw_err *err)
{
    PW_AUTO(pw_closep) int allowed = -1;
    int r = blobs_may_remove(self, &allowed, err);
    if (r < 0)
        return r == PW_EAGAIN ? 0 : r;
    DIR *d = opendir(self->in_dir);
    const struct dirent *e;
    if (!d)
        return pw_fail_sys(err, "opening folder \"%s\"", self->in_dir);
    while ((e = readdir(d))) {
        uint64_t attempt, file;
        if (!blobs_part_parse(e->d_name, &attempt, &file) || wanted(wanted_self, attempt, file))
            continue;
        part *p = pw_table_get(self->parts, key_of(attempt, file));
        if (p && p->busy)
            continue;
        if (p)
            part_free(self, p);
        PW_AUTO(pw_freep) char *path = pw_path_join(self->in_dir, e->d_name);
        if (path)
            (void)unlink(path); /* what stays is tried again at the next start */
    }
    (void)closedir(d);
    return 0;
}
