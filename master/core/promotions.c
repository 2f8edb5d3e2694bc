/* Promotion edges: when to look, what was decided, and the intent that is a row before anything is
 * pushed. */
#include "master/core/pipeline.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/promote/promote.h"
#include "shared/base/log.h"
#include "shared/base/num.h"

void core_edges_touched(core *self, uint64_t project_row, uint64_t builder)
{
    for (size_t i = 0; i < self->conf->n_promotions; i++) {
        core_edge *e = &self->edge[i];
        bool mine = self->project[e->conf->project].row == project_row;
        if (mine && builder && !self->conf->projects[e->conf->project].pipeline) {
            mine = false;
            for (size_t k = 0; k < e->conf->n_builders; k++)
                mine |= self->builder[e->conf->builders[k]].row == builder;
        }
        /* results are judged when the history is there: this one counts already */
        e->dirty |= mine && !(builder && e->reading);
    }
    core_edges_tick(self, pw_now(self->host));
}

void core_edges_tick(core *self, pw_usec now)
{
    for (size_t i = 0; i < self->n_intents; i++) {
        core_intent *t = &self->intent[i];
        if (!t->retry_at || now < t->retry_at)
            continue;
        core_effect *e = core_add_effect(self, CORE_PUSH);
        if (!e)
            return;
        e->id = t->id;
        t->retry_at = 0;
    }
    for (size_t i = 0; i < self->conf->n_promotions; i++) {
        core_edge *e = &self->edge[i];
        if (!e->dirty || e->reading || e->intent || now < e->not_before)
            continue;
        core_effect *f = core_add_effect(self, CORE_HISTORY);
        if (!f)
            return;
        f->index = i;
        e->dirty = false;
        e->reading = true;
    }
}

void core_edge_tell(core *self, size_t edge, edge_state state, const store_rev *rev,
                    const char *reason)
{
    core_edge *e = &self->edge[edge];
    pw_err err = {0};
    bool failed = false;
    if (e->reason && e->state == state && strcmp(e->reason, reason) == 0)
        return;
    char *copy = pw_strdup(reason, &failed);
    if (failed || !core_turn(self) ||
        !core_ok(
            self,
            store_edge_put(self->st, e->conf->name, state, rev, reason, pw_wall(self->host), &err),
            &err)) {
        free(copy);
        return;
    }
    free(e->reason);
    e->reason = copy;
    e->state = state;
    pw_log(state == EDGE_DIVERGED ? PW_LOG_WARN : PW_LOG_INFO, "edge",
           "edge=\"%s\" state=%d reason=\"%s\"", e->conf->name, (int)state, reason);
}

/* The candidates with their verdicts; owned. */
typedef struct judged {
    promote_candidate *c;
    promote_builder *b;
    char (*text)[2 * STORE_REV_MAX + 1];
} judged;

static void judged_clear(judged *j)
{
    free(j->c);
    free(j->b);
    free(j->text);
    *j = (judged){0};
}

/* Of the builders of a pipeline file, all that it requires at that revision, in one: unknown where
 * the file was not read, or is wrong. */
static int judge_file(core *self, const core_edge *e, const store_rev *rev, promote_builder *x,
                      pw_err *err)
{
    uint64_t project = self->project[e->conf->project].row;
    const core_pipe *p = core_pipe_open(self, e->conf->project, rev, false);
    *x = (promote_builder){.name = "all", .result = PW_NO_RESULT};
    bool any = false;
    for (size_t i = 0; p && p->file && i < p->file->n_builders; i++) {
        const pl_builder *def = &p->file->builders[i];
        promote_builder one = {.name = def->name};
        uint64_t row = 0;
        if (!def->required)
            continue;
        int r = store_builder_id(self->st, project, def->name, &row, err);
        if (r == 0)
            r = store_verdict(self->st, project, row, rev, &one.result, NULL, &one.open, err);
        if (r < 0)
            return r;
        x->open |= one.open;
        if (!any || !pw_result_green(one.result, e->conf->allow_warnings))
            x->result = one.result;
        any = true;
        if (!pw_result_green(one.result, e->conf->allow_warnings))
            return 0;
    }
    return self->fault.code;
}

