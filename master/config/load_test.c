/* Whole files: every field, defaults, includes, the copy that is kept, limits. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/config/load.h"
#include "shared/base/fs.h"
#include "tests/tap.h"

#define SEC PL_SECOND

static config *load(const char *text, yaml_errors *e)
{
    config *c = config_load_text("/etc/pawl/f.yaml", text, strlen(text), e);
    for (size_t i = 0; i < e->n; i++)
        printf("# %s:%u:%u: %s\n", e->v[i].file, e->v[i].line, e->v[i].column, e->v[i].text);
    return c;
}

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

static bool pair_is(const config_pair *p, const char *name, const char *value)
{
    return same(p->name, name) && same(p->value, value);
}

static const char full[] =
    "name: ci\n"
    "web: {listen: \"127.0.0.1:0\", url: \"https://ci.example.org/x/\", read: token, insecure: "
    "true}\n"
    "workers: {listen: \"tcp://*:1\", address: \"tcp://ci:1\", lost_after: 5m}\n"
    "projects:\n"
    "  - {name: p, repository: git/p.git, branches: [a, \"!b\"], tags: [\"v*\"], poll: 5s, "
    "build_first: true}\n"
    "  - {name: q, repository: \"https://h/q\"}\n"
    "builders:\n"
    "  - name: b1\n"
    "    project: p\n"
    "    requires: {tags: [linux, x86]}\n"
    "    env: {A: 1, B: \"\"}\n"
    "    properties: {suite: all}\n"
    "    collapse: false\n"
    "    retries: 5\n"
    "    timeout: 1h\n"
    "    isolation: none\n"
    "    required: false\n"
    "    manual: true\n"
    "    steps:\n"
    "      - checkout: {mode: fresh, submodules: true, depth: 3, lfs: true, sparse: [a, b/c]}\n"
    "      - {run: make, shell: bash, dir: sub/x, env: {C: d}, timeout: 1m, idle_timeout: 2m, "
    "grace: 3s, log_limit: 1M,\n"
    "         stderr: separate, pty: true, halt_on_failure: false, flunk_on_failure: false, "
    "warn_on_failure: true,\n"
    "         always_run: true}\n"
    "      - {name: argv, run: [ls, -l]}\n"
    "      - {run: x}\n"
    "      - {run: y}\n"
    "      - {name: run-3, run: z}\n"
    "  - {name: b2, project: q, steps: [{run: x}]}\n"
    "  - {name: b3, project: p, steps: [{run: x}]}\n"
    "  - {name: b1, project: q, steps: [{run: x}]}\n"
    "schedulers:\n"
    "  - {name: push, kind: branch, project: p, branches: [\"m*\"], builders: [b3], quiet: 5s, "
    "paths: [\"src/**\"],\n"
    "     paths_ignore: [\"*.md\"], authors: [\"*@x\"], priority: -7, properties: {k: v}}\n"
    "  - {name: each, kind: periodic, project: p, every: 2h, branch: dev}\n"
    "  - {name: night, kind: nightly, project: p, cron: \"30 2 * * *\", zone: Europe/Berlin, "
    "branch: m, only_if_changed: true}\n"
    "  - {name: hand, kind: force, project: p, builders: all}\n"
    "  - {name: q, kind: nightly, project: p, cron: \"0 0 * * *\"}\n"
    "  - {name: behind, kind: dependent, project: p, after: push2, supersede: running}\n"
    "  - {name: push2, kind: branch, project: p, testfix: true, supersede: queued}\n"
    "  - {name: fired, kind: triggered, project: p, builders: [b3]}\n"
    "  - {name: form, kind: force, project: p, parameters: [{name: level, type: int, default: 3, "
    "label: How much},\n"
    "     {name: what, type: choice, choices: [all, some], required: true}, {name: note}]}\n"
    "promotions:\n"
    "  - {name: up, kind: green, project: p, from: m, to: s, builders: [b3], every: 1h, "
    "allow_warnings: true}\n"
    "  - {name: all, kind: green, project: p, from: s, to: t, builders: []}\n";

static void check_steps(const config_builder *b)
{
    const config_step *s = b->steps;
    ok(same(s[0].name, "checkout") && same(s[0].kind, "checkout") && same(s[0].mode, "fresh") &&
           s[0].submodules && s[0].depth == 3 && s[0].lfs && s[0].paths.n == 2 &&
           !strcmp(s[0].paths.v[1], "b/c"),
       "checkout");
    ok(same(s[1].name, "run") && same(s[1].kind, "run") && same(s[1].script, "make") &&
           same(s[1].shell, "bash") && same(s[1].dir, "sub/x") && s[1].n_env == 1 &&
           pair_is(s[1].env, "C", "d"),
       "run");
    ok(s[1].timeout == 60 * SEC && s[1].idle_timeout == 120 * SEC && s[1].grace == 3 * SEC &&
           s[1].log_limit == 1 << 20 && s[1].stderr_separate && s[1].pty,
       "run's limits");
    ok(!s[1].flags.halt_on_failure && !s[1].flags.flunk_on_failure && s[1].flags.warn_on_failure &&
           s[1].flags.always_run,
       "flags");
    ok(!s[2].script && s[2].argv.n == 2 && same(s[2].argv.v[0], "ls") && same(s[2].argv.v[1], "-l"),
       "argv");
    ok(same(s[3].name, "run-2") && same(s[4].name, "run-4") && same(s[5].name, "run-3"),
       "names are made unique");
    ok(!s[3].timeout && s[3].idle_timeout == 1200 * SEC && s[3].grace == 10 * SEC &&
           s[3].log_limit == 512 << 20 && !s[3].stderr_separate && !s[3].pty &&
           same(s[3].shell, "sh") && !s[3].dir,
       "a step's defaults");
    ok(s[3].flags.halt_on_failure && s[3].flags.flunk_on_failure && !s[3].flags.warn_on_failure &&
           !s[3].flags.always_run,
       "default flags");
}

static void check_builders(const config *c)
{
    const config_builder *b = &c->builders[0], *d = &c->builders[1];
    ok(c->n_builders == 4 && same(b->name, "b1") && b->project == 0 && b->tags.n == 2 &&
           same(b->tags.v[1], "x86"),
       "a builder");
    ok(b->n_env == 2 && pair_is(&b->env[0], "A", "1") && pair_is(&b->env[1], "B", "") &&
           b->n_properties == 1 && pair_is(b->properties, "suite", "all"),
       "env and properties");
    ok(!b->collapse && b->retries == 5 && b->timeout == 3600 * SEC && same(b->isolation, "none") &&
           !b->required && b->manual && b->n_steps == 6,
       "a builder's choices");
    ok(d->project == 1 && d->collapse && d->retries == 2 && d->timeout == 6 * 3600 * SEC &&
           !d->isolation && d->required && !d->manual && d->n_env == 0 && d->tags.n == 0,
       "a builder's defaults");
    check_steps(b);
    ok(config_find_builder(c, "b2") == 1 && config_find_builder(c, "q/b1") == 3 &&
           config_find_builder(c, "p/b1") == 0,
       "found");
    ok(config_find_builder(c, "b1") == -2 && config_find_builder(c, "b9") == -1 &&
           config_find_builder(c, "p/b2") == -1 && config_find_builder(c, "/b2") == -1,
       "several, none");
    ok(config_find_project(c, "q") == 1 && config_find_project(c, "z") == -1, "projects found");
}

static void check_schedulers(const config *c)
{
    const config_scheduler *s = c->schedulers;
    ok(c->n_schedulers == 10 && s[0].kind == SCHED_BRANCH && s[0].n_builders == 1 &&
           s[0].builders[0] == 2 && s[0].quiet == 5 * SEC && s[0].priority == -7 &&
           s[0].n_properties == 1 && pair_is(s[0].properties, "k", "v"),
       "a branch scheduler");
    ok(glob_match(s[0].branches, "main") && !glob_match(s[0].branches, "dev") &&
           glob_match(s[0].paths, "src/a/b.c") && glob_match(s[0].paths_ignore, "x.md") &&
           glob_match(s[0].authors, "a@x"),
       "its globs");
    ok(s[1].kind == SCHED_PERIODIC && s[1].every == 7200 * SEC && same(s[1].branch, "dev") &&
           s[1].n_builders == 2 && s[1].builders[0] == 0 && s[1].builders[1] == 2,
       "a periodic scheduler, over all builders of its project");
    ok(s[2].kind == SCHED_NIGHTLY && s[2].cron && same(s[2].cron_text, "30 2 * * *") &&
           same(s[2].zone_name, "Europe/Berlin") &&
           cron_zone_offset(s[2].zone, 1767225600) == 3600 && s[2].only_if_changed &&
           same(s[2].branch, "m"),
       "a nightly scheduler");
    ok(s[3].kind == SCHED_FORCE && s[3].n_builders == 2 && !s[3].priority, "a force scheduler");
    ok(same(s[4].zone_name, "UTC") && cron_zone_offset(s[4].zone, 1767225600) == 0 &&
           !s[4].only_if_changed && !s[4].branch,
       "a nightly scheduler's defaults");
    ok(s[5].kind == SCHED_DEPENDENT && s[5].after == 6 && s[5].supersede == SUPERSEDE_RUNNING &&
           s[6].testfix && s[6].supersede == SUPERSEDE_QUEUED && !s[0].testfix &&
           s[0].supersede == SUPERSEDE_NONE && s[7].kind == SCHED_TRIGGERED,
       "dependent, testfix, supersede, triggered");
    const config_param *p = s[8].params;
    ok(s[8].has_params && s[8].n_params == 3 && !s[3].has_params && same(p[0].name, "level") &&
           p[0].type == PARAM_INT && same(p[0].fallback, "3") && same(p[0].label, "How much") &&
           p[1].type == PARAM_CHOICE && p[1].required && p[1].choices.n == 2 && !p[1].fallback &&
           p[2].type == PARAM_STRING && !p[2].required && !p[2].label,
       "parameters of a force scheduler");
    ok(same(s[9].name, "q-2") && s[9].kind == SCHED_BRANCH && s[9].project == 1 &&
           s[9].n_builders == 2 && s[9].builders[0] == 1 && s[9].builders[1] == 3 &&
           glob_match(s[9].branches, "any/thing") && !s[9].paths && !s[9].paths_ignore &&
           !s[9].authors,
       "a project without a scheduler gets one; its name was taken");
}

static void test_full(void)
{
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(config_unrefp) config *c = load(full, &e);
    ok(c && yaml_errors_none(&e), "a full file loads");
    if (!c)
        return;
    ok(same(c->name, "ci") && same(c->web_listen, "127.0.0.1:0") &&
           same(c->web_url, "https://ci.example.org/x") && c->web_read_token && c->web_insecure,
       "web");
    ok(same(c->workers_listen, "tcp://*:1") && same(c->workers_address, "tcp://ci:1") &&
           c->lost_after == 300 * SEC,
       "workers");
    const config_project *p = c->projects;
    ok(c->n_projects == 2 && same(p->name, "p") && same(p->repository, "/etc/pawl/git/p.git") &&
           p->poll == 5 * SEC && p->build_first,
       "a project; its path is relative to the file");
    ok(glob_match(p->branches, "a") && !glob_match(p->branches, "b") && glob_match(p->tags, "v1") &&
           !glob_match(p->tags, "x"),
       "branches and tags");
    ok(same(p[1].repository, "https://h/q") && p[1].poll == 60 * SEC && !p[1].build_first &&
           glob_match(p[1].branches, "x/y") && !glob_match(p[1].tags, "v1"),
       "a project's defaults");
    check_builders(c);
    check_schedulers(c);
    const config_promotion *m = c->promotions;
    ok(c->n_promotions == 2 && same(m->name, "up") && m->project == 0 && same(m->from, "m") &&
           same(m->to, "s") && m->n_builders == 1 && m->builders[0] == 2 &&
           m->every == 3600 * SEC && m->allow_warnings,
       "a promotion");
    ok(m[1].n_builders == 2 && m[1].every == 0 && !m[1].allow_warnings,
       "a promotion's defaults: all builders");
    ok(same(c->text, full), "the text is kept");
    config *second = config_ref(c);
    ok(config_unref(second) == NULL && same(c->name, "ci"), "counted");
}

static void test_defaults(void)
{
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(config_unrefp) config *c = load("projects: [{name: p, repository: /r}]\n", &e);
    ok(c && same(c->name, "pawl") && same(c->web_listen, "127.0.0.1:8010") && !c->web_url &&
           !c->web_read_token && !c->web_insecure &&
           same(c->workers_listen, "tcp://127.0.0.1:9989") && !c->workers_address &&
           c->lost_after == 600 * SEC,
       "the master's defaults: nothing is reachable by others");
    ok(c && c->n_schedulers == 0, "nothing to build: no scheduler is made");
    c = config_unref(c);
    c = config_load("config/master.yaml.example", &e);
    for (size_t i = 0; i < e.n; i++)
        printf("# %s:%u:%u: %s\n", e.v[i].file, e.v[i].line, e.v[i].column, e.v[i].text);
    ok(c && c->n_projects == 1 && c->n_builders == 2 && c->n_schedulers == 6 &&
           c->n_promotions == 2,
       "the example loads");
    ok(c && pair_is(&c->builders[1].env[0], "CFLAGS", "-O0") &&
           pair_is(&c->builders[1].env[1], "LC_ALL", "C.UTF-8"),
       "with its <<");
}

typedef struct scratch {
    char dir[64];
} scratch;

static void scratch_clear(scratch *s)
{
    if (s->dir[0])
        (void)pw_fs_remove_tree(s->dir, NULL);
}

static void put(const scratch *s, const char *name, const char *text)
{
    PW_AUTO(pw_freep) char *path = pw_path_join(s->dir, name);
    pw_err err = {0};
    if (!path || pw_fs_replace(path, text, strlen(text), 0600, &err) < 0)
        printf("# cannot write %s: %s\n", name, err.text);
}

/* Loads main.yaml of the scratch folder; `want` is the end of the only error's file, and its text.
 */
