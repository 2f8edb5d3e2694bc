/* Schedulers: which changes and which instants make build sets. Cron and periodic triggers are
 * unique rows (schedule, instant): the last instant fired is committed with its build set. */
#include "master/core/parts.h"
#include "master/store/graph.h"
#include "master/store/sched.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/fault.h"
#include "shared/base/log.h"

enum { SERVED_MS = 2 * 24 * 3600 * 1000 };

/* ---- branch schedulers */
static bool important(const config_scheduler *s, const char *files)
{
    if ((!s->paths && !s->paths_ignore) || !files)
        return true;
    PW_AUTO(pw_buf_clearp) pw_buf path = PW_BUF(8192);
    for (const char *p = files; *p;) {
        size_t n = strcspn(p, "\n");
        pw_buf_reset(&path);
        if (pw_buf_add(&path, p, n) < 0)
            return true;
        if ((!s->paths || glob_match(s->paths, pw_buf_str(&path))) &&
            !(s->paths_ignore && glob_match(s->paths_ignore, pw_buf_str(&path))))
            return true;
        p += n + (p[n] == '\n');
    }
    return false;
}

/* What changed since its last set on the branch, where a builder wants to know; false: that is not
 * known, or the turn broke. */
static bool changed_files(core *self, const config_scheduler *s, const core_stamp *stamp,
                          pw_buf *files)
{
    pw_err err = {0};
    bool known = false, asked = false;
    asked = self->conf->projects[s->project].pipeline != NULL;
    for (size_t i = 0; i < s->n_builders; i++)
        asked |= self->conf->builders[s->builders[i]].run_if_changed != NULL;
    /* what a red branch holds rides with other changes: there all is built */
    return asked && !s->testfix && core_turn(self) &&
           core_ok(self,
                   store_regarded(self->st, s->name, stamp->project_row, stamp->branch, files,
                                  &known, &err),
                   &err) &&
           core_ok(self,
                   store_regarded_put(self->st, s->name, stamp->project_row, stamp->branch,
                                      stamp->id, &err),
                   &err) &&
           known;
}

void core_fire(core *self, const core_firing *f)
{
    const config_scheduler *s = self->schedule[f->scheduler].conf;
    PW_AUTO(pw_buf_clearp) pw_buf props = PW_BUF(PW_JOB_MAX);
    pw_err err = {0};
    if (self->schedule[f->scheduler].pause) {
        if (core_turn(self))
            (void)core_ok(self,
                          store_missed_put(self->st, s->name, f->stamp->branch, f->stamp->id,
                                           f->stamp->project_row, f->tagged, f->change, &err),
                          &err);
        return;
    }
    pw_list pairs = {s->properties, s->n_properties}; /* a config_pair is a msg_pair: see jobs.c */
    if (!core_ok(self, core_props_pack(&pairs, &props, &err), &err))
        return;
    PW_AUTO(pw_buf_clearp) pw_buf files = PW_BUF(4 * 1024 * 1024);
    bool known = changed_files(self, s, f->stamp, &files);
    core_ask ask = {.scheduler = s->name,
                    .files = known ? pw_buf_str(&files) : NULL,
                    .by = s,
                    .reason = f->reason,
                    .stamp = f->stamp,
                    .prio = s->priority,
                    .collapse = true,
                    .gated = s->testfix && !f->tagged,
                    .change = f->change,
                    .props = (const uint8_t *)props.p,
                    .props_len = props.len,
                    .builders = s->builders,
                    .n_builders = s->n_builders,
                    .names = &s->names,
                    .fail_fast = s->fail_fast};
    (void)core_ask_builds(self, &ask, NULL);
}

void core_quiet_drop(core *self, size_t i)
{
    pw_err err = {0};
    core_quiet *q = &self->quiet[i];
    if (!core_turn(self) ||
        !core_ok(self,
                 store_quiet_del(self->st, self->schedule[q->scheduler].conf->name,
                                 q->stamp->branch, &err),
                 &err))
        return;
    core_stamp_unref(q->stamp);
    *q = self->quiet[--self->n_quiet];
}

