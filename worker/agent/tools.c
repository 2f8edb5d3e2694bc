#include "worker/agent/tools.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/base/spawn.h"
#include "worker/agent/home.h"

/* Digits and dots from p on; the dots at its end are the sentence's. */
static size_t number(const char *p, bool *ret_dot)
{
    size_t n = strspn(p, "0123456789.");
    while (n > 0 && p[n - 1] == '.')
        n--;
    *ret_dot = memchr(p, '.', n) != NULL;
    return n;
}

void tools_version(const char *text, char out[TOOL_VERSION_MAX])
{
    const char *plain = NULL;
    size_t plain_n = 0;
    for (const char *line = text; *line; line += *line == '\n') {
        size_t end = strcspn(line, "\n");
        for (const char *p = line; p < line + end;) {
            bool dot = false;
            size_t n = isdigit((unsigned char)*p) ? number(p, &dot) : 0;
            bool begins = p == text || !strchr("._-", p[-1]);
            if (n && begins && dot) {
                (void)snprintf(out, TOOL_VERSION_MAX, "%.*s", (int)n, p);
                return;
            }
            if (n && begins && !plain && (p == text || !isalnum((unsigned char)p[-1]))) {
                plain = p;
                plain_n = n;
            }
            p += n ? n : 1;
        }
        line += end;
    }
    if (plain)
        (void)snprintf(out, TOOL_VERSION_MAX, "%.*s", (int)plain_n, plain);
    else
        (void)snprintf(out, TOOL_VERSION_MAX, "%.*s", (int)strcspn(text, "\n"), text);
}

/* False: it does not answer. */
static bool ask(const conf_tool *t, pw_usec deadline, char out[TOOL_VERSION_MAX])
{
    PW_AUTO(pw_buf_clearp) pw_buf said = PW_BUF(TOOL_OUTPUT_MAX);
    PW_AUTO(pw_buf_clearp) pw_buf other = PW_BUF(TOOL_OUTPUT_MAX);
    pw_err err = {0};
    const char *argv[CONF_TOOL_ARGS + 1] = {NULL};
    for (size_t i = 0; i < t->argv.n && i < CONF_TOOL_ARGS; i++)
        argv[i] = t->argv.v[i];
    pw_spawn s = {.argv = argv, .in = -1, .out = -1, .err = -1, .die_with_parent = true};
    int rc = deadline > 0 ? pw_spawn_run(&s, NULL, deadline, &said, &other, &err)
                          : pw_fail(&err, PW_ETIMEDOUT, "those before it took too long");
    if (rc > 0)
        (void)pw_fail(&err, PW_ESYS, "it ended with status %d", rc);
    if (rc == 0 && !said.len && !other.len)
        rc = pw_fail(&err, PW_ESYS, "it printed nothing");
    if (rc != 0) {
        pw_log(PW_LOG_WARN, "tool_unknown", "tool=%s reason=\"%s\"", t->name, err.text);
        return false;
    }
    tools_version(pw_buf_str(said.len ? &said : &other), out);
    for (char *c = out; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = ' ';
    return true;
}

int tools_read(const worker_conf *conf, pw_list *facts, pw_err *err)
{
    char version[TOOL_VERSION_MAX], name[100];
    pw_usec end = pw_now(&pw_host_real) + TOOLS_DEADLINE;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < conf->n_tools; i++) {
        (void)snprintf(name, sizeof(name), "tools.%s", conf->tools[i].name);
        pw_usec left = end - pw_now(&pw_host_real);
        if (ask(&conf->tools[i], left < TOOL_DEADLINE ? left : TOOL_DEADLINE, version))
            rc = facts_add(facts, name, version, err);
    }
    return rc;
}
