/* What a state directory must be before anything is made or opened in it. Nothing is mended and
 * nothing thrown away here: each refusal names the place and the cure. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/server/state.h"
#include "master/store/deep.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"

#define BACKUP_LOCK "backup.lock" /* held by `pawl-master backup` while it reads */

static int owner(const char *dir, pw_err *err)
{
    struct stat st;
    if (stat(dir, &st) < 0)
        return pw_fail_sys(err, "looking at \"%s\"", dir);
    if (st.st_uid == geteuid())
        return 0;
    return pw_fail(err, PW_EDENIED,
                   "\"%s\" belongs to user %u, and this runs as user %u: start it as that user "
                   "(systemctl start pawl-master), or hand the directory over: chown -R %u \"%s\"",
                   dir, (unsigned)st.st_uid, (unsigned)geteuid(), (unsigned)geteuid(), dir);
}

static void dir_closep(DIR **d)
{
    if (*d)
        (void)closedir(*d);
}

/* Whether a folder of logs holds a file, itself or one level below. */
static bool any_file(const char *dir, int depth)
{
    PW_AUTO(dir_closep) DIR *d = opendir(dir);
    const struct dirent *e;
    while (d && (e = readdir(d))) {
        struct stat st;
        if (e->d_name[0] == '.')
            continue;
        PW_AUTO(pw_freep) char *path = pw_path_join(dir, e->d_name);
        if (!path || lstat(path, &st) < 0)
            continue;
        if (!S_ISDIR(st.st_mode) || (depth > 0 && any_file(path, depth - 1)))
            return true;
    }
    return false;
}

static int64_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) < 0 ? -1 : (int64_t)st.st_size;
}

/* A database that is gone must not be made anew beside the files of the old one: the start would
 * remove every segment, as no row names it. */
static int database(const server *s, const char *token, pw_err *err)
{
    PW_AUTO(pw_freep) char *wal = pw_strf("%s-wal", s->db);
    int64_t size = size_of(s->db);
    if (!wal)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (size > 0 || (size == 0 && size_of(wal) > 0))
        return 0;
    bool was = access(token, F_OK) == 0;
    if (!was && !any_file(s->log_dir, 1))
        return 0;
    return pw_fail(err, PW_ECORRUPT,
                   "database \"%s\" is %s, and \"%s\" is of an earlier life of it", s->db,
                   size < 0 ? "missing" : "empty", was ? token : s->log_dir);
}

int integrity_check(server *s, pw_err *err)
{
    PW_AUTO(pw_freep) char *half = pw_path_join(s->dir, "restoring");
    PW_AUTO(pw_freep) char *token = pw_path_join(s->dir, "admin.token");
    int r;
    if (!half || !token)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if ((r = owner(s->dir, err)) < 0)
        return r;
    if (access(half, F_OK) == 0)
        return pw_fail(
            err, PW_ECONFLICT,
            "a restore into \"%s\" was cut off (\"%s\" is there): run it again, it begins "
            "anew",
            s->dir, half);
    if ((r = database(s, token, err)) < 0)
        return r;
    if (access(s->log_dir, F_OK) == 0 || size_of(s->db) <= 0)
        return 0;
    PW_AUTO(store_deep_closep) store_deep *rows = store_deep_open(s->db, NULL);
    if (rows && store_deep_any_log(rows, NULL) > 0) { /* damage is told by who opens it next */
        s->logs_trouble = "logs/ was missing at the start: the output of earlier builds is not "
                          "there. Put the folder back from a backup; results are not touched";
        pw_log(PW_LOG_ERROR, "logs_missing", "dir=\"%s\" text=\"%s\"", s->log_dir, s->logs_trouble);
    }
    return 0;
}

int integrity_key_missing(const server *s, const char *path, pw_err *err)
{
    uint64_t workers = 0;
    int r;
    if (size_of(s->db) <= 0)
        return 0;
    PW_AUTO(store_deep_closep) store_deep *rows = store_deep_open(s->db, err);
    if (!rows)
        return err ? (int)err->code : PW_ESYS;
    if ((r = store_deep_workers(rows, &workers, err)) < 0 || workers == 0)
        return r;
    return pw_fail(err, PW_ECORRUPT,
                   "key \"%s\" is missing, and %llu workers know it: put it back from a backup, or "
                   "start once with --new-key and join every worker anew",
                   path, (unsigned long long)workers);
}

int integrity_mode(const char *path, pw_err *err)
{
    struct stat st;
    if (stat(path, &st) < 0 || !(st.st_mode & 077))
        return 0; /* absent: who opens it tells */
    return pw_fail(
        err, PW_EDENIED,
        "\"%s\" has mode %04o: others may have read it. Cure: chmod 0600 \"%s\", and make "
        "a new one if somebody did",
        path, (unsigned)(st.st_mode & 07777), path);
}

void integrity_way_out(const char *dir)
{
    PW_AUTO(pw_freep) char *last = pw_path_join(dir, "backup.last");
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(8192);
    int known = last ? pw_fs_read(last, 8192, &text, NULL) : PW_ENOMEM;
    (void)fprintf(stderr,
                  "pawl-master: nothing was changed or removed in \"%s\". The ways out:\n"
                  "  - move it away, and put the newest backup in its place: pawl-master --state "
                  "\"%s\" restore FILE\n",
                  dir, dir);
    if (known == 0)
        (void)fprintf(stderr, "    the last one was made at %s", pw_buf_str(&text));
    else
        (void)fputs("    no backup was ever made of it by `pawl-master backup`\n", stderr);
    (void)fprintf(stderr,
                  "  - without a backup, save what can be read: sqlite3 \"%s/pawl.db\" .recover | "
                  "sqlite3 new.db\n"
                  "  `pawl-master --state \"%s\" doctor --deep` tells what else is damaged\n",
                  dir, dir);
}

int state_keep_backups(server *s, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(s->dir, BACKUP_LOCK);
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    /* made here, so that it belongs to the master's user, whoever makes the first backup */
    PW_AUTO(pw_closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return pw_fail_sys(err, "making \"%s\"", path);
    return logs_keep_while(s->log_store, path, err);
}
