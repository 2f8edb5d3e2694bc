/* Questions to the mirror, by libgit2. Its objects stay on the thread of the job. */
#include <stdlib.h>
#include <string.h>

#include "master/git/impl.h"

#define AUTHOR_MAX 200  /* bytes; what a page shows in one line */
#define SUBJECT_MAX 300 /* the same */
#define TIME_MAX                                                                                   \
    INT64_C(253402300799) /* the last second of the year 9999: a commit can claim any */

int gw_graph_fail(const gw *w, const char *attempt, int rc, pw_err *err)
{
    const git_error *e = git_error_last();
    const char *text = e && e->message ? e->message : "no reason is given";
    pw_code code = PW_ECORRUPT;

    if (e && e->klass == GIT_ERROR_NOMEMORY)
        code = PW_ENOMEM;
    else if (e && e->klass == GIT_ERROR_OS && rc != GIT_ENOTFOUND)
        code = PW_ESYS;
    return pw_fail_at(err, __FILE__, __LINE__, code, 0, "%s of the mirror of \"%.120s\": %.160s",
                      attempt, w->name, text);
}

bool gw_graph_has(const gw *w, const char *rev, git_oid *ret)
{
    git_object *o = NULL, *commit = NULL;
    git_oid id;
    bool has = false;

    if (!gw_rev_ok(rev) || git_oid_fromstr(&id, rev) < 0)
        return false;
    if (git_object_lookup(&o, w->repo, &id, GIT_OBJECT_ANY) == 0 &&
        git_object_peel(&commit, o, GIT_OBJECT_COMMIT) == 0) {
        *ret = *git_object_id(commit);
        has = true;
    }
    git_object_free(commit);
    git_object_free(o);
    return has;
}

/* 1 when id is one of `from`, or an ancestor of one. */
static int reachable(const gw *w, const git_oid *id, const git_oid *from, size_t n, pw_err *err)
{
    int rc;

    for (size_t i = 0; i < n; i++)
        if (git_oid_equal(id, &from[i]))
            return 1;
    rc = n ? git_graph_reachable_from_any(w->repo, id, from, n) : 0;
    return rc < 0 ? gw_graph_fail(w, "reading the history", rc, err) : rc;
}

int gw_graph_contains(const gw *w, const git_oid *in, const git_oid *rev, pw_err *err)
{
    return reachable(w, rev, in, 1, err);
}

/* first-parent commits, newest first; returns their number */
static int walk(const gw *w, const git_oid *tip, git_oid *chain, size_t max, size_t *ret_n,
                pw_err *err)
{
    git_oid id = *tip;
    size_t n = 0;

    while (n < max) {
        lg2_commit *c = NULL;
        int rc = git_commit_lookup(&c, w->repo, &id);
        if (rc < 0)
            return gw_graph_fail(w, "reading a commit", rc, err);
        chain[n++] = id;
        bool root = git_commit_parentcount(c) == 0;
        if (!root)
            id = *git_commit_parent_id(c, 0);
        git_commit_free(c);
        if (root)
            break;
    }
    *ret_n = n;
    return 0;
}

/* What is true of a commit here is true of all behind it, or the other way round; so halving finds
 * where it changes, also when the clocks of the authors were wrong. */
int gw_graph_chain(const gw *w, const git_oid *tip, const git_oid *hide, size_t n_hide, size_t max,
                   git_oid **ret, size_t *ret_n, pw_err *err)
{
    PW_AUTO(pw_freep) git_oid *chain = calloc(max, sizeof(*chain));
    size_t n = 0, low = 0;
    int rc;

    if (!chain)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    rc = walk(w, tip, chain, max, &n, err);
    if (rc < 0)
        return rc;
    for (size_t high = n; low < high;) {
        size_t mid = low + (high - low) / 2;
        rc = reachable(w, &chain[mid], hide, n_hide, err);
        if (rc < 0)
            return rc;
        if (rc)
            high = mid;
        else
            low = mid + 1;
    }
    *ret = pw_take(chain);
    *ret_n = low;
    return 0;
}

int gw_graph_containing(const gw *w, const git_oid *chain, size_t n, const git_oid *rev,
                        size_t *ret, pw_err *err)
{
    size_t low = 0;

    for (size_t high = n; low < high;) {
        size_t mid = low + (high - low) / 2;
        int rc = gw_graph_contains(w, &chain[mid], rev, err);
        if (rc < 0)
            return rc;
        if (rc)
            low = mid + 1;
        else
            high = mid;
    }
    *ret = low;
    return 0;
}

/* At most max bytes in one line, cut before a character and not within one. */
static int add_line(pw_buf *b, const char *s, size_t n, size_t max)
{
    if (n > max)
        for (n = max; n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80; n--)
            ;
    for (size_t i = 0; i < n; i++) {
        char c = (unsigned char)s[i] < ' ' || s[i] == 0x7f ? ' ' : s[i];
        if (pw_buf_add(b, &c, 1) < 0)
            return PW_ENOMEM;
    }
    return 0;
}

static int take_line(pw_buf *b, char **ret, pw_err *err)
{
    *ret = b->failed ? NULL : b->len ? pw_buf_take(b) : strdup("");
    return *ret ? 0 : pw_fail(err, PW_ENOMEM, "out of memory");
}

struct files {
    pw_buf text;
    size_t n;
    bool full;
};

