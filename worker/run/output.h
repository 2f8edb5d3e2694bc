/* output.h - the output of a step on its way into the journal: bytes as they come, cut into frames
 * at the ends of lines, compressed, within the step's budget. One out_stream per (step, stream),
 * used again by the next step. One thread.
 *
 *     read() -> buffer (512 KiB) -> frame -> zstd -> log record
 *                    `-> after 3/4 of the budget: ring file with the newest 1/4 -> after the step:
 * cut record, frames
 *
 * Secrets are masked first of all, in the buffer: what may become one stays behind the other bytes
 * in it and waits for more (mask.h).
 *
 * A journal that takes no more (full disk) is no loss: the frame stays in the buffer, out_room()
 * gives no room, so the pipe fills and the step waits. */
#ifndef PW_WORKER_RUN_OUTPUT_H
#define PW_WORKER_RUN_OUTPUT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/zip/zip.h"
#include "worker/run/mask.h"
#include "worker/run/writer.h"

enum {
    OUT_PACK_MIN =
        4096, /* below it a zstd frame is hardly smaller, and master and reader would pay for it */
    OUT_FLUSH_US = 20000,    /* whole lines wait this long for more */
    OUT_PARTIAL_US = 200000, /* and a line without end this long */
    OUT_LINE_MAX = 1000,     /* of the runner's own lines in a log */
};

#define OUT_LIMIT (512ULL << 20) /* bytes of one log when the step does not say */

/* What all streams of a job share. */
typedef struct out_shared {
    run_writer *writer;
    const char *dir; /* where ring files are made (they have no name) */
    zip_ctx *zip;    /* made at the first frame that is worth it */
    uint8_t *pack;   /* owned */
    mask_set *mask;  /* borrowed; NULL: bytes stay as they are */
} out_shared;

typedef struct out_stream {
    out_shared *shared;
    uint16_t step;
    uint8_t stream;
    uint8_t *buf; /* owned, PW_FRAME_RAW_MAX, kept for the next step */
    size_t len;   /* bytes in it */
    size_t held;  /* behind them: not decided whether they are of a secret */
    mask_stream mask;
    size_t lf_end;     /* behind the last line feed in it; 0: none */
    uint64_t pos;      /* raw position of buf[0] in the stream */
    uint64_t line;     /* line feeds before it */
    bool open_line;    /* the newest byte is not a line feed */
    uint64_t head_max; /* up to here all is shipped */
    uint64_t limit;    /* of all that is shipped */
    uint64_t ring_cap; /* of what follows the head that many of the newest bytes are kept */
    bool ring;         /* output goes to the ring */
    int ring_fd;
    uint64_t ring_total, ring_lines; /* bytes and line feeds given to the ring */
    uint64_t ring_next;              /* while it is read back */
    uint64_t cut, cut_lines;         /* left out */
    bool cut_known, cut_written;
    bool failed;               /* the last frame found no room */
    pw_usec first_us, last_us; /* when the oldest and the newest byte in the buffer came */
    pw_msec first_ms, last_ms;
} out_stream;

void out_shared_clear(out_shared *s);
/* Starts an empty stream; limit 0 means the default. Its memory is kept from the step before. */
int out_begin(out_stream *o, out_shared *shared, uint64_t step, int stream, uint64_t limit,
              pw_err *err);
void out_clear(out_stream *o);
/* Where the next bytes go, and how many; *n = 0: the journal takes no more now. */
uint8_t *out_room(out_stream *o, size_t *n);
void out_fed(out_stream *o, size_t n, pw_usec now, pw_msec wall);
/* Ships what is full or due. On failure nothing is lost and `failed` is set: call again later. */
int out_pump(out_stream *o, pw_usec now, pw_err *err);
/* When out_pump has something to do; -1: not before more bytes come. */
pw_usec out_due(const out_stream *o);
/* A line of the runner's own; begins a new line if the step left one open. Dropped when there is no
 * room. */
void out_say(out_stream *o, pw_usec now, pw_msec wall, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Ships all that is left, the ring too. On failure: call again later, it goes on where it stopped.
 */
int out_finish(out_stream *o, pw_err *err);
/* All bytes and line feeds of the stream so far, left out or not. */
uint64_t out_bytes(const out_stream *o);
uint64_t out_lines(const out_stream *o);
/* Line feeds in n bytes. */
uint64_t out_count(const uint8_t *p, size_t n);
#endif
