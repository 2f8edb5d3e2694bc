/* fixture.h - for the tests of this folder: a scratch folder with real repositories, made by `git
 * fast-import` (one process for any number of commits), and a service to ask. */
#ifndef PW_MASTER_GIT_FIXTURE_H
#define PW_MASTER_GIT_FIXTURE_H
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/git/git.h"
#include "shared/base/buf.h"
#include "shared/base/fs.h"
#include "shared/base/spawn.h"
#include "tests/tap.h"

#define FX __attribute__((unused)) static
#define FX_WAIT 60000000 /* us: only a hang is longer */

typedef struct fx {
    char dir[64];
    char mirrors[80];
    pw_chan *answers;
    git_service *service;
    uint64_t project; /* of the next repository */
} fx;

static void fx_job_free(void *p)
{
    git_job_free(p);
}

FX void fx_clear(fx *f)
{
    f->service = git_stop(f->service);
    f->answers = pw_chan_free(f->answers);
    if (f->dir[0])
        (void)pw_fs_remove_tree(f->dir, NULL);
    f->dir[0] = '\0';
}

FX bool fx_init(fx *f)
{
    *f = (fx){.dir = "/tmp/pw-git-XXXXXX"};
    if (!mkdtemp(f->dir)) {
        f->dir[0] = '\0';
        return false;
    }
    (void)snprintf(f->mirrors, sizeof(f->mirrors), "%s/mirrors", f->dir);
    f->answers = pw_chan_new(64, fx_job_free, NULL);
    if (f->answers)
        f->service = git_start(f->mirrors, f->answers, NULL);
    return f->service != NULL;
}

/* Runs git in dir; the output without its last newline, owned; NULL when it failed. */
FX char *fx_git_in(const char *dir, const char *input, const char *const *args)
{
    static const char *const env[] = {"PATH=/usr/local/bin:/usr/bin:/bin",
                                      "HOME=/nonexistent",
                                      "GIT_CONFIG_NOSYSTEM=1",
                                      "LC_ALL=C",
                                      "GIT_AUTHOR_NAME=Ann",
                                      "GIT_AUTHOR_EMAIL=ann@example.org",
                                      "GIT_COMMITTER_NAME=Ann",
                                      "GIT_COMMITTER_EMAIL=ann@example.org",
                                      "GIT_COMMITTER_DATE=1700000000 +0000",
                                      NULL};
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(1 << 20);
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(4096);
    const char *argv[20] = {"git"};
    size_t n = 1;

    while (*args && n < 19)
        argv[n++] = *args++;
    pw_spawn what = {.argv = argv, .env = env, .dir = dir, .in = -1, .out = -1, .err = -1};
    if (pw_spawn_run(&what, input, FX_WAIT, &out, &said, NULL) != 0) {
        printf("# git %s: %s\n", argv[1], pw_buf_str(&said));
        return NULL;
    }
    if (out.len > 0 && out.p[out.len - 1] == '\n')
        out.p[--out.len] = '\0';
    return out.len ? pw_buf_take(&out) : strdup("");
}
#define fx_git(dir, ...) fx_git_in((dir), NULL, (const char *const[]){__VA_ARGS__, NULL})

FX bool fx_run(char *out)
{
    bool good = out != NULL;

    free(out);
    return good;
}
/* true when git succeeded */
#define fx_do(dir, ...) fx_run(fx_git((dir), __VA_ARGS__))

/* A bare repository; its path, owned. */
FX char *fx_repo(fx *f, const char *name)
{
    char *path = pw_path_join(f->dir, name);

    f->project++;
    if (path && !fx_do(f->dir, "init", "-q", "--bare", "-b", "master", path))
        pw_freep(&path);
    return path;
}

/* One commit as fast-import reads it: on branch, after what `from` names (NULL: after the branch),
 * changing one file. */
FX void fx_commit(pw_buf *b, const char *branch, const char *from, const char *subject,
                  const char *file, int64_t at)
{
    (void)pw_buf_addf(b, "commit refs/heads/%s\nauthor Ann Lee <ann@example.org> %lld +0000\n",
                      branch, (long long)at);
    (void)pw_buf_addf(b, "committer Bob <bob@example.org> %lld +0000\ndata %zu\n%s\n",
                      (long long)at, strlen(subject), subject);
    if (from)
        (void)pw_buf_addf(b, "from %s\n", from);
    (void)pw_buf_addf(b, "M 100644 inline %s\ndata %zu\n%s\n", file, strlen(subject), subject);
}

FX bool fx_import(const char *repo, const pw_buf *b)
{
    return !b->failed &&
           fx_run(fx_git_in(repo, pw_buf_str(b),
                            (const char *const[]){"fast-import", "--quiet", "--force", NULL}));
}

/* n commits on a branch that exists (or not: from NULL and the first commit is a root). */
FX bool fx_commits(const char *repo, const char *branch, const char *from, const char *subject,
                   int n)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1 << 20);

    for (int i = 0; i < n; i++) {
        char text[100], file[100];
        (void)snprintf(text, sizeof(text), "%s %d", subject, i);
        (void)snprintf(file, sizeof(file), "%s-%d.txt", subject, i);
        fx_commit(&b, branch, i == 0 ? from : NULL, text, file, 1700000000 + i);
    }
    return fx_import(repo, &b);
}

FX void fx_rev(const char *repo, const char *name, char rev[GIT_REV])
{
    PW_AUTO(pw_freep) char *s = fx_git(repo, "rev-parse", "--verify", "--quiet", name);

    rev[0] = '\0';
    if (s && strlen(s) < GIT_REV)
        memcpy(rev, s, strlen(s) + 1);
}

FX git_job *fx_job(const fx *f, git_kind kind, const char *repo)
{
    git_job *j = git_job_new(kind, NULL);

    if (!j)
        return NULL;
    j->project = f->project;
    j->timeout = FX_WAIT;
    j->repository = strdup(repo ? repo : "");
    return j->repository ? j : git_job_free(j);
}

/* Sends a job (taken; NULL is fine) and waits for the answer; NULL when there is none. */
FX git_job *fx_ask(fx *f, git_job *j)
{
    if (!j || git_send(f->service, j, NULL) < 0)
        return NULL;
    j = pw_chan_recv_wait(f->answers);
    if (j && j->code < 0)
        printf("# %s\n", j->text);
    return j;
}

FX const git_moved *fx_moved(const git_job *j, const char *ref)
{
    for (size_t i = 0; j && i < j->n_moved; i++)
        if (strcmp(j->moved[i].ref, ref) == 0)
            return &j->moved[i];
    return NULL;
}
#endif
