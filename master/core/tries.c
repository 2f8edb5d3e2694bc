/* What people try: a build set of a revision that nobody's branch has. It was imported before it
 * comes here; it says nothing of any branch, rides with nothing, and its builds are not to be
 * trusted until somebody releases the revision. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/core/parts.h"
#include "master/store/tries.h"
#include "shared/base/fs.h"
#include "shared/base/log.h"

enum { NAMED_MAX = 200, EXPIRE_MOST = 64, REASON_MAX = PW_TEXT_MAX - 200 };

typedef struct meant { /* what a command asks for */
    size_t project;
    store_rev base;
    const char *branch; /* borrowed */
    bool named;         /* these only: */
    size_t n;
    size_t builder[NAMED_MAX]; /* of the configuration */
    char *name[NAMED_MAX];     /* owned; of a pipeline file */
} meant;

static void meant_clear(meant *m)
{
    for (size_t i = 0; i < m->n; i++)
        free(m->name[i]);
}

void core_cmd_try_clear(core_cmd *c)
{
    free(c->builders);
    free(c->base);
    free(c->upload);
    free(c->tried.files);
}

/* ---- what is asked for */
static bool refuse_bad(core_cmd *c, const char *text)
{
    core_cmd_fail(c, 400, "bad_request", "%s", text);
    return false;
}

/* NAME, or PROJECT/NAME. */
static bool add_builder(core *self, core_cmd *c, meant *m, const char *name)
{
    const config_project *p = &self->conf->projects[m->project];
    size_t n = strlen(p->name);
    if (strncmp(name, p->name, n) == 0 && name[n] == '/')
        name += n + 1;
    if (m->n == NAMED_MAX)
        return refuse_bad(c, "too many builders are named");
    if (p->pipeline) { /* that it is there is seen in the file */
        if (!pw_name_ok(name)) {
            core_cmd_fail(c, 404, "not_found", "there is no builder \"%s\"", name);
            return false;
        }
        m->name[m->n] = strdup(name);
        return m->name[m->n++] || (core_nomem(self), false);
    }
    PW_AUTO(pw_freep) char *full = pw_strf("%s/%s", p->name, name);
    int64_t i = full ? config_find_builder(self->conf, full) : -1;
    if (!full)
        return core_nomem(self), false;
    if (i < 0) {
        core_cmd_fail(c, 404, "not_found", "there is no builder \"%s\"", full);
        return false;
    }
    for (size_t k = 0; k < m->n; k++)
        if (m->builder[k] == (size_t)i)
            return true;
    m->builder[m->n++] = (size_t)i;
    return true;
}

static bool find_builders(core *self, core_cmd *c, meant *m)
{
    m->named = c->builders && *c->builders;
    for (const char *s = c->builders; s && *s;) {
        size_t k = strcspn(s, "\n");
        PW_AUTO(pw_freep) char *name = strndup(s, k);
        if (!name)
            return core_nomem(self), false;
        if (!add_builder(self, c, m, name))
            return false;
        s += k + (s[k] == '\n');
    }
    if (m->named || self->conf->projects[m->project].pipeline)
        return true;
    for (size_t i = 0; i < self->conf->n_builders; i++)
        if (self->builder[i].project == m->project && !self->conf->builders[i].manual &&
            m->n < NAMED_MAX) /* whoever tries waits for the end */
            m->builder[m->n++] = i;
    return m->n > 0 || refuse_bad(c, "this project has no builders");
}

/* False: refused. */
static bool look_up(core *self, core_cmd *c, meant *m)
{
    char ref[300];
    store_rev tip;
    if (!core_find_project(self, c, &m->project) || core_bad_branch(c))
        return false;
    core_project *p = &self->project[m->project];
    m->branch = c->branch ? c->branch : p->head;
    if (!m->branch || strlen(m->branch) > 255) {
        core_cmd_fail(c, 409, "conflict", "the repository of \"%s\" was not read yet%s%s",
                      p->conf->name, p->trouble ? ": " : "", p->trouble ? p->trouble : "");
        return false;
    }
    if (!core_tip_get(self, m->project, core_branch_ref(ref, m->branch), &tip)) {
        core_cmd_fail(c, 404, "not_found", "there is no branch \"%s\"", m->branch);
        return false;
    }
    if (!c->base || !store_rev_parse(c->base, &m->base))
        return refuse_bad(c, "a try needs a \"base\": a whole revision that the repository has");
    if (!c->upload)
        return refuse_bad(c, "a try needs a \"patch\" or a \"bundle\"");
    if (c->reason && strlen(c->reason) > REASON_MAX)
        return refuse_bad(c, "the reason is too long");
    return find_builders(self, c, m);
}

