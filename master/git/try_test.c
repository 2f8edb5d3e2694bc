/* What somebody tries, as a bundle or a patch: imported, refused in git's words, forgotten, and
 * there again when the mirror was lost. */
#include <sys/stat.h>

#include "master/git/fixture.h"

typedef struct place {
    char *repo, *tree, *file; /* owned */
    char base[GIT_REV];
} place;

static void place_clear(place *p)
{
    free(p->repo);
    free(p->tree);
    free(p->file);
}

/* A repository with two commits, and a clone whose work tree is ahead of it. */
static bool place_make(fx *f, place *p)
{
    p->repo = fx_repo(f, "r.git");
    p->tree = pw_path_join(f->dir, "tree");
    p->file = pw_path_join(f->dir, "sent");
    if (!p->repo || !p->tree || !p->file || !fx_commits(p->repo, "master", NULL, "one", 2) ||
        !fx_do(f->dir, "clone", "-q", p->repo, p->tree))
        return false;
    fx_rev(p->repo, "master", p->base);
    return true;
}

static bool write_file(const char *dir, const char *name, const char *text)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(dir, name);
    FILE *x = path ? fopen(path, "w") : NULL;
    bool good = x && fputs(text, x) >= 0;
    return x && fclose(x) == 0 && good;
}

static git_job *try_job(fx *f, const place *p, uint64_t number, bool patch, const char *base)
{
    git_job *j = fx_job(f, GIT_TRY, p->repo);
    if (!j)
        return NULL;
    j->number = number;
    j->try.patch = patch;
    j->try.file = strdup(p->file);
    j->try.who = strdup("ada");
    j->try.subject = strdup("try by ada");
    (void)snprintf(j->old, sizeof(j->old), "%s", base);
    return fx_ask(f, j);
}

static char *mirror_git(fx *f, const char *a, const char *b)
{
    char dir[160];
    (void)snprintf(dir, sizeof(dir), "%s/%llu.git", f->mirrors, (unsigned long long)f->project);
    return fx_git(dir, a, b);
}

static bool there(fx *f, uint64_t number)
{
    char path[160];
    struct stat st;
    (void)snprintf(path, sizeof(path), "%s/tries/%llu-%llu.bundle", f->dir,
                   (unsigned long long)f->project, (unsigned long long)number);
    return stat(path, &st) == 0;
}

static void bundle(fx *f, place *p)
{
    char tip[GIT_REV], parent[80];
    struct stat st;
    bool made = write_file(p->tree, "new.txt", "new\n") && fx_do(p->tree, "add", ".") &&
                fx_do(p->tree, "commit", "-q", "-m", "mine") &&
                write_file(p->tree, "b.txt", "b\n") && fx_do(p->tree, "add", ".") &&
                fx_do(p->tree, "commit", "-q", "-m", "as it is\n\nPawl-Try: snapshot") &&
                fx_do(p->tree, "bundle", "create", "-q", p->file, "HEAD", "^origin/master");
    ok(made, "a clone is two commits ahead, the last of what was not committed");
    git_job *j = try_job(f, p, 1, false, p->base);
    ok(j && j->code == 0 && j->n_tried == 1, "its bundle is taken in, with one commit of its own");
    ok(j && j->tried.files && strcmp(j->tried.files, "b.txt\nnew.txt") == 0,
       "what differs is told");
    fx_rev(p->tree, "HEAD", tip);
    (void)snprintf(parent, sizeof(parent), "%s^", j ? j->tried.rev : "");
    PW_AUTO(pw_freep) char *at = mirror_git(f, "rev-parse", "refs/pawl/try/1");
    PW_AUTO(pw_freep) char *on = mirror_git(f, "rev-parse", parent);
    PW_AUTO(pw_freep) char *own = fx_git(p->tree, "rev-parse", "HEAD^");
    ok(j && at && strcmp(at, j->tried.rev) == 0 && strcmp(at, tip) != 0,
       "what is built is a commit that nobody else has");
    ok(on && own && strcmp(on, own) == 0, "it takes the place of the last one");
    ok(stat(p->file, &st) < 0 && there(f, 1), "what was sent is gone, a bundle of it is kept");
    git_job_free(j);
    /* the mirror is lost */
    char dir[160];
    (void)snprintf(dir, sizeof(dir), "%s/%llu.git", f->mirrors, (unsigned long long)f->project);
    (void)pw_fs_remove_tree(dir, NULL);
    git_job_free(fx_ask(f, fx_job(f, GIT_POLL, p->repo)));
    PW_AUTO(pw_freep) char *again = mirror_git(f, "rev-parse", "refs/pawl/try/1");
    ok(at && again && strcmp(at, again) == 0, "a mirror that is made anew has it again");
    for (int i = 0; i < 2; i++) {
        j = fx_job(f, GIT_UNTRY, p->repo);
        j->number = 1;
        j = fx_ask(f, j);
        ok(j && j->code == 0 && !there(f, 1), i ? "twice is no harm" : "it is forgotten");
        git_job_free(j);
    }
    PW_AUTO(pw_freep) char *none = mirror_git(f, "for-each-ref", "refs/pawl");
    ok(none && !*none, "no ref of it is left");
}

