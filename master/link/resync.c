#include "master/link/resync.h"

resync_verdict resync_decide(const resync_fact *f)
{
    if (!f->this_epoch)
        return RESYNC_HOLD;
    if (!f->open)
        return f->forgotten ? RESYNC_FORGET : RESYNC_HOLD;
    if (!f->ours)
        return RESYNC_HOLD_ALARM;
    /* the machine lost its tail, or dropped what we still need: the journal is not the one we know
     */
    if (f->length < f->applied || f->start > f->stored)
        return RESYNC_LOST;
    return f->closed ? RESYNC_RESUME_CANCEL : RESYNC_RESUME;
}

resync_fate resync_absent_decide(const resync_absent *f)
{
    if (!f->same_spool)
        return FATE_WAIT; /* another disk: lost_after decides */
    /* Nothing of it ever came, and nothing of it runs: an agent that has its spool lists what it
     * began, and after a restart of the machine, which may have cost it the files, no process is
     * left. So the same offer may go out again, in place of one that uses a retry. */
    if (f->closed || f->any || !f->this_epoch)
        return FATE_LOST;
    return FATE_REOFFER;
}
