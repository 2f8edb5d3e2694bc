/* check.c - whether this machine can do what worker.yaml offers. Nothing is believed that was not
 * tried; what cannot be done is an error at the start, not a job that runs with less. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/buf.h"
#include "shared/base/fs.h"
#include "shared/base/spawn.h"
#include "worker/isolate/isolate.h"

enum { TRIAL_US = 20000000, TRIAL_TEXT = 4096 };

bool iso_needs_user(const iso_host *h, iso_kind k)
{
    /* root inside a name space is still the owner of all that root owns */
    return h->offers[k] && (k == ISO_USER || (k == ISO_BWRAP && geteuid() == 0));
}

static bool any_user(const iso_host *h)
{
    return iso_needs_user(h, ISO_USER) || iso_needs_user(h, ISO_BWRAP);
}

/* Runs it; what it complains of becomes the error. */
static int trial(const char *const *argv, const pw_spawn_user *as, const char *what,
                 const char *cure, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(TRIAL_TEXT);
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(TRIAL_TEXT);
    pw_spawn spawn = {.argv = argv, .dir = "/", .in = -1, .out = -1, .err = -1, .as = as};
    pw_err why = {0};
    int rc = pw_spawn_run(&spawn, NULL, TRIAL_US, &out, &said, &why);
    if (rc == 0)
        return 0;
    size_t n = strcspn(pw_buf_str(&said), "\n");
    if (rc < 0)
        return pw_fail_at(err, __FILE__, __LINE__, PW_EDENIED, why.sys, "isolation %s: %.200s; %s",
                          what, why.text, cure);
    return pw_fail(err, PW_EDENIED, "isolation %s does not work here: %.*s; %s", what,
                   n < 300 ? (int)n : 300, n ? pw_buf_str(&said) : "no reason given", cure);
}

static int check_users(const iso_host *h, uint64_t slots, pw_err *err)
{
    const char *what = iso_needs_user(h, ISO_USER) ? "user" : "bwrap";
    if (geteuid() != 0)
        return pw_fail(err, PW_EDENIED,
                       "isolation user needs an agent that runs as root: a process may not "
                       "become another user else; take bwrap");
    if (!h->n_users)
        return pw_fail(err, PW_EINVAL,
                       "isolation %s of an agent that runs as root needs \"users\": a user for "
                       "each job that runs at one time",
                       what);
    if (h->n_users < slots)
        return pw_fail(err, PW_EINVAL, "\"users\" has %zu for %llu slots: each job needs its own",
                       h->n_users, (unsigned long long)slots);
    return 0;
}

/* A user has to reach its work directory: by name through each folder above, without reading it. */
static int open_way(const char *spool, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = strdup(spool);
    struct stat st;
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    for (char *p = path + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        if (stat(path, &st) < 0)
            return pw_fail_sys(err, "looking at %s", path);
        if (!(st.st_mode & S_IXOTH))
            return pw_fail(err, PW_EDENIED,
                           "isolated jobs cannot reach the spool %s: %s is closed to other users; "
                           "\"chmod o+x %s\", or take another spool",
                           spool, path, path);
        *p = '/';
    }
    return 0;
}

/* The folders that they pass; all else of the spool is closed, by its own modes. */
static int set_modes(const iso_host *h, const char *spool, pw_err *err)
{
    static const char *const passed[] = {"", "/work", "/mirrors"};
    mode_t mode = any_user(h) ? 0711 : 0700;
    for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]); i++) {
        PW_AUTO(pw_freep) char *dir = pw_strf("%s%s", spool, passed[i]);
        if (!dir)
            return pw_fail(err, PW_ENOMEM, "out of memory");
        if (chmod(dir, mode) < 0)
            return pw_fail_sys(err, "setting who may pass %s", dir);
    }
    return 0;
}

static int check_bwrap(const iso_host *h, pw_err *err)
{
    static const char *const argv[] = {"bwrap",
                                       "--ro-bind",
                                       "/",
                                       "/",
                                       "--proc",
                                       "/proc",
                                       "--dev",
                                       "/dev",
                                       "--unshare-pid",
                                       "--unshare-ipc",
                                       "--unshare-uts",
                                       "--unshare-net",
                                       "--",
                                       "/bin/true",
                                       NULL};
    pw_spawn_user as = {0};
    if (iso_needs_user(h, ISO_BWRAP))
        as = (pw_spawn_user){h->users[0].uid, h->users[0].gid};
    return trial(argv, as.uid ? &as : NULL, "bwrap",
                 "install bubblewrap and let users make name spaces "
                 "(sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces)",
                 err);
}

static int check_podman(pw_err *err)
{
    static const char *const argv[] = {"podman", "info", "--format", "{{.Host.Arch}}", NULL};
    return trial(argv, NULL, "podman", "install podman, or offer another isolation", err);
}

int iso_check(const iso_host *h, const char *spool, uint64_t slots, pw_err *err)
{
    int rc = 0;
    if (any_user(h) && (rc = check_users(h, slots, err)) == 0)
        rc = open_way(spool, err);
    if (rc == 0)
        rc = set_modes(h, spool, err);
    if (rc == 0 && h->offers[ISO_BWRAP])
        rc = check_bwrap(h, err);
    if (rc == 0 && h->offers[ISO_PODMAN])
        rc = check_podman(err);
    return rc;
}
