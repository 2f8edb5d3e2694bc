#include "worker/run/co.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "shared/base/fs.h"
#include "worker/run/login.h"
#include "worker/run/source.h"

/* The lock of the mirror, waited for. Returns the fd, or -1 with the result set. */
static int mirror_lock(checkout *c)
{
    PW_AUTO(pw_freep) char *path = pw_strf("%s.lock", c->mirror);
    pw_err err = {0};
    const pw_host *clock = c->r->host->clock;
    pw_usec until = pw_now(clock) + CHECKOUT_GIT_US;
    if (!path) {
        step_fail(c->out, PW_EXCEPTION, "out of memory");
        return -1;
    }
    for (;;) {
        int fd = pw_fs_lock(path, &err);
        if (fd >= 0)
            return fd;
        if (fd != PW_EAGAIN)
            return co_fail_err(c, &err);
        if (co_over(c))
            return -1;
        if (pw_now(clock) >= until) {
            step_fail(c->out, PW_EXCEPTION,
                      "another job holds the mirror of this repository for too long");
            return -1;
        }
        writer_tick(&c->r->writer, pw_now(clock));
        (void)poll(NULL, 0, CHECKOUT_LOCK_POLL_US / 1000);
    }
}

/* Is the revision there? 1 yes, 0 no, -1 result set. */
static int mirror_has(checkout *c)
{
    char name[80];
    (void)snprintf(name, sizeof(name), "%s^{commit}", c->r->spec.revision);
    int rc = co_git(c, true, "--git-dir", c->mirror, "cat-file", "-e", name);
    return rc < 0 ? rc : rc == 0;
}

static int mirror_fetch(checkout *c, const char *refs, const char *tags)
{
    char depth[40];
    (void)snprintf(depth, sizeof(depth), "--depth=%" PRIu64, c->s->depth);
    /* with no limit --no-tags stands in for the absent option: it is given anyway */
    return co_git(c, false, "--git-dir", c->mirror, "fetch", "--force", "--prune", "--no-tags",
                  c->s->depth ? depth : "--no-tags", "--recurse-submodules=no", "--",
                  c->r->spec.repository, refs, tags);
}

static int mirror_remove(checkout *c)
{
    pw_err err = {0};
    return pw_fs_remove_tree(c->mirror, &err) < 0 ? co_fail_err(c, &err) : 0;
}

static int mirror_make(checkout *c)
{
    return co_must(c, "making the mirror",
                   co_git(c, false, "init", "-q", "--bare", "--template=", "--", c->mirror));
}

/* All heads and tags. A fetch that fails although the repository can be reached is the mirror's
 * fault: once it is made anew. */
static int mirror_fetch_all(checkout *c)
{
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(CO_SMALL_FILE);
    char cure[400];
    const char *heads = "+refs/heads/*:refs/heads/*", *tags = "+refs/tags/*:refs/tags/*";
    c->said = &said;
    int rc = mirror_fetch(c, heads, tags);
    c->said = NULL;
    login_cure(c->r, pw_buf_str(&said), cure, sizeof(cure));
    if (rc > 0 && cure[0]) {
        step_fail(c->out, PW_EXCEPTION, "fetching from the repository failed: %s", cure);
        return rc;
    }
    if (rc > 0 && co_room_to_rebuild(c)) {
        int there = co_git(c, true, "ls-remote", "--heads", "--", c->r->spec.repository);
        if (there < 0)
            return there;
        if (there == 0) {
            co_tell(c, "the mirror of the repository is damaged and is made anew");
            c->rebuilt = true;
            if ((rc = mirror_remove(c)) == 0 && (rc = mirror_make(c)) == 0)
                rc = mirror_fetch(c, heads, tags);
        }
    }
    return co_must(c, "fetching from the repository", rc);
}

static int git_of_source(void *self, pw_buf *said, const char *const *args)
{
    checkout *c = self;
    c->said = said;
    c->hidden = said != NULL;
    int rc = co_git_run(c, false, args);
    c->said = NULL;
    c->hidden = false;
    return rc;
}

