/* privs.h - giving up root. A master that was started as root and has `user` in its configuration
 * works as that user from the first file on; root comes back for a moment, to listen on ports below
 * 1024 and to read the key of TLS, and is then given up for good, in all threads. */
#ifndef PW_MASTER_SERVER_PRIVS_H
#define PW_MASTER_SERVER_PRIVS_H
#include <stdbool.h>
#include <sys/types.h>

#include "shared/base/err.h"

typedef struct privs {
    bool dropping; /* this process is root, and is to become: */
    uid_t uid;
    gid_t gid;
    const char *user; /* borrowed */
} privs;
/* Before any thread: looks up the user, gives a new state directory to it, and goes on as it for
 * the time being. user NULL: nothing is done, but that root stays root is logged. PW_ENOTFOUND: no
 * such user; PW_EDENIED: not root, or the directory belongs to somebody else. */
int privs_begin(privs *p, const char *user, const char *state, pw_err *err);
/* Root again, and the user again; no-ops when nothing is to be dropped. */
int privs_raise(const privs *p, pw_err *err);
int privs_lower(const privs *p, pw_err *err);
/* For good; checked. */
int privs_drop(const privs *p, pw_err *err);
#endif
