/* TRY: a developer's changes become commits of the mirror. What was sent is a bundle of commits, or
 * a patch; on top of it stands one commit of our own making, so that no branch of anybody ever has
 * the revision that is built. Beside the mirror, which may be lost, a bundle of it is kept. No work
 * tree is made, and no filter or hook runs. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/git/impl.h"
#include "shared/base/fault.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"
#include "shared/base/num.h"

/* In the message of the commit that `pawl try` makes of what is not committed: ours takes its
 * place. */
static const char SNAPSHOT[] = "\nPawl-Try: snapshot";
#define REFS "refs/pawl/try/"

typedef struct attempt {
    gw *w;
    char *bundle, *fresh, *index; /* owned: paths */
    char ref[40];                 /* where it comes to stand */
    git_oid base, sent;
    git_oid tree; /* patch: of what is sent; it is no commit yet */
} attempt;

static void attempt_clear(attempt *t)
{
    free(t->bundle);
    free(t->fresh);
    free(t->index);
}

static char *tries_dir(const gw *w)
{
    const char *slash = strrchr(w->mirror, '/'), *end = slash;

    while (end > w->mirror && *--end != '/')
        ;
    return end > w->mirror ? pw_strf("%.*s/tries", (int)(end - w->mirror), w->mirror)
                           : strdup("tries");
}

bool git_try_name(const char *name, uint64_t *ret_project, uint64_t *ret_number)
{
    char project[24], number[24];
    size_t n = strspn(name, "0123456789"),
           k = name[n] == '-' ? strspn(name + n + 1, "0123456789") : 0;

    if (!n || !k || n >= sizeof(project) || k >= sizeof(number) ||
        strcmp(name + n + 1 + k, ".bundle") != 0)
        return false;
    (void)snprintf(project, sizeof(project), "%.*s", (int)n, name);
    (void)snprintf(number, sizeof(number), "%.*s", (int)k, name + n + 1);
    return pw_parse_u64(project, ret_project, NULL) == 0 &&
           pw_parse_u64(number, ret_number, NULL) == 0;
}

static int attempt_init(attempt *t, gw *w, pw_err *err)
{
    PW_AUTO(pw_freep) char *dir = tries_dir(w);
    uint64_t p = w->job->project, n = w->job->number;

    *t = (attempt){.w = w};
    (void)snprintf(t->ref, sizeof(t->ref), REFS "%" PRIu64, n);
    if (dir) {
        t->bundle = pw_strf("%s/%" PRIu64 "-%" PRIu64 ".bundle", dir, p, n);
        t->fresh = pw_strf("%s/%" PRIu64 "-%" PRIu64 ".new", dir, p, n);
        t->index = pw_strf("%s/%" PRIu64 "-%" PRIu64 ".index", dir, p, n);
    }
    if (!t->bundle || !t->fresh || !t->index)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    return pw_fs_mkdirs(dir, 0700, err);
}

/* ---- what git says of it */
/* The path of a file of the master's is nobody's business. */
static void hide_path(const char *path, pw_buf *said)
{
    size_t n = strlen(path);
    char *at = said->p;

    while (at && (at = strstr(at, path))) {
        memmove(at + 8, at + n, strlen(at + n) + 1);
        memcpy(at, "the file", 8); /* paths here are longer */
        said->len -= n - 8;
    }
}

/* The first lines of git's errors, as one. unfit: they are about what was sent. */
static int refused(const attempt *t, const char *what, pw_buf *said, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(300);

    gw_child_clean(t->w, said);
    if (said->p)
        hide_path(t->w->job->try.file, said);
    for (const char *s = pw_buf_str(said); *s;) {
        size_t n = strcspn(s, "\n");
        const char *text =
            strncmp(s, "error: ", 7) == 0 || strncmp(s, "fatal: ", 7) == 0 ? s + 7 : s;
        int len = (int)(n - (size_t)(text - s));
        if (n > 0 && strncmp(s, "warning:", 8) != 0 && strncmp(s, "hint:", 5) != 0 &&
            pw_buf_addf(&b, "%s%.*s", b.len ? "; " : "", len, text) < 0)
            break; /* it says enough */
        s += n + (s[n] == '\n');
    }
    t->w->job->unfit = true;
    return pw_fail(err, PW_EINVAL, "%s: %s", what, b.len ? pw_buf_str(&b) : "git refuses it");
}

