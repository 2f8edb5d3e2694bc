/* Who holds which lock. A holder is an attempt that may still be running: from its offer until its
 * end was told, its worker does not have it, or it was silent for as long as it may go on without
 * a master. So all of it follows from attempts, their jobs and their steps, and no row says it. */
#include "master/core/parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"

int64_t core_lock_find(const core *self, const char *name)
{
    return config_find_lock(self->conf, name);
}

core_lock *core_lock_at(core *self, size_t lock, core_worker *w)
{
    core_lock **all = self->conf->locks[lock].per_worker ? (w ? &w->lock : NULL) : &self->lock;
    if (!all)
        return NULL;
    if (!*all && !(*all = calloc(self->conf->n_locks, sizeof(**all)))) {
        (void)core_nomem(self);
        return NULL;
    }
    return *all + lock;
}

static void count(core *self, const core_attempt *a, const core_hold *h, int by)
{
    core_lock *l = core_lock_at(self, h->lock, core_worker_get(self, a->worker));
    if (!l)
        return;
    uint64_t *n = h->exclusive ? &l->exclusive : &l->counting;
    *n = by > 0 ? *n + 1 : *n - (*n > 0);
}

void core_locks_take(core *self, core_attempt *a, const pl_lock *locks, size_t n)
{
    if (!n || self->fault.code)
        return;
    a->hold = calloc(n, sizeof(*a->hold));
    if (!a->hold) {
        (void)core_nomem(self);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        int64_t lock = core_lock_find(self, locks[i].name);
        if (lock < 0 || (locks[i].until && locks[i].until <= a->steps_over))
            continue; /* not in the configuration any more, or given back */
        a->hold[a->n_holds++] = (core_hold){(size_t)lock, locks[i].exclusive, locks[i].until};
        count(self, a, &a->hold[a->n_holds - 1], 1);
    }
}

void core_locks_release(core *self, core_attempt *a, bool all)
{
    for (size_t i = a->n_holds; i-- > 0;) {
        const core_hold h = a->hold[i];
        if (!all && (!h.until || h.until > a->steps_over))
            continue;
        count(self, a, &h, -1);
        a->hold[i] = a->hold[--a->n_holds];
        self->dispatch = true;
    }
}

bool core_locks_alone(const core_attempt *a)
{
    for (size_t i = 0; i < a->n_holds; i++)
        if (a->hold[i].exclusive)
            return true;
    return false;
}

pw_usec core_locks_limit(const core *self)
{
    pw_usec lost = self->conf->lost_after;
    return lost > CORE_LOCK_LEAST_US ? lost : CORE_LOCK_LEAST_US;
}

/* How long an attempt may be silent before another may begin. */
pw_usec core_patience(const core *self, const core_attempt *a)
{
    pw_usec lost = self->conf->lost_after;
    if (core_locks_alone(a)) /* its runner ends it then, seen from its own clock */
        return core_locks_limit(self) + CORE_LOCK_SPARE_US;
    return a->any || lost < CORE_MOVE_OFFER_US ? lost : CORE_MOVE_OFFER_US;
}

void core_locks_silence(core *self, core_attempt *a, const core_worker *w, pw_usec step)
{
    if (!a->n_holds || a->state <= ATT_RUNNING)
        return;
    if (w && w->connected && memcmp(w->row.spool, a->spool, 16) == 0)
        return; /* it will tell of its end */
    a->silent_us += step;
    if (a->silent_us >= core_patience(self, a))
        core_locks_release(self, a, true);
}

static int copy_lock(pl_lock *to, const char *name, bool exclusive, size_t until)
{
    bool failed = false;
    *to = (pl_lock){pw_strdup(name, &failed), exclusive, until};
    return failed ? PW_ENOMEM : 0;
}

void core_build_unlock(core_build *b)
{
    for (size_t i = 0; i < b->n_locks; i++)
        free(b->locks[i].name);
    free(b->locks);
    b->locks = NULL;
    b->n_locks = 0;
}

int core_build_lock(core *self, core_build *b, const pl_builder *def)
{
    if (!def || !def->n_locks)
        return 0;
    b->locks = calloc(def->n_locks, sizeof(*b->locks));
    int r = b->locks ? 0 : PW_ENOMEM;
    for (size_t i = 0; i < def->n_locks && r == 0; i++) {
        const pl_lock *l = &def->locks[i];
        r = copy_lock(&b->locks[b->n_locks++], l->name, l->exclusive, l->until);
    }
    return r < 0 ? core_nomem(self) : 0;
}

/* ---- after a start */
static int job_locks(core *self, uint64_t build, job_spec *spec, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf frozen = PW_BUF(PW_JOB_MAX);
    int r = store_job_get(self->st, build, &frozen, err);
    if (r == PW_ENOTFOUND)
        return 0; /* it never began */
    return r < 0 ? r : pw_schema_decode(&job_spec_schema, frozen.p, frozen.len, spec, err);
}

int core_build_load_locks(core *self, core_build *b, pw_err *err)
{
    job_spec spec = {0};
    int r = self->conf->n_locks ? job_locks(self, b->id, &spec, err) : 0;
    const job_lock *l = spec.locks.v;
    if (r < 0 || !spec.locks.n)
        goto out;
    b->locks = calloc(spec.locks.n, sizeof(*b->locks));
    if (!b->locks)
        r = pw_fail(err, PW_ENOMEM, "out of memory");
    for (size_t i = 0; i < spec.locks.n && r == 0; i++)
        if (copy_lock(&b->locks[b->n_locks++], l[i].name, l[i].exclusive, l[i].until) < 0)
            r = pw_fail(err, PW_ENOMEM, "out of memory");
out:
    pw_schema_clear(&job_spec_schema, &spec);
    return r;
}

int core_attempt_load_locks(core *self, core_attempt *a, pw_err *err)
{
    job_spec spec = {0};
    if (!self->conf->n_locks ||
        (a->state != ATT_OFFERED && a->state != ATT_RUNNING && a->state != ATT_CLOSED))
        return 0;
    int r = job_locks(self, a->build, &spec, err);
    if (r == 0 && spec.locks.n &&
        (r = store_steps_over_count(self->st, a->id, &a->steps_over, err)) == 0) {
        const job_lock *l = spec.locks.v;
        pl_lock *locks = calloc(spec.locks.n, sizeof(*locks));
        for (size_t i = 0; locks && i < spec.locks.n; i++)
            locks[i] = (pl_lock){l[i].name, l[i].exclusive, l[i].until};
        if (locks)
            core_locks_take(self, a, locks, spec.locks.n);
        r = locks && !self->fault.code ? 0 : pw_fail(err, PW_ENOMEM, "out of memory");
        free(locks);
    }
    pw_schema_clear(&job_spec_schema, &spec);
    return r;
}
