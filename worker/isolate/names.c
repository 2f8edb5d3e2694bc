/* names.c - users by their names. Apart from the rest: it asks the system's name service, which the
 * runner, linked statically, must not. */
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "worker/isolate/inside.h"

int iso_users_add(iso_host *h, const char *text, pw_err *err)
{
    const char *dash = strchr(text, '-');
    uint64_t from, to;
    char name[32];
    if (iso_number(text, strlen(text), &from))
        to = from;
    else if (!dash || !iso_number(text, (size_t)(dash - text), &from) ||
             !iso_number(dash + 1, strlen(dash + 1), &to)) {
        const struct passwd *p = getpwnam(text);
        if (!p)
            return pw_fail(err, PW_EINVAL,
                           "there is no user \"%.60s\"; make it with \"useradd --system "
                           "--no-create-home --shell /usr/sbin/nologin %.60s\"",
                           text, text);
        return iso_user_add(h, p->pw_uid, p->pw_gid, text, err);
    }
    if (to < from || to - from >= ISO_USERS_MAX)
        return pw_fail(err, PW_EINVAL, "\"%.60s\" is no range of 1 to %d users", text,
                       ISO_USERS_MAX);
    int rc = 0;
    for (; from <= to && rc == 0; from++) {
        (void)snprintf(name, sizeof(name), "%" PRIu64, from);
        rc = iso_user_add(h, (uid_t)from, (gid_t)from, name, err);
    }
    return rc;
}
