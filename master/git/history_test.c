#include "master/git/fixture.h"

static git_job *history(fx *f, const char *repo, const char *from, const char *to)
{
    git_job *j = fx_job(f, GIT_HISTORY, repo);

    if (!j)
        return NULL;
    j->from = pw_strf("refs/heads/%s", from);
    j->to = pw_strf("refs/heads/%s", to);
    return fx_ask(f, j);
}

static bool poll_it(fx *f, const char *repo)
{
    PW_AUTO(git_job_freep) git_job *j = fx_job(f, GIT_POLL, repo);

    if (j)
        j->first = true;
    j = fx_ask(f, j);
    return j && j->code == 0;
}

/* Whether candidate i is what git calls `name`. */
static bool is(const git_job *j, const char *repo, size_t i, const char *name, bool contains_to)
{
    char rev[GIT_REV];

    fx_rev(repo, name, rev);
    return j && i < j->n_candidates && strcmp(j->candidate[i].rev, rev) == 0 &&
           j->candidate[i].contains_to == contains_to;
}

static void test_line(fx *f)
{
    PW_AUTO(pw_freep) char *repo = fx_repo(f, "line");
    PW_AUTO(git_job_freep) git_job *j = NULL;

    ok(repo && fx_commits(repo, "master", NULL, "m", 5) &&
           fx_do(repo, "branch", "stable", "master~3"),
       "a repository is made");
    ok(fx_do(repo, "branch", "same", "master") &&
           fx_commits(repo, "ahead", "refs/heads/master^0", "a", 2) &&
           fx_commits(repo, "fork", "refs/heads/master~2", "f", 2),
       "with branches");
    j = history(f, repo, "master", "stable");
    ok(j && j->code == PW_ENOTFOUND && strstr(j->text, repo), "before a poll there is no history");
    git_job_free(j);
    ok(poll_it(f, repo), "it is polled");
    j = history(f, repo, "master", "stable");
    ok(j && j->code == 0 && j->n_candidates == 3 && is(j, repo, 0, "master", true) &&
           is(j, repo, 1, "master~1", true) && is(j, repo, 2, "master~2", true),
       "newest first, down to the target");
    ok(j && j->to_in_from && !j->from_in_to && j->from_rev[0] && j->to_rev[0],
       "the target is behind");
    git_job_free(j);
    j = history(f, repo, "master", "same");
    ok(j && j->to_in_from && j->from_in_to && j->n_candidates == 0 &&
           strcmp(j->from_rev, j->to_rev) == 0,
       "both at the same");
    git_job_free(j);
    j = history(f, repo, "master", "ahead");
    ok(j && j->code == 0 && !j->to_in_from && j->from_in_to && j->n_candidates == 0,
       "the target is ahead");
    git_job_free(j);
    j = history(f, repo, "master", "fork");
    ok(j && j->code == 0 && !j->to_in_from && !j->from_in_to && j->n_candidates == 0,
       "the target has diverged");
    git_job_free(j);
    j = history(f, repo, "master", "absent");
    ok(j && j->code == 0 && !j->to_rev[0] && j->n_candidates == 5 &&
           is(j, repo, 4, "master~4", true),
       "no target: all of the branch");
    git_job_free(j);
    j = history(f, repo, "absent", "stable");
    ok(j && j->code == 0 && !j->from_rev[0] && j->to_rev[0] && j->n_candidates == 0, "no source");
    git_job_free(j);
    j = history(f, repo, "bad..name", "stable");
    ok(j && j->code == PW_EINVAL, "no name of a branch");
}

static void test_merge(fx *f)
{
    PW_AUTO(pw_freep) char *repo = fx_repo(f, "merge");
    PW_AUTO(git_job_freep) git_job *j = NULL;
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1 << 16);

    /* base - c - merge(stable) - d; stable = base - s; the clocks run backwards */
    fx_commit(&b, "master", NULL, "base", "x", 1700000000);
    fx_commit(&b, "stable", "refs/heads/master", "s", "s", 1600000000);
    fx_commit(&b, "master", NULL, "c", "c", 1500000000);
    (void)pw_buf_adds(&b, "commit refs/heads/master\ncommitter B <b@b> 1400000000 +0000\ndata "
                          "1\nm\nmerge refs/heads/stable\n\n");
    fx_commit(&b, "master", NULL, "d", "d", 1300000000);
    ok(repo && fx_import(repo, &b) && poll_it(f, repo), "a repository with a merge");
    j = history(f, repo, "master", "stable");
    ok(j && j->code == 0 && j->n_candidates == 3 && j->to_in_from &&
           is(j, repo, 0, "master", true) && is(j, repo, 1, "master~1", true) &&
           is(j, repo, 2, "master~2", false),
       "what is before the merge does not contain the target");
    git_job_free(j);
    (void)fx_do(repo, "tag", "-a", "-m", "t", "t", "stable");
    ok(poll_it(f, repo), "a tag");
    j = fx_job(f, GIT_HISTORY, repo);
    if (j) {
        j->from = strdup("refs/heads/master");
        j->to = strdup("refs/tags/t");
    }
    j = fx_ask(f, j);
    ok(j && j->code == 0 && j->to_in_from && j->n_candidates == 3,
       "an annotated tag is its commit");
}

static void test_limit(fx *f)
{
    PW_AUTO(pw_freep) char *repo = fx_repo(f, "limit");
    PW_AUTO(git_job_freep) git_job *j = NULL;

    ok(repo && fx_commits(repo, "master", NULL, "m", GIT_HISTORY_MAX + 1) && poll_it(f, repo),
       "a long history");
    j = history(f, repo, "master", "absent");
    ok(j && j->n_candidates == GIT_HISTORY_MAX &&
           is(j, repo, GIT_HISTORY_MAX - 1, "master~999", true),
       "the newest are read");
    git_job_free(j);
    (void)fx_do(repo, "branch", "stable", "master~1000");
    (void)poll_it(f, repo);
    j = history(f, repo, "master", "stable");
    ok(j && j->n_candidates == GIT_HISTORY_MAX && j->to_in_from, "exactly as many as are read");
}

static bool shows(fx *f, const char *repo, const char *rev, const char *path, const char *text)
{
    PW_AUTO(git_job_freep) git_job *j = fx_job(f, GIT_SHOW, repo);

    if (!j)
        return false;
    fx_rev(repo, rev, j->rev);
    j->path = strdup(path);
    j = fx_ask(f, j);
    if (!j || j->code)
        return false;
    return text ? j->shown && strcmp(j->shown, text) == 0 && j->n_shown == strlen(text) : !j->shown;
}

static void test_show(fx *f)
{
    PW_AUTO(pw_freep) char *repo = fx_repo(f, "show");

    ok(repo && fx_commits(repo, "master", NULL, "m", 3) && poll_it(f, repo), "a repository");
    PW_AUTO(git_job_freep) git_job *j = fx_job(f, GIT_SHOW, repo);
    ok(shows(f, repo, "master", "nope", NULL) && shows(f, repo, "master~2", "a/b", NULL),
       "a file that is not there");
    if (j) {
        (void)snprintf(j->rev, sizeof(j->rev), "%s", "0123456789012345678901234567890123456789");
        j->path = strdup("x");
    }
    j = fx_ask(f, j);
    ok(j && j->code == PW_ENOTFOUND, "a revision that is nowhere");
}

int main(void)
{
    PW_AUTO(fx_clear) fx f;

    if (!fx_init(&f)) {
        ok(false, "a scratch folder and a service");
        return tap_done();
    }
    test_line(&f);
    test_show(&f);
    test_merge(&f);
    test_limit(&f);
    return tap_done();
}
