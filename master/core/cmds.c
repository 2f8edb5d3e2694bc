/* Commands of people: force, change, retry, cancel, workers, promotions. Each is one function in
 * one table; each writes its line of the audit log; the answer is kept under its Idempotency-Key.
 */
#include "master/core/parts.h"
#include "master/store/graph.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/fs.h"
#include "shared/base/num.h"
#include "shared/crypt/crypt.h"

/* ---- finding what is meant */
bool core_find_builder(core *self, core_cmd *c, const char *name, size_t *ret)
{
    char full[600];
    name = name ? name : "";
    if (c->project) {
        (void)snprintf(full, sizeof(full), "%s/%s", c->project, name);
        name = strchr(name, '/') ? name : full;
    }
    int64_t i = config_find_builder(self->conf, name);
    if (i >= 0) {
        *ret = (size_t)i;
        return true;
    }
    if (i == -1) {
        core_cmd_fail(c, 404, "not_found", "there is no builder \"%s\"", name);
        return false;
    }
    PW_AUTO(pw_buf_clearp) pw_buf list = PW_BUF(500);
    for (size_t k = 0; k < self->conf->n_builders; k++)
        if (strcmp(self->conf->builders[k].name, name) == 0)
            (void)pw_buf_addf(&list, "%s%s/%s", list.len ? ", " : "",
                              self->conf->projects[self->conf->builders[k].project].name, name);
    core_cmd_fail(c, 400, "bad_request", "several projects have a builder \"%s\": say %s", name,
                  pw_buf_str(&list));
    return false;
}

bool core_find_project(core *self, core_cmd *c, size_t *ret)
{
    int64_t i = c->project                    ? config_find_project(self->conf, c->project)
                : self->conf->n_projects == 1 ? 0
                                              : -1;
    if (i < 0) {
        core_cmd_fail(c, c->project ? 404 : 400, c->project ? "not_found" : "bad_request",
                      c->project ? "there is no project \"%s\"" : "say which project%s",
                      c->project ? c->project : "");
        return false;
    }
    *ret = (size_t)i;
    return true;
}

static core_worker *find_worker(core *self, core_cmd *c)
{
    core_worker *w;
    for (size_t pos = 0; c->name && (w = pw_table_next(self->workers, &pos));)
        if (strcmp(w->row.name, c->name) == 0 && !w->row.removed)
            return w;
    core_cmd_fail(c, 404, "not_found", "there is no worker \"%s\"", c->name ? c->name : "");
    return NULL;
}

bool core_audit(core *self, const core_cmd *c, const char *action, const char *object)
{
    pw_err err = {0};
    return core_turn(self) &&
           core_ok(self,
                   store_audit_add(self->st, pw_wall(self->host), c->actor ? c->actor : "?", action,
                                   object, c->reason, &err),
                   &err);
}

/* It becomes a row, a variable of steps and a cell of pages, whether the repository has it or not.
 */
bool core_bad_branch(core_cmd *c)
{
    if (!c->branch || config_branch_ok(c->branch))
        return false;
    core_cmd_fail(c, 400, "bad_request", "\"%.100s\" is no name of a branch", c->branch);
    return true;
}

/* ---- builds */
/* The set and its requests. */
void core_cmd_made(const core *self, core_cmd *c, uint64_t set, uint64_t first)
{
    c->status = 202;
    (void)pw_buf_addf(&c->body, "{\"buildset\":%" PRIu64 ",\"requests\":[", set);
    for (size_t i = 0; i < self->made; i++)
        (void)pw_buf_addf(&c->body, "%s%" PRIu64, i ? "," : "", first + i);
    (void)pw_buf_adds(&c->body, "]}");
}

/* A builder of a pipeline file, by PROJECT/NAME, or by NAME while one project could have it; its
 * name in the file, NULL: of the configuration. That it is there is seen in the file. */
