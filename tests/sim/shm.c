/* shm.c - the shared memory of a WAL. Each process has its own mapping of it, because a process
 * that is killed goes on to run here until its code has given back what it had: its mapping becomes
 * a copy of its own, and the living never see what it writes there. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/sim/vfs.h"

enum { REGIONS = 64 }; /* of 32 KiB: a WAL of 260,000 pages */

typedef struct shm {
    LIST_ENTRY(shm) all;
    uint64_t uid;
    int regions, size;
    int views;
    bool gone; /* its processes are dead: who comes makes a new one */
} shm;
struct shm_view {
    LIST_ENTRY(shm_view) all;
    shm *of;
    int process, files;
    bool own; /* a copy */
    void *p[REGIONS];
};
static LIST_HEAD(, shm) shms = LIST_HEAD_INITIALIZER(shms);
static LIST_HEAD(, shm_view) views = LIST_HEAD_INITIALIZER(views);

static bool in_use(const shm_view *v)
{
    return !v->own && !disk_process_dead(v->process);
}

static void make_own(shm_view *v)
{
    const size_t size = (size_t)v->of->size;
    for (int i = 0; i < REGIONS; i++) {
        if (!v->p[i])
            continue;
        void *copy = malloc(size);
        if (!copy)
            abort();
        memcpy(copy, v->p[i], size);
        if (mmap(v->p[i], size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                 0) == MAP_FAILED)
            abort();
        memcpy(v->p[i], copy, size);
        free(copy);
    }
    v->own = true;
}

void vd_shm_process_died(int process)
{
    shm_view *v, *o;
    LIST_FOREACH(v, &views, all)
    {
        if (v->process != process || v->own)
            continue;
        bool others = false;
        LIST_FOREACH(o, &views, all)
        others |= o != v && o->of == v->of && in_use(o);
        if (others)
            make_own(v);
        else
            v->of->gone = true;
    }
}

static shm *shm_of(uint64_t uid)
{
    shm *s;
    LIST_FOREACH(s, &shms, all)
    if (s->uid == uid && !s->gone)
        return s;
    s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    s->uid = uid;
    LIST_INSERT_HEAD(&shms, s, all);
    return s;
}

static shm_view *view_of(uint64_t uid, int process)
{
    shm *s = shm_of(uid);
    shm_view *v;
    LIST_FOREACH(v, &views, all)
    if (v->of == s && v->process == process && !v->own)
        return v;
    v = calloc(1, sizeof(*v));
    if (!v)
        abort();
    v->of = s;
    v->process = process;
    s->views++;
    LIST_INSERT_HEAD(&views, v, all);
    return v;
}

/* The region in this process: new, or another mapping of what another process has. */
static void *map_region(const shm_view *v, int i)
{
    const size_t size = (size_t)v->of->size;
    const shm_view *o;
    void *p;
    LIST_FOREACH(o, &views, all)
    if (o->of == v->of && !o->own && o->p[i])
        break;
    if (o) /* of a shared mapping, 0 bytes moved are a second mapping */
        p = mremap(o->p[i], 0, size, MREMAP_MAYMOVE);
    else
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

int vd_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **ret)
{
    vfs_file *f = (vfs_file *)(void *)file;
    *ret = NULL;
    if (!vd_vfs_alive(f) || region >= REGIONS)
        return SQLITE_IOERR_SHMMAP;
    if (!f->view) {
        f->view = view_of(f->uid, f->process);
        f->view->files++;
    }
    shm *s = f->view->of;
    if (region >= s->regions && !extend)
        return SQLITE_OK;
    s->size = size;
    if (region >= s->regions)
        s->regions = region + 1;
    if (!f->view->p[region])
        f->view->p[region] = map_region(f->view, region);
    *ret = f->view->p[region];
    return *ret ? SQLITE_OK : SQLITE_IOERR_SHMMAP;
}

int vd_shm_lock(sqlite3_file *file, int first, int n, int flags)
{
    vfs_file *f = (vfs_file *)(void *)file, *o;
    const unsigned mask = ((1u << n) - 1) << first;
    if (flags & SQLITE_SHM_UNLOCK) {
        f->shared &= ~mask;
        f->exclusive &= ~mask;
        return SQLITE_OK;
    }
    if (!vd_vfs_alive(f))
        return SQLITE_IOERR_SHMLOCK;
    LIST_FOREACH(o, &vd_vfs_files, all)
    {
        if (o == f || !o->view || !f->view || o->view->of != f->view->of || !vd_vfs_alive(o))
            continue;
        if ((o->exclusive & mask) || ((flags & SQLITE_SHM_EXCLUSIVE) && (o->shared & mask)))
            return SQLITE_BUSY;
    }
    if (flags & SQLITE_SHM_EXCLUSIVE)
        f->exclusive |= mask;
    else
        f->shared |= mask;
    return SQLITE_OK;
}

void vd_shm_barrier(sqlite3_file *file)
{
    (void)file;
}

int vd_shm_unmap(sqlite3_file *file, int remove)
{
    vfs_file *f = (vfs_file *)(void *)file;
    shm_view *v = f->view;
    (void)remove; /* it is no file */
    f->view = NULL;
    f->shared = f->exclusive = 0;
    if (!v || --v->files > 0)
        return SQLITE_OK;
    shm *s = v->of;
    for (int i = 0; i < REGIONS; i++)
        if (v->p[i])
            (void)munmap(v->p[i], (size_t)s->size);
    LIST_REMOVE(v, all);
    free(v);
    if (--s->views == 0) {
        LIST_REMOVE(s, all);
        free(s);
    }
    return SQLITE_OK;
}
