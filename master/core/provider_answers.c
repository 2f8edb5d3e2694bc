/* What came of a provider's commands, and what its list says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/core/provider.h"
#include "shared/base/fault.h"
#include "shared/base/log.h"

/* The first word of what was said; false: none that can be a handle. */
static bool handle_of(const char *said, char out[PROVIDER_HANDLE])
{
    size_t skip = strspn(said, " \t\r\n"), n = strcspn(said + skip, " \t\r\n");
    if (n < 1 || n >= PROVIDER_HANDLE || said[skip] == '-')
        return false;
    for (size_t i = 0; i < n; i++)
        if (said[skip + i] <= ' ' || said[skip + i] > '~')
            return false;
    memcpy(out, said + skip, n);
    out[n] = '\0';
    return true;
}

static void started(core *self, const core_provided *a, size_t i)
{
    char handle[PROVIDER_HANDLE];
    bool failed = false, good = a->good && handle_of(a->said, handle);
    const char *text = a->good ? "it printed no handle of the machine" : a->text;
    core_machine *m = provider_machine(self, a->machine);
    const core_worker *w = core_worker_by_name(self, a->worker);
    if (i != SIZE_MAX && !good)
        provider_failed(self, i, CORE_START, text);
    if (i != SIZE_MAX && !good) /* which does not tell whether there is one now */
        self->provider[i].list_at = pw_now(self->host);
    if (!m) { /* given up meanwhile: it is not to be forgotten */
        if (good && w && i != SIZE_MAX)
            provider_stray(self, i, w->row.id, handle, "its start was given up before it answered");
        return;
    }
    m->busy = false;
    m->list_from = i == SIZE_MAX ? 0 : self->provider[i].lists + 1;
    if (m->state != MACHINE_ASKED || !good) {
        if (m->state == MACHINE_ASKED)
            (void)provider_put(self, m, MACHINE_ASKED, text);
        return;
    }
    free(m->handle);
    m->handle = pw_strdup(handle, &failed);
    if (failed)
        (void)core_nomem(self);
    else if (provider_put(self, m, MACHINE_MADE, NULL))
        pw_log(PW_LOG_INFO, "provider_started", "provider=\"%s\" worker=\"%s\" handle=\"%s\"",
               m->of, a->worker, handle);
}

static void stopped(core *self, const core_provided *a, size_t i)
{
    core_machine *m = provider_machine(self, a->machine);
    if (i != SIZE_MAX) {
        self->provider[i].list_at = pw_now(self->host);
        if (a->good)
            provider_well(&self->provider[i], CORE_STOP);
        else
            provider_failed(self, i, CORE_STOP, a->text);
    }
    if (!m)
        return;
    m->busy = false;
    m->list_from = i == SIZE_MAX ? 0 : self->provider[i].lists + 1;
    m->stopped_at = pw_now(self->host);
    if (m->state == MACHINE_STOPPING && a->good)
        (void)provider_put(self, m, MACHINE_STOPPED, NULL);
}

/* ---- the list */
typedef struct line {
    char handle[PROVIDER_HANDLE], name[120];
    bool known;
} line;

static size_t parse(const char *said, line **ret)
{
    size_t n = 0, cap = 0;
    line *v = NULL;
    for (const char *p = said; p && *p; p += strcspn(p, "\n"), p += *p == '\n') {
        line l = {0};
        char row[400];
        size_t len = strcspn(p, "\n");
        (void)snprintf(row, sizeof(row), "%.*s", (int)(len < 399 ? len : 399), p);
        if (!handle_of(row, l.handle))
            continue;
        const char *name = row + strspn(row, " \t\r");
        name += strlen(l.handle);
        name += strspn(name, " \t\r");
        (void)snprintf(l.name, sizeof(l.name), "%.*s", (int)strcspn(name, " \t\r"), name);
        if (n == cap) {
            cap = cap ? 2 * cap : 64;
            line *more = realloc(v, cap * sizeof(*v));
            if (!more) {
                free(v);
                return SIZE_MAX;
            }
            v = more;
        }
        v[n++] = l;
    }
    *ret = v;
    return n;
}

/* One that the list shows under another handle than ours, or of which we know none. */
static core_machine *by_name(const core *self, size_t i, uint64_t worker, bool *ret_any)
{
    core_machine *best = NULL;
    *ret_any = false;
    for (size_t k = 0; k < self->n_machines; k++) {
        core_machine *m = self->machine[k];
        if (m->provider != i || m->worker != worker)
            continue;
        *ret_any |= m->busy && m->state == MACHINE_ASKED;
        if (!m->shown && m->state <= MACHINE_MADE && !(m->busy && m->state == MACHINE_ASKED))
            best = m;
    }
    return best;
}

