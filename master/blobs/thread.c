/* The thread that puts files in place and removes them, one request after the other, in the order
 * in which they came. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "master/blobs/impl.h"
#include "shared/base/fault.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"
#include "shared/crypt/hash.h"

enum { RETRY_NS = 5 * 1000000 };

int blobs_may_remove(const blobs *self, int *ret_fd, pw_err *err)
{
    int fd = self->keep_lock ? pw_fs_lock(self->keep_lock, err) : -1;
    if (self->keep_lock && fd < 0)
        return fd;
    *ret_fd = fd;
    return 0;
}

int blobs_sum(int fd, uint64_t *ret_size, uint8_t sum[BLOBS_SUM], pw_err *err)
{
    PW_AUTO(crypt_sha256_freep) crypt_sha256 *h = crypt_sha256_new(err);
    PW_AUTO(pw_freep) uint8_t *piece = malloc(BLOBS_PIECE);
    uint64_t at = 0;
    if (!h || !piece)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    for (;;) {
        ssize_t n = pread(fd, piece, BLOBS_PIECE, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return pw_fail_sys(err, "reading");
        if (n == 0)
            break;
        crypt_sha256_add(h, piece, (size_t)n);
        at += (uint64_t)n;
    }
    crypt_sha256_end(h, sum);
    *ret_size = at;
    return 0;
}

/* fd or -1 with errno */
static int open_name(const char *dir, const char *name)
{
    PW_AUTO(pw_freep) char *path = blobs_path(dir, name);
    if (!path) {
        errno = ENOMEM;
        return -1;
    }
    return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

int blobs_read(const char *dir, const uint8_t sum[BLOBS_SUM], uint64_t attempt, uint64_t file,
               pw_err *err)
{
    char name[2][BLOBS_NAME];
    blobs_name(sum, name[0]);
    blobs_part_name(attempt, file, name[1]);
    for (int i = 0; i < 3; i++) {
        int fd = open_name(dir, name[i % 2]);
        if (fd >= 0)
            return fd;
        if (errno != ENOENT)
            return pw_fail_sys(err, "opening \"%s\" of \"%s\"", name[i % 2], dir);
    }
    return pw_fail(err, PW_ENOTFOUND, "\"%s\" of \"%s\" is missing", name[0], dir);
}

/* ---- publishing */
/* 1: the file of that sum is in place, with that size. */
static int in_place(const char *path, uint64_t size)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
}

static int check_part(int fd, const task *t, pw_err *err)
{
    uint8_t sum[BLOBS_SUM];
    uint64_t size;
    int r = blobs_sum(fd, &size, sum, err);
    if (r < 0)
        return r;
    if (size != t->size || memcmp(sum, t->sum, BLOBS_SUM) != 0)
        return pw_fail(err, PW_ECORRUPT, "its bytes do not have the sum that they had");
    return 0;
}

static int make_folder(const blobs *self, const char *path, pw_err *err)
{
    PW_AUTO(pw_freep) char *dir = pw_strf("%s", path);
    if (!dir)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    *strrchr(dir, '/') = '\0';
    if (mkdir(dir, 0700) == 0)
        return pw_fs_sync_dir(self->dir, err);
    return errno == EEXIST ? 0 : pw_fail_sys(err, "making \"%s\"", dir);
}

static int sync_folder_of(const char *path, pw_err *err)
{
    PW_AUTO(pw_freep) char *dir = pw_strf("%s", path);
    if (!dir)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    *strrchr(dir, '/') = '\0';
    return pw_fs_sync_dir(dir, err);
}

static int move(const blobs *self, const char *from, const char *to, pw_err *err)
{
    int r = make_folder(self, to, err);
    if (r == 0 && pw_fault("blobs.rename"))
        return pw_fail(err, PW_ESYS, "fault point blobs.rename");
    if (r == 0 && rename(from, to) < 0)
        r = pw_fail_sys(err, "renaming \"%s\"", from);
    /* the new name before the old one is given up */
    if (r == 0)
        r = sync_folder_of(to, err);
    return r == 0 ? pw_fs_sync_dir(self->in_dir, err) : r;
}

static int publish(const blobs *self, const task *t, pw_err *err)
{
    char name[BLOBS_NAME], part_name[BLOBS_NAME];
    blobs_name(t->sum, name);
    blobs_part_name(t->attempt, t->file, part_name);
    PW_AUTO(pw_freep) char *to = blobs_path(self->dir, name);
    PW_AUTO(pw_freep) char *from = blobs_path(self->dir, part_name);
    if (!to || !from)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    PW_AUTO(pw_closep) int fd = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno != ENOENT)
        return pw_fail_sys(err, "opening \"%s\"", from);
    if (fd < 0) /* it was done before a crash; the name may be older than a power cut knows */
        return in_place(to, t->size) ? sync_folder_of(to, err)
                                     : pw_fail(err, PW_ECORRUPT, "\"%s\" is missing", from);
    int r = check_part(fd, t, err);
    if (r < 0)
        return r;
    if (!in_place(to, t->size))
        return move(self, from, to, err);
    if (pw_fault("blobs.same"))
        return pw_fail(err, PW_ESYS, "fault point blobs.same");
    if ((r = sync_folder_of(to, err)) < 0)
        return r;
    return unlink(from) < 0 ? pw_fail_sys(err, "removing \"%s\"", from) : 0;
}

