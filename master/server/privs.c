#include "master/server/privs.h"

#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/buf.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"

enum { PASSWD_BYTES = 64 * 1024 };

static int look_up(const char *user, privs *p, pw_err *err)
{
    struct passwd pw, *found = NULL;
    PW_AUTO(pw_freep) char *room = malloc(PASSWD_BYTES);
    if (!room)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    errno = getpwnam_r(user, &pw, room, PASSWD_BYTES, &found);
    if (!found && errno)
        return pw_fail_sys(err, "looking up the user \"%s\"", user);
    if (!found)
        return pw_fail(err, PW_ENOTFOUND,
                       "\"user\" of the configuration: there is no user \"%s\" on this machine",
                       user);
    if (pw.pw_uid == 0)
        return pw_fail(err, PW_EINVAL, "\"user\" of the configuration: \"%s\" is root", user);
    *p = (privs){true, pw.pw_uid, pw.pw_gid, user};
    if (geteuid() != 0)
        return 0;
    /* git looks there, and ends when it may not look into root's */
    if (setenv("HOME", pw.pw_dir, 1) < 0 || setenv("USER", user, 1) < 0 ||
        setenv("LOGNAME", user, 1) < 0)
        return pw_fail_sys(err, "setting the environment of \"%s\"", user);
    return 0;
}

static bool empty_dir(const char *path)
{
    DIR *d = opendir(path);
    const struct dirent *e;
    size_t n = 0;
    while (d && (e = readdir(d)))
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    if (d)
        (void)closedir(d);
    return d && n == 0;
}

/* A directory that is new, or empty, becomes the user's. One with somebody's files in it stays as
 * it is: to change the owner of a whole tree is the administrator's to decide. */
static int own_state(const privs *p, const char *state, pw_err *err)
{
    struct stat st;
    int r = pw_fs_mkdirs(state, 0700, err);
    if (r < 0)
        return r;
    if (stat(state, &st) < 0)
        return pw_fail_sys(err, "looking at the state directory \"%s\"", state);
    if (st.st_uid == p->uid)
        return 0;
    if (!empty_dir(state))
        return pw_fail(err, PW_EDENIED,
                       "the state directory \"%s\" does not belong to \"%s\" (user in the "
                       "configuration): chown -R %s: %s",
                       state, p->user, p->user, state);
    if (chown(state, p->uid, p->gid) < 0)
        return pw_fail_sys(err, "giving the state directory \"%s\" to \"%s\"", state, p->user);
    return 0;
}

int privs_begin(privs *p, const char *user, const char *state, pw_err *err)
{
    *p = (privs){0};
    if (!user) {
        if (geteuid() == 0)
            pw_log(PW_LOG_WARN, "runs_as_root",
                   "cure=\"user: NAME in the configuration, or User= in the unit\"");
        return 0;
    }
    privs want = {0};
    int r = look_up(user, &want, err);
    if (r < 0)
        return r;
    if (geteuid() != 0)
        return geteuid() == want.uid
                   ? 0 /* somebody else made it so, like systemd */
                   : pw_fail(err, PW_EDENIED,
                             "\"user\" of the configuration: only root can become \"%s\"", user);
    if ((r = own_state(&want, state, err)) < 0)
        return r;
    /* of this thread, and of all that it starts: set-user-ID programs of its children are nothing
     * special */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0)
        return pw_fail_sys(err, "becoming \"%s\"", user);
    if ((r = privs_lower(&want, err)) < 0)
        return r;
    *p = want;
    return 0;
}

/* The effective ids alone: glibc sets them in all threads. */
static int become(uid_t uid, gid_t gid, const char *user, pw_err *err)
{
    /* the group first on the way down, last on the way up: it takes root to change it */
    if (uid != 0 ? setegid(gid) < 0 || seteuid(uid) < 0 : seteuid(uid) < 0 || setegid(gid) < 0)
        return pw_fail_sys(err, "becoming \"%s\"", user);
    return 0;
}

int privs_raise(const privs *p, pw_err *err)
{
    return p->dropping ? become(0, 0, "root", err) : 0;
}

int privs_lower(const privs *p, pw_err *err)
{
    return p->user ? become(p->uid, p->gid, p->user, err) : 0;
}

/* The kernel is asked, not the calls believed. */
static int check(const privs *p, pw_err *err)
{
    uid_t r, e, s;
    gid_t gr, ge, gs;
    if (getresuid(&r, &e, &s) < 0 || getresgid(&gr, &ge, &gs) < 0)
        return pw_fail_sys(err, "asking who this process is");
    if (r != p->uid || e != p->uid || s != p->uid || gr != p->gid || ge != p->gid || gs != p->gid ||
        getgroups(0, NULL) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || setuid(0) == 0 ||
        seteuid(0) == 0 || setgid(0) == 0)
        return pw_fail(err, PW_EDENIED, "root was not given up for \"%s\"", p->user);
    return 0;
}

int privs_drop(const privs *p, pw_err *err)
{
    if (!p->dropping)
        return 0;
    int r = privs_raise(p, err);
    if (r < 0)
        return r;
    if (setgroups(0, NULL) < 0 || setresgid(p->gid, p->gid, p->gid) < 0 ||
        setresuid(p->uid, p->uid, p->uid) < 0)
        return pw_fail_sys(err, "becoming \"%s\" for good", p->user);
    r = check(p, err);
    if (r == 0)
        pw_log(PW_LOG_INFO, "root_given_up", "user=\"%s\" uid=%u gid=%u", p->user, p->uid, p->gid);
    return r;
}