/* Builder k of those that the edge asks for. */
static int judge_one(core *self, const core_edge *e, size_t k, const store_rev *rev,
                     promote_builder *x, pw_err *err)
{
    const config_promotion *c = e->conf;
    uint64_t project = self->project[c->project].row, row = 0;
    int r = 0;
    if (self->conf->projects[c->project].pipeline) {
        if (!c->names.n)
            return judge_file(self, e, rev, x, err);
        x->name = c->names.v[k];
        r = store_builder_id(self->st, project, x->name, &row, err);
    } else {
        x->name = self->builder[c->builders[k]].name;
        row = self->builder[c->builders[k]].row;
    }
    return r < 0 ? r : store_verdict(self->st, project, row, rev, &x->result, NULL, &x->open, err);
}

static size_t n_required(const core *self, const core_edge *e)
{
    if (!self->conf->projects[e->conf->project].pipeline)
        return e->conf->n_builders;
    return e->conf->names.n ? e->conf->names.n : 1;
}

/* Green is judged here, in the transaction of the intent. */
static int judge(core *self, const core_edge *e, const core_history *h, judged *j, pw_err *err)
{
    size_t nb = n_required(self, e);
    j->c = calloc(h->n_candidates + 1, sizeof(*j->c));
    j->b = calloc(h->n_candidates * nb + 1, sizeof(*j->b));
    j->text = calloc(h->n_candidates + 1, sizeof(*j->text));
    if (!j->c || !j->b || !j->text)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    for (size_t i = 0; i < h->n_candidates; i++) {
        store_rev_text(&h->candidate[i].rev, j->text[i]);
        j->c[i] = (promote_candidate){.rev = j->text[i],
                                      .contains_to = h->candidate[i].contains_to,
                                      .builder = j->b + i * nb};
        bool green = nb > 0 && h->candidate[i].contains_to;
        for (size_t k = 0; k < nb; k++) {
            promote_builder *x = &j->b[i * nb + k];
            int r = judge_one(self, e, k, &h->candidate[i].rev, x, err);
            if (r < 0)
                return r;
            green = green && pw_result_green(x->result, e->conf->allow_warnings);
        }
        if (green)
            break; /* newest first: nothing older can win */
    }
    return 0;
}

static bool ref_is_open(const core *self, size_t project, const char *target)
{
    for (size_t i = 0; i < self->n_intents; i++)
        if (self->intent[i].project == project && strcmp(self->intent[i].target, target) == 0)
            return true;
    return false;
}

/* When an edge moved last is kept over restarts where `every` asks for it. */
static const char *moved_key(char out[300], const core_edge *e)
{
    (void)snprintf(out, 300, "moved/%.280s", e->conf->name);
    return out;
}

static int keep_moved(core *self, const core_edge *e, pw_err *err)
{
    char key[300], text[32];
    (void)snprintf(text, sizeof(text), "%lld", (long long)pw_wall(self->host));
    return e->conf->every ? store_meta_put(self->st, moved_key(key, e), text, err) : 0;
}

static int load_moved(core *self, core_edge *e, pw_err *err)
{
    char key[300];
    int64_t at = 0;
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(64);
    int r = e->conf->every ? store_meta_get(self->st, moved_key(key, e), &text, err) : PW_ENOTFOUND;
    if (r == PW_ENOTFOUND)
        return 0;
    if (r < 0 || (r = pw_parse_i64(pw_buf_str(&text), &at, err)) < 0)
        return r;
    pw_msec ago = pw_wall(self->host) - at;
    if (ago < 0) /* the clock was set back */
        ago = 0;
    if (ago < e->conf->every / 1000)
        e->moved_at = pw_now(self->host) - ago * 1000;
    return 0;
}

static void intend(core *self, size_t edge, const store_rev *old, const store_rev *rev)
{
    core_edge *e = &self->edge[edge];
    pw_err err = {0};
    bool failed = false;
    core_intent *v = realloc(self->intent, (self->n_intents + 1) * sizeof(*v));
    if (!v) {
        (void)core_nomem(self);
        return;
    }
    self->intent = v;
    store_promotion row = {.id = self->next_promotion,
                           .project = self->project[e->conf->project].row,
                           .edge = e->conf->name,
                           .source = e->conf->from,
                           .target = e->conf->to,
                           .old = *old,
                           .rev = *rev,
                           .state = PROMO_OPEN,
                           .created = pw_wall(self->host)};
    core_intent t = {.id = row.id,
                     .edge = edge,
                     .project = e->conf->project,
                     .target = pw_strdup(e->conf->to, &failed),
                     .old = *old,
                     .rev = *rev};
    if (failed || !core_turn(self) ||
        !core_ok(self, store_promotion_add(self->st, &row, &err), &err) ||
        !core_ok(self, keep_moved(self, e, &err), &err)) {
        free(t.target);
        return;
    }
    self->next_promotion++;
    self->intent[self->n_intents++] = t;
    e->intent = t.id;
    core_note_event(self, EVENT_PROMOTION, t.id);
    core_effect *f = core_add_effect(self, CORE_PUSH);
    if (f)
        f->id = t.id;
}

