#include "worker/run/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/buf.h"
#include "shared/base/fs.h"

int ring_open(const char *dir, pw_err *err)
{
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
        return pw_fail_sys(err, "cannot make a ring file in %s", dir);
    PW_AUTO(pw_freep) char *path = pw_strf("%s/ring.XXXXXX", dir); /* no O_TMPFILE there */
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return pw_fail_sys(err, "cannot make a ring file in %s", dir);
    (void)unlink(path);
    return fd;
}

int ring_write(int fd, uint64_t cap, uint64_t total, const uint8_t *p, size_t n, pw_err *err)
{
    if (n > cap) {
        total += n - cap;
        p += n - cap;
        n = (size_t)cap;
    }
    while (n) {
        uint64_t at = total % cap;
        size_t part = n < cap - at ? n : (size_t)(cap - at);
        ssize_t put = pwrite(fd, p, part, (off_t)at);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return pw_fail_sys(err, "cannot write the ring file");
        p += put;
        n -= (size_t)put;
        total += (uint64_t)put;
    }
    return 0;
}

int ring_read(int fd, uint64_t cap, uint64_t at, uint8_t *p, size_t n, pw_err *err)
{
    while (n) {
        uint64_t off = at % cap;
        size_t part = n < cap - off ? n : (size_t)(cap - off);
        int rc = pw_fs_pread_all(fd, p, part, (off_t)off, err);
        if (rc < 0)
            return rc;
        p += part;
        n -= part;
        at += part;
    }
    return 0;
}
