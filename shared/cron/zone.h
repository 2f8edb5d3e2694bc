/* zone.h - inside of this folder: time zones as stretches of constant offset, and days of the
 * calendar. A zone is immutable, so any thread may read it. Nothing here blocks or fails but for
 * the parser. */
#ifndef PW_SHARED_CRON_ZONE_H
#define PW_SHARED_CRON_ZONE_H
#include <stddef.h>
#include <stdint.h>

#include "shared/base/err.h"
#include "shared/cron/cron.h"

#define CRON_OFFSET_MAX 93600 /* seconds; RFC 8536: -25:59:59 .. +26:00:00, which is this */
#define CRON_TIME_LIMIT                                                                            \
    INT64_C(200000000000) /* seconds; the year 8307: four digits always, and no sum overflows */
#define CRON_ZONE_FILE_MAX ((size_t)256 * 1024) /* bytes; the largest of 2024 has 3.6 KiB */

/* Reads a compiled zone file (RFC 8536, versions 1 to 4, without leap seconds) from memory.
 * PW_ECORRUPT when it is damaged, PW_ENOTFOUND when it is no zone file at all. */
cron_zone *cron_zone_parse(const uint8_t *p, size_t n, pw_err *err);

typedef struct cron_span {
    int64_t from, to; /* from <= instant < to; INT64_MIN and INT64_MAX when there is no end */
    int32_t offset;   /* seconds east of UTC */
} cron_span;
/* The stretch around `at`, which is within the limit above. The next one may have the same offset.
 */
cron_span cron_zone_span(const cron_zone *z, int64_t at);

typedef struct cron_date {
    int64_t year;
    int month, day; /* from 1 */
} cron_date;
/* Days since 1970-01-01, and back. The year of `days` must fit its arithmetic: limit above /
 * 86,400. */
int64_t cron_days(int64_t year, int month, int day);
cron_date cron_date_of(int64_t days);
int cron_month_days(int64_t year, int month);
/* 0 = Sunday. */
int cron_weekday(int64_t days);
#endif
