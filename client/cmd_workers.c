/* pawl workers, worker: the build machines. */
#include <inttypes.h>
#include <string.h>

#include "client/commands.h"
#include "client/rest.h"
#include "client/show.h"

enum { SKEW_MS = 60000 }; /* a clock that is off by more is told */

static void tags_text(const json_value *tags, pw_buf *b)
{
    for (size_t i = 0; i < json_count(tags); i++)
        (void)pw_buf_addf(b, "%s%s", i ? "," : "", json_str(json_at(tags, i), ""));
}

/* Why it takes no jobs, or what else people should know of it. */
static void remark(const json_value *w, pw_buf *b)
{
    const char *why = json_str(json_get(w, "reason"), json_str(json_get(w, "gate"), NULL));
    int64_t skew = json_int(json_get(w, "skew_ms"), 0);
    if (json_bool(json_get(w, "drained"), false))
        (void)pw_buf_adds(b, "drained: no job is left");
    if (why)
        (void)pw_buf_addf(b, "%s%s", b->len ? "; " : "", why);
    if (skew > SKEW_MS || skew < -SKEW_MS)
        (void)pw_buf_addf(b, "%sits clock is %" PRId64 " s %s", b->len ? "; " : "",
                          (skew < 0 ? -skew : skew) / 1000, skew < 0 ? "behind" : "ahead");
}

static int workers_text(client *c, const json_value *items, pw_buf *b)
{
    static const char *const heads[] = {"WORKER",  "STATE",     ">BUSY",  ">SLOTS", "TAGS",
                                        "VERSION", "LAST SEEN", "REASON", NULL};
    char when[40];
    pw_msec now = pw_wall(c->host);
    PW_AUTO(show_table_clear) show_table t;
    show_table_init(&t, heads);
    for (size_t i = 0; i < json_count(items); i++) {
        const json_value *w = json_at(items, i);
        const char *state = json_str(json_get(w, "state"), "?");
        PW_AUTO(pw_buf_clearp) pw_buf tags = PW_BUF(65536);
        tags_text(json_get(w, "tags"), &tags);
        show_cell(&t, SHOW_PLAIN, json_str(json_get(w, "name"), NULL));
        show_cell(&t, show_style_of(state), state);
        show_cellf(&t, SHOW_PLAIN, "%" PRId64, json_int(json_get(w, "busy"), 0));
        show_cellf(&t, SHOW_PLAIN, "%" PRId64, json_int(json_get(w, "slots"), 0));
        show_cell(&t, SHOW_PLAIN, pw_buf_str(&tags));
        show_cell(&t, SHOW_DIM, json_str(json_get(w, "version"), NULL));
        show_cell(&t, SHOW_DIM, show_when(json_get(w, "last_seen"), c->tty, now, when));
        PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(65536);
        remark(w, &said);
        show_cell(&t, SHOW_PLAIN, pw_buf_str(&said));
    }
    return show_table_text(&t, c->colour, c->width, b);
}

static int run_workers(client *c, const args *a, pw_err *err)
{
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF((size_t)8 * 1024 * 1024);
    (void)a;
    int rc = rest_get(c, "/api/v1/workers", &r, err);
    if (rc < 0)
        return pw_err_context(err, "listing the workers");
    if (c->json)
        return rest_raw(c, &r, err);
    const json_value *items = json_get(r.value, "items");
    if (!json_count(items))
        (void)pw_buf_adds(&b, "There is no worker yet. Add one with: pawl worker add NAME\n");
    else if (workers_text(c, items, &b) < 0)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    return client_put(c, &b, err);
}

/* add and rotate: one line to be run on the build machine */
static int line(client *c, const char *name, bool rotate, const char *reason, pw_err *err)
{
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf body = PW_BUF(65536);
    PW_AUTO(pw_buf_clearp) pw_buf path = PW_BUF(REST_PATH_MAX);
    (void)pw_buf_adds(&path, "/api/v1/workers");
    if (rotate) {
        rest_part(&path, name);
        rest_part(&path, "rotate");
    }
    (void)pw_buf_adds(&body, "{");
    rest_field(&body, rotate ? "reason" : "name", rotate ? reason : name);
    (void)pw_buf_adds(&body, "}");
    if (path.failed || body.failed)
        return pw_fail(err, PW_EINVAL, "worker: the name or the reason is too long");
    int rc = rest_post(c, pw_buf_str(&path), pw_buf_str(&body), &r, err);
    if (rc < 0)
        return pw_err_context(err, "%s worker \"%.100s\"",
                              rotate ? "replacing the key of" : "adding", name);
    if (c->json)
        return rest_raw(c, &r, err);
    /* the line alone on stdout, so that it can be piped to the other machine */
    client_say(c, "%s\n", json_str(json_get(r.value, "line"), "?"));
    if (c->tty)
        (void)fprintf(
            stderr, rotate ? "Run this line on the build machine within an hour; its agent takes "
                             "the new key by itself. Until then the old one works.\n"
                           : "Run this line on the build machine within an hour; it works once.\n");
    return 0;
}

static int run_worker(client *c, const args *a, pw_err *err)
{
    static const char *const verbs[] = {"add",   "rotate", "pause", "resume",
                                        "drain", "remove", NULL};
    static const char *const done[] = {
        "added", "rotated", "paused", "resumed", "draining: it takes no new jobs", "removed"};
    const char *verb = a->word[0], *name = a->word[1], *reason = args_get(a, "reason");
    size_t k = 0;
    while (verbs[k] && strcmp(verbs[k], verb) != 0)
        k++;
    if (!verbs[k])
        return pw_fail(err, PW_EINVAL,
                       "worker: \"%.60s\" is none of add, rotate, pause, resume, drain, remove",
                       verb);
    if (k == 0 && reason)
        return pw_fail(err, PW_EINVAL, "worker add takes no --reason");
    if (k <= 1)
        return line(c, name, k == 1, reason, err);
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf body = PW_BUF(65536);
    PW_AUTO(pw_buf_clearp) pw_buf path = PW_BUF(REST_PATH_MAX);
    bool remove = strcmp(verb, "remove") == 0;
    (void)pw_buf_adds(&path, "/api/v1/workers");
    rest_part(&path, name);
    if (!remove)
        rest_part(&path, verb);
    (void)pw_buf_adds(&body, "{");
    rest_field(&body, "reason", reason);
    (void)pw_buf_adds(&body, "}");
    if (path.failed || body.failed)
        return pw_fail(err, PW_EINVAL, "worker: the name or the reason is too long");
    int rc =
        rest_call(c, remove ? "DELETE" : "POST", pw_buf_str(&path), pw_buf_str(&body), &r, err);
    if (rc < 0)
        return pw_err_context(err, "worker %s \"%.100s\"", verb, name);
    if (c->json)
        return rest_raw(c, &r, err);
    client_say(c, "%s: %s\n", name, done[k]);
    return 0;
}

static const arg_option options[] = {{"reason", 'r', "TEXT", "why; shown to everybody"},
                                     {NULL, 0, NULL, NULL}};
const command cmd_workers[] = {
    {"workers", "", "The build machines", NULL, 0, 0, run_workers},
    {"worker", "add|rotate|pause|resume|drain|remove NAME [--reason TEXT]",
     "Add a build machine, replace its key, or switch one off and on", options, 2, 2, run_worker},
    {NULL, NULL, NULL, NULL, 0, 0, NULL}};