static size_t quiet_find(const core *self, size_t scheduler, const char *branch)
{
    size_t i = 0;
    while (i < self->n_quiet && (self->quiet[i].scheduler != scheduler ||
                                 strcmp(self->quiet[i].stamp->branch, branch) != 0))
        i++;
    return i;
}

/* One timer per scheduler and branch; it starts anew with each change, and is about all of them. */
static void quiet_set(core *self, const core_firing *f, pw_msec due)
{
    pw_err err = {0};
    size_t i = quiet_find(self, f->scheduler, f->stamp->branch);
    core_quiet q = {.scheduler = f->scheduler,
                    .stamp = f->stamp,
                    .due = due,
                    .tagged = f->tagged,
                    .change = f->change};
    if (i < self->n_quiet) {
        q.tagged |= self->quiet[i].tagged;
        q.change = self->quiet[i].change ? self->quiet[i].change : q.change;
    }
    if (!core_turn(self) ||
        !core_ok(self,
                 store_quiet_put(self->st, self->schedule[q.scheduler].conf->name, q.stamp->branch,
                                 q.stamp->id, due, q.tagged, q.change, &err),
                 &err))
        return;
    if (i == self->n_quiet) {
        core_quiet *v = realloc(self->quiet, (self->n_quiet + 1) * sizeof(*v));
        if (!v) {
            (void)core_nomem(self);
            return;
        }
        self->quiet = v;
        self->n_quiet++;
    } else {
        core_stamp_unref(self->quiet[i].stamp);
    }
    self->quiet[i] = q;
    (void)core_stamp_ref(q.stamp);
}

bool core_quiet_pending(const core *self, size_t project, const char *branch)
{
    for (size_t i = 0; i < self->n_quiet; i++)
        if (self->schedule[self->quiet[i].scheduler].conf->project == project &&
            strcmp(self->quiet[i].stamp->branch, branch) == 0)
            return true;
    return false;
}

/* One commit that counts, by what it changes and by whom it is, makes the whole push count. */
static bool counts(const config_scheduler *s, const core_commit_info *commit, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((!s->authors || (commit[i].author && glob_match(s->authors, commit[i].author))) &&
            important(s, commit[i].files))
            return true;
    return n == 0 && !s->authors;
}

static bool of_branch(const core *self, size_t i, size_t project, const char *branch)
{
    const config_scheduler *s = self->schedule[i].conf;
    return s->kind == SCHED_BRANCH && s->project == project && glob_match(s->branches, branch);
}

bool core_needs_look(const core *self, size_t project, const char *branch)
{
    for (size_t i = 0; i < self->conf->n_schedulers; i++) {
        const config_scheduler *s = self->schedule[i].conf;
        if (of_branch(self, i, project, branch) &&
            (s->testfix || s->authors || s->supersede != SUPERSEDE_NONE))
            return true;
    }
    return false;
}

void core_trigger_branch(core *self, size_t project, core_stamp *stamp,
                         const core_commit_info *commit, size_t n, uint64_t change)
{
    bool tagged = false;
    for (size_t i = 0; i < n; i++)
        tagged |= commit[i].testfix;
    for (size_t i = 0; i < self->conf->n_schedulers; i++) {
        if (!of_branch(self, i, project, stamp->branch))
            continue;
        const config_scheduler *s = self->schedule[i].conf;
        core_firing f = {
            .scheduler = i, .stamp = stamp, .reason = "change", .tagged = tagged, .change = change};
        bool waits = quiet_find(self, i, stamp->branch) < self->n_quiet;
        /* what does not count by itself rides with what waits for quiet */
        if (!waits && !counts(s, commit, n))
            continue;
        if (s->quiet > 0 && !self->schedule[i].pause)
            quiet_set(self, &f, pw_wall(self->host) + s->quiet / 1000);
        else
            core_fire(self, &f);
    }
}

/* ---- after a pause */
typedef struct missed {
    char *branch; /* owned */
    uint64_t stamp, change;
    bool tagged;
} missed;
typedef struct missed_list {
    missed *v;
    size_t n;
} missed_list;

