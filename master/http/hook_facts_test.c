/* What deliveries tell of proposals. */
#include <string.h>

#include "master/http/hooks.h"
#include "tests/tap.h"

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void check(const char *what, const char *kind, const char *body, const core_cmd *want)
{
    PW_AUTO(core_cmd_freep) core_cmd *c = core_cmd_new(CMD_HOOK, NULL);
    if (!c)
        return;
    int rc = web_hook_facts(kind, body, strlen(body), c, NULL);
    ok(rc == 0 && same(c->branch, want->branch) && same(c->target, want->target) &&
           same(c->title, want->title) && same(c->author, want->author) && c->fork == want->fork,
       "%s: %s into %s, \"%s\" by %s, %d", what, c->branch ? c->branch : "-",
       c->target ? c->target : "-", c->title ? c->title : "-", c->author ? c->author : "-",
       c->fork);
}

#define T(s) (char *)(uintptr_t)(s)
#define WANT(...)                                                                                  \
    &(core_cmd)                                                                                    \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define PULL(head, base)                                                                           \
    "{\"action\":\"opened\",\"pull_request\":{\"number\":7,\"title\":\"A\\nb\",\"user\":{"         \
    "\"login\":\"ada\"},"                                                                          \
    "\"head\":{\"ref\":\"x\",\"repo\":" head "},\"base\":{\"ref\":\"master\",\"repo\":" base "}}}"

int main(void)
{
    char longer[1000];
    check("from another repository", "github",
          PULL("{\"full_name\":\"b/r\"}", "{\"full_name\":\"a/r\"}"),
          WANT(.branch = T("pull/7"), .target = T("master"), .title = T("A b"), .author = T("ada"),
               .fork = 1));
    check("from the same", "gitea", PULL("{\"full_name\":\"a/r\"}", "{\"full_name\":\"a/r\"}"),
          WANT(.branch = T("pull/7"), .target = T("master"), .title = T("A b"), .author = T("ada"),
               .fork = 0));
    check("from one that is gone", "github", PULL("null", "{\"full_name\":\"a/r\"}"),
          WANT(.branch = T("pull/7"), .target = T("master"), .title = T("A b"), .author = T("ada"),
               .fork = 1));
    check("from nobody knows where", "github", PULL("null", "null"),
          WANT(.branch = T("pull/7"), .target = T("master"), .title = T("A b"), .author = T("ada"),
               .fork = -1));
    check("GitLab", "gitlab",
          "{\"object_kind\":\"merge_request\",\"user\":{\"username\":\"bob\"},\"object_"
          "attributes\":{\"iid\":3,"
          "\"target_branch\":\"main\",\"title\":\"T\",\"source_project_id\":5,\"target_project_"
          "id\":6}}",
          WANT(.branch = T("merge-requests/3"), .target = T("main"), .title = T("T"),
               .author = T("bob"), .fork = 1));
    check("a push", "github", "{\"ref\":\"refs/heads/x\",\"number\":7}", WANT(.fork = -1));
    check("no number", "github", "{\"pull_request\":{\"number\":\"7\"}}", WANT(.fork = -1));
    check("a number that is none", "github", "{\"pull_request\":{\"number\":-7}}",
          WANT(.fork = -1));
    check("a branch that is none", "github",
          "{\"pull_request\":{\"number\":8,\"base\":{\"ref\":\"a..b\"},\"title\":5}}",
          WANT(.branch = T("pull/8"), .fork = -1));
    check("of another forge", "bitbucket", PULL("null", "null"), WANT(.fork = -1));
    check("no object", "gitlab", "[1]", WANT(.fork = -1));
    (void)snprintf(longer, sizeof(longer),
                   "{\"pull_request\":{\"number\":9,\"title\":\"%0299d\xc3\xa9\"}}", 0);
    char cut[300];
    (void)snprintf(cut, sizeof(cut), "%0299d", 0);
    check("a long title is cut before a character", "github", longer,
          WANT(.branch = T("pull/9"), .title = cut, .fork = -1));
    return tap_done();
}
