/* secrets.c - the file with the values of a job's secrets: written before its runner is asked for,
 * removed by the runner when it has read it. What is left of one here is a file that no runner came
 * for, and goes as soon as none can: the job began, ended, or is not among the jobs any more. Never
 * synced: a job that a power cut ends is repeated with another one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/fault.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"
#include "shared/job/job.h"
#include "worker/agent/jobs_inside.h"

static int write_file(int dir, const char *name, const pw_buf *b, pw_err *err)
{
    char temp[JOBS_FILE];
    if (snprintf(temp, sizeof(temp), "%s.new", name) >= (int)sizeof(temp))
        return pw_fail(err, PW_EINVAL, "the name %s is too long", name);
    (void)unlinkat(dir, temp, 0);
    PW_AUTO(pw_closep)
    int fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return errno == ENOSPC || errno == EDQUOT
                   ? pw_fail(err, PW_EFULL, "no room for the secrets file %s", name)
                   : pw_fail_sys(err, "making the secrets file %s", name);
    int rc = pw_fs_write_all(fd, b->p, b->len, err);
    if (rc == 0 && pw_fault("agent.secrets"))
        rc = pw_fail(err, PW_EFULL, "fault asked for");
    if (rc == 0 && renameat(dir, temp, dir, name) < 0)
        rc = pw_fail_sys(err, "putting it in place");
    if (rc == 0)
        return 0;
    (void)unlinkat(dir, temp, 0);
    return pw_err_context(err, "writing the secrets file %s", name);
}

int jobs_put_secrets(jobs *self, agent_job *j, const pw_list *secrets, pw_err *err)
{
    char name[JOBS_FILE];
    const job_secrets s = {.epoch = j->id.epoch, .attempt = j->id.attempt, .secrets = *secrets};
    pw_buf b = PW_BUF(PW_JOB_SECRETS_MAX);
    /* room at once: memory that was given back half-way could not be wiped */
    int rc = pw_buf_room(&b, PW_JOB_SECRETS_MAX) ? 0 : pw_fail(err, PW_ENOMEM, "out of memory");
    if (rc == 0)
        rc = pw_schema_encode(&job_secrets_schema, &s, &b, err);
    if (rc == 0)
        rc = write_file(self->dir[PLACE_JOBS], jobs_file(j, ".secrets", name), &b, err);
    if (rc == 0)
        j->secrets = true;
    if (b.p)
        explicit_bzero(b.p, b.len);
    pw_buf_clear(&b);
    return rc;
}

void jobs_secrets_again(jobs *self, agent_job *j, const pw_list *secrets)
{
    pw_err err = {0};
    if (j->state == PW_JOB_SPOOLED && !j->started && secrets->n &&
        jobs_put_secrets(self, j, secrets, &err) < 0)
        pw_log_err(PW_LOG_WARN, "secrets_not_written", &err); /* the runner will say so */
}

const char *jobs_lacking_secret(const pw_strs *names, const pw_list *secrets)
{
    const msg_secret *s = secrets->v;
    for (size_t i = 0; i < names->n; i++) {
        size_t k = 0;
        while (k < secrets->n && strcmp(names->v[i], s[k].name) != 0)
            k++;
        if (k == secrets->n)
            return names->v[i];
    }
    return NULL;
}

void jobs_drop_secrets(jobs *self, agent_job *j)
{
    char name[JOBS_FILE];
    if (j->secrets)
        (void)unlinkat(self->dir[PLACE_JOBS], jobs_file(j, ".secrets", name), 0);
    j->secrets = false;
}
