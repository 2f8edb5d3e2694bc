#include "worker/run/take.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shared/base/fault.h"
#include "shared/base/fs.h"
#include "shared/crypt/hash.h"
#include "shared/scan/glob.h"

typedef struct finder {
    run_job *r;
    const take_spec *spec;
    take_result *ret;
    glob_list *globs; /* owned; NULL: everything matches */
    int root;         /* owned */
    uid_t owner;      /* of the root */
    char path[2 * PW_PATH_MAX];
    size_t path_len;
    char **found; /* owned, each owned */
    size_t n, cap, looked;
    uint8_t *piece; /* owned */
    crypt_sha256 *hash;
} finder;

static void say(finder *f, const char *path, const char *why)
{
    pw_usec now = pw_now(f->r->host->clock);
    if (f->ret->refused++ < TAKE_SAID)
        out_say(&f->r->stream[0], now, pw_wall(f->r->host->clock), "pawl: not taken: %.300s: %s",
                path, why);
}

/* ---- finding */
static int found(finder *f, pw_err *err)
{
    if (f->n == f->cap) {
        size_t cap = f->cap ? 2 * f->cap : 64;
        char **v = realloc(f->found, cap * sizeof(*v));
        if (!v)
            return pw_fail(err, PW_ENOMEM, "out of memory");
        f->found = v;
        f->cap = cap;
    }
    bool failed = false;
    f->found[f->n] = pw_strdup(f->path, &failed);
    if (failed)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    f->n++;
    return 0;
}

/* Bytes of the glob that name folders literally. */
static size_t literal(const char *glob)
{
    size_t plain = strcspn(glob, "*?[{\\");
    while (plain > 0 && glob[plain - 1] != '/')
        plain--;
    return plain;
}

/* Whether anything below the folder `path` may match: so that a walk for dist/x.tar does not read a
 * whole tree. */
static bool may_hold(const finder *f, const char *path)
{
    size_t n = strlen(path);
    for (size_t i = 0; f->spec->globs && i < f->spec->globs->n; i++) {
        const char *glob = f->spec->globs->v[i];
        size_t k = literal(glob); /* with the slash behind it, or 0 */
        if (*glob == '!')
            continue;
        bool regex = *glob == '/';
        bool below = k == 0 || (n >= k - 1 && strncmp(glob, path, k - 1) == 0 &&
                                (n == k - 1 || path[k - 1] == '/'));
        bool above = k > n && strncmp(glob, path, n) == 0 && glob[n] == '/';
        if ((regex || below || above) &&
            (strcmp(path, ".git") != 0 || strncmp(glob, ".git/", 5) == 0))
            return true;
    }
    return !f->spec->globs;
}

static int walk(finder *f, int dir, int depth, pw_err *err);

static int into(finder *f, int dir, const char *name, int depth, pw_err *err)
{
    if (depth == TAKE_DEPTH || !may_hold(f, f->path))
        return 0;
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) /* gone, or not ours to read: there is nothing to take */
        return 0;
    return walk(f, fd, depth + 1, err);
}

static int one_name(finder *f, int dir, const char *name, int depth, pw_err *err)
{
    struct stat st;
    size_t before = f->path_len;
    int rc = 0;
    if (++f->looked > TAKE_LOOKED)
        return pw_fail(err, PW_ELIMIT, "more than %d names in %s", TAKE_LOOKED, f->spec->root);
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    int n = snprintf(f->path + before, sizeof(f->path) - before, "%s%s", before ? "/" : "", name);
    if (n < 0 || (size_t)n >= sizeof(f->path) - before) {
        f->path[before] = '\0';
        return 0; /* longer than any path that is taken */
    }
    f->path_len += (size_t)n;
    if (S_ISDIR(st.st_mode))
        rc = into(f, dir, name, depth, err);
    else if (!f->globs || glob_match(f->globs, f->path))
        rc = found(f, err);
    f->path[before] = '\0';
    f->path_len = before;
    return rc;
}

