/* impl.h - inside the virtual disk only: nodes, names, descriptors, and the calls on them that both
 * the wraps and SQLite's VFS use. Memory that runs out ends the simulator: it is no fault that it
 * plays. */
#ifndef PW_TESTS_SIM_IMPL_H
#define PW_TESTS_SIM_IMPL_H
#include <sys/queue.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "tests/sim/disk.h"

enum { SECTOR = 512, BLOCK = 4096, FIFO_ROOM = 65536, NAME_LEN_MAX = 255 };

/* ---- names */
typedef struct text { /* counted: a name stands in both lists of a folder and in its changes */
    uint32_t refs, hash;
    size_t len;
    char s[];
} text;
typedef struct node node;
typedef struct entry {
    text *name;
    node *to;
} entry;
typedef struct names { /* in order of creation */
    entry *v;
    size_t n, cap;
} names;

/* ---- nodes */
/* A write or a cut since the last sync, with what it overwrote: the file holds the newest bytes, a
 * power cut goes back from there. */
typedef struct change {
    bool cut;           /* a new length, `from` */
    uint64_t from, end; /* bytes written */
    uint64_t old_len;
    size_t
        undo; /* where its old bytes stand: [from, min(end, old_len)), of a cut [from, old_len) */
} change;
/* What the disk holds of a sector whose sync failed; the file reads as if it had not. */
typedef struct lost {
    uint64_t sector;
    uint8_t p[SECTOR];
} lost;

struct node {
    TAILQ_ENTRY(node) all;
    unsigned m;
    uint64_t ino; /* counts from 1 in each history */
    uint64_t uid; /* never used again */
    mode_t mode;
    size_t refs;
    node *parent; /* borrowed; NULL: it has no name now, or is a root */
    int64_t mtime, ctime;
    uint64_t room; /* bytes that it takes of the capacity */
    /* file, FIFO */
    uint8_t *p; /* zeros behind len */
    uint64_t len, cap;
    uint64_t synced_len;
    change *changes;
    size_t n_changes, cap_changes;
    uint8_t *undo;
    size_t n_undo, cap_undo;
    lost *lost;
    size_t n_lost;
    /* folder */
    names now, kept; /* kept: what a power cut cannot take */
    /* the change of names that made it; while it is volatile */
    bool settled;
    node *born_in; /* borrowed: the change refers to it */
    uint64_t born;
    uint64_t limit; /* while names are settled or cut: changes up to here are durable */
};
TAILQ_HEAD(node_list, node);

/* One change of names: of one name, or of two at once (a rename). */
typedef struct side {
    node *dir;
    text *name;
    node *to; /* NULL: removed */
} side;
typedef struct name_change {
    uint64_t seq;
    side side[2];
    int sides;
    bool creates;
} name_change;

/* ---- machines, processes, descriptors */
typedef struct fault {
    uint64_t n;
    int error;
} fault;
typedef struct machine {
    struct node_list nodes;
    node *root, *boot_id, *machine_id;
    name_change *changes;
    size_t n_changes, cap_changes;
    uint64_t capacity, used, boots;
    fault fail[DISK_CALLS];
    bool lies, apart;
} machine;
typedef enum life { UNUSED, ALIVE, DEAD } life;
typedef struct proc {
    life life;
    unsigned m;
    uint64_t fuse;
    bool half;
} proc;
typedef struct desc {
    uint64_t id; /* never used again */
    node *n;
    int process; /* -1: nobody's */
    int flags;
    uint64_t pos;
    int lock; /* LOCK_SH, LOCK_EX or 0 */
} desc;

typedef struct disk {
    machine machine[DISK_MACHINES];
    node *top; /* "/sim" */
    proc process[DISK_PROCESSES];
    int current, last_process;
    desc **fds; /* by descriptor - DISK_FD; NULL: free */
    size_t n_fds;
    disk_pick *pick;
    void *pick_self;
    disk_now *now;
    disk_wait *wait;
    void *clock_self;
    uint64_t next_ino, next_seq, ticks;
    uint64_t next_uid; /* never starts again */
    disk_figures figures;
    bool begun;
    void (*died)(int process); /* of the VFS */
    void (*forget)(void);
} disk;
extern disk the_disk;

