/* What is wrong at the moment, by name: what CMD_HEALTH answers, and what keeps builds from being
 * begun. */
#include "master/core/parts.h"

#include <stdlib.h>
#include <string.h>

/* Without memory a condition stays as it was: it is set again, for whatever set it goes on. */
static void condition(core *self, const char *name, const char *text, bool fine)
{
    bool failed = false;
    size_t i = 0;
    char *copy = pw_strdup(text, &failed);
    while (i < self->n_conds && strcmp(self->cond[i].name, name) != 0)
        i++;
    if (failed)
        return;
    if (i == self->n_conds) {
        core_cond *v = realloc(self->cond, (self->n_conds + 1) * sizeof(*v));
        char *own = v ? pw_strdup(name, &failed) : NULL;
        if (v)
            self->cond = v;
        if (!own) {
            free(copy);
            return;
        }
        v[self->n_conds++] = (core_cond){own, NULL, fine};
    }
    free(self->cond[i].text);
    self->cond[i].text = copy;
    self->cond[i].fine = fine;
}

static const char store_name[] = "log store";

const char *core_why_full(const core *self)
{
    for (size_t i = 0; i < self->n_conds; i++)
        if (strcmp(self->cond[i].name, store_name) == 0)
            return self->cond[i].text;
    return NULL;
}

void core_full(core *self, const char *text)
{
    bool was = core_why_full(self) != NULL;
    condition(self, store_name, text, false);
    self->dispatch |= was && !text;
}

void core_condition(core *self, const char *name, const char *text)
{
    condition(self, name, text, false);
}

void core_remark(core *self, const char *name, const char *text)
{
    condition(self, name, text, true);
}

/* Told, but not our failure. */
static void health_notes(core *self, core_cmd *c)
{
    for (size_t i = 0; i < self->conf->n_projects; i++) {
        if (!self->project[i].trouble)
            continue;
        (void)pw_buf_adds(&c->body, ",{\"name\":\"repository ");
        (void)pw_buf_addf(&c->body, "%s\",\"ok\":true,\"text\":", self->conf->projects[i].name);
        (void)pw_buf_json(&c->body, self->project[i].trouble);
        (void)pw_buf_adds(&c->body, "}");
    }
    const core_worker *w;
    for (size_t pos = 0; (w = pw_table_next(self->workers, &pos));) {
        if (!w->held || w->row.removed)
            continue;
        (void)pw_buf_adds(&c->body, ",{\"name\":");
        PW_AUTO(pw_freep) char *name = pw_strf("held %s", w->row.name);
        PW_AUTO(pw_freep)
        char *text =
            pw_strf("worker %s holds %zu jobs that are not wanted from it", w->row.name, w->held);
        (void)pw_buf_json(&c->body, name ? name : "held");
        (void)pw_buf_adds(&c->body, ",\"ok\":true,\"text\":");
        (void)pw_buf_json(&c->body, text ? text : "");
        (void)pw_buf_adds(&c->body, "}");
    }
}

void core_cmd_health(core *self, core_cmd *c)
{
    bool fine = true;
    for (size_t i = 0; i < self->n_conds; i++)
        fine &= self->cond[i].fine || self->cond[i].text == NULL;
    c->status = fine ? 200 : 503;
    (void)pw_buf_addf(
        &c->body, "{\"status\":\"%s\",\"checks\":[{\"name\":\"core\",\"ok\":true,\"text\":\"\"}",
        fine ? "ok" : "failing");
    for (size_t i = 0; i < self->n_conds; i++) {
        (void)pw_buf_adds(&c->body, ",{\"name\":");
        (void)pw_buf_json(&c->body, self->cond[i].name);
        (void)pw_buf_addf(&c->body, ",\"ok\":%s,\"text\":",
                          self->cond[i].text && !self->cond[i].fine ? "false" : "true");
        (void)pw_buf_json(&c->body, self->cond[i].text ? self->cond[i].text : "");
        (void)pw_buf_adds(&c->body, "}");
    }
    health_notes(self, c);
    core_provider_notes(self, &c->body);
    (void)pw_buf_adds(&c->body, "]}");
}
