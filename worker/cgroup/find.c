/* find.c - what this machine offers. Nothing is believed that was not tried: mount tables say what
 * is mounted, permissions what may be written, but only a process that was moved shows that it
 * works. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shared/base/fs.h"
#include "worker/cgroup/inside.h"

enum { TABLE_MAX = 4 * 1024 * 1024, WORDS = 64, TRIAL_OLD_S = 60 };
#define TRIAL "pawl-probe-" /* and a pid */

static int real_make(const char *dir)
{
    return mkdir(dir, 0755);
}

static int real_remove(const char *dir)
{
    return rmdir(dir);
}

const cgroup_sys cgroup_sys_real = {"/proc/self", real_make, real_remove};

const char *cgroup_mode_name(cgroup_mode m)
{
    static const char *const names[] = {"auto", "require", "off"};
    return names[m];
}

bool cgroup_mode_parse(const char *s, cgroup_mode *ret)
{
    for (int m = CGROUP_AUTO; m <= CGROUP_OFF; m++)
        if (strcmp(s, cgroup_mode_name((cgroup_mode)m)) == 0) {
            *ret = (cgroup_mode)m;
            return true;
        }
    return false;
}

const char *cgroup_kind_name(cgroup_kind k)
{
    static const char *const names[] = {"none", "v1", "hybrid", "v2"};
    return names[k];
}

void cgroup_host_clear(cgroup_host *h)
{
    for (int i = 0; i < CGROUP_TREES; i++)
        free(h->base[i]);
    *h = (cgroup_host){.sys = h->sys};
}

/* ---- tables of the kernel */

/* Splits at blanks, in place. Returns how many words. */
static size_t split(char *line, char *word[WORDS])
{
    size_t n = 0;
    for (char *p = line; *p && n < WORDS;) {
        word[n++] = p;
        p += strcspn(p, " ");
        if (*p)
            *p++ = '\0';
    }
    return n;
}

/* \040 and the like, in place: mount points may hold blanks. */
static void unescape(char *s)
{
    char *to = s;
    for (; *s; s++) {
        if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
            s[3] >= '0' && s[3] <= '7') {
            *to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
            s += 3;
        } else {
            *to++ = *s;
        }
    }
    *to = '\0';
}

/* True when a comma-separated list holds the word. */
static bool listed(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',')
        if (strncmp(p, word, n) == 0 && (p[n] == ',' || !p[n]))
            return true;
    return false;
}

static const char *const controller[CGROUP_TREES] = {"", "freezer", "memory", "pids"};

typedef struct place {
    char *mount, *root; /* borrowed from the table; NULL: not mounted */
    char *path;         /* ours in it */
} place;

/* One line of mountinfo: "36 35 98:0 /root /mount rw,... [tags] - type source options" */
static void read_mount(char *line, place at[CGROUP_TREES])
{
    char *w[WORDS];
    size_t n = split(line, w), dash = 6;
    while (dash < n && strcmp(w[dash], "-") != 0)
        dash++;
    if (n < 6 || dash + 3 >= n)
        return;
    const char *type = w[dash + 1], *options = w[dash + 3];
    for (int t = 0; t < CGROUP_TREES; t++) {
        bool is = t == CGROUP_UNIFIED
                      ? strcmp(type, "cgroup2") == 0
                      : strcmp(type, "cgroup") == 0 && listed(options, controller[t]);
        if (!is || at[t].mount) /* the first one; more of the same show the same */
            continue;
        unescape(w[4]);
        unescape(w[3]);
        at[t].mount = w[4];
        at[t].root = w[3];
        return;
    }
}

/* One line of /proc/self/cgroup: "4:memory:/path", "0::/path". */
static void read_group(char *line, place at[CGROUP_TREES])
{
    char *first = strchr(line, ':'), *second = first ? strchr(first + 1, ':') : NULL;
    if (!second)
        return;
    *first = *second = '\0';
    for (int t = 0; t < CGROUP_TREES; t++)
        if (t == CGROUP_UNIFIED ? strcmp(line, "0") == 0 && !first[1]
                                : listed(first + 1, controller[t]))
            at[t].path = second + 1;
}

