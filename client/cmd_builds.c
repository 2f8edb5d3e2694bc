/* pawl builds, build: what was built, and one of them with its steps. */
#include <inttypes.h>
#include <string.h>

#include "client/commands.h"
#include "client/progress.h"
#include "client/rest.h"
#include "client/show.h"

static const char *str(const json_value *object, const char *key, const char *otherwise)
{
    return json_str(json_get(object, key), otherwise);
}

static int builds_text(client *c, const json_value *items, pw_buf *b)
{
    static const char *const heads[] = {">BUILD",  "BUILDER", "BRANCH", "REVISION", "RESULT",
                                        "CREATED", ">TOOK",   "WORKER", "REASON",   NULL};
    char when[40], took[32], rev[9];
    pw_msec now = pw_wall(c->host);
    PW_AUTO(show_table_clear) show_table t;
    show_table_init(&t, heads);
    for (size_t i = 0; i < json_count(items); i++) {
        const json_value *v = json_at(items, i);
        show_cellf(&t, SHOW_PLAIN, "%" PRId64, json_int(json_get(v, "id"), 0));
        show_cellf(&t, SHOW_PLAIN, "%s/%s", str(v, "project", "?"), str(v, "builder", "?"));
        show_cell(&t, SHOW_PLAIN, str(v, "branch", NULL));
        show_cell(&t, SHOW_PLAIN, show_rev(json_get(v, "revision"), rev));
        show_cell(&t, show_style_of(progress_word(v, NULL)), progress_word(v, NULL));
        show_cell(&t, SHOW_DIM, show_when(json_get(v, "created"), c->tty, now, when));
        show_cell(&t, SHOW_PLAIN,
                  show_took(json_get(v, "started"), json_get(v, "finished"), now, took));
        show_cell(&t, SHOW_DIM, str(v, "worker", NULL));
        show_cell(&t, SHOW_PLAIN, str(v, "result_reason", str(v, "reason", NULL)));
    }
    return show_table_text(&t, c->colour, c->width, b);
}

static int run_builds(client *c, const args *a, pw_err *err)
{
    static const char *const filters[] = {"project", "builder", "branch", "revision", "result",
                                          "worker",  "state",   "since",  "limit"};
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF((size_t)8 * 1024 * 1024);
    PW_AUTO(pw_buf_clearp) pw_buf path = PW_BUF(REST_PATH_MAX);
    (void)pw_buf_adds(&path, "/api/v1/builds");
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++)
        rest_query(&path, filters[i], args_get(a, filters[i]));
    if (path.failed)
        return pw_fail(err, PW_EINVAL, "builds: a value is too long");
    int rc = rest_get(c, pw_buf_str(&path), &r, err);
    if (rc < 0)
        return pw_err_context(err, "listing the builds");
    if (c->json)
        return rest_raw(c, &r, err);
    const json_value *items = json_get(r.value, "items");
    if (!json_count(items))
        (void)pw_buf_adds(&b, "No builds.\n");
    else if (builds_text(c, items, &b) < 0)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    return client_put(c, &b, err);
}

static void fact(pw_buf *b, const char *name, const char *value)
{
    if (!value || !*value)
        return;
    (void)pw_buf_addf(b, "%-10s ", name);
    show_clean(b, value, 0);
    (void)pw_buf_adds(b, "\n");
}

static void facts(client *c, const json_value *v, pw_buf *b)
{
    char when[40], took[32];
    pw_msec now = pw_wall(c->host);
    PW_AUTO(pw_buf_clearp) pw_buf head = PW_BUF(65536);
    (void)pw_buf_addf(&head, "build %" PRId64 "  %s/%s  ", json_int(json_get(v, "id"), 0),
                      str(v, "project", "?"), str(v, "builder", "?"));
    show_styled(b, SHOW_BOLD, c->colour, pw_buf_str(&head));
    show_styled(b, show_style_of(progress_word(v, NULL)), c->colour, progress_word(v, NULL));
    (void)pw_buf_adds(b, "\n");
    fact(b, "branch", str(v, "branch", NULL));
    fact(b, "revision", str(v, "revision", NULL));
    fact(b, "result", str(v, "result_reason", NULL));
    fact(b, "reason", str(v, "reason", NULL));
    fact(b, "who", str(v, "who", NULL));
    fact(b, "created", show_when(json_get(v, "created"), c->tty, now, when));
    fact(b, "took", show_took(json_get(v, "started"), json_get(v, "finished"), now, took));
    fact(b, "worker", str(v, "worker", NULL));
    if (json_int(json_get(v, "attempt"), 0) > 1)
        (void)pw_buf_addf(b, "%-10s %" PRId64 "\n", "attempt", json_int(json_get(v, "attempt"), 0));
    static const char *const others[][2] = {{"retry_of", "repeats"}, {"triggered_by", "triggered"}};
    for (size_t i = 0; i < 2; i++)
        if (json_int(json_get(v, others[i][0]), 0))
            (void)pw_buf_addf(b, "%-10s %sbuild %" PRId64 "\n", others[i][1], i ? "by " : "",
                              json_int(json_get(v, others[i][0]), 0));
    fact(b, "page", str(v, "url", NULL));
    if (strcmp(str(v, "logs", ""), "removed") == 0)
        fact(b, "logs", "removed by retention");
    if (json_get(json_get(v, "pinned"), "who")) {
        PW_AUTO(pw_buf_clearp) pw_buf pin = PW_BUF(65536);
        const char *why = str(json_get(v, "pinned"), "reason", NULL);
        (void)pw_buf_addf(&pin, "by %s%s%s", str(json_get(v, "pinned"), "who", "?"),
                          why ? ": " : "", why ? why : "");
        fact(b, "pinned", pw_buf_str(&pin));
    }
    const json_value *props = json_get(v, "properties"), *value = NULL;
    for (size_t i = 0; i < json_count(props); i++) {
        PW_AUTO(pw_buf_clearp) pw_buf line = PW_BUF(65536);
        const char *name = json_key(props, i, &value);
        (void)pw_buf_addf(&line, "%s = %s", name ? name : "?", json_str(value, ""));
        fact(b, "property", pw_buf_str(&line));
    }
}

