#include "worker/spool/heard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "shared/base/buf.h"
#include "shared/base/fs.h"
#include "shared/base/num.h"

enum { BYTES = 8 };

static char *path_of(const char *spool, pw_err *err)
{
    char *path = pw_path_join(spool, "heard");
    if (!path)
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
    return path;
}

int spool_heard_open(const char *spool, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = path_of(spool, err);
    if (!path)
        return PW_ENOMEM;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? pw_fail_sys(err, "opening %s", path) : fd;
}

int spool_heard_put(int fd, pw_usec at, pw_err *err)
{
    uint8_t raw[BYTES];
    pw_put_le64(raw, (uint64_t)at);
    ssize_t n = pwrite(fd, raw, sizeof(raw), 0);
    return n == BYTES ? 0 : pw_fail_sys(err, "writing down when the master was heard last");
}

int spool_heard_get(const char *spool, pw_usec *ret, pw_err *err)
{
    uint8_t raw[BYTES];
    PW_AUTO(pw_freep) char *path = path_of(spool, err);
    if (!path)
        return PW_ENOMEM;
    PW_AUTO(pw_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? pw_fail(err, PW_ENOTFOUND, "there is no %s", path)
                               : pw_fail_sys(err, "opening %s", path);
    ssize_t n = read(fd, raw, sizeof(raw));
    if (n < 0)
        return pw_fail_sys(err, "reading %s", path);
    if (n < BYTES)
        return pw_fail(err, PW_ENOTFOUND, "%s is empty", path);
    *ret = (pw_usec)pw_le64(raw);
    return 0;
}
