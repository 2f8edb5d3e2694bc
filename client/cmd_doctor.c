/* pawl doctor: looks at the installation; each finding comes with its cure. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/commands.h"
#include "client/doctor.h"
#include "client/rest.h"
#include "shared/base/fs.h"
#include "shared/base/spawn.h"

#define DEFAULT_STATE "/var/lib/pawl/master"
#define DEFAULT_CONFIG "/etc/pawl/master.yaml"
#define CLOCK_LEAST INT64_C(1735689600000) /* 2025: older than this program */
enum {
    RUN_S = 20,
    DEEP_S = 24 * 3600,
    OUTPUT_MAX = 1024 * 1024,
    DEEP_OUTPUT_MAX = 8 * 1024 * 1024
};

static int run(const char *const *argv, pw_buf *out, pw_buf *said, pw_err *err)
{
    pw_spawn s = {.argv = argv, .in = -1, .out = -1, .err = -1};
    return pw_spawn_run(&s, NULL, (pw_usec)RUN_S * 1000000, out, said, err);
}

static void check_git(doctor *d)
{
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(OUTPUT_MAX);
    pw_err err = {0};
    int rc = run((const char *const[]){"git", "--version", NULL}, &out, NULL, &err);
    int n = (int)strcspn(pw_buf_str(&out), "\n");
    if (rc == PW_ENOTFOUND)
        doctor_add(d, "git", DOCTOR_WRONG, "apt-get install git", "there is no git program");
    else if (rc != 0)
        doctor_add(d, "git", DOCTOR_WRONG, "apt-get install git", "it does not run: %s",
                   rc < 0 ? err.text : "it fails");
    else if (!doctor_git_new(pw_buf_str(&out)))
        doctor_add(d, "git", DOCTOR_WRONG, "install git 2.30 or later", "%.*s is too old", n,
                   pw_buf_str(&out));
    else
        doctor_add(d, "git", DOCTOR_OK, NULL, "%.*s", n, pw_buf_str(&out));
}

