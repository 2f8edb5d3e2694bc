/* analyze.h - put in front of every file by `make tidy` and `make analyze`. The analyzers see one file at a time and do not know
 * that a failure is never 0: without this they walk on from "failed, returned 0" and report what cannot happen. */
#include <errno.h>
#include "shared/base/err.h"
#undef pw_fail
#undef pw_fail_sys
#define pw_fail(err, code, ...) (pw_fail_at((err), __FILE__, __LINE__, (code), 0, __VA_ARGS__), (int)(code))
#define pw_fail_sys(err, ...) (pw_fail_at((err), __FILE__, __LINE__, PW_ESYS, errno, __VA_ARGS__), (int)PW_ESYS)
static inline int pw_failed(int code)
{
    return code < 0 ? code : PW_EINVAL;
}
#define pw_err_context(...) pw_failed(pw_err_context(__VA_ARGS__))