/* ---- removing */
static int remove_blob(const blobs *self, const task *t, pw_err *err)
{
    char name[BLOBS_NAME];
    PW_AUTO(pw_closep) int allowed = -1;
    blobs_name(t->sum, name);
    PW_AUTO(pw_freep) char *path = blobs_path(self->dir, name);
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int r = blobs_may_remove(self, &allowed, err);
    if (r < 0)
        return r;
    if (pw_fault("blobs.remove"))
        return pw_fail(err, PW_ESYS, "fault point blobs.remove");
    if (unlink(path) < 0 && errno != ENOENT)
        return pw_fail_sys(err, "removing \"%s\"", path);
    return 0;
}

static bool has_failed(const blobs *self, uint64_t attempt, uint64_t file)
{
    for (const task *t = self->failed; t; t = t->next)
        if (t->attempt == attempt && t->file == file)
            return true;
    return false;
}

/* What an attempt left unfinished. What stays is removed at the next start. */
static void remove_parts(const blobs *self, uint64_t attempt)
{
    PW_AUTO(pw_closep) int allowed = -1;
    if (blobs_may_remove(self, &allowed, NULL) < 0)
        return;
    DIR *d = opendir(self->in_dir);
    const struct dirent *e;
    while (d && (e = readdir(d))) {
        uint64_t a, f;
        if (!blobs_part_parse(e->d_name, &a, &f) || a != attempt || has_failed(self, a, f))
            continue;
        PW_AUTO(pw_freep) char *path = pw_path_join(self->in_dir, e->d_name);
        if (path)
            (void)unlink(path);
    }
    if (d)
        (void)closedir(d);
}

/* ---- the thread */
static void forget_failed(blobs *self, const task *t)
{
    for (task **at = &self->failed; *at; at = &(*at)->next)
        if ((*at)->attempt == t->attempt && (*at)->file == t->file) {
            task *old = *at;
            *at = old->next;
            free(old);
            return;
        }
}

/* With the lock, which is given up meanwhile. Never blocks for good: the receiver may be the one
 * who waits for this thread to end. */
static void pause_a_while(blobs *self)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += RETRY_NS;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    (void)pthread_cond_timedwait(&self->wake, &self->lock, &t);
}

static void answer(blobs *self, const task *t, int code, const pw_err *err)
{
    char why[128];
    blobs_answer *a;
    while (!(a = calloc(1, sizeof(*a))) && !self->stop)
        pause_a_while(self);
    if (!a)
        return;
    a->kind = t->kind == TASK_PUBLISH ? BLOBS_STORED : BLOBS_REMOVED;
    a->code = code;
    a->attempt = t->attempt;
    a->file = t->file;
    memcpy(a->sum, t->sum, BLOBS_SUM);
    if (code < 0)
        (void)snprintf(a->text, sizeof(a->text), "%s%s%s", err->text, err->sys ? ": " : "",
                       err->sys ? strerror_r(err->sys, why, sizeof(why)) : "");
    while (pw_chan_send(self->answers, a, NULL) < 0) {
        if (self->stop) {
            free(a);
            return;
        }
        pause_a_while(self);
    }
}

static void work(blobs *self, task *t)
{
    pw_err err = {0};
    int r = 0;
    if (t->kind == TASK_PUBLISH) {
        forget_failed(self, t);
        if ((r = publish(self, t, &err)) < 0)
            (void)pw_err_context(&err, "file %" PRIu64 " of attempt %" PRIu64, t->file, t->attempt);
    } else if (t->kind == TASK_REMOVE) {
        r = remove_blob(self, t, &err);
    } else {
        remove_parts(self, t->attempt);
    }
    (void)pthread_mutex_lock(&self->lock);
    if (t->kind != TASK_OVER)
        answer(self, t, r, &err);
    if (t->kind == TASK_PUBLISH && r < 0 && !self->stop) {
        t->next = self->failed;
        self->failed = t;
    } else {
        free(t);
    }
}

static void *thread_main(void *arg)
{
    blobs *self = arg;
    (void)pthread_mutex_lock(&self->lock);
    while (!self->stop) {
        task *t = self->tasks;
        if (!t) {
            (void)pthread_cond_wait(&self->wake, &self->lock);
            continue;
        }
        self->tasks = t->next;
        if (!self->tasks)
            self->tasks_end = &self->tasks;
        (void)pthread_mutex_unlock(&self->lock);
        work(self, t); /* comes back with the lock */
    }
    (void)pthread_mutex_unlock(&self->lock);
    return NULL;
}

int blobs_thread_start(blobs *self, pw_err *err)
{
    sigset_t all, old;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = pthread_create(&self->thread, NULL, thread_main, self);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r != 0)
        return pw_fail_at(err, __FILE__, __LINE__, PW_ESYS, r, "starting the thread of files");
    self->running = true;
    return 0;
}

static void free_tasks(task *t)
{
    while (t) {
        task *next = t->next;
        free(t);
        t = next;
    }
}

void blobs_thread_stop(blobs *self)
{
    if (self->running) {
        (void)pthread_mutex_lock(&self->lock);
        self->stop = true;
        (void)pthread_cond_signal(&self->wake);
        (void)pthread_mutex_unlock(&self->lock);
        (void)pthread_join(self->thread, NULL);
        self->running = false;
    }
    free_tasks(self->tasks);
    free_tasks(self->failed);
    self->tasks = self->failed = NULL;
}
