/* paths.c - the system's calls on names of machines' files. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/impl.h"

#define TOP "/sim"
#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define MACHINE_ID "/etc/machine-id"

static int fail(int error)
{
    errno = error;
    return -1;
}

/* ---- paths */

typedef struct place {
    node *dir; /* NULL: the path names a root, "." or ".." */
    const char *name;
    size_t len;
    node *n;    /* NULL: absent */
    bool slash; /* behind the name */
} place;

static bool beneath_top(const char *path)
{
    return strncmp(path, TOP, sizeof(TOP) - 1) == 0 &&
           (path[sizeof(TOP) - 1] == '/' || path[sizeof(TOP) - 1] == '\0');
}

/* The files by which the system names this machine and its boot. */
static node *system_node(const char *path)
{
    int p = the_disk.current;
    const machine *mc = p < 0 ? NULL : &the_disk.machine[the_disk.process[p].m];
    if (!mc)
        return NULL;
    if (strcmp(path, BOOT_ID) == 0)
        return mc->boot_id;
    return strcmp(path, MACHINE_ID) == 0 ? mc->machine_id : NULL;
}

bool vd_file_ours(int at, const char *path)
{
    if (!path)
        return at >= DISK_FD;
    return path[0] == '/' ? beneath_top(path) || system_node(path) : at >= DISK_FD;
}

static node *child(node *dir, const char *name, size_t n)
{
    if (dir != the_disk.top)
        return vd_names_find(&dir->now, name, n);
    return n == 1 && name[0] >= '0' && name[0] < '0' + DISK_MACHINES
               ? the_disk.machine[name[0] - '0'].root
               : NULL;
}

static int step(place *at, const char *name, size_t n)
{
    node *dir = at->n;
    if (!dir)
        return fail(ENOENT);
    if (!S_ISDIR(dir->mode))
        return fail(ENOTDIR);
    if (n > NAME_LEN_MAX)
        return fail(ENAMETOOLONG);
    if (n == 1 && name[0] == '.') {
        at->dir = NULL;
    } else if (n == 2 && name[0] == '.' && name[1] == '.') {
        at->dir = NULL;
        at->n = dir->parent ? dir->parent : dir;
    } else {
        *at = (place){.dir = dir, .name = name, .len = n, .n = child(dir, name, n)};
    }
    return 0;
}

static int find(int at, const char *path, place *ret)
{
    place p = {.n = the_disk.top};
    const node *sys = path[0] == '/' ? system_node(path) : NULL;
    if (!*path)
        return fail(ENOENT);
    if (sys) {
        *ret = (place){.n = (node *)(uintptr_t)sys};
        return 0;
    }
    if (path[0] == '/') {
        path += sizeof(TOP) - 1;
    } else {
        const desc *d = vd_file_desc(at);
        if (!d)
            return -1;
        p.n = d->n;
    }
    while (*path) {
        size_t n = strcspn(path, "/");
        if (n > 0 && step(&p, path, n) < 0)
            return -1;
        path += n;
        p.slash = *path == '/';
        path += p.slash;
    }
    if (p.slash && p.n && !S_ISDIR(p.n->mode))
        return fail(ENOTDIR);
    *ret = p;
    return 0;
}

/* Finds what a call by the current process is about. */
static int find_for(int at, const char *path, disk_call call, place *ret)
{
    place p;
    if (find(at, path, &p) < 0) {
        int error = errno;
        if (disk_process_dead(the_disk.current))
            error = EIO;
        return fail(error);
    }
    const node *of = p.n ? p.n : p.dir;
    if (disk_enter(of->m, call) < 0)
        return -1;
    *ret = p;
    return 0;
}

/* A new node under an absent name. */
static int make(const place *at, mode_t mode, node **ret)
{
    if (at->dir == the_disk.top || (at->slash && !S_ISDIR(mode)))
        return fail(ENOENT);
    if (at->dir != vd_node_machine(at->dir)->root && !at->dir->parent)
        return fail(ENOENT); /* the folder is removed */
    if (!disk_may_change(NULL))
        return -1;
    node *n = vd_node_new(at->dir->m, mode);
    if (S_ISDIR(mode) && !vd_node_take_room(n, BLOCK)) {
        vd_node_unref(n);
        return fail(ENOSPC);
    }
    side v = {.dir = at->dir, .name = vd_text_new(at->name, at->len), .to = n};
    vd_name_changed(vd_node_machine(n), &v, 1, true);
    vd_text_unref(v.name);
    vd_node_unref(n);
    *ret = n;
    return 0;
}

