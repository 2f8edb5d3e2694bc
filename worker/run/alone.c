#include "worker/run/alone.h"

#include <stdio.h>

#include "shared/base/num.h"
#include "worker/spool/heard.h"

enum { LOOK_US = 1000000 };

/* The name of a lock that it holds exclusively in its present step; NULL: none. */
static const char *held(const run_job *r)
{
    const job_lock *l = r->spec.locks.v;
    for (size_t i = 0; i < r->spec.locks.n && r->spec.lost_after_ms; i++)
        if (l[i].exclusive && (!l[i].until || r->step < l[i].until))
            return l[i].name;
    return NULL;
}

void alone_begin(run_job *r)
{
    r->alone_at = held(r) ? 0 : -1;
}

pw_usec alone_due(const run_job *r)
{
    return r->forsaken || !held(r) ? -1 : r->alone_at;
}

void alone_look(run_job *r)
{
    pw_usec now = pw_now(r->host->clock), heard = 0, due = alone_due(r);
    if (due < 0 || now < due)
        return;
    uint64_t ms = r->spec.lost_after_ms;
    r->alone_at = now + (ms < 4000 ? (pw_usec)ms * 250 : LOOK_US);
    int rc = spool_heard_get(r->host->spool, &heard, NULL);
    if (rc == 0)
        r->alone_since = heard <= now ? heard : 0; /* of the time before the machine was started */
    else if (rc != PW_ENOTFOUND && !r->alone_since)
        r->alone_since = now; /* not to be read just now: it counts from here */
    if (!r->alone_since || (uint64_t)(now - r->alone_since) / 1000 > ms)
        r->forsaken = true;
}

void alone_text(const run_job *r, char *out, size_t room)
{
    char text[32];
    const char *name = held(r);
    (void)snprintf(
        out, room, "it holds lock \"%s\" exclusively, and there was no sign of the master for %s",
        name ? name : "?", pw_duration_text((pw_usec)r->spec.lost_after_ms * 1000, text));
}
