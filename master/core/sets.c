/* Build sets that end: schedulers that come after another one, and those that a step fires.
 *
 * A set is over when its last request is done, which happens once; whether it is green is asked of
 * the rows then, in the same turn. So what follows it is asked for exactly once, or the turn did
 * not happen. */
#include "master/core/parts.h"
#include "master/store/sched.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/fault.h"

const config_scheduler *core_set_by(core *self, uint64_t buildset)
{
    PW_AUTO(pw_buf_clearp) pw_buf name = PW_BUF(1000);
    uint64_t stamp;
    pw_err err = {0};
    if (!self->minds)
        return NULL;
    int r = store_buildset_scheduler(self->st, buildset, &name, &stamp, &err);
    if (r == PW_ENOTFOUND || !core_ok(self, r, &err))
        return NULL;
    for (size_t i = 0; i < self->conf->n_schedulers; i++)
        if (strcmp(self->conf->schedulers[i].name, pw_buf_str(&name)) == 0)
            return &self->conf->schedulers[i];
    return NULL;
}

static int touch(void *p, uint64_t buildset)
{
    core *self = p;
    if (self->n_over && self->over[self->n_over - 1] == buildset)
        return 0;
    if (self->n_over == self->cap_over) {
        size_t cap = self->cap_over ? 2 * self->cap_over : 16;
        uint64_t *v = realloc(self->over, cap * sizeof(*v));
        if (!v)
            return core_nomem(self);
        self->over = v;
        self->cap_over = cap;
    }
    self->over[self->n_over++] = buildset;
    return 0;
}

void core_set_touched(core *self, const core_request *r)
{
    pw_err err = {0};
    if (touch(self, r->buildset) == 0)
        (void)core_ok(self, store_request_riders(self->st, r->id, r->stamp->id, touch, self, &err),
                      &err);
}

/* ---- the end of a set */
typedef struct tally {
    core *self;
    uint64_t stamp;
    bool open;
    size_t required, required_green, n, green;
} tally;

/* What came of the one that it rode with, if all on the way were of the same revision. */
static int follow(tally *t, store_outcome *o)
{
    pw_err err = {0};
    uint64_t build = 0;
    while (o->rode_with) {
        store_request r;
        int code = store_request_get(t->self->st, o->rode_with, &r, &err);
        if (!core_ok(t->self, code, &err))
            return code;
        bool same = r.stamp == t->stamp;
        build = r.build;
        if (same) {
            o->rode_with = r.rode_with;
            o->state = r.state;
        }
        store_request_clear(&r);
        if (!same)
            return 0; /* as it is: it rode, and is not green */
    }
    store_build b;
    int code = build ? store_build_get(t->self->st, build, &b, &err) : PW_ENOTFOUND;
    if (code == 0) {
        o->result = b.state == BUILD_DONE ? b.result : PW_NO_RESULT;
        store_build_clear(&b);
    }
    return code == PW_ENOTFOUND || core_ok(t->self, code, &err) ? 0 : code;
}

static int count(void *p, const store_outcome *row)
{
    tally *t = p;
    store_outcome own = *row, *o = &own;
    int code = o->rode_with ? follow(t, o) : 0;
    if (code < 0)
        return code;
    const config_builder *c = NULL;
    for (size_t i = 0; i < t->self->n_builders && !c; i++)
        c = t->self->builder[i].row == o->builder ? t->self->builder[i].conf : NULL;
    bool green = o->state == REQ_DONE && !o->rode_with && (o->result == PW_SUCCESS || o->unchanged);
    bool required = !c || c->required;
    t->open |= o->state != REQ_DONE;
    t->n++;
    t->green += green;
    t->required += required;
    t->required_green += required && green;
    return 0;
}

/* Whole and green; one that rode with another revision was not built at its own. Builders that are
 * not required never redden it, unless there are no others. */
static bool set_green(core *self, uint64_t buildset, uint64_t stamp)
{
    tally t = {.self = self, .stamp = stamp};
    pw_err err = {0};
    if (!core_ok(self, store_buildset_results(self->st, buildset, count, &t, &err), &err))
        return false;
    return !t.open && (t.required ? t.required == t.required_green : t.n && t.n == t.green);
}

static bool follows_now(core *self, uint64_t buildset)
{
    pw_err err = {0};
    int n = core_turn(self) ? store_buildset_follow(self->st, buildset, &err) : 0;
    return core_ok(self, n, &err) && n > 0;
}

