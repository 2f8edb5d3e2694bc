/* Proposals: what forges keep of pull requests under refs/pull and the like. There may be many
 * thousands that nobody touches any more, so the first look only notes where they are, and then
 * only those that moved are fetched. One that the server lists and does not give must not stop the
 * rest.
 */
#include <stdlib.h>
#include <string.h>

#include "master/git/impl.h"
#include "shared/base/log.h"

#define FAILS_MAX 3 /* fetches of one ref in vain: then it is not the ref */

struct todo {
    const git_ref *old; /* NULL: new */
    const git_ref *now; /* NULL: gone */
};

/* Those that are not where they were; owned. */
static int differing(const gw_refs *known, const gw_refs *now, struct todo **ret, size_t *ret_n,
                     pw_err *err)
{
    size_t i = 0, k = 0;
    struct todo *v = calloc(known->n + now->n + 1, sizeof(*v));
    if (!v)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    *ret = v;
    *ret_n = 0;
    while (i < known->n || k < now->n) {
        const git_ref *a = i < known->n ? &known->v[i] : NULL;
        const git_ref *b = k < now->n ? &now->v[k] : NULL;
        int c = !a ? 1 : !b ? -1 : strcmp(a->name, b->name);
        if (c != 0 || strcmp(a->rev, b->rev) != 0)
            v[(*ret_n)++] = (struct todo){c <= 0 ? a : NULL, c >= 0 ? b : NULL};
        i += c <= 0;
        k += c >= 0;
    }
    return 0;
}

static bool has(const gw *w, const char *rev)
{
    git_oid id;
    return gw_graph_has(w, rev, &id);
}

/* Those that the mirror lacks, many at a time; when that fails, one by one. */
static int fetch(gw *w, const struct todo *todo, size_t n, pw_err *err)
{
    const git_ref *want[GW_FETCH_REFS];
    size_t n_want = 0, fails = 0;
    pw_err why = {0};
    for (size_t i = 0; i < n; i++) {
        if (todo[i].now && !has(w, todo[i].now->rev))
            want[n_want++] = todo[i].now;
        if (n_want == 0 || (n_want < GW_FETCH_REFS && i + 1 < n))
            continue;
        int rc = gw_mirror_fetch_refs(w, want, n_want, &why);
        for (size_t k = 0; rc < 0 && rc != PW_EAGAIN && rc != PW_ETIMEDOUT && n_want > 1 &&
                           k < n_want && fails < FAILS_MAX;
             k++)
            fails += gw_mirror_fetch_refs(w, &want[k], 1, &why) < 0;
        if (rc == PW_EAGAIN || rc == PW_ETIMEDOUT || fails == FAILS_MAX)
            return pw_fail(err, rc == PW_EAGAIN ? PW_EAGAIN : PW_ESYS, "%s", why.text);
        if (rc < 0)
            pw_log(PW_LOG_WARN, "proposal_not_fetched", "project=%llu reason=\"%s\"",
                   (unsigned long long)w->job->project, why.text);
        n_want = 0;
    }
    return 0;
}

static int tell(gw *w, const struct todo *t, pw_err *err)
{
    git_oid tip, old;
    git_reference *ref = NULL;
    git_moved *m;
    int rc;
    if (t->now && !w->job->first_proposals && !has(w, t->now->rev))
        return 0; /* not given, or gone meanwhile: the next look tells */
    m = gw_move_add(w->job, t->now ? t->now->name : t->old->name, t->old ? t->old->rev : NULL,
                    t->now ? t->now->rev : NULL);
    if (!m)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (!t->now && git_reference_lookup(&ref, w->repo, m->ref) == 0)
        (void)git_reference_delete(ref);
    git_reference_free(ref);
    if (!t->now || w->job->first_proposals || !gw_graph_has(w, m->rev, &tip))
        return 0;
    if (m->old[0]) {
        rc = gw_graph_has(w, m->old, &old) ? gw_graph_contains(w, &tip, &old, err) : 0;
        if (rc < 0)
            return rc;
        m->forced = rc == 0;
    }
    m->commit = calloc(1, sizeof(*m->commit));
    if (!m->commit)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    m->n_commits = 1;
    return gw_graph_commit(w, &tip, m->commit, err);
}

int gw_proposals(gw *w, gw_refs *remote, pw_err *err)
{
    PW_AUTO(gw_refs_clear) gw_refs known = {0};
    PW_AUTO(pw_freep) struct todo *todo = NULL;
    const git_job *j = w->job;
    size_t n = 0;
    int rc = 0;
    for (size_t i = 0; i < j->n_known && rc == 0; i++)
        if (git_proposal(j->known[i].name) && gw_rev_ok(j->known[i].rev))
            rc = gw_refs_add(&known, j->known[i].name, strlen(j->known[i].name), j->known[i].rev,
                             err);
    gw_refs_sort(&known);
    if (rc == 0)
        rc = differing(&known, remote, &todo, &n, err);
    if (rc == 0 && !j->first_proposals) {
        n = n > GW_PROPOSALS_MAX ? GW_PROPOSALS_MAX : n;
        rc = fetch(w, todo, n, err);
    }
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = tell(w, &todo[i], err);
    return rc;
}
