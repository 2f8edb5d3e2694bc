/* pawl token: who may call the master. */
#include "client/cmd_token.h"

#include <inttypes.h>
#include <string.h>

#include "client/commands.h"
#include "client/rest.h"
#include "client/show.h"
#include "shared/base/num.h"

/* A duration from now, or a time. */
static int expires(const char *s, pw_msec now, pw_buf *b, pw_err *err)
{
    char text[PW_TIME_MAX];
    pw_usec left;
    pw_msec at;
    if (pw_parse_duration(s, &left, NULL) == 0 && left > 0 && left / 1000 < INT64_MAX - now)
        at = now + left / 1000;
    else if (pw_time_parse(s, &at, NULL) < 0)
        return pw_fail(err, PW_EINVAL,
                       "--expires: \"%.60s\" is neither a duration like 90d nor a time like "
                       "2026-11-20T12:43:01Z",
                       s);
    rest_field(b, "expires", pw_time_text(at, text));
    return 0;
}

int token_body(const args *a, pw_msec now, pw_buf *b, pw_err *err)
{
    const char *scope, *until = args_get(a, "expires");
    size_t pos = 0, n = 0;
    (void)pw_buf_adds(b, "{");
    rest_field(b, "name", a->word[1]);
    while ((scope = args_each(a, "scope", &pos))) {
        (void)pw_buf_adds(b, n++ ? "," : ",\"scopes\":[");
        (void)pw_buf_json(b, scope);
    }
    if (n)
        (void)pw_buf_adds(b, "]");
    rest_field(b, "person", args_get(a, "person"));
    rest_field(b, "reason", args_get(a, "reason"));
    int rc = until ? expires(until, now, b, err) : 0;
    (void)pw_buf_adds(b, "}");
    if (rc == 0 && b->failed)
        rc = pw_fail(err, PW_EINVAL, "token create: the values are too long");
    return rc;
}

static int create(client *c, const args *a, pw_err *err)
{
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf body = PW_BUF(65536);
    int rc = token_body(a, pw_wall(c->host), &body, err);
    if (rc < 0)
        return rc;
    if ((rc = rest_post(c, "/api/v1/tokens", pw_buf_str(&body), &r, err)) < 0)
        return pw_err_context(err, "making token \"%.100s\"", a->word[1]);
    if (c->json)
        return rest_raw(c, &r, err);
    /* the text alone on stdout, so that it can go into a file */
    client_say(c, "%s\n", json_str(json_get(r.value, "token"), "?"));
    if (c->tty)
        (void)fprintf(stderr, "Token %" PRId64 ". This is the only time that it is shown.\n",
                      json_int(json_get(r.value, "id"), 0));
    return 0;
}

static void scopes_text(const json_value *scopes, pw_buf *b)
{
    for (size_t i = 0; i < json_count(scopes); i++)
        (void)pw_buf_addf(b, "%s%s", i ? "," : "", json_str(json_at(scopes, i), ""));
}

static void put_rows(client *c, const json_value *items, show_table *t)
{
    char when[40];
    pw_msec now = pw_wall(c->host);
    for (size_t i = 0; i < json_count(items); i++) {
        const json_value *v = json_at(items, i);
        const char *state = json_str(json_get(v, "state"), "?");
        PW_AUTO(pw_buf_clearp) pw_buf scopes = PW_BUF(1000);
        scopes_text(json_get(v, "scopes"), &scopes);
        show_cellf(t, SHOW_PLAIN, "%" PRId64, json_int(json_get(v, "id"), 0));
        show_cell(t, SHOW_PLAIN, json_str(json_get(v, "name"), NULL));
        show_cell(t, strcmp(state, "live") == 0 ? SHOW_GOOD : SHOW_DIM, state);
        show_cell(t, SHOW_PLAIN, pw_buf_str(&scopes));
        show_cell(t, SHOW_PLAIN, json_str(json_get(v, "person"), NULL));
        show_cell(t, SHOW_DIM, json_str(json_get(v, "creator"), NULL));
        show_cell(t, SHOW_DIM, show_when(json_get(v, "created"), c->tty, now, when));
        /* ahead, so as it is: "when" tells what lies behind */
        show_cell(t, SHOW_DIM, json_str(json_get(v, "expires"), NULL));
        show_cell(t, SHOW_DIM, show_when(json_get(v, "used"), c->tty, now, when));
    }
}