static void adopt(core *self, core_machine *m, const char *handle)
{
    bool failed = false;
    free(m->handle);
    m->handle = pw_strdup(handle, &failed);
    m->shown = true;
    if (failed)
        (void)core_nomem(self);
    else if (provider_put(self, m, m->state == MACHINE_ASKED ? MACHINE_MADE : m->state, NULL))
        pw_log(PW_LOG_INFO, "provider_found", "provider=\"%s\" worker=\"%s\" handle=\"%s\"", m->of,
               core_worker_name(self, m->worker), handle);
}

/* Which machines it shows; what it shows too much of is given back. */
static void match(core *self, size_t i, line *v, size_t n)
{
    for (size_t k = 0; k < self->n_machines; k++) {
        core_machine *m = self->machine[k];
        m->shown = false;
        for (size_t l = 0; m->provider == i && m->handle && l < n; l++)
            if (strcmp(v[l].handle, m->handle) == 0)
                v[l].known = m->shown = true;
    }
    for (size_t l = 0; l < n && !self->fault.code; l++) {
        const core_worker *w =
            v[l].known || !v[l].name[0] ? NULL : core_worker_by_name(self, v[l].name);
        bool asked;
        /* what does not bear the name of one of its workers is not ours */
        if (!w || !w->row.provider || strcmp(w->row.provider, self->provider[i].conf->name) != 0)
            continue;
        core_machine *m = by_name(self, i, w->row.id, &asked);
        if (m)
            adopt(self, m, v[l].handle);
        else if (!asked)
            provider_stray(self, i, w->row.id, v[l].handle,
                           "it is there though nobody asked for it any more");
    }
}

/* What a list says of one machine of the provider. */
static void seen(core *self, size_t i, core_machine *m)
{
    core_provider *p = &self->provider[i];
    const core_worker *w = core_worker_get(self, m->worker);
    if (m->busy || p->lists < m->list_from || pw_now(self->host) < m->settle_at)
        return;
    m->absent = m->shown ? 0 : m->absent + 1;
    if (m->shown) {
        /* given back, and still there */
        if (m->state == MACHINE_STOPPED && pw_now(self->host) - m->stopped_at > PROVIDER_AGAIN)
            (void)provider_put(self, m, MACHINE_STOPPING, NULL);
        return;
    }
    switch (m->state) {
    case MACHINE_ASKED:
        if (m->absent >= PROVIDER_ABSENT)
            provider_gone(self, m, m->reason ? m->reason : "it was never made");
        return;
    case MACHINE_MADE:
        if (m->absent < PROVIDER_ABSENT || (w && w->connected))
            return;
        if (!m->joined && !(w && w->row.has_key)) {
            provider_report(self, m, "provider.lost", "its machine ended before it joined");
            provider_failed(self, i, CORE_START, "the machine ended before its worker joined");
        }
        provider_gone(self, m, "its machine is gone");
        return;
    case MACHINE_STOPPING:
    case MACHINE_STOPPED:
    case MACHINE_GONE:
        provider_gone(self, m, NULL);
        return;
    }
}

static void listed(core *self, const core_provided *a, size_t i)
{
    core_provider *p = &self->provider[i];
    line *v = NULL;
    p->listing = false;
    p->list_at = pw_now(self->host) + PROVIDER_LIST_EACH;
    if (!a->good) {
        provider_failed(self, i, CORE_LIST, a->text);
        return;
    }
    size_t n = parse(a->said, &v);
    if (n == SIZE_MAX) { /* asked again */
        p->list_at = pw_now(self->host) + PROVIDER_LIST_SOON;
        return;
    }
    provider_well(p, CORE_LIST);
    match(self, i, v, n);
    free(v);
    for (size_t k = self->n_machines; k-- > 0 && !self->fault.code;)
        if (self->machine[k]->provider == i)
            seen(self, i, self->machine[k]);
}

void core_provider_done(core *self, const core_provided *a)
{
    size_t i = 0;
    pw_err err = {0};
    if (pw_fault("provider.ran")) {
        (void)pw_fail(&err, PW_ESYS, "fault point provider.ran");
        core_break(self, &err);
        return;
    }
    while (i < self->conf->n_providers && strcmp(self->conf->providers[i].name, a->provider) != 0)
        i++;
    if (i == self->conf->n_providers)
        i = SIZE_MAX; /* removed meanwhile */
    self->provide = self->conf->n_providers > 0;
    if (a->act == CORE_START)
        started(self, a, i);
    else if (a->act == CORE_STOP)
        stopped(self, a, i);
    else if (i != SIZE_MAX)
        listed(self, a, i);
}
