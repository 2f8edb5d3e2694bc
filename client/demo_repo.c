#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/demo.h"
#include "shared/base/fs.h"

enum { NOTES_MAX = 1024 * 1024 };

int demo_write(const demo *d, const char *name, const char *text, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = demo_path(d, name);
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    return pw_fs_replace(path, text, strlen(text), 0644, err);
}

/* git with up to seven arguments in DIR/where. */
#define git(d, where, out, err, ...)                                                               \
    run_git((d), (where), (out), (err), (const char *const[]){"git", __VA_ARGS__, NULL})
static int run_git(demo *d, const char *where, pw_buf *out, pw_err *err, const char *const *argv)
{
    PW_AUTO(pw_freep) char *dir = demo_path(d, where);
    if (!dir)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int rc = demo_run(d, argv, dir, out, err);
    return rc < 0 ? pw_err_context(err, "git %s", argv[1]) : 0;
}

static int bare(demo *d, const char *name, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = demo_path(d, name);
    PW_AUTO(pw_freep) char *head = path ? pw_path_join(path, "HEAD") : NULL;
    if (!head)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (access(head, F_OK) == 0)
        return 0;
    int rc = git(d, ".", NULL, err, "init", "-q", "--bare", "--template=", name);
    return rc < 0 ? rc : git(d, name, NULL, err, "symbolic-ref", "HEAD", "refs/heads/master");
}

/* The first line that a git command prints. */
static int first_line(const pw_buf *out, char ret[DEMO_REV])
{
    size_t n = strcspn(pw_buf_str(out), "\n");
    if (n >= DEMO_REV)
        return PW_ELIMIT;
    memcpy(ret, pw_buf_str(out), n);
    ret[n] = '\0';
    return 0;
}

/* Whether the current folder lies in Pawl's own repository, and its HEAD. Any failure means that it
 * does not. */
static void find_source(demo *d)
{
    PW_AUTO(pw_buf_clearp) pw_buf top = PW_BUF(8192);
    PW_AUTO(pw_buf_clearp) pw_buf head = PW_BUF(8192);
    static const char *const marks[] = {"HEAD:modules.mk", "HEAD:master/main.c"};
    if (demo_run(d, (const char *const[]){"git", "rev-parse", "--show-toplevel", NULL}, NULL, &top,
                 NULL) < 0)
        return;
    size_t n = strcspn(pw_buf_str(&top), "\n");
    PW_AUTO(pw_freep) char *path = n ? strndup(pw_buf_str(&top), n) : NULL;
    if (!path)
        return;
    for (size_t i = 0; i < 2; i++)
        if (demo_run(d, (const char *const[]){"git", "cat-file", "-e", marks[i], NULL}, path, NULL,
                     NULL) < 0)
            return;
    if (demo_run(d, (const char *const[]){"git", "rev-parse", "HEAD", NULL}, path, &head, NULL) <
            0 ||
        first_line(&head, d->source_head) < 0 || !d->source_head[0])
        return;
    d->source = pw_take(path);
}

int demo_repos(demo *d, pw_err *err)
{
    PW_AUTO(pw_freep) char *work = demo_path(d, "sample");
    if (!work)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    find_source(d);
    int rc = bare(d, "sample.git", err);
    if (rc == 0 && d->source)
        rc = bare(d, "pawl.git", err);
    /* the work tree is made anew: whatever an earlier demo left unfinished in it is gone */
    if (rc == 0)
        rc = pw_fs_remove_tree(work, err);
    if (rc == 0)
        rc = git(d, ".", NULL, err, "clone", "-q", "--no-hardlinks", "--template=", "sample.git",
                 "sample");
    return rc;
}

/* One line a demo, so that each first commit changes something; the count says which demo this is.
 */
static int notes(demo *d, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = demo_path(d, "sample/NEWS");
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(NOTES_MAX);
    char at[PW_TIME_MAX];
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int rc = pw_fs_read(path, NOTES_MAX / 2, &b, err);
    if (rc < 0 && rc != PW_ENOTFOUND)
        return rc;
    d->run = 1;
    for (size_t i = 0; i < b.len; i++)
        d->run += b.p[i] == '\n';
    if (pw_buf_addf(&b, "demo %u, %s\n", d->run, pw_time_text(pw_wall(d->c->host), at)) < 0)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    return pw_fs_replace(path, b.p, b.len, 0644, err);
}

int demo_push(demo *d, sample_kind kind, const char *message, char ret_rev[DEMO_REV], pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(8192);
    int rc = kind == SAMPLE_GOOD ? notes(d, err) : 0;
    for (const sample_file *f = sample_files; rc == 0 && f->name; f++) {
        PW_AUTO(pw_freep) char *name = pw_path_join("sample", f->name);
        rc = name ? demo_write(d, name, f->text, err) : pw_fail(err, PW_ENOMEM, "out of memory");
    }
    if (rc == 0)
        rc = demo_write(d, "sample/wordcount.c", sample_wordcount[kind], err);
    if (rc == 0)
        rc = git(d, "sample", NULL, err, "add", "-A");
    if (rc == 0)
        rc = git(d, "sample", NULL, err, "commit", "-q", "-m", message);
    if (rc == 0)
        rc = git(d, "sample", NULL, err, "push", "-q", "origin", "HEAD:refs/heads/master");
    if (rc == 0)
        rc = git(d, "sample", &out, err, "rev-parse", "HEAD");
    return rc < 0 ? rc : first_line(&out, ret_rev);
}

int demo_ref(demo *d, const char *repo, const char *branch, char ret_rev[DEMO_REV], pw_err *err)
{
    char ref[300];
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(8192);
    (void)snprintf(ref, sizeof(ref), "refs/heads/%s", branch);
    int rc = git(d, repo, &out, err, "for-each-ref", "--format=%(objectname)", ref);
    return rc < 0 ? rc : first_line(&out, ret_rev);
}

int demo_push_pawl(demo *d, bool *ret_new, pw_err *err)
{
    char was[DEMO_REV], stable[DEMO_REV];
    int rc = demo_ref(d, "pawl.git", "master", was, err);
    if (rc == 0)
        rc = demo_ref(d, "pawl.git", "stable", stable, err);
    /* the objects are copied, nothing of the source is linked or changed */
    if (rc == 0)
        rc = git(d, "pawl.git", NULL, err, "fetch", "-q", "--no-tags", "--update-shallow",
                 d->source, "+HEAD:refs/heads/master");
    if (rc == 0) /* somebody may have committed meanwhile */
        rc = demo_ref(d, "pawl.git", "master", d->source_head, err);
    if (rc < 0)
        return rc;
    /* after a rebase `stable` is no ancestor any more, and a promotion never moves a branch back:
     * begin anew */
    if (stable[0] &&
        git(d, "pawl.git", NULL, NULL, "merge-base", "--is-ancestor", stable, d->source_head) < 0 &&
        (rc = git(d, "pawl.git", NULL, err, "update-ref", "-d", "refs/heads/stable")) < 0)
        return rc;
    *ret_new = strcmp(was, d->source_head) != 0;
    return 0;
}
