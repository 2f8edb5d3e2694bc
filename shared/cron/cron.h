/* cron.h - cron lines in named time zones. Fields minute hour day-of-month month day-of-week;
 * lists, ranges, steps, names in any case, 0 and 7 = Sunday; `L` in day-of-month, `D#N` in
 * day-of-week; day-of-month OR day-of-week when neither begins with
 * `*`, else both. Hour field without `*`: each listed local time fires once a day: in a gap at the
 * first instant after it (several such times once), in an overlap the first time. Hour field with
 * `*`: every real minute whose local time matches. Pure but for reading the zone's file from the
 * system's zoneinfo when a zone is opened; never touches TZ. */
#ifndef PW_SHARED_CRON_CRON_H
#define PW_SHARED_CRON_CRON_H
#include <stddef.h>
#include <stdint.h>

#include "shared/base/cleanup.h"
#include "shared/base/err.h"

typedef struct cron_line cron_line;
/* Error text names the field and what is wrong, e.g. `minute: "61" is not in 0..59`. */
cron_line *cron_parse(const char *text, pw_err *err);
cron_line *cron_free(cron_line *self);
PW_DEFINE_FREEP(cron_line, cron_free)

/* transitions of one IANA zone, and the rule behind the last one */
typedef struct cron_zone cron_zone;
/* name: "Europe/Berlin", "UTC"; PW_ENOTFOUND when there is no such zone (no paths, no ".."). */
cron_zone *cron_zone_open(const char *name, pw_err *err);
cron_zone *cron_zone_free(cron_zone *self);
PW_DEFINE_FREEP(cron_zone, cron_zone_free)
/* Seconds east of UTC at this instant (seconds since 1970). */
int32_t cron_zone_offset(const cron_zone *z, int64_t at);

/* First firing strictly after `after` (seconds since 1970 UTC); -1 when there is none within 8
 * years. */
int64_t cron_next(const cron_line *c, const cron_zone *z, int64_t after);
/* 2026-11-20T02:30:00+01:00 */
#define CRON_TIME_MAX 32
const char *cron_time_text(const cron_zone *z, int64_t at, char out[CRON_TIME_MAX]);
#endif
