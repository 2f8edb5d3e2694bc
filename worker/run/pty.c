#include "worker/run/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "shared/base/fs.h"

/* The slave by ioctl, not by name: it works whatever is mounted at /dev/pts. */
int pty_make(int *master, int *slave, pw_err *err)
{
    PW_AUTO(pw_closep) int m = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    int unlock = 0;
    struct termios t;
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    if (m < 0 || ioctl(m, TIOCSPTLCK, &unlock) < 0)
        return pw_fail_sys(err, "cannot make a pseudo terminal");
    PW_AUTO(pw_closep) int s = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (s < 0 || tcgetattr(s, &t) < 0)
        return pw_fail_sys(err, "cannot open a pseudo terminal");
    t.c_oflag &= ~(tcflag_t)OPOST;
    t.c_lflag &= ~(tcflag_t)ECHO;
    if (tcsetattr(s, TCSANOW, &t) < 0 || ioctl(s, TIOCSWINSZ, &size) < 0)
        return pw_fail_sys(err, "cannot set up a pseudo terminal");
    *master = m;
    *slave = s;
    m = s = -1;
    return 0;
}
