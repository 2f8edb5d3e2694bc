#include "worker/run/checkout.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "worker/run/login.h"
#include "worker/run/inside.h"
#include "worker/run/steps.h"

enum {
    GIT_ARGS = 26,
    PATH_BYTES = 8192,
    SMALL_FILE = 64 * 1024,
    ROOM_MIN =
        64 * 1024 * 1024, /* below it a failure is the disk's, and a mirror is not thrown away */
};

typedef struct checkout {
    run_job *r;
    const job_step *s;
    env_list *env;
    const char *dir;
    step_result *out;
    char *mirror; /* owned */
    pw_usec begin, limit;
    bool fresh;   /* the work tree is new */
    bool rebuilt; /* the mirror was made anew in this step */
    /* owned; only while git speaks to the repository: what the work tree's own configuration makes
     * it run in between is not to see that */
    gitlogin_dir login;
    pw_buf *said; /* borrowed: what git says goes there, too; NULL */
} checkout;

bool checkout_revision_ok(const char *revision)
{
    size_t n = revision ? strspn(revision, "0123456789abcdef") : 0;
    return (n == 40 || n == 64) && !revision[n];
}

/* Two sums of 64 bits: URLs are long and hold characters that file names do not. */
char *checkout_mirror_path(const char *spool, const char *repository, uint64_t depth)
{
    uint64_t a = 14695981039346656037ULL, b = 0x9e3779b97f4a7c15ULL;
    char kind[32] = "";
    for (const char *p = repository; *p; p++) {
        a = (a ^ (unsigned char)*p) * 1099511628211ULL;
        b = (b + (unsigned char)*p) * 0xff51afd7ed558ccdULL;
        b ^= b >> 29;
    }
    if (depth)
        (void)snprintf(kind, sizeof(kind), "-%" PRIu64, depth);
    return pw_strf("%s/mirrors/%016" PRIx64 "%016" PRIx64 "%s.git", spool, a, b, kind);
}

static int fail_sys(checkout *c, const pw_err *err)
{
    step_fail_err(c->out, PW_EXCEPTION, err);
    return -1;
}

/* ---- git */

/* Whether a command works on the mirror or its origin: by the agent's own rights, with its key. */
static bool of_mirror(const char *const *args)
{
    bool init = strcmp(args[0], "init") == 0 && args[1] && args[2] && !strcmp(args[2], "--bare");
    return init || strcmp(args[0], "--git-dir") == 0 || strcmp(args[0], "ls-remote") == 0;
}

/* Runs git in `dir` (NULL: in the work tree). Returns its exit code (128 + a signal), or -1 with
 * the result set. */
static int git_run(checkout *c, bool quiet, const char *const *args)
{
    const char *argv[GIT_ARGS] = {"git",
                                  "-c",
                                  "gc.auto=0",
                                  "-c",
                                  "maintenance.auto=false",
                                  "-c",
                                  "core.hooksPath=/dev/null",
                                  "-c",
                                  "advice.detachedHead=false"};
    size_t n = 9;
    pw_err err = {0};
    exec_end end;
    bool mirror = of_mirror(args);
    bool contained = c->r->in.kind == ISO_PODMAN;
    if (c->login.http) { /* no helper of the user's is asked first, nor told to keep it */
        argv[n++] = "-c";
        argv[n++] = "credential.helper=";
    }
    while (*args && n < GIT_ARGS - 1)
        argv[n++] = *args++;
    if (*args) {
        step_fail(c->out, PW_EXCEPTION, "too many arguments for git");
        return -1;
    }
    argv[n] = NULL;
    pw_usec used = pw_now(c->r->host->clock) - c->begin;
    exec_spec spec = step_spec(c->s, c->env, c->dir);
    spec.argv = argv;
    spec.quiet = quiet;
    spec.copy = c->said;
    spec.pty = false;
    spec.outside = mirror || contained; /* an image need not have git */
    if (mirror)                         /* what steps left in the work tree has no say there */
        spec.dir = c->r->host->spool;
    spec.idle = 0; /* git says nothing for long while it works */
    spec.timeout = CHECKOUT_GIT_US;
    if (c->limit && c->limit - used < spec.timeout)
        spec.timeout = c->limit > used ? c->limit - used : 1;
    if (exec_run(c->r, &spec, c->out, &end, &err) < 0) {
        (void)pw_err_context(&err, "cannot start git");
        return fail_sys(c, &err);
    }
    if (end.why == EXEC_EXITED)
        return WIFSIGNALED(end.status) ? 128 + WTERMSIG(end.status) : WEXITSTATUS(end.status);
    exec_judge(c->r, &spec, &end, c->out);
    if (end.why == EXEC_TIMEOUT)
        step_fail(c->out, PW_EXCEPTION, "git ran into its time limit");
    return -1;
}

