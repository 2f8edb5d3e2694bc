/* pawl force, retry, cancel: builds by hand. */
#include "client/cmd_force.h"

#include <inttypes.h>
#include <string.h>

#include "client/progress.h"
#include "client/rest.h"

int force_props(const args *a, pw_buf *b, pw_err *err)
{
    const char *p;
    bool first = true;
    for (size_t pos = 0; (p = args_each(a, "prop", &pos));) {
        char name[129];
        const char *eq = strchr(p, '=');
        if (!eq || eq == p || (size_t)(eq - p) >= sizeof(name))
            return pw_fail(err, PW_EINVAL, "--prop: \"%.60s\" is not K=V", p);
        memcpy(name, p, (size_t)(eq - p));
        name[eq - p] = '\0';
        (void)pw_buf_adds(b, first ? "" : ",");
        (void)pw_buf_json(b, name);
        (void)pw_buf_adds(b, ":");
        (void)pw_buf_json(b, eq + 1);
        first = false;
    }
    return 0;
}

int force_body(const args *a, pw_buf *b, pw_err *err)
{
    const char *reason = args_get(a, "reason");
    if (!reason || !*reason)
        return pw_fail(err, PW_EINVAL, "force needs --reason TEXT: it is shown with the build");
    (void)pw_buf_adds(b, "{");
    rest_field(b, "builder", a->word[0]);
    rest_field(b, "project", args_get(a, "project"));
    rest_field(b, "branch", args_get(a, "branch"));
    rest_field(b, "revision", args_get(a, "revision"));
    if (args_get(a, "prop")) {
        (void)pw_buf_adds(b, ",\"properties\":{");
        int rc = force_props(a, b, err);
        if (rc < 0)
            return rc;
        (void)pw_buf_adds(b, "}");
    }
    rest_field(b, "scheduler", args_get(a, "scheduler"));
    rest_field(b, "reason", reason);
    (void)pw_buf_adds(b, "}");
    return b->failed ? pw_fail(err, PW_EINVAL, "force: the values are too long") : 0;
}

/* {"buildset", "requests": [..]}: tells them, and waits for the first if asked to. */
static int asked(client *c, const rest_answer *r, bool wait, pw_err *err)
{
    uint64_t build = 0;
    int64_t request = json_int(json_at(json_get(r->value, "requests"), 0), 0);
    if (c->json && !wait)
        return rest_raw(c, r, err);
    if (!c->json)
        client_say(c, "request %" PRId64 "\n", request);
    if (!wait)
        return 0;
    if (request <= 0)
        return pw_fail(err, PW_EPROTO, "waiting: the master named no request");
    int rc = progress_request(c, (uint64_t)request, &build, err);
    return rc < 0 ? rc : progress_build(c, build, err);
}

static int run_force(client *c, const args *a, pw_err *err)
{
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf body = PW_BUF((size_t)1024 * 1024);
    int rc = force_body(a, &body, err);
    if (rc < 0)
        return rc;
    if ((rc = rest_post(c, "/api/v1/force", pw_buf_str(&body), &r, err)) < 0)
        return pw_err_context(err, "forcing a build of \"%.100s\"", a->word[0]);
    return asked(c, &r, args_get(a, "wait") != NULL, err);
}

static int run_retry(client *c, const args *a, pw_err *err)
{
    uint64_t id;
    char path[80];
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    int rc = args_id(a->word[0], "build", &id, err);
    if (rc < 0)
        return rc;
    (void)snprintf(path, sizeof(path), "/api/v1/builds/%" PRIu64 "/retry", id);
    const char *body = args_get(a, "failed") ? "{\"failed\":true}" : NULL;
    if ((rc = rest_post(c, path, body, &r, err)) < 0)
        return pw_err_context(err, "repeating build %" PRIu64, id);
    return asked(c, &r, args_get(a, "wait") != NULL, err);
}