static char *of_pipeline(const core *self, const core_cmd *c, size_t *ret_project)
{
    const char *name = c->builder ? c->builder : "", *slash = strchr(name, '/');
    size_t found = SIZE_MAX, n = 0;
    if (!c->project && !slash && config_find_builder(self->conf, name) != -1)
        return NULL;
    for (size_t i = 0; i < self->conf->n_projects; i++) {
        const config_project *p = &self->conf->projects[i];
        bool meant = slash ? strlen(p->name) == (size_t)(slash - name) &&
                                 memcmp(p->name, name, (size_t)(slash - name)) == 0
                     : c->project ? strcmp(p->name, c->project) == 0
                                  : p->pipeline != NULL;
        if (!meant)
            continue;
        found = i;
        n++;
    }
    const char *bare = slash ? slash + 1 : name;
    if (n != 1 || !self->conf->projects[found].pipeline || !pw_name_ok(bare))
        return NULL;
    *ret_project = found;
    return strdup(bare);
}

static void cmd_force(core *self, core_cmd *c)
{
    size_t builder = 0, project = 0;
    store_rev rev;
    char ref[300];
    pw_err err = {0};
    PW_AUTO(pw_buf_clearp) pw_buf props = PW_BUF(PW_JOB_MAX);
    const config_scheduler *by = NULL;
    PW_AUTO(pw_freep) char *own = of_pipeline(self, c, &project);
    if (!own && !core_find_builder(self, c, c->builder, &builder))
        return;
    if (!own)
        project = self->builder[builder].project;
    const char *name = own ? own : self->builder[builder].name;
    core_project *p = &self->project[project];
    if (!c->reason || !*c->reason || strlen(c->reason) > PW_TEXT_MAX - 100) {
        core_cmd_fail(c, 400, "bad_request", "a forced build needs a reason of at most %d bytes",
                      PW_TEXT_MAX - 100);
        return;
    }
    if (core_bad_branch(c))
        return;
    const char *branch = c->branch ? c->branch : p->head;
    if (!branch || strlen(branch) > 255) {
        core_cmd_fail(c, 409, "conflict",
                      p->trouble ? "the repository of \"%s\" could not be read: %s"
                                 : "the repository of \"%s\" was not read yet%s",
                      p->conf->name, p->trouble ? p->trouble : "");
        return;
    }
    if (c->revision ? !store_rev_parse(c->revision, &rev)
                    : !core_tip_get(self, project, core_branch_ref(ref, branch), &rev)) {
        core_cmd_fail(c, c->revision ? 400 : 404, c->revision ? "bad_request" : "not_found",
                      c->revision ? "\"%s\" is not a whole revision" : "there is no branch \"%s\"",
                      c->revision ? c->revision : branch);
        return;
    }
    if (!own && !core_force_check(self, c, builder, &by))
        return;
    if (core_props_pack(&c->props, &props, &err) < 0) {
        bool ours = err.code == PW_ENOMEM; /* whoever asks has done nothing wrong */
        core_cmd_fail(c, ours ? 503 : 400, ours ? "unavailable" : "bad_request", "%s", err.text);
        return;
    }
    core_stamp *s = core_stamp_make(self, p->row, branch, &rev);
    if (!s)
        return;
    uint64_t first = self->next_id;
    pl_strs names = {&own, 1};
    core_ask ask = {.scheduler = by ? by->name : NULL,
                    .by = by,
                    .reason = c->reason,
                    .who = c->actor,
                    .stamp = s,
                    .prio = CORE_FORCE_PRIO + (by ? by->priority : 0),
                    .collapse = false,
                    .props = (const uint8_t *)props.p,
                    .props_len = props.len,
                    .builders = &builder,
                    .n_builders = !own,
                    .names = own ? &names : NULL,
                    .person = true};
    uint64_t set = core_ask_builds(self, &ask, NULL);
    core_stamp_unref(s);
    if (set && core_audit(self, c, "force", name))
        core_cmd_made(self, c, set, first);
}

