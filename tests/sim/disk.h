/* disk.h - virtual machines' disks, in memory. The simulator's link step sends the file calls of
 * the very objects that the programs consist of here (ld --wrap): a path beneath "/sim/M/" is a
 * file of machine M, a descriptor from DISK_FD on is one of ours; everything else goes to the
 * system. SQLite comes through an own VFS (vfs.c) over the same files. One thread; nothing here
 * depends on addresses, so the same calls give the same answers.
 *
 * What is volatile and what is durable, as on a journalling file system without barriers but fsync:
 *   - a write is volatile until fsync/fdatasync of that file returns;
 *   - a new, renamed or removed name is volatile until fsync of its folder (fsync of the file
 * itself makes its own first name durable too, as ext4 does); with a durable name the folders that
 * lead to it are durable;
 *   - a power cut leaves each sector of 512 bytes of a file as it was at some moment since the last
 * sync, each at its own (so writes are torn, and of several writes to one sector the later is never
 * kept without the earlier), and of the volatile names of a folder any prefix in order of time (a
 * rename is done in both its folders or in none); lengths follow what was kept, a hole reads as
 * zeros; cuts of a length reach the disk in order of time. Modes and times are durable at once.
 * There are no links, and what a folder forbids is not looked at. A process that is killed loses
 * nothing of what it wrote: the kernel has it.
 *
 * A process reaches the files of its own machine only (EACCES else), and its own descriptors (EBADF
 * else). To it, /etc/machine-id and /proc/sys/kernel/random/boot_id are of its machine, and the
 * latter changes with each power cut. */
#ifndef PW_TESTS_SIM_DISK_H
#define PW_TESTS_SIM_DISK_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DISK_FD = 1 << 20, DISK_MACHINES = 8, DISK_PROCESSES = 64 };

/* Randomness of power cuts and of faults: the simulator's stream. Returns 0..n-1. */
typedef uint64_t disk_pick(void *self, uint64_t n);
void disk_reset(disk_pick *pick, void *self); /* everything empty: the begin of a history */
/* The times of files (wall clock, microseconds), and what a connection that waits for a lock of
 * SQLite's does meanwhile. Without: a clock that goes on by a microsecond with each look, and
 * nobody waits. Forgotten by disk_reset. */
typedef int64_t disk_now(void *self);
typedef void disk_wait(void *self, uint64_t usec);
void disk_clock(disk_now *now, disk_wait *wait, void *self);

/* ---- processes: whose descriptors and locks (flock, fcntl, SQLite's) are whose. */
/* A new process of machine m (0..DISK_MACHINES-1); it becomes the current one. */
int disk_process_new(int m);
/* Calls from here on are this process's; -1: nobody's (the checker: reads and writes work, never
 * counted or failed). */
void disk_process_set(int process);
int disk_process_current(void);
/* The process is dead: its locks are free at once, its further calls change nothing and fail with
 * EIO (reads too; close works, so that its memory can be given back by its own ordinary code). */
void disk_process_kill(int process);
int disk_process_machine(int process);
bool disk_process_dead(int process);
/* It dies by itself at its n-th call from now that would change something (write, rename, fsync,
 * unlink ...; a call that is refused anyway counts not): 0: never. That call is not done; `half`:
 * if it is a write, in part. */
void disk_process_fuse(int process, uint64_t n, bool half);
/* All descriptors that it has not closed are closed. After its ordinary code has given back what it
 * had: returns how many there were (leaks, for a check). */
size_t disk_process_end(int process);

/* ---- faults */
void disk_power_cut(int m); /* its processes are dead, what was volatile is lost in part */
void disk_capacity(int m,
                   uint64_t bytes); /* ENOSPC beyond; 0: endless. statvfs says what is free */
typedef enum disk_call {
    DISK_READ,
    DISK_WRITE,
    DISK_SYNC,
    DISK_OPEN,
    DISK_RENAME,
    DISK_CALLS
} disk_call;
/* The n-th such call of machine m from now fails once with that errno (0: none); DISK_OPEN: of
 * anything, folders too. A failed fsync loses the dirty bytes (they read as before for now, but
 * count as clean and are gone at the next power cut), as Linux does. */
void disk_fail(int m, disk_call call, uint64_t n, int error);
/* fsync of this machine says that it synced and did nothing: a disk that lies. For the planted
 * mistakes. */
void disk_lies(int m, bool on);
/* fsync of a file leaves its name volatile until its folder is synced: all that POSIX promises, and
 * some file systems give. */
void disk_names_apart(int m, bool on);

/* Since disk_reset. torn: files of which a power cut kept one part and took another; failed: by
 * disk_fail. */
typedef struct disk_figures {
    uint64_t writes, syncs, bytes, cuts, torn, failed, kills;
} disk_figures;
void disk_get_figures(disk_figures *ret);
/* A digest over names, contents and durability of everything: two runs of a seed are compared by
 * it. */
uint64_t disk_digest(void);
/* A copy of all of machine m's files beneath a folder, put back under the same names later: a
 * backup, an old disk image, a prepared database. Owned. */
typedef struct disk_image disk_image;
disk_image *disk_image_take(int m);
void disk_image_put(int m, const disk_image *image); /* replaces everything of m; all durable */
disk_image *disk_image_free(disk_image *image);

/* ---- vfs.c: makes "sim" SQLite's default VFS; paths outside /sim/ go to the one before. Shared
 * memory is process memory of the machine's; it is gone when the last process that has it open is
 * dead or ended. SQLite's random numbers come from the simulator's stream and begin anew with each
 * disk_reset. Call it once, before or after the first disk_reset. */
int disk_vfs_register(void);
#endif
