#include "shared/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int pw_fail_at(pw_err *err, const char *file, int line, pw_code code, int sys, const char *fmt, ...)
{
    int saved = errno;
    if (err) {
        va_list ap;
        err->code = code;
        err->sys = sys;
        err->file = file;
        err->line = line;
        va_start(ap, fmt);
        (void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
        va_end(ap);
    }
    errno = saved;
    return code;
}

int pw_err_context(pw_err *err, const char *fmt, ...)
{
    char head[160], old[sizeof(err->text)];
    va_list ap;
    if (!err)
        return PW_EINVAL;
    va_start(ap, fmt);
    (void)vsnprintf(head, sizeof(head), fmt, ap);
    va_end(ap);
    memcpy(old, err->text, sizeof(old));
    (void)snprintf(err->text, sizeof(err->text), "%s: %.*s", head,
                   (int)(sizeof(err->text) - sizeof(head) - 2), old);
    return err->code;
}
