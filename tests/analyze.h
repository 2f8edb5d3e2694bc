/* analyze.h - put in front of every file by `make tidy` and `make analyze`. The analyzers see one file at a time and do not know
 * that a failure is never 0: without this they walk on from "failed, and returned 0" and report what cannot happen. */
#include "shared/base/err.h"
static inline int pw_failed(int code)
{
    return code < 0 ? code : PW_EINVAL;
}
#define pw_fail_at(...) pw_failed(pw_fail_at(__VA_ARGS__)) /* what pw_fail() and pw_fail_sys() call */
#define pw_err_context(...) pw_failed(pw_err_context(__VA_ARGS__))
