/* What a delivery says of a proposal: for people, and for the filter by target. Nothing else is
 * believed of it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "master/config/config.h"
#include "master/http/hooks.h"
#include "shared/base/buf.h"
#include "shared/json/json.h"

/* BODY_MAX: those of proposals have some 30 KB; what is larger is not one, and not worth the memory
 */
enum { TEXT_MAX = 300, NUMBER_MAX = 1000000000, BODY_MAX = 2 * 1024 * 1024 };

/* Copied as far as TEXT_MAX, whole characters only; NULL when there is none. */
static char *text(const json_value *v, bool *failed)
{
    const char *s = json_str(v, NULL);
    if (!s || !*s)
        return NULL;
    size_t n = strnlen(s, TEXT_MAX);
    while (s[n] && ((unsigned char)s[n] & 0xc0) == 0x80)
        n--;
    char *copy = pw_strf("%.*s", (int)n, s);
    *failed |= !copy;
    for (char *p = copy; p && *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
    return copy;
}

static char *branch(const json_value *v, bool *failed)
{
    const char *s = json_str(v, NULL);
    return s && config_branch_ok(s) ? pw_strdup(s, failed) : NULL;
}

static const json_value *at(const json_value *v, const char *a, const char *b)
{
    return json_get(json_get(v, a), b);
}

static bool named(core_cmd *c, const char *folder, const json_value *number, bool *failed)
{
    int64_t n = json_int(number, 0);
    if (n <= 0 || n > NUMBER_MAX)
        return false;
    c->branch = pw_strf("%s/%" PRId64, folder, n);
    *failed |= !c->branch;
    return true;
}

/* pull_request of GitHub, Gitea and Forgejo. */
static void pull(core_cmd *c, const json_value *p, bool *failed)
{
    const char *from = json_str(json_get(at(p, "head", "repo"), "full_name"), NULL);
    const char *to = json_str(json_get(at(p, "base", "repo"), "full_name"), NULL);
    if (!named(c, "pull", json_get(p, "number"), failed))
        return;
    c->target = branch(at(p, "base", "ref"), failed);
    c->title = text(json_get(p, "title"), failed);
    c->author = text(at(p, "user", "login"), failed);
    if (to) /* a fork that was deleted is none any more */
        c->fork = !from || strcmp(from, to) != 0;
}

/* object_attributes of GitLab's merge_request. */
static void merge_request(core_cmd *c, const json_value *root, bool *failed)
{
    const json_value *o = json_get(root, "object_attributes");
    int64_t from = json_int(json_get(o, "source_project_id"), -1);
    int64_t to = json_int(json_get(o, "target_project_id"), -1);
    if (!named(c, "merge-requests", json_get(o, "iid"), failed))
        return;
    c->target = branch(json_get(o, "target_branch"), failed);
    c->title = text(json_get(o, "title"), failed);
    c->author = text(at(root, "user", "username"), failed);
    if (from >= 0 && to >= 0)
        c->fork = from != to;
}

int web_hook_facts(const char *kind, const char *body, size_t n, core_cmd *c, pw_err *err)
{
    static const char *const pulls[] = {"github", "gitea", "generic"};
    bool failed = false;
    c->fork = -1;
    if (n > BODY_MAX)
        return 0;
    PW_AUTO(json_freep) json_value *root = json_parse(body, n, err);
    if (!root)
        return err->code;
    for (size_t i = 0; i < 3; i++)
        if (strcmp(kind, pulls[i]) == 0 && json_is_object(json_get(root, "pull_request")))
            pull(c, json_get(root, "pull_request"), &failed);
    if (strcmp(kind, "gitlab") == 0 &&
        strcmp(json_str(json_get(root, "object_kind"), ""), "merge_request") == 0)
        merge_request(c, root, &failed);
    return failed ? pw_fail(err, PW_ENOMEM, "out of memory") : 0;
}
