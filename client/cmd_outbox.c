/* pawl outbox: messages that leave the master. */
#include <inttypes.h>
#include <string.h>

#include "client/commands.h"
#include "client/rest.h"
#include "client/show.h"

static int table(client *c, const json_value *items, pw_buf *b)
{
    static const char *const heads[] = {">ID",     "TARGET", "STATE",  ">TRIES", "KEY",
                                        "CREATED", "NEXT",   "REASON", NULL};
    char when[40], next[40];
    pw_msec now = pw_wall(c->host);
    PW_AUTO(show_table_clear) show_table t;
    show_table_init(&t, heads);
    for (size_t i = 0; i < json_count(items); i++) {
        const json_value *m = json_at(items, i);
        const char *state = json_str(json_get(m, "state"), "?");
        show_cellf(&t, SHOW_PLAIN, "%" PRId64, json_int(json_get(m, "id"), 0));
        show_cell(&t, SHOW_PLAIN, json_str(json_get(m, "target"), NULL));
        show_cell(&t,
                  strcmp(state, "sent") == 0       ? SHOW_GOOD
                  : strcmp(state, "given_up") == 0 ? SHOW_BAD
                                                   : SHOW_BUSY,
                  state);
        show_cellf(&t, SHOW_PLAIN, "%" PRId64, json_int(json_get(m, "tries"), 0));
        show_cell(&t, SHOW_PLAIN, json_str(json_get(m, "key"), NULL));
        show_cell(&t, SHOW_DIM, show_when(json_get(m, "created"), c->tty, now, when));
        show_cell(&t, SHOW_DIM, show_when(json_get(m, "due"), c->tty, now, next));
        show_cell(&t, SHOW_PLAIN, json_str(json_get(m, "reason"), NULL));
    }
    return show_table_text(&t, c->colour, c->width, b);
}

static int list(client *c, const args *a, pw_err *err)
{
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF((size_t)8 * 1024 * 1024);
    PW_AUTO(pw_buf_clearp) pw_buf path = PW_BUF(REST_PATH_MAX);
    (void)pw_buf_adds(&path, "/api/v1/outbox");
    rest_query(&path, "state", args_get(a, "only"));
    rest_query(&path, "target", args_get(a, "target"));
    rest_query(&path, "limit", args_get(a, "limit"));
    if (path.failed)
        return pw_fail(err, PW_EINVAL, "outbox: a value is too long");
    int rc = rest_get(c, pw_buf_str(&path), &r, err);
    if (rc < 0)
        return pw_err_context(err, "listing the outgoing messages");
    if (c->json)
        return rest_raw(c, &r, err);
    const json_value *items = json_get(r.value, "items");
    if (!json_count(items))
        (void)pw_buf_adds(&b, "Nothing is there.\n");
    else if (table(c, items, &b) < 0)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    return client_put(c, &b, err);
}

static int run(client *c, const args *a, pw_err *err)
{
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf body = PW_BUF(65536);
    PW_AUTO(pw_buf_clearp) pw_buf path = PW_BUF(REST_PATH_MAX);
    uint64_t id;
    if (a->n_words == 0)
        return list(c, a, err);
    const char *verb = a->word[0];
    if (strcmp(verb, "retry") != 0 && strcmp(verb, "drop") != 0)
        return pw_fail(err, PW_EINVAL, "outbox: \"%.60s\" is none of retry, drop", verb);
    if (a->n_words < 2)
        return pw_fail(err, PW_EINVAL, "outbox %s: say the message's id", verb);
    int rc = args_id(a->word[1], "message", &id, err);
    if (rc < 0)
        return rc;
    (void)pw_buf_addf(&path, "/api/v1/outbox/%" PRIu64 "/%s", id, verb);
    (void)pw_buf_adds(&body, "{");
    rest_field(&body, "reason", args_get(a, "reason"));
    (void)pw_buf_adds(&body, "}");
    if (body.failed)
        return pw_fail(err, PW_EINVAL, "outbox: the reason is too long");
    rc = rest_post(c, pw_buf_str(&path), pw_buf_str(&body), &r, err);
    if (rc < 0)
        return pw_err_context(err, "outbox %s %" PRIu64, verb, id);
    if (c->json)
        return rest_raw(c, &r, err);
    client_say(c,
               strcmp(verb, "retry") == 0 ? "message %" PRIu64 ": retry, it is sent now\n"
                                          : "message %" PRIu64 ": dropped\n",
               id);
    return 0;
}

static const arg_option options[] = {
    {"only", 'o', "STATE", "only waiting, under_way, sent or given_up"},
    {"target", 't', "NAME", "only those to this target"},
    {"limit", 'n', "N", "how many (default 50, at most 1000)"},
    {"reason", 'r', "TEXT", "why; for the audit log"},
    {NULL, 0, NULL, NULL}};
const command cmd_outbox[] = {
    {"outbox", "[--only STATE] [--target T] | retry|drop ID [--reason TEXT]",
     "Messages that leave the master: sent, waiting, given up", options, 0, 2, run},
    {NULL, NULL, NULL, NULL, 0, 0, NULL}};
