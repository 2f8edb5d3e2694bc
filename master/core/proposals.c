/* Proposals: pull requests, merge requests and refs/for/TARGET, as the repository shows them. What
 * a webhook told of one is for people and for the filter by target; whether its build may have
 * secrets is seen in the repository alone. */
#include "master/core/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"

enum { TITLE_SHOWN = 200 };

/* "pull/7" of refs/pull/7/head. False: it is no proposal's. */
bool core_proposal_name(const char *ref, char out[300], bool *ret_merge)
{
    static const char *const folders[] = {"pull/", "merge-requests/"};
    const char *s = ref + 5;
    *ret_merge = false;
    if (strncmp(ref, "refs/", 5) != 0 || strlen(s) >= 300)
        return false;
    if (strncmp(s, "for/", 4) == 0) {
        (void)snprintf(out, 300, "%s", s);
        return s[4] != '\0';
    }
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(folders[i]);
        size_t digits = strncmp(s, folders[i], n) == 0 ? strspn(s + n, "0123456789") : 0;
        const char *rest = s + n + digits;
        if (!digits || (strcmp(rest, "/head") != 0 && strcmp(rest, "/merge") != 0))
            continue;
        *ret_merge = strcmp(rest, "/merge") == 0;
        (void)snprintf(out, 300, "%.*s", (int)(n + digits), s);
        return true;
    }
    return false;
}

/* ---- whether they were looked at */
static const char *looked_key(char out[60], const core_project *p)
{
    (void)snprintf(out, 60, "proposals/%llu", (unsigned long long)p->row);
    return out;
}

int core_proposals_load(core *self, size_t project, pw_err *err)
{
    core_project *p = &self->project[project];
    char key[60];
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(64);
    p->proposals = false;
    for (size_t i = 0; i < self->conf->n_schedulers; i++)
        p->proposals |= self->conf->schedulers[i].kind == SCHED_PROPOSAL &&
                        self->conf->schedulers[i].project == project;
    int r = store_meta_get(self->st, looked_key(key, p), &text, err);
    if (r < 0 && r != PW_ENOTFOUND)
        return r;
    p->proposals_looked = r == 0 && text.len > 0;
    return 0;
}

bool core_proposals(const core *self, size_t project, bool *ret_first)
{
    *ret_first = !self->project[project].proposals_looked;
    return self->project[project].proposals;
}

/* While nobody asks for them they are not looked at, so that whoever asks next begins anew. */
void core_proposals_seen(core *self, core_project *p)
{
    pw_err err = {0};
    char key[60];
    if (p->proposals == p->proposals_looked || !core_turn(self) ||
        !core_ok(self, store_meta_put(self->st, looked_key(key, p), p->proposals ? "1" : "", &err),
                 &err))
        return;
    p->proposals_looked = p->proposals;
}

/* ---- one that moved */
static bool ours(const core *self, size_t project, const store_rev *rev)
{
    static const char heads[] = "refs/heads/";
    const core_project *p = &self->project[project];
    for (size_t i = 0; i < p->n_refs; i++)
        if (strncmp(p->ref[i].name, heads, sizeof(heads) - 1) == 0 &&
            store_rev_equal(&p->ref[i].rev, rev) &&
            glob_match(p->conf->branches, p->ref[i].name + sizeof(heads) - 1))
            return true;
    return false;
}

static bool wanted(const core_schedule *s, size_t project, bool merge)
{
    return s->conf->kind == SCHED_PROPOSAL && s->conf->project == project &&
           s->conf->merge == merge;
}

static void add_pair(msg_pair *v, size_t *n, const char *name, const char *value)
{
    for (size_t i = 0; i < *n; i++)
        if (strcmp(v[i].name, name) == 0)
            return; /* the scheduler's own */
    v[(*n)++] = (msg_pair){(char *)(uintptr_t)name, (char *)(uintptr_t)value};
}

