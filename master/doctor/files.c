/* Files of builds: each that a row names is read whole, and each that is there is named by one. */
#include <dirent.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "master/blobs/blobs.h"
#include "master/doctor/look.h"
#include "shared/base/fs.h"
#include "shared/base/num.h"

enum { WAIT_MS = 100, WAITS = 50, YOUNG_S = 60 };

static const char lost_cure[] =
    "put the file back from a backup (tar --zstd -xf BACKUP artifacts/...), or build it again; the "
    "build's result is not touched";

typedef struct kept {
    look *l;
    const char *dir;
    uint64_t files, sums;
    uint8_t last[BLOBS_SUM]; /* of the last one that was read */
    bool any;
} kept;

static int check_one(const kept *k, const store_artifact *a, pw_err *err)
{
    uint8_t sum[BLOBS_SUM];
    uint64_t size;
    PW_AUTO(pw_closep) int fd = blobs_read(k->dir, a->sha256, a->attempt, a->file, err);
    if (fd < 0)
        return fd;
    int r = blobs_sum(fd, &size, sum, err);
    if (r < 0)
        return r;
    if (size != a->size)
        return pw_fail(err, PW_ECORRUPT, "it has %" PRIu64 " bytes of %" PRIu64, size, a->size);
    return memcmp(sum, a->sha256, sizeof(sum)) == 0
               ? 0
               : pw_fail(err, PW_ECORRUPT, "its bytes have another sum");
}

/* Rows come in the order of sums: bytes that many name are read once. */
static int one_file(void *p, const store_artifact *a)
{
    kept *k = p;
    pw_err err = {0};
    char name[BLOBS_NAME];
    k->files++;
    if (k->any && memcmp(k->last, a->sha256, sizeof(k->last)) == 0)
        return 0;
    k->any = true;
    k->sums++;
    memcpy(k->last, a->sha256, sizeof(k->last));
    blobs_name(a->sha256, name);
    if (a->state == FILE_DAMAGED)
        (void)pw_fail(&err, PW_ECORRUPT, "it was damaged when it came in");
    else if (check_one(k, a, &err) == 0)
        return 0;
    findings_add(k->l->f, "artifacts", FIND_WRONG, lost_cure,
                 "\"%s\" of attempt %" PRIu64 " (artifacts/%s): %s", a->path, a->attempt, name,
                 err.text);
    return 0;
}

void look_files(look *l)
{
    PW_AUTO(pw_freep) char *dir = pw_path_join(l->o->state, "artifacts");
    pw_err err = {0};
    kept k = {.l = l, .dir = dir};
    if (!l->rows || !dir || findings_of(l->f, "database") > 1)
        return;
    if (store_deep_begin(l->rows, &err) < 0 ||
        store_deep_artifacts(l->rows, one_file, &k, &err) < 0)
        findings_add(l->f, "artifacts", FIND_WRONG, lost_cure, "%s", err.text);
    store_deep_end(l->rows);
    if (!findings_of(l->f, "artifacts"))
        findings_add(l->f, "artifacts", FIND_OK, NULL,
                     "%" PRIu64 " files with %" PRIu64 " different contents were read whole",
                     k.files, k.sums);
}

/* ---- what no row names. A master that runs is given the time to remove it. */
static bool there(const char *path, bool *young)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return false;
    *young = st.st_mtim.tv_sec > time(NULL) - YOUNG_S;
    return true;
}

static int wanted(const look *l, const char *folder, const char *name)
{
    uint8_t sum[BLOBS_SUM];
    uint64_t attempt, file;
    if (strcmp(folder, "in") == 0)
        return blobs_part_parse(name, &attempt, &file)
                   ? store_deep_part_is(l->rows, attempt, file, NULL)
                   : 0;
    return pw_unhex(name, sum, sizeof(sum)) && strncmp(name, folder, 2) == 0
               ? store_deep_sum_is(l->rows, sum, NULL)
               : 0;
}

static void one_name(look *l, const char *folder, const char *name)
{
    PW_AUTO(pw_freep) char *path = pw_strf("%s/artifacts/%s/%s", l->o->state, folder, name);
    PW_AUTO(pw_freep) char *cure = pw_strf("rm %s", path ? path : name);
    bool young = false;
    for (int i = 0; path && i < WAITS; i++) {
        if (wanted(l, folder, name) != 0 || !there(path, &young))
            return;
        if (!l->running || !young)
            break;
        (void)poll(NULL, 0, WAIT_MS);
    }
    if (l->running)
        findings_add(l->f, "orphan", FIND_WRONG, cure, "%s: no row names it", path);
    else
        findings_add(l->f, "orphan", FIND_NOTE,
                     strcmp(folder, "in") == 0 ? "nothing: the next start removes it" : cure,
                     "%s: no row names it", path);
}

void look_stray_files(look *l)
{
    PW_AUTO(pw_freep) char *dir = pw_path_join(l->o->state, "artifacts");
    DIR *all = dir && l->rows ? opendir(dir) : NULL;
    const struct dirent *e, *f;
    while (all && (e = readdir(all))) {
        if (e->d_name[0] == '.')
            continue;
        PW_AUTO(pw_freep) char *sub = pw_path_join(dir, e->d_name);
        DIR *d = sub ? opendir(sub) : NULL;
        while (d && (f = readdir(d)))
            if (f->d_name[0] != '.')
                one_name(l, e->d_name, f->d_name);
        if (d)
            (void)closedir(d);
    }
    if (all)
        (void)closedir(all);
}
