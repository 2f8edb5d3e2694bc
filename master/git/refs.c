/* Lists of refs: what the remote says, what the mirror has. */
#include <stdlib.h>
#include <string.h>

#include "master/git/impl.h"

#define NAME_MAX_REF                                                                               \
    1024 /* bytes of a ref's name; the store and the pages take less, but this one file must not   \
            fail */

void gw_refs_clear(gw_refs *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->v[i].name);
    free(r->v);
    free(r->head);
    *r = (gw_refs){0};
}

int gw_refs_add(gw_refs *r, const char *name, size_t len, const char *rev, pw_err *err)
{
    git_ref *ref;

    if (r->n == GW_REFS_MAX)
        return pw_fail(err, PW_ELIMIT, "more than %d branches and tags", GW_REFS_MAX);
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 16;
        git_ref *v = realloc(r->v, cap * sizeof(*v));
        if (!v)
            return pw_fail(err, PW_ENOMEM, "out of memory");
        r->v = v;
        r->cap = cap;
    }
    ref = &r->v[r->n];
    *ref = (git_ref){.name = strndup(name, len)};
    if (!ref->name)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    memcpy(ref->rev, rev, GIT_OID_HEXSZ);
    r->n++;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const git_ref *)a)->name, ((const git_ref *)b)->name);
}

void gw_refs_sort(gw_refs *r)
{
    if (r->n > 1)
        qsort(r->v, r->n, sizeof(*r->v), by_name);
}

bool gw_ref_is_branch(const char *name)
{
    return strncmp(name, "refs/heads/", 11) == 0;
}

bool gw_ref_ok(const char *name)
{
    int valid = 0;

    if (!name || strlen(name) > NAME_MAX_REF)
        return false;
    if (!gw_ref_is_branch(name) && strncmp(name, "refs/tags/", 10) != 0)
        return false;
    return git_reference_name_is_valid(&valid, name) == 0 && valid;
}

bool gw_rev_ok(const char *rev)
{
    return strspn(rev, "0123456789abcdef") == GIT_OID_HEXSZ && rev[GIT_OID_HEXSZ] == '\0';
}

/* "ref: refs/heads/master\tHEAD" or "<rev>\t<name>"; what is something else is skipped. */
static int parse_line(gw_refs *r, const char *s, size_t n, const char *only, pw_err *err)
{
    char name[NAME_MAX_REF + 1];
    size_t len;

    if (n > 21 && memcmp(s, "ref: refs/heads/", 16) == 0 && memcmp(s + n - 5, "\tHEAD", 5) == 0) {
        free(r->head);
        r->head = strndup(s + 16, n - 21);
        return r->head ? 0 : pw_fail(err, PW_ENOMEM, "out of memory");
    }
    if (n < GIT_OID_HEXSZ + 2 || s[GIT_OID_HEXSZ] != '\t' || n - GIT_OID_HEXSZ - 1 > NAME_MAX_REF)
        return 0;
    if (strspn(s, "0123456789abcdef") != GIT_OID_HEXSZ)
        return 0;
    len = n - GIT_OID_HEXSZ - 1;
    memcpy(name, s + GIT_OID_HEXSZ + 1, len);
    name[len] = '\0';
    /* "refs/tags/v1^{}" is what the tag stands for: no name of a ref */
    if (strlen(name) != len || (only ? strcmp(name, only) != 0 : !gw_ref_ok(name)))
        return 0;
    return gw_refs_add(r, name, len, s, err);
}

int gw_refs_parse(gw_refs *r, const char *text, const char *only, pw_err *err)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        int rc = parse_line(r, text, n, only, err);
        if (rc < 0)
            return rc;
        text += n + (text[n] == '\n');
    }
    gw_refs_sort(r);
    return 0;
}

/* The digits of a number, up to the slash behind them; NULL: not that. */
static const char *number(const char *s)
{
    size_t n = strspn(s, "0123456789");
    return n > 0 && n <= 18 && s[n] == '/' ? s + n + 1 : NULL;
}

bool git_proposal(const char *ref)
{
    static const char *const folders[] = {"refs/pull/", "refs/merge-requests/"};
    if (strlen(ref) > 200)
        return false;
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(folders[i]);
        const char *rest = strncmp(ref, folders[i], n) == 0 ? number(ref + n) : NULL;
        if (rest)
            return strcmp(rest, "head") == 0 || strcmp(rest, "merge") == 0;
    }
    return strncmp(ref, "refs/for/", 9) == 0 && ref[9];
}

