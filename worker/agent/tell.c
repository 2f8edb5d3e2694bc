/* What the master has to say to a job goes to its runner, which may be slow to read. */
#include <inttypes.h>
#include <stdlib.h>

#include "shared/base/fault.h"
#include "shared/base/log.h"
#include "worker/agent/jobs_inside.h"

void jobs_tell_again(jobs *self, agent_job *j)
{
    pw_err err = {0};
    if (!j->note || pw_fault("note.received"))
        return;
    int rc = j->state == PW_JOB_RUNNING || j->state == PW_JOB_SPOOLED
                 ? spool_control_send(self->id, j->id, SPOOL_NOTE, j->note, &err)
                 : pw_fail(&err, PW_ENOTFOUND, "the job does not run");
    if (rc == PW_EAGAIN)
        return; /* it has more than it read: tried again each second */
    if (rc < 0)
        pw_log_err(PW_LOG_DEBUG, "note_not_sent", &err);
    free(j->note);
    j->note = NULL;
}

void jobs_tell(jobs *self, agent_job *j, uint64_t seq, const char *text)
{
    free(j->note);
    j->note = pw_strf("%" PRIu64 " %s", seq, text);
    jobs_tell_again(self, j);
}
