/* pawl-worker: the agent on a build machine. */
#include <argp.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/base/trim.h"
#include "shared/base/num.h"
#include "shared/notify/notify.h"
#include "worker/agent/join.h"
#include "worker/agent/serve.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, OPT_SPOOL = 1000, OPT_TAGS, OPT_SLOTS };

typedef struct options {
    const char *config;
    join_options join;
    bool is_join;
} options;

static const struct argp_option option_table[] = {
    {"config", 'c', "FILE", 0,
     "configuration (default " CONF_DEFAULT_ETC ", else " CONF_DEFAULT_SPOOL "/worker.yaml)", 0},
    {"spool", OPT_SPOOL, "DIR", 0,
     "join: folder for jobs and work (default " CONF_DEFAULT_SPOOL ")", 0},
    {"tags", OPT_TAGS, "A,B", 0, "join: the worker's tags", 0},
    {"slots", OPT_SLOTS, "N", 0, "join: jobs at the same time, 1 to 256 (default 1)", 0},
    {NULL, 0, NULL, 0, NULL, 0}};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    options *o = state->input;
    switch (key) {
    case 'c':
        o->config = arg;
        return 0;
    case OPT_SPOOL:
        o->join.spool = arg;
        return 0;
    case OPT_TAGS:
        o->join.tags = arg;
        return 0;
    case OPT_SLOTS:
        if (pw_parse_u64(arg, &o->join.slots, NULL) < 0 || o->join.slots < 1 ||
            o->join.slots > CONF_SLOTS_MAX)
            argp_error(state, "--slots must be a number from 1 to %d, not \"%s\"", CONF_SLOTS_MAX,
                       arg);
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num == 0 && !strcmp(arg, "join"))
            o->is_join = true;
        else if (state->arg_num == 1 && o->is_join)
            o->join.token = arg;
        else
            argp_error(state, "unexpected argument \"%s\"", arg);
        return 0;
    case ARGP_KEY_END:
        if (o->is_join && !o->join.token) /* where others could read the arguments */
            o->join.token = getenv("PAWL_JOIN");
        if (o->is_join && !o->join.token)
            argp_error(state, "join needs the token that `pawl worker add` printed, as its "
                              "argument or in the environment as PAWL_JOIN");
        if (!o->is_join && (o->join.spool || o->join.tags || o->join.slots))
            argp_error(state, "--spool, --tags and --slots go with join");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int complain(const pw_err *err, int code)
{
    char why[128] = "";
    const char *text = err->sys ? strerror_r(err->sys, why, sizeof(why)) : NULL;
    (void)fprintf(stderr, "pawl-worker: %s%s%s\n", err->text, text ? ": " : "", text ? text : "");
    return code;
}

static int run_join(const options *o)
{
    pw_err err = {0};
    PW_AUTO(pw_buf_clearp) pw_buf told = PW_BUF(16384);
    join_options j = o->join;
    j.config = o->config;
    int rc = join(&j, &told, &err);
    if (rc < 0)
        return complain(&err, rc == PW_EINVAL || rc == PW_ELIMIT ? EXIT_USAGE : EXIT_FAILED);
    return fputs(pw_buf_str(&told), stdout) < 0 || fflush(stdout) != 0 ? EXIT_FAILED : 0;
}

static const char *default_config(void)
{
    if (access(CONF_DEFAULT_ETC, F_OK) == 0)
        return CONF_DEFAULT_ETC;
    return access(CONF_DEFAULT_SPOOL "/worker.yaml", F_OK) == 0 ? CONF_DEFAULT_SPOOL "/worker.yaml"
                                                                : NULL;
}

static int read_config(const options *o, worker_conf *c)
{
    yaml_errors errors = {0};
    pw_err err = {0};
    PW_AUTO(pw_buf_clearp) pw_buf text = PW_BUF(1024 * 1024);
    const char *file = o->config ? o->config : default_config();
    if (!file) {
        (void)fprintf(
            stderr, "pawl-worker: reading the configuration: there is neither " CONF_DEFAULT_ETC
                    " nor " CONF_DEFAULT_SPOOL "/worker.yaml; run `pawl-worker join TOKEN` first, "
                    "with the token of `pawl worker add NAME`\n");
        return EXIT_USAGE;
    }
    int rc = worker_conf_read(file, c, &errors, &err);
    if (rc == PW_EINVAL && errors.n && yaml_errors_text(&errors, &text) == 0) {
        (void)fputs(pw_buf_str(&text), stderr);
        rc = EXIT_USAGE;
    } else if (rc < 0) {
        rc = complain(&err, EXIT_USAGE);
    }
    yaml_errors_clear(&errors);
    return rc;
}

static int run_agent(const options *o)
{
    static const serve_notify notify = {pw_notify_ready, pw_notify_status, pw_notify_stopping};
    worker_conf conf = {0};
    pw_err err = {0};
    int rc = read_config(o, &conf);
    if (rc)
        return rc;
    rc = serve(&conf, &notify, &err);
    worker_conf_clear(&conf);
    return rc < 0 ? complain(&err, EXIT_FAILED) : 0;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        option_table,
        parse_option,
        "\njoin [TOKEN]",
        "Runs jobs of a Pawl master on this machine.\v"
        "`join` without TOKEN takes it from PAWL_JOIN. "
        "Without `join` the agent runs in the foreground. SIGHUP reads the configuration anew; "
        "SIGTERM ends the agent, its jobs go on.",
        NULL,
        NULL,
        NULL};
    options o = {0};
    pw_err err = {0};
    argp_program_version = "pawl-worker " PW_VERSION;
    argp_err_exit_status = EXIT_USAGE;
    /* one heap, and large blocks given back at once: an idle agent is to stay small */
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_MMAP_THRESHOLD, 128 * 1024);
    (void)signal(SIGPIPE, SIG_IGN);
    pw_trim();
    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
        return EXIT_USAGE;
    if (crypt_init(&err) < 0)
        return complain(&err, EXIT_FAILED);
    return o.is_join ? run_join(&o) : run_agent(&o);
}
