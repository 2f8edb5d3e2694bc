/* step.c - the steps of a builder: what all have, `run` and `checkout`. */
#include <stdlib.h>
#include <string.h>

#include "shared/base/fs.h"
#include "shared/pipeline/kinds.h"

static const char *const run_only[] = {"shell",        "dir",   "env",       "pty",    "timeout",
                                       "idle_timeout", "grace", "log_limit", "stderr", NULL};
static const char *const step_keys[] = {"name",
                                        "if",
                                        "locks",
                                        "run",
                                        "checkout",
                                        "set_property",
                                        "annotate",
                                        "http",
                                        "cache",
                                        "fetch",
                                        "trigger",
                                        "always_run",
                                        "halt_on_failure",
                                        "flunk_on_failure",
                                        "warn_on_failure",
                                        "shell",
                                        "dir",
                                        "env",
                                        "pty",
                                        "timeout",
                                        "idle_timeout",
                                        "grace",
                                        "log_limit",
                                        "stderr",
                                        "artifacts",
                                        "reports",
                                        NULL};

#define LOG_LIMIT_MIN ((uint64_t)4096)
#define LOG_LIMIT_MAX ((uint64_t)1 << 40)

static const char *const shells[] = {"sh", "bash", NULL};
static const char *const modes[] = {"fresh", "clean", "incremental", NULL};
static const char *const stderrs[] = {"together", "separate", NULL};

/* Relative, without "..": the step must stay in the work directory. */
bool pl_dir_ok(const char *s)
{
    if (!*s || *s == '/' || strlen(s) > 1000 || pl_has_control(s))
        return false;
    for (const char *p = s; p; p = strchr(p, '/')) {
        p += *p == '/';
        size_t n = strcspn(p, "/");
        if (n == 2 && p[0] == '.' && p[1] == '.')
            return false;
    }
    return true;
}

static bool blank(const char *s)
{
    return s[strspn(s, " \t\r\n")] == '\0';
}

static void read_argv(pl_reader *r, const yaml_node *map, const yaml_node *v, pl_step *s)
{
    if (!yaml_get_strs(map, "run", PL_ARGV_MAX, &s->argv.v, &s->argv.n, r->errors))
        return;
    if (!s->argv.n || !s->argv.v[0][0])
        yaml_fail(r->errors, v, "\"run\" as a list must begin with a program");
    if (yaml_node_value(map, "shell"))
        yaml_fail(r->errors, yaml_node_key(map, "shell"),
                  "\"shell\" has no use where \"run\" is a list: no shell reads it");
}

/* What all that runs something has beside its own keys. */
static void place(pl_reader *r, const yaml_node *map, pl_strs *secrets, pl_step *s)
{
    const yaml_node *dir = yaml_node_value(map, "dir");
    if (yaml_get_str(map, "dir", false, SIZE_MAX, &s->dir, r->errors) && s->dir &&
        !pl_dir_ok(s->dir))
        yaml_fail(r->errors, dir,
                  "\"dir\" must be a path below the work directory, without \"..\"");
    pl_get_pairs(r, map, "env", PL_ENV, secrets, &s->env, &s->n_env);
    (void)pl_get_time(r, map, "timeout", PL_SECOND / 1000, &s->timeout);
    (void)pl_get_time(r, map, "idle_timeout", 0, &s->idle_timeout);
    (void)pl_get_time(r, map, "grace", PL_SECOND / 1000, &s->grace);
    const yaml_node *limit = yaml_node_value(map, "log_limit");
    if (yaml_get_size(map, "log_limit", &s->log_limit, r->errors) && limit &&
        (s->log_limit < LOG_LIMIT_MIN || s->log_limit > LOG_LIMIT_MAX))
        yaml_fail(r->errors, limit, "\"log_limit\" must be from 4K to 1024G");
}

void pl_read_place(pl_reader *r, const yaml_node *map, pl_strs *secrets, pl_step *s)
{
    static const char *const run_alone[] = {"shell", "pty", "stderr", NULL};
    for (size_t i = 0; run_alone[i]; i++) {
        const yaml_node *key = yaml_node_key(map, run_alone[i]);
        if (key)
            yaml_fail(r->errors, key, "\"%s\" is for steps with \"run\"", run_alone[i]);
    }
    place(r, map, secrets, s);
}

