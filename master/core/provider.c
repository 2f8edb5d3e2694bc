/* Elastic workers. What a provider is asked for is a row first: a machine that was asked for and of
 * which no answer was recorded may or may not be there, so its provider's list is read before
 * anything is concluded. A machine is known by the handle that its provider gave it; the name of
 * its worker tells which one it is when that answer was lost. */
#include "master/core/provider.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/base/num.h"

bool provider_has_tag(const core *self, const core_provider *p, const char *tag)
{
    char name[PW_NAME_MAX + 1], value[PW_TEXT_MAX + 1];
    size_t n = strcspn(tag, "=");
    for (size_t i = 0; i < p->conf->tags.n; i++)
        if (strcmp(p->conf->tags.v[i], tag) == 0)
            return true;
    if (!tag[n] || n >= sizeof(name) || strncmp(tag, "worker=", 7) == 0)
        return false;
    /* a fact: as its machines had it so far; before the first one nobody knows */
    memcpy(name, tag, n);
    name[n] = '\0';
    const core_worker *w;
    for (size_t pos = 0; (w = pw_table_next(self->workers, &pos));)
        if (w->row.provider && strcmp(w->row.provider, p->conf->name) == 0 &&
            core_fact_get(w->row.facts, name, value, sizeof(value)))
            return strcmp(value, tag + n + 1) == 0;
    return true;
}

bool provider_fits(const core *self, const core_provider *p, const core_builder *b)
{
    for (size_t i = 0; b->conf && i < b->conf->tags.n; i++)
        if (!provider_has_tag(self, p, b->conf->tags.v[i]))
            return false;
    return b->conf != NULL;
}

/* ---- rows */
bool provider_put(core *self, core_machine *m, machine_state to, const char *reason)
{
    pw_err err = {0};
    bool failed = false;
    char *why = pw_strdup(reason ? reason : m->reason, &failed);
    if (failed) {
        (void)core_nomem(self);
        return false;
    }
    free(m->reason);
    m->reason = why;
    m->state = to;
    return core_turn(self) &&
           core_ok(self,
                   store_machine_put(self->st, m->id, to, m->handle, m->reason,
                                     to == MACHINE_GONE ? pw_wall(self->host) : 0, &err),
                   &err);
}

static core_machine *add(core *self, uint64_t id, uint64_t worker, const char *of)
{
    bool failed = false;
    core_machine *m = calloc(1, sizeof(*m));
    if (self->n_machines == self->cap_machines) {
        size_t cap = self->cap_machines ? 2 * self->cap_machines : 16;
        core_machine **v = realloc(self->machine, cap * sizeof(*v));
        if (v) {
            self->machine = v;
            self->cap_machines = cap;
        }
    }
    char *name = pw_strdup(of, &failed);
    if (!m || failed || self->n_machines == self->cap_machines) {
        free(name);
        free(m);
        (void)core_nomem(self);
        return NULL;
    }
    *m = (core_machine){.id = id, .worker = worker, .provider = SIZE_MAX, .of = name};
    for (size_t i = 0; i < self->conf->n_providers; i++)
        if (strcmp(self->conf->providers[i].name, of) == 0)
            m->provider = i;
    self->machine[self->n_machines++] = m;
    return m;
}

static void drop(core *self, size_t i)
{
    core_machine *m = self->machine[i];
    self->machine[i] = self->machine[--self->n_machines];
    free(m->of);
    free(m->handle);
    free(m->reason);
    free(m);
}

core_machine *provider_machine(const core *self, uint64_t id)
{
    for (size_t i = 0; i < self->n_machines; i++)
        if (self->machine[i]->id == id)
            return self->machine[i];
    return NULL;
}

/* ---- trouble */
void provider_failed(core *self, size_t i, core_provider_act act, const char *text)
{
    static const char *const names[] = {"start", "stop", "list"};
    core_provider *p = &self->provider[i];
    core_trouble *t = &p->trouble[act];
    pw_usec pause = PROVIDER_PAUSE_MIN;
    for (unsigned k = 0; k < t->failures && pause < PROVIDER_PAUSE_MAX; k++)
        pause *= 2;
    t->failures++;
    t->not_before = pw_now(self->host) + (pause < PROVIDER_PAUSE_MAX ? pause : PROVIDER_PAUSE_MAX);
    free(t->text);
    t->text = pw_strf("%s: %s", names[act], text); /* without memory it is told without a reason */
    pw_log(PW_LOG_WARN, "provider_failed", "provider=\"%s\" command=%s failures=%u reason=\"%s\"",
           p->conf->name, names[act], t->failures, text);
}