int gw_refs_parse_proposals(gw_refs *r, const char *text, pw_err *err)
{
    for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
        char name[256];
        int valid = 0;
        size_t n = strcspn(text, "\n");
        if (n < GIT_OID_HEXSZ + 2 || n - GIT_OID_HEXSZ - 1 >= sizeof(name) ||
            text[GIT_OID_HEXSZ] != '\t' || strspn(text, "0123456789abcdef") != GIT_OID_HEXSZ)
            continue;
        memcpy(name, text + GIT_OID_HEXSZ + 1, n - GIT_OID_HEXSZ - 1);
        name[n - GIT_OID_HEXSZ - 1] = '\0';
        if (!git_proposal(name) || git_reference_name_is_valid(&valid, name) < 0 || !valid)
            continue;
        int rc = gw_refs_add(r, name, strlen(name), text, err);
        if (rc < 0)
            return rc;
    }
    gw_refs_sort(r);
    return 0;
}

int gw_refs_remote(const gw *w, const char *only, gw_refs *r, gw_refs *proposals, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(GW_LIST_BYTES);
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(GW_SAID_BYTES);
    const char *args[16] = {"ls-remote", "--symref"};
    size_t n = 2;
    int rc;

    /* our safe.directory does not reach the other end, which a path has on this machine: it gets
     * its own. The text is a constant: git hands it to a shell */
    if (w->local)
        args[n++] = "--upload-pack=git -c 'safe.directory=*' upload-pack";
    args[n++] = "--";
    args[n++] = w->job->repository;
    if (only) {
        args[n++] = only;
    } else {
        args[n++] = "HEAD";
        args[n++] = "refs/heads/*";
        args[n++] = "refs/tags/*";
        if (proposals) {
            args[n++] = "refs/pull/*";
            args[n++] = "refs/merge-requests/*";
            args[n++] = "refs/for/*";
        }
    }
    rc = gw_child(w, args, -1, &out, &said, err);
    if (rc != 0) {
        bool ended = rc > 0;
        rc = gw_child_fail(w, "reading", rc, &said, err);
        return ended ? gw_mirror_suspect(w, false, rc, err) : rc;
    }
    rc = gw_refs_parse(r, pw_buf_str(&out), only, err);
    return rc == 0 && proposals ? gw_refs_parse_proposals(proposals, pw_buf_str(&out), err) : rc;
}

/* The commit that a ref stands for; 1 when it is none. */
static int peel(const gw *w, git_reference *ref, git_oid *ret, pw_err *err)
{
    git_object *o = NULL;
    int rc;

    if (gw_ref_is_branch(git_reference_name(ref))) {
        *ret = *git_reference_target(ref);
        return 0;
    }
    rc = git_reference_peel(&o, ref, GIT_OBJECT_COMMIT);
    if (rc == GIT_EPEEL || rc == GIT_EINVALIDSPEC)
        return 1;
    if (rc < 0)
        return gw_graph_fail(w, "reading a tag", rc, err);
    *ret = *git_object_id(o);
    git_object_free(o);
    return 0;
}

static int add_reference(const gw *w, git_reference *ref, bool peeled, gw_refs *r, pw_err *err)
{
    const char *name = git_reference_name(ref);
    char hex[GIT_OID_HEXSZ + 1];
    git_oid id;
    int rc = 0;

    if (git_reference_type(ref) != GIT_REFERENCE_DIRECT || !gw_ref_ok(name))
        return 0;
    id = *git_reference_target(ref);
    if (peeled)
        rc = peel(w, ref, &id, err);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    (void)git_oid_tostr(hex, sizeof(hex), &id);
    return gw_refs_add(r, name, strlen(name), hex, err);
}

int gw_refs_mirror(const gw *w, bool peeled, gw_refs *r, pw_err *err)
{
    git_reference_iterator *it = NULL;
    git_reference *ref = NULL;
    int rc = git_reference_iterator_new(&it, w->repo);
    int failed = 0;

    while (rc == 0 && failed == 0) {
        rc = git_reference_next(&ref, it);
        if (rc < 0)
            break;
        failed = add_reference(w, ref, peeled, r, err);
        git_reference_free(ref);
    }
    if (failed == 0 && rc != GIT_ITEROVER)
        failed = gw_graph_fail(w, "reading the refs", rc, err);
    git_reference_iterator_free(it);
    gw_refs_sort(r);
    return failed;
}
