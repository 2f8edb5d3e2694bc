/* pawl change, why: telling of a change by hand; why a request waits. */
#include <inttypes.h>
#include <string.h>

#include "client/commands.h"
#include "client/rest.h"
#include "client/show.h"

/* An option that must be there. */
static int needed(const args *a, const char *name, const char **ret, pw_err *err)
{
    *ret = args_get(a, name);
    if (!*ret || !**ret)
        return pw_fail(err, PW_EINVAL, "%s needs --%s; usage: pawl %s %s", a->command->name, name,
                       a->command->name, a->command->words);
    return 0;
}

static int run_change(client *c, const args *a, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf body = PW_BUF(65536);
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    static const char *const names[] = {"project", "branch", "revision"};
    (void)pw_buf_adds(&body, "{");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *v;
        if (needed(a, names[i], &v, err) < 0)
            return PW_EINVAL;
        rest_field(&body, names[i], v);
    }
    (void)pw_buf_adds(&body, "}");
    int rc = body.failed ? pw_fail(err, PW_ELIMIT, "the request is too large")
                         : rest_post(c, "/api/v1/changes", pw_buf_str(&body), &r, err);
    if (rc < 0)
        return pw_err_context(err, "telling of a change of \"%.100s\"", args_get(a, "branch"));
    if (c->json)
        return rest_raw(c, &r, err);
    const json_value *requests = json_get(r.value, "requests");
    size_t n = json_count(requests);
    if (!n) {
        client_say(c,
                   "told; no builds are asked for (known already, or no scheduler watches it)\n");
        return 0;
    }
    client_say(c, "requests");
    for (size_t i = 0; i < n; i++)
        client_say(c, " %" PRId64, json_int(json_at(requests, i), 0));
    client_say(c, "\n");
    return 0;
}

static int table(client *c, const json_value *items, pw_buf *b)
{
    static const char *const heads[] = {">ID",    "PROJECT", "BRANCH", "REVISION", "AT",
                                        "AUTHOR", "SUBJECT", "NOTE",   NULL};
    char when[40];
    pw_msec now = pw_wall(c->host);
    PW_AUTO(show_table_clear) show_table t;
    show_table_init(&t, heads);
    for (size_t i = 0; i < json_count(items); i++) {
        const json_value *x = json_at(items, i);
        bool forced = json_bool(json_get(x, "forced"), false);
        const char *note = json_str(json_get(x, "note"), forced ? "forced" : NULL);
        show_cellf(&t, SHOW_PLAIN, "%" PRId64, json_int(json_get(x, "id"), 0));
        show_cell(&t, SHOW_PLAIN, json_str(json_get(x, "project"), NULL));
        show_cell(&t, SHOW_PLAIN, json_str(json_get(x, "branch"), NULL));
        show_cellf(&t, SHOW_PLAIN, "%.10s", json_str(json_get(x, "revision"), ""));
        show_cell(&t, SHOW_DIM, show_when(json_get(x, "at"), c->tty, now, when));
        show_cell(&t, SHOW_PLAIN, json_str(json_get(x, "author"), NULL));
        show_cell(&t, SHOW_PLAIN, json_str(json_get(x, "subject"), NULL));
        show_cell(&t, SHOW_DIM, note);
    }
    return show_table_text(&t, c->colour, c->width, b);
}

static int run_changes(client *c, const args *a, pw_err *err)
{
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF((size_t)8 * 1024 * 1024);
    PW_AUTO(pw_buf_clearp) pw_buf path = PW_BUF(REST_PATH_MAX);
    (void)pw_buf_adds(&path, "/api/v1/changes");
    rest_query(&path, "project", args_get(a, "project"));
    rest_query(&path, "branch", args_get(a, "branch"));
    rest_query(&path, "limit", args_get(a, "limit"));
    if (path.failed)
        return pw_fail(err, PW_EINVAL, "changes: a value is too long");
    int rc = rest_get(c, pw_buf_str(&path), &r, err);
    if (rc < 0)
        return pw_err_context(err, "listing the changes");
    if (c->json)
        return rest_raw(c, &r, err);
    const json_value *items = json_get(r.value, "items");
    if (!json_count(items))
        (void)pw_buf_adds(&b, "Nothing has changed yet.\n");
    else if (table(c, items, &b) < 0)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    return client_put(c, &b, err);
}

static int run_why(client *c, const args *a, pw_err *err)
{
    uint64_t id;
    char path[80];
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(65536);
    int rc = args_id(a->word[0], "request", &id, err);
    if (rc < 0)
        return rc;
    (void)snprintf(path, sizeof(path), "/api/v1/requests/%" PRIu64 "/why", id);
    if ((rc = rest_get(c, path, &r, err)) < 0)
        return pw_err_context(err, "asking about request %" PRIu64, id);
    if (c->json)
        return rest_raw(c, &r, err);
    show_styled(&b, show_style_of(json_str(json_get(r.value, "state"), NULL)), c->colour,
                json_str(json_get(r.value, "state"), "?"));
    (void)pw_buf_adds(&b, ": ");
    show_clean(&b, json_str(json_get(r.value, "reason"), "?"), 0);
    (void)pw_buf_adds(&b, "\n");
    return client_put(c, &b, err);
}

static const arg_option change_options[] = {
    {"project", 'p', "P", "the project"},
    {"branch", 'b', "B", "the branch that moved"},
    {"revision", 'r', "R", "where it stands now: a whole revision"},
    {NULL, 0, NULL, NULL}};
static const arg_option changes_options[] = {
    {"project", 'p', "P", "only of this project"},
    {"branch", 'b', "B", "only of this branch, tag or proposal (pull/7)"},
    {"limit", 'n', "N", "how many (default 50, at most 1000)"},
    {NULL, 0, NULL, NULL}};
const command cmd_change[] = {
    {"changes", "[--project P] [--branch B] [--limit N]",
     "What was pushed, and why it is not built", changes_options, 0, 0, run_changes},
    {"change", "--project P --branch B --revision R", "Tell the master of a change by hand",
     change_options, 0, 0, run_change},
    {"why", "REQUEST", "Why a request waits", NULL, 1, 1, run_why},
    {NULL, NULL, NULL, NULL, 0, 0, NULL}};
