/* Workers: enrolment, sessions, states. A worker is its key, never a name that it claims. */
#include "master/core/model.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/base/num.h"
#include "shared/crypt/crypt.h"

static bool owns(const core *self, const core_worker *w, const uint8_t key[32], bool *ret_enrol)
{
    if (w->row.removed)
        return false;
    *ret_enrol = false;
    if (w->row.has_key && crypt_equal(w->row.key, key, 32))
        return true;
    *ret_enrol =
        w->enrolled && w->once_expires > pw_wall(self->host) && crypt_equal(w->once, key, 32);
    return *ret_enrol;
}

uint64_t core_key_owner(core *self, const uint8_t key[32], bool *ret_enrol)
{
    core_worker *w = pw_table_get(self->keys, pw_le64(key));
    if (w && owns(self, w, key, ret_enrol))
        return w->row.id;
    for (size_t pos = 0; (w = pw_table_next(self->workers, &pos));)
        if (owns(self, w, key, ret_enrol)) {
            /* without memory it is only slower */
            (void)pw_table_put(self->keys, pw_le64(key), w, NULL);
            return w->row.id;
        }
    return 0;
}

const char *core_worker_name(const core *self, uint64_t worker)
{
    const core_worker *w = core_worker_get(self, worker);
    return w ? w->row.name : "?";
}

void core_worker_spool(const core *self, uint64_t worker, uint8_t ret_spool[16])
{
    const core_worker *w = core_worker_get(self, worker);
    memset(ret_spool, 0, 16);
    if (w)
        memcpy(ret_spool, w->row.spool, 16);
}

static bool replace(core *self, char **where, const char *s)
{
    bool failed = false;
    char *v = pw_strdup(s, &failed);
    if (failed) {
        (void)core_nomem(self);
        return false;
    }
    free(*where);
    *where = v;
    return true;
}

void core_worker_quarantine(core *self, core_worker *w, const char *why)
{
    pw_err err = {0};
    pw_msec until = pw_wall(self->host) + CORE_QUARANTINE_MS;
    if (!core_turn(self) ||
        !core_ok(self,
                 store_worker_flags(self->st, w->row.id, w->row.paused, w->row.draining,
                                    w->row.removed, until, why, NULL, &err),
                 &err) ||
        !replace(self, &w->row.reason, why) || !replace(self, &w->row.who, NULL))
        return;
    w->row.quarantine = until;
    core_note_event(self, EVENT_WORKER, w->row.id);
}

static void presence(core *self, const core_worker *w)
{
    core_effect *e = core_add_effect(self, CORE_PRESENCE);
    if (e) {
        e->worker = w->row.id;
        e->id = w->connected;
        /* without memory the reason is not shown in lists */
        e->text = w->gate ? pw_strf("%s", w->gate) : NULL;
    }
}

void core_worker_up(core *self, uint64_t worker, const core_hello *h, bool *ret_rebooted)
{
    static const uint8_t none[16];
    core_worker *w = core_worker_get(self, worker);
    pw_err err = {0};
    pw_msec now = pw_wall(self->host);
    *ret_rebooted = false;
    if (!w || !core_turn(self))
        return;
    *ret_rebooted = memcmp(w->row.boot, none, 16) != 0 && memcmp(w->row.boot, h->boot, 16) != 0;
    if (!core_ok(self,
                 store_worker_hello(self->st, worker, h->spool, h->boot, h->slots, h->tags,
                                    h->facts, h->version, now, &err),
                 &err) ||
        !replace(self, &w->row.tags, h->tags) || !replace(self, &w->row.facts, h->facts) ||
        !replace(self, &w->row.version, h->version))
        return;
    memcpy(w->row.spool, h->spool, 16);
    memcpy(w->row.boot, h->boot, 16);
    w->row.slots = h->slots;
    w->row.seen = now;
    if (w->enrolled && w->once_used) { /* the new key works: the one-time key has served */
        w->enrolled = w->once_used = false;
        (void)core_ok(self, store_worker_join(self->st, worker, w->row.key, &err), &err);
    }
    w->connected = true;
    w->rejecting = false;
    free(w->gate);
    w->gate = NULL;
    self->dispatch = true;
    presence(self, w);
    core_tell_worker_up(self, w);
    core_note_event(self, EVENT_WORKER, worker);
    pw_log(PW_LOG_INFO, "worker_connected", "worker=\"%s\" slots=%" PRIu64 " version=\"%s\"",
           w->row.name, w->row.slots, h->version);
}

void core_worker_held(core *self, uint64_t worker, size_t n)
{
    core_worker *w = core_worker_get(self, worker);
    if (!w || w->held == n)
        return;
    w->held = n;
    if (n)
        pw_log(PW_LOG_WARN, "jobs_held", "worker=\"%s\" jobs=%zu", w->row.name, n);
}

void core_worker_down(core *self, uint64_t worker, const char *why)
{
    core_worker *w = core_worker_get(self, worker);
    pw_err err = {0};
    if (!w || !w->connected)
        return;
    w->connected = false;
    presence(self, w);
    pw_log(PW_LOG_WARN, "worker_missing", "worker=\"%s\" reason=\"%s\"", w->row.name, why);
    if (core_turn(self) &&
        core_ok(self, store_worker_seen(self->st, worker, pw_wall(self->host), &err), &err))
        core_note_event(self, EVENT_WORKER, worker);
}

void core_worker_beat(core *self, uint64_t worker, uint64_t free_slots, const char *gate)
{
    core_worker *w = core_worker_get(self, worker);
    if (!w)
        return;
    if (free_slots > 0 && w->rejecting) {
        w->rejecting = false;
        self->dispatch = true;
    }
    if ((gate != NULL) != (w->gate != NULL) || (gate && strcmp(gate, w->gate) != 0)) {
        if (!replace(self, &w->gate, gate))
            return;
        self->dispatch = true;
        presence(self, w);
        if (core_turn(self))
            core_note_event(self, EVENT_WORKER, worker);
    }
}