static int on_missed(void *p, const char *branch, uint64_t stamp, bool tagged, uint64_t change)
{
    missed_list *l = p;
    bool failed = false;
    missed *v = realloc(l->v, (l->n + 1) * sizeof(*v));
    if (!v)
        return PW_ENOMEM;
    l->v = v;
    v[l->n] = (missed){pw_strdup(branch, &failed), stamp, change, tagged};
    l->n += !failed;
    return failed ? PW_ENOMEM : 0;
}

/* What a branch is at now; for another kind what it would have built last. */
static core_stamp *newest(core *self, const config_scheduler *s, const missed *m)
{
    char ref[300];
    store_rev rev;
    if (s->kind != SCHED_BRANCH)
        return core_stamp_load(self, m->stamp);
    return core_tip_get(self, s->project, core_branch_ref(ref, m->branch), &rev)
               ? core_stamp_make(self, self->project[s->project].row, m->branch, &rev)
               : NULL;
}

void core_schedule_resume(core *self, size_t scheduler)
{
    const config_scheduler *s = self->schedule[scheduler].conf;
    missed_list l = {0};
    pw_err err = {0};
    bool fine = core_turn(self) &&
                core_ok(self, store_missed_each(self->st, s->name, on_missed, &l, &err), &err) &&
                core_ok(self, store_missed_del(self->st, s->name, NULL, &err), &err);
    for (size_t i = 0; i < l.n; i++) {
        core_stamp *stamp = fine ? newest(self, s, &l.v[i]) : NULL;
        if (stamp && s->kind == SCHED_PROPOSAL)
            core_proposal_ask(self, scheduler, stamp);
        else if (stamp)
            core_fire(self, &(core_firing){.scheduler = scheduler,
                                           .stamp = stamp,
                                           .reason = "after a pause",
                                           .tagged = l.v[i].tagged,
                                           .change = l.v[i].change});
        core_stamp_unref(stamp);
        free(l.v[i].branch);
    }
    free(l.v);
}

void core_schedule_gone(core *self, size_t project, const char *branch)
{
    pw_err err = {0};
    for (size_t i = 0; i < self->conf->n_schedulers; i++) {
        const config_scheduler *s = self->schedule[i].conf;
        if (s->project == project && self->schedule[i].pause && core_turn(self) &&
            !core_ok(self, store_missed_del(self->st, s->name, branch, &err), &err))
            return;
    }
}

/* ---- timed schedulers */
/* Fired, not committed. */
static void fired(core *self)
{
    pw_err err = {0};
    if (!pw_fault("schedule.fired"))
        return;
    (void)pw_fail(&err, PW_ESYS, "starting builds by the clock: fault point schedule.fired");
    core_break(self, &err);
}

static pw_msec next_instant(const core_schedule *s, pw_msec after)
{
    if (s->conf->kind == SCHED_PERIODIC)
        return s->last ? s->last + s->conf->every / 1000 : after;
    int64_t t = cron_next(s->conf->cron, s->conf->zone, after / 1000);
    return t < 0 ? 0 : t * 1000;
}

static void timed(core *self, size_t i, pw_msec wall)
{
    core_schedule *s = &self->schedule[i];
    core_project *p = &self->project[s->conf->project];
    const char *branch = s->conf->branch ? s->conf->branch : p->head;
    char ref[300];
    store_rev rev;
    pw_err err = {0};
    if (!branch || !core_tip_get(self, s->conf->project, core_branch_ref(ref, branch), &rev)) {
        if (!p->looked) /* not seen yet: wait for the first look rather than lose the instant */
            return;
        s->next = next_instant(s, wall);
        if (s->conf->kind == SCHED_PERIODIC)
            s->next = wall + s->conf->every / 1000;
        return;
    }
    core_stamp *stamp = core_stamp_make(self, p->row, branch, &rev);
    if (!stamp)
        return;
    bool skip =
        s->conf->kind == SCHED_NIGHTLY && s->conf->only_if_changed && s->last_stamp == stamp->id;
    if (!skip)
        core_fire(self, &(core_firing){.scheduler = i,
                                       .stamp = stamp,
                                       .reason = config_sched_kinds[s->conf->kind]});
    s->last = wall; /* every instant up to now is served by this one */
    s->last_stamp = stamp->id;
    s->next = next_instant(s, wall);
    if (core_turn(self))
        (void)core_ok(
            self, store_schedule_put(self->st, s->conf->name, s->last, s->last_stamp, &err), &err);
    core_stamp_unref(stamp);
    fired(self);
}

