/* ring.h - the file that holds the newest bytes of a log over its budget. It has no name, so it is
 * gone with the runner. */
#ifndef PW_WORKER_RUN_RING_H
#define PW_WORKER_RUN_RING_H
#include <stddef.h>
#include <stdint.h>

#include "shared/base/err.h"

/* A file without name in dir. Returns the fd (owned). */
int ring_open(const char *dir, pw_err *err);
/* Writes n bytes that follow the `total` bytes written so far; the oldest beyond cap are
 * overwritten. Repeatable after a failure. */
int ring_write(int fd, uint64_t cap, uint64_t total, const uint8_t *p, size_t n, pw_err *err);
/* Reads n bytes from position `at` (counted over all that was written; they must be among the
 * newest cap). */
int ring_read(int fd, uint64_t cap, uint64_t at, uint8_t *p, size_t n, pw_err *err);
#endif