static void ask(core *self, const config_scheduler *s, core_stamp *stamp, const store_proposal *f,
                const char *target)
{
    PW_AUTO(pw_buf_clearp) pw_buf props = PW_BUF(PW_JOB_MAX);
    PW_AUTO(pw_buf_clearp) pw_buf reason = PW_BUF(4096);
    PW_AUTO(pw_freep) msg_pair *pairs = calloc(s->n_properties + 2, sizeof(*pairs));
    const char *slash = strchr(stamp->branch, '/');
    size_t n = s->n_properties;
    pw_err err = {0};
    if (!pairs) {
        (void)core_nomem(self);
        return;
    }
    for (size_t i = 0; i < n; i++)
        pairs[i] = (msg_pair){s->properties[i].name, s->properties[i].value};
    add_pair(pairs, &n, "proposal", slash ? slash + 1 : stamp->branch);
    if (target)
        add_pair(pairs, &n, "proposal_target", target);
    (void)pw_buf_addf(&reason, "proposal %s", stamp->branch);
    if (target)
        (void)pw_buf_addf(&reason, " into %s", target);
    if (f->author)
        (void)pw_buf_addf(&reason, " by %s", f->author);
    if (f->title)
        (void)pw_buf_addf(&reason, ": %.*s", TITLE_SHOWN, f->title);
    if (reason.failed) {
        (void)core_nomem(self);
        return;
    }
    pw_list list = {pairs, n};
    if (!core_ok(self, core_props_pack(&list, &props, &err), &err))
        return;
    core_ask a = {.scheduler = s->name,
                  .reason = pw_buf_str(&reason),
                  .stamp = stamp,
                  .prio = s->priority,
                  .props = (const uint8_t *)props.p,
                  .props_len = props.len,
                  .builders = s->builders,
                  .n_builders = s->n_builders};
    (void)core_ask_builds(self, &a, NULL);
}

void core_proposal_ask(core *self, size_t scheduler, core_stamp *stamp)
{
    const config_scheduler *s = self->schedule[scheduler].conf;
    store_proposal f = {.fork = -1};
    pw_err err = {0};
    int r = store_proposal_get(self->st, self->project[s->project].row, stamp->branch, &f, &err);
    if (r != PW_ENOTFOUND && !core_ok(self, r, &err))
        return;
    const char *target = strncmp(stamp->branch, "for/", 4) == 0 ? stamp->branch + 4 : f.target;
    if (!target || glob_match(s->branches, target))
        ask(self, s, stamp, &f, target);
    store_proposal_clear(&f);
}

static void trigger(core *self, size_t project, core_stamp *stamp, uint64_t change, bool merge)
{
    for (size_t i = 0; i < self->conf->n_schedulers && !self->fault.code; i++) {
        if (!wanted(&self->schedule[i], project, merge))
            continue;
        if (self->schedule[i].pause)
            core_fire(self, &(core_firing){.scheduler = i, .stamp = stamp, .change = change});
        else
            core_proposal_ask(self, i, stamp);
    }
}

/* A stamp that says what it is of; the caller's. */
static core_stamp *make_stamp(core *self, size_t project, const char *name, const store_rev *rev,
                              bool merge)
{
    pw_err err = {0};
    core_stamp *s = core_stamp_make(self, self->project[project].row, name, rev);
    /* the merge is made by the forge, of whatever was proposed at that time */
    unsigned kind = !merge && ours(self, project, rev) ? CORE_PROPOSED_OURS : CORE_PROPOSED;
    if (s && (!core_ok(self, store_stamp_propose(self->st, s->id, kind, &err), &err) ||
              !core_ok(self, store_stamp_proposal(self->st, s->id, &s->proposal, &err), &err)))
        return core_stamp_unref(s);
    return s;
}

void core_proposal_moved(core *self, size_t project, const core_move *m, const char *name,
                         bool merge)
{
    core_project *p = &self->project[project];
    pw_err err = {0};
    bool any = false;
    if (!p->proposals_looked)
        return; /* it was there before */
    if (m->rev.n == 0) {
        if (!merge)
            core_branch_gone(self, project, name);
        return;
    }
    for (size_t i = 0; i < self->conf->n_schedulers; i++)
        any |= wanted(&self->schedule[i], project, merge);
    core_stamp *s = any ? make_stamp(self, project, name, &m->rev, merge) : NULL;
    if (!s)
        return;
    const core_commit_info *c = m->n_commits ? &m->commit[m->n_commits - 1] : NULL;
    store_change row = {.id = self->next_change,
                        .stamp = s->id,
                        .at = c ? c->at : pw_wall(self->host),
                        .tip = true,
                        .forced = m->forced,
                        .source = (char *)(uintptr_t) "proposal",
                        .author = c ? (char *)(uintptr_t)c->author : NULL,
                        .subject = c ? (char *)(uintptr_t)c->subject : NULL,
                        .files = c ? (char *)(uintptr_t)c->files : NULL,
                        .note = c && c->skip ? (char *)(uintptr_t)CORE_NOTE_SKIP : NULL};
    if (core_ok(self, store_change_add(self->st, &row, &err), &err)) {
        self->next_change++;
        core_note_event(self, EVENT_CHANGE, row.id);
        if (!row.note)
            trigger(self, project, s, row.id, merge);
        pw_log(PW_LOG_INFO, "proposal_moved", "project=\"%s\" proposal=\"%s\" ours=%d",
               p->conf->name, name, s->proposal == CORE_PROPOSED_OURS);
    }
    core_stamp_unref(s);
}
