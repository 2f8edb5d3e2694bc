/* files.h - rows of files that steps left, and of what reports said. Writers: the core's thread,
 * inside a transaction, as in store.h; readers: as in reader.h. Rows are borrowed by callbacks. */
#ifndef PW_MASTER_STORE_FILES_H
#define PW_MASTER_STORE_FILES_H
#include "master/store/reader.h"
#include "master/store/store.h"
#include "shared/job/record.h"

typedef enum file_state {
    FILE_INCOMING, /* its bytes lie in a file of their attempt's, whole and on disk */
    FILE_STORED,   /* they are in place, by their sum */
    FILE_DAMAGED   /* they do not have the sum that they should have */
} file_state;
typedef struct store_artifact {
    uint64_t attempt, file, step, kind, size, mode;
    const char *path;
    uint8_t sha256[32];
    file_state state;
    pw_msec at, expires;
    pw_msec keep; /* no column: how long its step wants it kept; 0: as its project says */
} store_artifact;

/* ---- the core's thread */
/* One with the same kind and path of that attempt is replaced. */
int store_artifact_add(store *self, const store_artifact *a, pw_err *err);
/* FILE_INCOMING becomes `to`; 0 rows (it expired meanwhile) is no error. */
int store_artifact_state(store *self, uint64_t attempt, uint64_t file, file_state to, pw_err *err);
int store_artifacts_open(store *self, int (*cb)(void *, const store_artifact *), void *cb_self,
                         pw_err *err);
/* Removes at most `most` rows that are past their time; sums that no row names any more become
 * gone. Returns how many rows went. */
int store_artifacts_expire(store *self, pw_msec now, size_t most, pw_err *err);
/* 1: a row names it */
int store_artifact_named(store *self, const uint8_t sha256[32], pw_err *err);
/* At most `most` sums whose bytes are to be removed. */
int store_artifact_gones(store *self, size_t most, int (*cb)(void *, const uint8_t sha256[32]),
                         void *cb_self, pw_err *err);
int store_artifact_gone(store *self, const uint8_t sha256[32], pw_err *err); /* it is removed */
int store_report_add(store *self, uint64_t attempt, const rec_report *r, pw_err *err);
/* Adds cases behind those that are there, up to `most` of the attempt; *ret_left: how many were not
 * taken. */
int store_tests_add(store *self, uint64_t attempt, const rec_tests *t, uint64_t most,
                    uint64_t *ret_left, pw_err *err);

/* ---- readers */
/* With numbers above `after`, in order. */
int reader_artifacts(reader *self, uint64_t attempt, int64_t after, size_t limit,
                     int (*cb)(void *, const store_artifact *), void *cb_self, pw_err *err);
/* PW_ENOTFOUND: there is none */
int reader_artifact(reader *self, uint64_t attempt, uint64_t kind, const char *path,
                    int (*cb)(void *, const store_artifact *), void *cb_self, pw_err *err);
int reader_reports(reader *self, uint64_t attempt, int (*cb)(void *, const rec_report *),
                   void *cb_self, pw_err *err);
int reader_tests(reader *self, uint64_t attempt, bool bad_only, uint64_t after, size_t limit,
                 int (*cb)(void *, uint64_t n, uint64_t step, const rec_case *), void *cb_self,
                 pw_err *err);
#endif
