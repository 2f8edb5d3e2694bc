#include <stdlib.h>
#include <string.h>

#include "shared/pipeline/read.h"
#include "tests/tap.h"

/* What all examples need: `one` sets v, `many` is built twice. */
#define FILE_HEAD                                                                                  \
    "builders:\n"                                                                                  \
    "  one: {properties: {fixed: f}, steps: [{set_property: {v: {run: x}}}]}\n"                    \
    "  many: {matrix: {cc: [gcc, clang]}, steps: [{run: x}]}\n"                                    \
    "  other: {steps: [{run: x}]}\n"

static pl_file *load(const char *builder, yaml_errors *errors)
{
    pl_rules rules = {0};
    PW_AUTO(pw_freep) char *text = pw_strf(FILE_HEAD "  b: {needs: [one, many], %s}\n", builder);
    return text ? pl_load(".pawl.yaml", text, strlen(text), &rules, errors) : NULL;
}

static void test_mistakes(void)
{
    static const struct {
        const char *text, *says; /* NULL: it is fine */
        unsigned column;
    } t[] = {
        {"steps: [{fetch: one}]", NULL, 0},
        {"steps: [{fetch: {from: one, paths: 'a/**', to: in, optional: true}}]", NULL, 0},
        {"steps: [{fetch: 'many[cc=gcc]'}]", NULL, 0},
        {"matrix: {cc: [gcc]}, steps: [{fetch: 'many[cc=${cc}]'}]", NULL, 0},
        {"steps: [{fetch: '${which}'}]", NULL, 0},
        {"steps: [{fetch: other}]", "does not need \"other\"", 43},
        {"steps: [{fetch: many}]", "as in \"many[cc=gcc]\"", 43},
        {"steps: [{fetch: 'many[cc=tcc]'}]", "there is no build \"many[cc=tcc]\"", 43},
        {"steps: [{fetch: {paths: x}}]", "takes the name of a builder", 43},
        {"steps: [{fetch: {from: one, path: x}}]", "did you mean \"paths\"", 55},
        {"steps: [{fetch: {from: one, to: ../x}}]", "without \"..\"", 59},
        {"steps: [{fetch: {from: one, paths: [../x]}}]", "without \".\"", 63},
        {"steps: [{fetch: one, env: {A: b}}]", "is for steps with \"run\"", 48},
        {"steps: [{fetch: one, run: x}]", "not several", 0},
        {"env: {A: '${needs.one.v}'}, steps: [{run: x, env: {B: '${needs.one.fixed}'}}]", NULL, 0},
        {"steps: [{run: x, env: {B: '${needs.one.result} ${needs.many.result}'}}]", NULL, 0},
        {"steps: [{run: x, env: {B: '${needs.many[cc=gcc].cc}'}}]", NULL, 0},
        {"steps: [{run: x, if: \"needs.one.result == 'success' and 'needs.x.y' != 'z'\"}]", NULL,
         0},
        {"steps: [{run: x, env: {B: '${needs.one.w:-none}'}}]", NULL, 0},
        {"steps: [{run: x, env: {B: '${needs.one.w}'}}]", "sets a property \"w\"", 53},
        {"steps: [{run: x, env: {B: '${needs.other.v}'}}]", "does not need \"other\"", 53},
        {"steps: [{run: x, env: {B: '${needs.many.v}'}}]", "is built as several", 53},
        {"steps: [{run: x, env: {B: '${needs.one}'}}]", "is written so", 53},
        {"steps: [{run: x, if: \"needs.other.result == 'success'\"}]", "does not need \"other\"",
         48},
        {"steps: [{run: 'echo ${needs.one.v}'}]", "is for the shell", 41},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
        PW_AUTO(pl_unrefp) pl_file *f = load(t[i].text, &e);
        bool good = t[i].says ? !f && e.n && strstr(e.v[0].text, t[i].says) && e.v[0].line == 5 &&
                                    (!t[i].column || e.v[0].column == t[i].column)
                              : f && !e.n;
        ok(good, "%s", t[i].text);
        for (size_t k = 0; !good && k < e.n; k++)
            printf("# %u:%u: %s\n", e.v[k].line, e.v[k].column, e.v[k].text);
    }
}

static int count(void *self, const pl_mention *m)
{
    size_t *n = self;
    *n += pl_mention_is(m, "one") && m->prop_n == 1 && *m->prop == 'v';
    return 0;
}

static void test_uses(void)
{
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(pl_unrefp)
    pl_file *f = load("env: {A: '${needs.one.v}${needs.one.v:-x}'}, steps: [{run: x, if: "
                      "\"needs.one.v != ''\"}]",
                      &e);
    PW_AUTO(pl_unrefp) pl_file *g = load("steps: [{fetch: 'many[cc=gcc]'}]", &e);
    PW_AUTO(pl_unrefp) pl_file *h = load("steps: [{fetch: '${which}'}]", &e);
    size_t n = 0;
    ok(f && g && h, "they load");
    if (!f || !g || !h)
        return;
    ok(pl_mentions(&f->builders[3], count, &n) == 0 && n == 3, "each mention is told (%zu)", n);
    ok(pl_uses_need(&f->builders[3], 0) && !pl_uses_need(&f->builders[3], 1), "by its properties");
    ok(!pl_uses_need(&g->builders[3], 0) && pl_uses_need(&g->builders[3], 1), "by its files");
    ok(pl_uses_need(&h->builders[3], 0) && pl_uses_need(&h->builders[3], 1),
       "a property may name any of them");
}

/* What is frozen of it. */
static void test_freeze(void)
{
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(pl_unrefp)
    pl_file *f =
        load("steps: [{fetch: {from: one, paths: ['*.o', x], to: in, optional: true}}]", &e);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(PW_JOB_MAX);
    char name[] = "one";
    const job_need need = {name, 7};
    pl_facts facts = {.project = "p", .source = "master", .needs = &need, .n_needs = 1};
    job_spec spec = {0};
    ok(f && pl_freeze(&f->builders[3], &facts, &b, NULL) == 0 &&
           pw_schema_decode(&job_spec_schema, b.p, b.len, &spec, NULL) == 0,
       "frozen");
    const job_step *s = spec.steps.v;
    const job_need *got = spec.needs.v;
    ok(spec.steps.n == 1 && strcmp(s->kind, "fetch") == 0 && s->paths.n == 2 && s->optional &&
           s->with.n == 2 && spec.needs.n == 1 && got->build == 7 &&
           strcmp(got->name, "one") == 0 && strcmp(spec.source, "master") == 0,
       "as it was written");
    pw_schema_clear(&job_spec_schema, &spec);
}

int main(void)
{
    test_mistakes();
    test_uses();
    test_freeze();
    return tap_done();
}