void *disk_grow(void *p, size_t *cap, size_t need, size_t size);
uint64_t disk_pick_of(uint64_t n);
int64_t disk_wall(void); /* microseconds */

/* ---- names.c */
text *vd_text_new(const char *s, size_t n);
void vd_text_unref(text *t);
node *vd_node_new(unsigned m, mode_t mode);
node *vd_node_ref(node *n);
void vd_node_unref(node *n);
void vd_node_wipe(node *n); /* frees it, whoever refers to it: at a reset */
node *vd_names_find(const names *l, const char *s, size_t n);
void vd_names_set(names *l, text *name, node *to); /* to NULL: removes */
void vd_names_clear(names *l);
void vd_name_changed(machine *mc, const side *v, int sides, bool creates);
/* All names of a folder become durable, and what they need to be found. */
void vd_names_settle(machine *mc, node *dir);
/* The first name of a file becomes durable. */
void vd_names_settle_born(machine *mc, node *n);
void vd_names_cut(machine *mc); /* power cut */
void vd_names_forget(machine *mc);

/* ---- content.c */
/* Bytes written, 0 when there is no room at all. */
size_t vd_node_write(node *n, const void *p, size_t size, uint64_t at);
bool vd_node_truncate(node *n, uint64_t len); /* false: no room */
bool vd_node_take_room(node *n, uint64_t end);
void vd_node_sync(node *n);
void vd_node_sync_failed(node *n);
void vd_node_cut(node *n);                              /* power cut */
void vd_node_fill(node *n, const void *p, size_t size); /* durable at once */
void vd_node_clear(node *n);

/* ---- disk.c */
/* Whether a call on machine m may go on; -1 and errno. */
int disk_enter(unsigned m, disk_call call);
/* Before something changes: false when the process dies of it now; then *part (may be NULL) becomes
 * how much of a write of that many bytes is done. */
bool disk_may_change(size_t *part);
void disk_desc_close(int fd);

/* ---- files.c, paths.c: as their namesakes of the system */
bool vd_file_ours(int at, const char *path);
desc *vd_file_desc(int fd); /* NULL: no such descriptor */
int vd_file_desc_new(node *n, int flags);
machine *vd_node_machine(const node *n);
void vd_file_stat_node(const node *n, struct stat *st);
void vd_file_room_back(node *n); /* when it has no name and nobody has it open */
int vd_file_open(int at, const char *path, int flags, mode_t mode);
int vd_file_mkostemp(char *path, int flags);
ssize_t vd_file_read(int fd, void *p, size_t n);
ssize_t vd_file_pread(int fd, void *p, size_t n, off_t at);
ssize_t vd_file_write(int fd, const void *p, size_t n);
ssize_t vd_file_pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t vd_file_pwritev(int fd, const struct iovec *v, int n, off_t at);
off_t vd_file_lseek(int fd, off_t at, int whence);
int vd_file_stat_of(int fd, struct stat *st);
int vd_file_stat(int at, const char *path, struct stat *st);
int vd_file_rename(int at, const char *from, int to_at, const char *to, unsigned flags);
int vd_file_unlink(int at, const char *path, int flags);
int vd_file_make(int at, const char *path, mode_t mode); /* a folder or FIFO, by the mode's type */
int vd_file_sync(int fd);
int vd_file_truncate(int fd, off_t len);
int vd_file_allocate(int fd, int mode, off_t at, off_t n);
int vd_file_lock(int fd, int how);
int vd_file_chmod(int fd, mode_t mode);
int vd_file_chmod_at(int at, const char *path, mode_t mode);
int vd_file_statvfs(const char *path, struct statvfs *v);
char *vd_file_realpath(const char *path, char *out);
int vd_file_close(int fd);
int vd_file_control(int fd, int cmd, long arg);

void vd_shm_process_died(int process);
#endif
