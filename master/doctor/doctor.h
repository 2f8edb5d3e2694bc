/* doctor.h - `pawl-master doctor`: looks at a state directory from outside, beside a running master
 * or without one, and says what is wrong, where, and how it is cured. Changes nothing (but makes
 * and removes one small file, to see the file system's clock). Blocks for as long as it takes;
 * deep: reads every page of the database and every stored byte of output. One thread. */
#ifndef PW_MASTER_DOCTOR_DOCTOR_H
#define PW_MASTER_DOCTOR_DOCTOR_H
#include <stdbool.h>

#include "master/doctor/findings.h"
#include "shared/base/host.h"

typedef struct doctor_options {
    const char *state;
    const char *config; /* file; NULL: none was found */
    bool deep;
    const pw_host *host;
} doctor_options;
/* Adds what was found. 0, or PW_ENOMEM. */
int doctor_look(const doctor_options *o, findings *f, pw_err *err);
/* The same, printed; the exit status: 0 nothing is wrong, 1 something is. */
int doctor_command(const char *state, const char *config, bool deep, bool json);
#endif
