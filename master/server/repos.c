/* Between the core, which knows no git, and the git service, which knows no rows. */
#include <stdlib.h>
#include <string.h>

#include "master/server/state.h"
#include "shared/base/fault.h"
#include "shared/base/log.h"

enum { CHILD_TIMEOUT_US = 120 * 1000000 };

/* Projects and edges are told by their place in the configuration, so an answer to a question of an
 * earlier one must be known as such. */
enum { PLACE_BITS = 32 };
static uint64_t tag_of(const server *s, size_t place)
{
    return (uint64_t)s->reloads << PLACE_BITS | place;
}
static bool tag_read(const server *s, uint64_t tag, size_t n, size_t *ret_place)
{
    *ret_place = (size_t)(tag & UINT32_MAX);
    return tag >> PLACE_BITS == s->reloads && *ret_place < n;
}

typedef struct collect {
    git_job *job;
    bool failed;
} collect;

static void add_known(void *p, const char *ref, const store_rev *rev)
{
    collect *c = p;
    git_ref *v = realloc(c->job->known, (c->job->n_known + 1) * sizeof(*v));
    if (!v) {
        c->failed = true;
        return;
    }
    c->job->known = v;
    git_ref *r = &v[c->job->n_known];
    r->name = pw_strdup(ref, &c->failed);
    store_rev_text(rev, r->rev);
    if (r->name)
        c->job->n_known++;
}

static void failed(server *s, const core_effect *e, const char *text)
{
    if (e->kind == CORE_POLL)
        core_poll_failed(s->core, e->index, text);
    else if (e->kind == CORE_HISTORY)
        core_history_failed(s->core, e->index, text);
    else if (e->kind == CORE_PIPELINE)
        core_pipeline_failed(s->core, e->id, text);
    else
        core_push_done(s->core, e->id, CORE_PUSH_UNKNOWN, text);
}

static char *value(const config *conf, const char *name, bool *bad)
{
    const config_hidden *s = name ? config_secret(conf, name) : NULL;
    return s ? pw_strdup(s->p, bad) : NULL;
}

static void login(git_job *j, const config *conf, size_t project, bool *bad)
{
    const config_project *p = &conf->projects[project];
    j->name = pw_strdup(p->name, bad);
    j->login = (git_login){.ssh_key = value(conf, p->login.ssh_key, bad),
                           .known_hosts = pw_strdup(p->login.known_hosts, bad),
                           .user = pw_strdup(p->login.user, bad),
                           .password = value(conf, p->login.password, bad)};
}

void repos_of(const server *s, git_job *j, size_t project, bool *bad)
{
    const config *conf = core_config(s->core);
    j->project = core_project_row(s->core, project);
    j->repository = pw_strdup(conf->projects[project].repository, bad);
    login(j, conf, project, bad);
}

void repos_effect(server *s, const core_effect *e)
{
    pw_err err = {0};
    bool bad = false;
    PW_AUTO(git_job_freep)
    git_job *j = git_job_new(e->kind == CORE_POLL       ? GIT_POLL
                             : e->kind == CORE_HISTORY  ? GIT_HISTORY
                             : e->kind == CORE_PIPELINE ? GIT_SHOW
                                                        : GIT_PUSH,
                             &err);
    const config *conf = core_config(s->core);
    size_t project;
    core_push_facts push;
    if (!j) {
        failed(s, e, "out of memory");
        return;
    }
    if (e->kind == CORE_PUSH && pw_fault("promotion.intent")) {
        failed(s, e, "fault point promotion.intent");
        return;
    }
    j->timeout = CHILD_TIMEOUT_US;
    if (e->kind == CORE_POLL) {
        project = e->index;
        j->tag = tag_of(s, project);
        collect c = {j, false};
        j->first = !core_known_refs(s->core, project, add_known, &c);
        j->tips = conf->projects[project].build_first;
        j->proposals = core_proposals(s->core, project, &j->first_proposals);
        bad = c.failed;
    } else if (e->kind == CORE_HISTORY) {
        const config_promotion *p = &conf->promotions[e->index];
        project = p->project;
        j->tag = tag_of(s, e->index);
        j->from = pw_strf("refs/heads/%s", p->from);
        j->to = pw_strf("refs/heads/%s", p->to);
        bad = !j->from || !j->to;
    } else if (e->kind == CORE_PIPELINE) {
        store_rev rev;
        if (!core_pipeline_rev(s->core, e->id, &rev))
            return;
        project = e->index;
        j->tag = e->id;
        store_rev_text(&rev, j->rev);
        j->path = pw_strdup(e->text, &bad);
    } else {
        if (!core_push_get(s->core, e->id, &push))
            return;
        project = push.project;
        j->tag = e->id;
        j->ref = pw_strdup(push.ref, &bad);
        if (push.old.n)
            store_rev_text(&push.old, j->old);
        store_rev_text(&push.rev, j->rev);
        j->look_only = push.look_only;
    }
    repos_of(s, j, project, &bad);
    if (bad) {
        failed(s, e, "out of memory");
        return;
    }
    if (git_send(s->git, pw_take(j), &err) < 0)
        failed(s, e, err.text);
}

