#include "shared/base/files.h"

#include <errno.h>
#include <stddef.h>
#include <sys/resource.h>

#include "shared/base/log.h"

uint64_t pw_files_raise(void)
{
    struct rlimit had, want;
    if (getrlimit(RLIMIT_NOFILE, &had) < 0)
        return 0;
    want = had;
    want.rlim_cur = had.rlim_max > PW_FILES_MOST ? PW_FILES_MOST : had.rlim_max;
    if (want.rlim_cur <= had.rlim_cur || setrlimit(RLIMIT_NOFILE, &want) < 0)
        want = had;
    pw_log(PW_LOG_INFO, "files_limit", "soft=%llu hard=%llu before=%llu",
           (unsigned long long)want.rlim_cur, (unsigned long long)want.rlim_max,
           (unsigned long long)had.rlim_cur);
    return had.rlim_cur;
}

int pw_files_set(pid_t pid, uint64_t soft, pw_err *err)
{
    struct rlimit l;
    if (prlimit(pid, RLIMIT_NOFILE, NULL, &l) < 0)
        return pw_fail_sys(err, "asking for the limit of open files of process %d", (int)pid);
    l.rlim_cur = soft < l.rlim_max ? soft : l.rlim_max;
    if (prlimit(pid, RLIMIT_NOFILE, &l, NULL) < 0)
        return pw_fail_sys(err, "setting the limit of open files of process %d", (int)pid);
    return 0;
}
