#include "worker/run/co.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "worker/run/inside.h"
#include "worker/run/login.h"
#include "worker/run/sparse.h"
#include "worker/run/source.h"
#include "worker/run/steps.h"

enum {
    PATH_BYTES = 8192,
    SPARSE_BYTES = 4 * 1024 * 1024, /* of patterns: 100 folders with all that leads to them */
};

/* Writes text to a file of the tree's .git; NULL removes it. */
static int tree_write(const checkout *c, const char *name, const char *text, size_t n, pw_err *err)
{
    /* the builds before may have made links of anything in there */
    if (!text) {
        const char *last = strrchr(name, '/');
        PW_AUTO(pw_freep) char *dir = last ? strndup(name, (size_t)(last - name)) : NULL;
        if (!dir)
            return pw_fail(err, PW_ENOMEM, "out of memory");
        PW_AUTO(pw_closep)
        int at = pw_fs_open_beneath(c->dir, dir, O_RDONLY | O_DIRECTORY, 0, err);
        return at < 0 ? at
               : unlinkat(at, last + 1, 0) < 0 && errno != ENOENT
                   ? pw_fail_sys(err, "cannot remove %s/%s", c->dir, name)
                   : 0;
    }
    PW_AUTO(pw_closep)
    int fd = pw_fs_open_beneath(c->dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0644, err);
    if (fd < 0)
        return fd;
    return pw_fs_write_all(fd, text, n, err);
}

/* True when the file of the tree holds exactly that. */
static bool tree_holds(const checkout *c, const char *name, const char *text)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(c->dir, name);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(CO_SMALL_FILE);
    return path && pw_fs_read(path, CO_SMALL_FILE, &b, NULL) == 0 &&
           strcmp(pw_buf_str(&b), text) == 0;
}

/* Where objects come from, and how far history goes. */
static int tree_link(const checkout *c, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(PATH_BYTES);
    PW_AUTO(pw_freep) char *shallow = pw_strf("%s/shallow", c->mirror);
    static const char *const locks[] = {".git/index.lock", ".git/HEAD.lock", ".git/config.lock",
                                        ".git/shallow.lock", ".git/packed-refs.lock"};
    (void)pw_buf_addf(&text, "%s/objects\n", c->mirror);
    if (text.failed || !shallow)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    /* a git that was killed here leaves its locks; nobody else works in this folder */
    for (size_t i = 0; i < sizeof(locks) / sizeof(locks[0]); i++)
        (void)tree_write(c, locks[i], NULL, 0, NULL);
    int rc = tree_write(c, ".git/objects/info/alternates", text.p, text.len, err);
    if (rc < 0 || !c->s->depth)
        return rc < 0 ? rc : tree_write(c, ".git/shallow", NULL, 0, err);
    pw_buf_clear(&text);
    pw_buf_init(&text, 16 * 1024 * 1024);
    rc = pw_fs_read(shallow, text.max, &text, err);
    if (rc == PW_ENOTFOUND)
        return tree_write(c, ".git/shallow", NULL, 0, err);
    return rc < 0 ? rc : tree_write(c, ".git/shallow", pw_buf_str(&text), text.len, err);
}

int co_tree_empty(checkout *c)
{
    pw_err err = {0};
    c->fresh = true;
    if (pw_fs_remove_tree(c->dir, &err) < 0 || pw_fs_mkdirs(c->dir, 0755, &err) < 0 ||
        inside_own(c->r, c->dir, &err) < 0)
        return co_fail_err(c, &err);
    return 0;
}

/* True when git would take its files or its configuration from another place than this tree: the
 * next reset and clean would be done there. A build before this one may have asked for that. */