/* 0; what git refuses is the sender's fault when `what` says so (else NULL). */
static int run(const attempt *t, const char *const *args, const char *what, pw_buf *out,
               pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf mine = PW_BUF(GW_SAID_BYTES);
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(GW_SAID_BYTES);
    int rc = gw_child(t->w, args, -1, out ? out : &mine, &said, err);

    if (rc == 0)
        return 0;
    if (rc > 0 && rc <= 128 && what && !strstr(pw_buf_str(&said), "No space left"))
        return refused(t, what, &said, err);
    return gw_child_fail(t->w, "trying in", rc, &said, err);
}
#define RUN(t, what, out, err, ...)                                                                \
    run((t), (const char *const[]){__VA_ARGS__, NULL}, (what), (out), (err))

/* ---- the base */
/* 1 when a branch or a tag of the repository has it, 0 not */
static int on_branch(const attempt *t, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(GW_SAID_BYTES);
    int rc = RUN(t, NULL, &out, err, "rev-list", "--max-count=1", t->w->job->old, "--not",
                 "--branches", "--tags");

    return rc < 0 ? rc : out.len == 0;
}

/* The repository may have it since the last look. */
static int find_base(attempt *t, pw_err *err)
{
    git_job *j = t->w->job;
    bool fetched = false;

    if (!gw_rev_ok(j->old)) {
        j->unfit = true;
        return pw_fail(err, PW_EINVAL, "\"%.60s\" is no revision to build on", j->old);
    }
    for (;;) {
        int rc = gw_graph_has(t->w, j->old, &t->base) ? on_branch(t, err) : 0;
        if (rc != 0)
            return rc < 0 ? rc : 0;
        if (fetched)
            break;
        if ((rc = gw_mirror_fetch(t->w, err)) < 0)
            return rc;
        fetched = true;
    }
    j->unfit = true;
    return pw_fail(err, PW_ENOTFOUND,
                   "no branch or tag of the repository has revision %s; name a base that is pushed",
                   j->old);
}

/* ---- what was sent */
/* It becomes a tree in an index of its own. */
static int import_patch(attempt *t, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf tree = PW_BUF(GW_SAID_BYTES);
    git_job *j = t->w->job;

    (void)unlink(t->index);
    t->w->index = t->index;
    int rc = RUN(t, NULL, NULL, err, "read-tree", j->old);
    if (rc == 0)
        rc = RUN(t, "the patch does not apply to its base", NULL, err, "apply", "--cached",
                 "--whitespace=nowarn", "--", j->try.file);
    if (rc == 0)
        rc = RUN(t, NULL, &tree, err, "write-tree");
    t->w->index = NULL;
    (void)unlink(t->index);
    if (rc == 0 && git_oid_fromstrn(&t->tree, pw_buf_str(&tree), GIT_OID_HEXSZ) < 0)
        rc = pw_fail(err, PW_EPROTO, "git wrote no tree");
    t->sent = t->base;
    return rc;
}

/* The name of its one tip. */
static int bundle_tip(const attempt *t, char name[300], pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf heads = PW_BUF(GW_SAID_BYTES);
    git_job *j = t->w->job;
    int valid = 0;
    int rc = RUN(t, "it is no bundle of git", &heads, err, "bundle", "list-heads", j->try.file);

    if (rc < 0)
        return rc;
    const char *s = pw_buf_str(&heads);
    size_t n = strcspn(s, "\n");
    j->unfit = true;
    if (n <= GIT_OID_HEXSZ + 1 || n - GIT_OID_HEXSZ - 1 >= 300)
        return pw_fail(err, PW_EINVAL, "the bundle has no tip");
    if (s[n] && s[n + 1])
        return pw_fail(err, PW_EINVAL, "the bundle has several tips: it must have one");
    (void)snprintf(name, 300, "%.*s", (int)(n - GIT_OID_HEXSZ - 1), s + GIT_OID_HEXSZ + 1);
    if (strcmp(name, "HEAD") != 0 &&
        (git_reference_name_is_valid(&valid, name) < 0 || !valid || strncmp(name, "refs/", 5) != 0))
        return pw_fail(err, PW_EINVAL, "the bundle's tip has no name of a ref");
    j->unfit = false;
    return 0;
}

