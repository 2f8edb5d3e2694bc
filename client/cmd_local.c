/* pawl check: the pipeline file of a work tree; pawl local: its builds, here and now. */
#include <stdlib.h>
#include <string.h>

#include "client/commands.h"
#include "client/local.h"
#include "client/show.h"

enum { EXIT_WRONG = 2, REASON_BYTES = 600 };
#define DEFAULT_FILE ".pawl.yaml"

static int tell_errors(const yaml_errors *errors, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF((size_t)1024 * 1024);
    if (errors->failed || yaml_errors_text(errors, &b) < 0)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    (void)fputs(pw_buf_str(&b), stderr);
    return EXIT_WRONG;
}

/* *ret_file NULL: told, and the value is the exit status. */
static int load(const local_tree *t, const char *path, pl_file **ret_file, pw_err *err)
{
    PW_AUTO(yaml_errors_clear) yaml_errors errors = {0};
    *ret_file = local_load(t, path, &errors, err);
    if (*ret_file)
        return 0;
    return yaml_errors_none(&errors) ? err->code : tell_errors(&errors, err);
}

static int run_check(client *c, const args *a, pw_err *err)
{
    PW_AUTO(local_tree_clear) local_tree t = {0};
    PW_AUTO(pl_unrefp) pl_file *f = NULL;
    size_t builds = 0;
    const char *path = a->n_words ? a->word[0] : DEFAULT_FILE;
    int rc = local_tree_find(&t, err);
    if (rc == 0)
        rc = load(&t, path, &f, err);
    for (size_t i = 0; rc == 0 && i < f->n_builders; i++) {
        pl_instances in = {0};
        rc = pl_expand(&f->builders[i], &in, err);
        builds += in.n;
        pl_instances_clear(&in);
    }
    if (rc == 0)
        client_say(c, "%s: fine (%zu builders, %zu builds)\n", path, f->n_builders, builds);
    return rc;
}

/* ---- local */
typedef struct verdict {
    bool wanted, done;
    pw_result result; /* of all its builds */
} verdict;
typedef struct local {
    client *c;
    const pl_file *f;
    local_place *place;
    verdict *v;
    pw_list given;
    uint64_t builds;
    show_table table;
} local;

static int given_props(const args *a, pw_list *ret, pw_err *err)
{
    size_t n = 0;
    for (size_t pos = 0; args_each(a, "prop", &pos);)
        n++;
    msg_pair *v = calloc(n + 1, sizeof(*v));
    if (!v)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    *ret = (pw_list){v, 0};
    const char *p;
    for (size_t pos = 0; (p = args_each(a, "prop", &pos));) {
        const char *eq = strchr(p, '=');
        if (!eq || eq == p)
            return pw_fail(err, PW_EINVAL, "--prop: \"%.60s\" is not K=V", p);
        bool failed = false;
        v[ret->n++] = (msg_pair){strndup(p, (size_t)(eq - p)), pw_strdup(eq + 1, &failed)};
        if (failed || !v[ret->n - 1].name)
            return pw_fail(err, PW_ENOMEM, "out of memory");
    }
    return 0;
}

static void free_props(pw_list *l)
{
    msg_pair *v = l->v;
    for (size_t i = 0; i < l->n; i++) {
        free(v[i].name);
        free(v[i].value);
    }
    free(v);
}

static int choose(local *l, const args *a, pw_err *err)
{
    PW_AUTO(pw_freep) bool *marked = calloc(l->f->n_builders + 1, sizeof(*marked));
    if (!marked)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    for (size_t k = 0; k < a->n_words; k++) {
        size_t i = 0;
        while (i < l->f->n_builders && strcmp(l->f->builders[i].name, a->word[k]) != 0)
            i++;
        if (i == l->f->n_builders)
            return pw_fail(err, PW_EINVAL, "the file has no builder \"%.60s\"", a->word[k]);
        marked[i] = true;
    }
    for (size_t i = 0; !a->n_words && i < l->f->n_builders; i++)
        marked[i] = !l->f->builders[i].manual;
    pl_close_needs(l->f->builders, l->f->n_builders, marked);
    for (size_t i = 0; i < l->f->n_builders; i++)
        l->v[i].wanted = marked[i];
    return 0;
}

/* Whether all that it needs is over; *ret_bad: one that is not green, or SIZE_MAX. */
static bool ready(const local *l, const pl_builder *b, size_t *ret_bad)
{
    *ret_bad = SIZE_MAX;
    for (size_t i = 0; i < b->needs.n; i++) {
        const verdict *v = &l->v[b->need[i]];
        if (!v->done)
            return false;
        if (v->result != PW_SUCCESS && v->result != PW_WARNINGS)
            *ret_bad = b->need[i];
    }
    return true;
}

static void row(local *l, const char *name, pw_result result, pw_usec took, const char *reason)
{
    char text[32] = "";
    if (took >= 0)
        (void)show_span(took / 1000, text);
    show_cell(&l->table, SHOW_PLAIN, name);
    show_cell(&l->table, show_style_of(pw_result_name(result)), pw_result_name(result));
    show_cell(&l->table, SHOW_PLAIN, text);
    show_cell(&l->table, SHOW_PLAIN, reason[0] ? reason : NULL);
}

