/* One file of a revision, out of the mirror. */
#include "master/git/impl.h"

#include <stdlib.h>
#include <string.h>

static int take_blob(gw *w, const git_tree_entry *e, pw_err *err)
{
    git_job *j = w->job;
    git_blob *blob = NULL;
    int rc = git_blob_lookup(&blob, w->repo, git_tree_entry_id(e));
    if (rc < 0)
        return gw_graph_fail(w, "reading a file", rc, err);
    /* so much of a longer one that its length is told */
    git_object_size_t n = git_blob_rawsize(blob);
    n = n > GIT_SHOW_MAX + 1 ? GIT_SHOW_MAX + 1 : n;
    if (!(j->shown = malloc((size_t)n + 1)))
        rc = pw_fail(err, PW_ENOMEM, "out of memory");
    if (rc == 0) {
        if (n)
            memcpy(j->shown, git_blob_rawcontent(blob), (size_t)n);
        j->shown[n] = '\0';
        j->n_shown = (size_t)n;
    }
    git_blob_free(blob);
    return rc;
}

int gw_commit_find(gw *w, git_oid *ret, pw_err *err)
{
    const git_job *j = w->job;
    int rc = gw_mirror_open(w, err);
    if (rc == 0 && !gw_graph_has(w, j->rev, ret)) {
        rc = gw_mirror_fetch(w, err);
        if (rc == 0 && !gw_graph_has(w, j->rev, ret))
            rc = pw_fail(err, PW_ENOTFOUND, "%s has no revision %s", w->name, j->rev);
    }
    return rc;
}

int gw_show(gw *w, pw_err *err)
{
    const git_job *j = w->job;
    git_oid id;
    lg2_commit *c = NULL;
    git_tree *tree = NULL;
    git_tree_entry *e = NULL;
    int rc;

    if (!gw_rev_ok(j->rev) || !j->path || !*j->path)
        return pw_fail(err, PW_EINVAL, "\"%.60s\" is no revision", j->rev);
    rc = gw_commit_find(w, &id, err);
    if (rc < 0)
        return rc;
    rc = git_commit_lookup(&c, w->repo, &id);
    if (rc == 0)
        rc = git_commit_tree(&tree, c);
    if (rc == 0)
        rc = git_tree_entry_bypath(&e, tree, j->path);
    if (rc == GIT_ENOTFOUND)
        rc = 0;
    else if (rc < 0)
        rc = gw_graph_fail(w, "finding a file", rc, err);
    git_filemode_t mode = e ? git_tree_entry_filemode(e) : GIT_FILEMODE_UNREADABLE;
    if (rc == 0 && (mode == GIT_FILEMODE_BLOB || mode == GIT_FILEMODE_BLOB_EXECUTABLE))
        rc = take_blob(w, e, err);
    git_tree_entry_free(e);
    git_tree_free(tree);
    git_commit_free(c);
    return rc;
}
