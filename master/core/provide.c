#include "master/core/provide.h"

provide_plan provide_decide(const provide_facts *f)
{
    provide_plan p = {0, 0};
    size_t here = f->starting + f->up, all = here + f->leaving;
    size_t wanted = f->waiting / f->slots + (f->waiting % f->slots != 0);
    size_t room = f->max > all ? f->max - all : 0;
    if (wanted > f->starting)
        p.start = wanted - f->starting;
    if (here < f->min && p.start < f->min - here)
        p.start = f->min - here;
    if (p.start > room)
        p.start = room;
    if (f->held)
        p.start = 0;
    if (!f->waiting && here > f->min)
        p.stop = f->idle < here - f->min ? f->idle : here - f->min;
    /* max was made smaller: those that do nothing go, whatever waits */
    if (here > f->max && p.stop < here - f->max)
        p.stop = f->idle < here - f->max ? f->idle : here - f->max;
    return p;
}