static bool leads_away(const checkout *c)
{
    PW_AUTO(pw_freep) char *config = pw_path_join(c->dir, ".git/config");
    PW_AUTO(pw_freep) char *common = pw_path_join(c->dir, ".git/commondir");
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(CO_SMALL_FILE);
    struct stat st;
    if (!config || !common || lstat(common, &st) == 0)
        return true;
    if (lstat(config, &st) < 0)
        return false; /* a new tree */
    return !S_ISREG(st.st_mode) || pw_fs_read(config, CO_SMALL_FILE, &b, NULL) < 0 ||
           strcasestr(pw_buf_str(&b), "worktree") || strcasestr(pw_buf_str(&b), "[include");
}

/* What a tree must have been made for to be used again: its origin, and how its files come. */
static int made_for(const checkout *c, pw_buf *out, pw_err *err)
{
    (void)pw_buf_addf(out, "%s%s%s", c->r->spec.repository, c->s->lfs ? "\nlfs" : "",
                      c->s->paths.n ? "\nsparse" : "");
    return out->failed ? pw_fail(err, PW_ENOMEM, "out of memory") : 0;
}

/* Files that are there, or are not, as another kind of checkout left them: git would take that for
 * what it is to be. Which folders are sparse may change. */
static bool other_kind(const checkout *c, const char *made)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(c->dir, ".git/pawl-origin");
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(CO_SMALL_FILE);
    if (!path || pw_fs_read(path, CO_SMALL_FILE, &b, NULL) < 0)
        return false;
    return strcmp(pw_buf_str(&b) + strcspn(pw_buf_str(&b), "\n"), made + strcspn(made, "\n")) != 0;
}

static int tree_config(checkout *c, const char *key, const char *value)
{
    return co_must(c, "git config", co_git(c, false, "config", key, value));
}

/* A new repository, or one that is told anew what it is for. */
static int tree_init(checkout *c)
{
    int rc = co_must(c, "git init", co_git(c, false, "init", "-q", "--template=", "."));
    if (rc == 0)
        rc = tree_config(c, "remote.origin.url", c->r->spec.repository);
    if (rc == 0)
        rc = tree_config(c, "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*");
    if (rc == 0 && c->s->paths.n && (rc = tree_config(c, "core.sparseCheckout", "true")) == 0)
        rc = tree_config(c, "core.sparseCheckoutCone", "true");
    /* also for the git that steps run: else it takes files for changed */
    if (rc == 0 && c->s->lfs)
        rc = co_must(c, "git lfs install",
                     co_git(c, true, "lfs", "install", "--local", "--force", "--skip-repo"));
    return rc;
}

/* The folders; git lacks the file when that is all. 0, or an error. */
static int tree_sparse(const checkout *c, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(SPARSE_BYTES);
    if (!c->s->paths.n)
        return 0;
    for (size_t i = 0; i < c->s->paths.n; i++)
        if (!sparse_path_ok(c->s->paths.v[i]))
            return pw_fail(err, PW_EINVAL, "\"sparse\": \"%.300s\" is not a path below the tree",
                           c->s->paths.v[i]);
    sparse_patterns((const char *const *)c->s->paths.v, c->s->paths.n, &text);
    if (text.failed)
        return pw_fail(err, PW_ENOMEM, "out of memory, or too many folders in \"sparse\"");
    PW_AUTO(pw_freep) char *info = pw_path_join(c->dir, ".git/info");
    if (!info)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    PW_AUTO(pw_closep) int git = pw_fs_open_beneath(c->dir, ".git", O_RDONLY | O_DIRECTORY, 0, err);
    if (git < 0)
        return git;
    if (mkdirat(git, "info", 0755) < 0 && errno != EEXIST)
        return pw_fail_sys(err, "cannot make %s", info);
    int rc = inside_own(c->r, info, err);
    return rc < 0 ? rc : tree_write(c, ".git/info/sparse-checkout", text.p, text.len, err);
}