static void read_run(pl_reader *r, const yaml_node *map, pl_strs *secrets, pl_step *s)
{
    const yaml_node *v = yaml_node_get(map, "run");
    const char *text = yaml_node_text(v);
    int shell = 0, err = 0;
    if (yaml_node_type(v) == YAML_LIST)
        read_argv(r, map, v, s);
    else if (!text || blank(text))
        yaml_fail(r->errors, v,
                  "\"run\" must be a script, or a list of a program and its arguments");
    else if (strlen(text) > PW_SCRIPT_MAX)
        yaml_fail(r->errors, v,
                  "\"run\" is longer than %d bytes; put the script into the repository",
                  PW_SCRIPT_MAX);
    else
        s->script = pl_copy(r, text);
    (void)yaml_get_enum(map, "shell", shells, &shell, r->errors);
    s->shell = pl_copy(r, shells[shell]);
    (void)yaml_get_bool(map, "pty", &s->pty, r->errors);
    (void)yaml_get_enum(map, "stderr", stderrs, &err, r->errors);
    s->stderr_separate = err == 1;
    place(r, map, secrets, s);
    pl_read_leavings(r, map, s);
}

void pl_refuse_run_keys(pl_reader *r, const yaml_node *map)
{
    for (size_t i = 0; run_only[i]; i++) {
        const yaml_node *key = yaml_node_key(map, run_only[i]);
        if (key)
            yaml_fail(r->errors, key, "\"%s\" is for steps with \"run\"", run_only[i]);
    }
}

static void read_checkout(pl_reader *r, const yaml_node *map, pl_strs *secrets, pl_step *s)
{
    (void)secrets;
    static const char *const keys[] = {"mode", "submodules", "depth", "lfs", "sparse", NULL};
    const yaml_node *v = yaml_node_value(map, "checkout");
    int mode = 1;
    int64_t depth = 0;
    pl_refuse_run_keys(r, map);
    if (v && (yaml_check_keys(v, "\"checkout\"", keys, NULL, r->errors) ||
              yaml_node_type(v) == YAML_MAP)) {
        (void)yaml_get_enum(v, "mode", modes, &mode, r->errors);
        (void)yaml_get_bool(v, "submodules", &s->submodules, r->errors);
        (void)yaml_get_int(v, "depth", 0, PL_DEPTH_MAX, &depth, r->errors);
        (void)yaml_get_bool(v, "lfs", &s->lfs, r->errors);
        pl_read_sparse(r, v, s);
    }
    s->mode = pl_copy(r, modes[mode]);
    s->depth = (uint64_t)depth;
}

static void read_flags(pl_reader *r, const yaml_node *map, pl_step *s)
{
    (void)yaml_get_bool(map, "halt_on_failure", &s->flags.halt_on_failure, r->errors);
    (void)yaml_get_bool(map, "flunk_on_failure", &s->flags.flunk_on_failure, r->errors);
    (void)yaml_get_bool(map, "warn_on_failure", &s->flags.warn_on_failure, r->errors);
    (void)yaml_get_bool(map, "always_run", &s->flags.always_run, r->errors);
}