static int run_cancel(client *c, const args *a, pw_err *err)
{
    uint64_t id;
    char path[80];
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf body = PW_BUF(65536);
    int rc = args_id(a->word[0], "build or request", &id, err);
    if (rc < 0)
        return rc;
    (void)pw_buf_adds(&body, "{");
    rest_field(&body, "reason", args_get(a, "reason"));
    (void)pw_buf_adds(&body, "}");
    /* builds and requests share one sequence of numbers, so a number that is no build may be a
     * request */
    (void)snprintf(path, sizeof(path), "/api/v1/builds/%" PRIu64 "/cancel", id);
    rc = rest_post(c, path, pw_buf_str(&body), &r, err);
    if (rc == PW_ENOTFOUND) {
        (void)snprintf(path, sizeof(path), "/api/v1/requests/%" PRIu64 "/cancel", id);
        rc = rest_post(c, path, pw_buf_str(&body), &r, err);
    }
    if (rc < 0)
        return pw_err_context(err, "cancelling %" PRIu64, id);
    if (c->json)
        return rest_raw(c, &r, err);
    client_say(c, "%" PRIu64 " is cancelled\n", id);
    return 0;
}

static int pin(client *c, const args *a, const char *method, const char *done, pw_err *err)
{
    uint64_t id;
    char path[80];
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf body = PW_BUF(65536);
    int rc = args_id(a->word[0], "build", &id, err);
    if (rc < 0)
        return rc;
    (void)pw_buf_adds(&body, "{");
    rest_field(&body, "reason", args_get(a, "reason"));
    (void)pw_buf_adds(&body, "}");
    (void)snprintf(path, sizeof(path), "/api/v1/builds/%" PRIu64 "/pin", id);
    rc = rest_call(c, method, path, pw_buf_str(&body), &r, err);
    if (rc < 0)
        return pw_err_context(err, "build %" PRIu64, id);
    if (c->json)
        return rest_raw(c, &r, err);
    client_say(c, "build %" PRIu64 " %s\n", id, done);
    return 0;
}

static int run_pin(client *c, const args *a, pw_err *err)
{
    return pin(c, a, "POST", "is kept, with its logs", err);
}

static int run_unpin(client *c, const args *a, pw_err *err)
{
    return pin(c, a, "DELETE", "is left to retention", err);
}

static int run_start(client *c, const args *a, pw_err *err)
{
    uint64_t id;
    char path[80];
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    int rc = args_id(a->word[0], "request", &id, err);
    if (rc < 0)
        return rc;
    (void)snprintf(path, sizeof(path), "/api/v1/requests/%" PRIu64 "/start", id);
    if ((rc = rest_post(c, path, NULL, &r, err)) < 0)
        return pw_err_context(err, "starting request %" PRIu64, id);
    if (c->json)
        return rest_raw(c, &r, err);
    client_say(c, "request %" PRIu64 " may begin\n", id);
    return 0;
}

static const arg_option force_options[] = {
    {"project", 'p', "P", "project of the builder, when several have one of this name"},
    {"branch", 'b', "B", "branch (default: the repository's HEAD)"},
    {"revision", 'r', "R", "a whole revision (default: the tip of the branch)"},
    {"prop", 0, "K=V", "a property, or a parameter of the form; may be given several times"},
    {"scheduler", 0, "S", "the force scheduler whose form is filled in (default: the first one)"},
    {"reason", 'm', "TEXT", "why; shown with the build"},
    {"wait", 'w', NULL, "wait for the end; exit status 1 when it is not green"},
    {NULL, 0, NULL, NULL}};
static const arg_option retry_options[] = {
    {"failed", 'f', NULL, "only what failed, and what was skipped because of it"},
    {"wait", 'w', NULL, "wait for the end; exit status 1 when it is not green"},
    {NULL, 0, NULL, NULL}};
static const arg_option cancel_options[] = {{"reason", 'm', "TEXT", "why; shown with the build"},
                                            {NULL, 0, NULL, NULL}};
const command cmd_force[] = {
    {"force", "BUILDER [--branch B] [--revision R] [--prop K=V] --reason TEXT [--wait]",
     "Ask for a build", force_options, 1, 1, run_force},
    {"retry", "BUILD [--failed] [--wait]", "Build the whole build set again", retry_options, 1, 1,
     run_retry},
    {"start", "REQUEST", "Start a request that waits for a person", NULL, 1, 1, run_start},
    {"cancel", "BUILD|REQUEST [--reason TEXT]", "Stop a build or take back a request",
     cancel_options, 1, 1, run_cancel},
    {"pin", "BUILD [--reason TEXT]", "Keep a build and its logs, whatever its age", cancel_options,
     1, 1, run_pin},
    {"unpin", "BUILD", "Leave a build to retention again", NULL, 1, 1, run_unpin},
    {NULL, NULL, NULL, NULL, 0, 0, NULL}};
