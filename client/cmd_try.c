/* pawl try: builds of what is not pushed. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd_force.h"
#include "client/commands.h"
#include "client/rest.h"
#include "client/try.h"

typedef struct target { /* of the master */
    char *project;      /* owned */
    char *remote;       /* owned; of the work tree; NULL: none is the project's */
} target;

static void target_clear(target *t)
{
    free(t->project);
    free(t->remote);
}

/* Only the project that is named, where one is. */
static json_value *listed(client *c, const char *only, pw_err *err)
{
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF((size_t)8 * 1024 * 1024);
    if (rest_get(c, "/api/v1/projects?limit=1000", &r, err) < 0) {
        (void)pw_err_context(err, "listing the projects");
        return NULL;
    }
    const json_value *items = json_get(r.value, "items");
    (void)pw_buf_adds(&b, "[");
    for (size_t i = 0; i < json_count(items); i++) {
        const json_value *p = json_at(items, i);
        if (only && strcmp(json_str(json_get(p, "name"), ""), only) != 0)
            continue;
        (void)pw_buf_adds(&b, b.len > 1 ? "," : "");
        (void)json_text(p, &b);
    }
    (void)pw_buf_adds(&b, "]");
    return b.failed ? ((void)pw_fail(err, PW_ENOMEM, "out of memory"), NULL)
                    : json_parse(b.p, b.len, err);
}

static int find_target(client *c, const args *a, const local_tree *t, target *ret, pw_err *err)
{
    PW_AUTO(try_remotes_clear) try_remotes remotes = {0};
    const char *only = args_get(a, "project"), *name = only;
    size_t url = 0;
    bool failed = false;
    int rc = try_remotes_read(t, &remotes, err);
    PW_AUTO(json_freep) json_value *projects = rc < 0 ? NULL : listed(c, only, err);
    if (!projects)
        return rc < 0 ? rc : err->code;
    if (only && !json_count(projects))
        return pw_fail(err, PW_ENOTFOUND, "there is no project \"%.100s\"", only);
    rc = try_project(projects, (const char *const *)remotes.url, &name, &url, err);
    if (rc < 0 && !(only && rc == PW_ENOTFOUND))
        return rc;
    ret->project = pw_strdup(name, &failed);
    ret->remote = rc == 0 ? pw_strdup(remotes.name[url], &failed) : NULL;
    return failed ? pw_fail(err, PW_ENOMEM, "out of memory") : 0;
}

/* What the query says beside the bundle. */
static int address(const args *a, const target *t, const try_made *m, pw_buf *path, pw_err *err)
{
    PW_AUTO(pw_buf_clearp) pw_buf names = PW_BUF(REST_PATH_MAX);
    PW_AUTO(pw_buf_clearp) pw_buf props = PW_BUF(REST_PATH_MAX);
    for (size_t i = 0; i < a->n_words; i++)
        (void)pw_buf_addf(&names, "%s%s", i ? "," : "", a->word[i]);
    if (args_get(a, "prop")) {
        (void)pw_buf_adds(&props, "{");
        int rc = force_props(a, &props, err);
        if (rc < 0)
            return rc;
        (void)pw_buf_adds(&props, "}");
    }
    (void)pw_buf_adds(path, "/api/v1/try");
    rest_query(path, "project", t->project);
    rest_query(path, "base", m->base);
    rest_query(path, "branch", m->branch);
    rest_query(path, "builders", names.len ? pw_buf_str(&names) : NULL);
    rest_query(path, "properties", props.len ? pw_buf_str(&props) : NULL);
    rest_query(path, "reason", args_get(a, "reason"));
    return path->failed || names.failed || props.failed
               ? pw_fail(err, PW_EINVAL, "try: builders, properties and reason are too long")
               : 0;
}

static void tell_sent(client *c, const try_made *m)
{
    char loose[60] = "";
    if (m->loose)
        (void)snprintf(loose, sizeof(loose), " (%" PRIu64 " not committed)", m->loose);
    client_say(c,
               "sent: %" PRIu64 " file%s changed%s, %" PRIu64
               " commit%s on top of %.7s%s%s; %" PRIu64 " KiB\n",
               m->files, m->files == 1 ? "" : "s", loose, m->commits, m->commits == 1 ? "" : "s",
               m->base, m->branch ? " of " : "", m->branch ? m->branch : "",
               (m->bytes + 1023) / 1024);
}

static int run_try(client *c, const args *a, pw_err *err)
{
    PW_AUTO(local_tree_clear) local_tree tree = {0};
    PW_AUTO(target_clear) target t = {0};
    PW_AUTO(try_made_clear) try_made m = {0};
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    PW_AUTO(pw_buf_clearp) pw_buf path = PW_BUF(REST_PATH_MAX);
    int rc = local_tree_find(&tree, err);
    if (rc == 0)
        rc = find_target(c, a, &tree, &t, err);
    try_wish wish = {
        .remote = t.remote, .branch = args_get(a, "branch"), .base = args_get(a, "base")};
    if (rc == 0)
        rc = try_make(&tree, &wish, &m, err);
    if (rc == 0)
        rc = address(a, &t, &m, &path, err);
    if (rc < 0)
        return rc;
    if ((rc = rest_upload(c, pw_buf_str(&path), m.bundle, &r, err)) < 0)
        return pw_err_context(err, "trying in project \"%.100s\"", t.project);
    if (!c->json)
        tell_sent(c, &m);
    else if ((rc = rest_raw(c, &r, err)) < 0)
        return rc;
    try_made_clear(&m); /* the builds may take long */
    if (!args_get(a, "no-wait"))
        return try_watch(c, r.value, err);
    const json_value *requests = json_get(r.value, "requests");
    for (size_t i = 0; !c->json && i < json_count(requests); i++)
        client_say(c, "request %" PRId64 "\n", json_int(json_at(requests, i), 0));
    return 0;
}

static int run_release(client *c, const args *a, pw_err *err)
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
    (void)snprintf(path, sizeof(path), "/api/v1/requests/%" PRIu64 "/release", id);
    if ((rc = rest_post(c, path, pw_buf_str(&body), &r, err)) < 0)
        return pw_err_context(err, "releasing %" PRIu64, id);
    if (c->json)
        return rest_raw(c, &r, err);
    client_say(c, "the revision of %" PRIu64 " is trusted now\n", id);
    return 0;
}

static const arg_option try_options[] = {
    {"project", 'p', "P", "the project (default: that of a remote of this work tree)"},
    {"branch", 'b', "B", "the branch that it is meant for (default: the one that HEAD follows)"},
    {"base", 0, "REV", "a pushed commit to build upon (default: where HEAD left the branch)"},
    {"prop", 0, "K=V", "a property; may be given several times"},
    {"reason", 'm', "TEXT", "shown with the builds"},
    {"no-wait", 'n', NULL, "do not wait for the builds"},
    {NULL, 0, NULL, NULL}};
static const arg_option release_options[] = {{"reason", 'm', "TEXT", "why; kept in the audit log"},
                                             {NULL, 0, NULL, NULL}};
const command cmd_try[] = {
    {"try", "[BUILDER..] [--branch B] [--base REV] [--prop K=V] [--reason TEXT] [--no-wait]",
     "Build what is not pushed: commits, changed and new files", try_options, 0, ARGS_MAX, run_try},
    {"release", "BUILD|REQUEST [--reason TEXT]",
     "Trust the revision of a try or a proposal: secrets, any worker", release_options, 1, 1,
     run_release},
    {NULL, NULL, NULL, NULL, 0, 0, NULL}};
