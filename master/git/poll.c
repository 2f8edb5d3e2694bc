/* POLL: what is not where it was. The remote's refs are compared with the mirror's to know whether
 * to fetch, and the mirror's with those last seen: what is told then lies in the mirror, with its
 * commits. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "master/git/impl.h"
#include "shared/base/log.h"

#define PACK_REFS                                                                                  \
    50 /* refs that one fetch changed: each is a file of its own until they are packed */

struct moves {
    gw_refs known; /* owned; sorted */
    gw_refs now;   /* of the mirror */
    git_oid *hide; /* owned: tips of the known branches, as far as the mirror has them */
    size_t n_hide, cap;
    size_t total; /* commits listed */
};

static void moves_clear(struct moves *m)
{
    gw_refs_clear(&m->known);
    gw_refs_clear(&m->now);
    free(m->hide);
}

/* The number of refs that differ. */
static size_t differ(const gw_refs *a, const gw_refs *b)
{
    size_t i = 0, k = 0, n = 0;

    while (i < a->n || k < b->n) {
        int c = i == a->n ? 1 : k == b->n ? -1 : strcmp(a->v[i].name, b->v[k].name);
        n += c != 0 || strcmp(a->v[i].rev, b->v[k].rev) != 0;
        i += c <= 0;
        k += c >= 0;
    }
    return n;
}

static int update(gw *w, gw_refs *proposals, pw_err *err)
{
    PW_AUTO(gw_refs_clear) gw_refs remote = {0};
    PW_AUTO(gw_refs_clear) gw_refs mirror = {0};
    size_t n;
    int rc = gw_mirror_open(w, err);

    if (rc == 0)
        rc = gw_refs_remote(w, NULL, &remote, w->job->proposals ? proposals : NULL, err);
    if (rc == 0)
        rc = gw_refs_mirror(w, false, &mirror, err);
    if (rc < 0)
        return rc;
    n = differ(&remote, &mirror);
    if (n > 0)
        rc = gw_mirror_fetch(w, err);
    if (rc == 0 && n > PACK_REFS)
        gw_mirror_pack_refs(w);
    if (rc == 0) {
        free(w->job->head);
        w->job->head = pw_take(remote.head);
    }
    return rc;
}

/* Sorted copies of what the asker knows, and the tips that a new branch may have in common with
 * others. */
static int read_known(const gw *w, struct moves *m, pw_err *err)
{
    const git_job *j = w->job;

    for (size_t i = 0; i < j->n_known && !j->first; i++) {
        const git_ref *ref = &j->known[i];
        if (!gw_ref_ok(ref->name) || !gw_rev_ok(ref->rev))
            continue;
        int rc = gw_refs_add(&m->known, ref->name, strlen(ref->name), ref->rev, err);
        if (rc < 0)
            return rc;
    }
    gw_refs_sort(&m->known);
    return 0;
}

/* Made when the first new branch asks for it. */
static int read_hide(const gw *w, struct moves *m, pw_err *err)
{
    if (m->hide)
        return 0;
    m->hide = calloc(m->known.n + 1, sizeof(*m->hide));
    if (!m->hide)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    for (size_t i = 0; i < m->known.n; i++)
        if (gw_ref_is_branch(m->known.v[i].name) && /* NOLINT(*NullDereference): n counts v */
            gw_graph_has(w, m->known.v[i].rev, &m->hide[m->n_hide]))
            m->n_hide++;
    return 0;
}

/* The commits of one move, oldest first. The tip is always listed, also when it is not new (a
 * branch made from another). */
static int list_commits(const gw *w, struct moves *m, const git_oid *tip, const git_oid *hide,
                        size_t n_hide, git_moved *move, pw_err *err)
{
    PW_AUTO(pw_freep) git_oid *chain = NULL;
    bool only_tip = !gw_ref_is_branch(move->ref) || m->total >= GW_TOTAL_MAX || w->job->first;
    size_t n = 0;
    int rc = 0;

    if (!only_tip)
        rc = gw_graph_chain(w, tip, hide, n_hide, GIT_COMMITS_MAX, &chain, &n, err);
    if (rc < 0)
        return rc;
    if (n == 0)
        n = 1;
    move->commit = calloc(n, sizeof(*move->commit));
    if (!move->commit)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    for (size_t i = 0; i < n && rc == 0; i++) {
        const git_oid *id = i == n - 1 ? tip : &chain[n - 1 - i];
        /* counted first: the fields of one that failed are freed, too */
        rc = gw_graph_commit(w, id, &move->commit[move->n_commits++], err);
    }
    m->total += n;
    return rc;
}

