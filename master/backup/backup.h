/* backup.h - a backup of a state directory into one file, beside a running master or without one,
 * and its way back. A backup is a tar through zstd: a head, the database as of one commit, the
 * keys, the logs that this commit names, then sums of all of it (README.md). Blocks for as long as
 * it takes; one thread. */
#ifndef PW_MASTER_BACKUP_BACKUP_H
#define PW_MASTER_BACKUP_BACKUP_H
#include <stdbool.h>
#include <stdint.h>

#include "shared/base/err.h"
#include "shared/base/host.h"

typedef struct backup_options {
    const char *state, *file;
    bool mirrors; /* copies of the repositories too; they are fetched again otherwise */
    const pw_host *host;
    /* told now and then; may be NULL. total 0: not known */
    void (*progress)(void *self, const char *what, uint64_t done, uint64_t total);
    void *progress_self; /* borrowed */
} backup_options;

typedef struct backup_report {
    uint64_t schema, epoch, turn; /* of the database in it */
    pw_msec made;
    uint64_t files, bytes; /* in it, as they are in the state directory */
    uint64_t packed;       /* of the file */
    uint64_t missing;      /* files that rows name, and that are not there */
    char first_missing[300];
    uint64_t copy_us; /* for so long the checkpoint was held up */
    /* of a restore */
    uint64_t new_epoch, messages;
    bool has_config;
} backup_report;

/* Writes FILE.tmp, syncs it, renames it. Nothing that it needs is deleted meanwhile: deleters ask
 * STATE/backup.lock. PW_EAGAIN: another backup writes this file. */
int backup_make(const backup_options *o, backup_report *ret, pw_err *err);
/* Into an absent or empty directory; PW_ECONFLICT else. PW_ECORRUPT names the member that is
 * damaged, and then nothing is left behind. mirrors is ignored. */
int backup_restore(const backup_options *o, backup_report *ret, pw_err *err);

/* `pawl-master backup FILE` and `pawl-master restore FILE`: words to people or JSON; the exit
 * status. */
int backup_command(const char *state, const char *file, bool mirrors, bool json);
int backup_restore_command(const char *state, const char *file, bool json);
#endif
