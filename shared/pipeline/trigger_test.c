#include <stdlib.h>
#include <string.h>

#include "shared/pipeline/read.h"
#include "tests/tap.h"

static pl_file *load(const char *step, yaml_errors *errors)
{
    PW_AUTO(pw_freep) char *text = pw_strf("builders:\n  b:\n    steps:\n      - %s\n", step);
    pl_rules rules = {0};
    return text ? pl_load(".pawl.yaml", text, strlen(text), &rules, errors) : NULL;
}

static const char *with(const pl_step *s, const char *name)
{
    for (size_t i = 0; i < s->n_with; i++)
        if (strcmp(s->with[i].name, name) == 0)
            return s->with[i].value;
    return "";
}

static void test_good(void)
{
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(pl_unrefp)
    pl_file *f = load("{trigger: {scheduler: s, wait: true, cancel: no, properties: {a: \"${b}\"}, "
                      "revision: \"${r}\"}, timeout: 5m}",
                      &e);
    const pl_step *s = f ? f->builders[0].steps : NULL;
    ok(s && strcmp(s->kind, "trigger") == 0 && strcmp(s->name, "trigger") == 0, "a step trigger");
    ok(s && strcmp(with(s, "scheduler"), "s") == 0 && strcmp(with(s, "wait"), "true") == 0 &&
           strcmp(with(s, "cancel"), "false") == 0 && strcmp(with(s, "prop.a"), "${b}") == 0 &&
           strcmp(with(s, "revision"), "${r}") == 0,
       "what it takes");
    ok(s && s->timeout == 300 * PL_SECOND && !s->idle_timeout, "limits");
    PW_AUTO(pl_unrefp) pl_file *g = load("trigger: s", &e);
    s = g ? g->builders[0].steps : NULL;
    ok(s && strcmp(with(s, "scheduler"), "s") == 0 && s->n_with == 1 && e.n == 0, "by name alone");
}

static void wrong(const char *step, const char *text)
{
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(pl_unrefp) pl_file *f = load(step, &e);
    bool found = false;
    for (size_t i = 0; i < e.n; i++)
        found |= strstr(e.v[i].text, text) != NULL;
    ok(!f && found, "%s: %s", step, text);
}

static void test_bad(void)
{
    wrong("trigger: {wait: true}", "\"scheduler\"");
    wrong("trigger: {scheduler: s, waits: true}", "waits");
    wrong("trigger: {scheduler: s, cancel: false}", "\"cancel\" is for a step that waits");
    wrong("trigger: {scheduler: s, properties: [a]}", "must be a mapping");
    wrong("trigger: {scheduler: s, properties: {A: b}}", "\"A\"");
    wrong("trigger: {scheduler: s, properties: {branch: b}}", "branch");
    wrong("trigger: {scheduler: s, properties: {a: [b]}}", "a property is a text");
    wrong("{trigger: s, env: {A: b}}", "\"env\" has no use");
    wrong("{trigger: s, run: x}", "a step has one of");
    wrong("{trigger: s, timeout: 0s}", "timeout");
}

int main(void)
{
    test_good();
    test_bad();
    return tap_done();
}
