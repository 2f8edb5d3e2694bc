#include "worker/cgroup/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "shared/base/spawn.h"
#include "tests/tap.h"

#define ID "0123456789abcdef0123456789abcdef"

/* ---- a machine made of plain files */

typedef struct machine {
    char dir[64];
    bool no_kill, no_freeze, controllers, denied;
} machine;
static machine m; /* what the two calls below see: they get a path only */

static void folder(const char *dir)
{
    if (dir) /* in torture there may be none */
        (void)pw_fs_mkdirs(dir, 0700, NULL);
}

static void put(const char *dir, const char *file, const char *text)
{
    PW_AUTO(pw_freep) char *path = pw_strf("%s/%s", dir, file);
    if (path)
        (void)pw_fs_replace(path, text, strlen(text), 0600, NULL);
}

static bool has(const char *dir, const char *file, const char *text)
{
    PW_AUTO(pw_freep) char *path = pw_strf("%s/%s", dir, file);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(4096);
    return path && pw_fs_read(path, 4096, &b, NULL) == 0 && strcmp(pw_buf_str(&b), text) == 0;
}

static int fake_make(const char *dir)
{
    if (m.denied) {
        errno = EACCES;
        return -1;
    }
    if (mkdir(dir, 0700) < 0)
        return -1;
    put(dir, "cgroup.procs", "");
    if (strstr(dir, "/memory")) {
        put(dir, "memory.limit_in_bytes", "");
        put(dir, "memory.memsw.limit_in_bytes", "");
        put(dir, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n");
    } else if (strstr(dir, "/pids")) {
        put(dir, "pids.max", "max");
        put(dir, "pids.events", "max 0\n");
    } else if (strstr(dir, "/freezer")) {
        put(dir, "freezer.state", "THAWED");
    } else {
        put(dir, "cgroup.events", "populated 0\nfrozen 0\n");
        if (!m.no_kill)
            put(dir, "cgroup.kill", "");
        if (!m.no_freeze)
            put(dir, "cgroup.freeze", "0");
        if (m.controllers) {
            put(dir, "memory.max", "max");
            put(dir, "memory.swap.max", "max");
            put(dir, "memory.events", "low 0\noom 0\noom_kill 0\n");
            put(dir, "pids.max", "max");
            put(dir, "pids.events", "max 0\n");
        }
    }
    return 0;
}

static int fake_remove(const char *dir)
{
    struct stat st;
    if (stat(dir, &st) < 0)
        return -1;
    return pw_fs_remove_tree(dir, NULL) == 0 ? 0 : -1;
}

static cgroup_sys fake = {NULL, fake_make, fake_remove};

/* Mount lines as the kernel writes them; the text is "TYPE MOUNT CONTROLLERS ROOT;..." */
static void machine_new(const char *const mounts[], const char *own)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(8192);
    m = (machine){.dir = "/tmp/pawl-cgroup-test.XXXXXX"};
    if (!mkdtemp(m.dir))
        return;
    PW_AUTO(pw_freep) char *proc = pw_strf("%s/proc", m.dir);
    folder(proc);
    (void)pw_buf_adds(&b, "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n");
    for (size_t i = 0; mounts[i]; i += 3) {
        PW_AUTO(pw_freep) char *dir = pw_strf("%s/%s", m.dir, mounts[i]);
        folder(dir);
        (void)pw_buf_addf(&b, "%zu 21 0:%zu %s %s rw,nosuid shared:9 master:2 - %s x rw,%s\n",
                          30 + i, 30 + i, mounts[i + 2], dir,
                          mounts[i + 1][0] ? "cgroup" : "cgroup2", mounts[i + 1]);
    }
    put(proc, "mountinfo", pw_buf_str(&b));
    put(proc, "cgroup", own);
    free((char *)(uintptr_t)fake.proc);
    fake.proc = pw_take(proc);
}

static void machine_end(void)
{
    (void)pw_fs_remove_tree(m.dir, NULL);
}

static char *at(const char *path)
{
    return pw_strf("%s/%s", m.dir, path);
}

static bool base_is(const cgroup_host *h, cgroup_tree t, const char *path)
{
    PW_AUTO(pw_freep) char *want = path ? at(path) : NULL;
    return want ? h->base[t] && strcmp(h->base[t], want) == 0 : !h->base[t];
}

