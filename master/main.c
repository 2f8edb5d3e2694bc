/* pawl-master: the server. */
#include <argp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/backup/backup.h"
#include "master/doctor/doctor.h"
#include "master/server/plan.h"
#include "master/server/server.h"
#include "shared/base/buf.h"
#include "shared/base/log.h"

const char *argp_program_version = "pawl-master " PW_VERSION;
enum { OPT_JSON = 1000, OPT_MIRRORS, OPT_DEEP, OPT_NEW_KEY };
static const char doc[] =
    "Runs the Pawl master in the foreground, or works on its files.\v"
    "Commands:\n"
    "  (none)      run the server; SIGTERM stops it at once, jobs go on;\n"
    "              SIGHUP reads the configuration anew\n"
    "  check FILE  print every error of a configuration as FILE:LINE:COLUMN: text\n"
    "  plan FILE     what a reload with that file would change (compared with the one in force,\n"
    "                in the database of --state)\n"
    "  backup FILE   write a backup of the state directory, beside a running master too\n"
    "  restore FILE  make an empty state directory what the backup has\n"
    "  doctor        look at the state directory, with the cure for each finding\n"
    "\nExit status: 0 done, 1 failed, 2 wrong usage or configuration.";
static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0,
     "configuration (default: STATE/master.yaml, else /etc/pawl/master.yaml)", 0},
    {"state", 's', "DIR", 0, "state directory (default: /var/lib/pawl/master)", 0},
    {"verbose", 'v', NULL, 0, "log debug lines too", 0},
    {"json", OPT_JSON, NULL, 0, "plan, backup, restore, doctor: print JSON", 0},
    {"with-mirrors", OPT_MIRRORS, NULL, 0,
     "backup: copies of the repositories too (they are fetched again otherwise)", 0},
    {"deep", OPT_DEEP, NULL, 0, "doctor: read every page, every log, and ask every repository", 0},
    {"new-key", OPT_NEW_KEY, NULL, 0,
     "make a key that is lost anew, though every worker must join again then", 0},
    {0},
};

typedef struct arguments {
    server_options server;
    const char *word[2];
    unsigned n;
    bool verbose, json, mirrors, deep;
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
    case OPT_JSON:
        a->json = true;
        return 0;
    case OPT_MIRRORS:
        a->mirrors = true;
        return 0;
    case OPT_DEEP:
        a->deep = true;
        return 0;
    case OPT_NEW_KEY:
        a->server.new_key = true;
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

static int doctor(const arguments *a)
{
    PW_AUTO(pw_freep) char *config = server_config_path(&a->server, NULL);
    return doctor_command(a->server.state, config, a->deep, a->json);
}

int main(int argc, char **argv)
{
    static const struct argp argp = {.options = options,
                                     .parser = parse,
                                     .args_doc =
                                         "[check FILE|plan FILE|backup FILE|restore FILE|doctor]",
                                     .doc = doc};
    arguments a = {.server.state = "/var/lib/pawl/master"};
    argp_err_exit_status = 2;
    (void)argp_parse(&argp, argc, argv, 0, NULL, &a);
    pw_log_open(a.verbose ? PW_LOG_DEBUG : PW_LOG_INFO, -1);
    (void)signal(SIGPIPE, SIG_IGN);
    if (a.n == 0)
        return server_run(&a.server);
    if (strcmp(a.word[0], "check") == 0 && a.n == 2)
        return server_check(a.word[1]);
    if (strcmp(a.word[0], "plan") == 0 && a.n == 2)
        return plan_command(a.server.state, a.word[1], a.json);
    if (strcmp(a.word[0], "backup") == 0 && a.n == 2)
        return backup_command(a.server.state, a.word[1], a.mirrors, a.json);
    if (strcmp(a.word[0], "restore") == 0 && a.n == 2)
        return backup_restore_command(a.server.state, a.word[1], a.json);
    if (strcmp(a.word[0], "doctor") == 0 && a.n == 1)
        return doctor(&a);
    (void)fprintf(
        stderr,
        "pawl-master: \"%s\": no such command, or its FILE is missing; see pawl-master --help\n",
        a.word[0]);
    return 2;
}
