/* sealed.h - the file of one sealed log. Inside this folder only; one thread per object; blocks on
 * the disk.
 *
 *   frames | index | marks | foot                          all numbers little endian
 *
 *   index: one entry of SEALED_ENTRY bytes per frame: u64 raw_pos, u64 first_line, u64 at, i64
 * t_first_ms, u32 raw_len (bit 31: zstd), u32 lines, u32 len, u32 crc32c of the stored bytes, u32
 * where its marks begin marks: times inside a re-packed frame, pairs of LEB128 numbers: bytes since
 * the last mark, zigzag of the ms since then; the marks of a frame start from its raw_pos and
 * t_first foot:  magic, u64 attempt, u32 step, u32 stream, u32 frames, u32 bytes of marks, u64
 * bytes, u64 lines, i64 t_last_ms, u32 crc32c of index and marks, u32 crc32c of the foot before it
 *
 * The frames lie in order without holes from the start of the file; positions of the log may have
 * gaps (output that was left out). Nothing in the file is believed before it was checked. */
#ifndef PW_MASTER_LOGS_SEALED_H
#define PW_MASTER_LOGS_SEALED_H
#include "master/logs/frame.h"
#include "master/logs/logs.h"
#include "shared/base/buf.h"

#define SEALED_MAGIC "PWLOG1\r\n"
#define SEALED_ZSTD (1u << 31) /* in raw_len */
enum {
    SEALED_ENTRY = 52,
    SEALED_FOOT = 64,
    /* where things stand in the foot */
    SEALED_ATTEMPT = 8,
    SEALED_STEP = 16,
    SEALED_STREAM = 20,
    SEALED_FRAMES = 24,
    SEALED_MARKS = 28,
    SEALED_BYTES = 32,
    SEALED_LINES = 40,
    SEALED_T_LAST = 48,
    SEALED_INDEX_CRC = 56,
    SEALED_FOOT_CRC = 60,
};

/* STATE/logs/NN, and the name in it. New text, owned; NULL when memory ran out. */
char *sealed_dir(const char *logs_dir, uint64_t attempt);
char *sealed_path(const char *logs_dir, log_key key);

/* ---- reading */
typedef struct sealed sealed;
/* fd is taken. key: whose log it must be; NULL: anybody's. PW_ECORRUPT for anything that is not a
 * whole sealed log. */
sealed *sealed_open(int fd, const log_key *key, pw_err *err);
sealed *sealed_free(sealed *self);
PW_DEFINE_FREEP(sealed, sealed_free)
int sealed_fd(const sealed *self);
size_t sealed_count(const sealed *self);
log_key sealed_key(const sealed *self);
void sealed_totals(const sealed *self, uint64_t *ret_bytes, uint64_t *ret_lines);
frame_get sealed_frame; /* src: the sealed; i < sealed_count */
/* Where the last question about a time ended: the next one, of a position not before it, goes on
 * from there, so that asking line by line costs each mark once. Zero at first. */
typedef struct sealed_clock {
    bool known;
    size_t frame;
    size_t mark; /* bytes of the marks of that frame that were read */
    uint64_t pos, t;
} sealed_clock;
pw_msec sealed_time(const sealed *self, uint64_t position, sealed_clock *clock);

/* ---- writing: to a name beside, which the end renames. The caller syncs the folder. */
typedef struct sealed_out {
    int fd;
    char *path, *beside;
    log_key key;
    pw_buf data, index, marks; /* data: not written yet */
    uint64_t size, synced;     /* of the file */
    uint32_t count;
    uint32_t marks_from; /* the next frame's marks begin here */
    bool made_dir;       /* the folder was made: its own parent wants a sync too */
} sealed_out;
/* Clear it also when this fails. */
int sealed_out_begin(sealed_out *self, const char *logs_dir, log_key key, pw_err *err);
/* A time inside the frame that is added next: `bytes` and `ms` since the mark before. */
int sealed_out_mark(sealed_out *self, uint64_t bytes, int64_t ms, pw_err *err);
/* f: raw_pos, first_line, t_first, raw_len, lines, len, codec; the rest is found here. */
int sealed_out_frame(sealed_out *self, const frame_at *f, const void *p, pw_err *err);
/* The last bytes; the disk may begin with them. */
int sealed_out_end(sealed_out *self, uint64_t bytes, uint64_t lines, pw_msec t_last,
                   uint64_t *ret_packed, pw_err *err);
int sealed_out_sync(sealed_out *self, pw_err *err);
/* Gives it its name. */
int sealed_out_publish(sealed_out *self, pw_err *err);
/* Removes what was not published. */
void sealed_out_clear(sealed_out *self);
#endif