static int entries(const char *dir)
{
    int n = 0;
    PW_AUTO(pw_freep) char *path = at(dir);
    DIR *d = path ? opendir(path) : NULL;
    const struct dirent *e;
    while (d && (e = readdir(d)))
        n += strncmp(e->d_name, "pawl-", 5) == 0;
    if (d)
        (void)closedir(d);
    return n;
}

static const char *const only_v2[] = {"cg", "", "/", NULL};

static void test_v2_root(void)
{
    cgroup_host h;
    machine_new(only_v2, "0::/\n");
    m.controllers = true;
    PW_AUTO(pw_freep) char *base = at("cg");
    put(base, "cgroup.subtree_control", "");
    PW_AUTO(pw_freep) char *old = at("cg/pawl-probe-1");
    PW_AUTO(pw_freep) char *young = at("cg/pawl-probe-2");
    PW_AUTO(pw_freep) char *other = at("cg/pawl-old-1");
    struct timespec then[2] = {{.tv_sec = time(NULL) - 70}, {.tv_sec = time(NULL) - 70}};
    bool made = old && young && other && mkdir(old, 0700) == 0 && mkdir(young, 0700) == 0 &&
                mkdir(other, 0700) == 0 && utimensat(AT_FDCWD, old, then, 0) == 0 &&
                utimensat(AT_FDCWD, other, then, 0) == 0;
    ok(cgroup_find(&fake, &h, NULL) == 0 && h.kind == CGROUP_V2 && h.kill && h.memory &&
           h.processes && !h.why[0] && base_is(&h, CGROUP_UNIFIED, "cg"),
       "v2: all that it can");
    ok(has(base, "cgroup.subtree_control", "+pids"), "controllers are handed on");
    ok(made && access(old, F_OK) < 0 && access(young, F_OK) == 0 && access(other, F_OK) == 0,
       "an old trial that was killed is removed, what another has just made is not");
    ok(entries("cg") == 2, "nothing stays of the trial");
    cgroup_host_clear(&h);
    cgroup_host_clear(&h);
    machine_end();
}

static void test_v2_unit(void)
{
    cgroup_host h;
    machine_new(only_v2, "0::/system.slice/w.service\n");
    PW_AUTO(pw_freep) char *base = at("cg/system.slice/w.service");
    folder(base);
    put(base, "cgroup.events", "populated 1\n");
    put(base, "cgroup.subtree_control", "");
    ok(cgroup_find(&fake, &h, NULL) == 0 && h.kind == CGROUP_V2 && h.kill && !h.memory &&
           !h.processes && base_is(&h, CGROUP_UNIFIED, "cg/system.slice/w.service"),
       "v2 in a unit: it kills");
    ok(has(base, "cgroup.subtree_control", "") && strstr(h.why, "DelegateSubgroup=agent"),
       "a group with the agent in it hands on nothing, and says the cure");
    cgroup_host_clear(&h);
    machine_end();

    machine_new(only_v2, "0::/system.slice/w.service/agent\n");
    m.controllers = true;
    PW_AUTO(pw_freep) char *unit = at("cg/system.slice/w.service");
    folder(unit);
    put(unit, "cgroup.events", "populated 1\n");
    put(unit, "cgroup.subtree_control", "");
    ok(cgroup_find(&fake, &h, NULL) == 0 && h.memory && h.processes &&
           base_is(&h, CGROUP_UNIFIED, "cg/system.slice/w.service") &&
           has(unit, "cgroup.subtree_control", "+pids"),
       "v2 in a subgroup: the unit's group is for jobs, with limits");
    cgroup_host_clear(&h);
    machine_end();
}

