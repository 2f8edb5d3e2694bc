/* The way back: unpack into an empty directory, hold every sum, then a new epoch. */
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
#include "master/backup/names.h"
#include "master/backup/tar.h"
#include "master/store/deep.h"
#include "shared/base/fault.h"
#include "shared/base/fs.h"
#include "shared/base/num.h"
#include "shared/crypt/hash.h"
#include "shared/json/json.h"

typedef struct restore {
    const backup_options *o;
    backup_report *r;
    tar_in *tar;
    crypt_hasher *hash;
    pw_buf sums; /* of the files since the last member of sums, as that must be */
    uint64_t in_sums, n_sums;
    uint8_t *piece;
    uint64_t size; /* of the backup file */
    uid_t uid;
    gid_t gid;
    bool ended;
    pw_err *err;
} restore;

/* ---- the directory */
static void dir_closep(DIR **d)
{
    if (*d)
        (void)closedir(*d);
}

/* Removes everything but what `keep` names. */
static int sweep(const char *state, const char *keep, pw_err *err)
{
    PW_AUTO(dir_closep) DIR *d = opendir(state);
    const struct dirent *e;
    int r = d ? 0 : pw_fail_sys(err, "reading folder \"%s\"", state);
    while (r == 0 && (e = readdir(d))) {
        const char *n = e->d_name;
        if (strcmp(n, ".") == 0 || strcmp(n, "..") == 0 || strcmp(n, "lost+found") == 0 ||
            strcmp(n, "lock") == 0 || (keep && strcmp(n, keep) == 0))
            continue;
        PW_AUTO(pw_freep) char *path = pw_path_join(state, n);
        r = path ? pw_fs_remove_tree(path, err) : pw_fail(err, PW_ENOMEM, "out of memory");
    }
    return r;
}

static int check_empty(const char *state, pw_err *err)
{
    PW_AUTO(dir_closep) DIR *d = opendir(state);
    const struct dirent *e;
    if (!d)
        return pw_fail_sys(err, "reading folder \"%s\"", state);
    while ((e = readdir(d))) {
        const char *n = e->d_name;
        if (strcmp(n, ".") != 0 && strcmp(n, "..") != 0 && strcmp(n, "lost+found") != 0 &&
            strcmp(n, "lock") != 0)
            return pw_fail(err, PW_ECONFLICT,
                           "\"%s\" is not empty (\"%s\" is there): a restore wants an empty "
                           "directory. Move this one away, do not delete it before the restored "
                           "master works",
                           state, n);
    }
    return 0;
}

/* A directory that a restore left half full is emptied; *ret_lock keeps masters away. */
static int open_state(restore *x, int *ret_lock)
{
    const char *state = x->o->state;
    PW_AUTO(pw_freep) char *lock = pw_path_join(state, "lock");
    PW_AUTO(pw_freep) char *mark = pw_path_join(state, BACKUP_RESTORING);
    struct stat st;
    if (!lock || !mark)
        return pw_fail(x->err, PW_ENOMEM, "out of memory");
    int r = pw_fs_mkdirs(state, 0700, x->err);
    if (r < 0)
        return r;
    if (stat(state, &st) < 0)
        return pw_fail_sys(x->err, "looking at \"%s\"", state);
    x->uid = st.st_uid;
    x->gid = st.st_gid;
    if ((r = pw_fs_lock(lock, x->err)) < 0)
        return r == PW_EAGAIN ? pw_fail(x->err, PW_ECONFLICT, "a master runs on \"%s\"", state) : r;
    *ret_lock = r;
    if (access(mark, F_OK) == 0)
        r = sweep(state, BACKUP_RESTORING, x->err);
    else
        r = check_empty(state, x->err);
    return r < 0
               ? r
               : pw_fs_replace(mark, "a restore is under way, or was cut off\n", 39, 0600, x->err);
}