/* Records the change and starts its builds, unless it is recorded already: a hint that comes late
 * is of a tip that the branch has left. The tip stays what the repository last showed, so that the
 * next look tells of all commits up to it. Returns its id, 0 when there was nothing to do. */
static uint64_t told_change(core *self, const core_cmd *c, size_t project, const store_rev *rev)
{
    pw_err err = {0};
    uint64_t id = 0;
    core_stamp *s = core_stamp_make(self, self->project[project].row, c->branch, rev);
    if (!s)
        return 0;
    int known = store_change_known(self->st, s->id, &err);
    store_change row = {.id = self->next_change,
                        .stamp = s->id,
                        .at = pw_wall(self->host),
                        .tip = true,
                        .source = (char *)(uintptr_t) "hand",
                        .author = c->actor};
    if (core_ok(self, known < 0 ? known : 0, &err) && known == 0 &&
        core_ok(self, store_change_add(self->st, &row, &err), &err)) {
        id = self->next_change++;
        core_note_event(self, EVENT_CHANGE, id);
        if (glob_match(self->project[project].conf->branches, c->branch) &&
            !core_moved_by_us(self, project, c->branch, rev))
            core_trigger_branch(self, project, s, NULL, 0, id);
    }
    core_stamp_unref(s);
    return id;
}

static void cmd_change(core *self, core_cmd *c)
{
    size_t project;
    store_rev rev, known;
    char ref[300];
    if (!core_find_project(self, c, &project))
        return;
    if (core_bad_branch(c))
        return;
    if (!c->branch || !c->revision || !store_rev_parse(c->revision, &rev)) {
        core_cmd_fail(c, 400, "bad_request", "a change needs a branch and a whole revision");
        return;
    }
    (void)core_branch_ref(ref, c->branch);
    bool same = core_tip_get(self, project, ref, &known) && store_rev_equal(&known, &rev);
    uint64_t id = 0, first_request = self->next_id, set = self->next_buildset;
    if (!same) {
        /* while a timer of the branch runs, or what it is to build waits and would ride with this,
         * the look that follows says which of the two is newer; it also says who wrote it, and
         * whether it has [testfix] */
        if (!core_needs_look(self, project, c->branch) &&
            !core_quiet_pending(self, project, c->branch) &&
            !core_branch_waits(self, project, c->branch))
            id = told_change(self, c, project, &rev);
        /* the repository is the truth: a change told by hand is a hint */
        self->project[project].told |= self->project[project].polling;
        core_poll_now(self, project);
    }
    if (self->fault.code || !core_audit(self, c, "change", c->branch))
        return;
    c->status = 202;
    (void)pw_buf_addf(&c->body, "{\"change\":%" PRIu64 ",\"buildset\":", id);
    if (self->next_buildset > set)
        (void)pw_buf_addf(&c->body, "%" PRIu64 ",\"requests\":[", set);
    else
        (void)pw_buf_adds(&c->body, "null,\"requests\":[");
    for (uint64_t k = first_request; k < self->next_id; k++)
        (void)pw_buf_addf(&c->body, "%s%" PRIu64, k > first_request ? "," : "", k);
    (void)pw_buf_adds(&c->body, "]}");
}

static void cancelled(core *self, core_cmd *c)
{
    char what[40];
    (void)snprintf(what, sizeof(what), "%s %" PRIu64,
                   c->kind == CMD_CANCEL_BUILD ? "build" : "request", c->id);
    if (core_audit(self, c, "cancel", what)) {
        c->status = 202;
        (void)pw_buf_addf(&c->body, "{\"id\":%" PRIu64 "}", c->id);
    }
}

static void cmd_cancel_build(core *self, core_cmd *c)
{
    core_build *b = pw_table_get(self->builds, c->id);
    store_build row;
    if (b) {
        core_build_cancel(self, b, c->reason ? c->reason : "cancelled");
        cancelled(self, c);
    } else if (store_build_get(self->st, c->id, &row, NULL) == 0) {
        core_cmd_fail(c, 409, "conflict", "build %" PRIu64 " is finished: %s", c->id,
                      pw_result_name(row.result));
        store_build_clear(&row);
    } else {
        core_cmd_fail(c, 404, "not_found", "there is no build %" PRIu64, c->id);
    }
}