/* A pipe's bytes are gone with the last process that has it open. */
static void fifo_open(node *n)
{
    for (size_t i = 0; i < the_disk.n_fds; i++) {
        const desc *d = the_disk.fds[i];
        if (d && d->n == n && !disk_process_dead(d->process))
            return;
    }
    n->len = 0;
}

int vd_file_open(int at, const char *path, int flags, mode_t mode)
{
    place p;
    bool writes = (flags & O_ACCMODE) != O_RDONLY;
    if (find_for(at, path, DISK_OPEN, &p) < 0)
        return -1;
    if (!p.n && !(flags & O_CREAT))
        return fail(ENOENT);
    if (p.n && (flags & O_CREAT) && (flags & O_EXCL))
        return fail(EEXIST);
    if (p.n && !p.dir && S_ISREG(p.n->mode) && writes)
        return fail(EACCES); /* the system's */
    if (p.n && S_ISDIR(p.n->mode) && (writes || (flags & O_CREAT)))
        return fail(EISDIR);
    if (p.n && !S_ISDIR(p.n->mode) && (flags & O_DIRECTORY))
        return fail(ENOTDIR);
    if (!p.n && make(&p, S_IFREG | (mode & 07777), &p.n) < 0)
        return -1;
    if ((flags & O_TRUNC) && writes && S_ISREG(p.n->mode) && p.n->len > 0) {
        if (!disk_may_change(NULL))
            return -1;
        (void)vd_node_truncate(p.n, 0);
    }
    if (S_ISFIFO(p.n->mode))
        fifo_open(p.n);
    return vd_file_desc_new(p.n, flags & ~(O_CREAT | O_EXCL | O_TRUNC));
}

