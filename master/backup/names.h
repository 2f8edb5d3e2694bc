/* names.h - what a backup file is made of; inside this folder. */
#ifndef PW_MASTER_BACKUP_NAMES_H
#define PW_MASTER_BACKUP_NAMES_H
#include "shared/base/host.h"

enum {
    BACKUP_FORMAT = 1,
    BACKUP_SUMS_EVERY = 4096, /* files between two members of sums: bounds memory on both sides */
    BACKUP_SUMS_MAX = 8 * 1024 * 1024,
    BACKUP_HEAD_MAX = 64 * 1024,
    BACKUP_PIECE = 256 * 1024,
};
#define BACKUP_HEAD "pawl-backup.json" /* first */
#define BACKUP_SUMS "sums/"            /* sums/00000001: of the files since the last one */
#define BACKUP_END "end.json"          /* last */
#define BACKUP_LOCK "backup.lock"      /* in STATE: held shared while a backup is made */
#define BACKUP_LAST "backup.last"      /* in STATE: time and name of the last backup */
#define BACKUP_RESTORING "restoring"   /* in STATE: a restore is under way, or was cut off */
#endif
