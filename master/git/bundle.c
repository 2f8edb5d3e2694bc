/* A revision as a git bundle, for workers that do not fetch it from its repository. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/git/impl.h"
#include "shared/base/fs.h"
#include "shared/crypt/hash.h"

enum { PIECE = 256 * 1024, TAGS_BYTES = 16 * 1024 * 1024 };

/* A bundle names refs, not commits. One job of a repository at a time, so one name does. */
static int put_ref(gw *w, const git_oid *id, pw_err *err)
{
    git_reference *ref = NULL;
    int rc = git_reference_create(&ref, w->repo, GIT_BUNDLE_REF, id, 1, NULL);

    git_reference_free(ref);
    return rc < 0 ? gw_graph_fail(w, "naming a revision", rc, err) : 0;
}

/* Tags of what leads to it, for `git describe`; one a line. */
static int find_tags(gw *w, pw_buf *out, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(GW_SAID_BYTES);
    PW_AUTO(pw_freep) char *merged = pw_strf("--merged=%s", w->job->rev);
    const char *const args[] = {"for-each-ref", merged, "--format=%(refname)", "refs/tags", NULL};
    int rc =
        merged ? gw_child(w, args, -1, out, &said, err) : pw_fail(err, PW_ENOMEM, "out of memory");

    if (rc == PW_ELIMIT) { /* a part of a line must not be read */
        pw_buf_reset(out);
        return 0;
    }
    return rc == 0 ? 0 : gw_child_fail(w, "reading tags of", rc, &said, err);
}

/* What the worker has already: only of that which is here, and never the revision itself, since a
 * bundle of nothing is none. */
static int without(gw *w, const git_oid *id, pw_buf *out, pw_err *err)
{
    const git_job *j = w->job;

    for (size_t i = 0; i < j->n_known; i++) {
        git_oid have;
        if (!gw_rev_ok(j->known[i].rev) || !gw_graph_has(w, j->known[i].rev, &have))
            continue;
        int rc = gw_graph_contains(w, &have, id, err);
        if (rc < 0)
            return rc;
        if (rc == 0)
            (void)pw_buf_addf(out, "^%s\n", j->known[i].rev);
    }
    return out->failed ? pw_fail(err, PW_ENOMEM, "out of memory") : 0;
}

static int to_memory(const pw_buf *b, pw_err *err)
{
    PW_AUTO(pw_closep) int fd = memfd_create("revisions", MFD_CLOEXEC);

    if (fd < 0)
        return pw_fail_sys(err, "making a file for git");
    int rc = b->len ? pw_fs_write_all(fd, b->p, b->len, err) : 0;
    if (rc < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return rc < 0 ? rc : pw_fail_sys(err, "making a file for git");
    int ret = fd;
    fd = -1;
    return ret;
}

static int sum_up(git_job *j, pw_err *err)
{
    PW_AUTO(crypt_sha256_freep) crypt_sha256 *h = crypt_sha256_new(err);
    PW_AUTO(pw_freep) uint8_t *piece = malloc(PIECE);
    PW_AUTO(pw_closep) int fd = open(j->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (!h || !piece)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (fd < 0)
        return pw_fail_sys(err, "reading a bundle");
    for (j->size = 0;;) {
        ssize_t n = read(fd, piece, PIECE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return pw_fail_sys(err, "reading a bundle");
        if (n == 0)
            break;
        crypt_sha256_add(h, piece, (size_t)n);
        j->size += (uint64_t)n;
    }
    crypt_sha256_end(h, j->sum);
    return 0;
}

int gw_bundle(gw *w, pw_err *err)
{
    git_job *j = w->job;
    PW_AUTO(pw_buf_clearp) pw_buf list = PW_BUF(TAGS_BYTES);
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(GW_SAID_BYTES);
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(GW_SAID_BYTES);
    /* one thread: the same bundle made again is the same bytes, so a transfer that was cut off goes
     * on */
    const char *const args[] = {"-c",    "pack.threads=1", "bundle",  "create", "-q",
                                j->path, GIT_BUNDLE_REF,   "--stdin", NULL};
    git_oid id;
    int rc;

    if (!gw_rev_ok(j->rev) || !j->path)
        return pw_fail(err, PW_EINVAL, "\"%.60s\" is no revision", j->rev);
    if ((rc = gw_commit_find(w, &id, err)) < 0 || (rc = put_ref(w, &id, err)) < 0 ||
        (rc = find_tags(w, &list, err)) < 0 || (rc = without(w, &id, &list, err)) < 0)
        return rc;
    PW_AUTO(pw_closep) int in = to_memory(&list, err);
    if (in < 0)
        return in;
    rc = gw_child_in(w, args, -1, in, &out, &said, err);
    if (rc != 0)
        rc = gw_child_fail(w, "bundling a revision of", rc, &said, err);
    if (rc == 0)
        rc = sum_up(j, err);
    if (rc < 0)
        (void)unlink(j->path);
    (void)git_reference_remove(w->repo, GIT_BUNDLE_REF);
    return rc;
}
