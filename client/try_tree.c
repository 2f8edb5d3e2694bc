/* What `pawl try` sends: HEAD, and on top of it one commit of the files as they are, in a
 * repository of our own that borrows the objects of the work tree's. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/git.h"
#include "client/try.h"
#include "shared/base/fs.h"
#include "shared/base/num.h"

enum { OUT_MAX = 1024 * 1024, REMOTES_MAX = 64 };
#define LIST_MAX ((size_t)256 * 1024 * 1024) /* names of files that differ */
/* what the master takes for a commit that is to be replaced by its own */
#define MESSAGE "files as they are\n\nPawl-Try: snapshot"

typedef struct maker {
    const local_tree *t;
    try_made *m;
    char *repo, *index, *vars[2]; /* owned */
    char head[TRY_REV], tree[TRY_REV];
} maker;

static void maker_clear(maker *k)
{
    free(k->repo);
    free(k->index);
    free(k->vars[0]);
    free(k->vars[1]);
}

/* git in the work tree; own: with our index and our objects */
static int git(const maker *k, bool own, const char *const *args, pw_buf *out, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf none = PW_BUF(OUT_MAX);
    const char *const vars[] = {k->vars[0], k->vars[1], NULL};
    return client_git(k->t->top, own ? vars : NULL, args, out ? out : &none, err);
}
#define GIT(k, own, out, err, ...)                                                                 \
    git((k), (own), (const char *const[]){__VA_ARGS__, NULL}, (out), (err))

/* ---- remotes */
void try_remotes_clear(try_remotes *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->name[i]);
        free(r->url[i]);
    }
    free(r->name);
    free(r->url);
    *r = (try_remotes){0};
}

int try_remotes_read(const local_tree *t, try_remotes *ret, pw_err *err)
{
    maker k = {.t = t};
    PW_AUTO(pw_buf_clearp) pw_buf names = PW_BUF(OUT_MAX);
    PW_AUTO(try_remotes_clear)
    try_remotes r = {.name = calloc(REMOTES_MAX + 1, sizeof(char *)),
                     .url = calloc(REMOTES_MAX + 1, sizeof(char *))};
    bool failed = !r.name || !r.url;
    int rc = failed ? 0 : GIT(&k, false, &names, err, "remote");
    for (const char *s = pw_buf_str(&names); rc == 0 && !failed && *s && r.n < REMOTES_MAX;) {
        PW_AUTO(pw_buf_clearp) pw_buf url = PW_BUF(OUT_MAX);
        size_t n = strcspn(s, "\n");
        PW_AUTO(pw_freep) char *name = strndup(s, n);
        failed = !name;
        /* one without an address is nobody's */
        if (name && GIT(&k, false, &url, NULL, "remote", "get-url", name) == 0) {
            r.url[r.n] = pw_strdup(pw_buf_str(&url), &failed);
            r.name[r.n++] = pw_take(name);
        }
        s += n + (s[n] == '\n');
    }
    if (failed)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (rc < 0)
        return rc;
    *ret = r;
    r = (try_remotes){0};
    return 0;
}

/* ---- base and branch */
static int revision(const maker *k, const char *name, char ret[TRY_REV], pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(OUT_MAX);
    PW_AUTO(pw_freep) char *commit = pw_strf("%s^{commit}", name);
    if (!commit)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int rc = GIT(k, false, &out, err, "rev-parse", "--verify", "--end-of-options", commit);
    if (rc == 0 && out.len >= TRY_REV)
        rc = pw_fail(err, PW_EPROTO, "git gave no revision: \"%.100s\"", pw_buf_str(&out));
    if (rc == 0)
        memcpy(ret, pw_buf_str(&out), out.len + 1);
    return rc;
}