/* A mirror that git cannot add it to is made anew, once. */
static int mirror_bring(checkout *c)
{
    int rc = source_bring(c->r, c->mirror, git_of_source, c, c->out);
    if (rc == 1 && co_room_to_rebuild(c)) {
        co_tell(c, "the mirror of the repository is damaged and is made anew");
        c->rebuilt = true;
        if ((rc = mirror_remove(c)) == 0 && (rc = mirror_make(c)) == 0)
            rc = source_bring(c->r, c->mirror, git_of_source, c, c->out);
    }
    if (rc == 1)
        step_fail(c->out, PW_EXCEPTION, "git does not take the revision that the master sent");
    return rc;
}

/* Brings the revision into the mirror. 0, or not 0 with the result set. */
static int mirror_fill(checkout *c, bool rebuild)
{
    int rc = rebuild ? 0 : mirror_has(c);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    PW_AUTO(pw_closep) int lock = mirror_lock(c);
    if (lock < 0)
        return -1;
    if (rebuild) {
        c->rebuilt = true;
        if ((rc = mirror_remove(c)) != 0)
            return rc;
    } else if ((rc = mirror_has(c)) != 0) { /* who held the lock before has fetched it */
        return rc < 0 ? rc : 0;
    }
    if ((rc = mirror_make(c)) != 0)
        return rc;
    if (source_is_master(&c->r->spec))
        return mirror_bring(c);
    if ((rc = mirror_fetch_all(c)) != 0)
        return rc;
    if ((rc = mirror_has(c)) != 0)
        return rc < 0 ? rc : 0;
    /* no branch and no tag leads to it: some servers give it when asked by name */
    if (mirror_fetch(c, c->r->spec.revision, NULL) < 0)
        return -1;
    if ((rc = mirror_has(c)) != 0)
        return rc < 0 ? rc : 0;
    step_fail(c->out, PW_EXCEPTION, "revision %s is not in the repository", c->r->spec.revision);
    return -1;
}

/* Files of Git LFS lie in the mirror, too: work trees find them there as they find its objects. */
static int lfs_fill(checkout *c)
{
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(CO_SMALL_FILE);
    char cure[400];
    int rc = co_git(c, true, "--git-dir", c->mirror, "lfs", "version");
    if (rc > 0)
        step_fail(c->out, PW_EXCEPTION,
                  "checkout with \"lfs: true\" needs the program git-lfs, which worker \"%s\" "
                  "lacks: install it there (Debian: apt-get install git-lfs)",
                  c->r->spec.worker);
    if (rc != 0)
        return rc;
    /* git-lfs takes the names of remotes only */
    PW_AUTO(pw_freep) char *remote = pw_strf("remote.origin.url=%s", c->r->spec.repository);
    if (!remote) {
        step_fail(c->out, PW_EXCEPTION, "out of memory");
        return -1;
    }
    /* cppcheck-suppress autoVariables; taken back below */
    c->said = &said;
    rc = co_git(c, false, "--git-dir", c->mirror, "-c", remote, "lfs", "fetch", "origin",
                c->r->spec.revision);
    c->said = NULL;
    login_cure(c->r, pw_buf_str(&said), cure, sizeof(cure));
    if (rc <= 0 || !cure[0])
        return co_must(c, "fetching the files of Git LFS", rc);
    step_fail(c->out, PW_EXCEPTION, "fetching the files of Git LFS failed: %s", cure);
    return rc;
}

int co_mirror_update(checkout *c, bool rebuild)
{
    int rc = co_log_in(c);
    if (rc == 0)
        rc = mirror_fill(c, rebuild);
    if (rc == 0 && c->s->lfs)
        rc = lfs_fill(c);
    login_close(c->env, &c->login);
    return rc;
}

/* Whether the mirror has all of the revision's content: reads every file of it. */
int co_mirror_sound(checkout *c)
{
    int rc =
        co_git(c, true, "--git-dir", c->mirror, "archive", "--format=tar", c->r->spec.revision);
    return rc < 0 ? rc : rc == 0;
}