/* The kinds: the key that a step of it has, and what reads the rest. */
static const struct step_kind {
    const char *name;
    void (*read)(pl_reader *r, const yaml_node *map, pl_strs *secrets, pl_step *s);
    bool also_of_run; /* the same key stands beside `run` for what is taken after it */
} kinds[] = {
    {"run", read_run, false}, /* the first */
    {"checkout", read_checkout, false},
    {"set_property", pl_read_set_property, false},
    {"annotate", pl_read_annotate, false},
    {"http", pl_read_http, false},
    {"cache", pl_read_cache, false},
    {"fetch", pl_read_fetch, false},
    {"trigger", pl_read_trigger, false},
    {"artifacts", pl_read_artifacts_step, true},
    {"reports", pl_read_reports_step, true},
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* In the order of the table. */
static void say_kinds(pw_buf *b, const char *last)
{
    for (size_t i = 0; i < KINDS; i++)
        (void)pw_buf_addf(b, "%s\"%s\"", i == 0 ? "" : i + 1 == KINDS ? last : ", ", kinds[i].name);
}

/* The kind, NULL unless there is exactly one. A key that is wrong may have been meant for it: then
 * that is enough said. */
static const struct step_kind *read_kind(pl_reader *r, const yaml_node *map, bool keys_ok)
{
    PW_AUTO(pw_buf_clearp) pw_buf all = PW_BUF(400);
    const struct step_kind *kind = NULL;
    const bool run = yaml_node_key(map, kinds[0].name);
    for (size_t i = 0; i < KINDS; i++) {
        const yaml_node *key = yaml_node_key(map, kinds[i].name);
        if (run && kinds[i].also_of_run)
            continue;
        if (key && kind) {
            say_kinds(&all, " and ");
            yaml_fail(r->errors, yaml_node_key(map, kind->name),
                      "a step has one of %s, not several", pw_buf_str(&all));
            return NULL;
        }
        if (key)
            kind = &kinds[i];
    }
    if (!kind && keys_ok) {
        say_kinds(&all, " or ");
        yaml_fail(r->errors, map, "a step needs %s", pw_buf_str(&all));
    }
    return kind;
}

/* A step's name is the name of its log: a file name, and not that of another step's second log. */
static bool name_ok(const char *s)
{
    size_t n = strlen(s);
    return pw_name_ok(s) && n <= PL_STEP_NAME_MAX && (n < 7 || strcmp(s + n - 7, ".stderr") != 0);
}

static void read_step(pl_reader *r, const yaml_node *map, pl_strs *secrets, pl_step *s)
{
    s->idle_timeout = 20 * 60 * PL_SECOND;
    s->grace = 10 * PL_SECOND;
    s->log_limit = (uint64_t)512 << 20;
    s->flags = pw_flags_default;
    bool keys_ok = yaml_check_keys(map, "a step", step_keys, NULL, r->errors);
    if (yaml_node_type(map) != YAML_MAP)
        return;
    const struct step_kind *kind = read_kind(r, map, keys_ok);
    if (yaml_get_str(map, "name", false, 1000, &s->name, r->errors) && s->name && !name_ok(s->name))
        yaml_fail(r->errors, yaml_node_get(map, "name"),
                  "\"%.100s\" is no name of a step: letters, digits and ._+=,@- only, at most %d, "
                  "no dot in front, not .stderr behind",
                  s->name, PL_STEP_NAME_MAX);
    read_flags(r, map, s);
    pl_read_cond(r, map, s);
    if (!kind)
        return;
    s->kind = pl_copy(r, kind->name);
    if (!s->name)
        s->name = pl_copy(r, kind->name);
    kind->read(r, map, secrets, s);
}

static bool name_taken(const pl_builder *b, size_t but, const char *name)
{
    for (size_t i = 0; i < b->n_steps; i++)
        if (i != but && b->steps[i].name && strcmp(b->steps[i].name, name) == 0)
            return true;
    return false;
}

/* Repeated names get -2, -3, ...; the first keeps its own. From the end, so that those before still
 * have the names as written and counting them gives the number; a number that is taken by a written
 * name is passed over. */
static void number_names(pl_reader *r, pl_builder *b)
{
    for (size_t i = 0; i < b->n_steps; i++)
        if (!b->steps[i].name) /* its mistake was told before: a node is told of once */
            return;
    for (size_t i = b->n_steps; i-- > 1;) {
        pl_step *s = &b->steps[i];
        size_t before = 0;
        for (size_t k = 0; k < i; k++)
            before += strcmp(b->steps[k].name, s->name) == 0;
        while (before) {
            char *name = pw_strf("%s-%zu", s->name, ++before);
            if (!name) {
                r->errors->failed = true;
                return;
            }
            if (!name_taken(b, i, name)) {
                free(s->name);
                s->name = name;
                break;
            }
            free(name);
        }
    }
}

void pl_read_steps(pl_reader *r, pl_builder *b, const yaml_node *list)
{
    size_t n = yaml_node_count(list), errors = r->errors->told;
    b->steps = pl_alloc(r, n, sizeof(*b->steps));
    if (!b->steps)
        return;
    b->n_steps = n;
    for (size_t i = 0; i < n; i++) {
        read_step(r, yaml_node_item(list, i), &b->secrets, &b->steps[i]);
        if (yaml_node_type(yaml_node_item(list, i)) == YAML_MAP)
            pl_read_locks(r, yaml_node_item(list, i), b, i + 1);
    }
    if (errors == r->errors->told && !r->errors->failed)
        pl_add_cache_saves(r, b);
    if (errors == r->errors->told && !r->errors->failed)
        number_names(r, b);
}
