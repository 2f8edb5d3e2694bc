/* Files of sealed logs that are not kept any longer, on the archive thread. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/logs/impl.h"
#include "shared/base/fault.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"

enum { ROUND = 32 /* files, before the syncs that wait get their turn */ };

typedef struct remove_job {
    struct remove_job *next;
    log_key key;
    int code;
    bool synced; /* its folder */
} remove_job;

int logs_remove(logs *self, log_key key, pw_err *err)
{
    remove_job *job = calloc(1, sizeof(*job));
    if (!job)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    job->key = key;
    logs_lock(self);
    *self->removes_end = job;
    self->removes_end = &job->next;
    (void)pthread_cond_signal(&self->wake);
    logs_unlock(self);
    return 0;
}

void remove_free_all(logs *self)
{
    while (self->removes) {
        remove_job *job = self->removes;
        self->removes = job->next;
        free(job);
    }
    self->removes_end = &self->removes;
}

static int remove_one(const logs *self, const remove_job *job, pw_err *err)
{
    PW_AUTO(pw_freep) char *path = sealed_path(self->dir, job->key);
    if (!path)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    if (pw_fault("retain.unlink"))
        return pw_fail(err, PW_ESYS, "removing \"%s\": fault asked for", path);
    if (unlink(path) < 0 && errno != ENOENT)
        return pw_fail_sys(err, "removing \"%s\"", path);
    if (pw_fault("retain.unlinked"))
        return pw_fail(err, PW_ESYS, "fault asked for: retain.unlinked");
    return 0;
}

/* A name that came back after a power cut would be nobody's: each folder once. */
static void sync_folders(const logs *self, remove_job *jobs)
{
    for (remove_job *j = jobs; j; j = j->next) {
        const uint64_t nn = j->key.attempt % 256;
        pw_err err = {0};
        if (j->synced || j->code < 0)
            continue;
        PW_AUTO(pw_freep) char *dir = sealed_dir(self->dir, nn);
        int r = !dir ? PW_ENOMEM : access(dir, F_OK) < 0 ? 0 : pw_fs_sync_dir(dir, &err);
        for (remove_job *k = j; k; k = k->next)
            if (k->key.attempt % 256 == nn) {
                k->synced = true;
                k->code = k->code < 0 ? k->code : r;
            }
    }
}

bool remove_round(logs *self)
{
    PW_AUTO(pw_closep) int allowed = -1;
    pw_err why = {0};
    logs_unlock(self);
    int may = segment_may_go(self, &allowed, &why);
    logs_lock(self);
    if (may == PW_EAGAIN)
        return false;
    remove_job *jobs = self->removes, **at = &jobs;
    for (int i = 0; i < ROUND && *at; i++)
        at = &(*at)->next;
    self->removes = *at;
    *at = NULL;
    if (!self->removes)
        self->removes_end = &self->removes;
    logs_unlock(self);
    for (remove_job *j = jobs; j; j = j->next) {
        pw_err err = why;
        j->code = may < 0 ? may : remove_one(self, j, &err);
        if (j->code < 0)
            pw_log_err(PW_LOG_WARN, "log_not_removed", &err);
    }
    sync_folders(self, jobs);
    logs_lock(self);
    while (jobs) {
        remove_job *j = jobs;
        jobs = j->next;
        const logs_answer a = {.kind = LOGS_REMOVED, .code = j->code, .key = j->key};
        archive_answer(self, &a);
        free(j);
    }
    return true;
}