/* ---- members */
static bool known_place(const char *name)
{
    static const char *const files[] = {"pawl.db", "admin.token", "master.yaml"};
    static const char *const folders[] = {"keys/", "logs/", "artifacts/", "tries/", "mirrors/"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (strcmp(name, files[i]) == 0)
            return true;
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
        if (strncmp(name, folders[i], strlen(folders[i])) == 0)
            return true;
    return false;
}

static void give(const restore *x, const char *path)
{
    if (geteuid() == 0)
        (void)!lchown(path, x->uid, x->gid);
}

/* The folders of a member. Nothing but plain folders of our own making stands there. */
static int make_folders(const restore *x, const char *path)
{
    PW_AUTO(pw_freep) char *dir = pw_strf("%s", path);
    if (!dir)
        return pw_fail(x->err, PW_ENOMEM, "out of memory");
    for (char *p = dir + strlen(x->o->state) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        if (mkdir(dir, 0700) == 0)
            give(x, dir);
        else if (errno != EEXIST)
            return pw_fail_at(x->err, __FILE__, __LINE__, errno == ENOSPC ? PW_EFULL : PW_ESYS,
                              errno, "making folder \"%s\"", dir);
        *p = '/';
    }
    return 0;
}

static int note_sum(restore *x, const tar_member *m)
{
    uint8_t sum[CRYPT_HASH];
    char hex[2 * CRYPT_HASH + 1];
    crypt_hasher_end(x->hash, sum);
    pw_hex(sum, sizeof(sum), hex);
    x->in_sums++;
    x->r->files++;
    x->r->bytes += m->size;
    if (x->in_sums > BACKUP_SUMS_EVERY ||
        pw_buf_addf(&x->sums, "%s %" PRIu64 " %s\n", hex, m->size, m->name) < 0)
        return pw_fail(x->err, PW_ECORRUPT, "there are no sums");
    return 0;
}

static int unpack(restore *x, const tar_member *m)
{
    PW_AUTO(pw_freep) char *path = pw_path_join_beneath(x->o->state, m->name, x->err);
    PW_AUTO(pw_closep) int fd = -1;
    int64_t k;
    if (!path)
        return x->err->code;
    if (!known_place(m->name))
        return pw_fail(x->err, PW_ECORRUPT, "it does not belong into a backup");
    int r = make_folders(x, path);
    if (r < 0)
        return r;
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return pw_fail(x->err, PW_ECORRUPT, "it is there twice");
    if (fd < 0)
        return pw_fail_sys(x->err, "making \"%s\"", path);
    crypt_hasher_reset(x->hash);
    while ((k = tar_in_read(x->tar, x->piece, BACKUP_PIECE, x->err)) > 0) {
        crypt_hasher_add(x->hash, x->piece, (size_t)k);
        if ((r = pw_fault("restore.unpack")
                     ? pw_fail_at(x->err, __FILE__, __LINE__, PW_EFULL, ENOSPC, "writing")
                     : pw_fs_write_all(fd, x->piece, (size_t)k, x->err)) < 0)
            return r;
    }
    if (k < 0)
        return (int)k;
    give(x, path);
    if (x->o->progress)
        x->o->progress(x->o->progress_self, "files", tar_in_position(x->tar), x->size);
    return note_sum(x, m);
}

static int read_text(restore *x, const tar_member *m, size_t max, pw_buf *b)
{
    int64_t k;
    if (m->size > max)
        return pw_fail(x->err, PW_ECORRUPT, "it has %" PRIu64 " bytes", m->size);
    while ((k = tar_in_read(x->tar, x->piece, BACKUP_PIECE, x->err)) > 0)
        if (pw_buf_add(b, x->piece, (size_t)k) < 0)
            return pw_fail(x->err, PW_ENOMEM, "out of memory");
    return (int)k;
}

static int head(restore *x, const tar_member *m)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(BACKUP_HEAD_MAX);
    int r = read_text(x, m, BACKUP_HEAD_MAX, &b);
    if (r < 0)
        return r;
    PW_AUTO(json_freep) json_value *v = json_parse(pw_buf_str(&b), b.len, x->err);
    if (!v)
        return x->err->code == PW_ENOMEM ? PW_ENOMEM : (x->err->code = PW_ECORRUPT);
    int64_t format = json_int(json_get(v, "format"), 0);
    uint8_t epoch[8];
    if (format != BACKUP_FORMAT)
        return pw_fail(x->err, PW_ECONFLICT,
                       "this backup has format %" PRId64 ", this program knows %d: a newer version "
                       "has written it",
                       format, BACKUP_FORMAT);
    x->r->schema = (uint64_t)json_int(json_get(v, "schema"), 0);
    x->r->turn = (uint64_t)json_int(json_get(v, "turn"), 0);
    if (x->r->schema > STORE_SCHEMA)
        return pw_fail(x->err, PW_ECONFLICT,
                       "the database in it has schema %" PRIu64
                       ", this program knows up to %d: a newer version has written it",
                       x->r->schema, STORE_SCHEMA);
    if (pw_time_parse(json_str(json_get(v, "made"), ""), &x->r->made, NULL) < 0 ||
        !pw_unhex(json_str(json_get(v, "epoch"), ""), epoch, sizeof(epoch)))
        return pw_fail(x->err, PW_ECORRUPT, "it is damaged");
    for (size_t i = 0; i < sizeof(epoch); i++)
        x->r->epoch = x->r->epoch << 8 | epoch[i];
    return 0;
}