static void test_mixed(void)
{
    static const char *const hybrid[] = {"unified", "",     "/",    "memory", "memory",
                                         "/",       "pids", "pids", "/",      "freezer",
                                         "freezer", "/",    NULL};
    static const char *const v1[] = {"memory", "memory",  "/",       "pids", "pids,misc",
                                     "/",      "freezer", "freezer", "/",    NULL};
    const char *own = "9:name=systemd:/\n8:pids,misc:/\n7:freezer:/\n4:memory:/box/a\n0::/\n";
    cgroup_host h;
    machine_new(hybrid, own);
    PW_AUTO(pw_freep) char *box = at("memory/box/a");
    folder(box);
    ok(cgroup_find(&fake, &h, NULL) == 0 && h.kind == CGROUP_HYBRID && h.kill && h.memory &&
           h.processes && base_is(&h, CGROUP_UNIFIED, "unified") &&
           base_is(&h, CGROUP_MEMORY, "memory/box/a") && base_is(&h, CGROUP_PIDS, "pids") &&
           base_is(&h, CGROUP_FREEZER, NULL),
       "hybrid: v2 kills, v1 limits, no freezer");
    cgroup_host_clear(&h);
    m.no_kill = m.no_freeze = true;
    ok(cgroup_find(&fake, &h, NULL) == 0 && h.kind == CGROUP_HYBRID && !h.kill && h.freeze &&
           base_is(&h, CGROUP_FREEZER, "freezer"),
       "an old v2 without kill and freeze gets the freezer of v1");
    cgroup_host_clear(&h);
    machine_end();

    machine_new(v1, own);
    PW_AUTO(pw_freep) char *again = at("memory/box/a");
    folder(again);
    ok(cgroup_find(&fake, &h, NULL) == 0 && h.kind == CGROUP_V1 && !h.kill && h.freeze &&
           h.memory && h.processes && base_is(&h, CGROUP_UNIFIED, NULL) &&
           base_is(&h, CGROUP_PIDS, "pids"),
       "v1 only");
    ok(strstr(h.why, "v2 is not mounted"), "what is missing is said");
    cgroup_host_clear(&h);
    machine_end();
}

static void test_none(void)
{
    static const char *const nothing[] = {NULL};
    static const char *const part[] = {"cg", "", "/docker/x", NULL};
    cgroup_host h;
    machine_new(only_v2, "0::/\n");
    m.denied = true;
    ok(cgroup_find(&fake, &h, NULL) == 0 && h.kind == CGROUP_NONE && strstr(h.why, "Delegate=yes"),
       "no permission");
    cgroup_host_clear(&h);
    machine_end();
    machine_new(nothing, "0::/\n");
    ok(cgroup_find(&fake, &h, NULL) == 0 && h.kind == CGROUP_NONE && h.why[0], "nothing mounted");
    cgroup_host_clear(&h);
    put(fake.proc, "mountinfo", "junk\n1 2 3 4 5 6 -\n\n30 1 0:3 / /x rw - cgroup2\n");
    put(fake.proc, "cgroup", "junk\n::\n0:\n0::\n");
    ok(cgroup_find(&fake, &h, NULL) == 0 && h.kind == CGROUP_NONE, "tables that say nothing");
    cgroup_host_clear(&h);
    machine_end();
    machine_new(part, "0::/docker/xy\n");
    ok(cgroup_find(&fake, &h, NULL) == 0 && h.kind == CGROUP_NONE,
       "our own group is outside of what is mounted");
    cgroup_host_clear(&h);
    put(fake.proc, "cgroup", "0::/docker/x/../y\n");
    ok(cgroup_find(&fake, &h, NULL) == 0 && h.kind == CGROUP_NONE, "or above our own root");
    cgroup_host_clear(&h);
    put(fake.proc, "cgroup", "0::/docker/x\n");
    ok(cgroup_find(&fake, &h, NULL) == 0 && h.kind == CGROUP_V2 &&
           base_is(&h, CGROUP_UNIFIED, "cg"),
       "a container's own part");
    cgroup_host_clear(&h);
    machine_end();
}

/* Descriptors run out: what cannot be read must not pass for an empty group, nor for one whose
 * limits were never met, nor be spared. */
static void unreadable(cgroup_job *g)
{
    const char *dir = g->dir[CGROUP_UNIFIED] ? g->dir[CGROUP_UNIFIED] : "/nowhere";
    struct rlimit old, none;
    bool empty = cgroup_job_empty(g);
    (void)getrlimit(RLIMIT_NOFILE, &old);
    none = (struct rlimit){0, old.rlim_max};
    (void)setrlimit(RLIMIT_NOFILE, &none);
    bool still = cgroup_job_empty(g);
    cgroup_met met = cgroup_job_met(g);
    (void)setrlimit(RLIMIT_NOFILE, &old);
    ok(empty && !still, "one that cannot be read is not empty");
    cgroup_met again = cgroup_job_met(g);
    ok(!met.memory && !met.processes && !again.memory && !again.processes,
       "and what was met in it is not told again");
    PW_AUTO(pw_freep) char *events = pw_strf("%s/cgroup.events", dir);
    int into = g->into;
    if (!events || unlink(events) < 0 || mkdir(events, 0700) < 0)
        return;
    g->into = dup(STDIN_FILENO); /* closed by the kill */
    cgroup_job_kill(g);
    ok(has(dir, "cgroup.kill", "1"), "one that does not say whether it is empty is killed");
    (void)rmdir(events);
    put(dir, "cgroup.kill", "");
    g->into = into;
}

