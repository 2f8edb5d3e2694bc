/* Repositories and changes: refs as last seen are rows, every new tip becomes a change exactly
 * once. */
#include "master/core/parts.h"
#include "master/store/graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"

static const char heads[] = "refs/heads/", tags[] = "refs/tags/";

/* ---- refs in memory */
static size_t ref_place(const core_project *p, const char *name, bool *found)
{
    size_t lo = 0, hi = p->n_refs;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int c = strcmp(p->ref[mid].name, name);
        if (c == 0) {
            *found = true;
            return mid;
        }
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *found = false;
    return lo;
}

static int ref_put(core_project *p, const char *name, const store_rev *rev)
{
    bool found;
    size_t i = ref_place(p, name, &found);
    if (!found) {
        core_ref *v = realloc(p->ref, (p->n_refs + 1) * sizeof(*v));
        if (!v)
            return PW_ENOMEM;
        p->ref = v;
        bool failed = false;
        char *copy = pw_strdup(name, &failed);
        if (!copy)
            return PW_ENOMEM;
        memmove(v + i + 1, v + i, (p->n_refs - i) * sizeof(*v));
        p->n_refs++;
        v[i].name = copy;
    }
    p->ref[i].rev = *rev;
    return 0;
}

static void ref_del(core_project *p, const char *name)
{
    bool found;
    size_t i = ref_place(p, name, &found);
    if (!found)
        return;
    free(p->ref[i].name);
    memmove(p->ref + i, p->ref + i + 1, (p->n_refs - i - 1) * sizeof(*p->ref));
    p->n_refs--;
}

bool core_tip_get(const core *self, size_t project, const char *ref, store_rev *ret)
{
    bool found;
    size_t i = ref_place(&self->project[project], ref, &found);
    if (found)
        *ret = self->project[project].ref[i].rev;
    return found;
}

void core_tip_set(core *self, size_t project, const char *ref, const store_rev *rev)
{
    pw_err err = {0};
    core_project *p = &self->project[project];
    if (!core_turn(self))
        return;
    if (rev->n == 0) {
        int r = store_tip_del(self->st, p->row, ref, &err);
        if (r == PW_ENOTFOUND || core_ok(self, r, &err))
            ref_del(p, ref);
    } else if (core_ok(self, store_tip_put(self->st, p->row, ref, rev, &err), &err) &&
               ref_put(p, ref, rev) < 0) {
        (void)core_nomem(self);
    }
}

bool core_known_refs(core *self, size_t project,
                     void (*cb)(void *, const char *, const store_rev *), void *cb_self)
{
    const core_project *p = &self->project[project];
    for (size_t i = 0; i < p->n_refs; i++)
        cb(cb_self, p->ref[i].name, &p->ref[i].rev);
    return p->looked;
}

uint64_t core_project_row(const core *self, size_t project)
{
    return self->project[project].row;
}

int64_t core_project_by_row(const core *self, uint64_t row)
{
    for (size_t i = 0; i < self->conf->n_projects; i++)
        if (self->project[i].row == row)
            return (int64_t)i;
    return -1;
}

static int load_tip(void *p, const char *ref, const store_rev *rev)
{
    return ref_put(p, ref, rev);
}

int core_project_load(core *self, size_t i, pw_err *err)
{
    core_project *p = &self->project[i];
    PW_AUTO(pw_buf_clearp) pw_buf head = PW_BUF(4096);
    p->conf = &self->conf->projects[i];
    int r = store_project_id(self->st, p->conf->name, &p->row, err);
    if (r < 0 || (r = store_project_looked(self->st, p->row, &p->looked, &head, err)) < 0 ||
        (r = store_tips(self->st, p->row, load_tip, p, err)) < 0)
        return r;
    if ((r = core_proposals_load(self, i, err)) < 0)
        return r;
    if (head.len > 0 && !(p->head = pw_buf_take(&head)))
        return pw_fail(err, PW_ENOMEM, "out of memory");
    return 0;
}

