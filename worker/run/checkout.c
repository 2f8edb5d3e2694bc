#include "worker/run/checkout.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "worker/run/co.h"
#include "worker/run/inside.h"
#include "worker/run/source.h"
#include "worker/run/steps.h"

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

static void forget_failure(checkout *c)
{
    c->out->result = PW_SUCCESS;
    c->out->reason[0] = '\0';
}

/* As asked first; then with a new tree; then, if the mirror lacks something, with a new mirror too.
 */
static void checkout_all(checkout *c, bool fresh, bool clean)
{
    int rc = co_mirror_update(c, false);
    if (rc == 0 && fresh)
        rc = co_tree_empty(c);
    if (rc != 0 || (rc = co_tree_update(c, clean)) <= 0)
        return;
    if (!c->fresh) {
        co_tell(c, "the work tree cannot be used again and is made anew");
        forget_failure(c);
        if (co_tree_empty(c) != 0 || (rc = co_tree_update(c, clean)) <= 0)
            return;
    }
    if (!co_room_to_rebuild(c))
        return;
    step_result first = *c->out;
    rc = co_mirror_sound(c);
    if (rc < 0)
        return;
    if (rc == 1) { /* then it is not the mirror */
        c->out->result = first.result;
        memcpy(c->out->reason, first.reason, sizeof(first.reason));
        return;
    }
    co_tell(c, "the mirror of the repository is damaged and is made anew");
    forget_failure(c);
    if (co_mirror_update(c, true) == 0 && co_tree_empty(c) == 0)
        (void)co_tree_update(c, clean);
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
    PW_AUTO(pw_freep) char *dotgit = pw_path_join(c->dir, ".git");
    pw_err err = {0};
    if (c->r->in.kind != ISO_PODMAN)
        return 0;
    if (!dotgit)
        (void)pw_fail(&err, PW_ENOMEM, "out of memory");
    else
        (void)pw_fs_remove_tree(dotgit, &err);
    return err.code ? co_fail_err(c, &err) : 0;
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
    job_step whole = *s; /* a bundle has all of the history */
    if (source_is_master(job)) {
        whole.depth = 0;
        s = &whole;
    }
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
        co_environment(&c, &err) < 0 || inside_git(r, mirror, env, &err) < 0)
        step_fail_err(out, PW_EXCEPTION, &err);
    else if (trust_tree(&c) == 0)
        checkout_all(&c, fresh, clean);
}
