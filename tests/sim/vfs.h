/* vfs.h - what the VFS's two parts share: its open files, and the shared memory of a WAL. */
#ifndef PW_TESTS_SIM_VFS_H
#define PW_TESTS_SIM_VFS_H
#include <sqlite3.h>

#include "tests/sim/impl.h"

typedef struct shm_view shm_view;
typedef struct vfs_file {
    sqlite3_file base; /* first */
    LIST_ENTRY(vfs_file) all;
    int fd, process;
    uint64_t desc, uid; /* never used again: what fd must be, and what file it is */
    int lock;
    bool sync_dir, delete;
    char *path; /* owned */
    shm_view *view;
    unsigned shared, exclusive; /* slots of the shared memory's locks */
} vfs_file;
LIST_HEAD(vd_vfs_files, vfs_file);
extern struct vd_vfs_files vd_vfs_files;

bool vd_vfs_alive(const vfs_file *f);

int vd_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **ret);
int vd_shm_lock(sqlite3_file *file, int first, int n, int flags);
void vd_shm_barrier(sqlite3_file *file);
int vd_shm_unmap(sqlite3_file *file, int remove);
#endif
