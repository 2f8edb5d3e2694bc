/* heard.h - when the agent last heard of the master: SPOOL/heard, written by the agent, read by
 * runners of jobs that must not outlive their master for long. Time of pw_now(), which agent and
 * runner share as long as the machine is up. */
#ifndef PW_WORKER_SPOOL_HEARD_H
#define PW_WORKER_SPOOL_HEARD_H
#include "shared/base/err.h"
#include "shared/base/host.h"

/* Opens it for writing, made if absent; what stands in it stays. Returns the fd (owned). */
int spool_heard_open(const char *spool, pw_err *err);
int spool_heard_put(int fd, pw_usec at, pw_err *err);
/* PW_ENOTFOUND: there is none yet. */
int spool_heard_get(const char *spool, pw_usec *ret, pw_err *err);
#endif