int vd_file_mkostemp(char *path, int flags)
{
    static const char set[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    size_t n = strlen(path);
    if (n < 6 || strcmp(path + n - 6, "XXXXXX") != 0)
        return fail(EINVAL);
    for (int tries = 0; tries < 100; tries++) {
        uint64_t v = disk_pick_of(UINT64_C(1) << 40);
        for (size_t i = n - 6; i < n; i++, v /= 36)
            path[i] = set[v % 36];
        int fd = vd_file_open(AT_FDCWD, path, flags | O_RDWR | O_CREAT | O_EXCL, 0600);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return fail(EEXIST);
}

int vd_file_make(int at, const char *path, mode_t mode)
{
    place p;
    if (find_for(at, path, DISK_CALLS, &p) < 0)
        return -1;
    return p.n ? fail(EEXIST) : make(&p, mode, &p.n);
}

int vd_file_stat(int at, const char *path, struct stat *st)
{
    place p;
    if (find_for(at, path, DISK_CALLS, &p) < 0)
        return -1;
    if (!p.n)
        return fail(ENOENT);
    vd_file_stat_node(p.n, st);
    return 0;
}

int vd_file_chmod_at(int at, const char *path, mode_t mode)
{
    place p;
    if (find_for(at, path, DISK_CALLS, &p) < 0)
        return -1;
    if (!p.n)
        return fail(ENOENT);
    if (!disk_may_change(NULL))
        return -1;
    p.n->mode = (p.n->mode & S_IFMT) | (mode & 07777);
    return 0;
}

/* ---- names go and change */

/* What lost its name gives its room back when nobody has it open. */
static void unnamed(node *n)
{
    if (!n)
        return;
    n->parent = NULL;
    vd_file_room_back(n);
}

int vd_file_unlink(int at, const char *path, int flags)
{
    place p;
    bool dir = flags & AT_REMOVEDIR;
    if (find_for(at, path, DISK_CALLS, &p) < 0)
        return -1;
    if (!p.n)
        return fail(ENOENT);
    if (S_ISDIR(p.n->mode) != dir)
        return fail(dir ? ENOTDIR : EISDIR);
    if (!p.dir || p.dir == the_disk.top)
        return fail(EBUSY);
    if (dir && p.n->now.n > 0)
        return fail(ENOTEMPTY);
    if (!disk_may_change(NULL))
        return -1;
    side v = {.dir = p.dir, .name = vd_text_new(p.name, p.len)};
    node *gone = vd_node_ref(p.n);
    vd_name_changed(vd_node_machine(p.dir), &v, 1, false);
    unnamed(gone);
    vd_node_unref(gone);
    vd_text_unref(v.name);
    return 0;
}

static bool inside(const node *n, const node *dir)
{
    while (n && n != dir)
        n = n->parent;
    return n == dir;
}

/* 0 when `from` may take the name `to`. */
static int may_rename(const place *from, const place *to, unsigned flags)
{
    if (!from->n)
        return fail(ENOENT);
    if (!from->dir || !to->dir || from->dir == the_disk.top || to->dir == the_disk.top)
        return fail(EBUSY);
    if (from->dir->m != to->dir->m)
        return fail(EXDEV);
    if ((flags & RENAME_EXCHANGE) && !to->n)
        return fail(ENOENT);
    if ((flags & RENAME_NOREPLACE) && to->n)
        return fail(EEXIST);
    if (inside(to->dir, from->n))
        return fail(EINVAL);
    if (to->n && inside(from->dir, to->n))
        return fail(flags & RENAME_EXCHANGE ? EINVAL : ENOTEMPTY);
    if (to->n && to->n != from->n && !(flags & RENAME_EXCHANGE)) {
        if (S_ISDIR(to->n->mode) != S_ISDIR(from->n->mode))
            return fail(S_ISDIR(to->n->mode) ? EISDIR : ENOTDIR);
        if (to->n->now.n > 0)
            return fail(ENOTEMPTY);
    }
    return 0;
}

int vd_file_rename(int at, const char *from, int to_at, const char *to, unsigned flags)
{
    place a, b;
    if (flags & ~(unsigned)(RENAME_EXCHANGE | RENAME_NOREPLACE))
        return fail(EINVAL);
    if (find_for(at, from, DISK_RENAME, &a) < 0 || find_for(to_at, to, DISK_CALLS, &b) < 0 ||
        may_rename(&a, &b, flags) < 0)
        return -1;
    if (a.n == b.n)
        return 0;
    if (!disk_may_change(NULL))
        return -1;
    bool swap = flags & RENAME_EXCHANGE;
    side v[2] = {{.dir = a.dir, .name = vd_text_new(a.name, a.len), .to = swap ? b.n : NULL},
                 {.dir = b.dir, .name = vd_text_new(b.name, b.len), .to = a.n}};
    node *gone = swap ? NULL : vd_node_ref(b.n);
    vd_name_changed(vd_node_machine(a.dir), v, 2, false);
    unnamed(gone);
    vd_node_unref(gone);
    vd_text_unref(v[0].name);
    vd_text_unref(v[1].name);
    return 0;
}

/* ---- the rest */

int vd_file_statvfs(const char *path, struct statvfs *v)
{
    place p;
    const uint64_t endless = UINT64_C(1) << 40;
    if (find_for(AT_FDCWD, path, DISK_CALLS, &p) < 0)
        return -1;
    if (!p.n)
        return fail(ENOENT);
    const machine *mc = p.n->m < DISK_MACHINES ? vd_node_machine(p.n) : NULL;
    uint64_t size = mc && mc->capacity ? mc->capacity : endless, used = mc ? mc->used : 0;
    uint64_t left = size > used ? (size - used) / BLOCK : 0;
    *v = (struct statvfs){.f_bsize = BLOCK,
                          .f_frsize = BLOCK,
                          .f_blocks = size / BLOCK,
                          .f_bfree = left,
                          .f_bavail = left,
                          .f_files = 1 << 20,
                          .f_ffree = 1 << 20,
                          .f_favail = 1 << 20,
                          .f_namemax = NAME_LEN_MAX};
    return 0;
}

/* Writes the node's path so that it ends at `end`; NULL when there is no room. */
static char *path_of(const node *n, char *begin, char *end)
{
    char root[2] = {(char)('0' + n->m), '\0'};
    while (n != the_disk.top) {
        const node *up = n->parent ? n->parent : the_disk.top;
        const char *name = root;
        for (size_t i = 0; i < up->now.n; i++)
            if (up->now.v[i].to == n)
                name = up->now.v[i].name->s;
        size_t len = strlen(name);
        if ((size_t)(end - begin) < len + 1)
            return NULL;
        end -= len;
        memcpy(end, name, len);
        *--end = '/';
        n = up;
    }
    if ((size_t)(end - begin) < sizeof(TOP) - 1)
        return NULL;
    end -= sizeof(TOP) - 1;
    memcpy(end, TOP, sizeof(TOP) - 1);
    return end;
}

char *vd_file_realpath(const char *path, char *out)
{
    char full[PATH_MAX];
    place p;
    full[PATH_MAX - 1] = '\0';
    if (find_for(AT_FDCWD, path, DISK_CALLS, &p) < 0)
        return NULL;
    if (!p.n) {
        errno = ENOENT;
        return NULL;
    }
    const char *from = path_of(p.n, full, full + PATH_MAX - 1);
    if (!from) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    size_t n = strlen(from) + 1;
    if (!out && !(out = malloc(n)))
        return NULL;
    memcpy(out, from, n);
    return out;
}