/* ---- polling */
void core_poll_now(core *self, size_t project)
{
    core_project *p = &self->project[project];
    if (p->polling)
        p->again = true;
    else
        p->next_poll = 0;
}

void core_poll_tick(core *self, pw_usec now)
{
    for (size_t i = 0; i < self->conf->n_projects; i++) {
        core_project *p = &self->project[i];
        if (p->polling || now < p->next_poll)
            continue;
        core_effect *e = core_add_effect(self, CORE_POLL);
        if (!e)
            return;
        e->index = i;
        p->polling = true;
        p->again = false;
        core_hooks_asked(p);
    }
}

/* When the next look is due: the poll period, or after a failure 1 s doubling to 5 min, with up to
 * half of it as jitter so that many repositories on one broken server do not knock together. */
static void next_look(core *self, core_project *p)
{
    pw_usec wait = p->conf->poll;
    if (p->failures > 0) {
        unsigned shift = p->failures > 9 ? 9 : p->failures - 1;
        wait = (pw_usec)CORE_BACKOFF_MIN_US << shift;
        if (wait > CORE_BACKOFF_MAX_US)
            wait = CORE_BACKOFF_MAX_US;
        wait += (pw_usec)(pw_random_u64(self->host) % (uint64_t)(wait / 2));
    } else if (p->again) {
        wait = 0;
    }
    p->polling = p->again = false;
    p->next_poll = pw_now(self->host) + wait;
    core_effect *e = core_add_effect(self, CORE_LOOKED);
    if (!e)
        return;
    e->worker = p->row;
    e->attempt = p->failures;
    e->id = (uint64_t)(pw_wall(self->host) + wait / 1000);
    e->text = p->trouble ? pw_strf("%s", p->trouble) : NULL;
}

void core_poll_failed(core *self, size_t project, const char *text)
{
    core_project *p = &self->project[project];
    bool failed = false;
    p->failures++;
    if (!p->trouble || strcmp(p->trouble, text) != 0) {
        pw_log(PW_LOG_WARN, "poll_failed", "project=\"%s\" reason=\"%s\"", p->conf->name, text);
        free(p->trouble);
        p->trouble = pw_strdup(text, &failed);
    }
    next_look(self, p);
}

static bool wanted(const core_project *p, const char *ref, const char **ret_branch)
{
    if (strncmp(ref, heads, sizeof(heads) - 1) == 0) {
        *ret_branch = ref + sizeof(heads) - 1;
        return glob_match(p->conf->branches, *ret_branch);
    }
    if (strncmp(ref, tags, sizeof(tags) - 1) == 0) {
        *ret_branch = ref + sizeof(tags) - 1;
        return p->conf->tags && glob_match(p->conf->tags, *ret_branch);
    }
    return false;
}

/* All commits of a push are recorded as changes; schedulers hear of the tip only, the earlier ones
 * ride with it. first: the oldest change of the push. */
static void record_change(core *self, size_t project, const char *branch, const core_move *m,
                          const core_commit_info *c, const char *note, uint64_t first)
{
    bool tip = m->n_commits == 0 || c == &m->commit[m->n_commits - 1];
    pw_err err = {0};
    core_stamp *s = core_stamp_make(self, self->project[project].row, branch, &c->rev);
    if (!s)
        return;
    store_change row = {.id = self->next_change,
                        .stamp = s->id,
                        .at = c->at,
                        .tip = tip,
                        .forced = m->forced,
                        .source = (char *)(uintptr_t) "poll",
                        .author = (char *)(uintptr_t)c->author,
                        .subject = (char *)(uintptr_t)c->subject,
                        .files = (char *)(uintptr_t)c->files,
                        .note = tip ? (char *)(uintptr_t)note : NULL};
    int told = store_change_seen(self->st, &row, &err); /* by hand: its builds are asked for */
    if (core_ok(self, told < 0 ? told : 0, &err) && told == 0 &&
        core_ok(self, store_change_add(self->st, &row, &err), &err)) {
        self->next_change++;
        core_note_event(self, EVENT_CHANGE, row.id);
        if (tip && !note)
            core_trigger_branch(self, project, s, m->commit, m->n_commits, first);
    }
    core_stamp_unref(s);
}

