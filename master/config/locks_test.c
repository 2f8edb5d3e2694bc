#include "master/config/load.h"

#include <string.h>

#include "tests/tap.h"

static const char text[] =
    "locks: [{name: db}, {name: rack, per: worker, count: 3}]\n"
    "projects: [{name: p, repository: /r}]\n"
    "builders:\n"
    "  - name: a\n"
    "    project: p\n"
    "    requires: {tags: [linux], memory: \">=2G\", os: linux, arch: [x86_64, arm64], cpus: 4,\n"
    "               kernel: \"=~^6[.]\", note: \"it's\", low: \"< 3\"}\n"
    "    locks: [{name: db, mode: counting}]\n"
    "    steps:\n"
    "      - {run: x, locks: [rack]}\n"
    "      - {run: y, locks: [{name: rack, mode: counting}], if: \"branch == 'master'\"}\n"
    "      - {run: z}\n"
    "  - {name: b, project: p, requires: \"memory >= 1G or 'big' in tags\", steps: [{run: x},\n"
    "     {run: y, locks: [{name: db}]}]}\n"
    "  - {name: c, project: p, locks: [db, {name: db, mode: counting}], steps: [{run: x}]}\n";

static bool lock_is(const config_builder *b, size_t i, const char *name, bool exclusive,
                    size_t until)
{
    return i < b->n_locks && strcmp(b->locks[i].name, name) == 0 &&
           b->locks[i].exclusive == exclusive && b->locks[i].until == until;
}

static void test_warnings(void)
{
    static const char text2[] =
        "projects: [{name: p, repository: /r, properties: {site: a}}]\n"
        "builders:\n"
        "  - name: a\n"
        "    project: p\n"
        "    properties: {suite: x}\n"
        "    env: {home_of: y}\n"
        "    steps:\n"
        "      - set_property: {version: {run: cat VERSION}}\n"
        "      - {run: \"echo ${site} ${suite} ${home_of} ${version} ${branch} ${worker_os} "
        "${speed}\"}\n"
        "      - {run: \"for f in 1 2; do echo ${f}; done; n=1; echo ${n}; echo x | while read l; "
        "do "
        "echo ${l}; done\"}\n"
        "      - {run: \"echo ${HOME} ${1} ${x:-y}\"}\n"
        "      - run: echo ${sweet}\n"
        "schedulers: [{name: s, kind: branch, project: p, properties: {speed: 9}}]\n";
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(config_unrefp) config *c = config_load_text("f.yaml", text2, strlen(text2), &e);
    for (size_t i = 0; i < e.n; i++)
        printf("# %u:%u %s\n", e.v[i].line, e.v[i].column, e.v[i].text);
    ok(c && c->warnings &&
           strcmp(c->warnings,
                  "f.yaml:12:14: warning: \"run\" names ${sweet}, and nothing sets it: a "
                  "property of that name is given by people at most\n") == 0,
       "what nothing sets: %s", c && c->warnings ? c->warnings : "");
    ok(c && c->projects[0].n_properties == 1, "properties of the project");
}

int main(void)
{
    test_warnings();
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(config_unrefp) config *c = config_load_text(NULL, text, strlen(text), &e);
    for (size_t i = 0; i < e.n; i++)
        printf("# %u:%u %s\n", e.v[i].line, e.v[i].column, e.v[i].text);
    ok(c, "it is read");
    if (!c)
        return tap_done();
    ok(c->n_locks == 2 && !c->locks[0].per_worker && c->locks[0].count == 1 &&
           c->locks[1].per_worker && c->locks[1].count == 3,
       "locks");
    ok(config_find_lock(c, "rack") == 1 && config_find_lock(c, "x") == -1, "found by name");
    const config_builder *b = c->builders;
    ok(b->tags.n == 1 && b->requires &&
           strcmp(expr_text(b->requires),
                  "memory >= 2G and os == 'linux' and arch in ('x86_64', 'arm64') and cpus == 4 "
                  "and kernel =~ '^6[.]' and note == 'it''s' and low < 3") == 0,
       "requires as a mapping: %s", b->requires ? expr_text(b->requires) : "");
    ok(b->n_locks == 2 && lock_is(b, 0, "db", false, 0) && lock_is(b, 1, "rack", true, 2),
       "the strongest use, as long as the last");
    ok(strcmp(b->steps[1].cond, "branch == 'master'") == 0 && !b->steps[0].cond, "if");
    ok(b[1].requires && b[1].tags.n == 0 && lock_is(&b[1], 0, "db", true, 2),
       "requires as a condition; a lock of the last step");
    ok(b[2].n_locks == 1 && lock_is(&b[2], 0, "db", true, 0), "a lock twice");
    return tap_done();
}
