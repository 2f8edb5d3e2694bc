/* What providers do, in words. */
#include <inttypes.h>
#include <stdlib.h>

#include "master/core/provider.h"

static void why_one(const core *self, size_t i, pw_buf *text)
{
    const core_provider *p = &self->provider[i];
    provide_facts f = provider_count(self, i);
    size_t coming = 0;
    char at[PW_TIME_MAX];
    pw_usec now = pw_now(self->host);
    const core_trouble *t =
        p->trouble[CORE_LIST].text ? &p->trouble[CORE_LIST] : &p->trouble[CORE_START];
    (void)pw_buf_addf(text, "%sprovider \"%s\" ", text->len ? "; " : "", p->conf->name);
    for (size_t k = 0; k < self->n_machines; k++) {
        const core_machine *m = self->machine[k];
        if (m->provider == i && !provider_joined(self, m) &&
            (m->state == MACHINE_MADE || (m->state == MACHINE_ASKED && m->busy)))
            (void)pw_buf_addf(text, "%s%s", coming++ ? ", " : "is starting a worker (",
                              core_worker_name(self, m->worker));
    }
    if (coming)
        (void)pw_buf_adds(text, ")");
    if (t->text)
        (void)pw_buf_addf(
            text, "%sfailed: %s; it is tried again at %s", coming ? ", and " : "", t->text,
            pw_time_text(
                pw_wall(self->host) + (t->not_before > now ? t->not_before - now : 0) / 1000, at));
    else if (!coming && f.up + f.leaving >= f.max)
        (void)pw_buf_addf(text, "has all of its %zu machines in use", f.max);
    else if (!coming && f.starting)
        (void)pw_buf_adds(text, "has a worker that may be on its way");
    else if (!coming)
        (void)pw_buf_adds(text, "is about to start a worker");
}

void core_provider_why(const core *self, const core_builder *b, pw_buf *text)
{
    for (size_t i = 0; i < self->conf->n_providers; i++)
        if (provider_fits(self, &self->provider[i], b))
            why_one(self, i, text);
}

void core_provider_notes(const core *self, pw_buf *b)
{
    for (size_t i = 0; i < self->conf->n_providers; i++)
        for (size_t k = 0; k < CORE_ACTS; k++) {
            const core_trouble *t = &self->provider[i].trouble[k];
            if (!t->text)
                continue;
            (void)pw_buf_addf(b, ",{\"name\":\"provider %s\",\"ok\":true,\"text\":",
                              self->conf->providers[i].name);
            (void)pw_buf_json(b, t->text);
            (void)pw_buf_adds(b, "}");
        }
    for (size_t k = 0; k < self->n_machines; k++) {
        const core_machine *m = self->machine[k];
        if (m->provider != SIZE_MAX)
            continue;
        PW_AUTO(pw_freep)
        char *text =
            pw_strf("machine %s of worker %s is still there, and the configuration has no "
                    "provider %s any more: give it back by hand",
                    m->handle ? m->handle : "(unknown)", core_worker_name(self, m->worker), m->of);
        (void)pw_buf_addf(b, ",{\"name\":\"provider %s\",\"ok\":true,\"text\":", m->of);
        (void)pw_buf_json(b, text ? text : "");
        (void)pw_buf_adds(b, "}");
    }
}
