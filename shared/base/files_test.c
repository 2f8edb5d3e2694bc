#include "shared/base/files.h"

#include <sys/resource.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "tests/tap.h"

static uint64_t soft(void)
{
    struct rlimit l = {0};
    (void)getrlimit(RLIMIT_NOFILE, &l);
    return l.rlim_cur;
}

int main(void)
{
    struct rlimit l;
    pw_log_open(PW_LOG_ERROR, -1);
    ok(getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_max >= 256, "a limit to work with");
    l.rlim_cur = 100;
    l.rlim_max = 200;
    ok(setrlimit(RLIMIT_NOFILE, &l) == 0 && soft() == 100, "100 of 200");
    ok(pw_files_raise() == 100 && soft() == 200, "raised to the hard one, the old one is told");
    ok(pw_files_raise() == 200 && soft() == 200, "again: nothing to do");
    ok(pw_files_set(getpid(), 100, NULL) == 0 && soft() == 100, "given back");
    ok(pw_files_set(getpid(), 1000, NULL) == 0 && soft() == 200, "never above the hard one");
    ok(pw_files_set(-1, 10, NULL) == PW_ESYS, "no such process");
    return tap_done();
}
