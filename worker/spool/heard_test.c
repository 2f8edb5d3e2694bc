#include "worker/spool/heard.h"

#include <stdlib.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "tests/tap.h"

int main(void)
{
    char dir[] = "/tmp/pawl-heard-XXXXXX";
    pw_usec at = 0;
    if (!mkdtemp(dir))
        return 1;
    ok(spool_heard_get(dir, &at, NULL) == PW_ENOTFOUND, "none yet");
    int fd = spool_heard_open(dir, NULL);
    ok(fd >= 0 || fd == PW_ENOMEM, "made");
    if (fd >= 0) {
        ok(spool_heard_get(dir, &at, NULL) < 0, "still nothing was heard");
        ok(spool_heard_put(fd, 123456789012345, NULL) == 0, "written");
        int r = spool_heard_get(dir, &at, NULL);
        ok(r == PW_ENOMEM || (r == 0 && at == 123456789012345), "and read");
        (void)close(fd);
        fd = spool_heard_open(dir, NULL);
        r = spool_heard_get(dir, &at, NULL);
        ok(fd < 0 || r == PW_ENOMEM || (r == 0 && at == 123456789012345), "it stays");
        if (fd >= 0)
            (void)close(fd);
    }
    ok(spool_heard_open("/nonexistent", NULL) < 0, "no spool");
    (void)pw_fs_remove_tree(dir, NULL);
    return tap_done();
}
