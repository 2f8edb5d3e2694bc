/* Builders and schedulers that people switched off. What is off is a row by name, so it stays off
 * over restarts, reloads, and a time in which the configuration does not have it. */
#include "master/core/parts.h"
#include "master/store/sched.h"

#include <stdlib.h>
#include <string.h>

core_pause *core_pause_free(core_pause *p)
{
    if (p) {
        free(p->reason);
        free(p->who);
    }
    free(p);
    return NULL;
}

void core_pause_text(pw_buf *b, const char *what, const char *name, const core_pause *p)
{
    (void)pw_buf_addf(b, "%s \"%s\" is paused by %s because %s", what, name, p->who, p->reason);
}

static core_pause *pause_new(const char *reason, const char *who, pw_msec at)
{
    bool failed = false;
    core_pause *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->at = at;
    p->reason = pw_strdup(reason, &failed);
    p->who = pw_strdup(who, &failed);
    return failed ? core_pause_free(p) : p;
}

static core_pause **place(core *self, store_pausable kind, const char *name)
{
    if (kind == PAUSED_BUILDER) {
        int64_t i = config_find_builder(self->conf, name);
        return i < 0 ? NULL : &self->builder[i].pause;
    }
    for (size_t i = 0; i < self->conf->n_schedulers; i++)
        if (strcmp(self->conf->schedulers[i].name, name) == 0)
            return &self->schedule[i].pause;
    return NULL;
}

static int load(void *p, const store_paused *row)
{
    core *self = p;
    core_pause **at = place(self, row->kind, row->name);
    if (!at)
        return 0;
    *at = pause_new(row->reason, row->who, row->at);
    return *at ? 0 : PW_ENOMEM;
}

int core_pause_load(core *self, pw_err *err)
{
    int r = store_paused_each(self->st, load, self, err);
    return r == PW_ENOMEM ? pw_fail(err, PW_ENOMEM, "out of memory") : r;
}

/* ---- commands */
static bool pause(core *self, core_cmd *c, store_pausable kind, const char *name)
{
    core_pause **at = place(self, kind, name);
    store_paused row = {.kind = kind,
                        .name = name,
                        .reason = c->reason,
                        .who = c->actor ? c->actor : "?",
                        .at = pw_wall(self->host)};
    pw_err err = {0};
    if (!c->reason || !*c->reason || strlen(c->reason) > PW_TEXT_MAX - 100) {
        core_cmd_fail(c, 400, "bad_request", "a pause needs a reason of at most %d bytes",
                      PW_TEXT_MAX - 100);
        return false;
    }
    core_pause *p = pause_new(row.reason, row.who, row.at);
    if (!p) {
        (void)core_nomem(self);
        return false;
    }
    core_pause_free(*at);
    *at = p;
    return core_turn(self) && core_ok(self, store_paused_put(self->st, &row, &err), &err);
}

static bool resume(core *self, store_pausable kind, const char *name)
{
    core_pause **at = place(self, kind, name);
    pw_err err = {0};
    *at = core_pause_free(*at);
    self->dispatch = true;
    return core_turn(self) && core_ok(self, store_paused_del(self->st, kind, name, &err), &err);
}

static void done(core *self, core_cmd *c, const char *action, const char *name)
{
    if (!core_audit(self, c, action, name))
        return;
    c->status = 202;
    (void)pw_buf_adds(&c->body, "{\"name\":");
    (void)pw_buf_json(&c->body, name);
    (void)pw_buf_adds(&c->body, "}");
}

/* PROJECT/NAME; NULL: refused. Owned. */
static char *builder_name(core *self, core_cmd *c)
{
    size_t i;
    if (!core_find_builder(self, c, c->name, &i))
        return NULL;
    const config_builder *b = &self->conf->builders[i];
    char *name = pw_strf("%s/%s", self->conf->projects[b->project].name, b->name);
    if (!name)
        (void)core_nomem(self);
    return name;
}

void core_cmd_builder_pause(core *self, core_cmd *c)
{
    PW_AUTO(pw_freep) char *name = builder_name(self, c);
    if (name && pause(self, c, PAUSED_BUILDER, name))
        done(self, c, "builder.pause", name);
}

void core_cmd_builder_resume(core *self, core_cmd *c)
{
    PW_AUTO(pw_freep) char *name = builder_name(self, c);
    if (name && resume(self, PAUSED_BUILDER, name))
        done(self, c, "builder.resume", name);
}

static const config_scheduler *find_scheduler(core *self, core_cmd *c)
{
    for (size_t i = 0; c->name && i < self->conf->n_schedulers; i++)
        if (strcmp(self->conf->schedulers[i].name, c->name) == 0)
            return &self->conf->schedulers[i];
    core_cmd_fail(c, 404, "not_found", "there is no scheduler \"%s\"", c->name ? c->name : "");
    return NULL;
}

void core_cmd_scheduler_pause(core *self, core_cmd *c)
{
    const config_scheduler *s = find_scheduler(self, c);
    if (s && pause(self, c, PAUSED_SCHEDULER, s->name))
        done(self, c, "scheduler.pause", s->name);
}

void core_cmd_scheduler_resume(core *self, core_cmd *c)
{
    const config_scheduler *s = find_scheduler(self, c);
    if (!s || !resume(self, PAUSED_SCHEDULER, s->name))
        return;
    core_schedule_resume(self, (size_t)(s - self->conf->schedulers));
    done(self, c, "scheduler.resume", s->name);
}
