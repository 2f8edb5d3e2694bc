#include "master/git/fixture.h"

#include <sys/stat.h>

/* What the asker remembers between polls. */
typedef struct seen {
    git_ref v[16];
    size_t n;
} seen;

static void seen_clear(seen *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i].name);
    s->n = 0;
}

static void seen_put(seen *s, const char *ref, const char *rev)
{
    size_t i = 0;

    while (i < s->n && strcmp(s->v[i].name, ref) != 0)
        i++;
    if (i == s->n && s->n < 16) {
        s->v[i].name = strdup(ref);
        s->n += s->v[i].name != NULL;
    }
    if (i < s->n)
        (void)snprintf(s->v[i].rev, GIT_REV, "%s", rev);
    if (i < s->n && !rev[0]) {
        free(s->v[i].name);
        s->v[i] = s->v[--s->n];
    }
}

/* A poll; what it tells is remembered. */
static git_job *poll_seen(fx *f, const char *repo, seen *s, bool first)
{
    git_job *j = fx_job(f, GIT_POLL, repo);

    if (!j)
        return NULL;
    j->first = first;
    j->known = calloc(s->n + 1, sizeof(*j->known));
    for (size_t i = 0; j->known && i < s->n; i++) {
        j->known[i] = s->v[i];
        j->known[i].name = strdup(s->v[i].name);
        j->n_known++;
    }
    j = fx_ask(f, j);
    for (size_t i = 0; j && i < j->n_moved; i++)
        seen_put(s, j->moved[i].ref, j->moved[i].rev);
    return j;
}

static bool commit_is(const git_commit *c, const char *subject, const char *files)
{
    bool good =
        c->subject && c->files && strcmp(c->subject, subject) == 0 && strcmp(c->files, files) == 0;

    if (!good)
        printf("# subject \"%s\" files \"%s\"\n", c->subject ? c->subject : "",
               c->files ? c->files : "");
    return good;
}

static void test_growth(fx *f)
{
    PW_AUTO(pw_freep) char *repo = fx_repo(f, "growth");
    PW_AUTO(seen_clear) seen s = {0};
    PW_AUTO(git_job_freep) git_job *j = NULL;
    char rev[GIT_REV], old[GIT_REV];
    const git_moved *m;

    ok(repo && fx_commits(repo, "master", NULL, "one", 2) &&
           fx_do(repo, "branch", "old", "master~1"),
       "a repository is made");
    j = poll_seen(f, repo, &s, true);
    fx_rev(repo, "master", rev);
    m = fx_moved(j, "refs/heads/master");
    ok(j && j->code == 0 && j->n_moved == 2 && j->head && strcmp(j->head, "master") == 0,
       "a first poll tells refs and HEAD");
    ok(m && !m->old[0] && strcmp(m->rev, rev) == 0 && m->n_commits == 0 && !m->forced,
       "a first poll lists no commits");
    git_job_free(j);
    j = poll_seen(f, repo, &s, false);
    ok(j && j->code == 0 && j->n_moved == 0, "nothing new");
    git_job_free(j);

    for (int i = 0; i < 10; i++) {
        char subject[20];
        (void)snprintf(subject, sizeof(subject), "push%d", i);
        (void)fx_commits(repo, "master", "refs/heads/master^0", subject, 1);
    }
    memcpy(old, rev, sizeof(old));
    fx_rev(repo, "master", rev);
    j = poll_seen(f, repo, &s, false);
    m = fx_moved(j, "refs/heads/master");
    ok(j && j->n_moved == 1 && m && m->n_commits == 10 && !m->forced && strcmp(m->old, old) == 0 &&
           strcmp(m->rev, rev) == 0,
       "ten pushes between polls: ten commits");
    ok(m && m->n_commits == 10 && commit_is(&m->commit[0], "push0 0", "push0-0.txt") &&
           commit_is(&m->commit[9], "push9 0", "push9-0.txt") && strcmp(m->commit[9].rev, rev) == 0,
       "oldest first, the last one is the tip");
    ok(m && m->n_commits == 10 && strcmp(m->commit[3].author, "Ann Lee <ann@example.org>") == 0 &&
           m->commit[3].at == 1700000000000,
       "author and committer time");
    git_job_free(j);

    ok(fx_commits(repo, "topic/x", "refs/heads/old^0", "topic", 3) &&
           fx_do(repo, "branch", "copy", "master"),
       "new branches");
    j = poll_seen(f, repo, &s, false);
    m = fx_moved(j, "refs/heads/topic/x");
    ok(j && j->n_moved == 2 && m && m->n_commits == 3 && !m->old[0] && !m->forced &&
           commit_is(&m->commit[0], "topic 0", "topic-0.txt"),
       "a new branch: the commits that no known branch has");
    m = fx_moved(j, "refs/heads/copy");
    ok(m && m->n_commits == 1 && commit_is(&m->commit[0], "push9 0", "push9-0.txt"),
       "a copy of a branch: its tip at least");
    git_job_free(j);
    j = poll_seen(f, repo, &s, false);
    ok(j && j->code == 0 && j->n_moved == 0, "nothing new again");
    git_job_free(j);

    ok(fx_commits(repo, "master", "refs/heads/master^0", "mend it [TestFix]", 1) &&
           fx_commits(repo, "master", "refs/heads/master^0", "testfix", 1),
       "two more");
    j = poll_seen(f, repo, &s, false);
    m = fx_moved(j, "refs/heads/master");
    ok(m && m->n_commits == 2 && m->commit[0].testfix && !m->commit[1].testfix,
       "which commit's message has [testfix]");
}