static void include_error(const scratch *s, const char *file, unsigned line, unsigned column,
                          const char *want)
{
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(pw_freep) char *path = pw_path_join(s->dir, "main.yaml");
    PW_AUTO(config_unrefp) config *c = path ? config_load(path, &e) : NULL;
    bool is = !c && e.n == 1 && strlen(e.v[0].file) >= strlen(file) &&
              strcmp(e.v[0].file + strlen(e.v[0].file) - strlen(file), file) == 0 &&
              e.v[0].line == line && e.v[0].column == column && strstr(e.v[0].text, want);
    ok(is, "%s:%u:%u: %s", file, line, column, want);
    for (size_t i = 0; !is && i < e.n; i++)
        printf("# %s:%u:%u: %s\n", e.v[i].file, e.v[i].line, e.v[i].column, e.v[i].text);
}

static void test_bundle(const config *c)
{
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(config_unrefp) config *copy = load(c->text, &e);
    ok(copy && copy->n_builders == 2 && copy->n_projects == 1 && same(copy->text, c->text),
       "the kept text loads without the files");
    ok(copy && same(copy->projects[0].repository, c->projects[0].repository),
       "and means the same paths");
    copy = config_unref(copy);
    PW_AUTO(pw_freep) char *cut = strdup(c->text);
    if (!cut)
        return;
    cut[strlen(cut) - 2] = '\0';
    copy = config_load_text(NULL, cut, strlen(cut), &e);
    ok(!copy && e.n == 1 && strstr(e.v[0].text, "damaged"), "a cut one is told");
    yaml_errors_clear(&e);
    static const char bad[] = "#pawl-files 1\n#file 18446744073709551615 x\nname: a\n";
    copy = config_load_text(NULL, bad, strlen(bad), &e);
    ok(!copy && e.n == 1 && strstr(e.v[0].text, "damaged"), "a length beyond the end is told");
    yaml_errors_clear(&e);
    static const char out[] = "#pawl-files 1\n#file 21 /x\ninclude: /etc/passwd \n";
    copy = config_load_text("/etc/f", out, strlen(out), &e);
    ok(!copy && e.n == 1 && strstr(e.v[0].text, "cannot be included here"),
       "a copy reads no files");
}

