#include "worker/run/checkout.h"

#include <stdarg.h>
#include <sys/stat.h>

#include "shared/base/spawn.h"
#include "tests/tap.h"
#include "worker/run/fixture.h"

/* A repository made by git itself: commits one (tag v1) and two on branch main, a commit that no
 * branch has. */
typedef struct scene {
    fix f;
    char *repo;   /* owned */
    char *mirror; /* owned */
    char one[41], two[41], lost[41];
    char **env; /* owned array; the texts are borrowed */
} scene;

static void scene_close(scene *s)
{
    free(s->repo);
    free(s->mirror);
    free(s->env);
    if (s->f.spool[0])
        fix_close(&s->f);
}

static bool shell(const scene *s, const char *script, char out[200])
{
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(4000);
    PW_AUTO(pw_buf_clearp) pw_buf errors = PW_BUF(4000);
    const char *argv[] = {"/bin/sh", "-ec", script, "sh", s->repo, s->f.spool, NULL};
    pw_spawn what = {.argv = argv,
                     .env = (const char *const *)s->env,
                     .dir = s->f.spool,
                     .in = -1,
                     .out = -1,
                     .err = -1};
    int rc = pw_spawn_run(&what, NULL, 20000000, &text, &errors, NULL);
    if (out)
        (void)snprintf(out, 200, "%s", pw_buf_str(&text));
    if (rc != 0)
        printf("# %s\n# rc %d %s\n", script, rc, pw_buf_str(&errors));
    return rc == 0;
}

/* The environment of this process, with an identity for commits and nobody's own configuration. */
static bool scene_env(scene *s)
{
    static const char *const own[] = {"HOME=/nonexistent",    "GIT_CONFIG_NOSYSTEM=1",
                                      "GIT_AUTHOR_NAME=a",    "GIT_AUTHOR_EMAIL=a@b",
                                      "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b"};
    size_t n = 0, k = 0;
    while (environ[n])
        n++;
    s->env = calloc(n + 8, sizeof(char *));
    for (size_t i = 0; s->env && i < n; i++)
        if (strncmp(environ[i], "HOME=", 5) != 0 && strncmp(environ[i], "GIT_", 4) != 0)
            s->env[k++] = environ[i];
    for (size_t i = 0; s->env && i < 6; i++)
        s->env[k++] = (char *)(uintptr_t)own[i];
    return s->env != NULL;
}

static bool scene_open(scene *s)
{
    char out[200];
    memset(s, 0, sizeof(*s));
    if (!fix_open(&s->f) || !(s->repo = pw_strf("%s/repo", s->f.spool)) || !scene_env(s) ||
        !(s->mirror = checkout_mirror_path(s->f.spool, s->repo, 0)))
        return false;
    if (!shell(s,
               "git init -q -b main $1; cd $1; printf 'build\\n' >.gitignore; echo 1 >a; mkdir d; "
               "echo x >d/x; git add -A;"
               "git commit -qm one; git tag v1; git rev-parse HEAD; echo 2 >a; git commit -qam "
               "two; git rev-parse HEAD;"
               "git checkout -q -b gone; echo 3 >a; git commit -qam three; git rev-parse HEAD; git "
               "checkout -q main;"
               "git branch -qD gone",
               out))
        return false;
    s->f.host.env = s->env;
    return sscanf(out, "%40s %40s %40s", s->one, s->two, s->lost) == 3;
}

/* A job with a checkout and a look at the result. */
static bool checkout(scene *s, const char *revision, const char *mode, const char *script,
                     fix_view *v)
{
    PW_AUTO(fix_free_job) job_spec job;
    fix_view_clear(v);
    *v = (fix_view){0};
    if (!fix_job(&s->f, &job, "checkout", NULL, "look", script, NULL))
        return false;
    free(fix_step(&job, 0)->kind);
    fix_step(&job, 0)->kind = fix_dup("checkout");
    fix_step(&job, 0)->mode = fix_dup(mode);
    job.repository = fix_dup(s->repo);
    job.revision = fix_dup(revision);
    /* what would lead git elsewhere has no say */
    msg_pair *env = calloc(1, sizeof(*env));
    if (env)
        env[0] = (msg_pair){fix_dup("GIT_DIR"), fix_dup("/nonexistent/forged")};
    fix_step(&job, 0)->env = (pw_list){.v = env, .n = env ? 1 : 0};
    return fix_run(&s->f, &job, v);
}

