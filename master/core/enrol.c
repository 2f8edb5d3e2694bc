/* How a worker gets its key: a one-time key on a line, a join with it, and from then on the
 * worker's own. An enrolment is good for one key: which one is in its row (`used`), so that the
 * same join may be said again when its answer was lost, and none other is taken. */
#include "master/core/parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/fault.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"
#include "shared/crypt/crypt.h"

/* `used` of an enrolment that is to replace a key: open, although the worker has one. Rows of a
 * worker with a key that say nothing are of an older master, and used by that key. */
static const uint8_t OPEN[1] = {0};

void core_set_join(core *self, core_join_line *fn, void *fn_self)
{
    self->join = fn;
    self->join_self = fn_self;
}

void core_enrol_load(core_worker *w, const uint8_t *used, size_t n)
{
    w->once_used = false;
    if (n == sizeof(w->used)) {
        w->once_used = true;
        memcpy(w->used, used, sizeof(w->used));
    } else if (n == 0 && w->row.has_key) {
        w->once_used = true;
        memcpy(w->used, w->row.key, sizeof(w->used));
    }
}

/* ---- the line */
bool core_enrol_line(core *self, core_worker *w, pw_msec until, pw_buf *line)
{
    pw_err err = {0};
    uint8_t pub[32], sec[32];
    crypt_keypair(pub, sec);
    int r = self->join(self->join_self, w->row.name, sec, until, line, &err);
    explicit_bzero(sec, sizeof(sec));
    if (!core_ok(self, r, &err) ||
        !core_ok(self, store_enrol_put(self->st, w->row.id, pub, until, &err), &err) ||
        (w->row.has_key &&
         !core_ok(self, store_enrol_use(self->st, w->row.id, OPEN, sizeof(OPEN), &err), &err)))
        return false;
    w->enrolled = true;
    w->once_used = false;
    w->once_expires = until;
    memcpy(w->once, pub, 32);
    core_note_event(self, EVENT_WORKER, w->row.id);
    return true;
}

/* A fresh one-time key; the line with it is the answer, and is kept nowhere. */
static void enrol(core *self, core_cmd *c, core_worker *w)
{
    char at[PW_TIME_MAX];
    pw_msec until = pw_wall(self->host) + CORE_ENROL_MS;
    PW_AUTO(pw_buf_clearp) pw_buf line = PW_BUF(4096);
    if (!self->join) {
        core_cmd_fail(c, 503, "unavailable", "this master has no address for workers");
        return;
    }
    if (pw_fault("join.enrol")) {
        core_cmd_fail(c, 503, "unavailable", "fault point join.enrol");
        return;
    }
    if (!core_enrol_line(self, w, until, &line))
        return;
    bool failed = false;
    free(c->keep);
    c->keep = pw_strdup(w->row.name, &failed);
    if (failed) {
        (void)core_nomem(self);
        return;
    }
    c->status = 202;
    pw_buf_reset(&c->body);
    (void)pw_buf_adds(&c->body, "{\"name\":");
    (void)pw_buf_json(&c->body, w->row.name);
    (void)pw_buf_adds(&c->body, ",\"line\":");
    (void)pw_buf_json(&c->body, pw_buf_str(&line));
    (void)pw_buf_addf(&c->body, ",\"expires\":\"%s\"}", pw_time_text(until, at));
    explicit_bzero(line.p, line.len);
}

core_worker *core_worker_by_name(const core *self, const char *name)
{
    core_worker *w = NULL;
    for (size_t pos = 0; name && (w = pw_table_next(self->workers, &pos));)
        if (strcmp(w->row.name, name) == 0)
            return w;
    return NULL;
}

static core_worker *new_worker(core *self, const char *name, uint64_t id, pw_msec now)
{
    bool failed = false;
    pw_err err = {0};
    core_worker *w = calloc(1, sizeof(*w));
    if (w) {
        w->row.id = id;
        w->row.created = now;
        w->row.name = pw_strdup(name, &failed);
    }
    if (w && !failed && pw_table_put(self->workers, id, w, &err) == 0)
        return w;
    if (w)
        store_worker_clear(&w->row);
    free(w);
    (void)core_nomem(self);
    return NULL;
}

core_worker *core_worker_make(core *self, const char *name)
{
    pw_err err = {0};
    uint64_t id;
    pw_msec now = pw_wall(self->host);
    core_worker *w = core_worker_by_name(self, name);
    if (!core_turn(self) || !core_ok(self, store_worker_add(self->st, name, now, &id, &err), &err))
        return NULL;
    if (!w)
        return new_worker(self, name, id, now);
    w->row.removed = w->row.has_key = w->row.paused = w->row.draining = false;
    w->row.strikes = w->row.rests = w->struck = 0;
    w->row.quarantine = 0;
    free(w->row.reason);
    free(w->row.who);
    free(w->row.provider);
    w->row.reason = w->row.who = w->row.provider = NULL;
    return w;
}