void provider_well(core_provider *p, core_provider_act act)
{
    free(p->trouble[act].text);
    p->trouble[act] = (core_trouble){0};
}

/* A line for people: what was given up, and why. */
void provider_report(core *self, const core_machine *m, const char *action, const char *text)
{
    pw_err err = {0};
    pw_log(PW_LOG_WARN, "provider_machine",
           "provider=\"%s\" worker=\"%s\" handle=\"%s\" reason=\"%s\"", m->of,
           core_worker_name(self, m->worker), m->handle ? m->handle : "", text);
    if (core_turn(self))
        (void)core_ok(self,
                      store_audit_add(self->st, pw_wall(self->host), m->of, action,
                                      core_worker_name(self, m->worker), text, &err),
                      &err);
}

/* ---- the end of a machine */
/* What it still had is lost, and is known to be: nobody waits for it. */
static void lose_jobs(core *self, const core_worker *w)
{
    core_attempt *a;
    size_t pos = 0;
    while (!self->fault.code && (a = core_attempt_next(self, w->row.id, &pos))) {
        if (a->state <= ATT_RUNNING)
            core_att_lost(self, a, "its worker's machine is gone");
        else
            core_attempt_forget(self, a);
        pos = 0; /* it is out of the table */
    }
}

static void remove_worker(core *self, core_worker *w, const char *of, const char *reason)
{
    pw_err err = {0};
    bool failed = false;
    lose_jobs(self, w);
    if (w->row.removed)
        return;
    char *why = pw_strdup(reason, &failed), *who = pw_strf("provider %s", of);
    if (failed || !who) {
        free(why);
        free(who);
        (void)core_nomem(self);
        return;
    }
    free(w->row.reason);
    free(w->row.who);
    w->row.reason = why;
    w->row.who = who;
    if (!core_turn(self) ||
        !core_ok(self,
                 store_worker_flags(self->st, w->row.id, false, false, true, 0, why, who, &err),
                 &err) ||
        !core_ok(self, store_worker_revoke(self->st, w->row.id, &err), &err))
        return;
    w->row.removed = true;
    w->row.paused = w->row.draining = w->row.has_key = w->enrolled = w->once_used = false;
    w->row.quarantine = 0;
    core_effect *e = core_add_effect(self, CORE_DROP);
    if (e) {
        e->worker = w->row.id;
        e->text = pw_strf("its machine is gone");
    }
    self->dispatch = true;
    core_note_event(self, EVENT_WORKER, w->row.id);
}

void provider_gone(core *self, core_machine *m, const char *reason)
{
    core_worker *w = core_worker_get(self, m->worker);
    size_t i = 0, same = 0;
    if (!provider_put(self, m, MACHINE_GONE, reason))
        return;
    for (size_t k = 0; k < self->n_machines; k++) {
        i = self->machine[k] == m ? k : i;
        same += self->machine[k]->worker == m->worker;
    }
    /* another machine may have that name now, or a worker that a person added */
    if (w && same == 1 && w->row.provider && strcmp(w->row.provider, m->of) == 0)
        remove_worker(self, w, m->of, m->reason ? m->reason : "its machine is gone");
    pw_log(PW_LOG_INFO, "provider_gone", "provider=\"%s\" worker=\"%s\"", m->of,
           core_worker_name(self, m->worker));
    drop(self, i);
}

/* Takes no more jobs from this turn on. */
static void give_back(core *self, core_machine *m, const char *reason)
{
    pw_err err = {0};
    core_worker *w = core_worker_get(self, m->worker);
    if (!provider_put(self, m, MACHINE_STOPPING, reason) || !w || w->row.removed)
        return;
    if (core_ok(self,
                store_worker_flags(self->st, w->row.id, w->row.paused, true, false,
                                   w->row.quarantine, reason, m->of, &err),
                &err)) {
        bool failed = false;
        w->row.draining = true;
        free(w->row.reason);
        w->row.reason = pw_strdup(reason, &failed); /* without memory it is not shown */
        core_note_event(self, EVENT_WORKER, w->row.id);
    }
}

