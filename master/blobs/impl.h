/* impl.h - inside of the store of files. One mutex over all that several threads touch; never held
 * across I/O. */
#ifndef PW_MASTER_BLOBS_IMPL_H
#define PW_MASTER_BLOBS_IMPL_H
#include <pthread.h>

#include "master/blobs/blobs.h"
#include "shared/base/table.h"

enum {
    BLOBS_OPEN_MAX = 256,     /* descriptors of incoming files */
    BLOBS_PIECE = 256 * 1024, /* read at once */
    BLOBS_ROOM = 1024 * 1024, /* free, below it nothing new is taken: as of the logs */
    BLOBS_FILES = 1 << 20,    /* numbers of an attempt's files, for the table's keys */
};

typedef struct part { /* an incoming file */
    uint64_t attempt, file;
    int fd;           /* -1: closed for the moment */
    uint64_t size;    /* when it was opened */
    uint64_t at;      /* bytes that are written and count */
    uint64_t synced;  /* of them on disk */
    bool dirty, busy; /* busy: the archive thread has its descriptor */
    bool made;        /* by this process: its name is not on disk yet */
    struct part *next;
} part;

typedef enum task_kind { TASK_PUBLISH, TASK_REMOVE, TASK_OVER } task_kind;
typedef struct task {
    struct task *next;
    task_kind kind;
    uint64_t attempt, file, size;
    uint8_t sum[BLOBS_SUM];
} task;

struct blobs {
    pw_chan *answers;
    char *dir, *in_dir;
    char *keep_lock; /* NULL: none */
    pw_table *parts; /* core's thread alone changes it, under the lock */
    size_t n_open;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    task *tasks, **tasks_end;
    task *failed; /* publishings that failed: their files stay; its own thread's */
    bool stop, running;
    pthread_t thread;
};

char *blobs_path(const char *dir, const char *name);
/* PW_EAGAIN while a backup reads; *ret_fd: holds the lock, -1 when there is none. */
int blobs_may_remove(const blobs *self, int *ret_fd, pw_err *err);
int blobs_thread_start(blobs *self, pw_err *err);
void blobs_thread_stop(blobs *self);
#endif