/* ---- answers */
static void rev_of(const char *hex, store_rev *ret)
{
    if (!*hex || !store_rev_parse(hex, ret))
        *ret = (store_rev){0};
}

static void polled(server *s, size_t project, const git_job *j)
{
    core_move *m = calloc(j->n_moved + 1, sizeof(*m));
    bool bad = !m;
    for (size_t i = 0; !bad && i < j->n_moved; i++) {
        const git_moved *g = &j->moved[i];
        core_commit_info *c = calloc(g->n_commits + 1, sizeof(*c));
        size_t n = c ? g->n_commits : 0;
        bad = !c;
        m[i] = (core_move){.ref = g->ref, .forced = g->forced, .commit = c, .n_commits = n};
        rev_of(g->old, &m[i].old);
        rev_of(g->rev, &m[i].rev);
        for (size_t k = 0; k < n; k++) {
            c[k] = (core_commit_info){.author = g->commit[k].author,
                                      .subject = g->commit[k].subject,
                                      .files = g->commit[k].files,
                                      .at = g->commit[k].at,
                                      .skip = g->commit[k].skip,
                                      .testfix = g->commit[k].testfix};
            rev_of(g->commit[k].rev, &c[k].rev);
        }
    }
    if (bad)
        core_poll_failed(s->core, project, "out of memory");
    else
        core_polled(s->core, project, j->head, m, j->n_moved);
    for (size_t i = 0; m && i < j->n_moved; i++)
        free((void *)(uintptr_t)m[i].commit);
    free(m);
}

static void history(server *s, size_t edge, const git_job *j)
{
    core_history h = {
        .to_in_from = j->to_in_from, .from_in_to = j->from_in_to, .n_candidates = j->n_candidates};
    core_candidate *c = calloc(j->n_candidates + 1, sizeof(*c));
    if (!c) {
        core_history_failed(s->core, edge, "out of memory");
        return;
    }
    rev_of(j->from_rev, &h.from);
    rev_of(j->to_rev, &h.to);
    for (size_t i = 0; i < j->n_candidates; i++) {
        rev_of(j->candidate[i].rev, &c[i].rev);
        c[i].contains_to = j->candidate[i].contains_to;
    }
    h.candidate = c;
    core_history_read(s->core, edge, &h);
    free(c);
}

void repos_answer(server *s, const git_job *j)
{
    static const core_pushed how[] = {CORE_PUSH_UNKNOWN, CORE_PUSHED,       CORE_LOST_RACE,
                                      CORE_REFUSED,      CORE_PUSH_UNKNOWN, CORE_NOT_PUSHED};
    const config *conf = core_config(s->core);
    size_t place;
    if (j->kind == GIT_POLL && tag_read(s, j->tag, conf->n_projects, &place)) {
        if (j->code < 0)
            core_poll_failed(s->core, place, j->text);
        else if (j->n_moved > 0 && pw_fault("change.seen"))
            core_poll_failed(s->core, place, "fault point change.seen");
        else
            polled(s, place, j);
    } else if (j->kind == GIT_HISTORY && tag_read(s, j->tag, conf->n_promotions, &place)) {
        if (j->code < 0)
            core_history_failed(s->core, place, j->text);
        else
            history(s, place, j);
    } else if (j->kind == GIT_SHOW) {
        if (j->code < 0)
            core_pipeline_failed(s->core, j->tag, j->text);
        else if (pw_fault("pipeline.read"))
            core_pipeline_failed(s->core, j->tag, "fault point pipeline.read");
        else
            core_pipeline_read(s->core, j->tag, j->path, j->shown, j->n_shown);
    } else if (j->kind == GIT_PUSH) {
        bool lost = pw_fault("promotion.pushed") || (unsigned)j->outcome > GIT_NOT_PUSHED;
        core_push_done(s->core, j->tag, lost ? CORE_PUSH_UNKNOWN : how[j->outcome], j->text);
        s->pushed = true;
    }
}