#define git(c, quiet, ...) git_run((c), (quiet), (const char *const[]){__VA_ARGS__, NULL})

/* A git command that has to succeed. */
static int git_must(checkout *c, const char *what, int rc)
{
    if (rc > 0)
        step_fail(c->out, PW_EXCEPTION, "%s failed: git ended with exit code %d", what, rc);
    return rc;
}

static int git_environment(checkout *c, pw_err *err)
{
    static const char *const drop[] = {"GIT_DIR",
                                       "GIT_WORK_TREE",
                                       "GIT_INDEX_FILE",
                                       "GIT_OBJECT_DIRECTORY",
                                       "GIT_ALTERNATE_OBJECT_DIRECTORIES",
                                       "GIT_COMMON_DIR",
                                       "GIT_NAMESPACE",
                                       "GIT_PREFIX",
                                       "GIT_CONFIG"};
    PW_AUTO(pw_freep) char *above = pw_strf("%s/..", c->dir);
    for (size_t i = 0; i < sizeof(drop) / sizeof(drop[0]); i++)
        env_unset(c->env, drop[i]);
    if (!above)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    const char *slash = strrchr(c->dir, '/');
    above[slash ? slash - c->dir : 0] = '\0';
    int rc = env_set(c->env, "GIT_TERMINAL_PROMPT", "0", err);
    if (rc == 0)
        rc = env_set(c->env, "GIT_CONFIG_NOSYSTEM", "1", err);
    /* a broken work tree must not make git find a repository that the spool happens to lie in */
    return rc < 0 ? rc : env_set(c->env, "GIT_CEILING_DIRECTORIES", above, err);
}

/* ---- the mirror */

static bool over(checkout *c)
{
    run_listen(c->r);
    if (c->r->deadline && pw_now(c->r->host->clock) >= c->r->deadline)
        c->r->timed_out = true;
    if (!run_over(c->r))
        return false;
    exec_end end = {.why = c->r->cancelled   ? EXEC_CANCELLED
                           : c->r->no_room   ? EXEC_NO_ROOM
                           : c->r->forsaken  ? EXEC_FORSAKEN
                           : c->r->timed_out ? EXEC_JOB_TIMEOUT
                                             : EXEC_STOPPED};
    exec_judge(c->r, NULL, &end, c->out);
    return true;
}

/* The lock of the mirror, waited for. Returns the fd, or -1 with the result set. */
static int mirror_lock(checkout *c)
{
    PW_AUTO(pw_freep) char *path = pw_strf("%s.lock", c->mirror);
    pw_err err = {0};
    const pw_host *clock = c->r->host->clock;
    pw_usec until = pw_now(clock) + CHECKOUT_GIT_US;
    if (!path) {
        step_fail(c->out, PW_EXCEPTION, "out of memory");
        return -1;
    }
    for (;;) {
        int fd = pw_fs_lock(path, &err);
        if (fd >= 0)
            return fd;
        if (fd != PW_EAGAIN)
            return fail_sys(c, &err);
        if (over(c))
            return -1;
        if (pw_now(clock) >= until) {
            step_fail(c->out, PW_EXCEPTION,
                      "another job holds the mirror of this repository for too long");
            return -1;
        }
        writer_tick(&c->r->writer, pw_now(clock));
        (void)poll(NULL, 0, CHECKOUT_LOCK_POLL_US / 1000);
    }
}

/* Is the revision there? 1 yes, 0 no, -1 result set. */
static int mirror_has(checkout *c)
{
    char name[80];
    (void)snprintf(name, sizeof(name), "%s^{commit}", c->r->spec.revision);
    int rc = git(c, true, "--git-dir", c->mirror, "cat-file", "-e", name);
    return rc < 0 ? rc : rc == 0;
}

