/* pty.h - a pseudo terminal for steps that want one. */
#ifndef PW_WORKER_RUN_PTY_H
#define PW_WORKER_RUN_PTY_H
#include "shared/base/err.h"

/* Makes a terminal of 24 x 80 that neither echoes nor changes what is written to it. Both ends are
 * owned; *master does not block. */
int pty_make(int *master, int *slave, pw_err *err);
#endif
