/* pawl status: what is red, what runs, what was promoted, who works. */
#include "client/cmd_status.h"

#include <inttypes.h>
#include <string.h>

#include "client/commands.h"
#include "client/progress.h"
#include "client/rest.h"
#include "client/show.h"

enum { WATCH_MS = 2000, TEXT_MAX = 8 * 1024 * 1024 };

static const char *str(const json_value *object, const char *key, const char *otherwise)
{
    return json_str(json_get(object, key), otherwise);
}

static int64_t num(const json_value *object, const char *key)
{
    return json_int(json_get(object, key), 0);
}

static void heading(const status_look *l, const char *text, pw_buf *b)
{
    (void)pw_buf_adds(b, "\n");
    show_styled(b, SHOW_BOLD, l->colour, text);
    (void)pw_buf_adds(b, "\n");
}

static int latest(const status_look *l, const json_value *items, pw_buf *b)
{
    static const char *const heads[] = {"PROJECT", "BRANCH",   "BUILDER",  "RESULT",
                                        ">BUILD",  "REVISION", "FINISHED", NULL};
    char when[40], rev[9];
    PW_AUTO(show_table_clear) show_table t;
    show_table_init(&t, heads);
    for (size_t i = 0; i < json_count(items); i++) {
        const json_value *v = json_at(items, i);
        const char *result = str(v, "result", "?");
        show_cell(&t, SHOW_PLAIN, str(v, "project", NULL));
        show_cell(&t, SHOW_PLAIN, str(v, "branch", NULL));
        show_cell(&t, SHOW_PLAIN, str(v, "builder", NULL));
        show_cell(&t, show_style_of(result), result);
        show_cellf(&t, SHOW_PLAIN, "%" PRId64, num(v, "build"));
        show_cell(&t, SHOW_PLAIN, show_rev(json_get(v, "revision"), rev));
        show_cell(&t, SHOW_DIM, show_when(json_get(v, "finished"), l->relative, l->now, when));
    }
    return show_table_text(&t, l->colour, l->width, b);
}

static int running(const status_look *l, const json_value *items, pw_buf *b)
{
    static const char *const heads[] = {">BUILD", "BUILDER", "BRANCH", "REVISION",
                                        "STATE",  ">FOR",    "WORKER", NULL};
    char took[32], rev[9];
    PW_AUTO(show_table_clear) show_table t;
    show_table_init(&t, heads);
    for (size_t i = 0; i < json_count(items); i++) {
        const json_value *v = json_at(items, i);
        const char *state = str(v, "state", "?");
        show_cellf(&t, SHOW_PLAIN, "%" PRId64, num(v, "id"));
        show_cellf(&t, SHOW_PLAIN, "%s/%s", str(v, "project", "?"), str(v, "builder", "?"));
        show_cell(&t, SHOW_PLAIN, str(v, "branch", NULL));
        show_cell(&t, SHOW_PLAIN, show_rev(json_get(v, "revision"), rev));
        show_cell(&t, show_style_of(state), state);
        show_cell(&t, SHOW_PLAIN,
                  show_took(json_get(v, "started"), json_get(v, "finished"), l->now, took));
        show_cell(&t, SHOW_DIM, str(v, "worker", NULL));
    }
    return show_table_text(&t, l->colour, l->width, b);
}

static int promotions(const status_look *l, const json_value *items, pw_buf *b)
{
    static const char *const heads[] = {"EDGE", "STATE", "REVISION", "SINCE", "REASON", NULL};
    char when[40], rev[9];
    PW_AUTO(show_table_clear) show_table t;
    show_table_init(&t, heads);
    for (size_t i = 0; i < json_count(items); i++) {
        const json_value *v = json_at(items, i);
        const char *state = str(v, "state", "?");
        show_cell(&t, SHOW_PLAIN, str(v, "edge", NULL));
        show_cell(&t, strcmp(state, "done") == 0 ? SHOW_GOOD : show_style_of(state), state);
        show_cell(&t, SHOW_PLAIN, show_rev(json_get(v, "revision"), rev));
        show_cell(&t, SHOW_DIM, show_when(json_get(v, "at"), l->relative, l->now, when));
        show_cell(&t, SHOW_PLAIN, str(v, "reason", NULL));
    }
    return show_table_text(&t, l->colour, l->width, b);
}

static void clean(pw_buf *b, const char *before, const char *text)
{
    (void)pw_buf_adds(b, before);
    show_clean(b, text, 0);
}

/* What red branches hold, and what people switched off: a line each. */
static void waits(const json_value *held, const json_value *paused, pw_buf *b)
{
    if (json_count(held) || json_count(paused))
        (void)pw_buf_adds(b, "\n");
    for (size_t i = 0; i < json_count(held); i++) {
        const json_value *v = json_at(held, i);
        clean(b, "", str(v, "project", "?"));
        clean(b, " ", str(v, "branch", "?"));
        clean(b, ": ", str(v, "reason", "?"));
        (void)pw_buf_addf(b, ": %" PRId64 " waiting\n", num(v, "requests"));
    }
    for (size_t i = 0; i < json_count(paused); i++) {
        const json_value *v = json_at(paused, i);
        clean(b, "", str(v, "kind", "?"));
        clean(b, " ", str(v, "name", "?"));
        clean(b, " is paused by ", str(v, "who", "?"));
        clean(b, " because ", str(v, "reason", "?"));
        (void)pw_buf_adds(b, "\n");
    }
}

