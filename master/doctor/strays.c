/* Files that nothing names. A master that runs is given the time to remove what it is about to. */
#include <dirent.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "master/doctor/look.h"
#include "shared/base/fs.h"
#include "shared/base/num.h"

enum { WAIT_MS = 100, WAITS = 50, YOUNG_S = 60 };

static void dir_closep(DIR **d)
{
    if (*d)
        (void)closedir(*d);
}

typedef void stray_cb(look *l, const char *dir, const char *name);

static void each(look *l, const char *sub, stray_cb *cb)
{
    PW_AUTO(pw_freep) char *dir = pw_path_join(l->o->state, sub);
    PW_AUTO(dir_closep) DIR *d = dir ? opendir(dir) : NULL;
    const struct dirent *e;
    while (d && (e = readdir(d)))
        if (e->d_name[0] != '.')
            cb(l, sub, e->d_name);
}

static bool exists(const look *l, const char *dir, const char *name, bool *ret_young)
{
    PW_AUTO(pw_freep) char *path = pw_strf("%s/%s/%s", l->o->state, dir, name);
    struct stat st;
    if (!path || lstat(path, &st) < 0)
        return false;
    *ret_young = st.st_mtim.tv_sec > time(NULL) - YOUNG_S;
    return true;
}

/* "123-4-0.log" -> three numbers, and what stands behind them. */
static const char *log_name(const char *name, uint64_t v[3])
{
    char digits[24];
    for (int i = 0; i < 3; i++) {
        size_t n = strspn(name, "0123456789");
        if (n == 0 || n >= sizeof(digits) || name[n] != "--."[i])
            return NULL;
        memcpy(digits, name, n);
        digits[n] = '\0';
        if (pw_parse_u64(digits, &v[i], NULL) < 0)
            return NULL;
        name += n + 1;
    }
    return name;
}

static void stray(look *l, const char *dir, const char *name, const char *why)
{
    PW_AUTO(pw_freep) char *cure = pw_strf("rm %s/%s/%s", l->o->state, dir, name);
    findings_add(l->f, "orphan", FIND_WRONG, cure, "%s/%s/%s: %s", l->o->state, dir, name, why);
}

/* A file of an open log is there before its row says so; it is written under another name. */
static void sealed_file(look *l, const char *dir, const char *name)
{
    uint64_t v[3];
    bool young = false;
    const char *rest = log_name(name, v);
    int known = rest ? store_deep_log_is(l->rows, v[0], v[1], v[2], NULL) : 0;
    if (known < 0)
        return;
    if (!rest || (strcmp(rest, "log") != 0 && strcmp(rest, "log.new") != 0))
        stray(l, dir, name, "it is no log");
    else if (known == 3 && strcmp(rest, "log") == 0) {
        /* retention is about to remove it: the master that runs, or its next start */
        if (!l->running)
            findings_add(l->f, "orphan", FIND_NOTE, "nothing: the next start removes it",
                         "%s/%s: its log is not kept any longer", dir, name);
    } else if (known != 1 && (known != 2 || strcmp(rest, "log.new") == 0)) {
        if (exists(l, dir, name, &young) && !young)
            stray(l, dir, name,
                  known == 0   ? "no row names it"
                  : known == 4 ? "retention removed its log"
                               : "its log is sealed already");
    }
}

static void folder(look *l, const char *dir, const char *name)
{
    uint8_t byte;
    PW_AUTO(pw_freep) char *sub = pw_path_join(dir, name);
    if (sub && strlen(name) == 2 && pw_unhex(name, &byte, 1))
        each(l, sub, sealed_file);
    else if (strcmp(name, "seg") != 0)
        stray(l, dir, name, "it is no folder of logs");
}

/* The one that is written to has the highest number. */
static uint64_t highest(const look *l)
{
    PW_AUTO(pw_freep) char *dir = pw_path_join(l->o->state, "logs/seg");
    PW_AUTO(dir_closep) DIR *d = dir ? opendir(dir) : NULL;
    const struct dirent *e;
    uint64_t most = 0;
    while (d && (e = readdir(d))) {
        uint64_t id = strtoull(e->d_name, NULL, 10);
        most = id > most ? id : most;
    }
    return most;
}

static void segment(look *l, const char *dir, const char *name)
{
    size_t n = strspn(name, "0123456789");
    bool young = false;
    if (n < 8 || strcmp(name + n, ".seg") != 0) {
        stray(l, dir, name, "it is no segment");
        return;
    }
    uint64_t id = strtoull(name, NULL, 10);
    for (int i = 0; i < WAITS; i++) {
        if (store_deep_segment_is(l->rows, id, NULL) != 0 || !exists(l, dir, name, &young) ||
            (l->running && id == highest(l)))
            return;
        if (!l->running)
            break;
        (void)poll(NULL, 0, WAIT_MS);
    }
    if (l->running)
        stray(l, dir, name, "no row names bytes in it, and the master keeps it");
    else
        findings_add(l->f, "orphan", FIND_NOTE, "nothing: the next start removes it",
                     "%s/%s/%s: no row names bytes in it", l->o->state, dir, name);
}

static void mirror(look *l, const char *dir, const char *name)
{
    PW_AUTO(pw_buf_clearp) pw_buf project = PW_BUF(1024);
    char digits[24];
    uint64_t id = 0;
    size_t n = strspn(name, "0123456789");
    if (n == 0 || n >= sizeof(digits) || strcmp(name + n, ".git") != 0) {
        stray(l, dir, name, "it is no copy of a repository");
        return;
    }
    memcpy(digits, name, n);
    digits[n] = '\0';
    (void)pw_parse_u64(digits, &id, NULL);
    PW_AUTO(pw_freep) char *cure = pw_strf("rm -r %s/%s/%s", l->o->state, dir, name);
    int known = store_deep_project(l->rows, id, &project, NULL);
    if (known == 0)
        findings_add(l->f, "orphan", FIND_WRONG, cure, "%s/%s/%s: there is no such project",
                     l->o->state, dir, name);
    else if (known > 0 && l->conf && config_find_project(l->conf, pw_buf_str(&project)) < 0)
        findings_add(l->f, "orphan", FIND_WRONG, cure,
                     "%s/%s/%s: project \"%s\" is not in the configuration any more", l->o->state,
                     dir, name, pw_buf_str(&project));
}

void look_strays(look *l)
{
    if (!l->rows)
        return;
    each(l, "logs", folder);
    each(l, "logs/seg", segment);
    each(l, "mirrors", mirror);
    look_stray_files(l);
    if (!findings_of(l->f, "orphan"))
        findings_add(l->f, "orphan", FIND_OK, NULL, "every file has a row that names it");
}
