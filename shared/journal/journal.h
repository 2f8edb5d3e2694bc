/* journal.h - a job's journal: one append-only file of records
 *     u32 length of payload | u8 kind | u8 flags | u48 time (us since the journal's start)
 *     | payload | u32 crc32c
 * all little endian. The crc runs over the previous record's crc (4 bytes, little endian; 0 before
 * the first) and this record's bytes: a chain, so the value at an offset names the whole history
 * before it. Framing never changes. Writer and reader are separate: the agent reads while the
 * runner appends. The exclusive flock on the file is the right to append. Blocking file calls; one
 * thread per object. */
#ifndef PW_SHARED_JOURNAL_JOURNAL_H
#define PW_SHARED_JOURNAL_JOURNAL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "shared/base/cleanup.h"
#include "shared/base/err.h"

enum { JOURNAL_HEAD = 12, JOURNAL_TAIL = 4, JOURNAL_PAYLOAD_MAX = 786432 };

typedef struct journal_rec {
    uint8_t kind;
    uint8_t flags;
    uint64_t time_us;
    const uint8_t *payload; /* borrowed from the buffer that was parsed */
    size_t len;
    size_t size;    /* bytes of the whole record */
    uint32_t chain; /* crc after this record */
} journal_rec;

/* Looks at one record at p with n bytes available. Returns its size (> 0), 0 when more bytes are
 * needed (what is there is a possible beginning), or PW_ECORRUPT (length out of bounds, wrong crc).
 * A length of 0 payload bytes is legal. */
int journal_parse(const uint8_t *p, size_t n, uint32_t chain, journal_rec *ret, pw_err *err);

/* Bytes at the front of p that are whole, right records; *chain goes from its value before to after
 * them. A bad record stops it: *bad tells. Used by both sides of the link and by the reader. */
size_t journal_whole(const uint8_t *p, size_t n, uint32_t *chain, bool *bad);

typedef struct journal_writer journal_writer;
/* Makes the file (O_EXCL, 0600; PW_ECONFLICT when it exists). The writer holds the flock from the
 * first instant. */
journal_writer *journal_create(const char *path, pw_err *err);
/* The same with the file `old`, which is emptied and gets the new name: where files come and go
 * fast, file systems are slow at finding new ones. PW_ECONFLICT when path exists; `old` is empty
 * then. */
journal_writer *journal_reuse(const char *old, const char *path, pw_err *err);
/* Opens for appending: PW_EAGAIN when another process holds the lock. Reads to the end, cuts a torn
 * tail (reported by journal_cut_bytes). PW_ECORRUPT when good records stand behind a bad one:
 * nothing is changed then. */
journal_writer *journal_open_append(const char *path, pw_err *err);
journal_writer *journal_writer_free(journal_writer *self); /* closes; never syncs */
PW_DEFINE_FREEP(journal_writer, journal_writer_free)
/* Appends one record in one write (payload gathered from iov). A failed or short append is cut back
 * to the last record's end and reported (PW_EFULL for ENOSPC/EDQUOT, else PW_ESYS); the writer
 * stays usable. */
int journal_append(journal_writer *self, uint8_t kind, uint8_t flags, uint64_t time_us,
                   const struct iovec *iov, int n, pw_err *err);
int journal_sync(journal_writer *self, pw_err *err);
/* Reserves room on disk behind the end without changing the length, so that the last records fit on
 * a full disk. */
int journal_reserve(journal_writer *self, uint64_t bytes, pw_err *err);
uint64_t journal_length(const journal_writer *self);
uint32_t journal_chain(const journal_writer *self);
uint64_t journal_cut_bytes(const journal_writer *self);
int journal_fd(const journal_writer *self);

typedef struct journal_reader journal_reader;
journal_reader *journal_open_read(const char *path, pw_err *err);
journal_reader *journal_reader_free(journal_reader *self);
PW_DEFINE_FREEP(journal_reader, journal_reader_free)
/* Whole records from `offset` (a record border) with the chain value there, at most `cap` bytes but
 * at least one record if cap allows, by pread into buf. Returns the bytes (0: nothing whole there
 * yet), *chain becomes the value behind them. PW_ECORRUPT on a bad record that is followed by more
 * bytes than a torn tail explains: see journal_survey. */
int64_t journal_read(journal_reader *self, uint64_t offset, uint32_t *chain, uint8_t *buf,
                     size_t cap, pw_err *err);
/* Walks the whole file: *length = whole right records from the start, *chain there, *last_kind =
 * kind of the last record, *started = a record of start_kind is there, *bad_inside = good records
 * stand behind a bad one. */
typedef struct journal_summary {
    uint64_t length;
    uint32_t chain;
    uint8_t last_kind;
    bool started;
    bool bad_inside;
    uint64_t file_size;
} journal_summary;
int journal_survey(const char *path, uint8_t start_kind, journal_summary *ret, pw_err *err);
/* True when nobody holds the append lock. */
bool journal_lock_free(const char *path);
#endif
