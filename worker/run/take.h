/* take.h - files of a step go into the journal: found by globs beneath one folder, in the order of
 * their names, read once, as pieces and then one record with path, size, mode and SHA-256. Nothing
 * outside of the folder is ever read: links are followed only where they stay beneath it; what is
 * no plain file, has a name that is no text, or is a hard link to another user's file is refused,
 * and the step's log says so. A full disk is waited for, as with output. */
#ifndef PW_WORKER_RUN_TAKE_H
#define PW_WORKER_RUN_TAKE_H
#include "worker/run/run.h"

enum {
    TAKE_DEPTH = 64,           /* of folders */
    TAKE_LOOKED = 1000000,     /* names that are looked at */
    TAKE_SAID = 20,            /* refusals that are told one by one */
    SUMMARY_MAX = 1024 * 1024, /* bytes of a build's summary */
};

/* What reads along; all may be NULL. Never fails the taking. */
typedef struct take_reader {
    void (*begin)(void *self, const char *path);
    void (*bytes)(void *self, const void *p, size_t n);
    void (*end)(void *self);
    void *self;
} take_reader;

typedef struct take_spec {
    size_t step;
    const char *root;     /* folder */
    const pw_strs *globs; /* NULL: everything */
    pw_file_kind kind;
    uint64_t keep_ms;
    const take_reader *reader;
} take_spec;

typedef struct take_result {
    size_t files, refused;
    bool too_much; /* the bounds of a build were met */
} take_result;

/* PW_EINVAL: a glob is none. When the job is over (run_over), what was begun is left off. */
int take_files(run_job *r, const take_spec *spec, take_result *ret, pw_err *err);
#endif
