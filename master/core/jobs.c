/* Freezing: a build runs by the job as it was when the build was created, whatever the
 * configuration says later. */
#include "master/core/parts.h"
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

/* By the configuration of now, like the values that it may get. */
static int values(const core *self, const core_build *b, pw_strs names, pw_list *ret, pw_err *err)
{
    secrets_facts f = {
        .conf = self->conf, .names = names, .trusted = core_trusted(self, b->request)};
    return secrets_for(&f, ret, err);
}

static bool named(const pw_list *pairs, const char *name)
{
    const msg_pair *v = pairs->v;
    for (size_t i = 0; i < pairs->n; i++)
        if (strcmp(v[i].name, name) == 0)
            return true;
    return false;
}

static bool has_name(const pw_strs *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->v[i], name) == 0)
            return true;
    return false;
}

/* Moves those of `from` whose names `to` has not behind what `to` holds; at most `most` in all. */
static int join(pw_list *to, pw_list *from, size_t most, pw_err *err)
{
    msg_pair *more = from->v, *v = realloc(to->v, (to->n + from->n + 1) * sizeof(*v));
    if (!v)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    to->v = v;
    for (size_t i = 0; i < from->n && to->n < most; i++) {
        if (named(to, more[i].name))
            continue;
        v[to->n++] = more[i];
        more[i] = (msg_pair){0};
    }
    return 0;
}

/* What a person or trigger gave, and the facts of the worker where they gave no other. */
static int with_facts(const core_build *b, const core_worker *w, size_t n_base, pw_list *ret,
                      pw_err *err)
{
    const pl_builder *c = b->request->builder->conf;
    pw_list given = {0}, facts = {0};
    int r = core_props_unpack(b->request->props, b->request->props_len, &given, err);
    if (r == 0)
        r = core_fact_props(w->row.facts, &facts, err);
    if (r == 0)
        r = join(&given, &facts, PW_ENV_MAX - (c ? c->n_properties : 0) - n_base, err);
    core_props_clear(&facts);
    if (r < 0) {
        core_props_clear(&given);
        return r;
    }
    *ret = given;
    return 0;
}

/* For another worker: its facts in the place of those of the one before. */
static int other_facts(const core_build *b, const core_worker *w, pw_list *pairs, pw_err *err)
{
    const pl_builder *c = b->request->builder->conf;
    const pw_list own = {c ? c->properties : NULL, c ? c->n_properties : 0};
    pw_list given = {0}, facts = {0};
    int r = core_props_unpack(b->request->props, b->request->props_len, &given, err);
    if (r == 0)
        r = core_fact_props(w->row.facts, &facts, err);
    msg_pair *v = pairs->v;
    size_t n = 0;
    for (size_t i = 0; r == 0 && i < pairs->n; i++) {
        bool stale = strncmp(v[i].name, "worker_", 7) == 0 && !named(&given, v[i].name) &&
                     (named(&facts, v[i].name) || !named(&own, v[i].name));
        msg_pair p = v[i];
        v[i] = (msg_pair){0};
        if (stale) {
            free(p.name);
            free(p.value);
        } else {
            v[n++] = p;
        }
    }
    if (r == 0) {
        pairs->n = n;
        r = join(pairs, &facts, PW_ENV_MAX, err);
    }
    core_props_clear(&given);
    core_props_clear(&facts);
    return r;
}

/* A checkout logs in as the master does, where the build may have secrets; else by the worker's own
 * means. names has room for two more. */
static void lend_login(const config_builder *c, const config_login *l, pl_facts *f, pw_strs *names)
{
    char *const used[] = {l->ssh_key, l->password};
    bool checks_out = false;
    for (size_t i = 0; i < c->n_steps; i++)
        checks_out |= strcmp(c->steps[i].kind, "checkout") == 0;
    if (!checks_out)
        return;
    f->git_key = l->ssh_key;
    f->git_user = l->user;
    f->git_password = l->password;
    f->git_hosts = l->known_hosts;
    for (size_t i = 0; i < 2; i++)
        if (used[i] && !has_name(names, used[i]))
            names->v[names->n++] = used[i];
}

/* What was trusted when it was frozen need not be now: it gets the isolation of today then. */
static int untrust(const core *self, const core_build *b, const core_worker *w, job_spec *spec,
                   pw_err *err)
{
    const char *isolation = NULL;
    bool failed = false;
    (void)core_isolation_block(self, w, b->request, &isolation);
    if (core_trusted(self, b->request) || spec->untrusted)
        return 0;
    free(spec->isolation);
    spec->isolation = pw_strdup(isolation, &failed);
    spec->untrusted = true;
    return failed ? pw_fail(err, PW_ENOMEM, "out of memory") : 0;
}

/* The repository does not have its revision. */
static bool is_try(const core_build *b)
{
    return b->request->stamp->proposal == CORE_TRIED;
}

/* With what it takes of builds that it needs. */
static int freeze_with(core *self, const core_build *b, pl_facts *f, pw_list *given, pw_buf *out,
                       pw_err *err)
{
    job_need *needs = NULL;
    size_t n = 0;
    int r = core_needs(self, b, given, &needs, &n, err);
    f->needs = needs;
    f->n_needs = n;
    f->given = given->v;
    f->n_given = given->n;
    if (r == 0)
        r = pl_freeze(b->request->builder->conf, f, out, err);
    core_needs_free(needs, n);
    return r;
}

