/* pawl: the command line of Pawl. */
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "client/commands.h"
#include "shared/crypt/crypt.h"

enum {
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    OPT_URL = 1000,
    OPT_TOKEN_FILE,
    OPT_CA,
    OPT_STATE,
    OPT_JSON
};

static const struct argp_option option_table[] = {
    {"url", OPT_URL, "URL", 0,
     "address of the master (default: PAWL_URL, ~/.config/pawl/config, " CLIENT_DEFAULT_URL ")", 0},
    {"token-file", OPT_TOKEN_FILE, "FILE", 0, "file with the access token", 0},
    {"ca", OPT_CA, "FILE", 0,
     "certificates (PEM) that an https master is checked with (default: PAWL_CA, the system's)", 0},
    {"state", OPT_STATE, "DIR", 0,
     "state directory of a master on this machine: address and token come from there", 0},
    {"json", OPT_JSON, NULL, 0, "print the REST answer as it is", 0},
    {NULL, 0, NULL, 0, NULL, 0}};

typedef struct start {
    client *c;
    int rest; /* where the command stands in argv; 0: none */
} start;

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    start *s = state->input;
    switch (key) {
    case OPT_URL:
        s->c->url = arg;
        return 0;
    case OPT_TOKEN_FILE:
        s->c->token_file = arg;
        return 0;
    case OPT_CA:
        s->c->ca = arg;
        return 0;
    case OPT_STATE:
        s->c->state = arg;
        return 0;
    case OPT_JSON:
        s->c->json = true;
        return 0;
    case ARGP_KEY_ARG: /* the rest belongs to the command */
        s->rest = state->next - 1;
        state->next = state->argc;
        return 0;
    case ARGP_KEY_END:
        if (!s->rest)
            argp_error(state, "which command?");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Writes the list of commands behind the options. */
static char *help_filter(int key, const char *text, void *input)
{
    (void)input;
    if (key != ARGP_KEY_HELP_POST_DOC)
        return (char *)(uintptr_t)text;
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF(65536);
    (void)pw_buf_adds(&b, "Commands (each has --help):\n");
    commands_list(&b);
    (void)pw_buf_addf(&b, "\n%s", text ? text : "");
    return pw_buf_take(&b);
}

static int complain(const pw_err *err)
{
    char why[128];
    if (err->code == PW_ESYS && err->sys == EPIPE) /* who reads our output has seen enough */
        return EXIT_FAILED;
    /* only then sys is an errno; a library's numbers are told in the text already */
    const char *text =
        err->code == PW_ESYS && err->sys ? strerror_r(err->sys, why, sizeof(why)) : NULL;
    if (text && strstr(err->text, text))
        text = NULL;
    (void)fprintf(stderr, "pawl: %s%s%s\n", err->text, text ? ": " : "", text ? text : "");
    return err->code == PW_EINVAL ? EXIT_USAGE : EXIT_FAILED;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        option_table,
        parse_option,
        "COMMAND [ARGUMENT...]",
        "The command line of Pawl.\v"
        "Exit status: 0 done, 1 failed or red, 2 wrong usage or configuration.",
        NULL,
        help_filter,
        NULL};
    client c;
    pw_err err = {0};
    char name[] = "pawl"; /* messages begin with it, however we were called */
    if (argc > 0)
        argv[0] = name;
    argp_program_version = "pawl " PW_VERSION;
    argp_err_exit_status = EXIT_USAGE;
    client_init(&c, &pw_host_real);
    start s = {.c = &c};
    (void)signal(SIGPIPE, SIG_IGN);
    if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &s) != 0)
        return EXIT_USAGE;
    int rc = crypt_init(&err);
    if (rc == 0)
        rc = commands_run(&c, argc - s.rest, argv + s.rest, &err);
    client_clear(&c);
    if (rc < 0)
        return complain(&err);
    return ferror(stdout) || fflush(stdout) != 0 ? EXIT_FAILED : rc;
}
