/* logs.h - the log store. Output arrives as frames (rec_log: zstd or raw, whole as the runner made
 * them). Frames of all unsealed logs are appended to one segment file, so a turn costs one sync
 * whatever the number of jobs; when a log is complete, the archive thread writes its frames
 * (re-packed when they are many and small) with an index into a file of its own.
 *
 *   STATE/logs/seg/00000001.seg          frames, nothing else; a new segment begins at each start,
 * after 64 MiB and after a failed sync; removed when no unsealed log has a frame in it
 *   STATE/logs/NN/ATTEMPT-IDX-STREAM.log  sealed: frames, then the index, then a fixed foot (magic,
 * counts, crc32c)
 *
 * What is believed: a row of `frame` (database) names bytes that were synced before the row was
 * committed. The live index in memory also names bytes that are written but not yet synced: viewers
 * may see them early ("received").
 *
 * Threads: append, sync and seal requests come from the core's thread; one archive thread of this
 * module syncs and seals and answers through a channel; any thread may open a view. */
#ifndef PW_MASTER_LOGS_LOGS_H
#define PW_MASTER_LOGS_LOGS_H
#include "master/store/reader.h"
#include "master/store/store.h"
#include "shared/base/chan.h"
#include "shared/job/record.h"

typedef struct logs logs;
typedef struct log_key {
    uint64_t attempt;
    uint32_t idx;    /* step */
    uint32_t stream; /* PW_STREAM_OUT, PW_STREAM_ERR */
} log_key;

/* Answers of the archive thread; owned by the receiver (free()). */
typedef struct logs_answer {
    enum { LOGS_SYNCED = 1, LOGS_SEALED, LOGS_REMOVED } kind;
    int code;       /* 0, or a negative pw_code: the bytes of this ticket are not on disk */
    char text[400]; /* what failed */
    /* LOGS_SYNCED: everything appended before that logs_sync call is on disk (or failed) */
    uint64_t ticket;
    log_key key;     /* LOGS_SEALED; LOGS_REMOVED: its file is gone for good, or is there still */
    uint64_t packed; /* LOGS_SEALED: bytes of the sealed file */
} logs_answer;

/* dir: STATE/logs, made when absent. The answers go to `answers` (borrowed, outlives the object).
 */
logs *logs_open(const char *dir, const pw_host *host, pw_chan *answers, pw_err *err);
/* While another process holds this lock (shared: a backup reads the files), nothing is removed.
 * Before logs_loaded. */
int logs_keep_while(logs *self, const char *lock_path, pw_err *err);
/* ends the archive thread; views are closed before; what was asked for and not answered is not done
 */
logs *logs_close(logs *self);
PW_DEFINE_FREEP(logs, logs_close)

/* ---- core's thread */
/* At start: frames and logs that the database knows as unsealed (in order of raw_pos within a log).
 */
int logs_load_frame(logs *self, const store_frame *f, pw_err *err);
/* The core lost a transaction and loads its model anew: the live index is emptied (logs that are
 * being sealed stay as they are) and all answers that wait in the channel are dropped, also those
 * of seals; tickets asked for before are never answered. Then logs_load_frame for every row and
 * logs_loaded, as at start. Views stay open. Without it a frame that is on disk, but whose row was
 * lost with the transaction, would count as known when the worker sends it again. */
void logs_reset(logs *self);
/* What else an answer of logs_sync stands for: called by the archive thread in each round, before
 * it is answered; negative: the ticket failed. Before the first logs_sync. */
void logs_also(logs *self, int (*sync)(void *, pw_err *), void *sync_self);
/* After loading: removes segments that nothing names. */
int logs_loaded(logs *self, pw_err *err);
/* Writes the frame to the segment and shows it to viewers; *ret = the row to commit with the offset
 * that follows. A frame whose raw_pos is not where the log stands: below = PW_ECONFLICT (known
 * already: skip it), above, or with another first_line = PW_EPROTO: call logs_cut and append again.
 * PW_EINVAL: the log is complete. PW_ELIMIT: not a frame. PW_EFULL, PW_ESYS: nothing was added. */
int logs_append(logs *self, uint64_t attempt, const rec_log *r, store_frame *ret, pw_err *err);
/* Output from position (where the log stands: else as logs_append) on was left out; the log goes on
 * `bytes` later. PW_EPROTO too for more lines than bytes. */
