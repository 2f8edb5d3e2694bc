/* The bare copies in STATE/mirrors. A mirror can be lost at any time: the next poll makes it anew.
 */
#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/git/impl.h"
#include "shared/base/fs.h"

#define TREE_FDS 16 /* descriptors that a walk keeps open */

static int open_repository(gw *w, pw_err *err)
{
    unsigned flags =
        GIT_REPOSITORY_OPEN_NO_SEARCH | GIT_REPOSITORY_OPEN_BARE | GIT_REPOSITORY_OPEN_NO_DOTGIT;
    int rc = git_repository_open_ext(&w->repo, w->mirror, flags, NULL);

    if (rc == 0)
        return 0;
    w->repo = NULL;
    rc = gw_graph_fail(w, "opening", rc, err);
    if (rc != PW_ENOMEM && err)
        err->code = PW_ECORRUPT;
    return rc == PW_ENOMEM ? rc : PW_ECORRUPT;
}

/* git init, into the folder that --git-dir names; without a template there are no hooks. */
static int make(gw *w, pw_err *err)
{
    static const char *const args[] = {"init", "--bare", "--quiet", "--template=", NULL};
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(GW_SAID_BYTES);
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(GW_SAID_BYTES);
    int rc = gw_child(w, args, -1, &out, &said, err);

    w->made = true;
    return rc == 0 ? 0 : gw_child_fail(w, "making a mirror of", rc, &said, err);
}

int gw_mirror_open_existing(gw *w, pw_err *err)
{
    if (access(w->mirror, F_OK) < 0 && errno == ENOENT)
        return pw_fail(err, PW_ENOTFOUND, "repository \"%s\" was not read yet", w->name);
    return open_repository(w, err);
}

int gw_mirror_open(gw *w, pw_err *err)
{
    int rc;

    if (access(w->mirror, F_OK) < 0 && errno == ENOENT) {
        rc = make(w, err);
        if (rc < 0)
            return rc;
    }
    return open_repository(w, err);
}

int gw_mirror_lock(const gw *w, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(w->mirror, "pawl-push.lock");
    pw_usec until = pw_now(&pw_host_real) + w->job->timeout;

    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    for (;;) {
        int fd = pw_fs_lock(path, err);
        if (fd != PW_EAGAIN)
            return fd;
        if (pw_now(&pw_host_real) >= until)
            return pw_fail(err, PW_ETIMEDOUT, "another push to \"%s\" has not ended", w->name);
        if (!gw_sleep(w, GW_LOCK_PERIOD))
            return pw_fail(err, PW_EAGAIN, "the program ends");
    }
}

int gw_mirror_remake(gw *w, pw_err *err)
{
    PW_AUTO(pw_closep) int lock = -1;
    int rc;

    git_repository_free(w->repo);
    w->repo = NULL;
    /* a push of a master before us may still read it */
    lock = gw_mirror_lock(w, err);
    if (lock == PW_ETIMEDOUT || lock == PW_EAGAIN)
        return lock;
    rc = pw_fs_remove_tree(w->mirror, err);
    return rc < 0 ? rc : make(w, err);
}