static int log_in(checkout *c)
{
    pw_err err = {0};
    return login_open(c->r, c->env, &c->login, &err) < 0 ? fail_sys(c, &err) : 0;
}

static int mirror_fetch(checkout *c, const char *refs, const char *tags)
{
    char depth[40];
    (void)snprintf(depth, sizeof(depth), "--depth=%" PRIu64, c->s->depth);
    /* with no limit --no-tags stands in for the absent option: it is given anyway */
    return git(c, false, "--git-dir", c->mirror, "fetch", "--force", "--prune", "--no-tags",
               c->s->depth ? depth : "--no-tags", "--recurse-submodules=no", "--",
               c->r->spec.repository, refs, tags);
}

static int mirror_remove(checkout *c)
{
    pw_err err = {0};
    return pw_fs_remove_tree(c->mirror, &err) < 0 ? fail_sys(c, &err) : 0;
}

static int mirror_make(checkout *c)
{
    return git_must(c, "making the mirror",
                    git(c, false, "init", "-q", "--bare", "--template=", "--", c->mirror));
}

static bool room_to_rebuild(const checkout *c)
{
    int64_t left = pw_fs_free(c->r->host->spool);
    return !c->rebuilt && (left < 0 || left >= ROOM_MIN);
}

static void tell(checkout *c, const char *text)
{
    const pw_host *h = c->r->host->clock;
    out_say(&c->r->stream[0], pw_now(h), pw_wall(h), "pawl: %s", text);
}

/* All heads and tags. A fetch that fails although the repository can be reached is the mirror's
 * fault: once it is made anew. */
static int mirror_fetch_all(checkout *c)
{
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(SMALL_FILE);
    char cure[400];
    const char *heads = "+refs/heads/*:refs/heads/*", *tags = "+refs/tags/*:refs/tags/*";
    c->said = &said;
    int rc = mirror_fetch(c, heads, tags);
    c->said = NULL;
    login_cure(c->r, pw_buf_str(&said), cure, sizeof(cure));
    if (rc > 0 && cure[0]) {
        step_fail(c->out, PW_EXCEPTION, "fetching from the repository failed: %s", cure);
        return rc;
    }
    if (rc > 0 && room_to_rebuild(c)) {
        int there = git(c, true, "ls-remote", "--heads", "--", c->r->spec.repository);
        if (there < 0)
            return there;
        if (there == 0) {
            tell(c, "the mirror of the repository is damaged and is made anew");
            c->rebuilt = true;
            if ((rc = mirror_remove(c)) == 0 && (rc = mirror_make(c)) == 0)
                rc = mirror_fetch(c, heads, tags);
        }
    }
    return git_must(c, "fetching from the repository", rc);
}

/* Brings the revision into the mirror. 0, or not 0 with the result set. */
static int mirror_fill(checkout *c, bool rebuild)
{
    int rc = rebuild ? 0 : mirror_has(c);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    PW_AUTO(pw_closep) int lock = mirror_lock(c);
    if (lock < 0)
        return -1;
    if (rebuild) {
        c->rebuilt = true;
        if ((rc = mirror_remove(c)) != 0)
            return rc;
    } else if ((rc = mirror_has(c)) != 0) { /* who held the lock before has fetched it */
        return rc < 0 ? rc : 0;
    }
    if ((rc = mirror_make(c)) != 0 || (rc = mirror_fetch_all(c)) != 0)
        return rc;
    if ((rc = mirror_has(c)) != 0)
        return rc < 0 ? rc : 0;
    /* no branch and no tag leads to it: some servers give it when asked by name */
    if (mirror_fetch(c, c->r->spec.revision, NULL) < 0)
        return -1;
    if ((rc = mirror_has(c)) != 0)
        return rc < 0 ? rc : 0;
    step_fail(c->out, PW_EXCEPTION, "revision %s is not in the repository", c->r->spec.revision);
    return -1;
}

static int mirror_update(checkout *c, bool rebuild)
{
    int rc = log_in(c);
    if (rc == 0)
        rc = mirror_fill(c, rebuild);
    login_close(c->env, &c->login);
    return rc;
}

