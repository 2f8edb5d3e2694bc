/* disk.c - machines, processes, faults and figures. */
#include "tests/sim/disk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "tests/sim/impl.h"

disk the_disk = {.current = -1};

void *disk_grow(void *p, size_t *cap, size_t need, size_t size)
{
    size_t n = *cap ? *cap : 8;
    if (need <= *cap && p)
        return p;
    while (n < need)
        n *= 2;
    p = realloc(p, n * size);
    if (!p)
        abort();
    *cap = n;
    return p;
}

uint64_t disk_pick_of(uint64_t n)
{
    return n > 1 ? the_disk.pick(the_disk.pick_self, n) : 0;
}

int64_t disk_wall(void)
{
    return the_disk.now ? the_disk.now(the_disk.clock_self) : (int64_t)++the_disk.ticks;
}

void disk_clock(disk_now *now, disk_wait *wait, void *self)
{
    the_disk.now = now;
    the_disk.wait = wait;
    the_disk.clock_self = self;
}

/* ---- machines */

/* What the kernel and the system of machine m call it: files outside of /sim. */
static void name_machine(unsigned m)
{
    machine *mc = &the_disk.machine[m];
    char line[64];
    int n = snprintf(line, sizeof(line), "%08x-0000-4000-8000-%012" PRIx64 "\n", m, ++mc->boots);
    vd_node_fill(mc->boot_id, line, (size_t)n);
    mc->used -= mc->boot_id->room;
    mc->boot_id->room = 0;
}

static void machine_init(unsigned m)
{
    machine *mc = &the_disk.machine[m];
    char line[64];
    *mc = (machine){.capacity = 0};
    TAILQ_INIT(&mc->nodes);
    mc->root = vd_node_new(m, S_IFDIR | 0700);
    mc->root->settled = true;
    mc->boot_id = vd_node_new(m, S_IFREG | 0444);
    mc->machine_id = vd_node_new(m, S_IFREG | 0444);
    int n = snprintf(line, sizeof(line), "%032x\n", m + 1);
    vd_node_fill(mc->machine_id, line, (size_t)n);
    mc->used = mc->machine_id->room = 0;
    name_machine(m);
}

static void machine_wipe(machine *mc)
{
    node *n, *next;
    for (size_t i = 0; i < mc->n_changes; i++)
        for (int k = 0; k < mc->changes[i].sides; k++)
            vd_text_unref(mc->changes[i].side[k].name);
    free(mc->changes);
    for (n = TAILQ_FIRST(&mc->nodes); n; n = next) {
        next = TAILQ_NEXT(n, all);
        vd_node_wipe(n);
    }
}

void disk_reset(disk_pick *pick, void *self)
{
    disk *d = &the_disk;
    disk fresh = {.current = -1,
                  .last_process = -1,
                  .pick = pick,
                  .pick_self = self,
                  .next_uid = d->next_uid,
                  .died = d->died,
                  .forget = d->forget,
                  .begun = true};
    if (d->forget)
        d->forget();
    for (size_t i = 0; i < d->n_fds; i++)
        free(d->fds[i]);
    free(d->fds);
    for (size_t m = 0; d->begun && m < DISK_MACHINES; m++)
        machine_wipe(&d->machine[m]);
    if (d->top)
        vd_node_wipe(d->top);
    *d = fresh;
    d->top = vd_node_new(DISK_MACHINES, S_IFDIR | 0700);
    for (unsigned m = 0; m < DISK_MACHINES; m++)
        machine_init(m);
}

/* ---- processes */

static proc *process_of(int p)
{
    return p >= 0 && p < DISK_PROCESSES ? &the_disk.process[p] : NULL;
}

int disk_process_new(int m)
{
    disk *d = &the_disk;
    /* a number is given anew as late as possible: somebody may still ask after its last owner */
    for (int i = 1; i <= DISK_PROCESSES; i++) {
        int p = (d->last_process + i) % DISK_PROCESSES;
        if (d->process[p].life != UNUSED)
            continue;
        d->process[p] = (proc){.life = ALIVE, .m = (unsigned)m};
        d->current = d->last_process = p;
        return p;
    }
    (void)fprintf(stderr, "sim: more than %d processes that nobody ended\n", DISK_PROCESSES);
    abort();
}

