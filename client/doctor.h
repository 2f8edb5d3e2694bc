/* doctor.h - findings of `pawl doctor`: what was looked at, how it is, and the cure. Owned by the
 * list. */
#ifndef PW_CLIENT_DOCTOR_H
#define PW_CLIENT_DOCTOR_H
#include <stdbool.h>

#include "client/client.h"
#include "shared/json/json.h"

typedef enum doctor_level { DOCTOR_OK, DOCTOR_NOTE, DOCTOR_WRONG } doctor_level;
enum { DOCTOR_MAX = 256 };
typedef struct doctor {
    struct doctor_finding {
        char *name, *text, *cure; /* owned; cure "" when it is well */
        doctor_level level;
    } finding[DOCTOR_MAX];
    size_t n;
    bool failed; /* memory ran out, or there are too many findings */
} doctor;
void doctor_clear(doctor *d);
/* cure NULL: none is needed. */
void doctor_add(doctor *d, const char *name, doctor_level level, const char *cure, const char *fmt,
                ...) __attribute__((format(printf, 5, 6)));
bool doctor_wrong(const doctor *d);
/* For people, or as {"items": [{"name","level","text","cure"}]}. */
void doctor_text(const doctor *d, bool colour, pw_buf *b);
void doctor_json(const doctor *d, pw_buf *b);

/* ---- the checks that judge something given; pure */
/* "git version 2.39.5" is at least 2.30. False also when it is not understood. */
bool doctor_git_new(const char *text);
void doctor_mode(doctor *d, const char *name, const char *path, unsigned mode, unsigned allowed);
void doctor_health(doctor *d, const json_value *health);
void doctor_workers(doctor *d, const json_value *items);
/* The master's clock by the Date of its answer (0: none) against ours. */
void doctor_date(doctor *d, pw_msec date, pw_msec now);
/* Findings of `pawl-master doctor --json`. */
void doctor_take(doctor *d, const json_value *answer);
void doctor_space(doctor *d, const char *path, int64_t bytes);
#endif
