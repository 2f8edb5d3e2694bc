/* Retention: finished builds are looked at from the oldest on, a few at a time, in turns that have
 * little else to do. What the configuration says is too old goes: first it is written that the
 * files of its logs go, then they do, then it is written that they are gone, and only then, in a
 * later pass, the rows of a build. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/core/parts.h"
#include "master/core/retain_rule.h"
#include "master/store/retain.h"
#include "shared/base/fault.h"
#include "shared/base/log.h"

enum {
    BUDGET_US = 2000,  /* of one turn; measured: a build's rows go in 0.1 ms */
    BATCH = 16,        /* builds read at once */
    STEP_US = 20000,   /* between two steps: a tenth of the core at most */
    BUSY_US = 1000000, /* a step waits at most that long for a turn without anything else */
    FILES_UNDER_WAY = 256,
    FIRST_US = 2000000, /* after the start */
    AGAIN_US = 1000000, /* there is more to do: files went, now the rows can */
    PASS_MIN_US = 1000000,
    PASS_PARTS = 24, /* passes in the least age of the configuration */
    LASTS = 16384,   /* answers kept within a pass */
};
#define PASS_MAX_US (INT64_C(6) * 3600 * 1000000)

typedef struct last { /* the oldest of the newest `n` builds of a builder on a branch */
    uint64_t builder, n, id;
    char *branch; /* owned; NULL: none */
} last;

struct core_retain {
    bool builds, requests; /* what the pass walks now */
    uint64_t cursor;
    pw_usec next;       /* step */
    pw_usec wanted;     /* since then a step waits for a quiet turn; 0: none does */
    pw_msec now, least; /* of the pass; least 0: nothing is ever too old */
    pw_msec *moved;     /* owned; of each edge: when it moved its branch last, as wall time */
    unsigned under_way; /* files */
    bool more;
    uint64_t dropped, logs; /* in this pass */
    last *lasts;            /* owned; of a pass */
    /* of the step */
    pw_usec until;
    bool end, full;
};

static void lasts_clear(core_retain *t)
{
    for (size_t i = 0; t->lasts && i < LASTS; i++)
        free(t->lasts[i].branch);
    free(t->lasts);
    t->lasts = NULL;
}

void core_retain_free(core_retain *t)
{
    if (!t)
        return;
    lasts_clear(t);
    free(t->moved);
    free(t);
}

int core_retain_load(core *self, pw_err *err)
{
    core_retain *t = self->retain = calloc(1, sizeof(*t));
    if (!t || !(t->moved = calloc(self->conf->n_promotions + 1, sizeof(*t->moved))))
        return pw_fail(err, PW_ENOMEM, "out of memory");
    t->least = config_retain_least(self->conf);
    /* after a reload at once: it may be what the reload was for */
    t->next = pw_now(self->host) + (self->before ? AGAIN_US : FIRST_US);
    return 0;
}

pw_usec core_retain_deadline(const core *self)
{
    const core_retain *t = self->retain;
    return (t->builds || t->requests) && t->under_way < FILES_UNDER_WAY ? t->next : INT64_MAX;
}

/* ---- files */
static int remove_file(void *p, const store_log *l)
{
    core *self = p;
    core_effect *e = core_add_effect(self, CORE_REMOVE);
    if (!e)
        return PW_ENOMEM;
    e->attempt = l->attempt;
    e->index = (size_t)l->idx;
    e->id = l->stream;
    self->retain->under_way++;
    self->retain->logs++;
    return 0;
}

void core_log_removed(core *self, uint64_t attempt, uint64_t idx, uint64_t stream, bool gone)
{
    pw_err err = {0};
    core_retain *t = self->retain;
    t->under_way -= t->under_way > 0;
    t->more = true;
    if (gone && core_turn(self))
        (void)core_ok(self, store_retain_gone(self->st, attempt, idx, stream, &err), &err);
}