static bool has_prefix(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

static int sweep_ref(const char *path, const struct stat *st, int type, struct FTW *at)
{
    size_t n = strlen(path);

    (void)st;
    (void)at;
    if (type == FTW_F && n > 5 && strcmp(path + n - 5, ".lock") == 0) /* no ref may be called so */
        (void)unlink(path);
    return 0;
}

static int sweep_object(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    if (type == FTW_F && has_prefix(path + at->base, "tmp_"))
        (void)unlink(path);
    return 0;
}

/* A child that was killed leaves locks that nobody would ever remove, and parts of packs. Nothing
 * else works in the mirror: one job at a time, and children die with the master. */
static void sweep(const gw *w)
{
    static const char *const locks[] = {"packed-refs.lock", "packed-refs.new", "HEAD.lock",
                                        "config.lock", "shallow.lock"};
    PW_AUTO(pw_freep) char *refs = pw_path_join(w->mirror, "refs");
    PW_AUTO(pw_freep) char *objects = pw_path_join(w->mirror, "objects");

    for (size_t i = 0; i < sizeof(locks) / sizeof(locks[0]); i++) {
        PW_AUTO(pw_freep) char *path = pw_path_join(w->mirror, locks[i]);
        if (path)
            (void)unlink(path);
    }
    if (refs)
        (void)nftw(refs, sweep_ref, TREE_FDS, FTW_PHYS);
    if (objects)
        (void)nftw(objects, sweep_object, TREE_FDS, FTW_PHYS);
}

int gw_mirror_suspect(const gw *w, bool deep, int rc, pw_err *err)
{
    static const char *const shallow_args[] = {"rev-parse", "--git-dir", NULL};
    static const char *const deep_args[] = {"fsck", "--connectivity-only", "--no-dangling",
                                            "--no-progress", NULL};
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(GW_SAID_BYTES);
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(GW_SAID_BYTES);
    pw_err mine = {0};
    int found = gw_child(w, deep ? deep_args : shallow_args, -1, &out, &said, &mine);

    /* a report that is too long for the buffer is one of damage, too */
    if (found <= 0 && found != PW_ELIMIT)
        return rc;
    return pw_fail(err, PW_ECORRUPT, "the mirror of \"%s\" is damaged", w->name);
}

int gw_mirror_fetch(gw *w, pw_err *err)
{
    const char *args[16] = {"fetch",
                            "--quiet",
                            "--prune",
                            "--no-tags",
                            "--no-write-fetch-head",
                            "--no-recurse-submodules"};
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(GW_SAID_BYTES);
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(GW_SAID_BYTES);
    size_t n = 6;
    bool ended;
    int rc;

    if (w->local)
        args[n++] = "--upload-pack=git -c 'safe.directory=*' upload-pack";
    args[n++] = "--";
    args[n++] = w->job->repository;
    args[n++] = "+refs/heads/*:refs/heads/*";
    args[n++] = "+refs/tags/*:refs/tags/*";
    rc = gw_child(w, args, -1, &out, &said, err);
    if (rc != 0 && rc != PW_EAGAIN)
        sweep(w);
    if (rc > 0 && strstr(pw_buf_str(&said), ".lock")) {
        pw_buf_reset(&out);
        pw_buf_reset(&said);
        rc = gw_child(w, args, -1, &out, &said, err);
    }
    if (rc == 0) {
        if (w->made)
            gw_tries_restore(w);
        w->made = false;
        return 0;
    }
    ended = rc > 0;
    rc = gw_child_fail(w, "fetching from", rc, &said, err);
    return ended ? gw_mirror_suspect(w, true, rc, err) : rc;
}

int gw_mirror_fetch_refs(gw *w, const git_ref *const *ref, size_t n, pw_err *err)
{
    const char *args[GW_FETCH_REFS + 12] = {"fetch", "--quiet", "--no-tags",
                                            "--no-write-fetch-head", "--no-recurse-submodules"};
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(GW_SAID_BYTES);
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(GW_SAID_BYTES);
    PW_AUTO(pw_buf_clearp) pw_buf specs = PW_BUF((size_t)GW_FETCH_REFS * 600);
    size_t k = 5, first;
    int rc;

    if (w->local)
        args[k++] = "--upload-pack=git -c 'safe.directory=*' upload-pack";
    args[k++] = "--";
    args[k++] = w->job->repository;
    first = k;
    if (!pw_buf_room(&specs, specs.max)) /* it must not move */
        return pw_fail(err, PW_ENOMEM, "out of memory");
    for (size_t i = 0; i < n && i < GW_FETCH_REFS; i++) {
        args[k++] = specs.p + specs.len;
        (void)pw_buf_addf(&specs, "+%s:%s", ref[i]->name, ref[i]->name);
        (void)pw_buf_add(&specs, "", 1);
    }
    if (specs.failed)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    rc = k > first ? gw_child(w, args, -1, &out, &said, err) : 0;
    if (rc != 0 && rc != PW_EAGAIN)
        sweep(w);
    return rc == 0 ? 0 : gw_child_fail(w, "fetching from", rc, &said, err);
}

void gw_mirror_pack_refs(const gw *w)
{
    static const char *const args[] = {"pack-refs", "--all", NULL};
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(GW_SAID_BYTES);
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(GW_SAID_BYTES);

    (void)gw_child(w, args, -1, &out, &said, NULL);
}