/* ---- commands */
static core_effect *command(core *self, size_t i, core_provider_act act, const core_machine *m)
{
    core_effect *e = core_add_effect(self, CORE_PROVIDER);
    if (!e)
        return NULL;
    e->index = i;
    e->attempt = act;
    e->id = m ? m->id : 0;
    e->text = pw_strf("%s", m ? core_worker_name(self, m->worker) : "");
    if (act == CORE_STOP && m && m->handle && (e->job = (uint8_t *)pw_strf("%s", m->handle)))
        e->job_len = strlen(m->handle);
    if (!e->text || (act == CORE_STOP && !e->job))
        (void)core_nomem(self);
    return e;
}

static void list(core *self, size_t i)
{
    core_provider *p = &self->provider[i];
    if (!command(self, i, CORE_LIST, NULL))
        return;
    p->listing = true;
    p->lists++;
}

/* The row of a machine that somebody else may have made: it is only asked to be stopped. */
void provider_stray(core *self, size_t i, uint64_t worker, const char *handle, const char *reason)
{
    pw_err err = {0};
    uint64_t id;
    bool failed = false;
    if (!core_turn(self) || !core_ok(self,
                                     store_machine_add(self->st, self->provider[i].conf->name,
                                                       worker, core_seen(self), &id, &err),
                                     &err))
        return;
    core_machine *m = add(self, id, worker, self->provider[i].conf->name);
    if (!m)
        return;
    m->created = core_seen(self);
    m->handle = pw_strdup(handle, &failed);
    m->list_from = self->provider[i].lists + 1;
    if (failed) {
        (void)core_nomem(self);
        return;
    }
    if (provider_put(self, m, MACHINE_STOPPING, reason))
        provider_report(self, m, "provider.stray", reason);
}

/* The least number whose name is free: a name is used again once its machine is gone. */
static core_worker *new_worker(core *self, const char *of)
{
    char name[120];
    for (unsigned k = 1;; k++) {
        (void)snprintf(name, sizeof(name), "%s-%u", of, k);
        const core_worker *w = core_worker_by_name(self, name);
        bool used = w && !w->row.removed;
        for (size_t i = 0; w && !used && i < self->n_machines; i++)
            used = self->machine[i]->worker == w->row.id;
        if (!used)
            return core_worker_make(self, name);
    }
}

static bool start_one(core *self, size_t i)
{
    pw_err err = {0};
    bool failed = false;
    core_provider *p = &self->provider[i];
    const char *of = p->conf->name;
    uint64_t id;
    PW_AUTO(pw_buf_clearp) pw_buf line = PW_BUF(4096);
    if (!self->join || !core_turn(self))
        return false;
    core_worker *w = new_worker(self, of);
    pw_msec until = pw_wall(self->host) + p->conf->join_within / 1000 + 60000;
    if (!w || !core_ok(self, store_worker_provider(self->st, w->row.id, of, &err), &err) ||
        !core_ok(self, store_machine_add(self->st, of, w->row.id, core_seen(self), &id, &err),
                 &err) ||
        !core_enrol_line(self, w, until, &line))
        return false;
    w->row.provider = pw_strdup(of, &failed);
    core_machine *m = failed ? NULL : add(self, id, w->row.id, of);
    core_effect *e = m ? command(self, i, CORE_START, m) : NULL;
    const char *token = strrchr(pw_buf_str(&line), ' ');
    if (e) {
        token = token ? token + 1 : pw_buf_str(&line);
        e->job_len = strlen(token);
        e->job = (uint8_t *)pw_strf("%s", token);
    }
    if (line.p)
        explicit_bzero(line.p, line.cap);
    if (!e || !e->job) {
        (void)core_nomem(self);
        return false;
    }
    m->created = core_seen(self);
    m->busy = true;
    pw_log(PW_LOG_INFO, "provider_starts", "provider=\"%s\" worker=\"%s\"", of, w->row.name);
    return true;
}

/* ---- each second */
/* Nothing to do, and nothing of it is to be shipped any more. */
static bool idle(core *self, const core_worker *w)
{
    size_t pos = 0;
    return w->connected && w->busy == 0 && !core_attempt_next(self, w->row.id, &pos);
}