static int list(client *c, pw_err *err)
{
    static const char *const heads[] = {">ID",     "NAME",    "STATE",   "SCOPES", "PERSON",
                                        "CREATOR", "CREATED", "EXPIRES", "USED",   NULL};
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF((size_t)8 * 1024 * 1024);
    PW_AUTO(show_table_clear) show_table t;
    int rc = rest_get(c, "/api/v1/tokens?limit=1000", &r, err);
    if (rc < 0)
        return pw_err_context(err, "listing the tokens");
    if (c->json)
        return rest_raw(c, &r, err);
    show_table_init(&t, heads);
    put_rows(c, json_get(r.value, "items"), &t);
    if (show_table_text(&t, c->colour, c->width, &b) < 0)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    return client_put(c, &b, err);
}

static int revoke(client *c, const args *a, pw_err *err)
{
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf body = PW_BUF(65536);
    PW_AUTO(pw_buf_clearp) pw_buf path = PW_BUF(REST_PATH_MAX);
    uint64_t id;
    int rc = args_id(a->word[1], "a token", &id, err);
    if (rc < 0)
        return rc;
    (void)pw_buf_addf(&path, "/api/v1/tokens/%" PRIu64, id);
    (void)pw_buf_adds(&body, "{");
    rest_field(&body, "reason", args_get(a, "reason"));
    (void)pw_buf_adds(&body, "}");
    if (body.failed)
        return pw_fail(err, PW_EINVAL, "token revoke: the reason is too long");
    if ((rc = rest_call(c, "DELETE", pw_buf_str(&path), pw_buf_str(&body), &r, err)) < 0)
        return pw_err_context(err, "revoking token %" PRIu64, id);
    if (c->json)
        return rest_raw(c, &r, err);
    client_say(c, "token %" PRIu64 ": revoked\n", id);
    return 0;
}

static int run_token(client *c, const args *a, pw_err *err)
{
    static const char *const verbs[] = {"create", "list", "revoke", NULL};
    size_t k = 0;
    while (verbs[k] && strcmp(verbs[k], a->word[0]) != 0)
        k++;
    if (!verbs[k])
        return pw_fail(err, PW_EINVAL, "token: \"%.60s\" is none of create, list, revoke",
                       a->word[0]);
    if (k != 0 && (args_get(a, "scope") || args_get(a, "person") || args_get(a, "expires")))
        return pw_fail(err, PW_EINVAL, "token: --scope, --person and --expires go with create");
    if (k == 1)
        return a->n_words == 1 ? list(c, err) : pw_fail(err, PW_EINVAL, "token list takes no name");
    if (a->n_words != 2)
        return pw_fail(err, PW_EINVAL,
                       k == 0 ? "token create needs a name" : "token revoke needs a token's ID");
    return k == 0 ? create(c, a, err) : revoke(c, a, err);
}

static const arg_option options[] = {
    {"scope", 's', "SCOPE", "read, build, land, operate or admin; several add up (default: read)"},
    {"person", 'p', "NAME", "whom it acts for: it is never more than this person"},
    {"expires", 'e', "WHEN", "90d from now, or a time (default: never)"},
    {"reason", 'r', "TEXT", "why; kept in the audit log"},
    {NULL, 0, NULL, NULL}};
const command cmd_token[] = {{"token", "create NAME | list | revoke ID",
                              "Make, list and revoke tokens of the API", options, 1, 2, run_token},
                             {NULL, NULL, NULL, NULL, 0, 0, NULL}};
