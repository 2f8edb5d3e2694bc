/* check.h - reads stored output whole, for the doctor: nothing of a running store is touched. Any
 * thread; blocks on the disk. */
#ifndef PW_MASTER_LOGS_CHECK_H
#define PW_MASTER_LOGS_CHECK_H
#include "master/store/store.h"

typedef struct logs_check logs_check;
/* dir: STATE/logs, borrowed. */
logs_check *logs_check_new(const char *dir, pw_err *err);
logs_check *logs_check_free(logs_check *self);
PW_DEFINE_FREEP(logs_check, logs_check_free)
/* The sealed file of this row: its sums, every frame decoded, its totals against the row.
 * PW_ENOTFOUND: there is no file. PW_ECORRUPT names what is wrong. */
int logs_check_sealed(logs_check *self, const store_log *row, pw_err *err);
/* The frame of this row in its segment. PW_ENOTFOUND: there is no segment. PW_ECORRUPT: it ends
 * before, or does not decode. */
int logs_check_frame(logs_check *self, const store_frame *row, pw_err *err);
#endif