static void test_limits(void)
{
    cgroup_host h;
    cgroup_job g = {.sys = NULL};
    cgroup_limits limits = {.memory = 1 << 20, .processes = 77};
    char name[CGROUP_NAME];
    machine_new(only_v2, "0::/\n");
    m.controllers = true;
    (void)cgroup_find(&fake, &h, NULL);
    ok(cgroup_name(ID, "0000000000000001-17", name) &&
           strcmp(name, "pawl-0123456789abcdef-0000000000000001-17") == 0,
       "its name");
    ok(cgroup_job_open(&h, name, &limits, &g, NULL) == 0 && g.joins == 1 && g.join[1] == -1 &&
           g.memory && g.processes,
       "a job's group");
    const char *dir = g.dir[CGROUP_UNIFIED] ? g.dir[CGROUP_UNIFIED] : "/nowhere";
    ok(has(dir, "memory.max", "1048576") && has(dir, "memory.swap.max", "0") &&
           has(dir, "pids.max", "77"),
       "its limits");
    cgroup_met met = cgroup_job_met(&g);
    ok(!met.memory && !met.processes, "none met");
    put(dir, "memory.events", "oom 3\noom_kill 1\noom_group_kill 0\n");
    put(dir, "pids.events", "max 9\n");
    met = cgroup_job_met(&g);
    ok(met.memory && met.processes, "both met");
    met = cgroup_job_met(&g);
    ok(!met.memory && !met.processes, "told once");
    cgroup_job_kill(&g);
    ok(has(dir, "cgroup.kill", ""), "an empty one is not killed");
    unreadable(&g);
    put(dir, "cgroup.events", "populated 1\n");
    cgroup_job_kill(&g);
    ok(has(dir, "cgroup.kill", "1") && !g.into, "killed");
    ok(cgroup_job_close(&g, 0) && entries("cg") == 0 && !cgroup_job_any(&g), "removed");
    ok(cgroup_job_close(&g, 0), "an empty one is closed already");
    m.denied = true;
    pw_err err = {0};
    ok(cgroup_job_open(&h, name, &limits, &g, &err) == PW_ESYS && strstr(err.text, name),
       "one that cannot be made is told");
    cgroup_host_clear(&h);
    machine_end();
}

/* ---- this machine, when it lets us */

static pid_t script(const cgroup_job *g, const char *text)
{
    const char *argv[] = {"/bin/sh", "-c", text, NULL};
    pw_spawn what = {
        .argv = argv, .in = -1, .out = -1, .err = -1, .join = g->join, .into = g->into};
    return pw_spawn_start(&what, NULL);
}

/* Until the group holds that many; so nothing depends on how fast they start. */
static bool holds(const cgroup_job *g, int n)
{
    for (int i = 0; i < 5000; i++) {
        PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(65536);
        int have = 0;
        for (int t = 0; t < CGROUP_TREES && !b.len; t++) {
            PW_AUTO(pw_freep)
            char *path = g->dir[t] ? pw_strf("%s/cgroup.procs", g->dir[t]) : NULL;
            if (path)
                (void)pw_fs_read(path, b.max, &b, NULL);
        }
        for (size_t k = 0; k < b.len; k++)
            have += b.p[k] == '\n';
        if (have >= n)
            return true;
        (void)poll(NULL, 0, 1);
    }
    return false;
}

/* The spool of this very run: groups of another one that goes on beside it, or that was killed, are
 * not ours. */
static const char *own_id(void)
{
    static char id[33];
    (void)snprintf(id, sizeof(id), "%016x%016x", (unsigned)getpid(), 0u);
    return id;
}

/* Kills the group until that child is dead, when a first try does not: its status. */
static bool killed(cgroup_job *g, pid_t pid, int *status)
{
    pid_t r = 0;
    for (int i = 0; pid > 0 && i < 5000 && (r = waitpid(pid, status, WNOHANG)) == 0; i++) {
        cgroup_job_kill(g);
        (void)poll(NULL, 0, 1);
    }
    return pid > 0 && r == pid;
}

