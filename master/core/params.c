/* Forms of force schedulers: which one takes a forced build, and whether what is given fits it. */
#include "master/core/parts.h"

#include <stdlib.h>
#include <string.h>

static bool covers(const config_scheduler *s, size_t builder)
{
    for (size_t i = 0; i < s->n_builders; i++)
        if (s->builders[i] == builder)
            return true;
    return false;
}

/* The one that is named, else the first of the builder. False: refused. */
static bool choose(core *self, core_cmd *c, size_t builder, const config_scheduler **ret)
{
    *ret = NULL;
    for (size_t i = 0; !*ret && i < self->conf->n_schedulers; i++) {
        const config_scheduler *s = &self->conf->schedulers[i];
        if (s->kind == SCHED_FORCE && covers(s, builder) &&
            (!c->scheduler || strcmp(c->scheduler, s->name) == 0))
            *ret = s;
    }
    if (c->scheduler && !*ret)
        core_cmd_fail(c, 404, "not_found", "builder \"%s\" has no force scheduler \"%s\"",
                      self->builder[builder].name, c->scheduler);
    const core_pause *p = *ret ? self->schedule[*ret - self->conf->schedulers].pause : NULL;
    if (p) {
        PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(2000);
        core_pause_text(&text, "scheduler", (*ret)->name, p);
        core_cmd_fail(c, 409, "conflict", "%s", pw_buf_str(&text));
    }
    return !c->status;
}

static const char *given(const core_cmd *c, const char *name)
{
    const msg_pair *p = c->props.v;
    for (size_t i = 0; i < c->props.n; i++)
        if (strcmp(p[i].name, name) == 0)
            return p[i].value;
    return NULL;
}

/* ---- errors: each field with its own, and all of them in one line */
typedef struct bad {
    pw_buf text, fields;
    size_t n;
} bad;

static void field(bad *b, const char *name, const char *why)
{
    (void)pw_buf_addf(&b->text, "%s\"%s\" %s", b->n ? "; " : "", name, why);
    (void)pw_buf_adds(&b->fields, b->n ? "," : "");
    (void)pw_buf_json(&b->fields, name);
    (void)pw_buf_adds(&b->fields, ":");
    (void)pw_buf_json(&b->fields, why);
    b->n++;
}

static void refuse(core_cmd *c, bad *b)
{
    c->status = 400;
    pw_buf_reset(&c->body);
    (void)pw_buf_adds(&c->body, "{\"error\":{\"code\":\"bad_request\",\"message\":");
    (void)pw_buf_json(&c->body, pw_buf_str(&b->text));
    (void)pw_buf_addf(&c->body, ",\"fields\":{%s}}}", pw_buf_str(&b->fields));
}

static void unknown(bad *b, const config_scheduler *s, const char *name)
{
    PW_AUTO(pw_buf_clearp) pw_buf why = PW_BUF(2000);
    for (size_t i = 0; i < s->n_params; i++)
        if (strcmp(s->params[i].name, name) == 0)
            return;
    (void)pw_buf_addf(&why, "is no parameter of force scheduler \"%s\"", s->name);
    for (size_t i = 0; i < s->n_params; i++)
        (void)pw_buf_addf(&why, "%s%s", i ? ", " : ", which has ", s->params[i].name);
    field(b, name, pw_buf_str(&why));
}

static bool fits(core_cmd *c, const config_scheduler *s)
{
    const msg_pair *p = c->props.v;
    bad b = {.text = PW_BUF(100000), .fields = PW_BUF(100000)};
    for (size_t i = 0; i < c->props.n; i++)
        unknown(&b, s, p[i].name);
    for (size_t i = 0; i < s->n_params; i++) {
        const config_param *q = &s->params[i];
        const char *value = given(c, q->name);
        pw_err err = {0};
        if (q->required && (!value || !*value))
            field(&b, q->name, "is required");
        else if (value && config_param_check(q, value, &err) < 0)
            field(&b, q->name, err.text);
    }
    if (b.n)
        refuse(c, &b);
    pw_buf_clear(&b.text);
    pw_buf_clear(&b.fields);
    return !b.n;
}

/* What is not given: the scheduler's own properties, then defaults over them. */
static bool fill(core *self, core_cmd *c, const config_scheduler *s)
{
    bool failed = false;
    msg_pair *v = calloc(c->props.n + s->n_properties + s->n_params + 1, sizeof(*v));
    if (!v) {
        (void)core_nomem(self);
        return false;
    }
    size_t n = c->props.n;
    if (n)
        memcpy(v, c->props.v, n * sizeof(*v));
    free(c->props.v);
    c->props.v = v;
    for (size_t i = 0; i < s->n_params + s->n_properties && !failed; i++) {
        bool param = i < s->n_params;
        const config_pair *own = param ? NULL : &s->properties[i - s->n_params];
        const char *name = param ? s->params[i].name : own->name;
        const char *value = param ? s->params[i].fallback : own->value;
        if (!value || given(c, name))
            continue;
        v[n].name = pw_strdup(name, &failed);
        v[n].value = pw_strdup(value, &failed);
        c->props.n = ++n;
    }
    if (failed)
        (void)core_nomem(self);
    return !failed;
}

bool core_force_check(core *self, core_cmd *c, size_t builder, const config_scheduler **ret_by)
{
    if (!choose(self, c, builder, ret_by))
        return false;
    const config_scheduler *s = *ret_by;
    return !s || ((!s->has_params || fits(c, s)) && fill(self, c, s));
}