int core_freeze(core *self, const core_build *b, uint64_t attempt, const core_worker *w,
                pw_buf *out, pw_list *ret_secrets, pw_err *err)
{
    const pl_builder *c = b->request->builder->conf;
    const config_project *project = self->project[b->request->builder->project].conf;
    PW_AUTO(pw_buf_clearp) pw_buf reason = PW_BUF(65536);
    char rev[2 * STORE_REV_MAX + 1];
    pw_list given = {0};
    PW_AUTO(pw_buf_clearp) pw_buf event = PW_BUF(32);
    int r = store_buildset_reason(self->st, b->request->buildset, &reason, err);
    /* the reason of a scheduler is a word for what made it act; people have their own */
    if (r >= 0 && (r = store_buildset_scheduled(self->st, b->request->buildset, err)) >= 0 &&
        pw_buf_addf(&event, "%.*s", r ? (int)strcspn(pw_buf_str(&reason), " ") : 5,
                    r           ? pw_buf_str(&reason)
                    : is_try(b) ? "try"
                                : "force") < 0)
        r = pw_fail(err, PW_ENOMEM, "out of memory");
    if (r < 0 || (r = with_facts(b, w, project->n_properties, &given, err)) < 0)
        return r;
    store_rev_text(&b->request->stamp->rev, rev);
    PW_AUTO(pw_freep) char *url = NULL;
    PW_AUTO(core_instance_clear) pl_instance instance = {0};
    if (b->request->builder->parent &&
        (r = core_builder_instance(b->request->builder, &instance, err)) < 0) {
        core_props_clear(&given);
        return r;
    }
    PW_AUTO(pw_freep) char **secrets = calloc(c->secrets.n + 2, sizeof(*secrets));
    pw_strs names = {secrets, c->secrets.n};
    if (!secrets) {
        core_props_clear(&given);
        return pw_fail(err, PW_ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < c->secrets.n; i++)
        secrets[i] = c->secrets.v[i];
    if (self->conf->web_url)
        url = pw_strf("%s/builds/%llu", self->conf->web_url, (unsigned long long)b->id);
    pl_facts f = {.epoch = store_epoch(self->st),
                  .attempt = attempt,
                  .build = b->id,
                  .try_no = b->tries,
                  .build_url = url,
                  .project = project->name,
                  .repository = project->repository,
                  .branch = b->request->stamp->branch,
                  .revision = rev,
                  .reason = pw_buf_str(&reason),
                  .worker = w->row.name,
                  .untrusted = !core_trusted(self, b->request),
                  .event = pw_buf_str(&event),
                  .source = project->from_master || is_try(b) ? "master" : NULL,
                  .lost_after_ms = (uint64_t)core_locks_limit(self) / 1000,
                  .base = project->properties,
                  .n_base = project->n_properties,
                  .instance = b->request->builder->parent ? &instance : NULL,
                  .files_max = project->files_max,
                  .files_bytes = project->files_bytes};
    (void)core_isolation_block(self, w, b->request, &f.isolation);
    if (core_trusted(self, b->request) && !f.source)
        lend_login(c, &project->login, &f, &names);
    f.secrets = names;
    r = self->conf->web_url && !url ? pw_fail(err, PW_ENOMEM, "out of memory")
                                    : freeze_with(self, b, &f, &given, out, err);
    core_props_clear(&given);
    return r < 0 ? r : values(self, b, names, ret_secrets, err);
}

static bool keep(core *self, uint64_t build, const msg_pair *v, size_t n, const char *source)
{
    pw_err err = {0};
    for (size_t i = 0; i < n; i++)
        if (!core_ok(self,
                     store_property_put(self->st, build, v[i].name, v[i].value ? v[i].value : "",
                                        source, &err),
                     &err))
            return false;
    return true;
}

void core_props_keep(core *self, const core_build *b)
{
    const core_builder *of = b->request->builder;
    const config_project *p = self->project[of->project].conf;
    pw_list given = {0};
    pw_err err = {0};
    if (!core_ok(self, core_props_unpack(b->request->props, b->request->props_len, &given, &err),
                 &err))
        return;
    int by = given.n ? store_buildset_scheduled(self->st, b->request->buildset, &err) : 0;
    if (core_ok(self, by, &err) &&
        keep(self, b->id, (const msg_pair *)p->properties, p->n_properties, "project") &&
        keep(self, b->id, (const msg_pair *)of->conf->properties, of->conf->n_properties,
             "builder"))
        (void)keep(self, b->id, given.v, given.n, by ? "scheduler" : is_try(b) ? "try" : "force");
    core_props_clear(&given);
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
        r = failed ? pw_fail(err, PW_ENOMEM, "out of memory") : other_facts(b, w, &spec.props, err);
        if (r == 0)
            r = untrust(self, b, w, &spec, err);
        if (r == 0)
            r = pw_schema_encode(&job_spec_schema, &spec, out, err);
    }
    if (r == 0)
        r = values(self, b, spec.secrets, ret_secrets, err);
    pw_schema_clear(&job_spec_schema, &spec);
    return r;
}