static void test_rewrite(fx *f)
{
    PW_AUTO(pw_freep) char *repo = fx_repo(f, "rewrite");
    PW_AUTO(seen_clear) seen s = {0};
    PW_AUTO(git_job_freep) git_job *j = NULL;
    char rev[GIT_REV], old[GIT_REV];
    const git_moved *m;

    ok(repo && fx_commits(repo, "master", NULL, "base", 3) &&
           fx_do(repo, "branch", "gone", "master"),
       "a repository is made");
    fx_rev(repo, "master", old);
    j = poll_seen(f, repo, &s, true);
    git_job_free(j);
    ok(fx_commits(repo, "master", "refs/heads/master~2", "other", 2), "history is rewritten");
    fx_rev(repo, "master", rev);
    j = poll_seen(f, repo, &s, false);
    m = fx_moved(j, "refs/heads/master");
    ok(m && m->forced && m->n_commits == 2 && strcmp(m->old, old) == 0 &&
           strcmp(m->rev, rev) == 0 && commit_is(&m->commit[0], "other 0", "other-0.txt"),
       "a forced push is flagged and lists what is new");
    git_job_free(j);
    (void)fx_do(repo, "update-ref", "refs/heads/master", "master~1");
    j = poll_seen(f, repo, &s, false);
    m = fx_moved(j, "refs/heads/master");
    ok(m && m->forced && m->n_commits == 1 && commit_is(&m->commit[0], "other 0", "other-0.txt"),
       "rewound: forced, only the tip");
    git_job_free(j);
    (void)fx_do(repo, "update-ref", "-d", "refs/heads/gone");
    j = poll_seen(f, repo, &s, false);
    m = fx_moved(j, "refs/heads/gone");
    ok(j && j->n_moved == 1 && m && !m->rev[0] && strcmp(m->old, old) == 0 && m->n_commits == 0 &&
           !m->forced,
       "a deleted branch");
    git_job_free(j);
    /* a name that was a branch becomes a folder of branches */
    ok(fx_do(repo, "branch", "d", "master"), "a branch");
    j = poll_seen(f, repo, &s, false);
    git_job_free(j);
    ok(fx_do(repo, "branch", "-D", "d") && fx_do(repo, "branch", "d/e", "master"),
       "becomes a folder");
    j = poll_seen(f, repo, &s, false);
    ok(j && j->code == 0 && j->n_moved == 2 && fx_moved(j, "refs/heads/d") &&
           fx_moved(j, "refs/heads/d/e"),
       "and that is followed");
    git_job_free(j);
    seen_put(&s, "refs/heads/master", "00000000000000000000000000000000deadbeef");
    j = poll_seen(f, repo, &s, false);
    m = fx_moved(j, "refs/heads/master");
    ok(m && m->forced && m->n_commits == 1, "an old revision that is nowhere: forced");
}