static void test_includes(void)
{
    PW_AUTO(scratch_clear) scratch s = {"/tmp/pawl-config-test-XXXXXX"};
    if (!mkdtemp(s.dir)) {
        s.dir[0] = '\0';
        ok(false, "a scratch folder");
        return;
    }
    PW_AUTO(pw_freep) char *sub = pw_path_join(s.dir, "sub");
    PW_AUTO(pw_freep) char *path = pw_path_join(s.dir, "main.yaml");
    if (!sub || !path || pw_fs_mkdirs(sub, 0700, NULL) < 0)
        return;
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    put(&s, "main.yaml", "include: [sub/one.yaml]\nprojects: [{name: p, repository: r.git}]\n");
    put(&s, "sub/one.yaml",
        "include: two.yaml\nbuilders: [{name: b, project: p, steps: [{run: x}]}]\n");
    put(&s, "sub/two.yaml", "builders: [{name: c, project: p, steps: [{run: x}]}]\nname: two\n");
    PW_AUTO(config_unrefp) config *c = config_load(path, &e);
    ok(c && c->n_builders == 2 && same(c->builders[1].name, "c") && same(c->name, "two") &&
           c->n_schedulers == 1,
       "includes are relative to the file that names them");
    if (c)
        test_bundle(c);
    put(&s, "sub/two.yaml", "builders: [{name: c, project: pp, steps: [{run: x}]}]\n");
    include_error(&s, "/sub/two.yaml", 1, 31, "no project \"pp\"");
    put(&s, "sub/two.yaml", "builders: [{name: b, project: p, steps: [{run: x}]}]\n");
    include_error(&s, "/sub/two.yaml", 1, 19, "builder \"b\" exists already, in ");
    put(&s, "sub/two.yaml", "include: [../main.yaml]\n");
    include_error(&s, "/sub/two.yaml", 1, 11, "main.yaml\" includes itself");
    put(&s, "sub/two.yaml", "x: [\n");
    include_error(&s, "/sub/two.yaml", 2, 1, "not YAML");
    put(&s, "sub/two.yaml", "name: a\n");
    put(&s, "main.yaml",
        "name: b\ninclude:\n  - sub/one.yaml\nprojects: [{name: p, repository: r.git}]\n");
    include_error(&s, "/sub/two.yaml", 1, 1, "\"name\" is given in ");
    put(&s, "main.yaml",
        "include:\n  - sub/../sub/two.yaml\n  - sub/one.yaml\nprojects: [{name: p, repository: "
        "r.git}]\n");
    include_error(&s, "/sub/one.yaml", 1, 10, "two.yaml\" is included already");
    put(&s, "main.yaml", "include:\n  - none.yaml\n");
    include_error(&s, "/main.yaml", 2, 5, "none.yaml\" cannot be read: No such file");
    put(&s, "main.yaml", "include: [d0.yaml]\n");
    for (int i = 0; i <= CONFIG_INCLUDE_DEPTH_MAX; i++) {
        char name[32], text[64];
        (void)snprintf(name, sizeof(name), "d%d.yaml", i);
        (void)snprintf(text, sizeof(text),
                       i + 1 < CONFIG_INCLUDE_DEPTH_MAX ? "include: [d%d.yaml]\n" : "name: x\n",
                       i + 1);
        put(&s, name, text);
    }
    c = config_unref(c);
    c = config_load(path, &e);
    ok(c && same(c->name, "x"), "includes at the limit of depth");
    put(&s, "d7.yaml", "include: [d8.yaml]\n");
    include_error(&s, "/d7.yaml", 1, 11, "deeper than 8");
    (void)unlink(path);
    include_error(&s, "/main.yaml", 1, 1, "cannot be read: ");
}