static void patch(fx *f, place *p)
{
    bool made = fx_do(p->tree, "reset", "-q", "--hard", "origin/master") &&
                write_file(p->tree, "one-0.txt", "changed\n") &&
                write_file(p->tree, "bin", "\1\2\n") && fx_do(p->tree, "add", "-A");
    PW_AUTO(pw_freep) char *text = fx_git(p->tree, "diff", "--cached", "--binary", "HEAD");
    PW_AUTO(pw_freep) char *whole = pw_strf("%s\n", text ? text : "");
    ok(made && text && whole && write_file(f->dir, "sent", whole), "a patch");
    git_job *j = try_job(f, p, 2, true, p->base);
    PW_AUTO(pw_freep) char *show = mirror_git(f, "show", "refs/pawl/try/2:one-0.txt");
    ok(j && j->code == 0 && j->n_tried == 0 && show && strcmp(show, "changed") == 0,
       "is applied without a work tree");
    ok(j && strncmp(j->tried.author, "ada <", 5) == 0, "its commit is of who sent it");
    git_job_free(j);
    ok(whole && write_file(f->dir, "sent", whole) && fx_commits(p->repo, "old", NULL, "other", 1),
       "the same");
    char other[GIT_REV];
    fx_rev(p->repo, "old", other);
    j = try_job(f, p, 3, true, other);
    ok(j && j->code < 0 && j->unfit && strstr(j->text, "one-0.txt") && !there(f, 3),
       "where it does not fit git's words say so, and nothing is left");
    git_job_free(j);
}

static void refused(fx *f, place *p)
{
    static const char nobody[] = "0123456789012345678901234567890123456789";
    git_job *j;
    ok(write_file(f->dir, "sent", "no bundle\n"), "what is no bundle");
    j = try_job(f, p, 4, false, p->base);
    ok(j && j->code < 0 && j->unfit && !strstr(j->text, f->dir), "is refused without our paths");
    git_job_free(j);
    ok(write_file(f->dir, "sent", "diff\n"), "a base");
    j = try_job(f, p, 5, true, nobody);
    ok(j && j->code == PW_ENOTFOUND && j->unfit, "that nobody has");
    git_job_free(j);
    ok(write_file(f->dir, "sent", "diff\n"), "a base");
    j = try_job(f, p, 6, true, "master");
    ok(j && j->code == PW_EINVAL && j->unfit, "that is no revision");
    git_job_free(j);
    PW_AUTO(pw_freep) char *mine = fx_git(p->tree, "rev-parse", "HEAD@{1}");
    ok(mine && write_file(f->dir, "sent", "diff\n"), "a base");
    j = try_job(f, p, 7, true, mine ? mine : "");
    ok(j && j->code == PW_ENOTFOUND && j->unfit, "that is in the mirror, but on no branch");
    git_job_free(j);
    uint64_t a = 0, b = 0;
    ok(git_try_name("3-14.bundle", &a, &b) && a == 3 && b == 14, "names are read");
    ok(!git_try_name("3-.bundle", &a, &b) && !git_try_name("up-xyz", &a, &b) &&
           !git_try_name("3-4.bundle.x", &a, &b) && !git_try_name("3-4.new", &a, &b),
       "others are none");
}

int main(void)
{
    PW_AUTO(fx_clear) fx f;
    PW_AUTO(place_clear) place p = {0};
    if (!fx_init(&f) || !place_make(&f, &p)) {
        ok(false, "no place to test in");
        return tap_done();
    }
    git_job_free(fx_ask(&f, fx_job(&f, GIT_POLL, p.repo)));
    bundle(&f, &p);
    patch(&f, &p);
    refused(&f, &p);
    return tap_done();
}