int status_text(const json_value *v, const status_look *l, pw_buf *b)
{
    char line[200];
    const json_value *items = json_get(v, "items"), *open = json_get(v, "running"),
                     *edges = json_get(v, "promotions");
    const json_value *workers = json_get(v, "workers");
    int64_t red = num(v, "red");
    size_t waiting = json_count(json_get(v, "waiting"));
    int rc = 0;
    if (!json_count(items))
        (void)snprintf(line, sizeof(line), "Nothing was built yet.");
    else if (!red)
        (void)snprintf(line, sizeof(line), "Nothing is red.");
    else
        (void)snprintf(line, sizeof(line), "%" PRId64 " of %zu %s red.", red, json_count(items),
                       red == 1 ? "is" : "are");
    show_styled(b, red ? SHOW_BAD : SHOW_GOOD, l->colour, line);
    (void)pw_buf_adds(b, "\n");
    if (json_count(items)) {
        (void)pw_buf_adds(b, "\n");
        rc = latest(l, items, b);
    }
    if (rc == 0 && json_count(open)) {
        heading(l, "Running", b);
        rc = running(l, open, b);
    }
    if (waiting)
        (void)pw_buf_addf(b, "\n%zu waiting: pawl why %" PRId64 " says why\n", waiting,
                          num(json_at(json_get(v, "waiting"), 0), "id"));
    waits(json_get(v, "held"), json_get(v, "paused"), b);
    if (rc == 0 && json_count(edges)) {
        heading(l, "Promotions", b);
        rc = promotions(l, edges, b);
    }
    if (workers)
        (void)pw_buf_addf(b,
                          "\nWorkers: %" PRId64 " of %" PRId64 " connected, %" PRId64 " of %" PRId64
                          " slots busy\n",
                          num(workers, "connected"), num(workers, "known"), num(workers, "busy"),
                          num(workers, "slots"));
    return rc < 0 ? rc : b->failed ? PW_ENOMEM : 0;
}

static int once(client *c, const char *path, pw_buf *b, pw_err *err)
{
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    int rc = rest_get(c, path, &r, err);
    if (rc < 0)
        return rc;
    if (c->json) {
        (void)pw_buf_add(b, pw_buf_str(&r.text), r.text.len);
        return b->failed ? pw_fail(err, PW_ENOMEM, "out of memory") : 0;
    }
    status_look l = {
        .now = pw_wall(c->host), .relative = c->tty, .colour = c->colour, .width = c->width};
    return status_text(r.value, &l, b) < 0 ? pw_fail(err, PW_ENOMEM, "out of memory") : 0;
}

/* On a terminal the screen is drawn anew; elsewhere the text is printed again whenever it changed.
 */
static int watch(client *c, const char *path, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf last = PW_BUF(TEXT_MAX);
    unsigned away = 0;
    for (;; client_pause(WATCH_MS)) {
        PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(TEXT_MAX);
        if (c->tty)
            (void)pw_buf_adds(&b, "\033[H\033[J");
        int rc = once(c, path, &b, err);
        if (rc < 0 &&
            (!c->http || !rest_passing(rc) || ++away > PROGRESS_PATIENCE_S * 1000 / WATCH_MS))
            return rc;
        if (rc < 0)
            continue;
        away = 0;
        if (!c->tty && last.len == b.len && memcmp(pw_buf_str(&last), pw_buf_str(&b), b.len) == 0)
            continue;
        if (client_put(c, &b, err) < 0)
            return PW_ESYS;
        pw_buf_reset(&last);
        (void)pw_buf_add(&last, pw_buf_str(&b), b.len);
    }
}

static int run_status(client *c, const args *a, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf path = PW_BUF(REST_PATH_MAX);
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(TEXT_MAX);
    (void)pw_buf_adds(&path, "/api/v1/status");
    rest_query(&path, "project", args_get(a, "project"));
    rest_query(&path, "branch", a->n_words ? a->word[0] : NULL);
    if (path.failed)
        return pw_fail(err, PW_EINVAL, "status: a name is too long");
    int rc = args_get(a, "watch") ? watch(c, pw_buf_str(&path), err)
                                  : once(c, pw_buf_str(&path), &b, err);
    return rc < 0 ? pw_err_context(err, "asking for the status") : client_put(c, &b, err);
}

static const arg_option options[] = {{"watch", 'w', NULL, "show it again and again"},
                                     {"project", 'p', "P", "only this project"},
                                     {NULL, 0, NULL, NULL}};
const command cmd_status[] = {{"status", "[BRANCH] [--project P] [--watch]",
                               "What is red, what runs, what was promoted", options, 0, 1,
                               run_status},
                              {NULL, NULL, NULL, NULL, 0, 0, NULL}};
