/* When the next message of a target may leave, and several told in one. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/core/parts.h"
#include "master/store/outbox.h"

enum { LOOK_AGAIN_MS = 60000 }; /* a wall clock may be set, and zones have changes */

pw_usec core_outbox_held(const core *self, core_target *t, bool *ret_fold)
{
    *ret_fold = false;
    pw_msec quiet = notify_quiet(t->conf, pw_wall(self->host));
    if (quiet > 0)
        return (quiet < LOOK_AGAIN_MS ? quiet : LOOK_AGAIN_MS) * 1000;
    return notify_rate(t->conf, &t->window, pw_now(self->host), t->open, ret_fold);
}

typedef struct others {
    char *body[NOTIFY_OTHERS];
    size_t n;
} others;

static void others_clear(others *o)
{
    for (size_t i = 0; i < o->n; i++)
        free(o->body[i]);
}

static int on_other(void *p, const char *body)
{
    others *o = p;
    if (o->n < NOTIFY_OTHERS && !(o->body[o->n] = strdup(body)))
        return PW_ENOMEM;
    o->n++;
    return 0;
}

bool core_outbox_fold(core *self, core_target *t, store_message *m)
{
    PW_AUTO(others_clear) others o = {0};
    PW_AUTO(pw_buf_clearp) pw_buf body = PW_BUF(CORE_MESSAGE_MAX);
    char reason[60];
    pw_err err = {0};
    if (m->tries || strstr(m->body, ",\"others\":[")) /* it stays what it was */
        return true;
    if (!core_ok(
            self,
            store_message_others(self->st, t->conf->name, m->id, NOTIFY_OTHERS, on_other, &o, &err),
            &err))
        return false;
    if (!o.n)
        return true;
    if (notify_fold(m->body, (const char *const *)o.body, o.n, t->open - 1, &body) < 0) {
        (void)core_nomem(self);
        return false;
    }
    (void)snprintf(reason, sizeof(reason), "told in message %" PRIu64, m->id);
    int n = store_message_fold(self->st, t->conf->name, m->id, body.p, reason, pw_wall(self->host),
                               &err);
    if (!core_ok(self, n, &err))
        return false;
    t->open -= (uint64_t)n < t->open ? (uint64_t)n : t->open;
    t->sent += (uint64_t)n;
    free(m->body);
    m->body = pw_buf_take(&body);
    return true;
}