static int import_bundle(attempt *t, pw_err *err)
{
    git_job *j = t->w->job;
    char name[300], spec[400];
    git_object *o = NULL;
    int rc = bundle_tip(t, name, err);

    if (rc < 0)
        return rc;
    (void)snprintf(spec, sizeof(spec), "+%s:%s", name, t->ref);
    rc = RUN(t, "the bundle cannot be taken in", NULL, err, "-c", "fetch.fsckObjects=true", "fetch",
             "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--",
             j->try.file, spec);
    if (rc < 0)
        return rc;
    rc = git_revparse_single(&o, t->w->repo, t->ref);
    if (rc < 0)
        return gw_graph_fail(t->w, "reading a try", rc, err);
    if (git_object_type(o) == GIT_OBJECT_COMMIT) {
        t->sent = *git_object_id(o);
        rc = gw_graph_contains(t->w, &t->sent, &t->base, err);
    }
    git_object_free(o);
    if (rc < 0 || rc > 0)
        return rc < 0 ? rc : 0;
    j->unfit = true;
    return pw_fail(err, PW_EINVAL, "the bundle's tip is no commit on top of %s", j->old);
}

/* ---- the commit that is built */
static int count_sent(const attempt *t, bool snapshot, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(GW_SAID_BYTES);
    char range[2 * GIT_REV + 3], sent[GIT_REV];
    uint64_t n = 0;

    (void)git_oid_tostr(sent, sizeof(sent), &t->sent);
    (void)snprintf(range, sizeof(range), "%s..%s", t->w->job->old, sent);
    int rc = RUN(t, NULL, &out, err, "rev-list", "--count", range);
    if (rc < 0)
        return rc;
    if (out.len)
        out.p[--out.len] = '\0'; /* the line's end */
    if (pw_parse_u64(pw_buf_str(&out), &n, err) < 0)
        return err->code;
    t->w->job->n_tried = (size_t)n - (snapshot && n > 0);
    return 0;
}

static bool is_snapshot(const lg2_commit *c)
{
    const char *message = git_commit_message(c);
    return git_commit_parentcount(c) == 1 && message && strstr(message, SNAPSHOT);
}

/* Signed by whoever made what was sent last, or by who sent it; made by us. */
static int commit_on(const attempt *t, lg2_commit *sent, bool snapshot, pw_err *err)
{
    git_job *j = t->w->job;
    PW_AUTO(pw_freep) char *message = pw_strf("%s\n", j->try.subject ? j->try.subject : "try");
    lg2_commit *parent = NULL;
    git_tree *tree = NULL;
    git_signature *us = NULL, *who = NULL;
    git_reference *ref = NULL;
    git_oid id;

    if (!message)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int rc = git_signature_now(&us, "Pawl", "pawl@localhost");
    if (rc == 0 && j->try.patch)
        rc = git_signature_now(&who, j->try.who && *j->try.who ? j->try.who : "Pawl",
                               "pawl@localhost");
    if (rc == 0 && snapshot)
        rc = git_commit_parent(&parent, sent, 0);
    if (rc == 0)
        rc = j->try.patch ? git_tree_lookup(&tree, t->w->repo, &t->tree)
                          : git_commit_tree(&tree, sent);
    if (rc == 0) {
        const lg2_commit *on = parent ? parent : sent;
        rc = git_commit_create(&id, t->w->repo, NULL, who ? who : git_commit_author(sent), us, NULL,
                               message, tree, 1, &on);
    }
    if (rc == 0)
        rc = git_reference_create(&ref, t->w->repo, t->ref, &id, 1, NULL);
    rc = rc < 0 ? gw_graph_fail(t->w, "making the commit of a try", rc, err)
                : gw_graph_commit(t->w, &id, &j->tried, err);
    if (rc == 0) {
        free(pw_take(j->tried.files));
        rc = gw_graph_files(t->w, &t->base, &id, &j->tried.files, err);
    }
    git_reference_free(ref);
    git_signature_free(us);
    git_signature_free(who);
    git_tree_free(tree);
    git_commit_free(parent);
    return rc;
}

static int make_commit(const attempt *t, pw_err *err)
{
    lg2_commit *sent = NULL;
    int rc = git_commit_lookup(&sent, t->w->repo, &t->sent);

    if (rc < 0)
        return gw_graph_fail(t->w, "reading a try", rc, err);
    bool snapshot = !t->w->job->try.patch && is_snapshot(sent);
    rc = count_sent(t, snapshot, err);
    if (rc == 0)
        rc = commit_on(t, sent, snapshot, err);
    git_commit_free(sent);
    return rc;
}

/* ---- what is kept beside the mirror */
static int sync_file(const char *path, pw_err *err)
{
    PW_AUTO(pw_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);

    return fd < 0 || fsync(fd) < 0 ? pw_fail_sys(err, "syncing \"%s\"", path) : 0;
}