static bool good(const fix_view *v, const char *look)
{
    bool is = v->end.result == PW_SUCCESS && v->ends == 1 && fix_is(fix_text(v, 1, 0), look);
    if (!is)
        printf("# %s\n# %s\n# %s\n", v->end.reason ? v->end.reason : "-", fix_text(v, 0, 0),
               fix_text(v, 1, 0));
    return is;
}

static bool exception(const fix_view *v, const char *reason)
{
    bool is = v->end.result == PW_EXCEPTION && v->end.reason && strstr(v->end.reason, reason) &&
              !v->started[1];
    if (!is)
        printf("# %s\n# %s\n", v->end.reason ? v->end.reason : "-", fix_text(v, 0, 0));
    return is;
}

static void test_pure(void)
{
    char sha[66];
    memset(sha, 'a', sizeof(sha));
    sha[65] = sha[40] = '\0';
    ok(checkout_revision_ok(sha), "40 digits");
    sha[40] = 'a';
    ok(!checkout_revision_ok(sha), "65 are none");
    sha[64] = '\0';
    ok(checkout_revision_ok(sha), "64 digits");
    sha[39] = '\0';
    ok(!checkout_revision_ok(sha) && !checkout_revision_ok("main") && !checkout_revision_ok("") &&
           !checkout_revision_ok(NULL) && !checkout_revision_ok("--upload-pack=x"),
       "names and options are none");
    PW_AUTO(pw_freep) char *a = checkout_mirror_path("/s", "https://x/a", 0);
    PW_AUTO(pw_freep) char *b = checkout_mirror_path("/s", "https://x/b", 0);
    PW_AUTO(pw_freep) char *c = checkout_mirror_path("/s", "https://x/a", 3);
    ok(a && b && c && strcmp(a, b) != 0 && strcmp(a, c) != 0 && strncmp(a, "/s/mirrors/", 11) == 0,
       "a mirror for each");
}

static void test_modes(scene *s)
{
    PW_AUTO(fix_view_clear) fix_view v = {0};
    ok(checkout(s, s->two, NULL,
                "cat a d/x; git describe --tags; git rev-parse HEAD >/dev/null; git branch -r; "
                "mkdir build; touch build/o new",
                &v) &&
           v.end.result == PW_SUCCESS,
       "the first checkout");
    ok(strncmp(fix_text(&v, 1, 0), "2\nx\nv1-1-g", 10) == 0 &&
           strstr(fix_text(&v, 1, 0), "origin/main"),
       "exact content, tags and branches");
    ok(checkout(s, s->one, "incremental",
                "cat a; ls -d build new; echo dirty >a; echo dirty >d/x; rm .gitignore", &v) &&
           good(&v, "1\nbuild\nnew\n"),
       "incremental keeps what is not tracked");
    ok(checkout(s, s->one, "clean", "cat a d/x; ls -A; touch .git/index.lock", &v) &&
           good(&v, "1\nx\n.git\n.gitignore\na\nd\n"),
       "clean does not");
    ok(checkout(s, s->two, NULL, "cat a; echo junk >.git/HEAD; echo junk >.git/index", &v) &&
           good(&v, "2\n"),
       "a lock left behind is no obstacle");
    ok(checkout(s, s->two, NULL, "cat a; touch build; rm -rf .git/objects", &v) &&
           good(&v, "2\n") && strstr(fix_text(&v, 0, 0), "work tree cannot be used again"),
       "a broken work tree is made anew");
    ok(checkout(s, s->two, "fresh", "cat a; test ! -e build", &v) && good(&v, "2\n"), "fresh");
}

