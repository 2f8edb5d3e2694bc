/* The state directory: whose, who can read it, how full, which clock, when it was saved. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/doctor/look.h"
#include "shared/base/fs.h"
#include "shared/crypt/crypt.h"

#define SPACE_LOW (INT64_C(2) * 1024 * 1024 * 1024)
enum { SKEW_MS = 60000, FILE_SKEW_MS = 5000, BACKUP_OLD_MS = 7 * 24 * 3600 * 1000 };

/* ---- modes */
static void mode(look *l, const char *path, unsigned allowed, const struct stat *dir)
{
    struct stat st;
    PW_AUTO(pw_freep) char *cure = NULL;
    if (lstat(path, &st) < 0)
        return;
    if (st.st_mode & 07777 & ~allowed) {
        cure = pw_strf("chmod %04o %s", allowed, path);
        findings_add(l->f, "modes", FIND_WRONG, cure, "%s has mode %04o: others can reach it", path,
                     (unsigned)(st.st_mode & 07777));
    } else if (st.st_uid != dir->st_uid) {
        cure = pw_strf("chown %u %s", (unsigned)dir->st_uid, path);
        findings_add(l->f, "modes", FIND_WRONG, cure,
                     "%s belongs to user %u, its folder to user %u", path, (unsigned)st.st_uid,
                     (unsigned)dir->st_uid);
    }
}

static void dir_closep(DIR **d)
{
    if (*d)
        (void)closedir(*d);
}

static void modes_in(look *l, const char *name, const struct stat *top)
{
    PW_AUTO(pw_freep) char *dir = pw_path_join(l->o->state, name);
    PW_AUTO(dir_closep) DIR *d = dir ? opendir(dir) : NULL;
    const struct dirent *e;
    if (dir)
        mode(l, dir, 0700, top);
    while (d && (e = readdir(d))) {
        PW_AUTO(pw_freep) char *path = e->d_name[0] != '.' ? pw_path_join(dir, e->d_name) : NULL;
        if (path)
            mode(l, path, 0600, top);
    }
}

void look_place(look *l)
{
    static const char *const files[] = {"admin.token", "pawl.db", "pawl.db-wal", "pawl.db-shm"};
    static const char *const folders[] = {"logs", "mirrors"};
    struct stat st;
    if (stat(l->o->state, &st) < 0) {
        findings_add(l->f, "state", FIND_WRONG, "name its real folder with --state, or restore it",
                     "%s: %s", l->o->state,
                     errno == ENOENT ? "there is no such folder"
                                     : "it cannot be read by this user");
        return;
    }
    PW_AUTO(pw_freep) char *half = pw_path_join(l->o->state, "restoring");
    if (half && access(half, F_OK) == 0)
        findings_add(l->f, "state", FIND_WRONG, "run `pawl-master restore FILE` again",
                     "a restore into %s was cut off", l->o->state);
    mode(l, l->o->state, 0700, &st);
    modes_in(l, "keys", &st);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        PW_AUTO(pw_freep) char *path = pw_path_join(l->o->state, files[i]);
        if (path)
            mode(l, path, 0600, &st);
    }
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        PW_AUTO(pw_freep) char *path = pw_path_join(l->o->state, folders[i]);
        if (path)
            mode(l, path, 0700, &st);
    }
    if (!findings_of(l->f, "modes"))
        findings_add(l->f, "modes", FIND_OK, NULL, "nobody else can read %s", l->o->state);
}

/* ---- the rest of the machine */
void look_space(look *l)
{
    int64_t bytes = pw_fs_free(l->o->state);
    if (bytes < 0)
        findings_add(l->f, "disk", FIND_NOTE, "check that the folder exists",
                     "the free space of %s is not known", l->o->state);
    else
        findings_add(l->f, "disk", bytes < SPACE_LOW ? FIND_WRONG : FIND_OK,
                     bytes < SPACE_LOW ? "free some space, or move the state to a larger disk"
                                       : NULL,
                     "%" PRId64 " MiB are free at %s", bytes / 1048576, l->o->state);
}

void look_clock(look *l)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(l->o->state, ".doctor");
    PW_AUTO(pw_closep) int fd = -1;
    struct stat st;
    size_t before = l->f->n;
    pw_msec newest = 0;
    if (path)
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
        bool known = write(fd, "x", 1) == 1 && fstat(fd, &st) == 0;
        pw_msec at = known ? (pw_msec)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000 : 0;
        pw_msec skew = known ? at - pw_wall(l->o->host) : 0;
        (void)unlink(path);
        if (skew > FILE_SKEW_MS || skew < -FILE_SKEW_MS)
            findings_add(l->f, "clock", FIND_WRONG, "run a time service on the file server too",
                         "the clock of the file system at %s is %" PRId64 " s away from this one's",
                         l->o->state, (int64_t)skew / 1000);
    }
    if (l->rows && store_deep_newest(l->rows, &newest, NULL) == 0 && newest > l->now + SKEW_MS)
        findings_add(l->f, "clock", FIND_WRONG,
                     "run a time service (systemd-timesyncd, chrony); what is timed waits until "
                     "then",
                     "the database holds a time that is %" PRId64
                     " s ahead: the clock stands behind, or was ahead before",
                     (int64_t)(newest - l->now) / 1000);
    if (l->f->n == before)
        findings_add(l->f, "clock", FIND_OK, NULL, "agrees with files and rows");
}

void look_backup(look *l)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(l->o->state, "backup.last");
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(8192);
    char when[PW_TIME_MAX + 1];
    pw_msec at = 0;
    if (!path || pw_fs_read(path, 8192, &b, NULL) < 0) {
        findings_add(l->f, "backup", FIND_NOTE, "pawl-master backup FILE, each day",
                     "no backup was ever made");
        return;
    }
    size_t n = strcspn(pw_buf_str(&b), " \n");
    (void)snprintf(when, sizeof(when), "%.*s", n < PW_TIME_MAX ? (int)n : PW_TIME_MAX, b.p);
    const char *file = pw_buf_str(&b) + n + (b.p[n] == ' ');
    bool old = pw_time_parse(when, &at, NULL) < 0 || l->now - at > BACKUP_OLD_MS;
    findings_add(l->f, "backup", old ? FIND_NOTE : FIND_OK,
                 old ? "pawl-master backup FILE, each day" : NULL,
                 "the last one was made at %s: %.*s", when, (int)strcspn(file, "\n"), file);
}

void look_token(look *l)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(l->o->state, "admin.token");
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1024);
    uint8_t hash[CRYPT_HASH];
    static const char cure[] =
        "make another one with a token that is valid, or remove the file and start pawl-master: it "
        "makes a new one";
    if (!l->rows || !path)
        return;
    int r = pw_fs_read(path, 1024, &b, NULL);
    if (r < 0) {
        findings_add(l->f, "admin.token", FIND_WRONG, "start pawl-master once: its start makes it",
                     "%s %s", path, r == PW_ENOTFOUND ? "is not there" : "cannot be read");
        return;
    }
    crypt_hash(b.p, strcspn(pw_buf_str(&b), "\r\n"), hash);
    r = store_deep_token(l->rows, hash, l->now, NULL);
    if (r == 0 || r == 2)
        findings_add(l->f, "admin.token", FIND_WRONG, cure, "the token in %s %s", path,
                     r == 0 ? "is not known to the database" : "has expired, or was revoked");
    else if (r == 1)
        findings_add(l->f, "admin.token", FIND_OK, NULL, "%s is valid", path);
}
