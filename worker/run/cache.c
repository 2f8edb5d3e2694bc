/* `cache`: folders of the work directory that are kept on this machine under a key, as
 * SPOOL/cache/PROJECT/HASH.tar with the key beside it. The step brings them back; a step that
 * Pawl puts behind the builder's own ones keeps them, unless that key is there already. A tar is
 * only ever made whole and renamed, never changed; the oldest by use go when all are larger than
 * the limit. It is a cache: whatever is wrong with it costs time, never a build. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "worker/run/kinds.h"
#include "worker/run/steps.h"
#include "worker/run/workdir.h"

enum { KEY_MAX = 512, TARS_MAX = 100000 };
/* in TMPDIR; two names, since the first is another name of a file that must not change */
#define TAR_IN "pawl-cache-in.tar"
#define TAR_OUT "pawl-cache-out.tar"

/* Two sums of 64 bits: keys hold characters that file names do not. */
static void hash_name(const char *key, size_t n, char out[40])
{
    uint64_t a = 14695981039346656037ULL, b = 0x9e3779b97f4a7c15ULL;
    for (size_t i = 0; i < n; i++) {
        a = (a ^ (unsigned char)key[i]) * 1099511628211ULL;
        b = (b + (unsigned char)key[i]) * 0xff51afd7ed558ccdULL;
        b ^= b >> 29;
    }
    (void)snprintf(out, 40, "%016" PRIx64 "%016" PRIx64, a, b);
}

/* SPOOL/cache/PROJECT, made. Owned. */
static char *folder(const run_job *r, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf name = PW_BUF(1000);
    int rc = workdir_name(r->spec.project, &name);
    PW_AUTO(pw_freep)
    char *dir = rc < 0 ? NULL : pw_strf("%s/cache/%s", r->host->spool, pw_buf_str(&name));
    if (!dir)
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
    return dir && pw_fs_mkdirs(dir, 0700, err) == 0 ? pw_take(dir) : NULL;
}

/* The key with its properties, and behind it a sum of the files that it names. */
static int key_text(const run_job *r, const job_step *s, const char *dir, pw_buf *key, pw_err *err)
{
    const char *files = with_get(s, "hash_files");
    int rc = with_text(r, s, "key", key, err);
    PW_AUTO(pw_buf_clearp) pw_buf all = PW_BUF((size_t)256 * 1024 * 1024);
    for (const char *p = files; rc == 0 && p && *p;) {
        size_t n = strcspn(p, "\n");
        PW_AUTO(pw_freep) char *name = strndup(p, n);
        if (!name)
            return pw_fail(err, PW_ENOMEM, "out of memory");
        (void)pw_buf_addf(&all, "%s%c", name, '\0');
        rc = with_file(dir, name, &all, err);
        if (rc == PW_ENOTFOUND) /* one that is not there is a state like others */
            rc = 0;
        p += n + (p[n] == '\n');
    }
    if (rc == 0 && files) {
        char sum[40];
        hash_name(all.p ? all.p : "", all.len, sum);
        rc = pw_buf_addf(key, "-%s", sum);
    }
    if (rc == 0 && (!key->len || strpbrk(pw_buf_str(key), "\r\n")))
        rc = pw_fail(err, PW_EINVAL, "the key must be one line, and not empty");
    return rc;
}

static char *tar_path(const char *dir, const char *key, const char *suffix)
{
    char name[40];
    hash_name(key, strlen(key), name);
    return pw_strf("%s/%s.%s", dir, name, suffix);
}

/* The newest whose key begins so. Owned key; NULL: there is none. */
static char *nearest(const char *dir, const char *prefix)
{
    DIR *d = opendir(dir);
    const struct dirent *e;
    char *best = NULL;
    struct timespec when = {0};
    for (size_t i = 0; d && i < TARS_MAX && (e = readdir(d)); i++) {
        PW_AUTO(pw_buf_clearp) pw_buf key = PW_BUF(KEY_MAX + 1);
        size_t n = strlen(e->d_name);
        struct stat st;
        PW_AUTO(pw_freep) char *path = pw_path_join(dir, e->d_name);
        if (n < 5 || strcmp(e->d_name + n - 4, ".key") != 0 || !path || stat(path, &st) < 0 ||
            pw_fs_read(path, KEY_MAX, &key, NULL) < 0 ||
            strncmp(pw_buf_str(&key), prefix, strlen(prefix)) != 0)
            continue;
        if (best && (st.st_mtim.tv_sec < when.tv_sec ||
                     (st.st_mtim.tv_sec == when.tv_sec && st.st_mtim.tv_nsec <= when.tv_nsec)))
            continue;
        free(best);
        best = pw_buf_take(&key);
        when = st.st_mtim;
    }
    if (d)
        (void)closedir(d);
    return best;
}

/* The tar under the name that the step sees, in TMPDIR: another name of the same file, so that it
 * stays whatever is thrown away meanwhile. 1: it is there, 0: not kept. */