static void test_revisions(scene *s)
{
    PW_AUTO(fix_view_clear) fix_view v = {0};
    char out[200], none[41];
    memset(none, 'b', 40);
    none[40] = '\0';
    ok(checkout(s, none, NULL, "true", &v) && exception(&v, "is not in the repository"),
       "an absent revision");
    ok(checkout(s, "main", NULL, "true", &v) && exception(&v, "no exact revision"),
       "a branch is no revision");
    ok(checkout(s, s->two, "strange", "true", &v) && exception(&v, "unknown mode"),
       "an unknown mode");
    ok(shell(s, "cd $1; git config uploadpack.allowAnySHA1InWant true", NULL) &&
           checkout(s, s->lost, NULL, "cat a", &v) && good(&v, "3\n"),
       "a revision that no branch has, asked for by name");
    ok(shell(s, "cd $1; git branch -q x/y; echo 4 >a; git commit -qam four; git rev-parse HEAD",
             out),
       "a new commit");
    out[40] = '\0';
    ok(checkout(s, out, NULL, "cat a", &v) && good(&v, "4\n"), "is fetched");
    ok(shell(s,
             "cd $1; git branch -qD x/y; git branch -q x; echo 5 >a; git commit -qam five; git "
             "rev-parse HEAD",
             out),
       "a branch in a folder's place");
    out[40] = '\0';
    ok(checkout(s, out, NULL, "cat a; git rev-parse -q --verify origin/x >/dev/null", &v) &&
           good(&v, "5\n"),
       "is no obstacle");
}

static void test_damage(scene *s)
{
    PW_AUTO(fix_view_clear) fix_view v = {0};
    char out[200];
    PW_AUTO(pw_freep) char *head = pw_strf("%s/HEAD", s->mirror);
    ok(shell(s, "rm -rf $2/mirrors/*.git/objects/* ; echo junk >$2/mirrors/junk", NULL) &&
           checkout(s, s->two, "fresh", "cat a", &v) && good(&v, "2\n"),
       "a mirror without objects is filled again");
    ok(head && pw_fs_replace(head, "junk", 4, 0644, NULL) == 0 &&
           checkout(s, s->two, NULL, "cat a", &v) && good(&v, "2\n"),
       "a mirror that is no repository is made anew");
    /* the commit is there, a file of it is not */
    ok(shell(s,
             "cd $1; f=$(git rev-parse $(git rev-list -n1 --skip=1 v1^{} 2>/dev/null || echo "
             "v1):d/x); cd $2/mirrors/*.git;"
             "if ls objects/pack/*.pack >/dev/null 2>&1; then mkdir ../p; mv objects/pack/* ../p; "
             "for i in ../p/*.pack; do git --git-dir=. "
             "unpack-objects -q <$i; done; rm -rf ../p; fi; rm -f objects/$(echo $f | cut "
             "-c1-2)/$(echo $f | cut -c3-)",
             NULL) &&
           checkout(s, s->two, "fresh", "cat a d/x", &v) && good(&v, "2\nx\n") &&
           strstr(fix_text(&v, 0, 0), "mirror of the repository is damaged"),
       "a mirror that lacks a file is made anew");
    ok(shell(s, "mv $1 $1.away", out) && checkout(s, s->two, NULL, "cat a", &v) && good(&v, "2\n"),
       "what the mirror has needs no repository");
    char none[41];
    memset(none, 'c', 40);
    none[40] = '\0';
    ok(checkout(s, none, NULL, "true", &v) && exception(&v, "fetching from the repository failed"),
       "an unreachable repository");
    ok(shell(s, "mv $1.away $1", NULL) && access(s->mirror, F_OK) == 0, "does not cost the mirror");
}