/* Line by line, so that the damaged member has a name. */
static int hold_sums(restore *x, const tar_member *m)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(BACKUP_SUMS_MAX);
    char name[40];
    int r = read_text(x, m, BACKUP_SUMS_MAX, &b);
    if (r < 0)
        return r;
    (void)snprintf(name, sizeof(name), BACKUP_SUMS "%08" PRIu64, ++x->n_sums);
    if (strcmp(name, m->name) != 0)
        return pw_fail(x->err, PW_ECORRUPT, "\"%s\" is missing before it", name);
    const char *want = pw_buf_str(&b), *have = pw_buf_str(&x->sums);
    while (*want || *have) {
        size_t w = strcspn(want, "\n"), h = strcspn(have, "\n");
        if (w != h || memcmp(want, have, w) != 0 || !want[w] || !have[h]) {
            const char *of = *have ? have : want;
            const char *at = memchr(of, ' ', strcspn(of, "\n"));
            at = at ? strchr(at + 1, ' ') : NULL;
            return pw_fail(x->err, PW_ECORRUPT, "member \"%.*s\" is damaged: its sum is wrong",
                           at ? (int)strcspn(at + 1, "\n") : 1, at ? at + 1 : "?");
        }
        want += w + 1;
        have += h + 1;
    }
    pw_buf_reset(&x->sums);
    x->in_sums = 0;
    return 0;
}

static int end(restore *x, const tar_member *m)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(BACKUP_HEAD_MAX);
    int r = read_text(x, m, BACKUP_HEAD_MAX, &b);
    if (r < 0)
        return r;
    PW_AUTO(json_freep) json_value *v = json_parse(pw_buf_str(&b), b.len, x->err);
    if (!v)
        return x->err->code == PW_ENOMEM ? PW_ENOMEM : (x->err->code = PW_ECORRUPT);
    if (x->in_sums || (uint64_t)json_int(json_get(v, "files"), -1) != x->r->files ||
        (uint64_t)json_int(json_get(v, "bytes"), -1) != x->r->bytes)
        return pw_fail(x->err, PW_ECORRUPT, "files are missing before it");
    x->r->missing = (uint64_t)json_int(json_get(v, "missing"), 0);
    (void)snprintf(x->r->first_missing, sizeof(x->r->first_missing), "%s",
                   json_str(json_get(v, "first_missing"), ""));
    x->ended = true;
    return 0;
}

static int members(restore *x)
{
    tar_member m;
    char last[TAR_NAME_MAX + 1] = "the beginning";
    int r;
    for (uint64_t n = 0; (r = tar_in_next(x->tar, &m, x->err)) > 0; n++) {
        if (x->ended)
            return pw_fail(x->err, PW_ECORRUPT, "\"%.200s\" stands behind the end", m.name);
        if (n == 0 && strcmp(m.name, BACKUP_HEAD) != 0)
            return pw_fail(x->err, PW_ECORRUPT, "it is no backup of pawl-master");
        if (n == 0)
            r = head(x, &m);
        else if (strncmp(m.name, BACKUP_SUMS, strlen(BACKUP_SUMS)) == 0)
            r = hold_sums(x, &m);
        else if (strcmp(m.name, BACKUP_END) == 0)
            r = end(x, &m);
        else
            r = unpack(x, &m);
        if (r < 0)
            return pw_err_context(x->err, "member \"%.200s\"", m.name), r;
        memcpy(last, m.name, sizeof(last));
    }
    if (r < 0)
        return pw_err_context(x->err, "behind member \"%.200s\"", last), r;
    return x->ended ? 0 : pw_fail(x->err, PW_ECORRUPT, "its end is missing");
}