static int lend_tar(const run_job *r, const char *dir, const char *key, pw_err *err)
{
    PW_AUTO(pw_freep) char *from = tar_path(dir, key, "tar");
    PW_AUTO(pw_freep) char *note = tar_path(dir, key, "key");
    PW_AUTO(pw_freep) char *to = pw_path_join(r->tmpdir, TAR_IN);
    if (!from || !note || !to)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (link(from, to) < 0)
        return errno == ENOENT ? 0 : pw_fail_sys(err, "cannot take \"%s\"", from);
    (void)utimensat(AT_FDCWD, from, NULL, 0); /* used now: the last to go */
    (void)utimensat(AT_FDCWD, note, NULL, 0);
    return 1;
}

static void miss(run_job *r, size_t index, const pw_err *why)
{
    pw_err err = {0};
    if (why->code)
        with_say(r, "the cache is left out: %s", why->text);
    (void)with_property(r, index, "cache_hit", "false", &err);
}

void step_cache(run_job *r, size_t index, const job_step *s, env_list *env, const char *dir,
                step_result *out)
{
    PW_AUTO(pw_buf_clearp) pw_buf key = PW_BUF(KEY_MAX);
    PW_AUTO(pw_freep) char *near = NULL;
    pw_err err = {0};
    int rc = key_text(r, s, dir, &key, &err);
    if (rc < 0) {
        step_fail_err(out, rc == PW_ENOMEM ? PW_EXCEPTION : PW_FAILURE, &err);
        return;
    }
    PW_AUTO(pw_freep) char *at = folder(r, &err);
    const char *found = pw_buf_str(&key);
    int there = at ? lend_tar(r, at, found, &err) : -1;
    for (size_t i = 0; there == 0 && i < s->keys.n; i++) {
        PW_AUTO(pw_buf_clearp) pw_buf prefix = PW_BUF(KEY_MAX);
        if (env_subst(&r->spec, s->keys.v[i], &prefix, &err) < 0)
            break;
        free(near);
        near = nearest(at, pw_buf_str(&prefix));
        if (near && (there = lend_tar(r, at, near, &err)) > 0)
            found = near;
    }
    if (there <= 0) {
        if (!err.code)
            with_say(r, "no cache under \"%s\"", pw_buf_str(&key));
        miss(r, index, &err);
        return;
    }
    PW_AUTO(pw_freep) char *tar = pw_path_join(r->tmpdir, TAR_IN);
    const char *argv[] = {"tar", "--extract", "--file", tar, NULL};
    int unpacked = tar ? with_run(r, s, env, dir, argv, out) : -1;
    if (tar)
        (void)unlink(tar); /* a step must not write into what is kept */
    if (unpacked < 0) {
        /* what cannot be unpacked would be in the way of every build after it */
        if (out->result == PW_FAILURE) {
            PW_AUTO(pw_freep) char *bad = tar_path(at, found, "tar");
            if (bad)
                (void)unlink(bad);
            *out = (step_result){.result = PW_WARNINGS};
            step_fail(out, PW_WARNINGS, "the cache could not be unpacked and was thrown away");
        }
        miss(r, index, &err);
        return;
    }
    bool exact = found != near;
    with_say(r, "cache \"%s\"%s", found, exact ? "" : ", which begins alike");
    (void)with_property(r, index, "cache_hit", exact ? "true" : "false", &err);
}

/* ---- keeping */
typedef struct kept {
    char *path; /* without suffix; owned */
    struct timespec used;
    uint64_t bytes;
} kept;
typedef struct kept_list {
    kept *v;
    size_t n, cap;
    uint64_t bytes;
} kept_list;

static void list_project(kept_list *l, const char *dir)
{
    DIR *d = opendir(dir);
    const struct dirent *e;
    while (d && (e = readdir(d))) {
        size_t n = strlen(e->d_name);
        PW_AUTO(pw_freep) char *path = pw_path_join(dir, e->d_name);
        struct stat st;
        if (n < 5 || strcmp(e->d_name + n - 4, ".tar") != 0 || !path || stat(path, &st) < 0)
            continue;
        if (l->n == l->cap) {
            kept *v = reallocarray(l->v, l->cap ? 2 * l->cap : 64, sizeof(*v));
            if (!v)
                break;
            l->v = v;
            l->cap = l->cap ? 2 * l->cap : 64;
        }
        path[strlen(path) - 4] = '\0';
        l->v[l->n++] = (kept){pw_take(path), st.st_mtim, (uint64_t)st.st_blocks * 512};
        l->bytes += (uint64_t)st.st_blocks * 512;
    }
    if (d)
        (void)closedir(d);
}

static int by_use(const void *a, const void *b)
{
    const kept *x = a, *y = b;
    if (x->used.tv_sec != y->used.tv_sec)
        return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    return x->used.tv_nsec < y->used.tv_nsec ? -1 : x->used.tv_nsec > y->used.tv_nsec;
}