/* The remote's branch that HEAD follows, has the name of, or that the remote names first. */
static int find_branch(const maker *k, const char *remote, char **ret, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(OUT_MAX);
    PW_AUTO(pw_freep) char *prefix = pw_strf("refs/remotes/%s/", remote);
    PW_AUTO(pw_freep) char *own = pw_strf("refs/remotes/%s/%s", remote, k->t->branch);
    PW_AUTO(pw_freep) char *head = pw_strf("refs/remotes/%s/HEAD", remote);
    bool failed = false;
    if (!prefix || !own || !head)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    size_t n = strlen(prefix);
    if (GIT(k, false, &out, NULL, "rev-parse", "--symbolic-full-name", "HEAD@{upstream}") < 0 ||
        strncmp(pw_buf_str(&out), prefix, n) != 0) {
        char rev[TRY_REV];
        pw_buf_reset(&out);
        if (revision(k, own, rev, NULL) == 0)
            (void)pw_buf_adds(&out, own);
        else if (GIT(k, false, &out, NULL, "symbolic-ref", "-q", head) < 0)
            pw_buf_reset(&out);
    }
    *ret = out.len > n ? pw_strdup(out.p + n, &failed) : NULL;
    return failed ? pw_fail(err, PW_ENOMEM, "out of memory") : 0;
}

static int find_base(maker *k, const try_wish *w, pw_err *err)
{
    try_made *m = k->m;
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(OUT_MAX);
    bool failed = false;
    int rc = revision(k, "HEAD", k->head, err);
    if (rc < 0)
        return pw_err_context(err, "nothing is committed here yet");
    if (w->branch)
        m->branch = pw_strdup(w->branch, &failed);
    else if (w->remote)
        rc = find_branch(k, w->remote, &m->branch, err);
    if (failed || rc < 0)
        return failed ? pw_fail(err, PW_ENOMEM, "out of memory") : rc;
    if (w->base) {
        if ((rc = revision(k, w->base, m->base, err)) < 0)
            return pw_fail(err, PW_EINVAL, "--base: \"%.100s\" is no commit here", w->base);
        if (GIT(k, false, NULL, NULL, "merge-base", "--is-ancestor", m->base, "HEAD") < 0)
            return pw_fail(err, PW_EINVAL, "--base: HEAD is not on top of \"%.100s\"", w->base);
        return 0;
    }
    if (!w->remote || !m->branch)
        return pw_fail(err, PW_EINVAL,
                       "what to build upon is not known here: name a pushed commit with --base");
    PW_AUTO(pw_freep) char *ref = pw_strf("refs/remotes/%s/%s", w->remote, m->branch);
    if (!ref)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (GIT(k, false, &out, NULL, "merge-base", "HEAD", ref) < 0 || out.len >= TRY_REV)
        return pw_fail(err, PW_EINVAL,
                       "HEAD and %.100s/%.100s have nothing in common here: fetch it, or name a "
                       "pushed commit with --base",
                       w->remote, m->branch);
    memcpy(m->base, pw_buf_str(&out), out.len + 1);
    return 0;
}

/* ---- our repository */
static int make_place(maker *k, pw_err *err)
{
    const char *tmp = getenv("TMPDIR");
    PW_AUTO(pw_buf_clearp) pw_buf objects = PW_BUF(OUT_MAX);
    char *dir = pw_strf("%s/pawl-try-XXXXXX", tmp && *tmp == '/' ? tmp : "/tmp");
    if (!dir || !mkdtemp(dir)) {
        int rc = dir ? pw_fail_sys(err, "making a folder \"%s\"", dir)
                     : pw_fail(err, PW_ENOMEM, "out of memory");
        free(dir);
        return rc;
    }
    k->m->dir = dir;
    k->repo = pw_path_join(dir, "r.git");
    k->index = pw_path_join(dir, "index");
    k->m->bundle = pw_path_join(dir, "bundle");
    PW_AUTO(pw_freep) char *borrow = pw_path_join(dir, "r.git/objects/info/alternates");
    k->vars[0] = pw_strf("GIT_INDEX_FILE=%s/index", dir);
    k->vars[1] = pw_strf("GIT_OBJECT_DIRECTORY=%s/r.git/objects", dir);
    if (!k->repo || !k->index || !k->m->bundle || !borrow || !k->vars[0] || !k->vars[1])
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int rc = GIT(k, false, NULL, err, "init", "-q", "--bare", "--template=", "--", k->repo);
    if (rc == 0)
        rc = GIT(k, false, &objects, err, "rev-parse", "--path-format=absolute", "--git-path",
                 "objects");
    if (rc == 0)
        rc = pw_buf_adds(&objects, "\n") < 0
                 ? pw_fail(err, PW_ENOMEM, "out of memory")
                 : pw_fs_replace(borrow, objects.p, objects.len, 0600, err);
    return rc < 0 ? rc : client_git_index(k->t->top, k->index, err);
}