/* A clock that was set back must not make anybody wait for it to come again. A nightly line alone
 * does for a day or two, since those instants were served; beyond, the clock was wrong then. */
static void set_back(core *self, pw_msec wall)
{
    for (size_t i = 0; i < self->n_quiet && !self->fault.code; i++) {
        core_quiet *q = &self->quiet[i];
        pw_msec most = wall + self->schedule[q->scheduler].conf->quiet / 1000;
        if (q->due <= most)
            continue;
        core_stamp *stamp = core_stamp_ref(q->stamp);
        quiet_set(self, &(core_firing){.scheduler = q->scheduler, .stamp = stamp}, most);
        core_stamp_unref(stamp);
    }
    for (size_t i = 0; i < self->conf->n_schedulers; i++) {
        core_schedule *s = &self->schedule[i];
        if (!s->next || s->last <= wall)
            continue;
        if (s->conf->kind == SCHED_PERIODIC && s->next > wall + s->conf->every / 1000)
            s->next = wall + s->conf->every / 1000;
        else if (s->conf->kind == SCHED_NIGHTLY && s->last > wall + SERVED_MS) {
            s->last = wall;
            s->next = next_instant(s, wall);
        }
    }
}

void core_schedule_tick(core *self, pw_msec wall)
{
    set_back(self, wall);
    for (size_t i = self->n_quiet; i-- > 0 && !self->fault.code;) {
        if (self->quiet[i].due > wall)
            continue;
        const core_quiet *q = &self->quiet[i];
        core_firing f = {.scheduler = q->scheduler,
                         .stamp = core_stamp_ref(q->stamp),
                         .reason = "change",
                         .tagged = q->tagged,
                         .change = q->change};
        core_quiet_drop(self, i);
        core_fire(self, &f);
        core_stamp_unref(f.stamp);
        fired(self);
    }
    for (size_t i = 0; i < self->conf->n_schedulers && !self->fault.code; i++)
        if (self->schedule[i].next && self->schedule[i].next <= wall && !self->schedule[i].pause)
            timed(self, i, wall);
}

pw_msec core_schedule_next(const core *self)
{
    pw_msec best = 0;
    for (size_t i = 0; i < self->n_quiet; i++)
        if (!best || self->quiet[i].due < best)
            best = self->quiet[i].due;
    for (size_t i = 0; i < self->conf->n_schedulers; i++)
        if (self->schedule[i].next && !self->schedule[i].pause &&
            self->project[self->schedule[i].conf->project].looked &&
            (!best || self->schedule[i].next < best))
            best = self->schedule[i].next;
    return best;
}

/* ---- loading */
/* Timers of schedulers that the configuration has no more; nothing would ever end them. */
typedef struct gone_quiet {
    struct gone_quiet *next;
    char *scheduler;
    char branch[];
} gone_quiet;
typedef struct quiet_load {
    core *self;
    gone_quiet *gone;
} quiet_load;

static int quiet_gone(quiet_load *l, const char *scheduler, const char *branch)
{
    bool failed = false;
    size_t n = strlen(branch) + 1;
    gone_quiet *g = malloc(sizeof(*g) + n);
    if (!g || !(g->scheduler = pw_strdup(scheduler, &failed))) {
        free(g);
        return PW_ENOMEM;
    }
    memcpy(g->branch, branch, n);
    g->next = l->gone;
    l->gone = g;
    return 0;
}

