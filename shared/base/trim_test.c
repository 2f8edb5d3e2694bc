#include "shared/base/trim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/tap.h"

enum { SIZE = 4 * 1024 * 1024, PAGE = 4096 };
static const char words[] = "read-only data that must read the same";
static const char *const table[] = {words, NULL}; /* relocated in a position-independent program */

static long resident_kb(void)
{
    char line[256];
    long kb = -1;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, "RssFile:", 8) == 0)
            kb = strtol(line + 8, NULL, 10);
    if (f)
        (void)fclose(f);
    return kb;
}

int main(void)
{
    char path[] = "/tmp/pawl-trim-test.XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0 || unlink(path) < 0 || ftruncate(fd, SIZE) < 0 || pwrite(fd, "x", 1, SIZE - 1) != 1)
        return 1;
    const char *read_only = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd, 0);
    char *written = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (read_only == MAP_FAILED || written == MAP_FAILED)
        return 1;
    written[0] = 'w';
    (void)mprotect(written, PAGE, PROT_READ); /* as the linker does with its relocations */
    int sum = 0;
    for (int i = 0; i < SIZE; i += PAGE)
        sum += read_only[i];
    long before = resident_kb();
    pw_trim();
    long after = resident_kb();
    ok(sum == 0 && before - after > SIZE / 1024 / 2, "file pages go: %ld KiB, then %ld", before,
       after);
    ok(read_only[SIZE - 1] == 'x', "and come back");
    ok(written[0] == 'w', "a page that was written stays");
    ok(strcmp(table[0], words) == 0, "relocated data stays");
    (void)close(fd);
    return tap_done();
}
