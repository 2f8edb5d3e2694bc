#include "client/commands.h"

#include <string.h>

#include "shared/base/num.h"

static const command *const tables[] = {
    cmd_status,     cmd_builds,     cmd_log,    cmd_force,     cmd_change, cmd_workers,
    cmd_promotions, cmd_cron,       cmd_doctor, cmd_demo,      cmd_token,  cmd_outbox,
    cmd_local,      cmd_schedulers, cmd_shell,  cmd_artifacts, cmd_try};
enum { TABLES = sizeof(tables) / sizeof(tables[0]), NAMES_MAX = 64 };

const command *commands_find(const char *name)
{
    for (size_t i = 0; i < TABLES; i++)
        for (const command *c = tables[i]; c->name; c++)
            if (strcmp(c->name, name) == 0)
                return c;
    return NULL;
}

const char *commands_nearest(const char *name)
{
    const char *names[NAMES_MAX + 1] = {NULL};
    size_t n = 0;
    for (size_t i = 0; i < TABLES; i++)
        for (const command *c = tables[i]; c->name && n < NAMES_MAX; c++)
            names[n++] = c->name;
    return pw_nearest(name, names);
}

void commands_list(pw_buf *b)
{
    for (size_t i = 0; i < TABLES; i++)
        for (const command *c = tables[i]; c->name; c++)
            (void)pw_buf_addf(b, "  %-11s %s\n", c->name, c->help);
}

int commands_run(client *c, int argc, char *const *argv, pw_err *err)
{
    args a;
    const command *cmd = commands_find(argv[0]);
    if (!cmd) {
        const char *near = commands_nearest(argv[0]);
        return pw_fail(err, PW_EINVAL, "there is no command \"%.60s\"%s%s%s", argv[0],
                       near ? "; did you mean \"" : "; see pawl --help", near ? near : "",
                       near ? "\"?" : "");
    }
    int rc = args_parse(cmd, argc - 1, argv + 1, &a, err);
    if (rc < 0)
        return rc == PW_ELIMIT ? pw_fail(err, PW_EINVAL, "too many options") : rc;
    if (a.help) {
        PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(65536);
        args_help(cmd, &b);
        return client_put(c, &b, err);
    }
    const char *url = args_get(&a, "url"), *token_file = args_get(&a, "token-file"),
               *state = args_get(&a, "state");
    c->url = url ? url : c->url;
    c->token_file = token_file ? token_file : c->token_file;
    c->state = state ? state : c->state;
    c->ca = args_get(&a, "ca") ? args_get(&a, "ca") : c->ca;
    c->json |= args_get(&a, "json") != NULL;
    return cmd->run(c, &a, err);
}