static void look(core *self, size_t i, core_machine *m)
{
    core_provider *p = &self->provider[i];
    const core_worker *w = core_worker_get(self, m->worker);
    pw_usec now = pw_now(self->host);
    char text[100], within[32];
    if (m->state == MACHINE_STOPPING && !m->busy && m->handle &&
        now >= p->trouble[CORE_STOP].not_before) {
        m->busy = command(self, i, CORE_STOP, m) != NULL;
        return;
    }
    if (m->state != MACHINE_MADE || !w)
        return;
    if (!m->joined && w->row.has_key && w->connected) {
        m->joined = true;
        provider_well(p, CORE_START);
    }
    if (!idle(self, w) || (w->row.paused && !w->row.removed))
        m->idle_at = 0;
    else if (!m->idle_at)
        m->idle_at = now ? now : 1;
    bool away = (m->joined || w->row.has_key) && !w->connected;
    m->away_at = !away ? 0 : m->away_at ? m->away_at : now;
    pw_usec most = p->conf->join_within > self->conf->lost_after ? p->conf->join_within
                                                                 : self->conf->lost_after;
    if (away && now - m->away_at > most) {
        (void)snprintf(text, sizeof(text), "its worker was missing for %s",
                       pw_duration_text(most, within));
        provider_report(self, m, "provider.gave_back", text);
        give_back(self, m, text);
    } else if (w->row.removed) {
        give_back(self, m, "its worker was removed");
    } else if (w->row.draining && idle(self, w)) {
        give_back(self, m, "its worker was drained");
    } else if (!m->joined && core_seen(self) - m->created > p->conf->join_within / 1000) {
        (void)snprintf(text, sizeof(text), "its worker did not join within %s",
                       pw_duration_text(p->conf->join_within, within));
        provider_report(self, m, "provider.gave_back", text);
        provider_failed(self, i, CORE_START, text);
        give_back(self, m, text);
    }
}

/* How many of the builders' requests each provider is to care for, in the configuration's order:
 * left[] is what those before it leave. */
static size_t demand(core *self, size_t i, const provide_facts *f, size_t *left)
{
    size_t at = 0;
    size_t all = f->starting + f->up + f->leaving, took = 0;
    size_t room = f->slots * (f->starting + (f->held || all >= f->max ? 0 : f->max - all));
    for (core_builder *b = NULL; took < room && (b = core_builder_next(self, b)); at++) {
        if (!left[at] || !provider_fits(self, &self->provider[i], b))
            continue;
        size_t n = left[at] < room - took ? left[at] : room - took;
        left[at] -= n;
        took += n;
    }
    return took;
}

bool provider_joined(const core *self, const core_machine *m)
{
    const core_worker *w = core_worker_get(self, m->worker);
    return m->joined || (w && w->row.has_key && w->connected);
}

/* It will take what waits: it has not joined yet, or was here a moment ago. A master that was just
 * started knows its workers only when they have said hello. */
static bool coming(const core *self, const core_machine *m, pw_usec now)
{
    const core_worker *w = core_worker_get(self, m->worker);
    if (w && w->row.has_key && w->connected)
        return false;
    return !m->joined || !m->away_at || now - m->away_at < PROVIDER_AWAY;
}

provide_facts provider_count(const core *self, size_t i)
{
    const core_provider *p = &self->provider[i];
    pw_usec now = pw_now(self->host);
    provide_facts f = {.slots = p->conf->slots,
                       .min = p->conf->min,
                       .max = p->conf->max,
                       .held = now < p->trouble[CORE_START].not_before ||
                               now < p->trouble[CORE_LIST].not_before};
    for (size_t k = 0; k < self->n_machines; k++) {
        const core_machine *m = self->machine[k];
        if (m->provider != i)
            continue;
        if (m->state >= MACHINE_STOPPING)
            f.leaving++;
        else if (coming(self, m, now))
            f.starting++;
        else
            f.up++;
        f.idle += m->state == MACHINE_MADE && m->joined && m->idle_at &&
                  now - m->idle_at >= p->conf->idle;
    }
    return f;
}

static void stop_idle(core *self, size_t i, size_t n)
{
    const core_provider *p = &self->provider[i];
    pw_usec now = pw_now(self->host);
    for (; n > 0; n--) {
        core_machine *best = NULL;
        for (size_t k = 0; k < self->n_machines; k++) {
            core_machine *m = self->machine[k];
            if (m->provider == i && m->state == MACHINE_MADE && m->joined && m->idle_at &&
                now - m->idle_at >= p->conf->idle && (!best || m->idle_at < best->idle_at))
                best = m;
        }
        if (!best)
            return;
        give_back(self, best, "it had nothing to do");
    }
}