static void test_depth_and_submodules(scene *s)
{
    PW_AUTO(fix_view_clear) fix_view v = {0};
    PW_AUTO(fix_free_job) job_spec job;
    bool made = shell(
        s,
        "git init -q -b main $1.sub; cd $1.sub; echo s >s; git add s; git commit -qm s; cd $1;"
        "git -c protocol.file.allow=always submodule --quiet add $1.sub sub; git commit -qm sub; "
        "git rev-parse HEAD >$2/rev",
        NULL);
    PW_AUTO(pw_buf_clearp) pw_buf rev = PW_BUF(100);
    PW_AUTO(pw_freep) char *path = pw_strf("%s/rev", s->f.spool);
    made = made && path && pw_fs_read(path, 99, &rev, NULL) == 0 && rev.len == 41;
    if (made)
        rev.p[40] = '\0';
    if (!fix_job(&s->f, &job, "checkout", NULL, "look", "cat sub/s; git rev-list --count HEAD",
                 NULL) ||
        !made) {
        ok(false, "scene");
        return;
    }
    free(fix_step(&job, 0)->kind);
    fix_step(&job, 0)->kind = fix_dup("checkout");
    fix_step(&job, 0)->submodules = true;
    fix_step(&job, 0)->depth = 2;
    job.repository = fix_dup(s->repo);
    job.revision = fix_dup(pw_buf_str(&rev));
    msg_pair *env = calloc(3, sizeof(*env));
    if (env) {
        env[0] = (msg_pair){fix_dup("GIT_CONFIG_COUNT"), fix_dup("1")};
        env[1] = (msg_pair){fix_dup("GIT_CONFIG_KEY_0"), fix_dup("protocol.file.allow")};
        env[2] = (msg_pair){fix_dup("GIT_CONFIG_VALUE_0"), fix_dup("always")};
        fix_step(&job, 0)->env = (pw_list){.v = env, .n = 3};
    }
    ok(env && fix_run(&s->f, &job, &v) && good(&v, "s\n2\n"),
       "submodules, and two commits of history");
}

/* A build that would make the next one work, reset or clean elsewhere. */
static void test_tricks(scene *s)
{
    static const struct {
        const char *trick, *what;
    } v1[] = {
        {"mv .git ../../../../precious/git; ln -s ../../../../precious/git .git", ".git is a link"},
        {"echo \"gitdir: $PAWL_WORKDIR/../../../../precious/git\" >g; rm -rf .git; mv g .git",
         ".git is a file"},
        {"git config core.worktree ../../../../../precious", "another work tree"},
        {"printf '[CORE] WorkTree = ../../../../../precious\\n' >>.git/config", "on one line"},
        {"printf '[include]\\n path = ../../../../../precious/conf\\n' >>.git/config",
         "an include"},
        {"echo ../../../../../precious/git >.git/commondir", "another common folder"},
        {"rm -rf .git/objects/info; ln -s ../../../../../../precious .git/objects/info",
         "a linked folder"},
        {"cd ..; rm -rf 1; ln -s ../../../precious 1", "the work directory is a link"},
        {"cd ..; rm -rf 1; echo x >1", "the work directory is a file"},
        {"rm -rf \"$TMPDIR\"; ln -s \"$PAWL_WORKDIR/../../../../precious\" \"$TMPDIR\"",
         "TMPDIR is a link"},
        {"mkdir -p x/y; ln -s / x/y/root; ln -s ../../../../../precious x/p; ln "
         "../../../../precious/keep x/hard; chmod 0 x/hard; chmod 644 x/hard; chmod 0 x/y",
         "links in the tree"},
    };
    for (size_t i = 0; i < sizeof(v1) / sizeof(v1[0]); i++) {
        PW_AUTO(fix_view_clear) fix_view v = {0};
        static const char *const modes[] = {"clean", "fresh"};
        const char *mode = modes[i % 2];
        bool set = shell(s,
                         "rm -rf $2/precious; mkdir $2/precious; cd $2/precious; echo keep >keep;"
                         "git init -q; printf '[core]\\n worktree = %s\\n' $2/precious >conf",
                         NULL);
        ok(set && checkout(s, s->two, "clean", v1[i].trick, &v) && v.end.result == PW_SUCCESS,
           "trick: %s", v1[i].what);
        ok(checkout(s, s->two, mode,
                    "cat a; test ! -e x; test -d \"$TMPDIR\"; test ! -L \"$TMPDIR\"", &v) &&
               good(&v, "2\n"),
           "%s: the next one is as it should be", v1[i].what);
        ok(shell(s,
                 "cd $2/precious; test \"$(cat keep)\" = keep; test ! -e a; test ! -e alternates;"
                 "test ! -e pawl-origin",
                 NULL),
           "%s: nothing was touched elsewhere", v1[i].what);
    }
}

int main(void)
{
    PW_AUTO(scene_close) scene s;
    test_pure();
    if (!scene_open(&s)) {
        ok(false, "a repository to work with");
        return tap_done();
    }
    test_modes(&s);
    test_revisions(&s);
    test_damage(&s);
    test_depth_and_submodules(&s);
    test_tricks(&s);
    return tap_done();
}