static int build_one(local *l, const pl_builder *b, const pl_instance *i, pw_result *ret,
                     pw_err *err)
{
    char reason[REASON_BYTES] = "";
    client_say(l->c, "%s== %s\n", l->builds ? "\n" : "", i->name);
    pw_usec began = pw_now(l->c->host);
    int rc = local_build(l->c, l->place, b, i, &l->given, ++l->builds, ret, reason, err);
    if (rc < 0)
        return rc;
    row(l, i->name, *ret, pw_now(l->c->host) - began, reason);
    return 0;
}

static int build_all_of(local *l, size_t at, pw_err *err)
{
    const pl_builder *b = &l->f->builders[at];
    pl_instances in = {0};
    pw_result worst = PW_SUCCESS;
    int rc = 0;
    if (b->secrets.n)
        rc =
            pw_fail(err, PW_EINVAL, "builder \"%s\" uses the secret \"%s\": a local build has none",
                    b->name, b->secrets.v[0]);
    if (rc == 0)
        rc = pl_expand(b, &in, err);
    for (size_t i = 0; rc == 0 && i < in.n && !local_stopped(); i++) {
        pw_result r = PW_EXCEPTION;
        if ((rc = build_one(l, b, &in.v[i], &r, err)) == 0)
            worst = pw_result_worst(worst, r);
    }
    pl_instances_clear(&in);
    l->v[at].done = true;
    l->v[at].result = worst;
    return rc;
}

/* Whose files or properties its steps take; NULL: nobody's. */
static const char *takes(const pl_builder *b)
{
    for (size_t k = 0; k < b->needs.n; k++)
        if (pl_uses_need(b, k))
            return b->needs.v[k];
    return NULL;
}

static int build_all(local *l, pw_err *err)
{
    char why[300];
    int rc = 0;
    for (bool more = true; more && rc == 0 && !local_stopped();) {
        more = false;
        for (size_t i = 0; i < l->f->n_builders && rc == 0 && !local_stopped(); i++) {
            const pl_builder *b = &l->f->builders[i];
            size_t bad;
            if (!l->v[i].wanted || l->v[i].done || !ready(l, b, &bad))
                continue;
            more = true;
            if (takes(b)) {
                l->v[i] = (verdict){true, true, PW_SKIPPED};
                (void)snprintf(why, sizeof(why),
                               "it takes files or properties of %s: a local build hands none on",
                               takes(b));
                row(l, b->name, PW_SKIPPED, -1, why);
                continue;
            }
            if (bad == SIZE_MAX || b->always_run) {
                rc = build_all_of(l, i, err);
                continue;
            }
            l->v[i] = (verdict){true, true, PW_SKIPPED};
            (void)snprintf(why, sizeof(why), "it needs %s, which is not green",
                           l->f->builders[bad].name);
            row(l, b->name, PW_SKIPPED, -1, why);
        }
    }
    return rc;
}

static int finish(local *l, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF((size_t)1024 * 1024);
    int status = 0;
    (void)pw_buf_adds(&b, "\n");
    if (show_table_text(&l->table, l->c->colour, l->c->width, &b) < 0)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    for (size_t i = 0; i < l->f->n_builders; i++)
        if (l->v[i].wanted && l->f->builders[i].required &&
            (!l->v[i].done || (l->v[i].result != PW_SUCCESS && l->v[i].result != PW_WARNINGS)))
            status = 1;
    int rc = client_put(l->c, &b, err);
    return rc < 0 ? rc : status;
}

static int run_local(client *c, const args *a, pw_err *err)
{
    static const char *const heads[] = {"BUILD", "RESULT", ">TOOK", "REASON", NULL};
    const char *path = args_get(a, "file") ? args_get(a, "file") : DEFAULT_FILE;
    PW_AUTO(local_tree_clear) local_tree t = {0};
    PW_AUTO(pl_unrefp) pl_file *f = NULL;
    local_place place = {.lock = -1};
    local l = {.c = c, .place = &place};
    int rc = local_tree_find(&t, err);
    if (rc == 0 && (rc = load(&t, path, &f, err)) != 0)
        return rc;
    if (rc < 0)
        return rc;
    l.f = f;
    l.v = calloc(f->n_builders + 1, sizeof(*l.v));
    show_table_init(&l.table, heads);
    rc = l.v ? given_props(a, &l.given, err) : pw_fail(err, PW_ENOMEM, "out of memory");
    if (rc == 0)
        rc = choose(&l, a, err);
    if (rc == 0)
        rc = local_place_open(&place, &t, args_get(a, "committed") != NULL, err);
    if (rc == 0) {
        local_catch();
        rc = build_all(&l, err);
        if (rc == 0)
            rc = finish(&l, err);
        local_place_close(&place);
    }
    show_table_clear(&l.table);
    free_props(&l.given);
    free(l.v);
    return rc;
}

static const arg_option local_options[] = {
    {"file", 'f', "FILE", "the pipeline file, from the top of the work tree (.pawl.yaml)"},
    {"prop", 'p', "K=V", "a property; may be given several times"},
    {"committed", 0, NULL, "build HEAD, not the files as they are"},
    {NULL, 0, NULL, NULL}};

const command cmd_local[] = {
    {"check", "[FILE]", "Every error of the pipeline file in my work tree", NULL, 0, 1, run_check},
    {"local", "[BUILDER..]", "Build my work tree here, without a master", local_options, 0,
     ARGS_MAX, run_local},
    {NULL, NULL, NULL, NULL, 0, 0, NULL}};