/* All children; in torture the call that should have killed them may have failed. */
static void reap_all(pid_t last)
{
    for (int i = 0; waitpid(-1, NULL, WNOHANG) >= 0; i++) {
        if (i == 5000 && last > 0)
            (void)kill(last, SIGKILL);
        (void)poll(NULL, 0, 1);
    }
}

static void kill_all(const cgroup_host *h, const char *what)
{
    cgroup_job g = {.sys = NULL};
    cgroup_limits limits = {.processes = 30};
    char name[CGROUP_NAME], job[40];
    int status = 0;
    (void)snprintf(job, sizeof(job), "%016x-%d", 1, (int)getpid());
    if (!cgroup_name(own_id(), job, name) || cgroup_job_open(h, name, &limits, &g, NULL) < 0) {
        ok(false, "%s: made", what);
        return;
    }
    /* one that ignores TERM, one in a session of its own, a stopped one, one without a parent */
    pid_t pid = script(&g, "(trap '' TERM; sleep 100) & setsid sleep 100 & "
                           "sleep 100 & kill -STOP $!; (sleep 100 &); wait");
    ok(pid > 0 && holds(&g, 5), "%s: all are in it", what);
    cgroup_job_kill(&g);
    ok(killed(&g, pid, &status) && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s: killed",
       what);
    for (int i = 0; i < 5000 && !cgroup_job_empty(&g); i++) {
        cgroup_job_kill(&g);
        (void)poll(NULL, 0, 1);
    }
    ok(cgroup_job_empty(&g), "%s: all", what);
    if (g.processes) {
        pid = script(&g, "i=0; while [ $i -lt 60 ]; do sleep 100 & i=$((i+1)); done; wait");
        cgroup_met met = {false, false};
        for (int i = 0; i < 5000 && !met.processes; i++, (void)poll(NULL, 0, 1))
            met = cgroup_job_met(&g);
        ok(met.processes, "%s: the limit on processes is met", what);
    }
    (void)cgroup_job_close(&g, 0); /* as a runner that dies */
    ok(cgroup_job_open(h, name, &limits, &g, NULL) == 0 && cgroup_job_any(&g),
       "%s: one that is left over is used again", what);
    pid_t other = script(&g, "sleep 100");
    int n = 0;
    for (int t = 0; t < CGROUP_TREES; t++)
        if (g.dir[t] && h->base[t])
            n += cgroup_kill_at(h->sys, h->base[t], name, 5000000, NULL) < 0;
    ok(n == 0, "%s: killed and removed by its name", what);
    reap_all(other);
    ok(other > 0 && kill(other, 0) < 0, "%s: nobody lives", what);
    (void)cgroup_job_close(&g, 5000000);
    for (int t = 0; t < CGROUP_TREES; t++)
        if (h->base[t])
            n += cgroup_list(h->base[t], own_id(), NULL, NULL);
    ok(n == 0, "%s: no group is left", what);
    for (int t = 0; n && t < CGROUP_TREES; t++)
        if (h->base[t])
            (void)cgroup_kill_at(h->sys, h->base[t], name, 5000000, NULL);
}

/* One hierarchy of what was found. */
static void kill_by(const cgroup_host *h, cgroup_tree t, const char *what)
{
    cgroup_host one = {.sys = h->sys, .kind = CGROUP_V1};
    if (!h->base[t])
        return;
    one.base[t] = h->base[t];
    one.processes = t == CGROUP_PIDS;
    kill_all(&one, what);
}