static void test_merge_and_tags(fx *f)
{
    PW_AUTO(pw_freep) char *repo = fx_repo(f, "merge");
    PW_AUTO(seen_clear) seen s = {0};
    PW_AUTO(git_job_freep) git_job *j = NULL;
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1 << 16);
    char rev[GIT_REV];
    const git_moved *m;

    ok(repo && fx_commits(repo, "master", NULL, "base", 1), "a repository is made");
    j = poll_seen(f, repo, &s, true);
    git_job_free(j);
    /* the clocks of the authors run backwards */
    fx_commit(&b, "side", "refs/heads/master^0", "side a", "a", 1600000000);
    fx_commit(&b, "side", NULL, "side b", "b", 1500000000);
    fx_commit(&b, "master", "refs/heads/master^0", "main c", "c", 1400000000);
    (void)pw_buf_adds(
        &b, "commit refs/heads/master\ncommitter B <b@b> 1300000000 +0000\ndata 9\nmerge it\nmerge "
            "refs/heads/side\nM 100644 inline b\ndata 0\n\n");
    ok(fx_import(repo, &b), "a merge");
    fx_rev(repo, "master", rev);
    (void)fx_do(repo, "tag", "-a", "-m", "v1", "v1", "master");
    (void)fx_do(repo, "tag", "light", "master~1");
    j = poll_seen(f, repo, &s, false);
    m = fx_moved(j, "refs/heads/master");
    ok(m && m->n_commits == 2 && commit_is(&m->commit[0], "main c", "c") &&
           commit_is(&m->commit[1], "merge it", "b") && !m->forced,
       "a merge is one commit, with the files that it brings");
    m = fx_moved(j, "refs/tags/v1");
    ok(m && strcmp(m->rev, rev) == 0 && m->n_commits == 1 && strcmp(m->commit[0].rev, rev) == 0,
       "an annotated tag is its commit");
    m = fx_moved(j, "refs/tags/light");
    ok(m && m->n_commits == 1 && commit_is(&m->commit[0], "main c", "c"), "a light tag");
    git_job_free(j);
    (void)fx_do(repo, "tag", "blob", "master:b");
    (void)fx_do(repo, "update-ref", "refs/pull/1/head", "master");
    j = poll_seen(f, repo, &s, false);
    ok(j && j->code == 0 && j->n_moved == 0, "a tag of no commit, and other refs, are not told");
    git_job_free(j);
    (void)fx_do(repo, "symbolic-ref", "HEAD", "refs/heads/side");
    j = poll_seen(f, repo, &s, false);
    ok(j && j->head && strcmp(j->head, "side") == 0, "HEAD is followed");
}