static int add_file(const git_diff *diff, const git_diff_delta *d, const char *spec, void *self)
{
    struct files *f = self;
    const char *path = d->new_file.path ? d->new_file.path : d->old_file.path;

    (void)diff;
    (void)spec;
    if (!path)
        return 1;
    /* a path that does not fit wholly would be another path */
    f->full = f->n == GW_FILES_MAX || f->text.len + strlen(path) + 1 > f->text.max;
    if (f->full)
        return -1;
    if (f->n++ > 0 && pw_buf_add(&f->text, "\n", 1) < 0)
        return -1;
    return add_line(&f->text, path, strlen(path), strlen(path)) < 0
               ? -1
               : 1; /* > 0: the diff itself keeps nothing */
}

/* *ret_full: there are more, which are left out. */
static int differing(const gw *w, git_tree *before, git_tree *now, char **ret, bool *ret_full,
                     pw_err *err)
{
    struct files f = {.text = PW_BUF(GW_FILES_BYTES)};
    git_diff_options opts;
    git_diff *diff = NULL;
    int rc = git_diff_options_init(&opts, GIT_DIFF_OPTIONS_VERSION);

    opts.flags = GIT_DIFF_INCLUDE_TYPECHANGE;
    opts.notify_cb = add_file;
    opts.payload = &f;
    if (rc == 0)
        rc = git_diff_tree_to_tree(&diff, w->repo, before, now, &opts);
    if (f.text.failed)
        rc = pw_fail(err, PW_ENOMEM, "out of memory");
    else if (rc < 0 && !f.full)
        rc = gw_graph_fail(w, "comparing files", rc, err);
    else
        rc = take_line(&f.text, ret, err);
    *ret_full = f.full;
    git_diff_free(diff);
    pw_buf_clear(&f.text);
    return rc;
}

static int list_files(const gw *w, const lg2_commit *c, git_commit *ret, pw_err *err)
{
    git_tree *new_tree = NULL, *old_tree = NULL;
    lg2_commit *parent = NULL;
    bool full;
    int rc = git_commit_tree(&new_tree, c);

    if (rc == 0 && git_commit_parentcount(c) > 0) {
        rc = git_commit_parent(&parent, c, 0);
        if (rc == 0)
            rc = git_commit_tree(&old_tree, parent);
    }
    rc = rc < 0 ? gw_graph_fail(w, "comparing files", rc, err)
                : differing(w, old_tree, new_tree, &ret->files, &full, err);
    git_tree_free(old_tree);
    git_tree_free(new_tree);
    git_commit_free(parent);
    return rc;
}

int gw_graph_files(const gw *w, const git_oid *before, const git_oid *now, char **ret, pw_err *err)
{
    const git_oid *id[2] = {before, now};
    git_tree *tree[2] = {NULL, NULL};
    bool full = false;
    char *files = NULL;
    int rc = 0;

    for (int i = 0; rc == 0 && i < 2; i++) {
        lg2_commit *c = NULL;
        rc = git_commit_lookup(&c, w->repo, id[i]);
        if (rc == 0)
            rc = git_commit_tree(&tree[i], c);
        git_commit_free(c);
    }
    rc = rc < 0 ? gw_graph_fail(w, "comparing files", rc, err)
                : differing(w, tree[0], tree[1], &files, &full, err);
    git_tree_free(tree[0]);
    git_tree_free(tree[1]);
    if (rc == 0)
        *ret = full ? NULL : pw_take(files);
    free(files);
    return rc;
}

/* What people write into a message so that it is not built. */
static bool says_skip(const char *message)
{
    static const char *const words[] = {"[ci skip]", "[skip ci]", "[no ci]", "***NO_CI***"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasestr(message, words[i]))
            return true;
    return false;
}

static int describe(const lg2_commit *c, git_commit *ret, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf author = PW_BUF(2 * AUTHOR_MAX + 8);
    PW_AUTO(pw_buf_clearp) pw_buf subject = PW_BUF(SUBJECT_MAX);
    const git_signature *who = git_commit_author(c);
    const char *message = git_commit_message(c);
    int64_t at = git_commit_time(c);
    int rc;

    if (who && who->name)
        (void)add_line(&author, who->name, strlen(who->name), AUTHOR_MAX);
    (void)pw_buf_adds(&author, " <");
    if (who && who->email)
        (void)add_line(&author, who->email, strlen(who->email), AUTHOR_MAX);
    (void)pw_buf_adds(&author, ">");
    ret->skip = message && says_skip(message);
    if (message)
        (void)add_line(&subject, message, strcspn(message, "\r\n"), SUBJECT_MAX);
    ret->testfix = message && strcasestr(message, "[testfix]");
    ret->at = (at < 0 ? 0 : at > TIME_MAX ? TIME_MAX : at) * 1000;
    rc = take_line(&author, &ret->author, err);
    return rc < 0 ? rc : take_line(&subject, &ret->subject, err);
}

int gw_graph_commit(const gw *w, const git_oid *id, git_commit *ret, pw_err *err)
{
    lg2_commit *c = NULL;
    int rc = git_commit_lookup(&c, w->repo, id);

    if (rc < 0)
        return gw_graph_fail(w, "reading a commit", rc, err);
    (void)git_oid_tostr(ret->rev, sizeof(ret->rev), id);
    rc = describe(c, ret, err);
    if (rc == 0)
        rc = list_files(w, c, ret, err);
    git_commit_free(c);
    return rc;
}