/* Whether the mirror has all of the revision's content: reads every file of it. */
static int mirror_sound(checkout *c)
{
    int rc = git(c, true, "--git-dir", c->mirror, "archive", "--format=tar", c->r->spec.revision);
    return rc < 0 ? rc : rc == 0;
}

/* ---- the work tree */

static char *tree_path(const checkout *c, const char *name)
{
    return pw_strf("%s/%s", c->dir, name);
}

/* Writes text to a file of the tree's .git; NULL removes it. */
static int tree_write(const checkout *c, const char *name, const char *text, size_t n, pw_err *err)
{
    /* the builds before may have made links of anything in there */
    if (!text) {
        const char *last = strrchr(name, '/');
        PW_AUTO(pw_freep) char *dir = last ? strndup(name, (size_t)(last - name)) : NULL;
        if (!dir)
            return pw_fail(err, PW_ENOMEM, "out of memory");
        PW_AUTO(pw_closep)
        int at = pw_fs_open_beneath(c->dir, dir, O_RDONLY | O_DIRECTORY, 0, err);
        return at < 0 ? at
               : unlinkat(at, last + 1, 0) < 0 && errno != ENOENT
                   ? pw_fail_sys(err, "cannot remove %s/%s", c->dir, name)
                   : 0;
    }
    PW_AUTO(pw_closep)
    int fd = pw_fs_open_beneath(c->dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0644, err);
    if (fd < 0)
        return fd;
    return pw_fs_write_all(fd, text, n, err);
}

/* True when the file of the tree holds exactly that. */
static bool tree_holds(const checkout *c, const char *name, const char *text)
{
    PW_AUTO(pw_freep) char *path = tree_path(c, name);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(SMALL_FILE);
    return path && pw_fs_read(path, SMALL_FILE, &b, NULL) == 0 && strcmp(pw_buf_str(&b), text) == 0;
}

/* Where objects come from, and how far history goes. */
static int tree_link(const checkout *c, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(PATH_BYTES);
    PW_AUTO(pw_freep) char *shallow = pw_strf("%s/shallow", c->mirror);
    static const char *const locks[] = {".git/index.lock", ".git/HEAD.lock", ".git/config.lock",
                                        ".git/shallow.lock", ".git/packed-refs.lock"};
    (void)pw_buf_addf(&text, "%s/objects\n", c->mirror);
    if (text.failed || !shallow)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    /* a git that was killed here leaves its locks; nobody else works in this folder */
    for (size_t i = 0; i < sizeof(locks) / sizeof(locks[0]); i++)
        (void)tree_write(c, locks[i], NULL, 0, NULL);
    int rc = tree_write(c, ".git/objects/info/alternates", text.p, text.len, err);
    if (rc < 0 || !c->s->depth)
        return rc < 0 ? rc : tree_write(c, ".git/shallow", NULL, 0, err);
    pw_buf_clear(&text);
    pw_buf_init(&text, 16 * 1024 * 1024);
    rc = pw_fs_read(shallow, text.max, &text, err);
    if (rc == PW_ENOTFOUND)
        return tree_write(c, ".git/shallow", NULL, 0, err);
    return rc < 0 ? rc : tree_write(c, ".git/shallow", pw_buf_str(&text), text.len, err);
}

static int tree_empty(checkout *c)
{
    pw_err err = {0};
    c->fresh = true;
    if (pw_fs_remove_tree(c->dir, &err) < 0 || pw_fs_mkdirs(c->dir, 0755, &err) < 0 ||
        inside_own(c->r, c->dir, &err) < 0)
        return fail_sys(c, &err);
    return 0;
}

/* True when git would take its files or its configuration from another place than this tree: the
 * next reset and clean would be done there. A build before this one may have asked for that. */
static bool leads_away(const checkout *c)
{
    PW_AUTO(pw_freep) char *config = tree_path(c, ".git/config");
    PW_AUTO(pw_freep) char *common = tree_path(c, ".git/commondir");
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(SMALL_FILE);
    struct stat st;
    if (!config || !common || lstat(common, &st) == 0)
        return true;
    if (lstat(config, &st) < 0)
        return false; /* a new tree */
    return !S_ISREG(st.st_mode) || pw_fs_read(config, SMALL_FILE, &b, NULL) < 0 ||
           strcasestr(pw_buf_str(&b), "worktree") || strcasestr(pw_buf_str(&b), "[include");
}