static void test_limits(fx *f)
{
    PW_AUTO(pw_freep) char *repo = fx_repo(f, "limits");
    PW_AUTO(seen_clear) seen s = {0};
    PW_AUTO(git_job_freep) git_job *j = NULL;
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1 << 20);
    const git_moved *m;
    size_t lines[2] = {0};

    ok(repo && fx_commits(repo, "master", NULL, "base", 1), "a repository is made");
    j = poll_seen(f, repo, &s, true);
    git_job_free(j);
    (void)fx_commits(repo, "at", "refs/heads/master^0", "at", GIT_COMMITS_MAX);
    (void)fx_commits(repo, "above", "refs/heads/master^0", "above", GIT_COMMITS_MAX + 1);
    for (int k = 0; k < 2; k++) {
        fx_commit(&b, k ? "files" : "files0", "refs/heads/master^0", "x\x01y\x1b[31m", "f0", 1);
        for (int i = 1; i < 1000 + k; i++)
            (void)pw_buf_addf(&b, "M 100644 inline f%d\ndata 0\n", i);
    }
    fx_commit(&b, "empty", "refs/heads/master^0", "", "base-0.txt", 1);
    ok(fx_import(repo, &b), "much is pushed");
    j = poll_seen(f, repo, &s, false);
    m = fx_moved(j, "refs/heads/at");
    ok(m && m->n_commits == GIT_COMMITS_MAX && commit_is(&m->commit[0], "at 0", "at-0.txt"),
       "as many commits as are listed");
    m = fx_moved(j, "refs/heads/above");
    ok(m && m->n_commits == GIT_COMMITS_MAX && commit_is(&m->commit[0], "above 1", "above-1.txt"),
       "one more: the newest are listed");
    for (int k = 0; k < 2; k++) {
        m = fx_moved(j, k ? "refs/heads/files" : "refs/heads/files0");
        for (const char *t = m && m->n_commits == 1 ? m->commit[0].files : NULL; t;
             t = strchr(t, '\n') ? strchr(t, '\n') + 1 : NULL)
            lines[k]++;
    }
    ok(lines[0] == 1000 && lines[1] == 1000, "at most 1,000 files are listed");
    ok(m && m->n_commits == 1 && strcmp(m->commit[0].subject, "x y [31m") == 0,
       "control bytes do not pass");
    m = fx_moved(j, "refs/heads/empty");
    ok(m && m->n_commits == 1 && commit_is(&m->commit[0], "", "base-0.txt"), "an empty subject");
}

static char *mirror_path(const fx *f, const char *name)
{
    return pw_strf("%s/%llu.git/%s", f->mirrors, (unsigned long long)f->project, name);
}

/* Makes or overwrites a file of the mirror. */
static void spoil(const fx *f, const char *name, const char *text)
{
    PW_AUTO(pw_freep) char *path = mirror_path(f, name);

    if (path)
        (void)pw_fs_replace(path, text, strlen(text), 0600, NULL);
}

static void test_damage(fx *f)
{
    static const char *const what[] = {"HEAD", "config", "refs/heads/master", "objects"};
    PW_AUTO(pw_freep) char *repo = fx_repo(f, "damage");
    PW_AUTO(seen_clear) seen s = {0};
    PW_AUTO(git_job_freep) git_job *j = NULL;

    ok(repo && fx_commits(repo, "master", NULL, "base", 2), "a repository is made");
    j = poll_seen(f, repo, &s, true);
    for (size_t i = 0; i < 4; i++) {
        char subject[32], file[32];
        PW_AUTO(pw_freep) char *path = mirror_path(f, what[i]);
        if (strcmp(what[i], "objects") == 0 && path)
            (void)(pw_fs_remove_tree(path, NULL) == 0 && mkdir(path, 0700) == 0);
        else
            spoil(f, what[i], "[[[ nonsense\n");
        (void)snprintf(subject, sizeof(subject), "damage%zu", i);
        (void)fx_commits(repo, "master", "refs/heads/master^0", subject, 1);
        git_job_free(j);
        j = poll_seen(f, repo, &s, false);
        const git_moved *m = fx_moved(j, "refs/heads/master");
        (void)snprintf(subject, sizeof(subject), "damage%zu 0", i);
        (void)snprintf(file, sizeof(file), "damage%zu-0.txt", i);
        ok(m && m->n_commits == 1 && !m->forced && commit_is(&m->commit[0], subject, file),
           "a mirror with damaged %s is made anew", what[i]);
    }
    spoil(f, "packed-refs.lock", "");
    spoil(f, "refs/heads/master.lock", "");
    spoil(f, "objects/pack/tmp_pack_1", "left over");
    (void)fx_commits(repo, "master", "refs/heads/master^0", "locked", 1);
    git_job_free(j);
    j = poll_seen(f, repo, &s, false);
    ok(j && j->code == 0 && j->n_moved == 1, "locks of a killed fetch do not stay");
    PW_AUTO(pw_freep) char *path = mirror_path(f, "objects/pack/tmp_pack_1");
    ok(path && access(path, F_OK) < 0, "nor do parts of packs");
}

