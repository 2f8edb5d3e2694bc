/* Making a backup: the database first, then the files that it names (rules 7.1). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/backup/backup.h"
#include "master/blobs/blobs.h"
#include "master/backup/names.h"
#include "master/backup/tar.h"
#include "master/store/deep.h"
#include "shared/base/fault.h"
#include "shared/base/fs.h"
#include "shared/base/num.h"
#include "shared/crypt/hash.h"

typedef struct make {
    const backup_options *o;
    backup_report *r;
    tar_out *tar;
    crypt_hasher *hash;
    pw_buf sums;
    uint64_t n_sums, in_sums; /* members of sums so far; files in the next one */
    uint8_t *piece;
    bool any_sum;
    uint8_t last_sum[BLOBS_SUM]; /* of files of builds, the one before */
    pw_err *err;
} make;

static void tell(const make *m, const char *what, uint64_t done, uint64_t total)
{
    if (m->o->progress)
        m->o->progress(m->o->progress_self, what, done, total);
}

/* ---- members */
static int add_text(make *m, const char *name, const char *text, size_t n)
{
    int r = tar_out_member(m->tar, name, n, m->r->made / 1000, m->err);
    return r < 0 ? r : tar_out_add(m->tar, text, n, m->err);
}

static int put_sums(make *m)
{
    char name[40];
    if (m->in_sums == 0)
        return 0;
    (void)snprintf(name, sizeof(name), BACKUP_SUMS "%08" PRIu64, ++m->n_sums);
    int r = add_text(m, name, m->sums.p, m->sums.len);
    pw_buf_reset(&m->sums);
    m->in_sums = 0;
    return r;
}

static int note_sum(make *m, const char *name, uint64_t size)
{
    uint8_t sum[CRYPT_HASH];
    char hex[2 * CRYPT_HASH + 1];
    crypt_hasher_end(m->hash, sum);
    pw_hex(sum, sizeof(sum), hex);
    if (pw_buf_addf(&m->sums, "%s %" PRIu64 " %s\n", hex, size, name) < 0)
        return pw_fail(m->err, PW_ENOMEM, "out of memory");
    m->r->files++;
    m->r->bytes += size;
    return ++m->in_sums < BACKUP_SUMS_EVERY ? 0 : put_sums(m);
}

/* As long as it was when it was opened: what is appended meanwhile is of later commits. */
static int add_fd(make *m, const char *name, int fd, const char *path)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return pw_fail_sys(m->err, "looking at \"%s\"", path);
    if (!S_ISREG(st.st_mode))
        return pw_fail(m->err, PW_EINVAL, "\"%s\" is not a plain file", path);
    uint64_t size = (uint64_t)st.st_size, at = 0;
    int r = tar_out_member(m->tar, name, size, st.st_mtime, m->err);
    crypt_hasher_reset(m->hash);
    while (r == 0 && at < size) {
        size_t n = size - at < BACKUP_PIECE ? (size_t)(size - at) : BACKUP_PIECE;
        r = pw_fs_pread_all(fd, m->piece, n, (off_t)at, m->err);
        if (r < 0)
            return pw_err_context(m->err, "reading \"%s\"", path), r;
        crypt_hasher_add(m->hash, m->piece, n);
        r = tar_out_add(m->tar, m->piece, n, m->err);
        at += n;
    }
    if (r == 0)
        r = note_sum(m, name, size);
    if (r == 0)
        tell(m, "files", m->r->bytes, 0);
    return r;
}

/* path NULL: STATE/name. 0 when it is absent and `wanted` is false; counted as missing else. */
static int add_file(make *m, const char *name, const char *path, bool wanted)
{
    PW_AUTO(pw_freep) char *own = path ? pw_strf("%s", path) : pw_path_join(m->o->state, name);
    if (!own)
        return pw_fail(m->err, PW_ENOMEM, "out of memory");
    PW_AUTO(pw_closep) int fd = open(own, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0)
        return add_fd(m, name, fd, own);
    if (errno != ENOENT)
        return pw_fail_sys(m->err, "opening \"%s\"", own);
    if (wanted && m->r->missing++ == 0)
        (void)snprintf(m->r->first_missing, sizeof(m->r->first_missing), "%s", name);
    return 0;
}

/* ---- what the rows name */
static int add_segment(void *p, uint64_t segment)
{
    PW_AUTO(pw_freep) char *name = pw_strf("logs/seg/%08" PRIu64 ".seg", segment);
    return name ? add_file(p, name, NULL, true) : PW_ENOMEM;
}

static int add_sealed(void *p, const store_log *l)
{
    PW_AUTO(pw_freep)
    char *name = pw_strf("logs/%02x/%" PRIu64 "-%" PRIu64 "-%" PRIu64 ".log",
                         (unsigned)(l->attempt % 256), l->attempt, l->idx, l->stream);
    return name ? add_file(p, name, NULL, true) : PW_ENOMEM;
}

/* What comes in was added before: what was put in place meanwhile is found here. Rows come in the
 * order of sums, each of which is wanted once. */