/* pawl-master beside this program, else by PATH. */
static char *master_program(void)
{
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    exe[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(exe, '/');
    if (slash)
        slash[0] = '\0';
    char *path = slash ? pw_strf("%s/pawl-master", exe) : NULL;
    if (path && access(path, X_OK) == 0)
        return path;
    free(path);
    return pw_strf("pawl-master");
}

static void check_config(doctor *d, const char *state)
{
    PW_AUTO(pw_freep) char *own = pw_path_join(state, "master.yaml");
    PW_AUTO(pw_freep) char *program = master_program();
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(OUTPUT_MAX);
    pw_err err = {0};
    if (!own || !program) {
        d->failed = true;
        return;
    }
    const char *file = access(own, F_OK) == 0 ? own : DEFAULT_CONFIG;
    if (access(file, F_OK) < 0) {
        doctor_add(d, "configuration", DOCTOR_NOTE,
                   "write one, or ignore this when pawl-master runs with --config",
                   "there is neither %s nor " DEFAULT_CONFIG, own);
        return;
    }
    int rc = run((const char *const[]){program, "check", file, NULL}, NULL, &said, &err);
    if (rc == 0)
        doctor_add(d, "configuration", DOCTOR_OK, NULL, "%s", file);
    else if (rc == PW_ENOTFOUND)
        doctor_add(d, "configuration", DOCTOR_NOTE, "install it on the master's machine",
                   "pawl-master is not here, so %s was not read", file);
    else
        doctor_add(d, "configuration", DOCTOR_WRONG, "correct what `pawl-master check` names",
                   "%s: %.*s", file,
                   (int)(rc > 0 ? strcspn(pw_buf_str(&said), "\n") : strlen(err.text)),
                   rc > 0 ? pw_buf_str(&said) : err.text);
}

static void check_state(doctor *d, const char *state)
{
    struct stat st;
    PW_AUTO(pw_freep) char *token = pw_path_join(state, "admin.token");
    if (!token) {
        d->failed = true;
        return;
    }
    if (stat(state, &st) < 0) {
        doctor_add(d, "state", DOCTOR_WRONG,
                   "start pawl-master with this --state, or name its real folder", "%s: %s", state,
                   errno == ENOENT ? "there is no such folder" : "it cannot be read by this user");
        return;
    }
    doctor_mode(d, "state", state, st.st_mode, 0700);
    if (stat(token, &st) == 0)
        doctor_mode(d, "admin.token", token, st.st_mode, 0600);
    else
        doctor_add(d, "admin.token", DOCTOR_WRONG,
                   "start pawl-master once: its first start makes it", "%s is not there", token);
    doctor_space(d, state, pw_fs_free(state));
    check_config(d, state);
}

/* /healthz answers with its checks also when they fail. */
static void check_master(client *c, doctor *d)
{
    pw_err err = {0};
    http_answer h = {0};
    http_client *http = rest_client(c, &err);
    int rc = http ? http_call(http, "GET", "/healthz", NULL, 0, NULL, 0, (pw_usec)RUN_S * 1000000,
                              &h, &err)
                  : PW_ESYS;
    if (rc < 0) {
        doctor_add(d, "master", DOCTOR_WRONG,
                   http
                       ? "start pawl-master, or say where it is: --url URL, --state DIR or PAWL_URL"
                       : "say where it is: --url URL, --state DIR or PAWL_URL",
                   "%s", err.text);
        return;
    }
    doctor_add(d, "master", DOCTOR_OK, NULL, "%s answers", c->address);
    doctor_date(d, h.date, pw_wall(c->host));
    PW_AUTO(json_freep) json_value *v = json_parse(pw_buf_str(&h.body), h.body.len, NULL);
    if (v)
        doctor_health(d, v);
    else
        doctor_add(d, "health", DOCTOR_WRONG, "check that the address is a Pawl master's",
                   "/healthz gives no JSON (status %ld)", h.status);
    http_answer_clear(&h);
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    if (rest_get(c, "/api/v1/workers", &r, &err) < 0)
        doctor_add(d, "workers", DOCTOR_WRONG, "see the message", "%s", err.text);
    else
        doctor_workers(d, json_get(r.value, "items"));
}

/* What reads the state itself is pawl-master's: this program knows no database. */
static void check_deep(doctor *d, const char *state)
{
    PW_AUTO(pw_freep) char *program = master_program();
    PW_AUTO(pw_buf_clearp) pw_buf out = PW_BUF(DEEP_OUTPUT_MAX);
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(OUTPUT_MAX);
    pw_err err = {0};
    if (!program) {
        d->failed = true;
        return;
    }
    const char *const argv[] = {program, "--state", state, "--json", "--deep", "doctor", NULL};
    pw_spawn s = {.argv = argv, .in = -1, .out = -1, .err = -1};
    int rc = pw_spawn_run(&s, NULL, (pw_usec)DEEP_S * 1000000, &out, &said, &err);
    PW_AUTO(json_freep)
    json_value *v = rc >= 0 ? json_parse(pw_buf_str(&out), out.len, NULL) : NULL;
    if (v)
        doctor_take(d, v);
    else
        doctor_add(d, "deep", DOCTOR_WRONG,
                   "run it on the master's machine, where pawl-master is installed, as its user",
                   "pawl-master doctor: %.*s",
                   (int)strcspn(rc < 0 ? err.text : pw_buf_str(&said), "\n"),
                   rc < 0 ? err.text : pw_buf_str(&said));
}

static int run_doctor(client *c, const args *a, pw_err *err)
{
    PW_AUTO(doctor_clear) doctor d = {0};
    PW_AUTO(pw_buf_clearp) pw_buf b = PW_BUF((size_t)8 * 1024 * 1024);
    const char *state = c->state;
    if (!state && !c->url && access(DEFAULT_STATE, R_OK | X_OK) == 0)
        state = DEFAULT_STATE;
    if (args_get(a, "deep") && !state)
        return pw_fail(
            err, PW_EINVAL,
            "doctor --deep reads the state directory: run it on the master's machine, with "
            "--state DIR");
    if (state && args_get(a, "deep"))
        check_deep(&d, state);
    else if (state)
        check_state(&d, state);
    if (pw_wall(c->host) < CLOCK_LEAST)
        doctor_add(&d, "clock", DOCTOR_WRONG, "set the clock; run a time service",
                   "this machine's clock stands in the past");
    check_git(&d);
    check_master(c, &d);
    if (d.failed)
        return pw_fail(err, PW_ENOMEM, "doctor: out of memory");
    if (c->json)
        doctor_json(&d, &b);
    else
        doctor_text(&d, c->colour, &b);
    int rc = client_put(c, &b, err);
    return rc < 0 ? rc : doctor_wrong(&d);
}

static const arg_option options[] = {
    {"deep", 0, NULL,
     "read every page, every log, and ask every repository (on the master's machine)"},
    {NULL, 0, NULL, NULL}};

const command cmd_doctor[] = {{"doctor", "",
                               "Check the installation, with the cure for each finding", options, 0,
                               0, run_doctor},
                              {NULL, NULL, NULL, NULL, 0, 0, NULL}};
