#include "worker/run/source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/fs.h"
#include "worker/run/ask.h"
#include "worker/run/kinds.h"
#include "worker/run/steps.h"

enum { TIPS_BYTES = PW_HAVE_MAX * (PW_REV_MAX + 2) };

bool source_is_master(const job_spec *job)
{
    return job->source && strcmp(job->source, "master") == 0;
}

/* Newest first: what the bundle leaves out. A mirror that cannot tell has nothing. */
static int read_tips(const char *mirror, source_git *git, void *git_self, pw_buf *out)
{
    char count[32];
    (void)snprintf(count, sizeof(count), "--count=%d", PW_HAVE_MAX);
    const char *const args[] = {"--git-dir",
                                mirror,
                                "for-each-ref",
                                "--sort=-committerdate",
                                count,
                                "--format=%(objectname)",
                                "refs/heads",
                                "refs/pawl/heads",
                                NULL};
    int rc = git(git_self, out, args);
    if (rc > 0)
        pw_buf_reset(out);
    return rc < 0 ? -1 : 0;
}

static size_t split(char *text, char *v[PW_HAVE_MAX])
{
    size_t n = 0;
    char *rest = NULL;
    for (char *p = strtok_r(text, "\n", &rest); p && n < PW_HAVE_MAX;
         p = strtok_r(NULL, "\n", &rest)) {
        size_t k = strspn(p, "0123456789abcdef");
        if ((k == 40 || k == 64) && !p[k])
            v[n++] = p;
    }
    return n;
}

/* The branch's name as that of a ref, where it can be one. */
static char *ref_of(const job_spec *job)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    const char *b = job->branch ? job->branch : "";
    size_t n = strlen(b);
    bool good = n > 0 && n <= 200 && strspn(b, letters) > 0 && !strstr(b, "..") &&
                !strstr(b, "//") && !strstr(b, "/.") && !strstr(b, ".lock") && b[n - 1] != '/' &&
                b[n - 1] != '.';
    for (const char *p = b; *p && good; p++)
        good = strchr(letters, *p) || strchr("._/+-", *p);
    return pw_strf("+refs/pawl/bundle:" SOURCE_HEADS "%s", good ? b : "HEAD");
}

/* 0: it is in; 1: git does not take it; -1: the result is set. */
static int bring(run_job *r, const char *mirror, char **tips, size_t n, source_git *git,
                 void *git_self, step_result *out)
{
    const job_ask_item item = {.what = PW_NEED_BUNDLE, .have = {tips, n}};
    ask_part part = {.fd = -1};
    PW_AUTO(pw_freep) char *ref = ref_of(&r->spec);
    if (!ref) {
        step_fail(out, PW_EXCEPTION, "out of memory");
        return -1;
    }
    if (ask_master(r, &item, 1, &part, out) < 0)
        return -1;
    with_say(r, "the revision comes from the master: %" PRIu64 " bytes", part.size);
    const char *const args[] = {"--git-dir",
                                mirror,
                                "fetch",
                                "-q",
                                "--force",
                                "--no-tags",
                                "--recurse-submodules=no",
                                "--",
                                part.path,
                                ref,
                                "+refs/tags/*:refs/tags/*",
                                NULL};
    int rc = git(git_self, NULL, args);
    ask_done(r, &part);
    return rc < 0 ? -1 : rc > 0;
}

int source_bring(run_job *r, const char *mirror, source_git *git, void *git_self, step_result *out)
{
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(TIPS_BYTES);
    char *tips[PW_HAVE_MAX];
    if (read_tips(mirror, git, git_self, &said) < 0)
        return -1;
    size_t n = said.p ? split(said.p, tips) : 0;
    return bring(r, mirror, tips, n, git, git_self, out);
}
