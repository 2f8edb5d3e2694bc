#include "worker/run/workdir.h"

#include <errno.h>
#include <inttypes.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "worker/run/kept.h"

static bool plain(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           (c && strchr("._+=,@-", c));
}

/* FNV-1a, 64 bits: no adversary here, only long names. */
static uint64_t checksum(const char *s)
{
    uint64_t h = 14695981039346656037ULL;
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211ULL;
    return h;
}

int workdir_name(const char *name, pw_buf *out)
{
    size_t from = out->len;
    int rc = *name ? 0 : pw_buf_adds(out, "%");
    for (const char *p = name; *p && rc == 0; p++) {
        if (out->len - from > WORKDIR_NAME_MAX - 24)
            return pw_buf_addf(out, "%%~%016" PRIx64, checksum(name));
        if (plain(*p) && !(*p == '.' && p == name))
            rc = pw_buf_add(out, p, 1);
        else
            rc = pw_buf_addf(out, "%%%02X", (unsigned)(unsigned char)*p);
    }
    return rc;
}

/* Makes dir, or finds it. What a step put in its place (a link, a file) is removed: whoever works
 * in it, or empties it, must not be led elsewhere. */
static int real_folder(const char *dir, mode_t mode, pw_err *err)
{
    struct stat st;
    if (mkdir(dir, mode) == 0)
        return 0;
    if (errno != EEXIST || lstat(dir, &st) < 0)
        return pw_fail_sys(err, "cannot make %s", dir);
    if (S_ISDIR(st.st_mode))
        return 0;
    int rc = pw_fs_remove_tree(dir, err);
    return rc < 0 || mkdir(dir, mode) == 0 ? rc : pw_fail_sys(err, "cannot make %s", dir);
}

/* Its entries go, it stays. */
static int empty(const char *dir, pw_err *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        int none = fd < 0 && errno == ENOENT ? 0 : pw_fail_sys(err, "cannot open %s", dir);
        pw_closep(&fd);
        return none;
    }
    int rc = 0;
    for (struct dirent *e; rc == 0 && (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        PW_AUTO(pw_freep) char *path = pw_path_join(dir, e->d_name);
        rc = path ? pw_fs_remove_tree(path, err) : pw_fail(err, PW_ENOMEM, "out of memory");
    }
    (void)closedir(d);
    return rc;
}

/* The lock of one number: PW_EAGAIN when another job has it. The folders are made when they turn
 * out to be absent. */
static int take_number(const char *base, unsigned n, bool untrusted, pw_msec now, char **ret_dir,
                       pw_err *err)
{
    pw_err why = {0};
    PW_AUTO(pw_freep) char *lock = pw_strf("%s/%u.lock", base, n);
    PW_AUTO(pw_freep) char *dir = pw_strf("%s/%u", base, n);
    if (!lock || !dir)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    PW_AUTO(pw_closep) int fd = pw_fs_lock(lock, &why);
    if (fd < 0 && (why.sys == ENOENT || why.code == PW_ENOTFOUND)) {
        int rc = pw_fs_mkdirs(base, 0711, err);
        if (rc < 0)
            return rc;
        fd = pw_fs_lock(lock, &why);
    }
    if (fd < 0) {
        if (err)
            *err = why;
        return why.code;
    }
    if (kept_until(dir) > (uint64_t)now)
        return PW_EAGAIN; /* as good as taken */
    kept_drop(dir);
    workdir_used(fd);
    int rc = real_folder(dir, 0700, err);
    if (rc == 0 && untrusted)
        rc = empty(dir, err);
    /* jobs of other users may pass the folders above */
    if (rc == 0 && fchmodat(AT_FDCWD, dir, 0700, AT_SYMLINK_NOFOLLOW) < 0)
        rc = access(dir, W_OK | X_OK) < 0 ? pw_fail_sys(err, "cannot use %s", dir) : 0;
    if (rc < 0)
        return rc;
    *ret_dir = pw_take(dir);
    int mine = fd;
    fd = -1;
    return mine;
}

/* The folders above it are ours alone: one that became a link was put there by a job. */
static int no_links(const char *spool, const char *below, pw_err *err)
{
    pw_err why = {0};
    PW_AUTO(pw_closep) int fd = pw_fs_open_beneath(spool, below, O_PATH | O_DIRECTORY, 0, &why);
    if (fd >= 0 || why.code == PW_ENOTFOUND)
        return 0;
    if (why.sys != ENOTDIR && why.sys != ELOOP) {
        if (err)
            *err = why;
        return why.code;
    }
    return pw_fail(err, PW_ECONFLICT,
                   "%s/%s, or a folder above it, is not a folder of the spool any more; remove it",
                   spool, below);
}

int workdir_lock(const char *dir, pw_err *err)
{
    PW_AUTO(pw_freep) char *lock = pw_strf("%s.lock", dir);
    return lock ? pw_fs_lock(lock, err) : pw_fail(err, PW_ENOMEM, "out of memory");
}

void workdir_used(int lock)
{
    (void)futimens(lock, NULL);
}

int workdir_take(const char *spool, const char *project, const char *builder, bool untrusted,
                 pw_msec now, char **ret_dir, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf base = PW_BUF(8192);
    (void)pw_buf_addf(&base, "%s/work/", spool);
    (void)workdir_name(project ? project : "", &base);
    (void)pw_buf_adds(&base, "/");
    (void)workdir_name(builder ? builder : "", &base);
    if (untrusted) /* no name becomes that: % is followed by two digits or ~ */
        (void)pw_buf_adds(&base, "%untrusted");
    if (base.failed)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int safe = no_links(spool, pw_buf_str(&base) + strlen(spool) + 1, err);
    if (safe < 0)
        return safe;
    for (unsigned n = 1; n <= WORKDIR_MAX; n++) {
        int fd = take_number(pw_buf_str(&base), n, untrusted, now, ret_dir, err);
        if (fd != PW_EAGAIN)
            return fd;
    }
    return pw_fail(err, PW_ELIMIT, "all %d work directories in %s are in use", WORKDIR_MAX,
                   pw_buf_str(&base));
}

char *workdir_tmp(const char *workdir, pw_err *err)
{
    PW_AUTO(pw_freep) char *dir = pw_strf("%s.tmp", workdir);
    if (!dir) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    if (mkdir(dir, 0700) == 0 || (errno == EEXIST && workdir_tmp_empty(dir, err) == 0))
        return pw_take(dir);
    if (errno != EEXIST)
        (void)pw_fail_sys(err, "cannot make %s", dir);
    return NULL;
}

int workdir_tmp_again(const char *dir, pw_err *err)
{
    return real_folder(dir, 0700, err);
}

int workdir_tmp_empty(const char *dir, pw_err *err)
{
    struct stat st;
    if (lstat(dir, &st) < 0)
        return errno == ENOENT ? 0 : pw_fail_sys(err, "cannot look at %s", dir);
    if (!S_ISDIR(st.st_mode)) { /* a step put something else there */
        int rc = pw_fs_remove_tree(dir, err);
        return rc < 0 || mkdir(dir, 0700) == 0 ? rc : pw_fail_sys(err, "cannot make %s", dir);
    }
    /* another owner's that we may write to is as good */
    if (fchmodat(AT_FDCWD, dir, 0700, AT_SYMLINK_NOFOLLOW) < 0 && access(dir, W_OK | X_OK) < 0)
        return pw_fail_sys(err, "cannot use %s", dir);
    return empty(dir, err);
}
