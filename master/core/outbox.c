/* The outbox: a message is a row in the turn that decided it, is under way by another commit before
 * anything leaves, and ends by what came of it. Whatever is killed, the row says what is to be
 * done. */
#include "master/core/outbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/core/parts.h"
#include "master/store/outbox.h"
#include "shared/base/log.h"

static core_target *target_of(const core *self, const char *name)
{
    for (size_t i = 0; i < self->n_targets; i++)
        if (strcmp(self->target[i].conf->name, name) == 0)
            return &self->target[i];
    return NULL;
}

static void well(core *self, core_target *t)
{
    char name[120];
    t->failing = 0;
    if (!t->alarm)
        return;
    t->alarm = false;
    (void)snprintf(name, sizeof(name), "notify %s", t->conf->name);
    core_condition(self, name, NULL);
}

/* Looks what is next. */
static void look(core *self, core_target *t)
{
    pw_err err = {0};
    store_message m;
    t->head = 0;
    t->sending = false;
    int r = store_message_next(self->st, t->conf->name, &m, &err);
    if (r == PW_ENOTFOUND) {
        well(self, t); /* nobody waits for it */
        return;
    }
    if (!core_ok(self, r, &err))
        return;
    pw_msec wait = m.due - pw_wall(self->host);
    if (wait < 0)
        wait = 0;
    if (wait > NOTIFY_GIVE_UP_MS) /* the clock was set back */
        wait = NOTIFY_GIVE_UP_MS;
    t->head = m.id;
    t->due = pw_now(self->host) + wait * 1000;
    store_message_clear(&m);
}

static bool end(core *self, const store_message *m, msg_state to, const char *reason)
{
    pw_err err = {0};
    if (!core_turn(self) ||
        !core_ok(self, store_message_end(self->st, m->id, to, reason, pw_wall(self->host), &err),
                 &err))
        return false;
    if (to == MSG_GIVEN_UP)
        pw_log(PW_LOG_WARN, "message_given_up", "message=%" PRIu64 " key=\"%s\" reason=\"%s\"",
               m->id, m->key, reason);
    return true;
}

/* ---- loading */
typedef struct found {
    char **name;
    uint64_t *open;
    size_t n;
} found;

static int on_target(void *p, const char *target, uint64_t waiting, uint64_t sending)
{
    found *f = p;
    char **name = realloc(f->name, (f->n + 1) * sizeof(*name));
    f->name = name ? name : f->name;
    uint64_t *open = name ? realloc(f->open, (f->n + 1) * sizeof(*open)) : NULL;
    f->open = open ? open : f->open;
    if (!open || !(name[f->n] = strdup(target)))
        return PW_ENOMEM;
    open[f->n++] = waiting + sending;
    return 0;
}

static void found_clear(found *f)
{
    for (size_t i = 0; i < f->n; i++)
        free(f->name[i]);
    free(f->name);
    free(f->open);
}

/* It is under way in this process, whose answer comes to the new core. */
static bool goes_on(const core *self, const char *name, uint64_t id)
{
    const core_target *was = self->before ? target_of(self->before, name) : NULL;
    return was && was->sending && was->head == id;
}

/* What was under way when the master ended: nobody knows what became of it. */
static int cut_short(core *self, const char *name, core_target *t, uint64_t *open, pw_err *err)
{
    for (;;) {
        store_message m;
        pw_usec wait = 0;
        int r = store_message_next(self->st, name, &m, err);
        if (r < 0)
            return r == PW_ENOTFOUND ? 0 : r;
        bool here = goes_on(self, name, m.id);
        if (m.state == MSG_WAITING || (t && here)) {
            store_message_clear(&m);
            return 0;
        }
        notify_try a = {.answer = NOTIFY_CUT_SHORT,
                        .at_most_once = !t || self->set_back || t->conf->at_most_once,
                        .tries = m.tries};
        if (notify_after(&a, &wait) == NOTIFY_WAIT) {
            r = store_message_wait(self->st, m.id, pw_wall(self->host),
                                   "the master ended while it was being sent", err);
        } else {
            r = end(self, &m, MSG_GIVEN_UP,
                    here ? "its target was removed from the configuration while it was being sent"
                         : "the master was killed while it was being sent: it may have arrived")
                    ? 0
                    : self->fault.code;
            --*open;
        }
        store_message_clear(&m);
        if (r < 0)
            return r;
    }
}

