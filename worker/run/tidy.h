/* tidy.h - work directories that nobody needs any more: not used for 14 days, or, while the disk
 * has less free than it should, the oldest first, kept ones too. What a job or a person is in
 * stays. One at a time in a spool; a second one leaves at once. Blocking, for as long as removing
 * takes. */
#ifndef PW_WORKER_RUN_TIDY_H
#define PW_WORKER_RUN_TIDY_H
#include <stdbool.h>
#include <stdint.h>

#include "shared/base/host.h"

#define TIDY_UNUSED_MS (14 * 24 * 3600 * INT64_C(1000))
/* Returns how many were removed, or a negative code. */
int tidy_spool(const pw_host *clock, const char *spool, uint64_t low_disk, pw_err *err);

/* ---- the rule, pure */
typedef struct tidy_dir {
    char *path;        /* owned */
    int64_t used_ms;   /* last use */
    uint64_t until_ms; /* kept until; 0: it is not */
} tidy_dir;
/* Whether it goes, whatever room there is. */
bool tidy_over(const tidy_dir *d, int64_t now);
#endif
