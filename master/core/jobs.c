/* Freezing: a build runs by the job as it was when the build was created, whatever the
 * configuration says later. */
#include "master/core/model.h"
#include "master/core/secrets.h"

#include <stdlib.h>
#include <string.h>

typedef struct props {
    pw_list pairs;
} props;
static const pw_field props_fields[] = {
    PW_F_LIST(props, pairs, "pairs", false, PW_ENV_MAX, &msg_pair_schema,
              "properties given by a person or trigger"),
};
static const pw_schema props_schema =
    PW_SCHEMA("props", props, props_fields, "properties of a request");

int core_props_pack(const pw_list *pairs, pw_buf *out, pw_err *err)
{
    props p = {*pairs};
    return pairs->n ? pw_schema_encode(&props_schema, &p, out, err) : 0;
}

int core_props_unpack(const uint8_t *p, size_t n, pw_list *ret, pw_err *err)
{
    props x = {{0}};
    int r = n ? pw_schema_decode(&props_schema, p, n, &x, err) : 0;
    if (r == 0)
        *ret = x.pairs;
    return r;
}

void core_props_clear(pw_list *pairs)
{
    props p = {*pairs};
    pw_schema_clear(&props_schema, &p);
    *pairs = (pw_list){0};
}

#define MS(us) ((uint64_t)((us) / 1000))
/* The struct only borrows from the configuration: it is encoded and thrown away. */
static char *lend(const char *s)
{
    return (char *)(uintptr_t)s;
}

static void step_from(job_step *s, const config_step *c)
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
                    .mode = c->mode,
                    .submodules = c->submodules,
                    .depth = c->depth};
}
_Static_assert(sizeof(config_pair) == sizeof(msg_pair) &&
                   offsetof(config_pair, value) == offsetof(msg_pair, value),
               "a pair of the configuration is lent to the job as it is");

/* A build is trusted or not by the configuration of now, like the values it may get. */
static int values(const core *self, const core_build *b, pw_strs names, pw_list *ret, pw_err *err)
{
    const core_builder *builder = b->request->builder;
    trust_facts from = {.branch = b->request->stamp->branch};
    secrets_facts f = {.conf = self->conf, .names = names};
    if (builder->conf && builder->project < self->conf->n_projects) {
        from.project = self->project[builder->project].conf;
        f.trusted = secrets_trusted(&from);
    }
    return secrets_for(&f, ret, err);
}

int core_freeze(core *self, const core_build *b, uint64_t attempt, const core_worker *w,
                pw_buf *out, pw_list *ret_secrets, pw_err *err)
{
    const config_builder *c = b->request->builder->conf;
    const config_project *project = self->project[b->request->builder->project].conf;
    PW_AUTO(pw_buf_clearp) pw_buf reason = PW_BUF(65536);
    char rev[2 * STORE_REV_MAX + 1];
    pw_list given = {0};
    int r = store_buildset_reason(self->st, b->request->buildset, &reason, err);
    if (r < 0 || (r = core_props_unpack(b->request->props, b->request->props_len, &given, err)) < 0)
        return r;
    store_rev_text(&b->request->stamp->rev, rev);
    PW_AUTO(pw_freep) job_step *steps = calloc(c->n_steps ? c->n_steps : 1, sizeof(*steps));
    PW_AUTO(pw_freep) msg_pair *pairs = calloc(c->n_properties + given.n + 1, sizeof(*pairs));
    if (!steps || !pairs) {
        core_props_clear(&given);
        return pw_fail(err, PW_ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < c->n_steps; i++)
        step_from(&steps[i], &c->steps[i]);
    /* a later source overrides an earlier one, so the runner sees one value a name */
    size_t n = 0;
    const msg_pair *more = given.v;
    for (size_t i = 0; i < c->n_properties; i++) {
        bool over = false;
        for (size_t k = 0; k < given.n; k++)
            over |= strcmp(more[k].name, c->properties[i].name) == 0;
        if (!over)
            pairs[n++] = (msg_pair){c->properties[i].name, c->properties[i].value};
    }
    for (size_t k = 0; k < given.n; k++)
        pairs[n++] = more[k];
    job_spec spec = {.epoch = store_epoch(self->st),
                     .attempt = attempt,
                     .build = b->id,
                     .try_no = b->tries,
                     .builder = c->name,
                     .project = project->name,
                     .branch = b->request->stamp->branch,
                     .revision = rev,
                     .reason = lend(pw_buf_str(&reason)),
                     .worker = w->row.name,
                     .repository = project->repository,
                     .isolation = c->isolation,
                     .timeout_ms = MS(c->timeout),
                     .env = {c->env, c->n_env},
                     .props = {pairs, n},
                     .steps = {steps, c->n_steps},
                     .secrets = {c->secrets.v, c->secrets.n}};
    if (self->conf->web_url)
        spec.build_url = pw_strf("%s/builds/%llu", self->conf->web_url, (unsigned long long)b->id);
    r = self->conf->web_url && !spec.build_url
            ? pw_fail(err, PW_ENOMEM, "out of memory")
            : pw_schema_encode(&job_spec_schema, &spec, out, err);
    free(spec.build_url);
    core_props_clear(&given);
    return r < 0 ? r : values(self, b, spec.secrets, ret_secrets, err);
}

int core_thaw(core *self, const core_build *b, uint64_t attempt, const core_worker *w, pw_buf *out,
              pw_list *ret_secrets, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf frozen = PW_BUF(PW_JOB_MAX);
    job_spec spec;
    int r = store_job_get(self->st, b->id, &frozen, err);
    if (r < 0 || (r = pw_schema_decode(&job_spec_schema, frozen.p, frozen.len, &spec, err)) < 0)
        return r;
    if (spec.attempt == attempt) {
        r = pw_buf_add(out, frozen.p, frozen.len);
    } else {
        bool failed = false;
        free(spec.worker);
        spec.worker = pw_strdup(w->row.name, &failed);
        spec.attempt = attempt;
        spec.epoch = store_epoch(self->st);
        spec.try_no = b->tries;
        r = failed ? pw_fail(err, PW_ENOMEM, "out of memory")
                   : pw_schema_encode(&job_spec_schema, &spec, out, err);
    }
    if (r == 0)
        r = values(self, b, spec.secrets, ret_secrets, err);
    pw_schema_clear(&job_spec_schema, &spec);
    return r;
}
