/* pawl-master: the server. */
#include <argp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/server/server.h"
#include "shared/base/log.h"

const char *argp_program_version = "pawl-master " PW_VERSION;
static const char doc[] =
    "Runs the Pawl master in the foreground, or works on its files.\v"
    "Commands:\n"
    "  (none)      run the server; SIGTERM stops it at once, jobs go on\n"
    "  check FILE  print every error of a configuration as FILE:LINE:COLUMN: text\n"
    "\nExit status: 0 done, 1 failed, 2 wrong usage or configuration.";
static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0,
     "configuration (default: STATE/master.yaml, else /etc/pawl/master.yaml)", 0},
    {"state", 's', "DIR", 0, "state directory (default: /var/lib/pawl/master)", 0},
    {"verbose", 'v', NULL, 0, "log debug lines too", 0},
    {0},
};

typedef struct arguments {
    server_options server;
    const char *word[2];
    unsigned n;
    bool verbose;
} arguments;

static error_t parse(int key, char *arg, struct argp_state *state)
{
    arguments *a = state->input;
    switch (key) {
    case 'c':
        a->server.config = arg;
        return 0;
    case 's':
        a->server.state = arg;
        return 0;
    case 'v':
        a->verbose = true;
        return 0;
    case ARGP_KEY_ARG:
        if (a->n == 2)
            argp_error(state, "too many arguments");
        a->word[a->n++] = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options, .parser = parse, .args_doc = "[check FILE]", .doc = doc};
    arguments a = {.server.state = "/var/lib/pawl/master"};
    argp_err_exit_status = 2;
    (void)argp_parse(&argp, argc, argv, 0, NULL, &a);
    pw_log_open(a.verbose ? PW_LOG_DEBUG : PW_LOG_INFO, -1);
    (void)signal(SIGPIPE, SIG_IGN);
    if (a.n == 0)
        return server_run(&a.server);
    if (strcmp(a.word[0], "check") == 0 && a.n == 2)
        return server_check(a.word[1]);
    (void)fprintf(stderr, "pawl-master: \"%s\": no such command; see pawl-master --help\n",
                  a.word[0]);
    return 2;
}
