/* What a build takes of those that it needs: which builds these are, and what they set. It is
 * looked up once, when the job is frozen. */
#include <stdlib.h>
#include <string.h>

#include "master/core/parts.h"
#include "master/store/graph.h"

typedef struct needing {
    core *self;
    const core_build *b;
    const pl_builder *def;
    store_member *member; /* owned: requests of the set */
    size_t n_members, cap;
    /* in the order of `needs`, each with all of its builds */
    struct needed {
        job_need need; /* owns its name */
        size_t k;      /* index in `needs` */
        pw_result result;
        pl_instance values; /* owned: of the matrix */
    } * v;
    size_t n;
    pw_list *props; /* msg_pair: what is mentioned is added */
    pw_err *err;
    int rc;
} needing;

static void needing_clear(needing *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free(c->v[i].need.name);
        pl_pairs_free(c->v[i].values.values, c->v[i].values.n_values);
    }
    free(c->v);
    free(c->member);
}

static int note_member(void *p, const store_member *m)
{
    needing *c = p;
    if (c->n_members == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : 32;
        store_member *v = reallocarray(c->member, cap, sizeof(*v));
        if (!v)
            return PW_ENOMEM;
        c->member = v;
        c->cap = cap;
    }
    c->member[c->n_members++] = *m;
    return 0;
}

/* Its build of the same set; where the set has none (it was green already, or nothing that it
 * depends on changed), what counts of that revision. */
static int find_build(const needing *c, uint64_t row, struct needed *to)
{
    const core_request *r = c->b->request;
    bool open;
    for (size_t i = 0; i < c->n_members; i++) {
        const store_member *m = &c->member[i];
        if (m->builder != row || !m->build || m->hold == HOLD_UNCHANGED)
            continue;
        to->need.build = m->build;
        to->result = m->result;
        return 0;
    }
    return store_verdict(c->self->st, r->stamp->project_row, row, &r->stamp->rev, &to->result,
                         &to->need.build, &open, c->err);
}

static int add_needed(needing *c, size_t k, const pl_instance *in)
{
    uint64_t row = 0;
    bool failed = false;
    int rc =
        store_builder_id(c->self->st, c->b->request->stamp->project_row, in->name, &row, c->err);
    struct needed *to = &c->v[c->n];
    *to = (struct needed){.k = k, .result = PW_NO_RESULT};
    if (rc < 0 || (rc = find_build(c, row, to)) < 0)
        return rc;
    to->need.name = pw_strdup(in->name, &failed);
    to->values.values = calloc(in->n_values + 1, sizeof(pl_pair));
    c->n++;
    if (failed || !to->values.values)
        return pw_fail(c->err, PW_ENOMEM, "out of memory");
    for (size_t i = 0; i < in->n_values; i++, to->values.n_values++)
        to->values.values[i] = (pl_pair){pw_strdup(in->values[i].name, &failed),
                                         pw_strdup(in->values[i].value, &failed)};
    return failed ? pw_fail(c->err, PW_ENOMEM, "out of memory") : 0;
}

static int add_builder(needing *c, size_t k)
{
    const core_builder *of = c->b->request->builder;
    const pl_builder *all = of->file ? of->file->builders : c->self->conf->builders;
    pl_instances in;
    int rc = pl_expand(&all[c->def->need[k]], &in, c->err);
    if (rc < 0)
        return rc;
    struct needed *v = reallocarray(c->v, c->n + in.n + 1, sizeof(*v));
    if (v)
        c->v = v;
    else
        rc = pw_fail(c->err, PW_ENOMEM, "out of memory");
    if (rc == 0 && c->n + in.n > PW_NEEDS_MAX)
        rc = pw_fail(c->err, PW_ELIMIT, "its steps take something of more than %d builds",
                     PW_NEEDS_MAX);
    for (size_t i = 0; rc == 0 && i < in.n; i++)
        rc = add_needed(c, k, &in.v[i]);
    pl_instances_clear(&in);
    return rc;
}