static void each_line(char *text, void (*fn)(char *line, place at[CGROUP_TREES]),
                      place at[CGROUP_TREES])
{
    for (char *p = text; *p;) {
        char *end = p + strcspn(p, "\n"), *next = end + (*end == '\n');
        *end = '\0';
        fn(p, at);
        p = next;
    }
}

/* Our own group as a folder: what the mount shows is the part below its root. Owned; NULL: outside
 * of what is mounted, or memory ran out. */
static char *own_dir(const place *p)
{
    if (!p->mount || !p->path || strstr(p->path, "/.."))
        return NULL;
    size_t n = strcmp(p->root, "/") == 0 ? 0 : strlen(p->root);
    if (strncmp(p->path, p->root, n) != 0 || (p->path[n] != '/' && p->path[n]))
        return NULL;
    const char *rest = p->path + n;
    while (*rest == '/')
        rest++;
    return *rest ? group_path(p->mount, rest) : strdup(p->mount);
}

/* ---- trying */

/* A child of ours goes in. */
static bool can_join(const char *dir)
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0)
        _exit(group_write(dir, "cgroup.procs", "0") == 0 ? 0 : 1);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

typedef struct trial {
    bool works, kill, freeze, memory, processes;
} trial;

static void add_why(cgroup_host *h, const char *text)
{
    size_t n = strlen(h->why);
    (void)snprintf(h->why + n, sizeof(h->why) - n, "%s%s", n ? "; " : "", text);
}

/* Groups of trials that were killed in the middle. By age, since the pid in the name may be one of
 * another container: a trial takes milliseconds. One with a process in it cannot be removed. */
static void remove_old_trials(const cgroup_sys *sys, const char *base)
{
    DIR *d = opendir(base);
    const struct dirent *e;
    struct stat st;
    while (d && (e = readdir(d))) {
        if (strncmp(e->d_name, TRIAL, sizeof(TRIAL) - 1) != 0 ||
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            time(NULL) - st.st_mtim.tv_sec < TRIAL_OLD_S)
            continue;
        PW_AUTO(pw_freep) char *dir = group_path(base, e->d_name);
        if (dir)
            (void)sys->remove(dir);
    }
    if (d)
        (void)closedir(d);
}

static trial try_base(const cgroup_sys *sys, const char *base, cgroup_tree t)
{
    trial r = {.works = false};
    PW_AUTO(pw_freep) char *dir = pw_strf("%s/" TRIAL "%d", base, (int)getpid());
    remove_old_trials(sys, base);
    if (!dir || (sys->make(dir) < 0 && errno != EEXIST))
        return r;
    r.works = can_join(dir);
    r.kill = r.works && group_has(dir, "cgroup.kill");
    r.freeze = r.works && group_has(dir, t == CGROUP_FREEZER ? "freezer.state" : "cgroup.freeze");
    r.memory =
        r.works && group_has(dir, t == CGROUP_MEMORY ? "memory.limit_in_bytes" : "memory.max");
    r.processes = r.works && group_has(dir, "pids.max");
    for (int i = 0; i < 1000 && sys->remove(dir) < 0 && errno == EBUSY; i++)
        (void)group_empty(dir); /* the child is dead; the kernel may need a moment to say so */
    return r;
}

/* Controllers of v2 reach the jobs' groups only when the group above hands them on, which one with
 * processes in it cannot, the machine's root apart. In a group of our own they are not asked for:
 * a service manager could not start the agent in it again while jobs run. */
static void hand_on(const char *base, bool own)
{
    static const char *const want[] = {"+memory", "+pids"};
    if (own && group_has(base, "cgroup.events"))
        return;
    for (size_t i = 0; i < 2; i++)
        (void)group_write(base, "cgroup.subtree_control", want[i]);
}

