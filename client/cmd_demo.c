/* pawl demo: a master, a worker and repositories in one folder, and what they do. */
#include <stdlib.h>
#include <string.h>

#include "client/commands.h"
#include "client/demo.h"

enum { IDLE_MS = 500 };

static int stay(demo *d, pw_err *err)
{
    client_say(d->c, "\nThe web page stays at %s\nCtrl-C ends it.\n", d->c->address);
    while (!demo_pause(d, IDLE_MS, err))
        ;
    return d->stop ? 0 : PW_ECONFLICT;
}

static int play(demo *d, bool leave, pw_err *err)
{
    client_say(d->c, "Pawl demo in %s\n", d->dir);
    int rc = demo_repos(d, err);
    if (rc == 0)
        rc = demo_start(d, err);
    if (rc < 0)
        return rc;
    client_say(
        d->c,
        "web page: %s\nmaster and worker run, their logs are master.log and worker.log there\n",
        d->c->address);
    rc = demo_story(d, err);
    if (rc < 0)
        return rc;
    client_say(d->c, "\nAll of it is true: checked with git.\n");
    return leave ? 0 : stay(d, err);
}

static int run_demo(client *c, const args *a, pw_err *err)
{
    demo d;
    bool leave = args_get(a, "exit") != NULL;
    if (c->url || c->token_file || c->state || c->json)
        return pw_fail(
            err, PW_EINVAL,
            "demo runs a master of its own: it takes none of --url, --token-file, --state, --json");
    int rc = demo_open(&d, c, a->word[0], err);
    PW_AUTO(pw_freep) char *state = rc == 0 ? demo_path(&d, "state") : NULL;
    if (rc == 0 && !state)
        rc = pw_fail(err, PW_ENOMEM, "out of memory");
    if (rc == 0) {
        c->state = state;
        rc = play(&d, leave, err);
        if (rc < 0 && err && err->code != PW_EAGAIN)
            client_say(c, "\nThe demo ends here.\n");
        demo_stop(&d);
        c->state = NULL;
    }
    bool stopped = d.stop;
    demo_close(&d);
    if (rc < 0 && stopped) /* a person who ends it knows why */
        return 1;
    return rc < 0 ? pw_err_context(err, "demo") : rc;
}

static const arg_option options[] = {
    {"exit", 'x', NULL, "end when the story is told, with status 0 when all of it was true"},
    {NULL, 0, NULL, NULL}};
const command cmd_demo[] = {{"demo", "DIR [--exit]",
                             "See it work: a master, a worker, repositories, a story, all in DIR",
                             options, 1, 1, run_demo},
                            {NULL, NULL, NULL, NULL, 0, 0, NULL}};
