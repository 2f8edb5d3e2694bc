/* What is worth telling, as facts for the rule of master/notify. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "master/core/parts.h"
#include "master/store/outbox.h"
#include "shared/base/num.h"

static notify_fact fact(const core *self, notify_what what)
{
    return (notify_fact){.what = what,
                         .site = self->conf->name,
                         .url = self->url,
                         .at = pw_wall(self->host),
                         .project = CONFIG_GONE,
                         .builder = CONFIG_GONE,
                         .result = PW_NO_RESULT,
                         .previous = PW_NO_RESULT};
}

static void of_project(const core *self, notify_fact *f, int64_t project)
{
    if (project < 0 || (uint64_t)project >= self->conf->n_projects)
        return;
    f->project = (size_t)project;
    f->project_name = self->conf->projects[project].name;
}

/* ---- builds */
pw_result core_tell_previous(core *self, const core_build *b)
{
    pw_err err = {0};
    uint64_t build = 0;
    pw_result result = PW_NO_RESULT;
    if (!self->n_targets)
        return PW_NO_RESULT;
    int r = store_latest_get(self->st, b->request->builder->row, b->request->stamp->branch, &build,
                             &result, &err);
    if (r != PW_ENOTFOUND)
        (void)core_ok(self, r, &err);
    /* when a newer build was faster, this one changes nothing */
    return r == 0 && build < b->id ? result : PW_NO_RESULT;
}

/* Which break it is a part of, begins or mends. The builder's verdict from before this build is
 * still there. Proposals break nothing. */
static void of_break(core *self, const core_build *b, notify_fact *f)
{
    pw_err err = {0};
    const core_request *r = b->request;
    pw_result before = PW_NO_RESULT, newest = PW_NO_RESULT;
    uint64_t since = 0, build = 0;
    bool part = r->builder->parent != 0;
    if (r->stamp->proposal || (f->result != PW_FAILURE && !pw_result_green(f->result, true)))
        return;
    int known = store_decided_get(self->st, part ? r->builder->parent : r->builder->row,
                                  r->stamp->branch, &before, &since, &err);
    int latest =
        store_latest_get(self->st, r->builder->row, r->stamp->branch, &build, &newest, &err);
    if ((known != PW_ENOTFOUND && !core_ok(self, known, &err)) ||
        (latest != PW_ENOTFOUND && !core_ok(self, latest, &err)))
        return;
    bool red = known == 0 && pw_result_red(before);
    /* when a newer build was faster, this one breaks nothing */
    bool counts = latest == PW_ENOTFOUND || build <= b->id;
    if (f->result == PW_FAILURE) {
        f->broken = red ? since : counts ? b->id : 0;
        f->fresh = counts && (!red || (!part && pw_result_green(f->previous, true)));
    } else if (red) {
        f->broken = since;
    }
}

/* What all facts of builds have. */
static void of_build(const core *self, const core_build *b, notify_fact *f,
                     char rev[2 * STORE_REV_MAX + 1])
{
    const core_request *r = b->request;
    of_project(self, f, core_project_by_row(self, r->stamp->project_row));
    if (r->builder->conf && !r->builder->file)
        f->builder = (size_t)(r->builder->conf - self->conf->builders);
    store_rev_text(&r->stamp->rev, rev);
    f->builder_name = r->builder->name;
    f->branch = r->stamp->branch;
    f->revision = rev;
    f->id = b->id;
    f->started = b->started;
}

/* Who tries waits for the result: it is no news of the branch. */
static bool tells(const core *self, const core_build *b)
{
    return self->n_targets && b->request->stamp->proposal != CORE_TRIED;
}

void core_tell_start(core *self, const core_build *b)
{
    char rev[2 * STORE_REV_MAX + 1], cause[60];
    unsigned all = 0;
    for (size_t i = 0; i < self->n_targets; i++)
        all |= self->target[i].conf->events;
    if (!(all & 1u << CONFIG_EV_START) || !tells(self, b))
        return;
    notify_fact f = fact(self, NOTIFY_BUILD);
    of_build(self, b, &f, rev);
    f.begun = true;
    (void)snprintf(cause, sizeof(cause), "start/%" PRIu64, b->id);
    core_outbox_add(self, &f, cause);
}