/* Ended in the turn of the load, with a line for people: what waited is not built by it. */
static int quiets_end(core *self, gone_quiet *list, int r, pw_err *err)
{
    for (gone_quiet *next; list; list = next) {
        PW_AUTO(pw_freep)
        char *text = pw_strf("the scheduler was removed from the configuration "
                             "while branch \"%s\" waited to be quiet",
                             list->branch);
        next = list->next;
        if (r >= 0)
            r = store_quiet_del(self->st, list->scheduler, list->branch, err);
        if (r >= 0)
            r = text ? store_audit_add(self->st, pw_wall(self->host), "master", "scheduler.removed",
                                       list->scheduler, text, err)
                     : pw_fail(err, PW_ENOMEM, "out of memory");
        if (r >= 0)
            pw_log(PW_LOG_WARN, "quiet_ended", "scheduler=\"%s\" branch=\"%s\"", list->scheduler,
                   list->branch);
        free(list->scheduler);
        free(list);
    }
    return r;
}

static int load_quiet(void *p, const char *scheduler, const char *branch, uint64_t stamp,
                      pw_msec due, bool tagged, uint64_t change)
{
    quiet_load *l = p;
    core *self = l->self;
    for (size_t i = 0; i < self->conf->n_schedulers; i++) {
        if (strcmp(self->schedule[i].conf->name, scheduler) != 0)
            continue;
        core_stamp *s = core_stamp_load(self, stamp);
        core_quiet *v = s ? realloc(self->quiet, (self->n_quiet + 1) * sizeof(*v)) : NULL;
        if (!v) {
            core_stamp_unref(s);
            return PW_ENOMEM;
        }
        self->quiet = v;
        self->quiet[self->n_quiet++] = (core_quiet){i, s, due, tagged, change};
        return 0;
    }
    return quiet_gone(l, scheduler, branch);
}

int core_schedule_load(core *self, pw_err *err)
{
    pw_msec wall = pw_wall(self->host);
    self->schedule =
        calloc(self->conf->n_schedulers ? self->conf->n_schedulers : 1, sizeof(*self->schedule));
    if (!self->schedule)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    for (size_t i = 0; i < self->conf->n_schedulers; i++) {
        core_schedule *s = &self->schedule[i];
        s->conf = &self->conf->schedulers[i];
        if (s->conf->kind != SCHED_PERIODIC && s->conf->kind != SCHED_NIGHTLY)
            continue;
        int r = store_schedule_get(self->st, s->conf->name, &s->last, &s->last_stamp, err);
        if (r < 0 && r != PW_ENOTFOUND)
            return r;
        /* a new one counts from now on, whenever the master is down */
        if (r < 0 && s->conf->kind == SCHED_NIGHTLY) {
            s->last = wall;
            if ((r = store_schedule_put(self->st, s->conf->name, wall, 0, err)) < 0)
                return r;
        }
        /* an instant that passed while the master was down fires once now (the newest such, not
         * each) */
        s->next = next_instant(s, s->conf->kind == SCHED_NIGHTLY && s->last ? s->last : wall);
    }
    quiet_load l = {self, NULL};
    int r = store_quiets(self->st, load_quiet, &l, err);
    r = quiets_end(self, l.gone, r, err);
    return r < 0 ? r : 0;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

void core_schedule_keep(core *self, const core *old)
{
    pw_msec wall = pw_wall(self->host);
    pw_err err = {0};
    for (size_t i = 0; i < self->conf->n_schedulers && !self->fault.code; i++) {
        core_schedule *s = &self->schedule[i];
        const core_schedule *was = NULL;
        if (s->conf->kind != SCHED_PERIODIC && s->conf->kind != SCHED_NIGHTLY)
            continue;
        for (size_t k = 0; k < old->conf->n_schedulers && !was; k++)
            if (strcmp(old->schedule[k].conf->name, s->conf->name) == 0)
                was = &old->schedule[k];
        if (was && was->conf->kind == s->conf->kind && was->conf->every == s->conf->every &&
            same_text(was->conf->cron_text, s->conf->cron_text) &&
            same_text(was->conf->zone_name, s->conf->zone_name)) {
            s->next = was->next;
            continue;
        }
        if (s->conf->kind == SCHED_PERIODIC) /* N since the last start, whatever N was */
            continue;
        s->last = wall;
        s->next = next_instant(s, wall);
        (void)core_ok(
            self, store_schedule_put(self->st, s->conf->name, s->last, s->last_stamp, &err), &err);
    }
}