static void add_builders(pw_buf *b, size_t n, size_t steps)
{
    (void)pw_buf_adds(b, "projects: [{name: p, repository: /r}]\nbuilders:\n");
    for (size_t i = 0; i < n; i++) {
        (void)pw_buf_addf(b, "- {name: b%zu, project: p, steps: [", i);
        for (size_t k = 0; k < steps; k++)
            (void)pw_buf_adds(b, "{run: x},");
        (void)pw_buf_adds(b, "]}\n");
    }
}

/* Loads the text of b; true when it loads, and false with exactly one error that says so. */
static bool limit(pw_buf *b, bool fits, const char *want)
{
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(config_unrefp) config *c = config_load_text("f.yaml", pw_buf_str(b), b->len, &e);
    bool is = fits ? c && !e.n : !c && e.n == 1 && strstr(e.v[0].text, want);
    if (!is && e.n)
        printf("# %s\n", e.v[0].text);
    pw_buf_reset(b);
    return is;
}

static void builder_env(pw_buf *b, size_t pairs, size_t value, size_t script)
{
    (void)pw_buf_adds(b, "projects: [{name: p, repository: /r}]\nbuilders:\n- name: b\n  project: "
                         "p\n  steps: [{run: ");
    for (size_t i = 0; i < script; i++)
        (void)pw_buf_adds(b, "x");
    (void)pw_buf_adds(b, "}]\n  env:\n");
    for (size_t i = 0; i < pairs; i++) {
        (void)pw_buf_addf(b, "    E%03zu: y", i); /* names of 4 bytes */
        for (size_t k = 1; k < value; k++)
            (void)pw_buf_adds(b, "y");
        (void)pw_buf_adds(b, "\n");
    }
}

