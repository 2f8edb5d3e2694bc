/* features.h - what jobs may ask of this worker by `must`: each kind of step that it knows, and
 * what else there is. Constants. */
#ifndef PW_WORKER_AGENT_FEATURES_H
#define PW_WORKER_AGENT_FEATURES_H
#include "shared/job/kind.h"
#include "worker/agent/conf.h"

enum { FEATURES_MAX = JOB_KINDS + 3 };
/* Fills out, returns how many. */
size_t features_list(const worker_conf *conf, char *out[FEATURES_MAX]);
/* The first that it lacks; NULL: it has all. */
const char *features_missing(const worker_conf *conf, const pw_strs *must);
#endif
