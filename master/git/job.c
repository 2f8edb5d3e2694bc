/* Requests, and what a thread holds of one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/git/impl.h"
#include "shared/base/fs.h"

#define TIMEOUT 120000000 /* us, where the job gives none */

git_job *git_job_new(git_kind kind, pw_err *err)
{
    git_job *j = calloc(1, sizeof(*j));

    if (!j) {
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
        return NULL;
    }
    j->kind = kind;
    return j;
}

static void commit_clear(git_commit *c)
{
    free(c->author);
    free(c->subject);
    free(c->files);
}

static void moved_clear(git_moved *m)
{
    for (size_t i = 0; i < m->n_commits; i++)
        commit_clear(&m->commit[i]);
    free(m->commit);
    free(m->ref);
}

void gw_forget_moves(git_job *j)
{
    for (size_t i = 0; i < j->n_moved; i++)
        moved_clear(&j->moved[i]);
    free(j->moved);
    j->moved = NULL;
    j->n_moved = 0;
}

static void hide(char *s)
{
    if (s)
        explicit_bzero(s, strlen(s));
    free(s);
}

git_job *git_job_free(git_job *j)
{
    if (!j)
        return NULL;
    for (size_t i = 0; i < j->n_known; i++)
        free(j->known[i].name);
    gw_forget_moves(j);
    free(j->known);
    free(j->candidate);
    free(j->name);
    free(j->repository);
    hide(j->login.ssh_key);
    hide(j->login.password);
    free(j->login.user);
    free(j->login.known_hosts);
    free(j->from);
    free(j->to);
    free(j->ref);
    free(j->head);
    free(j->path);
    free(j->shown);
    free(j->try.file);
    free(j->try.who);
    free(j->try.subject);
    commit_clear(&j->tried);
    free(j);
    return NULL;
}

/* What comes before the host of a URL may be, or hold, a secret. */
static int read_user(gw *w, const char *repository, pw_err *err)
{
    const char *host = strstr(repository, "://");
    const char *end, *at;

    (void)snprintf(w->name, sizeof(w->name), "%s", repository);
    if (!host)
        return 0;
    host += 3;
    end = host + strcspn(host, "/");
    at = memrchr(host, '@', (size_t)(end - host));
    if (!at)
        return 0;
    if (strncmp(repository, "ssh://", 6) == 0 && !memchr(host, ':', (size_t)(at - host)))
        return 0; /* a login name, no secret */
    (void)snprintf(w->name, sizeof(w->name), "%.*s%s", (int)(host - repository), repository,
                   at + 1);
    w->user = strndup(host, (size_t)(at + 1 - host));
    return w->user ? 0 : pw_fail(err, PW_ENOMEM, "out of memory");
}

char *gw_login_dir(const char *mirrors)
{
    const char *slash = strrchr(mirrors, '/');

    return slash ? pw_strf("%.*s/login", (int)(slash - mirrors), mirrors) : strdup("login");
}

static int open_login(gw *w, const char *mirrors, pw_err *err)
{
    const git_login *l = &w->job->login;
    const gitlogin given = {
        .user = l->user, .password = l->password, .key = l->ssh_key, .known_hosts = l->known_hosts};
    PW_AUTO(pw_freep) char *parent = gw_login_dir(mirrors);
    int rc;

    if (!parent)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    rc = gitlogin_open(&given, w->job->repository, parent, &w->login, err);
    return rc < 0 ? pw_err_context(err, "logging in at \"%.100s\"", w->name) : 0;
}

int gw_init(gw *w, const char *dir, int stop_fd, git_job *job, pw_err *err)
{
    const char *r = job->repository;
    char file[32];

    *w = (gw){.job = job, .stop_fd = stop_fd};
    if (job->timeout <= 0)
        job->timeout = TIMEOUT;
    if (!r || !*r)
        return pw_fail(err, PW_EINVAL, "no repository is given");
    /* it would be an option of git; `--` stands before it, too */
    if (*r == '-')
        return pw_fail(err, PW_EINVAL, "repository \"%.200s\" begins with a dash", r);
    for (const char *s = r; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 0x7f)
            return pw_fail(err, PW_EINVAL, "the repository's name has a control byte");
    w->local = *r == '/' || strncmp(r, "./", 2) == 0 || strncmp(r, "../", 3) == 0 ||
               strncmp(r, "file://", 7) == 0;
    (void)snprintf(file, sizeof(file), "%llu.git", (unsigned long long)job->project);
    w->mirror = pw_path_join(dir, file);
    if (!w->mirror)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int rc = read_user(w, r, err);
    return rc < 0 ? rc : open_login(w, dir, err);
}

void gw_clear(gw *w)
{
    git_repository_free(w->repo);
    gitlogin_close(&w->login);
    free(w->mirror);
    free(w->user);
    *w = (gw){.stop_fd = -1};
}