static void cmd_cancel_request(core *self, core_cmd *c)
{
    core_request *r = pw_table_get(self->requests, c->id);
    if (!r) {
        core_cmd_fail(c, 404, "not_found", "request %" PRIu64 " is not open", c->id);
        return;
    }
    if (r->build)
        core_build_cancel(self, r->build, c->reason ? c->reason : "cancelled");
    else
        core_request_finish(self, r, 0);
    cancelled(self, c);
}

static void cmd_start(core *self, core_cmd *c)
{
    core_request *r = pw_table_get(self->requests, c->id);
    pw_err err = {0};
    char what[40];
    if (!r) {
        core_cmd_fail(c, 404, "not_found", "request %" PRIu64 " is not open", c->id);
        return;
    }
    if (r->hold != HOLD_MANUAL) {
        core_cmd_fail(c, 409, "conflict", "request %" PRIu64 " does not wait for a person", c->id);
        return;
    }
    (void)snprintf(what, sizeof(what), "request %" PRIu64, c->id);
    if (!core_audit(self, c, "start", what) ||
        !core_ok(self, store_task_hold(self->st, r->id, HOLD_NONE, &err), &err))
        return;
    r->hold = HOLD_NONE;
    core_note_event(self, EVENT_REQUEST, r->id);
    if (core_request_queue(self, r)) {
        c->status = 202;
        (void)pw_buf_addf(&c->body, "{\"id\":%" PRIu64 "}", c->id);
    }
}

/* ---- workers */
static void worker_flags(core *self, core_cmd *c, const char *action, bool paused, bool draining,
                         bool removed)
{
    pw_err err = {0};
    bool failed = false;
    core_worker *w = find_worker(self, c);
    if (!w)
        return;
    if (!core_turn(self) ||
        !core_ok(self,
                 store_worker_flags(self->st, w->row.id, paused, draining, removed, 0, c->reason,
                                    c->actor, &err),
                 &err) ||
        (removed && !core_ok(self, store_worker_revoke(self->st, w->row.id, &err), &err)))
        return;
    w->row.paused = paused;
    w->row.draining = draining;
    w->row.removed = removed;
    w->row.quarantine = 0;
    if (c->kind == CMD_WORKER_RESUME) {
        if (!core_ok(self, store_worker_strikes(self->st, w->row.id, 0, 0, &err), &err))
            return;
        w->row.strikes = w->row.rests = w->struck = 0;
    }
    free(w->row.reason);
    free(w->row.who);
    w->row.reason = pw_strdup(c->reason, &failed);
    w->row.who = pw_strdup(c->actor, &failed);
    if (removed) { /* from the next message on its key is nobody's */
        w->row.has_key = w->enrolled = w->once_used = false;
        core_effect *e = core_add_effect(self, CORE_DROP);
        if (e) {
            e->worker = w->row.id;
            e->text = pw_strf("removed");
        }
    }
    self->dispatch = true;
    core_note_event(self, EVENT_WORKER, w->row.id);
    if (draining && w->busy == 0)
        core_worker_empty(self, w);
    if (core_audit(self, c, action, c->name)) {
        c->status = 202;
        (void)pw_buf_adds(&c->body, "{\"name\":");
        (void)pw_buf_json(&c->body, c->name);
        (void)pw_buf_addf(&c->body, ",\"busy\":%" PRIu64 "}", w->busy);
    }
}

static void cmd_worker_pause(core *self, core_cmd *c)
{
    worker_flags(self, c, "worker.pause", true, false, false);
}

static void cmd_worker_resume(core *self, core_cmd *c)
{
    worker_flags(self, c, "worker.resume", false, false, false);
}

static void cmd_worker_drain(core *self, core_cmd *c)
{
    worker_flags(self, c, "worker.drain", false, true, false);
}

