/* Deliveries of webhooks and sessions of the page. A delivery is a hint: its row is what remains of
 * it, and all that it does is to wake the poller of its project. The row is new until a look that
 * began after it has ended well, so that a crash in between loses nothing. */
#include "master/core/parts.h"

#include <inttypes.h>
#include <string.h>

#include "shared/base/fault.h"

enum {
    HOOK_KEEP_MS = 7 * 24 * 3600 * 1000,
    /* of a project, until it is looked at: one is enough to wake the poller, so what comes beyond
     * tells nothing and would only fill the disk */
    HOOKS_OPEN_MAX = 1000,
    HOOKS_OPEN_BYTES = 256 * 1024 * 1024
};

void core_cmd_hook(core *self, core_cmd *c)
{
    pw_err err = {0};
    uint64_t id = 0;
    int64_t i = c->project ? config_find_project(self->conf, c->project) : -1;
    if (i < 0) {
        core_cmd_fail(c, 404, "not_found", "there is no project \"%s\"",
                      c->project ? c->project : "");
        return;
    }
    core_project *p = &self->project[i];
    store_hook row = {.project = p->row,
                      .kind = c->name,
                      .delivery = c->delivery,
                      .event = c->event,
                      .at = pw_wall(self->host),
                      .body = c->data.p,
                      .body_len = c->data.len};
    if (p->hook && (p->hooks >= HOOKS_OPEN_MAX || p->hook_bytes > HOOKS_OPEN_BYTES)) {
        core_cmd_fail(c, 429, "rate_limited",
                      "too many deliveries wait until the repository of \"%s\" can be looked at",
                      p->conf->name);
        return;
    }
    if (pw_fault("hook.store")) {
        core_cmd_fail(c, 503, "unavailable", "the delivery could not be stored: send it again");
        return;
    }
    if (!core_turn(self))
        return;
    int added = store_hook_add(self->st, &row, &id, &err);
    if (!core_ok(self, added, &err))
        return;
    store_proposal told = {c->target, c->title, c->author, c->fork};
    if (added > 0 && c->branch &&
        !core_ok(self, store_proposal_put(self->st, p->row, c->branch, &told, row.at, &err), &err))
        return;
    if (added > 0 && id > p->hook)
        p->hook = id;
    p->hooks += added > 0;
    p->hook_bytes += added > 0 ? row.body_len : 0;
    /* also for one that was there: who sends it again by hand believes that we missed it */
    core_poll_now(self, (size_t)i);
    c->status = 202;
    (void)pw_buf_addf(&c->body, "{\"hook\":%" PRIu64 "}", id);
}

static int on_new(void *p, uint64_t id, uint64_t project)
{
    core *self = p;
    for (size_t i = 0; i < self->conf->n_projects; i++)
        if (self->project[i].row == project)
            self->project[i].hook = id;
    return 0;
}

int core_hooks_load(core *self, pw_err *err)
{
    return store_hooks_new(self->st, on_new, self, err);
}

void core_hooks_asked(core_project *p)
{
    p->hook_asked = p->hook;
}

void core_hooks_seen(core *self, core_project *p)
{
    pw_err err = {0};
    uint64_t up_to = p->hook_asked;
    p->hook_asked = 0;
    if (!up_to || !core_turn(self) ||
        !core_ok(self, store_hooks_done(self->st, p->row, up_to, &err), &err))
        return;
    if (p->hook == up_to)
        p->hook = 0;
    /* what came while it was looked at is few */
    p->hooks = p->hook_bytes = 0;
}

int core_hooks_expire(core *self, int most, pw_err *err)
{
    pw_msec now = pw_wall(self->host);
    int n = store_hooks_expire(self->st, now - HOOK_KEEP_MS, most, err);
    int r = n < 0 ? n : store_sessions_expire(self->st, now, most, err);
    return r < 0 ? r : n + r;
}

/* ---- sessions */
void core_cmd_login(core *self, core_cmd *c)
{
    pw_err err = {0};
    if (core_turn(self) &&
        core_ok(
            self,
            store_session_add(self->st, c->hash, c->token, pw_wall(self->host), c->expires, &err),
            &err) &&
        core_audit(self, c, "login", NULL)) {
        c->status = 202;
        (void)pw_buf_adds(&c->body, "{}");
    }
}

void core_cmd_logout(core *self, core_cmd *c)
{
    pw_err err = {0};
    if (core_turn(self) && core_ok(self, store_session_del(self->st, c->hash, &err), &err) &&
        core_audit(self, c, "logout", NULL)) {
        c->status = 202;
        (void)pw_buf_adds(&c->body, "{}");
    }
}
