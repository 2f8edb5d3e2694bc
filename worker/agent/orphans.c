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

/* Two entries that the runner sets for its steps; a step may have changed one of them. */
typedef struct marks {
    const char *text[2]; /* with their zero bytes */
    size_t n[2];
} marks;

enum {
    BLOCK = 32768,
    ROUNDS = 10, /* a tree that forks while it is killed is met again */
};

static bool is_mark(const marks *m, const char *entry, size_t n)
{
    for (int i = 0; i < 2; i++)
        if (n == m->n[i] && !memcmp(entry, m->text[i], n))
            return true;
    return false;
}

/* Whether a whole entry of the environment is one of the marks. */
static bool has_entry(int fd, const marks *m, char *block)
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

static bool kill_if(long pid, const marks *m, char *block)
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

static int kill_round(const marks *m, char *block)
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

int orphans_kill(const char *spool, const char *job)
{
    PW_AUTO(pw_freep) char *own = pw_strf("PAWL_JOB=%s", job);
    PW_AUTO(pw_freep) char *tmp = pw_strf("TMPDIR=%s/tmp/%s", spool, job);
    PW_AUTO(pw_freep) char *block = malloc(BLOCK);
    if (!block || !own || !tmp)
        return 0;
    marks m = {{own, tmp}, {strlen(own) + 1, strlen(tmp) + 1}};
    int total = 0;
    for (int i = 0; i < ROUNDS; i++) {
        int killed = kill_round(&m, block);
        if (!killed)
            break;
        total += killed; /* one that is dying may be counted again */
    }
    return total;
}
