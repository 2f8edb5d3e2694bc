#include "master/git/fixture.h"

#include <sys/stat.h>

#define ABSENT "00000000000000000000000000000000deadbeef"

static git_job *push(fx *f, const char *repo, const char *old, const char *rev, pw_usec timeout)
{
    git_job *j = fx_job(f, GIT_PUSH, repo);

    if (!j)
        return NULL;
    j->ref = strdup("refs/heads/stable");
    j->timeout = timeout;
    (void)snprintf(j->old, sizeof(j->old), "%s", old);
    (void)snprintf(j->rev, sizeof(j->rev), "%s", rev);
    j = fx_ask(f, j);
    if (j)
        printf("# outcome %d: %s\n", (int)j->outcome, j->text);
    return j;
}

static bool at(const char *repo, const char *rev)
{
    char now[GIT_REV];

    fx_rev(repo, "refs/heads/stable", now);
    return strcmp(now, rev) == 0;
}

static bool came_out(const git_job *j, enum git_outcome outcome, bool now, const char *at_rev)
{
    return j && j->outcome == outcome && j->pushed_now == now && strcmp(j->at_rev, at_rev) == 0;
}

typedef struct revs {
    char a[GIT_REV], b[GIT_REV], c[GIT_REV], fork[GIT_REV];
} revs;

/* master = a - b - c, fork = a - f; polled */
static char *make(fx *f, const char *name, revs *r)
{
    char *repo = fx_repo(f, name);
    PW_AUTO(git_job_freep) git_job *j = NULL;

    *r = (revs){0};
    if (!repo || !fx_commits(repo, "master", NULL, "m", 3) ||
        !fx_commits(repo, "fork", "refs/heads/master~2", "f", 1))
        return repo;
    fx_rev(repo, "master~2", r->a);
    fx_rev(repo, "master~1", r->b);
    fx_rev(repo, "master", r->c);
    fx_rev(repo, "fork", r->fork);
    j = fx_job(f, GIT_POLL, repo);
    if (j)
        j->first = true;
    j = fx_ask(f, j);
    ok(j && j->code == 0 && j->n_moved == 2, "repository %s", name);
    return repo;
}

static void test_forward(fx *f)
{
    revs r;
    PW_AUTO(pw_freep) char *repo = make(f, "forward", &r);
    PW_AUTO(git_job_freep) git_job *j = push(f, repo, "", r.a, FX_WAIT);

    ok(came_out(j, GIT_PUSHED, true, r.a) && j->code == 0 && at(repo, r.a), "created");
    git_job_free(j);
    j = push(f, repo, "", r.a, FX_WAIT);
    ok(came_out(j, GIT_PUSHED, false, r.a), "asked again: found done");
    git_job_free(j);
    j = push(f, repo, r.a, r.b, FX_WAIT);
    ok(came_out(j, GIT_PUSHED, true, r.b) && at(repo, r.b), "moved forward");
    git_job_free(j);
    j = push(f, repo, r.a, r.b, FX_WAIT);
    ok(came_out(j, GIT_PUSHED, false, r.b), "done but not recorded: found done");
    git_job_free(j);
    j = fx_job(f, GIT_PUSH, repo);
    if (j) {
        j->ref = strdup("refs/heads/stable");
        memcpy(j->old, r.b, GIT_REV);
        memcpy(j->rev, r.c, GIT_REV);
        j->look_only = true;
    }
    j = fx_ask(f, j);
    ok(came_out(j, GIT_NOT_PUSHED, false, r.b) && at(repo, r.b), "looked only: nothing is pushed");
    git_job_free(j);
    j = fx_job(f, GIT_HISTORY, repo);
    if (j) {
        j->from = strdup("refs/heads/master");
        j->to = strdup("refs/heads/stable");
    }
    j = fx_ask(f, j);
    ok(j && j->code == 0 && j->n_candidates == 1 && strcmp(j->to_rev, r.b) == 0,
       "the history sees a push without a poll");
    git_job_free(j);
    /* somebody moved it on: the mirror has never seen that commit */
    (void)fx_commits(repo, "stable", "refs/heads/master^0", "more", 1);
    j = push(f, repo, r.b, r.c, FX_WAIT);
    ok(j && j->outcome == GIT_PUSHED && !j->pushed_now && at(repo, j->at_rev) &&
           strcmp(j->at_rev, r.c) != 0,
       "what contains it is done");
}

