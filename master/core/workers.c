/* Workers: enrolment, sessions, states. A worker is its key, never a name that it claims. */
#include "master/core/parts.h"

#include <inttypes.h>
#include <stdio.h>
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

/* ---- quarantine */
/* The n-th in a row, from 1 on. */
static pw_msec rest_ms(uint64_t n)
{
    pw_msec ms = CORE_QUARANTINE_MS;
    for (uint64_t i = 1; i < n && ms < CORE_QUARANTINE_MAX_MS; i++)
        ms *= 2;
    return ms < CORE_QUARANTINE_MAX_MS ? ms : CORE_QUARANTINE_MAX_MS;
}

static bool strikes(core *self, core_worker *w, uint64_t n, uint64_t rests)
{
    pw_err err = {0};
    if (w->row.strikes == n && w->row.rests == rests)
        return true;
    if (!core_turn(self) ||
        !core_ok(self, store_worker_strikes(self->st, w->row.id, n, rests, &err), &err))
        return false;
    w->row.strikes = n;
    w->row.rests = rests;
    return true;
}

/* Who paused it keeps the word: a pause is longer than any quarantine. */
static void rest_until(core *self, core_worker *w, pw_msec until, const char *why)
{
    pw_err err = {0};
    bool kept = w->row.paused || w->row.draining;
    if (!core_turn(self) ||
        !core_ok(self,
                 store_worker_flags(self->st, w->row.id, w->row.paused, w->row.draining,
                                    w->row.removed, until, kept ? w->row.reason : why,
                                    kept ? w->row.who : NULL, &err),
                 &err) ||
        (!kept && (!replace(self, &w->row.reason, why) || !replace(self, &w->row.who, NULL))))
        return;
    w->row.quarantine = until;
    core_note_event(self, EVENT_WORKER, w->row.id);
}

void core_worker_quarantine(core *self, core_worker *w, const char *why)
{
    pw_msec ms = rest_ms(w->row.rests + 1);
    if (!strikes(self, w, w->row.strikes, w->row.rests + 1))
        return;
    rest_until(self, w, pw_wall(self->host) + ms, why);
    pw_log(PW_LOG_WARN, "worker_quarantined", "worker=\"%s\" ms=%" PRId64 " reason=\"%s\"",
           w->row.name, ms, why);
}

void core_worker_quarantine_tick(core *self, core_worker *w, pw_msec wall)
{
    pw_msec most = wall + rest_ms(w->row.rests);
    PW_AUTO(pw_freep) char *why = pw_strf("%s", w->row.reason ? w->row.reason : "");
    if (!why || (w->row.quarantine > wall && w->row.quarantine <= most))
        return;
    if (w->row.quarantine > most) {
        rest_until(self, w, most, why);
        return;
    }
    rest_until(self, w, 0, NULL);
    self->dispatch = true;
}

void core_worker_judge(core *self, core_worker *w, uint64_t build, pw_result result)
{
    if (result == PW_CANCELLED || (result == PW_EXCEPTION && w->struck == build))
        return;
    if (result != PW_EXCEPTION) {
        w->struck = 0;
        (void)strikes(self, w, 0, 0);
        return;
    }
    if (!strikes(self, w, w->row.strikes + 1, w->row.rests))
        return;
    w->struck = build;
    if (w->row.strikes < CORE_STRIKES || w->row.quarantine > pw_wall(self->host))
        return;
    char why[100];
    (void)snprintf(why, sizeof(why), "%" PRIu64 " builds in a row ended as exception on it",
                   w->row.strikes);
    core_worker_quarantine(self, w, why);
}

void core_worker_empty(core *self, const core_worker *w)
{
    if (!w->row.draining || w->row.removed)
        return;
    core_note_event(self, EVENT_WORKER, w->row.id);
    pw_log(PW_LOG_INFO, "worker_drained", "worker=\"%s\"", w->row.name);
}

/* ---- presence */

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
    w->read_at = 0; /* what moves comes with its first heartbeat */
    w->read = (core_reading){0};
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

/* A reader of rows must not be far behind, and an idle master must not write. */
static bool moved(const core_reading *was, const core_reading *now, pw_msec skew)
{
    uint64_t disk = now->disk > was->disk ? now->disk - was->disk : was->disk - now->disk;
    uint64_t load = now->load_milli > was->load_milli ? now->load_milli - was->load_milli
                                                      : was->load_milli - now->load_milli;
    pw_msec clock = skew > was->wall ? skew - was->wall : was->wall - skew;
    return disk > was->disk / 16 || load > 500 + was->load_milli / 4 || clock > 1000;
}

void core_worker_reading(core *self, uint64_t worker, const core_reading *r)
{
    core_worker *w = core_worker_get(self, worker);
    char disk[24], load[32], skew[24];
    pw_err err = {0};
    if (!w)
        return;
    pw_msec ahead = r->wall ? r->wall - pw_wall(self->host) : 0, seen = core_seen(self);
    (void)snprintf(disk, sizeof(disk), "%" PRIu64, r->disk);
    (void)snprintf(load, sizeof(load), "%" PRIu64 ".%02" PRIu64, r->load_milli / 1000,
                   r->load_milli % 1000 / 10);
    (void)snprintf(skew, sizeof(skew), "%" PRId64, ahead);
    if (core_fact_set(&w->row.facts, "disk", disk, &err) < 0 || /* told again in 10 s */
        core_fact_set(&w->row.facts, "load", load, &err) < 0 ||
        (r->wall && core_fact_set(&w->row.facts, "skew_ms", skew, &err) < 0))
        return;
    if (!moved(&w->read, r, ahead) || (w->read_at && seen - w->read_at < CORE_READING_MS))
        return;
    if (!core_turn(self) ||
        !core_ok(self, store_worker_facts(self->st, worker, w->row.facts, &err), &err))
        return;
    w->read = *r;
    w->read.wall = ahead;
    w->read_at = seen;
    self->dispatch = true; /* it may have the room now that a build wants */
    core_note_event(self, EVENT_WORKER, worker);
}