int core_outbox_load(core *self, pw_err *err)
{
    PW_AUTO(found_clear) found f = {0};
    size_t n = self->conf->n_notify;
    self->target = calloc(n ? n : 1, sizeof(*self->target));
    if (!self->target)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    for (; self->n_targets < n; self->n_targets++)
        self->target[self->n_targets].conf = &self->conf->notify[self->n_targets];
    if (self->set_back)
        core_outbox_set_back(self, INT64_MAX);
    int r = store_message_targets(self->st, on_target, &f, err);
    for (size_t i = 0; i < f.n && r >= 0; i++) {
        core_target *t = target_of(self, f.name[i]);
        if (!t) {
            r = store_messages_give_up(self->st, f.name[i],
                                       "its target was removed from the configuration",
                                       pw_wall(self->host), INT64_MAX, err);
            if (r < 0)
                break;
        }
        r = cut_short(self, f.name[i], t, &f.open[i], err);
        if (r < 0 || !t)
            continue;
        t->open = f.open[i];
        look(self, t);
        t->sending = t->head && goes_on(self, f.name[i], t->head);
    }
    if (r < 0 && err && !err->code)
        return pw_fail(err, (pw_code)r, "reading the outbox");
    return r < 0 ? r : core_tell_load(self, err);
}

void core_outbox_keep(core *self, core *old)
{
    char name[120];
    for (size_t i = 0; i < old->n_targets; i++) {
        const core_target *was = &old->target[i];
        core_target *t = target_of(self, was->conf->name);
        if (!t) {
            (void)snprintf(name, sizeof(name), "notify %s", was->conf->name);
            if (was->alarm)
                core_condition(self, name, NULL);
            continue;
        }
        t->failing = was->failing;
        t->alarm = was->alarm;
        t->sent = was->sent;
        t->given_up = was->given_up;
        t->window = was->window;
        memcpy(t->trouble, was->trouble, sizeof(t->trouble));
    }
    self->notify_open = self->outbox_due = old->notify_open;
}

void core_outbox_free(core *self)
{
    free(self->target);
    free(self->url);
}

static int count_open(void *p, const char *target, uint64_t waiting, uint64_t sending)
{
    core_target *t = target_of(p, target);
    if (t)
        t->open = waiting + sending;
    return 0;
}

void core_outbox_set_back(core *self, pw_msec before)
{
    pw_err err = {0};
    int r = PW_EINVAL;
    if (core_turn(self))
        r = store_messages_give_up(
            self->st, NULL,
            "the database was set back: it may have been sent before (pawl outbox retry sends it)",
            pw_wall(self->host), before, &err);
    if (r < 0) {
        (void)core_ok(self, r, &err);
        return;
    }
    for (size_t i = 0; i < self->n_targets; i++) {
        self->target[i].open = 0;
        if (!self->target[i].sending)
            look(self, &self->target[i]);
    }
    (void)core_ok(self, store_message_targets(self->st, count_open, self, &err), &err);
}

int core_notify_open(core *self, const char *url, pw_err *err)
{
    bool failed = false;
    char *copy = pw_strdup(url, &failed);
    if (failed)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    free(self->url);
    self->url = copy;
    self->notify_open = true;
    self->outbox_due = true;
    return 0;
}

/* ---- deciding */
void core_outbox_add(core *self, const notify_fact *f, const char *cause)
{
    for (size_t i = 0; i < self->n_targets; i++) {
        core_target *t = &self->target[i];
        config_event event = CONFIG_EVENTS;
        char key[300];
        uint64_t id = 0;
        pw_err err = {0};
        PW_AUTO(pw_buf_clearp) pw_buf body = PW_BUF(CORE_MESSAGE_MAX);
        if (!notify_wants(t->conf, f, &event))
            continue;
        (void)snprintf(key, sizeof(key), "%s/%s", cause, t->conf->name);
        if (notify_body(f, event, key, &body) < 0) {
            (void)core_nomem(self);
            return;
        }
        if (!core_turn(self) || !core_ok(self,
                                         store_message_add(self->st, key, t->conf->name, body.p,
                                                           pw_wall(self->host), &id, &err),
                                         &err))
            return;
        if (!id)
            continue; /* told already */
        t->open++;
        if (t->head)
            continue;
        t->head = id;
        t->due = pw_now(self->host);
    }
}

