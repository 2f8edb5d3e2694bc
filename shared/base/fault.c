#include "shared/base/fault.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/base/num.h"

#define POINTS_MAX 16 /* faults in one PW_FAULT; tests use one to three */
#define NAME_MAX_ 64  /* bytes of a point's name with its NUL */

enum action { ACT_ERROR, ACT_KILL, ACT_PAUSE };

struct point {
    char name[NAME_MAX_];
    uint64_t at; /* this passage, counted from 1 */
    enum action action;
};

/* One per process, as the environment is. Written by the first caller under the once, only the
 * counters change later. */
static struct {
    pthread_once_t once;
    size_t count;
    struct point points[POINTS_MAX];
    _Atomic uint64_t *passed; /* of each point; shared with what is forked */
} faults = {.once = PTHREAD_ONCE_INIT};

/* Takes "name", "name:3", "name:3=kill" or "name=pause" apart. */
static bool point_parse(char *s, struct point *p)
{
    char *eq = strchr(s, '=');
    char *colon;

    p->action = ACT_ERROR;
    p->at = 1;
    if (eq) {
        *eq++ = '\0';
        if (strcmp(eq, "kill") == 0)
            p->action = ACT_KILL;
        else if (strcmp(eq, "pause") == 0)
            p->action = ACT_PAUSE;
        else if (strcmp(eq, "error") != 0)
            return false;
    }
    colon = strrchr(s, ':');
    if (colon) {
        *colon++ = '\0';
        if (pw_parse_u64(colon, &p->at, NULL) < 0 || p->at == 0)
            return false;
    }
    if (!*s || strlen(s) >= sizeof(p->name))
        return false;
    memcpy(p->name, s, strlen(s) + 1);
    return true;
}

static void faults_read(void)
{
    const char *s = getenv("PW_FAULT");
    void *shared;

    if (!s || !*s)
        return;
    shared = mmap(NULL, POINTS_MAX * sizeof(*faults.passed), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        pw_log(PW_LOG_ERROR, "fault_ignored", "item=\"%s\" reason=\"no memory\"", s);
        return;
    }
    faults.passed = shared;
    while (s && *s) {
        char item[128];
        size_t n = strcspn(s, ",");
        bool good = n < sizeof(item) && faults.count < POINTS_MAX;
        if (good) {
            memcpy(item, s, n);
            item[n] = '\0';
            good = point_parse(item, &faults.points[faults.count]);
        }
        /* a misspelt fault would make a test pass that tests nothing */
        if (good)
            faults.count++;
        else
            pw_log(PW_LOG_ERROR, "fault_ignored", "item=\"%.*s\"", n < 128 ? (int)n : 128, s);
        s += n;
        s += *s == ',';
    }
}

/* A line for whoever plans the faults: without it a fault that never happened looks like one that
 * did no harm. */
static void tell(const struct point *p)
{
    static const char *const action[] = {"error", "kill", "pause"};
    const char *path = getenv("PW_FAULT_SEEN");
    char line[NAME_MAX_ + 64];
    int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    int n = snprintf(line, sizeof(line), "%s:%llu=%s %ld\n", p->name, (unsigned long long)p->at,
                     action[p->action], (long)getpid());

    if (fd < 0)
        return;
    if (write(fd, line, (size_t)n) != n)
        pw_log(PW_LOG_ERROR, "fault_not_told", "point=%s", p->name);
    (void)close(fd);
}

bool pw_fault(const char *name)
{
    bool fail = false;

    (void)pthread_once(&faults.once, faults_read);
    for (size_t i = 0; i < faults.count; i++) {
        const struct point *p = &faults.points[i];
        if (strcmp(p->name, name) != 0 || atomic_fetch_add(&faults.passed[i], 1) + 1 != p->at)
            continue;
        tell(p);
        if (p->action == ACT_KILL)
            (void)kill(getpid(), SIGKILL);
        else if (p->action == ACT_PAUSE)
            (void)kill(getpid(), SIGSTOP);
        else
            fail = true;
    }
    return fail;
}