void core_tell_build(core *self, const core_build *b, pw_result result, pw_result previous,
                     const char *reason)
{
    char rev[2 * STORE_REV_MAX + 1], cause[60];
    PW_AUTO(pw_freep) char *author = NULL;
    pw_err err = {0};
    if (!tells(self, b))
        return;
    notify_fact f = fact(self, NOTIFY_BUILD);
    of_build(self, b, &f, rev);
    f.result = result;
    f.previous = previous;
    f.reason = reason;
    f.finished = f.at;
    of_break(self, b, &f);
    if (!core_ok(self, store_change_author(self->st, b->request->stamp->id, &author, &err), &err))
        return;
    f.author = author;
    (void)snprintf(cause, sizeof(cause), "build/%" PRIu64, b->id);
    core_outbox_add(self, &f, cause);
}

/* ---- promotions */
void core_tell_promotion(core *self, const core_intent *t, promo_state state, const char *reason)
{
    static const char *const names[] = {"open", "done", "lost", "abandoned", "failed"};
    char rev[2 * STORE_REV_MAX + 1], old[2 * STORE_REV_MAX + 1], cause[60];
    if (!self->n_targets)
        return;
    notify_fact f = fact(self, NOTIFY_PROMOTION);
    of_project(self, &f, t->project <= INT64_MAX ? (int64_t)t->project : -1);
    if (t->edge != SIZE_MAX) {
        f.edge = self->edge[t->edge].conf->name;
        f.from = self->edge[t->edge].conf->from;
    }
    store_rev_text(&t->rev, rev);
    store_rev_text(&t->old, old);
    f.branch = t->target;
    f.revision = rev;
    f.old = t->old.n ? old : NULL;
    f.id = t->id;
    f.state = names[state];
    f.reason = reason;
    (void)snprintf(cause, sizeof(cause), "promotion/%" PRIu64, t->id);
    core_outbox_add(self, &f, cause);
}

/* ---- workers: told that they are missing after lost_after, and that they are back only then. How
 * often either was told is a row, so that a start of the master tells nothing twice: odd, missing.
 */
static bool wants_workers(const core *self)
{
    unsigned all = 0;
    for (size_t i = 0; i < self->n_targets; i++)
        all |= self->target[i].conf->events;
    return all & (1u << CONFIG_EV_WORKER_MISSING | 1u << CONFIG_EV_WORKER_BACK);
}

static const char *told_key(char out[40], const core_worker *w)
{
    (void)snprintf(out, 40, "missing/%" PRIu64, w->row.id);
    return out;
}

int core_tell_load(core *self, pw_err *err)
{
    core_worker *w;
    char key[40];
    self->tell_workers = wants_workers(self);
    for (size_t pos = 0; self->tell_workers && (w = pw_table_next(self->workers, &pos));) {
        PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(64);
        int r = store_meta_get(self->st, told_key(key, w), &text, err);
        if (r == 0)
            r = pw_parse_u64(pw_buf_str(&text), &w->told, err);
        if (r < 0 && r != PW_ENOTFOUND)
            return r;
    }
    return 0;
}

static void tell_worker(core *self, core_worker *w, pw_usec away)
{
    pw_err err = {0};
    char key[40], cause[100], text[32];
    notify_fact f = fact(self, NOTIFY_WORKER);
    (void)snprintf(text, sizeof(text), "%" PRIu64, w->told + 1);
    if (!core_turn(self) ||
        !core_ok(self, store_meta_put(self->st, told_key(key, w), text, &err), &err))
        return;
    w->told++;
    f.worker = w->row.name;
    f.missing = w->told % 2;
    f.since = f.missing ? f.at - away / 1000 : 0;
    /* a database that was set back counts anew: the epoch tells these apart */
    (void)snprintf(cause, sizeof(cause), "worker/%" PRIu64 "/%" PRIx64 ".%" PRIu64, w->row.id,
                   store_epoch(self->st), w->told);
    core_outbox_add(self, &f, cause);
}

void core_tell_tick(core *self, pw_usec step)
{
    core_worker *w;
    for (size_t pos = 0; self->tell_workers && (w = pw_table_next(self->workers, &pos));) {
        if (w->connected || w->row.removed || !w->row.has_key || w->told % 2)
            continue;
        w->away_us += step;
        if (w->away_us >= self->conf->lost_after)
            tell_worker(self, w, w->away_us);
    }
}

void core_tell_worker_up(core *self, core_worker *w)
{
    w->away_us = 0;
    if (self->tell_workers && w->told % 2)
        tell_worker(self, w, 0);
}