/* A folder that is not there is a mistake in the name of it. */
static int sparse_there(checkout *c)
{
    struct stat st;
    for (size_t i = 0; i < c->s->paths.n; i++) {
        PW_AUTO(pw_freep) char *path = pw_path_join(c->dir, c->s->paths.v[i]);
        if (path && lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
            continue;
        step_fail(c->out, PW_FAILURE, "\"sparse\": revision %s has no folder \"%.300s\"",
                  c->r->spec.revision, c->s->paths.v[i]);
        return -1;
    }
    return 0;
}

/* A repository of its own in the work tree; kept from the build before when it is of the same
 * origin. */
static int tree_make(checkout *c)
{
    pw_err err = {0};
    PW_AUTO(pw_buf_clearp) pw_buf made = PW_BUF(PATH_BYTES);
    PW_AUTO(pw_freep) char *dotgit = pw_path_join(c->dir, ".git");
    struct stat st;
    int rc;
    if (!dotgit)
        (void)pw_fail(&err, PW_ENOMEM, "out of memory");
    if (!dotgit || made_for(c, &made, &err) < 0)
        return co_fail_err(c, &err);
    /* a link or a file there would make git work on another repository */
    if (lstat(dotgit, &st) == 0 && !S_ISDIR(st.st_mode) && pw_fs_remove_tree(dotgit, &err) < 0)
        return co_fail_err(c, &err);
    if (leads_away(c)) {
        co_tell(c, "the work tree's git configuration leads elsewhere: it is made anew");
        if (co_tree_empty(c) != 0)
            return -1;
    }
    if (other_kind(c, pw_buf_str(&made)) && co_tree_empty(c) != 0)
        return -1;
    if (!tree_holds(c, ".git/pawl-origin", pw_buf_str(&made))) {
        if ((rc = tree_init(c)) != 0)
            return rc;
        if (tree_write(c, ".git/pawl-origin", made.p, made.len, &err) < 0)
            return co_fail_err(c, &err);
    }
    if (tree_link(c, &err) == 0 && tree_sparse(c, &err) == 0)
        return 0;
    (void)co_fail_err(c, &err);
    /* a link or a file where a folder was: this tree cannot be used, a new one can */
    return err.sys == ENOTDIR || err.sys == ELOOP ? 1 : -1;
}

static int tree_submodules(checkout *c, bool clean)
{
    int rc = co_must(c, "git submodule sync",
                     co_git(c, false, "submodule", "--quiet", "sync", "--recursive"));
    if (rc == 0 && (rc = co_log_in(c)) == 0)
        rc = co_must(c, "git submodule update",
                     co_git(c, false, "submodule", "update", "--init", "--recursive", "--force"));
    login_close(c->env, &c->login);
    if (rc == 0 && clean)
        rc = co_must(
            c, "git clean",
            co_git(c, false, "submodule", "--quiet", "foreach", "--recursive", "git clean -ffdxq"));
    return rc;
}

int co_tree_update(checkout *c, bool clean)
{
    const char *rev = c->r->spec.revision;
    char head[80];
    int rc = tree_make(c);
    if (rc == 0)
        rc = co_must(c, "git fetch",
                     co_git(c, false, "fetch", "-q", "--force", "--prune", "--no-tags",
                            "--update-shallow", "--recurse-submodules=no", "--", c->mirror,
                            source_is_master(&c->r->spec) ? "+" SOURCE_HEADS
                                                            "*:refs/remotes/origin/*"
                                                          : "+refs/heads/*:refs/remotes/origin/*",
                            "+refs/tags/*:refs/tags/*"));
    if (rc == 0)
        rc = co_must(c, "git checkout", co_git(c, false, "checkout", "-f", "--detach", rev));
    if (rc == 0 && clean && !c->fresh)
        rc = co_must(c, "git clean", co_git(c, false, "clean", "-ffdxq"));
    if (rc == 0)
        rc = sparse_there(c);
    if (rc == 0 && c->s->submodules)
        rc = tree_submodules(c, clean);
    if (rc != 0)
        return rc;
    (void)snprintf(head, sizeof(head), "%s\n", rev);
    if (!tree_holds(c, ".git/HEAD", head)) {
        step_fail(c->out, PW_EXCEPTION, "the work tree is not at revision %s", rev);
        return 1;
    }
    return 0;
}
