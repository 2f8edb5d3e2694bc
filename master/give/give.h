/* give.h - the thread that reads what running jobs ask for: files of builds that they need, by the
 * rows, and pieces of files that are named. Questions come from the core's thread, the same object
 * comes back through a channel as its answer. */
#ifndef PW_MASTER_GIVE_GIVE_H
#define PW_MASTER_GIVE_GIVE_H
#include <stddef.h>
#include <stdint.h>

#include "shared/base/chan.h"
#include "shared/base/cleanup.h"
#include "shared/base/err.h"

enum {
    GIVE_QUEUE_MAX = 1024,
    GIVE_ANSWERS = 64,                /* for the channel: pieces that wait for the core */
    GIVE_LIST_MAX = 64 * 1024 * 1024, /* bytes of a list of files */
};

typedef enum give_kind {
    GIVE_LIST = 1, /* of the files that a needed build left */
    GIVE_FILE,     /* one of them */
    GIVE_PATH,     /* a file of ours: `path`, whose size and sum are known */
    GIVE_REMOVE    /* the same; there is no answer */
} give_kind;
typedef struct give_job {
    give_kind kind;
    uint64_t session, epoch, attempt, ask; /* the asker's, given back */
    uint64_t build;                        /* of the attempt */
    char *from, *name, *path;              /* owned; NULL where not needed */
    uint64_t offset;
    /* answer */
    int code; /* 0, or a negative pw_code; PW_ENOTFOUND: and it stays so */
    char text[400];
    uint64_t size;
    uint8_t sum[32];
    uint8_t *p; /* owned */
    size_t n;
} give_job;
give_job *give_job_new(give_kind kind, pw_err *err);
give_job *give_job_free(give_job *j);
PW_DEFINE_FREEP(give_job, give_job_free)

typedef struct give_service give_service;
/* db: the database; files: STATE/artifacts. answers: borrowed; closed by give_stop. The thread is
 * started with the first question. */
give_service *give_start(const char *db, const char *files, pw_chan *answers, pw_err *err);
give_service *give_stop(give_service *self);
/* Takes the job. PW_EFULL: too many wait (the job is freed). */
int give_send(give_service *self, give_job *job, pw_err *err);
#endif