/* ---- what is sent */
static int count_files(const maker *k, const char *from, uint64_t *ret, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(LIST_MAX);
    int rc = GIT(k, true, &out, err, "diff-tree", "-r", "-z", "--name-only", "--no-renames", from,
                 k->tree);
    for (size_t i = 0; rc == 0 && i < out.len; i++)
        *ret += out.p[i] == '\0';
    return rc;
}

static int count_all(maker *k, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(OUT_MAX);
    try_made *m = k->m;
    PW_AUTO(pw_freep) char *range = pw_strf("%s..%s", m->base, k->head);
    if (!range)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int rc = GIT(k, false, &out, err, "rev-list", "--count", range);
    if (rc == 0)
        rc = pw_parse_u64(pw_buf_str(&out), &m->commits, err);
    if (rc == 0)
        rc = count_files(k, m->base, &m->files, err);
    if (rc == 0)
        rc = count_files(k, k->head, &m->loose, err);
    if (rc == 0 && !m->files && !m->commits)
        rc = pw_fail(err, PW_ECONFLICT,
                     "nothing differs from %.12s: there is nothing to try (pawl force builds what "
                     "is pushed)",
                     m->base);
    return rc;
}

/* Its author is whoever git knows here. */
static int commit(maker *k, pw_buf *rev, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf who = PW_BUF(OUT_MAX);
    if (GIT(k, false, &who, NULL, "var", "GIT_AUTHOR_IDENT") == 0 &&
        GIT(k, false, &who, NULL, "var", "GIT_COMMITTER_IDENT") == 0)
        return GIT(k, true, rev, err, "commit-tree", "-p", k->head, "-m", MESSAGE, k->tree);
    return GIT(k, true, rev, err, "-c", "user.name=pawl try", "-c", "user.email=try@localhost",
               "commit-tree", "-p", k->head, "-m", MESSAGE, k->tree);
}

static int snapshot(maker *k, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf tree = PW_BUF(OUT_MAX);
    PW_AUTO(pw_buf_clearp) pw_buf rev = PW_BUF(OUT_MAX);
    PW_AUTO(pw_freep) char *dir = pw_strf("--git-dir=%s", k->repo);
    PW_AUTO(pw_freep) char *not_base = pw_strf("^%s", k->m->base);
    if (!dir || !not_base)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int rc = GIT(k, true, NULL, err, "add", "--all", "--", ":/");
    if (rc == 0)
        rc = GIT(k, true, &tree, err, "write-tree");
    if (rc == 0 && tree.len >= TRY_REV)
        rc = pw_fail(err, PW_EPROTO, "git wrote no tree");
    if (rc < 0)
        return rc;
    memcpy(k->tree, pw_buf_str(&tree), tree.len + 1);
    rc = count_all(k, err);
    if (rc == 0)
        rc = commit(k, &rev, err);
    if (rc == 0)
        rc = GIT(k, false, NULL, err, dir, "update-ref", "refs/heads/try", pw_buf_str(&rev));
    if (rc == 0)
        rc = GIT(k, false, NULL, err, dir, "bundle", "create", "-q", k->m->bundle, "refs/heads/try",
                 not_base);
    return rc;
}

void try_made_clear(try_made *m)
{
    if (m->dir)
        (void)pw_fs_remove_tree(m->dir, NULL);
    free(m->dir);
    free(m->bundle);
    free(m->branch);
    *m = (try_made){0};
}

int try_make(const local_tree *t, const try_wish *wish, try_made *ret, pw_err *err)
{
    PW_AUTO(try_made_clear) try_made m = {0};
    PW_AUTO(maker_clear) maker k = {.t = t, .m = &m};
    struct stat st;
    int rc = find_base(&k, wish, err);
    if (rc == 0)
        rc = make_place(&k, err);
    if (rc == 0)
        rc = snapshot(&k, err);
    if (rc == 0 && stat(m.bundle, &st) < 0)
        rc = pw_fail_sys(err, "reading \"%s\"", m.bundle);
    if (rc < 0)
        return rc;
    m.bytes = (uint64_t)st.st_size;
    *ret = m;
    m = (try_made){0};
    return 0;
}