static void provide(core *self, size_t i, size_t *left)
{
    core_provider *p = &self->provider[i];
    pw_usec now = pw_now(self->host);
    bool soon = false, any = false;
    for (size_t k = 0; k < self->n_machines && !self->fault.code; k++) {
        core_machine *m = self->machine[k];
        if (m->provider != i)
            continue;
        look(self, i, m);
        any = true;
        soon |= m->state == MACHINE_STOPPED || (m->state == MACHINE_ASKED && !m->busy) ||
                m->absent > 0 || (m->away_at && now - m->away_at < PROVIDER_AWAY);
    }
    if (!any) /* nothing that its list could tell of */
        p->list_at = now + PROVIDER_LIST_EACH;
    provide_facts f = provider_count(self, i);
    f.waiting = demand(self, i, &f, left);
    provide_plan plan = provide_decide(&f);
    stop_idle(self, i, plan.stop);
    for (size_t k = 0; k < plan.start && start_one(self, i); k++)
        any = true;
    if (soon && p->list_at > now + PROVIDER_LIST_SOON)
        p->list_at = now + PROVIDER_LIST_SOON;
    if (any && !p->listing && now >= p->list_at && now >= p->trouble[CORE_LIST].not_before)
        list(self, i);
    for (size_t k = 0; k < self->n_machines && !self->fault.code; k++)
        if (self->machine[k]->provider == i && self->machine[k]->state == MACHINE_STOPPING)
            look(self, i, self->machine[k]);
}

void core_provide(core *self)
{
    if (!self->conf->n_providers || self->fault.code)
        return;
    size_t n = 0, at = 0;
    for (core_builder *b = NULL; (b = core_builder_next(self, b));)
        n++;
    PW_AUTO(pw_freep) size_t *left = calloc(n + 1, sizeof(*left));
    if (!left)
        return; /* the next second */
    for (core_builder *b = NULL; !core_why_full(self) && (b = core_builder_next(self, b));)
        left[at++] = b->n;
    for (size_t i = 0; i < self->conf->n_providers && !self->fault.code; i++)
        provide(self, i, left);
}

/* ---- loading */
static int load_machine(void *p, const store_machine *row)
{
    core *self = p;
    bool failed = false;
    core_machine *m = add(self, row->id, row->worker, row->provider);
    if (!m)
        return PW_ENOMEM;
    m->state = row->state;
    m->handle = pw_strdup(row->handle, &failed);
    m->reason = pw_strdup(row->reason, &failed);
    m->created = row->created;
    const core_worker *w = core_worker_get(self, row->worker);
    m->joined = row->state == MACHINE_MADE && w && w->row.has_key;
    m->list_from = 1;
    m->stopped_at = pw_now(self->host);
    /* a command of the last master may just be doing it */
    m->settle_at = pw_now(self->host) + (row->state == MACHINE_ASKED ? PROVIDER_SETTLE : 0);
    return failed ? PW_ENOMEM : 0;
}

int core_provider_load(core *self, pw_err *err)
{
    size_t n = self->conf->n_providers;
    self->provider = calloc(n ? n : 1, sizeof(*self->provider));
    if (!self->provider)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++)
        self->provider[i].conf = &self->conf->providers[i];
    return store_machines_open(self->st, load_machine, self, err);
}

/* Commands under way answer by the machine's number, whatever the configuration. */
void core_provider_keep(core *self, core *old)
{
    for (size_t i = 0; i < self->conf->n_providers; i++)
        for (size_t k = 0; k < old->conf->n_providers; k++) {
            core_provider *p = &self->provider[i], *was = &old->provider[k];
            if (strcmp(p->conf->name, was->conf->name) != 0)
                continue;
            p->listing = was->listing;
            p->lists = was->lists;
            p->list_at = was->list_at;
            memcpy(p->trouble, was->trouble, sizeof(p->trouble));
            memset(was->trouble, 0, sizeof(was->trouble));
            for (size_t t = 0; t < CORE_ACTS; t++)
                p->trouble[t].not_before = 0; /* another configuration may be the cure */
        }
    for (size_t i = 0; i < self->n_machines; i++) {
        core_machine *m = self->machine[i];
        const core_machine *was = provider_machine(old, m->id);
        if (!was)
            continue;
        m->busy = was->busy;
        m->joined = was->joined;
        m->list_from = was->list_from;
        m->settle_at = was->settle_at;
        m->absent = was->absent;
        m->idle_at = was->idle_at;
        m->away_at = was->away_at;
        m->stopped_at = was->stopped_at;
    }
}

void core_provider_free(core *self)
{
    while (self->n_machines)
        drop(self, self->n_machines - 1);
    free(self->machine);
    for (size_t i = 0; self->provider && i < self->conf->n_providers; i++)
        for (size_t t = 0; t < CORE_ACTS; t++)
            free(self->provider[i].trouble[t].text);
    free(self->provider);
}
