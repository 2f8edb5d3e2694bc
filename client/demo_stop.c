/* The end of a demo: nothing that it started runs on. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/demo.h"
#include "shared/base/fs.h"

/* grace of a job is 10 s before it is killed (its default, which the demo does not change) */
enum { CANCEL_MS = 15000, END_MS = 10000, ORPHANS_MS = 15000, STEP_MS = 100 };

static size_t cancel_list(demo *d, const char *list, const char *kind)
{
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    if (rest_get(d->c, list, &r, NULL) < 0)
        return 0;
    const json_value *items = json_get(r.value, "items");
    for (size_t i = 0; i < json_count(items); i++) {
        char path[100];
        PW_AUTO(rest_answer_clear) rest_answer gone = {0};
        (void)snprintf(path, sizeof(path), "/api/v1/%s/%" PRId64 "/cancel", kind,
                       json_int(json_get(json_at(items, i), "id"), 0));
        (void)rest_post(d->c, path, "{\"reason\":\"the demo ends\"}", &gone, NULL);
    }
    return json_count(items);
}

/* Asks for the end of all that waits or runs; how much there is. */
static size_t cancel_all(demo *d)
{
    return cancel_list(d, "/api/v1/requests?state=waiting&limit=1000", "requests") +
           cancel_list(d, "/api/v1/builds?state=queued&limit=1000", "builds") +
           cancel_list(d, "/api/v1/builds?state=dispatched&limit=1000", "builds") +
           cancel_list(d, "/api/v1/builds?state=running&limit=1000", "builds") +
           cancel_list(d, "/api/v1/builds?state=finishing&limit=1000", "builds");
}

static bool ended(pid_t pid)
{
    int status;
    pid_t got = waitpid(pid, &status, WNOHANG);
    return got == pid || (got < 0 && errno == ECHILD);
}

static void end(pid_t *pid)
{
    if (*pid <= 0 || ended(*pid)) {
        *pid = 0;
        return;
    }
    (void)kill(*pid, SIGTERM);
    for (int ms = 0; !ended(*pid); ms += STEP_MS) {
        if (ms == END_MS)
            (void)kill(*pid, SIGKILL);
        client_pause(STEP_MS);
    }
    *pid = 0;
}

/* The parent of a process; 0 when it is gone. */
static pid_t parent_of(const char *pid)
{
    char path[64];
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(4096);
    (void)snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
    if (pw_fs_read(path, b.max, &b, NULL) < 0)
        return 0;
    const char *p = strrchr(pw_buf_str(&b), ')'); /* the name may hold anything */
    return p && p[1] && p[2] ? (pid_t)strtol(p + 3, NULL, 10) : 0;
}

/* Signals every child that is left: orphans of the worker come to us, since we are a subreaper.
 * Returns how many live. */
static size_t orphans(int signo)
{
    size_t n = 0;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    DIR *proc = opendir("/proc");
    if (!proc)
        return 0;
    for (const struct dirent *e; (e = readdir(proc));) {
        if (!isdigit((unsigned char)e->d_name[0]) || parent_of(e->d_name) != getpid())
            continue;
        n++;
        (void)kill((pid_t)strtol(e->d_name, NULL, 10), signo);
    }
    (void)closedir(proc);
    return n;
}

void demo_stop(demo *d)
{
    if (d->master && d->worker && d->c->http && cancel_all(d)) {
        /* jobs are the runner's, not the agent's: they end before the agent, or they would go on
         * without it */
        for (int ms = 0; ms < CANCEL_MS && !ended(d->master) && cancel_all(d); ms += STEP_MS * 3)
            client_pause(STEP_MS * 3);
    }
    end(&d->worker);
    end(&d->master);
    for (int ms = 0; ms < ORPHANS_MS && orphans(ms < 3000 ? SIGTERM : SIGKILL); ms += STEP_MS)
        client_pause(STEP_MS);
}
