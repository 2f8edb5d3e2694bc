/* blobs.h - the store of files by their SHA-256: STATE/artifacts.
 *
 *   in/ATTEMPT-FILE   bytes that came so far, or all of them and not yet in place
 *   ab/SUM            whole files; SUM is 64 hex digits, ab its first two
 *
 * Threads: the core's, the archive thread of the log store (blobs_sync), one of its own that
 * publishes and removes and answers through a channel; any thread may open a file. */
#ifndef PW_MASTER_BLOBS_BLOBS_H
#define PW_MASTER_BLOBS_BLOBS_H
#include "shared/base/chan.h"
#include "shared/base/cleanup.h"
#include "shared/base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { BLOBS_SUM = 32 };

/* Answers; owned by the receiver (free()). */
typedef struct blobs_answer {
    enum { BLOBS_STORED = 1, BLOBS_REMOVED } kind;
    /* 0; BLOBS_STORED: PW_ECORRUPT for bytes that have another sum or are not there. BLOBS_REMOVED:
     * PW_EAGAIN while a backup reads. Others: the disk's, worth another try. */
    int code;
    char text[400];
    uint64_t attempt, file; /* BLOBS_STORED */
    uint8_t sum[BLOBS_SUM];
} blobs_answer;

typedef struct blobs blobs;
/* dir: STATE/artifacts, made when absent. answers: borrowed. */
blobs *blobs_open(const char *dir, pw_chan *answers, pw_err *err);
/* While another process holds this lock shared, nothing is removed. Before the first request. */
int blobs_keep_while(blobs *self, const char *lock_path, pw_err *err);
/* Ends its thread; what was asked for and not answered is not done. */
blobs *blobs_close(blobs *self);
PW_DEFINE_FREEP(blobs, blobs_close)

/* ---- core's thread */
/* A piece of a file. One below what is there is written over it. PW_ECORRUPT: bytes before it are
 * not there. PW_EFULL, PW_ESYS: nothing was added. */
int blobs_append(blobs *self, uint64_t attempt, uint64_t file, uint64_t position, const void *p,
                 size_t n, pw_err *err);
/* All pieces came: it has `size` bytes now; an empty file is made. PW_ECORRUPT: it lacks some. */
int blobs_whole(blobs *self, uint64_t attempt, uint64_t file, uint64_t size, pw_err *err);
/* Whether its disk, which may be another one than that of the logs, can take the next piece. */
bool blobs_room(const blobs *self);
/* The sync failed: what it did not reach is to come again. */
void blobs_forget_unsynced(blobs *self);
/* Its row is committed: put in place. Answered by BLOBS_STORED. */
int blobs_publish(blobs *self, uint64_t attempt, uint64_t file, uint64_t size,
                  const uint8_t sum[BLOBS_SUM], pw_err *err);
/* No row names it (any more). Answered by BLOBS_REMOVED. */
int blobs_remove(blobs *self, const uint8_t sum[BLOBS_SUM], pw_err *err);
/* No more comes of this attempt: what it left unfinished goes. What was asked to be published does
 * not. */
int blobs_over(blobs *self, uint64_t attempt, pw_err *err);
/* At start, or when the core lost a transaction: removes files of attempts that `wanted` denies.
 * While a backup reads, nothing goes. */
int blobs_sweep(blobs *self, bool (*wanted)(void *, uint64_t attempt, uint64_t file),
                void *wanted_self, pw_err *err);

/* ---- archive thread: all that was appended before this call is on disk afterwards */
int blobs_sync(void *self, pw_err *err);

/* ---- any thread, of any process */
/* Opens the bytes for reading; dir: STATE/artifacts. attempt and file: where they are while they
 * are incoming. Returns the fd (owned), PW_ENOTFOUND. */
int blobs_read(const char *dir, const uint8_t sum[BLOBS_SUM], uint64_t attempt, uint64_t file,
               pw_err *err);
/* "ab/SUM"; "in/ATTEMPT-FILE" */
enum { BLOBS_NAME = 80 };
void blobs_name(const uint8_t sum[BLOBS_SUM], char out[BLOBS_NAME]);
void blobs_part_name(uint64_t attempt, uint64_t file, char out[BLOBS_NAME]);
bool blobs_part_parse(const char *name, uint64_t *ret_attempt,
                      uint64_t *ret_file); /* without in/ */
/* SHA-256 and size of an open file. */
int blobs_sum(int fd, uint64_t *ret_size, uint8_t sum[BLOBS_SUM], pw_err *err);
#endif
