/* gate.h - why this worker should get no new job now, by its disk and load. Pure. */
#ifndef PW_WORKER_AGENT_GATE_H
#define PW_WORKER_AGENT_GATE_H
#include <stdbool.h>

#include "worker/agent/conf.h"

enum { GATE_MAX = 200 };
/* disk: free bytes, -1: not known */
bool gate_low(const worker_conf *conf, int64_t disk);
/* "": nothing stands against it. */
void gate_text(const worker_conf *conf, int64_t disk, uint64_t spool_bytes, uint64_t load_milli,
               bool draining, char out[GATE_MAX]);
/* "podman:IMAGE" is of kind podman; NULL: the worker's first. */
bool gate_isolation(const worker_conf *conf, const char *isolation);
#endif