static void test_limits(void)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(YAML_TEXT_MAX);
    add_builders(&b, CONFIG_BUILDERS_MAX, 1);
    ok(limit(&b, true, ""), "builders at the limit");
    add_builders(&b, CONFIG_BUILDERS_MAX + 1, 1);
    ok(limit(&b, false, "more than 1000 builders"), "builders beyond");
    add_builders(&b, 1, PL_STEPS_MAX);
    ok(limit(&b, true, ""), "steps at the limit");
    add_builders(&b, 1, PL_STEPS_MAX + 1);
    ok(limit(&b, false, "\"steps\" has more than 1000 items"), "steps beyond");
    builder_env(&b, 1, PL_VALUE_MAX, 1);
    ok(limit(&b, true, ""), "a value at the limit");
    builder_env(&b, 1, PL_VALUE_MAX + 1, 1);
    ok(limit(&b, false, "\"E000\" is longer than 32768 bytes"), "a value beyond");
    builder_env(&b, 1, 1, PW_SCRIPT_MAX);
    ok(limit(&b, true, ""), "a script at the limit");
    builder_env(&b, 1, 1, PW_SCRIPT_MAX + 1);
    ok(limit(&b, false, "\"run\" is longer than 262144 bytes"), "a script beyond");
    /* 15 * (4 + 32764) + the script */
    builder_env(&b, 15, PL_VALUE_MAX - 4, PL_BUILDER_BYTES_MAX - 15 * PL_VALUE_MAX);
    ok(limit(&b, true, ""), "a builder's texts at the limit");
    builder_env(&b, 15, PL_VALUE_MAX - 4, PL_BUILDER_BYTES_MAX - 15 * PL_VALUE_MAX + 1);
    ok(limit(&b, false, "longer than 524288 bytes together"), "a builder's texts beyond");
    builder_env(&b, 1000, 1, 1);
    ok(limit(&b, true, ""), "entries of env at the limit");
    builder_env(&b, 1000, 1, 1);
    (void)pw_buf_adds(&b, "    F: y\n");
    ok(limit(&b, false, "\"env\" has more than 1000 entries"), "entries of env beyond");
    for (size_t n = 100; n <= 101; n++) {
        (void)pw_buf_addf(&b, "projects: [{name: %0*d, repository: /r}]\n", (int)n, 1);
        ok(limit(&b, n == 100, "is no name"), "a name of %zu bytes", n);
    }
    for (size_t n = 90; n <= 91; n++) {
        (void)pw_buf_adds(&b, "projects: [{name: p, repository: /r}]\n");
        (void)pw_buf_addf(&b, "builders: [{name: b, project: p, steps: [{name: %0*d, run: x}]}]\n",
                          (int)n, 1);
        ok(limit(&b, n == 90, "is no name of a step"), "a step's name of %zu bytes", n);
    }
}

/* Long chains and 1,000 of each are quick: nothing is cubic. */
static void test_many_promotions(void)
{
    PW_AUTO(yaml_errors_clear) yaml_errors e = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(YAML_TEXT_MAX);
    add_builders(&b, 1, 1);
    (void)pw_buf_adds(&b, "promotions:\n");
    for (unsigned i = 0; i < CONFIG_PROMOTIONS_MAX; i++)
        (void)pw_buf_addf(&b, "- {name: e%u, kind: green, project: p, from: b%u, to: b%u}\n", i, i,
                          (i + 1) % CONFIG_PROMOTIONS_MAX);
    PW_AUTO(config_unrefp) config *c = config_load_text("f.yaml", pw_buf_str(&b), b.len, &e);
    ok(!c && e.n == 1 && e.v[0].line == 5 &&
           strncmp(e.v[0].text, "promotions go in a circle: b0 -> b1 -> b2 ->", 44) == 0,
       "a circle of a thousand is one error");
}

int main(void)
{
    test_full();
    test_defaults();
    test_includes();
    test_limits();
    test_many_promotions();
    return tap_done();
}