void core_history_failed(core *self, size_t edge, const char *text)
{
    self->edge[edge].reading = false;
    self->edge[edge].dirty = true;
    self->edge[edge].not_before = pw_now(self->host) + 5000000;
    core_edge_tell(self, edge, EDGE_WAITING, NULL, text);
}

void core_history_read(core *self, size_t edge, const core_history *h)
{
    core_edge *e = &self->edge[edge];
    pw_err err = {0};
    PW_AUTO(judged_clear) judged j = {0};
    promote_decision d;
    pw_usec now = pw_now(self->host);
    e->reading = false;
    if (!core_turn(self) || !core_ok(self, judge(self, e, h, &j, &err), &err))
        return;
    promote_facts f = {.from = e->conf->from,
                       .to = e->conf->to,
                       .from_exists = h->from.n > 0,
                       .to_exists = h->to.n > 0,
                       .same = h->from.n > 0 && store_rev_equal(&h->from, &h->to),
                       .to_ahead = h->from_in_to && !h->to_in_from,
                       .related = h->to_in_from,
                       .allow_warnings = e->conf->allow_warnings,
                       .candidate = j.c,
                       .n_candidates = h->n_candidates,
                       .n_builders = n_required(self, e)};
    promote_decide(&f, &d);
    if (d.kind == PROMOTE_MOVE && ref_is_open(self, e->conf->project, e->conf->to)) {
        e->dirty = true; /* one open intent a branch, whichever edge it is of */
        e->not_before = now + 5000000;
        core_edge_tell(self, edge, EDGE_WAITING, &h->to, "another push of the branch is under way");
    } else if (d.kind == PROMOTE_MOVE && e->moved_at && now < e->moved_at + e->conf->every) {
        e->dirty = true;
        e->not_before = e->moved_at + e->conf->every;
    } else if (d.kind == PROMOTE_MOVE) {
        e->moved_at = now;
        intend(self, edge, &h->to, &h->candidate[d.candidate].rev);
    } else {
        core_edge_tell(self, edge,
                       d.kind == PROMOTE_REFUSE ? EDGE_DIVERGED
                       : d.kind == PROMOTE_DONE ? EDGE_DONE
                                                : EDGE_WAITING,
                       &h->to, d.reason);
    }
}

bool core_push_get(const core *self, uint64_t promotion, core_push_facts *ret)
{
    for (size_t i = 0; i < self->n_intents; i++) {
        const core_intent *t = &self->intent[i];
        if (t->id != promotion)
            continue;
        *ret = (core_push_facts){
            .project = t->project, .old = t->old, .rev = t->rev, .look_only = t->edge == SIZE_MAX};
        (void)core_branch_ref(ret->ref, t->target);
        return true;
    }
    return false;
}