/* A pack whose middle was overwritten: only the objects show it. */
static void test_bad_pack(fx *f)
{
    PW_AUTO(pw_freep) char *repo = fx_repo(f, "pack");
    PW_AUTO(pw_freep) char *mirror = NULL;
    PW_AUTO(pw_freep) char *path = NULL;
    PW_AUTO(seen_clear) seen s = {0};
    PW_AUTO(git_job_freep) git_job *j = NULL;
    char zeros[400] = {0};

    ok(repo && fx_commits(repo, "master", NULL, "base", 50), "a repository is made");
    j = poll_seen(f, repo, &s, true);
    mirror = mirror_path(f, "");
    ok(mirror && fx_do(mirror, "repack", "-q", "-a", "-d") &&
           fx_do(mirror, "config", "alias.p", "!ls $PWD/objects/pack/*.pack"),
       "its mirror is packed");
    path = mirror ? fx_git(mirror, "p") : NULL;
    (void)(path && chmod(path, 0600) == 0);
    FILE *file = path ? fopen(path, "r+e") : NULL;
    ok(file && fseek(file, 200, SEEK_SET) == 0 &&
           fwrite(zeros, 1, sizeof(zeros), file) == sizeof(zeros),
       "and spoilt");
    if (file)
        (void)fclose(file);
    (void)fx_commits(repo, "master", "refs/heads/master^0", "new", 2);
    git_job_free(j);
    j = poll_seen(f, repo, &s, false);
    const git_moved *m = fx_moved(j, "refs/heads/master");
    ok(m && m->n_commits == 2 && !m->forced && commit_is(&m->commit[1], "new 1", "new-1.txt"),
       "it is made anew");
}

static void test_told_by_hand(fx *f)
{
    PW_AUTO(pw_freep) char *repo = fx_repo(f, "hand");
    PW_AUTO(seen_clear) seen s = {0};
    PW_AUTO(git_job_freep) git_job *j = NULL;
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(1 << 16);
    char rev[GIT_REV];

    ok(repo && fx_commits(repo, "master", NULL, "base", 2), "a repository is made");
    fx_rev(repo, "master", rev);
    seen_put(&s, "refs/heads/master", rev);
    j = poll_seen(f, repo, &s, false);
    ok(j && j->code == 0 && j->n_moved == 0, "what is known already is not told");
    git_job_free(j);
    j = fx_job(f, GIT_HISTORY, repo);
    if (j) {
        j->from = strdup("refs/heads/master");
        j->to = strdup("refs/heads/stable");
    }
    j = fx_ask(f, j);
    ok(j && j->code == 0 && j->n_candidates == 2 && strcmp(j->candidate[0].rev, rev) == 0,
       "but it is fetched");
    /* only root can make it another's */
    ok(geteuid() != 0 || chown(repo, 12345, 12345) == 0, "a repository of somebody else");
    git_job_free(j);
    j = poll_seen(f, repo, &s, false);
    ok(j && j->code == 0 && j->n_moved == 0, "is read as any other");
    ok(geteuid() != 0 || chown(repo, 0, 0) == 0, "and given back");
    git_job_free(j);
    for (int i = 0; i < 60; i++)
        (void)pw_buf_addf(&b, "reset refs/heads/many%d\nfrom %s\n\n", i, rev);
    (void)fx_import(repo, &b);
    j = poll_seen(f, repo, &s, false);
    PW_AUTO(pw_freep) char *path = mirror_path(f, "refs/heads/many7");
    ok(j && j->n_moved == 60 && path && access(path, F_OK) < 0, "many new refs are packed");
    git_job_free(j);
    PW_AUTO(pw_freep) char *empty = fx_repo(f, "empty");
    seen_clear(&s);
    j = poll_seen(f, empty, &s, true);
    ok(j && j->code == 0 && j->n_moved == 0, "an empty repository");
}

int main(void)
{
    PW_AUTO(fx_clear) fx f;

    if (!fx_init(&f)) {
        ok(false, "a scratch folder and a service");
        return tap_done();
    }
    test_growth(&f);
    test_rewrite(&f);
    test_merge_and_tags(&f);
    test_limits(&f);
    test_damage(&f);
    test_bad_pack(&f);
    test_told_by_hand(&f);
    return tap_done();
}
