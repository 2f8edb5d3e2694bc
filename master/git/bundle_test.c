#include "master/git/fixture.h"

static git_job *bundle(fx *f, const char *repo, const char *rev, const char *have, const char *file)
{
    git_job *j = fx_job(f, GIT_BUNDLE, repo);

    if (!j)
        return NULL;
    (void)snprintf(j->rev, sizeof(j->rev), "%s", rev);
    j->path = pw_path_join(f->dir, file);
    j->known = calloc(2, sizeof(*j->known));
    if (have && j->known)
        (void)snprintf(j->known[j->n_known++].rev, GIT_REV, "%s", have);
    return fx_ask(f, j);
}

/* Whether a repository that holds `with` takes it, and then has the revision. */
static bool takes(const fx *f, const char *repo, const char *with, const git_job *j,
                  const char *name)
{
    PW_AUTO(pw_freep) char *to = pw_path_join(f->dir, name);
    PW_AUTO(pw_freep) char *spec = with ? pw_strf("%s:refs/heads/base", with) : NULL;
    PW_AUTO(pw_freep) char *object = pw_strf("%s^{tree}", j->rev);

    return to && object && fx_do(f->dir, "init", "-q", "--bare", to) &&
           (!spec || fx_do(to, "fetch", "-q", repo, spec)) &&
           fx_do(to, "fetch", "-q", j->path, GIT_BUNDLE_REF ":refs/heads/x",
                 "+refs/tags/*:refs/tags/*") &&
           fx_do(to, "rev-list", "--objects", "--quiet", object);
}

static bool same_again(fx *f, const char *repo, const git_job *first, const char *rev)
{
    PW_AUTO(git_job_freep) git_job *j = bundle(f, repo, rev, NULL, "again.bundle");

    return j && j->code == 0 && j->size == first->size && memcmp(j->sum, first->sum, 32) == 0;
}

int main(void)
{
    fx f;
    char tip[GIT_REV], base[GIT_REV], side[GIT_REV];
    ok(fx_init(&f), "a service");
    PW_AUTO(pw_freep) char *repo = fx_repo(&f, "r");
    ok(repo && fx_commits(repo, "master", NULL, "m", 5) && fx_do(repo, "tag", "v1", "master~1") &&
           fx_commits(repo, "side", "refs/heads/master~3", "s", 2) &&
           fx_do(repo, "tag", "other", "side"),
       "a repository");
    fx_rev(repo, "master", tip);
    fx_rev(repo, "master~2", base);
    fx_rev(repo, "side", side);
    PW_AUTO(git_job_freep) git_job *all = bundle(&f, repo, tip, NULL, "all.bundle");
    ok(all && all->code == 0 && all->size > 0 && takes(&f, repo, NULL, all, "a"),
       "whole, out of a mirror that is made for it");
    PW_AUTO(pw_freep) char *tags = fx_git(f.dir, "bundle", "list-heads", all ? all->path : "");
    ok(tags && strstr(tags, "refs/tags/v1") && !strstr(tags, "other"), "with the tags before it");
    ok(all && same_again(&f, repo, all, tip), "the same bytes when it is made again");
    PW_AUTO(git_job_freep) git_job *thin = bundle(&f, repo, tip, base, "thin.bundle");
    ok(thin && thin->code == 0 && all && thin->size < all->size && takes(&f, repo, base, thin, "b"),
       "only what the asker lacks");
    ok(thin && !takes(&f, repo, NULL, thin, "c"), "which is of no use to others");
    PW_AUTO(git_job_freep) git_job *strange = bundle(&f, repo, base, tip, "s.bundle");
    ok(strange && strange->code == 0 && takes(&f, repo, NULL, strange, "d"),
       "who says to have what comes after it gets all of it");
    PW_AUTO(git_job_freep)
    git_job *none = bundle(&f, repo, tip, "1111111111111111111111111111111111111111", "n.bundle");
    ok(none && none->code == 0 && all && none->size == all->size,
       "what is not here counts for nothing");
    PW_AUTO(git_job_freep)
    git_job *lost = bundle(&f, repo, "2222222222222222222222222222222222222222", NULL, "l.bundle");
    ok(lost && lost->code == PW_ENOTFOUND && access(lost->path, F_OK) < 0, "no such revision");
    PW_AUTO(git_job_freep) git_job *bad = bundle(&f, repo, "--all", NULL, "x.bundle");
    ok(bad && bad->code == PW_EINVAL, "no revision at all");
    PW_AUTO(pw_freep) char *mirror = pw_strf("%s/1.git", f.mirrors);
    PW_AUTO(pw_freep) char *refs = fx_git(mirror, "for-each-ref");
    ok(refs && !strstr(refs, "refs/pawl"), "the mirror has no name for it left");
    fx_clear(&f);
    return tap_done();
}