/* Born in it, or entering it: the same. And what is asked for by default costs no v1 group. */
static void test_ways(const cgroup_host *h)
{
    cgroup_job g = {.sys = NULL};
    cgroup_limits limits = {.processes = 1000, .by_default = true};
    char name[CGROUP_NAME];
    (void)cgroup_name(own_id(), "0000000000000003-1", name);
    if (!h->base[CGROUP_UNIFIED] || cgroup_job_open(h, name, &limits, &g, NULL) < 0) {
        ok(true, "two ways into a group # SKIP no cgroup v2 here");
        return;
    }
    ok(g.into > 0 && !g.dir[CGROUP_PIDS], "v2 alone for what nobody asked for");
    cgroup_job_kill(&g);
    ok(g.into > 0, "an empty one is not killed");
    for (int i = 0; i < 3; i++) { /* one that was killed once does not kill who comes after */
        pid_t pid = script(&g, "sleep 100");
        ok(pid > 0 && holds(&g, 1) && waitpid(pid, NULL, WNOHANG) == 0, "%s",
           i ? "entered" : "born there");
        cgroup_job_kill(&g);
        (void)killed(&g, pid, NULL);
    }
    g.into = open("/", O_PATH | O_CLOEXEC);
    pid_t pid = script(&g, "sleep 100");
    ok(pid > 0 && holds(&g, 1), "a folder that is no group: entered all the same");
    ok(cgroup_job_close(&g, 5000000) && waitpid(pid, NULL, 0) == pid, "closed");
}

static void test_real(void)
{
    cgroup_host h;
    if (cgroup_find(&cgroup_sys_real, &h, NULL) < 0 || h.kind == CGROUP_NONE) {
        ok(true, "this machine # SKIP no control groups here: %s", h.why);
        cgroup_host_clear(&h);
        return;
    }
    ok(true, "this machine: %s, kill %d, freeze %d, memory %d, processes %d",
       cgroup_kind_name(h.kind), h.kill, h.freeze, h.memory, h.processes);
    test_ways(&h);
    kill_all(&h, "all of it");
    kill_by(&h, CGROUP_UNIFIED, "v2 alone");
    kill_by(&h, CGROUP_PIDS, "a list of pids");
    if (h.base[CGROUP_UNIFIED]) { /* a nested group that the job made, and left its own for */
        cgroup_job g = {.sys = NULL};
        cgroup_limits none = {0};
        char name[CGROUP_NAME], text[512];
        (void)cgroup_name(own_id(), "0000000000000002-1", name);
        (void)cgroup_job_open(&h, name, &none, &g, NULL);
        const char *dir = g.dir[CGROUP_UNIFIED] ? g.dir[CGROUP_UNIFIED] : "/nowhere";
        (void)snprintf(text, sizeof(text),
                       "mkdir %s/a %s/a/b; (echo 0 >%s/a/b/cgroup.procs; exec sleep 100) & wait",
                       dir, dir, dir);
        pid_t pid = script(&g, text);
        ok(holds(&g, 1) && !cgroup_job_empty(&g) && cgroup_job_close(&g, 5000000) &&
               waitpid(pid, NULL, 0) == pid,
           "groups that the job made in its own go with it");
    }
    cgroup_host_clear(&h);
}

/* The v1 freezer, which a machine with v2 would not take: asked for by hand. */
static void test_freezer(void)
{
    static const char base[] = "/sys/fs/cgroup/freezer";
    cgroup_host h = {.sys = &cgroup_sys_real, .kind = CGROUP_V1, .freeze = true};
    h.base[CGROUP_FREEZER] = (char *)(uintptr_t)base;
    if (access("/sys/fs/cgroup/freezer/cgroup.procs", W_OK) < 0) {
        ok(true, "the freezer of v1 # SKIP not here, or not for this user");
        return;
    }
    kill_all(&h, "the freezer of v1");
}

/* What a step that failed has left of its scripts: in torture a group that should have killed them
 * was never made. */
static void kill_children(void)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    for (int i = 0; i < 1000; i++) {
        PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(65536);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        int r = pw_fs_read(path, b.max, &b, NULL);
        if (r == 0 && b.len == 0)
            return;
        for (char *at = r == 0 ? b.p : NULL, *end; at && *at && *at != '\n'; at = end) {
            pid_t pid = (pid_t)strtol(at, &end, 10);
            if (end == at)
                break;
            (void)kill(pid, SIGKILL);
            end += *end == ' ';
        }
        (void)poll(NULL, 0, 1);
    }
}

int main(void)
{
    cgroup_mode mode;
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    ok(cgroup_mode_parse("require", &mode) && mode == CGROUP_REQUIRE &&
           !cgroup_mode_parse("maybe", &mode),
       "modes");
    test_v2_root();
    test_v2_unit();
    test_mixed();
    test_none();
    test_limits();
    test_real();
    test_freezer();
    kill_children();
    free((char *)(uintptr_t)fake.proc);
    return tap_done();
}