/* The first push is not made, the answer of the second is lost. */
static void test_faults(fx *f)
{
    revs r;
    PW_AUTO(pw_freep) char *repo = make(f, "faults", &r);
    PW_AUTO(git_job_freep) git_job *j = push(f, repo, "", r.a, FX_WAIT);

    ok(j && j->outcome == GIT_UNKNOWN && j->code < 0 && !j->pushed_now && at(repo, ""),
       "not pushed: nothing is known");
    git_job_free(j);
    j = push(f, repo, "", r.a, FX_WAIT);
    ok(came_out(j, GIT_PUSHED, true, r.a) && j->code == 0 && at(repo, r.a),
       "the answer is lost: the ref tells");
}

static void test_race(fx *f)
{
    revs r;
    PW_AUTO(pw_freep) char *repo = make(f, "race", &r);
    PW_AUTO(git_job_freep) git_job *j = NULL;

    (void)fx_do(repo, "branch", "stable", r.fork);
    j = push(f, repo, r.a, r.b, FX_WAIT);
    ok(came_out(j, GIT_LOST_RACE, false, r.fork) && j->code == 0 && at(repo, r.fork) &&
           strstr(j->text, "stable"),
       "somebody moved it");
    git_job_free(j);
    j = push(f, repo, "", r.b, FX_WAIT);
    ok(came_out(j, GIT_LOST_RACE, false, r.fork) && at(repo, r.fork), "somebody made it");
    git_job_free(j);
    j = push(f, repo, r.fork, r.c, FX_WAIT);
    ok(came_out(j, GIT_LOST_RACE, false, r.fork) && at(repo, r.fork) &&
           strstr(j->text, "no fast-forward"),
       "sideways is refused by us");
    git_job_free(j);
    (void)fx_do(repo, "update-ref", "refs/heads/stable", r.c);
    j = push(f, repo, r.c, r.b, FX_WAIT);
    ok(came_out(j, GIT_PUSHED, false, r.c) && at(repo, r.c), "never backwards");
    git_job_free(j);
    (void)fx_do(repo, "update-ref", "-d", "refs/heads/stable");
    j = push(f, repo, r.a, r.b, FX_WAIT);
    ok(came_out(j, GIT_LOST_RACE, false, "") && at(repo, ""), "somebody deleted it");
    git_job_free(j);
    j = push(f, repo, "", ABSENT, FX_WAIT);
    ok(came_out(j, GIT_REFUSED, false, "") && strstr(j->text, "not in the repository"),
       "a revision that is nowhere");
}

static bool hook(const char *repo, const char *name, const char *text)
{
    PW_AUTO(pw_freep) char *dir = pw_path_join(repo, "hooks");
    PW_AUTO(pw_freep) char *path = dir ? pw_path_join(dir, name) : NULL;

    return path && pw_fs_mkdirs(dir, 0700, NULL) == 0 &&
           pw_fs_replace(path, text, strlen(text), 0700, NULL) == 0;
}

static void test_hooks(fx *f)
{
    revs r;
    PW_AUTO(pw_freep) char *repo = make(f, "hooks", &r);
    PW_AUTO(git_job_freep) git_job *j = NULL;

    ok(hook(repo, "pre-receive",
            "#!/bin/sh\nprintf 'no pushes\\033[1m on friday\\n' >&2\nexit 1\n"),
       "a hook");
    j = push(f, repo, "", r.a, FX_WAIT);
    ok(came_out(j, GIT_REFUSED, false, "") && j->code == 0 && at(repo, "") &&
           strstr(j->text, "pre-receive hook declined") && strstr(j->text, "on friday") &&
           !strchr(j->text, '\033'),
       "declined by a hook, with its words");
    git_job_free(j);
    /* it moves the branch between our look and our push: the lease of the server is what counts */
    ok(hook(repo, "pre-receive",
            "#!/bin/sh\nunset GIT_QUARANTINE_PATH\ngit update-ref refs/heads/stable $(git "
            "rev-parse fork)\n"),
       "a hook that moves");
    j = push(f, repo, "", r.b, FX_WAIT);
    ok(came_out(j, GIT_LOST_RACE, false, r.fork) && at(repo, r.fork),
       "moved while we push: lost, nothing is overwritten");
    git_job_free(j);
    (void)fx_do(repo, "update-ref", "-d", "refs/heads/stable");
    /* the answer comes too late, but the push took effect */
    ok(hook(repo, "pre-receive", "#!/bin/sh\nexit 0\n") &&
           hook(repo, "post-receive", "#!/bin/sh\nexec sleep 20\n"),
       "a hook that hangs");
    j = push(f, repo, "", r.a, 400000);
    ok(came_out(j, GIT_PUSHED, true, r.a) && at(repo, r.a), "no answer, but it is there");
    git_job_free(j);
    ok(hook(repo, "pre-receive", "#!/bin/sh\nexec sleep 20\n"), "a hook that hangs before");
    j = push(f, repo, r.a, r.b, 400000);
    ok(j && j->outcome == GIT_UNKNOWN && !j->pushed_now && j->code == PW_ETIMEDOUT && at(repo, r.a),
       "no answer, and it is not there");
}