void core_cmd_worker_add(core *self, core_cmd *c)
{
    if (!c->name || !pw_name_ok(c->name)) {
        core_cmd_fail(c, 400, "bad_request",
                      "a worker's name has 1 to 100 letters, digits and . _ + = , @ -");
        return;
    }
    core_worker *w = core_worker_by_name(self, c->name);
    if (w && !w->row.removed && w->row.has_key) {
        core_cmd_fail(c, 409, "conflict", "there is a worker \"%s\" already", c->name);
        return;
    }
    if (!core_turn(self))
        return;
    /* one that was removed comes back; one that never joined gets another line */
    if ((!w || w->row.removed) && !(w = core_worker_make(self, c->name)))
        return;
    enrol(self, c, w);
    if (c->status == 202 && !core_audit(self, c, "worker.add", c->name))
        c->status = 0;
}

/* The key that the worker has goes on until another one joins with this line. */
void core_cmd_worker_rotate(core *self, core_cmd *c)
{
    core_worker *w = core_worker_by_name(self, c->name);
    if (!w || w->row.removed) {
        core_cmd_fail(c, 404, "not_found", "there is no worker \"%s\"", c->name ? c->name : "");
        return;
    }
    if (!w->row.has_key) {
        core_cmd_fail(c, 409, "conflict",
                      "worker \"%s\" has not joined yet: it has no key to be replaced", c->name);
        return;
    }
    if (!core_turn(self))
        return;
    enrol(self, c, w);
    if (c->status == 202 && !core_audit(self, c, "worker.rotate", c->name))
        c->status = 0;
}

void core_enrol_again(core *self, core_cmd *c, const char *name)
{
    core_worker *w = core_worker_by_name(self, name);
    if (!w || w->row.removed || !w->enrolled || w->once_used) {
        core_cmd_fail(c, 409, "conflict",
                      "this request was answered already, and the line of the answer was used; "
                      "for another one: pawl worker rotate %s",
                      name);
        return;
    }
    if (core_turn(self))
        enrol(self, c, w);
}

/* ---- the join */
int core_worker_join(core *self, uint64_t worker, const uint8_t once[32], const char *name,
                     const uint8_t key[32], pw_err *err)
{
    core_worker *w = core_worker_get(self, worker);
    pw_err e = {0};
    if (!w || w->row.removed || strcmp(w->row.name, name) != 0)
        return pw_fail(err, PW_EDENIED, "the token is not for a worker called \"%s\"", name);
    if (!w->enrolled || !crypt_equal(w->once, once, 32))
        return pw_fail(err, PW_EDENIED, "the token was used already");
    if (w->once_used) /* the same join may be said again: its answer was lost */
        return crypt_equal(w->used, key, 32)
                   ? 0
                   : pw_fail(err, PW_EDENIED, "the token was used already");
    if (w->row.has_key && crypt_equal(w->row.key, key, 32))
        return pw_fail(err, PW_EDENIED,
                       "this is the key that is to be replaced: upgrade the worker's programs");
    /* another worker's key would make two of one */
    bool is_enrol;
    if (core_key_owner(self, key, &is_enrol) != 0)
        return pw_fail(err, PW_EDENIED, "this key is in use already");
    if (pw_fault("worker.join"))
        return pw_fail(err, PW_ESYS, "the master cannot write its database: fault asked for");
    bool rotated = w->row.has_key;
    /* the one-time key stays good for the same key until it expires or the new key is used */
    if (!core_turn(self) || !core_ok(self, store_worker_join(self->st, worker, key, &e), &e) ||
        !core_ok(self, store_enrol_put(self->st, worker, once, w->once_expires, &e), &e) ||
        !core_ok(self, store_enrol_use(self->st, worker, key, 32, &e), &e) ||
        !core_ok(self,
                 store_audit_add(self->st, pw_wall(self->host), name, "worker.join", name,
                                 rotated ? "the key was replaced" : NULL, &e),
                 &e))
        return pw_fail(err, PW_ESYS, "the master cannot write its database");
    memcpy(w->row.key, key, 32);
    memcpy(w->used, key, 32);
    w->row.has_key = w->once_used = true;
    /* what the old key had open ends now, not with its next message */
    core_effect *d = rotated ? core_add_effect(self, CORE_DROP) : NULL;
    if (d) {
        d->worker = worker;
        d->text = pw_strf("its key was replaced");
    }
    core_note_event(self, EVENT_WORKER, worker);
    pw_log(PW_LOG_INFO, "worker_joined", "worker=\"%s\" rotated=%d", name, (int)rotated);
    return 0;
}
