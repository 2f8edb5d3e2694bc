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
    if (f->closed || f->any || !f->this_epoch || f->rebooted)
        return FATE_LOST;
    return FATE_REOFFER;
}