int logs_cut(logs *self, log_key key, uint64_t position, uint64_t bytes, uint64_t lines,
             pw_err *err);
/* Asks for one fdatasync of all that was appended; returns the ticket (> 0). Several calls before
 * an answer are merged. */
uint64_t logs_sync(logs *self);
/* After a failed ticket the core drops what it did not commit: the live logs go back to what was
 * synced. Between the failed answer and this call no ticket is answered; tickets asked for before
 * this call are never answered afterwards. */
void logs_forget_unsynced(logs *self);
/* Whether its disk has some room (1 MiB) and can be written, as far as the system says. */
bool logs_room(const logs *self);
/* Position where the log stands (bytes, lines), for the `log` row. False: nothing was appended. */
bool logs_position(logs *self, log_key key, uint64_t *ret_bytes, uint64_t *ret_lines,
                   uint64_t *ret_packed);
/* The log is complete and all its frames are committed: have it sealed. Answered by LOGS_SEALED;
 * then commit the row (store_log_seal) and call logs_sealed, which lets views use the file and
 * drops the live index. */
int logs_seal(logs *self, log_key key, pw_err *err);
/* No more output comes for any log of that attempt: marks them done and asks for the sealing of
 * each. No live log of it: nothing happens. A log without a frame is dropped, without an answer.
 * After PW_ENOMEM ask again: what is asked for already stays so. */
int logs_seal_attempt(logs *self, uint64_t attempt, pw_err *err);
void logs_sealed(logs *self, log_key key);
/* The file of a sealed log goes, whether it is there or not: its space is given back, and views
 * that are open read on. Answered by LOGS_REMOVED. */
int logs_remove(logs *self, log_key key, pw_err *err);
/* No more output will come for this log (viewers that follow end). Implied by seal. */
void logs_done(logs *self, log_key key);

/* ---- any thread: a view of one log, live or sealed */
typedef struct log_view log_view;
/* PW_ENOTFOUND: that step and stream have printed nothing (yet). A view keeps one decoded frame;
 * owned; one thread. */
log_view *log_view_open(logs *self, log_key key, pw_err *err);
log_view *log_view_close(log_view *self);
PW_DEFINE_FREEP(log_view, log_view_close)
/* How far it reaches now (grows while live). *ret_done: nothing more will come. lines: line feeds;
 * a last line without one stands from log_view_line(lines + 1) to the end. */
int log_view_size(log_view *self, uint64_t *ret_bytes, uint64_t *ret_lines, bool *ret_done,
                  pw_err *err);
/* Raw bytes from position, at most cap; returns how many (0: at the end for now). Across frames;
 * left-out ranges (cuts) read as nothing: *ret_next is the position behind what was returned, which
 * has no gap inside (it began at *ret_next - returned). PW_ECORRUPT: a frame does not decode; the
 * text names attempt and step. */
int64_t log_view_read(log_view *self, uint64_t position, void *buf, size_t cap, uint64_t *ret_next,
                      pw_err *err);
/* Byte position where line `line` (from 1) begins; the end of the log for a line beyond it. */
int log_view_line(log_view *self, uint64_t line, uint64_t *ret_position, pw_err *err);
/* Wall time (ms) of the byte at position, as exact as its frame. Cheap when positions only grow. */
int log_view_time(log_view *self, uint64_t position, pw_msec *ret_t, pw_err *err);
/* A gap ends at `position` (where a read began, though it was asked for what is before, or the end
 * of the log): line feeds up to it, and behind it. */
int log_view_gap(log_view *self, uint64_t position, uint64_t *ret_before, uint64_t *ret_behind,
                 pw_err *err);
/* Bytes before `position` that are there, gaps left out; and the position of the nth of them (the
 * end of the log when there are not so many). They walk the index. */
int log_view_there(log_view *self, uint64_t position, uint64_t *ret, pw_err *err);
int log_view_nth(log_view *self, uint64_t nth, uint64_t *ret_position, pw_err *err);
/* Readable when any live log has grown or ended; level-triggered counter for followers: a thread
 * remembers the number. */
uint64_t logs_generation(logs *self);
/* Calls cb (from the core's thread, quickly) whenever generation moves: http wakes its followers.
 */
void logs_on_growth(logs *self, void (*cb)(void *), void *cb_self);
#endif