/* A repository of its own in the work tree; kept from the build before when it is of the same
 * origin. */
static int tree_make(checkout *c)
{
    const char *url = c->r->spec.repository;
    pw_err err = {0};
    PW_AUTO(pw_freep) char *dotgit = tree_path(c, ".git");
    struct stat st;
    int rc;
    if (!dotgit) {
        step_fail(c->out, PW_EXCEPTION, "out of memory");
        return -1;
    }
    /* a link or a file there would make git work on another repository */
    if (lstat(dotgit, &st) == 0 && !S_ISDIR(st.st_mode) && pw_fs_remove_tree(dotgit, &err) < 0)
        return fail_sys(c, &err);
    if (leads_away(c)) {
        tell(c, "the work tree's git configuration leads elsewhere: it is made anew");
        if (tree_empty(c) != 0)
            return -1;
    }
    if (!tree_holds(c, ".git/pawl-origin", url)) {
        if ((rc = git_must(c, "git init", git(c, false, "init", "-q", "--template=", "."))) != 0 ||
            (rc = git_must(c, "git config", git(c, false, "config", "remote.origin.url", url))) !=
                0 ||
            (rc = git_must(c, "git config",
                           git(c, false, "config", "remote.origin.fetch",
                               "+refs/heads/*:refs/remotes/origin/*"))) != 0)
            return rc;
        if (tree_write(c, ".git/pawl-origin", url, strlen(url), &err) < 0)
            return fail_sys(c, &err);
    }
    if (tree_link(c, &err) == 0)
        return 0;
    (void)fail_sys(c, &err);
    /* a link or a file where a folder was: this tree cannot be used, a new one can */
    return err.sys == ENOTDIR || err.sys == ELOOP ? 1 : -1;
}

static int tree_submodules(checkout *c, bool clean)
{
    int rc = git_must(c, "git submodule sync",
                      git(c, false, "submodule", "--quiet", "sync", "--recursive"));
    if (rc == 0 && (rc = log_in(c)) == 0)
        rc = git_must(c, "git submodule update",
                      git(c, false, "submodule", "update", "--init", "--recursive", "--force"));
    login_close(c->env, &c->login);
    if (rc == 0 && clean)
        rc = git_must(
            c, "git clean",
            git(c, false, "submodule", "--quiet", "foreach", "--recursive", "git clean -ffdxq"));
    return rc;
}

static int tree_update(checkout *c, bool clean)
{
    const char *rev = c->r->spec.revision;
    char head[80];
    int rc = tree_make(c);
    if (rc == 0)
        rc = git_must(c, "git fetch",
                      git(c, false, "fetch", "-q", "--force", "--prune", "--no-tags",
                          "--update-shallow", "--recurse-submodules=no", "--", c->mirror,
                          "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"));
    if (rc == 0)
        rc = git_must(c, "git checkout", git(c, false, "checkout", "-f", "--detach", rev));
    if (rc == 0 && clean && !c->fresh)
        rc = git_must(c, "git clean", git(c, false, "clean", "-ffdxq"));
    if (rc == 0 && c->s->submodules)
        rc = tree_submodules(c, clean);
    if (rc != 0)
        return rc;
    (void)snprintf(head, sizeof(head), "%s\n", rev);
    if (!tree_holds(c, ".git/HEAD", head)) {
        step_fail(c->out, PW_EXCEPTION, "the work tree is not at revision %s", rev);
        return 1;
    }
    return 0;
}

static void forget_failure(checkout *c)
{
    c->out->result = PW_SUCCESS;
    c->out->reason[0] = '\0';
}

/* As asked first; then with a new tree; then, if the mirror lacks something, with a new mirror too.
 */
