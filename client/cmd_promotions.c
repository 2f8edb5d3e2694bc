/* pawl promotions, promote: branches that follow green. */
#include <inttypes.h>
#include <string.h>

#include "client/commands.h"
#include "client/rest.h"
#include "client/show.h"

static int promotions_text(client *c, const json_value *items, pw_buf *b)
{
    static const char *const heads[] = {">ID",   "EDGE", "FROM",   "TO", "REVISION",
                                        "STATE", "AT",   "REASON", NULL};
    char when[40], rev[9];
    pw_msec now = pw_wall(c->host);
    PW_AUTO(show_table_clear) show_table t;
    show_table_init(&t, heads);
    for (size_t i = 0; i < json_count(items); i++) {
        const json_value *p = json_at(items, i);
        const char *state = json_str(json_get(p, "state"), "?");
        if (json_is_int(json_get(p, "id")))
            show_cellf(&t, SHOW_PLAIN, "%" PRId64, json_int(json_get(p, "id"), 0));
        else
            show_cell(&t, SHOW_PLAIN, NULL);
        show_cell(&t, SHOW_PLAIN, json_str(json_get(p, "edge"), NULL));
        show_cell(&t, SHOW_PLAIN, json_str(json_get(p, "from"), NULL));
        show_cell(&t, SHOW_PLAIN, json_str(json_get(p, "to"), NULL));
        show_cell(&t, SHOW_PLAIN, show_rev(json_get(p, "revision"), rev));
        show_cell(&t, strcmp(state, "done") == 0 ? SHOW_GOOD : show_style_of(state), state);
        show_cell(&t, SHOW_DIM, show_when(json_get(p, "at"), c->tty, now, when));
        show_cell(&t, SHOW_PLAIN, json_str(json_get(p, "reason"), NULL));
    }
    return show_table_text(&t, c->colour, c->width, b);
}

static int run_promotions(client *c, const args *a, pw_err *err)
{
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF((size_t)8 * 1024 * 1024);
    PW_AUTO(pw_buf_clearp) pw_buf path = PW_BUF(REST_PATH_MAX);
    (void)pw_buf_adds(&path, "/api/v1/promotions");
    rest_query(&path, "edge", args_get(a, "edge"));
    rest_query(&path, "limit", args_get(a, "limit"));
    if (path.failed)
        return pw_fail(err, PW_EINVAL, "promotions: a value is too long");
    int rc = rest_get(c, pw_buf_str(&path), &r, err);
    if (rc < 0)
        return pw_err_context(err, "listing the promotions");
    if (c->json)
        return rest_raw(c, &r, err);
    const json_value *items = json_get(r.value, "items");
    if (!json_count(items))
        (void)pw_buf_adds(&b, "Nothing has been promoted yet.\n");
    else if (promotions_text(c, items, &b) < 0)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    return client_put(c, &b, err);
}

static int run_promote(client *c, const args *a, pw_err *err)
{
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF((size_t)1024 * 1024);
    PW_AUTO(pw_buf_clearp) pw_buf path = PW_BUF(REST_PATH_MAX);
    bool dry = args_get(a, "dry-run") != NULL;
    (void)pw_buf_adds(&path, "/api/v1/promotions");
    rest_part(&path, a->word[0]);
    (void)pw_buf_adds(&path, "/run");
    if (path.failed)
        return pw_fail(err, PW_EINVAL, "promote: the name is too long");
    int rc = rest_post(c, pw_buf_str(&path), dry ? "{\"dry_run\":true}" : "{}", &r, err);
    if (rc < 0)
        return pw_err_context(err, "promoting \"%.100s\"", a->word[0]);
    if (c->json)
        return rest_raw(c, &r, err);
    const char *state = json_str(json_get(r.value, "state"), "?");
    show_clean(&b, a->word[0], 0);
    (void)pw_buf_adds(&b, dry ? ": " : ": it is looked at anew; until now: ");
    show_styled(&b, strcmp(state, "done") == 0 ? SHOW_GOOD : show_style_of(state), c->colour,
                state);
    (void)pw_buf_adds(&b, ": ");
    show_clean(&b, json_str(json_get(r.value, "reason"), "no reason given"), 0);
    (void)pw_buf_adds(&b, "\n");
    return client_put(c, &b, err);
}

static const arg_option list_options[] = {
    {"edge", 'e', "E", "only this edge"},
    {"limit", 'n', "N", "how many (default 50, at most 1000)"},
    {NULL, 0, NULL, NULL}};
static const arg_option run_options[] = {
    {"dry-run", 'd', NULL, "only say what would move, or why not"}, {NULL, 0, NULL, NULL}};
const command cmd_promotions[] = {{"promotions", "[--edge E] [--limit N]", "What was promoted",
                                   list_options, 0, 0, run_promotions},
                                  {"promote", "EDGE [--dry-run]",
                                   "Look at a promotion now; what moves, or why it does not",
                                   run_options, 1, 1, run_promote},
                                  {NULL, NULL, NULL, NULL, 0, 0, NULL}};
