/* The work tree, its pipeline file, and the place where its builds are made. */
#include "client/local.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/git.h"
#include "shared/base/fs.h"
#include "worker/spool/spool.h"

enum { OUT_MAX = 1024 * 1024 };

/* Runs git in `dir`; index: another index than the tree's own. Its output without the last line
 * end. */
static int git(const char *dir, const char *index, const char *const *args, pw_buf *out,
               pw_err *err)
{
    PW_AUTO(pw_freep) char *var = index ? pw_strf("GIT_INDEX_FILE=%s", index) : NULL;
    const char *const vars[] = {var, NULL};
    if (index && !var)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    return client_git(dir, vars, args, out, err);
}
#define GIT(dir, index, out, err, ...)                                                             \
    git((dir), (index), (const char *const[]){__VA_ARGS__, NULL}, (out), (err))

int local_tree_find(local_tree *t, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf top = PW_BUF(OUT_MAX);
    PW_AUTO(pw_buf_clearp) pw_buf branch = PW_BUF(OUT_MAX);
    bool failed = false;
    int rc = GIT(NULL, NULL, &top, err, "rev-parse", "--show-toplevel");
    if (rc < 0)
        return pw_err_context(err, "this command works on the files of a git repository");
    if (GIT(NULL, NULL, &branch, NULL, "symbolic-ref", "--short", "-q", "HEAD") < 0)
        pw_buf_reset(&branch);
    *t = (local_tree){.top = pw_strdup(pw_buf_str(&top), &failed),
                      .branch = pw_strdup(branch.len ? pw_buf_str(&branch) : "HEAD", &failed)};
    if (!failed)
        return 0;
    local_tree_clear(t);
    return pw_fail(err, PW_ENOMEM, "out of memory");
}

void local_tree_clear(local_tree *t)
{
    free(t->top);
    free(t->branch);
    *t = (local_tree){0};
}

static int read_below(void *self, const char *path, pw_buf *out, pw_err *err)
{
    const local_tree *t = self;
    PW_AUTO(pw_freep) char *full = pw_path_join(t->top, path);
    return full ? pw_fs_read(full, out->max, out, err) : pw_fail(err, PW_ENOMEM, "out of memory");
}

pl_file *local_load(const local_tree *t, const char *path, yaml_errors *errors, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(YAML_TEXT_MAX + 1);
    pl_rules rules = {.read = read_below, .self = (void *)(uintptr_t)t};
    if (read_below(rules.self, path, &text, err) < 0) {
        (void)pw_err_context(err, "reading %s", path);
        return NULL;
    }
    pl_file *f = pl_load(path, pw_buf_str(&text), text.len, &rules, errors);
    if (!f && yaml_errors_none(errors))
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
    return f;
}

/* ---- the place */
static char *cache_folder(const char *top)
{
    uint64_t h = 14695981039346656037ULL;
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    for (const char *p = top; *p; p++)
        h = (h ^ (unsigned char)*p) * 1099511628211ULL;
    if (xdg && *xdg == '/')
        return pw_strf("%s/pawl/local/%016" PRIx64, xdg, h);
    return pw_strf("%s/.cache/pawl/local/%016" PRIx64, home && *home == '/' ? home : "/tmp", h);
}

static int make_id(const char *spool, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(spool, "id");
    char text[SPOOL_ID + 1];
    struct stat st;
    if (path && stat(path, &st) == 0)
        return 0;
    (void)snprintf(text, sizeof(text), "%016" PRIx64 "%016" PRIx64 "\n",
                   pw_random_u64(&pw_host_real), pw_random_u64(&pw_host_real));
    return path ? pw_fs_replace(path, text, strlen(text), 0600, err)
                : pw_fail(err, PW_ENOMEM, "out of memory");
}

/* The files as they are, as a commit that no branch of the tree knows: an index of our own begins
 * as the tree's, so that only what changed is read. */