/* dir is taken. */
static int walk(finder *f, int dir, int depth, pw_err *err)
{
    DIR *d = fdopendir(dir);
    const struct dirent *e;
    int rc = 0;
    if (!d) {
        pw_closep(&dir);
        return pw_fail_sys(err, "cannot read %s", f->spec->root);
    }
    while (rc == 0 && (e = readdir(d)))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            rc = one_name(f, dirfd(d), e->d_name, depth, err);
    (void)closedir(d);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* ---- one file */
/* Beneath the root whatever links and folders on the way have become. -1: refused, and said. */
static int open_file(finder *f, const char *path, struct stat *st)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    PW_AUTO(pw_closep) int at = (int)syscall(SYS_openat2, f->root, path, &how, sizeof(how));
    char name[40], why[100];
    if (at < 0 && (errno == ENOSYS || errno == EPERM)) /* no link at all, then */
        at = pw_fs_open_beneath(f->spec->root, path, O_PATH, 0, NULL);
    if (at < 0 || fstat(at, st) < 0) {
        say(f, path,
            errno == EXDEV ? "it leads out of the folder" : strerror_r(errno, why, sizeof(why)));
        return -1;
    }
    const char *bad = S_ISDIR(st->st_mode)    ? "it leads to a folder"
                      : S_ISFIFO(st->st_mode) ? "it is a FIFO"
                      : S_ISSOCK(st->st_mode) ? "it is a socket"
                      : S_ISLNK(st->st_mode)  ? "it is a link"
                      : !S_ISREG(st->st_mode) ? "it is a device"
                      : st->st_nlink > 1 && st->st_uid != f->owner
                          ? "it is a hard link to another user's file"
                          : NULL;
    if (bad) {
        say(f, path, bad);
        return -1;
    }
    (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", at);
    int fd = open(name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        say(f, path, strerror_r(errno, why, sizeof(why)));
    return fd;
}

/* A full disk is waited for. */
static int put_piece(run_job *r, const rec_piece *piece, pw_err *err)
{
    pw_usec until = pw_now(r->host->clock) + r->host->give_up;
    for (;;) {
        pw_err why = {0};
        int rc = pw_fault("run.piece") ? pw_fail(&why, PW_EFULL, "no room for a piece")
                                       : writer_piece(&r->writer, piece, &why);
        writer_tick(&r->writer, pw_now(r->host->clock));
        run_listen(r);
        if (r->deadline && pw_now(r->host->clock) >= r->deadline)
            r->timed_out = true;
        if (rc == 0 || run_over(r))
            return 0;
        if (rc != PW_EFULL && rc != PW_ESYS) {
            *err = why;
            return rc;
        }
        if (pw_now(r->host->clock) >= until) {
            r->no_room = true;
            return 0;
        }
        (void)poll(NULL, 0, (int)(r->host->retry / 1000));
    }
}

static int put_record(finder *f, const char *path, const struct stat *st, uint64_t size,
                      pw_err *err)
{
    uint8_t sum[CRYPT_HASH];
    run_job *r = f->r;
    crypt_sha256_end(f->hash, sum);
    rec_file rec = {.file = r->files,
                    .step = f->spec->step,
                    .kind = f->spec->kind,
                    .path = (char *)(uintptr_t)path,
                    .size = size,
                    .mode = st->st_mode & 07777,
                    .sha256 = {sum, sizeof(sum)},
                    .keep_ms = f->spec->keep_ms};
    int rc = writer_record(&r->writer, PW_REC_FILE, &rec_file_schema, &rec, err);
    if (rc == 0 && pw_fault("run.file"))
        rc = pw_fail(err, PW_ESYS, "fault point run.file");
    return rc;
}

/* Bytes of the file up to its end or to the bound of the build. */
static int copy(finder *f, int fd, uint64_t *size, pw_err *err)
{
    run_job *r = f->r;
    const take_reader *along = f->spec->reader;
    uint64_t most = f->spec->kind == PW_FILE_SUMMARY ? SUMMARY_MAX - r->summary_bytes
                                                     : r->spec.files_bytes - r->file_bytes;
    crypt_sha256_reset(f->hash);
    for (*size = 0; !run_over(r);) {
        ssize_t n = read(fd, f->piece, PW_PIECE_MAX);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return pw_fail_sys(err, "cannot read it");
        if (n == 0)
            return 0;
        if ((uint64_t)n > most - *size) {
            f->ret->too_much = true;
            return 0;
        }
        crypt_sha256_add(f->hash, f->piece, (size_t)n);
        if (along && along->bytes)
            along->bytes(along->self, f->piece, (size_t)n);
        rec_piece piece = {r->files, *size, f->piece, (size_t)n};
        int rc = put_piece(r, &piece, err);
        if (rc < 0)
            return rc;
        *size += (size_t)n;
    }
    return 0;
}

static int take_one(finder *f, const char *path, pw_err *err)
{
    run_job *r = f->r;
    const take_reader *along = f->spec->reader;
    struct stat st;
    uint64_t size = 0;
    pw_err why = {0};
    if (!rec_path_ok(path)) {
        say(f, path, "its name is no text, or too long");
        return 0;
    }
    PW_AUTO(pw_closep) int fd = open_file(f, path, &st);
    if (fd < 0)
        return 0;
    if (r->files >= PW_FILES_MAX ||
        (f->spec->kind != PW_FILE_SUMMARY && r->files >= r->spec.files_max)) {
        f->ret->too_much = true;
        return 0;
    }
    if (along && along->begin)
        along->begin(along->self, path);
    int rc = copy(f, fd, &size, &why);
    if (rc == 0 && !f->ret->too_much && !run_over(r)) {
        rc = put_record(f, path, &st, size, &why);
        f->ret->files++;
        *(f->spec->kind == PW_FILE_SUMMARY ? &r->summary_bytes : &r->file_bytes) += size;
    } else if (rc == PW_ESYS) { /* the file's own trouble */
        char text[100];
        say(f, path, why.sys ? strerror_r(why.sys, text, sizeof(text)) : why.text);
        rc = 0;
    }
    r->files++;
    if (along && along->end && rc == 0 && !f->ret->too_much && !run_over(r))
        along->end(along->self);
    if (rc < 0 && err)
        *err = why;
    return rc;
}

static int take_all(finder *f, pw_err *err)
{
    struct stat st;
    if (f->root < 0 || fstat(f->root, &st) < 0)
        return pw_fail_sys(err, "cannot read %s", f->spec->root);
    f->owner = st.st_uid;
    int again = openat(f->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = again < 0 ? pw_fail_sys(err, "cannot read %s", f->spec->root) : walk(f, again, 0, err);
    if (f->n > 1)
        qsort(f->found, f->n, sizeof(*f->found), by_name);
    for (size_t i = 0; rc == 0 && i < f->n && !f->ret->too_much && !run_over(f->r); i++)
        rc = take_one(f, f->found[i], err);
    if (f->ret->refused > TAKE_SAID) {
        char text[40];
        (void)snprintf(text, sizeof(text), "and %zu more", f->ret->refused - TAKE_SAID);
        out_say(&f->r->stream[0], pw_now(f->r->host->clock), pw_wall(f->r->host->clock),
                "pawl: not taken: %s", text);
    }
    return rc;
}

int take_files(run_job *r, const take_spec *spec, take_result *ret, pw_err *err)
{
    finder f = {.r = r, .spec = spec, .ret = ret};
    int rc = 0;
    *ret = (take_result){0};
    if (spec->globs && !(f.globs = glob_parse(GLOB_PATH, spec->globs->v, spec->globs->n, err)))
        return PW_EINVAL;
    f.root = open(spec->root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (!(f.piece = malloc(PW_PIECE_MAX)) || !(f.hash = crypt_sha256_new(err)))
        rc = pw_fail(err, PW_ENOMEM, "out of memory");
    if (rc == 0)
        rc = take_all(&f, err);
    for (size_t i = 0; i < f.n; i++)
        free(f.found[i]);
    free(f.found);
    free(f.piece);
    f.hash = crypt_sha256_free(f.hash);
    f.globs = glob_free(f.globs);
    pw_closep(&f.root);
    return rc;
}
