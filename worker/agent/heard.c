#include "worker/agent/heard.h"

#include "shared/base/log.h"

enum { FRESH_US = 500000 };

void heard_keep(heard *h, pw_usec at)
{
    pw_err err = {0};
    if (!at || at - h->at < FRESH_US)
        return;
    if (spool_heard_put(h->fd, at, &err) == 0) {
        h->at = at;
        h->complained = false;
        return;
    }
    if (!h->complained)
        pw_log_err(PW_LOG_WARN, "heard_not_kept", &err);
    h->complained = true;
}