bool core_try_wanted(core *self, core_cmd *c, size_t *ret)
{
    PW_AUTO(meant_clear) meant m = {0};
    pw_err err = {0};
    if (c->tried.number || core_why_full(self) ||
        core_cmd_answered(self, c, &err) != PW_ENOTFOUND || !look_up(self, c, &m)) {
        c->status = 0; /* found out again when it is answered */
        pw_buf_reset(&c->body);
        return false;
    }
    *ret = m.project;
    return true;
}

/* ---- the build set */
static bool forget(core *self, uint64_t number, uint64_t project)
{
    core_effect *e = core_add_effect(self, CORE_UNTRY);
    if (e) {
        e->id = number;
        e->worker = project;
    }
    return e != NULL;
}

/* Its stamp and its row. NULL: the turn broke. */
static core_stamp *make_stamp(core *self, const core_cmd *c, const meant *m, const store_rev *rev)
{
    uint64_t project = self->project[m->project].row;
    pw_err err = {0};
    core_stamp *s = core_stamp_make(self, project, m->branch, rev);
    store_try row = {.id = c->tried.number,
                     .project = project,
                     .stamp = s ? s->id : 0,
                     .base = m->base,
                     .who = c->actor,
                     .size = c->tried.size,
                     .at = pw_wall(self->host)};
    if (!s)
        return NULL;
    s->proposal = CORE_TRIED;
    if (core_ok(self, store_stamp_propose(self->st, s->id, CORE_TRIED, &err), &err) &&
        core_ok(self, store_try_add(self->st, &row, &err), &err))
        return s;
    return core_stamp_unref(s);
}

static void answer(core *self, core_cmd *c, uint64_t set, uint64_t first)
{
    core_cmd_made(self, c, set, first);
    if (c->body.len) /* its last brace */
        c->body.p[--c->body.len] = '\0';
    (void)pw_buf_addf(&c->body,
                      ",\"try\":%" PRIu64 ",\"revision\":\"%s\",\"base\":\"%s\","
                      "\"commits\":%" PRIu64 "}",
                      c->tried.number, c->tried.rev, c->tried.base, c->tried.commits);
}

static void make(core *self, core_cmd *c, const meant *m, const store_rev *rev)
{
    PW_AUTO(pw_buf_clearp) pw_buf props = PW_BUF(PW_JOB_MAX);
    PW_AUTO(pw_buf_clearp) pw_buf reason = PW_BUF(PW_TEXT_MAX);
    bool given = c->reason && *c->reason;
    pl_strs names = {(char **)(uintptr_t)m->name, m->n};
    bool file = self->conf->projects[m->project].pipeline != NULL;
    pw_err err = {0};
    if (core_props_pack(&c->props, &props, &err) < 0) {
        core_cmd_fail(c, 400, "bad_request", "%s", err.text);
        return;
    }
    if (pw_buf_addf(&reason, "try by %s%s%s", c->actor ? c->actor : "?", given ? ": " : "",
                    given ? c->reason : "") < 0) {
        (void)core_nomem(self);
        return;
    }
    core_stamp *s = make_stamp(self, c, m, rev);
    if (!s)
        return;
    uint64_t first = self->next_id;
    core_ask ask = {.reason = pw_buf_str(&reason),
                    .who = c->actor,
                    .stamp = s,
                    .prio = CORE_FORCE_PRIO,
                    .props = (const uint8_t *)props.p,
                    .props_len = props.len,
                    .builders = m->builder,
                    .n_builders = file ? 0 : m->n,
                    .names = file ? &names : NULL,
                    .files = m->named ? NULL : c->tried.files,
                    .person = m->named};
    uint64_t set = core_ask_builds(self, &ask, NULL);
    core_stamp_unref(s);
    if (!set || !core_audit(self, c, "try", self->project[m->project].conf->name))
        return;
    pw_log(PW_LOG_INFO, "tried", "try=%" PRIu64 " project=\"%s\" who=\"%s\" bytes=%" PRIu64,
           c->tried.number, self->project[m->project].conf->name, c->actor ? c->actor : "?",
           c->tried.size);
    answer(self, c, set, first);
}