void disk_process_set(int process)
{
    the_disk.current = process;
}

int disk_process_current(void)
{
    return the_disk.current;
}

int disk_process_machine(int p)
{
    return (int)process_of(p)->m;
}

bool disk_process_dead(int p)
{
    return p >= 0 && process_of(p)->life != ALIVE;
}

void disk_process_kill(int p)
{
    if (disk_process_dead(p) || p < 0)
        return;
    process_of(p)->life = DEAD;
    the_disk.figures.kills++;
    if (the_disk.died)
        the_disk.died(p);
    for (size_t i = 0; i < the_disk.n_fds; i++)
        if (the_disk.fds[i] && the_disk.fds[i]->process == p)
            the_disk.fds[i]->lock = 0;
}

void disk_process_fuse(int p, uint64_t n, bool half)
{
    process_of(p)->fuse = n;
    process_of(p)->half = half;
}

void disk_desc_close(int fd)
{
    desc *d = the_disk.fds[fd - DISK_FD];
    the_disk.fds[fd - DISK_FD] = NULL;
    vd_file_room_back(d->n);
    vd_node_unref(d->n);
    free(d);
}

size_t disk_process_end(int p)
{
    size_t open = 0;
    disk_process_kill(p);
    for (size_t i = 0; i < the_disk.n_fds; i++) {
        if (!the_disk.fds[i] || the_disk.fds[i]->process != p)
            continue;
        disk_desc_close((int)i + DISK_FD);
        open++;
    }
    process_of(p)->life = UNUSED;
    if (the_disk.current == p)
        the_disk.current = -1;
    return open;
}

/* ---- faults */

int disk_enter(unsigned m, disk_call call)
{
    const proc *p = process_of(the_disk.current);
    fault *f;
    if (!p)
        return 0;
    if (p->life != ALIVE) {
        errno = EIO;
        return -1;
    }
    if (m >= DISK_MACHINES)
        return 0;
    if (p->m != m) {
        errno = EACCES; /* no process reaches another machine's files */
        return -1;
    }
    if (call >= DISK_CALLS)
        return 0;
    f = &the_disk.machine[m].fail[call];
    if (f->n == 0 || --f->n > 0)
        return 0;
    the_disk.figures.failed++;
    errno = f->error;
    return -1;
}

bool disk_may_change(size_t *part)
{
    proc *p = process_of(the_disk.current);
    if (!p || p->fuse == 0 || --p->fuse > 0)
        return true;
    if (part)
        *part = p->half ? (size_t)disk_pick_of(*part) : 0;
    disk_process_kill(the_disk.current);
    errno = EIO;
    return false;
}

void disk_power_cut(int m)
{
    machine *mc = &the_disk.machine[m];
    node *n;
    for (int p = 0; p < DISK_PROCESSES; p++)
        if (the_disk.process[p].life == ALIVE && the_disk.process[p].m == (unsigned)m)
            disk_process_kill(p);
    the_disk.figures.cuts++;
    vd_names_cut(mc);
    TAILQ_FOREACH(n, &mc->nodes, all)
    {
        if (S_ISFIFO(n->mode))
            n->len = 0;
        else if (S_ISREG(n->mode) && n->parent)
            vd_node_cut(n);
    }
    name_machine((unsigned)m);
    mc->used = 0;
    TAILQ_FOREACH(n, &mc->nodes, all)
    {
        n->room = !n->parent         ? 0
                  : S_ISDIR(n->mode) ? BLOCK
                  : S_ISREG(n->mode) ? (n->len + BLOCK - 1) / BLOCK * BLOCK
                                     : 0;
        mc->used += n->room;
    }
}

void disk_capacity(int m, uint64_t bytes)
{
    the_disk.machine[m].capacity = bytes;
}

void disk_fail(int m, disk_call call, uint64_t n, int error)
{
    the_disk.machine[m].fail[call] = (fault){error ? n : 0, error};
}

void disk_lies(int m, bool on)
{
    the_disk.machine[m].lies = on;
}

void disk_names_apart(int m, bool on)
{
    the_disk.machine[m].apart = on;
}

void disk_get_figures(disk_figures *ret)
{
    *ret = the_disk.figures;
}