static void checkout_all(checkout *c, bool fresh, bool clean)
{
    int rc = mirror_update(c, false);
    if (rc == 0 && fresh)
        rc = tree_empty(c);
    if (rc != 0 || (rc = tree_update(c, clean)) <= 0)
        return;
    if (!c->fresh) {
        tell(c, "the work tree cannot be used again and is made anew");
        forget_failure(c);
        if (tree_empty(c) != 0 || (rc = tree_update(c, clean)) <= 0)
            return;
    }
    if (!room_to_rebuild(c))
        return;
    step_result first = *c->out;
    rc = mirror_sound(c);
    if (rc < 0)
        return;
    if (rc == 1) { /* then it is not the mirror */
        c->out->result = first.result;
        memcpy(c->out->reason, first.reason, sizeof(first.reason));
        return;
    }
    tell(c, "the mirror of the repository is damaged and is made anew");
    forget_failure(c);
    if (mirror_update(c, true) == 0 && tree_empty(c) == 0)
        (void)tree_update(c, clean);
}

/* What is emptied and filled lies in the work directory, not behind a link that a step made. */
static int inside(const checkout *c, pw_err *err)
{
    size_t n = strlen(c->r->workdir);
    if (strcmp(c->dir, c->r->workdir) == 0)
        return 0;
    PW_AUTO(pw_closep)
    int fd = pw_fs_open_beneath(c->r->workdir, c->dir + n + 1, O_PATH | O_DIRECTORY, 0, err);
    return fd >= 0 || fd == PW_ENOTFOUND
               ? 0
               : pw_err_context(err, "checkout into a folder behind a link");
}

/* Where git does not run inside, nothing that steps told it (filters, monitors, hooks) may be left:
 * then it is told anew. */
static int trust_tree(checkout *c)
{
    PW_AUTO(pw_freep) char *dotgit = tree_path(c, ".git");
    pw_err err = {0};
    if (c->r->in.kind != ISO_PODMAN)
        return 0;
    if (!dotgit)
        (void)pw_fail(&err, PW_ENOMEM, "out of memory");
    else
        (void)pw_fs_remove_tree(dotgit, &err);
    return err.code ? fail_sys(c, &err) : 0;
}

/* The folder to check out into; the job's own when it is new. */
static int make_dir(checkout *c, pw_err *err)
{
    struct stat st;
    if (lstat(c->dir, &st) == 0)
        return 0;
    int rc = pw_fs_mkdirs(c->dir, 0755, err);
    return rc < 0 ? rc : inside_own(c->r, c->dir, err);
}

void checkout_run(run_job *r, const job_step *s, env_list *env, const char *dir, step_result *out)
{
    const job_spec *job = &r->spec;
    const char *mode = s->mode ? s->mode : "clean";
    bool fresh = strcmp(mode, "fresh") == 0, clean = strcmp(mode, "clean") == 0;
    exec_spec limits = step_spec(s, env, dir);
    checkout c = {.r = r, .s = s, .env = env, .dir = dir, .out = out, .limit = limits.timeout};
    pw_err err = {0};
    c.begin = pw_now(r->host->clock);
    if (!fresh && !clean && strcmp(mode, "incremental") != 0) {
        step_fail(out, PW_EXCEPTION, "unknown mode \"%s\" of checkout", mode);
        return;
    }
    if (!job->repository || !job->repository[0]) {
        step_fail(out, PW_EXCEPTION, "the job names no repository");
        return;
    }
    if (!checkout_revision_ok(job->revision)) {
        step_fail(out, PW_EXCEPTION, "the job names no exact revision");
        return;
    }
    PW_AUTO(pw_freep) char *mirrors = pw_path_join(r->host->spool, "mirrors");
    PW_AUTO(pw_freep)
    char *mirror = checkout_mirror_path(r->host->spool, job->repository, s->depth);
    if (!mirrors || !mirror) {
        step_fail(out, PW_EXCEPTION, "out of memory");
        return;
    }
    c.mirror = mirror;
    if (pw_fs_mkdirs(mirrors, 0755, &err) < 0 || inside(&c, &err) < 0 || make_dir(&c, &err) < 0 ||
        git_environment(&c, &err) < 0 || inside_git(r, mirror, env, &err) < 0)
        step_fail_err(out, PW_EXCEPTION, &err);
    else if (trust_tree(&c) == 0)
        checkout_all(&c, fresh, clean);
}