static void over(core *self, uint64_t buildset)
{
    PW_AUTO(pw_buf_clearp) pw_buf name = PW_BUF(1000);
    core_stamp *stamp = NULL;
    uint64_t stamp_row = 0;
    pw_err err = {0};
    int r = store_buildset_scheduler(self->st, buildset, &name, &stamp_row, &err);
    if (r == PW_ENOTFOUND || !core_ok(self, r, &err))
        return;
    PW_AUTO(pw_freep) char *reason = pw_strf("scheduler \"%s\" was green", pw_buf_str(&name));
    if (!reason)
        (void)core_nomem(self);
    for (size_t i = 0; i < self->conf->n_schedulers && !self->fault.code; i++) {
        const config_scheduler *s = &self->conf->schedulers[i];
        if (s->kind != SCHED_DEPENDENT ||
            strcmp(self->conf->schedulers[s->after].name, pw_buf_str(&name)) != 0)
            continue;
        if (!stamp && (!set_green(self, buildset, stamp_row) || !follows_now(self, buildset) ||
                       !(stamp = core_stamp_load(self, stamp_row))))
            return;
        core_fire(self, &(core_firing){.scheduler = i, .stamp = stamp, .reason = reason});
    }
    if (stamp && pw_fault("set.green")) {
        (void)pw_fail(&err, PW_ESYS,
                      "starting what comes after build set %" PRIu64 ": fault point set.green",
                      buildset);
        core_break(self, &err);
    }
    core_stamp_unref(stamp);
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

void core_sets_over(core *self)
{
    while (self->n_over && !self->fault.code) {
        PW_AUTO(pw_freep) uint64_t *list = self->over; /* what follows may end others */
        size_t n = self->n_over;
        self->over = NULL;
        self->n_over = self->cap_over = 0;
        qsort(list, n, sizeof(*list), by_id);
        for (size_t i = 0; i < n && !self->fault.code; i++)
            if (i == 0 || list[i] != list[i - 1]) {
                core_trigger_set_over(self, list[i]);
                if (self->follows)
                    over(self, list[i]);
            }
    }
}

/* ---- fired by a step */
/* The scheduler's own, unless given, then what is given. Owned, the texts are lent. */
static msg_pair *merge(const config_scheduler *s, const pw_list *given, size_t *ret_n)
{
    const msg_pair *more = given ? given->v : NULL;
    size_t n_more = given ? given->n : 0;
    msg_pair *v = calloc(s->n_properties + n_more + 1, sizeof(*v));
    *ret_n = 0;
    for (size_t i = 0; v && i < s->n_properties; i++) {
        bool over_it = false;
        for (size_t k = 0; k < n_more; k++)
            over_it |= strcmp(more[k].name, s->properties[i].name) == 0;
        if (!over_it)
            v[(*ret_n)++] = (msg_pair){s->properties[i].name, s->properties[i].value};
    }
    for (size_t k = 0; v && k < n_more; k++)
        v[(*ret_n)++] = more[k];
    return v;
}

uint64_t core_trigger_scheduler(core *self, size_t scheduler, core_stamp *stamp,
                                const pw_list *props, const char *who, const char *reason,
                                uint64_t parent, uint64_t *ret_ids, pw_err *err)
{
    const config_scheduler *s = &self->conf->schedulers[scheduler];
    PW_AUTO(pw_buf_clearp) pw_buf packed = PW_BUF(PW_JOB_MAX);
    if (s->kind != SCHED_TRIGGERED) {
        (void)pw_fail(err, PW_EINVAL, "scheduler \"%s\" is of kind %s, not triggered", s->name,
                      config_sched_kinds[s->kind]);
        return 0;
    }
    if (self->schedule[scheduler].pause) {
        PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(2000);
        core_pause_text(&text, "scheduler", s->name, self->schedule[scheduler].pause);
        (void)pw_fail(err, PW_EDENIED, "%s", pw_buf_str(&text));
        return 0;
    }
    size_t n = 0;
    PW_AUTO(pw_freep) msg_pair *pairs = merge(s, props, &n);
    if (!pairs) {
        (void)core_nomem(self);
        return 0;
    }
    if (core_props_pack(&(pw_list){pairs, n}, &packed, err) < 0)
        return 0;
    core_ask ask = {.scheduler = s->name,
                    .by = s,
                    .reason = reason,
                    .who = who,
                    .stamp = stamp,
                    .prio = s->priority,
                    .props = (const uint8_t *)packed.p,
                    .props_len = packed.len,
                    .builders = s->builders,
                    .n_builders = s->n_builders,
                    .names = &s->names,
                    .fail_fast = s->fail_fast,
                    .parent = parent};
    return core_ask_builds(self, &ask, ret_ids);
}
