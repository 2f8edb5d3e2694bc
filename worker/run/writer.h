/* writer.h - the runner's hand on its journal: records with their time, the notes that tell the
 * agent of growth, and the reserve that keeps the last records writable on a full disk. One thread.
 */
#ifndef PW_WORKER_RUN_WRITER_H
#define PW_WORKER_RUN_WRITER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/host.h"
#include "shared/job/record.h"
#include "shared/journal/journal.h"
#include "worker/spool/spool.h"

enum {
    WRITER_RESERVE = 1024 * 1024,     /* kept free for the records that end a job */
    WRITER_RESERVE_AFTER_US = 50000,  /* a job that is over sooner does not pay for it */
    WRITER_RESERVE_ABOVE = 64 * 1024, /* bytes of journal that make it due at once */
    WRITER_NOTE_FIRST_US = 5000,      /* a job that is over sooner gives one note, not two */
    WRITER_NOTE_EVERY_US = 4000,
};

typedef struct run_writer {
    journal_writer *journal; /* owned */
    const pw_host *clock;
    spool_job job;
    int notes;
    pw_usec start;
    pw_usec retry, give_up; /* of writer_record */
    pw_usec note_at;        /* no note before */
    uint64_t noted;         /* length of the journal in the last note */
    pw_usec reserve_at;     /* when the reserve is asked for, if the log did not before */
    uint64_t reserved;      /* room on disk is certain up to this length; 0: none yet */
    bool cannot_reserve;    /* the file system knows no reserve */
    pw_buf text;
} run_writer;

/* Takes the journal. */
void writer_init(run_writer *w, journal_writer *journal, const pw_host *clock, spool_job job,
                 int notes);
void writer_clear(run_writer *w);
/* Appends a small record, from the reserve if need be; on a full disk it is tried again each
 * `retry` for `give_up`. */
int writer_record(run_writer *w, pw_rec_kind kind, const pw_schema *schema, const void *body,
                  pw_err *err);
/* The same, tried once. */
int writer_record_once(run_writer *w, pw_rec_kind kind, const pw_schema *schema, const void *body,
                       pw_err *err);
/* Appends a log record, never from the reserve; tried once: the caller keeps the frame and stops
 * reading its pipe. */
int writer_log(run_writer *w, const rec_log *log, pw_err *err);
/* The same for a piece of a file. */
int writer_piece(run_writer *w, const rec_piece *piece, pw_err *err);
/* Gives a note when one is due, makes the reserve when the job lives long enough. */
void writer_tick(run_writer *w, pw_usec now);
/* When writer_tick has something to do; -1: nothing. */
pw_usec writer_due(const run_writer *w);
/* The last note, at once; gives the unused reserve back. */
void writer_finish(run_writer *w);
#endif
