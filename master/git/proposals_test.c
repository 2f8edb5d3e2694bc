/* Proposals: what forges keep under refs/pull and the like; and messages that ask for no build. */
#include "master/git/fixture.h"

static git_job *ask(fx *f, const char *repo, const git_job *known, bool first)
{
    git_job *j = fx_job(f, GIT_POLL, repo);
    if (!j)
        return NULL;
    j->first = j->first_proposals = first;
    j->proposals = true;
    j->known = calloc(known ? known->n_moved + 1 : 1, sizeof(*j->known));
    for (size_t i = 0; j->known && known && i < known->n_moved; i++) {
        if (!known->moved[i].rev[0])
            continue;
        j->known[j->n_known].name = strdup(known->moved[i].ref);
        memcpy(j->known[j->n_known++].rev, known->moved[i].rev, GIT_REV);
    }
    return fx_ask(f, j);
}

static void test_names(void)
{
    static const char *const good[] = {"refs/pull/7/head", "refs/pull/7/merge", "refs/for/master",
                                       "refs/merge-requests/123/head", "refs/for/feature/x"};
    static const char *const bad[] = {"refs/pull/7",
                                      "refs/pull/x/head",
                                      "refs/pull//head",
                                      "refs/heads/pull/7/head",
                                      "refs/pull/7/head/x",
                                      "refs/for/",
                                      "refs/pull/1234567890123456789/head",
                                      "refs/pulls/7/head"};
    bool fine = true;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        fine &= git_proposal(good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        fine &= !git_proposal(bad[i]);
    ok(fine, "names of proposals");
}

static void test_moves(fx *f)
{
    PW_AUTO(pw_freep) char *repo = fx_repo(f, "moves");
    char rev[GIT_REV];
    ok(repo && fx_commits(repo, "master", NULL, "one", 1) &&
           fx_commits(repo, "topic", "refs/heads/master^0", "topic", 2) &&
           fx_do(repo, "update-ref", "refs/pull/7/head", "topic") &&
           fx_do(repo, "branch", "-D", "topic"),
       "a pull request, whose branch is elsewhere");
    PW_AUTO(git_job_freep) git_job *first = ask(f, repo, NULL, true);
    fx_rev(repo, "refs/pull/7/head", rev);
    const git_moved *m = fx_moved(first, "refs/pull/7/head");
    ok(first && first->code == 0 && first->n_moved == 2 && m && strcmp(m->rev, rev) == 0 &&
           m->n_commits == 0,
       "the first look tells where it is");
    PW_AUTO(pw_freep)
    char *mirror = pw_strf("%s/%llu.git", f->mirrors, (unsigned long long)f->project);
    ok(!fx_do(mirror, "cat-file", "-e", rev), "and fetches nothing of it");
    PW_AUTO(git_job_freep) git_job *same = ask(f, repo, first, false);
    ok(same && same->code == 0 && same->n_moved == 0, "nothing new");
    ok(fx_commits(repo, "topic", "refs/heads/master^0", "again", 1) &&
           fx_do(repo, "update-ref", "refs/pull/7/head", "topic") &&
           fx_do(repo, "update-ref", "refs/for/master", "topic") &&
           fx_do(repo, "branch", "-D", "topic"),
       "it is pushed anew, and another");
    PW_AUTO(git_job_freep) git_job *next = ask(f, repo, first, false);
    m = fx_moved(next, "refs/pull/7/head");
    ok(next && next->code == 0 && next->n_moved == 2 && m && strcmp(m->old, rev) == 0 &&
           m->n_commits == 1 && strcmp(m->commit[0].subject, "again 0") == 0 &&
           fx_moved(next, "refs/for/master"),
       "the tip is told with its commit");
    PW_AUTO(git_job_freep) git_job *gone = NULL;
    ok(fx_do(repo, "update-ref", "-d", "refs/for/master") &&
           fx_do(repo, "update-ref", "-d", "refs/pull/7/head") &&
           (gone = ask(f, repo, next, false)) && gone->code == 0 && gone->n_moved == 3,
       "both are closed"); /* master is new to this asker */
    m = fx_moved(gone, "refs/for/master");
    ok(m && m->old[0] && !m->rev[0], "and told as gone");
}

/* One whose objects the server does not have does not stop the others. */
static void test_broken(fx *f)
{
    PW_AUTO(pw_freep) char *repo = fx_repo(f, "broken");
    char lost[GIT_REV];
    ok(repo && fx_commits(repo, "master", NULL, "one", 1), "a repository");
    PW_AUTO(git_job_freep) git_job *first = ask(f, repo, NULL, true);
    bool made = true;
    for (int i = 1; i <= 3; i++) {
        char ref[40], subject[20];
        (void)snprintf(ref, sizeof(ref), "refs/pull/%d/head", i);
        (void)snprintf(subject, sizeof(subject), "pr%d", i);
        made &= fx_do(repo, "config", "fastimport.unpackLimit", "1000") &&
                fx_commits(repo, "topic", "refs/heads/master^0", subject, 1) &&
                fx_do(repo, "update-ref", ref, "topic");
    }
    fx_rev(repo, "refs/pull/2/head", lost);
    PW_AUTO(pw_freep) char *object = pw_strf("%s/objects/%.2s/%s", repo, lost, lost + 2);
    ok(made && fx_do(repo, "branch", "-D", "topic") && object && unlink(object) == 0,
       "three are proposed, one of them is broken");
    PW_AUTO(git_job_freep) git_job *j = ask(f, repo, first, false);
    ok(j && j->code == 0 && fx_moved(j, "refs/pull/1/head") && !fx_moved(j, "refs/pull/2/head") &&
           fx_moved(j, "refs/pull/3/head"),
       "the others are told");
}

static void test_skip(fx *f)
{
    static const struct {
        const char *message;
        bool skip;
    } t[] = {{"x [ci skip]", true},        {"x\n\nbody\n[SKIP CI]\n", true},
             {"x ***NO_CI*** y", true},    {"[No CI] x", true},
             {"ci skip", false},           {"x [ci  skip]", false},
             {"skip the ci [soon]", false}};
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        char name[20];
        PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(10000);
        (void)snprintf(name, sizeof(name), "skip%zu", i);
        PW_AUTO(pw_freep) char *repo = fx_repo(f, name);
        (void)pw_buf_addf(&b,
                          "commit refs/heads/master\ncommitter Bob <b@x> 1700000000 +0000\n"
                          "data %zu\n%s\n",
                          strlen(t[i].message), t[i].message);
        PW_AUTO(git_job_freep) git_job *j = NULL;
        bool made =
            repo && fx_import(repo, &b) && (j = fx_job(f, GIT_POLL, repo)) && (j = fx_ask(f, j));
        const git_moved *m = made ? fx_moved(j, "refs/heads/master") : NULL;
        ok(m && m->n_commits == 1 && m->commit[0].skip == t[i].skip, "message %zu: %s", i,
           t[i].skip ? "no build" : "a build");
    }
}

int main(void)
{
    PW_AUTO(fx_clear) fx f;
    if (!fx_init(&f))
        return 1;
    test_names();
    test_moves(&f);
    test_broken(&f);
    test_skip(&f);
    return tap_done();
}