/* A deleted branch cancels its queue; what runs goes on. */
void core_branch_gone(core *self, size_t project, const char *branch)
{
    core_branch_end(self, project, branch);
    for (size_t i = self->n_quiet; i-- > 0;)
        if (self->quiet[i].stamp->project_row == self->project[project].row &&
            strcmp(self->quiet[i].stamp->branch, branch) == 0)
            core_quiet_drop(self, i);
    core_schedule_gone(self, project, branch);
}

/* From so many on, a push may have had more. */
enum { COMMITS_LISTED = 200 };

/* Some of its commits have no rows: what changed since its last set is not known. */
void core_regarded_del(core *self, uint64_t project_row, const char *branch)
{
    pw_err err = {0};
    if (branch && core_turn(self))
        (void)core_ok(self, store_regarded_del(self->st, project_row, branch, &err), &err);
}

static void moved(core *self, size_t project, const core_move *m, bool first)
{
    const char *branch = NULL;
    char proposal[300];
    bool merge;
    core_project *p = &self->project[project];
    store_rev known = {0};
    if (core_tip_get(self, project, m->ref, &known) && store_rev_equal(&known, &m->rev))
        return; /* moved there by a promotion of ours */
    /* that one, and it may have moved since this look: look again */
    if (!store_rev_equal(&known, &m->old)) {
        p->again = true;
        return;
    }
    core_tip_set(self, project, m->ref, &m->rev);
    if (self->fault.code)
        return;
    if (core_proposal_name(m->ref, proposal, &merge)) {
        core_proposal_moved(self, project, m, proposal, merge);
        return;
    }
    bool watched = wanted(p, m->ref, &branch);
    if (!watched || m->rev.n == 0 || m->n_commits >= COMMITS_LISTED)
        core_regarded_del(self, p->row, branch);
    if (!watched)
        return;
    if (m->rev.n == 0) {
        core_branch_gone(self, project, branch);
        return;
    }
    if (first && !p->conf->build_first)
        return;
    const char *note = NULL;
    if (core_moved_by_us(self, project, branch, &m->rev))
        note = "a promotion moved it there: that revision was built";
    else if (m->n_commits > 0 && m->commit[m->n_commits - 1].skip)
        note = CORE_NOTE_SKIP;
    core_commit_info tip = {.rev = m->rev, .at = pw_wall(self->host)};
    uint64_t oldest = self->next_change;
    if (m->n_commits == 0)
        record_change(self, project, branch, m, &tip, note, oldest);
    for (size_t i = 0; i < m->n_commits; i++)
        record_change(self, project, branch, m, &m->commit[i], note, oldest);
    pw_log(PW_LOG_INFO, "branch_moved", "project=\"%s\" branch=\"%s\" commits=%zu forced=%d",
           p->conf->name, branch, m->n_commits, m->forced);
}

void core_polled(core *self, size_t project, const char *head, const core_move *moves, size_t n)
{
    core_project *p = &self->project[project];
    pw_err err = {0};
    bool first = !p->looked, failed = false;
    p->failures = 0;
    free(p->trouble);
    p->trouble = NULL;
    /* what somebody told of while this look was under way may be newer: look again, but only once,
     * since they may go on telling */
    p->stale = p->told && !p->stale && p->looked;
    p->told = false;
    if (p->stale) {
        p->again = true;
        n = 0;
    }
    for (size_t i = 0; i < n && !self->fault.code; i++)
        moved(self, project, &moves[i], first);
    if (first || (head && (!p->head || strcmp(head, p->head) != 0))) {
        if (!core_turn(self) ||
            !core_ok(self, store_project_look(self->st, p->row, head ? head : p->head, &err), &err))
            return;
        p->looked = true;
        if (head) {
            free(p->head);
            p->head = pw_strdup(head, &failed);
        }
    }
    if (!p->stale)
        core_proposals_seen(self, p);
    if (n > 0)
        core_edges_touched(self, p->row, 0);
    core_hooks_seen(self, p);
    next_look(self, p);
}