void core_cmd_try(core *self, core_cmd *c)
{
    PW_AUTO(meant_clear) meant m = {.project = SIZE_MAX};
    store_rev rev;
    bool good = look_up(self, c, &m);
    if (good && (!c->tried.number || !store_rev_parse(c->tried.rev, &rev)))
        core_cmd_fail(c, 500, "internal", "it was not imported");
    else if (good)
        make(self, c, &m, &rev);
    /* the configuration is another one than when it was imported */
    if (c->status >= 300 && c->tried.number && m.project < self->conf->n_projects)
        (void)forget(self, c->tried.number, self->project[m.project].row);
}

/* ---- what is kept */
int core_try_highest(core *self, uint64_t *ret, pw_err *err)
{
    return store_try_highest(self->st, ret, err);
}

bool core_try_is(core *self, uint64_t number, uint64_t project)
{
    return store_try_is(self->st, number, project, NULL) != 0;
}

typedef struct over {
    core *self;
    uint64_t id[EXPIRE_MOST], project[EXPIRE_MOST];
    size_t n;
} over;

static int on_over(void *p, uint64_t id, uint64_t project)
{
    over *o = p;
    o->id[o->n] = id;
    o->project[o->n++] = project;
    return o->n < EXPIRE_MOST ? 0 : PW_EAGAIN;
}

void core_tries_expire(core *self)
{
    over o = {.self = self};
    pw_err err = {0};
    int r = store_tries_over(self->st, EXPIRE_MOST, on_over, &o, &err);
    if (r < 0 && r != PW_EAGAIN) {
        (void)core_ok(self, r, &err);
        return;
    }
    for (size_t i = 0; i < o.n; i++)
        if (!core_turn(self) || !core_ok(self, store_try_del(self->st, o.id[i], &err), &err) ||
            !forget(self, o.id[i], o.project[i]))
            return;
}

/* ---- release */
/* Of a build, or of a request; 0: neither. */
static uint64_t stamp_of(core *self, uint64_t id)
{
    const core_request *r = pw_table_get(self->requests, id);
    store_build row;
    uint64_t stamp = r ? r->stamp->id : 0;
    if (!r && store_build_get(self->st, id, &row, NULL) == 0) {
        stamp = row.stamp;
        store_build_clear(&row);
    }
    return stamp;
}

/* Requests that wait move to where those of trusted builds wait. */
static bool trust(core *self, uint64_t stamp)
{
    core_request *r;
    for (size_t pos = 0; (r = pw_table_next(self->requests, &pos));) {
        if (r->stamp->id != stamp)
            continue;
        bool queued = r->pos != NULL;
        if (queued)
            queue_remove(r->builder, r);
        r->stamp->released = true;
        r->trusted = core_trusted(self, r);
        if (queued && queue_push(r->builder, r) < 0)
            return core_nomem(self), false;
        core_note_event(self, EVENT_REQUEST, r->id);
    }
    self->dispatch = true;
    return true;
}

void core_cmd_release(core *self, core_cmd *c)
{
    uint64_t stamp = stamp_of(self, c->id);
    unsigned proposal = 0;
    pw_err err = {0};
    char what[40];
    if (!stamp) {
        core_cmd_fail(c, 404, "not_found", "there is no build and no open request %" PRIu64, c->id);
        return;
    }
    if (!core_ok(self, store_stamp_proposal(self->st, stamp, &proposal, &err), &err))
        return;
    if (proposal != CORE_PROPOSED && proposal != CORE_TRIED) {
        core_cmd_fail(c, 409, "conflict",
                      "%" PRIu64 " is of the project's own repository: there is nothing to release",
                      c->id);
        return;
    }
    (void)snprintf(what, sizeof(what), "%" PRIu64, c->id);
    if (!core_turn(self) ||
        !core_ok(self, store_stamp_release(self->st, stamp, c->actor ? c->actor : "?", &err),
                 &err) ||
        !trust(self, stamp) || !core_audit(self, c, "release", what))
        return;
    c->status = 202;
    (void)pw_buf_addf(&c->body, "{\"id\":%" PRIu64 "}", c->id);
}