/* The folder above when ours is called "agent": so a service manager (DelegateSubgroup=agent) or a
 * person says that the rest of it is for jobs. */
static char *v2_base(const char *own, bool *ret_own)
{
    const char *slash = strrchr(own, '/');
    *ret_own = !slash || strcmp(slash, "/agent") != 0;
    return *ret_own ? strdup(own) : strndup(own, (size_t)(slash - own));
}

static void find_v2(cgroup_host *h, const place *p)
{
    bool own = true;
    PW_AUTO(pw_freep) char *dir = own_dir(p);
    PW_AUTO(pw_freep) char *base = dir ? v2_base(dir, &own) : NULL;
    if (!base) {
        add_why(h, "cgroup v2 is not mounted");
        return;
    }
    hand_on(base, own);
    trial r = try_base(h->sys, base, CGROUP_UNIFIED);
    if (!r.works) {
        add_why(h, "this user may not make groups in cgroup v2 (Delegate=yes in the unit)");
        return;
    }
    h->kill = r.kill;
    h->freeze = r.freeze;
    h->memory = r.memory;
    h->processes = r.processes;
    h->kind = CGROUP_V2;
    h->base[CGROUP_UNIFIED] = pw_take(base);
}

/* A v1 hierarchy is used for what v2 does not do. */
static void find_v1(cgroup_host *h, cgroup_tree t, const place *p)
{
    PW_AUTO(pw_freep) char *base = own_dir(p);
    if (!base)
        return;
    trial r = try_base(h->sys, base, t);
    if (!r.works)
        return;
    if (t == CGROUP_FREEZER && r.freeze)
        h->freeze = true;
    else if (t == CGROUP_MEMORY && r.memory)
        h->memory = true;
    else if (t == CGROUP_PIDS && r.processes)
        h->processes = true;
    else
        return;
    h->kind = h->base[CGROUP_UNIFIED] ? CGROUP_HYBRID : CGROUP_V1;
    h->base[t] = pw_take(base);
}

static int read_table(const char *proc, const char *file, pw_buf *b, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = group_path(proc, file);
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    int rc = pw_fs_read(path, TABLE_MAX, b, NULL);
    return rc == PW_ENOMEM ? pw_fail(err, PW_ENOMEM, "out of memory") : 0;
}

int cgroup_find(const cgroup_sys *sys, cgroup_host *ret, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf mounts = PW_BUF(TABLE_MAX);
    PW_AUTO(pw_buf_clearp) pw_buf groups = PW_BUF(TABLE_MAX);
    place at[CGROUP_TREES] = {{NULL, NULL, NULL}};
    cgroup_host h = {.sys = sys};
    int rc = read_table(sys->proc, "mountinfo", &mounts, err);
    if (rc == 0)
        rc = read_table(sys->proc, "cgroup", &groups, err);
    if (rc < 0)
        return rc;
    if (mounts.p)
        each_line(mounts.p, read_mount, at);
    if (groups.p)
        each_line(groups.p, read_group, at);
    find_v2(&h, &at[CGROUP_UNIFIED]);
    if (!h.kill && !h.freeze)
        find_v1(&h, CGROUP_FREEZER, &at[CGROUP_FREEZER]);
    if (!h.memory)
        find_v1(&h, CGROUP_MEMORY, &at[CGROUP_MEMORY]);
    if (!h.processes)
        find_v1(&h, CGROUP_PIDS, &at[CGROUP_PIDS]);
    if (h.kind == CGROUP_V2 && (!h.memory || !h.processes))
        add_why(&h, "its group hands on no memory and pids controllers: the agent has to be in a "
                    "group of its own called \"agent\" (DelegateSubgroup=agent, systemd 254)");
    *ret = h;
    return 0;
}
