#include "shared/base/closed.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/tap.h"

/* Whether another process of this user, who is not root, can read our environment. */
static bool readable(void)
{
    char path[64];
    int status = -1;
    (void)snprintf(path, sizeof(path), "/proc/%d/environ", (int)getpid());
    pid_t pid = fork();
    if (pid == 0) {
        char c;
        /* the parent's file is another's then: what decides is whether he may be traced */
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        _exit(fd >= 0 && read(fd, &c, 1) >= 0 ? 0 : 1);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

int main(void)
{
    pid_t pid = fork();
    int status = -1;
    if (pid == 0) { /* as nobody: root may always */
        bool nobody = geteuid() != 0 || (setgid(65534) == 0 && setuid(65534) == 0 &&
                                         prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0);
        bool before = nobody && readable();
        pw_closed();
        bool after = readable();
#ifdef __SANITIZE_ADDRESS__
        _exit(before && after ? 0 : 1);
#else
        _exit(before && !after && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : 1);
#endif
    }
    ok(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0,
       "others of the same user read nothing of it");
    return tap_done();
}