static int steps_text(client *c, const json_value *build, pw_buf *b)
{
    static const char *const heads[] = {"STEP", "RESULT", ">TOOK", ">LINES", "REASON", NULL};
    const json_value *steps = json_get(build, "steps");
    char took[32];
    PW_AUTO(show_table_clear) show_table t;
    show_table_init(&t, heads);
    for (size_t i = 0; i < json_count(steps); i++) {
        const json_value *s = json_at(steps, i);
        const char *word = progress_word(build, s);
        show_cell(&t, SHOW_PLAIN, str(s, "name", NULL));
        show_cell(&t, show_style_of(word), word);
        show_cell(
            &t, SHOW_PLAIN,
            show_took(json_get(s, "started"), progress_end(build, s), pw_wall(c->host), took));
        show_cellf(&t, SHOW_PLAIN, "%" PRId64, json_int(json_get(s, "lines"), 0));
        show_cell(&t, SHOW_PLAIN, str(s, "reason", NULL));
    }
    return show_table_text(&t, c->colour, c->width, b);
}

/* A step wrote them: nothing of them may steer the terminal. */
static void notes_text(const json_value *build, pw_buf *b)
{
    const json_value *notes = json_get(build, "annotations");
    for (size_t i = 0; i < json_count(notes); i++) {
        const json_value *n = json_at(notes, i);
        (void)pw_buf_adds(b, "\n");
        show_clean(b, str(n, "context", ""), 200);
        (void)pw_buf_addf(b, " (%s):\n", str(n, "style", ""));
        for (const char *p = str(n, "text", ""); *p;) {
            size_t len = strcspn(p, "\n");
            PW_AUTO(pw_freep) char *line = strndup(p, len);
            (void)pw_buf_adds(b, "  ");
            show_clean(b, line ? line : "", len);
            (void)pw_buf_adds(b, "\n");
            p += len + (p[len] == '\n');
        }
    }
}

/* What its steps wrote for people, as they wrote it. A master that cannot give it is no reason not
 * to show the build. */
static void add_summary(client *c, uint64_t id, pw_buf *b)
{
    char path[80];
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    (void)snprintf(path, sizeof(path), "/api/v1/builds/%" PRIu64 "/summary", id);
    if (rest_get(c, path, &r, NULL) < 0 || !r.text.len)
        return;
    (void)pw_buf_adds(b, "\n");
    for (size_t i = 0; i < r.text.len; i++) {
        unsigned char ch = (unsigned char)r.text.p[i];
        bool shown = ch >= 0x20 || ch == '\n' || ch == '\t'; /* a terminal obeys the others */
        (void)pw_buf_add(b, shown && ch != 0x7f ? (const char *)&ch : "?", 1);
    }
}

static int run_build(client *c, const args *a, pw_err *err)
{
    uint64_t id;
    char path[80];
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF((size_t)8 * 1024 * 1024);
    int rc = args_id(a->word[0], "build", &id, err);
    if (rc < 0)
        return rc;
    (void)snprintf(path, sizeof(path), "/api/v1/builds/%" PRIu64, id);
    if ((rc = rest_get(c, path, &r, err)) < 0)
        return pw_err_context(err, "showing build %" PRIu64, id);
    if (c->json)
        return rest_raw(c, &r, err);
    facts(c, r.value, &b);
    (void)pw_buf_adds(&b, "\n");
    if (steps_text(c, r.value, &b) < 0)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    notes_text(r.value, &b);
    add_summary(c, id, &b);
    return client_put(c, &b, err);
}

static const arg_option options[] = {
    {"project", 'p', "P", "only of this project"},
    {"builder", 'b', "B", "only of this builder: NAME or PROJECT/NAME"},
    {"branch", 0, "B", "only of this branch"},
    {"revision", 0, "R", "only of this revision"},
    {"result", 'r', "R", "success warnings failure skipped exception cancelled"},
    {"worker", 'w', "W", "only of this worker"},
    {"state", 's', "S", "queued dispatched running finishing done"},
    {"since", 0, "TIME", "created at this time or later"},
    {"limit", 'n', "N", "how many (default 50, at most 1000)"},
    {NULL, 0, NULL, NULL}};
const command cmd_builds[] = {{"builds", "[--builder B] [--branch B] [--result R] [--limit N]",
                               "What was built, newest first", options, 0, 0, run_builds},
                              {"build", "ID", "One build with its steps", NULL, 1, 1, run_build},
                              {NULL, NULL, NULL, NULL, 0, 0, NULL}};