/* ---- the database */
static int new_epoch(restore *x)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(x->o->state, "pawl.db");
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF((size_t)8 * 1024 * 1024);
    uint64_t gen;
    if (!path)
        return pw_fail(x->err, PW_ENOMEM, "out of memory");
    if (access(path, F_OK) < 0)
        return pw_fail(x->err, PW_ECORRUPT, "there is no database in it");
    PW_AUTO(store_closep) store *st = store_open(path, x->o->host, x->err);
    if (!st)
        return x->err->code;
    if (store_epoch(st) != x->r->epoch)
        return pw_fail(x->err, PW_ECORRUPT, "the database is of another epoch than the head says");
    int r = store_restored(st, x->o->file, pw_wall(x->o->host), &x->r->messages, x->err);
    if (r < 0)
        return r;
    x->r->new_epoch = store_epoch(st);
    x->r->has_config = store_config_last(st, &gen, &text, NULL) == 0;
    return 0;
}

static int finish(restore *x)
{
    PW_AUTO(pw_freep) char *mark = pw_path_join(x->o->state, BACKUP_RESTORING);
    PW_AUTO(pw_closep) int dir = open(x->o->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!mark)
        return pw_fail(x->err, PW_ENOMEM, "out of memory");
    if (dir < 0 || syncfs(dir) < 0)
        return pw_fail_sys(x->err, "syncing \"%s\"", x->o->state);
    static const char *const owned[] = {"pawl.db", "pawl.db-wal", "pawl.db-shm", "lock"};
    for (size_t i = 0; i < sizeof(owned) / sizeof(owned[0]); i++) {
        PW_AUTO(pw_freep) char *path = pw_path_join(x->o->state, owned[i]);
        if (path)
            give(x, path);
    }
    /* from here on a master starts */
    if (unlink(mark) < 0)
        return pw_fail_sys(x->err, "removing \"%s\"", mark);
    return pw_fs_sync_dir(x->o->state, x->err);
}

int backup_restore(const backup_options *o, backup_report *ret, pw_err *err)
{
    pw_err own = {0};
    backup_report report = {0};
    restore x = {.o = o, .r = &report, .sums = PW_BUF(BACKUP_SUMS_MAX), .err = err ? err : &own};
    PW_AUTO(pw_closep) int lock = -1;
    PW_AUTO(pw_closep) int fd = open(o->file, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return pw_fail_at(x.err, __FILE__, __LINE__, errno == ENOENT ? PW_ENOTFOUND : PW_ESYS,
                          errno, "opening backup \"%s\"", o->file);
    x.size = (uint64_t)st.st_size;
    int r = open_state(&x, &lock);
    if (r < 0)
        return r;
    if (!(x.tar = tar_in_new(fd, x.err)) || !(x.hash = crypt_hasher_new(x.err)))
        r = x.err->code;
    else if (!(x.piece = malloc(BACKUP_PIECE)))
        r = pw_fail(x.err, PW_ENOMEM, "out of memory");
    if (r == 0)
        r = members(&x);
    if (r < 0)
        (void)pw_err_context(x.err, "backup \"%s\"", o->file);
    if (r == 0 && (r = new_epoch(&x)) == 0)
        r = finish(&x);
    x.tar = tar_in_free(x.tar);
    x.hash = crypt_hasher_free(x.hash);
    free(x.piece);
    pw_buf_clear(&x.sums);
    if (r < 0) { /* the mark goes last: what is half there is never taken for a state */
        if (sweep(o->state, BACKUP_RESTORING, NULL) == 0)
            (void)sweep(o->state, NULL, NULL);
        return r;
    }
    *ret = report;
    return 0;
}
