/* HISTORY: the first-parent revisions of one branch that another lacks, as the mirror knows them.
 */
#include <stdlib.h>
#include <string.h>

#include "master/git/impl.h"

/* Fills one tip, a tag as the commit that it stands for; *ret_has false: the ref is absent. */
static int read_tip(const gw *w, const char *name, char rev[GIT_REV], git_oid *id, bool *ret_has,
                    pw_err *err)
{
    char hex[GIT_OID_HEXSZ + 1];
    int rc = git_reference_name_to_id(id, w->repo, name);

    *ret_has = rc == 0;
    if (rc == GIT_ENOTFOUND)
        return 0;
    if (rc < 0)
        return gw_graph_fail(w, "reading a ref", rc, err);
    if (!gw_graph_has(w, git_oid_tostr(hex, sizeof(hex), id), id))
        return pw_fail(err, PW_ECORRUPT, "the mirror of \"%s\" lacks commit %s", w->name, hex);
    (void)git_oid_tostr(rev, GIT_REV, id);
    return 0;
}

static int list(const gw *w, const git_oid *from, const git_oid *to, pw_err *err)
{
    git_job *j = w->job;
    PW_AUTO(pw_freep) git_oid *chain = NULL;
    size_t n = 0, containing = 0;
    int rc = gw_graph_chain(w, from, to, to ? 1 : 0, GIT_HISTORY_MAX, &chain, &n, err);

    if (rc < 0)
        return rc;
    containing = n;
    if (to)
        rc = gw_graph_containing(w, chain, n, to, &containing, err);
    if (rc < 0 || n == 0)
        return rc;
    j->candidate = calloc(n, sizeof(*j->candidate));
    if (!j->candidate)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    j->n_candidates = n;
    for (size_t i = 0; i < n; i++) {
        (void)git_oid_tostr(j->candidate[i].rev, GIT_REV, &chain[i]);
        j->candidate[i].contains_to = i < containing;
    }
    return 0;
}

int gw_history(gw *w, pw_err *err)
{
    git_job *j = w->job;
    bool has_from = false, has_to = false;
    git_oid from, to;
    int rc;

    if (!gw_ref_ok(j->from) || !gw_ref_ok(j->to))
        return pw_fail(err, PW_EINVAL, "\"%.100s\" or \"%.100s\" is no branch or tag",
                       j->from ? j->from : "", j->to ? j->to : "");
    rc = gw_mirror_open_existing(w, err);
    if (rc == 0)
        rc = read_tip(w, j->from, j->from_rev, &from, &has_from, err);
    if (rc == 0)
        rc = read_tip(w, j->to, j->to_rev, &to, &has_to, err);
    if (rc < 0 || !has_from)
        return rc;
    if (!has_to)
        return list(w, &from, NULL, err);
    rc = gw_graph_contains(w, &from, &to, err);
    if (rc < 0)
        return rc;
    j->to_in_from = rc;
    rc = gw_graph_contains(w, &to, &from, err);
    if (rc < 0)
        return rc;
    j->from_in_to = rc;
    /* where the tip does not contain `to`, nothing before it does: there are no candidates */
    return j->to_in_from ? list(w, &from, &to, err) : 0;
}
