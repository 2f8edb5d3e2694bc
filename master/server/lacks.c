/* What ran out, in one word for a check of /healthz and one line for people. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "master/server/state.h"

const char *lacks_name(const pw_err *err)
{
    int sys = err->sys;
    if (err->code == PW_EFULL || sys == ENOSPC || sys == EDQUOT || sys == EROFS || sys == EIO)
        return "disk";
    if (err->code == PW_ENOMEM || sys == ENOMEM)
        return "memory";
    if (sys == EMFILE || sys == ENFILE)
        return "files";
    return sys == EAGAIN ? "processes" : "database";
}

const char *lacks_text(const pw_err *err, char *out)
{
    char why[100];
    const char *sys = err->sys > 0 ? strerror_r(err->sys, why, sizeof(why)) : NULL;
    (void)snprintf(out, 400, "%.280s%s%s", err->text, sys ? ": " : "", sys ? sys : "");
    return out;
}
