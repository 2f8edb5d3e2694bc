/* provider.h - runs the commands of providers of elastic workers: children with a deadline, several
 * side by side, each on a thread of its own. Jobs are sent by the core's thread, answers come
 * through a channel; both are plain owned data. What a command is told it gets by its environment,
 * never in its arguments. */
#ifndef PW_MASTER_PROVIDER_PROVIDER_H
#define PW_MASTER_PROVIDER_PROVIDER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/chan.h"
#include "shared/base/cleanup.h"
#include "shared/base/err.h"
#include "shared/base/host.h"

enum { PROVIDER_SAID_MAX = 1024 * 1024, PROVIDER_TEXT = 400 };

/* One command and, filled in, its answer: the same object comes back. All owned; the environment is
 * wiped when it is freed. */
typedef struct provider_job {
    char *provider, *worker; /* the asker's */
    int act;
    uint64_t machine;
    char **argv; /* NULL-terminated */
    char **env;  /* K=V, NULL-terminated: all that the command gets */
    pw_usec timeout;

    bool good;
    char *said;               /* its stdout */
    char text[PROVIDER_TEXT]; /* why it is not good, for people */
    struct provider_job *next;
} provider_job;
provider_job *provider_job_new(pw_err *err);
provider_job *provider_job_free(provider_job *j);
PW_DEFINE_FREEP(provider_job, provider_job_free)
/* Adds NAME=VALUE to the environment, in the place of one of that name. */
int provider_job_env(provider_job *j, const char *name, const char *value, pw_err *err);

typedef struct provider_service provider_service;
/* answers: borrowed; receives provider_job pointers. No thread is started before there is work. */
provider_service *provider_start(pw_chan *answers, pw_err *err);
/* Ends the commands that run (TERM, then KILL), then the threads; frees queued jobs. */
provider_service *provider_stop(provider_service *self);
/* Takes the job (freed also on failure). PW_EFULL: too many wait. */
int provider_send(provider_service *self, provider_job *job, pw_err *err);
#endif