/* ---- ${needs.NAME.PROPERTY} */
static int give(needing *c, const pl_mention *m, const char *value)
{
    const msg_pair *v = c->props->v;
    bool failed = false;
    PW_AUTO(pw_freep)
    char *name = pw_strf("needs.%.*s.%.*s", (int)m->name_n, m->name, (int)m->prop_n, m->prop);
    if (!name)
        return pw_fail(c->err, PW_ENOMEM, "out of memory");
    for (size_t i = 0; i < c->props->n; i++)
        if (strcmp(v[i].name, name) == 0)
            return 0;
    if (c->props->n >= PW_ENV_MAX)
        return pw_fail(c->err, PW_ELIMIT, "more than %d properties", PW_ENV_MAX);
    msg_pair *more = reallocarray(c->props->v, c->props->n + 1, sizeof(*v));
    if (!more)
        return pw_fail(c->err, PW_ENOMEM, "out of memory");
    c->props->v = more;
    more[c->props->n++] = (msg_pair){pw_take(name), pw_strdup(value, &failed)};
    return failed ? pw_fail(c->err, PW_ENOMEM, "out of memory") : 0;
}

static int give_property(needing *c, const struct needed *of, const pl_mention *m)
{
    PW_AUTO(pw_buf_clearp) pw_buf value = PW_BUF(PW_VALUE_MAX);
    PW_AUTO(pw_freep) char *name = strndup(m->prop, m->prop_n);
    if (!name)
        return pw_fail(c->err, PW_ENOMEM, "out of memory");
    for (size_t i = 0; i < of->values.n_values; i++)
        if (strcmp(of->values.values[i].name, name) == 0)
            return give(c, m, of->values.values[i].value);
    int rc = of->need.build ? store_property_get(c->self->st, of->need.build, name, &value, c->err)
                            : PW_ENOTFOUND;
    if (rc == PW_ENOTFOUND)
        return 0; /* what takes it says so, when it runs */
    return rc < 0 ? rc : give(c, m, pw_buf_str(&value));
}

static const char *result_text(pw_result r)
{
    return r == PW_NO_RESULT ? "none" : pw_result_name(r);
}

static int mentioned(void *p, const pl_mention *m)
{
    needing *c = p;
    pw_result worst = PW_NO_RESULT;
    const struct needed *one = NULL;
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        struct needed *x = &c->v[i];
        if (!pl_mention_is(m, x->need.name) && !pl_mention_is(m, c->def->needs.v[x->k]))
            continue;
        worst = n++ ? pw_result_worst(worst, x->result) : x->result;
        one = x;
    }
    if (!n || !m->prop_n)
        return 0;
    if (m->prop_n == 6 && memcmp(m->prop, "result", 6) == 0)
        c->rc = give(c, m, result_text(worst));
    else if (n == 1)
        c->rc = give_property(c, one, m);
    return c->rc;
}

int core_needs(core *self, const core_build *b, pw_list *props, job_need **ret, size_t *ret_n,
               pw_err *err)
{
    const pl_builder *def = b->request->builder->conf;
    PW_AUTO(needing_clear)
    needing c = {.self = self, .b = b, .def = def, .props = props, .err = err};
    int rc = 0;
    bool any = false;
    *ret = NULL;
    *ret_n = 0;
    for (size_t k = 0; def->need && k < def->needs.n; k++) {
        if (!pl_uses_need(def, k))
            continue;
        if (!any)
            rc = store_set_requests(self->st, b->request->buildset, note_member, &c, err);
        any = true;
        if (rc < 0 || (rc = add_builder(&c, k)) < 0)
            return rc;
    }
    if (!any)
        return 0;
    (void)pl_mentions(def, mentioned, &c);
    if (c.rc < 0)
        return c.rc;
    if (!(*ret = calloc(c.n + 1, sizeof(**ret))))
        return pw_fail(err, PW_ENOMEM, "out of memory");
    for (size_t i = 0; i < c.n; i++) {
        (*ret)[i] = c.v[i].need;
        c.v[i].need.name = NULL;
    }
    *ret_n = c.n;
    return 0;
}

void core_needs_free(job_need *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(v[i].name);
    free(v);
}

bool core_attempt_source(const core *self, const core_attempt *a, size_t *ret_project,
                         store_rev *ret_rev)
{
    const core_build *b = pw_table_get(self->builds, a->build);
    if (!b || b->request->builder->project == SIZE_MAX)
        return false;
    *ret_project = b->request->builder->project;
    *ret_rev = b->request->stamp->rev;
    return true;
}