static void cmd_worker_remove(core *self, core_cmd *c)
{
    worker_flags(self, c, "worker.remove", false, false, true);
}

/* ---- promotions */
static void cmd_promote(core *self, core_cmd *c)
{
    static const char *const names[] = {"done", "waiting", "diverged", "stopped"};
    for (size_t i = 0; i < self->conf->n_promotions; i++) {
        core_edge *e = &self->edge[i];
        if (!c->name || strcmp(e->conf->name, c->name) != 0)
            continue;
        c->status = c->dry_run ? 200 : 202;
        (void)pw_buf_adds(&c->body, "{\"edge\":");
        (void)pw_buf_json(&c->body, c->name);
        (void)pw_buf_addf(&c->body,
                          ",\"state\":\"%s\",\"reason\":", e->intent ? "waiting" : names[e->state]);
        (void)pw_buf_json(&c->body, e->intent   ? "a push is under way"
                                    : e->reason ? e->reason
                                                : "the repository was not read yet");
        (void)pw_buf_adds(&c->body, "}");
        if (!c->dry_run && core_audit(self, c, "promote", c->name)) {
            e->dirty = true;
            e->not_before = 0;
            core_poll_now(self, e->conf->project);
        }
        return;
    }
    core_cmd_fail(c, 404, "not_found", "there is no promotion \"%s\"", c->name ? c->name : "");
}

static void (*const handlers[])(core *, core_cmd *) = {
    [CMD_FORCE] = cmd_force,
    [CMD_CHANGE] = cmd_change,
    [CMD_RETRY] = core_cmd_retry,
    [CMD_SHELL] = core_cmd_shell,
    [CMD_CANCEL_BUILD] = cmd_cancel_build,
    [CMD_START] = cmd_start,
    [CMD_CANCEL_REQUEST] = cmd_cancel_request,
    [CMD_WHY] = core_why,
    [CMD_WHY_LIST] = core_why_list,
    [CMD_WORKER_ADD] = core_cmd_worker_add,
    [CMD_WORKER_ROTATE] = core_cmd_worker_rotate,
    [CMD_TOKEN_ADD] = core_cmd_token_add,
    [CMD_TOKEN_REVOKE] = core_cmd_token_revoke,
    [CMD_TOKEN_USED] = core_cmd_token_used,
    [CMD_HOOK] = core_cmd_hook,
    [CMD_LOGIN] = core_cmd_login,
    [CMD_LOGOUT] = core_cmd_logout,
    [CMD_WORKER_PAUSE] = cmd_worker_pause,
    [CMD_WORKER_RESUME] = cmd_worker_resume,
    [CMD_WORKER_DRAIN] = cmd_worker_drain,
    [CMD_WORKER_REMOVE] = cmd_worker_remove,
    [CMD_PROMOTE] = cmd_promote,
    [CMD_HEALTH] = core_cmd_health,
    [CMD_OUTBOX_RETRY] = core_cmd_outbox_retry,
    [CMD_OUTBOX_DROP] = core_cmd_outbox_drop,
    [CMD_BUILDER_PAUSE] = core_cmd_builder_pause,
    [CMD_BUILDER_RESUME] = core_cmd_builder_resume,
    [CMD_SCHEDULER_PAUSE] = core_cmd_scheduler_pause,
    [CMD_SCHEDULER_RESUME] = core_cmd_scheduler_resume,
    [CMD_PIN] = core_cmd_pin,
    [CMD_UNPIN] = core_cmd_unpin,
    [CMD_TRY] = core_cmd_try,
    [CMD_RELEASE] = core_cmd_release,
};

/* ---- answers that are told again */
static bool tells_secret(core_cmd_kind kind)
{
    return kind == CMD_TOKEN_ADD || kind == CMD_WORKER_ADD || kind == CMD_WORKER_ROTATE;
}

/* What the answer is kept under: found again only by whoever asked, for the same deed to the same
 * thing. A key alone, seen or guessed, must neither tell what another was answered nor stand for
 * what was never done. The blank keeps it apart from the keys of an older master, which were what
 * the request said. */