/* ---- sending */
static void start(core *self, size_t i)
{
    core_target *t = &self->target[i];
    pw_err err = {0};
    store_message m = {0};
    int r;
    bool fold;
    pw_usec wait = core_outbox_held(self, t, &fold);
    if (wait > 0) {
        t->due = pw_now(self->host) + wait;
        return;
    }
    if (!core_turn(self))
        return;
    if ((r = store_message_next(self->st, t->conf->name, &m, &err)) < 0 ||
        (fold && !core_outbox_fold(self, t, &m)) ||
        (r = store_message_send(self->st, m.id, &err)) < 0) {
        (void)core_ok(self, r, &err);
        store_message_clear(&m);
        return;
    }
    notify_rate_count(t->conf, &t->window, pw_now(self->host));
    core_effect *e = core_add_effect(self, CORE_SEND);
    if (e) {
        t->head = e->id = m.id;
        t->sending = true;
        e->attempt = m.tries + 1;
        e->index = i;
        e->job_len = strlen(m.body);
        e->job = (uint8_t *)m.body;
        e->text = m.key;
        m.body = m.key = NULL;
    }
    store_message_clear(&m);
}

static bool ready(const core *self, const core_target *t, pw_usec now)
{
    return self->notify_open && t->head && !t->sending && t->due <= now;
}

void core_outbox_start(core *self)
{
    pw_usec now = pw_now(self->host);
    self->outbox_due = false;
    for (size_t i = 0; i < self->n_targets && !self->fault.code; i++)
        if (ready(self, &self->target[i], now))
            start(self, i);
}

void core_outbox_tick(core *self)
{
    pw_usec now = pw_now(self->host);
    char name[120], text[400];
    for (size_t i = 0; i < self->n_targets; i++) {
        core_target *t = &self->target[i];
        self->outbox_due |= ready(self, t, now);
        if (!t->failing || now - t->failing < CORE_ALARM_US)
            continue;
        t->alarm = true;
        (void)snprintf(name, sizeof(name), "notify %s", t->conf->name);
        (void)snprintf(text, sizeof(text),
                       "%" PRIu64 " messages wait: it has taken none for 10 minutes: %s", t->open,
                       t->trouble);
        core_condition(self, name, text);
    }
}

pw_usec core_outbox_deadline(const core *self)
{
    pw_usec best = INT64_MAX;
    for (size_t i = 0; i < self->n_targets; i++) {
        const core_target *t = &self->target[i];
        if (self->notify_open && t->head && !t->sending && t->due < best)
            best = t->due;
    }
    return best;
}

/* What people read of a message that is not sent any more. */
static const char *why(const notify_try *a, const char *text, char out[600])
{
    const char *more = "";
    if (a->answer == NOTIFY_REFUSED)
        more = "";
    else if (a->at_most_once && a->answer == NOTIFY_SILENT)
        more = ": it may have arrived, and is sent at most once";
    else if (a->at_most_once && a->answer != NOTIFY_UNSENT)
        more = ": it is sent at most once";
    else
        more = ", for a day";
    (void)snprintf(out, 600, "%.500s%s", text, more);
    return out;
}

/* The message of an answer has this state now; t NULL: its target is not in the configuration. */
static void done(core *self, core_target *t, const store_message *m, const notify_try *a,
                 const char *text)
{
    char said[600];
    pw_usec wait = 0;
    pw_err err = {0};
    pw_usec now = pw_now(self->host);
    notify_then then = notify_after(a, &wait);
    if (then == NOTIFY_WAIT) {
        if (!core_turn(self) ||
            !core_ok(
                self,
                store_message_wait(self->st, m->id, pw_wall(self->host) + wait / 1000, text, &err),
                &err))
            return;
        pw_log(m->tries == 1 ? PW_LOG_WARN : PW_LOG_DEBUG, "message_waits",
               "message=%" PRIu64 " key=\"%s\" tries=%" PRIu64 " reason=\"%s\"", m->id, m->key,
               m->tries, text);
    } else if (!end(self, m, then == NOTIFY_DONE ? MSG_SENT : MSG_GIVEN_UP,
                    then == NOTIFY_DONE ? NULL : why(a, text, said))) {
        return;
    }
    if (!t)
        return;
    if (then != NOTIFY_WAIT && m->state < MSG_SENT && t->open > 0)
        t->open--;
    t->sent += then == NOTIFY_DONE;
    t->given_up += then == NOTIFY_GIVE_UP;
    if (a->answer == NOTIFY_TAKEN)
        well(self, t);
    else if (notify_troubled(a->answer)) {
        (void)snprintf(t->trouble, sizeof(t->trouble), "%s", text);
        t->failing = t->failing ? t->failing : now;
    }
    if (then != NOTIFY_WAIT) {
        if (t->head == m->id)
            look(self, t);
    } else {
        t->sending = false;
        t->due = now + wait;
    }
}