static int fill(const gw *w, struct moves *m, git_moved *move, pw_err *err)
{
    git_oid old, tip;
    bool has_old;
    int rc = 0;

    if (!gw_graph_has(w, move->rev, &tip))
        return pw_fail(err, PW_ECORRUPT, "the mirror of \"%s\" lacks %s", w->name, move->rev);
    has_old = move->old[0] && gw_graph_has(w, move->old, &old);
    if (has_old) {
        rc = gw_graph_contains(w, &tip, &old, err);
        if (rc < 0)
            return rc;
    }
    /* the mirror has all that the tip contains: what it lacks is not in there */
    move->forced = move->old[0] && rc == 0;
    if (w->job->first && !w->job->tips)
        return 0;
    if (has_old)
        return list_commits(w, m, &tip, &old, 1, move, err);
    rc = read_hide(w, m, err);
    return rc < 0 ? rc : list_commits(w, m, &tip, m->hide, m->n_hide, move, err);
}

git_moved *gw_move_add(git_job *j, const char *ref, const char *old, const char *now)
{
    git_moved *move;

    /* room grows at each power of two */
    if ((j->n_moved & (j->n_moved - 1)) == 0) {
        git_moved *v = realloc(j->moved, (j->n_moved ? j->n_moved * 2 : 1) * sizeof(*v));
        if (!v)
            return NULL;
        j->moved = v;
    }
    move = &j->moved[j->n_moved];
    *move = (git_moved){.ref = strdup(ref)};
    if (!move->ref)
        return NULL;
    j->n_moved++;
    if (old)
        memcpy(move->old, old, sizeof(move->old));
    if (now)
        memcpy(move->rev, now, sizeof(move->rev));
    return move;
}

static int add_move(const gw *w, struct moves *m, const git_ref *old, const git_ref *now,
                    pw_err *err)
{
    git_moved *move;

    assert(old || now);
    /* cppcheck-suppress nullPointerRedundantCheck */
    move = gw_move_add(w->job, now ? now->name : old->name, old ? old->rev : NULL,
                       now ? now->rev : NULL);
    if (!move)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    return now ? fill(w, m, move, err) : 0;
}

static int compare(const gw *w, pw_err *err)
{
    PW_AUTO(moves_clear) struct moves m = {0};
    size_t i = 0, k = 0;
    int rc = gw_refs_mirror(w, true, &m.now, err);

    if (rc == 0)
        rc = read_known(w, &m, err);
    while (rc == 0 && (i < m.known.n || k < m.now.n)) {
        const git_ref *old = i < m.known.n ? &m.known.v[i] : NULL;
        const git_ref *now = k < m.now.n ? &m.now.v[k] : NULL;
        int c = !old ? 1 : !now ? -1 : strcmp(old->name, now->name);
        if (c != 0 || strcmp(old->rev, now->rev) != 0)
            rc = add_move(w, &m, c <= 0 ? old : NULL, c >= 0 ? now : NULL, err);
        i += c <= 0;
        k += c >= 0;
    }
    return rc;
}

int gw_poll(gw *w, pw_err *err)
{
    PW_AUTO(gw_refs_clear) gw_refs proposals = {0};
    pw_err first = {0};
    int rc = update(w, &proposals, &first);

    if (rc == 0)
        rc = compare(w, &first);
    if (rc == 0 && w->job->proposals)
        rc = gw_proposals(w, &proposals, &first);
    if (rc == PW_ECORRUPT) {
        pw_log(PW_LOG_WARN, "git_mirror_made_anew", "project=%llu reason=\"%s\"",
               (unsigned long long)w->job->project, first.text);
        gw_forget_moves(w->job);
        rc = gw_mirror_remake(w, err);
        if (rc == 0) {
            gw_refs_clear(&proposals);
            rc = update(w, &proposals, err);
        }
        if (rc == 0)
            rc = compare(w, err);
        return rc == 0 && w->job->proposals ? gw_proposals(w, &proposals, err) : rc;
    }
    if (rc < 0 && err)
        *err = first;
    return rc;
}
