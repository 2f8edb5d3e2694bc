#include "shared/base/trim.h"

#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shared/base/buf.h"
#include "shared/base/fs.h"

enum { MAPS_MAX = 4 * 1024 * 1024 };

static void give_back(uint64_t from, uint64_t to)
{
    (void)madvise((void *)(uintptr_t)from, (size_t)(to - from), MADV_DONTNEED);
}

/* A mapping of a file that cannot be written and of which no page was ever written (`Anonymous: 0`;
 * the linker's relocations would show there) is what the file says: its pages may go and come back.
 */
static void walk(const char *text)
{
    uint64_t from = 0, to = 0, anonymous;
    bool file = false;
    /* NOLINTBEGIN(cert-err34-c): the kernel's own numbers */
    for (const char *line = text; *line;) {
        uint64_t a, b;
        char mode[5], name[2] = "";
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %*s %1s", &a, &b, mode, name) >= 3) {
            from = a;
            to = b;
            file = mode[0] == 'r' && mode[1] == '-' && mode[3] == 'p' && name[0] == '/';
        } else if (file && sscanf(line, "Anonymous: %" SCNu64, &anonymous) == 1) {
            if (anonymous == 0)
                give_back(from, to);
            file = false;
        }
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    /* NOLINTEND(cert-err34-c) */
}

void pw_trim(void)
{
    PW_AUTO(pw_closep) int fd = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC);
    PW_AUTO(pw_buf_clearp) pw_buf maps = PW_BUF(MAPS_MAX);
    ssize_t n = -1;
    while (fd >= 0) {
        char *room = pw_buf_room(&maps, 65536);
        n = room ? read(fd, room, 65536) : -1;
        if (n <= 0)
            break;
        maps.len += (size_t)n;
    }
    if (n < 0)
        return;
    walk(pw_buf_str(&maps));
    pw_buf_clear(&maps);
    (void)malloc_trim(0);
}