static int add_artifact(void *p, const store_artifact *a)
{
    make *m = p;
    char name[BLOBS_NAME];
    if (m->any_sum && memcmp(m->last_sum, a->sha256, sizeof(m->last_sum)) == 0)
        return 0;
    m->any_sum = true;
    memcpy(m->last_sum, a->sha256, sizeof(m->last_sum));
    blobs_name(a->sha256, name);
    PW_AUTO(pw_freep) char *path = pw_strf("artifacts/%s", name);
    return path ? add_file(m, path, NULL, a->state == FILE_STORED) : PW_ENOMEM;
}

/* One may be forgotten meanwhile: its builds are. */
static int add_try(void *p, uint64_t project, uint64_t number)
{
    PW_AUTO(pw_freep)
    char *name = pw_strf("tries/%" PRIu64 "-%" PRIu64 ".bundle", project, number);
    return name ? add_file(p, name, NULL, false) : PW_ENOMEM;
}

/* ---- whole folders */

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int not_dots(const struct dirent *e)
{
    return strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
}

/* In order of names. Of a mirror the refs come before the objects (they are never removed), so that
 * each ref in the backup has its object there. */
static int add_tree(make *m, const char *name, int depth)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(m->o->state, name);
    struct dirent **list = NULL;
    if (!path)
        return pw_fail(m->err, PW_ENOMEM, "out of memory");
    if (depth > 30)
        return pw_fail(m->err, PW_ELIMIT, "\"%s\" is too deep", path);
    int n = scandir(path, &list, not_dots, by_name), r = 0;
    if (n < 0)
        return errno == ENOENT ? 0 : pw_fail_sys(m->err, "reading folder \"%s\"", path);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; r == 0 && i < n; i++) {
            bool objects = strcmp(list[i]->d_name, "objects") == 0;
            struct stat st;
            if (objects != (pass == 1))
                continue;
            PW_AUTO(pw_freep) char *sub = pw_path_join(name, list[i]->d_name);
            PW_AUTO(pw_freep) char *full = pw_path_join(path, list[i]->d_name);
            if (!sub || !full)
                r = pw_fail(m->err, PW_ENOMEM, "out of memory");
            else if (lstat(full, &st) < 0)
                r = errno == ENOENT ? 0 : pw_fail_sys(m->err, "looking at \"%s\"", full);
            else if (S_ISDIR(st.st_mode))
                r = add_tree(m, sub, depth + 1);
            else if (S_ISREG(st.st_mode))
                r = add_file(m, sub, NULL, false);
        }
    }
    while (n-- > 0)
        free(list[n]);
    free(list);
    return r;
}

/* ---- the whole */
static int add_head(make *m)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(BACKUP_HEAD_MAX);
    char made[PW_TIME_MAX];
    (void)pw_buf_addf(&b,
                      "{\"format\":%d,\"version\":\"%s\",\"made\":\"%s\",\"schema\":%" PRIu64
                      ",\"epoch\":\"%016" PRIx64 "\",\"turn\":%" PRIu64 ",\"mirrors\":%s}\n",
                      BACKUP_FORMAT, PW_VERSION, pw_time_text(m->r->made, made), m->r->schema,
                      m->r->epoch, m->r->turn, m->o->mirrors ? "true" : "false");
    return b.failed ? pw_fail(m->err, PW_ENOMEM, "out of memory")
                    : add_text(m, BACKUP_HEAD, b.p, b.len);
}

static int add_end(make *m)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(BACKUP_HEAD_MAX);
    int r = put_sums(m);
    if (r < 0)
        return r;
    (void)pw_buf_addf(&b,
                      "{\"files\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"missing\":%" PRIu64
                      ",\"first_missing\":",
                      m->r->files, m->r->bytes, m->r->missing);
    (void)pw_buf_json(&b, m->r->first_missing);
    (void)pw_buf_adds(&b, "}\n");
    return b.failed ? pw_fail(m->err, PW_ENOMEM, "out of memory")
                    : add_text(m, BACKUP_END, b.p, b.len);
}

static int add_all(make *m, const char *db)
{
    PW_AUTO(store_deep_closep) store_deep *rows = store_deep_open(db, m->err);
    store_facts f;
    int r;
    if (!rows)
        return m->err->code;
    if ((r = store_deep_facts(rows, &f, m->err)) < 0)
        return r;
    m->r->schema = f.schema;
    m->r->epoch = f.epoch;
    m->r->turn = f.turn;
    if ((r = add_head(m)) < 0 || (r = add_file(m, "pawl.db", db, true)) < 0 ||
        (r = add_tree(m, "keys", 0)) < 0 || (r = add_file(m, "admin.token", NULL, true)) < 0 ||
        (r = add_file(m, "master.yaml", NULL, false)) < 0 ||
        (r = store_deep_segments(rows, add_segment, m, m->err)) < 0 ||
        (r = store_deep_sealed(rows, add_sealed, m, m->err)) < 0 ||
        (r = add_tree(m, "artifacts/in", 0)) < 0 ||
        (r = store_deep_artifacts(rows, add_artifact, m, m->err)) < 0 ||
        (r = store_deep_tries(rows, add_try, m, m->err)) < 0)
        return r;
    if (m->o->mirrors && (r = add_tree(m, "mirrors", 0)) < 0)
        return r;
    return add_end(m);
}