void core_push_done(core *self, uint64_t promotion, core_pushed how, const char *text)
{
    pw_err err = {0};
    size_t i = 0;
    char short_rev[2 * STORE_REV_MAX + 1], ref[300];
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(2000);
    while (i < self->n_intents && self->intent[i].id != promotion)
        i++;
    if (i == self->n_intents || !core_turn(self))
        return;
    core_intent *t = &self->intent[i];
    if (how == CORE_PUSH_UNKNOWN) { /* look again before anything else is done with this ref */
        t->retry_at = pw_now(self->host) + CORE_PUSH_RETRY_US;
        if (t->edge != SIZE_MAX)
            core_edge_tell(self, t->edge, EDGE_WAITING, &t->old, text);
        return;
    }
    promo_state to = how == CORE_PUSHED       ? PROMO_DONE
                     : how == CORE_LOST_RACE  ? PROMO_LOST
                     : how == CORE_NOT_PUSHED ? PROMO_ABANDONED
                                              : PROMO_FAILED;
    store_rev_text(&t->rev, short_rev);
    short_rev[7] = '\0';
    if (how == CORE_PUSHED)
        (void)pw_buf_addf(&said, "\"%s\" moved to %s", t->target, short_rev);
    else if (how == CORE_NOT_PUSHED)
        (void)pw_buf_adds(&said, "its promotion was removed from the configuration before the "
                                 "branch was moved");
    else
        (void)pw_buf_addf(&said, "%s: %s",
                          how == CORE_LOST_RACE ? "somebody else moved the branch"
                                                : "the server refused the push",
                          text);
    if (!core_ok(
            self,
            store_promotion_end(self->st, t->id, to, pw_buf_str(&said), pw_wall(self->host), &err),
            &err))
        return;
    core_note_event(self, EVENT_PROMOTION, t->id);
    if (how == CORE_PUSHED) {
        core_tip_set(self, t->project, core_branch_ref(ref, t->target), &t->rev);
        core_regarded_del(self, self->project[t->project].row, t->target);
        pw_log(PW_LOG_INFO, "promoted", "promotion=%" PRIu64 " target=\"%s\" revision=%s", t->id,
               t->target, short_rev);
    } else {
        pw_log(PW_LOG_WARN, "promotion_failed", "promotion=%" PRIu64 " target=\"%s\" reason=\"%s\"",
               t->id, t->target, text);
    }
    core_tell_promotion(self, t, to, pw_buf_str(&said));
    size_t edge = t->edge;
    store_rev rev = t->rev;
    free(t->target);
    self->intent[i] = self->intent[--self->n_intents];
    if (edge == SIZE_MAX)
        return;
    core_edge *e = &self->edge[edge];
    e->intent = 0;
    core_edge_tell(self, edge,
                   how == CORE_PUSHED    ? EDGE_DONE
                   : how == CORE_REFUSED ? EDGE_STOPPED
                                         : EDGE_WAITING,
                   &rev, pw_buf_str(&said));
    if (how == CORE_LOST_RACE)
        core_poll_now(self, e->conf->project);
    if (how != CORE_REFUSED) /* a refusal waits for the next green run or move */
        e->dirty = true;
    core_edges_tick(self, pw_now(self->host));
}

/* A ref that a promotion of ours moves brings no builds: that very revision was built. */
bool core_moved_by_us(const core *self, size_t project, const char *branch, const store_rev *rev)
{
    for (size_t i = 0; i < self->n_intents; i++)
        if (self->intent[i].project == project && strcmp(self->intent[i].target, branch) == 0 &&
            store_rev_equal(&self->intent[i].rev, rev))
            return true;
    return false;
}

static int load_intent(void *p, const store_promotion *row)
{
    core *self = p;
    bool failed = false;
    int64_t project = core_project_by_row(self, row->project);
    core_intent *v = realloc(self->intent, (self->n_intents + 1) * sizeof(*v));
    if (!v)
        return PW_ENOMEM;
    self->intent = v;
    core_intent t = {.id = row->id,
                     .edge = SIZE_MAX,
                     .old = row->old,
                     .rev = row->rev,
                     .target = pw_strdup(row->target, &failed),
                     .retry_at = 1};
    if (failed)
        return PW_ENOMEM;
    for (size_t i = 0; i < self->conf->n_promotions; i++)
        if (strcmp(self->edge[i].conf->name, row->edge) == 0 &&
            (int64_t)self->edge[i].conf->project == project) {
            t.edge = i;
            self->edge[i].intent = t.id;
        }
    if (project < 0) { /* the project is gone: nobody can look at its ref any more */
        pw_err err = {0};
        static const char why[] = "its project was removed from the configuration; nobody looked "
                                  "whether the branch was moved";
        (void)core_ok(
            self,
            store_promotion_end(self->st, t.id, PROMO_ABANDONED, why, pw_wall(self->host), &err),
            &err);
        t.project = SIZE_MAX;
        core_tell_promotion(self, &t, PROMO_ABANDONED, why);
        free(t.target);
        return 0;
    }
    t.project = (size_t)project;
    self->intent[self->n_intents++] = t;
    return 0;
}

int core_promotions_load(core *self, pw_err *err)
{
    self->edge =
        calloc(self->conf->n_promotions ? self->conf->n_promotions : 1, sizeof(*self->edge));
    if (!self->edge)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    for (size_t i = 0; i < self->conf->n_promotions; i++) {
        self->edge[i].conf = &self->conf->promotions[i];
        self->edge[i].dirty = true;
        /* the refs are read first */
        self->edge[i].not_before = pw_now(self->host) + 1000000;
        int r = load_moved(self, &self->edge[i], err);
        if (r < 0)
            return r;
    }
    int r = store_promotions_open(self->st, load_intent, self, err);
    return r < 0 ? r : 0;
}
