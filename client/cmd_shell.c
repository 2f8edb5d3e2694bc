/* pawl shell: where the work directory of a failed build is, and a shell there. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/commands.h"
#include "client/rest.h"

/* pawl-run beside this program, or as PAWL_RUN says, as the agent looks for it. Owned. */
static char *runner(pw_err *err)
{
    char exe[PATH_MAX];
    const char *given = getenv("PAWL_RUN");
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    char *slash = NULL;
    if (n > 0) {
        exe[n] = '\0';
        slash = strrchr(exe, '/');
    }
    char *path =
        given ? strdup(given) : pw_strf("%.*s/pawl-run", slash ? (int)(slash - exe) : 0, exe);
    if (!path)
        (void)pw_fail(err, PW_ENOMEM, "out of memory");
    return path;
}

static bool here(const char *hostname)
{
    char own[256] = "";
    (void)gethostname(own, sizeof(own) - 1);
    return hostname && strcmp(own, hostname) == 0;
}

/* Becomes pawl-run; returns only when that failed. */
static int enter(const char *file, const char *script, bool print, pw_err *err)
{
    PW_AUTO(pw_freep) char *program = runner(err);
    if (!program)
        return PW_ENOMEM;
    (void)execl(program, "pawl-run", "--enter", file,
                script  ? "--run"
                : print ? "--print"
                        : (char *)NULL,
                script, (char *)NULL);
    return pw_fail_sys(err, "starting %s", program);
}

static int run_shell(client *c, const args *a, pw_err *err)
{
    uint64_t id;
    char path[80];
    PW_AUTO(rest_answer_clear) rest_answer r = {0};
    int rc = args_id(a->word[0], "build", &id, err);
    if (rc < 0)
        return rc;
    (void)snprintf(path, sizeof(path), "/api/v1/builds/%" PRIu64 "/shell", id);
    if ((rc = rest_post(c, path, NULL, &r, err)) < 0)
        return pw_err_context(err, "looking for the work directory of build %" PRIu64, id);
    if (c->json)
        return rest_raw(c, &r, err);
    const char *dir = json_str(json_get(r.value, "directory"), "");
    const char *host = json_str(json_get(r.value, "hostname"), NULL);
    const char *script = args_get(a, "run");
    PW_AUTO(pw_freep) char *file = pw_strf("%s.kept", dir);
    if (!file)
        return pw_fail(err, PW_ENOMEM, "out of memory");
    client_say(c, "worker    %s%s%s%s\ndirectory %s\nuntil     %s\n",
               json_str(json_get(r.value, "worker"), "?"), host ? " (" : "", host ? host : "",
               host ? ")" : "", dir, json_str(json_get(r.value, "until"), "?"));
    if (!here(host)) {
        client_say(c,
                   "Run this on that machine, as root or the worker's user: pawl-run --enter %s\n",
                   file);
        return script ? pw_fail(err, PW_EDENIED, "build %" PRIu64 " ran on another machine", id)
                      : 0;
    }
    if (access(file, R_OK) < 0)
        return errno == EACCES
                   ? pw_fail(err, PW_EDENIED,
                             "you may not enter it: be root, or the user of the worker")
                   : pw_fail_sys(err, "the work directory is not there any more (%s)", file);
    return enter(file, script, args_get(a, "print") != NULL || !isatty(0), err);
}

static const arg_option shell_options[] = {
    {"print", 0, NULL, "only tell: directory, isolation, environment"},
    {"run", 0, "TEXT", "a script instead of an interactive shell"},
    {NULL, 0, NULL, NULL}};
const command cmd_shell[] = {{"shell", "BUILD [--print | --run TEXT]",
                              "Enter the work directory of a failed build, as its step was run",
                              shell_options, 1, 1, run_shell},
                             {NULL, NULL, NULL, NULL, 0, 0, NULL}};
