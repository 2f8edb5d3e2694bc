#include "worker/agent/orphans.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "worker/spool/spool.h"

/* The entry that the runner sets for its steps, with its zero byte. */
typedef struct mark {
    const char *text;
    size_t n;
} mark;

enum {
    BLOCK = 32768,
    ROUNDS = 10, /* a tree that forks while it is killed is met again */
};

static bool is_mark(const mark *m, const char *entry, size_t n)
{
    return n == m->n && !memcmp(entry, m->text, n);
}

/* Whether a whole entry of the environment is the mark. */
static bool has_entry(int fd, const mark *m, char *block)
{
    size_t have = 0;
    bool at_start = true; /* the block begins where an entry begins */
    for (;;) {
        ssize_t r = read(fd, block + have, BLOCK - have);
        if (r <= 0)
            return false;
        have += (size_t)r;
        size_t at = 0;
        for (;;) {
            char *end = memchr(block + at, '\0', have - at);
            if (!end)
                break;
            size_t len = (size_t)(end - (block + at)) + 1;
            if (at_start && is_mark(m, block + at, len))
                return true;
            at_start = true;
            at += len;
        }
        have -= at;
        memmove(block, block + at, have);
        if (have == BLOCK) { /* one entry longer than the block: none of ours */
            have = 0;
            at_start = false;
        }
    }
}

static bool kill_if(long pid, const mark *m, char *block)
{
    char path[64];
    /* the handle first: then the process that is read is the one that is killed */
    PW_AUTO(pw_closep) int handle = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (handle < 0)
        return false;
    (void)snprintf(path, sizeof(path), "/proc/%ld/environ", pid);
    PW_AUTO(pw_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || !has_entry(fd, m, block))
        return false;
    return syscall(SYS_pidfd_send_signal, handle, SIGKILL, NULL, 0) == 0;
}

static int kill_round(const mark *m, char *block)
{
    int killed = 0;
    DIR *d = opendir("/proc");
    const struct dirent *e;
    while (d && (e = readdir(d))) {
        char *end;
        long pid = strtol(e->d_name, &end, 10);
        if (*end || pid <= 1 || pid == (long)getpid())
            continue;
        killed += kill_if(pid, m, block);
    }
    if (d)
        (void)closedir(d);
    return killed;
}

int orphans_kill(const char *job)
{
    PW_AUTO(pw_freep) char *own = pw_strf("PAWL_JOB=%s", job);
    PW_AUTO(pw_freep) char *block = malloc(BLOCK);
    if (!block || !own)
        return 0;
    mark m = {own, strlen(own) + 1};
    int total = 0;
    for (int i = 0; i < ROUNDS; i++) {
        int killed = kill_round(&m, block);
        if (!killed)
            break;
        total += killed; /* one that is dying may be counted again */
    }
    return total;
}