static int idem_key(const core_cmd *c, pw_buf *ret)
{
    uint8_t hash[CRYPT_HASH];
    char hex[2 * CRYPT_HASH + 1], id[24] = "";
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(2000);
    if (c->id)
        (void)snprintf(id, sizeof(id), "#%" PRIu64, c->id);
    if (pw_buf_addf(&b, "%d\n%s\n%s%s\n%s", (int)c->kind, c->actor ? c->actor : "",
                    c->name ? c->name : "", id, c->idem) < 0)
        return PW_ENOMEM;
    crypt_hash(b.p, b.len, hash);
    pw_hex(hash, sizeof(hash), hex);
    return pw_buf_addf(ret, " %s", hex);
}

/* PW_ENOTFOUND: it was not asked before. */
static int answered(core *self, core_cmd *c, const char *key, pw_err *err)
{
    int r = store_idem_get(self->st, key, &c->status, &c->body, err);
    /* of before an upgrade, for a day */
    if (r == PW_ENOTFOUND && !tells_secret(c->kind) && c->idem[0] != ' ')
        r = store_idem_get(self->st, c->idem, &c->status, &c->body, err);
    return r;
}

int core_cmd_answered(core *self, core_cmd *c, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf key = PW_BUF(400);
    if (!c->idem || !*c->idem)
        return PW_ENOTFOUND;
    return idem_key(c, &key) < 0 ? pw_fail(err, PW_ENOMEM, "out of memory")
                                 : answered(self, c, key.p, err);
}

/* The row does not hold the secret, but what it was about: there is a new one. */
static void again(core *self, core_cmd *c)
{
    PW_AUTO(pw_freep) char *kept = pw_strf("%s", pw_buf_str(&c->body));
    c->status = 0;
    pw_buf_reset(&c->body);
    if (!kept)
        (void)core_nomem(self);
    else if (c->kind == CMD_TOKEN_ADD)
        core_token_again(self, c, kept);
    else
        core_enrol_again(self, c, kept);
}

void core_command(core *self, core_cmd *cmd)
{
    pw_err err = {0};
    core_effect *e = core_add_effect(self, CORE_REPLY);
    if (!e) { /* no memory for an answer: the turn is broken, and with it everybody is told */
        core_cmd_fail(cmd, 503, "unavailable", "out of memory");
        cmd->done(cmd, cmd->done_self);
        return;
    }
    e->cmd = cmd;
    PW_AUTO(pw_buf_clearp) pw_buf key = PW_BUF(400);
    /* a question is answered anew, whatever key it brings */
    bool keep = cmd->idem && *cmd->idem && cmd->kind != CMD_WHY && cmd->kind != CMD_WHY_LIST &&
                cmd->kind != CMD_HEALTH;
    if (keep && idem_key(cmd, &key) < 0) {
        (void)core_nomem(self);
        return;
    }
    int known = keep ? answered(self, cmd, key.p, &err) : PW_ENOTFOUND;
    if (known == 0 && tells_secret(cmd->kind))
        again(self, cmd);
    if (known != PW_ENOTFOUND) {
        (void)core_ok(self, known, &err);
        return;
    }
    const char *full = core_why_full(self);
    if (full && (cmd->kind == CMD_FORCE || cmd->kind == CMD_RETRY || cmd->kind == CMD_TRY))
        core_cmd_fail(cmd, 503, "unavailable", "the master takes no new work: %s", full);
    else
        handlers[cmd->kind](self, cmd);
    /* only what was done is kept: after an error the same request may be tried again */
    if (keep && !self->fault.code && cmd->status >= 200 && cmd->status < 300 && core_turn(self))
        (void)core_ok(self,
                      store_idem_put(self->st, key.p, core_seen(self), cmd->status,
                                     cmd->keep ? cmd->keep : pw_buf_str(&cmd->body), &err),
                      &err);
}
