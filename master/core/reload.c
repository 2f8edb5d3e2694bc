/* Another configuration. Rows say what is unfinished, so a reload is a load by the new one; what is
 * known beside them, of connections, journals under way and repositories, is handed over. */
#include "master/core/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_TEXT_MAX = 64 * 1024 * 1024 };

/* Who is here, and what it said. The new one has no gate yet. */
static void keep_workers(core *self, const core *old)
{
    core_worker *w;
    for (size_t pos = 0; (w = pw_table_next(self->workers, &pos));) {
        core_worker *was = core_worker_get(old, w->row.id);
        if (!was)
            continue;
        w->connected = was->connected;
        w->rejecting = was->rejecting;
        w->bad_offers = was->bad_offers;
        w->held = was->held;
        w->away_us = was->away_us;
        w->struck = was->struck;
        w->read = was->read;
        w->read_at = was->read_at;
        w->gate = was->gate;
        was->gate = NULL;
    }
}

/* How far journals came in: frames that are not on disk yet are behind `stored`. Whether one is
 * lost is found anew, by the new lost_after. */
static void keep_attempts(core *self, const core *old)
{
    core_attempt *a;
    for (size_t pos = 0; (a = pw_table_next(self->attempts, &pos));) {
        core_attempt *was = pw_table_get(old->attempts, a->id);
        if (!was)
            continue;
        a->any = was->any;
        a->sent = was->sent;
        a->received = was->received;
        a->received_chain = was->received_chain;
        a->offered_at = was->offered_at;
        a->silent_us = was->silent_us;
        a->end = was->end;
        a->end_at = was->end_at;
        was->end = (rec_end){0};
    }
}

/* A look that is under way was asked by the old configuration: its answer is dropped, and it is
 * asked for again. */
static void keep_projects(core *self, const core *old, pw_usec now)
{
    for (size_t i = 0; i < self->conf->n_projects; i++) {
        core_project *p = &self->project[i];
        for (size_t k = 0; k < old->conf->n_projects; k++) {
            core_project *was = &old->project[k];
            if (was->row != p->row || strcmp(was->conf->repository, p->conf->repository) != 0)
                continue;
            p->failures = was->failures;
            p->trouble = was->trouble;
            was->trouble = NULL;
            p->next_poll = was->polling || was->again ? now : was->next_poll;
            if (p->next_poll > now + p->conf->poll && p->failures == 0)
                p->next_poll = now + p->conf->poll;
        }
    }
}

/* A push that is under way answers by the promotion's number, whatever the configuration. */
static void keep_intents(core *self, const core *old)
{
    for (size_t i = 0; i < self->n_intents; i++)
        for (size_t k = 0; k < old->n_intents; k++)
            if (self->intent[i].id == old->intent[k].id && self->intent[i].edge != SIZE_MAX)
                self->intent[i].retry_at = old->intent[k].retry_at;
}

static void take_over(core *self, core *old)
{
    pw_usec now = pw_now(self->host);
    keep_workers(self, old);
    keep_attempts(self, old);
    keep_projects(self, old, now);
    keep_intents(self, old);
    self->cond = old->cond;
    self->n_conds = old->n_conds;
    old->cond = NULL;
    old->n_conds = 0;
    core_outbox_keep(self, old);
    core_provider_keep(self, old);
    for (size_t i = 0; i < sizeof(self->finished) / sizeof(self->finished[0]); i++)
        self->finished[i] += old->finished[i];
    self->last_tick = old->last_tick;
    self->seen_base = old->seen_base;
    self->seen_from = old->seen_from;
    self->housekeeping = old->housekeeping;
    self->gone_under_way = old->gone_under_way;
    self->join = old->join;
    self->join_self = old->join_self;
}

static int note(core *self, const char *actor, uint64_t *ret_gen, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf last = PW_BUF(CONFIG_TEXT_MAX);
    pw_msec at = pw_wall(self->host);
    uint64_t gen = 0;
    char text[64];
    int r = store_config_last(self->st, &gen, &last, err);
    if (r < 0 && r != PW_ENOTFOUND)
        return r;
    if (self->conf->text && (r < 0 || strcmp(pw_buf_str(&last), self->conf->text) != 0))
        if ((r = store_config_put(self->st, at, self->conf->text, &gen, err)) < 0)
            return r;
    (void)snprintf(text, sizeof(text), "generation %llu", (unsigned long long)gen);
    if ((r = store_audit_add(self->st, at, actor, "config.reload", NULL, text, err)) < 0)
        return r;
    core_note_event(self, EVENT_CONFIG, gen);
    *ret_gen = gen;
    return 0;
}

core *core_reload(core *old, config *conf, const char *actor, uint64_t *ret_gen, pw_err *err)
{
    uint64_t gen = 0;
    core *self = core_new_after(old, old->st, conf, old->host, err);
    if (!self)
        return NULL;
    core_schedule_keep(self, old);
    int r = self->fault.code ? 0 : note(self, actor, &gen, err);
    if (r < 0 || self->fault.code) {
        if (r >= 0 && err)
            *err = self->fault;
        store_rollback(old->st);
        return core_free(self);
    }
    take_over(self, old);
    *ret_gen = gen;
    return self;
}