/* ---- facts */
/* The id from which on builds of that builder and branch are among the last n; 0: all are. */
static bool nth_newest(core *self, const store_old *b, uint64_t n, uint64_t *ret)
{
    core_retain *t = self->retain;
    pw_err err = {0};
    uint64_t hash = b->builder * UINT64_C(0x9e3779b97f4a7c15);
    for (const char *s = b->branch; *s; s++)
        hash = (hash ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
    if (!t->lasts && !(t->lasts = calloc(LASTS, sizeof(*t->lasts)))) {
        (void)core_nomem(self);
        return false;
    }
    last *l = &t->lasts[(hash ^ hash >> 32) % LASTS];
    if (l->branch && l->builder == b->builder && l->n == n && strcmp(l->branch, b->branch) == 0) {
        *ret = l->id;
        return true;
    }
    bool failed = false;
    last fresh = {.builder = b->builder, .n = n, .branch = pw_strdup(b->branch, &failed)};
    if (failed) {
        (void)core_nomem(self);
        return false;
    }
    if (!core_ok(self,
                 store_retain_nth(self->st, b->builder, b->project, b->branch, n, &fresh.id, &err),
                 &err)) {
        free(fresh.branch);
        return false;
    }
    free(l->branch);
    *l = fresh;
    *ret = l->id;
    return true;
}

/* A green result that an edge may still go by: its branch was not moved since. */
static bool promotable(const core *self, const store_old *b)
{
    if (b->result != PW_SUCCESS && b->result != PW_WARNINGS)
        return false;
    for (size_t e = 0; e < self->conf->n_promotions; e++) {
        const config_promotion *p = &self->conf->promotions[e];
        if (self->project[p->project].row != b->project || strcmp(p->from, b->branch) != 0 ||
            b->finished < self->retain->moved[e])
            continue;
        for (size_t i = 0; i < p->n_builders; i++)
            if (self->builder[p->builders[i]].row == b->builder)
                return true;
    }
    return false;
}

static config_retain rule_of(const core *self, uint64_t project, const char *branch)
{
    int64_t i = core_project_by_row(self, project);
    return config_retain_of(self->conf, i < 0 ? SIZE_MAX : (size_t)i, branch);
}

/* ---- builds */
static bool over(core *self)
{
    core_retain *t = self->retain;
    return self->fault.code || t->full || pw_now(self->host) >= t->until;
}

static bool drop(core *self, const store_old *b)
{
    pw_err err = {0};
    if (b->files &&
        (!core_turn(self) || !core_ok(self, store_retain_files(self->st, b->id, &err), &err)))
        return false;
    if (b->logs || b->going || b->files) { /* what is not a row first */
        self->retain->more = true;
        return true;
    }
    if (!core_turn(self) || !core_ok(self, store_retain_drop(self->st, b, &err), &err))
        return false;
    if (pw_fault("retain.rows")) {
        (void)pw_fail(&err, PW_ESYS, "fault asked for: retain.rows");
        core_break(self, &err);
        return false;
    }
    self->retain->dropped++;
    return true;
}

/* Negative ends the walk; the cursor stands on what was done. */
static int on_build(void *p, const store_old *b)
{
    core *self = p;
    core_retain *t = self->retain;
    pw_err err = {0};
    uint64_t from = 0;
    if (b->created + t->least > t->now) { /* and so are all behind it */
        t->end = true;
        return PW_EAGAIN;
    }
    config_retain rule = rule_of(self, b->project, b->branch);
    retain_facts f = {.age = t->now - b->finished,
                      .result = b->result,
                      .pinned = b->pinned,
                      .open = b->open || b->unsealed || pw_table_get(self->builds, b->id),
                      .newest = b->newest};
    /* the dear questions only for what is due without them */
    if (!b->tried && retention_decide(&rule, &f, NULL) != RETAIN_WHOLE) {
        if (rule.keep_last && !nth_newest(self, b, rule.keep_last, &from))
            return PW_EAGAIN;
        f.last = rule.keep_last && b->id >= from;
        f.needed = b->latest || promotable(self, b);
    }
    retain_verdict v = retention_decide(&rule, &f, NULL);
    if (v != RETAIN_WHOLE && b->logs) {
        if (t->under_way >= FILES_UNDER_WAY) {
            t->full = true;
            return PW_EAGAIN;
        }
        int r = core_turn(self) ? store_retain_mark(self->st, b->id, remove_file, self, &err)
                                : PW_EAGAIN;
        if (!core_ok(self, r, &err))
            return PW_EAGAIN;
    }
    if (v == RETAIN_NOTHING && !drop(self, b))
        return PW_EAGAIN;
    t->cursor = b->id;
    return over(self) ? PW_EAGAIN : 0;
}

/* ---- requests that no build was made for */
static int on_request(void *p, const store_lone *r)
{
    core *self = p;
    core_retain *t = self->retain;
    pw_err err = {0};
    if (r->created + t->least > t->now) {
        t->end = true;
        return PW_EAGAIN;
    }
    config_retain rule = rule_of(self, r->project, r->branch);
    const retain_facts f = {.age = t->now - r->created, .result = PW_CANCELLED};
    if (r->may && retention_decide(&rule, &f, NULL) == RETAIN_NOTHING &&
        !pw_table_get(self->requests, r->id) &&
        (!core_turn(self) ||
         !core_ok(self, store_retain_request(self->st, r->id, r->buildset, &err), &err)))
        return PW_EAGAIN;
    t->cursor = r->id;
    return over(self) ? PW_EAGAIN : 0;
}

/* ---- passes */
static void begin(core *self)
{
    core_retain *t = self->retain;
    pw_err err = {0};
    t->builds = true;
    t->more = false;
    t->cursor = t->dropped = t->logs = 0;
    t->now = core_seen(self);
    lasts_clear(t);
    for (size_t e = 0; e < self->conf->n_promotions; e++)
        if (!core_ok(
                self,
                store_retain_edge(self->st, self->conf->promotions[e].name, &t->moved[e], &err),
                &err))
            return;
    /* what a crash left half way is asked for again: that a file is gone already is no harm */
    if (t->under_way == 0)
        (void)core_ok(self, store_retain_going(self->st, FILES_UNDER_WAY, remove_file, self, &err),
                      &err);
}

static void end(core *self, pw_usec now)
{
    core_retain *t = self->retain;
    pw_usec pause = t->least * 1000 / PASS_PARTS;
    pause = pause < PASS_MIN_US ? PASS_MIN_US : pause > PASS_MAX_US ? PASS_MAX_US : pause;
    if (t->dropped || t->logs)
        pw_log(PW_LOG_INFO, "retention", "builds=%llu logs=%llu", (unsigned long long)t->dropped,
               (unsigned long long)t->logs);
    core_tries_expire(self);
    t->requests = false;
    t->next = now + (t->more || t->under_way ? AGAIN_US : pause);
    lasts_clear(t);
}

static void step(core *self, pw_usec now)
{
    core_retain *t = self->retain;
    pw_err err = {0};
    bool builds = t->builds;
    uint64_t before;
    int r = 0;
    t->until = now + BUDGET_US;
    t->end = t->full = false;
    do {
        before = t->cursor;
        r = builds ? store_retain_next(self->st, t->cursor, BATCH, on_build, self, &err)
                   : store_retain_lone(self->st, t->cursor, BATCH, on_request, self, &err);
    } while (r == 0 && t->cursor != before && !over(self));
    if (r < 0 && r != PW_EAGAIN && !core_ok(self, r, &err))
        return;
    t->next = now + STEP_US;
    if (!t->end && (r < 0 || t->cursor != before))
        return;
    t->cursor = 0;
    t->builds = false;
    t->requests = builds;
    if (!builds)
        end(self, now);
}

void core_retain_tick(core *self, pw_usec now)
{
    core_retain *t = self->retain;
    if (!t->least || now < t->next || t->under_way >= FILES_UNDER_WAY || self->fault.code)
        return;
    if (!t->wanted)
        t->wanted = now;
    if (self->turn && now - t->wanted < BUSY_US) { /* others come first */
        t->next = now + STEP_US / 4;
        return;
    }
    t->wanted = 0;
    if (!t->builds && !t->requests)
        begin(self);
    if (!self->fault.code)
        step(self, now);
}

/* ---- pins */
static void cmd_pin(core *self, core_cmd *c, bool pin)
{
    pw_err err = {0};
    store_build row;
    int r = store_build_get(self->st, c->id, &row, &err);
    if (r == PW_ENOTFOUND) {
        core_cmd_fail(c, 404, "not_found", "there is no build %llu", (unsigned long long)c->id);
        return;
    }
    if (!core_ok(self, r, &err))
        return;
    store_build_clear(&row);
    char object[40];
    (void)snprintf(object, sizeof(object), "build %llu", (unsigned long long)c->id);
    r = !core_turn(self) ? 0
        : pin            ? store_pin_put(self->st, c->id, c->actor ? c->actor : "", c->reason,
                                         pw_wall(self->host), &err)
                         : store_pin_del(self->st, c->id, &err);
    if (!core_ok(self, r, &err) || !core_audit(self, c, pin ? "build.pin" : "build.unpin", object))
        return;
    core_note_event(self, EVENT_BUILD, c->id);
    c->status = 202;
    (void)pw_buf_addf(&c->body, "{\"id\":%llu}", (unsigned long long)c->id);
}

void core_cmd_pin(core *self, core_cmd *c)
{
    cmd_pin(self, c, true);
}

void core_cmd_unpin(core *self, core_cmd *c)
{
    cmd_pin(self, c, false);
}