/* A backup by root leaves nothing in the state directory that its owner cannot use. */
static void as_owner(const char *state, const char *path)
{
    struct stat st;
    if (geteuid() == 0 && stat(state, &st) == 0)
        (void)!lchown(path, st.st_uid, st.st_gid);
}

static int write_archive(make *m, int fd, const char *db)
{
    int r = ftruncate(fd, 0) < 0 ? pw_fail_sys(m->err, "emptying the file") : 0;
    if (r == 0 && (!(m->tar = tar_out_new(fd, m->err)) || !(m->hash = crypt_hasher_new(m->err)) ||
                   !(m->piece = malloc(BACKUP_PIECE))))
        r = m->err->code ? m->err->code : pw_fail(m->err, PW_ENOMEM, "out of memory");
    if (r == 0)
        r = add_all(m, db);
    if (r == 0)
        r = tar_out_end(m->tar, &m->r->packed, m->err);
    if (r == 0 && fsync(fd) < 0)
        r = pw_fail_at(m->err, __FILE__, __LINE__, errno == ENOSPC ? PW_EFULL : PW_ESYS, errno,
                       "syncing");
    m->tar = tar_out_free(m->tar);
    m->hash = crypt_hasher_free(m->hash);
    free(m->piece);
    pw_buf_clear(&m->sums);
    return r;
}

static int publish(const backup_options *o, const char *tmp, pw_err *err)
{
    PW_AUTO(pw_freep) char *dir = pw_strf("%s", o->file);
    char *slash = dir ? strrchr(dir, '/') : NULL;
    if (!dir)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (pw_fault("backup.rename"))
        return pw_fail(err, PW_ESYS, "fault point backup.rename");
    if (rename(tmp, o->file) < 0)
        return pw_fail_sys(err, "renaming \"%s\"", tmp);
    if (slash && slash != dir)
        *slash = '\0';
    return pw_fs_sync_dir(slash ? (slash == dir ? "/" : dir) : ".", err);
}

/* For the one who needs it: what is there to go back to. Not vital. */
static void remember(const backup_options *o, const backup_report *r)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(o->state, BACKUP_LAST);
    PW_AUTO(pw_freep) char *full = realpath(o->file, NULL);
    char made[PW_TIME_MAX];
    PW_AUTO(pw_freep)
    char *text = full ? pw_strf("%s %s\n", pw_time_text(r->made, made), full) : NULL;
    if (path && text && pw_fs_replace(path, text, strlen(text), 0600, NULL) == 0)
        as_owner(o->state, path);
}

static void copied(void *p, uint64_t done, uint64_t total)
{
    tell(p, "database", done, total);
}

int backup_make(const backup_options *o, backup_report *ret, pw_err *err)
{
    pw_err own = {0};
    backup_report report = {.made = pw_wall(o->host)};
    make m = {.o = o, .r = &report, .sums = PW_BUF(BACKUP_SUMS_MAX), .err = err ? err : &own};
    PW_AUTO(pw_freep) char *db = pw_path_join(o->state, "pawl.db");
    PW_AUTO(pw_freep) char *lock_path = pw_path_join(o->state, BACKUP_LOCK);
    PW_AUTO(pw_freep) char *tmp = pw_strf("%s.tmp", o->file);
    PW_AUTO(pw_freep) char *copy = pw_strf("%s.db.tmp", o->file);
    PW_AUTO(pw_closep) int lock = -1;
    PW_AUTO(pw_closep) int fd = -1;
    if (!db || !lock_path || !tmp || !copy)
        return pw_fail(m.err, PW_ENOMEM, "out of memory");
    if (access(db, F_OK) < 0)
        return pw_fail_at(m.err, __FILE__, __LINE__, PW_ENOTFOUND, errno,
                          "there is no state of a master in \"%s\"", o->state);
    if ((lock = pw_fs_lock_shared(lock_path, m.err)) < 0)
        return lock;
    as_owner(o->state, lock_path);
    /* also the place of what a killed backup left behind */
    if ((fd = pw_fs_lock(tmp, m.err)) < 0)
        return fd == PW_EAGAIN
                   ? pw_fail(m.err, PW_EAGAIN, "another backup writes \"%s\" just now", o->file)
                   : fd;
    pw_usec began = pw_now(o->host);
    int r = store_copy(db, copy, copied, &m, m.err);
    report.copy_us = (uint64_t)(pw_now(o->host) - began);
    if (r == 0)
        r = write_archive(&m, fd, copy);
    (void)unlink(copy);
    if (r == 0)
        r = publish(o, tmp, m.err);
    if (r < 0) {
        (void)unlink(tmp);
        return pw_err_context(m.err, "backup to \"%s\"", o->file), r;
    }
    remember(o, &report);
    *ret = report;
    return 0;
}