static int snapshot(const local_tree *t, const char *spool, pw_buf *rev, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf none = PW_BUF(OUT_MAX);
    PW_AUTO(pw_buf_clearp) pw_buf tree = PW_BUF(OUT_MAX);
    PW_AUTO(pw_freep) char *path = pw_path_join(spool, "index");
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int rc = client_git_index(t->top, path, err);
    if (rc == 0)
        rc = GIT(t->top, path, &none, err, "add", "--all", "--", ":/");
    if (rc == 0)
        rc = GIT(t->top, path, &tree, err, "write-tree");
    if (rc == 0)
        rc =
            GIT(t->top, NULL, rev, err, "-c", "user.name=pawl local", "-c", "user.email=local@pawl",
                "commit-tree", "-p", "HEAD", "-m", "files as they are", pw_buf_str(&tree));
    (void)unlink(path);
    return rc;
}

/* A repository of our own that borrows the objects of the work tree's, with one branch. */
static int publish(local_place *p, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf none = PW_BUF(OUT_MAX);
    PW_AUTO(pw_buf_clearp) pw_buf objects = PW_BUF(OUT_MAX);
    PW_AUTO(pw_freep) char *borrow = pw_strf("%s/objects/info/alternates", p->repository);
    PW_AUTO(pw_freep) char *ref = pw_strf("refs/heads/%s", p->tree->branch);
    if (!borrow || !ref)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int rc = GIT(p->tree->top, NULL, &none, err, "init", "-q", "--bare", "--template=", "--",
                 p->repository);
    if (rc == 0)
        rc = GIT(p->tree->top, NULL, &objects, err, "rev-parse", "--path-format=absolute",
                 "--git-path", "objects");
    if (rc == 0)
        rc = pw_buf_adds(&objects, "\n") < 0
                 ? pw_fail(err, PW_ENOMEM, "out of memory")
                 : pw_fs_replace(borrow, objects.p, objects.len, 0600, err);
    if (rc == 0)
        rc = GIT(p->repository, NULL, &none, err, "update-ref", ref, p->revision);
    return rc;
}

int local_place_open(local_place *p, const local_tree *t, bool committed, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf rev = PW_BUF(OUT_MAX);
    *p = (local_place){.tree = t, .spool = cache_folder(t->top), .lock = -1};
    p->repository = p->spool ? pw_path_join(p->spool, "repository.git") : NULL;
    PW_AUTO(pw_freep) char *jobs = p->spool ? pw_path_join(p->spool, "jobs") : NULL;
    PW_AUTO(pw_freep) char *lock = p->spool ? pw_path_join(p->spool, "lock") : NULL;
    int rc = p->repository && jobs && lock ? pw_fs_mkdirs(jobs, 0700, err)
                                           : pw_fail(err, PW_ENOMEM, "out of memory");
    if (rc == 0 && (p->lock = pw_fs_lock(lock, err)) < 0)
        rc = p->lock == PW_EAGAIN
                 ? pw_fail(err, PW_EAGAIN, "another `pawl local` builds this work tree")
                 : p->lock;
    if (rc == 0)
        rc = make_id(p->spool, err);
    if (rc == 0)
        rc = committed ? GIT(t->top, NULL, &rev, err, "rev-parse", "--verify", "HEAD^{commit}")
                       : snapshot(t, p->spool, &rev, err);
    if (rc == 0 && rev.len >= sizeof(p->revision))
        rc = pw_fail(err, PW_EPROTO, "git gave no revision: \"%.100s\"", pw_buf_str(&rev));
    if (rc == 0) {
        memcpy(p->revision, pw_buf_str(&rev), rev.len + 1);
        rc = publish(p, err);
    }
    if (rc < 0)
        local_place_close(p);
    return rc;
}

void local_place_close(local_place *p)
{
    if (p->lock >= 0)
        (void)close(p->lock);
    free(p->spool);
    free(p->repository);
    *p = (local_place){.lock = -1};
}
