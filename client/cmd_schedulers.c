/* pawl schedulers, scheduler, builder: what asks for builds; switching off and on. */
#include <inttypes.h>
#include <string.h>

#include "client/commands.h"
#include "client/rest.h"
#include "client/show.h"

static int list_text(client *c, const json_value *items, pw_buf *b)
{
    static const char *const heads[] = {"SCHEDULER", "KIND",   "PROJECT", "WHEN",
                                        "BUILDERS",  "PAUSED", NULL};
    PW_AUTO(show_table_clear) show_table t;
    show_table_init(&t, heads);
    for (size_t i = 0; i < json_count(items); i++) {
        const json_value *v = json_at(items, i), *names = json_get(v, "builders");
        const json_value *paused = json_get(v, "paused");
        const char *after = json_str(json_get(v, "after"), NULL);
        const char *cron = json_str(json_get(v, "cron"), NULL);
        int64_t every = json_int(json_get(v, "every_ms"), 0);
        char span[32];
        PW_AUTO(pw_buf_clearp) pw_buf list = PW_BUF(65536);
        for (size_t k = 0; k < json_count(names); k++)
            (void)pw_buf_addf(&list, "%s%s", k ? "," : "", json_str(json_at(names, k), ""));
        show_cell(&t, SHOW_PLAIN, json_str(json_get(v, "name"), NULL));
        show_cell(&t, SHOW_PLAIN, json_str(json_get(v, "kind"), NULL));
        show_cell(&t, SHOW_PLAIN, json_str(json_get(v, "project"), NULL));
        if (after)
            show_cellf(&t, SHOW_PLAIN, "after %s", after);
        else if (cron)
            show_cellf(&t, SHOW_PLAIN, "%s %s", cron, json_str(json_get(v, "zone"), ""));
        else if (every)
            show_cellf(&t, SHOW_PLAIN, "every %s", show_span(every, span));
        else
            show_cell(&t, SHOW_PLAIN, NULL);
        show_cell(&t, SHOW_PLAIN, pw_buf_str(&list));
        if (json_is_null(paused))
            show_cell(&t, SHOW_PLAIN, NULL);
        else
            show_cellf(&t, SHOW_WARN, "by %s: %s", json_str(json_get(paused, "who"), "?"),
                       json_str(json_get(paused, "reason"), "?"));
    }
    return show_table_text(&t, c->colour, c->width, b);
}

static int run_list(client *c, const args *a, pw_err *err)
{
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF((size_t)8 * 1024 * 1024);
    (void)a;
    int rc = rest_get(c, "/api/v1/schedulers", &r, err);
    if (rc < 0)
        return pw_err_context(err, "listing the schedulers");
    if (c->json)
        return rest_raw(c, &r, err);
    if (list_text(c, json_get(r.value, "items"), &b) < 0)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    return client_put(c, &b, err);
}

static int run_switch(client *c, const args *a, pw_err *err)
{
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf body = PW_BUF(65536);
    PW_AUTO(pw_buf_clearp) pw_buf path = PW_BUF(REST_PATH_MAX);
    const char *what = a->command->name, *verb = a->word[0], *name = a->word[1];
    const char *reason = args_get(a, "reason");
    bool off = strcmp(verb, "pause") == 0;
    if (!off && strcmp(verb, "resume") != 0)
        return pw_fail(err, PW_EINVAL, "%s: \"%.60s\" is none of pause, resume", what, verb);
    if (off && (!reason || !*reason))
        return pw_fail(err, PW_EINVAL, "%s pause needs --reason TEXT: it is shown to everybody",
                       what);
    (void)pw_buf_addf(&path, "/api/v1/%ss", what);
    rest_part(&path, name);
    rest_part(&path, verb);
    (void)pw_buf_adds(&body, "{");
    rest_field(&body, "reason", reason);
    (void)pw_buf_adds(&body, "}");
    if (path.failed || body.failed)
        return pw_fail(err, PW_EINVAL, "%s: the name or the reason is too long", what);
    int rc = rest_post(c, pw_buf_str(&path), pw_buf_str(&body), &r, err);
    if (rc < 0)
        return pw_err_context(err, "%s %s \"%.100s\"", what, verb, name);
    if (c->json)
        return rest_raw(c, &r, err);
    client_say(c, "%s: %s\n", name, off ? "paused" : "resumed");
    return 0;
}

static const arg_option options[] = {{"reason", 'r', "TEXT", "why; shown to everybody"},
                                     {NULL, 0, NULL, NULL}};
const command cmd_schedulers[] = {
    {"schedulers", "", "What asks for builds, and when", NULL, 0, 0, run_list},
    {"scheduler", "pause|resume NAME [--reason TEXT]", "Switch a scheduler off and on", options, 2,
     2, run_switch},
    {"builder", "pause|resume NAME [--reason TEXT]", "Switch a builder off and on", options, 2, 2,
     run_switch},
    {NULL, NULL, NULL, NULL, 0, 0, NULL}};
