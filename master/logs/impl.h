/* impl.h - inside of the log store: segments, the live index, the archive thread. This folder only.
 *
 * One mutex guards everything that several threads touch; it is never held across I/O. Appending,
 * cutting, rolling back and dropping belong to the core's thread; the archive thread only reads
 * frames, and only of logs that are complete; views copy what they need under the lock and read
 * files outside of it, with a count on the segment. */
#ifndef PW_MASTER_LOGS_IMPL_H
#define PW_MASTER_LOGS_IMPL_H
#include <pthread.h>
#include <stdatomic.h>

#include "master/logs/frame.h"
#include "master/logs/logs.h"
#include "master/logs/sealed.h"
#include "shared/base/table.h"

enum { LOGS_SEGMENT_BYTES = 64 * 1024 * 1024 };

typedef struct segment {
    struct segment *next;      /* in logs.segments or logs.trash */
    struct segment *sync_next; /* archive thread: in the round that runs */
    uint32_t id;
    int fd; /* -1: the file is missing */
    unsigned refs;
    uint64_t size;   /* where the next frame goes; core's thread */
    uint64_t frames; /* of live logs */
    bool dirty;      /* written to since the last sync began */
    bool fresh;      /* its name is not on disk yet: the folder wants a sync */
    bool closed;     /* never written to again */
    bool bad;        /* a sync failed: never synced again */
    bool kept;       /* a row that names it could not be read: never removed */
} segment;

typedef struct frame {
    uint64_t raw_pos, first_line;
    uint64_t ticket; /* on disk when that sync was answered well; 0: known from the database */
    pw_msec t_first;
    segment *seg;
    uint32_t at, len, raw_len, lines;
    uint32_t t_span; /* ms from its first to its last byte */
    uint8_t codec;
} frame;
_Static_assert(sizeof(frame) <= 64, "a long quiet log has many frames");

typedef struct live {
    log_key key;
    struct live *next; /* of the same attempt */
    frame *frames;
    size_t n, cap;
    uint64_t bytes, lines, packed;
    unsigned refs;
    unsigned rollbacks; /* views forget what they had decoded */
    bool done, sealing;
    bool left; /* by logs_reset, with its frames: the rows that come now are theirs */
    bool gone; /* no longer in the index */
} live;

typedef struct group { /* the live logs of one attempt */
    uint64_t attempt;
    live *first;
} group;

typedef struct seal_part { /* what goes into the file: the frames that are on disk */
    size_t n;
    uint64_t bytes, lines;
} seal_part;

typedef struct seal_job {
    struct seal_job *next;
    live *log; /* counted */
    int code;
    char text[400];
    sealed_out out;
    uint64_t packed;
    bool synced_dir;
} seal_job;

struct logs {
    pw_chan *answers;
    char *dir, *seg_dir;
    char *keep_lock;        /* NULL: none; set before the first segment is given up */
    uint64_t segment_bytes; /* a segment is closed when it has reached that */
    _Atomic uint64_t generation;
    void (*grew)(void *);
    void *grew_self;
    int (*also)(void *, pw_err *);
    void *also_self;
    uint32_t last_segment; /* highest id that was ever seen; core's thread */
    segment *current;      /* counted; core's thread */
    bool new_dirs;         /* folders of sealed logs may not be on disk; archive thread */

    pthread_mutex_t lock; /* all below */
    pthread_cond_t wake;
    pw_table *groups;
    segment *segments, *trash;            /* trash: to be unlinked by the archive thread */
    uint64_t requested, answered, synced; /* tickets */
    uint64_t voided;                      /* up to this one nobody waits for an answer */
    bool failed; /* a sync failed: no more rounds before the core has dropped what it lost */
    seal_job *seals, **seals_end;
    struct remove_job *removes, **removes_end;
    bool loading; /* between logs_reset and logs_loaded no segment is given up */
    bool stop, running;
    pthread_t thread;
};

void logs_lock(logs *self);
void logs_unlock(logs *self);
/* Moves the generation and tells the one who wants to know. Core's thread, without the lock. */
void logs_grew(logs *self);

/* ---- segment.c; "lock" = the caller holds it */
/* Reads the folder: the ids in use. */
int segment_scan(logs *self, pw_err *err);
/* Writes n bytes, in a new segment when it is time. Core's thread, without the lock; the caller
 * then adds the frame. */
int segment_append(logs *self, const void *p, size_t n, segment **ret, uint32_t *ret_at,
                   pw_err *err);
/* The segment that a row of the database names; a missing file is not an error here. Core's thread,
 * at start. */
int segment_load(logs *self, uint32_t id, segment **ret, pw_err *err);
void segment_drop_frame(logs *self, segment *s);      /* lock */
void segment_close(logs *self, segment *s, bool bad); /* lock */
/* Gives up every segment that is not wanted any more. */
void segment_retire_all(logs *self); /* lock */
/* What failed segments hold unsynced was dropped. */
void segment_forget_bad(logs *self); /* lock */
/* Without the lock; closes the file when nobody counts on it. */
void segment_unref(logs *self, segment *s);
int segment_unlink(logs *self, uint32_t id, pw_err *err);
/* The lock that allows to remove: its descriptor (owned), -1 when there is none to take;
 * PW_EAGAIN: a backup reads. */
int segment_may_go(const logs *self, int *ret_fd, pw_err *err);
/* Unlinks every segment that no frame names. */
int segment_sweep(logs *self, pw_err *err);
void segment_free_all(logs *self);

/* ---- index.c; all with the lock held */
live *index_find(const logs *self, log_key key);
int index_make(logs *self, log_key key, live **ret, pw_err *err);
/* Room for one more frame. */
int index_reserve(live *l, pw_err *err);
void index_add(live *l, const frame *f);
/* Takes it out and lets its segments go; views find the sealed file next. */
void index_drop(logs *self, live *l);
void index_unref(live *l);
/* How far the log goes when only frames up to that ticket count. */
seal_part index_synced(const live *l, uint64_t synced);
/* Drops all frames behind ticket `synced`. */
void index_rollback(logs *self, uint64_t synced);
/* Drops all frames; of logs that are being sealed only those behind ticket `synced`. */
void index_reset(logs *self, uint64_t synced);
/* With the lock: the rows have been read. */
void index_loaded(logs *self);
frame_get index_frame; /* src: the live */
void index_free_all(logs *self);

/* ---- archive.c */
int archive_start(logs *self, pw_err *err);
void archive_stop(logs *self);
/* Runs the sync that is asked for, if any; false: the thread must end. Archive thread, without the
 * lock. */
bool archive_breathe(logs *self);

/* With the lock: for those who wait. Never blocks for good. */
void archive_answer(logs *self, const logs_answer *a);

/* ---- remove.c */
/* With the lock, which is given up meanwhile. False: a backup reads what is to go. */
bool remove_round(logs *self);
void remove_free_all(logs *self);

/* ---- seal.c: archive thread, without the lock */
/* Writes a complete log to its file, up to its end; the caller publishes it. */
int seal_write(logs *self, const live *l, const seal_part *part, zip_ctx *zip, sealed_out *out,
               uint64_t *ret_packed, pw_err *err);

/* ---- view.c */
/* A view over the sealed file fd (taken), whosever log it is. */
log_view *log_view_of_file(int fd, pw_err *err);
#endif