static int keep(const attempt *t, pw_err *err)
{
    PW_AUTO(pw_freep) char *dir = tries_dir(t->w);
    char not_base[GIT_REV + 1];

    (void)snprintf(not_base, sizeof(not_base), "^%s", t->w->job->old);
    int rc = RUN(t, NULL, NULL, err, "bundle", "create", "--quiet", t->fresh, t->ref, not_base);
    if (rc == 0)
        rc = sync_file(t->fresh, err);
    if (rc == 0 && rename(t->fresh, t->bundle) < 0)
        rc = pw_fail_sys(err, "putting \"%s\" in place", t->bundle);
    if (rc < 0)
        return rc;
    return dir ? pw_fs_sync_dir(dir, err) : pw_fail(err, PW_ENOMEM, "out of memory");
}

/* Ref first: while the file is there, whoever sweeps finds both. */
static int forget(const attempt *t, pw_err *err)
{
    int rc = t->w->repo ? 0 : gw_mirror_open_existing(t->w, err);

    if (rc == 0) {
        rc = git_reference_remove(t->w->repo, t->ref);
        rc = rc < 0 && rc != GIT_ENOTFOUND ? gw_graph_fail(t->w, "removing a try", rc, err) : 0;
    } else if (rc == PW_ENOTFOUND || rc == PW_ECORRUPT) {
        rc = 0; /* a mirror that is made anew gets the others only */
    }
    if (rc < 0)
        return rc;
    (void)unlink(t->fresh);
    (void)unlink(t->index);
    if (unlink(t->bundle) < 0 && errno != ENOENT)
        return pw_fail_sys(err, "removing \"%s\"", t->bundle);
    return 0;
}

static int import(attempt *t, pw_err *err)
{
    PW_AUTO(pw_closep) int mark = -1;
    int rc = gw_mirror_open(t->w, err);

    if (rc == 0)
        rc = find_base(t, err);
    if (rc < 0)
        return rc;
    if (pw_fault("try.import"))
        return pw_fail(err, PW_EAGAIN, "fault point try.import");
    /* an empty one says that the ref may be there: it is found by the next start */
    mark = open(t->bundle, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (mark < 0)
        return pw_fail_sys(err, "making \"%s\"", t->bundle);
    rc = t->w->job->try.patch ? import_patch(t, err) : import_bundle(t, err);
    if (rc == 0)
        rc = make_commit(t, err);
    if (rc == 0)
        rc = keep(t, err);
    if (rc == 0 && pw_fault("try.imported"))
        rc = pw_fail(err, PW_EAGAIN, "fault point try.imported");
    return rc;
}

int gw_try(gw *w, pw_err *err)
{
    PW_AUTO(attempt_clear) attempt t = {0};
    git_job *j = w->job;
    int rc = j->number && j->try.file ? attempt_init(&t, w, err)
                                      : pw_fail(err, PW_EINVAL, "nothing is given to try");

    if (rc == 0)
        rc = import(&t, err);
    if (rc < 0 && t.bundle)
        (void)forget(&t, NULL);
    if (j->try.file)
        (void)unlink(j->try.file);
    return rc;
}

int gw_untry(gw *w, pw_err *err)
{
    PW_AUTO(attempt_clear) attempt t = {0};
    int rc = attempt_init(&t, w, err);

    if (rc == 0 && pw_fault("try.removed"))
        rc = pw_fail(err, PW_EAGAIN, "fault point try.removed");
    return rc < 0 ? rc : forget(&t, err);
}

void gw_tries_restore(gw *w)
{
    PW_AUTO(pw_freep) char *dir = tries_dir(w);
    DIR *d = dir ? opendir(dir) : NULL;
    uint64_t project, number;

    for (const struct dirent *e; d && (e = readdir(d));) {
        PW_AUTO(pw_freep) char *path = pw_path_join(dir, e->d_name);
        PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(GW_SAID_BYTES);
        PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(GW_SAID_BYTES);
        char spec[100];
        if (!path || !git_try_name(e->d_name, &project, &number) || project != w->job->project)
            continue;
        (void)snprintf(spec, sizeof(spec), "+" REFS "%" PRIu64 ":" REFS "%" PRIu64, number, number);
        const char *const args[] = {"fetch",
                                    "--quiet",
                                    "--no-tags",
                                    "--no-write-fetch-head",
                                    "--no-recurse-submodules",
                                    "--",
                                    path,
                                    spec,
                                    NULL};
        if (gw_child(w, args, -1, &out, &said, NULL) != 0)
            pw_log(PW_LOG_WARN, "try_not_restored", "project=%" PRIu64 " try=%" PRIu64, project,
                   number);
    }
    if (d)
        (void)closedir(d);
}