/* Under the lock of the cache: two that count side by side would both throw away. */
static void make_room(const run_job *r)
{
    PW_AUTO(pw_freep) char *top = pw_path_join(r->host->spool, "cache");
    DIR *d = top ? opendir(top) : NULL;
    const struct dirent *e;
    kept_list l = {0};
    while (d && (e = readdir(d))) {
        PW_AUTO(pw_freep) char *dir = e->d_name[0] == '.' ? NULL : pw_path_join(top, e->d_name);
        if (dir)
            list_project(&l, dir);
    }
    if (d)
        (void)closedir(d);
    if (l.n)
        qsort(l.v, l.n, sizeof(*l.v), by_use);
    for (size_t i = 0; i < l.n; i++) {
        PW_AUTO(pw_freep) char *tar = pw_strf("%s.tar", l.v[i].path);
        PW_AUTO(pw_freep) char *key = pw_strf("%s.key", l.v[i].path);
        if (l.bytes > r->host->cache_limit && tar && key && unlink(tar) == 0) {
            (void)unlink(key);
            l.bytes -= l.v[i].bytes;
        }
        free(l.v[i].path);
    }
    free(l.v);
}

/* The paths that are there, behind what tar is told; *ret_argv owned, its texts borrowed. */
static const char **tar_arguments(const job_step *s, const char *dir, const char *tar)
{
    const char **argv = calloc(s->paths.n + 8, sizeof(*argv));
    size_t n = 0;
    if (!argv)
        return NULL;
    argv[n++] = "tar";
    argv[n++] = "--create";
    argv[n++] = "--sparse";
    argv[n++] = "--file";
    argv[n++] = tar;
    argv[n++] = "--";
    size_t options = n;
    for (size_t i = 0; i < s->paths.n; i++) {
        struct stat st;
        PW_AUTO(pw_freep) char *path = pw_path_join_beneath(dir, s->paths.v[i], NULL);
        if (path && lstat(path, &st) == 0)
            argv[n++] = s->paths.v[i];
    }
    if (n == options)
        argv[0] = NULL;
    return argv;
}

/* Into its place: key first, so that no tar is without one. What the step made may be anything. */
static int keep(const run_job *r, const char *dir, const char *key, const char *tar, pw_err *err)
{
    struct stat st;
    PW_AUTO(pw_freep) char *to = tar_path(dir, key, "tar");
    PW_AUTO(pw_freep) char *note = tar_path(dir, key, "key");
    PW_AUTO(pw_freep) char *top = pw_strf("%s/cache/lock", r->host->spool);
    if (!to || !note || !top)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    PW_AUTO(pw_closep) int fd = open(tar, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1)
        return pw_fail(err, PW_EINVAL, "tar left no file of its own");
    if ((uint64_t)st.st_size > r->host->cache_limit)
        return pw_fail(err, PW_ELIMIT, "%" PRIu64 " bytes are more than the whole cache may have",
                       (uint64_t)st.st_size);
    if (st.st_uid != geteuid() && fchown(fd, geteuid(), getegid()) < 0)
        return pw_fail_sys(err, "cannot take over the tar");
    (void)fchmod(fd, 0644);
    PW_AUTO(pw_closep) int lock = pw_fs_lock_soon(top, err);
    if (lock < 0)
        return lock;
    int rc = pw_fs_replace(note, key, strlen(key), 0600, err);
    if (rc == 0 && rename(tar, to) < 0)
        rc = pw_fail_sys(err, "cannot keep the tar");
    if (rc == 0)
        make_room(r);
    return rc;
}

void step_cache_save(run_job *r, size_t index, const job_step *s, env_list *env, const char *dir,
                     step_result *out)
{
    (void)index;
    PW_AUTO(pw_buf_clearp) pw_buf key = PW_BUF(KEY_MAX);
    pw_err err = {0};
    if (r->spec.untrusted) { /* trusted builds would work with what it made */
        with_say(r, "a build of untrusted code keeps no caches");
        return;
    }
    PW_AUTO(pw_freep) char *at = folder(r, &err);
    PW_AUTO(pw_freep) char *tar = pw_path_join(r->tmpdir, TAR_OUT);
    int rc = at && tar ? key_text(r, s, dir, &key, &err) : PW_ENOMEM;
    PW_AUTO(pw_freep) char *there = rc == 0 ? tar_path(at, pw_buf_str(&key), "tar") : NULL;
    if (there && access(there, F_OK) == 0) {
        with_say(r, "cache \"%s\" is there already", pw_buf_str(&key));
        return;
    }
    PW_AUTO(pw_freep) const char **argv = there ? tar_arguments(s, dir, tar) : NULL;
    if (argv && !argv[0]) {
        with_say(r, "nothing to keep: none of the paths is there");
        return;
    }
    if (tar)
        (void)unlink(tar);
    if (argv && with_run(r, s, env, dir, argv, out) == 0) {
        if (keep(r, at, pw_buf_str(&key), tar, &err) == 0) {
            with_say(r, "cache \"%s\" is kept", pw_buf_str(&key));
            return;
        }
    }
    if (out->result == PW_SUCCESS || out->result == PW_FAILURE)
        step_fail(out, PW_WARNINGS, "the cache was not kept%s%s", err.code ? ": " : "",
                  err.code ? err.text : "");
}
