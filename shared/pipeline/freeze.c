/* Freezing: a builder and the facts of a build become its job. */
#include <stdlib.h>
#include <string.h>

#include "shared/pipeline/pipeline.h"

#define MS(us) ((uint64_t)((us) / 1000))

/* The struct only borrows: it is encoded and thrown away. */
static char *lend(const char *s)
{
    return (char *)(uintptr_t)s;
}

_Static_assert(sizeof(pl_report) == sizeof(job_report) &&
                   offsetof(pl_report, paths) == offsetof(job_report, paths) &&
                   offsetof(pl_report, optional) == offsetof(job_report, optional),
               "a report of a builder is lent to the job as it is");

static void step_from(job_step *s, const pl_step *c)
{
    *s = (job_step){.name = c->name,
                    .kind = c->kind,
                    .script = c->script,
                    .argv = {c->argv.v, c->argv.n},
                    .shell = c->shell,
                    .dir = c->dir,
                    .env = {c->env, c->n_env},
                    .timeout_ms = MS(c->timeout),
                    .idle_timeout_ms = MS(c->idle_timeout),
                    .grace_ms = MS(c->grace),
                    .log_limit = c->log_limit,
                    .stderr_separate = c->stderr_separate,
                    .pty = c->pty,
                    .no_halt = !c->flags.halt_on_failure,
                    .no_flunk = !c->flags.flunk_on_failure,
                    .warn = c->flags.warn_on_failure,
                    .always = c->flags.always_run,
                    .cond = c->cond,
                    .mode = c->mode,
                    .submodules = c->submodules,
                    .lfs = c->lfs,
                    .depth = c->depth,
                    .with = {c->with, c->n_with},
                    .paths = {c->paths.v, c->paths.n},
                    .keys = {c->keys.v, c->keys.n},
                    .artifacts = {c->artifacts.v, c->artifacts.n},
                    .keep_ms = MS(c->keep),
                    .optional = c->optional,
                    .reports = {c->reports, c->n_reports}};
}
_Static_assert(sizeof(pl_pair) == sizeof(msg_pair) &&
                   offsetof(pl_pair, value) == offsetof(msg_pair, value),
               "a pair of a builder is lent to the job as it is");

static size_t add_pair(msg_pair *pairs, size_t n, char *name, char *value)
{
    size_t at = 0;
    while (at < n && strcmp(pairs[at].name, name) != 0)
        at++;
    pairs[at] = (msg_pair){name, value};
    return at == n ? n + 1 : n;
}

/* A later source overrides an earlier one, so the runner sees one value a name. What makes one
 * build of a matrix another than the next is not for anybody to change. */
static size_t properties(const pl_builder *b, const pl_facts *f, msg_pair *pairs)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n_base; i++)
        n = add_pair(pairs, n, f->base[i].name, f->base[i].value);
    for (size_t i = 0; i < b->n_properties; i++)
        n = add_pair(pairs, n, b->properties[i].name, b->properties[i].value);
    for (size_t k = 0; k < f->n_given; k++)
        n = add_pair(pairs, n, f->given[k].name, f->given[k].value);
    for (size_t i = 0; f->instance && i < f->instance->n_values; i++)
        n = add_pair(pairs, n, f->instance->values[i].name, f->instance->values[i].value);
    return n;
}

int pl_freeze(const pl_builder *b, const pl_facts *f, pw_buf *out, pw_err *err)
{
    PW_AUTO(pw_freep) job_step *steps = calloc(b->n_steps ? b->n_steps : 1, sizeof(*steps));
    size_t most =
        f->n_base + b->n_properties + f->n_given + (f->instance ? f->instance->n_values : 0);
    PW_AUTO(pw_freep) msg_pair *pairs = calloc(most + 1, sizeof(*pairs));
    PW_AUTO(pw_freep) job_lock *locks = calloc(b->n_locks + 1, sizeof(*locks));
    if (!steps || !pairs || !locks)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    for (size_t i = 0; i < b->n_steps; i++)
        step_from(&steps[i], &b->steps[i]);
    for (size_t i = 0; i < b->n_locks; i++)
        locks[i] = (job_lock){b->locks[i].name, b->locks[i].exclusive, b->locks[i].until};
    job_spec spec = {.epoch = f->epoch,
                     .attempt = f->attempt,
                     .build = f->build,
                     .try_no = f->try_no,
                     .build_url = lend(f->build_url),
                     .builder = f->instance ? f->instance->name : b->name,
                     .shard = f->instance ? f->instance->shard : 0,
                     .shards = f->instance ? f->instance->shards : 0,
                     .project = lend(f->project),
                     .branch = lend(f->branch),
                     .revision = lend(f->revision),
                     .reason = lend(f->reason),
                     .worker = lend(f->worker),
                     .repository = lend(f->repository),
                     .isolation = lend(f->isolation),
                     .no_network = !b->network,
                     .untrusted = f->untrusted,
                     .keep_failed_ms = f->no_keep ? 0 : MS(b->keep_failed),
                     .timeout_ms = MS(b->timeout),
                     .env = {b->env, b->n_env},
                     .props = {pairs, properties(b, f, pairs)},
                     .steps = {steps, b->n_steps},
                     .locks = {locks, b->n_locks},
                     .lost_after_ms = f->lost_after_ms,
                     .event = lend(f->event),
                     .secrets = f->secrets.v ? f->secrets : (pw_strs){b->secrets.v, b->secrets.n},
                     .git_key = lend(f->git_key),
                     .git_password = lend(f->git_password),
                     .git_user = lend(f->git_user),
                     .git_hosts = lend(f->git_hosts),
                     .files_max = f->files_max,
                     .files_bytes = f->files_bytes,
                     .source = lend(f->source),
                     .needs = {(job_need *)(uintptr_t)f->needs, f->n_needs}};
    return pw_schema_encode(&job_spec_schema, &spec, out, err);
}