/* A transfer that breaks off (pack-objects or the receiver is killed, a full disk) is told as a
 * rejected ref, and is none. */
static void test_transfer(fx *f)
{
    revs r;
    PW_AUTO(pw_freep) char *repo = make(f, "transfer", &r);
    PW_AUTO(git_job_freep) git_job *j = NULL;

    ok(fx_do(repo, "config", "receive.maxInputSize", "1"), "a receiver that takes nothing");
    j = push(f, repo, "", r.a, FX_WAIT);
    ok(j && j->outcome == GIT_UNKNOWN && j->code < 0 && at(repo, ""), "unknown, not refused");
    git_job_free(j);
    ok(fx_do(repo, "config", "--unset", "receive.maxInputSize"), "it recovers");
    j = push(f, repo, "", r.a, FX_WAIT);
    ok(came_out(j, GIT_PUSHED, true, r.a) && at(repo, r.a), "the next push arrives");
}

static void test_errors(fx *f)
{
    revs r;
    PW_AUTO(pw_freep) char *repo = make(f, "errors", &r);
    PW_AUTO(git_job_freep) git_job *j = NULL;
    char path[200];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%llu.git/pawl-push.lock", f->mirrors,
                   (unsigned long long)f->project);
    fd = pw_fs_lock(path, NULL);
    ok(fd >= 0, "another master pushes");
    j = push(f, repo, "", r.a, 50000);
    ok(j && j->outcome == GIT_UNKNOWN && j->code == PW_ETIMEDOUT && at(repo, ""),
       "its lock is waited for, not for ever");
    pw_closep(&fd);
    git_job_free(j);
    j = push(f, repo, "", "--mirror", FX_WAIT);
    ok(j && j->outcome == GIT_REFUSED && j->code == PW_EINVAL, "no revision");
    git_job_free(j);
    j = push(f, repo, "+", r.a, FX_WAIT);
    ok(j && j->outcome == GIT_REFUSED && j->code == PW_EINVAL, "no old revision");
    git_job_free(j);
    j = fx_job(f, GIT_PUSH, repo);
    if (j) {
        j->ref = strdup("refs/pawl/x");
        memcpy(j->rev, r.a, sizeof(j->rev));
    }
    j = fx_ask(f, j);
    ok(j && j->outcome == GIT_REFUSED && j->code == PW_EINVAL, "neither branch nor tag");
    git_job_free(j);
    j = push(f, "/nonexistent/repo.git", "", r.a, FX_WAIT);
    ok(j && j->outcome == GIT_UNKNOWN && j->code < 0 && strstr(j->text, "/nonexistent/repo.git"),
       "a repository that is away");
    git_job_free(j);
    /* the mirror was lost */
    (void)snprintf(path, sizeof(path), "%s/%llu.git", f->mirrors, (unsigned long long)f->project);
    (void)pw_fs_remove_tree(path, NULL);
    j = push(f, repo, "", r.b, FX_WAIT);
    ok(came_out(j, GIT_PUSHED, true, r.b) && at(repo, r.b), "a lost mirror is made anew");
}

int main(void)
{
    PW_AUTO(fx_clear) fx f;

    (void)setenv("PW_FAULT", "push.before,push.after", 1); /* before the first of them is passed */
    if (!fx_init(&f)) {
        ok(false, "a scratch folder and a service");
        return tap_done();
    }
    test_faults(&f);
    test_forward(&f);
    test_race(&f);
    test_hooks(&f);
    test_transfer(&f);
    test_errors(&f);
    return tap_done();
}
