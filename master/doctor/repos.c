/* Whether this user can read each repository of the configuration. */
#include <string.h>

#include "master/doctor/look.h"
#include "shared/base/spawn.h"

enum { ASK_S = 20, OUTPUT_MAX = 4 * 1024 * 1024 };

static void ask(look *l, const config_project *p)
{
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(OUTPUT_MAX);
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(65536);
    pw_err err = {0};
    /* as the master asks: nobody is there to type a password */
    const char *const argv[] = {"env",
                                "GIT_TERMINAL_PROMPT=0",
                                "GIT_SSH_COMMAND=ssh -oBatchMode=yes",
                                "git",
                                "ls-remote",
                                "--heads",
                                "--",
                                p->repository,
                                NULL};
    const pw_spawn s = {.argv = argv, .in = -1, .out = -1, .err = -1};
    int r = pw_spawn_run(&s, NULL, (pw_usec)ASK_S * 1000000, &out, &said, &err);
    if (r == 0) {
        findings_add(l->f, "repository", FIND_OK, NULL, "%s: %s answers", p->name, p->repository);
        return;
    }
    const char *text = r < 0 ? err.text : pw_buf_str(&said);
    PW_AUTO(pw_freep)
    char *cure =
        pw_strf("check its address and that the master's user may read it: git ls-remote %s",
                p->repository);
    findings_add(l->f, "repository", FIND_WRONG, cure, "%s: %s cannot be read: %.*s", p->name,
                 p->repository, (int)strcspn(text, "\n"), text);
}

void look_repositories(look *l)
{
    for (size_t i = 0; l->conf && i < l->conf->n_projects; i++)
        ask(l, &l->conf->projects[i]);
}