void core_outbox_done(core *self, uint64_t id, uint64_t tries, notify_answer answer,
                      pw_usec retry_after, const char *text)
{
    pw_err err = {0};
    store_message m;
    int r = store_message_get(self->st, id, &m, &err);
    if (r == PW_ENOTFOUND)
        return;
    if (!core_ok(self, r, &err))
        return;
    core_target *t = target_of(self, m.target);
    notify_try a = {.answer = answer,
                    .at_most_once = t && t->conf->at_most_once,
                    .tries = m.tries,
                    .age = pw_wall(self->host) - m.created,
                    .retry_after = retry_after,
                    .jitter = (unsigned)(pw_random_u64(self->host) % 1000)};
    /* An answer to a try of which the core has forgotten (it was loaded anew meanwhile) counts when
     * it says that the target has the message; else the newer try decides. */
    bool ours = m.state == MSG_UNDER_WAY && m.tries == tries;
    if (ours || (answer == NOTIFY_TAKEN && m.state != MSG_SENT))
        done(self, t, &m, &a, text);
    store_message_clear(&m);
}

void core_outbox_remote(core *self, uint64_t id, const char *remote)
{
    pw_err err = {0};
    if (core_turn(self))
        (void)core_ok(self, store_message_remote(self->st, id, remote, &err), &err);
}

/* ---- commands */
static bool find(core *self, core_cmd *c, store_message *m)
{
    pw_err err = {0};
    int r = store_message_get(self->st, c->id, m, &err);
    if (r == PW_ENOTFOUND)
        core_cmd_fail(c, 404, "not_found", "there is no message %" PRIu64, c->id);
    else if (core_ok(self, r, &err))
        return true;
    return false;
}

static void answer(core *self, core_cmd *c, const char *action, const char *key)
{
    if (!core_audit(self, c, action, key))
        return;
    c->status = 202;
    (void)pw_buf_addf(&c->body, "{\"id\":%" PRIu64 "}", c->id);
}

void core_cmd_outbox_retry(core *self, core_cmd *c)
{
    pw_err err = {0};
    store_message m;
    if (!find(self, c, &m))
        return;
    core_target *t = target_of(self, m.target);
    if (m.state == MSG_SENT || m.state == MSG_UNDER_WAY) {
        core_cmd_fail(c, 409, "conflict", "message %" PRIu64 " %s", c->id,
                      m.state == MSG_SENT ? "was sent" : "is being sent");
    } else if (!t) {
        core_cmd_fail(c, 409, "conflict", "its target \"%s\" is not in the configuration any more",
                      m.target);
    } else if (core_turn(self) &&
               core_ok(self, store_message_again(self->st, m.id, pw_wall(self->host), &err),
                       &err)) {
        t->open += m.state == MSG_GIVEN_UP;
        if (!t->sending)
            look(self, t);
        answer(self, c, "outbox.retry", m.key);
    }
    store_message_clear(&m);
}

void core_cmd_outbox_drop(core *self, core_cmd *c)
{
    store_message m;
    char reason[600];
    if (!find(self, c, &m))
        return;
    core_target *t = target_of(self, m.target);
    (void)snprintf(reason, sizeof(reason), "dropped by %.100s%s%.400s", c->actor ? c->actor : "?",
                   c->reason ? ": " : "", c->reason ? c->reason : "");
    if (m.state != MSG_WAITING) {
        core_cmd_fail(c, 409, "conflict", "message %" PRIu64 " %s", c->id,
                      m.state == MSG_SENT        ? "was sent"
                      : m.state == MSG_UNDER_WAY ? "is being sent"
                                                 : "was given up already");
    } else if (end(self, &m, MSG_GIVEN_UP, reason)) {
        if (t) {
            t->open -= t->open > 0;
            t->given_up++;
            if (t->head == m.id)
                look(self, t);
        }
        answer(self, c, "outbox.drop", m.key);
    }
    store_message_clear(&m);
}

bool core_target_get(const core *self, size_t i, core_target_figures *ret)
{
    if (i >= self->n_targets)
        return false;
    const core_target *t = &self->target[i];
    *ret = (core_target_figures){t->conf->name, t->open, t->sent, t->given_up};
    return true;
}
